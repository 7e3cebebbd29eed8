//! Sends requests at their planned times, whatever becomes of those before.
//!
//! ```text
//! a thread of its own: sleeps until the planned time ─► room for one more? ─yes─► a task: sent, answered
//!                                                            │ no
//!                                                            ▼
//!                                                  not sent, and the run void
//! ```
//!
//! The thread waits for the clock only. A system that stands still makes requests pile up, and each of them counts
//! from its planned time: nothing is omitted because something else was slow.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use service_kit::shutdown::Shutdown;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::asked::{Asks, What};
use crate::book::{Answer, Book};
use crate::stopping::unless_stopped;

/// Requests under way at a time. One more is not sent: the generator has no connection left, and the run is void.
pub const UNDER_WAY_MAX: usize = 900;
/// Longest sleep of the sending thread before it looks whether it is asked to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// How.
    pub answer: Answer,
    /// Whether it says what became of the order.
    pub is_outcome: bool,
    /// What the client saw, where the order was not accepted: `503 downstream-away`, `timeout`.
    pub failure: Option<String>,
}

/// What requests are sent to.
pub trait Target: Send + Sync + 'static {
    /// Places an order.
    fn place(&self, order: &crate::asked::Asked) -> impl Future<Output = Answered> + Send;

    /// Sends an invalid message.
    fn poison(&self) -> impl Future<Output = Poisoned> + Send;
}

/// What became of an invalid message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poisoned {
    /// The order API rejected it.
    TurnedAway,
    /// It stands in the queue or topic, by the broker's word.
    Put,
    /// It may have arrived.
    Unknown,
    /// It surely did not arrive.
    NotSent,
}

/// Sends all of `asks`, and returns when all is answered, or a stop was asked for. Blocks.
pub fn drive<T: Target>(
    asks: &Arc<Asks>,
    book: &Arc<Book>,
    target: &Arc<T>,
    runtime: &Handle,
    stop: &Shutdown,
    answer_max: Duration,
) {
    let under_way = send(asks, book, target, runtime, stop);
    under_way.answered(runtime, stop, answer_max);
}

/// Requests that were sent, and may not be answered yet.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Semaphore>);

impl UnderWay {
    /// Waits until all of them are answered, but not longer than `answer_max`. Blocks; a stop ends it.
    pub(crate) fn answered(&self, runtime: &Handle, stop: &Shutdown, answer_max: Duration) {
        let all = u32::try_from(UNDER_WAY_MAX).unwrap_or(u32::MAX);
        let answered = self.0.acquire_many(all);
        let answered = async { tokio::time::timeout(answer_max, answered).await.is_ok() };
        if unless_stopped(runtime, stop, answered) != Some(true) {
            tracing::debug!("some requests have no answer");
        }
    }
}

/// Sends `asks` until all are sent, or it is `enough`. Blocks.
pub(crate) fn send<T: Target>(
    asks: &Arc<Asks>,
    book: &Arc<Book>,
    target: &Arc<T>,
    runtime: &Handle,
    enough: &Shutdown,
) -> UnderWay {
    let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    for request in &asks.requests {
        if !sleep_until(book.clock().moment(request.at_us), enough) {
            break;
        }
        let what = request.what;
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            continue;
        };
        let (asks, book, target) = (Arc::clone(asks), Arc::clone(book), Arc::clone(target));
        runtime.spawn(async move {
            perform(&asks, &book, &*target, what).await;
            drop(place);
        });
    }
    UnderWay(room)
}

async fn perform<T: Target>(asks: &Asks, book: &Book, target: &T, what: What) {
    match what {
        What::Order(order) => {
            book.sent(order);
            let Answered { answer, is_outcome, failure } = target.place(&asks.orders[order]).await;
            book.answered(order, answer, is_outcome);
            if let Some(failure) = failure {
                book.note(|others| *others.failures.entry(failure).or_default() += 1);
            }
        }
        What::Again(order) => {
            let answered = target.place(&asks.orders[order]).await;
            let is_accepted = matches!(answered.answer, Answer::Accepted | Answer::Refused);
            if answered.answer == Answer::Accepted {
                book.taken_at_last(order);
            }
            book.note(|others| {
                others.repeats += 1;
                others.repeats_accepted += u64::from(is_accepted);
            });
        }
        What::Poison => {
            let poisoned = target.poison().await;
            book.note(|others| {
                others.poison += u64::from(poisoned != Poisoned::NotSent);
                others.poison_turned_away += u64::from(poisoned == Poisoned::TurnedAway);
                others.poison_unknown += u64::from(poisoned == Poisoned::Unknown);
            });
        }
    }
}

/// Sleeps until a moment; returns false when a stop was asked for.
fn sleep_until(moment: Instant, stop: &Shutdown) -> bool {
    loop {
        if stop.is_requested() {
            return false;
        }
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(LOOK_EVERY));
    }
}

#[cfg(test)]
#[path = "generator_tests.rs"]
mod tests;
