//! A check of a password or PIN: refused early after failures, and two at a time over all.

use std::sync::Arc;

use super::LocalError;
use super::attempts::Attempts;
use super::slots::Slots;
use crate::clock::UnixTime;

/// Counts the failures of one kind of secret; the slots are those of all kinds.
pub(super) struct Checks {
    pub(super) attempts: Attempts,
    pub(super) slots: Arc<Slots>,
}

impl Checks {
    /// Whether a secret fits, if it may be looked at now. `name` is whose secret it is, `peer` the client's IP address.
    ///
    /// # Errors
    /// Why it was not looked at.
    pub(super) fn check(
        &self,
        name: &str,
        peer: &str,
        now: UnixTime,
        fits: impl FnOnce() -> bool,
    ) -> Result<bool, LocalError> {
        let attempt = self.attempts.of(name, peer);
        // Asked before the wait, which must not cost a slot when there is nothing to hope for, and after it, since
        // those before us in the queue may have failed for the same name.
        self.attempts.allowed(attempt, now)?;
        let _slot = self.slots.take().ok_or(LocalError::Busy)?;
        self.attempts.allowed(attempt, now)?;
        let fits = fits();
        if fits {
            self.attempts.succeeded(attempt, now);
        } else {
            self.attempts.failed(attempt, now);
        }
        Ok(fits)
    }
}
