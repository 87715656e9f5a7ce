//! The small file beside the database that remembers how far revocation had come, so that a restored backup is seen.
//!
//! The file follows the database and never leads it: first the database commits epoch n + 1, then the file says so,
//! then the revocation is acknowledged. A crash in between leaves the file behind, which is healed in silence; only a
//! database that was set back leaves it ahead. Whoever writes holds the database's write lock, so two processes
//! cannot overtake each other. Knows nothing of what is revoked. A backup that restores this file too goes unseen.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::StoreError;

/// The words before the number, so that somebody who finds the file knows what it is.
const PREFIX: &str = "gatehouse state epoch ";

/// The epoch file of one database.
#[derive(Debug)]
pub(super) struct EpochFile {
    path: PathBuf,
}

/// What the epoch file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Epoch {
    /// This epoch had been reached.
    Reached(u64),
    /// There is no file.
    Missing,
    /// There is a file, but not with an epoch in it.
    Damaged,
}

impl EpochFile {
    /// The epoch file that belongs to a database file: `<database>.epoch`.
    pub(super) fn beside(database: &Path) -> Self {
        Self { path: with_suffix(database, ".epoch") }
    }

    /// Its path, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it.
    pub(super) fn read(&self) -> Result<Epoch, StoreError> {
        let mut bytes = Vec::new();
        match File::open(&self.path) {
            // A bound, because a damaged file may be of any size.
            Ok(file) => file.take(128).read_to_end(&mut bytes).map_err(|source| self.error(source))?,
            Err(source) if source.kind() == ErrorKind::NotFound => return Ok(Epoch::Missing),
            Err(source) => return Err(self.error(source)),
        };
        let text = String::from_utf8(bytes).unwrap_or_default();
        let number = text.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix('\n'));
        Ok(number.and_then(|number| number.parse().ok()).map_or(Epoch::Damaged, Epoch::Reached))
    }

    /// Replaces it, durably and never by half. The caller holds the database's write lock.
    pub(super) fn write(&self, epoch: u64) -> Result<(), StoreError> {
        self.replace(epoch).map_err(|source| self.error(source))
    }

    fn replace(&self, epoch: u64) -> std::io::Result<()> {
        let new = with_suffix(&self.path, ".new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(format!("{PREFIX}{epoch}\n").as_bytes())?;
        file.sync_all()?;
        drop(file);
        std::fs::rename(&new, &self.path)?;
        // The rename itself is durable only when the directory is.
        File::open(directory(&self.path))?.sync_all()
    }

    fn error(&self, source: std::io::Error) -> StoreError {
        StoreError::EpochFile { place: self.path.display().to_string(), source }
    }
}

/// The directory of a file; the current one for a bare name.
pub(super) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
