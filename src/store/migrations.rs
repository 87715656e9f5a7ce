//! The schema of the SQLite state and how an older one becomes the newest. A step, once released, never changes.
//!
//! Knows nothing of what the tables mean to the rest.

use rusqlite::{Connection, TransactionBehavior};

/// Marks our files (`PRAGMA application_id`): "Gate" in ASCII.
pub(super) const APPLICATION_ID: i32 = 0x4761_7465;

/// The steps; after the first n of them the schema has version n (`PRAGMA user_version`).
pub(super) const MIGRATIONS: &[&str] = &[
    FIRST,
    SECOND,
    THIRD,
    FOURTH,
    LINKS_BY_MAKER,
    LAUNCHES,
    SHARE_UPLOADS,
    CHANGES,
    LAUNCHES_BY_LINK,
    DELETED,
    CREATED_BY_STUDY,
    INDEX_OF_LINK,
    INSTANT_LINKS,
    TOKEN_HASH,
    CHANGE_OF_LINK,
];

/// Times are seconds since 1970; lists of texts are JSON arrays; NULL means absent.
const FIRST: &str = "
CREATE TABLE state (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL
) STRICT;
INSERT INTO state (one, epoch) VALUES (1, 0);

CREATE TABLE api_keys (
    id                TEXT PRIMARY KEY,
    hash              BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    name              TEXT NOT NULL,
    owner_issuer      TEXT NOT NULL,
    owner_subject     TEXT NOT NULL,
    owner_name        TEXT NOT NULL,
    granted_by_admin  INTEGER NOT NULL CHECK (granted_by_admin IN (0, 1)),
    roles             TEXT,
    permissions       TEXT,
    authorized_labels TEXT,
    created_at        INTEGER NOT NULL,
    expires_at        INTEGER,
    last_use          INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_by_owner ON api_keys (owner_issuer, owner_subject);

-- number gives the order of creation, which a clock that was set back cannot.
CREATE TABLE shares (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT NOT NULL UNIQUE,
    kind           TEXT NOT NULL,
    resources_json TEXT NOT NULL,
    owner_issuer   TEXT NOT NULL,
    owner_subject  TEXT NOT NULL,
    owner_name     TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    not_before     INTEGER,
    expires_at     INTEGER,
    options_json   TEXT NOT NULL,
    revoked_at     INTEGER,
    uses           INTEGER NOT NULL,
    last_use       INTEGER
) STRICT;
CREATE INDEX shares_by_owner ON shares (owner_issuer, owner_subject, number);

CREATE TABLE share_resources (
    share    INTEGER NOT NULL REFERENCES shares (number) ON DELETE CASCADE,
    resource TEXT NOT NULL,
    PRIMARY KEY (share, resource)
) STRICT, WITHOUT ROWID;
CREATE INDEX share_resources_by_resource ON share_resources (resource, share);

CREATE TABLE people (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    name    TEXT NOT NULL,
    groups  TEXT NOT NULL,
    roles   TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE not_before (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Who creates a study, for the day in which that counts.
const SECOND: &str = "
CREATE TABLE created_studies (
    uid        TEXT PRIMARY KEY,
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    study      TEXT,
    labels     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX created_studies_by_time ON created_studies (created_at);
";

/// Sessions of browsers. `valid_until` moves with each new word from the provider, `expires_at` never.
const THIRD: &str = "
CREATE TABLE sessions (
    id               TEXT PRIMARY KEY,
    hash             BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    issuer           TEXT NOT NULL,
    subject          TEXT NOT NULL,
    name             TEXT NOT NULL,
    roles            TEXT NOT NULL,
    groups           TEXT NOT NULL,
    provider_session TEXT,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    valid_until      INTEGER NOT NULL,
    sealed           BLOB NOT NULL,
    last_use         INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_person ON sessions (issuer, subject);
CREATE INDEX sessions_by_end ON sessions (expires_at);
CREATE INDEX people_by_name ON people (name);
CREATE INDEX people_by_subject ON people (subject);
";

/// Short forms of links, and how often each was opened by one.
const FOURTH: &str = "
ALTER TABLE shares ADD COLUMN code_hash BLOB;
ALTER TABLE shares ADD COLUMN openings INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX shares_by_code ON shares (code_hash) WHERE code_hash IS NOT NULL;
";

/// Links are listed by their maker's name or subject alone too.
const LINKS_BY_MAKER: &str = "
CREATE INDEX shares_by_subject ON shares (owner_subject, number);
CREATE INDEX shares_by_name ON shares (owner_name, number);
";

/// Launches of viewers on other origins. What is past `forget_at` is forgotten with the next launch.
const LAUNCHES: &str = "
CREATE TABLE launches (
    id           TEXT PRIMARY KEY,
    link         TEXT NOT NULL,
    client       TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    challenge    TEXT NOT NULL,
    nonce        TEXT,
    opened_at    INTEGER NOT NULL,
    session      TEXT,
    until        INTEGER NOT NULL,
    code_hash    BLOB NOT NULL UNIQUE CHECK (length(code_hash) = 32),
    code_until   INTEGER NOT NULL,
    code_taken   INTEGER NOT NULL DEFAULT 0 CHECK (code_taken IN (0, 1)),
    refresh_hash BLOB,
    revoked_at   INTEGER,
    forget_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX launches_by_end ON launches (forget_at);
";

/// How much came in by links. A table of its own: few links bring anything.
const SHARE_UPLOADS: &str = "
CREATE TABLE share_uploads (
    share     TEXT PRIMARY KEY REFERENCES shares (id) ON DELETE CASCADE,
    instances INTEGER NOT NULL,
    bytes     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Counts what other processes have to notice. The epoch cannot: it stays while a restored backup is not acknowledged.
const CHANGES: &str = "
ALTER TABLE state ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;
";

/// Launches of one link are counted.
const LAUNCHES_BY_LINK: &str = "
CREATE INDEX launches_by_link ON launches (link, client, session, code_until);
";

/// Which resources of a link were deleted since it was made: a JSON array, NULL for nearly all.
const DELETED: &str = "
ALTER TABLE shares ADD COLUMN deleted TEXT;
";

/// Whatever is deleted is looked for there.
const CREATED_BY_STUDY: &str = "
CREATE INDEX created_studies_by_study ON created_studies (study);
";

/// The name of Orthanc's index that a link was made on; NULL: not known.
const INDEX_OF_LINK: &str = "
ALTER TABLE shares ADD COLUMN index_name TEXT;
";

/// Instant links by their end, to be forgotten.
const INSTANT_LINKS: &str = "
CREATE INDEX instant_links ON shares (expires_at)
    WHERE kind IN ('viewer-instant-link', 'meddream-instant-link', 'download-instant-link');
";

/// SHA-256 of a link's token; NULL: it has none that opens it, or it was made by an earlier version.
const TOKEN_HASH: &str = "
ALTER TABLE shares ADD COLUMN token_hash BLOB;
";

/// How many changes the index had counted when a link was made on it, and by the last that somebody watched since, of each
/// index that there are links of.
const CHANGE_OF_LINK: &str = "
CREATE TABLE watched (
    index_name TEXT PRIMARY KEY,
    change     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE shares ADD COLUMN index_change INTEGER NOT NULL DEFAULT 0;
-- Of those that there are that is not known, and all of them would end.
UPDATE shares SET index_name = NULL WHERE index_name IS NOT NULL;
";

/// Brings the schema up to the last of `steps`, each step wholly or not at all. Two processes may do this at once.
/// The caller has made sure that the file is ours or empty, and not newer than `steps`.
pub(super) fn migrate(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    for (done, step) in (0_i64..).zip(steps) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if version(&transaction)? == done {
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", done + 1)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        transaction.commit()?;
    }
    Ok(())
}

/// The version of the schema; 0 for an empty file.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
