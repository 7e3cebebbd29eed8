//! Records a second of each topic, from where its partitions end.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::tail::Place;

/// A rate is that of so long a time: consumers write in turns, and a look may come between two.
const OVER: Duration = Duration::from_secs(5);

/// Rates that are kept of a topic, for its trend.
const KEPT_MAX: usize = 64;

/// Ends of the partitions of one topic, added up, and its rates so far.
#[derive(Debug, Clone, Default)]
struct OfTopic {
    /// When, in epoch milliseconds, and the sum.
    sums: VecDeque<(i64, i64)>,
    rates: VecDeque<u64>,
    partitions: usize,
}

/// How fast topics grow.
#[derive(Debug, Clone, Default)]
pub(super) struct Rates {
    topics: BTreeMap<String, OfTopic>,
}

impl Rates {
    /// Takes in where partitions end by now. A topic of which not all partitions are known as before
    /// begins anew: its sum would jump.
    pub(super) fn add(&mut self, ends: &BTreeMap<Place, i64>, at_ms: i64) {
        let mut sums: BTreeMap<&str, (i64, usize)> = BTreeMap::new();
        for ((topic, _), end) in ends {
            let (sum, partitions) = sums.entry(topic).or_default();
            *sum += end;
            *partitions += 1;
        }
        self.topics.retain(|topic, _| sums.contains_key(topic.as_str()));
        for (topic, (sum, partitions)) in sums {
            let of = self.topics.entry(topic.to_owned()).or_default();
            if of.partitions != partitions || of.sums.back().is_some_and(|(_, last)| *last > sum) {
                of.sums.clear();
                of.partitions = partitions;
            }
            of.sums.push_back((at_ms, sum));
            let over_ms = i64::try_from(OVER.as_millis()).unwrap_or(i64::MAX);
            while of.sums.get(1).is_some_and(|(second_ms, _)| *second_ms <= at_ms - over_ms) {
                of.sums.pop_front();
            }
            if let Some(rate) = of.rate() {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "not negative"
                )]
                of.rates.push_back(rate.ceil() as u64);
                if of.rates.len() > KEPT_MAX {
                    of.rates.pop_front();
                }
            }
        }
    }

    /// Records a second of a topic; none before two looks.
    pub(super) fn rate(&self, topic: &str) -> Option<f64> {
        self.topics.get(topic)?.rate()
    }

    /// The last rates of a topic, rounded up.
    pub(super) fn trend(&self, topic: &str) -> Vec<u64> {
        self.topics.get(topic).map(|of| of.rates.iter().copied().collect()).unwrap_or_default()
    }
}

impl OfTopic {
    fn rate(&self) -> Option<f64> {
        let ((first_ms, first), (last_ms, last)) = (self.sums.front()?, self.sums.back()?);
        #[expect(clippy::cast_precision_loss, reason = "a rate is for people")]
        (last_ms > first_ms).then(|| (last - first) as f64 * 1000.0 / (last_ms - first_ms) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(all: &[(&str, i32, i64)]) -> BTreeMap<Place, i64> {
        all.iter()
            .map(|(topic, partition, end)| (((*topic).to_owned(), *partition), *end))
            .collect()
    }

    #[test]
    fn a_rate_is_what_all_partitions_of_a_topic_grew_by_over_5_s() {
        let mut rates = Rates::default();
        rates.add(&ends(&[("a", 0, 100), ("a", 1, 0)]), 0);
        assert_eq!(rates.rate("a"), None, "one look says nothing");
        rates.add(&ends(&[("a", 0, 150), ("a", 1, 50)]), 1_000);
        assert_eq!(rates.rate("a"), Some(100.0));
        for at_ms in [3_000, 6_000, 11_000] {
            rates.add(&ends(&[("a", 0, 150), ("a", 1, 50)]), at_ms);
        }
        assert_eq!(rates.rate("a"), Some(0.0), "the last 5 s only");
        assert_eq!(rates.trend("a"), [100, 34, 0, 0]);
        assert_eq!(rates.rate("b"), None);
    }

    #[test]
    fn a_partition_that_comes_or_goes_and_a_topic_made_anew_are_no_jump() {
        let mut rates = Rates::default();
        rates.add(&ends(&[("a", 0, 100)]), 0);
        rates.add(&ends(&[("a", 0, 100), ("a", 1, 5_000)]), 1_000);
        assert_eq!(rates.rate("a"), None);
        rates.add(&ends(&[("a", 0, 100), ("a", 1, 5_001)]), 2_000);
        assert_eq!(rates.rate("a"), Some(1.0));
        rates.add(&ends(&[("a", 0, 1), ("a", 1, 0)]), 3_000);
        assert_eq!(rates.rate("a"), None, "it was deleted and made anew");
    }

    #[test]
    fn so_many_rates_are_kept_and_no_more() {
        let mut rates = Rates::default();
        for at in 0..1_000 {
            rates.add(&ends(&[("a", 0, at)]), at * 1_000);
        }
        assert_eq!(rates.trend("a").len(), KEPT_MAX);
    }
}
