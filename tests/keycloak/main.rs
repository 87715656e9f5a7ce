//! A real Keycloak and real Orthancs: logins, roles, rotation, outages, host names; API keys kept in Keycloak; and a
//! provider that is no Keycloak. One Keycloak serves all tests of this binary.
//!
//! Without Java or without the server these tests say that they did not run. What they expect of Keycloak is its
//! documentation's word, what they expect of the plugin the roles file's that is shipped (`docker/permissions.jsonc`).
#![deny(unsafe_code)]

mod any_provider;
mod api_keys;
mod doctor;
mod domain;
#[path = "../integration/findings.rs"]
mod findings;
mod hostnames;
mod logins;
mod outages;
mod rotation;
mod scene;
#[allow(dead_code, reason = "shared with the integration tests, which use more of it")]
#[path = "../integration/site.rs"]
mod site;
mod tls;
mod validity;
