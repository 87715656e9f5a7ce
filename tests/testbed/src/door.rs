//! A port on loopback that can be shut and opened again at the same place, each connection on a thread of its own. It
//! must not know what is said on them.
use crate::clock::pause;
use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

struct State {
    wanted: bool,
    listening: bool,
    over: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    address: SocketAddr,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port that was bound, before anybody answers there.
pub(crate) struct Bound {
    listener: TcpListener,
    /// Where.
    pub(crate) address: SocketAddr,
}

/// A port that answers; shut for good when dropped.
pub(crate) struct Door {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Bound {
    /// Any free port.
    pub(crate) fn any() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port on loopback")?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Answers each connection from now on. A client that hangs up early is its own business.
    pub(crate) fn open(self, answer: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Door {
        let state = State { wanted: true, listening: true, over: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), address: self.address });
        let for_thread = Arc::clone(&shared);
        let answer = Arc::new(answer);
        let thread = std::thread::spawn(move || run(&for_thread, self.listener, &answer));
        Door { shared, thread: Some(thread) }
    }
}

impl Door {
    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Open, or shut: then connections are refused. Returns when that is in force.
    pub(crate) fn set_open(&self, open: bool) {
        self.shared.lock().wanted = open;
        self.shared.changed.notify_all();
        self.wake();
        let mut state = self.shared.lock();
        while state.listening != open {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets a blocked `accept` return; refused when nobody listens, which is as good.
    fn wake(&self) {
        let _ = TcpStream::connect(self.shared.address);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Accepts until it is over; gives the port back while it should be shut.
fn run<F>(shared: &Shared, listener: TcpListener, answer: &Arc<F>)
where
    F: Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
{
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
            let answer = Arc::clone(answer);
            std::thread::spawn(move || answer(stream));
        }
    }
}
