//! Plugins beside ours, compiled for one version of Orthanc: one that stands in for the server part of Orthanc Explorer 2
//! (`tests/testbed/explorer/server_part.c`), and a neighbour. They must not know who answers them.
use crate::orthanc::Version;
use crate::workspace;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles it into this folder.
pub fn server_part(version: Version, folder: &Path) -> Result<PathBuf> {
    compile(version, "tests/testbed/explorer/server_part.c", &folder.join("libExplorerStandIn.so"))
}

/// Compiles a plugin of another sort, which has routes of its own and stands before those of others
/// (`tests/testbed/explorer/neighbour.c`).
pub fn neighbour(version: Version, folder: &Path) -> Result<PathBuf> {
    compile(version, "tests/testbed/explorer/neighbour.c", &folder.join("libNeighbour.so"))
}

fn compile(version: Version, source: &str, library: &Path) -> Result<PathBuf> {
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-I"])
        .arg(version.include_folder()?)
        .arg(workspace::root().join(source))
        .arg("-o")
        .arg(library)
        .output()
        .context("cannot start cc")?;
    ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    Ok(library.to_path_buf())
}
