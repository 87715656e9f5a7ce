//! How deep the sequences of a DICOM file lie in each other, and how long they are, before anybody takes it apart. The server
//! does so with a function that calls itself, on threads of about 100 kB of stack, and a stack that ends ends the server; and
//! up to 1.12.7 it goes through a sequence from its beginning for each item, holding a lock that all others need.
//!
//! Reads the file once, with no function that calls itself. What it does not read for sure counts as too much: it must never
//! see less than the server's reader (DCMTK), which finds out by itself how a file is written whose transfer syntax it does
//! not know. Knows nothing of what the elements mean.
#![forbid(unsafe_code)]

use crate::dicom_file::{Reader, UNDEFINED, meta};

/// More levels than this are in nothing that is meant well: structured reports have about ten.
const DEEPEST: usize = 16;

/// The squares of how many items each sequence has, and how many elements each item, make no more than this together: 3,000
/// in one of them, as of so many frames. The server goes through what it has for each of them, 1.12.7 for a tenth of a
/// second then.
const MOST_STEPS: u64 = 10_000_000;

/// The longest list of character sets, in bytes: the server takes minutes for one of megabytes.
const LONGEST_CHARACTER_SETS: u32 = 128;

/// (FFFE,E000), which begins each item of a sequence.
const ITEM: [u8; 4] = [0xfe, 0xff, 0x00, 0xe0];

/// (FFFE,E0DD), which ends a sequence.
const END_OF_SEQUENCE: [u8; 4] = [0xfe, 0xff, 0xdd, 0xe0];

/// Whether the sequences of a file lie too deep or are too long, or may.
#[must_use]
pub fn is_too_much(file: &[u8]) -> bool {
    walk(file).is_none()
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
    /// How many items, or elements, were begun in it.
    parts: u64,
}

/// Goes through the file. `None`: it is not read for sure, or is too much.
fn walk(file: &[u8]) -> Option<()> {
    let (is_explicit, start) = meta(file)?;
    let mut reader = Reader { file, at: start };
    let mut levels = vec![Level { inside: Inside::Item, end: Some(file.len()), is_explicit, parts: 0 }];
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
            (Inside::Sequence, (0xfffe, 0xe000)) => Element::Begins(Inside::Item, reader.long()?, level.is_explicit),
            (Inside::Pieces, (0xfffe, 0xe000)) => {
                let length = reader.long()?;
                reader.skip(length)?;
                Element::IsOver
            }
            (Inside::Sequence | Inside::Pieces, _) | (Inside::Item, (0xfffe, _)) => return None,
            (Inside::Item, tag) => element(&mut reader, tag, level.is_explicit)?,
        };
        if level.inside != Inside::Pieces {
            let level = levels.last_mut()?;
            level.parts += 1;
            // The sum of the odd numbers: the square.
            steps += 2 * level.parts - 1;
        }
        if reader.at > within || steps > MOST_STEPS {
            return None;
        }
        if let Element::Begins(inside, length, is_explicit) = next {
            let end = match length {
                UNDEFINED => None,
                length => Some(reader.at.checked_add(usize::try_from(length).ok()?).filter(|end| *end <= within)?),
            };
            levels.push(Level { inside, end, is_explicit, parts: 0 });
            if levels.iter().filter(|level| level.inside == Inside::Sequence).count() > DEEPEST {
                return None;
            }
        }
    }
}

/// What an element is.
enum Element {
    IsOver,
    Begins(Inside, u32, bool),
}

/// An element after its tag, with its value unless that begins something: then what, how long it is, and whether it says
/// value representations.
fn element(reader: &mut Reader<'_>, tag: (u16, u16), is_explicit: bool) -> Option<Element> {
    let (vr, length) = if is_explicit { reader.header()? } else { (*b"UN", reader.long()?) };
    if tag == (0x0008, 0x0005) && length > LONGEST_CHARACTER_SETS {
        return None;
    }
    match (&vr, length) {
        (b"SQ", length) => return Some(Element::Begins(Inside::Sequence, length, true)),
        // Without a representation a dictionary says what is a sequence, and in it nothing has one (DICOM PS3.5, 6.2.2).
        // DCMTK looks at four bytes, however long the value is.
        (b"UN", 1..UNDEFINED) if reader.begins_with(END_OF_SEQUENCE) => return None,
        (b"UN", 1..8) if reader.begins_with(ITEM) => return None,
        (b"UN", length) if length == UNDEFINED || (length > 0 && reader.begins_with(ITEM)) => {
            return Some(Element::Begins(Inside::Sequence, length, false));
        }
        (b"UN", length) => {
            // What somebody else might take for a sequence is not skipped.
            let value = reader.skip(length)?;
            if value.windows(4).any(|four| four == ITEM) {
                return None;
            }
        }
        (b"OB" | b"OW", UNDEFINED) if tag == (0x7fe0, 0x0010) => {
            return Some(Element::Begins(Inside::Pieces, UNDEFINED, true));
        }
        (_, UNDEFINED) => return None,
        (_, length) => drop(reader.skip(length)?),
    }
    Some(Element::IsOver)
}

#[cfg(test)]
#[path = "nesting_tests.rs"]
mod tests;
