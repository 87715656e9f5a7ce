//! What may be done: rules, roles, labels, and the decision. Pure: no I/O, no clock, no configuration text.
#![forbid(unsafe_code)]

pub mod decision;
pub mod rights;
pub mod roles;
pub mod rules;
