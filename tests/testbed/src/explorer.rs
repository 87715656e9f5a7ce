//! A plugin that stands in for the server part of Orthanc Explorer 2 (`tests/testbed/explorer/server_part.c`), compiled
//! for one version of Orthanc. It must not know who answers it.
use crate::orthanc::Version;
use crate::workspace;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles it into this folder.
pub fn server_part(version: Version, folder: &Path) -> Result<PathBuf> {
    let library = folder.join("libExplorerStandIn.so");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-I"])
        .arg(version.include_folder()?)
        .arg(workspace::root().join("tests/testbed/explorer/server_part.c"))
        .arg("-o")
        .arg(&library)
        .output()
        .context("cannot start cc")?;
    ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    Ok(library)
}
