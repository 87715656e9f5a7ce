//! The text that a browser holds for its session, and the box for the provider's tokens that only this text opens: the
//! state alone, or a backup of it, gives neither a session nor a refresh token. Knows nothing of where they are kept.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::bytes::{self, NoRandom};
use crate::seal::{SealKey, Unsealable};
use crate::secret::Secret;

/// 256 random bits as hexadecimal digits.
const RANDOM_BYTES: usize = 32;

/// The provider's tokens that a session needs.
#[derive(Debug, Default)]
pub struct Tokens {
    /// For new ones.
    pub refresh: Option<Secret>,
    /// For the provider's logout.
    pub id: Option<Secret>,
}

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    refresh: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    id: Option<std::borrow::Cow<'a, str>>,
}

/// A new text for a browser.
///
/// # Errors
/// No random numbers.
pub fn generate() -> Result<Secret, NoRandom> {
    Ok(Secret::new(bytes::hex(&bytes::random::<RANDOM_BYTES>()?)))
}

/// Whether a text has the form of a session's.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    text.len() == 2 * RANDOM_BYTES && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What the state knows a browser's text by.
#[must_use]
pub fn hash(text: &str) -> [u8; 32] {
    bytes::sha256(text)
}

/// The key that a browser's text gives to its session's box.
///
/// # Errors
/// As [`SealKey::derive`].
pub fn key(text: &str) -> Result<SealKey, Unsealable> {
    SealKey::derive(text.as_bytes(), "gatehouse session tokens")
}

/// Seals tokens for the session with this identifier.
///
/// # Errors
/// No random numbers.
pub fn seal(key: &SealKey, session: &str, tokens: &Tokens) -> Result<Vec<u8>, Unsealable> {
    let text = |secret: &'_ Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned().into());
    let written = Written { refresh: text(&tokens.refresh), id: text(&tokens.id) };
    let written = Zeroizing::new(serde_json::to_vec(&written).map_err(|_| Unsealable)?);
    key.seal(session, &written)
}

/// Opens what was sealed for the session with this identifier.
///
/// # Errors
/// It is not that.
pub fn open(key: &SealKey, session: &str, sealed: &[u8]) -> Result<Tokens, Unsealable> {
    let opened = key.open(session, sealed)?;
    let written: Written<'_> = serde_json::from_slice(&opened).map_err(|_| Unsealable)?;
    let secret = |text: Option<std::borrow::Cow<'_, str>>| text.map(|text| Secret::new(text.into_owned()));
    Ok(Tokens { refresh: secret(written.refresh), id: secret(written.id) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_opened_by_the_same_text_for_the_same_session_only() {
        let text = generate().unwrap();
        let tokens = Tokens { refresh: Some(Secret::new("refresh".to_owned())), id: None };
        let sealed = seal(&key(text.expose()).unwrap(), "one", &tokens).unwrap();
        let opened = open(&key(text.expose()).unwrap(), "one", &sealed).unwrap();
        assert_eq!(opened.refresh.unwrap().expose(), "refresh");
        assert!(opened.id.is_none());
        assert!(open(&key(text.expose()).unwrap(), "two", &sealed).is_err());
        assert!(open(&key(generate().unwrap().expose()).unwrap(), "one", &sealed).is_err());
    }

    #[test]
    fn a_text_has_its_form() {
        let text = generate().unwrap();
        assert!(is_well_formed(text.expose()));
        assert!(!is_well_formed(&text.expose()[1..]));
        assert!(!is_well_formed(&"A".repeat(64)));
        assert_ne!(hash(text.expose()), hash(generate().unwrap().expose()));
    }
}
