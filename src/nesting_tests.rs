use super::*;

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const ITEM_OF_BIG_ENDIAN: [u8; 4] = [0xff, 0xfe, 0xe0, 0x00];

fn short_element(tag: [u8; 4], vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    [&tag[..], vr, &u16::try_from(value.len()).unwrap().to_le_bytes(), value].concat()
}

fn file(syntax: &str, data: &[u8]) -> Vec<u8> {
    let mut syntax = syntax.as_bytes().to_vec();
    syntax.resize(syntax.len().next_multiple_of(2), 0);
    let meta = short_element([2, 0, 0x10, 0], b"UI", &syntax);
    let length = u32::try_from(meta.len()).unwrap().to_le_bytes();
    [&[0; 128][..], b"DICM", &short_element([2, 0, 0, 0], b"UL", &length), &meta, data].concat()
}

/// How a sequence is written.
#[derive(Clone, Copy, Debug)]
struct Way {
    is_explicit: bool,
    is_defined: bool,
}

const WAYS: [Way; 4] = [
    Way { is_explicit: true, is_defined: true },
    Way { is_explicit: true, is_defined: false },
    Way { is_explicit: false, is_defined: true },
    Way { is_explicit: false, is_defined: false },
];

impl Way {
    fn syntax(self) -> &'static str {
        if self.is_explicit { EXPLICIT } else { IMPLICIT }
    }

    fn length(self, value: &[u8]) -> [u8; 4] {
        if self.is_defined { u32::try_from(value.len()).unwrap().to_le_bytes() } else { UNDEFINED.to_le_bytes() }
    }

    fn item(self, value: &[u8]) -> Vec<u8> {
        let end: &[u8] = if self.is_defined { &[] } else { &[0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0] };
        [&ITEM[..], &self.length(value), value, end].concat()
    }

    fn sequence(self, items: &[u8]) -> Vec<u8> {
        let vr: &[u8] = if self.is_explicit { b"SQ\0\0" } else { &[] };
        let end: &[u8] = if self.is_defined { &[] } else { &[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0] };
        [&[0x40, 0, 0x30, 0xa7][..], vr, &self.length(items), items, end].concat()
    }

    fn nested(self, levels: usize) -> Vec<u8> {
        (0..levels).fold(Vec::new(), |inner, _| self.sequence(&self.item(&inner)))
    }
}

#[test]
fn levels_are_counted_however_they_are_written() {
    for way in WAYS {
        for (levels, expected) in [(0, false), (1, false), (16, false), (17, true), (50, true), (3_000, true)] {
            let file = file(way.syntax(), &way.nested(levels));
            assert_eq!(is_too_much(&file), expected, "{way:?} {levels}");
            // Behind much that is flat.
            let flat = way.sequence(&way.item(&[]).repeat(100));
            let behind = [file, flat.clone(), way.nested(levels), flat].concat();
            assert_eq!(is_too_much(&behind), expected, "{way:?} {levels}, behind");
        }
    }
    // Without a representation within one that has one.
    let unknown = |items: &[u8]| {
        [&[0x41, 0, 0x30, 0xa7][..], b"UN\0\0\xff\xff\xff\xff", items, &WAYS[3].sequence(&[])[8..]].concat()
    };
    for (levels, expected) in [(15, false), (16, true)] {
        let inner = [WAYS[3].item(&WAYS[3].nested(levels)), WAYS[3].item(&[]).repeat(20)].concat();
        assert_eq!(is_too_much(&file(EXPLICIT, &unknown(&inner))), expected, "{levels}");
    }
}

/// The server's threads have little stack, and so has this one.
#[test]
fn depth_takes_no_stack() {
    let deep: Vec<Vec<u8>> = WAYS
        .map(|way| {
            let (mut before, mut after) = (Vec::new(), Vec::new());
            if !way.is_defined {
                before = [&way.sequence(&[])[..if way.is_explicit { 12 } else { 8 }], &way.item(&[])[..8]].concat();
                after = [&way.item(&[])[8..], &way.sequence(&[])[if way.is_explicit { 12 } else { 8 }..]].concat();
            }
            file(way.syntax(), &[before.repeat(200_000), after.repeat(200_000)].concat())
        })
        .to_vec();
    let thread = std::thread::Builder::new().stack_size(64 * 1024);
    let found = thread.spawn(move || deep.iter().map(|file| is_too_much(file)).collect::<Vec<_>>()).unwrap();
    assert_eq!(found.join().unwrap(), [false, true, false, true]);
}

#[test]
fn what_is_not_read_for_sure_is_too_much() {
    let way = WAYS[1];
    let flat = way.sequence(&way.item(&[]).repeat(100));
    assert!(!is_too_much(&file(EXPLICIT, &flat)));
    // Compressed pixels come in many pieces.
    let pieces = [
        &[0xe0, 0x7f, 0x10, 0, b'O', b'B', 0, 0][..],
        &UNDEFINED.to_le_bytes(),
        &WAYS[0].item(&[0xfe; 10]).repeat(100),
        &way.sequence(&[])[12..],
    ]
    .concat();
    assert!(!is_too_much(&file("1.2.840.10008.1.2.4.50", &pieces)));
    for (what, odd) in [
        ("big endian", file("1.2.840.10008.1.2.2", &ITEM_OF_BIG_ENDIAN.repeat(100))),
        ("deflated", file("1.2.840.10008.1.2.1.99", &[1, 2, 3])),
        ("of JPIP, deflated", file("1.2.840.10008.1.2.4.95", &[])),
        ("no head", flat.clone()),
        ("a head without a syntax", file("", &flat)),
        (
            "a value that ends beyond the file",
            [file(EXPLICIT, &flat), short_element([0x50, 0, 0, 0], b"LO", b"x")[..8].to_vec()].concat(),
        ),
        ("an unknown representation", [file(EXPLICIT, &flat), short_element([0x50, 0, 0, 0], b"XX", b"")].concat()),
        ("a delimiter where none is due", [file(EXPLICIT, &flat), flat[flat.len() - 8..].to_vec()].concat()),
        (
            "a value that could be a sequence",
            [
                file(IMPLICIT, &WAYS[3].sequence(&WAYS[3].item(&[]).repeat(100))),
                [&[0x50, 0, 0, 0, 14, 0, 0, 0, 1, 2][..], &WAYS[2].item(&[]), &[0; 4]].concat(),
            ]
            .concat(),
        ),
        (
            "an item beyond its sequence",
            file(
                EXPLICIT,
                &[&flat[..], &[0x40, 0, 0x30, 0xa7, b'S', b'Q', 0, 0, 8, 0, 0, 0], &ITEM, &[9, 0, 0, 0], &[0; 9]]
                    .concat(),
            ),
        ),
    ] {
        assert!(is_too_much(&odd), "{what}");
    }
    // Cut off anywhere, and with any byte changed: no panic. What is cut off where nothing ends is not read for sure.
    let whole = file(EXPLICIT, &way.nested(10));
    let empty = file(EXPLICIT, &[]).len();
    for end in 0..whole.len() {
        assert_eq!(is_too_much(&whole[..end]), end != empty, "{end}");
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x20;
        let _any = is_too_much(&changed);
    }
}

#[test]
fn real_images_are_not_too_much() {
    for name in testbed::dicom::REAL_IMAGES {
        let file = std::fs::read(testbed::dicom::real_image(name).unwrap()).unwrap();
        assert!(!is_too_much(&file), "{name}");
    }
}

/// Where DCMTK does not know how a file is written, it finds out from the bytes, and sees sequences where we skip a value.
#[test]
fn what_dcmtk_would_find_out_by_itself_is_too_much() {
    let hidden = |levels: usize| {
        let level =
            [&[0, 0x40, 0xa7, 0x30, b'S', b'Q', 0, 0][..], &[0xff; 4], &ITEM_OF_BIG_ENDIAN, &[0xff; 4]].concat();
        let value = level.repeat(levels);
        // In little endian 2560 bytes, in big endian 10.
        let mut data = [&[0, 8, 0, 5, b'C', b'S', 0, 0x0a][..], b"ISO_IR 100", &value].concat();
        data.resize(data.len().max(8 + 0x0a00), 0);
        data
    };
    let way = WAYS[1];
    let flat = way.sequence(&way.item(&[]).repeat(100));
    for syntax in ["", ".1", ".4.999", ".4.206", ".4.201", ".4.", ".4", ".6", ".7.1", ".2"] {
        let syntax = format!("1.2.840.10008.1.2{syntax}");
        // What it knows, it reads as we do.
        for data in [&hidden(60), &flat] {
            assert_eq!(is_too_much(&file(&syntax, data)), syntax != EXPLICIT, "{syntax}");
        }
    }
    // A syntax that is no UID is none to DCMTK.
    for vr in [b"LO", b"UN", b"OB", b"CS"] {
        let mut odd = file(EXPLICIT, &flat);
        let at = odd.windows(6).position(|six| six == [2, 0, 0x10, 0, b'U', b'I']).unwrap() + 4;
        odd[at..at + 2].copy_from_slice(vr);
        assert!(is_too_much(&odd), "{vr:?}");
    }
}

/// An implicit element.
fn implicit(tag: [u8; 4], length: u32, value: &[u8]) -> Vec<u8> {
    [&tag[..], &length.to_le_bytes(), value].concat()
}

/// DCMTK reads the head of an item whatever the length of its sequence says, and goes on behind a delimiter where the sequence
/// was said to go on.
#[test]
fn what_dcmtk_reads_beyond_a_value_is_too_much() {
    const SEQUENCE: [u8; 4] = [0x40, 0, 0x30, 0xa7];
    let short = |length: u32| {
        let item = [&ITEM[..], &10_u32.to_le_bytes(), &[0, 0, 0x44, 0x44, 2, 0, 0, 0, 0, 0]].concat();
        implicit(SEQUENCE, length, &item)
    };
    for length in [1, 2, 4, 6, 7] {
        assert!(is_too_much(&file(IMPLICIT, &short(length))), "{length}");
        let unknown =
            [&[0x41, 0, 0x30, 0xa7, b'U', b'N', 0, 0][..], &[0xff; 4], &WAYS[3].item(&short(length))].concat();
        let unknown = [unknown, WAYS[1].sequence(&[])[12..].to_vec()].concat();
        assert!(is_too_much(&file(EXPLICIT, &unknown)), "{length}, within what says no representation");
    }
    let ended = implicit(SEQUENCE, 20, &[&END_OF_SEQUENCE[..], &[0; 16]].concat());
    assert!(is_too_much(&file(IMPLICIT, &ended)));
    // That is an empty one.
    let empty = implicit(SEQUENCE, UNDEFINED, &[&END_OF_SEQUENCE[..], &[0; 4]].concat());
    assert!(!is_too_much(&file(IMPLICIT, &empty)));
    // DCMTK takes white space out of a UID, and unpacks what it is then.
    for syntax in
        ["1.2.840.10008.1.2.1 .99", "1.2.840.10008.1.2.1\t.99", " 1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4 .95"]
    {
        assert!(is_too_much(&file(syntax, &[1, 2, 3])), "{syntax}");
    }
}

#[test]
fn items_have_no_more_elements_and_character_sets_than_the_server_can_take() {
    let elements = |count: u16| -> Vec<u8> {
        (0..count)
            .flat_map(|number| short_element([0x11, 0, number.to_le_bytes()[0], number.to_le_bytes()[1]], b"LO", &[]))
            .collect()
    };
    for (count, expected) in [(3_000, false), (3_200, true), (20_000, true)] {
        assert_eq!(is_too_much(&file(EXPLICIT, &elements(count))), expected, "{count}");
        assert_eq!(
            is_too_much(&file(EXPLICIT, &WAYS[1].sequence(&WAYS[1].item(&elements(count))))),
            expected,
            "{count}"
        );
    }
    for (length, expected) in [(0, false), (128, false), (130, true), (60_000, true)] {
        let sets = short_element([8, 0, 5, 0], b"CS", &vec![b'\\'; length]);
        assert_eq!(is_too_much(&file(EXPLICIT, &sets)), expected, "{length}");
        let sets = implicit([8, 0, 5, 0], u32::try_from(length).unwrap(), &vec![b'\\'; length]);
        assert_eq!(is_too_much(&file(IMPLICIT, &WAYS[3].sequence(&WAYS[3].item(&sets)))), expected, "{length}");
    }
}

#[test]
fn sequences_are_not_longer_than_the_server_can_take() {
    for way in WAYS {
        let of = |items: usize| way.sequence(&way.item(&[]).repeat(items));
        for (data, expected) in [
            (of(3_000), false),
            (of(3_200), true),
            (of(60_000), true),
            (of(1_000).repeat(9), false),
            (of(1_000).repeat(11), true),
            (of(1).repeat(3_000), false),
            (of(1).repeat(20_000), true),
        ] {
            assert_eq!(is_too_much(&file(way.syntax(), &data)), expected, "{way:?} {} bytes", data.len());
        }
    }
}
