//! Share links: what may be asked for, the token that stands for it, and the URLs that it is handed out in.
//!
//! Pure: texts and moments in, values out. Knows nothing of the server, of the store, of who asks or of HTTP. Whether
//! a resource exists, may be shared or was revoked is for the caller.
#![forbid(unsafe_code)]

pub mod code;
pub(crate) mod date;
pub mod decode;
pub mod defaults;
pub mod kind;
pub mod limits;
pub mod request;
pub mod token;
mod validity;
pub mod viewer;

use serde_json::{Value, json};

use crate::level::Level;
use crate::policy::decision::LinkedResource;
use crate::route::{is_orthanc_id, is_uid};

/// One resource that a link opens. At least one of the identifiers is there, and each is well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareResource {
    /// The level that the identifiers belong to.
    pub level: Level,
    /// Orthanc identifier.
    pub orthanc_id: Option<String>,
    /// DICOM UID.
    pub dicom_uid: Option<String>,
    /// Kept as it was given, for whoever reads the token; opens nothing by itself.
    pub url: Option<String>,
}

impl ShareResource {
    /// Whether the identifiers can belong to a resource at all.
    fn is_well_formed(&self) -> bool {
        (self.orthanc_id.is_some() || self.dicom_uid.is_some())
            && self.orthanc_id.as_deref().is_none_or(is_orthanc_id)
            && self.dicom_uid.as_deref().is_none_or(is_uid)
    }
}

impl ShareResource {
    /// The resources as a link's record has them.
    #[must_use]
    pub fn write_all(resources: &[Self]) -> String {
        let written =
            |one: &Self| json!({"OrthancId": one.orthanc_id, "DicomUid": one.dicom_uid, "Level": one.level.singular()});
        Value::Array(resources.iter().map(written).collect()).to_string()
    }

    /// The resources in a link's record. `None`: it is not what was written.
    #[must_use]
    pub fn read_all(json: &str) -> Option<Vec<Self>> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Listed {
            orthanc_id: Option<String>,
            dicom_uid: Option<String>,
            level: String,
        }
        let listed: Vec<Listed> = serde_json::from_str(json).ok()?;
        let resources = listed.into_iter().map(|Listed { orthanc_id, dicom_uid, level }| {
            let resource = Self { level: Level::parse(&level)?, orthanc_id, dicom_uid, url: None };
            resource.is_well_formed().then_some(resource)
        });
        resources.collect()
    }
}

impl From<&ShareResource> for LinkedResource {
    fn from(resource: &ShareResource) -> Self {
        Self { level: resource.level, orthanc_id: resource.orthanc_id.clone(), dicom_uid: resource.dicom_uid.clone() }
    }
}

/// A request whose body cannot be served. The message says what and where, and is for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRequest {
    /// For example `Resources[2].Level: is missing`.
    pub message: String,
}

pub(crate) fn bad(place: &str, what: impl std::fmt::Display) -> BadRequest {
    BadRequest { message: format!("{place}: {what}") }
}
