//! Answers of the core with what the asker may not know taken out: labels, a patient's other studies, lookups.

use serde_json::{Map, Value, json};

use super::core_call::{self, pass_on};
use super::deletion::deleting;
use super::pieces::{self, Sight};
use super::{Context, Scope};
use crate::host::{HostError, Method};
use crate::json::pretty;
use crate::pieces::Pieces;
use crate::policy::rights::Labels;
use crate::request::{Reply, Request, RestRequest};
use crate::resource::{Level, Located, Named};
use crate::route::tags;

/// `/{level}/{id}` and the relations below it.
pub fn resource(
    context: &Context<'_>,
    call: &RestRequest<'_>,
    scope: &Scope,
    level: Level,
    id: &str,
) -> Result<Reply, HostError> {
    if matches!(scope, Scope::All) || call.request.method != Method::Get {
        return pass_on(context.host, call);
    }
    let pieces = scope.pieces(context);
    if !pieces.is_empty() {
        return resource_with_pieces(context, call, scope, &pieces, (level, id));
    }
    guard(context, scope, level, id)?;
    guard_parent(context, scope, level, id, &call.request)?;
    refuse_tags_of_images(call)?;
    let reply = filtered(context, call, scope)?;
    if level == Level::Patient {
        // Whatever came while the core put together what the patient has.
        guard(context, scope, level, id)?;
    }
    Ok(reply)
}

/// The same for somebody who sees studies in part: the rest is taken out, and not read from either.
fn resource_with_pieces(
    context: &Context<'_>,
    call: &RestRequest<'_>,
    scope: &Scope,
    pieces: &Pieces,
    (level, id): (Level, &str),
) -> Result<Reply, HostError> {
    let named = Named::Orthanc(level, id.into());
    let relation = call.request.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let shown = match relation {
        "patient" => Level::Patient,
        "study" | "studies" => Level::Study,
        "series" => Level::Series,
        "instances" => Level::Instance,
        _ => level,
    };
    let sight = scope.sight(context, pieces, &named);
    let studies = context.gate.resources.locate(&named).unwrap_or_default();
    let is_whole = |inner: &Located| scope.allows(&Located::whole(inner.study.clone()));
    let sees_studies = !studies.is_empty() && studies.iter().all(is_whole);
    // Upwards from a piece no further than to its study.
    if sight == Sight::None || (shown == Level::Patient && !sees_studies) {
        return Err(HostError::FORBIDDEN);
    }
    refuse_tags_of_images(call)?;
    if !sees_studies {
        let mut wanted = call.request.arguments.iter().filter(|(name, _)| wants_tags(name));
        // What lies in a piece has tags of its own; what is around it is counted, or read from some other image.
        let may = |tags: &str| {
            shown >= level && sight == Sight::Whole && !tags.split(';').any(|tag| tags::is_computed(tag.trim()))
        };
        if !wanted.all(|(_, tags)| may(tags)) {
            log::info!("tags of a study's other images are refused to the holder of a link to a part of it");
            return Err(HostError::FORBIDDEN);
        }
    }
    let labels = scope.labels();
    let mut is_there = true;
    let reply = reply_with(pass_on(context.host, &plain(call))?, |answer| {
        strip(context, scope, &labels, answer);
        is_there = shown == Level::Patient || pieces::keep(context, scope, pieces, shown, answer);
        true
    })?;
    if is_there { Ok(reply) } else { Err(HostError::FORBIDDEN) }
}

/// Any tag of a patient but its own is read from some image of the patient, of whatever study.
fn refuse_tags_of_images(call: &RestRequest<'_>) -> Result<(), HostError> {
    if call.request.path.trim_end_matches('/').ends_with("/patient")
        && call.request.arguments.iter().any(|(name, value)| wants_tags(name) && !tags::names_only_patient_tags(value))
    {
        log::info!("tags of a patient's images are refused to somebody who does not hold all labels");
        return Err(HostError::FORBIDDEN);
    }
    Ok(())
}

fn wants_tags(argument: &str) -> bool {
    ["requestedTags", "requested-tags"].iter().any(|wanted| argument.eq_ignore_ascii_case(wanted))
}

/// `/{level}/{id}/labels` and `/{level}/{id}/labels/{label}`.
pub fn resource_labels(
    context: &Context<'_>,
    call: &RestRequest<'_>,
    scope: &Scope,
    (level, id): (Level, &str),
    label: Option<&str>,
) -> Result<Reply, HostError> {
    if !matches!(scope, Scope::All) {
        match call.request.method {
            Method::Get => guard(context, scope, level, id)?,
            _ => guard_change(context, scope, level, id, label)?,
        }
        // A foreign label is not there, whether it is or not.
        if label.is_some_and(|label| !scope.labels().show(label)) {
            let missing = call.request.method == Method::Get;
            return Err(if missing { HostError::UNKNOWN_RESOURCE } else { HostError::FORBIDDEN });
        }
    }
    if call.request.method != Method::Get {
        let answer = pass_on(context.host, call);
        // Also after a failure: it may have been one half way.
        context.gate.resources.labels_changed();
        return answer;
    }
    let reply = pass_on(context.host, call)?;
    match (scope, label) {
        (Scope::Limited(_), None) => reply_with(reply, |labels| keep_labels(labels, &scope.labels())),
        _ => Ok(reply),
    }
}

/// GET `/tools/labels`.
pub fn labels(context: &Context<'_>, call: &RestRequest<'_>, scope: &Scope) -> Result<Reply, HostError> {
    match scope {
        Scope::All => pass_on(context.host, call),
        Scope::Limited(_) => reply_with(pass_on(context.host, &plain(call))?, |all| keep_labels(all, &scope.labels())),
    }
}

/// POST `/tools/lookup`: only resources that may be seen; a patient only if all its studies may.
pub fn lookup(context: &Context<'_>, call: &RestRequest<'_>, scope: &Scope) -> Result<Reply, HostError> {
    if matches!(scope, Scope::All) {
        return pass_on(context.host, call);
    }
    // The route is open to strangers, and costs the core a walk through all tags that it keeps.
    if scope.is_empty() && call.request.method == Method::Post {
        return Ok(core_call::json(pretty(&json!([]))));
    }
    let pieces = scope.pieces(context);
    reply_with(pass_on(context.host, &plain(call))?, |hits| {
        keep(hits, |hit| {
            let text = |member| hit.get(member).and_then(Value::as_str);
            match (text("Type").and_then(Level::parse), text("ID")) {
                (Some(level), Some(id)) => {
                    scope.sight(context, &pieces, &Named::Orthanc(level, id.into())) != Sight::None
                }
                _ => false,
            }
        })
    })
}

/// DELETE `/{level}/{id}`. The core's answer to a plugin's DELETE is not handed out, so what it would say is found out:
/// the closest ancestor that is left.
///
/// To somebody limited, an ancestor that is left only because of foreign studies is gone: that there are such is not
/// theirs to know.
pub fn delete(
    context: &Context<'_>,
    call: &RestRequest<'_>,
    scope: &Scope,
    level: Level,
    id: &str,
) -> Result<Reply, HostError> {
    guard_change(context, scope, level, id, None)?;
    let ancestors = ancestors(context, level, id)?;
    deleting(context, Some(level), &[id], || pass_on(context.host, call))?;
    context.gate.resources.labels_changed();
    if let Some(deletions) = context.deletions {
        for (_, ancestor) in &ancestors {
            deletions.deleted(ancestor, || context.gate.resources.is_there(ancestor));
        }
    }
    let left = ancestors.into_iter().find(|(level, id)| {
        let is_there = || context.host.get(&format!("/{}/{id}", level.plural())).is_ok();
        let may_be_known = || match scope {
            Scope::All => true,
            Scope::Limited(_) => {
                let left = context.gate.resources.locate(&Named::Orthanc(*level, id.as_str().into()));
                left.is_ok_and(|studies| studies.iter().any(|study| scope.allows(study)))
            }
        };
        is_there() && may_be_known()
    });
    let left = match left {
        Some((level, id)) => {
            let path = format!("/{}/{id}", level.plural());
            let name = ["Patient", "Study", "Series", "Instance"].get(level as usize).copied().unwrap_or_default();
            json!({"ID": id, "Path": path, "Type": name})
        }
        None => Value::Null,
    };
    Ok(core_call::json(pretty(&json!({"RemainingAncestor": left}))))
}

fn ancestors(context: &Context<'_>, level: Level, id: &str) -> Result<Vec<(Level, String)>, HostError> {
    let mut found = Vec::new();
    let (mut level, mut id) = (level, id.to_owned());
    loop {
        let description: Value = crate::host::read_answer(&context.host.get(&format!("/{}/{id}", level.plural()))?)?;
        let (Some(parent), Some(member)) = (level.parent(), level.parent_member()) else { return Ok(found) };
        let Some(parent_id) = description.get(member).and_then(Value::as_str) else { return Ok(found) };
        found.push((parent, parent_id.to_owned()));
        (level, id) = (parent, parent_id.to_owned());
    }
}

/// The filter looked at the path of an HTTP request. A plugin that calls on its behalf may name anything.
fn guard(context: &Context<'_>, scope: &Scope, level: Level, id: &str) -> Result<(), HostError> {
    if scope.allows_named(&context.gate.resources, &Named::Orthanc(level, id.into())) {
        Ok(())
    } else {
        Err(HostError::FORBIDDEN)
    }
}

/// The same for what changes it, or this label of it.
fn guard_change(
    context: &Context<'_>,
    scope: &Scope,
    level: Level,
    id: &str,
    label: Option<&str>,
) -> Result<(), HostError> {
    if scope.may_change(&context.gate.resources, &Named::Orthanc(level, id.into()), label) {
        Ok(())
    } else {
        Err(HostError::FORBIDDEN)
    }
}

/// A relation upwards shows the parent: whoever may see a series only, through a link, may not see its study.
fn guard_parent(
    context: &Context<'_>,
    scope: &Scope,
    level: Level,
    id: &str,
    request: &Request<'_>,
) -> Result<(), HostError> {
    let parent = match request.path.trim_end_matches('/').rsplit('/').next() {
        Some("patient" | "study") => Level::Study,
        Some("series") if level == Level::Instance => Level::Series,
        _ => return Ok(()),
    };
    // What cannot be looked up now is not shown, whatever it was a moment ago.
    let mut located =
        context.gate.resources.locate(&Named::Orthanc(level, id.into())).map_err(|_| HostError::FORBIDDEN)?;
    for resource in &mut located {
        resource.instance = None;
        if parent == Level::Study {
            resource.series = None;
        }
    }
    if scope.allows_all(&located) { Ok(()) } else { Err(HostError::FORBIDDEN) }
}

fn filtered(context: &Context<'_>, call: &RestRequest<'_>, scope: &Scope) -> Result<Reply, HostError> {
    let labels = scope.labels();
    reply_with(pass_on(context.host, &plain(call))?, |answer| strip(context, scope, &labels, answer))
}

/// The same call without the wish for XML: we read JSON.
pub(super) fn plain<'a>(call: &RestRequest<'a>) -> RestRequest<'a> {
    let mut plain = call.clone();
    plain.request.headers.retain(|(name, _)| *name != "accept");
    plain
}

/// Takes out of one description of a resource, or of a list of them, what may not be known. Says whether it took
/// anything out.
pub fn strip(context: &Context<'_>, scope: &Scope, labels: &Labels, answer: &mut Value) -> bool {
    match answer {
        Value::Array(list) => {
            list.iter_mut().fold(false, |changed, element| strip(context, scope, labels, element) | changed)
        }
        Value::Object(description) => strip_one(context, scope, labels, description),
        _ => false,
    }
}

/// The same for each answer of a search.
pub(super) fn strip_each(context: &Context<'_>, scope: &Scope, answers: &mut [Value]) {
    let labels = scope.labels();
    for answer in answers {
        strip(context, scope, &labels, answer);
    }
}

fn strip_one(context: &Context<'_>, scope: &Scope, labels: &Labels, description: &mut Map<String, Value>) -> bool {
    let mut changed = description.get_mut("Labels").is_some_and(|shown| keep_labels(shown, labels));
    // What is attached to a patient is of all its studies.
    let text = |member| description.get(member).and_then(Value::as_str);
    if text("Type").and_then(Level::parse) == Some(Level::Patient) {
        let id = text("ID").unwrap_or_default().to_owned();
        let patient = Named::Orthanc(Level::Patient, id.as_str().into());
        if !scope.allows_named(&context.gate.resources, &patient) {
            changed = true;
            for (member, nothing) in [("Metadata", json!({})), ("Attachments", json!([]))] {
                if let Some(attached) = description.get_mut(member) {
                    *attached = nothing;
                }
            }
            // Some of the metadata stands beside, too: when something last came in, and where it comes from.
            for member in ["LastUpdate", "IsStable", "IsProtected", "AnonymizedFrom", "ModifiedFrom"] {
                description.remove(member);
            }
            tell_as_own(context, scope, &patient, description);
        }
    }
    // A patient's description lists all its studies.
    let is_own = |study: &Value| {
        let allows = |id: &str| scope.allows_named(&context.gate.resources, &Named::Orthanc(Level::Study, id.into()));
        study.as_str().is_some_and(allows)
    };
    if let Some(studies) = description.get_mut("Studies") {
        changed |= keep(studies, is_own);
    }
    changed
}

/// Puts what an allowed study says of the patient in the place of what the server keeps for all studies of the patient,
/// which is what the first of them said: of whoever brings in a study, none but the PatientID has to be known.
fn tell_as_own(context: &Context<'_>, scope: &Scope, patient: &Named<'_>, description: &mut Map<String, Value>) {
    let studies = context.gate.resources.locate(patient).unwrap_or_default();
    let own = studies.iter().filter(|study| scope.allows(study)).map(|study| &study.study.id).min();
    for member in ["MainDicomTags", "RequestedTags"] {
        let Some(told) = description.get_mut(member).and_then(Value::as_object_mut) else { continue };
        // The tags are written in one of three ways.
        let format = match told.iter().next() {
            Some((_, Value::Object(_))) => "?full",
            Some((tag, _)) if tag.contains(',') => "?short",
            _ => "",
        };
        let study = own.and_then(|id| context.host.get(&format!("/studies/{id}{format}")).ok());
        let study: Option<Value> = study.and_then(|study| crate::json::from_slice(&study).ok());
        let tags = study.as_ref().and_then(|study| study.get("PatientMainDicomTags")).and_then(Value::as_object);
        let tags = tags.cloned().unwrap_or_default();
        if member == "MainDicomTags" {
            *told = tags;
        } else {
            *told = tags.into_iter().filter(|(tag, _)| told.contains_key(tag)).collect();
        }
    }
}

fn keep_labels(list: &mut Value, own: &Labels) -> bool {
    keep(list, |label| label.as_str().is_some_and(|label| own.show(label)))
}

/// Keeps some of a list; what is no list becomes an empty one. Says whether it took anything out.
fn keep(list: &mut Value, is_kept: impl FnMut(&Value) -> bool) -> bool {
    let Value::Array(list) = list else {
        *list = json!([]);
        return true;
    };
    let before = list.len();
    list.retain(is_kept);
    list.len() != before
}

/// A JSON answer with something taken out.
fn reply_with(reply: Reply, take_out: impl FnOnce(&mut Value) -> bool) -> Result<Reply, HostError> {
    let Reply::Answer { body, .. } = reply else { return Ok(reply) };
    Ok(core_call::json(body_with(body, take_out)?))
}

/// The core's answer with something taken out; as the core wrote it when `take_out` says that there was nothing. What is
/// no JSON is not handed on.
pub(super) fn body_with(body: Vec<u8>, take_out: impl FnOnce(&mut Value) -> bool) -> Result<Vec<u8>, HostError> {
    let mut answer: Value = crate::host::read_answer(&body)?;
    Ok(if take_out(&mut answer) { pretty(&answer) } else { body })
}
