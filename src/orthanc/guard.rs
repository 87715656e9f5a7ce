//! Keeps panics out of the server: every callback runs inside [`guard`], which turns a panic into `None`; what that
//! means stands at the callback. Must not know what a callback does.

use std::panic::{PanicHookInfo, set_hook};
use std::sync::Once;

use crate::panics::caught;

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
    /// Not one of the server's: noticing that a call of ours came back to us.
    Awaited,
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
            Self::Awaited => "awaited",
            Self::Forget => "forget",
        }
    }
}

/// Runs a callback. `None`: it panicked, which is logged; the caller answers with its refusal.
#[must_use]
pub(super) fn guard<T>(callback: Callback, body: impl FnOnce() -> T) -> Option<T> {
    // Beside what is shared, a callback has only what is borrowed from the server, which lends it for reading.
    let outcome = caught(|| {
        #[cfg(feature = "fault-injection")]
        inject(callback);
        body()
    });
    if outcome.is_none() {
        // Whatever becomes of the line, the panic is caught.
        let _said =
            caught(|| log::error!("callback \"{}\" panicked; what it was to decide is refused", callback.name()));
    }
    outcome
}

/// Sends each panic of this library to the log, from whatever thread: where it happened, and its message only when that
/// is a literal of the source. A formatted message may hold a piece of a request, of a token for instance.
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
}
