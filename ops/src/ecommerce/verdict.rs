//! Whether the records of a key were read by one worker, in their order.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::events::{Event, Topic};

/// Violations that are told; further ones are counted.
const VIOLATIONS_MAX: usize = 10;

/// A record that a worker has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its topic.
    pub topic: Topic,
    /// Its partition, and so the worker that read it.
    pub partition: i32,
    /// Its key.
    pub key: String,
    /// The number of its event.
    pub number: u64,
}

/// What the worker of one partition has read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Topic.
    pub topic: Topic,
    /// Partition.
    pub partition: i32,
    /// Records of this run.
    pub events: usize,
    /// Their keys.
    pub keys: usize,
    /// Whether the records of each key came in the order in which they were sent.
    pub in_order: bool,
}

/// Something that breaks the property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Topic.
    pub topic: Topic,
    /// Key.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether the records of every key lie in one partition and were read in their order, each once.
    pub ok: bool,
    /// Events that were published.
    pub events: usize,
    /// Keys of all topics.
    pub keys: usize,
    /// Those of them that break it.
    pub broken_keys: usize,
    /// A row for each partition.
    pub partitions: Vec<Row>,
    /// The first that break it.
    pub violations: Vec<Violation>,
    /// How many there are in all; a key may have more than one.
    pub violation_count: usize,
}

impl Verdict {
    /// Compares what was published with what the workers read: each partition's records in the order in which
    /// its worker read them.
    #[must_use]
    pub fn of(published: &[Event], partitions: &[(Topic, i32)], seen: &[Seen]) -> Self {
        let mut by_key: BTreeMap<(Topic, &str), Vec<&Seen>> = BTreeMap::new();
        for event in published {
            by_key.entry((event.topic, &event.key)).or_default();
        }
        for record in seen {
            by_key.entry((record.topic, &record.key)).or_default().push(record);
        }
        let mut sent: BTreeMap<(Topic, &str), BTreeSet<u64>> = BTreeMap::new();
        for event in published {
            sent.entry((event.topic, &event.key)).or_default().insert(event.number);
        }
        let (mut violations, mut broken_keys) = (Vec::new(), 0);
        for ((topic, key), records) in &by_key {
            let sent = sent.get(&(*topic, *key)).cloned().unwrap_or_default();
            let before = violations.len();
            violations.extend(faults(&sent, records).map(|what| Violation {
                topic: *topic,
                key: (*key).to_owned(),
                what,
            }));
            broken_keys += usize::from(violations.len() > before);
        }
        let violation_count = violations.len();
        violations.truncate(VIOLATIONS_MAX);
        Self {
            ok: violation_count == 0,
            events: published.len(),
            keys: by_key.len(),
            broken_keys,
            partitions: partitions.iter().map(|place| row(*place, seen)).collect(),
            violations,
            violation_count,
        }
    }
}

/// What is wrong with the records of one key.
fn faults(sent: &BTreeSet<u64>, records: &[&Seen]) -> impl Iterator<Item = String> {
    let partitions: BTreeSet<i32> = records.iter().map(|record| record.partition).collect();
    let spread = (partitions.len() > 1).then(|| {
        let list: Vec<String> = partitions.iter().map(i32::to_string).collect();
        format!("its records are in partitions {}", list.join(", "))
    });
    let disordered = (!is_in_order(records))
        .then(|| "its records were not read in the order in which they were sent".to_owned());
    let read: BTreeSet<u64> = records.iter().map(|record| record.number).collect();
    let missing = sent.difference(&read).count();
    let missing = (missing > 0).then(|| format!("{missing} of its records were not read"));
    let repeated = records.len() - read.len();
    let repeated = (repeated > 0).then(|| format!("{repeated} of its records were read again"));
    [spread, disordered, missing, repeated].into_iter().flatten()
}

/// Whether the records of each partition come in the order of their numbers.
fn is_in_order(records: &[&Seen]) -> bool {
    let mut last: BTreeMap<i32, u64> = BTreeMap::new();
    records.iter().all(|record| {
        let before = last.insert(record.partition, record.number);
        before.is_none_or(|before| before <= record.number)
    })
}

fn row((topic, partition): (Topic, i32), seen: &[Seen]) -> Row {
    let is_here = |record: &&Seen| record.topic == topic && record.partition == partition;
    let mut by_key: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
    let mut events = 0;
    for record in seen.iter().filter(is_here) {
        by_key.entry(&record.key).or_default().push(record);
        events += 1;
    }
    let in_order = by_key.values().all(|records| is_in_order(records));
    Row { topic, partition, events, keys: by_key.len(), in_order }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecommerce::events::of_purchases;

    const PARTITIONS: [(Topic, i32); 6] = [
        (Topic::Orders, 0),
        (Topic::Orders, 1),
        (Topic::Payments, 0),
        (Topic::Payments, 1),
        (Topic::Inventory, 0),
        (Topic::Inventory, 1),
    ];

    /// As workers read it where keys with a last odd byte lie in partition 1.
    fn read(published: &[Event]) -> Vec<Seen> {
        let seen = |event: &Event| Seen {
            topic: event.topic,
            partition: i32::from(event.key.bytes().last().unwrap_or(0) % 2),
            key: event.key.clone(),
            number: event.number,
        };
        published.iter().map(seen).collect()
    }

    fn verdict(change: impl FnOnce(&mut Vec<Seen>)) -> Verdict {
        let published = of_purchases(24);
        let mut seen = read(&published);
        change(&mut seen);
        Verdict::of(&published, &PARTITIONS, &seen)
    }

    /// The first two records of customer c-0.
    fn of_one_key(seen: &[Seen]) -> (usize, usize) {
        let mut at = (0..seen.len()).filter(|at| seen[*at].key == "c-0");
        (at.next().expect("it bought"), at.next().expect("twice"))
    }

    #[test]
    fn each_key_in_one_partition_in_its_order_is_right() {
        let right = verdict(|_| ());
        assert!(right.ok && right.violations.is_empty(), "{right:?}");
        let rows: usize = right.partitions.iter().map(|row| row.events).sum();
        let keys: usize = right.partitions.iter().map(|row| row.keys).sum();
        assert_eq!((rows, keys), (right.events, right.keys));
        assert!(right.partitions.iter().all(|row| row.in_order));
    }

    #[test]
    fn a_key_that_is_spread_disordered_lost_or_repeated_is_told() {
        type Change = fn(&mut Vec<Seen>);
        let cases: [(Change, &str); 4] = [
            (
                |seen| {
                    let (_, b) = of_one_key(seen);
                    seen[b].partition = 1;
                },
                "partitions 0, 1",
            ),
            (
                |seen| {
                    let (a, b) = of_one_key(seen);
                    (seen[a].number, seen[b].number) = (seen[b].number, seen[a].number);
                },
                "not read in the order",
            ),
            (
                |seen| {
                    let (a, _) = of_one_key(seen);
                    seen.remove(a);
                },
                "1 of its records were not read",
            ),
            (
                |seen| {
                    let (a, _) = of_one_key(seen);
                    seen.insert(a, seen[a].clone());
                },
                "read again",
            ),
        ];
        for (change, expected) in cases {
            let wrong = verdict(change);
            let [violation] = wrong.violations.as_slice() else { panic!("{wrong:?}") };
            let told = (wrong.ok, wrong.broken_keys, violation.key.as_str());
            assert_eq!(told, (false, 1, "c-0"));
            assert!(violation.what.contains(expected), "{expected}: {violation:?}");
        }
    }

    #[test]
    fn an_order_that_is_broken_is_seen_at_its_partition_and_only_some_violations_are_told() {
        let reversed = verdict(|seen| seen.reverse());
        assert!(reversed.partitions.iter().any(|row| !row.in_order));
        assert_eq!(reversed.violations.len(), VIOLATIONS_MAX);
        assert!(reversed.violation_count > VIOLATIONS_MAX);
        let nothing = verdict(Vec::clear);
        assert_eq!((nothing.ok, nothing.violation_count), (false, nothing.keys));
    }
}
