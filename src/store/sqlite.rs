//! The state in one SQLite file: one connection that writes, others that read and never wait for its disk.
//!
//! Here are transactions, the epoch and who may touch which connection; the statements are in the files below.

mod api_keys;
mod created_studies;
mod fault;
mod files;
mod launches;
mod open;
mod people;
#[cfg(test)]
mod rollback_tests;
mod row;
mod sessions;
mod shares;
mod state;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use self::fault::{PATIENCE_MS, fault};
use self::files::Files;
use super::epoch::{Epoch, EpochFile};
use super::{
    ApiKeyRecord, Cause, CreatedStudy, LaunchRecord, PersonRecord, Rollback, SHORTEST_SECRET, SessionRecord,
    SessionRenewal, ShareFilter, ShareRecord, Store, StoreError, UploadLimits, Uploaded, UseKind, UseRecord,
    WhichSessions,
};
use crate::clock::{self, UnixTime};
use crate::person::Person;

/// So far a provider's clock may be ahead of ours, in seconds: the most that `LeewaySeconds` grants.
const AHEAD: i64 = 300;

/// The state in a SQLite file.
pub struct SqliteStore {
    // Fields are dropped in this order: the writing connection goes last, and tidies the write-ahead log up.
    reader: Mutex<Connection>,
    /// For what may take long, so that a point read never waits for a list.
    list_reader: Mutex<Connection>,
    writer: Mutex<Connection>,
    files: Files,
    epoch_file: EpochFile,
    /// Locked after `writer` where both are needed.
    rollback: Mutex<Option<Rollback>>,
    warnings: Vec<String>,
    place: String,
}

impl SqliteStore {
    /// Opens the state, creating or upgrading it as needed. The directory must exist.
    ///
    /// # Errors
    /// What [`StoreError`] lists. A file that is not ours, or newer than this program, is left as it is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let place = format!("file {}", path.display());
        let writer = open::open_writer(path, &place)?;
        let mut store = Self {
            reader: Mutex::new(open::open_reader(path, &place)?),
            list_reader: Mutex::new(open::open_reader(path, &place)?),
            writer: Mutex::new(writer),
            files: Files::of(path),
            epoch_file: EpochFile::beside(path),
            rollback: Mutex::new(None),
            warnings: Vec::new(),
            place,
        };
        store.warnings = store.compare_epochs()?;
        Ok(store)
    }

    /// Stores many new links at once, or none of them. For `benches/links.rs`, which fills a state with very many: one by
    /// one, each waits for the disk.
    ///
    /// # Errors
    /// As of [`Store::insert_share`].
    pub fn insert_shares(&self, shares: &[ShareRecord]) -> Result<(), StoreError> {
        self.issue(|transaction| shares::insert_all(transaction, shares))
    }

    /// Whether the state is sound. Reads everything, so it takes a while: for `tests/durability.rs`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] says what is not.
    pub fn check(&self) -> Result<(), StoreError> {
        let found: Vec<String> = self.read_long(|connection| {
            let mut faults: Vec<String> = connection
                .prepare("PRAGMA quick_check(10)")?
                .query_map((), |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            faults.retain(|fault| fault != "ok");
            connection
                .prepare("PRAGMA foreign_key_check")?
                .query_map((), |row| row.get::<_, String>(0))?
                .try_for_each(|table| {
                    faults.push(format!("a row of {} refers to nothing", table?));
                    Ok::<_, rusqlite::Error>(())
                })?;
            Ok(faults)
        })?;
        if found.is_empty() {
            return Ok(());
        }
        Err(StoreError::Corrupt { place: self.place.clone(), source: found.join("; ").into() })
    }

    /// At start: is the database older than what was acknowledged?
    fn compare_epochs(&self) -> Result<Vec<String>, StoreError> {
        let mut warnings = Vec::new();
        self.write(|transaction| {
            let database_epoch = self.sql(state::epoch(transaction))?;
            let seen = self.epoch_file.read()?;
            match seen {
                Epoch::Reached(file_epoch) if file_epoch > database_epoch => {
                    *self.rollback.lock() = Some(Rollback { database_epoch, file_epoch });
                }
                // If it is behind, a crash came between the database and the file.
                Epoch::Reached(_) => {}
                // Nothing has been kept so far, so nothing can have been revived.
                Epoch::Missing if self.sql(state::is_empty(transaction))? => {}
                Epoch::Missing | Epoch::Damaged => {
                    let what = if seen == Epoch::Missing { "was missing" } else { "was damaged" };
                    warnings.push(format!(
                        "{}: the epoch file {what} and was written anew; if a backup of the state was restored, keys \
                         and links that were revoked since may be valid again",
                        self.epoch_file.path().display()
                    ));
                    // Beyond all that can have been reached, so that every older backup is seen when it is restored, the
                    // one that was just acknowledged too.
                    self.sql(state::advance_epoch_beyond(transaction, clock::now()))?;
                }
            }
            Ok(())
        })?;
        self.follow_with_file()?;
        Ok(warnings)
    }

    /// One transaction of the writing connection, from its first statement on alone with the database.
    fn write<T>(&self, body: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let patience = Duration::from_millis(PATIENCE_MS);
        let locked = || StoreError::Locked { place: self.place.clone(), waited_ms: PATIENCE_MS };
        let mut connection = self.writer.try_lock_for(patience).ok_or_else(locked)?;
        let transaction = self.sql(connection.transaction_with_behavior(TransactionBehavior::Immediate))?;
        self.files.are_those(&self.place)?;
        let result = body(&transaction)?;
        self.sql(transaction.commit())?;
        // What was written to a file that is gone is not acknowledged.
        self.files.are_those(&self.place)?;
        Ok(result)
    }

    /// One transaction that issues something.
    fn issue(&self, body: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        self.write(|transaction| {
            if let Some(Rollback { database_epoch, file_epoch }) = self.still_rolled_back(transaction)? {
                return Err(StoreError::RolledBack { place: self.place.clone(), database_epoch, file_epoch });
            }
            self.sql(body(transaction))
        })
    }

    /// One transaction that takes something away, and the epoch that goes with it. First the database, then the file:
    /// see `epoch.rs`. If the file cannot be written, the revocation is in force but not acknowledged.
    fn revoke(&self, body: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<bool>) -> Result<bool, StoreError> {
        let found = self.write(|transaction| {
            let found = self.sql(body(transaction))?;
            if found {
                self.sql(state::count_change(transaction))?;
                // While rolled back the database's epoch stays: it would otherwise catch up with the file, and the next start
                // would take the restored backup for the real thing. The file is ahead already.
                if self.still_rolled_back(transaction)?.is_none() {
                    self.sql(state::advance_epoch(transaction))?;
                }
            }
            Ok(found)
        })?;
        // Also when nothing was found: this may be the second try after a first one that could not write the file.
        self.follow_with_file()?;
        Ok(found)
    }

    /// Brings the file up to the database. In a transaction of its own that writes nothing: its lock keeps other
    /// processes from putting an older epoch over a newer one.
    fn follow_with_file(&self) -> Result<(), StoreError> {
        self.write(|transaction| {
            if self.still_rolled_back(transaction)?.is_some() {
                return Ok(());
            }
            let database = self.sql(state::epoch(transaction))?;
            match self.epoch_file.read()? {
                Epoch::Reached(file) if file >= database => Ok(()),
                _ => self.epoch_file.write(database),
            }
        })
    }

    /// The rollback found at start, unless another process has acknowledged it since.
    fn still_rolled_back(&self, transaction: &Transaction<'_>) -> Result<Option<Rollback>, StoreError> {
        let mut rollback = self.rollback.lock();
        if let Some(found) = *rollback {
            let database_epoch = self.sql(state::epoch(transaction))?;
            *rollback = (database_epoch < found.file_epoch).then_some(Rollback { database_epoch, ..found });
        }
        Ok(*rollback)
    }

    fn read<T>(&self, body: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.files.were_those(&self.place)?;
        self.sql(body(&self.reader.lock()))
    }

    fn read_long<T>(&self, body: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.files.were_those(&self.place)?;
        self.sql(body(&self.list_reader.lock()))
    }

    fn sql<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|error| fault(&self.place, error))
    }
}

impl Store for SqliteStore {
    fn insert_api_key(&self, key: &ApiKeyRecord) -> Result<(), StoreError> {
        self.issue(|transaction| api_keys::insert(transaction, key))
    }

    fn api_key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiKeyRecord>, StoreError> {
        self.read(|connection| api_keys::by_hash(connection, hash))
    }

    fn api_keys(&self, owner: Option<&Person>) -> Result<Vec<ApiKeyRecord>, StoreError> {
        self.read_long(|connection| api_keys::list(connection, owner))
    }

    fn delete_api_key(&self, id: &str, owner: Option<&Person>) -> Result<bool, StoreError> {
        self.revoke(|transaction| api_keys::delete(transaction, id, owner))
    }

    fn insert_share(&self, share: &ShareRecord) -> Result<(), StoreError> {
        self.issue(|transaction| shares::insert(transaction, share))
    }

    fn share(&self, id: &str) -> Result<Option<ShareRecord>, StoreError> {
        self.read(|connection| shares::by_id(connection, id))
    }

    fn share_by_code(&self, hash: &[u8; 32]) -> Result<Option<ShareRecord>, StoreError> {
        self.read(|connection| shares::by_code(connection, hash))
    }

    fn open_share(&self, id: &str, most: Option<u64>) -> Result<bool, StoreError> {
        let mut opened = false;
        // What a restored backup says of openings is not so.
        self.issue(|transaction| shares::open(transaction, id, most).map(|done| opened = done))?;
        Ok(opened)
    }

    fn take_upload(&self, id: &str, bytes: u64, limits: UploadLimits, now: UnixTime) -> Result<bool, StoreError> {
        let mut taken = false;
        // What a restored backup says of uploads is not so.
        self.issue(|transaction| shares::take_upload(transaction, id, bytes, limits, now).map(|done| taken = done))?;
        Ok(taken)
    }

    fn uploaded(&self, id: &str) -> Result<Uploaded, StoreError> {
        self.read(|connection| shares::uploaded(connection, id))
    }

    fn shares(&self, filter: &ShareFilter) -> Result<Vec<ShareRecord>, StoreError> {
        self.read_long(|connection| shares::list(connection, filter))
    }

    fn forget_instant_links(&self, over_before: UnixTime) -> Result<bool, StoreError> {
        self.write(|transaction| self.sql(shares::forget_instant(transaction, over_before)))
    }

    fn revoke_share(&self, id: &str, owner: Option<&Person>, at: UnixTime) -> Result<bool, StoreError> {
        self.revoke(|transaction| shares::revoke(transaction, id, owner, at))
    }

    fn linked(&self, ids: &[&str], index: Option<&str>) -> Result<Vec<String>, StoreError> {
        self.read_long(|connection| shares::linked(connection, ids, index))
    }

    fn resource_deleted(&self, id: &str, index: Option<&str>, before: Option<u64>) -> Result<bool, StoreError> {
        self.revoke(|transaction| shares::resource_deleted(transaction, id, index, before))
    }

    fn watched(&self, index: &str) -> Result<Option<u64>, StoreError> {
        self.read(|connection| shares::watched(connection, index))
    }

    fn keep_watched(&self, index: &str, change: u64) -> Result<(), StoreError> {
        // Nearly always: nothing was stored since, or no link was made there.
        if self.watched(index)?.is_none_or(|known| known == change) {
            return Ok(());
        }
        self.write(|transaction| self.sql(shares::keep_watched(transaction, index, change)))
    }

    fn insert_session(&self, session: &SessionRecord) -> Result<(), StoreError> {
        self.issue(|transaction| sessions::insert(transaction, session))
    }

    fn session_by_hash(&self, hash: &[u8; 32]) -> Result<Option<SessionRecord>, StoreError> {
        self.read(|connection| sessions::by_hash(connection, hash))
    }

    fn sessions(&self, person: Option<&Person>) -> Result<Vec<SessionRecord>, StoreError> {
        self.read_long(|connection| sessions::list(connection, person))
    }

    fn renew_session(&self, id: &str, renewal: &SessionRenewal) -> Result<bool, StoreError> {
        self.write(|transaction| self.sql(sessions::renew(transaction, id, renewal)))
    }

    fn end_sessions(&self, which: &WhichSessions<'_>) -> Result<bool, StoreError> {
        self.revoke(|transaction| sessions::end(transaction, which))
    }

    fn forget_sessions_over(&self, now: UnixTime) -> Result<(), StoreError> {
        self.write(|transaction| self.sql(sessions::forget_over(transaction, now)))
    }

    fn insert_launch(&self, launch: &LaunchRecord, now: UnixTime) -> Result<bool, StoreError> {
        let mut made_room = false;
        self.issue(|transaction| {
            made_room = launches::insert(transaction, launch, now)?;
            if made_room { state::count_change(transaction) } else { Ok(()) }
        })?;
        Ok(made_room)
    }

    fn take_launch_code(&self, hash: &[u8; 32]) -> Result<Option<(LaunchRecord, bool)>, StoreError> {
        // A stranger who tries codes keeps nobody from writing.
        if self.read(|connection| launches::by_code(connection, hash))?.is_none() {
            return Ok(None);
        }
        let mut taken = None;
        self.issue(|transaction| launches::take_code(transaction, hash).map(|found| taken = found))?;
        Ok(taken)
    }

    fn start_launch(&self, id: &str, refresh_hash: &[u8; 32]) -> Result<bool, StoreError> {
        let mut started = false;
        self.issue(|transaction| launches::start(transaction, id, refresh_hash).map(|done| started = done))?;
        Ok(started)
    }

    fn launch(&self, id: &str) -> Result<Option<LaunchRecord>, StoreError> {
        self.read(|connection| launches::by_id(connection, id))
    }

    fn rotate_launch(&self, id: &str, old_hash: &[u8; 32], new_hash: &[u8; 32]) -> Result<bool, StoreError> {
        let mut rotated = false;
        self.issue(|transaction| launches::rotate(transaction, id, old_hash, new_hash).map(|done| rotated = done))?;
        Ok(rotated)
    }

    fn revoke_launch(&self, id: &str, at: UnixTime) -> Result<bool, StoreError> {
        self.revoke(|transaction| launches::revoke(transaction, id, at))
    }

    fn record_uses(&self, uses: &[UseRecord]) -> Result<(), StoreError> {
        if uses.is_empty() {
            return Ok(());
        }
        self.write(|transaction| {
            uses.iter().try_for_each(|used| {
                self.sql(match used.kind {
                    UseKind::ApiKey => api_keys::used(transaction, &used.id, used.at),
                    UseKind::Share => shares::used(transaction, &used.id, used.count, used.at),
                    UseKind::Session => sessions::used(transaction, &used.id, used.at),
                })
            })
        })
    }

    fn remember_person(&self, record: &PersonRecord) -> Result<bool, StoreError> {
        let known = self.person(&record.person)?;
        let latest = clock::now().plus(AHEAD);
        if people::to_keep(known.as_ref(), record, latest).is_none() {
            return Ok(false);
        }
        self.write(|transaction| {
            let changed = self.sql(people::remember(transaction, record, latest))?;
            if changed {
                self.sql(state::count_change(transaction))?;
            }
            Ok(changed)
        })
    }

    fn person(&self, person: &Person) -> Result<Option<PersonRecord>, StoreError> {
        self.read(|connection| people::by_name(connection, person))
    }

    fn people_called(&self, name: &str) -> Result<Vec<PersonRecord>, StoreError> {
        self.read_long(|connection| people::called(connection, name))
    }

    fn set_not_before(&self, person: &Person, at: UnixTime) -> Result<(), StoreError> {
        self.revoke(|transaction| people::set_not_before(transaction, person, at).map(|()| true)).map(drop)
    }

    fn not_before(&self, person: &Person) -> Result<Option<UnixTime>, StoreError> {
        self.read(|connection| people::not_before(connection, person))
    }

    fn secret(&self, name: &str, generate: &dyn Fn() -> Result<Vec<u8>, Cause>) -> Result<Vec<u8>, StoreError> {
        let refuse = |source| StoreError::Secret { place: self.place.clone(), name: name.to_owned(), source };
        let long_enough = |secret: Vec<u8>| {
            if secret.len() < SHORTEST_SECRET { Err(refuse("it is too short".into())) } else { Ok(secret) }
        };
        if let Some(known) = self.read(|connection| people::secret(connection, name))? {
            return long_enough(known);
        }
        let new = long_enough(generate().map_err(refuse)?)?;
        self.write(|transaction| match self.sql(people::secret(transaction, name))? {
            Some(known) => long_enough(known),
            None => self.sql(people::keep_secret(transaction, name, &new)).map(|()| new),
        })
    }

    fn put_setting(&self, name: &str, text: &str) -> Result<(), StoreError> {
        self.write(|transaction| self.sql(people::put_setting(transaction, name, text)))
    }

    fn keep_created_study(&self, study: &CreatedStudy) -> Result<(), StoreError> {
        self.write(|transaction| self.sql(created_studies::keep(transaction, study)))
    }

    fn claim_created_study(
        &self,
        study: &CreatedStudy,
        over: Option<&CreatedStudy>,
    ) -> Result<Option<CreatedStudy>, StoreError> {
        self.write(|transaction| self.sql(created_studies::claim(transaction, study, over)))
    }

    fn created_study(&self, uid: &str) -> Result<Option<CreatedStudy>, StoreError> {
        self.read(|connection| created_studies::by_uid(connection, uid))
    }

    fn forget_created_study_of(&self, study: &str) -> Result<(), StoreError> {
        // Of nearly all that is deleted, nothing is kept.
        if !self.read_long(|connection| created_studies::is_kept(connection, study))? {
            return Ok(());
        }
        self.write(|transaction| self.sql(created_studies::forget_of(transaction, study)))
    }

    fn forget_created_study(&self, uid: &str) -> Result<(), StoreError> {
        self.write(|transaction| self.sql(created_studies::forget(transaction, uid)))
    }

    fn forget_created_studies(&self, before: UnixTime, after: UnixTime) -> Result<(), StoreError> {
        self.write(|transaction| self.sql(created_studies::forget_outside(transaction, before, after)))
    }

    fn created_studies(&self) -> Result<Vec<CreatedStudy>, StoreError> {
        self.read_long(created_studies::list)
    }

    fn changes(&self) -> Result<u64, StoreError> {
        self.files.are_those(&self.place)?;
        self.read(state::changes)
    }

    fn rolled_back(&self) -> Option<Rollback> {
        *self.rollback.lock()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}
