//! Inbox links: a stranger brings in new studies, so many and so long, and is shown nothing.
use crate::site::{Image, Plan, SHARE_KEY, Site, Who, roles};
use crate::uploads::{gzip, is_there, labels, stow, zip};
use serde_json::{Value, json};
use std::time::Duration;
use testbed::clock::wait_until;
use testbed::dicom::Instance;
use testbed::http::Connection;
use testbed::{Answer, Request, Version};

/// A site whose inbox links give the label `inbox`; these further members of `Shares`.
fn plan(version: Version, more: &[(&str, Value)]) -> Plan {
    let mut shares =
        json!({"SecretKey": SHARE_KEY, "PublicOrthancRoot": "http://site.test/orthanc/", "InboxLabels": ["inbox"]});
    for (key, value) in more {
        shares[*key] = value.clone();
    }
    let mut document = roles();
    document["roles"]["viewer-role"]["permissions"] = json!(["view", "upload", "share", "create-inbox-links"]);
    document["roles"]["second-role"]["authorized-labels"] = json!(["second", "inbox"]);
    Plan::new(version).roles(document).section(json!({"Shares": shares}))
}

fn make(site: &Site, who: &Who, more: Value) -> Answer {
    let mut body =
        json!({"Resources": [], "Type": "inbox-link", "Username": "someone@example.org", "ValidityDuration": null});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    site.put(who, "/auth/tokens/inbox-link", &body)
}

fn inbox(site: &Site, more: Value) -> Who {
    let answer = make(site, &Who::user("external"), more).expect_status(200).unwrap().json().unwrap();
    Who::token(answer["Token"].as_str().unwrap())
}

fn new(patient: &str, instance: &str) -> Instance {
    Instance::named(patient, "study", "series", instance)
}

fn file(instance: &Instance) -> Request {
    Request::post("/instances", instance.to_bytes())
}

/// The newest link, as its maker sees it.
fn listed(site: &Site) -> Value {
    site.get(&Who::user("external"), "/auth/shares").json().unwrap()[0].take()
}

fn decoded(site: &Site, who: &Who) -> Value {
    let token = who.sign(Request::get("/")).headers[0].1.clone();
    let asked = json!({"TokenKey": "token", "TokenValue": token});
    site.post(&Who::nobody(), "/auth/tokens/decode", &asked).expect_status(200).unwrap().json().unwrap()
}

/// What Orthanc Explorer 2 shows of an upload that failed: the message of a 4xx.
fn assert_refused(answer: &Answer, told: &str) {
    assert_eq!(answer.status, 400, "{told}: {}", answer.text());
    assert_eq!(answer.json().unwrap()["Message"], "Bad file format", "{told}");
}

#[test]
fn an_inbox_link_brings_in_new_studies_and_shows_nothing() {
    for version in Version::tested() {
        let site = plan(version, &[]).start();
        let images = site.fill();
        let answer = make(&site, &Who::user("external"), json!({})).expect_status(200).unwrap().json().unwrap();
        let token = answer["Token"].as_str().unwrap();
        let url = format!("http://site.test/orthanc/ui/app/inbox.html?token={token}");
        assert_eq!(answer["Url"], json!(url), "{version:?}");
        let who = Who::token(token);
        let link = listed(&site);
        assert_eq!((&link["Username"], &link["Verbs"]), (&json!("someone@example.org"), &json!(["upload"])));
        let days = |text: &Value| text.as_str().unwrap()[8..10].parse::<i32>().unwrap();
        let lasts = days(&link["ExpirationDate"]) - days(&link["CreationDate"]);
        assert!(lasts == 7 || lasts < 0, "{link}");

        // What the inbox page asks for.
        let none = json!({"ResourcesDicomIds": [], "ResourcesOrthancIds": [], "TokenType": "inbox-link"});
        assert_eq!(decoded(&site, &who), none, "{version:?}");
        let profile = site.get(&who, "/auth/user/profile").expect_status(200).unwrap().json().unwrap();
        assert_eq!((&profile["permissions"], &profile["authorized-labels"]), (&json!(["upload"]), &json!([])));
        // Orthanc Explorer 2 is not there; its route is open.
        assert_eq!(site.get(&who, "/ui/api/configuration").status, 404, "{version:?}");

        // As a file, and in an archive.
        let [one, two] = ["one", "two"].map(|name| new("New", name));
        let bytes = two.to_bytes();
        for (instance, request) in [(&one, file(&one)), (&two, Request::post("/instances", zip(&[("a/b", &bytes)])))] {
            let answer = site.send(&who, request);
            assert_eq!(answer.status, 200, "{version:?}: {}", answer.text());
            assert!(is_there(&site, instance), "{version:?}");
        }
        assert_eq!(labels(&site, &one), json!(["inbox"]), "{version:?}");
        assert_eq!(site.get(&Who::user("second"), &Image::of(&one).fill("/studies/{study}")).status, 200);

        // In no other way.
        let four = new("New", "four");
        let bytes = four.to_bytes();
        let into = format!("/dicom-web/studies/{}", Image::of(&four).study_uid);
        let chunked = format!("{:x}\r\n", bytes.len()).into_bytes();
        let chunked = [chunked, bytes.clone(), b"\r\n0\r\n\r\n".to_vec()].concat();
        let head =
            format!("POST /instances HTTP/1.1\r\nHost: x\r\ntoken: {token}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut connection = Connection::open(site.server.address()).unwrap();
        let answer = connection.send_bytes(&[head.into_bytes(), chunked].concat(), false).unwrap();
        assert_eq!(answer.status, 403, "{version:?}: in chunks");
        for request in [
            stow(&into, &[&bytes]),
            stow("/dicom-web/studies", &[&bytes]),
            Request::post("/instances", gzip(&bytes)).header("Content-Encoding", "gzip"),
            stow("/dicom-web/studies", &[&bytes]).header("Content-Encoding", "gzip"),
            Request::new("POST", "/tools/create-dicom").json(&json!({"Tags": {"PatientID": "New"}})),
            Request::put("/instances", bytes.clone()),
            Request::post("/stl/encode-nifti", bytes.clone()),
            Request::post("/webdav/uploads/a.dcm", bytes.clone()),
            Request::put("/webdav/uploads/a.dcm", bytes.clone()),
        ] {
            let told = format!("{version:?} {} {}", request.method, request.path);
            let answer = site.send(&who, request);
            assert!(matches!(answer.status, 403..=405), "{told}: {}", answer.status);
            assert!(!is_there(&site, &four), "{told}");
        }

        // Nothing is shown, of its own uploads neither, wherever the token stands.
        let own = Image::of(&one);
        for who in [&who, &Who::bearer(token), &Who::argument(token), &Who::key(token)] {
            for path in [
                "/studies/{study}",
                "/studies/{study}/archive",
                "/studies/{study}/labels",
                "/series/{series}",
                "/instances/{instance}/file",
                "/instances/{instance}/tags",
                "/patients/{patient}",
                "/dicom-web/studies",
                "/dicom-web/studies?StudyInstanceUID={study-uid}",
                "/dicom-web/studies/{study-uid}/metadata",
                "/dicom-web/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}",
                "/wado?requestType=WADO&objectUID={instance-uid}",
                "/tools/create-archive?resources={study}",
                "/tools/labels",
                "/instances",
                "/changes",
                "/statistics",
                "/auth/shares",
                "/auth/api-keys",
                "/auth/settings/roles",
            ] {
                assert_eq!(site.get(who, &own.fill(path)).status, 403, "{version:?} {path}");
            }
        }
        let lookup = site.send(&who, Request::post("/tools/lookup", own.study_uid.clone()));
        assert!(lookup.status == 403 || lookup.json().unwrap() == json!([]), "{version:?}: {}", lookup.text());
        for (path, body) in [
            ("/tools/find", json!({"Level": "Study", "Query": {}})),
            ("/tools/count-resources", json!({"Level": "Study", "Query": {}})),
            ("/tools/bulk-delete", json!({"Resources": [own.ids.study]})),
            ("/tools/bulk-content", json!({"Resources": [own.ids.study]})),
        ] {
            assert_eq!(site.post(&who, path, &body).status, 403, "{version:?} {path}");
        }
        for request in [
            Request::delete(&own.fill("/studies/{study}")),
            Request::put(&own.fill("/studies/{study}/labels/external"), ""),
            Request::post("/instances?_method=DELETE", ""),
            Request::new("POST", &own.fill("/studies/{study}/modify")).json(&json!({"Replace": {}})),
        ] {
            let told = format!("{version:?} {} {}", request.method, request.path);
            let status = site.send(&who, request).status;
            assert!(matches!(status, 400 | 403 | 405), "{told}: {status}");
        }
        assert!(is_there(&site, &one) && labels(&site, &one) == json!(["inbox"]), "{version:?}");
        // Links make no links, and the token is no code.
        assert_eq!(make(&site, &who, json!({})).status, 403, "{version:?}");
        let body = json!({"Resources": [{"OrthancId": own.ids.study, "Level": "study"}]});
        assert_eq!(site.put(&who, "/auth/tokens/stone-viewer-publication", &body).status, 403, "{version:?}");
        assert!(site.get(&Who::nobody(), &format!("/auth/links/{token}")).header("set-cookie").is_none());

        // Nothing foreign is entered, and what is there is not told: `AlreadyStored` would.
        let foreign = Instance::named("Foreign", "study", "series", "instance");
        let other = Instance::named("Foreign", "study", "series", "other");
        let second_patient = other.clone().text((0x0010, 0x0020), "LO", "Somebody");
        let own_second_patient = four.clone().text((0x0010, 0x0020), "LO", "Somebody");
        let uid_of = |image: &Image| image.instance_uid.clone();
        let same_instance =
            four.clone().text((0x0008, 0x0018), "UI", &uid_of(&images.foreign)).text((0x0020, 0x000d), "UI", "2.25.77");
        let same_series = four.clone().text((0x0020, 0x000e), "UI", &images.foreign.series_uid);
        let mut told = Vec::new();
        for instance in [&foreign, &other, &second_patient, &own_second_patient, &same_instance, &same_series] {
            let before = site.get(&site.admin(), "/statistics").json().unwrap()["CountInstances"].clone();
            let answer = site.send(&who, file(instance));
            assert_refused(&answer, &format!("{version:?}"));
            if told.is_empty() {
                let log = site.server.log();
                let line = log.lines().find(|line| line.contains("refused an instance of share link "));
                let line = line.unwrap_or_else(|| panic!("{version:?}: {log}"));
                let reason = "(inbox-link, made by \"external\"): its study is here already, and did not come by this link (SOPInstanceUID ";
                assert!(line.contains(reason), "{version:?}: {line}");
                assert!(
                    line.contains(&format!("StudyInstanceUID {}", images.foreign.study_uid)),
                    "{version:?}: {line}"
                );
            }
            told.push(answer.text());
            let body = zip(&[("1", &instance.to_bytes())]);
            assert_eq!(site.send(&who, Request::post("/instances", body)).json().unwrap(), json!([]), "{version:?}");
            assert_eq!(site.get(&site.admin(), "/statistics").json().unwrap()["CountInstances"], before, "{version:?}");
        }
        assert!(told.iter().all(|text| *text == told[0]), "{version:?}: {told:?}");
        assert_eq!(labels(&site, &foreign), json!(["internal"]), "{version:?}");
        // Limited users are not told either.
        let sent = |instance| site.send(&Who::user("external"), file(instance)).json().unwrap()["Status"].clone();
        assert_eq!((sent(&foreign), sent(&other)), (json!("FilteredOut"), json!("FilteredOut")), "{version:?}");

        // Whatever the patient is called, the second instance finds the study of the first.
        let latin = |instance: Instance| instance.text((0x0008, 0x0005), "CS", "ISO_IR 100");
        for (at, (patient, is_latin)) in [
            ("Müller".as_bytes(), false),
            (b"M\xfcller", true),
            (b" padded ", false),
            (b"", false),
            (b"A^B|C\\D", false),
        ]
        .into_iter()
        .enumerate()
        {
            for name in ["one", "two"] {
                let instance = new(&format!("Odd {at}"), name).raw((0x0010, 0x0020), "LO", patient.to_vec());
                let instance = if is_latin { latin(instance) } else { instance };
                let answer = site.send(&who, file(&instance));
                assert_eq!(answer.status, 200, "{version:?} {patient:?} {name}: {}", answer.text());
            }
        }

        // Signed with our key, and of no record that could count.
        let claims = json!({"id": "old", "resources": [], "type": "inbox-link", "expiration_date": null, "validity_duration": null});
        let header = json!({"alg": "HS256", "typ": "JWT"});
        let unrecorded = Who::token(&testbed::oidc::hs256(&header, &claims, SHARE_KEY.as_bytes()));
        assert_eq!(site.send(&unrecorded, file(&four)).status, 403, "{version:?}");

        // Two studies in one archive, and a foreign one among own ones: each by itself.
        let five = new("New", "five");
        let another = new("Another", "one");
        let files = [&five, &other, &another].map(Instance::to_bytes);
        let [a, b, c] = files.each_ref().map(Vec::as_slice);
        let answer = site.send(&who, Request::post("/instances", zip(&[("1", a), ("2", b), ("3", c)])));
        assert_eq!(answer.json().unwrap().as_array().map(Vec::len), Some(2), "{version:?}: {}", answer.text());
        assert_eq!([&five, &other, &another].map(|one| is_there(&site, one)), [true, false, true]);
        assert_eq!(labels(&site, &another), json!(["inbox"]), "{version:?}");
        // Another link, and whoever else may upload: not into what this one brought in.
        let seven = new("New", "seven");
        assert_refused(&site.send(&inbox(&site, json!({})), file(&seven)), &format!("{version:?}"));
        assert_eq!(sent(&seven), json!("FilteredOut"), "{version:?}");
        // Until somebody has labelled it.
        let label = own.fill("/studies/{study}/labels/second");
        assert_eq!(site.send(&site.admin(), Request::put(&label, "")).status, 200);
        assert_refused(&site.send(&who, file(&seven)), &format!("{version:?}: labelled"));
    }
}

/// What a request says of its body, and then the body, half of it after `meanwhile`.
fn slowly(site: &Site, who: &Who, instance: &Instance, meanwhile: impl FnOnce()) -> String {
    let let_through = || listed(site)["Uses"].as_u64().filter(|uses| *uses > 0).map(drop);
    site.send_slowly(who, file(instance), 300, let_through, meanwhile)
}

#[test]
fn limits_hold_to_the_last_byte_under_load_over_restarts_and_mid_upload() {
    for version in Version::tested() {
        let folder = tempfile::tempdir().unwrap();
        let mut site = plan(version, &[("InboxMaxInstances", json!(8))]).folder(folder.path()).start();
        let size = new("New", "a").to_bytes().len();
        // Exactly, and one over; the smaller of the site's limit and the link's counts.
        let who = inbox(&site, json!({"MaxBytes": 2 * size, "MaxInstances": 100}));
        assert_eq!(site.send(&who, file(&new("Bytes", "a"))).status, 200, "{version:?}");
        assert_refused(&site.send(&who, file(&new("Bytes", "bc"))), &format!("{version:?}: two bytes over"));
        assert_eq!((&listed(&site)["Instances"], &listed(&site)["Bytes"]), (&json!(1), &json!(size + 2)));
        let who = inbox(&site, json!({"MaxBytes": 2 * size}));
        let [one, two, three] = ["a", "b", "c"].map(|name| new("Exact", name));
        assert_eq!([&one, &two, &three].map(|one| one.to_bytes().len()), [size + 2; 3]);
        assert_eq!(site.send(&who, file(&one)).status, 200, "{version:?}");
        assert_eq!(site.send(&who, file(&two)).status, 400, "{version:?}");
        let _ = three;

        // Eight connections, each with more than all may.
        let who = inbox(&site, json!({}));
        let stored: usize = std::thread::scope(|scope| {
            let send = |thread: usize| {
                let (site, who) = (&site, &who);
                move || {
                    let mut connection = Connection::open(site.server.address()).unwrap();
                    let mut send = |at: usize| {
                        let instance = new("Load", &format!("{thread} {at}"));
                        let answer = connection.send(&who.sign(file(&instance))).unwrap();
                        assert!(matches!(answer.status, 200 | 400 | 500), "{}", answer.text());
                        answer.status == 200
                    };
                    (0..3).filter(|at| send(*at)).count()
                }
            };
            let threads: Vec<_> = (0..8).map(|thread| scope.spawn(send(thread))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let study = Image::of(&new("Load", "x")).fill("/studies/{study}/instances");
        let here = site.get(&site.admin(), &study).json().unwrap().as_array().map(Vec::len);
        assert_eq!((stored, here), (8, Some(8)), "{version:?}");
        assert_eq!(labels(&site, &new("Load", "x")), json!(["inbox"]), "{version:?}");
        assert_eq!(decoded(&site, &who)["ErrorCode"], "expired", "{version:?}: the page offers no upload");
        // What is here is sent again for nothing; what is too long is not read.
        let long = vec![0; 5 * 1024 * 1024];
        assert_eq!(site.send(&who, Request::post("/instances", long)).status, 403, "{version:?}");

        // Counted durably.
        let who = inbox(&site, json!({"MaxInstances": 2}));
        assert_eq!(site.send(&who, file(&new("Kill", "a"))).status, 200, "{version:?}");
        site.server.kill().unwrap();
        site.start_again();
        assert_eq!(site.send(&who, file(&new("Kill", "b"))).status, 200, "{version:?}");
        assert_refused(&site.send(&who, file(&new("Kill", "c"))), &format!("{version:?}"));

        // Taken back, or over, while the body is on its way.
        let who = inbox(&site, json!({}));
        let id = listed(&site)["ID"].as_str().unwrap().to_owned();
        let revoke = || assert_eq!(site.delete(&Who::user("external"), &format!("/auth/shares/{id}")).status, 200);
        let status = slowly(&site, &who, &new("Revoked", "a"), revoke);
        assert!(status.contains(" 400 ") && !is_there(&site, &new("Revoked", "a")), "{version:?}: {status}");
        assert_eq!(site.send(&who, file(&new("Revoked", "b"))).status, 403, "{version:?}");
        let who = inbox(&site, json!({"ValidityDuration": 2}));
        let over = || {
            let ended = || (decoded(&site, &who)["ErrorCode"] == "expired").then_some(());
            assert!(wait_until(Duration::from_secs(20), ended).is_some());
        };
        let status = slowly(&site, &who, &new("Late", "a"), over);
        assert!(status.contains(" 400 ") && !is_there(&site, &new("Late", "a")), "{version:?}: {status}");
    }
}

#[test]
fn an_inbox_link_is_made_and_lives_by_its_makers_rights() {
    for version in Version::tested() {
        let site = plan(version, &[("MaxValidity", json!(86_400))]).start();
        let (external, viewer) = (Who::user("external"), Who::user("viewer"));
        for (who, more, expected) in [
            (&external, json!({}), 200),
            (&viewer, json!({"Labels": ["external"]}), 200),
            (&viewer, json!({"Labels": ["internal"]}), 403),
            (&viewer, json!({"Labels": ["external", "inbox"]}), 403),
            (&Who::user("doctor"), json!({}), 403),
            (&Who::nobody(), json!({}), 403),
            (&external, json!({"ValidityDuration": 0}), 200),
            (&external, json!({"ValidityDuration": 86_401}), 400),
            (&external, json!({"Labels": ["a b"]}), 400),
            (&external, json!({"Verbs": ["read"]}), 400),
            (
                &external,
                json!({"Resources": [{"OrthancId": Image::of(&new("A", "a")).ids.study, "Level": "study"}]}),
                400,
            ),
        ] {
            let answer = make(&site, who, more.clone());
            assert_eq!(answer.status, expected, "{version:?} {more}: {}", answer.text());
        }
        let answer = make(&site, &viewer, json!({"Labels": ["external"]})).json().unwrap();
        assert_eq!(answer["ID"].as_str().map(str::len), Some(32), "{version:?}: {answer}");
        let who = Who::token(answer["Token"].as_str().unwrap());
        let upload = |name: &str| site.send(&who, file(&new(name, "one"))).status;
        assert_eq!(upload("One"), 200, "{version:?}");
        assert_eq!(labels(&site, &new("One", "one")), json!(["external", "inbox"]), "{version:?}");
        let change = |member: &str, value: Value, available: Value| {
            let mut document = site.get(&site.admin(), "/auth/settings/roles").json().unwrap();
            document["roles"]["viewer-role"][member] = value;
            document["available-labels"] = available;
            assert_eq!(site.put(&site.admin(), "/auth/settings/roles", &document).status, 200);
        };
        change("authorized-labels", json!(["second"]), json!([]));
        assert_eq!(upload("Two"), 403, "{version:?}: its maker may not give the label any more");
        change("authorized-labels", json!(["external"]), json!(["second"]));
        assert_eq!(upload("Two"), 403, "{version:?}: nobody may");
        assert_eq!(make(&site, &viewer, json!({"Labels": ["external"]})).status, 403, "{version:?}");
        change("authorized-labels", json!(["external"]), json!(["external"]));
        assert_eq!(upload("Two"), 200, "{version:?}");
        change("permissions", json!(["view", "upload", "share"]), json!([]));
        assert_eq!(upload("Three"), 403, "{version:?}: its maker may not make it any more");
        assert!(!is_there(&site, &new("Three", "one")), "{version:?}");
    }
}
