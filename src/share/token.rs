//! The share token: a JWT signed with HS256, in the format of orthanc-auth-service, with registered claims beside.
//!
//! Knows the text and the keys, and nothing of records, of revocation or of the clock: that a token is verified says
//! who signed it, not that it may still be used. Ask [`ShareClaims::expires_at`].

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::LinkType;
use super::{ShareResource, date};
use crate::clock::UnixTime;
use crate::level::Level;
use crate::secret::Secret;

/// A token longer than this, in characters, is neither made nor read: it would fit into no request.
pub const LONGEST_TOKEN: usize = 16 * 1024;

/// `{"alg":"HS256","typ":"JWT"}`, as every JWT library writes it.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// A header longer than this, encoded, is no share token's.
const LONGEST_HEADER: usize = 512;

/// So many bytes tell one signing key from another.
const KEY_ID: usize = 12;

/// What a share token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareClaims {
    /// The name that whoever made the link gave to it.
    pub id: Option<String>,
    /// What it opens. Of a verified token, those that can be: a resource without identifier, with a malformed one, or
    /// of the old service's level `system`, is left out.
    pub resources: Vec<ShareResource>,
    /// The type of link.
    pub link_type: LinkType,
    /// The validity in seconds that was asked for; says nothing about the end. The C++ plugin 0.11.4 wrote
    /// uninitialised memory here when none was asked for.
    pub validity_duration: Option<u64>,
    /// When it ends; `None` for an endless one. Of a verified token: the earlier of `expiration_date` and `exp`.
    pub expires_at: Option<UnixTime>,
    /// What binds it to a record; `None` for tokens of the old service.
    pub registered: Option<Registered>,
}

/// The registered claims that our tokens carry beside the old ones (RFC 7519, 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// `jti`: the identifier of its record.
    pub jti: String,
    /// `iat`: when it was made.
    pub issued_at: UnixTime,
    /// `sub`: who made it.
    pub subject: Option<String>,
}

impl ShareClaims {
    /// When the token ends; `None` for an endless one. It is over from this moment on.
    #[must_use]
    pub const fn expires_at(&self) -> Option<UnixTime> {
        self.expires_at
    }

    /// Whether the token is over.
    #[must_use]
    pub fn is_expired(&self, now: UnixTime) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
    }
}

/// Why a token is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Longer than [`LONGEST_TOKEN`].
    #[error("the token is longer than {LONGEST_TOKEN} characters")]
    TooLong,
    /// Not three parts of base64url.
    #[error("the token is not a JWT")]
    NotJwt,
    /// The header is not that of a share token.
    #[error("the header of the token is not that of a share token: {0}")]
    Header(&'static str),
    /// No key of ours signed it.
    #[error("the signature of the token does not match any key")]
    Signature,
    /// Signed by us, yet not understood.
    #[error("the claims of the token are not those of a share token: {0}")]
    Claims(String),
}

/// A link holds more than a token can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token would be longer than {LONGEST_TOKEN} characters")]
pub struct TooLong;

#[derive(Serialize)]
struct ClaimsOut<'a> {
    id: Option<&'a str>,
    resources: Vec<ResourceOut<'a>>,
    r#type: &'static str,
    expiration_date: Option<String>,
    validity_duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
}

#[derive(Serialize)]
struct ResourceOut<'a> {
    dicom_uid: Option<&'a str>,
    orthanc_id: Option<&'a str>,
    url: Option<&'a str>,
    level: &'static str,
}

/// Writes and signs a token. The key is the secret's UTF-8 bytes.
///
/// Fails when the token would be too long: about 70 resources with both identifiers fit.
pub fn sign(claims: &ShareClaims, key: &Secret) -> Result<String, TooLong> {
    let registered = claims.registered.as_ref();
    let out = ClaimsOut {
        id: claims.id.as_deref(),
        resources: claims
            .resources
            .iter()
            .map(|resource| ResourceOut {
                dicom_uid: resource.dicom_uid.as_deref(),
                orthanc_id: resource.orthanc_id.as_deref(),
                url: resource.url.as_deref(),
                level: resource.level.singular(),
            })
            .collect(),
        r#type: claims.link_type.as_str(),
        expiration_date: claims.expires_at.map(date::format),
        validity_duration: claims.validity_duration,
        jti: registered.map(|registered| registered.jti.as_str()),
        iat: registered.map(|registered| registered.issued_at.0),
        // Like `jti` and `iat`, not in a token in the old format.
        exp: registered.and(claims.expires_at).map(|end| end.0),
        sub: registered.and_then(|registered| registered.subject.as_deref()),
    };
    // Structures of texts and numbers cannot fail to serialize; if they ever do, there is no token.
    let payload = serde_json::to_vec(&out).map_err(|_| TooLong)?;
    let mut token = format!("{HEADER}.");
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = hmac::sign(&hmac_key(key), token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    if token.len() <= LONGEST_TOKEN { Ok(token) } else { Err(TooLong) }
}

/// Whether a text has the shape of a share token: three parts, and a header that says HS256. A glance without
/// allocation, to send a credential to the right room; [`verify`] decides.
#[must_use]
pub fn looks_like_share(token: &str) -> bool {
    token.len() <= LONGEST_TOKEN && parts(token).is_some_and(|parts| check_header(parts.header).is_ok())
}

/// Verifies the signature with any of the keys, then reads the claims. The end is *not* checked.
pub fn verify(token: &str, keys: &[Secret]) -> Result<ShareClaims, TokenFault> {
    if token.len() > LONGEST_TOKEN {
        return Err(TokenFault::TooLong);
    }
    let parts = parts(token).ok_or(TokenFault::NotJwt)?;
    check_header(parts.header)?;
    let signature = URL_SAFE_NO_PAD.decode(parts.signature).map_err(|_| TokenFault::NotJwt)?;
    // An empty key would be known to everybody.
    let mut usable = keys.iter().filter(|key| !key.expose().is_empty());
    // `hmac::verify` compares in constant time.
    if !usable.any(|key| hmac::verify(&hmac_key(key), parts.signed.as_bytes(), &signature).is_ok()) {
        return Err(TokenFault::Signature);
    }
    let payload = URL_SAFE_NO_PAD.decode(parts.payload).map_err(|_| TokenFault::NotJwt)?;
    let claims = crate::json::from_slice(&payload).map_err(|error| TokenFault::Claims(error.to_string()))?;
    read_claims(claims).map_err(|what| TokenFault::Claims(what.to_owned()))
}

/// What a signing key is told by in the records of links: says nothing of the key itself.
#[must_use]
pub fn key_id(key: &Secret) -> String {
    // No signed token begins like this.
    let tag = hmac::sign(&hmac_key(key), b"the key of a link");
    URL_SAFE_NO_PAD.encode(tag.as_ref().get(..KEY_ID).unwrap_or_default())
}

fn hmac_key(key: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes())
}

struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    signed: &'a str,
}

fn parts(token: &str) -> Option<Parts<'_>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let empty = header.is_empty() || payload.is_empty() || signature.is_empty();
    (!empty && !payload.contains('.')).then_some(Parts { header, payload, signature, signed })
}

/// The members of a header that matter. A repeated one is an error.
#[derive(Deserialize)]
struct Header<'a> {
    alg: &'a str,
    typ: Option<&'a str>,
    #[serde(default)]
    crit: Present,
}

/// That a member is there, whatever it holds, null included.
#[derive(Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

fn check_header(encoded: &str) -> Result<(), TokenFault> {
    if encoded == HEADER {
        return Ok(());
    }
    if encoded.len() > LONGEST_HEADER {
        return Err(TokenFault::Header("too long"));
    }
    let mut buffer = [0; LONGEST_HEADER];
    let length = URL_SAFE_NO_PAD.decode_slice(encoded, &mut buffer).map_err(|_| TokenFault::NotJwt)?;
    let json = buffer.get(..length).unwrap_or_default();
    let header: Header<'_> = serde_json::from_slice(json).map_err(|_| TokenFault::Header("not understood"))?;
    if header.alg != "HS256" {
        return Err(TokenFault::Header("alg is not HS256"));
    }
    if header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(TokenFault::Header("typ is not JWT"));
    }
    // RFC 7515, 4.1.11: whoever does not understand what is critical must refuse. We understand none.
    if header.crit.0 {
        return Err(TokenFault::Header("crit is not supported"));
    }
    Ok(())
}

/// The claims as they are read: a member that appears twice is an error, and so is one of another type.
#[derive(Deserialize)]
struct ClaimsIn {
    id: Option<String>,
    resources: Vec<ResourceIn>,
    r#type: String,
    expiration_date: Option<String>,
    /// Whatever it is: the C++ plugin's may be no number of seconds.
    #[serde(default)]
    validity_duration: Value,
    jti: Option<String>,
    #[serde(default, deserialize_with = "moment")]
    iat: Option<UnixTime>,
    #[serde(default, deserialize_with = "moment")]
    exp: Option<UnixTime>,
    sub: Option<String>,
    #[serde(default)]
    aud: Present,
    #[serde(default)]
    nbf: Present,
}

#[derive(Deserialize)]
struct ResourceIn {
    level: Option<String>,
    orthanc_id: Option<String>,
    dicom_uid: Option<String>,
    url: Option<String>,
}

impl ResourceIn {
    /// `None` for one that opens nothing: of a level that Orthanc's hierarchy does not have, or malformed.
    fn read(self) -> Option<ShareResource> {
        let Self { level, orthanc_id, dicom_uid, url } = self;
        let level = level.as_deref().and_then(Level::parse)?;
        Some(ShareResource { level, orthanc_id, dicom_uid, url }).filter(ShareResource::is_well_formed)
    }
}

/// A moment in seconds since 1970 (RFC 7519, NumericDate: fractions are allowed, and cut off). Null is no number: an
/// end that is there but says nothing is not taken for an endless token.
fn moment<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<UnixTime>, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and is meant to cut fractions off")]
    let seconds = number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds.floor() as i64));
    seconds.map(|seconds| Some(UnixTime(seconds))).ok_or_else(|| D::Error::custom("not a moment"))
}

fn read_claims(claims: ClaimsIn) -> Result<ShareClaims, &'static str> {
    // The old service's library refuses a token with an audience and one whose time has not come; we know neither.
    if claims.aud.0 || claims.nbf.0 {
        return Err("aud and nbf are not supported");
    }
    let link_type = LinkType::parse(&claims.r#type).ok_or("unknown type")?;
    let named_end = match claims.expiration_date {
        Some(text) => Some(date::parse(&text).ok_or("expiration_date is not a date")?),
        None => None,
    };
    let registered = match claims.jti {
        Some(jti) => Some(Registered { jti, issued_at: claims.iat.ok_or("jti without iat")?, subject: claims.sub }),
        None => None,
    };
    Ok(ShareClaims {
        id: claims.id,
        resources: claims.resources.into_iter().filter_map(ResourceIn::read).collect(),
        link_type,
        validity_duration: claims.validity_duration.as_u64(),
        expires_at: named_end.into_iter().chain(claims.exp).min(),
        registered,
    })
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
