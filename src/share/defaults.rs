//! What the site has said for links of somebody with certain roles (`Shares.Defaults`): what a new link has without
//! being asked for it, and how far a request may go. Pure.
//!
//! Of several roles the strictest counts, each condition by itself: a default is a precaution, not a right, and one
//! more role makes nobody more careful.

use std::collections::BTreeMap;
use std::time::Duration;

use super::kind::LinkType;
use super::request::{LinkRequest, Pin};
use super::validity::Bound;
use super::{BadRequest, bad};
use crate::clock::UnixTime;
use crate::config::{ShareDefaults, Shares};

/// An instant link of somebody with any bound lasts this long at most, in seconds: it can ask for nothing, and would
/// otherwise be a way around what is enforced.
const INSTANT: i64 = 3_600;

/// The conditions of one person's links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    given: Conditions,
    bounds: Conditions,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Conditions {
    pin: bool,
    max_openings: Option<u64>,
    no_download: bool,
    validity: Option<Duration>,
}

impl Conditions {
    fn tighten(&mut self, more: &ShareDefaults) {
        let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        self.pin |= more.pin == Some(true);
        self.max_openings = least(self.max_openings, more.max_openings);
        self.no_download |= more.download == Some(false);
        self.validity = self.validity.into_iter().chain(more.validity).min();
    }
}

impl Defaults {
    /// Those of somebody with these roles.
    pub fn of<'a>(configured: &BTreeMap<String, ShareDefaults>, roles: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        for role in roles {
            if let Some(role) = configured.get(role) {
                all.given.tighten(role);
                if role.enforce {
                    all.bounds.tighten(role);
                }
            }
        }
        all
    }

    /// The request with what it does not say itself. An error for what goes beyond a bound.
    ///
    /// An inbox link opens nothing, so that nothing of this is about it. Instant links and MedDream's cannot ask for
    /// anything: the first are bounded in time and what they download, and the second are refused where something must
    /// be asked for.
    pub fn apply(&self, mut request: LinkRequest, shares: &Shares, now: UnixTime) -> Result<LinkRequest, BadRequest> {
        if request.link_type == LinkType::Inbox {
            return Ok(request);
        }
        if !request.says_when {
            request.validity_duration = self.given.validity.map(|validity| validity.as_secs());
            request.expires_at = self.given.validity.map(|validity| after(validity, now));
            if request.not_before.zip(request.expires_at).is_some_and(|(beginning, end)| beginning >= end) {
                return Err(bad("NotBefore", "is not before the end of the link, which your role says"));
            }
        }
        if let Some(bound) = Bound::of(self.bounds.validity, shares) {
            bound.check(&request, now)?;
        }
        if !request.link_type.is_publication() {
            return self.apply_to_instant(request, now);
        }
        let can_ask = request.link_type != LinkType::MedDream;
        if can_ask {
            request.pin = request.pin.or_else(|| self.given.pin.then_some(Pin::Generated));
            request.max_openings = request.max_openings.or(self.given.max_openings);
            request.download = request.download.or_else(|| self.given.no_download.then_some(false));
        }
        let bounds = &self.bounds;
        if bounds.pin && matches!(request.pin, None | Some(Pin::None)) {
            return Err(bad("Pin", "your role makes no links without one"));
        }
        if let Some(most) = bounds.max_openings
            && request.max_openings.is_none_or(|openings| openings > most)
        {
            return Err(bad("MaxOpenings", format_args!("{most} at most for your role")));
        }
        if bounds.no_download && request.download != Some(false) {
            return Err(bad("Download", "your role makes no links for downloads"));
        }
        Ok(request)
    }

    /// A launch of a viewer by somebody who is logged in is an instant link that asks for nothing: whether it may
    /// download, and when it ends, then at the latest.
    #[must_use]
    pub fn of_launch(&self, latest: UnixTime, now: UnixTime) -> (bool, UnixTime) {
        let given = self.given.validity.map(|validity| after(validity, now));
        let bound = self.latest_instant(now);
        (!self.bounds.no_download, given.into_iter().chain(bound).fold(latest, UnixTime::min))
    }

    /// When instant links end at the latest, where anything is enforced.
    fn latest_instant(&self, now: UnixTime) -> Option<UnixTime> {
        (self.bounds != Conditions::default()).then(|| now.plus(INSTANT))
    }

    /// An instant link within the bounds. It is not refused for what it cannot ask: viewers would not open.
    fn apply_to_instant(&self, mut request: LinkRequest, now: UnixTime) -> Result<LinkRequest, BadRequest> {
        if self.bounds.no_download {
            if request.link_type == LinkType::DownloadInstant {
                return Err(bad("Download", "your role makes no links for downloads"));
            }
            request.download = Some(false);
        }
        if let Some(latest) = self.latest_instant(now) {
            request.expires_at = Some(request.expires_at.map_or(latest, |end| end.min(latest)));
            if request.not_before.is_some_and(|beginning| beginning >= latest) {
                return Err(bad("NotBefore", "is not before the end of the link, which your role says"));
            }
        }
        Ok(request)
    }
}

fn after(validity: Duration, now: UnixTime) -> UnixTime {
    now.plus(i64::try_from(validity.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: UnixTime = UnixTime(1_795_262_400);
    const DAY: u64 = 86_400;

    fn configured() -> BTreeMap<String, ShareDefaults> {
        let role = |pin, max_openings, download, days: Option<u64>, enforce| ShareDefaults {
            pin,
            max_openings,
            download,
            validity: days.map(|days| Duration::from_secs(days * DAY)),
            enforce,
        };
        [
            ("careful", role(Some(true), Some(3), Some(false), Some(7), false)),
            ("bound", role(Some(true), Some(2), Some(false), Some(2), true)),
            ("loose", role(Some(false), Some(100), Some(true), Some(30), false)),
            ("short", role(None, None, None, Some(1), true)),
        ]
        .map(|(name, role)| (name.to_owned(), role))
        .into()
    }

    /// PIN, openings, download, days.
    type Made = (bool, Option<u64>, bool, Option<i64>);

    const NEEDED: &str = "ValidityDuration or ExpirationDate is needed";

    /// What comes of a request of somebody with these roles, or where it fails.
    fn made(roles: &[&str], link_type: LinkType, more: Value) -> Result<Made, String> {
        made_within(None, roles, link_type, more)
    }

    fn made_within(
        max_validity: Option<u64>,
        roles: &[&str],
        link_type: LinkType,
        more: Value,
    ) -> Result<Made, String> {
        let mut body = json!({"Resources": [{"DicomUid": "1.2", "Level": "study"}]});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        let body = body.to_string();
        let mut shares = crate::share::request::tests::shares(max_validity);
        shares.defaults = configured();
        let place = |bad: BadRequest| bad.message.split(':').next().unwrap().to_owned();
        let request = LinkRequest::parse(link_type, body.as_bytes(), NOW, &shares).map_err(place)?;
        let request = Defaults::of(&shares.defaults, roles.iter().copied()).apply(request, &shares, NOW);
        let request = request.map_err(place)?;
        let days = request.expires_at.map(|end| (end.0 - NOW.0) / 86_400);
        let pin = matches!(request.pin, Some(Pin::Generated | Pin::Given(_)));
        Ok((pin, request.max_openings, request.download != Some(false), days))
    }

    #[test]
    fn a_request_gets_what_it_does_not_say_and_keeps_what_it_says() {
        let stone = LinkType::Stone;
        for (roles, more, expected) in [
            (&[][..], json!({}), (false, None, true, None)),
            (&["unknown"], json!({}), (false, None, true, None)),
            (&["careful"], json!({}), (true, Some(3), false, Some(7))),
            (&["careful"], json!({"Pin": false, "MaxOpenings": 9, "Download": true}), (false, Some(9), true, Some(7))),
            (&["careful"], json!({"ValidityDuration": 3_456_000}), (true, Some(3), false, Some(40))),
            (&["careful"], json!({"ValidityDuration": 0}), (true, Some(3), false, None)),
            (&["careful"], json!({"ValidityDuration": null}), (true, Some(3), false, Some(7))),
            // The strictest of several.
            (&["loose", "careful"], json!({}), (true, Some(3), false, Some(7))),
            (&["careful", "loose", "short"], json!({}), (true, Some(3), false, Some(1))),
        ] {
            assert_eq!(made(roles, stone, more.clone()), Ok(expected), "{roles:?} {more}");
        }
    }

    #[test]
    fn what_is_enforced_is_tightened_and_not_loosened() {
        let stone = LinkType::Stone;
        for (roles, link_type, more, expected) in [
            (&["bound"][..], stone, json!({}), Ok((true, Some(2), false, Some(2)))),
            (
                &["bound"],
                stone,
                json!({"Pin": "4711", "MaxOpenings": 1, "ValidityDuration": 86_400}),
                Ok((true, Some(1), false, Some(1))),
            ),
            (&["bound"], stone, json!({"Pin": false}), Err("Pin")),
            (&["bound"], stone, json!({"MaxOpenings": 3}), Err("MaxOpenings")),
            (&["bound"], stone, json!({"Download": true}), Err("Download")),
            (&["bound"], stone, json!({"ValidityDuration": 172_801}), Err("ValidityDuration")),
            (&["bound"], stone, json!({"ValidityDuration": 0}), Err("ValidityDuration")),
            (&["bound"], stone, json!({"ExpirationDate": "2030-01-01T00:00:00Z"}), Err("ExpirationDate")),
            // One more role takes no bound away.
            (&["loose", "bound"], stone, json!({"Pin": false}), Err("Pin")),
            (&["careful", "short"], stone, json!({"Pin": false}), Ok((false, Some(3), false, Some(1)))),
            (&["careful", "short"], stone, json!({"ValidityDuration": 172_800}), Err("ValidityDuration")),
            // What cannot ask.
            (&["bound"], LinkType::MedDream, json!({}), Err("Pin")),
            (&["careful"], LinkType::MedDream, json!({}), Ok((false, None, true, Some(7)))),
            (&["bound"], LinkType::ViewerInstant, json!({"ValidityDuration": 200}), Ok((false, None, false, Some(0)))),
            (&["bound"], LinkType::ViewerInstant, json!({"ValidityDuration": 0}), Err("ValidityDuration")),
            (&["bound"], LinkType::DownloadInstant, json!({"ValidityDuration": 200}), Err("Download")),
            (&["careful"], LinkType::DownloadInstant, json!({}), Ok((false, None, true, Some(7)))),
        ] {
            let made = made(roles, link_type, more.clone());
            assert_eq!(
                made.as_ref().map_err(String::as_str),
                expected.as_ref().map_err(|place| *place),
                "{roles:?} {more}"
            );
        }
    }

    #[test]
    fn the_smallest_bound_is_named() {
        let shares = crate::share::request::tests::shares(Some(30 * DAY));
        let told = |roles: &[&str], more: &str| {
            let body = format!(r#"{{"Resources": [{{"DicomUid": "1.2", "Level": "study"}}], {more}}}"#);
            let request = LinkRequest::parse(LinkType::Stone, body.as_bytes(), NOW, &shares).unwrap();
            let made = Defaults::of(&configured(), roles.iter().copied()).apply(request, &shares, NOW);
            made.unwrap_err().message
        };
        let endless = r#""ValidityDuration": 0"#;
        assert_eq!(
            told(&["short"], endless),
            "ValidityDuration: an endless link is not allowed; links last 86400 seconds at most for your role"
        );
        assert_eq!(
            told(&["loose"], endless),
            "ValidityDuration: an endless link is not allowed; links last 2592000 seconds at most (MaxValidity)"
        );
        assert_eq!(
            told(&["short"], r#""ExpirationDate": "2030-01-01T00:00:00Z""#),
            "ExpirationDate: is too late; links last 86400 seconds at most for your role"
        );
    }

    #[test]
    fn instant_links_are_no_way_around_what_is_enforced() {
        let shares = crate::share::request::tests::shares(None);
        let end = |roles: &[&str], more: &str| {
            let body = format!(r#"{{"Resources": [{{"DicomUid": "1.2", "Level": "study"}}]{more}}}"#);
            let request = LinkRequest::parse(LinkType::ViewerInstant, body.as_bytes(), NOW, &shares).unwrap();
            let made = Defaults::of(&configured(), roles.iter().copied()).apply(request, &shares, NOW);
            made.map(|request| request.expires_at.map(|end| end.0 - NOW.0)).map_err(|bad| bad.message)
        };
        assert_eq!(end(&["short"], r#", "ValidityDuration": 86400"#), Ok(Some(3_600)));
        assert_eq!(end(&["short", "careful"], ""), Ok(Some(3_600)));
        assert_eq!(end(&["short"], r#", "ValidityDuration": 60"#), Ok(Some(60)));
        // Nothing is enforced.
        assert_eq!(end(&["careful"], r#", "ValidityDuration": 86400"#), Ok(Some(86_400)));
        assert_eq!(end(&[], ""), Ok(None));
        let late = r#", "ValidityDuration": 86400, "NotBefore": "2026-11-21T18:00:00Z""#;
        assert!(end(&["short"], late).unwrap_err().starts_with("NotBefore"));
    }

    #[test]
    fn launches_are_no_way_around_what_is_enforced() {
        let hours = |hours: i64| NOW.plus(hours * 3_600);
        for (roles, latest, expected) in [
            (&[][..], hours(8), (true, hours(8))),
            (&["unknown"], hours(8), (true, hours(8))),
            (&["careful"], hours(8), (true, hours(8))),
            (&["careful"], hours(24 * 30), (true, hours(24 * 7))),
            (&["short"], hours(8), (true, hours(1))),
            (&["bound", "loose"], hours(8), (false, hours(1))),
            (&["bound"], NOW.plus(60), (false, NOW.plus(60))),
        ] {
            let defaults = Defaults::of(&configured(), roles.iter().copied());
            assert_eq!(defaults.of_launch(latest, NOW), expected, "{roles:?}");
        }
    }

    #[test]
    fn no_default_outlives_the_bound_of_all_links() {
        let most = Some(20 * DAY);
        let stone = LinkType::Stone;
        assert_eq!(made_within(most, &["careful"], stone, json!({})), Ok((true, Some(3), false, Some(7))));
        // Nobody says when.
        assert_eq!(made_within(most, &[], stone, json!({})), Err(NEEDED.to_owned()));
        assert_eq!(
            made_within(most, &["careful"], stone, json!({"ValidityDuration": 0})),
            Err("ValidityDuration".to_owned())
        );
        let late = json!({"NotBefore": "2030-01-01T00:00:00Z"});
        assert_eq!(made(&["careful"], stone, late), Err("NotBefore".to_owned()));
    }
}
