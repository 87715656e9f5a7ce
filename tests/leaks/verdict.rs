//! Whether an answer tells what it must not. It must not know how the request came about.
use crate::canary::{Canaries, Canary, Kind};
use crate::identities::Identity;
use crate::images::set;
use crate::plan::Attempt;
use crate::tricks::Wire;
use std::collections::BTreeSet;
use testbed::Answer;

/// Which identifiers the asker has shown to know: an answer may repeat them.
pub enum Known<'a> {
    /// Those in this request, and those that somebody has written into an own study just before.
    Of(&'a Wire, &'a BTreeSet<String>),
    /// All that attackers ever name: a query or job repeats what was asked for some time ago.
    All,
}

/// Sets of which attackers name nothing.
const NEVER_NAMED: [&str; 3] = [set::SILENT, set::ADMIN, set::REMOTE];

/// What the answer tells that is not for the identity.
pub fn judge(canaries: &Canaries, identity: &Identity, answer: &Answer, known: Known<'_>) -> Vec<String> {
    let headers: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let mut found = canaries.find(&answer.body);
    found.extend(canaries.find(headers.as_bytes()));
    found.retain(|(_, canary)| !identity.sees(canary.set));
    if found.is_empty() {
        return Vec::new();
    }
    let sent: Vec<String> = match &known {
        Known::Of(wire, written) => sent(canaries, wire).into_iter().chain(written.iter().cloned()).collect(),
        Known::All => Vec::new(),
    };
    let is_made_of_sent =
        |canary: &Canary| !canary.made_of.is_empty() && canary.made_of.iter().all(|text| sent.contains(text));
    let told = found.into_iter().filter(|(text, canary)| match known {
        Known::Of(..) => canary.kind == Kind::Content || !sent.contains(text) && !is_made_of_sent(canary),
        Known::All => canary.kind == Kind::Content || NEVER_NAMED.contains(&canary.set),
    });
    told.map(|(text, canary)| format!("{} ({}): {text}", canary.place, canary.set)).collect()
}

/// Whether something foreign that the path names was answered at all, whatever the answer holds.
pub fn is_answered(attempt: &Attempt, answer: &Answer) -> bool {
    let of_a_resource =
        ["/patients/{", "/studies/{", "/series/{", "/instances/{", "/jobs/{", "/queries/{", "/storage-"];
    // The administrator's jobs and queries are in the path whatever the target is.
    let owned = ["/jobs", "/queries", "/storage-"].iter().any(|start| attempt.template.starts_with(start));
    let is_foreign = owned
        || ["foreign", "unlabelled", "of a shared patient", "with the UIDs of an own one"].contains(&attempt.target);
    answer.status == 200
        && attempt.wire.request.method == "GET"
        && of_a_resource.iter().any(|start| attempt.template.starts_with(start))
        && is_foreign
        // There the path ends before.
        && attempt.trick != "a NUL before the end"
}

/// The identifiers in a request, however they were written.
pub fn sent(canaries: &Canaries, wire: &Wire) -> Vec<String> {
    let mut bytes = wire.request.path.clone().into_bytes();
    bytes.push(b'\n');
    bytes.extend(decoded(wire.request.path.as_bytes()));
    bytes.push(b'\n');
    for (_, value) in &wire.request.headers {
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(wire.request.body.as_deref().unwrap_or_default());
    canaries.find(&bytes).into_iter().map(|(text, _)| text).collect()
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(byte) = path.get(at) {
        let digits = path.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *byte == b'%') {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

/// A request in one line.
pub fn shown(wire: &Wire) -> String {
    let request = &wire.request;
    let headers: Vec<String> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let body = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default());
    let body: String = body.chars().map(|c| if c.is_control() { '.' } else { c }).take(300).collect();
    format!("{} {} [{}] {body}", request.method, request.path, headers.join(", "))
}
