//! From assigned to active: offsets, state, waiting retries, in this order.

use std::collections::HashMap;
use std::time::Duration;

use fail::fail_point;
use kafka_io::member::Committed;
use kafka_io::native::return_freed_memory;
use pipeline::completion::{Completion, CompletionError};
use pipeline::dedupe::Dedupe;
use pipeline::record::{CommitPosition, Offset};
use pipeline::window::Window;

use crate::advice::{self, Problem};
use crate::clock::Instant;
use crate::kafka_commands::describe_producers;
use crate::lane::error::LaneError;
use crate::lane::handles::Member;
use crate::lane::lane_core::{Core, failed};
use crate::lane::limits::{BOUNDS_ASK, BOUNDS_ASK_MAX, COMMITTED_ASK, MANY_KEYS_MIN, REFUSALS_MAX};
use crate::lane::partition_state::{LastCommit, PartitionState, Phase, StopReason};
use crate::lane::processor::Processor;
use crate::lane::query_budget::QueryBudget;
use crate::lane::state_reader::{restore_one, take_in_order};
use crate::stage::{Stage, State as _};

/// Brings partitions from assigned to active.
#[derive(Debug)]
pub(crate) struct Restorer {
    /// What is wrong with the partitions that were refused, and when the first one was.
    refusals: Vec<Problem>,
    refused_at: Option<Instant>,
    /// How long the next question for committed offsets may take.
    pub(crate) committed_ask: Duration,
    /// How long the next question for the watermarks of a partition may take.
    pub(crate) bounds_ask: Duration,
    /// Keys that were read back since memory was returned.
    keys_read: usize,
}

impl Restorer {
    pub(crate) const fn new() -> Self {
        Self {
            refusals: Vec::new(),
            refused_at: None,
            committed_ask: COMMITTED_ASK,
            bounds_ask: BOUNDS_ASK,
            keys_read: 0,
        }
    }

    /// Moves every partition that is being restored one step on; whether any was refused.
    pub(crate) fn step<S: Stage>(
        &mut self,
        core: &mut Core<S>,
        member: &Member,
    ) -> Result<bool, LaneError> {
        let refusals = self.refusals.len();
        self.ask_offsets(core, member)?;
        if core.processor.iter().all(|owned| owned.is_active()) {
            return Ok(false);
        }
        let positions = core.reader.positions();
        for partition in core.processor.partitions() {
            let topics = &core.settings.topics;
            let Some(owned) = core.processor.owned_mut(partition) else { continue };
            let was_active = owned.is_active();
            let position = |topic: &str| {
                positions.get(&(topic.to_owned(), partition)).copied().unwrap_or(i64::MIN)
            };
            match owned.phase {
                Phase::LoadState { until } => {
                    let state = topics.state.as_deref().unwrap_or_default();
                    let is_read = position(state) >= until;
                    let read = read_state_back(core, partition, is_read);
                    self.or_refused(core, partition, read)?;
                }
                Phase::LoadRetries { until } if position(&topics.retry) >= until => {
                    owned.retry.pass(position(&topics.retry));
                    activate(core, partition);
                }
                _ => {}
            }
            tell_if_overdue(core, partition, &positions);
            let Some(owned) = core.processor.owned_mut(partition) else { continue };
            if owned.is_active() && !was_active {
                self.keys_read += owned.state.len();
            }
        }
        if !core.processor.iter().any(PartitionState::is_restoring) {
            self.return_what_was_read();
        }
        Ok(self.refusals.len() > refusals)
    }

    /// What many keys were read from was fetched beside them, and lies freed between them.
    fn return_what_was_read(&mut self) {
        if std::mem::take(&mut self.keys_read) >= MANY_KEYS_MIN {
            return_freed_memory();
        }
    }

    /// What a step of a restore came to; `None` where the partition is refused. An operator is to
    /// learn of all partitions at once, so that the lane goes on until it knows them.
    pub(crate) fn or_refused<S: Stage, T>(
        &mut self,
        core: &mut Core<S>,
        partition: i32,
        result: Result<T, LaneError>,
    ) -> Result<Option<T>, LaneError> {
        let problems = match result {
            Err(LaneError::State(problems)) => problems,
            other => return other.map(Some),
        };
        tracing::debug!(partition, "refused: {}", advice::message(&problems));
        if let Some(owned) = core.processor.owned_mut(partition) {
            owned.phase = Phase::Refused;
        }
        self.refusals.extend(problems);
        self.refused_at.get_or_insert_with(Instant::now);
        Ok(None)
    }

    /// Ends the lane when a partition was refused, and no lane of the process restores one any more.
    pub(crate) fn end_if_refused<S: Stage>(&mut self, core: &Core<S>) -> Result<(), LaneError> {
        let Some(refused_at) = self.refused_at else { return Ok(()) };
        let is_known =
            !core.processor.iter().any(PartitionState::is_restoring) && core.shared.are_restored();
        if is_known || refused_at.elapsed() >= REFUSALS_MAX || core.shared.stop.is_requested() {
            return Err(LaneError::State(std::mem::take(&mut self.refusals)));
        }
        Ok(())
    }

    /// Has the committed offsets: checks them against the topics and starts to read back.
    pub(crate) fn start_restore<S: Stage>(
        &self,
        core: &mut Core<S>,
        partition: i32,
        asks: QueryBudget,
        (main, retry): (Committed, Committed),
    ) -> Result<bool, LaneError> {
        let Some([main_bounds, retry_bounds, state_bounds]) = watermarks(core, partition, asks)
        else {
            return Ok(false);
        };
        let topics = core.settings.topics.clone();
        fail_point!("in-restore", |_| std::process::abort());
        for (topic, committed, (low, _)) in
            [(&topics.main, &main, main_bounds), (&topics.retry, &retry, retry_bounds)]
        {
            if committed.position.is_none() && low > 0 {
                core.shared.notices.starts_late(topic, partition, low);
            }
        }
        let Some(owned) = core.processor.owned_mut(partition) else { return Ok(true) };
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
            core.processor.gate.carry_over(left);
        }
        for (topic, start, bounds) in
            [(&topics.main, main_start, main_bounds), (&topics.retry, retry_start, retry_bounds)]
        {
            if !is_within(core, topic, partition, start, bounds)? {
                return Ok(true);
            }
        }
        let Some(owned) = core.processor.owned_mut(partition) else { return Ok(true) };
        let (low, until) = state_bounds;
        (owned.main_low, owned.retry_low) = (main_bounds.0, retry_bounds.0);
        owned.retry_load_until = retry_bounds.1;
        let Some(state) = topics.state.as_ref().filter(|_| low < until) else {
            load_retries(core, partition)?;
            return Ok(true);
        };
        owned.phase = Phase::LoadState { until };
        core.reader.start(state, partition, CommitPosition(low)).map_err(failed)?;
        Ok(true)
    }
}

/// Says once what a partition waits for whose restore takes too long.
fn tell_if_overdue<S: Stage>(
    core: &mut Core<S>,
    partition: i32,
    positions: &HashMap<(String, i32), i64>,
) {
    let topics = &core.settings.topics;
    let Some(owned) = core.processor.owned_mut(partition) else { return };
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
         transaction may have been left open; check with {}",
        describe_producers(&core.settings.bootstrap_servers, topic, partition)
    );
    owned.note_overdue(words);
}

/// Watermarks of main, retry and state as a reader of uncommitted records sees them; `None` where
/// a broker has not answered. To be asked after the stable offsets: the marker of a transaction
/// that moved those may still be missing elsewhere.
fn watermarks<S: Stage>(
    core: &mut Core<S>,
    partition: i32,
    asks: QueryBudget,
) -> Option<[(i64, i64); 3]> {
    let topics = core.settings.topics.clone();
    let mut known = [(0, 0); 3];
    let all = [Some(&topics.main), Some(&topics.retry), topics.state.as_ref()];
    for (known, topic) in known.iter_mut().zip(all) {
        let Some(topic) = topic else { continue };
        match core.ends.bounds(topic, partition, asks.wait(BOUNDS_ASK_MAX)) {
            Ok(found) => *known = found,
            Err(error) => {
                if asks.had_time() {
                    core.note_away(&error.to_string());
                }
                return None;
            }
        }
    }
    Some(known)
}

/// Whether the record at a committed offset is still there, or is to be done without; if not, the
/// partition stands still.
fn is_within<S: Stage>(
    core: &mut Core<S>,
    topic: &str,
    partition: i32,
    start: CommitPosition,
    (low, high): (i64, i64),
) -> Result<bool, LaneError> {
    let settings = &core.settings;
    if start.0 > high {
        return Err(LaneError::offsets_beyond(settings, topic, partition, start.0, high));
    }
    if start.0 >= low {
        return Ok(true);
    }
    let Some(owned) = core.processor.owned_mut(partition) else { return Ok(false) };
    let range = format!("{topic}/{partition} offsets {start} to {}", low - 1);
    if settings.accepts_gap {
        tracing::warn!(
            "skipping {range}: deleted before they were read ({})",
            settings.words.settings.accept_gap
        );
        let is_main = topic == settings.topics.main;
        let window = if is_main { &mut owned.main } else { &mut owned.retry };
        window.pass(low); // what was settled above stays so
        return Ok(true);
    }
    let detail = format!(
        "{range} were deleted before they were read; restart with {} to continue without them",
        settings.words.settings.accept_gap
    );
    tracing::error!(partition, "{detail}");
    owned.phase = Phase::Stopped { reason: StopReason::RetentionGap, detail };
    Ok(false)
}

/// Decodes what was fetched of the state; once all of it is read, goes on to the retries.
fn read_state_back<S: Stage>(
    core: &mut Core<S>,
    partition: i32,
    is_read: bool,
) -> Result<(), LaneError> {
    let Processor { owned, stage, .. } = &mut core.processor;
    let index = usize::try_from(partition).ok();
    let owned = index.and_then(|index| owned.get_mut(index)?.as_deref_mut());
    let Some(owned) = owned else { return Ok(()) };
    let mut unread = std::mem::take(&mut owned.state_unread);
    let taken = take_in_order(&mut unread, |record| {
        restore_one(stage, owned, record, &core.settings.group)
    });
    owned.state_unread = unread;
    let is_taken = owned.state_unread.is_empty();
    if let Err(detail) = taken {
        if let Err(error) = stop_reading_state(core, partition) {
            tracing::warn!(%error, partition, "the state reader did not stop");
        }
        return Err(LaneError::foreign_state(&core.settings, &detail));
    }
    if !is_read || !is_taken {
        return Ok(());
    }
    stop_reading_state(core, partition)?;
    load_retries(core, partition)
}

fn stop_reading_state<S: Stage>(core: &Core<S>, partition: i32) -> Result<(), LaneError> {
    let topic = core.settings.topics.state.as_deref().unwrap_or_default();
    let stopped = core.reader.stop(topic, partition);
    stopped.map_err(failed)
}

/// Has the state: checks it against the offsets, and reads what waits.
fn load_retries<S: Stage>(core: &mut Core<S>, partition: i32) -> Result<(), LaneError> {
    core.check_state(partition)?;
    let reach = core.settings.dedupe;
    let Some(owned) = core.processor.owned_mut(partition) else { return Ok(()) };
    let (position, log_start) = (owned.main.position(), Offset(owned.main_low));
    owned.dedupe = reach.map(|reach| Dedupe::new(reach, position, log_start));
    let until = owned.retry_load_until;
    core.reader
        .start(&core.settings.topics.retry, partition, CommitPosition(owned.retry.top()))
        .map_err(failed)?;
    owned.phase = Phase::LoadRetries { until };
    if owned.retry.top() >= until {
        activate(core, partition);
    }
    Ok(())
}

fn activate<S: Stage>(core: &mut Core<S>, partition: i32) {
    let Some(owned) = core.processor.owned_mut(partition) else { return };
    owned.phase = Phase::Active;
    owned.waits_for = None;
    tracing::debug!(
        partition,
        main = owned.main.top(),
        waiting = owned.waiting.len(),
        keys = owned.state.len(),
        "partition restored"
    );
}

/// Where a window starts, and what is settled above. Nothing committed starts at the first
/// record there is.
fn start(committed: &Committed, low: i64) -> Result<(CommitPosition, Completion), LaneError> {
    let Some(position) = committed.position else {
        return Ok((CommitPosition(low), Completion::at(CommitPosition(low))));
    };
    match Completion::decode(&committed.metadata, position) {
        Ok(completion) => Ok((position, completion)),
        // To ignore it would run settled records again.
        Err(error @ CompletionError::Version(_)) => Err(LaneError::Failed(format!(
            "the offset committed at {position} was written by a newer consumer ({error}); \
             run that version or a newer one"
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
