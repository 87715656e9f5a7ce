//! What the server stored while this library was not loaded. A study that was deleted then, and is stored again, looks as
//! it did before; but a link to it was made for what is gone, and ends.
//!
//! The server keeps a list of changes, in which all that it stores anew begins. How far that was watched is kept twice: with
//! the index's name, and in the state. So it is found out when either was away meanwhile, or is what it was before. Knows
//! nothing of how a link ends.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::host::{Host, HostError, read_answer};
use crate::identity::deleted::Deletions;
use crate::identity::{Epoch, Looked};
use crate::index::Index;
use crate::store::{Store, StoreError};

/// So many changes are read at once; a quarter of a megabyte.
const PAGE: usize = 1_000;

/// Looks for what was stored unseen.
pub struct Unseen {
    host: Arc<dyn Host>,
    store: Arc<dyn Store>,
    index: Arc<Index>,
    deletions: Option<Arc<Deletions>>,
    looked: Looked,
    epoch: Epoch,
}

/// Why that is not known.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The server does not say.
    #[error("the server's changes cannot be read: {0}")]
    Host(#[from] HostError),
    /// The state does not say how far they were watched, or a link that is to end cannot be ended.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The list goes on, and does not.
    #[error("the server's changes do not go on after number {0}")]
    Stuck(u64),
}

/// The answer of `GET /changes` (Orthanc 1.12.7 and 1.13.0).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Changes {
    #[serde(default)]
    changes: Vec<Change>,
    done: bool,
    last: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    change_type: String,
    #[serde(rename = "ID")]
    id: String,
    seq: u64,
}

impl Unseen {
    /// Asks nothing yet. `deletions` is `None` where links open again what comes back: all is as if it had been watched.
    /// `looked` is told when nothing is unseen any more; whoever waits by the epoch is woken then.
    #[must_use]
    pub fn new(
        host: Arc<dyn Host>,
        store: Arc<dyn Store>,
        index: Arc<Index>,
        deletions: Option<Arc<Deletions>>,
        looked: Looked,
        epoch: Epoch,
    ) -> Self {
        Self { host, store, index, deletions, looked, epoch }
    }

    /// Looks, for as long as `goes_on`, and ends the links to what was stored after they were made and after somebody
    /// watched last; says whether it came to the end. Something that was overwritten unseen is not told from something
    /// that was deleted.
    ///
    /// # Errors
    /// It cannot be said that all such links have ended: see [`Fault`].
    pub fn look(&self, goes_on: impl Fn() -> bool) -> Result<bool, Fault> {
        // Otherwise there is no link that is known to be of this index.
        if let Some(deletions) = &self.deletions
            && let Some(index) = self.index.try_name()?
            && let Some(watched) = self.store.watched(&index)?
        {
            // The index may be an older one, or was watched by somebody with another state.
            let mut seen = self.index.seen()?.map_or(watched, |seen| seen.min(watched));
            loop {
                let page: Changes = read_answer(&self.host.get(&format!("/changes?since={seen}&limit={PAGE}"))?)?;
                deletions.stored_unseen(&index, &stored(&page.changes))?;
                if page.done {
                    break;
                }
                if page.last <= seen {
                    return Err(Fault::Stuck(seen));
                }
                seen = page.last;
                if !goes_on() {
                    return Ok(false);
                }
            }
        }
        self.looked.tell();
        self.epoch.wake();
        Ok(true)
    }

    /// Tries again to end what could not be ended, and keeps up to where the changes are watched by now, once nothing before is
    /// unseen.
    ///
    /// # Errors
    /// The server does not say, or it cannot be kept. What was overwritten since will look as if it had been deleted, should
    /// this process end without having said more.
    pub fn keep(&self) -> Result<(), Fault> {
        if let Some(deletions) = &self.deletions {
            deletions.again();
        }
        if !self.looked.is_known() {
            return Ok(());
        }
        let Some(index) = self.index.try_name()? else { return Ok(()) };
        let last = self.index.last_change()?;
        // Afterwards, as what is stored is closed before: what only this process knows is to be found again by the next.
        if self.deletions.as_ref().is_none_or(|deletions| deletions.are_written()) {
            self.store.keep_watched(&index, last)?;
            self.index.keep_seen(last)?;
        }
        Ok(())
    }
}

/// What these changes say was stored anew, and which change each was. They come in their order, so the last of each.
fn stored(changes: &[Change]) -> HashMap<&str, u64> {
    let new = changes.iter().filter(|change| change.change_type.starts_with("New"));
    new.map(|change| (change.id.as_str(), change.seq)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::deleted::Unwritten;
    use crate::identity::{Epoch, Looked};
    use crate::store::faulty::{Fault as StoreFault, FaultyStore};
    use crate::store::tests::link;
    use crate::store::{ShareRecord, Store};
    use crate::testing::FakeHost;

    struct Bed {
        host: Arc<FakeHost>,
        store: Arc<FaultyStore>,
        index: Arc<Index>,
        looked: Looked,
        deletions: Arc<Deletions>,
        unseen: Unseen,
    }

    impl Bed {
        fn new() -> Self {
            let (host, store) = (FakeHost::new(Vec::new()), Arc::new(FaultyStore::new()));
            Self::on(host, store)
        }

        /// As it starts anew.
        fn again(&self) -> Self {
            Self::on(Arc::clone(&self.host), Arc::clone(&self.store))
        }

        /// The same where links open again what comes back.
        fn again_without_end(&self) -> Self {
            let mut bed = self.again();
            bed.unseen.deletions = None;
            bed
        }

        fn on(host: Arc<FakeHost>, store: Arc<FaultyStore>) -> Self {
            let server = Arc::clone(&host) as Arc<dyn Host>;
            let index = Arc::new(Index::new(Arc::clone(&server)));
            let looked = Looked::default();
            let state = Arc::clone(&store) as Arc<dyn Store>;
            let epoch = Epoch::default();
            let deletions = Deletions::new(Arc::clone(&state), epoch.clone(), Unwritten::default());
            let deletions = Arc::new(deletions);
            let ends = Some(Arc::clone(&deletions));
            let unseen = Unseen::new(server, state, Arc::clone(&index), ends, looked.clone(), epoch);
            Self { host, store, index, looked, deletions, unseen }
        }

        /// A link that is made here.
        fn link(&self, id: &str, resource: &str) {
            let index = self.index.named().map(|name| name.as_ref().to_owned());
            let resource_ids = vec![resource.to_owned()];
            let index_change = self.index.last_change().unwrap();
            self.store.insert_share(&ShareRecord { index, index_change, resource_ids, ..link(id) }).unwrap();
        }

        /// A link to the study, which is watched so far.
        fn links_and_watches(&self) {
            self.link("one", "study");
            self.unseen.look(|| true).unwrap();
            self.unseen.keep().unwrap();
        }

        fn stores(&self, resource: &str) {
            self.host.changes.lock().push(resource.to_owned());
        }

        fn has_ended(&self, link: &str) -> bool {
            !self.store.share(link).unwrap().unwrap().deleted.is_empty()
        }
    }

    #[test]
    fn what_was_stored_unseen_ends_the_links_that_were_made_before() {
        let bed = Bed::new();
        bed.stores("study");
        bed.link("of what was stored before", "study");
        bed.link("of what is stored again", "other study");
        bed.link("of what is left alone", "third study");
        bed.stores("linked by nobody");
        bed.stores("other study");
        bed.link("of what was stored again", "other study");
        assert!(!bed.looked.is_known());
        bed.unseen.look(|| true).unwrap();
        assert!(bed.looked.is_known());
        assert!(bed.has_ended("of what is stored again"));
        for link in ["of what was stored before", "of what is left alone", "of what was stored again"] {
            assert!(!bed.has_ended(link), "{link}");
        }
    }

    #[test]
    fn what_was_watched_ends_nothing() {
        let bed = Bed::new();
        bed.link("overwritten", "study");
        bed.unseen.keep().unwrap();
        bed.unseen.look(|| true).unwrap();
        bed.stores("study");
        bed.unseen.keep().unwrap();
        let bed = bed.again();
        bed.unseen.look(|| true).unwrap();
        assert!(bed.looked.is_known() && !bed.has_ended("overwritten"));
        // And without a word at the end: in doubt.
        bed.stores("study");
        let bed = bed.again();
        bed.unseen.keep().unwrap();
        bed.unseen.look(|| true).unwrap();
        assert!(bed.has_ended("overwritten"), "nothing is kept before it was looked at");
    }

    #[test]
    fn what_was_watched_with_another_state_is_looked_at_with_this_one() {
        let bed = Bed::new();
        bed.links_and_watches();
        let other = Bed::on(Arc::clone(&bed.host), Arc::new(FaultyStore::new()));
        for resource in ["another", "study"] {
            other.unseen.look(|| true).unwrap();
            other.stores(resource);
            other.unseen.keep().unwrap();
            // Which has links of this index of its own, the second time.
            other.link(resource, "another");
        }
        assert_eq!(bed.index.seen(), Ok(Some(2)));
        let bed = bed.again();
        bed.unseen.look(|| true).unwrap();
        assert!(bed.has_ended("one"));
    }

    #[test]
    fn what_was_stored_in_an_older_index_is_looked_at() {
        let bed = Bed::new();
        bed.links_and_watches();
        let older = bed.host.properties.lock().clone();
        for _ in 0..2 {
            bed.stores("another");
        }
        bed.unseen.keep().unwrap();
        // From before those; and what comes now counts from there.
        bed.host.properties.lock().clone_from(&older);
        bed.host.changes.lock().clear();
        bed.stores("study");
        let bed = bed.again();
        bed.unseen.look(|| true).unwrap();
        assert!(bed.has_ended("one"));
        bed.unseen.keep().unwrap();
        assert_eq!(bed.store.watched(&bed.index.name().unwrap()).unwrap(), Some(1), "back, with the index");
    }

    #[test]
    fn what_only_this_process_knows_to_be_closed_is_found_by_the_next() {
        let bed = Bed::new();
        bed.link("one", "study");
        bed.unseen.look(|| true).unwrap();
        let index = bed.index.name().unwrap();
        bed.store.fail("linked", StoreFault::Error);
        bed.deletions.arrives(&index, &["study"], |_| true).unwrap();
        bed.stores("study");
        bed.store.fail("linked", StoreFault::Error);
        bed.unseen.keep().unwrap();
        assert!(!bed.store.will_fail() && !bed.has_ended("one"));
        let bed = bed.again();
        bed.unseen.look(|| true).unwrap();
        assert!(bed.has_ended("one"));
    }

    #[test]
    fn what_came_back_while_links_opened_it_again_ends_nothing_later() {
        let bed = Bed::new();
        bed.link("one", "study");
        let bed = bed.again_without_end();
        bed.stores("study");
        bed.unseen.look(|| true).unwrap();
        bed.unseen.keep().unwrap();
        assert!(bed.looked.is_known());
        let bed = bed.again();
        bed.unseen.look(|| true).unwrap();
        assert!(bed.looked.is_known() && !bed.has_ended("one"));
    }

    #[test]
    fn very_many_changes_are_read_in_pages() {
        let bed = Bed::new();
        bed.link("one", "study");
        for _ in 0..PAGE {
            bed.stores("another");
        }
        bed.stores("study");
        assert!(!bed.unseen.look(|| false).unwrap() && !bed.looked.is_known(), "it was told to end");
        assert!(bed.unseen.look(|| true).unwrap() && bed.looked.is_known());
        assert!(bed.has_ended("one"));
    }

    #[test]
    fn of_what_was_stored_twice_the_last_time_counts() {
        let bed = Bed::new();
        bed.link("first", "study");
        bed.stores("study");
        bed.link("between", "study");
        bed.stores("study");
        bed.link("last", "study");
        bed.unseen.look(|| true).unwrap();
        assert_eq!(["first", "between", "last"].map(|link| bed.has_ended(link)), [true, true, false]);
    }

    #[test]
    fn an_index_without_a_link_is_not_asked() {
        let bed = Bed::new();
        bed.stores("study");
        bed.unseen.look(|| true).unwrap();
        bed.unseen.keep().unwrap();
        assert!(bed.looked.is_known());
        assert!(bed.host.calls.lock().is_empty());
    }

    #[test]
    fn nothing_is_known_while_the_server_or_the_state_does_not_say() {
        let bed = Bed::new();
        bed.link("one", "study");
        bed.stores("study");
        *bed.host.failure.lock() = Some(HostError::PLUGIN);
        assert!(matches!(bed.unseen.look(|| true), Err(Fault::Host(_))));
        *bed.host.failure.lock() = None;
        for call in ["watched", "linked", "resource_deleted"] {
            bed.store.fail(call, StoreFault::Error);
            assert!(matches!(bed.unseen.look(|| true), Err(Fault::Store(_))), "{call}");
            assert!(!bed.looked.is_known(), "{call}");
        }
        bed.unseen.look(|| true).unwrap();
        assert!(bed.looked.is_known() && bed.has_ended("one"));
    }

    #[test]
    fn a_list_that_does_not_go_on_is_not_read_for_ever() {
        let bed = Bed::new();
        bed.link("one", "study");
        *bed.host.never_done.lock() = true;
        assert!(matches!(bed.unseen.look(|| true), Err(Fault::Stuck(0))));
        assert!(!bed.looked.is_known());
    }
}
