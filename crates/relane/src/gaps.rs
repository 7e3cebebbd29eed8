//! Offsets inside what was read that hold no record.

/// Offsets of one partition, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) partition: i32,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// What is missing inside what a lane has read since it started: markers and records of
/// transactions that were aborted, and what compaction has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Missing {
    /// How many offsets.
    pub(crate) offsets: u64,
    /// The first of them.
    pub(crate) first: Option<Gap>,
    /// The longest run of them.
    pub(crate) largest: Option<Gap>,
}

impl Missing {
    /// A record lies at `offset`, where the next one was expected at `expected`.
    pub(crate) fn note(&mut self, partition: i32, expected: i64, offset: i64) {
        if offset <= expected {
            return;
        }
        let gap = Gap { partition, first: expected, last: offset - 1 };
        self.add(Self { offsets: gap.len(), first: Some(gap), largest: Some(gap) });
    }

    /// Takes in what is missing elsewhere.
    pub(crate) fn add(&mut self, other: Self) {
        self.offsets += other.offsets;
        self.first = self.first.or(other.first);
        let len = |gap: Option<Gap>| gap.map_or(0, Gap::len);
        if len(other.largest) > len(self.largest) {
            self.largest = other.largest;
        }
    }
}

impl Gap {
    const fn len(self) -> u64 {
        self.last.abs_diff(self.first) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_without_a_record_are_counted_and_the_longest_run_is_known() {
        let mut missing = Missing::default();
        for (expected, offset) in [(0, 0), (1, 1), (2, 4), (5, 5), (6, 16), (17, 12)] {
            missing.note(3, expected, offset);
        }
        let gap = |first, last| Some(Gap { partition: 3, first, last });
        assert_eq!(missing, Missing { offsets: 12, first: gap(2, 3), largest: gap(6, 15) });
        let mut all = Missing::default();
        all.add(missing);
        all.add(Missing::default());
        assert_eq!(all, missing);
    }
}
