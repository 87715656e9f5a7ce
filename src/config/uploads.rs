//! `UploadLabels`: who gives which labels to the studies that they bring in.

use super::checked::Uploader;
use super::section::{Section, kind};
use super::values::shown;

const KEY: &str = "UploadLabels";

pub(super) fn read(section: &Section<'_>) -> Vec<(Uploader, Vec<String>)> {
    let mut all = Vec::new();
    for (name, path, value) in section.members_of(KEY) {
        let Some(uploader) = uploader(&name) else {
            let wanted = "must be \"role:…\", \"group:…\", \"user:…\" or \"aet:…\", the last with 1 to 16 characters";
            section.reader.fault(path, wanted);
            continue;
        };
        let Some(elements) = value.as_array() else {
            section.reader.fault(path, format!("must be a list of labels, got {}", kind(value)));
            continue;
        };
        let mut labels = Vec::new();
        for (index, label) in elements.iter().enumerate() {
            match label.as_str() {
                Some(label) if is_label(label) => labels.push(label.to_owned()),
                Some(label) => section.reader.fault(path.element(index), not_a_label(label)),
                None => section.reader.fault(path.element(index), format!("must be a string, got {}", kind(label))),
            }
        }
        all.push((uploader, labels));
    }
    all
}

fn uploader(name: &str) -> Option<Uploader> {
    let (what, who) = name.split_once(':')?;
    if who.is_empty() {
        return None;
    }
    let who = who.to_owned();
    match what {
        "role" => Some(Uploader::Role(who)),
        "group" => Some(Uploader::Group(who)),
        "user" => Some(Uploader::User(who)),
        // DICOM PS3.5 6.2: an AE has at most 16 characters, no backslash, and blanks around it do not count.
        "aet" if who.len() <= 16 && !who.contains('\\') && who.trim() == who => Some(Uploader::Aet(who)),
        _ => None,
    }
}

pub(super) fn not_a_label(label: &str) -> String {
    format!("must be a label as Orthanc has them (letters, digits, \"_\" and \"-\", 64 at most), got {}", shown(label))
}

/// What Orthanc takes as a label; it answers 400 to anything else.
#[must_use]
pub fn is_label(label: &str) -> bool {
    (1..=64).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}
