//! The composition root: configuration in, running plugin out.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::api::{self, Api};
use crate::browser;
use crate::bytes;
use crate::callbacks::Started;
use crate::clock;
use crate::config::{self, Config, Shares};
use crate::credential::Places;
use crate::doctor::Doctor;
use crate::gate::{Gate, Unchecked};
use crate::host::{Host, HostVersion};
use crate::identity::Looked;
use crate::identity::api_key::Hasher;
use crate::identity::deleted::{Deletions, Unwritten};
use crate::identity::directory::Directories;
use crate::identity::known_links::KnownLinks;
use crate::identity::local::LocalUsers;
use crate::identity::local::pin::Pins;
use crate::identity::makers::Makers;
use crate::identity::oidc::Oidc;
use crate::identity::recorder::Recorder;
use crate::identity::roles_book::RolesBook;
use crate::identity::session::Sessions;
use crate::identity::{Epoch, Identities, Identity, InboxPolicy, LinkPolicy, Verifiers};
use crate::index::Index;
use crate::launch::{IdTokenError, IdTokenKey, IdTokenSubject, Provider};
use crate::login::{Front, Login};
use crate::mail::Mail;
use crate::meddream::MedDream;
use crate::overrides::{self, Results};
use crate::ownership::Ownership;
use crate::pages::Site;
use crate::policy::rules::{Rule, Rules};
use crate::resource::Resources;
use crate::route::{Roots, RouteModel, UnknownRoutes};
use crate::seal::SealKey;
use crate::secret::Secret;
use crate::share::code::Codes;
use crate::share::token as share_token;
use crate::slot::Staleness;
use crate::standing::Standing;
use crate::store::{Cause, SHORTEST_SECRET, SqliteStore, Store};
use crate::unseen::Unseen;
use crate::uploads::Uploads;

mod looking_back;
mod read_ahead;
mod running;

pub(crate) use running::Plugin;

/// Why the plugin does not start. Its text may have several lines.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error("{0}")]
    Configuration(#[from] config::Faults),
    /// A permission rule cannot be used.
    #[error("{0}")]
    Rule(#[from] crate::policy::rules::RuleError),
    /// The route table cannot be used with these roots.
    #[error("{0}")]
    Routes(#[from] crate::route::RouteError),
    /// Where our callbacks are cannot be told.
    #[error("{0}")]
    Standing(#[from] crate::standing::PatternError),
    /// The state cannot be opened.
    #[error("{0}")]
    Store(#[from] crate::store::StoreError),
    /// The roles cannot be read.
    #[error("{0}")]
    Roles(#[from] crate::identity::roles_book::RolesBookError),
    /// A provider cannot be used.
    #[error("{0}")]
    Oidc(#[from] crate::identity::oidc::OidcError),
    /// The local accounts cannot be used.
    #[error("{0}")]
    Local(#[from] crate::identity::local::LocalUsersError),
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(std::io::Error),
    /// Mails cannot be sent.
    #[error("Authorization.Emails.Smtp: {0}")]
    Mail(String),
    /// MedDream's token service cannot be asked.
    #[error("Authorization.Shares.MedDreamTokenServiceUrl: {0}")]
    MedDream(String),
    /// A key cannot be derived.
    #[error("{0}")]
    Seal(#[from] crate::seal::Unsealable),
    /// The key of ID tokens cannot be used.
    #[error("{0}")]
    IdToken(#[from] IdTokenError),
}

/// Starts the plugin. `Ok(None)` when the configuration does not ask for it: nothing is registered then.
///
/// `path` is the file that the configuration comes from: its relative paths begin there.
pub fn start(host: Arc<dyn Host>, configuration: &str, path: Option<&Path>) -> Result<Option<Started>, StartError> {
    let environment = config::ProcessEnvironment::new(path);
    let Some(config) = config::read(configuration, &environment)? else {
        log::warn!(
            "the authorization plugin is disabled: Orthanc's configuration has no section \"Authorization\", or it says \"Enable\": false"
        );
        return Ok(None);
    };
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
    if config.dicom_server_enabled {
        log::warn!(
            "Orthanc's DICOM port is open, and not covered by this plugin: DICOM clients are told apart by the firewall, or by the MultitenantDicom plugin (DicomServerEnabled)"
        );
    }
    let plugin = compose(host, config)?;
    Ok(Some(Started { callbacks: Arc::new(plugin), rest_pattern: rest_pattern() }))
}

/// All of [`patterns`] in one: the server tries each that is registered on every request, and each is in memory of its own.
/// A segment is never given back once it was read (`*+`): what follows begins with a slash, which is in none, and to give
/// back letter after letter takes a microsecond where no pattern fits.
fn rest_pattern() -> String {
    let alternatives: Vec<&str> = patterns().map(|pattern| pattern.trim_start_matches('/')).collect();
    format!("/(?:{})", alternatives.join("|")).replace("[^/]*", "[^/]*+")
}

/// The paths that we answer ourselves.
pub(crate) fn patterns() -> impl Iterator<Item = &'static str> {
    overrides::PATTERNS.into_iter().chain([api::PATTERN])
}

pub(crate) fn compose(host: Arc<dyn Host>, config: Config) -> Result<Plugin, StartError> {
    // On the first start of a server Orthanc has not made this directory yet. A failure is the store's to report, which
    // names the file.
    if config.sqlite.starts_with(&config.index_directory) {
        let _ = std::fs::create_dir_all(&config.index_directory);
    }
    let store = Arc::new(SqliteStore::open(&config.sqlite)?);
    compose_on(host, config, store)
}

/// The plugin on a state that is open.
pub(crate) fn compose_on(host: Arc<dyn Host>, config: Config, store: Arc<dyn Store>) -> Result<Plugin, StartError> {
    let rules = Rules::new(rules(&config))?;
    let routes = RouteModel::new(&Roots {
        dicom_web: config.dicom_web_root.clone(),
        wado: config.wado_root.clone(),
        ui: config.oe2_root.clone(),
    })?;
    log_state(store.as_ref());
    // A thread ends when what started it is dropped, so a failure anywhere below leaves none behind.
    let mail = config.emails.as_ref().map(Mail::start).transpose().map_err(StartError::Mail)?.map(Arc::new);
    let meddream = config.shares.meddream_token_service_url.as_deref().map(MedDream::start);
    let meddream = meddream.transpose().map_err(StartError::MedDream)?.map(Arc::new);
    let uploads =
        Uploads::new(Arc::clone(&host), Arc::clone(&store), config.upload_labels.clone(), config.overwrites_instances)?;
    let site = Site { name: config.server_name.clone(), logo: config.site_logo.clone() };
    let front = Front::new(config.public_url.clone(), config.server_https, site);
    let login = login(&config, host.version(), store.as_ref())?.map(Arc::new);
    let provider = provider(&config, store.as_ref())?;
    let epoch = Epoch::default();
    let (unwritten, looked) = (Unwritten::default(), Looked::default());
    let deletions = || Deletions::new(Arc::clone(&store), epoch.clone(), unwritten.clone());
    let deletions = config.shares.end_with_study.then(deletions).map(Arc::new);
    let index = Arc::new(Index::new(Arc::clone(&host)));
    let (server, kept) = (Arc::clone(&host), Arc::clone(&store));
    let unseen = Unseen::new(server, kept, Arc::clone(&index), deletions.clone(), looked.clone(), epoch.clone());
    let state = State { store, epoch, unwritten, looked };
    let gate = Arc::new(gate(&host, &config, &front, state, (rules, routes))?);
    let staleness =
        if host.version().has_http_authentication() { Staleness::Cleared } else { Staleness::ByCredentials };
    let api = Api {
        index: Arc::clone(&index),
        doctor: doctor(&config, &gate),
        gate: Arc::clone(&gate),
        shares: config.shares,
        oe2_root: config.oe2_root,
        front,
        login: login.clone(),
        provider,
        decodes_arguments: host.version().decodes_arguments(),
        mail,
        meddream,
    };
    Ok(Plugin {
        host,
        gate,
        api,
        login,
        uploads,
        deletions,
        unseen: Arc::new(unseen),
        index,
        results: Results::default(),
        dicom_port: config.dicom_server_enabled.then_some(config.dicom_port),
        staleness,
        unknown_routes: UnknownRoutes::default(),
        trusted_proxies: config.trusted_proxies,
        telling: Mutex::new(None),
        reading_ahead: Mutex::new(None),
        looking_back: Mutex::new(None),
    })
}

/// What the administrator has to know of the state.
fn log_state(store: &dyn Store) {
    for warning in store.warnings() {
        log::warn!("{warning}");
    }
    if let Some(rollback) = store.rolled_back() {
        log::error!(
            "the state is older than what was acknowledged (epoch {} after {}): a backup was restored. What was revoked since may be in force again, so no key or link is made. Remove again what was removed, then stop Orthanc, remove the file …epoch beside the state, and start Orthanc (docs/operations.md)",
            rollback.database_epoch,
            rollback.file_epoch
        );
    }
}

/// What is known of those who come, and when that is not so any more.
struct State {
    store: Arc<dyn Store>,
    epoch: Epoch,
    unwritten: Unwritten,
    looked: Looked,
}

fn gate(
    host: &Arc<dyn Host>,
    config: &Config,
    front: &Front,
    state: State,
    (rules, routes): (Rules, RouteModel),
) -> Result<Gate, StartError> {
    Ok(Gate {
        places: Places {
            headers: config.token_http_headers.clone(),
            arguments: config.token_get_arguments.clone(),
            session_cookie: config.login.as_ref().map(|_| front.cookies.session_name().to_owned()),
            links_cookie: front.cookies.links_name().to_owned(),
            origin: config.public_url.as_deref().and_then(browser::origin_of),
        },
        identities: Identities::new(verifiers(config, &rules, &state)?, state.epoch),
        anonymous: Arc::new(Identity::anonymous(&config.anonymous)),
        routes,
        rules,
        unchecked: Unchecked {
            resources: config.unchecked_resources.clone(),
            folders: config.unchecked_folders.clone(),
        },
        resources: Resources::new(Arc::clone(host), config.labels_validity)
            .of_a_server_that_finds_all(config.finds_all),
        ownership: Ownership::default(),
        standing: Standing::new(Arc::clone(host), patterns())?,
    })
}

/// The doctor, who writes to the log what is wrong: now, or when there is a provider, after it was asked.
fn doctor(config: &Config, gate: &Arc<Gate>) -> Arc<Doctor> {
    let doctor = Arc::new(Doctor::new(config, Arc::clone(gate)));
    match &gate.identities.verifiers().oidc {
        Some(oidc) => {
            // Weak, or the doctor would keep alive the thread that tells it.
            let told = Arc::downgrade(&doctor);
            oidc.observe(Box::new(move || {
                if let Some(doctor) = told.upgrade() {
                    doctor.tell(clock::now());
                }
            }));
        }
        None => doctor.tell(clock::now()),
    }
    doctor
}

fn rules(config: &Config) -> Vec<Rule> {
    let roots = config::Roots { dicom_web: &config.dicom_web_root, wado: &config.wado_root, oe2: &config.oe2_root };
    let expanded = |rule: &config::RuleConfig| -> Vec<Rule> {
        config::expand(rule, &roots)
            .into_iter()
            .map(|pattern| Rule {
                path: rule.path.as_str().into(),
                method: rule.method,
                pattern,
                permissions: rule.permissions.clone(),
                touches: rule.touches.clone(),
            })
            .collect()
    };
    config.rules.iter().flat_map(expanded).collect()
}

fn login(config: &Config, version: HostVersion, store: &dyn Store) -> Result<Option<Login>, StartError> {
    if config.login.is_none() {
        return Ok(None);
    }
    if config.public_url.is_none() {
        log::warn!(
            "Authorization.PublicUrl is missing: where browsers come back to after a login is read off each request, which fails behind a proxy with a path prefix"
        );
    }
    if !version.has_http_authentication() {
        log::warn!(
            "this Orthanc is older than 1.12.9: browsers are not sent to log in, but log in at /auth/login (Authorization.Login)"
        );
    }
    let secret = store.secret("login-transaction-key", &random_secret)?;
    let login = Login::new(version.decodes_arguments(), &secret)?;
    Ok(Some(login))
}

/// The provider for viewers on other origins, where there are any.
fn provider(config: &Config, store: &dyn Store) -> Result<Option<Provider>, StartError> {
    if config.shares.viewers.origins.is_empty() {
        return Ok(None);
    }
    let id_tokens = IdTokenKey::read(&store.secret("viewer-id-token-key", &|| Ok(IdTokenKey::generate()?))?)?;
    let subjects = IdTokenSubject::new(&store.secret("viewer-subject-key", &random_secret)?);
    Ok(Some(Provider { id_tokens, subjects }))
}

fn verifiers(config: &Config, rules: &Rules, state: &State) -> Result<Verifiers, StartError> {
    let State { store, epoch, unwritten, looked } = state;
    let hasher = Hasher::new(&store.secret("api-key-pepper", &random_secret)?);
    let local = LocalUsers::new(config.users.clone())?;
    let links = link_policy(&config.shares, store.as_ref(), local.pins())?;
    let roles = RolesBook::start(&config.roles, rules.permission_names(), epoch.clone())?;
    let recorder = Recorder::start(Arc::clone(store), epoch.clone()).map_err(StartError::Thread)?;
    let oidc = if config.providers.is_empty() {
        None
    } else {
        let on_change = epoch.clone();
        Some(Arc::new(Oidc::start(config.providers.clone(), Box::new(move || on_change.advance()))?))
    };
    let sessions = config
        .login
        .as_ref()
        .map(|login| Sessions::start(Arc::clone(store), oidc.clone(), epoch.clone(), login.session_duration));
    let sessions = sessions.transpose().map_err(StartError::Thread)?;
    let directories = oidc.as_ref().map(|oidc| Directories::new(&config.providers, oidc)).unwrap_or_default();
    Ok(Verifiers {
        oidc,
        directories,
        sessions,
        local,
        makers: Makers::new(Arc::clone(store), epoch.clone()),
        known_links: KnownLinks::new(epoch.clone()),
        store: Arc::clone(store),
        unwritten: unwritten.clone(),
        looked: looked.clone(),
        hasher,
        links,
        roles,
        recorder,
    })
}

fn link_policy(shares: &Shares, store: &dyn Store, pins: Pins) -> Result<LinkPolicy, StartError> {
    let signing = match &shares.secret_key {
        Some(key) => key.clone(),
        None => Secret::new(bytes::hex(&store.secret("share-signing-key", &random_secret)?)),
    };
    let seal = |name, purpose| Ok::<_, StartError>(SealKey::derive(&store.secret(name, &random_secret)?, purpose)?);
    let keys: Vec<Secret> = std::iter::once(signing).chain(shares.previous_secret_keys.iter().cloned()).collect();
    Ok(LinkPolicy {
        key_ids: keys.iter().map(share_token::key_id).collect(),
        keys,
        end_with_maker: shares.end_with_maker,
        accept_unrecorded: shares.accept_unrecorded,
        accept_unrecorded_until: shares.accept_unrecorded_until,
        codes: Codes::new(&store.secret("link-code-key", &random_secret)?),
        grants: seal("opened-link-key", "gatehouse opened link")?,
        viewer_tokens: seal("viewer-token-key", "gatehouse viewer token")?,
        viewer_origins: shares.viewers.origins.clone(),
        pins,
        inbox: InboxPolicy {
            labels: shares.inbox_labels.clone(),
            most_instances: shares.inbox_max_instances,
            most_bytes: Some(shares.inbox_max_bytes),
        },
    })
}

fn random_secret() -> Result<Vec<u8>, Cause> {
    Ok(bytes::random::<SHORTEST_SECRET>()?.to_vec())
}

#[cfg(test)]
mod tests {
    use regex_automata::meta::Regex;

    use super::*;
    use crate::callbacks::Callbacks;
    use crate::config::{self, ProcessEnvironment};
    use crate::request::Change;
    use crate::route::ROUTES;
    use crate::store::faulty::FaultyStore;
    use crate::testing::FakeHost;

    /// It waits for none of its callers.
    #[test]
    fn no_thread_of_ours_calls_a_server_that_stops() {
        let text = r#"{"IndexDirectory": "/nowhere", "Authorization": {}}"#;
        let config = config::read(text, &ProcessEnvironment::new(None)).unwrap().unwrap();
        let plugin = compose_on(FakeHost::new(Vec::new()), config, Arc::new(FaultyStore::new())).unwrap();
        let callers = || (plugin.looking_back.lock().is_some(), plugin.telling.lock().is_some());
        plugin.change(Change::Started);
        assert_eq!(callers(), (true, true));
        plugin.change(Change::Stopped);
        assert_eq!(callers(), (false, false));
        plugin.stop();
    }

    /// With Boost's possessive segments written as others, which match the same here, and are all that Rust's reads.
    #[test]
    fn the_pattern_that_is_registered_matches_what_each_of_its_parts_does() {
        let anchored = |pattern: &str| Regex::new(&format!("^(?s:{pattern})$")).unwrap();
        let whole = anchored(&rest_pattern().replace("*+", "*"));
        let parts: Vec<Regex> = patterns().map(anchored).collect();
        let mut matched = 0;
        for route in ROUTES {
            let path = route.path.replace("{*rest}", "a/b").replace(['{', '}'], "");
            for path in [format!("{path}/"), format!("/{path}"), format!("{path}/more"), path.replace("any", ""), path]
            {
                let expected = parts.iter().any(|part| part.is_match(&path));
                assert_eq!(whole.is_match(&path), expected, "{path}");
                matched += usize::from(expected);
            }
        }
        assert!(matched > parts.len());
    }
}
