//! The background thread that keeps the providers' keys fresh. The only place of this room that does I/O.
//!
//! One thread with a single-threaded runtime serves all providers at once, so that a slow one holds up no other, and
//! so that a request under way can be dropped when the server stops. What was good stays in force: an answer that is
//! missing, unusable or empty never replaces keys.

use std::mem::Discriminant;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use reqwest::header::DATE;
use reqwest::{Certificate, Client, Url};
use serde::Deserialize;
use tokio::sync::watch;

use super::client::{Endpoints, Line};
use super::health::{Failure, Verdict};
use super::probe;
use super::ring::Ring;
use super::token::printable;
use super::{OidcError, Pace, ProviderState, Shared, Snapshot};
use crate::bounded_body::{self, BodyFault};
use crate::clock::{self, UnixTime};
use crate::config::Provider;
use crate::panics::supervised;
use crate::worker::Worker;

/// Longer answers are refused, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// How long the start may take: making clients reads certificates, nothing else.
const START: Duration = Duration::from_secs(20);
/// How long the end waits for a name lookup, the one thing that cannot be dropped.
const END: Duration = Duration::from_millis(500);

/// Why a fetch gave nothing.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{what} not reachable: {cause}")]
    Unreachable { what: &'static str, cause: String },
    #[error("{what} answered with HTTP status {status}{said}")]
    Status { what: &'static str, status: u16, said: String },
    #[error("{0} longer than 1 MB")]
    TooLong(&'static str),
    #[error("{0} cannot be read: not the JSON that belongs there")]
    Unreadable(&'static str),
    #[error("no usable signature key among the keys")]
    NoKeys,
    #[error("the discovery document is of another issuer: {0}")]
    OtherIssuer(String),
    #[error("the discovery document names keys at an address that is not safe: {0}")]
    KeysAddress(String),
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: Option<String>,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
}

/// An answer: its body, and by how many seconds the provider's clock is ahead of ours.
struct Fetched {
    body: Vec<u8>,
    clock_ahead: Option<i64>,
}

/// Keys, and in issuer mode the discovery document that named them.
struct Keys {
    ring: Ring,
    discovery: Option<Discovery>,
    clock_ahead: Option<i64>,
}

/// Reads the certificate authorities of a provider; empty when none are configured.
pub(super) fn authorities(provider: &Provider) -> Result<Vec<Certificate>, OidcError> {
    let Some(file) = &provider.ca_file else { return Ok(Vec::new()) };
    let fault = |cause: String| OidcError::CaFile { path: provider.path.clone(), file: file.clone(), cause };
    let pem = std::fs::read(file).map_err(|error| fault(error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| fault(causes(&error)))?;
    if certificates.is_empty() {
        return Err(fault("there is no PEM certificate in it".to_owned()));
    }
    Ok(certificates)
}

/// Starts the thread and waits until its clients are made.
pub(super) fn start(shared: Arc<Shared>, authorities: Vec<Vec<Certificate>>) -> Result<Worker, OidcError> {
    let (stop, stopping) = watch::channel(false);
    let (ready, started) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("gatehouse-jwks".to_owned())
        .spawn(move || run(&shared, authorities, stopping, &ready))
        .map_err(|error| OidcError::Thread(error.to_string()))?;
    match started.recv_timeout(START) {
        Ok(Ok(())) => Ok(Worker::of(thread, move || _ = stop.send_replace(true))),
        Ok(Err(error)) => {
            // The thread has nothing left to do and ends by itself.
            let _ = thread.join();
            Err(error)
        }
        Err(error) => Err(OidcError::Thread(error.to_string())),
    }
}

/// The thread's life.
fn run(
    shared: &Arc<Shared>,
    authorities: Vec<Vec<Certificate>>,
    mut stopping: watch::Receiver<bool>,
    ready: &mpsc::SyncSender<Result<(), OidcError>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        // Name lookups block; they run on threads that end soon after.
        .thread_name("gatehouse-dns")
        .max_blocking_threads(2)
        .thread_keep_alive(Duration::from_secs(1))
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(OidcError::Thread(error.to_string())));
            return;
        }
    };
    let clients: Result<Vec<Client>, OidcError> = shared
        .providers
        .iter()
        .zip(authorities)
        .map(|(state, authorities)| client(&state.config, authorities, shared.pace))
        .collect();
    let clients = match clients {
        Ok(clients) => clients,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let line = Line { runtime: runtime.handle().clone(), clients: clients.clone() };
    // Set once: this thread starts once.
    let _ = shared.line.set(line);
    let _ = ready.send(Ok(()));
    runtime.block_on(async {
        tokio::spawn(observe(Arc::clone(shared)));
        for (index, client) in clients.into_iter().enumerate() {
            tokio::spawn(supervise(Arc::clone(shared), index, client));
        }
        // An error means that the sender is gone: stop, too.
        let _ = stopping.wait_for(|stop| *stop).await;
    });
    runtime.shutdown_timeout(END);
}

fn client(provider: &Provider, authorities: Vec<Certificate>, pace: Pace) -> Result<Client, OidcError> {
    let builder = Client::builder()
        .user_agent(concat!("gatehouse/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(pace.timeouts.0)
        .timeout(pace.timeouts.1)
        // Minutes pass between two fetches.
        .pool_max_idle_per_host(0);
    let plain = |url: &str| url.starts_with("http://");
    let admin_url = provider.admin.as_ref().map(|admin| admin.url.as_str());
    let needs_no_trust =
        plain(&provider.discovery_url) && provider.jwks_url.as_deref().is_none_or(plain) && admin_url.is_none_or(plain);
    let builder = if authorities.is_empty() && needs_no_trust {
        // The system's certificates are not even read: small container images have none, and that is an error in TLS.
        builder.tls_certs_only([])
    } else {
        builder.tls_certs_merge(authorities)
    };
    builder.build().map_err(|error| match &provider.ca_file {
        Some(file) => OidcError::CaFile { path: provider.path.clone(), file: file.clone(), cause: causes(&error) },
        None => OidcError::Client { path: provider.path.clone(), cause: causes(&error) },
    })
}

/// Tells the observer of news, and not more than once in a while: strangers have a hand in what is news.
async fn observe(shared: Arc<Shared>) {
    loop {
        shared.news.notified().await;
        let all_attempted = shared.providers.iter().all(|state| state.health.lock().attempted);
        if let (true, Some(observer)) = (all_attempted, shared.observer.get()) {
            supervised("telling the doctor", observer);
        }
        tokio::time::sleep(shared.pace.news).await;
    }
}

/// Keeps a provider's loop alive: a panic in it (or in the callback) must not freeze the keys for ever.
async fn supervise(shared: Arc<Shared>, index: usize, client: Client) {
    loop {
        let watched = tokio::spawn(watch_provider(Arc::clone(&shared), index, client.clone())).await;
        if watched.is_ok() {
            return;
        }
        log::error!("fetching of keys failed unexpectedly; it starts again");
        tokio::time::sleep(shared.pace.retry).await;
    }
}

async fn watch_provider(shared: Arc<Shared>, index: usize, client: Client) {
    let Some(state) = shared.providers.get(index) else { return };
    let pace = shared.pace;
    let mut backoff = pace.backoff.0;
    let mut known = Known::default();
    loop {
        state.attempts.begin();
        let complete = refresh(&shared, state, &client, &mut known).await;
        state.health.lock().attempted = true;
        shared.news.notify_one();
        state.attempts.end();
        let delay = if state.snapshot.load().ring.len() == 0 {
            let delay = backoff;
            backoff = backoff.saturating_mul(2).min(pace.backoff.1);
            delay
        } else if complete {
            pace.refresh
        } else {
            pace.retry
        };
        // Woken or not, the next thing is the same.
        let _ = tokio::time::timeout(delay, state.wake.notified()).await;
    }
}

/// The failures that the log has been told of. A provider that is away is asked every other second, and its absence
/// said once.
#[derive(Default)]
struct Known {
    keys: Option<Discriminant<FetchError>>,
    discovery: Option<Discriminant<FetchError>>,
}

/// Whether a failure is of another kind than the one before it.
fn is_news(known: &mut Option<Discriminant<FetchError>>, error: &FetchError) -> bool {
    let kind = Some(std::mem::discriminant(error));
    std::mem::replace(known, kind) != kind
}

/// One attempt: the keys first, which are in force at once, then what the provider calls itself. Says whether all that
/// it should give was got.
async fn refresh(shared: &Shared, state: &ProviderState, client: &Client, known: &mut Known) -> bool {
    let path = &state.config.path;
    match fetch_keys(&state.config, client).await {
        Ok(keys) => {
            if let Some(discovery) = &keys.discovery {
                take_endpoints(state, discovery);
            }
            if known.keys.take().is_some() {
                log::info!("{path}: the provider's keys can be fetched again");
            }
            if let Some(ahead) = keys.clock_ahead {
                state.health.lock().clock_ahead = Some(ahead);
            }
            take_keys(shared, state, keys.ring);
        }
        Err((url, error)) => {
            if is_news(&mut known.keys, &error) {
                let kept = state.snapshot.load().ring.len();
                log::warn!("{path}: keys not fetched ({kept} keys stay in force): {error}");
            }
            Failure::replace(&mut state.health.lock().last_error, url, error.to_string(), clock::now());
            return false;
        }
    }
    let complete = !state.config.keycloak || refresh_issuer(shared, state, client, known).await;
    if let Some((authorization, token)) = asked_about_clients(state)
        && state.probe.swap(false, Ordering::Relaxed)
    {
        let mut reports = Vec::new();
        for login in &state.config.clients {
            reports.push(probe::ask(client, &authorization, &token, login).await);
        }
        if reports.iter().any(|report| matches!(report.login, Verdict::Unknown(_))) {
            state.probe.store(true, Ordering::Relaxed);
        }
        state.health.lock().clients = reports;
    }
    complete
}

/// Where a provider is asked about clients: in Keycloak mode at the configured address, as browsers' one may lead
/// nowhere from here.
fn asked_about_clients(state: &ProviderState) -> Option<(String, String)> {
    let config = &state.config;
    if config.keycloak {
        let endpoint = |name: &str| format!("{}/protocol/openid-connect/{name}", config.issuer);
        return Some((endpoint("auth"), endpoint("token")));
    }
    let endpoints = state.snapshot.load().endpoints.clone();
    endpoints.authorization.filter(|url| is_safe_address(&config.issuer, url)).zip(endpoints.token)
}

/// In Keycloak mode: what the provider calls itself.
async fn refresh_issuer(shared: &Shared, state: &ProviderState, client: &Client, known: &mut Known) -> bool {
    match discover(&state.config, client).await {
        Ok((discovery, _)) => {
            known.discovery = None;
            state.health.lock().discovery_error = None;
            take_endpoints(state, &discovery);
            take_issuer(shared, state, discovery.issuer);
            true
        }
        Err(error) => {
            if is_news(&mut known.discovery, &error) {
                let path = &state.config.path;
                log::warn!("{path}: tokens with another iss than the configured ones are refused: {error}");
            }
            let url = state.config.discovery_url.clone();
            Failure::replace(&mut state.health.lock().discovery_error, url, error.to_string(), clock::now());
            false
        }
    }
}

/// Puts keys in force.
fn take_keys(shared: &Shared, state: &ProviderState, ring: Ring) {
    let old = state.snapshot.load_full();
    let (count, changed) = (ring.len(), ring != old.ring);
    if changed {
        let kids: Vec<String> = ring.kids().take(8).map(printable).collect();
        let more = if count > kids.len() { ", …" } else { "" };
        log::info!("{}: {count} keys in force: {}{more}", state.config.path, kids.join(", "));
        let (shown_issuer, endpoints) = (old.shown_issuer.clone(), old.endpoints.clone());
        state.snapshot.store(Arc::new(Snapshot { ring, shown_issuer, endpoints }));
    }
    {
        let mut health = state.health.lock();
        health.last_success = Some(clock::now());
        health.last_error = None;
        health.keys = count;
    }
    if changed {
        (shared.on_change)();
        state.attempts.tell();
    }
}

/// Accepts the issuer that the discovery document shows.
fn take_issuer(shared: &Shared, state: &ProviderState, issuer: String) {
    let old = state.snapshot.load_full();
    if issuer.is_empty() || old.shown_issuer.as_ref() == Some(&issuer) {
        return;
    }
    log::info!("{}: the provider calls itself {}", state.config.path, printable(&issuer));
    state.health.lock().shown_issuer = Some(issuer.clone());
    let (ring, endpoints) = (old.ring.clone(), old.endpoints.clone());
    state.snapshot.store(Arc::new(Snapshot { ring, shown_issuer: Some(issuer), endpoints }));
    (shared.on_change)();
}

/// Keeps where browsers log in. In Keycloak mode the server itself asks at the configured address only.
fn take_endpoints(state: &ProviderState, discovery: &Discovery) {
    let usable = |url: &Option<String>| url.clone().filter(|url| crate::browser::origin_of(url).is_some());
    let config = &state.config;
    let token = if config.keycloak {
        Some(format!("{}/protocol/openid-connect/token", config.issuer))
    } else {
        usable(&discovery.token_endpoint).filter(|url| is_safe_address(&config.issuer, url))
    };
    let endpoints = Endpoints {
        authorization: usable(&discovery.authorization_endpoint),
        token,
        end_session: usable(&discovery.end_session_endpoint),
    };
    let old = state.snapshot.load_full();
    if old.endpoints != endpoints {
        let (ring, shown_issuer) = (old.ring.clone(), old.shown_issuer.clone());
        state.snapshot.store(Arc::new(Snapshot { ring, shown_issuer, endpoints }));
    }
}

/// The keys; or what was asked for in vain, and why.
async fn fetch_keys(provider: &Provider, client: &Client) -> Result<Keys, (String, FetchError)> {
    if let Some(url) = &provider.jwks_url {
        // From the configured address, whatever discovery says.
        let (ring, clock_ahead) = keys_at(client, url).await.map_err(|error| (url.clone(), error))?;
        return Ok(Keys { ring, discovery: None, clock_ahead });
    }
    let at_discovery = |error| (provider.discovery_url.clone(), error);
    let (discovery, clock_ahead) = discover(provider, client).await.map_err(at_discovery)?;
    if discovery.issuer != provider.issuer {
        return Err(at_discovery(FetchError::OtherIssuer(printable(&discovery.issuer))));
    }
    let address = discovery.jwks_uri.clone();
    let address = address.ok_or_else(|| at_discovery(FetchError::Unreadable("the discovery document")))?;
    if !is_safe_address(&provider.issuer, &address) {
        return Err(at_discovery(FetchError::KeysAddress(printable(&address))));
    }
    let (ring, _) = keys_at(client, &address).await.map_err(|error| (address.clone(), error))?;
    Ok(Keys { ring, discovery: Some(discovery), clock_ahead })
}

/// Whether this server may ask at an address that a discovery document names: over HTTPS anywhere, since the document
/// is the issuer's; without HTTPS only where the issuer itself has none, and only at its own host.
fn is_safe_address(issuer: &str, address: &str) -> bool {
    let (Ok(issuer), Ok(address)) = (Url::parse(issuer), Url::parse(address)) else { return false };
    if !address.username().is_empty() || address.password().is_some() {
        return false;
    }
    match address.scheme() {
        "https" => true,
        "http" => issuer.scheme() == "http" && issuer.host_str() == address.host_str(),
        _ => false,
    }
}

async fn discover(provider: &Provider, client: &Client) -> Result<(Discovery, Option<i64>), FetchError> {
    const WHAT: &str = "the discovery document";
    let fetched = get(client, &provider.discovery_url, WHAT).await?;
    let discovery = serde_json::from_slice(&fetched.body).map_err(|_| FetchError::Unreadable(WHAT))?;
    Ok((discovery, fetched.clock_ahead))
}

async fn keys_at(client: &Client, url: &str) -> Result<(Ring, Option<i64>), FetchError> {
    const WHAT: &str = "the key set";
    let fetched = get(client, url, WHAT).await?;
    let ring = Ring::parse(&fetched.body).ok_or(FetchError::Unreadable(WHAT))?;
    if ring.len() == 0 { Err(FetchError::NoKeys) } else { Ok((ring, fetched.clock_ahead)) }
}

async fn get(client: &Client, url: &str, what: &'static str) -> Result<Fetched, FetchError> {
    let unreachable = |error: reqwest::Error| FetchError::Unreachable { what, cause: causes(&error.without_url()) };
    let asked_at = clock::now();
    let answer = client.get(url).header("Accept", "application/json").send().await.map_err(unreachable)?;
    let clock_ahead = answer.headers().get(DATE).and_then(|date| clock_ahead(date.to_str().ok()?, asked_at));
    let status = answer.status();
    let body = bounded_body::read(answer, MAX_ANSWER).await.map_err(|fault| match fault {
        BodyFault::TooLong(_) => FetchError::TooLong(what),
        BodyFault::Broken(error) => unreachable(error),
    })?;
    if status != reqwest::StatusCode::OK {
        return Err(FetchError::Status { what, status: status.as_u16(), said: said(&body) });
    }
    Ok(Fetched { body, clock_ahead })
}

/// By how many seconds a clock is ahead that wrote this header `Date` (RFC 9110, 6.6.1) between `asked_at` and now.
fn clock_ahead(date: &str, asked_at: UnixTime) -> Option<i64> {
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_second();
    let now = clock::now();
    Some(if theirs < asked_at.0 { theirs.saturating_sub(asked_at.0) } else { theirs.saturating_sub(now.0).max(0) })
}

/// What an error's JSON body says (RFC 6749, 5.2), as an ending of a sentence.
fn said(body: &[u8]) -> String {
    let Ok(answer) = serde_json::from_slice::<serde_json::Value>(body) else { return String::new() };
    let text = |name: &str| answer.get(name).and_then(serde_json::Value::as_str);
    match text("error_description").or_else(|| text("error")) {
        Some(text) => format!(": {}", printable(text)),
        None => String::new(),
    }
}

/// An error with its causes after colons.
pub(in crate::identity) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    printable(&text)
}

#[cfg(test)]
mod tests {
    use super::is_safe_address;

    #[test]
    fn keys_are_fetched_only_from_safe_addresses() {
        for (issuer, address, safe) in [
            ("https://accounts.example", "https://keys.example/jwks", true),
            ("https://accounts.example", "http://accounts.example/jwks", false),
            ("http://idp:8080/x", "http://idp:9090/jwks", true),
            ("http://idp:8080/x", "http://other:8080/jwks", false),
            ("http://idp:8080/x", "https://other/jwks", true),
            ("http://idp:8080/x", "file:///etc/passwd", false),
            ("http://idp:8080/x", "http://user:password@idp:8080/jwks", false),
            ("https://idp", "/jwks", false),
        ] {
            assert_eq!(is_safe_address(issuer, address), safe, "{issuer} {address}");
        }
    }
}
