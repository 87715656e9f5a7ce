//! Moments as texts. Civil arithmetic only: no time zone of the machine plays a part.

use jiff::SignedDuration;
use jiff::civil::{DateTime, Time};
use jiff::fmt::temporal::Pieces;

use crate::clock::UnixTime;

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Reads an ISO 8601 date and time. Without a zone it is UTC; without a time it is the start of the day. Fractions of a
/// second are cut off. Named zones (`[Europe/Brussels]`) are not read.
pub(crate) fn parse(text: &str) -> Option<UnixTime> {
    let pieces = Pieces::parse(text).ok()?;
    if pieces.time_zone_annotation().is_some() {
        return None;
    }
    let civil = pieces.date().to_datetime(pieces.time().unwrap_or(Time::midnight()));
    let offset = pieces.to_numeric_offset().map_or(0, |offset| i64::from(offset.seconds()));
    Some(UnixTime(civil.duration_since(EPOCH).as_secs().saturating_sub(offset)))
}

/// Writes a moment as Python's `isoformat` does for UTC: `2030-01-01T00:00:00+00:00`. Ends with the year 9999.
pub(crate) fn format(moment: UnixTime) -> String {
    let civil = EPOCH.saturating_add(SignedDuration::from_secs(moment.0));
    let (year, month, day) = (civil.year(), civil.month(), civil.day());
    let (hour, minute, second) = (civil.hour(), civil.minute(), civil.second());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00")
}

/// Writes a moment for people, to the minute, rounded up: `2030-01-01 00:00`.
pub(crate) fn in_words(moment: UnixTime) -> String {
    let text = format(moment.plus(59));
    text.get(..16).unwrap_or(&text).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_minutes() {
        assert_eq!(in_words(UnixTime(0)), "1970-01-01 00:00");
        assert_eq!(in_words(UnixTime(1)), "1970-01-01 00:01");
    }

    #[test]
    fn dates_with_and_without_zone() {
        // 1893456000 is 2030-01-01T00:00:00Z: 60 years of 365 days and 15 leap days, times 86400.
        const Y2030: i64 = (60 * 365 + 15) * 86_400;
        for (text, expected) in [
            ("2030-01-01T00:00:00Z", Some(Y2030)),
            ("2030-01-01T00:00:00", Some(Y2030)),
            ("2030-01-01T00:00:00.000Z", Some(Y2030)),
            ("2030-01-01T00:00:00.999999+00:00", Some(Y2030)),
            ("2030-01-01 00:00:00+00:00", Some(Y2030)),
            ("2030-01-01", Some(Y2030)),
            ("2030-01-01T01:00:00+01:00", Some(Y2030)),
            ("2029-12-31T19:00:00-05:00", Some(Y2030)),
            ("20300101T000000Z", Some(Y2030)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
            ("1970-01-01T00:00:00", Some(0)),
            ("2030-02-30T00:00:00Z", None),
            ("2030-01-01T25:00:00Z", None),
            ("2030-01-01T00:00:00[Europe/Brussels]", None),
            ("tomorrow", None),
            ("1893456000", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected.map(UnixTime), "{text}");
        }
    }

    #[test]
    fn written_dates_are_read_again() {
        assert_eq!(format(UnixTime(0)), "1970-01-01T00:00:00+00:00");
        assert_eq!(format(UnixTime(1_893_456_000)), "2030-01-01T00:00:00+00:00");
        assert_eq!(format(UnixTime(253_402_300_799)), "9999-12-31T23:59:59+00:00");
        assert_eq!(format(UnixTime(i64::MAX)), "9999-12-31T23:59:59+00:00");
        for moment in (0..253_402_300_799).step_by(9_999_999_991) {
            assert_eq!(parse(&format(UnixTime(moment))), Some(UnixTime(moment)));
        }
    }
}
