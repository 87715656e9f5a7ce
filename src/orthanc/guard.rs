//! Keeps panics out of the server: every callback runs inside [`guard`], which turns a panic into `None`; what that means
//! stands at the callback. Must not know what a callback does.

use std::any::Any;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::sync::Once;

/// The callbacks, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callback {
    /// The first part of Initialize, before there is a log.
    Context,
    Initialize,
    Finalize,
    Filter,
    Rest,
    Authentication,
    Change,
    Received,
    Receive,
    Stored,
    /// Not one of the server's: forgetting whose request a thread served, after another callback failed.
    Forget,
}

impl Callback {
    const fn name(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::Initialize => "initialize",
            Self::Finalize => "finalize",
            Self::Filter => "filter",
            Self::Rest => "rest",
            Self::Authentication => "authentication",
            Self::Change => "change",
            Self::Received => "received",
            Self::Receive => "receive",
            Self::Stored => "stored",
            Self::Forget => "forget",
        }
    }
}

/// Runs a callback. `None`: it panicked, which is logged; the caller answers with its refusal.
#[must_use]
pub(super) fn guard<T>(callback: Callback, body: impl FnOnce() -> T) -> Option<T> {
    // Values that a panic leaves half changed: state shared between callbacks is behind locks or swapped whole, and the
    // rest is borrowed from the server, which only lends it for reading.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        #[cfg(feature = "fault-injection")]
        inject(callback);
        body()
    }));
    match outcome {
        Ok(value) => Some(value),
        Err(payload) => {
            report(callback, payload);
            None
        }
    }
}

/// Sends each panic of this library to the log, from whatever thread: where it happened, and its message only when that is
/// a literal of the source. A formatted message may hold a piece of a request, of a token for instance.
pub(super) fn install_panic_hook() {
    static ONCE: Once = Once::new();
    // The hook is this library's own, as its copy of the standard library is.
    ONCE.call_once(|| set_hook(Box::new(log_panic)));
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload().downcast_ref::<&'static str>().copied().unwrap_or("message withheld");
    match info.location() {
        Some(place) => log::error!("panic at {}:{}: {message}", place.file(), place.line()),
        None => log::error!("panic: {message}"),
    }
}

fn report(callback: Callback, payload: Box<dyn Any + Send>) {
    // A payload's destructor may panic too.
    let quiet = catch_unwind(AssertUnwindSafe(|| {
        drop(payload);
        log::error!("callback \"{}\" panicked; what it was to decide is refused", callback.name());
    }));
    if let Err(second) = quiet {
        std::mem::forget(second);
    }
}

#[cfg(feature = "fault-injection")]
#[expect(clippy::panic, reason = "what this feature is for")]
fn inject(callback: Callback) {
    if std::env::var_os("GATEHOUSE_PANIC_IN").is_some_and(|name| name == callback.name()) {
        panic!("injected into \"{}\"", callback.name());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_none_and_a_value_passes() {
        assert_eq!(guard(Callback::Filter, || 1), Some(1));
        assert_eq!(guard(Callback::Filter, || -> i32 { panic!("expected in this test") }), None);
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
        assert_eq!(guard(Callback::Rest, || -> i32 { std::panic::panic_any(Bomb) }), None);
    }
}
