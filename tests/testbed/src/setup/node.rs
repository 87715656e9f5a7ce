//! The packages of `tests/testbed/provider`, installed by npm below `.cache/`, in the versions of its lock file and
//! from wherever this machine's npm fetches. It must not know what they are for.
use super::{lock, on_path, run};
use crate::workspace;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What says which versions.
const LISTS: [&str; 2] = ["package.json", "package-lock.json"];

/// The folder with `node_modules`; installs them when they are missing or others are asked for.
pub fn ensure() -> Result<PathBuf> {
    ensure!(on_path("node") && on_path("npm"), "no Node.js with npm (Debian packages nodejs and npm)");
    let source = workspace::root().join("tests/testbed/provider");
    let folder = workspace::cache().join("provider");
    let read = |name: &str| fs::read(source.join(name)).with_context(|| format!("no {name} in {}", source.display()));
    let lists = LISTS.into_iter().map(|name| Ok((name, read(name)?))).collect::<Result<Vec<_>>>()?;
    // Written last: what is installed is what it says.
    let is_current = || fs::read(folder.join(".installed")).is_ok_and(|text| text == lists[1].1);
    if is_current() {
        return Ok(folder);
    }
    let _lock = lock(&folder)?;
    if is_current() {
        return Ok(folder);
    }
    eprintln!("setup: npm installs an OpenID Connect provider (3 MB)");
    for (name, text) in &lists {
        fs::write(folder.join(name), text)?;
    }
    run(Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
        .current_dir(&folder))?;
    fs::write(folder.join(".installed"), &lists[1].1)?;
    Ok(folder)
}
