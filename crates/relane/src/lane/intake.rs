//! Fills a turn: what is due, what was held back, and what is fetched.

use std::time::Duration;

use pipeline::completion::Completion;
use pipeline::record::{CommitPosition, Offset};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use rand::seq::IteratorRandom as _;

use crate::clock::Instant;
use crate::lane::duplicates::read_from;
use crate::lane::handles::{Fetched, Polled};
use crate::lane::limits::{
    IDLE_WAIT_MAX, PROBE_CHOICE_MAX, PROBE_RETRIES_MAX, SUSPECTS_MAX, TURN_BYTES_MAX, TURN_LINGER,
    TURN_MAX, UNRESOLVED_EVERY, WAITING_BYTES_MAX, WAITING_RESUME_PERCENT,
};
use crate::lane::partition_state::PartitionState;
use crate::lane::processor::{Next, Room};
use crate::lane::{Lane, LaneError};
use crate::stage::Stage;

/// The clock is read once per this many fetched records.
const RECORDS_PER_CLOCK: usize = 64;

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

impl<S: Stage> Lane<S> {
    /// Runs the waiting records that are due, as far as the window can settle them.
    pub(crate) fn run_due(&mut self) {
        if self.leaves_retries() {
            return;
        }
        let now_ms = self.processor.now_ms;
        let limit_bytes = Completion::bytes_for_chars(self.metadata_chars);
        let mut probe =
            self.probe_records_max.map(|_| SmallRng::from_rng(&mut self.processor.random));
        for partition in self.processor.partitions() {
            let owned = self.processor.owned_mut(partition).expect("just listed");
            let is_due = owned.waiting.next_due_at_ms().is_some_and(|due| due <= now_ms);
            if !owned.is_active() || !is_due {
                continue;
            }
            // The rest of a probe is for main.
            let retries_max = if probe.is_some() { PROBE_RETRIES_MAX } else { usize::MAX };
            let records_max = self.records_max().min(retries_max);
            let mut budget = 0;
            // One by one: what runs may free the next one of its key.
            loop {
                let turn = &self.processor.turn;
                if turn.records >= records_max || turn.bytes >= TURN_BYTES_MAX {
                    return;
                }
                let owned = self.processor.owned_mut(partition).expect("just listed");
                let Some(offset) = next_due(owned, now_ms, probe.as_mut()) else { break };
                // The lowest record shortens the completion; any other may lengthen it.
                if offset.0 != owned.retry.position().0 {
                    if budget == 0 {
                        budget = owned.retry.settle_budget(limit_bytes);
                    }
                    if budget == 0 {
                        break; // the next turn moves waiting heads out of the way
                    }
                    budget -= 1;
                }
                let consumed = self.processor.turn.consumed_retry;
                if !self.processor.may_start() {
                    return;
                }
                if self.processor.in_flight.is_used() {
                    self.processor.start_retry(partition, offset);
                } else {
                    self.processor.run_waiting(partition, offset, None);
                }
                if self.processor.turn.consumed_retry > consumed + 1 {
                    budget = 0; // others were given up with it: the window is asked anew
                }
            }
        }
    }

    /// Looks again at records whose schema was not known, when something became known.
    pub(crate) fn run_unresolved(&mut self) {
        let generation = self.resolver.generation();
        let due = self.unresolved_again_at <= Instant::now();
        // A handler that is ready may have freed the next one of its key.
        if generation == self.resolver_generation && !due && !self.processor.in_flight.is_used() {
            return;
        }
        self.resolver_generation = generation;
        self.unresolved_again_at = Instant::now() + UNRESOLVED_EVERY;
        self.processor.run_unresolved();
    }

    /// Fetches until the turn is full, its time is up, or nothing is left.
    pub(crate) fn fetch(&mut self) -> Result<(), LaneError> {
        self.processor.held = self.processor.held_main();
        let mut wait = self.first_wait();
        let records_max = self.records_max();
        let mut stopped = None;
        for count in 1_usize.. {
            if !self.processor.in_flight.has_room() {
                self.wait_for_room();
                break;
            }
            match self.reader.poll(wait) {
                Polled::Record(record) => {
                    if Self::take(&mut self.processor, &mut self.topic_ids, &record)
                        == Next::StopMain
                    {
                        stopped = Some(record.partition());
                        break;
                    }
                    if self.processor.turn.records >= records_max
                        || self.processor.gate.is_held_up()
                    {
                        break;
                    }
                }
                Polled::End(_) => self.ends_seen = true,
                Polled::Nothing if wait.is_zero() => break,
                Polled::Nothing => {}
                Polled::OutOfRange => self.gap_seen = true,
                Polled::Away(text) => self.note_reader_trouble(&text),
                Polled::Denied(text) => return Err(LaneError::Denied(text)),
                Polled::Missing(text) => return Err(LaneError::topic_missing(&text)),
            }
            wait = Duration::ZERO;
            if count % RECORDS_PER_CLOCK == 1 {
                let now = Instant::now();
                if self.processor.turn.is_full(now, records_max) {
                    break;
                }
                let age = now.duration_since(self.processor.turn.started_at);
                if self.processor.turn.records > 0 && age < TURN_LINGER {
                    wait = Duration::from_millis(1);
                }
            }
        }
        if let Some(partition) = stopped {
            self.stop_main(partition);
        }
        Ok(())
    }

    /// Gives a record to the processor by its topic.
    fn take(
        processor: &mut super::processor::Processor<S>,
        topics: &mut super::TopicIds,
        record: &Fetched<'_>,
    ) -> Next {
        if record.topic_id() == topics.main {
            return processor.take_main(record);
        }
        if record.topic() == processor.main_topic {
            topics.main = record.topic_id();
            return processor.take_main(record);
        }
        if record.topic() == processor.retry_topic {
            processor.take_retry(record);
        } else {
            processor.take_state(record);
        }
        Next::Continue
    }

    /// How long the first poll of a turn may wait: not past the next due time.
    fn first_wait(&mut self) -> Duration {
        if self.processor.turn.records > 0 {
            return Duration::ZERO;
        }
        if self.processor.gate.is_held_up() || self.leaves_retries() {
            return IDLE_WAIT_MAX; // what is due, or ready, stays where it is
        }
        let active = self.processor.iter().filter(|owned| owned.is_active());
        let next = active.filter_map(|owned| owned.waiting.next_due_at_ms()).min();
        let until_due = next.map_or(u64::MAX, |due| {
            u64::try_from(due.saturating_sub(crate::clock::now_ms())).unwrap_or(0)
        });
        let until_ready = self.processor.in_flight.next_look_in().unwrap_or(IDLE_WAIT_MAX);
        Duration::from_millis(until_due).min(until_ready).min(IDLE_WAIT_MAX)
    }

    /// Records of one turn.
    pub(crate) fn records_max(&self) -> usize {
        if let Some(records) = self.probe_records_max {
            return records;
        }
        match self.careful_until {
            Some(until) if Instant::now() < until => {
                self.settings.turn_records_max.min(SUSPECTS_MAX)
            }
            _ => self.settings.turn_records_max,
        }
    }

    /// Moves windows past markers at the ends of their partitions.
    pub(crate) fn advance_positions(&mut self) {
        if !std::mem::take(&mut self.ends_seen) {
            return;
        }
        let Ok(positions) = self.reader.positions() else { return };
        let topics = &self.settings.topics;
        for partition in self.processor.partitions() {
            let position = |topic: &str| positions.get(&(topic.to_owned(), partition)).copied();
            let end = self.processor.main_end(partition);
            let owned = self.processor.owned_mut(partition).expect("just listed");
            if !owned.is_active() {
                continue;
            }
            if let Some(position) = position(&topics.main)
                && owned.reads_main
            {
                owned.main.pass(end.map_or(position, |end| position.min(end)));
            }
            if let Some(position) = position(&topics.retry) {
                owned.retry.pass(position);
            }
            owned.main_done |= end.is_some_and(|end| owned.main.top() >= end);
        }
    }

    pub(crate) fn stop_main(&mut self, partition: i32) {
        let topic = self.settings.topics.main.clone();
        let Some(owned) = self.processor.owned_mut(partition) else { return };
        if std::mem::take(&mut owned.reads_main)
            && let Err(error) = self.reader.stop(&topic, partition)
        {
            tracing::warn!(%error, partition, "reading main did not stop");
        }
    }

    /// Whether so much waits that main is not to be read. Once it is not, it is read again when less
    /// waits by a share.
    fn is_crowded_with(&self, records: usize, bytes: usize) -> bool {
        let (records_max, bytes_max) = (self.settings.waiting_records_max, WAITING_BYTES_MAX);
        if self.is_backpressured {
            let share = WAITING_RESUME_PERCENT;
            return records.saturating_mul(100) > records_max.saturating_mul(share)
                || bytes > bytes_max / 100 * share;
        }
        records >= records_max || bytes >= bytes_max
    }

    /// Starts and stops reading main partitions: all of them while too much waits in the
    /// lane, and one while too many of its records wait for a schema.
    pub(crate) fn apply_backpressure(&mut self) -> Result<(), LaneError> {
        for owned in self.processor.iter_mut() {
            owned.unread.read_to(owned.retry.top());
        }
        self.processor.waits_before = self.processor.iter().map(|owned| owned.waits()).sum();
        let (mut records, mut bytes) = (0, 0);
        for owned in self.processor.iter() {
            records += owned.waits() + owned.unloaded();
            bytes += owned.held_bytes();
        }
        let held = self.processor.held_main();
        let crowded = self.is_crowded_with(records + held, bytes);
        self.processor.room = Room {
            records: self.settings.waiting_records_max.saturating_sub(records),
            bytes: WAITING_BYTES_MAX.saturating_sub(bytes),
        };
        if crowded != self.is_backpressured {
            self.is_backpressured = crowded;
            tracing::info!(
                lane = self.index,
                records,
                bytes,
                crowded,
                "main is read: {}",
                !crowded
            );
        }
        let is_held_up = self.processor.gate.is_held_up();
        let most = self.processor.unresolved_max;
        let unresolved_max = |reads| if reads { most } else { most / 2 };
        let most = self.processor.unsettled_max;
        let unsettled_max = |reads| if reads { most } else { most / 2 };
        for partition in self.processor.partitions() {
            let end = self.processor.main_end(partition);
            let owned = self.processor.owned_mut(partition).expect("just listed");
            owned.main_done |= owned.is_active() && end.is_some_and(|end| owned.main.top() >= end);
            let is_full = owned.waiting.full_keys() > 0;
            if std::mem::replace(&mut owned.is_full, is_full) != is_full {
                tracing::warn!(
                    partition,
                    keys = owned.waiting.full_keys(),
                    parked = owned.waiting.parked_keys(),
                    "as many records wait behind one of their key as may; main is read: {}",
                    !is_full
                );
            }
            let wanted = owned.is_active()
                && !owned.main_done
                && !crowded
                && !is_held_up
                && !is_full
                && owned.awaiting_dedupe.is_none()
                && owned.unresolved.len() < unresolved_max(owned.reads_main)
                && owned.main.unsettled() < unsettled_max(owned.reads_main);
            if owned.reads_main && !wanted {
                self.stop_main(partition);
            } else if wanted && !owned.reads_main {
                owned.reads_main = true;
                let position = CommitPosition(read_from(owned).0);
                self.reader
                    .start(&self.settings.topics.main, partition, position)
                    .map_err(|error| LaneError::Failed(error.to_string()))?;
            }
        }
        Ok(())
    }
}

// A limit of a turn's length only makes sense if lingering stays below it.
const _: () = assert!(TURN_LINGER.as_millis() < TURN_MAX.as_millis());
