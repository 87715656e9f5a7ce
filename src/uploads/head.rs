//! The identifiers at the head of a DICOM file, where they are sure to be what the server reads: for what is asked of every
//! file, as the server needs half a millisecond for the text of all tags.
//!
//! Knows nothing of what they are for.

use crate::dicom_file::{Reader, UNDEFINED, meta};

const PATIENT_ID: (u16, u16) = (0x0010, 0x0020);
const STUDY_INSTANCE_UID: (u16, u16) = (0x0020, 0x000d);
const SERIES_INSTANCE_UID: (u16, u16) = (0x0020, 0x000e);
const SOP_INSTANCE_UID: (u16, u16) = (0x0008, 0x0018);

/// As the server reads them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    /// Empty where there is none.
    pub(super) patient: &'a str,
    pub(super) study: &'a str,
    pub(super) series: &'a str,
    pub(super) instance: &'a str,
}

impl<'a> Head<'a> {
    /// `None`: ask the server.
    pub(super) fn read(file: &'a [u8]) -> Option<Self> {
        let (is_explicit, at) = meta(file)?;
        let mut reader = Reader { file, at };
        let (mut patient, mut study, mut instance) = ("", None, None);
        let mut before = (0, 0);
        loop {
            let tag = reader.tag()?;
            // In ascending order (PS3.5, 7.1), so none comes twice, and none later.
            if tag <= before || tag > SERIES_INSTANCE_UID {
                return None;
            }
            before = tag;
            let (vr, length) = match is_explicit {
                true => reader.header().map(|(vr, length)| (Some(vr), length))?,
                false => (None, reader.long()?),
            };
            // A sequence of which only a delimiter says where it ends.
            if length == UNDEFINED {
                return None;
            }
            let value = reader.skip(length)?;
            let uid = || text(value, vr, *b"UI", b'\0');
            match tag {
                SOP_INSTANCE_UID => instance = Some(uid()?),
                PATIENT_ID => patient = text(value, vr, *b"LO", b' ')?,
                STUDY_INSTANCE_UID => study = Some(uid()?),
                SERIES_INSTANCE_UID => {
                    return Some(Self { patient, study: study?, series: uid()?, instance: instance? });
                }
                _ => {}
            }
        }
    }
}

/// A single text that is the same in every character set that may be meant, without its padding of one byte. (In the Japanese
/// ISO_IR 13 a tilde and a backslash are other characters; the backslash separates values.)
fn text(value: &[u8], vr: Option<[u8; 2]>, expected: [u8; 2], padding: u8) -> Option<&str> {
    let text = value.strip_suffix(&[padding]).unwrap_or(value);
    let is_sure = |byte: &u8| matches!(byte, 0x20..=0x7d) && *byte != b'\\';
    let has_blanks = text.first() == Some(&b' ') || text.last() == Some(&b' ');
    let is_read = vr.is_none_or(|vr| vr == expected) && text.iter().all(is_sure) && !has_blanks;
    std::str::from_utf8(text).ok().filter(|_| is_read)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPLICIT: &str = "1.2.840.10008.1.2.1";

    fn element(tag: (u16, u16), vr: Option<&[u8; 2]>, value: &[u8]) -> Vec<u8> {
        let mut written = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
        let length = u32::try_from(value.len()).unwrap();
        match vr {
            None => written.extend(length.to_le_bytes()),
            Some(b"SQ") => written.extend([b"SQ\0\0".as_slice(), &length.to_le_bytes()].concat()),
            Some(vr) => written.extend([vr.as_slice(), &u16::try_from(length).unwrap().to_le_bytes()].concat()),
        }
        written.extend(value);
        written
    }

    fn file(syntax: &str, elements: &[Vec<u8>]) -> Vec<u8> {
        let mut syntax = syntax.as_bytes().to_vec();
        syntax.resize(syntax.len().next_multiple_of(2), 0);
        let meta = element((2, 0x10), Some(b"UI"), &syntax);
        let length = u32::try_from(meta.len()).unwrap().to_le_bytes();
        [&[0; 128][..], b"DICM", &element((2, 0), Some(b"UL"), &length), &meta, &elements.concat()].concat()
    }

    /// The elements of a file of which one is another.
    fn with(changed: (u16, u16), vr: &[u8; 2], value: &[u8]) -> Vec<Vec<u8>> {
        let mut elements = vec![
            ((0x0008, 0x0005), b"CS", b"ISO_IR 100".as_slice()),
            (SOP_INSTANCE_UID, b"UI", b"1.4\0"),
            ((0x0008, 0x1110), b"SQ", b""),
            (PATIENT_ID, b"LO", b"P "),
            (STUDY_INSTANCE_UID, b"UI", b"1.22"),
            (SERIES_INSTANCE_UID, b"UI", b"1.3\0"),
            ((0x7fe0, 0x0010), b"OW", b""),
        ];
        elements.retain(|(tag, ..)| *tag != changed);
        elements.push((changed, vr, value));
        elements.sort_by_key(|(tag, ..)| *tag);
        elements.into_iter().map(|(tag, vr, value)| element(tag, Some(vr), value)).collect()
    }

    fn read(elements: &[Vec<u8>]) -> Option<[String; 4]> {
        let file = file(EXPLICIT, elements);
        let head = Head::read(&file)?;
        Some([head.patient, head.study, head.series, head.instance].map(str::to_owned))
    }

    #[test]
    fn identifiers_are_read_without_their_padding() {
        let expected = |patient: &str| Some([patient, "1.22", "1.3", "1.4"].map(str::to_owned));
        assert_eq!(read(&with((0x0008, 0x0060), b"CS", b"CT")), expected("P"));
        assert_eq!(read(&with(PATIENT_ID, b"LO", b"")), expected(""));
        assert_eq!(read(&with(PATIENT_ID, b"LO", b"A|B C")), expected("A|B C"));
        let without: Vec<Vec<u8>> =
            with(PATIENT_ID, b"LO", b"").into_iter().filter(|one| one[..2] != [0x10, 0]).collect();
        assert_eq!(read(&without), expected(""));
        let implicit = [
            element(SOP_INSTANCE_UID, None, b"1.4\0"),
            element(PATIENT_ID, None, b"P "),
            element(STUDY_INSTANCE_UID, None, b"1.22"),
            element(SERIES_INSTANCE_UID, None, b"1.3\0"),
        ];
        let file = file("1.2.840.10008.1.2", &implicit);
        assert_eq!(Head::read(&file), Some(Head { patient: "P", study: "1.22", series: "1.3", instance: "1.4" }));
    }

    #[test]
    fn what_the_server_may_read_otherwise_is_left_to_it() {
        for (tag, vr, value) in [
            (PATIENT_ID, b"LO", b"P  ".as_slice()),
            (PATIENT_ID, b"LO", b" P"),
            (PATIENT_ID, b"LO", b"P\0"),
            (PATIENT_ID, b"LO", b"P\\Q "),
            (PATIENT_ID, b"LO", b"P~"),
            (PATIENT_ID, b"LO", "Pé".as_bytes()),
            (PATIENT_ID, b"LO", b"\x1b$BP"),
            (PATIENT_ID, b"SH", b"P "),
            (STUDY_INSTANCE_UID, b"UI", b"1.2 "),
            (STUDY_INSTANCE_UID, b"UI", b"1.2\0\0"),
            (STUDY_INSTANCE_UID, b"LO", b"1.22"),
        ] {
            assert_eq!(read(&with(tag, vr, value)), None, "{tag:?} {value:?}");
        }
        let sound = with((0x0008, 0x0060), b"CS", b"CT");
        assert!(read(&sound).is_some());
        for missing in [[0x08, 0x00, 0x18, 0x00], [0x20, 0x00, 0x0d, 0x00], [0x20, 0x00, 0x0e, 0x00]] {
            let less: Vec<Vec<u8>> = sound.iter().filter(|one| one[..4] != missing).cloned().collect();
            assert_eq!(less.len(), sound.len() - 1);
            assert_eq!(read(&less), None, "{missing:?}");
        }
        // Twice, and in another order.
        let mut odd = sound.clone();
        odd.insert(5, odd[5].clone());
        assert_eq!(read(&odd), None);
        odd = sound.clone();
        odd.swap(1, 4);
        assert_eq!(read(&odd), None);
        // Big endian, deflated, no DICOM file, and one that is cut off anywhere.
        for syntax in ["1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2"] {
            assert_eq!(Head::read(&file(syntax, &sound)), None, "{syntax}");
        }
        let whole = file(EXPLICIT, &sound);
        let end = whole.len() - element((0x7fe0, 0x0010), Some(b"OW"), b"").len();
        for length in 0..end {
            assert_eq!(Head::read(&whole[..length]), None, "{length}");
        }
        assert!(Head::read(&whole[..end]).is_some(), "nothing behind them is needed");
    }
}
