//! The server that the benchmarks run in: a stub that knows one study, so that nothing but the plugin takes time.

use orthanc_gatehouse::host::{CoreAnswer, Host, HostError, HostVersion, Method};
use serde_json::json;

/// Its identifier.
pub const STUDY: &str = "0f1e2d3c-4b5a6978-8796a5b4-c3d2e1f0-01234567";
const PATIENT: &str = "76543210-0f1e2d3c-4b5a6978-8796a5b4-c3d2e1f0";

/// A server with one study that carries the label `external`.
pub struct OneStudy;

impl Host for OneStudy {
    fn calls_us(&self, _path: &str) -> bool {
        true
    }
    fn property(&self, _: i32) -> Result<String, HostError> {
        Ok(String::new())
    }
    fn keep_property(&self, _: i32, _: &str) -> Result<(), HostError> {
        Err(HostError::PLUGIN)
    }
    fn version(&self) -> HostVersion {
        HostVersion::new(1, 13, 0)
    }

    fn get(&self, uri: &str) -> Result<Vec<u8>, HostError> {
        if uri != format!("/studies/{STUDY}") {
            return Err(HostError::UNKNOWN_RESOURCE);
        }
        let tags = json!({"StudyInstanceUID": "1.2.3"});
        let study = json!({"ID": STUDY, "ParentPatient": PATIENT, "Labels": ["external"], "MainDicomTags": tags});
        Ok(study.to_string().into_bytes())
    }

    fn post(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, HostError> {
        Err(HostError::UNKNOWN_RESOURCE)
    }

    fn put(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, HostError> {
        Err(HostError::UNKNOWN_RESOURCE)
    }

    fn delete(&self, _: &str) -> Result<(), HostError> {
        Err(HostError::UNKNOWN_RESOURCE)
    }

    fn call(&self, _: Method, _: &str, _: &[(&str, &str)], _: &[u8]) -> Result<CoreAnswer, HostError> {
        Err(HostError::UNKNOWN_RESOURCE)
    }
}
