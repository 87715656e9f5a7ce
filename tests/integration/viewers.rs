//! Viewers on other origins: launched by code, their tokens renewed, and what ends them.
use crate::site::{Image, Images, OneEach, PASSWORD, Plan, Site, Who};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use testbed::clock::wait_until;
use testbed::{Answer, Request, Version};

pub const OHIF: &str = "ohif-viewer-publication";
pub const ROOT: &str = "https://pacs.test/orthanc";
pub const ISSUER: &str = "https://pacs.test/orthanc/auth/oidc";
pub const VIEWER: &str = "https://viewer.test";
pub const CALLBACK: &str = "https://viewer.test/ohif/callback";
/// Another viewer, as well known here as the first.
pub const OTHER: &str = "https://other.test:8443";
pub const OTHER_CALLBACK: &str = "https://other.test:8443/callback";
/// Of every launch; what is tested is whether it is shown.
pub const VERIFIER: &str = "a-verifier-of-a-test-that-is-long-enough-for-rfc-7636";

pub fn plan(version: Version) -> Plan {
    let shares = json!({
        "PublicOrthancRoot": format!("{ROOT}/"), "PublicOhifRoot": format!("{VIEWER}/ohif/"), "SecretKey": crate::site::SHARE_KEY,
        "ViewerOrigins": [VIEWER, OTHER],
    });
    Plan::new(version).section(json!({"Shares": shares, "Login": {"Enable": true}}))
}

/// A site with images, one for each version: whoever changes an image uploads one.
pub fn site(version: Version) -> &'static (Site, Images) {
    static SITES: OneEach<(Site, Images)> = OneEach::new();
    SITES.of(version).get_or_init(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared-sites");
        let site =
            plan(version).folder(&all.join(format!("{}-viewers-{}", std::process::id(), version.suite()))).start();
        let images = site.fill();
        (site, images)
    })
}

/// A link with these further members.
pub fn link(site: &Site, who: &Who, link_type: &str, study: &Image, more: &Value) -> Value {
    let mut body = json!({"Resources": [{"OrthancId": study.ids.study, "Level": "study"}]});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    site.put(who, &format!("/auth/tokens/{link_type}"), &body).expect_status(200).unwrap().json().unwrap()
}

/// The path of a URL of the site.
pub fn path(url: &Value) -> String {
    url.as_str().unwrap().strip_prefix(ROOT).unwrap_or_else(|| panic!("{url}")).to_owned()
}

/// A navigation of a browser, from wherever.
pub fn page(path: &str, cookie: Option<&str>) -> Request {
    let request = Request::get(path)
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Site", "cross-site")
        .header("Sec-Fetch-Dest", "document");
    cookie.into_iter().fold(request, |request, cookie| request.header("Cookie", cookie))
}

pub fn cookie(answer: &Answer) -> String {
    let line = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {} {}", answer.status, answer.text()));
    line.split(';').next().unwrap().to_owned()
}

/// What a browser holds that has opened a link.
pub fn open(site: &Site, link: &Value) -> String {
    let answer = site.send(&Who::nobody(), page(&path(&link["ShortUrl"]), None));
    assert_eq!(answer.status, 303, "{}", answer.text());
    cookie(&answer)
}

pub fn log_in(site: &Site, user: &str) -> String {
    let form = format!("user={user}&password={}&return=/", PASSWORD.replace(' ', "+"));
    let request = Request::post("/auth/login", form).header("Sec-Fetch-Site", "same-origin");
    cookie(&site.send(&Who::nobody(), request.header("Sec-Fetch-Mode", "navigate")))
}

pub fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, VERIFIER.as_bytes()))
}

/// The arguments of a sound authorization request.
pub fn asked() -> Vec<(&'static str, String)> {
    [
        ("client_id", VIEWER),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", "openid"),
        ("state", "the state"),
        ("nonce", "the nonce"),
        ("code_challenge", &challenge()),
        ("code_challenge_method", "S256"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

pub fn replaced(name: &'static str, value: &str) -> Vec<(&'static str, String)> {
    let mut arguments = asked();
    arguments.retain(|(key, _)| *key != name);
    arguments.push((name, value.to_owned()));
    arguments
}

pub fn authorize(site: &Site, cookie: Option<&str>, arguments: &[(&str, String)]) -> Answer {
    let query: Vec<String> = arguments.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    site.send(&Who::nobody(), page(&format!("/auth/oidc/authorize?{}", query.join("&")), cookie))
}

/// The members of the query that a browser is sent to a viewer with.
pub fn sent_to(answer: &Answer, address: &str) -> Vec<(String, String)> {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let location = answer.header("location").unwrap();
    let query = location.strip_prefix(address).and_then(|rest| rest.strip_prefix('?'));
    let query = query.unwrap_or_else(|| panic!("{location} instead of {address}"));
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

pub fn member(members: &[(String, String)], name: &str) -> String {
    members.iter().find(|(key, _)| key == name).unwrap_or_else(|| panic!("no {name} in {members:?}")).1.clone()
}

/// A code for whatever the browser holds.
pub fn code(site: &Site, cookie: &str) -> String {
    member(&sent_to(&authorize(site, Some(cookie), &asked()), CALLBACK), "code")
}

pub fn ask(site: &Site, form: &[(&str, &str)]) -> Answer {
    ask_from(site, Some(VIEWER), form)
}

pub fn ask_from(site: &Site, origin: Option<&str>, form: &[(&str, &str)]) -> Answer {
    let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let request = Request::post("/auth/oidc/token", body.join("&"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Sec-Fetch-Mode", "cors")
        .header("Sec-Fetch-Site", "cross-site");
    site.send(&Who::nobody(), origin.into_iter().fold(request, |request, origin| request.header("Origin", origin)))
}

pub fn with_code(code: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("client_id", VIEWER),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]
}

pub fn with_refresh_token(token: &str) -> Vec<(&str, &str)> {
    vec![("grant_type", "refresh_token"), ("client_id", VIEWER), ("refresh_token", token)]
}

#[derive(Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub id: Option<String>,
}

pub fn given(answer: &Answer) -> Tokens {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json().unwrap();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(300)));
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    Tokens { access: text("access_token").unwrap(), refresh: text("refresh_token").unwrap(), id: text("id_token") }
}

/// The error that a client is told.
pub fn refused(answer: &Answer) -> String {
    assert_eq!(answer.status, 400, "{}", answer.text());
    let body: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(body["access_token"], Value::Null);
    body["error"].as_str().unwrap().to_owned()
}

/// From a link to tokens.
pub fn launch(site: &Site, link: &Value) -> Tokens {
    given(&ask(site, &with_code(&code(site, &open(site, link)))))
}

pub fn metadata(study: &Image) -> String {
    study.fill("/dicom-web/studies/{study-uid}/metadata")
}

/// What a viewer's script gets.
pub fn status(site: &Site, access: &str, path: &str) -> u16 {
    let request = Request::get(path).header("Origin", VIEWER).header("Sec-Fetch-Site", "cross-site");
    site.send(&Who::bearer(access), request.header("Sec-Fetch-Mode", "cors")).status
}

#[test]
fn a_viewer_elsewhere_is_launched_by_code_and_renews_its_tokens() {
    for version in Version::tested() {
        let (site, images) = site(version);
        let external = Who::user("external");
        let link = link(site, &external, OHIF, &images.allowed, &json!({}));
        // No URL of such a link has a token.
        assert_eq!(link["Url"], link["ShortUrl"], "{version:?}");
        let decoded = site.post(
            &Who::nobody(),
            "/auth/tokens/decode",
            &json!({"TokenKey": "token", "TokenValue": link["Token"]}),
        );
        assert_eq!(decoded.json().unwrap()["RedirectUrl"], link["ShortUrl"], "{version:?}");
        let opened = site.send(&Who::nobody(), page(&path(&link["ShortUrl"]), None));
        let viewer = format!("{VIEWER}/ohif/viewer?StudyInstanceUIDs={}", images.allowed.study_uid);
        assert_eq!((opened.status, opened.header("location")), (303, Some(viewer.as_str())), "{version:?}");
        let cookie = cookie(&opened);

        let document = site.get(&Who::nobody(), "/auth/oidc/.well-known/openid-configuration").json().unwrap();
        assert_eq!(document["issuer"], ISSUER);
        for (name, place) in
            [("authorization_endpoint", "authorize"), ("token_endpoint", "token"), ("jwks_uri", "jwks")]
        {
            assert_eq!(document[name], format!("{ISSUER}/{place}"));
        }

        let answer = authorize(site, Some(&cookie), &asked());
        for (name, value) in [("referrer-policy", "no-referrer"), ("cache-control", "no-store")] {
            assert_eq!(answer.header(name), Some(value), "{version:?}");
        }
        let members = sent_to(&answer, CALLBACK);
        assert_eq!((member(&members, "state").as_str(), member(&members, "iss").as_str()), ("the state", ISSUER));
        let answer = ask(site, &with_code(&member(&members, "code")));
        for (name, value) in
            [("access-control-allow-origin", VIEWER), ("cache-control", "no-store"), ("vary", "Origin")]
        {
            assert_eq!(answer.header(name), Some(value), "{version:?}");
        }
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        let tokens = given(&answer);

        // The ID token says nothing of anybody.
        let keys: JwkSet = serde_json::from_value(site.get(&Who::nobody(), "/auth/oidc/jwks").json().unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[VIEWER]);
        validation.set_issuer(&[ISSUER]);
        let id =
            decode::<Value>(tokens.id.as_deref().unwrap(), &DecodingKey::from_jwk(&keys.keys[0]).unwrap(), &validation);
        let claims = id.unwrap().claims;
        assert_eq!(claims["nonce"], "the nonce");
        let mut names: Vec<&str> = claims.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["at_hash", "aud", "exp", "iat", "iss", "nonce", "sub"]);
        assert_eq!(claims["sub"].as_str().unwrap().len(), 32);

        assert_eq!(status(site, &tokens.access, &metadata(&images.allowed)), 200, "{version:?}");
        let renewed = given(&ask(site, &with_refresh_token(&tokens.refresh)));
        assert!(renewed.id.is_none() && renewed.access != tokens.access && renewed.refresh != tokens.refresh);
        for access in [&tokens.access, &renewed.access] {
            assert_eq!(status(site, access, &metadata(&images.allowed)), 200, "{version:?}");
            assert_eq!(status(site, access, &metadata(&images.foreign)), 403, "{version:?}");
        }
        let third = given(&ask(site, &with_refresh_token(&renewed.refresh)));

        // Taken back: the next request of each is refused, and nothing is renewed.
        let id = link["ID"].as_str().unwrap();
        assert_eq!(site.delete(&external, &format!("/auth/shares/{id}")).status, 200);
        for access in [&tokens.access, &renewed.access, &third.access] {
            assert_eq!(status(site, access, &metadata(&images.allowed)), 403, "{version:?}");
        }
        assert_eq!(refused(&ask(site, &with_refresh_token(&third.refresh))), "invalid_grant", "{version:?}");
        // No secret of it went into the log.
        let log = site.server.log();
        for secret in [&tokens.access, &tokens.refresh, &renewed.access, &renewed.refresh, &third.refresh] {
            assert!(!log.contains(secret.as_str()), "{version:?}");
        }
    }
}

#[test]
fn each_link_gives_what_it_gives_elsewhere() {
    for version in Version::tested() {
        let (site, images) = site(version);
        let external = Who::user("external");
        let archive = images.allowed.fill("/studies/{study}/archive");
        let free = launch(site, &link(site, &external, OHIF, &images.allowed, &json!({})));
        assert_eq!(status(site, &free.access, &archive), 200, "{version:?}");
        let bound = link(site, &external, OHIF, &images.allowed, &json!({"Download": false}));
        let bound = launch(site, &bound);
        assert_eq!(status(site, &bound.access, &archive), 403, "{version:?}");
        assert_eq!(status(site, &bound.access, &metadata(&images.allowed)), 200, "{version:?}");

        // What asks for something asks for it at its own page; then the code is got as ever.
        let asks = link(site, &external, OHIF, &images.allowed, &json!({"Pin": "4711-x", "MaxOpenings": 1}));
        let submit = |pin: &str| {
            let form =
                Request::post(&path(&asks["ShortUrl"]), format!("pin={pin}")).header("Sec-Fetch-Site", "same-origin");
            site.send(&Who::nobody(), form.header("Sec-Fetch-Mode", "navigate"))
        };
        assert_eq!(submit("wrong").header("set-cookie"), None);
        let tokens = given(&ask(site, &with_code(&code(site, &cookie(&submit("4711-x"))))));
        assert_eq!(status(site, &tokens.access, &metadata(&images.allowed)), 200, "{version:?}");

        // Of several links in one browser, the one that the viewer names, else the last.
        let second = link(site, &Who::user("doctor"), OHIF, &images.foreign, &json!({}));
        let both = {
            let first = open(site, &link(site, &external, OHIF, &images.allowed, &json!({})));
            cookie(&site.send(&Who::nobody(), page(&path(&second["ShortUrl"]), Some(&first))))
        };
        let opens = |arguments: &[(&str, String)]| {
            let members = sent_to(&authorize(site, Some(&both), arguments), CALLBACK);
            let access = given(&ask(site, &with_code(&member(&members, "code")))).access;
            [&images.allowed, &images.foreign].map(|study| status(site, &access, &metadata(study)))
        };
        assert_eq!(opens(&asked()), [403, 200], "{version:?}");
        assert_eq!(opens(&replaced("login_hint", &images.allowed.study_uid)), [200, 403], "{version:?}");
        assert_eq!(opens(&replaced("login_hint", second["ID"].as_str().unwrap())), [403, 200], "{version:?}");
    }
}

#[test]
fn somebody_who_is_logged_in_launches_a_viewer_for_what_it_names() {
    for version in Version::tested() {
        let (site, images) = site(version);
        let session = log_in(site, "external");
        let hint = replaced("login_hint", &images.allowed.study_uid);
        let start = || {
            let members = sent_to(&authorize(site, Some(&session), &hint), CALLBACK);
            given(&ask(site, &with_code(&member(&members, "code"))))
        };
        let tokens = start();
        assert_eq!(status(site, &tokens.access, &metadata(&images.allowed)), 200, "{version:?}");
        assert_eq!(status(site, &tokens.access, &metadata(&images.mixed)), 403, "{version:?}: this study alone");
        // It stands among the links of its maker, once for all launches.
        let listed = || {
            let path = format!("/auth/shares?resource={}", images.allowed.study_uid);
            let shares = site.get(&Who::user("external"), &path).json().unwrap();
            let own = |share: &&Value| share["Type"] == "viewer-instant-link" && share["Recipient"] == "external";
            shares.as_array().unwrap().iter().filter(own).count()
        };
        start();
        assert_eq!(listed(), 1, "{version:?}");

        let error = |arguments: &[(&str, String)], cookie: Option<&str>| {
            member(&sent_to(&authorize(site, cookie, arguments), CALLBACK), "error")
        };
        for study in [&images.foreign.study_uid, "1.2.3.4"] {
            assert_eq!(error(&replaced("login_hint", study), Some(&session)), "access_denied", "{version:?} {study}");
        }
        assert_eq!(error(&asked(), Some(&session)), "access_denied", "{version:?}: it names nothing");
        // Nobody: to the login, with the way back; or an error where nothing may be shown.
        let answer = authorize(site, None, &hint);
        let location = answer.header("location").unwrap().to_owned();
        assert!(location.starts_with("../login?return=/auth/oidc/authorize"), "{version:?} {location}");
        let form = site.get(&Who::nobody(), &format!("/auth/{}", location.strip_prefix("../").unwrap())).text();
        let field = form.split("name=\"return\"").nth(1).unwrap_or_else(|| panic!("{form}"));
        assert!(field.contains("/auth/oidc/authorize?") && field.contains("code_challenge"), "{version:?} {form}");
        let mut silent = hint.clone();
        silent.push(("prompt", "none".to_owned()));
        assert_eq!(error(&silent, None), "login_required", "{version:?}");
        // A frame of another page gets nothing by the cookie.
        let query: Vec<String> = silent.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let framed = Request::get(&format!("/auth/oidc/authorize?{}", query.join("&")))
            .header("Sec-Fetch-Mode", "navigate")
            .header("Sec-Fetch-Site", "cross-site")
            .header("Sec-Fetch-Dest", "iframe")
            .header("Cookie", &session);
        assert_eq!(member(&sent_to(&site.send(&Who::nobody(), framed), CALLBACK), "error"), "login_required");
        // Nobody without a study named is told to open the link.
        let answer = authorize(site, None, &asked());
        assert!(answer.status == 200 && answer.text().contains("once more"), "{version:?} {}", answer.text());

        let logout =
            Request::post("/auth/logout", "").header("Sec-Fetch-Site", "same-origin").header("Cookie", &session);
        site.send(&Who::nobody(), logout.header("Sec-Fetch-Mode", "navigate"));
        assert_eq!(status(site, &tokens.access, &metadata(&images.allowed)), 403, "{version:?}: logged out");
        assert_eq!(refused(&ask(site, &with_refresh_token(&tokens.refresh))), "invalid_grant", "{version:?}");
    }
}

#[test]
fn what_ends_a_link_ends_its_viewers() {
    for version in Version::tested() {
        let (site, images) = site(version);
        let external = Who::user("external");
        let end = |link: &Value| {
            let path = format!("/auth/shares/{}", link["ID"].as_str().unwrap());
            assert_eq!(site.delete(&external, &path).status, 200);
        };
        // Between the opening and the code, and between the code and its tokens.
        let first = link(site, &external, OHIF, &images.allowed, &json!({}));
        let cookie = open(site, &first);
        let code = code(site, &cookie);
        end(&first);
        assert_eq!(refused(&ask(site, &with_code(&code))), "invalid_grant", "{version:?}");
        assert!(authorize(site, Some(&cookie), &asked()).text().contains("once more"), "{version:?}");

        // With the right of whoever made it.
        let name = format!("Labelled and not {version:?}");
        let instance = testbed::dicom::Instance::named(&name, "study", "series", "instance");
        let study = site.upload(&instance, &["external"]);
        let tokens = launch(site, &link(site, &external, OHIF, &study, &json!({})));
        assert_eq!(status(site, &tokens.access, &metadata(&study)), 200, "{version:?}");
        assert_eq!(site.delete(&site.admin(), &format!("/studies/{}/labels/external", study.ids.study)).status, 200);
        let ended = || (status(site, &tokens.access, &metadata(&study)) == 403).then_some(());
        assert!(wait_until(Duration::from_secs(5), ended).is_some(), "{version:?}");

        // With its end.
        let short = link(site, &external, OHIF, &images.allowed, &json!({"ValidityDuration": 2}));
        let opened = open(site, &short);
        let answer = ask(site, &with_code(&self::code(site, &opened)));
        let life = answer.json().unwrap()["expires_in"].as_i64().unwrap();
        assert!((0..=2).contains(&life), "{version:?} {life}");
    }
}
