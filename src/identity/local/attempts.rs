//! Failed attempts, counted three ways: by user and address, by address over all users, by user over all addresses.
//!
//! The first is strict and doubles the wait after each further failure. The other two begin later and stay short: many
//! people share the address of a clinic's proxy, and nobody may lock another person out for long by guessing. Who
//! has succeeded from an address is not held up by what others do to the account. Unknown users count like known ones.
//!
//! Memory is bounded; the counters used longest ago go first, so a flood of names cannot push out those that it
//! keeps touching itself. Each of the three has room of its own, and only failures take that of users: whoever knows the
//! password of one account, or the PIN of one link, can succeed from any number of addresses.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};

use hashlink::LruCache;
use parking_lot::Mutex;

use super::LocalError;
use crate::clock::UnixTime;

/// Counters kept of each kind, about 1 MB.
const COUNTERS: usize = 16_384;
/// A counter without a new failure for this long is forgotten, in seconds.
const MEMORY: i64 = 15 * 60;
/// For how long a success from an address is remembered, in seconds.
const TRUST: i64 = 30 * 24 * 3600;

/// How failures turn into waiting.
struct Rule {
    /// Failures that cost nothing.
    free: u32,
    /// The longest wait, in seconds.
    longest: u32,
}

const PAIR: Rule = Rule { free: 5, longest: 300 };
const ADDRESS: Rule = Rule { free: 30, longest: 60 };
const USER: Rule = Rule { free: 50, longest: 30 };

/// The three counters of an attempt, as keyed hashes: no user name is kept.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    pair: u64,
    address: u64,
    user: u64,
}

#[derive(Clone, Copy)]
struct Counter {
    failures: u32,
    /// The last failure; for a pair also the last success.
    last: UnixTime,
    succeeded: Option<UnixTime>,
}

/// A PIN is short, and stays the same for as long as its link: all who guess it together must not get through those of
/// four digits within months, and no time off gives them new free guesses. Whoever typed it right once from an address is
/// not held up there.
const PIN: Rule = Rule { free: 30, longest: 3600 };
const MEMORY_OF_PINS: i64 = 7 * 24 * 3600;

/// All counters.
pub(super) struct Attempts {
    user: Rule,
    /// For how long a user's failures are remembered, over all addresses.
    memory: i64,
    key: RandomState,
    counters: Mutex<Counters>,
}

struct Counters {
    pairs: LruCache<u64, Counter>,
    addresses: LruCache<u64, Counter>,
    users: LruCache<u64, Counter>,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self::with(USER, MEMORY)
    }

    /// Of PINs, with links for users.
    pub(super) fn of_pins() -> Self {
        Self::with(PIN, MEMORY_OF_PINS)
    }

    fn with(user: Rule, memory: i64) -> Self {
        let [pairs, addresses, users] = [(); 3].map(|()| LruCache::new(COUNTERS));
        Self { user, memory, key: RandomState::new(), counters: Mutex::new(Counters { pairs, addresses, users }) }
    }

    /// The counters of a user at an address.
    pub(super) fn of(&self, user: &str, peer: &str) -> Attempt {
        let address = Address::of(peer);
        Attempt {
            pair: self.key.hash_one((user, &address)),
            address: self.key.hash_one(&address),
            user: self.key.hash_one(user),
        }
    }

    /// Whether an attempt may be made now.
    pub(super) fn allowed(&self, attempt: Attempt, now: UnixTime) -> Result<(), LocalError> {
        let Counters { pairs, addresses, users } = &mut *self.counters.lock();
        // What was counted while the clock was ahead would hold up until it is there again.
        let counter = |counters: &mut LruCache<u64, Counter>, key: u64| -> Option<Counter> {
            let counter = counters.get_mut(&key)?;
            counter.last = counter.last.min(now);
            counter.succeeded = counter.succeeded.map(|at| at.min(now));
            Some(*counter)
        };
        let pair = counter(pairs, attempt.pair);
        let trusted = pair.is_some_and(|pair| pair.succeeded.is_some_and(|at| now < at.plus(TRUST)));
        let mut wait = pair.map_or(0, |pair| PAIR.wait(pair, now));
        if !trusted {
            for (counters, key, rule) in [(addresses, attempt.address, &ADDRESS), (users, attempt.user, &self.user)] {
                wait = wait.max(counter(counters, key).map_or(0, |counter| rule.wait(counter, now)));
            }
        }
        if wait == 0 { Ok(()) } else { Err(LocalError::TooManyAttempts { retry_after: wait }) }
    }

    /// Counts a failure.
    pub(super) fn failed(&self, attempt: Attempt, now: UnixTime) {
        let Counters { pairs, addresses, users } = &mut *self.counters.lock();
        for (counters, key, memory) in
            [(pairs, attempt.pair, MEMORY), (addresses, attempt.address, MEMORY), (users, attempt.user, self.memory)]
        {
            let old = counters.get(&key).copied();
            let recent = old.filter(|old| now < old.last.plus(memory)).map_or(0, |old| old.failures);
            let succeeded = old.and_then(|old| old.succeeded);
            counters.insert(key, Counter { failures: recent.saturating_add(1), last: now, succeeded });
        }
    }

    /// Forgets the failures of this user at this address. Those of the address and of the user over all addresses stay:
    /// an account of one's own must not buy further guesses at those of others.
    pub(super) fn succeeded(&self, attempt: Attempt, now: UnixTime) {
        self.counters.lock().pairs.insert(attempt.pair, Counter { failures: 0, last: now, succeeded: Some(now) });
    }
}

impl Rule {
    /// Seconds until the next attempt: 1, 2, 4, … after the free ones, 0 for now.
    fn wait(&self, counter: Counter, now: UnixTime) -> u32 {
        let Some(beyond) = counter.failures.checked_sub(self.free) else { return 0 };
        let lock = 1u32.checked_shl(beyond).unwrap_or(u32::MAX).min(self.longest);
        let end = counter.last.plus(i64::from(lock));
        u32::try_from(end.0.saturating_sub(now.0)).unwrap_or(0).min(lock)
    }
}

/// What counts as one address: for IPv6 the /64 network, which one host has wholly.
#[derive(Hash)]
enum Address<'a> {
    Ip(IpAddr),
    Other(&'a str),
}

impl<'a> Address<'a> {
    fn of(peer: &'a str) -> Self {
        match peer.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
            Ok(IpAddr::V6(ip)) => Self::Ip(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into()),
            Ok(ip) => Self::Ip(ip),
            Err(_) => Self::Other(peer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixTime = UnixTime(1_700_000_000);

    fn wait(attempts: &Attempts, user: &str, peer: &str, now: UnixTime) -> u32 {
        match attempts.allowed(attempts.of(user, peer), now) {
            Err(LocalError::TooManyAttempts { retry_after }) => retry_after,
            other => {
                assert_eq!(other, Ok(()));
                0
            }
        }
    }

    fn fail(attempts: &Attempts, user: &str, peer: &str, now: UnixTime) {
        attempts.failed(attempts.of(user, peer), now);
    }

    #[test]
    fn the_wait_of_a_user_at_an_address_doubles_up_to_five_minutes() {
        let attempts = Attempts::new();
        let mut now = START;
        let mut waits = Vec::new();
        for _ in 0..16 {
            fail(&attempts, "doctor", "192.0.2.1", now);
            let seconds = wait(&attempts, "doctor", "192.0.2.1", now);
            waits.push(seconds);
            now = now.plus(i64::from(seconds));
            assert_eq!(wait(&attempts, "doctor", "192.0.2.1", now), 0, "over when it says so");
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(wait(&attempts, "doctor", "192.0.2.2", now), 0, "elsewhere the user is free");
    }

    #[test]
    fn a_success_forgets_the_failures_of_the_pair_only() {
        let attempts = Attempts::new();
        for _ in 0..30 {
            fail(&attempts, "doctor", "192.0.2.1", START);
        }
        attempts.succeeded(attempts.of("doctor", "192.0.2.1"), START);
        assert_eq!(wait(&attempts, "doctor", "192.0.2.1", START), 0);
        assert_eq!(wait(&attempts, "nurse", "192.0.2.1", START), 1, "the address still waits");
    }

    #[test]
    fn counters_die_after_a_while() {
        let attempts = Attempts::new();
        for _ in 0..4 {
            fail(&attempts, "doctor", "192.0.2.1", START);
        }
        fail(&attempts, "doctor", "192.0.2.1", START.plus(MEMORY - 1));
        assert_eq!(wait(&attempts, "doctor", "192.0.2.1", START.plus(MEMORY - 1)), 1, "the fifth within the time");
        let later = START.plus(3 * MEMORY);
        fail(&attempts, "doctor", "192.0.2.1", later);
        assert_eq!(wait(&attempts, "doctor", "192.0.2.1", later), 0, "the first again");
    }

    #[test]
    fn guessing_from_many_addresses_is_slowed_down_but_not_for_who_is_known_there() {
        let attempts = Attempts::new();
        attempts.succeeded(attempts.of("doctor", "192.0.2.1"), START);
        for host in 0..80 {
            fail(&attempts, "doctor", &format!("198.51.100.{host}"), START);
        }
        assert_eq!(wait(&attempts, "doctor", "203.0.113.1", START), 30);
        assert_eq!(wait(&attempts, "nurse", "203.0.113.1", START), 0);
        assert_eq!(wait(&attempts, "doctor", "192.0.2.1", START), 0, "at home at this address");
    }

    #[test]
    fn a_pin_is_not_guessed_from_many_addresses_within_months() {
        // The last beside somebody who opens a link of their own from everywhere, to have this one's failures forgotten.
        for (rest, mut floods) in [(0, 0), (MEMORY, 0), (4 * 3600, 0), (0, 60)] {
            let flooded = floods > 0;
            let attempts = Attempts::of_pins();
            attempts.succeeded(attempts.of("link", "192.0.2.1"), START);
            let (mut guesses, mut now) = (0, START);
            // Each guess from an address of its own, as soon as one is looked at, or after thirty and a rest.
            while now < START.plus(30 * 24 * 3600) {
                let address = format!("2001:db8:{:x}:{:x}::1", guesses >> 16, guesses & 0xffff);
                match wait(&attempts, "link", &address, now) {
                    0 => {
                        fail(&attempts, "link", &address, now);
                        guesses += 1;
                        now = now.plus(if guesses % 30 == 0 { rest } else { 0 });
                    }
                    seconds if floods == 0 => now = now.plus(i64::from(seconds)),
                    _ => {
                        floods -= 1;
                        for host in 0..COUNTERS {
                            attempts.succeeded(attempts.of("own", &format!("2001:db9:0:{host:x}::1")), now);
                        }
                    }
                }
            }
            assert!(guesses < 1_000, "{guesses} in a month");
            let is_at_home = wait(&attempts, "link", "192.0.2.1", now.plus(-3600)) == 0;
            assert!(is_at_home || flooded, "at home at this address");
            assert_eq!(wait(&attempts, "other", "203.0.113.1", now), 0);
        }
    }

    #[test]
    fn one_address_trying_many_users_is_slowed_down() {
        let attempts = Attempts::new();
        for number in 0..40 {
            fail(&attempts, &format!("user{number}"), "192.0.2.1", START);
        }
        assert_eq!(wait(&attempts, "doctor", "192.0.2.1", START), 60);
    }

    #[test]
    fn a_network_of_ipv6_addresses_counts_as_one_and_a_mapped_address_as_itself() {
        let attempts = Attempts::new();
        for host in 0..6 {
            fail(&attempts, "doctor", &format!("2001:db8:1:2::{host}"), START);
        }
        assert_eq!(wait(&attempts, "doctor", "2001:db8:1:2:ffff::1", START), 2);
        assert_eq!(wait(&attempts, "doctor", "2001:db8:1:3::1", START), 0);
        for _ in 0..6 {
            fail(&attempts, "nurse", "::ffff:192.0.2.7", START);
        }
        assert_eq!(wait(&attempts, "nurse", "192.0.2.7", START), 2);
    }

    #[test]
    fn memory_is_bounded_and_a_flood_does_not_free_its_own_address() {
        let attempts = Attempts::new();
        for number in 0..COUNTERS {
            fail(&attempts, &format!("user{number}"), "192.0.2.1", START);
        }
        assert_eq!(attempts.counters.lock().users.len(), COUNTERS);
        assert_eq!(wait(&attempts, "fresh", "192.0.2.1", START), 60);
    }

    #[test]
    fn the_wait_ends_also_when_the_clock_was_ahead() {
        for attempts in [Attempts::new(), Attempts::of_pins()] {
            let ahead = START.plus(400 * 24 * 3600);
            for host in 0..60 {
                fail(&attempts, "doctor", &format!("198.51.100.{host}"), ahead);
                fail(&attempts, "doctor", "192.0.2.1", ahead);
            }
            // The clock is put right.
            let here = wait(&attempts, "doctor", "192.0.2.1", START);
            assert!(here > 0 && wait(&attempts, "doctor", "203.0.113.1", START) > 0, "not at once");
            assert_eq!(wait(&attempts, "doctor", "192.0.2.1", START.plus(i64::from(here) - 1)), 1);
            assert_eq!(wait(&attempts, "doctor", "192.0.2.1", START.plus(i64::from(here))), 0);
            assert_eq!(wait(&attempts, "doctor", "203.0.113.1", START.plus(i64::from(here))), 0);
        }
    }

    #[test]
    fn a_clock_set_back_does_not_lengthen_the_wait() {
        let attempts = Attempts::new();
        for _ in 0..6 {
            fail(&attempts, "doctor", "192.0.2.1", START);
        }
        assert_eq!(wait(&attempts, "doctor", "192.0.2.1", START.plus(-86_400)), 2);
    }
}
