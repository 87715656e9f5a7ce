//! The cookies of the login gate (RFC 6265): their names, and the lines that set and remove them.

/// How many logins one browser may have begun, in as many tabs.
const TRANSACTIONS: usize = 6;

/// How long a browser keeps the links that it opened, in seconds.
pub const LINKS: i64 = 8 * 3_600;

/// How long their cookies may be together, in bytes: a server takes 16 kB of headers, and refuses everything when there
/// are more, so that links to our login could shut somebody out.
const LONGEST_TRANSACTIONS: usize = 7 * 1024;

/// The cookies of one site.
#[derive(Clone, Debug)]
pub struct Cookies {
    session: &'static str,
    links: &'static str,
    /// What the name of a begun login starts with; its state follows.
    transaction: &'static str,
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
        let (session, links, transaction) = match (https, path.as_str()) {
            (true, "/") => ("__Host-gatehouse-session", "__Host-gatehouse-links", "__Host-gatehouse-login-"),
            (true, _) => ("__Secure-gatehouse-session", "__Secure-gatehouse-links", "__Secure-gatehouse-login-"),
            (false, _) => ("gatehouse-session", "gatehouse-links", "gatehouse-login-"),
        };
        Self { session, links, transaction, path }
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
        let own = self.line(&self.transaction_name(state), sealed, super::transaction::LIFE, secure);
        let begun = header.unwrap_or_default().split(';').filter_map(|pair| pair.trim().split_once('='));
        let begun: Vec<(&str, &str)> = begun
            .filter(|(name, _)| {
                name.strip_prefix(self.transaction).is_some_and(|state| state.bytes().all(|b| b.is_ascii_hexdigit()))
            })
            .collect();
        let length: usize = begun.iter().map(|(name, value)| name.len() + value.len()).sum();
        let mut lines = vec![own];
        if begun.len() >= TRANSACTIONS || length + sealed.len() > LONGEST_TRANSACTIONS {
            lines.extend(begun.iter().map(|(name, _)| self.line(name, "", 0, secure)));
        }
        lines
    }

    /// Removes a begun login.
    #[must_use]
    pub fn remove_transaction(&self, state: &str, secure: bool) -> String {
        self.line(&self.transaction_name(state), "", 0, secure)
    }

    /// The cookie of the login with this state.
    #[must_use]
    pub fn transaction_name(&self, state: &str) -> String {
        format!("{}{}", self.transaction, state.get(..16).unwrap_or_default())
    }

    /// `Lax`: a link from a mail finds the session, a form of another site does not.
    fn line(&self, name: &str, value: &str, seconds: i64, secure: bool) -> String {
        // A name with a prefix is only taken with `Secure`.
        let secure = if secure || name.starts_with("__") { "; Secure" } else { "" };
        format!("{name}={value}; Path={}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbouring_site_cannot_set_any_of_our_cookies() {
        let cookies = Cookies::new(Some("https://pacs.example/"));
        for name in [cookies.session_name(), cookies.links_name(), &cookies.transaction_name(&"a".repeat(64))] {
            assert!(name.starts_with("__Host-"), "{name}");
        }
        let line = &cookies.set_transaction(&"a".repeat(64), "x", None, true)[0];
        assert!(line.starts_with("__Host-gatehouse-login-aaaaaaaaaaaaaaaa=x; Path=/; "), "{line}");
        assert!(line.ends_with("; Secure") && !line.contains("Domain"), "{line}");
    }

    #[test]
    fn begun_logins_never_shut_a_browser_out() {
        let cookies = Cookies::new(None);
        let sealed = "s".repeat(3_400);
        let mut jar: Vec<(String, String)> = Vec::new();
        for login in 0..40 {
            let header = jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
            let state = format!("{login:064x}").chars().rev().collect::<String>();
            for line in cookies.set_transaction(&state, &sealed, Some(&header), false) {
                let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
                jar.retain(|(known, _)| known != name);
                if !line.contains("Max-Age=0") {
                    jar.push((name.to_owned(), value.to_owned()));
                }
            }
            let length: usize = jar.iter().map(|(name, value)| name.len() + value.len()).sum();
            assert!(!jar.is_empty() && length < 8 * 1024, "{length} after {login}");
        }
    }
}
