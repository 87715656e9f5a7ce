//! What the doctor says, asked as the local user `admin`. Must not know what is wrong.
use crate::site::{Site, Who};
use serde_json::Value;
use std::time::Duration;
use testbed::clock::wait_until;

/// How long the background thread may take, on a busy machine.
pub const LONG: Duration = Duration::from_secs(40);

pub fn examine(site: &Site) -> Vec<Value> {
    let answer = site.get(&Who::user("admin"), "/auth/doctor");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let findings = answer.json().unwrap().as_array().unwrap().clone();
    for finding in &findings {
        for member in ["Severity", "Code", "Key", "Message", "Change"] {
            assert!(finding[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {finding}");
        }
    }
    findings
}

pub fn find(findings: &[Value], code: &str) -> Option<Value> {
    findings.iter().find(|finding| finding["Code"] == code).cloned()
}

/// Waits for a finding: what a provider says is asked for in the background.
pub fn wait_for(site: &Site, code: &str) -> Value {
    let found = wait_until(LONG, || find(&examine(site), code));
    found.unwrap_or_else(|| panic!("no {code} in {:#?}\n{}", examine(site), site.server.log()))
}

pub fn wait_without(site: &Site, code: &str) {
    let gone = wait_until(LONG, || find(&examine(site), code).is_none().then_some(()));
    assert!(gone.is_some(), "{code} stays: {:#?}", examine(site));
}

pub fn assert_says(finding: &Value, severity: &str, parts: &[&str]) {
    assert_eq!(finding["Severity"], severity, "{finding}");
    let text = format!("{} {}", finding["Message"].as_str().unwrap(), finding["Change"].as_str().unwrap());
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}
