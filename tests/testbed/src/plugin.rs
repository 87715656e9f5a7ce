//! Builds the plugin's library and hands out its path. It must not know what is in it.
//!
//! The library is copied to a place of its own, so that a rebuild never changes a file that a server has mapped.
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The plugin as it ships: built once per process, profile dev, or release when `GATEHOUSE_PROFILE=release`.
pub fn plugin_library() -> Result<PathBuf> {
    plugin_library_with(&[])
}

/// The plugin with these features, e.g. `fault-injection`; built once per process.
pub fn plugin_library_with(features: &[&str]) -> Result<PathBuf> {
    static BUILT: OnceLock<Mutex<HashMap<String, PathBuf>>> = OnceLock::new();
    let release = std::env::var("GATEHOUSE_PROFILE").is_ok_and(|profile| profile == "release");
    let key = features.join("+");
    let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = built.get(&key) {
        return Ok(library.clone());
    }
    let library = build(release, features)?;
    built.insert(key, library.clone());
    Ok(library)
}

/// Builds the library in the release profile, whatever the environment says, and shows cargo's progress.
pub fn release_library() -> Result<PathBuf> {
    build(true, &[])
}

fn build(release: bool, features: &[&str]) -> Result<PathBuf> {
    let profile = if release { "release" } else { "debug" };
    let mut command = Command::new(workspace::cargo());
    command.args(["build", "--lib", "--package", "orthanc-gatehouse", "--message-format=json-render-diagnostics"]);
    if release {
        command.arg("--release");
    }
    let name = if features.is_empty() { profile.to_owned() } else { format!("{profile}-{}", features.join("-")) };
    let place = workspace::target().join("testbed").join(&name);
    if !features.is_empty() {
        // A cdylib's file name does not depend on its features: in one folder, cargo would take one variant for the
        // other.
        let folder = workspace::target().join("variants").join(features.join("-"));
        seed(&workspace::target().join(profile), &folder.join(profile))?;
        command.arg("--features").arg(features.join(",")).arg("--target-dir").arg(folder);
    }
    let output = command
        .current_dir(workspace::root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(output.status.success(), "the plugin does not build: {}", output.status);
    let messages = String::from_utf8_lossy(&output.stdout);
    let library = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).find_map(|m| library_in(&m));
    let library = library.context("cargo built no shared library of the plugin")?;
    install(&library, &place)
}

fn library_in(message: &Value) -> Option<PathBuf> {
    if message["target"]["name"] != "orthanc_gatehouse" {
        return None;
    }
    let files = message["filenames"].as_array()?;
    files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".so")).map(PathBuf::from)
}

/// A new file each time, put in place by renaming: a server that runs with the old one keeps it.
fn install(library: &Path, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let target = folder.join(library.file_name().context("no file name")?);
    let fresh = folder.join(format!(".{}.new", std::process::id()));
    fs::copy(library, &fresh).with_context(|| format!("cannot copy {}", library.display()))?;
    fs::rename(&fresh, &target)?;
    Ok(target)
}

/// Starts a variant's target folder from what is built already, so that only the plugin itself is compiled again.
/// Cargo checks by fingerprint what of it can be used; nothing but time is lost if that is nothing.
fn seed(from: &Path, to: &Path) -> Result<()> {
    if to.exists() || !from.exists() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for part in ["build", "deps", ".fingerprint"] {
        let copied = Command::new("cp").arg("-a").arg(from.join(part)).arg(to).status()?;
        if !copied.success() {
            bail!("cannot copy {} to {}", from.display(), to.display());
        }
    }
    Ok(())
}
