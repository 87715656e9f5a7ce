//! The roles in force: read from the roles file, watched for edits, replaced whole.
//!
//! A broken edit is logged once and changes nothing. Knows nothing of who holds the roles.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use quick_cache::sync::Cache;

use super::Epoch;
use crate::config::{RolesSource, strip_comments};
use crate::panics::supervised;
use crate::policy::rights::Rights;
use crate::policy::roles::{Roles, RolesError};
use crate::worker::Worker;

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// Why roles cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RolesBookError {
    /// The file cannot be read.
    #[error("Authorization.PermissionsFile: the roles file {path} cannot be read: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The document is wrong. One line for each fault.
    #[error("{}", lines(.place, .faults))]
    Document {
        /// The key path, and the file if it is one.
        place: String,
        /// What is wrong with it.
        faults: Vec<RolesError>,
    },
    /// The file cannot be written.
    #[error("the roles file {path} cannot be written: {cause}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The watching thread cannot be started.
    #[error("the thread that watches the roles file cannot be started: {0}")]
    Thread(std::io::Error),
}

fn lines(place: &str, faults: &[RolesError]) -> String {
    let lines: Vec<String> = faults.iter().map(|fault| format!("{place}: {fault}")).collect();
    lines.join("\n")
}

struct Shared {
    current: ArcSwap<Roles>,
    file: Option<PathBuf>,
    /// Held while the file is read or written, so that an edit and a PUT do not overtake each other.
    on_disk: Mutex<Option<Stamp>>,
    /// Why the file could not be read when it was last looked at.
    unread: Mutex<Option<String>>,
    in_rules: BTreeSet<String>,
    epoch: Epoch,
    stopping: Mutex<bool>,
    wake: Condvar,
}

/// What tells one state of the file from the next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stamp {
    Missing,
    File { modified: Option<SystemTime>, length: u64, inode: u64 },
}

/// The roles in force.
pub struct RolesBook {
    shared: Arc<Shared>,
    /// What roles gave when they were last asked for, and by which document.
    known: Cache<Vec<String>, (Arc<Roles>, Rights)>,
    /// Watches the file, if there is one.
    worker: Option<Worker>,
}

/// How many sets of roles are kept. Sites have a handful.
const CACHE_SIZE: usize = 256;

impl RolesBook {
    /// Reads the roles, and watches their file. `in_rules` are the permission names that rules use.
    pub fn start(source: &RolesSource, in_rules: BTreeSet<String>, epoch: Epoch) -> Result<Self, RolesBookError> {
        let (roles, file, stamp) = match source {
            RolesSource::None => (Roles::default(), None, None),
            RolesSource::Inline(json) => (parse("Authorization.Roles", json, &in_rules)?, None, None),
            RolesSource::File(path) => {
                // The stamp is taken first: an edit between the two is then seen as one.
                let stamp = stamp(path);
                (read(path, &in_rules)?, Some(path.clone()), Some(stamp))
            }
        };
        let watched = file.is_some();
        let shared = Arc::new(Shared {
            current: ArcSwap::from_pointee(roles),
            file,
            on_disk: Mutex::new(stamp),
            unread: Mutex::default(),
            in_rules,
            epoch,
            stopping: Mutex::new(false),
            wake: Condvar::new(),
        });
        let (works, told) = (Arc::clone(&shared), Arc::clone(&shared));
        let tell = move || {
            *told.stopping.lock() = true;
            told.wake.notify_all();
        };
        let start = || Worker::start("gatehouse-roles", move || watch(&works), tell);
        let worker = watched.then(start).transpose().map_err(RolesBookError::Thread)?;
        Ok(Self { shared, known: Cache::new(CACHE_SIZE), worker })
    }

    /// The roles now.
    #[must_use]
    pub fn current(&self) -> Arc<Roles> {
        self.shared.current.load_full()
    }

    /// The rights of somebody with these roles, now. All who have the same share the memory of it.
    #[must_use]
    pub fn rights(&self, roles: &[String]) -> Rights {
        let current = self.current();
        if let Some((by, rights)) = self.known.get(roles)
            && Arc::ptr_eq(&by, &current)
        {
            return rights;
        }
        let rights = current.rights(roles.iter().map(String::as_str));
        self.known.insert(roles.to_vec(), (current, rights.clone()));
        rights
    }

    /// The file, when the roles are kept in one and can be changed.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.shared.file.as_deref()
    }

    /// The permission names that rules use.
    #[must_use]
    pub fn permissions_in_rules(&self) -> &BTreeSet<String> {
        &self.shared.in_rules
    }

    /// Replaces the roles, in the file first. `check` sees the roles in force, under the lock that keeps out other
    /// changes, and can refuse; `keep` is given the old text before it is written over in place.
    ///
    /// The file is replaced by renaming a complete new one over it. A bind-mounted file cannot be renamed over: it is
    /// written in place then, after `keep` made the old text safe (decision 19).
    pub fn replace<E: From<RolesBookError>>(
        &self,
        new: Roles,
        check: impl FnOnce(&Roles) -> Result<(), E>,
        keep: impl FnOnce(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(path) = self.file() else {
            return Err(
                RolesBookError::Write { path: PathBuf::new(), cause: std::io::ErrorKind::Unsupported.into() }.into()
            );
        };
        let mut on_disk = self.shared.on_disk.lock();
        // An edit by hand that the watcher has not seen yet counts as the state that is replaced.
        if is_due(&self.shared, path, &on_disk) {
            reload(&self.shared, path, &mut on_disk);
        }
        check(&self.shared.current.load())?;
        let text = serde_json::to_string_pretty(&new.to_value()).unwrap_or_default();
        if text.is_empty() {
            return Err(
                RolesBookError::Write { path: path.to_owned(), cause: std::io::ErrorKind::InvalidData.into() }.into()
            );
        }
        match write_by_rename(path, &text) {
            Ok(()) => {}
            Err(error) if cannot_be_renamed_over(&error) => {
                let failed = |cause| RolesBookError::Write { path: path.to_owned(), cause };
                keep(&std::fs::read_to_string(path).map_err(failed)?)?;
                write_in_place(path, &text).map_err(failed)?;
            }
            Err(cause) => return Err(RolesBookError::Write { path: path.to_owned(), cause }.into()),
        }
        *on_disk = Some(stamp(path));
        self.shared.current.store(Arc::new(new));
        self.shared.epoch.advance();
        Ok(())
    }

    /// Ends the thread.
    pub fn stop(&self) {
        if let Some(worker) = &self.worker {
            worker.stop();
        }
    }
}

fn watch(shared: &Shared) {
    let Some(path) = shared.file.as_deref() else { return };
    loop {
        {
            let mut stopping = shared.stopping.lock();
            if !*stopping {
                shared.wake.wait_for(&mut stopping, INTERVAL);
            }
            if *stopping {
                return;
            }
        }
        supervised("reading the roles file", || {
            let mut on_disk = shared.on_disk.lock();
            if is_due(shared, path, &on_disk) {
                reload(shared, path, &mut on_disk);
            }
        });
    }
}

/// Whether the file is another one than was read last, or could not be read then: that ends without a trace in the stamp, as
/// when its mode is put right, and would leave roles in force that somebody has taken away.
fn is_due(shared: &Shared, path: &Path, on_disk: &Option<Stamp>) -> bool {
    on_disk.as_ref() != Some(&stamp(path)) || shared.unread.lock().is_some()
}

fn reload(shared: &Shared, path: &Path, on_disk: &mut Option<Stamp>) {
    *on_disk = Some(stamp(path));
    let unread = shared.unread.lock().take();
    match read(path, &shared.in_rules) {
        Ok(roles) => {
            if **shared.current.load() != roles {
                shared.current.store(Arc::new(roles));
                shared.epoch.advance();
                log::warn!("the roles file {} changed: the new roles are in force", path.display());
            }
        }
        Err(error) => {
            let text = error.to_string();
            if unread.as_ref() != Some(&text) {
                log::error!("{text}; the roles that were read last stay in force");
            }
            *shared.unread.lock() = matches!(error, RolesBookError::Read { .. }).then_some(text);
        }
    }
}

fn read(path: &Path, in_rules: &BTreeSet<String>) -> Result<Roles, RolesBookError> {
    let text = std::fs::read_to_string(path).map_err(|cause| RolesBookError::Read { path: path.to_owned(), cause })?;
    parse(&format!("Authorization.PermissionsFile: {}", path.display()), &text, in_rules)
}

fn parse(place: &str, text: &str, in_rules: &BTreeSet<String>) -> Result<Roles, RolesBookError> {
    let failed = |faults| RolesBookError::Document { place: place.to_owned(), faults };
    let roles = Roles::parse(&strip_comments(text)).map_err(failed)?;
    // No fault here: the old service's files are taken as they are. Whoever writes through us is told (400).
    for unknown in roles.unknown_permissions(in_rules) {
        log::warn!("{place}: {unknown}: no rule asks for it, so it gives nothing");
    }
    Ok(roles)
}

fn stamp(path: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata(path) {
        Ok(meta) => Stamp::File { modified: meta.modified().ok(), length: meta.len(), inode: meta.ino() },
        Err(_) => Stamp::Missing,
    }
}

fn cannot_be_renamed_over(error: &std::io::Error) -> bool {
    // EBUSY: the file is a mount point. EXDEV and EACCES come from directories that we may not write into.
    matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EXDEV | libc::EACCES | libc::EROFS | libc::EPERM))
}

fn write_by_rename(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    // Followed, so that a symbolic link stays one.
    let path = std::fs::canonicalize(path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let new = directory.join(format!(".{name}.new"));
    let written = (|| {
        let mut file = std::fs::File::create(&new)?;
        file.set_permissions(std::fs::metadata(&path)?.permissions())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        std::fs::File::open(directory)?.sync_all()
    })();
    if written.is_err() {
        // Nothing is left behind; that it cannot be removed either changes nothing of the error that counts.
        drop(std::fs::remove_file(&new));
    }
    written
}

fn write_in_place(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
#[path = "roles_book_tests.rs"]
mod tests;
