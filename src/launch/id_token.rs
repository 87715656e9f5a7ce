//! ID tokens (OpenID Connect Core 1.0, 2) and the key that signs them: ES256 (RFC 7518, 3.4). They say nothing of
//! anybody.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::bytes::{NoRandom, hex};

/// The length of one coordinate of a point on P-256.
const COORDINATE: usize = 32;

/// The key cannot be used, or nothing can be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// What the state keeps is no such key.
    #[error("the key of ID tokens in the state cannot be read")]
    Key,
    /// No random numbers.
    #[error("an ID token cannot be signed")]
    Sign,
}

/// The key of ID tokens.
pub struct IdTokenKey {
    pair: EcdsaKeyPair,
    identifier: String,
}

impl IdTokenKey {
    /// A new key, as the state keeps it (PKCS #8).
    ///
    /// # Errors
    /// No random numbers.
    pub fn generate() -> Result<Vec<u8>, NoRandom> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Ok(document.map_err(|_| NoRandom)?.as_ref().to_vec())
    }

    /// Reads a key.
    ///
    /// # Errors
    /// It is none.
    pub fn read(pkcs8: &[u8]) -> Result<Self, IdTokenError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(|_| IdTokenError::Key)?;
        let mut key = Self { pair, identifier: String::new() };
        let [x, y] = key.coordinates();
        // RFC 7638, 3: the members in this order, and nothing between them.
        let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        key.identifier = URL_SAFE_NO_PAD.encode(digest(&SHA256, thumbprint.as_bytes()));
        Ok(key)
    }

    fn coordinates(&self) -> [String; 2] {
        // An uncompressed point: 4, x, y (SEC 1, 2.3.3).
        let point = self.pair.public_key().as_ref();
        let coordinate = |at: usize| URL_SAFE_NO_PAD.encode(point.get(at..at + COORDINATE).unwrap_or_default());
        [coordinate(1), coordinate(1 + COORDINATE)]
    }

    /// The key set that clients check with (RFC 7517, 5).
    #[must_use]
    pub fn jwks(&self) -> Value {
        let [x, y] = self.coordinates();
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.identifier, "x": x, "y": y,
        }]})
    }

    /// Signs claims.
    ///
    /// # Errors
    /// No random numbers.
    pub fn sign(&self, claims: &Value) -> Result<String, IdTokenError> {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.identifier});
        let mut text =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).map_err(|_| IdTokenError::Sign)?;
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(signature.as_ref()));
        Ok(text)
    }
}

/// `at_hash`: binds an ID token to its access token (OpenID Connect Core 1.0, 3.1.3.6).
#[must_use]
pub fn access_token_hash(access_token: &str) -> String {
    let hash = digest(&SHA256, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.as_ref().get(..16).unwrap_or_default())
}

/// Makes subjects: the same for one link at one client, and nothing that another client could recognize.
pub struct IdTokenSubject(hmac::Key);

impl IdTokenSubject {
    /// `secret` is the state's own.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The subject of a link at a client.
    #[must_use]
    pub fn of(&self, link: &str, client: &str) -> String {
        hex(hmac::sign(&self.0, format!("{link} {client}").as_bytes()).as_ref().get(..16).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};

    use super::*;

    #[test]
    fn a_token_is_checked_with_the_published_key() {
        let key = IdTokenKey::read(&IdTokenKey::generate().unwrap()).unwrap();
        let token = key.sign(&json!({"iss": "i", "aud": "c", "sub": "s", "exp": 4_000_000_000_i64})).unwrap();
        let check = |key: &IdTokenKey| {
            let set: JwkSet = serde_json::from_value(key.jwks()).unwrap();
            let mut validation = Validation::new(Algorithm::ES256);
            validation.set_audience(&["c"]);
            decode::<Value>(&token, &DecodingKey::from_jwk(&set.keys[0]).unwrap(), &validation).map(|data| data.claims)
        };
        assert_eq!(check(&key).unwrap()["sub"], "s");
        assert!(check(&IdTokenKey::read(&IdTokenKey::generate().unwrap()).unwrap()).is_err());
        assert!(!key.jwks().to_string().contains("\"d\""), "the private part");
        assert_eq!(IdTokenKey::read(b"").err(), Some(IdTokenError::Key));
    }

    #[test]
    fn a_subject_is_that_of_one_link_at_one_client() {
        let subjects = IdTokenSubject::new(&[1; 32]);
        assert_eq!(subjects.of("link", "a"), subjects.of("link", "a"));
        assert_ne!(subjects.of("link", "a"), subjects.of("link", "b"));
        assert_ne!(subjects.of("link", "a"), subjects.of("other", "a"));
        assert_ne!(subjects.of("link", "a"), IdTokenSubject::new(&[2; 32]).of("link", "a"));
    }
}
