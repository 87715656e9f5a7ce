//! What was noticed of refused tokens, for the doctor: the last of each kind, how many, and when.
//!
//! Bounded, whatever comes: strangers can neither fill it nor push out what a provider's own signature vouches for. No
//! part of a token is kept but the names of issuers, audiences and roles, made printable and short. Written on
//! refusals and on first sight of a token, never on the way of a cached one.

use parking_lot::Mutex;

use crate::clock::UnixTime;

/// Issuers that only strangers vouch for: so many are kept.
const MAX_STRANGERS: usize = 8;
/// Names of roles that are kept.
const MAX_ROLES: usize = 32;

/// What was wrong with a token that its provider really signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has another `iss` than those accepted; signed with this provider's key all the same.
    Issuer,
    /// Neither `aud` nor `azp` is accepted.
    Audience,
    /// `nbf` or `iat` lies ahead.
    NotYet,
    /// It is no access token.
    Kind,
    /// It is accepted, and has no role at any of the configured claims.
    NoRoles,
    /// It is accepted, and the roles file knows none of its roles.
    NoKnownRole,
    /// A login that a browser came back from failed.
    Login,
}

const FAULTS: usize = 7;

/// Something noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// How often.
    pub count: u64,
    /// When last.
    pub last: UnixTime,
    /// What it showed: the issuer, the audiences, …; printable and short.
    pub shown: String,
}

/// The record of one provider, or of all together for what strangers say.
#[derive(Default)]
pub(super) struct Noticed {
    faults: Mutex<[Notice; FAULTS]>,
    unknown_keys: Mutex<Notice>,
    roles: Mutex<Vec<Notice>>,
}

impl Noticed {
    /// Writes down a fault. Says whether it is the first of its kind, or shows something else than the one before.
    pub(super) fn fault(&self, fault: Fault, shown: String, now: UnixTime) -> bool {
        let mut faults = self.faults.lock();
        let Some(notice) = faults.get_mut(fault as usize) else { return false };
        let is_news = notice.count == 0 || notice.shown != shown;
        *notice = Notice { count: notice.count.saturating_add(1), last: now, shown };
        is_news
    }

    /// A token whose key the provider does not have, or whose signature is wrong: anybody can make one.
    pub(super) fn unknown_key(&self, now: UnixTime) {
        let mut notice = self.unknown_keys.lock();
        notice.count = notice.count.saturating_add(1);
        notice.last = now;
    }

    /// A role of an accepted token that the roles file does not know.
    pub(super) fn role(&self, role: String, now: UnixTime) {
        count(&mut self.roles.lock(), MAX_ROLES, role, now);
    }

    pub(super) fn read(&self) -> NoticedTokens {
        let [issuer, audience, not_yet, kind, no_roles, no_known_role, login] = self.faults.lock().clone();
        NoticedTokens {
            issuer,
            audience,
            not_yet,
            kind,
            no_roles,
            no_known_role,
            login,
            unknown_keys: self.unknown_keys.lock().clone(),
            roles: self.roles.lock().clone(),
        }
    }
}

/// Issuers of tokens that no provider vouches for.
#[derive(Default)]
pub(super) struct Strangers(Mutex<Vec<Notice>>);

impl Strangers {
    pub(super) fn issuer(&self, issuer: String, now: UnixTime) {
        count(&mut self.0.lock(), MAX_STRANGERS, issuer, now);
    }

    pub(super) fn read(&self) -> Vec<Notice> {
        self.0.lock().clone()
    }
}

/// Counts a name. A newcomer takes the place of the rarest: what really comes again and again outlives a flood of
/// inventions.
fn count(notices: &mut Vec<Notice>, at_most: usize, shown: String, now: UnixTime) {
    if let Some(known) = notices.iter_mut().find(|notice| notice.shown == shown) {
        known.count = known.count.saturating_add(1);
        known.last = now;
        return;
    }
    let fresh = Notice { count: 1, last: now, shown };
    if notices.len() < at_most {
        notices.push(fresh);
    } else if let Some(rarest) = notices.iter_mut().min_by_key(|notice| (notice.count, notice.last)) {
        *rarest = fresh;
    }
}

/// All that was noticed of one provider's tokens; a count of 0 is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoticedTokens {
    /// See `Fault::Issuer`; shows the issuer.
    pub issuer: Notice,
    /// See `Fault::Audience`; shows `aud` and `azp`.
    pub audience: Notice,
    /// See `Fault::NotYet`; shows the claim and by how many seconds.
    pub not_yet: Notice,
    /// See `Fault::Kind`; shows what it was instead.
    pub kind: Notice,
    /// See `Fault::NoRoles`.
    pub no_roles: Notice,
    /// See `Fault::NoKnownRole`; shows the roles.
    pub no_known_role: Notice,
    /// See `Fault::Login`; shows why.
    pub login: Notice,
    /// Tokens in this provider's name, signed by somebody else: an attack, or another provider of the same name.
    pub unknown_keys: Notice,
    /// Roles in accepted tokens that were unknown to the roles file then.
    pub roles: Vec<Notice>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_outlives_a_flood() {
        let strangers = Strangers::default();
        for _ in 0..3 {
            strangers.issuer("https://real.example".to_owned(), UnixTime(1));
        }
        for number in 0..1000 {
            strangers.issuer(format!("https://{number}.example"), UnixTime(number));
        }
        let read = strangers.read();
        assert_eq!(read.len(), MAX_STRANGERS);
        let real = read.iter().find(|notice| notice.shown == "https://real.example");
        assert_eq!(real.map(|notice| (notice.count, notice.last)), Some((3, UnixTime(1))));
    }

    #[test]
    fn a_fault_is_news_once_and_counted_always() {
        let noticed = Noticed::default();
        assert!(noticed.fault(Fault::Audience, "aud \"a\"".to_owned(), UnixTime(5)));
        assert!(!noticed.fault(Fault::Audience, "aud \"a\"".to_owned(), UnixTime(7)));
        assert!(noticed.fault(Fault::Audience, "aud \"b\"".to_owned(), UnixTime(8)));
        let read = noticed.read();
        assert_eq!(read.audience, Notice { count: 3, last: UnixTime(8), shown: "aud \"b\"".to_owned() });
        assert_eq!(read.issuer, Notice::default());
    }
}
