//! How DICOM files are written (PS3.5, PS3.10), as far as they are read here before the server does: the meta header, and
//! the header of each element. What is not read for sure is not read at all. Knows nothing of what the elements mean.
#![forbid(unsafe_code)]

/// What stands behind `1.2.840.10008.1.2` in the transfer syntaxes whose elements are in explicit little endian, as far as
/// every DCMTK that Orthanc is built with knows them.
const EXPLICIT: [&str; 18] = [
    ".1", ".5", ".4.50", ".4.51", ".4.57", ".4.70", ".4.80", ".4.81", ".4.90", ".4.91", ".4.92", ".4.93", ".4.100",
    ".4.101", ".4.102", ".4.103", ".4.104", ".4.105",
];

/// The length of what a delimiter ends.
pub const UNDEFINED: u32 = u32::MAX;

/// The meta header (DICOM PS3.10, 7.1): whether the data set says value representations, and where it begins.
#[must_use]
pub fn meta(file: &[u8]) -> Option<(bool, usize)> {
    let mut reader = Reader { file, at: 132 };
    if file.get(128..132)? != b"DICM" || reader.tag()? != (0x0002, 0x0000) {
        return None;
    }
    let length = match reader.header()? {
        (vr, 4) if vr == *b"UL" => reader.long()?,
        _ => return None,
    };
    let end = reader.at.checked_add(usize::try_from(length).ok()?)?;
    let mut syntax = None;
    while reader.at < end {
        let tag = reader.tag()?;
        let (vr, length) = reader.header()?;
        if tag.0 != 0x0002 || vr == *b"SQ" || length == UNDEFINED {
            return None;
        }
        let value = reader.skip(length)?;
        if tag == (0x0002, 0x0010) && (vr != *b"UI" || syntax.replace(value).is_some()) {
            return None;
        }
    }
    let syntax = std::str::from_utf8(syntax?).ok()?.trim_end_matches(['\0', ' ']);
    let is_explicit = match syntax.strip_prefix("1.2.840.10008.1.2")? {
        "" => false,
        known if EXPLICIT.contains(&known) => true,
        _ => return None,
    };
    (reader.at == end).then_some((is_explicit, end))
}

/// Reads a file from its beginning to its end.
pub struct Reader<'a> {
    /// The whole file.
    pub file: &'a [u8],
    /// Where the next byte to be read is.
    pub at: usize,
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.file.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(*taken)
    }

    fn short(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    /// An unsigned number of four bytes.
    pub fn long(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    /// Group and element.
    pub fn tag(&mut self) -> Option<(u16, u16)> {
        Some((self.short()?, self.short()?))
    }

    /// A value of so many bytes.
    pub fn skip(&mut self, length: u32) -> Option<&'a [u8]> {
        let end = self.at.checked_add(usize::try_from(length).ok()?)?;
        let value = self.file.get(self.at..end)?;
        self.at = end;
        Some(value)
    }

    /// Value representation and length (DICOM PS3.5, 7.1.2).
    pub fn header(&mut self) -> Option<([u8; 2], u32)> {
        let vr: [u8; 2] = self.take()?;
        let length = match &vr {
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV" => {
                if self.short()? != 0 {
                    return None;
                }
                self.long()?
            }
            b"AE" | b"AS" | b"AT" | b"CS" | b"DA" | b"DS" | b"DT" | b"FD" | b"FL" | b"IS" | b"LO" | b"LT" | b"PN"
            | b"SH" | b"SL" | b"SS" | b"ST" | b"TM" | b"UI" | b"UL" | b"US" => u32::from(self.short()?),
            _ => return None,
        };
        Some((vr, length))
    }

    /// Whether these bytes come next.
    #[must_use]
    pub fn begins_with(&self, tag: [u8; 4]) -> bool {
        self.file.get(self.at..).is_some_and(|rest| rest.starts_with(&tag))
    }
}
