//! One real Orthanc: configured, started, watched, stopped. It must not know what the plugin does.
//!
//! A server dies with the process that started it, however that ends, and its folder is removed with the [`Orthanc`]
//! value unless the caller owns the folder.
use crate::clock::{monotonic, wait_until};
use crate::http::Client;
use crate::{setup, spawn};
use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long a start may take before it counts as failed; machines under load need some.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an orderly stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// An environment variable with the one version (by Debian's name) that [`Version::tested`] gives.
pub const ONLY: &str = "GATEHOUSE_ORTHANC";

/// Which Orthanc, by the Debian release that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// 1.12.7.
    Trixie,
    /// 1.13.0 (or what sid has by now).
    Sid,
}

impl Version {
    /// All that the tests run against.
    pub const ALL: [Self; 2] = [Self::Trixie, Self::Sid];

    /// Those that integration tests loop over: all, unless the environment variable [`ONLY`] names one.
    #[must_use]
    pub fn tested() -> Vec<Self> {
        match std::env::var(ONLY).ok().and_then(|suite| Self::from_suite(&suite)) {
            Some(version) => vec![version],
            None => Self::ALL.to_vec(),
        }
    }

    /// Debian's name of the release.
    #[must_use]
    pub fn suite(self) -> &'static str {
        match self {
            Self::Trixie => "trixie",
            Self::Sid => "sid",
        }
    }

    /// By Debian's name.
    #[must_use]
    pub fn from_suite(suite: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.suite() == suite)
    }

    /// The extracted server's folder; extracts it if need be.
    pub fn folder(self) -> Result<PathBuf> {
        setup::ensure_orthanc(self)
    }

    /// A plugin that comes with the server: `OrthancDicomWeb`, `DelayedDeletion`, ….
    pub fn bundled_plugin(self, name: &str) -> Result<PathBuf> {
        Ok(self.folder()?.join(format!("usr/share/orthanc/plugins/lib{name}.so")))
    }

    /// The folder to give to `cc -I`: it holds `orthanc/OrthancCPlugin.h`.
    pub fn include_folder(self) -> Result<PathBuf> {
        Ok(self.folder()?.join("usr/include"))
    }
}

/// A server that is not started yet; may be started several times.
#[derive(Clone, Debug)]
pub struct OrthancBuilder {
    version: Version,
    plugins: Vec<PathBuf>,
    configuration: Value,
    environment: Vec<(String, String)>,
    verbose: bool,
    folder: Option<PathBuf>,
    port: Option<u16>,
}

impl OrthancBuilder {
    /// A bare server: no plugins, no authentication, loopback only, no DICOM port, everything in a temporary folder.
    #[must_use]
    pub fn new(version: Version) -> Self {
        Self {
            version,
            plugins: Vec::new(),
            configuration: json!({}),
            environment: Vec::new(),
            verbose: false,
            folder: None,
            port: None,
        }
    }

    /// Loads one more plugin.
    #[must_use]
    pub fn plugin(mut self, library: impl Into<PathBuf>) -> Self {
        self.plugins.push(library.into());
        self
    }

    /// Loads one more plugin before all others so far.
    #[must_use]
    pub fn plugin_first(mut self, library: impl Into<PathBuf>) -> Self {
        self.plugins.insert(0, library.into());
        self
    }

    /// Loads the DICOMweb plugin that comes with this version.
    pub fn dicomweb(self) -> Result<Self> {
        let library = self.version.bundled_plugin("OrthancDicomWeb")?;
        Ok(self.plugin(library))
    }

    /// Merges this over the configuration so far: objects member by member, anything else replaced.
    #[must_use]
    pub fn configure(mut self, more: &Value) -> Self {
        merge(&mut self.configuration, more);
        self
    }

    /// Sets an environment variable of the server.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Logs at info level, where the plugin's lines about refusals are.
    #[must_use]
    pub fn verbose(mut self) -> Self {
        self.verbose = true;
        self
    }

    /// Keeps index, storage, configuration and logs here, and leaves them when the server is gone: for restarts.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Listens here instead of on a free port; a start fails if somebody else does.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Whether the configuration says where images and index are: else they are in the folder, and go with it.
    #[must_use]
    pub fn keeps_its_state(&self) -> bool {
        ["StorageDirectory", "IndexDirectory"].iter().any(|key| self.configuration.get(*key).is_some())
    }

    /// Starts it and waits until HTTP answers. A server that ends instead is an error that contains its log.
    pub fn start(&self) -> Result<Orthanc> {
        let mut attempts = 5;
        loop {
            attempts -= 1;
            let mut server = self.launch()?;
            match server.wait_until_serving() {
                Ok(()) => return Ok(server),
                // Between choosing a free port and listening, another process may have taken it.
                Err(_) if self.port.is_none() && attempts > 0 && server.port_was_taken() => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Starts it where it must refuse to start; returns its log. An error if it serves, or hangs.
    pub fn start_refused(&self) -> Result<String> {
        let mut server = self.launch()?;
        let ended = wait_until(START_TIMEOUT, || {
            let over = server.exit_status().transpose();
            over.or_else(|| server.log().contains("Orthanc has started").then(|| Err(anyhow!("it serves"))))
        });
        let log = server.log();
        match ended {
            Some(Ok(_)) => Ok(log),
            Some(Err(fault)) => Err(fault.context(format!("Orthanc was expected to refuse to start; its log:\n{log}"))),
            None => bail!("Orthanc neither serves nor ends; its log:\n{log}"),
        }
    }

    fn launch(&self) -> Result<Orthanc> {
        let (folder, owned) = match &self.folder {
            Some(folder) => (folder.clone(), None),
            None => {
                let owned = tempfile::Builder::new().prefix("orthanc-").tempdir()?;
                (owned.path().to_path_buf(), Some(owned))
            }
        };
        fs::create_dir_all(&folder)?;
        let port = match self.port {
            Some(port) => port,
            None => free_port()?,
        };
        let mut configuration = json!({
            "Name": "testbed", "HttpPort": port, "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
            "DicomServerEnabled": false, "Plugins": self.plugins, "SaveJobs": false,
            "DicomWeb": {"EnableMetadataCache": false},
        });
        // Both or neither: an index without its files, or files without their index, are worth nothing.
        if !self.keeps_its_state() {
            let own = json!({"StorageDirectory": folder.join("storage"), "IndexDirectory": folder.join("index")});
            merge(&mut configuration, &own);
        }
        merge(&mut configuration, &self.configuration);
        let configuration_file = folder.join("orthanc.json");
        fs::write(&configuration_file, serde_json::to_vec_pretty(&configuration)?)?;
        let log_file = (0..).map(|n| folder.join(format!("orthanc-{n}.log"))).find(|f| !f.exists());
        let log_file = log_file.context("too many logs")?;

        let mut command = command(&self.version.folder()?)?;
        command.arg(&configuration_file).envs(self.environment.iter().map(|(n, v)| (n, v))).current_dir(&folder);
        if self.verbose {
            command.arg("--verbose");
        }
        let log = File::create(&log_file)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = spawn::spawn(command)?;
        let startup = Duration::ZERO;
        Ok(Orthanc { child, port, folder, log_file, configuration_file, startup, _owned: owned })
    }
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Orthanc {
    child: Child,
    port: u16,
    folder: PathBuf,
    log_file: PathBuf,
    configuration_file: PathBuf,
    startup: Duration,
    _owned: Option<TempDir>,
}

impl Orthanc {
    /// Shorthand for [`OrthancBuilder::new`].
    #[must_use]
    pub fn builder(version: Version) -> OrthancBuilder {
        OrthancBuilder::new(version)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `http://127.0.0.1:port`, no slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A client without credentials.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.address())
    }

    /// The folder with `index`, `storage`, `orthanc.json` and the logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The configuration that it was started with.
    #[must_use]
    pub fn configuration_file(&self) -> &Path {
        &self.configuration_file
    }

    /// All that it wrote to stdout and stderr since this start.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log_file).unwrap_or_default()).into_owned()
    }

    /// Waits for a line of the log that contains the text and returns it.
    pub fn wait_for_log(&self, text: &str, timeout: Duration) -> Result<String> {
        let find = || self.log().lines().find(|line| line.contains(text)).map(str::to_owned);
        wait_until(timeout, find).with_context(|| format!("the log does not say {text:?}:\n{}", self.log()))
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Resident and proportional memory in KiB, from `/proc/…/smaps_rollup`.
    pub fn memory(&self) -> Result<Memory> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid()))?;
        let field = |name: &str| -> Option<u64> {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Ok(Memory { rss: field("Rss:").context("no Rss")?, pss: field("Pss:").context("no Pss")? })
    }

    /// How long it took from the start to the first answer, to 10 ms.
    #[must_use]
    pub fn startup(&self) -> Duration {
        self.startup
    }

    /// The number of its threads.
    pub fn threads(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/task", self.pid()))?.count())
    }

    /// SIGTERM, then waits for the end; an error with the log if it does not end or does not end well.
    pub fn stop(&mut self) -> Result<()> {
        // It serves, and says that it has started, some milliseconds before it listens to the signal, which ends it at once
        // until then.
        let listens = || (!matches!(self.exit_status(), Ok(None)) || self.catches(Signal::TERM)).then_some(());
        wait_until(START_TIMEOUT, listens).context("Orthanc does not listen to SIGTERM")?;
        if self.exit_status()?.is_none() {
            self.signal(Signal::TERM)?;
        }
        let status = wait_until(STOP_TIMEOUT, || self.exit_status().transpose());
        let status = status.with_context(|| format!("Orthanc does not stop; its log:\n{}", self.log()))??;
        if !status.success() {
            bail!("Orthanc ended with {status}; its log:\n{}", self.log());
        }
        Ok(())
    }

    /// kill -9, as a power cut would; returns when the process is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Whether the process has a handler of its own for a signal (`SigCgt` in `/proc/…/status`, proc(5)).
    fn catches(&self, signal: Signal) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
        caught >> (signal.as_raw() - 1) & 1 == 1
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, signal).context("cannot send a signal")
    }

    /// The log first: an answer alone might come from another server on a port that we failed to get.
    fn wait_until_serving(&mut self) -> Result<()> {
        let start = monotonic();
        let end = wait_until(START_TIMEOUT, || match self.exit_status() {
            Ok(Some(status)) => Some(Err(anyhow!("it ended with {status}"))),
            Err(fault) => Some(Err(fault)),
            Ok(None) => {
                let started = self.log().contains("Orthanc has started");
                (started && self.client().get("/system").is_ok()).then_some(Ok(()))
            }
        });
        self.startup = start.elapsed();
        let took = self.startup.as_secs();
        match end {
            Some(Ok(())) => Ok(()),
            Some(Err(fault)) => Err(fault.context(format!("Orthanc did not start; its log:\n{}", self.log()))),
            None => bail!("Orthanc does not answer after {took} s; its log:\n{}", self.log()),
        }
    }

    fn port_was_taken(&self) -> bool {
        let log = self.log();
        log.contains("already in use") || log.contains("Network port")
    }
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        // Already gone: nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Memory of a process in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident.
    pub rss: u64,
    /// Resident, shared pages divided by those who share them.
    pub pss: u64,
}

/// A port on which nobody listens now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port())
}

/// The extracted server.
pub(crate) fn command(folder: &Path) -> Result<Command> {
    let mut command = extracted(folder, "usr/sbin/Orthanc")?;
    command.env("DCMDICTPATH", folder.join("usr/share/dcmtk/dicom.dic")).env("LC_ALL", "C.UTF-8");
    Ok(command)
}

/// A program of extracted packages, run by its own loader on its own libraries: nothing of the machine's, whatever its
/// age and architecture.
pub(crate) fn extracted(folder: &Path, program: &str) -> Result<Command> {
    let libraries = folder.join("usr/lib");
    let (triplet, loader) = find_loader(&libraries)?;
    let path =
        [triplet.clone(), triplet.join("blas"), triplet.join("lapack"), libraries.join("orthanc"), libraries.clone()];
    let mut command = spawn::tied_command(loader);
    command.arg("--library-path").arg(std::env::join_paths(path)?).arg(folder.join(program));
    Ok(command)
}

/// `usr/lib/<triplet>` and the dynamic loader in it (`ld-linux-*`, on some architectures `ld64.*`).
fn find_loader(libraries: &Path) -> Result<(PathBuf, PathBuf)> {
    for folder in fs::read_dir(libraries).with_context(|| format!("no {}", libraries.display()))? {
        let folder = folder?.path();
        if !folder.file_name().is_some_and(|name| name.to_string_lossy().contains("-linux-gnu")) {
            continue;
        }
        for file in fs::read_dir(&folder)? {
            let file = file?;
            let name = file.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("ld-linux") || name.starts_with("ld64.") {
                return Ok((folder, file.path()));
            }
        }
    }
    bail!("no dynamic loader below {}", libraries.display())
}

fn merge(base: &mut Value, more: &Value) {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => merge_members(base, more),
        (base, more) => *base = more.clone(),
    }
}

fn merge_members(base: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (name, value) in more {
        merge(base.entry(name.clone()).or_insert(Value::Null), value);
    }
}
