//! Access tokens: every fault is refused, keys rotate, and the provider may be away.
use crate::site::{Plan, Site, Who, shared};
use serde_json::{Value, json};
use std::time::Duration;
use testbed::Version;
use testbed::clock::{monotonic, unix_seconds, wait_until};
use testbed::oidc::{Algorithm, Behaviour, Key, Provider, hs256, token_from_parts, unsigned};

/// How long a change at the provider may take to be noticed: the pause between two fetches, and air.
const NOTICED: Duration = Duration::from_secs(40);

fn accepted(site: &Site, token: &str) -> bool {
    match site.get(&Who::token(token), "/tools/now").status {
        200 => true,
        403 => false,
        // Too long for the server itself.
        400 | 413 | 414 | 431 if token.len() > 16_000 => false,
        other => panic!("{other}"),
    }
}

/// The claims of an honest token with some members set; null takes one out.
fn claims(site: &Site, changes: &Value) -> Value {
    let mut claims = site.provider.claims("jane", &["viewer-role"]);
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

#[test]
fn every_fault_of_a_token_is_refused() {
    let stranger = Key::generate("key-1", Algorithm::Rs256).unwrap();
    let elsewhere = Provider::with_key(Key::generate("key-1", Algorithm::Rs256).unwrap()).unwrap();
    for version in Version::tested() {
        let (site, _) = shared(version);
        let key = &site.provider.key;
        let now = unix_seconds();
        let honest = claims(site, &json!({}));
        let by_claims = [
            ("honest", json!({}), true),
            ("several audiences", json!({"aud": ["other", "account"]}), true),
            ("another audience, made for an accepted party", json!({"aud": "other", "azp": "account"}), true),
            ("expired, within the leeway", json!({"exp": now - 2}), true),
            ("expired", json!({"exp": now - 60}), false),
            ("no exp", json!({"exp": null}), false),
            ("exp as a text", json!({"exp": (now + 300).to_string()}), false),
            ("not yet", json!({"nbf": now + 300}), false),
            ("another issuer", json!({"iss": "http://elsewhere.test/realms/orthanc"}), false),
            ("no issuer", json!({"iss": null}), false),
            ("issuer with a slash more", json!({"iss": format!("{}/", site.provider.issuer())}), false),
            ("another audience", json!({"aud": "other", "azp": "other"}), false),
            ("no audience", json!({"aud": null, "azp": null}), false),
            ("no subject", json!({"sub": null}), false),
            ("an empty subject", json!({"sub": ""}), false),
            ("an ID token", json!({"typ": "ID"}), false),
            ("a refresh token", json!({"typ": "Refresh"}), false),
            ("a logout token", json!({"typ": "Logout"}), false),
            ("no typ", json!({"typ": null}), false),
        ];
        let mut cases: Vec<(&str, String, bool)> = by_claims
            .into_iter()
            .map(|(name, changes, expected)| (name, key.token(&claims(site, &changes)).unwrap(), expected))
            .collect();
        let header = |changes: Value| {
            let mut header = key.header();
            header.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            header
        };
        let with_header = |changes: Value| key.token_with_header(&header(changes), &honest).unwrap();
        let by_stranger = |changes: Value| stranger.token_with_header(&header(changes), &honest).unwrap();
        let jku = format!("{}/protocol/openid-connect/certs", elsewhere.issuer());
        let pem = key.public_pem().unwrap();
        let honest_token = key.token(&honest).unwrap();
        cases.extend([
            ("another key of the same name", stranger.token(&honest).unwrap(), false),
            ("jku elsewhere", elsewhere.key.token_with_header(&header(json!({"jku": jku})), &honest).unwrap(), false),
            ("its own key in the header", by_stranger(json!({"jwk": stranger.jwk()})), false),
            ("x5u elsewhere", by_stranger(json!({"x5u": jku})), false),
            ("jku beside a good signature", with_header(json!({"jku": jku})), true),
            ("crit", with_header(json!({"crit": ["exp"]})), false),
            ("another algorithm in the header", with_header(json!({"alg": "PS256"})), false),
            ("alg none", unsigned(&honest), false),
            ("alg none, with a signature", with_header(json!({"alg": "none"})), false),
            ("HS256 with the public key", hs256(&header(json!({"alg": "HS256"})), &honest, pem.as_bytes()), false),
            ("a JWE", token_from_parts(&[br#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#, b"k", b"i", b"c", b"t"]), false),
            ("no claims", token_from_parts(&[br#"{"alg":"RS256","kid":"key-1"}"#, b"", b"x"]), false),
            (
                "a claim twice",
                key.token_of_texts(&key.header().to_string(), &format!(r#"{{"iss":"x",{}"#, &honest.to_string()[1..]))
                    .unwrap(),
                false,
            ),
            ("cut off", honest_token[..honest_token.len() - 4].to_owned(), false),
            ("20 kB of garbage", "x".repeat(20_000), false),
            ("20 kB of dots", ".".repeat(20_000), false),
            (
                "20 kB beside a good signature",
                key.token(&claims(site, &json!({"padding": "x".repeat(20_000)}))).unwrap(),
                false,
            ),
        ]);
        let count = cases.len();
        for (name, token, expected) in cases {
            assert_eq!(accepted(site, &token), expected, "{version:?} {name}");
            if token.len() < 5_000 {
                assert_eq!(
                    site.get(&Who::argument(&token), "/tools/now").status == 200,
                    expected,
                    "{version:?} {name}"
                );
            }
        }
        println!("{version:?}: {count} tokens");
        assert!(elsewhere.requests().is_empty(), "{version:?}: a token sent the plugin elsewhere");
    }
}

#[test]
fn tokens_of_every_algorithm_are_accepted() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let keys: Vec<Key> = Algorithm::ALL.into_iter().map(|a| Key::generate(a.name(), a).unwrap()).collect();
        site.provider.offer(&keys.iter().collect::<Vec<_>>());
        for key in &keys {
            let token = key.token(&site.provider.claims("jane", &["viewer-role"])).unwrap();
            let noticed = wait_until(NOTICED, || accepted(&site, &token).then_some(()));
            assert!(noticed.is_some(), "{version:?} {:?}", key.algorithm);
        }
    }
}

#[test]
fn keys_rotate_and_the_provider_may_be_away_or_talk_nonsense() {
    let version = Version::tested()[0];
    let site = Plan::new(version).start();
    let first = site.token("jane", &["viewer-role"]);
    assert!(wait_until(NOTICED, || accepted(&site, &first).then_some(())).is_some());

    // Away later, and answering garbage: the last good keys stay in force, for tokens never seen before, too.
    for behaviour in [
        Behaviour::Down,
        Behaviour::Always { status: 500, body: "<html>".into() },
        Behaviour::Always { status: 200, body: "<html>".into() },
        Behaviour::Always { status: 200, body: r#"{"keys":[]}"#.into() },
        Behaviour::Always { status: 200, body: "{}".into() },
    ] {
        site.provider.behave(behaviour.clone());
        let unknown = Key::generate("unknown", Algorithm::Es256).unwrap();
        assert!(!accepted(&site, &unknown.token(&site.provider.claims("mallory", &["admin-role"])).unwrap()));
        assert!(accepted(&site, &site.token("joe", &["viewer-role"])), "{behaviour:?}");
        assert!(accepted(&site, &first), "{behaviour:?}");
    }

    site.provider.behave(Behaviour::Serve);
    let next = Key::generate("key-2", Algorithm::Rs256).unwrap();
    site.provider.offer(&[&next]);
    let second = next.token(&site.provider.claims("jane", &["viewer-role"])).unwrap();
    assert!(wait_until(NOTICED, || accepted(&site, &second).then_some(())).is_some(), "the new key is fetched");
    assert!(!accepted(&site, &first), "what the withdrawn key signed is refused, though it was cached");
}

#[test]
fn a_provider_that_is_away_at_the_start_is_found_later() {
    let version = *Version::tested().last().unwrap();
    let provider = Provider::start().unwrap();
    provider.behave(Behaviour::Down);
    let site = Plan::new(version).start_with(provider);
    let token = site.token("jane", &["viewer-role"]);
    assert!(!accepted(&site, &token), "no keys, no tokens");
    assert_eq!(site.get(&Who::user("viewer"), "/tools/now").status, 200, "local users need no provider");
    site.provider.behave(Behaviour::Serve);
    assert!(wait_until(NOTICED, || accepted(&site, &token).then_some(())).is_some(), "it heals by itself");
}

#[test]
fn a_flood_of_unknown_keys_costs_the_provider_next_to_nothing() {
    let version = Version::tested()[0];
    let site = Plan::new(version).start();
    assert!(wait_until(NOTICED, || accepted(&site, &site.token("jane", &["viewer-role"])).then_some(())).is_some());
    let before = site.provider.requests().len();
    let start = monotonic();
    for number in 0..300 {
        let mut header = site.provider.key.header();
        header["kid"] = json!(format!("unknown-{number}"));
        let token = site.provider.key.token_with_header(&header, &site.provider.claims("mallory", &["admin-role"]));
        assert!(!accepted(&site, &token.unwrap()));
    }
    let asked = site.provider.requests().len() - before;
    // A fetch is discovery and keys: at most one in ten seconds, and one that was due.
    let fetches = 2 + usize::try_from(start.elapsed().as_secs() / 10).unwrap();
    assert!(asked <= 2 * fetches, "{asked} requests to the provider");
    println!("300 unknown keys: {asked} requests to the provider");
}
