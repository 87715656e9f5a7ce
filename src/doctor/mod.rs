//! The doctor: what is wrong with the set-up, in plain words, and what to change.
//!
//! Reads what other rooms know already: the configuration, how the providers' keys were fetched, what was noticed of
//! refused tokens, the state, the roles. Asks nobody itself, so that an examination costs no I/O, and decides nothing.
#![forbid(unsafe_code)]

mod finding;
mod provider;
mod setup;
mod state;
#[cfg(test)]
mod tests;
mod tokens;

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

pub use finding::{Finding, Severity};

use crate::clock::UnixTime;
use crate::config::{Config, Provider};
use crate::gate::Gate;

/// Examines a running plugin.
pub struct Doctor {
    gate: Arc<Gate>,
    providers: Vec<Provider>,
    explorer: Option<crate::config::ExplorerLogin>,
    /// What the configuration alone shows: it does not change.
    setup: Vec<Finding>,
    assigned: Vec<setup::Assigned>,
    told: Mutex<Option<BTreeSet<(&'static str, String)>>>,
}

impl Doctor {
    /// A doctor for what was composed from this configuration.
    #[must_use]
    pub fn new(config: &Config, gate: Arc<Gate>) -> Self {
        Self {
            gate,
            providers: config.providers.clone(),
            explorer: config.explorer_login.clone(),
            setup: setup::findings(config),
            assigned: setup::assigned_roles(config),
            told: Mutex::default(),
        }
    }

    /// Everything that is wrong now, the worst first. No I/O.
    #[must_use]
    pub fn examine(&self, now: UnixTime) -> Vec<Finding> {
        let verifiers = self.gate.identities.verifiers();
        let roles = verifiers.roles.current();
        let mut findings = self.setup.clone();
        findings.extend(setup::unknown_roles(&self.assigned, &roles));
        findings.extend(setup::unknown_permissions(&roles, verifiers.roles.permissions_in_rules()));
        findings.extend(setup::taken_routes(&self.gate.standing.taken()));
        findings.extend(state::findings(verifiers.store.as_ref()));
        if let Some(oidc) = &verifiers.oidc {
            let (health, noticed) = (oidc.health(), oidc.noticed());
            for ((config, health), noticed) in self.providers.iter().zip(&health).zip(&noticed) {
                findings.extend(provider::findings(config, health));
                findings.extend(tokens::findings(config, noticed, &roles, now));
            }
            findings.extend(tokens::strangers(&self.providers, &oidc.strangers(), now));
            findings
                .extend(self.explorer.as_ref().and_then(|login| provider::explorer(login, &self.providers, &health)));
            findings.extend(provider::admin_apis(&verifiers.directories.troubles(), &self.providers, &health));
        }
        findings.sort_by(|left, right| {
            (left.severity, left.code, &left.key).cmp(&(right.severity, right.code, &right.key))
        });
        findings
    }

    /// Has the providers asked again, in the background: whoever examines once more sees what they said.
    pub fn look_again(&self, now: UnixTime) {
        let verifiers = self.gate.identities.verifiers();
        if let Some(oidc) = &verifiers.oidc {
            oidc.look_again();
        }
        verifiers.directories.look(now);
    }

    /// Writes to the log: the first time a summary, and each error and warning that is new and that nobody else logs.
    pub fn tell(&self, now: UnixTime) {
        self.gate.identities.verifiers().directories.look(now);
        let findings = self.examine(now);
        let mut told = self.told.lock();
        let worth: Vec<&Finding> = findings.iter().filter(|finding| finding.severity < Severity::Info).collect();
        let name = |finding: &Finding| (finding.code, finding.key.clone());
        let before = told.get_or_insert_with(|| {
            if worth.is_empty() {
                log::info!("doctor: nothing is wrong with the set-up");
            } else {
                log::warn!("{}", summary(&worth));
            }
            BTreeSet::new()
        });
        for finding in worth.iter().filter(|finding| !finding.logged_elsewhere && !before.contains(&name(finding))) {
            match finding.severity {
                Severity::Error => log::error!("doctor: {finding}"),
                Severity::Warning | Severity::Info => log::warn!("doctor: {finding}"),
            }
        }
        // What is over is told again if it comes back.
        *told = Some(worth.iter().map(|finding| name(finding)).collect());
    }
}

/// The line at start.
fn summary(findings: &[&Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let names: Vec<String> = findings.iter().map(|finding| format!("{} ({})", finding.code, finding.key)).collect();
    format!(
        "doctor: errors: {}, warnings: {}: {}. GET /auth/doctor says what to change",
        count(Severity::Error),
        count(Severity::Warning),
        names.join(", ")
    )
}
