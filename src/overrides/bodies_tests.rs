//! Every route whose body names resources, against a server that records what it is handed: what is one's own goes
//! through, and nothing foreign, unknown or odd does.

#[path = "bodies_tests/owned.rs"]
mod owned;
#[path = "bodies_tests/world.rs"]
mod world;

use serde_json::{Value, json};
use testbed::dicom::{orthanc_id, uid};
use world::{Recorder, World};

use crate::host::{HostError, Method};
use crate::request::Change;

/// The routes that take any identifiers in `Resources`, with a body that has none yet.
fn listing_routes(world: &World) -> Vec<(String, Value)> {
    vec![
        ("/tools/bulk-delete".to_owned(), json!({})),
        ("/tools/bulk-content".to_owned(), json!({})),
        ("/tools/bulk-modify".to_owned(), json!({"KeepLabels": true, "Replace": {"StudyDescription": "x"}})),
        ("/tools/bulk-anonymize".to_owned(), json!({"KeepLabels": true})),
        (format!("/studies/{}/merge", world.own.study), json!({})),
        ("/modalities/pacs/store".to_owned(), json!({})),
        ("/peers/other/store".to_owned(), json!({})),
    ]
}

const UNKNOWN: &str = "00000000-11111111-22222222-33333333-44444444";

#[test]
fn identifiers_in_bodies_are_all_checked() {
    let world = World::new();
    let World { own, other, foreign, mixed, .. } = &world;
    for (path, body) in listing_routes(&world) {
        world.answers_next(if path.ends_with("content") { json!([]) } else { json!({}) });
        let with = |resources: Value| {
            let mut body = body.clone();
            body["Resources"] = resources;
            body
        };
        for resources in [
            json!([other.study]),
            json!([other.series, other.instance]),
            json!([other.patient, own.instance]),
            json!([]),
        ] {
            let body = with(resources);
            world.hands_on(&path, &body, &body);
        }
        for resources in [
            json!([foreign.study]),
            json!([foreign.series]),
            json!([foreign.instance]),
            json!([foreign.patient]),
            json!([other.study, foreign.study]),
            json!([foreign.study, other.study]),
            json!([UNKNOWN]),
            json!([other.study, UNKNOWN]),
            json!([mixed.patient]),
            json!([other.study_uid]),
            json!([other.study.to_uppercase()]),
            json!([""]),
            json!([format!("{} ", foreign.study)]),
            json!([format!("{}/../{}", other.study, foreign.study)]),
        ] {
            world.refuses(&path, &with(resources));
        }
        let mut unknown = with(json!([other.study]));
        unknown["Unheard-of"] = json!([foreign.study]);
        world.refuses(&path, &unknown);
        let (own, foreign) = (&other.study, &foreign.study);
        for odd in [
            format!(r#"{{"Resources": ["{own}"], "Resources": ["{foreign}"]}}"#),
            format!(r#"{{"Resources": ["{foreign}"], "Resources": ["{own}"]}}"#),
            format!(r#"{{"Resources": "{own}"}}"#),
            format!(r#"{{"Resources": [["{own}"]]}}"#),
            format!(r#"{{"Resources": ["{own}"]}} trailing"#),
            format!(r#"{{"Resources": ["{own}" /* , "{foreign}" */]}}"#),
            "{}".to_owned(),
            "null".to_owned(),
            "\u{feff}{}".to_owned(),
            String::new(),
        ] {
            let (answer, done) = world.post(&world.user, &path, &odd);
            assert!(matches!(answer, Err(HostError::BAD_REQUEST | HostError::FORBIDDEN)), "{path} {odd}: {answer:?}");
            assert_eq!(done, [], "{path} {odd}");
        }
    }
}

/// What is named takes its time to look up, and a patient is all that the server has of it in the end.
#[test]
fn what_comes_to_a_patient_while_the_rest_is_looked_up_is_not_touched() {
    for route in 0..7 {
        let world = World::new();
        let World { own, other, foreign, .. } = &world;
        let (path, mut body) = listing_routes(&world).swap_remove(route);
        body["Resources"] = json!([other.patient, own.instance]);
        let patient = format!("/patients/{}", other.patient);
        let mut more = world.host.resources[&patient].clone();
        more["Studies"] = json!([other.study, foreign.study]);
        *world.host.after.lock().unwrap() = Some((format!("/instances/{}", own.instance), patient, more));
        world.refuses(&path, &body);
        assert!(world.host.after.lock().unwrap().is_none(), "{path}");
    }
}

/// As Orthanc Explorer 2 sends it, to servers before API 33 and since.
#[test]
fn what_is_deleted_may_be_named_with_its_level() {
    const PATH: &str = "/tools/bulk-delete";
    let world = World::new();
    let World { own, other, foreign, mixed, .. } = &world;
    let of = |level: &str, id: &str| json!({"Level": level, "ID": id});
    let sent = json!({"Resources": [own.study, other.study]});
    for resources in [
        json!({"Resources": [own.study, other.study], "Level": "Study"}),
        json!({"Resources": [of("Study", &own.study), of("Study", &other.study)]}),
        json!({"Resources": [of("Study", &own.study), own.study, of("Study", &own.study), other.study]}),
    ] {
        world.hands_on(PATH, &resources, &sent);
    }
    world.hands_on(
        PATH,
        &json!({"Resources": [of("Patient", &own.patient), of("Series", &own.series), of("Instance", &own.instance)]}),
        &json!({"Resources": [own.patient, own.series, own.instance]}),
    );
    for resources in [
        json!([own.study, foreign.study]),
        json!([of("Study", &own.study), of("Study", &foreign.study)]),
        json!([of("Study", &foreign.study)]),
        json!([of("Series", &foreign.series)]),
        json!([of("Patient", &mixed.patient)]),
        json!([of("Study", UNKNOWN)]),
        json!([of("Study", "../changes")]),
        // At another level.
        json!([of("Series", &own.study)]),
        json!([of("Study", &own.series)]),
        json!([own.study, of("Patient", &own.study)]),
        // With more than that.
        json!([{"Level": "Study", "ID": own.study, "Resources": [foreign.study]}]),
    ] {
        world.refuses(PATH, &json!({"Resources": resources, "Level": "Study"}));
    }
    let (own, foreign) = (&own.study, &foreign.study);
    for odd in [
        format!(r#"{{"Resources": [{{"Level": "Study", "ID": "{own}", "ID": "{foreign}"}}]}}"#),
        format!(r#"{{"Resources": [{{"Level": "Study", "Level": "Series", "ID": "{own}"}}]}}"#),
        format!(r#"{{"Resources": [{{"Level": "Study"}}, "{own}"]}}"#),
        format!(r#"{{"Resources": [{{"ID": "{own}"}}]}}"#),
        format!(r#"{{"Resources": [{{"Level": "Frame", "ID": "{own}"}}]}}"#),
        format!(r#"{{"Resources": [{{"Level": 1, "ID": "{own}"}}]}}"#),
        format!(r#"{{"Resources": [{{"Level": "Study", "ID": ["{own}"]}}]}}"#),
        format!(r#"{{"Resources": ["{own}"], "Level": "Frame"}}"#),
        format!(r#"{{"Resources": ["{own}"], "Level": null}}"#),
        format!(r#"{{"Resources": ["{own}"], "Level": "Study", "Level": "Study"}}"#),
    ] {
        let (answer, done) = world.post(&world.user, PATH, &odd);
        assert_eq!((answer, done), (Err(HostError::BAD_REQUEST), vec![]), "{odd}");
    }
    // Other routes take identifiers only.
    let (answer, _) =
        world.post(&world.user, "/tools/bulk-content", &json!({"Resources": [of("Study", own)]}).to_string());
    assert_eq!(answer, Err(HostError::BAD_REQUEST));
}

#[test]
fn what_is_named_often_is_looked_up_once() {
    let world = World::new();
    let World { other, mixed, .. } = &world;
    world.answers_next(json!({}));
    let times = |id: &str, more: &str| json!([vec![id; 10_000], vec![more]].concat());
    let reads = |uri: String| world.host.read.lock().unwrap().iter().filter(|read| **read == uri).count();
    for (path, _) in listing_routes(&world).into_iter().filter(|(path, _)| !path.ends_with("content")) {
        let body = json!({"KeepLabels": true, "Resources": times(&other.patient, &other.study)});
        let body = if path.contains("bulk-a") || path.contains("bulk-m") { body } else { without_labels(body) };
        let (answer, done) = world.post(&world.user, &path, &body.to_string());
        assert!(answer.is_ok(), "{path}: {answer:?}");
        assert_eq!(done[0].2["Resources"], json!([other.patient, other.study]), "{path}");
        // For the body, again after the rest of it, and where a result would change the patient, for that.
        assert!((2..=3).contains(&reads(format!("/patients/{}", other.patient))), "{path}");
        // Refused at the first one that is not allowed, whatever comes after.
        let body = without_labels(json!({"Resources": times(&mixed.patient, UNKNOWN)}));
        let (answer, _) = world.post(&world.user, &path, &body.to_string());
        assert_eq!(answer, Err(HostError::FORBIDDEN), "{path}");
        assert_eq!(reads(format!("/patients/{}", mixed.patient)), 1, "{path}");
        assert_eq!(reads(format!("/patients/{UNKNOWN}")), 0, "{path}");
        let many: Vec<String> = (0..10_001).map(|at| orthanc_id(&[&at.to_string()])).collect();
        let (answer, done) = world.post(&world.user, &path, &json!({"Resources": many}).to_string());
        assert_eq!((answer, done), (Err(HostError::BAD_REQUEST), vec![]), "{path}");
        assert!(world.host.read.lock().unwrap().is_empty() || path.contains("merge"), "{path}");
    }
}

fn without_labels(mut body: Value) -> Value {
    body.as_object_mut().unwrap().remove("KeepLabels");
    body
}

/// In chunks, so that nobody has known before how long it is.
#[test]
fn a_body_that_turns_out_too_long_is_not_read() {
    let world = World::new();
    for path in ["/tools/bulk-delete", "/tools/find", "/tools/count-resources", "/tools/lookup"] {
        let mut body = json!({"Level": "Study", "Query": {}, "Resources": [world.own.study]}).to_string();
        body.push_str(&" ".repeat(4 * 1024 * 1024));
        let (answer, done) = world.post(&world.user, path, &body);
        assert_eq!((answer, done), (Err(HostError::FORBIDDEN), vec![]), "{path}");
        assert!(world.host.read.lock().unwrap().is_empty(), "{path}");
    }
}

#[test]
fn whoever_holds_all_labels_has_bodies_handed_on_untouched() {
    let world = World::new();
    world.answers_next(json!({}));
    for (path, _) in listing_routes(&world) {
        let body = json!({"Unheard-of": world.foreign.study, "Resources": [UNKNOWN]});
        let (answer, done) = world.post(&world.admin, &path, &body.to_string());
        assert_eq!((answer, done), (Ok(json!({})), vec![(Method::Post, path, body)]));
    }
}

#[test]
fn what_is_sent_may_be_named_in_four_ways() {
    let world = World::new();
    world.answers_next(json!({}));
    for path in ["/modalities/pacs/store", "/peers/other/store"] {
        let (own, foreign) = (&world.own.study, &world.foreign.study);
        let expected = (Method::Post, path.to_owned(), json!({"Resources": [own]}));
        for body in [own.clone(), format!("{own}\n"), format!("\"{own}\""), format!("[\"{own}\"]")] {
            let (answer, done) = world.post(&world.user, path, &body);
            assert_eq!((answer, done), (Ok(json!({})), vec![expected.clone()]), "{path} {body}");
        }
        for body in [foreign.clone(), format!("\"{foreign}\""), format!("[\"{own}\", \"{foreign}\"]")] {
            let (answer, done) = world.post(&world.user, path, &body);
            assert_eq!((answer, done), (Err(HostError::FORBIDDEN), vec![]), "{path} {body}");
        }
        // Where the server connects to, and as whom, is the site's to say.
        for member in ["Host", "Port", "CalledAet", "LocalAet", "MoveOriginatorAet", "MoveOriginatorID", "Url"] {
            world.refuses(path, &json!({"Resources": [own], member: "x"}));
        }
    }
}

#[test]
fn one_resource_is_changed_under_its_labels() {
    let world = World::new();
    world.answers_next(json!({"ID": UNKNOWN, "Path": format!("/studies/{UNKNOWN}")}));
    let World { own, foreign, mixed, .. } = &world;
    for (level, id) in [("patients", &own.patient), ("studies", &own.study), ("series", &own.series)] {
        for (change, body) in [
            ("modify", json!({"Replace": {"StudyDescription": "x"}, "KeepSource": false})),
            ("modify", json!({"KeepLabels": false, "Remove": ["StudyDescription"]})),
            ("anonymize", json!({"Keep": ["StudyDescription"], "DicomVersion": "2023b"})),
        ] {
            let mut expected = body.clone();
            expected["KeepLabels"] = json!(true);
            world.hands_on(&format!("/{level}/{id}/{change}"), &body, &expected);
            let foreign = match level {
                "patients" => &foreign.patient,
                "studies" => &foreign.study,
                _ => &foreign.series,
            };
            world.refuses(&format!("/{level}/{foreign}/{change}"), &body);
            world.refuses(&format!("/{level}/{UNKNOWN}/{change}"), &body);
            world.refuses(&format!("/{level}/{}/{change}", own.instance), &body);
        }
    }
    // The patient has a study that is not allowed: modified, the patient's tags would be written anew for both.
    let (modify, anonymize) =
        (format!("/studies/{}/modify", mixed.study), format!("/studies/{}/anonymize", mixed.study));
    world.refuses(&modify, &json!({"Replace": {"PatientName": "x"}}));
    world.refuses(&anonymize, &json!({"Keep": ["PatientID"], "Force": true}));
    world.hands_on(&anonymize, &json!({}), &json!({"KeepLabels": true}));
}

#[test]
fn a_result_enters_no_study_or_patient_that_is_here() {
    let world = World::new();
    world.answers_next(json!({}));
    let World { own, other, foreign, .. } = &world;
    let new = uid("new");
    for (path, base) in [
        (format!("/studies/{}/modify", own.study), json!({})),
        (format!("/series/{}/modify", own.series), json!({})),
        (format!("/studies/{}/anonymize", own.study), json!({})),
        ("/tools/bulk-modify".to_owned(), json!({"Resources": [own.instance], "Level": "Study"})),
        ("/tools/bulk-anonymize".to_owned(), json!({"Resources": [own.series]})),
    ] {
        let with = |replace: Value| {
            let mut body = base.clone();
            body["Force"] = json!(true);
            body["KeepLabels"] = json!(true);
            body["Replace"] = replace;
            body
        };
        for tag in ["StudyInstanceUID", "0020,000d", "0020-000D", "0020000d"] {
            world.refuses(&path, &with(json!({tag: foreign.study_uid})));
            world.refuses(&path, &with(json!({tag: format!(" {} ", foreign.study_uid)})));
            // Merging is for that.
            world.refuses(&path, &with(json!({tag: other.study_uid})));
            world.refuses(&path, &with(json!({tag: "data:text/plain;base64,MS4y"})));
            let body = with(json!({tag: new}));
            world.hands_on(&path, &body, &body);
            let body = with(json!({tag: own.study_uid}));
            world.hands_on(&path, &body, &body);
        }
        for tag in ["(0020,000d)", "20,d", " StudyInstanceUID", "studyInstanceUID"] {
            world.refuses(&path, &with(json!({tag: new})));
        }
        for tag in ["PatientID", "0010,0020", "0010-0020", "00100020"] {
            world.refuses(&path, &with(json!({tag: "FOREIGN"})));
            world.refuses(&path, &with(json!({tag: "MIXED"})));
            world.refuses(&path, &with(json!({tag: "data:,FOREIGN"})));
            world.refuses(&path, &with(json!({tag: "FOREIGN\\X"})));
            // To the core the patient `P|S` is the study `S` of the patient `P`.
            world.refuses(&path, &with(json!({tag: format!("FOREIGN|{}", foreign.study_uid)})));
            world.refuses(&path, &with(json!({tag: "FOREIGN\u{e9}"})));
            let body = with(json!({tag: "NEW"}));
            world.hands_on(&path, &body, &body);
            let body = with(json!({tag: "OTHER"}));
            world.hands_on(&path, &body, &body);
        }
        let twice = with(json!({"0020,000d": new, "StudyInstanceUID": new})).to_string();
        let (answer, done) = world.post(&world.user, &path, &twice);
        assert_eq!((answer, done), (Err(HostError::BAD_REQUEST), vec![]));
    }
}

#[test]
fn two_studies_with_one_uid_stay_apart() {
    let mut host = Recorder::default();
    let (mine, theirs) = (host.add("ONE", "same", &["external"]), host.add("TWO", "same", &["internal"]));
    assert_eq!(mine.study_uid, theirs.study_uid);
    let world = World::with(host);
    world.answers_next(json!({}));
    let path = format!("/studies/{}/modify", mine.study);
    world.refuses(&path, &json!({"Force": true, "Keep": ["StudyInstanceUID"], "Replace": {"PatientID": "NEW"}}));
    world.refuses(&path, &json!({"Force": true, "Keep": ["0020,000d"]}));
    let body = json!({"KeepLabels": true, "Replace": {"StudyDescription": "x"}});
    world.hands_on(&path, &body, &body);
}

#[test]
fn sources_under_other_labels_do_not_come_together() {
    let world = World::new();
    world.answers_next(json!({}));
    let with = |resources: Value| {
        let replace = json!({"StudyInstanceUID": uid("new"), "PatientID": "NEW"});
        json!({"Resources": resources, "Force": true, "KeepLabels": true, "Replace": replace})
    };
    world.refuses("/tools/bulk-modify", &with(json!([world.own.study, world.mixed.study])));
    let same = with(json!([world.own.study, world.other.study]));
    world.hands_on("/tools/bulk-modify", &same, &same);
}

#[test]
fn a_study_is_split_under_its_labels() {
    let world = World::new();
    let World { own, other, foreign, .. } = &world;
    let path = format!("/studies/{}/split", own.study);
    let labels = |study: &str| {
        ["external", "internal"].map(|label| (Method::Put, format!("/studies/{study}/labels/{label}"), Value::Null))
    };
    world.answers_next(json!({"TargetStudy": UNKNOWN}));
    let body = json!({"Series": [own.series], "Instances": [own.instance]});
    let (answer, done) = world.post(&world.user, &path, &body.to_string());
    assert!(answer.is_ok());
    assert_eq!(done.first(), Some(&(Method::Post, path.clone(), body)));
    assert_eq!(done.get(1..), Some(&labels(UNKNOWN)[..]));

    // As a job: the labels follow when it has ended, once.
    world.answers_next(json!({"ID": "job-1", "Path": "/jobs/job-1"}));
    world.has("/jobs/job-1", json!({"State": "Running", "Content": {"TargetStudy": UNKNOWN}}));
    let body = json!({"Series": [own.series], "Asynchronous": true});
    let (answer, done) = world.post(&world.user, &path, &body.to_string());
    assert_eq!((answer.is_ok(), done.len()), (true, 1));
    world.has("/jobs/job-1", json!({"State": "Success", "Content": {"TargetStudy": UNKNOWN}}));
    world.callbacks.change(Change::JobEnded("job-1".to_owned()));
    world.callbacks.change(Change::JobEnded("job-1".to_owned()));
    assert_eq!(world.host.done.lock().unwrap().get(1..), Some(&labels(UNKNOWN)[..]));

    // The job may be over before its identifier is told.
    world.answers_next(json!({"ID": "job-2", "Path": "/jobs/job-2"}));
    world.has("/jobs/job-2", json!({"State": "Success", "Content": {"TargetStudy": UNKNOWN}}));
    let (_, done) = world.post(&world.user, &path, &body.to_string());
    assert_eq!(done.get(1..), Some(&labels(UNKNOWN)[..]));

    world.refuses(&path, &json!({"Series": [foreign.series]}));
    world.refuses(&path, &json!({"Series": [own.series], "Instances": [foreign.instance]}));
    world.refuses(&path, &json!({"Series": [own.instance]}));
    world.refuses(&path, &json!({"Instances": [other.series]}));
    world.refuses(&path, &json!({"Series": [own.series], "Replace": {"PatientID": "FOREIGN"}}));
    world.refuses(&path, &json!({"Series": [own.series], "Replace": {"0010,0020.x": "FOREIGN"}}));
    // Without a PatientID it would enter the patient whose PatientID is empty, whoever that is.
    for tag in ["PatientID", "0010,0020", "0010-0020", "00100020", "10,20", "0010-xxxx"] {
        world.refuses(&path, &json!({"Series": [own.series], "Remove": ["StudyDescription", tag]}));
    }
    world.refuses(&format!("/studies/{}/split", foreign.study), &json!({"Series": [own.series]}));
    world.refuses(&format!("/studies/{}/merge", foreign.study), &json!({"Resources": [own.series]}));
}

#[test]
fn content_shows_no_foreign_label_and_no_patient_with_foreign_studies() {
    let world = World::new();
    let body = json!({"Resources": [world.own.instance], "Level": "Study"});
    world.answers_next(json!([world.host.resources[&format!("/studies/{}", world.own.study)]]));
    let (answer, _) = world.post(&world.user, "/tools/bulk-content", &body.to_string());
    assert_eq!(answer.unwrap()[0]["Labels"], json!(["external"]));
    let body = json!({"Resources": [world.mixed.instance], "Level": "Patient"});
    world.answers_next(json!([world.host.resources[&format!("/patients/{}", world.mixed.patient)]]));
    let (answer, _) = world.post(&world.user, "/tools/bulk-content", &body.to_string());
    assert_eq!(answer, Err(HostError::FORBIDDEN));
}

#[test]
fn content_in_another_shape_than_expected_is_not_shown() {
    let world = World::new();
    let body = json!({"Resources": [world.own.instance]}).to_string();
    let foreign = world.host.resources[&format!("/studies/{}", world.foreign.study)].clone();
    for odd in [foreign.clone(), json!({"Answers": [foreign]}), json!(world.foreign.study), Value::Null] {
        world.answers_next(odd.clone());
        let (answer, _) = world.post(&world.user, "/tools/bulk-content", &body);
        assert_eq!(answer, Err(HostError::PLUGIN), "{odd}");
    }
    // A list of studies that is none is not looked into, and so not shown.
    let mut own = world.host.resources[&format!("/studies/{}", world.own.study)].clone();
    own["Studies"] = json!({"0": world.foreign.study});
    world.answers_next(json!([own]));
    let (answer, _) = world.post(&world.user, "/tools/bulk-content", &body);
    assert_eq!(answer.unwrap()[0]["Studies"], json!([]));
}
