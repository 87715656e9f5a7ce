//! OHIF through the login gate: an image on the screen, by the session and nothing else; and what each user may do
//! there.
use crate::picture::Picture;
use crate::scene::{
    BLANK, KEYCLOAK_FORM, SERIES_LENGTH, Scene, is_long, keep_for_docs, log_in_at_keycloak, scene, studies, token_life,
    uncached,
};
use base64::Engine;
use serde_json::json;
use testbed::clock::monotonic;
use testbed::webdriver::{Browser, Exchange};

/// Grey values that make an image: the viewer's own surface has but a few.
pub const AN_IMAGE: usize = 100;
/// The lives of access tokens for which a session is in use, in the short form and the long one.
const LIVES: [u32; 2] = [3, 5];
/// Page key that scrolls (WebDriver, 17.4.2).
const ARROW_DOWN: &str = "\u{E015}";

pub fn greys(browser: &Browser) -> usize {
    Picture::decode(&browser.screenshot().unwrap()).greys_in_the_middle()
}

pub fn wait_for_image(browser: &Browser) {
    browser.wait("an image", || Ok(greys(browser) >= AN_IMAGE)).unwrap_or_else(|fault| {
        let failed: Vec<Exchange> = browser.traffic().unwrap().into_iter().filter(|e| e.status >= 400).collect();
        panic!("{fault:#}\n{} grey values\n{failed:?}\n{:?}", greys(browser), browser.console())
    });
}

pub fn viewer_of(uid: &str) -> String {
    format!("/ohif/viewer?StudyInstanceUIDs={uid}")
}

/// What the browser asked this server for.
fn asked(scene: &Scene, browser: &Browser) -> Vec<Exchange> {
    let root = scene.page("/");
    browser.traffic().unwrap().into_iter().filter(|exchange| exchange.url.starts_with(&root)).collect()
}

/// The requests for pixels. All were answered.
fn frames(exchanges: &[Exchange]) -> Vec<&Exchange> {
    exchanges.iter().filter(|exchange| exchange.url.contains("/frames/")).collect()
}

#[test]
fn a_link_to_a_study_leads_over_the_login_to_its_image() {
    let Some(scene) = scene("OHIF through the login") else { return };
    let browser = Browser::start().unwrap();
    let wanted = scene.page(&viewer_of(&scene.labelled.uid));
    browser.open(&wanted).unwrap();
    browser.wait_for(KEYCLOAK_FORM).unwrap();
    keep_for_docs(&browser, "keycloak-login.png");
    log_in_at_keycloak(&browser, "viewer", &wanted);
    wait_for_image(&browser);
    keep_for_docs(&browser, "ohif-after-login.png");
    // The viewer fetches the rest of the series by itself.
    browser
        .wait("all frames", || {
            let exchanges = asked(scene, &browser);
            Ok(frames(&exchanges).iter().filter(|frame| frame.status == 200).count() >= SERIES_LENGTH)
        })
        .unwrap();
    let exchanges = asked(scene, &browser);
    // Only the very first page was refused, by a redirect.
    let pages: Vec<u64> = exchanges.iter().filter(|e| e.url == wanted).map(|e| e.status).collect();
    assert_eq!(pages, [307, 200]);
    for exchange in &exchanges {
        // What a worker is told is not told here, but its page would have shown no image without.
        assert!(exchange.status < 400, "{} {}", exchange.url, exchange.status);
        for credential in ["authorization", "token", "api-key"] {
            assert!(!exchange.headers.contains_key(credential), "{} has {credential}", exchange.url);
        }
        for name in ["token=", "authorization=", "api-key=", "access_token"] {
            assert!(!exchange.url.to_ascii_lowercase().contains(name), "{}", exchange.url);
        }
    }
    for frame in frames(&exchanges) {
        assert!(frame.complete, "{}", frame.url);
        let cookie = frame.headers["cookie"].as_str().unwrap();
        assert!(cookie.starts_with("gatehouse-session="), "{cookie}");
    }
    // Scripts do not see it.
    let seen = browser.run("return document.cookie", &[]).unwrap();
    assert!(!seen.as_str().unwrap().contains("gatehouse"), "{seen}");
    let cookies = browser.cookies().unwrap();
    let session = cookies.iter().find(|cookie| cookie["name"] == "gatehouse-session").unwrap();
    assert_eq!(
        (&session["httpOnly"], &session["sameSite"], &session["path"]),
        (&json!(true), &json!("Lax"), &json!("/"))
    );
    // Nothing is left of the login but the session.
    let begun = cookies.iter().filter(|cookie| cookie["name"].as_str().unwrap().starts_with("gatehouse-login"));
    assert_eq!(begun.count(), 0, "{cookies:?}");
}

#[test]
fn each_user_does_by_the_session_what_the_role_allows() {
    let Some(scene) = scene("roles in the browser") else { return };
    let upload = |browser: &Browser, name: &str| {
        let image = crate::scene::image(name, 0);
        let ids = image.ids();
        let body = base64::engine::general_purpose::STANDARD.encode(image.to_bytes());
        let script = "(await fetch('/instances', {
            method: 'POST', body: Uint8Array.from(atob(args[0]), character => character.charCodeAt(0))})).status";
        (browser.run_async(script, &[json!(body)]).unwrap(), format!("/studies/{}", ids.study))
    };
    let delete = json!({"method": "DELETE"});

    let browser = scene.browser_of("viewer", BLANK);
    assert_eq!(upload(&browser, "by viewer").0, 403);
    let other = format!("/studies/{}", scene.other.ids.study);
    assert_eq!(browser.fetch(&other, &delete).unwrap(), 403);
    assert_eq!(browser.fetch(&other, &uncached()).unwrap(), 200);

    browser.forget_all_cookies().unwrap();
    scene.log_in(&browser, "pacsadmin", BLANK);
    let (status, uploaded) = upload(&browser, "by pacsadmin");
    assert_eq!(status, 200);
    assert_eq!(browser.fetch(&uploaded, &uncached()).unwrap(), 200);
    assert_eq!(browser.fetch(&uploaded, &delete).unwrap(), 200);
    assert_eq!(browser.fetch(&uploaded, &uncached()).unwrap(), 404);

    browser.forget_all_cookies().unwrap();
    scene.log_in(&browser, "external", BLANK);
    let found = browser.fetch_json("/dicom-web/studies", &uncached()).unwrap();
    assert_eq!(studies(&found), std::slice::from_ref(&scene.labelled.uid));
    assert_eq!(browser.fetch(&other, &uncached()).unwrap(), 403);
    assert_eq!(browser.fetch(&format!("{}/frames/1", scene.other.instances[0]), &uncached()).unwrap(), 403);
    browser.open(&scene.page(&viewer_of(&scene.labelled.uid))).unwrap();
    wait_for_image(&browser);
    // Of another study the viewer has nothing to show.
    browser.open(&scene.page(&viewer_of(&scene.other.uid))).unwrap();
    browser.wait("the viewer's word", || Ok(browser.text()?.contains("not available"))).unwrap();
    let exchanges = asked(scene, &browser);
    let theirs = exchanges
        .iter()
        .filter(|exchange| exchange.url.contains(&scene.other.uid) && exchange.url.contains("/dicom-web/"));
    assert!(theirs.clone().all(|exchange| exchange.status == 403), "{:?}", theirs.collect::<Vec<_>>());
    assert!(greys(&browser) < AN_IMAGE);
}

#[test]
fn a_session_in_use_outlives_its_access_tokens() {
    let Some(scene) = scene("a session and its tokens") else { return };
    let browser = scene.browser_of("doctor", &viewer_of(&scene.labelled.uid));
    wait_for_image(&browser);
    let end = monotonic() + token_life() * LIVES[usize::from(is_long())];
    let mut fetched = 0;
    while monotonic() < end {
        browser.type_into("body", ARROW_DOWN).unwrap();
        let frame = format!("{}/frames/1", scene.labelled.instances[fetched % SERIES_LENGTH]);
        // A page that is in use, and not a flood.
        let script = "await new Promise(done => setTimeout(done, 100)).then(() => fetch(args[0], args[1])).then(answer => answer.status)";
        let status = browser.run_async(script, &[json!(frame), uncached()]).unwrap();
        assert_eq!(status, 200, "after {fetched} good ones:\n{}", scene.orthanc.log());
        fetched += 1;
    }
    let refused: Vec<Exchange> = asked(scene, &browser).into_iter().filter(|exchange| exchange.status >= 400).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(greys(&browser) >= AN_IMAGE);
    println!(
        "{fetched} frames in {} s, tokens living {} s",
        (token_life() * LIVES[usize::from(is_long())]).as_secs(),
        token_life().as_secs()
    );
}
