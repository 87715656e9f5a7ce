//! Calls of the core on behalf of a request: the same method, path, arguments and body.

use std::fmt::Write;

use crate::host::{CoreAnswer, Host, HostError, HostVersion, Method};
use crate::request::{Reply, Request, RestRequest};

/// The path and arguments of a request, percent-encoded again as far as the server decodes them.
#[must_use]
pub fn uri(request: &Request<'_>, version: HostVersion) -> String {
    // What separates tags (`0010,0010;PatientID`) needs no encoding, and is then right for whatever server.
    let encode_argument = |uri: &mut String, text: &str| {
        if version.decodes_arguments() { encode(uri, text, b",;:*") } else { uri.push_str(text) }
    };
    let mut uri = path(request.path);
    for (at, (name, value)) in request.arguments.iter().enumerate() {
        uri.push(if at == 0 { '?' } else { '&' });
        encode_argument(&mut uri, name);
        if !value.is_empty() {
            uri.push('=');
            encode_argument(&mut uri, value);
        }
    }
    uri
}

/// A path, percent-encoded again.
#[must_use]
pub fn path(decoded: &str) -> String {
    let mut path = String::with_capacity(decoded.len() + 16);
    encode(&mut path, decoded, b"/");
    path
}

fn encode(into: &mut String, text: &str, also: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            into.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

/// The core's answer, untouched.
pub fn pass_on(host: &dyn Host, call: &RestRequest<'_>) -> Result<Reply, HostError> {
    let request = &call.request;
    // JSON is what the core answers unless somebody asks for XML; then it has to see the header.
    let accept = request.header("accept").filter(|accept| accept.contains("xml"));
    if let Some(accept) = accept {
        let answer = host.call(request.method, &uri(request, host.version()), &[("accept", accept)], call.body)?;
        return Ok(from_core(answer));
    }
    let uri = uri(request, host.version());
    let body = match request.method {
        Method::Get => host.get(&uri)?,
        Method::Post => host.post(&uri, call.body)?,
        Method::Put => host.put(&uri, call.body)?,
        Method::Delete => {
            host.delete(&uri)?;
            Vec::new()
        }
    };
    // The routes that we stand before answer JSON or nothing.
    if body.is_empty() { Ok(empty()) } else { Ok(json(body)) }
}

fn from_core(answer: CoreAnswer) -> Reply {
    let xml = answer.headers.iter().any(|(name, value)| name == "content-type" && value.contains("xml"));
    let content_type = match (answer.body.is_empty(), xml) {
        (true, _) => "text/plain",
        (false, true) => "application/xml; charset=utf-8",
        (false, false) => JSON,
    };
    Reply::Answer { status: answer.status, content_type, headers: Vec::new(), body: answer.body }
}

/// Orthanc's own type of a JSON answer.
pub const JSON: &str = "application/json; charset=utf-8";

/// 200 with JSON, as the core answers it.
#[must_use]
pub fn json(body: Vec<u8>) -> Reply {
    Reply::Answer { status: 200, content_type: JSON, headers: Vec::new(), body }
}

/// 200 with nothing.
#[must_use]
pub fn empty() -> Reply {
    Reply::Answer { status: 200, content_type: "text/plain", headers: Vec::new(), body: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_encoded_so_that_the_core_reads_the_same() {
        let request = Request {
            method: Method::Get,
            path: "/studies/a b/labels/é?x&y",
            remote: "",
            headers: Vec::new(),
            arguments: vec![("expand", ""), ("requestedTags", "0010,0010;PatientID"), ("a&b", "c=d#%")],
        };
        assert_eq!(
            uri(&request, HostVersion::new(1, 13, 0)),
            "/studies/a%20b/labels/%C3%A9%3Fx%26y?expand&requestedTags=0010,0010;PatientID&a%26b=c%3Dd%23%25"
        );
    }

    #[test]
    fn a_server_that_does_not_decode_arguments_gets_them_as_they_came() {
        let request = Request {
            method: Method::Get,
            path: "/studies/a b",
            remote: "",
            headers: Vec::new(),
            arguments: vec![("requestedTags", "0010%2C0010;PatientID"), ("expand", "")],
        };
        assert_eq!(
            uri(&request, HostVersion::new(1, 12, 7)),
            "/studies/a%20b?requestedTags=0010%2C0010;PatientID&expand"
        );
    }
}
