//! Handlers on the runtime: so many at once, and the next ones as soon as others end, without the lane.
//!
//! Work goes to the runtime by the batch, and answers come back by the batch: to wake a thread costs more than all else
//! about a record. Tasks take from what stands ready, one record after the other, and stay for the next ones; one more
//! looks after the time of all of them.

mod pool;
mod worker;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use self::pool::{COME, Ended, Job, Pool, UNPOISONED};
use self::worker::Worker;
use super::{Answer, Ticket};
use crate::lane::limits::{HAND_OVER_MAX, READY_MAX};
use crate::lane::panics::contained;
use crate::stage::Work;

/// Work under way or ready to begin; dropped, it is stopped where it waits.
pub(crate) struct Task {
    /// `None` once it has answered.
    pool: Option<Arc<Pool>>,
    ticket: Ticket,
}

impl Task {
    /// Takes work back that has not begun; `false` if it has.
    pub(crate) fn take_back(&self) -> bool {
        let work = self.pool.as_ref().and_then(|pool| pool.lock().take_ready(self.ticket));
        let is_taken = work.is_some();
        contained(|| drop(work));
        is_taken
    }

    /// It has answered: there is nothing to stop.
    pub(crate) fn end(mut self) {
        self.pool = None;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.stop(self.ticket);
        }
    }
}

/// Hands work over and collects the answers: at most one of each handler in flight. What is beyond the places
/// for work stands ready.
pub(crate) struct Runner {
    runtime: Handle,
    pool: Arc<Pool>,
    /// Work that was added since the last hand-over.
    added: Vec<Job>,
    /// What was taken from the pool.
    answers: VecDeque<Ended>,
}

impl Runner {
    pub(crate) fn new(runtime: Handle, concurrency: usize) -> Self {
        let pool = Arc::new(Pool::new(concurrency));
        Self { runtime, pool, added: Vec::new(), answers: VecDeque::new() }
    }

    /// Adds work, which begins when it is handed over.
    pub(crate) fn run(
        &mut self,
        ticket: Ticket,
        work: Work,
        limit: Duration,
        schema_id: Option<u32>,
    ) -> Task {
        self.added.push(Job { ticket, work, limit, schema_id });
        if self.added.len() >= HAND_OVER_MAX {
            self.hand_over();
        }
        Task { pool: Some(Arc::clone(&self.pool)), ticket }
    }

    /// Has tasks come for what was added, as far as there are places.
    pub(crate) fn hand_over(&mut self) {
        if self.added.is_empty() {
            return;
        }
        let mut state = self.pool.lock();
        state.ready.extend(self.added.drain(..).map(|job| (job.ticket, Some(job))));
        // One: it calls the others from the runtime, which costs less than from here.
        let new = state.call(1, self.pool.concurrency);
        drop(state);
        for _ in 0..new {
            self.runtime.spawn(Worker::new(&self.pool));
        }
    }

    /// How much work may stand ready beside what is under way.
    pub(crate) const fn ready_max(&self) -> usize {
        READY_MAX
    }

    /// The next answer that has come.
    pub(crate) fn next(&mut self) -> Option<(Ticket, Answer)> {
        if self.answers.is_empty() {
            std::mem::swap(&mut self.answers, &mut self.pool.lock().answers);
        }
        let Ended { ticket, answer, rest } = self.answers.pop_front()?;
        contained(|| drop(rest));
        Some((ticket, answer))
    }

    /// Waits for answers, at most for `limit`: until there are as many as stand ready.
    pub(crate) fn wait(&mut self, limit: Duration) {
        self.hand_over();
        if !self.answers.is_empty() {
            return;
        }
        let mut state = self.pool.lock();
        state.lane_waits = true;
        let waited = self.pool.lane.wait_timeout_while(state, limit, |state| !state.is_news());
        waited.expect(UNPOISONED).0.lane_waits = false;
    }

    /// How long until an answer comes, where that is known.
    pub(crate) fn next_in(&mut self) -> Option<Duration> {
        self.hand_over();
        let has_come = !self.answers.is_empty() || !self.pool.lock().answers.is_empty();
        has_come.then_some(Duration::ZERO)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.has_ended = true;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        idle.iter().for_each(|seat| seat.tell(COME));
    }
}

#[cfg(test)]
#[path = "on_runtime_tests.rs"]
mod tests;
