//! Reads the version that the server states. Must not know what depends on it.

use crate::host::HostVersion;

/// `ParentStudy` and its like came to `/tools/find` with 1.12.5, and `/tools/count-resources` too. An older server ignores what
/// it does not know of a query, and would find what it is to be kept from finding.
pub(super) const MINIMUM: HostVersion = HostVersion::new(1, 12, 5);

/// Reads `1.12.7`, with or without something behind it (`1.12.7+dfsg`), `1.13` and `mainline`, which counts as newest.
pub(super) fn parse(text: &str) -> Option<HostVersion> {
    if text == "mainline" || text.starts_with("mainline-") {
        return Some(HostVersion::new(u32::MAX, u32::MAX, u32::MAX));
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let mut numbers = text.get(..end)?.trim_end_matches('.').split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    let revision = numbers.next().map_or(Some(0), |number| number.parse().ok())?;
    Some(HostVersion::new(major, minor, revision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_with_and_without_a_suffix() {
        for text in ["1.12.7", "1.12.7+dfsg", "1.12.7-2~bpo", "1.12.7.", "1.12.7.4", "1.12.7rc1"] {
            assert_eq!(parse(text), Some(HostVersion::new(1, 12, 7)), "{text}");
        }
        assert_eq!(parse("1.13"), Some(HostVersion::new(1, 13, 0)));
    }

    #[test]
    fn versions_are_ordered_by_number_and_not_by_text() {
        assert!(parse("1.12.10") > parse("1.12.9"));
        assert!(parse("mainline").is_some_and(|mainline| mainline > HostVersion::new(99, 0, 0)));
        assert!(parse("mainline").is_some_and(HostVersion::has_http_authentication));
    }

    #[test]
    fn servers_that_ignore_parts_of_a_query_are_too_old() {
        for (text, is_enough) in [("1.9.7", false), ("1.12.4", false), ("1.12.5", true), ("1.13.0", true)] {
            assert_eq!(parse(text).unwrap() >= MINIMUM, is_enough, "{text}");
        }
    }

    #[test]
    fn what_is_no_version_is_none() {
        for text in ["", "1", "x.y.z", ".1.2", "1..2", "1.12.99999999999", "v1.12.7", "mainlined"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
