//! What the state says of those who made keys and links. Many keys and links have the same few makers, so that the
//! first use of each need not ask for its maker again.
//!
//! Kept exactly as long as a verified identity would be: until anything was taken from anybody (the epoch). Knows
//! nothing of what keys and links give.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::Epoch;
use crate::clock::UnixTime;
use crate::person::Person;
use crate::store::{Store, StoreError};

/// How many makers are kept; about 300 bytes each.
const CACHE_SIZE: usize = 1_024;

/// What the state says of somebody.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Maker {
    /// What they had until then was ended.
    pub(super) not_before: Option<UnixTime>,
    /// The roles that they were last seen with; `None` for whoever was never seen, and for local accounts.
    pub(super) roles: Option<Vec<String>>,
}

/// Those who made keys and links.
pub struct Makers {
    store: Arc<dyn Store>,
    epoch: Epoch,
    known: Cache<Person, (u64, Arc<Maker>)>,
}

impl Makers {
    /// `epoch` is the one that ends verified identities too.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, epoch: Epoch) -> Self {
        Self { store, epoch, known: Cache::new(CACHE_SIZE) }
    }

    pub(super) fn find(&self, person: &Person) -> Result<Arc<Maker>, StoreError> {
        // Read before the state is: a change meanwhile makes the new entry old at once.
        let epoch = self.epoch.now();
        if let Some((known_at, maker)) = self.known.get(person)
            && known_at == epoch
        {
            return Ok(maker);
        }
        let is_local = person.issuer == Person::LOCAL;
        let roles = if is_local { None } else { self.store.person(person)?.map(|known| known.roles) };
        let maker = Arc::new(Maker { not_before: self.store.not_before(person)?, roles });
        // That somebody is seen for the first time takes nothing from anybody, and advances no epoch.
        if is_local || maker.roles.is_some() {
            self.known.insert(person.clone(), (epoch, Arc::clone(&maker)));
        }
        Ok(maker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{PersonRecord, SqliteStore};

    fn somebody(issuer: &str) -> Person {
        Person { issuer: issuer.to_owned(), subject: "s".to_owned() }
    }

    #[test]
    fn what_is_kept_ends_with_the_epoch_and_nobody_is_kept_as_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("state.db")).unwrap());
        let epoch = Epoch::default();
        let makers = Makers::new(Arc::clone(&store), epoch.clone());
        let (seen, local) = (somebody("https://idp.example"), somebody(Person::LOCAL));
        let maker = |person: &Person| {
            let maker = makers.find(person).unwrap();
            (maker.not_before, maker.roles.clone())
        };
        let remember = |roles: &[&str], at: i64| {
            let roles = roles.iter().map(|&role| role.to_owned()).collect();
            let seen_at = UnixTime(at);
            let record = PersonRecord { person: seen.clone(), name: String::new(), groups: Vec::new(), roles, seen_at };
            store.remember_person(&record).unwrap();
        };
        assert_eq!((maker(&seen), maker(&local)), ((None, None), (None, None)));
        remember(&["one"], 1);
        assert_eq!(maker(&seen), (None, Some(vec!["one".to_owned()])), "whoever is new is known at once");

        remember(&["two"], 2);
        store.set_not_before(&local, UnixTime(3)).unwrap();
        assert_eq!(maker(&seen).1, Some(vec!["one".to_owned()]), "the state is not asked");
        assert_eq!(maker(&local).0, None, "the state is not asked");
        epoch.advance();
        assert_eq!(maker(&seen).1, Some(vec!["two".to_owned()]));
        assert_eq!(maker(&local).0, Some(UnixTime(3)));
    }
}
