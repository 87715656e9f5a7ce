//! Our own routes. All methods are known, so that the handler can answer 405 with what is allowed.

use super::{ALL, Route, row};
use crate::route::Handling::Own;

const fn own(path: &'static str, note: &'static str) -> Route {
    row(ALL, path, Own, "authorization", note)
}

#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    // Profile, links and settings.
    own("/auth/user/profile", "always answered"),
    own("/auth/tokens/decode", "always answered"),
    own("/auth/tokens/{any}", "the type of the link"),
    own("/auth/settings/roles", ""),
    own("/auth/settings/permissions", ""),
    own("/auth/audit-logs", ""),
    // Keys, links and sessions.
    own("/auth/api-keys", ""),
    own("/auth/api-keys/{any}", ""),
    own("/auth/shares", ""),
    own("/auth/shares/{any}", ""),
    own("/auth/shares/{any}/qr", ""),
    own("/auth/links/{any}", ""),
    own("/auth/sessions", ""),
    own("/auth/sessions/{any}", ""),
    own("/auth/sessions/user/{any}", ""),
    // Login.
    own("/auth/login", ""),
    own("/auth/callback", ""),
    own("/auth/logout", ""),
    own("/auth/backchannel-logout", ""),
    // For administrators.
    own("/auth/explain", ""),
    own("/auth/doctor", ""),
    // Mail.
    own("/auth/emails/templates", "who may share, and the service user of mails"),
    own("/auth/emails/templates/{any}", "the same"),
    own("/auth/emails/send", "the same; share links of one's own, and nothing else"),
    // Viewers on other origins.
    own("/auth/oidc/.well-known/openid-configuration", ""),
    own("/auth/oidc/authorize", ""),
    own("/auth/oidc/token", ""),
    own("/auth/oidc/jwks", ""),
];
