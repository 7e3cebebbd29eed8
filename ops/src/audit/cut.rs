//! A consistent look at one partition number while its consumer may be at work.
//!
//! 1. the group's offsets, stable: no transaction over them is undecided (`before`);
//! 2. the ends of all topics as a reader of *uncommitted* records sees them: whatever those
//!    offsets speak of lies below;
//! 3. wait until every transaction below these ends is decided: from now on it is fixed what a
//!    reader of committed records sees below them;
//! 4. the offsets again (`after`): whatever is seen below the ends is reflected in them.
//!
//! So `before` ≤ what is seen ≤ `after`. Where both agree the look is exact; it is repeated a few
//! times to get there. Else what is settled only in `after` may or may not be seen, and is not
//! judged.

use std::time::{Duration, Instant};

use kafka_io::cluster::{Cluster, Edge};
use kafka_io::ends::GroupOffsets;
use kafka_io::member::{AskError, Committed};
use pipeline::completion::{Completion, CompletionError};

use super::AuditError;
use super::flags::Topics;
use crate::connected::Connected;
use crate::scan::Bounds;

/// Looks until both offsets agree.
const LOOKS_MAX: usize = 25;

/// Longest wait for one answer.
const ASK: Duration = Duration::from_secs(4);

/// Longest time for which a healthy transaction is open: its timeout is 10 s and the broker looks
/// for dead ones every 10 s. What takes longer hangs.
const TRANSACTION_MAX: Duration = Duration::from_secs(30);

/// Pause between two looks at an open transaction.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What of one partition is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Committed offset, if there is one.
    pub(crate) position: Option<i64>,
    ranges: Vec<(i64, i64)>,
    /// The consumer committed it, and no other tool has moved it.
    pub(crate) is_ours: bool,
    /// Ranges were taken from elsewhere.
    pub(crate) is_completed: bool,
    /// It says that the partition has averages.
    pub(crate) has_averages: bool,
    /// It says that other groups use the partition.
    pub(crate) is_shared: bool,
}

impl Settled {
    /// Everything below an offset, if there is one.
    pub(crate) const fn at(position: Option<i64>) -> Self {
        Self {
            position,
            ranges: Vec::new(),
            is_ours: true,
            is_completed: false,
            has_averages: false,
            is_shared: false,
        }
    }

    pub(crate) fn of(committed: &Committed) -> Result<Self, AuditError> {
        let Some(position) = committed.position else { return Ok(Self::at(None)) };
        let text = &committed.metadata;
        let completion = match Completion::decode(text, position) {
            Ok(completion) => Some(completion),
            Err(CompletionError::Malformed(_)) => None,
            Err(error @ CompletionError::Version(_)) => {
                return Err(AuditError::NewerMetadata(error.to_string()));
            }
        };
        let ours = completion.filter(|found| !text.is_empty() && found.belongs_to(position));
        Ok(Self {
            ranges: ours.as_ref().map_or_else(Vec::new, |found| found.settled_ranges(position)),
            is_ours: ours.is_some(),
            has_averages: ours.as_ref().is_some_and(Completion::has_averages),
            is_shared: ours.is_some_and(|found| found.is_shared()),
            ..Self::at(Some(position.0))
        })
    }

    /// Takes in what is known from elsewhere to be settled above the offset.
    pub(crate) fn adopt(&mut self, ranges: &[(i64, i64)]) {
        let floor = self.floor();
        let above = ranges.iter().filter(|(_, last)| *last >= floor);
        self.ranges = above.map(|(first, last)| ((*first).max(floor), *last)).collect();
        self.is_completed = true;
    }

    /// Ranges from the committed offset up to `end` (exclusive) that are not settled.
    pub(crate) fn open_below(&self, end: i64) -> Vec<(i64, i64)> {
        let (mut open, mut at) = (Vec::new(), self.position.unwrap_or(end));
        for (first, last) in self.ranges.iter().copied().chain([(end, end)]) {
            let stop = first.min(end);
            if at < stop {
                open.push((at, stop - 1));
            }
            at = at.max(last + 1);
        }
        open
    }

    /// Offsets from the commit position to the end that are not settled: all where nothing was committed.
    pub(crate) fn open_up_to(&self, bounds: Bounds) -> u64 {
        let from = Self { position: Some(self.position.unwrap_or(bounds.low)), ..self.clone() };
        let open = from.open_below(bounds.end).into_iter().map(|(first, last)| last - first + 1);
        u64::try_from(open.sum::<i64>()).unwrap_or(0)
    }

    /// Offsets from `first` to `end` (exclusive) that are settled.
    pub(crate) fn settled_between(&self, first: i64, end: i64) -> u64 {
        let all = u64::try_from(end.saturating_sub(first)).unwrap_or(0);
        let from = self.position.unwrap_or(i64::MIN).max(first).min(end.max(first));
        let open = Self { position: Some(from), ..self.clone() };
        all.saturating_sub(open.open_up_to(Bounds { low: first, end }))
    }

    /// Whether a record at this offset is settled.
    pub(crate) fn has(&self, offset: i64) -> bool {
        let Some(position) = self.position else { return false };
        if offset < position {
            return true;
        }
        let after = self.ranges.partition_point(|(first, _)| *first <= offset);
        after > 0 && offset <= self.ranges[after - 1].1
    }

    /// The committed offset, or one below every record.
    pub(crate) fn floor(&self) -> i64 {
        self.position.unwrap_or(i64::MIN)
    }
}

/// What is settled of main and retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) main: Settled,
    pub(crate) retry: Settled,
}

/// Bounds of one partition number in all topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct AllBounds {
    pub(crate) main: Bounds,
    pub(crate) retry: Bounds,
    pub(crate) dead_letter: Bounds,
    pub(crate) averages: Bounds,
    pub(crate) outcomes: Bounds,
}

/// Where the count of a partition begins: all zero, unless the group was replayed. What lies below is of
/// an earlier count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begins {
    pub(crate) main: i64,
    pub(crate) retry: i64,
    pub(crate) dead_letter: i64,
    pub(crate) averages: i64,
    /// None where it is not known.
    pub(crate) outcomes: Option<i64>,
}

impl Default for Begins {
    fn default() -> Self {
        Self { main: 0, retry: 0, dead_letter: 0, averages: 0, outcomes: Some(0) }
    }
}

/// A consistent look at one partition number.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    pub(crate) partition: i32,
    pub(crate) begins: Begins,
    /// Everything that these say is settled is seen below the bounds.
    pub(crate) before: Offsets,
    /// Everything that is seen below the bounds is settled by these.
    pub(crate) after: Offsets,
    pub(crate) bounds: AllBounds,
}

impl Cut {
    /// Leaves out what is of an earlier count.
    #[must_use]
    pub(crate) fn beginning_at(mut self, begins: Begins) -> Self {
        let AllBounds { main, retry, dead_letter, averages, outcomes } = &mut self.bounds;
        let from_outcomes = begins.outcomes.unwrap_or(outcomes.end);
        for (bounds, from) in [
            (main, begins.main),
            (retry, begins.retry),
            (dead_letter, begins.dead_letter),
            (averages, begins.averages),
            (outcomes, from_outcomes),
        ] {
            bounds.low = bounds.low.max(from.min(bounds.end));
        }
        self.begins = begins;
        self
    }

    /// Whether the group moved on between the two looks.
    pub(crate) fn moved(&self) -> bool {
        self.before != self.after
    }
}

/// A partition that cannot be read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hanging {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) stable_end: i64,
}

/// Takes cuts.
pub(crate) struct Cutter {
    cluster: Cluster,
    offsets: GroupOffsets,
    topics: Topics,
}

impl Cutter {
    pub(crate) fn new(connected: &Connected, offsets: GroupOffsets, topics: &Topics) -> Self {
        Self { cluster: connected.cluster().clone(), offsets, topics: topics.clone() }
    }

    /// What the group has committed, and who belongs to it.
    pub(crate) const fn group(&self) -> &GroupOffsets {
        &self.offsets
    }

    /// Looks at one partition number.
    pub(crate) fn take(&self, partition: i32) -> Result<Result<Cut, Hanging>, AuditError> {
        let mut looks = 0;
        loop {
            let before = self.offsets(partition)?;
            let bounds = self.bounds(partition)?;
            if let Some(hanging) = self.wait_decided(partition, &bounds)? {
                return Ok(Err(hanging));
            }
            let after = self.offsets(partition)?;
            looks += 1;
            if before == after || looks >= LOOKS_MAX {
                let begins = Begins::default();
                return Ok(Ok(Cut { partition, begins, before, after, bounds }));
            }
        }
    }

    fn offsets(&self, partition: i32) -> Result<Offsets, AuditError> {
        let asked =
            [(self.topics.main.as_str(), partition), (self.topics.retry.as_str(), partition)];
        let give_up_at = Instant::now() + TRANSACTION_MAX;
        loop {
            match self.offsets.committed(&asked, ASK) {
                Ok(answer) => {
                    let [main, retry] = <[Committed; 2]>::try_from(answer).expect("two were asked");
                    return Ok(Offsets { main: Settled::of(&main)?, retry: Settled::of(&retry)? });
                }
                Err(AskError::Undecided) if Instant::now() < give_up_at => {}
                Err(AskError::Undecided) => return Err(AuditError::OffsetsUndecided(partition)),
                Err(error) => return Err(AuditError::Kafka(error.to_string())),
            }
        }
    }

    fn bounds(&self, partition: i32) -> Result<AllBounds, AuditError> {
        let answer = self.cluster.bounds(&self.places(partition), Edge::End, ASK);
        let told = answer.map_err(|error| AuditError::Kafka(error.to_string()))?;
        let mut told = told.into_iter().map(|(low, end)| Bounds { low, end });
        let mut next = || told.next().unwrap_or_default();
        Ok(AllBounds {
            main: next(),
            retry: next(),
            dead_letter: next(),
            averages: next(),
            outcomes: next(), // without an outcome log there is none
        })
    }

    /// The partition of this number in each topic, in the order of their names.
    fn places(&self, partition: i32) -> Vec<(&str, i32)> {
        self.topics.names().into_iter().map(|topic| (topic, partition)).collect()
    }

    /// Waits until no transaction is open below the bounds.
    fn wait_decided(
        &self,
        partition: i32,
        bounds: &AllBounds,
    ) -> Result<Option<Hanging>, AuditError> {
        let give_up_at = Instant::now() + TRANSACTION_MAX;
        let ends =
            [bounds.main, bounds.retry, bounds.dead_letter, bounds.averages, bounds.outcomes];
        let places = self.places(partition);
        loop {
            let answer = self.cluster.each(&places, Edge::StableEnd, ASK);
            let stable = answer.map_err(|error| AuditError::Kafka(error.to_string()))?;
            let mut seen = places.iter().zip(stable).zip(ends);
            let Some(((place, stable_end), _)) = seen.find(|((_, stable), all)| *stable < all.end)
            else {
                return Ok(None);
            };
            if Instant::now() >= give_up_at {
                return Ok(Some(Hanging { topic: place.0.to_owned(), partition, stable_end }));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

#[cfg(test)]
mod tests {
    use pipeline::record::CommitPosition;

    use super::*;

    #[test]
    fn settled_is_what_lies_below_the_offset_or_in_its_metadata() {
        let ranges = vec![(12, 13), (20, 20)];
        let settled = Settled { ranges, ..Settled::at(Some(10)) };
        let found: Vec<i64> = (8..23).filter(|offset| settled.has(*offset)).collect();
        assert_eq!(found, [8, 9, 12, 13, 20]);
    }

    #[test]
    fn what_is_not_settled_below_an_offset_is_named_exactly() {
        let ranges = vec![(12, 13), (20, 20)];
        let settled = Settled { ranges, ..Settled::at(Some(10)) };
        assert_eq!(settled.open_below(10), []);
        assert_eq!(settled.open_below(12), [(10, 11)]);
        assert_eq!(settled.open_below(14), [(10, 11)]);
        assert_eq!(settled.open_below(18), [(10, 11), (14, 17)]);
        assert_eq!(settled.open_below(30), [(10, 11), (14, 19), (21, 29)]);
        assert_eq!(Settled::at(None).open_below(5), [], "nothing was ever settled");
        assert_eq!(settled.open_up_to(Bounds { low: 0, end: 30 }), 2 + 6 + 9);
        assert_eq!(Settled::at(None).open_up_to(Bounds { low: 3, end: 5 }), 2);
        for (first, end, expected) in [(0, 30, 13), (0, 10, 10), (5, 13, 6), (13, 21, 2), (9, 3, 0)]
        {
            assert_eq!(settled.settled_between(first, end), expected, "{first} to {end}");
        }
        assert_eq!(Settled::at(None).settled_between(0, 30), 0);
    }

    #[test]
    fn what_is_of_an_earlier_count_is_left_out() {
        let offsets = Offsets { main: Settled::at(Some(8)), retry: Settled::at(Some(8)) };
        let (before, after, begins) = (offsets.clone(), offsets, Begins::default());
        let bounds = Bounds { low: 3, end: 9 };
        let all = AllBounds {
            main: bounds,
            retry: bounds,
            dead_letter: bounds,
            averages: bounds,
            outcomes: bounds,
        };
        let cut = Cut { partition: 0, begins, before, after, bounds: all };
        let lows = |cut: Cut| {
            let AllBounds { main, retry, dead_letter, averages, outcomes } = cut.bounds;
            [main, retry, dead_letter, averages, outcomes].map(|bounds| bounds.low)
        };
        assert_eq!(lows(cut.clone().beginning_at(begins)), [3; 5]);
        let begins = Begins { main: 4, retry: 5, dead_letter: 2, averages: 20, outcomes: Some(6) };
        assert_eq!(lows(cut.clone().beginning_at(begins)), [4, 5, 3, 9, 6]);
        let unknown = Begins { outcomes: None, ..begins };
        assert_eq!(lows(cut.beginning_at(unknown))[4], 9, "none of the log is used");
    }

    #[test]
    fn where_nothing_was_committed_nothing_is_settled() {
        let none = Committed { position: None, metadata: String::new() };
        assert!(!Settled::of(&none).unwrap().has(0));
    }

    #[test]
    fn metadata_of_another_offset_or_tool_says_nothing() {
        let committed = |position, metadata: &str| Committed {
            position: Some(CommitPosition(position)),
            metadata: metadata.to_owned(),
        };
        // Of base 0: 82 not settled, 1 settled.
        let ours = Settled::of(&committed(0, "AQAAUgE")).unwrap();
        assert!(ours.has(82) && ours.is_ours);
        for (position, text) in [(1, "AQAAUgE"), (1, "a tool's"), (1, "")] {
            let other = Settled::of(&committed(position, text)).unwrap();
            assert!(!other.has(82) && !other.is_ours, "{text:?}");
        }
    }
}
