//! An OpenID Connect provider that can be told to fail, and tokens that no honest provider would sign.
//!
//! Keys and tokens are made with `aws-lc-rs` directly, not with the library that the plugin checks them with: the two
//! check each other. It must not know how the plugin is configured.
mod key;
mod provider;

pub use key::{Algorithm, Key, hs256, token_from_parts, unsigned};
pub use provider::{Behaviour, Provider};
