//! How long a link lasts: what is asked for, and what bounds it. Pure.

use std::time::Duration;

use serde_json::Value;

use super::kind::LinkType;
use super::request::{LONGEST_TEXT, LinkRequest, shown, text};
use super::{BadRequest, bad, date};
use crate::clock::UnixTime;
use crate::config::Shares;

const DURATION: &str = "ValidityDuration";
const DATE: &str = "ExpirationDate";

/// Longest `ValidityDuration` in seconds: a hundred years. Whoever wants more wants an endless link, and should say so.
const LONGEST_VALIDITY: u64 = 100 * 365 * 86_400;

/// `ValidityDuration`: null and 0 mean no end, as Orthanc Explorer 2 has it.
pub(super) fn validity(value: Option<&Value>) -> Result<Option<u64>, BadRequest> {
    const PLACE: &str = DURATION;
    let Some(value) = value else { return Ok(None) };
    match value.as_u64() {
        Some(0) => Ok(None),
        Some(seconds) if seconds > LONGEST_VALIDITY => {
            Err(bad(PLACE, format_args!("is longer than {LONGEST_VALIDITY} seconds; 0 means no end")))
        }
        Some(seconds) => Ok(Some(seconds)),
        None => Err(bad(PLACE, "a whole number of seconds is expected, 0 or more")),
    }
}

pub(super) fn expiration_date(value: Option<&Value>, now: UnixTime) -> Result<Option<UnixTime>, BadRequest> {
    const PLACE: &str = DATE;
    match moment(PLACE, value)? {
        Some(date) if date <= now => Err(bad(
            PLACE,
            format_args!("{} lies in the past", shown(value.and_then(Value::as_str).unwrap_or_default())),
        )),
        date => Ok(date),
    }
}

pub(super) fn moment(place: &str, value: Option<&Value>) -> Result<Option<UnixTime>, BadRequest> {
    let Some(text) = text(place, value, LONGEST_TEXT)? else { return Ok(None) };
    let date = date::parse(&text).ok_or_else(|| {
        bad(place, format_args!("{} is not a valid ISO 8601 date, such as 2030-01-31T12:00:00Z", shown(&text)))
    })?;
    Ok(Some(date))
}

/// When the link ends: the earlier of date and duration. How long an inbox link may last is checked here, as it opens
/// nothing that roles have bounds for; of others, [`Bound::check`] does.
pub(super) fn end(
    link_type: LinkType,
    date: Option<UnixTime>,
    duration: Option<u64>,
    now: UnixTime,
    shares: &Shares,
) -> Result<Option<UnixTime>, BadRequest> {
    let after = |seconds: u64| now.plus(i64::try_from(seconds).unwrap_or(i64::MAX));
    let end = date.into_iter().chain(duration.map(after)).min();
    if link_type != LinkType::Inbox {
        return Ok(end);
    }
    let latest = shares.max_validity.map(|most| after(most.as_secs()));
    match (latest, end, shares.max_validity) {
        (latest, None, _) => {
            let default = after(shares.inbox_validity.as_secs());
            Ok(Some(latest.map_or(default, |latest| latest.min(default))))
        }
        (Some(latest), Some(end), Some(most)) if end > latest => {
            let place = if date.is_some() && duration.is_none() { DATE } else { DURATION };
            Err(bad(place, format_args!("is too long; links last {} seconds at most (MaxValidity)", most.as_secs())))
        }
        (_, end, _) => Ok(end),
    }
}

/// How long a link may last at most, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    most: Duration,
    of_role: bool,
}

impl Bound {
    /// The smaller of what the maker's roles and the site allow.
    pub(super) fn of(role: Option<Duration>, shares: &Shares) -> Option<Self> {
        let role = role.map(|most| Self { most, of_role: true });
        let site = shares.max_validity.map(|most| Self { most, of_role: false });
        role.into_iter().chain(site).min_by_key(|bound| bound.most)
    }

    /// Refuses a link that would last longer, by what said how long.
    pub(super) fn check(self, request: &LinkRequest, now: UnixTime) -> Result<(), BadRequest> {
        let latest = now.plus(i64::try_from(self.most.as_secs()).unwrap_or(i64::MAX));
        if request.expires_at.is_some_and(|end| end <= latest) {
            return Ok(());
        }
        let says_date = request.says_when && request.validity_duration.is_none() && request.expires_at.is_some();
        let seconds = self.most.as_secs();
        let why = if self.of_role { "for your role" } else { "(MaxValidity)" };
        let (place, what) = match request.expires_at {
            None if !request.says_when => ("ValidityDuration or ExpirationDate is needed", ""),
            None => (DURATION, "an endless link is not allowed; "),
            Some(_) if says_date => (DATE, "is too late; "),
            Some(_) => (DURATION, "is too long; "),
        };
        Err(bad(place, format_args!("{what}links last {seconds} seconds at most {why}")))
    }
}
