//! Whose request this thread serves: written by the filter, read by the REST callbacks of the same request.
//!
//! Orthanc runs the filter and the callbacks of one HTTP request on one thread, and a callback that another plugin
//! calls on the request's behalf too. So one decision serves all of them.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use smallvec::SmallVec;

use crate::clock::UnixTime;
use crate::credential::Places;
use crate::gate::Outcome;
use crate::host::Method;
use crate::identity::{self, Identities, Identity, IdentityList};
use crate::log_text;
use crate::request::Request;

thread_local! {
    static SLOT: RefCell<ThreadSlot> = const { RefCell::new(ThreadSlot { taken: false, slot: Slot::EMPTY }) };
}

static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A hash of each header that can carry a credential; only ever compared in the same process.
type Shown = SmallVec<[u64; 4]>;

/// Whose request it is.
#[derive(Clone, Debug)]
pub struct Slot {
    method: Method,
    path: String,
    credentials: Option<Shown>,
    /// The client's address, as a trusted proxy or the server knows it.
    pub remote: String,
    /// Whether a trusted proxy brought the request.
    pub by_proxy: bool,
    /// The identities that were granted, as in [`Outcome::granted`].
    pub granted: IdentityList,
    /// The identities that were verified, as in [`Outcome::verified`].
    pub verified: IdentityList,
    /// As in [`Outcome::epoch`].
    pub epoch: u64,
    /// As in [`Outcome::at`].
    at: UnixTime,
    /// Of an upload all headers: the callbacks that images come to get none.
    headers: Vec<(String, String)>,
}

impl Slot {
    const EMPTY: Self = Self {
        method: Method::Get,
        path: String::new(),
        credentials: None,
        remote: String::new(),
        by_proxy: false,
        granted: IdentityList::new_const(),
        verified: IdentityList::new_const(),
        epoch: 0,
        at: UnixTime(0),
        headers: Vec::new(),
    };

    /// Whether what was verified may be wrong by now: a body takes its time, and its sender can stretch it.
    #[must_use]
    pub fn is_outdated(&self, identities: &Identities, now: UnixTime) -> bool {
        let has_ended = |one: &Arc<Identity>| one.expires_at.is_some_and(|end| end <= now);
        self.epoch != identities.epoch() || self.verified.iter().any(has_ended)
    }

    /// Whether the path ended with a slash, which the callback is not given.
    #[must_use]
    pub fn ended_with_slash(&self) -> bool {
        self.path.ends_with('/')
    }

    /// Whether all credentials of a call are the request's, as far as these have to tell whose call it is.
    fn has_shown(&self, call: &Request<'_>, places: &Places) -> bool {
        self.credentials.as_ref().is_none_or(|credentials| shown(call, places).all(|one| credentials.contains(&one)))
    }

    /// The request of this very call with what its callback is not given: the client's address.
    #[must_use]
    pub fn whole<'a>(&'a self, request: &Request<'a>) -> Request<'a> {
        Request { remote: &self.remote, ..request.clone() }
    }
}

/// Where a thread keeps its slot. It is cleared, not dropped, so that the next request finds its memory.
struct ThreadSlot {
    taken: bool,
    slot: Slot,
}

impl ThreadSlot {
    fn get(&self) -> Option<&Slot> {
        self.taken.then_some(&self.slot)
    }
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

/// Whether a stale slot has to be told by the credentials: below Orthanc 1.12.9 nothing clears it when a request skips
/// the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staleness {
    /// The authentication callback clears the slot for each request.
    Cleared,
    /// A call that shows a credential which the slot's request did not has no slot. One that shows fewer, or none, has:
    /// a plugin that calls on a request's behalf hands on what headers it likes, and mostly none.
    ByCredentials,
}

/// Forgets whose request this thread served.
pub fn clear() {
    SLOT.with_borrow_mut(|thread| {
        if thread.taken {
            thread.taken = false;
            thread.slot.path.clear();
            thread.slot.remote.clear();
            thread.slot.granted.clear();
            thread.slot.verified.clear();
            thread.slot.headers.clear();
        }
    });
}

/// Writes the slot, also for a refused request.
pub fn write(request: &Request<'_>, by_proxy: bool, outcome: Outcome, staleness: Staleness, places: &Places) {
    let credentials = (staleness == Staleness::ByCredentials).then(|| shown(request, places).collect());
    SLOT.with_borrow_mut(|thread| {
        thread.taken = true;
        let slot = &mut thread.slot;
        slot.method = request.method;
        slot.path.clear();
        slot.path.push_str(request.path);
        slot.credentials = credentials;
        slot.remote.clear();
        slot.remote.push_str(request.remote);
        slot.by_proxy = by_proxy;
        slot.granted = outcome.granted;
        slot.verified = outcome.verified;
        slot.epoch = outcome.epoch;
        slot.at = outcome.at;
        slot.headers.clear();
        if outcome.is_upload {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            slot.headers.extend(request.headers.iter().map(owned));
        }
    });
}

/// The identities that were granted the HTTP request that this thread serves; `None`: it serves none. For callbacks
/// that get no headers. Below Orthanc 1.12.9 a request that skipped the filter has those of the one before on its
/// thread.
#[must_use]
pub fn granted() -> Option<IdentityList> {
    SLOT.with_borrow(|thread| thread.get().map(|slot| slot.granted.clone()))
}

/// The HTTP request that this thread serves, for the log.
#[must_use]
pub fn in_the_log() -> Option<String> {
    let describe = |slot: &Slot| {
        let names = identity::in_the_log(&slot.verified);
        format!("{} {} by {names}", slot.method.as_str(), log_text::path(&slot.path))
    };
    SLOT.with_borrow(|thread| thread.get().map(describe))
}

/// Decides once more on the upload that this thread serves, when something was revoked while its body came: its sender can
/// stretch that. As of the time when it began: what ends meanwhile, as tokens do, ends no upload.
pub fn decide_again(identities: &Identities, decide: impl FnOnce(&Request<'_>, UnixTime) -> Outcome) {
    let is_outdated = |slot: &&Slot| !slot.headers.is_empty() && slot.epoch != identities.epoch();
    let Some(slot) = SLOT.with_borrow(|thread| thread.get().filter(is_outdated).cloned()) else { return };
    let headers = slot.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let request =
        Request { method: slot.method, path: &slot.path, remote: &slot.remote, headers, arguments: Vec::new() };
    let outcome = decide(&request, slot.at);
    SLOT.with_borrow_mut(|thread| {
        thread.slot.epoch = outcome.epoch;
        thread.slot.granted = outcome.granted;
        thread.slot.verified = outcome.verified;
    });
}

/// Who stands behind a call to a REST callback.
#[must_use]
pub fn caller(request: &Request<'_>, places: &Places) -> Caller {
    let slot = SLOT.with_borrow(|thread| thread.get().cloned());
    match slot {
        None => Caller::Internal,
        Some(slot) if !slot.has_shown(request, places) => Caller::Internal,
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

fn shown(request: &Request<'_>, places: &Places) -> impl Iterator<Item = u64> {
    request.headers.iter().filter(|(name, _)| places.is_credential_header(name)).map(|header| HASHER.hash_one(header))
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
