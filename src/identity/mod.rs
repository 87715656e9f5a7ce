//! Credential → verified identity. Knows nothing of routes, resources or permissions.

pub mod local;
pub mod oidc;
