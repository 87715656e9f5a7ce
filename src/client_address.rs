//! Whose address a request comes from when reverse proxies stand before the server. Decides nothing: addresses only
//! count failures of passwords (decision 12).
#![forbid(unsafe_code)]

use std::net::IpAddr;

use ipnet::IpNet;

use crate::request::Request;

/// The client that a trusted proxy names in `X-Forwarded-For`: the last address in it that is none of the trusted ones.
/// `None` when the peer is no trusted proxy, or names nobody: then the peer itself counts.
///
/// Each proxy adds the address that it saw at the end, so what a client writes there itself stands further left, and is
/// not reached.
#[must_use]
pub fn forwarded<'a>(request: &Request<'a>, trusted: &[IpNet]) -> Option<&'a str> {
    if !by_proxy(request, trusted) {
        return None;
    }
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    for entry in request.header("x-forwarded-for")?.rsplit(',') {
        let entry = entry.trim();
        // What is no address was not written by a proxy that we can follow.
        if !is_trusted(&entry.parse().ok().map(canonical)?) {
            return Some(entry);
        }
    }
    None
}

/// Whether the peer is a trusted proxy: only then its headers about the client's side are believed.
#[must_use]
pub fn by_proxy(request: &Request<'_>, trusted: &[IpNet]) -> bool {
    !trusted.is_empty()
        && request.remote.parse().is_ok_and(|peer| trusted.iter().any(|network| network.contains(&canonical(peer))))
}

/// `::ffff:10.0.0.1` is 10.0.0.1.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Method;

    fn client(peer: &str, header: Option<&str>) -> Option<String> {
        let request = Request {
            method: Method::Get,
            path: "/",
            remote: peer,
            headers: header.map(|value| ("x-forwarded-for", value)).into_iter().collect(),
            arguments: Vec::new(),
        };
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        forwarded(&request, &trusted).map(str::to_owned)
    }

    #[test]
    fn a_trusted_proxy_is_believed_about_the_last_hop_that_is_not_ours() {
        assert_eq!(client("10.0.0.1", Some("203.0.113.9")).as_deref(), Some("203.0.113.9"));
        assert_eq!(client("::ffff:10.0.0.1", Some("203.0.113.9, 10.9.9.9")).as_deref(), Some("203.0.113.9"));
        assert_eq!(client("::1", Some("2001:db8::7")).as_deref(), Some("2001:db8::7"));
    }

    #[test]
    fn what_a_client_writes_itself_is_not_reached() {
        assert_eq!(client("10.0.0.1", Some("198.51.100.1, 203.0.113.9")).as_deref(), Some("203.0.113.9"));
        assert_eq!(client("10.0.0.1", Some("198.51.100.1, rubbish")), None);
    }

    #[test]
    fn others_are_not_believed_and_count_themselves() {
        assert_eq!(client("203.0.113.9", Some("198.51.100.1")), None);
        assert_eq!(client("", Some("198.51.100.1")), None);
        assert_eq!(client("10.0.0.1", None), None);
        assert_eq!(client("10.0.0.1", Some("10.0.0.2")), None);
        assert_eq!(client("10.0.0.1", Some("")), None);
    }
}
