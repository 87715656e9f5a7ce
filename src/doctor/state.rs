//! What is wrong with the state. Opening it has logged all of this.

use super::{Finding, Severity};
use crate::store::Store;

pub(super) fn findings(store: &dyn Store) -> Vec<Finding> {
    let warning = |message: String| {
        let change = "see \"Restore, and the alarm\" in docs/operations.md";
        Finding::new(Severity::Warning, "StateWarning", "Authorization.Storage", message, change).logged_elsewhere()
    };
    let mut findings: Vec<Finding> = store.warnings().into_iter().map(warning).collect();
    if let Some(rollback) = store.rolled_back() {
        let finding = Finding::new(
            Severity::Error,
            "StateRolledBack",
            "Authorization.Storage",
            format!(
                "the state is older than what was acknowledged (epoch {} after {}): a backup was restored, what was revoked since may be in force again, and no key or link is made",
                rollback.database_epoch, rollback.file_epoch
            ),
            "look at all keys and links and remove again what was removed, then stop Orthanc, delete the file …epoch beside the state, and start Orthanc",
        );
        findings.push(finding.logged_elsewhere());
    }
    findings
}
