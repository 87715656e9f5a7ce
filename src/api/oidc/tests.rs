//! What time does to codes and tokens: everything else is tried on real servers.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Api;
use crate::config::ShareDefaults;
use crate::credential::{Credential, Kind, Source};
use crate::doctor::Doctor;
use crate::host::Method;
use crate::identity::session::Login;
use crate::identity::{Opened, Rejection};
use crate::index::Index;
use crate::launch::{CODE_LIFE, IdTokenKey, IdTokenSubject, Provider};
use crate::login::{Front, LINKS, code_challenge};
use crate::request::{Reply, Request, RestRequest};
use crate::resource::Level;
use crate::share::ShareResource;
use crate::share::kind::LinkType;
use crate::slot::{self, Staleness};
use crate::store::ShareFilter;
use crate::testing::{Bed, NOW, id, uid, world};
use crate::{clock::UnixTime, config};

const VIEWER: &str = "https://viewer.example";
const CALLBACK: &str = "https://viewer.example/callback";
const VERIFIER: &str = "a-verifier-of-a-test-that-is-long-enough-for-rfc-7636";
const TOKEN_LIFE: i64 = 300;

struct Scene {
    bed: Bed,
    api: Api,
}

impl Scene {
    fn new() -> Self {
        Self::with(json!({"Authorization": {}}))
    }

    fn with(mut configuration: Value) -> Self {
        let roles = json!({"roles": {"doctor-role": {"permissions": ["view", "share"], "authorized-labels": ["*"]}}});
        configuration["Authorization"]["Shares"]["ViewerOrigins"] = json!([VIEWER]);
        let bed = Bed::new(configuration, &json!({"doctor": ["doctor-role"]}), &roles, world());
        let environment: &dyn config::Environment = &config::ProcessEnvironment::new(None);
        let section = json!({"ViewerOrigins": [VIEWER], "ViewerTokenValidity": TOKEN_LIFE});
        let text = json!({"IndexDirectory": "/nowhere", "Authorization": {"Shares": section}}).to_string();
        let read = config::read(&text, environment).unwrap().unwrap();
        assert_eq!(read.shares.viewers.redirect_uris, [CALLBACK], "the default address");
        let api = Api {
            index: Arc::new(Index::new(Arc::clone(&bed.host) as Arc<dyn crate::host::Host>)),
            gate: Arc::clone(&bed.gate),
            doctor: Arc::new(Doctor::new(&read, Arc::clone(&bed.gate))),
            shares: read.shares,
            oe2_root: "/ui/".to_owned(),
            login: None,
            provider: Some(Provider {
                id_tokens: IdTokenKey::read(&IdTokenKey::generate().unwrap()).unwrap(),
                subjects: IdTokenSubject::new(&[1; 32]),
            }),
            front: Front::new(None, false, "Orthanc".to_owned()),
            mail: None,
            meddream: None,
            decodes_arguments: true,
        };
        Self { bed, api }
    }

    /// A link to the first study that ends then, and what a browser holds that opened it now.
    fn open(&self, link: &str, end: Option<UnixTime>) -> String {
        let study =
            ShareResource { level: Level::Study, orthanc_id: Some(id("a1")), dicom_uid: Some(uid("a1")), url: None };
        self.bed.make_link(link, Some("doctor"), LinkType::Ohif, vec![study], |record| record.expires_at = end);
        let until = NOW.plus(LINKS);
        let held = self.bed.verifiers().grant(link, &Opened { at: NOW, until, session: None }).unwrap();
        format!("gatehouse-links={held}")
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        arguments: &[(&str, &str)],
        body: &str,
        now: UnixTime,
    ) -> Reply {
        let (headers, arguments) = (headers.to_vec(), arguments.to_vec());
        let request = Request { method, path, remote: "192.0.2.1", headers, arguments };
        let mut outcome = self.bed.gate.decide(&request, now);
        assert!(outcome.take_permit().is_some(), "{path} passes the filter");
        slot::write(&request, false, outcome, Staleness::Cleared, &self.bed.gate.places);
        let reply = self.api.handle(&RestRequest { request, body: body.as_bytes() }, now);
        slot::clear();
        reply
    }

    fn code(&self, cookie: &str, now: UnixTime) -> Option<String> {
        self.code_for(cookie, None, now)
    }

    fn code_for(&self, cookie: &str, hint: Option<&str>, now: UnixTime) -> Option<String> {
        let challenge = code_challenge(VERIFIER);
        let mut arguments = vec![
            ("client_id", VIEWER),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "openid"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        arguments.extend(hint.map(|hint| ("login_hint", hint)));
        let headers = [("cookie", cookie), ("sec-fetch-mode", "navigate"), ("sec-fetch-site", "none")];
        let reply = self.send(Method::Get, "/auth/oidc/authorize", &headers, &arguments, "", now);
        let Reply::Answer { headers, .. } = reply else { panic!("{reply:?}") };
        let (_, to) = headers.iter().find(|(name, _)| *name == "Location")?;
        Some(to.strip_prefix(&format!("{CALLBACK}?code="))?.split('&').next()?.to_owned())
    }

    fn ask(&self, form: &str, now: UnixTime) -> (u16, Value) {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        match self.send(Method::Post, "/auth/oidc/token", &headers, &[], form, now) {
            Reply::Answer { status, body, .. } => (status, serde_json::from_slice(&body).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    fn exchange(&self, code: &str, now: UnixTime) -> (u16, Value) {
        let form = format!(
            "grant_type=authorization_code&client_id={VIEWER}&code={code}&redirect_uri={CALLBACK}&code_verifier={VERIFIER}"
        );
        self.ask(&form, now)
    }

    fn renew(&self, tokens: &Value, now: UnixTime) -> (u16, Value) {
        let token = tokens["refresh_token"].as_str().unwrap();
        self.ask(&format!("grant_type=refresh_token&client_id={VIEWER}&refresh_token={token}"), now)
    }

    fn counts(&self, tokens: &Value, now: UnixTime) -> Result<(), Rejection> {
        let text = tokens["access_token"].as_str().unwrap();
        let credential = Credential { source: Source::Authorization, kind: Kind::Token, text };
        self.bed.gate.identities.verify(&credential, "192.0.2.1", now).map(drop)
    }
}

#[test]
fn a_code_counts_for_a_minute_and_a_token_for_its_minutes() {
    let scene = Scene::new();
    let cookie = scene.open("link", None);
    let late = scene.code(&cookie, NOW).unwrap();
    let (status, told) = scene.exchange(&late, NOW.plus(CODE_LIFE));
    assert_eq!((status, &told["error"]), (400, &json!("invalid_grant")));
    let code = scene.code(&cookie, NOW).unwrap();
    let at = NOW.plus(CODE_LIFE - 1);
    let (status, tokens) = scene.exchange(&code, at);
    assert_eq!((status, &tokens["expires_in"]), (200, &json!(TOKEN_LIFE)), "{tokens}");
    scene.counts(&tokens, at.plus(TOKEN_LIFE - 1)).unwrap();
    assert!(matches!(scene.counts(&tokens, at.plus(TOKEN_LIFE)), Err(Rejection::Expired)));
    // Also to somebody who never asked before.
    scene.bed.gate.identities.forget();
    assert!(matches!(scene.counts(&tokens, at.plus(TOKEN_LIFE)), Err(Rejection::Expired)));
    // The refresh token goes on.
    let (status, renewed) = scene.renew(&tokens, at.plus(TOKEN_LIFE));
    assert_eq!(status, 200, "{renewed}");
    scene.counts(&renewed, at.plus(2 * TOKEN_LIFE - 1)).unwrap();
}

#[test]
fn nothing_of_a_launch_outlives_the_link_or_the_opening() {
    let scene = Scene::new();
    for (link, end, over) in [
        ("short", Some(NOW.plus(400)), NOW.plus(400)),
        ("endless", None, NOW.plus(LINKS)),
        ("long", Some(NOW.plus(2 * LINKS)), NOW.plus(LINKS)),
    ] {
        let cookie = scene.open(link, end);
        let (_, tokens) = scene.exchange(&scene.code(&cookie, NOW).unwrap(), NOW);
        let last = over.plus(-10);
        let (status, renewed) = scene.renew(&tokens, last);
        assert_eq!((status, &renewed["expires_in"]), (200, &json!(10)), "{link}: {renewed}");
        scene.counts(&renewed, over.plus(-1)).unwrap();
        assert!(scene.counts(&renewed, over).is_err(), "{link}");
        assert_eq!(scene.renew(&renewed, over).0, 400, "{link}");
        assert_eq!(scene.code(&cookie, over), None, "{link}");
    }
}

/// A link's holder may launch more viewers than are kept: the oldest ends then, its warm token too.
#[test]
fn a_launch_that_makes_room_ends_at_once() {
    let scene = Scene::new();
    let cookie = scene.open("link", None);
    let launch = |now: UnixTime| scene.exchange(&scene.code(&cookie, now).unwrap(), now).1;
    let [first, second] = [NOW, NOW.plus(1)].map(launch);
    let now = NOW.plus(2);
    for _ in 0..498 {
        scene.code(&cookie, now).unwrap();
    }
    scene.counts(&first, now).unwrap();
    scene.code(&cookie, now).unwrap();
    assert!(scene.counts(&first, now).is_err());
    assert_eq!(scene.renew(&first, now).0, 400);
    scene.counts(&second, now).unwrap();
}

#[test]
fn a_viewers_token_ends_with_the_viewers_place_in_the_configuration() {
    let scene = Scene::new();
    let cookie = scene.open("link", None);
    let (_, tokens) = scene.exchange(&scene.code(&cookie, NOW).unwrap(), NOW);
    let text = tokens["access_token"].as_str().unwrap();
    let credential = Credential { source: Source::Authorization, kind: Kind::Token, text };
    let counts = |origins: Value| {
        let store = Arc::clone(&scene.bed.verifiers().store);
        let roles = json!({"roles": {"doctor-role": {"permissions": ["view", "share"], "authorized-labels": ["*"]}}});
        let section = json!({"Authorization": {"Shares": {"ViewerOrigins": origins}}});
        let bed = Bed::on(store, section, &json!({"doctor": ["doctor-role"]}), &roles, world());
        bed.gate.identities.verify(&credential, "192.0.2.1", NOW).is_ok()
    };
    assert!(counts(json!([VIEWER, "https://other.example"])));
    assert!(!counts(json!(["https://other.example"])));
    assert!(!counts(json!([])));
}

#[test]
fn a_viewers_token_ends_with_all_that_its_links_maker_has() {
    let scene = Scene::new();
    let cookie = scene.open("link", None);
    let (_, tokens) = scene.exchange(&scene.code(&cookie, NOW).unwrap(), NOW);
    scene.counts(&tokens, NOW).unwrap();
    let doctor = crate::person::Person::local("doctor");
    scene.bed.verifiers().store.set_not_before(&doctor, NOW.plus(1)).unwrap();
    scene.bed.gate.identities.forget();
    assert!(matches!(scene.counts(&tokens, NOW.plus(1)), Err(Rejection::Ended)));
    assert_eq!(scene.renew(&tokens, NOW.plus(1)).0, 400);
}

#[test]
fn a_launch_after_everything_was_ended_uses_no_older_link() {
    let scene = Scene::with(json!({"Authorization": {"Login": {"Enable": true}}}));
    let verifiers = scene.bed.verifiers();
    let log_in = |now: UnixTime| {
        let (text, _) = verifiers
            .sessions
            .as_ref()
            .unwrap()
            .open(Login::local("doctor", verifiers.local.password_mark("doctor")), now)
            .unwrap();
        format!("{}={}", scene.bed.gate.places.session_cookie.as_ref().unwrap(), text.expose())
    };
    let study = uid("a1");
    let launch = |cookie: &str, now: UnixTime| {
        let code = scene.code_for(cookie, Some(&study), now).unwrap();
        scene.exchange(&code, now)
    };
    let links = || verifiers.store.shares(&ShareFilter::default()).unwrap().len();
    let cookie = log_in(NOW);
    for _ in 0..2 {
        assert_eq!(launch(&cookie, NOW).0, 200);
        assert_eq!(links(), 1, "one is used again");
    }
    let (ended, later) = (NOW.plus(10), NOW.plus(20));
    verifiers.store.set_not_before(&crate::person::Person::local("doctor"), ended).unwrap();
    scene.bed.gate.identities.forget();
    let (status, tokens) = launch(&log_in(later), later);
    assert_eq!((status, links()), (200, 2), "{tokens}");
    scene.counts(&tokens, later).unwrap();
}

#[test]
fn a_launch_by_a_session_is_no_way_around_what_a_role_enforces() {
    let mut scene = Scene::with(json!({"Authorization": {"Login": {"Enable": true}}}));
    let enforced = ShareDefaults { download: Some(false), enforce: true, ..ShareDefaults::default() };
    scene.api.shares.defaults.insert("doctor-role".to_owned(), enforced);
    let verifiers = scene.bed.verifiers();
    let (text, _) = verifiers
        .sessions
        .as_ref()
        .unwrap()
        .open(Login::local("doctor", verifiers.local.password_mark("doctor")), NOW)
        .unwrap();
    let cookie = format!("{}={}", scene.bed.gate.places.session_cookie.as_ref().unwrap(), text.expose());
    let study = uid("a1");
    let hour = 3_600;
    // One is used again until it is half over.
    for (now, links) in [(NOW, 1), (NOW.plus(60), 1), (NOW.plus(hour / 2), 2)] {
        let code = scene.code_for(&cookie, Some(&study), now).unwrap();
        let (status, tokens) = scene.exchange(&code, now);
        assert_eq!((status, verifiers.store.shares(&ShareFilter::default()).unwrap().len()), (200, links), "{tokens}");
        let text = tokens["access_token"].as_str().unwrap();
        let credential = Credential { source: Source::Authorization, kind: Kind::Token, text };
        let identity = scene.bed.gate.identities.verify(&credential, "192.0.2.1", now).unwrap();
        assert!(!identity.link.as_ref().unwrap().download);
    }
    let (_, tokens) = scene.exchange(&scene.code_for(&cookie, Some(&study), NOW.plus(60)).unwrap(), NOW.plus(60));
    let over = NOW.plus(hour);
    assert_eq!(scene.renew(&tokens, over).0, 400, "an hour is the longest");
}
