//! What refused tokens show of the set-up, and accepted ones whose roles give nothing.

use super::{Finding, Severity};
use crate::clock::UnixTime;
use crate::config::Provider;
use crate::identity::directory::is_keycloaks_own;
use crate::identity::oidc::{Notice, NoticedTokens};
use crate::policy::roles::Roles;
use crate::share::date;

/// What was seen longer ago may be mended since; seconds.
const FRESH: i64 = 86_400;

fn is_fresh(notice: &Notice, now: UnixTime) -> bool {
    notice.count > 0 && notice.last.plus(FRESH) >= now
}

/// How often and when, as the ending of a sentence.
fn times(notice: &Notice) -> String {
    let count = if notice.count == 1 { "once".to_owned() } else { format!("{} times", notice.count) };
    format!("{count}, last at {}", date::format(notice.last))
}

pub(super) fn findings(config: &Provider, noticed: &NoticedTokens, roles: &Roles, now: UnixTime) -> Vec<Finding> {
    let path = &config.path;
    let mut findings = Vec::new();
    let mut add = |notice: &Notice, severity, code, key: &str, message: String, change: String| {
        if is_fresh(notice, now) {
            let message = format!("{message} ({})", times(notice));
            findings.push(Finding::new(severity, code, format!("{path}{key}"), message, change));
        }
    };
    let issuer = &noticed.issuer.shown;
    add(
        &noticed.issuer,
        Severity::Error,
        "IssuerNotAccepted",
        ".AcceptedIssuers",
        format!(
            "{path}: tokens that this provider signed were refused, because they name the issuer \"{issuer}\", and accepted are {}",
            quoted(std::iter::once(&config.issuer).chain(&config.accepted_issuers))
        ),
        format!("\"AcceptedIssuers\": [\"{issuer}\"] in {path}; or give Keycloak one name for all (KC_HOSTNAME)"),
    );
    add(
        &noticed.audience,
        Severity::Error,
        "AudienceNotAccepted",
        ".Audiences",
        format!(
            "{path}: tokens were refused as made for somebody else: they have {}, and accepted are {}",
            noticed.audience.shown,
            quoted(&config.audiences)
        ),
        format!(
            "if they are meant for this server, add what aud or azp holds to {path}.Audiences, or have the provider add an accepted one (Keycloak: an audience mapper in a client scope)"
        ),
    );
    add(
        &noticed.not_yet,
        Severity::Error,
        "TokensFromTheFuture",
        ".LeewaySeconds",
        format!("{path}: tokens were refused as not valid yet: {}", noticed.not_yet.shown),
        "set the clocks of this server and the provider by NTP; this one's is behind".to_owned(),
    );
    let kind_change = if config.keycloak {
        "let the client send the access token, in place of the ID or refresh token".to_owned()
    } else {
        format!(
            "let the client send the access token; a provider that does not mark those needs its header typ in {path}.TokenTypes"
        )
    };
    add(
        &noticed.kind,
        Severity::Warning,
        "NoAccessTokens",
        ".TokenTypes",
        format!("{path}: tokens were refused as no access tokens: {}", noticed.kind.shown),
        kind_change,
    );
    let claims: Vec<String> = config.roles_claims.iter().map(|steps| steps.join(".")).collect();
    let map = if config.roles_map.is_some() { ", or none that RolesMap names" } else { "" };
    add(
        &noticed.no_roles,
        Severity::Warning,
        "NoRolesInTokens",
        ".RolesClaims",
        format!("{path}: people came whose tokens have no role at {}{map}: they may do nothing", claims.join(", ")),
        format!(
            "give them roles in the provider, have it put roles into access tokens (Keycloak: client scope \"roles\"), or write where they are into {path}.RolesClaims"
        ),
    );
    add(
        &noticed.no_known_role,
        Severity::Warning,
        "NoKnownRole",
        ".RolesClaims",
        format!(
            "{path}: people came whose roles the roles file does not know, so they may do nothing: {}",
            noticed.no_known_role.shown
        ),
        format!("add the roles that should count to the roles file, or translate them in {path}.RolesMap"),
    );
    add(
        &noticed.login,
        Severity::Warning,
        "LoginFailed",
        ".ClientId",
        format!(
            "{path}: browsers came back from the provider, and the login failed all the same: {}",
            noticed.login.shown
        ),
        format!("compare {path}.ClientId, ClientSecret and Scopes with the client in the provider; its log says more"),
    );
    add(
        &noticed.unknown_keys,
        Severity::Info,
        "UnknownKeys",
        "",
        format!("{path}: tokens in this provider's name were refused, because it has no such key"),
        "nothing, when users get in: anybody can send such tokens. Else two providers share a name: Url must lead to the one where users log in".to_owned(),
    );
    findings.extend(unknown_roles(path, &noticed.roles, roles, now));
    findings
}

fn unknown_roles(path: &str, noticed: &[Notice], roles: &Roles, now: UnixTime) -> Option<Finding> {
    let mut names: Vec<&String> = noticed
        .iter()
        .filter(|notice| {
            is_fresh(notice, now) && !is_keycloaks_own(&notice.shown) && !roles.roles.contains_key(&notice.shown)
        })
        .map(|notice| &notice.shown)
        .collect();
    names.sort();
    (!names.is_empty()).then(|| {
        Finding::new(
            Severity::Info,
            "UnknownRoles",
            format!("{path}.RolesClaims"),
            format!(
                "{path}: tokens carry roles that the roles file does not know, so they give nothing: {}",
                quoted(names)
            ),
            "nothing, when they belong to other applications; else add them to the roles file",
        )
    })
}

/// Issuers that nobody vouches for: of another realm, or made up.
pub(super) fn strangers(providers: &[Provider], strangers: &[Notice], now: UnixTime) -> Vec<Finding> {
    let accepted = || quoted(providers.iter().map(|provider| &provider.issuer));
    let finding = |notice: &Notice| {
        Finding::new(
            Severity::Info,
            "UnknownIssuer",
            "Authorization.Keycloak",
            format!(
                "tokens of the issuer \"{}\" were refused; no configured provider ({}) signed them ({})",
                notice.shown,
                accepted(),
                times(notice)
            ),
            "nothing, when users get in: anybody can send such tokens. Else users log in at another provider or realm than the configured one: correct Authorization.Keycloak, or add that provider to it",
        )
    };
    let mut findings: Vec<Finding> = strangers.iter().filter(|notice| is_fresh(notice, now)).map(finding).collect();
    findings.sort_by(|left, right| left.message.cmp(&right.message));
    findings
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("\"{name}\"")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
