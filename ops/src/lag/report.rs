//! What is known of a group's lag, as values and as the JSON that scripts read.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_io::cluster::Group;
use serde::Serialize;
use serde_json::{Value, json};

use super::judge::{History, Observation, Verdict, Word};
use super::waiting::Left;
use crate::tail::Place;

/// What a topic is for its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Every record above the commit position is to be settled now.
    Main,
    /// Records wait for their due time: only overdue ones are lag.
    Retry,
}

/// What is known of one partition for one group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PartitionLag {
    pub(crate) group: String,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) role: Role,
    /// Commit position; none where nothing was committed.
    pub(crate) committed: Option<i64>,
    /// First offset; asked for only where nothing was committed.
    pub(crate) start: Option<i64>,
    /// End offset; none without a leader.
    pub(crate) end: Option<i64>,
    /// Metadata of the commit.
    pub(crate) metadata: String,
    /// Offsets above the position that are settled.
    pub(crate) settled_above: i64,
    /// What is left in a partition of a retry topic.
    pub(crate) left: Option<Left>,
    /// Age of the oldest record that could be settled and is not, in milliseconds.
    pub(crate) oldest_ms: Option<i64>,
    /// When that was so, in epoch milliseconds.
    pub(crate) now_ms: i64,
    /// The member that owns it.
    pub(crate) owner: Option<String>,
    pub(crate) verdict: Verdict,
}

impl PartitionLag {
    /// A partition of which nothing but its commit position is known.
    pub(crate) fn at(group: &str, (topic, partition): &Place, committed: Option<i64>) -> Self {
        Self {
            group: group.to_owned(),
            topic: topic.clone(),
            partition: *partition,
            role: Role::Main,
            committed,
            start: None,
            end: None,
            metadata: String::new(),
            settled_above: 0,
            left: None,
            oldest_ms: None,
            now_ms: 0,
            owner: None,
            verdict: Verdict::default(),
        }
    }

    pub(crate) fn place(&self) -> Place {
        (self.topic.clone(), self.partition)
    }

    /// Where the group goes on; where it has committed nothing, at the first record.
    pub(crate) fn position_or_start(&self) -> i64 {
        self.committed.or(self.start).unwrap_or(0)
    }

    /// Records that could be settled and are not; none where the end is not known.
    pub(crate) fn lag(&self) -> Option<u64> {
        let end = self.end?;
        Some(match (self.role, self.left) {
            (Role::Retry, left) => left.unwrap_or_default().overdue,
            (Role::Main, _) => u64::try_from(end - self.position_or_start()).unwrap_or(0),
        })
    }

    /// Age of the oldest record that could be settled and is not, in seconds; 0 where there is none.
    pub(crate) fn lag_seconds(&self) -> Option<f64> {
        if self.lag()? == 0 {
            return Some(0.0);
        }
        #[expect(clippy::cast_precision_loss, reason = "an age has fewer digits")]
        self.oldest_ms.map(|ms| ms as f64 / 1000.0)
    }

    /// Records that wait for their due time on purpose.
    pub(crate) fn waiting(&self) -> Option<u64> {
        self.left.filter(|_| self.role == Role::Retry).map(|left| left.waiting)
    }

    /// When the first of them is due, in epoch milliseconds.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.left.and_then(|left| left.next_due_at_ms)
    }

    /// Time to that, in seconds.
    pub(crate) fn waits_for(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a wait has fewer digits")]
        self.next_due_ms().map(|due_at_ms| (due_at_ms - self.now_ms).max(0) as f64 / 1000.0)
    }

    /// Takes in what is left in retry. A record that no header gives a due time was due when it was written.
    pub(crate) fn set_left(&mut self, left: Left, now_ms: i64) {
        let due = left.oldest_due_at_ms.filter(|due_at_ms| *due_at_ms > 0);
        self.oldest_ms = due.map(|due_at_ms| (now_ms - due_at_ms).max(0));
        self.left = Some(left);
        self.now_ms = now_ms;
    }

    /// The line of JSON about it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "group": self.group,
            "topic": self.topic,
            "partition": self.partition,
            "role": self.role,
            "committed": self.committed,
            "end": self.end,
            "lag": self.lag(),
            "lag_seconds": self.lag_seconds(),
            "waiting": self.waiting(),
            "next_due_ms": self.next_due_ms(),
            "is_at_least": self.left.is_some_and(|left| left.is_at_least),
            "owner": self.owner,
            "status": self.verdict.word,
            "why": self.verdict.why,
        })
    }
}

/// What is known of one group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GroupLag {
    pub(crate) group: Group,
    /// By topic and partition.
    pub(crate) partitions: Vec<PartitionLag>,
    /// The worst word of its partitions; none before all are judged.
    pub(crate) word: Option<Word>,
}

impl GroupLag {
    pub(crate) fn lag(&self) -> u64 {
        self.partitions.iter().filter_map(PartitionLag::lag).sum()
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.partitions.iter().filter_map(PartitionLag::waiting).sum()
    }

    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.partitions.iter().filter_map(PartitionLag::next_due_ms).min()
    }

    /// The object of JSON about it.
    pub(crate) fn json(&self) -> Value {
        let partitions: Vec<Value> = self.partitions.iter().map(PartitionLag::json).collect();
        json!({
            "group": self.group.name,
            "state": self.group.state,
            "members": self.group.members.len(),
            "status": self.word,
            "lag": self.lag(),
            "waiting": self.waiting(),
            "next_due_ms": self.next_due_ms(),
            "partitions": partitions,
        })
    }
}

/// The looks at all partitions within a window.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    window: Duration,
    histories: BTreeMap<(String, Place), History>,
}

impl Judge {
    pub(crate) const fn new(window: Duration) -> Self {
        Self { window, histories: BTreeMap::new() }
    }

    /// Takes in one more look, and says how each partition does.
    pub(crate) fn judge(&mut self, groups: &mut [GroupLag], at_ms: i64) {
        let all = groups.iter().flat_map(|group| &group.partitions);
        let seen: std::collections::BTreeSet<(String, Place)> =
            all.map(|found| (found.group.clone(), found.place())).collect();
        self.histories.retain(|key, _| seen.contains(key));
        for group in groups {
            let members = group.group.members.len();
            for found in &mut group.partitions {
                let key = (found.group.clone(), found.place());
                let history =
                    self.histories.entry(key).or_insert_with(|| History::new(self.window));
                history.add(Observation {
                    at_ms,
                    position: found.committed.unwrap_or(-1),
                    settled_above: found.settled_above,
                    lag: found.lag(),
                });
                found.verdict = history.judge(members);
            }
            group.word = worst(&group.partitions);
        }
    }

    /// Lags of one partition over the window, in the order of the looks.
    pub(crate) fn lags(&self, found: &PartitionLag) -> Vec<u64> {
        let history = self.histories.get(&(found.group.clone(), found.place()));
        history.map(|history| history.lags().collect()).unwrap_or_default()
    }
}

/// The worst word is certain as soon as one is an error; anything better only when all are judged.
fn worst(partitions: &[PartitionLag]) -> Option<Word> {
    let words = || partitions.iter().map(|found| found.verdict.word);
    let worst = words().flatten().max().unwrap_or(Word::Ok);
    let is_whole = words().all(|word| word.is_some());
    (is_whole || worst == Word::Error).then_some(worst)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A partition of the group `g` as a look finds it.
    pub(crate) fn partition(topic: &str, number: i32, committed: i64, end: i64) -> PartitionLag {
        let place = (topic.to_owned(), number);
        PartitionLag { end: Some(end), ..PartitionLag::at("g", &place, Some(committed)) }
    }

    /// The same in a retry topic.
    pub(crate) fn retry(number: i32, left: Left) -> PartitionLag {
        let mut found = partition("orders-retry", number, 10, 20);
        found.role = Role::Retry;
        found.set_left(left, 10_000);
        found
    }

    #[test]
    fn a_record_that_waits_for_its_due_time_is_no_lag_and_an_overdue_one_is() {
        let waits = Left { waiting: 7, next_due_at_ms: Some(12_000), ..Left::default() };
        let found = retry(0, waits);
        assert_eq!((found.lag(), found.lag_seconds()), (Some(0), Some(0.0)));
        assert_eq!((found.waiting(), found.next_due_ms()), (Some(7), Some(12_000)));
        let late = Left { overdue: 2, oldest_due_at_ms: Some(8_500), ..waits };
        let found = retry(0, late);
        assert_eq!((found.lag(), found.lag_seconds()), (Some(2), Some(1.5)));
        assert_eq!(found.waiting(), Some(7));
    }

    #[test]
    fn lag_counts_from_the_commit_position_and_without_one_from_the_first_record() {
        let table = [
            (Some(4), None, Some(9), Some(5)),
            (Some(9), None, Some(9), Some(0)),
            (None, Some(2), Some(9), Some(7)),
            (Some(4), None, None, None),
            (Some(12), None, Some(9), Some(0)),
        ];
        for (committed, start, end, lag) in table {
            let place = ("orders".to_owned(), 0);
            let found = PartitionLag { start, end, ..PartitionLag::at("g", &place, committed) };
            assert_eq!(found.lag(), lag, "{committed:?} {start:?} {end:?}");
        }
    }

    #[test]
    fn the_age_is_that_of_the_oldest_record_and_0_without_one() {
        let mut found = partition("orders", 0, 4, 9);
        assert_eq!(found.lag_seconds(), None, "it was not read yet");
        found.oldest_ms = Some(2_500);
        assert_eq!(found.lag_seconds(), Some(2.5));
        found.committed = Some(9);
        assert_eq!(found.lag_seconds(), Some(0.0));
    }

    #[test]
    fn a_group_is_as_bad_as_its_worst_partition() {
        let with = |words: &[Option<Word>]| -> Vec<PartitionLag> {
            let of = |word: &Option<Word>| PartitionLag {
                verdict: Verdict { word: *word, why: None },
                ..partition("orders", 0, 0, 0)
            };
            words.iter().map(of).collect()
        };
        use Word::{Error, Ok, Stalled, Warn};
        for (words, expected) in [
            (&[][..], Some(Ok)),
            (&[Some(Ok), Some(Ok)], Some(Ok)),
            (&[Some(Ok), Some(Warn)], Some(Warn)),
            (&[Some(Stalled), Some(Warn)], Some(Stalled)),
            (&[Some(Stalled), None], None),
            (&[Some(Error), None], Some(Error)),
        ] {
            assert_eq!(worst(&with(words)), expected, "{words:?}");
        }
    }

    #[test]
    fn a_group_that_stands_still_is_stalled_after_the_window_and_no_sooner() {
        let group = Group { members: vec![Default::default()], ..Group::default() };
        let mut judge = Judge::new(Duration::from_secs(2));
        for (at_ms, expected) in [(0, None), (1_000, None), (2_000, Some(Word::Stalled))] {
            let partitions = vec![partition("orders", 0, 4, 9), partition("orders", 1, 4, 4)];
            let mut groups = vec![GroupLag { group: group.clone(), partitions, word: None }];
            judge.judge(&mut groups, at_ms);
            assert_eq!(groups[0].word, expected, "after {at_ms} ms");
            let idle = &groups[0].partitions[1];
            assert_eq!(idle.verdict.word, Some(Word::Ok), "nothing waits there");
        }
        assert_eq!(judge.lags(&partition("orders", 0, 4, 9)), [5, 5, 5]);
    }

    #[test]
    fn the_json_has_the_names_that_scripts_read() {
        let mut found =
            retry(2, Left { waiting: 3, next_due_at_ms: Some(12_000), ..Left::default() });
        found.verdict.word = Some(Word::Ok);
        let expected = json!({
            "group": "g", "topic": "orders-retry", "partition": 2, "role": "retry", "committed": 10,
            "end": 20, "lag": 0, "lag_seconds": 0.0, "waiting": 3, "next_due_ms": 12_000,
            "is_at_least": false, "owner": null, "status": "OK", "why": null,
        });
        assert_eq!(found.json(), expected);
    }
}
