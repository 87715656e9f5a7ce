//! `cargo xtask bench`: what the plugin costs, in Markdown on stdout; progress goes to stderr.
//!
//! `variants` says what is compared with what, `load` sends requests, this file runs the rounds and writes the tables;
//! `search` is a comparison of its own.
mod load;
mod search;
mod variants;

use crate::checks;
use anyhow::{Context, Result};
use testbed::{OrthancBuilder, Version, setup};
use variants::Site;

/// The cost of searches, for so many studies each.
pub(crate) fn searches(version: Version, sizes: &[usize]) -> Result<()> {
    setup::ensure_all(&[version])?;
    search::run(version, sizes)
}

/// In-process benches, HTTP ratios, memory and start-up; whatever is asked for.
pub(crate) fn run(version: Version, rounds: usize, in_process: bool, http: bool) -> Result<()> {
    setup::ensure_all(&[version])?;
    if in_process {
        checks::cargo(&["bench", "--package", "orthanc-gatehouse"], false)?;
    }
    if http {
        let site = Site::build(version, rounds)?;
        ratios(&site, rounds.max(1))?;
        footprint(&site, rounds.clamp(3, 9))?;
    }
    Ok(())
}

/// The p50 of each row and of what it is compared with, measured in turns, and the median of the rounds' ratios with
/// their lowest and highest.
fn ratios(site: &Site, rounds: usize) -> Result<()> {
    println!("| route | variant | against | connections | p50 | p50 against | ratio | lowest–highest | goal |");
    println!("|---|---|---|--:|--:|--:|--:|--:|--:|");
    for row in site.rows() {
        for (connections, goal) in [(1, row.goals[0]), (8, row.goals[1])] {
            eprintln!("bench: {} as {}, {connections} connections", row.route, row.variant);
            let sides = [site.variant(row.variant)?, site.variant(row.against)?];
            let request = site.request(row.route)?;
            let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..rounds {
                let times = load::measure(sides, request, connections, row.requests / connections)
                    .with_context(|| format!("{} as {}", row.route, row.variant))?;
                let (a, b) = (p50(&times.ours), p50(&times.theirs));
                ours.push(a);
                theirs.push(b);
                ratios.push(a / b);
            }
            let goal = if goal.is_finite() { format!("≤ {goal:.2}") } else { "–".to_owned() };
            let ratio = median(&mut ratios);
            let (lowest, highest) = ratios.first().zip(ratios.last()).context("no rounds")?;
            println!(
                "| {} | {} | {} | {connections} | {:.0} µs | {:.0} µs | {ratio:.2} | {lowest:.2}–{highest:.2} | {goal} |",
                row.route,
                row.variant,
                row.against,
                median(&mut ours),
                median(&mut theirs),
            );
        }
    }
    println!();
    Ok(())
}

/// The median in microseconds.
fn p50(times: &[std::time::Duration]) -> f64 {
    let mut times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
    median(&mut times)
}

/// Memory after a few requests, and the time until the first answer; started in turns.
fn footprint(site: &Site, rounds: usize) -> Result<()> {
    println!("| | start-up | resident | proportional |\n|---|--:|--:|--:|");
    let contenders: [(&str, &OrthancBuilder); 2] = [("without", site.bare_builder()), ("with", site.plugin_builder())];
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
