//! Share links listed and taken back.
use crate::site::{Plan, Site, Who};
use serde_json::{Value, json};
use std::time::Duration;
use testbed::clock::{unix_seconds, wait_until};
use testbed::dicom::Instance;
use testbed::oidc::Provider;
use testbed::{Request, Version};

const STONE: &str = "stone-viewer-publication";

fn list(site: &Site, who: &Who, arguments: &str) -> Vec<Value> {
    let answer = site.get(who, &format!("/auth/shares{arguments}")).expect_status(200).unwrap();
    answer.json().unwrap().as_array().unwrap().clone()
}

fn resources(shares: &[Value]) -> Vec<&str> {
    shares.iter().map(|share| share["Resources"][0]["OrthancId"].as_str().unwrap()).collect()
}

#[test]
fn links_are_listed_for_their_maker_and_for_administrators() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let study = site.upload(&Instance::named("one", "study", "series", "image"), &["external"]);
        let other = site.upload(&Instance::named("two", "study", "series", "image"), &[]);
        let (doctor, external) = (Who::user("doctor"), Who::user("external"));
        let token = site.make_link(&external, STONE, &study);
        site.make_link(&doctor, "ohif-viewer-publication", &study);
        site.make_link(&doctor, STONE, &other);
        let (_, key) = site.make_key(&doctor, &json!({"Name": "for links"}));
        let key = Who::key(&key);
        site.make_link(&key, STONE, &other);

        let all = list(&site, &site.admin(), "");
        assert_eq!(all.len(), 4, "{version:?}");
        let makers: Vec<&Value> = all.iter().map(|share| &share["CreatedBy"]).collect();
        assert_eq!(makers, ["for links", "doctor", "doctor", "external"], "newest first");
        // The key is the doctor's, so its links are too; the key itself sees only what it made.
        assert_eq!(list(&site, &doctor, "").len(), 3);
        assert_eq!(resources(&list(&site, &key, "")), [&other.ids.study]);
        let own = list(&site, &external, "");
        assert_eq!(own.len(), 1);
        assert_eq!(own[0]["Type"], STONE);
        assert_eq!(own[0]["Resources"][0]["DicomUid"], json!(study.study_uid));
        assert_eq!((&own[0]["Uses"], &own[0]["LastUse"], &own[0]["Revoked"]), (&json!(0), &Value::Null, &json!(false)));
        for stranger in [Who::nobody(), Who::token(&token)] {
            assert_eq!(site.get(&stranger, "/auth/shares").status, 403);
        }

        // Uses are counted behind the requests' back.
        assert_eq!(site.get(&Who::token(&token), &study.fill("/studies/{study}")).status, 200);
        let used = wait_until(Duration::from_secs(10), || {
            let share = list(&site, &external, "").remove(0);
            (share["Uses"] == json!(1) && share["LastUse"].is_string()).then_some(())
        });
        assert!(used.is_some(), "{version:?}");

        let admin = site.admin();
        for (arguments, expected) in [
            (format!("?resource={}", study.ids.study), 2),
            (format!("?resource={}", study.study_uid), 2),
            (format!("?resource={}&user=external", study.ids.study), 1),
            ("?user=doctor".to_owned(), 3),
            ("?user=for%20links".to_owned(), 1),
            ("?user=nobody".to_owned(), 0),
            ("?resource=1.2.3".to_owned(), 0),
        ] {
            assert_eq!(list(&site, &admin, &arguments).len(), expected, "{version:?} {arguments}");
        }
        // Somebody else's name widens nothing.
        assert_eq!(list(&site, &external, "?user=doctor").len(), 0);
        for wrong in ["?limit=0", "?limit=many", "?limit=1001", "?resuorce=1.2.3", "?active=yes"] {
            let answer = site.get(&admin, &format!("/auth/shares{wrong}"));
            assert_eq!(answer.status, 400, "{version:?} {wrong}: {}", answer.text());
        }

        // Page by page, by what the answer says of the next.
        let mut next = Some("/auth/shares?limit=3&user=doctor".to_owned());
        let mut pages = Vec::new();
        while let Some(path) = next {
            let answer = site.get(&admin, &path).expect_status(200).unwrap();
            pages.push(answer.json().unwrap().as_array().unwrap().len());
            next = answer.header("link").map(|link| {
                let path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
                path.to_owned()
            });
        }
        assert_eq!(pages, [3, 0], "{version:?}");
    }
}

#[test]
fn a_link_that_was_taken_back_opens_nothing() {
    for version in Version::tested() {
        // Of its own: nobody else makes links here meanwhile.
        let site = Plan::new(version).start();
        let images = site.fill();
        let (doctor, external) = (Who::user("doctor"), Who::user("external"));
        let path = images.allowed.fill("/studies/{study}/metadata");
        let token = site.make_link(&external, STONE, &images.allowed);
        let link = Who::token(&token);
        let kept = Who::token(&site.make_link(&external, STONE, &images.allowed));
        for who in [&link, &kept] {
            assert_eq!(site.get(who, &path).status, 200);
        }
        let newest = list(&site, &external, "?limit=2");
        let id = newest[1]["ID"].as_str().unwrap();
        let place = format!("/auth/shares/{id}");
        assert_eq!(site.get(&external, &place).json().unwrap(), newest[1], "{version:?}");
        assert_eq!(site.get(&site.admin(), &place).json().unwrap(), newest[1], "{version:?}");
        // Nobody else's to take back, nor to know of; not its holder's either.
        assert_eq!(site.delete(&doctor, &place).status, 404, "{version:?}");
        assert_eq!(site.get(&doctor, &place).status, 404, "{version:?}");
        for stranger in [&link, &Who::nobody()] {
            assert_eq!(site.get(stranger, &place).status, 403, "{version:?}");
            assert_eq!(site.delete(stranger, &place).status, 403, "{version:?}");
        }
        assert_eq!(site.get(&link, &path).status, 200);

        assert_eq!(site.delete(&external, &place).status, 200, "{version:?}");
        let revoked = format!("the link {id} of \"external\" was revoked by local user \"external\"");
        assert!(site.server.log().contains(&revoked), "{version:?}: {}", site.server.log());
        assert_eq!(site.get(&external, &format!("{place}/qr")).status, 409, "{version:?}: it opens nothing");
        assert_eq!(site.get(&link, &path).status, 403, "{version:?}");
        assert_eq!(site.get(&kept, &path).status, 200, "{version:?}");
        let asked = json!({"TokenKey": "token", "TokenValue": token});
        let decoded = site.post(&Who::nobody(), "/auth/tokens/decode", &asked).json().unwrap();
        assert_eq!(decoded["ErrorCode"], "invalid", "{version:?}");
        let listed = list(&site, &external, "?limit=2");
        assert_eq!(listed[1]["Revoked"], json!(true), "{version:?}");
        let active = list(&site, &external, "?active=true");
        assert_eq!(active[0]["ID"], listed[0]["ID"], "{version:?}");
        assert!(active.iter().all(|one| one["Revoked"] == json!(false)), "{version:?}: {active:?}");
        // Again is as good as once; what never was is not there.
        assert_eq!(site.delete(&site.admin(), &place).status, 200, "{version:?}");
        assert_eq!(site.delete(&site.admin(), "/auth/shares/0123").status, 404, "{version:?}");
        assert_eq!(site.send(&site.admin(), Request::new("POST", &place)).status, 405, "{version:?}");
    }
}

#[test]
fn a_link_opens_nothing_before_it_begins() {
    let site = Plan::new(Version::tested()[0]).start();
    let study = site.upload(&Instance::named("one", "study", "series", "image"), &["external"]);
    let (maker, path) = (Who::user("external"), study.fill("/studies/{study}"));
    // A machine under load may need longer than a few seconds for two requests: then the link begins later.
    let (link, beginning) = [3, 15, 60]
        .into_iter()
        .find_map(|seconds| {
            let beginning = unix_seconds() + seconds;
            let date = jiff::Timestamp::from_second(beginning).unwrap().to_string();
            let body = json!({"Resources": [{"OrthancId": study.ids.study, "Level": "study"}],
                "ValidityDuration": 600, "NotBefore": date});
            let answer = site.put(&maker, &format!("/auth/tokens/{STONE}"), &body).expect_status(200).unwrap();
            let link = Who::token(answer.json().unwrap()["Token"].as_str().unwrap());
            let status = site.get(&link, &path).status;
            (unix_seconds() < beginning).then(|| {
                assert_eq!(status, 403);
                (link, beginning)
            })
        })
        .expect("two requests within a minute");
    let opens = || (site.get(&link, &path).status == 200).then(unix_seconds);
    assert!(wait_until(Duration::from_secs(90), opens).unwrap() >= beginning);
    assert!(list(&site, &maker, "")[0]["NotBefore"].is_string());
}

#[test]
fn a_link_stays_closed_when_its_study_comes_back() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let images = ["one", "two"]
            .map(|name| Instance::named(name, &format!("study of {name}"), "series", &format!("image of {name}")));
        let [one, two] = [0, 1].map(|at| site.upload(&images[at], &["external"]));
        let maker = Who::user("external");
        let place = format!("/auth/tokens/{STONE}");
        let resources: Vec<Value> =
            [&one, &two].map(|study| json!({"OrthancId": study.ids.study, "Level": "study"})).to_vec();
        let made = |resources: &[Value]| {
            let answer = site.put(&maker, &place, &json!({"Resources": resources})).expect_status(200).unwrap();
            answer.json().unwrap()
        };
        let alone = made(&resources[..1]);
        let both = Who::token(made(&resources)["Token"].as_str().unwrap());
        let below = |level: &str, id: &str| {
            Who::token(made(&[json!({"OrthancId": id, "Level": level})])["Token"].as_str().unwrap())
        };
        let (series, image) = (below("series", &one.ids.series), below("instance", &one.ids.instance));
        let token = Who::token(alone["Token"].as_str().unwrap());
        let path = one.fill("/instances/{instance}/file");
        for who in [&token, &both, &series, &image] {
            assert_eq!(site.get(who, &path).status, 200, "{version:?}");
        }
        assert_eq!(site.delete(&site.admin(), &one.fill("/studies/{study}")).status, 200);
        // At once: the server tells of what was deleted a moment later, when it may be here again.
        let newest = list(&site, &maker, "?limit=4");
        assert!(newest.iter().all(|share| share["Deleted"] != json!([])), "{version:?}: {newest:?}");
        site.upload(&images[0], &["external"]);
        assert_eq!(site.get(&maker, &path).status, 200, "{version:?}: it is there again");
        for who in [&token, &both, &series, &image] {
            assert_eq!(site.get(who, &path).status, 403, "{version:?}");
        }
        assert_eq!(
            site.get(&both, &two.fill("/instances/{instance}/file")).status,
            200,
            "{version:?}: the other study"
        );
        let code = alone["ShortUrl"].as_str().unwrap().rsplit('/').next().unwrap();
        let page = site.get(&Who::nobody(), &format!("/auth/links/{code}"));
        assert!(
            page.header("location").is_none() && page.header("set-cookie").is_none(),
            "{version:?}: {}",
            page.status
        );
        let again = Who::token(made(&resources[..1])["Token"].as_str().unwrap());
        assert_eq!(site.get(&again, &path).status, 200, "{version:?}: what is shared now");
    }
}

/// A study of one instance that is sent again is deleted and stored in one go.
#[test]
fn a_link_outlives_that_its_study_is_overwritten() {
    for version in Version::tested() {
        let site = Plan::new(version).server(&json!({"OverwriteInstances": true})).start();
        let image = || Instance::named("one", "study", "series", "image");
        let study = site.upload(&image(), &["external"]);
        let link = Who::token(&site.make_link(&Who::user("doctor"), STONE, &study));
        let path = study.fill("/instances/{instance}/file");
        assert_eq!(site.get(&link, &path).status, 200, "{version:?}");
        // Not the same bytes.
        site.upload(&image().text((0x0010, 0x0010), "PN", "Somebody^Else"), &["external"]);
        // A change that comes after those of the overwriting.
        let other = site.upload(&Instance::named("two", "other", "series", "other"), &["external"]);
        let other_link = site.make_link(&Who::user("doctor"), STONE, &other);
        assert_eq!(site.delete(&site.admin(), &other.fill("/studies/{study}")).status, 200);
        let path_of_other = other.fill("/studies/{study}");
        let told = || list(&site, &Who::user("doctor"), "")[0]["Deleted"] == json!([other.ids.study]);
        assert!(wait_until(Duration::from_secs(20), || told().then_some(())).is_some(), "{version:?}");
        assert_ne!(site.get(&Who::token(&other_link), &path_of_other).status, 200);
        assert_eq!(site.get(&link, &path).status, 200, "{version:?}");
    }
}

/// Two servers, one state: what one takes back, the other refuses within a second.
#[test]
fn what_one_server_takes_back_the_other_refuses() {
    let version = Version::tested()[0];
    let state = tempfile::tempdir().unwrap();
    let database = json!({"Storage": {"SQLite": state.path().join("gatehouse.db")}});
    let [one, other] = [(), ()].map(|()| Plan::new(version).section(database.clone()).start());
    let image = Instance::named("shared", "study", "series", "image");
    let study = one.upload(&image, &["external"]);
    other.upload(&image, &["external"]);
    let maker = Who::user("external");
    let token = one.make_link(&maker, STONE, &study);
    let (key_id, key) = one.make_key(&maker, &json!({"Name": "shared"}));
    let path = study.fill("/studies/{study}");
    let (link, key) = (Who::token(&token), Who::key(&key));
    for site in [&one, &other] {
        assert_eq!(site.get(&link, &path).status, 200);
        assert_eq!(site.get(&key, &path).status, 200);
    }
    let id = list(&one, &maker, "")[0]["ID"].as_str().unwrap().to_owned();
    assert_eq!(one.delete(&maker, &format!("/auth/shares/{id}")).status, 200);
    assert_eq!(one.delete(&maker, &format!("/auth/api-keys/{key_id}")).status, 200);
    for who in [&link, &key] {
        assert_eq!(one.get(who, &path).status, 403);
        let refused = || (other.get(who, &path).status == 403).then_some(());
        // A second is promised; a machine under load needs more to show it.
        assert!(wait_until(Duration::from_secs(10), refused).is_some());
    }
}

/// Two servers, one state: what somebody loses is seen by one of them, by a newer token, and holds at the other too.
#[test]
fn what_one_server_sees_somebody_lose_the_other_takes_from_their_keys_and_links() {
    let version = Version::tested()[0];
    let state = tempfile::tempdir().unwrap();
    let database = json!({"Storage": {"SQLite": state.path().join("gatehouse.db")}});
    let one = Plan::new(version).section(database.clone()).start();
    let provider = json!({"Keycloak": {"Url": one.provider.url(), "Realm": Provider::REALM}});
    let other = Plan::new(version).section(database).section(provider).start();
    let image = Instance::named("lost", "study", "series", "image");
    // Without a label, so that it is the doctor's only.
    let study = one.upload(&image, &[]);
    assert_eq!(other.send(&Who::user("admin"), Request::post("/instances", image.to_bytes())).status, 200);
    let token = |role: &str, age: i64| {
        let mut claims = one.provider.claims("maker", &[role]);
        claims["iat"] = json!(claims["iat"].as_i64().unwrap() - age);
        Who::token(&one.provider.key.token(&claims).unwrap())
    };
    let maker = token("doctor-role", 60);
    let link = Who::token(&one.make_link(&maker, STONE, &study));
    let (_, key) = one.make_key(&maker, &json!({"Name": "shared"}));
    let key = Who::key(&key);
    let path = study.fill("/studies/{study}");
    for who in [&link, &key] {
        assert_eq!(one.get(who, &path).status, 200);
        assert_eq!(other.get(who, &path).status, 200);
    }
    one.get(&token("external-role", 0), "/auth/user/profile");
    for site in [&one, &other] {
        for who in [&link, &key] {
            let refused = || (site.get(who, &path).status == 403).then_some(());
            assert!(wait_until(Duration::from_secs(20), refused).is_some());
        }
    }
}
