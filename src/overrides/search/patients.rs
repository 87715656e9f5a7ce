//! Searches for patients: those of whom a study is allowed are named in the query, some of them at a time, so that the core
//! looks at no others, however many there are.
//!
//! Knows nothing of how the allowed studies are found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::Context;
use super::super::query::Query;
use super::super::scope::Scope;
use super::allowed::Allowed;
use super::naming::unpage;
use super::parts::{FIRST, NEXT, next_size};
use super::{found_by, id_of, is_one_of, page, paged};
use crate::host::HostError;
use crate::resource::{Level, Named};

/// How Orthanc lets the PatientID be written. A constraint in one spelling holds beside one in another.
const SPELLINGS: [&str; 4] = ["0010,0020", "0010-0020", "00100020", "PatientID"];

/// A search among patients.
#[derive(Debug, PartialEq)]
pub(super) struct Patients {
    /// The query, its labels already put right.
    body: Map<String, Value>,
    /// By Orthanc identifier, in the order in which the core answers them; with the PatientID, if it can be named.
    named: BTreeMap<Arc<str>, Option<Arc<str>>>,
}

/// An Orthanc identifier with the PatientID.
type One<'a> = (&'a str, Option<&'a str>);

impl Patients {
    pub(super) fn of(body: Map<String, Value>, allowed: Allowed) -> Self {
        let named = allowed.into_values().map(|listed| {
            // A list is compared letter by letter, wildcards too; only what parts it cannot stand in it.
            (listed.patient, listed.patient_id.filter(|id| !id.contains('\\')))
        });
        let mut named: BTreeMap<_, _> = named.collect();
        if let Some(parent) = body.get("ParentPatient").and_then(Value::as_str) {
            named.retain(|id, _| **id == *parent);
        }
        Self { body, named }
    }

    /// The query's page of the answers, without what may not be known.
    pub(super) fn find(self, context: &Context<'_>, scope: &Scope, query: &Query) -> Result<Vec<Value>, HostError> {
        let (wanted, _) = page(query)?;
        let all: Vec<One<'_>> = self.named.iter().map(|(id, patient_id)| (&**id, patient_id.as_deref())).collect();
        let is_ordered = self.body.contains_key("OrderBy");
        let (mut found, mut rest) = (Vec::new(), all.as_slice());
        let mut size = if is_ordered { all.len() } else { FIRST };
        while !rest.is_empty() && found.len() < wanted {
            let part;
            (part, rest) = rest.split_at_checked(size).unwrap_or((rest, &[]));
            let mut answer = self.among(context, scope, part)?;
            if !is_ordered {
                answer.sort_by(|one, other| id_of(one).cmp(id_of(other)));
            }
            size = next_size(size, answer.len(), part.len(), NEXT);
            found.extend(answer);
        }
        paged(context, scope, query, found)
    }

    /// What is found among some patients. What the server keeps of a patient, and compares, is what the first study said,
    /// which may be somebody else's: of those who are not wholly allowed it is not asked. They come last, whatever the order.
    fn among(&self, context: &Context<'_>, scope: &Scope, part: &[One<'_>]) -> Result<Vec<Value>, HostError> {
        let said = self.compared();
        // In an order, each would stand where the server's name of it stands.
        if said.is_empty() && !self.body.contains_key("OrderBy") {
            return found_among(context, part, &self.body);
        }
        let is_whole = |(id, _): &One<'_>| {
            scope.allows_named(&context.gate.resources, &Named::Orthanc(Level::Patient, (*id).into()))
        };
        let (whole, shared): (Vec<One<'_>>, Vec<One<'_>>) = part.iter().partition(|one| is_whole(one));
        let mut found = found_among(context, &whole, &self.body)?;
        let mut meant = Vec::new();
        for one in shared {
            if self.is_said_by_an_allowed_study(context, scope, one.0)? {
                meant.push(one);
            }
        }
        let mut body = self.body.clone();
        if let Some(Value::Object(tags)) = body.get_mut("Query") {
            tags.retain(|tag, _| !said.contains(tag));
        }
        body.remove("CaseSensitive");
        found.extend(found_among(context, &meant, &body)?);
        Ok(found)
    }

    /// The tags beside the PatientID, which is the same in all studies of a patient, that are compared with something.
    fn compared(&self) -> BTreeSet<String> {
        let tags = self.body.get("Query").and_then(Value::as_object).into_iter().flatten();
        let tags =
            tags.filter(|(tag, value)| !SPELLINGS.contains(&tag.as_str()) && !matches!(value.as_str(), Some("" | "*")));
        tags.map(|(tag, _)| tag.clone()).collect()
    }

    /// Whether one of the studies of a patient that may be seen says of the patient what the query does.
    fn is_said_by_an_allowed_study(&self, context: &Context<'_>, scope: &Scope, id: &str) -> Result<bool, HostError> {
        let mut body = Map::new();
        for member in ["Query", "CaseSensitive"] {
            body.extend(self.body.get(member).map(|value| (member.to_owned(), value.clone())));
        }
        body.insert("Level".to_owned(), json!("Study"));
        body.insert("ParentPatient".to_owned(), json!(id));
        unpage(context, &mut body);
        let resources = &context.gate.resources;
        let may = |id: &str| scope.allows_named(resources, &Named::Orthanc(Level::Study, id.into()));
        Ok(found_by(context, &Value::Object(body))?.iter().any(|study| is_one_of(study, may)))
    }
}

/// What the core finds among some patients. Those that cannot be named together come last, whatever the order.
fn found_among(context: &Context<'_>, part: &[One<'_>], body: &Map<String, Value>) -> Result<Vec<Value>, HostError> {
    let list: Vec<&str> = part.iter().filter_map(|(_, patient_id)| *patient_id).collect();
    let mut found = Vec::new();
    if let [first, ..] = *list {
        let mut body = unpaged(body);
        let Some(Value::Object(tags)) = body.get_mut("Query") else { return Err(HostError::BAD_REQUEST) };
        let free = SPELLINGS.iter().find(|tag| !tags.contains_key(**tag)).ok_or(HostError::BAD_REQUEST)?;
        // Twice: one alone would be no list, and its wildcards would be some.
        tags.insert((*free).to_owned(), json!(format!("{first}\\{}", list.join("\\"))));
        found = found_by(context, &Value::Object(body))?;
    }
    for (id, _) in part.iter().filter(|(_, patient_id)| patient_id.is_none()) {
        let mut body = unpaged(body);
        body.insert("ParentPatient".to_owned(), json!(id));
        found.extend(found_by(context, &Value::Object(body))?);
    }
    // The core compares without regard to case, which may find one of another part too. (What is named is in order.)
    found.retain(|resource| is_one_of(resource, |id| part.binary_search_by(|(one, _)| (*one).cmp(id)).is_ok()));
    Ok(found)
}

/// The query for everything: without `Since` the core ends at the limit that the site has set (`LimitFindResults`), which is
/// for what somebody asked for, and not for a part of it.
fn unpaged(body: &Map<String, Value>) -> Map<String, Value> {
    let mut body = body.clone();
    body.remove("Limit");
    body.insert("Since".to_owned(), json!(0));
    body
}
