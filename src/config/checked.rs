//! The checked configuration: what the rest of the library sees. Built wholly by `config::read`, or not at all.
//!
//! Knows nothing of JSON, of files or of the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::secret::Secret;

/// Everything that section `"Authorization"` says, checked, with the defaults filled in.
#[derive(Debug)]
pub struct Config {
    /// Further headers that may carry a credential, lower case; `authorization`, `token` and `api-key` are always read.
    pub token_http_headers: Vec<String>,
    /// Further GET arguments that may carry a credential; `token` is always read.
    pub token_get_arguments: Vec<String>,
    /// The OpenID Connect providers; empty for a site without one.
    pub providers: Vec<Provider>,
    /// Local accounts by user name.
    pub users: BTreeMap<String, LocalUser>,
    /// Whether an instance that comes again replaces the one that is there (`OverwriteInstances`).
    pub overwrites_instances: bool,
    /// Whether the server answers a search with everything that is found (no `LimitFindResults` or `LimitFindInstances`).
    pub finds_all: bool,
    /// What a request without any valid credential is. Defaults to nobody: no permissions, no labels.
    pub anonymous: AnonymousProfile,
    /// Where roles are defined.
    pub roles: RolesSource,
    /// The permission rules in their order: the default table or `Permissions`, then `ExtraPermissions`. Patterns are
    /// as written, aliases not yet replaced; `path` names the key for messages (`Authorization.ExtraPermissions[2]`).
    pub rules: Vec<RuleConfig>,
    /// Paths that need no permission for GET, exactly as written.
    pub unchecked_resources: Vec<String>,
    /// Path prefixes, ending with `/`, that need no permission for GET.
    pub unchecked_folders: Vec<String>,
    /// How long a study's labels may be cached. Zero: never.
    pub labels_validity: Duration,
    /// The labels that a study is given when its first instance comes in, by whoever brings it.
    pub upload_labels: Vec<(Uploader, Vec<String>)>,
    /// Whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The URL at which browsers reach this server, with a trailing slash.
    pub public_url: Option<String>,
    /// The login gate; `None` when it is off.
    pub login: Option<Login>,
    /// Share links.
    pub shares: Shares,
    /// Mails; `None` when no mail server is configured.
    pub emails: Option<Emails>,
    /// Orthanc's `Name`, default `Orthanc`.
    pub server_name: String,
    /// The site's picture on the pages that people see, as a `data:` URL.
    pub site_logo: Option<String>,
    /// Whether Orthanc speaks TLS itself (`SslEnabled`).
    pub server_https: bool,
    /// Orthanc's `IndexDirectory`. Orthanc makes it on a first start, but only after its plugins are loaded.
    pub index_directory: PathBuf,
    /// The SQLite file that holds the state.
    pub sqlite: PathBuf,
    /// `DicomWeb.Root` with slashes at both ends, default `/dicom-web/`; also when DICOMweb is off.
    pub dicom_web_root: String,
    /// `DicomWeb.WadoRoot`, starting with a slash and without one at its end, default `/wado`.
    pub wado_root: String,
    /// `OrthancExplorer2.Root` with slashes at both ends, default `/ui/`.
    pub oe2_root: String,
    /// Whether Orthanc's DICOM port is open (`DicomServerEnabled`): it is not covered, and the log says so at start.
    pub dicom_server_enabled: bool,
    /// Where that port is (`DicomPort`).
    pub dicom_port: u16,
    /// Which of Orthanc's `DicomAlwaysAllow…` keys are on: what everybody may do who reaches the DICOM port.
    pub dicom_open_to_all: Vec<&'static str>,
    /// Whether only clients with a certificate of their own reach the DICOM port.
    pub dicom_certificates: bool,
    /// The provider that Orthanc Explorer 2 sends browsers to, when it does.
    pub explorer_login: Option<ExplorerLogin>,
    /// Things that the administrator should read in the log at start.
    pub warnings: Vec<Warning>,
}

/// Something that works as configured, and is hardly meant so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What kind of thing it is, in PascalCase: for programs that read the doctor's findings.
    pub code: &'static str,
    /// What is so, in words, with the key path.
    pub message: String,
    /// What to change, with the key path.
    pub change: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.message, self.change)
    }
}

/// An OpenID Connect provider.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The key path of its section, for messages: `Authorization.Keycloak`, or `Authorization.Keycloak[1]`.
    pub path: String,
    /// The issuer: in Keycloak mode derived (`{Url}realms/{Realm}`), else as configured. Compared exactly.
    pub issuer: String,
    /// Further `iss` values to accept with this provider's keys.
    pub accepted_issuers: Vec<String>,
    /// Keycloak mode: the keys are at `{Url}realms/{Realm}/protocol/openid-connect/certs` whatever discovery says,
    /// the issuer shown by discovery is accepted too, and tokens carry the claim `typ` `Bearer`.
    /// Issuer mode: discovery names the keys, and access tokens have the header `typ` `at+jwt`.
    pub keycloak: bool,
    /// The issuer's discovery document: `{issuer}/.well-known/openid-configuration`.
    pub discovery_url: String,
    /// Where the keys are, when it is fixed (Keycloak mode).
    pub jwks_url: Option<String>,
    /// `aud` or `azp` must hold one of these; empty turns the check off.
    pub audiences: Vec<String>,
    /// Header `typ` values of access tokens in issuer mode, lower case (`TokenTypes`); default `at+jwt` and
    /// `application/at+jwt`.
    pub token_types: Vec<String>,
    /// Claim paths that hold roles, split at dots: `["realm_access", "roles"]`.
    pub roles_claims: Vec<Vec<String>>,
    /// Claim path that holds groups.
    pub groups_claim: Vec<String>,
    /// Provider's role -> our roles. With a map, roles that it does not name are dropped.
    pub roles_map: Option<BTreeMap<String, Vec<String>>>,
    /// Allowed clock difference for `exp` and `nbf`.
    pub leeway: Duration,
    /// Certificate authority to trust for this provider, PEM.
    pub ca_file: Option<PathBuf>,
    /// What this server is called at the provider when it sends browsers to log in (`client_id`).
    pub client_id: String,
    /// Its secret there; `None` for a public client.
    pub client_secret: Option<Secret>,
    /// What a login asks for; `openid` is among them.
    pub scopes: Vec<String>,
    /// The clients that browsers log in with here.
    pub clients: Vec<LoginClient>,
    /// Keycloak's admin API; `None`: it is not asked.
    pub admin: Option<AdminApi>,
}

/// Section `Keycloak` of Orthanc Explorer 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplorerLogin {
    /// `Url`, as browsers reach Keycloak.
    pub url: String,
    /// `Realm`.
    pub realm: String,
    /// `ClientId`.
    pub client_id: String,
}

impl ExplorerLogin {
    /// The issuer of tokens that Keycloak makes when it is reached there and has no name of its own.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("{}/realms/{}", self.url.trim_end_matches('/'), self.realm)
    }
}

/// A client of a provider, with which browsers log in.
#[derive(Clone, Debug)]
pub struct LoginClient {
    /// The key path of its identifier, for messages.
    pub place: String,
    /// Its identifier.
    pub client_id: String,
    /// Its secret; `None` for a public client.
    pub secret: Option<Secret>,
    /// Where browsers come back to.
    pub redirect_uri: String,
}

/// Keycloak's admin API, for what tokens do not say.
#[derive(Clone, Debug)]
pub struct AdminApi {
    /// The realm's part of it, with a trailing slash: `{Url}admin/realms/{Realm}/`.
    pub url: String,
    /// The client whose service account asks.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// The user attribute that holds API keys; `None`: there are none.
    pub api_key_attribute: Option<String>,
}

/// The login gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// How long a session lasts, whatever it is used for.
    pub session_duration: Duration,
}

/// A local account.
#[derive(Clone, Debug)]
pub struct LocalUser {
    /// An argon2id hash in PHC string format, checked to be parseable.
    pub password_hash: String,
    /// The roles of the account.
    pub roles: Vec<String>,
}

/// What a request without any valid credential is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnonymousProfile {
    /// Shown in the profile.
    pub name: String,
    /// Permissions that everybody has.
    pub permissions: Vec<String>,
    /// Labels that everybody may see.
    pub authorized_labels: Vec<String>,
}

/// Whoever brings instances in, as `UploadLabels` names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uploader {
    /// `role:…`: everybody with this role.
    Role(String),
    /// `group:…`: everybody in this group, as tokens tell it.
    Group(String),
    /// `user:…`: a local user by name, or the `sub` of a provider's user.
    User(String),
    /// `aet:…`: the calling AET of a C-STORE.
    Aet(String),
}

/// Where roles are defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolesSource {
    /// The roles file of orthanc-auth-service, reloaded when it changes.
    File(PathBuf),
    /// `Roles` in the configuration: cannot be changed while the server runs. The JSON text of
    /// `{"roles": {…}, "available-labels": […]}`.
    Inline(String),
    /// Neither: no role gives anything.
    None,
}

/// One permission rule as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleConfig {
    /// Its key path, for messages. Rules of the default table are `default table, rule 7`.
    pub path: String,
    /// The method.
    pub method: crate::host::Method,
    /// The pattern as written, aliases not yet replaced.
    pub pattern: String,
    /// Any of these permissions; empty lets anyone through the first gate.
    pub permissions: Vec<String>,
    /// What the second gate is told about a site's own route.
    pub touches: Option<RuleTouches>,
}

/// The object in a rule's fourth place: what a site's own route touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleTouches {
    /// `{"PatientData": false}`: no patient data.
    Nothing,
    /// `{"Resource": {"Level": "study", "Group": 1}}`: the Orthanc identifier in this group of the pattern.
    Resource {
        /// Level of the identifier.
        level: crate::level::Level,
        /// Group of the pattern, from 1.
        group: usize,
    },
}

/// Share links.
#[derive(Debug)]
pub struct Shares {
    /// The HS256 key, or `None`: generated once and kept with the state.
    pub secret_key: Option<Secret>,
    /// Keys that were used before: still verified, never signed with.
    pub previous_secret_keys: Vec<Secret>,
    /// Public URL of Orthanc, with a trailing slash; `config::read` always gives one.
    pub public_orthanc_root: Option<String>,
    /// Public URL of the landing page, as written.
    pub public_landing_root: Option<String>,
    /// Public URL of OHIF, with a trailing slash.
    pub public_ohif_root: Option<String>,
    /// Whether OHIF is given DICOM JSON in place of DICOMweb.
    pub ohif_dicom_json: bool,
    /// MedDream's token service.
    pub meddream_token_service_url: Option<String>,
    /// Public URL of MedDream.
    pub public_meddream_root: Option<String>,
    /// Longest validity of a link; `None`: endless links are allowed.
    pub max_validity: Option<Duration>,
    /// Whether what a link reads is bounded by what its maker may today.
    pub end_with_maker: bool,
    /// Whether a link stays closed once what it opens was deleted.
    pub end_with_study: bool,
    /// Whether links of the old service, which leave no record, are accepted.
    pub accept_unrecorded: bool,
    /// Until when they are, in seconds since 1970.
    pub accept_unrecorded_until: Option<crate::clock::UnixTime>,
    /// Validity of an inbox link that names none.
    pub inbox_validity: Duration,
    /// Labels of every study that comes in by an inbox link.
    pub inbox_labels: Vec<String>,
    /// How many bytes may come in by one inbox link.
    pub inbox_max_bytes: u64,
    /// How many instances may; `None`: any number.
    pub inbox_max_instances: Option<u64>,
    /// Viewers on other origins.
    pub viewers: Viewers,
    /// By role: what the links of whoever has it are made with.
    pub defaults: BTreeMap<String, ShareDefaults>,
}

/// Viewers on other origins, which are launched by authorization code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewers {
    /// Their origins, as browsers write them; empty: there are none.
    pub origins: Vec<String>,
    /// Where codes are sent to: exactly one of these, each on one of the origins.
    pub redirect_uris: Vec<String>,
    /// How long an access token lasts.
    pub token_validity: Duration,
}

/// What links are made with by somebody with a role. What is not there is not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareDefaults {
    /// Whether a PIN is asked for.
    pub pin: Option<bool>,
    /// How often they may be opened.
    pub max_openings: Option<u64>,
    /// Whether archives and media may be fetched.
    pub download: Option<bool>,
    /// How long they last.
    pub validity: Option<Duration>,
    /// A request may be stricter than this, and not less strict.
    pub enforce: bool,
}

/// Mails.
#[derive(Clone, Debug)]
pub struct Emails {
    /// The mail server.
    pub smtp: Smtp,
    /// Whom mails come from.
    pub sender: lettre::message::Mailbox,
    /// Whom they are answered to, if it is somebody else.
    pub reply_to: Option<lettre::message::Mailbox>,
    /// Where templates are.
    pub templates_folder: Option<PathBuf>,
    /// The local user that sends for others.
    pub service_user: Option<String>,
    /// How many recipients the mails with one person's links may have within an hour.
    pub hourly_per_person: u32,
    /// How many all mails together may have.
    pub hourly: u32,
}

/// The mail server.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Its name, which its certificate is for, or its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// PEM certificates of authorities that are believed beside the system's.
    pub ca: Option<String>,
    /// User name and password; `None`: it wants none.
    pub login: Option<(String, Secret)>,
    /// How long sending one mail may take.
    pub timeout: Duration,
}

/// How a connection with the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// Not at all.
    None,
    /// Begun in the clear, and TLS before anything is said. Required.
    StartTls,
    /// TLS from the start.
    Tls,
}
