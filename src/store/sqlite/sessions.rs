//! Statements about sessions.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::{Texts, texts};
use crate::clock::UnixTime;
use crate::person::Person;
use crate::store::{SessionRecord, SessionRenewal, WhichSessions};

const COLUMNS: &str = "id, hash, issuer, subject, name, roles, groups, provider_session, created_at, expires_at, \
                       valid_until, sealed, last_use";

pub(super) fn insert(connection: &Connection, session: &SessionRecord) -> rusqlite::Result<()> {
    let sql =
        format!("INSERT INTO sessions ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
    connection
        .prepare_cached(&sql)?
        .execute(params![
            session.id,
            session.hash,
            session.person.issuer,
            session.person.subject,
            session.name,
            texts(&session.roles),
            texts(&session.groups),
            session.provider_session,
            session.created_at,
            session.expires_at,
            session.valid_until,
            session.sealed,
            session.last_use,
        ])
        .map(drop)
}

pub(super) fn by_hash(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<Option<SessionRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM sessions WHERE hash = ?1");
    connection.prepare_cached(&sql)?.query_row([hash], record).optional()
}

pub(super) fn list(connection: &Connection, person: Option<&Person>) -> rusqlite::Result<Vec<SessionRecord>> {
    let order = "ORDER BY created_at, id";
    match person {
        None => {
            let sql = format!("SELECT {COLUMNS} FROM sessions {order}");
            connection.prepare_cached(&sql)?.query_map((), record)?.collect()
        }
        Some(person) => {
            let sql = format!("SELECT {COLUMNS} FROM sessions WHERE issuer = ?1 AND subject = ?2 {order}");
            connection.prepare_cached(&sql)?.query_map([&person.issuer, &person.subject], record)?.collect()
        }
    }
}

pub(super) fn renew(connection: &Connection, id: &str, renewal: &SessionRenewal) -> rusqlite::Result<bool> {
    let sql = "UPDATE sessions SET name = ?2, roles = ?3, groups = ?4, valid_until = ?5, sealed = ?6 WHERE id = ?1";
    let changed = connection.prepare_cached(sql)?.execute(params![
        id,
        renewal.name,
        texts(&renewal.roles),
        texts(&renewal.groups),
        renewal.valid_until,
        renewal.sealed,
    ])?;
    Ok(changed > 0)
}

pub(super) fn end(connection: &Connection, which: &WhichSessions<'_>) -> rusqlite::Result<bool> {
    let ended = match which {
        WhichSessions::One(id) => connection.prepare_cached("DELETE FROM sessions WHERE id = ?1")?.execute([id])?,
        WhichSessions::Of(person) => connection
            .prepare_cached("DELETE FROM sessions WHERE issuer = ?1 AND subject = ?2")?
            .execute([&person.issuer, &person.subject])?,
        WhichSessions::AtProvider { issuer, session, subject } => connection
            .prepare_cached(
                "DELETE FROM sessions WHERE issuer = ?1 \
                 AND (provider_session = ?2 OR (provider_session IS NULL AND subject = ?3))",
            )?
            .execute(params![issuer, session, subject])?,
    };
    Ok(ended > 0)
}

pub(super) fn forget_over(connection: &Connection, now: UnixTime) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM sessions WHERE expires_at <= ?1")?.execute([now]).map(drop)
}

pub(super) fn used(connection: &Connection, id: &str, at: UnixTime) -> rusqlite::Result<()> {
    let sql = "UPDATE sessions SET last_use = max(ifnull(last_use, ?2), ?2) WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id, at]).map(drop)
}

fn record(row: &Row<'_>) -> rusqlite::Result<SessionRecord> {
    Ok(SessionRecord {
        id: row.get(0)?,
        hash: row.get(1)?,
        person: Person { issuer: row.get(2)?, subject: row.get(3)? },
        name: row.get(4)?,
        roles: row.get::<_, Texts>(5)?.0,
        groups: row.get::<_, Texts>(6)?.0,
        provider_session: row.get(7)?,
        created_at: row.get(8)?,
        expires_at: row.get(9)?,
        valid_until: row.get(10)?,
        sealed: row.get(11)?,
        last_use: row.get(12)?,
    })
}
