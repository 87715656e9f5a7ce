//! API keys: never more than their maker has, today; gone at once when deleted; there again after a restart.
use crate::site::{Image, Plan, Who, ids, shared};
use crate::uploads::is_there;
use serde_json::{Value, json};
use std::time::Duration;
use testbed::clock::wait_until;
use testbed::dicom::Instance;
use testbed::{Request, Version};

const KEYS: &str = "/auth/api-keys";

#[test]
fn nobody_gives_more_than_they_have() {
    for version in Version::tested() {
        let (site, images) = shared(version);
        let external = Who::user("external");
        let (_, key) = site.make_key(&external, &json!({"Name": "a key"}));
        let link = Who::token(&site.make_link(&Who::user("doctor"), "stone-viewer-publication", &images.allowed));
        // (who, request, status, what the answer names)
        for (who, request, expected, named) in [
            (&external, json!({"Name": "n", "AuthorizedLabels": ["external"]}), 200, "n"),
            (
                &external,
                json!({"Name": "n", "Permissions": ["all"], "Roles": ["viewer-role", "external-role"]}),
                403,
                "viewer-role",
            ),
            (&external, json!({"Name": "n", "AuthorizedLabels": ["external", "internal"]}), 403, "internal"),
            (&external, json!({"Name": "n", "AuthorizedLabels": ["*"]}), 403, "*"),
            (&external, json!({"Name": "n", "Permissions": ["all", "admin-permissions"]}), 403, "admin-permissions"),
            (&external, json!({"Name": "n", "Roles": ["admin-role"]}), 403, "admin-role"),
            (&Who::user("doctor"), json!({"Name": "n", "Roles": ["admin-role"]}), 403, "admin-role"),
            (&Who::user("doctor"), json!({"Name": "n", "Permissions": ["upload"]}), 403, "upload"),
            (&Who::user("admin"), json!({"Name": "n", "Roles": ["second-role"]}), 200, "second"),
            (&Who::user("admin"), json!({"Name": "n", "Roles": ["no-such-role"]}), 400, "no-such-role"),
            (&external, json!({}), 400, "Name"),
            (&external, json!({"Name": " "}), 400, "Name"),
            (&external, json!({"Name": "a\nb"}), 400, "Name"),
            (&external, json!({"Name": "n", "Permission": ["view"]}), 400, "Permission"),
            (&external, json!({"Name": "n", "Permissions": "view"}), 400, "Permissions"),
            (&external, json!({"Name": "n", "ExpirationDate": "2020-01-01T00:00:00Z"}), 400, "ExpirationDate"),
            (&external, json!({"Name": "n", "ExpirationDate": "soon"}), 400, "ExpirationDate"),
            (&external, json!({"Name": "n", "ValidityDuration": -1}), 400, "ValidityDuration"),
            (&external, json!([]), 400, "object"),
            (&Who::nobody(), json!({"Name": "n"}), 403, ""),
            (&Who::token("garbage"), json!({"Name": "n"}), 403, ""),
            (&Who::key(&key), json!({"Name": "n"}), 403, ""),
            (&link, json!({"Name": "n"}), 403, ""),
        ] {
            let answer = site.post(who, KEYS, &request);
            assert_eq!(answer.status, expected, "{version:?} {request}: {}", answer.text());
            assert!(answer.text().contains(named), "{version:?} {request} does not name {named:?}: {}", answer.text());
        }
        let twice = Request::post(KEYS, r#"{"Name":"n","Permissions":["view"],"Permissions":["all"]}"#);
        assert_eq!(site.send(&external, twice).status, 400, "{version:?}");
    }
}

#[test]
fn a_key_is_narrowed_by_what_it_names() {
    for version in Version::tested() {
        let (site, images) = shared(version);
        let (admin, external) = (Who::user("admin"), Who::user("external"));
        // (maker, narrowing, allowed, foreign, second)
        for (maker, request, expected) in [
            (&admin, json!({}), [200, 200, 200]),
            (&admin, json!({"Permissions": []}), [403, 403, 403]),
            (&admin, json!({"AuthorizedLabels": []}), [403, 403, 403]),
            (&admin, json!({"AuthorizedLabels": ["external"]}), [200, 403, 403]),
            (&admin, json!({"AuthorizedLabels": ["external", "second"]}), [200, 403, 200]),
            (&admin, json!({"Permissions": ["download"]}), [403, 403, 403]),
            (&admin, json!({"Permissions": ["view"]}), [200, 200, 200]),
            (&admin, json!({"Roles": []}), [403, 403, 403]),
            (&admin, json!({"Roles": ["second-role"]}), [403, 403, 200]),
            (&admin, json!({"Roles": ["second-role"], "AuthorizedLabels": []}), [403, 403, 403]),
            (&external, json!({}), [200, 403, 403]),
            (&external, json!({"Roles": ["external-role"]}), [200, 403, 403]),
        ] {
            let mut request = request;
            request["Name"] = json!("narrowed");
            let (_, key) = site.make_key(maker, &request);
            let who = Who::key(&key);
            for (image, expected) in [&images.allowed, &images.foreign, &images.second].into_iter().zip(expected) {
                let status = site.get(&who, &image.fill("/studies/{study}/metadata")).status;
                assert_eq!(status, expected, "{version:?} {request}");
            }
        }
        let (_, nothing) = site.make_key(&admin, &json!({"Name": "no study", "AuthorizedLabels": []}));
        let profile = site.get(&Who::key(&nothing), "/auth/user/profile").expect_status(200).unwrap().json().unwrap();
        assert_eq!(profile["authorized-labels"], json!([]), "{version:?}: no label means no study");
        let found = site.post(&Who::key(&nothing), "/tools/find", &json!({"Level": "Study", "Query": {}}));
        assert_eq!(ids(&found), Vec::<String>::new(), "{version:?}");
    }
}

#[test]
fn an_older_token_brings_no_roles_back_that_were_taken_away() {
    for version in Version::tested() {
        let (site, images) = shared(version);
        let token = |roles: &[&str], age: i64| {
            let mut claims = site.provider.claims("moved-on", roles);
            claims["iat"] = json!(claims["iat"].as_i64().unwrap() - age);
            Who::token(&site.provider.key.token(&claims).unwrap())
        };
        let (older, newer) = (token(&["admin-role"], 60), token(&["external-role"], 0));
        let (_, first) = site.make_key(&newer, &json!({"Name": "with the newer token"}));
        let (_, second) = site.make_key(&older, &json!({"Name": "with the older token"}));
        let link = site.make_link(&older, "stone-viewer-publication", &images.foreign);
        let path = |image: &Image| image.fill("/studies/{study}");
        for who in [Who::key(&first), Who::key(&second)] {
            assert_eq!(site.get(&who, &path(&images.allowed)).status, 200, "{version:?}");
            assert_eq!(site.get(&who, &path(&images.foreign)).status, 403, "{version:?}");
        }
        assert_eq!(site.get(&Who::token(&link), &path(&images.foreign)).status, 403, "{version:?}");
    }
}

/// The server asks whether a request may pass before it reads the body, which its sender can stretch.
#[test]
fn a_key_that_is_deleted_while_a_body_comes_gives_nothing_more() {
    for version in Version::tested() {
        let (site, _) = shared(version);
        for owner in ["external", "admin"] {
            let who = Who::user(owner);
            let send = |request: Request, is_deleted: bool| {
                let (id, key) = site.make_key(&who, &json!({"Name": "slow"}));
                let was_used = || {
                    let keys = site.get(&who, KEYS).json().ok()?;
                    let key = keys.as_array()?.iter().find(|key| key["ID"] == json!(id))?;
                    key["LastUse"].is_string().then_some(())
                };
                let delete = || {
                    // Somebody loses something in any case.
                    let (other, _) = site.make_key(&who, &json!({"Name": "other"}));
                    let gone = if is_deleted { &id } else { &other };
                    assert_eq!(site.delete(&who, &format!("{KEYS}/{gone}")).status, 200);
                };
                let answer = site.send_slowly(&Who::key(&key), request, 5, was_used, delete);
                answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok())
            };
            let find = || Request::post("/tools/find", r#"{"Level": "Study", "Query": {}}"#);
            assert_eq!([false, true].map(|is_deleted| send(find(), is_deleted)), [Some(200), Some(403)], "{version:?}");
            let [kept, refused] =
                ["kept", "refused"].map(|name| Instance::named(&format!("slow-{owner}"), name, "series", "image"));
            let upload = |instance: &Instance| Request::post("/instances", instance.to_bytes());
            assert_eq!(send(upload(&kept), false), Some(200), "{version:?} {owner}");
            assert_eq!(send(upload(&refused), true), Some(400), "{version:?} {owner}");
            assert_eq!(
                [&kept, &refused].map(|instance| is_there(site, instance)),
                [true, false],
                "{version:?} {owner}"
            );
        }
    }
}

#[test]
fn keys_are_listed_used_deleted_and_survive_a_restart() {
    for version in Version::tested() {
        let mut site = Plan::new(version).start();
        let owner = Who::user("external");
        let (kept_id, kept) = site.make_key(&owner, &json!({"Name": "kept"}));
        let (gone_id, gone) = site.make_key(&owner, &json!({"Name": "gone"}));
        let (admins_id, _) = site.make_key(&Who::user("admin"), &json!({"Name": "the admin's"}));
        assert!(kept.starts_with("gatehouse_") && kept != gone);
        let works = |site: &crate::site::Site, key: &str| site.get(&Who::key(key), "/tools/now").status;
        assert_eq!((works(&site, &kept), works(&site, &gone)), (200, 200), "{version:?}");

        let list = |site: &crate::site::Site, who: &Who| -> Vec<Value> {
            site.get(who, KEYS).expect_status(200).unwrap().json().unwrap().as_array().unwrap().clone()
        };
        assert_eq!(list(&site, &owner).len(), 2, "{version:?}: one's own");
        assert_eq!(list(&site, &Who::user("admin")).len(), 3, "{version:?}: all for an administrator");
        assert!(!site.get(&Who::user("admin"), KEYS).text().contains(&kept), "{version:?}: shown once");
        let used = wait_until(Duration::from_secs(20), || {
            list(&site, &owner).iter().find(|key| key["ID"] == json!(kept_id) && key["LastUse"].is_string()).cloned()
        });
        assert_eq!(used.unwrap()["CreatedBy"], "external", "{version:?}");

        assert_eq!(site.delete(&owner, &format!("{KEYS}/{admins_id}")).status, 404, "{version:?}: not theirs");
        assert_eq!(
            site.delete(&Who::user("second"), &format!("{KEYS}/{gone_id}")).status,
            404,
            "{version:?}: not theirs"
        );
        assert_eq!(site.delete(&owner, &format!("{KEYS}/{gone_id}")).status, 200);
        assert_eq!(works(&site, &gone), 403, "{version:?}: refused at once");
        assert_eq!(site.delete(&owner, &format!("{KEYS}/{gone_id}")).status, 404);
        assert_eq!(site.delete(&Who::user("admin"), &format!("{KEYS}/{admins_id}")).status, 200);

        let (_, short) = site.make_key(&owner, &json!({"Name": "short", "ValidityDuration": 2}));
        assert_eq!(works(&site, &short), 200, "{version:?}");
        site.restart();
        assert_eq!((works(&site, &kept), works(&site, &gone)), (200, 403), "{version:?}: after a restart");
        let over = wait_until(Duration::from_secs(10), || (works(&site, &short) == 403).then_some(()));
        assert!(over.is_some(), "{version:?}: it ends");

        for file in ["authorization.db", "authorization.db-wal"] {
            let bytes = std::fs::read(site.folder.join("index").join(file)).unwrap_or_default();
            let holds = bytes.windows(kept.len()).any(|window| window == kept.as_bytes());
            assert!(!holds, "{version:?}: {file} holds the key in the clear");
        }
    }
}
