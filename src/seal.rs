//! Small secrets in places that others can read, and read again only with the key: AES-256-GCM with a key derived for
//! one purpose. Knows nothing of what is sealed.
#![forbid(unsafe_code)]

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

/// The length of a nonce, which stands before the encrypted text.
const NONCE_BYTES: usize = 12;

/// It cannot be sealed or opened: damaged, sealed with another key, or for another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was encrypted cannot be opened")]
pub struct Unsealable;

/// A key for one purpose.
pub struct SealKey(RandomizedNonceKey);

impl SealKey {
    /// The key that a secret of at least 32 random bytes gives for a purpose.
    ///
    /// # Errors
    /// Only if the library cannot derive a key of this length, which it can.
    pub fn derive(secret: &[u8], purpose: &'static str) -> Result<Self, Unsealable> {
        let mut key = Zeroizing::new([0; 32]);
        // The secret is random through and through: it needs no salt (RFC 5869, 3.1).
        let derived = Salt::new(HKDF_SHA256, &[]).extract(secret);
        let purpose = [purpose.as_bytes()];
        let output = derived.expand(&purpose, &AES_256_GCM).map_err(|_| Unsealable)?;
        output.fill(key.as_mut_slice()).map_err(|_| Unsealable)?;
        RandomizedNonceKey::new(&AES_256_GCM, &*key).map(Self).map_err(|_| Unsealable)
    }

    /// Seals a text for a place: it opens only with the name of the same place.
    ///
    /// # Errors
    /// No random numbers.
    pub fn seal(&self, place: &str, text: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let mut sealed = text.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(place), &mut sealed).map_err(|_| Unsealable)?;
        Ok([nonce.as_ref().as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for a place.
    ///
    /// # Errors
    /// It is not that.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or(Unsealable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unsealable)?;
        let mut opened = Zeroizing::new(sealed.to_vec());
        let length = self.0.open_in_place(nonce, Aad::from(place), &mut opened).map_err(|_| Unsealable)?.len();
        opened.truncate(length);
        Ok(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened_with_the_same_key_for_the_same_place_only() {
        let key = SealKey::derive(&[1; 32], "a").unwrap();
        let sealed = key.seal("one", b"secret").unwrap();
        assert_eq!(&**key.open("one", &sealed).unwrap(), b"secret");
        assert_eq!(&**SealKey::derive(&[1; 32], "a").unwrap().open("one", &sealed).unwrap(), b"secret");
        assert!(key.open("two", &sealed).is_err());
        assert!(SealKey::derive(&[2; 32], "a").unwrap().open("one", &sealed).is_err());
        assert!(SealKey::derive(&[1; 32], "b").unwrap().open("one", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(key.open("one", &damaged).is_err(), "byte {at}");
        }
        assert!(key.open("one", &[]).is_err());
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_ne!(key.seal("one", b"secret").unwrap(), sealed);
    }
}
