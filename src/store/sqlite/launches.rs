//! Statements about launches of viewers.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::clock::UnixTime;
use crate::store::LaunchRecord;

const COLUMNS: &str = "id, link, client, redirect_uri, challenge, nonce, opened_at, session, until, code_hash, \
                       code_until, refresh_hash, revoked_at";

/// So many launches of one link by one client go on at once, in one session for whoever is logged in: enough for all who
/// share a link, and too few to fill a disk.
const MOST: u32 = 500;

pub(super) const TOO_MANY: &str = "DELETE FROM launches WHERE id IN (SELECT id FROM launches WHERE link = ?1 \
                                   AND client = ?2 AND session IS ?3 ORDER BY code_until DESC LIMIT -1 OFFSET ?4)";

/// Forgets what is over on the way: a code that nobody came for after its time, everything else at its end, and the oldest
/// of those that are too many; says whether there was one.
pub(super) fn insert(connection: &Connection, launch: &LaunchRecord, now: UnixTime) -> rusqlite::Result<bool> {
    connection.prepare_cached("DELETE FROM launches WHERE forget_at <= ?1")?.execute([now])?;
    let too_many = params![launch.link, launch.client, launch.session, MOST - 1];
    let made_room = connection.prepare_cached(TOO_MANY)?.execute(too_many)? > 0;
    let sql = format!(
        "INSERT INTO launches ({COLUMNS}, forget_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?11)"
    );
    connection
        .prepare_cached(&sql)?
        .execute(params![
            launch.id,
            launch.link,
            launch.client,
            launch.redirect_uri,
            launch.challenge,
            launch.nonce,
            launch.opened_at,
            launch.session,
            launch.until,
            launch.code_hash,
            launch.code_until,
            launch.refresh_hash,
            launch.revoked_at,
        ])
        .map(|_| made_room)
}

pub(super) fn by_code(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<Option<LaunchRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM launches WHERE code_hash = ?1");
    connection.prepare_cached(&sql)?.query_row([hash], record).optional()
}

/// The launch of a code, and whether this is the first that comes with it.
pub(super) fn take_code(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<Option<(LaunchRecord, bool)>> {
    let Some(launch) = by_code(connection, hash)? else { return Ok(None) };
    let sql = "UPDATE launches SET code_taken = 1 WHERE id = ?1 AND code_taken = 0";
    let first = connection.prepare_cached(sql)?.execute([&launch.id])? > 0;
    Ok(Some((launch, first)))
}

pub(super) fn start(connection: &Connection, id: &str, refresh: &[u8; 32]) -> rusqlite::Result<bool> {
    let sql = "UPDATE launches SET refresh_hash = ?2, forget_at = until \
               WHERE id = ?1 AND code_taken = 1 AND refresh_hash IS NULL AND revoked_at IS NULL";
    Ok(connection.prepare_cached(sql)?.execute(params![id, refresh])? > 0)
}

pub(super) fn by_id(connection: &Connection, id: &str) -> rusqlite::Result<Option<LaunchRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM launches WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id], record).optional()
}

pub(super) fn rotate(connection: &Connection, id: &str, old: &[u8; 32], new: &[u8; 32]) -> rusqlite::Result<bool> {
    let sql = "UPDATE launches SET refresh_hash = ?3 WHERE id = ?1 AND refresh_hash = ?2 AND revoked_at IS NULL";
    Ok(connection.prepare_cached(sql)?.execute(params![id, old, new])? > 0)
}

pub(super) fn revoke(connection: &Connection, id: &str, at: UnixTime) -> rusqlite::Result<bool> {
    let sql = "UPDATE launches SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
    Ok(connection.prepare_cached(sql)?.execute(params![id, at])? > 0)
}

fn record(row: &Row<'_>) -> rusqlite::Result<LaunchRecord> {
    Ok(LaunchRecord {
        id: row.get(0)?,
        link: row.get(1)?,
        client: row.get(2)?,
        redirect_uri: row.get(3)?,
        challenge: row.get(4)?,
        nonce: row.get(5)?,
        opened_at: row.get(6)?,
        session: row.get(7)?,
        until: row.get(8)?,
        code_hash: row.get(9)?,
        code_until: row.get(10)?,
        refresh_hash: row.get(11)?,
        revoked_at: row.get(12)?,
    })
}
