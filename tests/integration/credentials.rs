//! Each kind of credential on each kind of route, to an allowed and to a foreign study.
//!
//! The expectations are those of the contract: the default permission rules, the two gates, and what a limited user and
//! the holder of a link may reach.
use crate::site::{Image, Plan, Who, ids, shared};
use serde_json::json;
use testbed::{Request, Version};

/// One line for each route. The columns after the body are what comes of it for
///
/// - `nobody`: no credential that holds, or one without rights
/// - `admin`: all permissions, all labels
/// - `limited`: the permission `all`, the label `external`
/// - `viewer`: the permission `view`, the label `external`
/// - `link`: a share link to the allowed study
///
/// as `status`, or `with an allowed study/with a foreign one`; `-` is not tried, as it would change the images.
/// `{allowed-…}` is the allowed study in both cases.
const ROUTES: &str = r#"
# method path                                                    body nobody admin limited viewer link

# No patient data.
GET /system                                                        .  200 200 200 200 200
GET /                                                              .  307 307 307 307 307
GET /ui/app/index.html                                             .  404 404 404 404 404
GET /ui/api/configuration                                          .  404 404 404 404 404
GET /stone-webviewer/index.html                                    .  404 404 404 404 404
GET /plugins                                                       .  403 200 200 200 200
GET /plugins/dicom-web                                             .  403 200 200 200 200
GET /tools/now                                                     .  403 200 200 200 200
GET /tools/generate-uid?level=study                                .  200 200 200 200 200

# About all studies at once: only for those who hold all labels.
GET /statistics                                                    .  403 200 403 403 403
GET /changes                                                       .  403 200 403 403 403
GET /tools/metrics-prometheus                                      .  403 200 403 403 403
GET /exports                                                       .  403 200 403 403 403
GET /patients                                                      .  403 200 403 403 403
GET /studies                                                       .  403 200 403 403 403
GET /studies/                                                      .  403 200 403 403 403
GET /studies?expand                                                .  403 200 403 403 403
GET /series                                                        .  403 200 403 403 403
GET /instances                                                     .  403 200 403 403 403

# Patients.
GET /patients/{patient}                                            .  403 200/200 200/403 200/403 200/403
GET /patients/{patient}/                                           .  403 200/200 200/403 200/403 200/403
GET /patients/{patient}/studies                                    .  403 200/200 200/403 200/403 200/403
GET /patients/{patient}/series                                     .  403 200/200 200/403 200/403 200/403
GET /patients/{patient}/instances                                  .  403 200/200 200/403 200/403 200/403
GET /patients/{patient}/archive                                    .  403 200/200 200/403 200/403 200/403
GET /patients/{patient}/shared-tags                                .  403 200/200 200/403 200/403 200/403
GET /patients/{patient}/statistics                                 .  403 200/200 200/403 200/403 200/403
GET /patients/{patient}/labels                                     .  403 200/200 200/403 200/403 200/403
PUT /patients/{patient}/protected                                  1  403 403/403 403/403 403/403 403/403

# Studies.
GET /studies/{study}                                               .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/                                              .  403 200/200 200/403 200/403 200/403
GET //studies//{study}                                             .  403 200/200 200/403 200/403 200/403
GET /studies/%7Bx%7D/../{study}                                    .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/metadata                                      .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/metadata/LastUpdate                           .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/attachments                                   .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/statistics                                    .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/archive                                       .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/media                                         .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/shared-tags                                   .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/instances-tags                                .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/module                                        .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/module-patient                                .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/patient                                       .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/series                                        .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/instances                                     .  403 200/200 200/403 200/403 200/403
GET /studies/{study}/labels                                        .  403 200/200 200/403 200/403 200/403
GET /studies/0195f13e-00000000-00000000-00000000-00000000          .  403 404 403 403 403
GET /studies/{series}                                              .  403 404/404 403/403 403/403 403/403
GET /studies/nonsense                                              .  403 403 403 403 403

# Series and instances.
GET /series/{series}                                               .  403 200/200 200/403 200/403 200/403
GET /series/{series}/study                                         .  403 200/200 200/403 200/403 200/403
GET /series/{series}/patient                                       .  403 200/200 200/403 200/403 200/403
GET /series/{series}/instances                                     .  403 200/200 200/403 200/403 200/403
GET /series/{series}/archive                                       .  403 200/200 200/403 200/403 200/403
GET /series/{series}/shared-tags                                   .  403 200/200 200/403 200/403 200/403
GET /instances/{instance}                                          .  403 200/200 200/403 200/403 200/403
GET /instances/{instance}/patient                                  .  403 200/200 200/403 200/403 200/403
GET /instances/{instance}/study                                    .  403 200/200 200/403 200/403 200/403
GET /instances/{instance}/series                                   .  403 200/200 200/403 200/403 200/403
GET /instances/{instance}/file                                     .  403 200/200 200/403 200/403 200/403
GET /instances/{instance}/tags                                     .  403 200/200 200/403 200/403 200/403
GET /instances/{instance}/simplified-tags                          .  403 200/200 200/403 200/403 200/403
GET /instances/{instance}/header                                   .  403 200/200 200/403 200/403 200/403
GET /instances/{instance}/content                                  .  403 200/200 200/403 200/403 200/403
GET /instances/{instance}/content/PatientID                        .  403 200/200 200/403 200/403 200/403
GET /instances/{instance}/preview                                  .  403 200/200 200/403 200/403 200/403
GET /instances/{instance}/frames/0/raw                             .  403 200/200 200/403 200/403 200/403
GET /instances/{instance}/attachments/dicom/data                   .  403 200/200 200/403 200/403 200/403

# Several at once: every one counts, and the permission is another.
GET /tools/create-archive?resources={study}                        .  403 200/200 200/403 403/403 200/403
GET /tools/create-archive?resources={allowed-study},{study}        .  403 200/200 200/403 403/403 200/403
GET /tools/create-archive?resources={study},{allowed-study}        .  403 200/200 200/403 403/403 200/403
GET /tools/create-archive?resources={patient}                      .  403 200/200 200/403 403/403 200/403
GET /tools/create-media?resources={series}                         .  403 200/200 200/403 403/403 200/403
POST /tools/create-archive      {"Resources":["{study}"],"Synchronous":true}  403 200/200 403/403 403/403 403/403

# DICOMweb.
GET /dicom-web/studies/{study-uid}                                 .  403 200/200 200/403 200/403 200/403
GET /dicom-web/studies/{study-uid}/metadata                        .  403 200/200 200/403 200/403 200/403
GET /dicom-web/studies/{study-uid}/series                          .  403 200/200 200/403 200/403 200/403
GET /dicom-web/studies/{study-uid}/instances                       .  403 200/200 200/403 200/403 200/403
GET /dicom-web/studies/{study-uid}/rendered                        .  403 200/200 200/403 200/403 200/403
GET /dicom-web/studies/{study-uid}/series/{series-uid}             .  403 200/200 200/403 200/403 200/403
GET /dicom-web/studies/{study-uid}/series/{series-uid}/metadata    .  403 200/200 200/403 200/403 200/403
GET /dicom-web/studies/{study-uid}/series/{series-uid}/instances   .  403 200/200 200/403 200/403 200/403
GET /dicom-web/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}           .  403 200/200 200/403 200/403 200/403
GET /dicom-web/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}/metadata  .  403 200/200 200/403 200/403 200/403
GET /dicom-web/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}/rendered  .  403 200/200 200/403 200/403 200/403
GET /dicom-web/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}/frames/1  .  403 200/200 200/403 200/403 200/403
GET /dicom-web/studies/{allowed-study-uid}/series/{series-uid}/metadata   .  403 200/404 200/403 200/403 200/403
GET /dicom-web/studies/{allowed-study-uid}/series/{allowed-series-uid}/instances/{instance-uid}/metadata  .  403 200/404 200/403 200/403 200/403
GET /dicom-web/studies                                             .  403 200 200 200 200
GET /dicom-web/series                                              .  403 200 200 200 200
GET /dicom-web/instances                                           .  403 200 200 200 200
GET /dicom-web/studies?StudyInstanceUID={study-uid}                .  403 200/200 200/403 200/403 200/403
GET /dicom-web/studies?0020000D={study-uid}                        .  403 200/200 200/403 200/403 200/403
GET /dicom-web/studies?PatientID=Foreign                           .  403 200 200 200 200
GET /dicom-web/servers                                             .  403 200 403 403 403
POST /dicom-web/studies                                           x   403 - - 403 403
POST /dicom-web/studies/{study-uid}                               x   403 -/- -/- 403/403 403/403
GET /wado?requestType=WADO&studyUID={study-uid}&seriesUID={series-uid}&objectUID={instance-uid}  .  403 200/200 200/403 200/403 200/403
GET /wado?requestType=WADO&objectUID={instance-uid}                .  403 200/200 200/403 200/403 200/403
GET /wado?requestType=WADO&studyUID={allowed-study-uid}&seriesUID={allowed-series-uid}&objectUID={instance-uid}  .  403 200/- 200/403 200/403 200/403
GET /wado?requestType=WADO&studyUID={study-uid}                    .  403 -/- 403/403 403/403 403/403

# Searches.
POST /tools/find              {"Level":"Study","Query":{}}                                  403 200 200 200 200
POST /tools/find              {"Level":"Study","Query":{"StudyInstanceUID":"{study-uid}"}}  403 200/200 200/403 200/403 200/403
POST /tools/find              {"Level":"Series","Query":{},"ParentStudy":"{study}"}         403 200/200 200/403 200/403 200/403
POST /tools/find              {"Level":"Instance","Query":{},"ParentSeries":"{series}"}     403 200/200 200/403 200/403 200/403
POST /tools/find              {"Level":"Study","Query":{},"ParentPatient":"{patient}"}      403 200/200 200/403 200/403 200/403
POST /tools/find              {"Level":"Study","Query":{"PatientID":"Foreign"}}             403 200 200 200 200
POST /tools/count-resources   {"Level":"Study","Query":{}}                                  403 200 200 200 200
POST /tools/count-resources   {"Level":"Study","Query":{"StudyInstanceUID":"{study-uid}"}}  403 200/200 200/403 200/403 200/403
POST /tools/lookup            {study-uid}                                                   200 200/200 200/200 200/200 200/200
GET /tools/labels                                                  .  403 200 200 200 200

# Changes.
PUT /studies/{study}/labels/external                               .  403 -/- -/403 403/403 403/403
DELETE /studies/{study}/labels/external                            .  403 -/- -/403 403/403 403/403
PUT /series/{series}/labels/external                               .  403 -/- 403/403 403/403 403/403
PUT /studies/{study}/metadata/1024                                 x  403 403/403 403/403 403/403 403/403
DELETE /patients/{patient}                                         .  403 -/- -/403 403/403 403/403
DELETE /studies/{study}                                            .  403 -/- -/403 403/403 403/403
DELETE /series/{series}                                            .  403 -/- -/403 403/403 403/403
DELETE /instances/{instance}                                       .  403 -/- -/403 403/403 403/403
POST /instances                                                    x  403 400 400 403 403
POST /tools/create-dicom                {"Tags":{"PatientID":"x"}}    403 - - 403 403
POST /studies/{study}/modify            {"Replace":{}}                403 -/- -/403 403/403 403/403
POST /studies/{study}/anonymize         {}                            403 -/- -/403 403/403 403/403
POST /studies/{study}/merge             {"Resources":[]}              403 -/- -/403 403/403 403/403
POST /studies/{study}/split             {"Series":["{series}"]}       403 403/403 403/403 403/403 403/403
POST /tools/bulk-delete                 {"Resources":["{study}"]}     403 -/- -/403 403/403 403/403
POST /tools/bulk-modify                 {"Resources":["{study}"]}     403 -/- -/403 403/403 403/403
POST /tools/bulk-anonymize              {"Resources":["{study}"]}     403 -/- -/403 403/403 403/403
POST /tools/reconstruct                 {}                            403 403 403 403 403
POST /instances/{instance}/export       /tmp/x                        403 403/403 403/403 403/403 403/403

# Other systems, jobs, administration.
GET /modalities                                                    .  403 200 200 403 403
GET /peers                                                         .  403 200 200 403 403
POST /modalities/nowhere/store          {"Resources":["{study}"]}     403 404/404 404/403 403/403 403/403
GET /jobs                                                          .  403 200 403 403 403
GET /jobs/0195f13e-0000-0000-0000-000000000000                     .  403 404 403 403 403
GET /tools/log-level                                               .  403 200 403 403 403
PUT /tools/log-level                                         default  403 - 403 403 403
POST /tools/execute-script                                     x      403 403 403 403 403
POST /tools/reset                                              x      403 403 403 403 403
POST /tools/shutdown                                           x      403 403 403 403 403
GET /webdav/                                                       .  403 403 403 403 403
GET /app/explorer.html                                             .  403 403 403 403 403
GET /nowhere                                                       .  403 403 403 403 403

# The plugin's own.
GET /auth/user/profile                                             .  200 200 200 200 200
POST /auth/user/profile                                            x  405 405 405 405 405
POST /auth/tokens/decode   {"TokenKey":"token","TokenValue":"x"}      200 200 200 200 200
GET /auth/tokens/decode                                            .  405 405 405 405 405
PUT /auth/tokens/stone-viewer-publication  {"Resources":[{"OrthancId":"{study}","Level":"study"}],"ValidityDuration":60}  403 200/200 200/403 403/403 403/403
PUT /auth/tokens/viewer-instant-link       {"Resources":[{"DicomUid":"{study-uid}","Level":"study"}],"ValidityDuration":60}  403 200/200 200/403 200/403 403/403
PUT /auth/tokens/no-such-link              {"Resources":[{"OrthancId":"{study}","Level":"study"}]}  403 403/403 403/403 403/403 403/403
GET /auth/settings/roles                                           .  403 200 403 403 403
PUT /auth/settings/roles                                          {}  403 400 403 403 403
DELETE /auth/settings/roles                                        .  405 405 405 405 405
GET /auth/settings/permissions                                     .  403 200 403 403 403
GET /auth/nowhere                                                  .  403 403 403 403 403
"#;

/// Columns of [`ROUTES`].
#[derive(Clone, Copy, Debug, PartialEq)]
enum Class {
    Nobody,
    Admin,
    Limited,
    Viewer,
    Link,
}

struct Route {
    method: String,
    path: String,
    body: String,
    expected: Vec<String>,
}

fn routes() -> Vec<Route> {
    let lines = ROUTES.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [method, path, body, expected @ ..] = words.as_slice() else { panic!("{line}") };
            assert_eq!(expected.len(), 5, "{line}");
            Route {
                method: (*method).to_owned(),
                path: (*path).to_owned(),
                body: (*body).to_owned(),
                expected: expected.iter().map(|word| (*word).to_owned()).collect(),
            }
        })
        .collect()
}

impl Route {
    /// What must come of it; `None` when it is not tried.
    fn expected(&self, class: Class, foreign: bool) -> Option<u16> {
        let column = &self.expected[class as usize];
        let (allowed, other) = column.split_once('/').unwrap_or((column, column));
        let word = if foreign { other } else { allowed };
        (word != "-").then(|| word.parse().unwrap())
    }

    fn request(&self, study: &Image, allowed: &Image) -> Request {
        let fill = |template: &str| {
            // First the allowed ones: their names end like those of the others.
            let mut text = template.to_owned();
            for name in ["study", "series", "instance", "patient", "study-uid", "series-uid", "instance-uid"] {
                text = text.replace(&format!("{{allowed-{name}}}"), &allowed.fill(&format!("{{{name}}}")));
            }
            study.fill(&text)
        };
        let request = Request::new(&self.method, &fill(&self.path));
        if self.body == "." { request } else { request.body(fill(&self.body)) }
    }
}

#[test]
fn every_credential_on_every_route() {
    let routes = routes();
    let mut faults = Vec::new();
    let mut cases = 0;
    for version in Version::tested() {
        let (site, images) = shared(version);
        let limited = site.token("limited", &["external-role"]);
        let viewer = site.token("viewer", &["viewer-role", "role-that-nobody-defined"]);
        let (_, key) = site.make_key(&Who::user("external"), &json!({"Name": "everything of its maker"}));
        let (_, narrow) = site.make_key(
            &site.admin(),
            &json!({"Name": "view external", "Permissions": ["view"], "AuthorizedLabels": ["external"]}),
        );
        let link = site.make_link(&Who::user("doctor"), "stone-viewer-publication", &images.allowed);
        let old = testbed::oidc::hs256(
            &json!({"alg": "HS256", "typ": "JWT"}),
            &json!({"id": "old", "resources": [{"dicom_uid": images.allowed.study_uid, "orthanc_id": images.allowed.ids.study,
                "url": null, "level": "study"}], "type": "ohif-viewer-publication", "expiration_date": null,
                "validity_duration": null}),
            crate::site::SHARE_KEY.as_bytes(),
        );
        let garbage = Who::token("garbage").and(&Who::key("gatehouse_0")).and(&Who::bearer("a.b.c"));
        let wrong_password = Who::nobody().header("Authorization", &testbed::http::basic_value("guessed", "wrong"));
        let people = [
            (Class::Nobody, "no credential", Who::nobody()),
            (Class::Nobody, "garbage everywhere", garbage.clone()),
            (Class::Nobody, "wrong password", wrong_password),
            (Class::Nobody, "token without roles", Who::token(&site.token("nobody", &[]))),
            (Class::Admin, "local admin", Who::user("admin")),
            (Class::Admin, "admin's token header", site.admin()),
            (Class::Admin, "admin's token beside garbage", site.admin().and(&garbage)),
            (Class::Limited, "local limited user", Who::user("external")),
            (Class::Limited, "limited token header", Who::token(&limited)),
            (Class::Limited, "limited bearer", Who::bearer(&limited)),
            (Class::Limited, "limited argument", Who::argument(&limited)),
            (Class::Limited, "API key header", Who::key(&key)),
            (Class::Limited, "API key as bearer", Who::bearer(&key)),
            (
                Class::Limited,
                "limited, and nobody's token",
                Who::user("external").and(&Who::token(&site.token("nobody", &[]))),
            ),
            (Class::Viewer, "viewer token", Who::token(&viewer)),
            (Class::Viewer, "narrowed API key of an admin", Who::key(&narrow)),
            (Class::Link, "link header", Who::token(&link)),
            (Class::Link, "link bearer", Who::bearer(&link)),
            (Class::Link, "link argument", Who::argument(&link)),
            (Class::Link, "old link", Who::token(&old)),
        ];
        for (class, name, who) in &people {
            for route in &routes {
                // Arguments reach the plugin for GET only: elsewhere there is no credential then.
                let class = if name.ends_with("argument") && route.method != "GET" { Class::Nobody } else { *class };
                for (foreign, study) in [(false, &images.allowed), (true, &images.foreign)] {
                    let Some(expected) = route.expected(class, foreign) else { continue };
                    // Guesses are slow on purpose, and counted.
                    if *name == "wrong password" && (foreign || !route.path.starts_with("/studies/{study}/m")) {
                        continue;
                    }
                    let answer = site.send(who, route.request(study, &images.allowed));
                    cases += 1;
                    if answer.status != expected {
                        let which = if foreign { "foreign" } else { "allowed" };
                        faults.push(format!(
                            "{version:?} {name}, {which}: {} {}: {} instead of {expected}",
                            route.method, route.path, answer.status
                        ));
                    }
                }
            }
        }
    }
    println!("{cases} cases, {} routes", routes.len());
    assert!(faults.is_empty(), "{} of {cases}:\n{}", faults.len(), faults.join("\n"));
}

/// Decision 3: alternatives, each for the whole request; never the resource of one with the permission of another.
#[test]
fn several_credentials_are_alternatives_and_never_add_up() {
    for version in Version::tested() {
        let (site, images) = shared(version);
        let second = Who::token(&site.token("second", &["second-role"]));
        let both = Who::user("viewer").and(&second);
        let link = Who::token(&site.make_link(&Who::user("doctor"), "stone-viewer-publication", &images.allowed));
        let link_and_second = link.clone().and(&Who::bearer(&site.token("second", &["second-role"])));
        let (_, key) = site.make_key(&Who::user("second"), &json!({"Name": "third place"}));
        let three = Who::user("viewer").and(&link).and(&Who::key(&key));
        let [allowed, other, foreign] =
            [&images.allowed, &images.second, &images.foreign].map(|image| &image.ids.study);
        let every_study = r#"{"Level":"Study","Query":{}}"#;

        for (name, who) in [("two users", &both), ("a link and a user", &link_and_second), ("three", &three)] {
            for (study, expected) in [(allowed, 200), (other, 200), (foreign, 403)] {
                let status = site.get(who, &format!("/studies/{study}/metadata")).status;
                assert_eq!(status, expected, "{version:?} {name}");
            }
            let found = site.send(who, Request::post("/tools/find", every_study));
            let mut union = vec![allowed.clone(), other.clone()];
            if name != "a link and a user" {
                // The local viewer holds the label of the mixed study, too.
                union.push(images.mixed.ids.study.clone());
            }
            union.sort();
            assert_eq!(ids(&found), union, "{version:?} {name}: a search gives the union");
            // Whoever may download one of them does not see the other, and the other way round.
            let path = format!("/tools/create-archive?resources={allowed},{other}");
            assert_eq!(site.get(who, &path).status, 403, "{version:?} {name}: no credential sees both");
        }
        // The link downloads the allowed study; the user beside it has no permission to download the second.
        let archive =
            |study: &str| site.get(&link_and_second, &format!("/tools/create-archive?resources={study}")).status;
        assert_eq!((archive(allowed), archive(other)), (200, 403), "{version:?}");
        // The user may label nothing; the link neither, though the user of another credential sees the study.
        let external = Who::user("external").and(&second);
        let put = |label: &str, study: &str| {
            site.send(&external, Request::put(&format!("/studies/{study}/labels/{label}"), ""))
        };
        assert_eq!(put("second", allowed).status, 403, "{version:?}: the label of the one, the study of the other");
        assert_eq!(put("external", other).status, 403, "{version:?}: the label of the one, the study of the other");

        // The profile is that of the first that holds, in the order Authorization, token, api-key, argument.
        let profile = |who: &Who| site.get(who, "/auth/user/profile").json().unwrap();
        assert_eq!(profile(&both)["name"], "viewer", "{version:?}");
        let garbage_first = Who::bearer("garbage").and(&second);
        assert_eq!(profile(&garbage_first)["name"], "second", "{version:?}");
        assert_eq!(profile(&second)["authorized-labels"], json!(["second"]), "{version:?}");
        let nobody = Who::token(&site.token("role-less", &[]));
        assert_eq!(profile(&nobody)["name"], "role-less", "{version:?}: keeps the name, has no rights");
        assert_eq!(profile(&nobody)["permissions"], json!([]), "{version:?}");
        assert_eq!(profile(&nobody)["authorized-labels"], json!([]), "{version:?}");
        assert_eq!(profile(&Who::bearer("garbage"))["name"], "Anonymous", "{version:?}");
    }
}

/// Decision 6: what carries patient data is checked even inside an unchecked folder.
#[test]
fn unchecked_folders_open_no_patient_data() {
    for version in Version::tested() {
        let section = json!({
            "UncheckedFolders": ["/studies/", "/instances/", "/dicom-web/", "/nowhere/"],
            "UncheckedResources": ["/statistics", "/tools/now"],
            "ExtraPermissions": [
                ["get", "^/extra/.*$", "all|view"],
                ["get", "^/plain$", "view", {"PatientData": false}],
                ["get", "^/site/([0-9a-f-]+)/view$", "view", {"Resource": {"Level": "study", "Group": 1}}],
            ],
        });
        let site = Plan::new(version).section(section).start();
        let images = site.fill();
        let limited = Who::user("external");
        let viewer = Who::user("viewer");
        let admin = site.admin();
        let stranger = Who::nobody();
        let [allowed, foreign] = [&images.allowed, &images.foreign];
        // 404 is Orthanc's: the request has passed the plugin, and nobody serves the path.
        for (who, path, expected) in [
            (&stranger, foreign.fill("/studies/{study}"), 403),
            (&stranger, foreign.fill("/studies/{study}/archive"), 403),
            (&stranger, foreign.fill("/instances/{instance}/file"), 403),
            (&stranger, foreign.fill("/dicom-web/studies/{study-uid}/metadata"), 403),
            (&stranger, "/dicom-web/studies".to_owned(), 403),
            (&stranger, "/statistics".to_owned(), 403),
            (&limited, foreign.fill("/studies/{study}"), 403),
            (&limited, foreign.fill("/instances/{instance}/file"), 403),
            (&limited, allowed.fill("/instances/{instance}/file"), 200),
            (&stranger, "/tools/now".to_owned(), 200),
            (&stranger, "/dicom-web/info".to_owned(), 200),
            (&stranger, "/nowhere/at/all".to_owned(), 404),
            (&stranger, "/extra/route".to_owned(), 403),
            (&viewer, "/extra/route".to_owned(), 403),
            (&admin, "/extra/route".to_owned(), 404),
            (&stranger, "/plain".to_owned(), 403),
            (&viewer, "/plain".to_owned(), 404),
            (&viewer, allowed.fill("/site/{study}/view"), 404),
            (&viewer, foreign.fill("/site/{study}/view"), 403),
            (&viewer, "/site/0-0/view".to_owned(), 403),
            (&admin, foreign.fill("/site/{study}/view"), 404),
        ] {
            assert_eq!(site.get(who, &path).status, expected, "{version:?} {path}");
        }
    }
}
