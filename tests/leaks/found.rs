//! Whether canaries would be found: those who may see everything are answered them, on every route that reads.
use crate::canary::Canaries;
use crate::identities::unlimited;
use crate::images::set;
use crate::routes::{BESIDE, Target};
use crate::world::World;
use serde_json::json;
use testbed::{Answer, Request};

/// The ends of routes whose answer holds nothing of a resource but names, numbers and times: what is foreign is judged
/// by the status ([`crate::verdict::is_answered`]). Whatever else turns up needs a canary, or a reason to stand here.
const QUIET: [&str; 11] = [
    "/attachments",
    "/attachments/{name}",
    "/metadata",
    "/statistics",
    "/instances/{id}/content",
    "/instances/{id}/frames",
    "/frames/{frame}",
    "/queries/{id}",
    "/queries/{id}/answers",
    "/queries/{id}/answers/{index}",
    "/queries/{id}/level",
];

/// Routes about other things than patients.
const OTHER: [&str; 10] = [
    // A page that says that there is no such link.
    "/auth/links/{any}",
    "/dicom-web/servers/{any}",
    "/modalities/{id}",
    "/modalities/{id}/configuration",
    "/peers/{id}",
    "/peers/{id}/configuration",
    "/peers/{id}/system",
    "/plugins/{id}",
    "/queries/{id}/modality",
    "/auth/tokens/{any}",
];

/// The routes that read without naming anything in their path, with a body if they take one.
fn others(foreign: &Target) -> Vec<Request> {
    let post = |path: &str, body: serde_json::Value| Request::new("POST", path).json(&body);
    let get = |path: &str| Request::get(path);
    vec![
        get("/patients"),
        get("/studies?expand"),
        get("/series"),
        get("/instances?expand"),
        get("/changes"),
        get("/exports"),
        get("/jobs?expand"),
        get("/queries"),
        get("/tools/labels"),
        get("/served/file.txt"),
        get("/dicom-web/studies"),
        get("/dicom-web/series?includefield=all"),
        get("/dicom-web/instances"),
        Request::get(&format!(
            "/wado?requestType=WADO&objectUID={}&contentType=application/dicom",
            foreign.instance_uid
        )),
        Request::get(&format!("/tools/create-archive?resources={}", foreign.study)),
        Request::get(&format!("/tools/create-media?resources={}", foreign.series)),
        post("/tools/create-archive", json!({"Resources": [foreign.study], "Synchronous": true})),
        post(&format!("/studies/{}/archive", foreign.study), json!({"Synchronous": true})),
        post("/tools/find", json!({"Level": "Study", "Query": {"PatientName": "*"}})),
        post("/tools/find", json!({"Level": "Patient", "Query": {}, "Expand": true})),
        post("/tools/bulk-content", json!({"Resources": [foreign.series]})),
        Request::post("/tools/lookup", foreign.patient_id.clone()),
    ]
}

/// What the administrator is answered of something foreign is remembered, so that images are known again, which hold no
/// text; what is the same for something own says nothing.
pub fn learn(world: &mut World, templates: &[String], targets: &[Target]) {
    let admin = world.admin.clone();
    let mut session = world.session();
    let mut learned = Vec::new();
    for template in templates.iter().filter(|template| template.contains('{')) {
        for target in targets[..5].iter().chain(targets.iter().filter(|target| BESIDE.contains(&target.name))) {
            let request = admin.sign(Request::get(&target.fill(template)));
            let answer = session.send(&request);
            if answer.status == 200 && answer.body.len() >= 32 {
                learned.push((answer.body, target.name, template));
            }
        }
    }
    for (body, target, template) in &learned {
        let set = match *target {
            "own" => continue,
            "foreign" => set::FOREIGN,
            "unlabelled" => set::UNLABELLED,
            "of a shared patient" => set::FOREIGN_SHARED,
            name if name == BESIDE[0] => set::OWN_SECOND_INSTANCE,
            name if name == BESIDE[1] => set::OWN_SECOND_SERIES,
            _ => set::FOREIGN_TWIN,
        };
        world.canaries.insert_digest(body, set, template);
    }
    for (body, ..) in learned.iter().filter(|(_, target, _)| *target == "own") {
        world.canaries.forget_digest(body);
    }
    // Answers that are the same whoever they are about.
    for (at, (body, target, _)) in learned.iter().enumerate() {
        if learned[at + 1..].iter().any(|(other, whom, _)| other == body && whom != target) {
            world.canaries.forget_digest(body);
        }
    }
}

/// The routes where somebody who may see everything was answered nothing that would be recognised.
pub fn unrecognised(world: &World, templates: &[String], foreign: &Target) -> Vec<String> {
    let mut failures = Vec::new();
    let mut found = [0_usize; 2];
    for (at, (name, who)) in unlimited().into_iter().enumerate() {
        let mut session = world.session();
        let mut look = |request: Request| session.send(&who.sign(request));
        for template in templates.iter().filter(|template| template.contains('{')) {
            let answer = look(Request::get(&foreign.fill(template)));
            if answer.status != 200 || says_nothing(&answer) {
                continue;
            }
            if is_recognised(&world.canaries, &answer) {
                found[at] += 1;
            } else if !QUIET.iter().any(|end| template.ends_with(end)) && !OTHER.contains(&template.as_str()) {
                failures.push(format!(
                    "GET {template} as the {name}: {}",
                    answer.text().chars().take(100).collect::<String>()
                ));
            }
        }
        for request in others(foreign).into_iter().filter(|_| at == 0) {
            let shown = format!("{} {}", request.method, request.path);
            let answer = look(request);
            if answer.status != 200 || !is_recognised(&world.canaries, &answer) {
                failures.push(format!(
                    "{shown} as the {name}: {} {}",
                    answer.status,
                    answer.text().chars().take(100).collect::<String>()
                ));
            }
        }
    }
    println!("  canaries found on {} routes as the administrator, {} as the doctor", found[0], found[1]);
    failures
}

fn is_recognised(canaries: &Canaries, answer: &Answer) -> bool {
    !canaries.find(&answer.body).is_empty()
}

/// An empty answer, a number, a truth: nothing that a canary could stand in.
fn says_nothing(answer: &Answer) -> bool {
    matches!(answer.text().trim(), "" | "{}" | "[]" | "null") || answer.text().trim().parse::<f64>().is_ok()
}
