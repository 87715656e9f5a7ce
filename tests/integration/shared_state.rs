//! Two servers that share one state, attacked: what one of them takes away, the other does not give back.
use crate::site::{Plan, Site, Who};
use serde_json::json;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;
use testbed::clock::{monotonic, unix_time, wait_until};
use testbed::dicom::Instance;
use testbed::oidc::Provider;
use testbed::{Request, Version};

/// Two servers on one state, with images of their own, that believe the provider of the first.
fn two(version: Version, state: &Path) -> [Site; 2] {
    let database = json!({"Storage": {"SQLite": state.join("gatehouse.db")}});
    let one = Plan::new(version).section(database.clone()).start();
    let provider = json!({"Keycloak": {"Url": one.provider.url(), "Realm": Provider::REALM}});
    let other = Plan::new(version).section(database).section(provider).start();
    [one, other]
}

const PATIENCE: Duration = Duration::from_secs(30);

/// While everything is ended that somebody has, that one makes keys and links as fast as they can, at the server that does
/// not know of it yet.
#[test]
fn what_somebody_makes_at_another_server_while_all_they_have_is_ended_ends_too() {
    let version = Version::tested()[0];
    let state = tempfile::tempdir().unwrap();
    let [one, other] = two(version, state.path());
    let image = Instance::named("ended", "study", "series", "image");
    let study = one.upload(&image, &[]);
    assert_eq!(other.send(&Who::user("admin"), Request::post("/instances", image.to_bytes())).status, 200);
    let path = study.fill("/studies/{study}");
    for round in 0..3 {
        let subject = format!("maker {round}");
        let mut claims = one.provider.claims(&subject, &["doctor-role"]);
        claims["iat"] = json!(claims["iat"].as_i64().unwrap() - 60);
        let maker = Who::token(&one.provider.key.token(&claims).unwrap());
        let made = Mutex::new(Vec::new());
        assert_eq!(other.get(&maker, &path).status, 200);
        let (name, place) = (json!({"Name": "made in time"}), "/auth/tokens/stone-viewer-publication");
        let link = json!({"Resources": [{"OrthancId": study.ids.study, "Level": "study"}]});
        std::thread::scope(|scope| {
            for makes_keys in [true, false] {
                let (made, maker, name, link, other) = (&made, &maker, &name, &link, &other);
                scope.spawn(move || {
                    let start = monotonic();
                    // Until they are refused.
                    while start.elapsed() < 2 * PATIENCE {
                        let answer = if makes_keys {
                            other.post(maker, "/auth/api-keys", name)
                        } else {
                            other.put(maker, place, link)
                        };
                        if answer.status != 200 {
                            return;
                        }
                        let answer = answer.json().unwrap();
                        let text = answer["Key"].as_str().or(answer["Token"].as_str()).unwrap();
                        made.lock().unwrap().push(text.to_owned());
                    }
                });
            }
            let some = || (made.lock().unwrap().len() > 10).then_some(());
            assert!(wait_until(PATIENCE, some).is_some());
            // What is made in the same second ends with the rest; what is made in the next one would outlive it.
            assert!(wait_until(PATIENCE, || (unix_time().subsec_millis() >= 850).then_some(())).is_some());
            assert_eq!(one.delete(&Who::user("admin"), &format!("/auth/sessions/user/maker%20{round}")).status, 200);
            let refused =
                || (other.get(&maker, "/auth/user/profile").json().ok()?["name"] == "Anonymous").then_some(());
            assert!(wait_until(PATIENCE, refused).is_some());
        });
        let made = made.into_inner().unwrap();
        for site in [&one, &other] {
            let alive = made.iter().filter(|text| site.get(&Who::token(text), &path).status == 200).count();
            assert_eq!(alive, 0, "of {} that were made, {alive} outlive the end of all", made.len());
        }
    }
}
