//! Runs the work that handlers wait for, beside the lane: on the runtime in a program, by hand where the
//! lane is simulated.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use pipeline::failure::{Failure, FailureReason};

use crate::clock;
use crate::lane::panics::{self, contained};
use crate::stage::{HandleError, Work};

#[cfg(any(test, feature = "testing"))]
pub(crate) use either::{Runner, Task};
#[cfg(not(any(test, feature = "testing")))]
pub(crate) use on_runtime::{Runner, Task};

/// What a handler came to.
pub(crate) type Answer = Result<(), HandleError>;

/// Tells the answers apart.
pub(crate) type Ticket = u64;

/// Waits for a handler, for `limit` at most. A panic is its record's failure, and so is a handler that
/// does not end: it is dropped. What it calls may be away, but then it is to have limits of its own, and
/// say so.
async fn answer(mut work: Work, limit: Duration, schema_id: Option<u32>) -> Answer {
    let mut over = pin!(clock::pass(limit));
    let answer = poll_fn(|context| match contained(|| work.as_mut().poll(context)) {
        None => Poll::Ready(panics::handler_error(schema_id)),
        Some(Poll::Ready(answer)) => Poll::Ready(answer),
        Some(Poll::Pending) => over.as_mut().poll(context).map(|()| {
            Err(HandleError::Failed(Failure {
                reason: FailureReason::Handler,
                schema_id,
                detail: format!("the handler did not end within {limit:?}"),
            }))
        }),
    })
    .await;
    // What it holds may panic when it goes, and the answer must not be lost with it.
    contained(|| drop(work));
    answer
}

mod on_runtime {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use tokio::runtime::Handle;
    use tokio::sync::Semaphore;
    use tokio::task::AbortHandle;

    use super::{Answer, Ticket, answer};
    use crate::lane::limits::READY_MAX;
    use crate::stage::Work;

    /// Work under way or ready to begin; dropped, it is stopped where it waits.
    #[derive(Debug)]
    pub(crate) struct Task {
        abort: AbortHandle,
        /// It has begun, or was taken back: whoever sets it decides which.
        is_decided: Arc<AtomicBool>,
    }

    impl Task {
        /// Takes work back that has not begun; `false` if it has.
        pub(crate) fn take_back(&self) -> bool {
            !self.is_decided.swap(true, Ordering::AcqRel)
        }
    }

    impl Drop for Task {
        fn drop(&mut self) {
            self.abort.abort();
        }
    }

    /// Spawns work and collects the answers: at most one of each handler in flight. What is beyond the places
    /// for work stands ready, and begins when other work has ended, without the lane.
    #[derive(Debug)]
    pub(crate) struct Runner {
        runtime: Handle,
        places: Arc<Semaphore>,
        sender: Sender<(Ticket, Answer)>,
        answers: Receiver<(Ticket, Answer)>,
        /// What came while the lane waited for it.
        early: VecDeque<(Ticket, Answer)>,
    }

    impl Runner {
        pub(crate) fn new(runtime: Handle, concurrency: usize) -> Self {
            let (sender, answers) = channel();
            let places = Arc::new(Semaphore::new(concurrency.min(Semaphore::MAX_PERMITS)));
            Self { runtime, places, sender, answers, early: VecDeque::new() }
        }

        pub(crate) fn run(
            &mut self,
            ticket: Ticket,
            work: Work,
            limit: Duration,
            schema_id: Option<u32>,
        ) -> Task {
            let (sender, places) = (self.sender.clone(), Arc::clone(&self.places));
            let is_decided = Arc::new(AtomicBool::new(false));
            let decides = Arc::clone(&is_decided);
            let task = self.runtime.spawn(async move {
                let Ok(place) = places.acquire_owned().await else { return };
                if decides.swap(true, Ordering::AcqRel) {
                    return; // it was taken back
                }
                let answer = answer(work, limit, schema_id).await;
                drop(place);
                // A lane that has ended wants no answer.
                _ = sender.send((ticket, answer));
            });
            Task { abort: task.abort_handle(), is_decided }
        }

        /// How much work may stand ready beside what is under way.
        pub(crate) const fn ready_max(&self) -> usize {
            READY_MAX
        }

        /// The next answer that has come.
        pub(crate) fn next(&mut self) -> Option<(Ticket, Answer)> {
            self.early.pop_front().or_else(|| self.answers.try_recv().ok())
        }

        /// Waits until an answer comes, at most for `limit`.
        pub(crate) fn wait(&mut self, limit: Duration) {
            if self.early.is_empty() {
                self.early.extend(self.answers.recv_timeout(limit).ok());
            }
        }

        /// How long until an answer comes, where that is known.
        pub(crate) fn next_in(&mut self) -> Option<Duration> {
            (!self.early.is_empty()).then_some(Duration::ZERO)
        }
    }
}

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
    use std::pin::Pin;
    use std::sync::{Arc, Mutex, Weak};
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::{Answer, Ticket, answer};
    use crate::clock::simulated as clock;
    use crate::lane::limits::ANSWER_LOOK_MIN;
    use crate::model::world;
    use crate::stage::Work;

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
            clock::take_next_end_in();
            self.look();
            let next = clock::take_next_end_in();
            // The next end is not known where there are timers.
            let next = next.filter(|_| !world::has_timers());
            if self.ready.is_empty() { next } else { Some(Duration::ZERO) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::on_runtime::{Runner, Task};
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// Work that counts its begin, and ends when it is told to.
    fn work(begun: &Arc<AtomicUsize>, end: &Arc<Notify>) -> Work {
        let (begun, end) = (Arc::clone(begun), Arc::clone(end));
        Box::pin(async move {
            begun.fetch_add(1, Ordering::SeqCst);
            end.notified().await;
            Ok(())
        })
    }

    #[test]
    fn what_stands_ready_begins_when_other_work_has_ended_unless_it_was_taken_back() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let mut runner = Runner::new(runtime.handle().clone(), 1);
        let (begun, end) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
        let tasks: Vec<Task> =
            (0..3).map(|n| runner.run(n, work(&begun, &end), LIMIT, None)).collect();
        // Each task comes to its turn several times.
        let pass = || {
            runtime.block_on(async {
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            });
        };
        pass();
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        assert!(!tasks[0].take_back(), "it has begun");
        assert!(tasks[1].take_back(), "it has not");
        end.notify_one();
        pass();
        assert_eq!(begun.load(Ordering::SeqCst), 2, "the third, without a look at the answers");
        assert!(!tasks[2].take_back());
        end.notify_one();
        pass();
        let answers: Vec<_> = std::iter::from_fn(|| runner.next()).collect();
        assert_eq!(answers, [(0, Ok(())), (2, Ok(()))]);
    }
}
