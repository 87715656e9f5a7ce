//! Statements about API keys.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::row::{Texts, texts};
use crate::clock::UnixTime;
use crate::person::Person;
use crate::store::ApiKeyRecord;

const COLUMNS: &str = "id, hash, name, owner_issuer, owner_subject, owner_name, granted_by_admin, roles, permissions, \
                       authorized_labels, created_at, expires_at, last_use";

pub(super) fn insert(connection: &Connection, key: &ApiKeyRecord) -> rusqlite::Result<()> {
    let sql =
        format!("INSERT INTO api_keys ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
    connection.prepare_cached(&sql)?.execute(params![
        key.id,
        key.hash,
        key.name,
        key.owner.issuer,
        key.owner.subject,
        key.owner_name,
        key.granted_by_admin,
        key.roles.as_deref().map(texts),
        key.permissions.as_deref().map(texts),
        key.authorized_labels.as_deref().map(texts),
        key.created_at,
        key.expires_at,
        key.last_use,
    ])?;
    Ok(())
}

pub(super) fn by_hash(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<Option<ApiKeyRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE hash = ?1");
    connection.prepare_cached(&sql)?.query_row([hash], record).optional()
}

pub(super) fn list(connection: &Connection, owner: Option<&Person>) -> rusqlite::Result<Vec<ApiKeyRecord>> {
    let order = "ORDER BY created_at, id";
    match owner {
        None => {
            let sql = format!("SELECT {COLUMNS} FROM api_keys {order}");
            connection.prepare_cached(&sql)?.query_map((), record)?.collect()
        }
        Some(owner) => {
            let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE owner_issuer = ?1 AND owner_subject = ?2 {order}");
            connection.prepare_cached(&sql)?.query_map([&owner.issuer, &owner.subject], record)?.collect()
        }
    }
}

pub(super) fn delete(connection: &Connection, id: &str, owner: Option<&Person>) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM api_keys WHERE id = :id \
               AND (:issuer IS NULL OR (owner_issuer = :issuer AND owner_subject = :subject))";
    let changed = connection.prepare_cached(sql)?.execute(named_params! {
        ":id": id,
        ":issuer": owner.map(|owner| &owner.issuer),
        ":subject": owner.map(|owner| &owner.subject),
    })?;
    Ok(changed > 0)
}

/// A batch may arrive late: the newest use counts.
pub(super) fn used(connection: &Connection, id: &str, at: UnixTime) -> rusqlite::Result<()> {
    let sql = "UPDATE api_keys SET last_use = max(ifnull(last_use, ?2), ?2) WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id, at]).map(drop)
}

fn record(row: &Row<'_>) -> rusqlite::Result<ApiKeyRecord> {
    let list = |column| Ok::<_, rusqlite::Error>(row.get::<usize, Option<Texts>>(column)?.map(|texts| texts.0));
    Ok(ApiKeyRecord {
        id: row.get(0)?,
        hash: row.get(1)?,
        name: row.get(2)?,
        owner: Person { issuer: row.get(3)?, subject: row.get(4)? },
        owner_name: row.get(5)?,
        granted_by_admin: row.get(6)?,
        roles: list(7)?,
        permissions: list(8)?,
        authorized_labels: list(9)?,
        created_at: row.get(10)?,
        expires_at: row.get(11)?,
        last_use: row.get(12)?,
    })
}
