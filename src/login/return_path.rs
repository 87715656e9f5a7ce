//! The page that somebody wanted before they were sent to log in: always one of this server, wherever the text came
//! from.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::request::Request;

/// Longer ones are forgotten: they have to fit into cookies and headers.
const LONGEST: usize = 2_000;

/// What stands for itself in the name or value of an argument.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'*')
    .remove(b',')
    .remove(b':')
    .remove(b'@')
    .remove(b'[')
    .remove(b']');
/// What stands for itself in a path (RFC 3986, 3.3): more, but no brackets.
const PATH: &AsciiSet = &QUERY
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'+')
    .remove(b';')
    .remove(b'=')
    .add(b'[')
    .add(b']');
/// What an argument as it came cannot hold.
const AS_IT_CAME: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'&');

/// A path with arguments below the root of this server. Begins with one slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnPath(String);

impl Default for ReturnPath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl ReturnPath {
    /// What a request asks for. Servers before 1.13.0 hand arguments on as they came, still encoded.
    #[must_use]
    pub fn of(request: &Request<'_>, decodes_arguments: bool) -> Self {
        let mut path = utf8_percent_encode(request.path, PATH).to_string();
        let set = if decodes_arguments { QUERY } else { AS_IT_CAME };
        let mut joint = '?';
        for (name, value) in &request.arguments {
            // Writing to a string does not fail.
            let _ = write!(path, "{joint}{}", utf8_percent_encode(name, set));
            if !value.is_empty() {
                let _ = write!(path, "={}", utf8_percent_encode(value, set));
            }
            joint = '&';
        }
        Self::parse(&path)
    }

    /// Takes a text over that may come from anybody. What could lead elsewhere is the root instead.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let rest = text.strip_prefix('/');
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#';
        let path = text.split('?').next().unwrap_or_default();
        let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let is_odd = decoded.contains("//") || decoded.contains('\\') || decoded.split('/').any(|part| part == "..");
        let is_ours = rest.is_some() && text.len() <= LONGEST && text.bytes().all(is_plain) && !is_odd;
        // A login that leads back to a login would go round for ever.
        let is_own_page = path.starts_with("/auth/links/") || path == "/auth/oidc/authorize";
        if is_ours && (!path.starts_with("/auth/") || is_own_page) { Self(text.to_owned()) } else { Self::default() }
    }

    /// The text: a path from the root of the server.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same as the value of an argument, for [`ReturnPath::from_argument`].
    ///
    /// Orthanc 1.13.0 decodes all arguments at once and splits them afterwards: whatever is to stay in one value must
    /// not have an ampersand when it is decoded.
    #[must_use]
    pub fn encoded(&self) -> String {
        let without_ampersands = self.0.replace('%', "%25").replace('&', "%26");
        utf8_percent_encode(&without_ampersands, QUERY).to_string()
    }

    /// Takes over the value of an argument, which the server has decoded once. As [`ReturnPath::parse`].
    #[must_use]
    pub fn from_argument(text: &str) -> Self {
        Self::parse(&text.replace("%26", "&").replace("%25", "%"))
    }

    /// As a redirect from one of our own routes, `/auth/{one}`: relative, so that a path prefix survives (decision 26).
    #[must_use]
    pub fn from_auth(&self) -> String {
        format!("..{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Method;

    #[test]
    fn only_pages_of_this_server_are_returned_to() {
        for ours in [
            "/",
            "/ui/app/",
            "/ohif/viewer?StudyInstanceUIDs=1.2.3&x=%2F",
            "/a?b=//c",
            "/studies/a:b",
            "/auth/links/x",
            "/auth/oidc/authorize?scope=openid",
        ] {
            assert_eq!(ReturnPath::parse(ours).as_str(), ours);
        }
        for elsewhere in [
            "",
            "ohif",
            "https://evil",
            "//evil",
            "/\\evil",
            "\\\\evil",
            "/%2fevil",
            "/%5Cevil",
            "/a//b",
            "/../x",
            "/a/%2e%2e/x",
            "/a\nLocation: x",
            "/a b",
            "/ä",
            "/a#b",
            "/auth/login",
            "/auth/logout?x",
            "/auth/oidc/token",
            "/auth/oidc/authorize/../../login",
            "javascript:alert(1)",
        ] {
            assert_eq!(ReturnPath::parse(elsewhere).as_str(), "/", "{elsewhere:?}");
        }
        assert_eq!(ReturnPath::parse(&format!("/{}", "a".repeat(2_000))).as_str(), "/");
    }

    #[test]
    fn a_request_is_written_as_the_browser_sent_it() {
        let of = |path: &'static str, arguments: &[(&'static str, &'static str)], decodes| {
            let arguments = arguments.to_vec();
            let request = Request { method: Method::Get, path, remote: "", headers: Vec::new(), arguments };
            ReturnPath::of(&request, decodes).as_str().to_owned()
        };
        assert_eq!(of("/ohif/viewer", &[("StudyInstanceUIDs", "1.2,3")], true), "/ohif/viewer?StudyInstanceUIDs=1.2,3");
        assert_eq!(of("/a b/ä", &[("x", "a&b=c"), ("y", "")], true), "/a%20b/%C3%A4?x=a%26b%3Dc&y");
        assert_eq!(of("/a", &[("x", "a%26b"), ("y", "../studies/z")], false), "/a?x=a%26b&y=../studies/z");
        assert_eq!(of("/auth/login", &[], true), "/");
    }

    #[test]
    fn a_return_keeps_its_arguments_through_another_one() {
        let path = ReturnPath::parse("/ohif/viewer?a=1&b=%26");
        assert_eq!(path.encoded(), "/ohif/viewer%3Fa%3D1%2526b%3D%252526");
        let decoded = percent_encoding::percent_decode_str(&path.encoded()).decode_utf8().unwrap().into_owned();
        // Also by a server that splits what it has decoded.
        assert_eq!(decoded, "/ohif/viewer?a=1%26b=%2526");
        assert_eq!(ReturnPath::from_argument(&decoded), path);
        // Written by hand, and encoded once.
        assert_eq!(ReturnPath::from_argument("/ohif/viewer?a=1&b=2").as_str(), "/ohif/viewer?a=1&b=2");
        assert_eq!(ReturnPath::from_argument("/%255Cevil").as_str(), "/");
        assert_eq!(ReturnPath::from_argument("/%252Fevil").as_str(), "/");
        assert_eq!(path.from_auth(), "../ohif/viewer?a=1&b=%26");
    }
}
