//! Plugins that store, move or watch: nothing of theirs is looked into.

use super::{ALL, GET, POST, Route, row};
use crate::route::Handling::{Open, Refused};

#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    // States, storage and audit logs of plugins.
    row(GET, "/plugins/postgresql/audit-logs", Refused, "postgresql", "names resources of all studies; needs `audit-logs`"),
    row(GET, "/plugins/delayed-deletion/status", Refused, "delayed-deletion", "state of the server"),
    row(GET, "/plugins/housekeeper/status", Refused, "housekeeper", "state of the server"),
    row(GET, "/housekeeper/status", Refused, "housekeeper", "state of the server, as of older versions"),
    row(GET, "/plugins/advanced-storage/status", Refused, "advanced-storage", "state of the server"),
    row(POST, "/plugins/advanced-storage/adopt-instance", Refused, "advanced-storage", "paths and identifiers in the body"),
    row(POST, "/plugins/advanced-storage/abandon-instance", Refused, "advanced-storage", "paths and identifiers in the body"),
    row(POST, "/plugins/advanced-storage/move-storage", Refused, "advanced-storage", "paths and identifiers in the body"),
    row(GET, "/app/plugin-serve-folders.html", Refused, "serve-folders", "lists folders of the site"),
    row(GET, "/connectivity-checks/app/{*rest}", Open, "connectivity-checks", "static"),
    row(GET, "/connectivity-checks/libs/{*rest}", Open, "connectivity-checks", "static"),
    // Worklists.
    row(ALL, "/worklists", Refused, "worklists", "names of patients"),
    row(ALL, "/worklists/{*rest}", Refused, "worklists", "names of patients"),
    // Transfers accelerator.
    row(ALL, "/transfers", Refused, "transfers", "any resource, by the body, and the plugin's own, so that no body can be checked: use /peers/{id}/store"),
    row(ALL, "/transfers/{*rest}", Refused, "transfers", "any resource, by the body, and the plugin's own, so that no body can be checked: use /peers/{id}/store"),
    // Education.
    row(GET, "/education/static/{*rest}", Open, "education", "static"),
    row(ALL, "/education/{*rest}", Refused, "education", "has identities of its own"),
];
