//! How near a lane is to its limit of dead letters, as it travels with the committed offsets.

/// Records over which the share of dead letters is taken.
pub const RATIO_RECORDS: usize = 1_000;

/// Dead letters in a row and among the last records. A tally without a dead letter says nothing
/// and is not carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    consecutive: u32,
    records: u16,
    dead: u16,
}

impl Tally {
    /// `dead` of the last `records` were given up, and `consecutive` since the last that went
    /// well; `None` for numbers that no lane can have come to.
    pub fn new(consecutive: u32, records: usize, dead: usize) -> Option<Self> {
        let is_possible = records <= RATIO_RECORDS
            && dead <= records
            && (consecutive as usize).min(RATIO_RECORDS) <= dead;
        if !is_possible {
            return None;
        }
        let (records, dead) = (u16::try_from(records).ok()?, u16::try_from(dead).ok()?);
        Some(Self { consecutive, records, dead })
    }

    /// Dead letters since the last record that went well.
    pub const fn consecutive(&self) -> u32 {
        self.consecutive
    }

    /// The last records, up to [`RATIO_RECORDS`].
    pub const fn records(&self) -> usize {
        self.records as usize
    }

    /// Dead letters among them.
    pub const fn dead(&self) -> usize {
        self.dead as usize
    }

    /// Whether it says nothing.
    pub const fn is_trivial(&self) -> bool {
        self.dead == 0
    }

    /// Of both rows the longer one, and of both shares the one with more dead letters.
    #[must_use]
    pub fn larger(self, other: Self) -> Self {
        let window = if other.dead > self.dead { other } else { self };
        Self { consecutive: self.consecutive.max(other.consecutive), ..window }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_that_contradict_each_other_are_no_tally() {
        assert_eq!(Tally::new(0, RATIO_RECORDS + 1, 0), None);
        assert_eq!(Tally::new(0, 10, 11), None);
        assert_eq!(Tally::new(5, 10, 4), None, "those in a row are among the last");
        assert_eq!(Tally::new(2_000, RATIO_RECORDS, 999), None);
        assert!(Tally::new(2_000, RATIO_RECORDS, RATIO_RECORDS).is_some());
        assert_eq!(Tally::new(0, 0, 0), Some(Tally::default()));
    }

    fn any_tally() -> impl Strategy<Value = Tally> {
        (0..3_000_u32, 0..=RATIO_RECORDS, 0..=RATIO_RECORDS).prop_filter_map(
            "a possible one",
            |(row, records, dead)| {
                Tally::new(row % 40, records, dead).or_else(|| Tally::new(row, records, records))
            },
        )
    }

    proptest! {
        #[test]
        fn the_larger_of_two_is_a_tally_and_no_smaller_than_either(a in any_tally(), b in any_tally()) {
            let larger = a.larger(b);
            let again = Tally::new(larger.consecutive(), larger.records(), larger.dead());
            prop_assert_eq!(again, Some(larger));
            for one in [a, b] {
                prop_assert!(larger.consecutive() >= one.consecutive());
                prop_assert!(larger.dead() >= one.dead());
            }
        }
    }
}
