//! The keys of Orthanc itself and of its plugins that matter here. Their defaults are those of Orthanc 1.12.7 to 1.13.0
//! and its DICOMweb plugin.

use super::section::Section;
use super::values::{shown, with_final_slash};

/// What the server's own keys say.
pub(super) struct Server {
    pub(super) dicom_web_root: String,
    pub(super) wado_root: String,
    pub(super) oe2_root: String,
    pub(super) dicom_server_enabled: bool,
    /// Where Orthanc keeps its SQLite index.
    pub(super) index_directory: String,
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
        index_directory: orthanc.string("IndexDirectory").unwrap_or(storage),
        name: orthanc.string("Name").unwrap_or_else(|| "Orthanc".to_owned()),
        https,
        local_url: format!("{scheme}://localhost:{port}/"),
    }
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
