//! Times as distributions: HdrHistograms of microseconds with three digits, and numbers made of them. Percentiles are
//! never averaged: histograms of rounds are added up, and rounds are compared by their own percentiles.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Digits that are kept.
const DIGITS: u8 = 3;
/// Longest time that is told apart; what is longer counts as this: one hour.
const US_MAX: u64 = 3_600_000_000;
/// Steps of the spectrum per halving of the distance to 100 %.
const STEPS_PER_HALF: u32 = 5;

/// A distribution of times.
#[derive(Debug, Clone)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new_with_max(US_MAX, DIGITS).expect("limits that the library takes"))
    }
}

/// What is said of a distribution, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    /// How many times there are; 0: the others say nothing.
    pub count: u64,
    /// Mean.
    pub mean_us: f64,
    /// Half are at most this.
    pub p50_us: u64,
    /// 90 % are at most this.
    pub p90_us: u64,
    /// 95 % are at most this.
    pub p95_us: u64,
    /// 99 % are at most this.
    pub p99_us: u64,
    /// 99.9 % are at most this.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// A distribution as it is stored: value in microseconds and how many, the values in order.
pub type Buckets = Vec<(u64, u64)>;

impl Times {
    /// Adds one.
    pub fn add(&mut self, us: u64) {
        self.0.saturating_record(us);
    }

    /// Returns the distribution that was stored.
    #[must_use]
    pub fn of_buckets(buckets: &[(u64, u64)]) -> Self {
        let mut times = Self::default();
        for (us, count) in buckets {
            times.0.saturating_record_n(*us, *count);
        }
        times
    }

    /// Adds all times of another one.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same limits");
    }

    /// Returns how many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns the time that a share `quantile` is at most, from 0.0 to 1.0.
    #[must_use]
    pub fn at(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    /// Returns it to be stored.
    #[must_use]
    pub fn buckets(&self) -> Buckets {
        self.0.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value())).collect()
    }

    /// Returns what is said of it.
    #[must_use]
    pub fn quantiles(&self) -> Quantiles {
        if self.count() == 0 {
            return Quantiles::default();
        }
        Quantiles {
            count: self.count(),
            mean_us: self.0.mean(),
            p50_us: self.at(0.5),
            p90_us: self.at(0.9),
            p95_us: self.at(0.95),
            p99_us: self.at(0.99),
            p999_us: self.at(0.999),
            max_us: self.0.max(),
        }
    }

    /// Returns points of the percentile spectrum: the quantile and its time, as far as the count can tell.
    #[must_use]
    pub fn spectrum(&self) -> Vec<(f64, u64)> {
        if self.count() == 0 {
            return Vec::new();
        }
        // Of a thousand times the longest stands for one in a thousand; what is rarer cannot be told.
        let end = 1.0 - 1.0 / (self.count() as f64 + 1.0);
        let longest = self.0.max();
        let steps = self.0.iter_quantiles(STEPS_PER_HALF);
        let mut points: Vec<(f64, u64)> = steps
            .map(|step| (step.quantile_iterated_to(), step.value_iterated_to().min(longest)))
            .take_while(|(quantile, _)| *quantile < end)
            .collect();
        points.push((end, longest));
        points
    }

    /// Returns the text that tools for HdrHistograms read (`.hgrm`), values in milliseconds.
    #[must_use]
    pub fn hgrm(&self) -> String {
        let ms = |us: u64| us as f64 / 1e3;
        let mut text = format!(
            "{:>12} {:>14} {:>10} {:>14}\n\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        );
        let mut count = 0;
        for step in self.0.iter_quantiles(STEPS_PER_HALF) {
            let (value, quantile) = (ms(step.value_iterated_to()), step.quantile_iterated_to());
            count += step.count_since_last_iteration();
            let _ = if quantile < 1.0 {
                writeln!(
                    text,
                    "{value:>12.3} {quantile:>14.12} {count:>10} {:>14.2}",
                    1.0 / (1.0 - quantile)
                )
            } else {
                writeln!(text, "{value:>12.3} {quantile:>14.12} {count:>10}")
            };
        }
        let _ = writeln!(
            text,
            "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]",
            self.0.mean() / 1e3,
            self.0.stdev() / 1e3
        );
        let _ = writeln!(
            text,
            "#[Max     = {:>12.3}, Total count    = {:>12}]",
            ms(self.0.max()),
            self.count()
        );
        let _ =
            writeln!(text, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", self.0.buckets(), 2048);
        text
    }
}

/// The middle of some numbers, and how far they go apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one; of an even number the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Returns that of these numbers; nothing of none.
    #[must_use]
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let is_even = sorted.len().is_multiple_of(2);
        let median = if is_even {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Self { median, min, max })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn times(values: impl IntoIterator<Item = u64>) -> Times {
        let mut times = Times::default();
        values.into_iter().for_each(|us| times.add(us));
        times
    }

    /// Three digits: one part in a thousand.
    #[track_caller]
    fn is_near(found: u64, expected: u64) {
        let apart = found.abs_diff(expected) as f64;
        assert!(apart <= expected as f64 / 1e3 + 1.0, "{found} instead of {expected}");
    }

    #[test]
    fn quantiles_of_known_distributions_are_theirs_to_three_digits() {
        let uniform = times(1..=100_000).quantiles();
        is_near(uniform.p50_us, 50_000);
        is_near(uniform.p99_us, 99_000);
        is_near(uniform.p999_us, 99_900);
        is_near(uniform.max_us, 100_000);
        assert!((uniform.mean_us - 50_000.5).abs() < 50.0, "{}", uniform.mean_us);
        // Exponential, mean 10 ms, by its own quantiles: the value at q is -ln(1 - q) of the mean.
        let of = |n: u32| {
            let mean = Duration::from_millis(10);
            let factor = -(1.0 - (f64::from(n) + 0.5) / 100_000.0).ln();
            u64::try_from(mean.mul_f64(factor).as_micros()).unwrap()
        };
        let exponential = times((0..100_000).map(of)).quantiles();
        for (found, expected) in [
            (exponential.p50_us, 6_931),
            (exponential.p95_us, 29_957),
            (exponential.p99_us, 46_052),
        ] {
            is_near(found, expected);
        }
        let two = times(std::iter::repeat_n(1_000, 990).chain(std::iter::repeat_n(2_000_000, 10)));
        is_near(two.at(0.99), 1_000);
        is_near(two.at(0.991), 2_000_000);
    }

    #[test]
    fn rounds_are_added_up_and_not_averaged() {
        let mut all = times(std::iter::repeat_n(1_000, 100));
        all.merge(&times(std::iter::repeat_n(100_000, 100)));
        is_near(all.at(0.5), 1_000);
        is_near(all.at(0.51), 100_000);
        assert_eq!(all.count(), 200);
    }

    #[test]
    fn what_is_stored_comes_back_as_it_was() {
        let all = times((1..5_000).map(|n| n * n));
        let again = Times::of_buckets(&all.buckets());
        assert_eq!(again.quantiles().p99_us, all.quantiles().p99_us);
        assert_eq!(again.buckets(), all.buckets());
    }

    #[test]
    fn a_spectrum_rises_to_the_longest_time_and_the_text_ends_at_all_of_them() {
        let all = times(1..=10_000);
        let spectrum = all.spectrum();
        assert!(spectrum.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1), "{spectrum:?}");
        is_near(spectrum.last().unwrap().1, 10_000);
        let text = all.hgrm();
        let last = text.lines().rfind(|line| !line.starts_with('#')).unwrap();
        assert!(last.contains("1.000000000000      10000"), "{last}");
        let median = text.lines().find(|line| line.contains(" 0.5000")).unwrap();
        assert!(median.trim_start().starts_with("5.0"), "{median}");
    }

    #[test]
    fn nothing_measured_says_nothing() {
        assert_eq!(Times::default().quantiles(), Quantiles::default());
        assert!(Times::default().spectrum().is_empty());
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_spread_is_the_middle_and_both_ends() {
        let spread = |numbers: &[f64]| Spread::of(numbers.iter().copied()).unwrap();
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(spread(&[4.0, 1.0]).median, 2.5);
    }
}
