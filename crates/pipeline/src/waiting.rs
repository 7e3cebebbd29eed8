//! Records of one retry partition that wait for their due time.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::Offset;

/// Waiting records by due time, generic over what is kept of a record.
///
/// Among records that are due at the same instant the one with the lower offset comes first.
#[derive(Debug)]
pub struct Waiting<R> {
    by_offset: BTreeMap<Offset, Entry<R>>,
    by_due: BTreeSet<(i64, Offset)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<R> {
    due_at_ms: i64,
    bytes: usize,
    record: R,
}

impl<R> Default for Waiting<R> {
    fn default() -> Self {
        Self { by_offset: BTreeMap::new(), by_due: BTreeSet::new(), bytes: 0 }
    }
}

impl<R> Waiting<R> {
    /// Takes in a record of `bytes` that is due at `due_at_ms` (epoch milliseconds).
    pub fn insert(&mut self, offset: Offset, due_at_ms: i64, bytes: usize, record: R) {
        let entry = Entry { due_at_ms, bytes, record };
        self.by_due.insert((due_at_ms, offset));
        self.bytes += bytes;
        if let Some(old) = self.by_offset.insert(offset, entry) {
            self.bytes -= old.bytes;
            if old.due_at_ms != due_at_ms {
                self.by_due.remove(&(old.due_at_ms, offset));
            }
        }
    }

    /// Takes out one record.
    pub fn remove(&mut self, offset: Offset) -> Option<(i64, R)> {
        let entry = self.by_offset.remove(&offset)?;
        self.by_due.remove(&(entry.due_at_ms, offset));
        self.bytes -= entry.bytes;
        Some((entry.due_at_ms, entry.record))
    }

    /// The records that are due at `now_ms`, the longest overdue first.
    pub fn due(&self, now_ms: i64) -> impl Iterator<Item = Offset> + '_ {
        self.by_due.iter().take_while(move |(due, _)| *due <= now_ms).map(|(_, offset)| *offset)
    }

    /// When the next record is due, in epoch milliseconds.
    pub fn next_due_at_ms(&self) -> Option<i64> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// Looks at a waiting record and its due time.
    pub fn get(&self, offset: Offset) -> Option<(i64, &R)> {
        self.by_offset.get(&offset).map(|entry| (entry.due_at_ms, &entry.record))
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
mod tests {
    use super::*;

    fn waiting(records: &[(i64, i64)]) -> Waiting<&'static str> {
        let mut waiting = Waiting::default();
        for (offset, due) in records {
            waiting.insert(Offset(*offset), *due, 10, "record");
        }
        waiting
    }

    fn due(waiting: &Waiting<&str>, now_ms: i64) -> Vec<i64> {
        waiting.due(now_ms).map(|offset| offset.0).collect()
    }

    #[test]
    fn a_short_delay_overtakes_a_long_one_that_came_before() {
        let waiting = waiting(&[(0, 5000), (1, 200), (2, 5000), (3, 200)]);
        assert_eq!(due(&waiting, 200), [1, 3]);
        assert_eq!(due(&waiting, 5000), [1, 3, 0, 2]);
    }

    #[test]
    fn a_record_is_due_at_its_own_instant_and_not_before() {
        let waiting = waiting(&[(7, 1000)]);
        assert_eq!(due(&waiting, 999), []);
        assert_eq!(due(&waiting, 1000), [7]);
        assert_eq!(waiting.next_due_at_ms(), Some(1000));
    }

    #[test]
    fn bytes_and_count_follow_what_waits() {
        let mut waiting = waiting(&[(0, 1), (1, 2)]);
        waiting.insert(Offset(1), 9, 30, "record"); // postponed
        assert_eq!((waiting.len(), waiting.bytes()), (2, 40));
        assert_eq!(due(&waiting, 5), [0]);
        assert_eq!(waiting.remove(Offset(1)), Some((9, "record")));
        assert_eq!(waiting.remove(Offset(1)), None);
        assert_eq!((waiting.len(), waiting.bytes()), (1, 10));
    }
}
