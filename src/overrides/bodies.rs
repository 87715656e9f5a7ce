//! The routes whose body names resources, for somebody limited: every identifier in the body is checked before the core
//! sees it, and what the core sees is our reading of the body, written again.
//!
//! A member that is not known could name a resource, so it is refused, and so is a member that appears twice. Whatever is
//! unknown is refused as what is forbidden is.

mod modification;
mod remote;
mod this_server;

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Context;
use super::answers::strip;
use super::core_call::{self, pass_on};
use super::deletion::deleting;
use super::scope::Scope;
use crate::host::{HostError, Method};
use crate::identity::Identity;
use crate::json::{Unique, pretty};
use crate::log_text::shorten;
use crate::pieces::facts;
use crate::policy::decision;
use crate::request::{Reply, Request, RestRequest};
use crate::resource::{Level, Located, Named};
use crate::route::{Owned, is_orthanc_id};

/// A route whose body is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/tools/bulk-delete`
    BulkDelete,
    /// `/tools/bulk-content`
    BulkContent,
    /// `/tools/bulk-modify`, `/tools/bulk-anonymize`
    BulkChange(Change),
    /// `/{level}/{id}/modify`, `/{level}/{id}/anonymize`
    Change(Change, Level, &'a str),
    /// `/studies/{id}/merge`
    Merge(&'a str),
    /// `/studies/{id}/split`
    Split(&'a str),
    /// `/modalities/{name}/store`
    StoreToModality,
    /// `/peers/{name}/store`
    StoreToPeer,
    /// `/modalities/{name}/query`
    AskModality(&'a str),
    /// `/queries/{id}/answers/{index}/query-{level}`
    AskFurther(&'a str),
    /// `/queries/{id}/retrieve`, `/queries/{id}/answers/{index}/retrieve`
    Retrieve(&'a str, Option<&'a str>),
}

/// What is done to the content of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Modified.
    Modify,
    /// Anonymized.
    Anonymize,
}

/// Which of these routes a request is for.
#[must_use]
pub fn route<'a>(request: &Request<'a>) -> Option<Route<'a>> {
    let segments: Vec<&str> = request.path.trim_end_matches('/').split('/').skip(1).collect();
    Some(match *segments.as_slice() {
        ["tools", "bulk-delete"] => Route::BulkDelete,
        ["tools", "bulk-content"] => Route::BulkContent,
        ["tools", "bulk-modify"] => Route::BulkChange(Change::Modify),
        ["tools", "bulk-anonymize"] => Route::BulkChange(Change::Anonymize),
        ["studies", id, "merge"] => Route::Merge(id),
        ["studies", id, "split"] => Route::Split(id),
        // Not overridden, as the answer is the new file, of whatever size: refused to whoever is limited.
        ["instances", ..] => return None,
        [level, id, "modify"] => Route::Change(Change::Modify, super::level_of(level)?, id),
        [level, id, "anonymize"] => Route::Change(Change::Anonymize, super::level_of(level)?, id),
        ["modalities", _, "store"] => Route::StoreToModality,
        ["modalities", name, "query"] => Route::AskModality(name),
        ["peers", _, "store"] => Route::StoreToPeer,
        ["queries", id, "retrieve"] => Route::Retrieve(id, None),
        ["queries", id, "answers", index, "retrieve"] => Route::Retrieve(id, Some(index)),
        ["queries", id, "answers", _, "query-instances" | "query-series" | "query-studies"] => Route::AskFurther(id),
        _ => return None,
    })
}

/// Answers one of these routes.
pub fn handle(
    context: &Context<'_>,
    call: &RestRequest<'_>,
    scope: &Scope,
    route: &Route<'_>,
) -> Result<Reply, HostError> {
    if call.request.method != Method::Post {
        // The core has no other method there.
        return pass_on(context.host, call);
    }
    let Scope::Limited(identities) = scope else {
        let pass_on = || pass_on(context.host, call);
        return match route {
            Route::BulkDelete => deleting(context, None, &named_to_delete(call.body), pass_on),
            _ => pass_on(),
        };
    };
    let asked = Asked { context, call, identities };
    match *route {
        Route::BulkDelete => bulk_delete(&asked),
        Route::BulkContent => bulk_content(&asked, scope),
        Route::BulkChange(change) => modification::bulk(&asked, change),
        Route::Change(change, level, id) => modification::one(&asked, change, level, id),
        Route::Merge(id) => modification::merge(&asked, id),
        Route::Split(id) => modification::split(&asked, id),
        Route::StoreToModality => remote::store(&asked, remote::TO_MODALITY),
        Route::StoreToPeer => remote::store(&asked, remote::TO_PEER),
        Route::AskModality(name) => remote::ask(&asked, name),
        Route::AskFurther(query) => remote::ask_further(&asked, query),
        Route::Retrieve(query, index) => remote::retrieve(&asked, query, index),
    }
}

/// Orthanc Explorer 2 says the level beside the identifiers, or with each of them. The core is given the identifiers, which
/// every version takes.
fn bulk_delete(asked: &Asked<'_>) -> Result<Reply, HostError> {
    let body = asked.body(&["Level", "Resources"])?;
    if let Some(level) = body.get("Level") {
        read_level(level)?;
    }
    let (mut names, mut ids) = (Vec::new(), Vec::new());
    let (mut named_before, mut ids_before) = (HashSet::new(), HashSet::new());
    for resource in asked.list(&body, "Resources")? {
        let (level, id) = match resource {
            Value::String(id) => (None, id.as_str()),
            Value::Object(resource) => {
                asked.check_members(resource, &["ID", "Level"])?;
                let level = read_level(resource.get("Level").unwrap_or(&Value::Null))?;
                (Some(level), resource.get("ID").and_then(Value::as_str).ok_or(HostError::BAD_REQUEST)?)
            }
            _ => return Err(HostError::BAD_REQUEST),
        };
        if named_before.insert((level, id)) {
            names.push(named(level, id));
        }
        if ids_before.insert(id) {
            ids.push(id);
        }
    }
    asked.act(&names)?;
    let body = [("Resources".to_owned(), json!(ids))].into_iter().collect();
    deleting(asked.context, None, &ids, || asked.send_change(&body)).map(|_| core_call::empty())
}

/// What a body that is not looked into deletes: identifiers, at whatever level.
fn named_to_delete(body: &[u8]) -> Vec<String> {
    let body: Value = crate::json::from_slice(body).unwrap_or_default();
    let resources = body.get("Resources").and_then(Value::as_array).into_iter().flatten();
    let ids = resources.filter_map(|one| one.as_str().or_else(|| one.get("ID").and_then(Value::as_str)));
    ids.filter(|id| is_orthanc_id(id)).map(str::to_owned).collect()
}

fn bulk_content(asked: &Asked<'_>, scope: &Scope) -> Result<Reply, HostError> {
    let body = asked.body(&["Resources", "Level", "Metadata", "Full", "Short", "Simplify"])?;
    let names = asked.resources(&body, "Resources")?;
    let (_, by) = asked.find_actor(&names, true)?;
    let mut answer: Value = crate::host::read_answer(&asked.send(&body)?)?;
    // `Level` lets the core go up from what is named: a patient is more than the study that was allowed.
    for description in answer.as_array().ok_or(HostError::PLUGIN)? {
        let text = |member| description.get(member).and_then(Value::as_str);
        let level = text("Type").and_then(Level::parse).ok_or(HostError::PLUGIN)?;
        let named = Named::Orthanc(level, text("ID").ok_or(HostError::PLUGIN)?.into());
        if !asked.may_touch(by, &[named]) {
            return Err(asked.refuse("it would answer a patient whose studies are not all allowed"));
        }
    }
    strip(asked.context, scope, &scope.labels(), &mut answer);
    Ok(core_call::json(pretty(&answer)))
}

/// A request of somebody limited whose body is looked into.
struct Asked<'a> {
    context: &'a Context<'a>,
    call: &'a RestRequest<'a>,
    identities: &'a [Arc<Identity>],
}

impl Asked<'_> {
    /// The body as an object with these members and no others.
    fn body(&self, members: &[&str]) -> Result<Map<String, Value>, HostError> {
        match crate::json::from_slice(self.call.body) {
            Ok(Unique(Value::Object(body))) => self.known(body, members),
            _ => Err(HostError::BAD_REQUEST),
        }
    }

    /// A body that has no other members, with each identifier in its lists once: each costs a look-up, and the core work.
    fn known(&self, mut body: Map<String, Value>, members: &[&str]) -> Result<Map<String, Value>, HostError> {
        self.check_members(&body, members)?;
        for member in ["Resources", "Series", "Instances"] {
            if let Some(Value::Array(list)) = body.get_mut(member) {
                let mut seen = HashSet::new();
                list.retain(|id| id.as_str().is_none_or(|id| seen.insert(id.to_owned())));
            }
        }
        Ok(body)
    }

    fn check_members(&self, object: &Map<String, Value>, members: &[&str]) -> Result<(), HostError> {
        match object.keys().find(|member| !members.contains(&member.as_str())) {
            Some(unknown) => Err(self.refuse(&format!("the member {unknown:?} of the body"))),
            None => Ok(()),
        }
    }

    /// The identifiers in a member of the body, of any level.
    fn resources<'b>(&self, body: &'b Map<String, Value>, member: &str) -> Result<Vec<Named<'b>>, HostError> {
        self.identifiers(body, member, None)
    }

    /// The identifiers in a member of the body, of one level.
    fn resources_of<'b>(
        &self,
        body: &'b Map<String, Value>,
        member: &str,
        level: Level,
    ) -> Result<Vec<Named<'b>>, HostError> {
        self.identifiers(body, member, Some(level))
    }

    fn identifiers<'b>(
        &self,
        body: &'b Map<String, Value>,
        member: &str,
        level: Option<Level>,
    ) -> Result<Vec<Named<'b>>, HostError> {
        let list = self.list(body, member)?.iter();
        list.map(|id| id.as_str().map(|id| named(level, id)).ok_or(HostError::BAD_REQUEST)).collect()
    }

    /// A list in the body, of a length that can be looked up.
    fn list<'b>(&self, body: &'b Map<String, Value>, member: &str) -> Result<&'b [Value], HostError> {
        let list = body.get(member).and_then(Value::as_array).ok_or(HostError::BAD_REQUEST)?;
        if list.len() > MOST_RESOURCES {
            self.refuse(&format!("more than {MOST_RESOURCES} resources in the member {member:?} of the body"));
            return Err(HostError::BAD_REQUEST);
        }
        Ok(list)
    }

    /// The first identity that may touch everything that is named, with what that is (decision 3: one identity for the
    /// whole request). Links only read.
    fn find_actor(&self, names: &[Named<'_>], reads: bool) -> Result<(Vec<Located>, &Arc<Identity>), HostError> {
        let mut located = Vec::with_capacity(names.len());
        let mut actors: Vec<_> = self.identities.iter().filter(|identity| reads || identity.link.is_none()).collect();
        let mut patients = Vec::new();
        for named in names {
            let found = self.context.gate.resources.locate(named);
            let found = found.map_err(|error| self.refuse(&format!("a resource in the body: {error}")))?;
            actors.retain(|identity| allows_all(identity, &found));
            if actors.is_empty() {
                break;
            }
            if names.len() > 1 && named.is_patient(&found) {
                patients.push(named);
            }
            located.extend(found);
        }
        // All that is named may take seconds to look up. The core handles a patient with the studies that came meanwhile,
        // so they are checked too.
        for patient in patients {
            actors.retain(|identity| self.may_touch(identity, std::slice::from_ref(patient)));
        }
        match actors.first() {
            Some(actor) => Ok((located, actor)),
            None => Err(self.refuse("a resource in the body lies outside the authorized labels")),
        }
    }

    /// As [`Self::find_actor`], for a request that changes something.
    fn act(&self, names: &[Named<'_>]) -> Result<Actor<'_>, HostError> {
        let (touched, identity) = self.find_actor(names, false)?;
        Ok(Actor { identity, touched })
    }

    /// Whether an identity may touch everything that is named.
    fn may_touch(&self, identity: &Identity, names: &[Named<'_>]) -> bool {
        names
            .iter()
            .all(|named| self.context.gate.resources.locate(named).is_ok_and(|located| allows_all(identity, &located)))
    }

    /// Says in the log why, and gives the answer.
    fn refuse(&self, why: &str) -> HostError {
        let names: Vec<String> = self.identities.iter().map(|identity| shorten(&identity.name)).collect();
        let request = &self.call.request;
        log::info!(
            "refused {} {} to {}: {}",
            request.method.as_str(),
            shorten(request.path),
            names.join(", "),
            shorten(why)
        );
        HostError::FORBIDDEN
    }

    /// Hands a body on; the core's answer.
    fn send(&self, body: &Map<String, Value>) -> Result<Vec<u8>, HostError> {
        let body = serde_json::to_vec(body).map_err(|_| HostError::PLUGIN)?;
        self.context.host.post(&core_call::uri(&self.call.request, self.context.host.version()), &body)
    }

    /// The same for a body that changes studies: what is known of their labels counts no more.
    fn send_change(&self, body: &Map<String, Value>) -> Result<Vec<u8>, HostError> {
        let answer = self.send(body);
        // Also after a failure: the core may have got half way.
        self.context.gate.resources.labels_changed();
        answer
    }

    /// The core's answer as it is; a job or query in it is the actor's from now on.
    fn answer(&self, actor: &Identity, answer: Vec<u8>) -> Reply {
        self.claim(&answer, actor);
        if answer.is_empty() { core_call::empty() } else { core_call::json(answer) }
    }

    /// Remembers whose the job or query in the core's answer is. Gives the job.
    fn claim(&self, answer: &[u8], identity: &Identity) -> Option<String> {
        let answer: Value = crate::json::from_slice(answer).ok()?;
        let id = answer.get("ID").and_then(Value::as_str)?;
        let path = answer.get("Path").and_then(Value::as_str)?;
        let kind = match path.strip_suffix(id)? {
            "/jobs/" => Owned::Job,
            "/queries/" => Owned::Query,
            _ => return None,
        };
        self.context.gate.ownership.claim(kind, id, identity);
        (kind == Owned::Job).then(|| id.to_owned())
    }
}

/// More resources than this in one body are a mistake: each is looked up before anything is done.
const MOST_RESOURCES: usize = 10_000;

/// An identifier as a body names it; `None`: of any level.
fn named(level: Option<Level>, id: &str) -> Named<'_> {
    match level {
        _ if !is_orthanc_id(id) => Named::Malformed,
        Some(level) => Named::Orthanc(level, id.into()),
        None => Named::OrthancOfAnyLevel(id.into()),
    }
}

fn read_level(level: &Value) -> Result<Level, HostError> {
    level.as_str().and_then(Level::parse).ok_or(HostError::BAD_REQUEST)
}

/// Who acts, on what.
struct Actor<'a> {
    identity: &'a Arc<Identity>,
    touched: Vec<Located>,
}

fn allows_all(identity: &Identity, located: &[Located]) -> bool {
    located.iter().all(|resource| decision::allow(&identity.holder(), &facts(resource)).is_ok())
}

#[cfg(test)]
#[path = "bodies_tests.rs"]
mod tests;
