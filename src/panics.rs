//! What becomes of a panic: it ends one callback or one turn of a thread, never more.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`. `None`: it panicked. What it may have left half changed must be nobody's: state that is shared is
/// behind locks or swapped whole.
#[must_use]
pub fn caught<T>(body: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => Some(value),
        Err(payload) => {
            // A payload's destructor may panic too.
            if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(second);
            }
            None
        }
    }
}

/// One turn of a thread that must not end: what it watches over would go unwatched, and nobody would notice. `what` is
/// what failed, for the log. `None`: it panicked.
pub fn supervised<T>(what: &str, turn: impl FnOnce() -> T) -> Option<T> {
    let outcome = caught(turn);
    if outcome.is_none() {
        log::error!("{what} failed unexpectedly; it goes on");
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_none_and_a_value_passes() {
        assert_eq!(caught(|| 1), Some(1));
        assert_eq!(supervised("this test", || -> i32 { panic!("expected in this test") }), None);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_stays_inside() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                if !std::thread::panicking() {
                    panic!("expected in this test");
                }
            }
        }
        assert_eq!(caught(|| -> i32 { std::panic::panic_any(Bomb) }), None);
    }
}
