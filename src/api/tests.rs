use serde_json::{Value, json};

use super::*;
use crate::config::{Emails, Environment, ProcessEnvironment, Smtp, SmtpTls};
use crate::host::Method;
use crate::person::Person;
use crate::request::{Change, Request};
use crate::resource::Level;
use crate::share::ShareResource;
use crate::share::kind::LinkType;
use crate::slot::Staleness;
use crate::store::faulty::{Fault, FaultyStore};
use crate::store::{PersonRecord, ShareFilter, Store};
use crate::testing::{Bed, NOW, basic, id, world};

fn api(bed: &Bed) -> Api {
    let text = json!({"IndexDirectory": "/nowhere", "Authorization": {
        "Shares": {"PublicOrthancRoot": "https://orthanc.example/"}}})
    .to_string();
    let environment: &dyn Environment = &ProcessEnvironment::new(None);
    let config = crate::config::read(&text, environment).unwrap().unwrap();
    let doctor = Arc::new(Doctor::new(&config, Arc::clone(&bed.gate)));
    Api {
        index: Arc::new(Index::new(Arc::clone(&bed.host) as Arc<dyn crate::host::Host>)),
        gate: Arc::clone(&bed.gate),
        doctor,
        shares: config.shares,
        oe2_root: "/ui/".to_owned(),
        login: None,
        provider: None,
        front: crate::login::Front::new(None, false, "Orthanc".to_owned()),
        decodes_arguments: true,
        mail: None,
        meddream: None,
    }
}

fn bed() -> Bed {
    let roles = json!({
        "roles": {
            "admin-role": {"permissions": ["admin-permissions", "share", "view"], "authorized-labels": ["*"]},
            "external-role": {"permissions": ["view"], "authorized-labels": ["ext", "other"]},
            "reader-role": {"permissions": ["view", "edit-labels"], "authorized-labels": ["*"]}
        },
        "available-labels": ["ext", "secret"]
    });
    let configuration = json!({"Authorization": {"StandardConfigurations": ["orthanc-explorer-2"]}});
    let users = json!({"admin": ["admin-role"], "ext": ["external-role"], "reader": ["reader-role"]});
    Bed::new(configuration, &users, &roles, world())
}

/// As the server does it: the filter for the request of the browser, then the callback, on one thread.
fn ask(bed: &Bed, outer: &str, path: &str, user: Option<&str>) -> (u16, Value) {
    send(bed, Method::Get, outer, path, user)
}

fn send(bed: &Bed, method: Method, outer: &str, path: &str, user: Option<&str>) -> (u16, Value) {
    send_body(bed, method, outer, path, user, b"")
}

fn send_body(bed: &Bed, method: Method, outer: &str, path: &str, user: Option<&str>, body: &[u8]) -> (u16, Value) {
    let value = user.map(basic);
    let headers: Vec<(&str, &str)> = value.iter().map(|value| ("authorization", value.as_str())).collect();
    let request = |path| Request { method, path, remote: "192.0.2.1", headers: headers.clone(), arguments: Vec::new() };
    let seen = request(outer);
    let mut outcome = bed.gate.decide(&seen, NOW);
    assert!(outcome.take_permit().is_some(), "{outer} passes the filter");
    slot::write(&seen, false, outcome, Staleness::Cleared, &bed.gate.places);
    let reply = api(bed).handle(&RestRequest { request: request(path), body }, NOW);
    slot::clear();
    match reply {
        Reply::Answer { status, body, .. } => (status, serde_json::from_slice(&body).unwrap()),
        other => panic!("{other:?}"),
    }
}

const CONFIGURATION: &str = "/ui/api/configuration";
const ROLES: &str = "/auth/settings/roles";

#[test]
fn the_roles_are_the_administrators_over_http() {
    let bed = bed();
    let (status, roles) = ask(&bed, ROLES, ROLES, Some("admin"));
    assert_eq!((status, roles["roles"].as_object().unwrap().len()), (200, 3));
    for user in [Some("ext"), None] {
        let (status, error) = ask(&bed, ROLES, ROLES, user);
        assert_eq!((status, &error["HttpStatus"]), (403, &json!(403)));
        // A slash at the end makes no internal call of it.
        assert_eq!(ask(&bed, "/auth/settings/roles/", ROLES, user).0, 403);
    }
}

#[test]
fn orthanc_explorer_2_asks_for_the_roles_on_behalf_of_everybody() {
    // Decision 7: it goes blank on anything but 200.
    let bed = bed();
    let (status, roles) = ask(&bed, CONFIGURATION, ROLES, Some("admin"));
    assert_eq!((status, roles["roles"].as_object().unwrap().len()), (200, 3));
    assert_eq!(ask(&bed, CONFIGURATION, ROLES, Some("ext")), (200, json!({"roles": {}, "available-labels": ["ext"]})));
    assert_eq!(ask(&bed, CONFIGURATION, ROLES, None), (200, json!({"roles": {}, "available-labels": []})));
    // An empty list would let any text be typed, which is refused then.
    let available = json!({"roles": {}, "available-labels": ["ext", "secret"]});
    assert_eq!(ask(&bed, CONFIGURATION, ROLES, Some("reader")), (200, available));
}

#[test]
fn a_call_without_a_request_behind_it_is_trusted_with_the_roles() {
    let bed = bed();
    slot::clear();
    let request = Request { method: Method::Get, path: ROLES, remote: "", headers: Vec::new(), arguments: Vec::new() };
    let reply = api(&bed).handle(&RestRequest { request, body: b"" }, NOW);
    let Reply::Answer { status: 200, body, .. } = reply else { panic!("{reply:?}") };
    let roles: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(roles["roles"].as_object().unwrap().len(), 3);
}

#[test]
fn the_profile_is_that_of_whoever_the_browser_shows() {
    let bed = bed();
    for outer in [CONFIGURATION, "/auth/user/profile"] {
        let (status, profile) = ask(&bed, outer, "/auth/user/profile", Some("ext"));
        assert_eq!(status, 200);
        assert_eq!(profile["name"], "ext");
        assert_eq!(profile["permissions"], json!(["view"]));
        assert_eq!(profile["authorized-labels"], json!(["ext", "other"]));
        let (status, profile) = ask(&bed, outer, "/auth/user/profile", None);
        assert_eq!((status, &profile["permissions"]), (200, &json!([])));
    }
}

/// The server gives the callback the path without the slash.
#[test]
fn what_people_see_is_not_below_itself() {
    let bed = bed();
    let text = "/auth/links/0123";
    for path in ["/auth/login", "/auth/logout", "/auth/callback", "/auth/oidc/authorize", text] {
        let (status, error) = ask(&bed, &format!("{path}/"), path, None);
        assert_eq!((status, &error["HttpError"]), (404, &json!("Not Found")), "{path}");
        assert!(error["Details"].as_str().unwrap().contains("without the slash"), "{path} {error}");
    }
    // Scripts find the rest with a slash and without.
    assert_eq!(ask(&bed, "/auth/user/profile/", "/auth/user/profile", None).0, 200);
}

#[test]
fn a_display_name_stands_in_nobodys_way() {
    let bed = bed();
    let store = &bed.verifiers().store;
    let person = |issuer: &str, subject: &str| Person {
        issuer: format!("https://{issuer}.example"),
        subject: subject.to_owned(),
    };
    let seen = |person: Person, name: &str| {
        let name = name.to_owned();
        store.remember_person(&PersonRecord { person, name, groups: vec![], roles: vec![], seen_at: NOW }).unwrap();
    };
    let end = |user: &str| {
        let path = format!("/auth/sessions/user/{user}");
        send(&bed, Method::Delete, &path, &path, Some("admin")).0
    };
    let mut all: Vec<Person> = ["17", "18", "19"].into_iter().map(|subject| person("one", subject)).collect();
    all.extend([person("two", "20"), person("two", "ext")]);
    all.extend(["ext", "17", "Anna"].map(Person::local));
    let ended = || -> Vec<Person> {
        all.iter().filter(|person| store.not_before(person).unwrap().is_some()).cloned().collect()
    };
    seen(person("one", "17"), "ext");
    seen(person("one", "18"), "17");
    assert_eq!((end("ext"), ended()), (200, vec![Person::local("ext")]));
    assert_eq!((end("17"), ended()), (200, vec![person("one", "17"), Person::local("ext")]));
    // One name of two people, and one subject at two providers, are nobody's.
    seen(person("one", "19"), "Anna");
    seen(person("two", "20"), "Anna");
    seen(person("two", "ext"), "Somebody");
    assert_eq!((end("Anna"), end("ext"), ended().len()), (409, 409, 2));
}

#[test]
fn what_a_local_account_left_can_be_ended_when_it_is_gone() {
    let bed = bed();
    let end = |user: &str| {
        let path = format!("/auth/sessions/user/{user}");
        send(&bed, Method::Delete, &path, &path, Some("admin")).0
    };
    bed.make_key("k", "anna", |_| ());
    bed.make_link("l", Some("bob"), LinkType::Stone, Vec::new(), |_| ());
    for user in ["anna", "bob"] {
        assert_eq!(end(user), 200);
        assert!(bed.verifiers().store.not_before(&Person::local(user)).unwrap().is_some(), "{user}");
    }
    assert_eq!(end("nobody"), 404);
    // Nothing is made for who is not there.
    let body = json!({"Resources": [{"OrthancId": id("a1"), "Level": "study"}], "Recipient": "anna"}).to_string();
    let path = "/auth/tokens/stone-viewer-publication";
    assert_eq!(send_body(&bed, Method::Put, path, path, Some("admin"), body.as_bytes()).0, 400);
}

#[test]
fn somebody_whose_provider_has_another_address_now_can_be_ended() {
    let roles = json!({"roles": {"admin-role": {"permissions": ["admin-permissions"], "authorized-labels": ["*"]}}});
    let keycloak = json!({"Url": "http://127.0.0.1:1/", "Realm": "orthanc"});
    let configuration = json!({"Authorization": {"Keycloak": keycloak}});
    let bed = Bed::new(configuration, &json!({"admin": ["admin-role"]}), &roles, world());
    let store = &bed.verifiers().store;
    let person = |issuer: &str| Person { issuer: issuer.to_owned(), subject: "17".to_owned() };
    let today = person("http://127.0.0.1:1/realms/orthanc");
    for person in [today.clone(), person("http://keycloak:8080/realms/orthanc")] {
        let name = "Anna".to_owned();
        store.remember_person(&PersonRecord { person, name, groups: vec![], roles: vec![], seen_at: NOW }).unwrap();
    }
    for user in ["17", "Anna"] {
        let path = format!("/auth/sessions/user/{user}");
        assert_eq!(send(&bed, Method::Delete, &path, &path, Some("admin")).0, 200, "{user}");
    }
    assert!(store.not_before(&today).unwrap().is_some());
}

/// The filter lets a request pass before its body is read, which whoever sends it can stretch.
#[test]
fn who_lost_a_key_while_the_body_came_makes_nothing_more() {
    let bed = bed();
    let (key, other) = (bed.make_key("key", "admin", |_| ()), bed.make_key("other", "admin", |_| ()));
    let roles = ask(&bed, ROLES, ROLES, Some("admin")).1.to_string();
    let wanted = json!({"Type": "stone-viewer-publication", "Resources": [{"OrthancId": id("a1"), "Level": "study"}]});
    let wanted = wanted.to_string();
    let send = |text: &str, path: &str, body: &str, meanwhile: &dyn Fn()| {
        let headers = vec![("token", text)];
        let request = Request { method: Method::Put, path, remote: "", headers, arguments: Vec::new() };
        let outcome = bed.gate.decide(&request, NOW);
        assert_eq!(outcome.verified.len(), 2);
        slot::write(&request, false, outcome, Staleness::Cleared, &bed.gate.places);
        meanwhile();
        let reply = api(&bed).handle(&RestRequest { request, body: body.as_bytes() }, NOW);
        slot::clear();
        let Reply::Answer { status, .. } = reply else { panic!("{reply:?}") };
        status
    };
    let delete = || {
        bed.verifiers().store.delete_api_key("key", None).unwrap();
        bed.gate.identities.forget();
    };
    for (path, body) in [(ROLES, &roles), ("/auth/tokens/stone-viewer-publication", &wanted)] {
        // Somebody else lost something.
        let changed = || bed.gate.identities.forget();
        assert_eq!(send(&other, path, body, &|| ()), 200, "{path}");
        assert_eq!(send(&other, path, body, &changed), 200, "{path}");
    }
    assert_eq!(send(&key, ROLES, &roles, &delete), 403);
    let key = bed.make_key("key", "admin", |_| ());
    assert_eq!(send(&key, "/auth/tokens/stone-viewer-publication", &wanted, &delete), 403);
}

#[test]
fn what_was_just_made_is_known_until_something_is_taken_from_somebody() {
    let bed = bed();
    let make = |method: Method, path: &str, body: &Value, member: &str| {
        let (status, made) = send_body(&bed, method, path, path, Some("admin"), body.to_string().as_bytes());
        assert_eq!(status, 200, "{made}");
        made[member].as_str().unwrap().to_owned()
    };
    let link = |type_: &str, more: &Value| {
        let mut wanted = json!({"Type": type_, "Resources": [{"OrthancId": id("a1"), "Level": "study"}]});
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        make(Method::Put, &format!("/auth/tokens/{type_}"), &wanted, "Token")
    };
    let made = [
        link("viewer-instant-link", &json!({})),
        link("stone-viewer-publication", &json!({})),
        make(Method::Post, "/auth/api-keys", &json!({"Name": "k"}), "Key"),
    ];
    let identities = &bed.gate.identities;
    assert!(made.iter().all(|text| identities.knows(text)));
    let later = link("stone-viewer-publication", &json!({"NotBefore": "2100-01-01T00:00:00Z"}));
    assert!(!identities.knows(&later));
    identities.forget();
    assert!(!made.iter().any(|text| identities.knows(text)));
}

#[test]
fn a_pin_is_hashed_in_its_turn_or_not_at_all() {
    let bed = bed();
    let path = "/auth/tokens/stone-viewer-publication";
    let make = || {
        let body = json!({"Resources": [{"OrthancId": id("a1"), "Level": "study"}], "Pin": true}).to_string();
        send_body(&bed, Method::Put, path, path, Some("admin"), body.as_bytes())
    };
    // Whose password was checked takes no slot for a while.
    assert_eq!(ask(&bed, ROLES, ROLES, Some("admin")).0, 200);
    let slots = bed.verifiers().links.pins.occupy();
    let (status, error) = make();
    assert_eq!((status, &error["HttpError"]), (503, &json!("Service Unavailable")), "{error}");
    assert!(bed.verifiers().store.shares(&crate::store::ShareFilter::default()).unwrap().is_empty());
    drop(slots);
    let (status, made) = make();
    assert_eq!((status, made["Pin"].as_str().map(str::len)), (200, Some(6)), "{made}");
}

/// Anna shares what she likes; the state may fail.
fn with_a_sharer() -> (Arc<FaultyStore>, Bed) {
    let store = Arc::new(FaultyStore::new());
    let roles = json!({"roles": {"sharer": {"permissions": ["share", "view"], "authorized-labels": ["*"]}}});
    let configuration = json!({"Authorization": {"StandardConfigurations": ["orthanc-explorer-2"]}});
    let bed =
        Bed::on(Arc::clone(&store) as Arc<dyn Store>, configuration, &json!({"anna": ["sharer"]}), &roles, world());
    (store, bed)
}

#[test]
fn a_link_is_not_made_that_would_end_with_older_ones() {
    let (store, bed) = with_a_sharer();
    let path = "/auth/tokens/stone-viewer-publication";
    let make = || {
        let body = json!({"Resources": [{"OrthancId": id("a1"), "Level": "study"}]}).to_string();
        send_body(&bed, Method::Put, path, path, Some("anna"), body.as_bytes())
    };
    let deleted = || store.shares(&ShareFilter::default()).unwrap().into_iter().map(|link| link.deleted.len());
    assert_eq!(make().0, 200);
    let there = std::mem::take(&mut *bed.host.studies.lock());
    store.fail("resource_deleted", Fault::Error);
    bed.callbacks.change(Change::Deleted(id("a1")));
    *bed.host.studies.lock() = there;
    let (status, error) = make();
    assert_eq!((status, deleted().collect::<Vec<_>>()), (503, vec![0]), "{error}");
    bed.callbacks.change(Change::Other);
    assert_eq!(make().0, 200);
    bed.callbacks.change(Change::Other);
    assert_eq!(deleted().collect::<Vec<_>>(), [0, 1], "the newest first");
}

#[test]
fn a_mail_leads_nowhere_else_when_the_state_cannot_be_read_for_a_moment() {
    let (store, bed) = with_a_sharer();
    let study = ShareResource { level: Level::Study, orthanc_id: Some(id("a1")), dicom_uid: None, url: None };
    let token = bed.make_link("link", Some("anna"), LinkType::Stone, vec![study], |_| {});
    let to_nothing = bed.make_link("to nothing", Some("anna"), LinkType::Stone, Vec::new(), |_| {});
    // Nobody listens there.
    let smtp = Smtp {
        host: "127.0.0.1".to_owned(),
        port: 1,
        tls: SmtpTls::None,
        ca: None,
        login: None,
        timeout: std::time::Duration::from_secs(5),
    };
    let emails = Emails {
        smtp,
        sender: crate::mail::mailbox("info@example.com").unwrap(),
        reply_to: None,
        templates_folder: None,
        service_user: None,
        hourly_per_person: 100,
        hourly: 100,
    };
    let api = Api { mail: Some(Arc::new(Mail::start(&emails).unwrap())), ..api(&bed) };
    let mail = |query: &str| {
        let content = format!("<a href=\"https://orthanc.example/stone-webviewer/index.html?{query}\">here</a>");
        let body = json!({"destination-email": "b@example.com", "email-title": "A study", "email-content": content});
        let (body, basic) = (body.to_string(), basic("anna"));
        let request = Request {
            method: Method::Post,
            path: "/auth/emails/send",
            remote: "192.0.2.1",
            headers: vec![("authorization", &basic)],
            arguments: Vec::new(),
        };
        let outcome = bed.gate.decide(&request, NOW);
        slot::write(&request, false, outcome, Staleness::Cleared, &bed.gate.places);
        let reply = api.handle(&RestRequest { request, body: body.as_bytes() }, NOW);
        slot::clear();
        let Reply::Answer { body, .. } = reply else { panic!("{reply:?}") };
        serde_json::from_slice::<Value>(&body).unwrap()["details"].as_str().unwrap().to_owned()
    };
    let plain = format!("token={token}");
    assert!(mail(&format!("token={to_nothing}")).contains("none of its studies is here"));
    let leads_elsewhere = format!("url=https://evil.example/&token={token}");
    assert!(mail(&plain).contains("mail server"), "{}", mail(&plain));
    bed.gate.identities.forget();
    store.fail("not_before", Fault::Error);
    let refused = mail(&leads_elsewhere);
    assert!(!store.will_fail());
    assert!(refused.contains("a link in the mail opens nothing: this test"), "{refused}");
    let refused = mail(&leads_elsewhere);
    assert!(refused.contains("no share link of yours"), "{refused}");
}
