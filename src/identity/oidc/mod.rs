//! OpenID Connect access tokens: verified against keys that one background thread keeps, without any I/O.
//!
//! Knows nothing of other credentials, of caches of verified tokens, or of what roles may do.
//! `token` checks, `ring` holds the keys, `fetch` gets them, `json` reads objects strictly; `client` logs browsers in.

mod attempts;
pub mod client;
mod fetch;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
pub(crate) mod fuzzing;
mod json;
mod other_tokens;
mod ring;
#[cfg(test)]
pub(in crate::identity) mod testing;
#[cfg(test)]
mod tests;
mod token;
#[cfg(test)]
mod token_tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::clock::{UnixTime, monotonic};
use crate::config::Provider;
pub(in crate::identity) use fetch::causes;
pub use other_tokens::LogoutToken;
use token::Refusal;
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

/// How a provider is doing, for the log and the doctor.
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
    /// What went wrong at the last attempt; `None` when it went well.
    pub last_error: Option<String>,
    /// The number of keys in force.
    pub keys: usize,
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
    wake: Notify,
    attempts: attempts::Attempts,
    /// When an unknown key last caused a fetch, in milliseconds since the start plus 1; 0 for never.
    asked: AtomicU64,
}

struct Shared {
    providers: Vec<ProviderState>,
    on_change: Box<dyn Fn() + Send + Sync>,
    pace: Pace,
    started: Instant,
    line: OnceLock<client::Line>,
}

/// Verifies access tokens of the configured providers.
pub struct Oidc {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
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
        let shared = Arc::new(Shared { providers, on_change, pace, started: monotonic(), line: OnceLock::new() });
        let (stop, stopping) = watch::channel(false);
        let thread = match authorities.is_empty() {
            true => None,
            false => Some(fetch::spawn(Arc::clone(&shared), authorities, stopping)?),
        };
        Ok(Self { shared, stop, thread: Mutex::new(thread) })
    }

    /// Who a token speaks for. No I/O and no lock, but for a token with an unknown key: that wakes the background thread, at
    /// most once in 10 seconds per provider, and waits for it, with a few others and for a second at most. So nobody is
    /// refused because a provider has a new key.
    ///
    /// # Errors
    /// Why the token is refused.
    pub fn verify(&self, token: &str, now: UnixTime) -> Result<VerifiedToken, TokenError> {
        self.with_new_keys(|| token::verify(&self.shared.providers, token, now))
    }

    /// A check that a key is missing for is made once more when the provider was asked for it.
    fn with_new_keys<T>(&self, check: impl Fn() -> Result<T, Refusal>) -> Result<T, TokenError> {
        let (error, refetch) = match check() {
            Ok(value) => return Ok(value),
            Err(Refusal { error, refetch }) => (error, refetch),
        };
        let Some((index, seen)) = refetch else { return Err(error) };
        let Some(state) = self.shared.providers.get(index) else { return Err(error) };
        self.ask_again(state);
        // One that is away is not waited for: everybody with an old or made-up key would stand there.
        let answers = state.health.lock().last_error.is_none();
        if answers && state.attempts.wait(self.shared.pace.patience, || !Arc::ptr_eq(&seen, &state.snapshot.load())) {
            return check().map_err(|refusal| refusal.error);
        }
        Err(error)
    }

    fn ask_again(&self, state: &ProviderState) {
        let since_start = monotonic().saturating_duration_since(self.shared.started).as_millis();
        let now = u64::try_from(since_start).unwrap_or(u64::MAX).saturating_add(1);
        let gap = u64::try_from(self.shared.pace.refetch.as_millis()).unwrap_or(u64::MAX);
        let last = state.asked.load(Ordering::Relaxed);
        if (last == 0 || now.saturating_sub(last) >= gap)
            && state.asked.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            state.attempts.ask();
            state.wake.notify_one();
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
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            log::error!("the thread that fetched the providers' keys had panicked");
        }
    }
}

impl Drop for Oidc {
    fn drop(&mut self) {
        self.stop();
    }
}

impl ProviderState {
    fn new(config: Provider) -> Self {
        let health = ProviderHealth {
            path: config.path.clone(),
            issuer: config.issuer.clone(),
            shown_issuer: None,
            last_success: None,
            last_error: None,
            keys: 0,
        };
        Self {
            config,
            snapshot: ArcSwap::default(),
            health: Mutex::new(health),
            wake: Notify::new(),
            attempts: attempts::Attempts::default(),
            asked: AtomicU64::new(0),
        }
    }
}
