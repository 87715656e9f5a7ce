//! The functions that the server calls while it runs: each translates, asks the running plugin inside a guard, and
//! translates back. The refusal of each stands in it. Must not know what is decided.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::guard::{Callback, guard};
use super::host::{OrthancHost, was_awaited};
use super::translate::Pairs;
use super::{answer, register, sdk, translate};
use crate::callbacks::{Callbacks, Entrance, Verdict};
use crate::host::HostError;
use crate::request::{Change, Origin, ReceivedInstance, Reply};

/// The plugin between Initialize and Finalize; every callback refuses while there is none.
pub(super) static RUNNING: ArcSwapOption<Running> = ArcSwapOption::const_empty();

/// What the callbacks need.
pub(super) struct Running {
    pub(super) callbacks: Arc<dyn Callbacks>,
    pub(super) host: Arc<OrthancHost>,
}

/// The filter's answers. They are no error codes: there 0 would be success.
const FILTER_REFUSES: i32 = 0;
const FILTER_ALLOWS: i32 = 1;

const SUCCESS: sdk::gh_error = 0;

/// `OrthancPluginIncomingHttpRequestFilter2`. Refuses on a panic.
pub(super) unsafe extern "C" fn filter(
    method: sdk::gh_method,
    uri: *const c_char,
    ip: *const c_char,
    headers_count: u32,
    headers_keys: *const *const c_char,
    headers_values: *const *const c_char,
    get_count: u32,
    get_keys: *const *const c_char,
    get_values: *const *const c_char,
) -> i32 {
    let verdict = guard(Callback::Filter, || {
        let running = RUNNING.load();
        let Some(running) = running.as_deref() else { return FILTER_REFUSES };
        let headers = Pairs { count: headers_count, names: headers_keys, values: headers_values };
        let arguments = Pairs { count: get_count, names: get_keys, values: get_values };
        // SAFETY: the argument promise; the request ends with this closure.
        let request = unsafe { translate::filter_request(method, uri, ip, headers, arguments) };
        let Some(request) = request else {
            running.callbacks.before_filter();
            log::info!("refused a request whose method, path or arguments cannot be read");
            return FILTER_REFUSES;
        };
        match running.callbacks.filter(&request) {
            Some(_permit) => FILTER_ALLOWS,
            None => FILTER_REFUSES,
        }
    });
    verdict.unwrap_or_else(|| {
        forget();
        FILTER_REFUSES
    })
}

/// `OrthancPluginHttpAuthentication`. Sends browsers to log in where the gate says so; what it lets pass, the filter
/// decides. Forbids on a panic and when the plugin is not running.
pub(super) unsafe extern "C" fn authentication(
    status: *mut sdk::gh_authentication,
    _payload: *mut sdk::gh_buffer,
    redirection: *mut sdk::gh_buffer,
    uri: *const c_char,
    ip: *const c_char,
    headers_count: u32,
    headers_keys: *const *const c_char,
    headers_values: *const *const c_char,
    get_count: u32,
    get_keys: *const *const c_char,
    get_values: *const *const c_char,
) -> sdk::gh_error {
    let verdict = guard(Callback::Authentication, || {
        let running = RUNNING.load();
        let Some(running) = running.as_deref() else { return sdk::gh_authentication_forbidden };
        running.callbacks.before_filter();
        if !running.callbacks.authenticates() {
            return sdk::gh_authentication_granted;
        }
        let headers = Pairs { count: headers_count, names: headers_keys, values: headers_values };
        let arguments = Pairs { count: get_count, names: get_keys, values: get_values };
        // SAFETY: the argument promise; the request ends with this closure.
        let request = unsafe { translate::filter_request(sdk::gh_method_get, uri, ip, headers, arguments) };
        // What cannot be read is the filter's to refuse.
        let Some(request) = request else { return sdk::gh_authentication_granted };
        match running.callbacks.authenticate(&request) {
            Entrance::Open => sdk::gh_authentication_granted,
            Entrance::Unauthorized => sdk::gh_authentication_unauthorized,
            // SAFETY: the buffer promise: empty, and for us to fill during this call.
            Entrance::Redirect(path) => match unsafe { running.host.fill(redirection, path.as_bytes()) } {
                Ok(()) => sdk::gh_authentication_redirect,
                Err(_) => sdk::gh_authentication_unauthorized,
            },
        }
    });
    let verdict = verdict.unwrap_or(sdk::gh_authentication_forbidden);
    if status.is_null() {
        return HostError::PLUGIN.0;
    }
    // SAFETY: the argument promise: not null, and for us to write during this call.
    unsafe { status.write(verdict) };
    SUCCESS
}

/// `OrthancPluginRestCallback`. An error of the plugin on a panic.
pub(super) unsafe extern "C" fn rest(
    output: *mut sdk::gh_output,
    uri: *const c_char,
    request: *const sdk::gh_http_request,
) -> sdk::gh_error {
    let awaited = guard(Callback::Awaited, || {
        // SAFETY: the argument promise.
        let awaited = was_awaited(unsafe { translate::text(uri) });
        if let Some(running) = RUNNING.load().as_deref().filter(|_| awaited) {
            // Nobody reads it; an error would be one in the server's log.
            let nothing = Reply::json(b"null".to_vec());
            // SAFETY: the output promise: this is its callback.
            let _written = unsafe { answer::write(&running.host, output, nothing) };
        }
        awaited
    });
    if awaited == Some(true) {
        return SUCCESS;
    }
    let outcome = guard(Callback::Rest, || {
        let running = RUNNING.load_full().ok_or(HostError::FORBIDDEN)?;
        // SAFETY: the argument promise; the request ends with this closure.
        let request = unsafe { translate::rest_request(uri, request) };
        let reply = match request {
            Some(request) => running.callbacks.rest(&request),
            None => Reply::HostError(HostError::FORBIDDEN),
        };
        // SAFETY: the output promise: this is its callback.
        unsafe { answer::write(&running.host, output, reply) }
    });
    match outcome {
        Some(Ok(())) => SUCCESS,
        // A fault that calls itself success would leave the client without an answer.
        Some(Err(HostError(SUCCESS))) | None => HostError::PLUGIN.0,
        Some(Err(error)) => error.0,
    }
}

/// `OrthancPluginOnChangeCallback`. A panic is only logged: nothing is decided here, and a server whose start is
/// answered with an error ends itself (1.12.7, 1.13.0).
pub(super) unsafe extern "C" fn change(
    change: sdk::gh_change,
    _level: sdk::gh_level,
    resource: *const c_char,
) -> sdk::gh_error {
    let _told = guard(Callback::Change, || {
        if let Some(running) = RUNNING.load_full() {
            // SAFETY: the argument promise.
            let change = unsafe { translate::change(change, resource) };
            if change == Change::Started {
                register::late(&running.host);
            }
            running.callbacks.change(change);
        }
    });
    SUCCESS
}

/// The instance filter's answers; no error codes either.
const INSTANCE_DROPPED: i32 = 0;
const INSTANCE_TAKEN: i32 = 1;
/// As good a refusal as dropping, but the sender is told: a C-STORE that is dropped is answered with success.
const INSTANCE_FAILED: i32 = -1;

/// `OrthancPluginIncomingDicomInstanceFilter`. Fails the instance on a panic and when the plugin is not running.
pub(super) unsafe extern "C" fn receive(instance: *const sdk::gh_instance) -> i32 {
    let verdict = guard(Callback::Receive, || {
        let Some(running) = RUNNING.load_full() else { return INSTANCE_FAILED };
        // SAFETY: the instance promise.
        let verdict = unsafe { with_instance(&running.host, instance, |received| running.callbacks.receive(received)) };
        match verdict {
            Verdict::Taken => INSTANCE_TAKEN,
            Verdict::Dropped => INSTANCE_DROPPED,
            Verdict::Failed => INSTANCE_FAILED,
        }
    });
    verdict.unwrap_or(INSTANCE_FAILED)
}

/// What an instance is replaced by so that the server refuses it as no DICOM file, and answers 400. A discarded one is
/// answered with 200, which looks like success to whoever does not read the instance's status.
const NO_DICOM: &[u8] = b"refused";

/// `OrthancPluginReceivedInstanceCallback`: an instance before the server compares it with what it has. Discards it on
/// a panic; while the plugin is not running, [`receive`] refuses it.
pub(super) unsafe extern "C" fn received(
    modified: *mut sdk::gh_buffer64,
    file: *const c_void,
    size: u64,
    _origin: sdk::gh_origin,
) -> sdk::gh_received_action {
    let action = guard(Callback::Received, || {
        let Some(running) = RUNNING.load_full() else { return sdk::gh_received_keep };
        if !running.callbacks.must_look() {
            return sdk::gh_received_keep;
        }
        // SAFETY: the argument promise; the text that comes of it is our own.
        let tags = || unsafe { running.host.file_tags(file, size) };
        // SAFETY: the argument promise; what is borrowed ends with this closure.
        let bytes = unsafe { translate::bytes(file, size) };
        let Some(bytes) = bytes else { return sdk::gh_received_discard };
        let received = ReceivedInstance { origin: Origin::Other, remote_aet: "", size, file: bytes, tags: &tags };
        match running.callbacks.look(&received) {
            Verdict::Taken => sdk::gh_received_keep,
            Verdict::Dropped => sdk::gh_received_discard,
            // SAFETY: the buffer promise: empty, and for us to fill during this call.
            Verdict::Failed => match unsafe { running.host.fill64(modified, NO_DICOM) } {
                Ok(()) => sdk::gh_received_modify,
                Err(_) => sdk::gh_received_discard,
            },
        }
    });
    action.unwrap_or(sdk::gh_received_discard)
}

/// `OrthancPluginOnStoredInstanceCallback`. A panic is only logged: the instance is stored, and without a label nobody
/// who is limited sees it.
pub(super) unsafe extern "C" fn stored(instance: *const sdk::gh_instance, id: *const c_char) -> sdk::gh_error {
    let _told = guard(Callback::Stored, || {
        let Some(running) = RUNNING.load_full() else { return };
        // SAFETY: the argument promise.
        let Some(id) = (unsafe { translate::text(id) }) else { return };
        // SAFETY: the instance promise.
        unsafe { with_instance(&running.host, instance, |received| running.callbacks.stored(received, id)) };
    });
    SUCCESS
}

/// Hands an instance to `call` as safe Rust, for the length of that call.
///
/// # Safety
/// `instance` is the one that the server gave to the callback in which this is called.
unsafe fn with_instance<T>(
    host: &OrthancHost,
    instance: *const sdk::gh_instance,
    call: impl FnOnce(&ReceivedInstance<'_>) -> T,
) -> T {
    // SAFETY: the caller's promise; what is borrowed from it ends with this function.
    let (origin, remote_aet) = unsafe { host.instance_origin(instance) };
    // SAFETY: as above.
    let tags = || unsafe { host.instance_tags(instance) };
    // SAFETY: as above.
    let size = unsafe { host.instance_size(instance) };
    // SAFETY: as above.
    let file = unsafe { host.instance_file(instance, size) };
    call(&ReceivedInstance { origin, remote_aet: &remote_aet, size, file, tags: &tags })
}

/// After a filter that failed half-way: whose request this thread served last must not be what a later call finds.
fn forget() {
    // The request is refused already, whatever becomes of this.
    let _refused_anyway = guard(Callback::Forget, || {
        if let Some(running) = RUNNING.load().as_deref() {
            running.callbacks.before_filter();
        }
    });
}
