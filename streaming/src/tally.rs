//! Decisions of one partition, counted by event time: the state of analytics.
//!
//! All that it keeps is a function of the set of decisions, not of their order: sums, the first and
//! the last event time, and the counts of the latest minutes. So the same log gives the same state,
//! however it was cut into turns and whoever read it.

use std::collections::{BTreeMap, BTreeSet};

use codec::wire::OrderTally;
use engine::stage::State;

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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    total: Option<Counts>,
    /// By slot: the minute, and its orders.
    slots: BTreeMap<i64, (i64, Counts)>,
    /// Slots that changed; the total changes with every order.
    touched: BTreeSet<i64>,
    is_touched: bool,
}

impl Tally {
    /// Counts one decision.
    pub(crate) fn count(&mut self, ended: Ended, at_ms: i64) {
        let one = Counts::one(ended, at_ms);
        self.total.get_or_insert(Counts::NONE).add(one);
        self.is_touched = true;
        let minute = minute_of(at_ms);
        if self.put(minute, one) {
            self.touched.insert(slot_of(minute));
        }
    }

    /// Adds to a minute, unless a later one has its slot.
    fn put(&mut self, minute: i64, counts: Counts) -> bool {
        let (held, sum) = self.slots.entry(slot_of(minute)).or_insert((minute, Counts::NONE));
        if *held > minute {
            return false; // more than a day behind the latest orders
        }
        if *held < minute {
            (*held, *sum) = (minute, Counts::NONE);
        }
        sum.add(counts);
        true
    }

    /// Adds another partition's.
    pub(crate) fn add(&mut self, other: &Self) {
        if let Some(counts) = other.total {
            self.total.get_or_insert(Counts::NONE).add(counts);
        }
        for (minute, counts) in other.slots.values() {
            self.put(*minute, *counts);
        }
    }

    /// All orders; `None` before the first.
    pub(crate) const fn total(&self) -> Option<Counts> {
        self.total
    }

    /// Orders of a minute.
    pub(crate) fn minute(&self, minute: i64) -> Option<Counts> {
        let (held, counts) = self.slots.get(&slot_of(minute))?;
        (*held == minute).then_some(*counts)
    }

    /// Records of what changed, with their keys.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (String, OrderTally)> {
        let total = self.total.filter(|_| self.is_touched);
        let total = total.map(|counts| (TOTAL_KEY.to_owned(), record(None, counts)));
        let slots = self.touched.iter().filter_map(|slot| {
            let (minute, counts) = self.slots.get(slot)?;
            Some((format!("minute-{slot:04}"), record(Some(*minute), *counts)))
        });
        total.into_iter().chain(slots)
    }

    /// Takes in a record that was read back; of one key the last one counts.
    pub(crate) fn restore(&mut self, record: &OrderTally) {
        let OrderTally { minute_ms, succeeded, failed, first_at_ms, last_at_ms } = *record;
        let counts = Counts { succeeded, failed, first_at_ms, last_at_ms };
        match minute_ms.map(minute_of) {
            None => self.total = Some(counts),
            Some(minute) => drop(self.slots.insert(slot_of(minute), (minute, counts))),
        }
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
        self.total.is_none()
    }

    fn len(&self) -> usize {
        self.slots.len() + usize::from(self.total.is_some())
    }

    fn clear_touched(&mut self) {
        self.touched.clear();
        self.is_touched = false;
    }

    fn touch_any(&mut self) {
        self.is_touched = true; // the total, which is there as soon as anything is
    }
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
