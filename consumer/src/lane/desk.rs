//! Works on fetched records: one attempt each, and what follows from it.

use std::time::Instant;

use codec::decode::{DecodeError, Decoder};
use codec::frame;
use kafka_io::reader::{Fetched, HeldRecord};
use orders::Order;
use pipeline::failure::Failure;
use pipeline::headers::{Lineage, Origin};
use pipeline::record::{Offset, Timestamp};
use pipeline::retry::RetryPlan;
use pipeline::route::{Route, route};
use pipeline::window;
use rand::Rng as _;
use rand::rngs::SmallRng;

use crate::handler::Handler;
use crate::lane::owned::{Owned, Waiter};
use crate::lane::turn::{Destination, Forward, HopParts, OutcomeEntry, Shrink, Turn};

/// What the reader has to do after a record was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Continue,
    /// Stop fetching this main partition for now.
    StopMain,
}

/// How one attempt went.
enum Attempted {
    Counted,
    Failed(Failure),
    /// The record's schema is not known yet; the surroundings are to blame, not the record.
    Unresolved,
}

/// A record and its past, as one attempt needs them.
struct Subject<'a> {
    value: Option<&'a [u8]>,
    attempt: u32,
    redrives: u32,
}

/// The part of a lane that works on records, apart from its connections.
pub(crate) struct Desk {
    pub(crate) owned: Vec<Option<Box<Owned>>>,
    pub(crate) turn: Turn,
    pub(crate) decoder: Decoder<Order>,
    pub(crate) handler: Handler,
    pub(crate) plan: RetryPlan,
    pub(crate) main_topic: String,
    pub(crate) retry_topic: String,
    pub(crate) group: String,
    /// Ends of the main partitions at the start of a run with `--exit-at-end`.
    pub(crate) main_ends: Option<Vec<i64>>,
    pub(crate) keeps_outcomes: bool,
    /// Records of one partition that may wait for their schema; each may cost a run.
    pub(crate) unresolved_max: usize,
    pub(crate) random: SmallRng,
    pub(crate) now_ms: i64,
}

impl Desk {
    pub(crate) fn owned_mut(&mut self, partition: i32) -> Option<&mut Owned> {
        let index = usize::try_from(partition).ok()?;
        self.owned.get_mut(index)?.as_deref_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Owned> {
        self.owned.iter().flatten().map(|owned| &**owned)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Owned> {
        self.owned.iter_mut().flatten().map(|owned| &mut **owned)
    }

    /// Where main partition `partition` ends for this run; `None` if it goes on.
    pub(crate) fn main_end(&self, partition: i32) -> Option<i64> {
        let index = usize::try_from(partition).ok()?;
        self.main_ends.as_ref()?.get(index).copied()
    }

    /// Numbers of the owned partitions.
    pub(crate) fn partitions(&self) -> Vec<i32> {
        self.iter().map(|owned| owned.partition).collect()
    }

    /// Takes a record of the main topic and makes its first attempt.
    pub(crate) fn take_main(&mut self, record: &Fetched<'_>) -> Next {
        let (partition, offset) = (record.partition(), record.offset());
        let end = self.main_end(partition);
        let unresolved_max = self.unresolved_max;
        let Some(owned) = self.owned_mut(partition) else { return Next::StopMain };
        if !owned.is_active() || !owned.reads_main {
            return Next::Continue;
        }
        if end.is_some_and(|end| offset.0 >= end) {
            owned.main.pass(end.unwrap_or(offset.0));
            owned.main_done = true;
            return Next::StopMain;
        }
        if owned.unresolved.len() >= unresolved_max {
            return Next::StopMain; // fetched again later: the window does not know it yet
        }
        match owned.main.fetched(offset) {
            window::Fetched::New => {}
            window::Fetched::Settled | window::Fetched::Repeated => return Next::Continue,
        }
        let subject = Subject { value: record.value(), attempt: 1, redrives: 0 };
        self.turn.take(subject.value.map_or(0, <[u8]>::len));
        let origin = || (partition, offset);
        match self.attempt(partition, &subject, || record.key(), origin) {
            Attempted::Counted => {
                self.turn.ended.push(record.timestamp().ms);
                self.end_main(partition, offset);
            }
            Attempted::Failed(failure) => {
                let origin = self.origin(record.partition(), offset, record.timestamp(), false);
                self.forward_first(record.hold(), origin, failure);
                self.end_main(partition, offset);
            }
            Attempted::Unresolved => {
                let owned = self.owned_mut(partition).expect("looked up above");
                owned.main.hold(offset);
                owned.unresolved.insert(offset, record.hold());
            }
        }
        Next::Continue
    }

    fn end_main(&mut self, partition: i32, offset: Offset) {
        self.turn.consumed_main += 1;
        let owned = self.owned_mut(partition).expect("its record was taken");
        owned.main.settle_new(offset);
        owned.dirty = true;
    }

    /// Takes a record of the retry topic: it waits until it is due.
    pub(crate) fn take_retry(&mut self, record: &Fetched<'_>) {
        let (partition, offset) = (record.partition(), record.offset());
        let Some(owned) = self.owned_mut(partition) else { return };
        match owned.retry.fetched(offset) {
            window::Fetched::New => {}
            window::Fetched::Settled | window::Fetched::Repeated => return,
        }
        let lineage = Lineage::read(|name| record.header(name));
        if lineage.as_ref().is_some_and(|lineage| lineage.origin.group != self.group) {
            let owned = self.owned_mut(partition).expect("looked up above");
            // Skipped whenever it is fetched: like a marker, it counts as settled or not.
            owned.retry.pass(offset.0 + 1);
            owned.is_shared = true;
            owned.dirty |= owned.is_active();
            self.turn.foreign += 1;
            return;
        }
        let waiter = self.waiter(record.hold(), lineage);
        let (due_at_ms, waiter) = waiter;
        let bytes = waiter.record.bytes();
        let owned = self.owned_mut(partition).expect("looked up above");
        owned.retry.hold(offset);
        owned.waiting.insert(offset, due_at_ms, bytes, waiter);
    }

    fn waiter(&self, record: HeldRecord, lineage: Option<Lineage>) -> (i64, Waiter) {
        match lineage {
            Some(lineage) => (
                lineage.due_at_ms,
                Waiter {
                    origin: lineage.origin,
                    attempt: lineage.attempt,
                    redrive_count: lineage.redrive_count,
                    carries_lineage: true,
                    carries_first_failed: lineage.has_first_failed,
                    record,
                },
            ),
            // Somebody else put it there: attempt 1 of itself.
            None => {
                let origin = self.origin(record.partition, record.offset, record.timestamp, true);
                (0, Waiter::first(record, origin))
            }
        }
    }

    /// Makes the next attempt at a waiting record that is due. The caller has made sure that
    /// the window can settle it.
    pub(crate) fn run_waiting(&mut self, partition: i32, offset: Offset) {
        let Some(owned) = self.owned_mut(partition) else { return };
        let Some((due_at_ms, waiter)) = owned.waiting.remove(offset) else { return };
        let attempt = waiter.attempt.saturating_add(1);
        self.turn.take(waiter.record.bytes());
        let value = waiter.record.value.as_deref();
        let subject = Subject { value, attempt, redrives: waiter.redrive_count };
        let origin = (waiter.origin.partition, Offset(waiter.origin.offset));
        match self.attempt(partition, &subject, || waiter.record.key.as_deref(), || origin) {
            Attempted::Unresolved => {
                let again_at_ms = due_at_ms.max(self.now_ms + super::limits::UNRESOLVED_PAUSE_MS);
                let bytes = waiter.record.bytes();
                let owned = self.owned_mut(partition).expect("looked up above");
                owned.waiting.insert(offset, again_at_ms, bytes, waiter);
                return;
            }
            Attempted::Counted => self.turn.ended.push(waiter.origin.timestamp.ms),
            Attempted::Failed(failure) => self.forward(waiter, attempt, failure),
        }
        self.turn.consumed_retry += 1;
        self.settle_retry(partition, offset);
    }

    pub(crate) fn settle_retry(&mut self, partition: i32, offset: Offset) {
        let owned = self.owned_mut(partition).expect("its record was waiting");
        owned.retry.settle(offset);
        owned.dirty = true;
    }

    /// Tries the main records again whose schema was not known.
    pub(crate) fn run_unresolved(&mut self) {
        for partition in self.partitions() {
            let owned = self.owned_mut(partition).expect("just listed");
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
        let subject = Subject { value: record.value.as_deref(), attempt: 1, redrives: 0 };
        let origin = || (partition, offset);
        match self.attempt(partition, &subject, || record.key.as_deref(), origin) {
            Attempted::Unresolved => {
                let owned = self.owned_mut(partition).expect("its records are held");
                owned.unresolved.insert(offset, record);
                return;
            }
            Attempted::Counted => self.turn.ended.push(record.timestamp.ms),
            Attempted::Failed(failure) => {
                let origin = self.origin(partition, offset, record.timestamp, false);
                self.forward_first(record, origin, failure);
            }
        }
        self.turn.take(0);
        self.turn.consumed_main += 1;
        let owned = self.owned_mut(partition).expect("its records are held");
        owned.main.settle(offset);
        owned.dirty = true;
    }

    /// One attempt: decode, check, count.
    fn attempt<'k>(
        &mut self,
        partition: i32,
        subject: &Subject<'_>,
        key: impl FnOnce() -> Option<&'k [u8]>,
        origin: impl FnOnce() -> (i32, Offset),
    ) -> Attempted {
        let decoded = match self.decoder.decode(subject.value) {
            Ok(order) => Ok(order),
            Err(DecodeError::Failed(failure)) => Err(failure),
            Err(DecodeError::Unresolved { .. }) => return Attempted::Unresolved,
        };
        let (attempted, order) = match decoded {
            Err(failure) => (Attempted::Failed(failure), None),
            Ok(order) => match self.handler.attempt(&order, subject.attempt, subject.redrives) {
                Ok(amount) => {
                    let owned = self.owned_mut(partition).expect("its record is being tried");
                    owned.averages.count(&order.product, amount);
                    owned.has_averages = true;
                    self.turn.succeeded += 1;
                    (Attempted::Counted, Some(order))
                }
                Err(mut failure) => {
                    failure.schema_id = frame::schema_id(subject.value);
                    (Attempted::Failed(failure), Some(order))
                }
            },
        };
        if self.keeps_outcomes {
            let (origin_partition, origin_offset) = origin();
            let (order_id, product) =
                order.map_or_else(Default::default, |order| (order.order_id, order.product));
            self.turn.outcomes.push(OutcomeEntry {
                partition,
                origin_partition,
                origin_offset,
                key: key().map(Into::into),
                order_id,
                product,
                attempt: subject.attempt,
                forward: None,
            });
        }
        attempted
    }

    fn forward_first(&mut self, record: HeldRecord, origin: Origin, failure: Failure) {
        self.forward(Waiter::first(record, origin), 1, failure);
    }

    /// Puts a failed record on its way.
    fn forward(&mut self, waiter: Waiter, attempt: u32, failure: Failure) {
        let spread = self.random.random::<f64>();
        let destination = match route(&failure, attempt, &self.plan, spread) {
            Route::DeadLetter => Destination::DeadLetter,
            Route::Retry(wait) => {
                let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                Destination::Retry { due_at_ms: self.now_ms.saturating_add(wait_ms) }
            }
        };
        if let Some(entry) = self.turn.outcomes.last_mut().filter(|_| self.keeps_outcomes) {
            entry.forward = Some(self.turn.forwards.len());
        }
        self.turn.forwards.push(Forward {
            record: waiter.record,
            destination,
            hop: Some(HopParts {
                origin: waiter.origin,
                carries_lineage: waiter.carries_lineage,
                carries_first_failed: waiter.carries_first_failed,
                attempt,
                failure,
                now_ms: self.now_ms,
            }),
            shrink: Shrink::Whole,
            suspect: false,
            is_durable: false,
        });
    }

    fn origin(
        &self,
        partition: i32,
        offset: Offset,
        timestamp: Timestamp,
        is_retry: bool,
    ) -> Origin {
        let topic = if is_retry { &self.retry_topic } else { &self.main_topic };
        Origin {
            topic: topic.clone(),
            partition,
            offset: offset.0,
            timestamp,
            group: self.group.clone(),
        }
    }

    /// Notes the time, once per turn and every few records: no clock call per record.
    pub(crate) fn note_time(&mut self) {
        self.now_ms = crate::clock::now_ms();
    }

    /// Whether the turn has taken what one transaction should hold.
    pub(crate) fn turn_is_full(&self, now: Instant, records_max: usize) -> bool {
        use super::limits::{TURN_BYTES_MAX, TURN_MAX};
        self.turn.records >= records_max
            || self.turn.bytes >= TURN_BYTES_MAX
            || now.duration_since(self.turn.started_at) >= TURN_MAX
    }
}
