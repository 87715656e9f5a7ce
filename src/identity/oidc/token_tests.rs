//! Every fault of a token, against real keys and without any fetching.

use std::sync::Arc;

use jsonwebtoken::{EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ring::Ring;
use super::testing::*;
use super::token::verify;
use super::{ProviderState, Snapshot, TokenError, VerifiedToken};
use crate::clock::UnixTime;
use crate::config::Provider;

const HEADER: &str = r#"{"alg":"RS256","typ":"JWT","kid":"rsa"}"#;

fn state(config: Provider, keys: &[Value], shown_issuer: Option<&str>) -> ProviderState {
    let state = ProviderState::new(config);
    let ring = Ring::parse(key_set(keys).as_bytes()).unwrap();
    state.snapshot.store(Arc::new(Snapshot {
        ring,
        shown_issuer: shown_issuer.map(str::to_owned),
        ..Snapshot::default()
    }));
    state
}

fn rsa_provider() -> [ProviderState; 1] {
    [state(keycloak("http://keycloak:8080/"), &[RSA.jwk("rsa")], None)]
}

fn check(providers: &[ProviderState], token: &str) -> Result<VerifiedToken, TokenError> {
    verify(providers, token, NOW).map_err(|refusal| refusal.error)
}

/// The outcome for claims signed by the right key.
fn with_claims(claims: &str) -> Result<VerifiedToken, TokenError> {
    check(&rsa_provider(), &RSA.token(HEADER, claims))
}

fn with_header(header: &str) -> Result<VerifiedToken, TokenError> {
    check(&rsa_provider(), &RSA.token(header, &claims().to_string()))
}

#[test]
fn a_good_token_says_who_it_speaks_for() {
    let expected = VerifiedToken {
        provider: 0,
        issuer: ISSUER.to_owned(),
        subject: "8d3c-44".to_owned(),
        name: "Dr. Grün".to_owned(),
        roles: vec!["doctor-role".to_owned(), "offline_access".to_owned()],
        groups: vec!["/radiology".to_owned()],
        issued_at: Some(NOW.plus(-5)),
        issued_after: Some(NOW.plus(-15)),
        expires_at: NOW.plus(310),
        session: Some("s-1".to_owned()),
    };
    assert_eq!(with_claims(&claims().to_string()), Ok(expected));
}

#[test]
fn every_algorithm_verifies_with_the_key_that_names_it() {
    let pinned = |key: &TestKey, algorithm: &str| {
        let mut jwk = key.jwk("k");
        jwk["alg"] = json!(algorithm);
        jwk
    };
    let algorithms: [(&str, &TestKey); 10] = [
        ("RS256", &RSA),
        ("RS384", &RSA),
        ("RS512", &RSA),
        ("PS256", &RSA),
        ("PS384", &RSA),
        ("PS512", &RSA),
        ("ES256", &P256),
        ("ES384", &P384),
        ("EdDSA", &ED25519),
        ("Ed25519", &ED25519),
    ];
    for (algorithm, key) in algorithms {
        let providers = [state(keycloak("http://keycloak:8080/"), &[pinned(key, algorithm)], None)];
        let token = key.token(&json!({"alg": algorithm, "kid": "k"}).to_string(), &claims().to_string());
        assert!(check(&providers, &token).is_ok(), "{algorithm}: {:?}", check(&providers, &token));
        let other = if algorithm == "RS256" { "RS512" } else { "RS256" };
        let token = RSA.token(&json!({"alg": other, "kid": "k"}).to_string(), &claims().to_string());
        assert_eq!(check(&providers, &token), Err(TokenError::OtherAlgorithm("k".into())), "{algorithm} for {other}");
    }
}

#[test]
fn faults_of_the_claims_are_refused_with_their_reason() {
    use TokenError::{Audience, Expired, Issuer, Kind, MalformedClaim, MissingClaim, NotYet};
    let now = NOW.0;
    let cases = [
        (json!({"exp": now - 11}), Expired(11)),
        (json!({"exp": now - 10}), Expired(10)),
        (json!({"exp": 0}), Expired(now)),
        (json!({"exp": null}), MissingClaim("exp")),
        (json!({"exp": (now + 300).to_string()}), MalformedClaim("exp")),
        (json!({"exp": [now + 300]}), MalformedClaim("exp")),
        (json!({"exp": true}), MalformedClaim("exp")),
        (json!({"exp": -1}), MalformedClaim("exp")),
        (json!({"exp": 1e300}), MalformedClaim("exp")),
        (json!({"exp": u64::MAX}), MalformedClaim("exp")),
        (json!({"nbf": now + 11}), NotYet { claim: "nbf", seconds: 11 }),
        (json!({"nbf": (now as f64) + 10.5}), NotYet { claim: "nbf", seconds: 11 }),
        (json!({"nbf": "0"}), MalformedClaim("nbf")),
        (json!({"iat": now + 11}), NotYet { claim: "iat", seconds: 11 }),
        (json!({"iat": "yesterday"}), MalformedClaim("iat")),
        (json!({"iss": null}), MissingClaim("iss")),
        (json!({"iss": [ISSUER]}), MalformedClaim("iss")),
        (json!({"iss": "http://keycloak:8080/realms/other"}), Issuer("http://keycloak:8080/realms/other".into())),
        (json!({"iss": format!("{ISSUER}/")}), Issuer(format!("{ISSUER}/"))),
        (json!({"iss": ISSUER.to_uppercase()}), Issuer(ISSUER.to_uppercase())),
        (json!({"sub": null}), MissingClaim("sub")),
        (json!({"sub": ""}), MissingClaim("sub")),
        (json!({"sub": 7}), MalformedClaim("sub")),
        (json!({"aud": "other"}), Audience),
        (json!({"aud": ["other", "third"], "azp": "fourth"}), Audience),
        (json!({"aud": null, "azp": null}), Audience),
        (json!({"aud": {"account": true}}), MalformedClaim("aud")),
        (json!({"aud": ["account", 7]}), MalformedClaim("aud")),
        (json!({"azp": 7}), MalformedClaim("azp")),
        (json!({"typ": "ID"}), Kind("an ID token")),
        (json!({"typ": "Refresh"}), Kind("a refresh token")),
        (json!({"typ": "Offline"}), Kind("a refresh token")),
        (json!({"typ": "Logout"}), Kind("a logout token")),
        (json!({"typ": "bearer"}), Kind("claim typ is not Bearer")),
        (json!({"typ": null}), Kind("no claim typ")),
    ];
    for (changes, reason) in cases {
        assert_eq!(with_claims(&claims_with(changes.clone())), Err(reason), "{changes}");
    }
    assert_eq!(with_claims(&claims().to_string().replacen("\"Dr", "\"exp\":null,\"x\":\"", 1)), {
        Err(TokenError::Malformed("claims are no JSON object"))
    });
    let null = claims_with(json!({"exp": "X"})).replace("\"X\"", "null");
    assert_eq!(with_claims(&null), Err(MalformedClaim("exp")));
}

#[test]
fn what_is_within_the_rules_is_accepted() {
    let now = NOW.0;
    for changes in [
        json!({"exp": now - 9}),
        json!({"exp": (now as f64) + 0.5}),
        json!({"nbf": now + 10, "iat": now + 10}),
        json!({"iat": null, "nbf": 0}),
        json!({"aud": ["x", "account"]}),
        json!({"aud": null, "azp": "account"}),
        json!({"aud": "x", "azp": "account"}),
    ] {
        assert!(with_claims(&claims_with(changes.clone())).is_ok(), "{changes}");
    }
    let unchecked = Provider { audiences: Vec::new(), ..keycloak("http://keycloak:8080/") };
    let providers = [state(unchecked, &[RSA.jwk("rsa")], None)];
    assert!(check(&providers, &RSA.token(HEADER, &claims_with(json!({"aud": null, "azp": null})))).is_ok());
}

#[test]
fn the_end_comes_with_exp_and_leeway_to_the_second() {
    let token = RSA.token(HEADER, &claims().to_string());
    let providers = rsa_provider();
    let end = check(&providers, &token).unwrap().expires_at;
    assert!(verify(&providers, &token, end.plus(-1)).is_ok());
    assert!(verify(&providers, &token, end).is_err());
    assert!(verify(&providers, &token, UnixTime(i64::MAX)).is_err());
}

#[test]
fn faults_of_the_header_are_refused_with_their_reason() {
    use TokenError::{Algorithm, Duplicate, HeaderMember, Malformed, NoKeyId, OtherAlgorithm, UnknownKey};
    let cases = [
        (r#"{"alg":"none","kid":"rsa"}"#, Algorithm),
        (r#"{"alg":"None","kid":"rsa"}"#, Algorithm),
        (r#"{"alg":"rs256","kid":"rsa"}"#, Algorithm),
        (r#"{"alg":"HS256","kid":"rsa"}"#, Algorithm),
        (r#"{"kid":"rsa"}"#, Algorithm),
        (r#"{"alg":null,"kid":"rsa"}"#, Malformed("header")),
        (r#"{"alg":["RS256"],"kid":"rsa"}"#, Malformed("header")),
        (r#"{"alg":"RS256","kid":7}"#, Malformed("header")),
        (r#"{"alg":"RS256","kid":"rsa","crit":["exp"],"exp":1}"#, HeaderMember("crit")),
        (r#"{"alg":"RS256","kid":"rsa","crit":null}"#, HeaderMember("crit")),
        (r#"{"alg":"RS256","kid":"rsa","b64":true}"#, HeaderMember("b64")),
        (r#"{"alg":"RS256","kid":"rsa","enc":"A256GCM"}"#, HeaderMember("enc")),
        (r#"{"alg":"RS256","kid":"new"}"#, UnknownKey("new".into())),
        (r#"{"alg":"RS256","kid":""}"#, UnknownKey(String::new())),
        (r#"{"alg":"PS256","kid":"rsa"}"#, OtherAlgorithm("rsa".into())),
        (r#"{"alg":"PS256"}"#, NoKeyId),
        (r#"{"alg":"RS256","alg":"RS256","kid":"rsa"}"#, Duplicate("header")),
        (r#"{"alg":"RS256","kid":"rsa","\u006bid":"rsa"}"#, Duplicate("header")),
        (r#"{"alg":"RS256","kid":"rsa"} "x""#, Malformed("header is not a JSON object")),
        ("[]", Malformed("header is not a JSON object")),
        ("", Malformed("header is not a JSON object")),
    ];
    for (header, reason) in cases {
        assert_eq!(with_header(header), Err(reason), "{header}");
    }
    // Where a key might be found instead of in our ring is not even looked at.
    for ignored in [
        r#"{"alg":"RS256","kid":"rsa","jku":"http://evil.example/keys","x5u":"http://evil.example/cert"}"#,
        r#"{"alg":"RS256"}"#,
    ] {
        assert!(with_header(ignored).is_ok(), "{ignored}");
    }
}

#[test]
fn a_key_that_comes_with_the_token_is_not_believed() {
    let header = json!({"alg": "RS256", "kid": "rsa", "jwk": OTHER_RSA.jwk("rsa"), "x5c": ["MIIB"]}).to_string();
    let forged = OTHER_RSA.token(&header, &claims().to_string());
    assert_eq!(check(&rsa_provider(), &forged), Err(TokenError::Signature));
}

#[test]
fn unsigned_and_foreign_signatures_are_refused() {
    let providers = rsa_provider();
    let good = RSA.token(HEADER, &claims().to_string());
    let (input, _) = good.rsplit_once('.').unwrap();
    assert_eq!(check(&providers, &format!("{input}.")), Err(TokenError::Signature));
    assert_eq!(check(&providers, &OTHER_RSA.token(HEADER, &claims().to_string())), Err(TokenError::Signature));
    assert_eq!(check(&providers, &P256.token(HEADER, &claims().to_string())), Err(TokenError::Signature));
    let admin = claims_with(json!({"realm_access": {"roles": ["admin-role"]}}));
    let (start, signature) = (format!("{}.{}", b64(HEADER.as_bytes()), b64(admin.as_bytes())), good.rsplit('.').next());
    assert_eq!(check(&providers, &format!("{start}.{}", signature.unwrap())), Err(TokenError::Signature));
}

#[test]
fn hs256_with_the_public_key_as_the_secret_is_refused() {
    let modulus = RSA.modulus();
    let pem_like = RSA.jwk("rsa")["n"].as_str().unwrap().to_owned();
    for secret in [modulus.as_slice(), pem_like.as_bytes()] {
        let header = Header { kid: Some("rsa".to_owned()), ..Header::default() };
        let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap();
        assert_eq!(check(&rsa_provider(), &token), Err(TokenError::Algorithm));
    }
    let octet = json!({"kty": "oct", "kid": "k", "k": b64(b"0123456789abcdef0123456789abcdef"), "alg": "HS256"});
    assert_eq!(Ring::parse(key_set(&[octet]).as_bytes()).unwrap().len(), 0);
}

#[test]
fn what_is_no_signed_token_is_refused_unread() {
    let good = RSA.token(HEADER, &claims().to_string());
    let cases = [
        (String::new(), TokenError::Malformed("not three parts")),
        ("a.b".to_owned(), TokenError::Malformed("not three parts")),
        ("a.b.c.d".to_owned(), TokenError::Malformed("not three parts")),
        (format!("{good}.x.y"), TokenError::Encrypted),
        (format!(" {good}"), TokenError::Malformed("header is no base64url")),
        (format!("{good}\n"), TokenError::Signature),
        (format!("{good}="), TokenError::Signature),
        (good.replacen('.', "=.", 1), TokenError::Malformed("header is no base64url")),
        (format!("ü{good}"), TokenError::Malformed("header is no base64url")),
        ("x".repeat(20_000), TokenError::TooLong),
        (format!("{good}.{}", "y".repeat(20_000)), TokenError::TooLong),
    ];
    for (token, reason) in cases {
        assert_eq!(check(&rsa_provider(), &token), Err(reason), "{token:.40}");
    }
    assert!(check(&rsa_provider(), &"\u{fffd}".repeat(5000)).is_err());
}

#[test]
fn claims_that_come_twice_are_refused() {
    let twice = |member: &str| claims().to_string().replacen('{', &format!("{{{member},"), 1);
    for member in [r#""sub":"admin""#, r#""exp":1"#, r#""su\u0062":"admin""#, r#""other":1,"other":1"#] {
        assert_eq!(with_claims(&twice(member)), Err(TokenError::Duplicate("claims")), "{member}");
    }
    let many: String = (0..300).map(|number| format!("\"c{number}\":0,")).collect();
    let crowd = claims().to_string().replacen('{', &format!("{{{many}"), 1);
    assert_eq!(with_claims(&crowd), Err(TokenError::Malformed("claims are no JSON object")));
}

#[test]
fn a_reason_shows_nothing_but_issuer_and_kid_printable_and_short() {
    let long = format!("http://evil\r\n2026 forged line \u{1b}[0m{}", "x".repeat(500));
    let shown = with_claims(&claims_with(json!({"iss": long}))).unwrap_err().to_string();
    assert!(shown.starts_with("issuer not accepted: http://evil??2026 forged line ?[0mxxx"), "{shown}");
    assert!(shown.len() < 160 && !shown.contains(char::is_control), "{shown}");
    let header = json!({"alg": "RS256", "kid": format!("\n{}", "k".repeat(500))}).to_string();
    let shown = with_header(&header).unwrap_err().to_string();
    assert!(shown.starts_with("unknown key: kid ?kkk") && shown.len() < 160, "{shown}");
}

#[test]
fn other_issuers_of_the_provider_are_accepted_and_mean_the_same_person() {
    let config = Provider {
        accepted_issuers: vec!["https://public.example/realms/orthanc".into()],
        ..keycloak("http://keycloak:8080/")
    };
    let providers = [state(config, &[RSA.jwk("rsa")], Some("https://shown.example/realms/orthanc"))];
    for issuer in ["https://public.example/realms/orthanc", "https://shown.example/realms/orthanc"] {
        let token = RSA.token(HEADER, &claims_with(json!({"iss": issuer})));
        assert_eq!(check(&providers, &token).unwrap().issuer, ISSUER);
    }
}

#[test]
fn a_token_goes_to_the_provider_of_its_issuer_and_to_its_keys_only() {
    let providers = [
        state(keycloak("http://keycloak:8080/"), &[RSA.jwk("rsa")], None),
        // The second shows itself under the first one's name, and under one of its own.
        state(keycloak("http://second/"), &[OTHER_RSA.jwk("rsa")], Some(ISSUER)),
    ];
    let second = claims_with(json!({"iss": "http://second/realms/orthanc"}));
    assert_eq!(check(&providers, &OTHER_RSA.token(HEADER, &second)).unwrap().provider, 1);
    assert_eq!(check(&providers, &RSA.token(HEADER, &second)), Err(TokenError::Signature));
    assert_eq!(check(&providers, &OTHER_RSA.token(HEADER, &claims().to_string())), Err(TokenError::Signature));
    assert_eq!(check(&providers, &RSA.token(HEADER, &claims().to_string())).unwrap().provider, 0);
}

#[test]
fn in_issuer_mode_the_header_says_that_it_is_an_access_token() {
    let provider = |types: &[&str]| {
        let token_types = types.iter().map(|kind| (*kind).to_owned()).collect();
        [state(Provider { token_types, ..any_provider(ISSUER) }, &[RSA.jwk("rsa")], None)]
    };
    let token = |kind: Value, changes: Value| {
        let mut claims: Value = serde_json::from_str(&claims_with(changes)).unwrap();
        claims["azp"] = json!("orthanc");
        claims.as_object_mut().unwrap().remove("typ");
        RSA.token(&json!({"alg": "RS256", "kid": "rsa", "typ": kind}).to_string(), &claims.to_string())
    };
    let strict = provider(&["at+jwt", "application/at+jwt"]);
    for kind in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        assert!(check(&strict, &token(json!(kind), json!({}))).is_ok(), "{kind}");
    }
    let wrong = Err(TokenError::Kind("header typ is not an accepted one"));
    assert_eq!(check(&strict, &token(json!("JWT"), json!({}))), wrong);
    assert_eq!(check(&strict, &token(json!("logout+jwt"), json!({}))), wrong);
    assert_eq!(check(&strict, &RSA.token(r#"{"alg":"RS256","kid":"rsa"}"#, &claims().to_string())), wrong);

    let lax = provider(&["jwt"]);
    assert!(check(&lax, &token(json!("JWT"), json!({}))).is_ok());
    for claim in ["nonce", "at_hash", "c_hash", "events"] {
        let reason = Err(TokenError::Kind("it has claims of an ID or logout token"));
        assert_eq!(check(&lax, &token(json!("JWT"), json!({claim: "x"}))), reason, "{claim}");
    }
}

#[test]
fn roles_and_groups_come_from_the_configured_claims() {
    let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    let config = Provider {
        roles_claims: ["realm_access.roles", "resource_access.orthanc.roles", "role", "https://x.org/roles", "no.such"]
            .map(path)
            .into(),
        groups_claim: path("a.b"),
        ..keycloak("http://keycloak:8080/")
    };
    let token = RSA.token(
        HEADER,
        &claims_with(json!({
            "realm_access": {"roles": ["one", "two", 3, "", null, ["four"]]},
            "resource_access": {"orthanc": {"roles": ["two", "five"]}, "other": {"roles": ["not this"]}},
            "role": "six", "https://x.org/roles": ["seven"], "a": {"b": ["g", "g"]}
        })),
    );
    let verified = check(&[state(config.clone(), &[RSA.jwk("rsa")], None)], &token).unwrap();
    assert_eq!(verified.roles, ["one", "two", "five", "six", "seven"]);
    assert_eq!(verified.groups, ["g"]);

    let map = [("one", vec!["ours", "more"]), ("six", vec!["ours"])];
    let map = map.into_iter().map(|(key, ours)| (key.to_owned(), ours.into_iter().map(str::to_owned).collect()));
    let mapped = Provider { roles_map: Some(map.collect()), ..config };
    let verified = check(&[state(mapped, &[RSA.jwk("rsa")], None)], &token).unwrap();
    assert_eq!(verified.roles, ["ours", "more"], "what the map does not name is dropped");
}

#[test]
fn the_name_is_the_best_that_there_is() {
    let name = |changes| with_claims(&claims_with(changes)).unwrap().name;
    assert_eq!(name(json!({"name": null})), "gruen");
    assert_eq!(name(json!({"name": ""})), "gruen");
    assert_eq!(name(json!({"name": 7, "preferred_username": null})), "8d3c-44");
}

#[test]
fn keys_that_must_not_verify_are_left_out() {
    let rsa = |changes: Value| {
        let mut jwk = RSA.jwk("rsa");
        for (name, value) in changes.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    };
    let mut off_curve = P256.jwk("k");
    off_curve["y"] = off_curve["x"].clone();
    for (jwk, usable) in [
        (rsa(json!({})), true),
        (rsa(json!({"use": "sig", "key_ops": ["verify"], "alg": "PS512", "x5c": ["M"], "x5u": "http://x"})), true),
        (rsa(json!({"n": b64(&[&[0][..], &RSA.modulus()].concat())})), true),
        (rsa(json!({"use": "enc"})), false),
        (rsa(json!({"alg": "RSA-OAEP"})), false),
        (rsa(json!({"alg": "HS256"})), false),
        (rsa(json!({"alg": "ES256"})), false),
        (rsa(json!({"key_ops": ["encrypt"]})), false),
        (rsa(json!({"n": b64(&[0xff; 255])})), false),
        (rsa(json!({"n": b64(&[&[0x7f][..], &[0xff; 255]].concat())})), false),
        (rsa(json!({"n": b64(&[0xff; 1025])})), false),
        (rsa(json!({"e": "AQ"})), false),
        (rsa(json!({"e": "AA"})), false),
        (rsa(json!({"e": "AQAA"})), false),
        (rsa(json!({"n": "!!"})), false),
        (rsa(json!({"kid": "k".repeat(257)})), false),
        (P256.jwk("k"), true),
        (off_curve, false),
        (P384.jwk("k"), true),
        (ED25519.jwk("k"), true),
        (json!({"kty": "OKP", "crv": "X25519", "x": b64(&[9; 32])}), false),
        (json!({"kty": "OKP", "crv": "Ed25519", "x": b64(&[9; 31])}), false),
        (json!("no key"), false),
        (json!({"kty": "EC", "crv": "secp256k1", "x": b64(&[1; 32]), "y": b64(&[1; 32])}), false),
    ] {
        let ring = Ring::parse(key_set(std::slice::from_ref(&jwk)).as_bytes()).unwrap();
        assert_eq!(ring.len(), usize::from(usable), "{jwk}");
    }
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
        assert!(Ring::parse(text.as_bytes()).is_none(), "{text}");
    }
}

#[test]
fn keys_of_one_kid_are_all_tried_and_a_token_without_kid_needs_a_single_key() {
    let two =
        [state(keycloak("http://keycloak:8080/"), &[OTHER_RSA.jwk("rsa"), RSA.jwk("rsa"), P256.jwk("rsa")], None)];
    let claims = claims().to_string();
    for key in [&*RSA, &*OTHER_RSA] {
        assert!(check(&two, &key.token(HEADER, &claims)).is_ok());
        assert_eq!(check(&two, &key.token(r#"{"alg":"RS256"}"#, &claims)), Err(TokenError::NoKeyId));
    }
    assert!(check(&two, &P256.token(r#"{"alg":"ES256","kid":"rsa"}"#, &claims)).is_ok());
    assert!(check(&two, &P256.token(r#"{"alg":"ES256"}"#, &claims)).is_ok());
    let none = [state(keycloak("http://keycloak:8080/"), &[], None)];
    assert_eq!(check(&none, &RSA.token(HEADER, &claims)), Err(TokenError::NoKeys(ISSUER.into())));
}

#[test]
fn only_an_unknown_kid_is_worth_another_fetch() {
    let refetch = |header| {
        let refusal = verify(&rsa_provider(), &RSA.token(header, &claims().to_string()), NOW).err().unwrap();
        refusal.refetch.map(|(provider, _)| provider)
    };
    assert_eq!(refetch(r#"{"alg":"RS256","kid":"new"}"#), Some(0));
    assert_eq!(refetch(r#"{"alg":"PS256","kid":"rsa"}"#), None);
    assert_eq!(refetch(r#"{"alg":"HS256","kid":"new"}"#), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_flipped_bit_of_a_good_token_is_refused(key in 0usize..3, position: prop::sample::Index, bit in 0u8..8) {
        let (key, algorithm): (&TestKey, _) = [(&*RSA, "RS256"), (&*P256, "ES256"), (&*ED25519, "EdDSA")][key];
        let providers = [state(keycloak("http://keycloak:8080/"), &[key.jwk("k")], None)];
        let header = json!({"alg": algorithm, "kid": "k", "typ": "JWT"}).to_string();
        let mut bytes = key.token(&header, &claims().to_string()).into_bytes();
        prop_assert!(check(&providers, std::str::from_utf8(&bytes).unwrap()).is_ok());
        let position = position.index(bytes.len());
        bytes[position] ^= 1 << bit;
        // The host hands over UTF-8 only.
        if let Ok(text) = std::str::from_utf8(&bytes) {
            prop_assert!(check(&providers, text).is_err(), "bit {bit} of byte {position}");
        }
    }

    #[test]
    fn arbitrary_text_never_panics_and_never_passes(text in ".{0,200}", parts in prop::collection::vec("[ -~]{0,60}", 3)) {
        prop_assert!(check(&rsa_provider(), &text).is_err());
        let encoded: Vec<String> = parts.iter().map(|part| b64(part.as_bytes())).collect();
        prop_assert!(check(&rsa_provider(), &encoded.join(".")).is_err());
    }
}
