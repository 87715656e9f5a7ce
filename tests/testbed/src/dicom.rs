//! DICOM images: real ones from pydicom's test files, and small made-up ones with chosen identifiers and texts. It must
//! not know who may see them.
use crate::http::{Client, Request};
use crate::setup;
use anyhow::{Context, Result};
use aws_lc_rs::digest;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// pydicom's files that Orthanc accepts, each a study of its own: different modalities, transfer syntaxes and sizes.
pub const REAL_IMAGES: [&str; 6] =
    ["CT_small.dcm", "MR_small.dcm", "examples_ybr_color.dcm", "examples_rgb_color.dcm", "JPEG2000.dcm", "rtplan.dcm"];

/// The path of one of pydicom's test files; fetches them if need be.
pub fn real_image(name: &str) -> Result<PathBuf> {
    Ok(setup::ensure_images()?.join(name))
}

/// The Orthanc ids that an upload was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// `ID`.
    pub instance: String,
    /// `ParentSeries`.
    pub series: String,
    /// `ParentStudy`.
    pub study: String,
    /// `ParentPatient`.
    pub patient: String,
}

/// Uploads one file with `POST /instances`; an error unless it was stored or was there already.
pub fn upload(client: &Client, file: impl Into<Vec<u8>>) -> Result<Uploaded> {
    let answer = client.send(Request::post("/instances", file))?.expect_status(200)?.json()?;
    let field = |name: &str| -> Result<String> {
        Ok(answer[name].as_str().with_context(|| format!("upload: no {name} in {answer}"))?.to_owned())
    };
    Ok(Uploaded {
        instance: field("ID")?,
        series: field("ParentSeries")?,
        study: field("ParentStudy")?,
        patient: field("ParentPatient")?,
    })
}

/// Uploads one of pydicom's test files.
pub fn upload_real(client: &Client, name: &str) -> Result<Uploaded> {
    let path = real_image(name)?;
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    upload(client, bytes).with_context(|| format!("uploading {name}"))
}

/// The Orthanc id of a patient (`[PatientID]`), study (`[PatientID, StudyInstanceUID]`), series or instance: SHA-1 of
/// the identifiers joined with `|`, in groups of eight digits (Orthanc book, "Orthanc identifiers").
#[must_use]
pub fn orthanc_id(identifiers: &[&str]) -> String {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, identifiers.join("|").as_bytes());
    let groups: Vec<String> =
        hash.as_ref().chunks(4).map(|group| group.iter().map(|b| format!("{b:02x}")).collect()).collect();
    groups.join("-")
}

/// A valid UID that depends on the name only (root 2.25, 100 bits of SHA-256).
#[must_use]
pub fn uid(name: &str) -> String {
    let hash = digest::digest(&digest::SHA256, name.as_bytes());
    let number = hash.as_ref().iter().take(12).fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    format!("2.25.{}", number | (1 << 99))
}

/// A small made-up image (8 × 8 grey pixels), explicit VR little endian.
#[derive(Clone, Debug)]
pub struct Instance {
    elements: BTreeMap<(u16, u16), ([u8; 2], Vec<u8>)>,
}

/// Secondary Capture Image Storage.
const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";
/// Explicit VR Little Endian.
const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";

impl Instance {
    /// An image of this patient, study, series and instance.
    #[must_use]
    pub fn new(patient_id: &str, study_uid: &str, series_uid: &str, sop_instance_uid: &str) -> Self {
        let mut image = Self { elements: BTreeMap::new() };
        for (tag, vr, value) in [
            ((0x0008, 0x0005), "CS", "ISO_IR 192"),
            ((0x0008, 0x0016), "UI", SECONDARY_CAPTURE),
            ((0x0008, 0x0018), "UI", sop_instance_uid),
            ((0x0008, 0x0020), "DA", "20240102"),
            ((0x0008, 0x0030), "TM", "101112"),
            ((0x0008, 0x0060), "CS", "OT"),
            ((0x0010, 0x0010), "PN", "Made^Up"),
            ((0x0010, 0x0020), "LO", patient_id),
            ((0x0020, 0x000d), "UI", study_uid),
            ((0x0020, 0x000e), "UI", series_uid),
            ((0x0020, 0x0013), "IS", "1"),
            ((0x0028, 0x0004), "CS", "MONOCHROME2"),
        ] {
            image = image.text(tag, vr, value);
        }
        for (element, value) in
            [(0x0002, 1), (0x0010, 8), (0x0011, 8), (0x0100, 8), (0x0101, 8), (0x0102, 7), (0x0103, 0)]
        {
            image = image.raw((0x0028, element), "US", u16::to_le_bytes(value).to_vec());
        }
        image.raw((0x7fe0, 0x0010), "OW", (0..64).map(|pixel| pixel * 4).collect())
    }

    /// An image whose identifiers follow from names: same names, same patient, study and series.
    #[must_use]
    pub fn named(patient: &str, study: &str, series: &str, instance: &str) -> Self {
        let study = format!("{patient}/{study}");
        let series = format!("{study}/{series}");
        Self::new(patient, &uid(&study), &uid(&series), &uid(&format!("{series}/{instance}")))
    }

    /// Sets a text element: `((0x0008, 0x1030), "LO", "canary")`.
    #[must_use]
    pub fn text(self, tag: (u16, u16), vr: &str, value: &str) -> Self {
        self.raw(tag, vr, value.as_bytes().to_vec())
    }

    /// Sets an element to raw bytes.
    #[must_use]
    pub fn raw(mut self, tag: (u16, u16), vr: &str, value: Vec<u8>) -> Self {
        let vr = <[u8; 2]>::try_from(vr.as_bytes()).unwrap_or(*b"UN");
        self.elements.insert(tag, (vr, value));
        self
    }

    /// Takes an element out.
    #[must_use]
    pub fn without(mut self, tag: (u16, u16)) -> Self {
        self.elements.remove(&tag);
        self
    }

    /// The same as another kind of object: this SOP class and modality, and no pixels.
    #[must_use]
    pub fn as_object(self, sop_class: &str, modality: &str) -> Self {
        let pixels = self.elements.keys().filter(|(group, _)| matches!(group, 0x0028 | 0x7fe0)).copied();
        let object = pixels.collect::<Vec<_>>().into_iter().fold(self, Self::without);
        object.text((0x0008, 0x0016), "UI", sop_class).text((0x0008, 0x0060), "CS", modality)
    }

    /// The text of an element as it was set.
    #[must_use]
    pub fn get(&self, tag: (u16, u16)) -> String {
        self.elements.get(&tag).map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }

    /// The Orthanc ids that this image will have.
    #[must_use]
    pub fn ids(&self) -> Uploaded {
        let (patient, study) = (self.get((0x0010, 0x0020)), self.get((0x0020, 0x000d)));
        let (series, instance) = (self.get((0x0020, 0x000e)), self.get((0x0008, 0x0018)));
        Uploaded {
            instance: orthanc_id(&[&patient, &study, &series, &instance]),
            series: orthanc_id(&[&patient, &study, &series]),
            study: orthanc_id(&[&patient, &study]),
            patient: orthanc_id(&[&patient]),
        }
    }

    /// The file: preamble, meta header, data set.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut meta = Vec::new();
        write_element(&mut meta, (0x0002, 0x0001), *b"OB", &[0, 1]);
        for (element, value) in [
            (0x0002, self.get((0x0008, 0x0016)).as_str()),
            (0x0003, &self.get((0x0008, 0x0018))),
            (0x0010, EXPLICIT_LITTLE_ENDIAN),
            (0x0012, "2.25.1"),
        ] {
            write_element(&mut meta, (0x0002, element), *b"UI", value.as_bytes());
        }
        let mut file = vec![0; 128];
        file.extend_from_slice(b"DICM");
        let length = u32::try_from(meta.len()).unwrap_or(u32::MAX);
        write_element(&mut file, (0x0002, 0x0000), *b"UL", &length.to_le_bytes());
        file.extend_from_slice(&meta);
        for (tag, (vr, value)) in &self.elements {
            write_element(&mut file, *tag, *vr, value);
        }
        file
    }
}

/// DICOM PS3.5, 7.1.2: most VRs have a 16-bit length, some two reserved bytes and a 32-bit one. Values have even
/// length, padded with a blank, UIDs and bytes with NUL.
fn write_element(out: &mut Vec<u8>, (group, element): (u16, u16), vr: [u8; 2], value: &[u8]) {
    out.extend_from_slice(&group.to_le_bytes());
    out.extend_from_slice(&element.to_le_bytes());
    out.extend_from_slice(&vr);
    let padded = value.len() + value.len() % 2;
    if matches!(&vr, b"OB" | b"OW" | b"OF" | b"SQ" | b"UT" | b"UN" | b"UC" | b"UR") {
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&u32::try_from(padded).unwrap_or(u32::MAX).to_le_bytes());
    } else {
        out.extend_from_slice(&u16::try_from(padded).unwrap_or(u16::MAX).to_le_bytes());
    }
    out.extend_from_slice(value);
    if padded != value.len() {
        out.push(if matches!(&vr, b"UI" | b"OB" | b"UN") { 0 } else { b' ' });
    }
}

/// Puts a label on a study; an error unless the server says 200.
pub fn label(client: &Client, study: &str, label: &str) -> Result<()> {
    client.send(Request::put(&format!("/studies/{study}/labels/{label}"), ""))?.expect_status(200)?;
    Ok(())
}

/// The ids in a JSON array of strings, sorted: what lists and `/tools/find` answer.
#[must_use]
pub fn sorted_ids(answer: &Value) -> Vec<String> {
    let mut ids: Vec<String> =
        answer.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    ids.sort();
    ids
}
