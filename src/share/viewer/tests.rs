use std::fmt::Write as _;
use std::time::Duration;

use super::*;

const TOKEN: &str = "aa.bb.cc";

fn shares() -> Shares {
    Shares {
        secret_key: None,
        previous_secret_keys: vec![],
        public_orthanc_root: Some("http://localhost/orthanc/".to_owned()),
        public_landing_root: None,
        public_ohif_root: Some("http://localhost/ohif/".to_owned()),
        ohif_dicom_json: false,
        meddream_token_service_url: Some("http://meddream-token/v3/generate".to_owned()),
        public_meddream_root: Some("http://localhost/meddream/".to_owned()),
        max_validity: None,
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

fn without_roots() -> Shares {
    Shares {
        public_orthanc_root: None,
        public_ohif_root: None,
        meddream_token_service_url: None,
        public_meddream_root: None,
        ..shares()
    }
}

fn study(orthanc_id: &str, dicom_uid: &str) -> ViewerStudy {
    ViewerStudy { orthanc_id: orthanc_id.to_owned(), dicom_uid: dicom_uid.to_owned() }
}

fn two() -> Vec<ViewerStudy> {
    vec![study("4a94", "1.3"), study("44e5", "1.4")]
}

fn table(of: impl Fn(LinkType) -> Result<Option<String>, MissingRoot>) -> String {
    let mut table = String::new();
    for link_type in LinkType::ALL {
        let line = match of(link_type) {
            Ok(Some(url)) => url,
            Ok(None) => "none".to_owned(),
            Err(missing) => format!("! {missing}"),
        };
        writeln!(table, "{link_type}: {line}").unwrap();
    }
    table
}

#[test]
fn where_viewers_open_two_studies() {
    insta::assert_snapshot!(table(|link_type| viewer_url(link_type, &shares(), &two(), TOKEN)), @r"
    viewer-instant-link: none
    meddream-instant-link: none
    download-instant-link: none
    stone-viewer-publication: http://localhost/orthanc/stone-webviewer/index.html?study=1.3,1.4&selectedStudies=1.3,1.4&token=aa.bb.cc
    meddream-viewer-publication: http://localhost/meddream/?study=1.3,1.4&token=aa.bb.cc
    osimis-viewer-publication: http://localhost/orthanc/osimis-viewer/app/index.html?pickableStudyIds=4a94,44e5&selectedStudyIds=4a94,44e5&token=aa.bb.cc
    ohif-viewer-publication: http://localhost/ohif/viewer?StudyInstanceUIDs=1.3,1.4&token=aa.bb.cc
    volview-viewer-publication: http://localhost/orthanc/volview/index.html?names=[archive.zip]&urls=../studies/4a94/archive,../studies/44e5/archive&token=aa.bb.cc
    inbox-link: none
    ");
}

#[test]
fn urls_to_hand_out_without_a_landing_page() {
    insta::assert_snapshot!(table(|link_type| public_url(link_type, &shares(), "/ui/", &two(), TOKEN)), @r"
    viewer-instant-link: none
    meddream-instant-link: none
    download-instant-link: none
    stone-viewer-publication: http://localhost/orthanc/stone-webviewer/index.html?study=1.3,1.4&selectedStudies=1.3,1.4&token=aa.bb.cc
    meddream-viewer-publication: ! Authorization.Shares.PublicLandingRoot is not configured, and meddream-viewer-publication needs it
    osimis-viewer-publication: http://localhost/orthanc/osimis-viewer/app/index.html?pickableStudyIds=4a94,44e5&selectedStudyIds=4a94,44e5&token=aa.bb.cc
    ohif-viewer-publication: http://localhost/ohif/viewer?StudyInstanceUIDs=1.3,1.4&token=aa.bb.cc
    volview-viewer-publication: http://localhost/orthanc/volview/index.html?names=[archive.zip]&urls=../studies/4a94/archive,../studies/44e5/archive&token=aa.bb.cc
    inbox-link: http://localhost/orthanc/ui/app/inbox.html?token=aa.bb.cc
    ");
}

#[test]
fn urls_to_hand_out_with_a_landing_page() {
    let landing = Some("http://localhost/orthanc/ui/app/token-landing.html".to_owned());
    let shares = Shares { public_landing_root: landing, ..shares() };
    insta::assert_snapshot!(table(|link_type| public_url(link_type, &shares, "/ui/", &two(), TOKEN)), @r"
    viewer-instant-link: none
    meddream-instant-link: none
    download-instant-link: none
    stone-viewer-publication: http://localhost/orthanc/ui/app/token-landing.html?token=aa.bb.cc
    meddream-viewer-publication: http://localhost/orthanc/ui/app/token-landing.html?token=aa.bb.cc
    osimis-viewer-publication: http://localhost/orthanc/ui/app/token-landing.html?token=aa.bb.cc
    ohif-viewer-publication: http://localhost/orthanc/ui/app/token-landing.html?token=aa.bb.cc
    volview-viewer-publication: http://localhost/orthanc/ui/app/token-landing.html?token=aa.bb.cc
    inbox-link: http://localhost/orthanc/ui/app/inbox.html?token=aa.bb.cc
    ");
}

#[test]
fn a_root_that_is_missing_is_named_even_with_a_landing_page() {
    let landing = Some("http://localhost/orthanc/ui/app/token-landing.html".to_owned());
    let shares = Shares { public_landing_root: landing, ..without_roots() };
    insta::assert_snapshot!(table(|link_type| public_url(link_type, &shares, "/ui/", &two(), TOKEN)), @r"
    viewer-instant-link: none
    meddream-instant-link: ! Authorization.Shares.MedDreamTokenServiceUrl is not configured, and meddream-instant-link needs it
    download-instant-link: none
    stone-viewer-publication: ! Authorization.Shares.PublicOrthancRoot is not configured, and stone-viewer-publication needs it
    meddream-viewer-publication: ! Authorization.Shares.MedDreamTokenServiceUrl is not configured, and meddream-viewer-publication needs it
    osimis-viewer-publication: ! Authorization.Shares.PublicOrthancRoot is not configured, and osimis-viewer-publication needs it
    ohif-viewer-publication: ! Authorization.Shares.PublicOhifRoot is not configured, and ohif-viewer-publication needs it
    volview-viewer-publication: ! Authorization.Shares.PublicOrthancRoot is not configured, and volview-viewer-publication needs it
    inbox-link: ! Authorization.Shares.PublicOrthancRoot is not configured, and inbox-link needs it
    ");
}

#[test]
fn ohif_may_read_one_json_document() {
    let shares = Shares { ohif_dicom_json: true, ..shares() };
    let url = viewer_url(LinkType::Ohif, &shares, &[study("4a94", "1.3")], TOKEN);
    assert_eq!(
        url,
        Ok(Some("http://localhost/ohif/viewer?url=../studies/4a94/ohif-dicom-json&token=aa.bb.cc".to_owned()))
    );
}

#[test]
fn without_a_study_no_viewer_opens() {
    for link_type in LinkType::ALL {
        assert_eq!(viewer_url(link_type, &shares(), &[], TOKEN), Ok(None), "{link_type}");
    }
}

#[test]
fn a_study_stands_once_and_cannot_add_arguments() {
    let studies = [study("4a94", "1.3"), study("4a94", "1.3"), study("44e5", "1.4&token=x,y#/ é")];
    assert_eq!(
        viewer_url(LinkType::Ohif, &shares(), &studies, TOKEN).unwrap().unwrap(),
        "http://localhost/ohif/viewer?StudyInstanceUIDs=1.3,1.4%26token%3Dx%2Cy%23%2F%20%C3%A9&token=aa.bb.cc"
    );
}

#[test]
fn roots_are_joined_whatever_their_slashes() {
    let shares = Shares {
        public_orthanc_root: Some("https://pacs.example/orthanc".to_owned()),
        public_landing_root: Some("https://pacs.example/landing?lang=fr".to_owned()),
        ..shares()
    };
    let url = |link_type| public_url(link_type, &shares, "/my-ui/", &two(), TOKEN).unwrap().unwrap();
    assert_eq!(url(LinkType::Inbox), "https://pacs.example/orthanc/my-ui/app/inbox.html?token=aa.bb.cc");
    assert_eq!(url(LinkType::Stone), "https://pacs.example/landing?lang=fr&token=aa.bb.cc");
}
