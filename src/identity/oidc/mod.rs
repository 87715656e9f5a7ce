//! OpenID Connect access tokens: verified against keys that one background thread keeps, without any I/O.
//!
//! Knows nothing of other credentials, of caches of verified tokens, or of what roles may do.
//! `token` checks, `ring` holds the keys, `fetch` gets them, `json` reads objects strictly; `client` logs browsers in.
//! `health`, `probe` and `noticed` are what the doctor reads: how fetching went, what the provider thinks of us as a
//! client, and what was wrong with refused tokens.

mod attempts;
pub mod client;
mod fetch;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
pub(crate) mod fuzzing;
mod health;
mod json;
mod noticed;
mod other_tokens;
mod probe;
mod ring;
#[cfg(test)]
pub(in crate::identity) mod testing;
#[cfg(test)]
mod tests;
mod token;
#[cfg(test)]
mod token_tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock::{UnixTime, monotonic};
use crate::config::Provider;
use crate::worker::Worker;
use client::GrantError;
pub(in crate::identity) use fetch::causes;
pub use health::{ClientReport, Failure, ProviderHealth, Verdict};
use noticed::Fault;
pub use noticed::{Notice, NoticedTokens};
pub use other_tokens::LogoutToken;
use token::{Refusal, Witness};
pub use token::{TokenError, VerifiedToken};

/// Why the verification of tokens cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The file with the certificate authority cannot be used.
    #[error("{path}.CaFile: {file}: {cause}", file = file.display())]
    CaFile {
        /// The key path of the provider's section.
        path: String,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The HTTPS client cannot be made, for instance because the machine trusts no certificate authority.
    #[error("{path}: cannot prepare HTTPS (is the package ca-certificates there? else set CaFile): {cause}")]
    Client {
        /// The key path of the provider's section.
        path: String,
        /// What is wrong.
        cause: String,
    },
    /// The background thread cannot start.
    #[error("cannot start the thread that fetches keys: {0}")]
    Thread(String),
}

/// How often and how long: the same everywhere but in tests.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Between two fetches when all is well.
    refresh: Duration,
    /// Until the next attempt when keys are there and something failed.
    retry: Duration,
    /// First and longest wait while there are no keys at all.
    backoff: (Duration, Duration),
    /// Least time between two fetches that unknown keys cause.
    refetch: Duration,
    /// Least time between two fetches that the doctor causes.
    look: Duration,
    /// Least time between two looks at what is new.
    news: Duration,
    /// How long a request waits for a key that it is the first to show.
    patience: Duration,
    /// For the connection, and for a whole answer.
    timeouts: (Duration, Duration),
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            refresh: Duration::from_mins(5),
            retry: Duration::from_secs(10),
            backoff: (Duration::from_millis(250), Duration::from_secs(2)),
            refetch: Duration::from_secs(10),
            look: Duration::from_secs(2),
            news: Duration::from_secs(1),
            patience: Duration::from_secs(1),
            timeouts: (Duration::from_secs(2), Duration::from_secs(5)),
        }
    }
}

/// What is known of a provider at one moment; replaced wholly.
#[derive(Debug, Default, PartialEq)]
struct Snapshot {
    ring: ring::Ring,
    /// The `issuer` of the discovery document, in Keycloak mode: the URL as browsers see it.
    shown_issuer: Option<String>,
    endpoints: client::Endpoints,
}

/// A provider: what is configured, what is known, and the way to ask for more.
struct ProviderState {
    config: Provider,
    snapshot: ArcSwap<Snapshot>,
    health: Mutex<ProviderHealth>,
    noticed: noticed::Noticed,
    wake: Notify,
    /// Set when the clients are to be asked about again.
    probe: AtomicBool,
    attempts: attempts::Attempts,
    /// When an unknown key last caused a fetch, in milliseconds since the start plus 1; 0 for never.
    asked: AtomicU64,
    /// The same for somebody who looks at how the provider is doing.
    looked: AtomicU64,
}

struct Shared {
    providers: Vec<ProviderState>,
    strangers: noticed::Strangers,
    on_change: Box<dyn Fn() + Send + Sync>,
    observer: OnceLock<Observer>,
    /// Something happened that the observer is to be told of.
    news: Notify,
    pace: Pace,
    started: Instant,
    line: OnceLock<client::Line>,
}

/// Told on the background thread, after a round of fetching and soon after the first token of a new kind was refused:
/// somebody may want to look at health and notices, and write to the log.
pub type Observer = Box<dyn Fn() + Send + Sync>;

/// Verifies access tokens of the configured providers.
pub struct Oidc {
    shared: Arc<Shared>,
    /// Fetches; `None` without a provider.
    worker: Option<Worker>,
}

impl Oidc {
    /// Starts to fetch the providers' keys on one background thread named `gatehouse-jwks`, and does not wait for them:
    /// a provider may come later. `on_change` is called on that thread after keys or accepted issuers changed.
    /// Without a provider there is no thread.
    ///
    /// # Errors
    /// A certificate file that cannot be used, no HTTPS client, no thread.
    pub fn start(providers: Vec<Provider>, on_change: Box<dyn Fn() + Send + Sync>) -> Result<Self, OidcError> {
        Self::start_paced(providers, on_change, Pace::default())
    }

    fn start_paced(
        providers: Vec<Provider>,
        on_change: Box<dyn Fn() + Send + Sync>,
        pace: Pace,
    ) -> Result<Self, OidcError> {
        let authorities = providers.iter().map(fetch::authorities).collect::<Result<Vec<_>, _>>()?;
        let providers = providers.into_iter().map(ProviderState::new).collect();
        let shared = Arc::new(Shared {
            providers,
            strangers: noticed::Strangers::default(),
            on_change,
            observer: OnceLock::new(),
            news: Notify::new(),
            pace,
            started: monotonic(),
            line: OnceLock::new(),
        });
        let worker = match authorities.is_empty() {
            true => None,
            false => Some(fetch::start(Arc::clone(&shared), authorities)?),
        };
        Ok(Self { shared, worker })
    }

    /// Who a token speaks for. No I/O and no lock, but for a token with an unknown key: that wakes the background
    /// thread, at most once in 10 seconds per provider, and waits for it, with a few others and for a second at most.
    /// So nobody is refused because a provider has a new key.
    ///
    /// # Errors
    /// Why the token is refused.
    pub fn verify(&self, token: &str, now: UnixTime) -> Result<VerifiedToken, TokenError> {
        self.with_new_keys(now, || token::verify(&self.shared.providers, token, now))
    }

    /// A check that a key is missing for is made once more when the provider was asked for it.
    fn with_new_keys<T>(&self, now: UnixTime, check: impl Fn() -> Result<T, Refusal>) -> Result<T, TokenError> {
        let refused = |refusal: Refusal| {
            self.take_note(refusal.witness, now);
            refusal.error
        };
        let refusal = match check() {
            Ok(value) => return Ok(value),
            Err(refusal) => refusal,
        };
        let known = refusal.refetch.as_ref().and_then(|(index, seen)| Some((self.shared.providers.get(*index)?, seen)));
        let Some((state, seen)) = known else { return Err(refused(refusal)) };
        self.ask_again(state);
        // One that is away is not waited for: everybody with an old or made-up key would stand there.
        let answers = state.health.lock().last_error.is_none();
        if answers && state.attempts.wait(self.shared.pace.patience, || !Arc::ptr_eq(seen, &state.snapshot.load())) {
            return check().map_err(refused);
        }
        Err(refused(refusal))
    }

    /// Writes down what a refused token tells of the set-up.
    fn take_note(&self, witness: Witness, now: UnixTime) {
        let state = |index: usize| self.shared.providers.get(index);
        match witness {
            Witness::Nothing => {}
            Witness::Signed(index, fault, shown) => {
                if state(index).is_some_and(|state| state.noticed.fault(fault, shown, now)) {
                    self.shared.news.notify_one();
                }
            }
            Witness::UnknownKey(index) => {
                if let Some(state) = state(index) {
                    state.noticed.unknown_key(now);
                }
            }
            Witness::Stranger(issuer) => self.shared.strangers.issuer(issuer, now),
        }
    }

    /// Writes down which roles of an accepted token give nothing: those that `is_known` does not know, or that there
    /// are none.
    pub fn note_roles(&self, token: &VerifiedToken, is_known: impl Fn(&str) -> bool, now: UnixTime) {
        let Some(state) = self.shared.providers.get(token.provider) else { return };
        let unknown: Vec<&str> = token.roles.iter().map(String::as_str).filter(|role| !is_known(role)).collect();
        let is_news = if token.roles.is_empty() {
            state.noticed.fault(Fault::NoRoles, String::new(), now)
        } else if unknown.len() == token.roles.len() {
            state.noticed.fault(Fault::NoKnownRole, token::printable(&unknown.join(", ")), now)
        } else {
            false
        };
        for role in unknown {
            state.noticed.role(token::printable(role), now);
        }
        if is_news {
            self.shared.news.notify_one();
        }
    }

    /// Writes down what a provider's clock showed just now.
    fn note_clock(&self, provider: usize, theirs: UnixTime, now: UnixTime) {
        if let Some(state) = self.shared.providers.get(provider) {
            state.health.lock().clock_ahead = Some(theirs.0.saturating_sub(now.0));
        }
    }

    /// Writes down that a login failed that a browser came back from. A text that the browser may have brought itself
    /// is not kept.
    pub fn note_login(&self, issuer: &str, error: &GrantError, now: UnixTime) {
        // RFC 6749, 4.1.2.1 and 5.2; what is missing says that a person changed their mind, or that a code was used
        // twice.
        const ABOUT_THE_SET_UP: [&str; 9] = [
            "invalid_request",
            "invalid_client",
            "unauthorized_client",
            "unsupported_grant_type",
            "unsupported_response_type",
            "invalid_scope",
            "server_error",
            "temporarily_unavailable",
            "request_not_supported",
        ];
        let shown = match error {
            GrantError::Refused { error, .. } => {
                let known = ABOUT_THE_SET_UP.iter().find(|known| *known == error);
                known.map(|error| format!("the provider says {error}"))
            }
            GrantError::Token { .. } | GrantError::NotReady(_) | GrantError::Unreachable(_) => Some(error.to_string()),
            // Whoever came back can make these happen.
            GrantError::OtherIssuer | GrantError::Busy => None,
        };
        let state = self.shared.providers.iter().find(|state| state.config.issuer == issuer);
        if let (Some(state), Some(shown)) = (state, shown)
            && state.noticed.fault(Fault::Login, token::printable(&shown), now)
        {
            self.shared.news.notify_one();
        }
    }

    fn ask_again(&self, state: &ProviderState) {
        self.wake(state, &state.asked, self.shared.pace.refetch);
    }

    /// Wakes the background thread for this provider, unless somebody did so for the same reason less than `gap` ago.
    fn wake(&self, state: &ProviderState, woken: &AtomicU64, gap: Duration) {
        let since_start = monotonic().saturating_duration_since(self.shared.started).as_millis();
        let now = u64::try_from(since_start).unwrap_or(u64::MAX).saturating_add(1);
        let gap = u64::try_from(gap.as_millis()).unwrap_or(u64::MAX);
        let last = woken.load(Ordering::Relaxed);
        if (last == 0 || now.saturating_sub(last) >= gap)
            && woken.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            state.attempts.ask();
            state.wake.notify_one();
        }
    }

    /// Sets who is told of news, once. When the first round is over already, the next news come with the next round or
    /// refusal: look once right after.
    pub fn observe(&self, observer: Observer) {
        // A second one would be a fault of the composition; the first stays.
        let _ = self.shared.observer.set(observer);
        self.shared.news.notify_one();
    }

    /// What was noticed of each provider's tokens, in the order of the configuration.
    #[must_use]
    pub fn noticed(&self) -> Vec<NoticedTokens> {
        self.shared.providers.iter().map(|state| state.noticed.read()).collect()
    }

    /// Issuers of refused tokens that no provider vouches for, and how often they came.
    #[must_use]
    pub fn strangers(&self) -> Vec<Notice> {
        self.shared.strangers.read()
    }

    /// Has the providers asked once more, keys and clients, soon: at most once in 2 seconds each.
    pub fn look_again(&self) {
        for state in &self.shared.providers {
            state.probe.store(true, Ordering::Relaxed);
            self.wake(state, &state.looked, self.shared.pace.look);
        }
    }

    /// The background thread's runtime, and its client for the provider with this index.
    pub(in crate::identity) fn line(&self, provider: usize) -> Option<(tokio::runtime::Handle, reqwest::Client)> {
        let line = self.shared.line.get()?;
        Some((line.runtime.clone(), line.clients.get(provider)?.clone()))
    }

    /// How each provider is doing, in the order of the configuration.
    #[must_use]
    pub fn health(&self) -> Vec<ProviderHealth> {
        self.shared.providers.iter().map(|state| state.health.lock().clone()).collect()
    }

    /// Ends the background thread and waits for its end, at most about half a second: a request under way is dropped.
    /// The keys stay as they are.
    pub fn stop(&self) {
        if let Some(worker) = &self.worker {
            worker.stop();
        }
    }
}

impl ProviderState {
    fn new(config: Provider) -> Self {
        let health = ProviderHealth::new(&config);
        Self {
            config,
            snapshot: ArcSwap::default(),
            health: Mutex::new(health),
            noticed: noticed::Noticed::default(),
            wake: Notify::new(),
            probe: AtomicBool::new(true),
            attempts: attempts::Attempts::default(),
            asked: AtomicU64::new(0),
            looked: AtomicU64::new(0),
        }
    }
}
