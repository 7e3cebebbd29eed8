//! One cause of failures: which keys failed for it lately, and whether they show an outage.

use std::collections::VecDeque;

use super::{ASKED_MAX_MS, FAILED_PERCENT_MIN, FailedAttempt, KEYS_MIN, WINDOW_MS};

/// Attempts within the window are counted in this many slices of it.
const SLICES: usize = 10;

#[derive(Debug)]
pub(super) struct Cause {
    pub(super) fingerprint: u32,
    /// Keys that failed for it within the window, at most [`KEYS_MIN`].
    keys: VecDeque<FailedKey>,
    /// Failures for it that are no repeats.
    failed: Slices,
    row: Row,
    pub(super) last_ms: i64,
}

#[derive(Debug)]
struct FailedKey {
    key: u64,
    last_ms: i64,
    asked_until_ms: i64,
    /// The row in which it failed last, repeats apart.
    row: u64,
}

/// Failures without a success between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Row {
    /// Successes that there were when it began: its name.
    number: u64,
    pub(super) failed: u64,
}

impl Row {
    pub(super) fn add(&mut self, number: u64) {
        if self.number != number {
            *self = Self { number, failed: 0 };
        }
        self.failed += 1;
    }
}

/// Counts of the last [`WINDOW_MS`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Slices {
    /// Number and count of each.
    slices: [(i64, u64); SLICES],
    /// Index of the one that was counted in last, and when it begins.
    last: usize,
    last_from_ms: i64,
}

impl Default for Slices {
    fn default() -> Self {
        Self { slices: [(0, 0); SLICES], last: 0, last_from_ms: i64::MIN }
    }
}

impl Slices {
    const SLICE_MS: i64 = WINDOW_MS / SLICES as i64;

    #[inline]
    pub(super) fn add(&mut self, now_ms: i64) {
        // Most come at the time of the one before: no division for each.
        if !(0..Self::SLICE_MS).contains(&now_ms.saturating_sub(self.last_from_ms)) {
            self.begin(now_ms);
        }
        self.slices[self.last].1 += 1;
    }

    /// Finds the slice of a time, and empties it if it is that of an earlier one.
    fn begin(&mut self, now_ms: i64) {
        let number = now_ms.div_euclid(Self::SLICE_MS);
        self.last = usize::try_from(number.rem_euclid(SLICES as i64)).expect("a remainder");
        self.last_from_ms = number * Self::SLICE_MS;
        let slice = &mut self.slices[self.last];
        if slice.0 != number {
            *slice = (number, 0);
        }
    }

    pub(super) fn sum(&self, now_ms: i64) -> u64 {
        let newest = now_ms.div_euclid(Self::SLICE_MS);
        let is_within = |number: i64| number > newest - SLICES as i64 && number <= newest;
        self.slices.iter().filter(|(number, _)| is_within(*number)).map(|(_, count)| count).sum()
    }
}

impl Cause {
    pub(super) fn new(fingerprint: u32) -> Self {
        let keys = VecDeque::with_capacity(KEYS_MIN);
        let (failed, row) = (Slices::default(), Row::default());
        Self { fingerprint, keys, failed, row, last_ms: i64::MIN }
    }

    /// Whether so many keys failed for it that it may be an outage.
    pub(super) fn is_of_many_keys(&self) -> bool {
        self.keys.len() >= KEYS_MIN
    }

    /// Until when those that failed for it were asked to wait, at most.
    pub(super) fn asked_until_ms(&self) -> i64 {
        self.keys.iter().map(|failed| failed.asked_until_ms).max().unwrap_or(i64::MIN)
    }

    pub(super) fn note(&mut self, now_ms: i64, attempt: FailedAttempt, row: u64) {
        self.last_ms = now_ms;
        self.keys.retain(|failed| now_ms - failed.last_ms < WINDOW_MS);
        let known = self.keys.iter().position(|failed| failed.key == attempt.key);
        let asked_until_ms = asked_until(now_ms, attempt.asked_wait_ms);
        if attempt.is_repeat {
            if let Some(index) = known {
                self.keys[index].last_ms = now_ms;
                self.keys[index].asked_until_ms = asked_until_ms;
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
        self.keys.push_back(FailedKey { key: attempt.key, last_ms: now_ms, asked_until_ms, row });
    }

    /// Whether all keys failed since the last success, and as often as chance does not bring
    /// about where this share of the attempts succeeded before.
    pub(super) fn is_row_long(&self, number: u64, succeeded: u64, failed_before: u64) -> bool {
        let is_one_row = self.keys.iter().all(|failed| failed.row == number);
        is_one_row && self.row.failed * succeeded >= KEYS_MIN as u64 * (succeeded + failed_before)
    }

    pub(super) fn fails_nearly_all(&self, now_ms: i64, attempts: u64) -> bool {
        let failed = self.failed.sum(now_ms);
        failed > 0 && failed * 100 >= attempts * FAILED_PERCENT_MIN
    }
}

/// The end of a wait that was asked for; the least of all times where none was.
pub(super) fn asked_until(now_ms: i64, asked_wait_ms: i64) -> i64 {
    match asked_wait_ms.min(ASKED_MAX_MS) {
        ..=0 => i64::MIN,
        wait_ms => now_ms.saturating_add(wait_ms),
    }
}
