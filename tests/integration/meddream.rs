//! Links to MedDream, whose own token service is asked for each opening. The real one is not to be had freely: here
//! stands one that takes and gives what the contract says, and does what may go wrong.
use crate::site::{Image, Plan, SHARE_KEY, Site, Who};
use serde_json::{Value, json};
use std::time::Duration;
use testbed::clock::monotonic;
use testbed::dicom::Instance;
use testbed::token_service::{Gives, TokenService};
use testbed::{Answer, Version};

fn start(version: Version, service: &TokenService) -> (Site, [Image; 2]) {
    let shares = json!({
        "SecretKey": SHARE_KEY, "PublicOrthancRoot": "http://site.test/orthanc/",
        "PublicLandingRoot": "http://site.test/orthanc/ui/app/token-landing.html",
        "PublicMedDreamRoot": "http://site.test/meddream/", "MedDreamTokenServiceUrl": service.url(),
    });
    let site = Plan::new(version).section(json!({ "Shares": shares })).start();
    let images =
        ["one", "two"].map(|name| site.upload(&Instance::named("MedDream", name, "series", "instance"), &["external"]));
    (site, images)
}

fn make(site: &Site, link_type: &str, studies: &[&Image]) -> Answer {
    let resources: Vec<Value> = studies
        .iter()
        .map(|study| json!({"OrthancId": study.ids.study, "DicomUid": study.study_uid, "Level": "study"}))
        .collect();
    let body = json!({"Resources": resources, "Type": link_type, "ValidityDuration": 200});
    site.put(&Who::user("doctor"), &format!("/auth/tokens/{link_type}"), &body)
}

fn decode(site: &Site, token: &str) -> Value {
    let asked = json!({"TokenKey": "token", "TokenValue": token});
    site.post(&Who::nobody(), "/auth/tokens/decode", &asked).expect_status(200).unwrap().json().unwrap()
}

fn asked_for(studies: &[&Image]) -> Value {
    let items: Vec<Value> =
        studies.iter().map(|study| json!({"studies": {"study": study.study_uid, "storage": "Orthanc"}})).collect();
    json!({ "items": items })
}

#[test]
fn meddreams_own_token_opens_meddream() {
    for version in Version::tested() {
        let service = TokenService::start("meddreams-token+1=").unwrap();
        let (site, [one, two]) = start(version, &service);

        // An instant link is MedDream's token, which Orthanc Explorer 2 appends to its own URL.
        let answer = make(&site, "meddream-instant-link", &[&one]).expect_status(200).unwrap().json().unwrap();
        assert_eq!(answer, json!({"Token": "meddreams-token+1=", "Url": null}), "{version:?}");
        let asked = service.asked();
        assert_eq!(asked, [("POST /v3/generate HTTP/1.1".to_owned(), asked_for(&[&one]))], "{version:?}");
        // It is none of ours.
        assert_eq!(site.get(&Who::token("meddreams-token+1="), &one.fill("/studies/{study}")).status, 403);

        // A publication leads to the landing page; each decoding asks for a token of minutes, and ours goes nowhere.
        let answer =
            make(&site, "meddream-viewer-publication", &[&one, &two]).expect_status(200).unwrap().json().unwrap();
        let token = answer["Token"].as_str().unwrap();
        assert_eq!(answer["Url"], format!("http://site.test/orthanc/ui/app/token-landing.html?token={token}"));
        assert_eq!(service.asked().len(), 1);
        let decoded = decode(&site, token);
        let (first, second) = (&one.study_uid, &two.study_uid);
        let expected = format!("http://site.test/meddream/?study={first},{second}&token=meddreams-token%2B1%3D");
        assert_eq!(decoded["RedirectUrl"], expected, "{version:?}: {decoded}");
        assert_eq!(service.asked()[1].1, asked_for(&[&one, &two]));
        assert!(!format!("{:?}", service.asked()).contains(token));
        assert_eq!(decode(&site, "garbage")["ErrorCode"], "invalid");
        assert_eq!(service.asked().len(), 2);
    }
}

#[test]
fn a_token_service_that_is_away_slow_or_wrong_is_told_and_holds_nobody_up() {
    let version = *Version::tested().last().unwrap();
    let service = TokenService::start("good").unwrap();
    let (site, [one, _]) = start(version, &service);
    let publication = make(&site, "meddream-viewer-publication", &[&one]).expect_status(200).unwrap().json().unwrap();
    let publication = publication["Token"].as_str().unwrap().to_owned();
    for (gives, told) in [
        (Gives::Down, "cannot be reached"),
        (Gives::HangUp, "cannot be reached"),
        (Gives::Answer(500, "a-word".to_owned()), "HTTP status 500"),
        (Gives::Answer(302, "a-word".to_owned()), "HTTP status 302"),
        (Gives::Answer(200, String::new()), "no token"),
        (Gives::Answer(200, "<html>busy</html>".to_owned()), "no token"),
        (Gives::Answer(200, "{\"error\": \"x\"}".to_owned()), "no token"),
        (Gives::Answer(200, "a".repeat(20_000)), "no token"),
    ] {
        service.set(gives.clone());
        let answer = make(&site, "meddream-instant-link", &[&one]);
        assert_eq!(answer.status, 503, "{gives:?}");
        assert!(answer.json().unwrap()["Details"].as_str().unwrap().contains(told), "{gives:?}: {}", answer.text());
        // The landing page shows something for this, and would stay blank for an error.
        assert_eq!(decode(&site, &publication)["ErrorCode"], "unknown", "{gives:?}");
    }
    // Slow: a few wait, for a few seconds; others are sent away at once, and everybody else is served.
    service.set(Gives::Late(Duration::from_secs(60)));
    let before = monotonic();
    let codes: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..12).map(|_| scope.spawn(|| make(&site, "meddream-instant-link", &[&one]).status)).collect();
        assert_eq!(site.get(&Who::user("doctor"), "/system").status, 200);
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(codes.iter().all(|code| *code == 503), "{codes:?}");
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
    assert!(service.asked().len() < 8 + 8 + 12, "not more than four at once");
    service.set(Gives::Token("again".to_owned()));
    assert_eq!(
        make(&site, "meddream-instant-link", &[&one]).expect_status(200).unwrap().json().unwrap()["Token"],
        "again"
    );
}
