//! What was answered, for how long that counts, and what may be asked now.
//!
//! Good answers count for half a minute, and are asked again behind the requests' back in its second half. Nobody's
//! keys are remembered too, so that a key that is shown again and again is asked for once, and a bucket keeps those who
//! try many keys away: whoever is known already is not held up by them. All of it is bounded. Time is a parameter.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hashlink::LruCache;
use parking_lot::{Condvar, Mutex};

use super::{DirectoryError, Fact, Nobody};
use crate::clock::{UnixTime, monotonic};
use crate::seats::Seats;

/// How long a good answer counts, and from when on it is asked for again; in seconds.
const GOOD: i64 = 30;
const AGAIN: i64 = 15;
/// How long nobody's key stays nobody's, in seconds: the longest wait for whoever shows a key before it is there.
const BAD: i64 = 30;
/// How long after a failure nobody asks, in seconds.
const PAUSE: i64 = 2;
/// Good answers and nobody's keys that are kept.
const GOOD_KEPT: usize = 4_096;
const BAD_KEPT: usize = 16_384;
/// Questions under way, and requests that wait, at a time.
const MOST_FLIGHTS: usize = 16;
const MOST_WAITING: usize = 16;
/// Unknown keys that may be asked for at once, and how many more each second.
const BUCKET: i64 = 20;
const REFILL: i64 = 2;

/// A question, by its hash.
type Question = [u8; 32];
type Answer = Result<Fact, DirectoryError>;

/// What to do about a question.
pub(super) enum Next {
    /// It is known.
    Answer(Answer),
    /// It is known, and worth asking again meanwhile.
    AnswerAndAsk(Answer, Flight),
    /// Ask, and wait.
    Ask(Flight),
    /// Somebody has asked: wait.
    Wait(Arc<Landing>),
}

/// Where those wait who need one answer.
#[derive(Debug, Default)]
pub(super) struct Landing {
    answer: Mutex<Option<Answer>>,
    landed: Condvar,
}

#[derive(Debug)]
struct State {
    good: LruCache<Question, (Fact, UnixTime)>,
    bad: LruCache<Question, (Nobody, UnixTime)>,
    flights: HashMap<Question, Arc<Landing>>,
    failed: Option<(UnixTime, String)>,
    bucket: i64,
    filled: UnixTime,
}

/// The memory of one realm.
#[derive(Clone, Debug)]
pub(super) struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    waiting: Seats,
}

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                good: LruCache::new(GOOD_KEPT),
                bad: LruCache::new(BAD_KEPT),
                flights: HashMap::new(),
                failed: None,
                bucket: BUCKET,
                filled: UnixTime(0),
            }),
            waiting: Seats::new(MOST_WAITING),
        }))
    }
}

/// Whether something of then still counts. A clock that was set back ends it.
fn within(then: UnixTime, now: UnixTime, seconds: i64) -> bool {
    (0..seconds).contains(&now.0.saturating_sub(then.0))
}

impl Memory {
    /// What to do about a question. `guessable`: anybody can make such questions up.
    pub(super) fn next(&self, question: Question, guessable: bool, now: UnixTime) -> Next {
        let mut state = self.0.state.lock();
        let known = state.good.get(&question).cloned();
        if let Some((fact, at)) = &known
            && within(*at, now, GOOD)
        {
            let fresh = within(*at, now, AGAIN) || state.is_paused(now);
            return match fresh || state.flights.contains_key(&question) || state.flights.len() >= MOST_FLIGHTS {
                true => Next::Answer(Ok(fact.clone())),
                false => Next::AnswerAndAsk(Ok(fact.clone()), self.take_off(&mut state, question)),
            };
        }
        if let Some((nobody, at)) = state.bad.get(&question).copied()
            && within(at, now, BAD)
        {
            return Next::Answer(Err(nobody.into()));
        }
        if let Some(landing) = state.flights.get(&question) {
            return Next::Wait(Arc::clone(landing));
        }
        if let Some((at, cause)) = &state.failed
            && within(*at, now, PAUSE)
        {
            return Next::Answer(Err(DirectoryError::Unreachable(cause.clone())));
        }
        if state.flights.len() >= MOST_FLIGHTS || (guessable && known.is_none() && !state.draw(now)) {
            return Next::Answer(Err(DirectoryError::Busy));
        }
        Next::Ask(self.take_off(&mut state, question))
    }

    /// Why the last question brought no answer.
    pub(super) fn trouble(&self) -> Option<String> {
        self.0.state.lock().failed.as_ref().map(|(_, cause)| cause.clone())
    }

    fn take_off(&self, state: &mut State, question: Question) -> Flight {
        let landing = Arc::<Landing>::default();
        state.flights.insert(question, Arc::clone(&landing));
        Flight { memory: self.clone(), question, landing: Some(landing) }
    }

    /// Waits for an answer, unless too many do.
    pub(super) fn wait(&self, landing: &Landing, patience: Duration) -> Answer {
        let _seat = Seats::take(&self.0.waiting).ok_or(DirectoryError::Busy)?;
        let until = monotonic() + patience;
        let mut answer = landing.answer.lock();
        while answer.is_none() && !landing.landed.wait_until(&mut answer, until).timed_out() {}
        let answer = answer.clone();
        answer.unwrap_or_else(|| Err(DirectoryError::Unreachable("no answer in time".to_owned())))
    }
}

impl State {
    fn is_paused(&self, now: UnixTime) -> bool {
        self.failed.as_ref().is_some_and(|(at, _)| within(*at, now, PAUSE))
    }

    /// Takes one out of the bucket.
    fn draw(&mut self, now: UnixTime) -> bool {
        let passed = now.0.saturating_sub(self.filled.0).max(0);
        self.bucket = self.bucket.saturating_add(passed.saturating_mul(REFILL)).min(BUCKET);
        self.filled = now;
        let drawn = self.bucket > 0;
        self.bucket -= i64::from(drawn);
        drawn
    }
}

/// A question under way.
pub(super) struct Flight {
    memory: Memory,
    question: Question,
    landing: Option<Arc<Landing>>,
}

impl Flight {
    /// Where its answer will be.
    pub(super) fn landing(&self) -> Arc<Landing> {
        self.landing.clone().unwrap_or_default()
    }

    /// The answer is there.
    pub(super) fn land(&mut self, answer: Answer, now: UnixTime) {
        let Some(landing) = self.landing.take() else { return };
        let mut state = self.memory.0.state.lock();
        state.flights.remove(&self.question);
        match &answer {
            Ok(fact) => {
                state.failed = None;
                state.bad.remove(&self.question);
                state.good.insert(self.question, (fact.clone(), now));
            }
            Err(DirectoryError::Nobody(nobody)) => {
                state.failed = None;
                state.good.remove(&self.question);
                state.bad.insert(self.question, (*nobody, now));
            }
            // What was good stays so for the rest of its time.
            Err(DirectoryError::Unreachable(cause)) => {
                if state.failed.is_none() {
                    log::warn!("Keycloak's admin API cannot be asked: {cause}");
                }
                state.failed = Some((now, cause.clone()));
            }
            Err(DirectoryError::Busy) => {}
        }
        drop(state);
        *landing.answer.lock() = Some(answer);
        landing.landed.notify_all();
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.landing.is_some() {
            self.land(Err(DirectoryError::Busy), UnixTime(0));
        }
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
