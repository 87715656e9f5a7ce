//! What this server's index is told by. Several servers may share one state and have images of their own: that a study is
//! not at one of them says nothing of another's.
//!
//! A random name, kept in the index itself: it goes where the index goes, and nobody has to configure it. Beside it stands
//! up to which of the index's changes somebody watched. Knows nothing of links.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde::Deserialize;

use crate::bytes::{hex, random};
use crate::host::{Host, HostError, read_answer};

/// The number that both are kept under in the index, among the texts of all plugins: "Gate" in ASCII, so that nobody else
/// has it by chance. Those below 1024 are Orthanc's own; other plugins begin to count there.
const PROPERTY: i32 = 0x4761_7465;

/// Every name begins like this, so that the text of another plugin is not taken for one.
const PREFIX: &str = "gatehouse-index-";

/// The index of the server that loaded us.
pub struct Index {
    host: Arc<dyn Host>,
    name: Mutex<Name>,
    complained: AtomicBool,
}

/// What is known of the name.
enum Name {
    /// Nothing yet: while plugins start, the index is not open.
    Unread,
    /// There is none. It stays so until this process makes one: the server has its own, on whatever index.
    None,
    Known(Arc<str>),
}

/// What the index keeps in the place of its name.
enum Kept {
    Nothing,
    Name {
        name: Arc<str>,
        /// The last change that was watched; `None` in what an earlier version wrote.
        seen: Option<u64>,
    },
    SomethingElse,
}

/// Why there is no name.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Random(#[from] crate::bytes::NoRandom),
    #[error("something else is kept in its place")]
    Taken,
}

impl Index {
    /// Asks nothing yet.
    #[must_use]
    pub fn new(host: Arc<dyn Host>) -> Self {
        Self { host, name: Mutex::new(Name::Unread), complained: AtomicBool::new(false) }
    }

    /// The index's name; `None` when it has none, or that cannot be read now.
    pub fn name(&self) -> Option<Arc<str>> {
        self.try_name().ok().flatten()
    }

    /// The index's name; `None` when it has none.
    ///
    /// # Errors
    /// It cannot be read now.
    pub fn try_name(&self) -> Result<Option<Arc<str>>, HostError> {
        let mut name = self.name.lock();
        if matches!(*name, Name::Unread) {
            *name = match self.read()? {
                Kept::Name { name, .. } => Name::Known(name),
                Kept::Nothing | Kept::SomethingElse => Name::None,
            };
        }
        Ok(match &*name {
            Name::Known(known) => Some(Arc::clone(known)),
            Name::Unread | Name::None => None,
        })
    }

    /// The same, and gives it one if it has none; `None` when that cannot be done.
    pub fn named(&self) -> Option<Arc<str>> {
        // Held meanwhile, or of two that are made at once each would go on with its own.
        let mut name = self.name.lock();
        if let Name::Known(known) = &*name {
            return Some(Arc::clone(known));
        }
        match self.make() {
            Ok(made) => {
                *name = Name::Known(Arc::clone(&made));
                Some(made)
            }
            Err(fault) => {
                if !self.complained.swap(true, Ordering::Relaxed) {
                    log::warn!(
                        "Orthanc's index cannot be given a name ({fault}): links made here go on when what they open was deleted unseen and is stored again"
                    );
                }
                None
            }
        }
    }

    /// How many changes the index has counted; of what comes later, each has a greater number.
    ///
    /// # Errors
    /// The server does not say.
    pub fn last_change(&self) -> Result<u64, HostError> {
        /// The answer of `GET /changes?last` (Orthanc 1.12.7 and 1.13.0).
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Changes {
            last: u64,
        }
        let changes: Changes = read_answer(&self.host.get("/changes?last")?)?;
        Ok(changes.last)
    }

    /// The last change that somebody watched, as it was kept; `None` when nothing was.
    ///
    /// # Errors
    /// It cannot be read now.
    pub fn seen(&self) -> Result<Option<u64>, HostError> {
        Ok(match self.read()? {
            Kept::Name { seen, .. } => seen,
            Kept::Nothing | Kept::SomethingElse => None,
        })
    }

    /// Keeps that up to this change somebody watched, if the index has a name.
    ///
    /// # Errors
    /// It cannot be kept now.
    pub fn keep_seen(&self, last: u64) -> Result<(), HostError> {
        match self.read()? {
            Kept::Name { name, seen } if seen != Some(last) => self.write(&name, last),
            Kept::Name { .. } | Kept::Nothing | Kept::SomethingElse => Ok(()),
        }
    }

    /// Nothing is known of the name, as when the server starts.
    #[cfg(test)]
    pub fn forget(&self) {
        *self.name.lock() = Name::Unread;
    }

    fn make(&self) -> Result<Arc<str>, Fault> {
        match self.read()? {
            Kept::Name { name, .. } => return Ok(name),
            // Another plugin's is not ours to replace.
            Kept::SomethingElse => return Err(Fault::Taken),
            // What came before the first link concerns none.
            Kept::Nothing => self.write(&format!("{PREFIX}{}", hex(&random::<16>()?)), self.last_change()?)?,
        }
        // What counts is what was kept: another process may have been first, or last.
        match self.read()? {
            Kept::Name { name, .. } => Ok(name),
            Kept::Nothing | Kept::SomethingElse => Err(Fault::Taken),
        }
    }

    fn write(&self, name: &str, seen: u64) -> Result<(), HostError> {
        self.host.keep_property(PROPERTY, &format!("{name} {seen}"))
    }

    fn read(&self) -> Result<Kept, HostError> {
        let kept = self.host.property(PROPERTY)?;
        if kept.is_empty() {
            return Ok(Kept::Nothing);
        }
        let (name, seen) = kept.split_once(' ').map_or((kept.as_str(), None), |(name, seen)| (name, seen.parse().ok()));
        Ok(if name.starts_with(PREFIX) { Kept::Name { name: name.into(), seen } } else { Kept::SomethingElse })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::FakeHost;

    fn index(host: &Arc<FakeHost>) -> Index {
        Index::new(Arc::clone(host) as Arc<dyn Host>)
    }

    #[test]
    fn an_index_is_named_once_and_keeps_its_name() {
        let host = FakeHost::new(Vec::new());
        let one = index(&host);
        assert_eq!(one.name(), None, "nobody needs one yet");
        let name = one.named().unwrap();
        assert_eq!((one.named(), one.name()), (Some(Arc::clone(&name)), Some(Arc::clone(&name))));
        let restarted = index(&host);
        assert_eq!((restarted.name(), restarted.named()), (Some(Arc::clone(&name)), Some(Arc::clone(&name))));
        assert_ne!(index(&FakeHost::new(Vec::new())).named(), Some(name), "another index");
    }

    #[test]
    fn threads_that_need_a_name_at_once_get_the_same() {
        let host = FakeHost::new(Vec::new());
        let index = Arc::new(index(&host));
        let (answer, of_the_other) = std::sync::mpsc::channel();
        let other = Arc::clone(&index);
        // Once the first has read that there is none, and before it makes one.
        *host.meanwhile.lock() = Some(Box::new(move || {
            let (done, is_done) = std::sync::mpsc::channel::<()>();
            std::thread::spawn(move || {
                answer.send(other.named()).unwrap();
                drop(done);
            });
            // It has to wait for the first, which waits for it no longer than this.
            let _late = is_done.recv_timeout(Duration::from_millis(200));
        }));
        let name = index.named();
        assert!(name.is_some());
        assert_eq!(of_the_other.recv().unwrap(), name);
    }

    #[test]
    fn an_index_that_cannot_be_read_has_no_name_for_the_moment() {
        let host = FakeHost::new(Vec::new());
        let index = index(&host);
        *host.failure.lock() = Some(HostError::PLUGIN);
        assert_eq!((index.name(), index.named()), (None, None));
        *host.failure.lock() = None;
        let name = index.named().unwrap();
        *host.failure.lock() = Some(HostError::PLUGIN);
        assert_eq!(index.name(), Some(name), "it does not change any more");
    }

    #[test]
    fn how_far_its_changes_were_watched_is_kept_with_the_name() {
        let host = FakeHost::new(Vec::new());
        let one = index(&host);
        one.keep_seen(7).unwrap();
        assert_eq!(one.seen(), Ok(None), "there is no name yet");
        host.changes.lock().extend(["study".to_owned(), "another".to_owned()]);
        let name = one.named();
        assert!(name.is_some());
        assert_eq!(one.seen(), Ok(Some(2)), "nobody made a link before");
        one.keep_seen(7).unwrap();
        let restarted = index(&host);
        assert_eq!((restarted.name(), restarted.seen()), (name.clone(), Ok(Some(7))));
        // As an earlier version wrote it.
        host.properties.lock().insert(PROPERTY, name.as_ref().unwrap().as_ref().to_owned());
        assert_eq!((index(&host).name(), index(&host).seen()), (name, Ok(None)));
        *host.failure.lock() = Some(HostError::PLUGIN);
        assert!(one.seen().is_err() && one.keep_seen(8).is_err());
    }

    #[test]
    fn the_text_of_another_plugin_is_left_alone() {
        let host = FakeHost::new(Vec::new());
        host.properties.lock().insert(PROPERTY, "theirs".to_owned());
        let index = index(&host);
        index.keep_seen(1).unwrap();
        assert_eq!((index.name(), index.named(), index.seen()), (None, None, Ok(None)));
        assert_eq!(host.properties.lock()[&PROPERTY], "theirs");
    }
}
