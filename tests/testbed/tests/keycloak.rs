//! The real Keycloak: it starts with the realm that is shipped, and its users are what that says.
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use testbed::Keycloak;

fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[test]
fn the_realm_that_is_shipped_has_its_users_roles_and_clients() {
    if !Keycloak::is_available("the realm that is shipped") {
        return;
    }
    let keycloak = Keycloak::start().unwrap();
    for (user, role) in Keycloak::USERS {
        let claims = claims(&keycloak.token(user).unwrap());
        assert_eq!(claims["iss"], keycloak.issuer());
        assert_eq!(
            (&claims["azp"], &claims["typ"], &claims["aud"]),
            (&json!("orthanc"), &json!("Bearer"), &json!("account"))
        );
        let roles = claims["realm_access"]["roles"].as_array().unwrap();
        assert!(roles.contains(&json!(role)), "{user}: {roles:?}");
        let others = Keycloak::USERS.iter().filter(|(other, _)| *other != user);
        assert!(others.into_iter().all(|(_, other)| !roles.contains(&json!(other))), "{user}: {roles:?}");
        assert_eq!(claims["groups"], if user == "doctor" { json!(["radiology"]) } else { Value::Null });
    }
    let admin = keycloak.admin().unwrap();
    let uris = admin.get("/clients?clientId=orthanc").unwrap()[0]["redirectUris"].clone();
    assert!(uris.as_array().unwrap().contains(&json!("https://pacs.example/*")), "{uris}");
    let doctor = admin.user_id("doctor").unwrap();
    // Nobody but an administrator sees or writes the attribute that holds a key.
    let key = "0123456789abcdef0123456789abcdef";
    admin.set_attribute(&doctor, "api-key", &[key]).unwrap();
    let account = keycloak.client().with_bearer(&keycloak.token("doctor").unwrap());
    let account_path = format!("/realms/{}/account/", Keycloak::REALM);
    let mut own = account
        .send(testbed::Request::get(&account_path).header("Accept", "application/json"))
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(own["username"], "doctor");
    assert_eq!(own["attributes"]["api-key"], Value::Null);
    own["attributes"] = json!({"api-key": ["another-key-0123456789abcdef-0123"]});
    account.post_json(&account_path, &own).unwrap();
    assert_eq!(admin.get(&format!("/users/{doctor}")).unwrap()["attributes"]["api-key"], json!([key]));
    // An impersonator is named in the token.
    let mappers =
        admin.get(&format!("/clients/{}/protocol-mappers/models", admin.client_id("orthanc").unwrap())).unwrap();
    assert!(mappers.as_array().unwrap().iter().any(|mapper| mapper["config"]["claim.name"] == "act.sub"));
}
