//! An HTTP/1.1 client for tests: it sends method, path and headers exactly as given (no normalising of `..`, repeats
//! allowed), keeps one connection alive, and can send raw bytes. It must not know what the server is.
use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long one answer may take before the test fails.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A request that was not sent yet.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method, as it goes over the wire.
    pub method: String,
    /// Path and query, as they go over the wire: percent-encoding is the caller's.
    pub path: String,
    /// Headers besides `Host` and `Content-Length`, in order, repeats allowed.
    pub headers: Vec<(String, String)>,
    /// The body; `None` sends no `Content-Length`, except for POST and PUT.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// A request without headers and body.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: None }
    }

    /// A GET.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST with bytes.
    #[must_use]
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", path).body(body)
    }

    /// A PUT with bytes.
    #[must_use]
    pub fn put(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("PUT", path).body(body)
    }

    /// A DELETE.
    #[must_use]
    pub fn delete(path: &str) -> Self {
        Self::new("DELETE", path)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds all of these headers.
    #[must_use]
    pub fn headers(mut self, headers: &[(String, String)]) -> Self {
        self.headers.extend_from_slice(headers);
        self
    }

    /// Adds `Authorization: Bearer …`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Adds `Authorization: Basic …`.
    #[must_use]
    pub fn basic(self, user: &str, password: &str) -> Self {
        self.header("Authorization", &basic_value(user, password))
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn to_bytes(&self, host: &str) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = self.body.as_deref();
        if body.is_some() || self.method == "POST" || self.method == "PUT" {
            text.push_str(&format!("Content-Length: {}\r\n", body.map_or(0, <[u8]>::len)));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body.unwrap_or_default());
        bytes
    }
}

/// The value of an `Authorization` header for HTTP Basic.
#[must_use]
pub fn basic_value(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers in order, names lower-cased.
    pub headers: Vec<(String, String)>,
    /// The body, unchunked.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name (lower-case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body as text, wrong UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; the error shows status and body.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("no JSON, status {}: {}", self.status, excerpt(&self.text())))
    }

    /// Itself when the status is the expected one, else an error that shows the body.
    pub fn expect_status(self, status: u16) -> Result<Self> {
        ensure!(self.status == status, "status {} instead of {status}: {}", self.status, excerpt(&self.text()));
        Ok(self)
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(500).collect()
}

/// Sends requests to one server, each over a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

impl Client {
    /// A client without credentials.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, headers: Vec::new() }
    }

    /// The same client that adds a header to each request.
    #[must_use]
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.push((name.to_owned(), value.to_owned()));
        other
    }

    /// The same client as a local user.
    #[must_use]
    pub fn with_basic(&self, user: &str, password: &str) -> Self {
        self.with_header("Authorization", &basic_value(user, password))
    }

    /// The same client with a bearer token.
    #[must_use]
    pub fn with_bearer(&self, token: &str) -> Self {
        self.with_header("Authorization", &format!("Bearer {token}"))
    }

    /// Sends it and waits for the whole answer, at most a minute.
    pub fn send(&self, request: Request) -> Result<Answer> {
        let request = request.headers(&self.headers).header("Connection", "close");
        Connection::open(self.address)?.send(&request)
    }

    /// GET.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.send(Request::get(path))
    }

    /// POST with a JSON body.
    pub fn post_json(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Request::new("POST", path).json(body))
    }

    /// PUT with a JSON body.
    pub fn put_json(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Request::new("PUT", path).json(body))
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Result<Answer> {
        self.send(Request::delete(path))
    }

    /// Sends these bytes as they are and reads until the server closes or an answer is complete.
    pub fn send_raw(&self, bytes: &[u8]) -> Result<Answer> {
        Connection::open(self.address)?.send_bytes(bytes, false)
    }
}

/// One TCP connection that stays open: for odd sequences of requests and for load.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    /// Connects; the answer to each request may take a minute.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream =
            TcpStream::connect_timeout(&address, TIMEOUT).with_context(|| format!("cannot reach {address}"))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), host: address.to_string() })
    }

    /// Sends a request and reads its answer; the connection can be used again unless either side said `close`.
    pub fn send(&mut self, request: &Request) -> Result<Answer> {
        let bytes = request.to_bytes(&self.host);
        self.send_bytes(&bytes, request.method == "HEAD")
    }

    /// Sends bytes and reads one answer; `bodiless` for the answer to a HEAD.
    pub fn send_bytes(&mut self, bytes: &[u8], bodiless: bool) -> Result<Answer> {
        self.stream.get_mut().write_all(bytes).context("cannot send")?;
        loop {
            let answer = self.read(bodiless)?;
            if answer.status != 100 {
                return Ok(answer);
            }
        }
    }

    fn read(&mut self, bodiless: bool) -> Result<Answer> {
        let start = self.line()?;
        let status = start
            .split(' ')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .with_context(|| format!("no status line: {}", excerpt(&start)))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                ensure!(line.is_empty(), "bad header line: {line}");
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if bodiless || matches!(status, 100 | 204 | 304) {
            return Ok(answer);
        }
        if answer.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            answer.body = self.chunks()?;
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().with_context(|| format!("bad content length {length}"))?;
            answer.body = vec![0; length];
            self.stream.read_exact(&mut answer.body).context("the answer ends early")?;
        } else {
            self.stream.read_to_end(&mut answer.body).context("the answer ends early")?;
        }
        Ok(answer)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).context("no answer")?;
        ensure!(!line.is_empty(), "the server closed the connection without an answer");
        Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let Ok(size) = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16) else {
                bail!("bad chunk size: {line}");
            };
            let start = body.len();
            body.resize(start + size, 0);
            self.stream.read_exact(body.get_mut(start..).unwrap_or_default()).context("the answer ends early")?;
            self.line()?; // after the last chunk: the end of (unused) trailers
            if size == 0 {
                return Ok(body);
            }
        }
    }
}
