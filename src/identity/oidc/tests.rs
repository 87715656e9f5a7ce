//! Fetching, against a provider on the loopback interface that comes, goes, rotates its keys and answers garbage.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::testing::*;
use super::{Oidc, OidcError, Pace, TokenError};
use crate::clock::monotonic;
use crate::config::Provider;
use crate::testing::eventually;

/// Nothing happens by itself after the first good fetch, failures are tried again at once.
fn pace() -> Pace {
    Pace {
        refresh: Duration::from_hours(1),
        retry: Duration::from_millis(5),
        backoff: (Duration::from_millis(1), Duration::from_millis(5)),
        refetch: Duration::ZERO,
        ..Pace::default()
    }
}

/// Everything is fetched again and again.
fn restless() -> Pace {
    Pace { refresh: Duration::from_millis(5), ..pace() }
}

fn start(providers: Vec<Provider>, pace: Pace) -> (Oidc, Arc<AtomicUsize>) {
    let changes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&changes);
    let on_change = Box::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    (Oidc::start_paced(providers, on_change, pace).unwrap(), changes)
}

fn token(key: &TestKey, kid: &str, url: &str) -> String {
    let header = json!({"alg": "RS256", "kid": kid}).to_string();
    key.token(&header, &claims_with(json!({"iss": format!("{url}realms/orthanc")})))
}

fn discovery(provider: &FakeProvider, issuer: &str) {
    provider.answer(DISCOVERY, 200, &json!({"issuer": issuer}).to_string());
}

/// Waits for a number of further requests for the keys.
fn fetched_again(provider: &FakeProvider, times: usize) {
    let before = provider.count(CERTS);
    eventually("fetched again", || provider.count(CERTS) >= before + times);
}

#[test]
fn a_provider_that_comes_later_is_found() {
    // An address of its own, so that no other test is given the port meanwhile.
    let listener = TcpListener::bind("127.7.7.7:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (oidc, changes) = start(vec![keycloak(&url)], pace());
    eventually("seen to be away", || oidc.health()[0].last_error.is_some());
    let token = token(&RSA, "rsa", &url);
    assert_eq!(oidc.verify(&token, NOW), Err(TokenError::NoKeys(format!("{url}realms/orthanc"))));
    assert_eq!(changes.load(Ordering::SeqCst), 0);
    let error = oidc.health()[0].last_error.clone().unwrap().error;
    assert!(error.starts_with("the key set not reachable: ") && error.contains("refused"), "{error}");

    let provider = FakeProvider::listen(TcpListener::bind(address).unwrap());
    provider.keys(&[RSA.jwk("rsa")]);
    eventually("keys are there", || oidc.verify(&token, NOW).is_ok());
    eventually("healthy", || oidc.health()[0].last_error.is_none());
    assert_eq!(oidc.health()[0].keys, 1);
    assert!(oidc.health()[0].last_success.is_some());
    eventually("told", || changes.load(Ordering::SeqCst) == 1);
}

#[test]
fn keys_stay_in_force_whatever_the_provider_answers_later() {
    let provider = FakeProvider::start();
    provider.keys(&[RSA.jwk("rsa")]);
    discovery(&provider, "http://outer/realms/orthanc");
    let (oidc, changes) = start(vec![keycloak(&provider.url())], restless());
    let token = token(&RSA, "rsa", &provider.url());
    eventually("keys are there", || oidc.verify(&token, NOW).is_ok());
    eventually("the outer issuer is there", || oidc.health()[0].shown_issuer.is_some());
    eventually("told of both", || changes.load(Ordering::SeqCst) == 2);
    let too_long = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(1024 * 1024));
    let encryption_only = {
        let mut jwk = RSA.jwk("rsa");
        jwk["use"] = json!("enc");
        key_set(&[jwk])
    };
    for (status, body, error) in [
        (500, "", "the key set answered with HTTP status 500"),
        (200, "<html>maintenance</html>", "the key set cannot be read: not the JSON that belongs there"),
        (200, "", "the key set cannot be read: not the JSON that belongs there"),
        (200, r#"{"keys":[]}"#, "no usable signature key among the keys"),
        (200, encryption_only.as_str(), "no usable signature key among the keys"),
        (200, too_long.as_str(), "the key set longer than 1 MB"),
        (302, "http://127.0.0.1:1/elsewhere", "the key set answered with HTTP status 302"),
    ] {
        provider.answer(CERTS, status, body);
        eventually(error, || oidc.health()[0].last_error.as_ref().is_some_and(|failure| failure.error == error));
        assert!(oidc.verify(&token, NOW).is_ok(), "{error}");
    }
    assert_eq!(oidc.health()[0].keys, 1);
    assert_eq!(changes.load(Ordering::SeqCst), 2, "nothing changed");
    drop(provider);
    let away = || oidc.health()[0].last_error.as_ref().is_some_and(|failure| failure.error.contains("not reachable"));
    eventually("seen to be away", away);
    assert!(oidc.verify(&token, NOW).is_ok());
}

#[test]
fn a_new_key_is_fetched_when_a_token_names_it_and_a_withdrawn_one_dies() {
    let provider = FakeProvider::start();
    provider.keys(&[RSA.jwk("old")]);
    discovery(&provider, "http://outer/realms/orthanc");
    let (oidc, changes) = start(vec![keycloak(&provider.url())], pace());
    let (old, new) = (token(&RSA, "old", &provider.url()), token(&OTHER_RSA, "new", &provider.url()));
    eventually("told of keys and issuer", || changes.load(Ordering::SeqCst) == 2);
    assert!(oidc.verify(&old, NOW).is_ok());
    assert_eq!(oidc.verify(&new, NOW), Err(TokenError::UnknownKey("new".into())));

    provider.keys(&[OTHER_RSA.jwk("new")]);
    assert!(oidc.verify(&new, NOW).is_ok(), "the first who shows it waits for it");
    assert_eq!(oidc.verify(&old, NOW), Err(TokenError::UnknownKey("old".into())));
    eventually("told of the new key", || changes.load(Ordering::SeqCst) == 3);
}

#[test]
fn a_flood_of_unknown_keys_causes_one_fetch() {
    let provider = FakeProvider::start();
    provider.keys(&[RSA.jwk("rsa")]);
    discovery(&provider, "http://outer/realms/orthanc");
    let (oidc, _) = start(vec![keycloak(&provider.url())], Pace { refetch: Duration::from_hours(1), ..pace() });
    eventually("keys are there", || oidc.health()[0].keys == 1);
    assert_eq!(provider.count(CERTS), 1);
    let unknown = token(&RSA, "unknown", &provider.url());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    assert_eq!(oidc.verify(&unknown, NOW), Err(TokenError::UnknownKey("unknown".into())));
                }
            });
        }
    });
    eventually("one fetch", || provider.count(CERTS) == 2);
    oidc.verify(&unknown, NOW).unwrap_err();
    oidc.stop();
    assert_eq!(provider.count(CERTS), 2);
}

#[test]
fn unknown_keys_before_any_key_do_not_hurry_the_retries() {
    let provider = FakeProvider::start();
    let slow = Pace { backoff: (Duration::from_hours(1), Duration::from_hours(1)), ..pace() };
    let (oidc, _) = start(vec![keycloak(&provider.url())], slow);
    eventually("asked once", || oidc.health()[0].last_error.is_some());
    for _ in 0..100 {
        oidc.verify(&token(&RSA, "x", &provider.url()), NOW).unwrap_err();
    }
    oidc.stop();
    assert_eq!(provider.count(CERTS), 1);
}

#[test]
fn the_same_answer_again_is_no_change() {
    let provider = FakeProvider::start();
    provider.keys(&[RSA.jwk("rsa")]);
    discovery(&provider, "http://outer/realms/orthanc");
    let (oidc, changes) = start(vec![keycloak(&provider.url())], restless());
    fetched_again(&provider, 4);
    assert_eq!(changes.load(Ordering::SeqCst), 2, "the keys, and the issuer");
    drop(oidc);
}

#[test]
fn keys_are_in_force_before_discovery_answers() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let provider = FakeProvider::start();
    provider.keys(&[RSA.jwk("rsa")]);
    let discovery_url = format!("http://{}/", silent.local_addr().unwrap());
    let (oidc, _) = start(vec![Provider { discovery_url, ..keycloak(&provider.url()) }], pace());
    let before = monotonic();
    eventually("keys are there", || oidc.health()[0].keys == 1);
    assert!(monotonic() - before < Pace::default().timeouts.1);
    assert!(oidc.verify(&token(&RSA, "rsa", &provider.url()), NOW).is_ok());
}

#[test]
fn keycloak_shows_its_outer_issuer_but_keys_come_from_the_configured_address() {
    let provider = FakeProvider::start();
    let outer = "https://public.example/realms/orthanc";
    provider.answer(DISCOVERY, 200, &json!({"issuer": outer, "jwks_uri": "http://127.0.0.1:1/evil"}).to_string());
    provider.keys(&[RSA.jwk("rsa")]);
    let (oidc, _) = start(vec![keycloak(&provider.url())], pace());
    let token = RSA.token(r#"{"alg":"RS256","kid":"rsa"}"#, &claims_with(json!({"iss": outer})));
    eventually("the outer issuer is accepted", || oidc.verify(&token, NOW).is_ok());
    assert_eq!(oidc.health()[0].shown_issuer.as_deref(), Some(outer));
}

#[test]
fn the_outer_issuer_is_learnt_later_when_discovery_fails_at_first() {
    let provider = FakeProvider::start();
    provider.keys(&[RSA.jwk("rsa")]);
    let (oidc, changes) = start(vec![keycloak(&provider.url())], pace());
    eventually("keys without discovery", || oidc.verify(&token(&RSA, "rsa", &provider.url()), NOW).is_ok());
    eventually("told of the keys", || changes.load(Ordering::SeqCst) == 1);
    discovery(&provider, "https://public.example/x");
    eventually("learnt", || oidc.health()[0].shown_issuer.is_some());
    eventually("told of the issuer", || changes.load(Ordering::SeqCst) == 2);
}

#[test]
fn in_issuer_mode_discovery_names_the_keys_and_must_be_the_issuers_own() {
    let provider = FakeProvider::start();
    let issuer = format!("{}realms/orthanc", provider.url());
    let document = |issuer: &str, keys: &str| json!({"issuer": issuer, "jwks_uri": keys}).to_string();
    provider.answer("/keys", 200, &key_set(&[RSA.jwk("rsa")]));
    provider.answer(DISCOVERY, 200, &document("https://other", &format!("{issuer}/keys")));
    let (oidc, _) = start(vec![any_provider(&issuer)], pace());
    let failed = |error: &str| {
        eventually(error, || oidc.health()[0].last_error.as_ref().is_some_and(|failure| failure.error == error))
    };
    failed("the discovery document is of another issuer: https://other");
    provider.answer(DISCOVERY, 200, &document(&issuer, "http://elsewhere.example/keys"));
    failed("the discovery document names keys at an address that is not safe: http://elsewhere.example/keys");
    assert_eq!(provider.count("/keys"), 0);

    provider.answer(DISCOVERY, 200, &document(&issuer, &format!("{issuer}/keys")));
    let header = r#"{"alg":"RS256","kid":"rsa","typ":"at+jwt"}"#;
    let token = RSA.token(header, &claims_with(json!({"iss": issuer, "aud": "orthanc"})));
    eventually("keys are there", || oidc.verify(&token, NOW).is_ok());
}

#[test]
fn one_provider_that_never_answers_holds_up_neither_another_nor_the_end() {
    // Accepts connections into its backlog and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let provider = FakeProvider::start();
    provider.keys(&[RSA.jwk("rsa")]);
    let silent_url = format!("http://{}/", silent.local_addr().unwrap());
    let (oidc, _) = start(vec![keycloak(&silent_url), keycloak(&provider.url())], pace());
    let good = token(&RSA, "rsa", &provider.url());
    eventually("the other one works", || oidc.verify(&good, NOW).is_ok());
    let before = monotonic();
    oidc.stop();
    assert!(monotonic() - before < Duration::from_secs(2));
    assert!(oidc.verify(&good, NOW).is_ok(), "what is known stays known");
    oidc.stop();
}

#[test]
fn a_panic_in_the_callback_does_not_end_the_fetching() {
    let provider = FakeProvider::start();
    provider.keys(&[RSA.jwk("one")]);
    let oidc =
        Oidc::start_paced(vec![keycloak(&provider.url())], Box::new(|| panic!("on purpose")), restless()).unwrap();
    eventually("keys are there", || oidc.health()[0].keys == 1);
    provider.keys(&[RSA.jwk("one"), P256.jwk("two")]);
    eventually("and new ones", || oidc.health()[0].keys == 2);
}

#[test]
fn without_providers_there_is_no_thread() {
    let (oidc, _) = start(Vec::new(), pace());
    assert!(oidc.worker.is_none());
    assert!(matches!(
        oidc.verify(&RSA.token(r#"{"alg":"RS256"}"#, &claims().to_string()), NOW),
        Err(TokenError::Issuer(_))
    ));
}

#[test]
fn a_certificate_file_that_cannot_be_used_is_a_fault_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for file in [folder.path().join("missing"), write("empty", ""), write("text", "hello"), write("broken", broken)] {
        let provider = Provider { ca_file: Some(file.clone()), ..keycloak("https://127.0.0.1:1/") };
        let error = Oidc::start_paced(vec![provider], Box::new(|| {}), pace()).err();
        assert!(matches!(error, Some(OidcError::CaFile { .. })), "{}: {error:?}", file.display());
        let text = error.unwrap().to_string();
        assert!(text.starts_with(&format!("Authorization.Keycloak.CaFile: {}: ", file.display())), "{text}");
    }
}
