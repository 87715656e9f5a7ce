//! `docs/configuration.md` says what is read: every key, every variable, and examples that work.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::authorization::{prepare, walk};
use super::super::section::Reader;
use super::super::{RolesSource, jsonc, variables};
use super::*;
use crate::policy::roles::Roles;

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
    let documents = [
        (DOCUMENT, 3),
        (include_str!("../../../README.md"), 2),
        (include_str!("../../../docs/keycloak.md"), 4),
        (include_str!("../../../docs/migration.md"), 1),
        (include_str!("../../../docs/viewers.md"), 1),
        (include_str!("../../../docs/operations.md"), 0),
        (include_str!("../../../docs/mail.md"), 1),
    ];
    for (document, at_least) in documents {
        let mut count = 0;
        for block in document.split("```jsonc\n").skip(1) {
            let example = block.split("```").next().unwrap();
            let value = jsonc::parse(example).unwrap();
            if value.get("Authorization").is_some() {
                sound_without_warning(example);
                count += 1;
            }
        }
        assert!(count >= at_least, "{count} instead of {at_least}");
    }
}

/// What goes into the container: a configuration without a warning, and roles that its rules ask for.
#[test]
fn the_sample_files_work() {
    let config = sound_without_warning(include_str!("../../../docker/orthanc.json"));
    assert!(!config.dicom_server_enabled);
    assert_eq!(config.roles, RolesSource::File("/etc/orthanc/permissions.jsonc".into()));

    let site = include_str!("../../../docker/site/orthanc.json").replace("${PUBLIC_DOMAIN}", "pacs.example");
    let site = sound_without_warning(&site);
    assert!(!site.dicom_server_enabled && site.login.is_some());
    // nginx alone: the network that compose.yaml gives it.
    let network = site.trusted_proxies[0].to_string();
    let compose = include_str!("../../../docker/compose.yaml");
    assert!(compose.contains(&format!("subnet: {network}")), "{network}");

    let text = jsonc::strip_comments(include_str!("../../../docker/permissions.jsonc"));
    let roles = Roles::parse(&text).unwrap();
    let asked = config.rules.iter().flat_map(|rule| rule.permissions.iter().cloned()).collect();
    roles.check_permissions(&asked).unwrap();
    for (name, user) in &config.users {
        assert!(user.roles.iter().all(|role| roles.roles.contains_key(role)), "{name}");
    }
}

/// Reads a whole configuration with comments; the secrets and certificates that our examples name are there.
fn sound_without_warning(text: &str) -> Config {
    let environment = files(&[
        ("/run/secrets/share-key", "0123456789abcdef0123456789abcdef"),
        ("/run/secrets/keycloak-service", "a-secret-of-the-service-account"),
        ("/run/secrets/admin-password-hash", HASH),
        ("/run/secrets/doctor-password-hash", HASH),
        ("/run/secrets/mailer-password-hash", HASH),
        ("/run/secrets/mail-password", "a-password-at-the-mail-server"),
        ("/etc/orthanc/mail-templates/share-content.html", "<p>{ShareUrl}</p>"),
        ("/etc/ssl/site-ca.pem", "-----BEGIN CERTIFICATE-----"),
    ]);
    let value = jsonc::parse(text).unwrap();
    let config = read(&value.to_string(), &environment).unwrap_or_else(|faults| panic!("{text}\n{faults}"));
    let config = config.unwrap();
    assert_eq!(config.warnings, Vec::new(), "{text}");
    config
}
