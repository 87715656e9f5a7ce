//! A server that records what it is handed, and the plugin on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use testbed::dicom::{orthanc_id, uid};

use crate::callbacks::Callbacks;
use crate::host::{CoreAnswer, Host, HostError, HostVersion, Method};
use crate::request::{Reply, Request, RestRequest};

/// A server that knows some resources and what it was told to do.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) resources: BTreeMap<String, Value>,
    /// Answers to GET.
    pub(super) answers: Mutex<BTreeMap<String, Value>>,
    /// An answer that is given to GET from when on another one was.
    pub(super) after: Mutex<Option<(String, String, Value)>>,
    /// What was read.
    pub(super) read: Mutex<Vec<String>>,
    /// What was changed or sent.
    pub(super) done: Mutex<Vec<(Method, String, Value)>>,
    /// What the next POST answers.
    pub(super) next: Mutex<Value>,
}

/// Somebody's study with one series and one instance.
#[derive(Clone)]
pub(super) struct Study {
    pub(super) patient: String,
    pub(super) study: String,
    pub(super) study_uid: String,
    pub(super) series: String,
    pub(super) instance: String,
}

impl Recorder {
    pub(super) fn add(&mut self, patient: &str, name: &str, labels: &[&str]) -> Study {
        let uids = [patient.to_owned(), uid(name), uid(&format!("{name}/1")), uid(&format!("{name}/1/1"))];
        let uids: Vec<&str> = uids.iter().map(String::as_str).collect();
        let id = |length: usize| orthanc_id(uids.get(..length).unwrap());
        let ids = [id(1), id(2), id(3), id(4)];
        let levels = [
            ("patients", "Patient", "PatientID", ""),
            ("studies", "Study", "StudyInstanceUID", "ParentPatient"),
            ("series", "Series", "SeriesInstanceUID", "ParentStudy"),
            ("instances", "Instance", "SOPInstanceUID", "ParentSeries"),
        ];
        for (at, (plural, kind, tag, parent)) in levels.into_iter().enumerate() {
            let mut description = json!({"ID": ids[at], "Type": kind, "MainDicomTags": {tag: uids[at]}, "Labels": []});
            if at > 0 {
                description[parent] = json!(ids[at - 1]);
            }
            let path = format!("/{plural}/{}", ids[at]);
            if at == 0 {
                let old = self.resources.get(&path).and_then(|old| old["Studies"].as_array().cloned());
                let mut studies = old.unwrap_or_default();
                studies.push(json!(ids[1]));
                description["Studies"] = json!(studies);
            }
            if at == 1 {
                description["Labels"] = json!(labels);
                self.resources.insert(format!("{path}/labels"), json!(labels));
            }
            self.resources.insert(path, description);
        }
        let [patient, study, series, instance] = ids;
        Study { patient, study, study_uid: uid(name), series, instance }
    }
}

impl Host for Recorder {
    fn calls_us(&self, _: &str) -> bool {
        true
    }
    fn property(&self, _: i32) -> Result<String, HostError> {
        Ok(String::new())
    }
    fn keep_property(&self, _: i32, _: &str) -> Result<(), HostError> {
        Err(HostError::PLUGIN)
    }
    fn version(&self) -> HostVersion {
        HostVersion::new(1, 13, 0)
    }

    fn get(&self, uri: &str) -> Result<Vec<u8>, HostError> {
        self.read.lock().unwrap().push(uri.to_owned());
        let special = self.answers.lock().unwrap().get(uri).cloned();
        let found = special.or_else(|| self.resources.get(uri).cloned());
        if let Some((_, other, answer)) = self.after.lock().unwrap().take_if(|(after, ..)| after == uri) {
            self.answers.lock().unwrap().insert(other, answer);
        }
        found.map(|found| found.to_string().into_bytes()).ok_or(HostError::UNKNOWN_RESOURCE)
    }

    fn post(&self, uri: &str, body: &[u8]) -> Result<Vec<u8>, HostError> {
        if uri == "/tools/lookup" {
            let wanted = String::from_utf8(body.to_vec()).unwrap();
            let hits: Vec<Value> = self
                .resources
                .values()
                .filter(|resource| {
                    let tags = resource.get("MainDicomTags").and_then(Value::as_object);
                    tags.is_some_and(|tags| tags.values().any(|value| value == wanted.as_str()))
                })
                .map(|resource| json!({"Type": resource["Type"], "ID": resource["ID"]}))
                .collect();
            return Ok(json!(hits).to_string().into_bytes());
        }
        let body = serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body)));
        self.done.lock().unwrap().push((Method::Post, uri.to_owned(), body));
        Ok(self.next.lock().unwrap().to_string().into_bytes())
    }

    fn put(&self, uri: &str, _: &[u8]) -> Result<Vec<u8>, HostError> {
        self.done.lock().unwrap().push((Method::Put, uri.to_owned(), Value::Null));
        Ok(Vec::new())
    }

    fn delete(&self, uri: &str) -> Result<(), HostError> {
        self.done.lock().unwrap().push((Method::Delete, uri.to_owned(), Value::Null));
        Ok(())
    }

    fn call(&self, _: Method, _: &str, _: &[(&str, &str)], _: &[u8]) -> Result<CoreAnswer, HostError> {
        Err(HostError::PLUGIN)
    }
}

/// The plugin on such a server.
pub(super) struct World {
    pub(super) host: Arc<Recorder>,
    pub(super) callbacks: Arc<dyn Callbacks>,
    _folder: tempfile::TempDir,
    pub(super) own: Study,
    pub(super) other: Study,
    pub(super) foreign: Study,
    pub(super) mixed: Study,
    pub(super) admin: String,
    pub(super) user: String,
    pub(super) friend: String,
}

/// What the core was asked.
pub(super) type Sent = (Method, String, Value);

impl World {
    pub(super) fn new() -> Self {
        Self::with(Recorder::default())
    }

    pub(super) fn with(mut host: Recorder) -> Self {
        let own = host.add("OWN", "own", &["external", "internal"]);
        let other = host.add("OTHER", "other", &["external", "internal"]);
        let foreign = host.add("FOREIGN", "foreign", &["internal"]);
        host.add("MIXED", "hidden", &["internal"]);
        let mixed = host.add("MIXED", "mixed", &["external"]);
        let folder = tempfile::tempdir().unwrap();
        let hash = testbed::password_hash("secret").unwrap();
        let user = |role: &str| json!({"PasswordHash": hash, "Roles": [role]});
        let all = ["all", "admin-permissions"];
        let configuration = json!({
            "IndexDirectory": folder.path(),
            "DicomServerEnabled": false,
            "Authorization": {
                "Users": {"admin": user("admin"), "user": user("limited"), "friend": user("limited")},
                "Roles": {
                    "admin": {"permissions": all, "authorized-labels": ["*"]},
                    "limited": {"permissions": all, "authorized-labels": ["external"]},
                },
                "ExtraPermissions": [
                    ["post", "^/tools/bulk-content$", "all"],
                    ["post", "^/studies/.*/split$", "all"],
                    ["post", "^/queries/.*$", "all"],
                    ["get", "^/queries/.*$", "all"],
                ],
            },
        });
        let host = Arc::new(host);
        let shared: Arc<dyn Host> = Arc::clone(&host) as Arc<dyn Host>;
        let started = crate::plugin::start(shared, &configuration.to_string(), None).unwrap().unwrap();
        let basic = |name: &str| testbed::http::basic_value(name, "secret");
        Self {
            host,
            callbacks: started.callbacks,
            _folder: folder,
            own,
            other,
            foreign,
            mixed,
            admin: basic("admin"),
            user: basic("user"),
            friend: basic("friend"),
        }
    }

    pub(super) fn request<'a>(method: Method, path: &'a str, who: &'a str) -> Request<'a> {
        Request { method, path, remote: "127.0.0.1", headers: vec![("authorization", who)], arguments: Vec::new() }
    }

    /// Whether the filter lets a request pass.
    pub(super) fn passes(&self, method: Method, path: &str, who: &str) -> bool {
        self.callbacks.before_filter();
        self.callbacks.filter(&Self::request(method, path, who)).is_some()
    }

    /// The answer to a POST, with what was done because of it.
    pub(super) fn post(&self, who: &str, path: &str, body: &str) -> (Result<Value, HostError>, Vec<Sent>) {
        self.host.done.lock().unwrap().clear();
        self.host.read.lock().unwrap().clear();
        if !self.passes(Method::Post, path, who) {
            return (Err(HostError::FORBIDDEN), Vec::new());
        }
        let call = RestRequest { request: Self::request(Method::Post, path, who), body: body.as_bytes() };
        let answer = match self.callbacks.rest(&call) {
            Reply::Answer { status: 200, body, .. } => Ok(serde_json::from_slice(&body).unwrap_or(Value::Null)),
            Reply::HostError(error) => Err(error),
            other => panic!("{other:?}"),
        };
        (answer, self.host.done.lock().unwrap().clone())
    }

    pub(super) fn answers_next(&self, answer: Value) {
        *self.host.next.lock().unwrap() = answer;
    }

    pub(super) fn has(&self, uri: &str, answer: Value) {
        self.host.answers.lock().unwrap().insert(uri.to_owned(), answer);
    }

    pub(super) fn refuses(&self, path: &str, body: &Value) {
        let (answer, done) = self.post(&self.user, path, &body.to_string());
        assert_eq!(answer, Err(HostError::FORBIDDEN), "{path} {body}");
        assert_eq!(done, [], "{path} {body}");
    }

    pub(super) fn hands_on(&self, path: &str, body: &Value, expected: &Value) {
        let (answer, done) = self.post(&self.user, path, &body.to_string());
        assert!(answer.is_ok(), "{path} {body}: {answer:?}");
        assert_eq!(done, [(Method::Post, path.to_owned(), expected.clone())], "{path} {body}");
    }
}
