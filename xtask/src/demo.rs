//! `cargo xtask demo`: a protected Orthanc that a newcomer can play with, and a show of who may do what.
//!
//! `site` says what the place looks like, `show` what is tried there; this file builds it and tears it down.
mod show;
mod site;

use crate::interrupt::Interrupt;
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use testbed::plugin::plugin_library;
use testbed::{Orthanc, OrthancBuilder, Version, dicom, orthanc, setup};

const DEFAULT_PORT: u16 = 8042;

/// Builds, starts, shows; stays until Ctrl-C unless `once`. An error if anything was not as it should be.
pub(crate) fn demo(version: Version, port: Option<u16>, plugin: Option<PathBuf>, once: bool) -> Result<()> {
    if port.is_some() {
        // Before minutes are spent on building.
        choose_port(port)?;
    }
    progress("looking for what is needed");
    setup::ensure_demonstration(version)?;
    let library = match plugin {
        Some(library) => library,
        None => {
            // Not optimized: a newcomer waits less, and sees the same.
            progress("building the plugin (the first time takes minutes)");
            plugin_library()?
        }
    };
    let interrupt = Interrupt::watch()?;
    let played = play(version, port, library, once, &interrupt);
    // The server gets Ctrl-C too and ends by itself, which looks like a failure to whoever was waiting for it.
    if played.is_err() {
        interrupt.check().context("stopped; nothing is left running")?;
    }
    played
}

/// The demonstration itself.
fn play(version: Version, port: Option<u16>, library: PathBuf, once: bool, interrupt: &Interrupt) -> Result<()> {
    let port = choose_port(port)?;
    progress(&format!("starting Orthanc from Debian {} on port {port}", version.suite()));
    let folder = tempfile::Builder::new().prefix("gatehouse-demo-").tempdir()?;

    // The images are put there before there is a gate, as on a site that has been running for years.
    let builder = Orthanc::builder(version).dicomweb()?.folder(folder.path()).port(port);
    let mut bare = builder.start()?;
    let images = site::fill(&bare)?;
    bare.stop()?;
    interrupt.check()?;

    let users = site::Users::new()?;
    let builder = builder.plugin(library).verbose().configure(&site::configuration(&users, folder.path(), port)?);
    let mut server = builder.start()?;
    interrupt.check()?;
    progress(&format!("configuration: {}", server.configuration_file().display()));
    if once {
        println!("\nThe server ends after the show; without --once it stays for you to try.");
    }
    let cast = show::Cast::assemble(&server, &users, &images)?;
    let surprises = cast.perform(&server, interrupt)?;

    if once || surprises > 0 {
        server.stop()?;
    } else {
        println!("\nOrthanc runs at {}/ (user admin, password {}).", server.url(), users.password("admin"));
        println!("Ctrl-C stops it and removes everything.");
        interrupt.wait();
        progress("stopping");
        // It got Ctrl-C too, and a second signal while it ends may be what ends it.
        if server.stop().is_err() {
            server.kill()?;
        }
        progress("stopped; nothing is left running");
    }
    ensure!(surprises == 0, "{surprises} answers were not as expected");
    Ok(())
}

/// `cargo xtask orthanc`: one server with the plugin and DICOMweb in the foreground, its log on the terminal.
pub(crate) fn orthanc(
    version: Version,
    port: Option<u16>,
    plugin: Option<PathBuf>,
    configuration: Option<&Path>,
) -> Result<()> {
    // Before minutes are spent on anything else.
    let more = configuration.map(read_configuration).transpose()?;
    let port = choose_port(port)?;
    setup::ensure_demonstration(version)?;
    let library = plugin.map_or_else(plugin_library, Ok)?;
    let interrupt = Interrupt::watch()?;
    let mut builder = OrthancBuilder::new(version).dicomweb()?.plugin(library).verbose().port(port);
    if let Some(more) = more {
        builder = builder.configure(&more);
    }
    let keeps = builder.keeps_its_state();
    let mut server = builder.start().map_err(|fault| {
        // Among the many lines of a verbose log, these are the ones to read.
        let said = fault.to_string();
        let faults: Vec<&str> = said.lines().filter(|line| line.starts_with('E')).collect();
        anyhow!("{said}\n\nOf this, the errors:\n{}", faults.join("\n"))
    })?;
    print!("{}", server.log());
    println!("\n{} with {}; Ctrl-C stops it", server.url(), server.configuration_file().display());
    println!(
        "Unless your file says otherwise: \"AuthenticationEnabled\": false (the plugin needs that), no DICOM port, loopback only."
    );
    if !keeps {
        println!(
            "Images, links and keys are in {} and are deleted when it stops. To keep them, write \"StorageDirectory\" into your file.",
            server.folder().display()
        );
    }
    let mut shown = server.log().len();
    while interrupt.check().is_ok() && server.exit_status()?.is_none() {
        let log = server.log();
        print!("{}", log.get(shown..).unwrap_or_default());
        shown = log.len();
        testbed::clock::pause(std::time::Duration::from_millis(100));
    }
    server.stop()
}

/// Orthanc's configuration in a file: JSON with comments, as Orthanc reads it. Where its state is, and what names a file
/// of the section, starts in this one's folder, and not in the temporary one that the server gets.
fn read_configuration(file: &Path) -> Result<Value> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let plain = json_comments::StripComments::new(text.as_slice());
    let mut value: Value =
        serde_json::from_reader(plain).with_context(|| format!("{} is no JSON with comments", file.display()))?;
    let folder = file.canonicalize()?.parent().context("no folder")?.to_owned();
    for key in ["StorageDirectory", "IndexDirectory"] {
        if let Some(Value::String(path)) = value.get_mut(key) {
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    }
    if let Some(section) = value.get_mut("Authorization") {
        start_files_in(&folder, section);
    }
    Ok(value)
}

fn start_files_in(folder: &Path, value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(path) if name.ends_with("File") => {
                        *path = folder.join(&*path).to_string_lossy().into_owned();
                    }
                    value => start_files_in(folder, value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| start_files_in(folder, value)),
        _ => {}
    }
}

/// The port that was asked for, or 8042, or a free one; never one where somebody listens.
fn choose_port(asked: Option<u16>) -> Result<u16> {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
    match asked {
        Some(port) => {
            ensure!(is_free(port), "port {port} belongs to another program; choose another with --port");
            Ok(port)
        }
        None if is_free(DEFAULT_PORT) => Ok(DEFAULT_PORT),
        None => {
            let port = orthanc::free_port()?;
            progress(&format!("port {DEFAULT_PORT} belongs to another program, taking {port} (--port chooses)"));
            Ok(port)
        }
    }
}

/// One line on stderr: what is happening now.
fn progress(text: &str) {
    eprintln!("demo: {text}");
}

/// The studies of the demonstration.
struct Images {
    /// Labelled `external`.
    shared: dicom::Uploaded,
    /// Its StudyInstanceUID.
    shared_uid: String,
    /// Without a label.
    private: dicom::Uploaded,
    /// Its StudyInstanceUID.
    private_uid: String,
    /// How many studies there are, and how many of them are labelled.
    total: usize,
    labelled: usize,
}

/// The StudyInstanceUID of a study.
fn study_uid(server: &Orthanc, study: &str) -> Result<String> {
    let answer = server.client().get(&format!("/studies/{study}"))?.expect_status(200)?.json()?;
    let uid = answer["MainDicomTags"]["StudyInstanceUID"].as_str();
    Ok(uid.with_context(|| format!("no StudyInstanceUID in {answer}"))?.to_owned())
}

/// The body of a request for a link to one study.
fn link_to(study: &str, uid: &str) -> Value {
    json!({"ID": "demo", "Type": "stone-viewer-publication", "ValidityDuration": 3600,
        "Resources": [{"OrthancId": study, "DicomUid": uid, "Level": "study"}]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_where_the_state_is_kept() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("orthanc.json");
        std::fs::write(&file, r#"{"StorageDirectory": "images"} // kept"#)?;
        let configuration = read_configuration(&file)?;
        let kept = folder.path().canonicalize()?.join("images");
        assert_eq!(configuration["StorageDirectory"].as_str(), kept.to_str());
        let version = Version::tested().first().copied().context("no version")?;
        assert!(OrthancBuilder::new(version).configure(&configuration).keeps_its_state());
        assert!(!OrthancBuilder::new(version).keeps_its_state());
        Ok(())
    }
}
