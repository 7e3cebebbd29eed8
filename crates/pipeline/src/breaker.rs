//! Tells an outage from poison, and when to look whether it is over.
//!
//! A downstream that is away makes the records of many keys fail for one cause; a poisonous
//! record, or a key whose records all fail, does so alone. The breaker opens for the first and
//! never for the second. While it is open nothing gets a route: neither a retry nor a dead
//! letter is made of an outage. It is closed again by a probe that succeeds.
//!
//! Two measures tell them apart, both over the keys that failed for one cause:
//!
//! - *in a row*: they failed since the last success, and as often as would have brought
//!   [`KEYS_MIN`] successes before. So an outage shows after about that many failures, however
//!   well things went, and a cause that always fails its share of the records does not.
//! - *in the window*: nearly all attempts of the last [`WINDOW_MS`] failed for it. So one in
//!   which a few still succeed shows as well.
//!
//! A record that fails again for the same cause says little of the surroundings: retries of
//! poison come in a row too. It only keeps its key in mind.
//!
//! ```text
//!           many keys, one cause                  delay over
//!  closed ───────────────────────► open ───────────────────────► probing
//!    ▲                              ▲      a few keys, all of them   │
//!    │                              └──────────── fail ──────────────┤
//!    └────────────────────────────── one succeeds ───────────────────┘
//! ```

mod cause;

use std::time::Duration;

use self::cause::{Cause, Row, Slices, asked_until};
use crate::failure::FailureReason;

/// Distinct keys that must fail for one cause before it is taken for an outage.
pub const KEYS_MIN: usize = 20;

/// Failures older than this say nothing of now, in milliseconds.
pub const WINDOW_MS: i64 = 10_000;

/// Of the attempts within the window at least this share must have failed for that cause,
/// in percent.
pub const FAILED_PERCENT_MIN: u64 = 90;

/// Causes that are looked at at once; the one that failed longest ago makes room.
const CAUSES_MAX: usize = 16;

/// First wait before a probe, in milliseconds; doubled after each one that fails, and halved by each record that
/// succeeds once the outage is over: a few of them, and the next outage starts with short waits.
pub const PROBE_FIRST_MS: i64 = 500;

/// Longest wait before a probe, in milliseconds, before the spread is added.
pub const PROBE_MAX_MS: i64 = 30_000;

/// Longest wait before a probe where what is away has said when to come again, in milliseconds; of a longer one so
/// much counts.
pub const ASKED_MAX_MS: i64 = 3_600_000;

/// Share of the wait that the spread may add, so that lanes do not probe in step.
const PROBE_JITTER: f64 = 0.2;

/// Keys that a probe tries: the first one may be poisonous.
pub const PROBE_KEYS: usize = 5;

/// After this long without an outage the next one starts with short waits, in milliseconds.
const CALM_MS: i64 = 60_000;

/// What may be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Everything.
    Flow,
    /// Nothing until this instant, in epoch milliseconds.
    Wait {
        /// When to ask again.
        until_ms: i64,
    },
    /// Up to this many records of different keys.
    Probe {
        /// Records left to try.
        keys: usize,
    },
}

/// What an attempt has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The surroundings are away: undo the turn, and give its failures no route.
    Opened,
    /// They are back.
    Closed,
}

/// One failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Groups failures of one cause, as [`crate::failure::Failure::fingerprint`] does.
    pub fingerprint: u32,
    /// Why it failed.
    pub reason: FailureReason,
    /// Hash of the record's key; of its coordinates where it has none.
    pub key: u64,
    /// The attempt before this one failed for the same cause.
    pub is_repeat: bool,
    /// How long what was called asks to be left alone from now on, in milliseconds; 0 where it said nothing.
    pub asked_wait_ms: i64,
}

impl FailedAttempt {
    /// Only what the handler itself met can be an outage. A simulated failure is asked for, and
    /// a record that cannot be decoded or breaks a rule says nothing of the surroundings.
    const fn may_be_outage(self) -> bool {
        matches!(self.reason, FailureReason::Handler | FailureReason::Transient(_))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until_ms: i64 },
    Probing { left: usize },
}

/// See the module.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    causes: Vec<Cause>,
    succeeded: Slices,
    /// Failures for any cause, repeats apart.
    failed: Slices,
    /// Successes so far, each of which ends a row.
    successes: u64,
    row: Row,
    /// Wait before the next probe.
    wait_ms: i64,
    closed_at_ms: i64,
    /// Keys that the running probe has tried.
    probed: Vec<u64>,
    /// Until when what is away asks to be left alone, by the failures that showed it.
    asked_until_ms: i64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed,
            causes: Vec::new(),
            succeeded: Slices::default(),
            failed: Slices::default(),
            successes: 0,
            row: Row::default(),
            wait_ms: PROBE_FIRST_MS,
            closed_at_ms: i64::MIN,
            probed: Vec::with_capacity(PROBE_KEYS),
            asked_until_ms: i64::MIN,
        }
    }
}

impl Breaker {
    /// What may be done at `now_ms`. An open breaker starts to probe when its wait is over.
    pub fn permit(&mut self, now_ms: i64) -> Permit {
        match self.state {
            State::Closed => Permit::Flow,
            State::Open { until_ms } if now_ms < until_ms => Permit::Wait { until_ms },
            State::Open { .. } => {
                self.probed.clear();
                self.asked_until_ms = i64::MIN;
                self.state = State::Probing { left: PROBE_KEYS };
                Permit::Probe { keys: PROBE_KEYS }
            }
            State::Probing { left } => Permit::Probe { keys: left },
        }
    }

    /// Whether the surroundings are taken to be away.
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// Whether the running probe has met a failure.
    pub fn has_probe_failed(&self) -> bool {
        matches!(self.state, State::Probing { .. }) && !self.probed.is_empty()
    }

    /// An attempt succeeded at `now_ms`.
    #[inline]
    pub fn succeeded(&mut self, now_ms: i64) -> Change {
        match self.state {
            State::Closed => {
                self.succeeded.add(now_ms);
                self.successes += 1;
                self.wait_ms = (self.wait_ms / 2).max(PROBE_FIRST_MS);
                Change::None
            }
            State::Open { .. } => Change::None,
            State::Probing { .. } => self.close(now_ms),
        }
    }

    /// An attempt failed for a reason of its record, its key, or everybody. `spread` is
    /// uniform in 0.0 to 1.0.
    pub fn failed(&mut self, now_ms: i64, attempt: FailedAttempt, spread: f64) -> Change {
        if !attempt.may_be_outage() {
            return Change::None;
        }
        match self.state {
            State::Closed => {
                if self.note(now_ms, attempt) {
                    self.asked_until_ms = self.cause(attempt.fingerprint).asked_until_ms();
                    self.open(now_ms, spread)
                } else {
                    Change::None
                }
            }
            State::Open { .. } => {
                self.asked_to_wait(now_ms, attempt.asked_wait_ms);
                Change::None
            }
            State::Probing { left } => {
                self.asked_to_wait(now_ms, attempt.asked_wait_ms);
                if !self.probed.contains(&attempt.key) {
                    self.probed.push(attempt.key);
                    self.state = State::Probing { left: left - 1 };
                }
                match self.state {
                    State::Probing { left: 0 } => self.open(now_ms, spread),
                    _ => Change::None,
                }
            }
        }
    }

    /// A probe found nothing to try any more: what it tried failed, so the wait goes on.
    pub fn probe_ended(&mut self, now_ms: i64, spread: f64) -> Change {
        match self.state {
            State::Probing { .. } if !self.probed.is_empty() => self.open(now_ms, spread),
            _ => Change::None,
        }
    }

    /// There is nothing left that could be tried: whether they are away is not known any more. What is met next is
    /// another outage, and starts with short waits.
    pub fn nothing_to_try(&mut self, now_ms: i64) -> Change {
        if self.state == State::Closed {
            return Change::None;
        }
        self.wait_ms = PROBE_FIRST_MS;
        self.close(now_ms)
    }

    /// An attempt met surroundings that are away for everybody, such as a downstream that
    /// refuses connections: one is enough. They may ask to be left alone for `asked_wait_ms`.
    pub fn surroundings_away(&mut self, now_ms: i64, asked_wait_ms: i64, spread: f64) -> Change {
        if self.state == State::Closed {
            self.asked_until_ms = i64::MIN;
        }
        self.asked_to_wait(now_ms, asked_wait_ms);
        match self.state {
            State::Open { .. } => Change::None,
            State::Closed | State::Probing { .. } => self.open(now_ms, spread),
        }
    }

    /// What was called asks to be left alone for so long: the next probe does not begin before.
    pub fn asked_to_wait(&mut self, now_ms: i64, asked_wait_ms: i64) {
        self.asked_until_ms = self.asked_until_ms.max(asked_until(now_ms, asked_wait_ms));
        if let State::Open { until_ms } = &mut self.state {
            *until_ms = (*until_ms).max(self.asked_until_ms);
        }
    }

    fn open(&mut self, now_ms: i64, spread: f64) -> Change {
        if self.state == State::Closed && now_ms.saturating_sub(self.closed_at_ms) >= CALM_MS {
            self.wait_ms = PROBE_FIRST_MS;
        }
        let wait = Duration::from_millis(self.wait_ms.unsigned_abs());
        let wait = wait.mul_f64(1.0 + PROBE_JITTER * spread.clamp(0.0, 1.0));
        let until_ms = now_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        self.wait_ms = (self.wait_ms * 2).min(PROBE_MAX_MS);
        self.state = State::Open { until_ms: until_ms.max(self.asked_until_ms) };
        self.forget();
        Change::Opened
    }

    fn close(&mut self, now_ms: i64) -> Change {
        self.state = State::Closed;
        self.closed_at_ms = now_ms;
        self.forget();
        Change::Closed
    }

    fn forget(&mut self) {
        self.causes.clear();
        (self.succeeded, self.failed) = (Slices::default(), Slices::default());
        (self.successes, self.row) = (0, Row::default());
    }

    /// Counts a failure; whether it is an outage by now.
    fn note(&mut self, now_ms: i64, attempt: FailedAttempt) -> bool {
        let number = self.successes;
        if !attempt.is_repeat {
            self.failed.add(now_ms);
            self.row.add(number);
        }
        let (succeeded, failed) = (self.succeeded.sum(now_ms), self.failed.sum(now_ms));
        let failed_before = failed.saturating_sub(self.row.failed);
        let cause = self.cause(attempt.fingerprint);
        cause.note(now_ms, attempt, number);
        cause.is_of_many_keys()
            && (cause.is_row_long(number, succeeded, failed_before)
                || cause.fails_nearly_all(now_ms, succeeded + failed))
    }

    fn cause(&mut self, fingerprint: u32) -> &mut Cause {
        let index = self.causes.iter().position(|cause| cause.fingerprint == fingerprint);
        let index = index.unwrap_or_else(|| {
            if self.causes.len() == CAUSES_MAX {
                let oldest = (0..CAUSES_MAX).min_by_key(|index| self.causes[*index].last_ms);
                self.causes.swap_remove(oldest.expect("there are some"));
            }
            self.causes.push(Cause::new(fingerprint));
            self.causes.len() - 1
        });
        &mut self.causes[index]
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "breaker_wait_tests.rs"]
mod wait_tests;
