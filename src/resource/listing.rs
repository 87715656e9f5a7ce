//! The studies that carry one of several labels, as the server lists them, and kept for a while: a search that says
//! nothing of the study names all that may be found.
//!
//! Knows nothing of who asks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hashlink::LruCache;
use serde_json::{Map, Value, json};

use super::{Aged, Resources, Study};
use crate::clock;
use crate::host::HostError;
use crate::json::written;

/// How many studies are asked for at a time; about 500 bytes each. The server finds all of them anew for each page.
const PAGE: usize = 10_000;

/// How long a list is kept at most, if there are as many studies still.
const LONGEST: Duration = Duration::from_secs(60);

/// How many studies are kept at most, in all lists together; about 300 bytes each.
const KEPT: usize = 100_000;

/// A study of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The study.
    pub study: Study,
    /// The patient's Orthanc identifier.
    pub patient: Arc<str>,
    /// The PatientID, if the server said it.
    pub patient_id: Option<Arc<str>>,
}

/// All studies that carry one of several labels.
pub struct Listing {
    /// In no order.
    pub studies: Arc<[Listed]>,
    /// Whether they were read some time ago: what has changed since without us is not in them.
    pub is_kept: bool,
}

/// Lists by label set, the least recently used one first to go.
pub(super) struct Lists {
    by_labels: LruCache<BTreeSet<String>, Aged<Arc<[Listed]>>>,
    /// How many studies they have together.
    studies: usize,
    most: usize,
}

impl Default for Lists {
    fn default() -> Self {
        Self::of_at_most(KEPT)
    }
}

impl Lists {
    fn of_at_most(most: usize) -> Self {
        Self { by_labels: LruCache::new_unbounded(), studies: 0, most }
    }

    fn take_out(&mut self, labels: &BTreeSet<String>) {
        if let Some(list) = self.by_labels.remove(labels) {
            self.studies -= list.value.len();
        }
    }

    fn keep(&mut self, labels: &BTreeSet<String>, list: Aged<Arc<[Listed]>>) {
        self.take_out(labels);
        if list.value.len() > self.most {
            return;
        }
        self.studies += list.value.len();
        self.by_labels.insert(labels.clone(), list);
        // A list of nothing takes room too.
        while self.studies + self.by_labels.len() > self.most
            && let Some((_, oldest)) = self.by_labels.remove_lru()
        {
            self.studies -= oldest.value.len();
        }
    }
}

impl Resources {
    /// All studies that carry one of these labels; `now`: from the server in any case.
    ///
    /// A list that is older than labels may be is used for some time more, if there are as many studies still: then a study
    /// may be missing only that another server labelled while it took the label from another one.
    pub fn labelled(&self, labels: &BTreeSet<String>, now: bool) -> Result<Listing, HostError> {
        let epoch = self.epoch.load(Ordering::SeqCst);
        if !now {
            let known = self.lists.lock().by_labels.get(labels).cloned();
            if let Some(known) = known.filter(|known| known.epoch == epoch) {
                let holds = match trust(clock::monotonic().saturating_duration_since(known.read_at), self.validity) {
                    Trust::Whole => true,
                    Trust::IfAsMany => self.count(labels)? == known.value.len(),
                    Trust::None => false,
                };
                if holds {
                    return Ok(Listing { studies: known.value, is_kept: true });
                }
            }
            self.lists.lock().take_out(labels);
        }
        let read_at = clock::monotonic();
        let query = [("Labels", json!(labels)), ("LabelsConstraint", json!("Any")), ("Query", json!({}))];
        let query = query.map(|(member, value)| (member.to_owned(), value));
        let studies: Arc<[Listed]> = self.list(query.into_iter().collect())?.into();
        if !self.validity.is_zero() {
            self.lists.lock().keep(labels, Aged { value: Arc::clone(&studies), read_at, epoch });
        }
        Ok(Listing { studies, is_kept: false })
    }

    fn count(&self, labels: &BTreeSet<String>) -> Result<usize, HostError> {
        let query = json!({"Level": "Study", "Query": {}, "Labels": labels, "LabelsConstraint": "Any"});
        let answer = self.host.post("/tools/count-resources", &written(&query))?;
        let answer: Value = crate::host::read_answer(&answer)?;
        let count = answer.get("Count").and_then(Value::as_u64).ok_or(HostError::PLUGIN)?;
        usize::try_from(count).map_err(|_| HostError::PLUGIN)
    }

    /// All studies that a query for `/tools/find` finds, at this moment. The query has no level, content or paging yet.
    pub fn list(&self, mut query: Map<String, Value>) -> Result<Vec<Listed>, HostError> {
        query.insert("Level".to_owned(), json!("Study"));
        query.insert("Expand".to_owned(), json!(true));
        query.insert("ResponseContent".to_owned(), json!(["Labels", "MainDicomTags", "Parent"]));
        query.insert("Limit".to_owned(), json!(PAGE));
        let mut found = Vec::new();
        // Many studies have the same few labels.
        let mut label_sets = BTreeSet::new();
        let mut since = 0;
        loop {
            query.insert("Since".to_owned(), json!(since));
            let page = self.host.post("/tools/find", &written(&query))?;
            let page: Vec<Value> = crate::host::read_answer(&page)?;
            since += page.len();
            for study in &page {
                found.push(listed(study, &mut label_sets).ok_or(HostError::PLUGIN)?);
            }
            // A server with a lower limit of its own shows the end by an empty page only; another by a page that is not
            // full, but for the few studies that were deleted while it described them.
            let is_last = page.is_empty() || (self.finds_all && page.len() < PAGE / 2);
            if is_last {
                return Ok(found);
            }
        }
    }
}

/// What a list is good for.
#[derive(Debug, PartialEq)]
enum Trust {
    Whole,
    IfAsMany,
    None,
}

fn trust(age: Duration, validity: Duration) -> Trust {
    match age {
        age if age < validity => Trust::Whole,
        age if age < LONGEST && !validity.is_zero() => Trust::IfAsMany,
        _ => Trust::None,
    }
}

/// A study and its patient, from the core's description.
fn listed(study: &Value, label_sets: &mut BTreeSet<Arc<BTreeSet<String>>>) -> Option<Listed> {
    let labels = study.get("Labels")?.as_array()?.iter().map(|label| label.as_str().map(str::to_owned));
    let labels: BTreeSet<String> = labels.collect::<Option<_>>()?;
    let labels = match label_sets.get(&labels) {
        Some(known) => Arc::clone(known),
        None => {
            let labels = Arc::new(labels);
            label_sets.insert(Arc::clone(&labels));
            labels
        }
    };
    let uid = study.get("MainDicomTags")?.get("StudyInstanceUID")?.as_str()?;
    let id = study.get("ID")?.as_str()?;
    let patient = study.get("ParentPatient")?.as_str()?.into();
    let patient_id = study.get("PatientMainDicomTags").and_then(|tags| tags.get("PatientID"));
    let patient_id = patient_id.and_then(Value::as_str).map(Arc::from);
    Some(Listed { study: Study { id: id.into(), uid: uid.into(), labels }, patient, patient_id })
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
