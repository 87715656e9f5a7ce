//! What a search costs somebody limited, by level, by how much is allowed and by how much there is: beside the same
//! query on a bare Orthanc with the same studies.
//!
//! Two patterns are looked for: the cost grows with the allowed studies or the answer, never with the foreign ones, and
//! at study level it is that of the same query with the label written into it (decision 16). That query is also asked of
//! a server whose plugin only hands it on, which is what being asked at all costs.
use super::load::{self, Times};
use super::processor::Processors;
use super::variants::{Variant, always, empty_override, start};
use super::{median, p50};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testbed::clock::monotonic;
use testbed::dicom::{self, Instance};
use testbed::{Client, Orthanc, OrthancBuilder, Request, Version, password_hash, plugin, workspace};

/// One study in a hundred carries the first label, every second one the second.
const LABELS: [(&str, usize); 2] = [("one-percent", 100), ("half", 2)];

/// Requests per query, side and round; fewer of slow ones.
const MOST_REQUESTS: usize = 60;
const LEAST_REQUESTS: usize = 3;

/// How long both sides together may take for a query of a round. What takes longer is asked once.
const PATIENCE: Duration = Duration::from_secs(3);

/// A table for each number of studies; each row has the medians of the rounds. An index is built once and kept; the
/// largest one takes a while.
pub(super) fn run(version: Version, sizes: &[usize], rounds: usize) -> Result<()> {
    let library = plugin::release_library()?;
    let empty = empty_override(version)?;
    let processors = Processors::find()?;
    println!(
        "| studies | level | query | allowed | limited user | bare | bare, label written in | ratio | range | empty override, label written in | ratio | range |"
    );
    println!("|--:|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for size in sizes {
        let index = index(version, *size)?;
        let [bare, handing_on, gated] = ["bare", "handing-on", "gated"].map(|name| copy(&index, name));
        let (bare, handing_on, gated) = (bare?, handing_on?, gated?);
        let builders = [
            builder(version, bare.path()),
            builder(version, handing_on.path()).plugin(&empty),
            builder(version, gated.path()).plugin(&library).configure(&configuration()?),
        ];
        // What is compared comes before what takes long, which leaves a server's memory in another order.
        let lines = ["Study", "Series", "Instance"].into_iter().flat_map(|level| lines(*size, level));
        let mut lines: Vec<Line> = lines.collect();
        for round in 1..=rounds {
            eprintln!("bench: searches among {size}, round {round} of {rounds}");
            // Started anew: two processes of the same program differ by a few percent for as long as they live.
            let servers = start(&builders, processors.as_ref())?;
            let [bare, handing_on, gated] = servers.as_slice() else { bail!("three servers") };
            for line in &mut lines {
                line.measure(bare, handing_on, gated)
                    .with_context(|| format!("{} {}, {}", line.level, line.name, line.label))?;
            }
        }
        processors.as_ref().map_or(Ok(()), Processors::free)?;
        lines.iter_mut().try_for_each(|line| line.print(*size))?;
    }
    println!();
    Ok(())
}

/// A line of the table: a query, and what each round gave.
struct Line {
    level: &'static str,
    name: &'static str,
    route: &'static str,
    query: Value,
    label: &'static str,
    allowed: usize,
    limited: Vec<f64>,
    bare: Vec<f64>,
    /// With the label in the query, at study level: of the bare server, and of the one whose plugin hands on. Labels lie
    /// at the studies: only there do these servers know them.
    labelled: [Against; 2],
}

/// The same answer from another server.
#[derive(Default)]
struct Against {
    times: Vec<f64>,
    /// What the limited user's cost in the same turns, against these.
    ratios: Vec<f64>,
}

fn lines(size: usize, level: &'static str) -> Vec<Line> {
    let of_label = |(label, share)| {
        // The last study that this label has.
        let patient = format!("search-{}", (size - 1) / share * share);
        [
            ("first 20", "/tools/find", json!({"Level": level, "Query": {}, "Limit": 20})),
            ("all", "/tools/find", json!({"Level": level, "Query": {}})),
            ("one patient", "/tools/find", json!({"Level": level, "Query": {"PatientID": patient}})),
            ("count", "/tools/count-resources", json!({"Level": level, "Query": {}})),
        ]
        .map(|(name, route, query)| {
            let (limited, bare, labelled) = Default::default();
            let allowed = size.div_ceil(share);
            Line { level, name, route, query, label, allowed, limited, bare, labelled }
        })
    };
    LABELS.into_iter().flat_map(of_label).collect()
}

impl Line {
    fn measure(&mut self, bare: &Orthanc, handing_on: &Orthanc, gated: &Orthanc) -> Result<()> {
        let credential = testbed::http::basic_value(self.label, self.label);
        let limited = always("limited user", gated.address(), Some(("Authorization", credential)));
        let bare = always("bare", bare.address(), None);
        let handing_on = always("empty override", handing_on.address(), None);
        let request = Request::new("POST", self.route).json(&self.query);
        let times = in_turns([(&limited, &request), (&bare, &request)])?;
        self.limited.push(p50(&times.ours));
        self.bare.push(p50(&times.theirs));
        if self.level != "Study" {
            return Ok(());
        }
        let mut labelled = self.query.clone();
        labelled["Labels"] = json!([self.label]);
        let labelled = Request::new("POST", self.route).json(&labelled);
        for (against, server) in self.labelled.iter_mut().zip([&bare, &handing_on]) {
            let sides = [(&limited, &request), (server, &labelled)];
            same_answer(sides)?;
            let times = in_turns(sides)?;
            let (ours, theirs) = (p50(&times.ours), p50(&times.theirs));
            against.times.push(theirs);
            against.ratios.push(ours / theirs);
        }
        Ok(())
    }

    fn print(&mut self, size: usize) -> Result<()> {
        let shown = |times: &mut [f64]| format!("{:.2} ms", median(times) / 1e3);
        let (limited, bare) = (shown(&mut self.limited), shown(&mut self.bare));
        let Self { level, name, allowed, .. } = self;
        print!("| {size} | {level} | {name} | {allowed} | {limited} | {bare} |");
        for Against { times, ratios } in &mut self.labelled {
            if ratios.is_empty() {
                print!(" – | – | – |");
                continue;
            }
            let ratio = median(ratios);
            let (lowest, highest) = ratios.first().zip(ratios.last()).context("no rounds")?;
            print!(" {} | {ratio:.3} | {lowest:.3}–{highest:.3} |", shown(times));
        }
        println!();
        Ok(())
    }
}

/// As many requests as there is patience for, over one connection to each.
fn in_turns(sides: [(&Variant, &Request); 2]) -> Result<Times> {
    let once = load::measure(sides, 1, 1)?;
    let both: Duration = once.ours.iter().chain(&once.theirs).sum();
    if both > PATIENCE {
        return Ok(once);
    }
    let affordable = PATIENCE.as_secs_f64() / both.as_secs_f64().max(1e-6);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturates")]
    let count = (affordable as usize).clamp(LEAST_REQUESTS, MOST_REQUESTS);
    load::measure(sides, 1, count)
}

/// Two different answers would not be compared.
fn same_answer(sides: [(&Variant, &Request); 2]) -> Result<()> {
    let [ours, theirs] = sides.map(|(variant, request)| {
        let request = request.clone().headers(&(variant.headers)());
        Client::new(variant.address).send(request)?.expect_status(200)?.json()
    });
    let (ours, theirs) = (ours?, theirs?);
    ensure!(
        if ours.is_array() { dicom::sorted_ids(&ours) == dicom::sorted_ids(&theirs) } else { ours == theirs },
        "the answers differ"
    );
    Ok(())
}

/// Each label's user.
fn configuration() -> Result<Value> {
    let users = LABELS.map(|(label, _)| account(label)).into_iter().collect::<Result<serde_json::Map<_, _>>>()?;
    let role = |label: &str| json!({"permissions": ["view"], "authorized-labels": [label]});
    let roles: serde_json::Map<_, _> = LABELS.map(|(label, _)| (label.to_owned(), role(label))).into_iter().collect();
    Ok(json!({"Authorization": {"Users": users, "Roles": roles}}))
}

fn account(label: &str) -> Result<(String, Value)> {
    Ok((label.to_owned(), json!({"PasswordHash": password_hash(label)?, "Roles": [label]})))
}

fn builder(version: Version, folder: &Path) -> OrthancBuilder {
    Orthanc::builder(version)
        .folder(folder)
        // Longer than the other side's turn lasts.
        .configure(&json!({"StoreDicom": false, "KeepAliveTimeout": 600}))
        // As with the other figures.
        .env("MALLOC_TRIM_THRESHOLD_", "1073741824")
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
