//! Whether the files that are open are still those that are there. Under SQLite a file can be removed, or another one be put
//! in its place, and nothing is noticed: what is written then is lost, and whoever opens the new file, another server too,
//! learns of no revocation. Nothing is opened for that, which would drop SQLite's locks.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::store::StoreError;

/// The database, and its companions beside it.
pub(super) struct Files {
    known: Vec<(PathBuf, (u64, u64))>,
    /// Which of them was another one when they were last looked at, as its place among those.
    another: Mutex<Option<usize>>,
}

impl Files {
    /// The files as they are now, when a connection has written.
    pub(super) fn of(path: &Path) -> Self {
        // SQLite follows a symbolic link, and has the companions beside its end.
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let beside = |suffix: &str| {
            let mut name = target.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        let paths = [path.to_owned(), beside("-wal"), beside("-shm")];
        let known = paths.into_iter().filter_map(|path| identity(&path).map(|file| (path, file))).collect();
        Self { known, another: Mutex::new(None) }
    }

    /// Looks at them. An error when one of them is another file than was opened.
    pub(super) fn are_those(&self, place: &str) -> Result<(), StoreError> {
        *self.another.lock() = self.known.iter().position(|(path, file)| identity(path) != Some(*file));
        self.were_those(place)
    }

    /// What the last look at them has found. Reads on requests' paths look no more often than for changes by other servers.
    pub(super) fn were_those(&self, place: &str) -> Result<(), StoreError> {
        match self.another.lock().and_then(|at| self.known.get(at)) {
            None => Ok(()),
            Some((path, _)) => Err(StoreError::Replaced { place: place.to_owned(), file: path.display().to_string() }),
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}
