//! Sends requests, looks at every answer, and afterwards at what has changed. It must not know how requests are made.
use crate::identities::Identity;
use crate::plan::Attempt;
use crate::report::{Culprits, Leak, Report};
use crate::routes::Target;
use crate::session::Session;
use crate::site::Who;
use crate::tricks::Wire;
use crate::verdict::{Known, is_answered, judge, sent, shown};
use crate::watch::{Picture, differences};
use crate::world::World;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testbed::{Answer, Request, Version};

/// How many requests go out before what has changed is looked at.
const BATCH: usize = 800;
/// How many of the requests that put copies beside what they are made of may succeed before those are cleared away:
/// each doubles a patient.
const DOUBLINGS: usize = 5;
/// How many connections are used at once. 1.12.7 gets one, as it stops for good when it draws a picture while an
/// instance is deleted, with or without the plugin (docs/operations.md).
const fn connections(version: Version) -> usize {
    match version {
        Version::Trixie => 1,
        Version::Sid => 3,
    }
}

/// Attacks, and adds what came of it to the report.
pub fn attack(
    world: &mut World,
    identities: &[Identity],
    targets: &[Target],
    attempts: &[Attempt],
    report: &mut Report,
) {
    let mut before = world.picture();
    let mut rest = attempts;
    while !rest.is_empty() {
        let (next, changed) = run(world, identities, targets, &rest[..rest.len().min(BATCH)], &before, report);
        let batch;
        (batch, rest) = rest.split_at(next);
        if changed.is_empty() {
            continue;
        }
        report.leaks.extend(match report.culprits {
            Culprits::Named => name_culprits(world, identities, targets, batch, &changed),
            Culprits::Unnamed => vec![Leak::changed_by_many(batch, &changed)],
        });
        world.restore();
        before = world.picture();
    }
}

/// Sends a batch, or the beginning of it; gives how much that was, and what has changed that must not.
fn run(
    world: &mut World,
    identities: &[Identity],
    targets: &[Target],
    batch: &[Attempt],
    before: &Picture,
    report: &mut Report,
) -> (usize, Vec<String>) {
    let answers = send_all(world, identities, batch);
    let answered = answers.len();
    let batch = &batch[..answered];
    if world.site.server.exit_status().unwrap().is_some() {
        panic!("the server ended during {:#?}", batch.iter().map(|one| shown(&one.wire)).collect::<Vec<_>>());
    }
    let is_written = |(attempt, answer): &(&Attempt, &Option<Answer>)| {
        attempt.wire.request.body.is_some() && answer.as_ref().is_some_and(|answer| answer.status == 200)
    };
    let writing = batch.iter().zip(&answers).filter(is_written);
    let written = writing.flat_map(|(attempt, _)| sent(&world.canaries, &attempt.wire)).collect();
    let mut follow_ups = Vec::new();
    for (attempt, answer) in batch.iter().zip(answers) {
        let identity = &identities[attempt.identity];
        report.count(identity.name, attempt, answer.as_ref().map(|answer| answer.status));
        let Some(answer) = answer else { continue };
        for found in judge(&world.canaries, identity, &answer, Known::Of(&attempt.wire, &written)) {
            report.leaks.push(Leak::told(attempt, identity, &answer, found));
        }
        if is_answered(attempt, &answer) {
            report.leaks.push(Leak::told(attempt, identity, &answer, "that it is there".to_owned()));
        }
        if answer.status < 300 {
            follow_ups.extend(started(attempt, &answer, targets, &identity.who));
        }
    }
    world.settle();
    for (attempt, who, request) in follow_ups {
        let identity = identities[attempt.identity].showing(who);
        let answer = world.site.send(&identity.who, request);
        report.follow_ups += 1;
        for found in judge(&world.canaries, &identity, &answer, Known::All) {
            report.leaks.push(Leak::told(
                &attempt,
                &identity,
                &answer,
                format!("{found}, by what this request started"),
            ));
        }
    }
    let mut changed = differences(before, &world.picture());
    changed.extend(world.harvest());
    (answered, changed)
}

/// In the order of the attempts; `None` where there was no answer. Ends early when enough copies were made.
fn send_all(world: &World, identities: &[Identity], batch: &[Attempt]) -> Vec<Option<Answer>> {
    let (next, doublings) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let answers = Mutex::new(BTreeMap::new());
    let may_double = |attempt: &Attempt| {
        attempt.wire.request.body.is_some()
            && ["modify", "anonymize", "split", "merge"].iter().any(|end| attempt.template.ends_with(end))
    };
    std::thread::scope(|scope| {
        for _ in 0..connections(world.site.version) {
            scope.spawn(|| {
                let mut session = world.session();
                while doublings.load(Ordering::Relaxed) < DOUBLINGS
                    && let Some((at, attempt)) =
                        Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, batch.get(at)?)))
                {
                    let answer = send(world, &mut session, &identities[attempt.identity].who, &attempt.wire);
                    if may_double(attempt) && answer.as_ref().is_some_and(|answer| answer.status == 200) {
                        doublings.fetch_add(1, Ordering::Relaxed);
                    }
                    answers.lock().unwrap().insert(at, answer);
                }
            });
        }
    });
    // Each number that was taken was sent, so that none is missing between.
    answers.into_inner().unwrap().into_values().collect()
}

fn send(world: &World, session: &mut Session, who: &Who, wire: &Wire) -> Option<Answer> {
    let signed = who.sign(wire.request.clone());
    let address = world.site.server.address();
    match &*signed.method {
        "GET" | "POST" | "PUT" | "DELETE" => session.send_bytes(&wire.bytes(&signed, &address.to_string())),
        _ => send_alone(address, &wire.bytes(&signed.header("Connection", "close"), &address.to_string())),
    }
}

/// Over a connection of its own, read to its end: whether there is a body depends on how the server took the method.
fn send_alone(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(bytes).ok()?;
    let mut bytes = Vec::new();
    // What came before a fault counts.
    let _ = stream.read_to_end(&mut bytes);
    let status = std::str::from_utf8(bytes.get(9..12)?).ok()?.parse().ok()?;
    Some(Answer { status, headers: Vec::new(), body: bytes })
}

/// What to look at after a request that started or made something: the job's or query's answers, and what a link or key
/// opens.
fn started(attempt: &Attempt, answer: &Answer, targets: &[Target], asker: &Who) -> Vec<(Attempt, Who, Request)> {
    let Ok(said) = answer.json() else { return Vec::new() };
    let mut found = Vec::new();
    let text = |member: &str| said.get(member).and_then(serde_json::Value::as_str);
    if let Some(path) = text("Path").filter(|path| path.starts_with("/jobs/") || path.starts_with("/queries/")) {
        for below in ["", "/archive", "/answers?expand", "/answers/0/content", "/query"] {
            found.push((attempt.clone(), asker.clone(), Request::get(&format!("{path}{below}"))));
        }
    }
    let Some(minted) = text("Token").map(Who::token).or(text("Key").map(Who::key)) else { return found };
    for target in targets {
        for path in [
            format!("/studies/{}", target.study),
            format!("/studies/{}/archive", target.study),
            format!("/series/{}/instances-tags", target.series),
            format!("/instances/{}/file", target.instance),
            format!("/dicom-web/studies/{}/metadata", target.study_uid),
        ] {
            found.push((attempt.clone(), minted.clone(), Request::get(&path)));
        }
    }
    found.push((attempt.clone(), minted, Request::get("/dicom-web/studies?includefield=all")));
    found
}

/// Sends the batch again in halves, until it is one request that changes something.
fn name_culprits(
    world: &mut World,
    identities: &[Identity],
    targets: &[Target],
    batch: &[Attempt],
    changed: &[String],
) -> Vec<Leak> {
    let mut suspects = batch.to_vec();
    let mut told = changed.to_vec();
    while suspects.len() > 1 {
        let mut halves = suspects.chunks(suspects.len().div_ceil(2));
        let found = halves.find_map(|half| {
            world.restore();
            let before = world.picture();
            let (sent, changed) = run(world, identities, targets, half, &before, &mut Report::default());
            let half = &half[..sent];
            (!changed.is_empty()).then(|| (half.to_vec(), changed))
        });
        match found {
            Some((half, changed)) => (suspects, told) = (half, changed),
            None => break,
        }
    }
    match suspects.as_slice() {
        [one] => vec![Leak::changed(one, &identities[one.identity], &told)],
        _ => vec![Leak::changed_by_many(&suspects, &told)],
    }
}
