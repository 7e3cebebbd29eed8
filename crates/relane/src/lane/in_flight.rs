//! Handlers that wait: up to `--concurrency` records of a lane at once, each held by its window.
//!
//! Transactions go on meanwhile. A record in flight is settled when its handler has answered, out of
//! order if need be; with `--order key` the next one of its key starts only then.

use std::time::Duration;

use hashbrown::HashMap;
use kafka_io::reader::HeldRecord;
use pipeline::record::Offset;
use service_kit::spans;

use crate::clock::Instant;
use crate::lane::limits::{ANSWER_LOOK_MAX, ANSWER_LOOK_MIN};
use crate::lane::runner::{Answer, Runner, Task, Ticket};
use crate::stage::{HandleError, Work};

/// What a handler works on.
#[derive(Debug)]
pub(crate) enum Place {
    /// A main record; its window holds its offset.
    Main(HeldRecord),
    /// A record of the retry partition, which stays among those that wait.
    Retry(Offset),
}

struct Handling<I> {
    partition: i32,
    place: Place,
    input: I,
    /// When it began, in nanoseconds since the Unix epoch; 0 while tracing is off.
    began_ns: u64,
    /// Dropped with the record, it ends the work.
    task: Task,
}

/// A record, decoded, whose handler has answered.
pub(crate) struct Answered<I> {
    pub(crate) input: I,
    pub(crate) answer: Answer,
    pub(crate) began_ns: u64,
}

/// A waiting record that may not be settled before the window has room. Without an answer it has no
/// handler: it cannot be decoded.
pub(crate) struct Late<I> {
    pub(crate) partition: i32,
    pub(crate) offset: Offset,
    pub(crate) answered: Option<Answered<I>>,
}

/// Records whose handlers work.
pub(crate) struct InFlight<I> {
    is_used: bool,
    /// Handlers that work at once, and those that stand ready to.
    records_max: usize,
    /// How long one attempt may take.
    limit: Duration,
    runner: Runner,
    handling: HashMap<Ticket, Handling<I>>,
    pub(crate) late: Vec<Late<I>>,
    /// Answers of a probe that may say that the outage goes on, while others are still out.
    suspended: Vec<(i32, Place, Answered<I>)>,
    tickets: Ticket,
    /// When a handler started or answered last, unless one has since that was looked at.
    moved_at: Instant,
    has_moved: bool,
    /// What a probe may have in flight.
    probe_max: usize,
}

impl<I> InFlight<I> {
    pub(crate) fn new(is_used: bool, concurrency: usize, limit: Duration, runner: Runner) -> Self {
        let ready_max = runner.ready_max().min(concurrency);
        Self {
            is_used,
            records_max: concurrency.saturating_add(ready_max),
            limit,
            runner,
            handling: HashMap::new(),
            late: Vec::new(),
            suspended: Vec::new(),
            tickets: 0,
            moved_at: Instant::now(),
            has_moved: false,
            probe_max: usize::MAX,
        }
    }

    /// Whether handlers wait at all.
    pub(crate) const fn is_used(&self) -> bool {
        self.is_used
    }

    /// Whether another record may start.
    pub(crate) fn has_room(&self) -> bool {
        !self.is_used || self.len() < self.records_max.min(self.probe_max)
    }

    /// Lets at most so many be in flight, those that are already included; as many as ever for
    /// `None`.
    pub(crate) fn limit(&mut self, probe_max: Option<usize>) {
        self.probe_max = probe_max.unwrap_or(usize::MAX);
    }

    pub(crate) fn len(&self) -> usize {
        self.handling.len() + self.late.len() + self.suspended.len()
    }

    /// Whether a handler works.
    pub(crate) fn is_working(&self) -> bool {
        !self.handling.is_empty()
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
        Some(self.runner.next_in().unwrap_or_else(|| self.look_in()))
    }

    fn look_in(&mut self) -> Duration {
        if std::mem::take(&mut self.has_moved) {
            self.moved_at = Instant::now();
        }
        (self.moved_at.elapsed() / 8).clamp(ANSWER_LOOK_MIN, ANSWER_LOOK_MAX)
    }

    /// Lets those begin that were started, as far as there are places for them.
    pub(crate) fn hand_over(&mut self) {
        self.runner.hand_over();
    }

    /// Waits for answers so long; whether some have come.
    pub(crate) fn waits_for_more(&mut self, limit: Duration) -> bool {
        self.wait(limit);
        !self.suspended.is_empty() || self.runner.next_in() == Some(Duration::ZERO)
    }

    /// Waits for answers, until the next look at most.
    pub(crate) fn wait(&mut self, limit: Duration) {
        let look_in = self.next_look_in().unwrap_or(limit);
        self.runner.wait(look_in.min(limit));
    }

    pub(crate) fn start(
        &mut self,
        partition: i32,
        place: Place,
        input: I,
        work: Work,
        schema: Option<u32>,
    ) {
        tracing::trace!(partition, "a handler starts");
        self.has_moved = true;
        self.tickets += 1;
        let task = self.runner.run(self.tickets, work, self.limit, schema);
        let began_ns = if spans::is_on() { spans::now_ns() } else { 0 };
        self.handling.insert(self.tickets, Handling { partition, place, input, began_ns, task });
    }

    /// Ends the work on a partition's records and forgets them: their next owner reads them again.
    pub(crate) fn forget(&mut self, partition: i32) {
        self.hand_over();
        self.handling.retain(|_, handling| handling.partition != partition);
        self.late.retain(|late| late.partition != partition);
        self.suspended.retain(|(of, ..)| *of != partition);
    }

    /// The records whose handlers stand ready and have not begun: nothing was done for them.
    pub(crate) fn take_back(&mut self) -> Vec<(i32, Place)> {
        self.hand_over();
        let ready = self.handling.extract_if(|_, handling| handling.task.take_back());
        ready.map(|(_, handling)| (handling.partition, handling.place)).collect()
    }

    /// Takes the waiting records of a partition back from their handlers.
    pub(crate) fn recall_retries(&mut self, partition: i32) {
        self.hand_over();
        self.handling.retain(|_, handling| {
            handling.partition != partition || matches!(handling.place, Place::Main(_))
        });
        self.late.retain(|late| late.partition != partition);
        self.suspended.retain(|(of, place, _)| *of != partition || matches!(place, Place::Main(_)));
    }

    /// The answers that are to be taken in now, in a probe. Failures of what handlers ask wait for a
    /// success, or until nothing is out any more: the first to fail may be poison, and would end the
    /// probe before the others have answered.
    pub(crate) fn take_probed(&mut self) -> Vec<(i32, Place, Answered<I>)> {
        let mut all = std::mem::take(&mut self.suspended);
        all.extend(std::iter::from_fn(|| self.pop_answered()));
        let is_success = |(_, _, it): &(i32, Place, Answered<I>)| it.answer.is_ok();
        if self.handling.is_empty() || all.iter().any(is_success) {
            // Successes first: they end the outage.
            all.sort_by_key(|answered| !is_success(answered));
            return all;
        }
        let may_wait = |(_, _, it): &(i32, Place, Answered<I>)| {
            matches!(it.answer, Err(HandleError::Downstream { .. }))
        };
        let (suspended, now) = all.into_iter().partition(may_wait);
        self.suspended = suspended;
        now
    }

    /// The next record whose handler has answered. Answers for records that were forgotten are
    /// dropped.
    pub(crate) fn pop_answered(&mut self) -> Option<(i32, Place, Answered<I>)> {
        if !self.suspended.is_empty() {
            return Some(self.suspended.remove(0)); // a probe has few
        }
        loop {
            let (ticket, answer) = self.runner.next()?;
            let Some(handling) = self.handling.remove(&ticket) else { continue };
            self.has_moved = true;
            let Handling { partition, place, input, began_ns, task } = handling;
            task.end();
            return Some((partition, place, Answered { input, answer, began_ns }));
        }
    }
}
