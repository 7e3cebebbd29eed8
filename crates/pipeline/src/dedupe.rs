//! Duplicates among the orders themselves, as a function of the log alone.
//!
//! A record is a duplicate if a valid order with the same id stands at a lower offset of the
//! same partition, at most N offsets before it. The answer depends on nothing but the log: it is
//! the same whenever it is asked, so that after a restart the last N offsets below the position
//! are read again and everything goes on as before. A retry is not a duplicate of itself.
//!
//! Ids are kept as two keyed hashes of 64 bits each (SipHash, of the standard library): 16 bytes
//! however long the id is. Ids that collide are not found by accident (with N = 1,000,000 the odds
//! are below 1 in 10^32 per record), nor on purpose: the keys are those of this table, and nobody
//! is told them. One remembered offset takes about 48 bytes.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

use crate::record::{CommitPosition, Offset};

/// Offsets that may be remembered per partition: about 48 MB.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Id([u64; 2]);

impl Id {
    /// Spreads as well as any other 64 bits of it.
    const fn hash(self) -> u64 {
        self.0[0]
    }
}

/// Shortens order ids with keys of its own.
#[derive(Debug, Default)]
struct Shortener([RandomState; 2]);

impl Shortener {
    fn id(&self, order_id: &str) -> Id {
        Id(self.0.each_ref().map(|keys| keys.hash_one(order_id)))
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: i64,
    id: Id,
    /// The nearest lower offset with the same id, however far below; negative if none is known.
    below: i64,
}

/// Number of an entry among all that ever were, modulo 2³²: more than are remembered at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Serial(u32);

impl Serial {
    /// The one of the entry so many places behind it.
    #[expect(clippy::cast_possible_truncation, reason = "it counts modulo 2³²")]
    const fn after(self, entries: usize) -> Self {
        Self(self.0.wrapping_add(entries as u32))
    }

    /// How many places it stands behind `first`.
    const fn since(self, first: Self) -> usize {
        self.0.wrapping_sub(first.0) as usize
    }
}

/// The valid orders of one partition's last N offsets.
#[derive(Debug)]
pub struct Dedupe {
    reach: i64,
    log_start: i64,
    /// Every valid order from here up to `top` is remembered.
    known_from: i64,
    top: i64,
    shortener: Shortener,
    entries: VecDeque<Entry>,
    /// That of the lowest entry.
    first: Serial,
    /// The highest entry of each id.
    newest: HashTable<Serial>,
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
            shortener: Shortener::default(),
            entries: VecDeque::new(),
            first: Serial(0),
            newest: HashTable::new(),
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
        self.top = offset.0 + 1;
        self.forget_below(offset.0 - self.reach);
        let id = self.shortener.id(order_id);
        let below = self.note(id);
        self.entries.push_back(Entry { offset: offset.0, id, below });
        self.judge(offset, below)
    }

    /// Judges a record that need not be new, such as one that comes back from the retry topic.
    pub fn look(&self, offset: Offset, order_id: &str) -> Seen {
        if (offset.0 - self.reach).max(self.log_start) < self.known_from {
            return Seen::Forgotten;
        }
        let id = self.shortener.id(order_id);
        let newest = self.newest.find(id.hash(), |serial| self.entry(*serial).id == id);
        let mut at = newest.map_or(-1, |serial| self.entry(*serial).offset);
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

    /// Notes that the entry to come is the highest of its id; the offset of the one that was.
    fn note(&mut self, id: Id) -> i64 {
        let Self { entries, first, newest, .. } = self;
        let entry = |serial: Serial| &entries[serial.since(*first)];
        let next = first.after(entries.len());
        if let Some(highest) = newest.find_mut(id.hash(), |serial| entry(*serial).id == id) {
            return entry(std::mem::replace(highest, next)).offset;
        }
        newest.insert_unique(id.hash(), next, |serial| entry(*serial).id.hash());
        -1
    }

    fn entry(&self, serial: Serial) -> &Entry {
        &self.entries[serial.since(self.first)]
    }

    fn forget_below(&mut self, offset: i64) {
        self.known_from = self.known_from.max(offset);
        while let Some(entry) = self.entries.front().filter(|entry| entry.offset < offset) {
            let first = self.first;
            let found = self.newest.find_entry(entry.id.hash(), |serial| *serial == first);
            if let Ok(found) = found {
                found.remove();
            }
            self.entries.pop_front();
            self.first = first.after(1);
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
