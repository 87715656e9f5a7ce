//! Studies named by their UIDs in a query, and whether somebody else's study carries one of them.
//!
//! Knows nothing of how the allowed studies are found, nor of how a query is answered.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::Context;
use super::super::query::Query;
use super::allowed::Listing;
use super::{found_by, is_one_of};
use crate::host::HostError;
use crate::json::written;
use crate::resource::Listed;
use crate::route::tags;

/// Each once, as DICOM lists them.
pub(super) fn uids<'a>(studies: impl Iterator<Item = &'a Listed>) -> String {
    let uids: BTreeSet<&str> = studies.map(|listed| &*listed.study.uid).collect();
    uids.into_iter().collect::<Vec<_>>().join("\\")
}

/// Whether a UID in a query stands for itself: to the core a backslash parts the elements of a list, and what stands beside
/// it may be the UID of somebody else's study; wildcards it takes in no UID that stands alone; and none at all is no
/// constraint.
pub(super) fn can_be_named(uid: &str) -> bool {
    !uid.trim().is_empty() && !uid.contains(['\\', '*', '?'])
}

/// Puts the UIDs of studies into a query. Whether the core pages it then: it pages none with a case-sensitive constraint.
pub(super) fn name_studies(body: &mut Map<String, Value>, query: &Query, list: &str) -> bool {
    if let Some(Value::Object(compared)) = body.get_mut("Query") {
        if let Some(tag) = &query.uid_tag {
            compared.remove(tag);
        }
        compared.insert(tags::STUDY_UID.to_owned(), json!(list));
    }
    // UIDs have no case.
    if query.compares_uids_alone() {
        body.remove("CaseSensitive");
    }
    !is_case_sensitive(body)
}

/// Makes of a query one for all that it finds: what is paged then is the answer. A server that is configured to answer less
/// (`LimitFindResults`) does so unless `Since` is said, and refuses that where it compares what is not in its index.
pub(super) fn unpage(context: &Context<'_>, body: &mut Map<String, Value>) {
    body.remove("Since");
    body.remove("Limit");
    let compared = body.get("Query").and_then(Value::as_object).into_iter().flatten();
    let mut compared = compared.filter(|(_, value)| value.as_str() != Some(""));
    let is_in_index =
        !is_case_sensitive(body) && compared.all(|(tag, _)| tags::is_of_study(tag) || tags::is_of_series(tag));
    if is_in_index && !context.gate.resources.finds_all() {
        body.insert("Since".to_owned(), json!(0));
    }
}

pub(super) fn is_case_sensitive(query: &Map<String, Value>) -> bool {
    query.get("CaseSensitive") == Some(&Value::Bool(true))
}

pub(super) fn count_of(context: &Context<'_>, query: &Value) -> Result<usize, HostError> {
    read_count(&context.host.post("/tools/count-resources", &written(query))?)
}

/// The number in the answer of `/tools/count-resources`.
pub(super) fn read_count(answer: &[u8]) -> Result<usize, HostError> {
    let answer: Value = crate::host::read_answer(answer)?;
    let count = answer.get("Count").and_then(Value::as_u64).ok_or(HostError::PLUGIN)?;
    usize::try_from(count).map_err(|_| HostError::PLUGIN)
}

/// UIDs that are taken for those of allowed studies alone. Asked after they were used, so that what came meanwhile is seen.
#[derive(Default)]
pub(super) struct Alone {
    list: String,
    /// Their Orthanc identifiers, where no label says whose they are.
    ids: BTreeSet<String>,
    listing: Listing,
}

impl Alone {
    /// `ids`: the Orthanc identifiers of the studies.
    pub(super) fn new(list: String, ids: BTreeSet<String>, listing: Listing) -> Self {
        Self { list, ids, listing }
    }

    pub(super) fn of<'a>(list: String, studies: impl Iterator<Item = &'a Listed>, listing: &Listing) -> Self {
        let by_label = listing.labels.is_some();
        let ids = if by_label { BTreeSet::new() } else { studies.map(|listed| listed.study.id.to_string()).collect() };
        Self { list, ids, listing: listing.clone() }
    }

    /// As DICOM lists them.
    pub(super) fn list(&self) -> &str {
        &self.list
    }

    /// Whether nobody else's study carries one of these UIDs now, whatever came and went since they were found. Where each
    /// of the studies carries a label: whether none is without. Else whether each is one of them.
    pub(super) fn holds(&self, context: &Context<'_>) -> Result<bool, HostError> {
        if self.list.is_empty() {
            return Ok(true);
        }
        let mut query = json!({"Level": "Study", "Query": {tags::STUDY_UID: self.list}});
        let Some(body) = query.as_object_mut() else { return Err(HostError::PLUGIN) };
        if let Some(labels) = &self.listing.labels {
            body.insert("Labels".to_owned(), json!(**labels));
            body.insert("LabelsConstraint".to_owned(), json!("None"));
            return Ok(count_of(context, &query)? == 0);
        }
        unpage(context, body);
        Ok(found_by(context, &query)?.iter().all(|study| is_one_of(study, |id| self.ids.contains(id))))
    }
}

/// Whether nobody else's study carries one of the UIDs of these studies now.
pub(super) fn are_alone(context: &Context<'_>, studies: &[&Listed], listing: &Listing) -> Result<bool, HostError> {
    Alone::of(uids(studies.iter().copied()), studies.iter().copied(), listing).holds(context)
}

/// Queries below studies of which some share their UID with a study outside the labels: those are named by their Orthanc
/// identifier, one by one. With those that are not, and so are named together.
pub(super) fn study_by_study<'a>(
    context: &Context<'_>,
    query: &Query,
    body: Map<String, Value>,
    allowed: impl Iterator<Item = &'a Listed>,
    listing: &Listing,
) -> Result<(Vec<Value>, Alone), HostError> {
    let (mut alone, mut others) = (Vec::new(), Vec::new());
    tell_apart(context, &allowed.collect::<Vec<_>>(), listing, &mut alone, &mut others)?;
    if !others.is_empty() && query.body.contains_key("OrderBy") {
        log::info!("a search below studies is refused: a study outside the labels has the UID of one inside");
        return Err(HostError::FORBIDDEN);
    }
    let mut bodies = Vec::new();
    for Listed { study, .. } in others {
        let mut body = body.clone();
        if let Some(Value::Object(compared)) = body.get_mut("Query") {
            compared.remove(tags::STUDY_UID);
        }
        // Those of other patients are not among the allowed ones here.
        body.remove("ParentPatient");
        body.insert("ParentStudy".to_owned(), json!(*study.id));
        bodies.push(Value::Object(body));
    }
    if alone.is_empty() {
        return Ok((bodies, Alone::default()));
    }
    let alone = Alone::of(uids(alone.iter().copied()), alone.iter().copied(), listing);
    let mut body = body;
    if let Some(Value::Object(compared)) = body.get_mut("Query") {
        compared.insert(tags::STUDY_UID.to_owned(), json!(alone.list()));
    }
    bodies.push(Value::Object(body));
    Ok((bodies, alone))
}

/// Which studies share their UID with nobody else's: asked of all together, and of each half where it is not so.
pub(super) fn tell_apart<'a>(
    context: &Context<'_>,
    studies: &[&'a Listed],
    listing: &Listing,
    alone: &mut Vec<&'a Listed>,
    others: &mut Vec<&'a Listed>,
) -> Result<(), HostError> {
    if are_alone(context, studies, listing)? {
        alone.extend(studies);
    } else if let [_, _, ..] = studies {
        let (one, other) = studies.split_at(studies.len() / 2);
        tell_apart(context, one, listing, alone, others)?;
        tell_apart(context, other, listing, alone, others)?;
    } else {
        others.extend(studies);
    }
    Ok(())
}

/// How much the core finds by these UIDs before it compares it with them once more: as much as it finds in the end, or more
/// where it has to read what is not in its index, or has regard to case.
pub(super) fn candidates(
    context: &Context<'_>,
    query: &Query,
    body: &Map<String, Value>,
    list: &str,
) -> Result<usize, HostError> {
    let mut body = body.clone();
    name_studies(&mut body, query, list);
    body.remove("CaseSensitive");
    if let Some(Value::Object(compared)) = body.get_mut("Query") {
        compared.retain(|tag, _| tags::is_of_study(tag) || tags::is_of_series(tag));
    }
    count_of(context, &Value::Object(body))
}
