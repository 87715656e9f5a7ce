//! Who started which job and who asked which query of another system: both belong to the person who did.
//!
//! Knows nothing of routes, permissions or the server. In memory only, and bounded: what was forgotten, by age or by a
//! restart, belongs to nobody, and nobody who does not hold all labels gets at it.
#![forbid(unsafe_code)]

use quick_cache::sync::Cache;

use crate::identity::Identity;
use crate::person::Person;
use crate::route::Owned;

/// How many jobs and queries are remembered; about 200 bytes each.
const CAPACITY: usize = 100_000;

/// The owners, as far as they are remembered.
pub struct Ownership {
    owners: Cache<(Owned, Box<str>), Person>,
}

impl Default for Ownership {
    fn default() -> Self {
        Self { owners: Cache::new(CAPACITY) }
    }
}

impl Ownership {
    /// Remembers whose something is. What nobody can be named for belongs to nobody.
    pub fn claim(&self, kind: Owned, id: &str, identity: &Identity) {
        if let Some(person) = owner(identity) {
            self.owners.insert((kind, id.into()), person.clone());
        }
    }

    /// Whether something belongs to the person behind an identity; what is unknown does not.
    #[must_use]
    pub fn owns(&self, kind: Owned, id: &str, identity: &Identity) -> bool {
        owner(identity).is_some_and(|person| self.owners.get(&(kind, id.into())).as_ref() == Some(person))
    }
}

/// A key acts for whoever made it. The holder of a link is not its maker, and strangers are all one.
fn owner(identity: &Identity) -> Option<&Person> {
    identity.person.as_ref().filter(|_| identity.link.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AnonymousProfile;
    use crate::policy::decision::LinkScope;

    fn identity(person: Option<Person>) -> Identity {
        let mut identity = Identity::anonymous(&AnonymousProfile::default());
        identity.person = person;
        identity
    }

    #[test]
    fn what_a_person_started_is_theirs_and_nobody_elses() {
        let ownership = Ownership::default();
        let alice = identity(Some(Person::local("alice")));
        let other = identity(Some(Person { issuer: "https://idp.test".to_owned(), subject: "alice".to_owned() }));
        ownership.claim(Owned::Job, "1", &alice);
        assert!(ownership.owns(Owned::Job, "1", &alice));
        assert!(!ownership.owns(Owned::Job, "2", &alice));
        assert!(!ownership.owns(Owned::Query, "1", &alice), "a query is no job");
        assert!(!ownership.owns(Owned::Job, "1", &other), "the same name of another issuer");
    }

    #[test]
    fn strangers_and_links_own_nothing() {
        let ownership = Ownership::default();
        let stranger = identity(None);
        ownership.claim(Owned::Job, "1", &stranger);
        assert!(!ownership.owns(Owned::Job, "1", &stranger));
        let maker = identity(Some(Person::local("alice")));
        let mut link = identity(Some(Person::local("alice")));
        link.link =
            Some(LinkScope { resources: Vec::new(), maker: None, maker_needs: &[], download: true, uploads: None });
        ownership.claim(Owned::Job, "2", &maker);
        assert!(!ownership.owns(Owned::Job, "2", &link), "the link's holder is not its maker");
        ownership.claim(Owned::Job, "3", &link);
        assert!(!ownership.owns(Owned::Job, "3", &maker));
    }
}
