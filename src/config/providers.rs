//! `Keycloak`: the OpenID Connect providers, one object or a list of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::checked::{AdminApi, Provider};
use super::section::{Section, kind, text};
use super::values::{http_url, shown};
use crate::secret::Secret;

const KEY: &str = "Keycloak";
/// Providers make secrets of 32 characters and more.
const SHORT_SECRET: usize = 16;

/// All providers.
pub(super) fn read(section: &Section<'_>) -> Vec<Provider> {
    let schema = format!("Authorization.{KEY}");
    let reader = section.reader;
    let parts = match section.value(KEY) {
        None => Vec::new(),
        Some(Value::Object(members)) => vec![(section.at(KEY), members)],
        Some(Value::Array(elements)) => {
            let mut parts = Vec::new();
            for (index, element) in elements.iter().enumerate() {
                let path = section.at(KEY).element(index);
                match element.as_object() {
                    Some(members) => parts.push((path, members)),
                    None => reader.fault(path, format!("must be an object, got {}", kind(element))),
                }
            }
            parts
        }
        Some(other) => {
            section.fault(KEY, format!("must be an object or a list of objects, got {}", kind(other)));
            Vec::new()
        }
    };
    let mut providers = Vec::new();
    let mut issuers = BTreeSet::new();
    for (index, (path, members)) in parts.into_iter().enumerate() {
        let part = Section::new(reader, path, schema.clone(), Some(members));
        let provider = provider(&part);
        if index > 0 && members.get("RolesMap").is_none_or(Value::is_null) {
            part.fault(
                "RolesMap",
                "is missing: without one, a further provider could give its users any of this server's roles",
            );
        }
        let own: BTreeSet<_> =
            provider.iter().flat_map(|p| std::iter::once(&p.issuer).chain(&p.accepted_issuers)).collect();
        for issuer in own {
            if !issuers.insert(issuer.clone()) {
                reader.fault(
                    part.path.clone(),
                    format!("the issuer {} is named twice: nothing says whose keys count", shown(issuer)),
                );
            }
        }
        providers.extend(provider);
        part.finish();
    }
    providers
}

fn provider(section: &Section<'_>) -> Option<Provider> {
    let client_id = section.string("ClientId").unwrap_or_else(|| "orthanc".to_owned());
    let endpoints = endpoints(section);
    let keycloak = endpoints.as_ref().is_none_or(|endpoints| endpoints.jwks_url.is_some());
    let default_audience = if keycloak { "account".to_owned() } else { client_id.clone() };
    let audiences = section.strings("Audiences").unwrap_or_else(|| vec![default_audience]);
    let token_types = section.strings("TokenTypes");
    if keycloak && token_types.is_some() {
        section.fault("TokenTypes", "is for \"Issuer\" only: Keycloak marks its access tokens by the claim \"typ\"");
    }
    let admin = admin_api(section, keycloak);
    let provider = Provider {
        path: section.path.to_string(),
        accepted_issuers: section.urls("AcceptedIssuers").unwrap_or_default(),
        audiences,
        token_types: token_types.map_or_else(
            || vec!["at+jwt".to_owned(), "application/at+jwt".to_owned()],
            |names| names.iter().map(|name| name.to_lowercase()).collect(),
        ),
        roles_claims: roles_claims(section),
        groups_claim: section
            .string("GroupsClaim")
            .map_or_else(|| vec!["groups".to_owned()], |path| claim_path(section, "GroupsClaim", &path)),
        roles_map: roles_map(section),
        leeway: Duration::from_secs(
            section.integer("LeewaySeconds", 0..=300).and_then(|n| u64::try_from(n).ok()).unwrap_or(10),
        ),
        ca_file: ca_file(section),
        client_id,
        client_secret: client_secret(section, "ClientSecret", "ClientSecretFile"),
        scopes: scopes(section),
        admin: None,
        keycloak,
        clients: Vec::new(),
        issuer: String::new(),
        discovery_url: String::new(),
        jwks_url: None,
    };
    let Endpoints { issuer, discovery_url, jwks_url, admin_url } = endpoints?;
    let admin = admin.map(|admin| match admin.url.is_empty() {
        true => AdminApi { url: admin_url, ..admin },
        false => admin,
    });
    if provider.audiences.is_empty() {
        let place = section.at("Audiences");
        section.reader.warn(
            "AudiencesUnchecked",
            format!("{place} is []: tokens that the provider issued for any other application are accepted"),
            format!("write into {place} what aud or azp of this server's own tokens is, the client's id for instance"),
        );
    }
    Some(Provider { issuer, discovery_url, jwks_url, admin, ..provider })
}

struct Endpoints {
    issuer: String,
    discovery_url: String,
    /// Fixed in Keycloak mode.
    jwks_url: Option<String>,
    /// Keycloak's admin API, unless the configuration names another place; else empty.
    admin_url: String,
}

fn endpoints(section: &Section<'_>) -> Option<Endpoints> {
    const URL: &str = "must be an absolute http or https URL ending in '/'";
    let url = section.string("Url");
    let realm = section.string("Realm");
    let issuer = section.url("Issuer");
    let issuer_given = section.value("Issuer").is_some();
    if let Some(url) = &url {
        let checked = http_url(url, URL);
        let checked =
            checked.and_then(|()| if url.ends_with('/') { Ok(()) } else { Err(format!("{URL}, got {}", shown(url))) });
        if let Err(message) = checked {
            section.fault("Url", message);
        }
    }
    if let Some(realm) = &realm
        && (!realm.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
            || matches!(realm.as_str(), "." | ".."))
    {
        section.fault("Realm", format!("must consist of letters, digits and '-._~', got {}", shown(realm)));
    }
    if issuer_given && (url.is_some() || realm.is_some()) {
        section.fault(
            "Issuer",
            "stands beside \"Url\" or \"Realm\": give Url and Realm for Keycloak, or Issuer for any other provider",
        );
        return None;
    }
    match (url, realm, issuer) {
        (Some(url), Some(realm), _) => {
            let issuer = format!("{url}realms/{realm}");
            Some(Endpoints {
                discovery_url: discovery_url(&issuer),
                jwks_url: Some(format!("{issuer}/protocol/openid-connect/certs")),
                admin_url: format!("{url}admin/realms/{realm}/"),
                issuer,
            })
        }
        (None, None, Some(issuer)) => {
            Some(Endpoints { discovery_url: discovery_url(&issuer), jwks_url: None, admin_url: String::new(), issuer })
        }
        (Some(_), None, _) => {
            missing(section, "Realm", "is required with \"Url\"");
            None
        }
        (None, Some(_), _) => {
            missing(section, "Url", "is required with \"Realm\"");
            None
        }
        (None, None, None) => {
            missing(section, "Url", "is missing: give Url and Realm for Keycloak, or Issuer for any other provider");
            None
        }
    }
}

/// Says that a key is missing, unless it is there and was found wrong.
fn missing(section: &Section<'_>, key: &'static str, message: &str) {
    if section.value(key).is_none() && section.value("Issuer").is_none() {
        section.fault(key, message);
    }
}

fn discovery_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// The secret of a client. One that everybody knows is told, and no fault: it is the provider's to change, too.
fn client_secret(section: &Section<'_>, key: &'static str, file_key: &'static str) -> Option<Secret> {
    let secret = section.secret(key, file_key)?;
    let text = secret.expose();
    if text.to_ascii_lowercase().starts_with("change-me") || text.len() < SHORT_SECRET {
        let place = section.at(key);
        section.reader.warn(
            "WeakClientSecret",
            format!("{place} is a sample, or shorter than {SHORT_SECRET} bytes, and may be guessed"),
            format!(
                "have the provider make a new secret for that client (Keycloak: Credentials), and write it into {place}"
            ),
        );
    }
    Some(secret)
}

/// Keycloak's admin API, which is asked when there is a secret for it. Its URL is filled in later where it is derived.
fn admin_api(section: &Section<'_>, keycloak: bool) -> Option<AdminApi> {
    let url = section.url("AdminUrl");
    let client_id = section.string("AdminClientId").unwrap_or_else(|| "admin-cli".to_owned());
    let given = ["AdminClientSecret", "AdminClientSecretFile"].into_iter().find(|key| section.value(key).is_some());
    let client_secret = client_secret(section, "AdminClientSecret", "AdminClientSecretFile");
    let attribute = section.string("ApiKeyAttribute").unwrap_or_else(|| "api-key".to_owned());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !attribute.bytes().all(plain) {
        section
            .fault("ApiKeyAttribute", format!("must consist of letters, digits and '-_.', got {}", shown(&attribute)));
    }
    let api_keys = section.boolean("EnableApiKeys") == Some(true);
    if !keycloak {
        for key in given.into_iter().chain(api_keys.then_some("EnableApiKeys")) {
            section.fault(key, "is for \"Url\" and \"Realm\" only: other providers have no such admin API");
        }
        return None;
    }
    if api_keys && given.is_none() {
        section.fault(
            "EnableApiKeys",
            "needs \"AdminClientSecret\" or \"AdminClientSecretFile\", to ask Keycloak whose they are",
        );
    }
    let url = url.map(|url| format!("{}/", url.trim_end_matches('/'))).unwrap_or_default();
    Some(AdminApi { url, client_id, client_secret: client_secret?, api_key_attribute: api_keys.then_some(attribute) })
}

/// Without `openid` a provider gives no ID token.
fn scopes(section: &Section<'_>) -> Vec<String> {
    const KEY: &str = "Scopes";
    let mut scopes = section.strings(KEY).unwrap_or_else(|| vec!["openid".to_owned(), "profile".to_owned()]);
    for scope in &scopes {
        if !scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
            section.fault(KEY, format!("must be names of scopes, got {}", shown(scope)));
        }
    }
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    scopes
}

fn roles_claims(section: &Section<'_>) -> Vec<Vec<String>> {
    const KEY: &str = "RolesClaims";
    let Some(elements) = section.list(KEY) else {
        return vec![vec!["realm_access".to_owned(), "roles".to_owned()]];
    };
    let mut claims = Vec::new();
    for (path, element) in elements {
        match element {
            // A claim whose name holds dots, like a URL, is given as the list of its steps.
            Value::Array(steps) if !steps.is_empty() => {
                let steps = steps.iter().enumerate();
                claims
                    .push(steps.filter_map(|(index, step)| text(section.reader, &path.element(index), step)).collect());
            }
            _ => {
                if let Some(claim) = text(section.reader, &path, element) {
                    let steps: Vec<String> = claim.split('.').map(str::to_owned).collect();
                    if steps.iter().any(String::is_empty) {
                        section.reader.fault(path, format!("must be names separated by dots, got {}", shown(&claim)));
                    }
                    claims.push(steps);
                }
            }
        }
    }
    claims
}

fn claim_path(section: &Section<'_>, key: &'static str, claim: &str) -> Vec<String> {
    let steps: Vec<String> = claim.split('.').map(str::to_owned).collect();
    if steps.iter().any(String::is_empty) {
        section.fault(key, format!("must be names separated by dots, got {}", shown(claim)));
    }
    steps
}

/// Provider's role -> our roles, one or a list.
fn roles_map(section: &Section<'_>) -> Option<BTreeMap<String, Vec<String>>> {
    const KEY: &str = "RolesMap";
    let given = section.value(KEY).is_some();
    let mut map = BTreeMap::new();
    for (name, path, value) in section.members_of(KEY) {
        let roles = match value {
            Value::Array(roles) => {
                let roles = roles.iter().enumerate();
                roles.filter_map(|(index, role)| text(section.reader, &path.element(index), role)).collect()
            }
            Value::String(_) => text(section.reader, &path, value).into_iter().collect(),
            other => {
                section.reader.fault(path, format!("must be a role or a list of roles, got {}", kind(other)));
                Vec::new()
            }
        };
        map.insert(name, roles);
    }
    given.then_some(map)
}

fn ca_file(section: &Section<'_>) -> Option<PathBuf> {
    const KEY: &str = "CaFile";
    let file = section.string(KEY)?;
    if !section.file(KEY, &file)?.contains("-----BEGIN CERTIFICATE-----") {
        section.fault(KEY, format!("the file {} holds no PEM certificate", shown(&file)));
    }
    Some(section.reader.resolve(&file))
}
