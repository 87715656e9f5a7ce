//! Tells the server which of our functions to call. Must not know what they do.

use super::host::{OrthancHost, c_text, check};
use super::{callbacks, sdk};
use crate::host::{Host as _, HostError};

/// A callback that the server would not take.
#[derive(Debug, thiserror::Error)]
#[error("the server does not take the callback for {what}: {error}")]
pub(super) struct RegistrationError {
    what: String,
    error: HostError,
}

/// Registers everything. When it fails the plugin must not start: an unguarded server would.
pub(super) fn all(host: &OrthancHost, rest_pattern: &str) -> Result<(), RegistrationError> {
    register(host, "the request filter", |context| {
        // SAFETY: the context promise; the function stays mapped (the library is never unloaded).
        unsafe { sdk::gh_register_filter(context, Some(callbacks::filter)) }
    })?;
    if host.version().has_http_authentication() {
        register(host, "authentication (another plugin has registered one?)", |context| {
            // SAFETY: as above.
            unsafe { sdk::gh_register_authentication(context, Some(callbacks::authentication)) }
        })?;
    }
    register(host, "changes", |context| {
        // SAFETY: as above.
        unsafe { sdk::gh_register_change(context, Some(callbacks::change)) }
    })?;
    register(host, "incoming instances", |context| {
        // SAFETY: as above.
        unsafe { sdk::gh_register_dicom_filter(context, Some(callbacks::receive)) }
    })?;
    register(host, "stored instances", |context| {
        // SAFETY: as above.
        unsafe { sdk::gh_register_stored_instance(context, Some(callbacks::stored)) }
    })?;
    let failed = |error| RegistrationError { what: rest_pattern.to_owned(), error };
    let text = c_text(rest_pattern).map_err(failed)?;
    register(host, rest_pattern, |context| {
        // SAFETY: as above; the pattern outlives the call.
        unsafe { sdk::gh_register_rest(context, text.as_ptr(), Some(callbacks::rest)) }
    })
}

/// What only one plugin can have, after all others had their chance. Without it nothing gets in that may not; but
/// servers that compare an instance with what they have before they ask the filter (1.13.0) then tell whoever may
/// upload whether an instance is here of which all identifiers are known.
pub(super) fn late(host: &OrthancHost) {
    let registered = register(host, "instances as they are received", |context| {
        // SAFETY: as above.
        unsafe { sdk::gh_register_received_instance(context, Some(callbacks::received)) }
    });
    if registered.is_err() {
        log::warn!(
            "another plugin looks at instances as they are received: whether an instance is here already can be told from its upload, and what the holder of a link may not bring in is answered with 500 instead of 400"
        );
    }
}

fn register(
    host: &OrthancHost,
    what: &str,
    service: impl FnOnce(*mut sdk::gh_context) -> sdk::gh_error,
) -> Result<(), RegistrationError> {
    host.with(|context| check(service(context))).map_err(|error| RegistrationError { what: what.to_owned(), error })
}
