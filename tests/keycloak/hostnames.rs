//! Keycloak is reached by one name and shown by another: the trouble of every set-up behind a proxy.
use crate::scene::{SOON, accepted, realm_of_my_own, start, start_ready};
use crate::site::Who;
use serde_json::json;
use std::net::SocketAddr;
use testbed::clock::wait_until;
use testbed::http::Connection;
use testbed::keycloak::form_request;
use testbed::{Keycloak, Version};

/// A login at the same server under the name that the browser has for it.
pub fn token_at(host: &str, address: SocketAddr) -> Who {
    let path = format!("/realms/{}/protocol/openid-connect/token", Keycloak::REALM);
    let form = [
        ("grant_type", "password"),
        ("client_id", Keycloak::CLIENT),
        ("username", "viewer"),
        ("password", Keycloak::SAMPLE_SECRET),
    ];
    let bytes = form_request(&path, &form).header("Connection", "close").to_bytes(host);
    let answer = Connection::open(address).unwrap().send_bytes(&bytes, false).unwrap();
    Who::token(answer.json().unwrap()["access_token"].as_str().unwrap())
}

#[test]
fn another_host_name_is_refused_by_name_until_it_is_accepted() {
    let Some(keycloak) = realm_of_my_own("another host name") else { return };
    let port = keycloak.address().port();
    let by_name = token_at(&format!("localhost:{port}"), keycloak.address());
    let issuer = format!("http://localhost:{port}/realms/{}", Keycloak::REALM);
    for version in Version::tested() {
        let site = start_ready(version, &keycloak, &json!({}));
        assert!(!accepted(&site, &by_name), "{version:?}");
        site.server.wait_for_log(&format!("issuer not accepted: {issuer}"), SOON).unwrap();
        let site = start_ready(version, &keycloak, &json!({"AcceptedIssuers": [issuer]}));
        assert!(accepted(&site, &by_name), "{version:?}");
    }
}

#[test]
fn the_host_name_that_keycloak_shows_is_accepted() {
    let Some(keycloak) = realm_of_my_own("the host name that Keycloak shows") else { return };
    let shown = "https://pacs.example/keycloak";
    keycloak.admin().unwrap().change_realm(&json!({"attributes": {"frontendUrl": shown}})).unwrap();
    let outer = Who::token(&keycloak.token("viewer").unwrap());
    for version in Version::tested() {
        let site = start(version, &keycloak.url(), &json!({}));
        // Nothing is fetched from there: nobody answers under that name.
        assert!(wait_until(SOON, || accepted(&site, &outer).then_some(())).is_some(), "{version:?}");
        site.server.wait_for_log(&format!("the provider calls itself {shown}/realms/orthanc"), SOON).unwrap();
        let name = site.get(&outer, "/auth/user/profile").json().unwrap()["name"].clone();
        assert_eq!(name, "Vera Viewer");
    }
    keycloak.admin().unwrap().change_realm(&json!({"attributes": {"frontendUrl": ""}})).unwrap();
    assert_eq!(
        keycloak.client().get("/realms/orthanc/.well-known/openid-configuration").unwrap().json().unwrap()["issuer"],
        keycloak.issuer()
    );
}
