//! What follows from an attempt: a failed record is put on its way, to the retry topic with a due time
//! or to the dead letters.

use std::time::Duration;

use pipeline::failure::Failure;
use pipeline::record::Timestamp;
use pipeline::retry::RetryPlan;
use pipeline::route::{Route, route};
use rand::Rng as _;

use crate::lane::attempt::Attempted;
use crate::lane::attempt_span::AttemptSpan;
use crate::lane::limits::{HOP_BYTES, WAITING_OVERHEAD_BYTES};
use crate::lane::outbound::{Destination, OutboundRecord};
use crate::lane::pending::PendingRecord;
use crate::lane::processor::Processor;
use crate::stage::Stage;

impl<S: Stage> Processor<S> {
    /// Takes in how an attempt went. `None` if the record is done with, and the record itself if it stays
    /// unsettled and is to be held.
    pub(crate) fn conclude<T>(
        &mut self,
        attempted: Attempted,
        attempt: u32,
        timestamp: Timestamp,
        record: T,
        pending: impl FnOnce(&Self, T) -> PendingRecord,
    ) -> Option<T> {
        let span = self.turn.attempted.take();
        match attempted {
            Attempted::Unresolved => return Some(record),
            Attempted::Counted => {
                self.turn.ended.push(timestamp.ms);
                if let Some(span) = span {
                    self.turn.attempts.push(*span);
                }
            }
            Attempted::Failed(failure, wait_min) => {
                let pending = PendingRecord { attempt, ..pending(self, record) };
                self.forward(pending, *failure, wait_min, span);
            }
        }
        None
    }

    /// Puts a failed record on its way.
    fn forward(
        &mut self,
        pending: PendingRecord,
        failure: Failure,
        wait_min: Duration,
        span: Option<Box<AttemptSpan>>,
    ) {
        let spread = self.random.random::<f64>();
        let destination = match route(&failure, pending.attempt, &self.plan, spread) {
            Route::DeadLetter => Destination::DeadLetter,
            Route::Retry(wait) => {
                let wait = wait.max(wait_min.min(RetryPlan::DELAY_MAX));
                let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                Destination::Retry { due_at_ms: self.now_ms.saturating_add(wait_ms) }
            }
        };
        let mut dead = None;
        if destination == Destination::DeadLetter {
            self.gate.dead_letter(&failure);
            dead = self.predecessor(&pending);
        }
        self.send(pending, Some(failure), destination);
        if let Some(outbound) = self.turn.outbound.last_mut() {
            outbound.attempt = span;
        }
        if let Some(dead) = dead {
            self.give_up_followers(&dead);
        }
    }

    /// Adds a record to what the turn writes, with its entry in the outcome log.
    pub(crate) fn send(
        &mut self,
        pending: PendingRecord,
        failure: Option<Failure>,
        destination: Destination,
    ) {
        if let Some(entry) = self.turn.outcomes.last_mut().filter(|_| self.keeps_outcomes) {
            entry.forward = Some(self.turn.outbound.len());
        }
        if destination != Destination::DeadLetter {
            self.expect(&pending);
            if !pending.carries_lineage {
                self.turn.enter(pending.record.bytes() + HOP_BYTES + WAITING_OVERHEAD_BYTES);
            }
        }
        let outbound = OutboundRecord::new(pending, destination, failure, self.now_ms);
        self.turn.outbound.push(outbound);
    }
}
