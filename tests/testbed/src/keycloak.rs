//! One real Keycloak with our own realm: started, watched, administered, stopped. It must not know what the plugin
//! does.
//!
//! It runs from the realm file that is shipped (`docker/keycloak/orthanc-realm.json`), on loopback, with a database of
//! its own in a temporary folder. The first start with a realm file imports it, which takes half a minute, and keeps
//! the result below `.cache/`; the next ones begin there.
mod admin;

use crate::clock::wait_until;
use crate::http::{Answer, Client, Request};
use crate::orthanc::free_port;
use crate::{setup, spawn, workspace};
use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::digest;
use serde_json::Value;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

pub use admin::Admin;

/// How long a start may take; under load, and with the import of the realm, it needs minutes.
const START_TIMEOUT: Duration = Duration::from_secs(300);
/// How long an orderly stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// The administrator of the whole server, with this as password, too. Loopback only, and gone with the test.
const BOOTSTRAP_ADMIN: &str = "bootstrap-admin";
/// Set where all tests must run: then a missing Keycloak is an error.
pub const REQUIRED: &str = "GATEHOUSE_ALL_TESTS";

/// The real Keycloak as a token's bearer got it.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The ID token.
    pub id: String,
    /// The refresh token.
    pub refresh: String,
}

/// A server that is not started yet.
#[derive(Clone, Debug)]
pub struct KeycloakBuilder {
    realm_file: PathBuf,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    port: Option<u16>,
}

impl KeycloakBuilder {
    /// Sets a variable that the realm file names (`PUBLIC_DOMAIN`, …). Another set of them is imported anew.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(other, _)| other != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The URL that it shows to the world, whatever it is reached by: `https://pacs.example/keycloak`. Without it, it
    /// shows the one that it is asked by.
    #[must_use]
    pub fn hostname(self, url: &str) -> Self {
        self.argument(&format!("--hostname={url}"))
    }

    /// Adds an argument of `kc.sh start`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Listens here instead of on a free port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Starts it and waits until the realm answers. A server that ends instead is an error that contains its log.
    pub fn start(&self) -> Result<Keycloak> {
        let installation = setup::ensure_keycloak()?;
        let template = self.template(&installation)?;
        let home = tempfile::Builder::new().prefix("keycloak-").tempdir_in(homes()?)?;
        copy(&template, &home.path().join("data"))?;
        self.launch(&installation, home, &[])
    }

    /// The data folder of a server that has imported the realm and was stopped in good order.
    fn template(&self, installation: &setup::keycloak::Keycloak) -> Result<PathBuf> {
        let realm = fs::read(&self.realm_file)
            .with_context(|| format!("cannot read the realm file {}", self.realm_file.display()))?;
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&realm);
        for text in self.variables.iter().flat_map(|(name, value)| [name, value]) {
            hash.update(&text.len().to_be_bytes());
            hash.update(text.as_bytes());
        }
        let name: String = hash.finish().as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let templates = installation.folder.join("realms");
        let template = templates.join(name);
        if template.is_dir() {
            return Ok(template);
        }
        let _lock = setup::lock(&templates)?;
        if template.is_dir() {
            return Ok(template);
        }
        eprintln!("setup: a first Keycloak imports {}, about a minute", self.realm_file.display());
        let home = tempfile::Builder::new().prefix("importing-").tempdir_in(&templates)?;
        let import = home.path().join("data/import");
        fs::create_dir_all(&import)?;
        fs::write(import.join("orthanc-realm.json"), realm)?;
        // What this start has loaded is kept beside the server: later ones are a third faster.
        let classes = classes(installation);
        let dump = format!("-XX:ArchiveClassesAtExit={}", classes.display());
        let java_options = if classes.exists() { Vec::new() } else { vec![dump.as_str()] };
        let first = Self { port: None, arguments: Vec::new(), ..self.clone() };
        let mut server = first.launch_with(installation, home, &["--import-realm"], &java_options)?;
        server.stop()?;
        let data = server.home.path().join("data");
        fs::remove_dir_all(data.join("import"))?;
        fs::rename(&data, &template).context("cannot keep the imported realm")?;
        Ok(template)
    }

    fn launch(&self, installation: &setup::keycloak::Keycloak, home: TempDir, more: &[&str]) -> Result<Keycloak> {
        let shared = format!("-XX:SharedArchiveFile={}", classes(installation).display());
        self.launch_with(installation, home, more, &[&shared])
    }

    /// Java is started by us, not by `kc.sh`, which stays between and leaves it behind when it is killed. The options
    /// are those of that script, for a server that lives for minutes.
    fn launch_with(
        &self,
        installation: &setup::keycloak::Keycloak,
        home: TempDir,
        more: &[&str],
        java_options: &[&str],
    ) -> Result<Keycloak> {
        for part in ["lib", "providers", "themes", "conf"] {
            std::os::unix::fs::symlink(installation.folder.join(part), home.path().join(part))?;
        }
        let port = match self.port {
            Some(port) => port,
            None => free_port()?,
        };
        let mut command = spawn::tied_command(&installation.java);
        command
            .args(["-Xms64m", "-Xmx512m", "-XX:MaxMetaspaceSize=256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args(["-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off", "-Dfile.encoding=UTF-8"])
            .args(["-Duser.language=en", "-Duser.country=US"])
            .args(java_options)
            .arg(format!("-Dkc.home.dir={}", home.path().display()))
            .arg(format!("-Djboss.server.config.dir={}", home.path().join("conf").display()))
            .args(["-Djava.util.logging.manager=org.jboss.logmanager.LogManager", "-Dpicocli.disable.closures=true"])
            .arg("-Dquarkus-log-max-startup-records=10000")
            .args(["java.util", "java.util.concurrent", "java.security", "java.lang"].map(opened))
            .arg(concat!(
                "-Djava.util.concurrent.ForkJoinPool.common.threadFactory=",
                "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory"
            ))
            .arg("-cp")
            .arg(installation.folder.join("lib/quarkus-run.jar"))
            .args(["io.quarkus.bootstrap.runner.QuarkusEntryPoint", "start", "--optimized", "--cache=local"])
            .args(["--http-enabled=true", "--http-host=127.0.0.1", &format!("--http-port={port}")])
            .args(more)
            .args(&self.arguments);
        if !self.arguments.iter().any(|argument| argument.starts_with("--hostname=")) {
            command.arg("--hostname-strict=false");
        }
        command
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", BOOTSTRAP_ADMIN)
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", BOOTSTRAP_ADMIN)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(home.path());
        let log_file = home.path().join("keycloak.log");
        let log = File::create(&log_file)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = spawn::spawn(command)?;
        let mut server = Keycloak { child, port, home, log_file };
        server.wait_until_serving()?;
        Ok(server)
    }
}

/// Where this process keeps its servers' folders. Nobody drops a server that is shared by all tests of a process: the
/// folders of processes that are gone are cleared away by the next.
fn homes() -> Result<PathBuf> {
    let all = std::env::temp_dir().join("testbed-keycloak");
    let own = all.join(std::process::id().to_string());
    fs::create_dir_all(&own)?;
    for other in fs::read_dir(&all)?.flatten() {
        if !Path::new("/proc").join(other.file_name()).exists() {
            // Somebody else may be at it.
            let _ = fs::remove_dir_all(other.path());
        }
    }
    Ok(own)
}

fn opened(package: &str) -> String {
    format!("--add-opens=java.base/{package}=ALL-UNNAMED")
}

/// Java's archive of loaded classes. One of another Java is ignored by it.
fn classes(installation: &setup::keycloak::Keycloak) -> PathBuf {
    installation.folder.join("classes.jsa")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("--recursive").arg(from).arg(to).status().context("cannot start cp")?;
    ensure!(copied.success(), "cannot copy {} to {}", from.display(), to.display());
    Ok(())
}

/// A running Keycloak with our realm. Dropping it kills it.
#[derive(Debug)]
pub struct Keycloak {
    child: Child,
    port: u16,
    home: TempDir,
    log_file: PathBuf,
}

impl Keycloak {
    /// The realm.
    pub const REALM: &'static str = "orthanc";
    /// The public client.
    pub const CLIENT: &'static str = "orthanc";
    /// The service account.
    pub const SERVICE_CLIENT: &'static str = "admin-cli";
    /// The sample password of every user of the realm file, and the sample secret of the service account.
    pub const SAMPLE_SECRET: &'static str = "change-me";
    /// The users of the realm file, each with a realm role.
    pub const USERS: [(&'static str, &'static str); 5] = [
        ("admin", "admin-role"),
        ("doctor", "doctor-role"),
        ("external", "external-role"),
        ("viewer", "viewer"),
        ("pacsadmin", "pacsadmin"),
    ];

    /// With our realm file, for the public domain `pacs.example`.
    #[must_use]
    pub fn builder() -> KeycloakBuilder {
        KeycloakBuilder {
            realm_file: workspace::root().join("docker/keycloak/orthanc-realm.json"),
            variables: vec![("PUBLIC_DOMAIN".to_owned(), "pacs.example".to_owned())],
            arguments: Vec::new(),
            port: None,
        }
    }

    /// Shorthand for starting [`Keycloak::builder`].
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// One for all tests of a process, started by the first that asks; `None` when there is none to be had, which is
    /// said loudly for the test of this name, as by [`Keycloak::is_available`].
    #[must_use]
    pub fn shared(test: &str) -> Option<&'static Self> {
        static SHARED: OnceLock<Keycloak> = OnceLock::new();
        Self::is_available(test)
            .then(|| SHARED.get_or_init(|| Self::start().unwrap_or_else(|fault| panic!("{fault:#}"))))
    }

    /// Whether tests against it can run. If not, it says so loudly on stderr; where the environment variable
    /// [`REQUIRED`] is set, it panics instead.
    #[must_use]
    pub fn is_available(test: &str) -> bool {
        match setup::ensure_keycloak() {
            Ok(_) => true,
            Err(fault) => {
                assert!(std::env::var_os(REQUIRED).is_none(), "{test} must run ({REQUIRED} is set): {fault:#}");
                eprintln!("\nNOT RUN: {test}: no Keycloak to run it against: {fault:#}\n");
                false
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `http://127.0.0.1:port/`, for `Keycloak.Url`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address())
    }

    /// The `iss` of tokens that are got at [`Keycloak::url`], unless it has a hostname of its own.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("{}realms/{}", self.url(), Self::REALM)
    }

    /// A client of the whole server.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.address())
    }

    /// All that it wrote to stdout and stderr.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log_file).unwrap_or_default()).into_owned()
    }

    /// The access token of a user of the realm file, by password grant.
    pub fn token(&self, user: &str) -> Result<String> {
        Ok(self.login(user)?.access)
    }

    /// All tokens of a user of the realm file, by password grant.
    pub fn login(&self, user: &str) -> Result<Tokens> {
        let answer = self.password_grant(&self.client(), user, Self::SAMPLE_SECRET)?.expect_status(200)?.json()?;
        tokens(&answer)
    }

    /// The answer to a password grant through any client: by another name of the server, or through a proxy.
    pub fn password_grant(&self, client: &Client, user: &str, password: &str) -> Result<Answer> {
        // With brute-force protection, Keycloak refuses whoever logs in twice at the same moment.
        static ONE_BY_ONE: Mutex<()> = Mutex::new(());
        let _turn = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
        token_request(
            client,
            &[
                ("grant_type", "password"),
                ("client_id", Self::CLIENT),
                ("username", user),
                ("password", password),
                ("scope", "openid"),
            ],
        )
    }

    /// The answer to the use of a refresh token.
    pub fn refresh(&self, refresh_token: &str) -> Result<Answer> {
        token_request(
            &self.client(),
            &[("grant_type", "refresh_token"), ("client_id", Self::CLIENT), ("refresh_token", refresh_token)],
        )
    }

    /// The realm's admin API, as the administrator of the whole server.
    pub fn admin(&self) -> Result<Admin> {
        Admin::log_in(self.client(), BOOTSTRAP_ADMIN)
    }

    /// SIGTERM, then waits for the end.
    pub fn stop(&mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).context("no process")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("cannot send a signal")?;
        let ended = wait_until(STOP_TIMEOUT, || self.child.try_wait().transpose());
        ended.with_context(|| format!("Keycloak does not stop; its log:\n{}", self.log()))??;
        Ok(())
    }

    fn wait_until_serving(&mut self) -> Result<()> {
        let path = format!("/realms/{}", Self::REALM);
        let end = wait_until(START_TIMEOUT, || match self.child.try_wait() {
            Ok(Some(status)) => Some(Err(anyhow::anyhow!("it ended with {status}"))),
            Err(fault) => Some(Err(fault.into())),
            Ok(None) => self.client().get(&path).is_ok_and(|answer| answer.status == 200).then_some(Ok(())),
        });
        match end {
            Some(Ok(())) => Ok(()),
            Some(Err(fault)) => Err(fault.context(format!("Keycloak did not start; its log:\n{}", self.log()))),
            None => bail!("Keycloak does not answer; its log:\n{}", self.log()),
        }
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        // Already gone: nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the answer of the token endpoint.
pub fn tokens(answer: &Value) -> Result<Tokens> {
    let text = |name: &str| answer[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {answer}"));
    Ok(Tokens { access: text("access_token")?, id: text("id_token")?, refresh: text("refresh_token")? })
}

/// A request to the realm's token endpoint.
pub fn token_request(client: &Client, form: &[(&str, &str)]) -> Result<Answer> {
    let path = format!("/realms/{}/protocol/openid-connect/token", Keycloak::REALM);
    client.send(form_request(&path, form))
}

/// A POST of a form.
#[must_use]
pub fn form_request(path: &str, form: &[(&str, &str)]) -> Request {
    let pairs: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    Request::post(path, pairs.join("&")).header("Content-Type", "application/x-www-form-urlencoded")
}

/// Percent-encodes everything but letters, digits and `-._~`.
#[must_use]
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}
