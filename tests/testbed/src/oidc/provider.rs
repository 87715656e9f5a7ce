//! A provider on loopback: discovery and key set, in Keycloak's layout, with faults on demand.
//!
//! It serves `{url}realms/{realm}/.well-known/openid-configuration` and `…/protocol/openid-connect/certs`, so the same
//! provider can be configured by `Url` + `Realm` or by `Issuer`.
use super::key::{Algorithm, Key};
use crate::clock::{pause, unix_seconds};
use crate::door::{Bound, Door};
use anyhow::Result;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How the provider answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// As it should.
    Serve,
    /// Nobody listens: connections are refused.
    Down,
    /// The same answer to everything: a 500, a proxy's HTML page, half a key set.
    Always {
        /// The status.
        status: u16,
        /// The body, said to be JSON.
        body: String,
    },
    /// As it should, after this long.
    Slow(Duration),
}

struct State {
    behaviour: Behaviour,
    keys: Value,
    discovery: Value,
    requests: Vec<String>,
    /// By how many seconds the header `Date` is ahead, when there is one.
    date_ahead: Option<i64>,
}

struct Shared {
    state: Mutex<State>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running provider; ends when dropped.
pub struct Provider {
    shared: Arc<Shared>,
    door: Door,
    /// The key that [`Provider::token`] signs with.
    pub key: Key,
}

impl Provider {
    /// The realm in all URLs.
    pub const REALM: &'static str = "orthanc";

    /// Starts one with a single RS256 key.
    pub fn start() -> Result<Self> {
        Self::with_key(Key::generate("key-1", Algorithm::Rs256)?)
    }

    /// Starts one with this key.
    pub fn with_key(key: Key) -> Result<Self> {
        let bound = Bound::any()?;
        let issuer = issuer_at(bound.address);
        let discovery = json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}/protocol/openid-connect/certs"),
            "authorization_endpoint": format!("{issuer}/protocol/openid-connect/auth"),
            "token_endpoint": format!("{issuer}/protocol/openid-connect/token"),
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        let state = State {
            behaviour: Behaviour::Serve,
            keys: json!({"keys": [key.jwk()]}),
            discovery,
            requests: Vec::new(),
            date_ahead: None,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state) });
        let for_door = Arc::clone(&shared);
        Ok(Self { shared, door: bound.open(move |stream| answer(&for_door, stream)), key })
    }

    /// `http://127.0.0.1:port/`, for `Keycloak.Url`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.door.address())
    }

    /// The `iss` of its tokens, for `Keycloak.Issuer`.
    #[must_use]
    pub fn issuer(&self) -> String {
        issuer_at(self.door.address())
    }

    /// Changes how it answers from now on; returns when that is in force.
    pub fn behave(&self, behaviour: Behaviour) {
        let open = behaviour != Behaviour::Down;
        self.shared.lock().behaviour = behaviour;
        self.door.set_open(open);
    }

    /// Offers these keys from now on, instead of those before.
    pub fn offer(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        self.offer_raw(json!({ "keys": keys }));
    }

    /// Offers any document as the key set.
    pub fn offer_raw(&self, key_set: Value) {
        self.shared.lock().keys = key_set;
    }

    /// Changes a member of the discovery document: `issuer`, `jwks_uri`, ….
    pub fn discovery(&self, member: &str, value: Value) {
        self.shared.lock().discovery[member] = value;
    }

    /// Sends the header `Date` from now on, this many seconds ahead of the time.
    pub fn date_ahead(&self, seconds: i64) {
        self.shared.lock().date_ahead = Some(seconds);
    }

    /// The paths that were asked for, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.shared.lock().requests.clone()
    }

    /// How often the key set was asked for.
    #[must_use]
    pub fn key_requests(&self) -> usize {
        self.requests().iter().filter(|path| path.ends_with("/certs")).count()
    }

    /// The claims of an access token as Keycloak makes them, valid for five minutes, for the audience `account`.
    #[must_use]
    pub fn claims(&self, subject: &str, roles: &[&str]) -> Value {
        let now = unix_seconds();
        json!({
            "iss": self.issuer(), "sub": subject, "aud": "account", "azp": "orthanc", "typ": "Bearer", "iat": now,
            "exp": now + 300, "jti": format!("{subject}-{now}"), "name": subject, "preferred_username": subject,
            "realm_access": {"roles": roles},
        })
    }

    /// An honest access token.
    pub fn token(&self, subject: &str, roles: &[&str]) -> Result<String> {
        self.key.token(&self.claims(subject, roles))
    }
}

fn issuer_at(address: SocketAddr) -> String {
    format!("http://{address}/realms/{}", Provider::REALM)
}

fn answer(shared: &Shared, stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let Some(path) = first.split(' ').nth(1).map(str::to_owned) else { return Ok(()) };
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (behaviour, keys, discovery, date_ahead) = {
        let mut state = shared.lock();
        state.requests.push(path.clone());
        (state.behaviour.clone(), state.keys.to_string(), state.discovery.to_string(), state.date_ahead)
    };
    if let Behaviour::Slow(delay) = behaviour {
        pause(delay);
    }
    let (status, body) = match behaviour {
        Behaviour::Always { status, body } => (status, body),
        Behaviour::Down => return Ok(()),
        Behaviour::Serve | Behaviour::Slow(_) if path.ends_with("/protocol/openid-connect/certs") => (200, keys),
        Behaviour::Serve | Behaviour::Slow(_) if path.ends_with("/.well-known/openid-configuration") => {
            (200, discovery)
        }
        Behaviour::Serve | Behaviour::Slow(_) => (404, json!({"error": "not found"}).to_string()),
    };
    let date = date_ahead.map(|ahead| format!("Date: {}\r\n", http_date(unix_seconds() + ahead))).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status} Status\r\n{date}Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let stream = reader.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7), by Howard Hinnant's arithmetic of civil days.
fn http_date(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12;
    let year = year_of_era + era * 400 + i64::from(month < 2);
    let name = |names: &[&'static str], index: i64| names[usize::try_from(index).unwrap_or(0)];
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        name(&DAYS, days.rem_euclid(7)),
        name(&MONTHS, month),
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::http_date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // date -u -d @… '+%a, %d %b %Y %T GMT'
        for (seconds, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_798_761_599, "Thu, 31 Dec 2026 23:59:59 GMT"),
        ] {
            assert_eq!(http_date(seconds), date);
        }
    }
}
