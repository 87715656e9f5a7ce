//! A real mail server on loopback (PyPI's `aiosmtpd`, by `tests/testbed/mail/server.py`) with a certificate of an
//! authority of its own, and with faults on demand; and one that says what it is told, for what no real one would say.
//! It must not know who sends what.
use crate::clock::wait_until;
use crate::door::{Bound, Door};
use crate::nginx::certificates;
use crate::{setup, spawn, workspace};
use anyhow::{Context, Result, ensure};
use base64::Engine;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// In the clear.
    None,
    /// STARTTLS, which it insists on.
    StartTls,
    /// TLS from the start.
    Tls,
}

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never answers to a mail's content.
    Hang,
    /// It hangs up there.
    Drop,
}

/// A mail server that is not started yet.
#[derive(Clone, Debug)]
pub struct MailServerBuilder {
    tls: Tls,
    domain: String,
    login: Option<(String, String)>,
    refuse: Option<String>,
    fault: Option<Fault>,
}

impl MailServerBuilder {
    /// What its certificate is for; `localhost` unless said otherwise.
    #[must_use]
    pub fn certificate_for(mut self, domain: &str) -> Self {
        self.domain = domain.to_owned();
        self
    }

    /// Wants this login.
    #[must_use]
    pub fn login(mut self, name: &str, password: &str) -> Self {
        self.login = Some((name.to_owned(), password.to_owned()));
        self
    }

    /// Refuses this recipient.
    #[must_use]
    pub fn refuse(mut self, recipient: &str) -> Self {
        self.refuse = Some(recipient.to_owned());
        self
    }

    /// Does this wrong.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Starts it and waits until it listens.
    pub fn start(&self) -> Result<MailServer> {
        let packages = setup::mail::ensure()?;
        let home = tempfile::Builder::new().prefix("mail-").tempdir()?;
        certificates(home.path(), &self.domain)?;
        let plan = json!({
            "tls": match self.tls { Tls::None => "none", Tls::StartTls => "starttls", Tls::Tls => "tls" },
            "certificate": home.path().join("fullchain.pem"), "key": home.path().join("privkey.pem"),
            "login": self.login, "refuse": self.refuse,
            "fault": self.fault.map(|fault| match fault { Fault::Hang => "hang", Fault::Drop => "drop" }),
        });
        let output = home.path().join("output");
        let errors = home.path().join("errors");
        let mut command = spawn::tied_command("python3");
        command.arg(workspace::root().join("tests/testbed/mail/server.py")).arg(plan.to_string());
        command.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdin(Stdio::null()).stdout(File::create(&output)?).stderr(File::create(&errors)?);
        let mut server = MailServer { child: spawn::spawn(command)?, port: 0, output, home };
        let said = || fs::read_to_string(&errors).unwrap_or_default();
        let port = wait_until(START_TIMEOUT, || match server.child.try_wait() {
            Ok(None) => server.lines().first()?["port"].as_u64().map(Some),
            _ => Some(None),
        });
        let port = port.flatten().with_context(|| format!("the mail server did not start: {}", said()))?;
        server.port = u16::try_from(port)?;
        Ok(server)
    }
}

/// A running mail server. Dropping it kills it.
#[derive(Debug)]
pub struct MailServer {
    child: Child,
    port: u16,
    output: PathBuf,
    home: TempDir,
}

/// A mail that it got.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The sender of its envelope.
    pub from: String,
    /// The recipients of its envelope.
    pub to: Vec<String>,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Whether its sender had logged in.
    pub login: bool,
    /// Headers, unfolded, names as they came.
    pub headers: Vec<(String, String)>,
    /// The plain text and the HTML, decoded.
    pub parts: Vec<(String, String)>,
}

impl Mail {
    /// The values of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The part of this type.
    #[must_use]
    pub fn part(&self, kind: &str) -> &str {
        self.parts.iter().find(|(own, _)| own.starts_with(kind)).map_or("", |(_, text)| text)
    }
}

impl MailServer {
    /// One that speaks so.
    #[must_use]
    pub fn builder(tls: Tls) -> MailServerBuilder {
        MailServerBuilder { tls, domain: "localhost".to_owned(), login: None, refuse: None, fault: None }
    }

    /// Where it listens, on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The file with the certificate of the authority that signed its own.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.home.path().join("authority.pem")
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.output).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The mails so far.
    pub fn mails(&self) -> Result<Vec<Mail>> {
        self.lines().iter().filter(|line| line.get("mail").is_some()).map(read).collect()
    }

    /// How often somebody tried to log in, and whether each time over TLS.
    #[must_use]
    pub fn logins(&self) -> Vec<bool> {
        let tried = self.lines().into_iter().filter(|line| line.get("mail").is_none() && line.get("login").is_some());
        tried.map(|line| line["tls"] == true).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        // Already gone: nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(line: &Value) -> Result<Mail> {
    let raw = base64::engine::general_purpose::STANDARD.decode(line["mail"].as_str().context("no mail")?)?;
    let text = String::from_utf8(raw)?;
    let (headers, body) = split(&text)?;
    let kind = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).context("no type")?;
    let (_, boundary) = kind.1.split_once("boundary=\"").context("no boundary")?;
    let boundary = boundary.split('"').next().unwrap_or_default();
    let mut parts = Vec::new();
    for part in body.split(&format!("--{boundary}")).skip(1).filter(|part| !part.starts_with("--")) {
        let (headers, body) = split(part.trim_start())?;
        let value = |name: &str| {
            let found = headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let body = match value("content-transfer-encoding").as_str() {
            "base64" => {
                let text: String = body.split_whitespace().collect();
                String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text)?)?
            }
            "quoted-printable" => String::from_utf8(quoted_printable(body)?)?,
            _ => body.to_owned(),
        };
        parts.push((value("content-type"), body.replace("\r\n", "\n").trim_end().to_owned()));
    }
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let to = line["to"].as_array().into_iter().flatten().filter_map(|to| to.as_str().map(str::to_owned)).collect();
    Ok(Mail { from: text("from"), to, tls: line["tls"] == true, login: line["login"] == true, headers, parts })
}

/// Headers, unfolded, and what comes after them.
fn split(text: &str) -> Result<(Vec<(String, String)>, &str)> {
    let (head, body) = text.split_once("\r\n\r\n").context("no end of the headers")?;
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let headers = unfolded.split("\r\n").map(|line| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        (name.to_owned(), value.trim().to_owned())
    });
    Ok((headers.collect(), body))
}

/// RFC 2045, 6.7.
fn quoted_printable(text: &str) -> Result<Vec<u8>> {
    let joined = text.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'=' {
            ensure!(after.len() >= 2, "half an escape");
            bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2])?, 16)?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Ok(bytes)
}

/// A mail server that says what it is told, whatever it hears; and hears what it is told.
pub struct ScriptedServer {
    door: Door,
    heard: Arc<Mutex<Vec<String>>>,
}

impl ScriptedServer {
    /// Says the greeting, then for each line that it hears what `answer` says to it (`None`: nothing).
    pub fn start(
        greeting: &'static str,
        answer: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Result<Self> {
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let for_door = Arc::clone(&heard);
        let door = Bound::any()?.open(move |stream| {
            let mut client = BufReader::new(stream);
            client.get_mut().write_all(greeting.as_bytes())?;
            let mut line = String::new();
            while client.read_line(&mut line)? > 0 {
                let said = answer(line.trim_end());
                for_door.lock().unwrap_or_else(PoisonError::into_inner).push(line.trim_end().to_owned());
                if let Some(said) = said {
                    client.get_mut().write_all(said.as_bytes())?;
                }
                line.clear();
            }
            Ok(())
        });
        Ok(Self { door, heard })
    }

    /// Where it listens, on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.door.address().port()
    }

    /// What it heard, line by line.
    #[must_use]
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One port on loopback with changing servers behind it.
pub struct Relay {
    door: Door,
    target: Arc<AtomicU16>,
}

impl Relay {
    /// With nobody behind it yet.
    pub fn start() -> Result<Self> {
        let target: Arc<AtomicU16> = Arc::default();
        let for_door = Arc::clone(&target);
        let door = Bound::any()?.open(move |client| {
            let server = TcpStream::connect((Ipv4Addr::LOCALHOST, for_door.load(Ordering::Acquire)))?;
            let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
            let up = std::thread::spawn(move || {
                let _ = std::io::copy(&mut from_client, &mut to_server);
                let _ = to_server.shutdown(Shutdown::Both);
            });
            let (mut from_server, mut to_client) = (server, client);
            let _ = std::io::copy(&mut from_server, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Both);
            let _ = up.join();
            Ok(())
        });
        Ok(Self { door, target })
    }

    /// Where it listens, on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.door.address().port()
    }

    /// Leads new connections here.
    pub fn lead_to(&self, port: u16) {
        self.target.store(port, Ordering::Release);
    }
}
