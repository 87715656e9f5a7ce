//! Who creates which study: a claim is made before a study's first instance is stored, and confirmed after.
//!
//! Claims are durable, and those of this server wholly in memory besides. What other servers that share the state have
//! kept of a study is in the state alone, which has the last word: it may have been deleted there, or be somebody else's.
//! Knows nothing of labels' meaning, of rights or of the server.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::clock::UnixTime;
use crate::person::Person;
use crate::store::{CreatedStudy, Store, StoreError};

/// How long a study that was not labelled stays open to whoever created it (decision 18), in seconds.
const DAY: i64 = 86_400;

/// How long a claim waits for its first instance to be stored, in seconds: between the filter and the storage are
/// milliseconds, unless the server fails in between.
const PATIENCE: i64 = 600;

/// How often claims that have ended are cleared away, in seconds.
const CLEARED_EVERY: i64 = 3_600;

/// So often somebody tries to claim a study while others change what is kept of it.
const ATTEMPTS: usize = 3;

/// The claims.
pub(super) struct Claims {
    store: Arc<dyn Store>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_uid: HashMap<String, CreatedStudy>,
    /// UIDs of confirmed claims by the study's Orthanc identifier.
    confirmed: HashMap<String, String>,
    /// UIDs of claims that wait for their first instance; and which study it is going to be, where that matters.
    waiting: HashMap<String, Option<String>>,
    /// UIDs of claims that are over, and that the store still has: a restart would bring them back.
    unforgotten: BTreeSet<String>,
    cleared_at: i64,
}

impl State {
    fn insert(&mut self, claim: CreatedStudy) {
        self.remove(&claim.uid);
        self.unforgotten.remove(&claim.uid);
        match &claim.study {
            Some(study) => drop(self.confirmed.insert(study.clone(), claim.uid.clone())),
            None => drop(self.waiting.insert(claim.uid.clone(), None)),
        }
        self.by_uid.insert(claim.uid.clone(), claim);
    }

    fn remove(&mut self, uid: &str) {
        if let Some(study) = self.by_uid.remove(uid).and_then(|old| old.study) {
            self.confirmed.remove(&study);
        }
        self.waiting.remove(uid);
    }

    fn live(&self, uid: &str, now: UnixTime) -> Option<&CreatedStudy> {
        self.by_uid.get(uid).filter(|claim| is_live(claim, now))
    }
}

/// Also of a claim that was made while the clock was ahead: it lasts no longer than it may from where the clock is now.
fn is_live(claim: &CreatedStudy, now: UnixTime) -> bool {
    let lasts = if claim.study.is_some() { DAY } else { PATIENCE };
    now < claim.created_at.plus(lasts) && claim.created_at < now.plus(lasts)
}

impl Claims {
    /// Reads what an earlier run has kept. A claim that was waiting then does not count any more: who has stored the
    /// first instance since is not known.
    pub(super) fn load(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let mut state = State::default();
        for claim in store.created_studies()? {
            if claim.study.is_some() {
                state.insert(claim);
            } else {
                store.forget_created_study(&claim.uid)?;
            }
        }
        Ok(Self { store, state: Mutex::new(state) })
    }

    /// The claim in force on a study. One that is confirmed has to be in the state still.
    pub(super) fn of(&self, uid: &str, now: UnixTime) -> Result<Option<CreatedStudy>, StoreError> {
        let Some(claim) = self.known(uid, now) else { return Ok(None) };
        if claim.study.is_none() {
            return Ok(Some(claim));
        }
        let kept = self.store.created_study(uid)?;
        if kept.is_some_and(|kept| kept.creator == claim.creator && kept.study == claim.study) {
            return Ok(Some(claim));
        }
        let mut state = self.state.lock();
        if state.by_uid.get(uid) == Some(&claim) {
            state.remove(uid);
        }
        Ok(None)
    }

    /// The claim on a study as this server knows it: for labels, which need no proof.
    pub(super) fn known(&self, uid: &str, now: UnixTime) -> Option<CreatedStudy> {
        self.state.lock().live(uid, now).cloned()
    }

    /// Whether any claim waits for its first instance. Cheap.
    pub(super) fn is_waiting(&self) -> bool {
        !self.state.lock().waiting.is_empty()
    }

    /// The claim that waits for the first instance of a study.
    pub(super) fn waiting(&self, uid: &str, now: UnixTime) -> Option<CreatedStudy> {
        self.known(uid, now).filter(|claim| claim.study.is_none())
    }

    /// Claims a study that is not there, unless somebody else has; the first one gets it. `before` is the claim that was in
    /// force before the study was found not to be there: a confirmed one stands for nothing.
    pub(super) fn claim(
        &self,
        uid: &str,
        creator: &Person,
        labels: &[String],
        before: Option<&CreatedStudy>,
        now: UnixTime,
    ) -> Result<Claimed, StoreError> {
        let mut over = before.cloned();
        for _ in 0..ATTEMPTS {
            match self.attempt(uid, creator, labels, before, over.as_ref(), now)? {
                Attempt::Over(claimed) => return Ok(claimed),
                Attempt::Stands(kept) => over = Some(kept),
            }
        }
        Ok(Claimed::ByAnother)
    }

    /// Claims a study, unless somebody else has it here, or in the state and is not `over`.
    fn attempt(
        &self,
        uid: &str,
        creator: &Person,
        labels: &[String],
        before: Option<&CreatedStudy>,
        over: Option<&CreatedStudy>,
        now: UnixTime,
    ) -> Result<Attempt, StoreError> {
        // Held while the store writes, so that two do not believe to be the first. It is one write for each new study.
        let mut state = self.state.lock();
        match state.live(uid, now) {
            Some(claim) if !is_gone(claim, before) => {
                let claimed = if claim.creator == *creator { Claimed::Before } else { Claimed::ByAnother };
                return Ok(Attempt::Over(claimed));
            }
            _ => {}
        }
        self.clear(&mut state, now)?;
        self.forget_left(&mut state)?;
        let claim = waiting(uid, creator, labels, now);
        if let Some(kept) = self.store.claim_created_study(&claim, over)? {
            return Ok(Attempt::Stands(kept));
        }
        state.insert(claim);
        Ok(Attempt::Over(Claimed::Now))
    }

    /// As [`Self::claim`], for somebody who may not add to a study that is there. Somebody who needs no claim may have
    /// created it since it was looked for, so a new claim holds only if `is_there`, asked after it was made, says no.
    pub(super) fn claim_absent<E: From<StoreError>>(
        &self,
        uid: &str,
        creator: &Person,
        labels: &[String],
        before: Option<&CreatedStudy>,
        now: UnixTime,
        is_there: impl Fn() -> Result<bool, E>,
    ) -> Result<Claimed, E> {
        let mut over = before.cloned();
        let mut claimed = Claimed::ByAnother;
        for _ in 0..ATTEMPTS {
            match self.attempt(uid, creator, labels, before, over.as_ref(), now)? {
                Attempt::Over(done) => {
                    claimed = done;
                    break;
                }
                // Another server is bringing it in.
                Attempt::Stands(kept) if kept.study.is_none() && is_live(&kept, now) => return Ok(Claimed::ByAnother),
                // Another server has brought it in: here, since it was looked for, or before it was deleted, or only there.
                Attempt::Stands(kept) if is_live(&kept, now) && is_there()? => return Ok(Claimed::TooLate),
                Attempt::Stands(kept) => over = Some(kept),
            }
        }
        if claimed == Claimed::Now && is_there()? {
            self.release(uid)?;
            return Ok(Claimed::TooLate);
        }
        Ok(claimed)
    }

    /// As [`Self::claim`], in memory only: for labels of somebody who needs no claim, when the store fails. A waiting claim
    /// does not outlive a restart anyway.
    pub(super) fn claim_in_memory(
        &self,
        uid: &str,
        creator: &Person,
        labels: &[String],
        before: Option<&CreatedStudy>,
        now: UnixTime,
    ) {
        let mut state = self.state.lock();
        if state.live(uid, now).is_none_or(|claim| is_gone(claim, before)) {
            state.insert(waiting(uid, creator, labels, now));
            // What the store may have of this UID is over.
            state.unforgotten.insert(uid.to_owned());
        }
    }

    /// Whether a study that was claimed is, or is going to be, the one with this Orthanc identifier: whoever says so
    /// first while it is waited for is right.
    pub(super) fn becomes(&self, uid: &str, study: &str) -> bool {
        let mut state = self.state.lock();
        if let Some(expected) = state.waiting.get_mut(uid) {
            return expected.get_or_insert_with(|| study.to_owned()) == study;
        }
        state.by_uid.get(uid).is_some_and(|claim| claim.study.as_deref() == Some(study))
    }

    /// The first instance of a claimed study is stored.
    pub(super) fn confirm(&self, claim: CreatedStudy, study: &str) -> Result<(), StoreError> {
        let claim = CreatedStudy { study: Some(study.to_owned()), ..claim };
        let mut state = self.state.lock();
        // In memory whatever becomes of the store: it waits no more, and is not labelled again.
        state.insert(claim.clone());
        let kept = self.store.keep_created_study(&claim);
        if kept.is_err() {
            state.unforgotten.insert(claim.uid);
        }
        kept
    }

    /// The Orthanc identifiers of the studies of all claims that are confirmed.
    pub(super) fn confirmed(&self) -> Vec<String> {
        self.state.lock().confirmed.keys().cloned().collect()
    }

    /// A claim does not hold: somebody else has created the study.
    pub(super) fn release(&self, uid: &str) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        // From memory whatever becomes of the store, whose waiting claims do not outlive a restart.
        state.remove(uid);
        self.forget(&mut state, uid)
    }

    /// A resource is gone; if it was a claimed study, so is the claim.
    pub(super) fn deleted(&self, id: &str) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if let Some(uid) = state.confirmed.get(id).cloned() {
            state.remove(&uid);
            self.forget(&mut state, &uid)?;
        }
        drop(state);
        // Another server that shares the state may have brought it in.
        self.store.forget_created_study_of(id)
    }

    fn forget(&self, state: &mut State, uid: &str) -> Result<(), StoreError> {
        state.unforgotten.insert(uid.to_owned());
        self.forget_left(state)
    }

    /// Forgets what could not be forgotten before, too.
    fn forget_left(&self, state: &mut State) -> Result<(), StoreError> {
        while let Some(uid) = state.unforgotten.first() {
            self.store.forget_created_study(uid)?;
            state.unforgotten.pop_first();
        }
        Ok(())
    }

    fn clear(&self, state: &mut State, now: UnixTime) -> Result<(), StoreError> {
        // The clock may have been ahead.
        if now.0.saturating_sub(state.cleared_at).saturating_abs() < CLEARED_EVERY {
            return Ok(());
        }
        self.store.forget_created_studies(now.plus(-DAY), now.plus(DAY))?;
        let ended: Vec<String> =
            state.by_uid.values().filter(|claim| !is_live(claim, now)).map(|claim| claim.uid.clone()).collect();
        ended.iter().for_each(|uid| state.remove(uid));
        state.cleared_at = now.0;
        Ok(())
    }
}

/// Whether a claim was confirmed before its study was found not to be there.
fn is_gone(claim: &CreatedStudy, before: Option<&CreatedStudy>) -> bool {
    claim.study.is_some() && before == Some(claim)
}

fn waiting(uid: &str, creator: &Person, labels: &[String], now: UnixTime) -> CreatedStudy {
    let (uid, creator, labels) = (uid.to_owned(), creator.clone(), labels.to_vec());
    CreatedStudy { uid, creator, created_at: now, study: None, labels }
}

/// What the state says to an attempt to claim.
enum Attempt {
    /// It is decided.
    Over(Claimed),
    /// Somebody else is kept for the study, by another server.
    Stands(CreatedStudy),
}

/// What became of an attempt to claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claimed {
    /// It is theirs, since now.
    Now,
    /// It was theirs before.
    Before,
    /// Somebody else has it.
    ByAnother,
    /// Nobody has it: the study has come meanwhile.
    TooLate,
}
