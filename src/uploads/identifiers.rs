//! What an instance says of itself before it is stored: its UIDs, and the Orthanc identifiers that it and its parents
//! are going to have.
//!
//! An Orthanc identifier is the SHA-1 of the identifiers of a resource and of all above it, joined by `|` (Orthanc
//! Book, "Orthanc identifiers"). Knows nothing of rights or of the server.

use aws_lc_rs::digest;

use crate::bytes::hex;
use crate::request::ReceivedInstance;
use crate::resource::{Level, may_be_a_study, trimmed};
use crate::route::is_uid;
use crate::top_level;

/// What has to be known of an instance that a link brings in.
pub(super) struct Identifiers {
    pub(super) study_uid: String,
    pub(super) series_uid: String,
    pub(super) instance_uid: String,
    /// Orthanc identifiers.
    pub(super) study: String,
    pub(super) series: String,
    pub(super) instance: String,
    pub(super) sop_class: String,
    pub(super) modality: String,
    /// Whether there are pixels, a document or a wave in it.
    pub(super) has_content: bool,
}

impl Identifiers {
    /// `None` when they cannot be read for sure, or are no UIDs.
    pub(super) fn read(instance: &ReceivedInstance<'_>) -> Option<Self> {
        let tags = (instance.tags)().ok()?;
        let [patient, study, series, own, sop_class, modality, content @ ..] = top_level::texts(
            tags.as_bytes(),
            [
                "PatientID",
                "StudyInstanceUID",
                "SeriesInstanceUID",
                "SOPInstanceUID",
                "SOPClassUID",
                "Modality",
                "PixelData",
                "FloatPixelData",
                "DoubleFloatPixelData",
                "EncapsulatedDocument",
            ],
        )
        .ok()?;
        let has_waves = top_level::holds(tags.as_bytes(), "WaveformSequence").ok()?;
        let (study_uid, series_uid, instance_uid) = (study?, series?, own?);
        let patient = patient.as_deref().unwrap_or_default();
        let [(_, study), (_, series), (_, instance)] = resources(patient, [&study_uid, &series_uid, &instance_uid])?;
        Some(Self {
            study,
            series,
            instance,
            study_uid,
            series_uid,
            instance_uid,
            sop_class: sop_class.map(|class| trimmed(&class).to_owned()).unwrap_or_default(),
            modality: modality.map(|modality| trimmed(&modality).to_owned()).unwrap_or_default(),
            has_content: has_waves || content.iter().any(Option::is_some),
        })
    }

    /// Study, series and instance, by Orthanc identifiers.
    pub(super) fn resources(self) -> [(Level, String); 3] {
        [(Level::Study, self.study), (Level::Series, self.series), (Level::Instance, self.instance)]
    }

    /// Whether it is an annotation: a structured report, a segmentation or a presentation state, by its SOP class and
    /// by its modality, and holding nothing else.
    pub(super) fn is_annotation(&self) -> bool {
        is_annotations_class(&self.modality, &self.sop_class) && (self.modality == "SEG" || !self.has_content)
    }
}

/// Study, series and instance, by the Orthanc identifiers that come of these; `None` when they are no UIDs, or the patient
/// may have the identifier of a study. The server has taken the padding off: what is left of it, at the beginning, is a part
/// of the identifier to it.
pub(super) fn resources(patient: &str, uids: [&str; 3]) -> Option<[(Level, String); 3]> {
    if may_be_a_study(patient) || !uids.iter().all(|uid| is_uid(uid)) {
        return None;
    }
    let [study, series, instance] = uids;
    Some([
        (Level::Study, orthanc_id(&[patient, study])),
        (Level::Series, orthanc_id(&[patient, study, series])),
        (Level::Instance, orthanc_id(&[patient, study, series, instance])),
    ])
}

/// Whether a SOP class is one of annotations of this modality.
pub(super) fn is_annotations_class(modality: &str, class: &str) -> bool {
    ANNOTATIONS.iter().any(|(of_modality, root, classes)| {
        let number = class.strip_prefix(root).and_then(|rest| rest.strip_prefix('.'));
        modality == *of_modality && number.is_some_and(|number| classes.contains(&number))
    })
}

/// Modality, and the SOP classes as the numbers after a root (DICOM PS3.4, B.5). Of the structured reports those that
/// somebody writes about what they see: text, enhanced, comprehensive (3D), extensible; not dose, procedure or CAD.
const ANNOTATIONS: [(&str, &str, &[&str]); 3] = [
    ("SR", "1.2.840.10008.5.1.4.1.1.88", &["11", "22", "33", "34", "35"]),
    ("SEG", "1.2.840.10008.5.1.4.1.1.66", &["4", "5", "7"]),
    ("PR", "1.2.840.10008.5.1.4.1.1.11", &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]),
];

fn orthanc_id(parts: &[&str]) -> String {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, parts.join("|").as_bytes());
    let groups: Vec<String> = digest.as_ref().chunks(4).map(hex).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::request::Origin;

    fn read(tags: &serde_json::Value) -> Option<Identifiers> {
        let text = tags.to_string();
        let tags = || Ok(text.clone());
        Identifiers::read(&ReceivedInstance { origin: Origin::Other, remote_aet: "", size: 1, file: &[], tags: &tags })
    }

    fn tags(class: &str, modality: &str) -> serde_json::Value {
        json!({"PatientID": "P", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3", "SOPInstanceUID": "1.4",
            "SOPClassUID": class, "Modality": modality})
    }

    #[test]
    fn identifiers_are_those_that_orthanc_makes() {
        // `printf 'P|1.2|1.3|1.4' | sha1sum` and the same with less.
        let read = read(&tags("1.2.840.10008.5.1.4.1.1.2", "CT")).unwrap();
        assert_eq!(read.study, "38213a87-6c701570-228f8693-27cc2a0f-f5f6ede7");
        assert_eq!(read.series, "162b9094-0fefc4e1-ae8b4647-081848db-858e402e");
        assert_eq!(read.instance, "a57c404c-542a4d42-9a4ae318-178f75ba-069c76b9");
    }

    #[test]
    fn a_blank_before_a_patient_id_is_a_part_of_it_and_no_patient_is_an_empty_one() {
        let mut padded = tags("1.2", "CT");
        padded["PatientID"] = json!(" P");
        assert_ne!(read(&padded).unwrap().study, read(&tags("1.2", "CT")).unwrap().study);
        let mut nobody = tags("1.2", "CT");
        nobody["PatientID"] = json!(null);
        let empty = read(&nobody).unwrap().study;
        nobody.as_object_mut().unwrap().remove("PatientID");
        assert_eq!(read(&nobody).unwrap().study, empty);
    }

    #[test]
    fn what_is_missing_doubled_or_no_uid_is_not_read() {
        for name in ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"] {
            for odd in [
                json!(null),
                json!(""),
                json!("*"),
                json!("1.2\\1.3"),
                json!(" 1.2"),
                json!("1.2\0"),
                json!(["1.2"]),
                json!(5),
            ] {
                let mut changed = tags("1.2", "CT");
                changed[name] = odd.clone();
                assert!(read(&changed).is_none(), "{name}: {odd}");
            }
        }
    }

    #[test]
    fn a_patient_whose_identifier_may_be_that_of_a_study_is_not_read() {
        let mut odd = tags("1.2", "CT");
        for patient in ["P|1.2", "P|1.2|1.3|1.4", "|1.2", "A|B|1.2"] {
            odd["PatientID"] = json!(patient);
            assert!(read(&odd).is_none(), "{patient}");
        }
        odd["PatientID"] = json!("CLINIC|123");
        assert!(read(&odd).is_some());
    }

    #[test]
    fn annotations_are_told_by_class_modality_and_content() {
        const ROOT: &str = "1.2.840.10008.5.1.4.1.1";
        for (class, modality, expected) in [
            ("88.11", "SR", true),
            ("88.34", "SR", true),
            ("66.4", "SEG", true),
            ("11.1", "PR", true),
            // Dose, CAD, key objects; images; documents; the root itself, and more than it.
            ("88.67", "SR", false),
            ("88.65", "SR", false),
            ("88.59", "KO", false),
            ("2", "CT", false),
            ("7", "OT", false),
            ("104.1", "DOC", false),
            ("88", "SR", false),
            ("88.11.1", "SR", false),
            ("8811", "SR", false),
            // What does not fit together.
            ("2", "SR", false),
            ("88.11", "CT", false),
            ("66.4", "SR", false),
            ("88.11", "", false),
        ] {
            let mut tags = tags(&format!("{ROOT}.{class}"), modality);
            assert_eq!(read(&tags).unwrap().is_annotation(), expected, "{class} {modality}");
            for content in ["PixelData", "EncapsulatedDocument"] {
                tags[content] = json!(null);
                assert_eq!(read(&tags).unwrap().is_annotation(), expected && modality == "SEG", "{class} {content}");
                tags.as_object_mut().unwrap().remove(content);
            }
            tags["WaveformSequence"] = json!([{"Modality": "ECG"}]);
            assert_eq!(read(&tags).unwrap().is_annotation(), expected && modality == "SEG", "{class} waves");
        }
    }
}
