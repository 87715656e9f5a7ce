//! The cookies of the login gate (RFC 6265): their names, and the lines that set and remove them.

use crate::credential::cookies;

/// How long a browser keeps the links that it opened, in seconds.
pub const LINKS: i64 = 8 * 3_600;

/// How many logins one browser may have begun, in as many tabs.
const TRANSACTIONS: usize = 6;

/// How long their cookies may be together, in bytes: a server takes 16 kB of headers, and refuses everything when there
/// are more, so that links to our login could shut somebody out.
const LONGEST_TRANSACTIONS: usize = 7 * 1024;

/// The cookies of one site.
#[derive(Clone, Debug)]
pub struct Cookies {
    session: String,
    links: String,
    /// What the name of a begun login starts with; its state follows.
    transaction: String,
    /// What the names of all begun logins start with, also of another server of ours on this host.
    begun: &'static str,
    /// What they are sent with: over https everything on this host.
    path: String,
}

impl Cookies {
    /// Over https the names have a prefix that keeps other hosts of the same domain from setting the cookies; it is for whole
    /// hosts only (draft-ietf-httpbis-rfc6265bis, 4.1.3.2). So where `PublicUrl` has a path it is in the name, for another
    /// server of ours may be beside it.
    #[must_use]
    pub fn new(public_url: Option<&str>) -> Self {
        let rest = public_url.and_then(|url| url.split_once("://")).map_or("", |(_, rest)| rest);
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
        if public_url.is_some_and(|url| url.starts_with("https://")) {
            let place = place(path);
            Self {
                session: format!("__Host-gatehouse-session{place}"),
                links: format!("__Host-gatehouse-links{place}"),
                transaction: format!("__Host-gatehouse-login{place}-"),
                begun: "__Host-gatehouse-login-",
                path: "/".to_owned(),
            }
        } else {
            Self {
                session: "gatehouse-session".to_owned(),
                links: "gatehouse-links".to_owned(),
                transaction: "gatehouse-login-".to_owned(),
                begun: "gatehouse-login-",
                path: path.to_owned(),
            }
        }
    }

    /// The name of the session's cookie.
    #[must_use]
    pub fn session_name(&self) -> &str {
        &self.session
    }

    /// The name of the cookie of opened links.
    #[must_use]
    pub fn links_name(&self) -> &str {
        &self.links
    }

    /// Sets the opened links (decision 23) for [`LINKS`] seconds from now; each of them ends by itself besides.
    #[must_use]
    pub fn set_links(&self, opened: &[&str], secure: bool) -> String {
        self.line(&self.links, &opened.join("."), LINKS, secure)
    }

    /// Sets the session for so many seconds.
    #[must_use]
    pub fn set_session(&self, text: &str, seconds: i64, secure: bool) -> String {
        self.line(&self.session, text, seconds, secure)
    }

    /// Removes the session.
    #[must_use]
    pub fn remove_session(&self, secure: bool) -> String {
        self.line(&self.session, "", 0, secure)
    }

    /// Sets what is known of a begun login, and removes begun ones that are too many, whichever server of ours on this
    /// host set them: the browser sends them all.
    #[must_use]
    pub fn set_transaction(&self, state: &str, sealed: &str, header: Option<&str>, secure: bool) -> Vec<String> {
        let own = self.line(&self.transaction_name(state), sealed, super::transaction::LIFE, secure);
        let begun: Vec<(&str, &str)> = cookies(header.unwrap_or_default())
            .filter(|(name, _)| {
                name.strip_prefix(self.begun)
                    .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_%".contains(&b)))
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

/// A path as the end of a cookie's name, another one for each path; nothing for the root.
fn place(path: &str) -> String {
    let path = path.trim_matches('/');
    let mut place = String::new();
    if !path.is_empty() {
        place.push('-');
    }
    for byte in path.bytes() {
        match byte {
            b'/' => place.push('-'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => place.push(char::from(byte)),
            other => place.push_str(&format!("%{other:02X}")),
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbouring_site_cannot_set_any_of_our_cookies() {
        let state = "a".repeat(64);
        for (url, place) in [
            ("https://pacs.example/", ""),
            ("https://pacs.example/orthanc/", "-orthanc"),
            ("https://pacs.example/a-b/c_1.d/", "-a%2Db-c_1%2Ed"),
        ] {
            let cookies = Cookies::new(Some(url));
            assert_eq!(cookies.session_name(), format!("__Host-gatehouse-session{place}"));
            assert_eq!(cookies.links_name(), format!("__Host-gatehouse-links{place}"));
            let begun = cookies.set_transaction(&state, "x", None, true).remove(0);
            for (line, name) in [
                (begun, format!("login{place}-aaaaaaaaaaaaaaaa=x")),
                (cookies.set_session("x", 60, false), format!("session{place}=x")),
                (cookies.set_links(&["x"], false), format!("links{place}=x")),
                (cookies.remove_session(false), format!("session{place}=")),
            ] {
                assert!(line.starts_with(&format!("__Host-gatehouse-{name}; Path=/; ")), "{line}");
                assert!(line.ends_with("; Secure") && !line.contains("Domain"), "{line}");
            }
        }
        let plain = Cookies::new(Some("http://pacs.example/orthanc/")).set_session("x", 60, false);
        assert!(plain.starts_with("gatehouse-session=x; Path=/orthanc/; ") && !plain.contains("Secure"), "{plain}");
    }

    #[test]
    fn two_servers_on_one_host_have_cookies_of_their_own_and_begun_logins_in_common() {
        let [one, other] =
            ["https://pacs.example/a-b/", "https://pacs.example/a/b/"].map(|url| Cookies::new(Some(url)));
        assert_ne!(one.session_name(), other.session_name());
        let long = "s".repeat(LONGEST_TRANSACTIONS);
        let begun = other.set_transaction(&"b".repeat(64), &long, None, true).remove(0);
        let lines = one.set_transaction(&"a".repeat(64), "x", begun.split(';').next(), true);
        let removed = "__Host-gatehouse-login-a-b-bbbbbbbbbbbbbbbb=; Path=/; Max-Age=0";
        assert!(matches!(lines.as_slice(), [_, line] if line.starts_with(removed)), "{lines:?}");
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
