//! Routes whose body names resources, jobs and queries, by limited users: what they can do to what is theirs, and that
//! nothing foreign is changed, sent or told.
use crate::site::{Plan, Site, Who, roles};
use serde_json::{Value, json};
use std::time::Duration;
use testbed::dicom::{Instance, uid};
use testbed::{Orthanc, Version, clock};

/// A site where two limited users hold every permission, and a second server that takes what is sent.
struct World {
    site: Site,
    remote: Orthanc,
    user: Who,
    friend: Who,
    /// Of one patient, both allowed: two series in the first.
    own: Instance,
    own_second_series: Instance,
    own_other_study: Instance,
    foreign: Instance,
}

impl World {
    fn new(version: Version) -> Self {
        let dicom_port = testbed::orthanc::free_port().unwrap();
        let remote = Orthanc::builder(version)
            .configure(&json!({
                "AuthenticationEnabled": false,
                "DicomServerEnabled": true,
                "DicomPort": dicom_port,
                "DicomAet": "REMOTE",
                "DicomCheckCalledAet": false,
                "DicomAlwaysAllowStore": true,
                "DicomAlwaysAllowFind": true,
            }))
            .start()
            .unwrap();
        let mut roles = roles();
        roles["roles"]["external-role"]["permissions"] = json!(["all", "admin-permissions"]);
        let extra = json!([
            ["post", "^/tools/bulk-content$", "all"],
            ["post", "^/studies/.*/split$", "all"],
            ["post", "^/queries/.*$", "all"],
            ["get", "^/queries.*$", "all"],
            ["get", "^/jobs.*$", "all"],
        ]);
        let site = Plan::new(version)
            .roles(roles)
            .section(json!({"ExtraPermissions": extra}))
            .server(&json!({
                "DicomModalities": {"remote": ["REMOTE", "127.0.0.1", dicom_port]},
                "OrthancPeers": {"remote": [remote.url()]},
            }))
            .start();
        let user = Who::token(&site.token("user", &["external-role"]));
        let friend = Who::token(&site.token("friend", &["external-role"]));
        let own = Instance::named("Own", "study", "series", "instance");
        let own_second_series = Instance::named("Own", "study", "second", "instance");
        let own_other_study = Instance::named("Own", "other", "series", "instance");
        let foreign = Instance::named("Foreign", "study", "series", "instance");
        // `hidden` is one that the users do not see.
        site.upload(&own, &["external", "hidden"]);
        site.upload(&own_second_series, &[]);
        site.upload(&own_other_study, &["external"]);
        site.upload(&foreign, &["internal"]);
        Self { site, remote, user, friend, own, own_second_series, own_other_study, foreign }
    }

    /// The answer of somebody who may.
    fn does(&self, path: &str, body: &Value) -> Value {
        let answer = self.site.post(&self.user, path, body);
        assert_eq!(answer.status, 200, "{path} {body}: {}; {}", answer.text(), self.site.server.log());
        answer.json().unwrap_or(Value::Null)
    }

    fn labels(&self, study: &str) -> Value {
        let labels = self.site.get(&self.site.admin(), &format!("/studies/{study}/labels"));
        labels.json().unwrap_or_else(|_| panic!("{study}: {}", labels.text()))
    }

    fn sees(&self, who: &Who, study: &str) -> bool {
        self.site.get(who, &format!("/studies/{study}")).status == 200
    }

    /// Everything that is here, and on the other server, with labels and metadata.
    fn everything(&self) -> Value {
        let all = |path: &str| self.site.get(&self.site.admin(), path).json().unwrap();
        let here = ["/patients?expand", "/studies?expand", "/series?expand", "/instances?expand"].map(all);
        json!([here, self.remote.client().get("/instances").unwrap().json().unwrap()])
    }

    /// Waits until a job has succeeded, as its owner sees it.
    fn succeeds(&self, job: &str) -> Value {
        let done = || {
            let answer = self.site.get(&self.user, &format!("/jobs/{job}"));
            assert_eq!(answer.status, 200, "{}", answer.text());
            let answer = answer.json().unwrap();
            assert_ne!(answer["State"], "Failure", "{answer}");
            (answer["State"] == "Success").then_some(answer)
        };
        clock::wait_until(Duration::from_secs(20), done).expect("the job ends")
    }
}

/// The study of an answer that says where the result is.
fn study_of(world: &World, answer: &Value) -> String {
    let path = answer["Path"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let description = world.site.get(&world.site.admin(), path).json().unwrap();
    match description["Type"].as_str() {
        Some("Study") => description["ID"].as_str().unwrap().to_owned(),
        Some("Series") => description["ParentStudy"].as_str().unwrap().to_owned(),
        _ => description["Studies"][0].as_str().unwrap().to_owned(),
    }
}

#[test]
fn results_are_under_the_labels_of_their_sources_1_12_7() {
    results_are_under_the_labels_of_their_sources(Version::Trixie);
}

#[test]
fn results_are_under_the_labels_of_their_sources_1_13_0() {
    results_are_under_the_labels_of_their_sources(Version::Sid);
}

fn results_are_under_the_labels_of_their_sources(version: Version) {
    let world = World::new(version);
    let ids = world.own.ids();
    let labels = json!(["external", "hidden"]);
    let force = |replace: Value| json!({"Replace": replace, "Force": true});
    for (path, body) in [
        (format!("/studies/{}/modify", ids.study), json!({"Replace": {"StudyDescription": "new"}})),
        (format!("/studies/{}/anonymize", ids.study), json!({"KeepLabels": false})),
        (format!("/series/{}/modify", ids.series), force(json!({"StudyInstanceUID": uid("new"), "PatientID": "New"}))),
        (format!("/series/{}/anonymize", ids.series), json!({})),
    ] {
        let made = study_of(&world, &world.does(&path, &body));
        assert_ne!(made, ids.study, "{path}");
        assert_eq!(world.labels(&made), labels, "{path}");
        assert!(world.sees(&world.user, &made), "{path}");
    }
    let made = study_of(
        &world,
        &world.does(&format!("/series/{}/modify", ids.series), &json!({"Replace": {"SeriesDescription": "x"}})),
    );
    assert_eq!(made, ids.study, "a modified series stays in its study");
    let made = world.does("/tools/bulk-anonymize", &json!({"Resources": [ids.instance]}));
    let studies: Vec<&Value> =
        made["Resources"].as_array().unwrap().iter().filter(|one| one["Type"] == "Study").collect();
    assert_eq!(world.labels(studies[0]["ID"].as_str().unwrap()), labels);

    // Split, at once and as a job.
    let split = format!("/studies/{}/split", ids.study);
    let body = json!({"Series": [world.own_second_series.ids().series], "KeepSource": true});
    let made = world.does(&split, &body)["TargetStudy"].as_str().unwrap().to_owned();
    assert_eq!(world.labels(&made), labels);
    assert!(world.sees(&world.user, &made));
    let body = json!({"Series": [world.own_second_series.ids().series], "Asynchronous": true});
    let job = world.does(&split, &body)["ID"].as_str().unwrap().to_owned();
    let made = world.succeeds(&job)["Content"]["TargetStudy"].as_str().unwrap().to_owned();
    let labelled = clock::wait_until(Duration::from_secs(10), || world.sees(&world.user, &made).then_some(()));
    assert_eq!((labelled, world.labels(&made)), (Some(()), labels.clone()));

    // Merged: under the labels of where it goes.
    let other = world.own_other_study.ids();
    world.does(&format!("/studies/{}/merge", other.study), &json!({"Resources": [made]}));
    assert_eq!(world.labels(&other.study), json!(["external"]));
    let series = world.site.get(&world.user, &format!("/studies/{}/series", other.study)).json().unwrap();
    assert_eq!(series.as_array().map(Vec::len), Some(2));

    // One instance by itself: nobody looks into that body, and a deep one would end the server.
    let path = format!("/instances/{}/modify", ids.instance);
    let body = json!({"Replace": {"PatientName": "x"}});
    assert_eq!(world.site.post(&world.user, &path, &body).status, 403);
    let answer = world.site.post(&world.site.admin(), &path, &body);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/dicom")));

    // Content, and at last deletion.
    let content = world.does("/tools/bulk-content", &json!({"Resources": [ids.instance], "Level": "Study"}));
    assert_eq!(content[0]["Labels"], json!(["external"]));
    world.does("/tools/bulk-delete", &json!({"Resources": [other.study]}));
    assert!(!world.sees(&world.site.admin(), &other.study));
}

#[test]
fn what_is_sent_is_ones_own_1_12_7() {
    what_is_sent_is_ones_own(Version::Trixie);
}

#[test]
fn what_is_sent_is_ones_own_1_13_0() {
    what_is_sent_is_ones_own(Version::Sid);
}

fn what_is_sent_is_ones_own(version: Version) {
    let world = World::new(version);
    let there = || world.remote.client().get("/studies").unwrap().json().unwrap();
    let (own, other) = (world.own.ids(), world.own_other_study.ids());
    world.does("/modalities/remote/store", &json!([own.instance]));
    assert_eq!(there(), json!([own.study]));
    let job = world.does("/peers/remote/store", &json!({"Resources": [other.study], "Synchronous": false}));
    let job = job["ID"].as_str().unwrap();
    world.succeeds(job);
    assert_eq!(there().as_array().map(Vec::len), Some(2));

    // The job is nobody else's, and the list is nobody's who does not hold all labels.
    for path in [format!("/jobs/{job}"), "/jobs".to_owned(), "/jobs/0b0b0b0b-0b0b-0b0b-0b0b-0b0b0b0b0b0b".to_owned()] {
        assert_eq!(world.site.get(&world.friend, &path).status, 403, "{path}");
    }
    assert_eq!(world.site.get(&world.user, "/jobs").status, 403);
    let foreign = world.site.post(
        &world.site.admin(),
        "/modalities/remote/store",
        &json!({"Resources": [own.study], "Synchronous": false}),
    );
    let foreign = foreign.json().unwrap()["ID"].as_str().unwrap().to_owned();
    assert_eq!(world.site.get(&world.user, &format!("/jobs/{foreign}")).status, 403);
    assert_eq!(world.site.get(&world.site.admin(), &format!("/jobs/{foreign}")).status, 200);
    assert_eq!(world.site.post(&world.user, &format!("/jobs/{job}/resubmit"), &json!({})).status, 403);

    // What was asked of the other server is the asker's.
    let query = world.does("/modalities/remote/query", &json!({"Level": "Study", "Query": {"PatientID": "Own"}}));
    let query = query["ID"].as_str().unwrap();
    for below in ["", "/answers", "/answers/0/content", "/level", "/query", "/modality"] {
        let path = format!("/queries/{query}{below}");
        assert_eq!(world.site.get(&world.user, &path).status, 200, "{path}");
        assert_eq!(world.site.get(&world.friend, &path).status, 403, "{path}");
    }
    assert_eq!(world.site.get(&world.user, "/queries").status, 403);
    let further = world.does(&format!("/queries/{query}/answers/0/query-series"), &json!({"Query": {}}));
    let further = further["ID"].as_str().unwrap();
    assert_eq!(world.site.get(&world.user, &format!("/queries/{further}/answers")).status, 200);
    assert_eq!(world.site.get(&world.friend, &format!("/queries/{further}/answers")).status, 403);
}

#[test]
fn nothing_foreign_is_changed_or_sent_1_12_7() {
    nothing_foreign_is_changed_or_sent(Version::Trixie);
}

#[test]
fn nothing_foreign_is_changed_or_sent_1_13_0() {
    nothing_foreign_is_changed_or_sent(Version::Sid);
}

fn nothing_foreign_is_changed_or_sent(version: Version) {
    let world = World::new(version);
    let (own, other, foreign) = (world.own.ids(), world.own_other_study.ids(), world.foreign.ids());
    let foreign_uid = world.foreign.get((0x0020, 0x000d));
    let other_uid = world.own_other_study.get((0x0020, 0x000d));
    let before = world.everything();
    let unknown = "0b0b0b0b-0b0b0b0b-0b0b0b0b-0b0b0b0b-0b0b0b0b";
    let mut tried = Vec::new();
    for bad in [&foreign.patient, &foreign.study, &foreign.series, &foreign.instance, unknown] {
        for list in [json!([bad]), json!([own.study, bad]), json!([bad, own.study])] {
            for path in [
                "/tools/bulk-delete",
                "/tools/bulk-content",
                "/tools/bulk-modify",
                "/tools/bulk-anonymize",
                "/modalities/remote/store",
                "/peers/remote/store",
            ] {
                tried.push((path.to_owned(), json!({"Resources": list})));
            }
            tried.push((format!("/studies/{}/merge", other.study), json!({"Resources": list})));
            tried.push((format!("/studies/{}/split", own.study), json!({"Series": list})));
            tried.push((format!("/studies/{}/split", own.study), json!({"Instances": list})));
            tried.push(("/peers/remote/store".to_owned(), list.clone()));
            for path in [
                "/tools/create-archive",
                "/tools/create-media",
                "/modalities/remote/move",
                "/modalities/remote/storage-commitment",
            ] {
                tried.push((path.to_owned(), json!({"Resources": list})));
            }
        }
    }
    for path in ["modify", "anonymize", "merge", "split"] {
        tried.push((
            format!("/studies/{}/{path}", foreign.study),
            json!({"Resources": [own.study], "Series": [own.series]}),
        ));
        tried.push((
            format!("/studies/{}/{path}", own.series),
            json!({"Resources": [own.study], "Series": [own.series]}),
        ));
    }
    for replace in [
        json!({"StudyInstanceUID": foreign_uid}),
        json!({"0020,000d": foreign_uid, "PatientID": "Foreign"}),
        json!({"0020000D": other_uid}),
        json!({"(0020,000d)": foreign_uid}),
        json!({"20,d": foreign_uid}),
        json!({"PatientID": "Foreign"}),
        json!({"0010-0020": "foreign "}),
    ] {
        let body = json!({"Replace": replace, "Force": true});
        tried.push((format!("/studies/{}/modify", own.study), body.clone()));
        tried.push((format!("/series/{}/modify", own.series), body.clone()));
        tried.push((format!("/studies/{}/anonymize", own.study), body.clone()));
        tried.push((
            "/tools/bulk-modify".to_owned(),
            json!({"Replace": replace, "Force": true, "Resources": [own.instance]}),
        ));
    }
    for (path, body) in &tried {
        let answer = world.site.post(&world.user, path, body);
        assert_eq!(
            (answer.status, answer.text().contains("Foreign")),
            (403, false),
            "{path} {body}: {}",
            answer.text()
        );
    }
    assert_eq!(world.everything(), before);
    let log = world.site.server.log();
    assert!(log.contains("use GET with `resources`"), "the log names the route to use instead");
}
