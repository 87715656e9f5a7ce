//! Waiting for conditions, with a bound. The only place of the testbed that reads a clock or sleeps; it must not know
//! what is waited for.
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that never goes back.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the testbed runs outside the host; this is its one clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// The time since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the testbed runs outside the host; this is its one clock")]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Seconds since 1970, for the claims of tokens.
#[must_use]
pub fn unix_seconds() -> i64 {
    i64::try_from(unix_time().as_secs()).unwrap_or(i64::MAX)
}

/// Asks `condition` every 10 ms until it yields something, at most for `timeout`; `None` when the time is over.
pub fn wait_until<T>(timeout: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = monotonic() + timeout;
    loop {
        if let Some(found) = condition() {
            return Some(found);
        }
        if monotonic() >= end {
            return None;
        }
        pause(Duration::from_millis(10));
    }
}

/// Holds the thread up: for a provider that is slow on purpose, and between two looks at a condition.
#[expect(clippy::disallowed_methods, reason = "the testbed runs outside the host; this is its one sleep")]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
