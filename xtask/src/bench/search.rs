//! What a search costs somebody limited, by level, by how much is allowed and by how much there is: beside the same
//! query on a bare Orthanc with the same studies.
//!
//! Two patterns are looked for: the cost grows with the allowed studies or the answer, never with the foreign ones, and
//! at study level it is that of the same query with the label written into it (decision 16).
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testbed::clock::monotonic;
use testbed::dicom::{self, Instance};
use testbed::{Client, Orthanc, OrthancBuilder, Version, password_hash, plugin, workspace};

/// One study in a hundred carries the first label, every second one the second.
const LABELS: [(&str, usize); 2] = [("one-percent", 100), ("half", 2)];

/// A few timings of each query are enough: they differ by orders of magnitude.
const REPEATS: usize = 7;

/// A table for each number of studies. An index is built once and kept; the largest one takes a while.
pub(super) fn run(version: Version, sizes: &[usize]) -> Result<()> {
    let library = plugin::release_library()?;
    println!("| studies | level | query | allowed | limited user | bare | bare, label written in |");
    println!("|--:|---|---|--:|--:|--:|--:|");
    for size in sizes {
        let index = index(version, *size)?;
        let bare = copy(&index, "bare")?;
        let gated = copy(&index, "gated")?;
        let bare = builder(version, bare.path()).start()?;
        let users = LABELS.map(|(label, _)| label).into_iter().map(account).collect::<Result<Vec<_>>>()?;
        let users: serde_json::Map<String, Value> = users.into_iter().collect();
        let roles: serde_json::Map<String, Value> = LABELS
            .map(|(label, _)| (label.to_owned(), json!({"permissions": ["view"], "authorized-labels": [label]})))
            .into_iter()
            .collect();
        let gated = builder(version, gated.path())
            .plugin(&library)
            .configure(&json!({"Authorization": {"Users": users, "Roles": roles}}))
            .start()?;
        for (label, share) in LABELS {
            table(*size, share, label, &bare.client(), &gated.client().with_basic(label, label))?;
        }
    }
    println!();
    Ok(())
}

fn table(size: usize, share: usize, label: &str, bare: &Client, limited: &Client) -> Result<()> {
    // The last study that this label has.
    let patient = format!("search-{}", (size - 1) / share * share);
    for level in ["Study", "Series", "Instance"] {
        let queries = [
            ("first 20", "/tools/find", json!({"Level": level, "Query": {}, "Limit": 20})),
            ("all", "/tools/find", json!({"Level": level, "Query": {}})),
            ("one patient", "/tools/find", json!({"Level": level, "Query": {"PatientID": patient}})),
            ("count", "/tools/count-resources", json!({"Level": level, "Query": {}})),
        ];
        for (name, route, query) in queries {
            eprintln!("bench: search {size} {level} {name} {label}");
            let mut labelled = query.clone();
            labelled["Labels"] = json!([label]);
            let ours = time(limited, route, &query)?;
            let theirs = time(bare, route, &query)?;
            // Labels lie at the studies: only there does the bare server know them.
            let written_in = if level == "Study" { shown(time(bare, route, &labelled)?) } else { "–".to_owned() };
            println!(
                "| {size} | {level} | {name} | {} | {} | {} | {written_in} |",
                size / share,
                shown(ours),
                shown(theirs),
            );
        }
    }
    Ok(())
}

/// The median.
fn time(client: &Client, route: &str, query: &Value) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let start = monotonic();
        client.post_json(route, query)?.expect_status(200)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times.get(REPEATS / 2).copied().context("no timings")
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn account(label: &str) -> Result<(String, Value)> {
    Ok((label.to_owned(), json!({"PasswordHash": password_hash(label)?, "Roles": [label]})))
}

fn builder(version: Version, folder: &Path) -> OrthancBuilder {
    Orthanc::builder(version).folder(folder).configure(&json!({"StoreDicom": false}))
}

/// A server's folder with so many studies of one image each, below `.cache/search/`; built if need be.
fn index(version: Version, size: usize) -> Result<PathBuf> {
    let place = workspace::cache().join("search");
    let folder = place.join(format!("{}-{size}", version.suite()));
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(&place)?;
    let fresh = tempfile::Builder::new().prefix("building-").tempdir_in(&place)?;
    let mut server = builder(version, fresh.path()).start()?;
    let client = server.client();
    let start = monotonic();
    for number in 0..size {
        let image = Instance::named(&format!("search-{number}"), "study", "series", "image");
        let study = dicom::upload(&client, image.to_bytes())?.study;
        for (label, _) in LABELS.iter().filter(|(_, share)| number % share == 0) {
            dicom::label(&client, &study, label)?;
        }
        if number % 1_000 == 999 {
            eprintln!("bench: {} of {size} studies stored in {} s", number + 1, start.elapsed().as_secs());
        }
    }
    server.stop()?;
    fs::rename(fresh.keep(), &folder)?;
    Ok(folder)
}

/// Its own copy for each server, as two cannot share an index.
fn copy(index: &Path, name: &str) -> Result<tempfile::TempDir> {
    let copy = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir()?;
    let to = copy.path().join("index");
    fs::create_dir(&to)?;
    for file in fs::read_dir(index.join("index"))? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(copy)
}
