//! The thread that finds out what the newest links give before anybody uses them: once they may be opened, and again
//! when something was taken from somebody, which makes what was known old. Knows when, and not what.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use crate::clock;
use crate::gate::Gate;
use crate::identity::Epoch;
use crate::panics::supervised;
use crate::worker::Worker;

/// So many times as long as it has read it rests, which makes a hundredth of a processor where something is taken all the
/// time.
const REST: u32 = 99;

/// Starts the thread.
///
/// # Errors
/// The system has no thread left.
pub(super) fn start(gate: &Arc<Gate>) -> std::io::Result<Worker> {
    let epoch = gate.identities.watched();
    let waking = epoch.clone();
    // Weak, or the gate would keep alive what reads for it.
    let gate = Arc::downgrade(gate);
    let ending = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ending);
    let tell = move || {
        told.store(true, Ordering::SeqCst);
        waking.wake();
    };
    Worker::start("gatehouse-ahead", move || run(&gate, &epoch, &ending), tell)
}

fn run(gate: &Weak<Gate>, epoch: &Epoch, ending: &AtomicBool) {
    let ends = || ending.load(Ordering::SeqCst);
    // Until then links open nothing.
    if let Some(looked) = gate.upgrade().map(|gate| gate.identities.verifiers().looked.clone()) {
        epoch.wait(None, |_| looked.is_known() || ends());
    }
    while !ends() {
        let Some(gate) = gate.upgrade() else { return };
        let read_in = gate.identities.epoch();
        let began = clock::monotonic();
        // Where the state cannot be read, whoever uses a link finds that out, and whoever watches the state tells.
        let _read = supervised("reading links ahead", || {
            gate.identities.verifiers().read_links_ahead(clock::now(), || !ends())
        });
        drop(gate);
        epoch.wait(Some(began.elapsed().saturating_mul(REST)), |_| ends());
        epoch.wait(None, |now| now != read_in || ends());
    }
}
