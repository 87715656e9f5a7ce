//! Every route that we know, as data: one file for each part of the server.
//!
//! "Close first, open later": whatever would have to be looked into and is not yet, in a body, in a job, in an answer,
//! is refused to whoever does not hold all labels. What is said of other people's routes was read off the servers' own
//! lists (`Orthanc --openapi`, which `tests/openapi.rs` compares with this table) and off the routes that plugins
//! register.

mod core;
mod dicom_web;
mod own;
mod plugins;
mod viewers;

use super::{Handling, Route};
use crate::host::Method::{self, Delete, Get, Post, Put};

const GET: &[Method] = &[Get];
const POST: &[Method] = &[Post];
const PUT: &[Method] = &[Put];
const GET_PUT: &[Method] = &[Get, Put];
const GET_DELETE: &[Method] = &[Get, Delete];
const GET_PUT_DELETE: &[Method] = &[Get, Put, Delete];
const PUT_DELETE: &[Method] = &[Put, Delete];
const DELETE: &[Method] = &[Delete];
const ALL: &[Method] = &[Get, Post, Put, Delete];

const fn row(
    methods: &'static [Method],
    path: &'static str,
    limited: Handling,
    owner: &'static str,
    note: &'static str,
) -> Route {
    Route { methods, path, limited, owner, note }
}

const PARTS: [&[Route]; 5] = [core::ROUTES, dicom_web::ROUTES, viewers::ROUTES, plugins::ROUTES, own::ROUTES];

/// The table. The order has no meaning: of two rows that match, the one whose path says more is taken.
pub static ROUTES: &[Route] = &joined::<{ length() }>();

// Here and below: evaluated by the compiler, where an index out of bounds is no panic but an error.
#[allow(clippy::indexing_slicing)]
const fn length() -> usize {
    let mut sum = 0;
    let mut part = 0;
    while part < PARTS.len() {
        sum += PARTS[part].len();
        part += 1;
    }
    sum
}

#[allow(clippy::indexing_slicing)]
const fn joined<const LENGTH: usize>() -> [Route; LENGTH] {
    let mut all = [PARTS[0][0]; LENGTH];
    let (mut at, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut row = 0;
        while row < PARTS[part].len() {
            all[at] = PARTS[part][row];
            at += 1;
            row += 1;
        }
        part += 1;
    }
    all
}
