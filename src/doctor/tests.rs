//! What the findings say, and that their list in the documentation is whole.

use std::collections::BTreeSet;

use super::*;
use crate::config::{self, ProcessEnvironment};
use crate::identity::oidc::{ClientReport, Failure, Notice, NoticedTokens, ProviderHealth, Verdict};
use crate::policy::roles::Roles;
use serde_json::{Value, json};

fn config(more: Value) -> Config {
    let mut orthanc = json!({"DicomServerEnabled": false, "Authorization": {
        "Keycloak": {"Url": "http://keycloak:8080/", "Realm": "orthanc"},
        "Roles": {"doctor-role": {"permissions": ["view"], "authorized-labels": ["*"]}},
    }});
    for (name, value) in more.as_object().unwrap() {
        match (name.as_str(), value) {
            ("Authorization", Value::Object(members)) => {
                orthanc["Authorization"].as_object_mut().unwrap().extend(members.clone());
            }
            _ => orthanc[name] = value.clone(),
        }
    }
    config::read(&orthanc.to_string(), &ProcessEnvironment::new(None)).unwrap().unwrap()
}

fn health() -> ProviderHealth {
    ProviderHealth {
        path: "Authorization.Keycloak".to_owned(),
        issuer: "http://keycloak:8080/realms/orthanc".to_owned(),
        shown_issuer: Some("https://pacs.example/keycloak/realms/orthanc".to_owned()),
        last_success: Some(UnixTime(1_700_000_000)),
        last_error: None,
        discovery_error: None,
        keys: 2,
        attempted: true,
        clock_ahead: Some(0),
        clients: Vec::new(),
    }
}

fn codes(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn the_dicom_port_is_as_bad_as_what_it_lets_everybody_do() {
    let severity = |more: Value| {
        let findings = setup::findings(&config(more));
        findings.iter().find(|finding| finding.code == "DicomPortOpen").map(|finding| finding.severity)
    };
    assert_eq!(severity(json!({})), None);
    assert_eq!(severity(json!({"DicomServerEnabled": true})), Some(Severity::Warning));
    let open = json!({"DicomServerEnabled": true, "DicomAlwaysAllowGet": true});
    assert_eq!(severity(open), Some(Severity::Error));
    let guarded = json!({"DicomServerEnabled": true, "DicomAlwaysAllowGet": true, "DicomTlsEnabled": true});
    assert_eq!(severity(guarded), Some(Severity::Info));
}

#[test]
fn what_the_configuration_shows() {
    for (more, expected) in [
        (json!({}), vec![]),
        (json!({"Authorization": {"Roles": null}}), vec!["NoRolesDefined"]),
        (json!({"Authorization": {"Keycloak": null}}), vec!["NobodyCanLogIn"]),
        (json!({"Authorization": {"Login": {"Enable": true}}}), vec!["PublicUrlMissing"]),
        (json!({"Authorization": {"PublicUrl": "http://pacs.example/"}}), vec!["PublicUrlWithoutHttps"]),
        (json!({"Authorization": {"PublicUrl": "http://localhost:8042/"}}), vec![]),
        (json!({"Authorization": {"PublicUrl": "https://pacs.example/"}}), vec!["NoTrustedProxies"]),
        (json!({"SslEnabled": true, "Authorization": {"PublicUrl": "https://pacs.example/"}}), vec![]),
        (json!({"Authorization": {"PublicUrl": "https://pacs.example/", "TrustedProxies": ["10.0.0.1"]}}), vec![]),
    ] {
        assert_eq!(codes(&setup::findings(&config(more.clone()))), expected, "{more}");
    }
}

#[test]
fn ohif_elsewhere_has_to_be_launched() {
    let found = |shares: Value| codes(&setup::findings(&config(json!({"Authorization": {"Shares": shares}})))).len();
    let elsewhere = json!({"PublicOhifRoot": "https://viewer.example/ohif/"});
    assert_eq!(found(elsewhere.clone()), 1);
    let finding = setup::findings(&config(json!({"Authorization": {"Shares": elsewhere}}))).remove(0);
    assert_eq!((finding.code, finding.severity), ("ViewerOriginMissing", Severity::Warning));
    assert!(finding.change.contains("[\"https://viewer.example\"]"), "{finding}");
    assert_eq!(found(json!({"PublicOhifRoot": "http://localhost:8042/ohif/"})), 0);
    let named = json!({
        "PublicOhifRoot": "https://viewer.example/ohif/", "ViewerOrigins": ["https://viewer.example"],
        "ViewerRedirectUris": ["https://viewer.example/ohif/callback"],
    });
    assert_eq!(found(named), 0);
}

#[test]
fn roles_that_nobody_defined_are_found_wherever_they_stand() {
    let config = config(json!({"Authorization": {
        "Shares": {"Defaults": {"docter-role": {"Pin": true, "Enforce": true}, "guest": {"Pin": true}, "doctor-role": {"Pin": true}}},
        "UploadLabels": {"role:doctor-rol": ["a"], "user:guest": ["b"]},
    }}));
    let roles = Roles::parse(r#"{"roles": {"doctor-role": {"permissions": ["view", "downlaod"]}}}"#).unwrap();
    let findings = setup::unknown_roles(&setup::assigned_roles(&config), &roles);
    let shown: Vec<(Severity, &str)> = findings.iter().map(|one| (one.severity, &*one.key)).collect();
    assert_eq!(
        shown,
        [
            (Severity::Error, "Authorization.Shares.Defaults.docter-role"),
            (Severity::Warning, "Authorization.Shares.Defaults.guest"),
            (Severity::Warning, "Authorization.UploadLabels.role:doctor-rol"),
        ]
    );
    assert!(findings[0].message.ends_with("docter-role (did you mean \"doctor-role\"?)"), "{}", findings[0]);
    assert!(findings[0].message.contains("nothing is enforced"), "{}", findings[0]);

    let permission = setup::unknown_permissions(&roles, &BTreeSet::new()).unwrap();
    assert_eq!(permission.code, "UnknownPermission");
    let said = "roles.doctor-role.permissions[1]: unknown permission \"downlaod\", did you mean \"download\"?";
    assert!(permission.message.contains(said), "{permission}");
    let in_rules = BTreeSet::from(["downlaod".to_owned()]);
    assert_eq!(setup::unknown_permissions(&roles, &in_rules), None);
}

#[test]
fn what_the_provider_shows() {
    let config = config(json!({})).providers.remove(0);
    let found = |change: fn(&mut ProviderHealth)| {
        let mut health = health();
        change(&mut health);
        provider::findings(&config, &health)
    };
    let failure =
        |error: &str| Failure { url: "http://keycloak:8080/x".to_owned(), error: error.to_owned(), since: UnixTime(0) };
    assert_eq!(found(|_| ()), []);
    assert_eq!(
        codes(&found(|health| health.clock_ahead = Some(-11))),
        [] as [&str; 0],
        "within the leeway and a second"
    );
    assert_eq!(codes(&found(|health| health.clock_ahead = Some(-12))), ["ClockSkew"]);
    assert_eq!(
        codes(&found(|health| health.shown_issuer = Some("http://pacs.example/realms/orthanc".to_owned()))),
        ["ProviderWithoutHttps"]
    );
    let mut away = health();
    away.last_error = Some(failure("refused"));
    assert_eq!(provider::findings(&config, &away)[0].severity, Severity::Warning);
    away.keys = 0;
    let finding = provider::findings(&config, &away).remove(0);
    assert_eq!((finding.severity, finding.code), (Severity::Error, "KeysUnreachable"));
    assert!(finding.message.contains("since 1970-01-01T00:00:00+00:00"), "{finding}");
    away.last_error = Some(failure("the key set answered with HTTP status 403: HTTPS required"));
    assert_eq!(codes(&provider::findings(&config, &away)), ["HttpsRequired"]);
}

#[test]
fn what_the_provider_says_of_the_client() {
    let config = config(json!({})).providers.remove(0);
    let said = || "said".to_owned();
    for (login, exchange, has_secret, expected) in [
        (Verdict::Fine, Verdict::Fine, false, vec![]),
        (Verdict::Fine, Verdict::Secret(said()), false, vec!["ClientNotPublic"]),
        (Verdict::Fine, Verdict::Secret(said()), true, vec!["ClientSecretWrong"]),
        (Verdict::RedirectUri(said()), Verdict::Secret(said()), false, vec!["RedirectUriRefused", "ClientNotPublic"]),
        // Of a client that is not known, a provider says that its secret is wrong.
        (Verdict::UnknownClient(said()), Verdict::Secret(said()), false, vec!["UnknownClient"]),
        (Verdict::HttpsRequired(said()), Verdict::HttpsRequired(said()), false, vec!["HttpsRequired"]),
        (Verdict::Refused(said()), Verdict::Fine, false, vec!["LoginRefused"]),
        (Verdict::Unknown(said()), Verdict::Unknown(said()), false, vec!["LoginUnchecked"]),
    ] {
        let client = ClientReport {
            place: "Authorization.Keycloak.ClientId".to_owned(),
            client_id: "orthanc".to_owned(),
            redirect_uri: "https://pacs.example/auth/callback".to_owned(),
            has_secret,
            login,
            exchange,
            at: UnixTime(0),
        };
        let health = ProviderHealth { clients: vec![client.clone()], ..health() };
        assert_eq!(codes(&provider::findings(&config, &health)), expected, "{client:?}");
    }
}

#[test]
fn orthanc_explorer_2_must_send_users_where_tokens_are_accepted() {
    let of = |url: &str, more: Value, shown: Option<&str>| {
        let explorer = json!({"Keycloak": {"Enable": true, "Url": url, "Realm": "orthanc", "ClientId": "orthanc"}});
        let config = config(json!({"OrthancExplorer2": explorer, "Authorization": more}));
        let health = ProviderHealth { shown_issuer: shown.map(str::to_owned), ..health() };
        provider::explorer(config.explorer_login.as_ref().unwrap(), &config.providers, &[health])
    };
    let (inner, outer) = ("http://keycloak:8080/realms/orthanc", "https://pacs.example/keycloak");
    assert_eq!(of("http://keycloak:8080/", json!({}), Some(inner)), None);
    // A Keycloak without a name of its own calls itself as it is asked.
    let finding = of(outer, json!({}), Some(inner)).unwrap();
    assert!(finding.change.contains("[\"https://pacs.example/keycloak/realms/orthanc\"]"), "{finding}");
    let accepted = json!({"Keycloak": {
        "Url": "http://keycloak:8080/", "Realm": "orthanc", "AcceptedIssuers": [format!("{outer}/realms/orthanc")],
    }});
    assert_eq!(of(outer, accepted, Some(inner)), None);
    // One with a name of its own has that one in every token.
    assert_eq!(of("https://other.example/", json!({}), Some("https://pacs.example/keycloak/realms/orthanc")), None);
    assert_eq!(of(outer, json!({}), None), None, "not known yet");
}

#[test]
fn what_tokens_showed_is_left_out_after_a_day() {
    let config = config(json!({})).providers.remove(0);
    let seen = UnixTime(1_700_000_000);
    let notice = Notice { count: 3, last: seen, shown: "https://outer.example".to_owned() };
    let noticed = NoticedTokens { issuer: notice, ..NoticedTokens::default() };
    let at = |now| codes(&tokens::findings(&config, &noticed, &Roles::default(), now)).len();
    assert_eq!((at(seen), at(seen.plus(86_400)), at(seen.plus(86_401))), (1, 1, 0));
}

#[test]
fn every_finding_is_documented_and_every_documented_one_there() {
    let document = include_str!("../../docs/operations.md");
    let (_, rest) = document.split_once("<!-- findings -->").unwrap();
    let (table, _) = rest.split_once("<!-- end of findings -->").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: BTreeSet<&str> = rows.map(|(code, _)| code).collect();

    let doctor =
        [include_str!("setup.rs"), include_str!("provider.rs"), include_str!("tokens.rs"), include_str!("state.rs")];
    let configuration = [
        include_str!("../config/emails.rs"),
        include_str!("../config/providers.rs"),
        include_str!("../config/rules.rs"),
        include_str!("../config/shares.rs"),
        include_str!("../config/users.rs"),
        include_str!("../config/viewers.rs"),
    ];
    let mut codes = BTreeSet::new();
    let mut gather = |text: &'static str, marks: &[&str]| {
        for mark in marks {
            let after =
                text.split(mark).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'));
            codes.extend(after.map(|(code, _)| code).filter(|code| !code.contains(' ')));
        }
    };
    for text in doctor {
        gather(text, &["Severity::Error,", "Severity::Warning,", "Severity::Info,", "severity,", "error("]);
    }
    for text in configuration {
        gather(text, &[".warn("]);
    }
    assert_eq!(codes, documented);
}
