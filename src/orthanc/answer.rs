//! Writes the reply of a REST callback to the server's output. Must not know what is answered.

use super::host::{OrthancHost, c_text, check, size};
use super::sdk;
use crate::host::HostError;
use crate::request::Reply;

/// Writes a reply. What it returns is what the callback returns: an error lets the server write its usual JSON body.
///
/// # Safety
/// `output` is the one that the server gave to the REST callback in which this is called.
pub(super) unsafe fn write(host: &OrthancHost, output: *mut sdk::gh_output, reply: Reply) -> Result<(), HostError> {
    match reply {
        Reply::Answer { status, content_type, headers, body } => {
            let size = size(&body)?;
            for (name, value) in &headers {
                // SAFETY: handed on by the caller.
                unsafe { set_header(host, output, name, value) }?;
            }
            if status == 200 {
                let content_type = c_text(content_type)?;
                return host.with(|context| {
                    // SAFETY: the context promise and the output promise; body and type outlive the call.
                    check(unsafe { sdk::gh_answer(context, output, body.as_ptr().cast(), size, content_type.as_ptr()) })
                });
            }
            // The server adds `Content-Type: text/plain` to all but 200 and lets nobody change it; one of ours would
            // stand beside it.
            host.with(|context| {
                // SAFETY: the context promise and the output promise; the body outlives the call.
                check(unsafe { sdk::gh_send_status(context, output, status, body.as_ptr().cast(), size) })
            })
        }
        Reply::MethodNotAllowed(allowed) => {
            let allowed = c_text(allowed)?;
            host.with(|context| {
                // SAFETY: the context promise and the output promise; the text outlives the call.
                check(unsafe { sdk::gh_send_method_not_allowed(context, output, allowed.as_ptr()) })
            })
        }
        Reply::HostError(error) => Err(error),
    }
}

/// # Safety
/// As [`write`].
unsafe fn set_header(
    host: &OrthancHost,
    output: *mut sdk::gh_output,
    name: &str,
    value: &str,
) -> Result<(), HostError> {
    // A line break would let a value write headers of its own.
    if value.chars().any(char::is_control) {
        return Err(HostError::PLUGIN);
    }
    let name = c_text(name)?;
    let value = c_text(value)?;
    host.with(|context| {
        // SAFETY: the context promise and the output promise; the texts outlive the call.
        check(unsafe { sdk::gh_set_header(context, output, name.as_ptr(), value.as_ptr()) })
    })
}
