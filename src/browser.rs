//! What a browser says of a request by itself: whether it is a page, and whether the page that asks is ours. Decides
//! when a cookie counts (decision 27).
//!
//! Rests on Fetch Metadata (W3C) and on `Origin` (RFC 6454), which no page can set. Knows nothing of whose cookie it
//! is.
#![forbid(unsafe_code)]

use crate::host::Method;
use crate::log_text::shorten;
use crate::request::Request;

/// Whether this is the request of a browser for a page: a navigation, or without Fetch Metadata a wish for HTML
/// (decision 26).
#[must_use]
pub fn is_page_request(request: &Request<'_>) -> bool {
    match request.header("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => request.header("accept").is_some_and(|accept| accept.contains("text/html")),
    }
}

/// What a request may do by a cookie alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieCounts {
    /// Another site may have caused it, or nobody knows.
    No,
    /// A browser shows the answer as a page: what is stored here must not be shown like that, or a document could act
    /// for whoever opens it.
    AsPage,
    /// A page of ours asks.
    Yes,
}

/// Whether a cookie counts for a request. `own_origin` is the origin of `PublicUrl`; without one, `Host` says ours.
#[must_use]
pub fn cookie_counts(request: &Request<'_>, own_origin: Option<&str>) -> CookieCounts {
    // The server has taken the override over already: the method is the effective one, which no page of ours asked for.
    let overridden = request.header("x-http-method-override").is_some()
        || request.arguments.iter().any(|(name, _)| name.eq_ignore_ascii_case("_method"));
    if overridden {
        return CookieCounts::No;
    }
    let site = request.header("sec-fetch-site");
    let mode = request.header("sec-fetch-mode");
    if request.method == Method::Get {
        return match (site, mode) {
            // Also from another site: that is what a link in a mail is. A frame of another site's page is none.
            (Some(_), Some("navigate")) => match (site, request.header("sec-fetch-dest")) {
                (Some("cross-site" | "same-site"), Some("document")) | (Some("same-origin" | "none"), _) => {
                    CookieCounts::AsPage
                }
                _ => CookieCounts::No,
            },
            (Some("same-origin"), _) => CookieCounts::Yes,
            (Some("none"), _) => CookieCounts::AsPage,
            (Some(_), _) => CookieCounts::No,
            // A browser without Fetch Metadata. It sends `Origin` with requests of other origins' scripts.
            (None, _) => match request.header("origin") {
                Some(origin) if !is_own(origin, request, own_origin) => CookieCounts::No,
                _ if is_page_request(request) => CookieCounts::AsPage,
                Some(_) => CookieCounts::Yes,
                // Neither says where it comes from. Its answer can be read by nobody else, and it changes nothing.
                None => CookieCounts::Yes,
            },
        };
    }
    // A link or an image with `?_method=DELETE` is a navigation or without CORS; a script's request is neither. Forms
    // of ours are sent to ours only, see `is_own_form`.
    match (site, mode) {
        (Some("same-origin"), Some("cors" | "same-origin")) => CookieCounts::Yes,
        (Some(_), _) => CookieCounts::No,
        (None, _) => match request.header("origin") {
            Some(origin) if is_own(origin, request, own_origin) => CookieCounts::Yes,
            _ => CookieCounts::No,
        },
    }
}

/// Whether a form was sent by a page of ours: for the pages that take one, whatever cookie is there.
#[must_use]
pub fn is_own_form(request: &Request<'_>, own_origin: Option<&str>) -> bool {
    match request.header("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => request.header("origin").is_some_and(|origin| is_own(origin, request, own_origin)),
    }
}

/// Why a form counts as another site's, for the log.
#[must_use]
pub fn why_not_own_form(request: &Request<'_>, own_origin: Option<&str>) -> String {
    let expected = own_origin.unwrap_or("the host that it was sent to (Authorization.PublicUrl is not set)");
    match (request.header("sec-fetch-site"), request.header("origin")) {
        (Some(site), _) => format!("the form was not sent from our page: Sec-Fetch-Site {:?}", shorten(site)),
        (None, Some(origin)) => {
            format!("the form was not sent from our page: Origin {:?}, expected {expected}", shorten(origin))
        }
        (None, None) => "the form was not sent from our page: neither Sec-Fetch-Site nor Origin is there".to_owned(),
    }
}

fn is_own(origin: &str, request: &Request<'_>, own_origin: Option<&str>) -> bool {
    match own_origin {
        Some(own) => origin.eq_ignore_ascii_case(own),
        // The scheme is not known here; the other scheme of the same host and port cannot be another site's.
        None => {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            host.is_some() && host == request.header("host")
        }
    }
}

/// The origin of a URL as browsers write it: scheme, host in lower case, and the port unless it is the scheme's own.
#[must_use]
pub fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = authority.to_ascii_lowercase();
    let own_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    Some(format!("{scheme}://{}", authority.strip_suffix(own_port).unwrap_or(&authority)))
}

#[cfg(test)]
mod tests {
    use super::CookieCounts::{AsPage, No, Yes};
    use super::*;

    const OWN: Option<&str> = Some("https://pacs.example");

    fn request(method: Method, headers: &[(&'static str, &'static str)]) -> Request<'static> {
        Request { method, path: "/studies", remote: "127.0.0.1", headers: headers.to_vec(), arguments: Vec::new() }
    }

    fn counts(method: Method, headers: &[(&'static str, &'static str)]) -> CookieCounts {
        cookie_counts(&request(method, headers), OWN)
    }

    #[test]
    fn a_get_counts_from_our_pages_and_as_a_page() {
        let get = |headers: &[_]| counts(Method::Get, headers);
        assert_eq!(get(&[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")]), Yes);
        assert_eq!(get(&[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "no-cors")]), Yes);
        let navigate =
            |site, dest| get(&[("sec-fetch-site", site), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", dest)]);
        assert_eq!(navigate("none", "document"), AsPage);
        assert_eq!(navigate("same-origin", "document"), AsPage);
        assert_eq!(navigate("same-origin", "iframe"), AsPage);
        assert_eq!(navigate("cross-site", "document"), AsPage);
        assert_eq!(navigate("same-site", "document"), AsPage);
        assert_eq!(navigate("cross-site", "iframe"), No);
        assert_eq!(navigate("same-site", "object"), No);
        assert_eq!(get(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]), No);
        assert_eq!(get(&[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")]), No);
        assert_eq!(
            get(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors"), ("origin", "https://evil")]),
            No
        );
    }

    #[test]
    fn a_get_without_fetch_metadata_is_judged_by_its_origin() {
        let get = |headers: &[_]| counts(Method::Get, headers);
        assert_eq!(get(&[]), Yes);
        assert_eq!(get(&[("accept", "text/html,*/*")]), AsPage);
        assert_eq!(get(&[("origin", "https://pacs.example")]), Yes);
        assert_eq!(get(&[("origin", "https://evil")]), No);
        assert_eq!(get(&[("origin", "null")]), No);
    }

    #[test]
    fn a_change_counts_only_from_a_script_of_ours() {
        for method in [Method::Post, Method::Put, Method::Delete] {
            let change = |headers: &[_]| counts(method, headers);
            assert_eq!(change(&[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")]), Yes);
            assert_eq!(change(&[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "same-origin")]), Yes);
            assert_eq!(change(&[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate")]), No);
            assert_eq!(change(&[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "no-cors")]), No);
            assert_eq!(change(&[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")]), No);
            assert_eq!(change(&[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")]), No);
            assert_eq!(change(&[("origin", "https://pacs.example")]), Yes);
            assert_eq!(change(&[("origin", "https://pacs.example.evil")]), No);
            assert_eq!(change(&[("origin", "null")]), No);
            assert_eq!(change(&[]), No);
        }
    }

    #[test]
    fn a_method_override_never_counts() {
        let own = [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")];
        let mut header = request(Method::Get, &own);
        header.headers.push(("x-http-method-override", "GET"));
        assert_eq!(cookie_counts(&header, OWN), No);
        let mut argument = request(Method::Get, &own);
        argument.arguments.push(("_method", "GET"));
        assert_eq!(cookie_counts(&argument, OWN), No);
    }

    #[test]
    fn without_a_public_url_the_host_says_what_is_ours() {
        let form = |host, origin| {
            let headers = [("host", host), ("origin", origin)];
            (cookie_counts(&request(Method::Post, &headers), None), is_own_form(&request(Method::Post, &headers), None))
        };
        assert_eq!(form("pacs:8042", "http://pacs:8042"), (Yes, true));
        assert_eq!(form("pacs:8042", "http://evil"), (No, false));
        assert_eq!(form("pacs:8042", "pacs:8042"), (No, false));
    }

    #[test]
    fn a_form_is_ours_by_its_site_or_origin() {
        let own = |headers: &[_]| is_own_form(&request(Method::Post, headers), OWN);
        assert!(own(&[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate")]));
        assert!(own(&[("origin", "https://pacs.example")]));
        assert!(!own(&[("sec-fetch-site", "cross-site"), ("origin", "https://pacs.example")]));
        assert!(!own(&[("origin", "null")]));
        assert!(!own(&[]));
    }

    #[test]
    fn origins_are_written_as_browsers_do() {
        assert_eq!(origin_of("https://Pacs.Example/orthanc/").as_deref(), Some("https://pacs.example"));
        assert_eq!(origin_of("https://pacs.example:443/").as_deref(), Some("https://pacs.example"));
        assert_eq!(origin_of("http://localhost:8042").as_deref(), Some("http://localhost:8042"));
        assert_eq!(origin_of("/orthanc/"), None);
    }

    #[test]
    fn the_log_says_why_a_form_is_not_ours() {
        let why = |headers: &[_]| why_not_own_form(&request(Method::Post, headers), OWN);
        assert!(why(&[("sec-fetch-site", "cross-site")]).ends_with("Sec-Fetch-Site \"cross-site\""));
        let told = why(&[("origin", "https://evil.example")]);
        assert!(told.ends_with("Origin \"https://evil.example\", expected https://pacs.example"), "{told}");
        assert!(why(&[]).ends_with("neither Sec-Fetch-Site nor Origin is there"));
    }
}
