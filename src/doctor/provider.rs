//! What the background thread's last attempts show of a provider: reachable or not, its clock, its names, and what it
//! thinks of our clients.

use super::setup::is_local;
use super::{Finding, Severity};
use crate::config::{ExplorerLogin, Provider};
use crate::identity::directory::AdminTrouble;
use crate::identity::oidc::{ClientReport, Failure, ProviderHealth, Verdict};
use crate::share::date;

pub(super) fn findings(config: &Provider, health: &ProviderHealth) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(failure) = &health.last_error {
        findings.push(keys(config, health, failure));
    }
    if let Some(failure) = &health.discovery_error {
        findings.push(discovery(config, failure));
    }
    findings.extend(health.clock_ahead.and_then(|ahead| clock(config, ahead)));
    findings.extend(browsers(config, health));
    for client in &health.clients {
        findings.extend(client_findings(config, client));
    }
    findings
}

fn needs_https(error: &str) -> bool {
    error.to_ascii_lowercase().contains("https required")
}

fn https(key: &str, message: String) -> Finding {
    Finding::new(
        Severity::Error,
        "HttpsRequired",
        key,
        message,
        "the realm's \"Require SSL\" (sslRequired) refuses plain http: let this server reach Keycloak over https (Url, CaFile), or, where the network between the two is trusted, set it to \"external requests\", or \"none\"; a proxy before Keycloak must send X-Forwarded-Proto, and Keycloak believe it (KC_PROXY_HEADERS=xforwarded)",
    )
}

fn keys(config: &Provider, health: &ProviderHealth, failure: &Failure) -> Finding {
    let path = &config.path;
    let Failure { url, error, since } = failure;
    let since = date::format(*since);
    if needs_https(error) {
        return https(path, format!("{path}: the provider's keys cannot be fetched from {url} since {since}: {error}"));
    }
    let (severity, effect) = match health.keys {
        0 => (Severity::Error, "no token can be verified, so nobody of this provider is let in".to_owned()),
        keys => (Severity::Warning, format!("the {keys} keys that were fetched last stay in force")),
    };
    let place = if config.keycloak {
        format!("{path}.Url, or {path}.Realm (capital letters count)")
    } else {
        format!("{path}.Issuer")
    };
    let change = format!(
        "let this server reach that address (curl {url} from its machine or container), or correct {place}{}",
        if url.starts_with("https://") { "; a certificate of the site's own authority needs CaFile" } else { "" }
    );
    Finding::new(
        severity,
        "KeysUnreachable",
        path,
        format!("{path}: the provider's keys cannot be fetched from {url} since {since}: {error}; {effect}"),
        change,
    )
}

fn discovery(config: &Provider, failure: &Failure) -> Finding {
    let path = &config.path;
    let Failure { url, error, since } = failure;
    let message = format!(
        "{path}: the provider's discovery document cannot be read at {url} since {}: {error}; tokens whose iss is another than the configured ones are refused",
        date::format(*since)
    );
    if needs_https(error) {
        return https(path, message);
    }
    let change = format!(
        "let this server reach that address, or write the provider's public issuer into {path}.AcceptedIssuers"
    );
    Finding::new(Severity::Warning, "DiscoveryUnreachable", path, message, change).logged_elsewhere()
}

fn clock(config: &Provider, ahead: i64) -> Option<Finding> {
    let leeway = i64::try_from(config.leeway.as_secs()).unwrap_or(i64::MAX);
    // The header counts whole seconds.
    if ahead.saturating_abs() <= leeway.saturating_add(1) {
        return None;
    }
    let path = &config.path;
    let (direction, effect) = if ahead > 0 {
        ("ahead of", "its fresh tokens are refused as not valid yet")
    } else {
        ("behind", "its tokens end too early here")
    };
    Some(Finding::new(
        Severity::Error,
        "ClockSkew",
        path,
        format!("{path}: the provider's clock is {} s {direction} this server's: {effect}", ahead.saturating_abs()),
        format!("set both clocks by NTP; {path}.LeewaySeconds ({leeway}) allows for a small difference only"),
    ))
}

/// Plain http where browsers go: tokens in the clear, and Keycloak's default refuses it from other networks.
fn browsers(config: &Provider, health: &ProviderHealth) -> Option<Finding> {
    let issuer = health.shown_issuer.as_deref()?;
    if issuer == config.issuer || !issuer.starts_with("http://") || is_local(issuer) {
        return None;
    }
    Some(Finding::new(
        Severity::Warning,
        "ProviderWithoutHttps",
        &config.path,
        format!(
            "{}: the provider calls itself {issuer}: browsers log in without HTTPS, which Keycloak refuses to those of other networks (sslRequired \"external\")",
            config.path
        ),
        "give Keycloak an https address (KC_HOSTNAME)",
    ))
}

fn client_findings(config: &Provider, client: &ClientReport) -> Vec<Finding> {
    let ClientReport { place, client_id, redirect_uri, .. } = client;
    let path = &config.path;
    let error =
        |code, message: String, change: String| Some(Finding::new(Severity::Error, code, place, message, change));
    let login = match &client.login {
        Verdict::Fine => None,
        Verdict::UnknownClient(said) => error(
            "UnknownClient",
            format!(
                "{path}: the provider does not know the client \"{client_id}\", or it is switched off there ({said})"
            ),
            format!("make the client \"{client_id}\" in the provider (Keycloak: Clients), or correct {place}"),
        ),
        Verdict::RedirectUri(said) => error(
            "RedirectUriRefused",
            format!(
                "{path}: the provider does not send browsers back to {redirect_uri} ({said}), so nobody can log in"
            ),
            format!(
                "add {redirect_uri} to the valid redirect URIs of the client \"{client_id}\" in the provider, or correct Authorization.PublicUrl"
            ),
        ),
        Verdict::HttpsRequired(said) => {
            Some(https(place, format!("{path}: the provider refuses logins without HTTPS ({said})")))
        }
        Verdict::Secret(said) | Verdict::Refused(said) => error(
            "LoginRefused",
            format!("{path}: the provider refuses a login with the client \"{client_id}\": {said}"),
            format!(
                "look at the client \"{client_id}\" in the provider (Keycloak: standard flow on, PKCE S256), and at the provider's log"
            ),
        ),
        Verdict::Unknown(said) => Some(Finding::new(
            Severity::Info,
            "LoginUnchecked",
            place,
            format!("{path}: whether the provider accepts the client \"{client_id}\" could not be seen: {said}"),
            "nothing, when logins work",
        )),
    };
    let exchange = match (&client.exchange, client.has_secret) {
        (Verdict::Secret(said), false) => error(
            "ClientNotPublic",
            format!("{path}: the provider wants a secret from the client \"{client_id}\", and there is none ({said})"),
            format!(
                "make the client public in the provider (Keycloak: client authentication off), or, for the login gate, give {path}.ClientSecret"
            ),
        ),
        (Verdict::Secret(said), true) => error(
            "ClientSecretWrong",
            format!("{path}: the provider does not accept the secret of the client \"{client_id}\" ({said})"),
            format!("write the client's secret from the provider into {path}.ClientSecret or ClientSecretFile"),
        ),
        _ => None,
    };
    // A client that is not known has no secret either: one finding is enough.
    let exchange = exchange.filter(|_| !matches!(client.login, Verdict::UnknownClient(_) | Verdict::HttpsRequired(_)));
    login.into_iter().chain(exchange).collect()
}

/// Keycloak's admin API, where its keys can be had: else that says enough.
pub(super) fn admin_apis<'a>(
    troubles: &'a [AdminTrouble],
    providers: &'a [Provider],
    health: &'a [ProviderHealth],
) -> impl Iterator<Item = Finding> + 'a {
    let answers = move |path: &str| {
        let mut known = providers.iter().zip(health);
        known.any(|(provider, health)| provider.path == path && health.last_error.is_none())
    };
    troubles.iter().filter(move |trouble| answers(&trouble.path)).map(|AdminTrouble { path, cause, has_keys }| {
        let (severity, effect) = if *has_keys {
            (Severity::Error, "API keys that Keycloak keeps are refused, and what it has taken from people is not seen")
        } else {
            (Severity::Warning, "what Keycloak has taken from people is not seen until they come with a new token")
        };
        Finding::new(
            severity,
            "AdminApiUnusable",
            format!("{path}.AdminClientSecret"),
            format!("{path}: Keycloak's admin API cannot be asked: {cause}; {effect}"),
            format!("look at the service account in Keycloak (client authentication and service accounts roles on; roles view-users and view-realm of realm-management), and write its secret into {path}.AdminClientSecret or AdminClientSecretFile"),
        )
    })
}

/// Orthanc Explorer 2 sends browsers to an address whose tokens would be refused here.
pub(super) fn explorer(login: &ExplorerLogin, providers: &[Provider], health: &[ProviderHealth]) -> Option<Finding> {
    let issuer = login.issuer();
    let accepts = |(provider, health): (&Provider, &ProviderHealth)| {
        // A provider with a name of its own calls itself by that one, wherever it is reached.
        let has_a_name = health.shown_issuer.as_ref().is_some_and(|shown| *shown != provider.issuer);
        provider.issuer == issuer
            || provider.accepted_issuers.contains(&issuer)
            || health.shown_issuer.as_ref() == Some(&issuer)
            || (provider.keycloak && has_a_name)
            // Not known yet.
            || (provider.keycloak && health.shown_issuer.is_none())
    };
    if providers.iter().zip(health).any(accepts) {
        return None;
    }
    let path = providers.first().map_or("Authorization.Keycloak", |provider| provider.path.as_str());
    Some(Finding::new(
        Severity::Error,
        "ExplorerIssuerNotAccepted",
        "OrthancExplorer2.Keycloak.Url",
        format!("Orthanc Explorer 2 lets users log in at {issuer}, and tokens of that issuer are refused here"),
        format!("\"AcceptedIssuers\": [\"{issuer}\"] in {path}; or give Keycloak one name for all (KC_HOSTNAME)"),
    ))
}
