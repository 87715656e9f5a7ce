//! The answers of the overrides, compared with those of a server that holds only what the asker may see.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::*;
use crate::request::Request;
use crate::resource::Level;
use crate::share::ShareResource;
use crate::share::kind::LinkType;
use crate::slot::Staleness;
use crate::testing::{Bed, FakeHost, FakeStudy, NOW, Random, basic, canary, decode, id, uid, world, worlds};

mod askers;
mod deletion;
mod failures;
mod kept_lists;
mod parts;
mod patients;
mod pieces;

use askers::*;

#[test]
fn a_search_is_answered_as_by_a_server_that_holds_only_the_allowed_studies() {
    // Two studies with one UID have a test of their own.
    let studies: Vec<FakeStudy> =
        world().into_iter().filter(|study| study.twin == study.name && study.name != "f1").collect();
    // With lists that are kept, and without.
    let beds = [bed(studies.clone()), bed_with_validity(studies.clone(), 3_600)];
    let mut random = Random(6);
    let (mut answered, mut refused, mut found) = (0, 0, 0);
    for number in 0..worlds(1_500) {
        let (bed, askers) = &beds[usize::from(number % 2 == 0)];
        let asker = &askers[random.below(askers.len())];
        let query = any_query(&mut random);
        let text = Value::Object(query.clone()).to_string();
        // Directly, or as DICOMweb does for QIDO-RS.
        let qido = asker.request(Method::Get, "/dicom-web/studies", &[]);
        let direct = random.chance(70);
        let search = asker.request(Method::Post, "/tools/find", &[]);
        assert!(asker.filter(bed, if direct { &search } else { &qido }));
        let reply = answer_of(bed, RestRequest { request: search, body: text.as_bytes() });
        let count = asker.call(bed, Method::Post, "/tools/count-resources", text.as_bytes()).unwrap();
        let context = || format!("{:?} {text} {reply:?}", asker.labels);
        if is_refused(asker, &query, &studies) {
            assert_eq!(reply, Reply::HostError(HostError::FORBIDDEN), "{}", context());
            assert_eq!(count, Reply::HostError(HostError::FORBIDDEN), "{}", context());
            refused += 1;
            continue;
        }
        let expected = reference(asker, &studies);
        let expected_list: Value =
            serde_json::from_slice(&expected.post("/tools/find", text.as_bytes()).unwrap()).unwrap();
        assert_eq!(value(&reply), expected_list, "{}", context());
        let expected_count = expected.post("/tools/count-resources", text.as_bytes()).unwrap();
        assert_eq!(value(&count), serde_json::from_slice::<Value>(&expected_count).unwrap(), "{}", context());
        answered += 1;
        found += expected_list.as_array().unwrap().len();
    }
    assert!(answered > 200 && refused > 200 && found > 200, "{answered} {refused} {found}");
}

/// What labels others gave a study is not to be known, not even that there are some (servers of 1.12.11 and later).
#[test]
fn a_study_without_labels_is_one_without_labels_that_may_be_known() {
    let (bed, askers) = bed(world());
    let query = json!({"Level": "Study", "Query": {}, "Labels": [], "LabelsConstraint": "None"}).to_string();
    // By a link: one with a foreign label, and one without any; by label and by a link.
    for (asker, expected) in [(0, vec![]), (4, vec!["a1"]), (5, vec!["b1", "c2", "e1"]), (6, vec!["b1"])] {
        let reply = askers[asker].call(&bed, Method::Post, "/tools/find", query.as_bytes()).unwrap();
        let found: BTreeSet<String> = serde_json::from_value(value(&reply)).unwrap();
        assert_eq!(found, expected.into_iter().map(id).collect(), "{asker}");
    }
}

#[test]
fn studies_with_one_uid_are_never_mixed_up() {
    let studies = world();
    let (bed, askers) = bed(studies.clone());
    let ext = &askers[0];
    for level in ["Patient", "Study", "Series", "Instance"] {
        for tags in
            [json!({}), json!({"StudyInstanceUID": uid("f1")}), json!({"StudyInstanceUID": format!("{}*", uid("f1"))})]
        {
            let query = json!({"Level": level, "Query": tags, "Expand": true}).to_string();
            let reply = ext.call(&bed, Method::Post, "/tools/find", query.as_bytes()).unwrap();
            let shown = String::from_utf8_lossy(body(&reply)).into_owned();
            assert!(!shown.contains(&canary("g1")) && !shown.contains(&id("pg")), "{query}: {shown}");
            let allowed = matches!(reply, Reply::Answer { .. }) || reply == Reply::HostError(HostError::FORBIDDEN);
            assert!(allowed, "{query}: {reply:?}");
        }
    }
    let reply = ext.call(&bed, Method::Post, "/tools/find", br#"{"Level": "Study", "Query": {}}"#).unwrap();
    let mut expected = ["a1", "c1", "d1", "f1", "h1", "h2"].map(id);
    expected.sort();
    assert_eq!(value(&reply), json!(expected));
}

#[test]
fn queries_that_are_not_understood_are_not_passed_on() {
    let (bed, askers) = bed(world());
    for (query, expected) in [
        ("", HostError::BAD_REQUEST),
        ("[]", HostError::BAD_REQUEST),
        ("{\"Level\": \"Study\"}", HostError::BAD_REQUEST),
        ("{\"Level\": \"Frame\", \"Query\": {}}", HostError::BAD_REQUEST),
        ("{\"Level\": \"Study\", \"Level\": \"Series\", \"Query\": {}}", HostError::BAD_REQUEST),
        ("{\"Level\": \"Study\", \"Query\": {}, \"labels\": []}", HostError::FORBIDDEN),
        ("{\"Level\": \"Study\", \"Query\": {}, \"Unheard\": 1}", HostError::FORBIDDEN),
        ("{\"Level\": \"Study\", \"Query\": {}, \"Labels\": \"ext\"}", HostError::BAD_REQUEST),
        ("{\"Level\": \"Study\", \"Query\": {}, \"Labels\": [1]}", HostError::BAD_REQUEST),
        ("{\"Level\": \"Study\", \"Query\": {}, \"LabelsConstraint\": \"any\"}", HostError::BAD_REQUEST),
        (
            "{\"Level\": \"Study\", \"Query\": {\"StudyInstanceUID\": \"1\", \"0020,000d\": \"1\"}}",
            HostError::BAD_REQUEST,
        ),
        ("{\"Level\": \"Study\", \"Query\": {}, \"ParentStudy\": 5}", HostError::BAD_REQUEST),
        (
            "{\"Level\": \"Study\", \"Query\": {}, \"RequestedTags\": [\"NumberOfPatientRelatedStudies\"]}",
            HostError::FORBIDDEN,
        ),
    ] {
        bed.host.calls.lock().clear();
        for path in ["/tools/find", "/tools/count-resources"] {
            let reply = askers[0].call(&bed, Method::Post, path, query.as_bytes()).unwrap();
            assert_eq!(reply, Reply::HostError(expected), "{query}");
            assert_eq!(bed.host.count(&format!("POST {path}")), 0, "{query}");
        }
    }
}

/// What would be looked up study by study, or compared with each of them, is bounded before that.
#[test]
fn study_uids_in_odd_spellings_and_numbers_are_refused_at_once() {
    let (bed, askers) = bed(world());
    let many: Vec<String> = (0..1_001).map(|number| format!("1.2.{number}")).collect();
    let own = vec![uid("a1"); 50_000].join("\\");
    for (tag, value, expected) in [
        ("20,d", uid("a1"), Some(HostError::BAD_REQUEST)),
        ("0020/000d", uid("a1"), Some(HostError::BAD_REQUEST)),
        ("(0020000d", uid("a1"), Some(HostError::BAD_REQUEST)),
        ("0020 000d", uid("a1"), Some(HostError::BAD_REQUEST)),
        ("0020,000d ", uid("a1"), Some(HostError::BAD_REQUEST)),
        ("8,1030", "x".to_owned(), Some(HostError::BAD_REQUEST)),
        ("0020,000d", many.join("\\"), Some(HostError::BAD_REQUEST)),
        ("0020,000d", own, None),
    ] {
        for level in ["Study", "Series", "Instance"] {
            for path in ["/tools/find", "/tools/count-resources"] {
                let query = json!({"Level": level, "Query": {tag: value}}).to_string();
                bed.host.calls.lock().clear();
                let reply = askers[6].call(&bed, Method::Post, path, query.as_bytes()).unwrap();
                match expected {
                    Some(error) => {
                        assert_eq!(reply, Reply::HostError(error), "{tag} {level}");
                        assert_eq!(*bed.host.calls.lock(), [], "{tag} {level}");
                    }
                    None => {
                        assert!(matches!(reply, Reply::Answer { .. }), "{tag} {level}: {reply:?}");
                        assert!(bed.host.count("POST /tools/lookup") <= 3, "{tag} {level}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_core_does_the_work_where_the_query_can_say_it() {
    let (bed, askers) = bed(world());
    let searches_of = |asker: &Asker, query: Value| {
        bed.host.calls.lock().clear();
        asker.call(&bed, Method::Post, "/tools/find", query.to_string().as_bytes()).unwrap();
        let calls = bed.host.calls.lock().clone();
        let searches: Vec<Value> = calls
            .iter()
            .filter(|(call, _)| call == "POST /tools/find")
            .map(|(_, body)| serde_json::from_str(body).unwrap())
            .collect();
        searches
    };
    let asked = |query| searches_of(&askers[0], query);
    let narrowed = json!({"Level": "Study", "Query": {"0010,0010": "A*"}, "Labels": ["ext"]});
    assert_eq!(asked(json!({"Level": "Study", "Query": {"PatientName": "A*"}})), [narrowed]);
    // One tag said in two ways counts twice, and what we have no number for is left as it is.
    let odd =
        json!({"PatientName": "A*", "0010,0010": "*B", "0010-0020": "C", "ImageComments": "D", "patientsex": "O"});
    let narrowed = json!({"Level": "Study", "Query": odd, "Labels": ["ext"]});
    assert_eq!(asked(json!({"Level": "Study", "Query": odd})), [narrowed]);
    let labelled = |labels: &[&str], constraint: &str| {
        let labels = json!(labels);
        json!({"Level": "Study", "Query": {}, "Labels": labels, "LabelsConstraint": constraint})
    };
    let own = json!({"Level": "Study", "Query": {}, "Labels": ["ext"]});
    for (labels, constraint) in [(&["ext", "int"][..], "Any"), (&["ext"], "Any"), (&["ext"], "All")] {
        assert_eq!(asked(labelled(labels, constraint)), *std::slice::from_ref(&own), "{labels:?} {constraint}");
    }
    // Of several labels any or all is not the same.
    let both = |query| searches_of(&askers[2], query);
    let any = labelled(&["ext", "int"], "Any");
    for query in [json!({"Level": "Study", "Query": {}}), any.clone()] {
        assert_eq!(both(query), *std::slice::from_ref(&any));
    }
    assert_eq!(both(labelled(&["ext", "int"], "All")), [labelled(&["ext", "int"], "All")]);
    // Nothing is listed where a query names its study.
    let named = |tag: &str| json!({"Level": "Series", "Query": {tag: uid("a1"), "0008,0060": "CT"}});
    assert_eq!(asked(named("StudyInstanceUID")), [named("0020,000d")]);
    let below = json!({"Level": "Series", "Query": {}, "ParentStudy": id("a1")});
    assert_eq!(asked(below.clone()), [below]);
}

#[test]
fn answers_show_only_what_may_be_known() {
    let (bed, askers) = bed(world());
    let (ext, bare) = (&askers[0], &askers[3]);
    let get = |asker: &Asker, path: String| asker.call(&bed, Method::Get, &path, b"").map(|reply| value(&reply));
    assert_eq!(get(ext, format!("/studies/{}", id("d1"))).unwrap()["Labels"], json!(["ext"]));
    assert_eq!(get(ext, format!("/studies/{}/labels", id("d1"))).unwrap(), json!(["ext"]));
    assert_eq!(get(ext, format!("/studies/{}/patient", id("c1"))).unwrap()["Studies"], json!([id("c1")]));
    assert_eq!(get(ext, format!("/instances/{}/patient", id("c1x1"))).unwrap()["Studies"], json!([id("c1")]));
    assert_eq!(get(ext, format!("/patients/{}/studies", id("ph"))).unwrap().as_array().unwrap().len(), 2);
    assert_eq!(get(ext, "/tools/labels".to_owned()).unwrap(), json!(["ext"]));
    assert_eq!(get(bare, "/tools/labels".to_owned()).unwrap(), json!([]));
    assert_eq!(get(ext, format!("/studies/{}", id("b1"))), None);
    // A foreign label is not there, whether it is or not.
    for label in ["int", "never"] {
        let reply = ext.call(&bed, Method::Get, &format!("/studies/{}/labels/{label}", id("d1")), b"");
        assert_eq!(reply, Some(Reply::HostError(HostError::UNKNOWN_RESOURCE)), "{label}");
    }
    assert!(matches!(
        ext.call(&bed, Method::Get, &format!("/studies/{}/labels/ext", id("d1")), b""),
        Some(Reply::Answer { status: 200, .. })
    ));
}

/// The filter lets a request pass before its body is read, which whoever sends it can stretch.
#[test]
fn who_lost_a_key_while_the_body_came_is_answered_nothing_more() {
    let (bed, _) = bed(world());
    let make = |name: &str, owner: &str| bed.make_key(name, owner, |_| ());
    let (keys, other) = ([make("key", "ext"), make("admins", "both")], make("other", "ext"));
    let body = json!({"Level": "Study", "Query": {}}).to_string();
    let found = |text: &str, meanwhile: &dyn Fn()| {
        let headers = vec![("token", text)];
        let request = Request { method: Method::Post, path: "/tools/find", remote: "", headers, arguments: Vec::new() };
        slot::write(&request, false, bed.gate.decide(&request, NOW), Staleness::Cleared, &bed.gate.places);
        meanwhile();
        match answer_of(&bed, RestRequest { request, body: body.as_bytes() }) {
            Reply::HostError(error) => Err(error),
            reply => Ok(value(&reply).as_array().unwrap().len()),
        }
    };
    assert_eq!(found(&other, &|| ()), Ok(6));
    // Somebody else lost something.
    assert_eq!(found(&other, &|| bed.gate.identities.forget()), Ok(6));
    for (text, name) in keys.iter().zip(["key", "admins"]) {
        let delete = || {
            assert!(bed.verifiers().store.delete_api_key(name, None).unwrap());
            bed.gate.identities.forget();
        };
        let answer = found(text, &delete);
        assert!(matches!(answer, Err(HostError::FORBIDDEN) | Ok(0)), "{name}: {answer:?}");
    }
}

#[test]
fn what_comes_while_a_patient_is_listed_is_not_shown() {
    for relation in ["studies", "series", "instances"] {
        let (bed, askers) = bed(world());
        let host = std::sync::Arc::clone(&bed.host);
        let path = format!("/patients/{}/{relation}", id("ph"));
        let request = askers[0].request(Method::Get, &path, &[]);
        assert!(askers[0].filter(&bed, &request));
        // After the patient's studies were looked up, and before the core answers.
        *bed.host.meanwhile.lock() = Some(Box::new(move || {
            host.studies.lock().push(crate::testing::study("ph", "h3", &["int"]));
        }));
        let reply = answer_of(&bed, RestRequest { request, body: b"" });
        assert_eq!(reply, Reply::HostError(HostError::FORBIDDEN), "{relation}");
    }
}

/// Metadata and attachments of a patient are one record for all of the patient's studies.
#[test]
fn what_is_attached_to_a_patient_is_for_who_may_see_all_studies() {
    let (bed, askers) = bed(world());
    let context = Context {
        host: bed.host.as_ref(),
        gate: &bed.gate,
        results: &Results::default(),
        deletions: None,
        dicom_port: None,
    };
    let scope = Scope::of(bed.gate.decide(&askers[0].request(Method::Post, "/tools/find", &[]), NOW).granted);
    let shown = |resource: &str, kind: &str, attached: Value| {
        let mut whole = json!({"ID": id(resource), "Type": kind, "MainDicomTags": {"PatientID": "z"}});
        whole.as_object_mut().unwrap().append(attached.clone().as_object_mut().unwrap());
        let mut answer = whole.clone();
        answers::strip(&context, &scope, &scope.labels(), &mut answer);
        // What the server keeps of a patient is what the first study said, which may be a foreign one.
        let tags = if resource == "pc" { json!({"PatientID": uid("pc")}) } else { whole["MainDicomTags"].clone() };
        assert_eq!(answer["MainDicomTags"], tags, "{resource}");
        (answer == whole, answer)
    };
    let forms = [
        json!({"Metadata": {"note": "x"}, "Attachments": [{"Uuid": "y"}]}),
        // As a single description and an expanded search have it.
        json!({"LastUpdate": "20240101T010101", "IsStable": true, "IsProtected": false, "AnonymizedFrom": id("b1"),
            "ModifiedFrom": id("b1")}),
    ];
    for attached in forms {
        assert!(shown("ph", "Patient", attached.clone()).0);
        assert!(shown("c1", "Study", attached.clone()).0);
        // Of whom a study is foreign.
        let left = shown("pc", "Patient", attached.clone()).1;
        for (member, value) in attached.as_object().unwrap() {
            assert!(left.get(member).is_none_or(|left| left != value && left.as_array().is_none_or(Vec::is_empty)));
        }
    }
}

#[test]
fn a_lookup_finds_only_what_may_be_seen() {
    let (bed, askers) = bed(world());
    let found = |asker: &Asker, name: &str| -> Vec<Value> {
        let reply = asker.call(&bed, Method::Post, "/tools/lookup", uid(name).as_bytes()).unwrap();
        value(&reply).as_array().unwrap().iter().map(|hit| hit["ID"].clone()).collect()
    };
    let stranger = Asker { headers: vec![], labels: vec![], linked: vec![] };
    for (asker, name, expected) in [
        (&askers[0], "a1", vec!["a1"]),
        (&askers[0], "b1", vec![]),
        (&askers[0], "none", vec![]),
        (&askers[0], "f1", vec!["f1"]),
        (&askers[2], "f1", vec!["f1", "g1"]),
        (&askers[0], "a1x1", vec!["a1x1"]),
        (&askers[0], "pa", vec!["pa"]),
        (&askers[0], "pc", vec![]),
        (&askers[4], "a1", vec!["a1"]),
        (&askers[4], "h1", vec![]),
        (&stranger, "a1", vec![]),
        (&stranger, "pa", vec![]),
    ] {
        let expected: Vec<Value> = expected.into_iter().map(|name| json!(id(name))).collect();
        assert_eq!(found(asker, name), expected, "{name}");
    }
}

/// The core walks through all tags that it keeps for a lookup, and strangers may ask for one.
#[test]
fn whoever_may_see_nothing_makes_no_lookup() {
    let (bed, askers) = bed(world());
    let inbox = bed.make_link("inbox", Some("both"), LinkType::Inbox, Vec::new(), |_| ());
    let inbox = Asker { headers: vec![("token", inbox)], labels: vec![], linked: vec![] };
    let stranger = Asker { headers: vec![], labels: vec![], linked: vec![] };
    for asker in [&stranger, &inbox, &askers[3]] {
        for text in [uid("a1"), uid("none"), String::new()] {
            bed.host.calls.lock().clear();
            // A link says how long its bodies are.
            let mut request = asker.request(Method::Post, "/tools/lookup", &[]);
            request.headers.push(("content-length", "10"));
            assert!(asker.filter(&bed, &request));
            let reply = answer_of(&bed, RestRequest { request, body: text.as_bytes() });
            assert_eq!(value(&reply), json!([]));
            assert_eq!(*bed.host.calls.lock(), []);
        }
    }
}

#[test]
fn what_remains_after_a_delete_is_only_what_may_be_known() {
    let remaining = |asker: usize, path: String| {
        let (bed, askers) = bed(world());
        let reply = askers[asker].call(&bed, Method::Delete, &path, b"").unwrap();
        value(&reply)["RemainingAncestor"].clone()
    };
    let patient = |name: &str| json!({"ID": id(name), "Path": format!("/patients/{}", id(name)), "Type": "Patient"});
    assert_eq!(remaining(0, format!("/studies/{}", id("a1"))), Value::Null);
    assert_eq!(remaining(0, format!("/studies/{}", id("h1"))), patient("ph"));
    // c2, which `ext` may not know of, is what keeps the patient.
    assert_eq!(remaining(0, format!("/studies/{}", id("c1"))), Value::Null);
    assert_eq!(remaining(2, format!("/studies/{}", id("c1"))), patient("pc"));
    let study = json!({"ID": id("a1"), "Path": format!("/studies/{}", id("a1")), "Type": "Study"});
    assert_eq!(remaining(0, format!("/series/{}", id("a1x"))), study);
    assert_eq!(remaining(0, format!("/instances/{}", id("a1x1"))), study);
}

#[test]
fn a_uri_is_read_by_the_core_as_it_was_meant() {
    let mut random = Random(7);
    let text = |random: &mut Random| -> String {
        (0..random.below(8))
            .map(|_| random.pick(&['a', '/', '?', '&', '=', '%', '+', ' ', '#', 'é', '\u{0}', '\\', '~', ';', '€']))
            .collect()
    };
    for _ in 0..worlds(20_000) {
        let path = format!("/{}", text(&mut random));
        let arguments: Vec<(String, String)> =
            (0..random.below(3)).map(|_| (text(&mut random), text(&mut random))).collect();
        let request = Request {
            method: Method::Get,
            path: &path,
            remote: "",
            headers: Vec::new(),
            arguments: arguments.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        };
        let uri = core_call::uri(&request, crate::host::HostVersion::new(1, 13, 0));
        assert!(uri.bytes().all(|byte| byte.is_ascii_graphic()), "{uri}");
        let (encoded, query) = uri.split_once('?').unwrap_or((&uri, ""));
        assert_eq!(decode(encoded), path);
        let read: Vec<(String, String)> = match arguments.len() {
            0 => Vec::new(),
            _ => query
                .split('&')
                .map(|part| part.split_once('=').unwrap_or((part, "")))
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
        };
        assert_eq!(read, arguments, "{uri}");
    }
}

fn any_path(random: &mut Random) -> String {
    const PIECES: [&str; 24] = [
        "studies",
        "series",
        "instances",
        "patients",
        "study",
        "patient",
        "labels",
        "ext",
        "int",
        "tools",
        "find",
        "lookup",
        "count-resources",
        "archive",
        "metadata",
        "dicom-web",
        "wado",
        "file",
        "create-archive",
        "..",
        "",
        "%2e",
        "é\n",
        "changes",
    ];
    const RESOURCES: [&str; 16] =
        ["pa", "a1", "a1x", "a1x1", "pb", "b1", "b1x", "b1x1", "pc", "c1", "c2", "c2x1", "e1", "f1", "g1", "none"];
    let mut path = String::new();
    // Half of them as a route has it, so that something gets through.
    if random.chance(60) {
        let level = random.pick(&["studies", "series", "instances", "patients"]);
        path = format!("/{level}/{}", id(random.pick(&RESOURCES)));
        if random.chance(60) {
            path += "/";
            path += random.pick(&[
                "",
                "labels",
                "labels/ext",
                "labels/int",
                "patient",
                "study",
                "studies",
                "series",
                "instances",
                "archive",
                "metadata",
                "file",
            ]);
        }
        return path;
    }
    for _ in 0..random.below(6) {
        path.push('/');
        path += &match random.below(4) {
            0 => id(random.pick(&RESOURCES)),
            1 => uid(random.pick(&RESOURCES)),
            _ => (random.pick(&PIECES)).to_owned(),
        };
    }
    path
}

fn any_body(random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 => uid(random.pick(&["a1", "b1", "pb", "pc", "g1", "f1", "c2x1"])).into_bytes(),
        1 => (0..random.below(30)).map(|_| random.next() as u8).collect(),
        2 => Value::Object(any_query(random))
            .to_string()
            .replacen("Study", random.pick(&["Study", "é", "Patient\\", ""]), 1)
            .into_bytes(),
        _ => Value::Object(any_query(random)).to_string().into_bytes(),
    }
}

/// Links only read, and nobody adds their own label to a study that only a link of theirs opens: neither by what another
/// plugin makes of a search, which is for all of one's credentials together.
#[test]
fn what_a_plugin_changes_on_behalf_of_a_search_is_ones_own_to_change() {
    for (asker, study, may) in [(0, "a1", true), (0, "b1", false), (4, "a1", false), (6, "a1", true), (6, "b1", false)]
    {
        let study_path = format!("/studies/{}", id(study));
        let label_path = format!("{study_path}/labels/ext");
        for (method, path) in [(Method::Put, &label_path), (Method::Delete, &label_path), (Method::Delete, &study_path)]
        {
            let (bed, askers) = bed(world());
            let whose = &askers[asker];
            let search = whose.request(Method::Get, "/dicom-web/studies", &[]);
            assert!(whose.filter(&bed, &search));
            let reply = answer_of(&bed, RestRequest { request: whose.request(method, path, &[]), body: b"" });
            let context = format!("{asker} {} {path}: {reply:?}", method.as_str());
            assert_eq!(matches!(reply, Reply::Answer { .. }), may, "{context}");
            assert_eq!(bed.host.count(&format!("{} {path}", method.as_str())) > 0, may, "{context}");
        }
    }
}

/// Whatever is asked, also by plugins on somebody's behalf: nothing panics, nothing of a foreign study comes out, and no
/// foreign study changes.
#[test]
fn nothing_foreign_comes_out_whatever_is_asked() {
    let studies = world();
    let (bed, askers) = bed(studies.clone());
    let overridden: Vec<regex_automata::meta::Regex> =
        PATTERNS.iter().map(|pattern| regex_automata::meta::Regex::new(&format!("^(?:{pattern})$")).unwrap()).collect();
    let mut random = Random(8);
    let (mut let_through, mut shown) = (0, BTreeSet::new());
    for _ in 0..worlds(4_000) {
        *bed.host.studies.lock() = studies.clone();
        let asker = &askers[random.below(askers.len())];
        let method = random.pick(&[Method::Get, Method::Get, Method::Get, Method::Post, Method::Put, Method::Delete]);
        let (path, argument) =
            (any_path(&mut random), format!("{},{}", id(random.pick(&NAMES)), uid(random.pick(&NAMES))));
        let name = random.pick(&["resources", "StudyInstanceUID", "objectUID", "expand", "é&="]);
        let arguments: Vec<(&str, &str)> = if random.chance(30) { vec![(name, &argument)] } else { vec![] };
        let request = asker.request(method, &path, &arguments);
        let permitted = asker.filter(&bed, &request);
        let body_sent = any_body(&mut random);
        let other_path = any_path(&mut random);
        let on_behalf = random.chance(30);
        let (called, allowed) = if on_behalf {
            let search = random.chance(50);
            let path =
                if search { random.pick(&["/tools/find", "/tools/lookup", "/tools/labels"]) } else { &other_path };
            let method = if search && path != "/tools/labels" {
                Method::Post
            } else {
                random.pick(&[Method::Get, Method::Delete, Method::Put])
            };
            (asker.request(method, path, &[]), permitted)
        } else {
            (request.clone(), permitted)
        };
        if !on_behalf && !permitted {
            continue;
        }
        let callback_path = called.path.trim_end_matches('/').to_owned();
        let is_ours = overridden.iter().any(|regex| regex.is_match(&callback_path));
        if on_behalf && !is_ours {
            continue;
        }
        let described = format!(
            "{} {:?} {:?} by {:?}, behalf of {path}: {on_behalf}",
            called.method.as_str(),
            called.path,
            String::from_utf8_lossy(&body_sent),
            asker.labels
        );
        let answer = if is_ours {
            let called = Request { path: &callback_path, ..called };
            body(&answer_of(&bed, RestRequest { request: called, body: &body_sent })).to_vec()
        } else {
            // What the core or another plugin answers once the filter has let the request through.
            match called.method {
                Method::Get => {
                    bed.host.get(&core_call::uri(&called, crate::host::HostVersion::new(1, 13, 0))).unwrap_or_default()
                }
                _ => Vec::new(),
            }
        };
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let after = bed.host.studies.lock().clone();
        for study in &studies {
            let is_allowed = allowed && asker.may_see(study);
            let shows = answer.contains(&canary(&study.name));
            if shows {
                shown.insert(study.name.clone());
            }
            assert!(is_allowed || !shows, "{} is shown: {described}\n{answer}", study.name);
            let same = after
                .iter()
                .any(|other| other.name == study.name && other.labels == study.labels && other.series == study.series);
            assert!(is_allowed || same, "{} is changed: {described}", study.name);
        }
        let_through += 1;
    }
    slot::clear();
    assert!(let_through > 300 && shown.len() >= 5, "{let_through} {shown:?}");
}
