//! The launch of viewers under attack: stolen codes and tokens, addresses that are nearly right, tokens of another
//! kind.
use crate::site::{SHARE_KEY, Who};
use crate::viewers::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use testbed::{Request, Version};

#[test]
fn a_code_counts_once_and_for_whom_it_was_made() {
    for version in Version::tested() {
        let (site, images) = site(version);
        let opened = open(site, &link(site, &Who::user("external"), OHIF, &images.allowed, &json!({})));
        // A second time ends what the first gave.
        let first = code(site, &opened);
        let tokens = given(&ask(site, &with_code(&first)));
        assert_eq!(status(site, &tokens.access, &metadata(&images.allowed)), 200, "{version:?}");
        assert_eq!(refused(&ask(site, &with_code(&first))), "invalid_grant", "{version:?}");
        assert_eq!(status(site, &tokens.access, &metadata(&images.allowed)), 403, "{version:?}");
        assert_eq!(refused(&ask(site, &with_refresh_token(&tokens.refresh))), "invalid_grant", "{version:?}");
        // What else the browser opened goes on.
        let others = given(&ask(site, &with_code(&code(site, &opened))));
        assert_eq!(status(site, &others.access, &metadata(&images.allowed)), 200, "{version:?}");

        // Two at once: one of them at most, and then neither.
        let raced = code(site, &opened);
        let answers = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| ask(site, &with_code(&raced)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert!(won.len() <= 1, "{version:?}");
        for answer in won {
            assert_eq!(status(site, &given(answer).access, &metadata(&images.allowed)), 403, "{version:?}");
        }

        let changed = |name: &'static str, value: &'static str| {
            let code = code(site, &opened);
            let mut form = with_code(&code);
            form.retain(|(key, _)| *key != name);
            form.push((name, value));
            let origin = if name == "client_id" { None } else { Some(VIEWER) };
            let error = refused(&ask_from(site, origin, &form));
            // There is no second guess.
            assert_eq!(refused(&ask(site, &with_code(&code))) == "invalid_grant", error == "invalid_grant", "{name}");
            error
        };
        for (name, value) in [
            ("code_verifier", "another-verifier-of-a-test-that-is-long-enough-too"),
            ("code_verifier", "short"),
            ("client_id", OTHER),
            ("redirect_uri", OTHER_CALLBACK),
            ("redirect_uri", "https://viewer.test/ohif/callback/"),
            ("redirect_uri", "https://evil.test/callback"),
        ] {
            assert_eq!(changed(name, value), "invalid_grant", "{version:?} {name} {value}");
        }
        // Whoever shows nothing does not use it up.
        let code = code(site, &opened);
        for (name, error) in
            [("code_verifier", "invalid_request"), ("redirect_uri", "invalid_request"), ("client_id", "invalid_client")]
        {
            let mut form = with_code(&code);
            form.retain(|(key, _)| *key != name);
            assert_eq!(refused(&ask(site, &form)), error, "{version:?} without {name}");
        }
        let mut stranger = with_code(&code);
        stranger[1] = ("client_id", "https://evil.test");
        assert_eq!(refused(&ask(site, &stranger)), "invalid_client", "{version:?}");
        // Nor a page of another origin, not even a registered one, nor one of none.
        for origin in [OTHER, "https://evil.test", "null"] {
            assert_eq!(
                refused(&ask_from(site, Some(origin), &with_code(&code))),
                "invalid_request",
                "{version:?} {origin}"
            );
        }
        given(&ask_from(site, None, &with_code(&code)));
        for nothing in ["", "x", &"x".repeat(43), &code[1..]] {
            assert_ne!(refused(&ask(site, &with_code(nothing))), "", "{version:?}");
        }
    }
}

#[test]
fn nobody_is_sent_to_an_address_that_is_nearly_right() {
    for version in Version::tested() {
        let (site, images) = site(version);
        let opened = open(site, &link(site, &Who::user("external"), OHIF, &images.allowed, &json!({})));
        for uri in [
            "https://evil.test/callback",
            "https://viewer.test@evil.test/ohif/callback",
            "https://user:password@viewer.test/ohif/callback",
            "https://viewer.test.evil.test/ohif/callback",
            "https://evil.test/https://viewer.test/ohif/callback",
            "https://viewer.test/ohif/callback/../../evil",
            "https://viewer.test/ohif/../ohif/callback",
            "https://viewer.test/ohif/callback/",
            "https://viewer.test/ohif/callbackevil",
            "https://viewer.test/ohif/callbac",
            "https://viewer.test/ohif/Callback",
            "https://VIEWER.test/ohif/callback",
            "HTTPS://viewer.test/ohif/callback",
            "http://viewer.test/ohif/callback",
            "https://viewer.test:443/ohif/callback",
            "https://viewer.test:8443/ohif/callback",
            "https://viewer.test/ohif/callback?evil",
            "https://viewer.test/ohif/callback#evil",
            "https://viewer.test/ohif/callback%2f",
            "https://viewer.test/ohif/%63allback",
            "https://viewer.test\\@evil.test/ohif/callback",
            "https://viewer.test/ohif/callback\r\nLocation: https://evil.test",
            "//viewer.test/ohif/callback",
            "/ohif/callback",
            "javascript:alert(1)",
            OTHER_CALLBACK,
            "",
        ] {
            let answer = authorize(site, Some(&opened), &replaced("redirect_uri", uri));
            assert_eq!((answer.status, answer.header("location")), (200, None), "{version:?} {uri:?}");
            assert!(answer.text().contains("not registered"), "{version:?} {uri:?}: {}", answer.text());
        }
        for client in ["", "https://evil.test", "https://viewer.test/", "https://VIEWER.test", "viewer", OTHER] {
            let answer = authorize(site, Some(&opened), &replaced("client_id", client));
            assert_eq!((answer.status, answer.header("location")), (200, None), "{version:?} {client:?}");
        }
        let log = site.server.log();
        assert!(log.contains("client_id \"https://evil.test\", redirect_uri "), "{version:?}: {log}");
        assert!(log.contains("redirect_uri \"https://viewer.test/ohif/callbackevil\""), "{version:?}: {log}");
        // One of two: which of them counts is nobody's guess.
        for uri in ["https://evil.test/callback", CALLBACK] {
            let mut twice = asked();
            twice.insert(0, ("redirect_uri", uri.to_owned()));
            assert_eq!(authorize(site, Some(&opened), &twice).header("location"), None, "{version:?} {uri}");
        }
        // Told at the right address: no code without PKCE, and none in a fragment.
        for (name, value, error) in [
            ("code_challenge_method", "plain", "invalid_request"),
            ("code_challenge_method", "", "invalid_request"),
            ("code_challenge", "", "invalid_request"),
            ("response_type", "token", "unsupported_response_type"),
            ("response_type", "code id_token", "unsupported_response_type"),
            ("response_mode", "fragment", "invalid_request"),
            ("scope", "offline_access", "invalid_scope"),
        ] {
            let answer = authorize(site, Some(&opened), &replaced(name, value));
            let members = sent_to(&answer, CALLBACK);
            assert_eq!(member(&members, "error"), error, "{version:?} {name}={value}");
            assert_eq!(member(&members, "state"), "the state", "{version:?}");
            assert!(!members.iter().any(|(name, _)| name == "code"), "{version:?} {name}={value}");
        }
        // What stands in state is one value and stays one.
        let hostile = "x\r\nSet-Cookie: a=b#<script>";
        let members = sent_to(&authorize(site, Some(&opened), &replaced("state", hostile)), CALLBACK);
        assert_eq!(member(&members, "state"), hostile, "{version:?}");
        // A code is nobody's who has opened nothing, whatever else they show.
        let token =
            link(site, &Who::user("external"), OHIF, &images.allowed, &json!({}))["Token"].as_str().unwrap().to_owned();
        let query: Vec<String> = asked().iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let path = format!("/auth/oidc/authorize?{}", query.join("&"));
        for who in
            [Who::bearer(&token), Who::token(&token), Who::argument(&token), Who::user("admin"), Who::user("external")]
        {
            let answer = site.send(&who, page(&path, None));
            assert_eq!(answer.header("location"), None, "{version:?} {who:?}");
        }
    }
}

#[test]
fn an_old_refresh_token_ends_all_that_came_of_it() {
    for version in Version::tested() {
        let (site, images) = site(version);
        let link = link(site, &Who::user("external"), OHIF, &images.allowed, &json!({}));
        let first = launch(site, &link);
        let second = given(&ask(site, &with_refresh_token(&first.refresh)));
        let third = given(&ask(site, &with_refresh_token(&second.refresh)));
        assert_eq!(refused(&ask(site, &with_refresh_token(&first.refresh))), "invalid_grant", "{version:?}");
        for tokens in [&first, &second, &third] {
            assert_eq!(status(site, &tokens.access, &metadata(&images.allowed)), 403, "{version:?}");
            assert_eq!(refused(&ask(site, &with_refresh_token(&tokens.refresh))), "invalid_grant", "{version:?}");
        }
        // The link itself goes on.
        let again = launch(site, &link);
        // One token at once from several sides: one of them at most, and then neither.
        let answers = std::thread::scope(|scope| {
            let ask = || ask(site, &with_refresh_token(&again.refresh));
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).map(given).collect();
        assert!(won.len() <= 1, "{version:?}");
        for tokens in won.iter().chain([&again]) {
            assert_eq!(status(site, &tokens.access, &metadata(&images.allowed)), 403, "{version:?}");
            assert_eq!(refused(&ask(site, &with_refresh_token(&tokens.refresh))), "invalid_grant", "{version:?}");
        }

        // Another client gets nothing for it, and ends nothing.
        let mine = launch(site, &link);
        let mut theirs = with_refresh_token(&mine.refresh);
        theirs[1] = ("client_id", OTHER);
        assert_eq!(refused(&ask_from(site, Some(OTHER), &theirs)), "invalid_grant", "{version:?}");
        assert_eq!(refused(&ask_from(site, None, &theirs)), "invalid_grant", "{version:?}");
        for nothing in ["x", "x.y", ".", &mine.access, &mine.refresh.replace('.', ""), &mine.refresh[1..]] {
            assert_eq!(refused(&ask(site, &with_refresh_token(nothing))), "invalid_grant", "{version:?} {nothing}");
        }
        assert_eq!(status(site, &mine.access, &metadata(&images.allowed)), 200, "{version:?}");
        given(&ask(site, &with_refresh_token(&mine.refresh)));
    }
}

#[test]
fn a_viewers_token_opens_its_study_and_nothing_else() {
    for version in Version::tested() {
        let (site, images) = site(version);
        let tokens = launch(site, &link(site, &Who::user("external"), OHIF, &images.allowed, &json!({})));
        let study = &images.allowed;
        for allowed in [
            metadata(study),
            study.fill("/dicom-web/studies/{study-uid}/series"),
            study.fill("/dicom-web/studies?StudyInstanceUID={study-uid}"),
        ] {
            assert_eq!(status(site, &tokens.access, &allowed), 200, "{version:?} {allowed}");
        }
        for path in [
            metadata(&images.foreign),
            metadata(&images.mixed),
            format!("/dicom-web/studies/{}/series/{}/metadata", study.study_uid, images.foreign.series_uid),
            images.foreign.fill("/studies/{study}"),
            images.foreign.fill("/instances/{instance}/file"),
            "/studies".to_owned(),
            "/changes".to_owned(),
            "/statistics".to_owned(),
            "/tools/metrics-prometheus".to_owned(),
            "/auth/shares".to_owned(),
            "/auth/sessions".to_owned(),
            "/auth/api-keys".to_owned(),
            "/auth/doctor".to_owned(),
        ] {
            assert_eq!(status(site, &tokens.access, &path), 403, "{version:?} {path}");
        }
        let bearer = Who::bearer(&tokens.access);
        for request in [
            Request::delete(&study.fill("/studies/{study}")),
            Request::put(&study.fill("/studies/{study}/labels/x"), ""),
            Request::post(&study.fill("/studies/{study}/anonymize"), "{}"),
            Request::post("/instances", testbed::dicom::Instance::named("a", "b", "c", "d").to_bytes()),
            Request::post("/dicom-web/studies", ""),
            Request::put(&format!("/auth/tokens/{OHIF}"), "")
                .json(&json!({"Resources": [{"OrthancId": study.ids.study, "Level": "study"}]})),
            Request::post("/auth/api-keys", "{}"),
            Request::get(&format!("{}?_method=DELETE", study.fill("/studies/{study}"))),
            Request::get(&study.fill("/studies/{study}")).header("X-HTTP-Method-Override", "DELETE"),
        ] {
            let shown = format!("{} {}", request.method, request.path);
            let got = site.send(&bearer, request).status;
            assert!([400, 403].contains(&got), "{version:?} {shown}: {got}");
        }
        assert_eq!(status(site, &tokens.access, &metadata(study)), 200, "{version:?}: it is still there");
        // Nowhere but in its header; and neither it nor the others by another way.
        for secret in [&tokens.access, &tokens.refresh, tokens.id.as_ref().unwrap()] {
            for who in [Who::token(secret), Who::key(secret), Who::argument(secret)] {
                assert_eq!(site.get(&who, &metadata(study)).status, 403, "{version:?}");
            }
            let as_cookie = format!("gatehouse-links={secret}; gatehouse-session={secret}");
            let request = Request::get(&metadata(study)).header("Cookie", &as_cookie);
            assert!([401, 403].contains(&site.send(&Who::nobody(), request).status), "{version:?}");
        }
        for secret in [&tokens.refresh, tokens.id.as_ref().unwrap()] {
            assert_eq!(site.get(&Who::bearer(secret), &metadata(study)).status, 403, "{version:?}");
        }
        // What a browser holds is no token, and a token is nothing that opens links.
        let opened = open(site, &link(site, &Who::user("external"), OHIF, &images.allowed, &json!({})));
        let held = opened.split_once('=').unwrap().1;
        for text in [held.to_owned(), format!("gatehouse-viewer_{held}"), "gatehouse-viewer_".to_owned()] {
            assert_eq!(site.get(&Who::bearer(&text), &metadata(study)).status, 403, "{version:?}");
        }
        for at in [20, tokens.access.len() / 2, tokens.access.len() - 1] {
            let mut bytes = tokens.access.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(site.get(&Who::bearer(&changed), &metadata(study)).status, 403, "{version:?} {at}");
        }
    }
}

#[test]
fn tokens_of_other_kinds_are_not_taken_for_ours() {
    for version in Version::tested() {
        let (site, images) = site(version);
        let study = &images.allowed;
        let tokens = launch(site, &link(site, &Who::user("external"), OHIF, study, &json!({})));
        let id_token = tokens.id.clone().unwrap();
        let keys = site.get(&Who::nobody(), "/auth/oidc/jwks").json().unwrap();
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(id_token.split('.').nth(1).unwrap()).unwrap()).unwrap();
        // As a share token and as an access token of the provider, by every key that is public or guessed from it.
        let resource = json!({"dicom_uid": study.study_uid, "orthanc_id": study.ids.study, "level": "study"});
        let share = json!({
            "id": "x", "resources": [resource], "type": OHIF, "expiration_date": null, "validity_duration": null,
            "jti": "00000000000000000000000000000000", "iat": claims["iat"], "exp": claims["exp"], "sub": "x",
        });
        let mut access = claims.clone();
        access["iss"] = json!(site.provider.issuer());
        access["typ"] = json!("Bearer");
        access["realm_access"] = json!({"roles": ["admin-role"]});
        access["aud"] = json!("account");
        let key = &keys["keys"][0];
        let published = [
            key.to_string(),
            keys.to_string(),
            key["x"].as_str().unwrap().to_owned(),
            key["kid"].as_str().unwrap().to_owned(),
            format!("{}{}", key["x"].as_str().unwrap(), key["y"].as_str().unwrap()),
        ];
        for secret in &published {
            for claims in [&share, &access, &claims] {
                let header = Header { kid: key["kid"].as_str().map(str::to_owned), ..Header::default() };
                let forged =
                    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap();
                assert_eq!(site.get(&Who::bearer(&forged), &metadata(study)).status, 403, "{version:?}");
            }
        }
        // Without any signature, and the good one with another header.
        let parts: Vec<&str> = id_token.split('.').collect();
        let header = |alg: &str| URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "JWT"}).to_string());
        for forged in [
            format!("{}.{}.", header("none"), parts[1]),
            format!("{}.{}.{}", header("none"), parts[1], parts[2]),
            format!("{}.{}.{}", header("HS256"), parts[1], parts[2]),
            format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(access.to_string()), parts[2]),
        ] {
            assert_eq!(site.get(&Who::bearer(&forged), &metadata(study)).status, 403, "{version:?}");
        }
        // Real tokens of other kinds are nothing at the token endpoint.
        let shared = link(site, &Who::user("external"), OHIF, study, &json!({}))["Token"].as_str().unwrap().to_owned();
        let providers = site.token("someone", &["admin-role"]);
        let signed =
            jsonwebtoken::encode(&Header::default(), &share, &EncodingKey::from_secret(SHARE_KEY.as_bytes())).unwrap();
        for token in [&shared, &providers, &signed, &tokens.access, &id_token] {
            assert_eq!(refused(&ask(site, &with_refresh_token(token))), "invalid_grant", "{version:?}");
            assert_eq!(refused(&ask(site, &with_code(token))), "invalid_grant", "{version:?}");
        }
        for grant in ["password", "client_credentials", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer"] {
            let form = [("grant_type", grant), ("client_id", VIEWER), ("username", "admin"), ("assertion", &providers)];
            assert_eq!(refused(&ask(site, &form)), "unsupported_grant_type", "{version:?} {grant}");
        }
    }
}

#[test]
fn answers_are_for_the_origins_of_viewers_alone() {
    for version in Version::tested() {
        let (site, _) = site(version);
        let token = Request::post("/auth/oidc/token", "").header("Content-Type", "application/x-www-form-urlencoded");
        let routes =
            [Request::get("/auth/oidc/.well-known/openid-configuration"), Request::get("/auth/oidc/jwks"), token];
        for request in routes {
            let shown = request.path.clone();
            let answer = |origin: &str| site.send(&Who::nobody(), request.clone().header("Origin", origin));
            for origin in [VIEWER, OTHER] {
                assert_eq!(answer(origin).header("access-control-allow-origin"), Some(origin), "{version:?} {shown}");
            }
            for origin in [
                "https://evil.test",
                "null",
                "",
                "*",
                "http://viewer.test",
                "https://viewer.test:8443",
                "https://viewer.test.evil.test",
                "https://viewer.test/",
                "https://VIEWER.test",
                "https://viewer.test, https://evil.test",
                "https://pacs.test",
            ] {
                let answer = answer(origin);
                let exposed = answer.headers.iter().find(|(name, _)| name.starts_with("access-control-"));
                assert_eq!(exposed, None, "{version:?} {shown} {origin:?}");
                assert_eq!(answer.header("vary"), Some("Origin"), "{version:?} {shown}");
            }
        }
        // No other route of ours is for them.
        for path in ["/auth/user/profile", "/auth/oidc/authorize", "/auth/login"] {
            let answer = site.send(&Who::nobody(), Request::get(path).header("Origin", VIEWER));
            assert_eq!(answer.header("access-control-allow-origin"), None, "{version:?} {path}");
        }
        // Long forms are not read, by whomever.
        let long = format!("grant_type=refresh_token&client_id={}&refresh_token={}", encode(VIEWER), "x".repeat(9_000));
        let form = Request::post("/auth/oidc/token", long).header("Content-Type", "application/x-www-form-urlencoded");
        assert_eq!(refused(&site.send(&Who::nobody(), form)), "invalid_request", "{version:?}");
        let head = "POST /auth/oidc/token HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n";
        assert_eq!(site.server.client().send_raw(head.as_bytes()).unwrap().status, 403, "{version:?}");
        let chunks =
            "POST /auth/oidc/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
        assert_eq!(site.server.client().send_raw(chunks.as_bytes()).unwrap().status, 403, "{version:?}");
        for (request, allowed) in [
            (Request::get("/auth/oidc/token"), "POST"),
            (Request::delete("/auth/oidc/token"), "POST"),
            (Request::post("/auth/oidc/authorize", ""), "GET"),
            (Request::put("/auth/oidc/jwks", ""), "GET"),
        ] {
            let answer = site.send(&Who::nobody(), request);
            assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{version:?}");
        }
        let json = Request::new("POST", "/auth/oidc/token").json(&json!({"grant_type": "refresh_token"}));
        assert_eq!(refused(&site.send(&Who::nobody(), json)), "invalid_request", "{version:?}");
    }
}

#[test]
fn without_origins_there_is_no_provider() {
    let (site, _) = crate::site::shared(Version::tested()[0]);
    for path in ["/auth/oidc/.well-known/openid-configuration", "/auth/oidc/jwks", "/auth/oidc/authorize"] {
        assert_eq!(site.get(&Who::nobody(), path).status, 404, "{path}");
    }
    assert_eq!(site.send(&Who::nobody(), Request::post("/auth/oidc/token", "")).status, 404);
}

#[test]
fn a_restored_backup_gives_out_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = plan(Version::tested()[0]).folder(folder.path()).start();
    let external = Who::user("external");
    let study = site.upload(&testbed::dicom::Instance::named("one", "study", "series", "image"), &["external"]);
    let kept = link(&site, &external, OHIF, &study, &json!({}));
    let ended = link(&site, &external, OHIF, &study, &json!({}));
    let opened = open(&site, &kept);
    let tokens = launch(&site, &kept);
    let code_before = code(&site, &opened);
    site.server.stop().unwrap();
    let database = walk(folder.path(), "authorization.db");
    let backup = std::fs::read(&database).unwrap();
    site.start_again();
    let after = given(&ask(&site, &with_refresh_token(&tokens.refresh)));
    assert_eq!(status(&site, &after.access, &metadata(&study)), 200);
    let id = ended["ID"].as_str().unwrap();
    assert_eq!(site.delete(&external, &format!("/auth/shares/{id}")).status, 200);
    site.server.stop().unwrap();
    std::fs::write(&database, backup).unwrap();
    for more in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{more}", database.display()));
    }
    site.start_again();
    // Neither the code, nor the refresh token that was used, nor a new code.
    for form in [with_code(&code_before), with_refresh_token(&tokens.refresh), with_refresh_token(&after.refresh)] {
        let answer = ask(&site, &form);
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(
            answer.text().contains("temporarily_unavailable") && answer.header("access-control-allow-origin").is_some()
        );
    }
    let members = sent_to(&authorize(&site, Some(&opened), &asked()), CALLBACK);
    assert_eq!(member(&members, "error"), "temporarily_unavailable");
}

/// The file of this name, wherever it is below a folder.
fn walk(folder: &std::path::Path, name: &str) -> std::path::PathBuf {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if entry.file_name().to_string_lossy() == name => return path,
                _ => {}
            }
        }
    }
    panic!("no {name}")
}
