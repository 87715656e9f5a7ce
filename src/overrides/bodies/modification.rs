//! Modify, anonymize, merge and split for somebody limited: what comes out has the labels of what went in, and lies in a
//! study of its own or in the one that it comes from.
//!
//! The body can rewrite the identifiers that say where an image belongs. A result must not enter a study that is here
//! already (that is what merging is for, where the target is named and checked), nor a patient whose studies are not all
//! allowed: Orthanc writes what it keeps of a patient anew from the results.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Actor, Asked, Change};
use crate::host::HostError;
use crate::overrides::core_call;
use crate::overrides::results;
use crate::request::Reply;
use crate::resource::{Level, Named, Study, may_be_a_study};
use crate::route::is_uid;

/// Members of every job's submission, as 1.12.7 and 1.13.0 have them. `UserData` is only kept with the job.
const JOB: [&str; 5] = ["Asynchronous", "Permissive", "Priority", "Synchronous", "UserData"];

/// Members of a modification and an anonymization.
const CHANGE: [&str; 9] =
    ["Force", "Keep", "KeepLabels", "KeepSource", "LossyQuality", "PrivateCreator", "Remove", "Replace", "Transcode"];

fn members(of: &[&[&'static str]]) -> Vec<&'static str> {
    of.concat()
}

fn members_of(change: Change, more: &[&'static str]) -> Vec<&'static str> {
    let own: &[&str] = match change {
        Change::Modify => &["RemovePrivateTags"],
        Change::Anonymize => &["DicomVersion", "KeepPrivateTags"],
    };
    members(&[&JOB, &CHANGE, own, more])
}

/// `/tools/bulk-modify` and `/tools/bulk-anonymize`.
pub(super) fn bulk(asked: &Asked<'_>, change: Change) -> Result<Reply, HostError> {
    let more: &[&str] = if change == Change::Modify { &["Level", "Resources"] } else { &["Resources"] };
    let body = asked.body(&members_of(change, more))?;
    let actor = asked.act(&asked.resources(&body, "Resources")?)?;
    submit(asked, &actor, change, body)
}

/// `/{level}/{id}/modify` and `/{level}/{id}/anonymize`.
pub(super) fn one(asked: &Asked<'_>, change: Change, level: Level, id: &str) -> Result<Reply, HostError> {
    let body = asked.body(&members_of(change, &[]))?;
    let actor = asked.act(&[Named::Orthanc(level, id.into())])?;
    submit(asked, &actor, change, body)
}

fn submit(
    asked: &Asked<'_>,
    actor: &Actor<'_>,
    change: Change,
    mut body: Map<String, Value>,
) -> Result<Reply, HostError> {
    let identifiers = Identifiers::read(asked, &body, Paths::Read)?;
    identifiers.check_patients(asked, actor, change)?;
    identifiers.check_studies(asked, actor)?;
    body.insert("KeepLabels".to_owned(), Value::Bool(true));
    Ok(asked.answer(actor.identity, asked.send_change(&body)?))
}

/// `/studies/{id}/merge`: the study of the path and everything in the body must be allowed. What is merged takes the
/// labels of the study that it goes into.
pub(super) fn merge(asked: &Asked<'_>, study: &str) -> Result<Reply, HostError> {
    let body = asked.body(&members(&[&JOB, &["KeepSource", "Resources"]]))?;
    let mut names = asked.resources(&body, "Resources")?;
    names.push(Named::Orthanc(Level::Study, study.into()));
    let actor = asked.act(&names)?;
    Ok(asked.answer(actor.identity, asked.send_change(&body)?))
}

/// `/studies/{id}/split`: the new study gets the labels of the old one, which Orthanc does not do by itself.
pub(super) fn split(asked: &Asked<'_>, study: &str) -> Result<Reply, HostError> {
    let body =
        asked.body(&members(&[&JOB, &["Instances", "KeepLabels", "KeepSource", "Remove", "Replace", "Series"]]))?;
    let mut names = vec![Named::Orthanc(Level::Study, study.into())];
    for (member, level) in [("Series", Level::Series), ("Instances", Level::Instance)] {
        if body.contains_key(member) {
            names.extend(asked.resources_of(&body, member, level)?);
        }
    }
    let actor = asked.act(&names)?;
    // The new study gets a new UID from the core, which lets nobody replace it; it may go to another patient.
    Identifiers::read(asked, &body, Paths::Unread)?.check_new_patients(asked, &actor)?;
    let host = asked.context.host;
    // Read now: the study is gone when everything in it was split off.
    let labels: Vec<String> = crate::host::read_answer(&host.get(&format!("/studies/{study}/labels"))?)?;
    let answer = asked.send_change(&body)?;
    if let Some(job) = asked.claim(&answer, actor.identity) {
        asked.context.results.wait(host, &job, labels);
    } else {
        let made: Value = crate::host::read_answer(&answer)?;
        if let Some(made) = made.get("TargetStudy").and_then(Value::as_str) {
            results::label(host, made, &labels)?;
        }
    }
    asked.context.gate.resources.labels_changed();
    Ok(core_call::json(answer))
}

/// What a body does to the identifiers that say which patient and study an image belongs to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Identifiers {
    /// Values for the PatientID.
    patients: Vec<String>,
    /// Values for the StudyInstanceUID.
    studies: Vec<String>,
    keeps_patient: bool,
    keeps_study: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    PatientId,
    StudyUid,
    Other,
}

/// Whether the core reads a tag with a dot in it as a path into a sequence. To the one route where it does not, it may
/// be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paths {
    Read,
    Unread,
}

/// The tags in a list of a body; of one that is not there, none.
fn listed(asked: &Asked<'_>, body: &Map<String, Value>, member: &str, paths: Paths) -> Result<Vec<Tag>, HostError> {
    let Some(names) = body.get(member) else { return Ok(Vec::new()) };
    let read = |name: &Value| {
        let name = name.as_str().ok_or(HostError::BAD_REQUEST)?;
        tag(name, paths).ok_or_else(|| asked.refuse(&format!("the tag {name:?} in the body")))
    };
    names.as_array().ok_or(HostError::BAD_REQUEST)?.iter().map(read).collect()
}

impl Identifiers {
    fn read(asked: &Asked<'_>, body: &Map<String, Value>, paths: Paths) -> Result<Self, HostError> {
        let mut found = Self::default();
        match body.get("Replace") {
            None => {}
            Some(Value::Object(replacements)) => {
                for (name, value) in replacements {
                    let values = match tag(name, paths) {
                        None => return Err(asked.refuse(&format!("the tag {name:?} in the body"))),
                        Some(Tag::Other) => continue,
                        Some(Tag::PatientId) => &mut found.patients,
                        Some(Tag::StudyUid) => &mut found.studies,
                    };
                    values.push(value.as_str().ok_or(HostError::BAD_REQUEST)?.trim().to_owned());
                }
            }
            Some(_) => return Err(HostError::BAD_REQUEST),
        }
        let kept = listed(asked, body, "Keep", paths)?;
        found.keeps_patient = kept.contains(&Tag::PatientId);
        found.keeps_study = kept.contains(&Tag::StudyUid);
        // To the core, whoever has no PatientID is the patient of whom it is empty.
        let removed = listed(asked, body, "Remove", paths)?;
        found.patients.extend(removed.iter().filter(|tag| **tag == Tag::PatientId).map(|_| String::new()));
        // One tag in two spellings, or replaced and removed: which of them counts is not ours to guess.
        if found.patients.len() > 1 || found.studies.len() > 1 {
            return Err(HostError::BAD_REQUEST);
        }
        Ok(found)
    }

    /// The patients that results go to: new ones, or such whose studies are all allowed.
    fn check_patients(&self, asked: &Asked<'_>, actor: &Actor<'_>, change: Change) -> Result<(), HostError> {
        self.check_new_patients(asked, actor)?;
        let leaves_patient = !self.patients.is_empty() || (change == Change::Anonymize && !self.keeps_patient);
        if leaves_patient {
            return Ok(());
        }
        let mut patients = BTreeSet::new();
        for study in sources(actor).keys() {
            let description = asked.context.host.get(&format!("/studies/{study}"))?;
            let description: Value = crate::host::read_answer(&description)?;
            let patient = description.get("ParentPatient").and_then(Value::as_str).ok_or(HostError::PLUGIN)?;
            patients.insert(patient.to_owned());
        }
        // Each once: a patient is all its studies.
        for patient in patients {
            if !asked.may_touch(actor.identity, &[Named::Orthanc(Level::Patient, patient.into())]) {
                return Err(asked.refuse(
                    "what is kept of the patient would be written anew, and not all studies of the patient are allowed",
                ));
            }
        }
        Ok(())
    }

    fn check_new_patients(&self, asked: &Asked<'_>, actor: &Actor<'_>) -> Result<(), HostError> {
        for id in &self.patients {
            // Letters that the file's encoding lacks would make another identifier; a data URI is decoded.
            let is_plain = !id.is_empty() && id.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'\\');
            if !is_plain || id.len() > 64 || id.to_ascii_lowercase().starts_with("data:") {
                return Err(asked.refuse("the new PatientID is no plain text"));
            }
            if may_be_a_study(id) {
                return Err(asked.refuse("a patient with the new PatientID may have the Orthanc identifier of a study"));
            }
            let patients = asked.context.gate.resources.with_uid(Level::Patient, id);
            let patients = patients.map_err(|error| asked.refuse(&format!("the new PatientID: {error}")))?;
            let names: Vec<_> = patients.iter().map(|id| Named::Orthanc(Level::Patient, (&**id).into())).collect();
            if !asked.may_touch(actor.identity, &names) {
                return Err(asked.refuse("the new PatientID is that of a patient whose studies are not all allowed"));
            }
        }
        Ok(())
    }

    /// The studies that results go to: new ones, or those that they come from.
    fn check_studies(&self, asked: &Asked<'_>, actor: &Actor<'_>) -> Result<(), HostError> {
        let sources = sources(actor);
        let mut uids: Vec<&str> = Vec::new();
        for uid in &self.studies {
            if !is_uid(uid) {
                return Err(asked.refuse("the new StudyInstanceUID is none"));
            }
            uids.push(uid);
        }
        if self.keeps_study || !self.patients.is_empty() {
            uids.extend(sources.values().map(|study| &*study.uid));
        }
        for uid in &uids {
            let carriers = asked.context.gate.resources.with_uid(Level::Study, uid);
            let carriers = carriers.map_err(|error| asked.refuse(&format!("the new StudyInstanceUID: {error}")))?;
            if !carriers.iter().all(|carrier| sources.contains_key(&**carrier)) {
                return Err(asked.refuse(
                    "the result would enter a study that is here already: use /studies/{id}/merge for one that is allowed",
                ));
            }
        }
        // Sources that go into one study would each add their labels to it.
        let mut labels = sources.values().map(|study| &study.labels);
        let first = labels.next();
        if !uids.is_empty() && labels.any(|labels| Some(labels) != first) {
            return Err(asked.refuse("sources with other labels than each other would come together in one study"));
        }
        Ok(())
    }
}

/// The studies that a request takes its images from, by Orthanc identifier.
fn sources<'a>(actor: &'a Actor<'_>) -> BTreeMap<&'a str, &'a Study> {
    actor.touched.iter().map(|located| (&*located.study.id, &located.study)).collect()
}

/// What a tag in a body stands for; `None` for a spelling that we do not read for sure. Orthanc takes keywords and
/// numbers, and paths into sequences, which identify nothing.
fn tag(name: &str, paths: Paths) -> Option<Tag> {
    if name.contains('.') {
        return (paths == Paths::Read).then_some(Tag::Other);
    }
    let number = match *name.as_bytes() {
        [ref group @ .., b',' | b'-', a, b, c, d] if group.len() == 4 => Some([group, &[a, b, c, d]].concat()),
        ref digits if digits.len() == 8 && digits.iter().all(u8::is_ascii_hexdigit) => Some(digits.to_vec()),
        _ => None,
    };
    if let Some(number) = number {
        return match number.to_ascii_lowercase().as_slice() {
            b"00100020" => Some(Tag::PatientId),
            b"0020000d" => Some(Tag::StudyUid),
            digits if digits.iter().all(u8::is_ascii_hexdigit) => Some(Tag::Other),
            _ => None,
        };
    }
    match name {
        "PatientID" => Some(Tag::PatientId),
        "StudyInstanceUID" => Some(Tag::StudyUid),
        // The keywords of the standard are letters and digits, and Orthanc compares them exactly.
        _ if name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && !["PatientID", "StudyInstanceUID"].iter().any(|known| known.eq_ignore_ascii_case(name)) =>
        {
            Some(Tag::Other)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_in_every_spelling_that_orthanc_takes_or_not_at_all() {
        let tag = |name| tag(name, Paths::Read);
        for name in ["StudyInstanceUID", "0020,000d", "0020-000D", "0020000d", "0020000D"] {
            assert_eq!(tag(name), Some(Tag::StudyUid), "{name}");
        }
        for name in ["PatientID", "0010,0020", "0010-0020", "00100020"] {
            assert_eq!(tag(name), Some(Tag::PatientId), "{name}");
        }
        for name in ["PatientName", "0010,0010", "ReferencedStudySequence[0].StudyInstanceUID", "0020000E", "dEADbEEF"]
        {
            assert_eq!(tag(name), Some(Tag::Other), "{name}");
        }
        for name in [
            "(0020,000d)",
            "20,d",
            " StudyInstanceUID",
            "StudyInstanceUID ",
            "studyinstanceuid",
            "PATIENTID",
            "0020 000d",
            "0x20,0xd",
            "+020,000d",
            "0020,00 d",
            "",
            "Study Instance UID",
            "RETIRED_StudyInstanceUID",
            "StudyInstanceUID[0]",
        ] {
            assert_eq!(tag(name), None, "{name}");
        }
        assert_eq!(super::tag("0010,0020.x", Paths::Unread), None);
    }
}
