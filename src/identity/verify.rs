//! The checks behind an identity: which kind of credential it is, whether it holds, and what it gives today.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::api_key;
use super::deleted::Unwritten;
use super::directory::{Directories, DirectoryError, Nobody};
use super::known_links::KnownLinks;
use super::launched;
use super::link_fault::LinkFault;
use super::links::LinkPolicy;
use super::local::{LocalError, LocalUsers};
use super::looked::Looked;
use super::makers::Makers;
use super::oidc::{Oidc, TokenError};
use super::recorder::Recorder;
use super::roles_book::RolesBook;
use super::session::Sessions;
use super::{Identity, IdentityKind};
use crate::clock::UnixTime;
use crate::person::Person;
use crate::policy::rights::{ADMIN, Rights};
use crate::share::token as share_token;
use crate::store::{ApiKeyRecord, PersonRecord, SessionRecord, Store, StoreError, UseKind};

/// How long a key or link is in force before Keycloak is asked again about its maker, in seconds.
const RECHECK: i64 = 15;

/// Why a credential gives no identity. Says nothing that is secret.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// Longer than any credential.
    #[error("the credential is too long")]
    TooLong,
    /// It ended.
    #[error("the credential has expired")]
    Expired,
    /// An access token that does not hold.
    #[error("access token: {0}")]
    Token(#[from] TokenError),
    /// No provider is configured.
    #[error("neither an API key nor a share link, and no OpenID Connect provider is configured")]
    NoProvider,
    /// A name or password that is wrong, or too many of them.
    #[error("local user: {0}")]
    Local(#[from] LocalError),
    /// Not as RFC 7617 has it.
    #[error("malformed Basic credential")]
    MalformedBasic,
    /// An API key that is kept in Keycloak and gives nothing now.
    #[error("API key kept in Keycloak: {0}")]
    Directory(#[from] DirectoryError),
    /// An API key that does not exist, or was removed.
    #[error("unknown API key")]
    UnknownKey,
    /// A share link that opens nothing now, or what came of one.
    #[error("share link: {0}")]
    Link(#[from] LinkFault),
    /// A cookie that no session belongs to any more.
    #[error("unknown session")]
    UnknownSession,
    /// A cookie does not count for this request: another site may have caused it (decision 27).
    #[error("a cookie does not count for this request")]
    CookieAlone,
    /// Whoever made the key or link is not known any more.
    #[error("the maker of this {0} is not known any more")]
    MakerUnknown(IdentityKind),
    /// Somebody ended all that this person had.
    #[error("everything that this person had until then was ended")]
    Ended,
    /// The state cannot be read.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// All that credentials are verified against.
pub struct Verifiers {
    /// The providers' keys; `None` without a provider.
    pub oidc: Option<Arc<Oidc>>,
    /// What Keycloak says beyond tokens; empty where it is not asked.
    pub directories: Directories,
    /// Local accounts.
    pub local: LocalUsers,
    /// Keys, links and people.
    pub store: Arc<dyn Store>,
    /// What was deleted, and could not be written yet.
    pub unwritten: Unwritten,
    /// Whether it is known what was stored while nobody watched.
    pub looked: Looked,
    /// Those who made keys and links.
    pub makers: Makers,
    /// What links give.
    pub known_links: KnownLinks,
    /// Hashes API keys.
    pub hasher: api_key::Hasher,
    /// Share links.
    pub links: LinkPolicy,
    /// The roles in force.
    pub roles: RolesBook,
    /// Browsers that logged in; `None` when the login gate is off.
    pub sessions: Option<Sessions>,
    /// Who writes down what was seen.
    pub recorder: Recorder,
}

impl Verifiers {
    /// Ends the threads, the recorder last: others may still tell it something.
    pub fn stop(&self) {
        if let Some(oidc) = &self.oidc {
            oidc.stop();
        }
        if let Some(sessions) = &self.sessions {
            sessions.stop();
        }
        self.roles.stop();
        self.recorder.stop();
    }

    pub(super) fn token(&self, text: &str, now: UnixTime) -> Result<Arc<Identity>, Rejection> {
        if text.starts_with(api_key::PREFIX) {
            return self.api_key(text, now).map(Arc::new);
        }
        if launched::is_access_token(text) {
            return self.launched(text, now).map(Arc::new);
        }
        if share_token::looks_like_share(text) {
            return self.link(&self.link_claims(text)?, now);
        }
        if self.directories.may_know(text) {
            return self.key_in_keycloak(text, now).map(Arc::new);
        }
        self.access_token(text, now).map(Arc::new)
    }

    /// An access token of a provider.
    fn access_token(&self, text: &str, now: UnixTime) -> Result<Identity, Rejection> {
        let oidc = self.oidc.as_ref().ok_or(Rejection::NoProvider)?;
        let token = oidc.verify(text, now)?;
        let roles = self.roles.current();
        oidc.note_roles(&token, |role| roles.roles.contains_key(role), now);
        let person = Person { issuer: token.issuer, subject: token.subject };
        if let Some(ended) = self.store.not_before(&person)?
            && token.issued_after.is_none_or(|issued| issued <= ended)
        {
            return Err(Rejection::Ended);
        }
        let seen_at = token.issued_at.unwrap_or(now);
        self.recorder.saw(PersonRecord {
            person: person.clone(),
            name: token.name.clone(),
            groups: token.groups.clone(),
            roles: token.roles.clone(),
            seen_at,
        });
        Ok(Identity {
            groups: token.groups,
            roles_from: Some(seen_at),
            expires_at: Some(token.expires_at),
            ..self.identity_of(IdentityKind::Token, token.name, person, token.roles)
        })
    }

    pub(super) fn session(&self, text: &str, now: UnixTime) -> Result<Identity, Rejection> {
        let session = self.sessions.as_ref().ok_or(Rejection::UnknownSession)?.find(text, now)?;
        if self.store.not_before(&session.person)?.is_some_and(|ended| session.created_at <= ended) {
            return Err(Rejection::Ended);
        }
        let identity = if session.person.issuer == Person::LOCAL {
            if !self.has_its_account(&session) {
                return Err(Rejection::UnknownSession);
            }
            self.local_user(&session.person.subject)
        } else {
            let roles = self.roles_today(&session.person, session.roles).ok_or(Rejection::NoProvider)?;
            let identity = self.identity_of(IdentityKind::Session, session.name, session.person, roles);
            Identity { groups: session.groups, ..identity }
        };
        Ok(Identity {
            kind: IdentityKind::Session,
            uses: Some(self.recorder.counter(UseKind::Session, &session.id)),
            id: Some(session.id),
            expires_at: Some(session.valid_until),
            ..identity
        })
    }

    pub(super) fn basic(&self, encoded: &str, remote: &str, now: UnixTime) -> Result<Identity, Rejection> {
        let decoded = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| Rejection::MalformedBasic)?);
        let colon = decoded.iter().position(|byte| *byte == b':').ok_or(Rejection::MalformedBasic)?;
        let (name, password) = decoded.split_at_checked(colon).ok_or(Rejection::MalformedBasic)?;
        let name = std::str::from_utf8(name).map_err(|_| Rejection::MalformedBasic)?;
        self.local.check(name, password.get(1..).unwrap_or_default(), remote, now)?;
        Ok(self.local_user(name))
    }

    /// The identity of a local user, whose password is not asked for.
    pub(super) fn local_user(&self, name: &str) -> Identity {
        let roles = self.local.roles(name).unwrap_or_default().to_vec();
        self.identity_of(IdentityKind::Local, name.to_owned(), Person::local(name), roles)
    }

    /// An API key that Keycloak keeps as an attribute of a user: it is that user, with the roles of this minute.
    fn key_in_keycloak(&self, text: &str, now: UnixTime) -> Result<Identity, Rejection> {
        let (person, account) = self.directories.key(text, now).map_err(|error| match error {
            DirectoryError::Nobody(Nobody::Unknown) => Rejection::UnknownKey,
            error => error.into(),
        })?;
        // Nobody says when the key was given out, so it may be one of those that were ended.
        if self.store.not_before(&person)?.is_some() {
            return Err(Rejection::Ended);
        }
        Ok(Identity {
            roles_from: Some(now),
            // The directory remembers for how long its answer counts.
            recheck_at: Some(now.plus(1)),
            ..self.identity_of(IdentityKind::ApiKey, account.name.clone(), person, account.roles.clone())
        })
    }

    fn api_key(&self, text: &str, now: UnixTime) -> Result<Identity, Rejection> {
        if !api_key::is_well_formed(text) {
            return Err(Rejection::UnknownKey);
        }
        let record = self.store.api_key_by_hash(&self.hasher.hash(text))?.ok_or(Rejection::UnknownKey)?;
        if record.expires_at.is_some_and(|end| end <= now) {
            return Err(Rejection::Expired);
        }
        let (rights, roles) = self.key_today(&record, now)?;
        Ok(Identity {
            user_id: Some(record.owner.subject.clone()),
            recheck_at: self.recheck_at(&record.owner, now),
            person: Some(record.owner),
            uses: Some(self.recorder.counter(UseKind::ApiKey, &record.id)),
            id: Some(record.id),
            roles,
            expires_at: record.expires_at,
            ..Identity::new(IdentityKind::ApiKey, record.name, rights)
        })
    }

    /// What a key gives today, and the roles behind that: its maker's of today, narrowed by what the key names (decision
    /// 13).
    pub(super) fn key_today(&self, key: &ApiKeyRecord, now: UnixTime) -> Result<(Rights, Vec<String>), Rejection> {
        let makers_roles = self.maker_roles_since(&key.owner, key.created_at, IdentityKind::ApiKey, now)?;
        let maker = self.rights_of(&makers_roles);
        let (rights, roles) = match &key.roles {
            None => (maker, makers_roles),
            // An administrator may give roles beyond the administrator's own, which last for as long as there is one.
            Some(roles) if key.granted_by_admin && maker.holds(ADMIN) => (self.rights_of(roles), roles.clone()),
            Some(roles) => {
                let held = roles.iter().filter(|role| makers_roles.contains(role)).cloned().collect();
                (maker.intersect(&self.rights_of(roles)), held)
            }
        };
        let rights = rights.narrow_permissions(key.permissions.as_deref());
        Ok((rights.narrow_labels(key.authorized_labels.as_deref()), roles))
    }

    /// The identity of somebody with these roles, which give what they give today.
    fn identity_of(&self, kind: IdentityKind, name: String, person: Person, roles: Vec<String>) -> Identity {
        let rights = self.rights_of(&roles);
        let user_id = Some(person.subject.clone());
        Identity { user_id, person: Some(person), roles, ..Identity::new(kind, name, rights) }
    }

    fn rights_of(&self, roles: &[String]) -> Rights {
        self.roles.rights(roles)
    }

    /// Whether there is such an account, or a provider that vouches for this person, in the configuration of today.
    #[must_use]
    pub fn is_vouched_for(&self, person: &Person) -> bool {
        match person.issuer.as_str() {
            Person::LOCAL => self.local.roles(&person.subject).is_some(),
            issuer => self.oidc.as_ref().is_some_and(|oidc| oidc.provider_of(issuer).is_some()),
        }
    }

    /// Whether a session's account is still there; of a local one, with the password that opened the session.
    pub(super) fn has_its_account(&self, session: &SessionRecord) -> bool {
        let Person { issuer, subject } = &session.person;
        self.is_vouched_for(&session.person)
            && (issuer != Person::LOCAL || session.provider_session == self.local.password_mark(subject))
    }

    /// Of the roles that a provider gave somebody, those that it can give as it is configured today.
    fn roles_today(&self, person: &Person, seen: Vec<String>) -> Option<Vec<String>> {
        self.oidc.as_ref()?.roles_today(&person.issuer, seen)
    }

    /// The roles that somebody was last seen with, as far as neither the configuration nor Keycloak has taken them away
    /// since; `None` for whoever nobody vouches for any more.
    pub fn maker_roles(&self, maker: &Person, now: UnixTime) -> Result<Option<Vec<String>>, Rejection> {
        if maker.issuer == Person::LOCAL {
            return Ok(self.local.roles(&maker.subject).map(<[String]>::to_vec));
        }
        let seen = self.makers.find(maker)?.roles.clone();
        let today = seen.and_then(|roles| self.roles_today(maker, roles));
        Ok(today.map(|roles| self.directories.still_held(maker, roles, now)))
    }

    /// When what somebody made is to be measured anew by what Keycloak says of them.
    pub(super) fn recheck_at(&self, maker: &Person, now: UnixTime) -> Option<UnixTime> {
        self.directories.knows(maker).then(|| now.plus(RECHECK))
    }

    /// Whether what somebody made at some time was not ended with all that was theirs.
    pub(super) fn not_ended(&self, maker: &Person, made_at: UnixTime) -> Result<(), Rejection> {
        let ended = self.makers.find(maker)?.not_before.is_some_and(|ended| made_at <= ended);
        if ended { Err(Rejection::Ended) } else { Ok(()) }
    }

    /// The rights today of whoever made a key or link at some time.
    pub fn maker_rights(
        &self,
        maker: &Person,
        made_at: UnixTime,
        kind: IdentityKind,
        now: UnixTime,
    ) -> Result<Rights, Rejection> {
        Ok(self.rights_of(&self.maker_roles_since(maker, made_at, kind, now)?))
    }

    /// The roles behind those rights: none once everything was ended that the maker had then.
    fn maker_roles_since(
        &self,
        maker: &Person,
        made_at: UnixTime,
        kind: IdentityKind,
        now: UnixTime,
    ) -> Result<Vec<String>, Rejection> {
        self.not_ended(maker, made_at)?;
        self.maker_roles(maker, now)?.ok_or(Rejection::MakerUnknown(kind))
    }
}
