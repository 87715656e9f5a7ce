//! Which studies one call may be answered from.

use crate::identity::{Identity, IdentityList};
use crate::pieces::facts;
use crate::policy::decision;
use crate::policy::rights::Labels;
use crate::resource::{Located, Named, Resources};

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

    /// Whether all of these may be shown, and there is any: of what was not found nothing is known.
    #[must_use]
    pub fn allows_all(&self, located: &[Located]) -> bool {
        !located.is_empty() && located.iter().all(|resource| self.allows(resource))
    }

    /// Whether everything that a name stands for may be shown, to one and the same identity; what is unknown may not.
    #[must_use]
    pub fn allows_named(&self, resources: &Resources, named: &Named<'_>) -> bool {
        self.allows_somebody(resources, named, |_| true)
    }

    /// Whether one and the same identity may change everything that a name stands for, and may know the label that it is
    /// about. Links only read: of a request itself the gate has seen to that, but not of what another plugin makes of it.
    #[must_use]
    pub fn may_change(&self, resources: &Resources, named: &Named<'_>, label: Option<&str>) -> bool {
        let knows = |identity: &Identity| label.is_none_or(|label| identity.rights.labels.show(label));
        self.allows_somebody(resources, named, |identity| identity.link.is_none() && knows(identity))
    }

    fn allows_somebody(&self, resources: &Resources, named: &Named<'_>, may: impl Fn(&Identity) -> bool) -> bool {
        let Self::Limited(identities) = self else { return true };
        let Ok(located) = resources.locate(named) else { return false };
        identities.iter().filter(|identity| may(identity)).any(|identity| {
            located.iter().all(|resource| decision::allow(&identity.holder(), &facts(resource)).is_ok())
        })
    }

    /// Whether nothing at all may be shown, whatever the server holds: no labels, and no link that opens anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self::Limited(identities) = self else { return false };
        let opens = |identity: &Identity| identity.link.as_ref().is_some_and(|link| !link.resources.is_empty());
        matches!(self.labels(), Labels::Only(own) if own.is_empty()) && !identities.iter().any(|one| opens(one))
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
