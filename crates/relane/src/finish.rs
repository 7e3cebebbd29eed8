//! When an `--exit-at-end` run is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_io::ends::GroupOffsets;
use kafka_io::member::AskError;

use crate::lane::handles::Ends;
use crate::settings::Topics;
use crate::shared::View;

/// Time between two looks at the group's offsets.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// Longest wait for one answer.
const ASK: Duration = Duration::from_secs(2);

/// Longest wait for a group, whose offsets are all settled, to share out its partitions.
const SHARED_OUT_MAX: Duration = Duration::from_secs(30);

/// Watches the group until everything that was there at the start is settled, and the lanes know
/// what it came to: a partition that moves from one lane to another is told by neither.
///
/// The main ends are a snapshot. Retries of these records may be written after it, so the
/// retry topic counts as finished when it is settled to its end. Partitions of another
/// instance, which may go on with new records for ever, are followed for as many rounds as a
/// record has attempts: each round covers what stood in the topic at its start.
pub(crate) struct Finish {
    ends: Arc<Ends>,
    offsets: GroupOffsets,
    topics: Topics,
    main_ends: Vec<i64>,
    rounds_left: u32,
    goals: Vec<i64>,
    looked_at: Option<Instant>,
    settled_at: Option<Instant>,
    /// Partitions of this process when the group was last found shared out.
    shared_out: Option<Vec<i32>>,
}

/// Which partitions the lanes of this process hold between them.
#[derive(Debug, PartialEq, Eq)]
enum Holding {
    /// Each one, once.
    All,
    /// These; others hold the rest, or it is on its way.
    Some(Vec<i32>),
    /// One is on its way from one lane to another, and still seen at both.
    Moving,
}

impl Holding {
    fn of<T>(views: &[View<T>], partitions: usize) -> Self {
        let owned = owned(views);
        if owned.windows(2).any(|pair| pair[0] == pair[1]) {
            return Self::Moving;
        }
        if owned.len() == partitions { Self::All } else { Self::Some(owned) }
    }
}

/// Partitions of these lanes, in order.
pub(crate) fn owned<T>(views: &[View<T>]) -> Vec<i32> {
    let mut owned: Vec<i32> = views.iter().flat_map(|view| view.owned.iter().copied()).collect();
    owned.sort_unstable();
    owned
}

impl Finish {
    pub(crate) fn new(
        ends: Arc<Ends>,
        offsets: GroupOffsets,
        topics: Topics,
        main_ends: Vec<i64>,
        attempts_max: u32,
    ) -> Self {
        Self {
            ends,
            offsets,
            topics,
            main_ends,
            rounds_left: attempts_max,
            goals: Vec::new(),
            looked_at: None,
            settled_at: None,
            shared_out: None,
        }
    }

    /// Looks whether the run is done; cheap while a lane still has work.
    pub(crate) fn is_done<T>(&mut self, views: &[View<T>]) -> bool {
        let drained = views.iter().all(|view| view.is_drained);
        let due = self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        if !drained || !due {
            return false;
        }
        self.looked_at = Some(Instant::now());
        let is_done = match self.look(&owned(views)) {
            Ok(true) => self.lanes_know(&Holding::of(views, self.main_ends.len())),
            looked => looked,
        };
        is_done.unwrap_or_else(|error| {
            tracing::debug!(%error, "the group's offsets are not known yet");
            false
        })
    }

    /// Whether every partition is at a lane of this process or at another instance. That it is at
    /// another one holds if it holds twice in a row: a lane hears what it was given a moment later.
    fn lanes_know(&mut self, holding: &Holding) -> Result<bool, AskError> {
        if *holding == Holding::All {
            return Ok(true);
        }
        if self.settled_at.get_or_insert_with(Instant::now).elapsed() >= SHARED_OUT_MAX {
            let owned: &[i32] = if let Holding::Some(owned) = holding { owned } else { &[] };
            tracing::warn!(
                partitions = ?owned,
                "the group has not assigned its other partitions; ending without them"
            );
            return Ok(true);
        }
        let Holding::Some(owned) = holding else { return Ok(false) };
        let before = self.shared_out.take();
        if !self.offsets.is_shared_out(&self.topics.main, self.partitions(), ASK)? {
            return Ok(false);
        }
        self.shared_out = Some(owned.clone());
        Ok(before.is_some_and(|before| before == *owned))
    }

    fn look(&mut self, owned: &[i32]) -> Result<bool, AskError> {
        let main = self.committed(&self.topics.main)?;
        if main.iter().zip(&self.main_ends).any(|(committed, end)| *committed < Some(*end)) {
            return Ok(false);
        }
        let retry = self.committed(&self.topics.retry)?;
        let ends = self.ends.of_topic(&self.topics.retry, self.partitions(), ASK)?;
        let is_settled = |p: usize, end: i64| retry[p] >= Some(end);
        let is_owned = |p: usize| owned.iter().any(|owned| *owned as usize == p);
        let open: Vec<usize> = (0..ends.len()).filter(|p| !is_settled(*p, ends[*p])).collect();
        if open.is_empty() {
            return Ok(true);
        }
        if open.iter().any(|p| is_owned(*p)) {
            return Ok(false);
        }
        if self.goals.is_empty() {
            self.goals = ends;
        } else if (0..self.goals.len()).all(|p| is_settled(p, self.goals[p])) {
            self.rounds_left = self.rounds_left.saturating_sub(1);
            self.goals = ends;
        }
        Ok(self.rounds_left == 0)
    }

    fn partitions(&self) -> i32 {
        i32::try_from(self.main_ends.len()).unwrap_or(i32::MAX)
    }

    /// Committed positions by partition, `None` where there is none.
    fn committed(&self, topic: &str) -> Result<Vec<Option<i64>>, AskError> {
        let pairs: Vec<_> = (0..self.partitions()).map(|p| (topic, p)).collect();
        let committed = self.offsets.committed(&pairs, ASK)?;
        Ok(committed.into_iter().map(|committed| committed.position.map(|p| p.0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views(lanes: &[&[i32]]) -> Vec<View<()>> {
        let view = |owned: &&[i32]| View { owned: owned.to_vec(), ..View::default() };
        lanes.iter().map(view).collect()
    }

    #[test]
    fn a_partition_that_no_lane_holds_is_missed_and_one_at_two_lanes_is_on_its_way() {
        assert_eq!(Holding::of(&views(&[&[2, 0], &[1]]), 3), Holding::All);
        assert_eq!(Holding::of(&views(&[&[2], &[0], &[]]), 3), Holding::Some(vec![0, 2]));
        assert_eq!(Holding::of(&views(&[&[0, 1, 2], &[1], &[]]), 3), Holding::Moving);
        assert_eq!(Holding::of(&views(&[&[0, 1], &[1], &[]]), 3), Holding::Moving);
    }
}
