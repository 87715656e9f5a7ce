//! Requests of which each is allowed, and that together must not do more: what one brings in or asks steers the next.
use crate::site::{Image, Plan, Who, roles};
use serde_json::{Value, json};
use testbed::dicom::Instance;
use testbed::{Orthanc, Request, Version};

/// A site where whoever is limited holds every permission, and sees at once what they bring in.
fn plan(version: Version) -> Plan {
    let mut roles = roles();
    roles["roles"]["external-role"]["permissions"] = json!(["all", "admin-permissions"]);
    let extra = json!([
        ["post", "^/queries/.*$", "all"],
        ["get", "^/queries.*$", "all"],
        ["post", "^/studies/.*/split$", "all"]
    ]);
    let labels = json!({"role:external-role": ["external"]});
    Plan::new(version).roles(roles).section(json!({"ExtraPermissions": extra, "UploadLabels": labels}))
}

/// Whoever brings in a study under a PatientID that is somebody else's is told of the patient what they said themselves.
#[test]
fn a_study_under_a_known_patient_id_tells_nothing_of_the_patient() {
    for version in Version::tested() {
        let site = plan(version).start();
        let foreign = Instance::named("Shared", "foreign", "series", "instance");
        let foreign = foreign.text((0x0010, 0x0010), "PN", "Secret^Name").text((0x0010, 0x0030), "DA", "19700101");
        site.upload(&foreign, &["internal"]);
        let external = Who::user("external");
        let own = Instance::named("Shared", "own", "series", "instance").text((0x0010, 0x0010), "PN", "Invented");
        let answer = site.send(&external, Request::post("/instances", own.to_bytes()));
        assert_eq!(answer.json().unwrap()["Status"], "Success", "{version:?}");
        let ids = own.ids();
        let told = |answer: testbed::Answer| {
            let text = answer.expect_status(200).unwrap().text();
            assert!(!text.contains("Secret") && !text.contains("19700101"), "{version:?}: {text}");
            assert!(text.contains("Invented") && text.contains("Shared"), "{version:?}: {text}");
        };
        let below = [("studies", &ids.study), ("series", &ids.series), ("instances", &ids.instance)];
        for (level, id) in below {
            for arguments in ["", "?short", "?full", "?requestedTags=PatientName;PatientBirthDate;0010,0020"] {
                told(site.get(&external, &format!("/{level}/{id}/patient{arguments}")));
            }
        }
        let tags = ["PatientName", "PatientBirthDate"];
        for more in [
            json!({"Expand": true}),
            json!({"Expand": true, "Short": true}),
            json!({"Expand": true, "Full": true}),
            json!({"Expand": true, "RequestedTags": tags}),
            json!({"ResponseContent": ["MainDicomTags"]}),
            json!({"ResponseContent": ["RequestedTags", "MainDicomTags"], "RequestedTags": tags}),
        ] {
            let mut query = json!({"Level": "Patient", "Query": {}});
            query.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            told(site.post(&external, "/tools/find", &query));
        }
        // Nor by what is found: letter by letter, it would tell as much.
        let link = Who::token(&site.make_link(&site.admin(), "ohif-viewer-publication", &Image::of(&own)));
        let patient = json!([ids.patient]);
        for (said, case, is_found) in [
            (json!({"PatientName": "Secret*"}), false, false),
            (json!({"PatientName": "S*", "PatientID": "Shared"}), false, false),
            (json!({"PatientBirthDate": "19700101"}), false, false),
            (json!({"PatientName": "INVENTED"}), false, true),
            (json!({"PatientName": "I*", "PatientID": "Shared", "PatientBirthDate": ""}), false, true),
            (json!({"PatientName": "Invented"}), true, true),
            (json!({"PatientName": "INVENTED"}), true, false),
            (json!({"0010,0010": "Secret*"}), true, false),
        ] {
            let mut query = json!({"Level": "Patient", "Query": said});
            if case {
                query["CaseSensitive"] = json!(true);
            }
            let expected = if is_found { &patient } else { &json!([]) };
            for who in [&external, &link] {
                let found = site.post(who, "/tools/find", &query).expect_status(200).unwrap().json().unwrap();
                assert_eq!(&found, expected, "{version:?} {who:?} {query}");
                let count = site.post(who, "/tools/count-resources", &query).expect_status(200).unwrap();
                assert_eq!(count.json().unwrap()["Count"], json!(u8::from(is_found)), "{version:?} {who:?} {query}");
            }
        }
        // Nor by where it stands in an order.
        let other = Instance::named("Other", "own", "series", "instance").text((0x0010, 0x0010), "PN", "Middle");
        let other = site.upload(&other, &["external"]);
        for direction in ["ASC", "DESC"] {
            let order = json!([{"Type": "DicomTag", "Key": "PatientName", "Direction": direction}]);
            let query = json!({"Level": "Patient", "Query": {}, "OrderBy": order});
            let found = site.post(&external, "/tools/find", &query).expect_status(200).unwrap().json().unwrap();
            assert_eq!(found, json!([other.fill("{patient}"), ids.patient]), "{version:?} {direction}");
        }
        // Whoever may see all of the patient is told what the server keeps.
        let answer = site.get(&site.admin(), &format!("/studies/{}/patient", ids.study)).text();
        assert!(answer.contains("Secret^Name"), "{version:?}: {answer}");
    }
}

/// The server makes the identifier of a study from the text `PatientID|StudyInstanceUID`, and that of a patient from the
/// PatientID: the patient `P|S` is to it the study `S` of the patient `P`, and the study of such a patient its child.
#[test]
fn nothing_is_put_below_a_foreign_study_by_an_identifier_that_is_the_same() {
    for version in Version::tested() {
        let site = plan(version).start();
        let foreign = site.upload(&Instance::named("Foreign", "study", "series", "instance"), &["internal"]);
        let own = site.upload(&Instance::named("Own", "study", "series", "instance"), &["external"]);
        let external = Who::user("external");
        let content = || {
            let paths = ["/studies/{study}", "/series/{series}", "/instances/{instance}", "/studies/{study}/series"];
            paths.map(|path| site.get(&site.admin(), &foreign.fill(path)).expect_status(200).unwrap().json().unwrap())
        };
        let before = content();
        let (study, series, instance) = (&foreign.study_uid, &foreign.series_uid, &foreign.instance_uid);
        for image in [
            Instance::new(&format!("Foreign|{study}"), "1.2.1", "1.2.1.1", "1.2.1.1.1"),
            Instance::new(&format!("Foreign|{study}"), series, "1.2.2.1", "1.2.2.1.1"),
            Instance::new(&format!("Foreign|{study}"), series, instance, "1.2.3.1.1"),
            Instance::new(&format!("Foreign|{study}|{series}"), "1.2.4", "1.2.4.1", "1.2.4.1.1"),
            Instance::new(&format!("Foreign|{study}|{series}"), instance, "1.2.5.1", "1.2.5.1.1"),
            Instance::new(&format!("Foreign|{study}|{series}|{instance}"), "1.2.6", "1.2.6.1", "1.2.6.1.1"),
        ] {
            let answer = site.send(&external, Request::post("/instances", image.to_bytes()));
            assert_eq!(answer.json().unwrap()["Status"], "FilteredOut", "{version:?}");
        }
        let replace = json!({"PatientID": format!("Foreign|{study}"), "StudyInstanceUID": series});
        let body = json!({"Replace": replace, "Force": true});
        assert_eq!(site.post(&external, &own.fill("/series/{series}/modify"), &body).status, 403, "{version:?}");
        let body = json!({"Series": [own.ids.series], "Replace": {"PatientID": format!("Foreign|{study}")}});
        let split = site.post(&external, &own.fill("/studies/{study}/split"), &body);
        assert_eq!(split.status, 403, "{version:?}");
        assert_eq!(content(), before, "{version:?}");
    }
}

/// An answer at the level of the patient that names one's own study would bring in all studies of the patient.
#[test]
fn what_is_retrieved_is_the_study_that_the_answer_names() {
    for version in Version::tested() {
        let (here, there) = (testbed::orthanc::free_port().unwrap(), testbed::orthanc::free_port().unwrap());
        let open = |port: u16, aet: &str, other: Value| {
            json!({
                "AuthenticationEnabled": false, "DicomServerEnabled": true, "DicomPort": port, "DicomAet": aet,
                "DicomCheckCalledAet": false, "DicomAlwaysAllowStore": true, "DicomAlwaysAllowFind": true,
                "DicomAlwaysAllowMove": true, "DicomModalities": {"other": other},
            })
        };
        let remote = open(there, "REMOTE", json!(["HERE", "127.0.0.1", here]));
        let remote = Orthanc::builder(version).configure(&remote).start().unwrap();
        let site = plan(version).server(&open(here, "HERE", json!(["REMOTE", "127.0.0.1", there]))).start();
        let image = |study: &str, name: &str| Instance::named("Shared", study, "series", name);
        let own = site.upload(&image("own", "one"), &["external"]);
        let foreign = site.upload(&image("foreign", "one"), &["internal"]);
        for one in [image("own", "one"), image("own", "two"), image("foreign", "one"), image("foreign", "two")] {
            testbed::dicom::upload(&remote.client(), one.to_bytes()).unwrap();
        }
        let external = Who::user("external");
        let count = |study: &str| {
            let instances = site.get(&site.admin(), &format!("/studies/{study}/instances")).json().unwrap();
            instances.as_array().unwrap().len()
        };
        let retrieve = |level: &str| {
            let query = json!({"PatientID": "Shared", "StudyInstanceUID": own.study_uid});
            let asked = json!({"Level": level, "Query": query, "Normalize": false});
            let asked = site.post(&external, "/modalities/other/query", &asked).expect_status(200).unwrap();
            let id = asked.json().unwrap()["ID"].as_str().unwrap().to_owned();
            let answers = site.get(&external, &format!("/queries/{id}/answers?expand&simplify")).text();
            assert!(answers.contains(&own.study_uid), "{version:?} {level}: {answers}");
            let body = json!({"TargetAet": "HERE", "Synchronous": true});
            let all = site.post(&external, &format!("/queries/{id}/retrieve"), &body).status;
            let one = site.post(&external, &format!("/queries/{id}/answers/0/retrieve"), &body).status;
            (all, one)
        };
        assert_eq!(retrieve("Patient"), (403, 403), "{version:?}");
        assert_eq!((count(&own.ids.study), count(&foreign.ids.study)), (1, 1), "{version:?}");
        assert_eq!(retrieve("Study"), (200, 200), "{version:?}: {}", site.server.log());
        assert_eq!((count(&own.ids.study), count(&foreign.ids.study)), (2, 1), "{version:?}");
    }
}

/// What this server's own DICOM port answers is everything, whoever asked it by HTTP.
#[test]
fn a_modality_that_is_this_server_is_not_asked_for_somebody_limited() {
    for version in Version::tested() {
        let port = testbed::orthanc::free_port().unwrap();
        let closed = testbed::orthanc::free_port().unwrap();
        let server = json!({
            "DicomServerEnabled": true, "DicomPort": port, "DicomAet": "HERE", "DicomAlwaysAllowFind": true,
            "DicomModalities": {
                "self": ["HERE", "127.0.0.1", port], "by-name": ["HERE", "localhost", port],
                "by-any": {"AET": "HERE", "Host": "0.0.0.0", "Port": port}, "away": ["HERE", "127.0.0.1", closed],
            },
        });
        let site = plan(version).server(&server).start();
        site.fill();
        let (external, admin) = (Who::user("external"), site.admin());
        let body = json!({"Level": "Study", "Query": {"PatientID": ""}});
        for name in ["self", "by-name", "by-any"] {
            let path = format!("/modalities/{name}/query");
            assert_eq!(site.post(&external, &path, &body).status, 403, "{version:?} {name}");
            let asked = site.post(&admin, &path, &body).expect_status(200).unwrap().json().unwrap();
            let answers = site.get(&admin, &format!("{}/answers", asked["Path"].as_str().unwrap())).json().unwrap();
            assert!(answers.as_array().unwrap().len() > 1, "{version:?} {name}: it does answer");
        }
        // Another one is asked, and is not there; one without a name here is not known.
        for (name, status) in [("away", 500), ("none", 404)] {
            let answer = site.post(&external, &format!("/modalities/{name}/query"), &body);
            assert_eq!(answer.status, status, "{version:?} {name}: {}", answer.text());
        }
    }
}
