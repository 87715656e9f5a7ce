//! The boundary to the server: C on one side, safe Rust on the other. It translates and never decides.
//!
//! The only room with unsafe code. What it relies on are the promises of Orthanc's plugin interface:
//!
//! 1. *Context*: the context given to `OrthancPluginInitialize` and what it points to stay valid until
//!    `OrthancPluginFinalize` returns; its services may be called from any thread at any time in between, keep none of
//!    the pointers they are given. (They do *not* report every C++ exception as an error code: the shim catches the
//!    rest.)
//! 2. *Arguments*: the texts of a callback end with a NUL, its arrays have as many elements as it says, and all of it
//!    stays valid and unchanged until the callback returns.
//! 3. *Buffers*: a service that succeeds sets data and size of its result; the caller owns it, gives it back once with
//!    the context's `Free`, and may do so on any thread.
//! 4. *Output*: the output of a REST callback is valid during that callback, on its thread.
//! 5. *Instance*: the instance of a callback is valid during that callback, and so is the AET that is read from it.
//!
//! The comments at each `unsafe` name them as "the context promise" and so on. Must not know what any request means.
#![expect(unsafe_code, reason = "the one room that speaks C")]

mod answer;
mod callbacks;
mod entry;
mod guard;
mod host;
mod log;
mod register;
mod translate;
mod version;

/// The declarations that bindgen reads from `orthanc-sdk/shim.h`.
#[allow(dead_code, missing_docs, non_camel_case_types, non_upper_case_globals, reason = "generated, in C's names")]
#[allow(clippy::all, clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block, reason = "generated")]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "generated")]
mod sdk {
    include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
}
