//! Writes down, behind the requests' back, who was seen with which roles and how often keys, links and sessions were
//! used; and notices what another server changed that shares the state.
//!
//! The request path only counts in memory; one thread reads and writes, in batches. What is lost by a kill are counts
//! of the last seconds, never a right or a revocation: those are written by whoever answers for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Epoch;
use crate::clock::{self, UnixTime};
use crate::panics::supervised;
use crate::store::{PersonRecord, Store, StoreError, UseKind, UseRecord};
use crate::worker::Worker;

/// How long a change by another server may go unnoticed: a revocation, or other roles of somebody.
const WATCH: Duration = Duration::from_millis(500);

/// How long uses and people may wait to be written, in turns of [`WATCH`].
const TURNS: u32 = 4;

/// Counts the uses of one key, link or session.
#[derive(Debug, Default)]
pub struct UseCounter {
    uses: AtomicU64,
    last: AtomicI64,
}

impl UseCounter {
    /// One more use.
    pub fn count(&self, now: UnixTime) {
        self.uses.fetch_add(1, Ordering::Relaxed);
        self.last.store(now.0, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Pending {
    counters: HashMap<(UseKind, String), Arc<UseCounter>>,
    people: Vec<PersonRecord>,
    stopping: bool,
}

struct Shared {
    store: Arc<dyn Store>,
    epoch: Epoch,
    /// The state's number of changes as it was last read; `None` when it could not be.
    changes: Mutex<Option<u64>>,
    pending: Mutex<Pending>,
    wake: Condvar,
}

/// The recorder and its thread.
pub struct Recorder {
    shared: Arc<Shared>,
    worker: Worker,
}

/// More people than this between two writes: the rest is seen again at their next token.
const MOST_PEOPLE: usize = 10_000;

impl Recorder {
    /// Starts the thread. `epoch` advances when somebody is seen with other roles: keys and links are measured by them.
    pub fn start(store: Arc<dyn Store>, epoch: Epoch) -> std::io::Result<Self> {
        let changes = Mutex::new(store.changes().ok());
        let shared = Arc::new(Shared { store, epoch, changes, pending: Mutex::default(), wake: Condvar::new() });
        let (works, told) = (Arc::clone(&shared), Arc::clone(&shared));
        let tell = move || {
            told.pending.lock().stopping = true;
            told.wake.notify_all();
        };
        let worker = Worker::start("gatehouse-record", move || run(&works), tell)?;
        Ok(Self { shared, worker })
    }

    /// The counter of a key, link or session; the same one as long as somebody holds it.
    #[must_use]
    pub fn counter(&self, kind: UseKind, id: &str) -> Arc<UseCounter> {
        Arc::clone(self.shared.pending.lock().counters.entry((kind, id.to_owned())).or_default())
    }

    /// Notes the roles that somebody was seen with.
    pub fn saw(&self, person: PersonRecord) {
        let mut pending = self.shared.pending.lock();
        if pending.people.len() < MOST_PEOPLE {
            pending.people.push(person);
        }
    }

    /// Writes at once with which roles somebody was seen: what they make now is measured by them.
    pub fn remember(&self, person: &PersonRecord) -> Result<(), StoreError> {
        remember(&self.shared, person)
    }

    /// Looks now whether another server changed anything, and not when the thread comes to it.
    pub fn look(&self) -> Result<(), StoreError> {
        look(&self.shared)
    }

    /// Writes what is left and ends the thread.
    pub fn stop(&self) {
        self.worker.stop();
    }
}

/// How often instant links are forgotten, in turns of [`WATCH`]: each quarter of an hour.
const FORGET: u32 = 1_800;

/// How long an instant link stays in lists after its end, in seconds: thirty days. One is made for each click on a viewer.
const KEPT: i64 = 30 * 86_400;

fn run(shared: &Shared) {
    let mut forget = 0;
    let mut failing = false;
    let mut forgetting = false;
    let mut turn = 0;
    loop {
        turn = (turn + 1) % TURNS;
        let stopping = {
            let mut pending = shared.pending.lock();
            if !pending.stopping {
                shared.wake.wait_for(&mut pending, WATCH);
            }
            pending.stopping
        };
        if !stopping {
            // A failure has made what was verified be verified again, and by a panic nothing was read.
            if supervised("watching for changes by other servers", || look(shared)).is_none() {
                shared.epoch.advance();
            }
        }
        if !stopping && forget == 0 {
            let over_before = clock::now().plus(-KEPT);
            // Where that fails the state says so elsewhere, and it is tried again.
            let forgotten = supervised("forgetting links", || shared.store.forget_instant_links(over_before));
            let more = matches!(forgotten, Some(Ok(true)));
            forget = if more { 1 } else { FORGET };
        }
        forget = forget.saturating_sub(1);
        if stopping || turn == 0 {
            failing = write_uses(shared, failing);
            forgetting = write_people(shared, forgetting);
        }
        if stopping {
            return;
        }
    }
}

/// While the state cannot be read, nobody knows what was revoked: what was verified is verified again.
fn look(shared: &Shared) -> Result<(), StoreError> {
    let mut known = shared.changes.lock();
    let now = shared.store.changes();
    let read = now.as_ref().ok().copied();
    if read.is_none() || read != *known {
        shared.epoch.advance();
    }
    if let (Err(error), Some(_)) = (&now, *known) {
        log::error!("the state cannot be read, so whoever it has to be asked about is refused: {error}");
    }
    *known = read;
    now.map(drop)
}

/// Says whether it failed; `failing`: it did the last time, too, and the log was told.
fn write_uses(shared: &Shared, failing: bool) -> bool {
    let mut uses = Vec::new();
    shared.pending.lock().counters.retain(|(kind, id), counter| {
        let count = counter.uses.swap(0, Ordering::Relaxed);
        if count > 0 {
            let at = UnixTime(counter.last.load(Ordering::Relaxed));
            uses.push(UseRecord { kind: *kind, id: id.clone(), count, at });
        }
        count > 0 || Arc::strong_count(counter) > 1
    });
    if uses.is_empty() {
        return failing;
    }
    let written = supervised("counting uses", || shared.store.record_uses(&uses));
    match &written {
        Some(Ok(())) => return false,
        Some(Err(error)) if !failing => {
            log::warn!("uses of keys, links and sessions cannot be written down, they are kept for later: {error}");
        }
        _ => {}
    }
    let mut pending = shared.pending.lock();
    for record in uses {
        let counter = pending.counters.entry((record.kind, record.id)).or_default();
        counter.uses.fetch_add(record.count, Ordering::Relaxed);
        counter.last.fetch_max(record.at.0, Ordering::Relaxed);
    }
    true
}

/// As [`write_uses`]. Whoever could not be remembered is tried again: the token that was seen may not be verified anew for
/// hours, for which keys and links would keep what it says was taken away.
fn write_people(shared: &Shared, failing: bool) -> bool {
    let mut people = std::mem::take(&mut shared.pending.lock().people).into_iter();
    let mut failed = Vec::new();
    for person in people.by_ref() {
        match supervised("remembering people", || remember(shared, &person)) {
            Some(Ok(())) => {}
            None => failed.push(person),
            Some(Err(error)) => {
                if !failing {
                    log::warn!("the roles of somebody could not be remembered, they are kept for later: {error}");
                }
                failed.push(person);
                // Each may wait for the disk, and revocations by other servers are watched for meanwhile.
                break;
            }
        }
    }
    if failed.is_empty() {
        return false;
    }
    let mut pending = shared.pending.lock();
    // Those that were not tried come first the next time.
    let seen = people.chain(std::mem::take(&mut pending.people)).chain(failed);
    pending.people = seen.take(MOST_PEOPLE).collect();
    true
}

fn remember(shared: &Shared, person: &PersonRecord) -> Result<(), StoreError> {
    if shared.store.remember_person(person)? {
        shared.epoch.advance();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::Person;
    use crate::store::faulty::{Fault, FaultyStore};
    use crate::testing::eventually;

    const NOW: UnixTime = UnixTime(1_700_000_000);

    #[test]
    fn uses_that_could_not_be_written_are_written_later() {
        for fault in [Fault::Error, Fault::Panic] {
            let store = Arc::new(FaultyStore::new());
            store.insert_api_key(&crate::store::tests::key(1)).unwrap();
            store.fail("record_uses", fault);
            let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, Epoch::default()).unwrap();
            recorder.counter(UseKind::ApiKey, "key-1").count(NOW);
            eventually("it is written", || store.api_keys(None).unwrap()[0].last_use == Some(NOW));
            assert!(!store.will_fail());
        }
    }

    #[test]
    fn roles_that_could_not_be_remembered_are_remembered_later() {
        for fault in [Fault::Error, Fault::Panic] {
            let store = Arc::new(FaultyStore::new());
            let person = |subject: &str, role: &str, at| PersonRecord {
                person: Person { issuer: "https://idp.example".to_owned(), subject: subject.to_owned() },
                name: String::new(),
                groups: Vec::new(),
                roles: vec![role.to_owned()],
                seen_at: at,
            };
            for subject in ["anna", "bert"] {
                store.remember_person(&person(subject, "admin-role", NOW)).unwrap();
            }
            let epoch = Epoch::default();
            store.fail("remember_person", fault);
            let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, epoch).unwrap();
            recorder.saw(person("anna", "doctor-role", NOW.plus(1)));
            recorder.saw(person("bert", "doctor-role", NOW.plus(1)));
            eventually("it has failed", || !store.will_fail());
            for subject in ["anna", "bert"] {
                let now = person(subject, "doctor-role", NOW.plus(1));
                eventually("it is written", || store.person(&now.person).unwrap().as_ref() == Some(&now));
            }
        }
    }

    #[test]
    fn instant_links_are_forgotten_a_month_after_their_end() {
        let store = Arc::new(FaultyStore::new());
        let now = clock::now();
        for (id, kind, age) in [
            ("over", "viewer-instant-link", KEPT + 60),
            ("listed", "viewer-instant-link", KEPT - 60),
            ("publication", "stone-viewer-publication", KEPT + 60),
        ] {
            let (kind, expires_at) = (kind.to_owned(), Some(now.plus(-age)));
            let record = crate::store::ShareRecord { kind, expires_at, ..crate::store::tests::link(id) };
            store.insert_share(&record).unwrap();
        }
        let _recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, Epoch::default()).unwrap();
        eventually("it is forgotten", || store.share("over").unwrap().is_none());
        for kept in ["listed", "publication"] {
            assert!(store.share(kept).unwrap().is_some(), "{kept}");
        }
    }

    #[test]
    fn a_recorder_that_is_dropped_leaves_no_thread_behind() {
        let store = Arc::new(FaultyStore::new());
        drop(Recorder::start(Arc::clone(&store) as Arc<dyn Store>, Epoch::default()).unwrap());
        assert_eq!(Arc::strong_count(&store), 1);
    }

    #[test]
    fn a_panic_does_not_end_the_watch_for_revocations() {
        let store = Arc::new(FaultyStore::new());
        let epoch = Epoch::default();
        let _recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, epoch.clone()).unwrap();
        store.fail("changes", Fault::Panic);
        eventually("it has failed", || !store.will_fail());
        // By the failure itself it advances twice at most.
        let seconds = std::cell::Cell::new(0);
        eventually("revocations are noticed", || {
            seconds.set(seconds.get() + 1);
            store.set_not_before(&Person::local("alice"), NOW.plus(seconds.get())).unwrap();
            epoch.now() >= 4
        });
    }
}
