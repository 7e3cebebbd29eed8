//! Fetches for a turn, and holds main back while too much waits.

use std::time::Duration;

use codec::resolver::SchemaResolver;
use pipeline::record::CommitPosition;

use crate::clock::Instant;
use crate::lane::duplicates::read_from;
use crate::lane::error::LaneError;
use crate::lane::handles::{Fetched, Polled};
use crate::lane::lane_core::{Core, failed};
use crate::lane::limits::{
    IDLE_WAIT_MAX, TURN_LINGER, TURN_MAX, UNRESOLVED_EVERY, WAITING_BYTES_MAX,
    WAITING_RESUME_PERCENT,
};
use crate::lane::processor::{Processor, Room};
use crate::lane::take::Next;
use crate::stage::Stage;

/// The clock is read once per this many fetched records.
const RECORDS_PER_CLOCK: usize = 64;

/// What fetches for a lane, and what it knows of the topics that are read.
pub(crate) struct Intake {
    /// The main topic's identity inside librdkafka, learned from the first record; 0 until then.
    main_id: usize,
    /// An end of a partition was reached since positions were looked at.
    ends_seen: bool,
    /// A position was found out of range.
    pub(crate) gap_seen: bool,
    is_backpressured: bool,
    resolver: SchemaResolver,
    resolver_generation: u64,
    unresolved_again_at: Instant,
}

impl Intake {
    pub(crate) fn new(resolver: SchemaResolver) -> Self {
        Self {
            main_id: 0,
            ends_seen: false,
            gap_seen: false,
            is_backpressured: false,
            resolver_generation: resolver.generation(),
            unresolved_again_at: Instant::now(),
            resolver,
        }
    }

    /// Whether so much waits that main is not read.
    pub(crate) const fn is_backpressured(&self) -> bool {
        self.is_backpressured
    }

    /// Looks again at records whose schema was not known, when something became known.
    pub(crate) fn run_unresolved<S: Stage>(&mut self, processor: &mut Processor<S>) {
        let generation = self.resolver.generation();
        let due = self.unresolved_again_at <= Instant::now();
        // A handler that is ready may have freed the next one of its key.
        if generation == self.resolver_generation && !due && !processor.in_flight.is_used() {
            return;
        }
        self.resolver_generation = generation;
        self.unresolved_again_at = Instant::now() + UNRESOLVED_EVERY;
        processor.run_unresolved();
    }

    /// Fetches until the turn is full, its time is up, or nothing is left.
    pub(crate) fn fetch<S: Stage>(
        &mut self,
        core: &mut Core<S>,
        records_max: usize,
    ) -> Result<(), LaneError> {
        core.processor.held = core.processor.held_main();
        let mut wait = first_wait(&mut core.processor);
        let mut stopped = None;
        for count in 1_usize.. {
            if !core.processor.in_flight.has_room() {
                core.processor.wait_for_room();
                break;
            }
            if !wait.is_zero() {
                core.processor.in_flight.hand_over();
            }
            match core.reader.poll(wait) {
                Polled::Record(record) => {
                    if self.take(&mut core.processor, &record) == Next::StopMain {
                        stopped = Some(record.partition());
                        break;
                    }
                    if core.processor.turn.records >= records_max
                        || core.processor.gate.is_held_up()
                    {
                        break;
                    }
                }
                Polled::End(_) => self.ends_seen = true,
                Polled::Nothing if wait.is_zero() => break,
                Polled::Nothing => {}
                Polled::OutOfRange => self.gap_seen = true,
                Polled::Away(text) => {
                    tracing::debug!(lane = core.index, text, "fetching failed");
                    core.brokers.note_reader_trouble();
                }
                Polled::Denied(text) => return Err(LaneError::Denied(text)),
                Polled::Missing(text) => {
                    return Err(LaneError::topic_missing(&core.settings, &text));
                }
            }
            wait = Duration::ZERO;
            if count % RECORDS_PER_CLOCK == 1 {
                let now = Instant::now();
                if core.processor.turn.is_full(now, records_max) {
                    break;
                }
                let age = now.duration_since(core.processor.turn.started_at);
                if core.processor.turn.records > 0 && age < TURN_LINGER {
                    wait = Duration::from_millis(1);
                }
            }
        }
        if let Some(partition) = stopped {
            core.stop_main(partition);
        }
        Ok(())
    }

    /// Gives a record to the processor by its topic.
    fn take<S: Stage>(&mut self, processor: &mut Processor<S>, record: &Fetched<'_>) -> Next {
        if record.topic_id() == self.main_id {
            return processor.take_main(record);
        }
        if record.topic() == processor.main_topic {
            self.main_id = record.topic_id();
            return processor.take_main(record);
        }
        if record.topic() == processor.retry_topic {
            processor.take_retry(record);
        } else {
            processor.take_state(record);
        }
        Next::Continue
    }

    /// Moves windows past markers at the ends of their partitions.
    pub(crate) fn advance_positions<S: Stage>(&mut self, core: &mut Core<S>) {
        if !std::mem::take(&mut self.ends_seen) {
            return;
        }
        let positions = core.reader.positions();
        let topics = &core.settings.topics;
        for partition in core.processor.partitions() {
            let position = |topic: &str| positions.get(&(topic.to_owned(), partition)).copied();
            let end = core.processor.main_end(partition);
            let Some(owned) = core.processor.owned_mut(partition) else { continue };
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

    /// Whether so much waits that main is not to be read. Once it is not, it is read again when less
    /// waits by a share.
    fn is_crowded_with(&self, records_max: usize, records: usize, bytes: usize) -> bool {
        let bytes_max = WAITING_BYTES_MAX;
        if self.is_backpressured {
            let share = WAITING_RESUME_PERCENT;
            return records.saturating_mul(100) > records_max.saturating_mul(share)
                || bytes > bytes_max / 100 * share;
        }
        records >= records_max || bytes >= bytes_max
    }

    /// Starts and stops reading main partitions: all of them while too much waits in the
    /// lane, and one while too many of its records wait for a schema.
    pub(crate) fn apply_backpressure<S: Stage>(
        &mut self,
        core: &mut Core<S>,
    ) -> Result<(), LaneError> {
        for owned in core.processor.iter_mut() {
            owned.unread.read_to(owned.retry.top());
        }
        core.processor.waits_before = core.processor.iter().map(|owned| owned.waits()).sum();
        let (mut records, mut bytes) = (0, 0);
        for owned in core.processor.iter() {
            records += owned.waits() + owned.unloaded();
            bytes += owned.held_bytes();
        }
        let held = core.processor.held_main();
        let records_max = core.settings.waiting_records_max;
        let crowded = self.is_crowded_with(records_max, records + held, bytes);
        core.processor.room = Room {
            records: records_max.saturating_sub(records),
            bytes: WAITING_BYTES_MAX.saturating_sub(bytes),
        };
        if crowded != self.is_backpressured {
            self.is_backpressured = crowded;
            tracing::info!(
                lane = core.index,
                records,
                bytes,
                crowded,
                "main is read: {}",
                !crowded
            );
        }
        self.start_and_stop_main(core, crowded)
    }

    /// Starts the main partitions that are to be read, and stops the others.
    fn start_and_stop_main<S: Stage>(
        &self,
        core: &mut Core<S>,
        crowded: bool,
    ) -> Result<(), LaneError> {
        let is_held_up = core.processor.gate.is_held_up();
        let most = core.processor.metadata.unresolved_max;
        let unresolved_max = |reads| if reads { most } else { most / 2 };
        let most = core.processor.metadata.unsettled_max;
        let unsettled_max = |reads| if reads { most } else { most / 2 };
        for partition in core.processor.partitions() {
            let end = core.processor.main_end(partition);
            let Some(owned) = core.processor.owned_mut(partition) else { continue };
            owned.main_done |= owned.is_active() && end.is_some_and(|end| owned.main.top() >= end);
            let is_full = owned.waiting.full_keys() > 0;
            if std::mem::replace(&mut owned.is_full, is_full) != is_full {
                tracing::warn!(
                    partition,
                    keys = owned.waiting.full_keys(),
                    parked = owned.waiting.parked_keys(),
                    "records waiting behind one of their key reached the limit; main is read: {}",
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
                core.stop_main(partition);
            } else if wanted && !owned.reads_main {
                owned.reads_main = true;
                let position = CommitPosition(read_from(owned).0);
                core.reader
                    .start(&core.settings.topics.main, partition, position)
                    .map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// How long the first poll of a turn may wait: not past the next due time.
fn first_wait<S: Stage>(processor: &mut Processor<S>) -> Duration {
    if processor.turn.records > 0 {
        return Duration::ZERO;
    }
    if processor.gate.is_held_up() || processor.gate.leaves_retries() {
        return IDLE_WAIT_MAX; // what is due, or ready, stays where it is
    }
    let active = processor.iter().filter(|owned| owned.is_active());
    let next = active.filter_map(|owned| owned.waiting.next_due_at_ms()).min();
    let until_due = next.map_or(u64::MAX, |due| {
        u64::try_from(due.saturating_sub(crate::clock::now_ms())).unwrap_or(0)
    });
    let until_ready = processor.in_flight.next_look_in().unwrap_or(IDLE_WAIT_MAX);
    Duration::from_millis(until_due).min(until_ready).min(IDLE_WAIT_MAX)
}

// A limit of a turn's length only makes sense if lingering stays below it.
const _: () = assert!(TURN_LINGER.as_millis() < TURN_MAX.as_millis());
