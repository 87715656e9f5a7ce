//! The bodies that routes take, with foreign things in them.
use crate::routes::Target;
use serde_json::{Value, json};
use testbed::dicom::{Instance, uid};

/// A body with its type.
#[derive(Clone, Debug)]
pub struct Body {
    pub bytes: Vec<u8>,
    pub headers: Vec<(String, String)>,
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self { bytes: value.to_string().into_bytes(), headers: vec![] }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self { bytes: text.into_bytes(), headers: vec![] }
    }
}

/// Lists of ids with something foreign, alone and beside own ones.
fn lists(at: &Target, own: &Target) -> Vec<Value> {
    let mut all = Vec::new();
    for id in at.ids() {
        all.extend([json!([id]), json!([own.study, id]), json!([id, own.study])]);
    }
    all.push(json!([]));
    all.push(json!([at.study_uid]));
    all.push(json!(at.study));
    all.push(json!({"0": at.study}));
    all.push(json!([[at.study]]));
    all
}

/// For one route and method.
pub fn bodies(template: &str, method: &str, at: &Target, own: &Target) -> Vec<Body> {
    if method == "GET" || method == "HEAD" || method == "DELETE" {
        return vec![Body { bytes: Vec::new(), headers: vec![] }];
    }
    let mut all: Vec<Body> = generic(at);
    let lists = || lists(at, own);
    let ends = |end: &str| template.ends_with(end);
    if ends("/find") || ends("/count-resources") {
        all.extend(searches(at, own).into_iter().map(Body::from));
    } else if ends("/lookup") {
        all.extend(
            [&at.patient_id, &at.study_uid, &at.accession, &at.series_uid, &at.instance_uid]
                .map(|id| Body::from(id.clone())),
        );
        all.push(format!("{}*", &at.patient_id[..4]).into());
        all.extend(lists().into_iter().map(|list| json!({"Resources": list}).into()));
    } else if ends("/bulk-content") {
        for list in lists() {
            for level in ["Patient", "Study", "Series", "Instance"] {
                all.push(json!({"Resources": list, "Level": level, "Metadata": true, "Full": true}).into());
            }
            all.push(json!({"Resources": list}).into());
        }
        all.push(json!({"Resources": [own.instance], "Level": "Patient"}).into());
    } else if ends("/bulk-modify") || ends("/bulk-anonymize") || ends("/bulk-delete") {
        for list in lists() {
            all.push(json!({"Resources": list}).into());
            all.push(
                json!({"Resources": list, "Replace": {"StudyDescription": "x"}, "KeepSource": false, "Force": true})
                    .into(),
            );
        }
        all.extend(rewritten(at, own).into_iter().map(|mut body| {
            body["Resources"] = json!([own.instance]);
            body.into()
        }));
    } else if ends("/modify") || ends("/anonymize") {
        all.extend(rewritten(at, own).into_iter().map(Body::from));
    } else if ends("/merge") || ends("/split") {
        for list in lists() {
            all.push(json!({"Resources": list, "KeepSource": true}).into());
            all.push(json!({"Series": list, "KeepSource": true}).into());
            all.push(json!({"Instances": list, "Series": [own.series], "KeepSource": false}).into());
            all.push(
                json!({"Series": [own.series], "Replace": {"PatientID": at.patient_id}, "KeepSource": true}).into(),
            );
        }
    } else if ["archive", "media", "media-extended", "/reconstruct", "/invalidate-tags", "/stow"]
        .iter()
        .any(|end| ends(end))
    {
        for list in lists() {
            all.push(list.clone().into());
            all.push(json!({"Resources": list, "Synchronous": true}).into());
            all.push(json!({"Resources": list, "Asynchronous": true}).into());
        }
    } else if ends("/store") || ends("/send") || ends("/transfers/lookup") {
        for list in lists() {
            all.push(list.clone().into());
            all.push(json!({"Resources": list, "Synchronous": true}).into());
            all.push(json!({"Resources": list, "Synchronous": false, "Compress": true, "Peer": "remote"}).into());
            all.push(
                json!({"Resources": list, "LocalAet": "OTHER", "CalledAet": "OTHER", "Host": "127.0.0.1", "Port": 1})
                    .into(),
            );
        }
        all.extend(at.ids().map(|id| Body::from(id.to_owned())));
    } else if ends("/create-dicom") {
        for parent in at.ids() {
            let tags = json!({"SeriesDescription": "INTRUDER", "Modality": "OT"});
            all.push(json!({"Parent": parent, "Tags": tags}).into());
            all.push(format!(r#"{{"Tags": {tags}, "Parent": "{}", "Parent": "{parent}"}}"#, own.study).into());
        }
        let tags = json!({"PatientID": at.patient_id, "StudyInstanceUID": at.study_uid, "Modality": "OT"});
        all.push(json!({"Tags": tags, "Force": true}).into());
        all.push(json!({"Parent": own.study, "Tags": {"StudyInstanceUID": at.study_uid}, "Force": true}).into());
    } else if matches!(template, "/modalities/{id}" | "/peers/{id}" | "/dicom-web/servers/{any}") {
        all.push(json!({"AET": "OTHER", "Host": "127.0.0.1", "Port": 1}).into());
        all.push(json!({"Url": "http://127.0.0.1:1/"}).into());
        all.push(json!(["OTHER", "127.0.0.1", 1]).into());
        all.push(json!(["http://127.0.0.1:1/"]).into());
    } else if ends("/instances") || ends("/store-straight") || template.contains("dicom-web/studies") || ends(".dcm") {
        uploads(&mut all, at);
    } else if template.starts_with("/modalities/") || template.starts_with("/queries/") {
        remote(&mut all, at, own);
    } else if template.starts_with("/dicom-web/servers/") {
        let uri = format!("/studies/{}", at.study_uid);
        all.push(
            json!({"Uri": uri, "Arguments": {"includefield": "all"}, "HttpHeaders": {"Accept": "application/dicom"}})
                .into(),
        );
        all.push(json!({"Resources": [{"Study": at.study_uid}], "Synchronous": true}).into());
        all.push(json!({"Url": "http://127.0.0.1:1/", "Uri": "/instances"}).into());
    } else if template.starts_with("/auth/tokens") {
        for level in ["study", "series", "instance", "patient"] {
            let (id, uid) = match level {
                "study" => (&at.study, &at.study_uid),
                "series" => (&at.series, &at.series_uid),
                "instance" => (&at.instance, &at.instance_uid),
                _ => (&at.patient, &at.patient_id),
            };
            let kind = "ohif-viewer-publication";
            all.push(json!({"Type": kind, "Resources": [{"OrthancId": id, "DicomUid": uid, "Level": level}]}).into());
            all.push(json!({"Type": kind, "Resources": [{"OrthancId": own.study, "Level": "study"}, {"OrthancId": id, "Level": level}]}).into());
            all.push(json!({"Type": kind, "Resources": [{"DicomUid": uid, "Level": level}]}).into());
            all.push(
                json!({"Type": kind, "Resources": [{"OrthancId": own.study, "DicomUid": uid, "Level": level}]}).into(),
            );
        }
    } else if ends("/auth/api-keys") {
        all.push(json!({"Name": "x"}).into());
        all.push(json!({"Name": "x", "AuthorizedLabels": ["*"]}).into());
        all.push(json!({"Name": "x", "AuthorizedLabels": ["external", at.label], "Permissions": ["all"]}).into());
    } else if ends("/execute-script") {
        all.push("print('x')".to_owned().into());
    }
    all
}

/// What fits wherever something is wanted.
fn generic(at: &Target) -> Vec<Body> {
    vec![
        String::new().into(),
        json!({}).into(),
        json!([]).into(),
        json!([at.study]).into(),
        json!({"Resources": [at.study], "Level": "Study", "Query": {}, "Study": at.study, "Series": [at.series], "ID": at.study}).into(),
        at.study.clone().into(),
        "1".to_owned().into(),
    ]
}

fn searches(at: &Target, own: &Target) -> Vec<String> {
    let mut all = Vec::new();
    for level in ["Patient", "Study", "Series", "Instance", "patients", "STUDIES"] {
        for (member, value) in [
            ("Expand", json!(true)),
            ("Expand", json!(false)),
            (
                "ResponseContent",
                json!(["MainDicomTags", "Metadata", "Labels", "Parent", "Children", "Attachments", "RequestedTags"]),
            ),
            ("RequestedTags", json!(["StudyDescription", "PatientName", "NumberOfPatientRelatedStudies"])),
            ("RequestedTags", json!(["SeriesDescription", "ImageComments", "0010,1000"])),
            ("OrderBy", json!([{"Type": "Metadata", "Key": "LastUpdate", "Direction": "ASC"}])),
            ("MetadataQuery", json!({"note": "*"})),
            ("ParentPatient", json!(at.patient)),
            ("ParentStudy", json!(at.study)),
            ("ParentSeries", json!(at.series)),
            ("Labels", json!([])),
            ("Labels", json!([at.label])),
            ("Labels", json!(["external", at.label])),
            ("Full", json!(true)),
            ("Since", json!(0)),
            ("Unknown", json!(at.study)),
        ] {
            let mut body = json!({"Level": level, "Query": {}, "Expand": true});
            body[member] = value;
            all.push(body.to_string());
            for constraint in ["Any", "All", "None"] {
                if member == "Labels" {
                    body["LabelsConstraint"] = json!(constraint);
                    all.push(body.to_string());
                }
            }
        }
        for query in [
            json!({"StudyInstanceUID": at.study_uid}),
            json!({"0020000d": at.study_uid}),
            json!({"0020,000D": at.study_uid}),
            json!({"StudyInstanceUID": format!("{}\\{}", own.study_uid, at.study_uid)}),
            json!({"StudyInstanceUID": own.study_uid, "0020,000d": at.study_uid}),
            json!({"StudyInstanceUID": "2.25.*"}),
            json!({"PatientID": at.patient_id}),
            json!({"PatientName": "*", "StudyDescription": "*"}),
            json!({"SeriesInstanceUID": at.series_uid}),
            json!({"SOPInstanceUID": at.instance_uid}),
            json!({"AccessionNumber": at.accession}),
        ] {
            all.push(json!({"Level": level, "Query": query, "Expand": true, "CaseSensitive": true}).to_string());
        }
    }
    all.push(format!(
        r#"{{"Level":"Study","Query":{{}},"Labels":["external"],"Labels":["{}"],"Expand":true}}"#,
        at.label
    ));
    all.push(
        r#"{"Level":"Study","Level":"Patient","Query":{},"Query":{"StudyInstanceUID":"*"},"Expand":true}"#.to_owned(),
    );
    all
}

fn rewritten(at: &Target, own: &Target) -> Vec<Value> {
    let mut all = vec![
        json!({"Replace": {"StudyDescription": "x"}}),
        json!({"Keep": ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID"], "Force": true}),
        json!({"Replace": {"PatientID": own.patient_id}, "Keep": ["StudyInstanceUID"], "Force": true}),
    ];
    for tag in ["StudyInstanceUID", "0020,000d", "0020000D", "(0020,000d)"] {
        all.push(json!({"Replace": {tag: at.study_uid, "PatientID": at.patient_id, "PatientName": "INTRUDER"}, "Force": true}));
        all.push(json!({"Replace": {tag: at.study_uid}, "Force": true, "KeepSource": true}));
    }
    all.push(json!({"Replace": {"PatientID": at.patient_id, "PatientName": "INTRUDER"}, "Force": true}));
    all.push(json!({"Replace": {
        "PatientID": at.patient_id, "StudyInstanceUID": at.study_uid, "SeriesInstanceUID": at.series_uid,
        "SOPInstanceUID": at.instance_uid,
    }, "Force": true, "KeepSource": false}));
    all
}

fn uploads(all: &mut Vec<Body>, at: &Target) {
    let file = |sop_instance_uid: &str| {
        let file = Instance::new(&at.patient_id, &at.study_uid, &at.series_uid, sop_instance_uid);
        file.text((0x0008, 0x1030), "LO", "INTRUDER").text((0x0010, 0x0010), "PN", "INTRUDER")
    };
    let (new, overwritten) = (file(&uid(&format!("intruder {}", at.name))), file(&at.instance_uid));
    for file in [new, overwritten] {
        let file = file.to_bytes();
        let mut part = b"--part\r\nContent-Type: application/dicom\r\n\r\n".to_vec();
        part.extend_from_slice(&file);
        part.extend_from_slice(b"\r\n--part--\r\n");
        all.push(Body { bytes: file, headers: vec![] });
        all.push(Body {
            bytes: part,
            headers: vec![(
                "Content-Type".to_owned(),
                r#"multipart/related; type="application/dicom"; boundary=part"#.to_owned(),
            )],
        });
    }
}

fn remote(all: &mut Vec<Body>, at: &Target, own: &Target) {
    for level in ["Patient", "Study", "Series", "Instance"] {
        let query = json!({"PatientID": at.patient_id, "StudyInstanceUID": at.study_uid});
        all.push(json!({"Level": level, "Query": query}).into());
        let resource = json!({
            "PatientID": at.patient_id, "StudyInstanceUID": at.study_uid, "SeriesInstanceUID": at.series_uid,
            "SOPInstanceUID": at.instance_uid,
        });
        all.push(json!({"Level": level, "Resources": [resource], "TargetAet": "REMOTE", "Synchronous": true}).into());
    }
    for list in lists(at, own) {
        all.push(json!({"Resources": list, "TargetAet": "REMOTE"}).into());
    }
    all.push(json!({"DicomInstances": [["1.2.840.10008.5.1.4.1.1.7", at.instance_uid]]}).into());
    all.push(json!({"TargetAet": "REMOTE", "Synchronous": true}).into());
    all.push(json!({"Query": {}, "Timeout": 2}).into());
    all.push(json!({"Query": {"PatientName": ""}}).into());
    all.push(json!({"AET": "OTHER", "Host": "127.0.0.1", "Port": 1}).into());
    all.push("REMOTE".to_owned().into());
}
