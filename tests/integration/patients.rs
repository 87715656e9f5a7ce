//! Patients, whose descriptions and searches cross studies: nothing of foreign studies is told, and what is one's own is found
//! however much else there is.
use crate::site::{Plan, Site, Who};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testbed::Version;
use testbed::dicom::Instance;

/// PatientIDs that mean something in a query, have no letters, or differ from somebody else's by case.
const OWN: [&str; 8] = ["own*", "own?x", "", "back\\slash", " before", "Own", "größe", "plain"];
const FOREIGN: [&str; 8] = ["ownABC", "ownYx", "back", "slash", "before", "OWN", "PLAIN", "other"];

fn image(patient: &str) -> Instance {
    Instance::named("any", patient, "series", "instance").text((0x0010, 0x0020), "LO", patient)
}

fn search(site: &Site, who: &Who, more: Value) -> Vec<String> {
    let mut query = json!({"Level": "Patient", "Query": {}});
    query.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = site.post(who, "/tools/find", &query);
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let found: Vec<String> = serde_json::from_slice(&answer.body).unwrap();
    let count = site.post(who, "/tools/count-resources", &query);
    if more.get("Limit").is_none() {
        assert_eq!(count.json().unwrap()["Count"], json!(found.len()), "{query}");
    }
    found
}

/// The limit is of a server on which nobody else's patients come first.
#[test]
fn ones_own_patients_are_found_among_more_than_a_search_may_answer() {
    for version in Version::tested() {
        let site = Plan::new(version).server(&json!({"LimitFindResults": 3})).start();
        let foreign = FOREIGN.map(|patient| site.upload(&image(patient), &["internal"]).ids.patient);
        let own: Vec<String> = OWN.map(|patient| site.upload(&image(patient), &["external"]).ids.patient).to_vec();
        let external = Who::user("external");
        let all: BTreeSet<String> = own.iter().cloned().collect();
        let order = |direction: &str| json!([{"Type": "DicomTag", "Key": "PatientID", "Direction": direction}]);
        for more in [
            json!({}),
            json!({"Query": {"PatientName": "Made*"}}),
            json!({"Query": {"PatientName": "Made^Up"}, "CaseSensitive": true}),
            json!({"Query": {"PatientID": "*", "0010,0020": ""}}),
            json!({"OrderBy": order("ASC")}),
        ] {
            let found = search(&site, &external, more.clone());
            assert_eq!(found.len(), own.len(), "{version:?} {more}");
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), all, "{version:?} {more}");
        }
        // In pages, of which each begins where the last one ended.
        let mut paged = Vec::new();
        while let page = search(&site, &external, json!({"Since": paged.len(), "Limit": 3}))
            && !page.is_empty()
        {
            paged.extend(page);
        }
        assert_eq!(paged.iter().cloned().collect::<BTreeSet<_>>(), all, "{version:?}");
        assert_eq!(paged.len(), own.len(), "{version:?}");
        // What cannot stand in a list comes last, whatever the order.
        let last = Some(&own[3]);
        assert_eq!(search(&site, &external, json!({"OrderBy": order("ASC")})).last(), last, "{version:?}");
        assert_eq!(search(&site, &external, json!({"OrderBy": order("DESC")})).last(), last, "{version:?}");
        for (patient, id) in OWN.iter().zip(&own) {
            assert_eq!(
                search(&site, &external, json!({"ParentPatient": id})),
                std::slice::from_ref(id),
                "{version:?} {patient}"
            );
        }
        // Whoever asks for a pattern finds what is like it, and is one's own.
        let like = search(&site, &external, json!({"Query": {"PatientID": "own*"}}));
        let expected: BTreeSet<String> = [&own[0], &own[1], &own[5]].into_iter().cloned().collect();
        assert_eq!(like.into_iter().collect::<BTreeSet<_>>(), expected, "{version:?}");
        for id in &foreign {
            let query = json!({"Level": "Patient", "Query": {}, "ParentPatient": id});
            assert_eq!(site.post(&external, "/tools/find", &query).status, 403, "{version:?}");
        }
    }
}

/// Among more studies than are named at once, and among those of which one shares its UID with somebody else's.
#[test]
fn ones_own_series_are_found_among_more_than_a_search_may_answer() {
    for version in Version::tested() {
        let site = Plan::new(version).server(&json!({"LimitFindResults": 3})).start();
        let external = Who::user("external");
        let pages = |level: &str| -> BTreeSet<String> {
            let mut found = Vec::new();
            loop {
                let query = json!({"Level": level, "Query": {}, "Since": found.len(), "Limit": 3});
                let answer = site.post(&external, "/tools/find", &query).expect_status(200).unwrap();
                let page: Vec<String> = serde_json::from_slice(&answer.body).unwrap();
                if page.is_empty() {
                    return found.into_iter().collect();
                }
                found.extend(page);
            }
        };
        let upload = |number: usize| {
            let name = format!("number {number}");
            let image = Instance::named("Many", &name, &name, &name).text((0x0010, 0x0020), "LO", &name);
            (site.upload(&image, &["external"]).ids, image)
        };
        let mut own: Vec<_> = (0..8).map(|number| upload(number).0).collect();
        let (twin, image) = upload(8);
        own.push(twin);
        for is_alone in [true, false] {
            if !is_alone {
                site.upload(&image.clone().text((0x0010, 0x0020), "LO", "somebody else"), &["internal"]);
            }
            let all = own.iter().map(|ids| ids.series.clone()).collect();
            assert_eq!(pages("Series"), all, "{version:?}");
        }
        own.extend((9..120).map(|number| upload(number).0));
        assert_eq!(pages("Series"), own.iter().map(|ids| ids.series.clone()).collect(), "{version:?}");
        assert_eq!(pages("Study"), own.iter().map(|ids| ids.study.clone()).collect(), "{version:?}");
        let query = json!({"Level": "Series", "Query": {}});
        let count = site.post(&external, "/tools/count-resources", &query).json().unwrap()["Count"].clone();
        assert_eq!(count, json!(own.len()), "{version:?}");
    }
}

/// When something last came in, whether more is expected, and where something comes from are of all studies of a patient.
#[test]
fn a_patient_is_described_alike_whatever_comes_in_of_others() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let study = |name: &str| Instance::named("Shared", name, "series", "instance");
        let own = site.upload(&study("own"), &["external"]);
        site.upload(&study("foreign"), &["internal"]);
        let external = Who::user("external");
        let below = [("studies", &own.ids.study), ("series", &own.ids.series), ("instances", &own.ids.instance)];
        let descriptions = || -> Vec<Vec<u8>> {
            let mut answers: Vec<_> =
                below.iter().map(|(level, id)| site.get(&external, &format!("/{level}/{id}/patient"))).collect();
            let query = json!({"Level": "Patient", "Query": {}, "Expand": true});
            answers.push(site.post(&external, "/tools/find", &query));
            assert!(answers.iter().all(|answer| answer.status == 200), "{version:?}");
            answers.into_iter().map(|answer| answer.body).collect()
        };
        let before = descriptions();
        for answer in &before {
            let text = String::from_utf8_lossy(answer);
            assert!(text.contains("Shared") && !text.contains("LastUpdate") && !text.contains("IsStable"), "{text}");
        }
        // The server writes seconds.
        testbed::clock::pause(std::time::Duration::from_millis(1_100));
        site.upload(&study("more"), &["internal"]);
        site.upload(&study("without any label"), &[]);
        assert_eq!(descriptions(), before, "{version:?}");
        // To whoever may see all of them it is said.
        let answer = site.get(&site.admin(), &format!("/studies/{}/patient", own.ids.study)).text();
        assert!(answer.contains("LastUpdate"), "{version:?}: {answer}");
    }
}
