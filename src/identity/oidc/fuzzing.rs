//! Fuzz target for key sets. The promise is said anew here, over the JSON as it is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::ring::Ring;

/// A key set: whatever it is, no key is taken that is weak, odd or not for signatures.
pub(crate) fn jwks(data: &[u8]) {
    let Some(ring) = Ring::parse(data) else { return };
    assert!(ring.len() <= 64);
    // What is skipped in reading may be no UTF-8.
    let text = String::from_utf8_lossy(data);
    // Of a member that appears twice, the reader that knows no better keeps the last; the ring must not take another.
    let Ok(Value::Object(set)) = serde_json::from_str(&text) else { panic!("keys from what is no object") };
    let keys = set.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
    let usable: Vec<&Value> = keys.iter().filter(|key| may_be_used(key)).collect();
    assert!(ring.len() <= usable.len(), "{} keys from {usable:#?}", ring.len());
    for kid in ring.kids() {
        let named = |key: &&Value| key["kid"].as_str().unwrap_or("-") == kid;
        assert!(usable.iter().any(named), "no key that may be used is called {kid:?}");
    }
    let symmetric = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    for kid in ring.kids().map(Some).chain([None]) {
        for algorithm in symmetric {
            assert!(ring.candidates(kid, algorithm).is_err(), "a key for {algorithm:?}");
        }
    }
    let again = Ring::parse(data);
    assert!(again.is_some_and(|again| again == ring), "read twice, and not the same");
}

/// What a key needs at least, whatever else is checked.
fn may_be_used(key: &Value) -> bool {
    let text = |name: &str| key[name].as_str().unwrap_or_default();
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)).unwrap_or_default();
    let bits = |bytes: &[u8]| {
        let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        let rest = &bytes[first..];
        rest.len() * 8 - rest.first().map_or(0, |byte| byte.leading_zeros() as usize)
    };
    let is_odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte % 2 == 1);
    if !key["use"].is_null() && key["use"] != "sig" || text("kid").len() > 256 {
        return false;
    }
    if !key["key_ops"].is_null() && !key["key_ops"].as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify")) {
        return false;
    }
    let algorithms: &[&str] = match (text("kty"), text("crv")) {
        ("RSA", "") => {
            let (modulus, exponent) = (bytes("n"), bytes("e"));
            if bits(&modulus) < 2048 || !is_odd(&modulus) || !is_odd(&exponent) || bits(&exponent) < 2 {
                return false;
            }
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
        }
        ("EC", "P-256") if bytes("x").len() == 32 && bytes("y").len() == 32 => &["ES256"],
        ("EC", "P-384") if bytes("x").len() == 48 && bytes("y").len() == 48 => &["ES384"],
        ("OKP", "Ed25519") if bytes("x").len() == 32 => &["EdDSA", "Ed25519"],
        _ => return false,
    };
    key["alg"].is_null() || algorithms.contains(&text("alg"))
}
