use super::super::query::PARENTS;
use super::*;

#[test]
fn wildcards_match_as_dicom_has_them() {
    for (pattern, text, expected) in [
        ("1.2", "1.2", true),
        ("1.2", "1.3", false),
        ("*", "", true),
        ("*", "1.2", true),
        ("1.*", "1.2.3", true),
        ("1.*3", "1.2.3", true),
        ("1.*4", "1.2.3", false),
        ("1.?", "1.2", true),
        ("1.?", "1.", false),
        ("", "1", false),
        ("**", "1", true),
        ("1.2*", "1.2", true),
        ("*.2*.?", "1.2.3", true),
    ] {
        assert_eq!(super::super::query::matches(pattern, text), expected, "{pattern} {text}");
    }
}

/// In a list nothing is a wildcard, as the core has it.
#[test]
fn a_constraint_on_the_study_means_what_the_core_takes_it_for() {
    let long = "*".repeat(1_000_000);
    for (text, uid, expected) in [
        ("", "1.2", true),
        ("1.2", "1.2", true),
        ("1.2", "1.23", false),
        ("1.*", "1.2", true),
        ("1.3\\1.2", "1.2", true),
        ("1.*\\1.3", "1.2", false),
        ("1.*\\1.*", "1.*", true),
        (&format!("1.{long}3"), "1.2.3", true),
        (&"?".repeat(64), &"1".repeat(64), true),
        (&"?".repeat(1_000_000), &"1".repeat(64), false),
        (&"1*".repeat(500_000), "1.2", false),
    ] {
        let query = json!({"Level": "Series", "Query": {"0020-000D": text}}).to_string();
        let query = Query::read(query.as_bytes()).unwrap();
        // As often as there may be studies.
        assert!((0..20_000).all(|_| query.may_mean(uid) == expected), "{:.20} {uid}", text);
    }
}

fn read(body: serde_json::Value) -> Result<(), HostError> {
    Query::read(body.to_string().as_bytes()).map(|_| ())
}

const ID: &str = "0997998b-c11ad936-fb86fe67-789e7552-71a2a0f5";

/// The core takes the patient and ignores the study, so that a check of each gave away the patient's other studies.
#[test]
fn a_query_names_one_parent() {
    for level in ["Series", "Instance"] {
        for member in PARENTS {
            let mut query = json!({"Level": level, "Query": {}});
            query[member] = json!(ID);
            assert_eq!(read(query.clone()), Ok(()), "{query}");
            for other in PARENTS.into_iter().filter(|other| *other != member) {
                let mut query = query.clone();
                query[other] = json!(ID);
                assert_eq!(read(query.clone()), Err(HostError::BAD_REQUEST), "{query}");
            }
        }
    }
}

#[test]
fn a_parent_is_an_identifier_and_no_path() {
    for id in ["", "x", "../statistics", &format!("{ID}/archive"), &format!("{ID}?expand")] {
        let query = json!({"Level": "Series", "Query": {}, "ParentStudy": id});
        assert_eq!(read(query), Err(HostError::FORBIDDEN), "{id}");
    }
    assert_eq!(read(json!({"Level": "Series", "Query": {}, "ParentStudy": [ID]})), Err(HostError::BAD_REQUEST));
}

/// The core reads other tags from the patient's first instance, which may lie in a study outside the labels.
#[test]
fn patients_are_searched_by_what_is_kept_for_them() {
    for (tag, allowed) in [
        ("PatientID", true),
        ("PatientName", true),
        ("0010,0020", true),
        ("0010-0040", true),
        ("00101000", true),
        ("StudyDescription", false),
        ("PatientComments", false),
        ("8,1030", false),
        ("20,1200", false),
        ("0x20,0x1204", false),
        ("0010,002-0", false),
        ("001,00020", false),
        ("patientid", false),
        ("", false),
    ] {
        let expected = if allowed { Ok(()) } else { Err(HostError::FORBIDDEN) };
        assert_eq!(read(json!({"Level": "Patient", "Query": {tag: "*"}})), expected, "by {tag}");
        let wanted = json!({"Level": "Patients", "Query": {}, "RequestedTags": [tag], "Expand": true});
        assert_eq!(read(wanted), expected, "with {tag}");
    }
    assert_eq!(read(json!({"Level": "Study", "Query": {"StudyDescription": "*"}})), Ok(()));
}

/// The metadata of a patient is one record for all of the patient's studies.
#[test]
fn patients_are_not_searched_by_metadata() {
    let order = |kind: &str| json!([{"Type": kind, "Key": "LastUpdate", "Direction": "ASC"}]);
    for (level, expected) in [("Patient", Err(HostError::FORBIDDEN)), ("Study", Ok(()))] {
        assert_eq!(read(json!({"Level": level, "Query": {}, "MetadataQuery": {"note": "a*"}})), expected, "{level}");
        assert_eq!(read(json!({"Level": level, "Query": {}, "OrderBy": order("Metadata")})), expected, "{level}");
        assert_eq!(read(json!({"Level": level, "Query": {}, "OrderBy": order("DicomTag")})), Ok(()), "{level}");
    }
}
