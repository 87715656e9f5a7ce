//! Local accounts: a user name and a password against argon2id hashes, for sites without an identity provider.
//!
//! Guessing is limited by refusing early (`attempts`), hashing by a small number of slots (`slots`), for which a few wait,
//! half a second at most.
//! Knows nothing of HTTP, of what roles may do, or of the cache that spares a client that comes again the hash.

mod attempts;
mod checks;
pub mod pin;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use argon2::password_hash::phc::{Output, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use attempts::Attempts;
use checks::Checks;
use pin::Pins;
use slots::Slots;

use crate::bytes::{hex, random, sha256};
use crate::clock::UnixTime;
use crate::config::LocalUser;

/// Parameters of the hashes that we make: 19 MiB, two passes, one lane (OWASP Password Storage Cheat Sheet).
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes of the configuration may cost at most this, or one login would take the server's memory.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// Longer passwords are wrong without being looked at, in bytes.
const MAX_PASSWORD: usize = 1024;

/// Why local accounts cannot be set up, or a hash not be made.
#[derive(Debug, thiserror::Error)]
pub enum LocalUsersError {
    /// The hash in the configuration is no argon2id hash that can be verified.
    #[error("Authorization.Users.{user}.PasswordHash: {cause}")]
    Hash {
        /// The user.
        user: String,
        /// What is wrong.
        cause: String,
    },
    /// No random bytes, or no memory.
    #[error("cannot hash the password: {0}")]
    Hashing(String),
    /// Too many checks at the same time.
    #[error("too many password checks at once")]
    Busy,
}

/// Why a password was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocalError {
    /// There is such a user, with another password.
    #[error("unknown user or wrong password")]
    WrongPassword,
    /// There is no such user. Reads and takes the same as [`LocalError::WrongPassword`]; only `Debug` tells them apart.
    #[error("unknown user or wrong password")]
    UnknownUser,
    /// Too many failures before this; the password was not looked at.
    #[error("too many failed attempts: next one in {retry_after} s")]
    TooManyAttempts {
        /// Seconds until the next attempt is looked at, at least 1.
        retry_after: u32,
    },
    /// Too many checks at the same time; the password was not looked at.
    #[error("too many password checks at once")]
    Busy,
}

/// The local accounts of the configuration.
pub struct LocalUsers {
    users: BTreeMap<String, Account>,
    /// Verified for user names that do not exist, so that these take as long.
    decoy: Option<PasswordHash>,
    checks: Checks,
}

struct Account {
    hash: PasswordHash,
    roles: Vec<String>,
}

impl LocalUsers {
    /// Takes the accounts of the configuration over.
    ///
    /// # Errors
    /// A hash that is no argon2id hash in PHC string format, or that costs more than 1 GiB; no random bytes.
    pub fn new(users: BTreeMap<String, LocalUser>) -> Result<Self, LocalUsersError> {
        let mut accounts = BTreeMap::new();
        for (user, LocalUser { password_hash, roles }) in users {
            let hash = parse(&password_hash).map_err(|cause| LocalUsersError::Hash { user: user.clone(), cause })?;
            accounts.insert(user, Account { hash, roles });
        }
        let cost = |hash: &PasswordHash| {
            Params::try_from(hash).map_or(0, |params| u64::from(params.m_cost()) * u64::from(params.t_cost()))
        };
        let costliest = accounts.values().map(|account| &account.hash).max_by_key(|hash| cost(hash));
        let decoy = costliest.map(decoy_like).transpose()?;
        let checks = Checks { attempts: Attempts::new(), slots: Arc::new(Slots::new()) };
        Ok(Self { users: accounts, decoy, checks })
    }

    /// Checks PINs of links in the same slots as these passwords, and counts their failures apart.
    #[must_use]
    pub fn pins(&self) -> Pins {
        Pins { checks: Checks { attempts: Attempts::of_pins(), slots: Arc::clone(&self.checks.slots) } }
    }

    /// Whether there are no accounts at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The roles of an account, as configured; `None`: there is no such user.
    #[must_use]
    pub fn roles(&self, user: &str) -> Option<&[String]> {
        self.users.get(user).map(|account| account.roles.as_slice())
    }

    /// What a password is told by from the one that comes after it, without telling anything of either: not even the
    /// salt is known to whoever reads it. `None`: there is no such user.
    #[must_use]
    pub fn password_mark(&self, user: &str) -> Option<String> {
        self.users.get(user).map(|account| hex(&sha256(&account.hash.to_string())))
    }

    /// Checks a password. Takes tens of milliseconds and up to half a second of waiting for other checks, so the caller
    /// keeps the outcome of a good one. `peer` is the client's IP address as text.
    ///
    /// # Errors
    /// Why it is not accepted; the last two did not look at the password.
    pub fn check(&self, user: &str, password: &[u8], peer: &str, now: UnixTime) -> Result<(), LocalError> {
        let Some(decoy) = &self.decoy else { return Err(LocalError::UnknownUser) };
        let account = self.users.get(user);
        let hash = account.map_or(decoy, |account| &account.hash);
        let fits = self.checks.check(user, peer, now, || {
            let fits = password.len() <= MAX_PASSWORD && Argon2::default().verify_password(password, hash).is_ok();
            fits && account.is_some()
        })?;
        match account {
            Some(_) if fits => Ok(()),
            Some(_) => Err(LocalError::WrongPassword),
            None => Err(LocalError::UnknownUser),
        }
    }
}

/// Hashes a password with a fresh salt: the PHC string for `PasswordHash` in the configuration. Takes as much memory as a
/// check of it: whoever does so for a request takes a slot first.
///
/// # Errors
/// No random bytes, or no memory.
pub(in crate::identity) fn hash_password(password: &[u8]) -> Result<String, LocalUsersError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(hashing)?;
    Ok(hash_with(params, password)?.to_string())
}

fn parse(text: &str) -> Result<PasswordHash, String> {
    let hash = PasswordHash::new(text).map_err(|error| format!("no hash in PHC string format: {error}"))?;
    if hash.algorithm != ARGON2ID_IDENT {
        return Err("not an argon2id hash".to_owned());
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err("salt or hash is missing".to_owned());
    }
    if hash.version.is_some_and(|version| Version::try_from(version).is_err()) {
        return Err("unknown version of argon2".to_owned());
    }
    let params = Params::try_from(&hash).map_err(|error| format!("unusable parameters: {error}"))?;
    if params.m_cost() > MAX_MEMORY_KIB {
        return Err("more than 1 GiB of memory for one check".to_owned());
    }
    Ok(hash)
}

fn hash_with(params: Params, password: &[u8]) -> Result<PasswordHash, LocalUsersError> {
    let salt = random::<16>().map_err(hashing)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_with_salt(password, &salt).map_err(hashing)
}

/// A hash of no password, at the same cost. It is made up, not computed: the start should not take memory for it.
fn decoy_like(hash: &PasswordHash) -> Result<PasswordHash, LocalUsersError> {
    let mut decoy = hash.clone();
    decoy.salt = Some(Salt::new(&random::<16>().map_err(hashing)?).map_err(hashing)?);
    decoy.hash = Some(Output::new(&random::<32>().map_err(hashing)?).map_err(hashing)?);
    Ok(decoy)
}

fn hashing(error: impl std::fmt::Display) -> LocalUsersError {
    LocalUsersError::Hashing(error.to_string())
}
