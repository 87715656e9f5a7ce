//! The model: that the table is consistent, and what it makes of requests.

use super::*;
use crate::host::Method::{Delete, Get, Post, Put};

const ID: &str = "0195f13e-4afe6822-8b494cc4-5162c50d-dac63cdb";
const OTHER: &str = "66c8e41e-ac3a9029-0b85e42a-8195ee0a-92c2e62e";

fn model() -> RouteModel {
    RouteModel::new(&Roots::default()).expect("the table can be used")
}

fn orthanc(level: Level, id: &str) -> Named<'_> {
    Named::Orthanc(level, Cow::Borrowed(id))
}

fn uid(level: Level, uid: &str) -> Named<'_> {
    Named::Uid(level, Cow::Borrowed(uid))
}

/// A path that a row was made for.
fn example(route: &Route, roots: &Roots) -> String {
    let mut path = route.path.to_owned();
    for (name, value) in [
        ("{dicom-web}", roots.dicom_web.trim_end_matches('/')),
        ("{wado}", roots.wado.trim_end_matches('/')),
        ("{ui}", roots.ui.trim_end_matches('/')),
        ("{patient}", ID),
        ("{study}", ID),
        ("{series}", ID),
        ("{instance}", ID),
        ("{study-uid}", "1.2.3"),
        ("{series-uid}", "1.2.3.4"),
        ("{instance-uid}", "1.2.3.4.5"),
        ("{image}", &format!("jpeg95-{ID}_0")),
        ("{label}", "external"),
        ("{job}", "7c3a"),
        ("{query}", "7c3b"),
        ("{any}", "word"),
        ("{*rest}", "some/thing.js"),
    ] {
        path = path.replace(name, value);
    }
    if path.is_empty() { "/".to_owned() } else { path }
}

#[test]
fn no_row_is_shadowed_by_another() {
    let (model, roots) = (model(), Roots::default());
    for route in ROUTES {
        let path = example(route, &roots);
        assert!(!path.contains(['{', '}']), "{}: unknown placeholder", route.path);
        for method in route.methods {
            let access = model.classify(*method, &path, &[]);
            assert_eq!((access.template, access.handling), (route.path, route.limited), "{method:?} {path}");
        }
    }
}

#[test]
fn odd_roots_never_open_what_would_be_checked() {
    for root in ["/", "/a/b/", "/x/", "/studies/", "/plugins/", "/app/", "/ui/", "/{x}/", "/auth/"] {
        for (dicom_web, ui) in [(root, "/ui/"), ("/dicom-web/", root), (root, root)] {
            let roots = Roots { dicom_web: dicom_web.to_owned(), ui: ui.to_owned(), ..Roots::default() };
            let model = RouteModel::new(&roots).unwrap_or_else(|error| panic!("{roots:?}: {error}"));
            for route in ROUTES {
                let path = example(route, &roots);
                for method in route.methods {
                    let handling = model.classify(*method, &path, &[]).handling;
                    let is_safe = handling == route.limited || handling == Handling::Refused;
                    assert!(is_safe, "{roots:?}: {method:?} {path} is {handling:?}, not {:?}", route.limited);
                }
            }
        }
    }
}

#[test]
fn roots_move_their_routes_and_nothing_else() {
    let roots = Roots { dicom_web: "/a/b/".to_owned(), wado: "/old".to_owned(), ui: "/x/".to_owned() };
    let model = RouteModel::new(&roots).expect("the table can be used");
    let handling = |path| model.classify(Get, path, &[]).handling;
    assert_eq!(handling("/a/b/studies"), Handling::Search);
    assert_eq!(handling("/dicom-web/studies"), Handling::Unknown);
    assert_eq!(handling("/old"), Handling::WadoUri);
    assert_eq!(handling("/wado"), Handling::Unknown);
    assert_eq!(handling("/x/app/index.html"), Handling::Open);
    assert_eq!(handling("/ui/app/index.html"), Handling::Unknown);
    assert_eq!(handling("/studies"), Handling::Refused);
}

#[test]
fn a_root_that_takes_the_place_of_the_core_is_refused_where_they_collide() {
    let model = RouteModel::new(&Roots { dicom_web: "/".to_owned(), ..Roots::default() }).expect("a model");
    let study = format!("/studies/{ID}");
    assert_eq!(model.classify(Get, &study, &[]).handling, Handling::Refused);
    assert_eq!(model.classify(Get, &study, &[]).template, "several routes at one place");
    assert_eq!(model.classify(Delete, &study, &[]).handling, Handling::Named);
    assert_eq!(model.classify(Get, &format!("{study}/archive"), &[]).handling, Handling::Named);
    assert_eq!(
        model.classify(Get, "/studies/1.2/series/1.2.3", &[]).template,
        "{dicom-web}/studies/{study-uid}/series/{series-uid}"
    );
}

/// What a row says must fit with what its path says.
#[test]
fn rows_are_consistent() {
    for route in ROUTES {
        let (_, placeholders) = shape(route.path, &Roots::default());
        let resources = placeholders
            .iter()
            .filter(|place| matches!(place, Placeholder::Orthanc(_) | Placeholder::Uid(_) | Placeholder::Image));
        let (resources, path) = (resources.count(), route.path);
        assert!(!route.methods.is_empty() && !route.owner.is_empty(), "{path}");
        assert!(!route.note.contains(['|', '\n']), "{path}: the note breaks the documentation's table");
        assert!(!path.ends_with('/') || path == "/", "{path}");
        match route.limited {
            Handling::Open => {
                assert_eq!(resources, 0, "{path} is open and names resources");
                assert!(
                    route.methods == [Get] || path == "{ui}/api/emails/send",
                    "{path} is open and changes something"
                );
            }
            Handling::Own => assert!(path.starts_with("/auth/") && route.methods.len() == 4, "{path}"),
            Handling::Named => {
                assert!(resources > 0, "{path} names nothing");
                let deletes_whole = route.methods == [Delete] && path.split('/').count() == 3;
                assert!(route.methods == [Get] || deletes_whole, "{path} changes something, or has a body");
            }
            Handling::Filtered => assert!(resources > 0 && route.methods == [Get], "{path}"),
            Handling::Parts => {
                assert!(route.methods == [Get] && resources == 1, "{path}");
                assert!(path.starts_with("/studies/{study}") || path.starts_with("/series/{series}"), "{path}");
            }
            Handling::Label => {
                assert_eq!(path, "/studies/{study}/labels/{label}");
                assert_eq!(route.methods, [Put, Delete]);
            }
            Handling::Upload(_) => assert_eq!(route.methods, [Post], "{path}"),
            Handling::Body => {
                assert_eq!(route.methods, [Post], "{path}");
                let overridden = crate::overrides::PATTERNS.iter().any(|pattern| {
                    let pattern = regex_automata::meta::Regex::new(&format!("^(?:{pattern})$")).expect("a pattern");
                    pattern.is_match(&example(route, &Roots::default()))
                });
                assert!(overridden, "{path}: nobody looks into the body");
            }
            Handling::Job => assert!(path.starts_with("/jobs/{job}"), "{path}"),
            Handling::Query => assert!(path.starts_with("/queries/{query}"), "{path}"),
            Handling::Search | Handling::Identifiers(_) | Handling::WadoUri | Handling::Refused => {}
            Handling::Unknown => panic!("{path} is in the table and yet unknown"),
        }
    }
}

#[test]
fn a_path_names_its_resources() {
    let model = model();
    let path = format!("/studies/{ID}/labels/external");
    let access = model.classify(Put, &path, &[]);
    assert_eq!(access.named, [orthanc(Level::Study, ID)]);
    assert_eq!((access.handling, access.label), (Handling::Label, Some("external")));

    let path = format!("/instances/{ID}/frames/0/preview");
    assert_eq!(model.classify(Get, &path, &[]).named, [orthanc(Level::Instance, ID)]);

    let access = model.classify(Get, "/dicom-web/studies/1.2/series/1.3/instances/1.4/frames/1,2", &[]);
    assert_eq!(access.named, [uid(Level::Study, "1.2"), uid(Level::Series, "1.3"), uid(Level::Instance, "1.4")]);

    let path = format!("/stl/3dhop-instances/{ID}.nxz");
    assert_eq!(model.classify(Get, &path, &[]).named, [orthanc(Level::Instance, ID)]);
    let path = format!("/stl/3dhop-instances/{ID}xnxz");
    assert_eq!(model.classify(Get, &path, &[]).handling, Handling::Refused);
}

/// What the viewer itself does not take for an image (2.10), or takes for another one, names nothing that is here.
#[test]
fn an_image_of_the_first_web_viewer_names_its_instance() {
    let model = model();
    for image in [format!("jpeg95-{ID}_0"), format!("deflate-{ID}_12")] {
        let path = format!("/web-viewer/instances/{image}");
        assert_eq!(model.classify(Get, &path, &[]).named, [orthanc(Level::Instance, ID)], "{path}");
    }
    let other = ID.replace('0', "f");
    for image in [
        ID.to_owned(),
        format!("jpeg95-{ID}"),
        format!("jpeg95-{ID}_"),
        format!("jpeg95-{ID}_x"),
        format!("jpeg95-{ID}_0_0"),
        format!("-{ID}_0"),
        format!("JPEG95-{ID}_0"),
        format!("jpeg-95-{ID}_0"),
        format!("jpeg95-{ID}{other}_0"),
        format!("jpeg95-{other}-{ID}_0"),
        format!("jpeg95-{ID}_0-{other}_0"),
        format!("jpeg95-{}_0", ID.to_uppercase()),
        format!("jpeg95-{ID}_0\njpeg95-{other}_0"),
    ] {
        let path = format!("/web-viewer/instances/{image}");
        assert_eq!(model.classify(Get, &path, &[]).named, [Named::Malformed], "{path}");
    }
    let below = format!("/web-viewer/instances/jpeg95-{ID}_0/x");
    assert_eq!(model.classify(Get, &below, &[]).handling, Handling::Refused);
}

#[test]
fn slashes_at_the_end_do_not_matter() {
    let model = model();
    for path in [format!("/studies/{ID}"), "/system".to_owned(), "/dicom-web/studies/1.2/metadata".to_owned()] {
        for end in ["/", "//"] {
            let longer = format!("{path}{end}");
            assert_eq!(model.classify(Get, &longer, &[]), model.classify(Get, &path, &[]));
        }
    }
    assert_eq!(model.classify(Get, "", &[]).template, "/");
    assert_eq!(model.classify(Get, "//", &[]).template, "/");
}

#[test]
fn what_is_no_identifier_names_nothing_that_could_be_allowed() {
    let model = model();
    let upper = ID.to_uppercase();
    let longer = format!("{ID}0");
    let padded = format!("{ID} ");
    let dashed = ID.replace('-', "_");
    for id in [&*upper, &longer, &padded, &dashed, "1.2.3", "%", "..", "*", "?", "x", &ID[1..]] {
        for below in ["", "/archive", "/labels/external"] {
            let path = format!("/studies/{id}{below}");
            assert_eq!(model.classify(Get, &path, &[]).named, [Named::Malformed], "{path}");
        }
    }
    let long = "1".repeat(65);
    for uid in [ID, "1.2*", "1.2?", "1.2\\1.3", "1.2,1.3", "1.2 ", " 1.2", "1.2\0", "１.2", "%31", &long, "all"] {
        let path = format!("/dicom-web/studies/{uid}/metadata");
        assert_eq!(model.classify(Get, &path, &[]).named, [Named::Malformed], "{path}");
    }
}

#[test]
fn one_foreign_part_of_a_path_is_still_there() {
    let model = model();
    let access = model.classify(Get, "/dicom-web/studies/1.2/series/x/metadata", &[]);
    assert_eq!(access.named, [uid(Level::Study, "1.2"), Named::Malformed]);
}

#[test]
fn methods_and_paths_outside_the_table_are_unknown() {
    let model = model();
    let unknown = |method, path: &str| {
        let access = model.classify(method, path, &[]);
        assert_eq!((access.handling, access.named.len()), (Handling::Unknown, 0), "{method:?} {path}");
    };
    unknown(Post, "/system");
    unknown(Delete, "/tools/find");
    unknown(Get, "/tools/find");
    unknown(Put, &format!("/studies/{ID}"));
    unknown(Post, &format!("/studies/{ID}"));
    unknown(Get, &format!("/studies/{ID}/reconstruct"));
    unknown(Get, &format!("/studies/{ID}/unheard-of"));
    unknown(Get, &format!("/studies/{ID}/archive/more"));
    unknown(Get, "/Studies");
    unknown(Get, "/SYSTEM");
    unknown(Get, "system");
    unknown(Get, "/studies//archive");
    unknown(Get, "/auth");
    unknown(Get, "/auth/unheard-of");
    unknown(Get, "/dicom-web");
    unknown(Post, "/wado");
    unknown(Get, "/tools/now/later");
    unknown(Get, "/ui/api/unheard-of");
}

#[test]
fn other_plugins_are_not_open_because_their_description_is() {
    let model = model();
    let handling = |method, path| model.classify(method, path, &[]).handling;
    assert_eq!(handling(Get, "/plugins/postgresql"), Handling::Open);
    assert_eq!(handling(Get, "/plugins/postgresql/audit-logs"), Handling::Refused);
    assert_eq!(handling(Get, "/plugins/unheard-of/status"), Handling::Refused);
    assert_eq!(handling(Post, "/plugins/unheard-of/a/b"), Handling::Refused);
    assert_eq!(handling(Get, "/app/plugin-serve-folders.html"), Handling::Refused);
    assert_eq!(handling(Get, "/webdav/by-dates/2020"), Handling::Refused);
    assert_eq!(handling(Put, "/webdav/uploads/a.dcm"), Handling::Refused);
    assert_eq!(handling(Get, "/osimis-viewer/studies/x/annotations"), Handling::Refused);
    assert_eq!(handling(Get, "/wsi/iiif/unheard-of"), Handling::Refused);
    assert_eq!(handling(Get, "/stl/unheard-of"), Handling::Refused);
}

/// The folders that standard configurations leave unchecked hold routes with patient data too (decision 6).
#[test]
fn data_inside_of_unchecked_folders_is_known_to_be_data() {
    let model = model();
    let path = format!("/stl/rt-struct/{ID}");
    assert!(model.classify(Get, &path, &[]).handling.carries_patient_data());
    assert!(!model.classify(Get, "/stl/app/o3dv.html", &[]).handling.carries_patient_data());
    assert!(!model.classify(Get, "/stone-webviewer/index.html", &[]).handling.carries_patient_data());
}

#[test]
fn own_routes_are_known_with_every_method() {
    let model = model();
    for method in [Get, Post, Put, Delete] {
        for path in ["/auth/user/profile", "/auth/tokens/viewer-instant-link", "/auth/shares/x/qr", "/auth/explain"] {
            assert_eq!(model.classify(method, path, &[]).handling, Handling::Own, "{method:?} {path}");
        }
    }
}

#[test]
fn every_identifier_of_an_archive_is_named() {
    let model = model();
    let named =
        |arguments: &[(&'static str, &'static str)]| model.classify(Get, "/tools/create-archive", arguments).named;
    let any = |id| Named::OrthancOfAnyLevel(Cow::Borrowed(id));
    let two = "0195f13e-4afe6822-8b494cc4-5162c50d-dac63cdb,66c8e41e-ac3a9029-0b85e42a-8195ee0a-92c2e62e";
    assert_eq!(named(&[("resources", two)]), [any(ID), any(OTHER)]);
    assert_eq!(named(&[("resources", ID), ("resources", OTHER)]), [any(ID), any(OTHER)]);
    assert_eq!(named(&[("Resources", ID), ("resources", OTHER)]), [any(ID), any(OTHER)]);
    assert_eq!(named(&[]), [Named::Malformed]);
    assert_eq!(named(&[("resources", "")]), [Named::Malformed]);
    assert_eq!(named(&[("resources", "x")]), [Named::Malformed]);
    assert_eq!(named(&[("transcode", "1.2.840.10008.1.2")]), [Named::Malformed]);
}

#[test]
fn every_row_with_an_archive_counts_as_a_download() {
    let (model, roots) = (model(), Roots::default());
    for route in ROUTES {
        let last = route.path.rsplit('/').next().unwrap_or_default();
        let row = model.find(route.methods[0], &example(route, &roots));
        let says_so = last.contains("archive") || last.contains("media");
        assert_eq!(row.is_archive(), says_so, "{}", route.path);
    }
}

#[test]
fn wado_uri_needs_its_object_and_checks_the_rest() {
    let model = model();
    let named = |arguments: &[(&'static str, &'static str)]| model.classify(Get, "/wado", arguments).named;
    let foreign = [("studyUID", "1.2"), ("objectUID", "1.4")];
    assert_eq!(named(&foreign), [uid(Level::Study, "1.2"), uid(Level::Instance, "1.4")]);
    assert_eq!(named(&[("OBJECTUID", "1.4")]), [uid(Level::Instance, "1.4")]);
    assert_eq!(named(&[("objectUID", "1.4"), ("objectUID", "1.5")]).len(), 2);
    assert_eq!(named(&[("studyUID", "1.2")]), [uid(Level::Study, "1.2"), Named::Malformed]);
    assert_eq!(named(&[("objectUID", "1.*")]), [Named::Malformed]);
    assert_eq!(named(&[]), [Named::Malformed]);
}

#[test]
fn complete_study_uids_of_a_search_are_named() {
    let model = model();
    let named = |arguments: &[(&'static str, &'static str)]| model.classify(Get, "/dicom-web/studies", arguments).named;
    for name in ["StudyInstanceUID", "studyinstanceuid", "0020000D", "0020000d"] {
        assert_eq!(named(&[(name, "1.2")]), [uid(Level::Study, "1.2")]);
    }
    assert_eq!(named(&[("StudyInstanceUID", "1.2"), ("0020000D", "1.3")]).len(), 2);
    assert_eq!(named(&[("StudyInstanceUID", "1.2,1.3")]).len(), 2);
    assert_eq!(named(&[("StudyInstanceUID", "1.2*"), ("PatientID", "X")]), []);
    // Below a study, the path and the arguments both count.
    let access = model.classify(Get, "/dicom-web/studies/1.2/series", &[("StudyInstanceUID", "1.3")]);
    assert_eq!(access.named, [uid(Level::Study, "1.2"), uid(Level::Study, "1.3")]);
    assert_eq!(access.handling, Handling::Search);
}

#[test]
fn counts_of_siblings_are_not_given() {
    let model = model();
    let path = format!("/studies/{ID}");
    let study = orthanc(Level::Study, ID);
    for tags in [
        "NumberOfPatientRelatedStudies",
        "PatientName;numberofpatientrelatedseries",
        "0020,1200",
        "00201202",
        "0010-0010;0020-1204",
    ] {
        for name in ["requestedTags", "RequestedTags", "requested-tags"] {
            assert_eq!(model.classify(Get, &path, &[(name, tags)]).named, [study.clone(), Named::Malformed], "{tags}");
        }
        assert_eq!(model.classify(Get, "/dicom-web/studies", &[("includefield", tags)]).named, [Named::Malformed]);
        assert_eq!(model.classify(Get, "/dicom-web/studies", &[(tags, "2")]).named, [Named::Malformed]);
    }
    for tags in ["0020,1206", "NumberOfStudyRelatedSeries;PatientID", "0020,000D;0020,000E", "all", ""] {
        assert_eq!(
            model.classify(Get, &path, &[("requestedTags", tags)]).named,
            std::slice::from_ref(&study),
            "{tags}"
        );
        assert_eq!(model.classify(Get, "/dicom-web/studies", &[("includefield", tags)]).named, []);
    }
    // The same words in other arguments say nothing.
    assert_eq!(model.classify(Get, &path, &[("filename", "0020,1200")]).named, [study]);
}

proptest::proptest! {
    /// Whatever the path: what must be checked names something, and what names something is checked.
    #[test]
    fn no_path_is_checked_without_naming_anything(
        segments in proptest::collection::vec(proptest::sample::select(&[
            "patients", "studies", "series", "instances", ID, OTHER, "1.2", "labels", "external", "metadata", "archive",
            "attachments", "frames", "0", "content", "dicom-web", "rendered", "ui", "app", "plugins", "tools", "find",
            "auth", "wsi", "stl", "..", ".", "", " ", "{study}", "%2e", "\u{e9}",
        ][..]), 0..9),
        method in proptest::sample::select(&[Get, Post, Put, Delete][..]),
    ) {
        thread_local! { static MODEL: RouteModel = model(); }
        let path = format!("/{}", segments.join("/"));
        MODEL.with(|model| {
            let access = model.classify(method, &path, &[]);
            match access.handling {
                Handling::Named | Handling::Filtered | Handling::Parts | Handling::Label | Handling::Identifiers(_) | Handling::WadoUri => {
                    assert!(!access.named.is_empty(), "{path}");
                }
                Handling::Open | Handling::Own | Handling::Unknown => assert!(access.named.is_empty(), "{path}"),
                Handling::Search | Handling::Body | Handling::Upload(_) | Handling::Refused => {}
                Handling::Job | Handling::Query => assert!(access.owned.is_some(), "{path}"),
            }
            assert_eq!(access.label.is_some(), access.template.ends_with("{label}"), "{path}");
        });
    }
}

/// What is on the way may be seen in part: never the last of a path, and nothing of a list of equals.
#[test]
fn only_what_is_on_the_way_may_be_seen_in_part() {
    let model = model();
    let in_part = |path: &str, arguments: &[(&str, &str)]| {
        let access = model.classify(Get, path, arguments);
        (access.in_part, access.named.len())
    };
    let series = "/dicom-web/studies/1.2/series/1.3";
    for (path, expected) in [
        ("/dicom-web/studies/1.2/metadata".to_owned(), (0, 1)),
        (format!("{series}/metadata"), (1, 2)),
        (format!("{series}/instances/1.4/frames/1"), (2, 3)),
        (format!("{series}/instances"), (2, 2)),
        ("/dicom-web/studies/1.2/series".to_owned(), (1, 1)),
        (format!("/studies/{ID}"), (1, 1)),
        (format!("/studies/{ID}/series"), (1, 1)),
        (format!("/studies/{ID}/archive"), (0, 1)),
        (format!("/studies/{ID}/metadata"), (0, 1)),
        (format!("/studies/{ID}/patient"), (0, 1)),
        (format!("/patients/{ID}"), (0, 1)),
    ] {
        assert_eq!(in_part(&path, &[]), expected, "{path}");
    }
    let both = format!("{ID},{OTHER}");
    assert_eq!(in_part("/tools/create-archive", &[("resources", &both)]), (0, 2));
    let objects = [("objectUID", "1.4"), ("studyUID", "1.2"), ("seriesUID", "1.3"), ("objectuid", "1.5")];
    assert_eq!(in_part("/wado", &objects), (2, 4));
    assert_eq!(model.classify(Get, "/wado", &objects).named.get(2), Some(&Named::Uid(Level::Instance, "1.4".into())));
}

#[test]
fn the_committed_documentation_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/routes.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).expect("docs/");
        std::fs::write(path, markdown()).expect("docs/routes.md can be written");
    }
    let committed = std::fs::read_to_string(path).expect("docs/routes.md");
    assert!(committed == markdown(), "docs/routes.md is not up to date: run with UPDATE_DOCS=1");
}
