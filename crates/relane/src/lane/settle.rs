//! Makes a turn durable: its records, state and offsets in one transaction.

use std::time::Duration;

use kafka_io::member::{Change, OffsetCommit};
use kafka_io::writer::WriteError;
use pipeline::completion::{Completion, METADATA_CHARS_MIN};
use rand::Rng as _;

use crate::clock::Instant;
use crate::lane::handles::Writer;
use crate::lane::limits::{
    AWAY_JITTER, AWAY_PAUSE, AWAY_PAUSE_MAX, CAREFUL_FOR, FENCE_AGAIN, MARKER_COMMIT_AFTER,
    OFFSET_REFRESH, REDO_MAX, STALE_MEMBER_MAX, WRITER_OPEN, unresolved_max, unsettled_max,
};
use crate::lane::partition_state::{LastCommit, PartitionState};
use crate::lane::{Lane, LaneError};
use crate::stage::{Stage, State as _};

/// What became of an attempt to commit a turn.
enum Attempt {
    Committed,
    /// Committed, yet its last request may be on its way once more: the writer must go.
    CommittedLastly,
    /// Nothing of it is visible; the turn stands as it was.
    Redo,
    /// Nothing of it is visible; a record of it was refused and is smaller now.
    RedoSmaller,
    /// Its state was dropped and is read back from the brokers.
    ReadAgain,
}

impl<S: Stage> Lane<S> {
    /// Makes sure there is a writer; `false` while the brokers are away.
    pub(crate) fn ready_to_write(&mut self) -> Result<bool, LaneError> {
        if self.writer.as_ref().is_some_and(Writer::must_be_replaced) {
            tracing::info!(lane = self.index, "the transaction coordinator was lost; new writer");
            self.writer = None;
        }
        if self.writer.is_some() {
            return Ok(true);
        }
        if Instant::now() < self.writer_again_at {
            crate::clock::sleep(AWAY_PAUSE / 4);
            return Ok(false);
        }
        let guarantee = self.settings.guarantee;
        match Writer::open(&self.writer_config, guarantee, &self.transactional_id, WRITER_OPEN) {
            Ok(writer) => {
                self.writer = Some(writer);
                self.writer_pause = AWAY_PAUSE;
                self.note_answer();
                Ok(true)
            }
            Err(WriteError::Denied(text)) => Err(LaneError::Denied(text)),
            Err(error) => {
                self.note_away(&error.to_string());
                let spread = self.processor.random.random::<f64>();
                self.writer_again_at = Instant::now() + spread_out(self.writer_pause, spread);
                self.writer_pause = (self.writer_pause * 2).min(AWAY_PAUSE_MAX);
                Ok(false)
            }
        }
    }

    /// Whether a partition is active for the first time: its start is committed before
    /// anything of it is written, so that offsets and state exist together.
    pub(crate) fn has_new_partition(&self) -> bool {
        self.processor.iter().any(|owned| owned.is_active() && owned.committed_main.is_none())
    }

    /// Commits the turn, if there is something to commit.
    pub(crate) fn settle_turn(&mut self) -> Result<(), LaneError> {
        if !self.is_commit_due() {
            // Skipped while their partition was being restored: nothing of them is committed.
            self.metrics.foreign.increment(self.processor.turn.foreign);
            self.processor.turn.restart();
            return Ok(());
        }
        let (mut stale_since, mut redos) = (None, 0);
        while redos < REDO_MAX && !self.shared.must_abandon() {
            let started = Instant::now();
            match self.try_commit(&mut stale_since)? {
                Attempt::Committed => {
                    self.count_committed(started);
                    return Ok(());
                }
                Attempt::Redo => redos += 1,
                Attempt::CommittedLastly => {
                    self.count_committed(started);
                    self.outcome_unknown("the coordinator was lost during the transaction");
                    return Ok(());
                }
                // Each record gets smaller a few times at most, so this ends by itself.
                Attempt::RedoSmaller => self.heartbeat(),
                Attempt::ReadAgain => return Ok(()),
            }
        }
        tracing::warn!(lane = self.index, "a turn could not be committed; reading state again");
        self.read_again();
        Ok(())
    }

    fn is_commit_due(&self) -> bool {
        if self.processor.iter().any(|owned| owned.dirty) {
            return true;
        }
        let idle = self.last_commit_at.elapsed() >= MARKER_COMMIT_AFTER;
        self.processor.iter().any(|owned| needs_offsets(owned, idle))
    }

    fn try_commit(&mut self, stale_since: &mut Option<Instant>) -> Result<Attempt, LaneError> {
        let result = self.write_turn();
        self.note_deliveries();
        let lost = self.writer.as_ref().is_none_or(Writer::must_be_replaced);
        match result {
            Ok(offsets) => {
                if lost {
                    return Ok(Attempt::CommittedLastly);
                }
                self.note_offsets(offsets);
                self.enter_forwards();
                Ok(Attempt::Committed)
            }
            Err(error) => {
                let error = match &self.writer {
                    Some(writer) => writer.explain(error),
                    None => error,
                };
                let was_open = !matches!(error, WriteError::Unknown(_) | WriteError::Fenced(_));
                let aborted = was_open && !lost && self.abort();
                if aborted {
                    self.metrics.transaction("aborted");
                }
                tracing::debug!(lane = self.index, %error, aborted, "turn not committed");
                self.after_failure(error, aborted, stale_since)
            }
        }
    }

    /// Aborts the open transaction; `false` when the writer has to go.
    fn abort(&mut self) -> bool {
        self.writer.as_mut().is_some_and(|writer| writer.abort().is_ok())
    }

    fn after_failure(
        &mut self,
        error: WriteError,
        aborted: bool,
        stale_since: &mut Option<Instant>,
    ) -> Result<Attempt, LaneError> {
        if let WriteError::Denied(text) = error {
            return Err(LaneError::Denied(text));
        }
        if !aborted {
            if let WriteError::Fenced(text) = &error {
                self.note_fence(text)?;
            }
            self.outcome_unknown(&error.to_string());
            return Ok(Attempt::ReadAgain);
        }
        match error {
            WriteError::Refused(refused) => {
                self.shrink(&refused)?;
                if !self.passes_limit()? {
                    return Ok(Attempt::ReadAgain);
                }
                if self.has_too_many_suspects() {
                    self.careful_until = Some(Instant::now() + CAREFUL_FOR);
                    self.read_again();
                    return Ok(Attempt::ReadAgain);
                }
                Ok(Attempt::RedoSmaller)
            }
            WriteError::MetadataTooLarge => {
                if self.metadata_chars <= METADATA_CHARS_MIN {
                    return Err(LaneError::Failed(format!(
                        "the broker refuses offset metadata of {METADATA_CHARS_MIN} characters; \
                         raise its offset.metadata.max.bytes"
                    )));
                }
                self.metadata_chars = (self.metadata_chars / 2).max(METADATA_CHARS_MIN);
                let limit_bytes = Completion::bytes_for_chars(self.metadata_chars);
                self.processor.unresolved_max = unresolved_max(limit_bytes);
                self.processor.unsettled_max = unsettled_max(limit_bytes);
                tracing::warn!(
                    lane = self.index,
                    characters = self.metadata_chars,
                    "the broker takes less offset metadata; working with half as much"
                );
                self.read_again();
                Ok(Attempt::ReadAgain)
            }
            WriteError::StaleMember(_) => Ok(self.wait_for_membership(stale_since)),
            other => {
                self.note_away(&other.to_string());
                crate::clock::sleep(AWAY_PAUSE);
                Ok(Attempt::Redo)
            }
        }
    }

    /// Redoes the turn while its partitions are still owned; else reads everything again.
    fn wait_for_membership(&mut self, stale_since: &mut Option<Instant>) -> Attempt {
        let since = *stale_since.get_or_insert_with(Instant::now);
        let changes = self.member.serve();
        let revoked = changes.iter().any(|change| matches!(change, Change::Revoked(_)));
        for change in changes {
            self.apply(change);
        }
        if revoked || since.elapsed() >= STALE_MEMBER_MAX {
            self.read_again();
            return Attempt::ReadAgain;
        }
        crate::clock::sleep(AWAY_PAUSE / 4);
        Attempt::Redo
    }

    /// Whether the turn is visible is not known: a new writer with the same id settles it
    /// (the old transaction is decided before the new writer is ready), then state is read.
    fn outcome_unknown(&mut self, why: &str) {
        tracing::warn!(lane = self.index, why, "outcome unknown; reading state again");
        self.metrics.transaction("unknown");
        self.writer = None;
        self.read_again();
        // If the turn is visible, its tally stands with the offsets, and nowhere else.
        self.processor.iter_mut().for_each(|owned| owned.takes_tally = true);
    }

    fn note_fence(&mut self, text: &str) -> Result<(), LaneError> {
        let again = self.fenced_at.is_some_and(|at| at.elapsed() < FENCE_AGAIN);
        if again {
            return Err(LaneError::IdTaken {
                id: self.transactional_id.clone(),
                detail: text.to_owned(),
            });
        }
        self.fenced_at = Some(Instant::now());
        Ok(())
    }

    fn note_offsets(&mut self, offsets: Vec<OffsetCommit>) {
        let now = Instant::now();
        for commit in offsets {
            let is_main = commit.topic == self.settings.topics.main;
            let Some(owned) = self.processor.owned_mut(commit.partition) else { continue };
            let last = Some(LastCommit { position: commit.position, metadata: commit.metadata });
            if is_main {
                owned.committed_main = last;
            } else {
                owned.committed_retry = last;
            }
            owned.committed_at = Some(now);
            owned.dirty = false;
            owned.state.clear_touched();
        }
        self.last_commit_at = now;
        self.note_answer();
    }
}

/// A pause of a lane that others make as well.
fn spread_out(pause: Duration, spread: f64) -> Duration {
    pause.mul_f64(1.0 + AWAY_JITTER * spread)
}

/// Whether the offsets of a partition that did nothing are due for a commit.
pub(crate) fn needs_offsets<T: Default>(owned: &PartitionState<T>, idle: bool) -> bool {
    let is_first = owned.committed_main.is_none();
    let stale = owned.committed_at.is_none_or(|at| at.elapsed() >= OFFSET_REFRESH);
    owned.is_active() && (is_first || stale || (idle && owned.is_ahead_of_commit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_that_lost_their_brokers_together_do_not_ask_again_together() {
        for (spread, pause) in [(0.0, AWAY_PAUSE_MAX), (1.0, AWAY_PAUSE_MAX * 12 / 10)] {
            assert_eq!(spread_out(AWAY_PAUSE_MAX, spread), pause);
        }
    }
}
