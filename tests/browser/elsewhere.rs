//! Pages of other origins: what they can make a browser do that has a session here.
use crate::scene::{BLANK, PASSWORD, fill, log_in_locally, server, uncached, with_users};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use testbed::dicom::{Instance, upload};
use testbed::webdriver::{self, Browser, Exchange, Options};
use testbed::{Orthanc, Request, Version};

/// Serves one page at every path of every name of this machine; gives its port. Ends with the process.
fn serve(page: &str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                // A browser that hangs up early is its own business.
                while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                    line.clear();
                }
                let _ = stream.get_mut().write_all(answer.as_bytes());
            });
        }
    });
    port
}

/// What another page tries. Its own origin cannot read the answers, so each is counted where it was given.
const ATTACK: &str = r#"<!doctype html><title>Attack</title>
<a id="link" href="{target}{study}">link</a>
<a id="page" href="{target}{blank}">page</a>
<form id="form" method="post" target="form-frame" action="{target}{study}/anonymize" enctype="text/plain"><input name="{" value="}"></form>
<form id="delete" method="post" target="delete-frame" action="{target}{study}?_method=DELETE"></form>
<iframe name="form-frame"></iframe><iframe name="delete-frame"></iframe>
"#;

/// A site that is attacked: its own name, the attacker's, and whether the browser says by itself where a request comes
/// from, which it does for encrypted connections and this machine's own address only.
const SITES: [(&str, &str, bool); 4] = [
    ("127.0.0.1", "127.0.0.1", true),
    ("127.0.0.1", "evil.test", true),
    ("pacs.test", "evil.test", false),
    // Of the same site: the cookie goes along with everything.
    ("pacs.test", "other.pacs.test", false),
];

fn browser() -> Browser {
    Options::default().local_names(&["pacs.test", "other.pacs.test", "evil.test"]).start().unwrap()
}

/// Logs in at the server by this name, as nobody was before; gives the server's root.
fn log_in(browser: &Browser, orthanc: &Orthanc, name: &str, user: &str) -> String {
    let root = format!("http://{name}:{}", orthanc.address().port());
    browser.forget_all_cookies().unwrap();
    browser.open(&format!("{root}{BLANK}")).unwrap();
    log_in_locally(browser, user, PASSWORD);
    browser.wait_for_url(&format!("{root}{BLANK}")).unwrap();
    root
}

#[test]
fn another_origin_cannot_use_the_session() {
    if !webdriver::is_available("other origins") {
        return;
    }
    let orthanc = server(Version::Sid).configure(&with_users()).start().unwrap();
    let pacsadmin = orthanc.client().with_basic("pacsadmin", PASSWORD);
    let study = fill(&pacsadmin, "Attacked", 1);
    let path = format!("/studies/{}", study.ids.study);
    let preview = format!("/instances/{}/preview", study.ids.instance);
    let browser = browser();
    for (own, attacker, says_where) in SITES {
        let case = format!("{own} attacked by {attacker}");
        let root = log_in(&browser, &orthanc, own, "pacsadmin");
        // What is refused below works from here.
        let load = "await new Promise(done => {
            const image = new Image(); image.onload = () => done(true); image.onerror = () => done(false);
            image.src = args[0] })";
        assert_eq!(browser.run_async(load, &[json!(preview)]).unwrap(), true, "{case}");
        assert_eq!(browser.fetch(&path, &uncached()).unwrap(), 200, "{case}");

        let page = ATTACK.replace("{target}", &root).replace("{study}", &path).replace("{blank}", BLANK);
        let attack = format!("http://{attacker}:{}/", serve(&page));
        browser.open(&attack).unwrap();
        let before = browser.traffic().unwrap().len();
        // Scripts: nothing that they could read.
        let script = "await fetch(args[0], args[1]).then(answer => answer.status, () => 'refused')";
        let try_it = |url: &str, options: Value| browser.run_async(script, &[json!(url), options]).unwrap();
        let target = format!("{root}{path}");
        assert_eq!(try_it(&target, json!({"credentials": "include", "cache": "no-store"})), "refused", "{case}");
        assert_eq!(
            try_it(&target, json!({"credentials": "include", "mode": "no-cors", "cache": "no-store"})),
            0,
            "{case}"
        );
        for (url, method) in [(&target, "DELETE"), (&target, "PUT"), (&format!("{root}/tools/find"), "POST")] {
            let options = json!({"method": method, "credentials": "include", "body": "{}"});
            assert_eq!(try_it(url, options), "refused", "{case} {method}");
        }
        // Sent without asking first, and by the browser itself: the answer is in the log of requests.
        try_it(
            &format!("{root}/tools/find"),
            json!({"method": "POST", "mode": "no-cors", "credentials": "include", "body": "{}"}),
        );
        try_it(&format!("{target}?_method=DELETE"), json!({"mode": "no-cors", "credentials": "include"}));
        let image = browser.run_async(load, &[json!(format!("{root}{preview}?attack"))]).unwrap();
        // Without a word about where it comes from an image is shown, to whoever is logged in; no other page can read
        // it.
        let is_shown = !says_where && attacker.ends_with("pacs.test");
        assert_eq!(image, is_shown, "{case}");
        let frame = "await new Promise(done => {
            const frame = document.createElement('iframe'); frame.onload = () => done(true); frame.src = args[0];
            document.body.append(frame) })";
        browser.run_async(frame, &[json!(target)]).unwrap();
        browser
            .run("document.getElementById('form').submit(); document.getElementById('delete').submit()", &[])
            .unwrap();
        let answered = |part: &str, method: &str| {
            let traffic = browser.traffic().unwrap();
            let mut found = traffic
                .iter()
                .skip(before)
                .filter(|e| e.url.starts_with(&root) && e.url.contains(part) && e.method == method);
            found.next_back().map_or(0, |exchange| exchange.status)
        };
        for part in ["/anonymize", "_method=DELETE"] {
            browser.wait(part, || Ok(answered(part, "POST") != 0)).unwrap();
        }
        let changes = browser.traffic().unwrap();
        let changes = changes
            .iter()
            .skip(before)
            .filter(|e| e.url.starts_with(&root) && (e.method != "GET" || e.url.contains("_method")));
        for change in changes.clone() {
            // Without the cookie a form is sent on to the login, which says that it is not from here.
            let at_login = change.url.starts_with(&format!("{root}/auth/login?"));
            assert!(at_login || [0, 307, 401, 403].contains(&change.status), "{case}: {change:?}");
        }
        assert!(changes.count() >= 4, "{case}");
        let count = pacsadmin.get("/studies").unwrap().json().unwrap().as_array().unwrap().len();
        assert_eq!(count, 1, "{case}: nothing was made or taken away");

        // A link is followed by a person, who sees the page.
        browser.open(&attack).unwrap();
        browser.click("#page").unwrap();
        browser.wait_for_url(&format!("{root}{BLANK}")).unwrap();
        assert_eq!(browser.fetch(&path, &uncached()).unwrap(), 200, "{case}");
        // What is stored here is no page to be led to.
        let followed = browser.traffic().unwrap().len();
        browser.open(&attack).unwrap();
        browser.click("#link").unwrap();
        let refused = |e: &Exchange| e.url.ends_with(&path) && e.status == 403;
        browser.wait("the answer", || Ok(browser.traffic()?.iter().skip(followed).any(refused))).unwrap();
    }
}

#[test]
fn a_stored_document_is_not_shown_as_a_page() {
    if !webdriver::is_available("stored documents") {
        return;
    }
    let orthanc = server(Version::Sid).configure(&with_users()).start().unwrap();
    let document = Instance::named("Document", "study", "series", "pdf")
        // Encapsulated PDF Storage.
        .text((0x0008, 0x0016), "UI", "1.2.840.10008.5.1.4.1.1.104.1")
        .raw((0x0042, 0x0011), "OB", b"%PDF-1.4\n%%EOF\n".to_vec())
        .text((0x0042, 0x0012), "LO", "application/pdf");
    let pacsadmin = orthanc.client().with_basic("pacsadmin", PASSWORD);
    let ids = upload(&pacsadmin, document.to_bytes()).unwrap();
    let pdf = format!("/instances/{}/pdf", ids.instance);
    assert!(pacsadmin.send(Request::get(&pdf)).unwrap().text().starts_with("%PDF"));
    let browser = browser();
    let root = log_in(&browser, &orthanc, "127.0.0.1", "doctor");
    // A page of ours gets it, the address line does not.
    assert_eq!(browser.fetch(&pdf, &uncached()).unwrap(), 200);
    // An answer without a body is an error of the browser's.
    let _ = browser.open(&format!("{root}{pdf}"));
    let shown = browser.traffic().unwrap().into_iter().filter(|exchange| exchange.url.ends_with(&pdf));
    assert_eq!(shown.map(|exchange| exchange.status).collect::<Vec<_>>(), [200, 403]);
}
