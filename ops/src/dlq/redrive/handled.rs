//! Which dead letters went back before: offsets by partition, as ranges.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of an entry's form. A reader passes over none: it stops at one that it does not know.
pub(super) const VERSION: u32 = 1;

/// What one transaction of a redrive writes into the ledger, beside the records that it sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Form of the entry.
    pub version: u32,
    /// The run that sent the records.
    pub redrive_id: String,
    /// Topic of dead letters.
    pub dlq_topic: String,
    /// Its partition.
    pub partition: i32,
    /// Offsets that were sent back: first and last of each range.
    pub ranges: Vec<(i64, i64)>,
    /// How many they are.
    pub count: u64,
    /// When, in epoch milliseconds.
    pub at_ms: i64,
    /// Who ran it.
    pub by: String,
    /// Which dead letters were meant.
    pub filter: serde_json::Value,
}

/// Offsets that were sent back, by partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handled(BTreeMap<i32, BTreeMap<i64, i64>>);

impl Handled {
    /// Whether a dead letter went back before.
    #[must_use]
    pub fn has(&self, partition: i32, offset: i64) -> bool {
        let before = self.0.get(&partition).and_then(|ranges| ranges.range(..=offset).next_back());
        before.is_some_and(|(_, last)| *last >= offset)
    }

    /// Takes in a range, both ends included.
    pub fn add(&mut self, partition: i32, first: i64, last: i64) {
        let ranges = self.0.entry(partition).or_default();
        let (mut first, mut last) = (first, last);
        // It is merged with all that it touches, so that ranges stay few.
        while let Some((start, end)) =
            ranges.range(..=last.saturating_add(1)).next_back().map(|(start, end)| (*start, *end))
            && end >= first.saturating_sub(1)
        {
            ranges.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        ranges.insert(first, last);
    }

    /// Takes in an entry of the ledger.
    pub fn add_entry(&mut self, entry: &Entry) {
        entry.ranges.iter().for_each(|(first, last)| self.add(entry.partition, *first, *last));
    }

    /// Ranges of one partition, in order.
    #[must_use]
    pub fn ranges(&self, partition: i32) -> Vec<(i64, i64)> {
        let ranges = self.0.get(&partition).into_iter().flatten();
        ranges.map(|(first, last)| (*first, *last)).collect()
    }

    /// Partitions of which something went back.
    pub fn partitions(&self) -> impl Iterator<Item = i32> {
        self.0.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn neighbours_become_one_range() {
        let mut handled = Handled::default();
        for (first, last) in [(5, 5), (1, 1), (3, 3), (2, 2), (10, 20), (8, 9), (12, 13)] {
            handled.add(0, first, last);
        }
        assert_eq!(handled.ranges(0), [(1, 3), (5, 5), (8, 20)]);
        handled.add(0, 0, 30);
        assert_eq!(handled.ranges(0), [(0, 30)]);
        assert_eq!(handled.ranges(1), []);
    }

    #[test]
    fn ranges_say_the_same_as_a_set_of_offsets() {
        let (mut handled, mut set) = (Handled::default(), BTreeSet::new());
        let mut number = 7_u64;
        for _ in 0..2_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let first = i64::try_from(number >> 55).expect("small");
            let last = first + i64::try_from(number >> 20 & 3).expect("small");
            handled.add(4, first, last);
            set.extend(first..=last);
            let offset = i64::try_from(number >> 40 & 511).expect("small");
            assert_eq!(handled.has(4, offset), set.contains(&offset), "{offset}");
            assert!(!handled.has(5, offset));
        }
        let all: Vec<i64> =
            handled.ranges(4).iter().flat_map(|(first, last)| *first..=*last).collect();
        assert_eq!(all, set.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn an_entry_reads_back_as_it_is_written() {
        let text = r#"{"version":1,"redrive_id":"r","dlq_topic":"orders-dlq","partition":2,"ranges":[[3,5],[9,9]],"count":4,"at_ms":1000,"by":"ops","filter":{"classes":["transient"]}}"#;
        let entry: Entry = serde_json::from_str(text).expect("an entry");
        assert_eq!(serde_json::to_string(&entry).expect("it is JSON"), text);
        let mut handled = Handled::default();
        handled.add_entry(&entry);
        assert_eq!(handled.ranges(2), [(3, 5), (9, 9)]);
        assert_eq!(handled.partitions().collect::<Vec<_>>(), [2]);
    }
}
