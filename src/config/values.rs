//! Checks of single values that several sections share. Knows no key.

use std::fmt::Write as _;
use std::path::PathBuf;

use reqwest::Url;

/// A value as a message shows it: quoted, control characters escaped, cut when long.
pub(super) fn shown(value: &str) -> String {
    const LONGEST: usize = 80;
    let mut cut: String = value.chars().take(LONGEST).collect();
    if cut.len() < value.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}

/// Checks an absolute http or https URL without user name, query and fragment.
///
/// # Errors
/// What it must be. The value is shown, unless it may hold a password.
pub(super) fn http_url(text: &str, wanted: &str) -> Result<(), String> {
    let parsed = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && text.get(url.scheme().len()..).is_some_and(|rest| rest.starts_with("://"))
    });
    let clean = |c: char| !c.is_whitespace() && !c.is_control() && c != '\\';
    match parsed {
        // Whatever stands before an `@` may be a password.
        _ if text.contains('@') => Err(format!("{wanted}, without a user name or password")),
        Some(url) if url.query().is_none() && url.fragment().is_none() && text.chars().all(clean) => Ok(()),
        // A query may carry a key.
        Some(_) if text.contains(['?', '#']) => Err(format!("{wanted}, without a query or fragment")),
        _ => Err(format!("{wanted}, got {}", shown(text))),
    }
}

/// The text with a slash at its end.
pub(super) fn with_final_slash(mut text: String) -> String {
    if !text.ends_with('/') {
        text.push('/');
    }
    text
}

/// `"a", "b" or "c"`.
pub(super) fn choices(names: &[&str]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        let between = match index {
            0 => "",
            _ if index + 1 == names.len() => " or ",
            _ => ", ",
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "{between}{name:?}");
    }
    text
}

/// A path below a folder, unless it is absolute; an empty folder leaves it as it is.
pub(super) fn below(folder: PathBuf, path: &str) -> PathBuf {
    folder.join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_http_urls_pass() {
        for good in ["http://keycloak:8080/", "https://a.example/b", "http://[::1]:80", "HTTPS://a/"] {
            assert_eq!(http_url(good, "w"), Ok(()), "{good}");
        }
        for bad in [
            "keycloak:8080",
            "",
            "/realms",
            "ftp://a/",
            "http:a",
            "http:///",
            "http://",
            " http://a/",
            "http://a b/",
            "http://a/\n",
            "http:\\\\a",
            "http://a/?x",
            "http://a/#x",
            "http://me:pass@a/",
            "http://a:99999/",
        ] {
            assert!(http_url(bad, "w").is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_choice_is_joined_by_or() {
        assert_eq!(choices(&["a", "b", "c"]), "\"a\", \"b\" or \"c\"");
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        for text in ["http://me:hunter2@a/", "http://me:hunter2@", "me:hunter2@a", "http://a/?key=hunter2"] {
            assert!(!http_url(text, "w").unwrap_err().contains("hunter2"), "{text}");
        }
    }
}
