//! Asks for the committed offsets of partitions that are to be restored, a little in each turn.
//!
//! While a transaction of a previous owner is undecided the brokers do not answer, and each
//! question takes all the time it is given. Partitions that are active stand still meanwhile.

use std::time::Duration;

use kafka_io::member::{AskError, Committed};

use crate::clock::Instant;
use crate::lane::error::LaneError;
use crate::lane::handles::Member;
use crate::lane::lane_core::Core;
use crate::lane::limits::{
    ASK_BUDGET, ASK_BUDGET_IDLE, ASK_PAUSE_SHARE, BOUNDS_ASK, BOUNDS_ASK_MAX, COMMITTED_ASK,
    COMMITTED_ASK_ALL, COMMITTED_ASK_MAX, COMMITTED_PAUSE,
};
use crate::lane::partition_state::{PartitionState, Phase};
use crate::lane::query_budget::QueryBudget;
use crate::lane::restore::Restorer;
use crate::stage::Stage;

impl Restorer {
    /// Asks for offsets that are not known, and starts to read back where there is an answer.
    pub(crate) fn ask_offsets<S: Stage>(
        &mut self,
        core: &mut Core<S>,
        member: &Member,
    ) -> Result<(), LaneError> {
        let (fresh, again) = asking(core);
        if fresh.is_empty() && again.is_empty() {
            return Ok(());
        }
        let has_other_work =
            |owned: &PartitionState<S::State>| !matches!(owned.phase, Phase::AskOffsets { .. });
        let budget =
            if core.processor.iter().any(has_other_work) { ASK_BUDGET } else { ASK_BUDGET_IDLE };
        let (asks, began_at) = (QueryBudget::of(budget), Instant::now());
        let (mut is_answered, mut is_first) = (true, fresh.is_empty());
        // New ones all at once, then one by one: an undecided transaction over one partition must
        // not hold up the others.
        if !fresh.is_empty() {
            let wait = self.committed_ask.max(COMMITTED_ASK_ALL);
            is_answered &= self.ask(core, member, &fresh, wait, asks)?;
        }
        for partition in again {
            if !is_first && asks.is_over() {
                break;
            }
            // Brokers that are far away need more than a budget: the first one has it.
            let wait = if is_first { self.committed_ask } else { asks.wait(self.committed_ask) };
            is_answered &= self.ask(core, member, &[partition], wait, asks)?;
            is_first = false;
        }
        // Short waits find those that are decided among many, long ones far brokers: in turns.
        self.committed_ask = match self.committed_ask {
            wait if is_answered => wait,
            wait if wait >= COMMITTED_ASK_MAX => COMMITTED_ASK,
            wait => (wait * 2).min(COMMITTED_ASK_MAX),
        };
        // Those that had no turn keep their place before those that had.
        let spent = began_at.elapsed();
        let later = Instant::now() + COMMITTED_PAUSE.max(spent * ASK_PAUSE_SHARE);
        for owned in core.processor.iter_mut() {
            if let Phase::AskOffsets { again_at, .. } = &mut owned.phase {
                *again_at = later;
            }
        }
        Ok(())
    }

    /// One question; whether it has an answer.
    fn ask<S: Stage>(
        &mut self,
        core: &mut Core<S>,
        member: &Member,
        partitions: &[i32],
        wait: Duration,
        asks: QueryBudget,
    ) -> Result<bool, LaneError> {
        let now = Instant::now();
        let answer = committed(core, member, partitions, wait);
        core.heartbeat();
        for partition in partitions {
            if let Some(owned) = core.processor.owned_mut(*partition)
                && let Phase::AskOffsets { asked_at, .. } = &mut owned.phase
            {
                *asked_at = Some(now);
            }
        }
        let committed = match answer {
            Ok(committed) => committed,
            Err(AskError::Refused(text)) => return Err(LaneError::Denied(text)),
            // A fenced member is told so as well, for good.
            Err(AskError::Undecided | AskError::Fenced(_)) => return Ok(false),
            Err(error @ (AskError::Away(_) | AskError::MetadataTooLarge)) => {
                core.note_away(&error.to_string());
                return Ok(false);
            }
        };
        core.brokers.note_answer();
        let mut is_started = true;
        for (index, (&partition, committed)) in partitions.iter().zip(committed).enumerate() {
            // The first is asked about whatever the time is, so that each turn comes further.
            let is_first = index == 0;
            if is_started && (is_first || !asks.is_over()) {
                let asks = if is_first { QueryBudget::of(self.bounds_ask) } else { asks };
                let started = self.start_restore(core, partition, asks, committed);
                is_started = self.or_refused(core, partition, started)?.unwrap_or(true);
                if is_started {
                    self.bounds_ask = BOUNDS_ASK;
                } else if is_first {
                    self.bounds_ask = (self.bounds_ask * 2).min(BOUNDS_ASK_MAX);
                }
                core.heartbeat();
            } else if let Some(owned) = core.processor.owned_mut(partition)
                && let Phase::AskOffsets { asked_at, .. } = &mut owned.phase
            {
                *asked_at = None; // there is an answer: with the others, next time
            }
        }
        Ok(is_started)
    }
}

/// Partitions whose offsets are due to be asked for: those that never were, and the others,
/// the one that waits longest first.
fn asking<S: Stage>(core: &Core<S>) -> (Vec<i32>, Vec<i32>) {
    let now = Instant::now();
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for owned in core.processor.iter() {
        match owned.phase {
            Phase::AskOffsets { again_at, .. } if again_at > now => {}
            Phase::AskOffsets { asked_at: None, .. } => fresh.push(owned.partition),
            Phase::AskOffsets { asked_at: Some(at), .. } => again.push((at, owned.partition)),
            _ => {}
        }
    }
    again.sort_unstable();
    (fresh, again.into_iter().map(|(_, partition)| partition).collect())
}

/// Committed offsets of main and retry for each partition.
fn committed<S: Stage>(
    core: &Core<S>,
    member: &Member,
    partitions: &[i32],
    wait: Duration,
) -> Result<Vec<(Committed, Committed)>, AskError> {
    let topics = &core.settings.topics;
    let pairs: Vec<(&str, i32)> = partitions
        .iter()
        .flat_map(|p| [(topics.main.as_str(), *p), (topics.retry.as_str(), *p)])
        .collect();
    let mut answer = member.committed(&pairs, wait)?.into_iter();
    let mut committed = Vec::with_capacity(partitions.len());
    while let (Some(main), Some(retry)) = (answer.next(), answer.next()) {
        committed.push((main, retry));
    }
    Ok(committed)
}
