//! A state that was set back: how it is noticed, and what happens until somebody has looked.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::tests::fresh;
use super::*;
use crate::store::tests::{anna, key, link};

fn epoch_path(directory: &TempDir) -> PathBuf {
    directory.path().join("authorization.db.epoch")
}

fn epoch_in_file(directory: &TempDir) -> String {
    fs::read_to_string(epoch_path(directory)).unwrap()
}

/// Ends the store, keeps its file as a backup, and opens it again.
fn back_up(directory: &TempDir, store: SqliteStore) -> SqliteStore {
    drop(store);
    let path = directory.path().join("authorization.db");
    fs::copy(&path, directory.path().join("backup")).unwrap();
    SqliteStore::open(&path).unwrap()
}

/// Ends the store, puts the backup in its place, and opens that.
fn restore(directory: &TempDir, store: SqliteStore) -> SqliteStore {
    drop(store);
    let path = directory.path().join("authorization.db");
    fs::copy(directory.path().join("backup"), &path).unwrap();
    SqliteStore::open(&path).unwrap()
}

/// What an administrator does who has looked at what a backup revived.
fn acknowledge(directory: &TempDir, store: SqliteStore) -> SqliteStore {
    drop(store);
    fs::remove_file(epoch_path(directory)).unwrap();
    let store = SqliteStore::open(&directory.path().join("authorization.db")).unwrap();
    assert_eq!(store.rolled_back(), None);
    store
}

#[test]
fn a_restored_backup_stops_issuing_until_acknowledged() {
    let (directory, store) = fresh();
    store.insert_share(&link("a")).unwrap();
    store.insert_api_key(&key(1)).unwrap();
    let store = back_up(&directory, store);
    assert!(store.revoke_share("a", None, UnixTime(1)).unwrap());
    assert!(store.delete_api_key("key-1", None).unwrap());

    let store = restore(&directory, store);
    assert_eq!(store.rolled_back(), Some(Rollback { database_epoch: 0, file_epoch: 2 }));
    assert!(store.share("a").unwrap().is_some(), "reading goes on");
    assert!(matches!(store.insert_api_key(&key(2)), Err(StoreError::RolledBack { .. })));
    let error = store.insert_share(&link("b")).unwrap_err();
    assert!(error.to_string().contains("from epoch 2 to 0"), "{error}");
    let opened = store.open_share("a", Some(3));
    assert!(matches!(opened, Err(StoreError::RolledBack { .. })), "nobody knows how often it was opened: {opened:?}");
    // Taking away goes on, and however much is taken away, a restart does not forget.
    for at in 0..5 {
        let changes = store.changes().unwrap();
        assert!(store.revoke_share("a", None, UnixTime(at)).unwrap());
        assert_eq!(store.changes().unwrap(), changes + 1, "other servers have to notice it");
    }
    drop(store);
    let store = SqliteStore::open(&directory.path().join("authorization.db")).unwrap();
    assert_eq!(store.rolled_back(), Some(Rollback { database_epoch: 0, file_epoch: 2 }));

    let store = acknowledge(&directory, store);
    assert!(matches!(store.warnings().as_slice(), [warning] if warning.contains("missing")), "{:?}", store.warnings());
    store.insert_api_key(&key(2)).unwrap();
    store.insert_share(&link("b")).unwrap();
    drop(store);
    let store = SqliteStore::open(&directory.path().join("authorization.db")).unwrap();
    assert_eq!((store.rolled_back(), store.warnings()), (None, vec![]));
}

#[test]
fn a_backup_that_was_acknowledged_is_seen_again_and_so_is_every_other_from_before() {
    let (directory, store) = fresh();
    let path = directory.path().join("authorization.db");
    store.insert_share(&link("a")).unwrap();
    let store = back_up(&directory, store);
    store.set_not_before(&anna(), UnixTime(1)).unwrap();
    store.set_not_before(&anna(), UnixTime(2)).unwrap();
    drop(store);
    let newer = directory.path().join("newer backup");
    fs::copy(&path, &newer).unwrap();
    let store = restore(&directory, SqliteStore::open(&path).unwrap());
    assert!(store.rolled_back().is_some());
    let store = acknowledge(&directory, store);
    store.set_not_before(&anna(), UnixTime(1)).unwrap();
    let store = restore(&directory, store);
    assert!(store.rolled_back().is_some_and(|rollback| rollback.database_epoch == 0), "the same one once more");
    drop(acknowledge(&directory, store));
    fs::copy(&newer, &path).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    assert!(store.rolled_back().is_some_and(|rollback| rollback.database_epoch == 2), "one of later");
}

#[test]
fn each_way_of_taking_away_advances_the_epoch() {
    let (directory, store) = fresh();
    store.insert_share(&link("a")).unwrap();
    store.insert_api_key(&key(1)).unwrap();
    store.put_setting("a", "b").unwrap();
    assert_eq!(epoch_in_file(&directory), "gatehouse state epoch 0\n");
    store.revoke_share("a", None, UnixTime(1)).unwrap();
    assert_eq!(epoch_in_file(&directory), "gatehouse state epoch 1\n");
    store.delete_api_key("key-1", None).unwrap();
    assert_eq!(epoch_in_file(&directory), "gatehouse state epoch 2\n");
    store.set_not_before(&anna(), UnixTime(1)).unwrap();
    assert_eq!(epoch_in_file(&directory), "gatehouse state epoch 3\n");
    store.delete_api_key("key-1", None).unwrap();
    assert_eq!(epoch_in_file(&directory), "gatehouse state epoch 3\n", "nothing was taken away");
}

#[test]
fn a_database_that_is_gone_is_a_step_back() {
    let (directory, store) = fresh();
    store.set_not_before(&anna(), UnixTime(1)).unwrap();
    drop(store);
    let path = directory.path().join("authorization.db");
    fs::remove_file(&path).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.rolled_back(), Some(Rollback { database_epoch: 0, file_epoch: 1 }));
}

#[test]
fn a_crash_between_database_and_file_is_healed_in_silence() {
    let (directory, store) = fresh();
    store.set_not_before(&anna(), UnixTime(1)).unwrap();
    let before = fs::read(epoch_path(&directory)).unwrap();
    store.set_not_before(&anna(), UnixTime(2)).unwrap();
    drop(store);
    fs::write(epoch_path(&directory), before).unwrap();
    // The crash may also have left a half-written successor.
    fs::write(directory.path().join("authorization.db.epoch.new"), "gatehouse sta").unwrap();
    let store = SqliteStore::open(&directory.path().join("authorization.db")).unwrap();
    assert_eq!((store.rolled_back(), store.warnings()), (None, vec![]));
    assert_eq!(epoch_in_file(&directory), "gatehouse state epoch 2\n");
}

#[test]
fn a_missing_or_damaged_epoch_file_is_written_anew_with_a_warning() {
    let (directory, store) = fresh();
    store.set_not_before(&anna(), UnixTime(1)).unwrap();
    drop(store);
    let path = directory.path().join("authorization.db");
    let mut last = 1;
    for (damage, word) in [(None, "missing"), (Some("gatehouse state epoch 1"), "damaged"), (Some("7\n"), "damaged")] {
        match damage {
            None => fs::remove_file(epoch_path(&directory)).unwrap(),
            Some(text) => fs::write(epoch_path(&directory), text).unwrap(),
        }
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.rolled_back(), None);
        assert!(matches!(store.warnings().as_slice(), [warning] if warning.contains(word)), "{:?}", store.warnings());
        let epoch = state::epoch(&store.reader.lock()).unwrap();
        assert!(epoch > last, "{epoch} after {last}");
        assert_eq!(epoch_in_file(&directory), format!("gatehouse state epoch {epoch}\n"));
        last = epoch;
    }
    assert_eq!(SqliteStore::open(&path).unwrap().warnings(), Vec::<String>::new());
}

#[test]
fn a_revocation_is_not_acknowledged_without_its_epoch_and_can_be_repeated() {
    let (directory, store) = fresh();
    store.insert_api_key(&key(1)).unwrap();
    // A directory in the way of the file's successor.
    let obstacle = directory.path().join("authorization.db.epoch.new");
    fs::create_dir(&obstacle).unwrap();
    let error = store.delete_api_key("key-1", None).unwrap_err();
    assert!(matches!(error, StoreError::EpochFile { .. }), "{error}");
    assert_eq!(store.api_key_by_hash(&[1; 32]).unwrap(), None, "but it is in force");
    assert_eq!(epoch_in_file(&directory), "gatehouse state epoch 0\n");
    fs::remove_dir(&obstacle).unwrap();
    assert!(!store.delete_api_key("key-1", None).unwrap());
    assert_eq!(epoch_in_file(&directory), "gatehouse state epoch 1\n", "the second try makes up for it");
}

#[test]
fn one_process_sees_that_another_acknowledged() {
    let (directory, store) = fresh();
    store.insert_share(&link("a")).unwrap();
    let store = back_up(&directory, store);
    store.set_not_before(&anna(), UnixTime(1)).unwrap();
    let store = restore(&directory, store);
    let path = directory.path().join("authorization.db");
    let other = SqliteStore::open(&path).unwrap();
    assert!(store.rolled_back().is_some() && other.rolled_back().is_some());
    let other = acknowledge(&directory, other);
    store.insert_api_key(&key(1)).unwrap();
    assert_eq!(store.rolled_back(), None);
    let epoch = state::epoch(&other.reader.lock()).unwrap();
    store.set_not_before(&anna(), UnixTime(2)).unwrap();
    assert_eq!(epoch_in_file(&directory), format!("gatehouse state epoch {}\n", epoch + 1));
}

#[test]
fn an_older_epoch_never_overwrites_a_newer_one() {
    let (directory, store) = fresh();
    let path = directory.path().join("authorization.db");
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let store = SqliteStore::open(&path).unwrap();
            scope.spawn(move || {
                for at in 0..10 {
                    store.set_not_before(&Person::local(&format!("{thread}")), UnixTime(at)).unwrap();
                }
            });
        }
    });
    assert_eq!(epoch_in_file(&directory), "gatehouse state epoch 30\n");
    for thread in 0..3 {
        assert_eq!(store.not_before(&Person::local(&format!("{thread}"))).unwrap(), Some(UnixTime(9)));
    }
}
