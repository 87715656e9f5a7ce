//! The thread that asks providers for new tokens before the old ones end, and tells the state.
//!
//! A refresh token is used by one at a time: a provider that rotates them takes a second use for theft. Knows nothing
//! of requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::sealed::{self, Tokens};
use crate::clock::{self, UnixTime, monotonic};
use crate::identity::Epoch;
use crate::identity::oidc::Oidc;
use crate::identity::oidc::client::{GrantError, Granted};
use crate::panics::supervised;
use crate::seal::SealKey;
use crate::seats::Seats;
use crate::store::{PersonRecord, SessionRecord, SessionRenewal, Store, WhichSessions};
use crate::worker::Worker;

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
/// More sessions than this are not kept in memory; the thread does not renew them, their next request does.
pub(super) const MOST: usize = 50_000;
/// So many requests wait for a renewal at a time; whoever comes beyond is answered at once. A provider that hangs would
/// otherwise hold all threads of the server with the browsers of its users: there are 50 if nobody says otherwise.
pub(super) const MOST_WAITING: usize = 8;
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

impl Kept {
    fn new(record: &SessionRecord, key: SealKey, now: UnixTime) -> Self {
        Self {
            key: Arc::new(key),
            valid_until: record.valid_until,
            renew_at: due(record.valid_until, now),
            expires_at: record.expires_at,
            busy: false,
        }
    }
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
    /// How many are kept, [`MOST`].
    most: usize,
    book: Mutex<Book>,
    /// Told when a renewal has ended, and when the thread is to end.
    changed: Condvar,
}

/// The keeper and its thread.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    waiting: Seats,
    worker: Worker,
}

impl Keeper {
    /// Keeps `most` sessions at most.
    pub(super) fn start(store: Arc<dyn Store>, oidc: Arc<Oidc>, epoch: Epoch, most: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { store, oidc, epoch, most, book: Mutex::default(), changed: Condvar::new() });
        let (works, told) = (Arc::clone(&shared), Arc::clone(&shared));
        let tell = move || {
            told.book.lock().stopping = true;
            told.changed.notify_all();
        };
        let worker = Worker::start("gatehouse-renew", move || run(&works), tell)?;
        Ok(Self { shared, waiting: Seats::new(MOST_WAITING), worker })
    }

    /// Whether this issuer's sessions can be kept alive at all: its provider may have left the configuration.
    pub(super) fn knows(&self, issuer: &str) -> bool {
        self.shared.oidc.provider_of(issuer).is_some()
    }

    /// Keeps a session alive from now on.
    pub(super) fn keep(&self, record: &SessionRecord, key: SealKey, now: UnixTime) {
        let mut book = self.shared.book.lock();
        if book.kept.len() < self.shared.most {
            book.kept.entry(record.hash).or_insert_with(|| Kept::new(record, key, now));
        }
    }

    /// How many wait for a renewal at this moment.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.taken()
    }

    /// Renews a session and waits until that has ended, at most `patience`, whoever does it. While [`MOST_WAITING`] do so
    /// it is left to the thread, and nobody waits for it.
    pub(super) fn renew_now(&self, record: &SessionRecord, key: SealKey, patience: Duration, now: UnixTime) {
        let Some(_seat) = Seats::take(&self.waiting) else { return self.keep(record, key, now) };
        let until = monotonic() + patience;
        let mut book = self.shared.book.lock();
        // Also without room for it, so that one at a time asks for it: it stays until it is renewed.
        let kept = book.kept.entry(record.hash).or_insert_with(|| Kept::new(record, key, now));
        if !kept.busy {
            // It was tried a moment ago, in vain: requests do not ask more often than the thread.
            if kept.renew_at > now {
                return;
            }
            kept.busy = true;
            drop(book);
            if let Some(job) = begin(Mark::new(&self.shared, record.hash)) {
                finish(job, patience);
            }
            return;
        }
        while book.kept.get(&record.hash).is_some_and(|kept| kept.busy) {
            if self.shared.changed.wait_until(&mut book, until).timed_out() {
                return;
            }
        }
    }

    pub(super) fn stop(&self) {
        self.worker.stop();
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
        supervised("renewing sessions", || renew_due(shared, turn));
        turn = turn.wrapping_add(1);
        let mut book = shared.book.lock();
        if !book.stopping {
            shared.changed.wait_for(&mut book, TURN);
        }
        if book.stopping {
            return;
        }
    }
}

fn renew_due(shared: &Shared, turn: u32) {
    let now = clock::now();
    if turn.is_multiple_of(FORGET)
        && let Err(error) = shared.store.forget_sessions_over(now)
    {
        log::warn!("sessions that are over could not be removed: {error}");
    }
    loop {
        let due = take_due(shared, now);
        if due.is_empty() {
            return;
        }
        // All are asked for before the first answer is waited for.
        let jobs: Vec<Job<'_>> = due.into_iter().filter_map(begin).collect();
        for job in jobs {
            finish(job, PATIENCE);
        }
    }
}

/// What is due, marked as being worked on; expired sessions are dropped.
fn take_due(shared: &Shared, now: UnixTime) -> Vec<Mark<'_>> {
    let mut book = shared.book.lock();
    if book.stopping {
        return Vec::new();
    }
    book.kept.retain(|_, kept| kept.busy || kept.expires_at > now);
    let due = book.kept.iter_mut().filter(|(_, kept)| !kept.busy && kept.renew_at <= now).take(AT_ONCE);
    due.map(|(hash, kept)| {
        kept.busy = true;
        Mark::new(shared, *hash)
    })
    .collect()
}

/// What is known after a renewal.
enum Next {
    /// The last word counts until the first; the next one is asked for at the second.
    Renewed(UnixTime, UnixTime),
    /// It is tried again.
    Later,
    /// There is nothing more to renew.
    Over,
}

/// Whoever has it works on the session. Dropped, also by a panic, it says so to those who wait.
struct Mark<'a> {
    shared: &'a Shared,
    hash: [u8; 32],
    next: Next,
}

impl<'a> Mark<'a> {
    /// For a session that has just been marked as busy.
    const fn new(shared: &'a Shared, hash: [u8; 32]) -> Self {
        Self { shared, hash, next: Next::Later }
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        let mut book = self.shared.book.lock();
        let over = match (&self.next, book.kept.get_mut(&self.hash)) {
            (Next::Renewed(valid_until, renew_at), Some(kept)) => {
                (kept.valid_until, kept.renew_at, kept.busy) = (*valid_until, *renew_at, false);
                book.kept.len() > self.shared.most
            }
            (Next::Later, Some(kept)) => {
                (kept.renew_at, kept.busy) = (clock::now().plus(RETRY), false);
                false
            }
            (Next::Over, _) | (_, None) => true,
        };
        if over {
            book.kept.remove(&self.hash);
        }
        drop(book);
        self.shared.changed.notify_all();
    }
}

/// A renewal under way.
struct Job<'a> {
    mark: Mark<'a>,
    record: SessionRecord,
    key: Arc<SealKey>,
    provider: usize,
    tokens: Tokens,
    pending: Result<crate::identity::oidc::client::Pending, GrantError>,
}

/// Asks for new tokens; `None`: there is nothing to ask for, and the session is no longer marked.
fn begin(mut mark: Mark<'_>) -> Option<Job<'_>> {
    let shared = mark.shared;
    let kept = shared.book.lock().kept.get(&mark.hash).map(|kept| (Arc::clone(&kept.key), kept.valid_until));
    let (key, known) = kept?;
    let record = match shared.store.session_by_hash(&mark.hash) {
        Ok(Some(record)) => record,
        Ok(None) => {
            mark.next = Next::Over;
            return None;
        }
        Err(error) => {
            log::warn!("a session could not be read for its renewal: {error}");
            return None;
        }
    };
    if record.valid_until > known {
        // Another server with the same state was first.
        mark.next = Next::Renewed(record.valid_until, due(record.valid_until, clock::now()));
        return None;
    }
    let asked = (|| {
        let tokens = sealed::open(&key, &record.id, &record.sealed).ok()?;
        let provider = shared.oidc.provider_of(&record.person.issuer)?;
        let pending = shared.oidc.refresh(provider, tokens.refresh.as_ref()?);
        Some((provider, tokens, pending))
    })();
    let Some((provider, tokens, pending)) = asked else {
        mark.next = Next::Over;
        return None;
    };
    Some(Job { mark, record, key, provider, tokens, pending })
}

/// Waits for new tokens and writes down what they say.
fn finish(job: Job<'_>, patience: Duration) {
    let Job { mut mark, record, key, provider, tokens, pending } = job;
    let shared = mark.shared;
    let answer = pending.and_then(|pending| pending.wait(patience));
    let now = clock::now();
    let granted = answer.and_then(|answer| shared.oidc.read(provider, answer, None, now));
    mark.next = match granted {
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
            Next::Later
        }
    };
}

fn take_over(
    shared: &Shared,
    record: &SessionRecord,
    key: &SealKey,
    old: Tokens,
    granted: Granted,
    now: UnixTime,
) -> Next {
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
    let remembered = shared.store.remember_person(&person);
    match &remembered {
        Ok(true) => shared.epoch.advance(),
        Ok(false) => {}
        Err(error) => log::warn!("the roles of somebody could not be remembered, they are asked for again: {error}"),
    }
    let renewal = SessionRenewal { name: token.name, roles: token.roles, groups: token.groups, valid_until, sealed };
    match shared.store.renew_session(&record.id, &renewal) {
        Ok(true) => {
            if (&renewal.roles, &renewal.groups) != (&record.roles, &record.groups) {
                shared.epoch.advance();
            }
            // Keys and links would keep until then what this word has taken away.
            let next = if remembered.is_ok() { due(valid_until, now) } else { now.plus(RETRY) };
            Next::Renewed(valid_until, next)
        }
        Ok(false) => Next::Over,
        Err(error) => {
            log::error!("a renewed session could not be written down: {error}");
            Next::Later
        }
    }
}

fn end(shared: &Shared, record: &SessionRecord) -> Next {
    let ended = shared.store.end_sessions(&WhichSessions::One(&record.id));
    shared.epoch.advance();
    match ended {
        Ok(_) => Next::Over,
        Err(error) => {
            log::error!("a session that is over could not be removed: {error}");
            Next::Later
        }
    }
}
