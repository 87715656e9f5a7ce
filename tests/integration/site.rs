//! A protected site to try things on: a server with the plugin, a provider, roles, local users and images. It must not
//! know what will be tried.
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use testbed::clock::wait_until;
use testbed::dicom::{self, Instance, Uploaded};
use testbed::oidc::Provider;
use testbed::{Answer, Orthanc, OrthancBuilder, Request, Version};

/// The key that share links are signed with, and that the vectors of old links were signed with.
pub const SHARE_KEY: &str = "share-token-vectors, a key for tests only";
/// The password of every local user.
pub const PASSWORD: &str = "correct horse battery staple";

/// Whoever asks: headers, and a value for the argument `token`.
#[derive(Clone, Debug, Default)]
pub struct Who {
    headers: Vec<(String, String)>,
    argument: Option<String>,
}

impl Who {
    pub fn nobody() -> Self {
        Self::default()
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn token(value: &str) -> Self {
        Self::nobody().header("token", value)
    }

    pub fn bearer(value: &str) -> Self {
        Self::nobody().header("Authorization", &format!("Bearer {value}"))
    }

    pub fn key(value: &str) -> Self {
        Self::nobody().header("api-key", value)
    }

    pub fn user(name: &str) -> Self {
        Self::nobody().header("Authorization", &testbed::http::basic_value(name, PASSWORD))
    }

    pub fn argument(value: &str) -> Self {
        Self { argument: Some(value.to_owned()), ..Self::default() }
    }

    /// Puts the credentials on a request.
    pub fn sign(&self, mut request: Request) -> Request {
        if let Some(argument) = &self.argument {
            let separator = if request.path.contains('?') { '&' } else { '?' };
            request.path.push_str(&format!("{separator}token={argument}"));
        }
        request.headers(&self.headers)
    }

    pub fn and(mut self, other: &Self) -> Self {
        self.headers.extend_from_slice(&other.headers);
        self.argument = self.argument.or_else(|| other.argument.clone());
        self
    }
}

/// An uploaded image with its Orthanc ids and UIDs.
#[derive(Clone, Debug)]
pub struct Image {
    pub ids: Uploaded,
    pub study_uid: String,
    pub series_uid: String,
    pub instance_uid: String,
}

impl Image {
    /// Made up from names, as [`Instance::named`] has it.
    pub fn of(instance: &Instance) -> Self {
        Self {
            ids: instance.ids(),
            study_uid: instance.get((0x0020, 0x000d)),
            series_uid: instance.get((0x0020, 0x000e)),
            instance_uid: instance.get((0x0008, 0x0018)),
        }
    }

    /// A template with `{study}`, `{series}`, `{instance}`, `{patient}` and `{…-uid}` filled in.
    pub fn fill(&self, template: &str) -> String {
        template
            .replace("{patient}", &self.ids.patient)
            .replace("{study}", &self.ids.study)
            .replace("{series}", &self.ids.series)
            .replace("{instance}", &self.ids.instance)
            .replace("{study-uid}", &self.study_uid)
            .replace("{series-uid}", &self.series_uid)
            .replace("{instance-uid}", &self.instance_uid)
    }
}

/// The images of a site. Each but `mixed` is its patient's only study.
#[derive(Clone, Debug)]
pub struct Images {
    /// Labelled `external`.
    pub allowed: Image,
    /// Labelled `internal`.
    pub foreign: Image,
    /// Labelled `external` and `internal`, of a patient who has a study labelled `internal` only.
    pub mixed: Image,
    /// Labelled `second`.
    pub second: Image,
}

/// The roles of a site.
pub fn roles() -> Value {
    json!({
        "roles": {
            "admin-role": {
                "permissions": ["all", "admin-permissions", "view", "download", "delete", "send", "modify", "anonymize",
                    "upload", "q-r-remote-modalities", "settings", "edit-labels", "share"],
                "authorized-labels": ["*"],
            },
            "doctor-role": {"permissions": ["view", "download", "share"], "authorized-labels": ["*"]},
            "external-role": {"permissions": ["all"], "authorized-labels": ["external"]},
            "viewer-role": {"permissions": ["view"], "authorized-labels": ["external"]},
            "second-role": {"permissions": ["view"], "authorized-labels": ["second"]},
        },
        "available-labels": [],
    })
}

/// The local users: each has the role of that name. The password of `guessed` is guessed at, which locks it for a
/// while; nobody else uses it.
pub const USERS: [&str; 6] = ["admin", "doctor", "external", "viewer", "second", "guessed"];

/// A site that is not built yet.
#[derive(Clone)]
pub struct Plan {
    version: Version,
    section: Value,
    roles: Value,
    builder: OrthancBuilder,
    folder: Option<PathBuf>,
}

impl Plan {
    pub fn new(version: Version) -> Self {
        let mut plan = Self::with_library(version, &testbed::plugin_library().unwrap());
        plan.builder = plan.builder.dicomweb().unwrap().verbose();
        plan
    }

    /// With this library as the plugin and no other plugins.
    pub fn with_library(version: Version, library: &Path) -> Self {
        let builder = Orthanc::builder(version).plugin(library);
        Self { version, section: json!({}), roles: roles(), builder, folder: None }
    }

    /// Loads one more plugin.
    #[allow(dead_code, reason = "the leaks are looked for with all plugins")]
    pub fn plugin(mut self, library: &Path) -> Self {
        self.builder = self.builder.plugin(library);
        self
    }

    /// Loads one more plugin before all others.
    #[allow(dead_code, reason = "for a plugin that answers in our place")]
    pub fn plugin_first(mut self, library: &Path) -> Self {
        self.builder = self.builder.plugin_first(library);
        self
    }

    /// Sets an environment variable of the server.
    #[allow(dead_code, reason = "the leaks are looked for with guards taken out")]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.env(name, value);
        self
    }

    /// Listens here, for those who have to know it before the start.
    #[allow(dead_code, reason = "for a plugin that calls its own server")]
    pub fn port(mut self, port: u16) -> Self {
        self.builder = self.builder.port(port);
        self
    }

    /// Merges this over section `Authorization`, member by member at its top.
    pub fn section(mut self, more: Value) -> Self {
        if let (Value::Object(section), Value::Object(more)) = (&mut self.section, more) {
            section.extend(more);
        }
        self
    }

    pub fn roles(mut self, roles: Value) -> Self {
        self.roles = roles;
        self
    }

    /// Merges this over the server's own configuration.
    pub fn server(mut self, more: &Value) -> Self {
        self.builder = self.builder.configure(more);
        self
    }

    /// Keeps everything here, for restarts and for looking into.
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_path_buf());
        self
    }

    /// The server's configuration as it will be, with a provider of its own.
    fn builder(&self, provider: &Provider, folder: &Path) -> OrthancBuilder {
        let mut section = json!({
            "WebServiceRootUrl": "",
            "StandardConfigurations": ["orthanc-explorer-2", "stone-webviewer", "ohif"],
            "Keycloak": {"Url": provider.url(), "Realm": Provider::REALM},
            "TokenHttpHeaders": ["api-key"],
            "PermissionsFile": roles_file(folder),
            "Users": users(),
            "Shares": shares(),
            "LabelsValidity": 1,
        });
        if let (Value::Object(section), Value::Object(more)) = (&mut section, self.section.clone()) {
            section.extend(more);
        }
        self.builder.clone().folder(folder).configure(&json!({"Authorization": section}))
    }

    /// Starts it with a provider of its own and without images.
    pub fn start(&self) -> Site {
        let site = self.start_with(Provider::start().unwrap());
        // The provider's keys are fetched behind the server's start.
        if self.section.get("Keycloak").is_none() {
            // With a role, or the doctor would find that somebody came without.
            let someone = Who::token(&site.token("someone", &["doctor-role"]));
            let known = || site.get(&someone, "/auth/user/profile").json().ok()?["user-id"].as_str().map(drop);
            assert!(wait_until(Duration::from_secs(20), known).is_some(), "{}", site.end_of_log());
        }
        site
    }

    pub fn start_with(&self, provider: Provider) -> Site {
        let owned = self.folder.is_none().then(|| tempfile::tempdir().unwrap());
        let folder = self.folder.clone().or_else(|| owned.as_ref().map(|owned| owned.path().to_path_buf())).unwrap();
        fs::create_dir_all(&folder).unwrap();
        if !roles_file(&folder).exists() {
            fs::write(roles_file(&folder), serde_json::to_vec_pretty(&self.roles).unwrap()).unwrap();
        }
        let builder = self.builder(&provider, &folder);
        let server = builder.start().unwrap_or_else(|fault| panic!("{fault:#}"));
        Site { version: self.version, server, provider, folder, builder, _owned: owned.into_iter().collect() }
    }

    /// Starts it where it must refuse to; gives its log.
    pub fn start_refused(&self, folder: &Path) -> String {
        let provider = Provider::start().unwrap();
        fs::create_dir_all(folder).unwrap();
        if !roles_file(folder).exists() {
            fs::write(roles_file(folder), serde_json::to_vec_pretty(&self.roles).unwrap()).unwrap();
        }
        self.builder(&provider, folder).start_refused().unwrap_or_else(|fault| panic!("{fault:#}"))
    }
}

fn users() -> Value {
    // Hashing takes a second without optimisation, and the salt is not what is tested.
    static HASH: OnceLock<String> = OnceLock::new();
    let hash = HASH.get_or_init(|| testbed::password_hash(PASSWORD).unwrap());
    USERS
        .iter()
        .map(|name| (name.to_string(), json!({"PasswordHash": hash, "Roles": [format!("{name}-role")]})))
        .collect()
}

/// The section `Shares` of every site.
pub fn shares() -> Value {
    json!({
        "SecretKey": SHARE_KEY,
        "PublicOrthancRoot": "http://site.test/orthanc/",
        "PublicOhifRoot": "http://site.test/ohif/",
        "PublicMedDreamRoot": "http://site.test/meddream/",
        "MedDreamTokenServiceUrl": "http://127.0.0.1:9/",
    })
}

pub fn roles_file(folder: &Path) -> PathBuf {
    folder.join("permissions.jsonc")
}

/// A running site.
pub struct Site {
    pub version: Version,
    pub server: Orthanc,
    pub provider: Provider,
    pub folder: PathBuf,
    builder: OrthancBuilder,
    _owned: Vec<tempfile::TempDir>,
}

impl Site {
    /// Keeps the folder, beside its own, until the site is gone.
    #[allow(dead_code, reason = "for those who write into the folder before the start")]
    pub fn owns(&mut self, folder: tempfile::TempDir) {
        self._owned.push(folder);
    }

    /// Sends a request as somebody.
    pub fn send(&self, who: &Who, request: Request) -> Answer {
        let request = who.sign(request);
        let shown = format!("{} {}", request.method, request.path);
        let answer = self.server.client().send(request);
        answer.unwrap_or_else(|fault| panic!("{shown}: {fault:#}; the server's log ends:\n{}", self.end_of_log()))
    }

    /// Sends a request, the end of its body only when it was seen to have been let through, and something happened: the
    /// status line of the answer.
    pub fn send_slowly(
        &self,
        who: &Who,
        request: Request,
        end: usize,
        let_through: impl FnMut() -> Option<()>,
        meanwhile: impl FnOnce(),
    ) -> String {
        let bytes = who.sign(request).header("Connection", "close").to_bytes("site");
        let (first, second) = bytes.split_at(bytes.len() - end);
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(first).unwrap();
        assert!(wait_until(Duration::from_secs(20), let_through).is_some(), "the filter has let it through");
        meanwhile();
        stream.write_all(second).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }

    /// The last lines of the log, for a panic.
    fn end_of_log(&self) -> String {
        let log = self.server.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    pub fn get(&self, who: &Who, path: &str) -> Answer {
        self.send(who, Request::get(path))
    }

    pub fn post(&self, who: &Who, path: &str, body: &Value) -> Answer {
        self.send(who, Request::new("POST", path).json(body))
    }

    pub fn put(&self, who: &Who, path: &str, body: &Value) -> Answer {
        self.send(who, Request::new("PUT", path).json(body))
    }

    pub fn delete(&self, who: &Who, path: &str) -> Answer {
        self.send(who, Request::delete(path))
    }

    /// An access token of somebody with these roles.
    pub fn token(&self, subject: &str, roles: &[&str]) -> String {
        self.provider.token(subject, roles).unwrap()
    }

    /// Somebody of the provider who may do everything, by our name for that or by the one that tests with several
    /// providers map.
    pub fn admin(&self) -> Who {
        Who::token(&self.token("admin-of-the-provider", &["admin-role", "their-admins"]))
    }

    /// Uploads an image and labels its study.
    pub fn upload(&self, instance: &Instance, labels: &[&str]) -> Image {
        let answer = self.send(&self.admin(), Request::post("/instances", instance.to_bytes()));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let image = Image::of(instance);
        for label in labels {
            let path = format!("/studies/{}/labels/{label}", image.ids.study);
            assert_eq!(self.send(&self.admin(), Request::put(&path, "")).status, 200);
        }
        image
    }

    /// The images that most tests need.
    pub fn fill(&self) -> Images {
        self.upload(&Instance::named("Mixed", "private", "series", "instance"), &["internal"]);
        Images {
            allowed: self.upload(&Instance::named("Allowed", "study", "series", "instance"), &["external"]),
            foreign: self.upload(&Instance::named("Foreign", "study", "series", "instance"), &["internal"]),
            mixed: self.upload(&Instance::named("Mixed", "shared", "series", "instance"), &["external", "internal"]),
            second: self.upload(&Instance::named("Second", "study", "series", "instance"), &["second"]),
        }
    }

    /// Makes an API key and gives its id and text.
    pub fn make_key(&self, who: &Who, request: &Value) -> (String, String) {
        let answer = self.post(who, "/auth/api-keys", request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json().unwrap();
        (answer["ID"].as_str().unwrap().to_owned(), answer["Key"].as_str().unwrap().to_owned())
    }

    /// Makes a link to a study and gives its token.
    pub fn make_link(&self, who: &Who, link_type: &str, study: &Image) -> String {
        let resource = json!({"OrthancId": study.ids.study, "DicomUid": study.study_uid, "Level": "study"});
        let body = json!({"ID": "link", "Resources": [resource], "Type": link_type, "ValidityDuration": 3600});
        let answer = self.put(who, &format!("/auth/tokens/{link_type}"), &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json().unwrap()["Token"].as_str().unwrap().to_owned()
    }

    /// Stops the server in good order and starts it again on the same state.
    pub fn restart(&mut self) {
        self.server.stop().unwrap();
        self.start_again();
    }

    /// Starts it again after a stop or a kill.
    pub fn start_again(&mut self) {
        self.server = self.builder.start().unwrap_or_else(|fault| panic!("{fault:#}"));
    }
}

/// Something that is made once for each version.
pub struct OneEach<T> {
    trixie: OnceLock<T>,
    sid: OnceLock<T>,
}

impl<T> OneEach<T> {
    pub const fn new() -> Self {
        Self { trixie: OnceLock::new(), sid: OnceLock::new() }
    }

    pub const fn of(&self, version: Version) -> &OnceLock<T> {
        match version {
            Version::Trixie => &self.trixie,
            Version::Sid => &self.sid,
        }
    }
}

/// A site with its images, one for each version, for tests that change neither. Kept until the process ends.
pub fn shared(version: Version) -> &'static (Site, Images) {
    static SITES: OneEach<(Site, Images)> = OneEach::new();
    SITES.of(version).get_or_init(|| {
        // Nobody drops a static: the folders of processes that are gone are cleared away by the next.
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared-sites");
        for old in fs::read_dir(&all).into_iter().flatten().flatten() {
            let process = old.file_name().to_string_lossy().split('-').next().map(str::to_owned).unwrap_or_default();
            if !Path::new("/proc").join(process).exists() {
                // Somebody else may be at it.
                let _ = fs::remove_dir_all(old.path());
            }
        }
        let site = Plan::new(version).folder(&all.join(format!("{}-{}", std::process::id(), version.suite()))).start();
        let images = site.fill();
        // Few passwords are checked at a time, and whoever comes too many is sent away: here nobody has to wait.
        for name in USERS.iter().filter(|name| **name != "guessed") {
            let known =
                || (site.get(&Who::user(name), "/auth/user/profile").json().ok()?["name"] == *name).then_some(());
            assert!(wait_until(Duration::from_secs(60), known).is_some(), "{name}");
        }
        (site, images)
    })
}

/// The ids in a JSON array of strings, sorted.
pub fn ids(answer: &Answer) -> Vec<String> {
    dicom::sorted_ids(&answer.json().unwrap())
}
