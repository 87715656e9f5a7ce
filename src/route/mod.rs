//! From method and path to what a request touches: the model of every route of Orthanc and its plugins, as data.
//!
//! Knows nothing of identities, labels or permissions: it says which resources a route names and how somebody who does
//! not hold all labels is to be treated there. A route that the table does not know is [`Handling::Unknown`].
#![forbid(unsafe_code)]

mod document;
mod table;
pub mod tags;
mod unknown;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::host::Method;
use crate::request::UploadWay;
use crate::resource::{Level, Named};

/// What can be owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owned {
    /// A job of Orthanc's.
    Job,
    /// A query to another system, with its answers.
    Query,
}

/// How a route treats somebody who may not see all studies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// No patient data: as it is, for whoever holds the permission.
    Open,
    /// Every resource that the path names must be allowed; the answer then goes through untouched.
    Named,
    /// As `Named`, and our REST callback takes out of the answer what the asker may not know.
    Filtered,
    /// As `Filtered`, and whoever may see only a part of what the path names gets that part.
    Parts,
    /// Nothing has to be named: our REST callback answers from the allowed studies only. What the arguments name must
    /// be allowed.
    Search,
    /// The Orthanc identifiers, separated by commas, in the GET argument of this name, of any level; all of them must
    /// be allowed and at least one must be there.
    Identifiers(&'static str),
    /// WADO-URI: the UIDs in the arguments `objectUID`, `seriesUID` and `studyUID`; the first is required.
    WadoUri,
    /// Sets or removes the label that the path names, on the study that it names.
    Label,
    /// Brings instances in: what the path names is not looked up, as the instance filter decides on each of them
    /// (`uploads`).
    Upload(UploadWay),
    /// The body names resources. Those that the path names must be allowed; our REST callback checks those of the body
    /// before the core sees them.
    Body,
    /// The job that the path names must have been started by the asker.
    Job,
    /// The query to another system that the path names must be the asker's.
    Query,
    /// One of our own `/auth/…` routes: the handler decides.
    Own,
    /// Reaches patient data or settings in a way that is not looked into: only for whoever holds all labels.
    Refused,
    /// The table does not know the route: only for whoever holds all labels.
    Unknown,
}

impl Handling {
    /// Whether the route is known to carry patient data, so that it is checked even inside an unchecked folder
    /// (decision 6).
    #[must_use]
    pub const fn carries_patient_data(self) -> bool {
        !matches!(self, Self::Open | Self::Own | Self::Unknown)
    }

    /// Whether a request is served for all identities that were granted together, not for the first of them.
    #[must_use]
    pub const fn serves_all(self) -> bool {
        matches!(self, Self::Search | Self::Upload(_) | Self::Body)
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The methods.
    pub methods: &'static [Method],
    /// The path. Placeholders say what stands there: `{patient} {study} {series} {instance}` are Orthanc identifiers,
    /// `{study-uid} {series-uid} {instance-uid}` DICOM UIDs, `{image}` a word of the first web viewer's with an instance's
    /// Orthanc identifier inside, `{label}` a label, `{job}` a job, `{query}` a query,
    /// `{any}` one segment that names no resource and `{*rest}` everything below; text may follow a placeholder in its
    /// segment. `{dicom-web}`, `{wado}` and `{ui}` at the start stand for configured roots.
    pub path: &'static str,
    /// What somebody limited gets.
    pub limited: Handling,
    /// Which part of the server has the route: `orthanc`, or the plugin's name.
    pub owner: &'static str,
    /// Why, when that is not plain.
    pub note: &'static str,
}

/// The table as a page of Markdown.
pub use document::markdown;
/// The whole table, for the documentation and the tests.
pub use table::ROUTES;
pub use unknown::UnknownRoutes;

/// A path that a row is about, below the usual roots.
#[must_use]
pub fn example(path: &str) -> String {
    let mut example = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, below) = after.split_once('}').unwrap_or((after, ""));
        example.push_str(before);
        example.push_str(match kind(name) {
            Placeholder::Orthanc(_) => "00000000-00000000-00000000-00000000-00000000",
            Placeholder::Uid(_) => "1.2.3",
            Placeholder::Image => "jpeg95-00000000-00000000-00000000-00000000-00000000_0",
            Placeholder::Label | Placeholder::Owned(_) | Placeholder::Other => "0",
        });
        rest = below;
    }
    example + rest
}

/// What the table says of a request, without what the request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The row's path, or the reason why there is none.
    pub template: &'static str,
    /// How to treat somebody limited.
    pub handling: Handling,
    /// The row's note.
    pub note: &'static str,
}

impl Row {
    /// Whether a browser may show the answer as a page by a cookie alone (decision 27): what holds no patient data, and
    /// what is saved to disk. A stored document could otherwise act for whoever opens it.
    #[must_use]
    pub fn may_be_a_page(&self) -> bool {
        !self.handling.carries_patient_data() || self.is_archive() || self.template.ends_with("/file")
    }

    /// Whether the answer is an archive of DICOM files, or its medium with a DICOMDIR.
    #[must_use]
    pub fn is_archive(&self) -> bool {
        let last = self.template.rsplit('/').next().unwrap_or_default();
        matches!(last, "archive" | "media" | "create-archive" | "create-media" | "create-media-extended")
    }
}

/// What one request touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access<'a> {
    /// The row's path, or the reason why there is none; for logs: it holds no identifiers.
    pub template: &'static str,
    /// How to treat somebody limited.
    pub handling: Handling,
    /// The resources that path and arguments name.
    pub named: Vec<Named<'a>>,
    /// How many of them, from the front, are touched in part only: they are on the way to something below that is named
    /// as well, or the answer is taken from what the asker may see in them.
    pub in_part: usize,
    /// The label that the path names.
    pub label: Option<&'a str>,
    /// The job or query that the path names.
    pub owned: Option<(Owned, &'a str)>,
}

impl Access<'_> {
    const fn unknown(template: &'static str) -> Self {
        Self { template, handling: Handling::Unknown, named: Vec::new(), in_part: 0, label: None, owned: None }
    }
}

/// Where the plugins with a configurable root were put.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `DicomWeb.Root`, with slashes at both ends.
    pub dicom_web: String,
    /// `DicomWeb.WadoRoot`, without a slash at its end.
    pub wado: String,
    /// `OrthancExplorer2.Root`, with slashes at both ends.
    pub ui: String,
}

impl Default for Roots {
    fn default() -> Self {
        Self { dicom_web: "/dicom-web/".to_owned(), wado: "/wado".to_owned(), ui: "/ui/".to_owned() }
    }
}

/// The table, ready for look-ups.
pub struct RouteModel {
    router: matchit::Router<[Option<Entry>; 4]>,
}

/// A row with what its placeholders stand for, from left to right.
#[derive(Clone, Debug)]
struct Entry {
    route: &'static Route,
    placeholders: Vec<Placeholder>,
}

/// Stands where a configured root puts routes of two plugins, or of a plugin and the core, at the same place.
static CONTESTED: Route = Route {
    methods: &[],
    path: "several routes at one place",
    limited: Handling::Refused,
    owner: "",
    note: "which one the server would ask is not ours to guess",
};

/// A table or a root that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the route {path:?} cannot be used: {cause}")]
pub struct RouteError {
    path: String,
    cause: String,
}

impl RouteModel {
    /// Builds the model for a server whose plugins sit at these roots.
    pub fn new(roots: &Roots) -> Result<Self, RouteError> {
        let mut by_shape: BTreeMap<String, [Option<Entry>; 4]> = BTreeMap::new();
        for route in ROUTES {
            let (shape, placeholders) = shape(route.path, roots);
            let row = by_shape.entry(shape).or_default();
            for method in route.methods {
                if let Some(place) = row.get_mut(*method as usize) {
                    let entry = Entry { route, placeholders: placeholders.clone() };
                    *place = Some(match place.take() {
                        Some(other) => contest(other, entry)?,
                        None => entry,
                    });
                }
            }
        }
        let mut router = matchit::Router::new();
        for (path, row) in by_shape {
            router.insert(path.clone(), row).map_err(|error| RouteError { path, cause: error.to_string() })?;
        }
        Ok(Self { router })
    }

    /// The row of a request, without looking at what it names: enough for whoever may touch everything.
    #[must_use]
    pub fn find(&self, method: Method, path: &str) -> Row {
        match self.entry(method, path) {
            Ok((entry, _)) => Row { template: entry.route.path, handling: entry.route.limited, note: entry.route.note },
            Err(template) => Row { template, handling: Handling::Unknown, note: "" },
        }
    }

    fn entry<'a>(&self, method: Method, path: &'a str) -> Result<(&Entry, matchit::Params<'_, 'a>), &'static str> {
        let trimmed = match path.trim_end_matches('/') {
            "" => "/",
            rest => rest,
        };
        let matched = self.router.at(trimmed).map_err(|_unmatched| "unknown route")?;
        let entry = matched.value.get(method as usize).and_then(Option::as_ref);
        Ok((entry.ok_or("unknown method of a known route")?, matched.params))
    }

    /// What a request touches. `path` is decoded; slashes at its end do not matter, as they do not to Orthanc's router.
    #[must_use]
    pub fn classify<'a>(&self, method: Method, path: &'a str, arguments: &[(&'a str, &'a str)]) -> Access<'a> {
        let (entry, params) = match self.entry(method, path) {
            Ok(found) => found,
            Err(template) => return Access::unknown(template),
        };
        let mut named = Vec::new();
        let mut label = None;
        let mut owned = None;
        for (placeholder, (_, value)) in entry.placeholders.iter().zip(params.iter()) {
            match (placeholder, value) {
                (Placeholder::Orthanc(level), id) if is_orthanc_id(id) => {
                    named.push(Named::Orthanc(*level, Cow::Borrowed(id)))
                }
                (Placeholder::Uid(level), uid) if is_uid(uid) => named.push(Named::Uid(*level, Cow::Borrowed(uid))),
                (Placeholder::Image, word) => named.push(match instance_of_image(word) {
                    Some(id) => Named::Orthanc(Level::Instance, Cow::Borrowed(id)),
                    None => Named::Malformed,
                }),
                (Placeholder::Label, text) => label = Some(text),
                (Placeholder::Owned(kind), id) => owned = Some((*kind, id)),
                (Placeholder::Other, _) => {}
                // Not an identifier at all: nothing that anybody could have been allowed.
                (Placeholder::Orthanc(_) | Placeholder::Uid(_), _) => named.push(Named::Malformed),
            }
        }
        let mut in_part = 0;
        match entry.route.limited {
            Handling::Identifiers(argument) => identifiers(argument, arguments, &mut named),
            Handling::WadoUri => in_part = wado_uri(arguments, &mut named),
            Handling::Search => {
                searched(arguments, &mut named);
                in_part = named.len();
            }
            Handling::Parts => in_part = named.len(),
            // Of the UIDs in a DICOMweb path the last one is what is asked for; the others lead to it.
            Handling::Named
                if entry.placeholders.iter().any(|placeholder| matches!(placeholder, Placeholder::Uid(_))) =>
            {
                in_part = named.len().saturating_sub(1);
            }
            _ => {}
        }
        if asks_for_sibling_counts(arguments) {
            named.push(Named::Malformed);
        }
        Access { template: entry.route.path, handling: entry.route.limited, named, in_part, label, owned }
    }
}

/// Two rows for one method at one place: the same thing said twice, two plugins whose roots collide, or a fault of
/// ours.
fn contest(one: Entry, other: Entry) -> Result<Entry, RouteError> {
    let movable = |entry: &Entry| entry.route.path.starts_with(['{']) || std::ptr::eq(entry.route, &CONTESTED);
    if !movable(&one) && !movable(&other) {
        let cause = format!("it appears twice, the other time as {:?}", one.route.path);
        return Err(RouteError { path: other.route.path.to_owned(), cause });
    }
    if one.route.limited == other.route.limited && one.placeholders == other.placeholders {
        return Ok(one);
    }
    Ok(Entry { route: &CONTESTED, placeholders: Vec::new() })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    Orthanc(Level),
    Uid(Level),
    Image,
    Label,
    Owned(Owned),
    Other,
}

fn kind(placeholder: &str) -> Placeholder {
    match placeholder {
        "patient" => Placeholder::Orthanc(Level::Patient),
        "study" => Placeholder::Orthanc(Level::Study),
        "series" => Placeholder::Orthanc(Level::Series),
        "instance" => Placeholder::Orthanc(Level::Instance),
        "study-uid" => Placeholder::Uid(Level::Study),
        "series-uid" => Placeholder::Uid(Level::Series),
        "instance-uid" => Placeholder::Uid(Level::Instance),
        "image" => Placeholder::Image,
        "label" => Placeholder::Label,
        "job" => Placeholder::Owned(Owned::Job),
        "query" => Placeholder::Owned(Owned::Query),
        _ => Placeholder::Other,
    }
}

/// A row's path as the router wants it, where only the places of its placeholders count and not their names, with what
/// they stand for.
fn shape(path: &str, roots: &Roots) -> (String, Vec<Placeholder>) {
    let mut shape = String::new();
    let mut rest = path;
    for (root_name, root) in [("{dicom-web}", &roots.dicom_web), ("{wado}", &roots.wado), ("{ui}", &roots.ui)] {
        if let Some(below) = path.strip_prefix(root_name) {
            shape = root.trim_end_matches('/').replace('{', "{{").replace('}', "}}");
            rest = below;
        }
    }
    let mut placeholders = Vec::new();
    while let Some((before, after)) = rest.split_once('{') {
        let (name, below) = after.split_once('}').unwrap_or((after, ""));
        let star = if name.starts_with('*') { "*" } else { "" };
        shape.push_str(&format!("{before}{{{star}{}}}", placeholders.len()));
        placeholders.push(kind(name));
        rest = below;
    }
    shape.push_str(rest);
    (if shape.is_empty() { "/".to_owned() } else { shape }, placeholders)
}

/// An Orthanc identifier: the SHA-1 of the DICOM identifiers as five groups of eight hexadecimal digits. Orthanc writes
/// lower case and compares exactly.
#[must_use]
pub fn is_orthanc_id(text: &str) -> bool {
    text.len() == 44
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at % 9 == 8 { byte == b'-' } else { matches!(byte, b'0'..=b'9' | b'a'..=b'f') })
}

/// The instance in how the first web viewer names an image (2.10): compression, Orthanc identifier and frame, as in
/// `jpeg95-…_0`. The compression has no hyphen, so that there is one way to read it.
fn instance_of_image(word: &str) -> Option<&str> {
    let (compression, rest) = word.split_once('-')?;
    let (id, frame) = rest.split_once('_')?;
    let is_compression =
        !compression.is_empty() && compression.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'));
    let is_frame = !frame.is_empty() && frame.bytes().all(|byte| byte.is_ascii_digit());
    (is_compression && is_frame && is_orthanc_id(id)).then_some(id)
}

/// A complete DICOM UID (DICOM PS3.5 9.1): digits and dots, 64 at most.
#[must_use]
pub fn is_uid(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn identifiers<'a>(argument: &str, arguments: &[(&'a str, &'a str)], named: &mut Vec<Named<'a>>) {
    let before = named.len();
    // Which of several spellings or repeats the server reads is not ours to guess: all of them are checked.
    for (_, value) in arguments.iter().filter(|(name, _)| name.eq_ignore_ascii_case(argument)) {
        for id in value.split(',') {
            named.push(if is_orthanc_id(id) { Named::OrthancOfAnyLevel(Cow::Borrowed(id)) } else { Named::Malformed });
        }
    }
    if named.len() == before {
        named.push(Named::Malformed);
    }
}

/// Reads the UIDs from the study down to the object, which is what is answered. Says how many come before it.
fn wado_uri<'a>(arguments: &[(&'a str, &'a str)], named: &mut Vec<Named<'a>>) -> usize {
    let levels = [("studyUID", Level::Study), ("seriesUID", Level::Series), ("objectUID", Level::Instance)];
    let mut before = 0;
    for (known, level) in levels {
        before = named.len();
        for (_, value) in arguments.iter().filter(|(name, _)| name.eq_ignore_ascii_case(known)) {
            named.push(if is_uid(value) { Named::Uid(level, Cow::Borrowed(value)) } else { Named::Malformed });
        }
    }
    if named.len() == before {
        named.push(Named::Malformed);
    }
    before
}

/// Complete study UIDs among QIDO-RS arguments name their studies (decision 15). DICOMweb takes the keyword or the tag,
/// in any case, and lists separated by commas or backslashes; anything with a wildcard names nothing.
fn searched<'a>(arguments: &[(&'a str, &'a str)], named: &mut Vec<Named<'a>>) {
    for (name, value) in arguments {
        if !name.eq_ignore_ascii_case("StudyInstanceUID") && !name.eq_ignore_ascii_case("0020000D") {
            continue;
        }
        for uid in value.split([',', '\\']) {
            if is_uid(uid) {
                named.push(Named::Uid(Level::Study, Cow::Borrowed(uid)));
            }
        }
    }
}

/// The counts of a patient's studies, series and instances tell of siblings that the asker may not know of. They can be
/// asked for among the wanted tags, or guessed by searching for them.
fn asks_for_sibling_counts(arguments: &[(&str, &str)]) -> bool {
    arguments.iter().any(|(name, value)| {
        let wanted_tags = ["requestedTags", "requested-tags", "includefield"];
        let names_tags = wanted_tags.iter().any(|wanted| name.eq_ignore_ascii_case(wanted));
        tags::names_sibling_count(name) || (names_tags && tags::names_sibling_count(value))
    })
}

#[cfg(test)]
mod tests;
