//! Duplicates among the orders themselves, as a function of the log alone.
//!
//! A record is a duplicate if a valid order with the same id stands at a lower offset of the
//! same partition, at most N offsets before it. The answer depends on nothing but the log: it is
//! the same whenever it is asked, so that after a restart the last N offsets below the position
//! are read again and everything goes on as before. A retry is not a duplicate of itself.
//!
//! Ids are kept as the first 128 bits of their SHA-256: 16 bytes however long the id is, and
//! ids that collide cannot be found by accident (with N = 1,000,000 the odds are below 1 in
//! 10^32 per record) or made to collide with somebody else's on purpose (2^128 tries).
//! One remembered offset takes about 64 bytes.

use std::collections::VecDeque;

use sha2::Digest as _;

use crate::record::{CommitPosition, Offset};

/// Offsets that may be remembered per partition: about 64 MB.
pub const DEDUPE_OFFSETS_MAX: u32 = 1_000_000;

/// What is known of an order's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// No valid order with this id stands within reach.
    First,
    /// One stands at this offset, the nearest one below.
    Before(Offset),
    /// The record is so old that its surroundings are forgotten. It was judged when it was
    /// first read: one that went on from there is no duplicate.
    Forgotten,
}

/// An order id, shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Id([u8; 16]);

impl Id {
    fn of(order_id: &str) -> Self {
        let digest = sha2::Sha256::digest(order_id.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: i64,
    id: Id,
    /// The nearest lower offset with the same id, however far below; negative if none is known.
    below: i64,
}

/// The valid orders of one partition's last N offsets.
#[derive(Debug)]
pub struct Dedupe {
    reach: i64,
    log_start: i64,
    /// Every valid order from here up to `top` is remembered.
    known_from: i64,
    top: i64,
    entries: VecDeque<Entry>,
    newest: hashbrown::HashMap<Id, i64, foldhash::fast::RandomState>,
}

impl Dedupe {
    /// Looks back over `reach` offsets. Before anything from `position` on is judged, what lies
    /// between [`Self::known_from`] and the position must be taken in again.
    pub fn new(reach: u32, position: CommitPosition, log_start: Offset) -> Self {
        let reach = i64::from(reach.min(DEDUPE_OFFSETS_MAX));
        let start = (position.0 - reach).max(log_start.0).min(position.0);
        Self {
            reach,
            log_start: log_start.0,
            known_from: start,
            top: start,
            entries: VecDeque::new(),
            newest: hashbrown::HashMap::default(),
        }
    }

    /// The first offset whose order is, or is to be, remembered.
    pub const fn known_from(&self) -> Offset {
        Offset(self.known_from)
    }

    /// The next offset to take in.
    pub const fn top(&self) -> i64 {
        self.top
    }

    /// Passes what does not count, up to `position`.
    pub fn pass(&mut self, position: i64) {
        self.top = self.top.max(position);
    }

    /// Whether the record at `offset` was taken in, or passed.
    pub const fn has_passed(&self, offset: Offset) -> bool {
        offset.0 < self.top
    }

    /// Takes in the valid order at `offset` and judges it. Offsets must ascend; one that was
    /// passed already is only judged, so that reading a stretch again does no harm. A record
    /// that cannot be decoded or breaks a rule is not taken in.
    pub fn take(&mut self, offset: Offset, order_id: &str) -> Seen {
        if self.has_passed(offset) {
            return self.look(offset, order_id);
        }
        let id = Id::of(order_id);
        self.top = offset.0 + 1;
        self.forget_below(offset.0 - self.reach);
        let below = self.newest.insert(id, offset.0).unwrap_or(-1);
        self.entries.push_back(Entry { offset: offset.0, id, below });
        self.judge(offset, below)
    }

    /// Judges a record that need not be new, such as one that comes back from the retry topic.
    pub fn look(&self, offset: Offset, order_id: &str) -> Seen {
        if (offset.0 - self.reach).max(self.log_start) < self.known_from {
            return Seen::Forgotten;
        }
        let id = Id::of(order_id);
        let mut at = self.newest.get(&id).copied().unwrap_or(-1);
        while at >= offset.0 {
            at = self.find(at).map_or(-1, |entry| entry.below);
        }
        self.judge(offset, at)
    }

    fn judge(&self, offset: Offset, below: i64) -> Seen {
        let is_within_reach = below >= 0 && below >= offset.0 - self.reach;
        if is_within_reach { Seen::Before(Offset(below)) } else { Seen::First }
    }

    fn find(&self, offset: i64) -> Option<&Entry> {
        let index = self.entries.binary_search_by_key(&offset, |entry| entry.offset).ok()?;
        self.entries.get(index)
    }

    fn forget_below(&mut self, offset: i64) {
        self.known_from = self.known_from.max(offset);
        while let Some(entry) = self.entries.front().filter(|entry| entry.offset < offset) {
            if self.newest.get(&entry.id) == Some(&entry.offset) {
                self.newest.remove(&entry.id);
            }
            self.entries.pop_front();
        }
    }

    /// Number of remembered orders; never more than N + 1.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
#[path = "dedupe_tests.rs"]
mod tests;
