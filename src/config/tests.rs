//! Faults as the administrator reads them, and what a sound configuration becomes.

mod documentation;
mod faults;
mod sound;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Config, Environment, read};

/// A well-formed hash; of which password does not matter here.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$L8PP8wFNvTVaXzTMNiuXFCJBQpK+ZV7kSGY5GZvyUQo";

/// Surroundings made of texts.
#[derive(Default)]
struct Fake {
    variables: HashMap<&'static str, &'static str>,
    files: HashMap<&'static str, &'static str>,
    base: &'static str,
}

impl Environment for Fake {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|text| (*text).to_owned())
    }
    fn read_file(&self, path: &Path) -> io::Result<String> {
        let found = path.to_str().and_then(|path| self.files.get(path));
        found.map(|text| (*text).to_owned()).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }
    fn read_folder(&self, path: &Path) -> io::Result<()> {
        let is_made_up = self.files.keys().any(|file| Path::new(file).starts_with(path));
        if is_made_up { Ok(()) } else { std::fs::read_dir(path).map(drop) }
    }
    fn base_directory(&self) -> PathBuf {
        self.base.into()
    }
}

fn files(files: &[(&'static str, &'static str)]) -> Fake {
    Fake { files: files.iter().copied().collect(), ..Fake::default() }
}

fn variables(variables: &[(&'static str, &'static str)]) -> Fake {
    Fake { variables: variables.iter().copied().collect(), ..Fake::default() }
}

/// Reads a section within an otherwise empty configuration.
fn section_in(section: Value, environment: &Fake) -> Result<Config, String> {
    let text = json!({ "Authorization": section }).to_string();
    read(&text, environment).map(|config| config.expect("enabled")).map_err(|faults| faults.to_string())
}

fn section(section: Value) -> Result<Config, String> {
    section_in(section, &Fake::default())
}

/// The faults of a section.
fn faults(value: Value) -> String {
    section(value).map(|_| "sound".to_owned()).unwrap_or_else(|faults| faults)
}
