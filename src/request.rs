//! An HTTP request as the server hands it to the filter and to a REST callback: borrowed from the host's memory for
//! the length of one call. Knows nothing of credentials or routes.
#![forbid(unsafe_code)]

use crate::host::Method;

/// A request at the incoming-request filter, before any handler runs. It has no body there.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The effective method (after Orthanc applied `_method`).
    pub method: Method,
    /// The path, percent-decoded and folded by the server; a trailing slash is still there.
    pub path: &'a str,
    /// The peer's IP address as the server saw it.
    pub remote: &'a str,
    /// Headers, names in lower case. Of repeated headers the server keeps the first. Values that are no UTF-8 are
    /// left out: nothing that we read can be in them.
    pub headers: Vec<(&'a str, &'a str)>,
    /// GET arguments in their order, repeats included, decoded; empty for other methods.
    pub arguments: Vec<(&'a str, &'a str)>,
}

impl<'a> Request<'a> {
    /// The value of a header, by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }
}

/// A request at a REST callback: what the filter saw, plus the body.
#[derive(Clone, Debug)]
pub struct RestRequest<'a> {
    /// The request.
    pub request: Request<'a>,
    /// The body; empty for GET and DELETE.
    pub body: &'a [u8],
}

/// What a REST callback answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A status with a body.
    Answer {
        /// HTTP status.
        status: u16,
        /// MIME type of the body.
        content_type: &'static str,
        /// Further headers.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// 405 with the methods that are allowed, as `Allow` wants them: `GET,PUT`.
    MethodNotAllowed(&'static str),
    /// An error code of Orthanc, which writes its usual JSON error body for it.
    HostError(crate::host::HostError),
}

impl Reply {
    /// 200 with a JSON body.
    #[must_use]
    pub fn json(body: Vec<u8>) -> Self {
        Self::Answer { status: 200, content_type: "application/json", headers: Vec::new(), body }
    }

    /// The same answer with further headers. The server's own answers take none.
    #[must_use]
    pub fn with_headers(mut self, more: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.extend(more);
        }
        self
    }
}

/// A change that the server reports (`OrthancPluginChangeType`), as far as we care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The server has started and answers requests.
    Started,
    /// The server is about to stop, and answers requests still.
    Stopped,
    /// A patient, study, series or instance is gone; its Orthanc identifier.
    Deleted(String),
    /// A job has succeeded or failed; its identifier.
    JobEnded(String),
    /// Anything else.
    Other,
}

/// How an instance came in (`OrthancPluginInstanceOrigin`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// C-STORE: over the DICOM port, or as the answer to a C-GET.
    Dicom,
    /// HTTP, a plugin, Lua, WebDAV, a job: where it matters, the thread says whose request it is.
    Other,
}

/// How an HTTP request brings instances in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadWay {
    /// DICOM files, each into the study that it names.
    Files,
    /// The same, into the one study that the path names.
    IntoStudy,
    /// The server makes the instance from what the body says.
    Made,
}

/// A DICOM instance on its way in, borrowed from the server for the length of one call.
#[derive(Clone, Copy)]
pub struct ReceivedInstance<'a> {
    /// How it came in.
    pub origin: Origin,
    /// The calling AET of a C-STORE; else empty.
    pub remote_aet: &'a str,
    /// Its size in bytes.
    pub size: u64,
    /// Its file, as it came; empty when the server does not give it.
    pub file: &'a [u8],
    /// Its tags, as Orthanc's simplified JSON. They are read each time they are asked for, which costs.
    pub tags: &'a dyn Fn() -> Result<String, crate::host::HostError>,
}
