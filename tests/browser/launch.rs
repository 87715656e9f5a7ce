//! A viewer on another origin: launched from a link, by code; its tokens renewed while somebody looks at images; and
//! the end.
use crate::ohif::Elsewhere;
use crate::scene::{PASSWORD, SERIES_LENGTH, fill, with_users};
use crate::viewer::{AN_IMAGE, greys, wait_for_image};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use testbed::clock::monotonic;
use testbed::nginx::NginxBuilder;
use testbed::webdriver::{self, Browser, Exchange, Options};
use testbed::{Orthanc, Version, setup, workspace};

/// Where Orthanc is, behind the nginx that is shipped.
const ROOT: &str = "https://pacs.test/orthanc/";
/// How long an access token counts; the viewer renews it ten seconds before its end.
const TOKEN_LIFE: Duration = Duration::from_secs(30);
/// Page keys that scroll (WebDriver, 17.4.2).
const ARROW_DOWN: &str = "\u{E015}";
const ARROW_UP: &str = "\u{E013}";

fn orthanc(viewer: &Elsewhere) -> Orthanc {
    Orthanc::builder(Version::Sid)
        .plugin(testbed::plugin_library().unwrap())
        .dicomweb()
        .unwrap()
        .verbose()
        .configure(&json!({"Authorization": {
            "WebServiceRootUrl": "",
            "PermissionsFile": workspace::root().join("docker/permissions.jsonc"),
            "PublicUrl": ROOT,
            "TrustedProxies": ["127.0.0.1"],
            "Shares": {
                "PublicOhifRoot": format!("{}/", viewer.origin()),
                "ViewerOrigins": [viewer.origin()],
                "ViewerTokenValidity": TOKEN_LIFE.as_secs(),
            },
        }}))
        .configure(&with_users())
        .start()
        .unwrap()
}

/// What the viewer holds now: access token and refresh token.
fn held(browser: &Browser) -> Option<[String; 2]> {
    let script = "const key = Object.keys(sessionStorage).find(key => key.startsWith('oidc.user:'));
        const user = key && JSON.parse(sessionStorage.getItem(key));
        return user ? [user.access_token, user.refresh_token] : null";
    let found = browser.run(script, &[]).unwrap();
    let text = |at: usize| found[at].as_str().map(str::to_owned);
    Some([text(0)?, text(1)?])
}

fn frames(browser: &Browser) -> Vec<Exchange> {
    let all = browser.traffic().unwrap().into_iter();
    all.filter(|exchange| exchange.method == "GET" && exchange.url.contains("/frames/")).collect()
}

/// The answer to a `fetch` by the viewer's page with its token; 0 when the browser keeps it from the page.
fn status(browser: &Browser, path: &str, token: &str) -> Value {
    let script = "await fetch(args[0], {headers: {Authorization: 'Bearer ' + args[1]}, cache: 'no-store'})
        .then(answer => answer.status, () => 0)";
    browser.run_async(script, &[json!(format!("{ROOT}{}", path.trim_start_matches('/'))), json!(token)]).unwrap()
}

#[test]
fn a_viewer_on_another_origin_is_launched_by_code_and_outlives_its_tokens() {
    if !webdriver::is_available("OHIF on another origin") {
        return;
    }
    let viewer = Elsewhere::start(&setup::ensure_browser().unwrap().ohif, ROOT);
    let orthanc = orthanc(&viewer);
    let pacsadmin = orthanc.client().with_basic("pacsadmin", PASSWORD);
    let study = fill(&pacsadmin, "Launched", SERIES_LENGTH);
    let other = fill(&pacsadmin, "Elsewhere", 1);
    let nginx = NginxBuilder::new("pacs.test", orthanc.address(), orthanc.address())
        .file("viewer-origins.conf", &format!("\"{}\" $http_origin;\n", viewer.origin()))
        .start()
        .unwrap();
    let body = json!({"Resources": [{"OrthancId": study.ids.study, "Level": "study"}]});
    let made = orthanc
        .client()
        .with_basic("doctor", PASSWORD)
        .send(testbed::Request::put("/auth/tokens/ohif-viewer-publication", "").json(&body));
    let link = made.unwrap().expect_status(200).unwrap().json().unwrap();
    assert_eq!(link["Url"], link["ShortUrl"], "no URL has a token");

    let browser = Options::default()
        .argument(&format!("--host-resolver-rules=MAP pacs.test:443 127.0.0.1:{}", nginx.https().port()))
        // Its authority is that of this test alone.
        .argument("--ignore-certificate-errors")
        .start()
        .unwrap();
    browser.open(link["ShortUrl"].as_str().unwrap()).unwrap();
    wait_for_image(&browser);
    let wanted = format!("{}/viewer?StudyInstanceUIDs={}", viewer.origin(), study.uid);
    assert_eq!(browser.url().unwrap(), wanted);
    let mut tokens: BTreeSet<String> = held(&browser).unwrap().into();
    let [first, _] = held(&browser).unwrap();
    let began = monotonic();

    // Images go on past the end of the first token. Each round forgets them, so that the viewer has to fetch. It fetches
    // where it is 40 ms after the last key: one key a round, as one down and one up would be none.
    let mut rounds = 0;
    let scroll = |rounds: usize| {
        // There and back: at an end nothing moves.
        let down = (rounds / (SERIES_LENGTH - 1)).is_multiple_of(2);
        browser.type_into("body", if down { ARROW_DOWN } else { ARROW_UP }).unwrap();
    };
    while began.elapsed() < TOKEN_LIFE + Duration::from_secs(2) {
        browser.run("window.cornerstone.cache.purgeCache()", &[]).unwrap();
        let before = frames(&browser).len();
        scroll(rounds);
        browser.wait("a frame", || Ok(frames(&browser).len() > before)).unwrap();
        tokens.extend(held(&browser).unwrap());
        rounds += 1;
        // A person who scrolls, and no flood.
        browser.run_async("await new Promise(done => setTimeout(done, 500))", &[]).unwrap();
    }
    let [current, _] = held(&browser).unwrap();
    assert_ne!(current, first, "the token was not renewed in {rounds} rounds");
    assert!(greys(&browser) >= AN_IMAGE);
    let fetched = frames(&browser);
    let refused: Vec<&Exchange> = fetched.iter().filter(|frame| frame.status != 200).collect();
    assert!(refused.is_empty(), "{refused:?}");
    // Any but the first: what is held now may be the third, new in this moment, when the viewer took long to start.
    let bearer = |token: &String| json!(format!("Bearer {token}"));
    let later: Vec<Value> = tokens.iter().filter(|token| **token != first).map(bearer).collect();
    let renewed =
        fetched.iter().filter(|frame| frame.headers.get("authorization").is_some_and(|it| later.contains(it)));
    assert!(renewed.count() > 0, "the viewer itself fetched nothing with a new token: {:?}", fetched.last());

    // The first token is over, another study was never in, and the browser keeps what is not DICOMweb from the page.
    let frame = format!("{}/frames/1", study.instances[0]);
    assert_eq!(status(&browser, &frame, &current), 200);
    assert_eq!(status(&browser, &frame, &first), 403);
    assert_eq!(status(&browser, &format!("{}/frames/1", other.instances[0]), &current), 403);
    assert_eq!(status(&browser, &format!("/studies/{}", study.ids.study), &current), 0);
    // By an edited address, too: in a tab of its own, as the images stay in this one.
    let images = browser.new_tab().unwrap();
    browser.open(&format!("{}/viewer?StudyInstanceUIDs={}", viewer.origin(), other.uid)).unwrap();
    browser.wait("our page", || Ok(browser.text()?.contains("once more"))).unwrap();
    browser.go_to_tab(&images).unwrap();
    let [current, refresh] = held(&browser).unwrap();
    tokens.extend([current.clone(), refresh.clone()]);

    // Taken back: the next frame is refused, and no token comes any more.
    let id = link["ID"].as_str().unwrap();
    assert_eq!(
        orthanc.client().with_basic("doctor", PASSWORD).delete(&format!("/auth/shares/{id}")).unwrap().status,
        200
    );
    assert_eq!(status(&browser, &frame, &current), 403);
    let before = frames(&browser).len();
    browser.run("window.cornerstone.cache.purgeCache()", &[]).unwrap();
    scroll(rounds);
    browser
        .wait("a refused frame", || Ok(frames(&browser).iter().skip(before).any(|frame| frame.status == 403)))
        .unwrap();
    let renew = "await fetch(args[0], {method: 'POST', body: new URLSearchParams(args[1])})
        .then(async answer => [answer.status, answer.headers.get('content-type'), (await answer.json()).error])";
    let form = json!({"grant_type": "refresh_token", "client_id": viewer.origin(), "refresh_token": refresh});
    let told = browser.run_async(renew, &[json!(format!("{ROOT}auth/oidc/token")), form]).unwrap();
    assert_eq!(told, json!([400, "application/json", "invalid_grant"]));

    // Nowhere a token: in no address, no line of a request, no referrer, no log.
    for exchange in browser.traffic().unwrap() {
        for token in &tokens {
            assert!(!exchange.url.contains(token), "{}", exchange.url);
            let referrer = exchange.headers.get("referer").and_then(Value::as_str).unwrap_or_default();
            // The viewer's own files are fetched from the page that the code is in: a code that was used.
            let has_code = referrer.contains("code=") && !exchange.url.starts_with(&viewer.origin());
            assert!(!referrer.contains(token) && !has_code, "{} from {referrer}", exchange.url);
        }
        assert!(!exchange.url.contains("token="), "{}", exchange.url);
    }
    for (name, log) in [("Orthanc", orthanc.log()), ("nginx", nginx.log())] {
        assert!(log.contains("/frames/1"), "{name} logs requests");
        for token in &tokens {
            assert!(!log.contains(token.as_str()), "{name}");
        }
    }
    println!("{rounds} rounds, {} tokens, {} frames in {} s", tokens.len(), fetched.len(), began.elapsed().as_secs());
}
