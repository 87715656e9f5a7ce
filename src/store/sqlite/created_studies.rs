//! Statements about who creates which study.

use rusqlite::{Connection, params};

use super::row::{Texts, texts};
use crate::clock::UnixTime;
use crate::person::Person;
use crate::store::CreatedStudy;

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

pub(super) fn forget(connection: &Connection, uid: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM created_studies WHERE uid = ?1")?.execute([uid]).map(drop)
}

pub(super) fn forget_outside(connection: &Connection, before: UnixTime, after: UnixTime) -> rusqlite::Result<()> {
    let sql = "DELETE FROM created_studies WHERE created_at < ?1 OR created_at > ?2";
    connection.prepare_cached(sql)?.execute([before, after]).map(drop)
}

pub(super) fn list(connection: &Connection) -> rusqlite::Result<Vec<CreatedStudy>> {
    let sql = "SELECT uid, issuer, subject, created_at, study, labels FROM created_studies ORDER BY uid";
    connection
        .prepare_cached(sql)?
        .query_map((), |row| {
            Ok(CreatedStudy {
                uid: row.get(0)?,
                creator: Person { issuer: row.get(1)?, subject: row.get(2)? },
                created_at: row.get(3)?,
                study: row.get(4)?,
                labels: row.get::<_, Texts>(5)?.0,
            })
        })?
        .collect()
}
