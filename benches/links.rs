//! What links cost with few of them in the state, and with very many: made, used, listed and revoked, in turns on
//! the same machine. No HTTP, no Orthanc: the host is a stub that knows one study.
//!
//! Run with `cargo xtask bench --links 1000000`. The state is filled by the store itself, ten thousand links in each
//! transaction.

mod one_study;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use one_study::{OneStudy, STUDY};
use orthanc_gatehouse::callbacks::Callbacks;
use orthanc_gatehouse::clock::UnixTime;
use orthanc_gatehouse::host::Method;
use orthanc_gatehouse::person::Person;
use orthanc_gatehouse::plugin;
use orthanc_gatehouse::request::{Reply, Request, RestRequest};
use orthanc_gatehouse::share::code;
use orthanc_gatehouse::store::{ShareRecord, SqliteStore};
use serde_json::{Value, json};
use testbed::clock::{monotonic, unix_seconds};
use testbed::random::Random;

const METADATA: &str = "/studies/0f1e2d3c-4b5a6978-8796a5b4-c3d2e1f0-01234567/metadata";

/// An environment variable with the number of links that are very many.
const MANY: &str = "GATEHOUSE_LINKS";
/// How many few are.
const FEW: usize = 1_000;
/// So many links each of the makers has, and so many each study.
const OF_A_MAKER: usize = 200;
const OF_A_STUDY: usize = 5;

/// A plugin whose state has some number of links.
struct Side {
    gate: Arc<dyn Callbacks>,
    /// The oldest link, at which the last page begins.
    oldest: String,
    /// What has been made and not used yet.
    made: Vec<Made>,
    _folder: tempfile::TempDir,
}

struct Made {
    id: String,
    token: String,
    code: String,
}

impl Side {
    fn prepare(links: usize, hash: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let state = folder.path().join("authorization.db");
        let oldest = fill(&state, links)?;
        let user = |role: &str| json!({"PasswordHash": hash, "Roles": [role]});
        let role =
            |permissions: &[&str], label: &str| json!({"permissions": permissions, "authorized-labels": [label]});
        let configuration = json!({
            "IndexDirectory": folder.path(),
            "DicomServerEnabled": false,
            "Authorization": {
                "Storage": {"SQLite": state},
                "Users": {"admin": user("admin-role"), "maker-0": user("external-role")},
                "Roles": {
                    "admin-role": role(&["all", "admin-permissions"], "*"),
                    "external-role": role(&["view", "share"], "external"),
                },
            },
        });
        let started = plugin::start(Arc::new(OneStudy), &configuration.to_string(), None)?;
        let gate = started.ok_or_else(|| anyhow::anyhow!("the plugin is disabled"))?.callbacks;
        Ok(Self { gate, oldest, made: Vec::new(), _folder: folder })
    }

    /// One request of a local user's, or of nobody's, to our own routes.
    fn ask(&self, method: Method, path: &str, arguments: &[(&str, &str)], user: &str, body: &Value) -> Reply {
        let basic = testbed::http::basic_value(user, "secret");
        let mut headers = vec![("authorization", basic.as_str())];
        headers.retain(|_| !user.is_empty());
        let request = Request { method, path, remote: "127.0.0.1", headers, arguments: arguments.to_vec() };
        self.gate.before_filter();
        let _passes_to_the_handler = self.gate.filter(&request);
        self.gate.rest(&RestRequest { request, body: body.to_string().as_bytes() })
    }

    fn make(&mut self) {
        let wanted = json!({"Resources": [{"OrthancId": STUDY, "Level": "study"}], "ValidityDuration": 86_400});
        let reply = self.ask(Method::Put, "/auth/tokens/stone-viewer-publication", &[], "maker-0", &wanted);
        let Reply::Answer { status: 200, body, .. } = reply else { panic!("{reply:?}") };
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        let text = |member: &str| answer[member].as_str().unwrap_or_default().to_owned();
        let code = text("ShortUrl").rsplit('/').next().unwrap_or_default().to_owned();
        self.made.push(Made { id: text("ID"), token: text("Token"), code });
    }

    fn use_link(&self, token: &str) {
        let headers = vec![("token", token)];
        let request =
            Request { method: Method::Get, path: METADATA, remote: "127.0.0.1", headers, arguments: Vec::new() };
        self.gate.before_filter();
        assert!(self.gate.filter(&request).is_some());
    }

    fn open(&self, code: &str) {
        let reply = self.ask(Method::Get, &format!("/auth/links/{code}"), &[], "", &json!({}));
        assert!(matches!(reply, Reply::Answer { status: 303, .. }), "{reply:?}");
    }

    /// A list that must have so many links.
    fn list(&self, user: &str, arguments: &[(&str, &str)], expected: usize) {
        let reply = self.ask(Method::Get, "/auth/shares", arguments, user, &json!({}));
        let Reply::Answer { status: 200, body, .. } = &reply else { panic!("{reply:?}") };
        let found = body.windows(5).filter(|window| window == b"\"ID\":").count();
        assert_eq!(found, expected, "{arguments:?}");
    }

    fn take_back(&self, id: &str) {
        let reply = self.ask(Method::Delete, &format!("/auth/shares/{id}"), &[], "maker-0", &json!({}));
        assert!(matches!(reply, Reply::Answer { status: 200, .. }), "{reply:?}");
    }
}

fn study(number: usize) -> String {
    format!("{number:08x}-00000000-00000000-00000000-00000000")
}

/// Fills a new state, and gives the identifier of its oldest link but a page.
fn fill(state: &Path, links: usize) -> anyhow::Result<String> {
    const BATCH: usize = 10_000;
    let store = SqliteStore::open(&PathBuf::from(state))?;
    let mut random = Random::new(1);
    let mut after = String::new();
    let now = unix_seconds();
    for start in (0..links).step_by(BATCH) {
        let mut records = Vec::with_capacity(BATCH);
        for number in start..links.min(start + BATCH) {
            let mut id = String::with_capacity(32);
            let _ = write!(id, "{:016x}{:016x}", random.next(), random.next());
            if number == PAGE {
                after.clone_from(&id);
            }
            let study = study(number / OF_A_STUDY);
            let uid = format!("1.2.3.{}", number / OF_A_STUDY);
            let maker = format!("maker-{}", number / OF_A_MAKER);
            records.push(ShareRecord {
                resources_json: json!([{"OrthancId": study, "DicomUid": uid, "Level": "study"}]).to_string(),
                resource_ids: vec![study, uid],
                deleted: Vec::new(),
                index: None,
                index_change: 0,
                token_hash: None,
                code_hash: Some(code::hash(&id)),
                id,
                kind: "stone-viewer-publication".to_owned(),
                owner: Person::local(&maker),
                owner_name: maker,
                created_at: UnixTime(now - 86_400),
                not_before: None,
                expires_at: Some(UnixTime(now + 7 * 86_400)),
                options_json: "{}".to_owned(),
                openings: 0,
                revoked_at: (number % 50 == 0).then_some(UnixTime(now)),
                uses: number as u64 % 9,
                last_use: Some(UnixTime(now)),
            });
        }
        store.insert_shares(&records)?;
    }
    Ok(after)
}

/// Links on a page.
const PAGE: usize = 100;

fn main() -> anyhow::Result<()> {
    // Cargo says `--bench`; `cargo test --benches` does not, and then once is enough to see that everything is
    // answered.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let asked = std::env::var(MANY).ok().map(|number| number.parse()).transpose()?;
    let (many, rounds) = match (is_bench, asked) {
        (true, Some(many)) => (many, 300),
        (true, None) => {
            println!("links: {MANY} says how many are very many; 20000 are not");
            (20_000, 100)
        }
        (false, _) => (2_000, 2),
    };
    let hash = testbed::password_hash("secret")?;
    let start = monotonic();
    let mut few = Side::prepare(FEW, &hash)?;
    let mut lots = Side::prepare(many, &hash)?;
    eprintln!("links: the states are filled after {:.0} s", start.elapsed().as_secs_f64());
    let page = PAGE.to_string();
    let (maker, resource) = ("maker-3".to_owned(), study(7));

    println!("| | with {FEW} links | with {many} links | ratio |\n|---|--:|--:|--:|");
    compare("made (durable)", [&mut few, &mut lots], rounds, |side, _| side.make());
    // What was just made is known, as long as nothing is taken from anybody.
    for side in [&mut few, &mut lots] {
        side.make();
        let last = side.made.pop().expect("it was made");
        side.take_back(&last.id);
    }
    compare("first use, by token", [&mut few, &mut lots], rounds, |side, at| side.use_link(&side.made[at].token));
    compare("next use", [&mut few, &mut lots], rounds, |side, at| side.use_link(&side.made[at].token));
    compare("opened by its code (durable)", [&mut few, &mut lots], rounds, |side, at| side.open(&side.made[at].code));
    compare("list, first page of 100, administrator", [&mut few, &mut lots], rounds, |side, _| {
        side.list("admin", &[("limit", &page)], PAGE);
    });
    compare("list, last page of 100, administrator", [&mut few, &mut lots], rounds, |side, _| {
        side.list("admin", &[("limit", &page), ("after", &side.oldest)], PAGE);
    });
    compare("list, first page of 100, own", [&mut few, &mut lots], rounds, |side, _| {
        side.list("maker-0", &[("limit", &page)], PAGE);
    });
    compare("list by study", [&mut few, &mut lots], rounds, |side, _| {
        side.list("admin", &[("resource", &resource)], OF_A_STUDY);
    });
    compare("list by maker", [&mut few, &mut lots], rounds, |side, _| {
        side.list("admin", &[("user", &maker)], OF_A_MAKER);
    });
    compare("list by a maker who has none", [&mut few, &mut lots], rounds, |side, _| {
        side.list("admin", &[("user", "nobody")], 0);
    });
    compare("revoked (durable)", [&mut few, &mut lots], rounds, |side, at| side.take_back(&side.made[at].id));
    [few, lots].iter().for_each(|side| side.gate.stop());
    Ok(())
}

/// Times the same on both sides in turns, and prints the medians.
fn compare(what: &str, sides: [&mut Side; 2], rounds: usize, mut run: impl FnMut(&mut Side, usize)) {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        // Who is first changes, or one side would always find the other's traces in the caches.
        for side in [round % 2, 1 - round % 2] {
            let start = monotonic();
            run(sides[side], round);
            times[side].push(start.elapsed());
        }
    }
    let [few, many] = times.map(|mut times| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e6
    });
    println!("| {what} | {few:.0} µs | {many:.0} µs | {:.2} |", many / few);
}
