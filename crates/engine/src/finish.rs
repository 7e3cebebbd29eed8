//! When an `--exit-at-end` run is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_io::ends::GroupOffsets;
use kafka_io::member::AskError;

use crate::lane::Topics;
use crate::lane::handles::Ends;
use crate::shared::View;

/// Time between two looks at the group's offsets.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// Longest wait for one answer.
const ASK: Duration = Duration::from_secs(2);

/// Watches the group until everything that was there at the start is settled.
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
}

impl Finish {
    pub(crate) fn new(
        ends: Arc<Ends>,
        offsets: GroupOffsets,
        topics: Topics,
        main_ends: Vec<i64>,
        attempts_max: u32,
    ) -> Self {
        let (goals, looked_at) = (Vec::new(), None);
        Self { ends, offsets, topics, main_ends, rounds_left: attempts_max, goals, looked_at }
    }

    /// Looks whether the run is done; cheap while a lane still has work.
    pub(crate) fn is_done<T>(&mut self, views: &[View<T>]) -> bool {
        let drained = views.iter().all(|view| view.is_drained);
        let due = self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        if !drained || !due {
            return false;
        }
        self.looked_at = Some(Instant::now());
        let owned: Vec<i32> = views.iter().flat_map(|view| view.owned.iter().copied()).collect();
        self.look(&owned).unwrap_or_else(|error| {
            tracing::debug!(%error, "the group's offsets are not known yet");
            false
        })
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
