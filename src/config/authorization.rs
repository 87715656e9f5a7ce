//! The section as a whole: from Orthanc's text to the checked configuration, or to all that is wrong with it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::checked::{Config, Login};
use super::environment::Environment;
use super::fault::{Fault, Faults, KeyPath};
use super::patterns::Roots;
use super::section::{Reader, Section, kind};
use super::values::{shown, with_final_slash};
use super::{clients, emails, logo, providers, rules, server, shares, standard, uploads, users, variables};

const SECTION: &str = "Authorization";

/// Headers that are always read for a credential.
const BUILT_IN_HEADERS: [&str; 3] = ["authorization", "token", "api-key"];

/// Reads the configuration that Orthanc hands over: plain JSON, all its files merged.
///
/// `Ok(None)` means that the plugin has nothing to do: there is no section `"Authorization"`, or it says
/// `"Enable": false`.
///
/// # Errors
/// Everything that is wrong, at once, each with its key path. No message shows a secret. A section that is nearly called
/// `"Authorization"` is a fault, and so is none at all where the server would let everybody in.
pub fn read(orthanc_configuration: &str, environment: &dyn Environment) -> Result<Option<Config>, Faults> {
    let Some((orthanc, filled)) = prepare(orthanc_configuration, environment)? else { return Ok(None) };
    let reader = Reader::new(environment, filled.origins);
    let config = walk(&reader, &orthanc);
    let (mut faults, warnings) = reader.into_results();
    // A value that could not be filled in is not missing besides.
    faults.retain(|fault| filled.faults.iter().all(|broken| broken.path != fault.path));
    faults.extend(filled.faults);
    if faults.is_empty() { Ok(Some(Config { warnings, ..config })) } else { Err(Faults::new(faults)) }
}

/// Orthanc's whole configuration with the section filled in, and where the values came from.
type Prepared = (Map<String, Value>, variables::Filled);

/// Parses the text, looks whether the section is there and on, and fills it in from the environment.
pub(super) fn prepare(text: &str, environment: &dyn Environment) -> Result<Option<Prepared>, Faults> {
    let path = KeyPath::default().member(SECTION);
    let fault = |path: KeyPath, message: String| Faults::new(vec![Fault { path, origin: None, message }]);
    let mut orthanc: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        fault(KeyPath::default().member("Orthanc's configuration"), format!("is not a JSON object: {error}"))
    })?;
    let misspelt: Vec<Fault> =
        orthanc.keys().filter(|name| is_nearly_the_section(name)).map(|name| misspelt(name)).collect();
    if !misspelt.is_empty() {
        return Err(Faults::new(misspelt));
    }
    let open_to_all = orthanc.get("RemoteAccessAllowed") == Some(&Value::Bool(true))
        && orthanc.get("AuthenticationEnabled") == Some(&Value::Bool(false));
    let section = match orthanc.get_mut(SECTION) {
        None | Some(Value::Null) if open_to_all => return Err(fault(path, OPEN_TO_ALL.to_owned())),
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(members)) => members,
        Some(other) => return Err(fault(path, format!("must be an object, got {}", kind(other)))),
    };
    if section.get("Enable") == Some(&Value::Bool(false)) {
        return Ok(None);
    }
    let filled = variables::fill_in(section, &path, environment);
    Ok(Some((orthanc, filled)))
}

/// What is said where there is no section, and nothing else protects the server.
const OPEN_TO_ALL: &str = "there is no such section, and with \"RemoteAccessAllowed\": true and \
    \"AuthenticationEnabled\": false everybody would see all images. Give the section; or, if that is meant, write \
    \"Authorization\": { \"Enable\": false }";

/// Whether a key of Orthanc's configuration is the section's name, mistyped: the section would be no section then.
fn is_nearly_the_section(name: &str) -> bool {
    const MISTAKES: usize = 2;
    name != SECTION
        && name.len() <= SECTION.len() + MISTAKES
        && strsim::damerau_levenshtein(&name.to_lowercase(), &SECTION.to_lowercase()) <= MISTAKES
}

fn misspelt(name: &str) -> Fault {
    let path = KeyPath::default().member(name);
    Fault { path, origin: None, message: format!("unknown section, did you mean {SECTION:?}?") }
}

/// Walks the whole configuration. What it returns counts only when the reader found no fault.
pub(super) fn walk(reader: &Reader<'_>, orthanc: &Map<String, Value>) -> Config {
    let orthanc = Section::new(reader, KeyPath::default(), String::new(), Some(orthanc));
    let server = server::read(&orthanc);
    let section = orthanc.section(SECTION);
    section.boolean("Enable");
    check_web_service_keys(&section);
    check_levels(&section);
    check_later_keys(&section);

    let roots = Roots { dicom_web: &server.dicom_web_root, wado: &server.wado_root, oe2: &server.oe2_root };
    let rules = rules::read(&section, &roots);
    let unchecked = standard::read(&section, &server.oe2_root);
    let public_url = section.url("PublicUrl").map(with_final_slash);
    let login = login(&section);
    let users = users::read_users(&section);
    let config = Config {
        token_http_headers: token_headers(&section),
        token_get_arguments: section.strings("TokenGetArguments").unwrap_or_default(),
        providers: clients::assign(
            providers::read(&section),
            login.is_some(),
            server.explorer_login.as_ref(),
            public_url.as_deref(),
            &server.oe2_root,
        ),
        emails: emails::read(&section, &users),
        users,
        overwrites_instances: server.overwrites_instances,
        finds_all: server.finds_all,
        anonymous: users::read_anonymous(&section),
        roles: users::read_roles(&section),
        rules,
        unchecked_resources: unchecked.resources,
        unchecked_folders: unchecked.folders,
        labels_validity: Duration::from_secs_f64(section.number("LabelsValidity", 0.0..=3600.0).unwrap_or(1.0)),
        upload_labels: uploads::read(&section),
        trusted_proxies: trusted_proxies(&section),
        login,
        shares: shares::read(&section, public_url.as_deref(), &server.local_url),
        index_directory: reader.resolve(&server.index_directory),
        sqlite: sqlite(&section, &server.index_directory),
        site_logo: logo::read(&section),
        public_url,
        server_name: server.name,
        server_https: server.https,
        dicom_web_root: server.dicom_web_root,
        wado_root: server.wado_root,
        oe2_root: server.oe2_root,
        dicom_server_enabled: server.dicom_server_enabled,
        dicom_port: server.dicom_port,
        dicom_open_to_all: server.dicom_open_to_all,
        dicom_certificates: server.dicom_certificates,
        explorer_login: server.explorer_login,
        warnings: Vec::new(),
    };
    let nobody = section.value("Keycloak").is_none() && section.value("Users").is_none();
    if config.login.is_some() && nobody {
        reader.fault(section.at("Login").member("Enable"), "nobody could log in: give \"Keycloak\" or \"Users\"");
    }
    section.finish();
    config
}

/// The C++ plugin's keys for a service to ask. Orthanc Explorer 2 wants to see one of them, so an empty text is fine.
fn check_web_service_keys(section: &Section<'_>) {
    const DECIDES: &str = "\"Users\" or \"Keycloak\", with \"PermissionsFile\"";
    const LINKS: &str = "\"Shares\"";
    const NOTHING: &str = "nothing: there is no service to log in to";
    for (key, replacement) in [
        ("WebServiceRootUrl", "\"Users\" or \"Keycloak\", \"PermissionsFile\" and \"Shares\""),
        ("WebServiceUserProfileUrl", DECIDES),
        ("WebServiceTokenValidationUrl", LINKS),
        ("WebService", LINKS),
        ("WebServiceTokenCreationBaseUrl", LINKS),
        ("WebServiceTokenDecoderUrl", LINKS),
        ("WebServiceSettingsRolesUrl", "\"PermissionsFile\""),
        ("WebServiceUsername", NOTHING),
        ("WebServicePassword", NOTHING),
        ("WebServiceIdentifier", "nothing: links name no server"),
    ] {
        // The value is not shown: one of them is a password, and a URL may hold one.
        match section.value(key) {
            None => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(Value::String(_)) => section.fault(
                key,
                format!("belongs to an external service, which this version does not ask; set it to \"\". In its place: {replacement}"),
            ),
            Some(other) => section.fault(key, format!("must be an empty string, got {}", kind(other))),
        }
    }
}

fn check_levels(section: &Section<'_>) {
    if let Some(level) = section.string("CheckedLevel").filter(|level| level != "studies") {
        section.fault(
            "CheckedLevel",
            format!("must be \"studies\": labels count on the study and nowhere else, got {}", shown(&level)),
        );
    }
    if section.list("UncheckedLevels").is_some_and(|levels| !levels.is_empty()) {
        section.fault("UncheckedLevels", "must be []: every level is checked, by the labels of the study");
    }
}

/// Keys of features that are not there: off is fine, on is refused, what only configures them is checked.
fn check_later_keys(section: &Section<'_>) {
    if section.boolean("EnableAuditLogs") == Some(true) {
        section.not_yet("EnableAuditLogs", "audit logs");
    }
}

fn login(section: &Section<'_>) -> Option<Login> {
    let login = section.section("Login");
    let enabled = login.boolean("Enable") == Some(true);
    let seconds = login.integer("SessionDuration", 60..=31_536_000).unwrap_or(28_800);
    let session_duration = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    login.finish();
    enabled.then_some(Login { session_duration })
}

fn token_headers(section: &Section<'_>) -> Vec<String> {
    const KEY: &str = "TokenHttpHeaders";
    let mut headers = Vec::new();
    for (index, name) in section.strings(KEY).unwrap_or_default().iter().enumerate() {
        let name = name.to_ascii_lowercase();
        let place = section.at(KEY).element(index);
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
            section.reader.fault(place, format!("must be the name of an HTTP header, got {}", shown(&name)));
        } else if name == "cookie" {
            section.reader.fault(
                place,
                "a cookie comes along with requests that its owner did not make: it cannot be read as a header",
            );
        } else if !BUILT_IN_HEADERS.contains(&name.as_str()) && !headers.contains(&name) {
            headers.push(name);
        }
    }
    headers
}

/// Addresses and networks: `10.0.0.1`, `10.0.0.0/8`.
fn trusted_proxies(section: &Section<'_>) -> Vec<IpNet> {
    const KEY: &str = "TrustedProxies";
    let mut networks = Vec::new();
    for (index, value) in section.strings(KEY).unwrap_or_default().iter().enumerate() {
        let place = section.at(KEY).element(index);
        match value.parse::<IpNet>().or_else(|_| value.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) if network.prefix_len() == 0 => section.reader.fault(place, "would believe everybody"),
            Ok(network) => networks.push(network.trunc()),
            Err(_) => section
                .reader
                .fault(place, format!("must be an IP address or a network like \"10.0.0.0/8\", got {}", shown(value))),
        }
    }
    networks
}

/// The state's file, beside Orthanc's index and never that one.
fn sqlite(section: &Section<'_>, index_directory: &str) -> PathBuf {
    let storage = section.section("Storage");
    let name = storage.string("SQLite").unwrap_or_else(|| "authorization.db".to_owned());
    let folder = section.reader.resolve(index_directory);
    let file = folder.join(&name);
    if file.file_name().is_none() || name.ends_with('/') {
        storage.fault("SQLite", format!("must be the name of a file, got {}", shown(&name)));
    } else if ["index", "index-wal", "index-shm", "index-journal"].iter().any(|own| file == folder.join(own)) {
        storage.fault("SQLite", "is Orthanc's own index");
    }
    let postgresql = storage.section("PostgreSQL");
    if postgresql.is_present() {
        storage.not_yet("PostgreSQL", "state in PostgreSQL");
    }
    for key in ["Host", "Database", "Username"] {
        postgresql.string(key);
    }
    postgresql.integer("Port", 1..=65535);
    postgresql.secret("Password", "PasswordFile");
    postgresql.finish();
    storage.finish();
    file
}
