//! Every way to read some bytes: as they are, and what was packed into them (ZIP, gzip, zlib, PNG, base64, UTF-16).
//! It must not know what is looked for.
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use miniz_oxide::inflate::{decompress_to_vec_with_limit, decompress_to_vec_zlib_with_limit};

/// How deep packings lie in one another: a ZIP archive in a multipart body in gzip.
const DEPTH: usize = 4;
/// What is unpacked at most, of one packing.
const LIMIT: usize = 8 << 20;

/// The bytes themselves first.
pub fn views(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut views = Vec::new();
    collect(bytes, 0, &mut views);
    views
}

fn collect(bytes: &[u8], depth: usize, views: &mut Vec<Vec<u8>>) {
    views.push(bytes.to_vec());
    // UTF-16 of what we look for is the same with a NUL beside each character.
    if bytes.contains(&0) {
        views.push(bytes.iter().copied().filter(|byte| *byte != 0).collect());
    }
    if depth == DEPTH {
        return;
    }
    let mut packed = Vec::new();
    for at in 0..bytes.len() {
        let rest = &bytes[at..];
        match rest {
            [b'P', b'K', 3, 4, ..] => packed.extend(zip_member(rest)),
            [0x1f, 0x8b, 8, flags, ..] => packed.extend(gzip(rest, *flags)),
            // Orthanc's compressed attachments have the length of the content before it.
            [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] if at == 0 || at == 8 => packed.extend(zlib(rest)),
            [b'I', b'D', b'A', b'T', image @ ..] => packed.extend(zlib(image)),
            _ => {}
        }
    }
    packed.extend(base64_runs(bytes));
    for content in packed {
        collect(&content, depth + 1, views);
    }
}

/// The content of a member, found by its local header: what the directory at the end says is not needed (APPNOTE.TXT,
/// 4.3.7). A stored member is in the bytes as it is.
fn zip_member(bytes: &[u8]) -> Option<Vec<u8>> {
    let u16_at = |at: usize| Some(usize::from(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])));
    let start = 30 + u16_at(26)? + u16_at(28)?;
    if u16_at(8)? == 8 { inflate(bytes.get(start..)?) } else { None }
}

/// RFC 1952: ten bytes, and what the flags say (4: extra field, 8: name, 16: comment, 2: checksum).
fn gzip(bytes: &[u8], flags: u8) -> Option<Vec<u8>> {
    let mut at = 10;
    if flags & 4 != 0 {
        at += 2 + usize::from(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            at += 1 + bytes.get(at..)?.iter().position(|byte| *byte == 0)?;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    inflate(bytes.get(at..)?)
}

fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    // What was unpacked before a fault counts too.
    decompress_to_vec_with_limit(bytes, LIMIT).or_else(|fault| some(fault.output)).ok()
}

fn zlib(bytes: &[u8]) -> Option<Vec<u8>> {
    decompress_to_vec_zlib_with_limit(bytes, LIMIT).or_else(|fault| some(fault.output)).ok()
}

fn some(output: Vec<u8>) -> Result<Vec<u8>, ()> {
    if output.is_empty() { Err(()) } else { Ok(output) }
}

/// Runs of the letters of base64, long enough to hold something.
fn base64_runs(bytes: &[u8]) -> Vec<Vec<u8>> {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'+' || *byte == b'/';
    let runs = bytes.split(|byte| !is_letter(byte)).filter(|run| run.len() >= 24);
    // Where a run begins may not be where the encoding does: `base64,AAAA` is split, `image/png` is not.
    let shifts = runs.flat_map(|run| (0..4).map(move |shift| &run[shift..]));
    shifts.filter_map(|run| STANDARD_NO_PAD.decode(&run[..run.len() / 4 * 4]).ok()).collect()
}

#[test]
fn what_is_packed_is_found() {
    use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
    let has = |bytes: &[u8], what: &[u8]| views(bytes).iter().any(|view| view.windows(what.len()).any(|at| at == what));
    let text = b"something to be found";
    let deflated = compress_to_vec(text, 6);
    let zip =
        [b"PK\x03\x04\x14\0\x08\0\x08\0".as_slice(), &[0; 16], &[1, 0, 0, 0], b"n", &deflated, b"PK\x07\x08"].concat();
    let gzip = |content: &[u8]| {
        [&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3], b"name\0".as_slice(), &compress_to_vec(content, 6), &[0; 8]].concat()
    };
    let zlib = [&[0; 8], compress_to_vec_zlib(text, 6).as_slice()].concat();
    let utf16: Vec<u8> = text.iter().flat_map(|byte| [*byte, 0]).collect();
    let data_uri =
        format!("\"data:application/pdf;base64,{}\"", base64::engine::general_purpose::STANDARD.encode(text));
    for packed in [text.to_vec(), zip.clone(), gzip(text), gzip(&zip), zlib, utf16, data_uri.into_bytes()] {
        assert!(has(&[b"--part\r\n\r\n".as_slice(), &packed, b"\r\n--part--"].concat(), text) || has(&packed, text));
        assert!(!has(&packed, b"something else"));
    }
}
