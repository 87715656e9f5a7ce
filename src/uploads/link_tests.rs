//! Uploads of links.
