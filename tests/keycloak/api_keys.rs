//! API keys kept as an attribute of Keycloak's users: whose they are, who is refused, and how little Keycloak is asked.
use crate::scene::{SOON, accepted, maintainer, realm, start};
use crate::site::{Site, Who};
use serde_json::{Value, json};
use std::time::Duration;
use testbed::clock::{monotonic, wait_until};
use testbed::http::Connection;
use testbed::proxy::Proxy;
use testbed::{Keycloak, Request, Version, random_hex};

fn configuration() -> Value {
    json!({"EnableApiKeys": true, "AdminClientSecret": Keycloak::SAMPLE_SECRET})
}

/// A site whose requests to Keycloak are seen.
fn site(version: Version, keycloak: &Keycloak) -> (Site, Proxy) {
    let proxy = Proxy::start(keycloak.address()).unwrap();
    let site = start(version, &proxy.url(), &configuration());
    (site, proxy)
}

fn new_key() -> String {
    random_hex(20).unwrap()
}

/// Requests to Keycloak that are about a key, in order: method and path without query.
fn asked(proxy: &Proxy) -> Vec<String> {
    let about_keys = |request: &String| request.contains("/admin/") || request.contains("/token");
    let requests = proxy.requests().into_iter().filter(about_keys);
    requests.map(|request| request.split('?').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_key_is_its_owner_with_all_roles_and_costs_three_calls() {
    let Some(keycloak) = realm("API keys kept in Keycloak") else { return };
    let admin = keycloak.admin().unwrap();
    admin.create_role("night-shift", &["viewer"]).unwrap();
    for version in Version::tested() {
        let (name, key) = (format!("night-{}", version.suite()), new_key());
        let user = admin.create_user(&name, &["night-shift"]).unwrap();
        admin.set_attribute(&user, "api-key", &[&key]).unwrap();
        let (site, proxy) = site(version, &keycloak);
        proxy.forget();
        let who = Who::key(&key);
        let profile = site.get(&who, "/auth/user/profile").json().unwrap();
        let calls = asked(&proxy);
        assert_eq!(calls.len(), 3, "{version:?}: {calls:?}");
        assert_eq!(profile["user-id"], user, "{version:?}");
        assert_eq!(profile["name"], format!("{name} Test"));
        assert_eq!(profile["permissions"], json!(["view"]), "through a role that is made of others");
        for _ in 0..50 {
            assert!(accepted(&site, &who));
        }
        assert!(accepted(&site, &Who::token(&key)) && accepted(&site, &Who::bearer(&key)), "in whatever header");
        assert_eq!(asked(&proxy).len(), 3, "{version:?}: asked once for all of that");
        // Another key: the service account's token is still good.
        let external = new_key();
        let other = admin.create_user(&format!("other-{}", version.suite()), &["external-role"]).unwrap();
        admin.set_attribute(&other, "api-key", &[&external]).unwrap();
        proxy.forget();
        assert!(accepted(&site, &Who::key(&external)));
        // About this key: the first one may be asked about again meanwhile, a quarter of a minute after its last answer.
        let calls = proxy.requests();
        let about = |what: &str| calls.iter().filter(|call| call.contains(what)).count();
        assert_eq!((about(&external), about(&other), about("/token")), (1, 1, 0), "{version:?}: {calls:?}");

        // The realm's roles are there to be described, Keycloak's own ones are not.
        let document = site.get(&maintainer(&site), "/auth/settings/roles").json().unwrap();
        assert_eq!(document["roles"]["night-shift"], json!({"permissions": [], "authorized-labels": []}));
        assert_eq!(document["roles"]["viewer"]["permissions"], json!(["view"]));
        let names: Vec<&String> = document["roles"].as_object().unwrap().keys().collect();
        assert!(
            !names.iter().any(|name| name.starts_with("default-roles") || name.starts_with("offline")),
            "{names:?}"
        );

        // A key is no person: it makes no keys.
        assert_eq!(site.post(&who, "/auth/api-keys", &json!({"Name": "another"})).status, 403);
        admin.delete_user(&user).unwrap();
        admin.delete_user(&other).unwrap();
    }
}

#[test]
fn keys_of_nobody_or_of_several_or_of_whoever_was_put_out_are_refused() {
    let Some(keycloak) = realm("API keys that are refused") else { return };
    let admin = keycloak.admin().unwrap();
    let with_key = |name: &str, key: &str| {
        let user = admin.create_user(name, &["admin-role"]).unwrap();
        admin.set_attribute(&user, "api-key", &[key]).unwrap();
        user
    };
    let [shared, disabled, ended, good] = [(); 4].map(|()| format!("key-{}", new_key()));
    let users = [
        with_key("key-shared-1", &shared),
        with_key("key-shared-2", &shared),
        with_key("key-disabled", &disabled),
        with_key("key-ended", &ended),
        with_key("key-good", &good),
    ];
    admin.set_enabled(&users[2], false).unwrap();
    admin.log_out(&users[3]).unwrap();
    for version in Version::tested() {
        let (site, proxy) = site(version, &keycloak);
        assert!(accepted(&site, &Who::key(&good)), "{version:?}");
        for (why, key) in [
            ("several users", shared.as_str()),
            ("disabled", &disabled),
            ("logged out everywhere", &ended),
            ("nobody's", &new_key()),
            ("in another case", &good.to_uppercase()),
            ("the beginning of one", &good[..good.len() - 1]),
            ("one and more", &format!("{good}0")),
        ] {
            assert!(!accepted(&site, &Who::key(key)), "{version:?} {why}");
        }
        for refusal in ["several users in Keycloak have it", "disabled in Keycloak", "logged out everywhere"] {
            site.server.wait_for_log(refusal, SOON).unwrap();
        }
        // What would mean something else in a search is not even asked for.
        proxy.forget();
        for key in
            ["username:key-good-0123456789", "key-0123456789abcdef username:admin", "\"0123456789abcdef\"", "short"]
        {
            assert!(!accepted(&site, &Who::key(key)), "{version:?} {key}");
        }
        assert_eq!(asked(&proxy), Vec::<String>::new(), "{version:?}");
        assert!(!site.server.log().contains(&good), "keys are not logged");
    }
    for user in users {
        admin.delete_user(&user).unwrap();
    }
}

#[test]
fn guessing_hardly_reaches_keycloak_and_holds_up_nobody() {
    let Some(keycloak) = realm("guessed API keys") else { return };
    let version = *Version::tested().last().unwrap();
    let admin = keycloak.admin().unwrap();
    let key = new_key();
    let user = admin.create_user("guessed-at", &["viewer"]).unwrap();
    admin.set_attribute(&user, "api-key", &[&key]).unwrap();
    let (site, proxy) = site(version, &keycloak);
    let known = Who::key(&key);
    assert!(accepted(&site, &known));
    proxy.forget();
    let start = monotonic();
    std::thread::scope(|scope| {
        for connection in 0..8 {
            let site = &site;
            scope.spawn(move || {
                let mut open = Connection::open(site.server.address()).unwrap();
                for number in 0..400 {
                    let guess = format!("guess-0123456789-{connection}-{number}");
                    let answer = open.send(&Request::get("/tools/now").header("api-key", &guess)).unwrap();
                    assert_eq!(answer.status, 403);
                }
            });
        }
        for _ in 0..100 {
            assert!(accepted(&site, &known));
        }
    });
    let took = start.elapsed();
    let searches = proxy.count("/admin/realms/orthanc/users?");
    println!("3,200 guesses in {took:?}: {searches} searches in Keycloak");
    let allowed = 20 + 2 * (usize::try_from(took.as_secs()).unwrap() + 2);
    assert!(searches >= 1 && searches <= allowed, "{searches} searches in {took:?}");

    // One guess again and again is asked for once; it is refilled by then.
    let again = Who::key("guess-again-0123456789");
    let asked_for = || (!accepted(&site, &again) && proxy.count("guess-again") > 0).then_some(());
    assert!(wait_until(SOON, asked_for).is_some());
    for _ in 0..100 {
        assert!(!accepted(&site, &again));
    }
    assert_eq!(proxy.count("guess-again"), 1);

    // Away: who is known stays for now, who is not is refused at once.
    proxy.set_up(false);
    assert!(accepted(&site, &known));
    let start = monotonic();
    for number in 0..20 {
        assert!(!accepted(&site, &Who::key(&format!("while-it-is-away-{number}"))));
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    admin.delete_user(&user).unwrap();
}

#[test]
fn whoever_loses_an_account_or_a_role_loses_what_the_keys_give() {
    let Some(keycloak) = realm("API keys of those who are put out") else { return };
    let version = *Version::tested().last().unwrap();
    let (site, proxy) = site(version, &keycloak);
    let admin = keycloak.admin().unwrap();
    let key = new_key();
    let user = admin.create_user("leaver", &["viewer"]).unwrap();
    admin.set_attribute(&user, "api-key", &[&key]).unwrap();
    let demoted = admin.create_user("demoted", &["viewer", "pacsadmin"]).unwrap();

    // A key of ours, made by somebody of Keycloak.
    let client = testbed::Client::new(proxy.address());
    let token = keycloak.password_grant(&client, "demoted", Keycloak::SAMPLE_SECRET).unwrap().json().unwrap();
    let token = Who::token(token["access_token"].as_str().unwrap());
    assert!(wait_until(SOON, || accepted(&site, &token).then_some(())).is_some());
    let (_, own) = site.make_key(&token, &json!({"Name": "of somebody demoted"}));
    let (kept, own) = (Who::key(&key), Who::key(&own));
    let permissions = |who: &Who| site.get(who, "/auth/user/profile").json().unwrap()["permissions"].clone();
    assert_eq!(permissions(&kept), json!(["view"]));
    assert!(permissions(&own).as_array().unwrap().contains(&json!("delete")));

    admin.set_enabled(&user, false).unwrap();
    admin.remove_roles(&demoted, &["pacsadmin"]).unwrap();
    let start = monotonic();
    let out = || (!accepted(&site, &kept)).then_some(());
    assert!(wait_until(Duration::from_secs(32), out).is_some(), "half a minute at most");
    let narrowed = || (permissions(&own) == json!(["view"])).then_some(());
    let left = Duration::from_secs(47).saturating_sub(start.elapsed());
    assert!(wait_until(left, narrowed).is_some(), "{}", permissions(&own));
    println!("out after {:?}", start.elapsed());
    // The administrator's login has ended meanwhile.
    let admin = keycloak.admin().unwrap();
    admin.delete_user(&user).unwrap();
    admin.delete_user(&demoted).unwrap();
}
