//! The cookies of the login gate (RFC 6265): their names, and the lines that set and remove them.

/// How many logins one browser may have begun, in as many tabs.
const TRANSACTIONS: usize = 6;

/// How long a browser keeps the links that it opened, in seconds.
pub const LINKS: i64 = 8 * 3_600;

/// What the name of a begun login starts with; its state follows.
const TRANSACTION: &str = "gatehouse-login-";

/// The cookies of one site.
#[derive(Clone, Debug)]
pub struct Cookies {
    session: &'static str,
    links: &'static str,
    /// Where `PublicUrl` is; all of the server without one.
    path: String,
}

impl Cookies {
    /// Over https the name has a prefix that keeps other sites of the same domain from setting the cookie
    /// (draft-ietf-httpbis-rfc6265bis, 4.1.3).
    #[must_use]
    pub fn new(public_url: Option<&str>) -> Self {
        let rest = public_url.and_then(|url| url.split_once("://")).map_or("", |(_, rest)| rest);
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/").to_owned();
        let https = public_url.is_some_and(|url| url.starts_with("https://"));
        let (session, links) = match (https, path.as_str()) {
            (true, "/") => ("__Host-gatehouse-session", "__Host-gatehouse-links"),
            (true, _) => ("__Secure-gatehouse-session", "__Secure-gatehouse-links"),
            (false, _) => ("gatehouse-session", "gatehouse-links"),
        };
        Self { session, links, path }
    }

    /// The name of the session's cookie.
    #[must_use]
    pub const fn session_name(&self) -> &'static str {
        self.session
    }

    /// The name of the cookie of opened links.
    #[must_use]
    pub const fn links_name(&self) -> &'static str {
        self.links
    }

    /// Sets the opened links (decision 23): until the browser is closed, or each link ends.
    #[must_use]
    pub fn set_links(&self, opened: &[&str], secure: bool) -> String {
        self.line(self.links, &opened.join("."), LINKS, secure)
    }

    /// Sets the session for so many seconds.
    #[must_use]
    pub fn set_session(&self, text: &str, seconds: i64, secure: bool) -> String {
        self.line(self.session, text, seconds, secure)
    }

    /// Removes the session.
    #[must_use]
    pub fn remove_session(&self, secure: bool) -> String {
        self.line(self.session, "", 0, secure)
    }

    /// Sets what is known of a begun login, and removes begun ones that are too many.
    #[must_use]
    pub fn set_transaction(&self, state: &str, sealed: &str, header: Option<&str>, secure: bool) -> Vec<String> {
        let mut lines = vec![self.line(&transaction_name(state), sealed, super::transaction::LIFE, secure)];
        let begun = header.unwrap_or_default().split(';').filter_map(|pair| pair.trim().split_once('='));
        let begun: Vec<&str> = begun
            .map(|(name, _)| name)
            .filter(|name| {
                name.strip_prefix(TRANSACTION).is_some_and(|state| state.bytes().all(|b| b.is_ascii_hexdigit()))
            })
            .collect();
        if begun.len() >= TRANSACTIONS {
            lines.extend(begun.iter().map(|name| self.line(name, "", 0, secure)));
        }
        lines
    }

    /// Removes a begun login.
    #[must_use]
    pub fn remove_transaction(&self, state: &str, secure: bool) -> String {
        self.line(&transaction_name(state), "", 0, secure)
    }

    /// `Lax`: a link from a mail finds the session, a form of another site does not.
    fn line(&self, name: &str, value: &str, seconds: i64, secure: bool) -> String {
        // A name with a prefix is only taken with `Secure`.
        let secure = if secure || name.starts_with("__") { "; Secure" } else { "" };
        format!("{name}={value}; Path={}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", self.path)
    }
}

/// The cookie of the login with this state.
#[must_use]
pub(super) fn transaction_name(state: &str) -> String {
    format!("{TRANSACTION}{}", state.get(..16).unwrap_or_default())
}
