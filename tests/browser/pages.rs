//! Pages: who is sent to log in, our own login page, where a login leads, path prefixes, and servers before 1.12.9.
use crate::scene::{
    BLANK, KEYCLOAK_FORM, fill, keep_for_docs, log_in_at_keycloak, log_in_locally, scene, server, signed_in,
    token_life, uncached, with_keycloak, with_users,
};
use crate::viewer::{viewer_of, wait_for_image};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::Duration;
use testbed::clock::wait_until;
use testbed::orthanc::free_port;
use testbed::proxy::Proxy;
use testbed::webdriver::{self, Browser, Options};
use testbed::{Keycloak, Orthanc, Version};

/// Where a `return` must not lead, and from where it would be on its way.
const ELSEWHERE: [&str; 12] = [
    "https://evil.test/",
    "http://evil.test/",
    "//evil.test/",
    "/\\evil.test/",
    "\\\\evil.test/",
    "/%2fevil.test/",
    "/%5cevil.test/",
    "/\t/evil.test/",
    "/..//evil.test/",
    "/.//evil.test/",
    "/ohif/..//evil.test/",
    "javascript:location='http://evil.test/'",
];

#[test]
fn scripts_without_a_session_get_401_and_no_redirect() {
    let Some(scene) = scene("401 for scripts") else { return };
    let browser = scene.browser_of("viewer", BLANK);
    let study = format!("/studies/{}", scene.other.ids.study);
    assert_eq!(browser.fetch(&study, &uncached()).unwrap(), 200);
    browser.forget_cookies().unwrap();
    for (path, options) in [
        (study.as_str(), json!({"cache": "no-store"})),
        ("/dicom-web/studies", json!({"headers": {"Accept": "application/dicom+json"}})),
        // A page asked for by a script is no page.
        (&study, json!({"cache": "no-store", "headers": {"Accept": "text/html"}})),
        ("/instances", json!({"method": "POST", "body": "x"})),
        (&study, json!({"method": "DELETE"})),
    ] {
        let told = "await fetch(args[0], args[1]).then(answer => [answer.status, answer.redirected, answer.headers.get('www-authenticate')])";
        assert_eq!(browser.run_async(told, &[json!(path), options]).unwrap(), json!([401, false, null]), "{path}");
    }
    // At the provider the session goes on: no password is asked for.
    browser.open(&scene.page(BLANK)).unwrap();
    assert_eq!(browser.url().unwrap(), scene.page(BLANK));
    assert_eq!(browser.fetch(&study, &uncached()).unwrap(), 200);
}

#[test]
fn a_login_leads_nowhere_else() {
    let Some(scene) = scene("open redirects") else { return };
    let browser = Options::default().local_names(&["evil.test"]).start().unwrap();
    scene.log_in(&browser, "doctor", BLANK);
    for wanted in ELSEWHERE {
        let encoded = testbed::keycloak::encode(wanted);
        // The provider knows the user already: all of it is redirects.
        browser.open(&scene.page(&format!("/auth/login?return={encoded}"))).unwrap();
        assert!(browser.url().unwrap().starts_with(&scene.page("/")), "{wanted:?} led to {}", browser.url().unwrap());
        browser.open(&scene.page(&format!("/auth/login?return={wanted}"))).unwrap();
        assert!(browser.url().unwrap().starts_with(&scene.page("/")), "{wanted:?} led to {}", browser.url().unwrap());
    }
    let traffic = browser.traffic().unwrap();
    assert!(traffic.iter().any(|exchange| exchange.url.contains("/auth/callback?")));
    assert!(!traffic.iter().any(|exchange| exchange.url.split('/').nth(2) == Some("evil.test")));
    // Other answers than those of our own logins are for nobody.
    for path in ["/auth/callback?code=x&state=y", "/auth/callback?error=access_denied&state=", "/auth/callback"] {
        browser.open(&scene.page(path)).unwrap();
        assert!(browser.text().unwrap().contains("Sign-in failed"), "{path}");
    }
}

#[test]
fn local_users_log_in_on_a_page_of_ours_in_their_language() {
    if !webdriver::is_available("the login page") {
        return;
    }
    let orthanc = server(Version::Sid).configure(&with_users()).start().unwrap();
    let page = |path: &str| format!("{}{path}", orthanc.url());
    for (languages, heading, problem) in [
        ("de-DE,de,en", "Anmelden", "Unbekannter Benutzername oder falsches Passwort."),
        ("en-US,en", "Sign in", "Unknown user name or wrong password."),
    ] {
        let browser = Options::default().languages(languages).start().unwrap();
        browser.open(&page("/ohif/blank.html?a=1&b=x%20y")).unwrap();
        assert!(browser.url().unwrap().starts_with(&page("/auth/login?return=")), "{}", browser.url().unwrap());
        let shown =
            |css: &str| browser.run("return document.querySelector(arguments[0]).innerText", &[json!(css)]).unwrap();
        assert_eq!(shown("h1"), heading);
        assert_eq!(browser.run("return document.documentElement.lang", &[]).unwrap(), languages[..2]);
        // Its style is in force, which its own policy could have kept out.
        assert_eq!(browser.run("return getComputedStyle(document.body).display", &[]).unwrap(), "grid");
        browser.wait("the cursor", || Ok(browser.run("return document.activeElement.name", &[])? == "user")).unwrap();
        if languages.starts_with("en") {
            keep_for_docs(&browser, "login-page.png");
        }
        log_in_locally(&browser, "doctor", "wrong");
        browser.wait_for(".problem").unwrap();
        assert_eq!(shown(".problem"), problem);
        assert_eq!(browser.cookies().unwrap(), Vec::<Value>::new());
        browser.type_into("input[name=password]", crate::scene::PASSWORD).unwrap();
        browser.click("button").unwrap();
        browser.wait_for_url(&page("/ohif/blank.html?a=1&b=x%20y")).unwrap();
        assert_eq!(browser.fetch("/studies", &uncached()).unwrap(), 200);
        // Out again, without a provider.
        browser.open(&page("/auth/logout")).unwrap();
        browser.click("button").unwrap();
        browser.wait_for_url(&page("/auth/logout?done=1")).unwrap();
        browser.open(&page(BLANK)).unwrap();
        browser.wait_for("input[name=password]").unwrap();
        assert_eq!(
            browser.console().unwrap().iter().filter(|line| line.contains("Content Security Policy")).count(),
            0
        );
    }
}

#[test]
fn orthanc_explorer_opens_after_a_login() {
    if !webdriver::is_available("Orthanc Explorer") {
        return;
    }
    let orthanc = server(Version::Sid)
        .configure(&with_users())
        .configure(&json!({"Authorization": {"StandardConfigurations": ["orthanc-explorer"]}}))
        .start()
        .unwrap();
    let page = |path: &str| format!("{}{path}", orthanc.url());
    let pacsadmin = orthanc.client().with_basic("pacsadmin", crate::scene::PASSWORD);
    let study = fill(&pacsadmin, "Explored", 1);
    let browser = Browser::start().unwrap();
    browser.open(&page("/")).unwrap();
    assert!(browser.url().unwrap().starts_with(&page("/auth/login?return=")), "{}", browser.url().unwrap());
    log_in_locally(&browser, "pacsadmin", crate::scene::PASSWORD);
    browser.wait_for_url(&page("/app/explorer.html")).unwrap();
    browser.open(&page(&format!("/app/explorer.html#study?uuid={}", study.ids.study))).unwrap();
    browser.wait("the study", || Ok(browser.text()?.contains("Explored study"))).unwrap();
    // What its buttons do: the cookie counts for them, as they are on the same site.
    let delete = json!({"method": "DELETE"});
    assert_eq!(browser.fetch(&format!("/studies/{}", study.ids.study), &delete).unwrap(), 200);
}

#[test]
fn below_a_path_prefix_everything_stays_below_it() {
    if !webdriver::is_available("a path prefix") {
        return;
    }
    let Some(keycloak) = Keycloak::shared("a path prefix") else { return };
    // The tokens' lives are the scene's doing.
    let Some(_) = scene("a path prefix") else { return };
    let port = free_port().unwrap();
    let proxy = Proxy::start_below("/pacs", (Ipv4Addr::LOCALHOST, port).into()).unwrap();
    let root = format!("{}pacs", proxy.url());
    let orthanc = server(Version::Sid)
        .port(port)
        .configure(&with_keycloak(keycloak))
        .configure(&json!({"Authorization": {"PublicUrl": format!("{root}/")}}))
        .start()
        .unwrap();
    signed_in(&orthanc, keycloak);
    let admin = keycloak.admin().unwrap();
    let user = admin.create_user("below", &["doctor-role"]).unwrap();
    let wanted = format!("{root}{BLANK}");
    let browser = Browser::start().unwrap();
    browser.open(&wanted).unwrap();
    log_in_at_keycloak(&browser, "below", &wanted);
    let cookies = browser.cookies().unwrap();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    assert_eq!((&cookies[0]["name"], &cookies[0]["path"]), (&json!("gatehouse-session"), &json!("/pacs/")));
    assert_eq!(browser.fetch("/pacs/studies", &uncached()).unwrap(), 200);
    for exchange in browser.traffic().unwrap().iter().filter(|exchange| exchange.url.starts_with(&proxy.url())) {
        let below = exchange.url.starts_with(&format!("{root}/")) || exchange.url.ends_with("/favicon.ico");
        assert!(below, "{}", exchange.url);
    }
    // The page to log out, and back.
    browser.open(&format!("{root}/auth/logout")).unwrap();
    browser.click("button").unwrap();
    browser.wait_for_url(&format!("{root}/auth/logout?done=1")).unwrap();
    browser.click("a").unwrap();
    log_in_at_keycloak(&browser, "below", &format!("{root}/"));

    // A logout at the provider of which nobody tells this server: at the latest at its token's end, which comes later
    // by the clock difference that is allowed (LeewaySeconds).
    browser.open(&wanted).unwrap();
    assert_eq!(browser.fetch("/pacs/studies", &uncached()).unwrap(), 200);
    keycloak.admin().unwrap().log_out(&user).unwrap();
    let over = || (browser.fetch("/pacs/studies", &uncached()).unwrap() == 401).then_some(());
    let leeway = Duration::from_secs(10);
    assert!(wait_until(token_life() + leeway, over).is_some(), "{}", orthanc.log());
}

#[test]
fn before_1_12_9_the_login_is_a_page_to_go_to() {
    let version = Version::Trixie;
    let Some(_) = scene("a login on 1.12.7") else { return };
    let Some(keycloak) = Keycloak::shared("a login on 1.12.7") else { return };
    let orthanc: Orthanc = server(version).configure(&with_keycloak(keycloak)).start().unwrap();
    let study = fill(&signed_in(&orthanc, keycloak), "Older", 1);
    let page = |path: &str| format!("{}{path}", orthanc.url());
    let browser = Browser::start().unwrap();
    // Nobody is sent anywhere.
    browser.open(&page(BLANK)).unwrap();
    assert_eq!(browser.url().unwrap(), page(BLANK));
    assert_eq!(browser.fetch("/studies", &uncached()).unwrap(), 403);
    let wanted = viewer_of(&study.uid);
    browser.open(&page(&format!("/auth/login?return={}", testbed::keycloak::encode(&wanted)))).unwrap();
    log_in_at_keycloak(&browser, "viewer", &page(&wanted));
    wait_for_image(&browser);
    browser.open(&page("/auth/logout")).unwrap();
    browser.click("button").unwrap();
    browser.wait_for_url(&page("/auth/logout?done=1")).unwrap();
    browser.open(&page("/auth/login")).unwrap();
    browser.wait_for(KEYCLOAK_FORM).unwrap();
}
