//! Statements about who creates which study.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::{Texts, texts};
use crate::clock::UnixTime;
use crate::person::Person;
use crate::store::CreatedStudy;

const COLUMNS: &str = "uid, issuer, subject, created_at, study, labels";

pub(super) fn keep(connection: &Connection, study: &CreatedStudy) -> rusqlite::Result<()> {
    let sql = "INSERT INTO created_studies (uid, issuer, subject, created_at, study, labels) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
               ON CONFLICT (uid) DO UPDATE SET issuer = excluded.issuer, subject = excluded.subject, \
               created_at = excluded.created_at, study = excluded.study, labels = excluded.labels";
    let (creator, labels) = (&study.creator, texts(&study.labels));
    connection
        .prepare_cached(sql)?
        .execute(params![study.uid, creator.issuer, creator.subject, study.created_at, study.study, labels])
        .map(drop)
}

/// What is kept of the same UID, when it is somebody else's and not `over`: then nothing is changed.
pub(super) fn claim(
    connection: &Connection,
    study: &CreatedStudy,
    over: Option<&CreatedStudy>,
) -> rusqlite::Result<Option<CreatedStudy>> {
    let kept = by_uid(connection, &study.uid)?;
    let stands = kept.filter(|kept| kept.creator != study.creator && Some(kept) != over);
    if stands.is_none() {
        keep(connection, study)?;
    }
    Ok(stands)
}

pub(super) fn by_uid(connection: &Connection, uid: &str) -> rusqlite::Result<Option<CreatedStudy>> {
    let sql = format!("SELECT {COLUMNS} FROM created_studies WHERE uid = ?1");
    connection.prepare_cached(&sql)?.query_row([uid], record).optional()
}

pub(super) fn is_kept(connection: &Connection, study: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM created_studies WHERE study = ?1")?.exists([study])
}

pub(super) fn forget_of(connection: &Connection, study: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM created_studies WHERE study = ?1")?.execute([study]).map(drop)
}

pub(super) fn forget(connection: &Connection, uid: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM created_studies WHERE uid = ?1")?.execute([uid]).map(drop)
}

pub(super) fn forget_outside(connection: &Connection, before: UnixTime, after: UnixTime) -> rusqlite::Result<()> {
    let sql = "DELETE FROM created_studies WHERE created_at < ?1 OR created_at > ?2";
    connection.prepare_cached(sql)?.execute([before, after]).map(drop)
}

pub(super) fn list(connection: &Connection) -> rusqlite::Result<Vec<CreatedStudy>> {
    let sql = format!("SELECT {COLUMNS} FROM created_studies ORDER BY uid");
    connection.prepare_cached(&sql)?.query_map((), record)?.collect()
}

fn record(row: &Row<'_>) -> rusqlite::Result<CreatedStudy> {
    Ok(CreatedStudy {
        uid: row.get(0)?,
        creator: Person { issuer: row.get(1)?, subject: row.get(2)? },
        created_at: row.get(3)?,
        study: row.get(4)?,
        labels: row.get::<_, Texts>(5)?.0,
    })
}
