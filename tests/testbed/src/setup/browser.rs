//! The browser, and the viewer that it shows images with: Debian's Chromium with its driver, and OHIF from npm as this
//! machine's own settings reach it, checked and extracted below `.cache/ohif/`. It must not know where either goes.
use super::{lock, on_path, run};
use crate::workspace;
use anyhow::{Context, Result, ensure};
use aws_lc_rs::digest;
use base64::Engine;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// npm's package `@ohif/app`, and what its archive must be (the SHA-512 that registries show as `integrity`).
const VERSION: &str = "3.13.2";
const SHA512: &str = "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==";

/// What the tests in a browser need.
#[derive(Clone, Debug)]
pub struct Browser {
    /// The folder with OHIF's `index.html`, as it was published.
    pub ohif: PathBuf,
}

/// All of it, if it is here already; an error says what is missing.
pub fn find() -> Result<Browser> {
    ensure!(on_path("chromium"), "no Chromium (Debian package chromium)");
    ensure!(on_path("chromedriver"), "no ChromeDriver (Debian package chromium-driver)");
    let ohif = folder();
    ensure!(ohif.is_dir(), "no OHIF below {} (cargo xtask setup)", ohif.display());
    Ok(Browser { ohif })
}

/// All of it; fetches OHIF when it is not here: 50 MB, once.
pub fn ensure() -> Result<Browser> {
    let all = workspace::cache().join("ohif");
    let _lock = lock(&all)?;
    if !folder().is_dir() {
        eprintln!("setup: fetching OHIF {VERSION} (50 MB)");
        let fresh = tempfile::Builder::new().prefix("fetching-").tempdir_in(&all)?;
        // npm knows the registry and the proxies of this machine.
        run(Command::new("npm")
            .args(["pack", "--silent", &format!("@ohif/app@{VERSION}")])
            .arg("--cache")
            .arg(fresh.path().join("npm"))
            .stdout(std::process::Stdio::null())
            .current_dir(fresh.path()))?;
        let archive = fresh.path().join(format!("ohif-app-{VERSION}.tgz"));
        let hash = digest::digest(&digest::SHA512, &fs::read(&archive).context("npm fetched no archive")?);
        let hash = base64::engine::general_purpose::STANDARD.encode(hash);
        ensure!(hash == SHA512, "the archive of OHIF {VERSION} is another one than expected: SHA-512 {hash}");
        run(Command::new("tar")
            .args(["--extract", "--no-same-owner", "--file"])
            .arg(&archive)
            .current_dir(fresh.path()))?;
        fs::create_dir_all(all.join(VERSION))?;
        fs::rename(fresh.path().join("package/dist"), folder()).context("the archive has no such folder")?;
    }
    find()
}

fn folder() -> PathBuf {
    workspace::cache().join("ohif").join(VERSION).join("app")
}
