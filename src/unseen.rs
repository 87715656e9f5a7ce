//! What the server stored while this library was not loaded. A study that was deleted then, and is stored again, looks as
//! it did before; but a link to it was made for what is gone, and ends.
//!
//! The server keeps a list of changes, in which all that it stores anew begins. How far that was seen is kept in the
//! index, beside its name. Knows nothing of how a link ends.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::host::{Host, HostError, read_answer};
use crate::identity::deleted::Deletions;
use crate::index::Index;
use crate::store::StoreError;

/// The number that it is kept under how far changes were seen; beside that of the index's name.
const PROPERTY: i32 = 0x4761_7466;

/// The text there begins like this, so that the text of another plugin is not taken for one.
const PREFIX: &str = "gatehouse-seen-";

/// So many changes are read at once; a quarter of a megabyte.
const PAGE: usize = 1_000;

/// Looks for what was stored unseen.
pub struct Unseen {
    host: Arc<dyn Host>,
    index: Arc<Index>,
    deletions: Arc<Deletions>,
}

/// Why that is not known.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The server does not say.
    #[error("the server's changes cannot be read: {0}")]
    Host(#[from] HostError),
    /// A link that is to end cannot be ended.
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
    /// Asks nothing yet.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, index: Arc<Index>, deletions: Arc<Deletions>) -> Self {
        Self { host, index, deletions }
    }

    /// Looks, for as long as `goes_on`, and ends the links to what was stored after they were made and after the last
    /// look. Something that was overwritten unseen is not told from something that was deleted.
    ///
    /// # Errors
    /// It cannot be said that all such links have ended: see [`Fault`].
    pub fn look(&self, goes_on: impl Fn() -> bool) -> Result<(), Fault> {
        // Without a name there is no link that is known to be of this index.
        if let Some(index) = self.index.try_name()? {
            let mut seen = self.seen()?;
            loop {
                let page: Changes = read_answer(&self.host.get(&format!("/changes?since={seen}&limit={PAGE}"))?)?;
                self.deletions.stored_unseen(&index, &stored(&page.changes))?;
                if page.done {
                    if let Err(error) = self.keep_seen(page.last) {
                        log::warn!(
                            "it cannot be kept what of Orthanc's changes was seen, so they are read again: {error}"
                        );
                    }
                    break;
                }
                if page.last <= seen {
                    return Err(Fault::Stuck(seen));
                }
                seen = page.last;
                if !goes_on() {
                    return Ok(());
                }
            }
        }
        self.deletions.nothing_is_unseen();
        Ok(())
    }

    /// Keeps how far the changes have come: whatever was stored until now came past this library. Said of the time after a
    /// look only.
    ///
    /// # Errors
    /// The server does not say, or does not keep it. What was overwritten since will look as if it had been deleted, should
    /// this process end without having said more.
    pub fn keep(&self) -> Result<(), HostError> {
        if self.index.try_name()?.is_none() {
            return Ok(());
        }
        self.keep_seen(self.index.last_change()?)
    }

    fn keep_seen(&self, last: u64) -> Result<(), HostError> {
        let text = format!("{PREFIX}{last}");
        let kept = self.host.property(PROPERTY)?;
        // Another plugin's is not ours to replace.
        let is_ours = kept.is_empty() || kept.starts_with(PREFIX);
        if is_ours && kept != text { self.host.keep_property(PROPERTY, &text) } else { Ok(()) }
    }

    /// The number of the last change that was seen; 0: none was.
    fn seen(&self) -> Result<u64, HostError> {
        let kept = self.host.property(PROPERTY)?;
        Ok(kept.strip_prefix(PREFIX).and_then(|number| number.parse().ok()).unwrap_or_default())
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

        fn on(host: Arc<FakeHost>, store: Arc<FaultyStore>) -> Self {
            let server = Arc::clone(&host) as Arc<dyn Host>;
            let index = Arc::new(Index::new(Arc::clone(&server)));
            let looked = Looked::default();
            let state = Arc::clone(&store) as Arc<dyn Store>;
            let deletions = Deletions::new(state, Epoch::default(), Unwritten::default(), looked.clone());
            let unseen = Unseen::new(server, Arc::clone(&index), Arc::new(deletions));
            Self { host, store, index, looked, unseen }
        }

        /// A link that is made here.
        fn link(&self, id: &str, resource: &str) {
            let index = self.index.named().map(|name| name.as_ref().to_owned());
            let resource_ids = vec![resource.to_owned()];
            let index_change = self.index.last_change().unwrap();
            self.store.insert_share(&ShareRecord { index, index_change, resource_ids, ..link(id) }).unwrap();
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
    fn what_was_seen_ends_nothing() {
        let bed = Bed::new();
        bed.link("overwritten", "study");
        bed.unseen.look(|| true).unwrap();
        bed.stores("study");
        bed.unseen.keep().unwrap();
        let bed = bed.again();
        bed.unseen.look(|| true).unwrap();
        assert!(bed.looked.is_known() && !bed.has_ended("overwritten"));
        // And without a word at the end: in doubt.
        bed.stores("study");
        let bed = bed.again();
        bed.unseen.look(|| true).unwrap();
        assert!(bed.has_ended("overwritten"));
    }

    #[test]
    fn very_many_changes_are_read_in_pages_of_which_the_last_counts() {
        let bed = Bed::new();
        bed.link("one", "study");
        for _ in 0..PAGE {
            bed.stores("another");
        }
        bed.stores("study");
        bed.stores("study");
        bed.unseen.look(|| false).unwrap();
        assert!(!bed.looked.is_known(), "it was told to end");
        bed.unseen.look(|| true).unwrap();
        assert!(bed.looked.is_known() && bed.has_ended("one"));
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
        for call in ["linked", "resource_deleted"] {
            bed.store.fail(call, StoreFault::Error);
            assert!(matches!(bed.unseen.look(|| true), Err(Fault::Store(_))), "{call}");
            assert!(!bed.looked.is_known(), "{call}");
        }
        bed.unseen.look(|| true).unwrap();
        assert!(bed.looked.is_known() && bed.has_ended("one"));
    }

    #[test]
    fn the_text_of_another_plugin_is_left_alone() {
        let bed = Bed::new();
        bed.link("one", "study");
        bed.host.properties.lock().insert(PROPERTY, "theirs".to_owned());
        bed.stores("study");
        bed.unseen.look(|| true).unwrap();
        bed.unseen.keep().unwrap();
        assert!(bed.looked.is_known() && bed.has_ended("one"));
        assert_eq!(bed.host.properties.lock()[&PROPERTY], "theirs");
    }
}
