//! Real logins: who somebody is, and what the roles file that is shipped lets each do.
use crate::scene::{accepted, maintainer, realm, start_ready};
use crate::site::Who;
use serde_json::json;
use testbed::dicom::Instance;
use testbed::keycloak::token_request;
use testbed::{Keycloak, Request, Version};

#[test]
fn every_user_of_the_realm_may_do_what_the_roles_file_says() {
    let Some(keycloak) = realm("logins of every user") else { return };
    for version in Version::tested() {
        let site = start_ready(version, &keycloak, &json!({}));
        let images = site.fill();
        let labelled = format!("/studies/{}", images.allowed.ids.study);
        let other = format!("/studies/{}", images.foreign.ids.study);
        let archive = json!({"Resources": [images.foreign.ids.study], "Synchronous": true});
        // See, see what is not labelled, fetch several, upload, label, roles.
        let expected = [
            ("admin", [200, 200, 200, 200, 200, 200]),
            ("doctor", [200, 200, 200, 403, 403, 403]),
            ("external", [200, 403, 403, 403, 403, 403]),
            ("viewer", [200, 200, 403, 403, 403, 403]),
            ("pacsadmin", [200, 200, 200, 200, 200, 403]),
        ];
        for (user, expected) in expected {
            let who = Who::token(&keycloak.token(user).unwrap());
            let image = Instance::named("Upload", user, "series", "instance").to_bytes();
            let got = [
                site.get(&who, &labelled),
                site.get(&who, &other),
                site.post(&who, "/tools/create-archive", &archive),
                site.send(&who, Request::post("/instances", image)),
                site.send(&who, Request::put(&format!("{labelled}/labels/external"), "")),
                site.get(&who, "/auth/settings/roles"),
            ];
            assert_eq!(got.map(|answer| answer.status), expected, "{version:?} {user}");
        }
        // The delete last: it takes the study away.
        for (user, status) in [("doctor", 403), ("external", 403), ("viewer", 403), ("pacsadmin", 200)] {
            let who = Who::bearer(&keycloak.token(user).unwrap());
            assert_eq!(site.delete(&who, &other).status, status, "{version:?} {user}");
        }
        let doctor = Who::token(&keycloak.token("doctor").unwrap());
        let profile = site.get(&doctor, "/auth/user/profile").json().unwrap();
        assert_eq!(profile["name"], "Dora Doctor");
        assert_eq!(profile["user-id"], keycloak.admin().unwrap().user_id("doctor").unwrap().as_str());
        assert_eq!(profile["groups"], json!(["radiology"]));
        assert_eq!(profile["authorized-labels"], json!(["*"]));
    }
}

#[test]
fn only_access_tokens_for_this_application_are_taken() {
    let Some(keycloak) = realm("other tokens of the realm") else { return };
    let service = [
        ("grant_type", "client_credentials"),
        ("client_id", Keycloak::SERVICE_CLIENT),
        ("client_secret", Keycloak::SAMPLE_SECRET),
    ];
    let service = token_request(&keycloak.client(), &service).unwrap().expect_status(200).unwrap().json().unwrap();
    for version in Version::tested() {
        let site = start_ready(version, &keycloak, &json!({}));
        let tokens = keycloak.login("admin").unwrap();
        assert!(accepted(&site, &Who::token(&tokens.access)));
        for (what, token) in [
            ("the ID token", tokens.id.as_str()),
            ("the refresh token", &tokens.refresh),
            ("the service account's token, made for the admin API", service["access_token"].as_str().unwrap()),
        ] {
            assert!(!accepted(&site, &Who::token(token)), "{version:?} {what}");
            assert!(!accepted(&site, &Who::bearer(token)), "{version:?} {what}");
        }
    }
}

#[test]
fn two_providers_beside_each_other_with_roles_of_their_own() {
    let Some(keycloak) = realm("two providers") else { return };
    for version in Version::tested() {
        let site = start_ready(version, &keycloak, &json!({}));
        assert_eq!(site.get(&maintainer(&site), "/auth/settings/roles").status, 200);
        // A role of ours by the other one's word is nothing: its map does not name it.
        let mallory = Who::token(&site.token("mallory", &["admin-role", "doctor-role"]));
        assert!(!accepted(&site, &mallory), "{version:?}");
        let admin = Who::token(&keycloak.token("admin").unwrap());
        assert_eq!(site.get(&admin, "/auth/settings/roles").status, 200);
        // One that signs as the other is neither.
        let mut claims = site.provider.claims("mallory", &["admin-role"]);
        claims["iss"] = json!(keycloak.issuer());
        assert!(!accepted(&site, &Who::token(&site.provider.key.token(&claims).unwrap())), "{version:?}");
        // Both in one request: one that grants is enough.
        let both = Who::token(&keycloak.token("viewer").unwrap())
            .and(&Who::bearer(&site.token("maintainer", &["their-admins"])));
        assert_eq!(site.get(&both, "/auth/settings/roles").status, 200);
    }
}

#[test]
fn roles_come_from_any_claim() {
    let Some(keycloak) = realm("roles from other claims") else { return };
    let admin = keycloak.admin().unwrap();
    let client = admin.client_id("orthanc").unwrap();
    let user = admin.create_user("of-the-client", &[]).unwrap();
    admin.send("POST", &format!("/clients/{client}/roles"), Some(&json!({"name": "reader"}))).unwrap();
    let role = admin.get(&format!("/clients/{client}/roles/reader")).unwrap();
    admin.send("POST", &format!("/users/{user}/role-mappings/clients/{client}"), Some(&json!([role]))).unwrap();
    for version in Version::tested() {
        let claims = json!({
            "RolesClaims": ["groups", "resource_access.orthanc.roles", "realm_access.roles"],
            "RolesMap": {"radiology": ["doctor-role"], "reader": "viewer", "viewer": "viewer"},
        });
        let site = start_ready(version, &keycloak, &claims);
        let permissions = |user: &str| {
            let who = Who::token(&keycloak.token(user).unwrap());
            site.get(&who, "/auth/user/profile").json().unwrap()["permissions"].clone()
        };
        // A group, a role of the client, a role of the realm; and one that the map leaves out.
        assert_eq!(permissions("doctor"), json!(["download", "send", "share", "view"]), "{version:?}");
        assert_eq!(permissions("of-the-client"), json!(["view"]), "{version:?}");
        assert_eq!(permissions("viewer"), json!(["view"]), "{version:?}");
        assert_eq!(permissions("admin"), json!([]), "{version:?}");
    }
    admin.send("DELETE", &format!("/clients/{client}/roles/reader"), None).unwrap();
    admin.delete_user(&user).unwrap();
}
