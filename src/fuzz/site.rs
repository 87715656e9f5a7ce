//! What the targets run against: the world of the tests, somebody limited, somebody who is not, and nobody.

use std::collections::BTreeSet;

use serde_json::json;

use crate::host::Method;
use crate::overrides::PATTERNS;
use crate::policy::rights::{ADMIN, KNOWN_PERMISSIONS};
use crate::request::{Reply, Request, RestRequest};
use crate::resource::Level;
use crate::testing::{Bed, basic, canary, id, nodes, uid, world};

/// Stack of a thread on which the server calls us, as its HTTP library asks for it.
const HOST_STACK: usize = 100 * 1024;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// Every permission, the label `ext`.
    Limited,
    /// Every permission, no label.
    Nobody,
    /// Every permission, all labels.
    Unlimited,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The filter refused.
    Refused,
    /// The filter let it through to the server.
    Passed,
    /// We answered.
    Answered(Reply),
}

pub(super) struct Site {
    pub(super) bed: Bed,
    overridden: Vec<regex_automata::meta::Regex>,
    /// Orthanc identifiers of what somebody limited may touch, and of what not.
    pub(super) allowed: BTreeSet<String>,
    pub(super) foreign: BTreeSet<String>,
    /// UIDs of what is foreign, and of nothing that is allowed.
    pub(super) foreign_uids: BTreeSet<String>,
    canaries: Vec<String>,
    users: [String; 3],
}

impl Site {
    /// The first gate is as open as can be. Where bodies are sent, nobody may change roles.
    pub(super) fn new(with_admin: bool) -> Self {
        let permissions: Vec<&str> =
            KNOWN_PERMISSIONS.into_iter().filter(|name| with_admin || *name != ADMIN).collect();
        let role = |labels: &[&str]| json!({"permissions": permissions, "authorized-labels": labels});
        let roles = json!({"roles": {"ext": role(&["ext"]), "none": role(&[]), "every": role(&["*"])}});
        let users = json!({"ext": ["ext"], "none": ["none"], "every": ["every"]});
        let open: Vec<_> = ["GET", "POST", "PUT", "DELETE"].map(|method| json!([method, "(?s)^/.*$", ""])).into();
        let bed = Bed::new(json!({"Authorization": {"ExtraPermissions": open}}), &users, &roles, world());
        let may = |node: &crate::testing::FakeNode| node.studies.iter().all(|study| study.labels.contains("ext"));
        let (allowed, foreign): (Vec<_>, Vec<_>) = nodes(&world()).into_iter().partition(may);
        let allowed_uids: BTreeSet<String> = allowed.iter().map(|node| node.uid.clone()).collect();
        let compile = |pattern: &&str| regex_automata::meta::Regex::new(&format!("^(?:{pattern})$")).unwrap();
        let site = Self {
            overridden: PATTERNS.iter().map(compile).collect(),
            foreign_uids: foreign
                .iter()
                .filter(|node| node.level != Level::Patient && !allowed_uids.contains(&node.uid))
                .map(|node| node.uid.clone())
                .collect(),
            allowed: allowed.into_iter().map(|node| node.id).collect(),
            foreign: foreign.into_iter().map(|node| node.id).collect(),
            canaries: world().iter().filter(|study| !study.labels.contains("ext")).map(|s| canary(&s.name)).collect(),
            users: ["ext", "none", "every"].map(basic),
            bed,
        };
        // Passwords are verified here, on a thread with a stack; after that the cache knows them.
        for asker in [Asker::Limited, Asker::Nobody, Asker::Unlimited] {
            assert!(site.filter(asker, Method::Get, "/system", &[]), "{asker:?}");
        }
        site
    }

    pub(super) fn request<'a>(
        &'a self,
        asker: Asker,
        method: Method,
        path: &'a str,
        arguments: &[(&'a str, &'a str)],
    ) -> Request<'a> {
        let headers = vec![("authorization", self.users[asker as usize].as_str())];
        let arguments = if method == Method::Get { arguments.to_vec() } else { Vec::new() };
        Request { method, path, remote: "192.0.2.1", headers, arguments }
    }

    /// Whether the filter lets it pass.
    pub(super) fn filter(&self, asker: Asker, method: Method, path: &str, arguments: &[(&str, &str)]) -> bool {
        self.bed.callbacks.before_filter();
        self.bed.callbacks.filter(&self.request(asker, method, path, arguments)).is_some()
    }

    /// As the server would do it: the filter, then our callback where there is one. Whatever it changes is put back.
    pub(super) fn ask(
        &self,
        asker: Asker,
        method: Method,
        path: &str,
        arguments: &[(&str, &str)],
        body: &[u8],
    ) -> Outcome {
        self.bed.host.calls.lock().clear();
        if !self.filter(asker, method, path, arguments) {
            return Outcome::Refused;
        }
        let folded = path.trim_end_matches('/');
        if !folded.starts_with("/auth/") && !self.overridden.iter().any(|pattern| pattern.is_match(folded)) {
            return Outcome::Passed;
        }
        let request = self.request(asker, method, folded, arguments);
        let reply = self.bed.callbacks.rest(&RestRequest { request, body });
        if method != Method::Get {
            *self.bed.host.studies.lock() = world();
            self.bed.gate.resources.labels_changed();
        }
        Outcome::Answered(reply)
    }

    /// What of a foreign study stands in a text.
    pub(super) fn foreign_in<'a>(&'a self, text: &str) -> Option<&'a str> {
        self.canaries.iter().chain(&self.foreign_uids).map(String::as_str).find(|name| text.contains(name))
    }
}

/// Runs something on a thread with as much stack as the server's have.
pub(super) fn on_host_thread(run: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(HOST_STACK).spawn_scoped(scope, run).unwrap();
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// An input as text, with `{a1}` for the identifier and `{a1.uid}` for the UID of something in the world.
pub(super) fn filled(data: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(data).ok().filter(|text| text.len() <= 1 << 16)?;
    let mut result = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        result.push_str(before);
        let name = after[1..].split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
        match name {
            Some(name) => {
                result.push_str(&name.strip_suffix(".uid").map_or_else(|| id(name), uid));
                rest = &after[name.len() + 2..];
            }
            None => {
                result.push('{');
                rest = &after[1..];
            }
        }
    }
    Some(result + rest)
}

/// Short names of the world are lower-case letters, digits, and no more; what else is in braces is JSON.
fn is_name(text: &str) -> bool {
    let name = text.strip_suffix(".uid").unwrap_or(text);
    (2..=5).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// The request that an input begins with.
pub(super) struct Line<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) arguments: Vec<(&'a str, &'a str)>,
}

/// `GET /path?name=value&…`; further lines do not count.
pub(super) fn request_line(text: &str) -> Option<Line<'_>> {
    let (method, uri) = text.lines().next()?.split_once(' ')?;
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let parts = query.split('&').filter(|part| !part.is_empty());
    let arguments = parts.map(|part| part.split_once('=').unwrap_or((part, ""))).collect();
    Some(Line { method: Method::parse(method)?, path, arguments })
}
