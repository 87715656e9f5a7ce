//! The routes that a real server says it has: what its core documents, and what its plugins register. It must not know
//! what is done with them.
use crate::orthanc::{Version, command};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a server may take to say what it registers.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A route that a plugin registers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PluginRoute {
    /// The path; `{any}` stands for one segment, `{path}` for any number of them.
    pub path: String,
    /// Registered as one that reads its body in chunks: it has GET and POST. Of the others, nobody says which methods
    /// they answer.
    pub chunked: bool,
}

/// The routes of the core, as `Orthanc --openapi` has them: methods in upper case, and paths with placeholders in
/// braces (`/studies/{id}`).
pub fn core_routes(version: Version) -> Result<BTreeSet<(String, String)>> {
    let folder = tempfile::tempdir()?;
    let list = folder.path().join("openapi.json");
    let output = command(&version.folder()?)?
        .arg(format!("--openapi={}", list.display()))
        .arg(configuration(folder.path(), &[])?)
        .stdin(Stdio::null())
        .output()
        .context("the server does not run")?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "it ended with {}: {log}", output.status);
    let list: Value = serde_json::from_slice(&fs::read(&list)?)?;
    let mut routes = BTreeSet::new();
    for (path, methods) in list["paths"].as_object().context("no paths in the list")? {
        for method in methods.as_object().context("no methods in the list")?.keys() {
            routes.insert((method.to_ascii_uppercase(), path.clone()));
        }
    }
    // Those whose example could not be fetched are left out of the list and named in the log.
    routes.extend(log.lines().filter_map(|line| {
        let (method, path) = line.split_once("Ignoring URI without API documentation: ")?.1.split_once(' ')?;
        Some((method.to_owned(), path.trim().to_owned()))
    }));
    Ok(routes)
}

/// The routes of all plugins that come with the server and need no other program.
pub fn plugin_routes(version: Version) -> Result<BTreeSet<PluginRoute>> {
    let folder = tempfile::tempdir()?;
    let mut child = command(&version.folder()?)?
        .arg("--verbose")
        .arg(configuration(folder.path(), &bundled_plugins(version)?)?)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map(Killed)
        .context("the server does not start")?;
    let stderr = child.0.stderr.take().context("no log")?;
    let (sender, lines) = mpsc::channel();
    // It ends with the pipe, or when nobody listens any more.
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let (mut routes, mut log) = (BTreeSet::new(), String::new());
    loop {
        let line = lines.recv_timeout(TIMEOUT).with_context(|| format!("it did not start: {log}"))?;
        let registered =
            line.split_once("has registered a REST callback").and_then(|(_, rest)| rest.split_once(" on: "));
        if let Some((kind, pattern)) = registered {
            let path = pattern.trim().replace("([^/]*)", "{any}").replace("(.*)", "{path}");
            routes.insert(PluginRoute { path, chunked: kind.contains("chunked") });
        }
        log.push_str(&line);
        log.push('\n');
        if line.contains("Orthanc has started") {
            return Ok(routes);
        }
    }
}

/// All plugins that come with the server and need no other program.
pub fn bundled_plugins(version: Version) -> Result<Vec<PathBuf>> {
    let mut plugins = Vec::new();
    for entry in fs::read_dir(version.folder()?.join("usr/share/orthanc/plugins"))? {
        let path = entry?.path();
        let is_library = path.extension().is_some_and(|extension| extension == "so");
        if is_library && !path.to_string_lossy().contains("PostgreSQL") {
            plugins.push(path);
        }
    }
    plugins.sort();
    Ok(plugins)
}

/// Writes a configuration that opens no port; the documentation's examples would be fetched from a public server, which
/// the dead proxy prevents.
fn configuration(folder: &Path, plugins: &[PathBuf]) -> Result<PathBuf> {
    let path = folder.join("orthanc.json");
    let text = json!({
        "StorageDirectory": folder.join("storage"),
        "IndexDirectory": folder.join("storage"),
        "HttpServerEnabled": false,
        "DicomServerEnabled": false,
        "HttpProxy": "127.0.0.1:9",
        "Plugins": plugins,
        "DicomWeb": { "Enable": true },
        "Housekeeper": { "Enable": true },
        "DelayedDeletion": { "Enable": true, "ThrottleDelayMs": 0, "Path": folder.join("pending.db") },
    });
    fs::write(&path, text.to_string())?;
    Ok(path)
}

/// A child that does not outlive us.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Already gone: nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
