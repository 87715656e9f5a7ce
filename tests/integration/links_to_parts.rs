//! Links to series and instances: what viewers ask for on the way to them is answered, and nothing is told of what lies
//! beside them, neither that it is there nor how much.
use crate::site::{Image, Plan, Site, Who};
use serde_json::{Value, json};
use testbed::dicom::Instance;
use testbed::{Answer, Request, Version};

/// Stands in every text of what lies beside, with the UIDs and Orthanc ids.
const BESIDE: &str = "BESIDE";

struct Scene {
    site: Site,
    /// The series that a link opens, by the first of its two instances.
    own: Image,
    own_second: Image,
    /// Another series of the same study.
    beside: Image,
    /// Another study of the same patient.
    other: Image,
    series_link: Who,
    instance_link: Who,
    /// What is in one answer for a link to the series must hold none of these.
    hidden: Vec<String>,
}

fn start(version: Version) -> Scene {
    let site = Plan::new(version).start();
    let image = |study: &str, series: &str, name: &str, modality: &str, text: &str| {
        Instance::named("P", study, series, name)
            .text((0x0008, 0x0008), "CS", &text.to_uppercase())
            .text((0x0008, 0x0060), "CS", modality)
            .text((0x0008, 0x1030), "LO", "The study")
            .text((0x0008, 0x103e), "LO", text)
            .text((0x0020, 0x4000), "LT", text)
    };
    // What lies beside comes first, so that it is what Orthanc would read a study's tags from.
    let beside = site.upload(&image("study", "beside", "image", "US", BESIDE), &["external"]);
    let own = site.upload(&image("study", "own", "first", "CT", "Own"), &[]);
    let own_second = site.upload(&image("study", "own", "second", "CT", "Own"), &[]);
    let other = site.upload(&image("other", "series", "image", "MR", BESIDE), &["external"]);
    let link = |level: &str, id: &str| {
        let body = json!({"Resources": [{"OrthancId": id, "Level": level}], "ValidityDuration": 3600});
        let answer = site.put(&Who::user("external"), "/auth/tokens/ohif-viewer-publication", &body);
        Who::token(answer.expect_status(200).unwrap().json().unwrap()["Token"].as_str().unwrap())
    };
    let (series_link, instance_link) = (link("series", &own.ids.series), link("instance", &own.ids.instance));
    let hidden = [&beside, &other].map(|image| {
        [&image.series_uid, &image.instance_uid, &image.ids.series, &image.ids.instance].map(Clone::clone)
    });
    let mut hidden = hidden.concat();
    hidden.extend([BESIDE, &other.study_uid, &other.ids.study, "external"].map(str::to_owned));
    Scene { site, own, own_second, beside, other, series_link, instance_link, hidden }
}

impl Scene {
    /// The answer, of which nothing lies beside.
    fn get(&self, who: &Who, path: &str) -> Answer {
        let answer = self.site.get(who, &self.own.fill(path));
        self.check(path, &answer);
        answer
    }

    fn find(&self, who: &Who, tool: &str, body: &Value) -> Value {
        let answer = self.site.post(who, tool, body);
        self.check(&body.to_string(), &answer);
        assert_eq!(answer.status, 200, "{:?} {body}: {}", self.site.version, answer.text());
        answer.json().unwrap()
    }

    fn check(&self, asked: &str, answer: &Answer) {
        let text = answer.text();
        for hidden in &self.hidden {
            assert!(!text.contains(hidden), "{:?} {asked} tells {hidden}: {text}", self.site.version);
        }
    }
}

#[test]
fn a_link_to_a_series_opens_it_in_viewers_and_nothing_beside() {
    for version in Version::tested() {
        let scene = start(version);
        let link = &scene.series_link;
        let rs = "/dicom-web/studies/{study-uid}";
        let series = "/dicom-web/studies/{study-uid}/series/{series-uid}";
        let instance = "/dicom-web/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}";
        for (path, expected) in [
            // What viewers get by DICOMweb.
            (format!("{series}/metadata"), 200),
            (series.to_owned(), 200),
            (format!("{series}/rendered"), 200),
            (format!("{series}/instances"), 200),
            (instance.to_owned(), 200),
            (format!("{instance}/metadata"), 200),
            (format!("{instance}/frames/1"), 200),
            (format!("{instance}/rendered"), 200),
            (format!("{rs}/series"), 200),
            (format!("{rs}/instances"), 200),
            ("/dicom-web/studies?StudyInstanceUID={study-uid}".to_owned(), 200),
            ("/dicom-web/studies?00100020=P&includefield=all".to_owned(), 200),
            ("/dicom-web/series?includefield=all".to_owned(), 200),
            ("/dicom-web/instances?includefield=all".to_owned(), 200),
            ("/wado?requestType=WADO&studyUID={study-uid}&seriesUID={series-uid}&objectUID={instance-uid}&contentType=application/dicom".to_owned(), 200),
            // The whole study.
            (rs.to_owned(), 403),
            (format!("{rs}/metadata"), 403),
            (format!("{rs}/rendered"), 403),
            // Orthanc's own routes.
            ("/series/{series}".to_owned(), 200),
            ("/series/{series}/archive".to_owned(), 200),
            ("/series/{series}/study".to_owned(), 200),
            ("/series/{series}/instances".to_owned(), 200),
            ("/series/{series}/instances-tags".to_owned(), 200),
            ("/instances/{instance}/file".to_owned(), 200),
            ("/instances/{instance}/series".to_owned(), 200),
            ("/instances/{instance}/study".to_owned(), 200),
            ("/studies/{study}".to_owned(), 200),
            ("/studies/{study}/series".to_owned(), 200),
            ("/studies/{study}/series?expand=false".to_owned(), 200),
            ("/studies/{study}/instances".to_owned(), 200),
            ("/studies/{study}/archive".to_owned(), 403),
            ("/studies/{study}/metadata".to_owned(), 403),
            ("/studies/{study}/statistics".to_owned(), 403),
            ("/studies/{study}/instances-tags".to_owned(), 403),
            ("/studies/{study}/labels".to_owned(), 403),
            ("/studies/{study}/patient".to_owned(), 403),
            ("/series/{series}/patient".to_owned(), 403),
            ("/patients/{patient}".to_owned(), 403),
            // Tags that are counted, or read from some image.
            ("/studies/{study}?requestedTags=NumberOfStudyRelatedSeries".to_owned(), 403),
            ("/studies/{study}?requestedTags=ImageComments".to_owned(), 403),
            ("/studies/{study}/series?requestedTags=ModalitiesInStudy".to_owned(), 403),
            ("/series/{series}?requestedTags=NumberOfStudyRelatedInstances".to_owned(), 403),
            ("/series/{series}?requestedTags=0008,0061".to_owned(), 403),
            ("/series/{series}/study?requestedTags=ImageComments".to_owned(), 403),
            ("/instances/{instance}?requestedTags=ModalitiesInStudy".to_owned(), 403),
            ("/instances/{instance}?requestedTags=ImageComments".to_owned(), 200),
        ] {
            let answer = scene.get(link, &path);
            assert_eq!(answer.status, expected, "{version:?} {path}: {}", answer.text());
        }
        for path in [
            format!("{series}/metadata"),
            format!("{series}/instances"),
            format!("{instance}/frames/1"),
            "/series/{series}".to_owned(),
            "/instances/{instance}/file".to_owned(),
            "/wado?requestType=WADO&objectUID={instance-uid}&contentType=application/dicom".to_owned(),
        ] {
            for image in [&scene.beside, &scene.other] {
                assert_eq!(scene.site.get(link, &image.fill(&path)).status, 403, "{version:?} {path}");
            }
            // Its own study's UID, and the series of another.
            let mixed = Image { study_uid: scene.own.study_uid.clone(), ..scene.other.clone() };
            assert_eq!(scene.site.get(link, &mixed.fill(&path)).status, 403, "{version:?} {path}");
        }
    }
}

#[test]
fn what_is_counted_in_a_study_is_counted_in_what_the_link_opens() {
    for version in Version::tested() {
        let scene = start(version);
        let value = |study: &Value, tag: &str| study[tag]["Value"].clone();
        for (link, instances) in [(&scene.series_link, 2), (&scene.instance_link, 1)] {
            let wanted = "includefield=00081030&includefield=00080061&includefield=00201206&includefield=00201208";
            for query in ["StudyInstanceUID={study-uid}&", "PatientID=P&", ""] {
                let found = scene.get(link, &format!("/dicom-web/studies?{query}{wanted}")).json().unwrap();
                assert_eq!(found.as_array().unwrap().len(), 1, "{version:?} {query}: {found}");
                assert_eq!(value(&found[0], "0020000D"), json!([scene.own.study_uid]), "{version:?}");
                assert_eq!(value(&found[0], "00081030"), json!(["The study"]), "{version:?} {found}");
                assert_eq!(value(&found[0], "00080061"), json!(["CT"]), "{version:?} {found}");
                assert_eq!(value(&found[0], "00201206"), json!([1]), "{version:?} {found}");
                assert_eq!(value(&found[0], "00201208"), json!([instances]), "{version:?} {found}");
            }
            let series = scene.get(link, "/dicom-web/studies/{study-uid}/series?includefield=00201209").json().unwrap();
            assert_eq!(series.as_array().unwrap().len(), 1, "{version:?} {series}");
            assert_eq!(value(&series[0], "0020000E"), json!([scene.own.series_uid]), "{version:?}");
            assert_eq!(value(&series[0], "00201209"), json!([instances]), "{version:?} {series}");
            let all = scene.get(link, "/dicom-web/studies/{study-uid}/instances").json().unwrap();
            assert_eq!(all.as_array().unwrap().len(), instances, "{version:?}");

            let study = scene.get(link, "/studies/{study}").json().unwrap();
            assert_eq!(study["Series"], json!([scene.own.ids.series]), "{version:?}");
            assert_eq!(study["MainDicomTags"]["StudyDescription"], "The study", "{version:?}");
            let series = scene.get(link, "/series/{series}").json().unwrap();
            assert_eq!(series["Instances"].as_array().unwrap().len(), instances, "{version:?}");
            // Nothing is found by what lies beside, nor by how much there is.
            for guess in ["ModalitiesInStudy=US", "ModalitiesInStudy=CT", "NumberOfStudyRelatedSeries=2", "00201206=1"]
            {
                let found = scene.get(link, &format!("/dicom-web/studies?{guess}"));
                assert!(
                    found.status != 200 || found.json().unwrap() == json!([]),
                    "{version:?} {guess}: {}",
                    found.text()
                );
            }
            for (level, query, count) in [
                ("Study", json!({}), 1),
                ("Study", json!({"PatientID": "P"}), 1),
                ("Study", json!({"SeriesDescription": BESIDE}), 0),
                ("Study", json!({"ImageComments": BESIDE}), 0),
                ("Study", json!({"ImageComments": "Own"}), 0),
                ("Series", json!({}), 1),
                ("Series", json!({"SeriesDescription": BESIDE}), 0),
                ("Series", json!({"SeriesDescription": "Own"}), 1),
                ("Series", json!({"ModalitiesInStudy": "CT"}), 0),
                ("Instance", json!({}), instances),
                ("Patient", json!({}), 0),
            ] {
                let body = json!({"Level": level, "Query": query, "Expand": true});
                let found = scene.find(link, "/tools/find", &body);
                assert_eq!(found.as_array().unwrap().len(), count, "{version:?} {body}: {found}");
                assert_eq!(scene.find(link, "/tools/count-resources", &body)["Count"], count, "{version:?} {body}");
            }
            for parent in [json!({"ParentStudy": scene.own.ids.study}), json!({"ParentSeries": scene.own.ids.series})] {
                let mut body = json!({"Level": "Instance", "Query": {}});
                body.as_object_mut().unwrap().extend(parent.as_object().cloned().unwrap());
                let found = scene.find(link, "/tools/find", &body);
                assert_eq!(found.as_array().unwrap().len(), instances, "{version:?} {body}");
            }
            let below = json!({"Level": "Instance", "Query": {}, "ParentSeries": scene.beside.ids.series});
            assert_eq!(scene.site.post(link, "/tools/find", &below).status, 403, "{version:?}");
            let metadata = json!({"Level": "Study", "Query": {}, "Expand": true,
                "ResponseContent": ["Metadata", "Attachments", "Labels", "Children", "Status", "RequestedTags"],
                "RequestedTags": ["SeriesDescription", "ImageComments", "0020,1206", "0008,0062"]});
            let found = scene.find(link, "/tools/find", &metadata);
            assert_eq!(found[0].get("LastUpdate"), None, "{version:?} {found}");
            assert_eq!(found[0]["RequestedTags"], json!({"NumberOfStudyRelatedSeries": "1"}), "{version:?} {found}");
            // Nearly numbers of what is kept of a study: ImageType and ModalitiesInStudy to the server.
            for (level, tag) in [("Study", "0008,008-0"), ("Study", "8,10061"), ("Series", "0008,103-e")] {
                let body = json!({"Level": level, "Query": {}, "Expand": true, "RequestedTags": [tag]});
                let found = scene.site.post(link, "/tools/find", &body);
                scene.check(tag, &found);
                assert_eq!(found.status, 400, "{version:?} {tag}: {}", found.text());
                let path = scene.own.fill(&format!("/series/{{series}}?requestedTags={tag}"));
                assert_eq!(scene.site.get(link, &path).status, 403, "{version:?} {path}");
            }
        }
    }
}

#[test]
fn a_link_to_an_instance_opens_that_instance_only() {
    for version in Version::tested() {
        let scene = start(version);
        let link = &scene.instance_link;
        let series = "/dicom-web/studies/{study-uid}/series/{series-uid}";
        let instance = "/dicom-web/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}";
        for (path, own, second) in [
            (format!("{instance}/metadata"), 200, 403),
            (format!("{instance}/frames/1"), 200, 403),
            (format!("{instance}/rendered"), 200, 403),
            ("/instances/{instance}/file".to_owned(), 200, 403),
            ("/instances/{instance}".to_owned(), 200, 403),
            ("/instances/{instance}/series".to_owned(), 200, 403),
            ("/wado?requestType=WADO&objectUID={instance-uid}&contentType=application/dicom".to_owned(), 200, 403),
            (format!("{series}/metadata"), 403, 403),
            (series.to_owned(), 403, 403),
            ("/series/{series}/archive".to_owned(), 403, 403),
            ("/series/{series}/instances-tags".to_owned(), 403, 403),
            ("/series/{series}/metadata".to_owned(), 403, 403),
        ] {
            for (image, expected) in [(&scene.own, own), (&scene.own_second, second)] {
                let answer = scene.site.get(link, &image.fill(&path));
                scene.check(&path, &answer);
                assert_eq!(answer.status, expected, "{version:?} {path}: {}", answer.text());
                let told = answer.text().contains(&scene.own_second.instance_uid);
                assert!(!told && !answer.text().contains(&scene.own_second.ids.instance), "{version:?} {path}");
            }
        }
        for path in [
            format!("{series}/instances"),
            "/series/{series}".to_owned(),
            "/series/{series}/instances".to_owned(),
            "/studies/{study}/instances?expand=false".to_owned(),
        ] {
            let answer = scene.get(link, &path);
            assert_eq!(answer.status, 200, "{version:?} {path}");
            let told = [&scene.own_second.instance_uid, &scene.own_second.ids.instance];
            assert!(told.iter().all(|told| !answer.text().contains(*told)), "{version:?} {path}: {}", answer.text());
        }
    }
}

#[test]
fn whole_studies_and_pieces_of_others_are_found_together_page_by_page() {
    for version in Version::tested() {
        let scene = start(version);
        let more: Vec<Image> = (0..3)
            .map(|number| scene.site.upload(&Instance::named(&format!("whole-{number}"), "s", "s", "i"), &["second"]))
            .collect();
        let site = &scene.site;
        let resource = |level: &str, id: &str| json!({"OrthancId": id, "Level": level});
        let mut resources =
            vec![resource("series", &scene.own.ids.series), resource("instance", &scene.other.ids.instance)];
        resources.push(resource("study", &more[0].ids.study));
        let body = json!({"Resources": resources});
        let answer = site.put(&site.admin(), "/auth/tokens/ohif-viewer-publication", &body);
        let mixed = Who::token(answer.expect_status(200).unwrap().json().unwrap()["Token"].as_str().unwrap());
        // Alone, and beside somebody's own labels, whose studies the link names in part.
        for (who, studies, series) in [(mixed.clone(), 3, 3), (Who::user("second").and(&mixed), 5, 5)] {
            for (level, all) in [("Study", studies), ("Series", series)] {
                let page = |since: usize, limit: usize| {
                    let body = json!({"Level": level, "Query": {}, "Since": since, "Limit": limit});
                    let found = site.post(&who, "/tools/find", &body).expect_status(200).unwrap().json().unwrap();
                    found.as_array().unwrap().clone()
                };
                let whole = page(0, 0);
                assert_eq!(whole.len(), all, "{version:?} {level} {whole:?}");
                for limit in [1, 2, 4] {
                    let pages: Vec<Value> = (0..=all).step_by(limit).flat_map(|since| page(since, limit)).collect();
                    assert_eq!(pages, whole, "{version:?} {level} by {limit}");
                }
                let count = site.post(&who, "/tools/count-resources", &json!({"Level": level, "Query": {}}));
                assert_eq!(count.json().unwrap()["Count"], all, "{version:?} {level}");
                assert!(!whole.contains(&json!(scene.beside.ids.series)), "{version:?}");
            }
        }
        // The maker's labels hold as for studies.
        let label = scene.own.fill("/studies/{study}/labels/external");
        assert_eq!(site.get(&scene.series_link, &scene.own.fill("/series/{series}")).status, 200);
        assert_eq!(site.send(&site.admin(), Request::delete(&label)).status, 200);
        for path in ["/series/{series}", "/studies/{study}", "/dicom-web/studies?StudyInstanceUID={study-uid}"] {
            assert_eq!(site.get(&scene.series_link, &scene.own.fill(path)).status, 403, "{version:?} {path}");
        }
    }
}
