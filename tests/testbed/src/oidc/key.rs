//! Signing keys made at run time, and tokens with any header and any claims.
use anyhow::{Context, Result};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA PKCS#1 v1.5 with SHA-256, 2048 bits.
    Rs256,
    /// RSA PSS with SHA-256, 2048 bits.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// The `alg` of RFC 7518 and RFC 8037.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

#[derive(Debug)]
enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// A key pair of a provider.
#[derive(Debug)]
pub struct Key {
    /// The `kid` in headers and the key set.
    pub id: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    pair: Pair,
}

impl Key {
    /// Makes a new pair; RSA takes a tenth of a second.
    pub fn generate(id: &str, algorithm: Algorithm) -> Result<Self> {
        let pair = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rsa),
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::Ec),
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Pair::Ed),
        };
        let pair = pair.ok().with_context(|| format!("cannot make a key for {}", algorithm.name()))?;
        Ok(Self { id: id.to_owned(), algorithm, pair })
    }

    /// The public key as a member of a key set (RFC 7517), with `kid`, `use` and `alg`.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let [modulus, exponent] = rsa_numbers(pair.public_key().as_ref());
                json!({"kty": "RSA", "n": encode(modulus), "e": encode(exponent)})
            }
            Pair::Ec(pair) => {
                // Uncompressed point: 4, x, y.
                let (x, y) = pair.public_key().as_ref().get(1..).unwrap_or_default().split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
            }
            Pair::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())}),
        };
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm.name());
        jwk
    }

    /// The public key as PEM (SubjectPublicKeyInfo): what an attacker would use as an HMAC secret.
    pub fn public_pem(&self) -> Result<String> {
        let der: std::result::Result<PublicKeyX509Der<'static>, _> = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::Ec(pair) => pair.public_key().as_der(),
            Pair::Ed(pair) => pair.public_key().as_der(),
        };
        let text = STANDARD.encode(der.ok().context("cannot encode the public key")?.as_ref());
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for line in text.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        Ok(pem)
    }

    /// `{"alg", "typ": "JWT", "kid"}`.
    #[must_use]
    pub fn header(&self) -> Value {
        json!({"alg": self.algorithm.name(), "typ": "JWT", "kid": self.id})
    }

    /// A token with this key's ordinary header.
    pub fn token(&self, claims: &Value) -> Result<String> {
        self.token_with_header(&self.header(), claims)
    }

    /// A token with any header; the signature is this key's, whatever the header says.
    pub fn token_with_header(&self, header: &Value, claims: &Value) -> Result<String> {
        self.token_of_texts(&header.to_string(), &claims.to_string())
    }

    /// A token of two raw texts, which need not be JSON or may repeat members.
    pub fn token_of_texts(&self, header: &str, claims: &str) -> Result<String> {
        let message = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let signature = self.sign(message.as_bytes())?;
        Ok(format!("{message}.{}", encode(&signature)))
    }

    /// The raw signature as JWS wants it.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let padding = if self.algorithm == Algorithm::Ps256 { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).map(|()| signature)
            }
            Pair::Ec(pair) => pair.sign(&random, message).map(|s| s.as_ref().to_vec()),
            Pair::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        };
        signature.ok().context("cannot sign")
    }
}

/// A token signed with HMAC-SHA-256 and this secret: share tokens, or the attack with a public key as the secret.
#[must_use]
pub fn hs256(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", encode(signature.as_ref()))
}

/// A token with `alg: none` and an empty signature.
#[must_use]
pub fn unsigned(claims: &Value) -> String {
    token_from_parts(&[br#"{"alg":"none","typ":"JWT"}"#, claims.to_string().as_bytes(), b""])
}

/// Any number of raw parts, base64url-encoded and joined with dots: five look like a JWE.
#[must_use]
pub fn token_from_parts(parts: &[&[u8]]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| encode(part)).collect();
    parts.join(".")
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017, A.1.1): a DER sequence of two integers, without their leading
/// zeros.
fn rsa_numbers(der: &[u8]) -> [&[u8]; 2] {
    let sequence = der_value(der).0;
    let (modulus, rest) = der_value(sequence);
    let (exponent, _) = der_value(rest);
    [modulus, exponent].map(|number| number.strip_prefix(&[0]).unwrap_or(number))
}

/// The value of the first DER element, and what follows the element.
fn der_value(der: &[u8]) -> (&[u8], &[u8]) {
    let short = usize::from(der.get(1).copied().unwrap_or_default());
    let octets = short.saturating_sub(0x80);
    let long = der.iter().skip(2).take(octets).fold(0, |length, octet| (length << 8) | usize::from(*octet));
    let length = if octets > 0 { long } else { short };
    der.get(2 + octets..).and_then(|value| value.split_at_checked(length)).unwrap_or_default()
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
