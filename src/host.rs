//! What this library asks of the server that loaded it.
//!
//! Everything beyond `orthanc` talks to the server through [`Host`], so that it can be tested without one. This file
//! must not know how a call is made.
#![forbid(unsafe_code)]

use serde::de::DeserializeOwned;

/// The four methods of Orthanc's REST API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// GET; Orthanc also hands HEAD and PROPFIND on as GET.
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
}

impl Method {
    /// The method's name in upper case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// Reads a method's name in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Get, Self::Post, Self::Put, Self::Delete].into_iter().find(|m| m.as_str().eq_ignore_ascii_case(name))
    }
}

/// The version of the running Orthanc. A mainline build (development version) counts as newer than all releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostVersion {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Revision number.
    pub revision: u32,
}

impl HostVersion {
    /// A version from its three numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32, revision: u32) -> Self {
        Self { major, minor, revision }
    }

    /// Since 1.13.0 the arguments of a request are decoded before a plugin sees them, and those of an internal call
    /// before the core reads them. Older servers do neither: there the text is handed on as it came.
    #[must_use]
    pub fn decodes_arguments(self) -> bool {
        self >= Self::new(1, 13, 0)
    }

    /// Since 1.12.11 a search with an empty list of labels and the constraint `None` finds what has no label at all. Before,
    /// it finds everything.
    #[must_use]
    pub fn finds_unlabelled(self) -> bool {
        self >= Self::new(1, 12, 11)
    }

    /// Since 1.12.9 an authentication callback is called before the filter, for every request.
    #[must_use]
    pub fn has_http_authentication(self) -> bool {
        self >= Self::new(1, 12, 9)
    }
}

/// An error code of Orthanc (`OrthancPluginErrorCode`), as a service of the server returned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Orthanc answered error code {0}")]
pub struct HostError(pub i32);

impl HostError {
    /// `OrthancPluginErrorCode_Plugin`: the plugin itself failed.
    pub const PLUGIN: Self = Self(1);
    /// `OrthancPluginErrorCode_InexistentItem`: answered as 404.
    pub const INEXISTENT_ITEM: Self = Self(7);
    /// `OrthancPluginErrorCode_BadRequest`: answered as 400.
    pub const BAD_REQUEST: Self = Self(8);
    /// `OrthancPluginErrorCode_UnknownResource`: answered as 404.
    pub const UNKNOWN_RESOURCE: Self = Self(17);
    /// `OrthancPluginErrorCode_ForbiddenAccess`: answered as 403.
    pub const FORBIDDEN: Self = Self(45);
}

/// The server's answer, read as JSON.
///
/// # Errors
/// [`HostError::PLUGIN`] for what is none, or nests too deeply: what was not understood is not handed on.
pub fn read_answer<T: DeserializeOwned>(answer: &[u8]) -> Result<T, HostError> {
    crate::json::from_slice(answer).map_err(|_| HostError::PLUGIN)
}

/// What the core answered to a call with headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreAnswer {
    /// HTTP status.
    pub status: u16,
    /// The answer's headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The answer's body.
    pub body: Vec<u8>,
}

/// The server, as far as this library needs it. All calls but one go to the core and past every plugin's REST callbacks.
///
/// Called from many threads at once. `uri` is a path with its arguments, percent-encoded.
pub trait Host: Send + Sync {
    /// The running server's version.
    fn version(&self) -> HostVersion;
    /// GET of the core's REST API; the body.
    fn get(&self, uri: &str) -> Result<Vec<u8>, HostError>;
    /// POST to the core's REST API; the answer's body.
    fn post(&self, uri: &str, body: &[u8]) -> Result<Vec<u8>, HostError>;
    /// PUT to the core's REST API; the answer's body.
    fn put(&self, uri: &str, body: &[u8]) -> Result<Vec<u8>, HostError>;
    /// DELETE in the core's REST API. The core's answer is not handed out.
    fn delete(&self, uri: &str) -> Result<(), HostError>;
    /// A call of the core's REST API with HTTP headers, whose status and headers are wanted too.
    fn call(&self, method: Method, uri: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<CoreAnswer, HostError>;
    /// Whether our own REST callback is the one that the server calls for this path: of several plugins that registered
    /// for it, it calls the first. Tried with a GET, of which our callback does nothing but notice it.
    fn calls_us(&self, path: &str) -> bool;
    /// The text that the server's index keeps for plugins under a number; empty when there is none. Each server has its own,
    /// also of several on one index.
    fn property(&self, number: i32) -> Result<String, HostError>;
    /// Keeps a text there, in place of the one before.
    fn keep_property(&self, number: i32, text: &str) -> Result<(), HostError>;
}
