//! One real nginx with the configuration that is shipped (`docker/nginx/`), filled in as its container image does it,
//! on loopback, with a certificate of an authority of its own. It must not know what is behind it.
use crate::clock::wait_until;
use crate::orthanc::{extracted, free_port};
use crate::{setup, spawn, workspace};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(30);

/// An nginx that is not started yet.
#[derive(Clone, Debug)]
pub struct NginxBuilder {
    domain: String,
    orthanc: SocketAddr,
    keycloak: SocketAddr,
    orthanc_path: String,
    files: Vec<(String, String)>,
}

impl NginxBuilder {
    /// For this public domain, before these two; Orthanc is at `/orthanc/`.
    #[must_use]
    pub fn new(domain: &str, orthanc: SocketAddr, keycloak: SocketAddr) -> Self {
        Self { domain: domain.to_owned(), orthanc, keycloak, orthanc_path: "/orthanc/".to_owned(), files: Vec::new() }
    }

    /// Where Orthanc is, with slashes at both ends.
    #[must_use]
    pub fn orthanc_path(mut self, path: &str) -> Self {
        self.orthanc_path = path.to_owned();
        self
    }

    /// Takes this text in place of one of the files that a site changes.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Starts it and waits until it listens.
    pub fn start(&self) -> Result<Nginx> {
        let installation = setup::ensure_nginx()?;
        let home = tempfile::Builder::new().prefix("nginx-").tempdir()?;
        // Its workers are somebody else when we are root.
        fs::set_permissions(home.path(), Permissions::from_mode(0o755))?;
        let shipped = workspace::root().join("docker/nginx");
        for name in ["dicomweb.conf", "viewer-origins.conf", "admin-networks.conf"] {
            let own = self.files.iter().find(|(own, _)| own == name).map(|(_, text)| text.clone());
            let text = match own {
                Some(text) => text,
                None => fs::read_to_string(shipped.join(name))?,
            };
            fs::write(home.path().join(name), text)?;
        }
        certificates(home.path(), &self.domain)?;
        let (http, https) = (free_port()?, free_port()?);
        let local = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
        let folder = home.path().display().to_string();
        let mut text = fs::read_to_string(shipped.join("nginx.conf.template"))?;
        for (name, value) in [
            ("PUBLIC_DOMAIN", self.domain.clone()),
            ("ORTHANC_PATH", self.orthanc_path.clone()),
            ("ORTHANC", self.orthanc.to_string()),
            ("KEYCLOAK", self.keycloak.to_string()),
            ("HTTP_PORT", local(http)),
            ("HTTPS_PORT", local(https)),
            ("CERTIFICATES", folder.clone()),
            ("ACME", folder.clone()),
            ("TEMPORARY", folder.clone()),
        ] {
            text = text.replace(&format!("${{{name}}}"), &value);
        }
        ensure!(!text.contains("${"), "a name is not filled in:\n{text}");
        let file = home.path().join("nginx.conf");
        fs::write(&file, text)?;
        let log_file = home.path().join("nginx.log");
        let log = File::create(&log_file)?;
        let mut command = extracted(&installation, "usr/sbin/nginx")?;
        command.arg("-p").arg(home.path()).arg("-c").arg(&file).args(["-e", "/dev/stderr"]);
        // One process, so that it is gone when it is killed.
        command.args(["-g", "daemon off; master_process off;"]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut nginx = Nginx { child: spawn::spawn(command)?, http, https, home, log_file };
        let listening = wait_until(START_TIMEOUT, || match nginx.child.try_wait() {
            Ok(None) => TcpStream::connect(nginx.https()).is_ok().then_some(true),
            Ok(Some(_)) | Err(_) => Some(false),
        });
        match listening {
            Some(true) => Ok(nginx),
            _ => bail!("nginx did not start; its log:\n{}", nginx.log()),
        }
    }
}

/// A running nginx. Dropping it kills it.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    http: u16,
    https: u16,
    home: TempDir,
    log_file: PathBuf,
}

impl Nginx {
    /// Where it listens for plain HTTP.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.http).into()
    }

    /// Where it listens for HTTPS.
    #[must_use]
    pub fn https(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.https).into()
    }

    /// The certificate of the authority that signed its own, PEM.
    pub fn authority(&self) -> Result<Vec<u8>> {
        fs::read(self.home.path().join("authority.pem")).context("no authority")
    }

    /// All that it wrote: both logs.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log_file).unwrap_or_default()).into_owned()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Already gone: nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `authority.pem`, and by it `fullchain.pem` with `privkey.pem` for the domain.
pub(crate) fn certificates(folder: &Path, domain: &str) -> Result<()> {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    openssl(
        folder,
        &["req", "-x509", "-subj", "/CN=authority of a test", "-keyout", "authority.key", "-out", "authority.pem"],
        &key,
    )?;
    let names = format!("subjectAltName=DNS:{domain}");
    let more = [
        "-addext",
        &names,
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-CA",
        "authority.pem",
        "-CAkey",
        "authority.key",
    ];
    let subject = format!("/CN={domain}");
    let own = ["req", "-x509", "-subj", &subject, "-keyout", "privkey.pem", "-out", "fullchain.pem"];
    openssl(folder, &own, &[&key[..], &more[..]].concat())
}

fn openssl(folder: &Path, arguments: &[&str], more: &[&str]) -> Result<()> {
    let output = Command::new("openssl").args(arguments).args(more).current_dir(folder).output();
    let output = output.context("cannot start openssl (Debian package openssl)")?;
    ensure!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
