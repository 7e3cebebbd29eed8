//! Lets handlers start on records, and takes in what they have answered.

use codec::decode::DecodeError;
use kafka_io::reader::HeldRecord;
use pipeline::record::Offset;

use crate::clock::Instant;
use crate::lane::framing::framed_in_header;
use crate::lane::in_flight::{Answered, Late, Place};
use crate::lane::limits::IDLE_WAIT_MAX;
use crate::lane::panics;
use crate::lane::processor::Processor;
use crate::stage::{Delivery, Stage, Work};

/// A record on its way to its handler.
enum Begun<I> {
    Started(I, Work),
    /// It cannot be decoded: no handler has anything to do with it.
    Broken,
    /// Its schema is not known yet.
    Unresolved,
}

fn is_framed_in_header(delivery: &Delivery<'_>) -> bool {
    let header = |name: &str| delivery.headers.and_then(|headers| headers.last(name));
    framed_in_header(&header).is_some()
}

/// Decodes a record and has its handler begin.
fn begin<S: Stage>(stage: &mut S, delivery: &Delivery<'_>) -> Begun<S::Input> {
    match panics::decode(stage, delivery.value) {
        // What its first bytes are taken for means nothing then.
        Err(DecodeError::Unresolved { .. }) if is_framed_in_header(delivery) => Begun::Broken,
        Err(DecodeError::Unresolved { .. }) => Begun::Unresolved,
        Err(DecodeError::Failed(_)) => Begun::Broken,
        Ok(input) => {
            let work = panics::contained(|| stage.start(&input, delivery));
            let schema_id = stage.schema_id(delivery.value);
            let panicked = || -> Work { Box::pin(async move { panics::handler_error(schema_id) }) };
            let work = work.unwrap_or_else(panicked);
            Begun::Started(input, work)
        }
    }
}

impl<S: Stage> Processor<S> {
    /// Lets a handler start on a main record that its window holds. One that cannot be decoded fails at
    /// once, and one whose schema is not known is held.
    pub(crate) fn start_main(&mut self, record: HeldRecord) {
        let (partition, offset) = (record.partition, record.offset);
        let delivery = Delivery {
            topic: &self.main_topic,
            partition,
            offset: offset.0,
            timestamp_ms: record.timestamp.ms,
            written_at_ms: record.timestamp.ms,
            attempt: 1,
            redrives: 0,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: record.headers.as_ref(),
        };
        match begin(&mut self.stage, &delivery) {
            Begun::Started(input, work) => {
                let schema_id = self.stage.schema_id(record.value.as_deref());
                self.in_flight.start(partition, Place::Main(record), input, work, schema_id);
            }
            Begun::Broken => self.run_held(record, None),
            Begun::Unresolved => self.keep_held(partition, record),
        }
    }

    /// Lets a handler start on a waiting record that is due.
    pub(crate) fn start_retry(&mut self, partition: i32, offset: Offset) {
        let Some(index) = usize::try_from(partition).ok() else { return };
        let Self { owned, stage, in_flight, .. } = self;
        let Some(owned) = owned.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let Some((_, pending)) = owned.waiting.get(offset) else { return };
        let delivery = Delivery {
            topic: &pending.origin.topic,
            partition: pending.origin.partition,
            offset: pending.origin.offset,
            timestamp_ms: pending.origin.timestamp.ms,
            written_at_ms: pending.record.timestamp.ms,
            attempt: pending.attempt.saturating_add(1),
            redrives: pending.redrive_count,
            key: pending.record.key.as_deref(),
            value: pending.record.value.as_deref(),
            headers: pending.record.headers.as_ref(),
        };
        let schema_id = stage.schema_id(delivery.value);
        match begin(stage, &delivery) {
            Begun::Started(input, work) => {
                owned.waiting.start(offset);
                in_flight.start(partition, Place::Retry(offset), input, work, schema_id);
            }
            Begun::Broken => {
                owned.waiting.start(offset);
                in_flight.late.push(Late { partition, offset, answered: None });
            }
            Begun::Unresolved => self.run_waiting(partition, offset, None), // waits a little longer
        }
    }

    /// Takes back the waiting records of a partition whose handlers work: each starts anew later. What
    /// a handler has done by then it does again.
    pub(crate) fn recall_handlers(&mut self, partition: i32) {
        self.in_flight.recall_retries(partition);
        let Some(owned) = self.owned_mut(partition) else { return };
        let all: Vec<(Offset, i64)> = owned.waiting.iter().map(|(at, due, _)| (at, due)).collect();
        for (offset, due_at_ms) in all {
            if owned.waiting.is_running(offset) {
                owned.waiting.postpone(offset, due_at_ms);
            }
        }
    }

    /// Takes the records back whose handlers stand ready and have not begun: they begin anew later.
    pub(crate) fn take_back_ready(&mut self) {
        for (partition, place) in self.in_flight.take_back() {
            match place {
                Place::Main(record) => self.keep_held(partition, record),
                Place::Retry(offset) => {
                    let Some(owned) = self.owned_mut(partition) else { continue };
                    if let Some((due_at_ms, _)) = owned.waiting.get(offset) {
                        owned.waiting.postpone(offset, due_at_ms);
                    }
                }
            }
        }
    }

    /// Takes in what handlers have answered, as far as the turn has room; the rest is for the next one. In an outage none
    /// of those begins that stand ready.
    pub(crate) fn finish_handlers(&mut self, records_max: usize) {
        if self.in_flight.is_empty() {
            return;
        }
        self.note_time(); // not before any of them was ready
        for late in std::mem::take(&mut self.in_flight.late) {
            self.finish_retry(late);
        }
        if self.gate.is_probe() {
            for answered in self.in_flight.take_probed() {
                self.finish(answered);
            }
        } else {
            while self.turn.has_room(records_max)
                && let Some(answered) = self.in_flight.pop_answered()
            {
                self.finish(answered);
            }
        }
        if self.gate.is_held_up() {
            self.take_back_ready();
        }
    }

    fn finish(&mut self, (partition, place, answered): (i32, Place, Answered<S::Input>)) {
        match place {
            Place::Main(record) => self.run_held(record, Some(answered)),
            Place::Retry(offset) => {
                self.finish_retry(Late { partition, offset, answered: Some(answered) });
            }
        }
    }

    fn finish_retry(&mut self, late: Late<S::Input>) {
        let limit_bytes = self.metadata.bytes();
        let holds_followers = self.order.holds_followers();
        let Late { partition, offset, .. } = late;
        let Some(owned) = self.owned_mut(partition) else { return };
        let is_lowest = offset.0 == owned.retry.position().0;
        // Should it be given up, all that follow it must be known.
        let is_whole = !holds_followers || !owned.expects_more_of_key(offset);
        if is_whole && (is_lowest || owned.retry.settle_budget(limit_bytes) > 0) {
            self.run_waiting(partition, offset, late.answered);
        } else {
            self.in_flight.late.push(late);
        }
    }

    /// Whether the turn goes on with what handlers will answer: no other may start, and it is not full.
    pub(crate) fn expects_answers(&self, records_max: usize) -> bool {
        self.turn.records > 0
            && self.in_flight.is_working()
            && !self.in_flight.has_room()
            && !self.gate.is_probe()
            && !self.gate.is_held_up()
            && !self.turn.is_full(Instant::now(), records_max)
    }

    /// Waits for an answer when no other handler may start.
    pub(crate) fn wait_for_room(&mut self) {
        if self.turn.records > 0 {
            return;
        }
        if self.gate.is_held_up() {
            crate::clock::sleep(IDLE_WAIT_MAX); // an answer makes no room
        } else {
            self.in_flight.wait(IDLE_WAIT_MAX);
        }
    }
}
