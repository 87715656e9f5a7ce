//! `cargo xtask bench`: what the plugin costs, in Markdown on stdout; progress goes to stderr.
//!
//! `variants` says what is compared with what, `load` sends requests, this file runs the rounds and writes the tables;
//! `search` and `memory` are comparisons of their own.
mod load;
mod memory;
mod processor;
mod search;
mod variants;

use crate::checks;
use anyhow::{Context, Result, ensure};
use testbed::{OrthancBuilder, Version, setup};
use variants::{Row, Site};

/// The cost of searches, for so many studies each.
pub(crate) fn searches(version: Version, sizes: &[usize], rounds: usize) -> Result<()> {
    setup::ensure_all(&[version])?;
    search::run(version, sizes, rounds.max(1))
}

/// The highest memory while so many MiB go through a server, so many times.
pub(crate) fn memory(version: Version, mebibytes: usize, rounds: usize) -> Result<()> {
    setup::ensure_all(&[version])?;
    memory::run(version, mebibytes, rounds.max(1))
}

/// The cost of links with so many of them in the state.
pub(crate) fn links(count: usize) -> Result<()> {
    checks::cargo_with(
        &["bench", "--package", "orthanc-gatehouse", "--bench", "links"],
        &[("GATEHOUSE_LINKS", &count.to_string())],
    )
}

/// In-process benches, HTTP ratios, memory and start-up; whatever is asked for. `only`: the rows of one variant,
/// nothing else.
pub(crate) fn run(version: Version, rounds: usize, in_process: bool, http: bool, only: Option<&str>) -> Result<()> {
    setup::ensure_all(&[version])?;
    if in_process {
        checks::cargo(&["bench", "--package", "orthanc-gatehouse"], false)?;
    }
    if http {
        let mut site = Site::build(version)?;
        ratios(&mut site, rounds.max(1), only)?;
        if only.is_some() {
            return site.finish();
        }
        let builders = [site.bare_builder().clone(), site.plugin_builder().clone()];
        site.finish()?;
        footprint(builders, rounds.clamp(3, 9))?;
    }
    Ok(())
}

/// The p50 of each row and of what it is compared with, measured in turns, and the median of the rounds' ratios with
/// their lowest and highest. Each round has servers that were started anew.
fn ratios(site: &mut Site, rounds: usize, only: Option<&str>) -> Result<()> {
    let rows: Vec<&'static Row> =
        site.rows().iter().filter(|row| only.is_none_or(|name| row.variant == name)).collect();
    ensure!(!rows.is_empty(), "no row has the variant {}", only.unwrap_or_default());
    let mut lines: Vec<Line> = Vec::new();
    for round in 1..=rounds {
        eprintln!("bench: round {round} of {rounds}");
        site.restart(&rows)?;
        let kinds = rows.iter().copied().flat_map(|row| [(row, 1, row.goals[0]), (row, 8, row.goals[1])]);
        for (number, (row, connections, goal)) in kinds.enumerate() {
            let request = site.request(row.route)?;
            let sides = [(site.variant(row.variant)?, request), (site.variant(row.against)?, request)];
            let times = load::measure(sides, connections, row.requests / connections)
                .with_context(|| format!("{} as {}", row.route, row.variant))?;
            if round == 1 {
                lines.push(Line { row, connections, goal, ours: Vec::new(), theirs: Vec::new(), ratios: Vec::new() });
            }
            let line = lines.get_mut(number).context("the rows do not change")?;
            let (a, b) = (p50(&times.ours), p50(&times.theirs));
            line.ours.push(a);
            line.theirs.push(b);
            line.ratios.push(a / b);
        }
    }
    println!("| route | variant | against | connections | p50 | p50 against | ratio | lowest–highest | goal |");
    println!("|---|---|---|--:|--:|--:|--:|--:|--:|");
    for mut line in lines {
        let goal = if line.goal.is_finite() { format!("≤ {:.2}", line.goal) } else { "–".to_owned() };
        let ratio = median(&mut line.ratios);
        let (lowest, highest) = line.ratios.first().zip(line.ratios.last()).context("no rounds")?;
        println!(
            "| {} | {} | {} | {} | {:.0} µs | {:.0} µs | {ratio:.2} | {lowest:.2}–{highest:.2} | {goal} |",
            line.row.route,
            line.row.variant,
            line.row.against,
            line.connections,
            median(&mut line.ours),
            median(&mut line.theirs),
        );
    }
    println!();
    Ok(())
}

/// A line of the table: what each round gave.
struct Line {
    row: &'static Row,
    connections: usize,
    goal: f64,
    ours: Vec<f64>,
    theirs: Vec<f64>,
    ratios: Vec<f64>,
}

/// The median in microseconds.
fn p50(times: &[std::time::Duration]) -> f64 {
    let mut times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
    median(&mut times)
}

/// Memory after a few requests, and the time until the first answer; started in turns.
fn footprint([bare, plugin]: [OrthancBuilder; 2], rounds: usize) -> Result<()> {
    println!("| | start-up | resident | proportional |\n|---|--:|--:|--:|");
    let contenders: [(&str, &OrthancBuilder); 2] = [("without", &bare), ("with", &plugin)];
    let mut figures = contenders.map(|_| (Vec::new(), Vec::new(), Vec::new()));
    for round in 0..rounds {
        eprintln!("bench: start-up and memory, round {}", round + 1);
        for ((_, builder), (startup, rss, pss)) in contenders.iter().zip(&mut figures) {
            let mut server = builder.start()?;
            for _ in 0..100 {
                server.client().get("/system")?;
            }
            startup.push(server.startup().as_secs_f64() * 1e3);
            let memory = server.memory()?;
            rss.push(kib_to_mib(memory.rss));
            pss.push(kib_to_mib(memory.pss));
            server.stop()?;
        }
    }
    for ((name, _), (mut startup, mut rss, mut pss)) in contenders.into_iter().zip(figures) {
        let (startup, rss, pss) = (median(&mut startup), median(&mut rss), median(&mut pss));
        println!("| {name} the plugin | {startup:.0} ms | {rss:.1} MiB | {pss:.1} MiB |");
    }
    println!("\nGoals: at most 100 ms and 20 MiB more.");
    Ok(())
}

fn kib_to_mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
