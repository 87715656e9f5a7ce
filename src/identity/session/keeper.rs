//! The thread that asks providers for new tokens before the old ones end, and tells the state.
//!
//! A refresh token is used by one at a time: a provider that rotates them takes a second use for theft. Knows nothing of
//! requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::sealed::{self, Tokens};
use crate::clock::{self, UnixTime, monotonic};
use crate::identity::Epoch;
use crate::identity::oidc::Oidc;
use crate::identity::oidc::client::{GrantError, Granted};
use crate::seal::SealKey;
use crate::store::{PersonRecord, SessionRecord, SessionRenewal, Store, WhichSessions};

/// How often the thread looks for what is due.
const TURN: Duration = Duration::from_secs(1);
/// How many it asks for at the same time.
const AT_ONCE: usize = 16;
/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(6);
/// Until it asks again for one that could not be had, in seconds.
const RETRY: i64 = 5;
/// At most this long before the end a new one is asked for, in seconds; of shorter lives a third is left.
const AHEAD: i64 = 60;
/// More sessions than this are not kept in memory; their next request renews them.
const MOST: usize = 50_000;
/// How often sessions that are over are forgotten, in turns.
const FORGET: u32 = 600;

struct Kept {
    key: Arc<SealKey>,
    /// What the last word known here counts until: a later one in the state is another server's.
    valid_until: UnixTime,
    renew_at: UnixTime,
    expires_at: UnixTime,
    busy: bool,
}

#[derive(Default)]
struct Book {
    kept: HashMap<[u8; 32], Kept>,
    stopping: bool,
}

struct Shared {
    store: Arc<dyn Store>,
    oidc: Arc<Oidc>,
    epoch: Epoch,
    book: Mutex<Book>,
    /// Told when a renewal has ended, and when the thread is to end.
    changed: Condvar,
}

/// The keeper and its thread.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    pub(super) fn start(store: Arc<dyn Store>, oidc: Arc<Oidc>, epoch: Epoch) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { store, oidc, epoch, book: Mutex::default(), changed: Condvar::new() });
        let mine = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("gatehouse-renew".to_owned()).spawn(move || run(&mine))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Whether this issuer's sessions can be kept alive at all: its provider may have left the configuration.
    pub(super) fn knows(&self, issuer: &str) -> bool {
        self.shared.oidc.provider_of(issuer).is_some()
    }

    /// Keeps a session alive from now on.
    pub(super) fn keep(&self, record: &SessionRecord, key: SealKey, now: UnixTime) {
        let mut book = self.shared.book.lock();
        if book.kept.len() >= MOST || book.kept.contains_key(&record.hash) {
            return;
        }
        let kept = Kept {
            key: Arc::new(key),
            valid_until: record.valid_until,
            renew_at: due(record.valid_until, now),
            expires_at: record.expires_at,
            busy: false,
        };
        book.kept.insert(record.hash, kept);
    }

    /// Renews a session and waits until that has ended, at most `patience`, whoever does it.
    pub(super) fn renew_now(&self, hash: &[u8; 32], patience: Duration, now: UnixTime) {
        let until = monotonic() + patience;
        let mut book = self.shared.book.lock();
        match book.kept.get_mut(hash) {
            None => return,
            Some(kept) if kept.busy => {}
            // It was tried a moment ago, in vain: requests do not ask more often than the thread.
            Some(kept) if kept.renew_at > now => return,
            Some(kept) => {
                kept.busy = true;
                drop(book);
                if let Some(job) = begin(&self.shared, *hash) {
                    finish(&self.shared, job, patience);
                }
                return;
            }
        }
        while book.kept.get(hash).is_some_and(|kept| kept.busy) {
            if self.shared.changed.wait_until(&mut book, until).timed_out() {
                return;
            }
        }
    }

    pub(super) fn stop(&self) {
        self.shared.book.lock().stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            log::error!("the thread that renewed sessions had failed");
        }
    }
}

/// When to ask for the next word, if the last one counts until then.
fn due(valid_until: UnixTime, now: UnixTime) -> UnixTime {
    let left = valid_until.0.saturating_sub(now.0).max(0);
    valid_until.plus(-(left / 3).min(AHEAD))
}

fn run(shared: &Shared) {
    let mut turn: u32 = 0;
    loop {
        let now = clock::now();
        if turn.is_multiple_of(FORGET)
            && let Err(error) = shared.store.forget_sessions_over(now)
        {
            log::warn!("sessions that are over could not be removed: {error}");
        }
        turn = turn.wrapping_add(1);
        loop {
            let hashes = take_due(shared, now);
            let some = !hashes.is_empty();
            // All are asked for before the first answer is waited for.
            let jobs: Vec<Job> = hashes.into_iter().filter_map(|hash| begin(shared, hash)).collect();
            for job in jobs {
                finish(shared, job, PATIENCE);
            }
            if !some {
                break;
            }
        }
        let mut book = shared.book.lock();
        if !book.stopping {
            shared.changed.wait_for(&mut book, TURN);
        }
        if book.stopping {
            return;
        }
    }
}

/// What is due, marked as being worked on; and what is over is let go.
fn take_due(shared: &Shared, now: UnixTime) -> Vec<[u8; 32]> {
    let mut book = shared.book.lock();
    if book.stopping {
        return Vec::new();
    }
    book.kept.retain(|_, kept| kept.busy || kept.expires_at > now);
    let due = book.kept.iter_mut().filter(|(_, kept)| !kept.busy && kept.renew_at <= now).take(AT_ONCE);
    due.map(|(hash, kept)| {
        kept.busy = true;
        *hash
    })
    .collect()
}

/// Until when the last word known counts, and when to ask for the next.
type Next = (UnixTime, UnixTime);

/// A renewal under way.
struct Job {
    hash: [u8; 32],
    record: SessionRecord,
    key: Arc<SealKey>,
    provider: usize,
    tokens: Tokens,
    pending: Result<crate::identity::oidc::client::Pending, GrantError>,
}

/// Asks for new tokens; `None`: there is nothing to ask for, and the session is no longer marked.
fn begin(shared: &Shared, hash: [u8; 32]) -> Option<Job> {
    let kept = shared.book.lock().kept.get(&hash).map(|kept| (Arc::clone(&kept.key), kept.valid_until));
    let job = kept.and_then(|(key, known)| {
        let record = match shared.store.session_by_hash(&hash) {
            Ok(Some(record)) => record,
            Ok(None) => return None,
            Err(error) => {
                log::warn!("a session could not be read for its renewal: {error}");
                return Some(Err((known, clock::now().plus(RETRY))));
            }
        };
        if record.valid_until > known {
            // Another server with the same state was first.
            return Some(Err((record.valid_until, due(record.valid_until, clock::now()))));
        }
        let tokens = sealed::open(&key, &record.id, &record.sealed).ok()?;
        let provider = shared.oidc.provider_of(&record.person.issuer)?;
        let pending = shared.oidc.refresh(provider, tokens.refresh.as_ref()?);
        Some(Ok(Job { hash, record, key, provider, tokens, pending }))
    });
    match job {
        Some(Ok(job)) => Some(job),
        Some(Err(next)) => {
            set_free(shared, &hash, Some(next));
            None
        }
        None => {
            set_free(shared, &hash, None);
            None
        }
    }
}

/// Waits for new tokens and writes down what they say.
fn finish(shared: &Shared, job: Job, patience: Duration) {
    let Job { hash, record, key, provider, tokens, pending } = job;
    let answer = pending.and_then(|pending| pending.wait(patience));
    let now = clock::now();
    let granted = answer.and_then(|answer| shared.oidc.read(provider, answer, None, now));
    let next = match granted {
        Ok(granted) if granted.token.subject == record.person.subject => {
            take_over(shared, &record, &key, tokens, granted, now)
        }
        Ok(_) => {
            log::error!("a provider renewed a session for somebody else; it is ended");
            end(shared, &record)
        }
        Err(error) if error.is_final() => {
            log::info!("session {} ends: {error}", record.id);
            end(shared, &record)
        }
        Err(error) => {
            log::warn!("session {} could not be renewed, it is tried again: {error}", record.id);
            Some((record.valid_until, now.plus(RETRY)))
        }
    };
    set_free(shared, &hash, next);
}

fn take_over(
    shared: &Shared,
    record: &SessionRecord,
    key: &SealKey,
    old: Tokens,
    granted: Granted,
    now: UnixTime,
) -> Option<Next> {
    let tokens = Tokens { refresh: granted.refresh_token.or(old.refresh), id: granted.id_token.or(old.id) };
    let valid_until = granted.token.expires_at.min(record.expires_at);
    let sealed = match sealed::seal(key, &record.id, &tokens) {
        Ok(sealed) => sealed,
        Err(error) => {
            log::error!("a renewed session is ended: {error}");
            return end(shared, record);
        }
    };
    let token = granted.token;
    // Keys and links of this person are measured by it, too.
    let person = PersonRecord {
        person: record.person.clone(),
        name: token.name.clone(),
        groups: token.groups.clone(),
        roles: token.roles.clone(),
        seen_at: token.issued_at.unwrap_or(now),
    };
    match shared.store.remember_person(&person) {
        Ok(true) => shared.epoch.advance(),
        Ok(false) => {}
        Err(error) => log::warn!("the roles of somebody could not be remembered: {error}"),
    }
    let renewal = SessionRenewal { name: token.name, roles: token.roles, groups: token.groups, valid_until, sealed };
    match shared.store.renew_session(&record.id, &renewal) {
        Ok(true) => {
            if (&renewal.roles, &renewal.groups) != (&record.roles, &record.groups) {
                shared.epoch.advance();
            }
            Some((valid_until, due(valid_until, now)))
        }
        Ok(false) => None,
        Err(error) => {
            log::error!("a renewed session could not be written down: {error}");
            Some((record.valid_until, now.plus(RETRY)))
        }
    }
}

fn end(shared: &Shared, record: &SessionRecord) -> Option<Next> {
    let ended = shared.store.end_sessions(&WhichSessions::One(&record.id));
    shared.epoch.advance();
    match ended {
        Ok(_) => None,
        Err(error) => {
            log::error!("a session that is over could not be removed: {error}");
            Some((record.valid_until, clock::now().plus(RETRY)))
        }
    }
}

/// A renewal has ended: when the next one is due, or that there will be none.
fn set_free(shared: &Shared, hash: &[u8; 32], next: Option<Next>) {
    let mut book = shared.book.lock();
    match (next, book.kept.get_mut(hash)) {
        (Some((valid_until, renew_at)), Some(kept)) => {
            (kept.valid_until, kept.renew_at) = (valid_until, renew_at);
            kept.busy = false;
        }
        _ => {
            book.kept.remove(hash);
        }
    }
    drop(book);
    shared.changed.notify_all();
}
