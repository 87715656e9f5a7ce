//! The PIN or password of a link: as passwords of accounts, with the same slots and the same patience, and counters of
//! its own; hashed in these slots, too. Knows nothing of links but a name to count by.

use argon2::{Argon2, PasswordHash, PasswordVerifier};

use super::checks::Checks;
use super::{LocalError, LocalUsersError, MAX_PASSWORD, hash_password};
use crate::clock::UnixTime;

/// Hashes and checks PINs; made by [`super::LocalUsers::pins`].
pub struct Pins {
    pub(super) checks: Checks,
}

impl Pins {
    /// Hashes a new PIN, when a slot comes free within half a second.
    ///
    /// # Errors
    /// `Busy`, and as of `hash_password`.
    pub fn hash(&self, pin: &str) -> Result<String, LocalUsersError> {
        let _slot = self.checks.slots.take().ok_or(LocalUsersError::Busy)?;
        hash_password(pin.as_bytes())
    }

    /// Takes all slots.
    #[cfg(test)]
    pub(crate) fn occupy(&self) -> Vec<impl Drop + '_> {
        std::iter::from_fn(|| self.checks.slots.take()).collect()
    }

    /// Checks what somebody typed against a hash that was made by [`Self::hash`].
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
