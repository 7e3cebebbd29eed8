//! Records of one retry partition that wait for their due time, and for their key's turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::keys::{HeadChange, Keys, Standing};
use crate::record::Offset;

/// What the order of a record depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence<'a> {
    /// Key of the record.
    pub key: &'a [u8],
    /// Where it was first read.
    pub origin: Offset,
}

/// Waiting records by due time, generic over what is kept of a record.
///
/// Among records that are due at the same instant the one with the lower offset comes first.
///
/// With [`Waiting::in_order`] a record with a [`Sequence`] may run only when it is due and no
/// other of its key comes before it; without it, a sequence has no effect and no cost. Records
/// that are outside of the order promise (without a key, redriven, without a past) are given no
/// sequence: they wait for nobody, and nobody waits for them.
#[derive(Debug)]
pub struct Waiting<R> {
    by_offset: BTreeMap<Offset, Entry<R>>,
    /// Records that may run: of each key the first one only.
    by_due: BTreeSet<(i64, Offset)>,
    bytes: usize,
    keys: Option<Box<Keys>>,
}

#[derive(Debug)]
struct Entry<R> {
    due_at_ms: i64,
    bytes: usize,
    record: R,
    /// Key and origin, where the order is kept.
    sequence: Option<(Arc<[u8]>, Offset)>,
    runs: bool,
}

impl<R> Default for Waiting<R> {
    fn default() -> Self {
        let (by_offset, by_due) = (BTreeMap::new(), BTreeSet::new());
        Self { by_offset, by_due, bytes: 0, keys: None }
    }
}

impl<R> Waiting<R> {
    /// Keeps the order of each key, with up to `followers_max` records waiting behind the first.
    pub fn in_order(followers_max: usize) -> Self {
        Self { keys: Some(Box::new(Keys::new(followers_max, false))), ..Self::default() }
    }

    /// As [`Self::in_order`], for keys whose waiting records may all have to be taken out with the
    /// first: it runs only while none of them is on its way, that is expected and not inserted.
    pub fn in_order_as_a_whole(followers_max: usize) -> Self {
        Self { keys: Some(Box::new(Keys::new(followers_max, true))), ..Self::default() }
    }

    /// Takes in a record of `bytes` that is due at `due_at_ms` (epoch milliseconds).
    pub fn insert(&mut self, offset: Offset, due_at_ms: i64, bytes: usize, record: R) {
        self.insert_sequenced(offset, due_at_ms, bytes, record, None);
    }

    /// As [`Self::insert`], for a record that may have a place in its key's order. One that was
    /// expected is no longer.
    pub fn insert_sequenced(
        &mut self,
        offset: Offset,
        due_at_ms: i64,
        bytes: usize,
        record: R,
        sequence: Option<Sequence<'_>>,
    ) {
        self.remove(offset);
        let mut entry = Entry { due_at_ms, bytes, record, sequence: None, runs: false };
        self.bytes += bytes;
        let Some((keys, Sequence { key, origin })) = self.keys.as_mut().zip(sequence) else {
            self.by_due.insert((due_at_ms, offset));
            self.by_offset.insert(offset, entry);
            return;
        };
        let (key, heads) = keys.arrive(key, origin, offset, bytes);
        entry.sequence = Some((key, origin));
        self.by_offset.insert(offset, entry);
        self.follow(heads);
    }

    /// Takes out one record: its key's next one may run, unless [`Self::expect`] follows.
    pub fn remove(&mut self, offset: Offset) -> Option<(i64, R)> {
        let entry = self.by_offset.get(&offset)?;
        let (sequence, bytes) = (entry.sequence.clone(), entry.bytes);
        match self.keys.as_mut().zip(sequence) {
            Some((keys, (key, origin))) => {
                let heads = keys.leave(&key, origin, offset, bytes);
                self.follow(heads);
            }
            None => self.take_off(offset),
        }
        let entry = self.by_offset.remove(&offset)?;
        self.bytes -= entry.bytes;
        Some((entry.due_at_ms, entry.record))
    }

    /// A handler starts on a waiting record: it is not due any more, and its key stays parked.
    pub fn start(&mut self, offset: Offset) {
        self.set_running(offset, true);
    }

    /// Whether a handler is busy with a record.
    pub fn is_running(&self, offset: Offset) -> bool {
        self.by_offset.get(&offset).is_some_and(|entry| entry.runs)
    }

    /// A handler gives a record back, to be due again at `due_at_ms`.
    pub fn postpone(&mut self, offset: Offset, due_at_ms: i64) {
        self.set_running(offset, true); // out of the index of due times
        if let Some(entry) = self.by_offset.get_mut(&offset) {
            entry.due_at_ms = due_at_ms;
        }
        self.set_running(offset, false);
    }

    fn set_running(&mut self, offset: Offset, runs: bool) {
        let Some(entry) = self.by_offset.get_mut(&offset) else { return };
        if std::mem::replace(&mut entry.runs, runs) == runs {
            return;
        }
        let due_at_ms = entry.due_at_ms;
        match (self.keys.as_mut().zip(entry.sequence.as_ref()), runs) {
            (Some((keys, (key, origin))), _) => {
                let heads = keys.set_running(key, *origin, offset, runs);
                self.follow(heads);
            }
            (None, true) => self.take_off(offset),
            (None, false) => _ = self.by_due.insert((due_at_ms, offset)),
        }
    }

    /// Puts what may run into the index of due times, and takes out what may not any more.
    fn follow(&mut self, heads: HeadChange) {
        if heads.before == heads.after {
            return;
        }
        if let Some(before) = heads.before {
            self.take_off(before);
        }
        if let Some(after) = heads.after
            && let Some(entry) = self.by_offset.get(&after)
        {
            self.by_due.insert((entry.due_at_ms, after));
        }
    }

    fn take_off(&mut self, offset: Offset) {
        if let Some(entry) = self.by_offset.get(&offset) {
            self.by_due.remove(&(entry.due_at_ms, offset));
        }
    }

    /// A record is being forwarded to the retry partition: its key is parked from now on, until
    /// the record is inserted with its offset, or [`Self::give_up`] is told.
    pub fn expect(&mut self, sequence: Option<Sequence<'_>>) {
        self.with_keys(sequence, |keys, Sequence { key, origin }| keys.expect(key, origin));
    }

    /// A record that was forwarded to the retry partition goes elsewhere after all.
    pub fn give_up(&mut self, sequence: Option<Sequence<'_>>) {
        self.with_keys(sequence, |keys, Sequence { key, origin }| keys.give_up(key, origin));
    }

    /// A main record is held in memory: later ones of its key stay behind it.
    pub fn hold_main(&mut self, sequence: Option<Sequence<'_>>) {
        self.with_keys(sequence, |keys, Sequence { key, origin }| keys.hold_main(key, origin));
    }

    /// A held main record is settled, or on its way to retry (say [`Self::expect`] first).
    pub fn release_main(&mut self, sequence: Option<Sequence<'_>>) {
        self.with_keys(sequence, |keys, Sequence { key, origin }| keys.release_main(key, origin));
    }

    fn with_keys(
        &mut self,
        sequence: Option<Sequence<'_>>,
        change: impl FnOnce(&mut Keys, Sequence<'_>) -> HeadChange,
    ) {
        if let Some((keys, sequence)) = self.keys.as_mut().zip(sequence) {
            let heads = change(keys, sequence);
            self.follow(heads);
        }
    }

    /// A held main record whose standing may have changed, lowest first.
    pub fn pop_stirred(&mut self) -> Option<Offset> {
        self.keys.as_mut()?.pop_stirred()
    }

    /// Whether a main record may run.
    pub fn standing(&self, sequence: Option<Sequence<'_>>) -> Standing {
        match self.keys.as_ref().zip(sequence) {
            Some((keys, Sequence { key, origin })) => keys.standing(key, origin),
            None => Standing::Free,
        }
    }

    /// The waiting records of a key, in the order in which they are to run.
    pub fn of_key<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = Offset> + 'a {
        self.keys.iter().flat_map(move |keys| keys.waiting(key))
    }

    /// Whether a record of a key is on its way to the retry partition.
    pub fn expects(&self, key: &[u8]) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.expects(key))
    }

    /// Number of parked keys.
    pub fn parked_keys(&self) -> usize {
        self.keys.as_ref().map_or(0, |keys| keys.parked())
    }

    /// Number of keys behind which as many records wait as may; main is not read meanwhile.
    pub fn full_keys(&self) -> usize {
        self.keys.as_ref().map_or(0, |keys| keys.full())
    }

    /// Whether a waiting record is due, and its turn has come.
    pub fn may_run(&self, offset: Offset, now_ms: i64) -> bool {
        self.by_offset.get(&offset).is_some_and(|entry| {
            entry.due_at_ms <= now_ms && self.by_due.contains(&(entry.due_at_ms, offset))
        })
    }

    /// The records that may run at `now_ms`, the longest overdue first.
    pub fn due(&self, now_ms: i64) -> impl Iterator<Item = Offset> + '_ {
        self.by_due.iter().take_while(move |(due, _)| *due <= now_ms).map(|(_, offset)| *offset)
    }

    /// When the next record may run, in epoch milliseconds.
    pub fn next_due_at_ms(&self) -> Option<i64> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// When the last record may run of those that wait for nothing else, in epoch milliseconds.
    pub fn last_due_at_ms(&self) -> Option<i64> {
        self.by_due.last().map(|(due, _)| *due)
    }

    /// Looks at a waiting record and its due time.
    pub fn get(&self, offset: Offset) -> Option<(i64, &R)> {
        self.by_offset.get(&offset).map(|entry| (entry.due_at_ms, &entry.record))
    }

    /// Whether the order of keys is kept.
    pub const fn keeps_order(&self) -> bool {
        self.keys.is_some()
    }

    /// The waiting records, lowest offset first, each with its due time and bytes.
    pub fn iter(&self) -> impl Iterator<Item = (Offset, i64, usize)> + '_ {
        self.by_offset.iter().map(|(offset, entry)| (*offset, entry.due_at_ms, entry.bytes))
    }

    /// How many records wait.
    pub fn len(&self) -> usize {
        self.by_offset.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.by_offset.is_empty()
    }

    /// Bytes of the waiting records.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
#[path = "waiting_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "waiting_model_tests.rs"]
mod model_tests;

#[cfg(test)]
#[path = "waiting_whole_tests.rs"]
mod whole_tests;
