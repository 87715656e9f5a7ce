//! C's arrays to the borrowed requests of `request`. What cannot be said in Rust (a text that is no UTF-8, a method
//! that we do not know) is `None`, and the callback refuses without asking further. Must not know what a request means.

use std::ffi::{CStr, c_char, c_void};

use super::sdk;
use crate::host::Method;
use crate::request::{Change, Request, RestRequest};

/// Two arrays of the same length, as the server hands over names and values.
#[derive(Clone, Copy)]
pub(super) struct Pairs {
    pub(super) count: u32,
    pub(super) names: *const *const c_char,
    pub(super) values: *const *const c_char,
}

/// The request at the filter.
///
/// # Safety
/// The pointers are those of one call of the filter by the server, and `'a` ends before that call returns.
pub(super) unsafe fn filter_request<'a>(
    method: sdk::gh_method,
    uri: *const c_char,
    ip: *const c_char,
    headers: Pairs,
    arguments: Pairs,
) -> Option<Request<'a>> {
    Some(Request {
        method: translate_method(method)?,
        // SAFETY: the argument promise, handed on by the caller.
        path: unsafe { text(uri) }?,
        // SAFETY: as above.
        remote: unsafe { text(ip) }?,
        // SAFETY: as above.
        headers: unsafe { translate_headers(headers) }?,
        // SAFETY: as above.
        arguments: unsafe { translate_arguments(arguments) }?,
    })
}

/// The request at a REST callback. The server does not say there where the request came from: `remote` is empty.
///
/// # Safety
/// The pointers are those of one call of a REST callback by the server, and `'a` ends before that call returns.
pub(super) unsafe fn rest_request<'a>(
    uri: *const c_char,
    request: *const sdk::gh_http_request,
) -> Option<RestRequest<'a>> {
    // SAFETY: the argument promise; our declaration ends before the fields that older hosts do not have.
    let request = unsafe { request.as_ref() }?;
    let headers = Pairs { count: request.headers_count, names: request.headers_keys, values: request.headers_values };
    let arguments = Pairs { count: request.get_count, names: request.get_keys, values: request.get_values };
    Some(RestRequest {
        request: Request {
            method: translate_method(request.method)?,
            // SAFETY: the argument promise, handed on by the caller.
            path: unsafe { text(uri) }?,
            remote: "",
            // SAFETY: as above.
            headers: unsafe { translate_headers(headers) }?,
            // SAFETY: as above.
            arguments: unsafe { translate_arguments(arguments) }?,
        },
        // SAFETY: as above.
        body: unsafe { slice(request.body.cast::<u8>(), request.body_size) }?,
    })
}

/// A change. A resource without a readable identifier is [`Change::Other`].
///
/// # Safety
/// `resource` is null or a text of the server's, as the argument promise says.
pub(super) unsafe fn change(change: sdk::gh_change, resource: *const c_char) -> Change {
    match change {
        sdk::gh_change_started => Change::Started,
        sdk::gh_change_stopped => Change::Stopped,
        // SAFETY: the argument promise, handed on by the caller.
        sdk::gh_change_deleted => unsafe { text(resource) }.map_or(Change::Other, |id| Change::Deleted(id.to_owned())),
        sdk::gh_change_job_success | sdk::gh_change_job_failure => {
            // SAFETY: as above.
            unsafe { text(resource) }.map_or(Change::Other, |id| Change::JobEnded(id.to_owned()))
        }
        _ => Change::Other,
    }
}

const fn translate_method(method: sdk::gh_method) -> Option<Method> {
    match method {
        sdk::gh_method_get => Some(Method::Get),
        sdk::gh_method_post => Some(Method::Post),
        sdk::gh_method_put => Some(Method::Put),
        sdk::gh_method_delete => Some(Method::Delete),
        _ => None,
    }
}

/// Headers by which the server decides how it reads a body, and we whether we change something.
const NOT_LEFT_OUT: [&str; 6] =
    ["content-encoding", "content-length", "content-type", "if-match", "transfer-encoding", "x-file-size"];

/// # Safety
/// As [`filter_request`].
unsafe fn translate_headers<'a>(pairs: Pairs) -> Option<Vec<(&'a str, &'a str)>> {
    // SAFETY: the argument promise, handed on by the caller.
    let (names, values) = unsafe { arrays(pairs) }?;
    let mut headers = Vec::with_capacity(names.len());
    for (name, value) in names.iter().zip(values) {
        // SAFETY: as above.
        let name = unsafe { text(*name) };
        // SAFETY: as above.
        let value = unsafe { text(*value) };
        match (name, value) {
            (Some(name), Some(value)) => headers.push((name, value)),
            // What says how the body is read must not be hidden from us, nor a condition be taken for none.
            (Some(name), None) if NOT_LEFT_OUT.iter().any(|known| name.eq_ignore_ascii_case(known)) => return None,
            // A credential that we could read is never in a header that is no UTF-8, so leaving it out gives nothing
            // away.
            _ => {}
        }
    }
    Some(headers)
}

/// # Safety
/// As [`filter_request`].
unsafe fn translate_arguments<'a>(pairs: Pairs) -> Option<Vec<(&'a str, &'a str)>> {
    // SAFETY: the argument promise, handed on by the caller.
    let (names, values) = unsafe { arrays(pairs) }?;
    let mut arguments = Vec::with_capacity(names.len());
    for (name, value) in names.iter().zip(values) {
        // SAFETY: as above.
        let name = unsafe { text(*name) }?;
        // SAFETY: as above.
        let value = unsafe { text(*value) }?;
        arguments.push((name, value));
    }
    Some(arguments)
}

type Texts<'a> = &'a [*const c_char];

/// # Safety
/// As [`filter_request`].
unsafe fn arrays<'a>(pairs: Pairs) -> Option<(Texts<'a>, Texts<'a>)> {
    // SAFETY: the argument promise: both arrays have `count` elements.
    let names = unsafe { slice(pairs.names, pairs.count) }?;
    // SAFETY: as above.
    let values = unsafe { slice(pairs.values, pairs.count) }?;
    Some((names, values))
}

/// A file, of at most the size that the server itself takes from us.
///
/// # Safety
/// `start` is null or points to `size` bytes that stay valid and unchanged during `'a`.
pub(super) unsafe fn bytes<'a>(start: *const c_void, size: u64) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    unsafe { slice(start.cast(), u32::try_from(size).ok()?) }
}

/// An empty array may come as a null pointer; null with a length is `None`.
///
/// # Safety
/// `start` is null or points to `count` elements that stay valid and unchanged during `'a`.
unsafe fn slice<'a, T>(start: *const T, count: u32) -> Option<&'a [T]> {
    if count == 0 {
        return Some(&[]);
    }
    if start.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller's promise.
    Some(unsafe { std::slice::from_raw_parts(start, usize::try_from(count).ok()?) })
}

/// # Safety
/// `start` is null or points to a text that ends with a NUL and stays valid and unchanged during `'a`.
pub(super) unsafe fn text<'a>(start: *const c_char) -> Option<&'a str> {
    if start.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller's promise.
    unsafe { CStr::from_ptr(start) }.to_str().ok()
}

#[cfg(test)]
#[path = "translate_tests.rs"]
mod tests;
