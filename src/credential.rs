//! From headers and arguments to the credentials that a request carries. Verifies nothing.
#![forbid(unsafe_code)]

use crate::request::Request;

/// Where a credential was found, for logs and for the order of precedence (decision 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Header `Authorization`.
    Authorization,
    /// Header `token`.
    TokenHeader,
    /// Header `api-key`, or one of `TokenHttpHeaders`.
    KeyHeader,
    /// Argument `token`, or one of `TokenGetArguments`.
    Argument,
    /// A cookie of ours.
    Cookie,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Authorization => "Authorization header",
            Self::TokenHeader => "token header",
            Self::KeyHeader => "api-key header",
            Self::Argument => "argument",
            Self::Cookie => "cookie",
        })
    }
}

/// What a credential looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// User name and password, still in Base64 (RFC 7617).
    Basic,
    /// A token or a key; which of them, its verification finds out.
    Token,
    /// What a browser holds for its session. Read from its cookie only, because only there do we know when it counts.
    Session,
    /// What a browser holds that opened a link by its code. In its cookie only, too.
    Opened,
}

/// One credential. Its `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credential<'a> {
    /// Where it was found.
    pub source: Source,
    /// What it looks like.
    pub kind: Kind,
    /// Its text.
    pub text: &'a str,
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("source", &self.source).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The credentials of one request.
pub type Credentials<'a> = smallvec::SmallVec<[Credential<'a>; 2]>;

/// More credentials than this in one request are no client that we know; the rest is not looked at.
const AT_MOST: usize = 8;

/// A credential longer than this is none.
pub const LONGEST: usize = 16 * 1024;

/// Where else, beyond the built-in places, a credential may be.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Header names, lower case.
    pub headers: Vec<String>,
    /// Argument names.
    pub arguments: Vec<String>,
    /// The name of the session's cookie; `None` without a login gate.
    pub session_cookie: Option<String>,
    /// The name of the cookie of opened links.
    pub links_cookie: String,
    /// The origin under which browsers know this server, where it is configured.
    pub origin: Option<String>,
}

impl Places {
    /// Whether a header, by its lower-case name, can carry a credential.
    #[must_use]
    pub fn is_credential_header(&self, name: &str) -> bool {
        matches!(name, "authorization" | "token" | "api-key" | "cookie") || self.headers.iter().any(|own| own == name)
    }

    /// Whether an argument can carry a credential.
    #[must_use]
    pub fn is_credential_argument(&self, name: &str) -> bool {
        name == "token" || self.arguments.iter().any(|own| own == name)
    }

    /// All credentials of a request, in the order of precedence; the same text is not listed twice.
    #[must_use]
    pub fn read<'a>(&self, request: &Request<'a>) -> Credentials<'a> {
        let mut found = Credentials::new();
        for (name, value) in &request.headers {
            let source = match *name {
                "authorization" => Source::Authorization,
                "token" => Source::TokenHeader,
                "api-key" => Source::KeyHeader,
                other if self.headers.iter().any(|header| header == other) => Source::KeyHeader,
                _ => continue,
            };
            add(&mut found, source, value);
        }
        for (name, value) in &request.arguments {
            if self.is_credential_argument(name) {
                add(&mut found, Source::Argument, value);
            }
        }
        found.sort_by_key(|credential| credential.source);
        if let Some(text) = self.session(request)
            && found.len() < AT_MOST
        {
            found.push(Credential { source: Source::Cookie, kind: Kind::Session, text });
        }
        for text in self.opened_links(request) {
            if found.len() < AT_MOST {
                found.push(Credential { source: Source::Cookie, kind: Kind::Opened, text });
            }
        }
        found
    }

    /// What a browser shows of the links that it opened, the newest last.
    pub fn opened_links<'a>(&self, request: &Request<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
        let name = &self.links_cookie;
        let cookie = if name.is_empty() { None } else { cookie(request, name) };
        cookie.unwrap_or_default().split('.').filter(|text| !text.is_empty())
    }

    /// What a browser shows of its session, whether or not it counts for this request.
    #[must_use]
    pub fn session<'a>(&self, request: &Request<'a>) -> Option<&'a str> {
        cookie(request, self.session_cookie.as_deref()?)
    }
}

/// The value of a cookie (RFC 6265, 5.4). One that comes twice, with different values, is none: the second may have
/// been set by another site below the same domain.
#[must_use]
pub fn cookie<'a>(request: &Request<'a>, name: &str) -> Option<&'a str> {
    let pairs = cookies(request.header("cookie")?);
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    let first = values.next()?;
    values.all(|other| other == first).then_some(first)
}

/// The names and values in a header `Cookie`. Only what parts them is taken off: to a browser every other blank is a letter
/// of a name, so that another site may set a cookie whose name is one with a prefix (`__Host-`) behind a blank of Unicode's.
pub(crate) fn cookies(header: &str) -> impl Iterator<Item = (&str, &str)> {
    header.split(';').filter_map(|pair| pair.trim_matches([' ', '\t']).split_once('='))
}

fn add<'a>(found: &mut Credentials<'a>, source: Source, value: &'a str) {
    let value = value.trim_start();
    let (kind, text) = match value.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => (Kind::Token, rest.trim()),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("basic") => (Kind::Basic, rest.trim()),
        _ => (Kind::Token, value.trim_end()),
    };
    // Basic belongs into its header: in a URL it would be a password in every log.
    if kind == Kind::Basic && source != Source::Authorization {
        return;
    }
    let known = found.iter().any(|other| other.kind == kind && other.text == text);
    if !text.is_empty() && !known && found.len() < AT_MOST {
        found.push(Credential { source, kind, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Method;

    fn read<'a>(headers: &[(&'a str, &'a str)], arguments: &[(&'a str, &'a str)]) -> Vec<(Source, Kind, &'a str)> {
        let request = Request {
            method: Method::Get,
            path: "/",
            remote: "127.0.0.1",
            headers: headers.to_vec(),
            arguments: arguments.to_vec(),
        };
        let places = Places {
            headers: vec!["x-key".to_owned()],
            arguments: vec!["auth".to_owned()],
            session_cookie: Some("our-session".to_owned()),
            links_cookie: "our-links".to_owned(),
            origin: None,
        };
        places.read(&request).into_iter().map(|c| (c.source, c.kind, c.text)).collect()
    }

    #[test]
    fn every_place_is_read_in_the_order_of_precedence() {
        let found = read(
            &[
                ("x-key", "five"),
                ("api-key", "three"),
                ("token", "two"),
                ("authorization", "Bearer one"),
                ("cookie", "no"),
            ],
            &[("auth", "six"), ("token", "four"), ("other", "no")],
        );
        let texts: Vec<&str> = found.iter().map(|(_, _, text)| *text).collect();
        assert_eq!(texts, ["one", "two", "five", "three", "six", "four"]);
    }

    #[test]
    fn a_session_is_read_from_its_cookie_only_and_once() {
        let cookie = |text| read(&[("cookie", text)], &[]);
        let found = [(Source::Cookie, Kind::Session, "abc")];
        assert_eq!(cookie("our-session=abc"), found);
        assert_eq!(cookie("a=b; our-session=abc; c"), found);
        assert_eq!(cookie("our-session=abc; our-session=abc"), found);
        assert_eq!(cookie("our-session=abc; our-session=def"), []);
        assert_eq!(cookie("Our-Session=abc; x-our-session=abc; token=abc"), []);
        // Browsers let a neighbouring site set these, whatever prefix the name has behind the blank.
        for blank in ['\u{3000}', '\u{a0}', '\u{85}', '\u{2003}', '\u{feff}', '\u{b}'] {
            let (alone, beside) =
                (format!("{blank}our-session=abc"), format!("our-session=abc; {blank}our-session=def"));
            assert_eq!(read(&[("cookie", &alone)], &[]), [], "{blank:?}");
            assert_eq!(read(&[("cookie", &beside)], &[]), found, "{blank:?}");
        }
    }

    #[test]
    fn schemes_are_taken_off_in_any_case() {
        assert_eq!(read(&[("authorization", "bEARER  abc ")], &[]), [(Source::Authorization, Kind::Token, "abc")]);
        assert_eq!(read(&[("authorization", "BASIC dTpw")], &[]), [(Source::Authorization, Kind::Basic, "dTpw")]);
        assert_eq!(read(&[("token", "Bearer abc")], &[]), [(Source::TokenHeader, Kind::Token, "abc")]);
        assert_eq!(read(&[], &[("token", "Bearer abc")]), [(Source::Argument, Kind::Token, "abc")]);
    }

    #[test]
    fn a_password_outside_its_header_is_not_read() {
        assert_eq!(read(&[("token", "Basic dTpw")], &[("token", "Basic dTpw")]), []);
    }

    #[test]
    fn empty_and_repeated_ones_are_left_out_and_their_number_is_bounded() {
        assert_eq!(read(&[("token", ""), ("authorization", "Bearer ")], &[("token", " ")]), []);
        assert_eq!(read(&[("token", "a"), ("authorization", "Bearer a")], &[("token", "a")]).len(), 1);
        let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let arguments: Vec<(&str, &str)> = many.iter().map(|text| ("token", text.as_str())).collect();
        assert_eq!(read(&[], &arguments).len(), AT_MOST);
    }
}
