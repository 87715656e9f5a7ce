//! What is foreign and what is not there at all are answered alike: whether something exists is not told either.
use crate::arguments::arguments;
use crate::bodies::bodies;
use crate::identities::Identity;
use crate::routes::Target;
use crate::tricks::Wire;
use crate::verdict::shown;
use crate::world::World;
use testbed::random::Random;
use testbed::{Answer, Request};

/// Where it is told, as `docs/security.md` says: that a UID or PatientID is taken shows when something is to get it.
const TOLD: [&str; 9] = [
    "/instances",
    "/tools/create-dicom",
    "/tools/bulk-modify",
    "/tools/bulk-anonymize",
    "/modify",
    "/anonymize",
    "/split",
    "/dicom-web/studies",
    "/dicom-web/studies/{any}",
];

/// Where two answers to one request differ too: the id of a new query, the UIDs of a new DICOMDIR.
const NEVER_THE_SAME: [&str; 3] = ["/modalities/{id}/query", "/tools/create-media", "/tools/create-media-extended"];

/// Sends pairs of requests that differ in what they name only, and gives those that are answered differently. `each` is
/// how many for each route and method.
pub fn told(
    world: &World,
    templates: &[String],
    identities: &[Identity],
    [own, foreign, unknown]: [&Target; 3],
    each: usize,
    rng: &mut Random,
) -> Vec<String> {
    let mut differences = Vec::new();
    let (mut session, mut pairs) = (world.session(), 0);
    for template in templates {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            if method == "POST" && TOLD.iter().any(|end| template.ends_with(end)) {
                continue;
            }
            let of = |target: &Target| {
                let paths = arguments(template, target, own).into_iter().map(|arguments| match (&*arguments, method) {
                    ("", _) | (_, "POST" | "PUT" | "DELETE") => target.fill(template),
                    (arguments, _) => format!("{}?{arguments}", target.fill(template)),
                });
                (paths.collect::<Vec<_>>(), bodies(template, method, target, own))
            };
            let ((paths, bodies), (other_paths, other_bodies)) = (of(foreign), of(unknown));
            for _ in 0..each {
                let (path, body, identity) =
                    (rng.below(paths.len()), rng.below(bodies.len()), &identities[rng.below(identities.len())]);
                let mut request = Request::new(method, &paths[path]);
                let mut other = Request::new(method, &other_paths[path]);
                if method == "POST" || method == "PUT" {
                    request.body = Some(bodies[body].bytes.clone());
                    other.body = Some(other_bodies[body].bytes.clone());
                }
                if request.path == other.path && request.body == other.body {
                    continue;
                }
                let answers = [&request, &other].map(|request| session.send(&identity.who.sign(request.clone())));
                pairs += 1;
                let are_new =
                    NEVER_THE_SAME.contains(&template.as_str()) && answers.iter().all(|one| one.status == 200);
                // What is no JSON is refused with the place where that shows.
                let is_json = request.body.as_ref().is_none_or(|body| matches!(body.first(), Some(b'{' | b'[')));
                let are_no_json = !is_json && answers.iter().all(|one| one.status == 400);
                if !are_new && !are_no_json && reduced(&answers[0], foreign) != reduced(&answers[1], unknown) {
                    let wire = Wire { request, chunked: false };
                    let [known, unknown] = answers.map(|answer| format!("{} {}", answer.status, answer.text()));
                    let line = format!("{} {}:\n    {known}\n    {unknown}", identity.name, shown(&wire));
                    differences.push(line.chars().take(1200).collect());
                }
            }
        }
    }
    println!("  {pairs} pairs of something foreign and something that is not there");
    differences
}

/// The answer without what was asked for.
fn reduced(answer: &Answer, target: &Target) -> (u16, String) {
    let names = [
        &target.patient,
        &target.study,
        &target.series,
        &target.instance,
        &target.study_uid,
        &target.series_uid,
        &target.instance_uid,
        &target.patient_id,
        &target.accession,
        &target.label,
        &target.job,
        &target.query,
        &target.commitment,
    ];
    (answer.status, names.iter().fold(answer.text(), |text, name| text.replace(name.as_str(), "…")))
}
