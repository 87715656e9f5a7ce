//! The permission rules: the first one that matches method and path is the one that counts (decision 2).

use std::collections::BTreeSet;

use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input};

use super::rights::Rights;
use crate::config::{RuleTouches, syntax};
use crate::host::Method;

/// One rule, ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its key path, for the log: `Authorization.ExtraPermissions[2]`.
    pub path: std::sync::Arc<str>,
    /// Its method.
    pub method: Method,
    /// Its pattern, aliases replaced.
    pub pattern: String,
    /// Any of these is enough; empty lets anyone through.
    pub permissions: Vec<String>,
    /// What it says about a site's own route.
    pub touches: Option<RuleTouches>,
}

impl Rule {
    /// The permission of this rule that somebody holds; `Some("")` when it asks for none.
    #[must_use]
    pub fn held_by(&self, rights: &Rights) -> Option<&str> {
        if self.permissions.is_empty() {
            return Some("");
        }
        self.permissions.iter().map(String::as_str).find(|permission| rights.holds(permission))
    }
}

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: the pattern {pattern:?} cannot be used: {cause}")]
pub struct RuleError {
    path: String,
    pattern: String,
    cause: String,
}

/// All rules.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    matchers: [Matcher; 4],
    /// For each rule that says where its route names a resource: the pattern by itself, whose groups can be read.
    /// Made at the start, because a host thread has neither the time nor the stack to compile a pattern.
    grouped: Vec<Option<Regex>>,
}

#[derive(Debug)]
struct Matcher {
    /// All patterns of a method as one automaton: anchored at both ends, its leftmost-first match is the first pattern.
    regex: Regex,
    /// Its patterns' places in `rules`.
    places: Vec<usize>,
}

/// The size that all patterns of one method may take as an automaton, in bytes.
const SIZE_LIMIT: usize = 16 << 20;

impl Rules {
    /// Compiles rules; the order is theirs.
    pub fn new(rules: Vec<Rule>) -> Result<Self, RuleError> {
        let mut grouped = Vec::with_capacity(rules.len());
        for rule in &rules {
            let failed = |cause| RuleError { path: rule.path.to_string(), pattern: rule.pattern.clone(), cause };
            check(&rule.pattern).map_err(failed)?;
            let has_group = matches!(rule.touches, Some(RuleTouches::Resource { .. }));
            grouped.push(has_group.then(|| compile(&[&rule.pattern])).transpose().map_err(failed)?);
        }
        let matcher = |method: Method| {
            let places: Vec<usize> =
                (0..rules.len()).filter(|at| rules.get(*at).is_some_and(|rule| rule.method == method)).collect();
            let patterns: Vec<&str> =
                places.iter().filter_map(|at| rules.get(*at)).map(|rule| rule.pattern.as_str()).collect();
            let regex = compile(&patterns).map_err(|cause| {
                // Which of them it is: the first that does not compile alone, or else it is all of them together.
                let at_fault =
                    places.iter().filter_map(|at| rules.get(*at)).find(|rule| compile(&[&rule.pattern]).is_err());
                match at_fault {
                    Some(rule) => RuleError { path: rule.path.to_string(), pattern: rule.pattern.clone(), cause },
                    None => RuleError {
                        path: "Authorization.Permissions".to_owned(),
                        pattern: format!("all {} patterns together", method.as_str()),
                        cause,
                    },
                }
            })?;
            Ok(Matcher { regex, places })
        };
        let matchers = [matcher(Method::Get)?, matcher(Method::Post)?, matcher(Method::Put)?, matcher(Method::Delete)?];
        Ok(Self { rules, matchers, grouped })
    }

    /// The first rule whose pattern matches the whole path. To the server's router a slash at its end is none, so that it
    /// must not lead past a rule to a later one: then the rule counts that matches without it.
    #[must_use]
    pub fn first_match(&self, method: Method, path: &str) -> Option<&Rule> {
        let matcher = self.matchers.get(method as usize)?;
        let first = |path| {
            let found = matcher.regex.search_half(&Input::new(path).anchored(Anchored::Yes))?;
            Some(found.pattern().as_usize())
        };
        let found = first(path)?;
        let folded = Some(path.trim_end_matches('/')).filter(|folded| !folded.is_empty() && *folded != path);
        let earlier = folded.and_then(first).filter(|folded| *folded < found);
        self.rules.get(*matcher.places.get(earlier.unwrap_or(found))?)
    }

    /// What a group of a rule's pattern captures in a path, for the rules that say what a site's own route touches.
    #[must_use]
    pub fn group<'a>(&self, rule: &Rule, path: &'a str, group: usize) -> Option<&'a str> {
        let place = self.rules.iter().position(|known| std::ptr::eq(known, rule))?;
        let regex = self.grouped.get(place)?.as_ref()?;
        let mut captures = regex.create_captures();
        regex.search_captures(&Input::new(path).anchored(Anchored::Yes), &mut captures);
        captures.get_group(group).and_then(|span| path.get(span.range()))
    }

    /// All permission names that rules use.
    #[must_use]
    pub fn permission_names(&self) -> BTreeSet<String> {
        self.rules.iter().flat_map(|rule| rule.permissions.iter().cloned()).collect()
    }
}

/// Each pattern must stand on its own: `a)|(b` would otherwise close our group and leave the anchors. Compiling all of
/// them one by one would be most of the plugin's start.
fn check(pattern: &str) -> Result<(), String> {
    regex_automata::util::syntax::parse_with(pattern, &syntax()).map(drop).map_err(|error| error.to_string())
}

fn compile(patterns: &[&str]) -> Result<Regex, String> {
    let anchored: Vec<String> = patterns.iter().map(|pattern| format!(r"\A(?:{pattern})\z")).collect();
    let config = Regex::config().nfa_size_limit(Some(SIZE_LIMIT)).utf8_empty(false);
    // As the configuration read them, so that what it found sound is what counts here.
    Regex::builder().syntax(syntax()).configure(config).build_many(&anchored).map_err(|error| {
        match error.syntax_error() {
            Some(syntax) => syntax.to_string(),
            None => error.to_string(),
        }
    })
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
