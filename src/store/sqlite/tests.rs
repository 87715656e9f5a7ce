//! What only a file can do: be damaged, foreign, newer, full or locked. What needs a process of its own is
//! in `tests/durability.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use super::shares::list_sql;
use super::*;
use crate::store::migrations::{APPLICATION_ID, MIGRATIONS, migrate, version};
use crate::store::tests::{anna, key, link, store_suite};

pub(super) fn fresh() -> (TempDir, SqliteStore) {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open(&directory.path().join("authorization.db")).unwrap();
    (directory, store)
}

store_suite!(fresh);

fn failure(path: &Path) -> StoreError {
    SqliteStore::open(path).err().expect("must be refused")
}

fn foreign(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA journal_mode=wal; CREATE TABLE MainDicomTags (id INTEGER);").unwrap();
}

#[test]
fn commits_wait_for_the_disk_and_readers_cannot_write() {
    let (_directory, store) = fresh();
    let pragma = |connection: &Connection, name: &str| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap()
    };
    let writer = store.writer.lock();
    assert_eq!(pragma(&writer, "synchronous"), 2, "2 is FULL");
    assert_eq!(pragma(&writer, "foreign_keys"), 1);
    assert_eq!(pragma(&writer, "busy_timeout"), 2000);
    assert_eq!(pragma(&writer, "application_id"), i64::from(APPLICATION_ID));
    let mode: String = writer.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    for reader in [&store.reader, &store.list_reader] {
        assert_eq!(pragma(&reader.lock(), "query_only"), 1);
        assert!(reader.lock().execute("DELETE FROM shares", ()).is_err());
    }
}

#[test]
fn a_reader_does_not_wait_for_a_writer() {
    let (_directory, store) = fresh();
    store.insert_api_key(&key(1)).unwrap();
    let writer = store.writer.lock();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM api_keys").unwrap();
    assert_eq!(store.api_key_by_hash(&[1; 32]).unwrap(), Some(key(1)));
    assert_eq!(store.api_keys(None).unwrap(), [key(1)]);
}

#[test]
fn the_files_are_for_their_owner_only() {
    let (directory, store) = fresh();
    store.insert_api_key(&key(1)).unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    let base = "authorization.db";
    assert_eq!(names, [base.to_owned(), format!("{base}-shm"), format!("{base}-wal"), format!("{base}.epoch")]);
}

#[test]
fn what_was_stored_is_there_after_a_restart() {
    let (directory, store) = fresh();
    store.insert_api_key(&key(1)).unwrap();
    store.insert_share(&link("a")).unwrap();
    let secret = store.secret("signing", &|| Ok(vec![7; 32])).unwrap();
    drop(store);
    let store = SqliteStore::open(&directory.path().join("authorization.db")).unwrap();
    assert_eq!(store.api_key_by_hash(&[1; 32]).unwrap(), Some(key(1)));
    assert_eq!(store.share("a").unwrap(), Some(link("a")));
    assert_eq!(store.secret("signing", &|| Ok(vec![8; 32])).unwrap(), secret);
}

#[test]
fn a_secret_that_was_cut_short_is_refused() {
    let (_directory, store) = fresh();
    store.secret("pepper", &|| Ok(vec![7; 32])).unwrap();
    store.writer.lock().execute("UPDATE secrets SET value = x''", ()).unwrap();
    let error = store.secret("pepper", &|| Ok(vec![8; 32])).unwrap_err();
    assert!(error.to_string().contains("pepper"), "{error}");
}

#[test]
fn a_known_person_costs_no_write() {
    let (_directory, store) = fresh();
    let record =
        PersonRecord { person: anna(), name: String::new(), groups: vec![], roles: vec![], seen_at: UnixTime(5) };
    store.remember_person(&record).unwrap();
    let _nobody_writes = store.writer.lock();
    store.remember_person(&record).unwrap();
    store.remember_person(&PersonRecord { seen_at: UnixTime(4), ..record.clone() }).unwrap();
    assert_eq!(store.person(&anna()).unwrap(), Some(record));
}

#[test]
fn lists_of_links_use_an_index() {
    let (_directory, store) = fresh();
    let reader = store.reader.lock();
    let some = || Some("x".to_owned());
    let (owners, texts) = ([None, Some(anna())], [None, some()]);
    for number in 0..32 {
        let pick = |bit: u32| texts[number >> bit & 1].clone();
        let (resource, after, user) = (pick(0), pick(1), pick(2));
        let not_over_at = (number >> 4 == 1).then_some(UnixTime(5));
        let owner = owners[number >> 3 & 1].clone();
        let filter = ShareFilter { owner, resource, after, user, not_over_at, limit: None };
        let steps = steps(&reader, &list_sql(&filter));
        let is_unfiltered = ShareFilter { not_over_at: None, ..filter.clone() } == ShareFilter::default();
        let by_user_alone = filter.user.is_some() && filter.owner.is_none() && filter.resource.is_none();
        for step in &steps {
            // Without any filter the table itself is walked from its end.
            assert!(!step.contains("SCAN shares") || is_unfiltered, "{filter:?}: {steps:?}");
            // By user two lists of the newest are made one, no longer than two pages.
            let is_scan = step.contains("SCAN") && step != "SCAN shares";
            let sorts = step.contains("TEMP B-TREE FOR ORDER BY");
            assert!(by_user_alone || !is_scan && !sorts, "{filter:?}: {steps:?}");
        }
    }
}

#[test]
fn launches_of_a_link_and_links_to_a_resource_are_found_by_an_index() {
    let (_directory, store) = fresh();
    let reader = store.reader.lock();
    let forgetting = super::shares::forget_instant_sql();
    for sql in [&forgetting, super::launches::TOO_MANY, super::shares::LINKED, super::shares::RESOURCE_DELETED] {
        let steps = steps(&reader, sql);
        // A single row, and the few identifiers within one link.
        let small = |step: &str| step == "SCAN CONSTANT ROW" || step.starts_with("SCAN json_each");
        let slow = |step: &String| step.contains("SCAN") && !small(step) || step.contains("B-TREE");
        assert!(!steps.iter().any(slow), "{sql}: {steps:?}");
    }
}

/// How SQLite goes about a statement.
fn steps(connection: &Connection, sql: &str) -> Vec<String> {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    // The plan does not depend on the values, which stay NULL.
    let mut rows = explain.raw_query();
    let mut steps: Vec<String> = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get(3).unwrap());
    }
    assert!(!steps.is_empty());
    steps
}

#[test]
fn orthancs_index_is_refused_by_whatever_name_and_untouched() {
    let directory = TempDir::new().unwrap();
    let index = directory.path().join("index");
    assert!(matches!(failure(&index), StoreError::OrthancIndex { .. }));
    assert!(!index.exists(), "not even created");
    foreign(&index);
    let before = fs::read(&index).unwrap();
    let (symbolic, hard) = (directory.path().join("symbolic.db"), directory.path().join("hard.db"));
    std::os::unix::fs::symlink(&index, &symbolic).unwrap();
    fs::hard_link(&index, &hard).unwrap();
    for path in [&index, &symbolic, &hard] {
        let error = failure(path);
        assert!(matches!(error, StoreError::OrthancIndex { .. }), "{error}");
    }
    assert_eq!(fs::read(&index).unwrap(), before);
}

#[test]
fn a_foreign_database_is_refused_and_untouched() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("other.db");
    foreign(&path);
    let before = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap());
    let error = failure(&path);
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("other.db"), "{error}");
    assert_eq!((fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap()), before);

    // No tables yet, but somebody has put their name on it.
    let path = directory.path().join("marked.db");
    Connection::open(&path).unwrap().execute_batch("PRAGMA application_id=7").unwrap();
    assert!(matches!(failure(&path), StoreError::Foreign { .. }));
}

#[test]
fn a_foreign_database_whose_owner_is_writing_is_refused_too() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("other.db");
    let owner = Connection::open(&path).unwrap();
    owner.execute_batch("PRAGMA journal_mode=wal; CREATE TABLE theirs (id INTEGER); BEGIN IMMEDIATE").unwrap();
    assert!(matches!(failure(&path), StoreError::Foreign { .. }));
    owner.execute_batch("INSERT INTO theirs VALUES (1); COMMIT").unwrap();
}

#[test]
fn an_empty_file_is_taken() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("empty.db");
    fs::write(&path, "").unwrap();
    SqliteStore::open(&path).unwrap().insert_api_key(&key(1)).unwrap();
}

#[test]
fn a_newer_database_is_refused_with_both_versions_and_untouched() {
    let (directory, store) = fresh();
    let newest = i64::try_from(MIGRATIONS.len()).unwrap();
    store.writer.lock().pragma_update(None, "user_version", newest + 3).unwrap();
    drop(store);
    let path = directory.path().join("authorization.db");
    let before = fs::read(&path).unwrap();
    let error = failure(&path);
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
    assert!(error.to_string().contains(&format!("version {}, this program knows versions up to {newest}", newest + 3)));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_migration_that_fails_leaves_the_version_before() {
    let mut connection = Connection::open_in_memory().unwrap();
    let half = "CREATE TABLE added (id INTEGER); CREATE TABLE added (id INTEGER)";
    let steps = ["CREATE TABLE first (id INTEGER)", half];
    assert!(migrate(&mut connection, &steps).is_err());
    assert_eq!(version(&connection).unwrap(), 1);
    let tables = "SELECT group_concat(name) FROM sqlite_schema";
    assert_eq!(connection.query_row(tables, (), |row| row.get::<_, String>(0)).unwrap(), "first");
    // The next program brings the step that works, and only that one runs.
    migrate(&mut connection, &[steps[0], "CREATE TABLE second (id INTEGER)"]).unwrap();
    assert_eq!(version(&connection).unwrap(), 2);
    assert_eq!(connection.query_row(tables, (), |row| row.get::<_, String>(0)).unwrap(), "first,second");
}

#[test]
fn what_is_no_database_is_refused_and_untouched() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("notes.txt");
    let text = "Dear diary, ".repeat(100);
    fs::write(&path, &text).unwrap();
    let error = failure(&path);
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn damage_inside_the_file_is_found() {
    let (directory, store) = fresh();
    for number in 0..200 {
        store.insert_api_key(&key(number)).unwrap();
    }
    drop(store);
    let path = directory.path().join("authorization.db");
    let mut bytes = fs::read(&path).unwrap();
    // All but the first page, which holds the schema.
    bytes[4096..].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    // The epoch is on a damaged page, so it shows at once.
    let error = failure(&path);
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

/// `docs/operations.md` tells people this statement.
#[test]
fn settings_are_replaced_and_found_by_people() {
    let (_directory, store) = fresh();
    let statement = "SELECT text FROM settings WHERE name = 'previous-roles-file'";
    let text = || store.reader.lock().query_row(statement, (), |row| row.get::<_, String>(0)).ok();
    assert_eq!(text(), None);
    for new in ["old", "new", ""] {
        store.put_setting("previous-roles-file", new).unwrap();
        store.put_setting("another", "text").unwrap();
        assert_eq!(text().as_deref(), Some(new));
    }
}

#[test]
fn a_damaged_page_that_nobody_reads_is_found() {
    let (directory, store) = fresh();
    store.put_setting("roles", &"x".repeat(100_000)).unwrap();
    store.check().unwrap();
    drop(store);
    let path = directory.path().join("authorization.db");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 20_000]).unwrap();
    // Depending on which page is missing it shows at once or when all are read; never is it taken for sound.
    let error = SqliteStore::open(&path).and_then(|store| store.check()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[test]
fn a_damaged_value_is_an_error_and_no_key() {
    let (_directory, store) = fresh();
    store.insert_api_key(&key(1)).unwrap();
    store.writer.lock().execute("UPDATE api_keys SET permissions = 'view'", ()).unwrap();
    assert!(matches!(store.api_key_by_hash(&[1; 32]), Err(StoreError::Corrupt { .. })));
}

#[test]
fn paths_that_cannot_work_say_so() {
    let directory = TempDir::new().unwrap();
    let error = failure(&directory.path().join("missing/authorization.db"));
    assert!(matches!(error, StoreError::NoDirectory { .. }), "{error}");
    let error = failure(directory.path());
    assert!(matches!(error, StoreError::CannotOpen { .. }), "{error}");
}

#[test]
fn a_full_disk_refuses_the_new_and_keeps_the_old() {
    let (_directory, store) = fresh();
    store.insert_share(&link("before")).unwrap();
    let pages: i64 = store.writer.lock().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    let limit = |pages: i64| {
        let writer = store.writer.lock();
        writer.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    };
    limit(pages);
    let big = ShareRecord { options_json: "x".repeat(10_000), ..link("big") };
    let error = store.insert_share(&big).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    assert_eq!(store.share("big").unwrap(), None);
    assert_eq!(store.share("before").unwrap(), Some(link("before")));
    limit(i64::from(u32::MAX));
    store.insert_share(&big).unwrap();
    assert_eq!(store.share("big").unwrap(), Some(big));
}

#[test]
fn somebody_elses_lock_is_waited_for_and_then_named() {
    let (directory, store) = fresh();
    let other = Connection::open(directory.path().join("authorization.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = crate::clock::monotonic();
    assert!(matches!(store.insert_api_key(&key(1)), Err(StoreError::Locked { .. })));
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(PATIENCE_MS / 2) && waited < Duration::from_secs(20), "{waited:?}");
    other.execute_batch("COMMIT").unwrap();
    store.insert_api_key(&key(1)).unwrap();
}

/// Another server, or the same after a restart, opens what is there, and knows nothing of what is written to what was.
#[test]
fn a_file_that_is_removed_or_replaced_while_it_is_open_ends_all_that_is_asked_of_it() {
    for (suffix, is_replaced) in [("", false), ("", true), ("-wal", false), ("-shm", false)] {
        let (directory, store) = fresh();
        store.insert_api_key(&key(1)).unwrap();
        store.insert_share(&link("one")).unwrap();
        let backup = directory.path().join("backup");
        store.writer.lock().execute("VACUUM INTO ?1", [backup.to_str()]).unwrap();
        let file = directory.path().join(format!("authorization.db{suffix}"));
        match is_replaced {
            true => fs::rename(&backup, &file).unwrap(),
            false => fs::remove_file(&file).unwrap(),
        }
        // As whoever watches for changes by others does first.
        let watched = store.changes().map(drop);
        for outcome in [
            watched,
            store.api_key_by_hash(&[1; 32]).map(drop),
            store.api_keys(None).map(drop),
            store.insert_api_key(&key(2)),
            store.revoke_share("one", None, UnixTime(1)).map(drop),
        ] {
            let error = outcome.unwrap_err();
            assert!(matches!(error, StoreError::Replaced { .. }), "{suffix}: {error}");
            let told = format!("{} was removed or replaced while it was open", file.display());
            assert!(error.to_string().contains(&told), "{error}");
        }
    }
}
