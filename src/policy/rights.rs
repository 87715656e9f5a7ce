//! What an identity holds: permissions and the studies that it may see.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The permission names that come with Orthanc Explorer 2 and the C++ authorization plugin (0.11.4).
pub const KNOWN_PERMISSIONS: [&str; 17] = [
    "all",
    "view",
    "download",
    "delete",
    "send",
    "modify",
    "anonymize",
    "upload",
    "q-r-remote-modalities",
    "settings",
    "edit-labels",
    "share",
    "admin-permissions",
    "audit-logs",
    "worklists",
    "create-inbox-links",
    "api-view",
];

/// The permission to administrate permissions.
pub const ADMIN: &str = "admin-permissions";

/// Every label.
pub const ALL_LABELS: &str = "*";

/// The studies that somebody may see, by label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labels {
    /// All studies, those without a label included.
    All,
    /// Studies that carry one of these; an empty set is no study.
    Only(Arc<BTreeSet<String>>),
}

impl Labels {
    /// Reads a list as roles and profiles have it: `*` is every label.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = BTreeSet::new();
        for name in names {
            if name == ALL_LABELS {
                return Self::All;
            }
            set.insert(name.to_owned());
        }
        Self::Only(Arc::new(set))
    }

    /// Nothing at all.
    #[must_use]
    pub fn none() -> Self {
        Self::Only(Arc::default())
    }

    /// Whether a study with these labels may be seen.
    #[must_use]
    pub fn allow(&self, labels: &BTreeSet<String>) -> bool {
        match self {
            Self::All => true,
            Self::Only(own) => labels.iter().any(|label| own.contains(label)),
        }
    }

    /// Whether a label may be known of.
    #[must_use]
    pub fn show(&self, label: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(own) => own.contains(label),
        }
    }

    /// What both allow.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, rest) | (rest, Self::All) => rest.clone(),
            (Self::Only(one), Self::Only(two)) => Self::Only(Arc::new(one.intersection(two).cloned().collect())),
        }
    }

    /// What either allows.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::Only(none), some) | (some, Self::Only(none)) if none.is_empty() => some.clone(),
            (Self::Only(one), Self::Only(two)) => Self::Only(Arc::new(one.union(two).cloned().collect())),
        }
    }

    /// The names, as a profile shows them.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::All => vec![ALL_LABELS.to_owned()],
            Self::Only(own) => own.iter().cloned().collect(),
        }
    }

    /// Whether all that `other` allows is allowed here.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(own), Self::Only(asked)) => asked.is_subset(own),
        }
    }
}

/// Permissions and labels: for a person the unions over the person's roles, not pairs of them (decision 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Names of permissions.
    pub permissions: Arc<BTreeSet<String>>,
    /// Labels.
    pub labels: Labels,
}

impl Rights {
    /// No rights.
    #[must_use]
    pub fn none() -> Self {
        Self { permissions: Arc::default(), labels: Labels::none() }
    }

    /// Rights from names.
    pub fn new<'a>(permissions: impl IntoIterator<Item = &'a str>, labels: Labels) -> Self {
        Self { permissions: Arc::new(permissions.into_iter().map(str::to_owned).collect()), labels }
    }

    /// Whether a permission is held. `all` is a name that rules list, it includes nothing by itself.
    #[must_use]
    pub fn holds(&self, permission: &str) -> bool {
        self.permissions.contains(permission)
    }

    /// What both give.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self {
            permissions: Arc::new(self.permissions.intersection(&other.permissions).cloned().collect()),
            labels: self.labels.intersect(&other.labels),
        }
    }

    /// Only these permissions; `None` narrows nothing.
    #[must_use]
    pub fn narrow_permissions(&self, only: Option<&[String]>) -> Self {
        match only {
            None => self.clone(),
            Some(names) => Self {
                permissions: Arc::new(names.iter().filter(|name| self.holds(name)).cloned().collect()),
                labels: self.labels.clone(),
            },
        }
    }

    /// Only these labels; `None` narrows nothing, `*` neither.
    #[must_use]
    pub fn narrow_labels(&self, only: Option<&[String]>) -> Self {
        match only {
            None => self.clone(),
            Some(names) => Self {
                permissions: self.permissions.clone(),
                labels: self.labels.intersect(&Labels::from_names(names.iter().map(String::as_str))),
            },
        }
    }
}
