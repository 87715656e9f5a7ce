//! The login gate: which browsers are sent to log in, and how they come back to the page that they wanted.
//!
//! Rests on the gate for who somebody is and what is open to everybody, and on `identity` for the providers and the
//! sessions. The routes are in `api::login`. Knows nothing of permissions.
#![forbid(unsafe_code)]

mod address;
mod cookies;
mod return_path;
mod transaction;

use crate::browser;
use crate::clock::UnixTime;
use crate::credential::Source;
use crate::gate::Gate;
use crate::host::Method;
use crate::pages::Site;
use crate::request::Request;
use crate::seal::{SealKey, Unsealable};
use crate::seats::{Seat, Seats};
pub use address::Address;
pub use cookies::{Cookies, LINKS};
pub use return_path::ReturnPath;
pub use transaction::{Transaction, code_challenge};

/// What becomes of a request before the filter is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// The filter decides.
    Open,
    /// 401
    Unauthorized,
    /// To this path below the root of the server.
    Redirect(String),
}

/// How browsers see this server, with a login gate or without.
#[derive(Clone, Debug)]
pub struct Front {
    /// Where it is.
    pub address: Address,
    /// Its cookies.
    pub cookies: Cookies,
    /// How it shows itself.
    pub site: Site,
}

impl Front {
    /// `https` says whether the server itself speaks TLS.
    #[must_use]
    pub fn new(public_url: Option<String>, https: bool, site: impl Into<Site>) -> Self {
        let cookies = Cookies::new(public_url.as_deref());
        Self { cookies, address: Address::new(public_url, https), site: site.into() }
    }
}

/// The login gate.
pub struct Login {
    decodes_arguments: bool,
    seal: SealKey,
    waiting: Seats,
}

/// So many logins may wait for a provider at once: each does so on one of the server's few HTTP threads, and anybody
/// can bring back a code that is none.
const WAITING: usize = 8;

impl Login {
    /// `secret` is the state's own, of at least 32 bytes.
    ///
    /// # Errors
    /// As `SealKey::derive`.
    pub fn new(decodes_arguments: bool, secret: &[u8]) -> Result<Self, Unsealable> {
        let seal = SealKey::derive(secret, "gatehouse login transaction")?;
        Ok(Self { decodes_arguments, seal, waiting: Seats::new(WAITING) })
    }

    /// A seat to wait for a provider in; `None`: too many wait.
    pub(crate) fn take_seat(&self) -> Option<Seat<&Seats>> {
        Seats::take(&self.waiting)
    }

    /// What becomes of a request. `request.method` is not known yet: the server does not say it here.
    ///
    /// Whoever shows anything but a cookie is left to the filter, which refuses with 403 as it always did.
    #[must_use]
    pub fn entrance(&self, gate: &Gate, request: &Request<'_>, now: UnixTime) -> Entrance {
        if request.path.starts_with("/auth/") {
            return Entrance::Open;
        }
        let shown = gate.places.read(request);
        if shown.iter().any(|credential| credential.source != Source::Cookie) {
            return Entrance::Open;
        }
        let mut rejected = None;
        for credential in &shown {
            match gate.identities.verify(credential, request.remote, now) {
                // Whether it counts for this request is the filter's question, which knows the method.
                Ok(_) => return Entrance::Open,
                Err(rejection) => rejected = Some(rejection),
            }
        }
        let is_page = browser::is_page_request(request);
        // A page of the application is open to everybody, and useless to whoever has not logged in.
        let anonymous_may = !gate.anonymous.rights.permissions.is_empty();
        if (!is_page || anonymous_may) && is_open_to_all(gate, request, now) {
            return Entrance::Open;
        }
        if log::log_enabled!(log::Level::Info) {
            let why = rejected.map_or_else(|| "no credential".to_owned(), |rejection| rejection.to_string());
            let what = if is_page { "sent to log in" } else { "refused with 401" };
            log::info!("{} is {what}: {why}", crate::log_text::shorten(request.path));
        }
        if is_page {
            let wanted = ReturnPath::of(request, self.decodes_arguments);
            Entrance::Redirect(format!("auth/login?return={}", wanted.encoded()))
        } else {
            Entrance::Unauthorized
        }
    }

    /// Seals what has to be known again when a browser comes back.
    ///
    /// # Errors
    /// No random numbers.
    pub fn seal(&self, transaction: &Transaction) -> Result<String, Unsealable> {
        transaction.sealed(&self.seal)
    }

    /// Opens what a browser brought back, when it is ours, for this state, and not too old.
    #[must_use]
    pub fn open(&self, state: &str, sealed: &str, now: UnixTime) -> Option<Transaction> {
        Transaction::opened(&self.seal, state, sealed, now)
    }
}

/// Whether any method of this path is open to whoever shows nothing.
fn is_open_to_all(gate: &Gate, request: &Request<'_>, now: UnixTime) -> bool {
    [Method::Get, Method::Post, Method::Put, Method::Delete].into_iter().any(|method| {
        let mut headers = request.headers.clone();
        headers.retain(|(name, _)| *name != "cookie");
        let nobodys = Request { method, headers, ..request.clone() };
        gate.decide(&nobodys, now).take_permit().is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_wait_for_a_provider_at_once_and_give_their_seats_back() {
        let login = Login::new(true, &[1; 32]).unwrap();
        let seats: Vec<_> = (0..WAITING).map(|_| login.take_seat().unwrap()).collect();
        assert!(login.take_seat().is_none());
        drop(seats);
        assert!(login.take_seat().is_some());
    }
}
