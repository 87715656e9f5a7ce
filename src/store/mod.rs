//! The state that outlives a restart: API keys, links, sessions, people seen, revocations and secrets of our own.
//!
//! What a method has answered with `Ok` is durable. Knows nothing of requests, rights or JSON of the routes: it keeps
//! what it is given. Every method may wait for a disk; only the point reads are meant for a path that a request waits
//! for, and even those sit behind a cache.
#![forbid(unsafe_code)]

mod epoch;
mod error;
#[cfg(test)]
pub(crate) mod faulty;
mod launch;
mod migrations;
mod sqlite;
#[cfg(test)]
pub(crate) mod tests;

pub use error::{Cause, StoreError};
pub use launch::LaunchRecord;
pub use sqlite::SqliteStore;

use crate::clock::UnixTime;
use crate::person::Person;

/// So many bytes a secret has at least.
pub const SHORTEST_SECRET: usize = 32;

/// An API key as stored. The key itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// The public identifier, shown in lists. Unique.
    pub id: String,
    /// Keyed hash of the key. Unique.
    pub hash: [u8; 32],
    /// What its maker called it.
    pub name: String,
    /// Its maker, whose rights today bound it.
    pub owner: Person,
    /// How the maker is shown.
    pub owner_name: String,
    /// An administrator made it: `roles` may then give more than the maker has.
    pub granted_by_admin: bool,
    /// Narrowing to these roles; `None` does not narrow, an empty list leaves nothing.
    pub roles: Option<Vec<String>>,
    /// Narrowing to these permissions; `None` does not narrow, an empty list leaves nothing.
    pub permissions: Option<Vec<String>>,
    /// Narrowing to these labels; `None` does not narrow, an empty list leaves nothing.
    pub authorized_labels: Option<Vec<String>>,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it ends; `None`: never.
    pub expires_at: Option<UnixTime>,
    /// When it was last used, as far as [`Store::record_uses`] was told.
    pub last_use: Option<UnixTime>,
}

/// A link as stored. The token itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareRecord {
    /// The `jti` of the token. Unique.
    pub id: String,
    /// The link's type: `ohif-viewer-publication` and the like.
    pub kind: String,
    /// The resources as the token names them, JSON text, kept as it is.
    pub resources_json: String,
    /// The Orthanc identifiers and DICOM UIDs in `resources_json`, by which a list can be filtered. Comes back sorted
    /// and without repeats in a list; empty in a record that is asked for by itself, as that is done for requests.
    pub resource_ids: Vec<String>,
    /// Of these the Orthanc identifiers that were deleted from the server since the link was made.
    pub deleted: Vec<String>,
    /// The name of the index that they were in when it was made; `None`: not known.
    pub index: Option<String>,
    /// How many changes that index had counted by then (`Last` of `GET /changes?last`).
    pub index_change: u64,
    /// SHA-256 of its token; `None`: it is opened by its code only, or was made by an earlier version.
    pub token_hash: Option<[u8; 32]>,
    /// Its maker, whose rights today bound it.
    pub owner: Person,
    /// How the maker is shown.
    pub owner_name: String,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it begins; `None`: at once.
    pub not_before: Option<UnixTime>,
    /// When it ends; `None`: never.
    pub expires_at: Option<UnixTime>,
    /// Further conditions, JSON text, kept as it is.
    pub options_json: String,
    /// SHA-256 of its code; `None`: it has no short form. Unique.
    pub code_hash: Option<[u8; 32]>,
    /// How often it was opened by its code.
    pub openings: u64,
    /// When it was revoked.
    pub revoked_at: Option<UnixTime>,
    /// How often it was used, as far as [`Store::record_uses`] was told.
    pub uses: u64,
    /// When it was last used, as far as [`Store::record_uses`] was told.
    pub last_use: Option<UnixTime>,
}

/// How much came in by a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uploaded {
    /// Instances.
    pub instances: u64,
    /// Bytes of those instances.
    pub bytes: u64,
}

/// How much may come in by a link, all told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadLimits {
    /// So many instances; `None`: any number.
    pub instances: Option<u64>,
    /// So many bytes; `None`: any number.
    pub bytes: Option<u64>,
}

/// Which links to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareFilter {
    /// Only those of this maker.
    pub owner: Option<Person>,
    /// Only those with this Orthanc identifier or DICOM UID among their `resource_ids`.
    pub resource: Option<String>,
    /// Only those whose maker has this name or subject.
    pub user: Option<String>,
    /// Only those that are neither revoked nor over at this time.
    pub not_over_at: Option<UnixTime>,
    /// At most so many; `None`: all.
    pub limit: Option<u32>,
    /// Go on after the link with this id, the last of the page before. An unknown id gives an empty page.
    pub after: Option<String>,
}

/// A browser's session as stored. What the browser holds is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The public identifier, shown in lists. Unique.
    pub id: String,
    /// SHA-256 of the browser's secret. Unique.
    pub hash: [u8; 32],
    /// Who logged in.
    pub person: Person,
    /// How they are shown.
    pub name: String,
    /// Their roles, as the provider last said; not looked at for a local account.
    pub roles: Vec<String>,
    /// Their groups, as the provider last said.
    pub groups: Vec<String>,
    /// The provider's own session (claim `sid`), by which it can end ours; of a local account, what its password of then
    /// is told by.
    pub provider_session: Option<String>,
    /// When they logged in.
    pub created_at: UnixTime,
    /// When they have to log in again.
    pub expires_at: UnixTime,
    /// Until when the provider's last word counts.
    pub valid_until: UnixTime,
    /// The provider's tokens, encrypted with a key that only the browser's secret gives; kept as it is.
    pub sealed: Vec<u8>,
    /// When it was last used, as far as [`Store::record_uses`] was told.
    pub last_use: Option<UnixTime>,
}

/// What a new word from the provider changes of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRenewal {
    /// As in [`SessionRecord`].
    pub name: String,
    /// As in [`SessionRecord`].
    pub roles: Vec<String>,
    /// As in [`SessionRecord`].
    pub groups: Vec<String>,
    /// As in [`SessionRecord`].
    pub valid_until: UnixTime,
    /// As in [`SessionRecord`].
    pub sealed: Vec<u8>,
}

/// Sessions to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichSessions<'a> {
    /// The one with this identifier.
    One(&'a str),
    /// All of a person.
    Of(&'a Person),
    /// Those that belong to a session of the provider's; of its user, if it says who that is, also those of which it is not
    /// known which session of the provider's they belong to.
    AtProvider {
        /// The issuer, as in [`SessionRecord::person`].
        issuer: &'a str,
        /// Its name for the session.
        session: &'a str,
        /// The subject, as in [`SessionRecord::person`].
        subject: Option<&'a str>,
    },
}

/// What was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UseKind {
    /// An API key.
    ApiKey,
    /// A link.
    Share,
    /// A session; only when, not how often.
    Session,
}

/// Uses of one key, link or session since the last batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseRecord {
    /// What was used.
    pub kind: UseKind,
    /// Its id. One that does not exist (any more) is ignored.
    pub id: String,
    /// How often.
    pub count: u64,
    /// When last.
    pub at: UnixTime,
}

/// What is known of a person from the newest token, or from the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonRecord {
    /// Who.
    pub person: Person,
    /// How they are shown.
    pub name: String,
    /// Their groups.
    pub groups: Vec<String>,
    /// Their roles.
    pub roles: Vec<String>,
    /// From when this is: the `iat` of the token.
    pub seen_at: UnixTime,
}

/// A study that somebody brought in, or is just bringing in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedStudy {
    /// StudyInstanceUID. Unique.
    pub uid: String,
    /// Who.
    pub creator: Person,
    /// When its first instance came.
    pub created_at: UnixTime,
    /// Its Orthanc identifier, once that instance is stored.
    pub study: Option<String>,
    /// The labels that it was, or will be, given then.
    pub labels: Vec<String>,
}

/// The database is older than what was acknowledged before: a backup was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// The epoch of the database.
    pub database_epoch: u64,
    /// The epoch that had been reached.
    pub file_epoch: u64,
}

/// The state. Every method may be called from any thread at any time.
///
/// # Errors
/// All methods: what [`StoreError`] lists. After an error nothing of what was asked for has been acknowledged, and
/// asking again is harmless.
pub trait Store: Send + Sync {
    /// Stores a new key. Refused while a rollback is unacknowledged; [`StoreError::Exists`] if id or hash are taken.
    fn insert_api_key(&self, key: &ApiKeyRecord) -> Result<(), StoreError>;
    /// The key with this hash, expired or not.
    fn api_key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiKeyRecord>, StoreError>;
    /// All keys, or those of one maker, oldest first.
    fn api_keys(&self, owner: Option<&Person>) -> Result<Vec<ApiKeyRecord>, StoreError>;
    /// Deletes a key, with `owner` only if it is theirs; says whether there was one. Advances the epoch.
    fn delete_api_key(&self, id: &str, owner: Option<&Person>) -> Result<bool, StoreError>;

    /// Stores a new link. Refused while a rollback is unacknowledged; [`StoreError::Exists`] if the id is taken.
    fn insert_share(&self, share: &ShareRecord) -> Result<(), StoreError>;
    /// The link with this id, expired, revoked or not.
    fn share(&self, id: &str) -> Result<Option<ShareRecord>, StoreError>;
    /// The link with this hash of its code, expired, revoked or not.
    fn share_by_code(&self, hash: &[u8; 32]) -> Result<Option<ShareRecord>, StoreError>;
    /// Counts one opening of a link that is not revoked, unless that would be more than `most`; says whether it did.
    fn open_share(&self, id: &str, most: Option<u64>) -> Result<bool, StoreError>;
    /// Counts one instance of so many bytes that comes in by a link, if the link may be used now and the instance fits
    /// into its limits; says whether it did. Two who come at once do not both take the last place. Refused while a
    /// rollback is unacknowledged.
    fn take_upload(&self, id: &str, bytes: u64, limits: UploadLimits, now: UnixTime) -> Result<bool, StoreError>;
    /// How much came in by a link so far.
    fn uploaded(&self, id: &str) -> Result<Uploaded, StoreError>;
    /// Links, newest first.
    fn shares(&self, filter: &ShareFilter) -> Result<Vec<ShareRecord>, StoreError>;
    /// Revokes a link, with `owner` only if it is theirs; says whether there is one. A link revoked before keeps its
    /// first date. Advances the epoch.
    fn revoke_share(&self, id: &str, owner: Option<&Person>, at: UnixTime) -> Result<bool, StoreError>;

    /// Of the resources with these Orthanc identifiers those that there are links to, made since they were last deleted;
    /// with `index` only links that were made on the index of this name.
    fn linked(&self, ids: &[&str], index: Option<&str>) -> Result<Vec<String>, StoreError>;
    /// Forgets instant links that were over before this time, some of them where there are very many; says whether there may
    /// be more. What is forgotten opens nothing: a link without its record is none.
    fn forget_instant_links(&self, over_before: UnixTime) -> Result<bool, StoreError>;
    /// Keeps in all links to it that the resource with this Orthanc identifier was deleted, with `index` only in those that
    /// were made on the index of this name, with `before` only in those that were made before this change of it; says
    /// whether there are any of which that was not known. Advances the epoch.
    fn resource_deleted(&self, id: &str, index: Option<&str>, before: Option<u64>) -> Result<bool, StoreError>;

    /// The last change of the index of this name that somebody watched who has this state, as it was kept; in the beginning
    /// the [`ShareRecord::index_change`] of the first link that was made on it. `None` where there is no such link.
    fn watched(&self, index: &str) -> Result<Option<u64>, StoreError>;
    /// Keeps that somebody watched this index up to this change, where a link was made on it. A smaller number than before
    /// counts too: an older index may have been put in its place.
    fn keep_watched(&self, index: &str, change: u64) -> Result<(), StoreError>;

    /// Stores a new session. Refused while a rollback is unacknowledged: it might revive what a restored backup forgot.
    fn insert_session(&self, session: &SessionRecord) -> Result<(), StoreError>;
    /// The session with this hash, over or not.
    fn session_by_hash(&self, hash: &[u8; 32]) -> Result<Option<SessionRecord>, StoreError>;
    /// All sessions, or those of one person, oldest first.
    fn sessions(&self, person: Option<&Person>) -> Result<Vec<SessionRecord>, StoreError>;
    /// Keeps a new word from the provider; says whether the session is still there.
    fn renew_session(&self, id: &str, renewal: &SessionRenewal) -> Result<bool, StoreError>;
    /// Ends sessions; says whether there were any. Advances the epoch.
    fn end_sessions(&self, which: &WhichSessions<'_>) -> Result<bool, StoreError>;
    /// Forgets sessions that are over.
    fn forget_sessions_over(&self, now: UnixTime) -> Result<(), StoreError>;

    /// Stores a new launch, whose code nobody has come with yet; the oldest of very many of one link, client and
    /// session makes room for it, and then that is said. Refused while a rollback is unacknowledged.
    fn insert_launch(&self, launch: &LaunchRecord, now: UnixTime) -> Result<bool, StoreError>;
    /// The launch with this hash of its code, over or not, and whether this is the first that comes with it: there is
    /// one first. Refused while a rollback is unacknowledged.
    fn take_launch_code(&self, hash: &[u8; 32]) -> Result<Option<(LaunchRecord, bool)>, StoreError>;
    /// Keeps the first refresh token of a launch whose code was taken; says whether that may be. Refused while a
    /// rollback is unacknowledged.
    fn start_launch(&self, id: &str, refresh_hash: &[u8; 32]) -> Result<bool, StoreError>;
    /// The launch with this id, over, ended or not.
    fn launch(&self, id: &str) -> Result<Option<LaunchRecord>, StoreError>;
    /// Puts a new refresh token in the place of the one that counts; says whether the old one was that. Refused while a
    /// rollback is unacknowledged.
    fn rotate_launch(&self, id: &str, old_hash: &[u8; 32], new_hash: &[u8; 32]) -> Result<bool, StoreError>;
    /// Ends a launch; says whether it went on until then. Advances the epoch.
    fn revoke_launch(&self, id: &str, at: UnixTime) -> Result<bool, StoreError>;

    /// Adds uses, all in one transaction. Not for the path of a request: call it from a thread that gathers them.
    fn record_uses(&self, uses: &[UseRecord]) -> Result<(), StoreError>;

    /// Keeps what is known of a person, unless something newer by `seen_at` is stored, which a clock that was ahead did not
    /// make so; of two words of the same second the roles that both say. Says whether somebody who was known has other roles
    /// by that. Costs no write when nothing changes.
    fn remember_person(&self, record: &PersonRecord) -> Result<bool, StoreError>;
    /// What is known of a person.
    fn person(&self, person: &Person) -> Result<Option<PersonRecord>, StoreError>;
    /// Everybody who is shown by this name or has it as subject.
    fn people_called(&self, name: &str) -> Result<Vec<PersonRecord>, StoreError>;
    /// Nothing that this person was given before `at` counts any more, nor what was given until now, should the clock have
    /// been ahead then. Never moves back: that would revive what was revoked. Advances the epoch.
    fn set_not_before(&self, person: &Person, at: UnixTime) -> Result<(), StoreError>;
    /// The person's not-before.
    fn not_before(&self, person: &Person) -> Result<Option<UnixTime>, StoreError>;

    /// The secret of this name; if there is none, what `generate` makes becomes it. All who ask, in whatever process,
    /// get the same one. [`StoreError::Secret`] if it has fewer than [`SHORTEST_SECRET`] bytes, or none can be made.
    fn secret(&self, name: &str, generate: &dyn Fn() -> Result<Vec<u8>, Cause>) -> Result<Vec<u8>, StoreError>;
    /// Stores a text under a name, replacing what was there: for people, who find it by the command in the docs.
    fn put_setting(&self, name: &str, text: &str) -> Result<(), StoreError>;

    /// Keeps who creates a study, replacing what was kept of this UID.
    fn keep_created_study(&self, study: &CreatedStudy) -> Result<(), StoreError>;
    /// Keeps who creates a study, unless somebody else is kept for its UID, and not `over`; gives that then. Of two servers
    /// that share the state, one is first.
    fn claim_created_study(
        &self,
        study: &CreatedStudy,
        over: Option<&CreatedStudy>,
    ) -> Result<Option<CreatedStudy>, StoreError>;
    /// What is kept of the study with this UID.
    fn created_study(&self, uid: &str) -> Result<Option<CreatedStudy>, StoreError>;
    /// Forgets who created the study with this Orthanc identifier, whichever server has kept it.
    fn forget_created_study_of(&self, study: &str) -> Result<(), StoreError>;
    /// Forgets who created the study with this UID.
    fn forget_created_study(&self, uid: &str) -> Result<(), StoreError>;
    /// Forgets who created the studies that came before a time, and those that came after another one, when the clock was
    /// ahead.
    fn forget_created_studies(&self, before: UnixTime, after: UnixTime) -> Result<(), StoreError>;
    /// All that is kept of created studies.
    fn created_studies(&self) -> Result<Vec<CreatedStudy>, StoreError>;

    /// Another number after each revocation, and after each change of the roles of somebody who was known, by whatever
    /// process: what was verified before that may not be so any more.
    fn changes(&self) -> Result<u64, StoreError>;
    /// Set when a backup was restored: revocations since then are lost, and nothing is issued until an administrator
    /// has removed the epoch file, and the state is opened again.
    fn rolled_back(&self) -> Option<Rollback>;
    /// What the administrator should read in the log at start, each a sentence.
    fn warnings(&self) -> Vec<String>;
}
