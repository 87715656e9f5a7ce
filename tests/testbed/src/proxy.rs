//! A proxy on loopback that counts, and that can be down: what stands between the plugin and a provider whose requests
//! are to be seen. It must not know who is behind it.
//!
//! One request on each connection, to see every one of them.
use crate::door::{Bound, Door};
use anyhow::Result;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

struct Shared {
    requests: Mutex<Vec<String>>,
    target: SocketAddr,
    prefix: String,
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, Vec<String>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running proxy; ends when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    door: Door,
}

impl Proxy {
    /// One that passes everything on.
    pub fn start(target: SocketAddr) -> Result<Self> {
        Self::start_below("", target)
    }

    /// One that shows the server below this path (`/pacs`), as nginx does with `proxy_pass …/`; nothing is there beside
    /// it.
    pub fn start_below(prefix: &str, target: SocketAddr) -> Result<Self> {
        let shared = Arc::new(Shared { requests: Mutex::default(), target, prefix: prefix.to_owned() });
        let for_door = Arc::clone(&shared);
        Ok(Self { shared, door: Bound::any()?.open(move |stream| pass_on(&for_door, stream)) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// `http://127.0.0.1:port/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address())
    }

    /// Up, or down: then connections are refused. Returns when that is in force.
    pub fn set_up(&self, up: bool) {
        self.door.set_open(up);
    }

    /// The requests so far, each as method, a space and the path with its query.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests().clone()
    }

    /// How many requests there were whose method and path contain this.
    #[must_use]
    pub fn count(&self, part: &str) -> usize {
        self.shared.requests().iter().filter(|request| request.contains(part)).count()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.shared.requests().clear();
    }
}

/// One request and its answer; the other side is told to close, so that the answer ends with the connection.
fn pass_on(shared: &Shared, stream: TcpStream) -> std::io::Result<()> {
    let mut client = BufReader::new(stream);
    let mut line = String::new();
    client.read_line(&mut line)?;
    if line.is_empty() {
        return Ok(());
    }
    let request: Vec<&str> = line.split(' ').take(2).collect();
    shared.requests().push(request.join(" "));
    let rest = request.get(1).and_then(|path| path.strip_prefix(shared.prefix.as_str()));
    let Some(rest) = rest.filter(|rest| rest.starts_with('/')).map(str::to_owned) else {
        return client.get_mut().write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let mut head = format!("{} {rest} HTTP/1.1\r\n", request.first().copied().unwrap_or_default());
    let mut length = 0;
    loop {
        let mut line = String::new();
        client.read_line(&mut line)?;
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
        if !name.eq_ignore_ascii_case("connection") {
            head.push_str(&line);
        }
    }
    head.push_str("Connection: close\r\n\r\n");
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    let mut server = TcpStream::connect(shared.target)?;
    server.write_all(head.as_bytes())?;
    server.write_all(&body)?;
    std::io::copy(&mut server, client.get_mut())?;
    Ok(())
}
