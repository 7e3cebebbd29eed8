//! `--order key`: records of one key one after the other, also across retries.
//!
//! What may run is decided by the key table of [`pipeline::waiting::Waiting`]. Here stands what
//! becomes of a record whose key is parked, and how a forwarded record starts to wait in the
//! moment of its commit: else a key with a steady stream would never get free.

use kafka_io::reader::HeldRecord;
use pipeline::headers::{Dialects, Lineage, Origin};
use pipeline::record::{Offset, Timestamp};
use pipeline::window::Fetched;

use crate::lane::limits::HOP_BYTES;
use crate::lane::outbound::{Destination, OutboundRecord};
use crate::lane::outcomes::OutcomeEntry;
use crate::lane::pending::PendingRecord;
use crate::lane::processor::Processor;
use crate::stage::Stage;

impl<S: Stage> Processor<S> {
    /// The place of a record from the retry topic in the order of its key. One that was
    /// redriven, or that comes from elsewhere, has none.
    fn place(&self, record: &HeldRecord, lineage: &Lineage) -> Option<Offset> {
        let origin = &lineage.origin;
        let is_ordered = record.key.is_some()
            && lineage.redrive_count == 0
            && origin.partition == record.partition
            && origin.topic == self.main_topic;
        is_ordered.then_some(Offset(origin.offset))
    }

    /// The record is on its way to retry: its key is parked.
    pub(crate) fn expect(&mut self, pending: &PendingRecord) {
        if let Some(owned) = self.owned_mut(pending.record.partition) {
            owned.waiting.expect(pending.sequence());
        }
    }

    /// A record of the retry topic as one that waits, and when it is due.
    pub(crate) fn pending(
        &self,
        record: HeldRecord,
        lineage: Option<Lineage>,
    ) -> (i64, PendingRecord) {
        let Some(lineage) = lineage else {
            // Somebody else put it there: attempt 1 of itself.
            let origin = self.origin(record.partition, record.offset, record.timestamp, true);
            return (0, PendingRecord::first(record, origin));
        };
        let pending = PendingRecord {
            place: self.place(&record, &lineage),
            origin: lineage.origin,
            attempt: lineage.attempt,
            redrive_count: lineage.redrive_count,
            carries_lineage: true,
            carries_first_failed: lineage.has_first_failed,
            record,
        };
        (lineage.due_at_ms, pending)
    }

    /// Sends a main record behind those of its key that wait, untried.
    pub(crate) fn forward_behind(&mut self, record: HeldRecord, origin: Origin) {
        if self.keeps_outcomes {
            // Only told if the retry topic refuses it.
            self.turn.outcomes.push(OutcomeEntry::untried(&record, &origin, 0));
        }
        let pending = PendingRecord::of_main(record, origin);
        self.send(pending, None, Destination::Behind { due_at_ms: self.now_ms });
    }

    /// The turn is durable: what it forwarded to retry waits from now on.
    pub(crate) fn enter_forwards(&mut self, dialects: Dialects<'_>) {
        let keeps_order = self.order.is_kept();
        let mut outbound = std::mem::take(&mut self.turn.outbound);
        for forward in &mut outbound {
            let is_entered = keeps_order && self.enter(forward, dialects);
            if !is_entered && forward.is_to_retry() {
                self.note_unread(forward);
            }
        }
        self.turn.outbound = outbound; // they are counted next
    }

    /// A record was written that waits when it is fetched; until then it is counted.
    fn note_unread(&mut self, forward: &OutboundRecord) {
        let record = &forward.pending.record;
        let bytes = record.bytes() + if forward.is_repark() { 0 } else { HOP_BYTES };
        if let Some(owned) = self.owned_mut(record.partition) {
            let next = Offset(owned.retry.top());
            owned.unread.push(forward.delivered_at, next, bytes);
        }
    }

    /// Lets a forwarded record wait, as if it had been fetched; `false` if it does so only then.
    fn enter(&mut self, forward: &mut OutboundRecord, dialects: Dialects<'_>) -> bool {
        if forward.pending.place.is_none() {
            return false;
        }
        let (partition, is_to_retry) = (forward.pending.record.partition, forward.is_to_retry());
        let Some(owned) = self.owned_mut(partition) else { return false };
        if !is_to_retry {
            owned.waiting.give_up(forward.pending.sequence());
            return false;
        }
        // Without a report it starts to wait when it is fetched; its key is parked until then.
        let Some(offset) = forward.delivered_at else { return false };
        if owned.retry.hold_early(offset) != Fetched::New {
            return true; // it was fetched already
        }
        let headers = forward.wire(dialects).headers;
        let record = HeldRecord {
            partition,
            offset,
            timestamp: Timestamp { ms: forward.now_ms, ..forward.pending.record.timestamp },
            key: forward.pending.record.key.take(),
            value: forward.pending.record.value.take(),
            headers,
        };
        let lineage = Lineage::read(|name| record.header(name));
        let (due_at_ms, pending) = self.pending(record, lineage);
        if let Some(owned) = self.owned_mut(partition) {
            owned.wait(offset, due_at_ms, pending);
        }
        true
    }
}
