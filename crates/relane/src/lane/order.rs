//! `--order key`: records of one key one after the other, also across retries.
//!
//! What may run is decided by the key table of [`pipeline::waiting::Waiting`]. Here stands what
//! becomes of a record whose key is parked, and how a forwarded record starts to wait in the
//! moment of its commit: else a key with a steady stream would never get free.

use kafka_io::reader::HeldRecord;
use pipeline::headers::{Dialects, Lineage, Origin};
use pipeline::record::Offset;
use pipeline::waiting::Sequence;
use pipeline::window::Fetched;

use crate::lane::Lane;
use crate::lane::limits::HOP_BYTES;
use crate::lane::outbound::{Destination, OutboundRecord};
use crate::lane::outcomes::OutcomeEntry;
use crate::lane::partition_state::PendingRecord;
use crate::lane::processor::Processor;
use crate::stage::{RecordId, Stage};

impl<S: Stage> Lane<S> {
    /// Notes where the records of a turn were written.
    pub(crate) fn note_deliveries(&mut self) {
        let Some(writer) = &self.writer else { return };
        for (tag, offset) in writer.take_delivered() {
            if let Some(forward) = self.processor.turn.outbound.get_mut(tag) {
                forward.delivered_at = Some(offset);
            }
        }
    }

    /// The turn is durable: what it forwarded to retry waits from now on.
    pub(crate) fn enter_forwards(&mut self) {
        let (dialects, keeps_order) = (self.settings.dialects, self.settings.order.is_kept());
        let mut outbound = std::mem::take(&mut self.processor.turn.outbound);
        for forward in &mut outbound {
            let is_entered = keeps_order && self.processor.enter(forward, dialects);
            if !is_entered && forward.is_to_retry() {
                self.processor.note_unread(forward);
            }
        }
        self.processor.turn.outbound = outbound; // they are counted next
    }
}

impl<S: Stage> Processor<S> {
    /// The place of a record from the retry topic in the order of its key. One that was
    /// redriven, or that comes from elsewhere, has none.
    pub(crate) fn place(&self, record: &HeldRecord, lineage: &Lineage) -> Option<Offset> {
        let origin = &lineage.origin;
        let is_ordered = record.key.is_some()
            && lineage.redrive_count == 0
            && origin.partition == record.partition
            && origin.topic == self.main_topic;
        is_ordered.then_some(Offset(origin.offset))
    }

    /// The record is on its way to retry: its key is parked.
    pub(crate) fn expect(&mut self, waiter: &PendingRecord) {
        let sequence = sequence(waiter.record.key.as_deref(), waiter.place);
        if let Some(owned) = self.owned_mut(waiter.record.partition) {
            owned.waiting.expect(sequence);
        }
    }

    /// Sends a main record behind those of its key that wait, untried.
    pub(crate) fn forward_behind(&mut self, record: HeldRecord, origin: Origin) {
        if self.keeps_outcomes {
            // Only told if the retry topic refuses it.
            self.turn.outcomes.push(untold(&record, &origin, 0));
        }
        let place = Some(record.offset);
        let waiter = PendingRecord { place, ..PendingRecord::first(record, origin) };
        self.send(waiter, 0, None, Destination::Behind { due_at_ms: self.now_ms });
    }

    /// A record was written that waits when it is fetched; until then it is counted.
    fn note_unread(&mut self, forward: &OutboundRecord) {
        let bytes = forward.record.bytes() + if forward.hop.is_some() { HOP_BYTES } else { 0 };
        if let Some(owned) = self.owned_mut(forward.record.partition) {
            let next = Offset(owned.retry.top());
            owned.unread.push(forward.delivered_at, next, bytes);
        }
    }

    /// Lets a forwarded record wait, as if it had been fetched; `false` if it does so only then.
    fn enter(&mut self, forward: &mut OutboundRecord, dialects: Dialects) -> bool {
        let Some(origin) = forward.place else { return false };
        let (partition, is_to_retry) = (forward.record.partition, forward.is_to_retry());
        let Some(owned) = self.owned_mut(partition) else { return false };
        if !is_to_retry {
            let key = forward.record.key.as_deref();
            owned.waiting.give_up(sequence(key, Some(origin)));
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
            timestamp: forward.record.timestamp,
            key: forward.record.key.take(),
            value: forward.record.value.take(),
            headers,
        };
        let lineage = Lineage::read(|name| record.header(name));
        let (due_at_ms, waiter) = self.waiter(record, lineage);
        let owned = self.owned_mut(partition).expect("looked up above");
        owned.wait(offset, due_at_ms, waiter);
        true
    }
}

fn sequence(key: Option<&[u8]>, place: Option<Offset>) -> Option<Sequence<'_>> {
    key.zip(place).map(|(key, origin)| Sequence { key, origin })
}

/// An entry of the outcome log for a record that was not tried.
pub(crate) fn untold<N>(record: &HeldRecord, origin: &Origin, attempt: u32) -> OutcomeEntry<N> {
    OutcomeEntry {
        partition: record.partition,
        origin_partition: origin.partition,
        origin_offset: Offset(origin.offset),
        key: record.key.clone(),
        name: RecordId::default(),
        attempt,
        forward: None,
        is_duplicate: false,
        note: None,
    }
}
