//! For tests: a state in a folder of its own, one method of which fails the next time that it is called.

use parking_lot::Mutex;

use super::{
    ApiKeyRecord, Cause, CreatedStudy, LaunchRecord, PersonRecord, Rollback, SessionRecord, SessionRenewal,
    ShareFilter, ShareRecord, SqliteStore, Store, StoreError, UploadLimits, Uploaded, UseRecord, WhichSessions,
};
use crate::clock::UnixTime;
use crate::person::Person;

/// How a method fails.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Error,
    Panic,
}

pub(crate) struct FaultyStore {
    inner: SqliteStore,
    next: Mutex<Option<(&'static str, Fault)>>,
    _folder: tempfile::TempDir,
}

impl FaultyStore {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inner = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        Self { inner, next: Mutex::default(), _folder: folder }
    }

    /// The next call of this method fails.
    pub(crate) fn fail(&self, method: &'static str, fault: Fault) {
        *self.next.lock() = Some((method, fault));
    }

    /// Whether that is still to come.
    pub(crate) fn will_fail(&self) -> bool {
        self.next.lock().is_some()
    }

    fn called(&self, method: &str) -> Result<(), StoreError> {
        let fault = self.next.lock().take_if(|(name, _)| *name == method);
        match fault {
            None => Ok(()),
            Some((_, Fault::Error)) => {
                Err(StoreError::Other { place: "this test".to_owned(), source: "as it was told".into() })
            }
            Some((_, Fault::Panic)) => panic!("expected in this test"),
        }
    }
}

macro_rules! faulty {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Store for FaultyStore {
            $(fn $name(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.called(stringify!($name))?;
                self.inner.$name($($argument),*)
            })*

            fn rolled_back(&self) -> Option<Rollback> {
                self.inner.rolled_back()
            }

            fn warnings(&self) -> Vec<String> {
                self.inner.warnings()
            }
        }
    };
}

faulty! {
    insert_api_key(key: &ApiKeyRecord) -> ();
    api_key_by_hash(hash: &[u8; 32]) -> Option<ApiKeyRecord>;
    api_keys(owner: Option<&Person>) -> Vec<ApiKeyRecord>;
    delete_api_key(id: &str, owner: Option<&Person>) -> bool;
    insert_share(share: &ShareRecord) -> ();
    share(id: &str) -> Option<ShareRecord>;
    share_by_code(hash: &[u8; 32]) -> Option<ShareRecord>;
    open_share(id: &str, most: Option<u64>) -> bool;
    take_upload(id: &str, bytes: u64, limits: UploadLimits, now: UnixTime) -> bool;
    uploaded(id: &str) -> Uploaded;
    shares(filter: &ShareFilter) -> Vec<ShareRecord>;
    forget_instant_links(over_before: UnixTime) -> bool;
    revoke_share(id: &str, owner: Option<&Person>, at: UnixTime) -> bool;
    linked(ids: &[&str], index: Option<&str>) -> Vec<String>;
    resource_deleted(id: &str, index: Option<&str>, before: Option<u64>) -> bool;
    watched(index: &str) -> Option<u64>;
    keep_watched(index: &str, change: u64) -> ();
    insert_session(session: &SessionRecord) -> ();
    session_by_hash(hash: &[u8; 32]) -> Option<SessionRecord>;
    sessions(person: Option<&Person>) -> Vec<SessionRecord>;
    renew_session(id: &str, renewal: &SessionRenewal) -> bool;
    end_sessions(which: &WhichSessions<'_>) -> bool;
    forget_sessions_over(now: UnixTime) -> ();
    insert_launch(launch: &LaunchRecord, now: UnixTime) -> bool;
    take_launch_code(hash: &[u8; 32]) -> Option<(LaunchRecord, bool)>;
    start_launch(id: &str, refresh_hash: &[u8; 32]) -> bool;
    launch(id: &str) -> Option<LaunchRecord>;
    rotate_launch(id: &str, old_hash: &[u8; 32], new_hash: &[u8; 32]) -> bool;
    revoke_launch(id: &str, at: UnixTime) -> bool;
    record_uses(uses: &[UseRecord]) -> ();
    remember_person(record: &PersonRecord) -> bool;
    person(person: &Person) -> Option<PersonRecord>;
    people_called(name: &str) -> Vec<PersonRecord>;
    set_not_before(person: &Person, at: UnixTime) -> ();
    not_before(person: &Person) -> Option<UnixTime>;
    secret(name: &str, generate: &dyn Fn() -> Result<Vec<u8>, Cause>) -> Vec<u8>;
    put_setting(name: &str, text: &str) -> ();
    keep_created_study(study: &CreatedStudy) -> ();
    claim_created_study(study: &CreatedStudy, over: Option<&CreatedStudy>) -> Option<CreatedStudy>;
    created_study(uid: &str) -> Option<CreatedStudy>;
    forget_created_study_of(study: &str) -> ();
    forget_created_study(uid: &str) -> ();
    forget_created_studies(before: UnixTime, after: UnixTime) -> ();
    created_studies() -> Vec<CreatedStudy>;
    changes() -> u64;
}
