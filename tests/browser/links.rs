//! Short links in a browser: what they ask for, the viewer that they lead to, and what is to be seen of them on the
//! way. One server, and two browsers: that of whoever the link is for, and somebody else's, on a phone and without
//! scripts.
use crate::scene::{PASSWORD, Study, fill, image, keep_for_docs, server, uncached, with_users};
use crate::viewer::{greys, viewer_of, wait_for_image};
use serde_json::{Value, json};
use testbed::clock::unix_seconds;
use testbed::dicom::upload;
use testbed::orthanc::free_port;
use testbed::webdriver::{self, Browser, Exchange};
use testbed::{Client, Orthanc, Request, Version};

/// What the other series of the shared study is called.
const BESIDE: &str = "Beside";

/// A picture with a script, which no browser runs.
const LOGO: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="120" height="40" viewBox="0 0 120 40">
<script>parent.document.title = "hacked"</script>
<rect width="120" height="40" rx="8" fill="#0b5cad"/><circle cx="24" cy="20" r="10" fill="none" stroke="#fff" stroke-width="4"/>
<path d="M44 20h64" stroke="#fff" stroke-width="4"/></svg>"##;

struct Scene {
    orthanc: Orthanc,
    maker: Client,
    shared: Study,
    other: Study,
    /// The series of the shared study that is scrolled through.
    series: String,
}

fn start() -> Scene {
    let port = free_port().unwrap();
    let root = format!("http://127.0.0.1:{port}/");
    let shares = json!({"PublicOrthancRoot": root, "PublicOhifRoot": format!("{root}ohif/")});
    let logo = std::env::temp_dir().join(format!("gatehouse-logo-{port}.svg"));
    std::fs::write(&logo, LOGO).unwrap();
    let builder = server(Version::Sid).port(port).configure(&with_users());
    let orthanc = builder.configure(&json!({"Authorization": {"Shares": shares, "SiteLogo": logo}})).start().unwrap();
    std::fs::remove_file(logo).unwrap();
    let maker = orthanc.client().with_basic("pacsadmin", PASSWORD);
    let shared = fill(&maker, "Shared", 3);
    let uid = testbed::dicom::uid("Shared/study/beside");
    let beside = image("Shared", 90).text((0x0020, 0x000e), "UI", &uid).text((0x0008, 0x103e), "LO", BESIDE);
    assert_eq!(upload(&maker, beside.to_bytes()).unwrap().study, shared.ids.study);
    let other = fill(&maker, "Other", 1);
    let series = shared.ids.series.clone();
    Scene { orthanc, maker, shared, other, series }
}

/// A link as its maker gets it.
struct Link {
    id: String,
    short: String,
    code: String,
    token: String,
    pin: String,
}

impl Scene {
    fn link_to(&self, level: &str, id: &str, more: Value) -> Link {
        let mut body = json!({"Resources": [{"OrthancId": id, "Level": level}]});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        let request = Request::new("PUT", "/auth/tokens/ohif-viewer-publication").json(&body);
        let made = self.maker.send(request).unwrap().expect_status(200).unwrap().json().unwrap();
        let text = |member: &str| made[member].as_str().unwrap_or_default().to_owned();
        let short = text("ShortUrl");
        let code = short.rsplit('/').next().unwrap().to_owned();
        Link { id: text("ID"), short, code, token: text("Token"), pin: text("Pin") }
    }

    fn link(&self, more: Value) -> Link {
        self.link_to("study", &self.shared.ids.study, more)
    }

    fn viewer(&self) -> String {
        format!("{}{}", self.orthanc.url(), viewer_of(&self.shared.uid))
    }

    /// What the browser has asked this server for since.
    fn asked(&self, browser: &Browser, since: usize) -> Vec<Exchange> {
        let traffic = browser.traffic().unwrap();
        traffic.into_iter().skip(since).filter(|exchange| exchange.url.starts_with(&self.orthanc.url())).collect()
    }

    /// The image is there, and neither token nor code is anywhere but in the link's own address.
    fn is_shown_without_a_trace(&self, browser: &Browser, since: usize, link: &Link) {
        browser.wait_for_url(&self.viewer()).unwrap();
        wait_for_image(browser);
        let asked = self.asked(browser, since);
        assert!(asked.iter().any(|exchange| exchange.url.contains("/frames/") && exchange.status == 200));
        for exchange in &asked {
            for credential in ["authorization", "token", "api-key"] {
                assert!(!exchange.headers.contains_key(credential), "{} has {credential}", exchange.url);
            }
            let secrets = [&link.token, &link.code];
            let address = exchange.url.to_ascii_lowercase();
            assert!(!address.contains("token=") && exchange.status < 400, "{} {}", exchange.url, exchange.status);
            // The form of the page goes to its own address, and says so.
            if exchange.url != link.short {
                let referrer = exchange.headers.get("referer").and_then(Value::as_str).unwrap_or_default();
                assert!(secrets.iter().all(|secret| !exchange.url.contains(*secret)), "{}", exchange.url);
                assert!(secrets.iter().all(|secret| !referrer.contains(*secret)), "{}: {referrer}", exchange.url);
            }
        }
        let seen = browser.run("return [document.referrer, document.cookie, location.href].join(' ')", &[]).unwrap();
        let seen = seen.as_str().unwrap();
        assert!(!seen.contains(&link.code) && !seen.contains("gatehouse"), "{seen}");
    }

    /// No other study by an edited address; taken back, the next image is refused; what was held is in no log.
    fn opens_nothing_else_and_ends(&self, browser: &Browser, link: &Link) {
        let [frame, foreign] = [&self.shared, &self.other].map(|study| format!("{}/frames/1", study.instances[0]));
        assert_eq!(browser.fetch(&frame, &uncached()).unwrap(), 200);
        assert_eq!(browser.fetch(&foreign, &uncached()).unwrap(), 403);
        let cookie = browser.cookies().unwrap();
        let held = cookie.iter().find(|cookie| cookie["name"].as_str().unwrap().contains("gatehouse")).unwrap();
        assert_eq!((&held["httpOnly"], &held["sameSite"]), (&json!(true), &json!("Lax")), "{held}");
        let held = held["value"].as_str().unwrap().to_owned();
        browser.open(&format!("{}{}", self.orthanc.url(), viewer_of(&self.other.uid))).unwrap();
        browser.wait("the viewer's word", || Ok(browser.text()?.contains("not available"))).unwrap();
        assert!(greys(browser) < 100, "an image of another study");
        assert_eq!(self.maker.delete(&format!("/auth/shares/{}", link.id)).unwrap().status, 200);
        let refused = browser.fetch(&frame, &uncached()).unwrap();
        assert!([401, 403].contains(&refused), "{refused}");
        browser.open(&link.short).unwrap();
        assert!(browser.text().unwrap().contains("revoked by its sender"), "{}", browser.text().unwrap());
        let log = self.orthanc.log();
        // A link that asks for something has its code as token, which its own address has in it.
        let address = format!("/auth/links/{}", link.code);
        for secret in [&link.token, &link.code, &held] {
            let lines: Vec<&str> = log.lines().filter(|line| line.replace(&address, "").contains(secret)).collect();
            assert!(lines.is_empty(), "{secret} stands in the log: {lines:?}");
        }
    }
}

#[test]
fn links_lead_to_ohif_and_end_when_they_are_taken_back() {
    if !webdriver::is_available("links in a browser") {
        return;
    }
    let scene = start();
    let browser = Browser::start().unwrap();

    // No more than the link.
    let link = scene.link(json!({}));
    browser.open(&link.short).unwrap();
    scene.is_shown_without_a_trace(&browser, 0, &link);
    scene.opens_nothing_else_and_ends(&browser, &link);

    // A link to one series of the study.
    browser.forget_all_cookies().unwrap();
    let since = browser.traffic().unwrap().len();
    let link = scene.link_to("series", &scene.series, json!({}));
    browser.open(&link.short).unwrap();
    scene.is_shown_without_a_trace(&browser, since, &link);
    browser.wait("the list of series", || Ok(browser.text()?.contains("Rings"))).unwrap();
    let shown = browser.text().unwrap();
    assert!(!shown.contains(BESIDE), "{shown}");

    // Not before its time, and then with the next try.
    browser.forget_all_cookies().unwrap();
    let start = jiff::Timestamp::from_second(unix_seconds() + 4).unwrap().to_string();
    let link = scene.link(json!({"NotBefore": start}));
    let since = browser.traffic().unwrap().len();
    browser.open(&link.short).unwrap();
    assert!(browser.text().unwrap().contains("cannot be used yet"), "{}", browser.text().unwrap());
    let opened = || {
        browser.open(&link.short)?;
        Ok(browser.url()?.starts_with(&scene.viewer()))
    };
    browser.wait("the link's beginning", opened).unwrap();
    scene.is_shown_without_a_trace(&browser, since, &link);
    scene.opens_nothing_else_and_ends(&browser, &link);
}

#[test]
fn links_that_ask_have_a_page_for_phones_and_without_scripts() {
    if !webdriver::is_available("links that ask") {
        return;
    }
    let scene = start();
    let browser = Browser::start().unwrap();
    let phone = Browser::start().unwrap();
    let screen = json!({"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true});
    phone.devtools("Emulation.setDeviceMetricsOverride", &screen).unwrap();
    phone.devtools("Emulation.setScriptExecutionDisabled", &json!({"value": true})).unwrap();

    // With a PIN.
    let link = scene.link(json!({"Pin": true, "MaxOpenings": 2}));
    for (browser, picture) in [(&browser, "link-pin.png"), (&phone, "link-pin-phone.png")] {
        let since = browser.traffic().unwrap().len();
        browser.open(&link.short).unwrap();
        browser.wait_for("input[name=pin]").unwrap();
        keep_for_docs(browser, picture);
        browser.type_into("input[name=pin]", "no-pin").unwrap();
        browser.click("button").unwrap();
        browser.wait_for(".problem").unwrap();
        assert!(browser.text().unwrap().contains("not the PIN"), "{}", browser.text().unwrap());
        // As wide as the screen, and in its style.
        let layout = "const page = document.documentElement;
            return [page.scrollWidth <= page.clientWidth, getComputedStyle(document.body).display]";
        assert_eq!(browser.run(layout, &[]).unwrap(), json!([true, "grid"]));
        let logo = "const logo = document.images[0]; return [logo.naturalWidth, document.title]";
        assert_eq!(browser.run(logo, &[]).unwrap(), json!([120, "Open the images"]));
        browser.type_into("input[name=pin]", &link.pin).unwrap();
        browser.click("button").unwrap();
        if picture == "link-pin.png" {
            scene.is_shown_without_a_trace(browser, since, &link);
        } else {
            // The viewer itself is all scripts.
            browser.wait_for_url(&scene.viewer()).unwrap();
        }
    }
    scene.opens_nothing_else_and_ends(&browser, &link);
    assert!(!scene.orthanc.log().contains(&link.pin), "a PIN stands in the log");

    // With one opening: for whoever presses the button first.
    for browser in [&browser, &phone] {
        browser.forget_all_cookies().unwrap();
    }
    let link = scene.link(json!({"MaxOpenings": 1}));
    let since = browser.traffic().unwrap().len();
    for browser in [&browser, &phone] {
        browser.open(&link.short).unwrap();
        assert!(browser.text().unwrap().contains("limited number of times"), "{}", browser.text().unwrap());
    }
    browser.click("button").unwrap();
    scene.is_shown_without_a_trace(&browser, since, &link);
    phone.click("button").unwrap();
    phone.wait_for(".problem").unwrap();
    assert!(phone.text().unwrap().contains("the maximum number of times"), "{}", phone.text().unwrap());
    assert_eq!(phone.cookies().unwrap(), Vec::<Value>::new());
    phone.open(&link.short).unwrap();
    assert!(phone.text().unwrap().contains("the maximum number of times"), "{}", phone.text().unwrap());
    // The first one stays in.
    assert_eq!(browser.fetch(&format!("{}/frames/1", scene.shared.instances[1]), &uncached()).unwrap(), 200);
    scene.opens_nothing_else_and_ends(&browser, &link);
}
