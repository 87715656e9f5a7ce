//! `POST /auth/oidc/token`: tokens for a code, and new ones for a refresh token.

use serde_json::json;

use super::super::{Answer, ApiError, Call, ok};
use super::{Desk, private, refusal};
use crate::identity::{Identity, launched};
use crate::launch::{self, TokenFault, TokenRequest};
use crate::log_text::shorten;
use crate::request::Reply;
use crate::store::{LaunchRecord, StoreError};

/// Why there are no tokens.
enum Failure {
    /// The client is told.
    Told(TokenFault),
    /// It is told too; the reason is for the log.
    Grant(String),
    /// Something failed in here.
    Api(ApiError),
}

impl From<TokenFault> for Failure {
    fn from(fault: TokenFault) -> Self {
        Self::Told(fault)
    }
}

impl<T: Into<ApiError>> From<T> for Failure
where
    T: Internal,
{
    fn from(error: T) -> Self {
        Self::Api(error.into())
    }
}

/// Errors that are no client's business.
trait Internal {}
impl Internal for StoreError {}
impl Internal for crate::seal::Unsealable {}
impl Internal for crate::bytes::NoRandom {}

/// Answers a client, readable by its origin whatever comes of it.
pub fn token(call: &Call<'_>) -> Answer {
    let desk = Desk::of(call)?;
    let reply = match exchange(&desk) {
        Ok(reply) => reply,
        Err(Failure::Told(TokenFault { code, description })) => {
            log::info!("a token request from {} was refused: {code}: {description}", shorten(&call.remote));
            refusal(400, code, description)
        }
        Err(Failure::Grant(why)) => {
            log::info!("a token request from {} was refused: {why}", shorten(&call.remote));
            let TokenFault { code, description } = TokenFault::GRANT;
            refusal(400, code, description)
        }
        Err(Failure::Api(error)) if error.status == 503 => {
            refusal(503, "temporarily_unavailable", "nothing is given out until a restored backup is acknowledged")
        }
        Err(Failure::Api(_)) => refusal(500, "server_error", "the authorization plugin failed; its log says why"),
    };
    Ok(desk.to_script(reply))
}

fn exchange(desk: &Desk<'_>) -> Result<Reply, Failure> {
    let request = &desk.call.rest.request;
    let asked = TokenRequest::parse(request.header("content-type"), desk.call.rest.body)?;
    if !launch::is_client(desk.viewers, asked.client()) {
        return Err(TokenFault::CLIENT.into());
    }
    // A program sends none. A page does, and it is the client's or a thief's.
    if request.header("origin").is_some_and(|origin| origin != asked.client()) {
        return Err(TokenFault::ORIGIN.into());
    }
    match &asked {
        TokenRequest::Code { client, code, redirect_uri, verifier } => {
            for_code(desk, &Shown { client, code, redirect_uri, verifier })
        }
        TokenRequest::Refresh { client, launch, token } => for_refresh_token(desk, client, launch, token),
    }
}

/// A code with what has to be shown beside it.
struct Shown<'a> {
    client: &'a str,
    code: &'a str,
    redirect_uri: &'a str,
    verifier: &'a str,
}

fn for_code(desk: &Desk<'_>, shown: &Shown<'_>) -> Result<Reply, Failure> {
    let call = desk.call;
    let verifiers = call.api.gate.identities.verifiers();
    let Some((launch, first)) = verifiers.store.take_launch_code(&launch::hash(shown.code))? else {
        return Err(Failure::Grant("there is no such code".to_owned()));
    };
    if !first {
        end(desk, &launch, "its code came a second time")?;
        return Err(Failure::Grant("a code came a second time".to_owned()));
    }
    // Taken above, whatever comes of it: nobody has a second guess.
    let wrong = if launch.code_until <= call.now {
        Some("the code is too old")
    } else if launch.client != shown.client {
        Some("the code is another client's")
    } else if launch.redirect_uri != shown.redirect_uri {
        Some("the code was sent to another address")
    } else if !launch::is_verified(shown.verifier, &launch.challenge) {
        Some("the verifier is not that of the code")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        return Err(Failure::Grant(wrong.to_owned()));
    }
    let identity = verifiers
        .opened_identity(&launched::opened(&launch), call.now)
        .map_err(|rejection| Failure::Grant(rejection.to_string()))?;
    let (refresh_token, hash) = refresh_token(&launch)?;
    if !verifiers.store.start_launch(&launch.id, &hash)? {
        return Err(Failure::Grant("the launch was ended meanwhile".to_owned()));
    }
    tokens(desk, &launch, &identity, &refresh_token, true)
}

fn for_refresh_token(desk: &Desk<'_>, client: &str, launch: &str, token: &str) -> Result<Reply, Failure> {
    let call = desk.call;
    let verifiers = call.api.gate.identities.verifiers();
    let Some(launch) = verifiers.store.launch(launch)?.filter(|launch| launch.client == client) else {
        return Err(Failure::Grant("there is no such launch of this client".to_owned()));
    };
    let identity =
        verifiers.launched_link(&launch, call.now).map_err(|rejection| Failure::Grant(rejection.to_string()))?;
    let (refresh_token, hash) = refresh_token(&launch)?;
    if !verifiers.store.rotate_launch(&launch.id, &launch::hash(token), &hash)? {
        end(desk, &launch, "an old refresh token came again")?;
        return Err(Failure::Grant("an old refresh token came again".to_owned()));
    }
    tokens(desk, &launch, &identity, &refresh_token, false)
}

/// A new refresh token of a launch, and what the state keeps of it.
fn refresh_token(launch: &LaunchRecord) -> Result<(String, [u8; 32]), Failure> {
    let token = format!("{}.{}", launch.id, launch::new_secret()?.expose());
    let hash = launch::hash(&token);
    Ok((token, hash))
}

/// Ends all that a launch gave, before anything is answered.
fn end(desk: &Desk<'_>, launch: &LaunchRecord, why: &str) -> Result<(), Failure> {
    let identities = &desk.call.api.gate.identities;
    if identities.verifiers().store.revoke_launch(&launch.id, desk.call.now)? {
        log::warn!(
            "a launch of the viewer {} for the link {} was ended: {why}, this time from {}. Somebody may have stolen it",
            launch.client,
            launch.link,
            shorten(&desk.call.remote)
        );
    }
    identities.forget();
    Ok(())
}

/// The answer (RFC 6749, 5.1; OpenID Connect Core 1.0, 3.1.3.3). A renewal has no ID token: nobody has logged in again.
fn tokens(
    desk: &Desk<'_>,
    launch: &LaunchRecord,
    identity: &Identity,
    refresh_token: &str,
    with_id_token: bool,
) -> Result<Reply, Failure> {
    let now = desk.call.now;
    let longest = now.plus(i64::try_from(desk.viewers.token_validity.as_secs()).unwrap_or(i64::MAX));
    let until = [Some(launch.until), identity.expires_at].into_iter().flatten().fold(longest, std::cmp::min);
    let access_token = desk.call.api.gate.identities.verifiers().viewer_token(&launch.id, until)?;
    let mut answer = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": until.0.saturating_sub(now.0),
        "refresh_token": refresh_token,
        "scope": "openid",
    });
    if with_id_token {
        let mut claims = json!({
            "iss": desk.issuer,
            "sub": desk.provider.subjects.of(&launch.link, &launch.client),
            "aud": launch.client,
            "iat": now.0,
            "exp": until.0,
            "at_hash": launch::access_token_hash(&access_token),
        });
        if let (Some(nonce), Some(claims)) = (&launch.nonce, claims.as_object_mut()) {
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        let id_token =
            desk.provider.id_tokens.sign(&claims).map_err(|error| Failure::Api(ApiError::internal(&error)))?;
        if let Some(members) = answer.as_object_mut() {
            members.insert("id_token".to_owned(), json!(id_token));
        }
    }
    Ok(private(ok(&answer)))
}
