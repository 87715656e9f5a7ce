//! The thread that finds out what the newest links give before anybody uses them: when the server has started, and again
//! when something was taken from somebody, which makes what was known old. Knows when, and not what.
#![forbid(unsafe_code)]

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock;
use crate::gate::Gate;
use crate::panics::supervised;
use crate::worker::Worker;

/// How often it looks whether anything was taken. Very many links are read within a tenth of a second, so that this costs
/// a hundredth of a processor where something is taken all the time.
const EVERY: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Ending {
    told: Mutex<bool>,
    wake: Condvar,
}

/// Starts the thread.
///
/// # Errors
/// The system has no thread left.
pub(super) fn start(gate: &Arc<Gate>) -> std::io::Result<Worker> {
    // Weak, or the gate would keep alive what reads for it.
    let gate = Arc::downgrade(gate);
    let ending = Arc::new(Ending::default());
    let told = Arc::clone(&ending);
    let tell = move || {
        *told.told.lock() = true;
        told.wake.notify_all();
    };
    Worker::start("gatehouse-ahead", move || run(&gate, &ending), tell)
}

fn run(gate: &Weak<Gate>, ending: &Ending) {
    let mut read_in = None;
    while let Some(gate) = gate.upgrade() {
        let epoch = gate.identities.epoch();
        if read_in.replace(epoch) != Some(epoch) {
            let verifiers = gate.identities.verifiers();
            // Where the state cannot be read, whoever uses a link finds that out, and whoever watches the state tells.
            let _read =
                supervised("reading links ahead", || verifiers.read_links_ahead(clock::now(), || !*ending.told.lock()));
        }
        drop(gate);
        let mut told = ending.told.lock();
        if !*told {
            ending.wake.wait_for(&mut told, EVERY);
        }
        if *told {
            return;
        }
    }
}
