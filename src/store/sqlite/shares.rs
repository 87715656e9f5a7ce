//! Statements about links.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::row::{Texts, count, number, texts};
use crate::clock::UnixTime;
use crate::person::Person;
use crate::store::{ShareFilter, ShareRecord, UploadLimits, Uploaded};

/// The columns of a record. A macro, so that statements that are run on requests' paths are put together by the compiler.
macro_rules! columns {
    () => {
        "id, kind, resources_json, owner_issuer, owner_subject, owner_name, created_at, not_before, \
         expires_at, options_json, revoked_at, uses, last_use, code_hash, openings, deleted, index_name, \
         token_hash, index_change"
    };
}

/// The identifiers of one link, as the last column of a query on `shares`.
const RESOURCES: &str = "(SELECT json_group_array(resource ORDER BY resource) FROM share_resources \
                         WHERE share = shares.number)";

pub(super) fn insert(connection: &Connection, share: &ShareRecord) -> rusqlite::Result<()> {
    let sql = concat!(
        "INSERT INTO shares (",
        columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)"
    );
    connection.prepare_cached(sql)?.execute(params![
        share.id,
        share.kind,
        share.resources_json,
        share.owner.issuer,
        share.owner.subject,
        share.owner_name,
        share.created_at,
        share.not_before,
        share.expires_at,
        share.options_json,
        share.revoked_at,
        number(share.uses),
        share.last_use,
        share.code_hash,
        number(share.openings),
        (!share.deleted.is_empty()).then(|| texts(&share.deleted)),
        share.index,
        share.token_hash,
        number(share.index_change),
    ])?;
    let row = connection.last_insert_rowid();
    let sql = "INSERT OR IGNORE INTO share_resources (share, resource) SELECT ?1, value FROM json_each(?2)";
    connection.prepare_cached(sql)?.execute(params![row, texts(&share.resource_ids)])?;
    if let Some(index) = &share.index {
        // What came before the first link concerns none.
        let sql = "INSERT OR IGNORE INTO watched (index_name, change) VALUES (?1, ?2)";
        connection.prepare_cached(sql)?.execute(params![index, number(share.index_change)])?;
    }
    Ok(())
}

/// Many new ones at once.
pub(super) fn insert_all(connection: &Connection, shares: &[ShareRecord]) -> rusqlite::Result<()> {
    shares.iter().try_for_each(|share| insert(connection, share))
}

pub(super) fn by_id(connection: &Connection, id: &str) -> rusqlite::Result<Option<ShareRecord>> {
    let sql = concat!("SELECT ", columns!(), " FROM shares WHERE id = ?1");
    connection.prepare_cached(sql)?.query_row([id], record).optional()
}

pub(super) fn by_code(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<Option<ShareRecord>> {
    let sql = concat!("SELECT ", columns!(), " FROM shares WHERE code_hash = ?1");
    connection.prepare_cached(sql)?.query_row([hash], record).optional()
}

/// In one statement, so that two who come at once are not both the last.
pub(super) fn open(connection: &Connection, id: &str, most: Option<u64>) -> rusqlite::Result<bool> {
    let sql = "UPDATE shares SET openings = openings + 1 \
               WHERE id = ?1 AND revoked_at IS NULL AND openings < ifnull(?2, 9223372036854775807)";
    Ok(connection.prepare_cached(sql)?.execute(params![id, most.map(number)])? > 0)
}

/// In one statement, so that two who come at once do not both fit into the last place, and nothing comes in by a link
/// that ended meanwhile.
pub(super) fn take_upload(
    connection: &Connection,
    id: &str,
    bytes: u64,
    limits: UploadLimits,
    now: UnixTime,
) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO share_uploads (share, instances, bytes) \
               SELECT id, 1, :bytes FROM shares WHERE id = :id AND revoked_at IS NULL \
                   AND ifnull(expires_at > :now, TRUE) AND ifnull(not_before <= :now, TRUE) \
                   AND :bytes <= :most_bytes AND :most_instances >= 1 \
               ON CONFLICT (share) DO UPDATE SET instances = instances + 1, bytes = bytes + excluded.bytes \
                   WHERE instances < :most_instances AND bytes <= :most_bytes - excluded.bytes";
    // No sum comes near the end of numbers.
    let most = |limit: Option<u64>| limit.map_or(i64::MAX / 2, number).min(i64::MAX / 2);
    let taken = connection.prepare_cached(sql)?.execute(named_params! {
        ":id": id,
        ":bytes": number(bytes),
        ":now": now,
        ":most_instances": most(limits.instances),
        ":most_bytes": most(limits.bytes),
    })?;
    Ok(taken > 0)
}

pub(super) fn uploaded(connection: &Connection, id: &str) -> rusqlite::Result<Uploaded> {
    let found = connection
        .prepare_cached("SELECT instances, bytes FROM share_uploads WHERE share = ?1")?
        .query_row([id], |row| Ok(Uploaded { instances: count(row.get(0)?), bytes: count(row.get(1)?) }));
    Ok(found.optional()?.unwrap_or_default())
}

pub(super) fn list(connection: &Connection, filter: &ShareFilter) -> rusqlite::Result<Vec<ShareRecord>> {
    let limit = filter.limit.map_or(-1, i64::from);
    let mut values: Vec<(&str, &dyn ToSql)> = vec![(":limit", &limit)];
    if let Some(resource) = &filter.resource {
        values.push((":resource", resource));
    }
    if let Some(owner) = &filter.owner {
        values.push((":issuer", &owner.issuer));
        values.push((":subject", &owner.subject));
    }
    if let Some(user) = &filter.user {
        values.push((":user", user));
    }
    if let Some(after) = &filter.after {
        values.push((":after", after));
    }
    if let Some(now) = &filter.not_over_at {
        values.push((":now", now));
    }
    connection.prepare_cached(&list_sql(filter))?.query_map(values.as_slice(), listed)?.collect()
}

/// Each combination of filters is a statement of its own, so that each finds its index.
pub(super) fn list_sql(filter: &ShareFilter) -> String {
    let mut conditions = Vec::new();
    let (table, number) = if filter.resource.is_some() {
        conditions.push("share_resources.resource = :resource".to_owned());
        // CROSS JOIN fixes the order: from the resource to its few links, already sorted.
        ("share_resources CROSS JOIN shares ON shares.number = share_resources.share", "share_resources.share")
    } else {
        ("shares", "shares.number")
    };
    if filter.owner.is_some() {
        conditions.push("shares.owner_issuer = :issuer AND shares.owner_subject = :subject".to_owned());
    }
    if filter.not_over_at.is_some() {
        conditions.push("shares.revoked_at IS NULL AND ifnull(shares.expires_at > :now, TRUE)".to_owned());
    }
    if filter.after.is_some() {
        conditions.push(format!("{number} < (SELECT number FROM shares WHERE id = :after)"));
    }
    if filter.user.is_some() && (filter.resource.is_some() || filter.owner.is_some()) {
        conditions.push("(shares.owner_subject = :user OR shares.owner_name = :user)".to_owned());
    } else if filter.user.is_some() {
        // Of each the newest: no more of either can be among the newest of both.
        let newest_of = |column: &str| {
            let all = conditions.iter().map(String::as_str).chain([column]).collect::<Vec<_>>().join(" AND ");
            format!("SELECT number FROM (SELECT number FROM shares WHERE {all} ORDER BY number DESC LIMIT :limit)")
        };
        let [by_subject, by_name] = ["owner_subject = :user", "owner_name = :user"].map(newest_of);
        conditions = vec![format!("shares.number IN ({by_subject} UNION {by_name})")];
    }
    let condition = if conditions.is_empty() { "TRUE".to_owned() } else { conditions.join(" AND ") };
    let columns = columns!();
    format!("SELECT {columns}, {RESOURCES} FROM {table} WHERE {condition} ORDER BY {number} DESC LIMIT :limit")
}

/// So many are forgotten in one transaction, so that nobody else who writes waits for long.
const MOST_FORGOTTEN: usize = 1_000;

pub(super) fn forget_instant_sql() -> String {
    // The condition on the kind is that of the index.
    format!(
        "DELETE FROM shares WHERE number IN (SELECT number FROM shares \
         WHERE kind IN ('viewer-instant-link', 'meddream-instant-link', 'download-instant-link') \
         AND expires_at < ?1 LIMIT {MOST_FORGOTTEN})"
    )
}

/// Whether there may be more.
pub(super) fn forget_instant(connection: &Connection, over_before: UnixTime) -> rusqlite::Result<bool> {
    Ok(connection.prepare_cached(&forget_instant_sql())?.execute([over_before])? == MOST_FORGOTTEN)
}

/// Whether there is such a link. The first date of revocation stays.
pub(super) fn revoke(
    connection: &Connection,
    id: &str,
    owner: Option<&Person>,
    at: UnixTime,
) -> rusqlite::Result<bool> {
    let sql = "UPDATE shares SET revoked_at = ifnull(revoked_at, :at) WHERE id = :id \
               AND (:issuer IS NULL OR (owner_issuer = :issuer AND owner_subject = :subject))";
    let changed = connection.prepare_cached(sql)?.execute(named_params! {
        ":id": id,
        ":at": at,
        ":issuer": owner.map(|owner| &owner.issuer),
        ":subject": owner.map(|owner| &owner.subject),
    })?;
    Ok(changed > 0)
}

/// A link that may be asked about, and does not know yet that the resource was deleted; with the columns of both tables at hand. A macro as above.
macro_rules! unaware {
    ($resource:literal) => {
        concat!(
            "(?2 IS NULL OR shares.index_name = ?2) \
             AND NOT EXISTS (SELECT 1 FROM json_each(ifnull(shares.deleted, '[]')) WHERE value = ",
            $resource,
            ")"
        )
    };
}

/// CROSS JOIN as in [`list_sql`].
pub(super) const LINKED: &str = concat!(
    "SELECT value FROM json_each(?1) WHERE EXISTS (SELECT 1 FROM share_resources \
     CROSS JOIN shares ON shares.number = share_resources.share WHERE share_resources.resource = json_each.value AND ",
    unaware!("share_resources.resource"),
    ")"
);

pub(super) const RESOURCE_DELETED: &str = concat!(
    "UPDATE shares SET deleted = json_insert(ifnull(deleted, '[]'), '$[#]', ?1) \
     WHERE number IN (SELECT share FROM share_resources WHERE resource = ?1) \
         AND (?3 IS NULL OR index_change < ?3) AND ",
    unaware!("?1")
);

pub(super) fn linked(connection: &Connection, ids: &[&str], index: Option<&str>) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(LINKED)?;
    statement.query_map(params![texts(ids), index], |row| row.get(0))?.collect()
}

pub(super) fn resource_deleted(
    connection: &Connection,
    id: &str,
    index: Option<&str>,
    before: Option<u64>,
) -> rusqlite::Result<bool> {
    Ok(connection.prepare_cached(RESOURCE_DELETED)?.execute(params![id, index, before.map(number)])? > 0)
}

pub(super) fn watched(connection: &Connection, index: &str) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT change FROM watched WHERE index_name = ?1";
    connection.prepare_cached(sql)?.query_row([index], |row| row.get(0).map(count)).optional()
}

pub(super) fn keep_watched(connection: &Connection, index: &str, change: u64) -> rusqlite::Result<()> {
    let sql = "UPDATE watched SET change = ?2 WHERE index_name = ?1";
    connection.prepare_cached(sql)?.execute(params![index, number(change)]).map(drop)
}

/// A batch may arrive late: the newest use counts.
pub(super) fn used(connection: &Connection, id: &str, times: u64, at: UnixTime) -> rusqlite::Result<()> {
    let sql = "UPDATE shares SET uses = min(uses, 9223372036854775807 - ?2) + ?2, \
               last_use = max(ifnull(last_use, ?3), ?3) WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id, number(times), at]).map(drop)
}

fn record(row: &Row<'_>) -> rusqlite::Result<ShareRecord> {
    Ok(ShareRecord {
        id: row.get(0)?,
        kind: row.get(1)?,
        resources_json: row.get(2)?,
        owner: Person { issuer: row.get(3)?, subject: row.get(4)? },
        owner_name: row.get(5)?,
        created_at: row.get(6)?,
        not_before: row.get(7)?,
        expires_at: row.get(8)?,
        options_json: row.get(9)?,
        revoked_at: row.get(10)?,
        uses: count(row.get(11)?),
        last_use: row.get(12)?,
        code_hash: row.get(13)?,
        openings: count(row.get(14)?),
        deleted: row.get::<_, Option<Texts>>(15)?.map(|Texts(ids)| ids).unwrap_or_default(),
        index: row.get(16)?,
        token_hash: row.get(17)?,
        index_change: count(row.get(18)?),
        resource_ids: Vec::new(),
    })
}

fn listed(row: &Row<'_>) -> rusqlite::Result<ShareRecord> {
    Ok(ShareRecord { resource_ids: row.get::<_, Texts>(19)?.0, ..record(row)? })
}
