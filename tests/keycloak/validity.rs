//! When Keycloak lets somebody go: for as long as their last token lives, and no longer.
use crate::scene::{accepted, realm_of_my_own, start_ready};
use crate::site::Who;
use serde_json::json;
use std::time::Duration;
use testbed::Version;
use testbed::clock::wait_until;

/// Life of access tokens, in seconds: long enough to be used once before it ends.
const LIFE: u64 = 6;

#[test]
fn whoever_is_put_out_is_out_when_the_token_ends() {
    let Some(keycloak) = realm_of_my_own("users put out in Keycloak") else { return };
    let sites: Vec<_> = Version::tested()
        .into_iter()
        .map(|version| start_ready(version, &keycloak, &json!({"LeewaySeconds": 0})))
        .collect();
    let admin = keycloak.admin().unwrap();
    let ids: Vec<String> = ["disabled", "logged-out", "deleted"]
        .iter()
        .map(|name| admin.create_user(name, &["viewer"]).unwrap())
        .collect();
    admin.change_realm(&json!({"accessTokenLifespan": LIFE})).unwrap();
    let tokens = ["disabled", "logged-out", "deleted"].map(|name| keycloak.login(name).unwrap());
    for site in &sites {
        for tokens in &tokens {
            assert!(accepted(site, &Who::token(&tokens.access)), "{:?}", site.version);
        }
    }
    admin.set_enabled(&ids[0], false).unwrap();
    admin.log_out(&ids[1]).unwrap();
    admin.delete_user(&ids[2]).unwrap();
    // No new token, and the old one ends by itself, also where it is cached.
    for tokens in &tokens {
        assert_eq!(keycloak.refresh(&tokens.refresh).unwrap().status, 400);
    }
    for site in &sites {
        for tokens in &tokens {
            let out = || (!accepted(site, &Who::token(&tokens.access))).then_some(());
            assert!(wait_until(Duration::from_secs(LIFE + 2), out).is_some(), "{:?}", site.version);
        }
    }
    // Logged out is not shut out: a new login counts.
    let again = keycloak.login("logged-out").unwrap();
    assert!(sites.iter().all(|site| accepted(site, &Who::token(&again.access))));
    let admin = keycloak.admin().unwrap();
    admin.change_realm(&json!({"accessTokenLifespan": 300})).unwrap();
    admin.delete_user(&ids[0]).unwrap();
    admin.delete_user(&ids[1]).unwrap();
}
