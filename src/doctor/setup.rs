//! What the configuration alone shows, and what it shows beside the roles of the moment.

use reqwest::Url;

use super::{Finding, Severity};
use crate::config::{Config, RolesSource};
use crate::policy::roles::Roles;

/// What does not change while the server runs.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = config
        .warnings
        .iter()
        .map(|warning| {
            let key = warning.message.split([' ', ':']).next().filter(|word| word.starts_with("Authorization."));
            let key = key.unwrap_or("Authorization");
            Finding::new(Severity::Warning, warning.code, key, &*warning.message, &*warning.change).logged_elsewhere()
        })
        .collect();
    findings.extend(dicom(config));
    findings.extend(roles(config));
    findings.extend(public_url(config));
    findings
}

/// Decision 30: the DICOM port is not covered.
fn dicom(config: &Config) -> Option<Finding> {
    if !config.dicom_server_enabled {
        return None;
    }
    let reads = |key: &&&str| **key != "DicomAlwaysAllowStore";
    let reading: Vec<&str> = config.dicom_open_to_all.iter().filter(reads).copied().collect();
    let (severity, who) = if config.dicom_certificates {
        (Severity::Info, "whoever has a certificate that Orthanc trusts reaches it".to_owned())
    } else if reading.is_empty() {
        (
            Severity::Warning,
            "whoever reaches it may call themselves by any AET of DicomModalities and read what that one may"
                .to_owned(),
        )
    } else {
        (Severity::Error, format!("whoever reaches it reads all images ({})", reading.join(", ")))
    };
    let finding = Finding::new(
        severity,
        "DicomPortOpen",
        "DicomServerEnabled",
        format!("Orthanc's DICOM port is open, and not covered by this plugin: {who}"),
        "\"DicomServerEnabled\": false; or let only known machines through the firewall, switch off DicomAlwaysAllowFind, -Get and -Move, switch on DicomCheckModalityHost; the MultitenantDicom plugin has ports of its own with labels",
    );
    Some(finding.logged_elsewhere())
}

fn roles(config: &Config) -> Option<Finding> {
    let anybody = !config.providers.is_empty() || !config.users.is_empty();
    if !anybody && config.anonymous.permissions.is_empty() {
        return Some(Finding::new(
            Severity::Error,
            "NobodyCanLogIn",
            "Authorization",
            "there is neither an identity provider nor a local user: only share links and keys from before open anything",
            "give \"Keycloak\" or \"Users\" in section \"Authorization\"",
        ));
    }
    (anybody && config.roles == RolesSource::None).then(|| {
        Finding::new(
            Severity::Error,
            "NoRolesDefined",
            "Authorization.PermissionsFile",
            "no roles are defined, so nobody who logs in may do anything",
            "\"Authorization\": { \"PermissionsFile\": \"permissions.jsonc\" }, or \"Roles\"",
        )
    })
}

fn public_url(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(url) = config.public_url.as_deref() else {
        if config.login.is_some() && !config.providers.is_empty() {
            findings.push(Finding::new(
                Severity::Warning,
                "PublicUrlMissing",
                "Authorization.PublicUrl",
                "the login gate is on, and how browsers reach this server is not said: behind a reverse proxy the provider would send them back to a wrong address",
                "\"Authorization\": { \"PublicUrl\": \"https://…/\" }, as browsers see it, with the path before Orthanc if there is one; on one machine \"http://localhost:8042/\"",
            ).logged_elsewhere());
        }
        return findings;
    };
    if url.starts_with("http://") && !is_local(url) {
        findings.push(Finding::new(
            Severity::Warning,
            "PublicUrlWithoutHttps",
            "Authorization.PublicUrl",
            format!("browsers reach this server without HTTPS ({url}): whoever is on the way reads passwords, tokens and images"),
            "put a reverse proxy with TLS before Orthanc (docker/nginx), and write its https URL into Authorization.PublicUrl",
        ));
    }
    if url.starts_with("https://") && !config.server_https && config.trusted_proxies.is_empty() {
        findings.push(Finding::new(
            Severity::Warning,
            "NoTrustedProxies",
            "Authorization.TrustedProxies",
            "PublicUrl is https and Orthanc itself speaks http: a reverse proxy stands before it, and is not trusted. Everybody seems to come from its address, so wrong passwords of one count for all",
            "\"Authorization\": { \"TrustedProxies\": [\"address of the proxy as Orthanc sees it\"] }",
        ));
    }
    findings
}

/// Whether a URL leads to the machine itself.
pub(super) fn is_local(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = |address: std::net::IpAddr| address.is_loopback();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(is_loopback)
}

/// Roles that the configuration gives to somebody.
pub(super) struct Assigned {
    key: String,
    roles: Vec<String>,
}

/// The roles that the configuration gives to local users, and to those of other providers.
pub(super) fn assigned_roles(config: &Config) -> Vec<Assigned> {
    let users = config
        .users
        .iter()
        .map(|(name, user)| Assigned { key: format!("Authorization.Users.{name}.Roles"), roles: user.roles.clone() });
    let mapped = config.providers.iter().filter_map(|provider| {
        let roles = provider.roles_map.as_ref()?.values().flatten().cloned().collect();
        Some(Assigned { key: format!("{}.RolesMap", provider.path), roles })
    });
    users.chain(mapped).collect()
}

/// Those of them that the roles of the moment do not know.
pub(super) fn unknown_roles(assigned: &[Assigned], roles: &Roles) -> Vec<Finding> {
    let unknown = |assigned: &Assigned| {
        let mut names: Vec<&str> =
            assigned.roles.iter().map(String::as_str).filter(|role| !roles.roles.contains_key(*role)).collect();
        names.sort_unstable();
        names.dedup();
        (!names.is_empty()).then(|| {
            Finding::new(
                Severity::Warning,
                "UnknownRole",
                &*assigned.key,
                format!(
                    "{} names roles that the roles file does not have, so they give nothing: {}",
                    assigned.key,
                    names.join(", ")
                ),
                format!("add them to the roles file, or correct {}", assigned.key),
            )
        })
    };
    assigned.iter().filter_map(unknown).collect()
}
