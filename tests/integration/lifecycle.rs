//! Starts that are refused, stops under load, kills: nothing acknowledged is lost, and nothing starts unprotected.
use crate::site::{Plan, Who, roles_file};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use testbed::{Orthanc, Request, Version};

/// The lines that an administrator would read, with what differs between two runs replaced.
fn message(log: &str, folder: &Path) -> String {
    let lines = log.lines().filter(|line| line.starts_with('E') && line.contains("authorization:"));
    let lines = lines.map(|line| line.split_once("] ").map_or(line, |(_, text)| text));
    let folder = folder.display().to_string();
    lines.collect::<Vec<_>>().join("\n").replace(&folder, "[folder]")
}

#[test]
fn a_refused_start_says_why() {
    let version = Version::tested()[0];
    let database = |bytes: &'static [u8]| {
        move |folder: &Path| {
            fs::create_dir_all(folder.join("index")).unwrap();
            fs::write(folder.join("index/authorization.db"), bytes).unwrap();
        }
    };
    type Prepare = Box<dyn Fn(&Path)>;
    let nothing = || -> Prepare { Box::new(|_: &Path| {}) };
    let cases: Vec<(&str, Plan, Prepare, &str)> = vec![
        ("unknown key", Plan::new(version).section(json!({"Permissons": []})), nothing(), "Permissions"),
        ("a mistyped section", Plan::new(version).server(&json!({"Authorisation": {}})), nothing(), "Authorization"),
        ("unknown level", Plan::new(version).section(json!({"CheckedLevel": "series"})), nothing(), "CheckedLevel"),
        (
            "a bad pattern",
            Plan::new(version).section(json!({"ExtraPermissions": [["get", "^/(", "view"]]})),
            nothing(),
            "ExtraPermissions[0]",
        ),
        (
            "an external service",
            Plan::new(version).section(json!({"WebServiceRootUrl": "http://service.test/"})),
            nothing(),
            "WebServiceRootUrl",
        ),
        (
            "authentication of the server",
            Plan::new(version).server(&json!({"AuthenticationEnabled": true})),
            nothing(),
            "AuthenticationEnabled",
        ),
        (
            "a damaged state",
            Plan::new(version),
            Box::new(database(b"no database, but long enough to be looked at as if it were one")),
            "damaged",
        ),
        (
            "broken roles",
            Plan::new(version),
            Box::new(|folder| fs::write(roles_file(folder), "{").unwrap()),
            "permissions.jsonc",
        ),
        (
            "no roles file",
            Plan::new(version).section(json!({"PermissionsFile": "nowhere.jsonc"})),
            nothing(),
            "nowhere.jsonc",
        ),
    ];
    for (name, plan, prepare, named) in cases {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let log = plan.start_refused(folder.path());
        let message = message(&log, folder.path());
        assert!(message.contains(named), "{name}: {message}\n{log}");
        assert!(!message.contains(crate::site::SHARE_KEY) && !log.contains("argon2id"), "{name}: a secret is told");
        insta::assert_snapshot!(name.replace(' ', "_"), message);
    }
}

#[test]
fn without_a_section_nothing_is_protected_and_the_log_says_so() {
    for version in Version::tested() {
        let builder = Orthanc::builder(version).plugin(testbed::plugin_library().unwrap());
        for section in [json!({}), json!({"Authorization": {"Enable": false}})] {
            let server = builder.clone().configure(&section).start().unwrap();
            assert_eq!(server.client().get("/studies").unwrap().status, 200, "{version:?}");
            assert!(server.log().contains("the authorization plugin is disabled"), "{version:?}: {}", server.log());
        }
    }
}

#[test]
fn starts_and_stops_under_load_are_clean() {
    for version in Version::tested() {
        let mut site = Plan::new(version).start();
        let images = site.fill();
        for round in 0..5 {
            let over = AtomicBool::new(false);
            let client = site.server.client();
            let (_, key) = site.make_key(&Who::user("admin"), &json!({"Name": format!("round {round}")}));
            let path = images.foreign.fill("/studies/{study}");
            std::thread::scope(|scope| {
                for number in 0..4 {
                    let (client, over, key, path) = (&client, &over, &key, &path);
                    scope.spawn(move || {
                        while !over.load(Ordering::Relaxed) {
                            // When the server stops, connections end anyhow.
                            let request = if number % 2 == 0 {
                                Request::get(path)
                            } else {
                                Request::post("/tools/find", r#"{"Level":"Study","Query":{}}"#)
                            };
                            let _ = client.send(request.header("api-key", key));
                        }
                    });
                }
                let stopped = site.server.stop();
                over.store(true, Ordering::Relaxed);
                stopped.unwrap_or_else(|fault| panic!("{version:?} {round}: {fault:#}"));
            });
            let log = site.server.log();
            assert!(!log.contains("panicked"), "{version:?} {round}: {log}");
            site.start_again();
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_after_kill_9() {
    for version in Version::tested() {
        let mut site = Plan::new(version).start();
        let images = site.fill();
        let owner = Who::user("external");
        let mut keys = BTreeSet::new();
        let mut links = BTreeSet::new();
        for round in 0..4 {
            // The password is checked once: four first checks at a time would be more than are made at once.
            assert_eq!(site.get(&owner, "/tools/now").status, 200);
            let acknowledged = std::sync::Mutex::new((Vec::new(), Vec::new()));
            let client = site.server.client();
            let authorization = testbed::http::basic_value("external", crate::site::PASSWORD);
            let link = json!({"Resources": [{"OrthancId": images.allowed.ids.study, "Level": "study"}]});
            std::thread::scope(|scope| {
                for number in 0..4 {
                    let (client, acknowledged, authorization, link) = (&client, &acknowledged, &authorization, &link);
                    scope.spawn(move || {
                        loop {
                            let request = if number % 2 == 0 {
                                Request::new("POST", "/auth/api-keys").json(&json!({"Name": "k"}))
                            } else {
                                Request::new("PUT", "/auth/tokens/stone-viewer-publication").json(link)
                            };
                            let Ok(answer) = client.send(request.header("Authorization", authorization)) else {
                                return;
                            };
                            let Ok(answer) = answer.expect_status(200).and_then(|answer| answer.json()) else { return };
                            let mut lists = acknowledged.lock().unwrap();
                            match (answer["Key"].as_str(), answer["Token"].as_str()) {
                                (Some(key), _) => lists.0.push(key.to_owned()),
                                (_, Some(token)) => lists.1.push(token.to_owned()),
                                _ => panic!("{answer}"),
                            }
                        }
                    });
                }
                let enough = 10 + 7 * round;
                let reached = || {
                    let lists = acknowledged.lock().unwrap();
                    (lists.0.len() >= enough && lists.1.len() >= enough).then_some(())
                };
                let reached = testbed::clock::wait_until(std::time::Duration::from_secs(60), reached);
                // Also ends the threads.
                site.server.kill().unwrap();
                assert!(reached.is_some(), "{version:?} {round}: too few were acknowledged");
            });
            let lists = acknowledged.into_inner().unwrap();
            keys.extend(lists.0);
            links.extend(lists.1);
            site.start_again();
        }
        for key in &keys {
            assert_eq!(site.get(&Who::key(key), "/tools/now").status, 200, "{version:?}: a key is lost");
        }
        for link in &links {
            let path = images.allowed.fill("/studies/{study}");
            assert_eq!(site.get(&Who::token(link), &path).status, 200, "{version:?}: a link is lost");
        }
        println!("{version:?}: {} keys and {} links after 4 kills", keys.len(), links.len());
    }
}

/// Bodies and headers that are made to hurt: an answer, and a server that lives on. Its threads have small stacks.
#[test]
fn hostile_requests_are_answered() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let pid = site.server.pid();
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        let bodies = [
            deep(120),
            deep(100_000),
            objects(120),
            objects(20_000),
            String::new(),
            "\0".into(),
            "\u{feff}{}".into(),
            format!(r#"{{"Level":"Study","Query":{}}}"#, objects(120)),
            // Comments are read by Orthanc, and hide nothing from us.
            format!(r#"/* " */ {{"Level":"Study","Query":{}}}"#, objects(400)),
            format!("// \"\n{}", deep(100_000)),
            "9".repeat(100_000),
        ];
        for body in &bodies {
            for (method, path) in [
                ("POST", "/auth/tokens/decode"),
                ("PUT", "/auth/tokens/stone-viewer-publication"),
                ("POST", "/auth/api-keys"),
                ("PUT", "/auth/settings/roles"),
                ("POST", "/tools/find"),
                ("POST", "/tools/count-resources"),
            ] {
                for (name, who) in
                    [("nobody", Who::nobody()), ("limited", Who::user("external")), ("admin", Who::user("admin"))]
                {
                    let status = site.send(&who, Request::new(method, path).body(body.clone())).status;
                    assert!([200, 400, 403].contains(&status), "{version:?} {method} {path} by {name}: {status}");
                }
            }
        }
        // The same inside tokens, whose parts are looked at before their signature is.
        for (header, claims) in [
            (deep(120), "{}".into()),
            ("{}".into(), deep(120)),
            (objects(120), objects(120)),
            (r#"{"alg":"RS256","kid":"key-1"}"#.into(), objects(120)),
            (r#"{"alg":"HS256","typ":"JWT"}"#.into(), objects(120)),
        ] {
            let token = site.provider.key.token_of_texts(&header, &claims).unwrap();
            assert_eq!(site.get(&Who::token(&token), "/tools/now").status, 403, "{version:?}");
            let asked = json!({"TokenKey": "token", "TokenValue": token});
            assert_eq!(site.post(&Who::nobody(), "/auth/tokens/decode", &asked).status, 200, "{version:?}");
        }
        let long = "/x".repeat(4_000);
        for path in [long.as_str(), "/studies/%ff%fe", "/%0d%0aE1121", "/studies/%00", "/tools/find?x=%"] {
            let status = site.get(&Who::user("external"), path).status;
            assert!((400..500).contains(&status), "{version:?} {path}: {status}");
        }
        assert_eq!(site.server.pid(), pid);
        assert_eq!(site.get(&Who::user("admin"), "/tools/now").status, 200, "{version:?}: it lives on");
    }
}
