//! Writes down, behind the requests' back, who was seen with which roles and how often keys and links were used.
//!
//! The request path only counts in memory; one thread writes, in batches. What is lost by a kill are counts of the last
//! seconds, never a right or a revocation: those are written by whoever answers for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Epoch;
use crate::clock::UnixTime;
use crate::store::{PersonRecord, Store, UseKind, UseRecord};

/// How long uses and people may wait to be written.
const INTERVAL: Duration = Duration::from_secs(2);

/// Counts the uses of one key or link.
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
    pending: Mutex<Pending>,
    wake: Condvar,
}

/// The recorder and its thread.
pub struct Recorder {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// More people than this between two writes: the rest is seen again at their next token.
const MOST_PEOPLE: usize = 10_000;

impl Recorder {
    /// Starts the thread. `epoch` is advanced when somebody was seen with other roles: the keys and links that they made
    /// give other rights from then on.
    pub fn start(store: Arc<dyn Store>, epoch: Epoch) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { store, epoch, pending: Mutex::default(), wake: Condvar::new() });
        let mine = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("gatehouse-record".to_owned()).spawn(move || run(&mine))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// The counter of a key or link; the same one as long as somebody holds it.
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

    /// Writes what is left and ends the thread.
    pub fn stop(&self) {
        self.shared.pending.lock().stopping = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            log::error!("the recording thread had failed");
        }
    }
}

fn run(shared: &Shared) {
    loop {
        let mut pending = shared.pending.lock();
        if !pending.stopping {
            shared.wake.wait_for(&mut pending, INTERVAL);
        }
        let stopping = pending.stopping;
        let people = std::mem::take(&mut pending.people);
        let mut uses = Vec::new();
        pending.counters.retain(|(kind, id), counter| {
            let count = counter.uses.swap(0, Ordering::Relaxed);
            if count > 0 {
                let at = UnixTime(counter.last.load(Ordering::Relaxed));
                uses.push(UseRecord { kind: *kind, id: id.clone(), count, at });
            }
            count > 0 || Arc::strong_count(counter) > 1
        });
        drop(pending);
        if write(shared.store.as_ref(), &people, &uses) {
            shared.epoch.advance();
        }
        if stopping {
            return;
        }
    }
}

/// Says whether somebody has other roles than before.
fn write(store: &dyn Store, people: &[PersonRecord], uses: &[UseRecord]) -> bool {
    if !uses.is_empty()
        && let Err(error) = store.record_uses(uses)
    {
        log::warn!("the uses of {} keys and links could not be counted: {error}", uses.len());
    }
    let mut changed = false;
    for person in people {
        // What is stored decides, not what was seen: an older token changes nothing.
        let roles = || store.person(&person.person).map(|known| known.map(|known| known.roles));
        let written = roles().and_then(|before| store.remember_person(person).map(|()| before));
        match written.and_then(|before| roles().map(|after| (before, after))) {
            Ok((before, after)) => changed |= before.is_some() && before != after,
            Err(error) => {
                log::warn!("the roles of somebody could not be remembered: {error}");
                changed = true;
            }
        }
    }
    changed
}
