//! Searches of a limited user against the reference: a server of the same version without the plugin, that holds only
//! the allowed studies with only the labels that the user may see (decision 15). The queries are made at random, from a
//! fixed seed; `GATEHOUSE_SEARCHES` is how many, `GATEHOUSE_SEED` where their series begins.
use crate::site::{Plan, Site, Who, shared};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use testbed::dicom::{self, Instance};
use testbed::random::{Random, number};
use testbed::{Answer, Orthanc, Request, Version};

const OWN: [&str; 3] = ["a", "b", "c"];
const FOREIGN: [&str; 3] = ["x", "y", "z"];

#[derive(Clone)]
struct Study {
    patient: String,
    labels: Vec<&'static str>,
    instances: Vec<Instance>,
}

impl Study {
    fn is_allowed(&self) -> bool {
        self.labels.iter().any(|label| OWN.contains(label))
    }
}

/// Studies of six patients, labelled at random.
fn studies(chance: &mut Random) -> Vec<Study> {
    (0..24)
        .map(|number| {
            let patient = format!("P{}", number % 6);
            let all: Vec<&'static str> = OWN.into_iter().chain(FOREIGN).collect();
            let labels: BTreeSet<&'static str> = (0..chance.below(4)).map(|_| *chance.pick(&all)).collect();
            let modality = *chance.pick(&["CT", "MR", "US"]);
            let date = format!("2024010{}", 1 + chance.below(9));
            let instances = (0..1 + chance.below(2))
                .flat_map(|series| (0..2).map(move |instance| (series, instance)))
                .map(|(series, instance)| {
                    Instance::named(&patient, &format!("study{number}"), &format!("{series}"), &format!("{instance}"))
                        .text((0x0010, 0x0010), "PN", &format!("Name^{patient}"))
                        .text((0x0008, 0x0060), "CS", modality)
                        .text((0x0008, 0x0020), "DA", &date)
                        .text((0x0008, 0x0050), "SH", &format!("ACC{}", number % 5))
                        .text((0x0008, 0x1030), "LO", &format!("Description {number}"))
                        .text((0x0020, 0x0013), "IS", &instance.to_string())
                })
                .collect();
            Study { patient, labels: labels.into_iter().collect(), instances }
        })
        .collect()
}

/// The protected server with all studies, and the reference with the allowed ones, filled in the same order.
struct Pair {
    site: Site,
    reference: Orthanc,
    studies: Vec<Study>,
    limited: Who,
}

impl Pair {
    fn start(version: Version, studies: Vec<Study>) -> Self {
        let roles = json!({
            "roles": {
                "admin-role": {"permissions": ["all"], "authorized-labels": ["*"]},
                "external-role": {"permissions": ["view"], "authorized-labels": OWN},
            },
            "available-labels": [],
        });
        let site = Plan::new(version).roles(roles).section(json!({"LabelsValidity": 60})).start();
        let reference = Orthanc::builder(version).dicomweb().unwrap().start().unwrap();
        let admin = site.admin();
        for study in &studies {
            for instance in &study.instances {
                site.send(&admin, Request::post("/instances", instance.to_bytes())).expect_status(200).unwrap();
                if study.is_allowed() {
                    dicom::upload(&reference.client(), instance.to_bytes()).unwrap();
                }
            }
            let id = study.instances[0].ids().study;
            for label in &study.labels {
                site.send(&admin, Request::put(&format!("/studies/{id}/labels/{label}"), ""))
                    .expect_status(200)
                    .unwrap();
                if study.is_allowed() && OWN.contains(label) {
                    dicom::label(&reference.client(), &id, label).unwrap();
                }
            }
        }
        let limited = Who::token(&site.token("limited", &["external-role"]));
        Self { site, reference, studies, limited }
    }
}

/// What differs between two servers by the time of the upload, or that no two servers have in common.
fn without_times(mut value: Value, reference: &Orthanc, site: &Orthanc) -> Value {
    fn walk(value: &mut Value, from: &str, to: &str) {
        match value {
            Value::Object(members) => {
                for name in ["LastUpdate", "IsStable", "ReceptionDate", "Metadata", "FileUuid", "Attachments"] {
                    members.remove(name);
                }
                // A patient of whom not all studies are allowed is shown without it.
                members.remove("IsProtected");
                members.values_mut().for_each(|member| walk(member, from, to));
            }
            Value::Array(list) => list.iter_mut().for_each(|element| walk(element, from, to)),
            Value::String(text) => *text = text.replace(from, to),
            _ => {}
        }
    }
    walk(&mut value, &reference.address().to_string(), &site.address().to_string());
    value
}

/// Orthanc promises no order unless it is asked for one.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(mut list) => {
            list.sort_by_key(ToString::to_string);
            Value::Array(list)
        }
        other => other,
    }
}

/// A query, and whether it names something forbidden: then it is 403.
struct Query {
    body: Value,
    forbidden: bool,
}

fn random_query(chance: &mut Random, studies: &[Study]) -> Query {
    let allowed_patient = |patient: &str| studies.iter().any(|study| study.patient == patient && study.is_allowed());
    let mut body = Map::new();
    let mut tags = Map::new();
    let mut forbidden = false;
    let level = *chance.pick(&["Patient", "Study", "Study", "Series", "Instance"]);
    body.insert("Level".into(), json!(level));
    let study = chance.pick(studies).clone();
    let instance = chance.pick(&study.instances).clone();
    if chance.one_in(4) {
        let pattern = [study.patient.clone(), "P*".into(), "P?".into(), "P1\\P2".into(), "nobody".into(), "*".into()];
        tags.insert("PatientID".into(), json!(chance.pick(&pattern)));
    }
    if chance.one_in(8) {
        tags.insert("PatientName".into(), json!(chance.pick(&["name^p1", "Name^*", "NAME^P2"])));
    }
    if level != "Patient" {
        if chance.one_in(6) {
            tags.insert("AccessionNumber".into(), json!(chance.pick(&["ACC1", "ACC*", "ACC2\\ACC3", "none"])));
        }
        if chance.one_in(6) {
            tags.insert(
                "StudyDate".into(),
                json!(chance.pick(&["20240101-20240105", "20240104", "-20240103", "20240107-"])),
            );
        }
        if chance.one_in(4) {
            let uid = study.instances[0].get((0x0020, 0x000d));
            let other = chance.pick(studies);
            let (form, whole): (String, Vec<&Study>) = match chance.below(5) {
                0 => (uid.clone(), vec![&study]),
                1 => (format!("{uid}\\{}", other.instances[0].get((0x0020, 0x000d))), vec![&study, other]),
                2 => (format!("{}*", &uid[..uid.len() - 3]), vec![]),
                3 => ("2.25.*".to_owned(), vec![]),
                _ => (String::new(), vec![]),
            };
            forbidden |= whole.iter().any(|named| !named.is_allowed());
            tags.insert(chance.pick(&["StudyInstanceUID", "0020,000d"]).to_string(), json!(form));
        }
    }
    if matches!(level, "Series" | "Instance") && chance.one_in(4) {
        tags.insert("Modality".into(), json!(chance.pick(&["CT", "MR\\US", "*"])));
    }
    if level == "Instance" && chance.one_in(4) {
        tags.insert("InstanceNumber".into(), json!(chance.pick(&["0", "1", "*"])));
    }
    match (level, chance.below(6)) {
        ("Series" | "Instance", 0) => {
            body.insert("ParentStudy".into(), json!(instance.ids().study));
            forbidden |= !study.is_allowed();
        }
        ("Instance", 1) => {
            body.insert("ParentSeries".into(), json!(instance.ids().series));
            forbidden |= !study.is_allowed();
        }
        ("Study" | "Series" | "Instance", 2) => {
            body.insert("ParentPatient".into(), json!(instance.ids().patient));
            forbidden |= !allowed_patient(&study.patient);
        }
        _ => {}
    }
    // At the other levels the labels are the resource's own, of which there are none.
    if level == "Study" && chance.one_in(2) {
        let all: Vec<&str> = OWN.into_iter().chain(FOREIGN).chain(["unknown"]).collect();
        let labels: BTreeSet<&str> = (0..1 + chance.below(3)).map(|_| *chance.pick(&all)).collect();
        let own = labels.iter().filter(|label| OWN.contains(label)).count();
        let constraint = *chance.pick(&["Any", "All", "None", ""]);
        match constraint {
            "Any" => forbidden |= own == 0,
            "None" => {}
            // All is what Orthanc takes when nothing is said.
            _ => forbidden |= own < labels.len(),
        }
        body.insert("Labels".into(), json!(labels));
        if !constraint.is_empty() {
            body.insert("LabelsConstraint".into(), json!(constraint));
        }
    }
    body.insert("Query".into(), Value::Object(tags));
    if chance.one_in(3) {
        body.insert("CaseSensitive".into(), json!(chance.one_in(2)));
    }
    match chance.below(5) {
        0 => drop(body.insert("Expand".into(), json!(true))),
        1 => {
            body.insert("Expand".into(), json!(true));
            body.insert("RequestedTags".into(), json!(["PatientID", "StudyDescription", "0008,0060"]));
            // Which image of a patient they would be read from, nobody knows: perhaps one of a foreign study.
            forbidden |= level == "Patient";
        }
        2 => drop(body.insert(
            "ResponseContent".into(),
            json!(["MainDicomTags", "Metadata", "Labels", "Parent", "Children", "IsStable", "Attachments"]),
        )),
        3 => {
            body.insert("Expand".into(), json!(true));
            body.insert("Short".into(), json!(true));
        }
        _ => {}
    }
    if chance.one_in(4) {
        body.insert("Since".into(), json!(chance.below(4)));
        body.insert("Limit".into(), json!(chance.below(5)));
    }
    Query { body: Value::Object(body), forbidden }
}

fn compare(pair: &Pair, what: &str, expected: &Answer, got: &Answer, keep_order: bool) -> Option<String> {
    // The core does not want wildcards in UIDs below studies, nor case in counts; we may be more generous.
    if expected.status == 400 && got.status == 200 {
        return None;
    }
    if got.status != expected.status {
        return Some(format!(
            "{what}: {} instead of {}: {} / {}",
            got.status,
            expected.status,
            got.text().replace("\n", ""),
            expected.text().replace("\n", "")
        ));
    }
    if expected.body.is_empty() || expected.status != 200 {
        return None;
    }
    let tidy = |answer: &Answer| {
        let value = without_times(answer.json().unwrap(), &pair.reference, &pair.site.server);
        if keep_order { value } else { sorted(value) }
    };
    let (expected, got) = (tidy(expected), tidy(got));
    (expected != got).then(|| format!("{what}:\n  got      {got}\n  expected {expected}"))
}

#[test]
fn a_limited_search_answers_like_a_server_with_only_the_allowed_studies() {
    let mut cases = (0, 0, 0);
    let mut faults = Vec::new();
    for version in Version::tested() {
        let mut chance = Random::new(number("GATEHOUSE_SEED", 2));
        let pair = Pair::start(version, studies(&mut chance));
        assert!(pair.studies.iter().any(Study::is_allowed) && !pair.studies.iter().all(Study::is_allowed));
        for _ in 0..number("GATEHOUSE_SEARCHES", 400) {
            let query = random_query(&mut chance, &pair.studies);
            for path in ["/tools/find", "/tools/count-resources"] {
                let mut body = query.body.clone();
                if path == "/tools/count-resources" {
                    if query.forbidden && body["Level"] == "Patient" && body.get("RequestedTags").is_some() {
                        continue;
                    }
                    for member in ["Since", "Limit", "Expand", "Short", "ResponseContent", "RequestedTags"] {
                        body.as_object_mut().unwrap().remove(member);
                    }
                }
                let what = format!("{version:?} {path} {body}");
                let got = pair.site.post(&pair.limited, path, &body);
                if query.forbidden {
                    cases.1 += 1;
                    if got.status != 403 {
                        faults.push(format!("{what}: {} instead of 403: {}", got.status, got.text()));
                    }
                    continue;
                }
                cases.0 += 1;
                // Foreign labels do not exist for whoever may not know them.
                narrow_labels(&mut body);
                let expected = pair.reference.client().post_json(path, &body).unwrap();
                // With paging the order decides what is there: both servers were filled in the same one.
                faults.extend(compare(&pair, &what, &expected, &got, body.get("Since").is_some()));
            }
        }
        cases.2 += qido(&pair, &mut chance, &mut faults);
    }
    println!("{} searches compared, {} refused, {} by QIDO", cases.0, cases.1, cases.2);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults[..faults.len().min(25)].join("\n"));
}

/// `None` with foreign labels: they are ignored. Orthanc's versions differ about an empty list, so that it is left out.
/// `Any` with own and foreign ones finds what the own ones find on the reference, where the foreign ones are not there.
fn narrow_labels(body: &mut Value) {
    let Some(labels) = body["Labels"].as_array() else { return };
    let own: Vec<Value> = labels.iter().filter(|label| OWN.contains(&label.as_str().unwrap())).cloned().collect();
    let body = body.as_object_mut().unwrap();
    if own.is_empty() {
        body.remove("Labels");
        body.remove("LabelsConstraint");
    } else {
        body.insert("Labels".into(), json!(own));
    }
}

fn qido(pair: &Pair, chance: &mut Random, faults: &mut Vec<String>) -> usize {
    let version = pair.site.version;
    for _ in 0..120 {
        let study = chance.pick(&pair.studies).clone();
        let uid = study.instances[0].get((0x0020, 0x000d));
        let mut forbidden = false;
        let mut path = match chance.below(6) {
            0 | 1 => "/dicom-web/studies".to_owned(),
            2 => "/dicom-web/series".to_owned(),
            3 => "/dicom-web/instances".to_owned(),
            _ => {
                forbidden |= !study.is_allowed();
                format!("/dicom-web/studies/{uid}/{}", chance.pick(&["series", "instances"]))
            }
        };
        let mut arguments = Vec::new();
        if chance.one_in(3) {
            arguments.push(format!("PatientID={}", chance.pick(&["P1", "P*", "P?", "nobody"])));
        }
        if chance.one_in(3) {
            arguments.push(format!(
                "{}={}",
                chance.pick(&["AccessionNumber", "00080050"]),
                chance.pick(&["ACC1", "ACC*"])
            ));
        }
        if chance.one_in(3) {
            arguments.push("ModalitiesInStudy=CT".to_owned());
        }
        if chance.one_in(4) && !path.contains(&uid) {
            let whole = chance.one_in(2);
            forbidden |= whole && !study.is_allowed();
            let value = if whole { uid.clone() } else { "2.25.*".to_owned() };
            arguments.push(format!("{}={value}", chance.pick(&["StudyInstanceUID", "0020000D", "0020000d"])));
        }
        if chance.one_in(4) {
            arguments.push(format!("limit={}&offset={}", 1 + chance.below(4), chance.below(3)));
        }
        if chance.one_in(4) {
            arguments.push("includefield=StudyDescription&includefield=00081030".to_owned());
        }
        if !arguments.is_empty() {
            path = format!("{path}?{}", arguments.join("&"));
        }
        let json =
            |client: &dyn Fn(Request) -> Answer| client(Request::get(&path).header("Accept", "application/dicom+json"));
        let got = json(&|request| pair.site.send(&pair.limited, request));
        if forbidden {
            if got.status != 403 {
                faults.push(format!("{version:?} {path}: {} instead of 403: {}", got.status, got.text()));
            }
            continue;
        }
        let expected = json(&|request| pair.reference.client().send(request).unwrap());
        faults.extend(compare(pair, &format!("{version:?} {path}"), &expected, &got, path.contains("offset")));
    }
    120
}

/// A patient is described to whoever may see one study of several; the tags of the others' images are not told.
#[test]
fn tags_of_a_patients_other_studies_are_not_told() {
    for version in Version::tested() {
        let (site, images) = shared(version);
        let limited = Who::user("external");
        for tags in [
            "StudyDescription",
            "PatientID;StudyDescription",
            "0008,1030",
            "00081030",
            "0008-1030",
            "0008%2C1030",
            "Modality",
        ] {
            for name in ["requestedTags", "requested-tags", "RequestedTags"] {
                for path in [
                    "/studies/{study}/patient",
                    "/studies/{study}/patient/",
                    "/series/{series}/patient",
                    "/instances/{instance}/patient",
                ] {
                    let path = images.mixed.fill(&format!("{path}?{name}={tags}"));
                    let answer = site.get(&limited, &path);
                    assert_eq!(answer.status, 403, "{version:?} {path}: {}", answer.text());
                }
            }
        }
        let path = images.mixed.fill("/studies/{study}/patient?requestedTags=PatientID;0010,0030");
        let patient = site.get(&limited, &path).expect_status(200).unwrap().json().unwrap();
        assert_eq!(patient["Studies"], json!([images.mixed.ids.study]), "{version:?}: the other study is not told of");
        let path = images.mixed.fill("/studies/{study}?requestedTags=StudyDescription");
        assert_eq!(site.get(&limited, &path).status, 200, "{version:?}: the study's own");
    }
}

/// For whoever holds all labels an overridden route is the core's own, arguments included.
#[test]
fn arguments_of_overridden_routes_reach_the_core_as_they_came() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let images = site.fill();
        let reference = Orthanc::builder(version).start().unwrap();
        dicom::upload(&reference.client(), Instance::named("Allowed", "study", "series", "instance").to_bytes())
            .unwrap();
        dicom::label(&reference.client(), &images.allowed.ids.study, "external").unwrap();
        let admin = site.admin();
        for path in [
            "/studies/{study}",
            "/series/{series}/study",
            "/patients/{patient}/studies",
            "/instances/{instance}/patient",
        ] {
            for arguments in [
                "",
                "?short",
                "?full",
                "?requestedTags=0010,0020;PatientName",
                "?requestedTags=0010%2C0020%3BPatientName",
                "?requested-tags=PatientID%3bStudyDate",
                "?requestedTags=0010-0020",
                "?requestedTags=nonsense",
                "?expand=false",
                "?short&requestedTags=StudyDate",
                "?requestedTags=",
            ] {
                let path = images.allowed.fill(&format!("{path}{arguments}"));
                let (got, expected) = (site.get(&admin, &path), reference.client().get(&path).unwrap());
                assert_eq!(got.status, expected.status, "{version:?} {path}: {}", got.text());
                if expected.status == 200 {
                    let tidy = |answer: &Answer| without_times(answer.json().unwrap(), &reference, &site.server);
                    assert_eq!(tidy(&got), tidy(&expected), "{version:?} {path}");
                    assert_eq!(got.header("content-type"), expected.header("content-type"), "{version:?} {path}");
                }
            }
        }
    }
}
