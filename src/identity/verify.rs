//! The checks behind an identity: which kind of credential it is, whether it holds, and what it gives today.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::api_key;
use super::directory::{Directories, DirectoryError, Nobody};
use super::local::pin::Pins;
use super::local::{LocalError, LocalUsers};
use super::oidc::{Oidc, TokenError};
use super::recorder::Recorder;
use super::roles_book::RolesBook;
use super::session::Sessions;
use super::{Identity, IdentityKind};
use crate::clock::UnixTime;
use crate::person::Person;
use crate::policy::decision::{LinkScope, LinkedResource};
use crate::policy::rights::{ADMIN, Labels, Rights};
use crate::seal::SealKey;
use crate::secret::Secret;
use crate::share::ShareResource;
use crate::share::code::Codes;
use crate::share::kind::LinkType;
use crate::share::limits::LinkOptions;
use crate::share::token::{self as share_token, Registered, ShareClaims};
use crate::store::{ApiKeyRecord, PersonRecord, ShareRecord, Store, StoreError, UseKind};

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
    /// A share link with a wrong signature, or that nobody can read.
    #[error("share link: {0}")]
    Link(String),
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

impl Rejection {
    /// Whether the client is to come back later.
    #[must_use]
    pub const fn is_too_many(&self) -> bool {
        matches!(
            self,
            Self::Local(LocalError::TooManyAttempts { .. } | LocalError::Busy) | Self::Directory(DirectoryError::Busy)
        )
    }
}

/// How share tokens are accepted.
pub struct LinkPolicy {
    /// The signing key, and then those that were used before.
    pub keys: Vec<Secret>,
    /// Whether links without a record are accepted.
    pub accept_unrecorded: bool,
    /// Until when.
    pub accept_unrecorded_until: Option<UnixTime>,
    /// Makes the short forms of links.
    pub codes: Codes,
    /// Seals what browsers get that opened one.
    pub grants: SealKey,
    /// Checks the PINs of links.
    pub pins: Pins,
}

/// How a browser came to a link.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'a> {
    /// When.
    pub at: UnixTime,
    /// What it was given counts until then at most.
    pub until: UnixTime,
    /// The session of whoever the link is for, if there was one.
    pub session: Option<&'a str>,
}

/// The place that grants are sealed for.
const GRANT: &str = "opened link";

/// All that credentials are verified against.
pub struct Verifiers {
    /// The providers' keys; `None` without a provider.
    pub oidc: Option<Arc<Oidc>>,
    /// What Keycloak says beyond tokens; empty where it is not asked.
    pub directories: Directories,
    /// Local accounts.
    pub local: LocalUsers,
    /// Local accounts' roles by name, as configured.
    pub local_roles: std::collections::BTreeMap<String, Vec<String>>,
    /// Keys, links and people.
    pub store: Arc<dyn Store>,
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

    pub(super) fn token(&self, text: &str, now: UnixTime) -> Result<Identity, Rejection> {
        if text.starts_with(api_key::PREFIX) {
            return self.api_key(text, now);
        }
        if share_token::looks_like_share(text) {
            return self.link(&self.link_claims(text)?, now);
        }
        if self.directories.may_know(text) {
            return self.key_in_keycloak(text, now);
        }
        let oidc = self.oidc.as_ref().ok_or(Rejection::NoProvider)?;
        let token = oidc.verify(text, now)?;
        let roles = self.roles.current();
        oidc.note_roles(&token, |role| roles.roles.contains_key(role), now);
        let person = Person { issuer: token.issuer, subject: token.subject };
        if let Some(ended) = self.store.not_before(&person)?
            && token.issued_at.is_none_or(|issued| issued <= ended)
        {
            return Err(Rejection::Ended);
        }
        self.recorder.saw(PersonRecord {
            person: person.clone(),
            name: token.name.clone(),
            groups: token.groups.clone(),
            roles: token.roles.clone(),
            seen_at: token.issued_at.unwrap_or(now),
        });
        Ok(Identity {
            kind: IdentityKind::Token,
            name: token.name,
            user_id: Some(person.subject.clone()),
            groups: token.groups,
            person: Some(person),
            id: None,
            rights: roles.rights(token.roles.iter().map(String::as_str)),
            roles: token.roles,
            link: None,
            expires_at: Some(token.expires_at),
            recheck_at: None,
            uses: None,
        })
    }

    pub(super) fn session(&self, text: &str, now: UnixTime) -> Result<Identity, Rejection> {
        let session = self.sessions.as_ref().ok_or(Rejection::UnknownSession)?.find(text, now)?;
        if self.store.not_before(&session.person)?.is_some_and(|ended| session.created_at <= ended) {
            return Err(Rejection::Ended);
        }
        let identity = if session.person.issuer == Person::LOCAL {
            if !self.local_roles.contains_key(&session.person.subject) {
                return Err(Rejection::UnknownSession);
            }
            self.local_identity(&session.person.subject)
        } else {
            Identity {
                kind: IdentityKind::Session,
                name: session.name,
                user_id: Some(session.person.subject.clone()),
                groups: session.groups,
                person: Some(session.person),
                id: None,
                rights: self.roles.current().rights(session.roles.iter().map(String::as_str)),
                roles: session.roles,
                link: None,
                expires_at: None,
                recheck_at: None,
                uses: None,
            }
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
        Ok(self.local_identity(name))
    }

    /// The same local user under the roles of today.
    pub(super) fn local_again(&self, identity: &Identity) -> Result<Identity, Rejection> {
        Ok(self.local_identity(identity.user_id.as_deref().unwrap_or_default()))
    }

    fn local_identity(&self, name: &str) -> Identity {
        let roles = self.local_roles.get(name).cloned().unwrap_or_default();
        Identity {
            kind: IdentityKind::Local,
            name: name.to_owned(),
            user_id: Some(name.to_owned()),
            groups: Vec::new(),
            person: Some(Person { issuer: Person::LOCAL.to_owned(), subject: name.to_owned() }),
            id: None,
            rights: self.roles.current().rights(roles.iter().map(String::as_str)),
            roles,
            link: None,
            expires_at: None,
            recheck_at: None,
            uses: None,
        }
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
            kind: IdentityKind::ApiKey,
            name: account.name.clone(),
            user_id: Some(person.subject.clone()),
            groups: Vec::new(),
            person: Some(person),
            id: None,
            rights: self.roles.current().rights(account.roles.iter().map(String::as_str)),
            roles: account.roles.clone(),
            link: None,
            expires_at: None,
            // The directory remembers for how long its answer counts.
            recheck_at: Some(now.plus(1)),
            uses: None,
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
        let rights = self.key_rights(&record, now)?;
        let roles = self.key_roles(&record, now)?;
        let recheck_at = self.recheck_at(&record.owner, now);
        Ok(Identity {
            kind: IdentityKind::ApiKey,
            name: record.name,
            user_id: Some(record.owner.subject.clone()),
            groups: Vec::new(),
            person: Some(record.owner),
            uses: Some(self.recorder.counter(UseKind::ApiKey, &record.id)),
            id: Some(record.id),
            roles,
            rights,
            link: None,
            expires_at: record.expires_at,
            recheck_at,
        })
    }

    /// What a key gives today: its maker's rights of today, narrowed by what the key names (decision 13).
    fn key_rights(&self, key: &ApiKeyRecord, now: UnixTime) -> Result<Rights, Rejection> {
        let maker = self.maker_rights(&key.owner, key.created_at, IdentityKind::ApiKey, now)?;
        let roles = key.roles.as_ref().map(|roles| self.roles.current().rights(roles.iter().map(String::as_str)));
        let rights = match roles {
            None => maker,
            // An administrator gives roles that are more than the administrator's own, as long as it is one.
            Some(roles) if key.granted_by_admin && maker.holds(ADMIN) => roles,
            Some(roles) => maker.intersect(&roles),
        };
        Ok(rights.narrow_permissions(key.permissions.as_deref()).narrow_labels(key.authorized_labels.as_deref()))
    }

    /// The roles behind those rights, by name.
    fn key_roles(&self, key: &ApiKeyRecord, now: UnixTime) -> Result<Vec<String>, Rejection> {
        let maker = self.maker_roles(&key.owner, now)?.unwrap_or_default();
        Ok(match &key.roles {
            None => maker,
            Some(roles) if key.granted_by_admin => roles.clone(),
            Some(roles) => roles.iter().filter(|role| maker.contains(role)).cloned().collect(),
        })
    }

    /// The roles that somebody was last seen with, as far as Keycloak has not taken them away since.
    fn maker_roles(&self, maker: &Person, now: UnixTime) -> Result<Option<Vec<String>>, Rejection> {
        if maker.issuer == Person::LOCAL {
            return Ok(self.local_roles.get(&maker.subject).cloned());
        }
        let seen = self.store.person(maker)?.map(|person| person.roles);
        Ok(seen.map(|roles| self.directories.still_held(maker, roles, now)))
    }

    /// When what somebody made is to be measured anew by what Keycloak says of them.
    fn recheck_at(&self, maker: &Person, now: UnixTime) -> Option<UnixTime> {
        self.directories.knows(maker).then(|| now.plus(RECHECK))
    }

    /// The rights today of whoever made a key or link at some time.
    pub fn maker_rights(
        &self,
        maker: &Person,
        made_at: UnixTime,
        kind: IdentityKind,
        now: UnixTime,
    ) -> Result<Rights, Rejection> {
        if self.store.not_before(maker)?.is_some_and(|ended| made_at <= ended) {
            return Err(Rejection::Ended);
        }
        let roles = self.maker_roles(maker, now)?.ok_or(Rejection::MakerUnknown(kind))?;
        Ok(self.roles.current().rights(roles.iter().map(String::as_str)))
    }

    /// A share token's claims, when its signature holds. Whether it is still in force is not asked.
    pub fn link_claims(&self, text: &str) -> Result<ShareClaims, Rejection> {
        share_token::verify(text, &self.links.keys).map_err(|fault| Rejection::Link(fault.to_string()))
    }

    /// The record of a link whose signature holds, when it is still in force.
    pub fn link_in_force(&self, claims: &ShareClaims, now: UnixTime) -> Result<Option<ShareRecord>, Rejection> {
        if claims.expires_at().is_some_and(|end| end <= now) {
            return Err(Rejection::Expired);
        }
        let Some(Registered { jti, .. }) = &claims.registered else {
            let too_late = self.links.accept_unrecorded_until.is_some_and(|until| until <= now);
            if !self.links.accept_unrecorded || too_late {
                return Err(Rejection::Link("links without a record are not accepted".to_owned()));
            }
            return Ok(None);
        };
        let record = self.store.share(jti)?.ok_or_else(|| Rejection::Link("it has no record".to_owned()))?;
        if LinkOptions::read(&record.options_json).asks() {
            return Err(Rejection::Link("it is opened by its code only".to_owned()));
        }
        self.in_force(&record, now)?;
        Ok(Some(record))
    }

    /// Whether a link with a record may be used now.
    pub fn in_force(&self, record: &ShareRecord, now: UnixTime) -> Result<(), Rejection> {
        if record.revoked_at.is_some() {
            return Err(Rejection::Link("it was revoked".to_owned()));
        }
        if record.not_before.is_some_and(|start| now < start) {
            return Err(Rejection::Link("it is not valid yet".to_owned()));
        }
        if record.expires_at.is_some_and(|end| end <= now) {
            return Err(Rejection::Expired);
        }
        Ok(())
    }

    /// What a browser is given that has opened a link: good for this link alone, until then at most.
    ///
    /// # Errors
    /// No random numbers.
    pub fn grant(&self, link: &str, opened: &Opened<'_>) -> Result<String, crate::seal::Unsealable> {
        let Opened { at, until, session } = opened;
        let text = format!("{} {link} {} {}", until.0, at.0, session.unwrap_or_default());
        Ok(URL_SAFE_NO_PAD.encode(self.links.grants.seal(GRANT, text.as_bytes())?))
    }

    /// Whether the one whom a link is for may still use what they opened: not after everything of theirs was ended, and
    /// not longer than the session that they opened it with. Says until when.
    fn recipient_may(&self, recipient: &Person, opened: &Opened<'_>, now: UnixTime) -> Result<UnixTime, Rejection> {
        if self.store.not_before(recipient)?.is_some_and(|ended| opened.at <= ended) {
            return Err(Rejection::Ended);
        }
        if recipient.issuer == Person::LOCAL && !self.local_roles.contains_key(&recipient.subject) {
            return Err(Rejection::Ended);
        }
        let Some(session) = opened.session else { return Ok(opened.until) };
        let sessions = self.store.sessions(Some(recipient))?;
        let known = sessions.iter().find(|known| known.id == session && known.expires_at > now);
        known.map(|known| known.expires_at.min(opened.until)).ok_or(Rejection::UnknownSession)
    }

    /// The identity of a browser that has opened a link.
    pub(super) fn opened_link(&self, text: &str, now: UnixTime) -> Result<Identity, Rejection> {
        let unknown = || Rejection::Link("it was not opened here".to_owned());
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| unknown())?;
        let opened = self.links.grants.open(GRANT, &sealed).map_err(|_| unknown())?;
        let opened = std::str::from_utf8(&opened).map_err(|_| unknown())?;
        let mut parts = opened.split(' ');
        let (Some(until), Some(id), Some(at), Some(session), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(unknown());
        };
        let moment = |text: &str| text.parse().map(UnixTime).map_err(|_| unknown());
        let (at, mut until) = (moment(at)?, moment(until)?);
        if until <= now {
            return Err(Rejection::Expired);
        }
        let record = self.store.share(id)?.ok_or_else(unknown)?;
        if let Some(recipient) = &LinkOptions::read(&record.options_json).recipient {
            let session = Some(session).filter(|session| !session.is_empty());
            until = self.recipient_may(&recipient.person(), &Opened { at, until, session }, now)?;
        }
        let identity = self.link_of_record(record, now)?;
        let end = identity.expires_at.map_or(until, |end| end.min(until));
        Ok(Identity { expires_at: Some(end), ..identity })
    }

    /// The identity of whoever may use a link with a record, however they came to it.
    pub fn link_of_record(&self, record: ShareRecord, now: UnixTime) -> Result<Identity, Rejection> {
        self.in_force(&record, now)?;
        let damaged = || Rejection::Link("its record cannot be read".to_owned());
        let kind = LinkType::parse(&record.kind).ok_or_else(damaged)?;
        let resources = ShareResource::read_all(&record.resources_json).ok_or_else(damaged)?;
        self.link_identity(kind, &resources, Some(record), None, now)
    }

    /// The identity of a link's holder, from claims whose signature holds.
    pub fn link(&self, claims: &ShareClaims, now: UnixTime) -> Result<Identity, Rejection> {
        let record = self.link_in_force(claims, now)?;
        self.link_identity(claims.link_type, &claims.resources, record, claims.expires_at(), now)
    }

    fn link_identity(
        &self,
        kind: LinkType,
        resources: &[ShareResource],
        record: Option<ShareRecord>,
        claimed_end: Option<UnixTime>,
        now: UnixTime,
    ) -> Result<Identity, Rejection> {
        let options = record.as_ref().map(|record| LinkOptions::read(&record.options_json)).unwrap_or_default();
        if options.unreadable {
            return Err(Rejection::Link("its conditions cannot be read".to_owned()));
        }
        let maker = record.as_ref().map(|record| self.link_maker_rights(record, now)).transpose()?;
        let (maker, makers_end) = maker.unzip();
        let reads: &[&str] = if kind == LinkType::Inbox { &[] } else { &["view", "download"] };
        let recheck_at = record.as_ref().and_then(|record| self.recheck_at(&record.owner, now));
        let unrecorded_end = if record.is_none() { self.links.accept_unrecorded_until } else { None };
        let expires_at =
            [claimed_end, record.as_ref().and_then(|record| record.expires_at), makers_end.flatten(), unrecorded_end];
        Ok(Identity {
            kind: IdentityKind::Link,
            name: format!("{} link", kind.as_str()),
            user_id: None,
            groups: Vec::new(),
            uses: record.as_ref().map(|record| self.recorder.counter(UseKind::Share, &record.id)),
            id: record.as_ref().map(|record| record.id.clone()),
            person: record.map(|record| record.owner),
            roles: Vec::new(),
            rights: Rights::new(reads.iter().copied(), Labels::none()),
            link: Some(LinkScope {
                resources: resources.iter().map(LinkedResource::from).collect(),
                maker,
                maker_needs: kind.permissions(),
                download: !options.no_download,
            }),
            expires_at: expires_at.into_iter().flatten().min(),
            recheck_at,
        })
    }

    /// The rights of a link's maker today; when it was made with an API key, of that key today, and when that key ends.
    fn link_maker_rights(&self, record: &ShareRecord, now: UnixTime) -> Result<(Rights, Option<UnixTime>), Rejection> {
        let options = LinkOptions::read(&record.options_json);
        let Some(key) = options.api_key else {
            return Ok((self.maker_rights(&record.owner, record.created_at, IdentityKind::Link, now)?, None));
        };
        let keys = self.store.api_keys(Some(&record.owner))?;
        let key =
            keys.iter().find(|candidate| candidate.id == key).ok_or(Rejection::MakerUnknown(IdentityKind::Link))?;
        if key.expires_at.is_some_and(|end| end <= now) {
            return Err(Rejection::MakerUnknown(IdentityKind::Link));
        }
        Ok((self.key_rights(key, now)?, key.expires_at))
    }
}
