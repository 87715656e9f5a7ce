//! Real Orthanc servers, real and made-up DICOM images, and an identity provider that misbehaves on demand: what the
//! integration tests, the demonstration and the benchmarks stand on.
//!
//! It knows the host and the plugin's library file, and nothing of the plugin's code: everything goes over HTTP.
//!
//! - [`setup`]: what must be on the machine, and the extracted Orthancs below `.cache/`
//! - [`Orthanc`]: one server, built, started, watched, stopped
//! - [`http`]: a client that sends what it is told byte for byte
//! - [`Keycloak`]: a real one with our realm; [`proxy`]: counts what it is asked; [`node_provider`]: one that is no
//!   Keycloak
//! - [`explorer`]: stands in for a part of Orthanc Explorer 2
//! - [`mail`]: a real mail server; [`token_service`]: what MedDream's is said to be
//! - [`nginx`]: a real one with the shipped configuration
//! - [`webdriver`]: a real Chromium
//! - [`dicom`]: images to upload; [`oidc`]: keys, tokens and a provider; [`password_hash`]: local users
//! - [`routes`]: what routes a server says it has; [`plugin`]: builds the library that the server loads
#![deny(unsafe_code)]

pub mod clock;
pub mod dicom;
mod door;
pub mod explorer;
pub mod http;
pub mod keycloak;
pub mod mail;
pub mod nginx;
pub mod node_provider;
pub mod oidc;
pub mod orthanc;
mod password;
pub mod plugin;
pub mod proxy;
pub mod random;
pub mod routes;
pub mod setup;
mod spawn;
pub mod token_service;
pub mod webdriver;
pub mod workspace;

pub use http::{Answer, Client, Request};
pub use keycloak::Keycloak;
pub use orthanc::{Orthanc, OrthancBuilder, Version};
pub use password::{password_hash, random_hex};
pub use plugin::{plugin_library, plugin_library_with};
