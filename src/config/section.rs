//! Walks a JSON object key by key: takes what is asked for, reports what is wrong, and at the end what nobody asked
//! for.
//!
//! A section that is missing is walked like an empty one, so that every key is asked for in every run; that is how the
//! documentation's list of keys is tested. Knows no key itself.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::checked::Warning;
use super::environment::Environment;
use super::fault::{Fault, KeyPath};
use super::values::{below, choices, http_url, shown};
use crate::likeness::nearest;
use crate::secret::Secret;

/// What a walk gathers.
pub(super) struct Reader<'e> {
    pub(super) environment: &'e dyn Environment,
    /// Values that were filled in from elsewhere, and from where.
    origins: BTreeMap<KeyPath, String>,
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<Warning>>,
    /// Every key that was asked for, with `*` for a name that the site chooses.
    asked: RefCell<BTreeSet<String>>,
    unknown: RefCell<Vec<(KeyPath, String, Vec<&'static str>)>>,
}

impl<'e> Reader<'e> {
    pub(super) fn new(environment: &'e dyn Environment, origins: BTreeMap<KeyPath, String>) -> Self {
        Self {
            environment,
            origins,
            faults: RefCell::default(),
            warnings: RefCell::default(),
            asked: RefCell::default(),
            unknown: RefCell::default(),
        }
    }

    /// Reports a fault.
    pub(super) fn fault(&self, path: KeyPath, message: impl Into<String>) {
        let origin = self.origins.get(&path).cloned();
        self.faults.borrow_mut().push(Fault { path, origin, message: message.into() });
    }

    /// Notes something that the administrator should read at start.
    pub(super) fn warn(&self, code: &'static str, message: String, change: impl Into<String>) {
        self.warnings.borrow_mut().push(Warning { code, message, change: change.into() });
    }

    /// A file's path; relative ones start where Orthanc's own do.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        below(self.environment.base_directory(), path)
    }

    /// Every key that was asked for.
    #[cfg(test)]
    pub(super) fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    /// Ends the walk: the faults, unknown keys among them, and the warnings.
    pub(super) fn into_results(self) -> (Vec<Fault>, Vec<Warning>) {
        let asked = self.asked.into_inner();
        let mut faults = self.faults.into_inner();
        for (path, name, siblings) in self.unknown.into_inner() {
            // The right name in the wrong section, else a misspelt one. Names that the site chooses have no place.
            let ending = format!(".{name}");
            let elsewhere = asked.iter().find(|key| key.ends_with(&ending) && !key.contains('*'));
            let message = match (nearest(&name, siblings), elsewhere) {
                (Some(near), None) => format!("unknown key, did you mean {near:?}?"),
                (Some(near), Some(_)) if is_surely(near, &name) => format!("unknown key, did you mean {near:?}?"),
                (_, Some(place)) => format!("unknown key here, did you mean {place}?"),
                (None, None) => "unknown key".to_owned(),
            };
            faults.push(Fault { path, origin: None, message });
        }
        (faults, self.warnings.into_inner())
    }
}

/// One JSON object on the walk.
pub(super) struct Section<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) path: KeyPath,
    /// The path with `*` for names that the site chooses, and without indices.
    schema: String,
    members: Option<&'a Map<String, Value>>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// An object at a path; `None` is an empty one.
    pub(super) fn new(
        reader: &'a Reader<'a>,
        path: KeyPath,
        schema: String,
        members: Option<&'a Map<String, Value>>,
    ) -> Self {
        Self { reader, path, schema, members, asked: RefCell::default() }
    }

    /// Whether the section stands in the configuration at all.
    pub(super) fn is_present(&self) -> bool {
        self.members.is_some()
    }

    /// Whether nothing in this section was reported yet.
    pub(super) fn is_sound(&self) -> bool {
        !self.reader.faults.borrow().iter().any(|fault| fault.path.is_below(&self.path))
    }

    /// A member's value; `null` is like an absent one.
    pub(super) fn value(&self, key: &'static str) -> Option<&'a Value> {
        self.asked.borrow_mut().push(key);
        self.reader.asked.borrow_mut().insert(self.schema_of(key));
        self.members?.get(key).filter(|value| !value.is_null())
    }

    /// The path of a member.
    pub(super) fn at(&self, key: &str) -> KeyPath {
        self.path.member(key)
    }

    /// Reports a fault of a member.
    pub(super) fn fault(&self, key: &str, message: impl Into<String>) {
        self.reader.fault(self.at(key), message);
    }

    /// A text that is not empty.
    pub(super) fn string(&self, key: &'static str) -> Option<String> {
        text(self.reader, &self.at(key), self.value(key)?)
    }

    /// A text out of a few.
    pub(super) fn choice(&self, key: &'static str, names: &[&'static str]) -> Option<&'static str> {
        let value = self.string(key)?;
        let found = names.iter().find(|name| **name == value).copied();
        if found.is_none() {
            self.fault(key, format!("must be {}, got {}", choices(names), shown(&value)));
        }
        found
    }

    /// An absolute http or https URL.
    pub(super) fn url(&self, key: &'static str) -> Option<String> {
        let value = self.string(key)?;
        http_url(&value, "must be an absolute http or https URL").map_err(|message| self.fault(key, message)).ok()?;
        Some(value)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        if !value.is_boolean() {
            self.fault(key, format!("must be true or false, got {}", kind(value)));
        }
        value.as_bool()
    }

    /// A whole number within bounds.
    pub(super) fn integer(&self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.value(key)?;
        let number = value.as_i64().filter(|number| range.contains(number));
        if number.is_none() {
            let got = if value.is_number() { value.to_string() } else { kind(value).to_owned() };
            let bounds = if *range.end() == i64::MAX {
                format!("of {} or more", range.start())
            } else {
                format!("from {} to {}", range.start(), range.end())
            };
            self.fault(key, format!("must be a whole number {bounds}, got {got}"));
        }
        number
    }

    /// A number within bounds.
    pub(super) fn number(&self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let value = self.value(key)?;
        let number = value.as_f64().filter(|number| range.contains(number));
        if number.is_none() {
            let got = if value.is_number() { value.to_string() } else { kind(value).to_owned() };
            self.fault(key, format!("must be a number from {} to {}, got {got}", range.start(), range.end()));
        }
        number
    }

    /// The elements of a list with their paths.
    pub(super) fn list(&self, key: &'static str) -> Option<Vec<(KeyPath, &'a Value)>> {
        let value = self.value(key)?;
        let Some(elements) = value.as_array() else {
            self.fault(key, format!("must be a list, got {}", kind(value)));
            return None;
        };
        let path = self.at(key);
        Some(elements.iter().enumerate().map(|(index, element)| (path.element(index), element)).collect())
    }

    /// A list of texts that are not empty.
    pub(super) fn strings(&self, key: &'static str) -> Option<Vec<String>> {
        let elements = self.list(key)?;
        Some(elements.into_iter().filter_map(|(path, element)| text(self.reader, &path, element)).collect())
    }

    /// A list of absolute http or https URLs.
    pub(super) fn urls(&self, key: &'static str) -> Option<Vec<String>> {
        let elements = self.list(key)?;
        let checked = elements.into_iter().filter_map(|(path, element)| {
            let value = text(self.reader, &path, element)?;
            match http_url(&value, "must be an absolute http or https URL") {
                Ok(()) => Some(value),
                Err(message) => {
                    self.reader.fault(path, message);
                    None
                }
            }
        });
        Some(checked.collect())
    }

    /// A section below this one; a missing one is empty.
    pub(super) fn section(&self, key: &'static str) -> Section<'a> {
        let value = self.value(key);
        let members = value.and_then(Value::as_object);
        if let (Some(value), None) = (value, members) {
            self.fault(key, format!("must be an object, got {}", kind(value)));
        }
        Section::new(self.reader, self.at(key), self.schema_of(key), members)
    }

    /// The objects below a key whose members the site names: users, roles.
    pub(super) fn named_sections(&self, key: &'static str) -> Vec<(String, Section<'a>)> {
        self.members_of(key)
            .into_iter()
            .filter_map(|(name, path, value)| {
                let Some(members) = value.as_object() else {
                    self.reader.fault(path, format!("must be an object, got {}", kind(value)));
                    return None;
                };
                let schema = format!("{}.*", self.schema_of(key));
                Some((name, Section::new(self.reader, path, schema, Some(members))))
            })
            .collect()
    }

    /// The members of an object whose names the site chooses.
    pub(super) fn members_of(&self, key: &'static str) -> Vec<(String, KeyPath, &'a Value)> {
        let section = self.section(key);
        let members = section.members.into_iter().flatten();
        members.map(|(name, value)| (name.clone(), section.path.member(name), value)).collect()
    }

    /// A secret, given as it is or as the name of a file that holds it. No message ever shows it.
    pub(super) fn secret(&self, key: &'static str, file_key: &'static str) -> Option<Secret> {
        let inline = self.value(key);
        let file = self.string(file_key);
        match (inline, file) {
            (Some(_), Some(_)) => {
                self.fault(file_key, format!("conflicts with {key:?}: give only one of them"));
                None
            }
            (Some(Value::String(secret)), None) if !secret.is_empty() => Some(Secret::new(secret.clone())),
            (Some(value), None) => {
                let got = if value.is_string() { "an empty one" } else { kind(value) };
                self.fault(key, format!("must be a string, got {got}"));
                None
            }
            (None, Some(file)) => self.secret_file(file_key, &file),
            (None, None) => None,
        }
    }

    fn secret_file(&self, key: &'static str, file: &str) -> Option<Secret> {
        let content = self.file(key, file)?;
        // An editor's line break at the end is not part of the secret.
        let secret = content.trim();
        if secret.is_empty() {
            self.fault(key, format!("the file {} is empty", shown(file)));
            return None;
        }
        Some(Secret::new(secret.to_owned()))
    }

    /// The content of a file that a member names.
    pub(super) fn file(&self, key: &'static str, file: &str) -> Option<String> {
        match self.reader.environment.read_file(&self.reader.resolve(file)) {
            Ok(content) => Some(content),
            Err(error) => {
                self.fault(key, format!("cannot read the file {}: {error}", shown(file)));
                None
            }
        }
    }

    /// The same of a file of whatever kind.
    pub(super) fn bytes(&self, key: &'static str, file: &str) -> Option<Vec<u8>> {
        let content = self.reader.environment.read_bytes(&self.reader.resolve(file));
        content.map_err(|error| self.fault(key, format!("cannot read the file {}: {error}", shown(file)))).ok()
    }

    /// Refuses a key that asks for a feature that is not there.
    pub(super) fn not_yet(&self, key: &str, feature: &str) {
        self.fault(key, format!("asks for {feature}, which this version does not have yet: remove the key"));
    }

    /// Ends the section: what nobody asked for is unknown.
    pub(super) fn finish(self) {
        let asked = self.asked.into_inner();
        for name in self.members.into_iter().flat_map(Map::keys) {
            if !asked.contains(&name.as_str()) {
                self.reader.unknown.borrow_mut().push((self.path.member(name), name.clone(), asked.clone()));
            }
        }
    }

    fn schema_of(&self, key: &str) -> String {
        if self.schema.is_empty() { key.to_owned() } else { format!("{}.{key}", self.schema) }
    }
}

/// Whether a sibling was meant, though the name is that of a key elsewhere.
fn is_surely(sibling: &str, name: &str) -> bool {
    let (sibling, name) = (sibling.to_lowercase(), name.to_lowercase());
    sibling.contains(&name) || name.contains(&sibling) || strsim::damerau_levenshtein(&sibling, &name) <= 2
}

/// A text that is not empty.
pub(super) fn text(reader: &Reader<'_>, path: &KeyPath, value: &Value) -> Option<String> {
    match value.as_str() {
        Some("") => {
            reader.fault(path.clone(), "must not be empty");
            None
        }
        Some(text) => Some(text.to_owned()),
        None => {
            reader.fault(path.clone(), format!("must be a string, got {}", kind(value)));
            None
        }
    }
}

/// What a JSON value is, in words. Never its content: it may be a secret in the wrong place.
pub(super) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
