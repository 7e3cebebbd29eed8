//! What the operator of a process is told once, whichever lane has found it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Instant;

/// Causes of dead letters that are told, of one process; the dead-letter topic has them all.
const DEAD_CAUSES_MAX: usize = 20;

/// First starts are told together, at the latest after this time.
const TELL_STARTS_AFTER: Duration = Duration::from_secs(5);

/// See the module. All of it is bounded by the number of partitions.
#[derive(Debug, Default)]
pub(crate) struct Notices(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    /// Partitions in which the group starts for the first time, above offset 0, by topic.
    late_starts: BTreeMap<(String, i32), i64>,
    late_since: Option<Instant>,
    told_starts: BTreeSet<(String, i32)>,
    /// Partitions that hold records of other groups as well.
    strangers: BTreeSet<(String, i32)>,
    /// What is wrong with the topics by now.
    topic_problems: Option<String>,
    /// Causes of dead letters that were told, by fingerprint.
    dead_causes: BTreeSet<u32>,
    /// Partitions that were owned when that was told last.
    joined_with: Option<usize>,
}

impl Notices {
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The group has no offset yet in a partition whose first records are gone.
    pub(crate) fn starts_late(&self, topic: &str, partition: i32, start: i64) {
        let mut found = self.lock();
        let key = (topic.to_owned(), partition);
        if !found.told_starts.contains(&key) {
            found.late_starts.insert(key, start);
            found.late_since.get_or_insert_with(Instant::now);
        }
    }

    /// One line for each topic with such partitions, once all of them are known.
    pub(crate) fn take_late_starts(&self, group: &str, are_all_known: bool) -> Vec<String> {
        let mut found = self.lock();
        let is_due = found.late_since.is_some_and(|at| at.elapsed() >= TELL_STARTS_AFTER);
        if !are_all_known && !is_due {
            return Vec::new();
        }
        found.late_since = None;
        let mut lines: BTreeMap<String, String> = BTreeMap::new();
        for ((topic, partition), start) in std::mem::take(&mut found.late_starts) {
            let line = lines.entry(topic.clone()).or_default();
            let comma = if line.is_empty() { "" } else { ", " };
            let _ = write!(line, "{comma}partition {partition} at {start}");
            found.told_starts.insert((topic, partition));
        }
        let line = |(topic, starts): (String, String)| {
            format!(
                "group {group} reads {topic} for the first time, and its first records are gone: \
                 it starts in {starts}"
            )
        };
        lines.into_iter().map(line).collect()
    }

    /// Whether no record of another group was found in the partition before.
    pub(crate) fn is_first_stranger(&self, topic: &str, partition: i32) -> bool {
        self.lock().strangers.insert((topic.to_owned(), partition))
    }

    /// Whether a dead letter is the first one of its cause in this process, and to be told.
    pub(crate) fn is_first_dead_letter(&self, fingerprint: u32) -> bool {
        let causes = &mut self.lock().dead_causes;
        causes.len() < DEAD_CAUSES_MAX && causes.insert(fingerprint)
    }

    /// Notes how many partitions are owned and restored; whether that is another number than was told last.
    pub(crate) fn is_news_to_own(&self, partitions: usize) -> bool {
        self.lock().joined_with.replace(partitions) != Some(partitions)
    }

    /// Notes what is wrong with the topics; whether that is news.
    pub(crate) fn note_topic_problems(&self, problems: Option<String>) -> bool {
        let mut found = self.lock();
        let is_news = found.topic_problems != problems;
        found.topic_problems = problems;
        is_news
    }

    /// What is wrong with the topics by now.
    pub(crate) fn topic_problems(&self) -> Option<String> {
        self.lock().topic_problems.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_start_on_a_topic_that_does_not_begin_at_0_is_one_line_for_each_topic() {
        let notices = Notices::default();
        for (topic, partition, start) in [("orders", 2, 9), ("orders", 0, 7), ("retry", 1, 3)] {
            notices.starts_late(topic, partition, start);
        }
        assert!(notices.take_late_starts("g", false).is_empty(), "more may come");
        let lines = notices.take_late_starts("g", true);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with("it starts in partition 0 at 7, partition 2 at 9"), "{lines:?}");
        notices.starts_late("orders", 2, 9); // it is read back before anything was committed
        assert!(notices.take_late_starts("g", true).is_empty());
    }

    #[test]
    fn a_stranger_is_told_once_for_each_partition() {
        let notices = Notices::default();
        let told = [("retry", 0), ("retry", 0), ("retry", 1), ("dlq", 0)];
        let told = told.map(|(topic, partition)| notices.is_first_stranger(topic, partition));
        assert_eq!(told, [true, false, true, true]);
    }

    #[test]
    fn the_first_dead_letter_of_each_of_a_few_causes_is_told() {
        let notices = Notices::default();
        let told = [7, 7, 8, 7].map(|cause| notices.is_first_dead_letter(cause));
        assert_eq!(told, [true, false, true, false]);
        let told = (100..1_000).filter(|cause| notices.is_first_dead_letter(*cause)).count();
        assert_eq!(told, DEAD_CAUSES_MAX - 2);
    }

    #[test]
    fn what_is_wrong_with_the_topics_is_news_once() {
        let notices = Notices::default();
        let wrong = Some("orders is compacted".to_owned());
        let news = [None, wrong.clone(), wrong, None].map(|now| notices.note_topic_problems(now));
        assert_eq!(news, [false, true, false, true]);
        assert_eq!(notices.topic_problems(), None);
    }
}
