//! How deep the sequences of a DICOM file lie in each other, and how long they are, before anybody takes it apart. The server
//! does so with a function that calls itself, on threads of about 100 kB of stack, and a stack that ends ends the server; and
//! up to 1.12.7 it goes through a sequence from its beginning for each item, holding a lock that all others need.
//!
//! Reads the file once, with no function that calls itself. What it does not read for sure counts as too much: it must never
//! see less than the server's reader (DCMTK), which finds out by itself how a file is written whose transfer syntax it does
//! not know. Knows nothing of what the elements mean.
#![forbid(unsafe_code)]

/// More levels than this are in nothing that is meant well: structured reports have about ten.
const DEEPEST: usize = 16;

/// The squares of how many items each sequence has make no more than this together: 3,000 in one of them, as of so many
/// frames, and a tenth of a second on 1.12.7.
const MOST_STEPS: u64 = 10_000_000;

/// (FFFE,E000), which begins each item of a sequence, in both orders of bytes.
const ITEM: [u8; 4] = [0xfe, 0xff, 0x00, 0xe0];
const ITEM_OF_BIG_ENDIAN: [u8; 4] = [0xff, 0xfe, 0xe0, 0x00];

/// What stands behind `1.2.840.10008.1.2` in the transfer syntaxes whose elements are in explicit little endian, as far as
/// every DCMTK that Orthanc is built with knows them.
const EXPLICIT: [&str; 18] = [
    ".1", ".5", ".4.50", ".4.51", ".4.57", ".4.70", ".4.80", ".4.81", ".4.90", ".4.91", ".4.92", ".4.93", ".4.100",
    ".4.101", ".4.102", ".4.103", ".4.104", ".4.105",
];

/// Transfer syntaxes that are compressed as a whole, so that nothing shows (DICOM PS3.5, A.5, and those of JPIP).
const DEFLATED: [&[u8]; 3] = [b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.4.95", b"1.2.840.10008.1.2.4.205"];

const UNDEFINED: u32 = u32::MAX;

/// Whether the sequences of a file lie too deep or are too long, or may.
#[must_use]
pub fn is_too_much(file: &[u8]) -> bool {
    let meta = meta(file);
    let has = |text: &[u8]| file.windows(text.len()).any(|window| window == text);
    if meta.is_none() && DEFLATED.iter().any(|syntax| has(syntax)) {
        return true;
    }
    // There are as many items as levels, at least. Most files have fewer.
    let are_many = |item: [u8; 4]| file.windows(4).filter(|four| **four == item).take(DEEPEST + 1).count() > DEEPEST;
    are_many(ITEM_OF_BIG_ENDIAN) || (are_many(ITEM) && !is_harmless(file, meta))
}

/// What is being read.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    /// A data set: the whole, or an item.
    Item,
    /// A sequence, in which only items are.
    Sequence,
    /// Pixels in pieces, which look like items and are none.
    Pieces,
}

/// Something that was begun. `end` is `None` where a delimiter ends it.
#[derive(Clone, Copy)]
struct Level {
    inside: Inside,
    end: Option<usize>,
    /// Whether elements say their value representation.
    is_explicit: bool,
    /// How many items were begun in it.
    items: u64,
}

/// Whether all of a file whose elements are in little endian was read, and nothing in it is too deep or too long.
fn is_harmless(file: &[u8], meta: Option<(bool, usize)>) -> bool {
    walk(file, meta).is_some()
}

/// Goes through the file. `None`: it is not read for sure, or is too much.
fn walk(file: &[u8], meta: Option<(bool, usize)>) -> Option<()> {
    let (is_explicit, start) = meta?;
    let mut reader = Reader { file, at: start };
    let mut levels = vec![Level { inside: Inside::Item, end: Some(file.len()), is_explicit, items: 0 }];
    let mut steps = 0;
    loop {
        let level = *levels.last()?;
        if level.end == Some(reader.at) {
            levels.pop();
            if levels.is_empty() {
                return Some(());
            }
            continue;
        }
        let within = levels.iter().rev().find_map(|level| level.end)?;
        let next = match (level.inside, reader.tag()?) {
            (Inside::Item, (0xfffe, 0xe00d)) | (Inside::Sequence | Inside::Pieces, (0xfffe, 0xe0dd)) => {
                // Only where it was not said where that ends.
                if reader.long()? != 0 || level.end.is_some() {
                    return None;
                }
                levels.pop();
                continue;
            }
            (Inside::Sequence, (0xfffe, 0xe000)) => {
                let sequence = levels.last_mut()?;
                sequence.items += 1;
                // The sum of the odd numbers: the square.
                steps += 2 * sequence.items - 1;
                if steps > MOST_STEPS {
                    return None;
                }
                Element::Begins(Inside::Item, reader.long()?, level.is_explicit)
            }
            (Inside::Pieces, (0xfffe, 0xe000)) => {
                let length = reader.long()?;
                reader.skip(length)?;
                Element::IsOver
            }
            (Inside::Sequence | Inside::Pieces, _) | (Inside::Item, (0xfffe, _)) => return None,
            (Inside::Item, tag) => reader.element(tag, level.is_explicit)?,
        };
        if reader.at > within {
            return None;
        }
        if let Element::Begins(inside, length, is_explicit) = next {
            let end = match length {
                UNDEFINED => None,
                length => Some(reader.at.checked_add(usize::try_from(length).ok()?).filter(|end| *end <= within)?),
            };
            levels.push(Level { inside, end, is_explicit, items: 0 });
            if levels.iter().filter(|level| level.inside == Inside::Sequence).count() > DEEPEST {
                return None;
            }
        }
    }
}

/// The meta header (DICOM PS3.10, 7.1): whether the data set says value representations, and where it begins.
fn meta(file: &[u8]) -> Option<(bool, usize)> {
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

/// What an element is.
enum Element {
    IsOver,
    Begins(Inside, u32, bool),
}

struct Reader<'a> {
    file: &'a [u8],
    at: usize,
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

    fn long(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn tag(&mut self) -> Option<(u16, u16)> {
        Some((self.short()?, self.short()?))
    }

    fn skip(&mut self, length: u32) -> Option<&'a [u8]> {
        let end = self.at.checked_add(usize::try_from(length).ok()?)?;
        let value = self.file.get(self.at..end)?;
        self.at = end;
        Some(value)
    }

    /// Value representation and length (DICOM PS3.5, 7.1.2).
    fn header(&mut self) -> Option<([u8; 2], u32)> {
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

    /// An element after its tag, with its value unless that begins something: then what, how long it is, and whether it says
    /// value representations.
    fn element(&mut self, tag: (u16, u16), is_explicit: bool) -> Option<Element> {
        let (vr, length) = if is_explicit { self.header()? } else { (*b"UN", self.long()?) };
        match (&vr, length) {
            (b"SQ", length) => return Some(Element::Begins(Inside::Sequence, length, true)),
            // Without a representation a dictionary says what is a sequence, and in it nothing has one (DICOM PS3.5, 6.2.2).
            (b"UN", length) if length == UNDEFINED || self.begins_with_item(length) => {
                return Some(Element::Begins(Inside::Sequence, length, false));
            }
            (b"UN", length) => {
                // What somebody else might take for a sequence is not skipped.
                let value = self.skip(length)?;
                if value.windows(4).any(|four| four == ITEM) {
                    return None;
                }
            }
            (b"OB" | b"OW", UNDEFINED) if tag == (0x7fe0, 0x0010) => {
                return Some(Element::Begins(Inside::Pieces, UNDEFINED, true));
            }
            (_, UNDEFINED) => return None,
            (_, length) => drop(self.skip(length)?),
        }
        Some(Element::IsOver)
    }

    fn begins_with_item(&self, length: u32) -> bool {
        length >= 8 && self.file.get(self.at..).is_some_and(|rest| rest.starts_with(&ITEM))
    }
}

#[cfg(test)]
#[path = "nesting_tests.rs"]
mod tests;
