//! The body of `PUT /auth/tokens/{type}`: JSON to a checked request, or a sentence that says what is wrong and where.
//!
//! Checks the form. Whether the resources exist, and whether they may be shared, is for the caller.

use serde_json::{Map, Value};

use super::kind::LinkType;
use super::token::{LONGEST_TOKEN, Registered, ShareClaims, TooLong};
use super::validity::{end, expiration_date, moment, validity};
use super::{BadRequest, ShareResource, bad};
use crate::clock::UnixTime;
use crate::config::Shares;
use crate::json::Unique;
use crate::level::Level;
use crate::route::{is_orthanc_id, is_uid};
use crate::secret::Secret;

/// More resources than this in one request are a mistake. (A token holds fewer: see [`super::token::sign`].)
pub const MOST_RESOURCES: usize = 1000;

/// Longest `ID`, in bytes.
pub const LONGEST_ID: usize = 256;

/// Longest `Username` and `Url`, in bytes.
pub(super) const LONGEST_TEXT: usize = 2048;

/// Longest body, in bytes: what [`MOST_RESOURCES`] may take, and some air.
const LONGEST_BODY: usize = 1024 * 1024;

/// Longest name of an unknown member for which a known one is suggested, in bytes.
const LONGEST_MISTAKE: usize = 64;

/// A link that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRequest {
    /// Its type.
    pub link_type: LinkType,
    /// `ID`: the name that the client gives to it.
    pub id: Option<String>,
    /// What it shall open, each resource once; empty for an inbox link, and only there.
    pub resources: Vec<ShareResource>,
    /// `Username`: for whom an inbox link is; one or more addresses, as typed.
    pub username: Option<String>,
    /// When it begins; `None`: at once. Kept in its record only: validators that read old tokens know no beginning.
    pub not_before: Option<UnixTime>,
    /// When it ends; `None`: never.
    pub expires_at: Option<UnixTime>,
    /// Whether it was said when it ends; else the defaults say it, if they do.
    pub says_when: bool,
    /// The validity in seconds that was asked for, from when it is made.
    pub validity_duration: Option<u64>,
    /// `Pin`: whether something is asked for when it is opened; `None`: as the defaults have it.
    pub pin: Option<Pin>,
    /// `MaxOpenings`: how often it may be opened.
    pub max_openings: Option<u64>,
    /// `Recipient`: the name or subject of whoever has to log in.
    pub recipient: Option<String>,
    /// `Download`: whether archive and media may be fetched; `None`: as the defaults have it.
    pub download: Option<bool>,
    /// `Verbs`: whether `annotate` is among them.
    pub annotate: bool,
    /// `Labels`: for the studies that come in by an inbox link; sorted, each once.
    pub labels: Vec<String>,
    /// `MaxInstances`: how many instances may come in by it.
    pub max_instances: Option<u64>,
    /// `MaxBytes`: how many bytes may.
    pub max_bytes: Option<u64>,
}

/// What `Pin` asks for.
#[derive(Clone, Debug)]
pub enum Pin {
    /// `false`
    None,
    /// `true`: one that this server makes up.
    Generated,
    /// This one.
    Given(Secret),
}

impl PartialEq for Pin {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) | (Self::Generated, Self::Generated) => true,
            (Self::Given(one), Self::Given(two)) => one.expose() == two.expose(),
            _ => false,
        }
    }
}

impl Eq for Pin {}

impl LinkRequest {
    /// Reads and checks a body.
    ///
    /// Members may be spelled as Orthanc spells them (`OrthancId`) or as the old service does (`orthanc-id`,
    /// `orthanc_id`). Unknown ones are refused: a mistyped limit would otherwise be none. When both `ExpirationDate` and
    /// `ValidityDuration` are given, both hold: the earlier end counts. (The old service lets the date win.)
    pub fn parse(type_in_path: LinkType, body: &[u8], now: UnixTime, shares: &Shares) -> Result<Self, BadRequest> {
        if body.len() > LONGEST_BODY {
            return Err(bad("body", format_args!("longer than {LONGEST_BODY} bytes")));
        }
        let Unique(body) =
            crate::json::from_slice(body).map_err(|error| bad("body", format_args!("not JSON: {error}")))?;
        let [
            id,
            resources,
            link_type,
            date,
            duration,
            username,
            beginning,
            pin,
            openings,
            recipient,
            download,
            verbs,
            labels,
            instances,
            bytes,
        ] = members(&body, "", &REQUEST)?;
        check_type(type_in_path, link_type)?;
        let username = text("Username", username, LONGEST_TEXT)?;
        if username.is_some() && type_in_path != LinkType::Inbox {
            return Err(bad("Username", format_args!("is for {} only", LinkType::Inbox)));
        }
        let validity_duration = validity(duration)?;
        let says_when = date.is_some() || duration.is_some();
        let date = expiration_date(date, now)?;
        // How long it may last at most, the defaults know: roles have bounds of their own.
        let expires_at = end(type_in_path, date, validity_duration, now, shares)?;
        let not_before = moment("NotBefore", beginning)?;
        if not_before.zip(expires_at).is_some_and(|(beginning, end)| beginning >= end) {
            return Err(bad("NotBefore", "is not before the end of the link"));
        }
        let resources = read_resources(type_in_path, resources)?;
        if !type_in_path.opens_parts()
            && let Some(at) = resources.iter().position(|resource| resource.level != Level::Study)
        {
            let place = format!("Resources[{at}].Level");
            return Err(bad(&place, format_args!("{type_in_path} opens whole studies only")));
        }
        let annotate = read_verbs(type_in_path, &resources, verbs)?;
        let uploads = annotate || type_in_path == LinkType::Inbox;
        Ok(Self {
            link_type: type_in_path,
            id: text("ID", id, LONGEST_ID)?,
            resources,
            annotate,
            labels: read_labels(type_in_path, labels)?,
            max_instances: read_most(uploads, "MaxInstances", instances)?,
            max_bytes: read_most(uploads, "MaxBytes", bytes)?,
            username,
            not_before,
            expires_at,
            says_when,
            validity_duration,
            pin: for_publications(type_in_path, "Pin", pin)?.map(read_pin).transpose()?,
            max_openings: for_publications(type_in_path, "MaxOpenings", openings)?.map(read_openings).transpose()?,
            recipient: text("Recipient", for_publications(type_in_path, "Recipient", recipient)?, LONGEST_TEXT)?
                .filter(|recipient| !recipient.is_empty()),
            download: for_publications(type_in_path, "Download", download)?.map(read_download).transpose()?,
        })
    }

    /// The claims of the token for this link.
    #[must_use]
    pub fn into_claims(self, registered: Registered) -> ShareClaims {
        ShareClaims {
            id: self.id,
            resources: self.resources,
            link_type: self.link_type,
            validity_duration: self.validity_duration,
            expires_at: self.expires_at,
            registered: Some(registered),
        }
    }
}

impl From<TooLong> for BadRequest {
    fn from(_: TooLong) -> Self {
        bad(
            "Resources",
            format_args!("too many for one link: the token would be longer than {LONGEST_TOKEN} characters"),
        )
    }
}

/// The spellings of a member; the first is the one that messages use.
type Spellings = &'static [&'static str];

const REQUEST: [Spellings; 15] = [
    &["ID", "Id", "id"],
    &["Resources", "resources"],
    &["Type", "type"],
    &["ExpirationDate", "expiration-date", "expiration_date"],
    &["ValidityDuration", "validity-duration", "validity_duration"],
    &["Username", "username"],
    &["NotBefore", "not-before", "not_before"],
    &["Pin", "pin"],
    &["MaxOpenings", "max-openings", "max_openings"],
    &["Recipient", "recipient"],
    &["Download", "download"],
    &["Verbs", "verbs"],
    &["Labels", "labels"],
    &["MaxInstances", "max-instances", "max_instances"],
    &["MaxBytes", "max-bytes", "max_bytes"],
];

const RESOURCE: [Spellings; 4] = [
    &["OrthancId", "orthanc-id", "orthanc_id"],
    &["DicomUid", "dicom-uid", "dicom_uid"],
    &["Level", "level"],
    &["Url", "url"],
];

/// The known members of an object, in the order of `known`; null counts as absent.
fn members<'a, const N: usize>(
    value: &'a Value,
    place: &str,
    known: &[Spellings; N],
) -> Result<[Option<&'a Value>; N], BadRequest> {
    let name_of_object = if place.is_empty() { "body" } else { place };
    let object: &Map<String, Value> = value.as_object().ok_or_else(|| bad(name_of_object, "an object is expected"))?;
    let at = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    if let Some(unknown) = object.keys().find(|name| !known.iter().any(|spellings| spellings.contains(&name.as_str())))
    {
        // To compare takes time with the length; what is longer than this resembles none.
        if unknown.len() > LONGEST_MISTAKE {
            return Err(bad(&at(&shown(unknown)), "unknown member"));
        }
        let distance = |name: &&&str| strsim::damerau_levenshtein(&unknown.to_lowercase(), &name.to_lowercase());
        let nearest = known.iter().filter_map(|spellings| spellings.first()).min_by_key(distance).unwrap_or(&"");
        return Err(bad(&at(&shown(unknown)), format_args!("unknown member; is {nearest} meant?")));
    }
    let mut found = [None; N];
    for (slot, spellings) in found.iter_mut().zip(known) {
        let mut values = spellings.iter().filter_map(|name| object.get(*name));
        *slot = values.next().filter(|value| !value.is_null());
        if values.next().is_some() {
            return Err(bad(&at(spellings.first().unwrap_or(&"")), "appears twice, in two spellings"));
        }
    }
    Ok(found)
}

/// A text of the request as a message may show it: short and on one line.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(64).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{:?}{dots}", short)
}

pub(super) fn text(place: &str, value: Option<&Value>, longest: usize) -> Result<Option<String>, BadRequest> {
    let Some(value) = value else { return Ok(None) };
    let text = value.as_str().ok_or_else(|| bad(place, "a string is expected"))?;
    if text.len() > longest {
        return Err(bad(place, format_args!("longer than {longest} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(bad(place, "holds a control character"));
    }
    Ok(Some(text.to_owned()))
}

/// An instant link is used at once by whoever asked, at a URL of the client's: it cannot ask for anything. MedDream is let
/// in by its own service.
fn for_publications<'a>(
    link_type: LinkType,
    place: &str,
    value: Option<&'a Value>,
) -> Result<Option<&'a Value>, BadRequest> {
    match value {
        Some(_) if !link_type.is_publication() || link_type == LinkType::MedDream => {
            Err(bad(place, format_args!("{link_type} does not support {place}")))
        }
        value => Ok(value),
    }
}

/// Shorter PINs than this are guessed, and nobody types longer ones.
const PIN_LENGTH: std::ops::RangeInclusive<usize> = 4..=128;

fn read_pin(value: &Value) -> Result<Pin, BadRequest> {
    match value {
        Value::Bool(true) => Ok(Pin::Generated),
        Value::Bool(false) => Ok(Pin::None),
        Value::String(pin) if PIN_LENGTH.contains(&pin.chars().count()) && !pin.chars().any(char::is_control) => {
            Ok(Pin::Given(Secret::new(pin.clone())))
        }
        _ => Err(bad("Pin", "true, false or a string of 4 to 128 characters is expected")),
    }
}

fn read_openings(value: &Value) -> Result<u64, BadRequest> {
    let openings = value.as_u64().filter(|openings| (1..=1_000_000).contains(openings));
    openings.ok_or_else(|| bad("MaxOpenings", "a whole number from 1 to 1000000 is expected"))
}

fn read_download(value: &Value) -> Result<bool, BadRequest> {
    value.as_bool().ok_or_else(|| bad("Download", "true or false is expected"))
}

/// `Verbs`: `["read"]`, or with `"annotate"`. Whoever annotates has to see what there is, and what becomes of it.
fn read_verbs(link_type: LinkType, resources: &[ShareResource], value: Option<&Value>) -> Result<bool, BadRequest> {
    const PLACE: &str = "Verbs";
    let Some(value) = value else { return Ok(false) };
    if link_type == LinkType::Inbox {
        return Err(bad(PLACE, format_args!("{link_type} is for uploads only")));
    }
    let verbs = value.as_array().ok_or_else(|| bad(PLACE, "a list is expected"))?;
    if let Some(unknown) = verbs.iter().find(|verb| !["read", "annotate"].contains(&verb.as_str().unwrap_or_default()))
    {
        return Err(bad(
            PLACE,
            format_args!(
                "{} is unknown; read and annotate are known",
                unknown.as_str().map_or_else(|| shown(&unknown.to_string()), shown)
            ),
        ));
    }
    let holds = |verb: &str| verbs.iter().any(|held| held == verb);
    if !holds("read") {
        return Err(bad(PLACE, "every link reads: \"read\" must be among them"));
    }
    if !holds("annotate") {
        return Ok(false);
    }
    // MedDream is let in by its own service, and a download brings nothing back.
    if matches!(link_type, LinkType::MedDream | LinkType::MedDreamInstant | LinkType::DownloadInstant) {
        return Err(bad(PLACE, format_args!("{link_type} cannot annotate")));
    }
    if resources.iter().any(|resource| resource.level != Level::Study) {
        return Err(bad(PLACE, "annotations are new series, so such a link is for whole studies"));
    }
    Ok(true)
}

/// `Labels`: what Orthanc takes as one, and few enough to be set within one upload.
fn read_labels(link_type: LinkType, value: Option<&Value>) -> Result<Vec<String>, BadRequest> {
    const PLACE: &str = "Labels";
    const MOST: usize = 20;
    let Some(value) = value else { return Ok(Vec::new()) };
    if link_type != LinkType::Inbox {
        return Err(bad(PLACE, format_args!("is for {} only", LinkType::Inbox)));
    }
    let list = value.as_array().ok_or_else(|| bad(PLACE, "a list is expected"))?;
    let mut labels = std::collections::BTreeSet::new();
    for (at, label) in list.iter().enumerate() {
        let label = label.as_str().filter(|label| crate::config::is_label(label)).ok_or_else(|| {
            bad(&format!("{PLACE}[{at}]"), "a label is expected: letters, digits, \"_\" and \"-\", 64 at most")
        })?;
        labels.insert(label.to_owned());
    }
    if labels.len() > MOST {
        return Err(bad(PLACE, format_args!("more than {MOST}")));
    }
    Ok(labels.into_iter().collect())
}

fn read_most(uploads: bool, place: &str, value: Option<&Value>) -> Result<Option<u64>, BadRequest> {
    let Some(value) = value else { return Ok(None) };
    if !uploads {
        return Err(bad(place, "nothing comes in by this link"));
    }
    let most = value.as_u64().filter(|most| *most > 0 && i64::try_from(*most).is_ok());
    most.map(Some).ok_or_else(|| bad(place, "a whole number from 1 is expected"))
}

fn check_type(in_path: LinkType, in_body: Option<&Value>) -> Result<(), BadRequest> {
    match text("Type", in_body, LONGEST_TEXT)? {
        Some(name) if name != in_path.as_str() => {
            Err(bad("Type", format_args!("is {}, but the path says {in_path}", shown(&name))))
        }
        _ => Ok(()),
    }
}

fn read_resources(link_type: LinkType, value: Option<&Value>) -> Result<Vec<ShareResource>, BadRequest> {
    const PLACE: &str = "Resources";
    let list = match value {
        Some(value) => value.as_array().ok_or_else(|| bad(PLACE, "a list is expected"))?.as_slice(),
        None => &[],
    };
    if link_type == LinkType::Inbox {
        let message = format_args!("{link_type} opens none, so the list must be empty");
        return if list.is_empty() { Ok(Vec::new()) } else { Err(bad(PLACE, message)) };
    }
    if list.is_empty() {
        return Err(bad(PLACE, format_args!("{link_type} needs at least one")));
    }
    if list.len() > MOST_RESOURCES {
        return Err(bad(PLACE, format_args!("more than {MOST_RESOURCES}")));
    }
    let mut resources = Vec::with_capacity(list.len());
    for (at, value) in list.iter().enumerate() {
        let resource = read_resource(&format!("{PLACE}[{at}]"), value)?;
        if !resources.contains(&resource) {
            resources.push(resource);
        }
    }
    Ok(resources)
}

fn read_resource(place: &str, value: &Value) -> Result<ShareResource, BadRequest> {
    let [orthanc_id, dicom_uid, level, url] = members(value, place, &RESOURCE)?;
    let at = |name: &str| format!("{place}.{name}");
    let orthanc_id = text(&at("OrthancId"), orthanc_id, LONGEST_TEXT)?;
    let dicom_uid = text(&at("DicomUid"), dicom_uid, LONGEST_TEXT)?;
    if let Some(id) = orthanc_id.as_deref().filter(|id| !is_orthanc_id(id)) {
        let message = "is not an Orthanc identifier, which is five groups of eight hexadecimal digits in lower case";
        return Err(bad(&at("OrthancId"), format_args!("{} {message}", shown(id))));
    }
    if let Some(uid) = dicom_uid.as_deref().filter(|uid| !is_uid(uid)) {
        return Err(bad(
            &at("DicomUid"),
            format_args!("{} is not a UID, which is up to 64 digits and dots", shown(uid)),
        ));
    }
    if orthanc_id.is_none() && dicom_uid.is_none() {
        return Err(bad(place, "OrthancId or DicomUid is needed"));
    }
    let level = text(&at("Level"), level, LONGEST_TEXT)?.ok_or_else(|| bad(&at("Level"), "is missing"))?;
    // A patient would open studies that do not exist yet.
    let level = Level::parse(&level).filter(|level| *level != Level::Patient).ok_or_else(|| {
        bad(&at("Level"), format_args!("{} is unknown; study, series and instance are known", shown(&level)))
    })?;
    Ok(ShareResource { level, orthanc_id, dicom_uid, url: text(&at("Url"), url, LONGEST_TEXT)? })
}

#[cfg(test)]
#[path = "request_tests.rs"]
pub(super) mod tests;
