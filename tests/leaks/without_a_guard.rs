//! The test of the test: with the guard of one route taken out, the attack must find it, and with all guards in place
//! nothing. The library is a build of its own for it (feature `fault-injection`).
use crate::attack::attack;
use crate::found::learn;
use crate::plan::{Attempt, Plan};
use crate::report::{Culprits, Report, told};
use crate::world::World;
use crate::{identities, routes};
use std::fs;
use testbed::Version;
use testbed::random::Random;

/// A route of our table whose guard is taken out, and the same route as the server lists it.
const GUARDS: &[(&str, &str)] = &[
    // What is named in the path, and answered as it is: text, an archive, an image, numbers.
    ("GET /instances/{instance}/tags", "/instances/{id}/tags"),
    ("GET /studies/{study}/archive", "/studies/{id}/archive"),
    ("GET /instances/{instance}/preview", "/instances/{id}/preview"),
    ("GET /studies/{study}/statistics", "/studies/{id}/statistics"),
    // Two stand before this one: the plugin looks the UIDs up by a search.
    (
        "GET {dicom-web}/studies/{study-uid}/series/{series-uid}\nPOST /tools/find\nPOST /tools/lookup",
        "/dicom-web/studies/{any}/series/{any}",
    ),
    // What is named in the body or the arguments.
    ("POST /tools/bulk-content", "/tools/bulk-content"),
    ("GET /tools/create-archive", "/tools/create-archive"),
    // What is taken out of the answer.
    ("POST /tools/find", "/tools/find"),
    ("GET /studies/{study}/labels", "/studies/{id}/labels"),
    ("GET /studies/{study}", "/studies/{id}"),
    ("GET /tools/labels", "/tools/labels"),
    ("POST /tools/lookup", "/tools/lookup"),
    // What belongs to somebody.
    ("GET /jobs/{job}/{any}", "/jobs/{id}/{key}"),
    ("GET /queries/{query}/answers", "/queries/{id}/answers"),
    // What is closed.
    ("GET /changes", "/changes"),
    ("GET /jobs", "/jobs"),
    // What changes something, brings something in, or sends it away.
    ("PUT /studies/{study}/labels/{label}", "/studies/{id}/labels/{label}"),
    ("DELETE /series/{series}", "/series/{id}"),
    ("PUT /instances/{instance}/metadata/{any}", "/instances/{id}/metadata/{name}"),
    ("POST /studies/{study}/merge", "/studies/{id}/merge"),
    ("POST /instances", "/instances"),
    ("POST /peers/{any}/store", "/peers/{id}/store"),
    ("PUT /modalities/{any}", "/modalities/{id}"),
];

#[test]
fn a_guard_that_is_taken_out_is_missed() {
    let version = Version::tested()[0];
    let library = testbed::plugin_library_with(&["fault-injection"]).unwrap();
    let mut world = World::start(version, &library, 1);
    let identities = identities::attackers(&world);
    let targets = routes::targets(&world);
    let templates: Vec<String> = GUARDS.iter().map(|(_, template)| (*template).to_owned()).collect();
    learn(&mut world, &templates, &targets);
    let plan = Plan { identities: &identities, targets: &targets };
    let mut rng = Random::new(1);
    let attempts: Vec<Vec<Attempt>> = templates.iter().map(|template| plan.sample(template, 24, &mut rng)).collect();

    let mut report = Report::default();
    attack(&mut world, &identities, &targets, &attempts.concat(), &mut report);
    assert!(report.leaks.is_empty(), "with all guards in place:\n{}", told(&report.leaks));

    let mut missed = Vec::new();
    for ((guard, template), attempts) in GUARDS.iter().zip(&attempts) {
        fs::write(&world.unguarded, guard).unwrap();
        let mut report = Report::new(Culprits::Unnamed);
        let mut attempts = attempts.clone();
        // Some leak with few of their requests only: then luck gets some more turns.
        for _ in 0..8 {
            attack(&mut world, &identities, &targets, &attempts, &mut report);
            if report.leaks.iter().any(|leak| leak.template == *template) {
                break;
            }
            attempts = plan.sample(template, 24, &mut rng);
        }
        println!("  without the guard of {guard}: {} leaks of {} requests", report.leaks.len(), report.requests());
        if !report.leaks.iter().any(|leak| leak.template == *template) {
            missed.push(*guard);
        }
        fs::write(&world.unguarded, "").unwrap();
    }
    assert!(missed.is_empty(), "without the guards of these routes nothing is found: {missed:?}");
}
