//! DICOM files as links and limited users send them.

use crate::nesting;

/// 128 bytes and a meta header for explicit VR in little endian (DICOM PS3.10, 7.1).
const HEAD: &[u8] = b"DICM\x02\0\0\0UL\x04\0\x1c\0\0\0\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0";

/// A sequence without a length, and its first item.
const OPEN: &[u8] = b"\x40\0\x30\xa7SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff";

/// A data set: however odd it is, the count comes to an end, and what lies around it counts whatever is in it.
pub fn files(data: &[u8]) {
    let head = [&[0; 128], HEAD].concat();
    let _whatever = nesting::is_too_much(data);
    let _whatever = nesting::is_too_much(&[&head, data].concat());
    let deep = OPEN.repeat(17);
    assert!(nesting::is_too_much(&[&head[..], &deep, data].concat()), "17 levels around it");
}
