//! The fake provider and its tokens, checked with another library than the one that made them.
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use std::time::Duration;
use testbed::oidc::{Algorithm, Behaviour, Key, Provider, hs256, token_from_parts, unsigned};
use testbed::{Answer, Client};

const DISCOVERY: &str = "/realms/orthanc/.well-known/openid-configuration";
const KEYS: &str = "/realms/orthanc/protocol/openid-connect/certs";

fn get(provider: &Provider, path: &str) -> anyhow::Result<Answer> {
    let address = provider.url().trim_start_matches("http://").trim_end_matches('/').parse()?;
    Client::new(address).get(path)
}

fn verify(token: &str, keys: &Value, issuer: &str) -> anyhow::Result<Value> {
    let header = decode_header(token)?;
    let keys: JwkSet = serde_json::from_value(keys.clone())?;
    let kid = header.kid.unwrap_or_default();
    let key = keys.find(&kid).ok_or_else(|| anyhow::anyhow!("no key {kid}"))?;
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&["account"]);
    validation.set_issuer(&[issuer]);
    Ok(decode::<Value>(token, &DecodingKey::from_jwk(key)?, &validation)?.claims)
}

#[test]
fn tokens_of_every_algorithm_verify_with_the_key_set_and_not_with_other_keys() {
    for algorithm in Algorithm::ALL {
        let provider = Provider::with_key(Key::generate("one", algorithm).unwrap()).unwrap();
        let token = provider.token("jane", &["doctor-role"]).unwrap();
        let keys = get(&provider, KEYS).unwrap().json().unwrap();
        let claims = verify(&token, &keys, &provider.issuer()).unwrap();
        assert_eq!(claims["sub"], "jane");
        assert_eq!(claims["realm_access"]["roles"], json!(["doctor-role"]));

        let other = Key::generate("one", algorithm).unwrap();
        let forged = other.token(&provider.claims("jane", &[])).unwrap();
        assert!(verify(&forged, &keys, &provider.issuer()).is_err(), "{algorithm:?}: another key with the same kid");
        provider.offer(&[&other]);
        let rotated = get(&provider, KEYS).unwrap().json().unwrap();
        assert!(verify(&forged, &rotated, &provider.issuer()).is_ok());
        assert!(verify(&token, &rotated, &provider.issuer()).is_err());
    }
}

#[test]
fn discovery_leads_to_the_key_set() {
    let provider = Provider::start().unwrap();
    let document = get(&provider, DISCOVERY).unwrap().json().unwrap();
    assert_eq!(document["issuer"], provider.issuer());
    assert_eq!(document["jwks_uri"], format!("{}{}", provider.url().trim_end_matches('/'), KEYS));
    assert_eq!(provider.key_requests(), 0);
    get(&provider, KEYS).unwrap();
    assert_eq!(provider.key_requests(), 1);
    assert_eq!(provider.requests(), [DISCOVERY, KEYS]);
}

#[test]
fn faults_come_and_go() {
    let provider = Provider::start().unwrap();
    provider.behave(Behaviour::Down);
    assert!(get(&provider, KEYS).is_err());
    provider.behave(Behaviour::Always { status: 500, body: "<html>".into() });
    let answer = get(&provider, KEYS).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (500, "<html>"));
    provider.behave(Behaviour::Slow(Duration::from_millis(150)));
    let start = testbed::clock::monotonic();
    assert_eq!(get(&provider, KEYS).unwrap().status, 200);
    assert!(start.elapsed() >= Duration::from_millis(150));
    provider.behave(Behaviour::Down);
    provider.behave(Behaviour::Serve);
    assert_eq!(get(&provider, KEYS).unwrap().status, 200);
}

#[test]
fn attacks_look_as_they_should() {
    let provider = Provider::start().unwrap();
    let claims = provider.claims("mallory", &["admin-role"]);
    let pem = provider.key.public_pem().unwrap();
    assert!(
        pem.starts_with("-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"),
        "how all of RSA-2048 begin: {pem}"
    );

    let confused = hs256(&json!({"alg": "HS256", "typ": "JWT", "kid": "key-1"}), &claims, pem.as_bytes());
    let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.set_audience(&["account"]);
    let secret = DecodingKey::from_secret(pem.as_bytes());
    assert!(decode::<Value>(&confused, &secret, &validation).is_ok(), "a naive validator takes it");

    assert!(unsigned(&claims).ends_with('.'));
    assert_eq!(unsigned(&claims).split('.').count(), 3);
    assert_eq!(token_from_parts(&[b"{}", b"", b"x", b"y", b"z"]), "e30..eA.eQ.eg");
}
