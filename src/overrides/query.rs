//! The body of a search as somebody limited may send it: read strictly, for what is not understood could widen it.
//!
//! Knows nothing of who asks or of which studies there are.

use std::collections::BTreeSet;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::host::HostError;
use crate::json::{Unique, written};
use crate::log_text::shorten;
use crate::policy::rights::Labels;
use crate::resource::Level;
use crate::route::{is_orthanc_id, is_uid, tags};

/// Members of a query that Orthanc 1.12.7 and 1.13.0 know. One that we do not know could widen a search.
const MEMBERS: [&str; 17] = [
    "CaseSensitive",
    "Expand",
    "Full",
    "Labels",
    "LabelsConstraint",
    "Level",
    "Limit",
    "MetadataQuery",
    "OrderBy",
    "ParentPatient",
    "ParentSeries",
    "ParentStudy",
    "Query",
    "RequestedTags",
    "ResponseContent",
    "Short",
    "Since",
];

/// Members that say something of labels.
const LABEL_MEMBERS: [&str; 2] = ["Labels", "LabelsConstraint"];

/// Members that name something above; they come with exactly one, as the core takes the first of them only.
pub(super) const PARENTS: [&str; 3] = ["ParentPatient", "ParentStudy", "ParentSeries"];

/// A query as somebody limited may send it.
#[derive(Clone)]
pub(super) struct Query {
    pub(super) body: Map<String, Value>,
    pub(super) level: Level,
    /// StudyInstanceUIDs that the query names completely.
    pub(super) study_uids: BTreeSet<String>,
    /// How its constraint on the StudyInstanceUID is written, when it has one.
    pub(super) uid_tag: Option<String>,
    /// Which studies that may mean.
    meant: Meant,
    pub(super) labels: Option<Vec<String>>,
    pub(super) constraint: Constraint,
}

/// Which studies a constraint on the StudyInstanceUID may mean.
#[derive(Clone)]
enum Meant {
    All,
    These(BTreeSet<String>),
    Like(String),
}

/// More UIDs than this in one query are a mistake: each is looked up before anything is searched.
const MOST_UIDS: usize = 1_000;

/// No UID is longer (DICOM PS3.5 9.1).
const LONGEST_UID: usize = 64;

impl Meant {
    /// As the core reads it: the elements of a list are UIDs, wildcards or not.
    fn read(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Ok(Self::All);
        }
        if text.contains('\\') || !text.contains(['*', '?']) {
            let uids: BTreeSet<String> = text.split('\\').map(str::to_owned).collect();
            if uids.len() > MOST_UIDS {
                log::info!("a search for more than {MOST_UIDS} studies by their UIDs is refused");
                return Err(HostError::BAD_REQUEST);
            }
            return Ok(Self::These(uids));
        }
        let mut pattern: Vec<char> = text.chars().collect();
        // Several in a row are one.
        pattern.dedup_by(|one, before| (*one, *before) == ('*', '*'));
        let is_too_long = pattern.iter().filter(|one| **one != '*').count() > LONGEST_UID;
        Ok(if is_too_long { Self::These(BTreeSet::new()) } else { Self::Like(pattern.into_iter().collect()) })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Constraint {
    All,
    Any,
    None,
}

impl Constraint {
    /// As Orthanc spells it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::Any => "Any",
            Self::None => "None",
        }
    }
}

impl Query {
    pub(super) fn read(body: &[u8]) -> Result<Self, HostError> {
        // A member that appears twice: which one would count is not ours to guess.
        let Ok(Unique(Value::Object(body))) = crate::json::from_slice(body) else { return Err(HostError::BAD_REQUEST) };
        if let Some(unknown) = body.keys().find(|member| !MEMBERS.contains(&member.as_str())) {
            log::info!(
                "a search with the member {:?} is refused to somebody who does not hold all labels",
                shorten(unknown)
            );
            return Err(HostError::FORBIDDEN);
        }
        let level = body.get("Level").and_then(Value::as_str).and_then(level).ok_or(HostError::BAD_REQUEST)?;
        let (study_uids, labels, constraint) = (BTreeSet::new(), None, Constraint::All);
        let mut query = Self { level, study_uids, uid_tag: None, meant: Meant::All, labels, constraint, body };
        query.number_tags();
        query.check_patient_tags()?;
        query.read_uids()?;
        query.read_labels()?;
        query.check_parents()?;
        query.check_patient_metadata()?;
        if query.asks_for_sibling_counts()? {
            log::info!(
                "a search for the number of a patient's studies, series or instances is refused to somebody who does not hold all labels"
            );
            return Err(HostError::FORBIDDEN);
        }
        Ok(query)
    }

    /// Writes the tags that are compared as numbers, as far as we know them. The core finds a number at once, and goes
    /// through its whole dictionary for a keyword: a fifth of the time of a short search.
    fn number_tags(&mut self) {
        let Some(Value::Object(compared)) = self.body.get_mut("Query") else { return };
        let keywords: Vec<(String, String)> =
            compared.keys().filter_map(|tag| Some((tag.clone(), tags::number_of(tag)?))).collect();
        for (keyword, number) in keywords {
            // With both, both are compared: one may not take the other's place.
            if !compared.contains_key(&number)
                && let Some(value) = compared.remove(&keyword)
            {
                compared.insert(number, value);
            }
        }
    }

    fn read_uids(&mut self) -> Result<(), HostError> {
        let Some(Value::Object(tags)) = self.body.get("Query") else { return Err(HostError::BAD_REQUEST) };
        for (tag, value) in tags {
            // The core reads numbers in more ways than it writes them (`20,d` is one), and not all of them are ours.
            if tags::is_oddly_written(tag) {
                return Err(HostError::BAD_REQUEST);
            }
            if !tags::is_study_uid(tag) {
                continue;
            }
            // Two spellings of one tag: which one counts is not ours to guess.
            if self.uid_tag.replace(tag.clone()).is_some() {
                return Err(HostError::BAD_REQUEST);
            }
            self.meant = Meant::read(value.as_str().ok_or(HostError::BAD_REQUEST)?)?;
            if let Meant::These(uids) = &self.meant {
                self.study_uids.extend(uids.iter().filter(|uid| is_uid(uid)).cloned());
            }
        }
        Ok(())
    }

    fn read_labels(&mut self) -> Result<(), HostError> {
        self.constraint = match self.body.get("LabelsConstraint").map(Value::as_str) {
            None | Some(Some("All")) => Constraint::All,
            Some(Some("Any")) => Constraint::Any,
            Some(Some("None")) => Constraint::None,
            Some(_) => return Err(HostError::BAD_REQUEST),
        };
        let Some(labels) = self.body.get("Labels") else { return Ok(()) };
        let labels = labels.as_array().ok_or(HostError::BAD_REQUEST)?;
        let labels: Option<Vec<String>> = labels.iter().map(|label| label.as_str().map(str::to_owned)).collect();
        self.labels = Some(labels.ok_or(HostError::BAD_REQUEST)?);
        Ok(())
    }

    /// Of several parents the core reads one and ignores the others: which one is not ours to guess.
    fn check_parents(&self) -> Result<(), HostError> {
        let parents = PARENTS.iter().filter_map(|member| self.body.get(*member));
        let mut count = 0;
        for parent in parents {
            // It becomes a part of a path when it is looked up.
            if !parent.as_str().ok_or(HostError::BAD_REQUEST).map(is_orthanc_id)? {
                return Err(HostError::FORBIDDEN);
            }
            count += 1;
        }
        if count > 1 { Err(HostError::BAD_REQUEST) } else { Ok(()) }
    }

    /// The metadata of a patient is of all its studies, also of those outside the labels.
    fn check_patient_metadata(&self) -> Result<(), HostError> {
        let orders = self.body.get("OrderBy").and_then(Value::as_array).into_iter().flatten();
        let is_tag = |order: &Value| order.get("Type").and_then(Value::as_str) == Some("DicomTag");
        if self.level != Level::Patient || (!self.body.contains_key("MetadataQuery") && orders.into_iter().all(is_tag))
        {
            return Ok(());
        }
        log::info!("a search for patients by their metadata is refused to somebody who does not hold all labels");
        Err(HostError::FORBIDDEN)
    }

    /// Tags that the core does not keep for a patient it reads from whichever instance of the patient it likes, so also
    /// from one outside the labels. It wants or compares them.
    fn check_patient_tags(&self) -> Result<(), HostError> {
        if self.level != Level::Patient {
            return Ok(());
        }
        let compared = self.body.get("Query").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        let wanted = self.body.get("RequestedTags").and_then(Value::as_array).into_iter().flatten();
        let mut said = compared.map(|tag| Some(tag.as_str())).chain(wanted.map(Value::as_str));
        if said.all(|tag| tag.is_some_and(|tag| !tag.is_empty() && tags::names_only_patient_tags(tag))) {
            return Ok(());
        }
        log::info!(
            "a search for patients by tags that are not the patient's own is refused to somebody who does not hold all labels"
        );
        Err(HostError::FORBIDDEN)
    }

    fn asks_for_sibling_counts(&self) -> Result<bool, HostError> {
        let Some(wanted) = self.body.get("RequestedTags") else { return Ok(false) };
        let wanted = wanted.as_array().ok_or(HostError::BAD_REQUEST)?;
        // As with what is compared: what the core takes it for is not ours to guess.
        if wanted.iter().filter_map(Value::as_str).any(tags::is_oddly_written) {
            return Err(HostError::BAD_REQUEST);
        }
        Ok(wanted.iter().any(|tag| tag.as_str().is_none_or(tags::names_sibling_count)))
    }

    /// What the query says of the studies themselves, as a query for studies: whatever is found lies in one of them. It
    /// may find more of them, as it does not care for case. Empty when it says nothing.
    pub(super) fn study_criteria(&self) -> Map<String, Value> {
        let said = self.body.get("Query").and_then(Value::as_object).into_iter().flatten();
        said.filter(|(tag, value)| {
            value.as_str().is_some_and(|text| !matches!(text, "" | "*")) && tags::is_of_study(tag)
        })
        .map(|(tag, value)| (tag.clone(), value.clone()))
        .collect()
    }

    /// The query for all answers.
    pub(super) fn without_paging(&self) -> Self {
        let mut all = self.clone();
        for member in ["Since", "Limit"] {
            all.body.remove(member);
        }
        all
    }

    /// Whether it says which studies it is for, each by its whole UID.
    pub(super) fn names_its_studies(&self) -> bool {
        matches!(&self.meant, Meant::These(uids) if !uids.is_empty() && uids.len() == self.study_uids.len())
    }

    /// Whether case counts where texts are compared.
    pub(super) fn is_case_sensitive(&self) -> bool {
        self.body.get("CaseSensitive") == Some(&Value::Bool(true))
    }

    /// Whether nothing is compared but the StudyInstanceUID at most.
    pub(super) fn compares_uids_alone(&self) -> bool {
        // Metadata are compared with or without regard to case as the tags are.
        if self.body.contains_key("MetadataQuery") {
            return false;
        }
        let compared = self.body.get("Query").and_then(Value::as_object).into_iter().flatten();
        let mut others = compared.filter(|(tag, _)| Some(*tag) != self.uid_tag.as_ref());
        others.all(|(_, value)| matches!(value.as_str(), Some("" | "*")))
    }

    /// Whether a study with this UID may be meant, as far as the UID goes.
    pub(super) fn may_mean(&self, uid: &str) -> bool {
        match &self.meant {
            Meant::All => true,
            Meant::These(uids) => uids.contains(uid),
            Meant::Like(pattern) => matches(pattern, uid),
        }
    }

    /// Whether the answer describes the resources, and is not a list of identifiers.
    pub(super) fn describes_resources(&self) -> bool {
        self.body.get("Expand").is_some_and(|expand| expand != &Value::Bool(false))
            || self.body.contains_key("ResponseContent")
    }

    /// Whether the answer says which studies it is about: their identifier is their own, and that of the parents of series
    /// that are described as a whole.
    pub(super) fn shows_studies(&self) -> bool {
        match self.level {
            Level::Study => true,
            Level::Series => {
                self.body.get("Expand") == Some(&Value::Bool(true)) && !self.body.contains_key("ResponseContent")
            }
            Level::Patient | Level::Instance => false,
        }
    }

    pub(super) fn text(&self, member: &str) -> Result<Option<&str>, HostError> {
        match self.body.get(member) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(HostError::BAD_REQUEST),
        }
    }

    pub(super) fn number(&self, member: &str) -> Result<Option<usize>, HostError> {
        match self.body.get(member) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
                number.map(Some).ok_or(HostError::BAD_REQUEST)
            }
        }
    }

    /// The query with other labels, written out; `None` takes the constraint out. This is on the way of each search at
    /// study level, so nothing is copied for it.
    pub(super) fn written(&self, labels: Option<(&[&str], Constraint)>) -> Vec<u8> {
        written(&Labelled { body: &self.body, labels })
    }

    /// The query with other labels; `None` takes the constraint out.
    pub(super) fn with_labels(&self, labels: Option<(Vec<String>, Constraint)>) -> Map<String, Value> {
        let mut body = self.body.clone();
        match labels {
            None => {
                for member in LABEL_MEMBERS {
                    body.remove(member);
                }
            }
            Some((labels, constraint)) => {
                body.insert("Labels".to_owned(), json!(labels));
                body.insert("LabelsConstraint".to_owned(), json!(constraint.as_str()));
            }
        }
        body
    }

    /// What the query says about labels, in the words of somebody who knows only of these. An error for a query that
    /// names no own label where it has to.
    pub(super) fn visible_labels(&self, own: &Labels) -> Result<Option<(Vec<String>, Constraint)>, HostError> {
        let Some(labels) = &self.labels else { return Ok(None) };
        let visible: Vec<String> = labels.iter().filter(|label| own.show(label)).cloned().collect();
        match self.constraint {
            Constraint::Any if visible.is_empty() && !labels.is_empty() => Err(HostError::FORBIDDEN),
            Constraint::All if visible.len() < labels.len() => Err(HostError::FORBIDDEN),
            Constraint::All | Constraint::Any if visible.is_empty() => Ok(None),
            // Only labels that are not there: nothing is excluded.
            Constraint::None if visible.is_empty() && !labels.is_empty() => Ok(None),
            constraint => Ok(Some((visible, constraint))),
        }
    }
}

/// A query with other labels than it came with.
struct Labelled<'a> {
    body: &'a Map<String, Value>,
    labels: Option<(&'a [&'a str], Constraint)>,
}

impl Serialize for Labelled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for (member, value) in self.body.iter().filter(|(member, _)| !LABEL_MEMBERS.contains(&member.as_str())) {
            object.serialize_entry(member, value)?;
        }
        if let Some((labels, constraint)) = self.labels {
            object.serialize_entry("Labels", labels)?;
            // Of one label the core takes `All`, which it takes for granted, and `Any` for the same.
            if labels.len() != 1 || constraint == Constraint::None {
                object.serialize_entry("LabelsConstraint", constraint.as_str())?;
            }
        }
        object.end()
    }
}

/// A level as Orthanc reads it, in any case, in singular and plural.
fn level(name: &str) -> Option<Level> {
    match name.to_ascii_uppercase().as_str() {
        "PATIENT" | "PATIENTS" => Some(Level::Patient),
        "STUDY" | "STUDIES" => Some(Level::Study),
        "SERIES" => Some(Level::Series),
        "INSTANCE" | "INSTANCES" | "IMAGE" | "IMAGES" => Some(Level::Instance),
        _ => None,
    }
}

/// DICOM's wildcards (PS3.4 C.2.2.2.4): `*` for any text, `?` for one character.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Which prefixes of the pattern match the text so far.
    let mut reached = vec![false; pattern.len() + 1];
    let star = |at: usize| pattern.get(at) == Some(&'*');
    let spread = |reached: &mut Vec<bool>| {
        for at in 0..pattern.len() {
            if star(at)
                && reached.get(at).copied().unwrap_or(false)
                && let Some(next) = reached.get_mut(at + 1)
            {
                *next = true;
            }
        }
    };
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    spread(&mut reached);
    for character in text {
        let mut next = vec![false; pattern.len() + 1];
        for (at, expected) in pattern.iter().enumerate() {
            if !reached.get(at).copied().unwrap_or(false) {
                continue;
            }
            let to = match expected {
                '*' => at,
                '?' => at + 1,
                expected if *expected == character => at + 1,
                _ => continue,
            };
            if let Some(place) = next.get_mut(to) {
                *place = true;
            }
        }
        spread(&mut next);
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}
