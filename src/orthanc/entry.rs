//! The four functions that the server looks for in the library. Must not know what the plugin does between the first
//! and the last.

use std::ffi::{CStr, c_char};
use std::sync::Arc;

use super::callbacks::{RUNNING, Running};
use super::guard::{Callback, guard, install_panic_hook};
use super::host::{HostFault, NAME, OrthancHost};
use super::register::{self, RegistrationError};
use super::{log as host_log, sdk};
use crate::plugin::{self, StartError};

const DESCRIPTION: &CStr = c"Decides every HTTP request: who is asking, and may they touch these studies?";

/// What the server takes for "started" and "not started"; the latter ends the server.
const STARTED: i32 = 0;
const NOT_STARTED: i32 = -1;

/// Why the plugin did not start.
#[derive(Debug, thiserror::Error)]
enum EntryError {
    #[error(transparent)]
    Host(#[from] HostFault),
    #[error(transparent)]
    Plugin(#[from] StartError),
    #[error(transparent)]
    Registration(#[from] RegistrationError),
}

/// The plugin's name.
#[unsafe(no_mangle)]
pub extern "C" fn OrthancPluginGetName() -> *const c_char {
    NAME.as_ptr()
}

/// The plugin's version.
#[unsafe(no_mangle)]
pub extern "C" fn OrthancPluginGetVersion() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Starts the plugin: 0, or -1 after saying why in the log. The server does not start without its plugins.
///
/// # Safety
/// For the server only: `context` is as the context promise says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn OrthancPluginInitialize(context: *mut sdk::gh_context) -> i32 {
    // In a guard of its own, so that a panic in the next one has a log to go to.
    let host = guard(Callback::Context, || {
        // SAFETY: the context promise; `end` cuts it off at Finalize, and below when the start fails.
        unsafe { OrthancHost::new(context) }.map(Arc::new)
    });
    let host = match host {
        Some(Ok(host)) => host,
        Some(Err(fault)) => {
            // SAFETY: the context promise, if there is a context at all.
            unsafe { complain(context, &fault) };
            return NOT_STARTED;
        }
        None => return NOT_STARTED,
    };
    host_log::connect(Arc::clone(&host));
    let outcome = guard(Callback::Initialize, || {
        install_panic_hook();
        start(&host)
    });
    match outcome {
        Some(Ok(())) => return STARTED,
        Some(Err(error)) => {
            for line in error.to_string().lines() {
                log::error!("{line}");
            }
        }
        None => {}
    }
    end();
    NOT_STARTED
}

/// Stops the plugin. From here on every callback refuses.
#[unsafe(no_mangle)]
pub extern "C" fn OrthancPluginFinalize() {
    end();
}

/// Stops what runs, and lets go of the server, whether anything was running or not.
fn end() {
    // A panic while stopping leaves nothing that could be refused or repeated.
    let _stopped = guard(Callback::Finalize, || {
        if let Some(running) = RUNNING.swap(None) {
            running.callbacks.stop();
        }
    });
    RUNNING.store(None);
    if let Some(host) = host_log::disconnect() {
        host.cut_off();
    }
}

fn start(host: &Arc<OrthancHost>) -> Result<(), EntryError> {
    let configuration = host.configuration()?;
    // A server without a file has none: relative paths then begin at its working directory.
    let path = host.configuration_path().ok().filter(|path| !path.is_empty());
    let path = path.as_deref().map(std::path::Path::new);
    let Some(started) = plugin::start(Arc::clone(host) as Arc<dyn crate::host::Host>, &configuration, path)? else {
        return Ok(());
    };
    // Before registering: the server may call at once.
    RUNNING.store(Some(Arc::new(Running { callbacks: started.callbacks, host: Arc::clone(host) })));
    register::all(host, &started.rest_pattern)?;
    // Only decoration: a server that does not take it is as safe.
    let _described = host.describe(DESCRIPTION);
    Ok(())
}

/// Says why there is no host, through the oldest of its log services.
///
/// # Safety
/// `context` is null or as the context promise says.
unsafe fn complain(context: *mut sdk::gh_context, fault: &HostFault) {
    let _said = guard(Callback::Context, || {
        let Ok(line) = std::ffi::CString::new(fault.to_string()) else { return };
        if !context.is_null() {
            // SAFETY: the context promise; the text outlives the call.
            unsafe { sdk::gh_log(context, sdk::gh_log_level_error, line.as_ptr()) };
        }
    });
}
