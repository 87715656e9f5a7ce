//! PyPI's `aiosmtpd`, a mail server, fetched by pip as this machine's own settings have it, below `.cache/`. It must
//! not know what mails are sent.
use super::{lock, run};
use crate::workspace;
use anyhow::Result;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Which one; it brings two small packages.
const PACKAGE: &str = "aiosmtpd==1.4.6";

/// The folder to put on Python's path; fetches it when it is not here.
pub fn ensure() -> Result<PathBuf> {
    let all = workspace::cache().join("mail");
    let folder = all.join(PACKAGE);
    if folder.is_dir() {
        return Ok(folder);
    }
    let _lock = lock(&all)?;
    if !folder.is_dir() {
        eprintln!("setup: fetching a mail server ({PACKAGE}, 1 MB)");
        let fresh = tempfile::Builder::new().prefix("fetching-").tempdir_in(&all)?;
        run(Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--target"])
            .arg(fresh.path().join("packages"))
            .arg(PACKAGE))?;
        fs::rename(fresh.path().join("packages"), &folder)?;
    }
    Ok(folder)
}
