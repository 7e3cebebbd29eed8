//! What lane and tasks share: the work that stands ready, that which is under way, and the answers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, Weak};
use std::task::Waker;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::{Instant, sleep_until};

use crate::lane::panics::contained;
use crate::lane::runner::{Answer, Ticket};
use crate::stage::Work;

/// Work that stands ready, or is under way.
pub(super) struct Job {
    pub(super) ticket: Ticket,
    pub(super) work: Work,
    pub(super) limit: Duration,
    pub(super) schema_id: Option<u32>,
}

/// An answer.
pub(super) struct Ended {
    pub(super) ticket: Ticket,
    pub(super) answer: Answer,
    /// The work, where it has ended by itself. The lane frees its memory, which the lane has allocated: that is cheaper.
    pub(super) rest: Option<Work>,
}

/// What lane and tasks share.
pub(super) struct Pool {
    /// Tasks at most.
    pub(super) concurrency: usize,
    state: Mutex<State>,
    /// The lane waits here.
    pub(super) lane: Condvar,
}

/// Nothing that may panic is done while it is held.
pub(super) const UNPOISONED: &str = "no panic while it is held";

#[derive(Default)]
pub(super) struct State {
    /// By ticket; without a job those that were taken back.
    pub(super) ready: VecDeque<(Ticket, Option<Job>)>,
    under_way: HashMap<Ticket, UnderWay>,
    /// Number of tasks.
    tasks: usize,
    /// Those of them that wait for work.
    pub(super) idle: Vec<Arc<Seat>>,
    /// Number of those that were called and have not looked for work yet.
    coming: usize,
    pub(super) answers: VecDeque<Ended>,
    pub(super) lane_waits: bool,
    /// A task looks after the time.
    is_watched: bool,
    /// There will be no more work.
    pub(super) has_ended: bool,
}

/// Whose work it is, and until when it may take; `None` where it was told that it is over.
struct UnderWay {
    seat: Arc<Seat>,
    until: Option<Instant>,
}

impl State {
    /// Takes work back that has not begun.
    pub(super) fn take_ready(&mut self, ticket: Ticket) -> Option<Job> {
        let at = self.ready.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()?;
        self.ready.get_mut(at)?.1.take()
    }

    /// Calls tasks for what stands ready, so many at most; how many are to be made for it.
    pub(super) fn call(&mut self, most: usize, concurrency: usize) -> usize {
        let wanted = self.ready.len().saturating_sub(self.coming).min(most);
        let (idle, room) = (self.idle.len(), concurrency.saturating_sub(self.tasks));
        for seat in self.idle.drain(idle.saturating_sub(wanted)..) {
            seat.tell(COME);
        }
        let new = wanted.saturating_sub(idle).min(room);
        self.tasks += new;
        self.coming += wanted.min(idle) + new;
        new
    }

    /// Whether it is time for the lane: before nothing stands ready any more.
    pub(super) fn is_news(&self) -> bool {
        self.answers.len() >= self.ready.len().max(1)
    }
}

impl Pool {
    pub(super) fn new(concurrency: usize) -> Self {
        Self { concurrency, state: Mutex::default(), lane: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(UNPOISONED)
    }

    /// Takes in how a task's work has ended, if it had any, and gives it the next. Also says how many tasks are to be made for
    /// what stands ready beside it.
    pub(super) fn next(self: &Arc<Self>, seat: &Arc<Seat>, ended: Option<Ended>) -> (Next, usize) {
        let mut state = self.lock();
        let mut unheard = None;
        match ended {
            None => state.coming = state.coming.saturating_sub(1),
            Some(ended) if state.under_way.remove(&ended.ticket).is_some() => {
                state.answers.push_back(ended);
            }
            // Of one that was stopped nobody waits for the answer. It goes when nothing is held any more.
            Some(ended) => unheard = ended.rest,
        }
        let job = std::iter::from_fn(|| state.ready.pop_front()).find_map(|(_, job)| job);
        let mut begins_watch = false;
        match &job {
            None if state.has_ended => {
                drop(state);
                contained(|| drop(unheard));
                return (Next::End, 0);
            }
            None => {
                seat.told.store(IDLE, Ordering::Release);
                state.idle.push(Arc::clone(seat));
            }
            Some(Job { ticket, limit, .. }) => {
                seat.told.store(NOTHING, Ordering::Release);
                let until = Instant::now().checked_add(*limit);
                state.under_way.insert(*ticket, UnderWay { seat: Arc::clone(seat), until });
                begins_watch = until.is_some() && !std::mem::replace(&mut state.is_watched, true);
            }
        }
        let new = state.call(usize::MAX, self.concurrency);
        let wakes_lane = state.lane_waits && state.is_news();
        state.lane_waits &= !wakes_lane;
        drop(state);
        contained(|| drop(unheard));
        if wakes_lane {
            self.lane.notify_one();
        }
        if begins_watch {
            tokio::spawn(watch(Arc::downgrade(self)));
        }
        (job.map_or(Next::Wait, Next::Work), new)
    }

    pub(super) fn stop(&self, ticket: Ticket) {
        let mut state = self.lock();
        if let Some(UnderWay { seat, .. }) = state.under_way.remove(&ticket) {
            seat.tell(STOP);
            return;
        }
        let work = state.take_ready(ticket);
        drop(state);
        contained(|| drop(work));
    }

    /// Tells those whose time is over, and says when the next one's is; `None` when nobody has any.
    fn end_overdue(&self) -> Option<Instant> {
        let (mut state, now) = (self.lock(), Instant::now());
        let mut next: Option<Instant> = None;
        for UnderWay { seat, until } in state.under_way.values_mut() {
            let Some(time) = *until else { continue };
            if time <= now {
                *until = None;
                seat.tell(OVER);
            } else {
                next = Some(next.map_or(time, |next| next.min(time)));
            }
        }
        state.is_watched = next.is_some();
        next
    }
}

/// Looks after the time of all that is under way, until nothing is. It keeps nothing of a lane that has ended.
async fn watch(pool: Weak<Pool>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.end_overdue()) {
        sleep_until(next).await;
    }
}

/// Where a task is told something.
#[derive(Default)]
pub(super) struct Seat {
    told: AtomicU8,
    pub(super) waker: OnceLock<Waker>,
}

/// What it may be told: of the work that it is at, or to look for some.
pub(super) const NOTHING: u8 = 0;
pub(super) const STOP: u8 = 1;
const OVER: u8 = 2;
pub(super) const IDLE: u8 = 3;
pub(super) const COME: u8 = 4;

/// What a task does next.
pub(super) enum Next {
    Work(Job),
    Wait,
    End,
}

impl Seat {
    pub(super) fn tell(&self, what: u8) {
        self.told.store(what, Ordering::Release);
        // It is there: a task waits, and begins to work, only after.
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    pub(super) fn told(&self) -> u8 {
        self.told.load(Ordering::Acquire)
    }
}
