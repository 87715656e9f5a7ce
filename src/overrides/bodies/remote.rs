//! Sending to other systems and asking them, for somebody limited: only what they may see leaves, what they asked is
//! theirs, and nothing is brought into a study that is here and not theirs.

use serde_json::{Map, Value};

use super::Asked;
use super::this_server::is_this_server;
use crate::host::HostError;
use crate::identity::Identity;
use crate::json::Unique;
use crate::overrides::core_call;
use crate::request::Reply;
use crate::resource::{Level, Named};
use crate::route::{Owned, is_orthanc_id, is_uid};

/// Members of a C-STORE. `Host`, `Port`, `CalledAet`, `LocalAet` and `MoveOriginator…` are left out: where the server
/// connects to, and as whom, is the site's to say.
pub(super) const TO_MODALITY: &[&str] =
    &["Resources", "Asynchronous", "Permissive", "Priority", "StorageCommitment", "Synchronous", "Timeout", "UserData"];

/// Members of a transfer to another Orthanc.
pub(super) const TO_PEER: &[&str] =
    &["Resources", "Asynchronous", "Compress", "Permissive", "Priority", "Synchronous", "Transcode", "UserData"];

/// `/modalities/{name}/store` and `/peers/{name}/store`. The body is an identifier, as text or JSON, a list, or an
/// object with `Resources`.
pub(super) fn store(asked: &Asked<'_>, members: &[&str]) -> Result<Reply, HostError> {
    let text = std::str::from_utf8(asked.call.body).map(str::trim).unwrap_or_default();
    let body = if is_orthanc_id(text) {
        Value::from(text)
    } else {
        match crate::json::from_slice(asked.call.body) {
            Ok(Unique(body)) => body,
            Err(_) => return Err(HostError::BAD_REQUEST),
        }
    };
    let body = match body {
        Value::String(id) => wrapped(Value::Array(vec![id.into()])),
        list @ Value::Array(_) => wrapped(list),
        Value::Object(body) => body,
        _ => return Err(HostError::BAD_REQUEST),
    };
    let body = asked.known(body, members)?;
    let actor = asked.act(&asked.resources(&body, "Resources")?)?;
    Ok(asked.answer(actor.identity, asked.send(&body)?))
}

fn wrapped(resources: Value) -> Map<String, Value> {
    [("Resources".to_owned(), resources)].into_iter().collect()
}

/// `/modalities/{name}/query`: names nothing of this server; the query is the asker's.
pub(super) fn ask(asked: &Asked<'_>, modality: &str) -> Result<Reply, HostError> {
    let body = asked.body(&["Level", "Normalize", "Query", "Timeout"])?;
    let actor = asked.act(&[])?;
    if is_this_server(asked, modality)? {
        return Err(asked.refuse("the modality is this server itself, whose DICOM port knows no labels"));
    }
    Ok(asked.answer(actor.identity, asked.send(&body)?))
}

/// `/queries/{id}/answers/{index}/query-{level}`.
pub(super) fn ask_further(asked: &Asked<'_>, query: &str) -> Result<Reply, HostError> {
    let identity = owner(asked, query)?;
    let body = asked.body(&["Query", "Timeout"])?;
    Ok(asked.answer(identity, asked.send(&body)?))
}

/// `/queries/{id}/retrieve` and that of one answer.
pub(super) fn retrieve(asked: &Asked<'_>, query: &str, index: Option<&str>) -> Result<Reply, HostError> {
    let identity = owner(asked, query)?;
    let text = std::str::from_utf8(asked.call.body).unwrap_or("\0").trim();
    // An application entity title is a word that is no JSON, as most are; the number of all others is small.
    let is_title = text.len() <= 16
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_- .".contains(&byte))
        && serde_json::from_str::<Value>(text).is_err();
    let body = if is_title {
        text.as_bytes().to_vec()
    } else {
        let body = asked.body(&[
            "Asynchronous",
            "Full",
            "Permissive",
            "Priority",
            "RetrieveMethod",
            "Short",
            "Simplify",
            "Synchronous",
            "TargetAet",
            "Timeout",
            "UserData",
        ])?;
        serde_json::to_vec(&body).map_err(|_| HostError::PLUGIN)?
    };
    check_answers(asked, identity, query, index)?;
    let sent = asked.context.host.post(&core_call::uri(&asked.call.request, asked.context.host.version()), &body)?;
    Ok(asked.answer(identity, sent))
}

/// What another system would send belongs to a study that is not here, or that is allowed.
fn check_answers(asked: &Asked<'_>, identity: &Identity, query: &str, index: Option<&str>) -> Result<(), HostError> {
    let host = asked.context.host;
    let answers = match index {
        Some(index) if index.len() <= 9 && index.bytes().all(|byte| byte.is_ascii_digit()) => {
            host.get(&format!("/queries/{query}/answers/{index}/content?simplify"))?
        }
        Some(_) => return Err(HostError::UNKNOWN_RESOURCE),
        None => host.get(&format!("/queries/{query}/answers?expand&simplify"))?,
    };
    let answers: Value = crate::host::read_answer(&answers)?;
    let answers = match answers {
        Value::Array(answers) => answers,
        one => vec![one],
    };
    for answer in &answers {
        // The core asks for what the answer names at this level: for a patient, all studies, whichever the answer tells of.
        let level = answer.get("QueryRetrieveLevel").and_then(Value::as_str).map(str::trim).unwrap_or_default();
        if !["STUDY", "SERIES", "IMAGE"].contains(&level) {
            return Err(asked.refuse("an answer to the query is not of one study: ask at level Study or below"));
        }
        let uid = answer.get("StudyInstanceUID").and_then(Value::as_str).map(str::trim).filter(|uid| is_uid(uid));
        let Some(uid) = uid else {
            return Err(asked.refuse("an answer to the query does not say which study it belongs to"));
        };
        let resources = &asked.context.gate.resources;
        let known = resources.with_uid(Level::Study, uid);
        let is_new = known.as_ref().is_ok_and(|known| known.is_empty());
        if !is_new && !asked.may_touch(identity, &[Named::Uid(Level::Study, uid.into())]) {
            return Err(
                asked.refuse("an answer to the query is of a study that is here, outside the authorized labels")
            );
        }
    }
    Ok(())
}

/// The filter looked at the path of an HTTP request. A plugin that calls on its behalf may name anything.
fn owner<'a>(asked: &'a Asked<'_>, query: &str) -> Result<&'a Identity, HostError> {
    let owns =
        |identity: &&'a std::sync::Arc<Identity>| asked.context.gate.ownership.owns(Owned::Query, query, identity);
    match asked.identities.iter().find(owns) {
        Some(identity) => Ok(identity),
        None => Err(asked.refuse("the query is not their own")),
    }
}
