//! Statements about people, and about the small things kept by name: secrets and settings.

use rusqlite::{Connection, OptionalExtension, params};

use super::row::{Texts, texts};
use crate::clock::UnixTime;
use crate::person::Person;
use crate::store::PersonRecord;

/// What is to be kept of somebody by a new word of them; `None`: what is there stays. The newer word counts, and of two of
/// the same second only the roles that both say: nobody knows which was later, and by turns each would end what was verified
/// by the other. What is from later than `latest` was seen while the clock was ahead, and is newer than nothing.
pub(super) fn to_keep(known: Option<&PersonRecord>, record: &PersonRecord, latest: UnixTime) -> Option<PersonRecord> {
    let Some(known) = known else { return Some(record.clone()) };
    if record.seen_at == known.seen_at {
        let roles: Vec<String> = known.roles.iter().filter(|role| record.roles.contains(role)).cloned().collect();
        return (roles != known.roles).then(|| PersonRecord { roles, ..known.clone() });
    }
    let is_newer = record.seen_at > known.seen_at || (known.seen_at > latest && record.seen_at <= latest);
    is_newer.then(|| record.clone())
}

/// Says whether somebody who was known has other roles by that; see [`to_keep`].
pub(super) fn remember(connection: &Connection, record: &PersonRecord, latest: UnixTime) -> rusqlite::Result<bool> {
    let before = by_name(connection, &record.person)?;
    let Some(kept) = to_keep(before.as_ref(), record, latest) else { return Ok(false) };
    let sql = "INSERT INTO people (issuer, subject, name, groups, roles, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
               ON CONFLICT (issuer, subject) DO UPDATE SET name = excluded.name, groups = excluded.groups, \
               roles = excluded.roles, seen_at = excluded.seen_at";
    connection.prepare_cached(sql)?.execute(params![
        kept.person.issuer,
        kept.person.subject,
        kept.name,
        texts(&kept.groups),
        texts(&kept.roles),
        kept.seen_at,
    ])?;
    Ok(before.is_some_and(|before| before.roles != kept.roles))
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

pub(super) fn put_setting(connection: &Connection, name: &str, text: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO settings (name, text) VALUES (?1, ?2) \
               ON CONFLICT (name) DO UPDATE SET text = excluded.text";
    connection.prepare_cached(sql)?.execute([name, text]).map(drop)
}
