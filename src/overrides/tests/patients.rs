//! Searches for patients: the core is asked about those that may be seen, and about no others.

use super::*;
use crate::testing::study;

/// What the core was asked about patients since the last time: how many each query names.
fn named(bed: &Bed) -> Vec<usize> {
    let calls = std::mem::take(&mut *bed.host.calls.lock());
    let is_search = |call: &str| ["POST /tools/find", "POST /tools/count-resources"].contains(&call);
    let bodies = calls.iter().filter(|(call, _)| is_search(call));
    let bodies = bodies.map(|(_, body)| serde_json::from_str::<Value>(body).unwrap());
    let of_patients = bodies.filter(|body| body["Level"].as_str().unwrap().starts_with("Patient"));
    let named = of_patients.map(|body| {
        if body.get("ParentPatient").is_some() {
            return 1;
        }
        let tags = body["Query"].as_object().unwrap().values().filter_map(Value::as_str);
        let list =
            tags.filter(|value| value.contains('\\')).map(|list| list.split('\\').collect::<BTreeSet<_>>().len());
        list.max().unwrap_or_else(|| panic!("all patients: {body}"))
    });
    named.collect()
}

fn queries() -> Vec<Value> {
    let order = json!([{"Type": "DicomTag", "Key": "PatientID", "Direction": "ASC"}]);
    vec![
        json!({"Level": "Patient", "Query": {}}),
        json!({"Level": "Patients", "Query": {"PatientName": "*"}, "Expand": true, "CaseSensitive": true}),
        json!({"Level": "Patient", "Query": {"PatientID": "1.*"}, "Limit": 2}),
        json!({"Level": "Patient", "Query": {"0010,0020": "1.*", "PatientID": "*"}, "Since": 1, "Limit": 5}),
        json!({"Level": "Patient", "Query": {"0010-0020": "", "00100020": "1.2.*"}}),
        json!({"Level": "Patient", "Query": {}, "OrderBy": order}),
        json!({"Level": "Patient", "Query": {}, "Labels": ["int"], "LabelsConstraint": "None"}),
    ]
}

#[test]
fn the_core_is_asked_about_no_foreign_patient() {
    let foreign = (0..300).map(|number| study(&format!("p{number}"), &format!("s{number}"), &["int"]));
    let (bed, askers) = bed(foreign.chain([study("pa", "a1", &["ext"])]).collect());
    for asker in [&askers[0], &askers[4], &askers[6]] {
        for query in queries() {
            for path in ["/tools/find", "/tools/count-resources"] {
                bed.host.calls.lock().clear();
                let reply = asker.call(&bed, Method::Post, path, query.to_string().as_bytes()).unwrap();
                assert!(matches!(reply, Reply::Answer { .. }), "{query}: {reply:?}");
                assert_eq!(named(&bed), [1], "{query}");
            }
        }
        let parent = |name: &str| json!({"Level": "Patient", "Query": {}, "ParentPatient": id(name)}).to_string();
        let reply = asker.call(&bed, Method::Post, "/tools/find", parent("pa").as_bytes()).unwrap();
        assert_eq!(value(&reply), json!([id("pa")]));
        assert_eq!(named(&bed), [1]);
        let reply = asker.call(&bed, Method::Post, "/tools/find", parent("p1").as_bytes()).unwrap();
        assert_eq!((reply, named(&bed)), (Reply::HostError(HostError::FORBIDDEN), vec![]));
    }
}

#[test]
fn many_patients_are_named_some_at_a_time() {
    // A quarter of them foreign; two studies of some.
    let labels = |number: usize| if number % 4 == 3 { ["int"] } else { ["ext"] };
    let study = |number: usize| study(&format!("p{}", number % 160), &format!("s{number}"), &labels(number));
    let studies: Vec<FakeStudy> = (0..180).map(study).collect();
    let (bed, askers) = bed(studies.clone());
    let ext = &askers[0];
    let expected = |query: &Value| -> Value {
        let allowed = reference(ext, &studies);
        serde_json::from_slice(&allowed.post("/tools/find", query.to_string().as_bytes()).unwrap()).unwrap()
    };
    for mut query in queries() {
        for since in [0, 90, 130] {
            query["Since"] = json!(since);
            query["Expand"] = json!(false);
            let reply = ext.call(&bed, Method::Post, "/tools/find", query.to_string().as_bytes()).unwrap();
            assert_eq!(value(&reply), expected(&query), "{query}");
        }
    }
    named(&bed);
    ext.call(&bed, Method::Post, "/tools/find", br#"{"Level": "Patient", "Query": {}}"#).unwrap();
    assert_eq!(named(&bed), [100, 20]);
    ext.call(&bed, Method::Post, "/tools/find", br#"{"Level": "Patient", "Query": {}, "Limit": 20}"#).unwrap();
    assert_eq!(named(&bed), [100]);
}

/// In every spelling that the core takes for itself, there is none left for the patients.
#[test]
fn a_query_leaves_one_spelling_of_the_patient_id() {
    let (bed, askers) = bed(world());
    let tags = json!({"PatientID": "*", "0010,0020": "*", "0010-0020": "*", "00100020": "*"});
    let query = json!({"Level": "Patient", "Query": tags});
    let reply = askers[0].call(&bed, Method::Post, "/tools/find", query.to_string().as_bytes()).unwrap();
    assert_eq!((reply, named(&bed)), (Reply::HostError(HostError::BAD_REQUEST), vec![]));
}
