//! Whose request this thread serves: written by the filter, read by the REST callbacks of the same request.
//!
//! Orthanc runs the filter and the callbacks of one HTTP request on one thread, and a callback that another plugin calls
//! on the request's behalf too. So one decision serves all of them.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::LazyLock;

use crate::gate::Outcome;
use crate::host::Method;
use crate::identity::Identity;
use crate::request::Request;

thread_local! {
    static SLOT: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Whose request it is.
#[derive(Clone, Debug)]
pub struct Slot {
    method: Method,
    path: String,
    headers: Option<u64>,
    /// The identities that were granted, as in [`Outcome::granted`].
    pub granted: Vec<Arc<Identity>>,
    /// The identities that were verified, as in [`Outcome::verified`].
    pub verified: Vec<Arc<Identity>>,
}

/// Who stands behind a call that reached a REST callback.
#[derive(Clone, Debug)]
pub enum Caller {
    /// The HTTP request that this thread serves is this very call.
    Direct(Slot),
    /// Another plugin calls on behalf of the HTTP request that this thread serves.
    OnBehalf(Slot),
    /// No HTTP request: another plugin or a job, trusted as Orthanc trusts it.
    Internal,
}

/// Whether a stale slot has to be told by the headers: below Orthanc 1.12.9 nothing clears it when a request skips the
/// filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staleness {
    /// The authentication callback clears the slot for each request.
    Cleared,
    /// A call whose headers differ from the slot's has no slot.
    ByHeaders,
}

/// Forgets whose request this thread served.
pub fn clear() {
    SLOT.with_borrow_mut(|slot| *slot = None);
}

/// Writes the slot, also for a refused request.
pub fn write(request: &Request<'_>, outcome: &Outcome, staleness: Staleness) {
    let headers = (staleness == Staleness::ByHeaders).then(|| fingerprint(request));
    SLOT.with_borrow_mut(|slot| {
        *slot = Some(Slot {
            method: request.method,
            path: request.path.to_owned(),
            headers,
            granted: outcome.granted.clone(),
            verified: outcome.verified.clone(),
        });
    });
}

/// Who stands behind a call to a REST callback.
#[must_use]
pub fn caller(request: &Request<'_>) -> Caller {
    let slot = SLOT.with_borrow(Clone::clone);
    match slot {
        None => Caller::Internal,
        Some(slot) if slot.headers.is_some_and(|headers| headers != fingerprint(request)) => Caller::Internal,
        Some(slot) if slot.method == request.method && folded(&slot.path) == folded(request.path) => {
            Caller::Direct(slot)
        }
        Some(slot) => Caller::OnBehalf(slot),
    }
}

/// The path as Orthanc's router sees it: the filter still has a slash at the end, the callback has not.
fn folded(path: &str) -> &str {
    path.trim_end_matches('/')
}

/// A hash of all headers whatever their order; only ever compared on the same machine, in the same process.
fn fingerprint(request: &Request<'_>) -> u64 {
    request.headers.iter().fold(request.headers.len() as u64, |sum, header| sum.wrapping_add(HASHER.hash_one(header)))
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
