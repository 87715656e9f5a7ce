//! Studies with short names (`a1`); identifiers and UIDs are made from them.

use std::collections::{BTreeMap, BTreeSet};

use crate::bytes::{hex, sha256};
use crate::resource::Level;

/// The Orthanc identifier of a resource by its short name.
pub fn id(name: &str) -> String {
    let hex = hex(&sha256(name));
    [&hex[0..8], &hex[8..16], &hex[16..24], &hex[24..32], &hex[32..40]].join("-")
}

/// The DICOM UID of a resource by its short name; for a patient the PatientID. A name with a backslash has one that to the
/// server is two, and no name none.
pub fn uid(name: &str) -> String {
    if name.is_empty() {
        return String::new();
    }
    if let Some((one, other)) = name.split_once('\\') {
        return format!("{}\\{}", uid(one), uid(other));
    }
    let digits: Vec<String> = name.bytes().map(|byte| byte.to_string()).collect();
    format!("1.2.{}", digits.join("."))
}

/// A study with its series; each series has one instance, named like it with a `1` behind.
#[derive(Clone, Debug)]
pub struct FakeStudy {
    pub name: String,
    pub patient: String,
    /// Whose UIDs it carries, and its series too: its own name, or that of a twin.
    pub twin: String,
    pub labels: BTreeSet<String>,
    pub series: Vec<String>,
}

/// A study with two series (`a1x`, `a1y`).
pub fn study(patient: &str, name: &str, labels: &[&str]) -> FakeStudy {
    FakeStudy {
        name: name.to_owned(),
        patient: patient.to_owned(),
        twin: name.to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        series: vec![format!("{name}x"), format!("{name}y")],
    }
}

/// The world of most tests: `a` allowed to `ext`, `b` to `int`, `c` one study each, `d` both labels on one study, `e`
/// no label, `f` and `g` two patients' studies with the same UIDs, `h` two studies of `ext`.
pub fn world() -> Vec<FakeStudy> {
    let mut twin = study("pg", "g1", &["int"]);
    twin.twin = "f1".to_owned();
    vec![
        study("pa", "a1", &["ext"]),
        study("pb", "b1", &["int"]),
        study("pc", "c1", &["ext"]),
        study("pc", "c2", &["int"]),
        study("pd", "d1", &["ext", "int"]),
        study("pe", "e1", &[]),
        study("pf", "f1", &["ext"]),
        twin,
        study("ph", "h1", &["ext"]),
        study("ph", "h2", &["ext"]),
    ]
}

/// One resource of the hierarchy.
#[derive(Clone, Debug)]
pub struct FakeNode {
    pub level: Level,
    pub id: String,
    pub uid: String,
    pub parent: String,
    pub labels: BTreeSet<String>,
    /// The studies that it is or lies in; for a patient all of them.
    pub studies: Vec<FakeStudy>,
}

/// All resources, from the top down.
pub fn nodes(studies: &[FakeStudy]) -> Vec<FakeNode> {
    let mut patients: BTreeMap<&str, Vec<FakeStudy>> = BTreeMap::new();
    let mut found = Vec::new();
    for study in studies {
        patients.entry(&study.patient).or_default().push(study.clone());
    }
    for (patient, studies) in patients {
        found.push(node(Level::Patient, patient, patient, "", &[], studies));
    }
    for study in studies {
        let lies_in = vec![study.clone()];
        let labels: Vec<&str> = study.labels.iter().map(String::as_str).collect();
        found.push(node(Level::Study, &study.name, &study.twin, &study.patient, &labels, lies_in.clone()));
        for series in &study.series {
            let twin = series.replacen(&study.name, &study.twin, 1);
            let instance = format!("{series}1");
            found.push(node(Level::Series, series, &twin, &study.name, &[], lies_in.clone()));
            found.push(node(Level::Instance, &instance, &format!("{twin}1"), series, &[], lies_in.clone()));
        }
    }
    // As Orthanc answers them.
    found.sort_by(|one, other| (one.level, &one.id).cmp(&(other.level, &other.id)));
    found
}

fn node(level: Level, name: &str, twin: &str, parent: &str, labels: &[&str], studies: Vec<FakeStudy>) -> FakeNode {
    FakeNode {
        level,
        id: id(name),
        uid: uid(twin),
        parent: if parent.is_empty() { String::new() } else { id(parent) },
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        studies,
    }
}
