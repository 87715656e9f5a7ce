//! Credentials of every kind against real state: what they give, and what ends them.

use serde_json::{Value, json};

use super::oidc::testing::{FakeProvider, P256, claims_with};
use super::roles_book::RolesBookError;
use super::*;
use crate::credential::Source;
use crate::policy::roles::Roles;
use crate::request::{Change, Origin, ReceivedInstance};
use crate::share::kind::LinkType;
use crate::share::limits::LinkOptions;
use crate::store::faulty::{Fault, FaultyStore};
use crate::store::{ApiKeyRecord, ShareRecord, Store};
use crate::testing::{Bed, NOW, basic, eventually, id};
use crate::uploads::Verdict;

fn roles(doctor: Value) -> Value {
    json!({"roles": {
        "doctor-role": doctor,
        "admin-role": {"permissions": ["view", "admin-permissions"], "authorized-labels": ["*"]},
        "other-role": {"permissions": ["share"], "authorized-labels": ["int"]},
    }})
}

fn doctor() -> Value {
    json!({"permissions": ["view", "download", "share"], "authorized-labels": ["ext", "a"]})
}

fn bed_with(section: Value) -> Bed {
    let users = json!({"doctor": ["doctor-role"], "admin": ["admin-role"], "nobody": []});
    Bed::new(json!({"Authorization": section}), &users, &roles(doctor()), Vec::new())
}

fn bed() -> Bed {
    bed_with(json!({}))
}

fn verify(bed: &Bed, text: &str, now: UnixTime) -> Result<Arc<Identity>, Rejection> {
    let (kind, text) = match text.strip_prefix("Basic ") {
        Some(encoded) => (CredentialKind::Basic, encoded),
        None => (CredentialKind::Token, text),
    };
    bed.gate.identities.verify(&Credential { source: Source::Authorization, kind, text }, "192.0.2.1", now)
}

fn permissions(identity: &Identity) -> Vec<&str> {
    identity.rights.permissions.iter().map(String::as_str).collect()
}

fn labels(identity: &Identity) -> Vec<String> {
    identity.rights.labels.names()
}

fn replace_roles(bed: &Bed, document: &Value) {
    let new = Roles::from_value(document).unwrap();
    bed.verifiers().roles.replace::<RolesBookError>(new, |_| Ok(()), |_| Ok(())).unwrap();
}

/// A provider with a key, and a bed that has fetched it.
fn with_provider() -> (FakeProvider, Bed) {
    let provider = FakeProvider::start();
    provider.keys(&[P256.jwk("k")]);
    let bed = bed_with(json!({"Keycloak": {"Url": provider.url(), "Realm": "orthanc"}}));
    let oidc = bed.verifiers().oidc.as_ref().unwrap();
    eventually("the key is fetched", || oidc.health().iter().all(|health| health.keys == 1));
    (provider, bed)
}

fn token(provider: &FakeProvider, mut changes: Value) -> String {
    changes["iss"] = json!(format!("{}realms/orthanc", provider.url()));
    P256.token(r#"{"alg":"ES256","typ":"JWT","kid":"k"}"#, &claims_with(changes))
}

fn token_person(provider: &FakeProvider) -> Person {
    Person { issuer: format!("{}realms/orthanc", provider.url()), subject: "8d3c-44".to_owned() }
}

#[test]
fn a_token_gives_the_rights_of_its_roles_until_it_ends() {
    let (provider, bed) = with_provider();
    let text = token(&provider, json!({}));
    let identity = verify(&bed, &text, NOW).unwrap();
    assert_eq!(
        (permissions(&identity), labels(&identity)),
        (vec!["download", "share", "view"], vec!["a".into(), "ext".into()])
    );
    assert_eq!(identity.person, Some(token_person(&provider)));
    // The same one again, out of the cache.
    assert!(Arc::ptr_eq(&identity, &verify(&bed, &text, NOW).unwrap()));
    let end = identity.expires_at.unwrap();
    assert!(end >= NOW.plus(300) && end <= NOW.plus(310), "{end:?}");
    assert!(verify(&bed, &text, UnixTime(end.0 - 1)).is_ok());
    assert!(verify(&bed, &text, end).is_err());
    assert!(verify(&bed, &text, end.plus(1_000)).is_err());
}

#[test]
fn cached_identities_follow_the_roles() {
    let (provider, bed) = with_provider();
    let key = bed.make_key("k", "doctor", |_| ());
    let link = bed.make_link("l", Some("doctor"), LinkType::Stone, Vec::new(), |_| ());
    let all = [token(&provider, json!({})), basic("doctor"), key];
    for text in &all {
        assert!(permissions(&verify(&bed, text, NOW).unwrap()).contains(&"view"));
    }
    assert!(verify(&bed, &link, NOW).unwrap().link.as_ref().unwrap().maker.as_ref().unwrap().holds("share"));
    replace_roles(&bed, &roles(json!({"permissions": [], "authorized-labels": []})));
    for text in &all {
        let identity = verify(&bed, text, NOW).unwrap();
        assert_eq!((permissions(&identity), labels(&identity)), (vec![], vec![]), "{:?}", identity.kind);
    }
    assert!(!verify(&bed, &link, NOW).unwrap().link.as_ref().unwrap().maker.as_ref().unwrap().holds("share"));
}

#[test]
fn a_local_user_is_not_checked_again_when_roles_change() {
    let bed = bed();
    let text = basic("doctor");
    verify(&bed, &text, NOW).unwrap();
    // From here on no password of this user is looked at: a check would be refused.
    let wrong = "Basic ZG9jdG9yOndyb25n";
    let is_too_many =
        |rejection: Rejection| matches!(rejection, Rejection::Local(local::LocalError::TooManyAttempts { .. }));
    assert!((0..200).any(|_| is_too_many(verify(&bed, wrong, NOW).unwrap_err())), "guessing has no limit");
    replace_roles(&bed, &roles(json!({"permissions": ["view"], "authorized-labels": ["new"]})));
    let identity = verify(&bed, &text, NOW).unwrap();
    assert_eq!((permissions(&identity), labels(&identity)), (vec!["view"], vec!["new".into()]));
}

#[test]
fn a_wrong_password_is_never_remembered_as_a_right_one() {
    let bed = bed();
    verify(&bed, &basic("doctor"), NOW).unwrap();
    assert!(matches!(verify(&bed, "Basic ZG9jdG9yOndyb25n", NOW), Err(Rejection::Local(_))));
    assert!(matches!(verify(&bed, "Basic !", NOW), Err(Rejection::MalformedBasic)));
    assert!(matches!(verify(&bed, "Basic ZG9jdG9y", NOW), Err(Rejection::MalformedBasic)));
    // The same text as a token is another credential.
    let encoded = basic("doctor").split_off("Basic ".len());
    assert!(verify(&bed, &encoded, NOW).is_err());
}

#[test]
fn everything_of_a_person_ends_at_once() {
    let (provider, bed) = with_provider();
    let person = token_person(&provider);
    let old = token(&provider, json!({}));
    verify(&bed, &old, NOW).unwrap();
    eventually("the person is remembered", || bed.verifiers().store.person(&person).unwrap().is_some());
    let owner = person.clone();
    let key = bed.make_key("k", "", |record| record.owner = owner);
    let owner = person.clone();
    let link = bed.make_link("l", Some("x"), LinkType::Stone, Vec::new(), |record| record.owner = owner);
    for text in [&old, &key, &link] {
        assert!(verify(&bed, text, NOW).is_ok());
    }
    bed.verifiers().store.set_not_before(&person, NOW).unwrap();
    bed.gate.identities.forget();
    for text in [&old, &key, &link] {
        assert!(matches!(verify(&bed, text, NOW), Err(Rejection::Ended)), "{text}");
    }
    // What is made at that very second was there before; a second later it is new. A provider's clock may be ahead.
    for (issued, counts) in
        [(json!(NOW.0), false), (json!(NOW.0 + 10), false), (json!(null), false), (json!(NOW.0 + 11), true)]
    {
        let answer = verify(&bed, &token(&provider, json!({"iat": issued})), NOW.plus(1));
        assert_eq!(answer.is_ok(), counts, "{issued}: {answer:?}");
    }
    let owner = person.clone();
    let newer = bed.make_key("k2", "", |record| (record.owner, record.created_at) = (owner, NOW.plus(1)));
    assert!(verify(&bed, &newer, NOW.plus(1)).is_ok());
    // Somebody else is not touched.
    assert!(verify(&bed, &token(&provider, json!({"sub": "other"})), NOW).is_ok());
}

#[test]
fn a_key_gives_what_its_maker_was_last_seen_with() {
    let (provider, bed) = with_provider();
    let person = token_person(&provider);
    verify(&bed, &token(&provider, json!({})), NOW).unwrap();
    let roles_are =
        |roles: &[&str]| bed.verifiers().store.person(&person).unwrap().is_some_and(|known| known.roles == roles);
    eventually("the person is remembered", || roles_are(&["doctor-role", "offline_access"]));
    let owner = person.clone();
    let key = bed.make_key("k", "", |record| record.owner = owner);
    assert_eq!(labels(&verify(&bed, &key, NOW).unwrap()), ["a", "ext"]);
    // A newer token with other roles; the key was cached before.
    let newer = token(&provider, json!({"iat": NOW.0, "realm_access": {"roles": ["other-role"]}}));
    verify(&bed, &newer, NOW).unwrap();
    eventually("the key follows", || labels(&verify(&bed, &key, NOW).unwrap()) == ["int"]);
    // An older one, used again, brings nothing back.
    verify(&bed, &token(&provider, json!({"iat": NOW.0 - 60})), NOW).unwrap();
    bed.verifiers().recorder.stop();
    bed.gate.identities.forget();
    assert_eq!(labels(&verify(&bed, &key, NOW).unwrap()), ["int"]);
}

/// Another server's start on the state of this one, with the configuration of that day.
fn bed_on(bed: &Bed, users: &Value, section: Value) -> Bed {
    let store = Arc::clone(&bed.verifiers().store);
    Bed::on(store, json!({"Authorization": section}), users, &roles(doctor()), Vec::new())
}

/// The person behind tokens, seen as a doctor, with a key, a link, and a link for them that was opened.
fn what_somebody_had(provider: &FakeProvider, bed: &Bed) -> [Credential<'static>; 3] {
    let person = token_person(provider);
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    bed.verifiers()
        .store
        .remember_person(&crate::store::PersonRecord {
            person: person.clone(),
            name: "Anna".to_owned(),
            groups: Vec::new(),
            roles: names(&["doctor-role", "other-role"]),
            seen_at: NOW,
        })
        .unwrap();
    let owner = person.clone();
    let key = bed.make_key("k", "", |record| record.owner = owner);
    let owner = person.clone();
    let link = bed.make_link("l", Some("x"), LinkType::Stone, Vec::new(), |record| record.owner = owner);
    bed.make_link("r", Some("admin"), LinkType::Stone, Vec::new(), |record: &mut ShareRecord| {
        let recipient = json!({"issuer": person.issuer, "subject": person.subject});
        record.options_json = json!({"recipient": recipient}).to_string();
    });
    let opened = Opened { at: NOW, until: NOW.plus(3_600), session: None };
    let opened = bed.verifiers().grant("r", &opened).unwrap();
    [(CredentialKind::Token, key), (CredentialKind::Token, link), (CredentialKind::Opened, opened)]
        .map(|(kind, text)| Credential { source: Source::Authorization, kind, text: Box::leak(text.into_boxed_str()) })
}

#[test]
fn what_people_of_a_provider_had_ends_with_its_configuration() {
    let (provider, bed) = with_provider();
    let had = what_somebody_had(&provider, &bed);
    let users = json!({"admin": ["admin-role"]});
    let verify = |bed: &Bed, credential| bed.gate.identities.verify(credential, "", NOW);
    assert!(had.iter().all(|credential| verify(&bed, credential).is_ok()));
    // Without any provider, with another one, and with the same one under another address.
    let other = json!({"Url": "http://127.0.0.1:1/", "Realm": "orthanc"});
    let renamed =
        json!({"Url": "http://127.0.0.1:1/", "Realm": "orthanc", "AcceptedIssuers": [token_person(&provider).issuer]});
    for section in [json!({}), json!({"Keycloak": other}), json!({"Keycloak": renamed})] {
        let later = bed_on(&bed, &users, section.clone());
        for credential in &had {
            assert!(verify(&later, credential).is_err(), "{section} {:?}", credential.kind);
        }
    }
    let same = json!({"Keycloak": {"Url": provider.url(), "Realm": "orthanc"}});
    assert!(had.iter().all(|credential| verify(&bed_on(&bed, &users, same.clone()), credential).is_ok()));
}

#[test]
fn roles_that_a_provider_cannot_give_any_more_are_nobodys() {
    let (provider, bed) = with_provider();
    let [key, link, _] = what_somebody_had(&provider, &bed);
    let rights = |map: Value| {
        let keycloak = json!({"Url": provider.url(), "Realm": "orthanc", "RolesMap": map});
        let later = bed_on(&bed, &json!({}), json!({"Keycloak": keycloak}));
        let link = later.gate.identities.verify(&link, "", NOW).unwrap();
        let maker = link.link.as_ref().unwrap().maker.clone().unwrap();
        let key = later.gate.identities.verify(&key, "", NOW).unwrap();
        assert_eq!(key.rights.labels.names(), maker.labels.names());
        labels(&key)
    };
    assert_eq!(rights(json!(null)), ["a", "ext", "int"]);
    assert_eq!(rights(json!({"x": "doctor-role", "y": ["other-role"]})), ["a", "ext", "int"]);
    assert_eq!(rights(json!({"x": "doctor-role"})), ["a", "ext"]);
    assert!(rights(json!({})).is_empty());
}

#[test]
fn a_key_of_somebody_who_is_no_administrator_any_more_has_no_roles_beyond_their_own() {
    let bed = bed();
    let users = |roles: &[&str]| json!({"maker": roles});
    let key = bed.make_key("k", "maker", |record| {
        record.granted_by_admin = true;
        record.roles = Some(vec!["doctor-role".to_owned(), "other-role".to_owned()]);
    });
    let later = |roles: &[&str]| verify(&bed_on(&bed, &users(roles), json!({})), &key, NOW).unwrap().roles.clone();
    assert_eq!(later(&["admin-role"]), ["doctor-role", "other-role"]);
    assert_eq!(later(&["other-role"]), ["other-role"]);
}

#[test]
fn sessions_and_what_was_opened_with_them_end_as_the_configuration_of_today_says() {
    let users = json!({"doctor": ["doctor-role"], "admin": ["admin-role"]});
    let section = |login: Value| json!({"Login": login});
    let bed = bed_with(section(json!({"Enable": true, "SessionDuration": 3_600})));
    let sessions = bed.verifiers().sessions.as_ref().unwrap();
    let (text, _) =
        sessions.open(session::Login::local("doctor", bed.verifiers().local.password_mark("doctor")), NOW).unwrap();
    let id = bed.verifiers().store.sessions(None).unwrap()[0].id.clone();
    bed.make_link("r", Some("admin"), LinkType::Stone, Vec::new(), |record: &mut ShareRecord| {
        record.options_json = json!({"recipient": {"issuer": "local", "subject": "doctor"}}).to_string();
    });
    let opened = Opened { at: NOW, until: NOW.plus(7_200), session: Some(&id) };
    let opened = bed.verifiers().grant("r", &opened).unwrap();
    let had = [(CredentialKind::Session, text.expose()), (CredentialKind::Opened, opened.as_str())];
    let counts = |bed: &Bed, now: UnixTime| {
        had.map(|(kind, text)| {
            let credential = Credential { source: Source::Cookie, kind, text };
            bed.gate.identities.verify(&credential, "", now).is_ok()
        })
    };
    for (login, last) in [
        (json!({"Enable": true, "SessionDuration": 3_600}), 3_600),
        (json!({"Enable": true, "SessionDuration": 600}), 600),
        // No longer than was said when it was opened.
        (json!({"Enable": true, "SessionDuration": 7_200}), 3_600),
    ] {
        let later = bed_on(&bed, &users, section(login));
        assert_eq!(counts(&later, NOW.plus(last - 1)), [true, true], "{last}");
        assert_eq!(counts(&later, NOW.plus(last)), [false, false], "{last}");
    }
    assert_eq!(counts(&bed_on(&bed, &users, json!({})), NOW), [false, false], "nobody logs in here any more");
    let config =
        |hash: &str| json!({"doctor": {"Roles": ["doctor-role"], "PasswordHash": hash}, "admin": ["admin-role"]});
    let login = || section(json!({"Enable": true}));
    let same = crate::testing::cheap_hash();
    assert_eq!(counts(&bed_on(&bed, &config(same), login()), NOW), [true, true]);
    let other = local::hash_password(b"somebody else's").unwrap();
    let later = bed_on(&bed, &config(&other), login());
    assert_eq!(counts(&later, NOW), [false, false], "another password, and maybe another person");
}

#[test]
fn a_key_is_narrowed_and_never_widened() {
    let bed = bed();
    let list = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    type Names<'a> = &'a [&'a str];
    type Lists<'a> = Option<Names<'a>>;
    type Case<'a> = (&'a str, bool, Lists<'a>, Lists<'a>, Lists<'a>, Names<'a>, Names<'a>);
    // Maker, made by an administrator; roles, permissions, labels of the key; what it gives.
    let cases: [Case<'_>; 17] = [
        ("doctor", false, None, None, None, &["download", "share", "view"], &["a", "ext"]),
        ("doctor", false, None, Some(&["view"]), None, &["view"], &["a", "ext"]),
        ("doctor", false, None, Some(&["view", "delete"]), None, &["view"], &["a", "ext"]),
        ("doctor", false, None, Some(&[]), None, &[], &["a", "ext"]),
        ("doctor", false, None, None, Some(&["ext"]), &["download", "share", "view"], &["ext"]),
        ("doctor", false, None, None, Some(&["int"]), &["download", "share", "view"], &[]),
        ("doctor", false, None, None, Some(&["*"]), &["download", "share", "view"], &["a", "ext"]),
        ("doctor", false, None, None, Some(&[]), &["download", "share", "view"], &[]),
        ("doctor", false, Some(&["other-role"]), None, None, &["share"], &[]),
        ("doctor", false, Some(&[]), None, None, &[], &[]),
        ("doctor", false, Some(&["unknown"]), None, None, &[], &[]),
        // Not an administrator (any more): the record alone gives nothing more.
        ("doctor", true, Some(&["other-role"]), None, None, &["share"], &[]),
        ("admin", true, Some(&["other-role"]), None, None, &["share"], &["int"]),
        ("admin", false, Some(&["other-role"]), None, None, &[], &["int"]),
        ("admin", true, Some(&["other-role"]), Some(&["view"]), None, &[], &["int"]),
        ("admin", true, Some(&["doctor-role"]), Some(&["view"]), Some(&["a", "b"]), &["view"], &["a"]),
        ("admin", false, None, None, Some(&["b"]), &["admin-permissions", "view"], &["b"]),
    ];
    for (at, (maker, by_admin, roles, permitted, labelled, expected, expected_labels)) in cases.into_iter().enumerate()
    {
        let key = bed.make_key(&at.to_string(), maker, |record: &mut ApiKeyRecord| {
            record.granted_by_admin = by_admin;
            record.roles = roles.and_then(list);
            record.permissions = permitted.and_then(list);
            record.authorized_labels = labelled.and_then(list);
        });
        let identity = verify(&bed, &key, NOW).unwrap();
        assert_eq!(
            (permissions(&identity), labels(&identity)),
            (expected.to_vec(), expected_labels.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "case {at}"
        );
        assert!(!identity.is_person());
    }
}

#[test]
fn a_key_ends_with_its_date_its_removal_and_its_maker() {
    let bed = bed();
    let key = bed.make_key("k", "doctor", |record| record.expires_at = Some(NOW.plus(10)));
    assert!(verify(&bed, &key, NOW).is_ok());
    assert!(verify(&bed, &key, NOW.plus(9)).is_ok());
    assert!(matches!(verify(&bed, &key, NOW.plus(10)), Err(Rejection::Expired)));
    assert!(matches!(verify(&bed, &key, NOW.plus(11)), Err(Rejection::Expired)));
    let key = bed.make_key("k2", "doctor", |_| ());
    assert!(verify(&bed, &key, NOW).is_ok());
    assert!(bed.verifiers().store.delete_api_key("k2", None).unwrap());
    bed.gate.identities.forget();
    assert!(matches!(verify(&bed, &key, NOW), Err(Rejection::UnknownKey)));
    let key = bed.make_key("k3", "ghost", |_| ());
    assert!(matches!(verify(&bed, &key, NOW), Err(Rejection::MakerUnknown(IdentityKind::ApiKey))));
    // One digit more, less or other.
    let key = bed.make_key("k4", "doctor", |_| ());
    for wrong in
        [format!("{key}0"), key[..key.len() - 1].to_owned(), key.to_uppercase(), format!("{}é", &key[..key.len() - 2])]
    {
        assert!(verify(&bed, &wrong, NOW).is_err(), "{wrong}");
    }
}

#[test]
fn a_link_made_with_a_key_ends_with_the_key() {
    let bed = bed();
    bed.make_key("k", "doctor", |record| record.expires_at = Some(NOW.plus(10)));
    let link = bed.make_link("l", Some("doctor"), LinkType::Stone, Vec::new(), |record: &mut ShareRecord| {
        record.options_json = json!({"api_key": "k"}).to_string();
    });
    assert!(verify(&bed, &link, NOW).is_ok());
    assert!(verify(&bed, &link, NOW.plus(9)).is_ok());
    assert!(verify(&bed, &link, NOW.plus(10)).is_err(), "it was cached while the key was good");
    let link = bed.make_link("l2", Some("doctor"), LinkType::Stone, Vec::new(), |record: &mut ShareRecord| {
        record.options_json = "not JSON".to_owned();
    });
    assert!(matches!(verify(&bed, &link, NOW), Err(Rejection::Link(_))));
}

#[test]
fn links_without_a_record_are_taken_as_long_as_the_site_says() {
    let bed = bed();
    let unrecorded = bed.make_link("", None, LinkType::Stone, Vec::new(), |_| ());
    let identity = verify(&bed, &unrecorded, NOW).unwrap();
    assert!(identity.link.as_ref().unwrap().maker.is_none());
    // A new link whose record is missing is none.
    let recorded = bed.make_link("l", Some("doctor"), LinkType::Stone, Vec::new(), |_| ());
    let other = crate::testing::Bed::new(json!({}), &json!({"doctor": ["doctor-role"]}), &roles(doctor()), Vec::new());
    assert!(verify(&bed, &recorded, NOW).is_ok());
    assert!(matches!(verify(&other, &recorded, NOW), Err(Rejection::Link(_))));
    // A link of another site, or changed.
    let mut forged = recorded.clone();
    forged.replace_range(
        recorded.len() - 6..recorded.len() - 5,
        if recorded.as_bytes()[recorded.len() - 6] == b'A' { "B" } else { "A" },
    );
    assert!(matches!(verify(&bed, &forged, NOW), Err(Rejection::Link(_))));
}

#[test]
fn links_without_a_record_end_with_the_date_for_them_also_when_they_were_used_before() {
    // Ten seconds after the tests' beginning.
    let bed = bed_with(json!({"Shares": {"AcceptUnrecordedUntil": "2023-11-14T22:13:30Z"}}));
    let unrecorded = bed.make_link("", None, LinkType::Stone, Vec::new(), |_| ());
    let recorded = bed.make_link("l", Some("doctor"), LinkType::Stone, Vec::new(), |_| ());
    for now in [NOW, NOW.plus(9)] {
        assert!(verify(&bed, &unrecorded, now).is_ok());
        assert!(verify(&bed, &recorded, now).is_ok());
    }
    assert!(verify(&bed, &unrecorded, NOW.plus(10)).is_err(), "it was cached while it was accepted");
    assert!(verify(&bed, &unrecorded, NOW.plus(10)).is_err());
    assert!(verify(&bed, &recorded, NOW.plus(10)).is_ok());
}

#[test]
fn a_link_begins_and_ends() {
    let bed = bed();
    let link = bed.make_link("l", Some("doctor"), LinkType::Stone, Vec::new(), |record: &mut ShareRecord| {
        record.not_before = Some(NOW.plus(5));
        record.expires_at = Some(NOW.plus(10));
    });
    assert!(matches!(verify(&bed, &link, NOW.plus(4)), Err(Rejection::Link(_))));
    assert!(verify(&bed, &link, NOW.plus(5)).is_ok());
    assert!(matches!(verify(&bed, &link, NOW.plus(10)), Err(Rejection::Expired)));
    let link = bed.make_link("l2", Some("doctor"), LinkType::Stone, Vec::new(), |_| ());
    assert!(verify(&bed, &link, NOW).is_ok());
    assert!(bed.verifiers().store.revoke_share("l2", None, NOW).unwrap());
    bed.gate.identities.forget();
    assert!(matches!(verify(&bed, &link, NOW), Err(Rejection::Link(_))));
}

#[test]
fn a_link_stays_closed_for_what_of_it_was_deleted() {
    let bed = bed();
    let study = |name: &str| crate::share::ShareResource {
        level: crate::level::Level::Study,
        orthanc_id: Some(id(name)),
        dicom_uid: None,
        url: None,
    };
    let link = |name: &str, studies: &[&str]| {
        let resource_ids = studies.iter().map(|study| id(study)).collect();
        let resources = studies.iter().map(|name| study(name)).collect();
        bed.make_link(name, Some("doctor"), LinkType::Stone, resources, |record| record.resource_ids = resource_ids)
    };
    let (both, one) = (link("both", &["a", "b"]), link("one", &["a"]));
    let opens = |link: &str| {
        let opened = verify(&bed, link, NOW)?.link.clone().unwrap().resources;
        Ok::<_, Rejection>(opened.into_iter().map(|resource| resource.orthanc_id.unwrap()).collect::<Vec<_>>())
    };
    assert_eq!(opens(&both).unwrap(), [id("a"), id("b")]);
    assert_eq!(opens(&one).unwrap(), [id("a")]);
    // The server here has neither.
    bed.callbacks.change(crate::request::Change::Deleted(id("a")));
    assert_eq!(opens(&both).unwrap(), [id("b")], "it was cached with both");
    assert!(matches!(opens(&one), Err(Rejection::Link(_))));
    let later = link("later", &["a"]);
    assert_eq!(opens(&later).unwrap(), [id("a")], "made after that");

    let bed = bed_on(&bed, &json!({"doctor": ["doctor-role"]}), json!({"Shares": {"EndWithStudy": false}}));
    bed.callbacks.change(crate::request::Change::Deleted(id("b")));
    assert_eq!(verify(&bed, &both, NOW).unwrap().link.as_ref().unwrap().resources.len(), 1, "as the site says");
}

/// A link to the study that an instance of the patient `P` names, made on the index of the bed's server or on another.
fn link_to_what_arrives(bed: &Bed, name: &str, index: Option<&str>) -> String {
    // `printf 'P|1.2' | sha1sum`
    let id = "38213a87-6c701570-228f8693-27cc2a0f-f5f6ede7".to_owned();
    let level = crate::level::Level::Study;
    let study = crate::share::ShareResource { level, orthanc_id: Some(id.clone()), dicom_uid: None, url: None };
    bed.make_link(name, Some("doctor"), LinkType::Stone, vec![study], |record| {
        record.resource_ids = vec![id];
        record.index = index.map(str::to_owned);
    })
}

fn arrive(bed: &Bed, tags: &dyn Fn() -> Result<String, crate::host::HostError>) -> Verdict {
    bed.callbacks.receive(&ReceivedInstance { origin: Origin::Dicom, remote_aet: "CT", size: 1, file: &[], tags })
}

fn tags() -> Result<String, crate::host::HostError> {
    let tags =
        json!({"PatientID": "P", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3", "SOPInstanceUID": "1.4"});
    Ok(tags.to_string())
}

#[test]
fn what_arrives_costs_nothing_where_no_link_was_made() {
    let bed = bed();
    assert_eq!(arrive(&bed, &|| panic!("nobody reads its tags")), Verdict::Taken);
}

/// The server here has no study at all.
#[test]
fn a_link_stays_closed_for_what_went_unseen_when_it_arrives_again() {
    let store = Arc::new(FaultyStore::new());
    let users = json!({"doctor": ["doctor-role"]});
    // Which the study is told by too.
    let labelled = json!({"Authorization": {"UploadLabels": {"aet:CT": ["ct"]}}});
    let bed = Bed::on(Arc::clone(&store) as Arc<dyn Store>, labelled, &users, &roles(doctor()), Vec::new());
    let index = bed.index.named().unwrap();
    let here = link_to_what_arrives(&bed, "here", Some(&index));
    let others = [("elsewhere", Some("another index")), ("before", None)]
        .map(|(name, index)| link_to_what_arrives(&bed, name, index));
    let opens = |link: &str| verify(&bed, link, NOW).is_ok();
    let deleted = |name: &str| !store.share(name).unwrap().unwrap().deleted.is_empty();
    assert!(opens(&here));
    store.fail("linked", Fault::Error);
    assert_eq!(arrive(&bed, &tags), Verdict::Taken);
    assert!(!opens(&here) && !deleted("here"), "until it can be written, that is known here");
    bed.callbacks.change(Change::Other);
    assert!(!opens(&here) && deleted("here"));

    let again = link_to_what_arrives(&bed, "again", Some(&index));
    assert!(opens(&again));
    store.fail("resource_deleted", Fault::Error);
    assert_eq!(arrive(&bed, &tags), Verdict::Failed, "it would open it");
    let read = std::cell::Cell::new(0);
    let counted = || {
        read.set(read.get() + 1);
        tags()
    };
    assert_eq!(arrive(&bed, &counted), Verdict::Taken);
    assert!(!opens(&again) && deleted("again"));
    assert_eq!(read.get(), 1, "the server makes their text anew each time");
    assert!(others.iter().all(|link| opens(link)));
}

#[test]
fn nothing_is_taken_that_a_link_may_open_again_while_the_index_cannot_be_read() {
    let bed = bed();
    bed.index.forget();
    *bed.host.failure.lock() = Some(crate::host::HostError::PLUGIN);
    assert_eq!(arrive(&bed, &tags), Verdict::Failed);
    *bed.host.failure.lock() = None;
    assert_eq!(arrive(&bed, &tags), Verdict::Taken);
}

#[test]
fn a_link_opens_nothing_until_it_is_known_what_was_stored_unseen() {
    let bed = bed();
    let here = link_to_what_arrives(&bed, "here", Some("this index"));
    let before = link_to_what_arrives(&bed, "before", None);
    let looked = &bed.verifiers().looked;
    looked.forget();
    assert!(matches!(verify(&bed, &here, NOW), Err(Rejection::Link(LinkFault::NotLookedYet))));
    assert!(verify(&bed, &before, NOW).is_ok(), "it does not say of which index it is");
    looked.tell();
    assert!(verify(&bed, &here, NOW).is_ok());
}

#[test]
fn who_waits_for_that_is_told_what_is_so_then() {
    let bed = bed();
    let ended = link_to_what_arrives(&bed, "ended", Some("this index"));
    // As it is when the server starts.
    let looked = &bed.verifiers().looked;
    looked.begin();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| verify(&bed, &ended, NOW).map(drop));
        while !looked.is_waited_for() {
            std::thread::yield_now();
        }
        let id = "38213a87-6c701570-228f8693-27cc2a0f-f5f6ede7";
        assert!(bed.verifiers().store.resource_deleted(id, None, None).unwrap());
        looked.tell();
        assert!(matches!(waits.join().unwrap(), Err(Rejection::Link(LinkFault::Deleted))));
    });
}

#[test]
fn both_forms_of_a_link_end_with_the_key_that_signed_it() {
    let bed = bed();
    let key_id = bed.verifiers().links.signs_with().cloned();
    assert!(key_id.as_ref().is_some_and(|id| !id.is_empty()));
    let made = |name: &str, signed_by: Option<&str>| {
        bed.make_link(name, Some("doctor"), LinkType::Stone, Vec::new(), |record: &mut ShareRecord| {
            record.options_json = json!({"signed_by": signed_by}).to_string();
        })
    };
    made("now", key_id.as_deref());
    made("before", Some("another key"));
    made("early", None);
    let short = |name: &str| {
        let text = bed.verifiers().grant(name, &Opened { at: NOW, until: NOW.plus(60), session: None }).unwrap();
        let credential = Credential { source: Source::Cookie, kind: CredentialKind::Opened, text: &text };
        bed.gate.identities.verify(&credential, "", NOW).map(drop)
    };
    assert!(short("now").is_ok() && short("early").is_ok());
    assert!(matches!(short("before"), Err(Rejection::Link(_))));
}

#[test]
fn links_that_read_outlive_their_maker_where_the_site_says_so() {
    let section = json!({"Shares": {"EndWithMaker": false}});
    let bed = bed_with(section.clone());
    bed.make_key("k", "doctor", |_| ());
    let link = |name: &str, kind: LinkType, options: Value| {
        bed.make_link(name, Some("doctor"), kind, Vec::new(), |record: &mut ShareRecord| {
            record.options_json = options.to_string();
        })
    };
    let reads = link("reads", LinkType::Stone, json!({}));
    let by_key = link("by key", LinkType::Stone, json!({"api_key": "k"}));
    let bounded =
        [link("annotates", LinkType::Stone, json!({"annotate": true})), link("inbox", LinkType::Inbox, json!({}))];
    let identity = verify(&bed, &reads, NOW).unwrap();
    assert!(identity.link.as_ref().unwrap().maker.is_none(), "no label of the maker's is asked for");
    assert!(verify(&bed, &by_key, NOW).is_ok());
    for link in &bounded {
        let identity = verify(&bed, link, NOW).unwrap();
        assert!(identity.link.as_ref().unwrap().maker.is_some(), "what brings something in is the maker's as ever");
    }
    // The maker is gone.
    let without = bed_on(&bed, &json!({}), section.clone());
    assert!(verify(&without, &reads, NOW).is_ok() && verify(&without, &by_key, NOW).is_ok());
    assert!(bounded.iter().all(|link| verify(&without, link, NOW).is_err()));
    // With the maker's key, and with all that was theirs, they end all the same.
    assert!(bed.verifiers().store.delete_api_key("k", None).unwrap());
    bed.gate.identities.forget();
    assert!(verify(&bed, &by_key, NOW).is_err());
    assert!(verify(&bed, &reads, NOW).is_ok());
    bed.verifiers().store.set_not_before(&crate::person::Person::local("doctor"), NOW).unwrap();
    bed.gate.identities.forget();
    assert!(matches!(verify(&bed, &reads, NOW), Err(Rejection::Ended)));
}

#[test]
fn what_somebody_opened_for_themselves_ends_with_their_rights_whatever_the_site_says() {
    let bed = bed_with(json!({"Shares": {"EndWithMaker": false}}));
    let doctor = crate::person::Person::local("doctor");
    let link = |id: &str, recipient: &crate::person::Person| {
        let options = LinkOptions { recipient: Some(recipient.clone().into()), ..LinkOptions::default() };
        bed.make_link(id, Some("doctor"), LinkType::ViewerInstant, Vec::new(), |record: &mut ShareRecord| {
            record.options_json = serde_json::to_string(&options).unwrap();
        });
        let record = bed.verifiers().store.share(id).unwrap().unwrap();
        bed.verifiers().link_of_record(record, NOW).unwrap().link.clone().unwrap()
    };
    assert!(link("launched", &doctor).maker.is_some(), "bounded by what they may today");
    assert!(link("shared", &crate::person::Person::local("somebody")).maker.is_none());
}

#[test]
fn what_is_too_long_or_nothing_at_all_is_refused_without_a_search() {
    let bed = bed();
    let long = "x".repeat(crate::credential::LONGEST + 1);
    assert!(matches!(verify(&bed, &long, NOW), Err(Rejection::TooLong)));
    for garbage in ["", ".", "..", "a.b.c", "gatehouse_", &id("x"), "\u{0}"] {
        assert!(verify(&bed, garbage, NOW).is_err(), "{garbage:?}");
    }
}

#[test]
fn the_log_leaves_out_whoever_is_nobody() {
    let named = |permissions: &[&str]| {
        let permissions = permissions.iter().map(|name| (*name).to_owned()).collect();
        Arc::new(Identity::anonymous(&AnonymousProfile {
            name: "Anonymous".to_owned(),
            permissions,
            ..Default::default()
        }))
    };
    let of = |kind, name: &str, id: Option<&str>, made_by: Option<&str>| {
        Arc::new(Identity {
            kind,
            name: name.to_owned(),
            id: id.map(str::to_owned),
            made_by: made_by.map(str::to_owned),
            ..Identity::anonymous(&AnonymousProfile::default())
        })
    };
    let link = of(IdentityKind::Link, "stone-viewer-publication link", Some("5f0c"), Some("doctor"));
    let old = of(IdentityKind::Link, "stone-viewer-publication link", None, None);
    let told = "share link 5f0c (stone-viewer-publication, made by \"doctor\")";
    assert_eq!(in_the_log(&[link.clone(), named(&[])]), told);
    assert_eq!(in_the_log(&[link, named(&["view"])]), format!("{told}, anonymous \"Anonymous\""));
    assert_eq!(in_the_log(&[old]), "share link without a record (stone-viewer-publication)");
    assert_eq!(in_the_log(&[named(&[])]), "anonymous \"Anonymous\"");
}
