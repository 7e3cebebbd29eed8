//! Handlers that wait: up to `--concurrency` records of a lane at once, each held by its window.
//!
//! Transactions go on meanwhile. A record in flight is settled when its handler has answered, out of
//! order if need be; with `--order key` the next one of its key starts only then.

use std::time::Duration;

use codec::decode::DecodeError;
use hashbrown::HashMap;
use kafka_io::reader::HeldRecord;
use pipeline::completion::Completion;
use pipeline::record::Offset;

use crate::clock::Instant;
use crate::lane::Lane;
use crate::lane::framing::framed_in_header;
use crate::lane::limits::{ANSWER_LOOK_MAX, ANSWER_LOOK_MIN, IDLE_WAIT_MAX};
use crate::lane::panics;
use crate::lane::processor::Processor;
use crate::lane::runner::{Answer, Runner, Task, Ticket};
use crate::stage::{Delivery, HandleError, Stage, Work};

/// What a handler works on.
#[derive(Debug)]
enum Place {
    /// A main record; its window holds its offset.
    Main(HeldRecord),
    /// A record of the retry partition, which stays among those that wait.
    Retry(Offset),
}

struct Handling<I> {
    partition: i32,
    place: Place,
    input: I,
    /// Dropped with the record, it ends the work.
    _task: Task,
}

/// A record, decoded, whose handler has answered.
pub(crate) struct Answered<I> {
    pub(crate) input: I,
    pub(crate) answer: Answer,
}

/// A waiting record that may not be settled before the window has room. Without an answer it has no
/// handler: it cannot be decoded.
struct Late<I> {
    partition: i32,
    offset: Offset,
    answered: Option<Answered<I>>,
}

/// Records whose handlers work.
pub(crate) struct InFlight<I> {
    is_used: bool,
    concurrency: usize,
    /// How long one attempt may take.
    limit: Duration,
    runner: Runner,
    handling: HashMap<Ticket, Handling<I>>,
    late: Vec<Late<I>>,
    /// Answers of a probe that may say that the outage goes on, while others are still out.
    suspended: Vec<(i32, Place, Answered<I>)>,
    tickets: Ticket,
    /// When a handler started or answered last.
    moved_at: Instant,
    /// What a probe may have in flight.
    probe_max: usize,
}

impl<I> InFlight<I> {
    pub(crate) fn new(is_used: bool, concurrency: usize, limit: Duration, runner: Runner) -> Self {
        Self {
            is_used,
            concurrency,
            limit,
            runner,
            handling: HashMap::new(),
            late: Vec::new(),
            suspended: Vec::new(),
            tickets: 0,
            moved_at: Instant::now(),
            probe_max: usize::MAX,
        }
    }

    /// Whether handlers wait at all.
    pub(crate) const fn is_used(&self) -> bool {
        self.is_used
    }

    /// Whether another record may start.
    pub(crate) fn has_room(&self) -> bool {
        !self.is_used || self.len() < self.concurrency.min(self.probe_max)
    }

    /// Lets at most so many be in flight, those that are already included; as many as ever for
    /// `None`.
    pub(crate) fn limit(&mut self, probe_max: Option<usize>) {
        self.probe_max = probe_max.unwrap_or(usize::MAX);
    }

    pub(crate) fn len(&self) -> usize {
        self.handling.len() + self.late.len() + self.suspended.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long to wait at most before the next look for answers: the longer the handlers take, the
    /// rarer.
    pub(crate) fn next_look_in(&mut self) -> Option<Duration> {
        if self.handling.is_empty() {
            return None;
        }
        let rare = (self.moved_at.elapsed() / 8).clamp(ANSWER_LOOK_MIN, ANSWER_LOOK_MAX);
        Some(self.runner.next_in().unwrap_or(rare))
    }

    fn start(&mut self, partition: i32, place: Place, input: I, work: Work, schema: Option<u32>) {
        tracing::trace!(partition, "a handler starts");
        self.moved_at = Instant::now();
        self.tickets += 1;
        let task = self.runner.run(self.tickets, work, self.limit, schema);
        self.handling.insert(self.tickets, Handling { partition, place, input, _task: task });
    }

    /// Ends the work on a partition's records and forgets them: their next owner reads them again.
    pub(crate) fn forget(&mut self, partition: i32) {
        self.handling.retain(|_, handling| handling.partition != partition);
        self.late.retain(|late| late.partition != partition);
        self.suspended.retain(|(of, ..)| *of != partition);
    }

    /// Takes the waiting records of a partition back from their handlers.
    fn recall_retries(&mut self, partition: i32) {
        self.handling.retain(|_, handling| {
            handling.partition != partition || matches!(handling.place, Place::Main(_))
        });
        self.late.retain(|late| late.partition != partition);
        self.suspended.retain(|(of, place, _)| *of != partition || matches!(place, Place::Main(_)));
    }

    /// The answers that are to be taken in now. In a probe failures of what handlers ask wait for a
    /// success, or until nothing is out any more: the first to fail may be poison, and would end the
    /// probe before the others have answered.
    fn take_answered(&mut self, is_probe: bool) -> Vec<(i32, Place, Answered<I>)> {
        let mut all = std::mem::take(&mut self.suspended);
        while let Some(answered) = self.pop_answered() {
            all.push(answered);
        }
        let is_success = |(_, _, it): &(i32, Place, Answered<I>)| it.answer.is_ok();
        if !is_probe || self.handling.is_empty() || all.iter().any(is_success) {
            // Successes first: they end the outage.
            all.sort_by_key(|answered| is_probe && !is_success(answered));
            return all;
        }
        let may_wait = |(_, _, it): &(i32, Place, Answered<I>)| {
            matches!(it.answer, Err(HandleError::Downstream(_)))
        };
        let (suspended, now) = all.into_iter().partition(may_wait);
        self.suspended = suspended;
        now
    }

    /// The next record whose handler has answered. Answers for records that were forgotten are
    /// dropped.
    fn pop_answered(&mut self) -> Option<(i32, Place, Answered<I>)> {
        loop {
            let (ticket, answer) = self.runner.next()?;
            let Some(handling) = self.handling.remove(&ticket) else { continue };
            self.moved_at = Instant::now();
            let Handling { partition, place, input, .. } = handling;
            return Some((partition, place, Answered { input, answer }));
        }
    }
}

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
    /// Whether a handler may start: none does once an outage was met.
    pub(crate) fn may_start(&self) -> bool {
        self.in_flight.has_room() && !(self.in_flight.is_used() && self.gate.is_held_up())
    }

    /// Lets a handler start on a main record that its window holds. One that cannot be decoded fails at
    /// once, and one whose schema is not known is held.
    pub(crate) fn start_main(&mut self, record: HeldRecord) {
        let (partition, offset) = (record.partition, record.offset);
        let delivery = Delivery {
            topic: &self.main_topic,
            partition,
            offset: offset.0,
            timestamp_ms: record.timestamp.ms,
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
            Begun::Unresolved => {
                if let Some(owned) = self.owned_mut(partition) {
                    owned.unresolved.insert(offset, record);
                }
            }
        }
    }

    /// Lets a handler start on a waiting record that is due.
    pub(crate) fn start_retry(&mut self, partition: i32, offset: Offset) {
        let Some(index) = usize::try_from(partition).ok() else { return };
        let Self { owned, stage, in_flight, .. } = self;
        let Some(owned) = owned.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let Some((_, waiter)) = owned.waiting.get(offset) else { return };
        let delivery = Delivery {
            topic: &waiter.origin.topic,
            partition: waiter.origin.partition,
            offset: waiter.origin.offset,
            timestamp_ms: waiter.origin.timestamp.ms,
            attempt: waiter.attempt.saturating_add(1),
            redrives: waiter.redrive_count,
            key: waiter.record.key.as_deref(),
            value: waiter.record.value.as_deref(),
            headers: waiter.record.headers.as_ref(),
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
}

impl<S: Stage> Lane<S> {
    /// Takes in what handlers have answered.
    pub(crate) fn finish_handlers(&mut self) {
        if self.processor.in_flight.is_empty() {
            return;
        }
        self.processor.note_time(); // not before any of them was ready
        for late in std::mem::take(&mut self.processor.in_flight.late) {
            self.finish_retry(late);
        }
        let is_probe = self.probe_records_max.is_some();
        for (partition, place, answered) in self.processor.in_flight.take_answered(is_probe) {
            match place {
                Place::Main(record) => self.processor.run_held(record, Some(answered)),
                Place::Retry(offset) => {
                    self.finish_retry(Late { partition, offset, answered: Some(answered) });
                }
            }
        }
    }

    fn finish_retry(&mut self, late: Late<S::Input>) {
        let limit_bytes = Completion::bytes_for_chars(self.metadata_chars);
        let holds_followers = self.settings.order.holds_followers();
        let Late { partition, offset, .. } = late;
        let Some(owned) = self.processor.owned_mut(partition) else { return };
        let is_lowest = offset.0 == owned.retry.position().0;
        // Should it be given up, all that follow it must be known.
        let is_whole = !holds_followers || !owned.expects_more_of_key(offset);
        if is_whole && (is_lowest || owned.retry.settle_budget(limit_bytes) > 0) {
            self.processor.run_waiting(partition, offset, late.answered);
        } else {
            self.processor.in_flight.late.push(late);
        }
    }

    /// Waits for an answer when no other handler may start.
    pub(crate) fn wait_for_room(&mut self) {
        if self.processor.turn.records > 0 {
            return;
        }
        if self.processor.gate.is_held_up() {
            crate::clock::sleep(IDLE_WAIT_MAX); // an answer makes no room
        } else {
            self.processor.in_flight.runner.wait(IDLE_WAIT_MAX);
        }
    }

    /// After a stop was requested: finishes what is in flight, and starts nothing.
    pub(crate) fn drain(&mut self) -> Result<(), crate::lane::LaneError> {
        while !self.processor.in_flight.is_empty() && !self.shared.must_abandon() {
            self.heartbeat();
            self.follow_membership()?;
            if self.ready_to_write()? {
                self.processor.turn.restart();
                self.finish_handlers();
                if self.processor.in_flight.handling.is_empty() && self.processor.turn.records == 0
                {
                    break; // those that are late find no room before others are settled
                }
                self.wait_for_room();
                self.fit_windows();
                if self.passes_gate()? {
                    self.settle_turn()?;
                }
            }
        }
        Ok(())
    }
}
