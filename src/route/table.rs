//! Every route that we know, as data.

use super::Handling::{Filtered, Identifiers, Label, Named, Open, Own, Refused, Search, WadoUri};
use super::Route;
use crate::host::Method::{self, Delete, Get, Post, Put};

const GET: &[Method] = &[Get];
const POST: &[Method] = &[Post];
const PUT: &[Method] = &[Put];
const DELETE: &[Method] = &[Delete];

const fn row(
    methods: &'static [Method],
    path: &'static str,
    limited: super::Handling,
    owner: &'static str,
    note: &'static str,
) -> Route {
    Route { methods, path, limited, owner, note }
}

/// The table. The order has no meaning: of two rows that match, the one with fewer placeholders is taken.
pub const ROUTES: &[Route] = &[row(GET, "/system", Open, "orthanc", "")];
