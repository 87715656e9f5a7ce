//! Other plugins in the same server: what they answer in place of ours, and what they ask on behalf of a request.
use crate::findings::{assert_says, wait_for};
use crate::site::{Image, Plan, Site, Who};
use serde_json::{Value, json};
use testbed::dicom::Instance;
use testbed::{Request, Version, explorer};

/// Own and foreign study.
fn upload(site: &Site) -> (String, String) {
    let own = site.upload(&Instance::named("own", "study", "series", "image"), &["external"]);
    let foreign = site.upload(&Instance::named("foreign", "study", "series", "image"), &["internal"]);
    (own.ids.study, foreign.ids.study)
}

fn plan(version: Version, folder: &std::path::Path) -> Plan {
    let open = |path: &str| json!(["get", path, "all|view", {"PatientData": false}]);
    Plan::new(version)
        .plugin_first(&explorer::neighbour(version, folder).unwrap())
        .section(json!({"ExtraPermissions": [open("^/neighbour/(?:find|labels|delete)$")]}))
}

fn studies(found: &Value) -> Vec<&str> {
    found.as_array().unwrap().iter().map(|study| study["ID"].as_str().unwrap()).collect()
}

#[test]
fn what_a_plugin_asks_on_behalf_of_a_request_is_held_to_its_rights_whatever_headers_it_hands_on() {
    for version in Version::tested() {
        let folder = tempfile::tempdir().unwrap();
        let site = plan(version, folder.path()).start();
        let (own, _) = upload(&site);
        let limited = Who::user("external");
        for who in [limited.clone(), limited.clone().header("api-key", "garbage"), limited.header("Cookie", "a=b")] {
            let found = site.get(&who, "/neighbour/find").json().unwrap();
            assert_eq!(studies(&found), [own.as_str()], "{version:?} {who:?}");
            assert_eq!(site.get(&who, "/neighbour/labels").json().unwrap(), json!(["external"]), "{version:?} {who:?}");
        }
        let found = site.get(&Who::user("admin"), "/neighbour/find").json().unwrap();
        assert_eq!(found.as_array().unwrap().len(), 2, "{version:?}");
    }
}

/// A link only reads, also by a plugin that deletes what a request names. Why it fails is in the log: in the plugin it is
/// just an error of the server.
#[test]
fn what_a_plugin_deletes_on_behalf_of_a_request_is_its_users_to_change() {
    for version in Version::tested() {
        let folder = tempfile::tempdir().unwrap();
        let site = plan(version, folder.path()).start();
        let own = site.upload(&Instance::named("own", "study", "series", "image"), &["external"]);
        let foreign = site.upload(&Instance::named("foreign", "study", "series", "image"), &["internal"]);
        let link = Who::token(&site.make_link(&Who::user("admin"), "stone-viewer-publication", &foreign));
        let limited = Who::user("external");
        let path_of = |image: &Image| format!("/studies/{}", image.ids.study);
        let delete = |who: &Who, image: &Image| {
            site.send(who, Request::get("/neighbour/delete").header("x-delete", &path_of(image))).status
        };
        assert_eq!(site.get(&link, &path_of(&foreign)).status, 200, "{version:?}");
        for who in [&link, &limited, &limited.clone().and(&link)] {
            assert_eq!(delete(who, &foreign), 403, "{version:?} {who:?}");
        }
        let said = format!(
            "refused DELETE {} to another plugin or a script, which asks while GET /neighbour/delete by local user \"external\" is served",
            path_of(&foreign)
        );
        site.server.wait_for_log(&said, std::time::Duration::from_secs(10)).unwrap();
        assert_eq!(site.get(&site.admin(), &path_of(&foreign)).status, 200, "{version:?}");
        assert_eq!(delete(&limited, &own), 200, "{version:?}");
        assert_eq!(site.get(&site.admin(), &path_of(&own)).status, 404, "{version:?}");
    }
}

#[test]
fn what_another_plugin_answers_in_our_place_is_for_who_holds_all_labels() {
    for version in Version::tested() {
        let folder = tempfile::tempdir().unwrap();
        let taken = "/tools/find,/studies/([^/]*),/auth/shares";
        let site = plan(version, folder.path()).env("NEIGHBOUR_ANSWERS", taken).start();
        let (own, foreign) = upload(&site);
        let (admin, limited) = (Who::user("admin"), Who::user("external"));
        let search = || Request::post("/tools/find", json!({"Level": "Study", "Query": {}}).to_string());
        assert_eq!(site.send(&admin, search()).json().unwrap().as_array().unwrap().len(), 2, "{version:?}");
        assert_eq!(site.get(&admin, &format!("/studies/{foreign}")).status, 200, "{version:?}");
        assert_eq!(site.send(&limited, search()).status, 403, "{version:?}");
        for path in ["/dicom-web/studies", &format!("/studies/{own}"), "/auth/shares"] {
            assert_eq!(site.get(&limited, path).status, 403, "{version:?} {path}");
        }
        assert_says(&wait_for(&site, "RoutesOfAnotherPlugin"), "error", &["/tools/find", "/auth/shares"]);
        // What still reaches us is as ever.
        assert_eq!(site.get(&limited, "/tools/labels").json().unwrap(), json!(["external"]), "{version:?}");
        assert_eq!(site.get(&limited, &format!("/studies/{own}/series")).status, 200, "{version:?}");
        assert_eq!(site.get(&limited, &format!("/studies/{own}/archive")).status, 200, "{version:?}");
        let log = site.server.log();
        let said = log.lines().filter(|line| line.contains("which was loaded before this one, answers")).count();
        assert_eq!(said, 1, "{version:?}: {log}");
        assert!(log.contains("/auth/shares, /studies/{study}, /tools/find, {dicom-web}/"), "{version:?}");
    }
}

#[test]
fn our_own_callbacks_are_found_to_be_ours() {
    for version in Version::tested() {
        let folder = tempfile::tempdir().unwrap();
        let neighbour = explorer::neighbour(version, folder.path()).unwrap();
        // After us it is not asked.
        let site = Plan::new(version).plugin(&neighbour).env("NEIGHBOUR_ANSWERS", "/tools/find").start();
        let (own, _) = upload(&site);
        let search = Request::post("/tools/find", json!({"Level": "Study", "Query": {}, "Expand": true}).to_string());
        let found = site.send(&Who::user("external"), search).json().unwrap();
        assert_eq!(studies(&found), [own.as_str()], "{version:?}");
        let log = site.server.log();
        assert!(!log.contains("which was loaded before this one"), "{version:?}");
        assert!(!log.contains("Exception inside the plugin engine"), "{version:?}: finding out makes no noise: {log}");
    }
}
