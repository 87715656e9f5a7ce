//! An access token → who it speaks for, or why not. Pure but for the keys handed in: no I/O, no clock, no log.
//!
//! Order of the checks: structure, header, provider by the (not yet verified) `iss`, key, signature, claims. The
//! signature is `jsonwebtoken`'s; the claims are ours, since the library reads the clock itself, takes tokens without
//! `iss` or `aud`, and cannot ask for `aud` *or* `azp`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;

use super::json::{Members, MembersFault};
use super::noticed::Fault;
use super::ring::{NoKey, algorithm_named};
use super::{ProviderState, Snapshot};
use crate::clock::UnixTime;
use crate::config::Provider;

/// Longer tokens are refused unread, in bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// More members than this in a header or among the claims are refused.
const MAX_HEADER_MEMBERS: usize = 32;
const MAX_CLAIMS: usize = 256;
/// The latest moment a token may name: the end of the year 9999.
const LATEST: f64 = 253_402_300_799.0;
/// Claims that other tokens of a provider carry and access tokens do not: ID tokens (OpenID Connect Core, 2 and 3.3),
/// logout tokens (OpenID Connect Back-Channel Logout, 2.4).
const FOREIGN_CLAIMS: [&str; 4] = ["nonce", "at_hash", "c_hash", "events"];

/// What a valid access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// Index of its provider among the configured ones.
    pub provider: usize,
    /// The provider's configured issuer, also for a token with another accepted `iss`: with `subject` the one name of
    /// the person, whichever way the browser reached the provider.
    pub issuer: String,
    /// Claim `sub`, never empty.
    pub subject: String,
    /// Claim `name`, else `preferred_username`, else `sub`.
    pub name: String,
    /// Our roles: from the configured claims, mapped, each once.
    pub roles: Vec<String>,
    /// The groups, each once.
    pub groups: Vec<String>,
    /// Claim `iat`.
    pub issued_at: Option<UnixTime>,
    /// By our clock it was issued then at the earliest: the provider's may be ahead by its leeway.
    pub issued_after: Option<UnixTime>,
    /// The first moment at which the token is refused: claim `exp` plus the provider's leeway.
    pub expires_at: UnixTime,
    /// Claim `sid`: the provider's session.
    pub session: Option<String>,
}

/// Why a token is refused. For our log, for the doctor, and for a provider whose logout token it is: shows no part of the
/// token but `iss` and `kid`, made printable and short.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No JWT: not three parts of base64url, or no JSON object in one of them.
    #[error("malformed token: {0}")]
    Malformed(&'static str),
    /// More than 16 kB.
    #[error("token longer than 16 kB")]
    TooLong,
    /// Five parts: a JWE.
    #[error("encrypted token")]
    Encrypted,
    /// A name that comes twice in the header or among the claims.
    #[error("the {0} name something twice")]
    Duplicate(&'static str),
    /// `none`, a symmetric algorithm, or one that we do not know.
    #[error("algorithm not accepted")]
    Algorithm,
    /// The header has a member that changes what the token means.
    #[error("header member not accepted: {0}")]
    HeaderMember(&'static str),
    /// A required claim is not there.
    #[error("claim missing: {0}")]
    MissingClaim(&'static str),
    /// A claim of the wrong kind or out of range.
    #[error("claim malformed: {0}")]
    MalformedClaim(&'static str),
    /// No provider has this `iss`.
    #[error("issuer not accepted: {0}")]
    Issuer(String),
    /// The provider has not been reached since the start.
    #[error("no keys yet from the provider {0}")]
    NoKeys(String),
    /// The provider has no such key; it is asked again, at most once in 10 seconds.
    #[error("unknown key: kid {0}")]
    UnknownKey(String),
    /// No `kid`, and the provider has not exactly one key for the algorithm.
    #[error("token names no key (kid)")]
    NoKeyId,
    /// The key belongs to another algorithm.
    #[error("algorithm does not belong to the key: kid {0}")]
    OtherAlgorithm(String),
    /// The signature does not fit.
    #[error("wrong signature")]
    Signature,
    /// An ID, refresh or logout token, or another kind that is no access token.
    #[error("no access token: {0}")]
    Kind(&'static str),
    /// `exp` has passed.
    #[error("expired {0} s ago")]
    Expired(i64),
    /// `nbf` or `iat` lies ahead.
    #[error("not valid yet: {claim} is {seconds} s ahead")]
    NotYet {
        /// The claim.
        claim: &'static str,
        /// By how much.
        seconds: i64,
    },
    /// An ID token whose `nonce` is not the one that was asked with: not the answer to this login.
    #[error("nonce does not belong to this login")]
    Nonce,
    /// An ID or logout token for another client.
    #[error("made for another client: aud is not {0}")]
    OtherClient(String),
    /// Neither `aud` nor `azp` is among the audiences.
    #[error("made for somebody else: neither aud nor azp is in Audiences")]
    Audience,
}

/// A refusal, the provider whose keys are worth asking for again with what was known of it, and what is worth telling
/// the administrator.
pub(super) struct Refusal {
    pub(super) error: TokenError,
    pub(super) refetch: Option<(usize, Arc<Snapshot>)>,
    pub(super) witness: Witness,
}

/// What a refused token tells of the set-up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Witness {
    /// Nothing.
    Nothing,
    /// The provider of this index really signed it.
    Signed(usize, Fault, String),
    /// It comes in the name of the provider of this index, which has no such key.
    UnknownKey(usize),
    /// It names an issuer that nobody vouches for.
    Stranger(String),
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self { error, refetch: None, witness: Witness::Nothing }
    }
}

/// Verifies an access token against the providers' keys of this moment.
pub(super) fn verify(providers: &[ProviderState], token: &str, now: UnixTime) -> Result<VerifiedToken, Refusal> {
    signed(providers, token, |provider, index, kind, claims| {
        check_kind(provider, kind, claims)?;
        let verified = check_claims(provider, index, claims, now)?;
        check_audience(provider, claims)?;
        Ok(verified)
    })
}

/// Hands a provider's token to `check` when its signature holds: with the provider, its index, the header's `typ`, and
/// the claims.
pub(super) fn signed<T>(
    providers: &[ProviderState],
    token: &str,
    check: impl FnOnce(&Provider, usize, Option<&str>, &Members<'_>) -> Result<T, TokenError>,
) -> Result<T, Refusal> {
    if token.len() > MAX_TOKEN {
        return Err(TokenError::TooLong.into());
    }
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(TokenError::Malformed("not three parts").into());
    };
    match parts.count() {
        0 => {}
        2 => return Err(TokenError::Encrypted.into()),
        _ => return Err(TokenError::Malformed("not three parts").into()),
    }
    let signed = token.get(..header.len() + 1 + claims.len()).unwrap_or_default();

    let header_json = decode(header, "header is no base64url")?;
    let header = members(&header_json, MAX_HEADER_MEMBERS, "header", "header is not a JSON object")?;
    for name in ["crit", "b64", "enc", "zip"] {
        if header.has(name) {
            return Err(TokenError::HeaderMember(name).into());
        }
    }
    let header_text = |name| header.text(name).map_err(|()| TokenError::Malformed("header"));
    let algorithm = header_text("alg")?.as_deref().and_then(algorithm_named).ok_or(TokenError::Algorithm)?;
    let kid = header_text("kid")?;

    let claims_json = decode(claims, "claims are no base64url")?;
    let claims = members(&claims_json, MAX_CLAIMS, "claims", "claims are no JSON object")?;
    let issuer = required_text(&claims, "iss")?;
    let verifies = |key: &DecodingKey| {
        jsonwebtoken::crypto::verify(signature, signed.as_bytes(), key, algorithm).unwrap_or_default()
    };
    let Some((index, state, snapshot)) = provider_of(providers, &issuer) else {
        let shown = printable(&issuer);
        // The wrong name under the right signature is what a server sees whose provider has two addresses.
        let signer = providers.iter().position(|state| {
            let snapshot = state.snapshot.load();
            kid.is_some()
                && snapshot.ring.candidates(kid.as_deref(), algorithm).is_ok_and(|mut keys| keys.any(verifies))
        });
        let witness = match signer {
            Some(index) => Witness::Signed(index, Fault::Issuer, shown.clone()),
            None => Witness::Stranger(shown.clone()),
        };
        return Err(Refusal { error: TokenError::Issuer(shown), refetch: None, witness });
    };

    if snapshot.ring.len() == 0 {
        return Err(TokenError::NoKeys(printable(&state.config.issuer)).into());
    }
    let shown_kid = || kid.as_deref().map(printable).unwrap_or_default();
    let mut keys = snapshot.ring.candidates(kid.as_deref(), algorithm).map_err(|reason| match reason {
        NoKey::UnknownKid => Refusal {
            error: TokenError::UnknownKey(shown_kid()),
            refetch: Some((index, Arc::clone(&snapshot))),
            witness: Witness::UnknownKey(index),
        },
        NoKey::OtherAlgorithm => TokenError::OtherAlgorithm(shown_kid()).into(),
        NoKey::NoKid => TokenError::NoKeyId.into(),
    })?;
    if !keys.any(verifies) {
        return Err(Refusal { error: TokenError::Signature, refetch: None, witness: Witness::UnknownKey(index) });
    }
    let kind = header_text("typ")?;
    check(&state.config, index, kind.as_deref(), &claims).map_err(|error| {
        let witness = witness(index, &error, kind.as_deref(), &claims);
        Refusal { error, refetch: None, witness }
    })
}

/// What a token with a good signature tells of the set-up when its claims are not accepted.
fn witness(index: usize, error: &TokenError, kind: Option<&str>, claims: &Members<'_>) -> Witness {
    let (fault, shown) = match error {
        TokenError::Audience => {
            let shown = |name| claims.get(name).map_or_else(|| format!("no {name}"), |json| format!("{name} {json}"));
            (Fault::Audience, format!("{}, {}", shown("aud"), shown("azp")))
        }
        TokenError::NotYet { claim, seconds } => (Fault::NotYet, format!("{claim} {seconds} s ahead")),
        TokenError::Kind(what) => (Fault::Kind, format!("{what} (header typ {})", kind.unwrap_or("missing"))),
        _ => return Witness::Nothing,
    };
    Witness::Signed(index, fault, printable(&shown))
}

/// The provider that an `iss` belongs to, with its keys. A configured issuer comes before one that a discovery
/// document only showed, so no provider can take another's tokens by showing its name.
pub(super) fn provider_of<'a>(
    providers: &'a [ProviderState],
    issuer: &str,
) -> Option<(usize, &'a ProviderState, arc_swap::Guard<Arc<Snapshot>>)> {
    let configured = |provider: &Provider| {
        provider.issuer == issuer || provider.accepted_issuers.iter().any(|accepted| accepted == issuer)
    };
    if let Some((index, state)) = providers.iter().enumerate().find(|(_, state)| configured(&state.config)) {
        return Some((index, state, state.snapshot.load()));
    }
    providers.iter().enumerate().find_map(|(index, state)| {
        let snapshot = state.snapshot.load();
        (snapshot.shown_issuer.as_deref() == Some(issuer)).then_some((index, state, snapshot))
    })
}

/// When it counts, and for whom it speaks: what access and ID tokens have in common.
pub(super) fn check_claims(
    provider: &Provider,
    index: usize,
    claims: &Members<'_>,
    now: UnixTime,
) -> Result<VerifiedToken, TokenError> {
    let (expires_at, issued_at) = check_times(provider, claims, now)?;
    let subject = required_text(claims, "sub")?;
    let optional = |name| claims.text(name).ok().flatten().filter(|text: &String| !text.is_empty());
    let name = optional("name").or_else(|| optional("preferred_username")).unwrap_or_else(|| subject.clone());
    Ok(VerifiedToken {
        provider: index,
        issuer: provider.issuer.clone(),
        subject,
        name,
        roles: roles(provider, claims),
        groups: distinct(texts_at(claims, &provider.groups_claim)),
        issued_at,
        issued_after: issued_at.map(|at| at.plus(-leeway(provider))),
        expires_at,
        session: optional("sid"),
    })
}

fn leeway(provider: &Provider) -> i64 {
    i64::try_from(provider.leeway.as_secs()).unwrap_or(i64::MAX)
}

/// The end, leeway included, and the claim `iat`, when a token counts now.
pub(super) fn check_times(
    provider: &Provider,
    claims: &Members<'_>,
    now: UnixTime,
) -> Result<(UnixTime, Option<UnixTime>), TokenError> {
    let leeway = leeway(provider);
    let expires = time(claims, "exp", f64::floor)?.ok_or(TokenError::MissingClaim("exp"))?;
    let expires_at = expires.plus(leeway);
    if now >= expires_at {
        return Err(TokenError::Expired(now.0.saturating_sub(expires.0)));
    }
    // `iat` is held to the same clock as `nbf`: a token from the future would outlive the removal of its owner, which
    // ends everything issued before it.
    let not_before = time(claims, "nbf", f64::ceil)?;
    let issued_at = time(claims, "iat", f64::floor)?;
    for (claim, moment) in [("nbf", not_before), ("iat", issued_at)] {
        if let Some(moment) = moment.filter(|moment| *moment > now.plus(leeway)) {
            return Err(TokenError::NotYet { claim, seconds: moment.0.saturating_sub(now.0) });
        }
    }
    Ok((expires_at, issued_at))
}

/// Refuses what the provider made for another purpose.
fn check_kind(provider: &Provider, kind: Option<&str>, claims: &Members<'_>) -> Result<(), TokenError> {
    if provider.keycloak {
        return match claims.text("typ").map_err(|()| TokenError::MalformedClaim("typ"))?.as_deref() {
            Some("Bearer") => Ok(()),
            Some("ID") => Err(TokenError::Kind("an ID token")),
            Some("Refresh" | "Offline") => Err(TokenError::Kind("a refresh token")),
            Some("Logout") => Err(TokenError::Kind("a logout token")),
            Some(_) => Err(TokenError::Kind("claim typ is not Bearer")),
            None => Err(TokenError::Kind("no claim typ")),
        };
    }
    let accepted = |kind: &str| provider.token_types.iter().any(|accepted| accepted.eq_ignore_ascii_case(kind));
    if !kind.is_some_and(accepted) {
        return Err(TokenError::Kind("header typ is not an accepted one"));
    }
    // Where plain `JWT` is configured as a type, ID and logout tokens have it too.
    if FOREIGN_CLAIMS.iter().any(|name| claims.has(name)) {
        return Err(TokenError::Kind("it has claims of an ID or logout token"));
    }
    Ok(())
}

fn check_audience(provider: &Provider, claims: &Members<'_>) -> Result<(), TokenError> {
    let mut named = audience(claims)?;
    named.extend(claims.text("azp").map_err(|()| TokenError::MalformedClaim("azp"))?);
    let ours = |name: &String| provider.audiences.contains(name);
    if provider.audiences.is_empty() || named.iter().any(ours) { Ok(()) } else { Err(TokenError::Audience) }
}

/// The texts of the claim `aud`, which may be one or several.
pub(super) fn audience(claims: &Members<'_>) -> Result<Vec<String>, TokenError> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Several(Vec<String>),
    }
    match claims.get("aud").map(serde_json::from_str) {
        None => Ok(Vec::new()),
        Some(Ok(Audience::One(one))) => Ok(vec![one]),
        Some(Ok(Audience::Several(several))) => Ok(several),
        Some(Err(_)) => Err(TokenError::MalformedClaim("aud")),
    }
}

fn roles(provider: &Provider, claims: &Members<'_>) -> Vec<String> {
    let theirs = provider.roles_claims.iter().flat_map(|path| texts_at(claims, path));
    match &provider.roles_map {
        None => distinct(theirs),
        Some(map) => distinct(theirs.filter_map(|role| map.get(&role)).flatten().cloned()),
    }
}

/// The strings at a claim path: an array's, or a single one. Anything else there gives none.
fn texts_at<'a>(claims: &Members<'a>, path: &[String]) -> impl Iterator<Item = String> + use<'a> {
    let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).ok();
    let found = match path {
        [] => None,
        [first, rest @ ..] => match claims.get(first) {
            Some(json) => rest.iter().try_fold(value(json), |at, step| at?.get_mut(step).map(|next| Some(next.take()))),
            // A claim whose own name has dots, as namespaced ones do: `https://example.org/roles`.
            None => claims.get(&path.join(".")).map(value),
        }
        .flatten(),
    };
    let list = match found {
        Some(serde_json::Value::Array(list)) => list,
        Some(text @ serde_json::Value::String(_)) => vec![text],
        _ => Vec::new(),
    };
    list.into_iter().filter_map(|item| match item {
        serde_json::Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    })
}

fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut result: Vec<String> = Vec::new();
    for text in texts {
        if !result.contains(&text) {
            result.push(text);
        }
    }
    result
}

/// A NumericDate (RFC 7519, 2): a JSON number, whole or not, from 1970 to 9999.
fn time(claims: &Members<'_>, name: &'static str, round: fn(f64) -> f64) -> Result<Option<UnixTime>, TokenError> {
    let Some(json) = claims.get(name) else { return Ok(None) };
    match serde_json::from_str::<f64>(json) {
        #[expect(clippy::cast_possible_truncation, reason = "within 0 and LATEST, which an i64 holds exactly")]
        Ok(seconds) if (0.0..=LATEST).contains(&seconds) => Ok(Some(UnixTime(round(seconds) as i64))),
        _ => Err(TokenError::MalformedClaim(name)),
    }
}

pub(super) fn required_text(claims: &Members<'_>, name: &'static str) -> Result<String, TokenError> {
    let text = claims.text(name).map_err(|()| TokenError::MalformedClaim(name))?;
    text.filter(|text| !text.is_empty()).ok_or(TokenError::MissingClaim(name))
}

fn decode(part: &str, fault: &'static str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed(fault))
}

fn members<'a>(
    json: &'a [u8],
    limit: usize,
    part: &'static str,
    fault: &'static str,
) -> Result<Members<'a>, TokenError> {
    Members::parse(json, limit).map_err(|reason| match reason {
        MembersFault::Duplicate => TokenError::Duplicate(part),
        MembersFault::NotAnObject | MembersFault::TooMany => TokenError::Malformed(fault),
    })
}

/// A text from outside as it may stand in a log line: printable ASCII, at most 120 characters.
pub(super) fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let mut result: String = text.chars().take(120).map(shown).collect();
    if text.chars().nth(120).is_some() {
        result.push('…');
    }
    result
}
