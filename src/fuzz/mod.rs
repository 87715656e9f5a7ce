//! Fuzz targets: functions that take any bytes and panic when a promise is broken. No part of the plugin.
//!
//! The tests here run them on the inputs of `fuzz/corpus` and on a fixed number of changed ones, always the same;
//! `fuzz/` runs them under libFuzzer. Each has the server in memory, the real gate and the real handlers; somebody
//! limited asks, and what must hold is said in terms of that server, not of the code under test.
#![forbid(unsafe_code)]

mod bodies;
mod configuration;
mod credentials;
mod files;
mod paths;
mod site;
#[cfg(test)]
mod tests;

pub use bodies::bodies;
pub use configuration::configuration;
pub use credentials::credentials;
pub use files::files;
pub use paths::{arguments, path};

/// A provider's key set: whatever it is, no key is taken that is weak, odd or not for signatures.
pub fn jwks(data: &[u8]) {
    crate::identity::oidc::fuzzing::jwks(data);
}
