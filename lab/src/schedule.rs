//! When each order is to be sent, decided before the first one is. What the system under test does cannot move a
//! planned time: that is what makes the loop open.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::workload::{Arrivals, Segment};

/// Microseconds in a second.
const US_PER_S: f64 = 1e6;

/// Planned send times in microseconds from the start of the run, in order. The same arguments give the same times.
#[must_use]
pub fn planned_us(segments: &[Segment], arrivals: Arrivals, seed: u64) -> Vec<u64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut planned, mut begin_us) = (Vec::new(), 0.0);
    for segment in segments {
        let end_us = begin_us + segment.length.as_secs_f64() * US_PER_S;
        let gap_us = US_PER_S / segment.rate_per_s;
        let mut at_us = begin_us;
        loop {
            at_us += match arrivals {
                Arrivals::Constant => gap_us,
                // The inverse of the exponential distribution; 1 - u is never 0.
                Arrivals::Poisson => -(1.0 - random.random::<f64>()).ln() * gap_us,
            };
            if at_us > end_us + 0.5 {
                break;
            }
            planned.push(rounded(at_us));
        }
        begin_us = end_us;
    }
    planned
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time is 0 or more, and far below 2^63"
)]
fn rounded(at_us: f64) -> u64 {
    at_us.round() as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn segment(rate_per_s: f64, seconds: u64) -> Segment {
        Segment { rate_per_s, length: Duration::from_secs(seconds) }
    }

    #[test]
    fn constant_arrivals_are_evenly_spread_over_each_part() {
        let planned = planned_us(&[segment(4.0, 1), segment(2.0, 1)], Arrivals::Constant, 1);
        assert_eq!(planned, [250_000, 500_000, 750_000, 1_000_000, 1_500_000, 2_000_000]);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_independent_customers() {
        let planned = planned_us(&[segment(1_000.0, 60)], Arrivals::Poisson, 7);
        let count = planned.len() as f64;
        // 60,000 are expected; four standard deviations are 980.
        assert!((count - 60_000.0).abs() < 980.0, "{count}");
        let gaps: Vec<f64> = planned.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // An exponential distribution has a coefficient of variation of 1; a constant one of 0.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.03, "{}", variance.sqrt() / mean);
        let longer = gaps.iter().filter(|gap| **gap > mean).count() as f64 / gaps.len() as f64;
        assert!((longer - (-1.0_f64).exp()).abs() < 0.02, "{longer}");
    }

    #[test]
    fn a_seed_makes_the_same_times_again_and_another_one_others() {
        let of = |seed| planned_us(&[segment(100.0, 2)], Arrivals::Poisson, seed);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
