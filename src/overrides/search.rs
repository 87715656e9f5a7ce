//! `/tools/find` and `/tools/count-resources` for somebody limited, and with them QIDO-RS, which DICOMweb answers by
//! calling `/tools/find`.
//!
//! The answer is that of a server which holds only the allowed studies, with only the labels that may be known
//! (decision 15). Where the query can say so itself, the core does all the work (`Plan::Narrowed`); else the allowed
//! studies are found first and named in the query.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use self::allowed::{Listing, allowed_studies, named_and_allowed};
use self::naming::{Alone, candidates, name_studies, read_count, study_by_study, uids, unpage};
use super::Context;
use super::answers::{body_with, strip, strip_each};
use super::core_call::{self, pass_on};
use super::pieces::{self, Sight};
use super::query::{Constraint, Query};
use super::scope::Scope;
use crate::host::{HostError, Method};
use crate::json::{pretty, written};
use crate::pieces::Pieces;
use crate::policy::rights::Labels;
use crate::request::{Reply, RestRequest};
use crate::resource::{Level, Named};

/// POST `/tools/find`.
pub fn find(context: &Context<'_>, call: &RestRequest<'_>, scope: &Scope) -> Result<Reply, HostError> {
    if matches!(scope, Scope::All) || call.request.method != Method::Post {
        return pass_on(context.host, call);
    }
    let query = Query::read(call.body)?;
    let pieces = scope.pieces(context);
    check_named(context, &query, scope, &pieces)?;
    if !pieces.is_empty() {
        return Ok(core_call::json(pretty(&Value::Array(with_pieces(context, scope, &query, &pieces)?))));
    }
    let answer = settled(context, &query, scope, true, |plan| {
        Ok(match plan {
            Plan::Nothing => b"[]".to_vec(),
            Plan::Narrowed(body) => {
                let answer = context.host.post("/tools/find", &body)?;
                if query.describes_resources() {
                    body_with(answer, |found| strip(context, scope, &scope.labels(), found))?
                } else {
                    answer
                }
            }
            Plan::Picked { body, ids } => pretty(&Value::Array(pick(context, scope, &query, &[body], Some(&ids))?)),
            Plan::Several(bodies) => pretty(&Value::Array(pick(context, scope, &query, &bodies, None)?)),
            Plan::Parts(parts) => pretty(&Value::Array(parts.find(context, scope, &query)?)),
            Plan::Patients(patients) => pretty(&Value::Array(patients.find(context, scope, &query)?)),
        })
    })?;
    Ok(core_call::json(answer))
}

/// POST `/tools/count-resources`.
pub fn count(context: &Context<'_>, call: &RestRequest<'_>, scope: &Scope) -> Result<Reply, HostError> {
    if matches!(scope, Scope::All) || call.request.method != Method::Post {
        return pass_on(context.host, call);
    }
    let query = Query::read(call.body)?;
    // The core counts whatever the page is.
    let query = query.without_paging();
    let pieces = scope.pieces(context);
    check_named(context, &query, scope, &pieces)?;
    if !pieces.is_empty() {
        let whole = whole_count(context, scope, &query)?;
        let found = pieces::find(context, scope, &pieces, &query)?.len();
        return Ok(core_call::json(pretty(&json!({"Count": whole + found}))));
    }
    if query.is_case_sensitive() {
        // The core counts none of these.
        let found = in_whole_studies(context, scope, &query)?.len();
        return Ok(core_call::json(pretty(&json!({"Count": found}))));
    }
    let answer = settled(context, &query, scope, false, |plan| {
        let count = match plan {
            Plan::Nothing => 0,
            Plan::Narrowed(body) => {
                return context.host.post("/tools/count-resources", &body);
            }
            Plan::Picked { body, ids } => pick(context, scope, &query, &[body], Some(&ids))?.len(),
            Plan::Several(bodies) => pick(context, scope, &query, &bodies, None)?.len(),
            Plan::Parts(parts) => parts.count(context, scope, &query)?,
            Plan::Patients(patients) => patients.find(context, scope, &query)?.len(),
        };
        Ok(pretty(&json!({"Count": count})))
    })?;
    Ok(core_call::json(answer))
}

/// The query's page of what is found in studies that may be seen as a whole, and after that, whatever the order, of what is
/// found in pieces of others.
fn with_pieces(context: &Context<'_>, scope: &Scope, query: &Query, pieces: &Pieces) -> Result<Vec<Value>, HostError> {
    let (end, since) = page(query)?;
    let mut answer = in_whole_studies(context, scope, query)?;
    let wanted = end - since;
    if answer.len() < wanted {
        let before = match answer.len() {
            0 if since > 0 => whole_count(context, scope, query)?,
            found => since + found,
        };
        let found = pieces::find(context, scope, pieces, query)?;
        let room = wanted - answer.len();
        answer.extend(found.into_iter().skip(since.saturating_sub(before)).take(room));
    }
    Ok(answer)
}

/// What is found in studies that may be seen as a whole.
fn in_whole_studies(context: &Context<'_>, scope: &Scope, query: &Query) -> Result<Vec<Value>, HostError> {
    settled(context, query, scope, true, |plan| {
        Ok(match plan {
            Plan::Nothing => Vec::new(),
            Plan::Narrowed(body) => {
                let mut found: Vec<Value> = crate::host::read_answer(&context.host.post("/tools/find", &body)?)?;
                strip_each(context, scope, &mut found);
                found
            }
            Plan::Picked { body, ids } => pick(context, scope, query, &[body], Some(&ids))?,
            Plan::Several(bodies) => pick(context, scope, query, &bodies, None)?,
            Plan::Parts(parts) => parts.find(context, scope, query)?,
            Plan::Patients(patients) => patients.find(context, scope, query)?,
        })
    })
}

/// How much is found in studies that may be seen as a whole.
fn whole_count(context: &Context<'_>, scope: &Scope, query: &Query) -> Result<usize, HostError> {
    let all = query.without_paging();
    if all.is_case_sensitive() {
        // The core counts none of these.
        return Ok(in_whole_studies(context, scope, &all)?.len());
    }
    settled(context, &all, scope, false, |plan| {
        Ok(match plan {
            Plan::Nothing => 0,
            Plan::Narrowed(body) => read_count(&context.host.post("/tools/count-resources", &body)?)?,
            Plan::Picked { body, ids } => pick(context, scope, &all, &[body], Some(&ids))?.len(),
            Plan::Several(bodies) => pick(context, scope, &all, &bodies, None)?.len(),
            Plan::Parts(parts) => parts.count(context, scope, &all)?,
            Plan::Patients(patients) => patients.find(context, scope, &all)?.len(),
        })
    })
}

/// A plan's answer, if what the plan takes for granted holds after it was made too. Else by a plan that takes less for
/// granted: whoever polls would see what comes in between.
fn settled<T>(
    context: &Context<'_>,
    query: &Query,
    scope: &Scope,
    finds: bool,
    answer: impl Fn(Plan) -> Result<T, HostError>,
) -> Result<T, HostError> {
    for care in [Care::Little, Care::Much, Care::Much] {
        let Planned { plan, alone } = plan(context, query, scope, finds, care)?;
        let answer = answer(plan)?;
        if alone.holds(context)? {
            return Ok(answer);
        }
    }
    log::info!(
        "a search is given up: studies outside the labels come in with the UIDs of those inside again and again"
    );
    Err(HostError::FORBIDDEN)
}

/// How a query is answered.
#[derive(Debug, PartialEq)]
enum Plan {
    /// By nothing at all.
    Nothing,
    /// By the core, from a query, written out, that finds nothing else.
    Narrowed(Vec<u8>),
    /// By the core without its paging, and then only what is about these studies counts.
    Picked { body: Value, ids: BTreeSet<String> },
    /// By the core in several queries without its paging, one after the other.
    Several(Vec<Value>),
    /// By the core in several queries, each of which names a part of the allowed studies.
    Parts(parts::Parts),
    /// By the core in several queries, each of which names some of the patients of allowed studies.
    Patients(patients::Patients),
}

/// A plan, and which UIDs it takes for those of allowed studies alone.
struct Planned {
    plan: Plan,
    alone: Alone,
}

impl From<Plan> for Planned {
    fn from(plan: Plan) -> Self {
        Self { plan, alone: Alone::default() }
    }
}

/// How much a plan takes for granted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    /// That nobody else's study carries the UID of an allowed one, and what was listed or looked up some time ago.
    Little,
    /// What was found out for it.
    Much,
}

/// `finds`: resources are wanted, and not only how many there are.
fn plan(context: &Context<'_>, query: &Query, scope: &Scope, finds: bool, care: Care) -> Result<Planned, HostError> {
    let own = scope.labels();
    let labels = visible_labels(context, query, &own)?;
    let (Scope::Limited(identities), Labels::Only(own)) = (scope, &own) else { return Err(HostError::PLUGIN) };
    let has_links = identities.iter().any(|identity| identity.link.is_some());
    if scope.is_empty() {
        return Ok(Plan::Nothing.into());
    }
    if query.level == Level::Study && !has_links {
        match &labels {
            None => {
                let own: Vec<&str> = own.iter().map(String::as_str).collect();
                return Ok(Plan::Narrowed(query.written(Some((&own, Constraint::Any)))).into());
            }
            // All of these are own labels, so that every study found carries one.
            Some((named, constraint @ (Constraint::All | Constraint::Any))) => {
                let named: Vec<&str> = named.iter().map(String::as_str).collect();
                return Ok(Plan::Narrowed(query.written(Some((&named, *constraint)))).into());
            }
            Some((_, Constraint::None)) => {}
        }
    }
    // Below a study that was checked there is nothing else to find.
    let below_a_study = matches!(query.level, Level::Series | Level::Instance);
    for (member, level) in [("ParentStudy", Level::Study), ("ParentSeries", Level::Series)] {
        if let Some(id) = query.text(member)?.filter(|_| below_a_study) {
            // Of a study that is seen in part, what may be seen is found elsewhere.
            let located = context.gate.resources.locate(&Named::Orthanc(level, id.into()));
            let mut located = located.map_err(|_| HostError::FORBIDDEN)?;
            for inner in &mut located {
                (inner.series, inner.instance) = (None, None);
            }
            let is_whole = scope.allows_all(&located);
            let narrowed = || Plan::Narrowed(written(&query.with_labels(labels)));
            return Ok(if is_whole { narrowed() } else { Plan::Nothing }.into());
        }
    }
    among_allowed(context, query, scope, labels, finds, care)
}

/// What a query says about labels, for somebody who knows only of these.
pub(super) fn visible_labels(
    context: &Context<'_>,
    query: &Query,
    own: &Labels,
) -> Result<Option<(Vec<String>, Constraint)>, HostError> {
    let labels = query.visible_labels(own)?;
    Ok(match (labels, own) {
        // None at all: those that others gave are not there.
        (Some((none, Constraint::None)), Labels::Only(own))
            if none.is_empty() && context.host.version().finds_unlabelled() =>
        {
            (!own.is_empty()).then(|| (own.iter().cloned().collect(), Constraint::None))
        }
        (labels, _) => labels,
    })
}

/// Everything that a query names must be allowed; what is unknown is refused as what is forbidden.
fn check_named(context: &Context<'_>, query: &Query, scope: &Scope, pieces: &Pieces) -> Result<(), HostError> {
    let resources = &context.gate.resources;
    let may = |named: &Named<'_>| scope.sight(context, pieces, named) != Sight::None;
    let mut allowed = query.study_uids.iter().all(|uid| may(&Named::Uid(Level::Study, uid.as_str().into())));
    for (member, level) in [("ParentStudy", Level::Study), ("ParentSeries", Level::Series)] {
        if let Some(id) = query.text(member)? {
            allowed &= may(&Named::Orthanc(level, id.into()));
        }
    }
    if let Some(id) = query.text("ParentPatient")? {
        // A patient is there as soon as one of the studies is.
        let studies = resources.locate(&Named::Orthanc(Level::Patient, id.into()));
        allowed &= studies.is_ok_and(|studies| studies.iter().any(|study| scope.allows(study)));
    }
    if allowed { Ok(()) } else { Err(HostError::FORBIDDEN) }
}

/// A query that names the allowed studies.
fn among_allowed(
    context: &Context<'_>,
    query: &Query,
    scope: &Scope,
    labels: Option<(Vec<String>, Constraint)>,
    finds: bool,
    care: Care,
) -> Result<Planned, HostError> {
    if query.level != Level::Patient
        && let Some(ids) = named_and_allowed(context, query, scope)
    {
        let body = query.with_labels(labels.clone());
        let list = query.study_uids.iter().map(String::as_str).collect::<Vec<_>>().join("\\");
        // The answer says which studies it is about; that saves a query.
        if finds && query.shows_studies() && ids.len() <= FEW {
            return Ok(picked(context, body, query, &list, ids).into());
        }
        // What was looked up may be some seconds old: another study may have come since.
        if care == Care::Little {
            return Ok(named_alone(context, body, query, Alone::new(list, ids, Listing::of(scope))));
        }
    }
    let (allowed, listing) = allowed_studies(context, scope, query, care == Care::Much)?;
    if allowed.is_empty() {
        return Ok(Plan::Nothing.into());
    }
    let mut body = query.with_labels(labels);
    if query.level == Level::Patient {
        // Which tags a patient is found by is the core's to say; which patients count is ours.
        return Ok(Plan::Patients(patients::Patients::of(body, allowed)).into());
    }
    // The core compares each answer with each UID of the list.
    let is_ordered = finds && body.contains_key("OrderBy");
    if allowed.len() > parts::FIRST && !is_ordered {
        return Ok(Plan::Parts(parts::Parts { body, allowed, listing }).into());
    }
    let list = uids(allowed.values());
    if is_ordered {
        // It pages nothing that is case-sensitive.
        let is_paged = !query.is_case_sensitive() || query.compares_uids_alone();
        let limit = query.number("Limit")?.filter(|limit| is_paged && *limit > 0);
        check_ordered(context, query, (&body, &list, allowed.len()), limit)?;
    }
    // Two patients may have studies with one UID, and only one of them be allowed.
    let alone = Alone::of(list, allowed.values(), &listing);
    if care == Care::Little || alone.holds(context)? {
        return Ok(named_alone(context, body, query, alone));
    }
    if is_ordered {
        check_ordered(context, query, (&body, alone.list(), allowed.len()), None)?;
    }
    if query.level == Level::Study {
        let ids = allowed.into_keys().map(|id| id.to_string()).collect();
        return Ok(picked(context, body, query, alone.list(), ids).into());
    }
    name_studies(&mut body, query, alone.list());
    unpage(context, &mut body);
    let (bodies, alone) = study_by_study(context, query, body, allowed.values(), &listing)?;
    Ok(Planned { plan: Plan::Several(bodies), alone })
}

/// What is ordered is asked for at once: what the core would compare with the UIDs of these studies may not be so much that
/// it keeps the server busy for minutes. `limit`: where the core ends.
fn check_ordered(
    context: &Context<'_>,
    query: &Query,
    (body, list, allowed): (&Map<String, Value>, &str, usize),
    limit: Option<usize>,
) -> Result<(), HostError> {
    let most = parts::MOST_COMPARED / allowed.max(1);
    let is_little = || Ok(limit.is_some_and(|limit| limit <= most) || candidates(context, query, body, list)? <= most);
    if allowed <= parts::FIRST || (allowed <= parts::MOST_NAMED && is_little()?) {
        return Ok(());
    }
    log::info!(
        "a search with OrderBy below studies is refused to somebody who may see {allowed} studies that it could be about, of \
         {} at most: it wants a Limit, here of {most} at most",
        parts::MOST_NAMED
    );
    Err(HostError::FORBIDDEN)
}

/// So many studies are told apart in the answer.
const FEW: usize = 20;

/// How a query is answered among studies whose UIDs nobody else's study carries.
fn named_alone(context: &Context<'_>, mut body: Map<String, Value>, query: &Query, alone: Alone) -> Planned {
    let is_paged = name_studies(&mut body, query, alone.list());
    if is_paged {
        return Planned { plan: Plan::Narrowed(written(&body)), alone };
    }
    unpage(context, &mut body);
    Planned { plan: Plan::Several(vec![Value::Object(body)]), alone }
}

/// How a query is answered whose answer says which studies it is about, of which some may share their UIDs with others.
fn picked(
    context: &Context<'_>,
    mut body: Map<String, Value>,
    query: &Query,
    list: &str,
    ids: BTreeSet<String>,
) -> Plan {
    name_studies(&mut body, query, list);
    unpage(context, &mut body);
    Plan::Picked { body: Value::Object(body), ids }
}

/// The core's answers to queries without paging, of which only what is about these studies counts, paged.
fn pick(
    context: &Context<'_>,
    scope: &Scope,
    query: &Query,
    bodies: &[Value],
    ids: Option<&BTreeSet<String>>,
) -> Result<Vec<Value>, HostError> {
    let mut answer: Vec<Value> = Vec::new();
    for body in bodies {
        answer.extend(found_by(context, body)?);
    }
    if let Some(ids) = ids {
        answer.retain(|resource| match query.level {
            Level::Study => is_one_of(resource, |id| ids.contains(id)),
            _ => resource.get("ParentStudy").and_then(Value::as_str).is_some_and(|id| ids.contains(id)),
        });
    }
    paged(context, scope, query, answer)
}

pub(super) fn found_by(context: &Context<'_>, body: &Value) -> Result<Vec<Value>, HostError> {
    crate::host::read_answer(&context.host.post("/tools/find", &written(body))?)
}

/// Whether an answer, described or not, has one of these identifiers.
pub(super) fn is_one_of(resource: &Value, is: impl Fn(&str) -> bool) -> bool {
    resource.as_str().or_else(|| resource.get("ID").and_then(Value::as_str)).is_some_and(is)
}

fn id_of(resource: &Value) -> &str {
    resource.as_str().or_else(|| resource.get("ID").and_then(Value::as_str)).unwrap_or_default()
}

/// How many answers a query wants, those before its page counted in; and how many those are.
fn page(query: &Query) -> Result<(usize, usize), HostError> {
    let since = query.number("Since")?.unwrap_or(0);
    // As the core has it: no limit and the limit zero are the same.
    let limit = query.number("Limit")?.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    Ok((since.saturating_add(limit), since))
}

/// The query's page of these answers, without what may not be known.
fn paged(context: &Context<'_>, scope: &Scope, query: &Query, answer: Vec<Value>) -> Result<Vec<Value>, HostError> {
    let (end, since) = page(query)?;
    let mut answer: Vec<Value> = answer.into_iter().take(end).skip(since).collect();
    strip_each(context, scope, &mut answer);
    Ok(answer)
}

mod allowed;
mod naming;
mod parts;
mod patients;

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
