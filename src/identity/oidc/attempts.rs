//! Attempts to fetch a provider's keys, and the few requests that wait for one because they show a key that is new.
//!
//! Knows nothing of keys: it counts, and wakes.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::monotonic;
use crate::seats::Seats;

/// So many requests wait at a time; whoever comes beyond is answered at once. The server has 50 threads if nobody says
/// otherwise.
const MOST_WAITING: usize = 16;

#[derive(Debug, Default)]
struct Counts {
    begun: u64,
    ended: u64,
    /// The attempt that somebody asked for has this number.
    wanted: u64,
}

/// The attempts of one provider.
#[derive(Debug)]
pub(super) struct Attempts {
    counts: Mutex<Counts>,
    news: Condvar,
    waiting: Seats,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { counts: Mutex::default(), news: Condvar::new(), waiting: Seats::new(MOST_WAITING) }
    }
}

impl Attempts {
    /// Somebody asks for an attempt. One that has begun already may have come too early.
    pub(super) fn ask(&self) {
        let mut counts = self.counts.lock();
        counts.wanted = counts.begun.saturating_add(1);
    }

    /// The thread begins one.
    pub(super) fn begin(&self) {
        self.counts.lock().begun += 1;
    }

    /// The thread has ended one.
    pub(super) fn end(&self) {
        let mut counts = self.counts.lock();
        counts.ended = counts.begun;
        self.news.notify_all();
    }

    /// Something came of the attempt before its end.
    pub(super) fn tell(&self) {
        // Under the lock, or it would be lost between a look and the sleep after it.
        let _counts = self.counts.lock();
        self.news.notify_all();
    }

    /// Waits until the attempt that somebody asked for has ended or `is_there`. Says whether it is worth looking again:
    /// not if there is no such attempt, if too many wait already, or if the time is over.
    pub(super) fn wait(&self, patience: Duration, is_there: impl Fn() -> bool) -> bool {
        let Some(_seat) = Seats::take(&self.waiting) else { return false };
        let until = monotonic() + patience;
        let mut counts = self.counts.lock();
        let mut found = is_there();
        while !found && counts.ended < counts.wanted {
            if self.news.wait_until(&mut counts, until).timed_out() {
                break;
            }
            found = is_there() || counts.ended >= counts.wanted;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn nobody_waits_without_an_attempt_that_was_asked_for() {
        let attempts = Attempts::default();
        assert!(!attempts.wait(LONG, || false));
        assert!(attempts.wait(LONG, || true));
        attempts.ask();
        assert!(!attempts.wait(Duration::ZERO, || false));
        attempts.begin();
        attempts.end();
        assert!(!attempts.wait(LONG, || false));
    }

    #[test]
    fn an_attempt_that_began_before_is_none() {
        let attempts = Arc::new(Attempts::default());
        attempts.begin();
        attempts.ask();
        let there = Arc::new(AtomicBool::new(false));
        let (mine, seen) = (Arc::clone(&attempts), Arc::clone(&there));
        let waiter = std::thread::spawn(move || {
            let found = mine.wait(LONG, || seen.load(Ordering::SeqCst));
            (found, seen.load(Ordering::SeqCst))
        });
        attempts.end();
        attempts.begin();
        there.store(true, Ordering::SeqCst);
        attempts.end();
        assert_eq!(waiter.join().unwrap(), (true, true));
    }

    #[test]
    fn only_a_few_wait() {
        let attempts = Arc::new(Attempts::default());
        attempts.ask();
        let looked = Arc::new(AtomicUsize::new(0));
        let waiters: Vec<_> = (0..MOST_WAITING)
            .map(|_| {
                let (mine, looked) = (Arc::clone(&attempts), Arc::clone(&looked));
                // A look is taken under the lock that only the sleep gives back: whoever has looked sleeps when the
                // attempt ends.
                std::thread::spawn(move || {
                    mine.wait(LONG, || {
                        looked.fetch_add(1, Ordering::SeqCst);
                        false
                    })
                })
            })
            .collect();
        while looked.load(Ordering::SeqCst) < MOST_WAITING {
            std::thread::yield_now();
        }
        assert!(!attempts.wait(LONG, || true));
        attempts.begin();
        attempts.end();
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
    }
}
