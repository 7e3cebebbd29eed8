//! Handlers that wait: up to `--concurrency` records of a lane at once, each held by its window.
//!
//! Transactions go on meanwhile. A record in flight is settled when its handler is ready, out of
//! order if need be; with `--order key` the next one of its key starts only then. The wait is
//! the same for all, so that the one that started first is ready first.

use std::collections::VecDeque;
use std::time::Duration;

use kafka_io::reader::HeldRecord;
use pipeline::completion::Completion;
use pipeline::record::Offset;

use crate::clock::Instant;
use crate::lane::Lane;
use crate::lane::desk::Desk;
use crate::lane::limits::IDLE_WAIT_MAX;
use crate::stage::Stage;

/// What a handler waits for.
#[derive(Debug)]
enum Work {
    /// A main record; its window holds its offset.
    Main(HeldRecord),
    /// A record of the retry partition, which stays among those that wait.
    Retry(Offset),
}

#[derive(Debug)]
struct Flying {
    partition: i32,
    ready_at: Instant,
    work: Work,
}

/// Records whose handlers wait.
#[derive(Debug)]
pub(crate) struct Flight {
    latency: Duration,
    concurrency: usize,
    flying: VecDeque<Flying>,
    /// Ready, and not to be settled before the window has room.
    late: Vec<(i32, Offset)>,
    /// What a probe may have in flight.
    probe_max: usize,
}

impl Flight {
    pub(crate) const fn new(latency: Duration, concurrency: usize) -> Self {
        Self {
            latency,
            concurrency,
            flying: VecDeque::new(),
            late: Vec::new(),
            probe_max: usize::MAX,
        }
    }

    /// Whether handlers wait at all.
    pub(crate) const fn is_used(&self) -> bool {
        !self.latency.is_zero()
    }

    /// Whether another record may start.
    pub(crate) fn has_room(&self) -> bool {
        !self.is_used() || self.len() < self.concurrency.min(self.probe_max)
    }

    /// Lets at most so many be in flight, those that are already included; as many as ever for
    /// `None`.
    pub(crate) fn limit(&mut self, probe_max: Option<usize>) {
        self.probe_max = probe_max.unwrap_or(usize::MAX);
    }

    pub(crate) fn len(&self) -> usize {
        self.flying.len() + self.late.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.flying.is_empty() && self.late.is_empty()
    }

    /// How long until the next handler is ready.
    pub(crate) fn next_ready_in(&self) -> Option<Duration> {
        let next = self.flying.front()?.ready_at;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn start(&mut self, partition: i32, work: Work) {
        tracing::trace!(partition, "a handler starts");
        let ready_at = Instant::now() + self.latency;
        self.flying.push_back(Flying { partition, ready_at, work });
    }

    /// Forgets what flies for a partition: its records are read again by their next owner.
    pub(crate) fn forget(&mut self, partition: i32) {
        self.flying.retain(|flying| flying.partition != partition);
        self.late.retain(|(of, _)| *of != partition);
    }

    /// Takes the waiting records of a partition back from their handlers.
    fn recall_retries(&mut self, partition: i32) {
        self.flying
            .retain(|flying| flying.partition != partition || matches!(flying.work, Work::Main(_)));
        self.late.retain(|(of, _)| *of != partition);
    }

    fn pop_ready(&mut self, now: Instant) -> Option<Flying> {
        self.flying.front().filter(|flying| flying.ready_at <= now)?;
        self.flying.pop_front()
    }
}

impl<S: Stage> Desk<S> {
    /// Whether a handler may start: none does once an outage was met.
    pub(crate) fn may_start(&self) -> bool {
        self.flight.has_room() && !(self.flight.is_used() && self.guard.is_held_up())
    }

    /// Lets a handler start on a main record that its window holds.
    pub(crate) fn start_main(&mut self, record: HeldRecord) {
        self.flight.start(record.partition, Work::Main(record));
    }

    /// Lets a handler start on a waiting record.
    pub(crate) fn start_retry(&mut self, partition: i32, offset: Offset) {
        if let Some(owned) = self.owned_mut(partition) {
            owned.waiting.start(offset);
            self.flight.start(partition, Work::Retry(offset));
        }
    }
}

impl<S: Stage> Desk<S> {
    /// Takes back the waiting records of a partition whose handlers wait: each starts anew later,
    /// and has done nothing yet.
    pub(crate) fn recall_handlers(&mut self, partition: i32) {
        self.flight.recall_retries(partition);
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
    /// Makes the attempts whose handlers are ready.
    pub(crate) fn finish_handlers(&mut self) {
        if self.desk.flight.is_empty() {
            return;
        }
        let now = Instant::now();
        self.desk.note_time(); // not before any of them was ready
        for (partition, offset) in std::mem::take(&mut self.desk.flight.late) {
            self.finish_retry(partition, offset);
        }
        while let Some(Flying { partition, work, .. }) = self.desk.flight.pop_ready(now) {
            match work {
                Work::Main(record) => self.desk.run_held(record),
                Work::Retry(offset) => self.finish_retry(partition, offset),
            }
        }
    }

    fn finish_retry(&mut self, partition: i32, offset: Offset) {
        let limit_bytes = Completion::bytes_for_chars(self.metadata_chars);
        let holds_followers = self.settings.order.holds_followers();
        let Some(owned) = self.desk.owned_mut(partition) else { return };
        let is_lowest = offset.0 == owned.retry.position().0;
        // Should it be given up, all that follow it must be known.
        let is_whole = !holds_followers || !owned.expects_more_of_key(offset);
        if is_whole && (is_lowest || owned.retry.settle_budget(limit_bytes) > 0) {
            self.desk.run_waiting(partition, offset);
        } else {
            self.desk.flight.late.push((partition, offset));
        }
    }

    /// Waits until a handler is ready when no other may start.
    pub(crate) fn wait_for_room(&self) {
        if self.desk.turn.records > 0 {
            return;
        }
        if self.desk.guard.is_held_up() {
            crate::clock::sleep(IDLE_WAIT_MAX); // a handler that is ready makes no room
        } else if let Some(wait) = self.desk.flight.next_ready_in() {
            crate::clock::sleep(wait.min(IDLE_WAIT_MAX));
        }
    }

    /// After a stop was requested: finishes what is in flight, and starts nothing.
    pub(crate) fn land(&mut self) -> Result<(), crate::lane::LaneError> {
        while !self.desk.flight.is_empty() && !self.shared.must_abandon() {
            self.beat();
            self.follow_membership()?;
            if self.ready_to_write()? {
                self.desk.turn.restart();
                self.finish_handlers();
                if self.desk.flight.flying.is_empty() && self.desk.turn.records == 0 {
                    break; // those that are late find no room before others are settled
                }
                self.wait_for_room();
                self.fit_windows();
                if self.passes_guard()? {
                    self.settle_turn()?;
                }
            }
        }
        Ok(())
    }
}
