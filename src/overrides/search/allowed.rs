//! The studies that a search may be answered from: those that it names, or all that may be seen.
//!
//! Knows nothing of how they are named in a query, nor of how a query is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Context;
use super::super::query::Query;
use super::super::scope::Scope;
use super::naming::can_be_named;
use crate::host::HostError;
use crate::policy::rights::Labels;
use crate::resource::{Level, Listed, Located, Named};
use crate::route::tags;

/// How the allowed studies were found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Listing {
    /// Labels of which each carries one; `None` where links open some of them.
    pub(super) labels: Option<Arc<BTreeSet<String>>>,
    /// Some time ago.
    pub(super) is_kept: bool,
}

impl Listing {
    /// Of studies that a scope allows, found at this moment.
    pub(super) fn of(scope: &Scope) -> Self {
        let Scope::Limited(identities) = scope else { return Self::default() };
        let has_links = identities.iter().any(|identity| identity.link.is_some());
        match scope.labels() {
            Labels::Only(own) if !has_links => Self { labels: Some(own), is_kept: false },
            _ => Self::default(),
        }
    }
}

/// Studies by Orthanc identifier.
pub(super) type Allowed = BTreeMap<Arc<str>, Listed>;

/// The Orthanc identifiers of the studies that a query names by their UIDs, if all of these are allowed: then there is
/// nothing else that it could find, and nothing has to be listed.
pub(super) fn named_and_allowed(context: &Context<'_>, query: &Query, scope: &Scope) -> Option<BTreeSet<String>> {
    if !query.names_its_studies() {
        return None;
    }
    let mut ids = BTreeSet::new();
    for uid in &query.study_uids {
        // A failure too: the search then goes the long way, and fails there if it must.
        let located = context.gate.resources.locate(&Named::Uid(Level::Study, uid.as_str().into())).ok()?;
        if !scope.allows_all(&located) {
            return None;
        }
        ids.extend(located.into_iter().map(|located| located.study.id.to_string()));
    }
    Some(ids)
}

/// The studies of a scope in which something that a query asks for can lie, as the core finds them by label or by the
/// links' UIDs, each checked once more by the policy.
///
/// Below studies, and without links, they may come from a list that was kept, unless `now` is said.
pub(super) fn allowed_studies(
    context: &Context<'_>,
    scope: &Scope,
    query: &Query,
    now: bool,
) -> Result<(Allowed, Listing), HostError> {
    let Scope::Limited(identities) = scope else { return Err(HostError::PLUGIN) };
    let resources = &context.gate.resources;
    let mut found = Allowed::new();
    let mut listing = Listing::of(scope);
    if let Labels::Only(own) = scope.labels()
        && !own.is_empty()
    {
        let mut criteria = query.study_criteria();
        let is_below = matches!(query.level, Level::Series | Level::Instance);
        if criteria.is_empty() && is_below && listing.labels.is_some() {
            let listed = resources.labelled(&own, now)?;
            allow(scope, listed.studies.iter().cloned(), &mut found);
            listing.is_kept = listed.is_kept;
        } else {
            criteria = [("Query".to_owned(), Value::Object(criteria))].into_iter().collect();
            criteria.insert("Labels".to_owned(), json!(*own));
            criteria.insert("LabelsConstraint".to_owned(), json!("Any"));
            allow(scope, resources.list(criteria)?, &mut found);
        }
    }
    let mut linked = BTreeSet::new();
    for resource in identities.iter().filter_map(|identity| identity.link.as_ref()).flat_map(|link| &link.resources) {
        if resource.level != Level::Study {
            continue;
        }
        if let Some(uid) = &resource.dicom_uid {
            linked.insert(uid.clone());
        } else if let Some(id) = &resource.orthanc_id
            && let Ok(study) = resources.study(id)
        {
            linked.insert(study.uid.to_string());
        }
    }
    if !linked.is_empty() {
        let list: Vec<String> = linked.into_iter().collect();
        let query = json!({tags::STUDY_UID: list.join("\\")});
        allow(scope, resources.list([("Query".to_owned(), query)].into_iter().collect())?, &mut found);
    }
    let parent = query.text("ParentPatient")?;
    found.retain(|_, listed| {
        (query.level == Level::Patient || can_be_named(&listed.study.uid))
            && query.may_mean(&listed.study.uid)
            && parent.is_none_or(|parent| *parent == *listed.patient)
    });
    Ok((found, listing))
}

fn allow(scope: &Scope, studies: impl IntoIterator<Item = Listed>, found: &mut Allowed) {
    for listed in studies {
        let located = Located { study: listed.study.clone(), series: None, instance: None };
        if scope.allows(&located) {
            found.insert(Arc::clone(&listed.study.id), listed);
        }
    }
}
