//! The Keycloak server: fetched from Maven Central as this machine's own Maven reaches it, checked, extracted and built
//! below `.cache/keycloak/`. It must not know what realms or users there will be.
use super::{lock, on_path, run};
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::digest;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The newest version that runs on Java 17, and what its archive must be.
const VERSION: &str = "26.7.3";
const SHA256: &str = "77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47";
/// The Java that this version needs at least.
const JAVA: u32 = 17;
/// Fixed when the server is built: a file database beside the realm's keys, so that it starts without a migration.
const BUILD: [&str; 2] = ["build", "--db=dev-file"];

/// A Keycloak that can be started.
#[derive(Clone, Debug)]
pub struct Keycloak {
    /// The extracted server.
    pub folder: PathBuf,
    /// The Java to start it with.
    pub java: PathBuf,
}

/// The server, if it is here already; an error says what is missing.
pub fn find() -> Result<Keycloak> {
    let java = find_java().with_context(|| format!("no Java {JAVA} or newer (Debian package default-jre-headless)"))?;
    let folder = folder();
    ensure!(marker(&folder).is_file(), "no Keycloak below {} (cargo xtask setup)", folder.display());
    Ok(Keycloak { folder, java })
}

/// The server; fetches, extracts and builds it when it is not here: 180 MB and about a minute, once.
pub fn ensure() -> Result<Keycloak> {
    if let Ok(found) = find() {
        return Ok(found);
    }
    let java = find_java().with_context(|| format!("no Java {JAVA} or newer (Debian package default-jre-headless)"))?;
    let _lock = lock(&workspace::cache().join("keycloak"))?;
    let folder = folder();
    if marker(&folder).is_file() {
        return Ok(Keycloak { folder, java });
    }
    eprintln!("setup: fetching Keycloak {VERSION} (180 MB) and building it, about two minutes");
    let fresh = tempfile::Builder::new().prefix("fetching-").tempdir_in(workspace::cache().join("keycloak"))?;
    let archive = fetch(fresh.path())?;
    run(Command::new("tar").args(["--extract", "--no-same-owner", "--file"]).arg(&archive).current_dir(fresh.path()))?;
    // The build writes absolute paths, so it happens where the server stays.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::rename(fresh.path().join(format!("keycloak-{VERSION}")), &folder).context("the archive has no such folder")?;
    let output = Command::new(folder.join("bin/kc.sh"))
        .args(BUILD)
        .env("JAVA", &java)
        .stdin(Stdio::null())
        .output()
        .context("cannot start kc.sh")?;
    if !output.status.success() {
        bail!("building Keycloak failed ({}):\n{}", output.status, String::from_utf8_lossy(&output.stdout));
    }
    fs::write(marker(&folder), "")?;
    Ok(Keycloak { folder, java })
}

fn folder() -> PathBuf {
    workspace::cache().join("keycloak").join(VERSION)
}

fn marker(folder: &Path) -> PathBuf {
    folder.join(".built")
}

/// With Maven, because it knows the mirrors and proxies of this machine.
fn fetch(into: &Path) -> Result<PathBuf> {
    ensure!(on_path("mvn"), "no Maven to fetch Keycloak with (Debian package maven)");
    run(Command::new("mvn")
        .args([
            "--quiet",
            "--batch-mode",
            "-Dstyle.color=never",
            "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy",
        ])
        .arg(format!("-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:tar.gz"))
        .arg(format!("-DoutputDirectory={}", into.display()))
        // Not into the user's own: it would stay there for ever.
        .arg(format!("-Dmaven.repo.local={}", into.join("repository").display()))
        .current_dir(into))?;
    let archive = into.join(format!("keycloak-quarkus-dist-{VERSION}.tar.gz"));
    let mut file = File::open(&archive).context("Maven fetched no archive")?;
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    let hash: String = hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(hash == SHA256, "the archive of Keycloak {VERSION} is another one than expected: SHA-256 {hash}");
    Ok(archive)
}

/// `JAVA_HOME`, the path, then what lies in the usual folder; the first that is new enough.
pub(super) fn find_java() -> Option<PathBuf> {
    let mut candidates = Vec::new();
    if let Some(home) = std::env::var_os("JAVA_HOME") {
        candidates.push(PathBuf::from(home).join("bin/java"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    candidates.extend(std::env::split_paths(&path).map(|folder| folder.join("java")));
    let installed = fs::read_dir("/usr/lib/jvm").into_iter().flatten().filter_map(Result::ok);
    let mut installed: Vec<PathBuf> = installed.map(|entry| entry.path().join("bin/java")).collect();
    installed.sort();
    candidates.extend(installed);
    candidates.into_iter().find(|java| java.is_file() && version(java).is_some_and(|version| version >= JAVA))
}

/// `openjdk version "17.0.15" 2025-04-15`
fn version(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let number = said.split('"').nth(1)?.split(['.', '-']).next()?;
    number.parse().ok()
}
