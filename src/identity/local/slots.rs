//! At most two password checks at a time. Others wait briefly, and not many of them: the server's HTTP threads are
//! few, and a flood of wrong passwords must not take them all.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::monotonic;

/// Checks at a time.
const RUNNING: usize = 2;
/// Those that may wait for them.
const WAITING: usize = 6;
/// The longest wait.
const PATIENCE: Duration = Duration::from_millis(500);

/// The slots.
pub(super) struct Slots {
    taken: Mutex<Taken>,
    freed: Condvar,
}

#[derive(Default)]
struct Taken {
    running: usize,
    waiting: usize,
}

/// A slot; dropping it gives it back, also when the check panics.
pub(super) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(super) fn new() -> Self {
        Self { taken: Mutex::default(), freed: Condvar::new() }
    }

    /// A slot, now or within half a second; `None`: none came free, or too many wait already.
    pub(super) fn take(&self) -> Option<Slot<'_>> {
        self.take_within(PATIENCE)
    }

    fn take_within(&self, patience: Duration) -> Option<Slot<'_>> {
        let mut taken = self.taken.lock();
        if taken.running >= RUNNING {
            if taken.waiting >= WAITING {
                return None;
            }
            taken.waiting += 1;
            let deadline = monotonic() + patience;
            let in_vain =
                self.freed.wait_while_until(&mut taken, |taken| taken.running >= RUNNING, deadline).timed_out();
            taken.waiting -= 1;
            if in_vain && taken.running >= RUNNING {
                return None;
            }
        }
        taken.running += 1;
        Some(Slot(self))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.taken.lock().running -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_check_waits_for_a_slot_and_gives_up() {
        let slots = Slots::new();
        let first = slots.take();
        let second = slots.take();
        assert!(first.is_some() && second.is_some());
        assert!(slots.take_within(Duration::from_millis(1)).is_none());
        drop(first);
        assert!(slots.take_within(Duration::ZERO).is_some());
    }

    #[test]
    fn a_waiting_check_gets_the_slot_that_comes_free() {
        let slots = Slots::new();
        let (first, second) = (slots.take(), slots.take());
        std::thread::scope(|scope| {
            let third = scope.spawn(|| slots.take_within(Duration::from_secs(30)).is_some());
            while slots.taken.lock().waiting == 0 {
                std::thread::yield_now();
            }
            drop(first);
            assert!(third.join().unwrap());
        });
        drop(second);
        assert_eq!(slots.taken.lock().running, 0);
    }

    #[test]
    fn not_more_than_a_few_wait() {
        let slots = Slots::new();
        let _running = (slots.take(), slots.take());
        slots.taken.lock().waiting = WAITING;
        assert!(slots.take_within(Duration::from_secs(30)).is_none(), "turned away at once");
    }
}
