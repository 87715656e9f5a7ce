//! The thread that looks for what the server stored while this library was not loaded, when the server has started, and
//! then keeps up to where its changes are watched. Knows when, and not what.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::panics::supervised;
use crate::unseen::Unseen;
use crate::worker::Worker;

/// How long after a failure it looks again.
const AGAIN: Duration = Duration::from_secs(2);

/// How often that is kept: after a crash, what was overwritten since looks as if it had been deleted.
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
            Some(Ok(true)) => break,
            Some(Ok(false)) => return,
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
    let mut complained = false;
    while !rest(KEEP) {
        match supervised("keeping how far changes were watched", || unseen.keep()) {
            Some(Ok(())) => complained = false,
            Some(Err(fault)) if !complained => {
                log::warn!("it cannot be kept how far Orthanc's changes were watched: {fault}");
                complained = true;
            }
            Some(Err(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;
    use crate::identity::deleted::{Deletions, Unwritten};
    use crate::identity::{Epoch, Looked};
    use crate::index::Index;
    use crate::store::faulty::FaultyStore;
    use crate::store::tests::link;
    use crate::store::{ShareRecord, Store};
    use crate::testing::{FakeHost, eventually};

    #[test]
    fn a_server_that_does_not_answer_is_asked_again() {
        let host = FakeHost::new(Vec::new());
        let server = Arc::clone(&host) as Arc<dyn Host>;
        let index = Arc::new(Index::new(Arc::clone(&server)));
        let store: Arc<dyn Store> = Arc::new(FaultyStore::new());
        let name = index.named().unwrap().as_ref().to_owned();
        store.insert_share(&ShareRecord { index: Some(name), ..link("one") }).unwrap();
        let (epoch, looked) = (Epoch::default(), Looked::default());
        let deletions = Deletions::new(Arc::clone(&store), epoch.clone(), Unwritten::default());
        let unseen = Unseen::new(server, store, index, Some(Arc::new(deletions)), looked.clone(), epoch);
        *host.fails_at.lock() = Some(0);
        let worker = start(Arc::new(unseen)).unwrap();
        eventually("it is known", || looked.is_known());
        assert_eq!(host.count("GET /changes?since=0&limit=1000"), 2);
        worker.stop();
    }
}
