//! `/auth/oidc/…`: the small OpenID provider that launches viewers on other origins. A browser that has opened a link, or that
//! is logged in, gets a code for one registered viewer; the viewer exchanges it for tokens that open this link and no more.
//!
//! A code and a refresh token count once. One that comes a second time was stolen, or its answer was: all that the launch gave
//! ends (RFC 6749, 10.4 and 10.5).

mod authorize;
mod token;

use serde_json::{Value, json};

use super::{Answer, ApiError, Call, ok};
use crate::config::Viewers;
use crate::launch::{self, Provider};
use crate::request::Reply;

pub use authorize::authorize;
pub use token::token;

/// The provider with what it was configured with.
struct Desk<'a> {
    call: &'a Call<'a>,
    provider: &'a Provider,
    viewers: &'a Viewers,
    issuer: String,
}

impl<'a> Desk<'a> {
    fn of(call: &'a Call<'_>) -> Result<Self, ApiError> {
        let Some(provider) = &call.api.provider else {
            return Err(ApiError::new(
                404,
                "no viewers on other origins are configured (Authorization.Shares.ViewerOrigins)",
            ));
        };
        // Where short links lead, and so where the browser's cookies are. Never what a request says of itself.
        let root = call.api.shares.public_orthanc_root.as_deref().unwrap_or_default();
        let issuer = format!("{}/{}", root.trim_end_matches('/'), launch::PATH);
        Ok(Self { call, provider, viewers: &call.api.shares.viewers, issuer })
    }

    /// The answer for a script of a viewer: readable by the origins of viewers alone, and without cookies.
    fn to_script(&self, reply: Reply) -> Reply {
        let origin = self.call.rest.request.header("origin").filter(|origin| launch::is_client(self.viewers, origin));
        match reply {
            Reply::Answer { status, content_type, mut headers, body } => {
                headers.push(("Vary", "Origin".to_owned()));
                headers.push(("X-Content-Type-Options", "nosniff".to_owned()));
                headers.extend(origin.map(|origin| ("Access-Control-Allow-Origin", origin.to_owned())));
                Reply::Answer { status, content_type, headers, body }
            }
            other => other,
        }
    }
}

/// `GET /auth/oidc/.well-known/openid-configuration`.
pub fn discovery(call: &Call<'_>) -> Answer {
    let desk = Desk::of(call)?;
    Ok(desk.to_script(ok(&launch::discovery(&desk.issuer))))
}

/// `GET /auth/oidc/jwks`.
pub fn jwks(call: &Call<'_>) -> Answer {
    let desk = Desk::of(call)?;
    Ok(desk.to_script(ok(&desk.provider.id_tokens.jwks())))
}

/// A refusal as RFC 6749, 5.2 has it. The server marks it as plain text; the nginx of `docker/` mends that.
fn refusal(status: u16, code: &str, description: &str) -> Reply {
    let body: Value = json!({"error": code, "error_description": description});
    private(Reply::Answer {
        status,
        content_type: "application/json",
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
    })
}

/// Kept by nobody (RFC 6749, 5.1).
fn private(reply: Reply) -> Reply {
    match reply {
        Reply::Answer { status, content_type, mut headers, body } => {
            headers.push(("Cache-Control", "no-store".to_owned()));
            headers.push(("Pragma", "no-cache".to_owned()));
            Reply::Answer { status, content_type, headers, body }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
