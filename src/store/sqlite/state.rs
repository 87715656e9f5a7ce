//! Statements about the one row of the state itself: its epoch, and how many changes it has seen.

use rusqlite::Connection;

use super::row::count;
use crate::clock::UnixTime;

pub(super) fn epoch(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT epoch FROM state")?.query_row((), |row| row.get(0)).map(count)
}

pub(super) fn advance_epoch(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE state SET epoch = epoch + 1")?.execute(()).map(drop)
}

/// By one at least, and to this number of seconds at least.
pub(super) fn advance_epoch_beyond(connection: &Connection, now: UnixTime) -> rusqlite::Result<()> {
    connection.execute("UPDATE state SET epoch = max(epoch + 1, ?1)", [now]).map(drop)
}

pub(super) fn changes(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT changes FROM state")?.query_row((), |row| row.get(0)).map(count)
}

pub(super) fn count_change(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE state SET changes = changes + 1")?.execute(()).map(drop)
}

/// Whether nothing was ever revoked, and there is nothing that could be.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT epoch = 0 AND NOT EXISTS (SELECT 1 FROM secrets) AND NOT EXISTS (SELECT 1 FROM api_keys) \
               AND NOT EXISTS (SELECT 1 FROM shares) AND NOT EXISTS (SELECT 1 FROM sessions) FROM state";
    connection.query_row(sql, (), |row| row.get(0))
}
