//! Mails: with templates, over a real mail server, with nothing in them but links that were made here; and what a mail
//! server may do wrong.
use crate::site::{Image, PASSWORD, Plan, Site, USERS, Who, roles};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;
use testbed::clock::{monotonic, wait_until};
use testbed::dicom::Instance;
use testbed::mail::{Fault, Mail, MailServer, MailServerBuilder, Relay, ScriptedServer, Tls};
use testbed::{Answer, Request, Version};

/// The password at the mail server.
const SECRET: &str = "a-secret-of-the-mail-server";
const CONTENT: &str = "<p>Hello,</p>\n<p>a study of <strong>{PatientName}</strong>: <a href=\"{ShareUrl}\">open it</a>.</p>\n\
                       <p>Questions: <a href=\"https://hospital.example/help\">our page</a></p>";
const LAYOUT: &str = "<!DOCTYPE html><html><head><style>h1 { color: red }</style></head><body><h1>{email-title}</h1>\
                      {email-content}<p><a href=\"https://hospital.example/privacy\">Privacy</a></p></body></html>";

/// A site with templates that mails by `smtp`, with a limited user who shares and a user for Orthanc Explorer 2.
fn plan(version: Version, smtp: Value, more: &Value) -> (Plan, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let templates = folder.path().join("templates");
    fs::create_dir_all(&templates).unwrap();
    fs::write(templates.join("share-content.html"), CONTENT).unwrap();
    fs::write(templates.join("share-layout.html"), LAYOUT).unwrap();
    let mut emails = json!({
        "TemplatesFolder": templates, "Sender": "My Höspital <info@hospital.example>", "ReplyTo": "desk@hospital.example",
        "ServiceUser": "mailer", "Smtp": smtp,
    });
    emails.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let hash = testbed::password_hash(PASSWORD).unwrap();
    let mut users: serde_json::Map<String, Value> = USERS
        .iter()
        .map(|name| (name.to_string(), json!({"PasswordHash": hash, "Roles": [format!("{name}-role")]})))
        .collect();
    // It may send what others wrote, and nothing else at all.
    users.insert("mailer".to_owned(), json!({"PasswordHash": hash, "Roles": []}));
    let shares = json!({
        "SecretKey": crate::site::SHARE_KEY, "PublicOrthancRoot": "http://site.test/orthanc/",
        "PublicLandingRoot": "http://site.test/orthanc/ui/app/token-landing.html",
    });
    let section = json!({"Emails": emails, "Users": users, "Shares": shares, "Keycloak": null});
    (Plan::new(version).roles(roles()).section(section), folder)
}

/// The server that the mails go to, and how it is reached.
fn smtp(server: &MailServer, tls: &str, login: bool) -> Value {
    let mut smtp = json!({
        "Host": "localhost", "Port": server.port(), "Tls": tls, "CaFile": server.authority(), "Timeout": 10,
    });
    if login {
        smtp.as_object_mut()
            .unwrap()
            .extend([("Username".to_owned(), json!("us")), ("Password".to_owned(), json!(SECRET))]);
    }
    smtp
}

/// As Orthanc Explorer 2 makes it, and hands it on: `JSON.stringify` of these members in this order.
fn letter(to: &str, title: &str, content: &str, layout: Option<&str>) -> String {
    format!(
        "{{\"destination-email\":{},\"email-title\":{},\"email-content\":{},\"layout-template\":{}}}",
        json!(to),
        json!(title),
        json!(content),
        json!(layout)
    )
}

fn send(site: &Site, who: &Who, body: &str) -> Answer {
    site.send(who, Request::post("/auth/emails/send", body).header("Content-Type", "application/json"))
}

/// What is shown to whoever wrote the mail.
fn refused(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    let told = answer.json().unwrap();
    assert_eq!(told["success"], false, "{told}");
    assert!(!told.to_string().contains(SECRET) && !told.to_string().contains("inner.example"), "{told}");
    told["details"].as_str().unwrap().to_owned()
}

/// The URL of a new link, and its identifier.
fn share(site: &Site, who: &Who, study: &Image, more: &Value) -> (String, String) {
    let mut body = json!({"Resources": [{"OrthancId": study.ids.study, "DicomUid": study.study_uid, "Level": "study"}],
        "Type": "stone-viewer-publication", "ValidityDuration": 600});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = site.put(who, "/auth/tokens/stone-viewer-publication", &body).expect_status(200).unwrap();
    let answer = answer.json().unwrap();
    (answer["Url"].as_str().unwrap().to_owned(), answer["ID"].as_str().unwrap().to_owned())
}

fn upload(site: &Site) -> Image {
    let who = Who::user("admin");
    let instance = Instance::named("Mailed", "study", "series", "instance");
    site.send(&who, Request::post("/instances", instance.to_bytes())).expect_status(200).unwrap();
    let image = Image::of(&instance);
    let path = format!("/studies/{}/labels/external", image.ids.study);
    site.send(&who, Request::put(&path, "")).expect_status(200).unwrap();
    image
}

fn content(url: &str) -> String {
    format!(
        "<p>Here: <a target=\"_blank\" rel=\"noopener noreferrer nofollow\" href=\"{}\">link</a></p>",
        url.replace('&', "&amp;")
    )
}

#[test]
fn a_link_is_mailed_with_what_was_written_and_nothing_else() {
    for version in Version::tested() {
        let server = MailServer::builder(Tls::StartTls).login("us", SECRET).start().unwrap();
        let (plan, _folder) = plan(version, smtp(&server, "starttls", true), &json!({}));
        let site = plan.start();
        let study = upload(&site);
        let (doctor, external) = (Who::user("doctor"), Who::user("external"));
        // As Orthanc Explorer 2 asks on behalf of its users.
        let mailer = Who::user("mailer");

        // Templates.
        for who in [&mailer, &doctor, &external] {
            let names = site.get(who, "/auth/emails/templates").expect_status(200).unwrap().json().unwrap();
            assert_eq!(names, json!(["share-content", "share-layout"]), "{version:?}");
        }
        let template = site.get(&mailer, "/auth/emails/templates/share-content").expect_status(200).unwrap();
        assert_eq!(
            (template.text(), template.header("content-type")),
            (CONTENT.to_owned(), Some("text/html; charset=utf-8"))
        );
        for name in ["nothing", "..%2f..%2fpermissions", "%2e%2e%2fpermissions", "share-content.html", ".."] {
            let status = site.get(&mailer, &format!("/auth/emails/templates/{name}")).status;
            assert!(matches!(status, 404 | 403), "{version:?} {name}: {status}");
        }

        // What the dialog sends, by the service.
        let (url, id) = share(&site, &external, &study, &json!({}));
        assert!(url.starts_with("http://site.test/orthanc/ui/app/token-landing.html?token="), "{url}");
        let written = format!(
            "<p>Hello <script>alert(1)</script><strong>Doe&amp;Jane</strong>,</p>{}<p>ä <a href=\"https://hospital.example/help\">our page</a></p>",
            content(&url)
        );
        let body = letter("a@b.example; c@d.example", "A stüdy <for> you", &written, Some("share-layout"));
        let answer = send(&site, &mailer, &body).expect_status(200).unwrap();
        assert_eq!(answer.json().unwrap(), json!({"success": true, "details": null}), "{version:?}");
        let mails = server.mails().unwrap();
        let [mail] = &mails[..] else { panic!("{mails:?}") };
        assert!(mail.tls && mail.login, "{version:?}");
        assert_eq!(
            (mail.from.as_str(), &mail.to[..]),
            ("info@hospital.example", &["a@b.example", "c@d.example"].map(str::to_owned)[..])
        );
        assert_eq!(mail.header("to"), ["a@b.example, c@d.example"]);
        assert_eq!(mail.header("reply-to"), ["desk@hospital.example"]);
        assert_eq!(mail.header("subject").len(), 1);
        assert!(
            mail.header("subject")[0].is_ascii()
                && mail.header("bcc").is_empty()
                && mail.header("message-id").len() == 1
        );
        let html = mail.part("text/html");
        assert!(html.contains("<h1>A stüdy &lt;for&gt; you</h1>"), "{html}");
        assert!(
            html.contains(&format!("<a href=\"{url}\">link</a>")) && html.contains("<strong>Doe&amp;Jane</strong>"),
            "{html}"
        );
        assert!(!html.contains("script") && html.contains("ä"), "{html}");
        let text = mail.part("text/plain");
        assert!(text.contains(&format!("link <{url}>")) && text.contains("Hello Doe&Jane,"), "{text}");
        // Who, to where, with which link; not to whom, and not what.
        let line = site.server.wait_for_log("a mail was sent to", Duration::from_secs(5)).unwrap();
        assert!(
            line.contains(&id) && line.contains("2 recipients (b.example, d.example)") && line.contains("\"mailer\""),
            "{line}"
        );
        assert!(!site.server.log().contains("a@b.example") && !site.server.log().contains(SECRET), "{version:?}");
        // What was mailed opens.
        let token = url.split("token=").nth(1).unwrap();
        assert_eq!(site.get(&Who::argument(token), &study.fill("/studies/{study}")).status, 200, "{version:?}");

        // By somebody by themselves; with no layout; with the address in plain text; in each form that a link has.
        let (asking, _) = share(&site, &doctor, &study, &json!({"Pin": "a word", "MaxOpenings": 2}));
        assert!(asking.starts_with("http://site.test/orthanc/auth/links/"), "{asking}");
        let (own, _) =
            share(&site, &doctor, &study, &json!({"NotBefore": "2100-01-01T00:00:00Z", "ValidityDuration": null}));
        let uid = &study.study_uid;
        let viewer = "http://site.test/orthanc/stone-webviewer/index.html";
        let token = own.split("token=").nth(1).unwrap();
        let viewer = format!("{viewer}?study={uid}&selectedStudies={uid}&token={token}");
        for written in [content(&asking), format!("<p>Open {asking}.</p>"), content(&own), content(&viewer)] {
            send(&site, &doctor, &letter("a@b.example", "x", &written, None)).expect_status(200).unwrap();
        }
        assert_eq!(server.mails().unwrap().len(), 5);
        assert!(server.logins().iter().all(|tls| *tls));
    }
}

#[test]
fn nobody_mails_what_is_not_theirs_to_share() {
    let server = MailServer::builder(Tls::None).start().unwrap();
    let version = *Version::tested().last().unwrap();
    let (plan, _folder) = plan(version, smtp(&server, "none", false), &json!({}));
    let site = plan.start();
    let study = upload(&site);
    let (doctor, external, mailer) = (Who::user("doctor"), Who::user("external"), Who::user("mailer"));
    let (url, _) = share(&site, &external, &study, &json!({}));
    let token = url.split("token=").nth(1).unwrap();

    // Who may not send at all; what they wrote is not looked at.
    for who in [Who::nobody(), Who::user("viewer"), Who::argument(token), Who::token(token)] {
        for (method, path) in [
            ("GET", "/auth/emails/templates"),
            ("GET", "/auth/emails/templates/share-content"),
            ("POST", "/auth/emails/send"),
        ] {
            let answer = site.send(&who, Request::new(method, path).body("nonsense"));
            assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text());
        }
    }
    // The service's user may do nothing else.
    for path in ["/studies", "/plugins", "/auth/shares", &study.fill("/studies/{study}")] {
        let answer = site.get(&mailer, path);
        assert!(answer.status == 403 || answer.text() == "[]", "{path}: {}", answer.text());
    }
    assert_eq!(site.get(&doctor, "/auth/emails/send").status, 405);

    let fault = |who: &Who, to: &str, title: &str, content: &str, layout: Option<&str>| {
        refused(&send(&site, who, &letter(to, title, content, layout)), 400)
    };
    let own = content(&url);
    // Addresses and titles that would be more than that.
    for to in ["", "nobody", "a@b.example\r\nBcc: c@d.example", "<a@b.example>", "a@[127.0.0.1]", "a@b.example\u{0}"] {
        assert!(fault(&external, to, "x", &own, None).contains("recipient"), "{to:?}");
    }
    for title in ["", "x\r\nBcc: c@d.example", "x\ny", "\u{85}x\u{2028}y"] {
        assert!(fault(&external, "a@b.example", title, &own, None).contains("title"), "{title:?}");
    }
    // Templates that are none, or no layout.
    for layout in ["nothing", "../permissions", "share-content"] {
        assert!(fault(&external, "a@b.example", "x", &own, Some(layout)).contains("template"), "{layout}");
    }
    // Addresses that are no links of theirs, wherever they stand, and whatever they look like.
    let (doctors, doctors_id) = share(&site, &doctor, &study, &json!({}));
    let doctors_token = doctors.split("token=").nth(1).unwrap();
    let forged = format!("{}x", url.get(..url.len() - 1).unwrap());
    for address in [
        "https://evil.example/".to_owned(),
        "http://site.test/orthanc/".to_owned(),
        "http://site.test/orthanc/ui/app/token-landing.html?token=abc".to_owned(),
        "javascript:alert(1)".to_owned(),
        "mailto:evil@evil.example".to_owned(),
        "/auth/links/x".to_owned(),
        forged,
        doctors.clone(),
        format!("https://evil.example/?token={token}"),
        format!("http://site.test.evil.example/orthanc/?token={token}"),
        format!("http://site.test/orthanc@evil.example/?token={token}"),
        format!("http://site.test/orthanc/../evil?token={token}"),
        format!("http://site.test/orthanc/%2e%2e/evil?token={token}"),
        format!("{url}&token={doctors_token}"),
        format!("{url}#https://evil.example/"),
        format!("http://site.test/orthanc/ohif/viewer/dicomjson?url=https://evil.example/x.json&token={token}"),
        format!("http://site.test/orthanc/stone-webviewer/index.html?study=1.2.3&token={token}"),
        format!("{url}&url=https://evil.example/x.json"),
        "http://site.test/orthanc/auth/links/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        "https://hospital.example/help/../evil".to_owned(),
    ] {
        let told = fault(&external, "a@b.example", "x", &format!("{own}{}", content(&address)), None);
        assert!(told.contains("no share link of yours"), "{address}: {told}");
    }
    let (asking, _) = share(&site, &external, &study, &json!({"Pin": "a word"}));
    for text in [
        "https://evil.example/a",
        "www.evil.example",
        "ht<b>tps:</b>//evil.example",
        "hxxp://x",
        "&#104;ttp://evil.example",
        "<table>https:<caption>//evil.example/",
        "https:&#x200b;//evil.example/",
        &format!("www.evil.example/{asking}"),
    ] {
        let told = fault(&external, "a@b.example", "x", &format!("{own}<p>{text}</p>"), None);
        assert!(told.contains("no share link of yours"), "{text}: {told}");
    }
    // Of what is written about the link too.
    for title in ["see https://evil.example/", "www.evil.example"] {
        let told = fault(&external, "a@b.example", title, &own, Some("share-layout"));
        assert!(told.contains("no share link of yours"), "{title}: {told}");
    }
    for nothing in ["", "<p>Hello</p>", "<a href=\"https://hospital.example/help\">x</a>"] {
        assert!(fault(&external, "a@b.example", "x", nothing, None).contains("no share link"), "{nothing}");
    }
    // Bodies that are none.
    for body in ["", "[]", "{", "{\"destination-email\": 5}", "null"] {
        refused(&send(&site, &external, body), 400);
    }
    refused(&send(&site, &external, &letter("a@b.example", "x", &"a".repeat(200_000), None)), 400);
    // A link that was taken back; the service may not send it either.
    site.delete(&doctor, &format!("/auth/shares/{doctors_id}")).expect_status(200).unwrap();
    for who in [&doctor, &mailer] {
        assert!(fault(who, "a@b.example", "x", &content(&doctors), None).contains("revoked"));
    }
    // An API key sends the links that were made with it.
    let (_, key) = site.make_key(&external, &json!({"Name": "k"}));
    let key = Who::key(&key);
    assert!(fault(&key, "a@b.example", "x", &own, None).contains("no share link of yours"));
    let (by_key, _) = share(&site, &key, &study, &json!({}));
    assert!(server.mails().unwrap().is_empty(), "nothing of all that went out");
    send(&site, &key, &letter("a@b.example", "x", &content(&by_key), None)).expect_status(200).unwrap();
    // Credentials beside each other are decided one by one: the doctor may send, but has not made this one.
    assert_eq!(send(&site, &doctor.and(&key), &letter("a@b.example", "x", &content(&by_key), None)).status, 400);
    assert_eq!(server.mails().unwrap().len(), 1);
}

#[test]
fn only_so_many_mails_go_out_within_an_hour() {
    let server = MailServer::builder(Tls::Tls).start().unwrap();
    let version = Version::tested()[0];
    let (plan, _folder) = plan(version, smtp(&server, "tls", false), &json!({"HourlyPerPerson": 3, "Hourly": 5}));
    let site = plan.start();
    let study = upload(&site);
    let (doctor, external, mailer) = (Who::user("doctor"), Who::user("external"), Who::user("mailer"));
    let (doctors, _) = share(&site, &doctor, &study, &json!({}));
    let (externals, _) = share(&site, &external, &study, &json!({}));
    let mail = |who: &Who, to: &str, url: &str| send(&site, who, &letter(to, "x", &content(url), None));
    mail(&doctor, "a@b.example, c@b.example", &doctors).expect_status(200).unwrap();
    assert!(refused(&mail(&doctor, "a@b.example, c@b.example", &doctors), 503).contains("one person"));
    mail(&mailer, "a@b.example", &doctors).expect_status(200).unwrap();
    // Of whoever made the link, also by the service; and of all together.
    assert!(refused(&mail(&mailer, "a@b.example", &doctors), 503).contains("one person"));
    mail(&external, "a@b.example, c@b.example", &externals).expect_status(200).unwrap();
    assert!(refused(&mail(&mailer, "a@b.example", &externals), 503).contains("this server"));
    let mails = server.mails().unwrap();
    assert_eq!(mails.len(), 3);
    assert!(mails.iter().all(|mail: &Mail| mail.tls && !mail.login));
}

/// A mail server that does something wrong, and what is told of it.
type Case = (MailServerBuilder, &'static str);

#[test]
fn what_a_mail_server_refuses_is_told_without_what_it_says() {
    let by = MailServer::builder;
    refusals(
        "starttls",
        true,
        vec![
            (
                by(Tls::StartTls).login("us", SECRET).refuse("a@b.example"),
                "refuses a recipient, or the sender (550 5.1.1)",
            ),
            (by(Tls::StartTls).login("us", "another"), "does not accept the login that is configured here (535 5.7.8)"),
            (by(Tls::StartTls).login("us", SECRET).certificate_for("other.example"), "certificate is not accepted"),
            // No silent way back: neither the mail nor the password goes in the clear.
            (by(Tls::None).login("us", SECRET), "does not offer what is configured: STARTTLS"),
        ],
    );
}

#[test]
fn a_mail_server_with_tls_from_the_start_must_have_it_and_the_right_name() {
    let by = MailServer::builder;
    refusals(
        "tls",
        true,
        vec![
            (by(Tls::Tls).certificate_for("other.example"), "certificate is not accepted"),
            (by(Tls::None).login("us", SECRET), "the mail server"),
        ],
    );
}

#[test]
fn a_mail_server_that_hangs_up_or_hangs_is_given_up() {
    let by = MailServer::builder;
    refusals(
        "none",
        false,
        vec![
            (by(Tls::StartTls), "wants TLS or a login, which is not configured (530"),
            (by(Tls::None).login("us", SECRET), "wants TLS or a login, which is not configured (530"),
            (by(Tls::None).fault(Fault::Drop), "ended the connection"),
            (by(Tls::None).fault(Fault::Hang), "no answer within 5 s"),
        ],
    );
}

/// One site for all servers that are spoken to in the same way.
fn refusals(tls: &str, login: bool, cases: Vec<Case>) {
    let version = *Version::tested().last().unwrap();
    let servers: Vec<(MailServer, &str)> =
        cases.into_iter().map(|(server, told)| (server.start().unwrap(), told)).collect();
    let folder = tempfile::tempdir().unwrap();
    let authorities: Vec<String> =
        servers.iter().map(|(server, _)| fs::read_to_string(server.authority()).unwrap()).collect();
    let authority = folder.path().join("authorities.pem");
    fs::write(&authority, authorities.concat()).unwrap();
    let relay = Relay::start().unwrap();
    let mut smtp = json!({"Host": "localhost", "Port": relay.port(), "Tls": tls, "CaFile": authority, "Timeout": 5});
    if login {
        smtp.as_object_mut()
            .unwrap()
            .extend([("Username".to_owned(), json!("us")), ("Password".to_owned(), json!(SECRET))]);
    }
    let (site, url, _templates) = site_with_a_link(version, smtp);
    for (server, told) in servers {
        relay.lead_to(server.port());
        one_refused(&site, &url, told);
        assert!(server.mails().unwrap().is_empty(), "{told}");
        assert!(server.logins().iter().all(|tls| *tls), "{told}: a password in the clear");
    }
}

#[test]
fn a_mail_server_that_is_none_or_never_ends_is_given_up() {
    // Never says all of its greeting, but always something: no single step takes too long.
    let dribbles = ScriptedServer::start("220-", |_| None).unwrap();
    let garbage = ScriptedServer::start("HTTP/1.1 400 Bad Request\r\n\r\n", |_| None).unwrap();
    // Says that it has STARTTLS, and then no.
    let mute = ScriptedServer::start("220 mail.test\r\n", |line| match line {
        line if line.starts_with("EHLO") => Some("250-mail.test\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"),
        _ => Some("454 4.7.0 not now, inner.example\r\n"),
    })
    .unwrap();
    let relay = Relay::start().unwrap();
    let smtp = json!({"Host": "127.0.0.1", "Port": relay.port(), "Tls": "starttls", "Timeout": 2, "Username": "us", "Password": SECRET});
    let (site, url, _templates) = site_with_a_link(Version::tested()[0], smtp);
    for (port, told) in [
        (dribbles.port(), "no answer within 2 s"),
        (garbage.port(), "is no SMTP"),
        (mute.port(), "(454 4.7.0)"),
        (testbed::orthanc::free_port().unwrap(), "ended the connection"),
    ] {
        relay.lead_to(port);
        one_refused(&site, &url, told);
    }
    let harmless = |line: &String| line.starts_with("EHLO") || matches!(line.as_str(), "STARTTLS" | "QUIT");
    assert!(mute.heard().iter().all(harmless), "{:?}", mute.heard());
}

/// A site, and the URL of a link that is the doctor's.
fn site_with_a_link(version: Version, smtp: Value) -> (Site, String, tempfile::TempDir) {
    let (plan, templates) = plan(version, smtp, &json!({}));
    let site = plan.start();
    let study = upload(&site);
    let (url, _) = share(&site, &Who::user("doctor"), &study, &json!({}));
    (site, url, templates)
}

/// A mail is refused with this, in time, and neither the answer nor the log has what nobody should read.
fn one_refused(site: &Site, url: &str, told: &str) {
    let before = monotonic();
    let answer = send(site, &Who::user("doctor"), &letter("a@b.example", "x", &content(url), None));
    let details = refused(&answer, 400);
    assert!(details.contains(told), "{told}: {details}");
    assert!(before.elapsed() < Duration::from_secs(12), "{told}: {:?}", before.elapsed());
    let log = || site.server.log().contains(&details).then_some(());
    assert!(wait_until(Duration::from_secs(5), log).is_some(), "{told}");
    assert!(!site.server.log().contains(SECRET) && !site.server.log().contains("inner.example"), "{told}");
}
