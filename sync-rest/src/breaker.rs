//! When to stop asking a service that does not answer, and when to try again.
//!
//! ```text
//! closed ──too many of the last calls failed──► open ──its wait is over──► half open: one probe
//!    ▲                                            ▲                             │
//!    │                                            └── failed: wait doubled ─────┤
//!    └────────────────────────────────── answered ──────────────────────────────┘
//! ```
//!
//! Time is an argument: the caller reads the clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Calls that are remembered.
const WINDOW_CALLS: usize = 20;
/// Fewest failures among them that open the breaker.
const FAILURES_MIN: usize = 5;
/// It opens when at least one of this many calls failed.
const FAILURE_ONE_IN: usize = 2;
/// First wait of an open breaker; doubled after each failed probe.
const OPEN_FIRST: Duration = Duration::from_secs(1);
/// Longest wait of an open breaker.
const OPEN_MAX: Duration = Duration::from_secs(15);
/// A probe that reported nothing for so long is forgotten, and another one let through.
const PROBE_MAX: Duration = Duration::from_secs(30);

/// What was wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// Nobody listens, the connection broke, or the service failed.
    Away,
    /// It was given a fair time and did not answer.
    Slow,
    /// It said that it has too much to do.
    Full,
}

impl Trouble {
    /// A label of metrics and the word in problem types.
    pub fn word(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Slow => "slow",
            Self::Full => "overloaded",
        }
    }
}

/// Leave for one call; its result must be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a call whose result is not reported is not learned from"]
pub struct Ticket {
    /// Counts openings and closings: what began before the last of them says nothing any more.
    epoch: u64,
}

/// No leave: the service was in trouble a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// What was wrong when the breaker opened.
    pub trouble: Trouble,
    /// When it is worth asking again.
    pub retry_after: Duration,
}

/// The breaker in front of one service.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    epoch: u64,
}

#[derive(Debug)]
enum State {
    Closed { calls: VecDeque<Result<(), Trouble>> },
    Open { trouble: Trouble, wait: Duration, until: Instant },
    HalfOpen { trouble: Trouble, wait: Duration, probe_until: Instant },
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: closed(), epoch: 0 }
    }
}

fn closed() -> State {
    State::Closed { calls: VecDeque::with_capacity(WINDOW_CALLS) }
}

impl Breaker {
    /// Asks for leave to call.
    ///
    /// # Errors
    ///
    /// What was wrong and how long to wait, while the breaker is open or another call probes.
    pub fn admit(&mut self, now: Instant) -> Result<Ticket, Open> {
        match self.state {
            State::Closed { .. } => {}
            State::Open { trouble, until, .. } if now < until => {
                return Err(Open { trouble, retry_after: until - now });
            }
            State::HalfOpen { trouble, wait, probe_until } if now < probe_until => {
                return Err(Open { trouble, retry_after: wait });
            }
            State::Open { trouble, wait, .. } | State::HalfOpen { trouble, wait, .. } => {
                self.enter(State::HalfOpen { trouble, wait, probe_until: now + PROBE_MAX });
            }
        }
        Ok(Ticket { epoch: self.epoch })
    }

    /// The service answers again, as was found beside the calls.
    pub fn close(&mut self) {
        self.enter(closed());
    }

    /// Learns how a call went.
    pub fn report(&mut self, ticket: Ticket, result: Result<(), Trouble>, now: Instant) {
        if ticket.epoch != self.epoch {
            return;
        }
        match (&mut self.state, result) {
            (State::Closed { calls }, _) => {
                if calls.len() == WINDOW_CALLS {
                    calls.pop_front();
                }
                calls.push_back(result);
                let failures = calls.iter().filter(|call| call.is_err()).count();
                let is_too_many =
                    failures >= FAILURES_MIN && failures * FAILURE_ONE_IN >= calls.len();
                if let (Err(trouble), true) = (result, is_too_many) {
                    self.enter(State::Open { trouble, wait: OPEN_FIRST, until: now + OPEN_FIRST });
                }
            }
            (State::HalfOpen { .. }, Ok(())) => self.enter(closed()),
            (State::HalfOpen { wait, .. }, Err(trouble)) => {
                let wait = (*wait * 2).min(OPEN_MAX);
                self.enter(State::Open { trouble, wait, until: now + wait });
            }
            // A ticket of this epoch is given out by the other two states only.
            (State::Open { .. }, _) => {}
        }
    }

    /// Takes back a ticket whose call said nothing about the service.
    pub fn forget(&mut self, ticket: Ticket, now: Instant) {
        if let (true, State::HalfOpen { trouble, wait, .. }) =
            (ticket.epoch == self.epoch, &self.state)
        {
            self.enter(State::Open { trouble: *trouble, wait: *wait, until: now });
        }
    }

    /// What is wrong, while it is not closed.
    pub fn trouble(&self) -> Option<Trouble> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { trouble, .. } | State::HalfOpen { trouble, .. } => Some(trouble),
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(breaker: &mut Breaker, result: Result<(), Trouble>, now: Instant) {
        let ticket = breaker.admit(now).expect("it is closed");
        breaker.report(ticket, result, now);
    }

    fn opened(now: Instant, trouble: Trouble) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MIN {
            report(&mut breaker, Err(trouble), now);
        }
        breaker
    }

    #[test]
    fn it_opens_when_half_of_the_last_calls_failed_and_says_what_was_wrong() {
        let now = Instant::now();
        for trouble in [Trouble::Away, Trouble::Slow, Trouble::Full] {
            let mut breaker = opened(now, trouble);
            assert_eq!(breaker.admit(now), Err(Open { trouble, retry_after: OPEN_FIRST }));
        }
    }

    #[test]
    fn a_few_failures_among_many_answers_do_not_open_it() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for call in 0..200 {
            let result = if call % 3 == 0 { Err(Trouble::Away) } else { Ok(()) };
            report(&mut breaker, result, now);
        }
        assert_eq!(breaker.trouble(), None);
        let mut early = Breaker::default();
        for _ in 1..FAILURES_MIN {
            report(&mut early, Err(Trouble::Away), now);
        }
        assert_eq!(early.trouble(), None, "a handful is needed");
    }

    #[test]
    fn one_probe_goes_through_when_the_wait_is_over_and_its_answer_closes_it() {
        let now = Instant::now();
        let mut breaker = opened(now, Trouble::Away);
        let later = now + OPEN_FIRST;
        let probe = breaker.admit(later).expect("the wait is over");
        assert!(breaker.admit(later).is_err(), "only one");
        breaker.report(probe, Ok(()), later);
        assert_eq!(breaker.trouble(), None);
        report(&mut breaker, Err(Trouble::Away), later);
        assert_eq!(breaker.trouble(), None, "what was before is forgotten");
    }

    #[test]
    fn each_failed_probe_doubles_the_wait_up_to_its_limit() {
        let mut now = Instant::now();
        let mut breaker = opened(now, Trouble::Away);
        let mut expected = OPEN_FIRST;
        for _ in 0..10 {
            now += expected;
            let probe = breaker.admit(now).expect("the wait is over");
            breaker.report(probe, Err(Trouble::Slow), now);
            expected = (expected * 2).min(OPEN_MAX);
            let refused = Open { trouble: Trouble::Slow, retry_after: expected };
            assert_eq!(breaker.admit(now), Err(refused));
        }
    }

    #[test]
    fn a_call_from_before_it_opened_neither_closes_it_nor_prolongs_the_wait() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        let early = [breaker.admit(now).unwrap(), breaker.admit(now).unwrap()];
        for _ in 0..FAILURES_MIN {
            report(&mut breaker, Err(Trouble::Away), now);
        }
        let probe = breaker.admit(now + OPEN_FIRST).unwrap();
        breaker.report(early[0], Ok(()), now + OPEN_FIRST);
        breaker.report(early[1], Err(Trouble::Slow), now + OPEN_FIRST);
        assert_eq!(breaker.trouble(), Some(Trouble::Away));
        breaker.report(probe, Ok(()), now + OPEN_FIRST);
        assert_eq!(breaker.trouble(), None);
    }

    #[test]
    fn a_probe_that_said_nothing_makes_room_for_the_next() {
        let now = Instant::now() + OPEN_FIRST;
        let mut breaker = opened(now - OPEN_FIRST, Trouble::Slow);
        let probe = breaker.admit(now).unwrap();
        breaker.forget(probe, now);
        let lost = breaker.admit(now).expect("the probe was taken back");
        assert!(breaker.admit(now + PROBE_MAX / 2).is_err());
        assert_ne!(breaker.admit(now + PROBE_MAX).expect("it was lost"), lost);
    }
}
