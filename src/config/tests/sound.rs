//! What a sound configuration becomes.

use std::time::Duration;

use serde_json::json;

use super::super::patterns::{Roots, compile, expand};
use super::super::{AnonymousProfile, RolesSource, RuleTouches, SmtpTls, Uploader};
use super::*;
use crate::clock::UnixTime;
use crate::host::Method;
use crate::resource::Level;

#[test]
fn nothing_to_do_without_the_section() {
    for text in [
        "{}",
        r#"{"Authorization": null}"#,
        r#"{"Authorization": {"Enable": false, "Oops": 1}, "AuthenticationEnabled": true}"#,
    ] {
        assert!(matches!(read(text, &Fake::default()), Ok(None)), "{text}");
    }
    let switched_off = json!({
        "Authorization": {"Enable": false}, "RemoteAccessAllowed": true, "AuthenticationEnabled": false,
        "Authentication": {}, "Authors": {},
    });
    assert!(matches!(read(&switched_off.to_string(), &Fake::default()), Ok(None)));
}

#[test]
fn an_empty_section_gives_nobody_anything() {
    let config = section(json!({"WebServiceRootUrl": ""})).unwrap();
    assert!(config.providers.is_empty() && config.users.is_empty());
    assert_eq!(config.anonymous, AnonymousProfile { name: "Anonymous".to_owned(), ..AnonymousProfile::default() });
    assert_eq!(config.roles, RolesSource::None);
    assert_eq!(
        (config.dicom_web_root.as_str(), config.wado_root.as_str(), config.oe2_root.as_str()),
        ("/dicom-web/", "/wado", "/ui/")
    );
    assert_eq!(config.sqlite, Path::new("OrthancStorage/authorization.db"));
    assert_eq!(config.labels_validity, Duration::from_secs(1));
    assert_eq!(config.shares.public_orthanc_root.as_deref(), Some("http://localhost:8042/"));
    assert!(!config.shares.accept_unrecorded && config.dicom_server_enabled && config.warnings.is_empty());
    assert!(config.unchecked_folders.is_empty() && config.unchecked_resources.is_empty());
    assert!(!config.rules.is_empty());
}

#[test]
fn keycloak_urls_are_derived() {
    let config = section(json!({"Keycloak": {"Url": "http://keycloak:8080/", "Realm": "orthanc"}})).unwrap();
    let provider = &config.providers[0];
    assert!(provider.keycloak);
    assert_eq!(provider.path, "Authorization.Keycloak");
    assert_eq!(provider.issuer, "http://keycloak:8080/realms/orthanc");
    assert_eq!(provider.discovery_url, "http://keycloak:8080/realms/orthanc/.well-known/openid-configuration");
    assert_eq!(provider.jwks_url.as_deref(), Some("http://keycloak:8080/realms/orthanc/protocol/openid-connect/certs"));
    assert_eq!(provider.audiences, ["account"]);
    assert_eq!(provider.roles_claims, [["realm_access", "roles"]]);
    assert_eq!(provider.groups_claim, ["groups"]);
    assert_eq!(provider.leeway, Duration::from_secs(10));
    assert_eq!(provider.roles_map, None);
}

#[test]
fn keycloaks_admin_api_is_below_the_same_url_unless_said_otherwise() {
    let admin = |more: serde_json::Value| {
        let mut provider = json!({"Url": "http://keycloak:8080/", "Realm": "orthanc"});
        provider.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        section(json!({"Keycloak": provider})).unwrap().providers[0].admin.clone()
    };
    assert!(
        admin(json!({"AdminUrl": "http://keycloak:8080/admin/realms/orthanc/"})).is_none(),
        "no secret, no questions"
    );
    let keys = admin(json!({"AdminClientSecret": "s", "EnableApiKeys": true})).unwrap();
    assert_eq!(keys.url, "http://keycloak:8080/admin/realms/orthanc/");
    assert_eq!((keys.client_id.as_str(), keys.client_secret.expose()), ("admin-cli", "s"));
    assert_eq!(keys.api_key_attribute.as_deref(), Some("api-key"));
    let other = admin(json!({
        "AdminClientSecret": "s", "AdminUrl": "https://inner/admin/realms/r", "AdminClientId": "pacs",
    }))
    .unwrap();
    assert_eq!((other.url.as_str(), other.client_id.as_str()), ("https://inner/admin/realms/r/", "pacs"));
    assert_eq!(other.api_key_attribute, None);
}

#[test]
fn other_providers_are_discovered() {
    let config = section(json!({"Keycloak": [
        {"Issuer": "https://login.example/", "ClientId": "pacs", "TokenTypes": ["JWT"], "RolesClaims": ["groups", ["https://x.y/roles"]]},
        {"Issuer": "https://b.example", "RolesMap": {"admins": "admin-role", "all": ["a", "b"]}, "Audiences": []},
    ]}))
    .unwrap();
    let [first, second] = config.providers.as_slice() else { panic!("two providers") };
    assert!(!first.keycloak && first.jwks_url.is_none());
    assert_eq!(first.issuer, "https://login.example/");
    assert_eq!(first.discovery_url, "https://login.example/.well-known/openid-configuration");
    assert_eq!(
        (first.audiences.as_slice(), first.token_types.as_slice()),
        (["pacs".to_owned()].as_slice(), ["jwt".to_owned()].as_slice())
    );
    assert_eq!(first.roles_claims, [["groups"], ["https://x.y/roles"]]);
    assert_eq!(second.path, "Authorization.Keycloak[1]");
    assert_eq!(second.token_types, ["at+jwt", "application/at+jwt"]);
    assert_eq!(second.roles_map.as_ref().unwrap()["all"], ["a", "b"]);
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
}

#[test]
fn roots_are_followed() {
    let text = json!({
        "Authorization": {"StandardConfigurations": ["orthanc-explorer-2", "stone-webviewer"], "UncheckedFolders": ["/own"], "UncheckedResources": ["/system", "/x"],
            "PublicUrl": "https://pacs.example/orthanc"},
        "OrthancExplorer2": {"Root": "explorer"}, "DicomWeb": {"Root": "/pacs/dicomweb", "WadoRoot": "wado2/"},
        "StorageDirectory": "/var/lib/orthanc", "AuthenticationEnabled": false, "RemoteAccessAllowed": true, "DicomServerEnabled": false,
    });
    let config = read(&text.to_string(), &Fake::default()).unwrap().unwrap();
    assert_eq!(config.unchecked_folders, ["/explorer/app/", "/explorer/landing/", "/own/", "/stone-webviewer/"]);
    assert_eq!(
        config.unchecked_resources,
        [
            "/",
            "/auth/user/profile",
            "/explorer/api/configuration",
            "/explorer/api/pre-login-configuration",
            "/system",
            "/x"
        ]
    );
    assert_eq!((config.dicom_web_root.as_str(), config.wado_root.as_str()), ("/pacs/dicomweb/", "/wado2"));
    assert_eq!(config.sqlite, Path::new("/var/lib/orthanc/authorization.db"));
    assert_eq!(config.public_url.as_deref(), Some("https://pacs.example/orthanc/"));
    assert_eq!(config.shares.public_orthanc_root, config.public_url);
    assert!(!config.dicom_server_enabled);
}

/// One limit is for instances, the other for everything above.
#[test]
fn a_server_with_either_limit_does_not_find_all() {
    for (results, instances, expected) in [
        (json!(null), json!(null), true),
        (json!(0), json!(0), true),
        (json!(5), json!(0), false),
        (json!(null), json!(5), false),
    ] {
        let text = json!({"StorageDirectory": "/var/lib/orthanc", "Authorization": {}, "LimitFindResults": results, "LimitFindInstances": instances});
        let config = read(&text.to_string(), &Fake::default()).unwrap().unwrap();
        assert_eq!(config.finds_all, expected, "{text}");
    }
}

#[test]
fn relative_files_start_where_orthancs_own_do() {
    let environment = Fake {
        base: "/etc/orthanc",
        files: [
            ("/etc/orthanc/key", "0123456789abcdef0123456789abcdef\n"),
            ("/etc/orthanc/old", "one-old-key-0123456789-0123456789\n\ntwo-old-key-0123456789-0123456789"),
        ]
        .into(),
        ..Fake::default()
    };
    let config = section_in(
        json!({"PermissionsFile": "permissions.jsonc", "Shares": {"SecretKeyFile": "key", "PreviousSecretKeysFile": "old"}, "Storage": {"SQLite": "/state/a.db"}}),
        &environment,
    )
    .unwrap();
    assert_eq!(config.roles, RolesSource::File("/etc/orthanc/permissions.jsonc".into()));
    assert_eq!(config.shares.secret_key.as_ref().unwrap().expose(), "0123456789abcdef0123456789abcdef");
    assert_eq!(config.shares.previous_secret_keys.len(), 2);
    assert_eq!(config.sqlite, Path::new("/state/a.db"));
    assert!(config.shares.accept_unrecorded && config.warnings.is_empty(), "{:?}", config.warnings);
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
}

#[test]
fn the_old_services_variables_fill_in_what_is_left_out() {
    let environment = variables(&[
        ("SECRET_KEY", "0123456789abcdef0123456789abcdef"),
        ("SERVER_ID", "toto"),
        ("PUBLIC_ORTHANC_ROOT", "http://localhost:8042"),
        ("PUBLIC_LANDING_ROOT", "http://localhost/ui/app/token-landing.html"),
        ("PUBLIC_OHIF_ROOT", "http://ohif/"),
        ("OHIF_DATA_SOURCE", "dicom-json"),
        ("MEDDREAM_TOKEN_SERVICE_URL", "http://med:8088/v3/generate"),
        ("PUBLIC_MEDDREAM_ROOT", "http://med/"),
        ("PERMISSIONS_FILE_PATH", "/p.jsonc"),
        ("ANONYMOUS_PROFILE_FILE_PATH", ""),
        ("ENABLE_KEYCLOAK", "true"),
        ("KEYCLOAK_ADMIN_URI", "http://k/admin/realms/orthanc/"),
        ("KEYCLOAK_CLIENT_SECRET", "s"),
        ("ENABLE_KEYCLOAK_API_KEYS", "false"),
    ]);
    let written = json!({"Shares": {"ServerId": "mine", "PublicLandingRoot": "http://mine/landing.html"}});
    let config = section_in(written, &environment).unwrap();
    assert_eq!(config.shares.public_landing_root.as_deref(), Some("http://mine/landing.html"));
    assert_eq!(config.shares.public_orthanc_root.as_deref(), Some("http://localhost:8042/"));
    assert!(
        config.shares.ohif_dicom_json
            && config.shares.secret_key.is_some()
            && config.shares.public_meddream_root.is_some()
    );
    assert_eq!(config.roles, RolesSource::File("/p.jsonc".into()));
    assert_eq!(config.providers[0].issuer, "http://keycloak:8080/realms/orthanc");

    let config = section_in(json!({"Roles": {}, "Keycloak": []}), &environment).unwrap();
    assert_eq!(config.roles, RolesSource::Inline(r#"{"available-labels":[],"roles":{}}"#.to_owned()));
    assert!(config.providers.is_empty());

    // The switch is for sites without the section.
    let config =
        section_in(json!({"Keycloak": {}}), &variables(&[("KEYCLOAK_URI", "https://k/auth/realms/r")])).unwrap();
    assert_eq!(config.providers[0].issuer, "https://k/auth/realms/r");
    let config = section_in(json!({}), &variables(&[("KEYCLOAK_URI", "https://k/auth/realms/r")])).unwrap();
    assert!(config.providers.is_empty());
}

#[test]
fn mails_go_out_as_configured_or_as_the_old_service_sent_them() {
    assert!(
        section(json!({"Emails": {"Sender": null, "Smtp": {"Host": null, "Port": 587}}})).unwrap().emails.is_none()
    );
    let smtp = |smtp: Value| {
        let config = section(json!({"Emails": {"Sender": "My Hospital <a@b.example>", "Smtp": smtp}})).unwrap();
        (config.emails.unwrap(), config.warnings)
    };
    let (emails, warnings) = smtp(json!({"Host": "mail.example"}));
    assert_eq!(
        (emails.smtp.port, emails.smtp.tls, emails.smtp.timeout),
        (587, SmtpTls::StartTls, Duration::from_secs(10))
    );
    assert_eq!((emails.hourly_per_person, emails.hourly), (50, 500));
    assert!(emails.smtp.login.is_none() && warnings.is_empty());
    assert_eq!(smtp(json!({"Host": "mail.example", "Tls": "tls"})).0.smtp.port, 465);
    let (emails, warnings) =
        smtp(json!({"Host": "mail.example", "Tls": "none", "Port": 25, "Username": "u", "Password": "hunter2"}));
    assert_eq!(emails.smtp.login.as_ref().unwrap().0, "u");
    assert!(!format!("{emails:?}").contains("hunter2"));
    assert_eq!(warnings[0].code, "MailsInTheClear");
    assert!(smtp(json!({"Host": "localhost", "Tls": "none"})).1.is_empty());

    let folder = tempfile::tempdir().unwrap();
    let folder: &'static str = Box::leak(folder.keep().to_str().unwrap().to_owned().into_boxed_str());
    let old = [
        ("ENABLE_EMAILS", "true"),
        ("EMAILS_TEMPLATES_ROOT", folder),
        ("EMAILS_SMTP_SERVER_HOSTNAME", "localhost"),
        ("EMAILS_SMTP_SERVER_USES_TLS", "false"),
        ("EMAILS_SMTP_SERVER_PORT", "1025"),
        ("EMAILS_SMTP_SERVER_TIMEOUT", "2.5"),
        ("EMAILS_SMTP_SERVER_USER_NAME", "smtp-user"),
        ("EMAILS_SMTP_SERVER_PWD", "change-me"),
        ("EMAILS_SENDER_ADDRESS", "My Hospital <info@example.com>"),
        ("EMAILS_REPLY_TO", "info@example.com"),
    ];
    let emails = section_in(json!({}), &variables(&old)).unwrap().emails.unwrap();
    assert_eq!((emails.smtp.host.as_str(), emails.smtp.port, emails.smtp.tls), ("localhost", 1025, SmtpTls::None));
    assert_eq!(emails.smtp.timeout, Duration::from_secs(3));
    assert_eq!(emails.sender.to_string(), "My Hospital <info@example.com>");
    assert_eq!(emails.templates_folder.as_deref(), Some(Path::new(folder)));
    assert_eq!(emails.smtp.login.unwrap().1.expose(), "change-me");
    // What the section says counts, and without the switch the variables mean nothing.
    let emails = section_in(json!({"Emails": {"Smtp": {"Tls": "starttls", "Port": 587}}}), &variables(&old)).unwrap();
    assert_eq!(emails.emails.unwrap().smtp.tls, SmtpTls::StartTls);
    assert!(section_in(json!({}), &variables(&old[1..])).unwrap().emails.is_none());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn users_roles_and_the_anonymous_profile() {
    let environment = files(&[(
        "anon.jsonc",
        "// shipped\n{\"name\": \"Guest\", \"user-id\": null, \"authorized_labels\": [\"open\"], \"permissions\": [\"view\",], \"groups\": [], \"validity\": 60}",
    )]);
    let config = section_in(
        json!({
            "Users": {"doctor": {"PasswordHash": HASH, "Roles": ["doctor-role"]}},
            "Roles": {"doctor-role": {"permissions": ["view"], "authorized_labels": ["*"]}},
            "AnonymousProfileFile": "anon.jsonc",
        }),
        &environment,
    )
    .unwrap();
    assert_eq!(config.users["doctor"].roles, ["doctor-role"]);
    assert_eq!(
        config.anonymous,
        AnonymousProfile {
            name: "Guest".to_owned(),
            permissions: vec!["view".to_owned()],
            authorized_labels: vec!["open".to_owned()]
        }
    );
    let RolesSource::Inline(text) = &config.roles else { panic!("inline") };
    assert_eq!(
        serde_json::from_str::<Value>(text).unwrap(),
        json!({"roles": {"doctor-role": {"permissions": ["view"], "authorized-labels": ["*"]}}, "available-labels": []})
    );
    assert_eq!(config.warnings.len(), 1);
    assert_eq!(config.warnings[0].message, "everybody who reaches this server, without logging in, may: view");
}

#[test]
fn small_values() {
    let config = section(json!({
        "TokenHttpHeaders": ["api-key", "X-Key", "x-key"], "TokenGetArguments": ["key"], "LabelsValidity": 0.5,
        "TrustedProxies": ["10.1.2.3/8", "::1"], "Shares": {"MaxValidity": 3600, "SecretKey": "sixteen bytes...", "AcceptUnrecordedUntil": "2027-01-31"},
        "CheckedLevel": "studies", "UncheckedLevels": [], "EnableAuditLogs": false, "UploadLabels": {}, "Login": {"Enable": false, "SessionDuration": 28800},
    }))
    .unwrap();
    assert_eq!(config.token_http_headers, ["x-key"]);
    assert_eq!(config.labels_validity, Duration::from_millis(500));
    assert_eq!(config.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1/128"]);
    assert_eq!(config.shares.inbox_validity, Duration::from_secs(3600));
    assert_eq!(config.shares.inbox_max_bytes, 20 << 30, "no link may fill the disk");
    // The end of that day: date -u -d 2027-02-01 +%s
    assert_eq!(config.shares.accept_unrecorded_until, Some(UnixTime(1_801_440_000)));
    assert_eq!(config.warnings.len(), 1);
    assert!(!config.warnings[0].to_string().contains("\"short\""));
    for (text, moment) in [
        ("2027-01-31T00:00:00Z", 1_801_353_600),
        ("2027-01-31T01:00:00+01:00", 1_801_353_600),
        ("2027-01-31T00:00:00", 1_801_353_600),
    ] {
        let config = section(json!({"Shares": {"AcceptUnrecordedUntil": text}})).unwrap();
        assert_eq!(config.shares.accept_unrecorded_until, Some(UnixTime(moment)), "{text}");
    }
}

/// The permissions that the first matching rule of a configuration asks for.
fn asked(config: &Config, method: Method, path: &str) -> Option<String> {
    let roots = Roots { dicom_web: &config.dicom_web_root, wado: &config.wado_root, oe2: &config.oe2_root };
    let matches = |pattern: &String| compile(pattern).unwrap().is_match(path);
    let rule = config.rules.iter().find(|rule| rule.method == method && expand(rule, &roots).iter().any(matches));
    rule.map(|rule| rule.permissions.join("|"))
}

#[test]
fn the_default_table_asks_what_sites_rely_on() {
    let config = section(json!({})).unwrap();
    for (method, path, permissions) in [
        (Method::Get, "/studies", Some("all|view")),
        (Method::Get, "/studies/", Some("all|view")),
        (Method::Get, "/studies/0a-1/archive", Some("all|view")),
        (Method::Get, "/dicom-web/studies/1.2/series/3.4/metadata", Some("all|view")),
        (Method::Get, "/dicom-web/studies", Some("all|view")),
        (Method::Get, "/wado", Some("all|view")),
        (Method::Get, "/tools/now", Some("all|view")),
        (Method::Get, "/tools/create-archive", Some("all|download")),
        (Method::Post, "/tools/create-media-extended", Some("all|download")),
        (Method::Get, "/exports", Some("admin-permissions")),
        (Method::Get, "/plugins/dicom-web", Some("all|view")),
        (Method::Get, "/plugins/postgresql/audit-logs", Some("admin-permissions|audit-logs")),
        (Method::Put, "/auth/tokens/inbox-link", Some("all|create-inbox-links")),
        (Method::Put, "/auth/tokens/ohif-viewer-publication", Some("all|share")),
        (Method::Post, "/tools/lookup", Some("")),
        (Method::Post, "/ui/api/emails/send", Some("all|share")),
        (Method::Delete, "/studies/0a-1", Some("all|delete")),
        (Method::Delete, "/studies/0a-1/labels/x", Some("all|edit-labels")),
        (Method::Get, "/jobs", Some("admin-permissions")),
        (Method::Get, "/jobs/0a-1/archive", None),
        (Method::Post, "/studies/0a-1/split", None),
        (Method::Post, "/tools/execute-script", None),
        (Method::Delete, "/changes", None),
        (Method::Get, "/webdav/by-patients/", None),
    ] {
        assert_eq!(asked(&config, method, path).as_deref(), permissions, "{method:?} {path}");
    }
}

#[test]
fn own_rules_replace_or_follow_the_table() {
    let config = section(json!({
        "Permissions": [["GET", "^/a$", "view", "a comment"]],
        "ExtraPermissions": [["put", "^/b/([0-9]+)$", "", {"Resource": {"Level": "study", "Group": 1}}], ["get", "^/c$", "x|y", {"PatientData": false}]],
    }))
    .unwrap();
    let paths: Vec<_> = config.rules.iter().map(|rule| rule.path.as_str()).collect();
    assert_eq!(
        paths,
        ["Authorization.Permissions[0]", "Authorization.ExtraPermissions[0]", "Authorization.ExtraPermissions[1]"]
    );
    assert_eq!(config.rules[1].touches, Some(RuleTouches::Resource { level: Level::Study, group: 1 }));
    assert!(config.rules[1].permissions.is_empty());
    assert_eq!(config.rules[2].touches, Some(RuleTouches::Nothing));
    assert_eq!(config.rules[2].permissions, ["x", "y"]);
    assert!(config.warnings.is_empty());
}

#[test]
fn an_extra_rule_without_effect_is_told() {
    let config = section(json!({"ExtraPermissions": [
        ["get", "^/plugins/my\\.plugin$", "admin-permissions"], ["get", "^/statistics$", "admin-permissions"], ["get", "^/own$", "view"],
        ["post", "^/statistics$", "view"], ["get", "^/system$", "all|view"],
    ]}))
    .unwrap();
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    assert!(
        config.warnings[0]
            .message
            .starts_with("Authorization.ExtraPermissions[0] has no effect, because default table, rule ")
    );
    assert!(config.warnings[1].message.starts_with("Authorization.ExtraPermissions[1] has no effect"));
}

#[test]
fn labels_on_uploads_are_read_by_uploader() {
    assert_eq!(section(json!({"UploadLabels": {}})).unwrap().upload_labels, []);
    let labels =
        json!({"role:r": ["one", "two"], "group:/g:x": ["g"], "user:u@example.org": [], "aet:STORE SCU": ["dicom"]});
    let config = section(json!({"UploadLabels": labels})).unwrap();
    let texts = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        config.upload_labels,
        [
            (Uploader::Aet("STORE SCU".to_owned()), texts(&["dicom"])),
            (Uploader::Group("/g:x".to_owned()), texts(&["g"])),
            (Uploader::Role("r".to_owned()), texts(&["one", "two"])),
            (Uploader::User("u@example.org".to_owned()), texts(&[])),
        ]
    );
}
