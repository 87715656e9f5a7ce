//! The plugin in real Orthancs, driven over HTTP with DICOM images: one binary, as linking takes long.
//!
//! Each module covers one promise; what is expected in its tables is taken from the contract, never from an answer seen.
//! Servers whose configuration and images a test leaves as they are, are shared ([`site::shared`]).
#![deny(unsafe_code)]

mod annotations;
mod api_keys;
mod bodies;
mod composed;
mod credentials;
mod doctor;
mod explorer;
mod findings;
mod forms;
mod inbox;
mod labels;
mod lifecycle;
mod links;
mod links_to_parts;
mod login;
mod logs;
mod mail;
mod meddream;
mod neighbours;
mod nested;
mod patients;
mod roles;
mod search;
mod shared_state;
mod shares;
mod shares_deleted;
mod short_links;
mod short_links_attacked;
mod site;
mod tokens;
mod uploads;
mod uris;
mod viewers;
mod viewers_attacked;
