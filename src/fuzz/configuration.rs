//! Orthanc's configuration: read, or refused with where and why.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::{self, Environment};

/// Stands in everything that is secret.
const MARKER: &str = "nobody-may-read-this-0123456789";

/// Members that hold secrets; files with secrets end like their keys.
const SECRETS: [&str; 5] = ["SecretKey", "PreviousSecretKeys", "PasswordHash", "AdminClientSecret", "ClientSecret"];

/// Surroundings with secrets.
struct Surroundings;

impl Environment for Surroundings {
    fn variable(&self, name: &str) -> Option<String> {
        name.contains("SECRET").then(|| MARKER.to_owned())
    }
    fn read_file(&self, path: &Path) -> std::io::Result<String> {
        // Not everything that is read from such a file is a secret.
        if path.starts_with("/run/secrets") && !path.to_string_lossy().contains("SECRET") {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        Ok(format!("{MARKER}\n"))
    }
    fn base_directory(&self) -> PathBuf {
        PathBuf::from("/etc/orthanc")
    }
}

/// A whole configuration: every fault is one line with its place, and nothing that is secret is shown, whether it is
/// sound or not.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    check(text);
    // The same with what is secret marked.
    if let Ok(mut configuration) = serde_json::from_str::<Value>(text) {
        mark(&mut configuration, false);
        check(&configuration.to_string());
    }
}

fn check(text: &str) {
    let first = config::read(text, &Surroundings);
    match &first {
        Err(faults) => {
            assert!(!faults.as_slice().is_empty());
            for fault in faults.as_slice() {
                let line = fault.to_string();
                let place = line.split_once(": ").map(|(place, _)| place).unwrap_or_default();
                assert!(!place.trim().is_empty(), "no key path: {line:?}");
                assert!(!line.contains(char::is_control), "not one line: {line:?}");
                assert!(!line.contains(MARKER), "a secret is shown: {line}");
            }
            assert_eq!(faults.to_string().lines().count(), faults.as_slice().len(), "{faults}");
        }
        Ok(Some(config)) => {
            let shown = format!("{config:?}");
            assert!(!shown.contains(MARKER), "a secret is shown: {shown}");
            let lines = config.warnings.iter().map(ToString::to_string);
            assert!(lines.into_iter().all(|line| !line.contains(MARKER) && !line.contains('\n')));
        }
        Ok(None) => {}
    }
    let second = config::read(text, &Surroundings);
    assert_eq!(format!("{first:?}"), format!("{second:?}"), "read twice, and not the same");
}

/// Puts the marker into every text that is secret.
fn mark(value: &mut Value, is_secret: bool) {
    match value {
        Value::String(text) if is_secret => *text = format!("{MARKER}{text}"),
        Value::Array(list) => list.iter_mut().for_each(|one| mark(one, is_secret)),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                mark(member, SECRETS.contains(&name.as_str()));
            }
        }
        _ => {}
    }
}
