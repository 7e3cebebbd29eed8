//! What `orders lag check` finds.

use std::time::Duration;

use super::judge::Word;
use super::report::PartitionLag;

/// Limits for each partition; without any of them the words decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Limits {
    pub(super) records_max: Option<u64>,
    pub(super) age_max: Option<Duration>,
}

impl Limits {
    pub(super) const fn is_empty(&self) -> bool {
        self.records_max.is_none() && self.age_max.is_none()
    }

    /// What is wrong with a partition, in words.
    pub(super) fn finding(&self, found: &PartitionLag) -> Option<String> {
        let place = format!("{}/{} of {}", found.topic, found.partition, found.group);
        if self.is_empty() {
            let word = found.verdict.word.filter(|word| *word >= Word::Stalled)?;
            let why = found.verdict.why.as_deref().unwrap_or_default();
            return Some(format!("{place} is {word}: {why}"));
        }
        let Some(lag) = found.lag() else {
            return Some(format!("{place}: the partition has no leader, so its lag is unknown"));
        };
        let mut passed = Vec::new();
        if let Some(max) = self.records_max.filter(|max| lag > *max) {
            let records = if lag == 1 { "record" } else { "records" };
            passed.push(format!("{lag} {records}, more than {max}"));
        }
        if let Some(max) = self.age_max {
            match found.lag_seconds() {
                Some(seconds) if seconds > max.as_secs_f64() => {
                    passed.push(format!("{seconds:.1} s, more than {} s", max.as_secs_f64()));
                }
                // A record that is there and cannot be read is no proof that all is well.
                None => passed.push("an unknown age".to_owned()),
                Some(_) => {}
            }
        }
        (!passed.is_empty()).then(|| format!("{place} has a lag of {}", passed.join(" and ")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::Verdict;
    use super::super::report::tests::partition;
    use super::*;

    #[test]
    fn a_limit_is_passed_by_more_than_it_and_the_partition_is_named() {
        let limits = |records: Option<u64>, seconds: Option<u64>| Limits {
            records_max: records,
            age_max: seconds.map(Duration::from_secs),
        };
        let mut found = partition("orders", 2, 4, 9);
        found.oldest_ms = Some(2_500);
        for (records, seconds, expected) in [
            (Some(5), None, None),
            (Some(4), None, Some("orders/2 of g has a lag of 5 records, more than 4")),
            (None, Some(3), None),
            (None, Some(2), Some("orders/2 of g has a lag of 2.5 s, more than 2 s")),
            (
                Some(0),
                Some(1),
                Some("orders/2 of g has a lag of 5 records, more than 0 and 2.5 s, more than 1 s"),
            ),
        ] {
            let finding = limits(records, seconds).finding(&found);
            assert_eq!(finding.as_deref(), expected, "{records:?} {seconds:?}");
        }
        found.end = None;
        assert!(limits(Some(5), None).finding(&found).is_some(), "what is not known is a finding");
        let mut unread = partition("orders", 2, 4, 9);
        assert!(limits(None, Some(9)).finding(&unread).is_some());
        unread.committed = Some(9);
        assert_eq!(limits(Some(0), Some(0)).finding(&unread), None);
    }

    #[test]
    fn without_limits_the_words_decide() {
        for (word, is_finding) in [
            (None, false),
            (Some(Word::Ok), false),
            (Some(Word::Warn), false),
            (Some(Word::Stalled), true),
            (Some(Word::Error), true),
        ] {
            let verdict = Verdict { word, why: word.map(|_| "it is so".to_owned()) };
            let found = PartitionLag { verdict, ..partition("orders", 2, 4, 9) };
            let finding = Limits::default().finding(&found);
            assert_eq!(finding.is_some(), is_finding, "{word:?}: {finding:?}");
        }
    }
}
