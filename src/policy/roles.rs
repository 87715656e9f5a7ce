//! The roles document: which role gives which permissions and labels. The format is that of orthanc-auth-service's
//! permissions file, read here as JSON; comments were taken out before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::rights::{KNOWN_PERMISSIONS, Labels, Rights};
use crate::json::Unique;

/// One role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// Permission names, in the order of the document.
    pub permissions: Vec<String>,
    /// Labels, in the order of the document; `*` is every label.
    pub authorized_labels: Vec<String>,
}

/// All roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Roles by name.
    pub roles: BTreeMap<String, Role>,
    /// When not empty, the only labels that may be added or removed.
    pub available_labels: Vec<String>,
}

/// What is wrong with a roles document, by place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct RolesError {
    /// Where: `roles.doctor-role.permissions[2]`.
    pub place: String,
    /// What, in words.
    pub what: String,
}

fn fault(place: impl Into<String>, what: impl Into<String>) -> RolesError {
    RolesError { place: place.into(), what: what.into() }
}

impl Roles {
    /// Reads a document.
    ///
    /// A member that appears twice is refused: which one counts is not ours to guess. Unknown members are refused too,
    /// as a mistyped `authorized-labels` would otherwise be no restriction.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the document; at least one.
    pub fn parse(json: &str) -> Result<Self, Vec<RolesError>> {
        let Unique(document) = crate::json::from_slice(json.as_bytes())
            .map_err(|error| vec![fault("document", format!("not JSON: {error}"))])?;
        Self::read(&document)
    }

    /// Reads a document from JSON.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn from_value(document: &Value) -> Result<Self, RolesError> {
        Self::read(document)
            .map_err(|faults| faults.into_iter().next().unwrap_or_else(|| fault("document", "cannot be read")))
    }

    fn read(document: &Value) -> Result<Self, Vec<RolesError>> {
        let Some(object) = document.as_object() else { return Err(vec![fault("document", "an object is expected")]) };
        let mut result = Self::default();
        let mut faults = Vec::new();
        for (name, value) in object {
            match name.as_str() {
                "roles" => match value.as_object() {
                    None => faults.push(fault("roles", "an object is expected")),
                    Some(roles) => result.roles.extend(
                        roles
                            .iter()
                            .map(|(role, definition)| (role.clone(), parse_role(role, definition, &mut faults))),
                    ),
                },
                "available-labels" | "available_labels" => {
                    if !result.available_labels.is_empty() {
                        faults.push(fault(name, "appears twice, in two spellings"));
                    }
                    result.available_labels = strings(name, value, &mut faults);
                }
                other => faults.push(fault(other, "unknown member; roles and available-labels are known")),
            }
        }
        if !object.contains_key("roles") {
            faults.push(fault("roles", "is missing"));
        }
        if faults.is_empty() { Ok(result) } else { Err(faults) }
    }

    /// The document as JSON with sorted members: what is stored, answered and hashed for the `ETag`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let list = |names: &[String]| Value::Array(names.iter().cloned().map(Value::String).collect());
        let roles = self.roles.iter().map(|(name, role)| {
            let mut object = Map::new();
            object.insert("authorized-labels".to_owned(), list(&role.authorized_labels));
            object.insert("permissions".to_owned(), list(&role.permissions));
            (name.clone(), Value::Object(object))
        });
        let mut document = Map::new();
        document.insert("available-labels".to_owned(), list(&self.available_labels));
        document.insert("roles".to_owned(), Value::Object(roles.collect()));
        Value::Object(document)
    }

    /// Refuses permission names that neither we nor a rule knows: a mistyped name would silently give nothing.
    pub fn check_permissions(&self, in_rules: &BTreeSet<String>) -> Result<(), RolesError> {
        self.unknown_permissions(in_rules).into_iter().next().map_or(Ok(()), Err)
    }

    /// All of them.
    #[must_use]
    pub fn unknown_permissions(&self, in_rules: &BTreeSet<String>) -> Vec<RolesError> {
        let mut unknown = Vec::new();
        for (name, role) in &self.roles {
            for (at, permission) in role.permissions.iter().enumerate() {
                if !is_known_permission(permission, in_rules) {
                    let what = unknown_permission(permission, in_rules);
                    unknown.push(fault(format!("roles.{name}.permissions[{at}]"), what));
                }
            }
        }
        unknown
    }

    /// The names of the roles that hold a permission.
    pub fn holders<'a>(&'a self, permission: &'a str) -> impl Iterator<Item = &'a str> {
        self.roles
            .iter()
            .filter(move |(_, role)| role.permissions.iter().any(|held| held == permission))
            .map(|(name, _)| name.as_str())
    }

    /// The rights of somebody with these roles: unions (decision 4). Roles that the document does not know give
    /// nothing.
    pub fn rights<'a>(&self, roles: impl IntoIterator<Item = &'a str>) -> Rights {
        let mut permissions = BTreeSet::new();
        let mut labels = Labels::none();
        for role in roles {
            if let Some(role) = self.roles.get(role) {
                permissions.extend(role.permissions.iter().cloned());
                labels = labels.union(&Labels::from_names(role.authorized_labels.iter().map(String::as_str)));
            }
        }
        Rights { permissions: Arc::new(permissions), labels }
    }

    /// Whether a label may be added or removed by somebody who holds all labels.
    #[must_use]
    pub fn label_is_available(&self, label: &str) -> bool {
        self.available_labels.is_empty() || self.available_labels.iter().any(|available| available == label)
    }
}

/// Whether a permission is one of ours, or one that a rule asks for.
#[must_use]
pub fn is_known_permission(permission: &str, in_rules: &BTreeSet<String>) -> bool {
    KNOWN_PERMISSIONS.contains(&permission) || in_rules.contains(permission)
}

/// What is said of one that is not, with the one that was most likely meant.
#[must_use]
pub fn unknown_permission(permission: &str, in_rules: &BTreeSet<String>) -> String {
    let known = KNOWN_PERMISSIONS.iter().copied().chain(in_rules.iter().map(String::as_str));
    match crate::likeness::nearest(permission, known) {
        Some(near) => format!("unknown permission {permission:?}, did you mean {near:?}?"),
        None => format!("unknown permission {permission:?}"),
    }
}

fn parse_role(name: &str, definition: &Value, faults: &mut Vec<RolesError>) -> Role {
    let place = format!("roles.{name}");
    let mut role = Role::default();
    let Some(object) = definition.as_object() else {
        faults.push(fault(&place, "an object is expected"));
        return role;
    };
    let mut labels_seen = false;
    for (member, value) in object {
        let place = format!("{place}.{member}");
        match member.as_str() {
            "permissions" => role.permissions = strings(&place, value, faults),
            "authorized-labels" | "authorized_labels" => {
                if std::mem::replace(&mut labels_seen, true) {
                    faults.push(fault(&place, "appears twice, in two spellings"));
                }
                role.authorized_labels = strings(&place, value, faults);
            }
            _ => faults.push(fault(place, "unknown member; permissions and authorized-labels are known")),
        }
    }
    role
}

fn strings(place: &str, value: &Value, faults: &mut Vec<RolesError>) -> Vec<String> {
    let Some(list) = value.as_array() else {
        faults.push(fault(place, "a list of strings is expected"));
        return Vec::new();
    };
    let mut texts = Vec::new();
    for (at, text) in list.iter().enumerate() {
        match text.as_str() {
            None => faults.push(fault(format!("{place}[{at}]"), "a string is expected")),
            Some("") => faults.push(fault(format!("{place}[{at}]"), "is empty")),
            Some(text) => texts.push(text.to_owned()),
        }
    }
    texts
}
