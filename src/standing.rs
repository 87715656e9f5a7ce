//! Whether the routes that we answer reach us: of several plugins that registered for one route, the server asks the first, and
//! nobody tells the others. What another plugin answers there is not looked into, so it is for whoever holds all labels.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use regex_automata::meta::Regex;

use crate::host::Host;
use crate::route::{Handling, ROUTES, Route, example};

/// How long a request waits for another one to find it out. Much less is needed, at the start of the server only; but a plugin
/// that is asked may call its own server, and wait for that.
const PATIENCE: Duration = Duration::from_secs(2);

/// DICOMweb answers its searches by this route, from inside.
const SEARCH: &str = "/tools/find";

/// What we rely on being asked for.
pub struct Standing {
    host: Arc<dyn Host>,
    /// Rows of the route table that need one of our callbacks, each with a path that must lead to it.
    relied_on: Vec<(&'static str, String)>,
    /// Those that lead to somebody else; empty until it was found out.
    taken: OnceLock<BTreeSet<&'static str>>,
    /// Held by whoever finds it out.
    asking: Mutex<()>,
}

/// A pattern of ours that cannot be compiled.
#[derive(Debug, thiserror::Error)]
#[error("the pattern {0:?} cannot be compiled")]
pub struct PatternError(String);

impl Standing {
    /// For callbacks that are registered for these patterns. Nothing is asked yet: the server may not answer.
    pub fn new<'a>(host: Arc<dyn Host>, patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, PatternError> {
        let compile =
            |pattern: &str| Regex::new(&format!("^(?:{pattern})$")).map_err(|_| PatternError(pattern.to_owned()));
        let patterns = patterns.into_iter().map(compile).collect::<Result<Vec<_>, _>>()?;
        let path_of = |route: &Route| match route.limited {
            // Nobody but those who may get all of it anyway.
            Handling::Refused | Handling::Unknown => None,
            Handling::Search if route.path.starts_with("{dicom-web}") => Some(SEARCH.to_owned()),
            _ => Some(example(route.path)).filter(|path| patterns.iter().any(|pattern| pattern.is_match(path))),
        };
        let relied_on = ROUTES.iter().filter_map(|route| Some((route.path, path_of(route)?))).collect();
        Ok(Self { host, relied_on, taken: OnceLock::new(), asking: Mutex::new(()) })
    }

    /// Whether a row of the route table is answered by whom it needs. The first call finds it out for all of them.
    #[must_use]
    pub fn holds(&self, template: &str) -> bool {
        let taken = match self.taken.get() {
            Some(taken) => taken,
            None => match self.find_out() {
                Some(taken) => taken,
                None => return !self.relied_on.iter().any(|(relied_on, _)| *relied_on == template),
            },
        };
        taken.is_empty() || !taken.contains(template)
    }

    /// The routes that lead to another plugin, as far as it was found out.
    #[must_use]
    pub fn taken(&self) -> Vec<&'static str> {
        self.taken.get().map(|taken| taken.iter().copied().collect()).unwrap_or_default()
    }

    /// Finds out, unless it is known, and says in the log what does not lead to us. `None`: somebody else is at it still.
    fn find_out(&self) -> Option<&BTreeSet<&'static str>> {
        let _asking = self.asking.try_lock_for(PATIENCE)?;
        Some(self.taken.get_or_init(|| {
            let paths: BTreeSet<&str> = self.relied_on.iter().map(|(_, path)| path.as_str()).collect();
            let elsewhere: BTreeSet<&str> = paths.into_iter().filter(|path| !self.host.calls_us(path)).collect();
            let taken = self.relied_on.iter().filter(|(_, path)| elsewhere.contains(path.as_str()));
            let taken: BTreeSet<&'static str> = taken.map(|(template, _)| *template).collect();
            if !taken.is_empty() {
                log::error!(
                    "another plugin, which was loaded before this one, answers {}: refused to whoever does not hold all labels. Name this plugin before it in \"Plugins\"",
                    taken.iter().copied().collect::<Vec<_>>().join(", ")
                );
            }
            taken
        }))
    }

    /// The same, when nobody has asked yet.
    pub fn tell(&self) {
        if self.taken.get().is_none() {
            let _known = self.find_out();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeHost, world};

    fn standing(host: &Arc<FakeHost>) -> Standing {
        Standing::new(Arc::clone(host) as Arc<dyn Host>, crate::plugin::patterns()).unwrap()
    }

    #[test]
    fn what_another_plugin_answers_first_is_not_ours() {
        let host = FakeHost::new(world());
        assert!(standing(&host).holds("/studies/{study}"));
        host.taken.lock().push(SEARCH.to_owned());
        let standing = standing(&host);
        for taken in ["/tools/find", "{dicom-web}/studies", "{dicom-web}/studies/{study-uid}/series"] {
            assert!(!standing.holds(taken), "{taken}");
        }
        for other in ["/tools/labels", "/studies/{study}", "{dicom-web}/studies/{study-uid}", "/instances", "/x"] {
            assert!(standing.holds(other), "{other}");
        }
    }

    #[test]
    fn every_route_that_we_answer_is_relied_on() {
        let standing = standing(&FakeHost::new(world()));
        let relied_on = |path: &str| standing.relied_on.iter().any(|(template, _)| *template == path);
        let filtered = ROUTES.iter().filter(|route| {
            matches!(
                route.limited,
                Handling::Filtered | Handling::Parts | Handling::Search | Handling::Body | Handling::Own
            )
        });
        for route in filtered {
            assert!(relied_on(route.path), "{}", route.path);
        }
        assert!(relied_on("/tools/create-dicom") && relied_on("/queries/{query}/retrieve"));
        assert!(!relied_on("/instances/{instance}/file") && !relied_on("/instances"));
    }
}
