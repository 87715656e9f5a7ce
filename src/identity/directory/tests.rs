//! What is made of Keycloak's answers, which a server on the loopback interface gives as Keycloak could.

use serde_json::{Value, json};

use super::super::oidc::testing::{FakeProvider, TOKEN, keycloak};
use super::*;
use crate::config::AdminApi;

const NOW: UnixTime = UnixTime(1_000_000);
const KEY: &str = "key-0123456789abcdef";

struct Scene {
    keycloak: FakeProvider,
    directories: Directories,
    _oidc: Oidc,
}

fn scene(change: impl FnOnce(&mut Provider)) -> Scene {
    let fake = FakeProvider::start();
    fake.answer(TOKEN, 200, r#"{"access_token": "service", "expires_in": 300}"#);
    let mut provider = keycloak(&fake.url());
    provider.admin = Some(AdminApi {
        url: format!("{}realms/orthanc/admin/", fake.url()),
        client_id: "admin-cli".into(),
        client_secret: Secret::new("s & p".into()),
        api_key_attribute: Some("api-key".into()),
    });
    change(&mut provider);
    let oidc = Oidc::start(vec![provider.clone()], Box::new(|| {})).unwrap();
    let directories = Directories::new(&[provider], &oidc);
    Scene { keycloak: fake, directories, _oidc: oidc }
}

fn search(key: &str) -> String {
    format!("/admin/users?briefRepresentation=false&max=20&q=api-key%3A{key}")
}

fn user(id: &str, key: &str) -> Value {
    json!({"id": id, "username": id, "enabled": true, "notBefore": 0, "attributes": {"api-key": [key]}})
}

/// Whose a key is when Keycloak finds these.
fn found(users: &[Value]) -> Result<String, DirectoryError> {
    let scene = scene(|_| {});
    scene.keycloak.answer(&search(KEY), 200, &json!(users).to_string());
    for id in ["a", "b"] {
        scene.keycloak.answer(&format!("/admin/users/{id}/role-mappings/realm/composite"), 200, "[]");
    }
    scene.directories.key(KEY, NOW).map(|(person, _)| person.subject)
}

#[test]
fn exactly_one_user_has_exactly_the_key() {
    assert_eq!(found(&[user("a", KEY)]), Ok("a".into()));
    assert_eq!(found(&[user("b", &KEY.to_uppercase()), user("a", KEY)]), Ok("a".into()), "what it finds is not exact");
    assert_eq!(found(&[]), Err(Nobody::Unknown.into()));
    assert_eq!(found(&[user("a", &format!("{KEY}0"))]), Err(Nobody::Unknown.into()));
    assert_eq!(found(&[json!({"id": "a", "username": "a", "enabled": true})]), Err(Nobody::Unknown.into()));
    assert_eq!(found(&[user("a", KEY), user("b", KEY)]), Err(Nobody::Several.into()));
    assert_eq!(found(&vec![user("b", "x"); 20]), Err(Nobody::Several.into()), "there may be more than it says");
    let with = |change: Value| {
        let mut user = user("a", KEY);
        user.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        found(&[user])
    };
    assert_eq!(with(json!({"enabled": false})), Err(Nobody::Disabled.into()));
    assert!(matches!(with(json!({"enabled": null})), Err(DirectoryError::Unreachable(_))), "no guess");
    assert_eq!(with(json!({"notBefore": 5})), Err(Nobody::Ended.into()));
}

#[test]
fn an_account_has_its_realm_roles_by_our_names() {
    let roles = json!([
        {"name": "radiology"}, {"name": "viewer", "clientRole": false}, {"name": "manage-account", "clientRole": true},
        {"name": "offline_access"}, {"name": "default-roles-orthanc"},
    ]);
    let account = |change: fn(&mut Provider)| {
        let scene = scene(change);
        let mut jane = user("a", KEY);
        jane["firstName"] = json!(" Jane ");
        scene.keycloak.answer(&search(KEY), 200, &json!([jane]).to_string());
        scene.keycloak.answer("/admin/users/a/role-mappings/realm/composite", 200, &roles.to_string());
        let (person, account) = scene.directories.key(KEY, NOW).unwrap();
        assert_eq!(scene.keycloak.forms(), ["grant_type=client_credentials&client_id=admin-cli&client_secret=s+%26+p"]);
        assert_eq!(person.subject, "a");
        account
    };
    let plain = account(|_| {});
    assert_eq!(plain.name, "Jane");
    assert_eq!(plain.roles, ["radiology", "viewer"]);
    let mapped = account(|provider| {
        provider.roles_map = Some([("radiology".to_owned(), vec!["doctor-role".to_owned()])].into());
    });
    assert_eq!(mapped.roles, ["doctor-role"]);
}

#[test]
fn a_missing_right_to_list_roles_hinders_nothing_else() {
    let scene = scene(|_| {});
    scene.keycloak.answer("/admin/roles?briefRepresentation=true", 403, "");
    assert_eq!(scene.directories.roles(NOW), Vec::<String>::new());
    scene.keycloak.answer(&search(KEY), 200, "[]");
    assert_eq!(scene.directories.key(KEY, NOW).unwrap_err(), Nobody::Unknown.into());
    // Without the right to look at users, it is said which one.
    let scene = self::scene(|_| {});
    scene.keycloak.answer(&search(KEY), 403, "");
    let error = scene.directories.key(KEY, NOW).unwrap_err();
    assert!(matches!(&error, DirectoryError::Unreachable(cause) if cause.contains("view-users")), "{error}");
}

#[test]
fn a_token_of_the_service_account_that_is_not_taken_any_more_is_replaced_once() {
    let scene = scene(|_| {});
    scene.keycloak.answer(&search(KEY), 401, "");
    assert!(matches!(scene.directories.key(KEY, NOW), Err(DirectoryError::Unreachable(_))));
    assert_eq!((scene.keycloak.count(&search(KEY)), scene.keycloak.count(TOKEN)), (2, 2));
    let scene = self::scene(|_| {});
    scene.keycloak.answer(TOKEN, 401, r#"{"error": "unauthorized_client"}"#);
    let error = scene.directories.key(KEY, NOW).unwrap_err();
    assert!(matches!(&error, DirectoryError::Unreachable(cause) if cause.contains("AdminClientSecret")), "{error}");
}

#[test]
fn what_somebody_made_follows_what_keycloak_takes_away_and_never_what_it_gives() {
    const SUBJECT: &str = "a/../b";
    const PLACE: &str = "/admin/users/a%2F..%2Fb";
    let seen = || vec!["viewer".to_owned(), "pacsadmin".to_owned()];
    let there = json!({"id": SUBJECT, "username": "a", "enabled": true}).to_string();
    let roles = json!([{"name": "viewer"}, {"name": "admin-role"}]).to_string();
    let held = |status: u16, user: &str, change: fn(&mut Provider)| {
        let scene = scene(change);
        scene.keycloak.answer(PLACE, status, user);
        scene.keycloak.answer(&format!("{PLACE}/role-mappings/realm/composite"), 200, &roles);
        let issuer = format!("{}realms/orthanc", scene.keycloak.url());
        scene.directories.still_held(&Person { issuer, subject: SUBJECT.into() }, seen(), NOW)
    };
    assert_eq!(held(200, &there, |_| {}), ["viewer"]);
    assert_eq!(held(404, "", |_| {}), Vec::<String>::new());
    assert_eq!(held(200, &there.replace("true", "false"), |_| {}), Vec::<String>::new());
    assert_eq!(held(500, "", |_| {}), seen(), "while it cannot say");
    let groups: fn(&mut Provider) = |provider| provider.roles_claims = vec![vec!["groups".to_owned()]];
    assert_eq!(held(200, &there, groups), seen(), "roles in tokens are other things");
    assert_eq!(held(404, "", groups), Vec::<String>::new());
    assert_eq!(scene(|_| {}).directories.still_held(&Person::local("anna"), seen(), NOW), seen());
}

#[test]
fn only_what_may_be_a_key_is_asked_for() {
    let scene = scene(|_| {});
    for text in ["0123456789abcdef", "A-Z_a.z~0+1/2=3456", &"x".repeat(200)] {
        assert!(scene.directories.may_know(text), "{text}");
    }
    for text in
        ["0123456789abcde", &"x".repeat(201), "0123456789abcdef other:x", "\"0123456789abcdef\"", "0123456.890.abcdef"]
    {
        assert!(!scene.directories.may_know(text), "{text}");
    }
    assert!(!Directories::default().may_know("0123456789abcdef"));
}
