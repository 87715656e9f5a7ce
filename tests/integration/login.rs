//! The login gate with local users: who is sent to log in, what a session opens and what it does not, and how it ends.
use crate::site::{PASSWORD, Plan, Site, Who};
use serde_json::{Value, json};
use testbed::dicom::Instance;
use testbed::{Answer, Request, Version};

fn start(version: Version, more: Value) -> Site {
    let mut section = json!({"Login": {"Enable": true}});
    section.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    Plan::new(version).section(section).start()
}

/// A browser's request for a page.
fn page(path: &str) -> Request {
    Request::get(path)
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Site", "none")
        .header("Accept", "text/html")
}

/// The form of the login page, sent by the page itself.
fn form(user: &str, password: &str, back: &str) -> Request {
    let encoded = |text: &str| text.replace('%', "%25").replace('&', "%26").replace(' ', "+").replace('?', "%3F");
    let body = format!("user={}&password={}&return={}", encoded(user), encoded(password), encoded(back));
    Request::post("/auth/login", body)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Sec-Fetch-Site", "same-origin")
        .header("Sec-Fetch-Mode", "navigate")
}

fn send(site: &Site, request: Request) -> Answer {
    site.send(&Who::nobody(), request)
}

/// The session's cookie, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let line = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {} {}", answer.status, answer.text()));
    line.split(';').next().unwrap().to_owned()
}

fn log_in(site: &Site, user: &str) -> String {
    let answer = send(site, form(user, PASSWORD, "/"));
    assert_eq!(answer.status, 303, "{}", answer.text());
    cookie(&answer)
}

/// A request that a script of our own page sends.
fn script(request: Request, cookie: &str) -> Request {
    request.header("Cookie", cookie).header("Sec-Fetch-Site", "same-origin").header("Sec-Fetch-Mode", "cors")
}

#[test]
fn pages_are_sent_to_log_in_and_everything_else_gets_401() {
    for version in Version::tested() {
        let site = start(version, json!({}));
        let redirects = version == Version::Sid;
        for (path, wanted) in [
            (
                "/ohif/viewer?StudyInstanceUIDs=1.2,3&x=%C3%A4%20b",
                "/ohif/viewer%3FStudyInstanceUIDs%3D1.2,3%2526x%3D%2525C3%2525A4%252520b",
            ),
            ("/stone-webviewer/index.html", "/stone-webviewer/index.html"),
            ("/ui/app/", "/ui/app/"),
            ("/studies", "/studies"),
            ("/no/such/page", "/no/such/page"),
        ] {
            let answer = send(&site, page(path));
            if redirects {
                assert_eq!(answer.status, 307, "{version:?} {path}");
                let location = answer.header("location").unwrap();
                // Relative, so that a path prefix survives.
                assert!(location.starts_with('.') && !location.contains("//"), "{location}");
                assert!(location.ends_with(&format!("/auth/login?return={wanted}")), "{version:?} {location}");
            } else {
                assert_ne!(answer.status, 307, "{version:?} {path}");
            }
        }
        let refused = if redirects { 401 } else { 403 };
        for request in [
            Request::get("/studies"),
            Request::get("/dicom-web/studies").header("Accept", "application/dicom+json"),
            Request::post("/instances", "x"),
            Request::delete("/studies/0"),
            Request::put("/tools/log-level", "verbose"),
        ] {
            let answer = send(&site, request.clone());
            assert_eq!((answer.status, answer.text()), (refused, String::new()), "{version:?} {}", request.path);
            assert_eq!(answer.header("www-authenticate"), None, "{version:?}");
        }
        // What a page needs before anybody has logged in, and what answers for itself.
        assert_eq!(send(&site, Request::get("/auth/user/profile")).status, 200);
        assert_eq!(send(&site, Request::get("/auth/settings/permissions")).status, 403);
        assert_eq!(send(&site, page("/auth/nothing")).status, 403);
        // The targets of our pages are relative: there is none below itself.
        for (path, status) in [("/auth/login", 200), ("/auth/logout", 200), ("/auth/links/0123", 200)] {
            assert_eq!(send(&site, page(path)).status, status, "{version:?} {path}");
            assert_eq!(send(&site, page(&format!("{path}/"))).status, 404, "{version:?} {path}/");
        }
        // Another credential that does not hold is refused as without the gate: clients with tokens know no other
        // answer.
        assert_eq!(site.get(&Who::token("rubbish"), "/studies").status, 403);
        assert_eq!(send(&site, page("/studies?token=rubbish")).status, 403);
        assert_eq!(site.get(&Who::user("doctor"), "/studies").status, 200);
    }
}

#[test]
fn what_everybody_may_see_needs_no_login() {
    for version in Version::tested() {
        let profile = json!({"name": "Guest", "permissions": ["view"], "authorized-labels": ["external"]});
        let site = start(version, json!({"AnonymousProfile": profile}));
        let study = site.upload(&Instance::named("one", "study", "series", "image"), &["external"]);
        let other = site.upload(&Instance::named("two", "study", "series", "image"), &["internal"]);
        assert_eq!(send(&site, Request::get(&study.fill("/studies/{study}/metadata"))).status, 200, "{version:?}");
        let expected = if version == Version::Sid { 401 } else { 403 };
        assert_eq!(send(&site, Request::get(&other.fill("/studies/{study}/metadata"))).status, expected, "{version:?}");
        assert_eq!(send(&site, Request::post("/tools/find", r#"{"Level":"Study","Query":{}}"#)).status, 200);
    }
}

#[test]
fn a_session_does_what_its_user_may_for_our_own_pages_only() {
    for version in Version::tested() {
        let site = start(version, json!({}));
        let images = site.fill();
        let (allowed, foreign) = (images.allowed.fill("/studies/{study}"), images.foreign.fill("/studies/{study}"));
        let cookie = log_in(&site, "external");
        let own = |request| send(&site, script(request, &cookie)).status;
        assert_eq!(own(Request::get(&allowed)), 200, "{version:?}");
        assert_eq!(own(Request::get(&foreign)), 403, "{version:?}");
        let find = || Request::post("/tools/find", r#"{"Level":"Study","Query":{}}"#);
        let found = send(&site, script(find(), &cookie)).json().unwrap();
        assert_eq!(found.as_array().unwrap().len(), 2, "{version:?}");
        let profile = send(&site, script(Request::get("/auth/user/profile"), &cookie)).json().unwrap();
        assert_eq!((&profile["name"], &profile["authorized-labels"]), (&json!("external"), &json!(["external"])));

        // Another site, in every way that it has.
        let refused = [401, 403];
        let foreign_site = |request: Request, site_is: &str, mode: &str| {
            let request =
                request.header("Cookie", &cookie).header("Sec-Fetch-Site", site_is).header("Sec-Fetch-Mode", mode);
            send(&site, request).status
        };
        for site_is in ["cross-site", "same-site"] {
            for mode in ["cors", "no-cors", "navigate"] {
                assert!(refused.contains(&foreign_site(Request::get(&allowed), site_is, mode)), "{site_is} {mode}");
                assert!(refused.contains(&foreign_site(find(), site_is, mode)), "{site_is} {mode}");
                assert!(refused.contains(&foreign_site(Request::delete(&allowed), site_is, mode)), "{site_is} {mode}");
            }
        }
        // Without Fetch Metadata its origin tells, and a change must have one.
        let with_origin = |request: Request, origin: &str| {
            send(&site, request.header("Cookie", &cookie).header("Origin", origin)).status
        };
        let host = site.server.address();
        assert_eq!(with_origin(find(), &format!("http://{host}")), 200, "{version:?}");
        assert!(refused.contains(&with_origin(find(), "http://evil.example")));
        assert!(refused.contains(&with_origin(find(), "null")));
        assert!(refused.contains(&send(&site, find().header("Cookie", &cookie)).status));
        // A method override: the server takes it over before anybody is asked.
        for request in [
            Request::get(&format!("{allowed}?_method=DELETE")),
            Request::post(&format!("{allowed}?_method=GET"), "").header("X-HTTP-Method-Override", "GET"),
            Request::get(&allowed).header("X-HTTP-Method-Override", "DELETE"),
        ] {
            let navigated = request.header("Cookie", &cookie).header("Sec-Fetch-Site", "same-origin");
            let status = send(&site, navigated.header("Sec-Fetch-Mode", "navigate")).status;
            // 1.12.7 knows a POST that was made a GET as neither, and answers 400.
            assert!(refused.contains(&status) || status == 400, "{version:?} {status}");
        }
        assert_eq!(own(Request::get(&allowed)), 200, "{version:?}: still there");
        // Shown as a page: what is saved to disk, and no document that is stored here.
        let shown = |path: &str| {
            let request = Request::get(path).header("Cookie", &cookie).header("Sec-Fetch-Mode", "navigate");
            send(&site, request.header("Sec-Fetch-Site", "same-origin").header("Sec-Fetch-Dest", "document")).status
        };
        assert_eq!(shown(&format!("{allowed}/archive")), 200, "{version:?}");
        assert_eq!(shown(&images.allowed.fill("/instances/{instance}/file")), 200, "{version:?}");
        for document in [
            "/instances/{instance}/pdf",
            "/instances/{instance}/attachments/dicom/data",
            "/instances/{instance}/content/0010-0010",
        ] {
            let status = shown(&images.allowed.fill(document));
            assert!(refused.contains(&status), "{version:?} {document} {status}");
        }
        // The cookie's text is no credential anywhere else.
        let text = cookie.split_once('=').unwrap().1;
        for who in [Who::token(text), Who::bearer(text), Who::key(text), Who::argument(text)] {
            assert_eq!(site.get(&who, &allowed).status, 403, "{version:?}");
        }
    }
}

#[test]
fn a_login_needs_the_password_and_our_own_page_and_leads_to_our_own_pages() {
    for version in Version::tested() {
        let site = start(version, json!({}));
        let shown = send(&site, page("/auth/login?return=/ohif/viewer%3Fa%3D1").header("Accept-Language", "de"));
        assert_eq!(shown.status, 200, "{version:?}");
        assert_eq!(shown.header("cache-control"), Some("no-store"));
        let policy = shown.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(shown.text().contains("Anmelden") && shown.text().contains("value=\"/ohif/viewer?a=1\""));
        assert!(shown.text().contains("lang=\"de\""));

        for (user, password) in [("doctor", "wrong"), ("nobody", PASSWORD), ("", "")] {
            let answer = send(&site, form(user, password, "/"));
            assert_eq!((answer.status, answer.header("set-cookie")), (200, None), "{version:?} {user}");
            assert!(answer.text().contains("Unknown user name or wrong password"), "{version:?}");
        }
        let good = format!("user=doctor&password={}&return=/", PASSWORD.replace(' ', "+"));
        for elsewhere in [
            Request::post("/auth/login", good.clone()),
            Request::post("/auth/login", good.clone()).header("Origin", "http://evil.example"),
            Request::post("/auth/login", good.clone()).header("Sec-Fetch-Site", "cross-site"),
        ] {
            let answer = send(&site, elsewhere);
            assert_eq!(answer.header("set-cookie"), None, "{version:?}: a form of another site logs nobody in");
        }
        for (wanted, location) in [
            ("/ohif/viewer?a=1", "../ohif/viewer?a=1"),
            ("/", "../"),
            ("https://evil.example/", "../"),
            ("//evil.example/", "../"),
            ("/\\evil.example", "../"),
            ("/auth/login", "../"),
            ("/x\r\nSet-Cookie: a=b", "../"),
        ] {
            let answer = send(&site, form("doctor", PASSWORD, wanted));
            assert_eq!(answer.header("location"), Some(location), "{version:?} {wanted:?}");
            let line = answer.header("set-cookie").unwrap();
            assert!(line.contains("; HttpOnly; SameSite=Lax") && !line.contains("Secure"), "{line}");
        }
        assert_eq!(send(&site, Request::put("/auth/login", "")).status, 405, "{version:?}");
        assert_eq!(send(&site, page("/auth/callback?code=x&state=y")).status, 200, "{version:?}");
    }
}

#[test]
fn a_session_ends_by_logout_by_its_owner_and_by_an_administrator() {
    for version in Version::tested() {
        let site = start(version, json!({}));
        let over = if version == Version::Sid { 401 } else { 403 };
        let works = |cookie: &str| send(&site, script(Request::get("/statistics"), cookie)).status;
        let admin = log_in(&site, "admin");
        assert_eq!(works(&admin), 200, "{version:?}");
        // A cookie of another name, which another site may set although this one's name has a prefix.
        for blank in ["\u{3000}", "\u{a0}"] {
            assert_eq!(works(&format!("{blank}{admin}")), over, "{version:?} {blank:?}");
        }
        let sessions = |cookie: &str, arguments: &str| -> Vec<Value> {
            let answer = send(&site, script(Request::get(&format!("/auth/sessions{arguments}")), cookie));
            answer.expect_status(200).unwrap().json().unwrap().as_array().unwrap().clone()
        };

        for half in ["?issuer=local", "?user=admin&user=doctor", "?subject=admin"] {
            let answer = send(&site, script(Request::get(&format!("/auth/sessions{half}")), &admin));
            assert_eq!(answer.status, 400, "{version:?} {half}: {}", answer.text());
        }

        // Only a page of ours logs anybody out.
        let doctor = log_in(&site, "doctor");
        let logout = || Request::post("/auth/logout", "").header("Cookie", &doctor);
        send(&site, logout().header("Origin", "http://evil.example"));
        assert_eq!(sessions(&doctor, "").len(), 1, "{version:?}");
        let answer = send(&site, logout().header("Sec-Fetch-Site", "same-origin").header("Sec-Fetch-Mode", "navigate"));
        assert_eq!((answer.status, answer.header("location")), (303, Some("logout?done=1")), "{version:?}");
        assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
        assert_eq!(works(&doctor), over, "{version:?}");

        // Everybody sees and ends their own.
        let (first, second) = (log_in(&site, "external"), log_in(&site, "external"));
        let other = log_in(&site, "viewer");
        let own = sessions(&first, "");
        assert_eq!(own.len(), 2, "{version:?}");
        assert_eq!((&own[0]["User"], &own[0]["Roles"]), (&json!("external"), &json!(["external-role"])));
        assert_eq!(send(&site, script(Request::get("/auth/sessions?user=viewer"), &first)).status, 403);
        let theirs = sessions(&other, "")[0]["ID"].as_str().unwrap().to_owned();
        assert_eq!(send(&site, script(Request::delete(&format!("/auth/sessions/{theirs}")), &first)).status, 404);
        let id = own[1]["ID"].as_str().unwrap();
        assert_eq!(send(&site, script(Request::delete(&format!("/auth/sessions/{id}")), &first)).status, 200);
        // Of the same second, they are in no order that could be known here. external has no statistics, but a session.
        let mut left = [works(&first), works(&second)];
        left.sort_unstable();
        let mut expected = [403, over];
        expected.sort_unstable();
        assert_eq!(left, expected, "{version:?}");
        assert_eq!(send(&site, script(Request::delete("/auth/sessions/user/viewer"), &first)).status, 403);

        // The arguments of a DELETE are not handed on: taking it for one without would end the wrong person's.
        assert_eq!(send(&site, script(Request::delete("/auth/sessions?user=viewer"), &admin)).status, 400);
        assert_eq!(works(&admin), 200);
        assert_eq!(sessions(&admin, "?user=viewer").len(), 1, "{version:?}");
        assert_eq!(send(&site, script(Request::delete("/auth/sessions/user/nobody"), &admin)).status, 404);
        assert_eq!(send(&site, script(Request::delete("/auth/sessions/user/viewer"), &admin)).status, 200);
        assert_eq!(works(&other), over, "{version:?}");
        assert_eq!(sessions(&admin, "?user=viewer").len(), 0, "{version:?}");
    }
}

#[test]
fn a_session_outlives_a_restart_and_ends_with_its_account() {
    let version = Version::tested()[0];
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::new(version).folder(folder.path());
    let with = |section: Value| plan.clone().section(section).start();
    let login = json!({"Login": {"Enable": true}, "Keycloak": null});
    let site = with(login.clone());
    let cookie = log_in(&site, "doctor");
    drop(site);
    let works = |site: &Site| send(site, script(Request::get("/studies"), &cookie)).status == 200;
    let site = with(login.clone());
    assert!(works(&site));
    drop(site);
    let hash = testbed::password_hash(PASSWORD).unwrap();
    let mut others = login.clone();
    others["Users"] = json!({"someone": {"PasswordHash": hash, "Roles": ["doctor-role"]}});
    let site = with(others);
    assert!(!works(&site), "the account is gone");
    drop(site);
    // Without the gate a cookie is nothing.
    let site = with(json!({"Keycloak": null}));
    assert!(!works(&site));
}
