//! For tests: a server in memory, and the real gate, composed as the plugin composes it, in front of it.
//!
//! The server knows of the REST API what this library asks of it, written from Orthanc's documentation and not from the
//! code under test. Resources have short names (`a1`); identifiers and UIDs are made from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use base64::Engine;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::callbacks::Callbacks;
use crate::config::{self, Environment};
use crate::gate::Gate;
use crate::host::{CoreAnswer, Host, HostError, HostVersion, Method};
use crate::identity::Verifiers;
use crate::identity::api_key;
use crate::person::Person;
use crate::plugin;
use crate::resource::Level;
use crate::share::ShareResource;
use crate::share::kind::LinkType;
use crate::share::token::{Registered, ShareClaims, sign};
use crate::store::{ApiKeyRecord, ShareRecord};
use crate::{clock::UnixTime, secret::Secret};

/// The Orthanc identifier of a resource by its short name.
pub fn id(name: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    let hex = api_key::hex(digest.as_ref());
    [&hex[0..8], &hex[8..16], &hex[16..24], &hex[24..32], &hex[32..40]].join("-")
}

/// The DICOM UID of a resource by its short name; for a patient the PatientID.
pub fn uid(name: &str) -> String {
    let digits: Vec<String> = name.bytes().map(|byte| byte.to_string()).collect();
    format!("1.2.{}", digits.join("."))
}

/// A study with its series; each series has one instance, named like it with a `1` behind.
#[derive(Clone, Debug)]
pub struct FakeStudy {
    pub name: String,
    pub patient: String,
    /// Whose UIDs it carries, and its series too: its own name, or that of a twin.
    pub twin: String,
    pub labels: BTreeSet<String>,
    pub series: Vec<String>,
}

/// A study with two series (`a1x`, `a1y`).
pub fn study(patient: &str, name: &str, labels: &[&str]) -> FakeStudy {
    FakeStudy {
        name: name.to_owned(),
        patient: patient.to_owned(),
        twin: name.to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        series: vec![format!("{name}x"), format!("{name}y")],
    }
}

/// The world of most tests: `a` allowed to `ext`, `b` to `int`, `c` one study each, `d` both labels on one study, `e`
/// no label, `f` and `g` two patients' studies with the same UIDs, `h` two studies of `ext`.
pub fn world() -> Vec<FakeStudy> {
    let mut twin = study("pg", "g1", &["int"]);
    twin.twin = "f1".to_owned();
    vec![
        study("pa", "a1", &["ext"]),
        study("pb", "b1", &["int"]),
        study("pc", "c1", &["ext"]),
        study("pc", "c2", &["int"]),
        study("pd", "d1", &["ext", "int"]),
        study("pe", "e1", &[]),
        study("pf", "f1", &["ext"]),
        twin,
        study("ph", "h1", &["ext"]),
        study("ph", "h2", &["ext"]),
    ]
}

/// One resource of the hierarchy.
#[derive(Clone, Debug)]
pub struct FakeNode {
    pub level: Level,
    pub id: String,
    pub uid: String,
    pub parent: String,
    pub labels: BTreeSet<String>,
    /// The studies that it is or lies in; for a patient all of them.
    pub studies: Vec<FakeStudy>,
}

/// All resources, from the top down.
pub fn nodes(studies: &[FakeStudy]) -> Vec<FakeNode> {
    let mut patients: BTreeMap<&str, Vec<FakeStudy>> = BTreeMap::new();
    let mut found = Vec::new();
    for study in studies {
        patients.entry(&study.patient).or_default().push(study.clone());
    }
    for (patient, studies) in patients {
        found.push(node(Level::Patient, patient, patient, "", &[], studies));
    }
    for study in studies {
        let lies_in = vec![study.clone()];
        let labels: Vec<&str> = study.labels.iter().map(String::as_str).collect();
        found.push(node(Level::Study, &study.name, &study.twin, &study.patient, &labels, lies_in.clone()));
        for series in &study.series {
            let twin = series.replacen(&study.name, &study.twin, 1);
            let instance = format!("{series}1");
            found.push(node(Level::Series, series, &twin, &study.name, &[], lies_in.clone()));
            found.push(node(Level::Instance, &instance, &format!("{twin}1"), series, &[], lies_in.clone()));
        }
    }
    found.sort_by_key(|node| node.level);
    found
}

fn node(level: Level, name: &str, twin: &str, parent: &str, labels: &[&str], studies: Vec<FakeStudy>) -> FakeNode {
    FakeNode {
        level,
        id: id(name),
        uid: uid(twin),
        parent: if parent.is_empty() { String::new() } else { id(parent) },
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        studies,
    }
}

type Hook = Box<dyn FnOnce() + Send>;

/// A server in memory.
#[derive(Default)]
pub struct FakeHost {
    pub studies: Mutex<Vec<FakeStudy>>,
    /// What was asked: method and path, and the body.
    pub calls: Mutex<Vec<(String, String)>>,
    /// Every call fails in this way.
    pub failure: Mutex<Option<HostError>>,
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
        let answer = self.core(method, uri, body);
        let hook = self.meanwhile.lock().take();
        if let Some(hook) = hook {
            hook();
        }
        answer
    }

    fn core(&self, method: Method, uri: &str, body: &[u8]) -> Result<Vec<u8>, HostError> {
        let (path, _) = uri.split_once('?').unwrap_or((uri, ""));
        let path = decode(path);
        let mut studies = self.studies.lock();
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        if let ["tools", tool] = segments[..] {
            let answer = match (method, tool) {
                (Method::Post, "find") => Value::Array(find(&studies, body)?),
                (Method::Post, "count-resources") => json!({"Count": find(&studies, body)?.len()}),
                (Method::Post, "lookup") => lookup(&studies, &String::from_utf8_lossy(body)),
                (Method::Get, "labels") => {
                    json!(studies.iter().flat_map(|study| &study.labels).collect::<BTreeSet<_>>())
                }
                _ => return Err(HostError::UNKNOWN_RESOURCE),
            };
            return Ok(answer.to_string().into_bytes());
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
    description
}

fn lookup(studies: &[FakeStudy], text: &str) -> Value {
    let hit = |node: &FakeNode| {
        let description = describe(node);
        json!({"Type": description["Type"], "ID": node.id, "Path": format!("/{}/{}", node.level.plural(), node.id)})
    };
    nodes(studies).iter().filter(|node| node.uid == text).map(hit).collect()
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
            let fits =
                |text: &str| value.is_empty() || value.split('\\').any(|one| wildcard(one.as_bytes(), text.as_bytes()));
            match tag.as_str() {
                "StudyInstanceUID" | "0020,000d" | "0020-000D" | "0020000d" => {
                    node.studies.iter().any(|study| fits(&uid(&study.twin)))
                }
                "PatientID" | "0010,0020" => fits(&uid(&node.studies[0].patient)),
                "SeriesInstanceUID" => node.level < Level::Series || fits(&node.uid),
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
    fn set_metric(&self, _name: &'static str, _value: i64) {}
}

/// Where all tests begin.
pub const NOW: UnixTime = UnixTime(1_700_000_000);

/// The password of every local user of a [`Bed`].
pub const PASSWORD: &str = "correct horse";

/// The key that signs links.
pub const SHARE_KEY: &str = "a key of more than thirty-two bytes, for tests";

/// The cheapest hash of [`PASSWORD`] that argon2 makes.
pub fn cheap_hash() -> &'static str {
    static HASH: LazyLock<String> = LazyLock::new(|| {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
        argon2.hash_password_with_salt(PASSWORD.as_bytes(), b"0123456789abcdef").unwrap().to_string()
    });
    &HASH
}

struct NoEnvironment;

impl Environment for NoEnvironment {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
    fn read_file(&self, _path: &std::path::Path) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }
    fn base_directory(&self) -> std::path::PathBuf {
        std::path::PathBuf::new()
    }
}

/// The real gate with its real state in a folder of its own, before a server in memory.
pub struct Bed {
    pub host: Arc<FakeHost>,
    pub gate: Arc<Gate>,
    /// As the server calls it.
    pub callbacks: Arc<dyn Callbacks>,
    /// Removed with the bed.
    _folder: tempfile::TempDir,
}

impl Bed {
    /// Composes the plugin from Orthanc's configuration. `users` are local accounts with their roles; `roles` is the
    /// roles document, kept in a file.
    pub fn new(mut orthanc: Value, users: &Value, roles: &Value, studies: Vec<FakeStudy>) -> Self {
        let mut section = orthanc["Authorization"].take();
        if section.is_null() {
            section = json!({});
        }
        let folder = tempfile::tempdir().unwrap();
        let roles_file = folder.path().join("permissions.json");
        std::fs::write(&roles_file, roles.to_string()).unwrap();
        section["PermissionsFile"] = json!(roles_file);
        section["Storage"] = json!({"SQLite": folder.path().join("authorization.db")});
        let accounts = users
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, roles)| (name.clone(), json!({"PasswordHash": cheap_hash(), "Roles": roles})));
        section["Users"] = Value::Object(accounts.collect());
        section["Shares"]["SecretKey"] = json!(SHARE_KEY);
        orthanc["Authorization"] = section;
        let config =
            config::read(&orthanc.to_string(), &NoEnvironment).unwrap_or_else(|faults| panic!("{faults}")).unwrap();
        let host = FakeHost::new(studies);
        let plugin = plugin::compose(Arc::clone(&host) as Arc<dyn Host>, config).unwrap();
        Self { host, gate: plugin.gate(), callbacks: Arc::new(plugin), _folder: folder }
    }

    pub fn verifiers(&self) -> &Verifiers {
        self.gate.identities.verifiers()
    }

    /// Stores a key made by a local user, and gives its text.
    pub fn make_key(&self, id: &str, owner: &str, change: impl FnOnce(&mut ApiKeyRecord)) -> String {
        let key = api_key::generate().unwrap();
        let mut record = ApiKeyRecord {
            id: id.to_owned(),
            hash: self.verifiers().hasher.hash(key.expose()),
            name: id.to_owned(),
            owner: Person::local(owner),
            owner_name: owner.to_owned(),
            granted_by_admin: false,
            roles: None,
            permissions: None,
            authorized_labels: None,
            created_at: NOW,
            expires_at: None,
            last_use: None,
        };
        change(&mut record);
        self.verifiers().store.insert_api_key(&record).unwrap();
        key.expose().to_owned()
    }

    /// Signs a link; with a maker it is recorded too.
    pub fn make_link(
        &self,
        id: &str,
        maker: Option<&str>,
        link_type: LinkType,
        resources: Vec<ShareResource>,
        change: impl FnOnce(&mut ShareRecord),
    ) -> String {
        let mut record = ShareRecord {
            id: id.to_owned(),
            kind: link_type.as_str().to_owned(),
            resources_json: "[]".to_owned(),
            resource_ids: Vec::new(),
            owner: Person::local(maker.unwrap_or_default()),
            owner_name: String::new(),
            created_at: NOW,
            not_before: None,
            expires_at: None,
            options_json: "{}".to_owned(),
            code_hash: None,
            openings: 0,
            revoked_at: None,
            uses: 0,
            last_use: None,
        };
        change(&mut record);
        let claims = ShareClaims {
            id: None,
            resources,
            link_type,
            validity_duration: None,
            expires_at: record.expires_at,
            registered: maker.map(|maker| Registered {
                jti: id.to_owned(),
                issued_at: record.created_at,
                subject: Some(maker.to_owned()),
            }),
        };
        if maker.is_some() {
            self.verifiers().store.insert_share(&record).unwrap();
        }
        sign(&claims, &Secret::new(SHARE_KEY.to_owned())).unwrap()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.verifiers().stop();
    }
}

/// The value of an `Authorization` header for a local user.
pub fn basic(user: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{PASSWORD}")))
}

/// Numbers that look random and are the same in each run: SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
    /// Each with the chance of a half.
    pub fn some<'a>(&mut self, list: &[&'a str]) -> Vec<&'a str> {
        list.iter().copied().filter(|_| self.chance(50)).collect()
    }
}

/// How many random worlds a property test looks at: `GATEHOUSE_WORLDS`, else `usual`.
pub fn worlds(usual: u64) -> u64 {
    std::env::var("GATEHOUSE_WORLDS").ok().map_or(usual, |number| number.parse().expect("GATEHOUSE_WORLDS: a number"))
}
