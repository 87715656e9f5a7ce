//! SQLite's error codes to [`StoreError`]. Knows nothing of what was being done.

use rusqlite::ffi::{self, ErrorCode};

use crate::store::StoreError;

/// How long SQLite, and whoever waits for the writing connection, waits for somebody else's lock, in milliseconds.
pub(super) const PATIENCE_MS: u64 = 2000;

/// What an error of SQLite means to us.
pub(super) fn fault(place: &str, error: rusqlite::Error) -> StoreError {
    let place = place.to_owned();
    match &error {
        rusqlite::Error::SqliteFailure(failure, _) => match (failure.code, failure.extended_code) {
            (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => {
                StoreError::Corrupt { place, source: error.into() }
            }
            (ErrorCode::ReadOnly, _) => StoreError::ReadOnly { place, source: Some(error.into()) },
            (ErrorCode::DiskFull, _) => StoreError::DiskFull { place, source: error.into() },
            (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => {
                StoreError::Locked { place, waited_ms: PATIENCE_MS }
            }
            (ErrorCode::CannotOpen | ErrorCode::PermissionDenied, _) => {
                StoreError::CannotOpen { place, source: error.into() }
            }
            (_, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
                StoreError::Exists { place, source: error.into() }
            }
            // A read past the end of the file: it was cut off.
            (_, ffi::SQLITE_IOERR_SHORT_READ) => StoreError::Corrupt { place, source: error.into() },
            _ => StoreError::Other { place, source: error.into() },
        },
        // A column does not hold what only we write there.
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => StoreError::Corrupt { place, source: error.into() },
        _ => StoreError::Other { place, source: error.into() },
    }
}
