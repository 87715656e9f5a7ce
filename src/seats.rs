//! Seats for a bounded number at a time: for those who wait for something, or work on it. Whoever finds none free is
//! turned away at once. Knows nothing of what anybody sits there for.
#![forbid(unsafe_code)]

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many seats, and how many are taken.
#[derive(Debug)]
pub struct Seats {
    taken: AtomicUsize,
    most: usize,
}

/// A seat; dropping it frees it, also by a panic.
#[derive(Debug)]
pub struct Seat<S: Deref<Target = Seats>>(S);

impl Seats {
    /// All of them free.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { taken: AtomicUsize::new(0), most }
    }

    /// How many are taken at this moment.
    #[cfg(test)]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// A seat, of seats that are borrowed or shared; `None`: all are taken.
    pub fn take<S: Deref<Target = Self>>(seats: S) -> Option<Seat<S>> {
        let one_more = |taken: usize| (taken < seats.most).then_some(taken + 1);
        seats.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Seat(seats))
    }
}

impl<S: Deref<Target = Seats>> Drop for Seat<S> {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn there_are_so_many_seats_and_each_is_free_again_when_it_is_left() {
        let seats = Arc::new(Seats::new(2));
        let (first, second) = (Seats::take(&*seats), Seats::take(Arc::clone(&seats)));
        assert!(first.is_some() && second.is_some());
        assert!(Seats::take(&*seats).is_none());
        drop(second);
        assert!(Seats::take(&*seats).is_some());
    }
}
