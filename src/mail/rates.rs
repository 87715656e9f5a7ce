//! How many recipients somebody's mails may have within an hour, and all mails together. Kept in memory: a restart
//! forgives.

use std::collections::{BTreeSet, VecDeque};

use parking_lot::Mutex;

use crate::clock::UnixTime;
use crate::person::Person;

/// The time that is looked back over, in seconds.
const HOUR: i64 = 3600;

/// Who has had enough for now. For whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    /// One person.
    #[error("you have sent as many mails as one person may within an hour")]
    Person,
    /// All together.
    #[error("this server has sent as many mails as it may within an hour")]
    Together,
}

/// What was sent within the last hour. Each entry counts at least one recipient, so there are not more entries than all
/// together may have.
pub struct Rates {
    person: u32,
    together: u32,
    sent: Mutex<VecDeque<(UnixTime, BTreeSet<Person>, u32)>>,
}

impl Rates {
    /// Bounds in recipients for each hour.
    #[must_use]
    pub fn new(person: u32, together: u32) -> Self {
        Self { person, together, sent: Mutex::default() }
    }

    /// Counts a mail of these people to so many recipients, if it is within the bounds of each of them and of all
    /// together.
    ///
    /// # Errors
    /// Which one it is not within; nothing is counted then.
    pub fn take(&self, people: BTreeSet<Person>, recipients: u32, now: UnixTime) -> Result<(), TooMany> {
        let mut sent = self.sent.lock();
        // A clock that went back must not keep entries for ever.
        sent.retain(|(at, ..)| *at <= now && now < at.plus(HOUR));
        let count = |of: &dyn Fn(&BTreeSet<Person>) -> bool| -> u32 {
            sent.iter().filter(|(_, senders, _)| of(senders)).fold(recipients, |sum, (.., n)| sum.saturating_add(*n))
        };
        if people.iter().any(|person| count(&|senders| senders.contains(person)) > self.person) {
            return Err(TooMany::Person);
        }
        if count(&|_| true) > self.together {
            return Err(TooMany::Together);
        }
        sent.push_back((now, people, recipients.max(1)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(person: &Person) -> BTreeSet<Person> {
        BTreeSet::from([person.clone()])
    }

    #[test]
    fn each_person_and_all_together_are_bounded_within_an_hour() {
        let rates = Rates::new(3, 5);
        let (one, two) = (Person::local("one"), Person::local("two"));
        let at = UnixTime(1_700_000_000);
        assert_eq!(rates.take(only(&one), 2, at), Ok(()));
        // What is refused does not count.
        assert_eq!(rates.take(only(&one), 2, at), Err(TooMany::Person));
        assert_eq!(rates.take(only(&one), 1, at.plus(10)), Ok(()));
        assert_eq!(rates.take(only(&one), 1, at.plus(10)), Err(TooMany::Person));
        assert_eq!(rates.take(only(&two), 3, at.plus(10)), Err(TooMany::Together));
        assert_eq!(rates.take(only(&two), 2, at.plus(10)), Ok(()));
        // The first two are an hour old.
        assert_eq!(rates.take(only(&one), 3, at.plus(HOUR)), Err(TooMany::Person));
        assert_eq!(rates.take(only(&one), 2, at.plus(HOUR)), Ok(()));
        assert_eq!(rates.take(only(&one), 3, at.plus(3 * HOUR)), Ok(()));
    }

    #[test]
    fn a_mail_of_several_counts_once_together_and_for_none_when_it_is_refused() {
        let rates = Rates::new(3, 6);
        let (one, two) = (Person::local("one"), Person::local("two"));
        let both = || BTreeSet::from([one.clone(), two.clone()]);
        let at = UnixTime(1_700_000_000);
        assert_eq!(rates.take(only(&two), 2, at), Ok(()));
        assert_eq!(rates.take(both(), 2, at), Err(TooMany::Person));
        assert_eq!(rates.take(both(), 1, at), Ok(()));
        // The refused one has cost the first nothing, and the other has cost all together one.
        assert_eq!(rates.take(only(&one), 2, at), Ok(()));
        assert_eq!(rates.take(only(&Person::local("three")), 1, at), Ok(()));
        assert_eq!(rates.take(only(&Person::local("three")), 1, at), Err(TooMany::Together));
    }

    #[test]
    fn a_clock_that_went_back_locks_nobody_out() {
        let rates = Rates::new(1, 1);
        let at = UnixTime(1_700_000_000);
        assert_eq!(rates.take(only(&Person::local("one")), 1, at), Ok(()));
        assert_eq!(rates.take(only(&Person::local("one")), 1, at.plus(-86_400)), Ok(()));
    }
}
