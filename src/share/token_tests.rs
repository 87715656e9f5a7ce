use proptest::prelude::*;
use serde_json::json;

use super::*;

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn study() -> ShareResource {
    ShareResource {
        level: Level::Study,
        orthanc_id: Some("4a949531-84554d1e-eae57d5d-f1be60b6-b9395212".to_owned()),
        dicom_uid: Some("1.2.826.0.1.3680043.8.498.1.3".to_owned()),
        url: None,
    }
}

fn claims() -> ShareClaims {
    ShareClaims {
        id: Some("my-id".to_owned()),
        resources: vec![study()],
        link_type: LinkType::Stone,
        validity_duration: None,
        expires_at: Some(UnixTime(1_893_456_000)),
        registered: Some(Registered {
            jti: "0190a6b3".to_owned(),
            issued_at: UnixTime(1_795_000_000),
            subject: Some("somebody".to_owned()),
        }),
    }
}

fn payload(token: &str) -> String {
    let payload = token.split('.').nth(1).unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[derive(Deserialize)]
struct Vectors {
    key: String,
    accepted: Vec<Accepted>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Accepted {
    name: String,
    token: String,
    id: Option<String>,
    r#type: String,
    resources: usize,
    expires_at: Option<i64>,
    jti: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    token: String,
    fault: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/share_tokens.json")).unwrap()
}

#[test]
fn tokens_of_another_library_are_read() {
    let vectors = vectors();
    let keys = [secret(&vectors.key)];
    assert!(!vectors.accepted.is_empty());
    for vector in vectors.accepted {
        let claims = verify(&vector.token, &keys).unwrap_or_else(|fault| panic!("{}: {fault}", vector.name));
        assert_eq!(claims.id, vector.id, "{}", vector.name);
        assert_eq!(claims.link_type.as_str(), vector.r#type, "{}", vector.name);
        assert_eq!(claims.resources.len(), vector.resources, "{}", vector.name);
        assert_eq!(claims.expires_at(), vector.expires_at.map(UnixTime), "{}", vector.name);
        assert_eq!(claims.registered.map(|registered| registered.jti), vector.jti, "{}", vector.name);
        assert!(looks_like_share(&vector.token), "{}", vector.name);
    }
}

#[test]
fn tokens_that_are_wrong_are_refused_for_what_is_wrong() {
    let vectors = vectors();
    let keys = [secret(&vectors.key)];
    assert!(!vectors.refused.is_empty());
    for vector in vectors.refused {
        let fault = match verify(&vector.token, &keys) {
            Err(TokenFault::TooLong) => "too-long",
            Err(TokenFault::NotJwt) => "not-jwt",
            Err(TokenFault::Header(_)) => "header",
            Err(TokenFault::Signature) => "signature",
            Err(TokenFault::Claims(_)) => "claims",
            Ok(claims) => panic!("{}: {claims:?}", vector.name),
        };
        assert_eq!(fault, vector.fault, "{}", vector.name);
        if fault == "header" {
            assert!(!looks_like_share(&vector.token), "{}", vector.name);
        }
    }
}

#[test]
fn a_new_token_reads_as_an_old_one_with_registered_claims_after_it() {
    let token = sign(&claims(), &secret("key")).unwrap();
    assert_eq!(
        payload(&token),
        concat!(
            r#"{"id":"my-id","resources":[{"dicom_uid":"1.2.826.0.1.3680043.8.498.1.3","#,
            r#""orthanc_id":"4a949531-84554d1e-eae57d5d-f1be60b6-b9395212","url":null,"level":"study"}],"#,
            r#""type":"stone-viewer-publication","expiration_date":"2030-01-01T00:00:00+00:00","#,
            r#""validity_duration":null,"jti":"0190a6b3","iat":1795000000,"exp":1893456000,"sub":"somebody"}"#
        )
    );
    assert_eq!(URL_SAFE_NO_PAD.decode(HEADER).unwrap(), br#"{"alg":"HS256","typ":"JWT"}"#);
    let endless = ShareClaims { expires_at: None, ..claims() };
    let payload = payload(&sign(&endless, &secret("key")).unwrap());
    assert!(payload.contains(r#""expiration_date":null"#) && !payload.contains("exp\""), "{payload}");
}

/// Our tokens are, byte for byte, those of the other library for the same claims.
#[test]
fn a_token_is_written_as_the_old_service_writes_it() {
    let vectors = vectors();
    let dated = ShareClaims { registered: None, ..claims() };
    let endless = ShareClaims { expires_at: None, ..dated.clone() };
    for (name, claims) in [("old, dated", dated), ("old, endless", endless), ("new", claims())] {
        let vector = vectors.accepted.iter().find(|vector| vector.name == name).unwrap();
        assert_eq!(sign(&claims, &secret(&vectors.key)).unwrap(), vector.token, "{name}");
    }
}

#[test]
fn the_first_key_signs_and_all_verify() {
    let token = sign(&claims(), &secret("previous")).unwrap();
    assert_eq!(verify(&token, &[secret("current"), secret("previous")]), Ok(claims()));
    assert_eq!(verify(&token, &[secret("previous"), secret("current")]), Ok(claims()));
    assert_eq!(verify(&token, &[secret("current")]), Err(TokenFault::Signature));
    assert_eq!(verify(&token, &[]), Err(TokenFault::Signature));
}

#[test]
fn an_empty_key_verifies_nothing() {
    let token = sign(&claims(), &secret("")).unwrap();
    assert_eq!(verify(&token, &[secret("")]), Err(TokenFault::Signature));
}

#[test]
fn a_token_is_over_from_its_end_on() {
    let claims = claims();
    assert!(!claims.is_expired(UnixTime(1_893_455_999)));
    assert!(claims.is_expired(UnixTime(1_893_456_000)));
    assert!(!ShareClaims { expires_at: None, ..claims }.is_expired(UnixTime(i64::MAX)));
}

#[test]
fn size_is_bounded_both_ways() {
    let key = secret("key");
    let most = |count: usize| sign(&ShareClaims { resources: vec![study(); count], ..claims() }, &key);
    let fits = (1..200).take_while(|count| most(*count).is_ok()).count();
    assert!((60..100).contains(&fits), "{fits}");
    assert_eq!(most(fits + 1), Err(TooLong));
    let long = format!("{HEADER}.{}.AAAA", "A".repeat(LONGEST_TOKEN));
    assert_eq!(verify(&long, &[key]), Err(TokenFault::TooLong));
    assert!(!looks_like_share(&long));
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "x".repeat(LONGEST_HEADER)));
    assert!(!looks_like_share(&format!("{header}.AAAA.AAAA")));
}

#[test]
fn tokens_of_others_do_not_look_like_ours() {
    let of = |header: serde_json::Value| format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header.to_string()));
    assert!(looks_like_share(&of(json!({"alg": "HS256", "typ": "JWT"}))));
    assert!(looks_like_share(&of(json!({"alg": "HS256"}))));
    for token in [
        of(json!({"alg": "RS256", "typ": "JWT", "kid": "x"})),
        of(json!({"typ": "JWT"})),
        of(json!("HS256")),
        "gatehouse_key_without_dots".to_owned(),
        "..".to_owned(),
        String::new(),
        "é.é.é".to_owned(),
    ] {
        assert!(!looks_like_share(&token), "{token}");
    }
}

fn some_resource() -> impl Strategy<Value = ShareResource> {
    let levels = prop::sample::select(vec![Level::Patient, Level::Study, Level::Series, Level::Instance]);
    let id = "[0-9a-f]{8}(-[0-9a-f]{8}){4}";
    (levels, id, "[0-9][0-9.]{0,63}", prop::option::of(".{0,40}"), 0..3_u8).prop_map(|(level, id, uid, url, which)| {
        let orthanc_id = (which != 1).then_some(id);
        let dicom_uid = (which != 2).then_some(uid);
        ShareResource { level, orthanc_id, dicom_uid, url }
    })
}

fn some_claims() -> impl Strategy<Value = ShareClaims> {
    let registered = ("\\PC{0,40}", any::<u32>(), prop::option::of("\\PC{0,40}"))
        .prop_map(|(jti, at, subject)| Registered { jti, issued_at: UnixTime(i64::from(at)), subject });
    (
        prop::option::of(".{0,40}"),
        prop::collection::vec(some_resource(), 0..5),
        prop::sample::select(LinkType::ALL.to_vec()),
        prop::option::of(any::<u64>()),
        prop::option::of(0..253_402_300_799_i64),
        prop::option::of(registered),
    )
        .prop_map(|(id, resources, link_type, validity_duration, end, registered)| ShareClaims {
            id,
            resources,
            link_type,
            validity_duration,
            expires_at: end.map(UnixTime),
            registered,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_was_signed_is_verified_and_nothing_else(
        claims in some_claims(),
        at in any::<prop::sample::Index>(),
        bit in 0..7_u32,
    ) {
        let key = secret("a key for tests");
        let token = sign(&claims, &key).unwrap();
        prop_assert!(looks_like_share(&token));
        prop_assert_eq!(verify(&token, std::slice::from_ref(&key)).unwrap(), claims);
        // Seven bits: the token stays ASCII, and so a text.
        let mut bytes = token.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let flipped = String::from_utf8(bytes).unwrap();
        prop_assert!(verify(&flipped, &[key]).is_err());
    }

    #[test]
    fn no_text_makes_it_panic(text in "[A-Za-z0-9_.-]{0,200}|\\PC{0,50}|eyJhbGciOiJIUzI1NiJ9\\.[A-Za-z0-9_-]{0,50}\\.[A-Za-z0-9_-]{0,50}") {
        prop_assert!(verify(&text, &[secret("a key for tests")]).is_err());
        prop_assert!(!looks_like_share(&text) || text.starts_with("eyJ"));
    }
}

/// The last character of the signature carries two bits that say nothing: they must be zero.
#[test]
fn every_single_bit_of_a_token_counts() {
    let key = [secret("a key for tests")];
    let token = sign(&claims(), &key[0]).unwrap();
    for at in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            assert!(verify(&String::from_utf8(bytes).unwrap(), &key).is_err(), "byte {at}, bit {bit}");
        }
    }
}
