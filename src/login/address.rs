//! Where this server is, as a browser sees it: `PublicUrl`, else what the request says.

use crate::browser;
use crate::request::Request;

/// Where this server is.
#[derive(Clone, Debug)]
pub struct Address {
    /// With a slash at the end.
    public_url: Option<String>,
    https: bool,
}

impl Address {
    /// `https` says whether the server itself speaks TLS.
    #[must_use]
    pub const fn new(public_url: Option<String>, https: bool) -> Self {
        Self { public_url, https }
    }

    /// The origin of `PublicUrl`.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        browser::origin_of(self.public_url.as_deref()?)
    }

    /// The URL of the server's root, with a slash at the end; `None`: the request names no host that could be one.
    ///
    /// A host that somebody else put there would only send the answer of a login where the provider does not let it go:
    /// it knows the addresses to come back to.
    #[must_use]
    pub fn root(&self, request: &Request<'_>, by_proxy: bool) -> Option<String> {
        if let Some(url) = &self.public_url {
            return Some(url.clone());
        }
        let forwarded = |name| request.header(name).filter(|_| by_proxy).map(last);
        let host = forwarded("x-forwarded-host").or_else(|| request.header("host"))?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return None;
        }
        let scheme = if self.is_https(request, by_proxy) { "https" } else { "http" };
        Some(format!("{scheme}://{host}/"))
    }

    /// Whether the browser's side of a request is encrypted.
    #[must_use]
    pub fn is_https(&self, request: &Request<'_>, by_proxy: bool) -> bool {
        match &self.public_url {
            Some(url) => url.starts_with("https://"),
            None => {
                let forwarded = request.header("x-forwarded-proto").filter(|_| by_proxy).map(last);
                self.https || forwarded.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
            }
        }
    }
}

/// What the nearest of several proxies wrote.
fn last(list: &str) -> &str {
    list.rsplit(',').next().unwrap_or_default().trim()
}
