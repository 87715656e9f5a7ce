//! MedDream's token service: MedDream is a server of its own that reads Orthanc by itself, and opens studies for
//! whoever has a token that its service gave for them.
//!
//! The request is a POST of `{"items": [{"studies": {"study": UID, "storage": "Orthanc"}}, …]}`, the answer the token
//! as text. Knows nothing of links and of who may open what.
#![forbid(unsafe_code)]

use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use crate::bounded_body::{self, BodyFault};
use crate::errands::{Errands, Fault};

/// Longer answers are no tokens, in bytes.
const LONGEST: usize = 8 * 1024;
/// So many requests are under way at once.
const AT_ONCE: usize = 4;
/// How long one may take. Somebody waits for it, with a page open.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MedDreamError {
    /// Not now: too many at once, or too slow.
    #[error("MedDream's token service: {0}")]
    NotNow(#[from] Fault),
    /// It cannot be reached, or hung up.
    #[error("MedDream's token service cannot be reached")]
    Unreachable,
    /// It does not give one.
    #[error("MedDream's token service answers with HTTP status {0}")]
    Status(u16),
    /// What it gives is none.
    #[error("MedDream's token service answers with something that is no token")]
    NoToken,
}

/// The way to the token service.
pub struct MedDream {
    errands: Errands<Client>,
    url: String,
}

impl MedDream {
    /// Starts the thread that asks. Does not look whether the service is there.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn start(url: &str) -> Result<Self, String> {
        let plain = url.starts_with("http://");
        let client = move || {
            let builder = Client::builder()
                .user_agent(concat!("gatehouse/", env!("CARGO_PKG_VERSION")))
                // The studies are for this service and no other one.
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .pool_max_idle_per_host(0);
            // Without TLS the system's certificates are not even read: small container images have none.
            let builder = if plain { builder.tls_certs_only([]) } else { builder };
            builder.build().map_err(|error| error.to_string())
        };
        let errands = Errands::start("gatehouse-med", AT_ONCE, client)?;
        Ok(Self { errands, url: url.to_owned() })
    }

    /// A token for these studies, by their StudyInstanceUIDs. Waits for the service, a few seconds at most.
    ///
    /// # Errors
    /// Why there is none.
    pub fn token<'a>(&self, studies: impl Iterator<Item = &'a str>) -> Result<String, MedDreamError> {
        let body = request(studies);
        let url = self.url.clone();
        self.errands.run(PATIENCE, move |client| async move { ask(&client, &url, body).await })?
    }

    /// Ends the thread; what is under way is dropped.
    pub fn stop(&self) {
        self.errands.stop();
    }
}

fn request<'a>(studies: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<Value> = studies.map(|study| json!({"studies": {"study": study, "storage": "Orthanc"}})).collect();
    json!({ "items": items }).to_string()
}

async fn ask(client: &Client, url: &str, body: String) -> Result<String, MedDreamError> {
    let request = client.post(url).header("Content-Type", "application/json").body(body);
    let answer = request.send().await.map_err(|_| MedDreamError::Unreachable)?;
    if !answer.status().is_success() {
        return Err(MedDreamError::Status(answer.status().as_u16()));
    }
    let text = bounded_body::read(answer, LONGEST).await.map_err(|fault| match fault {
        BodyFault::TooLong(_) => MedDreamError::NoToken,
        BodyFault::Broken(_) => MedDreamError::Unreachable,
    })?;
    read(&text).ok_or(MedDreamError::NoToken)
}

/// The token in an answer: one word of the characters that tokens are made of. A page or a JSON document is none.
fn read(answer: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(answer).ok()?.trim();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=:!*$,;@".contains(&byte);
    (!text.is_empty() && text.bytes().all(is_token)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word() {
        assert_eq!(read(b" 2c9d1f0e-aA_.~+/=\n").as_deref(), Some("2c9d1f0e-aA_.~+/="));
        for answer in [
            &b""[..],
            b"  ",
            b"a b",
            b"<html></html>",
            b"{\"token\":\"a\"}",
            b"\"a\"",
            b"a&b",
            b"a#b",
            b"a%26b",
            b"\xff",
            b"a\r\nb",
        ] {
            assert_eq!(read(answer), None, "{answer:?}");
        }
    }

    #[test]
    fn each_study_is_an_item() {
        assert_eq!(
            request(["1.2", "3.4"].into_iter()),
            r#"{"items":[{"studies":{"storage":"Orthanc","study":"1.2"}},{"studies":{"storage":"Orthanc","study":"3.4"}}]}"#
        );
    }
}
