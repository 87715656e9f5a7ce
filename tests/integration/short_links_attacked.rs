//! The login gate and short links under attack: what a stranger, another site or another provider tries.
use crate::site::{Plan, Site, Who};
use serde_json::{Value, json};
use std::sync::mpsc::channel;
use std::time::Duration;
use testbed::clock::wait_until;
use testbed::dicom::Instance;
use testbed::oidc::{Behaviour, Provider};
use testbed::{Answer, Request, Version};

fn send(site: &Site, request: Request) -> Answer {
    site.send(&Who::nobody(), request)
}

/// A browser's request for a page.
fn page(path: &str) -> Request {
    Request::get(path).header("Sec-Fetch-Mode", "navigate").header("Sec-Fetch-Site", "none")
}

/// A form that our own page sends.
fn form(path: &str, body: &str) -> Request {
    Request::post(path, body).header("Sec-Fetch-Site", "same-origin").header("Sec-Fetch-Mode", "navigate")
}

fn cookie(answer: &Answer) -> String {
    let line = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {} {}", answer.status, answer.text()));
    line.split(';').next().unwrap().to_owned()
}

fn log_in(site: &Site, user: &str) -> String {
    let password = crate::site::PASSWORD.replace(' ', "+");
    cookie(&send(site, form("/auth/login", &format!("user={user}&password={password}&return=/"))))
}

#[test]
fn a_stranger_does_not_fill_the_memory_with_bodies() {
    for version in Version::tested() {
        let site = Plan::new(version).section(json!({"Login": {"Enable": true}})).start();
        let long = "x".repeat(5 * 1024 * 1024);
        for path in
            ["/auth/login", "/auth/links/aaaaaaaaaaaaaaaaaaaaaa", "/auth/tokens/decode", "/auth/backchannel-logout"]
        {
            // The head alone: whoever is asked for the body has let it in. The filter answers before.
            let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", long.len());
            let answer = site.server.client().send_raw(head.as_bytes()).unwrap();
            assert_eq!(answer.status, 403, "{version:?} {path}");
            let chunks =
                format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n");
            let answer = site.server.client().send_raw(chunks.as_bytes()).unwrap();
            assert_eq!(answer.status, 403, "{version:?} {path} in chunks");
        }
        // Where the server itself takes the body: it makes room for as much as the head says.
        let study = site.upload(&Instance::named("one", "study", "series", "image"), &[]);
        let link = site.make_link(&Who::user("doctor"), "stone-viewer-publication", &study);
        let huge = "Content-Length: 30000000000";
        for (path, who, length) in [
            ("/tools/lookup", "", huge),
            ("/tools/lookup", "", "Transfer-Encoding: chunked"),
            ("/tools/lookup", link.as_str(), huge),
            ("/tools/find", &link, huge),
            ("/tools/find", &link, "Transfer-Encoding: chunked"),
            ("/tools/count-resources", &link, huge),
            ("/auth/tokens/decode", &link, "Transfer-Encoding: chunked"),
        ] {
            let head =
                format!("POST {path} HTTP/1.1\r\nHost: x\r\ntoken: {who}\r\n{length}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n");
            let answer = site.server.client().send_raw(head.as_bytes()).unwrap();
            // With a login gate, whoever shows nothing is asked to log in.
            assert!(matches!(answer.status, 401 | 403), "{version:?} {path} {length}: {}", answer.status);
        }
        let find = json!({"Level": "Study", "Query": {}});
        assert_eq!(site.post(&Who::token(&link), "/tools/find", &find).status, 200, "{version:?}");
        assert_eq!(send(&site, Request::post("/auth/tokens/decode", "{}")).status, 200, "{version:?}");
        let known = Who::user("doctor").sign(Request::post("/auth/tokens/decode", long));
        assert_eq!(send(&site, known).status, 403, "{version:?}: nor somebody known by mistake");
    }
}

#[test]
fn what_somebody_opened_ends_with_their_session_and_with_all_that_they_have() {
    for version in Version::tested() {
        let site = Plan::new(version).section(json!({"Login": {"Enable": true}})).start();
        let study = site.upload(&Instance::named("one", "study", "series", "image"), &["internal"]);
        let body = json!({
            "Resources": [{"OrthancId": study.ids.study, "Level": "study"}], "Recipient": "second",
        });
        let made =
            site.send(&Who::user("doctor"), Request::put("/auth/tokens/stone-viewer-publication", "").json(&body));
        let code = made.expect_status(200).unwrap().json().unwrap()["Token"].as_str().unwrap().to_owned();
        let open = |session: &str| {
            let answer = send(&site, page(&format!("/auth/links/{code}")).header("Cookie", session));
            assert_eq!(answer.status, 303, "{version:?} {}", answer.text());
            cookie(&answer)
        };
        let sees = |opened: &str| {
            let request = Request::get(&study.fill("/studies/{study}")).header("Cookie", opened);
            send(&site, request.header("Sec-Fetch-Site", "same-origin").header("Sec-Fetch-Mode", "cors")).status == 200
        };
        let session = log_in(&site, "second");
        let opened = open(&session);
        assert!(sees(&opened), "{version:?}");
        send(&site, form("/auth/logout", "").header("Cookie", &session));
        assert!(!sees(&opened), "{version:?}: logged out");

        // Whoever opened it with something else than a session.
        let by_password = site.send(&Who::user("second"), page(&format!("/auth/links/{code}")));
        let opened = [cookie(&by_password), open(&log_in(&site, "second"))];
        assert!(opened.iter().all(|opened| sees(opened)), "{version:?}");
        assert_eq!(site.send(&Who::user("admin"), Request::delete("/auth/sessions/user/second")).status, 200);
        assert!(!opened.iter().any(|opened| sees(opened)), "{version:?}: everything was ended");
    }
}

/// Begins a login: the cookie and the state that the provider would give back.
fn begin(site: &Site, path: &str) -> (String, String) {
    let begun = send(site, page(path));
    let location = begun.header("location").unwrap_or_else(|| panic!("{} {}", begun.status, begun.text())).to_owned();
    let state = location.split("&state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    (cookie(&begun), state)
}

#[test]
fn a_code_of_one_provider_is_not_taken_to_another() {
    let other = Provider::start().unwrap();
    let mine = Provider::start().unwrap();
    let second = json!({
        "Issuer": other.issuer(), "ClientId": "orthanc", "RolesMap": {"theirs": "viewer-role"},
    });
    let providers: Value = json!([{"Url": mine.url(), "Realm": Provider::REALM}, second]);
    let site = Plan::new(Version::tested()[0])
        .section(json!({"Login": {"Enable": true}, "Keycloak": providers}))
        .start_with(mine);
    let ready = wait_until(Duration::from_secs(20), || {
        (send(&site, page("/auth/login?provider=1")).status == 303).then_some(())
    });
    assert!(ready.is_some());
    let exchanged = || other.requests().iter().filter(|path| path.ends_with("/token")).count();
    let (cookie, state) = begin(&site, "/auth/login?provider=1");
    let back = |issuer: &str| {
        let issuer = issuer.replace(':', "%3A").replace('/', "%2F");
        let path = format!("/auth/callback?state={state}&code=c&iss={issuer}");
        assert_eq!(
            send(&site, page(&path).header("Cookie", &cookie)).header("set-cookie").map(str::is_empty),
            Some(false)
        );
    };
    let before = exchanged();
    back(&site.provider.issuer());
    back("https://elsewhere.example");
    assert_eq!(exchanged(), before, "the code of one provider went to the other");
    back(&other.issuer());
    assert_eq!(exchanged(), before + 1);
}

#[test]
fn codes_that_are_none_do_not_take_all_threads() {
    let version = Version::tested()[0];
    let site = Plan::new(version)
        .section(json!({"Login": {"Enable": true}, "Users": null}))
        .server(&json!({"HttpThreadsCount": 12}))
        .start();
    let ready = wait_until(Duration::from_secs(20), || (send(&site, page("/auth/login")).status == 303).then_some(()));
    assert!(ready.is_some());
    let (cookie, state) = begin(&site, "/auth/login");
    site.provider.behave(Behaviour::Slow(Duration::from_secs(30)));
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        for number in 0..12 {
            let (sender, site, cookie, state) = (sender.clone(), &site, &cookie, &state);
            scope.spawn(move || {
                let path = format!("/auth/callback?state={state}&code={number}");
                let status = send(site, page(&path).header("Cookie", cookie)).status;
                let _ = sender.send(status);
            });
        }
        // Those that find no place are told so while the others wait.
        for _ in 0..4 {
            assert_eq!(receiver.recv_timeout(Duration::from_secs(3)), Ok(200));
        }
        assert_eq!(send(&site, Request::get("/auth/user/profile")).status, 200);
        assert!(receiver.try_recv().is_err(), "the others wait still");
    });
}
