//! Each fault's message.

use insta::assert_snapshot;
use serde_json::json;

use super::*;

#[test]
fn every_fault_is_reported_at_once() {
    assert_snapshot!(faults(json!({
        "Enable": "yes",
        "Keycloak": {"Url": "keycloak:8080", "Realm": "orth anc", "LeewaySeconds": 9999, "Audience": ["a"]},
        "Shares": {"SecretKey": 12345, "MaxValidity": "1 day", "OhifDataSource": "dicomjson"},
        "LabelsValidity": -1,
        "StandardConfigurations": ["orthanc-explorer2", "ohif"],
        "Lables": 1,
    })));
}

#[test]
fn a_misspelt_section_is_none() {
    for name in ["authorization", "Authorisation", "Autorization", "AUTHORIZATIONS", "Authroization"] {
        let fault = read(&json!({name: {"Enable": true}}).to_string(), &Fake::default()).unwrap_err().to_string();
        assert_eq!(fault, format!("{name}: unknown section, did you mean \"Authorization\"?"));
    }
}

#[test]
fn without_the_section_an_open_server_does_not_start() {
    let of = |remote: bool, section: serde_json::Value| {
        let text = json!({
            "RemoteAccessAllowed": remote, "AuthenticationEnabled": false, "Authorization": section,
        });
        read(&text.to_string(), &Fake::default()).map(|config| config.is_some()).map_err(|fault| fault.to_string())
    };
    let fault = of(true, json!(null)).unwrap_err();
    assert!(fault.starts_with("Authorization: there is no such section, and with"), "{fault}");
    assert!(fault.contains("\"Enable\": false"), "{fault}");
    assert_eq!(of(true, json!({"Enable": false})), Ok(false));
    assert_eq!(of(false, json!(null)), Ok(false));
}

#[test]
fn a_key_in_the_wrong_section_is_shown_to_its_own() {
    assert_eq!(
        faults(json!({"MaxValidity": 86400, "PublicOhifRoot": "https://a/"})),
        "Authorization.MaxValidity: unknown key here, did you mean Authorization.Shares.MaxValidity?\n\
         Authorization.PublicOhifRoot: unknown key here, did you mean Authorization.Shares.PublicOhifRoot?"
    );
}

#[test]
fn a_short_key_can_be_guessed() {
    let fault = faults(json!({"Shares": {"SecretKey": "fifteen bytes.."}}));
    assert_eq!(
        fault,
        "Authorization.Shares.SecretKey: is shorter than 16 bytes and could be guessed. Make a key with: openssl rand -base64 48"
    );
    assert!(section(json!({"Shares": {"SecretKey": "sixteen bytes..."}})).is_ok());
    // Its links can be waited for.
    let previous = json!({"Shares": {"PreviousSecretKeys": ["fifteen bytes.."]}});
    assert_eq!(section(previous).unwrap().warnings.len(), 1);
}

#[test]
fn a_hash_from_a_file_is_reported_with_the_file() {
    let users = json!({"Users": {"doctor": {"PasswordHashFile": "/run/hash"}}});
    let fault = section_in(users, &files(&[("/run/hash", "hunter2")])).map(drop).unwrap_err();
    assert!(fault.starts_with("Authorization.Users.doctor.PasswordHashFile: the file \"/run/hash\" "), "{fault}");
    assert!(fault.contains("argon2 \"$(openssl rand -hex 16)\" -id -k 19456 -t 2 -p 1 -e"), "{fault}");
    assert!(!fault.contains("hunter2"), "{fault}");
}

#[test]
fn unknown_keys_name_the_nearest() {
    assert_snapshot!(faults(json!({
        "SecretKey": "hunter2hunter2",
        "permissions": [],
        "Colour": {"of": "money"},
        "Users": {"doctor": {"Password": "hunter2", "PasswordHash": HASH, "Roles": []}},
        "line\nbreak": 1,
    })));
}

#[test]
fn urls() {
    assert_snapshot!(faults(json!({
        "PublicUrl": "/orthanc/",
        "Keycloak": {"Url": "http://keycloak:8080", "Realm": "r", "AcceptedIssuers": ["https://a", "b"]},
        "Shares": {"PublicOrthancRoot": "ftp://a/", "PublicOhifRoot": "https://me:hunter2@ohif/", "PublicLandingRoot": "http://a/?token=1"},
    })));
}

#[test]
fn one_kind_of_provider() {
    for (provider, expected) in [
        (
            json!({}),
            "Authorization.Keycloak.Url: is missing: give Url and Realm for Keycloak, or Issuer for any other provider",
        ),
        (json!({"Url": "http://k/"}), "Authorization.Keycloak.Realm: is required with \"Url\""),
        (json!({"Realm": "r"}), "Authorization.Keycloak.Url: is required with \"Realm\""),
        (
            json!({"Url": "http://k/", "Realm": "r", "Issuer": "https://i"}),
            "Authorization.Keycloak.Issuer: stands beside \"Url\" or \"Realm\": give Url and Realm for Keycloak, or Issuer for any other provider",
        ),
        (json!("k"), "Authorization.Keycloak: must be an object or a list of objects, got a string"),
        (
            json!({"Url": "http://k/", "Realm": "r", "TokenTypes": ["JWT"]}),
            "Authorization.Keycloak.TokenTypes: is for \"Issuer\" only: Keycloak marks its access tokens by the claim \"typ\"",
        ),
        (json!({"Issuer": 5}), "Authorization.Keycloak.Issuer: must be a string, got a number"),
    ] {
        assert_eq!(faults(json!({"Keycloak": provider})), expected);
    }
}

#[test]
fn several_providers() {
    assert_snapshot!(faults(json!({"Keycloak": [
        {"Url": "http://k/", "Realm": "a"},
        {"Issuer": "https://login.example", "AcceptedIssuers": ["http://k/realms/a"]},
        {"Issuer": "https://other.example", "RolesMap": {"x": 1, "y": ["", "doctor-role"]}},
        7,
    ]})));
}

#[test]
fn provider_details() {
    assert_snapshot!(faults(json!({"Keycloak": {
        "Url": "http://k/", "Realm": "r", "RolesClaims": ["a..b", 1, ["https://x.example/roles", 2]], "GroupsClaim": ".",
        "CaFile": "/missing.pem", "AdminClientSecret": {"oops": "hunter2"}, "ClientSecret": "a", "ClientSecretFile": "b",
    }})));
}

#[test]
fn features_that_are_not_there() {
    assert_snapshot!(faults(json!({
        "EnableAuditLogs": true,
        "Storage": {"PostgreSQL": {"Host": "db", "Port": 5432, "Database": "orthanc", "Username": "u", "Password": "p"}},
    })));
}

#[test]
fn what_inbox_links_bring_in() {
    assert_eq!(
        faults(json!({"Shares": {"InboxLabels": ["inbox"], "InboxMaxBytes": 1, "InboxMaxInstances": 1}})),
        "sound"
    );
    assert_snapshot!(faults(json!({"Shares": {
        "InboxLabels": ["in box", "", "inbox"], "InboxMaxBytes": 0, "InboxMaxInstances": "many",
    }})));
}

#[test]
fn mails() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("layout.html"), "<body>{email-content}{email-content}</body>").unwrap();
    let folder = folder.path().to_str().unwrap();
    let emails = |more: serde_json::Value, smtp: serde_json::Value| {
        let mut emails = json!({"Sender": "a@b.example", "Smtp": {"Host": "mail.example"}});
        emails.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        emails["Smtp"].as_object_mut().unwrap().extend(smtp.as_object().unwrap().clone());
        faults(json!({"Emails": emails})).replace(folder, "FOLDER")
    };
    assert_eq!(emails(json!({}), json!({})), "sound");
    let all = [
        emails(json!({"Sender": null}), json!({})),
        emails(json!({"Sender": "My Hospital", "ReplyTo": "a@b.example\r\nBcc: c@d.example", "ServiceUser": "nobody", "Hourly": 0}), json!({})),
        emails(json!({"TemplatesFolder": "/no/such/folder"}), json!({})),
        emails(json!({"TemplatesFolder": folder}), json!({})),
        emails(json!({}), json!({"Host": "smtps://mail.example:465", "Port": 70000, "Tls": "ssl", "Timeout": 0})),
        emails(json!({}), json!({"Port": 465})),
        emails(json!({}), json!({"Port": 587, "Tls": "tls"})),
        emails(json!({}), json!({"Username": "u"})),
        emails(json!({}), json!({"Password": "hunter2"})),
        emails(json!({}), json!({"CaFile": "/missing.pem", "StartTls": true})),
        emails(json!({}), json!({"Host": null, "Password": "hunter2"})),
    ]
    .join("\n");
    assert!(!all.contains("hunter2"));
    assert_snapshot!(all);
}

#[test]
fn keycloaks_admin_api() {
    let with = |more: serde_json::Value| {
        let mut provider = json!({"Url": "http://k/", "Realm": "r"});
        provider.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        faults(json!({"Keycloak": provider}))
    };
    assert_eq!(
        with(json!({"EnableApiKeys": true})),
        "Authorization.Keycloak.EnableApiKeys: needs \"AdminClientSecret\" or \"AdminClientSecretFile\", to ask Keycloak whose they are"
    );
    assert_eq!(
        with(json!({"ApiKeyAttribute": "api key", "AdminUrl": "k/admin"})),
        "Authorization.Keycloak.AdminUrl: must be an absolute http or https URL, got \"k/admin\"\n\
         Authorization.Keycloak.ApiKeyAttribute: must consist of letters, digits and '-_.', got \"api key\""
    );
    assert_eq!(
        faults(
            json!({"Keycloak": {"Issuer": "https://login.example", "AdminClientSecret": "s", "EnableApiKeys": true}})
        ),
        "Authorization.Keycloak.AdminClientSecret: is for \"Url\" and \"Realm\" only: other providers have no such admin API\n\
         Authorization.Keycloak.EnableApiKeys: is for \"Url\" and \"Realm\" only: other providers have no such admin API"
    );
}

#[test]
fn logins() {
    assert_eq!(
        faults(json!({"Login": {"Enable": true, "SessionDuration": 5}})),
        "Authorization.Login.Enable: nobody could log in: give \"Keycloak\" or \"Users\"\n\
         Authorization.Login.SessionDuration: must be a whole number from 60 to 31536000, got 5"
    );
    assert_eq!(
        faults(json!({"Keycloak": {"Url": "http://k/", "Realm": "r", "Scopes": ["a b"]}})),
        "Authorization.Keycloak.Scopes: must be names of scopes, got \"a b\""
    );
}

#[test]
fn labels_on_uploads() {
    assert_eq!(
        faults(json!({"UploadLabels": {
            "external-role": ["a"], "role:": ["a"], "aet:SEVENTEEN-LETTERS": ["a"], "Role:r": ["a"],
            "role:r": "a", "user:u": ["a b", "*", "", 5, "good-1_X"],
        }})),
        r#"Authorization.UploadLabels.Role:r: must be "role:…", "group:…", "user:…" or "aet:…", the last with 1 to 16 characters
Authorization.UploadLabels.aet:SEVENTEEN-LETTERS: must be "role:…", "group:…", "user:…" or "aet:…", the last with 1 to 16 characters
Authorization.UploadLabels.external-role: must be "role:…", "group:…", "user:…" or "aet:…", the last with 1 to 16 characters
Authorization.UploadLabels.role:: must be "role:…", "group:…", "user:…" or "aet:…", the last with 1 to 16 characters
Authorization.UploadLabels.role:r: must be a list of labels, got a string
Authorization.UploadLabels.user:u[0]: must be a label as Orthanc has them (letters, digits, "_" and "-", 64 at most), got "a b"
Authorization.UploadLabels.user:u[1]: must be a label as Orthanc has them (letters, digits, "_" and "-", 64 at most), got "*"
Authorization.UploadLabels.user:u[2]: must be a label as Orthanc has them (letters, digits, "_" and "-", 64 at most), got ""
Authorization.UploadLabels.user:u[3]: must be a string, got a number"#
    );
}

#[test]
fn keys_of_the_external_service() {
    assert_snapshot!(faults(json!({
        "WebServiceRootUrl": "http://me:hunter2@auth:8000/", "WebServiceUserProfileUrl": "http://auth/", "WebServiceTokenValidationUrl": "http://auth/",
        "WebService": "http://auth/", "WebServiceTokenCreationBaseUrl": "http://auth/", "WebServiceTokenDecoderUrl": "http://auth/",
        "WebServiceSettingsRolesUrl": "http://auth/", "WebServiceUsername": "me", "WebServicePassword": "hunter2", "WebServiceIdentifier": 5,
    })));
}

#[test]
fn levels() {
    assert_snapshot!(faults(json!({"CheckedLevel": "series", "UncheckedLevels": ["patients"]})));
}

#[test]
fn rules() {
    assert_snapshot!(faults(json!({"Permissions": [
        ["head", "^/a$", "view"],
        ["get", "^/a(?!b)$", "view"],
        ["get", "^/a($", "view"],
        ["get", "^/a$"],
        "get",
        ["get", "^/a$", "view|"],
        ["get", "^/a$", "|"],
        ["get", "^/a$", " "],
        ["get", "^/a$", null],
        ["get", "", "view", 5],
        [1, 2, 3],
    ], "ExtraPermissions": [
        ["get", "^/a/(.*)$", "view", {"PatientData": true}],
        ["get", "^/a/(.*)$", "view", {}],
        ["get", "^/a/(.*)$", "view", {"Resource": {"Level": "studies", "Group": 1}}],
        ["get", "^/a/(.*)$", "view", {"Resource": {"Level": "study", "Group": 2}}],
        ["get", "^/a/(.*)$", "view", {"Resource": {"Level": "study"}}],
        ["get", "^/a/(.*)$", "view", {"Resource": {"Level": "study", "Group": 0}}],
        ["get", "^/a/(.*)$", "view", {"PatientData": false, "Resource": {"Level": "study", "Group": 1}}],
        ["get", "^/a/(.*)$", "view", {"PatientsData": false}],
        ["get", "SINGLE_RESOURCE_PATTERNS", "view", {"PatientData": false}],
    ]})));
}

#[test]
fn users_and_roles() {
    assert_snapshot!(faults(json!({
        "Users": {
            "a": {}, "b": {"PasswordHash": "hunter2"}, "c": {"PasswordHash": 5}, "d": 5, "e:f": {"PasswordHash": HASH},
            "g": {"PasswordHash": "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$L8PP8wFNvTVaXzTMNiuXFCJBQpK+ZV7kSGY5GZvyUQo"},
            "h": {"PasswordHash": "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$L8PP8wFNvTVaXzTMNiuXFCJBQpK+ZV7kSGY5GZvyUQo"},
            "i": {"PasswordHash": HASH, "Roles": "doctor-role"},
            "j": {"PasswordHashFile": "/run/secrets/j"},
            "k": {"PasswordHash": "$argon2id$v=19$m=19456,t=2,p=1"},
            "l": {"PasswordHash": "$argon2id$v=16$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$L8PP8wFNvTVaXzTMNiuXFCJBQpK+ZV7kSGY5GZvyUQo"},
            "m": {"PasswordHash": "$argon2id$v=19$m=1,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$L8PP8wFNvTVaXzTMNiuXFCJBQpK+ZV7kSGY5GZvyUQo"},
        },
        "PermissionsFile": "permissions.jsonc",
        "Roles": {"r": {"permissions": "view", "labels": []}, "s": {"authorized-labels": [], "authorized_labels": []}, "available-labels": []},
        "AnonymousProfile": {"permission": ["view"], "authorized-labels": [1]},
        "AnonymousProfileFile": "a.json",
    })));
}

#[test]
fn files_that_cannot_be_used() {
    let environment = files(&[
        ("/broken", "{\"name\": \n oops}"),
        ("/list", "[]"),
        ("/wrong", "{\"permissions\": [1], \"label\": 2} // hm"),
        ("/empty", " \n"),
    ]);
    let faults = |value| section_in(value, &environment).map(|_| ()).unwrap_err();
    assert_snapshot!([
        faults(json!({"AnonymousProfileFile": "/none"})),
        faults(json!({"AnonymousProfileFile": "/broken"})),
        faults(json!({"AnonymousProfileFile": "/list"})),
        faults(json!({"AnonymousProfileFile": "/wrong"})),
        faults(json!({"Shares": {"SecretKeyFile": "/empty"}, "Keycloak": {"Url": "http://k/", "Realm": "r", "CaFile": "/list"}})),
    ].join("\n"));
}

#[test]
fn a_logo_that_is_none() {
    const LONG: &str =
        "<svg>                                                                                            ";
    let long: &'static str = Box::leak(LONG.repeat(2_000).into_boxed_str());
    let environment =
        files(&[("/page", "<html>"), ("/long", long), ("/logo", "<svg xmlns='http://www.w3.org/2000/svg'/>")]);
    let read = |file: &str| section_in(json!({"SiteLogo": file}), &environment);
    for (file, expected) in [
        ("/none", "Authorization.SiteLogo: cannot read the file \"/none\": no such file"),
        ("/page", "Authorization.SiteLogo: the file \"/page\" is not a PNG, JPEG or SVG"),
        ("/long", "Authorization.SiteLogo: the file \"/long\" is larger than 128 kB"),
    ] {
        assert_eq!(read(file).map(drop), Err(expected.to_owned()));
    }
    let logo = read("/logo").unwrap().site_logo;
    assert_eq!(
        logo.as_deref(),
        Some("data:image/svg+xml;base64,PHN2ZyB4bWxucz0naHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmcnLz4=")
    );
}

#[test]
fn share_links() {
    assert_snapshot!(faults(json!({"Shares": {
        "SecretKey": "change-me-I-am-a-secret-key", "PreviousSecretKeys": ["my-secret-key", 5, ""], "MaxValidity": 100, "InboxValidity": 200,
        "AcceptUnrecordedUntil": "tomorrow", "PublicMedDreamRoot": "https://meddream/", "AcceptUnrecorded": "on",
    }})));
    assert_snapshot!(faults(
        json!({"Shares": {"SecretKey": "a", "SecretKeyFile": "b", "PreviousSecretKeys": [], "PreviousSecretKeysFile": "c"}})
    ));
    assert_snapshot!(faults(json!({"Shares": []})));
}

#[test]
fn viewers_of_other_origins() {
    assert_snapshot!(faults(json!({"Shares": {
        "ViewerOrigins": [
            "https://a.example", "https://B.example", "https://c.example/", "https://c.example:443", "*", "null", "c.example",
            "https://user@c.example", "file:///", 5,
        ],
        "ViewerRedirectUris": [
            "https://a.example/callback", "https://a.example", "https://a.example/x/../callback", "https://a.example/callback?x",
            "https://a.example.evil.example/callback", "https://A.example/callback", "https://evil.example/callback", "/callback",
        ],
        "ViewerTokenValidity": 9,
    }})));
}

#[test]
fn paths_headers_and_networks() {
    assert_snapshot!(faults(json!({
        "UncheckedResources": ["system"], "UncheckedFolders": ["ohif/", "/", "//"],
        "TokenHttpHeaders": ["x y", "Cookie"], "TokenGetArguments": [1], "TrustedProxies": ["proxy", "0.0.0.0/0", "10.0.0.1"],
        "Storage": {"SQLite": "index"},
    })));
}

#[test]
fn keys_of_orthanc_itself() {
    let faults = |text: Value| read(&text.to_string(), &Fake::default()).unwrap_err().to_string();
    assert_snapshot!(faults(json!({
        "Authorization": {}, "RemoteAccessAllowed": true, "DicomWeb": {"Root": "/", "WadoRoot": "/wado(.*)"}, "OrthancExplorer2": {"Root": "/a/../b"},
    })));
    assert_snapshot!(faults(
        json!({"Authorization": {}, "AuthenticationEnabled": true, "DicomWeb": 5, "HttpPort": "a"})
    ));
    assert_snapshot!(faults(json!({"Authorization": 5})));
    assert_snapshot!(read("[", &Fake::default()).unwrap_err());
}

#[test]
fn values_from_the_environment_say_where_they_come_from() {
    let environment = Fake {
        variables: [
            ("SECRET_KEY", "hunter2"),
            ("OHIF_DATA_SOURCE", "dicomweb"),
            ("ENABLE_KEYCLOAK", "true"),
            ("KEYCLOAK_URI", "http://k/"),
            ("ENABLE_KEYCLOAK_API_KEYS", "true"),
        ]
        .into(),
        files: [("/run/secrets/SECRET_KEY", "change-me\n")].into(),
        base: "",
    };
    assert_snapshot!(section_in(json!({}), &environment).map(|_| ()).unwrap_err());
}

/// A secret of the wrong type, in the wrong place or wrong in itself is never shown.
#[test]
fn defaults_of_links() {
    assert_snapshot!(faults(json!({"Shares": {"MaxValidity": 86_400, "Defaults": {
        "one": {"Pin": "yes", "MaxOpenings": 0, "Download": 1, "Validity": -1, "Enforce": "x"},
        "two": {"MaxOpenings": 1_000_001, "Validity": 86_401},
        "three": {"Enforce": true},
        "four": {"MaxValidity": 5},
        "five": true,
        "six": {"Pin": true, "MaxOpenings": 1, "Download": false, "Validity": 86_400, "Enforce": true},
    }}})));
}

#[test]
fn no_fault_shows_a_secret() {
    const MARK: &str = "hunter2";
    let secret = [json!(MARK), json!([MARK]), json!({MARK: 1, "a": MARK})];
    for value in secret {
        // The name of an unknown key is no secret, so it may show up when an object stands for a text.
        let text = faults(json!({
            "SecretKey": value, "WebServicePassword": value, "Keycloak": {"AdminClientSecret": value, "ClientSecret": value, "Password": value},
            "Users": {"u": {"PasswordHash": value, "Password": value}},
            "Shares": {"SecretKey": value, "PreviousSecretKeys": value, "Secret": value},
            "Emails": {"Smtp": {"Password": value, "Host": "mail"}},
            "Storage": {"PostgreSQL": {"Password": value}},
        }));
        assert!(text.lines().count() > 6 && !text.contains(MARK), "{text}");
    }
}

#[test]
fn no_section_takes_an_unknown_key() {
    for path in [
        "Keycloak",
        "Users/u",
        "Roles/r",
        "AnonymousProfile",
        "Login",
        "Shares",
        "Shares/Defaults/r",
        "Storage",
        "Storage/PostgreSQL",
        "Emails",
        "Emails/Smtp",
    ] {
        let section = path.rsplit('/').fold(json!({"Qqqq": 1}), |inner, name| json!({name: inner}));
        let expected = format!("Authorization.{}.Qqqq: unknown key", path.replace('/', "."));
        assert!(faults(section).lines().any(|line| line == expected), "{expected}");
    }
}

/// `is_sound` looks at the paths of faults: a fault elsewhere must not hide a missing key.
#[test]
fn what_is_missing_is_told_whatever_else_is_wrong() {
    let text = faults(json!({"Users": {"a": {}, "b": 5}}));
    assert_eq!(
        text,
        "Authorization.Users.a.PasswordHash: is missing\nAuthorization.Users.b: must be an object, got a number"
    );
}
