//! What is compared with what: servers, credentials, routes and goals, as data.
use super::processor::Processors;
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use testbed::clock::wait_until;
use testbed::dicom::{self, Instance};
use testbed::http::Connection;
use testbed::oidc::Provider;
use testbed::{Client, Orthanc, OrthancBuilder, Request, Version, password_hash, plugin, workspace};

/// How many made-up studies there are beside the real ones.
const STUDIES: usize = 100;
/// Requests per round for what can be repeated, and for what can be used once only.
const MANY: usize = 240;
const FRESH: usize = 120;
/// How many browsers are logged in. Each of a session's requests is another one's.
const SESSIONS: usize = 2_000;

type Headers = Vec<(String, String)>;

/// A server as seen by somebody.
pub(super) struct Variant {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    /// The headers of the next request.
    pub(super) headers: Box<dyn Fn() -> Headers + Send + Sync>,
    /// What must come back, so that nothing else is measured by mistake.
    pub(super) status: u16,
}

/// One comparison: a line of the table for each number of connections.
pub(super) struct Row {
    pub(super) route: &'static str,
    pub(super) variant: &'static str,
    pub(super) against: &'static str,
    /// The highest ratio wanted with one connection and with eight; infinite: shown without a goal.
    pub(super) goals: [f64; 2],
    /// Requests per round.
    pub(super) requests: usize,
}

const fn row(
    route: &'static str,
    variant: &'static str,
    against: &'static str,
    one: f64,
    eight: f64,
    requests: usize,
) -> Row {
    Row { route, variant, against, goals: [one, eight], requests }
}

const SYSTEM: &str = "GET /system";
const STUDY: &str = "GET /studies/{id}";
const METADATA: &str = "GET /studies/{id}/metadata";
const FIND: &str = "POST /tools/find";
const FIND_LABELLED: &str = "POST /tools/find with the label";
const QIDO: &str = "GET /dicom-web/studies";
/// What OHIF asks first, and what it asks of each study or series that it shows.
const QIDO_STUDY: &str = "GET /dicom-web/studies?StudyInstanceUID={uid}";
const QIDO_SERIES: &str = "GET /dicom-web/studies/{uid}/series";
const WADO_METADATA: &str = "GET /dicom-web/studies/{uid}/metadata";

const FIRST_USE: &str = "first use of a link";
const FIRST_KEY_USE: &str = "first use of a key";
/// Made before the server was started anew, which has never seen them.
const FIRST_USE_AFTER_RESTART: &str = "first use of a link, after a restart";
const FIRST_KEY_USE_AFTER_RESTART: &str = "first use of a key, after a restart";

const ROWS: &[Row] = &[
    row(SYSTEM, "API key", "bare", 1.03, 1.03, MANY),
    row(METADATA, "API key", "bare", 1.05, 1.05, MANY),
    row(METADATA, "empty override", "bare", f64::INFINITY, f64::INFINITY, MANY),
    row(METADATA, "JWT", "bare", 1.05, 1.05, MANY),
    row(METADATA, "local user", "bare", 1.05, 1.05, MANY),
    row(METADATA, "link", "bare", 1.05, 1.05, MANY),
    row(STUDY, "API key", "bare", 1.07, 1.07, MANY),
    row(STUDY, "empty override", "bare", 1.07, 1.07, MANY),
    row(FIND, "API key", "bare", 1.05, f64::INFINITY, MANY),
    row(FIND, "API key", "empty override", f64::INFINITY, 1.05, MANY),
    row(QIDO, "API key", "bare", 1.05, f64::INFINITY, MANY),
    row(QIDO, "API key", "empty override", f64::INFINITY, 1.05, MANY),
    row(FIND_LABELLED, "limited user", "bare", 1.05, f64::INFINITY, MANY),
    row(METADATA, FIRST_KEY_USE, "bare", 1.15, 1.15, FRESH),
    row(METADATA, FIRST_KEY_USE_AFTER_RESTART, "bare", 1.15, 1.15, FRESH),
    row(METADATA, "unknown key", "bare", 1.0, 1.0, FRESH),
    row(METADATA, FIRST_USE, "bare", 1.2, 1.2, FRESH),
    row(METADATA, FIRST_USE_AFTER_RESTART, "bare", 1.2, 1.2, FRESH),
    row(WADO_METADATA, FIRST_USE, "bare", 1.2, 1.2, FRESH),
    row(WADO_METADATA, FIRST_USE_AFTER_RESTART, "bare", 1.2, 1.2, FRESH),
    row(WADO_METADATA, "link", "bare", f64::INFINITY, f64::INFINITY, FRESH),
    row(QIDO_STUDY, FIRST_USE, "bare", 1.2, 1.2, FRESH),
    row(QIDO_STUDY, FIRST_USE_AFTER_RESTART, "bare", 1.2, 1.2, FRESH),
    row(QIDO_STUDY, "link", "bare", f64::INFINITY, f64::INFINITY, FRESH),
    row(QIDO_SERIES, "link", "bare", f64::INFINITY, f64::INFINITY, FRESH),
    row(METADATA, "session", "API key beside the gate", f64::INFINITY, 1.05, SESSIONS),
    row(METADATA, "limited user", "local user", 1.05, 1.05, MANY),
    row(METADATA, "limited user, label miss", "local user", f64::INFINITY, f64::INFINITY, MANY),
];

/// All servers with the same images, and everybody who asks.
pub(super) struct Site {
    variants: Vec<Variant>,
    requests: Vec<(&'static str, Request)>,
    maker: Maker,
    stocks: Stocks,
    bare_builder: OrthancBuilder,
    plugin_builder: OrthancBuilder,
    builders: Vec<OrthancBuilder>,
    servers: Vec<Orthanc>,
    processors: Option<Processors>,
    _folder: TempDir,
    _provider: Provider,
}

impl Site {
    /// Builds the plugin in release and starts the servers. From then on this thread is load.
    pub(super) fn build(version: Version) -> Result<Self> {
        let library = plugin::release_library()?;
        let provider = Provider::start()?;
        let bare_builder = Orthanc::builder(version)
            .dicomweb()?
            // Longer than the other side's turn lasts.
            .configure(&json!({"KeepAliveTimeout": 60}))
            // Whether a thread's memory happens to shrink after each request, and to grow again with the next, differs
            // from process to process, and is worth more than what is measured here.
            .env("MALLOC_TRIM_THRESHOLD_", "1073741824");
        let empty_builder = bare_builder.clone().plugin(empty_override(version)?);
        let plugin_builder = bare_builder.clone().plugin(library).configure(&configuration(&provider)?);
        let miss_builder = plugin_builder.clone().configure(&json!({"Authorization": {"LabelsValidity": 0}}));
        let login_builder = plugin_builder.clone().configure(&json!({"Authorization": {"Login": {"Enable": true}}}));

        eprintln!("bench: starting five servers with {STUDIES} studies each");
        let folder = tempfile::tempdir()?;
        let contenders = [bare_builder, empty_builder, plugin_builder, miss_builder, login_builder];
        let mut builders = Vec::new();
        for (number, builder) in contenders.iter().enumerate() {
            // To be started again with the same images, at the same place.
            let own = folder.path().join(number.to_string());
            builders.push(builder.clone().folder(own).port(testbed::orthanc::free_port()?));
        }
        let [bare_builder, _, plugin_builder, ..] = contenders;
        let processors = Processors::find()?;
        let servers = start(&builders, processors.as_ref())?;
        let [bare, empty, gated, miss, login] = servers.as_slice() else { bail!("five servers") };
        let admin = |server: &Orthanc| server.client().with_basic("admin", "admin");
        let mut study = None;
        for client in [bare.client(), empty.client(), admin(gated), admin(miss), admin(login)] {
            study = Some(fill(&client)?);
        }
        let (study, study_uid) = study.context("no study")?;

        let maker = Maker { admin: admin(gated), study, study_uid };
        let unknown = (0..FRESH).map(|_| Ok(spoil(&maker.key()?))).collect::<Result<Vec<_>>>()?;
        let [keys, keys_after, links, links_after] = [const { Stock::new() }; 4].map(Arc::new);
        let jwt = format!("Bearer {}", provider.token("bench", &["admin-role"])?);

        eprintln!("bench: {SESSIONS} browsers log in");
        let sessions = (0..SESSIONS).map(|_| log_in(&login.client())).collect::<Result<Vec<_>>>()?;
        let answer = admin(login).post_json("/auth/api-keys", &json!({"Name": "bench"}))?.expect_status(200)?.json()?;
        let beside = answer["Key"].as_str().context("no Key")?.to_owned();

        let gate = gated.address();
        let basic = |user: &str| testbed::http::basic_value(user, user);
        let variants = vec![
            always("bare", bare.address(), None),
            always("empty override", empty.address(), None),
            always("API key", gate, Some(("api-key", maker.key()?))),
            always("JWT", gate, Some(("Authorization", jwt))),
            always("local user", gate, Some(("Authorization", basic("admin")))),
            always("limited user", gate, Some(("Authorization", basic("limited")))),
            always("limited user, label miss", miss.address(), Some(("Authorization", basic("limited")))),
            always("link", gate, Some(("token", maker.link()?))),
            stocked(FIRST_KEY_USE, gate, "api-key", &keys),
            stocked(FIRST_KEY_USE_AFTER_RESTART, gate, "api-key", &keys_after),
            each("unknown key", gate, "api-key", unknown, 403),
            stocked(FIRST_USE, gate, "token", &links),
            stocked(FIRST_USE_AFTER_RESTART, gate, "token", &links_after),
            always("API key beside the gate", login.address(), Some(("api-key", beside))),
            each("session", login.address(), "Cookie", sessions, 200),
        ];
        let find = json!({"Level": "Study", "Query": {"PatientID": "bench-1*"}});
        let labelled = json!({"Level": "Study", "Query": {"PatientID": "bench-1*"},
            "Labels": ["external"], "LabelsConstraint": "Any"});
        let post = |body: &Value| Request::new("POST", "/tools/find").json(body);
        let requests = vec![
            (SYSTEM, Request::get("/system")),
            (STUDY, Request::get(&format!("/studies/{}", maker.study))),
            (METADATA, Request::get(&format!("/studies/{}/metadata", maker.study))),
            (FIND, post(&find)),
            (FIND_LABELLED, post(&labelled)),
            (QIDO, Request::get("/dicom-web/studies?PatientID=bench-1*&limit=20")),
            (QIDO_STUDY, Request::get(&format!("/dicom-web/studies?StudyInstanceUID={}", maker.study_uid))),
            (QIDO_SERIES, Request::get(&format!("/dicom-web/studies/{}/series", maker.study_uid))),
            (WADO_METADATA, Request::get(&format!("/dicom-web/studies/{}/metadata", maker.study_uid))),
        ];
        let site = Self {
            variants,
            requests,
            maker,
            stocks: Stocks { keys, keys_after, links, links_after },
            bare_builder,
            plugin_builder,
            builders,
            servers,
            processors,
            _folder: folder,
            _provider: provider,
        };
        Ok(site)
    }

    /// Stops and starts all servers: two processes of the same program differ by a few percent for as long as they
    /// live. Makes the keys and links that these rows use once, some before and some after.
    pub(super) fn restart(&mut self, rows: &[&Row]) -> Result<()> {
        // With one connection and with eight.
        let wanted = |variant| 2 * FRESH * rows.iter().filter(|row| row.variant == variant).count();
        let Stocks { keys, keys_after, links, links_after } = &self.stocks;
        keys_after.fill(wanted(FIRST_KEY_USE_AFTER_RESTART), || self.maker.key())?;
        links_after.fill(wanted(FIRST_USE_AFTER_RESTART), || self.maker.link())?;
        for server in &mut self.servers {
            server.stop()?;
        }
        self.servers = start(&self.builders, self.processors.as_ref())?;
        keys.fill(wanted(FIRST_KEY_USE), || self.maker.key())?;
        links.fill(wanted(FIRST_USE), || self.maker.link())?;
        let jwt = self.variant("JWT")?;
        let client = Client::new(jwt.address);
        let known = || {
            let answer = client.send(Request::get("/system").headers(&(jwt.headers)())).ok()?;
            (answer.status == 200).then_some(())
        };
        wait_until(Duration::from_secs(10), known).context("the provider's keys do not come")?;
        // Each session was seen once: what is wanted is the cost of the next request.
        let session = self.variant("session")?;
        let mut connection = Connection::open(session.address)?;
        for _ in 0..SESSIONS {
            let answer = connection.send(&Request::get("/system").headers(&(session.headers)()))?;
            ensure!(answer.status == 200, "a session is answered with {}", answer.status);
        }
        Ok(())
    }

    /// Ends the servers, and gives this thread all processors back.
    pub(super) fn finish(mut self) -> Result<()> {
        for server in &mut self.servers {
            server.stop()?;
        }
        self.processors.as_ref().map_or(Ok(()), Processors::free)
    }

    /// Every comparison, in the order of the table.
    pub(super) fn rows(&self) -> &'static [Row] {
        ROWS
    }

    pub(super) fn variant(&self, name: &str) -> Result<&Variant> {
        self.variants.iter().find(|v| v.name == name).with_context(|| format!("no variant {name}"))
    }

    pub(super) fn request(&self, route: &str) -> Result<&Request> {
        let found = self.requests.iter().find(|(name, _)| *name == route);
        Ok(&found.with_context(|| format!("no route {route}"))?.1)
    }

    pub(super) fn bare_builder(&self) -> &OrthancBuilder {
        &self.bare_builder
    }

    pub(super) fn plugin_builder(&self) -> &OrthancBuilder {
        &self.plugin_builder
    }
}

/// Starts them where servers run, and leaves this thread where load runs.
pub(super) fn start(builders: &[OrthancBuilder], processors: Option<&Processors>) -> Result<Vec<Orthanc>> {
    processors.map_or(Ok(()), Processors::start_servers)?;
    let servers = builders.iter().map(OrthancBuilder::start).collect::<Result<Vec<_>>>()?;
    processors.map_or(Ok(()), Processors::start_load)?;
    Ok(servers)
}

pub(super) fn always(name: &'static str, address: SocketAddr, header: Option<(&str, String)>) -> Variant {
    let headers: Headers = header.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Variant { name, address, headers: Box::new(move || headers.clone()), status: 200 }
}

/// Each request with the next value; begins again when all are used up.
fn each(name: &'static str, address: SocketAddr, header: &'static str, values: Vec<String>, status: u16) -> Variant {
    let next = AtomicUsize::new(0);
    let headers = move || {
        let value = values.get(next.fetch_add(1, Ordering::Relaxed) % values.len().max(1));
        value.map(|value| (header.to_owned(), value.clone())).into_iter().collect()
    };
    Variant { name, address, headers: Box::new(headers), status }
}

/// Makes keys and links at the server with the plugin.
struct Maker {
    admin: Client,
    study: String,
    study_uid: String,
}

impl Maker {
    fn key(&self) -> Result<String> {
        let answer = self.admin.post_json("/auth/api-keys", &json!({"Name": "bench"}))?.expect_status(200)?.json()?;
        Ok(answer["Key"].as_str().context("no Key")?.to_owned())
    }

    fn link(&self) -> Result<String> {
        let wanted = json!({"Type": "stone-viewer-publication", "ValidityDuration": 86_400,
            "Resources": [{"OrthancId": self.study, "DicomUid": self.study_uid, "Level": "study"}]});
        let path = "/auth/tokens/stone-viewer-publication";
        let answer = self.admin.put_json(path, &wanted)?.expect_status(200)?.json()?;
        Ok(answer["Token"].as_str().context("no Token")?.to_owned())
    }
}

/// Keys or links that nobody has used yet.
struct Stock(Mutex<Vec<String>>);

impl Stock {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn fill(&self, wanted: usize, make: impl Fn() -> Result<String>) -> Result<()> {
        let fresh = (0..wanted).map(|_| make()).collect::<Result<Vec<_>>>()?;
        *self.0.lock().map_err(|_| anyhow!("a thread panicked"))? = fresh;
        Ok(())
    }

    /// `None` when all are used up: the server will say that nobody came.
    fn take(&self) -> Option<String> {
        self.0.lock().ok()?.pop()
    }
}

/// What is used once in each round.
struct Stocks {
    keys: Arc<Stock>,
    keys_after: Arc<Stock>,
    links: Arc<Stock>,
    links_after: Arc<Stock>,
}

/// Each request with one that was not used yet.
fn stocked(name: &'static str, address: SocketAddr, header: &'static str, stock: &Arc<Stock>) -> Variant {
    let stock = Arc::clone(stock);
    let headers = move || stock.take().map(|value| (header.to_owned(), value)).into_iter().collect();
    Variant { name, address, headers: Box::new(headers), status: 200 }
}

/// A session by the login page: the cookie.
fn log_in(client: &Client) -> Result<String> {
    let form = Request::post("/auth/login", "user=admin&password=admin").header("Sec-Fetch-Site", "same-origin");
    let answer = client.send(form)?.expect_status(303)?;
    let cookie = answer.header("set-cookie").and_then(|line| line.split(';').next()).context("no cookie")?;
    Ok(cookie.to_owned())
}

/// A key that was never given out: one character in the middle differs.
fn spoil(key: &str) -> String {
    let middle = key.len() / 2;
    key.char_indices()
        .map(|(at, c)| {
            if at != middle {
                c
            } else if c == 'a' {
                'b'
            } else {
                'a'
            }
        })
        .collect()
}

fn configuration(provider: &Provider) -> Result<Value> {
    let account = |user: &str| -> Result<Value> {
        Ok(json!({"PasswordHash": password_hash(user)?, "Roles": [format!("{user}-role")]}))
    };
    let all = ["all", "admin-permissions", "view", "download", "upload", "edit-labels", "share"];
    let roles = workspace::target().join("testbed").join("bench-roles.json");
    let text = json!({"roles": {
        "admin-role": {"permissions": all, "authorized-labels": ["*"]},
        "limited-role": {"permissions": ["view", "download"], "authorized-labels": ["external"]},
    }, "available-labels": []});
    std::fs::write(&roles, text.to_string())?;
    Ok(json!({"Authorization": {
        "WebServiceRootUrl": "",
        "Users": {"admin": account("admin")?, "limited": account("limited")?},
        "Keycloak": {"Url": provider.url(), "Realm": Provider::REALM},
        "TokenHttpHeaders": ["api-key"],
        "PermissionsFile": roles,
        "LabelsValidity": 60,
    }}))
}

/// Made-up studies, every second one labelled; the first one's Orthanc id and StudyInstanceUID.
fn fill(client: &Client) -> Result<(String, String)> {
    let mut first = None;
    for number in 0..STUDIES {
        let image = Instance::named(&format!("bench-{number}"), "study", "series", "image");
        let study = dicom::upload(client, image.to_bytes())?.study;
        if number % 2 == 0 {
            dicom::label(client, &study, "external")?;
        }
        first.get_or_insert((study, image.get((0x0020, 0x000d))));
    }
    first.context("no studies")
}

/// The yardstick plugin, compiled against the official header.
pub(super) fn empty_override(version: Version) -> Result<PathBuf> {
    let source = workspace::root().join("benches/empty_override/empty_override.c");
    let library = workspace::target().join("testbed").join(format!("empty_override-{}.so", version.suite()));
    std::fs::create_dir_all(library.parent().context("no folder")?)?;
    let compiled = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-Wall"])
        .arg("-I")
        .arg(version.include_folder()?)
        .arg(&source)
        .arg("-o")
        .arg(&library)
        .status()
        .context("cannot start cc")?;
    ensure!(compiled.success(), "{} does not compile", source.display());
    Ok(library)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load;

    #[test]
    fn the_yardstick_answers_what_the_core_answers() {
        for version in Version::tested() {
            let builder = Orthanc::builder(version);
            let bare = builder.start().unwrap();
            let empty = builder.plugin(empty_override(version).unwrap()).start().unwrap();
            let (study, _) = fill(&bare.client()).unwrap();
            assert_eq!(fill(&empty.client()).unwrap().0, study);
            let find = json!({"Level": "Study", "Query": {}, "Labels": ["external"], "LabelsConstraint": "Any"});
            let answers = [&bare, &empty].map(|server| {
                let found = server.client().post_json("/tools/find", &find).unwrap().json().unwrap();
                let count = server.client().post_json("/tools/count-resources", &find).unwrap().json().unwrap();
                let shown = server.client().get(&format!("/studies/{study}?requested-tags=PatientID")).unwrap();
                (dicom::sorted_ids(&found), count, shown.json().unwrap()["RequestedTags"].clone())
            });
            assert_eq!(answers[0], answers[1]);
            assert_eq!(answers[0].0.len(), STUDIES / 2);
            assert!(empty.log().contains("empty-override"), "the plugin is loaded");
        }
    }

    #[test]
    fn load_comes_back_complete_and_a_wrong_status_is_an_error() {
        let server = Orthanc::builder(Version::Trixie).start().unwrap();
        let request = Request::get("/system");
        let mut variant = always("bare", server.address(), None);
        let times = load::measure([(&variant, &request), (&variant, &request)], 8, 5).unwrap();
        assert_eq!([times.ours.len(), times.theirs.len()], [40, 40]);
        variant.status = 403;
        let other = always("bare", server.address(), None);
        let fault = load::measure([(&other, &request), (&variant, &request)], 2, 3).err().unwrap();
        assert!(fault.to_string().contains("200"), "{fault}");
    }

    #[test]
    fn fresh_values_come_in_turn_and_spoilt_keys_differ() {
        let variant = each("fresh", ([127, 0, 0, 1], 1).into(), "api-key", vec!["a".into(), "b".into()], 200);
        let values: Vec<Headers> = (0..3).map(|_| (variant.headers)()).collect();
        assert_ne!(values[0], values[1]);
        assert_eq!(values[0], values[2]);
        assert_ne!(spoil("abcdef"), "abcdef");
        assert_eq!(spoil("abcdef").len(), 6);
    }
}
