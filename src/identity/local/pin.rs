//! The PIN or password of a link: as passwords of accounts, with the same places and the same patience, and counters of
//! its own. Knows nothing of links but a name to count by.

use argon2::{Argon2, PasswordHash, PasswordVerifier};

use super::attempts::Attempts;
use super::slots::Slots;
use super::{LocalError, MAX_PASSWORD};
use crate::clock::UnixTime;

/// Checks PINs.
pub struct Pins {
    attempts: Attempts,
    slots: Slots,
}

impl Default for Pins {
    fn default() -> Self {
        Self { attempts: Attempts::of_pins(), slots: Slots::new() }
    }
}

impl Pins {
    /// Checks what somebody typed against a hash that was made by [`super::hash_password`].
    ///
    /// # Errors
    /// Why it is not accepted, as for a password.
    pub fn check(&self, link: &str, typed: &str, hash: &str, peer: &str, now: UnixTime) -> Result<(), LocalError> {
        let attempt = self.attempts.of(link, peer);
        self.attempts.allowed(attempt, now)?;
        let _slot = self.slots.take().ok_or(LocalError::Busy)?;
        self.attempts.allowed(attempt, now)?;
        let fits = typed.len() <= MAX_PASSWORD
            && PasswordHash::new(hash)
                .is_ok_and(|hash| Argon2::default().verify_password(typed.as_bytes(), &hash).is_ok());
        if fits {
            self.attempts.succeeded(attempt, now);
            Ok(())
        } else {
            self.attempts.failed(attempt, now);
            Err(LocalError::WrongPassword)
        }
    }
}
