//! Keycloak that is not there, and strangers who would have it asked all the time.
use crate::scene::{SOON, accepted, maintainer, realm, start};
use crate::site::{Site, Who};
use serde_json::{Value, json};
use std::time::Duration;
use testbed::clock::{monotonic, unix_seconds, wait_until};
use testbed::http::Connection;
use testbed::oidc::{Algorithm, Key};
use testbed::proxy::Proxy;
use testbed::{Keycloak, Request, Version};

/// A token as got through the proxy, whose URL it then names.
fn token_through(keycloak: &Keycloak, proxy: &Proxy, user: &str) -> Who {
    let client = testbed::Client::new(proxy.address());
    let answer = keycloak.password_grant(&client, user, Keycloak::SAMPLE_SECRET).unwrap();
    Who::token(answer.json().unwrap()["access_token"].as_str().unwrap())
}

#[test]
fn a_keycloak_that_comes_later_is_found_within_five_seconds() {
    let Some(keycloak) = realm("a Keycloak that comes later") else { return };
    for version in Version::tested() {
        let proxy = Proxy::start(keycloak.address()).unwrap();
        let viewer = token_through(&keycloak, &proxy, "viewer");
        proxy.set_up(false);
        let site = start(version, &proxy.url(), &json!({}));
        assert!(!accepted(&site, &viewer), "{version:?}: no keys, no tokens");
        assert!(accepted(&site, &maintainer(&site)), "{version:?}: the other provider is there");
        proxy.set_up(true);
        let start = monotonic();
        assert!(wait_until(SOON, || accepted(&site, &viewer).then_some(())).is_some(), "{version:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "{version:?}: {:?}", start.elapsed());
        // Away again: whoever has a token that holds stays, and whoever comes with a new one, too.
        let doctor = token_through(&keycloak, &proxy, "doctor");
        proxy.set_up(false);
        assert!(accepted(&site, &viewer) && accepted(&site, &doctor), "{version:?}");
        assert!(flood(&site, &proxy.url(), 1, 50) == 0, "{version:?}");
    }
}

#[test]
fn a_flood_of_unknown_keys_reaches_keycloak_at_most_once_in_ten_seconds() {
    let Some(keycloak) = realm("a flood of unknown keys") else { return };
    let version = Version::tested()[0];
    let proxy = Proxy::start(keycloak.address()).unwrap();
    let site = start(version, &proxy.url(), &json!({}));
    let viewer = token_through(&keycloak, &proxy, "viewer");
    assert!(wait_until(SOON, || accepted(&site, &viewer).then_some(())).is_some());
    proxy.forget();
    let start = monotonic();
    let accepted = flood(&site, &proxy.url(), 8, 1_500);
    let (fetches, took) = (proxy.count("/certs"), start.elapsed());
    println!("12,000 unknown keys in {took:?}: keys fetched {fetches} times");
    assert_eq!(accepted, 0);
    // One in every ten seconds begun, and it must be one: else nobody would notice new keys.
    assert!(fetches >= 1 && fetches <= 1 + usize::try_from(took.as_secs() / 10).unwrap(), "{fetches} in {took:?}");
    assert_eq!(proxy.requests().iter().filter(|r| !r.contains("/certs") && !r.contains("/.well-known/")).count(), 0);
    assert!(accepted == 0 && crate::scene::accepted(&site, &viewer), "whoever has a token is not held up");
}

/// Sends tokens that name keys that nobody has, on so many connections; gives how many were let in.
fn flood(site: &Site, url: &str, connections: usize, each: usize) -> usize {
    let key = Key::generate("unknown", Algorithm::Es256).unwrap();
    let now = unix_seconds();
    let claims = json!({
        "iss": format!("{url}realms/{}", Keycloak::REALM), "sub": "mallory", "aud": "account", "azp": "orthanc",
        "typ": "Bearer", "iat": now, "exp": now + 300, "realm_access": {"roles": ["admin-role"]},
    });
    let send = |connection: usize| {
        let mut open = Connection::open(site.server.address()).unwrap();
        let with_kid = |number: usize| -> Value {
            let mut header = key.header();
            header["kid"] = json!(format!("unknown-{connection}-{number}"));
            header
        };
        (0..each)
            .filter(|number| {
                let token = key.token_with_header(&with_kid(*number), &claims).unwrap();
                open.send(&Request::get("/tools/now").header("token", &token)).unwrap().status == 200
            })
            .count()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|number| scope.spawn(move || send(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}
