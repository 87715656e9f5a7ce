//! Sessions against a provider on the loopback interface and a state in a file.

use serde_json::{Value, json};

use super::*;
use crate::clock;
use crate::identity::oidc::testing::{DISCOVERY, FakeProvider, P256, TOKEN, claims, keycloak};
use crate::store::faulty::{Fault, FaultyStore};
use crate::store::{PersonRecord, SqliteStore};
use crate::testing::eventually;

struct Bed {
    provider: FakeProvider,
    oidc: Arc<Oidc>,
    store: Arc<dyn Store>,
    epoch: Epoch,
    _folder: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let provider = FakeProvider::start();
        provider.keys(&[P256.jwk("k")]);
        provider.discovery();
        let oidc = Arc::new(Oidc::start(vec![keycloak(&provider.url())], Box::new(|| {})).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("state.db")).unwrap());
        let bed = Self { provider, oidc, store, epoch: Epoch::default(), _folder: folder };
        eventually("the keys and the discovery document are there", || {
            bed.oidc.login_url(0, &REQUEST).is_ok() && bed.oidc.health()[0].keys == 1
        });
        bed
    }

    fn sessions(&self) -> Sessions {
        let (store, oidc) = (Arc::clone(&self.store), Arc::clone(&self.oidc));
        Sessions::start(store, Some(oidc), self.epoch.clone(), Duration::from_secs(3_600)).unwrap()
    }

    fn issuer(&self) -> String {
        format!("{}realms/orthanc", self.provider.url())
    }

    /// A token of this kind, for so many seconds from now.
    fn token(&self, kind: &str, seconds: i64, changes: Value) -> String {
        let now = clock::now();
        let mut claims = claims();
        claims["iss"] = json!(self.issuer());
        claims["iat"] = json!(now.0 - 5);
        claims["exp"] = json!(now.0 + seconds);
        claims["typ"] = json!(kind);
        if kind == "ID" {
            claims["aud"] = json!("orthanc");
        }
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        P256.token(r#"{"alg":"ES256","typ":"JWT","kid":"k"}"#, &claims.to_string())
    }

    /// What the provider gives for the next refresh tokens.
    fn gives(&self, access: &str, refresh: &str) {
        let answer = json!({"access_token": access, "refresh_token": refresh, "token_type": "Bearer"});
        self.provider.answer(TOKEN, 200, &answer.to_string());
    }

    fn login(&self, valid_until: UnixTime) -> Login {
        Login {
            person: Person { issuer: self.issuer(), subject: "8d3c-44".to_owned() },
            name: "Dr. Grün".to_owned(),
            roles: vec!["doctor-role".to_owned()],
            groups: Vec::new(),
            issued_at: None,
            provider_session: Some("s-1".to_owned()),
            valid_until: Some(valid_until),
            tokens: Tokens {
                refresh: Some(Secret::new("refresh-1".to_owned())),
                id: Some(Secret::new("id-1".to_owned())),
            },
        }
    }
}

const REQUEST: crate::identity::oidc::client::LoginRequest<'static> = crate::identity::oidc::client::LoginRequest {
    redirect_uri: "https://pacs.example/auth/callback",
    state: "s",
    nonce: "n",
    code_challenge: "c",
};

#[test]
fn a_session_is_found_by_its_text_alone_and_until_it_ends() {
    let bed = Bed::new();
    let sessions = bed.sessions();
    let now = clock::now();
    let (text, end) = sessions.open(bed.login(now.plus(600)), now).unwrap();
    assert_eq!(end, now.plus(3_600));
    let found = sessions.find(text.expose(), now).unwrap();
    assert_eq!((found.name.as_str(), found.valid_until), ("Dr. Grün", now.plus(600)));
    for other in ["", "0123", &"0".repeat(64), &found.id] {
        assert!(matches!(sessions.find(other, now), Err(Rejection::UnknownSession)), "{other:?}");
    }
    assert!(matches!(sessions.find(text.expose(), end), Err(Rejection::Expired)));
    // Nothing in the state opens it.
    let kept = &bed.store.sessions(None).unwrap()[0];
    let kept = format!("{kept:?}");
    assert!(!kept.contains(text.expose()) && !kept.contains("refresh-1"), "{kept}");

    let ended = sessions.end(text.expose()).unwrap().unwrap();
    assert_eq!((ended.person.subject.as_str(), ended.id_token.unwrap().expose()), ("8d3c-44", "id-1"));
    assert!(matches!(sessions.find(text.expose(), now), Err(Rejection::UnknownSession)));
    assert!(sessions.end(text.expose()).unwrap().is_none());
    sessions.stop();
}

#[test]
fn a_session_whose_word_is_over_asks_for_the_next_and_takes_the_roles_of_today() {
    let bed = Bed::new();
    bed.gives(&bed.token("Bearer", 300, json!({"realm_access": {"roles": ["viewer"]}})), "refresh-2");
    let sessions = bed.sessions();
    let now = clock::now();
    // One word is over already; the thread or the request is first, either way it is renewed once.
    let (text, _) = sessions.open(bed.login(now), now).unwrap();
    let found = sessions.find(text.expose(), now).unwrap();
    assert_eq!(found.roles, ["viewer"]);
    assert!(found.valid_until > now.plus(200));
    let forms = bed.provider.forms();
    assert_eq!(forms, ["grant_type=refresh_token&refresh_token=refresh-1&client_id=orthanc"]);
    // The provider gave another refresh token: that one is used next, also by a process that starts later.
    sessions.stop();
    let later = bed.sessions();
    let after = found.valid_until;
    bed.gives(&bed.token("Bearer", 900, json!({})), "refresh-3");
    let renewed = later.find(text.expose(), after).unwrap();
    assert_eq!(renewed.roles, ["doctor-role", "offline_access"]);
    assert!(bed.provider.forms()[1].contains("refresh_token=refresh-2&"));
    later.stop();
}

#[test]
fn what_a_renewal_says_of_somebody_counts_for_their_keys_too() {
    let bed = Bed::new();
    let now = clock::now();
    let login = bed.login(now);
    let roles = ["admin-role".to_owned(), "doctor-role".to_owned()].to_vec();
    let (person, name) = (login.person.clone(), login.name.clone());
    let seen = PersonRecord { person: person.clone(), name, groups: Vec::new(), roles, seen_at: now.plus(-60) };
    bed.store.remember_person(&seen).unwrap();
    bed.gives(&bed.token("Bearer", 300, json!({"realm_access": {"roles": ["doctor-role"]}})), "refresh-2");
    let sessions = bed.sessions();
    let epoch = bed.epoch.now();
    let (text, _) = sessions.open(login, now).unwrap();
    assert_eq!(sessions.find(text.expose(), now).unwrap().roles, ["doctor-role"], "those of the session are the same");
    assert_eq!(bed.store.person(&person).unwrap().unwrap().roles, ["doctor-role"]);
    assert!(bed.epoch.now() > epoch, "what keys gave is measured anew");
    sessions.stop();
}

#[test]
fn the_thread_asks_before_the_word_is_over_and_without_any_request() {
    let bed = Bed::new();
    bed.gives(&bed.token("Bearer", 900, json!({})), "refresh-2");
    let sessions = bed.sessions();
    let now = clock::now();
    let (text, _) = sessions.open(bed.login(now.plus(4)), now).unwrap();
    eventually("it is renewed", || bed.store.sessions(None).unwrap()[0].valid_until > now.plus(800));
    assert!(sessions.find(text.expose(), now).is_ok());
    sessions.stop();
}

#[test]
fn a_session_without_room_in_memory_is_renewed_by_its_request() {
    let bed = Bed::new();
    bed.gives(&bed.token("Bearer", 300, json!({})), "refresh-2");
    let (store, oidc) = (Arc::clone(&bed.store), Arc::clone(&bed.oidc));
    let sessions = Sessions::start_keeping(0, store, Some(oidc), Epoch::default(), Duration::from_secs(3_600)).unwrap();
    let now = clock::now();
    let (text, _) = sessions.open(bed.login(now), now).unwrap();
    let found = sessions.find(text.expose(), now).unwrap();
    assert!(found.valid_until > now.plus(200));
    // And once more, when that is over: nothing of the first renewal is left behind.
    bed.gives(&bed.token("Bearer", 900, json!({})), "refresh-3");
    assert!(sessions.find(text.expose(), found.valid_until).is_ok());
    assert_eq!(bed.provider.count(TOKEN), 2);
}

#[test]
fn sessions_that_are_dropped_leave_no_thread_behind() {
    let bed = Bed::new();
    drop(bed.sessions());
    assert_eq!(Arc::strong_count(&bed.oidc), 1);
}

#[test]
fn a_renewal_that_panics_is_tried_again() {
    let bed = Bed::new();
    bed.gives(&bed.token("Bearer", 900, json!({})), "refresh-2");
    let faulty = Arc::new(FaultyStore::new());
    let store = Arc::clone(&faulty) as Arc<dyn Store>;
    let oidc = Some(Arc::clone(&bed.oidc));
    let sessions = Sessions::start(store, oidc, Epoch::default(), Duration::from_secs(3_600)).unwrap();
    let now = clock::now();
    faulty.fail("renew_session", Fault::Panic);
    let (text, _) = sessions.open(bed.login(now), now).unwrap();
    eventually("the thread has failed", || !faulty.will_fail());
    eventually("it is renewed", || sessions.find(text.expose(), clock::now()).is_ok());
}

#[test]
fn roles_that_a_renewal_could_not_take_from_keys_are_taken_by_the_next() {
    let bed = Bed::new();
    bed.gives(&bed.token("Bearer", 900, json!({"realm_access": {"roles": ["doctor-role"]}})), "refresh-2");
    let faulty = Arc::new(FaultyStore::new());
    let store = Arc::clone(&faulty) as Arc<dyn Store>;
    let now = clock::now();
    let login = bed.login(now);
    let person = login.person.clone();
    let roles = vec!["admin-role".to_owned(), "doctor-role".to_owned()];
    let seen =
        PersonRecord { person: person.clone(), name: String::new(), groups: Vec::new(), roles, seen_at: now.plus(-60) };
    store.remember_person(&seen).unwrap();
    let oidc = Some(Arc::clone(&bed.oidc));
    let sessions = Sessions::start(Arc::clone(&store), oidc, Epoch::default(), Duration::from_secs(3_600)).unwrap();
    faulty.fail("remember_person", Fault::Error);
    let (text, _) = sessions.open(login, now).unwrap();
    eventually("it has failed", || !faulty.will_fail());
    eventually("the session goes on", || sessions.find(text.expose(), clock::now()).is_ok());
    // Long before the last word is over.
    eventually("keys are measured by it", || store.person(&person).unwrap().unwrap().roles == ["doctor-role"]);
    sessions.stop();
}

/// A session whose word is over, with what the provider now answers, is refused and ends.
fn ends_when_it_asks(bed: &Bed) {
    let sessions = bed.sessions();
    let now = clock::now();
    let (text, _) = sessions.open(bed.login(now), now).unwrap();
    assert!(sessions.find(text.expose(), now).is_err());
    eventually("it is gone", || bed.store.sessions(None).unwrap().is_empty());
    sessions.stop();
}

#[test]
fn a_session_that_the_provider_has_ended_ends() {
    let bed = Bed::new();
    bed.provider.answer(TOKEN, 400, r#"{"error":"invalid_grant","error_description":"Session not active"}"#);
    ends_when_it_asks(&bed);
}

#[test]
fn a_provider_that_is_away_costs_the_time_that_it_is_away() {
    let bed = Bed::new();
    bed.provider.answer(TOKEN, 503, "");
    let sessions = bed.sessions();
    let now = clock::now();
    let (text, _) = sessions.open(bed.login(now), now).unwrap();
    assert!(matches!(sessions.find(text.expose(), now), Err(Rejection::Expired)));
    assert_eq!(bed.store.sessions(None).unwrap().len(), 1);
    bed.gives(&bed.token("Bearer", 900, json!({})), "refresh-2");
    eventually("it counts again", || sessions.find(text.expose(), clock::now()).is_ok());
    sessions.stop();
}

#[test]
fn a_provider_that_hangs_holds_few_requests_and_the_others_are_answered_at_once() {
    let bed = Bed::new();
    bed.gives(&bed.token("Bearer", 900, json!({})), "refresh-2");
    let sessions = bed.sessions();
    let now = clock::now();
    let hanging = bed.provider.hang();
    let (busy, _) = sessions.open(bed.login(now), now).unwrap();
    let (other, _) = sessions.open(bed.login(now), now).unwrap();
    let waiting = || sessions.keeper.as_ref().unwrap().waiting();
    std::thread::scope(|scope| {
        for _ in 0..keeper::MOST_WAITING {
            scope.spawn(|| sessions.find(busy.expose(), now));
        }
        eventually("they wait", || waiting() == keeper::MOST_WAITING);
        for text in [&busy, &other] {
            assert!(matches!(sessions.find(text.expose(), now), Err(Rejection::Expired)));
        }
        assert_eq!(waiting(), keeper::MOST_WAITING, "nobody has waited for a seat");
        drop(hanging);
    });
    assert_eq!(waiting(), 0);
    for text in [&busy, &other] {
        eventually("it counts again", || sessions.find(text.expose(), clock::now()).is_ok());
    }
    sessions.stop();
}

#[test]
fn a_renewal_for_somebody_else_ends_the_session() {
    let bed = Bed::new();
    bed.gives(&bed.token("Bearer", 300, json!({"sub": "another"})), "refresh-2");
    ends_when_it_asks(&bed);
}

#[test]
fn a_local_session_needs_no_provider_and_a_providers_session_needs_its_own() {
    let bed = Bed::new();
    let now = clock::now();
    let alone = Sessions::start(Arc::clone(&bed.store), None, Epoch::default(), Duration::from_secs(60)).unwrap();
    let (local, _) = alone.open(Login::local("doctor", None), now).unwrap();
    assert!(alone.find(local.expose(), now.plus(59)).is_ok());
    assert!(alone.find(local.expose(), now.plus(60)).is_err());
    let (text, _) = alone.open(bed.login(now.plus(30)), now).unwrap();
    // The provider has left the configuration: nobody vouches for its users any more.
    assert!(matches!(alone.find(text.expose(), now), Err(Rejection::NoProvider)));
}

#[test]
fn a_code_becomes_a_login_only_with_the_nonce_it_was_asked_with() {
    let bed = Bed::new();
    let now = clock::now();
    let access = bed.token("Bearer", 300, json!({}));
    let grant = |id_token: Option<String>, access: &str| {
        let mut answer = json!({"access_token": access, "refresh_token": "r"});
        if let Some(id_token) = id_token {
            answer["id_token"] = json!(id_token);
        }
        bed.provider.answer(TOKEN, 200, &answer.to_string());
        let answer = bed.oidc.exchange(0, "code", "verifier", REQUEST.redirect_uri, Duration::from_secs(10)).unwrap();
        bed.oidc.read(0, answer, Some("n"), now)
    };
    let id = |changes: Value| Some(bed.token("ID", 300, changes));
    let granted = grant(id(json!({"nonce": "n", "name": "Dr. G."})), &access).unwrap();
    assert_eq!((granted.token.name.as_str(), granted.token.roles.len()), ("Dr. G.", 2));
    let form = bed.provider.forms().pop().unwrap();
    assert_eq!(
        form,
        "grant_type=authorization_code&code=code&code_verifier=verifier&\
         redirect_uri=https%3A%2F%2Fpacs.example%2Fauth%2Fcallback&client_id=orthanc"
    );
    // The moment it was made at is a look at the provider's clock.
    assert!(grant(id(json!({"nonce": "n", "iat": now.0 - 120})), &access).is_ok());
    assert_eq!(bed.oidc.health()[0].clock_ahead, Some(-120));
    for (what, id_token) in [
        ("no ID token", None),
        ("no nonce", id(json!({}))),
        ("another nonce", id(json!({"nonce": "m"}))),
        ("another client", id(json!({"nonce": "n", "aud": "other", "azp": "other"}))),
        ("several clients, and not ours asked", id(json!({"nonce": "n", "aud": ["orthanc", "other"], "azp": "other"}))),
        ("an access token", Some(bed.token("Bearer", 300, json!({"nonce": "n", "aud": "orthanc"})))),
        ("over", id(json!({"nonce": "n", "exp": now.0 - 60}))),
        ("somebody else", id(json!({"nonce": "n", "sub": "another"}))),
        ("a logout token", id(json!({"nonce": "n", "events": {}}))),
    ] {
        assert!(grant(id_token, &access).is_err(), "{what}");
    }
    // An access token that only the provider can read: the ID token says the roles.
    let opaque = grant(id(json!({"nonce": "n", "realm_access": {"roles": ["viewer"]}})), "opaque").unwrap();
    assert_eq!(opaque.token.roles, ["viewer"]);
}

#[test]
fn browsers_are_sent_where_discovery_says_and_codes_only_where_the_configuration_does() {
    let bed = Bed::new();
    let url = bed.oidc.login_url(0, &REQUEST).unwrap();
    assert_eq!(
        url,
        format!(
            "{}/auth?response_type=code&client_id=orthanc&redirect_uri=https%3A%2F%2Fpacs.example%2Fauth%2Fcallback&\
             scope=openid&state=s&nonce=n&code_challenge=c&code_challenge_method=S256",
            bed.issuer()
        )
    );
    let logout = bed.oidc.logout_url(0, Some(&Secret::new("id".to_owned())), "https://pacs.example/").unwrap();
    assert!(logout.starts_with(&format!("{}/logout?client_id=orthanc&", bed.issuer())), "{logout}");
    assert!(logout.ends_with("&id_token_hint=id"), "{logout}");
    bed.provider.answer(TOKEN, 400, r#"{"error":"invalid_client"}"#);
    let refused = bed.oidc.exchange(0, "c", "v", "r", Duration::from_secs(10)).err().unwrap();
    assert_eq!(refused.to_string(), "the provider refuses: invalid_client");
    assert!(!refused.is_final());
    assert_eq!(bed.provider.count(TOKEN), 1);
    assert!(bed.provider.count(DISCOVERY) > 0);
}

#[test]
fn a_logout_token_is_told_from_all_others() {
    let bed = Bed::new();
    let now = clock::now();
    let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let token = |changes: Value| {
        let mut all = json!({"aud": "orthanc", "events": events, "azp": "orthanc"});
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        bed.oidc.logout_token(&bed.token("Logout", 60, all), now)
    };
    let ended = token(json!({})).unwrap();
    assert_eq!(
        (ended.issuer, ended.subject.as_deref(), ended.session.as_deref()),
        (bed.issuer(), Some("8d3c-44"), Some("s-1"))
    );
    for wrong in [
        json!({"events": {}}),
        json!({"events": "http://schemas.openid.net/event/backchannel-logout"}),
        json!({"nonce": "n"}),
        json!({"aud": "other"}),
        json!({"exp": now.0 - 60}),
        json!({"sub": "", "sid": ""}),
        json!({"iss": "https://elsewhere"}),
    ] {
        assert!(token(wrong.clone()).is_err(), "{wrong}");
    }
    // What is good for logging out is good for nothing else.
    let logout = bed.token("Logout", 60, json!({"aud": "account", "events": events}));
    assert!(bed.oidc.verify(&logout, now).is_err());
}
