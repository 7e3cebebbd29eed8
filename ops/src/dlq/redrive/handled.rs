//! Which dead letters were handled before: offsets by partition, as ranges.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of an entry's form. A reader passes over none: it stops at one that it does not know.
pub(super) const VERSION: u32 = 2;

/// What is done with a dead letter that is handled.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// It went back. Entries of version 1 name no others.
    #[default]
    Redriven,
    /// It stays in its topic, and nobody needs to look at it any more.
    Discarded,
}

impl Mark {
    /// Its name in results.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redriven => "redriven",
            Self::Discarded => "discarded",
        }
    }
}

/// What one transaction writes into the ledger, beside the records that it sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Form of the entry.
    pub version: u32,
    /// What was done with the dead letters.
    #[serde(default)]
    pub mark: Mark,
    /// The run that did it.
    pub redrive_id: String,
    /// Topic of dead letters.
    pub dlq_topic: String,
    /// The id that the topic was made with; none where the brokers did not tell, and in version 1.
    #[serde(default)]
    pub topic_id: Option<String>,
    /// Its partition.
    pub partition: i32,
    /// Offsets that were handled: first and last of each range.
    pub ranges: Vec<(i64, i64)>,
    /// How many dead letters they are.
    pub count: u64,
    /// When, in epoch milliseconds.
    pub at_ms: i64,
    /// Who ran it.
    pub by: String,
    /// Which dead letters were meant.
    pub filter: serde_json::Value,
}

impl Entry {
    /// Whether it is about the topic that has this id now, and not about an earlier one of its name. Where
    /// an id is not known nothing speaks against it.
    #[must_use]
    pub fn is_about(&self, topic_id: Option<&str>) -> bool {
        match (self.topic_id.as_deref(), topic_id) {
            (Some(noted), Some(now)) => noted == now,
            (None, _) | (_, None) => true,
        }
    }
}

/// Dead letters that were handled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handled {
    redriven: Ranges,
    discarded: Ranges,
    strange_entries: u64,
}

impl Handled {
    /// What was done with a dead letter; none where nothing was. One that went back after it was discarded
    /// went back.
    #[must_use]
    pub fn mark(&self, partition: i32, offset: i64) -> Option<Mark> {
        if self.redriven.has(partition, offset) {
            return Some(Mark::Redriven);
        }
        self.discarded.has(partition, offset).then_some(Mark::Discarded)
    }

    /// Takes in an entry of the ledger, where the topic of dead letters has this id. Offsets of an earlier
    /// topic of its name say nothing about this one.
    pub fn add_entry(&mut self, entry: &Entry, topic_id: Option<&str>) {
        if !entry.is_about(topic_id) {
            self.strange_entries += 1;
            return;
        }
        let ranges = match entry.mark {
            Mark::Redriven => &mut self.redriven,
            Mark::Discarded => &mut self.discarded,
        };
        entry.ranges.iter().for_each(|(first, last)| ranges.add(entry.partition, *first, *last));
    }

    /// Entries that are about an earlier topic of the same name.
    #[must_use]
    pub const fn strange_entries(&self) -> u64 {
        self.strange_entries
    }
}

/// Offsets by partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges(BTreeMap<i32, BTreeMap<i64, i64>>);

impl Ranges {
    /// Whether an offset is among them.
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

    /// Ranges of one partition, in order.
    #[must_use]
    pub fn ranges(&self, partition: i32) -> Vec<(i64, i64)> {
        let ranges = self.0.get(&partition).into_iter().flatten();
        ranges.map(|(first, last)| (*first, *last)).collect()
    }

    /// Partitions of which some are here.
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
        let mut handled = Ranges::default();
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
        let (mut handled, mut set) = (Ranges::default(), BTreeSet::new());
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

    const ENTRY: &str = r#"{"version":2,"mark":"discarded","redrive_id":"r","dlq_topic":"orders-dlq","topic_id":"a","partition":2,"ranges":[[3,5],[9,9]],"count":4,"at_ms":1000,"by":"ops","filter":{"classes":["transient"]}}"#;

    const ENTRY_V1: &str = r#"{"version":1,"redrive_id":"r","dlq_topic":"orders-dlq","partition":2,"ranges":[[4,4]],"count":1,"at_ms":1000,"by":"ops","filter":{}}"#;

    fn entry(text: &str) -> Entry {
        serde_json::from_str(text).expect("an entry")
    }

    #[test]
    fn a_mark_has_the_same_name_in_tables_and_in_json() {
        for mark in [Mark::Redriven, Mark::Discarded] {
            assert_eq!(serde_json::to_value(mark).expect("it is JSON"), mark.as_str());
        }
    }

    #[test]
    fn an_entry_reads_back_as_it_is_written() {
        assert_eq!(serde_json::to_string(&entry(ENTRY)).expect("it is JSON"), ENTRY);
    }

    #[test]
    fn one_that_went_back_after_it_was_discarded_went_back() {
        let mut handled = Handled::default();
        handled.add_entry(&entry(ENTRY_V1), Some("a"));
        handled.add_entry(&entry(ENTRY), Some("a"));
        let marks = [2, 3, 4, 9].map(|offset| handled.mark(2, offset));
        assert_eq!(
            marks,
            [None, Some(Mark::Discarded), Some(Mark::Redriven), Some(Mark::Discarded)]
        );
        assert_eq!((handled.mark(1, 4), handled.strange_entries()), (None, 0));
    }

    #[test]
    fn entries_of_an_earlier_topic_of_the_same_name_are_not_believed() {
        let mut handled = Handled::default();
        handled.add_entry(&entry(ENTRY), Some("b"));
        assert_eq!((handled.mark(2, 3), handled.strange_entries()), (None, 1));
        for (text, id) in [(ENTRY, None), (ENTRY_V1, Some("b")), (ENTRY_V1, None)] {
            assert!(entry(text).is_about(id), "nothing speaks against it: {id:?}");
        }
    }
}
