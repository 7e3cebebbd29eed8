//! What is settled in one partition, and how that travels with the committed offset.
//!
//! Records may settle out of order: a retry that is due runs before one that came earlier
//! and is not. The window keeps the records that were read and are not settled, commits the
//! lowest of them, and writes what is settled above it as runs into the metadata of the
//! committed offset, inside the same transaction. After a restart it is read back, so that
//! a record that settled out of order never runs again.
//!
//! A record that the lane has just written itself may be held early, before the reader has
//! fetched it: until then its neighbours are not known, and it stands above [`Window::top`].

use std::collections::{BTreeMap, BTreeSet};

use crate::completion::Completion;
use crate::record::{CommitPosition, Offset};

/// What a window knows of an offset that was just fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// Not seen before: process or hold it.
    New,
    /// Settled before a restart: skip it.
    Settled,
    /// Fetched a second time, or held early: skip it.
    Repeated,
}

/// Records of one partition that were read, split into settled and unsettled.
///
/// Offsets without a record (transaction markers, aborted records, compacted ones) count as
/// either, so that they never cost a run of their own.
#[derive(Debug, Clone)]
pub struct Window {
    /// Everything below was fetched or passed.
    top: i64,
    unsettled: BTreeSet<i64>,
    /// Runs of unsettled records, first to last; a settled record lies between any two.
    runs: BTreeMap<i64, i64>,
    /// A settled record lies between the last run and `top`.
    settled_tail: bool,
    /// Settled ranges above `top`, first to last: known from before a restart, or settled
    /// while they were early. No two of them touch.
    ahead: BTreeMap<i64, i64>,
    /// Held records at or above `top`.
    early: BTreeSet<i64>,
}

impl Window {
    /// Starts at `position` with nothing known above it.
    pub fn new(position: CommitPosition) -> Self {
        Self {
            top: position.0,
            unsettled: BTreeSet::new(),
            runs: BTreeMap::new(),
            settled_tail: false,
            ahead: BTreeMap::new(),
            early: BTreeSet::new(),
        }
    }

    /// Starts at a committed position with what was settled above it.
    pub fn restore(position: CommitPosition, completion: &Completion) -> Self {
        let mut window = Self::new(position);
        window.ahead = completion.settled_ranges(position).into_iter().collect();
        window
    }

    /// Next offset that has not been fetched or passed.
    pub const fn top(&self) -> i64 {
        self.top
    }

    /// Position to commit: the lowest unsettled record, or everything that was read.
    pub fn position(&self) -> CommitPosition {
        CommitPosition(self.unsettled.first().copied().unwrap_or(self.top))
    }

    /// Number of records that are held.
    pub fn unsettled(&self) -> usize {
        self.unsettled.len() + self.early.len()
    }

    /// The held offsets, lowest first.
    pub fn unsettled_offsets(&self) -> impl Iterator<Item = Offset> + '_ {
        self.unsettled.iter().chain(&self.early).copied().map(Offset)
    }

    /// Says what is known of a fetched offset. A record that settled before a restart is
    /// taken in as settled; one that is new must be followed by [`Self::settle_new`] or
    /// [`Self::hold`].
    #[inline]
    pub fn fetched(&mut self, offset: Offset) -> Fetched {
        if offset.0 < self.top {
            return Fetched::Repeated;
        }
        self.pass(offset.0);
        if offset.0 < self.top {
            return Fetched::Settled;
        }
        if self.early.contains(&offset.0) {
            self.pass(offset.0 + 1);
            return Fetched::Repeated;
        }
        Fetched::New
    }

    /// Holds a record that this program has written and that the reader has not fetched yet.
    /// Only one that is [`Fetched::New`] is taken in.
    pub fn hold_early(&mut self, offset: Offset) -> Fetched {
        let x = offset.0;
        if x < self.top || self.early.contains(&x) {
            return Fetched::Repeated;
        }
        if self.ahead.range(..=x).next_back().is_some_and(|(_, last)| x <= *last) {
            return Fetched::Settled;
        }
        self.early.insert(x);
        Fetched::New
    }

    /// Takes in a new record that is settled in the turn that fetched it.
    #[inline]
    pub fn settle_new(&mut self, offset: Offset) {
        self.settled_tail |= !self.unsettled.is_empty();
        self.pass(offset.0 + 1);
    }

    /// Takes in a new record that stays unsettled.
    pub fn hold(&mut self, offset: Offset) {
        self.join(offset.0);
        self.pass(offset.0 + 1);
    }

    /// Adds an offset above all others to the unsettled ones.
    fn join(&mut self, x: i64) {
        match self.runs.last_entry() {
            Some(mut run) if !self.settled_tail => *run.get_mut() = x,
            _ => {
                self.runs.insert(x, x);
            }
        }
        self.unsettled.insert(x);
        self.settled_tail = false;
    }

    /// Moves past offsets that hold no record, up to the reader's position. Early records
    /// below it become ordinary held ones.
    #[inline]
    pub fn pass(&mut self, position: i64) {
        self.top = self.top.max(position);
        if !(self.ahead.is_empty() && self.early.is_empty()) {
            self.take_over(); // not on the steady path
        }
    }

    /// Takes over what stood above `top` and does not any more.
    fn take_over(&mut self) {
        loop {
            let ahead = self.ahead.first_key_value().map(|(first, last)| (*first, *last));
            let early = self.early.first().copied().filter(|x| *x < self.top);
            match (ahead.filter(|(first, _)| *first <= self.top), early) {
                (Some((first, last)), early) if early.is_none_or(|x| first < x) => {
                    self.top = self.top.max(last + 1);
                    self.settled_tail |= !self.unsettled.is_empty();
                    self.ahead.pop_first();
                }
                (_, Some(x)) => {
                    self.early.pop_first();
                    self.join(x);
                }
                _ => break,
            }
        }
    }

    /// Settles a held record.
    ///
    /// # Panics
    ///
    /// Panics when the offset is not held: settling twice would be counting twice.
    pub fn settle(&mut self, offset: Offset) {
        let x = offset.0;
        if self.early.remove(&x) {
            self.settle_ahead(x);
            return;
        }
        assert!(self.unsettled.remove(&x), "offset {x} is settled twice");
        if let Some(run) = self.runs.first_entry().filter(|run| *run.key() == x) {
            // The lowest of all, as most often: the first run begins later, or goes.
            let last = run.remove();
            match self.unsettled.first() {
                Some(&above) if above <= last => {
                    self.runs.insert(above, last);
                }
                _ => self.settled_tail &= !self.runs.is_empty(),
            }
            return;
        }
        let (&first, &last) = self.runs.range(..=x).next_back().expect("a held record has a run");
        let below = self.unsettled.range(first..x).next_back().copied();
        let above = self.unsettled.range(x..=last).next().copied();
        if self.runs.last_key_value().is_some_and(|(key, _)| *key == first) && above.is_none() {
            self.settled_tail = !self.unsettled.is_empty();
        }
        self.runs.remove(&first);
        if let Some(below) = below {
            self.runs.insert(first, below);
        }
        if let Some(above) = above {
            self.runs.insert(above, last);
        }
    }

    /// Adds an offset to the settled ranges above `top`.
    fn settle_ahead(&mut self, x: i64) {
        let below = self.ahead.range(..x).next_back().map(|(first, last)| (*first, *last));
        let first = below.filter(|(_, last)| last + 1 == x).map_or(x, |(first, _)| first);
        let last = self.ahead.remove(&(x + 1)).unwrap_or(x);
        self.ahead.insert(first, last);
        self.pass(self.top);
    }

    /// What is settled above [`Self::position`], for the metadata of the committed offset.
    pub fn completion(&self) -> Completion {
        let mut completion = Completion::at(self.position());
        let mut runs = self.runs.iter().peekable();
        while let Some((_, &last)) = runs.next() {
            completion.unsettled_to(last + 1);
            match runs.peek() {
                Some((next_first, _)) => completion.settled_to(**next_first),
                None if self.settled_tail => completion.settled_to(self.top),
                None => {}
            }
        }
        for (&first, &last) in &self.ahead {
            completion.unsettled_to(first);
            completion.settled_to(last + 1);
        }
        completion
    }

    /// How many records anywhere in the window may settle so that the completion surely
    /// stays within `limit_bytes`. The lowest record may always settle: it adds no run.
    pub fn settle_budget(&self, limit_bytes: usize) -> usize {
        let used = self.completion().encoded_len();
        let ahead = self.ahead.last_key_value().map_or(self.top, |(_, last)| last + 1);
        let early = self.early.last().map_or(self.top, |x| x + 1);
        let end = self.top.max(ahead).max(early);
        let span = u64::try_from(end - self.position().0).unwrap_or(0);
        // A settled record inside a run splits it in two and adds a run of its own.
        let growth = 2 * crate::completion::varint_len(span.max(1));
        limit_bytes.saturating_sub(used) / growth
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "window_early_tests.rs"]
mod early_tests;
