//! Orthanc Explorer 2's requests, as they were written down (`tests/cases/explorer2.jsonc`), against a real Orthanc: what it
//! reads of the answers is there, and nobody gets more by them than they should.
//!
//! Orthanc Explorer 2 itself is in no Debian release, so it does not run here: its browser's requests are sent in its place, and
//! a small plugin does what its server part does.
use crate::site::{Image, PASSWORD, Plan, SHARE_KEY, Site, Who};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use testbed::dicom::Instance;
use testbed::mail::{MailServer, Tls};
use testbed::{Answer, Request, Version};

#[test]
fn what_orthanc_explorer_2_sends_is_answered_as_it_expects() {
    let steps = fs::read_to_string(testbed::workspace::root().join("tests/cases/explorer2.jsonc")).unwrap();
    let steps: Vec<Value> = serde_json::from_str(&without_comments(&steps)).unwrap();
    assert!(steps.len() > 60, "{}", steps.len());
    for version in Version::tested() {
        let server = MailServer::builder(Tls::StartTls).start().unwrap();
        let (site, mut names) = site(version, &server);
        let mut wrong = String::new();
        for step in &steps {
            if let Err(what) = play(&site, step, &mut names) {
                wrong.push_str(&format!("{}, {}: {what}\n", step["case"], step["send"]));
            }
        }
        assert!(wrong.is_empty(), "{version:?}:\n{wrong}");
        let mails = server.mails().unwrap();
        assert_eq!(mails.len(), 3, "{version:?}");
        assert_eq!(mails[0].header("subject"), ["Through the server part"]);
        assert!(mails[1].part("text/html").contains(&format!("href=\"{}\"", names["share-url"])));
        assert!(mails[2].part("text/plain").contains(&names["inbox-url"]));
    }
}

/// One request, and what is expected of its answer.
fn play(site: &Site, step: &Value, names: &mut BTreeMap<String, String>) -> Result<(), String> {
    let text = |name: &str| step[name].as_str().map(|text| fill(text, names));
    let send = text("send").unwrap();
    let (method, path) = send.split_once(' ').unwrap();
    let mut request = Request::new(method, path).headers(&headers(text("who").unwrap().as_str(), names));
    if let Some(body) = text("body") {
        request = request.header("Content-Type", "application/json").body(body);
    }
    let answer = site.send(&Who::nobody(), request);
    if Some(u64::from(answer.status)) != step["expect"].as_u64() {
        return Err(format!("{} instead of {}: {}", answer.status, step["expect"], answer.text()));
    }
    check(step, &answer, names)
}

fn check(step: &Value, answer: &Answer, names: &mut BTreeMap<String, String>) -> Result<(), String> {
    let members = |name: &str| step[name].as_object().cloned().unwrap_or_default();
    let lacks: Vec<&str> = step["lacks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if ["has", "starts", "keep"].iter().all(|name| members(name).is_empty()) && lacks.is_empty() {
        return Ok(());
    }
    let told = answer.json().map_err(|error| format!("{error:#}"))?;
    for (name, expected) in members("has") {
        let expected: Value = serde_json::from_str(&fill(&expected.to_string(), names)).unwrap();
        if told.get(&name) != Some(&expected) {
            return Err(format!("{name} is not {expected}: {told}"));
        }
    }
    for (name, expected) in members("starts") {
        if !told[&name].as_str().is_some_and(|text| text.starts_with(expected.as_str().unwrap())) {
            return Err(format!("{name} does not start with {expected}: {told}"));
        }
    }
    if let Some(name) = lacks.iter().find(|name| told.get(**name).is_some()) {
        return Err(format!("{name} is there: {told}"));
    }
    for (name, member) in members("keep") {
        let kept = told[member.as_str().unwrap()].as_str().ok_or(format!("{member} is no text: {told}"))?;
        names.insert(name, kept.to_owned());
    }
    Ok(())
}

/// As Chromium sends them for its scripts; the server part is libcurl.
fn headers(who: &str, names: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let basic = testbed::http::basic_value("mailer", PASSWORD);
    match who {
        "explorer" => pairs(&[("Authorization", &basic), ("Accept", "*/*")]),
        "nobody" => pairs(&[("Accept", "application/json, text/plain, */*")]),
        who => match who.strip_prefix("bearer ") {
            Some(name) => pairs(&[("Authorization", &format!("Bearer {}", names[name]))]),
            None => pairs(&[
                ("Accept", "application/json, text/plain, */*"),
                ("token", &names[who]),
                ("Sec-Fetch-Site", "same-origin"),
                ("Sec-Fetch-Mode", "cors"),
                ("Sec-Fetch-Dest", "empty"),
            ]),
        },
    }
}

fn fill(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut filled = text.to_owned();
    for (name, value) in names {
        filled = filled.replace(&format!("{{{name}}}"), value);
    }
    filled
}

/// Lines that are comments; there are no others.
fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The site, and what the steps name.
fn site(version: Version, server: &MailServer) -> (Site, BTreeMap<String, String>) {
    let folder = tempfile::tempdir().unwrap();
    let templates = folder.path().join("templates");
    fs::create_dir_all(&templates).unwrap();
    fs::write(templates.join("share-content.html"), "<p>{PatientName}: <a href=\"{ShareUrl}\">here</a></p>").unwrap();
    fs::write(templates.join("share-layout.html"), "<html><body>{email-content}</body></html>").unwrap();
    let roles = json!({
        "roles": {
            "admin-role": {"permissions": ["all", "admin-permissions", "upload", "edit-labels"], "authorized-labels": ["*"]},
            "sharer-role": {"permissions": ["view", "download", "share", "create-inbox-links"], "authorized-labels": ["external"]},
            "viewer-role": {"permissions": ["view"], "authorized-labels": ["external"]},
            "cleaner-role": {"permissions": ["view", "delete"], "authorized-labels": ["external"]},
        },
        "available-labels": [],
    });
    let section = json!({
        "StandardConfigurations": ["orthanc-explorer-2", "stone-webviewer", "ohif", "volview"],
        "Users": {"mailer": {"PasswordHash": testbed::password_hash(PASSWORD).unwrap(), "Roles": []}},
        "Shares": {
            "SecretKey": SHARE_KEY, "PublicOrthancRoot": "http://site.test/orthanc/", "PublicOhifRoot": "http://site.test/ohif/",
            "PublicLandingRoot": "http://site.test/orthanc/ui/app/token-landing.html",
        },
        "Emails": {
            "TemplatesFolder": templates, "Sender": "info@hospital.example", "ServiceUser": "mailer",
            "Smtp": {"Host": "localhost", "Port": server.port(), "Tls": "starttls", "CaFile": server.authority()},
        },
    });
    let part = testbed::explorer::server_part(version, folder.path()).unwrap();
    // It speaks with the server that it runs in, over HTTP: the port has to be known before.
    let port = testbed::orthanc::free_port().unwrap();
    let plan = Plan::new(version).plugin(&part).port(port);
    let plan = plan.env("EXPLORER_EMAILS", &format!("http://localhost:{port}/auth/emails/"));
    let plan = plan.env("EXPLORER_USER", "mailer").env("EXPLORER_PASSWORD", PASSWORD);
    let mut site = plan.roles(roles).section(section).start();
    let upload =
        |name: &str, label: &str| site.upload(&Instance::named("Explored", name, "series", "instance"), &[label]);
    let images: [Image; 2] = [upload("study", "external"), upload("other", "external")];
    let foreign = site.upload(&Instance::named("Foreign", "study", "series", "instance"), &["internal"]);
    let old = ["old-1", "old-2", "old-3"].map(|name| (name, upload(name, "external").ids.study));
    let [study, other] = images;
    let mut names = BTreeMap::new();
    for (name, value) in [
        ("study", &study.ids.study),
        ("study-uid", &study.study_uid),
        ("series", &study.ids.series),
        ("instance", &study.ids.instance),
        ("other", &other.ids.study),
        ("other-uid", &other.study_uid),
        ("foreign", &foreign.ids.study),
        ("foreign-uid", &foreign.study_uid),
        ("sharer", &site.token("jane", &["sharer-role"])),
        ("viewer", &site.token("vera", &["viewer-role"])),
        ("cleaner", &site.token("clea", &["cleaner-role"])),
        ("admin", &site.token("anna", &["admin-role"])),
        (old[0].0, &old[0].1),
        (old[1].0, &old[1].1),
        (old[2].0, &old[2].1),
    ] {
        names.insert(name.to_owned(), value.clone());
    }
    site.owns(folder);
    (site, names)
}
