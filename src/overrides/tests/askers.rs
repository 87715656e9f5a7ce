//! Who asks, what they may see, and what they ask.

use super::*;

/// A bed with somebody for each kind of scope: headers, labels, and the studies of links.
pub(super) struct Asker {
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) labels: Vec<&'static str>,
    pub(super) linked: Vec<&'static str>,
}

pub(super) fn bed(studies: Vec<FakeStudy>) -> (Bed, Vec<Asker>) {
    bed_with_validity(studies, 0)
}

pub(super) fn bed_with_validity(studies: Vec<FakeStudy>, seconds: u32) -> (Bed, Vec<Asker>) {
    let role = |labels: &[&str]| json!({"permissions": ["all", "view"], "authorized-labels": labels});
    let roles = json!({"roles": {"ext": role(&["ext"]), "int": role(&["int"]), "both": role(&["ext", "int"]), "none": role(&[]), "admin": role(&["*"])}});
    let users = json!({"ext": ["ext"], "int": ["int"], "both": ["both"], "none": ["none"], "admin": ["admin"]});
    let bed = Bed::new(json!({"Authorization": {"LabelsValidity": seconds}}), &users, &roles, studies);
    let link = |of: &[&str], by_uid: bool| {
        let resources = of.iter().map(|name| ShareResource {
            level: Level::Study,
            orthanc_id: (!by_uid).then(|| id(name)),
            dicom_uid: by_uid.then(|| uid(name)),
            url: None,
        });
        bed.make_link("", None, LinkType::Stone, resources.collect(), |_| ())
    };
    let user = |name: &str| ("authorization", basic(name));
    let askers = vec![
        Asker { headers: vec![user("ext")], labels: vec!["ext"], linked: vec![] },
        Asker { headers: vec![user("int")], labels: vec!["int"], linked: vec![] },
        Asker { headers: vec![user("both")], labels: vec!["ext", "int"], linked: vec![] },
        Asker { headers: vec![user("none")], labels: vec![], linked: vec![] },
        Asker { headers: vec![("token", link(&["a1"], false))], labels: vec![], linked: vec!["a1"] },
        Asker {
            headers: vec![("token", link(&["b1", "e1", "c2"], true))],
            labels: vec![],
            linked: vec!["b1", "e1", "c2"],
        },
        Asker {
            headers: vec![user("ext"), ("token", link(&["b1", "a1"], true))],
            labels: vec!["ext"],
            linked: vec!["b1", "a1"],
        },
    ];
    (bed, askers)
}

impl Asker {
    pub(super) fn may_see(&self, study: &FakeStudy) -> bool {
        self.linked.contains(&study.name.as_str()) || self.labels.iter().any(|label| study.labels.contains(*label))
    }

    pub(super) fn request<'a>(
        &'a self,
        method: Method,
        path: &'a str,
        arguments: &[(&'a str, &'a str)],
    ) -> Request<'a> {
        let headers = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Request { method, path, remote: "192.0.2.1", headers, arguments: arguments.to_vec() }
    }

    /// As the server would do it: the filter, then the callback, on one thread.
    pub(super) fn filter(&self, bed: &Bed, request: &Request<'_>) -> bool {
        let mut outcome = bed.gate.decide(request, NOW);
        let permit = outcome.take_permit();
        slot::write(request, false, outcome, Staleness::Cleared, &bed.gate.places);
        permit.is_some()
    }

    pub(super) fn call(&self, bed: &Bed, method: Method, path: &str, body: &[u8]) -> Option<Reply> {
        let request = self.request(method, path, &[]);
        self.filter(bed, &request).then(|| answer_of(bed, RestRequest { request, body }))
    }
}

pub(super) fn answer_of(bed: &Bed, call: RestRequest<'_>) -> Reply {
    handle(
        &Context {
            host: bed.host.as_ref(),
            gate: &bed.gate,
            results: &Results::default(),
            deletions: None,
            dicom_port: None,
        },
        &call,
        NOW,
    )
}

pub(super) fn body(reply: &Reply) -> &[u8] {
    match reply {
        Reply::Answer { body, .. } => body,
        _ => b"",
    }
}

pub(super) fn value(reply: &Reply) -> Value {
    serde_json::from_slice(body(reply)).unwrap_or_else(|_| panic!("{reply:?}"))
}

/// The server that a limited asker is to see: the allowed studies, with the labels that may be known.
pub(super) fn reference(asker: &Asker, studies: &[FakeStudy]) -> std::sync::Arc<FakeHost> {
    let allowed = studies.iter().filter(|study| asker.may_see(study)).cloned().map(|mut study| {
        study.labels.retain(|label| asker.labels.contains(&label.as_str()));
        study
    });
    FakeHost::new(allowed.collect())
}

pub(super) const NAMES: [&str; 8] = ["a1", "b1", "c1", "c2", "d1", "e1", "h1", "none"];

pub(super) fn any_query(random: &mut Random) -> Map<String, Value> {
    let mut query = Map::new();
    let mut put = |name: &str, value: Value| query.insert(name.to_owned(), value);
    put("Level", json!(random.pick(&["Patient", "Study", "Study", "study", "Series", "Instance", "instances"])));
    let mut tags = Map::new();
    if random.chance(40) {
        let one = |random: &mut Random| match random.below(5) {
            0 => "1.2.*".to_owned(),
            1 => format!("*{}", &uid(random.pick(&NAMES))[4..]),
            2 => uid(random.pick(&NAMES)).replace("9", "?"),
            _ => uid(random.pick(&NAMES)),
        };
        let list: Vec<String> = (0..1 + random.below(2)).map(|_| one(random)).collect();
        tags.insert(
            (random.pick(&["StudyInstanceUID", "0020,000d", "0020-000D", "0020000d"])).to_owned(),
            json!(list.join("\\")),
        );
    }
    if random.chance(25) {
        tags.insert("PatientID".to_owned(), json!(uid(random.pick(&["pa", "pb", "pc", "pz"]))));
    }
    put("Query", Value::Object(tags));
    if random.chance(40) {
        put("Labels", json!(random.some(&["ext", "int", "foreign"])));
        if random.chance(80) {
            put("LabelsConstraint", json!(random.pick(&["Any", "All", "None"])));
        }
    }
    // At most one: more are a fault of their own.
    let _none_before = match random.below(10) {
        0 | 1 => put("ParentPatient", json!(id(random.pick(&["pa", "pb", "pc", "pz"])))),
        2 | 3 => put("ParentStudy", json!(id(random.pick(&NAMES)))),
        4 => put("ParentSeries", json!(id(&format!("{}x", random.pick(&NAMES))))),
        _ => None,
    };
    if random.chance(50) {
        put("Expand", json!(random.chance(80)));
    }
    if random.chance(30) {
        put("Since", json!(random.below(4)));
        put("Limit", json!(random.below(4)));
    }
    query
}

/// Whether decision 15 refuses a query: by the labels, or by a study that it names.
pub(super) fn is_refused(asker: &Asker, query: &Map<String, Value>, studies: &[FakeStudy]) -> bool {
    let labels: Vec<&str> = query
        .get("Labels")
        .into_iter()
        .flat_map(|list| list.as_array().unwrap())
        .map(|label| label.as_str().unwrap())
        .collect();
    let own = |label: &&str| asker.labels.contains(label);
    let by_labels = match query.get("LabelsConstraint").and_then(Value::as_str).unwrap_or("All") {
        "Any" => !labels.is_empty() && !labels.iter().any(own),
        "All" => !labels.iter().all(own),
        _ => false,
    };
    let sees = |is: &dyn Fn(&FakeStudy) -> bool| studies.iter().any(|study| is(study) && asker.may_see(study));
    let text = |name: &str| query.get(name).map(|value| value.as_str().unwrap());
    let tags = query["Query"].as_object().unwrap();
    let uids =
        tags.iter().filter(|(tag, _)| *tag != "PatientID").flat_map(|(_, value)| value.as_str().unwrap().split('\\'));
    let mut complete = uids.filter(|uid| !uid.contains(['*', '?']));
    // By other tags than the patient's own, patients are not searched for.
    let level = query["Level"].as_str().unwrap();
    let by_tags = level == "Patient" && tags.keys().any(|tag| tag != "PatientID");
    by_labels
        || by_tags
        || complete.any(|named| !sees(&|study| uid(&study.name) == named))
        || text("ParentStudy").is_some_and(|named| !sees(&|study| id(&study.name) == named))
        || text("ParentSeries")
            .is_some_and(|named| !sees(&|study| study.series.iter().any(|series| id(series) == named)))
        || text("ParentPatient").is_some_and(|named| !sees(&|study| id(&study.patient) == named))
}
