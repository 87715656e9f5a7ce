//! Searches below studies whose allowed studies come from a list that was kept.

use std::sync::Arc;

use super::*;
use crate::testing::study;

/// Long enough for a test.
const HOUR: u32 = 3600;

fn studies() -> Vec<FakeStudy> {
    vec![study("pa", "a1", &["ext"]), study("pb", "b1", &["int"]), study("ph", "h1", &["ext"])]
}

/// Another patient's study that carries the UIDs of `of`.
fn twin(of: &str, labels: &[&str]) -> FakeStudy {
    FakeStudy { twin: of.to_owned(), ..study("pz", "z1", labels) }
}

fn search(bed: &Bed, asker: &Asker, level: &str) -> Reply {
    let query = json!({"Level": level, "Query": {}, "Expand": true}).to_string();
    asker.call(bed, Method::Post, "/tools/find", query.as_bytes()).unwrap()
}

/// How often the allowed studies were listed since the last time.
fn listings(bed: &Bed) -> usize {
    let calls = std::mem::take(&mut *bed.host.calls.lock());
    let is_listing = |(call, body): &&(String, String)| {
        call == "POST /tools/find" && body.contains("\"Since\":0") && body.contains("Parent")
    };
    calls.iter().filter(is_listing).count()
}

/// What must be found: as a server with the allowed studies of now has it.
fn expected(bed: &Bed, asker: &Asker, level: &str) -> Vec<Value> {
    let query = json!({"Level": level, "Query": {}, "Expand": true}).to_string();
    let allowed = reference(asker, &bed.host.studies.lock());
    in_order(serde_json::from_slice(&allowed.post("/tools/find", query.as_bytes()).unwrap()).unwrap())
}

/// What is found study by study comes in another order.
fn in_order(list: Value) -> Vec<Value> {
    let mut list = list.as_array().unwrap().clone();
    list.sort_by_key(|resource| resource["ID"].as_str().unwrap().to_owned());
    list
}

#[test]
fn the_allowed_studies_are_listed_once() {
    let (bed, askers) = bed_with_validity(studies(), HOUR);
    let ext = &askers[0];
    assert_eq!(in_order(value(&search(&bed, ext, "Series"))), expected(&bed, ext, "Series"));
    assert_eq!(listings(&bed), 1);
    for level in ["Series", "Instance", "Series"] {
        assert_eq!(in_order(value(&search(&bed, ext, level))), expected(&bed, ext, level));
        let query = json!({"Level": level, "Query": {"PatientID": "*", "StudyDate": ""}}).to_string();
        let count = ext.call(&bed, Method::Post, "/tools/count-resources", query.as_bytes()).unwrap();
        assert_eq!(value(&count)["Count"], json!(expected(&bed, ext, level).len()));
        assert_eq!(listings(&bed), 0, "{level}");
    }
    // Other labels are another list.
    for asker in &askers[1..3] {
        assert_eq!(in_order(value(&search(&bed, asker, "Series"))), expected(&bed, asker, "Series"));
        assert_eq!(listings(&bed), 1);
    }
    // Above series nothing is kept.
    for _ in 0..2 {
        search(&bed, ext, "Patient");
        assert_eq!(listings(&bed), 1);
    }
}

#[test]
fn a_label_that_is_given_or_taken_here_counts_at_once() {
    let (bed, askers) = bed_with_validity(studies(), HOUR);
    let both = &askers[2];
    for (labels, found) in [(&["ext"][..], 4), (&[], 2), (&["int"], 4), (&["foreign"], 2)] {
        bed.host.set_labels("h1", labels);
        bed.host.set_labels("b1", &[]);
        bed.gate.resources.labels_changed();
        let answer = in_order(value(&search(&bed, both, "Series")));
        assert_eq!((&answer, answer.len()), (&expected(&bed, both, "Series"), found), "{labels:?}");
    }
}

/// Another server on the same database, of which nothing is heard.
type Unheard = (&'static str, fn(&mut Vec<FakeStudy>));

#[test]
fn what_others_did_unheard_shows_nothing_foreign() {
    let changes: [Unheard; 6] = [
        ("a study is gone", |studies| studies.retain(|study| study.name != "a1")),
        ("a label is gone", |studies| studies[0].labels.clear()),
        ("another label", |studies| studies[0].labels = BTreeSet::from(["int".to_owned()])),
        ("a foreign twin", |studies| studies.push(twin("h1", &[]))),
        // There are as many carriers of the listed UIDs as were listed.
        ("a study is gone, and another has a foreign twin", |studies| {
            studies.retain(|study| study.name != "a1");
            studies.push(twin("h1", &["int"]));
        }),
        ("a study has become another patient's", |studies| {
            studies.retain(|study| study.name != "a1");
            studies.push(twin("a1", &["int"]));
        }),
    ];
    for (what, change) in changes {
        for level in ["Series", "Instance"] {
            let (bed, askers) = bed_with_validity(studies(), HOUR);
            let ext = &askers[0];
            assert_eq!(in_order(value(&search(&bed, ext, level))), expected(&bed, ext, level));
            change(&mut bed.host.studies.lock());
            assert_eq!(in_order(value(&search(&bed, ext, level))), expected(&bed, ext, level), "{what}, {level}");
        }
    }
}

/// There are as many carriers of the listed UIDs as were listed, and not all of them are allowed.
#[test]
fn what_comes_and_goes_while_it_is_searched_shows_nothing_foreign() {
    for level in ["Series", "Instance"] {
        let (bed, askers) = bed_with_validity(studies(), HOUR);
        let ext = &askers[0];
        let host = Arc::clone(&bed.host);
        // After the allowed studies were listed.
        *bed.host.meanwhile.lock() = Some(Box::new(move || {
            let mut studies = host.studies.lock();
            studies.retain(|study| study.name != "a1");
            studies.push(twin("h1", &["int"]));
        }));
        assert_eq!(in_order(value(&search(&bed, ext, level))), expected(&bed, ext, level), "{level}");
        assert!(bed.host.meanwhile.lock().is_none());
    }
}

/// Changes what the server has after so many of its next answers were made.
pub(super) fn change_after(host: &Arc<FakeHost>, answers: usize, change: fn(&mut Vec<FakeStudy>)) {
    let later = Arc::clone(host);
    *host.meanwhile.lock() = Some(Box::new(move || match answers {
        0 => change(&mut later.studies.lock()),
        left => change_after(&later, left - 1, change),
    }));
}

/// Whoever polls finds the moment.
#[test]
fn a_twin_that_comes_at_any_moment_of_a_search_is_not_shown() {
    // Beside the others, and in the place of one of them.
    let changes: [Unheard; 2] = [
        ("came", |studies| studies.push(twin("h1", &["int"]))),
        ("took a place", |studies| {
            studies.retain(|study| study.name != "a1");
            studies.push(twin("h1", &["int"]));
        }),
    ];
    let other_twin = FakeStudy { twin: "a1".to_owned(), ..study("py", "y1", &["int"]) };
    let order = json!([{"Type": "DicomTag", "Key": "SOPInstanceUID", "Direction": "ASC"}]);
    let queries = [
        json!({"Level": "Series", "Query": {}}),
        json!({"Level": "Instance", "Query": {}, "OrderBy": order}),
        json!({"Level": "Series", "Query": {"StudyInstanceUID": uid("h1")}}),
        json!({"Level": "Series", "Query": {"StudyInstanceUID": uid("h1")}, "Expand": true}),
        json!({"Level": "Study", "Query": {"StudyInstanceUID": uid("h1")}, "Expand": true}),
    ];
    let paths = ["/tools/find", "/tools/count-resources"];
    let mut moments = 0;
    for (query, path) in queries.iter().flat_map(|query| paths.map(|path| (query.to_string(), path))) {
        let as_reference = |bed: &Bed, asker: &Asker| -> Value {
            let allowed = reference(asker, &bed.host.studies.lock());
            serde_json::from_slice(&allowed.post(path, query.as_bytes()).unwrap()).unwrap()
        };
        for (studies, (what, change)) in [studies(), [studies(), vec![other_twin.clone()]].concat()]
            .into_iter()
            .flat_map(|studies| changes.map(|change| (studies.clone(), change)))
        {
            for moment in 0.. {
                let (bed, askers) = bed_with_validity(studies.clone(), HOUR);
                let before = as_reference(&bed, &askers[0]);
                change_after(&bed.host, moment, change);
                let answer = askers[0].call(&bed, Method::Post, path, query.as_bytes()).unwrap();
                if bed.host.meanwhile.lock().is_some() {
                    // It was answered before.
                    break;
                }
                moments += 1;
                if answer == Reply::HostError(HostError::FORBIDDEN) {
                    continue;
                }
                let answer = value(&answer);
                if what == "came" {
                    assert_eq!(ids(&answer), ids(&before), "{query} {path} {what} {moment}");
                } else if let Some(count) = answer["Count"].as_u64() {
                    assert!(Some(count) <= before["Count"].as_u64(), "{query} {path} {what} {moment}");
                } else {
                    // What went away may be there or not.
                    assert!(ids(&answer).is_subset(&ids(&before)), "{query} {path} {what} {moment}");
                }
            }
        }
    }
    assert!(moments > 100, "{moments}");
}

/// The identifiers in an answer; of a number itself.
fn ids(answer: &Value) -> BTreeSet<String> {
    let Some(list) = answer.as_array() else { return BTreeSet::from([answer["Count"].to_string()]) };
    list.iter().map(|one| one.as_str().or(one["ID"].as_str()).unwrap().to_owned()).collect()
}

#[test]
fn a_foreign_twin_does_not_end_what_is_found() {
    let (bed, askers) = bed_with_validity(studies(), HOUR);
    let ext = &askers[0];
    search(&bed, ext, "Series");
    bed.host.studies.lock().push(twin("h1", &[]));
    for _ in 0..3 {
        assert_eq!(in_order(value(&search(&bed, ext, "Series"))), expected(&bed, ext, "Series"));
    }
}

#[test]
fn whoever_shows_a_link_too_is_answered_from_now() {
    let (bed, askers) = bed_with_validity(studies(), HOUR);
    let (ext, with_link) = (&askers[0], &askers[6]);
    search(&bed, ext, "Series");
    for _ in 0..2 {
        listings(&bed);
        assert_eq!(in_order(value(&search(&bed, with_link, "Series"))), expected(&bed, with_link, "Series"));
        // One by label, one by the link's UIDs.
        assert_eq!(listings(&bed), 2);
    }
}

/// As viewers ask: for the study that their link opens, which was looked up some time ago.
#[test]
fn what_a_link_names_is_asked_for_once_and_is_not_what_came_since() {
    let (bed, askers) = bed_with_validity(studies(), HOUR);
    let link = &askers[4];
    let find = |level: &str, expand: bool| {
        let query = json!({"Level": level, "Query": {"StudyInstanceUID": uid("a1")}, "Expand": expand}).to_string();
        bed.host.calls.lock().clear();
        let found = value(&link.call(&bed, Method::Post, "/tools/find", query.as_bytes()).unwrap());
        let calls = std::mem::take(&mut *bed.host.calls.lock());
        (found, calls.iter().filter(|(call, _)| call.starts_with("POST /tools/")).count())
    };
    let (study, _) = find("Study", true);
    assert_eq!(study.as_array().unwrap().len(), 1);
    assert_eq!(find("Study", true), (study.clone(), 1));
    let (series, calls) = find("Series", true);
    assert_eq!((series.as_array().unwrap().len(), calls), (2, 1));
    // Identifiers of series do not say which study they are of.
    let (ids, calls) = find("Series", false);
    assert_eq!((ids.as_array().unwrap().len(), calls), (2, 2));

    bed.host.studies.lock().push(twin("a1", &["int"]));
    assert_eq!(find("Study", true).0, study);
    assert_eq!(find("Series", true).0, series);
    assert_eq!(find("Series", false).0, ids);

    // As many studies carry the UID as were looked up.
    bed.host.studies.lock().retain(|study| study.name != "a1");
    for (level, expand) in [("Study", true), ("Series", true), ("Series", false), ("Instance", true)] {
        assert_eq!(find(level, expand).0, json!([]), "{level}");
    }
}
