//! The ledger of replays: a topic that says where the count of a group begins in each partition.
//!
//! An entry is written in the transaction that resets the group, so that either both are there or neither.
//! The last entry of a group and partition holds.

use std::collections::BTreeMap;

use kafka_io::client_config::KafkaSettings;
use serde::{Deserialize, Serialize};

use crate::audit::{Begins, Topics};
use crate::dlq::redrive::Ledger;
use crate::dlq::{DlqError, Utc};

/// Version of an entry's form. A reader passes over none: it stops at one that it does not know.
pub(super) const VERSION: u32 = 1;

/// What a replay notes for one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Form of the entry.
    pub version: u32,
    /// The replay.
    pub replay_id: String,
    /// Group that counts anew.
    pub group: String,
    /// Partition.
    pub partition: i32,
    /// Topic of orders, and the first offset that counts.
    pub orders: (String, i64),
    /// Retry topic, and the first offset that counts.
    pub retry: (String, i64),
    /// Topic of dead letters, and the first offset of the new count.
    pub dead_letters: (String, i64),
    /// Topic of the averages, and the first offset of the new count.
    pub averages: (String, i64),
    /// Outcome log, and the first offset of the new count; none where it was not named.
    pub outcomes: Option<(String, i64)>,
    /// The point as it was written.
    pub to: String,
    /// When, in epoch milliseconds.
    pub at_ms: i64,
    /// Who ran it.
    pub by: String,
}

/// What a replay means for a dead letter of an earlier count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// The present count reads its order again.
    ReadAgain,
    /// The present count begins above its order.
    LeftOut,
}

/// The last replay of each partition of a group, by its topic of orders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replays(BTreeMap<(String, i32), Entry>);

impl Replays {
    /// Reads the ledger; there are no replays where there is none.
    ///
    /// # Errors
    ///
    /// Fails for brokers that are not there, and for an entry that cannot be read.
    pub fn read(kafka: &KafkaSettings, topic: &str, group: &str) -> Result<Self, DlqError> {
        let mut replays = Self::default();
        Ledger::new(kafka, topic)?.each(group, |value, partition, offset| {
            let place = format!("{topic}/{partition}@{offset}");
            let entry: Entry =
                serde_json::from_slice(value.unwrap_or_default()).map_err(|error| {
                    DlqError::Ledger(format!("{place} is not a ledger entry: {error}"))
                })?;
            if entry.version > VERSION {
                let version = entry.version;
                return Err(DlqError::Ledger(format!(
                    "{place} has version {version}, which this program does not know"
                )));
            }
            replays.add(entry);
            Ok(())
        })?;
        Ok(replays)
    }

    /// Takes in an entry, in the order of the log.
    pub fn add(&mut self, entry: Entry) {
        self.0.insert((entry.orders.0.clone(), entry.partition), entry);
    }

    /// Where the count of a partition begins. A topic that the replay did not name begins at 0.
    pub(crate) fn begins(&self, partition: i32, topics: &Topics) -> Begins {
        let Some(entry) = self.0.get(&(topics.main.clone(), partition)) else {
            return Begins::default();
        };
        let of = |noted: &(String, i64), name: &str| if noted.0 == name { noted.1 } else { 0 };
        let outcomes = match (&entry.outcomes, &topics.outcomes) {
            (_, None) => Some(0),
            (Some((noted, at)), Some(name)) if noted == name => Some(*at),
            (_, Some(_)) => None,
        };
        Begins {
            main: entry.orders.1,
            retry: of(&entry.retry, &topics.retry),
            dead_letter: of(&entry.dead_letters, &topics.dead_letter),
            averages: of(&entry.averages, &topics.averages),
            outcomes,
        }
    }

    /// What became of the order of a dead letter of the group that is of an earlier count; none for those
    /// of the present one. `origin` is topic and offset of the order.
    #[must_use]
    pub fn earlier(
        &self,
        dlq_topic: &str,
        partition: i32,
        offset: i64,
        origin: (&str, i64),
    ) -> Option<Earlier> {
        let mut of_partition = self.0.values().filter(|entry| entry.partition == partition);
        let entry = of_partition.find(|entry| {
            let (topic, from) = &entry.dead_letters;
            topic == dlq_topic && offset < *from
        })?;
        let (topic, from) = &entry.orders;
        let is_read_again = origin.0 == topic && origin.1 >= *from;
        Some(if is_read_again { Earlier::ReadAgain } else { Earlier::LeftOut })
    }

    /// What an audit says of them.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        self.0.values().map(|entry| {
            let Entry { partition, orders: (topic, from), replay_id, to, at_ms, .. } = entry;
            let time = Utc(Some(*at_ms)).to_the_second();
            format!(
                "{topic}/{partition}: the count begins at {from}, with the replay {replay_id} to {to} of \
                 {time} (UTC)"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(outcomes: Option<&str>) -> Topics {
        Topics {
            main: "orders".to_owned(),
            retry: "retry".to_owned(),
            dead_letter: "dlq".to_owned(),
            averages: "averages".to_owned(),
            outcomes: outcomes.map(str::to_owned),
        }
    }

    fn entry(partition: i32, from: i64) -> Entry {
        let of = |name: &str, at| (name.to_owned(), at);
        Entry {
            version: VERSION,
            replay_id: "id".to_owned(),
            group: "g".to_owned(),
            partition,
            orders: of("orders", from),
            retry: of("retry", 7),
            dead_letters: of("dlq", 5),
            averages: of("averages", 9),
            outcomes: Some(of("outcomes", 11)),
            to: "earliest".to_owned(),
            at_ms: 0,
            by: "somebody".to_owned(),
        }
    }

    #[test]
    fn the_last_replay_of_a_partition_says_where_its_count_begins() {
        let mut replays = Replays::default();
        assert_eq!(replays.begins(0, &topics(None)), Begins::default());
        replays.add(entry(0, 3));
        replays.add(entry(0, 4));
        let begins = Begins { main: 4, retry: 7, dead_letter: 5, averages: 9, outcomes: Some(11) };
        assert_eq!(replays.begins(0, &topics(Some("outcomes"))), begins);
        assert_eq!(replays.begins(1, &topics(Some("outcomes"))), Begins::default());
        assert_eq!(replays.begins(0, &topics(None)).outcomes, Some(0));
        assert_eq!(replays.begins(0, &topics(Some("another"))).outcomes, None, "not noted");
        let other = Topics { main: "clicks".to_owned(), ..topics(None) };
        assert_eq!(replays.begins(0, &other), Begins::default());
    }

    #[test]
    fn a_dead_letter_below_the_mark_is_of_an_earlier_count() {
        let mut replays = Replays::default();
        replays.add(entry(0, 3));
        let earlier = |topic, p, offset, origin| replays.earlier(topic, p, offset, origin);
        assert_eq!(earlier("dlq", 0, 4, ("orders", 3)), Some(Earlier::ReadAgain));
        for left_out in [("orders", 2), ("retry", 9)] {
            assert_eq!(earlier("dlq", 0, 4, left_out), Some(Earlier::LeftOut), "{left_out:?}");
        }
        for (topic, partition, offset) in [("dlq", 0, 5), ("dlq", 1, 4), ("x", 0, 4)] {
            assert_eq!(earlier(topic, partition, offset, ("orders", 3)), None);
        }
        // Another topic of orders of the same group changes nothing.
        replays.add(Entry { orders: ("clicks".to_owned(), 9), ..entry(0, 0) });
        assert_eq!(replays.begins(0, &topics(None)).main, 3);
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let text = serde_json::to_string(&entry(2, 3)).expect("JSON");
        assert_eq!(serde_json::from_str::<Entry>(&text).expect("an entry"), entry(2, 3));
        assert!(text.contains(r#""orders":["orders",3]"#), "{text}");
    }
}
