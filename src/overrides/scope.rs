//! Which studies one call may be answered from.

use crate::identity::IdentityList;
use crate::pieces::facts;
use crate::policy::decision;
use crate::policy::rights::Labels;
use crate::resource::{Located, Resources};

/// The studies that a call may be answered from: the union over the identities that were granted.
#[derive(Clone, Debug)]
pub enum Scope {
    /// All of them, and nothing is taken out.
    All,
    /// Those that one of these identities may see. Nobody: none.
    Limited(IdentityList),
}

impl Scope {
    /// The scope of those who were granted.
    #[must_use]
    pub fn of(granted: IdentityList) -> Self {
        if granted.iter().any(|identity| decision::is_unlimited(&identity.holder())) {
            Self::All
        } else {
            Self::Limited(granted)
        }
    }

    /// Whether a resource may be shown.
    #[must_use]
    pub fn allows(&self, located: &Located) -> bool {
        match self {
            Self::All => true,
            Self::Limited(identities) => {
                identities.iter().any(|identity| decision::allow(&identity.holder(), &facts(located)).is_ok())
            }
        }
    }

    /// Whether everything that a name stands for may be shown, to one and the same identity; what is unknown may not.
    #[must_use]
    pub fn allows_named(&self, resources: &Resources, named: &crate::resource::Named<'_>) -> bool {
        let Self::Limited(identities) = self else { return true };
        let Ok(located) = resources.locate(named) else { return false };
        identities.iter().any(|identity| {
            located.iter().all(|resource| decision::allow(&identity.holder(), &facts(resource)).is_ok())
        })
    }

    /// The labels that may be shown.
    #[must_use]
    pub fn labels(&self) -> Labels {
        match self {
            Self::All => Labels::All,
            Self::Limited(identities) => identities
                .iter()
                .filter(|identity| identity.link.is_none())
                .fold(Labels::none(), |sum, identity| sum.union(&identity.rights.labels)),
        }
    }
}
