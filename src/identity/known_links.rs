//! What links give, by their identifiers: of a link that many browsers have opened, or that is used by its token and by its
//! short form, the state is asked once for all of them. The newest are read ahead, so that a first use need not wait for
//! the state.
//!
//! Kept exactly as long as a verified identity: until anything was taken from anybody (the epoch), or the link ends. Knows
//! nothing of tokens and cookies.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::{Epoch, Identity};
use crate::clock::UnixTime;
use crate::share::limits::LinkOptions;

/// How many links are kept; about 2 KiB each.
pub(super) const CACHE_SIZE: usize = 8_192;

/// What a link gives, and what it was made with.
pub(super) struct KnownLink {
    pub(super) identity: Arc<Identity>,
    pub(super) options: LinkOptions,
}

/// The links.
pub struct KnownLinks {
    epoch: Epoch,
    known: Cache<String, (u64, Arc<KnownLink>)>,
    /// By the SHA-256 of the tokens that open them by themselves.
    by_token: Cache<[u8; 32], (u64, Arc<Identity>)>,
}

impl KnownLinks {
    /// `epoch` is the one that ends verified identities too.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, known: Cache::new(CACHE_SIZE), by_token: Cache::new(CACHE_SIZE) }
    }

    /// The epoch that goes with what is looked up from now on: a change meanwhile makes the new entry old at once.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.now()
    }

    pub(super) fn get(&self, id: &str, now: UnixTime) -> Option<Arc<KnownLink>> {
        let (epoch, known) = self.known.get(id)?;
        (epoch == self.epoch.now() && known.identity.is_fresh(now)).then_some(known)
    }

    /// What a token opens, of which the record has the hash: it is the one that was signed here, and need not be read.
    pub(super) fn get_by_token(&self, hash: &[u8; 32], now: UnixTime) -> Option<Arc<Identity>> {
        let (epoch, identity) = self.by_token.get(hash)?;
        (epoch == self.epoch.now() && identity.is_fresh(now)).then_some(identity)
    }

    pub(super) fn insert(&self, id: String, token_hash: Option<[u8; 32]>, epoch: u64, known: &Arc<KnownLink>) {
        if let Some(hash) = token_hash.filter(|_| !known.options.asks()) {
            self.by_token.insert(hash, (epoch, Arc::clone(&known.identity)));
        }
        self.known.insert(id, (epoch, Arc::clone(known)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::credential::{Credential, Kind, Source};
    use crate::identity::{Identity, LinkFault, Opened, Rejection};
    use crate::share::kind::LinkType;
    use crate::share::limits::LinkOptions;
    use crate::store::faulty::{Fault, FaultyStore};
    use crate::store::{ShareRecord, Store};
    use crate::testing::{Bed, NOW};
    use std::sync::Arc;

    struct Site {
        store: Arc<FaultyStore>,
        bed: Bed,
    }

    impl Site {
        fn new() -> Self {
            let store = Arc::new(FaultyStore::new());
            let roles =
                json!({"roles": {"doctor-role": {"permissions": ["view", "share"], "authorized-labels": ["*"]}}});
            let users = json!({"doctor": ["doctor-role"]});
            let bed = Bed::on(Arc::clone(&store) as Arc<dyn Store>, json!({}), &users, &roles, Vec::new());
            Self { store, bed }
        }

        fn link(&self, id: &str, change: impl FnOnce(&mut ShareRecord)) -> String {
            self.bed.make_link(id, Some("doctor"), LinkType::Stone, Vec::new(), change)
        }

        /// What somebody holds who has opened the link; each text is another one.
        fn opened(&self, id: &str) -> String {
            let opened = Opened { at: NOW, until: NOW.plus(1_000), session: None };
            self.bed.verifiers().grant(id, &opened).unwrap()
        }

        fn verify(&self, kind: Kind, text: &str) -> Result<Arc<Identity>, Rejection> {
            let source = if kind == Kind::Opened { Source::Cookie } else { Source::TokenHeader };
            self.bed.gate.identities.verify(&Credential { source, kind, text }, "", NOW)
        }

        /// The same while the state does not say what a link is.
        fn verify_without_state(&self, kind: Kind, text: &str) -> Result<Arc<Identity>, Rejection> {
            self.store.fail("share", Fault::Error);
            let verified = self.verify(kind, text);
            if self.store.will_fail() {
                // The state was not asked.
                drop(self.store.share(""));
            }
            verified
        }
    }

    #[test]
    fn a_link_is_looked_up_once_for_all_who_opened_it() {
        let site = Site::new();
        let token = site.link("l", |_| ());
        assert!(matches!(site.verify_without_state(Kind::Opened, &site.opened("l")), Err(Rejection::Store(_))));
        let first = site.verify(Kind::Opened, &site.opened("l")).unwrap();
        for (kind, text) in [(Kind::Opened, site.opened("l")), (Kind::Token, token)] {
            let known = site.verify_without_state(kind, &text).unwrap();
            assert_eq!((&known.id, &known.name, &known.made_by), (&first.id, &first.name, &first.made_by));
        }
    }

    #[test]
    fn what_was_revoked_is_not_known_any_more() {
        let site = Site::new();
        let token = site.link("l", |_| ());
        site.verify(Kind::Opened, &site.opened("l")).unwrap();
        assert!(site.store.revoke_share("l", None, NOW).unwrap());
        site.bed.gate.identities.forget();
        for (kind, text) in [(Kind::Opened, site.opened("l")), (Kind::Token, token)] {
            assert!(matches!(site.verify(kind, &text), Err(Rejection::Link(LinkFault::Revoked))));
        }
    }

    #[test]
    fn a_link_that_asks_for_something_is_not_opened_by_its_token_because_somebody_opened_it() {
        let site = Site::new();
        let options = serde_json::to_string(&LinkOptions { max_openings: Some(2), ..LinkOptions::default() }).unwrap();
        let token = site.link("l", |record| record.options_json = options);
        site.verify(Kind::Opened, &site.opened("l")).unwrap();
        for _ in 0..2 {
            assert!(matches!(site.verify(Kind::Token, &token), Err(Rejection::Link(LinkFault::ByCodeOnly))));
        }
    }

    #[test]
    fn the_newest_links_are_known_before_they_are_used() {
        let site = Site::new();
        let ends = site.link("ends", |record| record.expires_at = Some(NOW));
        let begins = site.link("begins", |record| record.not_before = Some(NOW.plus(1)));
        // More than are read at once.
        let tokens: Vec<String> =
            (0..super::super::links::PAGE + 1).map(|at| site.link(&at.to_string(), |_| ())).collect();
        site.bed.verifiers().read_links_ahead(NOW, || true).unwrap();
        for token in &tokens {
            site.verify_without_state(Kind::Token, token).unwrap();
        }
        assert!(matches!(site.verify(Kind::Token, &ends), Err(Rejection::Expired)));
        assert!(matches!(site.verify(Kind::Token, &begins), Err(Rejection::Link(LinkFault::NotYet { .. }))));
        // Until anything is taken from anybody.
        site.bed.gate.identities.forget();
        assert!(matches!(site.verify_without_state(Kind::Token, &tokens[0]), Err(Rejection::Store(_))));
    }

    #[test]
    fn a_token_that_the_record_tells_by_its_hash_is_known_as_it_is_unless_something_is_asked() {
        let site = Site::new();
        let hashed = |text: &str| Some(crate::bytes::sha256(text));
        let options = serde_json::to_string(&LinkOptions { max_openings: Some(2), ..LinkOptions::default() }).unwrap();
        site.link("plain", |record| record.token_hash = hashed("a text that is no token"));
        let asking = site.link("asks", |record| record.options_json = options);
        site.link("asks too", |record| {
            record.options_json = r#"{"max_openings": 2}"#.to_owned();
            record.token_hash = hashed(&asking);
        });
        let opens = |text: &str| site.verify(Kind::Token, text).is_ok();
        assert!(!opens("a text that is no token"), "nothing is read ahead");
        site.bed.verifiers().read_links_ahead(NOW, || true).unwrap();
        assert!(opens("a text that is no token") && !opens("a text that is no token."));
        assert!(!opens(&asking));
        // Of a cookie, say, the same text is nothing.
        assert!(site.verify(Kind::Opened, "a text that is no token").is_err());
        site.store.revoke_share("plain", None, NOW).unwrap();
        site.bed.gate.identities.forget();
        assert!(!opens("a text that is no token"));
    }

    #[test]
    fn reading_ahead_ends_when_it_is_told() {
        let site = Site::new();
        let first = site.link("first", |_| ());
        for at in 0..super::super::links::PAGE {
            site.link(&at.to_string(), |_| ());
        }
        site.bed.verifiers().read_links_ahead(NOW, || false).unwrap();
        assert!(matches!(site.verify_without_state(Kind::Token, &first), Err(Rejection::Store(_))));
    }
}
