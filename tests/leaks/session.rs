//! A connection that is kept open as long as the server keeps it, and opened again when it does not.
use std::net::SocketAddr;
use testbed::http::Connection;
use testbed::{Answer, Request};

pub struct Session {
    address: SocketAddr,
    open: Option<Connection>,
}

impl Session {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, open: None }
    }

    /// Sends bytes and reads one answer; again over a new connection when the old one was closed meanwhile.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Option<Answer> {
        for _ in 0..2 {
            let was_open = self.open.is_some();
            let mut connection = match self.open.take() {
                Some(connection) => connection,
                None => Connection::open(self.address).ok()?,
            };
            if let Ok(answer) = connection.send_bytes(bytes, false) {
                if answer.header("connection").is_none_or(|said| !said.eq_ignore_ascii_case("close")) {
                    self.open = Some(connection);
                }
                return Some(answer);
            }
            if !was_open {
                return None;
            }
        }
        None
    }

    /// The answer to a request that a server must not leave without one.
    pub fn send(&mut self, request: &Request) -> Answer {
        let answer = self.send_bytes(&request.to_bytes("site.test"));
        answer.unwrap_or_else(|| panic!("no answer to {} {}", request.method, request.path))
    }
}
