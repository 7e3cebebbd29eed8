//! Runs the work that handlers wait for, beside the lane: on the runtime in a program, by hand where the
//! lane is simulated.

use std::time::Duration;

use pipeline::failure::{Failure, FailureReason};

use crate::stage::HandleError;

#[cfg(any(test, feature = "testing"))]
pub(crate) use either::{Runner, Task};
#[cfg(not(any(test, feature = "testing")))]
pub(crate) use on_runtime::{Runner, Task};

/// What a handler came to.
pub(crate) type Answer = Result<(), HandleError>;

/// Tells the answers apart.
pub(crate) type Ticket = u64;

/// The answer of a handler that does not end within `limit`, and is dropped. What it calls may be away, but then it is to
/// have limits of its own, and say so.
fn not_ended(limit: Duration, schema_id: Option<u32>) -> Answer {
    Err(HandleError::Failed(Failure {
        reason: FailureReason::Handler,
        schema_id,
        detail: format!("the handler did not end within {limit:?}"),
    }))
}

mod on_runtime;

/// Which of the two is known when the lane starts.
#[cfg(any(test, feature = "testing"))]
mod either {
    use std::time::Duration;

    use tokio::runtime::Handle;

    use super::{Answer, Ticket, by_hand, on_runtime};
    use crate::stage::Work;

    /// Work under way; dropped, it is stopped where it waits.
    pub(crate) enum Task {
        OnRuntime(on_runtime::Task),
        ByHand(#[expect(dead_code, reason = "it is held")] by_hand::Task),
    }

    impl Task {
        /// What runs by hand has nothing left to stop.
        pub(crate) fn end(self) {
            if let Self::OnRuntime(it) = self {
                it.end();
            }
        }

        /// What runs by hand begins at once.
        pub(crate) fn take_back(&self) -> bool {
            match self {
                Self::OnRuntime(it) => it.take_back(),
                Self::ByHand(_) => false,
            }
        }
    }

    pub(crate) enum Runner {
        OnRuntime(on_runtime::Runner),
        ByHand(by_hand::Runner),
    }

    impl Runner {
        pub(crate) fn new(runtime: Handle, concurrency: usize) -> Self {
            Self::OnRuntime(on_runtime::Runner::new(runtime, concurrency))
        }

        pub(crate) fn ready_max(&self) -> usize {
            match self {
                Self::OnRuntime(it) => it.ready_max(),
                Self::ByHand(_) => 0,
            }
        }

        pub(crate) fn by_hand() -> Self {
            Self::ByHand(by_hand::Runner::default())
        }

        pub(crate) fn run(
            &mut self,
            ticket: Ticket,
            work: Work,
            limit: Duration,
            schema_id: Option<u32>,
        ) -> Task {
            match self {
                Self::OnRuntime(it) => Task::OnRuntime(it.run(ticket, work, limit, schema_id)),
                Self::ByHand(it) => Task::ByHand(it.run(ticket, work, limit, schema_id)),
            }
        }

        /// What runs by hand began at once.
        pub(crate) fn hand_over(&mut self) {
            if let Self::OnRuntime(it) = self {
                it.hand_over();
            }
        }

        pub(crate) fn next(&mut self) -> Option<(Ticket, Answer)> {
            match self {
                Self::OnRuntime(it) => it.next(),
                Self::ByHand(it) => it.next(),
            }
        }

        pub(crate) fn wait(&mut self, limit: Duration) {
            match self {
                Self::OnRuntime(it) => it.wait(limit),
                Self::ByHand(it) => it.wait(limit),
            }
        }

        pub(crate) fn next_in(&mut self) -> Option<Duration> {
            match self {
                Self::OnRuntime(it) => it.next_in(),
                Self::ByHand(it) => it.next_in(),
            }
        }
    }
}

#[cfg(any(test, feature = "testing"))]
mod by_hand {
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::sync::{Arc, Mutex, Weak};
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::{Answer, Ticket, not_ended};
    use crate::clock;
    use crate::clock::simulated;
    use crate::lane::limits::ANSWER_LOOK_MIN;
    use crate::lane::panics::{self, contained};
    use crate::model::world;
    use crate::stage::Work;

    /// Waits for a handler, for `limit` at most. A panic is its record's failure, and so is a handler that does not
    /// end.
    async fn answer(mut work: Work, limit: Duration, schema_id: Option<u32>) -> Answer {
        let mut over = pin!(clock::pass(limit));
        let answer = poll_fn(|context| match contained(|| work.as_mut().poll(context)) {
            None => Poll::Ready(panics::handler_error(schema_id)),
            Some(Poll::Ready(answer)) => Poll::Ready(answer),
            Some(Poll::Pending) => {
                over.as_mut().poll(context).map(|()| not_ended(limit, schema_id))
            }
        })
        .await;
        // What it holds may panic when it goes, and the answer must not be lost with it.
        contained(|| drop(work));
        answer
    }

    type Running = Mutex<Pin<Box<dyn Future<Output = Answer> + Send>>>;

    /// Work under way; dropped, it is gone.
    pub(crate) struct Task(#[expect(dead_code, reason = "it is held")] Arc<Running>);

    /// Looks at the work whenever it is asked for answers.
    #[derive(Default)]
    pub(crate) struct Runner {
        running: Vec<(Ticket, Weak<Running>)>,
        ready: VecDeque<(Ticket, Answer)>,
    }

    impl Runner {
        pub(crate) fn run(
            &mut self,
            ticket: Ticket,
            work: Work,
            limit: Duration,
            schema_id: Option<u32>,
        ) -> Task {
            let running: Pin<Box<dyn Future<Output = Answer> + Send>> =
                Box::pin(answer(work, limit, schema_id));
            let running = Arc::new(Mutex::new(running));
            self.running.push((ticket, Arc::downgrade(&running)));
            self.look(); // as a runtime would: it begins
            Task(running)
        }

        fn look(&mut self) {
            world::poll_handlers(&mut || self.poll());
        }

        fn poll(&mut self) {
            let ready = &mut self.ready;
            self.running.retain(|(ticket, running)| {
                let Some(running) = running.upgrade() else { return false };
                let mut context = Context::from_waker(Waker::noop());
                let polled = running.lock().expect("one thread").as_mut().poll(&mut context);
                match polled {
                    Poll::Pending => true,
                    Poll::Ready(answer) => {
                        ready.push_back((*ticket, answer));
                        false
                    }
                }
            });
        }

        pub(crate) fn next(&mut self) -> Option<(Ticket, Answer)> {
            self.look();
            self.ready.pop_front()
        }

        pub(crate) fn wait(&mut self, limit: Duration) {
            let look_again = if world::has_timers() { ANSWER_LOOK_MIN } else { limit };
            let wait = self.next_in().unwrap_or(look_again);
            crate::clock::sleep(wait.min(limit));
        }

        pub(crate) fn next_in(&mut self) -> Option<Duration> {
            simulated::take_next_end_in();
            self.look();
            let next = simulated::take_next_end_in();
            // The next end is not known where there are timers.
            let next = next.filter(|_| !world::has_timers());
            if self.ready.is_empty() { next } else { Some(Duration::ZERO) }
        }
    }
}
