//! `docs/configuration.md` says what is read: every key, every variable, and examples that work.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::authorization::{prepare, walk};
use super::super::section::Reader;
use super::super::{jsonc, variables};
use super::*;

const DOCUMENT: &str = include_str!("../../../docs/configuration.md");

/// The names in the first column of the tables between two marks.
fn documented(mark: &str) -> BTreeSet<String> {
    let (_, rest) = DOCUMENT.split_once(&format!("<!-- {mark} -->")).unwrap();
    let (part, _) = rest.split_once(&format!("<!-- end of {mark} -->")).unwrap();
    let rows = part.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_key_is_documented_and_every_documented_key_is_read() {
    // A missing section is walked like an empty one; only what a site names itself must be there to be walked.
    let section = json!({
        "Keycloak": {}, "Users": {"u": {}}, "Roles": {"r": {}}, "Shares": {"Defaults": {"r": {}}},
        "ExtraPermissions": [["get", "^/$", "", {}]],
    });
    let environment = Fake::default();
    let (orthanc, _) = prepare(&json!({ "Authorization": section }).to_string(), &environment).unwrap().unwrap();
    let reader = Reader::new(&environment, Default::default());
    walk(&reader, &orthanc);
    let mut asked = reader.asked();
    asked.remove("Authorization");
    let (own, servers): (BTreeSet<_>, BTreeSet<_>) =
        asked.into_iter().partition(|key| key.starts_with("Authorization."));
    let own: BTreeSet<_> = own.iter().filter_map(|key| key.strip_prefix("Authorization.")).map(str::to_owned).collect();
    // Sections whose keys are documented one by one.
    let is_section =
        |key: &String, all: &BTreeSet<String>| all.iter().any(|other| other.starts_with(&format!("{key}.")));
    let leaves =
        |all: &BTreeSet<String>| all.iter().filter(|key| !is_section(key, all)).cloned().collect::<BTreeSet<_>>();
    let rows = documented("keys");
    assert_eq!(leaves(&own), leaves(&rows));
    assert!(rows.is_subset(&own));
    assert_eq!(leaves(&servers), documented("keys of Orthanc"));
}

#[test]
fn every_variable_is_documented() {
    assert_eq!(variables::names().into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), documented("variables"));
}

/// Every example that is a whole configuration is one.
#[test]
fn the_examples_work() {
    let environment = files(&[
        ("/run/secrets/share-key", "0123456789abcdef0123456789abcdef"),
        ("/etc/ssl/site-ca.pem", "-----BEGIN CERTIFICATE-----"),
    ]);
    let mut count = 0;
    for block in DOCUMENT.split("```jsonc\n").skip(1) {
        let example = block.split("```").next().unwrap();
        let value = jsonc::parse(example).unwrap();
        if value.get("Authorization").is_some() {
            let config = read(&value.to_string(), &environment).unwrap_or_else(|faults| panic!("{example}{faults}"));
            assert_eq!(config.unwrap().warnings, Vec::<String>::new(), "{example}");
            count += 1;
        }
    }
    assert!(count >= 3);
}
