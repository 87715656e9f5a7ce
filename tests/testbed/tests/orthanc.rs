//! The testbed itself, against real servers.
use serde_json::json;
use std::fs;
use std::time::Duration;
use testbed::dicom::{self, Instance};
use testbed::{Orthanc, Request, Version};

const STUDY_DESCRIPTION: (u16, u16) = (0x0008, 0x1030);

#[test]
fn both_versions_run_side_by_side_with_dicomweb() {
    let servers = Version::ALL.map(|version| Orthanc::builder(version).dicomweb().unwrap().start().unwrap());
    let versions = servers.each_ref().map(|server| {
        let system = server.client().get("/system").unwrap().expect_status(200).unwrap().json().unwrap();
        assert_eq!(server.client().get("/dicom-web/studies").unwrap().status, 200);
        system["Version"].as_str().unwrap().to_owned()
    });
    assert!(versions[0].starts_with("1.12."), "trixie has {}", versions[0]);
    assert_ne!(versions[0], versions[1]);
}

#[test]
fn made_up_images_are_accepted_with_the_ids_that_we_compute() {
    for version in Version::ALL {
        let server = Orthanc::builder(version).start().unwrap();
        let client = server.client();
        let image = Instance::named("pat", "study", "series", "1").text(STUDY_DESCRIPTION, "LO", "Kanarienvogel äöü");
        let sibling = Instance::named("pat", "study", "series", "2");
        let uploaded = dicom::upload(&client, image.to_bytes()).unwrap();
        assert_eq!(uploaded, image.ids());
        assert_eq!(dicom::upload(&client, sibling.to_bytes()).unwrap().series, uploaded.series);

        let study = client.get(&format!("/studies/{}", uploaded.study)).unwrap().json().unwrap();
        assert_eq!(study["MainDicomTags"]["StudyDescription"], "Kanarienvogel äöü");
        assert_eq!(study["MainDicomTags"]["StudyInstanceUID"], image.get((0x0020, 0x000d)));
        let preview = client.get(&format!("/instances/{}/preview", uploaded.instance)).unwrap();
        assert_eq!(preview.header("content-type"), Some("image/png"), "the pixels can be drawn");

        dicom::label(&client, &uploaded.study, "external").unwrap();
        let query = json!({"Level": "Study", "Query": {}, "Labels": ["external"], "LabelsConstraint": "Any"});
        let found = client.post_json("/tools/find", &query).unwrap().json().unwrap();
        assert_eq!(dicom::sorted_ids(&found), [uploaded.study]);
    }
}

#[test]
fn real_images_are_accepted_and_are_studies_of_their_own() {
    let server = Orthanc::builder(Version::Trixie).start().unwrap();
    let mut studies: Vec<String> =
        dicom::REAL_IMAGES.iter().map(|name| dicom::upload_real(&server.client(), name).unwrap().study).collect();
    studies.sort();
    let listed = server.client().get("/studies").unwrap().json().unwrap();
    assert_eq!(dicom::sorted_ids(&listed), studies, "as many studies as images");
}

#[test]
fn state_outlives_a_kill_in_a_folder_of_the_callers() {
    let folder = tempfile::tempdir().unwrap();
    let builder = Orthanc::builder(Version::Trixie).folder(folder.path());
    let mut first = builder.start().unwrap();
    let study = dicom::upload(&first.client(), Instance::named("p", "s", "s", "i").to_bytes()).unwrap().study;
    first.stop().unwrap();
    assert!(first.client().get("/system").is_err(), "nobody listens after a stop");
    let mut second = builder.start().unwrap();
    assert_eq!(second.client().get(&format!("/studies/{study}")).unwrap().status, 200);
    assert!(second.memory().unwrap().rss >= second.memory().unwrap().pss);
    assert!(second.threads().unwrap() > 1);
    second.kill().unwrap();
    assert!(!fs::exists(format!("/proc/{}", second.pid())).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().filter(is_log).count(), 2, "each start has its log");
}

fn is_log(entry: &std::io::Result<fs::DirEntry>) -> bool {
    entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|e| e == "log"))
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let broken = Orthanc::builder(Version::Sid).plugin("/nowhere/libmissing.so");
    let fault = broken.start().unwrap_err();
    assert!(format!("{fault:#}").contains("libmissing.so"), "{fault:#}");
    assert!(broken.start_refused().unwrap().contains("libmissing.so"));
    let fault = Orthanc::builder(Version::Sid).start_refused().unwrap_err();
    assert!(format!("{fault:#}").contains("it serves"), "{fault:#}");
}

#[test]
fn a_port_of_somebody_else_is_reported() {
    for version in Version::ALL {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let fault = Orthanc::builder(version).port(port).start().unwrap_err();
        assert!(format!("{fault:#}").contains(&port.to_string()), "{fault:#}");
    }
}

#[test]
fn requests_go_out_byte_for_byte() {
    let server = Orthanc::builder(Version::Trixie).verbose().start().unwrap();
    let answer = server.client().send_raw(b"GET /system HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().unwrap()["Name"], "testbed");
    server.client().send(Request::get("/patients/../statistics?a=1&a=2")).unwrap();
    server.wait_for_log("(http) GET /statistics", Duration::from_secs(5)).unwrap();
    let mut connection = testbed::http::Connection::open(server.address()).unwrap();
    for _ in 0..3 {
        assert_eq!(connection.send(&Request::get("/statistics")).unwrap().status, 200, "keep-alive");
    }
}

#[test]
fn password_hashes_are_of_the_usual_form_and_salted() {
    let (one, two) = (testbed::password_hash("secret").unwrap(), testbed::password_hash("secret").unwrap());
    assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_eq!(one.split('$').count(), 6);
    assert_ne!(one, two);
}
