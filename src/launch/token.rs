//! The token request (RFC 6749, 4.1.3 and 6; RFC 7636, 4.5) and its errors (RFC 6749, 5.2).

use std::borrow::Cow;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::login::code_challenge;

/// Longer forms are not read, in bytes.
pub const LONGEST_FORM: usize = 8 * 1024;

/// What a client asks for.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenRequest {
    /// Tokens for a code.
    Code {
        /// `client_id`.
        client: String,
        /// `code`.
        code: String,
        /// `redirect_uri`, as in the authorization request.
        redirect_uri: String,
        /// `code_verifier`.
        verifier: String,
    },
    /// New tokens for a refresh token.
    Refresh {
        /// `client_id`.
        client: String,
        /// The launch that the refresh token names.
        launch: String,
        /// `refresh_token`.
        token: String,
    },
}

/// Why there are no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {description}")]
pub struct TokenFault {
    /// One of RFC 6749, 5.2.
    pub code: &'static str,
    /// For whoever looks for the fault.
    pub description: &'static str,
}

impl TokenFault {
    /// The code or the refresh token gives nothing. The same for every reason: the log tells them apart.
    pub const GRANT: Self = Self { code: "invalid_grant", description: "the code or refresh token is not valid" };
    /// There is no such client.
    pub const CLIENT: Self = Self { code: "invalid_client", description: "client_id must be the origin of a viewer" };

    const fn request(description: &'static str) -> Self {
        Self { code: "invalid_request", description }
    }

    /// The page that asks is not the client's.
    pub const ORIGIN: Self = Self::request("the request comes from another origin than the client's");
}

impl TokenRequest {
    /// Reads a form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(content_type: Option<&str>, body: &[u8]) -> Result<Self, TokenFault> {
        let content_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !content_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(TokenFault::request("the body must be a form (application/x-www-form-urlencoded)"));
        }
        if body.len() > LONGEST_FORM {
            return Err(TokenFault::request("the form is too long"));
        }
        let form: Vec<(Cow<'_, str>, Cow<'_, str>)> = form_urlencoded::parse(body).collect();
        let is_repeated =
            form.iter().enumerate().any(|(at, (name, _))| form.iter().skip(at + 1).any(|(other, _)| other == name));
        if is_repeated {
            return Err(TokenFault::request("a parameter comes twice"));
        }
        let field = |name: &str| {
            form.iter()
                .find(|(key, value)| key == name && !value.is_empty())
                .map(|(_, value)| value.clone().into_owned())
        };
        let need = |name: &str, fault| field(name).ok_or(TokenFault::request(fault));
        let grant_type = need("grant_type", "grant_type is missing")?;
        let client = field("client_id").ok_or(TokenFault::CLIENT)?;
        match grant_type.as_str() {
            "authorization_code" => Ok(Self::Code {
                client,
                code: need("code", "code is missing")?,
                redirect_uri: need("redirect_uri", "redirect_uri is missing")?,
                verifier: need("code_verifier", "code_verifier is missing")?,
            }),
            "refresh_token" => {
                let token = need("refresh_token", "refresh_token is missing")?;
                let launch = token.split_once('.').map(|(launch, _)| launch.to_owned()).ok_or(TokenFault::GRANT)?;
                Ok(Self::Refresh { client, launch, token })
            }
            _ => Err(TokenFault {
                code: "unsupported_grant_type",
                description: "grant_type must be authorization_code or refresh_token",
            }),
        }
    }

    /// `client_id`.
    #[must_use]
    pub fn client(&self) -> &str {
        match self {
            Self::Code { client, .. } | Self::Refresh { client, .. } => client,
        }
    }
}

/// Whether a verifier is the one of a challenge (RFC 7636, 4.6).
#[must_use]
pub fn is_verified(verifier: &str, challenge: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(allowed)
        && verify_slices_are_equal(code_challenge(verifier).as_bytes(), challenge.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded;charset=UTF-8");

    fn error(body: &str) -> &'static str {
        TokenRequest::parse(FORM, body.as_bytes()).err().unwrap().code
    }

    #[test]
    fn both_kinds_of_requests_are_read() {
        let code = TokenRequest::parse(
            FORM,
            b"grant_type=authorization_code&client_id=https%3A%2F%2Fv&code=c&redirect_uri=https%3A%2F%2Fv%2Fcb&code_verifier=w",
        );
        let Ok(TokenRequest::Code { client, code, redirect_uri, verifier }) = code else { panic!() };
        assert_eq!([client, code, redirect_uri, verifier], ["https://v", "c", "https://v/cb", "w"]);
        let refresh = TokenRequest::parse(FORM, b"grant_type=refresh_token&client_id=v&refresh_token=id.secret");
        let Ok(TokenRequest::Refresh { launch, token, .. }) = refresh else { panic!() };
        assert_eq!([launch, token], ["id", "id.secret"]);
    }

    #[test]
    fn everything_else_has_its_error() {
        assert_eq!(error(""), "invalid_request");
        assert_eq!(error("grant_type=refresh_token"), "invalid_client");
        assert_eq!(error("grant_type=password&client_id=v"), "unsupported_grant_type");
        assert_eq!(error("grant_type=client_credentials&client_id=v"), "unsupported_grant_type");
        assert_eq!(error("grant_type=authorization_code&client_id=v&code=c&redirect_uri=r"), "invalid_request");
        assert_eq!(error("grant_type=refresh_token&client_id=v&refresh_token=x"), "invalid_grant");
        assert_eq!(error("grant_type=refresh_token&client_id=v&client_id=v&refresh_token=x.y"), "invalid_request");
        let long = format!("grant_type=refresh_token&client_id=v&refresh_token={}", "x".repeat(LONGEST_FORM));
        assert_eq!(error(&long), "invalid_request");
        let json = TokenRequest::parse(Some("application/json"), b"{}");
        assert_eq!(json.err().unwrap().code, "invalid_request");
        assert_eq!(TokenRequest::parse(None, b"").err().unwrap().code, "invalid_request");
    }

    #[test]
    fn a_verifier_belongs_to_its_challenge() {
        // RFC 7636, appendix B.
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(is_verified(verifier, challenge));
        assert!(!is_verified(&verifier.replace('k', "l"), challenge));
        assert!(!is_verified(challenge, challenge), "plain");
        assert!(!is_verified("", &code_challenge("")), "too short");
        assert!(!is_verified("a", &code_challenge("a")), "too short");
        let long = "a".repeat(129);
        assert!(!is_verified(&long, &code_challenge(&long)), "too long");
    }
}
