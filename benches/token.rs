//! The cold path of an access token: parse, find the key, verify the signature, check the claims.
//! Goal: at most 40 µs for RS256. Run with `cargo bench --bench token`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orthanc_gatehouse::clock::{UnixTime, now};
use orthanc_gatehouse::config::Provider;
use orthanc_gatehouse::identity::oidc::Oidc;
use serde_json::json;

struct Bench {
    oidc: Oidc,
    now: UnixTime,
    tokens: HashMap<&'static str, String>,
}

static BENCH: LazyLock<Bench> = LazyLock::new(Bench::prepare);

fn main() {
    LazyLock::force(&BENCH);
    divan::main();
}

#[divan::bench(args = ["RS256", "ES256", "EdDSA"])]
fn verify_cold(bencher: divan::Bencher<'_, '_>, algorithm: &str) {
    let token = &BENCH.tokens[algorithm];
    bencher.bench(|| BENCH.oidc.verify(divan::black_box(token), BENCH.now).expect("a good token"));
}

#[divan::bench]
fn refuse_unknown_kid(bencher: divan::Bencher<'_, '_>) {
    let token = &BENCH.tokens["unknown"];
    bencher.bench(|| BENCH.oidc.verify(divan::black_box(token), BENCH.now).expect_err("an unknown key"));
}

#[divan::bench]
fn refuse_garbage(bencher: divan::Bencher<'_, '_>) {
    let token = "x".repeat(16_000);
    bencher.bench(|| BENCH.oidc.verify(divan::black_box(&token), BENCH.now).expect_err("no token"));
}

impl Bench {
    fn prepare() -> Self {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let ed = Ed25519KeyPair::generate().expect("a key");
        let random = SystemRandom::new();

        // The RSAPublicKey structure ends with the modulus and the exponent 65537 (02 03 01 00 01).
        let der = rsa.public_key().as_ref();
        let modulus = &der[der.len() - 261..der.len() - 5];
        let (x, y) = ec.public_key().as_ref()[1..].split_at(32);
        let keys = json!({"keys": [
            {"kty": "RSA", "kid": "RS256", "alg": "RS256", "use": "sig", "n": b64(modulus), "e": "AQAB"},
            {"kty": "EC", "kid": "ES256", "crv": "P-256", "x": b64(x), "y": b64(y)},
            {"kty": "OKP", "kid": "EdDSA", "crv": "Ed25519", "x": b64(ed.public_key().as_ref())},
        ]});
        let url = serve(keys.to_string());
        let issuer = format!("{url}/realms/orthanc");

        let now = now();
        // About what Keycloak 26 puts into an access token: 1.1 kB of claims.
        let claims = json!({
            "exp": now.0 + 300, "iat": now.0, "auth_time": now.0, "jti": "onrtac:3a8e8d5b-5a4c-4f0e-9d41-0b1e4e1f7c2a",
            "iss": issuer, "aud": ["realm-management", "account"], "sub": "0a1f6a4c-8e1f-4d4e-9a6e-3d6a5c6d1f00",
            "typ": "Bearer", "azp": "orthanc", "sid": "6e9c4f5a-31f5-4a41-bc0f-2a5f5c1e7a11", "acr": "1",
            "allowed-origins": ["http://localhost:8042", "http://localhost"], "scope": "openid email profile",
            "realm_access": {"roles": ["doctor-role", "offline_access", "uma_authorization", "default-roles-orthanc"]},
            "resource_access": {
                "realm-management": {"roles": ["view-users", "query-users"]},
                "account": {"roles": ["manage-account", "manage-account-links", "view-profile"]}
            },
            "email_verified": true, "name": "Jane Doe", "preferred_username": "jane", "given_name": "Jane",
            "family_name": "Doe", "email": "jane@example.org", "groups": ["/radiology", "/research/oncology"]
        })
        .to_string();
        let sign = |kid: &str, algorithm: &str| {
            let header = json!({"alg": algorithm, "typ": "JWT", "kid": kid}).to_string();
            let input = format!("{}.{}", b64(header.as_bytes()), b64(claims.as_bytes()));
            let signature = match algorithm {
                "ES256" => ec.sign(&random, input.as_bytes()).expect("a signature").as_ref().to_vec(),
                "EdDSA" => ed.sign(input.as_bytes()).as_ref().to_vec(),
                _ => {
                    let mut signature = vec![0; rsa.public_modulus_len()];
                    rsa.sign(&RSA_PKCS1_SHA256, &random, input.as_bytes(), &mut signature).expect("a signature");
                    signature
                }
            };
            format!("{input}.{}", b64(&signature))
        };
        let mut tokens: HashMap<_, _> = ["RS256", "ES256", "EdDSA"].map(|name| (name, sign(name, name))).into();
        tokens.insert("unknown", sign("unknown", "RS256"));

        let oidc = Oidc::start(vec![provider(&url, issuer)], Box::new(|| {})).expect("a start");
        while oidc.health().iter().any(|health| health.keys == 0) {
            std::thread::yield_now();
        }
        Self { oidc, now, tokens }
    }
}

fn provider(url: &str, issuer: String) -> Provider {
    Provider {
        path: "Authorization.Keycloak".to_owned(),
        issuer,
        accepted_issuers: Vec::new(),
        keycloak: true,
        discovery_url: format!("{url}/discovery"),
        jwks_url: Some(format!("{url}/keys")),
        audiences: vec!["account".to_owned()],
        token_types: Vec::new(),
        roles_claims: vec![vec!["realm_access".to_owned(), "roles".to_owned()]],
        groups_claim: vec!["groups".to_owned()],
        roles_map: None,
        leeway: Duration::from_secs(10),
        ca_file: None,
        client_id: "orthanc".to_owned(),
        client_secret: None,
        scopes: vec!["openid".to_owned()],
        clients: Vec::new(),
        admin: None,
    }
}

/// Gives the same answer to everything, on a loopback port, as long as the process lives.
fn serve(body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = (&stream).write_all(format!("{head}{body}").as_bytes());
        }
    });
    format!("http://{address}")
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
