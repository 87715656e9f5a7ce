//! What Keycloak's admin API says and tokens do not: whose an API key is, whether somebody is still there and with
//! which roles, and which roles the realm has.
//!
//! Requests run on the background thread of `oidc`; whoever needs an answer waits for it, for a bounded time and with a
//! bounded number of others. Answers are remembered for half a minute at most. Knows nothing of what roles may do, or
//! of other credentials.
//! `memory` remembers and decides what may be asked, `calls` asks.

mod calls;
mod memory;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::oidc::Oidc;
use crate::bytes::sha256;
use crate::clock::{self, UnixTime};
use crate::config::Provider;
use crate::person::Person;
use crate::secret::Secret;
use calls::Calls;
use memory::{Flight, Memory, Next};

/// How long a request waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same for the realm's roles, which are good to have and no more.
const PATIENCE_FOR_A_LIST: Duration = Duration::from_secs(1);
/// The shortest and longest text that is looked for as an API key. Shorter ones can be guessed.
const KEY_LENGTH: std::ops::RangeInclusive<usize> = 16..=200;

/// A user of the realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's identifier, `sub` in tokens.
    pub subject: String,
    /// First and last name, else the user name.
    pub name: String,
    /// Our roles: the user's realm roles, through groups and composite roles too, mapped.
    pub roles: Vec<String>,
    /// Whether Keycloak has been told that what the user was given until some moment counts no more (`notBefore`).
    pub was_ended: bool,
}

/// Whether a realm role is one that Keycloak gives to everybody for purposes of its own (`default-roles-{realm}` and what
/// that holds in a new realm).
#[must_use]
pub fn is_keycloaks_own(role: &str) -> bool {
    matches!(role, "offline_access" | "uma_authorization") || role.starts_with("default-roles-")
}

/// Why nobody is behind a key or identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nobody {
    /// No user has it.
    #[error("nobody in Keycloak has it")]
    Unknown,
    /// Which of them it means nobody can say.
    #[error("several users in Keycloak have it")]
    Several,
    /// The account is disabled.
    #[error("the user is disabled in Keycloak")]
    Disabled,
    /// Everything given out until some moment counts no more; when the key was given out, Keycloak does not say.
    #[error("the user was logged out everywhere in Keycloak (notBefore)")]
    Ended,
}

/// Why there is no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// Keycloak has answered, and the answer is nobody.
    #[error("{0}")]
    Nobody(#[from] Nobody),
    /// Too many keys are shown that are not known.
    #[error("too many unknown keys are shown at once")]
    Busy,
    /// No answer, or none that could be read.
    #[error("Keycloak cannot be asked: {0}")]
    Unreachable(String),
}

/// What is asked.
enum Question {
    /// Whose an API key is.
    Key(Secret),
    /// Whether somebody is there, by `sub`, and with which roles.
    Person(String),
    /// Which roles the realm has.
    Roles,
}

impl Question {
    /// What the answer is remembered by: a SHA-256, so that no key is kept.
    fn hash(&self) -> [u8; 32] {
        let (kind, what) = match self {
            Self::Key(key) => ("key", key.expose()),
            Self::Person(subject) => ("person", subject.as_str()),
            Self::Roles => ("roles", ""),
        };
        sha256(&Zeroizing::new(format!("{kind} {what}")))
    }

    /// Whether anybody can make such questions up, as many as they like.
    const fn is_guessable(&self) -> bool {
        matches!(self, Self::Key(_))
    }
}

/// What Keycloak has answered.
#[derive(Clone, Debug)]
enum Fact {
    Account(Arc<Account>),
    Roles(Arc<Vec<String>>),
}

/// Why Keycloak's admin API does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminTrouble {
    /// The provider's place in the configuration.
    pub path: String,
    /// What came of the last question.
    pub cause: String,
    /// Whether API keys are kept there, which nobody can use then.
    pub has_keys: bool,
}

/// The realm of one provider.
pub struct Directory {
    /// The provider's place in the configuration.
    path: String,
    issuer: String,
    has_keys: bool,
    /// Whether roles in tokens are realm roles, and nothing else.
    by_realm_roles: bool,
    calls: Arc<Calls>,
    memory: Arc<Memory>,
    runtime: Handle,
}

/// The realms of all providers that can be asked.
#[derive(Default)]
pub struct Directories(Vec<Directory>);

impl Directories {
    /// Those of the providers with an `AdminClientSecret`.
    #[must_use]
    pub fn new(providers: &[Provider], oidc: &Oidc) -> Self {
        let realm = |(index, provider): (usize, &Provider)| {
            let admin = provider.admin.clone()?;
            let (runtime, client) = oidc.line(index)?;
            Some(Directory {
                path: provider.path.clone(),
                issuer: provider.issuer.clone(),
                has_keys: admin.api_key_attribute.is_some(),
                by_realm_roles: matches!(provider.roles_claims.as_slice(), [path] if *path == ["realm_access", "roles"]),
                calls: Arc::new(Calls::new(client, provider, admin)),
                memory: Arc::new(Memory::default()),
                runtime,
            })
        };
        Self(providers.iter().enumerate().filter_map(realm).collect())
    }

    /// Whether a text may be an API key that is kept in Keycloak. A token is none.
    #[must_use]
    pub fn may_know(&self, text: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        self.0.iter().any(|directory| directory.has_keys)
            && KEY_LENGTH.contains(&text.len())
            && text.bytes().all(plain)
            && text.bytes().filter(|byte| *byte == b'.').count() < 2
    }

    /// Whose an API key is.
    ///
    /// # Errors
    /// Nobody's, or not known now.
    pub fn key(&self, text: &str, now: UnixTime) -> Result<(Person, Arc<Account>), DirectoryError> {
        for directory in self.0.iter().filter(|directory| directory.has_keys) {
            match directory.account(Question::Key(Secret::new(text.to_owned())), now) {
                Err(DirectoryError::Nobody(Nobody::Unknown)) => {}
                Err(error) => return Err(error),
                // The key may be one of those that were ended: Keycloak does not say when it was given out.
                Ok(account) if account.was_ended => return Err(Nobody::Ended.into()),
                Ok(account) => {
                    let person = Person { issuer: directory.issuer.clone(), subject: account.subject.clone() };
                    return Ok((person, account));
                }
            }
        }
        Err(Nobody::Unknown.into())
    }

    /// What Keycloak says of a person today. `None` when that person's provider cannot be asked.
    #[must_use]
    pub fn person(&self, person: &Person, now: UnixTime) -> Option<Result<Arc<Account>, DirectoryError>> {
        let directory = self.of(person)?;
        Some(directory.account(Question::Person(person.subject.clone()), now))
    }

    /// The roles that somebody was seen with, without those that Keycloak has taken away since; none for whoever is
    /// disabled or not there any more. While Keycloak cannot be asked, or if tokens say more than realm roles, what was
    /// seen counts.
    #[must_use]
    pub fn still_held(&self, person: &Person, seen: Vec<String>, now: UnixTime) -> Vec<String> {
        match self.person(person, now) {
            None | Some(Err(DirectoryError::Busy | DirectoryError::Unreachable(_))) => seen,
            Some(Err(DirectoryError::Nobody(_))) => Vec::new(),
            Some(Ok(_)) if !self.of(person).is_some_and(|directory| directory.by_realm_roles) => seen,
            Some(Ok(account)) => seen.into_iter().filter(|role| account.roles.contains(role)).collect(),
        }
    }

    /// Whether something can be asked about this person.
    #[must_use]
    pub fn knows(&self, person: &Person) -> bool {
        self.of(person).is_some()
    }

    /// The roles of all realms, by our names for them, as far as they can be had.
    #[must_use]
    pub fn roles(&self, now: UnixTime) -> Vec<String> {
        let mut all = Vec::new();
        for directory in &self.0 {
            match directory.ask(Question::Roles, PATIENCE_FOR_A_LIST, now) {
                Ok(Fact::Roles(roles)) => all.extend(roles.iter().cloned()),
                // Why not, `memory` or `calls` has said once.
                Ok(Fact::Account(_)) | Err(_) => {}
            }
        }
        all.sort();
        all.dedup();
        all
    }

    /// Has each realm asked something small unless it was a moment ago, in the background: whether it answers is then
    /// known.
    pub fn look(&self, now: UnixTime) {
        for directory in &self.0 {
            if let Next::Ask(flight) | Next::AnswerAndAsk(_, flight) = directory.next(&Question::Roles, now) {
                directory.fly(Question::Roles, flight);
            }
        }
    }

    /// The realms whose last question brought no answer.
    #[must_use]
    pub fn troubles(&self) -> Vec<AdminTrouble> {
        let trouble = |directory: &Directory| {
            let cause = directory.memory.trouble()?;
            Some(AdminTrouble { path: directory.path.clone(), cause, has_keys: directory.has_keys })
        };
        self.0.iter().filter_map(trouble).collect()
    }

    fn of(&self, person: &Person) -> Option<&Directory> {
        self.0.iter().find(|directory| directory.issuer == person.issuer)
    }
}

impl Directory {
    fn account(&self, question: Question, now: UnixTime) -> Result<Arc<Account>, DirectoryError> {
        match self.ask(question, PATIENCE, now)? {
            Fact::Account(account) => Ok(account),
            Fact::Roles(_) => Err(Nobody::Unknown.into()),
        }
    }

    fn ask(&self, question: Question, patience: Duration, now: UnixTime) -> Result<Fact, DirectoryError> {
        match self.next(&question, now) {
            Next::Answer(answer) => answer,
            Next::AnswerAndAsk(answer, flight) => {
                self.fly(question, flight);
                answer
            }
            Next::Ask(flight) => {
                let landing = flight.landing();
                self.fly(question, flight);
                self.memory.wait(&landing, patience)
            }
            Next::Wait(landing) => self.memory.wait(&landing, patience),
        }
    }

    fn next(&self, question: &Question, now: UnixTime) -> Next {
        self.memory.next(question.hash(), question.is_guessable(), now)
    }

    /// Asks on the background thread. When that ends before the answer is there, the flight is dropped, and those who
    /// wait for it are told.
    fn fly(&self, question: Question, mut flight: Flight) {
        let calls = Arc::clone(&self.calls);
        self.runtime.spawn(async move {
            let answer = calls.answer(&question).await;
            flight.land(answer, clock::now());
        });
    }
}
