//! The PIN or password of a link: as passwords of accounts, with the same slots and the same patience, and counters of
//! its own. Knows nothing of links but a name to count by.

use argon2::{Argon2, PasswordHash, PasswordVerifier};

use super::checks::Checks;
use super::{LocalError, MAX_PASSWORD};
use crate::clock::UnixTime;

/// Checks PINs; made by [`super::LocalUsers::pins`].
pub struct Pins {
    pub(super) checks: Checks,
}

impl Pins {
    /// Checks what somebody typed against a hash that was made by [`super::hash_password`].
    ///
    /// # Errors
    /// Why it is not accepted, as for a password.
    pub fn check(&self, link: &str, typed: &str, hash: &str, peer: &str, now: UnixTime) -> Result<(), LocalError> {
        let fits = self.checks.check(link, peer, now, || {
            typed.len() <= MAX_PASSWORD
                && PasswordHash::new(hash)
                    .is_ok_and(|hash| Argon2::default().verify_password(typed.as_bytes(), &hash).is_ok())
        });
        if fits? { Ok(()) } else { Err(LocalError::WrongPassword) }
    }
}
