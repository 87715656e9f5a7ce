//! A link ends with what it opens: once that was deleted, it stays closed, also when the same is stored again.
//!
//! Knows the state and the epoch; whether something is on the server, it is told.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::Epoch;
use crate::store::{Store, StoreError};

/// So many deletions that could not be written are kept and tried again; about 200 bytes each.
const MOST_UNWRITTEN: usize = 50_000;

/// What was deleted, or may have been, and could not be written: until it is, links to it are closed here.
#[derive(Clone, Default)]
pub struct Unwritten(Arc<Mutex<BTreeSet<Gone>>>);

/// The Orthanc identifier of a resource; the name of the index, if only links that were made on that one end.
type Gone = (String, Option<String>);

impl Unwritten {
    /// Whether that closes a link to this resource that was made on the index of this name.
    #[must_use]
    pub fn closes(&self, id: &str, index: Option<&str>) -> bool {
        let kept = self.0.lock();
        // Nearly always.
        if kept.is_empty() {
            return false;
        }
        let gone = |index: Option<&str>| (id.to_owned(), index.map(str::to_owned));
        kept.contains(&gone(None)) || index.is_some() && kept.contains(&gone(index))
    }

    /// Whether there is room for it.
    fn keep(&self, id: &str, index: Option<&str>) -> bool {
        let mut kept = self.0.lock();
        let gone = (id.to_owned(), index.map(str::to_owned));
        kept.contains(&gone) || kept.len() < MOST_UNWRITTEN && kept.insert(gone)
    }

    fn first(&self) -> Option<Gone> {
        self.0.lock().first().cloned()
    }

    fn forget(&self, gone: &Gone) {
        self.0.lock().remove(gone);
    }
}

/// Keeps what was deleted in the links to it.
pub struct Deletions {
    store: Arc<dyn Store>,
    epoch: Epoch,
    unwritten: Unwritten,
}

impl Deletions {
    /// `epoch` is the one that ends verified identities; `unwritten`, what they are verified by.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, epoch: Epoch, unwritten: Unwritten) -> Self {
        Self { store, epoch, unwritten }
    }

    /// The server has deleted a resource. `is_there` says whether it is there by now: a study of one instance that is
    /// overwritten is deleted and stored again in one go, and goes on as the same study.
    pub fn deleted(&self, id: &str, is_there: impl FnOnce() -> bool) {
        self.again();
        // Where the state cannot say whether there is a link, there may be one.
        if self.store.linked(&[id], None).is_ok_and(|linked| linked.is_empty()) || is_there() {
            return;
        }
        if let Err(error) = self.write(id, None, None) {
            log::error!("links to {id}, which was deleted, are not ended yet: {error}");
            self.keep(id, None);
        }
    }

    /// An instance of these resources is about to be stored on the index of this name. A link that was made there opens what
    /// was there then; if that is gone now, it was deleted and nobody has told, and its links end before it can be
    /// opened again. What is overwritten is still there. On another index it may never have been, so links of that one go on.
    ///
    /// # Errors
    /// A link cannot be ended: the instance must not be stored. To keep that link closed in memory would not do: another
    /// server on this state would open it, and this one after a restart. It is one study, shared and deleted before, that
    /// has to be sent again; whether there is a link at all is another matter, see below.
    pub fn arrives(&self, index: &str, ids: &[&str], is_gone: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        let linked = match self.store.linked(ids, Some(index)) {
            Ok(linked) if linked.is_empty() => return Ok(()),
            Ok(linked) => linked,
            Err(error) => return self.arrives_unseen(index, ids, is_gone, error),
        };
        for id in linked.iter().filter(|id| is_gone(id)) {
            if let Err(error) = self.write(id, Some(index), None) {
                log::error!(
                    "refused an instance of {id}: links to what was deleted of it would open it, and cannot be ended: {error}"
                );
                return Err(error);
            }
        }
        Ok(())
    }

    /// The state cannot say whether there are links, so there may be. Nearly all that comes in is new and nobody has shared
    /// it: to refuse it would stop the archive for a link that hardly ever is. Links to it are closed in memory until the
    /// state says more; while it does not, none can be verified anyway.
    fn arrives_unseen(
        &self,
        index: &str,
        ids: &[&str],
        is_gone: impl Fn(&str) -> bool,
        error: StoreError,
    ) -> Result<(), StoreError> {
        let gone: Vec<&&str> = ids.iter().filter(|id| is_gone(id)).collect();
        if gone.iter().all(|id| self.keep(id, Some(index))) {
            return Ok(());
        }
        log::error!("refused an instance: whether links would open it again cannot be read: {error}");
        Err(error)
    }

    /// Closes links to a resource here until that is written; whether there is room for it.
    fn keep(&self, id: &str, index: Option<&str>) -> bool {
        let kept = self.unwritten.keep(id, index);
        self.epoch.advance();
        kept
    }

    /// Tries again what could not be written. Asked with each change of the server, so before anybody could use what is
    /// stored again.
    pub fn again(&self) {
        // Nothing is held while the state is written: the server may be about to stop.
        while let Some(gone) = self.unwritten.first() {
            let (id, index) = (gone.0.as_str(), gone.1.as_deref());
            // Most of what may be linked is not: that is cheaper to ask than to write.
            let written = self.store.linked(&[id], index).and_then(|linked| match linked.is_empty() {
                true => Ok(()),
                false => self.write(id, index, None),
            });
            if written.is_err() {
                // The state cannot be written now.
                return;
            }
            self.unwritten.forget(&gone);
        }
    }

    /// While nobody watched, the index of this name stored these resources, each with some change of it. What had been
    /// shared there before is not what is there now: its links end.
    ///
    /// # Errors
    /// A link cannot be ended.
    pub fn stored_unseen(&self, index: &str, stored: &HashMap<&str, u64>) -> Result<(), StoreError> {
        let ids: Vec<&str> = stored.keys().copied().collect();
        for id in self.store.linked(&ids, Some(index))? {
            self.write(&id, Some(index), stored.get(id.as_str()).copied())?;
        }
        Ok(())
    }

    /// Whether all that is closed is so by its record.
    #[must_use]
    pub fn are_written(&self) -> bool {
        self.unwritten.first().is_none()
    }

    fn write(&self, id: &str, index: Option<&str>, before: Option<u64>) -> Result<(), StoreError> {
        let ended = self.store.resource_deleted(id, index, before);
        // It may be written also where that could not be acknowledged.
        if !matches!(ended, Ok(false)) {
            self.epoch.advance();
        }
        if ended? {
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

    const HERE: &str = "this index";

    struct Bed {
        store: Arc<FaultyStore>,
        epoch: Epoch,
        unwritten: Unwritten,
        deletions: Deletions,
    }

    impl Bed {
        /// With a link that was made here, to these resources.
        fn new(ids: &[&str]) -> Self {
            let store = Arc::new(FaultyStore::new());
            let (epoch, unwritten) = (Epoch::default(), Unwritten::default());
            let state = Arc::clone(&store) as Arc<dyn Store>;
            let deletions = Deletions::new(state, epoch.clone(), unwritten.clone());
            let bed = Self { store, epoch, unwritten, deletions };
            bed.link("one", ids, Some(HERE));
            bed
        }

        fn link(&self, link_id: &str, ids: &[&str], index: Option<&str>) {
            let resource_ids = ids.iter().map(|id| (*id).to_owned()).collect();
            let index = index.map(str::to_owned);
            self.store.insert_share(&ShareRecord { resource_ids, index, ..link(link_id) }).unwrap();
        }

        fn deleted(&self, link: &str) -> Vec<String> {
            self.store.share(link).unwrap().unwrap().deleted
        }
    }

    const ARRIVING: [&str; 3] = ["study", "series", "instance"];

    #[test]
    fn a_link_keeps_what_of_it_was_deleted() {
        let Bed { store, epoch, deletions, .. } = Bed::new(&["study"]);
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
        let Bed { store, epoch, unwritten, deletions } = Bed::new(&["study"]);
        store.fail("resource_deleted", Fault::Error);
        deletions.deleted("study", || false);
        assert!(store.share("one").unwrap().unwrap().deleted.is_empty());
        assert!(
            unwritten.closes("study", Some(HERE)) && unwritten.closes("study", None),
            "until then it is closed here"
        );
        let before = epoch.now();
        assert_ne!(before, 0, "whoever was verified is verified again");
        deletions.again();
        assert_eq!(store.share("one").unwrap().unwrap().deleted, ["study"]);
        assert!(epoch.now() > before && !unwritten.closes("study", Some(HERE)));
        let before = epoch.now();
        deletions.again();
        assert_eq!(epoch.now(), before);
    }

    #[test]
    fn what_is_overwritten_is_not_deleted_also_when_the_state_cannot_be_read() {
        let Bed { store, deletions, .. } = Bed::new(&["study"]);
        store.fail("linked", Fault::Error);
        deletions.deleted("study", || true);
        deletions.again();
        assert!(store.share("one").unwrap().unwrap().deleted.is_empty());
        store.fail("linked", Fault::Error);
        deletions.deleted("study", || false);
        assert_eq!(store.share("one").unwrap().unwrap().deleted, ["study"]);
    }

    #[test]
    fn what_arrives_and_is_not_there_ends_the_links_of_its_index() {
        let bed = Bed::new(&["study", "1.2"]);
        bed.link("of the series", &["series"], Some(HERE));
        bed.link("elsewhere", &["study", "series"], Some("another index"));
        bed.link("before", &["study", "series"], None);
        bed.deletions.arrives(HERE, &ARRIVING, |id| id == "instance").unwrap();
        assert!(bed.deleted("one").is_empty(), "overwritten, or one more");
        assert_eq!(bed.epoch.now(), 0);
        bed.deletions.arrives(HERE, &ARRIVING, |id| id != "study").unwrap();
        assert_eq!(bed.deleted("of the series"), ["series"]);
        assert!(bed.deleted("one").is_empty(), "its study is there");
        bed.deletions.arrives(HERE, &ARRIVING, |_| true).unwrap();
        assert_eq!(bed.deleted("one"), ["study"]);
        assert_eq!(bed.epoch.now(), 2);
        for link in ["elsewhere", "before"] {
            assert!(bed.deleted(link).is_empty(), "{link}");
        }
        bed.link("anew", &["study"], Some(HERE));
        bed.deletions.arrives(HERE, &ARRIVING, |id| id == "instance").unwrap();
        assert!(bed.deleted("anew").is_empty());
    }

    #[test]
    fn nobody_asks_the_server_about_what_is_not_linked() {
        let bed = Bed::new(&["another"]);
        bed.deletions.arrives(HERE, &ARRIVING, |_| panic!("nobody is interested")).unwrap();
    }

    #[test]
    fn what_would_open_a_link_again_that_cannot_be_ended_is_refused() {
        let bed = Bed::new(&["study"]);
        bed.store.fail("resource_deleted", Fault::Error);
        bed.deletions.arrives(HERE, &ARRIVING, |_| true).unwrap_err();
        assert!(bed.deleted("one").is_empty());
        // When it is sent again.
        bed.deletions.arrives(HERE, &ARRIVING, |_| true).unwrap();
        assert_eq!(bed.deleted("one"), ["study"]);
    }

    #[test]
    fn what_may_be_linked_is_stored_and_its_links_are_closed_until_the_state_says_more() {
        let bed = Bed::new(&["study"]);
        bed.link("elsewhere", &["study"], Some("another index"));
        bed.store.fail("linked", Fault::Error);
        bed.deletions.arrives(HERE, &ARRIVING, |id| id != "series").unwrap();
        assert!(bed.deleted("one").is_empty() && bed.epoch.now() > 0);
        let closed = |id: &str, index: Option<&str>| bed.unwritten.closes(id, index);
        assert!(closed("study", Some(HERE)) && closed("instance", Some(HERE)));
        assert!(!closed("series", Some(HERE)), "it is there");
        assert!(!closed("study", Some("another index")) && !closed("study", None));
        bed.store.fail("linked", Fault::Error);
        bed.deletions.again();
        assert!(closed("study", Some(HERE)), "not yet");
        bed.deletions.again();
        assert!(!closed("study", Some(HERE)) && !closed("instance", Some(HERE)));
        assert_eq!(bed.deleted("one"), ["study"]);
        assert!(bed.deleted("elsewhere").is_empty());
    }

    #[test]
    fn what_may_be_linked_is_refused_when_no_more_can_be_kept() {
        let bed = Bed::new(&["study"]);
        for number in 0..MOST_UNWRITTEN {
            assert!(bed.unwritten.keep(&number.to_string(), None));
        }
        for (is_gone, is_stored) in [(true, false), (false, true)] {
            bed.store.fail("linked", Fault::Error);
            assert_eq!(bed.deletions.arrives(HERE, &ARRIVING, |_| is_gone).is_ok(), is_stored);
        }
    }
}
