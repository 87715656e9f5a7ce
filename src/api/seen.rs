//! Whose keys and links a call may see and take back.

use super::{ApiError, Call};
use crate::identity::{Identity, IdentityKind};
use crate::person::Person;
use crate::policy::rights::ADMIN;

/// Whose keys and links.
pub(super) enum Seen {
    /// Everybody's.
    All,
    /// This person's.
    Of(Person),
    /// Of this person's only what has to do with this API key, which may have been given to somebody else.
    ThroughKey(Person, String),
}

impl Seen {
    /// What a call may see; `why_not` is told to whoever may see nothing.
    pub(super) fn of(call: &Call<'_>, why_not: &'static str) -> Result<Self, ApiError> {
        if call.holder_of(ADMIN).is_some_and(|identity| !identity.is_stranger()) {
            return Ok(Self::All);
        }
        let by = |wanted: fn(&Identity) -> bool| call.verified.iter().find(|identity| wanted(identity));
        if let Some(person) = by(Identity::is_person).and_then(|identity| identity.person.clone()) {
            return Ok(Self::Of(person));
        }
        let key = by(|identity| identity.kind == IdentityKind::ApiKey);
        match key.and_then(|key| key.person.clone().zip(key.id.clone())) {
            Some((owner, id)) => Ok(Self::ThroughKey(owner, id)),
            None => Err(call.refuse(why_not)),
        }
    }

    /// Whose they must be; `None`: anybody's.
    pub(super) const fn owner(&self) -> Option<&Person> {
        match self {
            Self::All => None,
            Self::Of(owner) | Self::ThroughKey(owner, _) => Some(owner),
        }
    }

    /// Whether something of the owner's is seen that has to do with this key, or with none.
    pub(super) fn holds(&self, key: Option<&str>) -> bool {
        match self {
            Self::All | Self::Of(_) => true,
            Self::ThroughKey(_, own) => key == Some(own),
        }
    }
}
