//! Our types to and from columns.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::clock::UnixTime;

impl ToSql for UnixTime {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for UnixTime {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

/// A list of texts, stored as a JSON array.
pub(super) struct Texts(pub(super) Vec<String>);

impl FromSql for Texts {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(|error| FromSqlError::Other(error.into()))
    }
}

/// The JSON array of a list of texts.
pub(super) fn texts(list: &[impl AsRef<str>]) -> String {
    let list: serde_json::Value = list.iter().map(AsRef::as_ref).collect();
    list.to_string()
}

/// A number as SQLite holds it; what does not fit is as many as fit.
pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A number that SQLite held; negative ones are never written.
pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
