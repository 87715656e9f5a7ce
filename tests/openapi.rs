//! The route table against the lists that real servers print of their own routes: a route that the table does not know
//! fails here, before a new version of Orthanc brings it to anybody.
//!
//! Needs the two servers that `cargo xtask setup` extracts.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use orthanc_gatehouse::host::Method::{self, Delete, Get, Post, Put};
use orthanc_gatehouse::route::{Handling, Roots, RouteModel};

const ID: &str = "0195f13e-4afe6822-8b494cc4-5162c50d-dac63cdb";

#[test]
fn every_route_of_the_core_of_1_12_7_is_known() {
    every_route_of_the_core_is_known(&Server::find("trixie", "GATEHOUSE_ORTHANC_TRIXIE"));
}

#[test]
fn every_route_of_the_core_of_1_13_0_is_known() {
    every_route_of_the_core_is_known(&Server::find("sid", "GATEHOUSE_ORTHANC_SID"));
}

#[test]
fn every_route_that_plugins_of_1_12_7_register_is_known() {
    every_route_of_the_plugins_is_known(&Server::find("trixie", "GATEHOUSE_ORTHANC_TRIXIE"));
}

#[test]
fn every_route_that_plugins_of_1_13_0_register_is_known() {
    every_route_of_the_plugins_is_known(&Server::find("sid", "GATEHOUSE_ORTHANC_SID"));
}

/// An extracted server.
struct Server {
    folder: PathBuf,
}

impl Server {
    fn find(suite: &str, variable: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/orthanc").join(suite);
        let folder = if folder.is_dir() { Some(folder) } else { std::env::var_os(variable).map(PathBuf::from) };
        match folder {
            Some(folder) if folder.join("usr/sbin/Orthanc").is_file() => Self { folder },
            _ => panic!("no Orthanc of Debian {suite}: run `cargo xtask setup`, or set {variable} to an extracted one"),
        }
    }

    /// The folder of the architecture's libraries, with the dynamic loader in it.
    fn libraries(&self) -> (PathBuf, PathBuf) {
        for entry in std::fs::read_dir(self.folder.join("usr/lib")).expect("usr/lib").flatten() {
            if !entry.file_name().to_string_lossy().ends_with("-linux-gnu") {
                continue;
            }
            for file in std::fs::read_dir(entry.path()).expect("libraries").flatten() {
                if file.file_name().to_string_lossy().starts_with("ld-linux") {
                    return (entry.path(), file.path());
                }
            }
        }
        panic!("{}: no dynamic loader", self.folder.display());
    }

    fn command(&self) -> Command {
        let (libraries, loader) = self.libraries();
        let search = [
            libraries.clone(),
            libraries.join("blas"),
            libraries.join("lapack"),
            self.folder.join("usr/lib/orthanc"),
            self.folder.join("usr/lib"),
        ];
        let mut command = Command::new(loader);
        command
            .arg("--library-path")
            .arg(std::env::join_paths(search).expect("paths without colons"))
            .arg(self.folder.join("usr/sbin/Orthanc"))
            .env("DCMDICTPATH", self.folder.join("usr/share/dcmtk/dicom.dic"))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    /// All plugins that come with the server and need no other program.
    fn plugins(&self) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.folder.join("usr/share/orthanc/plugins")).expect("plugins");
        let mut plugins: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
        plugins.retain(|path| path.extension().is_some_and(|extension| extension == "so"));
        plugins.retain(|path| !path.to_string_lossy().contains("PostgreSQL"));
        assert!(plugins.iter().any(|path| path.to_string_lossy().contains("DicomWeb")), "no DICOMweb plugin");
        plugins
    }
}

/// Writes a configuration that opens no port; the documentation's examples would be fetched from a public server, which
/// the dead proxy prevents.
fn configuration(folder: &Path, plugins: &[PathBuf]) -> PathBuf {
    let path = folder.join("orthanc.json");
    let text = serde_json::json!({
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
    std::fs::write(&path, text.to_string()).expect("the configuration can be written");
    path
}

fn every_route_of_the_core_is_known(server: &Server) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let list = folder.path().join("openapi.json");
    let output = server
        .command()
        .arg(format!("--openapi={}", list.display()))
        .arg(configuration(folder.path(), &[]))
        .output()
        .expect("the server runs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");

    let mut routes = documented(&std::fs::read(&list).expect("the list was written"));
    // Those whose example could not be fetched are left out of the list and named in the log.
    routes.extend(log.lines().filter_map(|line| {
        let (method, path) = line.split_once("Ignoring URI without API documentation: ")?.1.split_once(' ')?;
        Some((Method::parse(method)?, path.trim().to_owned()))
    }));
    // The list must be whole for the test to mean something.
    assert!(routes.len() > 280, "only {} routes: {log}", routes.len());
    for route in [(Get, "/system"), (Get, "/studies/{id}"), (Post, "/tools/find"), (Put, "/modalities/{id}")] {
        assert!(routes.contains(&(route.0, route.1.to_owned())), "{route:?} is not in the server's list");
    }
    assert_known(routes.iter().map(|(method, path)| (vec![*method], fill(path))));
}

fn documented(list: &[u8]) -> BTreeSet<(Method, String)> {
    let list: serde_json::Value = serde_json::from_slice(list).expect("JSON");
    let paths = list["paths"].as_object().expect("paths");
    let of_path = |(path, methods): (&String, &serde_json::Value)| {
        let methods: Vec<String> = methods.as_object().expect("methods").keys().cloned().collect();
        methods.into_iter().map(|method| (Method::parse(&method).expect("a method"), path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

fn every_route_of_the_plugins_is_known(server: &Server) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut child = server
        .command()
        .arg("--verbose")
        .arg(configuration(folder.path(), &server.plugins()))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map(Killed)
        .expect("the server starts");
    let stderr = child.0.stderr.take().expect("its log");
    let (sender, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut routes = Vec::new();
    let mut log = String::new();
    loop {
        let line = lines.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("it did not start: {log}"));
        if let Some((kind, pattern)) = line
            .split_once("has registered a REST callback")
            .map(|(_, rest)| rest)
            .and_then(|rest| rest.split_once(" on: "))
        {
            let path = fill(&pattern.trim().replace("([^/]*)", "{any}").replace("(.*)", "{path}"));
            // A pattern is for all methods, whichever of them the plugin then answers; STOW-RS reads in chunks.
            let some = if kind.contains("chunked") { vec![Get, Post] } else { Vec::new() };
            routes.push((some, path));
        }
        log.push_str(&line);
        log.push('\n');
        if line.contains("Orthanc has started") {
            break;
        }
    }
    drop((child, lines));
    reader.join().expect("the log's reader");
    assert!(routes.len() > 35, "only {} routes: {log}", routes.len());
    assert_known(routes.into_iter());
}

/// A child that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Puts something plausible in the place of each placeholder.
fn fill(path: &str) -> String {
    let mut before = "";
    let mut below_dicom_web = false;
    let mut filled = String::new();
    for segment in path.split('/').skip(1) {
        below_dicom_web |= segment == "dicom-web";
        filled.push('/');
        filled.push_str(match (segment.starts_with('{'), before) {
            (false, _) => segment,
            (true, "studies" | "series" | "instances") if below_dicom_web => "1.2.840.113619.2.176.2025",
            (true, "patients" | "studies" | "series" | "instances") => ID,
            (true, _) if segment == "{path}" => "0010-0010/0/0010-0010",
            (true, _) => "word",
        });
        before = segment;
    }
    filled
}

/// Fails with the list of all requests that the model does not know. Without methods, one that is known is enough.
fn assert_known(requests: impl Iterator<Item = (Vec<Method>, String)>) {
    let model = RouteModel::new(&Roots::default()).expect("the table can be used");
    let is_known = |method: Method, path: &str| model.classify(method, path, &[]).handling != Handling::Unknown;
    let mut unknown = Vec::new();
    for (methods, path) in requests {
        if methods.is_empty() && ![Get, Post, Put, Delete].into_iter().any(|method| is_known(method, &path)) {
            unknown.push(format!("any method of {path}"));
        }
        for method in methods.into_iter().filter(|method| !is_known(*method, &path)) {
            unknown.push(format!("{} {path}", method.as_str()));
        }
    }
    assert!(unknown.is_empty(), "src/route/table/ does not know:\n{}", unknown.join("\n"));
}
