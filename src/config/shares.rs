//! `Shares`: share links.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::checked::{ShareDefaults, Shares};
use super::section::Section;
use super::uploads::{is_label, not_a_label};
use super::values::{shown, with_final_slash};
use super::viewers;
use crate::clock::UnixTime;
use crate::secret::Secret;

/// Keys that orthanc-auth-service's samples, tests and pages show: everybody can sign with them.
const PUBLISHED_KEYS: [&str; 4] = ["my-secret-key", "my-secret-key-for-anonymized-studies", "toto", "secret"];
/// Fewer are found by trying.
const LEAST_BYTES: usize = 16;
/// RFC 7518: a key for HS256 has at least as many bits as the hash.
const ENOUGH_BYTES: usize = 32;
/// As many as a request may ask for.
const MOST_OPENINGS: i64 = 1_000_000;
/// Seven days.
const INBOX_VALIDITY: Duration = Duration::from_secs(604_800);
/// What may come in by an inbox link where nobody says so: 20 GiB, more than a patient's studies, less than a disk.
const INBOX_MAX_BYTES: u64 = 20 << 30;

/// Reads the section. `public_url` and then `local_url` stand in for a missing `PublicOrthancRoot`.
pub(super) fn read(parent: &Section<'_>, public_url: Option<&str>, local_url: &str) -> Shares {
    let section = parent.section("Shares");
    let secret_key = section.secret("SecretKey", "SecretKeyFile");
    if let Some(key) = &secret_key {
        let place = if section.value("SecretKey").is_some() { "SecretKey" } else { "SecretKeyFile" };
        check_key(&section, place, key, LEAST_BYTES);
    }
    let max_validity = seconds(&section, "MaxValidity");
    let public_ohif_root = root(&section, "PublicOhifRoot");
    // Read for those who move from orthanc-auth-service, whose links named their server. Ours open on this one only.
    let _without_effect = section.string("ServerId");
    let shares = Shares {
        previous_secret_keys: previous_keys(&section),
        public_orthanc_root: root(&section, "PublicOrthancRoot")
            .or_else(|| Some(public_url.unwrap_or(local_url).to_owned())),
        public_landing_root: section.url("PublicLandingRoot"),
        ohif_dicom_json: section.choice("OhifDataSource", &["dicom-web", "dicom-json"]) == Some("dicom-json"),
        meddream_token_service_url: section.url("MedDreamTokenServiceUrl"),
        public_meddream_root: root(&section, "PublicMedDreamRoot"),
        max_validity,
        end_with_maker: section.boolean("EndWithMaker").unwrap_or(true),
        end_with_study: section.boolean("EndWithStudy").unwrap_or(true),
        accept_unrecorded: section.boolean("AcceptUnrecorded").unwrap_or(secret_key.is_some()),
        accept_unrecorded_until: moment(&section, "AcceptUnrecordedUntil"),
        inbox_validity: inbox_validity(&section, max_validity),
        inbox_labels: inbox_labels(&section),
        inbox_max_bytes: positive(&section, "InboxMaxBytes").unwrap_or(INBOX_MAX_BYTES),
        inbox_max_instances: positive(&section, "InboxMaxInstances"),
        viewers: viewers::read(&section, public_ohif_root.as_deref()),
        public_ohif_root,
        defaults: defaults(&section, max_validity),
        secret_key,
    };
    for (key, other) in
        [("MedDreamTokenServiceUrl", "PublicMedDreamRoot"), ("PublicMedDreamRoot", "MedDreamTokenServiceUrl")]
    {
        if section.value(key).is_none() && section.value(other).is_some() {
            section.fault(key, format!("is required with {other:?}: MedDream needs both"));
        }
    }
    section.finish();
    shares
}

/// `least` bytes, or it is a fault.
fn check_key(section: &Section<'_>, place: &'static str, key: &Secret, least: usize) {
    let text = key.expose();
    if text.to_ascii_lowercase().starts_with("change-me") || PUBLISHED_KEYS.contains(&text) {
        section
            .fault(place, "is a published sample: anybody could make links. Make a key with: openssl rand -base64 48");
    } else if text.len() < least {
        section.fault(
            place,
            format!("is shorter than {least} bytes and could be guessed. Make a key with: openssl rand -base64 48"),
        );
    } else if text.len() < ENOUGH_BYTES {
        section.reader.warn(
            "ShortSecretKey",
            format!("{} is shorter than {ENOUGH_BYTES} bytes and may be guessed", section.at(place)),
            "make one with openssl rand -base64 48, and keep this one in Authorization.Shares.PreviousSecretKeys while its links last",
        );
    }
}

fn previous_keys(section: &Section<'_>) -> Vec<Secret> {
    const KEY: &str = "PreviousSecretKeys";
    const FILE: &str = "PreviousSecretKeysFile";
    let mut keys = Vec::new();
    for (path, value) in section.list(KEY).unwrap_or_default() {
        match value.as_str().filter(|text| !text.is_empty()) {
            Some(text) => keys.push(Secret::new(text.to_owned())),
            None => section.reader.fault(path, "must be a string that is not empty"),
        }
    }
    if let Some(file) = section.string(FILE) {
        if section.value(KEY).is_some() {
            section.fault(FILE, format!("conflicts with {KEY:?}: give only one of them"));
        } else if let Some(content) = section.file(FILE, &file) {
            keys.extend(
                content.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| Secret::new(line.to_owned())),
            );
        }
    }
    for key in &keys {
        let place = if section.value(KEY).is_some() { KEY } else { FILE };
        // However short it is: whoever makes a longer one waits here for the links of this one to end.
        check_key(section, place, key, 0);
    }
    keys
}

fn root(section: &Section<'_>, key: &'static str) -> Option<String> {
    section.url(key).map(with_final_slash)
}

fn seconds(section: &Section<'_>, key: &'static str) -> Option<Duration> {
    let seconds = section.integer(key, 1..=i64::MAX)?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

fn positive(section: &Section<'_>, key: &'static str) -> Option<u64> {
    u64::try_from(section.integer(key, 1..=i64::MAX)?).ok()
}

fn inbox_labels(section: &Section<'_>) -> Vec<String> {
    const KEY: &str = "InboxLabels";
    let labels = section.strings(KEY).unwrap_or_default();
    for (index, label) in labels.iter().enumerate().filter(|(_, label)| !is_label(label)) {
        section.reader.fault(section.at(KEY).element(index), not_a_label(label));
    }
    labels
}

fn inbox_validity(section: &Section<'_>, max_validity: Option<Duration>) -> Duration {
    let validity = seconds(section, "InboxValidity");
    let longest = max_validity.unwrap_or(Duration::MAX);
    if validity.is_some_and(|validity| validity > longest) {
        section.fault("InboxValidity", "is longer than \"MaxValidity\"");
    }
    validity.unwrap_or(INBOX_VALIDITY).min(longest)
}

/// What is said of each role's links.
fn defaults(section: &Section<'_>, max_validity: Option<Duration>) -> BTreeMap<String, ShareDefaults> {
    let mut all = BTreeMap::new();
    for (name, role) in section.named_sections("Defaults") {
        let validity = seconds(&role, "Validity");
        if validity.zip(max_validity).is_some_and(|(validity, longest)| validity > longest) {
            role.fault("Validity", "is longer than \"Shares.MaxValidity\"");
        }
        let defaults = ShareDefaults {
            pin: role.boolean("Pin"),
            max_openings: role.integer("MaxOpenings", 1..=MOST_OPENINGS).and_then(|most| u64::try_from(most).ok()),
            download: role.boolean("Download"),
            validity,
            enforce: role.boolean("Enforce").unwrap_or(false),
        };
        let says_something = defaults.pin.is_some()
            || defaults.max_openings.is_some()
            || defaults.download.is_some()
            || defaults.validity.is_some();
        if defaults.enforce && !says_something && role.is_sound() {
            role.fault("Enforce", "stands alone: there is nothing to enforce");
        }
        role.finish();
        all.insert(name, defaults);
    }
    all
}

/// An ISO 8601 date and time, in UTC unless it says otherwise. A date alone means its end.
fn moment(section: &Section<'_>, key: &'static str) -> Option<UnixTime> {
    let value = section.string(key)?;
    let utc = |time: DateTime| time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    // A date is tried first: it would otherwise be read as its first moment.
    let parsed = match value.parse::<Date>() {
        Ok(date) if !value.contains([':', 'T', 't']) => {
            date.checked_add(1.day()).ok().and_then(|next| utc(next.at(0, 0, 0, 0)))
        }
        _ => value.parse::<Timestamp>().ok().or_else(|| value.parse::<DateTime>().ok().and_then(utc)),
    };
    if parsed.is_none() {
        section.fault(key, format!("must be a date and time like \"2027-01-31T00:00:00Z\", got {}", shown(&value)));
    }
    parsed.map(|moment| UnixTime(moment.as_second()))
}
