//! Moves waiting heads to the tail of their retry partition when the window needs too many runs.

use pipeline::record::Offset;

use crate::lane::limits::{
    REPARK_ABOVE_PERCENT, REPARK_DOWN_TO_PERCENT, REPARK_RECORDS_MAX, TURN_BYTES_MAX,
};
use crate::lane::outbound::{Destination, OutboundRecord};
use crate::lane::partition_state::PartitionState;
use crate::lane::processor::Processor;
use crate::stage::Stage;

/// The completion is measured once per this many moved records.
const RECORDS_PER_MEASURE: usize = 64;

/// Room that a completion without a single run may need.
const EMPTY_COMPLETION_BYTES: usize = 12;

impl<S: Stage> Processor<S> {
    /// Re-parks where the completion is nearly full: the lowest waiting records go to the
    /// tail in one transaction, sorted by due time, attempt and due time unchanged. There
    /// they are one run; those that are due run at once instead.
    pub(crate) fn repark(&mut self) {
        let limit_bytes = self.metadata.bytes();
        for partition in self.partitions() {
            let Some(owned) = self.owned_mut(partition) else { continue };
            let share = |percent| limit_bytes * percent / 100;
            if !owned.is_active() || owned.retry.unsettled() < 2 {
                continue;
            }
            let is_full = owned.retry.completion().encoded_len() > share(REPARK_ABOVE_PERCENT)
                || owned.retry.settle_budget(limit_bytes) == 0;
            if is_full {
                let down_to_bytes = share(REPARK_DOWN_TO_PERCENT).max(EMPTY_COMPLETION_BYTES);
                self.repark_partition(partition, down_to_bytes, limit_bytes);
            }
        }
    }

    /// Followers that are given up with their predecessor are settled all at once, wherever they
    /// stand: makes room in the same turn where that leaves too many runs.
    pub(crate) fn fit_windows(&mut self) {
        if !self.turn.has_given_up_waiting {
            return;
        }
        let limit_bytes = self.metadata.bytes();
        let down_to_bytes =
            (limit_bytes * REPARK_DOWN_TO_PERCENT / 100).max(EMPTY_COMPLETION_BYTES);
        for partition in self.partitions() {
            let is_too_long = |owned: &mut PartitionState<S::State>| {
                owned.is_active() && owned.retry.completion().encoded_len() > limit_bytes
            };
            if self.owned_mut(partition).is_some_and(is_too_long) {
                self.repark_partition(partition, down_to_bytes, limit_bytes);
            }
            if self.owned_mut(partition).is_some_and(is_too_long) {
                // Only what a handler works on is left where it was.
                self.recall_handlers(partition);
                self.repark_partition(partition, down_to_bytes, limit_bytes);
            }
        }
    }

    fn repark_partition(&mut self, partition: i32, down_to_bytes: usize, limit_bytes: usize) {
        let now_ms = self.now_ms;
        // Where others may have to go with a record, none runs while they are on the move.
        let runs_at_once = !self.in_flight.is_used() && !self.order.holds_followers();
        let Some(owned) = self.owned_mut(partition) else { return };
        let heads: Vec<Offset> = owned.retry.unsettled_offsets().collect();
        let mut moved: Vec<(i64, OutboundRecord)> = Vec::new();
        let mut bytes = 0;
        for (count, offset) in heads.into_iter().enumerate() {
            let Some(owned) = self.owned_mut(partition) else { break };
            if count % RECORDS_PER_MEASURE == 0 {
                let used = owned.retry.completion().encoded_len();
                // More than a turn's worth moves only if the commit would be refused otherwise.
                let is_much = count >= REPARK_RECORDS_MAX || bytes >= TURN_BYTES_MAX;
                let enough = is_much && used <= limit_bytes;
                if used <= down_to_bytes || enough {
                    break;
                }
            }
            if owned.waiting.is_running(offset) {
                continue;
            }
            let Some((due_at_ms, _)) = owned.waiting.get(offset) else { continue };
            if runs_at_once && owned.waiting.may_run(offset, now_ms) {
                self.run_waiting(partition, offset, None);
                continue;
            }
            let Some((_, pending)) = owned.waiting.remove(offset) else { continue };
            bytes += pending.record.bytes();
            self.expect(&pending);
            let outbound = OutboundRecord::new(pending, Destination::Repark, None, now_ms);
            moved.push((due_at_ms, outbound));
            self.settle_retry(partition, offset);
        }
        moved.sort_by_key(|(due_at_ms, forward)| (*due_at_ms, forward.pending.record.offset));
        if moved.is_empty() {
            return; // handlers are at all of them
        }
        tracing::info!(partition, moved = moved.len(), "waiting retries moved to the tail");
        self.turn.reparked += moved.len() as u64;
        for (_, forward) in moved {
            self.turn.take(forward.pending.record.bytes());
            self.turn.outbound.push(forward);
        }
    }
}
