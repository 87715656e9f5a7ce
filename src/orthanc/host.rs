//! [`Host`] over the server's plugin context. Must not know why it is called.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::NonNull;

use parking_lot::RecursiveRwLock;

use super::sdk;
use super::version;
use crate::host::{CoreAnswer, Host, HostError, HostVersion, Method};
use crate::request::Origin;

/// The name under which the server and its viewers know this plugin (Orthanc Explorer 2 looks for it).
pub(super) const NAME: &CStr = c"authorization";

/// Why the server cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostFault {
    #[error("the server gave no context")]
    NoContext,
    #[error("the server's version \"{0}\" cannot be read")]
    Version(String),
    #[error("Orthanc {0} is too old: the authorization plugin needs {min}.{mid}.{rev} or later",
        min = version::MINIMUM.major, mid = version::MINIMUM.minor, rev = version::MINIMUM.revision)]
    TooOld(String),
    #[error("the server's configuration cannot be read: {0}")]
    Configuration(HostError),
}

/// The server that loaded us, until [`OrthancHost::cut_off`].
pub(super) struct OrthancHost {
    /// Empty once the server is gone. Readers hold the lock during a call, so that none is under way when it is cut
    /// off.
    context: RecursiveRwLock<Option<Context>>,
    version: HostVersion,
}

struct Context(NonNull<sdk::gh_context>);

// SAFETY: the context promise: any thread may use it.
unsafe impl Send for Context {}
// SAFETY: the context promise: several threads may use it at once.
unsafe impl Sync for Context {}

impl OrthancHost {
    /// Takes the context that the server gave at start.
    ///
    /// # Safety
    /// `context` is null or what `OrthancPluginInitialize` was called with, and [`Self::cut_off`] is called before
    /// `OrthancPluginFinalize` returns.
    pub(super) unsafe fn new(context: *mut sdk::gh_context) -> Result<Self, HostFault> {
        let context = NonNull::new(context).ok_or(HostFault::NoContext)?;
        // SAFETY: the context promise; not null.
        let stated = unsafe { context.as_ref() }.orthanc_version;
        if stated.is_null() {
            return Err(HostFault::Version(String::new()));
        }
        // SAFETY: the context promise: a text that lives as long as the context.
        let stated = unsafe { CStr::from_ptr(stated) }.to_string_lossy().into_owned();
        let version = version::parse(&stated).ok_or_else(|| HostFault::Version(stated.clone()));
        let host = Self { context: RecursiveRwLock::new(Some(Context(context))), version: version? };
        if host.version < version::MINIMUM {
            return Err(HostFault::TooOld(stated));
        }
        Ok(host)
    }

    /// Waits for calls that are under way and refuses all later ones.
    pub(super) fn cut_off(&self) {
        *self.context.write() = None;
    }

    /// Calls the server, as long as it is there. The pointer is valid during `call` only.
    pub(super) fn with<T>(
        &self,
        call: impl FnOnce(*mut sdk::gh_context) -> Result<T, HostError>,
    ) -> Result<T, HostError> {
        // Recursive: a call of the core may lead to another of our callbacks on the same thread.
        let context = self.context.read();
        match context.as_ref() {
            Some(context) => call(context.0.as_ptr()),
            None => Err(HostError::PLUGIN),
        }
    }

    /// One line in the server's log, with its place in our source.
    pub(super) fn log(&self, level: log::Level, file: &str, line: u32, message: String) {
        let level = match level {
            log::Level::Error => sdk::gh_log_level_error,
            log::Level::Warn => sdk::gh_log_level_warning,
            log::Level::Info | log::Level::Debug | log::Level::Trace => sdk::gh_log_level_info,
        };
        let (Ok(file), Ok(message)) = (CString::new(file), CString::new(message)) else { return };
        // Without a server there is no log to complain in.
        let _logged = self.with(|context| {
            // SAFETY: the context promise; the texts outlive the call.
            unsafe { sdk::gh_log_named(context, level, NAME.as_ptr(), file.as_ptr(), line, message.as_ptr()) };
            Ok(())
        });
    }

    /// The server's whole configuration as JSON, with environment variables replaced and files merged.
    pub(super) fn configuration(&self) -> Result<String, HostFault> {
        self.text(sdk::gh_get_configuration).map_err(HostFault::Configuration)
    }

    /// The configuration's file, or the folder with its files; what the configuration's relative paths begin at.
    pub(super) fn configuration_path(&self) -> Result<String, HostFault> {
        self.text(sdk::gh_get_configuration_path).map_err(HostFault::Configuration)
    }

    fn text(
        &self,
        service: unsafe extern "C" fn(*mut sdk::gh_context, *mut *mut c_char) -> sdk::gh_error,
    ) -> Result<String, HostError> {
        // SAFETY: the context promise; the text outlives the call.
        self.text_of(|context, text| unsafe { service(context, text) })
    }

    /// The text that a service allocates; `service` is given a place for it that outlives the call.
    fn text_of(
        &self,
        service: impl FnOnce(*mut sdk::gh_context, *mut *mut c_char) -> sdk::gh_error,
    ) -> Result<String, HostError> {
        self.with(|context| {
            let mut text: *mut c_char = std::ptr::null_mut();
            check(service(context, &raw mut text))?;
            let text = HostMemory { context, start: text.cast() };
            if text.start.is_null() {
                return Err(HostError::PLUGIN);
            }
            // SAFETY: the buffer promise: a text that is ours until `text` is dropped.
            let text = unsafe { CStr::from_ptr(text.start.cast_const().cast::<c_char>()) };
            text.to_str().map(str::to_owned).map_err(|_no_utf8| HostError::PLUGIN)
        })
    }

    /// How an instance came in, and the calling AET of a C-STORE.
    ///
    /// # Safety
    /// `instance` is the one that the server gave to the callback in which this is called.
    pub(super) unsafe fn instance_origin(&self, instance: *const sdk::gh_instance) -> (Origin, String) {
        let read = self.with(|context| {
            let mut origin = sdk::gh_origin_unknown;
            // SAFETY: the context promise and the instance promise; `origin` outlives the call.
            check(unsafe { sdk::gh_instance_origin(context, instance, &raw mut origin) })?;
            if origin != sdk::gh_origin_dicom {
                return Ok((Origin::Other, String::new()));
            }
            let mut aet: *const c_char = std::ptr::null();
            // SAFETY: as above; `aet` outlives the call.
            check(unsafe { sdk::gh_instance_remote_aet(context, instance, &raw mut aet) })?;
            if aet.is_null() {
                return Ok((Origin::Dicom, String::new()));
            }
            // SAFETY: the instance promise: a text that is valid during the callback.
            let aet = unsafe { CStr::from_ptr(aet) };
            Ok((Origin::Dicom, aet.to_str().unwrap_or_default().to_owned()))
        });
        read.unwrap_or_else(|error| {
            log::error!("how an instance came in cannot be read: no labels of an AET are given to it: {error}");
            (Origin::Other, String::new())
        })
    }

    /// The size of an instance in bytes; the largest number when the server does not say it, which nothing fits.
    ///
    /// # Safety
    /// As [`Self::instance_origin`].
    pub(super) unsafe fn instance_size(&self, instance: *const sdk::gh_instance) -> u64 {
        let read = self.with(|context| {
            let mut size = -1;
            // SAFETY: the context promise and the instance promise; `size` outlives the call.
            check(unsafe { sdk::gh_instance_size(context, instance, &raw mut size) })?;
            Ok(size)
        });
        read.ok().and_then(|size| u64::try_from(size).ok()).unwrap_or(u64::MAX)
    }

    /// The file of an instance of so many bytes; empty when the server does not give it, or it is of 4 GiB or more.
    ///
    /// # Safety
    /// As [`Self::instance_origin`]; the bytes are the instance's, and `'a` ends before it does.
    pub(super) unsafe fn instance_file<'a>(&self, instance: *const sdk::gh_instance, size: u64) -> &'a [u8] {
        let read = self.with(|context| {
            let mut data = std::ptr::null();
            // SAFETY: the context promise and the instance promise; `data` outlives the call.
            check(unsafe { sdk::gh_instance_data(context, instance, &raw mut data) })?;
            Ok(data)
        });
        // SAFETY: the server says that so many bytes are there, which the caller promises for `'a`.
        read.ok().and_then(|data| unsafe { super::translate::bytes(data.cast(), size) }).unwrap_or_default()
    }

    /// The tags of an instance as simplified JSON.
    ///
    /// # Safety
    /// As [`Self::instance_origin`].
    pub(super) unsafe fn instance_tags(&self, instance: *const sdk::gh_instance) -> Result<String, HostError> {
        self.text_of(|context, text| {
            // SAFETY: the context promise and the instance promise; `text` outlives the call.
            unsafe { sdk::gh_instance_simplified_json(context, instance, text) }
        })
    }

    /// The tags of a file that may be DICOM, as simplified JSON.
    ///
    /// # Safety
    /// `file` points to `size` bytes that stay valid and unchanged during the call.
    pub(super) unsafe fn file_tags(&self, file: *const c_void, size: u64) -> Result<String, HostError> {
        let size = u32::try_from(size).map_err(|_too_large| HostError::PLUGIN)?;
        self.with(|context| {
            let mut instance = std::ptr::null_mut();
            // SAFETY: the context promise and the caller's; `instance` outlives the call.
            check(unsafe { sdk::gh_create_instance(context, &raw mut instance, file, size) })?;
            // SAFETY: the context promise, and the instance is ours until it is given back below; nothing between
            // unwinds.
            let tags = unsafe { self.instance_tags(instance) };
            // SAFETY: made above, and given back here only.
            unsafe { sdk::gh_free_instance(context, instance) };
            tags
        })
    }

    /// Says in the list of plugins what this one is.
    pub(super) fn describe(&self, description: &CStr) -> Result<(), HostError> {
        self.with(|context| {
            // SAFETY: the context promise; the texts outlive the call.
            unsafe { sdk::gh_set_description(context, NAME.as_ptr(), description.as_ptr()) };
            Ok(())
        })
    }

    fn send(
        &self,
        service: unsafe extern "C" fn(
            *mut sdk::gh_context,
            *mut sdk::gh_buffer,
            *const c_char,
            *const std::ffi::c_void,
            u32,
        ) -> sdk::gh_error,
        uri: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, HostError> {
        let uri = c_text(uri)?;
        let size = size(body)?;
        self.with(|context| {
            let mut answer = EMPTY;
            // SAFETY: the context promise; URI, body and answer outlive the call.
            let code = unsafe { service(context, &raw mut answer, uri.as_ptr(), body.as_ptr().cast(), size) };
            take(context, code, answer)
        })
    }
}

impl Host for OrthancHost {
    fn version(&self) -> HostVersion {
        self.version
    }

    fn get(&self, uri: &str) -> Result<Vec<u8>, HostError> {
        let uri = c_text(uri)?;
        self.with(|context| {
            let mut answer = EMPTY;
            // SAFETY: the context promise; URI and answer outlive the call.
            let code = unsafe { sdk::gh_rest_get(context, &raw mut answer, uri.as_ptr()) };
            take(context, code, answer)
        })
    }

    fn post(&self, uri: &str, body: &[u8]) -> Result<Vec<u8>, HostError> {
        self.send(sdk::gh_rest_post, uri, body)
    }

    fn put(&self, uri: &str, body: &[u8]) -> Result<Vec<u8>, HostError> {
        self.send(sdk::gh_rest_put, uri, body)
    }

    fn delete(&self, uri: &str) -> Result<(), HostError> {
        let uri = c_text(uri)?;
        // SAFETY: the context promise; the URI outlives the call.
        self.with(|context| check(unsafe { sdk::gh_rest_delete(context, uri.as_ptr()) }))
    }

    fn call(&self, method: Method, uri: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<CoreAnswer, HostError> {
        let uri = c_text(uri)?;
        let size = size(body)?;
        let names = headers.iter().map(|(name, _)| c_text(name)).collect::<Result<Vec<_>, _>>()?;
        let values = headers.iter().map(|(_, value)| c_text(value)).collect::<Result<Vec<_>, _>>()?;
        let name_pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let value_pointers: Vec<_> = values.iter().map(|value| value.as_ptr()).collect();
        let count = u32::try_from(name_pointers.len()).map_err(|_too_many| HostError::PLUGIN)?;
        self.with(|context| {
            let (mut answer, mut answer_headers, mut status) = (EMPTY, EMPTY, 0);
            // SAFETY: the context promise; all that is pointed to outlives the call, and both arrays have `count`
            // elements.
            let code = unsafe {
                sdk::gh_rest_call(
                    context,
                    &raw mut answer,
                    &raw mut answer_headers,
                    &raw mut status,
                    method_number(method),
                    uri.as_ptr(),
                    count,
                    name_pointers.as_ptr(),
                    value_pointers.as_ptr(),
                    body.as_ptr().cast(),
                    size,
                )
            };
            // Both are taken before either error is looked at, so that both are given back.
            let body = take(context, code, answer);
            let headers = take(context, code, answer_headers);
            Ok(CoreAnswer { status, headers: read_headers(&headers?), body: body? })
        })
    }

    fn calls_us(&self, path: &str) -> bool {
        let Ok(uri) = c_text(path) else { return false };
        AWAITED.set(Some(path.to_owned()));
        // Whatever is answered, and by whom: only where the call went counts.
        let _answered = self.with(|context| {
            let mut answer = EMPTY;
            // SAFETY: the context promise; URI and answer outlive the call.
            let code = unsafe { sdk::gh_rest_get_through_plugins(context, &raw mut answer, uri.as_ptr()) };
            take(context, code, answer)
        });
        AWAITED.take().is_none()
    }

    fn property(&self, number: i32) -> Result<String, HostError> {
        // SAFETY: the context promise; both texts outlive the call.
        self.text_of(|context, text| unsafe { sdk::gh_get_global_property(context, number, c"".as_ptr(), text) })
    }

    fn keep_property(&self, number: i32, text: &str) -> Result<(), HostError> {
        let text = c_text(text)?;
        // SAFETY: the context promise; the text outlives the call.
        self.with(|context| check(unsafe { sdk::gh_set_global_property(context, number, text.as_ptr()) }))
    }
}

thread_local! {
    /// The path of a call that is to find out whether it comes back to us, until it has.
    static AWAITED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Whether a call that reached our REST callback is one of [`Host::calls_us`], which then knows that it did.
pub(super) fn was_awaited(path: Option<&str>) -> bool {
    AWAITED.with_borrow_mut(|awaited| awaited.take_if(|awaited| path == Some(awaited.as_str())).is_some())
}

impl OrthancHost {
    /// Fills a buffer that the server will give back to itself.
    ///
    /// # Safety
    /// `target` is null, or the server's own buffer to be filled in the callback in which this is called.
    pub(super) unsafe fn fill(&self, target: *mut sdk::gh_buffer, bytes: &[u8]) -> Result<(), HostError> {
        if target.is_null() || bytes.is_empty() {
            return Err(HostError::PLUGIN);
        }
        let size = size(bytes)?;
        self.with(|context| {
            // SAFETY: the context promise, and the caller's about the buffer.
            check(unsafe { sdk::gh_create_buffer(context, target, size) })
        })?;
        // SAFETY: not null, and the caller's promise.
        let start = unsafe { (*target).data };
        // SAFETY: the service has just made it `size` bytes long.
        unsafe { copy_into(start, bytes) }
    }

    /// As [`Self::fill`], for a buffer that may be large.
    ///
    /// # Safety
    /// As [`Self::fill`].
    pub(super) unsafe fn fill64(&self, target: *mut sdk::gh_buffer64, bytes: &[u8]) -> Result<(), HostError> {
        if target.is_null() || bytes.is_empty() {
            return Err(HostError::PLUGIN);
        }
        let size = u64::try_from(bytes.len()).map_err(|_too_large| HostError::PLUGIN)?;
        self.with(|context| {
            // SAFETY: the context promise, and the caller's about the buffer.
            check(unsafe { sdk::gh_create_buffer64(context, target, size) })
        })?;
        // SAFETY: not null, and the caller's promise.
        let start = unsafe { (*target).data };
        // SAFETY: the service has just made it `size` bytes long.
        unsafe { copy_into(start, bytes) }
    }
}

/// # Safety
/// `start` is null, or begins as many bytes as are copied, which nobody else has seen.
unsafe fn copy_into(start: *mut c_void, bytes: &[u8]) -> Result<(), HostError> {
    if start.is_null() {
        return Err(HostError::PLUGIN);
    }
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start.cast::<u8>(), bytes.len()) };
    Ok(())
}

const EMPTY: sdk::gh_buffer = sdk::gh_buffer { data: std::ptr::null_mut(), size: 0 };

/// Memory of the server's that is ours to give back.
struct HostMemory {
    context: *mut sdk::gh_context,
    start: *mut std::ffi::c_void,
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        // SAFETY: the buffer promise: made by this context, given back here only; null is let through by the shim. It
        // is made and dropped inside one `OrthancHost::with`, so the context is there.
        unsafe { sdk::gh_release(self.context, self.start) };
    }
}

/// Copies a service's answer and gives its memory back, also when the service failed.
fn take(context: *mut sdk::gh_context, code: sdk::gh_error, answer: sdk::gh_buffer) -> Result<Vec<u8>, HostError> {
    let memory = HostMemory { context, start: answer.data };
    check(code)?;
    let size = usize::try_from(answer.size).map_err(|_too_large| HostError::PLUGIN)?;
    if memory.start.is_null() || size == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the buffer promise: `size` bytes, ours until `memory` is dropped.
    Ok(unsafe { std::slice::from_raw_parts(memory.start.cast_const().cast::<u8>(), size) }.to_vec())
}

/// An error code as a result.
pub(super) fn check(code: sdk::gh_error) -> Result<(), HostError> {
    if code == 0 { Ok(()) } else { Err(HostError(code)) }
}

/// A text for C; one with a NUL inside is refused rather than cut.
pub(super) fn c_text(text: &str) -> Result<CString, HostError> {
    CString::new(text).map_err(|_has_nul| HostError::PLUGIN)
}

/// The size of a body as the server counts it.
pub(super) fn size(body: &[u8]) -> Result<u32, HostError> {
    u32::try_from(body.len()).map_err(|_too_large| HostError::PLUGIN)
}

const fn method_number(method: Method) -> sdk::gh_method {
    match method {
        Method::Get => sdk::gh_method_get,
        Method::Post => sdk::gh_method_post,
        Method::Put => sdk::gh_method_put,
        Method::Delete => sdk::gh_method_delete,
    }
}

/// The headers of an answer; the server writes them as a JSON object of texts.
fn read_headers(json: &[u8]) -> Vec<(String, String)> {
    let headers: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json).unwrap_or_default();
    headers
        .into_iter()
        .filter_map(|(name, value)| match value {
            serde_json::Value::String(value) => Some((name.to_ascii_lowercase(), value)),
            _ => None,
        })
        .collect()
}
