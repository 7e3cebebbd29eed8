//! Makes a turn durable: its records, state and offsets in one transaction.

use kafka_io::member::OffsetCommit;
use kafka_io::writer::WriteError;
use pipeline::completion::METADATA_CHARS_MIN;

use crate::clock::Instant;
use crate::lane::committer::Committer;
use crate::lane::count::count_committed;
use crate::lane::error::LaneError;
use crate::lane::handles::Writer;
use crate::lane::lane_core::Core;
use crate::lane::limits::{AWAY_PAUSE, REDO_MAX, STALE_MEMBER_MAX};
use crate::lane::membership::Membership;
use crate::lane::partition_state::LastCommit;
use crate::lane::shrink::has_too_many_suspects;
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

impl Committer {
    /// Commits the turn, if there is something to commit.
    pub(crate) fn settle<S: Stage>(
        &mut self,
        core: &mut Core<S>,
        membership: &mut Membership,
    ) -> Result<(), LaneError> {
        if !self.is_due(&core.processor) {
            // Skipped while their partition was being restored: nothing of them is committed.
            core.metrics.foreign.increment(core.processor.turn.foreign);
            core.processor.turn.restart();
            return Ok(());
        }
        let (mut stale_since, mut redos) = (None, 0);
        while redos < REDO_MAX && !core.shared.must_abandon() {
            let started = Instant::now();
            match self.try_commit(core, membership, &mut stale_since)? {
                Attempt::Committed => {
                    count_committed(core, started);
                    return Ok(());
                }
                Attempt::Redo => redos += 1,
                Attempt::CommittedLastly => {
                    count_committed(core, started);
                    self.outcome_unknown(
                        core,
                        "the connection to the coordinator was lost during the transaction",
                    );
                    return Ok(());
                }
                // Each record gets smaller a few times at most, so this ends by itself.
                Attempt::RedoSmaller => core.heartbeat(),
                Attempt::ReadAgain => return Ok(()),
            }
        }
        tracing::warn!(lane = core.index, "a transaction was not committed; reading state again");
        core.read_again();
        Ok(())
    }

    fn try_commit<S: Stage>(
        &mut self,
        core: &mut Core<S>,
        membership: &mut Membership,
        stale_since: &mut Option<Instant>,
    ) -> Result<Attempt, LaneError> {
        let result = self.write_turn(core, membership.member());
        self.note_deliveries(core);
        let lost = self.writer.as_ref().is_none_or(Writer::must_be_replaced);
        match result {
            Ok(offsets) => {
                if lost {
                    return Ok(Attempt::CommittedLastly);
                }
                self.note_offsets(core, offsets);
                core.processor.enter_forwards(core.settings.dialects());
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
                    core.metrics.transaction("aborted");
                }
                tracing::debug!(lane = core.index, %error, aborted, "transaction not committed; trying again");
                self.after_failure(core, membership, error, (aborted, stale_since))
            }
        }
    }

    /// Notes where the records of a turn were written.
    fn note_deliveries<S: Stage>(&self, core: &mut Core<S>) {
        let Some(writer) = &self.writer else { return };
        for (tag, offset) in writer.take_delivered() {
            if let Some(forward) = core.processor.turn.outbound.get_mut(tag) {
                forward.delivered_at = Some(offset);
            }
        }
    }

    /// Aborts the open transaction; `false` when the writer has to go.
    fn abort(&mut self) -> bool {
        self.writer.as_mut().is_some_and(|writer| writer.abort().is_ok())
    }

    fn after_failure<S: Stage>(
        &mut self,
        core: &mut Core<S>,
        membership: &mut Membership,
        error: WriteError,
        (aborted, stale_since): (bool, &mut Option<Instant>),
    ) -> Result<Attempt, LaneError> {
        if let WriteError::Denied(text) = error {
            return Err(LaneError::Denied(text));
        }
        if !aborted {
            if let WriteError::Fenced(text) = &error {
                self.note_fence(&core.settings, text)?;
            }
            self.outcome_unknown(core, &error.to_string());
            return Ok(Attempt::ReadAgain);
        }
        match error {
            WriteError::Refused(refused) => {
                self.shrink(core, &refused)?;
                if !core.passes_limit()? {
                    return Ok(Attempt::ReadAgain);
                }
                if has_too_many_suspects(core) {
                    self.be_careful();
                    core.read_again();
                    return Ok(Attempt::ReadAgain);
                }
                Ok(Attempt::RedoSmaller)
            }
            WriteError::MetadataTooLarge => {
                let Some(characters) = core.processor.metadata.halve() else {
                    return Err(LaneError::Failed(format!(
                        "the broker refuses offset metadata of {METADATA_CHARS_MIN} characters; \
                         raise its offset.metadata.max.bytes"
                    )));
                };
                tracing::warn!(
                    lane = core.index,
                    characters,
                    "the broker accepts less offset metadata; halving the limit"
                );
                core.read_again();
                Ok(Attempt::ReadAgain)
            }
            WriteError::StaleMember(_) => Ok(wait_for_membership(core, membership, stale_since)),
            other => {
                core.note_away(&other.to_string());
                crate::clock::sleep(AWAY_PAUSE);
                Ok(Attempt::Redo)
            }
        }
    }

    /// Whether the turn is visible is not known: a new writer with the same id settles it
    /// (the old transaction is decided before the new writer is ready), then state is read.
    fn outcome_unknown<S: Stage>(&mut self, core: &mut Core<S>, why: &str) {
        tracing::warn!(lane = core.index, why, "transaction outcome unknown; reading state again");
        core.metrics.transaction("unknown");
        self.writer = None;
        core.read_again();
        // If the turn is visible, its tally stands with the offsets, and nowhere else.
        core.processor.iter_mut().for_each(|owned| owned.takes_tally = true);
    }

    fn note_offsets<S: Stage>(&mut self, core: &mut Core<S>, offsets: Vec<OffsetCommit>) {
        let now = Instant::now();
        for commit in offsets {
            let is_main = commit.topic == core.settings.topics.main;
            let Some(owned) = core.processor.owned_mut(commit.partition) else { continue };
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
        core.brokers.note_answer();
    }
}

/// Redoes the turn while its partitions are still owned; else reads everything again.
fn wait_for_membership<S: Stage>(
    core: &mut Core<S>,
    membership: &mut Membership,
    stale_since: &mut Option<Instant>,
) -> Attempt {
    let since = *stale_since.get_or_insert_with(Instant::now);
    let is_revoked = membership.look_again(core);
    if is_revoked || since.elapsed() >= STALE_MEMBER_MAX {
        core.read_again();
        return Attempt::ReadAgain;
    }
    crate::clock::sleep(AWAY_PAUSE / 4);
    Attempt::Redo
}
