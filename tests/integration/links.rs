//! Share links: made, decoded, opened; bounded by their maker's rights, by their resources and by their end.
use crate::site::{Plan, SHARE_KEY, Who, ids, shared};
use serde_json::{Value, json};
use std::time::Duration;
use testbed::clock::{unix_seconds, wait_until};
use testbed::{Answer, Request, Version};

#[test]
fn every_type_is_made_decoded_and_opened() {
    for version in Version::tested() {
        let (site, images) = shared(version);
        let study = &images.allowed;
        let (uid, id) = (&study.study_uid, &study.ids.study);
        // (type, whether a URL comes with it, what decode says of the viewer: from the table of viewer URLs)
        for (link_type, viewer) in [
            (
                "stone-viewer-publication",
                Some(format!(
                    "http://site.test/orthanc/stone-webviewer/index.html?study={uid}&selectedStudies={uid}&token="
                )),
            ),
            ("ohif-viewer-publication", Some(format!("http://site.test/ohif/viewer?StudyInstanceUIDs={uid}&token="))),
            (
                "volview-viewer-publication",
                Some(format!(
                    "http://site.test/orthanc/volview/index.html?names=[archive.zip]&urls=../studies/{id}/archive&token="
                )),
            ),
            (
                "osimis-viewer-publication",
                Some(format!(
                    "http://site.test/orthanc/osimis-viewer/app/index.html?pickableStudyIds={id}&selectedStudyIds={id}&token="
                )),
            ),
            ("viewer-instant-link", None),
            ("download-instant-link", None),
        ] {
            let body = json!({"ID": "toto", "Resources": [{"OrthancId": id, "DicomUid": uid, "Level": "study"}],
                "Type": link_type, "ValidityDuration": 600});
            let answer = site.put(&Who::user("doctor"), &format!("/auth/tokens/{link_type}"), &body);
            let answer = answer.expect_status(200).unwrap().json().unwrap();
            let token = answer["Token"].as_str().unwrap();
            let url = viewer.as_ref().map(|viewer| format!("{viewer}{token}"));
            assert_eq!(answer["Url"], json!(url), "{version:?} {link_type}");

            let asked = json!({"TokenKey": "token", "TokenValue": format!("Bearer {token}")});
            let decoded = site.post(&Who::nobody(), "/auth/tokens/decode", &asked).json().unwrap();
            assert_eq!(decoded["TokenType"], link_type, "{version:?}: {decoded}");
            assert_eq!(decoded["ResourcesDicomIds"], json!([uid]), "{version:?} {link_type}");
            assert_eq!(decoded["ResourcesOrthancIds"], json!([id]), "{version:?} {link_type}");
            assert_eq!(decoded.get("RedirectUrl").and_then(Value::as_str), url.as_deref(), "{version:?} {link_type}");
            assert_eq!(decoded.get("ErrorCode"), None, "members are left out, never null");

            let link = Who::token(token);
            assert_eq!(site.get(&link, &study.fill("/studies/{study}/archive")).status, 200, "{version:?} {link_type}");
            assert_eq!(site.get(&link, &study.fill("/dicom-web/studies/{study-uid}/metadata")).status, 200);
            assert_eq!(
                site.get(&link, &images.foreign.fill("/studies/{study}")).status,
                403,
                "{version:?} {link_type}"
            );
            let found = site.post(&link, "/tools/find", &json!({"Level": "Study", "Query": {}}));
            assert_eq!(ids(&found), std::slice::from_ref(id), "{version:?} {link_type}");
        }
        // A link over two studies finds both.
        let resources: Vec<Value> = [&images.allowed, &images.second]
            .map(|image| json!({"OrthancId": image.ids.study, "Level": "study"}))
            .into();
        let answer = site.put(&site.admin(), "/auth/tokens/ohif-viewer-publication", &json!({"Resources": resources}));
        let two = Who::token(answer.json().unwrap()["Token"].as_str().unwrap());
        let found = site.get(&two, "/dicom-web/studies").json().unwrap();
        assert_eq!(found.as_array().unwrap().len(), 2, "{version:?}");
    }
}

#[test]
fn bad_requests_for_links_are_told_what_is_wrong() {
    for version in Version::tested() {
        let (site, images) = shared(version);
        let [allowed, foreign] =
            [&images.allowed, &images.foreign].map(|image| json!({"OrthancId": image.ids.study, "Level": "study"}));
        let unknown = json!({"OrthancId": "0195f13e-00000000-00000000-00000000-00000000", "Level": "study"});
        let disagree =
            json!({"OrthancId": images.allowed.ids.study, "DicomUid": images.foreign.study_uid, "Level": "study"});
        let (doctor, external, viewer) = (Who::user("doctor"), Who::user("external"), Who::user("viewer"));
        for (who, body, expected) in [
            (&doctor, json!({"Resources": [allowed]}), 200),
            (&doctor, json!({"Resources": [allowed], "ValidityDuration": null}), 200),
            (
                &doctor,
                json!({"resources": [{"orthanc-id": images.allowed.ids.study, "level": "study"}], "validity-duration": 60}),
                200,
            ),
            (&doctor, json!({"Resources": []}), 400),
            (&doctor, json!({}), 400),
            (&doctor, json!([]), 400),
            (&doctor, json!({"Resources": [allowed], "Type": "ohif-viewer-publication"}), 400),
            (&doctor, json!({"Resources": [allowed], "ExpirationDate": "tomorrow"}), 400),
            (&doctor, json!({"Resources": [allowed], "ExpirationDate": "2020-01-01T00:00:00Z"}), 400),
            (&doctor, json!({"Resources": [allowed], "ValidityDuration": -1}), 400),
            (&doctor, json!({"Resources": [allowed], "ValidityDuratoin": 60}), 400),
            (&doctor, json!({"Resources": [{"OrthancId": images.allowed.ids.study, "Level": "image-of-mine"}]}), 400),
            (&doctor, json!({"Resources": [{"Level": "study"}]}), 400),
            (&doctor, json!({"Resources": [unknown]}), 404),
            (&doctor, json!({"Resources": [disagree]}), 404),
            (&external, json!({"Resources": [foreign]}), 403),
            (&external, json!({"Resources": [unknown]}), 403),
            (&external, json!({"Resources": [disagree]}), 403),
            (&external, json!({"Resources": [allowed, foreign]}), 403),
            (&viewer, json!({"Resources": [allowed]}), 403),
            (&viewer, json!({"Resources": "nonsense"}), 403),
        ] {
            let answer = site.put(who, "/auth/tokens/stone-viewer-publication", &body);
            assert_eq!(answer.status, expected, "{version:?} {body}: {}", answer.text());
            if expected != 200 {
                let told = answer.json().unwrap();
                assert_eq!(told["HttpStatus"], expected, "{version:?} {body}");
                assert!(!told["Details"].as_str().unwrap().is_empty(), "{version:?} {body}");
            }
        }
        // Somebody limited is not told which of them is there.
        let told = [&foreign, &unknown, &disagree].map(|resource| {
            let body = json!({"Resources": [resource]});
            site.put(&external, "/auth/tokens/stone-viewer-publication", &body).text()
        });
        assert!(told.iter().all(|text| *text == told[0]), "{version:?}: {told:?}");
        let broken = Request::put("/auth/tokens/stone-viewer-publication", "{\"Resources\":");
        assert_eq!(site.send(&doctor, broken).status, 400, "{version:?}");
    }
}

/// The vectors name a study that is not here: a link that holds decodes as `unknown`, any other as what it is.
#[test]
fn old_links_are_read_and_forged_ones_are_not() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/share_tokens.json")).unwrap();
    for version in Version::tested() {
        let (site, images) = shared(version);
        let decode = |token: &str| {
            let asked = json!({"TokenKey": "token", "TokenValue": token});
            let answer = site.post(&Who::nobody(), "/auth/tokens/decode", &asked).expect_status(200).unwrap();
            answer.json().unwrap()["ErrorCode"].as_str().map(str::to_owned)
        };
        for vector in vectors["accepted"].as_array().unwrap() {
            let (name, token) = (vector["name"].as_str().unwrap(), vector["token"].as_str().unwrap());
            let expected = match vector["expires_at"].as_i64() {
                Some(end) if end <= unix_seconds() => "expired",
                // Without a record it was never made here.
                _ if vector["jti"].is_string() => "invalid",
                _ => "unknown",
            };
            assert_eq!(decode(token).as_deref(), Some(expected), "{version:?} {name}");
        }
        for vector in vectors["refused"].as_array().unwrap() {
            let (name, token) = (vector["name"].as_str().unwrap(), vector["token"].as_str().unwrap());
            // White space around a token is no part of it: a body's is taken off, a header cannot carry it.
            if token.trim() != token {
                continue;
            }
            assert_eq!(decode(token).as_deref(), Some("invalid"), "{version:?} {name}");
            if !token.is_empty() && !token.contains(char::is_control) {
                let status = site.get(&Who::token(token), &images.allowed.fill("/studies/{study}")).status;
                assert_eq!(status, 403, "{version:?} {name}");
            }
        }

        // Links of the old service to a study that is here.
        let (id, uid) = (json!(images.allowed.ids.study), json!(images.allowed.study_uid));
        let resource =
            |id: &Value, uid: &Value| json!([{"dicom_uid": uid, "orthanc_id": id, "url": null, "level": "study"}]);
        let other = json!(images.foreign.study_uid);
        let later = json!("2100-01-01T00:00:00+00:00");
        for (name, resources, end, expected) in [
            ("dated", resource(&id, &uid), later.clone(), 200),
            ("endless", resource(&id, &uid), Value::Null, 200),
            ("without a zone", resource(&id, &uid), json!("2100-01-01T00:00:00"), 200),
            ("only the UID", resource(&Value::Null, &uid), later.clone(), 200),
            ("only the Orthanc id", resource(&id, &Value::Null), later.clone(), 200),
            ("the identifiers disagree", resource(&id, &other), later.clone(), 403),
            ("another study", resource(&Value::Null, &other), later.clone(), 403),
            ("neither", resource(&Value::Null, &Value::Null), later.clone(), 403),
            ("none", json!([]), later.clone(), 403),
            ("expired", resource(&id, &uid), json!("2020-01-01T00:00:00+00:00"), 403),
        ] {
            let claims = json!({"id": "old", "resources": resources, "type": "stone-viewer-publication",
                "expiration_date": end, "validity_duration": null});
            let header = json!({"alg": "HS256", "typ": "JWT"});
            let token = testbed::oidc::hs256(&header, &claims, SHARE_KEY.as_bytes());
            let path = images.allowed.fill("/studies/{study}/metadata");
            assert_eq!(site.get(&Who::token(&token), &path).status, expected, "{version:?} {name}");
            let forged = testbed::oidc::hs256(&header, &claims, b"another key");
            assert_eq!(site.get(&Who::token(&forged), &path).status, 403, "{version:?} {name}, forged");
        }
    }
}

#[test]
fn a_link_ends_when_it_says() {
    let (site, images) = shared(Version::tested()[0]);
    let body = json!({"Resources": [{"OrthancId": images.allowed.ids.study, "Level": "study"}], "ValidityDuration": 2});
    let answer = site.put(&Who::user("doctor"), "/auth/tokens/stone-viewer-publication", &body).json().unwrap();
    let token = answer["Token"].as_str().unwrap();
    let path = images.allowed.fill("/studies/{study}");
    assert_eq!(site.get(&Who::token(token), &path).status, 200);
    let over =
        wait_until(Duration::from_secs(10), || (site.get(&Who::token(token), &path).status == 403).then_some(()));
    assert!(over.is_some());
    let asked = json!({"TokenKey": "token", "TokenValue": token});
    let decoded = site.post(&Who::nobody(), "/auth/tokens/decode", &asked).json().unwrap();
    assert_eq!(decoded["ErrorCode"], "expired", "{decoded}");
}

/// Nothing can be given away that the giver does not have, also not later.
#[test]
fn a_link_ends_with_its_makers_rights() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let images = site.fill();
        let by_user = Who::token(&site.make_link(&Who::user("external"), "stone-viewer-publication", &images.allowed));
        let maker = Who::token(&site.token("maker", &["external-role"]));
        let by_token = Who::token(&site.make_link(&maker, "stone-viewer-publication", &images.allowed));
        let (key_id, key) = site.make_key(&maker, &json!({"Name": "for links"}));
        let by_key = Who::token(&site.make_link(&Who::key(&key), "stone-viewer-publication", &images.allowed));
        let links = [("by a local user", &by_user), ("by a token's person", &by_token), ("by a key", &by_key)];
        let path = images.allowed.fill("/instances/{instance}/file");
        let all = |expected: u16, why: &str| {
            for (name, link) in links {
                assert_eq!(site.get(link, &path).status, expected, "{version:?} {name}: {why}");
            }
        };
        all(200, "as made");
        let change = |member: &str, value: Value| {
            let mut roles = crate::site::roles();
            roles["roles"]["external-role"][member] = value;
            assert_eq!(site.put(&site.admin(), "/auth/settings/roles", &roles).status, 200);
        };
        change("authorized-labels", json!(["second"]));
        all(403, "the maker has lost the label");
        change("permissions", json!(["view"]));
        all(403, "the maker has lost the permission");
        change("permissions", json!(["all"]));
        all(200, "the maker has both again");
        let label = images.allowed.fill("/studies/{study}/labels/external");
        assert_eq!(site.delete(&site.admin(), &label).status, 200);
        all(403, "the study has lost the label");
        assert_eq!(site.send(&site.admin(), Request::put(&label, "")).status, 200);
        all(200, "the study has it again");
        assert_eq!(site.delete(&maker, &format!("/auth/api-keys/{key_id}")).status, 200);
        assert_eq!(site.get(&by_key, &path).status, 403, "{version:?}: its key is gone");
        assert_eq!(site.get(&by_token, &path).status, 200, "{version:?}");
        // A newer token of the maker without the role.
        assert_eq!(site.get(&Who::token(&site.token("maker", &[])), "/auth/user/profile").status, 200);
        let less = wait_until(Duration::from_secs(10), || (site.get(&by_token, &path).status == 403).then_some(()));
        assert!(less.is_some(), "{version:?}: the maker was seen without the role");
    }
}

#[test]
fn what_is_wrong_with_a_link_that_is_asked_for_is_said_by_name() {
    let version = Version::tested()[0];
    let site = Plan::new(version)
        .section(json!({"Shares": {
            "PublicOrthancRoot": "http://pacs.test/", "PublicOhifRoot": "http://viewer.test/ohif/", "SecretKey": SHARE_KEY,
        }}))
        .start();
    let images = site.fill();
    let (doctor, viewer) = (Who::user("doctor"), Who::user("viewer"));
    let ask = |who: &Who, link_type: &str, studies: &[&str], more: Value| {
        let resources: Vec<Value> = studies.iter().map(|id| json!({"OrthancId": id, "Level": "study"})).collect();
        let mut body = json!({"Resources": resources});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        site.put(who, &format!("/auth/tokens/{link_type}"), &body)
    };
    let refused = |answer: Answer, status: u16, told: &str| {
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(told), "{told}: {}", answer.text());
    };
    let known = images.allowed.ids.study.as_str();
    let ohif = "ohif-viewer-publication";
    for more in [json!({"Pin": true}), json!({"MaxOpenings": 1})] {
        refused(ask(&doctor, ohif, &[known], more), 409, "Authorization.Shares.ViewerOrigins");
    }
    assert_eq!(ask(&doctor, ohif, &[known], json!({})).status, 200);
    assert_eq!(ask(&doctor, "stone-viewer-publication", &[known], json!({"Pin": true})).status, 200);
    // Which one is unknown, to whoever sees all.
    let unknown = "00000000-00000000-00000000-00000000-00000000";
    refused(
        ask(&site.admin(), ohif, &[known, unknown], json!({})),
        404,
        &format!("Resources[1]: there is no study {unknown}"),
    );
    // Which types there are, to whoever makes some.
    refused(ask(&doctor, "stone", &[known], json!({})), 403, "stone-viewer-publication");
    let answer = ask(&Who::nobody(), "stone", &[known], json!({}));
    assert!(answer.status == 403 && !answer.text().contains("publication"), "{}", answer.text());
    // A permission that nobody knows is mistyped, not out of reach.
    let key = json!({"Name": "key", "Permissions": ["veiw"]});
    refused(site.post(&viewer, "/auth/api-keys", &key), 400, "did you mean \\\"view\\\"?");
}
