//! Sessions of browsers: opened by a login, kept alive with the provider's refresh token, ended by a logout.
//!
//! A session counts as long as the provider's last word does, and a thread asks for the next one before that. The key
//! to the tokens is in memory for as long as this process has seen the session; after a restart its next request brings
//! it. Knows nothing of cookies, pages and routes.

mod keeper;
mod sealed;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use super::oidc::Oidc;
use super::oidc::client::Granted;
use super::{Epoch, Rejection};
use crate::bytes;
use crate::clock::UnixTime;
use crate::person::Person;
use crate::seal::Unsealable;
use crate::secret::Secret;
use crate::store::{SessionRecord, Store, StoreError, WhichSessions};
use keeper::Keeper;
pub use sealed::Tokens;
use sealed::hash;

/// How long a request waits for the provider when its session's last word is over.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why no session was opened.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The state cannot be written.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// No random numbers.
    #[error("{0}")]
    Random(#[from] bytes::NoRandom),
    /// The tokens cannot be encrypted.
    #[error("{0}")]
    Sealed(#[from] Unsealable),
}

/// Whose session is opened.
#[derive(Debug)]
pub struct Login {
    /// Who.
    pub person: Person,
    /// How they are shown.
    pub name: String,
    /// Their roles, as the provider said.
    pub roles: Vec<String>,
    /// Their groups, as the provider said.
    pub groups: Vec<String>,
    /// When the provider said so: the `iat` of its token.
    pub issued_at: Option<UnixTime>,
    /// The provider's own session; of a local account, what its password is told by.
    pub provider_session: Option<String>,
    /// Until when the provider's word counts; `None` for a local account.
    pub valid_until: Option<UnixTime>,
    /// What keeps it alive.
    pub tokens: Tokens,
}

impl Login {
    /// A login at a provider.
    #[must_use]
    pub fn granted(granted: Granted) -> Self {
        let Granted { token, refresh_token, id_token } = granted;
        Self {
            person: Person { issuer: token.issuer, subject: token.subject },
            name: token.name,
            roles: token.roles,
            groups: token.groups,
            issued_at: token.issued_at,
            provider_session: token.session,
            valid_until: Some(token.expires_at),
            tokens: Tokens { refresh: refresh_token, id: id_token },
        }
    }

    /// A login with a local account, and [what its password is told by](crate::identity::local::LocalUsers::password_mark).
    #[must_use]
    pub fn local(user: &str, password_mark: Option<String>) -> Self {
        Self {
            person: Person::local(user),
            name: user.to_owned(),
            roles: Vec::new(),
            groups: Vec::new(),
            issued_at: None,
            provider_session: password_mark,
            valid_until: None,
            tokens: Tokens::default(),
        }
    }
}

/// A session that has ended here, for the provider's logout.
#[derive(Debug)]
pub struct Ended {
    /// Who had it.
    pub person: Person,
    /// The ID token that its login brought.
    pub id_token: Option<Secret>,
}

/// The sessions.
pub struct Sessions {
    store: Arc<dyn Store>,
    epoch: Epoch,
    keeper: Option<Keeper>,
    duration: i64,
}

impl Sessions {
    /// Starts the thread that keeps sessions alive, where there is a provider. `duration` is the longest that a session
    /// lasts.
    ///
    /// # Errors
    /// No thread.
    pub fn start(
        store: Arc<dyn Store>,
        oidc: Option<Arc<Oidc>>,
        epoch: Epoch,
        duration: Duration,
    ) -> std::io::Result<Self> {
        Self::start_keeping(keeper::MOST, store, oidc, epoch, duration)
    }

    /// As [`Self::start`], with room for so many sessions in memory.
    fn start_keeping(
        most: usize,
        store: Arc<dyn Store>,
        oidc: Option<Arc<Oidc>>,
        epoch: Epoch,
        duration: Duration,
    ) -> std::io::Result<Self> {
        let keeper = oidc.map(|oidc| Keeper::start(Arc::clone(&store), oidc, epoch.clone(), most)).transpose()?;
        Ok(Self { store, epoch, keeper, duration: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX) })
    }

    /// The longest that a session lasts, in seconds.
    #[must_use]
    pub const fn duration(&self) -> i64 {
        self.duration
    }

    /// Opens a session: the text for the browser, and when it ends. It is durable when this returns.
    ///
    /// # Errors
    /// Nothing was opened then.
    pub fn open(&self, login: Login, now: UnixTime) -> Result<(Secret, UnixTime), SessionError> {
        let text = sealed::generate()?;
        let id = bytes::hex(&bytes::random::<16>()?);
        let key = sealed::key(text.expose())?;
        let expires_at = now.plus(self.duration);
        let record = SessionRecord {
            hash: hash(text.expose()),
            sealed: sealed::seal(&key, &id, &login.tokens)?,
            id,
            person: login.person,
            name: login.name,
            roles: login.roles,
            groups: login.groups,
            provider_session: login.provider_session,
            created_at: now,
            expires_at,
            valid_until: login.valid_until.map_or(expires_at, |until| until.min(expires_at)),
            last_use: None,
        };
        self.store.insert_session(&record)?;
        if let Some(keeper) = &self.keeper
            && login.tokens.refresh.is_some()
        {
            keeper.keep(&record, key, now);
        }
        Ok((text, expires_at))
    }

    /// The session of a browser's text, while it counts. One whose last word from the provider is over is renewed
    /// first; the caller waits for that, at most some seconds. While too many wait, it counts as over.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn find(&self, text: &str, now: UnixTime) -> Result<SessionRecord, Rejection> {
        let record = self.record(text)?;
        if record.expires_at <= now {
            return Err(Rejection::Expired);
        }
        if record.person.issuer == Person::LOCAL {
            return Ok(record);
        }
        let keeper = self.keeper.as_ref().filter(|keeper| keeper.knows(&record.person.issuer));
        let Some(keeper) = keeper else { return Err(Rejection::NoProvider) };
        let key = sealed::key(text);
        if record.valid_until > now {
            if let Ok(key) = key {
                keeper.keep(&record, key, now);
            }
            return Ok(record);
        }
        if let Ok(key) = key {
            keeper.renew_now(&record, key, PATIENCE, now);
        }
        // Whatever became of it, the state knows.
        let renewed = self.record(text)?;
        if renewed.valid_until > now { Ok(renewed) } else { Err(Rejection::Expired) }
    }

    fn record(&self, text: &str) -> Result<SessionRecord, Rejection> {
        if !sealed::is_well_formed(text) {
            return Err(Rejection::UnknownSession);
        }
        let record = self.store.session_by_hash(&hash(text))?.ok_or(Rejection::UnknownSession)?;
        Ok(self.bounded(record))
    }

    /// A session of a person's by its identifier, over or not.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn of(&self, person: &Person, id: &str) -> Result<Option<SessionRecord>, StoreError> {
        let known = self.store.sessions(Some(person))?.into_iter().find(|known| known.id == id);
        Ok(known.map(|record| self.bounded(record)))
    }

    /// One that was opened when sessions lasted longer ends as those of today do.
    fn bounded(&self, mut record: SessionRecord) -> SessionRecord {
        record.expires_at = record.expires_at.min(record.created_at.plus(self.duration));
        record.valid_until = record.valid_until.min(record.expires_at);
        record
    }

    /// Ends the session of a browser's text; `None`: there is none. It is refused when this returns.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn end(&self, text: &str) -> Result<Option<Ended>, StoreError> {
        if !sealed::is_well_formed(text) {
            return Ok(None);
        }
        let Some(record) = self.store.session_by_hash(&hash(text))? else { return Ok(None) };
        self.end_all(&WhichSessions::One(&record.id))?;
        let tokens =
            sealed::key(text).and_then(|key| sealed::open(&key, &record.id, &record.sealed)).unwrap_or_default();
        Ok(Some(Ended { person: record.person, id_token: tokens.id }))
    }

    /// Ends sessions; says whether there were any. They are refused when this returns.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn end_all(&self, which: &WhichSessions<'_>) -> Result<bool, StoreError> {
        let ended = self.store.end_sessions(which)?;
        self.epoch.advance();
        Ok(ended)
    }

    /// Ends the thread.
    pub fn stop(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.stop();
        }
    }
}
