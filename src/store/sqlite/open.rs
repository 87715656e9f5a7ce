//! Opening the file: refusing what is not ours before anything is written, then the settings of a connection.
//!
//! An existing file is only ever opened through SQLite: closing a file of one's own drops the locks that SQLite, in
//! the same process, holds on it.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::ffi::ErrorCode;
use rusqlite::{Connection, MAIN_DB, OpenFlags};

use super::fault::{PATIENCE_MS, fault};
use crate::clock;
use crate::store::StoreError;
use crate::store::epoch::directory;
use crate::store::migrations::{APPLICATION_ID, MIGRATIONS, migrate, version};

/// The name of Orthanc's own index file in its `IndexDirectory`.
const ORTHANC_INDEX: &str = "index";

/// Pages of cache of one connection, in KiB (negative is SQLite's way of saying so): our rows are few and small.
const CACHE_KIB: i64 = -1024;

/// Opens the writing connection, with the newest schema in place.
pub(super) fn open_writer(path: &Path, place: &str) -> Result<Connection, StoreError> {
    refuse_orthanc_index(path, place)?;
    if !directory(path).is_dir() {
        return Err(StoreError::NoDirectory { place: place.to_owned() });
    }
    if !create(path, place)? {
        // Without the right to write, so that a stranger's file stays as it is. If SQLite cannot read the file in this
        // way (a crash left a journal to play back), the same question is asked again below.
        if let Ok(connection) = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_ONLY)) {
            let patience = connection.busy_timeout(Duration::from_millis(PATIENCE_MS));
            match patience.map_err(|error| fault(place, error)).and_then(|()| examine(&connection, place)) {
                Err(refused @ (StoreError::Foreign { .. } | StoreError::Newer { .. } | StoreError::Corrupt { .. })) => {
                    return Err(refused);
                }
                _ => drop(connection),
            }
        }
    }
    let mut connection = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))
        .map_err(|error| fault(place, error))?;
    connection.busy_timeout(Duration::from_millis(PATIENCE_MS)).map_err(|error| fault(place, error))?;
    // Before the file is read: with write-ahead logging even that needs the right to write.
    if connection.is_readonly(MAIN_DB).map_err(|error| fault(place, error))? {
        return Err(StoreError::ReadOnly { place: place.to_owned(), source: None });
    }
    examine(&connection, place)?;
    // The schema comes first: its transaction puts those who open a new file at the same moment in a row.
    migrate(&mut connection, MIGRATIONS).map_err(|error| fault(place, error))?;
    settle_writer(&connection).map_err(|error| fault(place, error))?;
    // Makes the log, and what is shared of it, so that they are told from others that come in their place.
    connection.execute_batch("BEGIN IMMEDIATE; COMMIT").map_err(|error| fault(place, error))?;
    Ok(connection)
}

/// Opens a connection that can only read. The file has been opened by [`open_writer`] before.
pub(super) fn open_reader(path: &Path, place: &str) -> Result<Connection, StoreError> {
    let open = || {
        let connection = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
        connection.busy_timeout(Duration::from_millis(PATIENCE_MS))?;
        connection.pragma_update(None, "query_only", true)?;
        settle(&connection)?;
        Ok(connection)
    };
    open().map_err(|error| fault(place, error))
}

fn settle_writer(connection: &Connection) -> rusqlite::Result<()> {
    let mode = log_ahead(connection)?;
    if mode != "wal" {
        // Some file systems cannot share memory between processes.
        let reason = format!("the file system does not support write-ahead logging (journal mode {mode})");
        return Err(rusqlite::Error::ToSqlConversionFailure(reason.into()));
    }
    // FULL waits for the disk at every commit: what is acknowledged survives a power cut.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    settle(connection)
}

/// Switches write-ahead logging on. While somebody else who opens the new file reads it, SQLite refuses that at once,
/// whatever its patience, so it is tried again as long as that lasts.
fn log_ahead(connection: &Connection) -> rusqlite::Result<String> {
    let start = clock::monotonic();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && start.elapsed() < Duration::from_millis(PATIENCE_MS) =>
            {
                // Waits with patience for whoever writes.
                connection.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
            }
            answer => return answer,
        }
    }
}

fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    // Nothing in the file, however it came there, may run code or touch the schema.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn flags(access: OpenFlags) -> OpenFlags {
    // Each connection is behind a mutex of ours, so SQLite needs none.
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// By name, through symbolic links, and by inode through hard links. Nothing is opened for that.
fn refuse_orthanc_index(path: &Path, place: &str) -> Result<(), StoreError> {
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut is_index = [path, &target].iter().any(|path| path.file_name().is_some_and(|name| name == ORTHANC_INDEX));
    if let (Ok(file), Ok(index)) = (std::fs::metadata(path), std::fs::metadata(directory(path).join(ORTHANC_INDEX))) {
        is_index |= (file.dev(), file.ino()) == (index.dev(), index.ino());
    }
    if is_index { Err(StoreError::OrthancIndex { place: place.to_owned() }) } else { Ok(()) }
}

/// Creates the file, for its owner's eyes only, if there is none; says whether it did. SQLite gives its companions
/// (`-wal`, `-shm`) the same mode.
fn create(path: &Path, place: &str) -> Result<bool, StoreError> {
    let place = place.to_owned();
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                StoreError::ReadOnly { place, source: Some(error.into()) }
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::DiskFull { place, source: error.into() },
            _ => StoreError::CannotOpen { place, source: error.into() },
        }),
    }
}

/// Whether the file is ours to use: empty, or of our making and not newer than this program.
fn examine(connection: &Connection, place: &str) -> Result<(), StoreError> {
    let (application, version, tables) = contents(connection).map_err(|error| fault(place, error))?;
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let place = place.to_owned();
    match (application, tables) {
        (APPLICATION_ID, _) if version > newest => Err(StoreError::Newer { place, database: version, program: newest }),
        (APPLICATION_ID, _) | (0, 0) => Ok(()),
        (application, tables) => {
            Err(StoreError::Foreign { place, found: format!("application id {application}, {tables} tables") })
        }
    }
}

/// Application id, schema version and number of tables, all of one moment.
fn contents(connection: &Connection) -> rusqlite::Result<(i32, i64, i64)> {
    let moment = connection.unchecked_transaction()?;
    let application = moment.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = version(&moment)?;
    let tables = moment.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", (), |row| row.get(0))?;
    Ok((application, version, tables))
}
