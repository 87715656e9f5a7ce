//! The short form of links: what they ask for, what they open, for how often and how long; and no token on the way.
use crate::site::{PASSWORD, Plan, Site, Who};
use serde_json::{Value, json};
use testbed::dicom::Instance;
use testbed::{Answer, Request, Version};

const OHIF: &str = "ohif-viewer-publication";
const STONE: &str = "stone-viewer-publication";

fn start(version: Version) -> Site {
    // The viewers where the links are.
    let root = "http://site.test/orthanc/";
    let shares = json!({"PublicOrthancRoot": root, "PublicOhifRoot": format!("{root}ohif/"), "SecretKey": crate::site::SHARE_KEY});
    Plan::new(version).section(json!({"Shares": shares, "Login": {"Enable": true}})).start()
}

/// A link with these further members; the answer to its making.
fn make(site: &Site, who: &Who, link_type: &str, study: &str, more: Value) -> Answer {
    let mut body = json!({"Resources": [{"OrthancId": study, "Level": "study"}]});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    site.put(who, &format!("/auth/tokens/{link_type}"), &body)
}

fn made(site: &Site, who: &Who, link_type: &str, study: &str, more: Value) -> Value {
    make(site, who, link_type, study, more).expect_status(200).unwrap().json().unwrap()
}

/// The path of a short URL.
fn path(url: &Value) -> String {
    let url = url.as_str().unwrap();
    url.strip_prefix("http://site.test/orthanc").unwrap_or_else(|| panic!("{url}")).to_owned()
}

/// A browser: it keeps one cookie, and says of each request that it is a navigation or our own page's.
#[derive(Default)]
struct Browser {
    cookie: Option<String>,
}

impl Browser {
    fn send(&mut self, site: &Site, request: Request, mode: &str, from: &str) -> Answer {
        let request = request.header("Sec-Fetch-Mode", mode).header("Sec-Fetch-Site", from);
        let dest = if mode == "navigate" { "document" } else { "empty" };
        let request = request.header("Sec-Fetch-Dest", dest);
        let request = match &self.cookie {
            Some(cookie) => request.header("Cookie", cookie),
            None => request,
        };
        let answer = site.send(&Who::nobody(), request);
        if let Some(line) = answer.header("set-cookie") {
            assert!(line.contains("; HttpOnly; SameSite=Lax"), "{line}");
            self.cookie = line.split(';').next().map(str::to_owned);
        }
        answer
    }

    /// Opens a page from a mail.
    fn open(&mut self, site: &Site, path: &str) -> Answer {
        self.send(site, Request::get(path), "navigate", "cross-site")
    }

    /// Sends a form of our own page.
    fn submit(&mut self, site: &Site, path: &str, form: &str) -> Answer {
        self.send(site, Request::post(path, form.to_owned()), "navigate", "same-origin")
    }

    /// What a script of the viewer asks for.
    fn fetch(&mut self, site: &Site, request: Request) -> u16 {
        self.send(site, request, "cors", "same-origin").status
    }

    fn get(&mut self, site: &Site, path: &str) -> u16 {
        self.fetch(site, Request::get(path))
    }
}

#[test]
fn a_short_link_opens_its_study_without_any_token() {
    for version in Version::tested() {
        let site = start(version);
        let images = site.fill();
        let (study, foreign) = (&images.allowed, &images.foreign);
        let external = Who::user("external");
        let link = made(&site, &external, OHIF, &study.ids.study, json!({}));
        // The old style stays what clients expect.
        assert!(link["Token"].as_str().unwrap().starts_with("eyJ"), "{link}");
        assert!(link["Url"].as_str().unwrap().contains("&token=eyJ"), "{link}");

        let mut browser = Browser::default();
        let answer = browser.open(&site, &path(&link["ShortUrl"]));
        assert_eq!(answer.status, 303, "{version:?} {}", answer.text());
        let expected = format!("http://site.test/orthanc/ohif/viewer?StudyInstanceUIDs={}", study.study_uid);
        assert_eq!(answer.header("location"), Some(expected.as_str()), "{version:?}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));

        // What a viewer asks for; and nothing beyond.
        let rs = format!("/dicom-web/studies/{}", study.study_uid);
        for allowed in
            [study.fill("/studies/{study}/metadata"), study.fill("/studies/{study}/archive"), format!("{rs}/metadata")]
        {
            assert_eq!(browser.get(&site, &allowed), 200, "{version:?} {allowed}");
        }
        for forbidden in [
            foreign.fill("/studies/{study}"),
            format!("/dicom-web/studies/{}/metadata", foreign.study_uid),
            "/statistics".to_owned(),
        ] {
            assert!([401, 403].contains(&browser.get(&site, &forbidden)), "{version:?} {forbidden}");
        }
        for request in [
            Request::delete(&study.fill("/studies/{study}")),
            Request::put(&study.fill("/studies/{study}/labels/x"), ""),
            Request::post("/instances", Instance::named("a", "b", "c", "d").to_bytes()),
        ] {
            assert!([401, 403].contains(&browser.fetch(&site, request)), "{version:?}");
        }
        // The cookie's text is nothing anywhere else, and the code neither.
        let text = browser.cookie.clone().unwrap();
        let code = path(&link["ShortUrl"]).rsplit('/').next().unwrap().to_owned();
        for value in [text.split_once('=').unwrap().1, &code] {
            for who in [Who::token(value), Who::bearer(value), Who::argument(value), Who::key(value)] {
                assert_eq!(site.get(&who, &study.fill("/studies/{study}")).status, 403, "{version:?}");
            }
        }
        // Taken back, it is over with the next request.
        let id = link["ID"].as_str().unwrap();
        assert_eq!(site.delete(&external, &format!("/auth/shares/{id}")).status, 200);
        assert!([401, 403].contains(&browser.get(&site, &study.fill("/studies/{study}/metadata"))), "{version:?}");
        let answer = browser.open(&site, &path(&link["ShortUrl"]));
        assert!(answer.text().contains("revoked by its sender"), "{version:?} {}", answer.text());
    }
}

#[test]
fn a_pin_is_asked_for_and_guessing_is_slowed_down() {
    let site = start(Version::tested()[0]);
    let study = site.upload(&Instance::named("one", "study", "series", "image"), &["external"]);
    let doctor = Who::user("doctor");
    let link = made(&site, &doctor, STONE, &study.ids.study, json!({"Pin": "4711-x"}));
    // The token is the code, which opens nothing by itself.
    let code = link["Token"].as_str().unwrap();
    assert_eq!(link["Url"], link["ShortUrl"]);
    assert!(link["Url"].as_str().unwrap().ends_with(&format!("/auth/links/{code}")), "{link}");
    assert_eq!(site.get(&Who::token(code), &study.fill("/studies/{study}")).status, 403);
    let decoded = site.post(&Who::nobody(), "/auth/tokens/decode", &json!({"TokenKey": "token", "TokenValue": code}));
    let decoded = decoded.json().unwrap();
    assert_eq!((&decoded["RedirectUrl"], &decoded["ResourcesOrthancIds"]), (&link["Url"], &json!([])), "{decoded}");

    let place = path(&link["Url"]);
    let mut browser = Browser::default();
    let asked = browser.open(&site, &place);
    assert!(asked.status == 200 && asked.text().contains("name=\"pin\""), "{}", asked.text());
    // Another site's form is not looked at.
    let foreign = browser.send(&site, Request::post(&place, "pin=4711-x"), "navigate", "cross-site");
    assert!(foreign.status == 200 && browser.cookie.is_none(), "{}", foreign.text());
    let wrong = browser.submit(&site, &place, "pin=0000");
    assert!(wrong.text().contains("not the PIN") && browser.cookie.is_none(), "{}", wrong.text());
    assert_eq!(browser.submit(&site, &place, "pin=4711-x").status, 303);
    assert_eq!(browser.get(&site, &study.fill("/studies/{study}")), 200);

    let other = made(&site, &doctor, STONE, &study.ids.study, json!({"Pin": true}));
    let pin = other["Pin"].as_str().unwrap();
    assert!(pin.len() == 6 && pin.bytes().all(|digit| digit.is_ascii_digit()), "{other}");
    let place = path(&other["Url"]);
    let mut guesser = Browser::default();
    let mut held_up = false;
    for _ in 0..12 {
        held_up |= guesser.submit(&site, &place, "pin=no-pin").text().contains("Too many attempts");
    }
    assert!(held_up);
    // Then not even the right one is looked at; other links are not held up.
    assert!(guesser.submit(&site, &place, &format!("pin={pin}")).text().contains("Too many attempts"));
    assert_eq!(Browser::default().submit(&site, &path(&link["Url"]), "pin=4711-x").status, 303);
    let log = site.server.log();
    assert!(!log.contains("4711-x") && !log.contains(pin), "a PIN stands in the log");
    let of = link["ID"].as_str().unwrap();
    assert!(log.contains(&format!("the link {of} was not opened from 127.0.0.1: wrong PIN")), "{log}");
    assert!(
        log.contains(&format!("the link {of} was not opened from 127.0.0.1: the form was not sent from our page")),
        "{log}"
    );
}

#[test]
fn a_link_is_opened_so_often_and_no_more() {
    for version in Version::tested() {
        let site = start(version);
        let study = site.upload(&Instance::named("one", "study", "series", "image"), &["external"]);
        let doctor = Who::user("doctor");
        let link = made(&site, &doctor, STONE, &study.ids.study, json!({"MaxOpenings": 2}));
        let place = path(&link["Url"]);
        let mut first = Browser::default();
        // Whatever looks into a mail opens nothing.
        for _ in 0..5 {
            assert!(first.open(&site, &place).text().contains("limited number of times"), "{version:?}");
        }
        assert_eq!(first.submit(&site, &place, "").status, 303, "{version:?}");
        // The page is still open in another tab: the browser is in already.
        assert_eq!(first.submit(&site, &place, "").status, 303, "{version:?}");
        let mut second = Browser::default();
        assert_eq!(second.submit(&site, &place, "").status, 303, "{version:?}");
        let mut third = Browser::default();
        assert!(third.submit(&site, &place, "").text().contains("the maximum number of times"), "{version:?}");
        assert!(third.open(&site, &place).text().contains("the maximum number of times"), "{version:?}");
        let line = format!(
            "the link {} was not opened from 127.0.0.1: it was opened 2 times, of 2",
            link["ID"].as_str().unwrap()
        );
        assert!(site.server.log().contains(&line), "{version:?}: {}", site.server.log());
        // Those who are in, stay in, and may come by the mail again.
        for browser in [&mut first, &mut second] {
            assert_eq!(browser.get(&site, &study.fill("/studies/{study}")), 200, "{version:?}");
            let again = browser.open(&site, &place);
            assert_eq!((again.status, again.header("set-cookie")), (303, None), "{version:?}: {}", again.text());
        }
        let listed = site.get(&doctor, "/auth/shares").json().unwrap();
        assert_eq!((&listed[0]["Openings"], &listed[0]["MaxOpenings"]), (&json!(2), &json!(2)), "{listed}");
    }
}

#[test]
fn a_role_says_what_its_links_ask_for() {
    let defaults = json!({
        "external-role": {"Pin": true, "MaxOpenings": 2, "Download": false, "Validity": 3600, "Enforce": true},
        "doctor-role": {"MaxOpenings": 5},
    });
    let root = "http://site.test/orthanc/";
    let shares = json!({"PublicOrthancRoot": root, "SecretKey": crate::site::SHARE_KEY, "Defaults": defaults});
    let site = Plan::new(Version::tested()[0]).section(json!({"Shares": shares})).start();
    let study = site.upload(&Instance::named("one", "study", "series", "image"), &["external"]);
    let (external, doctor) = (Who::user("external"), Who::user("doctor"));
    let (_, key) = site.make_key(&external, &json!({"Name": "narrow", "Roles": []}));
    let listed = |who: &Who| site.get(who, "/auth/shares").json().unwrap()[0].clone();

    let link = made(&site, &external, STONE, &study.ids.study, json!({}));
    assert_eq!(link["Pin"].as_str().map(str::len), Some(6), "{link}");
    let shown = listed(&external);
    assert_eq!(
        [&shown["Pin"], &shown["MaxOpenings"], &shown["Download"]],
        [&json!(true), &json!(2), &json!(false)],
        "{shown}"
    );
    assert!(shown["ExpirationDate"].is_string(), "{shown}");
    let stricter = json!({"Pin": "4711", "MaxOpenings": 1, "ValidityDuration": 60});
    assert_eq!(made(&site, &external, STONE, &study.ids.study, stricter)["Pin"], json!(null));
    for (looser, place) in [
        (json!({"Pin": false}), "Pin"),
        (json!({"MaxOpenings": 3}), "MaxOpenings"),
        (json!({"Download": true}), "Download"),
        (json!({"ValidityDuration": 0}), "ValidityDuration"),
    ] {
        let answer = make(&site, &external, STONE, &study.ids.study, looser);
        assert_eq!(answer.status, 400, "{place}");
        assert!(answer.json().unwrap()["Details"].as_str().unwrap().starts_with(place), "{}", answer.text());
    }
    // What a role says is a default where it is not enforced.
    made(&site, &doctor, STONE, &study.ids.study, json!({}));
    assert_eq!(listed(&doctor)["MaxOpenings"], json!(5));
    made(&site, &doctor, STONE, &study.ids.study, json!({"MaxOpenings": 9}));
    assert_eq!(listed(&doctor)["MaxOpenings"], json!(9));
    // Somebody with both, by a token, is bound as by the stricter.
    let both = Who::token(&site.token("both", &["doctor-role", "external-role"]));
    assert_eq!(make(&site, &both, STONE, &study.ids.study, json!({"Pin": false})).status, 400);
    // An API key with fewer of its maker's roles has no freer links: here it makes none at all.
    assert_eq!(make(&site, &Who::key(&key), STONE, &study.ids.study, json!({"Pin": false})).status, 403);
    let (_, key) = site.make_key(&both, &json!({"Name": "narrow", "Roles": ["doctor-role"]}));
    assert_eq!(make(&site, &Who::key(&key), STONE, &study.ids.study, json!({"Pin": false})).status, 400);
}

#[test]
fn a_link_for_somebody_opens_for_nobody_else() {
    for version in Version::tested() {
        let site = start(version);
        let study = site.upload(&Instance::named("one", "study", "series", "image"), &["internal"]);
        let admin = site.admin();
        let refused = make(&site, &admin, STONE, &study.ids.study, json!({"Recipient": "somebody-unknown"}));
        assert!(refused.status == 400 && refused.text().contains("Recipient"), "{version:?} {}", refused.text());
        let link = made(&site, &admin, STONE, &study.ids.study, json!({"Recipient": "second"}));
        let place = path(&link["Url"]);
        let answer = Browser::default().open(&site, &place);
        let back = format!("../login?return={place}");
        assert_eq!((answer.status, answer.header("location")), (303, Some(back.as_str())), "{version:?}");

        let log_in = |user: &str| {
            let form = format!("user={user}&password={}&return={place}", PASSWORD.replace(' ', "+"));
            let mut browser = Browser::default();
            let answer = browser.submit(&site, "/auth/login", &form);
            assert_eq!(answer.header("location"), Some(format!("..{place}").as_str()), "{version:?}");
            browser
        };
        let mut wrong = log_in("viewer");
        assert!(wrong.open(&site, &place).text().contains("for somebody else"), "{version:?}");
        let mut right = log_in("second");
        // Not by their own rights: the study has another label.
        assert_eq!(right.get(&site, &study.fill("/studies/{study}")), 403, "{version:?}");
        assert_eq!(right.open(&site, &place).status, 303, "{version:?}");
        assert_eq!(right.get(&site, &study.fill("/studies/{study}")), 200, "{version:?}");
    }
}

#[test]
fn a_link_without_download_gives_no_archive() {
    for version in Version::tested() {
        let site = start(version);
        let study = site.upload(&Instance::named("one", "study", "series", "image"), &["external"]);
        let doctor = Who::user("doctor");
        let link = made(&site, &doctor, STONE, &study.ids.study, json!({"Download": false}));
        let token = Who::token(link["Token"].as_str().unwrap());
        let mut browser = Browser::default();
        assert_eq!(browser.open(&site, &path(&link["ShortUrl"])).status, 303, "{version:?}");
        for (route, expected) in [
            ("/studies/{study}", 200),
            ("/instances/{instance}/file", 200),
            ("/dicom-web/studies/{study-uid}", 200),
            ("/studies/{study}/archive", 403),
            ("/studies/{study}/media", 403),
            ("/series/{series}/archive", 403),
            ("/tools/create-archive?resources={study}", 403),
            ("/tools/create-media?resources={study}", 403),
            ("/tools/create-media-extended?resources={study}", 403),
        ] {
            let route = study.fill(route);
            assert_eq!(site.get(&token, &route).status, expected, "{version:?} {route}");
            assert_eq!(browser.get(&site, &route), expected, "{version:?} {route}");
        }
        let volview = make(&site, &doctor, "volview-viewer-publication", &study.ids.study, json!({"Download": false}));
        assert_eq!(volview.status, 400, "{version:?}");
    }
}

#[test]
fn one_browser_holds_several_links_each_with_its_own_end() {
    let site = start(Version::tested()[0]);
    let doctor = Who::user("doctor");
    let mut browser = Browser::default();
    let studies: Vec<_> = (0..6)
        .map(|number| site.upload(&Instance::named(&format!("several-{number}"), "study", "series", "image"), &[]))
        .collect();
    let links: Vec<Value> =
        studies.iter().map(|study| made(&site, &doctor, STONE, &study.ids.study, json!({}))).collect();
    for link in links.iter().take(3) {
        assert_eq!(browser.open(&site, &path(&link["ShortUrl"])).status, 303);
    }
    let opens = |site: &Site, browser: &mut Browser| -> Vec<usize> {
        (0..6).filter(|number| browser.get(site, &studies[*number].fill("/studies/{study}")) == 200).collect()
    };
    assert_eq!(opens(&site, &mut browser), [0, 1, 2]);
    let second = links[1]["ID"].as_str().unwrap();
    assert_eq!(site.delete(&doctor, &format!("/auth/shares/{second}")).status, 200);
    assert_eq!(opens(&site, &mut browser), [0, 2]);
    // The same once more takes no room, and the oldest makes some.
    for number in [0, 3, 4, 5] {
        assert_eq!(browser.open(&site, &path(&links[number]["ShortUrl"])).status, 303);
    }
    assert_eq!(opens(&site, &mut browser), [0, 2, 3, 4, 5]);
    let answer = browser.send(&site, Request::get("/dicom-web/studies"), "cors", "same-origin");
    assert_eq!(answer.json().unwrap().as_array().unwrap().len(), 5, "the union of what they open");
}

#[test]
fn a_qr_code_leads_to_the_short_form() {
    for version in Version::tested() {
        let site = start(version);
        let study = site.upload(&Instance::named("one", "study", "series", "image"), &["external"]);
        let (doctor, other) = (Who::user("doctor"), Who::user("external"));
        let link = made(&site, &doctor, STONE, &study.ids.study, json!({"Pin": true}));
        let place = format!("/auth/shares/{}/qr", link["ID"].as_str().unwrap());
        let svg = site.get(&doctor, &place).expect_status(200).unwrap();
        assert_eq!(svg.header("content-type"), Some("image/svg+xml"), "{version:?}");
        assert!(svg.text().contains("<svg") && svg.header("cache-control") == Some("no-store"));
        let png = site.get(&doctor, &format!("{place}?format=png")).expect_status(200).unwrap();
        assert!(png.body.starts_with(b"\x89PNG\r\n"), "{version:?}");
        assert_eq!(site.get(&doctor, &format!("{place}?format=gif")).status, 400);
        // Whoever sees the code holds the link: nobody else's.
        assert_eq!(site.get(&other, &place).status, 404, "{version:?}");
        for stranger in [Who::nobody(), Who::token(link["Token"].as_str().unwrap())] {
            assert_eq!(site.get(&stranger, &place).status, 403, "{version:?}");
        }
        // One that is not valid yet may be printed; not what opens nothing any more.
        let later = made(&site, &doctor, STONE, &study.ids.study, json!({"NotBefore": "2099-01-01T00:00:00Z"}));
        let of_later = format!("/auth/shares/{}/qr", later["ID"].as_str().unwrap());
        assert_eq!(site.get(&doctor, &of_later).status, 200, "{version:?}");
        assert_eq!(site.delete(&site.admin(), &format!("/studies/{}", study.ids.study)).status, 200);
        for place in [&place, &of_later] {
            let refused = site.get(&doctor, place);
            assert_eq!(refused.status, 409, "{version:?}");
            assert!(refused.text().contains("what it opens was deleted"), "{version:?}: {}", refused.text());
        }
    }
}

/// All that shows a link says so, not only what it would have opened.
#[test]
fn a_link_whose_maker_may_not_share_any_more_is_not_opened_anywhere() {
    for version in Version::tested() {
        let site = start(version);
        let study = site.upload(&Instance::named("one", "study", "series", "image"), &["external"]);
        let doctor = Who::user("doctor");
        let once = made(&site, &doctor, STONE, &study.ids.study, json!({"MaxOpenings": 1}));
        let plain = made(&site, &doctor, STONE, &study.ids.study, json!({}));
        let record = |link: &Value| format!("/auth/shares/{}", link["ID"].as_str().unwrap());
        let decoded = || {
            let body = json!({"TokenKey": "token", "TokenValue": plain["Token"]});
            site.post(&Who::nobody(), "/auth/tokens/decode", &body).json().unwrap()
        };
        let before = site.get(&site.admin(), "/auth/settings/roles").json().unwrap();
        let mut without = before.clone();
        without["roles"]["doctor-role"]["permissions"] = json!(["view"]);
        let put = |roles: &Value| assert_eq!(site.put(&site.admin(), "/auth/settings/roles", roles).status, 200);
        put(&without);
        let mut browser = Browser::default();
        for page in
            [browser.open(&site, &path(&plain["ShortUrl"])), browser.submit(&site, &path(&once["ShortUrl"]), "")]
        {
            assert!(page.header("location").is_none() && page.header("set-cookie").is_none(), "{version:?}");
            assert!(page.text().contains("no longer available"), "{version:?}: {}", page.text());
        }
        assert_eq!(site.get(&site.admin(), &record(&once)).json().unwrap()["Openings"], 0, "{version:?}");
        assert_eq!(decoded()["ErrorCode"], "unknown", "{version:?}");
        let qr = site.get(&site.admin(), &format!("{}/qr", record(&plain)));
        assert_eq!(qr.status, 409, "{version:?}: {}", qr.text());
        assert_eq!(
            site.get(&Who::token(plain["Token"].as_str().unwrap()), &study.fill("/studies/{study}")).status,
            403
        );
        // What was taken from the maker and not from the link comes back.
        put(&before);
        assert!(decoded()["RedirectUrl"].is_string(), "{version:?}");
        let opened = browser.submit(&site, &path(&once["ShortUrl"]), "");
        assert!(opened.header("location").is_some(), "{version:?}: {}", opened.text());
    }
}

#[test]
fn what_is_wrong_with_a_link_is_said_in_the_browsers_language() {
    let site = start(Version::tested()[0]);
    let study = site.upload(&Instance::named("one", "study", "series", "image"), &["external"]);
    let doctor = Who::user("doctor");
    let later = made(&site, &doctor, STONE, &study.ids.study, json!({"NotBefore": "2099-01-01T00:00:00Z"}));
    for (language, heading, problem) in [
        ("en", "This link cannot be opened", "cannot be used yet"),
        ("fr-BE", "Ce lien ne peut pas être ouvert", "pas encore"),
        ("de", "Dieser Link lässt sich nicht öffnen", "noch nicht"),
        ("nl", "Deze link kan niet worden geopend", "nog niet"),
        ("es", "Este enlace no se puede abrir", "aún no"),
        ("pt-BR", "Esta ligação não pode ser aberta", "ainda não"),
        ("ja", "This link cannot be opened", "cannot be used yet"),
    ] {
        let request = Request::get(&path(&later["ShortUrl"])).header("Accept-Language", language);
        let page = site.send(&Who::nobody(), request).text();
        assert!(page.contains(heading) && page.contains(problem), "{language}: {page}");
        assert!(!page.contains("<script"), "{page}");
    }
    let request = Request::get(&path(&later["ShortUrl"])).header("Accept-Language", "en");
    assert!(site.send(&Who::nobody(), request).text().contains("from 2099-01-01 00:00 (UTC)"));
    for unknown in ["/auth/links/AAAAAAAAAAAAAAAAAAAAAA", "/auth/links/x", "/auth/links/%3Cscript%3E"] {
        let page = site.send(&Who::nobody(), Request::get(unknown)).text();
        assert!(page.contains("no such link"), "{page}");
    }
    // The study is gone, and the link with it.
    let link = made(&site, &doctor, STONE, &study.ids.study, json!({}));
    assert_eq!(site.delete(&site.admin(), &study.fill("/studies/{study}")).status, 200);
    let page = site.send(&Who::nobody(), Request::get(&path(&link["ShortUrl"]))).text();
    assert!(page.contains("no longer available"), "{page}");
    let log = site.server.log();
    let not_opened = |link: &Value, why: &str| {
        let line = format!("the link {} was not opened from 127.0.0.1: {why}", link["ID"].as_str().unwrap());
        assert!(log.contains(&line), "{line}\n{log}");
    };
    not_opened(&later, "it is not valid before 2099-01-01T00:00:00+00:00");
    not_opened(&link, "share link: what it opens was deleted");
    assert!(log.contains("an unknown link code was opened from 127.0.0.1"), "{log}");
    // The server itself writes down a path as it came.
    let own = log.lines().filter(|line| line.contains("authorization:"));
    assert_eq!(own.filter(|line| line.contains("AAAAAAAAAAAAAAAAAAAAAA")).count(), 0, "a code stands in the log");
}
