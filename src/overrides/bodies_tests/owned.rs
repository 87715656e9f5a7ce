//! What a body starts belongs to whoever sent it.

use serde_json::json;
use testbed::dicom::uid;

use super::world::World;
use crate::host::{HostError, Method};

#[test]
fn jobs_and_queries_belong_to_who_started_them() {
    let world = World::new();
    world.answers_next(json!({"ID": "0b-0b", "Path": "/jobs/0b-0b"}));
    let body = json!({"Resources": [world.own.study], "Synchronous": false});
    assert!(world.post(&world.user, "/modalities/pacs/store", &body.to_string()).0.is_ok());
    world.answers_next(json!({"ID": "0e-0e", "Path": "/queries/0e-0e"}));
    let body = json!({"Level": "Study", "Query": {"PatientID": "X"}});
    assert!(world.post(&world.user, "/modalities/pacs/query", &body.to_string()).0.is_ok());
    for (method, path, own) in [
        (Method::Get, "/jobs/0b-0b", true),
        (Method::Post, "/jobs/0b-0b/cancel", true),
        (Method::Post, "/jobs/0b-0b/resubmit", false),
        (Method::Post, "/jobs/0b-0b/pause", false),
        (Method::Get, "/jobs/0e-0e", false),
        (Method::Get, "/jobs/0f-0f", false),
        (Method::Get, "/jobs", false),
        (Method::Get, "/queries/0e-0e/answers", true),
        (Method::Get, "/queries/0e-0e/answers/0/content", true),
        (Method::Get, "/queries/0b-0b/answers", false),
        (Method::Get, "/queries/0f-0f/answers", false),
        (Method::Get, "/queries", false),
    ] {
        assert_eq!(world.passes(method, path, &world.user), own, "{method:?} {path}");
        assert!(!world.passes(method, path, &world.friend), "{method:?} {path}: somebody else's");
        // There is no rule for the list of queries.
        assert!(world.passes(method, path, &world.admin) || path == "/queries", "{method:?} {path}");
    }
}

#[test]
fn nothing_is_retrieved_into_a_study_that_is_here_and_foreign() {
    let world = World::new();
    world.answers_next(json!({"ID": "0e-0e", "Path": "/queries/0e-0e"}));
    let body = json!({"Level": "Study", "Query": {"PatientID": "X"}});
    assert!(world.post(&world.user, "/modalities/pacs/query", &body.to_string()).0.is_ok());
    let at = |level: &str, uid: &str| json!({"QueryRetrieveLevel": level, "StudyInstanceUID": uid, "PatientID": "X"});
    let answer = |uid: &str| at("STUDY", uid);
    let (new, own, foreign) = (answer(&uid("new")), answer(&world.own.study_uid), answer(&world.foreign.study_uid));
    world.answers_next(json!({"ID": "0b-0b", "Path": "/jobs/0b-0b"}));
    let (all, one) = ("/queries/0e-0e/retrieve", "/queries/0e-0e/answers/1/retrieve");
    for (answers, allowed) in [
        (json!([new, own]), true),
        (json!([own, new]), true),
        (json!([new, foreign]), false),
        (json!([own, at("SERIES", &world.own.study_uid)]), true),
        (json!([own, at("IMAGE", &world.own.study_uid)]), true),
        (json!([own, {"QueryRetrieveLevel": "STUDY", "PatientID": "X"}]), false),
        // All studies of the patient would come.
        (json!([own, at("PATIENT", &world.own.study_uid)]), false),
        (json!([own, {"StudyInstanceUID": world.own.study_uid, "PatientID": "X"}]), false),
        (json!([own, answer("1.*")]), false),
    ] {
        world.has("/queries/0e-0e/answers?expand&simplify", answers.clone());
        world.has("/queries/0e-0e/answers/1/content?simplify", answers[1].clone());
        for path in [all, one] {
            for body in ["", "STORESCP", r#"{"Asynchronous":true}"#] {
                let (got, done) = world.post(&world.user, path, body);
                assert_eq!((got.is_ok(), done.len()), (allowed, usize::from(allowed)), "{path} {body} {answers}");
            }
            let (got, done) = world.post(&world.user, path, r#"{"TargetAet": "A", "Unheard-of": 1}"#);
            assert_eq!((got, done), (Err(HostError::FORBIDDEN), vec![]));
            let (got, done) = world.post(&world.friend, path, "");
            assert_eq!((got, done), (Err(HostError::FORBIDDEN), vec![]));
        }
    }
    assert!(world.passes(Method::Get, "/jobs/0b-0b", &world.user));
    assert!(!world.passes(Method::Get, "/jobs/0b-0b", &world.friend));
}
