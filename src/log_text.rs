//! Texts of strangers as the log may show them.
#![forbid(unsafe_code)]

/// A text of a stranger's for the log: bounded, and without control characters.
#[must_use]
pub fn shorten(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The path of a request for the log, without the code of a link: that opens it.
#[must_use]
pub fn path(path: &str) -> String {
    // As the server reads it: slashes in a row are one.
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let is_link = segments.next() == Some("auth") && segments.next() == Some("links") && segments.next().is_some();
    if is_link { "/auth/links/…".to_owned() } else { shorten(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_a_link_is_in_no_log() {
        for secret in ["/auth/links/code", "/auth/links/code/", "//auth//links//code", "/auth/links/code/more"] {
            assert_eq!(path(secret), "/auth/links/…");
        }
        for shown in ["/auth/links", "/auth/links/", "/auth/linksx/y", "/studies/auth/links/x", ""] {
            assert_eq!(path(shown), shown);
        }
        assert_eq!(path("/a\n"), "/a\u{fffd}");
    }
}
