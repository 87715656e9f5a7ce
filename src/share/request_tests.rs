use proptest::prelude::*;

use std::time::Duration;

use super::super::date;
use super::super::defaults::Defaults;
use super::*;

/// 2026-11-21T12:00:00Z.
const NOW: UnixTime = UnixTime(1_795_262_400);
const Y2030: i64 = 1_893_456_000;
const ID: &str = "4a949531-84554d1e-eae57d5d-f1be60b6-b9395212";
const UID: &str = "1.2.826.0.1.3680043.8.498.1.3";

pub(in crate::share) fn shares(max_validity: Option<u64>) -> Shares {
    Shares {
        secret_key: None,
        previous_secret_keys: vec![],
        public_orthanc_root: None,
        public_landing_root: None,
        public_ohif_root: None,
        ohif_dicom_json: false,
        meddream_token_service_url: None,
        public_meddream_root: None,
        max_validity: max_validity.map(Duration::from_secs),
        end_with_maker: true,
        end_with_study: true,
        accept_unrecorded: true,
        accept_unrecorded_until: None,
        inbox_validity: Duration::from_secs(604_800),
        inbox_labels: Vec::new(),
        inbox_max_bytes: 1 << 30,
        inbox_max_instances: None,
        viewers: crate::config::Viewers::default(),
        defaults: Default::default(),
    }
}

fn parse_as(link_type: LinkType, max_validity: Option<u64>, body: &str) -> Result<LinkRequest, String> {
    let shares = shares(max_validity);
    let request = LinkRequest::parse(link_type, body.as_bytes(), NOW, &shares);
    request.and_then(|request| Defaults::default().apply(request, &shares, NOW)).map_err(|bad| bad.message)
}

/// A body for one study, with more members.
fn with(members: &str) -> String {
    format!(r#"{{"Resources": [{{"OrthancId": "{ID}", "DicomUid": "{UID}", "Level": "study"}}]{members}}}"#)
}

fn study() -> ShareResource {
    let (orthanc_id, dicom_uid) = (Some(ID.to_owned()), Some(UID.to_owned()));
    ShareResource { level: Level::Study, orthanc_id, dicom_uid, url: None }
}

#[test]
fn every_spelling_says_the_same() {
    let expected = LinkRequest {
        link_type: LinkType::Stone,
        id: Some("my-id".to_owned()),
        resources: vec![ShareResource { url: Some("/x".to_owned()), ..study() }],
        username: None,
        not_before: None,
        expires_at: Some(NOW.plus(3600)),
        says_when: true,
        validity_duration: Some(3600),
        pin: None,
        max_openings: None,
        recipient: None,
        download: None,
        annotate: false,
        labels: Vec::new(),
        max_instances: None,
        max_bytes: None,
    };
    for body in [
        format!(
            r#"{{"ID": "my-id", "Type": "stone-viewer-publication", "ExpirationDate": "2030-01-01T00:00:00Z",
                "ValidityDuration": 3600, "Resources":
                [{{"OrthancId": "{ID}", "DicomUid": "{UID}", "Level": "Study", "Url": "/x"}}]}}"#
        ),
        format!(
            r#"{{"id": "my-id", "type": "stone-viewer-publication", "expiration-date": null,
                "validity-duration": 3600, "resources":
                [{{"orthanc-id": "{ID}", "dicom-uid": "{UID}", "level": "study", "url": "/x"}}]}}"#
        ),
        format!(
            r#"{{"Id": "my-id", "Type": null, "validity_duration": 3600, "Resources":
                [{{"orthanc_id": "{ID}", "dicom_uid": "{UID}", "Level": "STUDY", "url": "/x"}}]}}"#
        ),
    ] {
        assert_eq!(parse_as(LinkType::Stone, None, &body), Ok(expected.clone()), "{body}");
    }
}

#[test]
fn when_a_link_ends() {
    for (members, max_validity, expected) in [
        ("", None, Ok(None)),
        (r#", "ValidityDuration": 0"#, None, Ok(None)),
        (r#", "ValidityDuration": null"#, None, Ok(None)),
        (r#", "ValidityDuration": 200"#, None, Ok(Some(NOW.0 + 200))),
        (r#", "ValidityDuration": 3153600000"#, None, Ok(Some(NOW.0 + 3_153_600_000))),
        (r#", "ExpirationDate": "2030-01-01T00:00:00Z""#, None, Ok(Some(Y2030))),
        (r#", "ExpirationDate": "2030-01-01T00:00:00""#, None, Ok(Some(Y2030))),
        (r#", "ExpirationDate": "2030-01-01T00:00:00Z", "ValidityDuration": 0"#, None, Ok(Some(Y2030))),
        (r#", "ExpirationDate": "2030-01-01T00:00:00Z", "ValidityDuration": 60"#, None, Ok(Some(NOW.0 + 60))),
        (r#", "ExpirationDate": "2026-11-21T12:00:01Z", "ValidityDuration": 60"#, None, Ok(Some(NOW.0 + 1))),
        (r#", "ValidityDuration": 200"#, Some(200), Ok(Some(NOW.0 + 200))),
        (r#", "ExpirationDate": "2030-01-01T00:00:00Z", "ValidityDuration": 200"#, Some(200), Ok(Some(NOW.0 + 200))),
        (
            r#", "ValidityDuration": 201"#,
            Some(200),
            Err("ValidityDuration: is too long; links last 200 seconds at most (MaxValidity)"),
        ),
        (
            r#", "ExpirationDate": "2030-01-01T00:00:00Z""#,
            Some(200),
            Err("ExpirationDate: is too late; links last 200 seconds at most (MaxValidity)"),
        ),
        (
            "",
            Some(200),
            Err("ValidityDuration or ExpirationDate is needed: links last 200 seconds at most (MaxValidity)"),
        ),
        (
            r#", "ValidityDuration": 0"#,
            Some(200),
            Err("ValidityDuration: an endless link is not allowed; links last 200 seconds at most (MaxValidity)"),
        ),
        (
            r#", "ExpirationDate": "2026-11-21T12:00:00Z""#,
            None,
            Err(r#"ExpirationDate: "2026-11-21T12:00:00Z" lies in the past"#),
        ),
        (
            r#", "ExpirationDate": "tomorrow""#,
            None,
            Err(r#"ExpirationDate: "tomorrow" is not a valid ISO 8601 date, such as 2030-01-31T12:00:00Z"#),
        ),
        (r#", "ExpirationDate": 1893456000"#, None, Err("ExpirationDate: a string is expected")),
        (
            r#", "ValidityDuration": 3153600001"#,
            None,
            Err("ValidityDuration: is longer than 3153600000 seconds; 0 means no end"),
        ),
    ] {
        let found = parse_as(LinkType::Stone, max_validity, &with(members)).map(|request| request.expires_at);
        assert_eq!(found, expected.map(|end| end.map(UnixTime)).map_err(str::to_owned), "{members}");
    }
    for value in ["-1", "1.5", "1.0", "true", "\"60\"", "[]", "1e3", "99999999999999999999"] {
        let found = parse_as(LinkType::Stone, None, &with(&format!(r#", "ValidityDuration": {value}"#)));
        let expected = "ValidityDuration: a whole number of seconds is expected, 0 or more";
        assert_eq!(found, Err(expected.to_owned()), "{value}");
    }
}

#[test]
fn inbox_links() {
    let parse = |max_validity, body| parse_as(LinkType::Inbox, max_validity, body);
    // As Orthanc Explorer 2 sends it.
    let body = r#"{"Resources": [], "Type": "inbox-link", "Username": "a@b.org; c@d.org", "ValidityDuration": null}"#;
    let request = parse(None, body).unwrap();
    assert_eq!(request.username.as_deref(), Some("a@b.org; c@d.org"));
    assert_eq!((request.expires_at, request.validity_duration), (Some(NOW.plus(604_800)), None));
    assert!(request.resources.is_empty());
    assert_eq!(parse(Some(60), body).unwrap().expires_at, Some(NOW.plus(60)));
    assert_eq!(parse(Some(700_000), "{}").unwrap().expires_at, Some(NOW.plus(604_800)));
    let zero = parse(None, r#"{"ValidityDuration": 0}"#).unwrap();
    assert_eq!(zero.expires_at, Some(NOW.plus(604_800)));
    let longer = parse(None, r#"{"ValidityDuration": 700000}"#).unwrap();
    assert_eq!(longer.expires_at, Some(NOW.plus(700_000)));
    assert!(parse(Some(60), r#"{"ValidityDuration": 61}"#).unwrap_err().contains("60 seconds at most"));
    assert_eq!(parse(None, &with("")).unwrap_err(), "Resources: inbox-link opens none, so the list must be empty");
}

#[test]
fn a_link_begins_before_it_ends() {
    let asked = |members: &str| parse_as(LinkType::Stone, None, &with(members)).map(|request| request.not_before);
    let later = date::format(NOW.plus(60));
    assert_eq!(asked(""), Ok(None));
    assert_eq!(asked(&format!(r#", "NotBefore": "{later}""#)), Ok(Some(NOW.plus(60))));
    assert_eq!(asked(&format!(r#", "not-before": "{later}", "ValidityDuration": 61"#)), Ok(Some(NOW.plus(60))));
    assert_eq!(asked(r#", "NotBefore": "2001-01-01T00:00:00Z""#).map(|at| at.is_some()), Ok(true), "long since");
    for (members, expected) in [
        (
            format!(r#", "NotBefore": "{later}", "ValidityDuration": 60"#),
            "NotBefore: is not before the end of the link",
        ),
        (
            r#", "NotBefore": "soon""#.to_owned(),
            r#"NotBefore: "soon" is not a valid ISO 8601 date, such as 2030-01-31T12:00:00Z"#,
        ),
    ] {
        assert_eq!(asked(&members), Err(expected.to_owned()));
    }
}

#[test]
fn what_is_wrong_and_where() {
    let resource = |members: &str| format!(r#"{{"Resources": [{{{members}}}]}}"#);
    for (body, expected) in [
        ("{nope".to_owned(), "body: not JSON: key must be a string at line 1 column 2"),
        ("[]".to_owned(), "body: an object is expected"),
        ("{}".to_owned(), "Resources: stone-viewer-publication needs at least one"),
        (r#"{"Resources": []}"#.to_owned(), "Resources: stone-viewer-publication needs at least one"),
        (r#"{"Resources": null}"#.to_owned(), "Resources: stone-viewer-publication needs at least one"),
        (r#"{"Resources": {}}"#.to_owned(), "Resources: a list is expected"),
        (r#"{"Resources": ["x"]}"#.to_owned(), "Resources[0]: an object is expected"),
        (with(r#", "ValidityDuraton": 60"#), r#""ValidityDuraton": unknown member; is ValidityDuration meant?"#),
        (with(r#", "expirationDate": null"#), r#""expirationDate": unknown member; is ExpirationDate meant?"#),
        (with(r#", "ID": 5"#), "ID: a string is expected"),
        (with(r#", "ID": "a\nb""#), "ID: holds a control character"),
        (with(&format!(r#", "ID": "{}""#, "x".repeat(257))), "ID: longer than 256 bytes"),
        (with(r#", "ID": "a", "id": "b""#), "ID: appears twice, in two spellings"),
        (
            with(r#", "ExpirationDate": null, "expiration-date": null"#),
            "ExpirationDate: appears twice, in two spellings",
        ),
        (with(r#", "Username": "a""#), "Username: is for inbox-link only"),
        (
            with(r#", "Type": "ohif-viewer-publication""#),
            r#"Type: is "ohif-viewer-publication", but the path says stone-viewer-publication"#,
        ),
        (with(r#", "Type": 1"#), "Type: a string is expected"),
        (resource(r#""Level": "study""#), "Resources[0]: OrthancId or DicomUid is needed"),
        (resource(r#""OrthancId": null, "Level": "study""#), "Resources[0]: OrthancId or DicomUid is needed"),
        (resource(r#""DicomUid": "1.2""#), "Resources[0].Level: is missing"),
        (
            resource(r#""DicomUid": "1.2", "Level": "patient""#),
            r#"Resources[0].Level: "patient" is unknown; study, series and instance are known"#,
        ),
        (
            resource(r#""DicomUid": "1.2", "Level": "studies""#),
            r#"Resources[0].Level: "studies" is unknown; study, series and instance are known"#,
        ),
        (
            resource(r#""DicomUid": "1.2", "Levle": "study""#),
            r#"Resources[0]."Levle": unknown member; is Level meant?"#,
        ),
        (
            resource(r#""DicomUid": "1.2\\3", "Level": "study""#),
            r#"Resources[0].DicomUid: "1.2\\3" is not a UID, which is up to 64 digits and dots"#,
        ),
        (
            resource(r#""DicomUid": "", "Level": "study""#),
            r#"Resources[0].DicomUid: "" is not a UID, which is up to 64 digits and dots"#,
        ),
        (resource(r#""DicomUid": "1.2", "Url": 5, "Level": "study""#), "Resources[0].Url: a string is expected"),
        (
            resource(&format!(r#""OrthancId": "{}", "Level": "study""#, ID.to_uppercase())),
            r#"Resources[0].OrthancId: "4A949531-84554D1E-EAE57D5D-F1BE60B6-B9395212" is not an Orthanc identifier, which is five groups of eight hexadecimal digits in lower case"#,
        ),
    ] {
        assert_eq!(parse_as(LinkType::Stone, None, &body), Err(expected.to_owned()), "{body}");
    }
    let twice = parse_as(LinkType::Stone, None, &with(r#", "ID": "a", "ID": "b""#)).unwrap_err();
    assert!(twice.contains(r#"the member "ID" appears twice"#), "{twice}");
}

#[test]
fn numbers_and_sizes_are_bounded() {
    let list = |count: usize| {
        let resources: Vec<_> =
            (0..count).map(|at| format!(r#"{{"DicomUid": "1.{at}", "Level": "series"}}"#)).collect();
        format!(r#"{{"Resources": [{}]}}"#, resources.join(","))
    };
    assert_eq!(parse_as(LinkType::Stone, None, &list(1000)).unwrap().resources.len(), 1000);
    assert_eq!(parse_as(LinkType::Stone, None, &list(1001)), Err("Resources: more than 1000".to_owned()));
    let huge = with(&" ".repeat(LONGEST_BODY));
    assert_eq!(parse_as(LinkType::Stone, None, &huge), Err("body: longer than 1048576 bytes".to_owned()));
    // Nothing is suggested for a long name: to compare it takes time with its length.
    for (length, suggests) in [(64, true), (65, false), (900_000, false)] {
        let body = with(&format!(r#", "{}": 1"#, "x".repeat(length)));
        let long_name = parse_as(LinkType::Stone, None, &body).unwrap_err();
        assert!(long_name.len() < 200 && long_name.contains("meant?") == suggests, "{long_name}");
    }
}

#[test]
fn a_resource_stands_once() {
    let body = format!(
        r#"{{"Resources": [{0}, {0}, {{"DicomUid": "{UID}", "Level": "series"}}]}}"#,
        format_args!(r#"{{"OrthancId": "{ID}", "DicomUid": "{UID}", "Level": "study"}}"#)
    );
    let request = parse_as(LinkType::ViewerInstant, None, &body).unwrap();
    let series = ShareResource { level: Level::Series, orthanc_id: None, ..study() };
    assert_eq!(request.resources, [study(), series]);
}

#[test]
fn a_request_becomes_claims() {
    let body = with(r#", "ID": "my-id", "ValidityDuration": 60"#);
    let registered = Registered { jti: "one".to_owned(), issued_at: NOW, subject: None };
    let claims = parse_as(LinkType::Ohif, None, &body).unwrap().into_claims(registered.clone());
    let expected = ShareClaims {
        id: Some("my-id".to_owned()),
        resources: vec![study()],
        link_type: LinkType::Ohif,
        validity_duration: Some(60),
        expires_at: Some(NOW.plus(60)),
        registered: Some(registered),
    };
    assert_eq!(claims, expected);
}

#[test]
fn meddream_is_given_whole_studies_only() {
    for (level, whole) in [("study", true), ("series", false), ("instance", false)] {
        for link_type in LinkType::ALL.into_iter().filter(|link_type| *link_type != LinkType::Inbox) {
            let body = format!(
                r#"{{"Resources": [{{"DicomUid": "1.2", "Level": "study"}}, {{"DicomUid": "1.3", "Level": "{level}"}}]}}"#
            );
            let read = LinkRequest::parse(link_type, body.as_bytes(), NOW, &shares(None));
            let is_meddream = matches!(link_type, LinkType::MedDream | LinkType::MedDreamInstant);
            match read {
                Ok(_) => assert!(whole || !is_meddream, "{link_type} {level}"),
                Err(bad) => {
                    assert!(is_meddream && !whole, "{link_type} {level}: {bad}");
                    assert!(bad.message.starts_with("Resources[1].Level:"), "{bad}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn no_link_outlives_the_bound(duration in any::<u32>(), date in 0..4_000_000_000_i64, most in 1..100_000_000_u64) {
        let date = date::format(UnixTime(date));
        for members in [
            format!(r#", "ValidityDuration": {duration}"#),
            format!(r#", "ExpirationDate": "{date}""#),
            format!(r#", "ExpirationDate": "{date}", "ValidityDuration": {duration}"#),
        ] {
            if let Ok(request) = parse_as(LinkType::Stone, Some(most), &with(&members)) {
                let end = request.expires_at.unwrap();
                prop_assert!(end > NOW && end <= NOW.plus(i64::try_from(most).unwrap()));
            }
        }
    }
}

#[test]
fn what_a_link_asks_for_when_it_is_opened() {
    let parse = |link_type: LinkType, more: &str| {
        let resources = format!(r#""Resources": [{{"OrthancId": "{ID}", "Level": "study"}}]"#);
        LinkRequest::parse(link_type, format!("{{{resources}, {more}}}").as_bytes(), NOW, &shares(None))
    };
    let stone = |more: &str| parse(LinkType::Stone, more);
    let full = stone(r#""Pin": "1234", "MaxOpenings": 3, "Recipient": "anna", "Download": false"#).unwrap();
    assert_eq!(full.pin, Some(Pin::Given(Secret::new("1234".to_owned()))));
    assert_eq!((full.max_openings, full.recipient.as_deref(), full.download), (Some(3), Some("anna"), Some(false)));
    assert_eq!(stone(r#""Pin": true"#).unwrap().pin, Some(Pin::Generated));
    assert_eq!(stone(r#""Pin": null"#).unwrap().pin, None);
    for (more, message) in [
        (r#""Pin": "123""#, "Pin: true, false or a string of 4 to 128 characters is expected"),
        (r#""Pin": 1234"#, "Pin: true, false or a string of 4 to 128 characters is expected"),
        (r#""MaxOpenings": 0"#, "MaxOpenings: a whole number from 1 to 1000000 is expected"),
        (r#""MaxOpenings": "3""#, "MaxOpenings: a whole number from 1 to 1000000 is expected"),
        (r#""Download": "no""#, "Download: true or false is expected"),
        (r#""Recipient": 5"#, "Recipient: a string is expected"),
        (r#""MaxOpening": 5"#, r#""MaxOpening": unknown member; is MaxOpenings meant?"#),
    ] {
        assert_eq!(stone(more).unwrap_err().message, message, "{more}");
    }
    // A link that is used at once by whoever asked for it cannot ask for anything.
    for link_type in [LinkType::ViewerInstant, LinkType::DownloadInstant, LinkType::MedDream] {
        let message = parse(link_type, r#""MaxOpenings": 1"#).unwrap_err().message;
        assert_eq!(message, format!("MaxOpenings: {link_type} does not support MaxOpenings"));
    }
}

#[test]
fn verbs_are_read_and_annotate_for_whole_studies() {
    let annotate = |link_type, members: &str| parse_as(link_type, None, &with(members)).map(|request| request.annotate);
    assert_eq!(annotate(LinkType::Ohif, ""), Ok(false));
    assert_eq!(annotate(LinkType::Ohif, r#", "Verbs": ["read"]"#), Ok(false));
    assert_eq!(annotate(LinkType::Ohif, r#", "Verbs": ["read", "annotate"]"#), Ok(true));
    assert_eq!(annotate(LinkType::ViewerInstant, r#", "verbs": ["annotate", "read", "read"]"#), Ok(true));
    for (link_type, verbs, message) in [
        (LinkType::Ohif, r#""annotate""#, "a list is expected"),
        (LinkType::Ohif, r#"["annotate"]"#, r#"every link reads: "read" must be among them"#),
        (LinkType::Ohif, "[]", r#"every link reads: "read" must be among them"#),
        (LinkType::Ohif, r#"["read", "write"]"#, r#""write" is unknown; read and annotate are known"#),
        (LinkType::Ohif, r#"["read", 5]"#, r#""5" is unknown; read and annotate are known"#),
        (LinkType::MedDream, r#"["read", "annotate"]"#, "meddream-viewer-publication cannot annotate"),
        (LinkType::DownloadInstant, r#"["read", "annotate"]"#, "download-instant-link cannot annotate"),
    ] {
        let told = annotate(link_type, &format!(r#", "Verbs": {verbs}"#));
        assert_eq!(told, Err(format!("Verbs: {message}")));
    }
    let series =
        format!(r#"{{"Resources": [{{"OrthancId": "{ID}", "Level": "series"}}], "Verbs": ["read", "annotate"]}}"#);
    let told = parse_as(LinkType::Ohif, None, &series).map(drop);
    assert_eq!(told, Err("Verbs: annotations are new series, so such a link is for whole studies".to_owned()));
}

#[test]
fn what_an_inbox_link_is_made_with() {
    let body = r#"{"Resources": [], "Username": "a@example.org; b@example.org", "ValidityDuration": null,
        "Labels": ["b", "a_1", "b"], "MaxInstances": 500, "MaxBytes": 1000000}"#;
    let request = parse_as(LinkType::Inbox, None, body).unwrap();
    assert_eq!(request.labels, ["a_1", "b"]);
    assert_eq!((request.max_instances, request.max_bytes), (Some(500), Some(1_000_000)));
    assert_eq!(request.username.as_deref(), Some("a@example.org; b@example.org"));
    assert_eq!(request.expires_at, Some(NOW.plus(604_800)));
    let inbox = |members: &str| parse_as(LinkType::Inbox, None, &format!("{{{members}}}")).map(drop);
    for (members, message) in [
        (r#""Labels": "a""#, "Labels: a list is expected"),
        (r#""Labels": ["a b"]"#, r#"Labels[0]: a label is expected: letters, digits, "_" and "-", 64 at most"#),
        (r#""Labels": [""]"#, r#"Labels[0]: a label is expected: letters, digits, "_" and "-", 64 at most"#),
        (r#""MaxBytes": 0"#, "MaxBytes: a whole number from 1 is expected"),
        (r#""MaxBytes": 1.5"#, "MaxBytes: a whole number from 1 is expected"),
        (r#""MaxInstances": -1"#, "MaxInstances: a whole number from 1 is expected"),
        (r#""MaxInstances": 18446744073709551615"#, "MaxInstances: a whole number from 1 is expected"),
        (r#""Verbs": ["read"]"#, "Verbs: inbox-link is for uploads only"),
        (r#""Pin": true"#, "Pin: inbox-link does not support Pin"),
    ] {
        assert_eq!(inbox(members), Err(message.to_owned()), "{members}");
    }
    let many: Vec<String> = (0..21).map(|number| format!("\"l{number}\"")).collect();
    assert_eq!(inbox(&format!(r#""Labels": [{}]"#, many.join(","))), Err("Labels: more than 20".to_owned()));
    // Of other links nothing but annotations come in.
    let other = |members: &str| parse_as(LinkType::Ohif, None, &with(members)).map(drop);
    assert_eq!(other(r#", "Labels": ["a"]"#), Err("Labels: is for inbox-link only".to_owned()));
    assert_eq!(other(r#", "MaxBytes": 5"#), Err("MaxBytes: nothing comes in by this link".to_owned()));
    assert_eq!(other(r#", "MaxBytes": 5, "Verbs": ["read", "annotate"]"#), Ok(()));
}
