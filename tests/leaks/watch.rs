//! What must not change while limited identities attack: foreign studies, what is attached to them, other systems,
//! settings; and that nothing foreign gets into what they may see. It must not know who attacks.
use crate::canary::Kind;
use crate::images::Study;
use crate::session::Session;
use crate::site::ids;
use crate::world::{OWN_NUMBER, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testbed::{Answer, Request};

/// What the administrator is answered, by path.
pub type Picture = BTreeMap<String, String>;

/// Settings, names of other systems, and what the administrator has made.
const SERVER: [&str; 11] = [
    "/modalities?expand",
    "/peers?expand",
    "/dicom-web/servers?expand",
    "/tools/log-level",
    "/tools/log-level-http",
    "/tools/accepted-transfer-syntaxes",
    "/tools/default-encoding",
    "/tools/metrics",
    "/tools/unknown-sop-class-accepted",
    "/auth/settings/roles",
    "/worklists",
];

impl World {
    fn watched(&self) -> impl Iterator<Item = &Study> {
        self.studies.iter().filter(|study| !study.is_own())
    }

    /// Everything that is foreign, as it is now.
    pub fn picture(&self) -> Picture {
        let mut session = self.session();
        let mut picture = Picture::new();
        let mut look = |path: String, reduce: &dyn Fn(&Answer) -> String| {
            let answer = self.look(&mut session, &path);
            picture.insert(path, reduce(&answer));
        };
        let whole = |answer: &Answer| format!("{} {}", answer.status, answer.text());
        for path in SERVER {
            look(path.to_owned(), &whole);
        }
        look(format!("/jobs/{}", self.job), &|answer| answer.status.to_string());
        look(format!("/queries/{}/query", self.query), &whole);
        look(format!("/storage-commitment/{}", self.commitment), &whole);
        for study in self.watched() {
            for (number, instance) in study.instances.iter().enumerate() {
                let id = instance.ids();
                for (level, id) in
                    [("patients", id.patient), ("studies", id.study), ("series", id.series), ("instances", id.instance)]
                {
                    if number > 0 && (level == "patients" || level == "studies") {
                        continue;
                    }
                    // A patient may get another study from anybody (decision 18), and lose it again.
                    let grows = level == "patients";
                    look(format!("/{level}/{id}"), &|answer| described(answer, grows));
                    look(format!("/{level}/{id}/metadata?expand"), &|answer| metadata(answer, grows));
                    look(format!("/{level}/{id}/attachments"), &whole);
                    look(format!("/{level}/{id}/attachments/{OWN_NUMBER}/data"), &whole);
                    if level == "patients" {
                        look(format!("/{level}/{id}/protected"), &whole);
                    }
                    if level == "instances" {
                        look(format!("/{level}/{id}/attachments/dicom/md5"), &whole);
                    }
                }
            }
        }
        picture
    }

    fn look(&self, session: &mut Session, path: &str) -> Answer {
        session.send(&self.admin.sign(Request::get(path)))
    }

    /// Whether foreign content got anywhere else: into an own study, a new one, or to another system. Puts back what
    /// the attackers did to their own studies, and clears the rest away.
    pub fn harvest(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        let mut session = self.session();
        for id in ids(&self.look(&mut session, "/studies")) {
            let known = self.studies.iter().position(|study| study.first().ids().study == id);
            if known.is_some_and(|known| !self.studies[known].is_own()) {
                continue;
            }
            let archive = self.look(&mut session, &format!("/studies/{id}/archive"));
            found.extend(self.foreign_content(&archive.body).map(|what| format!("{what} is in study {id}")));
            let Some(study) = known.map(|known| self.studies[known].clone()) else {
                self.ask(Request::delete(&format!("/studies/{id}")));
                continue;
            };
            if !self.is_as_stored(&mut session, &study) {
                self.ask(Request::delete(&format!("/studies/{id}")));
            }
        }
        for study in self.studies.clone() {
            if study.is_own() && !self.is_as_stored(&mut session, &study) {
                self.store(&study);
            }
        }
        let client = self.remote.client();
        for id in ids(&client.get("/instances").unwrap()) {
            if let Some(study) = self.watched().find(|study| study.instances.iter().any(|one| one.ids().instance == id))
            {
                found.push(format!("an instance of {} was sent to another system", study.set));
            }
            let file = client.get(&format!("/instances/{id}/file")).unwrap();
            found.extend(self.foreign_content(&file.body).map(|what| format!("{what} was sent to another system")));
        }
        self.clear_remote();
        found.sort();
        found.dedup();
        found
    }

    fn foreign_content(&self, bytes: &[u8]) -> impl Iterator<Item = String> {
        let found = self
            .canaries
            .find(bytes)
            .into_iter()
            .filter(|(_, canary)| canary.kind == Kind::Content && !canary.set.starts_with("own"));
        found.map(|(_, canary)| format!("{} ({})", canary.place, canary.set)).collect::<Vec<_>>().into_iter()
    }

    fn is_as_stored(&self, session: &mut Session, study: &Study) -> bool {
        let id = study.first().ids().study;
        let now = self.look(session, &format!("/studies/{id}/instances?expand=false"));
        let mut stored: Vec<String> = study.instances.iter().map(|instance| instance.ids().instance).collect();
        stored.sort();
        let mut labels: Vec<&str> = study.labels.iter().map(String::as_str).collect();
        labels.sort_unstable();
        now.status == 200
            && listed(&now) == stored
            && self.look(session, &format!("/studies/{id}/labels")).json().ok() == Some(json!(labels))
            && self.look(session, &format!("/studies/{id}/metadata/{OWN_NUMBER}")).status == 200
            && self.look(session, &format!("/studies/{id}/attachments/{OWN_NUMBER}/size")).status == 200
    }
}

/// The ids in a list of resources, expanded or not.
fn listed(answer: &Answer) -> Vec<String> {
    let list = answer.json().unwrap_or_default();
    let id = |one: &Value| one["ID"].as_str().or(one.as_str()).unwrap_or_default().to_owned();
    let mut ids: Vec<String> = list.as_array().into_iter().flatten().map(id).collect();
    ids.sort();
    ids
}

/// Without what time alone changes.
fn described(answer: &Answer, grows: bool) -> String {
    let mut value = answer.json().unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members.remove("IsStable");
        members.remove("LastUpdate");
        if grows {
            members.remove("Studies");
        }
    }
    format!("{} {value}", answer.status)
}

fn metadata(answer: &Answer, grows: bool) -> String {
    let mut value = answer.json().unwrap_or_default();
    if let Some(members) = value.as_object_mut().filter(|_| grows) {
        members.remove("LastUpdate");
    }
    format!("{} {value}", answer.status)
}

/// What is different, path by path.
pub fn differences(before: &Picture, after: &Picture) -> Vec<String> {
    let changed = before.iter().filter(|(path, said)| after.get(*path) != Some(said));
    changed.map(|(path, said)| format!("{path} was {}, is {}", short(said), short(&after[path]))).collect()
}

pub fn short(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
