//! A number that says whether what was verified may still be so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Advanced with every change that may make a verified identity wrong.
#[derive(Clone, Debug, Default)]
pub struct Epoch(pub(super) Arc<Shared>);

#[derive(Debug, Default)]
pub(super) struct Shared {
    now: AtomicU64,
    /// Held by whoever wakes those who wait, so that nobody falls asleep just then.
    waiting: Mutex<()>,
    wake: Condvar,
}

impl Epoch {
    /// Makes every cached identity be verified again.
    pub fn advance(&self) {
        self.0.now.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    pub(super) fn now(&self) -> u64 {
        self.0.now.load(Ordering::SeqCst)
    }

    /// Has all who wait look whether they still want to.
    pub fn wake(&self) {
        let _waiting = self.0.waiting.lock();
        self.0.wake.notify_all();
    }

    /// Waits until `is_over`, which is given the epoch, or for so long at most. It is asked again with each advance and
    /// each [`Self::wake`].
    pub fn wait(&self, at_most: Option<Duration>, is_over: impl Fn(u64) -> bool) {
        let mut waiting = self.0.waiting.lock();
        let mut goes_on = |(): &mut ()| !is_over(self.now());
        match at_most {
            Some(at_most) => drop(self.0.wake.wait_while_for(&mut waiting, goes_on, at_most)),
            None => self.0.wake.wait_while(&mut waiting, &mut goes_on),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_woken_by_an_advance_and_by_a_call_and_not_before() {
        let epoch = Epoch::default();
        epoch.wait(Some(Duration::ZERO), |now| now == 1);
        assert_eq!(epoch.now(), 0, "nothing happened");
        let advancing = epoch.clone();
        let thread = std::thread::spawn(move || advancing.advance());
        epoch.wait(None, |now| now == 1);
        thread.join().unwrap();
        let flag = Arc::new(AtomicU64::new(0));
        let (waking, set) = (epoch.clone(), Arc::clone(&flag));
        let thread = std::thread::spawn(move || {
            set.store(1, Ordering::SeqCst);
            waking.wake();
        });
        epoch.wait(None, |_| flag.load(Ordering::SeqCst) == 1);
        thread.join().unwrap();
    }
}
