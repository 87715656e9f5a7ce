//! The default permission table: which permissions a request needs when the site does not say otherwise.
//!
//! The rules are those of the C++ authorization plugin 0.11.4, because the roles of existing sites rely on them, plus
//! the rules that it lacks. Rules that could match the same request keep their order: the first one counts.
//! Knows nothing of labels: what a limited user may touch is decided by the second gate.

use crate::host::Method::{self, Delete, Get, Post, Put};

/// Method, pattern with its aliases, and the permissions of which one is needed.
pub(super) const DEFAULT_RULES: [(Method, &str, &str); 71] = [
    // Open to everybody: nothing about a patient is in the answer, or another gate decides.
    (Post, "^/auth/tokens/decode$", ""),
    (Post, "^/tools/lookup$", ""),
    (Get, "^/tools/generate-uid(.*)$", ""),
    // Looking around.
    (Get, "^/(patients|studies|series|instances)(|/)", "all|view"),
    (Get, "SINGLE_RESOURCE_PATTERNS", "all|view"),
    (Post, "^/tools/find$", "all|view"),
    (Post, "^/tools/count-resources$", "all|view"),
    (Get, "^/tools/labels$", "all|view|edit-labels"),
    (Get, "^/DICOM_WEB_ROOT/(studies|series|instances)(|/)$", "all|view"),
    (Get, "^/WADO_ROOT(|/)$", "all|view"),
    (Get, "^/changes$", "all|view"),
    (Get, "^/exports$", "admin-permissions"),
    (Get, "^/statistics$", "all|view"),
    (Get, "^/system$", "all|view"),
    (Get, "^/tools/now$", "all|view"),
    (Get, "^/tools/metrics-prometheus$", "all|view"),
    (Get, "^/plugins$", "all|view"),
    // The audit logs of the PostgreSQL plugin must not fall under the rule for all plugins.
    (Get, "^/plugins/[^/]+/audit-logs(|/.*)$", "admin-permissions|audit-logs"),
    (Get, "^/plugins/(.*)$", "all|view"),
    // Downloads of several resources at once.
    (Get, "^/tools/(create-archive|create-media|create-media-extended)(|/)$", "all|download"),
    (Post, "^/tools/(create-archive|create-media|create-media-extended)(|/)$", "all|download"),
    // Links.
    (Put, "^/auth/tokens/(viewer-instant-link|meddream-instant-link)$", "all|view"),
    (Put, "^/auth/tokens/(download-instant-link)$", "all|download"),
    (
        Put,
        "^/auth/tokens/(stone-viewer-publication|meddream-viewer-publication|osimis-viewer-publication|ohif-viewer-publication|volview-viewer-publication)$",
        "all|share",
    ),
    (Put, "^/auth/tokens/inbox-link$", "all|create-inbox-links"),
    (Get, "^/OE2_ROOT/api/emails/templates/(.*)$", "all|share"),
    (Post, "^/OE2_ROOT/api/emails/send$", "all|share"),
    // Adding.
    (Post, "^/instances$", "all|upload"),
    (Post, "^/DICOM_WEB_ROOT/studies$", "all|upload"),
    (Post, "^/DICOM_WEB_ROOT/studies/([.0-9]+)", "all|upload"),
    (Post, "^/tools/create-dicom$", "all|upload"),
    (Post, "^/stl/encode-rtstruct$", "all|upload"),
    (Post, "^/stl/encode-nifti$", "all|upload"),
    // Changing.
    (Post, "^/(patients|studies|series|instances)/([a-f0-9-]+)/(modify|merge)(.*)$", "all|modify"),
    (Post, "^/(patients|studies|series|instances)/([a-f0-9-]+)/anonymize(.*)$", "all|anonymize"),
    (Post, "^/tools/bulk-modify$", "all|modify"),
    (Post, "^/tools/bulk-anonymize$", "all|anonymize"),
    (Put, "^/(patients|studies|series|instances)/([a-f0-9-]+)/labels/(.*)$", "all|edit-labels"),
    (Delete, "^/(patients|studies|series|instances)/([a-f0-9-]+)/labels/(.*)$", "all|edit-labels"),
    // Removing.
    (Delete, "^/(patients|studies|series|instances)/([a-f0-9-]+)$", "all|delete"),
    (Post, "^/tools/bulk-delete$", "all|delete"),
    // Other servers.
    (Get, "^/(peers|modalities)$", "all|send|q-r-remote-modalities"),
    (Get, "^/(peers|modalities)/(.*)/configuration$", "all|send|q-r-remote-modalities"),
    (Post, "^/(peers|modalities)/(.*)/(store|store-straight)$", "all|send"),
    (Post, "^/modalities/(.*)/echo$", "all|send|q-r-remote-modalities"),
    (Post, "^/modalities/(.*)/query$", "all|q-r-remote-modalities"),
    (Post, "^/modalities/(.*)/move$", "all|q-r-remote-modalities"),
    (Get, "^/queries/([a-f0-9-]+)/answers$", "all|q-r-remote-modalities"),
    (Get, "^/queries/([a-f0-9-]+)/answers/([0-9]+)/content$", "all|q-r-remote-modalities"),
    (Post, "^/queries/([a-f0-9-]+)/answers/([0-9]+)/retrieve$", "all|q-r-remote-modalities"),
    (Get, "^/DICOM_WEB_ROOT/servers$", "all|send|q-r-remote-modalities"),
    (Post, "^/DICOM_WEB_ROOT/servers/(.*)/qido$", "all|q-r-remote-modalities"),
    (Post, "^/DICOM_WEB_ROOT/servers/(.*)/retrieve$", "all|q-r-remote-modalities"),
    (Post, "^/DICOM_WEB_ROOT/servers/(.*)/stow$", "all|send"),
    (Put, "^/modalities/(.*)$", "admin-permissions"),
    (Delete, "^/modalities/(.*)$", "admin-permissions"),
    // Worklists.
    (Get, "^/worklists$", "all|view|worklists"),
    (Get, "^/worklists/(.*)$", "all|view|worklists"),
    (Post, "^/worklists/create$", "all|worklists"),
    (Put, "^/worklists/(.*)$", "all|worklists"),
    (Delete, "^/worklists/(.*)$", "all|worklists"),
    // Jobs: one's own by its identifier, the list and its control for administrators.
    (Get, "^/jobs/([a-f0-9-]+)$", "all|send|modify|anonymize|q-r-remote-modalities|admin-permissions"),
    (Get, "^/jobs$", "admin-permissions"),
    (Post, "^/jobs/([a-f0-9-]+)/(pause|resume|resubmit|cancel)$", "admin-permissions"),
    (Delete, "^/jobs/([a-f0-9-]+)$", "admin-permissions"),
    // Settings.
    (Get, "^/tools/log-level$", "all|settings"),
    (Put, "^/tools/log-level$", "all|settings"),
    (Get, "^/auth/settings/roles$", "admin-permissions"),
    (Put, "^/auth/settings/roles$", "admin-permissions"),
    (Get, "^/auth/settings/permissions$", "admin-permissions"),
    (Get, "^/auth/audit-logs$", "admin-permissions|audit-logs"),
];
