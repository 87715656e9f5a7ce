//! Uploads of limited users, by every way in: into allowed and new studies only, and labelled as the site wants it.
use crate::site::{Image, Plan, Site, Who, roles};
use serde_json::{Value, json};
use std::time::Duration;
use testbed::clock::wait_until;
use testbed::dicom::Instance;
use testbed::{Answer, Orthanc, Request, Version};

/// The roles, with two more users who may upload.
fn uploaders() -> Value {
    let mut document = roles();
    document["roles"]["second-role"]["permissions"] = json!(["view", "upload"]);
    document["roles"]["viewer-role"]["authorized-labels"] = json!(["external", "inbox"]);
    document
}

/// How an instance is sent to the server.
#[derive(Clone, Copy, Debug)]
enum Way {
    File,
    Gzip,
    Zip,
    Stow,
    StowIntoStudy,
    CreateDicom,
}

impl Way {
    const ALL: [Self; 6] = [Self::File, Self::Gzip, Self::Zip, Self::Stow, Self::StowIntoStudy, Self::CreateDicom];

    fn request(self, instance: &Instance) -> Request {
        let file = instance.to_bytes();
        match self {
            Self::File => Request::post("/instances", file),
            Self::Gzip => Request::post("/instances", gzip(&file)).header("Content-Encoding", "gzip"),
            Self::Zip => Request::post("/instances", zip(&[("a/b.dcm", &file)])),
            Self::Stow => stow("/dicom-web/studies", &[&file]),
            Self::StowIntoStudy => stow(&format!("/dicom-web/studies/{}", Image::of(instance).study_uid), &[&file]),
            Self::CreateDicom => {
                let image = Image::of(instance);
                let tags = json!({
                    "PatientID": instance.get((0x0010, 0x0020)), "StudyInstanceUID": image.study_uid,
                    "SeriesInstanceUID": image.series_uid, "SOPInstanceUID": image.instance_uid, "Modality": "OT",
                });
                Request::new("POST", "/tools/create-dicom").json(&json!({"Tags": tags, "Force": true}))
            }
        }
    }
}

pub fn stow(path: &str, files: &[&[u8]]) -> Request {
    let mut body = Vec::new();
    for file in files {
        body.extend_from_slice(b"--part\r\nContent-Type: application/dicom\r\n\r\n");
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--part--\r\n");
    Request::post(path, body)
        .header("Content-Type", "multipart/related; type=\"application/dicom\"; boundary=part")
        .header("Accept", "application/dicom+json")
}

/// CRC-32 as ZIP and gzip have it (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// A gzip file (RFC 1952) whose content is stored in blocks, not compressed (RFC 1951, 3.2.4).
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = content.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap();
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&crc32(content).to_le_bytes());
    out.extend_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
    out
}

/// A ZIP archive of stored files (APPNOTE.TXT, 4.3).
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let u16_of = |number: usize| u16::try_from(number).unwrap().to_le_bytes();
    let u32_of = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    for (name, content) in files {
        let at = out.len();
        // Version, flags, method, time, date.
        let mut common = vec![10, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x58];
        common.extend_from_slice(&crc32(content).to_le_bytes());
        common.extend_from_slice(&u32_of(content.len()));
        common.extend_from_slice(&u32_of(content.len()));
        common.extend_from_slice(&u16_of(name.len()));
        common.extend_from_slice(&[0, 0]);
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&common);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(content);
        directory.extend_from_slice(b"PK\x01\x02\x0a\x00");
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&u32_of(at));
        directory.extend_from_slice(name.as_bytes());
    }
    let at = out.len();
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&u16_of(files.len()));
    out.extend_from_slice(&u16_of(files.len()));
    out.extend_from_slice(&u32_of(directory.len()));
    out.extend_from_slice(&u32_of(at));
    out.extend_from_slice(&[0, 0]);
    out
}

/// Whether the server has it.
pub fn is_there(site: &Site, instance: &Instance) -> bool {
    site.get(&site.admin(), &Image::of(instance).fill("/instances/{instance}")).status == 200
}

pub fn labels(site: &Site, instance: &Instance) -> Value {
    site.get(&site.admin(), &Image::of(instance).fill("/studies/{study}/labels")).json().unwrap()
}

fn upload(site: &Site, who: &Who, instance: &Instance) -> bool {
    let answer = site.send(who, Way::File.request(instance));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().unwrap()["Status"] == json!("Success")
}

#[test]
fn by_every_way_an_instance_enters_allowed_and_new_studies_only() {
    for version in Version::tested() {
        let site = Plan::new(version).roles(uploaders()).start();
        let images = site.fill();
        let (limited, second, admin) = (Who::user("external"), Who::user("second"), site.admin());
        for way in Way::ALL {
            let told = format!("{version:?} {way:?}");
            let named = |patient: &str, study: &str, name: &str| {
                Instance::named(patient, study, &format!("{way:?}"), &format!("{way:?} {name}"))
            };
            let try_as = |who: &Who, instance: &Instance| -> (bool, Answer) {
                let answer = site.send(who, way.request(instance));
                (is_there(&site, instance), answer)
            };

            let (taken, answer) = try_as(&limited, &named("Allowed", "study", "one"));
            assert!(taken && answer.status == 200, "{told}: {} {}", answer.status, answer.text());
            let (taken, answer) = try_as(&limited, &named("Foreign", "study", "one"));
            assert!(!taken, "{told}: {} {}", answer.status, answer.text());
            if matches!(way, Way::File | Way::Gzip) {
                assert_eq!(answer.json().unwrap()["Status"], json!("FilteredOut"), "{told}");
            }
            // The foreign study's UID under another PatientID.
            let disguised = named("Foreign", "study", "two").text((0x0010, 0x0020), "LO", "Somebody");
            assert!(!try_as(&limited, &disguised).0, "{told}");
            // A new study of a foreign patient is a new study.
            assert!(try_as(&limited, &named("Foreign", &format!("new {way:?}"), "one")).0, "{told}");

            let study = format!("{way:?}");
            for (who, name, expected) in [
                (&limited, "one", true),
                (&limited, "two", true),
                (&second, "three", false),
                (&admin, "four", true),
                (&limited, "five", true),
            ] {
                assert_eq!(try_as(who, &named("New", &study, name)).0, expected, "{told}: {name}");
            }
            // Upload only: whoever created it does not see it.
            let new = Image::of(&named("New", &study, "one"));
            assert_eq!(site.get(&limited, &new.fill("/studies/{study}")).status, 403, "{told}");
            // Until it is labelled.
            assert_eq!(site.send(&admin, Request::put(&new.fill("/studies/{study}/labels/second"), "")).status, 200);
            assert!(!try_as(&limited, &named("New", &study, "six")).0, "{told}");
            assert!(try_as(&second, &named("New", &study, "seven")).0, "{told}");

            // Without the permission, by a link, and as nobody: not even into the allowed study.
            let link = site.make_link(&Who::user("doctor"), "ohif-viewer-publication", &images.allowed);
            for who in [Who::user("viewer"), Who::token(&link), Who::nobody()] {
                let (taken, answer) = try_as(&who, &named("Allowed", "study", "two"));
                assert!(!taken && answer.status == 403, "{told}: {}", answer.status);
            }
        }
        let log = site.server.log();
        assert!(log.contains("refused an instance of local user \"external\": its study lies outside"), "{version:?}");
        assert!(log.contains("(SOPInstanceUID "), "{version:?}: {log}");
    }
}

/// Studies that the server refused to store, and that went while the plugin was not told.
#[test]
fn who_created_a_study_is_whose_instance_was_stored_and_is_still_there() {
    for version in Version::tested() {
        let section = json!({"UploadLabels": {"role:doctor-role": ["doctors"]}});
        let server = json!({"MaximumPatientCount": 1, "MaximumStorageMode": "Reject"});
        let mut document = uploaders();
        document["roles"]["doctor-role"]["permissions"] = json!(["view", "upload"]);
        let mut site = Plan::new(version).roles(document).section(section).server(&server).start();
        let (limited, doctor) = (Who::user("external"), Who::user("doctor"));
        let full = site.upload(&Instance::named("Full", "study", "series", "instance"), &[]);
        let refused = Instance::named("Refused", "study", "series", "one");
        assert_eq!(site.send(&limited, Way::File.request(&refused)).status, 507, "{version:?}");
        assert_eq!(site.delete(&site.admin(), &full.fill("/patients/{patient}")).status, 200, "{version:?}");
        assert!(upload(&site, &doctor, &Instance::named("Refused", "study", "series", "two")), "{version:?}");
        assert_eq!(labels(&site, &refused), json!(["doctors"]), "{version:?}");
        assert!(!upload(&site, &limited, &refused), "{version:?}");

        let gone = Instance::named("Refused", "gone", "series", "one");
        assert!(upload(&site, &limited, &gone), "{version:?}");
        site.server.stop().unwrap();
        let mut bare = Orthanc::builder(version).folder(&site.folder).start().unwrap();
        let deleted = bare.client().delete(&Image::of(&gone).fill("/studies/{study}")).unwrap();
        assert_eq!(deleted.status, 200, "{version:?}");
        bare.stop().unwrap();
        site.start_again();
        let again = Instance::named("Refused", "gone", "series", "two");
        assert!(upload(&site, &site.admin(), &again), "{version:?}");
        assert!(!upload(&site, &limited, &gone), "{version:?}");
    }
}

#[test]
fn each_instance_of_an_archive_is_decided_by_itself() {
    for version in Version::tested() {
        let site = Plan::new(version).roles(uploaders()).start();
        site.fill();
        let batch = |name: &str| {
            ["Allowed", "Foreign", "New"].map(|patient| Instance::named(patient, "study", name, &format!("{name}!")))
        };
        for (name, into) in [("zip", ""), ("stow", "/dicom-web/studies")] {
            let batch = batch(name);
            let files = batch.each_ref().map(Instance::to_bytes);
            let [one, two, three] = files.each_ref().map(Vec::as_slice);
            let answer = match into {
                "" => site.send(
                    &Who::user("external"),
                    Request::post("/instances", zip(&[("1", one), ("2", two), ("3", three)])),
                ),
                path => site.send(&Who::user("external"), stow(path, &[one, two, three])),
            };
            let there = batch.each_ref().map(|instance| is_there(&site, instance));
            assert_eq!(there, [true, false, true], "{version:?} {name}: {} {}", answer.status, answer.text());
        }
        // A path names a study, and its content another.
        let [allowed, foreign, _] = batch("path");
        let (into, content) = (Image::of(&allowed).study_uid, foreign.to_bytes());
        site.send(&Who::user("external"), stow(&format!("/dicom-web/studies/{into}"), &[&content]));
        assert!(!is_there(&site, &foreign), "{version:?}");
    }
}

#[test]
fn the_parent_of_a_made_image_must_be_allowed() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let images = site.fill();
        let limited = Who::user("external");
        let create = |who: &Who, parent: &str| {
            site.post(who, "/tools/create-dicom", &json!({"Tags": {"InstanceNumber": "7"}, "Parent": parent})).status
        };
        for level in ["{patient}", "{study}", "{series}"] {
            assert_eq!(create(&limited, &images.allowed.fill(level)), 200, "{version:?} {level}");
            assert_eq!(create(&limited, &images.foreign.fill(level)), 403, "{version:?} {level}");
        }
        // Of this patient there is a foreign study.
        assert_eq!(create(&limited, &images.mixed.fill("{patient}")), 403, "{version:?}");
        assert_eq!(create(&limited, &images.mixed.fill("{study}")), 200, "{version:?}");
        assert_eq!(create(&limited, &images.foreign.fill("{instance}")), 403, "{version:?}");
        for parent in ["", "nowhere", "../studies", &images.foreign.study_uid] {
            assert_eq!(create(&limited, parent), 403, "{version:?} {parent}");
        }
        assert_eq!(create(&site.admin(), &images.foreign.fill("{study}")), 200, "{version:?}");

        let foreign = images.foreign.fill("{study}");
        let deep = format!("{{\"Tags\": {}{}, \"Parent\": \"{foreign}\"}}", "[".repeat(50_000), "]".repeat(50_000));
        for body in [
            format!(
                r#"{{"Tags": {{"Modality": "OT"}}, "Parent": "{foreign}", "Parent": "{}"}}"#,
                images.allowed.fill("{study}")
            ),
            format!(r#"{{"Tags": {{"Modality": "OT"}}, /**/ "Parent": "{foreign}"}}"#),
            format!(r#"{{"Tags": {{"Modality": "OT"}}, "Parent": ["{foreign}"]}}"#),
            deep,
        ] {
            let before = site.get(&site.admin(), "/statistics").json().unwrap()["CountInstances"].clone();
            let answer = site.send(&limited, Request::post("/tools/create-dicom", body.clone()));
            assert_eq!(answer.status, 400, "{version:?}: {}", body.get(..100).unwrap_or(&body));
            assert_eq!(site.get(&site.admin(), "/statistics").json().unwrap()["CountInstances"], before);
        }
    }
}

#[test]
fn a_created_study_stays_its_creators_after_kill_9() {
    for version in Version::tested() {
        let folder = tempfile::tempdir().unwrap();
        let mut site = Plan::new(version).roles(uploaders()).folder(folder.path()).start();
        let instance = |name: &str| Instance::named("New", "study", "series", name);
        assert!(upload(&site, &Who::user("external"), &instance("one")), "{version:?}");
        site.server.kill().unwrap();
        site.start_again();
        let there = site.get(&Who::user("admin"), &Image::of(&instance("one")).fill("/instances/{instance}"));
        assert_eq!(there.status, 200, "{version:?}: {}", site.server.log());
        assert!(!upload(&site, &Who::user("second"), &instance("two")), "{version:?}");
        assert!(upload(&site, &Who::user("external"), &instance("three")), "{version:?}");
        // Deleted, it is anybody's to create.
        let study = Image::of(&instance("one")).fill("/studies/{study}");
        assert_eq!(site.delete(&Who::user("admin"), &study).status, 200);
        assert!(upload(&site, &Who::user("second"), &instance("four")), "{version:?}");
        assert!(!upload(&site, &Who::user("external"), &instance("five")), "{version:?}");
    }
}

#[test]
fn uploads_are_labelled_by_role_group_user_and_aet() {
    for version in Version::tested() {
        let port = testbed::orthanc::free_port().unwrap();
        let section = json!({"UploadLabels": {
            "role:external-role": ["external"], "group:ward": ["ward"], "user:second": ["inbox"], "aet:MODALITY": ["dicom"],
            "role:doctor-role": ["doctors", "checked"],
        }});
        let mut document = uploaders();
        document["roles"]["doctor-role"]["permissions"] = json!(["view", "upload"]);
        let server = json!({"DicomServerEnabled": true, "DicomPort": port, "DicomCheckCalledAet": false});
        let site = Plan::new(version).roles(document).section(section).server(&server).start();
        let new = |name: &str| Instance::named(name, "study", "series", "instance");

        // What somebody uploads under their own label they see at once.
        let own = new("Own");
        assert!(upload(&site, &Who::user("external"), &own), "{version:?}");
        assert_eq!(labels(&site, &own), json!(["external"]), "{version:?}");
        assert_eq!(site.get(&Who::user("external"), &Image::of(&own).fill("/studies/{study}")).status, 200);
        let more = Instance::named("Own", "study", "series", "more");
        assert!(upload(&site, &Who::user("external"), &more), "{version:?}");

        // A label that is not theirs, which leaves the study open to them.
        let inbox = new("Inbox");
        assert!(upload(&site, &Who::user("second"), &inbox), "{version:?}");
        assert_eq!(labels(&site, &inbox), json!(["inbox"]), "{version:?}");
        assert_eq!(site.get(&Who::user("second"), &Image::of(&inbox).fill("/studies/{study}")).status, 403);
        assert_eq!(site.get(&Who::user("viewer"), &Image::of(&inbox).fill("/studies/{study}")).status, 200);
        let more = Instance::named("Inbox", "study", "series", "more");
        assert!(upload(&site, &Who::user("second"), &more), "{version:?}");

        // Whoever holds all labels, by each way.
        for (number, way) in Way::ALL.into_iter().enumerate() {
            let study = new(&format!("Doctor {number}"));
            let answer = site.send(&Who::user("doctor"), way.request(&study));
            assert_eq!(answer.status, 200, "{version:?} {way:?}: {}", answer.text());
            assert_eq!(labels(&site, &study), json!(["checked", "doctors"]), "{version:?} {way:?}");
        }
        // An older study keeps its labels, and so its readers.
        let old = Instance::named("Old", "study", "series", "one");
        site.upload(&old, &[]);
        assert!(upload(&site, &Who::user("doctor"), &Instance::named("Old", "study", "series", "two")));
        assert_eq!(labels(&site, &old), json!([]), "{version:?}");

        // By the group in a token, and by an API key of somebody with the role.
        let mut claims = site.provider.claims("nurse", &["second-role"]);
        claims["groups"] = json!(["ward"]);
        let nurse = Who::bearer(&site.provider.key.token(&claims).unwrap());
        let by_group = new("Group");
        assert!(upload(&site, &nurse, &by_group), "{version:?}");
        assert_eq!(labels(&site, &by_group), json!(["ward"]), "{version:?}");
        let key = site.make_key(&Who::user("doctor"), &json!({"Name": "workstation"})).1;
        let by_key = new("Key");
        assert!(upload(&site, &Who::key(&key), &by_key), "{version:?}");
        assert_eq!(labels(&site, &by_key), json!(["checked", "doctors"]), "{version:?}");

        // C-STORE, by the AET that the sender calls itself.
        for (aet, expected) in [("MODALITY", json!(["dicom"])), ("OTHER", json!([]))] {
            let sender = Orthanc::builder(version)
                .configure(&json!({"DicomAet": aet, "DicomModalities": {"site": ["ORTHANC", "127.0.0.1", port]}}))
                .start()
                .unwrap();
            let study = new(aet);
            let sent = testbed::dicom::upload(&sender.client(), study.to_bytes()).unwrap();
            let body = json!({"Resources": [sent.instance], "Synchronous": true});
            let answer = sender.client().post_json("/modalities/site/store", &body).unwrap();
            assert_eq!(answer.status, 200, "{version:?}: {}", answer.text());
            let arrived = wait_until(Duration::from_secs(20), || is_there(&site, &study).then_some(()));
            assert!(arrived.is_some(), "{version:?}");
            assert_eq!(labels(&site, &study), expected, "{version:?} {aet}");
        }
    }
}
