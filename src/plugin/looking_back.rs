//! The thread that looks for what the server stored while this library was not loaded, when the server has started, and
//! then keeps how far it has come. Knows when, and not what.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::panics::supervised;
use crate::unseen::Unseen;
use crate::worker::Worker;

/// How long after a failure it looks again.
const AGAIN: Duration = Duration::from_secs(2);

/// How often is kept how far the server has come: after a crash, what was overwritten since looks as if it had been deleted.
const KEEP: Duration = Duration::from_secs(60);

/// Starts the thread.
///
/// # Errors
/// The system has no thread left.
pub(super) fn start(unseen: Arc<Unseen>) -> std::io::Result<Worker> {
    let ending = Arc::new((Mutex::new(false), Condvar::new()));
    let told = Arc::clone(&ending);
    let tell = move || {
        let (ends, wake) = &*told;
        *ends.lock() = true;
        wake.notify_all();
    };
    Worker::start("gatehouse-seen", move || run(&unseen, &ending.0, &ending.1), tell)
}

fn run(unseen: &Unseen, ends: &Mutex<bool>, wake: &Condvar) {
    // Says whether it is to end.
    let rest = |time: Duration| {
        let mut ends = ends.lock();
        wake.wait_while_for(&mut ends, |ends| !*ends, time);
        *ends
    };
    let mut complained = false;
    loop {
        match supervised("looking for what was stored unseen", || unseen.look(|| !*ends.lock())) {
            Some(Ok(())) => break,
            Some(Err(fault)) if !complained => {
                log::error!(
                    "links open nothing until it is known what was stored while this plugin was not loaded: {fault}"
                );
                complained = true;
            }
            Some(Err(_)) | None => {}
        }
        if rest(AGAIN) {
            return;
        }
    }
    if complained {
        log::warn!("links open again what they are for");
    }
    while !rest(KEEP) {
        // A server that fails now says so elsewhere, and it is tried again.
        let _kept = supervised("keeping what was seen", || unseen.keep());
    }
}
