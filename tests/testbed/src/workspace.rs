//! Where things lie: the workspace's root, its cache and its target folder.
use std::path::{Path, PathBuf};

/// The root of the workspace, from where this crate was compiled.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// The folder for what was fetched and extracted; never committed, may be deleted at any time.
#[must_use]
pub fn cache() -> PathBuf {
    root().join(".cache")
}

/// Cargo's target folder: `CARGO_TARGET_DIR`, else `target` below the root.
#[must_use]
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The cargo that runs us, else the one on the path.
#[must_use]
pub fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
