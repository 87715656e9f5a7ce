//! The doctor: each finding is brought about for real, and where it can be, its advice is followed and helps.
use crate::findings::{LONG, assert_says, examine, find, wait_for, wait_without};
use crate::site::{Plan, Site, Who};
use serde_json::{Value, json};
use testbed::clock::wait_until;
use testbed::oidc::{Algorithm, Behaviour, Key, Provider};
use testbed::{Request, Version};

/// The one version that these tests need: nothing of this differs between them.
fn version() -> Version {
    Version::tested()[0]
}

/// A site that the doctor finds nothing wrong with: every role that it gives is there.
fn plan() -> Plan {
    let mut roles = crate::site::roles();
    roles["roles"]["guessed-role"] = json!({"permissions": [], "authorized-labels": []});
    Plan::new(version()).roles(roles)
}

/// A token of the provider with some claims replaced.
fn token(site: &Site, changes: Value) -> String {
    let mut claims = site.provider.claims("jane", &["doctor-role"]);
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    site.provider.key.token(&claims).unwrap()
}

fn status(site: &Site, token: &str) -> u16 {
    site.get(&Who::bearer(token), "/studies").status
}

#[test]
fn a_sound_site_is_told_so_and_strangers_nothing() {
    let site = plan().start();
    assert_eq!(examine(&site), Vec::<Value>::new());
    let line = site.server.wait_for_log("doctor: nothing is wrong", LONG).unwrap();
    assert!(line.starts_with('I'), "{line}");
    for who in [Who::nobody(), Who::user("doctor"), Who::user("external"), Who::token("garbage")] {
        assert_eq!(site.get(&who, "/auth/doctor").status, 403);
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = site.send(&Who::user("admin"), Request::new(method, "/auth/doctor").body("{}"));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")), "{method}");
    }
}

/// The fault that sites have most: browsers know the provider by another name than this server.
#[test]
fn another_issuer_is_shown_beside_the_configured_one_and_the_advice_helps() {
    let site = plan().start();
    let outer = "https://pacs.example/keycloak/realms/orthanc";
    let jane = token(&site, json!({"iss": outer}));
    for _ in 0..2 {
        assert_eq!(status(&site, &jane), 403);
    }
    let finding = wait_for(&site, "IssuerNotAccepted");
    assert_says(
        &finding,
        "error",
        &[outer, &site.provider.issuer(), "2 times", &format!("\"AcceptedIssuers\": [\"{outer}\"]")],
    );
    // The log says so by itself, once.
    let line =
        site.server.wait_for_log("doctor: Authorization.Keycloak: tokens that this provider signed", LONG).unwrap();
    assert!(line.starts_with('E') && line.contains(outer) && line.contains("AcceptedIssuers"), "{line}");
    assert!(!site.server.log().contains(&jane));

    // The line as the advice has it.
    let advice = finding["Change"].as_str().unwrap();
    let (line, _) = advice.split_once(" in Authorization.Keycloak").unwrap();
    let mut provider: Value = serde_json::from_str(&format!("{{{line}}}")).unwrap();
    provider["Url"] = json!(site.provider.url());
    provider["Realm"] = json!(Provider::REALM);
    let site = plan().section(json!({"Keycloak": provider})).start_with(site.provider);
    let accepted = wait_until(LONG, || (status(&site, &jane) == 200).then_some(()));
    assert!(accepted.is_some(), "{}", site.server.log());
    assert_eq!(find(&examine(&site), "IssuerNotAccepted"), None);
}

#[test]
fn refused_tokens_say_what_is_wrong_with_the_set_up() {
    let site = plan().start();
    assert!(wait_until(LONG, || (status(&site, &token(&site, json!({}))) == 200).then_some(())).is_some());
    assert_eq!(examine(&site), Vec::<Value>::new(), "a good token is no finding");

    assert_eq!(status(&site, &token(&site, json!({"aud": ["shop", "crm"], "azp": "web"}))), 403);
    let ahead = site.provider.claims("jane", &[])["iat"].as_i64().unwrap() + 120;
    assert_eq!(status(&site, &token(&site, json!({"iat": ahead, "nbf": ahead}))), 403);
    assert_eq!(status(&site, &token(&site, json!({"typ": "ID"}))), 403);
    // Accepted, and good for nothing.
    assert_eq!(status(&site, &token(&site, json!({"realm_access": {"roles": []}}))), 403);
    let roles = json!({"roles": ["docter-role", "offline_access", "default-roles-orthanc"]});
    assert_eq!(status(&site, &token(&site, json!({"realm_access": roles}))), 403);
    // Of strangers, who cannot make it look as if the provider had signed it.
    let other = Key::generate("other-key", Algorithm::Rs256).unwrap();
    let claims = site.provider.claims("mallory", &["admin-role"]);
    assert_eq!(status(&site, &other.token(&claims).unwrap()), 403);
    let mut claims = claims;
    claims["iss"] = json!("https://evil.example\nE1121 00:00:00.000000 MAIN forged \u{1b}[31m");
    assert_eq!(status(&site, &other.token(&claims).unwrap()), 403);

    let findings = examine(&site);
    let get = |code| find(&findings, code).unwrap_or_else(|| panic!("no {code} in {findings:#?}"));
    assert_says(
        &get("AudienceNotAccepted"),
        "error",
        &["\"shop\"", "\"crm\"", "azp \"web\"", "\"account\"", "Audiences"],
    );
    assert_says(&get("TokensFromTheFuture"), "error", &["s ahead", "NTP"]);
    assert_says(&get("NoAccessTokens"), "warning", &["ID token"]);
    assert_says(&get("NoRolesInTokens"), "warning", &["realm_access.roles", "RolesClaims"]);
    assert_says(&get("NoKnownRole"), "warning", &["docter-role", "roles file"]);
    let unknown = get("UnknownRoles");
    assert_says(&unknown, "info", &["\"docter-role\""]);
    assert!(!unknown["Message"].as_str().unwrap().contains("offline_access"), "Keycloak's own: {unknown}");
    assert_says(&get("UnknownKeys"), "info", &["no such key"]);
    let stranger = get("UnknownIssuer");
    assert_says(&stranger, "info", &["https://evil.example", "anybody can send"]);
    assert!(!stranger.to_string().contains("\\n") && !stranger.to_string().contains("\\u001b"), "{stranger}");
    assert_eq!(find(&findings, "IssuerNotAccepted"), None, "a stranger's token is no sign of a wrong set-up");
    // The worst first.
    let order: Vec<&str> = findings.iter().map(|finding| finding["Severity"].as_str().unwrap()).collect();
    let rank = |severity: &&str| ["error", "warning", "info"].iter().position(|known| known == severity);
    assert!(order.is_sorted_by_key(rank), "{order:?}");
    let text = serde_json::to_string(&findings).unwrap();
    for personal in ["jane", "mallory"] {
        assert!(!text.contains(personal), "{personal} in {text}");
    }
    // What is wrong is in the log, what strangers say is not.
    for said in ["made for somebody else", "not valid yet", "have no role at"] {
        let told =
            || site.server.log().lines().any(|line| line.contains("doctor: ") && line.contains(said)).then_some(());
        assert!(wait_until(LONG, told).is_some(), "{said}: {}", site.server.log());
    }
    let own: String = site.server.log().lines().filter(|line| line.contains("doctor: ")).collect();
    assert!(!own.contains("evil.example"), "{own}");
}

#[test]
fn a_flood_of_strangers_neither_fills_nor_hides_anything() {
    let site = plan().start();
    assert!(wait_until(LONG, || (status(&site, &token(&site, json!({}))) == 200).then_some(())).is_some());
    let real = token(&site, json!({"iss": "https://outer.example/realms/orthanc"}));
    assert_eq!(status(&site, &real), 403);
    let other = Key::generate("other-key", Algorithm::Es256).unwrap();
    let mut claims = site.provider.claims("mallory", &[]);
    for number in 0..60 {
        claims["iss"] = json!(format!("https://{number}.example/{}", "x".repeat(500)));
        assert_eq!(status(&site, &other.token(&claims).unwrap()), 403);
    }
    let findings = examine(&site);
    assert_says(
        &find(&findings, "IssuerNotAccepted").unwrap(),
        "error",
        &["https://outer.example/realms/orthanc", "once"],
    );
    let strangers: Vec<&Value> = findings.iter().filter(|finding| finding["Code"] == "UnknownIssuer").collect();
    assert!((1..=8).contains(&strangers.len()), "{}", strangers.len());
    assert!(strangers.iter().all(|finding| finding["Message"].as_str().unwrap().len() < 500));
}

#[test]
fn a_provider_that_is_away_is_named_with_address_reason_and_time() {
    let provider = Provider::start().unwrap();
    provider.behave(Behaviour::Down);
    let site =
        plan().section(json!({"Keycloak": {"Url": provider.url(), "Realm": Provider::REALM}})).start_with(provider);
    let url = format!("{}realms/orthanc/protocol/openid-connect/certs", site.provider.url());
    let finding = wait_for(&site, "KeysUnreachable");
    assert_says(
        &finding,
        "error",
        &[&url, "refused", "since 20", "Authorization.Keycloak.Url", "no token can be verified"],
    );
    let summary = site.server.wait_for_log("doctor: errors: 1, warnings: 0: KeysUnreachable", LONG).unwrap();
    assert!(summary.starts_with('W') && summary.contains("GET /auth/doctor"), "{summary}");

    // It comes: healed without anybody's doing.
    site.provider.behave(Behaviour::Serve);
    wait_without(&site, "KeysUnreachable");
    assert_eq!(examine(&site), Vec::<Value>::new());

    // Only its discovery document is missing. Asked for again by the doctor.
    site.provider.discovery("issuer", Value::Null);
    let finding = wait_for(&site, "DiscoveryUnreachable");
    assert_says(&finding, "warning", &["openid-configuration", "AcceptedIssuers"]);

    // It goes: the keys stay in force.
    site.provider.behave(Behaviour::Always { status: 503, body: "{\"error\": \"out of order\"}".to_owned() });
    let finding = wait_for(&site, "KeysUnreachable");
    assert_says(&finding, "warning", &["503: out of order", "stay in force"]);
}

#[test]
fn clocks_that_differ_are_seen_from_the_providers_answers() {
    let provider = Provider::start().unwrap();
    provider.date_ahead(0);
    let site = plan().start_with(provider);
    assert!(wait_until(LONG, || (status(&site, &token(&site, json!({}))) == 200).then_some(())).is_some());
    assert_eq!(examine(&site), Vec::<Value>::new());
    site.provider.date_ahead(95);
    let finding = wait_for(&site, "ClockSkew");
    assert_says(&finding, "error", &["ahead of this server's", "NTP", "LeewaySeconds (10)"]);
    site.provider.date_ahead(-3600);
    let behind =
        || find(&examine(&site), "ClockSkew").filter(|finding| finding["Message"].as_str().unwrap().contains("behind"));
    assert_says(&wait_until(LONG, behind).unwrap(), "error", &["behind this server's", "too early"]);
}

#[test]
fn what_the_configuration_shows_is_said_with_the_line_to_change() {
    let weak = testbed::password_hash("x").unwrap();
    let site = plan()
        .server(&json!({
            "DicomServerEnabled": true, "DicomPort": testbed::orthanc::free_port().unwrap(), "DicomAlwaysAllowFind": true,
            "OrthancExplorer2": {"Keycloak": {
                "Enable": true, "Url": "https://outer.example/keycloak/", "Realm": "orthanc", "ClientId": "orthanc",
            }},
        }))
        .section(json!({
            "PublicUrl": "https://pacs.example/orthanc/",
            "Login": {"Enable": true},
            "AnonymousProfile": {"name": "Anonymous", "permissions": ["view"], "authorized-labels": []},
            "Shares": {"SecretKey": "short, but not too", "PublicOrthancRoot": "http://site.test/"},
        }));
    let mut users = json!({"admin": {"PasswordHash": testbed::password_hash(crate::site::PASSWORD).unwrap(), "Roles": ["admin-role"]}});
    users["typist"] = json!({"PasswordHash": weak, "Roles": ["typist-role"]});
    let site = site.section(json!({"Users": users})).start();
    let findings = examine(&site);
    let get = |code| find(&findings, code).unwrap_or_else(|| panic!("no {code} in {findings:#?}"));
    assert_says(&get("DicomPortOpen"), "error", &["DicomAlwaysAllowFind", "DicomServerEnabled", "firewall"]);
    assert_says(&get("ShortSecretKey"), "warning", &["Authorization.Shares.SecretKey", "openssl rand"]);
    assert_says(&get("AnonymousPermissions"), "warning", &["view", "AnonymousProfile"]);
    assert_says(&get("UnknownRole"), "warning", &["Authorization.Users.typist.Roles", "typist-role"]);
    assert_says(&get("NoTrustedProxies"), "warning", &["TrustedProxies"]);
    let finding = wait_for(&site, "ExplorerIssuerNotAccepted");
    assert_says(
        &finding,
        "error",
        &[
            "https://outer.example/keycloak/realms/orthanc",
            "\"AcceptedIssuers\": [\"https://outer.example/keycloak/realms/orthanc\"]",
        ],
    );
    let summary = site.server.wait_for_log("doctor: errors: ", LONG).unwrap();
    for code in ["DicomPortOpen", "ShortSecretKey", "UnknownRole (Authorization.Users.typist.Roles)"] {
        assert!(summary.contains(code), "{summary}");
    }
}

#[test]
fn a_restored_backup_is_a_finding_and_a_missing_alarm_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = plan().folder(folder.path()).start();
    let remove = |site: &Site, id: &str| {
        assert_eq!(site.delete(&Who::user("admin"), &format!("/auth/api-keys/{id}")).status, 200);
    };
    let (first, _) = site.make_key(&Who::user("admin"), &json!({"Name": "removed before the backup"}));
    let (second, _) = site.make_key(&Who::user("admin"), &json!({"Name": "removed after it"}));
    remove(&site, &first);
    site.server.stop().unwrap();
    let index = folder.path().join("index");
    let backup = std::fs::read(index.join("authorization.db")).unwrap();
    site.start_again();
    remove(&site, &second);
    site.server.stop().unwrap();
    for ending in ["-wal", "-shm"] {
        // Gone already when the server closed its state in good order.
        let _ = std::fs::remove_file(index.join(format!("authorization.db{ending}")));
    }
    std::fs::write(index.join("authorization.db"), backup).unwrap();
    site.start_again();
    let finding = wait_for(&site, "StateRolledBack");
    assert_says(&finding, "error", &["a backup was restored", "…epoch"]);
    // The advice.
    site.server.stop().unwrap();
    std::fs::remove_file(index.join("authorization.db.epoch")).unwrap();
    site.start_again();
    assert_says(&wait_for(&site, "StateWarning"), "warning", &["missing"]);
    site.restart();
    assert_eq!(examine(&site), Vec::<Value>::new());
}
