//! For the tests of this room: real keys, tokens as odd as needed, and a provider on the loopback interface.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::clock::UnixTime;
use crate::config::Provider;

pub(in crate::identity) const NOW: UnixTime = UnixTime(1_700_000_000);
pub(in crate::identity) const ISSUER: &str = "http://keycloak:8080/realms/orthanc";

/// A private key.
pub(in crate::identity) enum TestKey {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
}

pub(in crate::identity) static RSA: LazyLock<TestKey> =
    LazyLock::new(|| TestKey::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
pub(in crate::identity) static OTHER_RSA: LazyLock<TestKey> =
    LazyLock::new(|| TestKey::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
pub(in crate::identity) static P256: LazyLock<TestKey> = LazyLock::new(|| {
    TestKey::Ec(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(), "P-256")
});
pub(in crate::identity) static P384: LazyLock<TestKey> = LazyLock::new(|| {
    TestKey::Ec(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(), "P-384")
});
pub(in crate::identity) static ED25519: LazyLock<TestKey> =
    LazyLock::new(|| TestKey::Ed(Ed25519KeyPair::generate().unwrap()));

impl TestKey {
    /// The public part of the key as a JWK without `alg` and `use`.
    pub(in crate::identity) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(_) => json!({"kty": "RSA", "kid": kid, "n": b64(&self.modulus()), "e": "AQAB"}),
            Self::Ec(pair, curve) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "kid": kid, "x": b64(x), "y": b64(y)})
            }
            Self::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(pair.public_key().as_ref())})
            }
        }
    }

    /// The modulus, out of the RSAPublicKey structure, which ends with it and the exponent 65537 (`02 03 01 00 01`).
    pub(in crate::identity) fn modulus(&self) -> Vec<u8> {
        let Self::Rsa(pair) = self else { panic!("no RSA key") };
        let der = pair.public_key().as_ref();
        let end = der.len() - 5;
        assert_eq!(der[end..], [2, 3, 1, 0, 1]);
        der[end - 256..end].to_vec()
    }

    pub(in crate::identity) fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match algorithm {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token of these JSON texts, signed.
    pub(in crate::identity) fn token(&self, header: &str, claims: &str) -> String {
        let algorithm = serde_json::from_str::<Value>(header).unwrap_or_default()["alg"].clone();
        let input = format!("{}.{}", b64(header.as_bytes()), b64(claims.as_bytes()));
        let signature = self.sign(algorithm.as_str().unwrap_or_default(), input.as_bytes());
        format!("{input}.{}", b64(&signature))
    }
}

pub(in crate::identity) fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A JWK set as an answer's body.
pub(in crate::identity) fn key_set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Claims of a good Keycloak access token.
pub(in crate::identity) fn claims() -> Value {
    json!({
        "exp": NOW.0 + 300, "iat": NOW.0 - 5, "jti": "1f9d", "iss": ISSUER, "aud": "account", "sub": "8d3c-44",
        "typ": "Bearer", "azp": "orthanc", "sid": "s-1", "realm_access": {"roles": ["doctor-role", "offline_access"]},
        "name": "Dr. Grün", "preferred_username": "gruen", "groups": ["/radiology"]
    })
}

/// The claims with some replaced; `null` takes one away.
pub(in crate::identity) fn claims_with(changes: Value) -> String {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims.to_string()
}

/// A provider in Keycloak mode below a URL that ends with a slash.
pub(in crate::identity) fn keycloak(url: &str) -> Provider {
    let issuer = format!("{url}realms/orthanc");
    Provider {
        path: "Authorization.Keycloak".to_owned(),
        discovery_url: format!("{issuer}/.well-known/openid-configuration"),
        jwks_url: Some(format!("{issuer}/protocol/openid-connect/certs")),
        issuer,
        accepted_issuers: Vec::new(),
        keycloak: true,
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

/// Any provider in issuer mode.
pub(in crate::identity) fn any_provider(issuer: &str) -> Provider {
    Provider {
        discovery_url: format!("{issuer}/.well-known/openid-configuration"),
        issuer: issuer.to_owned(),
        jwks_url: None,
        keycloak: false,
        audiences: vec!["orthanc".to_owned()],
        token_types: vec!["at+jwt".to_owned(), "application/at+jwt".to_owned()],
        ..keycloak("http://unused/")
    }
}

/// An HTTP server on the loopback interface: answers by path, 404 for the rest, and counts.
pub(in crate::identity) struct FakeProvider {
    pub(in crate::identity) address: SocketAddr,
    pages: Arc<Mutex<HashMap<String, (u16, String)>>>,
    seen: Arc<Mutex<Vec<String>>>,
    forms: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeProvider {
    pub(in crate::identity) fn start() -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(in crate::identity) fn listen(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let pages: Arc<Mutex<HashMap<String, (u16, String)>>> = Arc::default();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let forms: Arc<Mutex<Vec<String>>> = Arc::default();
        let their_forms = Arc::clone(&forms);
        let stop = Arc::new(AtomicBool::new(false));
        let (their_pages, their_seen, stopped) = (Arc::clone(&pages), Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let mut reader = BufReader::new(&stream);
                let mut lines = reader.by_ref().lines();
                let Some(Ok(request)) = lines.next() else { continue };
                let headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let length = headers.iter().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
                });
                let mut body = vec![0; length.unwrap_or(0)];
                let _ = reader.read_exact(&mut body);
                their_forms.lock().push(String::from_utf8_lossy(&body).into_owned());
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                let (status, body) = their_pages.lock().get(&path).cloned().unwrap_or((404, String::new()));
                their_seen.lock().push(path);
                let location = if status == 302 { format!("Location: {body}\r\n") } else { String::new() };
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\n{location}Content-Length: {length}\r\nConnection: close\r\n\r\n");
                let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(body.as_bytes()));
            }
        });
        Self { address, pages, seen, forms, stop, thread: Some(thread) }
    }

    pub(in crate::identity) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Sets the answer below the realm's address.
    pub(in crate::identity) fn answer(&self, path: &str, status: u16, body: &str) {
        self.pages.lock().insert(format!("/realms/orthanc{path}"), (status, body.to_owned()));
    }

    /// Answers nobody as long as what is returned is there.
    pub(in crate::identity) fn hang(&self) -> impl Drop + '_ {
        self.pages.lock()
    }

    /// Keys where Keycloak has them.
    pub(in crate::identity) fn keys(&self, keys: &[Value]) {
        self.answer(CERTS, 200, &key_set(keys));
    }

    /// How often a page below the realm's address was asked for.
    pub(in crate::identity) fn count(&self, path: &str) -> usize {
        let path = format!("/realms/orthanc{path}");
        self.seen.lock().iter().filter(|seen| **seen == path).count()
    }
}

impl FakeProvider {
    /// The bodies that were sent, in their order; empty ones left out.
    pub(in crate::identity) fn forms(&self) -> Vec<String> {
        self.forms.lock().iter().filter(|form| !form.is_empty()).cloned().collect()
    }

    /// A discovery document that browsers can log in by.
    pub(in crate::identity) fn discovery(&self) {
        let issuer = format!("{}realms/orthanc", self.url());
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": "https://elsewhere.example/token",
            "end_session_endpoint": format!("{issuer}/logout"),
        });
        self.answer(DISCOVERY, 200, &document.to_string());
    }
}

pub(in crate::identity) const TOKEN: &str = "/protocol/openid-connect/token";
pub(in crate::identity) const CERTS: &str = "/protocol/openid-connect/certs";
pub(in crate::identity) const DISCOVERY: &str = "/.well-known/openid-configuration";

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // The listener waits for one more connection.
        drop(std::net::TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
