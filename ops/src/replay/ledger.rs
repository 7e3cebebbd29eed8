//! The ledger of replays: a topic that says where the count of a group begins in each partition.
//!
//! An entry is written in the transaction that resets the group, so that either both are there or neither.
//! The last entry of a group and partition holds. Its offsets are of the topics that have their names and ids:
//! one that was deleted and made anew since is another one, and begins at 0.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use service_kit::output::note;

use crate::audit::{Begins, Topics};
use crate::connected::Connected;
use crate::dlq::redrive::Ledger;
use crate::dlq::{DlqError, Utc};

/// Version of an entry's form. A reader passes over none: it stops at one that it does not know.
pub(super) const VERSION: u32 = 2;

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
    /// By name the ids that these topics were made with; none of those that the brokers did not tell, and in
    /// version 1.
    #[serde(default)]
    pub topic_ids: BTreeMap<String, String>,
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

impl Entry {
    /// Every topic of which it knows an offset.
    fn topics(&self) -> impl Iterator<Item = &str> {
        let four = [&self.orders, &self.retry, &self.dead_letters, &self.averages];
        four.into_iter().chain(&self.outcomes).map(|(name, _)| name.as_str())
    }
}

/// The last replay of each partition of a group, by its topic of orders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replays {
    last: BTreeMap<(String, i32), Entry>,
    /// By name the ids that topics have now, where the brokers tell.
    ids: BTreeMap<String, String>,
}

impl Replays {
    /// Reads the ledger; there are no replays where there is none.
    ///
    /// # Errors
    ///
    /// Fails for brokers that are not there, and for an entry that cannot be read.
    pub(crate) fn read(connected: &Connected, topic: &str, group: &str) -> Result<Self, DlqError> {
        let mut replays = Self::default();
        let ledger = Ledger::new(connected, topic);
        ledger.each(group, |value, partition, offset| {
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
        let names: BTreeSet<&str> = replays.last.values().flat_map(Entry::topics).collect();
        replays.ids = ledger.topic_ids(names)?;
        for name in replays.made_anew() {
            note(&format!(
                "orders: entries of {topic} about {name} refer to an earlier topic of this name: \
                 they are ignored"
            ));
        }
        Ok(replays)
    }

    /// Takes in an entry, in the order of the log.
    pub fn add(&mut self, entry: Entry) {
        self.last.insert((entry.orders.0.clone(), entry.partition), entry);
    }

    /// Whether an entry is about the topic that has this name now. Where an id is not known nothing speaks
    /// against it.
    fn is_about(&self, entry: &Entry, name: &str) -> bool {
        match (entry.topic_ids.get(name), self.ids.get(name)) {
            (Some(noted), Some(now)) => noted == now,
            (None, _) | (_, None) => true,
        }
    }

    /// Topics that were made anew since the last replay that knows them.
    fn made_anew(&self) -> BTreeSet<&str> {
        let of = |entry| Entry::topics(entry).filter(move |name| !self.is_about(entry, name));
        self.last.values().flat_map(of).collect()
    }

    /// Where the count of a partition begins. A topic that the replay did not name begins at 0, and so does one
    /// that was made anew since.
    pub(crate) fn begins(&self, partition: i32, topics: &Topics) -> Begins {
        let Some(entry) = self.last.get(&(topics.main.clone(), partition)) else {
            return Begins::default();
        };
        let of = |noted: &(String, i64), name: &str| {
            if noted.0 == name && self.is_about(entry, name) { noted.1 } else { 0 }
        };
        let outcomes = match (&entry.outcomes, &topics.outcomes) {
            (_, None) => Some(0),
            (Some(noted), Some(name)) if noted.0 == *name => Some(of(noted, name)),
            (_, Some(_)) => None,
        };
        Begins {
            main: of(&entry.orders, &topics.main),
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
        let mut of_partition = self.last.values().filter(|entry| entry.partition == partition);
        let entry = of_partition.find(|entry| {
            let (topic, from) = &entry.dead_letters;
            topic == dlq_topic && offset < *from && self.is_about(entry, topic)
        })?;
        let (topic, from) = &entry.orders;
        let lies_above = origin.0 == topic && origin.1 >= *from;
        // Nobody reads an order again whose topic was deleted.
        let is_read_again = lies_above && self.is_about(entry, topic);
        Some(if is_read_again { Earlier::ReadAgain } else { Earlier::LeftOut })
    }

    /// What an audit says of them.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        let of_present = self.last.values().filter(|entry| self.is_about(entry, &entry.orders.0));
        of_present.map(|entry| {
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
            topic_ids: BTreeMap::new(),
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

    /// What is known of topics: name and id each.
    fn ids(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect()
    }

    #[test]
    fn a_topic_that_was_made_anew_since_is_another_one() {
        let noted = [("orders", "a"), ("retry", "b"), ("dlq", "c"), ("outcomes", "e")];
        let mut replays = Replays::default();
        replays.add(Entry { topic_ids: ids(&noted), ..entry(0, 3) });
        let begins = |replays: &Replays| {
            let Begins { main, retry, dead_letter, averages, outcomes } =
                replays.begins(0, &topics(Some("outcomes")));
            [Some(main), Some(retry), Some(dead_letter), Some(averages), outcomes]
        };
        let all = [3, 7, 5, 9, 11].map(Some);
        assert_eq!(begins(&replays), all, "nothing is known of now");
        replays.ids = ids(&noted);
        replays.ids.insert("averages".to_owned(), "d".to_owned());
        assert_eq!(begins(&replays), all, "and of the averages nothing was known then");
        assert_eq!((replays.made_anew().len(), replays.notes().count()), (0, 1));
        for (place, (name, _)) in [0, 1, 2, 4].into_iter().zip(noted) {
            let mut later = replays.clone();
            later.ids.insert(name.to_owned(), "another".to_owned());
            let mut expected = all;
            expected[place] = Some(0);
            assert_eq!(begins(&later), expected, "{name}");
            assert_eq!(later.made_anew(), BTreeSet::from([name]));
        }
    }

    #[test]
    fn a_dead_letter_of_another_topic_is_of_no_earlier_count_and_a_lost_order_is_not_read_again() {
        let mut replays = Replays::default();
        replays.add(Entry { topic_ids: ids(&[("orders", "a"), ("dlq", "c")]), ..entry(0, 3) });
        for (orders, dlq, expected) in [
            ("a", "c", Some(Earlier::ReadAgain)),
            ("b", "c", Some(Earlier::LeftOut)),
            ("a", "d", None),
            ("b", "d", None),
        ] {
            replays.ids = ids(&[("orders", orders), ("dlq", dlq)]);
            assert_eq!(replays.earlier("dlq", 0, 4, ("orders", 3)), expected, "{orders} {dlq}");
        }
    }

    const ENTRY_V1: &str = r#"{"version":1,"replay_id":"id","group":"g","partition":2,"orders":["orders",3],"retry":["retry",7],"dead_letters":["dlq",5],"averages":["averages",9],"outcomes":["outcomes",11],"to":"earliest","at_ms":0,"by":"somebody"}"#;

    #[test]
    fn an_entry_is_read_as_it_was_written_and_one_of_version_1_as_one_without_ids() {
        let written = Entry { topic_ids: ids(&[("orders", "a")]), ..entry(2, 3) };
        let text = serde_json::to_string(&written).expect("JSON");
        assert_eq!(serde_json::from_str::<Entry>(&text).expect("an entry"), written);
        assert!(text.contains(r#""topic_ids":{"orders":"a"}"#), "{text}");
        let old: Entry = serde_json::from_str(ENTRY_V1).expect("an entry");
        assert_eq!(old, Entry { version: 1, ..entry(2, 3) });
    }
}
