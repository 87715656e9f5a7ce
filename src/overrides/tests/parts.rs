//! Searches among more allowed studies than are named at once.

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
    for (validity, twins) in [(3_600, false), (3_600, true), (0, true)] {
        let (bed, askers) = bed_with_validity(studies(MANY), validity);
        let ext = &askers[0];
        if twins {
            // Of a study in the second part, which only the later pages reach.
            let last = (0..160).filter(|number| number % 4 != 3).map(|number| format!("s{number}"));
            let last = last.max_by_key(|name| uid(name)).unwrap();
            bed.host.studies.lock().push(twin(&last, &["int"]));
        }
        let query = json!({"Level": "Series", "Query": {}});
        let whole = ids(&ask(&bed, ext, &query));
        assert!(whole.iter().cloned().collect::<BTreeSet<_>>() == expected(&bed, ext, &query));
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
            assert_eq!(pages, whole[..pages.len()], "{limit} {twins}");
            assert!(limit == 1 || pages.len() == whole.len(), "{limit}");
        }
    }
}

#[test]
fn no_more_is_named_than_the_answer_needs() {
    let (bed, askers) = bed_with_validity(studies(560), 3_600);
    let ext = &askers[0];
    ask(&bed, ext, &json!({"Level": "Series", "Query": {}}));
    assert_eq!(named(&bed), [100, 300, 160]);
    ask(&bed, ext, &json!({"Level": "Series", "Query": {}, "Limit": 20}));
    assert_eq!(named(&bed), [100]);
    // Where the core compares something without regard to case, it takes longer.
    ask(&bed, ext, &json!({"Level": "Series", "Query": {"PatientID": "1.*"}}));
    assert_eq!(named(&bed), [100, 250, 50, 160]);
    // Where little is found, more are named at a time.
    let one = json!({"Level": "Series", "Query": {"SeriesInstanceUID": uid("s0x")}});
    assert_eq!(ids(&ask(&bed, ext, &one)), [id("s0x")]);
    assert_eq!(named(&bed), [100, 200, 100, 160]);
    // How many there are is asked at once, unless the core has to be asked which: it counts nothing by case.
    let mut query = json!({"Level": "Series", "Query": {"PatientID": "*", "SeriesInstanceUID": "1.*"}});
    assert_eq!((count(&bed, ext, &query), named(&bed)), (json!({"Count": 1_120}), vec![]));
    query["CaseSensitive"] = json!(true);
    assert_eq!((count(&bed, ext, &query), named(&bed)), (json!({"Count": 1_120}), vec![100, 250, 50, 160]));
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
    for (many, limit) in [(201, None), (201, Some(0)), (201, Some(201)), (301, Some(10))] {
        assert_eq!(ask(many, limit), Err(HostError::FORBIDDEN), "{many} {limit:?}");
    }
    assert_eq!(ask(201, Some(200)), Ok(200));
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
