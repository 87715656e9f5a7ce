//! The text of our API keys: made, recognized and hashed. Knows nothing of what a key may do or of where it is kept.
//!
//! A key is `gatehouse_`, 192 random bits as 48 hexadecimal digits, and 8 digits of checksum (the first four bytes of
//! the SHA-256 of all before). The prefix lets secret scanners find leaked keys (`gatehouse_[0-9a-f]{56}`); the
//! checksum lets us drop a mistyped or invented one without asking the state.

use aws_lc_rs::hmac;

use crate::bytes::sha256;
use crate::bytes::{NoRandom, hex, random};
use crate::secret::Secret;

/// What every key begins with.
pub const PREFIX: &str = "gatehouse_";

const RANDOM_BYTES: usize = 24;
const CHECKSUM_DIGITS: usize = 8;
const LENGTH: usize = PREFIX.len() + 2 * RANDOM_BYTES + CHECKSUM_DIGITS;

/// A new key.
pub fn generate() -> Result<Secret, NoRandom> {
    let mut key = format!("{PREFIX}{}", hex(&random::<RANDOM_BYTES>()?));
    let sum = checksum(&key);
    key.push_str(&sum);
    Ok(Secret::new(key))
}

/// Whether a text has the form of a key, its checksum included.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    let Some((body, sum)) = text.split_at_checked(LENGTH - CHECKSUM_DIGITS) else { return false };
    text.len() == LENGTH
        && body
            .strip_prefix(PREFIX)
            .is_some_and(|digits| digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
        && checksum(body) == sum
}

fn checksum(body: &str) -> String {
    hex(&sha256(body)).chars().take(CHECKSUM_DIGITS).collect()
}

/// Hashes keys for the state: without the pepper, which lies in the state too but is no part of a backup of keys alone,
/// a hash cannot even be compared with a guess.
pub struct Hasher(hmac::Key);

impl Hasher {
    /// `pepper` is 32 random bytes that never change.
    #[must_use]
    pub fn new(pepper: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, pepper))
    }

    /// HMAC-SHA-256 of a key.
    #[must_use]
    pub fn hash(&self, key: &str) -> [u8; 32] {
        let tag = hmac::sign(&self.0, key.as_bytes());
        let mut hash = [0; 32];
        hash.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_well_formed_and_any_change_is_not() {
        let key = generate().unwrap();
        let key = key.expose();
        assert!(is_well_formed(key));
        assert_ne!(key, generate().unwrap().expose());
        for at in 0..key.len() {
            let mut changed = key.as_bytes().to_vec();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert!(!is_well_formed(std::str::from_utf8(&changed).unwrap()), "digit {at}");
        }
        assert!(!is_well_formed(&key[1..]));
        assert!(!is_well_formed(&format!("{key}0")));
        assert!(!is_well_formed(""));
        assert!(!is_well_formed(&"é".repeat(40)));
    }

    #[test]
    fn a_hash_depends_on_key_and_pepper() {
        let one = Hasher::new(&[1; 32]);
        assert_eq!(one.hash("a"), one.hash("a"));
        assert_ne!(one.hash("a"), one.hash("b"));
        assert_ne!(one.hash("a"), Hasher::new(&[2; 32]).hash("a"));
    }
}
