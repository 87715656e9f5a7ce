//! Which studies a resource belongs to, and which labels those carry: asked of the server, and cached.
//!
//! Knows nothing of identities or routes. Nothing here decides; a resource that cannot be found for sure is an error,
//! and the caller refuses.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use serde_json::Value;

use crate::clock;
use crate::host::{Host, HostError};
pub use crate::level::Level;

mod listing;

pub use listing::{Listed, Listing};

/// A resource as a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// By Orthanc identifier, at the level that the path claims.
    Orthanc(Level, Cow<'a, str>),
    /// By Orthanc identifier; the route takes any level.
    OrthancOfAnyLevel(Cow<'a, str>),
    /// By DICOM UID, which several studies may carry.
    Uid(Level, Cow<'a, str>),
    /// By something that can be no identifier.
    Malformed,
}

impl Named<'_> {
    /// Whether it is a patient that has this name, by what was found.
    #[must_use]
    pub fn is_patient(&self, found: &[Located]) -> bool {
        match self {
            Self::Orthanc(level, _) | Self::Uid(level, _) => *level == Level::Patient,
            Self::OrthancOfAnyLevel(id) => found.iter().all(|one| one.series.is_none() && *one.study.id != **id),
            Self::Malformed => false,
        }
    }
}

/// A study with its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Study {
    /// Orthanc identifier.
    pub id: Arc<str>,
    /// StudyInstanceUID.
    pub uid: Arc<str>,
    /// Its labels.
    pub labels: Arc<BTreeSet<String>>,
}

/// A resource with the study that it lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The study.
    pub study: Study,
    /// The series, when the resource is one or lies in one.
    pub series: Option<Node>,
    /// The instance, when the resource is one.
    pub instance: Option<Node>,
}

impl Located {
    /// A whole study.
    #[must_use]
    pub const fn whole(study: Study) -> Self {
        Self { study, series: None, instance: None }
    }
}

/// One resource of the hierarchy. What is said here of an Orthanc identifier never changes: the identifier is the hash
/// of the DICOM identifiers of the resource and of all its parents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Orthanc identifier.
    pub id: Arc<str>,
    /// DICOM UID, for a patient the PatientID.
    pub uid: Arc<str>,
    /// Orthanc identifier of the parent; empty for a patient.
    parent: Arc<str>,
}

/// Why a resource could not be located.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// There is no such resource, at that level.
    #[error("unknown resource")]
    Unknown,
    /// The server failed, or answered what we cannot read.
    #[error("the server could not say which study the resource belongs to: {0}")]
    Host(String),
}

impl From<HostError> for ResourceError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::UNKNOWN_RESOURCE | HostError::INEXISTENT_ITEM => Self::Unknown,
            other => Self::Host(other.to_string()),
        }
    }
}

/// Resources are looked up here.
pub struct Resources {
    host: Arc<dyn Host>,
    validity: Duration,
    finds_all: bool,
    nodes: Cache<(Level, Box<str>), Node>,
    labels: Cache<Box<str>, Aged<Study>>,
    uids: Cache<(Level, Box<str>), Aged<Ids>>,
    lists: Mutex<listing::Lists>,
    /// Advanced by each change that came through this server: what was read before is not used after.
    epoch: AtomicU64,
}

/// Orthanc identifiers.
type Ids = Arc<[Arc<str>]>;

#[derive(Clone)]
struct Aged<T> {
    value: T,
    read_at: Instant,
    epoch: u64,
}

impl Resources {
    /// `validity` is how long labels, and which studies carry a UID, may be kept; zero: not at all.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, validity: Duration) -> Self {
        Self {
            host,
            validity,
            finds_all: false,
            nodes: Cache::new(16_384),
            labels: Cache::new(8_192),
            uids: Cache::new(8_192),
            lists: Mutex::default(),
            epoch: AtomicU64::new(0),
        }
    }

    /// `finds_all`: whether the server answers a search with as many as were asked for, as it does unless it is configured
    /// otherwise (`LimitFindResults`). Without this a short answer is not taken for the last one.
    #[must_use]
    pub fn of_a_server_that_finds_all(self, finds_all: bool) -> Self {
        Self { finds_all, ..self }
    }

    /// Whether the server is known to answer a search with all that it finds.
    #[must_use]
    pub fn finds_all(&self) -> bool {
        self.finds_all
    }

    /// Forgets all labels: some changed, on this server, just now.
    pub fn labels_changed(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Everything that a name stands for: all resources with that UID; for a patient, one entry for each study.
    /// Never empty.
    pub fn locate(&self, named: &Named<'_>) -> Result<Vec<Located>, ResourceError> {
        match named {
            Named::Orthanc(level, id) => self.locate_id(*level, id),
            Named::OrthancOfAnyLevel(id) => self.locate_any(id),
            Named::Uid(level, uid) => {
                let mut found = Vec::new();
                for id in self.with_uid(*level, uid)?.iter() {
                    found.extend(self.locate_id(*level, id)?);
                }
                if found.is_empty() { Err(ResourceError::Unknown) } else { Ok(found) }
            }
            Named::Malformed => Err(ResourceError::Unknown),
        }
    }

    /// A study with its labels, by Orthanc identifier.
    pub fn study(&self, id: &str) -> Result<Study, ResourceError> {
        let epoch = self.epoch.load(Ordering::SeqCst);
        if let Some(known) = self.labels.get(id).filter(|known| self.is_fresh(known.read_at, known.epoch, epoch)) {
            return Ok(known.value);
        }
        let read_at = clock::monotonic();
        let study = self.read_study(id)?;
        if !self.validity.is_zero() {
            self.labels.insert(id.into(), Aged { value: study.clone(), read_at, epoch });
        }
        Ok(study)
    }

    /// The studies that carry a UID at this moment, with their labels; empty when there are none. Never from the cache:
    /// for whoever is about to put something into them.
    pub fn studies_now(&self, uid: &str) -> Result<Vec<Study>, ResourceError> {
        let mut studies = Vec::new();
        for id in self.ids_now(Level::Study, uid)? {
            match self.read_study(&id) {
                // The lookup also finds studies by their accession number. One whose UID is not told counts.
                Ok(study) if study.uid.is_empty() || trimmed(&study.uid) == uid => studies.push(study),
                // Another study, or one that was deleted in between.
                Ok(_) | Err(ResourceError::Unknown) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(studies)
    }

    /// The modality of a series, by Orthanc identifier, and the SOP class of one of its instances; each empty when it
    /// is not known.
    pub fn modality_and_class(&self, series: &str) -> Result<(String, String), ResourceError> {
        let description = self.describe(Level::Series, series)?;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let modality = text(description.get("MainDicomTags").and_then(|tags| tags.get("Modality")));
        let first = text(description.get("Instances").and_then(|instances| instances.get(0)));
        if first.is_empty() {
            return Ok((modality, String::new()));
        }
        let metadata = parse(&self.host.get(&format!("/instances/{first}/metadata?expand"))?)?;
        Ok((modality, text(metadata.get("SopClassUid"))))
    }

    /// Whether a study, series or instance with this Orthanc identifier is on the server at this moment.
    pub fn is_there(&self, id: &str) -> bool {
        let mut levels = [Level::Study, Level::Series, Level::Instance].into_iter();
        levels.any(|level| self.describe(level, id).is_ok())
    }

    /// Whether the server says that no resource of this level has this Orthanc identifier at this moment. What it cannot say
    /// may be there.
    pub fn is_gone(&self, level: Level, id: &str) -> bool {
        matches!(self.describe(level, id), Err(ResourceError::Unknown))
    }

    /// The study of an instance that has just come in, by Orthanc identifiers.
    pub fn study_of_instance(&self, instance: &str) -> Result<Arc<str>, ResourceError> {
        let description = parse(&self.host.get(&format!("/instances/{instance}/study"))?)?;
        description.get("ID").and_then(Value::as_str).map(Arc::from).ok_or_else(|| unreadable("ID"))
    }

    /// The Orthanc identifiers of all resources of a level that carry a UID; empty when there are none.
    pub fn with_uid(&self, level: Level, uid: &str) -> Result<Ids, ResourceError> {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let key = (level, Box::from(uid));
        if let Some(known) = self.uids.get(&key).filter(|known| self.is_fresh(known.read_at, known.epoch, epoch)) {
            return Ok(known.value);
        }
        let read_at = clock::monotonic();
        let ids: Ids = self.ids_now(level, uid)?.into();
        if !self.validity.is_zero() && !ids.is_empty() {
            self.uids.insert(key, Aged { value: ids.clone(), read_at, epoch });
        }
        Ok(ids)
    }

    fn read_study(&self, id: &str) -> Result<Study, ResourceError> {
        let description = self.describe(Level::Study, id)?;
        let node = node(Level::Study, id, &description)?;
        let labels = description.get("Labels").and_then(Value::as_array).ok_or_else(|| unreadable("Labels"))?;
        let labels = labels
            .iter()
            .map(|label| label.as_str().map(str::to_owned).ok_or_else(|| unreadable("Labels")))
            .collect::<Result<BTreeSet<String>, _>>()?;
        Ok(Study { id: node.id, uid: node.uid, labels: Arc::new(labels) })
    }

    /// The Orthanc identifiers of all resources of a level that carry a UID at this moment. Never from the cache.
    pub fn ids_now(&self, level: Level, uid: &str) -> Result<Vec<Arc<str>>, ResourceError> {
        let answer = parse(&self.host.post("/tools/lookup", uid.as_bytes())?)?;
        let mut ids: Vec<Arc<str>> = Vec::new();
        for hit in answer.as_array().ok_or_else(|| unreadable("a list"))? {
            let text = |member| hit.get(member).and_then(Value::as_str).ok_or_else(|| unreadable(member));
            // Orthanc's lookup looks at all levels at once, and compares after folding the case of the text.
            if Level::parse(text("Type")?) == Some(level) {
                ids.push(text("ID")?.into());
            }
        }
        Ok(ids)
    }

    fn is_fresh(&self, read_at: Instant, read_in: u64, epoch: u64) -> bool {
        read_in == epoch && clock::monotonic().saturating_duration_since(read_at) < self.validity
    }

    fn locate_any(&self, id: &str) -> Result<Vec<Located>, ResourceError> {
        for level in [Level::Study, Level::Series, Level::Instance, Level::Patient] {
            match self.locate_id(level, id) {
                Err(ResourceError::Unknown) => {}
                other => return other,
            }
        }
        Err(ResourceError::Unknown)
    }

    fn locate_id(&self, level: Level, id: &str) -> Result<Vec<Located>, ResourceError> {
        match level {
            Level::Patient => self.locate_patient(id),
            Level::Study => Ok(vec![Located::whole(self.study(id)?)]),
            Level::Series => {
                let series = self.node(Level::Series, id)?;
                Ok(vec![Located { study: self.study(&series.parent)?, series: Some(series), instance: None }])
            }
            Level::Instance => {
                let instance = self.node(Level::Instance, id)?;
                let series = self.node(Level::Series, &instance.parent)?;
                Ok(vec![Located { study: self.study(&series.parent)?, series: Some(series), instance: Some(instance) }])
            }
        }
    }

    /// A patient is all its studies; which those are is asked each time.
    fn locate_patient(&self, id: &str) -> Result<Vec<Located>, ResourceError> {
        let description = self.describe(Level::Patient, id)?;
        // That it is the patient who was asked for, as on the other levels.
        node(Level::Patient, id, &description)?;
        let studies = description.get("Studies").and_then(Value::as_array).ok_or_else(|| unreadable("Studies"))?;
        let mut found = Vec::with_capacity(studies.len());
        for study in studies {
            let study = self.study(study.as_str().ok_or_else(|| unreadable("Studies"))?)?;
            found.push(Located::whole(study));
        }
        if found.is_empty() { Err(ResourceError::Unknown) } else { Ok(found) }
    }

    fn node(&self, level: Level, id: &str) -> Result<Node, ResourceError> {
        let key = (level, Box::from(id));
        if let Some(known) = self.nodes.get(&key) {
            return Ok(known);
        }
        let node = node(level, id, &self.describe(level, id)?)?;
        self.nodes.insert(key, node.clone());
        Ok(node)
    }

    fn describe(&self, level: Level, id: &str) -> Result<Value, ResourceError> {
        parse(&self.host.get(&format!("/{}/{id}", level.plural()))?)
    }
}

/// Whether a patient with this PatientID may have the Orthanc identifier of something else. These are hashes of the PatientID
/// and the UIDs, joined by bars: the patient `P|1.2` has that of the study `1.2` of the patient `P`, and whatever the
/// levels, the server then puts the one below the other.
#[must_use]
pub fn may_be_a_study(patient_id: &str) -> bool {
    patient_id.split('|').skip(1).any(|part| part.contains('.'))
}

/// A UID without its padding (DICOM PS3.5 9.1: a NUL; blanks are seen too).
#[must_use]
pub fn trimmed(uid: &str) -> &str {
    uid.trim_matches(['\0', ' '])
}

fn parse(body: &[u8]) -> Result<Value, ResourceError> {
    crate::json::from_slice(body).map_err(|error| ResourceError::Host(format!("not JSON: {error}")))
}

fn node(level: Level, id: &str, description: &Value) -> Result<Node, ResourceError> {
    let text =
        |value: Option<&Value>, what| value.and_then(Value::as_str).map(Arc::from).ok_or_else(|| unreadable(what));
    let parent = match level.parent_member() {
        Some(member) => text(description.get(member), member)?,
        None => Arc::from(""),
    };
    // A resource without the tag (it is in no DICOM file that Orthanc takes) is compared by its Orthanc identifier
    // only.
    let uid = description.get("MainDicomTags").and_then(|tags| tags.get(level.uid_member()));
    let uid = uid.and_then(Value::as_str).unwrap_or_default();
    Ok(Node { id: text(description.get("ID"), "ID")?, uid: uid.into(), parent })
        .and_then(|node: Node| if &*node.id == id { Ok(node) } else { Err(unreadable("ID")) })
}

fn unreadable(what: &str) -> ResourceError {
    ResourceError::Host(format!("its description has no {what} as expected"))
}

#[cfg(test)]
mod tests;
