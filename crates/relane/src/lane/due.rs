//! Runs the waiting records that are due.

use pipeline::record::Offset;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use rand::seq::IteratorRandom as _;

use crate::lane::limits::{DUE_RECORDS_MAX, PROBE_CHOICE_MAX, PROBE_RETRIES_MAX, TURN_BYTES_MAX};
use crate::lane::partition_state::PartitionState;
use crate::lane::processor::Processor;
use crate::stage::Stage;

/// The record that runs next. A probe takes any of those that are due: the first ones may fail for
/// good, again and again.
fn next_due<T>(
    owned: &PartitionState<T>,
    now_ms: i64,
    probe: Option<&mut SmallRng>,
) -> Option<Offset> {
    let mut due = owned.waiting.due(now_ms);
    match probe {
        None => due.next(),
        Some(random) => due.take(PROBE_CHOICE_MAX).choose(random),
    }
}

impl<S: Stage> Processor<S> {
    /// Runs the waiting records that are due, as far as the window can settle them.
    pub(crate) fn run_due(&mut self, records_max: usize) {
        if self.gate.leaves_retries() {
            return;
        }
        let now_ms = self.now_ms;
        let is_probe = self.gate.is_probe();
        let mut probe = is_probe.then(|| SmallRng::from_rng(&mut self.random));
        for partition in self.partitions() {
            let Some(owned) = self.owned_mut(partition) else { continue };
            let is_due = owned.waiting.next_due_at_ms().is_some_and(|due| due <= now_ms);
            if !owned.is_active() || !is_due {
                continue;
            }
            // The rest of a probe is for main.
            let retries_max = if is_probe { PROBE_RETRIES_MAX } else { DUE_RECORDS_MAX };
            if !self.run_due_of(partition, records_max.min(retries_max), probe.as_mut()) {
                return;
            }
        }
    }

    /// Runs those of one partition; `false` if the turn takes no more of any.
    fn run_due_of(
        &mut self,
        partition: i32,
        records_max: usize,
        mut probe: Option<&mut SmallRng>,
    ) -> bool {
        let (now_ms, limit_bytes) = (self.now_ms, self.metadata.bytes());
        let mut budget = 0;
        // One by one: what runs may free the next one of its key.
        loop {
            if self.turn.records >= records_max || self.turn.bytes >= TURN_BYTES_MAX {
                return false;
            }
            let Some(owned) = self.owned_mut(partition) else { return true };
            let Some(offset) = next_due(owned, now_ms, probe.as_deref_mut()) else { return true };
            // The lowest record shortens the completion; any other may lengthen it.
            if offset.0 != owned.retry.position().0 {
                if budget == 0 {
                    budget = owned.retry.settle_budget(limit_bytes);
                }
                if budget == 0 {
                    return true; // the next turn moves waiting heads out of the way
                }
                budget -= 1;
            }
            let consumed = self.turn.consumed_retry;
            if !self.may_start() {
                return false;
            }
            if self.in_flight.is_used() {
                self.start_retry(partition, offset);
            } else {
                self.run_waiting(partition, offset, None);
            }
            if self.turn.consumed_retry > consumed + 1 {
                budget = 0; // others were given up with it: the window is asked anew
            }
        }
    }
}
