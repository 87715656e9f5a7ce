//! The launch of a viewer on another origin by authorization code: what a client asks for, and how it is answered
//! (RFC 6749, RFC 7636, RFC 9207, OpenID Connect Core 1.0 and Discovery 1.0).
//!
//! Reads and writes texts, and signs ID tokens. Knows nothing of links, of the state, or of who may see what.
#![forbid(unsafe_code)]

mod authorize;
mod id_token;
mod token;

pub use authorize::{Authorization, AuthorizeFault, Hint, ReturnAddress};
pub use id_token::{IdTokenError, IdTokenKey, IdTokenSubject, access_token_hash};
pub use token::{LONGEST_FORM, TokenFault, TokenRequest, is_verified};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::bytes::{NoRandom, random, sha256};
use crate::config::Viewers;
use crate::secret::Secret;

/// How long a code counts, in seconds (RFC 6749, 4.1.2: ten minutes at most).
pub const CODE_LIFE: i64 = 60;

/// Where the provider is, below the server's public root. Its issuer is the same without a slash at the end.
pub const PATH: &str = "auth/oidc";

/// What the provider works with.
pub struct Provider {
    /// Signs ID tokens.
    pub id_tokens: IdTokenKey,
    /// Gives each link another subject at each client.
    pub subjects: IdTokenSubject,
}

/// Whether codes of this client may be sent there. A client's identifier is its origin, so that a code never goes from
/// one viewer to another; the address is compared letter by letter (RFC 9700, 2.1).
#[must_use]
pub fn is_registered(viewers: &Viewers, client: &str, redirect_uri: &str) -> bool {
    let on_its_origin = redirect_uri.strip_prefix(client).is_some_and(|path| path.starts_with('/'));
    is_client(viewers, client) && on_its_origin && viewers.redirect_uris.iter().any(|known| known == redirect_uri)
}

/// Whether this is a client.
#[must_use]
pub fn is_client(viewers: &Viewers, client: &str) -> bool {
    viewers.origins.iter().any(|origin| origin == client)
}

/// A new code, or the secret of a new refresh token: 256 random bits.
///
/// # Errors
/// No random numbers.
pub fn new_secret() -> Result<Secret, NoRandom> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(random::<32>()?)))
}

/// What the state finds or compares a code or a refresh token by.
#[must_use]
pub fn hash(secret: &str) -> [u8; 32] {
    sha256(secret)
}

/// The discovery document (OpenID Connect Discovery 1.0, 3).
#[must_use]
pub fn discovery(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "at_hash"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_goes_to_registered_addresses_letter_by_letter() {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let viewers = Viewers {
            origins: texts(&["https://a.example", "https://b.example:8443"]),
            redirect_uris: texts(&["https://a.example/callback", "https://b.example:8443/x/callback"]),
            ..Viewers::default()
        };
        assert!(is_registered(&viewers, "https://a.example", "https://a.example/callback"));
        assert!(is_registered(&viewers, "https://b.example:8443", "https://b.example:8443/x/callback"));
        for (client, uri) in [
            ("https://a.example", "https://b.example:8443/x/callback"),
            ("https://b.example", "https://b.example:8443/x/callback"),
            ("https://c.example", "https://c.example/callback"),
            ("", "https://a.example/callback"),
            ("https://a.example/", "https://a.example/callback"),
            ("https://a.example", "https://a.example/callback/"),
            ("https://a.example", "https://a.example/callback/../evil"),
            ("https://a.example", "https://a.example/Callback"),
            ("https://a.example", "https://A.example/callback"),
            ("https://a.example", "https://a.example:443/callback"),
            ("https://a.example", "https://a.example/callback?x"),
            ("https://a.example", "https://a.example/callback#x"),
            ("https://a.example", "https://user@a.example/callback"),
            ("https://a.example", "https://a.example@evil.example/callback"),
            ("https://a.example", "https://a.example.evil.example/callback"),
            ("https://a.example", "http://a.example/callback"),
            ("https://a.example", "//a.example/callback"),
            ("https://a.example", "/callback"),
            ("https://a.example", ""),
        ] {
            assert!(!is_registered(&viewers, client, uri), "{client} {uri}");
        }
        assert!(!is_registered(&Viewers::default(), "", ""));
    }
}
