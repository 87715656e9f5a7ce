//! What may be done: rules, roles, labels, and the decision. Pure: no I/O, no clock, no configuration text.

pub mod decision;
pub mod rights;
pub mod roles;
pub mod rules;
