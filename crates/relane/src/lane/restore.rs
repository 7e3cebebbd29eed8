//! From assigned to active: offsets, state, waiting retries, in this order.

use std::collections::HashMap;

use kafka_io::member::Committed;
use kafka_io::reader::HeldRecord;
use pipeline::completion::{Completion, CompletionError};
use pipeline::dedupe::Dedupe;
use pipeline::record::{CommitPosition, Offset};
use pipeline::window::Window;

use crate::advice;
use crate::clock::Instant;
use crate::lane::checkpoint::STATE_GROUP;
use crate::lane::committed_offsets::QueryBudget;
use crate::lane::handles::Fetched;
use crate::lane::hooks::{self, Bug, FailPoint, is_planted};
use crate::lane::limits::{BOUNDS_ASK_MAX, REFUSALS_MAX};
use crate::lane::partition_state::{LastCommit, PartitionState, Phase, StopReason};
use crate::lane::processor::Processor;
use crate::lane::{Lane, LaneError};
use crate::stage::{Stage, State as _};

impl<S: Stage> Lane<S> {
    /// Moves every partition that is being restored one step on.
    pub(crate) fn restore_step(&mut self) -> Result<(), LaneError> {
        self.ask_offsets()?;
        if self.processor.iter().all(|owned| owned.is_active()) {
            return Ok(());
        }
        let positions = self.reader.positions().unwrap_or_default();
        for partition in self.processor.partitions() {
            let topics = &self.settings.topics;
            let owned = self.processor.owned_mut(partition).expect("just listed");
            let position = |topic: &str| {
                positions.get(&(topic.to_owned(), partition)).copied().unwrap_or(i64::MIN)
            };
            match owned.phase {
                Phase::LoadState { until } => {
                    let state = topics.state.as_deref().unwrap_or_default();
                    let is_read = position(state) >= until;
                    let read = self.read_state_back(partition, is_read);
                    self.or_refused(partition, read)?;
                }
                Phase::LoadRetries { until } if position(&topics.retry) >= until => {
                    owned.retry.pass(position(&topics.retry));
                    self.activate(partition);
                }
                _ => {}
            }
            self.tell_if_overdue(partition, &positions);
        }
        Ok(())
    }

    /// What a step of a restore came to; `None` where the partition is refused. An operator is to
    /// learn of all partitions at once, so that the lane goes on until it knows them.
    pub(crate) fn or_refused<T>(
        &mut self,
        partition: i32,
        result: Result<T, LaneError>,
    ) -> Result<Option<T>, LaneError> {
        let problems = match result {
            Err(LaneError::State(problems)) => problems,
            other => return other.map(Some),
        };
        tracing::debug!(partition, "refused: {}", advice::message(&problems));
        self.processor.owned_mut(partition).expect("it is being restored").phase = Phase::Refused;
        self.refusals.extend(problems);
        self.refused_at.get_or_insert_with(Instant::now);
        self.report_now();
        Ok(None)
    }

    /// Ends the lane when a partition was refused, and no lane of the process restores one any more.
    pub(crate) fn end_if_refused(&mut self) -> Result<(), LaneError> {
        let Some(refused_at) = self.refused_at else { return Ok(()) };
        let is_known =
            !self.processor.iter().any(PartitionState::is_restoring) && self.shared.are_restored();
        if is_known || refused_at.elapsed() >= REFUSALS_MAX || self.shared.stop.is_requested() {
            return Err(LaneError::State(std::mem::take(&mut self.refusals)));
        }
        Ok(())
    }

    /// Says once what a partition waits for whose restore takes too long.
    fn tell_if_overdue(&mut self, partition: i32, positions: &HashMap<(String, i32), i64>) {
        let topics = &self.settings.topics;
        let owned = self.processor.owned_mut(partition).expect("just listed");
        if owned.overdue_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        let (topic, until) = match owned.phase {
            Phase::LoadState { until } => (topics.state.as_deref().unwrap_or_default(), until),
            Phase::LoadRetries { until } => (topics.retry.as_str(), until),
            Phase::AskOffsets { .. } => {
                let words = "restore waits for the group's committed offsets: the coordinator \
                             does not answer, or a transaction over them is undecided";
                owned.note_overdue(words.to_owned());
                return;
            }
            _ => return,
        };
        let at = positions.get(&(topic.to_owned(), partition)).copied().unwrap_or(0);
        let words = format!(
            "restore waits at offset {at} of {topic}/{partition}, which ends at {until}: a \
             transaction may have been left open; look with kafka-transactions \
             --bootstrap-server {} describe-producers --topic {topic} --partition {partition}",
            self.settings.bootstrap_servers
        );
        owned.note_overdue(words);
    }

    /// Has the committed offsets: checks them against the topics and starts to read back.
    pub(crate) fn start_restore(
        &mut self,
        partition: i32,
        asks: QueryBudget,
        (main, retry): (Committed, Committed),
    ) -> Result<bool, LaneError> {
        let Some([main_bounds, retry_bounds, state_bounds]) = self.watermarks(partition, asks)
        else {
            return Ok(false);
        };
        let topics = self.settings.topics.clone();
        hooks::pass(FailPoint::InRestore, true);
        for (topic, committed, (low, _)) in
            [(&topics.main, &main, main_bounds), (&topics.retry, &retry, retry_bounds)]
        {
            if committed.position.is_none() && low > 0 {
                self.shared.notices.starts_late(topic, partition, low);
            }
        }
        let owned = self.processor.owned_mut(partition).expect("it is being restored");
        let (main_start, completion) = start(&main, main_bounds.0)?;
        let left = completion.tally(main_start).filter(|_| owned.takes_tally);
        owned.takes_tally = false;
        owned.main = Window::restore(main_start, &completion);
        owned.has_state = completion.has_averages();
        let (retry_start, completion) = start(&retry, retry_bounds.0)?;
        owned.retry = Window::restore(retry_start, &completion);
        owned.is_shared = completion.is_shared();
        owned.committed_main = last_commit(&main);
        owned.committed_retry = last_commit(&retry);
        if let Some(left) = left {
            self.processor.gate.carry_over(left);
        }
        for (topic, start, bounds) in
            [(&topics.main, main_start, main_bounds), (&topics.retry, retry_start, retry_bounds)]
        {
            if !self.is_within(topic, partition, start, bounds)? {
                return Ok(true);
            }
        }
        let owned = self.processor.owned_mut(partition).expect("it is being restored");
        let (low, until) = state_bounds;
        (owned.main_low, owned.retry_low) = (main_bounds.0, retry_bounds.0);
        owned.retry_load_until = retry_bounds.1;
        let Some(state) = topics.state.as_ref().filter(|_| low < until) else {
            self.load_retries(partition)?;
            return Ok(true);
        };
        owned.phase = Phase::LoadState { until };
        self.reader
            .start(state, partition, CommitPosition(low))
            .map_err(|error| LaneError::Failed(error.to_string()))?;
        Ok(true)
    }

    /// Watermarks of main, retry and state as a reader of uncommitted records sees them; `None` where
    /// a broker has not answered. To be asked after the stable offsets: the marker of a transaction
    /// that moved those may still be missing elsewhere.
    fn watermarks(&mut self, partition: i32, asks: QueryBudget) -> Option<[(i64, i64); 3]> {
        let topics = self.settings.topics.clone();
        let mut known = [(0, 0); 3];
        let all = [Some(&topics.main), Some(&topics.retry), topics.state.as_ref()];
        for (known, topic) in known.iter_mut().zip(all) {
            let Some(topic) = topic else { continue };
            match self.ends.bounds(topic, partition, asks.wait(BOUNDS_ASK_MAX)) {
                Ok(found) => *known = found,
                Err(error) => {
                    if asks.had_time() {
                        self.note_away(&error.to_string());
                    }
                    return None;
                }
            }
        }
        Some(known)
    }

    /// Whether the record at a committed offset is still there, or is to be done without; if not, the
    /// partition stands still.
    fn is_within(
        &mut self,
        topic: &String,
        partition: i32,
        start: CommitPosition,
        (low, high): (i64, i64),
    ) -> Result<bool, LaneError> {
        let settings = &self.settings;
        if start.0 > high {
            return Err(LaneError::offsets_beyond(settings, topic, partition, start.0, high));
        }
        if start.0 >= low {
            return Ok(true);
        }
        let owned = self.processor.owned_mut(partition).expect("it is being restored");
        let range = format!("{topic}/{partition} offsets {start} to {}", low - 1);
        if settings.accepts_gap {
            tracing::warn!("skipping {range}: deleted before they were read (--accept-gap)");
            let is_main = *topic == settings.topics.main;
            let window = if is_main { &mut owned.main } else { &mut owned.retry };
            window.pass(low); // what was settled above stays so
            return Ok(true);
        }
        let detail = format!(
            "{range} were deleted before they were read; restart with --accept-gap to go on without them"
        );
        tracing::error!(partition, "{detail}");
        owned.phase = Phase::Stopped { reason: StopReason::RetentionGap, detail };
        Ok(false)
    }

    /// Decodes what was fetched of the state; once all of it is read, goes on to the retries.
    fn read_state_back(&mut self, partition: i32, is_read: bool) -> Result<(), LaneError> {
        let index = usize::try_from(partition).expect("partition numbers start at 0");
        let Processor { owned, stage, .. } = &mut self.processor;
        let owned = owned[index].as_deref_mut().expect("it is being restored");
        let mut unread = std::mem::take(&mut owned.state_unread);
        let taken = take_in_order(&mut unread, |record| {
            restore_one(stage, owned, record, &self.settings.group)
        });
        owned.state_unread = unread;
        let is_taken = owned.state_unread.is_empty();
        if let Err(detail) = taken {
            if let Err(error) = self.stop_reading_state(partition) {
                tracing::warn!(%error, partition, "reading the state did not stop");
            }
            return Err(LaneError::foreign_state(&self.settings, &detail));
        }
        if !is_read || !is_taken {
            return Ok(());
        }
        self.stop_reading_state(partition)?;
        self.load_retries(partition)
    }

    fn stop_reading_state(&self, partition: i32) -> Result<(), LaneError> {
        let topic = self.settings.topics.state.as_deref().unwrap_or_default();
        let stopped = self.reader.stop(topic, partition);
        stopped.map_err(|error| LaneError::Failed(error.to_string()))
    }

    /// Has the state: checks it against the offsets, and reads what waits.
    fn load_retries(&mut self, partition: i32) -> Result<(), LaneError> {
        self.check_state(partition)?;
        let reach = self.settings.dedupe;
        let owned = self.processor.owned_mut(partition).expect("it is being restored");
        let (position, log_start) = (owned.main.position(), Offset(owned.main_low));
        owned.dedupe = reach.map(|reach| Dedupe::new(reach, position, log_start));
        let until = owned.retry_load_until;
        self.reader
            .start(&self.settings.topics.retry, partition, CommitPosition(owned.retry.top()))
            .map_err(|error| LaneError::Failed(error.to_string()))?;
        owned.phase = Phase::LoadRetries { until };
        if owned.retry.top() >= until {
            self.activate(partition);
        }
        Ok(())
    }

    fn activate(&mut self, partition: i32) {
        let owned = self.processor.owned_mut(partition).expect("it is being restored");
        owned.phase = Phase::Active;
        owned.waits_for = None;
        tracing::info!(
            partition,
            main = owned.main.top(),
            waiting = owned.waiting.len(),
            keys = owned.state.len(),
            "partition restored"
        );
    }
}

impl<S: Stage> Processor<S> {
    /// Keeps a fetched state record until the restore step decodes it.
    pub(crate) fn take_state(&mut self, record: &Fetched<'_>) {
        if let Some(owned) = self.owned_mut(record.partition())
            && matches!(owned.phase, Phase::LoadState { .. })
        {
            owned.state_unread.push(record.hold());
        }
    }
}

/// Takes records in one after the other, up to the first that cannot be taken yet, and leaves
/// the rest: of one product the last record counts, so that none may be taken before another.
fn take_in_order<T, E>(
    records: &mut Vec<T>,
    mut take: impl FnMut(&T) -> Result<bool, E>,
) -> Result<(), E> {
    let mut taken = 0;
    for record in &*records {
        if !take(record)? {
            break;
        }
        taken += 1;
    }
    records.drain(..taken);
    Ok(())
}

/// Takes one state record in; `false` when its schema is not known yet.
fn restore_one<S: Stage>(
    stage: &mut S,
    owned: &mut PartitionState<S::State>,
    record: &HeldRecord,
    group: &str,
) -> Result<bool, String> {
    let at = format!("partition {} offset {}", record.partition, record.offset);
    let text = |name| record.header(name).and_then(|value| std::str::from_utf8(value).ok());
    // A record without a value is a note without state or, where it names no group, a tombstone
    // that an operator wrote: its key starts anew.
    let writer = text(STATE_GROUP);
    let is_tombstone = record.value.is_none() && writer.is_none();
    if !is_tombstone {
        let writer = writer.ok_or_else(|| format!("{at} names no group"))?;
        if writer != group {
            return Err(format!("{at} belongs to group {writer:?}"));
        }
    }
    if record.value.is_none() && !is_tombstone {
        owned.checkpoint.take(record);
        return Ok(true);
    }
    let taken = stage
        .read_state(&mut owned.state, record.key.as_deref(), record.value.as_deref())
        .map_err(|detail| format!("{at}: {detail}"))?;
    if taken && !is_tombstone {
        owned.checkpoint.take(record);
    }
    Ok(taken)
}

/// Where a window starts, and what is settled above. Nothing committed starts at the first
/// record there is.
fn start(committed: &Committed, low: i64) -> Result<(CommitPosition, Completion), LaneError> {
    let Some(position) = committed.position else {
        return Ok((CommitPosition(low), Completion::at(CommitPosition(low))));
    };
    if is_planted(Bug::CompletionIgnored) {
        return Ok((position, Completion::at(position)));
    }
    match Completion::decode(&committed.metadata, position) {
        Ok(completion) => Ok((position, completion)),
        // To ignore it would run settled records again.
        Err(error @ CompletionError::Version(_)) => Err(LaneError::Failed(format!(
            "the offset committed at {position} was written by a newer consumer ({error}); \
             run that version, or a newer one"
        ))),
        Err(CompletionError::Malformed(_)) => {
            tracing::info!(%position, "the offset was committed by another tool");
            Ok((position, Completion::at(position)))
        }
    }
}

fn last_commit(committed: &Committed) -> Option<LastCommit> {
    let position = committed.position?;
    Some(LastCommit { position, metadata: committed.metadata.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_whose_schema_becomes_known_meanwhile_is_still_taken_before_those_behind_it() {
        let mut unread = vec![1, 2, 3];
        let mut taken = Vec::new();
        for is_known in [false, true] {
            let mut looks = 0;
            let take = |record: &i32| {
                looks += 1;
                // The schema arrives right after the first look.
                let can_take = is_known || looks > 1;
                if can_take {
                    taken.push(*record);
                }
                Ok::<_, String>(can_take)
            };
            take_in_order(&mut unread, take).unwrap();
        }
        assert_eq!((taken, unread), (vec![1, 2, 3], vec![]));
    }
}
