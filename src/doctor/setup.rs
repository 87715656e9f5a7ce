//! What the configuration alone shows, and what it shows beside the roles of the moment.

use std::collections::BTreeSet;

use reqwest::Url;

use super::{Finding, Severity};
use crate::browser::origin_of;
use crate::config::{Config, RolesSource, Uploader};
use crate::likeness::nearest;
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
    findings.extend(ohif(config));
    findings
}

/// OHIF on another origin: no cookie of ours gets there, so it has to be launched.
fn ohif(config: &Config) -> Option<Finding> {
    let origin = |root: &Option<String>| root.as_deref().and_then(origin_of);
    let viewer = origin(&config.shares.public_ohif_root)?;
    let own = origin(&config.shares.public_orthanc_root)?;
    (viewer != own && !config.shares.viewers.origins.contains(&viewer)).then(|| {
        Finding::new(
            Severity::Warning,
            "ViewerOriginMissing",
            "Authorization.Shares.ViewerOrigins",
            format!(
                "OHIF is on another origin ({viewer}) than this server ({own}) and not among ViewerOrigins: links that ask for something (PIN, openings, recipient) are refused, and others carry a token in their URL"
            ),
            format!("\"Shares\": {{ \"ViewerOrigins\": [\"{viewer}\"] }}, and docs/viewers.md; or serve OHIF below {own}"),
        )
    })
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

/// Roles that the configuration names.
pub(super) struct Assigned {
    key: String,
    roles: Vec<String>,
    severity: Severity,
    /// What follows when there is no such role.
    effect: &'static str,
}

/// The roles that the configuration gives to local users, and to those of other providers; and those that it says
/// something of.
pub(super) fn assigned_roles(config: &Config) -> Vec<Assigned> {
    let users =
        config.users.iter().map(|(name, user)| given(format!("Authorization.Users.{name}.Roles"), user.roles.clone()));
    let mapped = config.providers.iter().filter_map(|provider| {
        let roles = provider.roles_map.as_ref()?.values().flatten().cloned().collect();
        Some(given(format!("{}.RolesMap", provider.path), roles))
    });
    let defaults = config.shares.defaults.iter().map(|(name, defaults)| Assigned {
        key: format!("Authorization.Shares.Defaults.{name}"),
        roles: vec![name.clone()],
        severity: if defaults.enforce { Severity::Error } else { Severity::Warning },
        effect: if defaults.enforce {
            "so nothing is enforced for its links"
        } else {
            "so it says nothing of any link"
        },
    });
    let labels = config.upload_labels.iter().filter_map(|(uploader, _)| match uploader {
        Uploader::Role(role) => Some(Assigned {
            key: format!("Authorization.UploadLabels.role:{role}"),
            roles: vec![role.clone()],
            severity: Severity::Warning,
            effect: "so it labels nothing",
        }),
        _ => None,
    });
    users.chain(mapped).chain(defaults).chain(labels).collect()
}

fn given(key: String, roles: Vec<String>) -> Assigned {
    Assigned { key, roles, severity: Severity::Warning, effect: "so they give nothing" }
}

/// Those of them that the roles of the moment do not know.
pub(super) fn unknown_roles(assigned: &[Assigned], roles: &Roles) -> Vec<Finding> {
    let unknown = |assigned: &Assigned| {
        let mut names: Vec<&str> =
            assigned.roles.iter().map(String::as_str).filter(|role| !roles.roles.contains_key(*role)).collect();
        names.sort_unstable();
        names.dedup();
        let meant: Vec<String> = names.iter().map(|name| with_likely(name, roles)).collect();
        (!names.is_empty()).then(|| {
            Finding::new(
                assigned.severity,
                "UnknownRole",
                &*assigned.key,
                format!(
                    "{} names roles that the roles file does not have, {}: {}",
                    assigned.key,
                    assigned.effect,
                    meant.join(", ")
                ),
                format!("add them to the roles file, or correct {}", assigned.key),
            )
        })
    };
    assigned.iter().filter_map(unknown).collect()
}

fn with_likely(name: &str, roles: &Roles) -> String {
    match nearest(name, roles.roles.keys().map(String::as_str)) {
        Some(near) => format!("{name} (did you mean {near:?}?)"),
        None => name.to_owned(),
    }
}

/// Permissions that roles have and that nothing asks for.
pub(super) fn unknown_permissions(roles: &Roles, in_rules: &BTreeSet<String>) -> Option<Finding> {
    const SHOWN: usize = 10;
    let unknown = roles.unknown_permissions(in_rules);
    let told: Vec<String> = unknown.iter().take(SHOWN).map(ToString::to_string).collect();
    (!told.is_empty()).then(|| {
        let more = if unknown.len() > SHOWN { format!("; and {} more", unknown.len() - SHOWN) } else { String::new() };
        let finding = Finding::new(
            Severity::Warning,
            "UnknownPermission",
            "Authorization.PermissionsFile",
            format!(
                "the roles name permissions that no rule asks for, so they give nothing: {}{more}",
                told.join("; ")
            ),
            "correct them in the roles file; or write a rule that asks for them (ExtraPermissions)",
        );
        finding.logged_elsewhere()
    })
}

/// Routes of ours that another plugin answers.
pub(super) fn taken_routes(taken: &[&str]) -> Option<Finding> {
    (!taken.is_empty()).then(|| {
        Finding::new(
            Severity::Error,
            "RoutesOfAnotherPlugin",
            "Plugins",
            format!("another plugin, which was loaded before this one, answers {}", taken.join(", ")),
            "put this plugin before that one in \"Plugins\"; until then these routes are refused to whoever does not hold all labels, and those below /auth/ to everybody",
        )
        .logged_elsewhere()
    })
}
