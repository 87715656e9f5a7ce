//! What one decision costs at the filter, by credential, warm and cold: everything between the server's call and our
//! answer but the reading of C arrays. No HTTP, no Orthanc: the host is a stub that knows one study.
//!
//! Every decision is timed by itself, as the goals speak of p50 and p99. Run with `cargo bench --bench decision`.

mod one_study;

use std::sync::Arc;
use std::time::Duration;

use one_study::{OneStudy, STUDY};
use orthanc_gatehouse::callbacks::Callbacks;
use orthanc_gatehouse::host::Method;
use orthanc_gatehouse::plugin;
use orthanc_gatehouse::request::{Reply, Request, RestRequest};
use serde_json::{Value, json};
use testbed::clock::wait_until;
use testbed::oidc::Provider;

struct Bench {
    gate: Arc<dyn Callbacks>,
    provider: Provider,
    key: String,
    limited_key: String,
    link: String,
    jwt: String,
    basic: String,
}

impl Bench {
    fn prepare() -> anyhow::Result<Self> {
        let provider = Provider::start()?;
        let folder = tempfile::tempdir()?.keep();
        let role =
            |permissions: &[&str], label: &str| json!({"permissions": permissions, "authorized-labels": [label]});
        let user = |role: &str| -> anyhow::Result<Value> {
            Ok(json!({"PasswordHash": testbed::password_hash("secret")?, "Roles": [role]}))
        };
        let configuration = json!({
            "IndexDirectory": folder,
            "DicomServerEnabled": false,
            "Authorization": {
                "Keycloak": {"Url": provider.url(), "Realm": "orthanc"},
                "Users": {"admin": user("admin-role")?, "external": user("external-role")?},
                "Roles": {
                    "admin-role": role(&["all", "admin-permissions"], "*"),
                    "external-role": role(&["view", "share"], "external")
                }
            }
        });
        let started = plugin::start(Arc::new(OneStudy), &configuration.to_string(), None)?;
        let gate = started.ok_or_else(|| anyhow::anyhow!("the plugin is disabled"))?.callbacks;
        let bench = Self {
            key: make_key(&*gate, "admin")?,
            limited_key: make_key(&*gate, "external")?,
            link: make_link(&*gate)?,
            jwt: format!("Bearer {}", provider.token("bench", &["admin-role"])?),
            basic: testbed::http::basic_value("admin", "secret"),
            provider,
            gate,
        };
        let there = || bench.asks("authorization", &bench.jwt, METADATA).then_some(());
        wait_until(Duration::from_secs(10), there).ok_or_else(|| anyhow::anyhow!("the provider's keys do not come"))?;
        Ok(bench)
    }

    /// One decision, with the headers that a browser sends beside.
    fn asks(&self, header: &str, value: &str, path: &str) -> bool {
        let headers = vec![
            ("host", "orthanc.example.org:8042"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            ("accept", "application/json, text/plain, */*"),
            ("accept-language", "en-US,en;q=0.5"),
            ("accept-encoding", "gzip, deflate"),
            (header, value),
        ];
        let request = Request { method: Method::Get, path, remote: "127.0.0.1", headers, arguments: Vec::new() };
        self.gate.before_filter();
        self.gate.filter(&request).is_some()
    }
}

fn make_key(gate: &dyn Callbacks, user: &str) -> anyhow::Result<String> {
    let answer = ask(gate, Method::Post, "/auth/api-keys", user, &json!({"Name": "bench"}))?;
    Ok(answer["Key"].as_str().unwrap_or_default().to_owned())
}

/// So many keys or links, which are known as long as nothing is taken from anybody: then a key is.
fn unknown(gate: &dyn Callbacks, count: usize, mut make: impl FnMut() -> String) -> Vec<String> {
    let made = (0..count).map(|_| make()).collect();
    let key = ask(gate, Method::Post, "/auth/api-keys", "admin", &json!({"Name": "bench"})).expect("a key");
    let path = format!("/auth/api-keys/{}", key["ID"].as_str().unwrap_or_default());
    ask(gate, Method::Delete, &path, "admin", &json!({})).expect("it is removed");
    made
}

/// A link made by somebody limited.
fn make_link(gate: &dyn Callbacks) -> anyhow::Result<String> {
    let wanted = json!({"Resources": [{"OrthancId": STUDY, "Level": "study"}]});
    let answer = ask(gate, Method::Put, "/auth/tokens/viewer-instant-link", "external", &wanted)?;
    Ok(answer["Token"].as_str().unwrap_or_default().to_owned())
}

/// One request of a local user's to our own routes.
fn ask(gate: &dyn Callbacks, method: Method, path: &str, user: &str, body: &Value) -> anyhow::Result<Value> {
    let basic = testbed::http::basic_value(user, "secret");
    let headers = vec![("authorization", basic.as_str())];
    let request = Request { method, path, remote: "127.0.0.1", headers, arguments: Vec::new() };
    gate.before_filter();
    let _passes_to_the_handler = gate.filter(&request);
    match gate.rest(&RestRequest { request, body: body.to_string().as_bytes() }) {
        Reply::Answer { status: 200, body, .. } => Ok(serde_json::from_slice(&body)?),
        other => anyhow::bail!("{other:?}"),
    }
}

const METADATA: &str = "/studies/0f1e2d3c-4b5a6978-8796a5b4-c3d2e1f0-01234567/metadata";

/// How many decisions of each kind are timed, and how many of those that each need a credential of their own.
const WARM: usize = 200_000;
const COLD: usize = 2_000;

/// The limits of the goals, in nanoseconds: p50 and p99.
struct Goals {
    p50: Option<u64>,
    p99: Option<u64>,
}

const NO_GOAL: Goals = Goals { p50: None, p99: None };

fn main() -> anyhow::Result<()> {
    // Cargo says `--bench`; `cargo test --benches` does not, and then once is enough to see that everything is granted.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let (warm_count, cold_count) = if is_bench { (WARM, COLD) } else { (10, 10) };
    let bench = Bench::prepare()?;
    let warm = |header: &str, value: &str, granted: bool| {
        timed(warm_count, || (), |()| assert_eq!(bench.asks(header, value, METADATA), granted))
    };
    let goals = |p50, p99| Goals { p50: Some(p50), p99: Some(p99) };
    println!("| decision | fastest | p50 | p99 | goal |");
    println!("|---|--:|--:|--:|--:|");
    print_row("warm, API key", warm("api-key", &bench.key, true), &goals(500, 10_000));
    print_row("warm, access token", warm("authorization", &bench.jwt, true), &goals(1_200, 10_000));
    print_row("warm, local user", warm("authorization", &bench.basic, true), &NO_GOAL);
    print_row("warm, API key of a limited user", warm("api-key", &bench.limited_key, true), &NO_GOAL);
    print_row("warm, share link", warm("token", &bench.link, true), &NO_GOAL);
    print_row("a stranger, refused", warm("x-nothing", "", false), &NO_GOAL);
    let mut number = 0;
    let fresh = || {
        number += 1;
        let mut claims = bench.provider.claims("bench", &["admin-role"]);
        claims["jti"] = json!(format!("fresh-{number}"));
        format!("Bearer {}", bench.provider.key.token(&claims).expect("a token"))
    };
    let cold = timed(cold_count, fresh, |jwt| assert!(bench.asks("authorization", &jwt, METADATA)));
    print_row("cold, access token (RS256)", cold, &Goals { p50: Some(40_000), p99: None });
    let mut keys = unknown(&*bench.gate, cold_count, || make_key(&*bench.gate, "admin").expect("a key")).into_iter();
    let cold = timed(cold_count, || keys.next(), |key| assert!(bench.asks("api-key", &key.expect("a key"), METADATA)));
    print_row("first use of an API key, not just made", cold, &NO_GOAL);
    let mut links = unknown(&*bench.gate, cold_count, || make_link(&*bench.gate).expect("a link")).into_iter();
    let cold =
        timed(cold_count, || links.next(), |link| assert!(bench.asks("token", &link.expect("a link"), METADATA)));
    print_row("first use of a share link, not just made", cold, &NO_GOAL);
    // As a server finds it that has done other things since the last request.
    let mut elsewhere = vec![1_u8; 16 << 20];
    let after_something_else = |header: &str, value: &str, elsewhere: &mut Vec<u8>| -> Vec<u64> {
        let mut times = Vec::new();
        for _ in 0..cold_count {
            elsewhere.iter_mut().step_by(64).for_each(|byte| *byte = byte.wrapping_add(1));
            times.extend(timed(1, || (), |()| assert!(bench.asks(header, value, METADATA))));
        }
        times.sort_unstable();
        times
    };
    let times = after_something_else("api-key", &bench.key, &mut elsewhere);
    print_row("warm, API key, after 16 MiB of something else", times, &NO_GOAL);
    let times = after_something_else("authorization", &bench.jwt, &mut elsewhere);
    print_row("warm, access token, after 16 MiB of something else", times, &NO_GOAL);
    print_row("the clock alone", timed(warm_count, || (), |()| ()), &NO_GOAL);
    Ok(())
}

/// The time of each single run in nanoseconds, sorted; the reading of the clock, some 20 ns, is in each of them.
/// What each run needs is prepared before, so that the processor's caches are not full of how it is made.
fn timed<T>(count: usize, mut prepare: impl FnMut() -> T, mut run: impl FnMut(T)) -> Vec<u64> {
    let inputs: Vec<T> = (0..count).map(|_| prepare()).collect();
    let mut times: Vec<u64> = inputs
        .into_iter()
        .map(|input| {
            let input = std::hint::black_box(input);
            let start = testbed::clock::monotonic();
            run(input);
            u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
        })
        .collect();
    times.sort_unstable();
    times
}

fn print_row(what: &str, sorted: Vec<u64>, goals: &Goals) {
    let at = |percent: usize| sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default();
    let shown = |nanoseconds: u64| format!("{:.2} µs", nanoseconds as f64 / 1e3);
    let goal = match (goals.p50, goals.p99) {
        (Some(p50), Some(p99)) => format!("p50 ≤ {}, p99 ≤ {}", shown(p50), shown(p99)),
        (Some(p50), None) => format!("p50 ≤ {}", shown(p50)),
        _ => String::new(),
    };
    println!("| {what} | {} | {} | {} | {goal} |", shown(at(0)), shown(at(50)), shown(at(99)));
}
