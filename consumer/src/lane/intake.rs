//! Fills a turn: what is due, what was held back, and what is fetched.

use std::time::{Duration, Instant};

use kafka_io::reader::{Fetched, HeldRecord, Polled};
use pipeline::completion::Completion;
use pipeline::record::{CommitPosition, Offset};

use crate::lane::desk::Next;
use crate::lane::limits::{
    IDLE_WAIT_MAX, SUSPECTS_MAX, TURN_BYTES_MAX, TURN_LINGER, TURN_MAX, UNRESOLVED_EVERY,
    WAITING_BYTES_MAX, WAITING_RESUME_PERCENT,
};
use crate::lane::{Lane, LaneError};

/// The clock is read once per this many fetched records.
const RECORDS_PER_CLOCK: usize = 64;

impl Lane {
    /// Runs the waiting records that are due, as far as the window can settle them.
    pub(crate) fn run_due(&mut self) {
        let now_ms = self.desk.now_ms;
        let limit_bytes = Completion::bytes_for_chars(self.metadata_chars);
        for partition in self.desk.partitions() {
            let owned = self.desk.owned_mut(partition).expect("just listed");
            let is_due = owned.waiting.next_due_at_ms().is_some_and(|due| due <= now_ms);
            if !owned.is_active() || !is_due {
                continue;
            }
            let room = self.records_max().saturating_sub(self.desk.turn.records);
            let owned = self.desk.owned_mut(partition).expect("just listed");
            let due: Vec<Offset> = owned.waiting.due(now_ms).take(room).collect();
            let mut budget = 0;
            for offset in due {
                if self.desk.turn.bytes >= TURN_BYTES_MAX {
                    return;
                }
                let owned = self.desk.owned_mut(partition).expect("just listed");
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
                self.desk.run_waiting(partition, offset);
            }
        }
    }

    /// Looks again at records whose schema was not known, when something became known.
    pub(crate) fn run_unresolved(&mut self) {
        let generation = self.resolver.generation();
        let due = self.unresolved_again_at <= Instant::now();
        if generation == self.resolver_generation && !due {
            return;
        }
        self.resolver_generation = generation;
        self.unresolved_again_at = Instant::now() + UNRESOLVED_EVERY;
        self.desk.run_unresolved();
    }

    /// Fetches until the turn is full, its time is up, or nothing is left.
    pub(crate) fn fetch(&mut self) -> Result<(), LaneError> {
        let mut wait = self.first_wait();
        let records_max = self.records_max();
        let mut stopped = None;
        for count in 1_usize.. {
            match self.reader.poll(wait) {
                Polled::Record(record) => {
                    if Self::take(&mut self.desk, &mut self.topic_ids, &record) == Next::StopMain {
                        stopped = Some(record.partition());
                        break;
                    }
                    if self.desk.turn.records >= records_max {
                        break;
                    }
                }
                Polled::End(_) => self.ends_seen = true,
                Polled::Nothing if wait.is_zero() => break,
                Polled::Nothing => {}
                Polled::OutOfRange => self.gap_seen = true,
                Polled::Away(text) => self.reader_away = Some(text),
                Polled::Denied(text) => return Err(LaneError::Denied(text)),
                Polled::Missing(text) => return Err(LaneError::topic_missing(&text)),
            }
            wait = Duration::ZERO;
            if count % RECORDS_PER_CLOCK == 1 {
                let now = Instant::now();
                if self.desk.turn_is_full(now, records_max) {
                    break;
                }
                let age = now.duration_since(self.desk.turn.started_at);
                if self.desk.turn.records > 0 && age < TURN_LINGER {
                    wait = Duration::from_millis(1);
                }
            }
        }
        if let Some(partition) = stopped {
            self.stop_main(partition);
        }
        Ok(())
    }

    /// Gives a record to the desk by its topic.
    fn take(
        desk: &mut super::desk::Desk,
        topics: &mut super::TopicIds,
        record: &Fetched<'_>,
    ) -> Next {
        if record.topic_id() == topics.main {
            return desk.take_main(record);
        }
        if record.topic() == desk.main_topic {
            topics.main = record.topic_id();
            return desk.take_main(record);
        }
        if record.topic() == desk.retry_topic {
            desk.take_retry(record);
        } else {
            desk.take_averages(record);
        }
        Next::Continue
    }

    /// How long the first poll of a turn may wait: not past the next due time.
    fn first_wait(&self) -> Duration {
        if self.desk.turn.records > 0 {
            return Duration::ZERO;
        }
        let active = self.desk.iter().filter(|owned| owned.is_active());
        let next = active.filter_map(|owned| owned.waiting.next_due_at_ms()).min();
        let until_due = next.map_or(u64::MAX, |due| {
            u64::try_from(due.saturating_sub(crate::clock::now_ms())).unwrap_or(0)
        });
        Duration::from_millis(until_due).min(IDLE_WAIT_MAX)
    }

    /// Records of one turn: with a handler that waits, as many as may wait at once.
    pub(crate) fn records_max(&self) -> usize {
        match self.careful_until {
            Some(until) if Instant::now() < until => {
                self.settings.turn_records_max.min(SUSPECTS_MAX)
            }
            _ => self.settings.turn_records_max,
        }
    }

    /// Waits as long as the slowest handler of this turn, all of them at once.
    pub(crate) fn wait_for_handlers(&mut self) {
        let latency = self.settings.simulate_latency;
        if latency.is_zero() || self.desk.turn.records == 0 {
            return;
        }
        let until = Instant::now() + latency;
        while let Some(left) = until.checked_duration_since(Instant::now())
            && !self.shared.must_abandon()
        {
            std::thread::sleep(left.min(IDLE_WAIT_MAX));
            self.beat();
        }
    }

    /// Moves windows past markers at the ends of their partitions.
    pub(crate) fn advance_positions(&mut self) {
        if !std::mem::take(&mut self.ends_seen) {
            return;
        }
        let Ok(positions) = self.reader.positions() else { return };
        let topics = &self.settings.topics;
        for partition in self.desk.partitions() {
            let position = |topic: &str| positions.get(&(topic.to_owned(), partition)).copied();
            let end = self.desk.main_end(partition);
            let owned = self.desk.owned_mut(partition).expect("just listed");
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
        let Some(owned) = self.desk.owned_mut(partition) else { return };
        if std::mem::take(&mut owned.reads_main)
            && let Err(error) = self.reader.stop(&topic, partition)
        {
            tracing::warn!(%error, partition, "reading main did not stop");
        }
    }

    /// Starts and stops reading main partitions: all of them while too much waits in the
    /// lane, and one while too many of its records wait for a schema.
    pub(crate) fn steer_main(&mut self) -> Result<(), LaneError> {
        let waits = |owned: &super::owned::Owned| {
            let unresolved: usize = owned.unresolved.values().map(HeldRecord::bytes).sum();
            (owned.waiting.len(), owned.waiting.bytes() + unresolved)
        };
        let (records, bytes) =
            self.desk.iter().map(waits).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        let share = if self.is_crowded { WAITING_RESUME_PERCENT } else { 100 };
        let (records_max, bytes_max) = (self.settings.waiting_records_max, WAITING_BYTES_MAX);
        let crowded = records.saturating_mul(100) > records_max.saturating_mul(share)
            || bytes > bytes_max / 100 * share;
        if crowded != self.is_crowded {
            self.is_crowded = crowded;
            tracing::info!(
                lane = self.index,
                records,
                bytes,
                crowded,
                "main is read: {}",
                !crowded
            );
        }
        let most = self.desk.unresolved_max;
        let unresolved_max = |reads| if reads { most } else { most / 2 };
        for partition in self.desk.partitions() {
            let end = self.desk.main_end(partition);
            let owned = self.desk.owned_mut(partition).expect("just listed");
            owned.main_done |= owned.is_active() && end.is_some_and(|end| owned.main.top() >= end);
            let wanted = owned.is_active()
                && !owned.main_done
                && !crowded
                && owned.unresolved.len() < unresolved_max(owned.reads_main);
            if owned.reads_main && !wanted {
                self.stop_main(partition);
            } else if wanted && !owned.reads_main {
                owned.reads_main = true;
                let position = CommitPosition(owned.main.top());
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
