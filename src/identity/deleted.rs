//! A link ends with what it opens: once that was deleted, it stays closed, also when the same is stored again.
//!
//! Knows the state and the epoch; whether something is on the server, it is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Epoch;
use crate::store::{Store, StoreError};

/// So many deletions that could not be written are tried again; about 100 bytes each.
const MOST_UNWRITTEN: usize = 10_000;

/// Keeps what was deleted in the links to it.
pub struct Deletions {
    store: Arc<dyn Store>,
    epoch: Epoch,
    /// Of the resources with these Orthanc identifiers it could not be written that they were deleted.
    unwritten: Mutex<BTreeSet<String>>,
}

impl Deletions {
    /// `epoch` is the one that ends verified identities.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, epoch: Epoch) -> Self {
        Self { store, epoch, unwritten: Mutex::default() }
    }

    /// The server has deleted a resource. `is_there` says whether it is there by now: a study of one instance that is
    /// overwritten is deleted and stored again in one go, and goes on as the same study.
    pub fn deleted(&self, id: &str, is_there: impl FnOnce() -> bool) {
        self.again();
        // Where the state cannot say whether there is a link, there may be one.
        if self.store.is_linked(id).is_ok_and(|linked| !linked) || is_there() {
            return;
        }
        if let Err(error) = self.write(id) {
            log::error!("links to {id}, which was deleted, are not ended yet: {error}");
            let mut unwritten = self.unwritten.lock();
            if unwritten.len() < MOST_UNWRITTEN {
                unwritten.insert(id.to_owned());
            }
        }
    }

    /// Tries again what could not be written. Asked with each change of the server, so before anybody could use what is
    /// stored again.
    pub fn again(&self) {
        // Nothing is held while the state is written: the server may be about to stop.
        let unwritten: Vec<String> = self.unwritten.lock().iter().cloned().collect();
        for id in unwritten {
            if self.write(&id).is_err() {
                // The state cannot be written now.
                return;
            }
            self.unwritten.lock().remove(&id);
        }
    }

    fn write(&self, id: &str) -> Result<(), StoreError> {
        if self.store.resource_deleted(id)? {
            self.epoch.advance();
            log::warn!("links to {id} have ended: it was deleted");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ShareRecord;
    use crate::store::faulty::{Fault, FaultyStore};
    use crate::store::tests::link;

    fn linked(id: &str) -> (Arc<FaultyStore>, Epoch, Deletions) {
        let store = Arc::new(FaultyStore::new());
        store.insert_share(&ShareRecord { resource_ids: vec![id.to_owned()], ..link("one") }).unwrap();
        let epoch = Epoch::default();
        let deletions = Deletions::new(Arc::clone(&store) as Arc<dyn Store>, epoch.clone());
        (store, epoch, deletions)
    }

    #[test]
    fn a_link_keeps_what_of_it_was_deleted() {
        let (store, epoch, deletions) = linked("study");
        deletions.deleted("another", || panic!("nobody is interested"));
        deletions.deleted("study", || true);
        assert!(store.share("one").unwrap().unwrap().deleted.is_empty(), "overwritten, not deleted");
        assert_eq!(epoch.now(), 0);
        deletions.deleted("study", || false);
        assert_eq!(store.share("one").unwrap().unwrap().deleted, ["study"]);
        assert_eq!(epoch.now(), 1, "whoever was verified is verified again");
        deletions.deleted("study", || panic!("that is known"));
        assert_eq!(epoch.now(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_written_later() {
        let (store, epoch, deletions) = linked("study");
        store.fail("resource_deleted", Fault::Error);
        deletions.deleted("study", || false);
        assert!(store.share("one").unwrap().unwrap().deleted.is_empty());
        deletions.again();
        assert_eq!(store.share("one").unwrap().unwrap().deleted, ["study"]);
        assert_eq!(epoch.now(), 1);
        deletions.again();
        assert_eq!(epoch.now(), 1);
    }

    #[test]
    fn what_is_overwritten_is_not_deleted_also_when_the_state_cannot_be_read() {
        let (store, _, deletions) = linked("study");
        store.fail("is_linked", Fault::Error);
        deletions.deleted("study", || true);
        deletions.again();
        assert!(store.share("one").unwrap().unwrap().deleted.is_empty());
        store.fail("is_linked", Fault::Error);
        deletions.deleted("study", || false);
        assert_eq!(store.share("one").unwrap().unwrap().deleted, ["study"]);
    }
}
