//! No route leaks: every route that a real server says it has, with every method, many arguments, bodies and tricks, by
//! everybody from whom something is kept. Nothing foreign may be answered, changed, or sent away.
//!
//! The short form sends a sample that the seed chooses; the long one (`cargo xtask leaks --long`) everything. What
//! identities *can* do is in `can`, so that closing everything does not pass, and that the guards are what refuses is
//! in
//! `without_a_guard`.
#![deny(unsafe_code)]

mod arguments;
mod attack;
mod bodies;
mod can;
mod canary;
mod existence;
mod found;
mod identities;
mod images;
mod plan;
mod report;
mod routes;
mod session;
#[allow(dead_code, reason = "shared with the integration tests, which use more of it")]
#[path = "../integration/site.rs"]
mod site;
mod tricks;
mod unpack;
mod verdict;
mod watch;
mod without_a_guard;
mod world;

use crate::plan::Plan;
use crate::report::Report;
use crate::world::World;
use testbed::Version;
use testbed::clock::{monotonic, unix_seconds};
use testbed::random::{Random, number};

/// An environment variable: `long` sends everything.
const FORM: &str = "GATEHOUSE_LEAKS";
/// An environment variable with the number that a sample follows from.
const SEED: &str = "GATEHOUSE_LEAKS_SEED";
/// An environment variable with the beginning of the routes that the long form attacks, as the server lists them.
const ROUTE: &str = "GATEHOUSE_LEAKS_ROUTE";

#[test]
fn nothing_leaks_1_12_7() {
    nothing_leaks(Version::Trixie);
}

#[test]
fn nothing_leaks_1_13_0() {
    nothing_leaks(Version::Sid);
}

fn nothing_leaks(version: Version) {
    if !Version::tested().contains(&version) {
        return;
    }
    let (seed, start) = (number(SEED, unix_seconds().unsigned_abs()), monotonic());
    let long = std::env::var(FORM).is_ok_and(|form| form == "long");
    println!("leaks: {version:?}, {} form, {SEED}={seed}", if long { "long" } else { "short" });
    let listing = std::thread::spawn(move || routes::templates(version));
    let mut world = World::start(version, &testbed::plugin_library().unwrap(), seed);
    let templates = listing.join().unwrap();
    let identities = identities::attackers(&world);
    let targets = routes::targets(&world);
    println!("  {} routes, {} canaries, {} identities", templates.len(), world.canaries.len(), identities.len());

    found::learn(&mut world, &templates, &targets);
    let unrecognised = found::unrecognised(&world, &templates, &targets[1]);
    assert!(unrecognised.is_empty(), "nothing is recognised in:\n{}", unrecognised.join("\n"));
    can::can(&world, &identities, &targets[0]);

    let mut rng = Random::new(seed);
    let unknown = routes::unknown(&mut rng);
    let each = if long { 40 } else { 2 };
    let told = existence::told(&world, &templates, &identities, [&targets[0], &targets[1], &unknown], each, &mut rng);
    assert!(told.is_empty(), "{SEED}={seed}: it is told what exists:\n{}", told.join("\n"));

    let plan = Plan { identities: &identities, targets: &targets };
    let mut report = Report::default();
    let mut sample = plan.starters();
    if !long {
        sample.extend(templates.iter().flat_map(|template| plan.sample(template, 6, &mut rng)));
        rng.shuffle(&mut sample);
    }
    attack::attack(&mut world, &identities, &targets, &sample, &mut report);
    assert!(report.follow_ups > 20, "nothing that was started was looked at");
    if long {
        // Route by route: all requests together would not fit into memory.
        let only = std::env::var(ROUTE).unwrap_or_default();
        let attacked = || templates.iter().filter(|template| template.starts_with(&only));
        println!("  {} requests to come", attacked().map(|template| plan.all(template).len()).sum::<usize>());
        for template in attacked() {
            let before = report.leaks.len();
            attack::attack(&mut world, &identities, &targets, &plan.all(template), &mut report);
            let (requests, seconds) = (report.requests(), start.elapsed().as_secs());
            println!("  {template}: {requests} requests so far, {seconds} s{}", report::told(&report.leaks[before..]));
        }
    }
    report.print_counts();
    println!("  {} requests in {:.0} s", report.requests(), start.elapsed().as_secs_f64());
    assert!(report.unanswered() * 200 < report.requests(), "too many requests were not answered");
    let told = report::told(&report.leaks);
    assert!(told.is_empty(), "{version:?}, {SEED}={seed}: {} leaks:\n{told}", report.leaks.len());
    // What was allowed before is allowed still.
    can::can(&world, &identities, &targets[0]);
}
