//! Labels: a limited user adds and removes their own, sees no others, and every change counts at once.
use crate::site::{Plan, Who, ids, roles};
use serde_json::json;
use testbed::dicom::Instance;
use testbed::{Request, Version};

#[test]
fn own_labels_are_added_and_removed_and_others_neither_changed_nor_seen() {
    for version in Version::tested() {
        let mut document = roles();
        document["roles"]["external-role"]["authorized-labels"] = json!(["external", "second", "unavailable"]);
        document["available-labels"] = json!(["external", "second", "internal", "fresh"]);
        // A long validity: what is changed on this server must not need it.
        let site = Plan::new(version).roles(document).section(json!({"LabelsValidity": 3600})).start();
        let images = site.fill();
        let (limited, admin, viewer) = (Who::user("external"), site.admin(), Who::user("viewer"));
        let [mixed, foreign] = [&images.mixed, &images.foreign];
        let label = |image: &crate::site::Image, label: &str| image.fill(&format!("/studies/{{study}}/labels/{label}"));
        let put = |who: &Who, path: &str| site.send(who, Request::put(path, "")).status;

        let shown = |who: &Who| site.get(who, &mixed.fill("/studies/{study}/labels")).json().unwrap();
        assert_eq!(shown(&limited), json!(["external"]), "{version:?}");
        assert_eq!(shown(&admin), json!(["external", "internal"]), "{version:?}");
        let description = site.get(&limited, &mixed.fill("/studies/{study}")).json().unwrap();
        assert_eq!(description["Labels"], json!(["external"]), "{version:?}");
        assert_eq!(site.get(&limited, &label(mixed, "external")).status, 200, "{version:?}");
        assert_eq!(
            site.get(&limited, &label(mixed, "internal")).status,
            404,
            "{version:?}: it is there, but not for them"
        );
        assert_eq!(site.get(&limited, &label(mixed, "nowhere")).status, 404, "{version:?}");
        let all = site.get(&limited, "/tools/labels").json().unwrap();
        assert_eq!(all, json!(["external", "second"]), "{version:?}: only own ones");
        let expanded = site.post(&limited, "/tools/find", &json!({"Level": "Study", "Query": {}, "Expand": true}));
        assert!(!expanded.text().contains("internal"), "{version:?}: {}", expanded.text());

        for (name, expected) in
            [("second", 200), ("internal", 403), ("fresh", 403), ("unavailable", 403), ("unheard-of", 403)]
        {
            assert_eq!(put(&limited, &label(mixed, name)), expected, "{version:?} add {name}");
            let removed = site.delete(&limited, &label(mixed, name)).status;
            assert_eq!(removed, expected, "{version:?} remove {name}");
        }
        assert_eq!(put(&limited, &label(foreign, "external")), 403, "{version:?}: nobody labels a study their way");
        assert_eq!(put(&viewer, &label(mixed, "external")), 403, "{version:?}: lacks edit-labels");
        assert_eq!(put(&admin, &label(mixed, "unheard-of")), 403, "{version:?}: available-labels hold for all");
        assert_eq!(put(&admin, &label(mixed, "fresh")), 200, "{version:?}");

        // At once, in both directions, for routes and searches.
        let path = foreign.fill("/instances/{instance}/file");
        let found = || {
            ids(&site.post(&viewer, "/tools/find", &json!({"Level": "Study", "Query": {}})))
                .contains(&foreign.ids.study)
        };
        for round in 0..5 {
            assert_eq!((site.get(&viewer, &path).status, found()), (403, false), "{version:?} {round}");
            assert_eq!(put(&admin, &label(foreign, "external")), 200);
            assert_eq!((site.get(&viewer, &path).status, found()), (200, true), "{version:?} {round}");
            assert_eq!(site.delete(&admin, &label(foreign, "external")).status, 200);
        }
        // A study deleted and uploaded again has no labels.
        assert_eq!(site.get(&viewer, &images.allowed.fill("/studies/{study}")).status, 200);
        assert_eq!(site.delete(&admin, &images.allowed.fill("/studies/{study}")).status, 200);
        let again = site.upload(&Instance::named("Allowed", "study", "series", "instance"), &[]);
        assert_eq!(again.ids, images.allowed.ids);
        assert_eq!(site.get(&viewer, &again.fill("/studies/{study}")).status, 403, "{version:?}: no label, no access");
    }
}

/// What [`crate::credentials`] leaves out, because it changes the images: writes that pass.
#[test]
fn writes_that_are_allowed_are_done() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let images = site.fill();
        let limited = Who::user("external");
        let delete = |path: &str| site.delete(&limited, path).status;
        assert_eq!(delete(&images.mixed.fill("/patients/{patient}")), 403, "{version:?}: another study is foreign");
        assert_eq!(delete(&images.mixed.fill("/instances/{instance}")), 200, "{version:?}");
        let gone = site.get(&site.admin(), &images.mixed.fill("/studies/{study}")).status;
        assert_eq!(gone, 404, "{version:?}");
        assert_eq!(delete(&images.allowed.fill("/studies/{study}")), 200, "{version:?}");
        assert_eq!(site.get(&limited, &images.allowed.fill("/studies/{study}")).status, 403, "{version:?}: no oracle");
        assert_eq!(delete(&images.foreign.fill("/studies/{study}")), 403, "{version:?}");
        assert_eq!(site.get(&site.admin(), &images.foreign.fill("/studies/{study}")).status, 200, "{version:?}");
    }
}
