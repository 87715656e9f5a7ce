//! What came of an attack, for people. It must not know how it was found.
use crate::identities::Identity;
use crate::plan::Attempt;
use crate::verdict::shown;
use crate::watch::short;
use std::collections::{BTreeMap, BTreeSet};
use testbed::Answer;

/// Something told or changed that must not be.
#[derive(Clone, Debug)]
pub struct Leak {
    /// The route, as it stands in the list.
    pub template: String,
    identity: String,
    what: String,
    request: String,
}

impl Leak {
    pub fn told(attempt: &Attempt, identity: &Identity, answer: &Answer, found: String) -> Self {
        let text = short(&answer.text());
        Self::new(attempt, identity, format!("is told {found}\n      answer: {} {text}", answer.status))
    }

    pub fn changed(attempt: &Attempt, identity: &Identity, changes: &[String]) -> Self {
        let shown: Vec<String> = changes.iter().take(5).cloned().collect();
        Self::new(attempt, identity, format!("changes {} things:\n      {}", changes.len(), shown.join("\n      ")))
    }

    /// Alone, none of them does it again.
    pub fn changed_by_many(attempts: &[Attempt], changes: &[String]) -> Self {
        let shown: Vec<String> = attempts.iter().take(400).map(|one| shown(&one.wire)).collect();
        Self {
            template: attempts.first().map(|one| one.template.to_string()).unwrap_or_default(),
            identity: "one of those who sent these requests".to_owned(),
            what: format!("changed {changes:?}"),
            request: shown.join("\n      "),
        }
    }

    fn new(attempt: &Attempt, identity: &Identity, what: String) -> Self {
        let request = format!("{} ({}; {})", shown(&attempt.wire), attempt.target, attempt.trick);
        Self { template: attempt.template.to_string(), identity: identity.name.to_owned(), what, request }
    }
}

/// Whether the request that has changed something is looked for among those sent with it.
#[derive(Clone, Copy, Debug, Default)]
pub enum Culprits {
    #[default]
    Named,
    Unnamed,
}

#[derive(Debug, Default)]
pub struct Report {
    pub culprits: Culprits,
    pub leaks: Vec<Leak>,
    /// Requests that looked at what other requests had started.
    pub follow_ups: usize,
    /// Method and trick of those that were not answered, and how many.
    unanswered: BTreeMap<(String, &'static str), usize>,
    by_identity: BTreeMap<&'static str, BTreeMap<String, usize>>,
}

impl Report {
    pub fn new(culprits: Culprits) -> Self {
        Self { culprits, ..Self::default() }
    }

    pub fn count(&mut self, identity: &'static str, attempt: &Attempt, status: Option<u16>) {
        if status.is_none() {
            *self.unanswered.entry((attempt.wire.request.method.clone(), attempt.trick)).or_default() += 1;
        }
        let status = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        *self.by_identity.entry(identity).or_default().entry(status).or_default() += 1;
    }

    pub fn requests(&self) -> usize {
        self.by_identity.values().flat_map(BTreeMap::values).sum()
    }

    pub fn unanswered(&self) -> usize {
        // Orthanc closes the connection for those, with whatever credentials.
        self.unanswered.iter().filter(|((_, trick), _)| *trick != "the whole URL").map(|(_, count)| count).sum()
    }

    /// How many requests of each identity got which status.
    pub fn print_counts(&self) {
        for (identity, by_status) in &self.by_identity {
            let all: usize = by_status.values().sum();
            let counts: Vec<String> = by_status.iter().map(|(status, count)| format!("{status}: {count}")).collect();
            println!("  {identity:<32} {all:>8}   {}", counts.join(", "));
        }
        println!("  not answered, by method and trick: {:?}", self.unanswered);
        println!("  {:<32} {:>8}", "looks at what was started", self.follow_ups);
    }
}

/// Each route once for each identity; empty when there is nothing.
pub fn told(leaks: &[Leak]) -> String {
    let mut seen = BTreeSet::new();
    let mut text = String::new();
    for leak in leaks {
        if seen.insert((leak.template.clone(), leak.identity.clone())) && seen.len() <= 40 {
            text.push_str(&format!("\n  {} {}\n      request: {}\n", leak.identity, leak.what, leak.request));
        }
    }
    text
}
