//! `Permissions` and `ExtraPermissions`: rules of the form `[method, pattern, "a|b", comment or object?]`.

use std::cell::OnceCell;

use regex_automata::meta::Regex;
use serde_json::Value;

use super::checked::{RuleConfig, RuleTouches};
use super::default_rules::DEFAULT_RULES;
use super::fault::KeyPath;
use super::patterns::{Roots, SINGLE_RESOURCE_PATTERNS, compile, expand};
use super::section::{Reader, Section, kind};
use super::values::shown;
use crate::host::Method;
use crate::level::Level;
use crate::likeness::nearest;

const METHODS: &str = "\"get\", \"post\", \"put\" or \"delete\"";

/// The rules in their order: the default table or `Permissions`, then `ExtraPermissions`.
pub(super) fn read(section: &Section<'_>, roots: &Roots<'_>) -> Vec<RuleConfig> {
    let mut rules = rule_list(section, "Permissions", roots).unwrap_or_else(default_rules);
    let extra = rule_list(section, "ExtraPermissions", roots).unwrap_or_default();
    warn_of_idle_rules(section.reader, &rules, &extra, roots);
    rules.extend(extra);
    if rules.is_empty() {
        section.reader.warn(
            "NoRules",
            "Authorization.Permissions is empty: every request that needs a permission is refused".to_owned(),
            "remove Authorization.Permissions to have the default table",
        );
    }
    rules
}

/// The default table.
pub(super) fn default_rules() -> Vec<RuleConfig> {
    let rules = DEFAULT_RULES.iter().enumerate();
    rules
        .map(|(index, (method, pattern, permissions))| RuleConfig {
            path: format!("default table, rule {}", index + 1),
            method: *method,
            pattern: (*pattern).to_owned(),
            permissions: permissions.split('|').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            touches: None,
        })
        .collect()
}

fn rule_list(section: &Section<'_>, key: &'static str, roots: &Roots<'_>) -> Option<Vec<RuleConfig>> {
    let elements = section.list(key)?;
    Some(elements.into_iter().filter_map(|(path, value)| rule(section.reader, &path, value, roots)).collect())
}

fn rule(reader: &Reader<'_>, path: &KeyPath, value: &Value, roots: &Roots<'_>) -> Option<RuleConfig> {
    let (method, pattern, permissions, fourth) = match value.as_array().map(Vec::as_slice) {
        Some([method, pattern, permissions]) => (method, pattern, permissions, None),
        Some([method, pattern, permissions, fourth]) => (method, pattern, permissions, Some(fourth)),
        _ => {
            reader.fault(path.clone(), "must be a list [method, pattern, permissions, comment or object, if any]");
            return None;
        }
    };
    // Each part is checked, so that every fault shows.
    let method = read_method(reader, path.element(0), method);
    let pattern = read_pattern(reader, path.element(1), pattern, roots);
    let permissions = read_permissions(reader, path.element(2), permissions);
    let touches = read_touches(reader, path.element(3), fourth, pattern.as_ref().map(|(_, regex)| regex.as_ref()));
    let (pattern, _) = pattern?;
    Some(RuleConfig { path: path.to_string(), method: method?, pattern, permissions: permissions?, touches: touches? })
}

fn read_method(reader: &Reader<'_>, path: KeyPath, value: &Value) -> Option<Method> {
    let method = value.as_str().and_then(Method::parse);
    if method.is_none() {
        let got = value.as_str().map_or_else(|| kind(value).to_owned(), shown);
        reader.fault(path, format!("must be {METHODS}, got {got}"));
    }
    method
}

/// The pattern as written, and compiled unless it stands for several.
fn read_pattern(
    reader: &Reader<'_>,
    path: KeyPath,
    value: &Value,
    roots: &Roots<'_>,
) -> Option<(String, Option<Regex>)> {
    let pattern = super::section::text(reader, &path, value)?;
    if pattern == SINGLE_RESOURCE_PATTERNS {
        return Some((pattern, None));
    }
    let rule = RuleConfig { path: String::new(), method: Method::Get, pattern, permissions: Vec::new(), touches: None };
    match expand(&rule, roots).first().map(|expanded| compile(expanded)) {
        Some(Ok(regex)) => Some((rule.pattern, Some(regex))),
        Some(Err(reason)) => {
            reader.fault(path, format!("is not a usable pattern: {reason}, in {}", shown(&rule.pattern)));
            None
        }
        None => None,
    }
}

/// `""` is nobody's permission and lets anyone through, so nothing else may come out empty.
fn read_permissions(reader: &Reader<'_>, path: KeyPath, value: &Value) -> Option<Vec<String>> {
    let Some(text) = value.as_str() else {
        reader.fault(path, format!("must be a string like \"all|view\", got {}", kind(value)));
        return None;
    };
    if text.is_empty() {
        return Some(Vec::new());
    }
    let names: Vec<String> = text.split('|').map(str::to_owned).collect();
    if names.iter().any(|name| name.is_empty() || name.contains(char::is_whitespace)) {
        reader.fault(path, format!("must be permission names with '|' and no space between, got {}", shown(text)));
        return None;
    }
    Some(names)
}

/// The fourth place; the outer `None` is a fault. `regex` is `None` when the pattern has a fault of its own, and
/// `Some(None)` when it stands for several patterns.
#[expect(clippy::option_option, reason = "each None means something else, said above")]
fn read_touches(
    reader: &Reader<'_>,
    path: KeyPath,
    value: Option<&Value>,
    regex: Option<Option<&Regex>>,
) -> Option<Option<RuleTouches>> {
    let members = match value {
        None | Some(Value::Null | Value::String(_)) => return Some(None),
        Some(Value::Object(members)) => members,
        Some(other) => {
            reader.fault(path, format!("must be a comment or an object, got {}", kind(other)));
            return None;
        }
    };
    let section = Section::new(reader, path.clone(), "Authorization.Permissions[]".to_owned(), Some(members));
    let patient_data = section.boolean("PatientData");
    let resource = section.section("Resource");
    let level = read_level(&resource);
    let group = resource.integer("Group", 1..=i64::from(u16::MAX));
    let touches = match (patient_data, resource.is_present()) {
        (Some(false), false) => Some(RuleTouches::Nothing),
        (None, true) => {
            if level.is_none() || group.is_none() {
                resource_needs_both(&resource, level);
            }
            level
                .zip(group)
                .and_then(|(level, group)| Some(RuleTouches::Resource { level, group: usize::try_from(group).ok()? }))
        }
        _ => {
            if section.is_sound() {
                reader.fault(path, "must hold either \"PatientData\": false or a \"Resource\"");
            }
            None
        }
    };
    match (&touches, regex) {
        (Some(_), Some(None)) => {
            section.reader.fault(section.path.clone(), format!("cannot stand beside {SINGLE_RESOURCE_PATTERNS}"))
        }
        // The first group is the whole path.
        (Some(RuleTouches::Resource { group, .. }), Some(Some(regex)))
            if *group >= regex.group_info().group_len(regex_automata::PatternID::ZERO) =>
        {
            let groups = regex.group_info().group_len(regex_automata::PatternID::ZERO).saturating_sub(1);
            resource.fault("Group", format!("the highest group of the pattern is {groups}, got {group}"));
        }
        _ => {}
    }
    resource.finish();
    let sound = section.is_sound();
    section.finish();
    touches.filter(|_| sound).map(Some)
}

fn resource_needs_both(resource: &Section<'_>, level: Option<Level>) {
    if resource.is_sound() {
        let missing = if level.is_none() { "Level" } else { "Group" };
        resource.fault(missing, "is missing");
    }
}

fn read_level(section: &Section<'_>) -> Option<Level> {
    let name = section.choice("Level", &["patient", "study", "series", "instance"])?;
    Some(match name {
        "patient" => Level::Patient,
        "study" => Level::Study,
        "series" => Level::Series,
        _ => Level::Instance,
    })
}

/// The first rule that matches counts and extras come last, so an extra rule that is meant to be stricter than an
/// earlier one does nothing. Seen here: the same pattern again, and a plain path that an earlier pattern matches.
fn warn_of_idle_rules(reader: &Reader<'_>, rules: &[RuleConfig], extra: &[RuleConfig], roots: &Roots<'_>) {
    // Compiled once, and only when there is something to compare.
    let compiled: OnceCell<Vec<Vec<Regex>>> = OnceCell::new();
    let compile_all = || {
        let patterns = |rule| expand(rule, roots).iter().filter_map(|pattern| compile(pattern).ok()).collect();
        rules.iter().map(patterns).collect()
    };
    for idle in extra {
        let path = literal(expand(idle, roots).first().map_or("", String::as_str));
        let earlier = rules.iter().enumerate().filter(|(_, rule)| rule.method == idle.method).find(|(index, rule)| {
            let matches = |path: &String| {
                let regexes = compiled.get_or_init(compile_all).get(*index);
                regexes.into_iter().flatten().any(|regex| regex.is_match(path))
            };
            rule.pattern == idle.pattern || path.as_ref().is_some_and(matches)
        });
        if let Some((_, earlier)) = earlier.filter(|(_, earlier)| earlier.permissions != idle.permissions) {
            reader.warn(
                "IdleRule",
                format!(
                    "{} has no effect, because {} matches the same requests and the first rule counts",
                    idle.path, earlier.path
                ),
                format!(
                    "remove {}; to change the other, write the whole table as Authorization.Permissions",
                    idle.path
                ),
            );
        }
    }
}

/// The one path that a pattern without operators matches.
fn literal(pattern: &str) -> Option<String> {
    let inner = pattern.strip_prefix('^').unwrap_or(pattern);
    let inner = inner.strip_suffix('$').unwrap_or(inner);
    let mut path = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => path.push(characters.next().filter(|next| next.is_ascii_punctuation())?),
            '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            other => path.push(other),
        }
    }
    Some(path)
}

/// The standard configuration that a misspelt name most likely meant, for a message.
pub(super) fn did_you_mean<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, names).map(|near| format!(", did you mean {near:?}?")).unwrap_or_default()
}
