//! A provider's key ring: the usable verification keys of a JWK set (RFC 7517), each pinned to one algorithm.
//!
//! Knows nothing of where the set came from, or of tokens beyond their `kid` and `alg`.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

/// More keys than this in one set are not read: no provider has them, and a lookup walks the ring.
const MAX_KEYS: usize = 64;
/// Longer key identifiers make a key unusable.
const MAX_KID: usize = 256;
/// Accepted RSA moduli, in bytes: 2048 to 8192 bits.
const RSA_MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// The usable keys of a provider.
#[derive(Clone, Debug, Default)]
pub(super) struct Ring(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    /// Modulus and exponent, or the encoded point: what tells keys apart.
    material: Vec<u8>,
    decoding: DecodingKey,
}

impl PartialEq for Ring {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (&self.kid, self.algorithm, &self.material) == (&other.kid, other.algorithm, &other.material)
    }
}

/// Why a ring has no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// No key has this `kid`: perhaps a new one.
    UnknownKid,
    /// The key with this `kid` is pinned to another algorithm.
    OtherAlgorithm,
    /// The token has no `kid`, and there is not exactly one key for its algorithm.
    NoKid,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<serde_json::Value>,
}

/// The members of a JWK that we read. `x5u` and its kind are not among them: nothing is ever fetched because a key says
/// so.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Ring {
    /// Reads a JWK set. Keys that we cannot or must not use (encryption, `oct`, weak, malformed) are left out.
    /// `None`: it is no JWK set at all.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        // The library would take a list for an object, its elements for the members in our order.
        if json.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return None;
        }
        let set: JwkSet = serde_json::from_slice(json).ok()?;
        let mut keys: Vec<Key> = Vec::new();
        for value in set.keys.into_iter().take(MAX_KEYS).filter(serde_json::Value::is_object) {
            let Some(key) = serde_json::from_value(value).ok().and_then(usable) else { continue };
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Some(Self(keys))
    }

    /// The keys that a token with this `kid` and `alg` may be signed with, at least one.
    ///
    /// Several keys of one `kid` are all tried. That opens nothing: every key of the ring is trusted for every token of
    /// the provider, and whoever holds one of them may write any `kid`.
    pub(super) fn candidates(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<impl Iterator<Item = &DecodingKey>, NoKey> {
        let fits =
            move |key: &&Key| key.algorithm == algorithm && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid));
        let count = self.0.iter().filter(fits).count();
        match kid {
            Some(kid) if count == 0 => {
                let known = self.0.iter().any(|key| key.kid.as_deref() == Some(kid));
                return Err(if known { NoKey::OtherAlgorithm } else { NoKey::UnknownKid });
            }
            None if count != 1 => return Err(NoKey::NoKid),
            _ => {}
        }
        Ok(self.0.iter().filter(fits).map(|key| &key.decoding))
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key identifiers, for the log; `-` for a key without one.
    pub(super) fn kids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.kid.as_deref().unwrap_or("-"))
    }
}

/// The algorithm of a JOSE `alg` value, if it is one that we accept: asymmetric signatures only.
/// `Ed25519` is the newer name (RFC 9864) of what `EdDSA` means for that curve.
pub(super) fn algorithm_named(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        _ => return None,
    })
}

fn usable(jwk: Jwk) -> Option<Key> {
    let for_signatures = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
        && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    if !for_signatures || jwk.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
        return None;
    }
    // A key says its algorithm, or its kind does. An RSA key could serve six: without `alg` it is RS256, the one that
    // every provider must offer (OpenID Connect Discovery, 3) and that those without `alg` use.
    let curve = (jwk.kty.as_str(), jwk.crv.as_deref());
    let by_kind: &[Algorithm] = match curve {
        ("RSA", None) => {
            use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
            &[RS256, RS384, RS512, PS256, PS384, PS512]
        }
        ("EC", Some("P-256")) => &[Algorithm::ES256],
        ("EC", Some("P-384")) => &[Algorithm::ES384],
        ("OKP", Some("Ed25519")) => &[Algorithm::EdDSA],
        _ => return None,
    };
    let algorithm = match jwk.alg.as_deref() {
        Some(name) => algorithm_named(name).filter(|algorithm| by_kind.contains(algorithm))?,
        None => *by_kind.first()?,
    };
    let (material, decoding) = match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => {
            let size = if algorithm == Algorithm::ES256 { 32 } else { 48 };
            let (x, y) = (decode(&jwk.x)?, decode(&jwk.y)?);
            if x.len() != size || y.len() != size {
                return None;
            }
            let point = [&[4u8][..], &x, &y].concat();
            // Fails for a point that is not on the curve.
            match algorithm {
                Algorithm::ES256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point),
                _ => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &point),
            }
            .ok()?;
            let decoding = DecodingKey::from_ec_der(&point);
            (point, decoding)
        }
        Algorithm::EdDSA => {
            let x = decode(&jwk.x)?;
            ParsedPublicKey::new(&ED25519, &x).ok()?;
            let decoding = DecodingKey::from_ed_der(&x);
            (x, decoding)
        }
        _ => {
            let (n, e) = (without_leading_zeros(decode(&jwk.n)?), without_leading_zeros(decode(&jwk.e)?));
            let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
            // With the exponent 1 every text would be its own signature.
            if !RSA_MODULUS.contains(&n.len()) || n.first()? >> 7 == 0 && n.len() == 256 || !odd(&n) {
                return None;
            }
            if e.is_empty() || e.len() > 4 || e == [1] || !odd(&e) {
                return None;
            }
            let decoding = DecodingKey::from_rsa_raw_components(&n, &e);
            ([n, e].concat(), decoding)
        }
    };
    Some(Key { kid: jwk.kid, algorithm, material, decoding })
}

fn decode(field: &Option<String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(field.as_deref()?).ok()
}

fn without_leading_zeros(bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.into_iter().skip(zeros).collect()
}
