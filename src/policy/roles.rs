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
    pub fn parse(json: &str) -> Result<Self, RolesError> {
        let Unique(document) = crate::json::from_slice(json.as_bytes())
            .map_err(|error| fault("document", format!("not JSON: {error}")))?;
        Self::from_value(&document)
    }

    /// Reads a document from JSON.
    pub fn from_value(document: &Value) -> Result<Self, RolesError> {
        let object = document.as_object().ok_or_else(|| fault("document", "an object is expected"))?;
        let mut result = Self::default();
        let mut has_roles = false;
        for (name, value) in object {
            match name.as_str() {
                "roles" => {
                    has_roles = true;
                    let roles = value.as_object().ok_or_else(|| fault("roles", "an object is expected"))?;
                    for (role, definition) in roles {
                        result.roles.insert(role.clone(), parse_role(role, definition)?);
                    }
                }
                "available-labels" | "available_labels" => {
                    if !result.available_labels.is_empty() {
                        return Err(fault(name, "appears twice, in two spellings"));
                    }
                    result.available_labels = strings(name, value)?;
                }
                other => return Err(fault(other, "unknown member; roles and available-labels are known")),
            }
        }
        if has_roles { Ok(result) } else { Err(fault("roles", "is missing")) }
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
        for (name, role) in &self.roles {
            for (at, permission) in role.permissions.iter().enumerate() {
                if !KNOWN_PERMISSIONS.contains(&permission.as_str()) && !in_rules.contains(permission) {
                    let what = format!("unknown permission {permission:?}");
                    return Err(fault(format!("roles.{name}.permissions[{at}]"), what));
                }
            }
        }
        Ok(())
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

fn parse_role(name: &str, definition: &Value) -> Result<Role, RolesError> {
    let place = format!("roles.{name}");
    let object = definition.as_object().ok_or_else(|| fault(&place, "an object is expected"))?;
    let mut role = Role::default();
    let mut labels_seen = false;
    for (member, value) in object {
        let place = format!("{place}.{member}");
        match member.as_str() {
            "permissions" => role.permissions = strings(&place, value)?,
            "authorized-labels" | "authorized_labels" => {
                if std::mem::replace(&mut labels_seen, true) {
                    return Err(fault(place, "appears twice, in two spellings"));
                }
                role.authorized_labels = strings(&place, value)?;
            }
            _ => return Err(fault(place, "unknown member; permissions and authorized-labels are known")),
        }
    }
    Ok(role)
}

fn strings(place: &str, value: &Value) -> Result<Vec<String>, RolesError> {
    let list = value.as_array().ok_or_else(|| fault(place, "a list of strings is expected"))?;
    list.iter()
        .enumerate()
        .map(|(at, text)| {
            let text = text.as_str().ok_or_else(|| fault(format!("{place}[{at}]"), "a string is expected"))?;
            if text.is_empty() { Err(fault(format!("{place}[{at}]"), "is empty")) } else { Ok(text.to_owned()) }
        })
        .collect()
}
