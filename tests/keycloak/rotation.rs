//! Keys that change in Keycloak while many connections are served.
use crate::scene::{accepted, realm_of_my_own, start_ready};
use crate::site::Who;
use serde_json::json;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use testbed::clock::{monotonic, wait_until};
use testbed::http::Connection;
use testbed::{Request, Version};

#[test]
fn keys_rotate_under_load_without_a_false_refusal() {
    let Some(keycloak) = realm_of_my_own("rotation under load") else { return };
    for version in Version::tested() {
        let site = start_ready(version, &keycloak, &json!({}));
        let admin = keycloak.admin().unwrap();
        let before = admin.signature_key_providers().unwrap();
        let old = keycloak.token("viewer").unwrap();
        // Every connection shows, in turns, all tokens that must count.
        let valid = RwLock::new(vec![old.clone()]);
        let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let load: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let mut connection = Connection::open(site.server.address()).unwrap();
                        let mut refused = 0;
                        while !over.load(Ordering::SeqCst) {
                            let tokens = valid.read().unwrap().clone();
                            for token in tokens {
                                let request = Request::get("/tools/now").header("token", &token);
                                let status = connection.send(&request).unwrap().status;
                                refused += usize::from(status != 200);
                                served.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                        refused
                    })
                })
                .collect();
            let some_more = || {
                let target = served.load(Ordering::SeqCst) + 400;
                let enough = || (served.load(Ordering::SeqCst) >= target).then_some(());
                assert!(wait_until(Duration::from_secs(60), enough).is_some());
            };
            some_more();
            admin.rotate_keys().unwrap();
            let new = keycloak.token("viewer").unwrap();
            assert_ne!(kid(&new), kid(&old));
            // All eight show it at once, and it has never been seen.
            valid.write().unwrap().push(new);
            some_more();
            over.store(true, Ordering::SeqCst);
            let refused: usize = load.into_iter().map(|thread| thread.join().unwrap()).sum();
            println!("{version:?}: {} requests, {refused} refused", served.load(Ordering::SeqCst));
            assert_eq!(refused, 0, "{version:?}");
        });
        // The old one counts until its key is gone. That is seen when keys are fetched the next time: because of a key
        // that is not known, at most every ten seconds.
        let admin = keycloak.admin().unwrap();
        for provider in &before {
            admin.remove_keys(provider).unwrap();
        }
        assert!(accepted(&site, &Who::token(&old)), "{version:?}: nobody has noticed yet");
        admin.rotate_keys().unwrap();
        let newest = keycloak.token("viewer").unwrap();
        let start = monotonic();
        let noticed = || accepted(&site, &Who::token(&newest)).then_some(());
        assert!(wait_until(Duration::from_secs(15), noticed).is_some(), "{version:?}");
        assert!(start.elapsed() <= Duration::from_secs(10), "{version:?}: {:?}", start.elapsed());
        assert!(!accepted(&site, &Who::token(&old)), "{version:?}: the key is gone");
    }
}

/// The header of a token, which names the key.
fn kid(token: &str) -> &str {
    token.split('.').next().unwrap()
}
