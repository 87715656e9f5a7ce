//! Gatehouse: the authorization plugin that Orthanc loads. This file is the crate's map and its lint gates, nothing
//! else.
//!
//! A request comes in by `orthanc` (C to Rust values), and `gate` asks `route`, `credential`, `identity`, `resource` and
//! `policy` about it. Only `gate` knows in which order; what each of them may import, `tests/rooms.rs` lists and holds.
//! `docs/architecture.md` has the map of all rooms.
//!
//! Comments name two lists by their numbers: an "invariant" is one of `docs/architecture.md`, a "decision" one of
//! `docs/decisions.md`.
#![deny(unsafe_code)]
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable
)]

pub mod api;
pub mod bounded_body;
pub mod browser;
pub mod bytes;
pub mod callbacks;
pub mod client_address;
pub mod clock;
pub mod config;
pub mod credential;
pub mod dicom_file;
pub mod doctor;
pub mod errands;
pub mod gate;
pub mod host;
pub mod identity;
pub mod index;
pub mod json;
pub mod launch;
pub mod level;
mod likeness;
pub mod log_text;
pub mod login;
pub mod mail;
pub mod meddream;
pub mod nesting;
pub mod orthanc;
pub mod overrides;
pub mod ownership;
pub mod pages;
pub mod panics;
pub mod person;
pub mod pieces;
pub mod plugin;
pub mod policy;
pub mod request;
pub mod resource;
pub mod route;
mod seal;
mod seats;
pub mod secret;
pub mod share;
pub mod slot;
pub mod standing;
pub mod store;
pub mod top_level;
#[cfg(feature = "fault-injection")]
mod unguarded;
pub mod unseen;
pub mod uploads;
mod worker;

#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
pub mod fuzz;

#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(test), allow(dead_code, unreachable_pub))]
#[allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod testing;
