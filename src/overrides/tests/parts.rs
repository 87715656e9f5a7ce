//! Searches among more allowed studies than are named at once.

use super::kept_lists::change_after;
use super::*;
use crate::route::tags;
use crate::testing::study;

/// Two parts.
const MANY: usize = 120;

/// So many of one's own, and a third of that foreign.
fn studies(many: usize) -> Vec<FakeStudy> {
    let labels = |number: usize| if number % 4 == 3 { ["int"] } else { ["ext"] };
    (0..many * 4 / 3).map(|number| study(&format!("p{number}"), &format!("s{number}"), &labels(number))).collect()
}

/// Another patient's study that carries the UIDs of `of`.
fn twin(of: &str, labels: &[&str]) -> FakeStudy {
    FakeStudy { twin: of.to_owned(), ..study("pz", &format!("z{of}"), labels) }
}

fn ask(bed: &Bed, asker: &Asker, query: &Value) -> Value {
    value(&asker.call(bed, Method::Post, "/tools/find", query.to_string().as_bytes()).unwrap())
}

fn ids(answer: &Value) -> Vec<String> {
    answer.as_array().unwrap().iter().map(|one| one.as_str().or(one["ID"].as_str()).unwrap().to_owned()).collect()
}

/// As a server with the allowed studies only has it, in no order.
fn expected(bed: &Bed, asker: &Asker, query: &Value) -> BTreeSet<String> {
    let allowed = reference(asker, &bed.host.studies.lock());
    ids(&serde_json::from_slice(&allowed.post("/tools/find", query.to_string().as_bytes()).unwrap()).unwrap())
        .into_iter()
        .collect()
}

/// How many UIDs each search since the last time named, without the listing of the allowed studies.
fn named(bed: &Bed) -> Vec<usize> {
    let calls = std::mem::take(&mut *bed.host.calls.lock());
    let searches = calls.iter().filter(|(call, _)| call == "POST /tools/find");
    let searches = searches.map(|(_, body)| serde_json::from_str::<Value>(body).unwrap());
    let named = searches.filter_map(|body| Some(body["Query"][tags::STUDY_UID].as_str()?.split('\\').count()));
    named.collect()
}

#[test]
fn parts_together_give_what_one_query_would() {
    for validity in [0, 3_600] {
        let (bed, askers) = bed_with_validity(studies(MANY), validity);
        for asker in [&askers[0], &askers[2], &askers[6]] {
            for (level, expand) in [("Series", true), ("Instance", false)] {
                let query = json!({"Level": level, "Query": {}, "Expand": expand});
                let found = ids(&ask(&bed, asker, &query));
                let set: BTreeSet<String> = found.iter().cloned().collect();
                assert_eq!(found.len(), set.len(), "{level}");
                assert!(set == expected(&bed, asker, &query), "{level}");
            }
        }
        // Without some labels, which the core cannot be told for studies of several labels otherwise.
        let query = json!({"Level": "Study", "Query": {}, "Labels": ["int"], "LabelsConstraint": "None"});
        let both = &askers[2];
        assert!(ids(&ask(&bed, both, &query)).into_iter().collect::<BTreeSet<_>>() == expected(&bed, both, &query));
    }
}

#[test]
fn pages_of_parts_are_pages_of_the_whole() {
    let (bed, askers) = bed_with_validity(studies(MANY), 3_600);
    let ext = &askers[0];
    let whole = ids(&ask(&bed, ext, &json!({"Level": "Series", "Query": {}})));
    for limit in [1, 70, 150, 1_000] {
        let mut pages = Vec::new();
        while let page =
            ids(&ask(&bed, ext, &json!({"Level": "Series", "Query": {}, "Since": pages.len(), "Limit": limit})))
            && !page.is_empty()
        {
            assert!(page.len() <= limit);
            pages.extend(page);
            if limit == 1 && pages.len() == 5 {
                break;
            }
        }
        assert_eq!(pages, whole[..pages.len()], "{limit}");
        assert!(limit == 1 || pages.len() == whole.len(), "{limit}");
    }
}

/// Parts end where they end whatever page is asked for, and whatever others have.
#[test]
fn pages_fit_together_beside_twins() {
    let series = json!({"Level": "Series", "Query": {}});
    let unlabelled = json!({"Level": "Study", "Query": {}, "Labels": ["int"], "LabelsConstraint": "None"});
    let twins: [&[FakeStudy]; 2] = [&[], &[twin("s100", &[]), twin("s102", &["ext"]), twin("s400", &[])]];
    for twins in twins {
        let (bed, askers) = bed_with_validity([&studies(400)[..], twins].concat(), 3_600);
        for (asker, query) in [(&askers[0], &series), (&askers[2], &unlabelled)] {
            let page = |since: usize, limit: usize| {
                let mut query = query.clone();
                query["Since"] = json!(since);
                query["Limit"] = json!(limit);
                ids(&ask(&bed, asker, &query))
            };
            let whole = ids(&ask(&bed, asker, query));
            assert!(whole.iter().cloned().collect::<BTreeSet<_>>() == expected(&bed, asker, query), "{query}");
            assert_eq!(page(170, 0), whole[170..], "{query}");
            let mut pages = Vec::new();
            while let page = page(pages.len(), 300)
                && !page.is_empty()
            {
                pages.extend(page);
            }
            assert_eq!(pages, whole, "{query} beside {}", twins.len());
        }
    }
}

/// What comes after much that does not fit may fit all at once.
#[test]
fn no_more_is_named_than_before_where_suddenly_much_is_found() {
    let many =
        |letter: char, many: usize| (0..many).map(move |number| study("p", &format!("{letter}{number}"), &["ext"]));
    let (bed, askers) = bed_with_validity(many('a', 700).chain(many('b', 500)).collect(), 3_600);
    let query = json!({"Level": "Series", "Query": {"SeriesInstanceUID": format!("{}*", uid("b"))}});
    assert_eq!(ids(&ask(&bed, &askers[0], &query)).len(), 1_000);
    assert_eq!(named(&bed), [100, 200, 400, 250, 250]);
}

/// Metadata are compared as tags are: with regard to case if it is asked for, and else without.
#[test]
fn case_counts_for_metadata_where_it_was_asked_for() {
    let (bed, askers) = bed_with_validity(studies(MANY), 0);
    for case_sensitive in [false, true] {
        let query = json!({"Level": "Series", "Query": {}, "MetadataQuery": {"RemoteAET": "a*"}, "CaseSensitive": case_sensitive});
        bed.host.calls.lock().clear();
        ask(&bed, &askers[0], &query);
        let calls = bed.host.calls.lock().clone();
        let sent = calls.iter().filter(|(_, body)| body.contains("RemoteAET"));
        let sent: Vec<Value> = sent.map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
        assert_eq!(sent.len(), 2);
        assert!(sent.iter().all(|body| (body["CaseSensitive"] == json!(true)) == case_sensitive), "{sent:?}");
    }
}

/// Beside a twin as little is compared at a time as without one.
#[test]
fn what_is_counted_beside_a_twin_is_found_in_parts() {
    for (asker, query) in [
        (0, json!({"Level": "Instance", "Query": {}})),
        (2, json!({"Level": "Study", "Query": {}, "Labels": ["int"], "LabelsConstraint": "None"})),
    ] {
        let (bed, askers) = bed_with_validity([&studies(290)[..], &[twin("s0", &[])]].concat(), 0);
        let asker = &askers[asker];
        assert_eq!(count(&bed, asker, &query)["Count"], json!(expected(&bed, asker, &query).len()));
        assert!(named(&bed).into_iter().all(|named| named <= 250));
    }
}

/// One patient's studies are few, and no two have one UID.
#[test]
fn a_search_in_one_patient_is_about_that_patient_alone() {
    let own = study("p0", "t0", &["ext"]);
    let (bed, askers) = bed_with_validity([&studies(260)[..], &[own, twin("s0", &[])]].concat(), 3_600);
    let query = json!({"Level": "Series", "Query": {}, "ParentPatient": id("p0")});
    for _ in 0..2 {
        bed.host.calls.lock().clear();
        let found = ids(&ask(&bed, &askers[0], &query));
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), ["s0x", "s0y", "t0x", "t0y"].map(id).into());
        assert_eq!(count(&bed, &askers[0], &query), json!({"Count": 4}));
        assert!(named(&bed).into_iter().all(|named| named <= 2));
    }
    // Among the patient's own there is no twin, so that it may be ordered however many others there are.
    let order = json!([{"Type": "DicomTag", "Key": "SeriesInstanceUID", "Direction": "ASC"}]);
    let query = json!({"Level": "Series", "Query": {}, "ParentPatient": id("p1"), "OrderBy": order});
    assert_eq!(ids(&ask(&bed, &askers[0], &query)).len(), 2);
}

/// To the core the UID of one's own is a list, in which somebody else's study stands.
#[test]
fn a_uid_that_is_a_list_names_nobody_elses_study() {
    let mut own = study("pq", "q1", &["ext"]);
    own.twin = "q\\b1".to_owned();
    for more in [0, MANY] {
        for validity in [0, 3_600] {
            let foreign = study("pb", "b1", &["int"]);
            let (bed, askers) = bed_with_validity([&studies(more)[..], &[own.clone(), foreign]].concat(), validity);
            for asker in [&askers[0], &askers[6]] {
                for level in ["Study", "Series", "Instance"] {
                    for labels in [json!(["int"]), json!([])] {
                        let query = json!({"Level": level, "Query": {}, "Labels": labels, "LabelsConstraint": "None"});
                        let found = ids(&ask(&bed, asker, &query));
                        let allowed = expected(&bed, asker, &query);
                        assert!(found.iter().all(|id| allowed.contains(id)), "{query}");
                        let count = count(&bed, asker, &query)["Count"].as_u64();
                        assert_eq!(count, Some(found.len() as u64), "{query}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_study_without_a_uid_names_nobody_elses_study() {
    let mut own = study("pq", "q1", &["ext"]);
    own.twin = String::new();
    for more in [0, 1, MANY] {
        let foreign = study("pb", "b1", &["int"]);
        let (bed, askers) = bed_with_validity([&studies(more)[..], &[own.clone(), foreign]].concat(), 0);
        for level in ["Study", "Series", "Instance"] {
            for labels in [json!(["int"]), json!([])] {
                let query = json!({"Level": level, "Query": {}, "Labels": labels, "LabelsConstraint": "None"});
                let found = ids(&ask(&bed, &askers[0], &query));
                let allowed = expected(&bed, &askers[0], &query);
                assert!(found.iter().all(|id| allowed.contains(id)), "{query}");
                assert_eq!(count(&bed, &askers[0], &query)["Count"].as_u64(), Some(found.len() as u64), "{query}");
            }
        }
    }
}

#[test]
fn no_more_is_named_than_the_answer_needs() {
    let (bed, askers) = bed_with_validity(studies(560), 3_600);
    let ext = &askers[0];
    ask(&bed, ext, &json!({"Level": "Series", "Query": {}}));
    assert_eq!(named(&bed), [100, 460]);
    ask(&bed, ext, &json!({"Level": "Series", "Query": {}, "Limit": 20}));
    assert_eq!(named(&bed), [100]);
    // Where the core compares something without regard to case, it takes longer.
    ask(&bed, ext, &json!({"Level": "Series", "Query": {"PatientID": "1.*"}}));
    assert_eq!(named(&bed), [100, 250, 210]);
    // Where little is found, more are named at a time.
    let one = json!({"Level": "Series", "Query": {"SeriesInstanceUID": uid("s0x")}});
    assert_eq!(ids(&ask(&bed, ext, &one)), [id("s0x")]);
    assert_eq!(named(&bed), [100, 200, 260]);
    // How many there are is asked at once, unless the core has to be asked which: it counts nothing by case.
    let mut query = json!({"Level": "Series", "Query": {"PatientID": "*", "SeriesInstanceUID": "1.*"}});
    assert_eq!((count(&bed, ext, &query), named(&bed)), (json!({"Count": 1_120}), vec![]));
    query["CaseSensitive"] = json!(true);
    assert_eq!((count(&bed, ext, &query), named(&bed)), (json!({"Count": 1_120}), vec![100, 250, 210]));
}

fn count(bed: &Bed, asker: &Asker, query: &Value) -> Value {
    value(&asker.call(bed, Method::Post, "/tools/count-resources", query.to_string().as_bytes()).unwrap())
}

#[test]
fn more_than_one_query_may_name_are_counted_in_several() {
    for validity in [0, 3_600] {
        let (bed, askers) = bed_with_validity(studies(360), validity);
        let ext = &askers[0];
        let query = json!({"Level": "Series", "Query": {}, "Limit": 5});
        bed.host.calls.lock().clear();
        assert_eq!(count(&bed, ext, &query), json!({"Count": 720}));
        let calls = bed.host.calls.lock().clone();
        let named = calls.iter().filter(|(call, _)| call == "POST /tools/count-resources").map(|(_, body)| {
            let body: Value = serde_json::from_str(body).unwrap();
            body["Query"][tags::STUDY_UID].as_str().unwrap().split('\\').count()
        });
        // Each time how much there is, and whether nobody else's study has one of the UIDs.
        assert_eq!(named.collect::<Vec<_>>(), [300, 300, 60, 60]);
        // What was kept does not hold any more; a foreign one has a UID.
        {
            let mut studies = bed.host.studies.lock();
            studies.extend([twin("s0", &["int"]), twin("s350", &[])]);
            studies.iter_mut().filter(|study| study.name == "s1").for_each(|study| study.labels.clear());
        }
        assert_eq!(count(&bed, ext, &query), json!({"Count": 718}));
    }
}

#[test]
fn very_much_in_order_is_refused_without_a_limit() {
    let ask = |many: usize, limit: Option<usize>| {
        let (bed, askers) = bed_with_validity(studies(many), 0);
        let mut query = json!({"Level": "Series", "Query": {},
            "OrderBy": [{"Type": "DicomTag", "Key": "SeriesInstanceUID", "Direction": "ASC"}]});
        if let Some(limit) = limit {
            query["Limit"] = json!(limit);
        }
        let counted = count(&bed, &askers[0], &query)["Count"].as_u64().unwrap();
        assert_eq!(counted, 2 * many as u64, "the order does not matter to it");
        match askers[0].call(&bed, Method::Post, "/tools/find", query.to_string().as_bytes()).unwrap() {
            Reply::HostError(error) => Err(error),
            reply => Ok(value(&reply).as_array().unwrap().len()),
        }
    };
    assert_eq!(ask(200, None), Ok(400));
    for (many, limit) in [(201, None), (201, Some(0)), (299, Some(270)), (301, Some(10))] {
        assert_eq!(ask(many, limit), Err(HostError::FORBIDDEN), "{many} {limit:?}");
    }
    assert_eq!(ask(201, Some(200)), Ok(200));
    // Where the core ends at no limit, or must not, it would compare everything.
    let order = json!([{"Type": "DicomTag", "Key": "PatientID", "Direction": "ASC"}]);
    let mut query = json!({"Level": "Series", "Query": {"PatientID": "1.*"}, "OrderBy": order, "Limit": 10});
    let refused = Some(Reply::HostError(HostError::FORBIDDEN));
    let (bed, askers) = bed_with_validity(studies(201), 0);
    let ask = |query: &Value| askers[0].call(&bed, Method::Post, "/tools/find", query.to_string().as_bytes());
    assert_eq!(value(&ask(&query).unwrap()).as_array().map(Vec::len), Some(10));
    query["CaseSensitive"] = json!(true);
    assert_eq!(ask(&query), refused);
    // Beside a twin the core does not page.
    let (bed, askers) = bed_with_validity([&studies(290)[..], &[twin("s0", &[])]].concat(), 0);
    let query = json!({"Level": "Study", "Query": {}, "OrderBy": order, "Limit": 10});
    assert_eq!(askers[6].call(&bed, Method::Post, "/tools/find", query.to_string().as_bytes()), refused);
}

#[test]
fn foreign_twins_are_left_out_of_their_part() {
    for validity in [0, 3_600] {
        let (bed, askers) = bed_with_validity(studies(MANY), validity);
        let ext = &askers[0];
        let query = json!({"Level": "Series", "Query": {}, "Expand": true});
        ask(&bed, ext, &query);
        {
            // One with another label, one with none, one whose twin is one's own; and labels that others took.
            let mut studies = bed.host.studies.lock();
            studies.extend([twin("s0", &["int"]), twin("s100", &[]), twin("s110", &["ext"])]);
            studies.iter_mut().filter(|study| study.name == "s1").for_each(|study| study.labels.clear());
            studies.retain(|study| study.name != "s2");
        }
        // Whatever was kept.
        for level in ["Series", "Instance"] {
            let query = json!({"Level": level, "Query": {}, "Expand": true});
            let answer = ask(&bed, ext, &query);
            assert!(ids(&answer).into_iter().collect::<BTreeSet<_>>() == expected(&bed, ext, &query), "{level}");
            assert!(!answer.to_string().contains(&canary("zs0")) && answer.to_string().contains(&canary("zs110")));
        }
        let both = &askers[2];
        let query = json!({"Level": "Study", "Query": {}, "Labels": ["int"], "LabelsConstraint": "None"});
        assert!(ids(&ask(&bed, both, &query)).into_iter().collect::<BTreeSet<_>>() == expected(&bed, both, &query));
    }
}

/// Identifiers in order; else as it is.
fn sorted(mut answer: Value) -> Value {
    if let Some(list) = answer.as_array_mut() {
        list.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
    }
    answer
}

#[test]
fn a_twin_that_comes_at_any_moment_is_not_shown() {
    // With and without one that is there already.
    for twins in [vec![], vec![twin("s1", &["int"])]] {
        for path in ["/tools/find", "/tools/count-resources"] {
            let query = json!({"Level": "Series", "Query": {}}).to_string();
            for moment in 0.. {
                let (bed, askers) = bed_with_validity([studies(MANY), twins.clone()].concat(), 3_600);
                let allowed = reference(&askers[0], &bed.host.studies.lock());
                let before: Value = serde_json::from_slice(&allowed.post(path, query.as_bytes()).unwrap()).unwrap();
                change_after(&bed.host, moment, |studies| studies.push(twin("s0", &["int"])));
                let answer = askers[0].call(&bed, Method::Post, path, query.as_bytes()).unwrap();
                if bed.host.meanwhile.lock().is_some() {
                    assert!(moment > 2, "{moment}");
                    break;
                }
                if answer != Reply::HostError(HostError::FORBIDDEN) {
                    assert_eq!(sorted(value(&answer)), sorted(before), "{path} {moment}");
                }
            }
        }
    }
}

#[test]
fn studies_with_one_uid_stay_in_one_part() {
    // Twins of one's own, and a first one without: the hundredth is one of two.
    let mut studies: Vec<FakeStudy> =
        (0..60).map(|number| study(&format!("p{number}"), &format!("s{number}"), &["ext"])).collect();
    let twins = studies.iter().skip(1).map(|study| {
        let patient = format!("t{}", study.patient);
        FakeStudy { patient, ..twin(&study.name, &["ext"]) }
    });
    let twins: Vec<FakeStudy> = twins.collect();
    studies.extend(twins);
    let (bed, askers) = bed_with_validity(studies, 0);
    let query = json!({"Level": "Series", "Query": {}});
    let found = ids(&ask(&bed, &askers[0], &query));
    let set: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(found.len(), set.len());
    assert!(set == expected(&bed, &askers[0], &query));
}
