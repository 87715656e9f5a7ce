//! From a credential to a verified identity with its rights of today.
//!
//! Knows nothing of routes and resources. Verified identities are cached by the SHA-256 of the credential; an entry
//! dies with the credential: when it ends, and with every change of roles, keys or revocations (an epoch).
#![forbid(unsafe_code)]

pub mod api_key;
pub mod deleted;
pub mod directory;
pub mod known_links;
pub mod launched;
pub mod local;
pub mod makers;
pub mod oidc;
pub mod recorder;
pub mod roles_book;
pub mod session;

mod epoch;
mod link_fault;
mod links;
mod looked;
mod verify;

use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::bytes::sha256;
use crate::clock::UnixTime;
use crate::config::AnonymousProfile;
use crate::credential::{Credential, Kind as CredentialKind, Source};
use crate::log_text::shorten;
use crate::person::Person;
use crate::policy::decision::{Holder, LinkScope};
use crate::policy::rights::{Labels, Rights};
use recorder::UseCounter;

pub use epoch::Epoch;
pub use link_fault::LinkFault;
pub use links::{InboxPolicy, LinkPolicy, Opened, OpenedLink};
pub use looked::Looked;
pub use verify::{Rejection, Verifiers};

/// What an identity was verified by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityKind {
    /// An access token of an OpenID Connect provider.
    Token,
    /// A local account.
    Local,
    /// One of our API keys.
    ApiKey,
    /// A share link.
    Link,
    /// A browser that logged in.
    Session,
    /// No credential at all.
    Anonymous,
}

impl std::fmt::Display for IdentityKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Token => "token",
            Self::Local => "local user",
            Self::ApiKey => "API key",
            Self::Link => "share link",
            Self::Session => "session",
            Self::Anonymous => "anonymous",
        })
    }
}

/// A verified identity.
#[derive(Clone, Debug)]
pub struct Identity {
    /// What it was verified by.
    pub kind: IdentityKind,
    /// A name for people to read.
    pub name: String,
    /// The subject, for profiles and records.
    pub user_id: Option<String>,
    /// Groups, sorted.
    pub groups: Vec<String>,
    /// Who it is; for a key or link, who made it.
    pub person: Option<Person>,
    /// The identifier of the key, link or session.
    pub id: Option<String>,
    /// Its roles, for a person and a key.
    pub roles: Vec<String>,
    /// When a provider said that these are the roles, where the credential itself brings its word: the `iat` of a token.
    /// Keys and links that are made with it are measured by the newest word.
    pub roles_from: Option<UnixTime>,
    /// What it holds today.
    pub rights: Rights,
    /// Of a link: the name of whoever made it.
    pub made_by: Option<String>,
    /// What the link opens.
    pub link: Option<LinkScope>,
    /// When the credential ends.
    pub expires_at: Option<UnixTime>,
    /// From when on it must be verified again, because somebody else may have changed what it gives.
    recheck_at: Option<UnixTime>,
    uses: Option<Arc<UseCounter>>,
}

impl Identity {
    /// An identity with these rights of which no more is known.
    fn new(kind: IdentityKind, name: String, rights: Rights) -> Self {
        Self {
            kind,
            name,
            user_id: None,
            groups: Vec::new(),
            person: None,
            id: None,
            roles: Vec::new(),
            roles_from: None,
            rights,
            made_by: None,
            link: None,
            expires_at: None,
            recheck_at: None,
            uses: None,
        }
    }

    /// Whoever shows no credential.
    #[must_use]
    pub fn anonymous(profile: &AnonymousProfile) -> Self {
        let labels = Labels::from_names(profile.authorized_labels.iter().map(String::as_str));
        let rights = Rights::new(profile.permissions.iter().map(String::as_str), labels);
        Self::new(IdentityKind::Anonymous, profile.name.clone(), rights)
    }

    /// As the log names it; of a link which one it is, and who made it.
    #[must_use]
    pub fn in_the_log(&self) -> String {
        let name = shorten(&self.name);
        if self.kind != IdentityKind::Link {
            return format!("{} {name:?}", self.kind);
        }
        let of = name.trim_end_matches(" link");
        match (&self.id, &self.made_by) {
            (Some(id), Some(maker)) => format!("{} {id} ({of}, made by {:?})", self.kind, shorten(maker)),
            _ => format!("{} without a record ({of})", self.kind),
        }
    }

    /// What the policy needs to know of it.
    #[must_use]
    pub fn holder(&self) -> Holder<'_> {
        Holder { rights: &self.rights, link: self.link.as_ref(), expires_at: self.expires_at }
    }

    /// Whether it shows a person by itself: only those make API keys (decision 13).
    #[must_use]
    pub fn is_person(&self) -> bool {
        matches!(self.kind, IdentityKind::Token | IdentityKind::Local | IdentityKind::Session)
    }

    /// Whether nobody is known behind it: whoever shows no credential, and the holder of a link.
    #[must_use]
    pub fn is_stranger(&self) -> bool {
        matches!(self.kind, IdentityKind::Anonymous | IdentityKind::Link)
    }

    /// Whether it has not ended, and need not be verified again.
    fn is_fresh(&self, now: UnixTime) -> bool {
        let is_ahead = |moment: Option<UnixTime>| moment.is_none_or(|moment| moment > now);
        is_ahead(self.expires_at) && is_ahead(self.recheck_at)
    }

    /// Counts a use of its key or link.
    pub fn count_use(&self, now: UnixTime) {
        if let Some(uses) = &self.uses {
            uses.count(now);
        }
    }
}

/// The few identities of one request; one or two as a rule, and then without memory of their own.
pub type IdentityList = smallvec::SmallVec<[Arc<Identity>; 3]>;

/// As the log names them: whoever came without a credential is left out where somebody else was verified, unless
/// everybody may do something here.
#[must_use]
pub fn in_the_log(identities: &[Arc<Identity>]) -> String {
    let somebody = identities.iter().any(|one| one.kind != IdentityKind::Anonymous);
    let is_named =
        |one: &&Arc<Identity>| !somebody || one.kind != IdentityKind::Anonymous || !one.rights.permissions.is_empty();
    let names: Vec<String> = identities.iter().filter(is_named).map(|one| one.in_the_log()).collect();
    names.join(", ")
}

#[derive(Clone)]
struct Cached {
    identity: Arc<Identity>,
    epoch: u64,
}

/// How many verified identities are kept; about 1 KiB each.
const CACHE_SIZE: usize = 8_192;

/// Verifies credentials.
pub struct Identities {
    verifiers: Verifiers,
    cache: Cache<CacheKey, Cached>,
    epoch: Epoch,
}

impl Identities {
    /// `epoch` is the one that the verifiers' sources advance.
    #[must_use]
    pub fn new(verifiers: Verifiers, epoch: Epoch) -> Self {
        Self { verifiers, cache: Cache::new(CACHE_SIZE), epoch }
    }

    /// What the identities are verified against, for the routes that make keys and links.
    #[must_use]
    pub fn verifiers(&self) -> &Verifiers {
        &self.verifiers
    }

    /// What changes with everything that may make a verified identity wrong.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.now()
    }

    /// The same for whoever waits for such a change.
    #[must_use]
    pub fn watched(&self) -> Epoch {
        self.epoch.clone()
    }

    /// Makes every cached identity be verified again: something was revoked.
    pub fn forget(&self) {
        self.epoch.advance();
    }

    /// Verifies a key or a link that was made this moment, so that its first use finds it known. That follows at once, as a
    /// rule: Orthanc Explorer 2 makes a link for each click on a viewer.
    pub fn verify_ahead(&self, text: &str, now: UnixTime) {
        let credential = Credential { source: Source::TokenHeader, kind: CredentialKind::Token, text };
        // What is not valid yet, or opened by its code only, is told to whoever uses it.
        drop(self.verify(&credential, "", now));
    }

    /// Whether a token or key is known, and would not be verified again.
    #[cfg(test)]
    pub fn knows(&self, text: &str) -> bool {
        let known = self.cache.get(&(CredentialKind::Token, sha256(text)));
        known.is_some_and(|known| known.epoch == self.epoch.now())
    }

    /// The identity behind a credential. `remote` is the peer's address, for the counting of wrong passwords.
    pub fn verify(&self, credential: &Credential<'_>, remote: &str, now: UnixTime) -> Result<Arc<Identity>, Rejection> {
        if credential.text.len() > crate::credential::LONGEST {
            return Err(Rejection::TooLong);
        }
        // In a URL it would stand in logs.
        if launched::is_access_token(credential.text) && credential.source != Source::Authorization {
            return Err(LinkFault::NotInAuthorization.into());
        }
        let key = cache_key(credential);
        // Read before anything is looked up: a change meanwhile makes the new entry old at once.
        let epoch = self.epoch.now();
        let known = self.cache.get(&key);
        if let Some(known) = &known
            && known.epoch == epoch
        {
            if known.identity.is_fresh(now) {
                return Ok(Arc::clone(&known.identity));
            }
            // What is known of a session is over; the session itself may have been renewed meanwhile.
            let is_over = known.identity.expires_at.is_some_and(|end| end <= now);
            if is_over && credential.kind != CredentialKind::Session {
                self.cache.remove(&key);
                return Err(Rejection::Expired);
            }
        }
        let identity = match (credential.kind, known) {
            // The password was right and the configuration that says so cannot change: only the roles may have.
            (CredentialKind::Basic, Some(known)) => Ok(self.verifiers.local_user(&known.identity.name)),
            (CredentialKind::Basic, None) => self.verifiers.basic(credential.text, remote, now),
            (CredentialKind::Session, _) => self.verifiers.session(credential.text, now),
            (CredentialKind::Opened, _) => self.verifiers.opened_link(credential.text, now),
            (CredentialKind::Token, _) => {
                let known = self.verifiers.known_links.get_by_token(&key.1, now);
                let identity = known.map_or_else(|| self.verifiers.token(credential.text, now), Ok);
                return self.keep(key, epoch, identity);
            }
        };
        self.keep(key, epoch, identity.map(Arc::new))
    }

    /// Keeps what a credential was verified to be, or forgets it.
    fn keep(
        &self,
        key: CacheKey,
        epoch: u64,
        identity: Result<Arc<Identity>, Rejection>,
    ) -> Result<Arc<Identity>, Rejection> {
        match identity {
            Ok(identity) => {
                self.cache.insert(key, Cached { identity: Arc::clone(&identity), epoch });
                Ok(identity)
            }
            Err(rejection) => {
                self.cache.remove(&key);
                Err(rejection)
            }
        }
    }
}

/// The SHA-256 of the whole credential, and its kind (invariant 7).
type CacheKey = (CredentialKind, [u8; 32]);

fn cache_key(credential: &Credential<'_>) -> CacheKey {
    (credential.kind, sha256(credential.text))
}

#[cfg(test)]
mod tests;
