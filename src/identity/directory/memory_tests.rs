//! What is remembered, for how long, and what is asked; at made-up times.

use std::sync::Arc;

use super::super::Account;
use super::*;

const NOW: UnixTime = UnixTime(1_000_000);
const A_WHILE: Duration = Duration::from_secs(60);

fn question(number: usize) -> Question {
    let mut question = [0; 32];
    question[..8].copy_from_slice(&number.to_be_bytes());
    question
}

fn somebody(name: &str) -> Answer {
    Ok(Fact::Account(Arc::new(Account {
        subject: name.into(),
        name: name.into(),
        roles: Vec::new(),
        was_ended: false,
    })))
}

fn name(answer: Answer) -> Result<String, DirectoryError> {
    answer.map(|fact| match fact {
        Fact::Account(account) => account.name.clone(),
        Fact::Roles(_) => panic!(),
    })
}

/// What is said at once; `None` if it must be asked or waited for.
fn at_once(memory: &Memory, number: usize, now: UnixTime) -> Option<Result<String, DirectoryError>> {
    match memory.next(question(number), true, now) {
        Next::Answer(answer) | Next::AnswerAndAsk(answer, _) => Some(name(answer)),
        Next::Ask(_) | Next::Wait(_) => None,
    }
}

fn ask(memory: &Memory, number: usize, answer: Answer, now: UnixTime) {
    let Next::Ask(mut flight) = memory.next(question(number), true, now) else { panic!("{number} is not asked") };
    flight.land(answer, now);
}

#[test]
fn good_answers_count_for_a_while_and_are_asked_again_before() {
    let memory = Memory::default();
    ask(&memory, 1, somebody("jane"), NOW);
    assert!(matches!(memory.next(question(1), true, NOW.plus(AGAIN - 1)), Next::Answer(Ok(_))));
    let Next::AnswerAndAsk(answer, mut flight) = memory.next(question(1), true, NOW.plus(AGAIN)) else { panic!() };
    assert_eq!(name(answer), Ok("jane".into()));
    // Under way: nobody else asks, nobody waits.
    assert!(matches!(memory.next(question(1), true, NOW.plus(AGAIN + 1)), Next::Answer(Ok(_))));
    flight.land(somebody("jane of today"), NOW.plus(AGAIN + 1));
    assert_eq!(at_once(&memory, 1, NOW.plus(GOOD)), Some(Ok("jane of today".into())));
    assert_eq!(at_once(&memory, 1, NOW.plus(AGAIN + 1 + GOOD)), None, "its time after it was said");
    // A clock that was set back does not prolong anything.
    ask(&memory, 2, somebody("joe"), NOW.plus(100));
    assert_eq!(at_once(&memory, 2, NOW.plus(99)), None);
}

#[test]
fn whoever_is_gone_is_forgotten_at_once() {
    let memory = Memory::default();
    ask(&memory, 1, somebody("jane"), NOW);
    let Next::AnswerAndAsk(_, mut flight) = memory.next(question(1), true, NOW.plus(AGAIN)) else { panic!() };
    flight.land(Err(Nobody::Disabled.into()), NOW.plus(AGAIN));
    assert_eq!(at_once(&memory, 1, NOW.plus(AGAIN + 1)), Some(Err(Nobody::Disabled.into())));
}

#[test]
fn guesses_reach_nobody_beyond_the_bucket() {
    let memory = Memory::default();
    ask(&memory, 0, somebody("jane"), NOW);
    let mut asked = 0;
    for number in 1..10_000 {
        match memory.next(question(number), true, NOW) {
            Next::Ask(mut flight) => {
                asked += 1;
                flight.land(Err(Nobody::Unknown.into()), NOW);
            }
            Next::Answer(Err(DirectoryError::Busy)) => {}
            _ => panic!("{number}"),
        }
    }
    assert_eq!(asked, 19, "20 with the first");
    // Again the same ones: known to be nobody's.
    assert_eq!(at_once(&memory, 1, NOW.plus(29)), Some(Err(Nobody::Unknown.into())));
    // Whoever is known is asked for again when its time is over, and people are, whose identifiers nobody makes up.
    for number in 2_000..3_000 {
        at_once(&memory, number, NOW.plus(60));
    }
    assert!(matches!(memory.next(question(0), true, NOW.plus(60)), Next::Ask(_)));
    assert!(matches!(memory.next(question(77_777), false, NOW.plus(60)), Next::Ask(_)));
}

#[test]
fn while_keycloak_is_away_nobody_waits_and_the_known_stay_for_a_while() {
    let memory = Memory::default();
    ask(&memory, 1, somebody("jane"), NOW);
    ask(&memory, 2, Err(DirectoryError::Unreachable("away".into())), NOW.plus(20));
    let away = Some(Err(DirectoryError::Unreachable("away".into())));
    assert_eq!(at_once(&memory, 3, NOW.plus(21)), away);
    assert_eq!(at_once(&memory, 1, NOW.plus(21)), Some(Ok("jane".into())));
    assert_eq!(at_once(&memory, 3, NOW.plus(22)), None, "asked again");
    ask(&memory, 1, Err(DirectoryError::Unreachable("away".into())), NOW.plus(GOOD));
    assert_eq!(at_once(&memory, 1, NOW.plus(GOOD + 1)), away, "not longer than that");
}

#[test]
fn many_wait_for_one_answer_and_a_lost_flight_holds_up_nobody() {
    let memory = Memory::default();
    let Next::Ask(mut flight) = memory.next(question(1), true, NOW) else { panic!() };
    let waiters: Vec<_> = (0..MOST_WAITING)
        .map(|_| {
            let Next::Wait(landing) = memory.next(question(1), true, NOW) else { panic!() };
            let memory = memory.clone();
            std::thread::spawn(move || name(memory.wait(&landing, A_WHILE)))
        })
        .collect();
    while memory.0.waiting.taken() < MOST_WAITING {
        std::thread::yield_now();
    }
    let Next::Wait(landing) = memory.next(question(1), true, NOW) else { panic!() };
    assert_eq!(name(memory.wait(&landing, A_WHILE)), Err(DirectoryError::Busy), "one too many");
    flight.land(somebody("jane"), NOW);
    assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap() == Ok("jane".into())));

    let Next::Ask(flight) = memory.next(question(2), true, NOW) else { panic!() };
    let landing = flight.landing();
    drop(flight);
    assert_eq!(name(memory.wait(&landing, A_WHILE)), Err(DirectoryError::Busy));
    assert_eq!(at_once(&memory, 2, NOW), None, "asked again");
}
