//! How old the records of a turn are, for a histogram.

/// Ages of records in powers of two of milliseconds: a fixed cost per record.
#[derive(Debug)]
pub(crate) struct AgeBuckets([u32; 40]);

impl Default for AgeBuckets {
    fn default() -> Self {
        Self([0; 40])
    }
}

impl AgeBuckets {
    pub(crate) fn note(&mut self, age_ms: i64) {
        let age = age_ms.max(0).unsigned_abs();
        let bucket = (64 - age.leading_zeros() as usize).min(self.0.len() - 1);
        self.0[bucket] += 1;
    }

    /// Upper bound of each bucket in seconds, with how many samples stand for its records. A
    /// histogram pays for each sample, so a large turn is told by about `samples_max` of them.
    pub(crate) fn samples(&self, samples_max: usize) -> impl Iterator<Item = (f64, usize)> + '_ {
        let total: usize = self.0.iter().map(|count| *count as usize).sum();
        let share = total.div_ceil(samples_max).max(1);
        let filled = self.0.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(move |(bucket, count)| {
            ((1_u64 << bucket) as f64 / 1000.0, (*count as usize).div_ceil(share))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_turn_is_told_record_by_record_and_a_large_one_by_its_shape() {
        let mut ages = AgeBuckets::default();
        for age_ms in [0, 3, 3, 900] {
            ages.note(age_ms);
        }
        let expected = [(0.001, 1), (0.004, 2), (1.024, 1)];
        assert_eq!(ages.samples(64).collect::<Vec<_>>(), expected);
        for _ in 0..6_400 {
            ages.note(3);
        }
        let samples: Vec<_> = ages.samples(64).collect();
        assert_eq!(samples, [(0.001, 1), (0.004, 64), (1.024, 1)]);
    }
}
