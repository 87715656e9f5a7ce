//! What can go wrong with the state, each with the place, what is wrong and what to do about it.

/// The cause below a [`StoreError`]: of a database driver or of the operating system.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A failure of the state. `place` says which state: a file, or a server's database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory that should hold the file does not exist, or is none.
    #[error(
        "{place}: its directory does not exist: create it, writable for the user that runs Orthanc, or change Storage.SQLite"
    )]
    NoDirectory {
        /// Which state.
        place: String,
    },
    /// The configured file is Orthanc's own index, which must never be opened by anybody but Orthanc.
    #[error("{place}: this is Orthanc's own index, which is never opened here: name another file in Storage.SQLite")]
    OrthancIndex {
        /// Which state.
        place: String,
    },
    /// The file is a database of some other program. It has not been changed.
    #[error(
        "{place}: this database belongs to another program ({found}) and was left alone: name another file in Storage.SQLite"
    )]
    Foreign {
        /// Which state.
        place: String,
        /// What was seen in it.
        found: String,
    },
    /// The database was written by a newer version of this program. It has not been changed.
    #[error(
        "{place}: the state has version {database}, this program knows versions up to {program}: install the newer program again, or restore the backup made before it was installed"
    )]
    Newer {
        /// Which state.
        place: String,
        /// Schema version of the database.
        database: i64,
        /// Newest schema version that this program knows.
        program: i64,
    },
    /// Not a database, or a damaged one.
    #[error(
        "{place}: the state is damaged or is no database: stop Orthanc, keep the file for inspection and restore a backup: {source}"
    )]
    Corrupt {
        /// Which state.
        place: String,
        /// The cause.
        source: Cause,
    },
    /// The file, its directory or its file system cannot be written.
    #[error("{place}: the state cannot be written: make the file and its directory writable for the user that runs Orthanc{}", detail(.source))]
    ReadOnly {
        /// Which state.
        place: String,
        /// The cause, where there is more to say.
        source: Option<Cause>,
    },
    /// No space left. What was asked for has not been done; what was stored before is still there.
    #[error("{place}: no space left to store the state: free some, nothing stored was lost: {source}")]
    DiskFull {
        /// Which state.
        place: String,
        /// The cause.
        source: Cause,
    },
    /// Somebody else held the state for longer than we wait.
    #[error(
        "{place}: the state was locked by somebody else for more than {waited_ms} ms: look for another program that holds it open, or try again"
    )]
    Locked {
        /// Which state.
        place: String,
        /// How long we waited, in milliseconds.
        waited_ms: u64,
    },
    /// Somebody removed the file, or put another one in its place, while it was open.
    #[error(
        "{place}: {file} was removed or replaced while it was open: stop all servers that use this state, put the file right, and start them again"
    )]
    Replaced {
        /// Which state.
        place: String,
        /// Which of its files.
        file: String,
    },
    /// The state cannot be opened: permissions, or something that is no file.
    #[error(
        "{place}: cannot be opened: it must be a file that the user that runs Orthanc may read and write, in a directory that this user may write: {source}"
    )]
    CannotOpen {
        /// Which state.
        place: String,
        /// The cause.
        source: Cause,
    },
    /// The small file beside the database that tells a restored backup cannot be read or written. The change itself
    /// may be in force; it is not acknowledged. Trying again is harmless.
    #[error("{place}: the epoch file beside the state cannot be read or written: {source}")]
    EpochFile {
        /// Which state, by the path of the epoch file.
        place: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A backup was restored: nothing new is issued until an administrator has removed the epoch file.
    #[error(
        "{place}: the state was set back from epoch {file_epoch} to {database_epoch}, so keys and links revoked since that backup may be valid again: remove again what was removed, then stop Orthanc, remove the file …epoch beside the state, and start Orthanc; until then no key or link is issued"
    )]
    RolledBack {
        /// Which state.
        place: String,
        /// Epoch of the database.
        database_epoch: u64,
        /// Epoch that had been reached.
        file_epoch: u64,
    },
    /// A secret of ours cannot be made, or is too short to be one.
    #[error("{place}: no use can be made of the secret {name:?}: {source}")]
    Secret {
        /// Which state.
        place: String,
        /// What it is called.
        name: String,
        /// The cause.
        source: Cause,
    },
    /// A record with this id or hash exists already.
    #[error("{place}: there is a record with this id or hash already: {source}")]
    Exists {
        /// Which state.
        place: String,
        /// The cause.
        source: Cause,
    },
    /// Anything else that the database reports.
    #[error("{place}: the state cannot be used: {source}")]
    Other {
        /// Which state.
        place: String,
        /// The cause.
        source: Cause,
    },
}

/// The tail of a message that has a cause only sometimes.
fn detail(source: &Option<Cause>) -> String {
    source.as_ref().map_or_else(String::new, |cause| format!(": {cause}"))
}
