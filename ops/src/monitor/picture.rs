//! Everything that is known of the cluster at one moment, as a value.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_io::cluster::{Layout, PartitionLayout};

use super::brokers::Seen;
use super::dead::DeadLetters;
use super::rates::Rates;
use crate::lag::report::GroupLag;
use crate::tail::Place;

/// Topics that Kafka keeps for itself begin so.
const INTERNAL: &str = "__";

/// What is missing when nothing answers.
pub(super) const BROKERS: &str = "brokers";

/// Something that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unavailable {
    pub(super) what: String,
    /// In epoch milliseconds.
    pub(super) since_ms: i64,
    pub(super) why: String,
}

/// Notes whether something answers: it is unavailable since it was first found so, until it answers.
pub(super) fn note(
    unavailable: &mut Vec<Unavailable>,
    what: &str,
    answer: Result<(), String>,
    at_ms: i64,
) {
    let known = unavailable.iter().position(|away| away.what == what);
    match (answer, known) {
        (Ok(()), Some(at)) => drop(unavailable.remove(at)),
        (Ok(()), None) => {}
        (Err(why), Some(at)) => unavailable[at].why = why,
        (Err(why), None) => {
            unavailable.push(Unavailable { what: what.to_owned(), since_ms: at_ms, why });
        }
    }
}

/// What is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Picture {
    /// Brokers as the user named them.
    pub(super) servers: String,
    /// When it was so, in epoch milliseconds.
    pub(super) at_ms: i64,
    pub(super) layout: Arc<Layout>,
    pub(super) brokers: Vec<Seen>,
    pub(super) ends: BTreeMap<Place, i64>,
    pub(super) rates: Rates,
    pub(super) groups: Vec<GroupLag>,
    /// Lag of each group in the last looks.
    pub(super) group_trends: BTreeMap<String, Vec<u64>>,
    /// The same of each of its partitions.
    pub(super) trends: BTreeMap<(String, Place), Vec<u64>>,
    pub(super) dead_topic: String,
    pub(super) dead: DeadLetters,
    pub(super) unavailable: Vec<Unavailable>,
    /// No record was read yet: what waits in retry and how old lag is comes next.
    pub(super) is_sketch: bool,
}

/// Whether fewer brokers hold a partition than should.
pub(super) fn is_under_replicated(partition: &PartitionLayout) -> bool {
    partition.in_sync.len() < partition.replicas.len()
}

/// A picture that is older is not shown as if it were so now.
const STALE_MS: i64 = 3_000;

impl Picture {
    /// The picture as it is to be shown now, where that is another than at its own time: a question
    /// that has no answer yet is told while it waits.
    pub(super) fn stale(&self, now_ms: i64, interval_ms: i64) -> Option<Self> {
        if now_ms - self.at_ms <= STALE_MS + interval_ms {
            return None;
        }
        let mut stale = self.clone();
        if !stale.unavailable.iter().any(|away| away.what == BROKERS) {
            note(&mut stale.unavailable, BROKERS, Err("no answer yet".to_owned()), self.at_ms);
        }
        stale.at_ms = now_ms;
        Some(stale)
    }

    /// Topics that are not Kafka's own.
    pub(super) fn topics(&self) -> impl Iterator<Item = (&String, &Vec<PartitionLayout>)> {
        self.layout.topics.iter().filter(|(name, _)| !name.starts_with(INTERNAL))
    }

    /// All partitions, also of Kafka's own topics.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &PartitionLayout> {
        self.layout.topics.values().flatten()
    }

    /// Offsets that a topic has handed out.
    pub(super) fn written(&self, topic: &str, partitions: &[PartitionLayout]) -> u64 {
        let end = |found: &PartitionLayout| self.ends.get(&(topic.to_owned(), found.partition));
        let sum: i64 = partitions.iter().filter_map(end).sum();
        u64::try_from(sum).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_picture_is_shown_as_one() {
        let picture = Picture { at_ms: 10_000, ..Picture::default() };
        assert!(picture.stale(13_000, 1_000).is_none() && picture.stale(14_000, 1_000).is_none());
        let stale = picture.stale(14_001, 1_000).expect("it is old");
        let away = &stale.unavailable[0];
        assert_eq!((away.what.as_str(), away.since_ms, stale.at_ms), (BROKERS, 10_000, 14_001));
        let told = stale.stale(99_000, 0).expect("it is old");
        assert_eq!(told.unavailable, stale.unavailable, "since the first time");
    }

    #[test]
    fn what_does_not_answer_is_unavailable_since_the_first_time_and_until_it_answers() {
        let mut unavailable = Vec::new();
        let mut after = |what: &str, answer: Result<(), &str>, at_ms: i64| {
            note(&mut unavailable, what, answer.map_err(str::to_owned), at_ms);
            let told = unavailable.iter();
            told.map(|away| format!("{} {} {}", away.what, away.since_ms, away.why))
                .collect::<Vec<_>>()
        };
        assert!(after("brokers", Ok(()), 1).is_empty());
        assert_eq!(after("brokers", Err("refused"), 2), ["brokers 2 refused"]);
        assert_eq!(after("brokers", Err("timed out"), 3), ["brokers 2 timed out"]);
        assert_eq!(after("groups", Err("x"), 4), ["brokers 2 timed out", "groups 4 x"]);
        assert_eq!(after("brokers", Ok(()), 5), ["groups 4 x"]);
        assert_eq!(after("brokers", Err("again"), 6), ["groups 4 x", "brokers 6 again"]);
    }
}
