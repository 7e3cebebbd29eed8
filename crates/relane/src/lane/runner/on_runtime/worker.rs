//! A task that works on one record after the other.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::pool::{Ended, IDLE, Job, NOTHING, Next, Pool, STOP, Seat};
use crate::lane::panics::{self, contained};
use crate::lane::runner::{Answer, not_ended};

/// A task that works on one record after the other.
pub(super) struct Worker {
    pool: Arc<Pool>,
    seat: Arc<Seat>,
    job: Option<Job>,
}

impl Worker {
    pub(super) fn new(pool: &Arc<Pool>) -> Self {
        Self { pool: Arc::clone(pool), seat: Arc::default(), job: None }
    }

    /// Takes the next work; what its poll comes to where there is none.
    fn look(
        pool: &Arc<Pool>,
        seat: &Arc<Seat>,
        job: &mut Option<Job>,
        ended: Option<Ended>,
    ) -> Option<Poll<()>> {
        let (next, new) = pool.next(seat, ended);
        for _ in 0..new {
            tokio::spawn(Self::new(pool));
        }
        match next {
            Next::Work(next) => {
                *job = Some(next);
                None
            }
            Next::Wait => Some(Poll::Pending),
            Next::End => Some(Poll::Ready(())),
        }
    }
}

impl Job {
    /// Waits for the handler. A panic is its record's failure, and so is a handler whose time is over.
    fn poll(&mut self, seat: &Seat, context: &mut Context<'_>) -> Poll<Came> {
        if seat.told() == STOP {
            return Poll::Ready(Came::Away(Ok(()))); // nobody hears it
        }
        match contained(|| self.work.as_mut().poll(context)) {
            None => Poll::Ready(Came::Away(panics::handler_error(self.schema_id))),
            Some(Poll::Ready(answer)) => Poll::Ready(Came::ToItsEnd(answer)),
            Some(Poll::Pending) => match seat.told() {
                NOTHING => Poll::Pending,
                _ => Poll::Ready(Came::Away(not_ended(self.limit, self.schema_id))),
            },
        }
    }

    fn end(self, came: Came) -> Ended {
        let Self { ticket, work, .. } = self;
        match came {
            Came::ToItsEnd(answer) => Ended { ticket, answer, rest: Some(work) },
            Came::Away(answer) => {
                // What it holds may panic when it goes, and the answer must not be lost with it.
                contained(|| drop(work));
                Ended { ticket, answer, rest: None }
            }
        }
    }
}

/// How work has ended.
enum Came {
    /// By itself. What it still holds goes when the lane takes the answer in.
    ToItsEnd(Answer),
    Away(Answer),
}

impl Future for Worker {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { pool, seat, job } = self.get_mut();
        if job.is_none() {
            if seat.told() == IDLE {
                return Poll::Pending; // what is over has called once more
            }
            // A task has one waker from its begin to its end.
            seat.waker.get_or_init(|| context.waker().clone());
            if let Some(ended) = Self::look(pool, seat, job, None) {
                return ended;
            }
        }
        let Some(at) = job else { return Poll::Pending };
        let Poll::Ready(came) = at.poll(seat, context) else { return Poll::Pending };
        let ended = job.take().map(|job| job.end(came));
        if let Some(ended) = Self::look(pool, seat, job, ended) {
            return ended;
        }
        // Others come first: work that never waits would keep them from it.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
