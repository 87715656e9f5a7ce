//! The short form of a link: 128 bits that only this server can make from the link's identifier, so that it need not be
//! kept, and can be shown again. Pure.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::bytes::sha256;

const BYTES: usize = 16;
/// 128 bits in base64url.
const LENGTH: usize = 22;

/// Makes codes.
pub struct Codes(hmac::Key);

impl Codes {
    /// `secret` is the state's own.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The code of the link with this identifier.
    #[must_use]
    pub fn of(&self, link: &str) -> String {
        let tag = hmac::sign(&self.0, link.as_bytes());
        URL_SAFE_NO_PAD.encode(tag.as_ref().get(..BYTES).unwrap_or_default())
    }
}

/// Whether a text has the form of a code.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// What the state finds a code by.
#[must_use]
pub fn hash(code: &str) -> [u8; 32] {
    sha256(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_belongs_to_a_link_and_a_secret() {
        let codes = Codes::new(&[1; 32]);
        assert_eq!(codes.of("a"), codes.of("a"));
        assert_ne!(codes.of("a"), codes.of("b"));
        assert_ne!(codes.of("a"), Codes::new(&[2; 32]).of("a"));
        assert!(is_well_formed(&codes.of("a")));
        for odd in ["", "a", "aaaaaaaaaaaaaaaaaaaaa!", &"a".repeat(23)] {
            assert!(!is_well_formed(odd), "{odd}");
        }
    }
}
