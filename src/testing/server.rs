//! A server in memory. It knows of the REST API what this library asks of it, written from Orthanc's documentation and not
//! from the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::world::{FakeNode, FakeStudy, id, nodes, uid};
use crate::host::{CoreAnswer, Host, HostError, HostVersion, Method};
use crate::resource::Level;

type Hook = Box<dyn FnOnce() + Send>;

/// A server in memory.
#[derive(Default)]
pub struct FakeHost {
    pub studies: Mutex<Vec<FakeStudy>>,
    /// What was asked: method and path, and the body.
    pub calls: Mutex<Vec<(String, String)>>,
    /// Every call fails in this way.
    pub failure: Mutex<Option<HostError>>,
    /// So many calls from now, one fails.
    pub fails_at: Mutex<Option<usize>>,
    /// What it stored anew, as changes from number 1 on.
    pub changes: Mutex<Vec<String>>,
    /// Its list of changes says that it goes on where it does not.
    pub never_done: Mutex<bool>,
    /// What the index keeps for plugins.
    pub properties: Mutex<BTreeMap<i32, String>>,
    /// Paths for which the server calls another plugin before ours.
    pub taken: Mutex<Vec<String>>,
    /// Called once, after the next answer was made and before it is given.
    pub meanwhile: Mutex<Option<Hook>>,
}

impl FakeHost {
    pub fn new(studies: Vec<FakeStudy>) -> Arc<Self> {
        Arc::new(Self { studies: Mutex::new(studies), ..Self::default() })
    }

    /// Labels of a study by its name, as if another server of the same database had changed them.
    pub fn set_labels(&self, name: &str, labels: &[&str]) {
        let mut studies = self.studies.lock();
        let study = studies.iter_mut().find(|study| study.name == name).unwrap();
        study.labels = labels.iter().map(|label| (*label).to_owned()).collect();
    }

    pub fn count(&self, call: &str) -> usize {
        self.calls.lock().iter().filter(|(what, _)| what == call).count()
    }

    fn answer(&self, method: Method, uri: &str, body: &[u8]) -> Result<Vec<u8>, HostError> {
        self.calls.lock().push((format!("{} {uri}", method.as_str()), String::from_utf8_lossy(body).into_owned()));
        if let Some(failure) = *self.failure.lock() {
            return Err(failure);
        }
        let mut fails_at = self.fails_at.lock();
        *fails_at = match *fails_at {
            Some(0) => {
                *fails_at = None;
                return Err(HostError::PLUGIN);
            }
            left => left.map(|left| left - 1),
        };
        drop(fails_at);
        let answer = self.core(method, uri, body);
        let hook = self.meanwhile.lock().take();
        if let Some(hook) = hook {
            hook();
        }
        answer
    }

    fn core(&self, method: Method, uri: &str, body: &[u8]) -> Result<Vec<u8>, HostError> {
        let (path, arguments) = uri.split_once('?').unwrap_or((uri, ""));
        let path = decode(path);
        let mut studies = self.studies.lock();
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        if let ["tools", tool] = segments[..] {
            let answer = match (method, tool) {
                (Method::Post, "find") => Value::Array(find(&studies, body)?),
                (Method::Post, "count-resources") => json!({"Count": count(&studies, body)?}),
                (Method::Post, "lookup") => lookup(&studies, &String::from_utf8_lossy(body)),
                (Method::Post, "bulk-delete") => {
                    let body: Value = serde_json::from_slice(body).map_err(|_| HostError::BAD_REQUEST)?;
                    let ids = body["Resources"].as_array().ok_or(HostError::BAD_REQUEST)?;
                    studies.retain(|study| !ids.contains(&json!(id(&study.name))));
                    json!({})
                }
                (Method::Get, "labels") => {
                    json!(studies.iter().flat_map(|study| &study.labels).collect::<BTreeSet<_>>())
                }
                _ => return Err(HostError::UNKNOWN_RESOURCE),
            };
            return Ok(answer.to_string().into_bytes());
        }
        if let (Method::Get, ["changes"]) = (method, &segments[..]) {
            return changes(&self.changes.lock(), arguments, *self.never_done.lock());
        }
        let [level, resource, ref rest @ ..] = segments[..] else { return Err(HostError::UNKNOWN_RESOURCE) };
        let all = nodes(&studies);
        let node = all.iter().find(|node| node.level.plural() == level && node.id == resource);
        let node = node.ok_or(HostError::UNKNOWN_RESOURCE)?;
        let own = |node: &FakeNode, studies: &mut Vec<FakeStudy>| {
            (node.level == Level::Study)
                .then(|| studies.iter().position(|study| id(&study.name) == node.id))
                .flatten()
                .ok_or(HostError::BAD_REQUEST)
        };
        let answer = match (method, rest) {
            (Method::Get, []) => describe(node),
            (Method::Get, ["labels"]) => json!(node.labels),
            (Method::Get, ["labels", label]) if node.labels.contains(*label) => return Ok(Vec::new()),
            (Method::Put, ["labels", label]) => {
                let at = own(node, &mut studies)?;
                studies[at].labels.insert((*label).to_owned());
                return Ok(Vec::new());
            }
            (Method::Delete, ["labels", label]) => {
                let at = own(node, &mut studies)?;
                studies[at].labels.remove(*label);
                return Ok(Vec::new());
            }
            (Method::Delete, []) => {
                let gone: Vec<String> = node.studies.iter().map(|study| study.name.clone()).collect();
                match node.level {
                    Level::Patient | Level::Study => studies.retain(|study| !gone.contains(&study.name)),
                    _ => {
                        let series = if node.level == Level::Series { node.id.clone() } else { node.parent.clone() };
                        studies.iter_mut().for_each(|study| study.series.retain(|name| id(name) != series));
                        studies.retain(|study| !study.series.is_empty());
                    }
                }
                return Ok(Vec::new());
            }
            (Method::Get, ["labels", _]) => return Err(HostError::UNKNOWN_RESOURCE),
            (Method::Get, [relation]) => {
                let related = |wanted: Level| -> Vec<&FakeNode> {
                    all.iter()
                        .filter(|other| {
                            other.level == wanted && (is_within(other, node, &all) || is_within(node, other, &all))
                        })
                        .collect()
                };
                match *relation {
                    "patient" => describe(related(Level::Patient)[0]),
                    "study" => describe(related(Level::Study)[0]),
                    "studies" => related(Level::Study).into_iter().map(describe).collect(),
                    // Orthanc has both `/series/{id}/…` and `/instances/{id}/series`, which is one.
                    "series" if node.level == Level::Instance => describe(related(Level::Series)[0]),
                    "series" => related(Level::Series).into_iter().map(describe).collect(),
                    "instances" if arguments == "expand=false" => {
                        related(Level::Instance).into_iter().map(|instance| json!(instance.id)).collect()
                    }
                    "instances" => related(Level::Instance).into_iter().map(describe).collect(),
                    other => json!({"Content": other, "Canaries": canaries(node)}),
                }
            }
            _ => return Err(HostError::UNKNOWN_RESOURCE),
        };
        Ok(answer.to_string().into_bytes())
    }
}

/// What stands in every answer about a study, so that a leak shows.
pub fn canary(study: &str) -> String {
    format!("canary-{study}-end")
}

fn canaries(node: &FakeNode) -> Vec<String> {
    node.studies.iter().map(|study| canary(&study.name)).collect()
}

fn is_within(inner: &FakeNode, outer: &FakeNode, all: &[FakeNode]) -> bool {
    inner.id == outer.id
        || all.iter().find(|node| node.id == inner.parent).is_some_and(|parent| is_within(parent, outer, all))
}

fn describe(node: &FakeNode) -> Value {
    let mut description = json!({"ID": node.id, "Labels": node.labels, "MainDicomTags": {}});
    let (tag, name) = match node.level {
        Level::Patient => ("PatientID", "Patient"),
        Level::Study => ("StudyInstanceUID", "Study"),
        Level::Series => ("SeriesInstanceUID", "Series"),
        Level::Instance => ("SOPInstanceUID", "Instance"),
    };
    description["Type"] = json!(name);
    description["MainDicomTags"][tag] = json!(node.uid);
    if node.level == Level::Patient {
        // A patient is shown to whoever may see one of the studies, so the canary stands for none of them.
        description["Studies"] = node.studies.iter().map(|study| id(&study.name)).collect();
    } else {
        description["MainDicomTags"]["Description"] = json!(canaries(node).concat());
    }
    if let Some(member) = node.level.parent_member() {
        description[member] = json!(node.parent);
    }
    if node.level == Level::Series {
        let own = node.studies[0].series.iter().filter(|series| id(series) == node.id);
        description["Instances"] = own.map(|series| id(&format!("{series}1"))).collect();
    }
    if node.level == Level::Study {
        description["PatientMainDicomTags"] = json!({"PatientID": uid(&node.studies[0].patient)});
        description["Series"] = node.studies[0].series.iter().map(|series| id(series)).collect();
    }
    description
}

fn lookup(studies: &[FakeStudy], text: &str) -> Value {
    let hit = |node: &FakeNode| {
        let description = describe(node);
        json!({"Type": description["Type"], "ID": node.id, "Path": format!("/{}/{}", node.level.plural(), node.id)})
    };
    nodes(studies).iter().filter(|node| node.uid == text).map(hit).collect()
}

/// Whatever the page; nothing that is case-sensitive.
fn count(studies: &[FakeStudy], body: &[u8]) -> Result<usize, HostError> {
    let mut query: Map<String, Value> = serde_json::from_slice(body).map_err(|_| HostError::BAD_REQUEST)?;
    if query.get("CaseSensitive") == Some(&json!(true)) {
        return Err(HostError::BAD_REQUEST);
    }
    query.retain(|member, _| !["Since", "Limit"].contains(&member.as_str()));
    Ok(find(studies, Value::Object(query).to_string().as_bytes())?.len())
}

fn find(studies: &[FakeStudy], body: &[u8]) -> Result<Vec<Value>, HostError> {
    let query: Value = serde_json::from_slice(body).map_err(|_| HostError::BAD_REQUEST)?;
    let level = match query["Level"].as_str().unwrap_or_default().to_ascii_lowercase().as_str() {
        "patient" | "patients" => Level::Patient,
        "study" | "studies" => Level::Study,
        "series" => Level::Series,
        "instance" | "instances" => Level::Instance,
        _ => return Err(HostError::BAD_REQUEST),
    };
    let all = nodes(studies);
    let labels: Vec<&str> = query["Labels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let by_labels = |node: &FakeNode| {
        let mut carried = labels.iter().map(|label| node.labels.contains(*label));
        match query["LabelsConstraint"].as_str().unwrap_or("All") {
            // Since 1.12.11.
            "None" if labels.is_empty() => node.labels.is_empty(),
            _ if labels.is_empty() => true,
            "Any" => carried.any(|carries| carries),
            "None" => !carried.any(|carries| carries),
            _ => carried.all(|carries| carries),
        }
    };
    let below = |node: &FakeNode, member: &str| {
        let parent = query[member].as_str();
        parent.is_none_or(|id| all.iter().any(|outer| outer.id == id && is_within(node, outer, &all)))
    };
    let by_tags = |node: &FakeNode| {
        let tags = query["Query"].as_object().into_iter().flatten();
        tags.into_iter().all(|(tag, value)| {
            let value = value.as_str().unwrap_or_default();
            // The elements of a list are compared as they are, wildcards too.
            let fits = |text: &str| match value.contains('\\') {
                true => value.split('\\').any(|one| one == text),
                false => value.is_empty() || wildcard(value.as_bytes(), text.as_bytes()),
            };
            match tag.as_str() {
                "StudyInstanceUID" | "0020,000d" | "0020-000D" | "0020000d" => {
                    node.studies.iter().any(|study| fits(&uid(&study.twin)))
                }
                "PatientID" | "0010,0020" | "0010-0020" | "00100020" => fits(&uid(&node.studies[0].patient)),
                "SeriesInstanceUID" | "0020,000e" => node.level < Level::Series || fits(&node.uid),
                _ => true,
            }
        })
    };
    let found = all.iter().filter(|node| {
        node.level == level
            && by_labels(node)
            && ["ParentPatient", "ParentStudy", "ParentSeries"].iter().all(|member| below(node, member))
            && by_tags(node)
    });
    let number = |member: &str| query[member].as_u64().unwrap_or(0) as usize;
    // The core reads integers of 32 bits.
    if number("Limit") > u32::MAX as usize {
        return Err(HostError::BAD_REQUEST);
    }
    let limit = if number("Limit") == 0 { usize::MAX } else { number("Limit") };
    let expand = query["Expand"] == json!(true);
    let shown = found.skip(number("Since")).take(limit);
    Ok(shown.map(|node| if expand { describe(node) } else { json!(node.id) }).collect())
}

fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => wildcard(rest, text) || (!text.is_empty() && wildcard(pattern, &text[1..])),
        (Some((b'?', rest)), Some((_, after))) => wildcard(rest, after),
        (Some((one, rest)), Some((other, after))) => one == other && wildcard(rest, after),
        _ => false,
    }
}

/// Percent-decoding, written anew.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match hex {
            Some(byte) if bytes[at] == b'%' => {
                decoded.push(byte);
                at += 3;
            }
            _ => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

impl Host for FakeHost {
    fn version(&self) -> HostVersion {
        HostVersion::new(1, 13, 0)
    }
    fn get(&self, uri: &str) -> Result<Vec<u8>, HostError> {
        self.answer(Method::Get, uri, b"")
    }
    fn post(&self, uri: &str, body: &[u8]) -> Result<Vec<u8>, HostError> {
        self.answer(Method::Post, uri, body)
    }
    fn put(&self, uri: &str, body: &[u8]) -> Result<Vec<u8>, HostError> {
        self.answer(Method::Put, uri, body)
    }
    fn delete(&self, uri: &str) -> Result<(), HostError> {
        self.answer(Method::Delete, uri, b"").map(drop)
    }
    fn call(&self, method: Method, uri: &str, _headers: &[(&str, &str)], body: &[u8]) -> Result<CoreAnswer, HostError> {
        Ok(CoreAnswer { status: 200, headers: Vec::new(), body: self.answer(method, uri, body)? })
    }
    fn calls_us(&self, path: &str) -> bool {
        !self.taken.lock().iter().any(|taken| taken == path)
    }
    fn property(&self, number: i32) -> Result<String, HostError> {
        if let Some(failure) = *self.failure.lock() {
            return Err(failure);
        }
        let kept = self.properties.lock().get(&number).cloned().unwrap_or_default();
        let hook = self.meanwhile.lock().take();
        if let Some(hook) = hook {
            hook();
        }
        Ok(kept)
    }
    fn keep_property(&self, number: i32, text: &str) -> Result<(), HostError> {
        self.properties.lock().insert(number, text.to_owned());
        Ok(())
    }
}

fn changes(all: &[String], arguments: &str, never_done: bool) -> Result<Vec<u8>, HostError> {
    let number = |name: &str| {
        let mut given = arguments.split('&').filter_map(|argument| argument.split_once('='));
        given.find(|(known, _)| *known == name).and_then(|(_, value)| value.parse::<usize>().ok())
    };
    let last = match arguments {
        "last" => all.len(),
        _ => number("since").ok_or(HostError::BAD_REQUEST)?.min(all.len()),
    };
    let limit = number("limit").unwrap_or(100);
    let page: Vec<Value> = all
        .iter()
        .enumerate()
        .skip(last)
        .take(limit)
        .map(|(at, id)| json!({"ChangeType": "NewStudy", "ID": id, "Seq": at + 1}))
        .collect();
    let end = last + page.len();
    Ok(json!({"Changes": page, "Done": end == all.len() && !never_done, "Last": end}).to_string().into_bytes())
}
