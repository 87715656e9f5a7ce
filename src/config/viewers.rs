//! `Shares.Viewer…`: viewers on other origins.

use std::time::Duration;

use super::checked::Viewers;
use super::section::Section;
use super::values::{http_url, shown};
use crate::browser::origin_of;

/// Five minutes.
const TOKEN_VALIDITY: i64 = 300;

/// Reads what section `Shares` says of them; `ohif_root` is its `PublicOhifRoot`. Where codes are sent to follows from
/// `PublicOhifRoot` when nothing else does.
pub(super) fn read(section: &Section<'_>, ohif_root: Option<&str>) -> Viewers {
    let origins = section.strings("ViewerOrigins").unwrap_or_default();
    for (index, origin) in origins.iter().enumerate() {
        if origin_of(origin).as_ref() != Some(origin) || http_url(origin, "").is_err() {
            // Whatever stands before an `@` may be a password.
            let got = if origin.contains('@') { "one with a user name".to_owned() } else { shown(origin) };
            let message = format!("must be an origin like \"https://viewer.example\", got {got}");
            section.reader.fault(section.at("ViewerOrigins").element(index), message);
        } else if is_open_to_eavesdroppers(origin) {
            section.reader.warn(
                "ViewerWithoutTls",
                format!(
                    "{}: {origin} is not encrypted, so tokens and images can be read on the way",
                    section.at("ViewerOrigins")
                ),
                "serve the viewer with https; otherwise most browsers do not allow the cryptography that a launch needs",
            );
        }
    }
    let redirect_uris = match section.strings("ViewerRedirectUris") {
        Some(uris) => {
            for (index, uri) in uris.iter().enumerate() {
                if let Err(message) = check_redirect_uri(uri, &origins) {
                    section.reader.fault(section.at("ViewerRedirectUris").element(index), message);
                }
            }
            uris
        }
        None => origins.iter().map(|origin| default_redirect_uri(origin, ohif_root)).collect(),
    };
    let validity = section.integer("ViewerTokenValidity", 10..=3_600).unwrap_or(TOKEN_VALIDITY);
    Viewers { origins, redirect_uris, token_validity: Duration::from_secs(validity.unsigned_abs()) }
}

/// OHIF's own, where it is; else what most clients take.
fn default_redirect_uri(origin: &str, ohif_root: Option<&str>) -> String {
    match ohif_root.filter(|root| origin_of(root).as_deref() == Some(origin)) {
        Some(root) => format!("{}/callback", root.trim_end_matches('/')),
        None => format!("{origin}/callback"),
    }
}

fn check_redirect_uri(uri: &str, origins: &[String]) -> Result<(), String> {
    http_url(uri, "must be a URL like \"https://viewer.example/callback\"")?;
    let path = uri.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map(|(_, path)| path);
    if path.is_none_or(|path| path.split('/').any(|part| matches!(part, "." | ".."))) {
        return Err("must have a path, without dots for folders".to_owned());
    }
    // Written as the origin is: it is compared letter by letter.
    let known =
        origins.iter().any(|origin| uri.strip_prefix(origin.as_str()).is_some_and(|path| path.starts_with('/')));
    if known { Ok(()) } else { Err("is on none of the origins in \"ViewerOrigins\"".to_owned()) }
}

fn is_open_to_eavesdroppers(origin: &str) -> bool {
    let Some(rest) = origin.strip_prefix("http://") else { return false };
    let host = rest
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(rest, |(host, _)| host);
    !matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}
