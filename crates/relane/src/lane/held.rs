//! Main records that are held in memory: their schema is not known yet, or one of their key
//! comes first.

use codec::decode::DecodeError;
use kafka_io::reader::HeldRecord;
use pipeline::keys::Standing;
use pipeline::record::Offset;
use pipeline::waiting::Sequence;

use crate::lane::attempt::Subject;
use crate::lane::in_flight::Answered;
use crate::lane::pending::PendingRecord;
use crate::lane::processor::Processor;
use crate::stage::Stage;

impl<S: Stage> Processor<S> {
    /// Tries the main records again whose schema was not known.
    pub(crate) fn run_unresolved(&mut self) {
        for partition in self.partitions() {
            self.look_at_unjudged(partition);
            let Some(owned) = self.owned_mut(partition) else { continue };
            while owned.waiting.pop_stirred().is_some() {} // all of them are looked at below
            if owned.unresolved.is_empty() {
                continue;
            }
            let held = std::mem::take(&mut owned.unresolved);
            for (offset, record) in held {
                self.run_one_unresolved(partition, offset, record);
            }
        }
    }

    fn run_one_unresolved(&mut self, partition: i32, offset: Offset, record: HeldRecord) {
        let Some(owned) = self.owned_mut(partition) else { return };
        let key = record.key.clone().filter(|_| owned.waiting.keeps_order());
        let sequence = key.as_deref().map(|key| Sequence { key, origin: offset });
        let standing = owned.waiting.standing(sequence);
        if matches!(standing, Standing::Behind | Standing::Full) {
            owned.unresolved.insert(offset, record);
            return;
        }
        if standing == Standing::Parked {
            let origin = self.origin(partition, offset, record.timestamp, false);
            let bytes = value_bytes(&record);
            self.forward_behind(record, origin);
            self.end_unresolved(partition, offset, bytes, sequence);
            return;
        }
        if !self.may_start() {
            self.keep_held(partition, record);
        } else if self.in_flight.is_used() {
            self.start_main(record);
        } else {
            self.run_held(record, None);
        }
    }

    /// Whether an attempt at a value would not have to wait for the registry.
    pub(crate) fn knows_schema(&mut self, value: Option<&[u8]>) -> bool {
        !matches!(self.decode(value), Err(DecodeError::Unresolved { .. }))
    }

    /// Makes the first attempt at a main record that its window holds.
    pub(crate) fn run_held(&mut self, record: HeldRecord, answered: Option<Answered<S::Input>>) {
        let (partition, offset, timestamp) = (record.partition, record.offset, record.timestamp);
        let bytes = value_bytes(&record);
        let header = |name: &str| record.header(name);
        let value = record.value.as_deref();
        let subject = Subject { value, header: &header, attempt: 1, redrives: 0, is_retry: false };
        let origin = || (partition, offset);
        let attempted =
            self.attempt(partition, &subject, || record.key.as_deref(), origin, answered.into());
        let keeps_order = self.order.is_kept();
        let key = record.key.as_ref().filter(|_| keeps_order).cloned();
        let pending = |this: &Self, record| {
            let origin = this.origin(partition, offset, timestamp, false);
            PendingRecord::of_main(record, origin)
        };
        match self.conclude(attempted, 1, timestamp, record, pending) {
            Some(record) => self.keep_held(partition, record),
            None => {
                let sequence = key.as_deref().map(|key| Sequence { key, origin: offset });
                self.end_unresolved(partition, offset, bytes, sequence);
            }
        }
    }

    /// Puts a record back that its window holds.
    pub(crate) fn keep_held(&mut self, partition: i32, record: HeldRecord) {
        if let Some(owned) = self.owned_mut(partition) {
            owned.unresolved.insert(record.offset, record);
        }
    }

    fn end_unresolved(
        &mut self,
        partition: i32,
        offset: Offset,
        bytes: usize,
        sequence: Option<Sequence<'_>>,
    ) {
        self.turn.take(bytes);
        self.turn.consumed_main += 1;
        if let Some(owned) = self.owned_mut(partition) {
            owned.waiting.release_main(sequence);
            owned.main.settle(offset);
            owned.dirty = true;
        }
    }
}

fn value_bytes(record: &HeldRecord) -> usize {
    record.value.as_ref().map_or(0, |value| value.len())
}
