//! `SiteLogo`: a picture for the pages that people see, read once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::section::Section;
use super::values::shown;

const KEY: &str = "SiteLogo";
/// It stands in each page, a third longer than the file.
const LARGEST: usize = 128 * 1024;

/// The picture as a `data:` URL.
pub(super) fn read(section: &Section<'_>) -> Option<String> {
    let file = section.string(KEY)?;
    let content = section.bytes(KEY, &file)?;
    if content.len() > LARGEST {
        section.fault(KEY, format!("the file {} is larger than {} kB", shown(&file), LARGEST / 1024));
        return None;
    }
    match media_type(&content) {
        Some(media_type) => Some(format!("data:{media_type};base64,{}", STANDARD.encode(content))),
        None => {
            section.fault(KEY, format!("the file {} is not a PNG, JPEG or SVG", shown(&file)));
            None
        }
    }
}

/// By what the file begins with; its name says nothing.
fn media_type(content: &[u8]) -> Option<&'static str> {
    if content.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some("image/png");
    }
    if content.starts_with(&[0xff, 0xd8, 0xff]) {
        return Some("image/jpeg");
    }
    // A browser runs no script of a picture, and fetches nothing for it.
    let text = std::str::from_utf8(content).ok()?.trim_start_matches('\u{feff}').trim_start();
    let is_svg =
        text.starts_with("<svg") || (text.starts_with("<?xml") || text.starts_with("<!")) && text.contains("<svg");
    is_svg.then_some("image/svg+xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_told_by_its_beginning() {
        for (content, expected) in [
            (&b"\x89PNG\r\n\x1a\n\0\0"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Some("image/svg+xml")),
            (b"\xef\xbb\xbf <?xml version='1.0'?>\n<!-- made by -->\n<svg/>", Some("image/svg+xml")),
            (b"<html><svg/></html>", None),
            (b"GIF89a", None),
            (b"", None),
            (b"\xff\xfe<svg", None),
        ] {
            assert_eq!(media_type(content), expected, "{}", String::from_utf8_lossy(content));
        }
    }
}
