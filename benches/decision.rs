//! What one decision costs at the filter, by credential, warm and cold: everything between the server's call and our
//! answer but the reading of C arrays. No HTTP, no Orthanc: the host is a stub that knows one study.
//!
//! Goals (p50): warm ≤ 0.5 µs for an API key and ≤ 1.2 µs for a JWT; cold JWT ≤ 40 µs. Run with
//! `cargo bench --bench decision`.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use divan::Bencher;
use orthanc_gatehouse::callbacks::Callbacks;
use orthanc_gatehouse::host::{CoreAnswer, Host, HostError, HostVersion, Method};
use orthanc_gatehouse::plugin;
use orthanc_gatehouse::request::{Reply, Request, RestRequest};
use serde_json::{Value, json};
use testbed::clock::wait_until;
use testbed::oidc::Provider;

const STUDY: &str = "0f1e2d3c-4b5a6978-8796a5b4-c3d2e1f0-01234567";
const PATIENT: &str = "76543210-0f1e2d3c-4b5a6978-8796a5b4-c3d2e1f0";

/// A server with one study that carries the label `external`.
struct OneStudy;

impl Host for OneStudy {
    fn version(&self) -> HostVersion {
        HostVersion::new(1, 13, 0)
    }

    fn get(&self, uri: &str) -> Result<Vec<u8>, HostError> {
        if uri != format!("/studies/{STUDY}") {
            return Err(HostError::UNKNOWN_RESOURCE);
        }
        let tags = json!({"StudyInstanceUID": "1.2.3"});
        let study = json!({"ID": STUDY, "ParentPatient": PATIENT, "Labels": ["external"], "MainDicomTags": tags});
        Ok(study.to_string().into_bytes())
    }

    fn post(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, HostError> {
        Err(HostError::UNKNOWN_RESOURCE)
    }

    fn put(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, HostError> {
        Err(HostError::UNKNOWN_RESOURCE)
    }

    fn delete(&self, _: &str) -> Result<(), HostError> {
        Err(HostError::UNKNOWN_RESOURCE)
    }

    fn call(&self, _: Method, _: &str, _: &[(&str, &str)], _: &[u8]) -> Result<CoreAnswer, HostError> {
        Err(HostError::UNKNOWN_RESOURCE)
    }

    fn set_metric(&self, _: &'static str, _: i64) {}
}

struct Bench {
    gate: Arc<dyn Callbacks>,
    provider: Provider,
    key: String,
    limited_key: String,
    link: String,
    jwt: String,
    basic: String,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| Bench::prepare().expect("a bench"));

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
        let basic = |user: &str| testbed::http::basic_value(user, "secret");
        let ask = |method, path: &str, basic: &str, body: Value| -> anyhow::Result<Value> {
            let headers = vec![("authorization", basic)];
            let request = Request { method, path, remote: "127.0.0.1", headers, arguments: Vec::new() };
            gate.before_filter();
            let _passes_to_the_handler = gate.filter(&request);
            match gate.rest(&RestRequest { request, body: body.to_string().as_bytes() }) {
                Reply::Answer { status: 200, body, .. } => Ok(serde_json::from_slice(&body)?),
                other => anyhow::bail!("{other:?}"),
            }
        };
        let key = |user: &str| -> anyhow::Result<String> {
            let answer = ask(Method::Post, "/auth/api-keys", &basic(user), json!({"Name": "bench"}))?;
            Ok(answer["Key"].as_str().unwrap_or_default().to_owned())
        };
        let wanted = json!({"Resources": [{"OrthancId": STUDY, "Level": "study"}]});
        let link = ask(Method::Put, "/auth/tokens/viewer-instant-link", &basic("external"), wanted)?;
        let bench = Self {
            key: key("admin")?,
            limited_key: key("external")?,
            link: link["Token"].as_str().unwrap_or_default().to_owned(),
            jwt: format!("Bearer {}", provider.token("bench", &["admin-role"])?),
            basic: basic("admin"),
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

const METADATA: &str = "/studies/0f1e2d3c-4b5a6978-8796a5b4-c3d2e1f0-01234567/metadata";

fn main() {
    LazyLock::force(&BENCH);
    divan::main();
}

fn warm(bencher: Bencher<'_, '_>, header: &str, value: &str) {
    assert!(BENCH.asks(header, value, METADATA), "the credential must be granted");
    bencher.bench(|| BENCH.asks(divan::black_box(header), divan::black_box(value), METADATA));
}

#[divan::bench]
fn warm_api_key(bencher: Bencher<'_, '_>) {
    warm(bencher, "api-key", &BENCH.key);
}

#[divan::bench]
fn warm_jwt(bencher: Bencher<'_, '_>) {
    warm(bencher, "authorization", &BENCH.jwt);
}

#[divan::bench]
fn warm_local_user(bencher: Bencher<'_, '_>) {
    warm(bencher, "authorization", &BENCH.basic);
}

#[divan::bench]
fn warm_limited_api_key(bencher: Bencher<'_, '_>) {
    warm(bencher, "api-key", &BENCH.limited_key);
}

#[divan::bench]
fn warm_link(bencher: Bencher<'_, '_>) {
    warm(bencher, "token", &BENCH.link);
}

#[divan::bench]
fn stranger(bencher: Bencher<'_, '_>) {
    bencher.bench(|| BENCH.asks("x-nothing", "", METADATA));
}

#[divan::bench(sample_count = 300, sample_size = 1)]
fn cold_jwt(bencher: Bencher<'_, '_>) {
    let fresh = || {
        let mut claims = BENCH.provider.claims("bench", &["admin-role"]);
        claims["jti"] = json!(format!("{:?}", testbed::clock::monotonic()));
        format!("Bearer {}", BENCH.provider.key.token(&claims).expect("a token"))
    };
    bencher.with_inputs(fresh).bench_values(|jwt| assert!(BENCH.asks("authorization", &jwt, METADATA)));
}
