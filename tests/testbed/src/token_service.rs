//! A token service as MedDream's is said to be (the real one is not to be had freely): a POST of studies as JSON, a
//! token as text; and what it may answer when something is wrong with it. It must not know what the tokens are for.
use crate::clock::pause;
use crate::door::{Bound, Door};
use anyhow::Result;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gives {
    /// This token.
    Token(String),
    /// Nothing: connections are refused.
    Down,
    /// Another answer.
    Answer(u16, String),
    /// A token, after this long.
    Late(Duration),
    /// It hangs up.
    HangUp,
}

struct State {
    gives: Gives,
    asked: Vec<(String, Value)>,
}

/// A running token service; ends when dropped.
pub struct TokenService {
    state: Arc<Mutex<State>>,
    door: Door,
}

impl TokenService {
    /// One that gives this token.
    pub fn start(token: &str) -> Result<Self> {
        let state = Arc::new(Mutex::new(State { gives: Gives::Token(token.to_owned()), asked: Vec::new() }));
        let for_door = Arc::clone(&state);
        Ok(Self { state, door: Bound::any()?.open(move |stream| answer(&for_door, stream)) })
    }

    /// `http://127.0.0.1:port/v3/generate`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v3/generate", self.door.address())
    }

    /// Changes how it answers.
    pub fn set(&self, gives: Gives) {
        self.door.set_open(gives != Gives::Down);
        lock(&self.state).gives = gives;
    }

    /// What it was asked, as request line and body.
    #[must_use]
    pub fn asked(&self) -> Vec<(String, Value)> {
        lock(&self.state).asked.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(state: &Mutex<State>, stream: TcpStream) -> std::io::Result<()> {
    let mut client = BufReader::new(stream);
    let mut request = String::new();
    client.read_line(&mut request)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if client.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    let gives = {
        let mut state = lock(state);
        state.asked.push((request.trim_end().to_owned(), serde_json::from_slice(&body).unwrap_or_default()));
        state.gives.clone()
    };
    let (status, text) = match gives {
        Gives::Token(token) => (200, token),
        Gives::Answer(status, text) => (status, text),
        Gives::Late(after) => {
            pause(after);
            (200, "late".to_owned())
        }
        Gives::Down | Gives::HangUp => return Ok(()),
    };
    let head = format!("HTTP/1.1 {status} Said\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", text.len());
    client.get_mut().write_all(head.as_bytes())?;
    client.get_mut().write_all(text.as_bytes())
}
