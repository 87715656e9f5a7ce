//! Whether it is known what the server stored while this library was not loaded. Until it is, what a link opens may not be
//! what it was made for.
//!
//! Knows nothing of how that is found out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::clock;

/// How long links wait for it, from the first one on. As a rule it takes milliseconds, in which the server answers already.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether it is known.
#[derive(Clone, Default)]
pub struct Looked(Arc<Shared>);

#[derive(Default)]
struct Shared {
    is_known: AtomicBool,
    /// Until when is waited, once somebody does.
    until: Mutex<Option<Instant>>,
    told: Condvar,
}

impl Looked {
    /// Whether it is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.is_known.load(Ordering::SeqCst)
    }

    /// It is known now, or nobody wants to know.
    pub fn tell(&self) {
        // Held, so that nobody falls asleep just then.
        let _until = self.0.until.lock();
        self.0.is_known.store(true, Ordering::SeqCst);
        self.0.told.notify_all();
    }

    /// It is not known any more, as when the server starts.
    #[cfg(test)]
    pub fn begin(&self) {
        *self.0.until.lock() = None;
        self.0.is_known.store(false, Ordering::SeqCst);
    }

    /// It is not known any more, and nobody waits for it.
    #[cfg(test)]
    pub fn forget(&self) {
        self.begin();
        *self.0.until.lock() = Some(clock::monotonic());
    }

    /// Whether somebody has begun to wait.
    #[cfg(test)]
    pub fn is_waited_for(&self) -> bool {
        self.0.until.lock().is_some()
    }

    /// Waits until it is known, and says whether it is. All who ask wait until the same moment, and not at all after it: a
    /// server that cannot say has its threads for others.
    pub(super) fn wait(&self) -> bool {
        // Nearly always.
        if self.is_known() {
            return true;
        }
        let mut until = self.0.until.lock();
        let end = *until.get_or_insert_with(|| clock::monotonic() + PATIENCE);
        self.0.told.wait_while_until(&mut until, |_| !self.is_known(), end);
        self.is_known()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told() {
        let looked = Looked::default();
        assert!(!looked.is_known());
        let waiting = looked.clone();
        let thread = std::thread::spawn(move || {
            let began = clock::monotonic();
            (waiting.wait(), began.elapsed())
        });
        while !looked.is_waited_for() {
            std::thread::yield_now();
        }
        looked.tell();
        let (told, after) = thread.join().unwrap();
        assert!(told && after < PATIENCE, "{after:?}");
        assert!(looked.is_known() && looked.wait());
    }

    #[test]
    fn all_wait_until_the_same_moment_and_later_nobody_at_all() {
        let looked = Looked::default();
        let end = clock::monotonic() + Duration::from_millis(50);
        *looked.0.until.lock() = Some(end);
        for _ in 0..2 {
            assert!(!looked.wait() && clock::monotonic() >= end);
            assert_eq!(*looked.0.until.lock(), Some(end), "nobody begins anew");
        }
        looked.tell();
        assert!(looked.wait());
    }
}
