//! A proxy on loopback that counts, and that can be down: what stands between the plugin and a provider whose requests are to
//! be seen. It must not know who is behind it.
//!
//! One request on each connection, to see every one of them.
use crate::clock::pause;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

struct State {
    wanted: bool,
    listening: bool,
    over: bool,
    requests: Vec<String>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    address: SocketAddr,
    target: SocketAddr,
    prefix: String,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running proxy; ends when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// One that passes everything on.
    pub fn start(target: SocketAddr) -> Result<Self> {
        Self::start_below("", target)
    }

    /// One that shows the server below this path (`/pacs`), as nginx does with `proxy_pass …/`; nothing is there beside it.
    pub fn start_below(prefix: &str, target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for the proxy")?;
        let address = listener.local_addr()?;
        let state = State { wanted: true, listening: true, over: false, requests: Vec::new() };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            address,
            target,
            prefix: prefix.to_owned(),
        });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || run(&for_thread, listener));
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// `http://127.0.0.1:port/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.shared.address)
    }

    /// Up, or down: then connections are refused. Returns when that is in force.
    pub fn set_up(&self, up: bool) {
        self.shared.lock().wanted = up;
        self.shared.changed.notify_all();
        self.wake();
        let mut state = self.shared.lock();
        while state.listening != up {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The requests so far, each as method, a space and the path with its query.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.shared.lock().requests.clone()
    }

    /// How many requests there were whose method and path contain this.
    #[must_use]
    pub fn count(&self, part: &str) -> usize {
        self.shared.lock().requests.iter().filter(|request| request.contains(part)).count()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.shared.lock().requests.clear();
    }

    fn wake(&self) {
        // Refused when nobody listens, which is as good.
        let _ = TcpStream::connect(self.shared.address);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Arc<Shared>, listener: TcpListener) {
    let mut listener = Some(listener);
    loop {
        let mut state = shared.lock();
        if state.over {
            return;
        }
        if !state.wanted {
            listener = None;
            state.listening = false;
            shared.changed.notify_all();
            drop(shared.changed.wait(state));
            continue;
        }
        if listener.is_none() {
            // Somebody else may hold the port for a moment: try again at the next turn.
            listener = TcpListener::bind(shared.address).ok();
        }
        let Some(open) = &listener else {
            drop(state);
            pause(Duration::from_millis(10));
            continue;
        };
        state.listening = true;
        shared.changed.notify_all();
        drop(state);
        if let Ok((stream, _)) = open.accept() {
            let shared = Arc::clone(shared);
            // A client that hangs up early is its own business.
            std::thread::spawn(move || pass_on(&shared, stream));
        }
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
    shared.lock().requests.push(request.join(" "));
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
