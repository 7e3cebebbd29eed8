//! What waits in a retry topic on purpose, and what is overdue there.
//!
//! Records above the commit position are read once and kept as offset and due time. Which of them a group
//! has settled stands in the metadata of its commit.

use std::collections::VecDeque;

use pipeline::completion::Completion;
use pipeline::headers::Lineage;
use pipeline::record::CommitPosition;

/// Most retry records of one partition that are kept, at 24 bytes each. Above it the first ones are counted,
/// and the answer says that there are more.
pub(crate) const KEPT_MAX: usize = 500_000;

/// A record of a retry topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry {
    /// Where it lies.
    pub(crate) offset: i64,
    /// When its next attempt is due, in epoch milliseconds; 0 where no header says so: at once.
    pub(crate) due_at_ms: i64,
    /// Its group, as a number of [`Retries::group`]; none where no header says so: everybody's.
    pub(crate) group: Option<u32>,
}

/// The records of one partition of a retry topic that may wait, by offset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Retries {
    kept: VecDeque<Retry>,
    groups: Vec<String>,
    /// The offset from which on the partition was read.
    from: i64,
    is_cut: bool,
}

/// What a group has committed for the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Everything below is settled.
    pub(crate) position: i64,
    /// Settled above it: first and last offset of each run.
    pub(crate) above: Vec<(i64, i64)>,
}

/// What is left to do in a partition of a retry topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Left {
    /// Due now or before, and not settled.
    pub(crate) overdue: u64,
    /// The earliest due time among them.
    pub(crate) oldest_due_at_ms: Option<i64>,
    /// Due later.
    pub(crate) waiting: u64,
    /// The earliest due time among those.
    pub(crate) next_due_at_ms: Option<i64>,
    /// There is more than was counted.
    pub(crate) is_at_least: bool,
}

impl Settled {
    /// Reads a commit: metadata that another tool has written says nothing.
    #[must_use]
    pub(crate) fn of(position: i64, metadata: &str) -> Self {
        let completion = Completion::decode(metadata, CommitPosition(position)).ok();
        let above = completion.map(|found| found.settled_ranges(CommitPosition(position)));
        Self { position, above: above.unwrap_or_default() }
    }

    /// How many offsets above the position are settled.
    #[must_use]
    pub(crate) fn count_above(&self) -> i64 {
        self.above.iter().map(|(first, last)| last - first + 1).sum()
    }
}

impl Retries {
    /// Nothing yet, of a partition that is read from an offset on.
    #[must_use]
    pub(crate) fn from_offset(from: i64) -> Self {
        Self { from, ..Self::default() }
    }

    /// The offset from which on the partition was read.
    #[must_use]
    pub(crate) const fn from(&self) -> i64 {
        self.from
    }

    /// The number of a group's name.
    pub(crate) fn group(&mut self, name: &str) -> u32 {
        let found = self.groups.iter().position(|known| known == name).unwrap_or_else(|| {
            self.groups.push(name.to_owned());
            self.groups.len() - 1
        });
        u32::try_from(found).unwrap_or(u32::MAX)
    }

    /// Takes in the next record of the partition, by its headers.
    pub(crate) fn add<'a>(&mut self, offset: i64, last: impl Fn(&str) -> Option<&'a [u8]>) {
        if self.kept.len() >= KEPT_MAX {
            self.is_cut = true;
            return;
        }
        let lineage = Lineage::read(last);
        let due_at_ms = lineage.as_ref().map_or(0, |lineage| lineage.due_at_ms);
        let group = lineage.map(|lineage| self.group(&lineage.origin.group));
        self.kept.push_back(Retry { offset, due_at_ms, group });
    }

    /// Forgets what lies below an offset.
    pub(crate) fn forget_below(&mut self, offset: i64) {
        self.from = self.from.max(offset);
        while self.kept.front().is_some_and(|retry| retry.offset < offset) {
            self.kept.pop_front();
        }
    }

    /// What is left to do for a group.
    #[must_use]
    pub(crate) fn left(&self, group: &str, settled: &Settled, now_ms: i64) -> Left {
        let group = self.groups.iter().position(|known| known == group);
        let group = group.and_then(|found| u32::try_from(found).ok());
        let mut left = Left { is_at_least: self.is_cut, ..Left::default() };
        let mut runs = settled.above.iter().copied().peekable();
        for retry in &self.kept {
            while runs.next_if(|(_, last)| *last < retry.offset).is_some() {}
            let is_settled = retry.offset < settled.position
                || runs.peek().is_some_and(|(first, _)| *first <= retry.offset);
            let is_foreign = retry.group.is_some() && retry.group != group;
            if is_settled || is_foreign {
                continue;
            }
            let (count, earliest) = if retry.due_at_ms <= now_ms {
                (&mut left.overdue, &mut left.oldest_due_at_ms)
            } else {
                (&mut left.waiting, &mut left.next_due_at_ms)
            };
            *count += 1;
            *earliest = Some(earliest.map_or(retry.due_at_ms, |due| due.min(retry.due_at_ms)));
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_000_000;

    fn retries(records: &[(i64, i64, Option<&str>)]) -> Retries {
        let mut retries = Retries::default();
        for (offset, due_at_ms, group) in records {
            let group = group.map(|name| retries.group(name));
            retries.kept.push_back(Retry { offset: *offset, due_at_ms: *due_at_ms, group });
        }
        retries
    }

    #[test]
    fn records_that_are_due_later_wait_and_others_are_overdue() {
        let retries = retries(&[
            (3, NOW_MS + 9, Some("g")),
            (4, NOW_MS, Some("g")),
            (5, NOW_MS - 70, Some("g")),
            (6, NOW_MS + 5, Some("g")),
        ]);
        let left = retries.left("g", &Settled { position: 3, above: vec![] }, NOW_MS);
        let expected = Left {
            overdue: 2,
            oldest_due_at_ms: Some(NOW_MS - 70),
            waiting: 2,
            next_due_at_ms: Some(NOW_MS + 5),
            is_at_least: false,
        };
        assert_eq!(left, expected);
    }

    #[test]
    fn what_is_settled_below_or_above_the_position_is_not_left() {
        let retries =
            retries(&[(1, 5, None), (3, 5, None), (4, 5, None), (7, 5, None), (9, 5, None)]);
        let settled = Settled { position: 3, above: vec![(4, 4), (6, 8)] };
        let left = retries.left("g", &settled, NOW_MS);
        assert_eq!((left.overdue, left.waiting), (2, 0), "those at 3 and 9: {left:?}");
        assert_eq!(settled.count_above(), 4);
    }

    #[test]
    fn records_of_another_group_are_not_this_ones() {
        let retries = retries(&[(0, 5, Some("g")), (1, 5, Some("other")), (2, NOW_MS + 1, None)]);
        let nothing = Settled { position: 0, above: vec![] };
        let left = retries.left("g", &nothing, NOW_MS);
        assert_eq!((left.overdue, left.waiting), (1, 1));
        let stranger = retries.left("stranger", &nothing, NOW_MS);
        assert_eq!((stranger.overdue, stranger.waiting), (0, 1));
    }

    #[test]
    fn a_record_is_read_by_its_headers() {
        let headers = [
            ("x-origin-topic", "orders"),
            ("x-origin-partition", "0"),
            ("x-origin-offset", "7"),
            ("x-origin-group", "g"),
            ("x-due-at-ms", "1000005"),
        ];
        let mut retries = Retries::default();
        retries.add(11, |name| {
            headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_bytes())
        });
        retries.add(12, |_| None);
        let left = retries.left("g", &Settled { position: 11, above: vec![] }, NOW_MS);
        assert_eq!((left.waiting, left.next_due_at_ms), (1, Some(NOW_MS + 5)));
        assert_eq!((left.overdue, left.oldest_due_at_ms), (1, Some(0)), "due at once");
        retries.forget_below(12);
        assert_eq!(retries.kept.len(), 1);
    }

    #[test]
    fn a_commit_without_metadata_of_ours_settles_nothing_above_it() {
        for metadata in ["", "written by another tool"] {
            assert_eq!(Settled::of(5, metadata), Settled { position: 5, above: vec![] });
        }
        // Base 0: 0 to 81 not settled, 82 settled, 83 to 119 not, 120 settled, 121 to 238 not, 239 settled.
        let settled = Settled::of(0, "AQAAUgElAXYB");
        assert_eq!(settled.above, [(82, 82), (120, 120), (239, 239)]);
        assert_eq!(Settled::of(1, "AQAAUgElAXYB").above, [], "written for another position");
    }
}
