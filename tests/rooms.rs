//! The map of the rooms in `docs/architecture.md`: which part of the crate may know of which other. Reads the sources, not
//! their tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Rooms that a request walks through and those that are called pure, each with all that it may import. Whoever adds a name
/// here makes the room depend on it: is it not the other one that should know?
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("bytes", &[]),
    ("person", &[]),
    ("level", &[]),
    ("likeness", &[]),
    ("log_text", &[]),
    ("host", &["json"]),
    ("request", &["host"]),
    ("json", &[]),
    ("seats", &[]),
    ("worker", &[]),
    ("credential", &["host", "request"]),
    ("policy", &["clock", "config", "host", "json", "level", "likeness", "request"]),
    ("resource", &["clock", "host", "json", "level"]),
    ("route", &["host", "request", "resource"]),
    ("store", &["clock", "person"]),
    ("browser", &["host", "log_text", "request"]),
    ("share", &["browser", "bytes", "clock", "config", "json", "level", "person", "policy", "route", "secret"]),
    (
        "identity",
        &[
            "bounded_body",
            "browser",
            "bytes",
            "clock",
            "config",
            // The type that it verifies.
            "credential",
            "log_text",
            "panics",
            "person",
            "policy",
            "seal",
            "seats",
            "secret",
            "share",
            "store",
            "worker",
        ],
    ),
    ("ownership", &["identity", "person", "route"]),
];

#[test]
fn rooms_import_nothing_that_comes_before_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (room, may) in MAY_IMPORT {
        let mut files = Vec::new();
        let file = src.join(format!("{room}.rs"));
        if file.exists() {
            files.push(file);
        }
        collect(&src.join(room), &mut files);
        assert!(!files.is_empty(), "there is no room {room}");
        for file in files {
            for name in imports(&fs::read_to_string(&file).unwrap()) {
                if name != *room && !may.contains(&name.as_str()) {
                    wrong.push(format!("{} imports {name}", file.strip_prefix(&src).unwrap().display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_import_is_seen_however_it_is_written() {
    let source = "//! crate::docs\nuse crate::gate::{Gate, x};\nfn f() { crate::api::g(); }\nuse crate::{slot, pages::P};\n\
                  pub use crate::host;\n#[cfg(test)]\nmod tests {\n    use crate::testing::Bed;\n}\n";
    let expected = ["api", "gate", "host", "pages", "slot"].map(str::to_owned);
    assert_eq!(imports(source), BTreeSet::from(expected));
}

/// Everything below a folder but tests.
fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_test = ["tests", "testing", "fuzzing", "faulty"].iter().any(|word| name.starts_with(word))
            || name.trim_end_matches(".rs").ends_with("_tests");
        if path.is_dir() && !is_test {
            collect(&path, files);
        } else if name.ends_with(".rs") && !is_test {
            files.push(path);
        }
    }
}

/// The names behind `crate::` in what is no comment and comes before the tests of a file.
fn imports(source: &str) -> BTreeSet<String> {
    let (code, _) = source.split_once("#[cfg(test)]\nmod tests {").unwrap_or((source, ""));
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.collect::<Vec<_>>().join("\n");
    let word = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for (_, rest) in code.match_indices("crate::").map(|(at, found)| code.split_at(at + found.len())) {
        match rest.strip_prefix('{') {
            None => {
                names.insert(word(rest));
            }
            Some(list) => {
                let list = list.split_once("};").map_or(list, |(list, _)| list);
                names.extend(list.split(',').map(|item| word(item.trim())));
            }
        }
    }
    names.remove("");
    names
}
