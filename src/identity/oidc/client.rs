//! This server as a client of its providers: where browsers log in, and what a code or a refresh token is exchanged
//! for.
//!
//! Requests run on the background thread; whoever asked waits for the answer, for a bounded time. Knows nothing of
//! sessions and cookies.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use serde::Deserialize;
use tokio::runtime::Handle;

use super::other_tokens::{self, LogoutToken};
use super::token::{self, TokenError, VerifiedToken, printable};
use super::{Oidc, ProviderState};
use crate::bounded_body::{self, BodyFault};
use crate::clock::UnixTime;
use crate::config::Provider;
use crate::secret::Secret;

/// Longer answers are refused, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// The way to the providers, once the background thread runs.
pub(super) struct Line {
    pub(super) runtime: Handle,
    /// One for each provider.
    pub(super) clients: Vec<Client>,
}

/// What a discovery document says of a provider beyond its keys. All of it is the provider's word: browsers are sent
/// there, and in issuer mode the secret and the codes too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Endpoints {
    pub(super) authorization: Option<String>,
    pub(super) token: Option<String>,
    pub(super) end_session: Option<String>,
}

/// A browser's way to log in.
#[derive(Clone, Copy, Debug)]
pub struct LoginRequest<'a> {
    /// Where the provider sends the browser back to.
    pub redirect_uri: &'a str,
    /// Comes back with the browser.
    pub state: &'a str,
    /// Comes back in the ID token.
    pub nonce: &'a str,
    /// SHA-256 of the code verifier in base64url (RFC 7636, 4.2).
    pub code_challenge: &'a str,
}

/// What a provider gave for a code or a refresh token.
#[derive(Debug)]
pub struct Granted {
    /// Who it is, with the roles of today.
    pub token: VerifiedToken,
    /// For the next time.
    pub refresh_token: Option<Secret>,
    /// For the provider's logout.
    pub id_token: Option<Secret>,
}

/// Why a provider gave nothing. For the log: shows no code and no token.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The discovery document was never got, or says nothing of it.
    #[error("the provider {0} has not been reached yet, or names no endpoint for this")]
    NotReady(String),
    /// No answer in time, or none that could be read.
    #[error("token endpoint: {0}")]
    Unreachable(String),
    /// The provider does not give it: expired, revoked, used before, or the client is not allowed to.
    #[error("the provider refuses: {error}{}{description}", if description.is_empty() { "" } else { ": " })]
    Refused {
        /// The error code (RFC 6749, 5.2).
        error: String,
        /// The provider's words.
        description: String,
    },
    /// What came is not for us.
    #[error("{what}: {error}")]
    Token {
        /// Which token.
        what: &'static str,
        /// Why not.
        error: TokenError,
    },
    /// The code that came back is another provider's.
    #[error("the browser came back with the code of another provider")]
    OtherIssuer,
    /// Too many wait for the provider already.
    #[error("too many logins wait for the provider at once")]
    Busy,
}

impl GrantError {
    /// Whether the provider has said that there will be nothing: asking again would not help.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { error, .. } => error == "invalid_grant",
            Self::Token { error, .. } => !matches!(error, TokenError::UnknownKey(_) | TokenError::NoKeys(_)),
            Self::NotReady(_) | Self::Unreachable(_) | Self::OtherIssuer | Self::Busy => false,
        }
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<String>,
    refresh_token: Option<String>,
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// An answer under way.
pub struct Pending(Receiver<Result<(u16, Vec<u8>), String>>);

impl Oidc {
    /// How the providers are shown to people, in the order of the configuration.
    pub fn provider_names(&self) -> impl Iterator<Item = &str> {
        self.shared.providers.iter().map(|state| state.config.issuer.as_str())
    }

    /// The index of the provider with this configured issuer.
    #[must_use]
    pub fn provider_of(&self, issuer: &str) -> Option<usize> {
        self.shared.providers.iter().position(|state| state.config.issuer == issuer)
    }

    /// Of the roles that somebody of this issuer was seen with, those that its provider can give as it is configured
    /// today; `None`: no provider has this issuer any more.
    #[must_use]
    pub fn roles_today(&self, issuer: &str, mut seen: Vec<String>) -> Option<Vec<String>> {
        let provider = self.shared.providers.get(self.provider_of(issuer)?)?;
        if let Some(map) = &provider.config.roles_map {
            seen.retain(|role| map.values().flatten().any(|given| given == role));
        }
        Some(seen)
    }

    /// Whether an answer to a browser that names this issuer is the provider's own (RFC 9207, 2.4): else one provider
    /// of several could get the code of another, with the verifier that fits it.
    #[must_use]
    pub fn is_issuer_of(&self, provider: usize, issuer: &str) -> bool {
        // With one provider there is nobody to mix it up with.
        self.shared.providers.len() == 1
            || token::provider_of(&self.shared.providers, issuer).is_some_and(|(index, ..)| index == provider)
    }

    /// The URL to send a browser to (OpenID Connect Core 1.0, 3.1.2.1).
    ///
    /// # Errors
    /// [`GrantError::NotReady`]
    pub fn login_url(&self, provider: usize, request: &LoginRequest<'_>) -> Result<String, GrantError> {
        let (state, endpoints) = self.endpoints(provider)?;
        let endpoint = endpoints.authorization.ok_or_else(|| not_ready(&state.config))?;
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &state.config.client_id)
            .append_pair("redirect_uri", request.redirect_uri)
            .append_pair("scope", &state.config.scopes.join(" "))
            .append_pair("state", request.state)
            .append_pair("nonce", request.nonce)
            .append_pair("code_challenge", request.code_challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        Ok(with_query(&endpoint, &query))
    }

    /// The URL that ends the provider's own session (OpenID Connect RP-Initiated Logout 1.0, 2); `None`: it has none.
    #[must_use]
    pub fn logout_url(&self, provider: usize, id_token: Option<&Secret>, back_to: &str) -> Option<String> {
        let (state, endpoints) = self.endpoints(provider).ok()?;
        let endpoint = endpoints.end_session?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("client_id", &state.config.client_id).append_pair("post_logout_redirect_uri", back_to);
        if let Some(token) = id_token {
            query.append_pair("id_token_hint", token.expose());
        }
        Some(with_query(&endpoint, &query.finish()))
    }

    /// The origin of the page that ends the provider's own session.
    #[must_use]
    pub fn logout_origin(&self, provider: usize) -> Option<String> {
        let (_, endpoints) = self.endpoints(provider).ok()?;
        crate::browser::origin_of(&endpoints.end_session?)
    }

    /// Exchanges the code that a browser brought back. Waits for the provider, at most `patience`.
    ///
    /// # Errors
    /// Why there is nothing.
    pub fn exchange(
        &self,
        provider: usize,
        code: &str,
        code_verifier: &str,
        redirect_uri: &str,
        patience: Duration,
    ) -> Result<Answer, GrantError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", code_verifier),
            ("redirect_uri", redirect_uri),
        ];
        self.post(provider, &form)?.wait(patience)
    }

    /// Asks for new tokens; the answer is waited for by itself.
    ///
    /// # Errors
    /// [`GrantError::NotReady`]
    pub fn refresh(&self, provider: usize, refresh_token: &Secret) -> Result<Pending, GrantError> {
        self.post(provider, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())])
    }

    /// Who an answer speaks for. `nonce` is that of a login, which must bring an ID token; a renewal need not.
    ///
    /// The roles are those of the access token when it is a JWT that is accepted as a credential here; else, as many
    /// providers give access tokens that only they can read, those of the ID token.
    ///
    /// # Errors
    /// A token that does not hold, or none.
    pub fn read(
        &self,
        provider: usize,
        answer: Answer,
        nonce: Option<&str>,
        now: UnixTime,
    ) -> Result<Granted, GrantError> {
        let fault = |what| move |error| GrantError::Token { what, error };
        let identified = match &answer.id_token {
            None => None,
            Some(text) => {
                let check = || other_tokens::id_token(&self.shared.providers, provider, text.expose(), nonce, now);
                Some(self.with_new_keys(now, check).map_err(fault("ID token"))?)
            }
        };
        // That of a login was made a moment ago, which tells the clock of a provider that sends no `Date`, as Keycloak.
        if let (Some(_), Some(issued)) = (nonce, identified.as_ref().and_then(|token| token.issued_at)) {
            self.note_clock(provider, issued, now);
        }
        if nonce.is_some() && identified.is_none() {
            return Err(fault("ID token")(TokenError::MissingClaim("id_token")));
        }
        let access = match &answer.access_token {
            None => Err(TokenError::MissingClaim("access_token")),
            Some(text) => self.verify(text.expose(), now),
        };
        let token = match (access, identified) {
            (Ok(access), None) if access.provider == provider => access,
            (Ok(access), Some(identified)) if access.provider == provider && access.subject == identified.subject => {
                VerifiedToken { session: access.session.or(identified.session), name: identified.name, ..access }
            }
            (Ok(_), _) => return Err(fault("access token")(TokenError::Kind("it speaks for somebody else"))),
            (Err(_), Some(identified)) => identified,
            (Err(error), None) => return Err(fault("access token")(error)),
        };
        Ok(Granted { token, refresh_token: answer.refresh_token, id_token: answer.id_token })
    }

    /// What a provider's logout token ends.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn logout_token(&self, token: &str, now: UnixTime) -> Result<LogoutToken, TokenError> {
        self.with_new_keys(now, || other_tokens::logout_token(&self.shared.providers, token, now))
    }

    fn endpoints(&self, provider: usize) -> Result<(&ProviderState, Endpoints), GrantError> {
        let state = self.shared.providers.get(provider).ok_or_else(|| GrantError::NotReady(provider.to_string()))?;
        Ok((state, state.snapshot.load().endpoints.clone()))
    }

    fn post(&self, provider: usize, form: &[(&str, &str)]) -> Result<Pending, GrantError> {
        let (state, endpoints) = self.endpoints(provider)?;
        let config = &state.config;
        let endpoint = endpoints.token.ok_or_else(|| not_ready(config))?;
        let line = self.shared.line.get().ok_or_else(|| not_ready(config))?;
        let client = line.clients.get(provider).ok_or_else(|| not_ready(config))?;
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form).append_pair("client_id", &config.client_id);
        let mut request = client
            .post(&endpoint)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Accept", "application/json");
        if let Some(secret) = &config.client_secret {
            request = request.header("Authorization", basic(&config.client_id, secret));
        }
        let request = request.body(body.finish());
        let (sender, receiver) = sync_channel(1);
        line.runtime.spawn(async move {
            let outcome = async {
                let answer = request.send().await?;
                let status = answer.status().as_u16();
                Ok::<_, BodyFault>((status, bounded_body::read(answer, MAX_ANSWER).await?))
            };
            let outcome = outcome.await.map_err(|fault| match fault {
                BodyFault::Broken(error) => super::fetch::causes(&error.without_url()),
                too_long @ BodyFault::TooLong(_) => too_long.to_string(),
            });
            // Nobody waits any more: then nobody needs it.
            let _ = sender.send(outcome);
        });
        Ok(Pending(receiver))
    }
}

/// What a token endpoint answered, not yet verified.
pub struct Answer {
    access_token: Option<Secret>,
    refresh_token: Option<Secret>,
    id_token: Option<Secret>,
}

impl Pending {
    /// Waits for the answer.
    ///
    /// # Errors
    /// None in time, or a refusal.
    pub fn wait(self, patience: Duration) -> Result<Answer, GrantError> {
        let (status, body) = match self.0.recv_timeout(patience) {
            Ok(Ok(answer)) => answer,
            Ok(Err(cause)) => return Err(GrantError::Unreachable(cause)),
            Err(RecvTimeoutError::Timeout) => return Err(GrantError::Unreachable("no answer in time".to_owned())),
            Err(RecvTimeoutError::Disconnected) => return Err(GrantError::Unreachable("stopping".to_owned())),
        };
        let body = zeroize::Zeroizing::new(body);
        if status == 200 {
            let answer: TokenAnswer = serde_json::from_slice(&body)
                .map_err(|_| GrantError::Unreachable("the answer is not the JSON that belongs there".to_owned()))?;
            let secret = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Secret::new);
            return Ok(Answer {
                access_token: secret(answer.access_token),
                refresh_token: secret(answer.refresh_token),
                id_token: secret(answer.id_token),
            });
        }
        match serde_json::from_slice::<ErrorAnswer>(&body) {
            Ok(refusal) if (400..500).contains(&status) => Err(GrantError::Refused {
                error: printable(&refusal.error),
                description: printable(&refusal.error_description),
            }),
            _ => Err(GrantError::Unreachable(format!("HTTP status {status}"))),
        }
    }
}

fn not_ready(provider: &Provider) -> GrantError {
    GrantError::NotReady(printable(&provider.issuer))
}

/// An endpoint may have a query of its own (RFC 6749, 3.1).
fn with_query(endpoint: &str, query: &str) -> String {
    let joint = if endpoint.contains('?') { '&' } else { '?' };
    format!("{endpoint}{joint}{query}")
}

/// Client authentication (RFC 6749, 2.3.1): both parts form-encoded first.
pub(super) fn basic(client_id: &str, secret: &Secret) -> String {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(secret.expose()))))
}
