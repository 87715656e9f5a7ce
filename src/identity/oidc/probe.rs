//! Asks a provider what it thinks of a client, as a browser and the login gate would, without anybody logging in:
//! a login with `prompt=none`, which is answered by a redirection or by a page that says what is wrong, and the
//! exchange of a code that is not good. Both leave a line in the provider's log, so neither is done often.
//!
//! Standards: OpenID Connect Core 3.1.2.1 (`prompt`) and 3.1.2.6, RFC 6749 4.1.2.1 and 5.2. The texts of the pages are
//! Keycloak's.

use reqwest::header::LOCATION;
use reqwest::{Client, Response, Url};
use serde::Deserialize;

use super::client::basic;
use super::health::{ClientReport, Verdict};
use super::token::printable;
use crate::clock;
use crate::config::LoginClient;

/// No page needs more to say what is wrong; bytes.
const MAX_PAGE: usize = 64 * 1024;
/// A code that no provider has given, and a verifier of the right length (RFC 7636) with its challenge.
const NO_CODE: &str = "gatehouse-asks-what-is-wrong";
const VERIFIER: &str = "gatehouse-asks-what-is-wrong-with-the-client";
/// BASE64URL(SHA256(VERIFIER)).
const CHALLENGE: &str = "2s8SInVP38wdE0s56VnSfl1H1fhYcAp1qLmwEegQuWQ";

/// Asks about one client.
pub(super) async fn ask(http: &Client, authorization: &str, token: &str, client: &LoginClient) -> ClientReport {
    ClientReport {
        place: client.place.clone(),
        client_id: client.client_id.clone(),
        redirect_uri: client.redirect_uri.clone(),
        has_secret: client.secret.is_some(),
        login: login(http, authorization, client).await,
        exchange: exchange(http, token, client).await,
        at: clock::now(),
    }
}

async fn login(http: &Client, endpoint: &str, client: &LoginClient) -> Verdict {
    let Ok(mut url) = Url::parse(endpoint) else { return Verdict::Unknown("its address is no URL".to_owned()) };
    url.query_pairs_mut().extend_pairs([
        ("client_id", client.client_id.as_str()),
        ("redirect_uri", &client.redirect_uri),
        ("response_type", "code"),
        ("scope", "openid"),
        ("prompt", "none"),
        ("state", "gatehouse"),
        ("nonce", "gatehouse"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    // The pages are read by their English words.
    let answer = http.get(url).header("Accept", "text/html").header("Accept-Language", "en").send().await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Verdict::Unknown(super::fetch::causes(&error.without_url())),
    };
    let status = answer.status();
    if status.is_redirection() {
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        return redirected(location, &client.redirect_uri);
    }
    if status.is_success() {
        // A provider that shows its login page in spite of `prompt` has nothing against the client.
        return Verdict::Fine;
    }
    page(status.as_u16(), &text(answer).await)
}

/// What a redirection says: back to us with an error that is only about nobody being logged in, or about more.
fn redirected(location: &str, redirect_uri: &str) -> Verdict {
    if !location.starts_with(redirect_uri) {
        // To a login page.
        return Verdict::Fine;
    }
    let Ok(url) = Url::parse(location) else { return Verdict::Unknown("it redirects to no URL".to_owned()) };
    let value = |wanted: &str| url.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned());
    match value("error").as_deref() {
        None | Some("login_required" | "interaction_required" | "account_selection_required" | "consent_required") => {
            Verdict::Fine
        }
        Some(error) => {
            let description = value("error_description").map(|text| format!(": {text}")).unwrap_or_default();
            Verdict::Refused(printable(&format!("{error}{description}")))
        }
    }
}

/// What a page with an error says.
fn page(status: u16, html: &str) -> Verdict {
    let lower = html.to_ascii_lowercase();
    let said = |what: &str| format!("HTTP status {status}, {what:?}");
    let found = |phrases: &[&str]| phrases.iter().find(|phrase| lower.contains(**phrase)).map(|phrase| said(phrase));
    if let Some(said) = found(&["https required"]) {
        Verdict::HttpsRequired(said)
    } else if let Some(said) = found(&["redirect_uri", "redirect uri"]) {
        Verdict::RedirectUri(said)
    } else if let Some(said) =
        found(&["client not found", "client disabled", "invalid_client", "unknown client", "client_id"])
    {
        Verdict::UnknownClient(said)
    } else if status >= 500 {
        Verdict::Unknown(format!("HTTP status {status}"))
    } else {
        Verdict::Refused(format!("HTTP status {status}"))
    }
}

async fn exchange(http: &Client, endpoint: &str, client: &LoginClient) -> Verdict {
    #[derive(Deserialize)]
    struct Answer {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "authorization_code")
        .append_pair("code", NO_CODE)
        .append_pair("redirect_uri", &client.redirect_uri)
        .append_pair("client_id", &client.client_id)
        .append_pair("code_verifier", VERIFIER)
        .finish();
    let mut request = http.post(endpoint).header("Content-Type", "application/x-www-form-urlencoded");
    if let Some(secret) = &client.secret {
        request = request.header("Authorization", basic(&client.client_id, secret));
    }
    let request = request.header("Accept", "application/json").body(form);
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return Verdict::Unknown(super::fetch::causes(&error.without_url())),
    };
    let status = answer.status().as_u16();
    let Ok(answer) = serde_json::from_str::<Answer>(&text(answer).await) else {
        return Verdict::Unknown(format!("HTTP status {status}"));
    };
    let said = printable(&format!("{}: {}", answer.error, answer.error_description));
    let description = answer.error_description.to_ascii_lowercase();
    match answer.error.as_str() {
        // The client was let through to the code.
        "invalid_grant" => Verdict::Fine,
        _ if description.contains("https required") => Verdict::HttpsRequired(said),
        "invalid_client" | "unauthorized_client" => Verdict::Secret(said),
        _ => Verdict::Refused(said),
    }
}

/// The beginning of a body; what cannot be read is empty.
async fn text(mut answer: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= MAX_PAGE {
            break;
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACK: &str = "https://pacs.example/auth/callback";

    #[test]
    fn the_challenge_is_that_of_the_verifier() {
        use base64::Engine;
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, VERIFIER.as_bytes());
        assert_eq!(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash), CHALLENGE);
    }

    #[test]
    fn nobody_logged_in_is_nothing_against_the_client() {
        for query in ["?error=login_required&state=s", "?error=interaction_required", "?code=c"] {
            assert_eq!(redirected(&format!("{BACK}{query}"), BACK), Verdict::Fine, "{query}");
        }
        // To a login page of a provider that does not mind `prompt`.
        assert_eq!(redirected("https://login.example/login?error=whatever", BACK), Verdict::Fine);
        let refused = redirected(&format!("{BACK}?error=unauthorized_client&error_description=No%0Aflow"), BACK);
        assert_eq!(refused, Verdict::Refused("unauthorized_client: No?flow".to_owned()));
    }

    #[test]
    fn pages_are_told_apart_by_their_words() {
        for (status, html, kind) in [
            (400, "<p>Invalid parameter: redirect_uri</p>", "redirect"),
            (400, "<p>Client not found.</p>", "client"),
            (403, "<p>HTTPS required</p>", "https"),
            (400, "<p>Something else</p>", "refused"),
            (502, "<p>Bad gateway</p>", "unknown"),
        ] {
            let found = match page(status, html) {
                Verdict::RedirectUri(_) => "redirect",
                Verdict::UnknownClient(_) => "client",
                Verdict::HttpsRequired(_) => "https",
                Verdict::Refused(_) => "refused",
                Verdict::Unknown(_) => "unknown",
                Verdict::Fine | Verdict::Secret(_) => "other",
            };
            assert_eq!(found, kind, "{html}");
        }
    }
}
