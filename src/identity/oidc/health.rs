//! How a provider is doing: what the doctor and the log tell of the background thread's last attempts. Knows nothing of
//! how they are made, and judges nothing.

use crate::clock::UnixTime;
use crate::config::Provider;

/// How a provider is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderHealth {
    /// The key path of its section.
    pub path: String,
    /// Its configured issuer.
    pub issuer: String,
    /// The issuer that its discovery document shows (Keycloak mode), once seen.
    pub shown_issuer: Option<String>,
    /// When it last gave usable keys.
    pub last_success: Option<UnixTime>,
    /// What went wrong at the last attempt to get keys; `None` when it went well.
    pub last_error: Option<Failure>,
    /// What went wrong at the last attempt to read its discovery document, where keys do not depend on it.
    pub discovery_error: Option<Failure>,
    /// The number of keys in force.
    pub keys: usize,
    /// Whether there was an attempt at all.
    pub attempted: bool,
    /// By how many seconds its clock is ahead of ours, by the header `Date` of its last answer, or by the ID
    /// token of the last login; exact to some seconds.
    pub clock_ahead: Option<i64>,
    /// What it thinks of the clients that browsers log in with, in the order of the configuration.
    pub clients: Vec<ClientReport>,
}

impl ProviderHealth {
    pub(super) fn new(provider: &Provider) -> Self {
        Self {
            path: provider.path.clone(),
            issuer: provider.issuer.clone(),
            shown_issuer: None,
            last_success: None,
            last_error: None,
            discovery_error: None,
            keys: 0,
            attempted: false,
            clock_ahead: None,
            clients: Vec::new(),
        }
    }
}

/// Something that keeps failing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was asked for.
    pub url: String,
    /// What came of it, in words.
    pub error: String,
    /// When it failed for the first time since it last went well.
    pub since: UnixTime,
}

impl Failure {
    /// Puts a failure in the place of the one before, whose beginning it keeps.
    pub(super) fn replace(slot: &mut Option<Self>, url: String, error: String, now: UnixTime) {
        let since = slot.as_ref().map_or(now, |before| before.since);
        *slot = Some(Self { url, error, since });
    }
}

/// What a provider thinks of a client, asked as a browser would ask, without anybody logging in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientReport {
    /// The key path of the client's identifier.
    pub place: String,
    /// The client's identifier.
    pub client_id: String,
    /// Where browsers are to come back to.
    pub redirect_uri: String,
    /// Whether we have a secret for it.
    pub has_secret: bool,
    /// What it said to a login that begins.
    pub login: Verdict,
    /// What it said to a code that is not good, which is about the client alone.
    pub exchange: Verdict,
    /// When it was asked.
    pub at: UnixTime,
}

/// What a provider said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it.
    Fine,
    /// It does not know the client, or has switched it off.
    UnknownClient(String),
    /// It does not send browsers back there.
    RedirectUri(String),
    /// It wants HTTPS.
    HttpsRequired(String),
    /// The client's secret is missing or wrong.
    Secret(String),
    /// Something else.
    Refused(String),
    /// No answer that says anything.
    Unknown(String),
}
