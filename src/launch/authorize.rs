//! The authorization request and its answers (RFC 6749, 4.1.1 and 4.1.2; OpenID Connect Core 1.0, 3.1.2).

use super::is_registered;
use crate::config::Viewers;
use crate::route::is_uid;
use crate::share::viewer::encoded;

/// `state` and `nonce` longer than this are no client's that we know, in bytes.
const LONGEST: usize = 512;
/// A SHA-256 in base64url.
const CHALLENGE: usize = 43;
/// More studies than this are not asked for at once.
const MOST_STUDIES: usize = 20;

/// What a client asks for; its address is one that is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// `client_id`.
    pub client: String,
    /// Where the answer goes.
    pub back: ReturnAddress,
    /// `code_challenge`, of the method S256.
    pub challenge: String,
    /// `nonce`.
    pub nonce: Option<String>,
    /// `login_hint`: what is to be opened.
    pub hint: Hint,
    /// Nothing may be asked (`prompt=none`).
    pub silent: bool,
}

/// What a client says of what is to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Nothing.
    None,
    /// A link, by its identifier.
    Link(String),
    /// Studies, by their UIDs.
    Studies(Vec<String>),
}

/// Where the browser is sent back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnAddress {
    /// `redirect_uri`.
    pub redirect_uri: String,
    state: Option<String>,
}

/// Why there is no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizeFault {
    /// The client or its address is not registered: the browser stays here (RFC 6749, 3.1.2.4).
    #[error("the client or its address is not registered")]
    Stranger,
    /// The client is told.
    #[error("{code}: {description}")]
    Told {
        /// Where.
        back: ReturnAddress,
        /// One of RFC 6749, 4.1.2.1, or of OpenID Connect Core 1.0, 3.1.2.6.
        code: &'static str,
        /// For whoever looks for the fault.
        description: &'static str,
    },
}

impl ReturnAddress {
    /// The redirect with a code. `issuer` keeps a client of several providers from mixing them up (RFC 9207).
    #[must_use]
    pub fn with_code(&self, code: &str, issuer: &str) -> String {
        self.url(&[("code", code)], issuer)
    }

    /// The redirect with an error.
    #[must_use]
    pub fn with_error(&self, code: &str, description: &str, issuer: &str) -> String {
        self.url(&[("error", code), ("error_description", description)], issuer)
    }

    fn url(&self, members: &[(&str, &str)], issuer: &str) -> String {
        // Registered addresses have no query.
        let mut url = self.redirect_uri.clone();
        let state = self.state.as_deref().map(|state| ("state", state));
        let mut joint = '?';
        for (name, value) in members.iter().copied().chain(state).chain([("iss", issuer)]) {
            url.push(joint);
            url.push_str(name);
            url.push('=');
            url.push_str(&encoded(value));
            joint = '&';
        }
        url
    }
}

impl Authorization {
    /// Reads the arguments, which are decoded.
    ///
    /// # Errors
    /// What is wrong, and whether the client may be told.
    pub fn parse(arguments: &[(&str, String)], viewers: &Viewers) -> Result<Self, AuthorizeFault> {
        let first = |name: &str| {
            let (_, value) = arguments.iter().find(|(key, _)| *key == name)?;
            Some(value.as_str()).filter(|value| !value.is_empty())
        };
        let is_repeated = |name: &str| arguments.iter().filter(|(key, _)| *key == name).nth(1).is_some();
        let (client, redirect_uri) =
            (first("client_id").unwrap_or_default(), first("redirect_uri").unwrap_or_default());
        // Nothing of it is sent anywhere before this.
        if is_repeated("client_id") || is_repeated("redirect_uri") || !is_registered(viewers, client, redirect_uri) {
            return Err(AuthorizeFault::Stranger);
        }
        let state = first("state").filter(|state| state.len() <= LONGEST && !is_repeated("state"));
        let back = ReturnAddress { redirect_uri: redirect_uri.to_owned(), state: state.map(str::to_owned) };
        let told = |code, description| Err(AuthorizeFault::Told { back: back.clone(), code, description });
        const ONCE: [&str; 9] = [
            "response_type",
            "scope",
            "state",
            "nonce",
            "code_challenge",
            "code_challenge_method",
            "login_hint",
            "prompt",
            "response_mode",
        ];
        if ONCE.into_iter().any(is_repeated) {
            return told("invalid_request", "a parameter comes twice");
        }
        if first("state").is_some() != state.is_some() {
            return told("invalid_request", "state is too long");
        }
        if first("request").is_some() {
            return told("request_not_supported", "request objects are not supported");
        }
        if first("request_uri").is_some() {
            return told("request_uri_not_supported", "request objects are not supported");
        }
        if first("response_type") != Some("code") {
            return told("unsupported_response_type", "response_type must be code");
        }
        if first("response_mode").is_some_and(|mode| mode != "query") {
            return told("invalid_request", "response_mode must be query");
        }
        // A plus that nobody decoded is a space.
        if !first("scope").unwrap_or_default().split([' ', '+']).any(|scope| scope == "openid") {
            return told("invalid_scope", "scope must hold openid");
        }
        // Without a method it is plain (RFC 7636, 4.3), which shows the verifier to whoever sees the request.
        if first("code_challenge_method") != Some("S256") {
            return told("invalid_request", "code_challenge_method must be S256");
        }
        let challenge = first("code_challenge").filter(|challenge| is_challenge(challenge));
        let Some(challenge) = challenge else {
            return told("invalid_request", "code_challenge must be a SHA-256 in base64url");
        };
        let nonce = first("nonce");
        if nonce.is_some_and(|nonce| nonce.len() > LONGEST) {
            return told("invalid_request", "nonce is too long");
        }
        let Some(hint) = Hint::parse(first("login_hint")) else {
            return told("invalid_request", "login_hint must be a link's identifier, or StudyInstanceUIDs with commas");
        };
        Ok(Self {
            client: client.to_owned(),
            challenge: challenge.to_owned(),
            nonce: nonce.map(str::to_owned),
            hint,
            silent: first("prompt").is_some_and(|prompt| prompt.split([' ', '+']).any(|word| word == "none")),
            back,
        })
    }
}

impl Hint {
    fn parse(text: Option<&str>) -> Option<Self> {
        let Some(text) = text else { return Some(Self::None) };
        if text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Some(Self::Link(text.to_owned()));
        }
        let studies: Vec<String> = text.split(',').map(str::to_owned).collect();
        (studies.len() <= MOST_STUDIES && studies.iter().all(|uid| is_uid(uid))).then_some(Self::Studies(studies))
    }
}

fn is_challenge(text: &str) -> bool {
    text.len() == CHALLENGE && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLBACK: &str = "https://viewer.example/callback";
    const ISSUER: &str = "https://pacs.example/auth/oidc";

    fn viewers() -> Viewers {
        Viewers {
            origins: vec!["https://viewer.example".to_owned()],
            redirect_uris: vec![CALLBACK.to_owned()],
            ..Viewers::default()
        }
    }

    fn good() -> Vec<(&'static str, String)> {
        [
            ("client_id", "https://viewer.example"),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "profile+openid"),
            ("state", "a&b=c"),
            ("nonce", "n"),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec()
    }

    fn with(name: &'static str, value: Option<&str>) -> Result<Authorization, AuthorizeFault> {
        let mut arguments = good();
        arguments.retain(|(key, _)| *key != name);
        arguments.extend(value.map(|value| (name, value.to_owned())));
        Authorization::parse(&arguments, &viewers())
    }

    fn error(outcome: Result<Authorization, AuthorizeFault>) -> String {
        match outcome {
            Err(AuthorizeFault::Stranger) => "stranger".to_owned(),
            Err(AuthorizeFault::Told { back, code, description }) => {
                let url = back.with_error(code, description, ISSUER);
                assert!(url.starts_with(&format!("{CALLBACK}?error={code}&error_description=")), "{url}");
                code.to_owned()
            }
            Ok(read) => panic!("{read:?}"),
        }
    }

    #[test]
    fn what_is_asked_for_is_read_and_answered_there() {
        let read = Authorization::parse(&good(), &viewers()).unwrap();
        assert_eq!((read.client.as_str(), read.nonce.as_deref()), ("https://viewer.example", Some("n")));
        assert_eq!((&read.hint, read.silent), (&Hint::None, false));
        assert_eq!(
            read.back.with_code("x", ISSUER),
            format!("{CALLBACK}?code=x&state=a%26b%3Dc&iss=https%3A%2F%2Fpacs.example%2Fauth%2Foidc")
        );
        assert!(with("prompt", Some("none")).unwrap().silent);
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(with("login_hint", Some(id)).unwrap().hint, Hint::Link(id.to_owned()));
        let studies = Hint::Studies(vec!["1.2".to_owned(), "1.3".to_owned()]);
        assert_eq!(with("login_hint", Some("1.2,1.3")).unwrap().hint, studies);
    }

    #[test]
    fn nobody_is_sent_to_an_address_that_is_not_registered() {
        for (name, value) in [
            ("client_id", None),
            ("client_id", Some("https://evil.example")),
            ("redirect_uri", None),
            ("redirect_uri", Some("https://evil.example/callback")),
            ("redirect_uri", Some("https://viewer.example/callback/x")),
        ] {
            assert_eq!(error(with(name, value)), "stranger", "{name} {value:?}");
        }
        for name in ["client_id", "redirect_uri"] {
            let mut twice = good();
            let again = twice.iter().find(|(key, _)| *key == name).unwrap().clone();
            twice.push(again);
            assert_eq!(error(Authorization::parse(&twice, &viewers())), "stranger", "{name} twice");
        }
    }

    #[test]
    fn what_is_not_supported_is_told_to_the_client() {
        for (name, value, expected) in [
            ("response_type", Some("token"), "unsupported_response_type"),
            ("response_type", Some("code id_token"), "unsupported_response_type"),
            ("response_type", None, "unsupported_response_type"),
            ("response_mode", Some("fragment"), "invalid_request"),
            ("response_mode", Some("form_post"), "invalid_request"),
            ("scope", Some("profile"), "invalid_scope"),
            ("scope", None, "invalid_scope"),
            ("code_challenge_method", Some("plain"), "invalid_request"),
            ("code_challenge_method", None, "invalid_request"),
            ("code_challenge", None, "invalid_request"),
            ("code_challenge", Some("short"), "invalid_request"),
            ("code_challenge", Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"), "invalid_request"),
            ("login_hint", Some("somebody@example.org"), "invalid_request"),
            ("login_hint", Some("1.2,"), "invalid_request"),
            ("request", Some("x"), "request_not_supported"),
            ("request_uri", Some("https://x"), "request_uri_not_supported"),
        ] {
            assert_eq!(error(with(name, value)), expected, "{name} {value:?}");
        }
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(error(with("state", Some(&long))), "invalid_request");
        assert_eq!(error(with("nonce", Some(&long))), "invalid_request");
        let mut twice = good();
        twice.push(("scope", "openid".to_owned()));
        assert_eq!(error(Authorization::parse(&twice, &viewers())), "invalid_request");
    }
}
