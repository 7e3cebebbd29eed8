//! A failed record is put on its way: to the retry topic with a due time, or to the dead letters.

use kafka_io::reader::HeldRecord;
use pipeline::failure::Failure;
use pipeline::headers::Origin;
use pipeline::route::{Route, route};
use rand::Rng as _;

use crate::lane::limits::{HOP_BYTES, WAITING_OVERHEAD_BYTES};
use crate::lane::outbound::{Destination, HopParts, OutboundRecord};
use crate::lane::partition_state::PendingRecord;
use crate::lane::processor::Processor;
use crate::stage::Stage;

impl<S: Stage> Processor<S> {
    pub(super) fn forward_first(&mut self, record: HeldRecord, origin: Origin, failure: Failure) {
        let place = record.key.is_some().then_some(record.offset);
        self.forward(PendingRecord { place, ..PendingRecord::first(record, origin) }, 1, failure);
    }

    /// Puts a failed record on its way.
    pub(super) fn forward(&mut self, waiter: PendingRecord, attempt: u32, failure: Failure) {
        let spread = self.random.random::<f64>();
        let destination = match route(&failure, attempt, &self.plan, spread) {
            Route::DeadLetter => Destination::DeadLetter,
            Route::Retry(wait) => {
                let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                Destination::Retry { due_at_ms: self.now_ms.saturating_add(wait_ms) }
            }
        };
        let mut dead = None;
        if destination == Destination::DeadLetter {
            self.gate.dead_letter(&failure);
            let key = waiter.record.key.as_deref();
            dead = self.predecessor(waiter.record.partition, key, waiter.place);
        }
        self.send(waiter, attempt, Some(failure), destination);
        if let Some(dead) = dead {
            self.give_up_followers(&dead);
        }
    }

    /// Adds a record to what the turn writes, with its entry in the outcome log.
    pub(crate) fn send(
        &mut self,
        waiter: PendingRecord,
        attempt: u32,
        failure: Option<Failure>,
        destination: Destination,
    ) {
        if let Some(entry) = self.turn.outcomes.last_mut().filter(|_| self.keeps_outcomes) {
            entry.forward = Some(self.turn.outbound.len());
        }
        if destination != Destination::DeadLetter {
            self.expect(&waiter);
            if !waiter.carries_lineage {
                self.turn.enter(waiter.record.bytes() + HOP_BYTES + WAITING_OVERHEAD_BYTES);
            }
        }
        let hop = HopParts {
            origin: waiter.origin,
            carries_lineage: waiter.carries_lineage,
            carries_first_failed: waiter.carries_first_failed,
            attempt,
            failure,
            now_ms: self.now_ms,
        };
        self.turn.outbound.push(OutboundRecord::new(
            waiter.record,
            waiter.place,
            destination,
            Some(hop),
        ));
    }
}
