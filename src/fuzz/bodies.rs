//! Bodies, as the server hands them to a REST callback on a thread with a small stack.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::paths::check_reply;
use super::site::{Asker, Line, Outcome, Site, filled, on_host_thread, request_line};
use crate::request::Reply;

static SITE: LazyLock<Site> = LazyLock::new(|| Site::new(false));

/// Members that name resources, in whatever body.
const NAMING: [&str; 8] =
    ["Resources", "Series", "Instances", "Parent", "ParentPatient", "ParentStudy", "ParentSeries", "ID"];

/// Routes of the core that our own searches call.
const SEARCHES: [&str; 3] = ["POST /tools/find", "POST /tools/count-resources", "POST /tools/lookup"];

/// A method and a path in the first line, and the body below: what the core is handed on behalf of somebody limited
/// names nothing foreign, what is answered shows nothing foreign, and no body is deeper than a stack.
pub fn bodies(data: &[u8]) {
    let Some((head, body)) = data.split_at_checked(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()))
    else {
        return;
    };
    let Some(head) = filled(head) else { return };
    let body = body.get(1..).unwrap_or_default();
    // A body need not be UTF-8; where it is, it may name what is in the world.
    let body = filled(body).map_or_else(|| body.to_vec(), String::into_bytes);
    LazyLock::force(&SITE);
    on_host_thread(|| check(&SITE, &head, &body));
    // The server in memory has no reader as frugal as the core's.
    check_unlimited(&SITE, &head, &body);
}

fn check(site: &Site, head: &str, body: &[u8]) {
    let Some(Line { method, path, arguments }) = request_line(head) else { return };
    for asker in [Asker::Limited, Asker::Nobody] {
        let outcome = site.ask(asker, method, path, &arguments, body);
        let Outcome::Answered(reply) = outcome else { continue };
        if path.starts_with("/auth/") {
            check_own(site, &reply, body);
            continue;
        }
        check_reply(site, &reply);
        check_calls(site, asker, method.as_str(), path, body);
    }
}

/// What somebody with all labels sends reaches the core as it is, unless the core would not survive it.
fn check_unlimited(site: &Site, head: &str, body: &[u8]) {
    let Some(Line { method, path, arguments }) = request_line(head) else { return };
    if let Outcome::Answered(Reply::Answer { .. }) = site.ask(Asker::Unlimited, method, path, &arguments, body) {
        for (_, sent) in site.bed.host.calls.lock().iter() {
            assert!(levels(sent.as_bytes()) <= 64, "too deep for the core");
            let given = String::from_utf8_lossy(body);
            assert!(path.starts_with("/auth/") || sent.is_empty() || *sent == given, "{sent} instead of {given}");
        }
    }
}

/// What the core was handed on behalf of somebody limited.
fn check_calls(site: &Site, asker: Asker, method: &str, path: &str, body: &[u8]) {
    let route = format!("{method} {}", path.trim_end_matches('/'));
    for (what, sent) in site.bed.host.calls.lock().iter() {
        if SEARCHES.contains(&what.as_str()) || sent.is_empty() {
            continue;
        }
        assert!(!has_doubled_member(body), "a member appears twice, and yet {what} is handed on");
        // Store takes a text or a list, too.
        let sent: Value = serde_json::from_str(sent).unwrap_or_else(|_| Value::from(sent.as_str()));
        for id in identifiers(&sent) {
            assert!(asker == Asker::Limited && site.allowed.contains(&id), "{what} is handed {id}: {sent}");
        }
        let decoded = crate::testing::decode(what);
        assert!(decoded.starts_with(&route) || decoded.contains("/labels/"), "{what} for {route}");
    }
}

/// A link is made for what is allowed, and a key is no way to have more.
fn check_own(site: &Site, reply: &Reply, body: &[u8]) {
    let Reply::Answer { status: 200, .. } = reply else { return };
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
    for resource in body.get("Resources").and_then(Value::as_array).into_iter().flatten() {
        if let Some(id) = resource.get("OrthancId").and_then(Value::as_str) {
            assert!(!site.foreign.contains(id), "a link to {id}");
        }
    }
    for label in body.get("AuthorizedLabels").and_then(Value::as_array).into_iter().flatten() {
        assert!(label != "*" && label != "int", "a key for {label}");
    }
}

/// All texts in members that name resources, at whatever depth; of what is no object, all.
fn identifiers(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![(value, !value.is_object())];
    while let Some((value, names)) = waiting.pop() {
        match value {
            Value::String(text) if names => found.push(text.clone()),
            Value::Array(list) => waiting.extend(list.iter().map(|one| (one, names))),
            Value::Object(members) => {
                // Tags that are replaced may be called as they like.
                let members = members.iter().filter(|(name, _)| !["UserData", "Replace"].contains(&name.as_str()));
                waiting.extend(members.map(|(name, one)| (one, NAMING.contains(&name.as_str()))));
            }
            _ => {}
        }
    }
    found
}

/// Whether an object that is JSON as a whole has a member twice at its top.
fn has_doubled_member(json: &[u8]) -> bool {
    struct Names(BTreeMap<String, usize>);
    impl<'de> Deserialize<'de> for Names {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Collect;
            impl<'de> Visitor<'de> for Collect {
                type Value = Names;
                fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    formatter.write_str("an object")
                }
                fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Names, A::Error> {
                    let mut names = BTreeMap::new();
                    while let Some(name) = members.next_key::<String>()? {
                        members.next_value::<IgnoredAny>()?;
                        *names.entry(name).or_default() += 1;
                    }
                    Ok(Names(names))
                }
            }
            deserializer.deserialize_map(Collect)
        }
    }
    serde_json::from_slice::<Names>(json).is_ok_and(|Names(names)| names.values().any(|count| *count > 1))
}

/// How deep a reader goes down that takes comments, as the core's does: counted anew, by a stack of brackets.
fn levels(json: &[u8]) -> usize {
    let (mut open, mut deepest, mut at) = (Vec::new(), 0, 0);
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => {
                while let Some(byte) = json.get(at).filter(|byte| **byte != b'"') {
                    at += 1 + usize::from(*byte == b'\\');
                }
                at += 1;
            }
            b'/' if json.get(at) == Some(&b'*') => {
                let end = json[at + 1..].windows(2).position(|pair| pair == b"*/");
                at = end.map_or(json.len(), |end| at + 1 + end + 2);
            }
            b'/' if json.get(at) == Some(&b'/') => {
                at =
                    json[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r')).map_or(json.len(), |end| at + end);
            }
            b'[' | b'{' => {
                open.push(*byte);
                deepest = deepest.max(open.len());
            }
            b']' | b'}' => drop(open.pop()),
            _ => {}
        }
    }
    deepest
}
