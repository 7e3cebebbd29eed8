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

use std::collections::VecDeque;
use std::time::Duration;

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

/// Attempts within the window are counted in this many slices of it.
const SLICES: usize = 10;

/// First wait before a probe, in milliseconds; doubled after each one that fails.
pub const PROBE_FIRST_MS: i64 = 500;

/// Longest wait before a probe, in milliseconds, before the spread is added.
pub const PROBE_MAX_MS: i64 = 30_000;

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
}

impl FailedAttempt {
    /// Only what the handler itself met can be an outage. A simulated failure is asked for, and
    /// a record that cannot be decoded or breaks a rule says nothing of the surroundings.
    const fn may_be_outage(self) -> bool {
        matches!(self.reason, FailureReason::Handler | FailureReason::Transient(_))
    }
}

#[derive(Debug)]
struct Cause {
    fingerprint: u32,
    /// Keys that failed for it within the window, at most [`KEYS_MIN`].
    keys: VecDeque<FailedKey>,
    /// Failures for it that are no repeats.
    failed: Slices,
    row: Row,
    last_ms: i64,
}

#[derive(Debug)]
struct FailedKey {
    key: u64,
    last_ms: i64,
    /// The row in which it failed last, repeats apart.
    row: u64,
}

/// Failures without a success between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Row {
    /// Successes that there were when it began: its name.
    number: u64,
    failed: u64,
}

impl Row {
    fn add(&mut self, number: u64) {
        if self.number != number {
            *self = Self { number, failed: 0 };
        }
        self.failed += 1;
    }
}

/// Counts of the last [`WINDOW_MS`].
#[derive(Debug, Clone, Copy, Default)]
struct Slices([(i64, u64); SLICES]);

impl Slices {
    const SLICE_MS: i64 = WINDOW_MS / SLICES as i64;

    fn add(&mut self, now_ms: i64) {
        let number = now_ms.div_euclid(Self::SLICE_MS);
        let index = usize::try_from(number.rem_euclid(SLICES as i64)).expect("a remainder");
        let slice = &mut self.0[index];
        if slice.0 != number {
            *slice = (number, 0);
        }
        slice.1 += 1;
    }

    fn sum(&self, now_ms: i64) -> u64 {
        let newest = now_ms.div_euclid(Self::SLICE_MS);
        let is_within = |number: i64| number > newest - SLICES as i64 && number <= newest;
        self.0.iter().filter(|(number, _)| is_within(*number)).map(|(_, count)| count).sum()
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
    pub fn succeeded(&mut self, now_ms: i64) -> Change {
        match self.state {
            State::Closed => {
                self.succeeded.add(now_ms);
                self.successes += 1;
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
                    self.open(now_ms, spread)
                } else {
                    Change::None
                }
            }
            State::Open { .. } => Change::None,
            State::Probing { left } => {
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

    /// There is nothing left that could be tried: whether they are away is not known any more.
    pub fn nothing_to_try(&mut self, now_ms: i64) -> Change {
        if self.state == State::Closed { Change::None } else { self.close(now_ms) }
    }

    /// An attempt met surroundings that are away for everybody, such as a downstream that
    /// refuses connections: one is enough.
    pub fn surroundings_away(&mut self, now_ms: i64, spread: f64) -> Change {
        match self.state {
            State::Open { .. } => Change::None,
            State::Closed | State::Probing { .. } => self.open(now_ms, spread),
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
        self.state = State::Open { until_ms };
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
        let is_many = cause.keys.len() >= KEYS_MIN;
        is_many
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
            let keys = VecDeque::with_capacity(KEYS_MIN);
            let (failed, row) = (Slices::default(), Row::default());
            self.causes.push(Cause { fingerprint, keys, failed, row, last_ms: i64::MIN });
            self.causes.len() - 1
        });
        &mut self.causes[index]
    }
}

impl Cause {
    fn note(&mut self, now_ms: i64, attempt: FailedAttempt, row: u64) {
        self.last_ms = now_ms;
        self.keys.retain(|failed| now_ms - failed.last_ms < WINDOW_MS);
        let known = self.keys.iter().position(|failed| failed.key == attempt.key);
        if attempt.is_repeat {
            if let Some(index) = known {
                self.keys[index].last_ms = now_ms;
            }
            return;
        }
        self.failed.add(now_ms);
        self.row.add(row);
        if let Some(index) = known {
            self.keys.remove(index);
        } else if self.keys.len() == KEYS_MIN {
            self.keys.pop_front();
        }
        self.keys.push_back(FailedKey { key: attempt.key, last_ms: now_ms, row });
    }

    /// Whether all keys failed since the last success, and as often as chance does not bring
    /// about where this share of the attempts succeeded before.
    fn is_row_long(&self, number: u64, succeeded: u64, failed_before: u64) -> bool {
        let is_one_row = self.keys.iter().all(|failed| failed.row == number);
        is_one_row && self.row.failed * succeeded >= KEYS_MIN as u64 * (succeeded + failed_before)
    }

    fn fails_nearly_all(&self, now_ms: i64, attempts: u64) -> bool {
        let failed = self.failed.sum(now_ms);
        failed > 0 && failed * 100 >= attempts * FAILED_PERCENT_MIN
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
