//! Statements about people, and about the small things kept by name: secrets and settings.

use rusqlite::{Connection, OptionalExtension, params};

use super::row::{Texts, texts};
use crate::clock::UnixTime;
use crate::person::Person;
use crate::store::PersonRecord;

/// Says whether somebody who was known has other roles by that. What is from later than `latest` was seen while the clock
/// was ahead, and is newer than nothing.
pub(super) fn remember(connection: &Connection, record: &PersonRecord, latest: UnixTime) -> rusqlite::Result<bool> {
    let before = by_name(connection, &record.person)?;
    let sql = "INSERT INTO people (issuer, subject, name, groups, roles, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
               ON CONFLICT (issuer, subject) DO UPDATE SET name = excluded.name, groups = excluded.groups, \
               roles = excluded.roles, seen_at = excluded.seen_at \
               WHERE excluded.seen_at >= people.seen_at OR people.seen_at > ?7";
    let kept = connection.prepare_cached(sql)?.execute(params![
        record.person.issuer,
        record.person.subject,
        record.name,
        texts(&record.groups),
        texts(&record.roles),
        record.seen_at,
        latest,
    ])?;
    Ok(kept > 0 && before.is_some_and(|before| before.roles != record.roles))
}

pub(super) fn by_name(connection: &Connection, person: &Person) -> rusqlite::Result<Option<PersonRecord>> {
    let sql = "SELECT name, groups, roles, seen_at FROM people WHERE issuer = ?1 AND subject = ?2";
    connection
        .prepare_cached(sql)?
        .query_row([&person.issuer, &person.subject], |row| {
            Ok(PersonRecord {
                person: person.clone(),
                name: row.get(0)?,
                groups: row.get::<_, Texts>(1)?.0,
                roles: row.get::<_, Texts>(2)?.0,
                seen_at: row.get(3)?,
            })
        })
        .optional()
}

pub(super) fn called(connection: &Connection, name: &str) -> rusqlite::Result<Vec<PersonRecord>> {
    let sql = "SELECT issuer, subject, name, groups, roles, seen_at FROM people WHERE name = ?1 OR subject = ?1 \
               ORDER BY issuer, subject";
    let row = |row: &rusqlite::Row<'_>| {
        Ok(PersonRecord {
            person: Person { issuer: row.get(0)?, subject: row.get(1)? },
            name: row.get(2)?,
            groups: row.get::<_, Texts>(3)?.0,
            roles: row.get::<_, Texts>(4)?.0,
            seen_at: row.get(5)?,
        })
    };
    connection.prepare_cached(sql)?.query_map([name], row)?.collect()
}

/// What the person has now was made before, whatever the clock said then: it may have been set back since.
pub(super) fn set_not_before(connection: &Connection, person: &Person, at: UnixTime) -> rusqlite::Result<()> {
    for sql in [
        "UPDATE api_keys SET created_at = ?3 WHERE owner_issuer = ?1 AND owner_subject = ?2 AND created_at > ?3",
        "UPDATE shares SET created_at = ?3 WHERE owner_issuer = ?1 AND owner_subject = ?2 AND created_at > ?3",
        "UPDATE sessions SET created_at = ?3 WHERE issuer = ?1 AND subject = ?2 AND created_at > ?3",
    ] {
        connection.prepare_cached(sql)?.execute(params![person.issuer, person.subject, at])?;
    }
    let sql = "INSERT INTO not_before (issuer, subject, at) VALUES (?1, ?2, ?3) \
               ON CONFLICT (issuer, subject) DO UPDATE SET at = max(at, excluded.at)";
    connection.prepare_cached(sql)?.execute(params![person.issuer, person.subject, at]).map(drop)
}

pub(super) fn not_before(connection: &Connection, person: &Person) -> rusqlite::Result<Option<UnixTime>> {
    let sql = "SELECT at FROM not_before WHERE issuer = ?1 AND subject = ?2";
    connection.prepare_cached(sql)?.query_row([&person.issuer, &person.subject], |row| row.get(0)).optional()
}

pub(super) fn all_not_before(connection: &Connection) -> rusqlite::Result<Vec<(Person, UnixTime)>> {
    let sql = "SELECT issuer, subject, at FROM not_before ORDER BY issuer, subject";
    let row = |row: &rusqlite::Row<'_>| Ok((Person { issuer: row.get(0)?, subject: row.get(1)? }, row.get(2)?));
    connection.prepare_cached(sql)?.query_map((), row)?.collect()
}

pub(super) fn secret(connection: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT value FROM secrets WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(super) fn keep_secret(connection: &Connection, name: &str, value: &[u8]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO secrets (name, value) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![name, value]).map(drop)
}

pub(super) fn setting(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT text FROM settings WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(super) fn put_setting(connection: &Connection, name: &str, text: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO settings (name, text) VALUES (?1, ?2) \
               ON CONFLICT (name) DO UPDATE SET text = excluded.text";
    connection.prepare_cached(sql)?.execute([name, text]).map(drop)
}
