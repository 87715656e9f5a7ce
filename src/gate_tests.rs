//! The decision cases of `tests/cases/decisions.jsonc`, through the real gate, with the real route table, rules, roles
//! and state, before a server in memory.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::clock::UnixTime;
use crate::identity::roles_book::RolesBookError;
use crate::policy::roles::Roles;
use crate::resource::Level;
use crate::share::ShareResource;
use crate::share::kind::LinkType;
use crate::testing::{Bed, NOW, Random, basic, id, uid, world, worlds};

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array().map(|list| list.iter().map(|text| text.as_str().unwrap().to_owned()).collect())
}

/// `{a1}`, `{a1.uid}`, `{a1.up}`; `{none}` is an identifier that nothing has.
fn filled(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').unwrap();
        result.push_str(before);
        result.push_str(&match name.split_once('.') {
            Some((name, "uid")) => uid(name),
            Some((name, "up")) => id(name).to_uppercase(),
            Some(_) => panic!("{name}"),
            None => id(name),
        });
        rest = behind;
    }
    result + rest
}

struct Group<'a> {
    bed: Bed,
    roles: Value,
    /// By name as in the cases: header or argument that carries it, and its text.
    credentials: BTreeMap<String, (&'static str, String)>,
    now: UnixTime,
    about: &'a str,
}

impl<'a> Group<'a> {
    fn new(document: &Value, group: &'a Value) -> Self {
        let mut orthanc = group.get("orthanc").cloned().unwrap_or_else(|| json!({}));
        orthanc["Authorization"] = group.get("with").cloned().unwrap_or_else(|| json!({}));
        let roles = json!({
            "roles": document["roles"],
            "available-labels": group.get("available-labels").cloned().unwrap_or_else(|| json!([])),
        });
        let bed = Bed::new(orthanc, &document["users"], &roles, world());
        let mut credentials = BTreeMap::new();
        for user in document["users"].as_object().unwrap().keys() {
            credentials.insert(user.clone(), ("authorization", basic(user)));
        }
        for (name, key) in document["keys"].as_object().unwrap() {
            let text = bed.make_key(name, key["by"].as_str().unwrap(), |record| {
                record.permissions = texts(&key["permissions"]);
                record.authorized_labels = texts(&key["labels"]);
                record.roles = texts(&key["roles"]);
                record.granted_by_admin = key["admin"] == json!(true);
                record.expires_at = key["ends"].as_i64().map(|seconds| NOW.plus(seconds));
            });
            credentials.insert(format!("key:{name}"), ("api-key", text));
        }
        for (name, link) in document["links"].as_object().unwrap() {
            let resources = link["of"].as_array().unwrap().iter().map(|resource| ShareResource {
                level: Level::parse(resource[0].as_str().unwrap()).unwrap(),
                orthanc_id: resource[1].as_str().map(filled),
                dicom_uid: resource[2].as_str().map(filled),
                url: None,
            });
            let link_type = LinkType::parse(link["type"].as_str().unwrap_or("stone-viewer-publication")).unwrap();
            let text = bed.make_link(name, link["by"].as_str(), link_type, resources.collect(), |record| {
                record.expires_at = link["ends"].as_i64().map(|seconds| NOW.plus(seconds));
            });
            credentials.insert(format!("link:{name}"), ("token", text.clone()));
            credentials.insert(format!("argument:link:{name}"), ("argument", text));
        }
        Self { bed, roles, credentials, now: NOW, about: group["about"].as_str().unwrap() }
    }

    fn step(&mut self, step: &Value) {
        let gate = &self.bed.gate;
        let verifiers = gate.identities.verifiers();
        for (what, value) in step.as_object().unwrap() {
            match what.as_str() {
                "later" => self.now = self.now.plus(value.as_i64().unwrap()),
                "labels" => {
                    for (study, labels) in value.as_object().unwrap() {
                        let labels = texts(labels).unwrap();
                        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
                        self.bed.host.set_labels(study, &labels);
                    }
                    gate.resources.labels_changed();
                }
                "roles" => {
                    for (name, role) in value.as_object().unwrap() {
                        self.roles["roles"][name] = role.clone();
                    }
                    let roles = Roles::from_value(&self.roles).unwrap();
                    verifiers.roles.replace::<RolesBookError>(roles, |_| Ok(()), |_| Ok(())).unwrap();
                }
                "revoke" => {
                    assert!(verifiers.store.revoke_share(value.as_str().unwrap(), None, self.now).unwrap());
                    gate.identities.forget();
                }
                "remove-key" => {
                    assert!(verifiers.store.delete_api_key(value.as_str().unwrap(), None).unwrap());
                    gate.identities.forget();
                }
                "end" => {
                    let person = crate::person::Person::local(value.as_str().unwrap());
                    verifiers.store.set_not_before(&person, self.now).unwrap();
                    gate.identities.forget();
                }
                other => panic!("no such step: {other}"),
            }
        }
    }

    fn ask(&self, request: &str, who: &[&str], reversed: bool) -> String {
        let (method, uri) = request.split_once(' ').unwrap();
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let mut arguments: Vec<(&str, &str)> = query
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .collect();
        // As any client says of a body; links must.
        let mut headers = vec![("content-length", "10")];
        for name in who.iter().filter(|name| !name.is_empty()) {
            let (place, text) = self.credentials.get(*name).unwrap_or_else(|| panic!("nobody is called {name}"));
            match *place {
                "argument" => arguments.push(("token", text)),
                header => headers.push((header, text.as_str())),
            }
        }
        if reversed {
            headers.reverse();
            arguments.reverse();
        }
        let request = Request { method: Method::parse(method).unwrap(), path, remote: "192.0.2.1", headers, arguments };
        let mut outcome = self.bed.gate.decide(&request, self.now);
        match outcome.take_permit() {
            Some(_) if outcome.granted.is_empty() => "Own".to_owned(),
            Some(_) => {
                assert_eq!(outcome.refusal, None);
                let names: Vec<&str> = outcome.granted.iter().map(|identity| identity.name.as_str()).collect();
                format!("Granted to {}", names.join(", "))
            }
            None => {
                assert!(outcome.granted.is_empty());
                let line = describe_refusal(&request, &outcome);
                for (_, text) in request.headers.iter().chain(&request.arguments).filter(|(_, text)| text.len() > 20) {
                    assert!(!line.contains(text), "{line} shows {text}");
                }
                format!("{:?}", outcome.refusal.unwrap())
            }
        }
    }
}

#[test]
fn every_case_is_decided_as_it_is_written() {
    let document = crate::config::parse_jsonc(include_str!("../tests/cases/decisions.jsonc")).unwrap();
    let (mut cases, mut wrong) = (0, Vec::new());
    for group in document["groups"].as_array().unwrap() {
        let mut group = (Group::new(&document, group), group["cases"].as_array().unwrap());
        for case in group.1 {
            let group = &mut group.0;
            if case.is_object() {
                group.step(case);
                continue;
            }
            cases += 1;
            let request = filled(case[0].as_str().unwrap());
            let who: Vec<&str> = match &case[1] {
                Value::String(who) => vec![who],
                list => list.as_array().unwrap().iter().map(|who| who.as_str().unwrap()).collect(),
            };
            let expected = case[2].as_str().unwrap();
            // The second time from the caches, and with everything the other way round.
            for reversed in [false, true] {
                let found = group.ask(&request, &who, reversed);
                let as_expected = match expected {
                    "Granted" => found.starts_with("Granted to "),
                    expected => found == expected,
                };
                if !as_expected {
                    wrong.push(format!("{}: {case}: {found} (reversed: {reversed})", group.about));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "\n{}\n", wrong.join("\n"));
    assert!(cases >= 350, "only {cases} cases were read");
}

/// Credentials are alternatives: whoever is let in with several is let in with one of them, wherever each stands and in
/// whatever order.
#[test]
fn the_order_of_credentials_does_not_matter() {
    let role = |permissions: &[&str], labels: &[&str]| json!({"permissions": permissions, "authorized-labels": labels});
    let roles = json!({"roles": {
        "ext": role(&["view"], &["ext"]), "int": role(&["view", "delete"], &["int"]),
        "blind": role(&["delete"], &[]), "every": role(&["view"], &["*"]),
    }});
    let users = json!({"ext": ["ext"], "int": ["int"], "blind": ["blind"], "every": ["every"]});
    let bed = Bed::new(json!({"Authorization": {"TokenHttpHeaders": ["x-key"]}}), &users, &roles, world());
    let link = |name: &str| {
        let resource = ShareResource { level: Level::Study, orthanc_id: Some(id(name)), dicom_uid: None, url: None };
        bed.make_link("", None, LinkType::Stone, vec![resource], |_| ())
    };
    let credentials = [
        bed.make_key("1", "ext", |_| ()),
        bed.make_key("2", "int", |_| ()),
        bed.make_key("3", "blind", |_| ()),
        bed.make_key("4", "every", |key| key.authorized_labels = Some(vec!["int".to_owned()])),
        bed.make_key("5", "int", |key| key.permissions = Some(vec!["delete".to_owned()])),
        link("a1"),
        link("e1"),
        "nonsense".to_owned(),
    ];
    let places = ["authorization", "token", "api-key", "x-key", "?token"];
    let mut random = Random(9);
    let (mut granted, mut refused) = (0, 0);
    for _ in 0..worlds(5_000) {
        let method = random.pick(&[Method::Get, Method::Get, Method::Delete]);
        let path = format!("/studies/{}", id(random.pick(&["a1", "b1", "c2", "d1", "e1"])));
        let ask = |held: &[(&str, &str)]| {
            let (arguments, headers): (Vec<_>, Vec<_>) = held.iter().partition(|(place, _)| *place == "?token");
            let arguments = arguments.into_iter().map(|(_, text)| ("token", text)).collect();
            let request = Request { method, path: &path, remote: "192.0.2.1", headers, arguments };
            bed.gate.decide(&request, NOW).take_permit().is_some()
        };
        let held: Vec<(&str, &str)> =
            (0..random.below(5)).map(|_| (random.pick(&places), credentials[random.below(8)].as_str())).collect();
        let mut elsewhere: Vec<(&str, &str)> = held.iter().map(|(_, text)| (random.pick(&places), *text)).collect();
        elsewhere.reverse();
        let alone = held.iter().any(|one| ask(&[*one]));
        assert_eq!(ask(&held), alone, "{held:?} on {method:?} {path}");
        assert_eq!(ask(&elsewhere), alone, "{elsewhere:?} on {method:?} {path}");
        *(if alone { &mut granted } else { &mut refused }) += 1;
    }
    assert!(granted > 500 && refused > 500, "{granted} {refused}");
}

/// Before any of it could be looked at, the server has all of it in memory.
#[test]
fn a_body_that_is_looked_into_is_short() {
    let role = |labels: &[&str]| json!({"permissions": ["all"], "authorized-labels": labels});
    let roles = json!({"roles": {"ext": role(&["ext"]), "every": role(&["*"])}});
    let bed = Bed::new(json!({}), &json!({"ext": ["ext"], "every": ["every"]}), &roles, world());
    for path in [
        "/tools/find".to_owned(),
        "/tools/bulk-delete".to_owned(),
        "/tools/bulk-modify".to_owned(),
        format!("/studies/{}/modify", id("a1")),
        "/modalities/a/store".to_owned(),
    ] {
        for (who, length, expected) in [
            ("ext", "4194304", None),
            ("ext", "4194305", Some(Refusal::BodyTooLong)),
            ("ext", "-1", Some(Refusal::BodyTooLong)),
            ("every", "4194305", None),
        ] {
            let authorization = basic(who);
            let headers = vec![("authorization", authorization.as_str()), ("content-length", length)];
            let request =
                Request { method: Method::Post, path: &path, remote: "192.0.2.1", headers, arguments: Vec::new() };
            let outcome = bed.gate.decide(&request, NOW);
            assert_eq!(outcome.refusal, expected, "{path} {who} {length}");
        }
    }
}

/// A link in a mail opens a page with the session's cookie: what a site's own rule says of patient data is no page.
#[test]
fn a_sites_own_route_with_patient_data_is_no_page() {
    let section = json!({
        "Login": {"Enable": true},
        "ExtraPermissions": [
            ["get", "^/my-plugin/open$", "view", {"PatientData": false}],
            ["get", "^/my-plugin/blind$", "view"],
            ["get", "^/my-plugin/study/([^/]+)$", "view", {"Resource": {"Level": "study", "Group": 1}}],
            ["get", "^/my-plugin/study/.*$", "view", {"PatientData": false}],
        ],
    });
    let roles = json!({"roles": {"every": {"permissions": ["view"], "authorized-labels": ["*"]}}});
    let bed = Bed::new(json!({"Authorization": section}), &json!({"every": ["every"]}), &roles, world());
    let verifiers = bed.verifiers();
    let login = crate::identity::session::Login::local("every", verifiers.local.password_mark("every"));
    let (text, _) = verifiers.sessions.as_ref().unwrap().open(login, NOW).unwrap();
    let cookie = format!("gatehouse-session={}", text.expose());
    let study = format!("/my-plugin/study/{}", id("a1"));
    for (path, is_page) in
        [("/my-plugin/open", true), ("/my-plugin/blind", true), (&study, false), (&format!("{study}/"), false)]
    {
        for (site, mode, counts) in [
            ("cross-site", "navigate", is_page),
            ("none", "navigate", is_page),
            ("same-origin", "navigate", is_page),
            ("same-origin", "cors", true),
            ("cross-site", "cors", false),
        ] {
            let headers = vec![
                ("cookie", cookie.as_str()),
                ("sec-fetch-site", site),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", "document"),
            ];
            let request = Request { method: Method::Get, path, remote: "192.0.2.1", headers, arguments: Vec::new() };
            let rejected = bed.gate.decide(&request, NOW).rejected;
            assert_eq!(rejected.is_empty(), counts, "{path} {site} {mode}: {rejected:?}");
        }
    }
}

/// Calls something when the server has given so many answers more.
fn after(answers: usize, host: &Arc<crate::testing::FakeHost>, then: impl FnOnce() + Send + 'static) {
    let own = Arc::clone(host);
    *host.meanwhile.lock() = Some(Box::new(move || match answers {
        0 | 1 => then(),
        more => after(more - 1, &own, then),
    }));
}

/// An archive of a patient is made of what the server has of the patient when all that is named was looked up.
#[test]
fn what_comes_to_a_patient_while_the_rest_is_looked_up_refuses_all() {
    let roles = json!({"roles": {"r": {"permissions": ["all"], "authorized-labels": ["ext"]}}});
    for comes in [false, true] {
        let bed = Bed::new(json!({}), &json!({"ext": ["r"]}), &roles, world());
        let user = basic("ext");
        let names = [id("ph"), id("a1")].join(",");
        let request = Request {
            method: Method::Get,
            path: "/tools/create-archive",
            remote: "192.0.2.1",
            headers: vec![("authorization", &user)],
            arguments: vec![("resources", &names)],
        };
        let host = Arc::clone(&bed.host);
        // No study, series or instance; a patient.
        after(4, &bed.host, move || {
            host.studies.lock().extend(comes.then(|| crate::testing::study("ph", "h3", &["int"])));
        });
        let mut outcome = bed.gate.decide(&request, NOW);
        assert!(bed.host.meanwhile.lock().is_none());
        assert_eq!(outcome.take_permit().is_some(), !comes, "{:?}", outcome.refusal);
    }
}

/// What a stranger adds to a request for a link's page must not bring the link's code into the log.
#[test]
fn a_refused_request_for_a_links_page_says_nothing_of_its_code() {
    let bed = Bed::new(json!({}), &json!({}), &json!({"roles": {}}), world());
    let header = ("content-type", "multipart/form-data; boundary=x");
    let request = Request {
        method: Method::Post,
        path: "/auth/links/ThisOpensIt",
        remote: "192.0.2.1",
        headers: vec![header],
        arguments: Vec::new(),
    };
    let outcome = bed.gate.decide(&request, NOW);
    assert_eq!(outcome.refusal, Some(Refusal::FormBody));
    let line = describe_refusal(&request, &outcome);
    assert!(line.starts_with("refused POST /auth/links/… (/auth/links/{any})") && !line.contains("Opens"), "{line}");
}
