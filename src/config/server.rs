//! The keys of Orthanc itself and of its plugins that matter here. Their defaults are those of Orthanc 1.12.7 to 1.13.0
//! and its DICOMweb plugin.

use super::checked::ExplorerLogin;
use super::section::Section;
use super::values::{shown, with_final_slash};

/// What the server's own keys say.
pub(super) struct Server {
    pub(super) dicom_web_root: String,
    pub(super) wado_root: String,
    pub(super) oe2_root: String,
    pub(super) dicom_server_enabled: bool,
    pub(super) dicom_port: u16,
    pub(super) dicom_open_to_all: Vec<&'static str>,
    pub(super) dicom_certificates: bool,
    /// The provider that Orthanc Explorer 2 sends browsers to, when it does.
    pub(super) explorer_login: Option<ExplorerLogin>,
    /// Where Orthanc keeps its SQLite index.
    pub(super) index_directory: String,
    /// Whether an instance that comes again replaces the one that is there.
    pub(super) overwrites_instances: bool,
    /// Whether it answers a search with everything that is found, however much is asked for.
    pub(super) finds_all: bool,
    /// How the server calls itself.
    pub(super) name: String,
    /// Whether it speaks TLS itself.
    pub(super) https: bool,
    /// How this machine's own browser reaches the server.
    pub(super) local_url: String,
}

/// Reads them from the whole configuration.
pub(super) fn read(orthanc: &Section<'_>) -> Server {
    let remote = orthanc.boolean("RemoteAccessAllowed").unwrap_or(false);
    let authentication = orthanc.boolean("AuthenticationEnabled");
    if authentication.unwrap_or(remote) {
        let why = if authentication.is_none() { "is on, because \"RemoteAccessAllowed\" is" } else { "is on" };
        orthanc.fault(
            "AuthenticationEnabled",
            format!(
                "{why}: Orthanc would answer before this plugin is asked. Write \"AuthenticationEnabled\": false, \
                 and give the accounts in \"RegisteredUsers\" to \"Authorization\": {{ \"Users\": … }}"
            ),
        );
    }
    let dicom_web = orthanc.section("DicomWeb");
    let oe2 = orthanc.section("OrthancExplorer2");
    let storage = orthanc.string("StorageDirectory").unwrap_or_else(|| "OrthancStorage".to_owned());
    let https = orthanc.boolean("SslEnabled").unwrap_or(false);
    let scheme = if https { "https" } else { "http" };
    let port = orthanc.integer("HttpPort", 0..=65535).unwrap_or(8042);
    Server {
        dicom_web_root: root(&dicom_web, "Root", "/dicom-web/"),
        wado_root: root(&dicom_web, "WadoRoot", "/wado").trim_end_matches('/').to_owned(),
        oe2_root: root(&oe2, "Root", "/ui/"),
        dicom_server_enabled: orthanc.boolean("DicomServerEnabled").unwrap_or(true),
        dicom_port: orthanc.integer("DicomPort", 0..=65535).and_then(|port| port.try_into().ok()).unwrap_or(4242),
        dicom_open_to_all: open_to_all(orthanc),
        dicom_certificates: needs_certificates(orthanc),
        explorer_login: explorer_login(&oe2),
        index_directory: orthanc.string("IndexDirectory").unwrap_or(storage),
        overwrites_instances: overwrites(orthanc),
        finds_all: ["LimitFindResults", "LimitFindInstances"]
            .map(|limit| orthanc.value(limit).is_none_or(|limit| limit.as_i64() == Some(0)))
            .into_iter()
            .all(|is_none| is_none),
        name: orthanc.string("Name").unwrap_or_else(|| "Orthanc".to_owned()),
        https,
        local_url: format!("{scheme}://localhost:{port}/"),
    }
}

/// `OverwriteInstances`: true or false, and in newer servers `"Always"`, `"IfChanged"` or `"Never"`. What is not
/// understood is the server's to report.
fn overwrites(orthanc: &Section<'_>) -> bool {
    match orthanc.value("OverwriteInstances") {
        None | Some(serde_json::Value::Bool(false)) => false,
        Some(serde_json::Value::String(mode)) => mode != "Never",
        Some(_) => true,
    }
}

/// What the DICOM port lets everybody do, whatever machine they come from: the keys that are on.
fn open_to_all(orthanc: &Section<'_>) -> Vec<&'static str> {
    // (key, what Orthanc takes it for when it is not there)
    const KEYS: [(&str, bool); 5] = [
        ("DicomAlwaysAllowStore", true),
        ("DicomAlwaysAllowFind", false),
        ("DicomAlwaysAllowFindWorklist", false),
        ("DicomAlwaysAllowGet", false),
        ("DicomAlwaysAllowMove", false),
    ];
    let on = |(key, default): &(&'static str, bool)| orthanc.boolean(key).unwrap_or(*default);
    KEYS.iter().filter(|key| on(key)).map(|(key, _)| *key).collect()
}

/// Whether only clients with a certificate reach the DICOM port.
fn needs_certificates(orthanc: &Section<'_>) -> bool {
    let tls = orthanc.boolean("DicomTlsEnabled").unwrap_or(false);
    let required = orthanc.boolean("DicomTlsRemoteCertificateRequired").unwrap_or(true);
    tls && required
}

/// Where Orthanc Explorer 2 sends browsers to log in, in its own section. Its faults are its own to report.
fn explorer_login(oe2: &Section<'_>) -> Option<ExplorerLogin> {
    let keycloak = oe2.section("Keycloak");
    let text = |key| keycloak.value(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let login = ExplorerLogin { url: text("Url"), realm: text("Realm"), client_id: text("ClientId") };
    let enabled = keycloak.value("Enable") == Some(&serde_json::Value::Bool(true));
    let complete = [&login.url, &login.realm, &login.client_id].into_iter().all(|text| !text.is_empty());
    (enabled && complete).then_some(login)
}

/// A root with slashes at both ends.
fn root(section: &Section<'_>, key: &'static str, default: &str) -> String {
    let root = section.string(key).unwrap_or_else(|| default.to_owned());
    let name = root.trim_matches('/');
    if name.is_empty() {
        section.fault(key, format!("must be a folder of its own, got {}", shown(&root)));
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte))
        || name.split('/').any(|part| matches!(part, "" | "." | ".."))
    {
        // Anything else is a pattern to Orthanc or changes on its way to the filter.
        section.fault(key, format!("must consist of letters, digits and '-._~/', got {}", shown(&root)));
    }
    with_final_slash(format!("/{name}"))
}
