//! The roles: read and written over HTTP, edited on disk.
use crate::site::{Plan, Site, Who, roles, roles_file};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use testbed::clock::wait_until;
use testbed::dicom::Instance;
use testbed::{Request, Version};

const ROLES: &str = "/auth/settings/roles";
const NOTICED: Duration = Duration::from_secs(20);

fn viewer_may(site: &Site) -> bool {
    site.get(&Who::user("viewer"), "/tools/now").status == 200
}

fn without_view() -> Value {
    let mut changed = roles();
    changed["roles"]["viewer-role"]["permissions"] = json!([]);
    changed
}

#[test]
fn roles_are_changed_over_http() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let admin = Who::user("admin");
        fs::set_permissions(roles_file(&site.folder), fs::Permissions::from_mode(0o640)).unwrap();
        let read = site.get(&admin, ROLES).expect_status(200).unwrap();
        assert_eq!(read.json().unwrap(), roles(), "{version:?}");
        let tag = read.header("etag").unwrap().to_owned();
        assert!(tag.starts_with('"'), "{version:?}: a strong tag");
        let put = |body: &Value, tag: Option<&str>| {
            let request = Request::new("PUT", ROLES).json(body);
            site.send(&admin, tag.into_iter().fold(request, |request, tag| request.header("If-Match", tag)))
        };
        assert!(viewer_may(&site));
        let written = put(&without_view(), Some(&tag));
        assert_eq!((written.status, written.text().as_str()), (200, "null"), "{version:?}");
        assert!(!viewer_may(&site), "{version:?}: in force at once");
        let new_tag = site.get(&admin, ROLES).header("etag").unwrap().to_owned();
        assert_eq!(written.header("etag"), Some(new_tag.as_str()), "{version:?}");
        assert_eq!(put(&roles(), Some(&tag)).status, 412, "{version:?}: somebody was faster");
        assert!(!viewer_may(&site), "{version:?}");
        let mode = fs::metadata(roles_file(&site.folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "{version:?}: the file's mode is kept");
        let on_disk: Value = serde_json::from_slice(&fs::read(roles_file(&site.folder)).unwrap()).unwrap();
        assert_eq!(on_disk, without_view(), "{version:?}");

        let mut unknown = roles();
        unknown["roles"]["viewer-role"]["permissions"] = json!(["veiw"]);
        let mut nobody = roles();
        nobody["roles"]["admin-role"]["permissions"] = json!(["all"]);
        for (body, expected, named) in [
            (&unknown, 400, "veiw"),
            (&nobody, 409, "admin-permissions"),
            (&json!({"available-labels": []}), 400, "roles"),
            (&json!({"roles": {"r": {"permisions": []}}}), 400, "permisions"),
            (&json!([]), 400, "object"),
        ] {
            let answer = put(body, None);
            assert_eq!(answer.status, expected, "{version:?}: {}", answer.text());
            assert!(answer.text().contains(named), "{version:?}: {}", answer.text());
        }
        assert_eq!(put(&roles(), Some("*")).status, 200, "{version:?}");
        assert!(viewer_may(&site), "{version:?}");
        assert_eq!(put(&without_view(), None).status, 200, "{version:?}: without a condition it is taken");

        for who in [Who::nobody(), Who::user("external"), Who::user("doctor")] {
            assert_eq!(site.get(&who, ROLES).status, 403, "{version:?}");
            assert_eq!(site.put(&who, ROLES, &roles()).status, 403, "{version:?}");
        }
    }
}

#[test]
fn roles_are_edited_on_disk() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let file = roles_file(&site.folder);
        assert!(viewer_may(&site));
        let edit = |text: &str| fs::write(&file, text).unwrap();
        edit(&format!("// the viewer is on holiday\n{}/* end */", without_view()));
        let noticed = wait_until(NOTICED, || (!viewer_may(&site)).then_some(()));
        assert!(noticed.is_some(), "{version:?}: an edit is noticed, comments and all");

        for (number, broken) in ["{", "{\"roles\": {\"r\": {\"permisions\": []}}}"].into_iter().enumerate() {
            edit(broken);
            let said = |log: &str| {
                log.lines().filter(|line| line.contains("permissions.jsonc") && line.starts_with('E')).count() > number
            };
            let noticed = wait_until(NOTICED, || said(&site.server.log()).then_some(()));
            assert!(noticed.is_some(), "{version:?}: a broken edit is logged:\n{}", site.server.log());
            assert!(!viewer_may(&site), "{version:?}: the last good ones stay in force");
            assert_eq!(site.get(&Who::user("admin"), "/auth/user/profile").json().unwrap()["name"], "admin");
        }
        edit(&roles().to_string());
        assert!(wait_until(NOTICED, || viewer_may(&site).then_some(())).is_some(), "{version:?}: mended");
    }
}

#[test]
fn inline_roles_cannot_be_changed_over_http() {
    let site =
        Plan::new(Version::tested()[0]).section(json!({"PermissionsFile": null, "Roles": roles()["roles"]})).start();
    assert_eq!(site.get(&Who::user("admin"), ROLES).status, 200);
    assert_eq!(site.put(&Who::user("admin"), ROLES, &roles()).status, 409);
}

/// The server's router takes the slash off, our table of routes does too, and so do the rules.
#[test]
fn a_slash_at_the_end_leads_past_no_rule() {
    for version in Version::tested() {
        let rules = json!([
            ["post", "^/instances$", "all"],
            ["put", "^/studies/.*$", "all"],
            ["get", "^/studies/[^/]+/archive$", "download"],
            ["get", "^/studies/.*$", "view"],
        ]);
        let site = Plan::new(version).section(json!({"Permissions": rules})).start();
        let own = site.upload(&Instance::named("one", "study", "series", "image"), &["external"]);
        for (path, viewer) in [("", 200), ("/", 200), ("/archive", 403), ("/archive/", 403), ("/archive//", 403)] {
            let path = own.fill(&format!("/studies/{{study}}{path}"));
            assert_eq!(site.get(&Who::user("viewer"), &path).status, viewer, "{version:?} {path}");
            assert_eq!(site.get(&Who::user("doctor"), &path).status, 200, "{version:?} {path}");
        }
    }
}
