//! Links that annotate: a reader brings reports, segmentations and presentation states into the link's study, and
//! nothing else anywhere.
use crate::site::{Image, Plan, Site, Who, roles};
use crate::uploads::{gzip, is_there, stow, zip};
use serde_json::{Value, json};
use testbed::dicom::{Instance, uid};
use testbed::{Answer, Request, Version};

const OHIF: &str = "ohif-viewer-publication";
/// Comprehensive SR, Segmentation, Grayscale Softcopy Presentation State (DICOM PS3.4, B.5).
const ANNOTATIONS: [(&str, &str); 3] = [
    ("1.2.840.10008.5.1.4.1.1.88.33", "SR"),
    ("1.2.840.10008.5.1.4.1.1.66.4", "SEG"),
    ("1.2.840.10008.5.1.4.1.1.11.1", "PR"),
];

fn start(version: Version, server: &Value) -> Site {
    let mut document = roles();
    document["roles"]["viewer-role"]["permissions"] = json!(["view", "upload", "share"]);
    Plan::new(version).roles(document).server(server).start()
}

fn make(site: &Site, who: &Who, study: &Image, more: Value) -> Answer {
    let mut body =
        json!({"Resources": [{"OrthancId": study.ids.study, "Level": "study"}], "Verbs": ["read", "annotate"]});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    site.put(who, &format!("/auth/tokens/{OHIF}"), &body)
}

fn link(site: &Site, who: &Who, study: &Image, more: Value) -> Who {
    let answer = make(site, who, study, more).expect_status(200).unwrap().json().unwrap();
    Who::token(answer["Token"].as_str().unwrap())
}

/// Of the allowed study.
fn annotation(series: &str, instance: &str, (class, modality): (&str, &str)) -> Instance {
    Instance::named("Allowed", "study", series, instance).as_object(class, modality)
}

fn file(instance: &Instance) -> Request {
    Request::post("/instances", instance.to_bytes())
}

fn count(site: &Site) -> Value {
    let statistics = site.get(&site.admin(), "/statistics").json().unwrap();
    json!([statistics["CountInstances"], statistics["CountStudies"], statistics["TotalDiskSize"]])
}

#[test]
fn annotations_enter_the_links_study_and_nothing_else_does() {
    for version in Version::tested() {
        let site = start(version, &json!({}));
        let images = site.fill();
        let who = link(&site, &Who::user("external"), &images.allowed, json!({}));
        let uid_of_study = &images.allowed.study_uid;
        // By each way; and the link reads what it brought.
        for (at, kind) in ANNOTATIONS.into_iter().enumerate() {
            let one = annotation(kind.1, &format!("{at}"), kind);
            let two = annotation(kind.1, &format!("{at} two"), kind);
            let three = annotation(kind.1, &format!("{at} three"), kind);
            let four = annotation(kind.1, &format!("{at} four"), kind);
            for (instance, request) in [
                (&one, file(&one)),
                (&two, stow("/dicom-web/studies", &[&two.to_bytes()])),
                (&three, stow(&format!("/dicom-web/studies/{uid_of_study}"), &[&three.to_bytes()])),
                (&four, Request::post("/instances", zip(&[("x", &four.to_bytes())]))),
            ] {
                let answer = site.send(&who, request);
                assert_eq!(answer.status, 200, "{version:?} {}: {}", kind.1, answer.text());
                assert!(is_there(&site, instance), "{version:?} {}: {}", kind.1, answer.text());
                let image = Image::of(instance);
                for path in [
                    "/series/{series}",
                    "/instances/{instance}/file",
                    "/dicom-web/studies/{study-uid}/series/{series-uid}/metadata",
                    "/dicom-web/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}",
                ] {
                    assert_eq!(site.get(&who, &image.fill(path)).status, 200, "{version:?} {} {path}", kind.1);
                }
            }
            // Sent again, it stays as it is.
            let before = count(&site);
            assert_eq!(site.send(&who, file(&one)).json().unwrap()["Status"], "AlreadyStored", "{version:?}");
            assert_eq!(count(&site), before, "{version:?}");
        }

        let dose = Instance::named("Allowed", "study", "dose", "one").as_object("1.2.840.10008.5.1.4.1.1.88.67", "SR");
        site.send(&site.admin(), file(&dose)).expect_status(200).unwrap();
        let before = count(&site);
        let sr = ANNOTATIONS[0];
        let named = |patient: &str, study: &str| Instance::named(patient, study, "new", "new").as_object(sr.0, sr.1);
        let plain = Instance::named("Allowed", "study", "images", "new");
        let refused = [
            ("an image", plain.clone()),
            ("an image in the reports' series", Instance::named("Allowed", "study", "SR", "image")),
            ("an image that calls itself a report", plain.clone().text((0x0008, 0x0060), "CS", "SR")),
            (
                "a report with the class of an image",
                named("Allowed", "study").text((0x0008, 0x0016), "UI", "1.2.840.10008.5.1.4.1.1.7"),
            ),
            ("a report with pixels", named("Allowed", "study").raw((0x7fe0, 0x0010), "OW", vec![0; 64])),
            ("a report with a document", named("Allowed", "study").raw((0x0042, 0x0011), "OB", b"%PDF-1.7".to_vec())),
            ("a document", plain.clone().as_object("1.2.840.10008.5.1.4.1.1.104.1", "DOC")),
            ("a dose report", plain.clone().as_object("1.2.840.10008.5.1.4.1.1.88.67", "SR")),
            (
                "a report beside the images",
                Instance::named("Allowed", "study", "series", "report").as_object(sr.0, sr.1),
            ),
            ("a report beside a dose report", annotation("dose", "report", sr)),
            (
                "a report in the place of an image",
                Instance::named("Allowed", "study", "series", "instance").as_object(sr.0, sr.1),
            ),
            ("a new study", named("Allowed", "another")),
            ("a new patient", named("Somebody", "study")),
            ("a foreign study", named("Foreign", "study")),
            ("a study of the maker's that is not the link's", named("Mixed", "shared")),
            (
                "the study's UID under another PatientID",
                named("Allowed", "study").text((0x0010, 0x0020), "LO", "Somebody"),
            ),
            (
                "the UID of a foreign instance",
                named("Allowed", "study").text((0x0008, 0x0018), "UI", &images.foreign.instance_uid),
            ),
            (
                "the UID of a foreign series",
                named("Allowed", "study").text((0x0020, 0x000e), "UI", &images.foreign.series_uid),
            ),
            (
                "two StudyInstanceUIDs",
                named("Allowed", "study").text((0x0020, 0x000d), "UI", &format!("{uid_of_study}\\{}", uid("x"))),
            ),
        ];
        for (what, instance) in &refused {
            let bytes = instance.to_bytes();
            for request in [
                file(instance),
                stow("/dicom-web/studies", &[&bytes]),
                stow(&format!("/dicom-web/studies/{uid_of_study}"), &[&bytes]),
                Request::post("/instances", zip(&[("x", &bytes)])),
                Request::post("/instances", gzip(&bytes)).header("Content-Encoding", "gzip"),
            ] {
                let path = request.path.clone();
                let answer = site.send(&who, request);
                assert_eq!(count(&site), before, "{version:?} {what}, {path}: {} {}", answer.status, answer.text());
            }
            assert_eq!(site.send(&who, file(instance)).status, 400, "{version:?} {what}");
        }
        // One of several in a request.
        let [good, bad] = [annotation("SR", "mixed", sr), named("Foreign", "study")];
        site.send(&who, stow("/dicom-web/studies", &[&bad.to_bytes(), &good.to_bytes()]));
        assert!(is_there(&site, &good) && !is_there(&site, &bad), "{version:?}");
        // Nothing else is written.
        let own = &images.allowed;
        for request in [
            Request::delete(&Image::of(&good).fill("/instances/{instance}")),
            Request::put(&own.fill("/studies/{study}/labels/external"), ""),
            Request::new("POST", &own.fill("/studies/{study}/modify")).json(&json!({"Replace": {"PatientName": "X"}})),
            Request::new("POST", &own.fill("/studies/{study}/merge")).json(&json!({"Resources": [own.ids.series]})),
            Request::new("POST", "/tools/create-dicom")
                .json(&json!({"Parent": own.ids.study, "Tags": {"Modality": "SR"}})),
            Request::put(&own.fill("/studies/{study}/metadata/1024"), "x"),
            Request::put(&own.fill("/studies/{study}/attachments/1024"), "x"),
            Request::post(&own.fill("/studies/{study}/reconstruct"), ""),
        ] {
            let told = format!("{version:?} {} {}", request.method, request.path);
            assert_eq!(site.send(&who, request).status, 403, "{told}");
        }
        // A link to the same study without the verb.
        let reads = link(&site, &Who::user("external"), own, json!({"Verbs": ["read"]}));
        assert_eq!(site.send(&reads, file(&annotation("SR", "reader", sr))).status, 403, "{version:?}");
        assert_eq!(site.get(&reads, &own.fill("/studies/{study}")).status, 200, "{version:?}");
        // From a viewer that was opened by the short form: a cookie, which counts for our own pages only.
        let answer = make(&site, &Who::user("external"), own, json!({"Download": false}));
        let short = answer.json().unwrap()["ShortUrl"].as_str().unwrap().to_owned();
        let opened = site.get(&Who::nobody(), &short[short.find("/auth/links/").unwrap()..]);
        let cookie = opened.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        for (from, expected) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200)] {
            let viewer = Who::nobody().header("Cookie", &cookie).header("Sec-Fetch-Site", from);
            let request = stow("/dicom-web/studies", &[&annotation("SR", "viewer", sr).to_bytes()]);
            assert_eq!(
                site.send(&viewer, request.header("Sec-Fetch-Mode", "cors")).status,
                expected,
                "{version:?} {from}"
            );
        }
        // So many and no more, when it was made so.
        let one = link(&site, &Who::user("external"), own, json!({"MaxInstances": 1}));
        let statuses = ["a", "b"].map(|name| site.send(&one, file(&annotation("SR", name, sr))).status);
        assert_eq!(statuses, [200, 400], "{version:?}");
    }
}

#[test]
fn an_annotating_link_is_made_and_lives_by_its_makers_rights() {
    for version in Version::tested() {
        let site = start(version, &json!({"OverwriteInstances": true}));
        let images = site.fill();
        let viewer = Who::user("viewer");
        for (who, more, expected) in [
            (&Who::user("doctor"), json!({}), 403),
            (&Who::user("doctor"), json!({"Verbs": ["read"]}), 200),
            (&viewer, json!({}), 200),
            (&viewer, json!({"Verbs": ["annotate"]}), 400),
            (&viewer, json!({"Verbs": ["read", "delete"]}), 400),
            (&viewer, json!({"Resources": [{"OrthancId": images.allowed.ids.series, "Level": "series"}]}), 400),
            (&viewer, json!({"Resources": [{"OrthancId": images.foreign.ids.study, "Level": "study"}]}), 403),
        ] {
            let answer = make(&site, who, &images.allowed, more.clone());
            assert_eq!(answer.status, expected, "{version:?} {more}: {}", answer.text());
        }
        let who = link(&site, &viewer, &images.allowed, json!({}));
        let upload = |name: &str| site.send(&who, file(&annotation("SR", name, ANNOTATIONS[0]))).status;
        assert_eq!(upload("one"), 200, "{version:?}");
        // The server would replace what comes again.
        let changed = annotation("SR", "one", ANNOTATIONS[0]).text((0x0010, 0x0010), "PN", "Changed");
        assert_eq!(site.send(&who, file(&changed)).status, 400, "{version:?}");
        let name = site.get(&site.admin(), &Image::of(&changed).fill("/instances/{instance}/content/PatientName"));
        assert_eq!(name.text().trim(), "Made^Up", "{version:?}");
        let change = |permissions: Value| {
            let mut document = site.get(&site.admin(), "/auth/settings/roles").json().unwrap();
            document["roles"]["viewer-role"]["permissions"] = permissions;
            assert_eq!(site.put(&site.admin(), "/auth/settings/roles", &document).status, 200);
        };
        change(json!(["view", "share"]));
        assert_eq!(upload("two"), 403, "{version:?}: its maker may not upload any more");
        assert_eq!(site.get(&who, &images.allowed.fill("/studies/{study}")).status, 200, "{version:?}: it reads still");
        change(json!(["view", "upload", "share"]));
        assert_eq!(upload("two"), 200, "{version:?}");
        // A label that is gone closes the study.
        assert_eq!(site.delete(&site.admin(), &images.allowed.fill("/studies/{study}/labels/external")).status, 200);
        assert_eq!(upload("three"), 400, "{version:?}");
        // And nothing brings a deleted study back: the link has ended with it.
        assert_eq!(site.delete(&site.admin(), &images.allowed.fill("/studies/{study}")).status, 200);
        assert_eq!(upload("four"), 403, "{version:?}");
        assert!(!is_there(&site, &annotation("SR", "four", ANNOTATIONS[0])), "{version:?}");
    }
}
