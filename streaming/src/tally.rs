//! Decisions of one partition, counted by event time: the state of analytics.
//!
//! All that it keeps is a function of the set of decisions, not of their order: sums, the first and
//! the last event time, and the counts of the latest minutes. So the same log gives the same state,
//! however it was cut into turns and whoever read it.

use order_schemas::OrderTally;
use relane::stage::State;
use relane::table::Table;

use crate::limits::MINUTES_KEPT;

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;

/// Key of the record that counts everything.
const TOTAL_KEY: &str = "total";

/// How a decision ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Succeeded,
    Failed,
}

/// Orders counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) succeeded: i64,
    pub(crate) failed: i64,
    /// Event times of the earliest and the latest, in milliseconds since the Unix epoch.
    pub(crate) first_at_ms: i64,
    pub(crate) last_at_ms: i64,
}

impl Counts {
    const NONE: Self =
        Self { succeeded: 0, failed: 0, first_at_ms: i64::MAX, last_at_ms: i64::MIN };

    fn add(&mut self, other: Self) {
        self.succeeded = self.succeeded.saturating_add(other.succeeded);
        self.failed = self.failed.saturating_add(other.failed);
        self.first_at_ms = self.first_at_ms.min(other.first_at_ms);
        self.last_at_ms = self.last_at_ms.max(other.last_at_ms);
    }

    const fn one(ended: Ended, at_ms: i64) -> Self {
        let (succeeded, failed) = match ended {
            Ended::Succeeded => (1, 0),
            Ended::Failed => (0, 1),
        };
        Self { succeeded, failed, first_at_ms: at_ms, last_at_ms: at_ms }
    }

    /// All orders.
    pub(crate) const fn total(self) -> i64 {
        self.succeeded.saturating_add(self.failed)
    }
}

/// Number of the minute of an instant, from the Unix epoch.
pub(crate) const fn minute_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(MINUTE_MS)
}

/// See the module. A minute has a slot, which a later minute takes over: so its records stay few.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(Table<Slot, Sum>);

/// Key of what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Slot {
    Total,
    OfMinute(i64),
}

impl From<&Self> for Slot {
    fn from(slot: &Self) -> Self {
        *slot
    }
}

/// Orders of a slot, and of which minute they are.
#[derive(Debug, Clone, Copy)]
struct Sum {
    minute: Option<i64>,
    counts: Counts,
}

impl Default for Sum {
    fn default() -> Self {
        Self { minute: None, counts: Counts::NONE }
    }
}

impl Tally {
    /// Counts one decision.
    pub(crate) fn count(&mut self, ended: Ended, at_ms: i64) {
        let one = Counts::one(ended, at_ms);
        self.0.entry(&Slot::Total).counts.add(one);
        self.put(minute_of(at_ms), one);
    }

    /// Adds to a minute, unless a later one has its slot: then it is more than a day behind.
    fn put(&mut self, minute: i64, counts: Counts) {
        let slot = Slot::OfMinute(slot_of(minute));
        let held = self.0.get(&slot).and_then(|sum| sum.minute);
        if held.is_some_and(|held| held > minute) {
            return;
        }
        let sum = self.0.entry(&slot);
        if held != Some(minute) {
            *sum = Sum { minute: Some(minute), counts: Counts::NONE };
        }
        sum.counts.add(counts);
    }

    /// Adds another partition's.
    pub(crate) fn add(&mut self, other: &Self) {
        for (_, Sum { minute, counts }) in other.0.iter() {
            match minute {
                None => self.0.entry(&Slot::Total).counts.add(*counts),
                Some(minute) => self.put(*minute, *counts),
            }
        }
    }

    /// All orders; `None` before the first.
    pub(crate) fn total(&self) -> Option<Counts> {
        self.0.get(&Slot::Total).map(|sum| sum.counts)
    }

    /// Orders of a minute.
    pub(crate) fn minute(&self, minute: i64) -> Option<Counts> {
        let sum = self.0.get(&Slot::OfMinute(slot_of(minute)))?;
        (sum.minute == Some(minute)).then_some(sum.counts)
    }

    /// Records of what changed, with their keys.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (String, OrderTally)> {
        self.0.touched().map(|(slot, sum)| {
            let key = match slot {
                Slot::Total => TOTAL_KEY.to_owned(),
                Slot::OfMinute(slot) => format!("minute-{slot:04}"),
            };
            (key, record(sum.minute, sum.counts))
        })
    }

    /// Takes in a record that was read back; of one key the last one counts.
    pub(crate) fn restore(&mut self, record: &OrderTally) {
        let OrderTally { minute_ms, succeeded, failed, first_at_ms, last_at_ms } = *record;
        let counts = Counts { succeeded, failed, first_at_ms, last_at_ms };
        let minute = minute_ms.map(minute_of);
        let slot = minute.map_or(Slot::Total, |minute| Slot::OfMinute(slot_of(minute)));
        self.0.restore(&slot, Some(Sum { minute, counts }));
    }
}

const fn slot_of(minute: i64) -> i64 {
    minute.rem_euclid(MINUTES_KEPT)
}

fn record(minute: Option<i64>, counts: Counts) -> OrderTally {
    OrderTally {
        minute_ms: minute.map(|minute| minute.saturating_mul(MINUTE_MS)),
        succeeded: counts.succeeded,
        failed: counts.failed,
        first_at_ms: counts.first_at_ms,
        last_at_ms: counts.last_at_ms,
    }
}

impl State for Tally {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn clear_touched(&mut self) {
        self.0.clear_touched();
    }

    fn touch_any(&mut self) {
        self.0.touch_any();
    }
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
