//! The labels that wait for a study which a job is about to make.
//!
//! Orthanc keeps labels by itself when it modifies or anonymizes (`KeepLabels`), but not when it splits a study. Until
//! the labels are set, nobody who does not hold all labels sees the new study.

use std::sync::Arc;

use quick_cache::sync::Cache;
use serde_json::Value;

use crate::host::{Host, HostError};

/// How many jobs are remembered. One that is forgotten leaves its result without labels: closed.
const CAPACITY: usize = 10_000;

/// Labels by job.
pub struct Results {
    waiting: Cache<Box<str>, Arc<[String]>>,
}

impl Default for Results {
    fn default() -> Self {
        Self { waiting: Cache::new(CAPACITY) }
    }
}

impl Results {
    /// Remembers the labels for the study that a job makes. The job may have ended already.
    pub fn wait(&self, host: &dyn Host, job: &str, labels: Vec<String>) {
        self.waiting.insert(job.into(), labels.into());
        self.finish(host, job);
    }

    /// Labels what a job has made, when it has ended and labels wait for it. Says whether it did.
    pub fn finish(&self, host: &dyn Host, job: &str) -> bool {
        let Some(labels) = self.waiting.get(job) else { return false };
        let Some(description) = host.get(&format!("/jobs/{job}")).ok().and_then(|job| parse(&job)) else {
            return false;
        };
        let state = description.get("State").and_then(Value::as_str).unwrap_or_default();
        if !matches!(state, "Success" | "Failure") {
            return false;
        }
        // A job that failed may be run again, and go on with the same study.
        if state == "Success" {
            self.waiting.remove(job);
        }
        let made = description.get("Content").and_then(|content| content.get("TargetStudy")).and_then(Value::as_str);
        let Some(study) = made else { return false };
        if let Err(error) = label(host, study, &labels) {
            log::error!("the study that job {job} made cannot be labelled, and stays without its labels: {error}");
        }
        true
    }
}

/// Labels a study.
pub(super) fn label(host: &dyn Host, study: &str, labels: &[String]) -> Result<(), HostError> {
    // Orthanc takes letters, digits, `-` and `_` in a label: nothing that would have to be encoded.
    labels.iter().try_for_each(|label| host.put(&format!("/studies/{study}/labels/{label}"), b"").map(drop))
}

fn parse(answer: &[u8]) -> Option<Value> {
    crate::json::from_slice(answer).ok()
}
