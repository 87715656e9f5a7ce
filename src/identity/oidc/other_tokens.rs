//! The provider's tokens that are no credentials: the ID token that ends a login, the logout token that ends sessions.
//! Pure, as `token`, which checks what all tokens have in common.

use super::ProviderState;
use super::json::Members;
use super::token::{self, Refusal, TokenError, VerifiedToken, printable};
use crate::clock::UnixTime;
use crate::config::Provider;

/// The member of claim `events` that makes a logout token (OpenID Connect Back-Channel Logout 1.0, 2.4).
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What a logout token ends: at least one of `subject` and `session` is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// The provider's configured issuer.
    pub issuer: String,
    /// Claim `sub`: with no session, all of this person's.
    pub subject: Option<String>,
    /// Claim `sid`: this session of the provider's.
    pub session: Option<String>,
}

/// An ID token (OpenID Connect Core 1.0, 3.1.3.7) of the provider with this index, for its client. `nonce` is compared
/// where one is expected; a renewed ID token may have none (12.2).
pub(super) fn id_token(
    providers: &[ProviderState],
    provider: usize,
    token: &str,
    nonce: Option<&str>,
    now: UnixTime,
) -> Result<VerifiedToken, Refusal> {
    token::signed(providers, token, |config, index, kind, claims| {
        if index != provider {
            return Err(TokenError::Issuer(printable(&config.issuer)));
        }
        let is_keycloaks = || claims.text("typ").is_ok_and(|kind| kind.as_deref() == Some("ID"));
        if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("JWT"))
            || claims.has("events")
            || (config.keycloak && !is_keycloaks())
        {
            return Err(TokenError::Kind("no ID token"));
        }
        if let Some(expected) = nonce {
            let shown = claims.text("nonce").map_err(|()| TokenError::MalformedClaim("nonce"))?;
            if shown.as_deref() != Some(expected) {
                return Err(TokenError::Nonce);
            }
        }
        for_client(config, claims)?;
        token::check_claims(config, index, claims, now)
    })
}

/// A logout token (OpenID Connect Back-Channel Logout 1.0, 2.6).
pub(super) fn logout_token(providers: &[ProviderState], token: &str, now: UnixTime) -> Result<LogoutToken, Refusal> {
    token::signed(providers, token, |config, _, kind, claims| {
        if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("JWT") && !kind.eq_ignore_ascii_case("logout+jwt")) {
            return Err(TokenError::Kind("no logout token"));
        }
        let events = claims.get("events").and_then(|json| serde_json::from_str::<serde_json::Value>(json).ok());
        if !events.is_some_and(|events| events.get(LOGOUT_EVENT).is_some_and(serde_json::Value::is_object)) {
            return Err(TokenError::Kind("no logout token"));
        }
        if claims.has("nonce") {
            return Err(TokenError::Kind("a logout token with a nonce"));
        }
        for_client(config, claims)?;
        token::check_times(config, claims, now)?;
        let optional = |name| match claims.text(name) {
            Ok(text) => Ok(text.filter(|text| !text.is_empty())),
            Err(()) => Err(TokenError::MalformedClaim(name)),
        };
        let (subject, session) = (optional("sub")?, optional("sid")?);
        if subject.is_none() && session.is_none() {
            return Err(TokenError::MissingClaim("sub"));
        }
        Ok(LogoutToken { issuer: config.issuer.clone(), subject, session })
    })
}

/// The audience of these tokens is the client, not a resource: `Audiences` does not count here.
fn for_client(config: &Provider, claims: &Members<'_>) -> Result<(), TokenError> {
    let audience = token::audience(claims)?;
    let azp = claims.text("azp").map_err(|()| TokenError::MalformedClaim("azp"))?;
    let named = audience.contains(&config.client_id);
    if named && azp.is_none_or(|azp| azp == config.client_id) {
        Ok(())
    } else {
        Err(TokenError::OtherClient(printable(&config.client_id)))
    }
}
