//! The doctor before a real Keycloak: the client, the realm and the tokens are set wrong, one after the other.
use crate::findings::{LONG, assert_says, examine, find, wait_for, wait_without};
use crate::hostnames::token_at;
use crate::scene::{accepted, realm_of_my_own};
use crate::site::{Plan, Site, Who};
use serde_json::json;
use testbed::clock::wait_until;
use testbed::{Keycloak, Version};

/// Not what the realm file gives to the service account.
const SERVICE_SECRET: &str = "a secret of the service account that is long enough";

fn status(site: &Site, token: &str) -> u16 {
    site.get(&Who::bearer(token), "/studies").status
}

#[test]
fn a_real_keycloak_tells_what_is_wrong_with_client_realm_and_tokens() {
    let Some(keycloak) = realm_of_my_own("the doctor's look at a real Keycloak") else { return };
    let mut roles = crate::site::roles();
    roles["roles"]["guessed-role"] = json!({"permissions": [], "authorized-labels": []});
    let site = Plan::new(Version::tested()[0])
        .roles(roles)
        .section(json!({
            "Keycloak": {"Url": keycloak.url(), "Realm": Keycloak::REALM, "AdminClientSecret": SERVICE_SECRET},
            "Login": {"Enable": true}, "PublicUrl": "https://pacs.example/orthanc/", "TrustedProxies": ["127.0.0.1"],
        }))
        .start();
    assert!(wait_until(LONG, || (status(&site, &keycloak.token("doctor").unwrap()) == 200).then_some(())).is_some());
    // Nobody has asked the admin API for anything yet.
    assert_says(
        &wait_for(&site, "AdminApiUnusable"),
        "warning",
        &["401", "service accounts roles", "Authorization.Keycloak.AdminClientSecret"],
    );
    keycloak.admin().unwrap().change_client("admin-cli", &json!({"secret": SERVICE_SECRET})).unwrap();
    wait_without(&site, "AdminApiUnusable");
    // The realm that is shipped fits.
    let sound = wait_until(LONG, || examine(&site).is_empty().then_some(()));
    assert!(sound.is_some(), "{:#?}", examine(&site));
    // As the other tests of the realm know it.
    keycloak.admin().unwrap().change_client("admin-cli", &json!({"secret": Keycloak::SAMPLE_SECRET})).unwrap();

    let admin = keycloak.admin().unwrap();
    let client = format!("/clients/{}", admin.client_id(Keycloak::CLIENT).unwrap());
    let fitting = admin.get(&client).unwrap()["redirectUris"].clone();
    admin.change(&client, &json!({"redirectUris": ["https://other.example/*"], "publicClient": false})).unwrap();
    let callback = "https://pacs.example/orthanc/auth/callback";
    assert_says(&wait_for(&site, "RedirectUriRefused"), "error", &[callback, "valid redirect URIs", "\"orthanc\""]);
    assert_says(
        &wait_for(&site, "ClientNotPublic"),
        "error",
        &["\"orthanc\"", "client authentication off", "ClientSecret"],
    );
    site.server.wait_for_log("doctor: Authorization.Keycloak: the provider does not send browsers back", LONG).unwrap();

    let admin = keycloak.admin().unwrap();
    admin.change(&client, &json!({"redirectUris": fitting, "publicClient": true, "enabled": false})).unwrap();
    assert_says(
        &wait_for(&site, "UnknownClient"),
        "error",
        &["\"orthanc\"", "switched off", "Authorization.Keycloak.ClientId"],
    );
    assert_eq!(find(&examine(&site), "RedirectUriRefused"), None);
    admin.change(&client, &json!({"enabled": true})).unwrap();
    wait_without(&site, "UnknownClient");

    // Tokens of the same realm by another name, for another audience, and without roles.
    let outer = token_at("keycloak.pacs.example", keycloak.address());
    assert!(!accepted(&site, &outer));
    let outer = "http://keycloak.pacs.example/realms/orthanc";
    assert_says(&wait_for(&site, "IssuerNotAccepted"), "error", &[outer, &keycloak.issuer(), "AcceptedIssuers"]);

    // A person without Keycloak's own roles either has no audience.
    let admin = keycloak.admin().unwrap();
    let id = admin.create_user("newcomer", &[]).unwrap();
    assert_eq!(status(&site, &keycloak.token("newcomer").unwrap()), 403);
    assert_says(&wait_for(&site, "NoKnownRole"), "warning", &["default-roles-orthanc", "roles file"]);
    admin.remove_roles(&id, &["default-roles-orthanc"]).unwrap();
    assert_eq!(status(&site, &keycloak.token("newcomer").unwrap()), 403);
    assert_says(
        &wait_for(&site, "AudienceNotAccepted"),
        "error",
        &["no aud", "azp \"orthanc\"", "\"account\"", "Audiences"],
    );
    let scopes = admin.get("/client-scopes").unwrap();
    let scope = scopes.as_array().unwrap().iter().find(|scope| scope["name"] == "roles").unwrap();
    let mappers = scope["protocolMappers"].as_array().unwrap();
    let mapper = mappers.iter().find(|mapper| mapper["name"] == "realm roles").unwrap();
    let path = format!(
        "/client-scopes/{}/protocol-mappers/models/{}",
        scope["id"].as_str().unwrap(),
        mapper["id"].as_str().unwrap()
    );
    admin.send("DELETE", &path, None).unwrap();
    let without = status(&site, &keycloak.token("doctor").unwrap());
    let models = path.rsplit_once('/').unwrap().0;
    admin.send("POST", models, Some(mapper)).unwrap();
    assert_eq!(without, 403);
    assert_says(&wait_for(&site, "NoRolesInTokens"), "warning", &["realm_access.roles", "client scope \"roles\""]);

    admin.change_realm(&json!({"sslRequired": "all"})).unwrap();
    let finding = wait_for(&site, "HttpsRequired");
    keycloak.admin().unwrap().change_realm(&json!({"sslRequired": "external"})).unwrap();
    assert_says(&finding, "error", &["sslRequired", "KC_PROXY_HEADERS"]);
}
