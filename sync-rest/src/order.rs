//! The order service's part: ask inventory, then notification, and leave nothing half done.
//!
//! ```text
//! both breakers closed? ─► noted ─► PUT /reservations/{id} ─► PUT /notifications/{id} ─► outcome stored
//!        │ no                         │ no answer              │ nothing begun    │ no answer
//!        ▼                            ▼                        ▼                  ▼
//!   503, nothing done           DELETE, tried until      DELETE, then 503    PUT tried until it
//!                               it is done               nothing done        is done, then stored
//! ```
//!
//! A reservation whose order does not come about is given back; once the user may have been told, by
//! this attempt or by an earlier one whose reservation it found, the order is completed instead. Each
//! attempt has a number that grows, so that a release that comes late takes nothing from a later
//! attempt, and a reservation that comes late does not outlive its release.
//!
//! An order is noted in the store before anything is asked ([`Orders::begin`]), and the note goes with
//! its outcome. What is noted and not worked on is seen to by [`mend`](crate::mend), also after a crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use order_api::{AnswerForm, Left, NewOrder, Orders, Paradigm, Placed, Rest, outcome_unknown};
use orders::InventoryOutcome;
use service_kit::http::{Problem, RequestContext};
use service_kit::shutdown::Shutdown;

use crate::calls::{Attempt, Reserved, Services, problem, within};
use crate::downstream::{Begun, CallError, Downstream};
use crate::mend::Mending;
use crate::metrics;
use crate::reservation::DecidedFor;

/// Longest time for giving a reservation back while the client waits.
const RELEASE_MAX: Duration = Duration::from_secs(1);

/// Places orders by asking the other two services.
#[derive(Debug, Clone)]
pub struct AskBoth {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) services: Services,
    pub(crate) orders: Orders,
    /// Longest time for one order, also where the caller gives more.
    deadline: Duration,
    pub(crate) attempts: AttemptNumbers,
    /// Number of the first attempt of this process.
    pub(crate) first_attempt: u64,
    pub(crate) mending: Mending,
}

impl AskBoth {
    /// One that asks these two, each order within `deadline`, and notes in `orders` what is not done.
    pub(crate) fn new(
        inventory: Downstream,
        notification: Downstream,
        orders: Orders,
        deadline: Duration,
    ) -> Self {
        metrics::start();
        let services = Services { inventory, notification };
        let attempts = AttemptNumbers::default();
        let (first_attempt, mending) = (attempts.next(), Mending::default());
        let shared = Shared { services, orders, deadline, attempts, first_attempt, mending };
        Self { shared: Arc::new(shared) }
    }

    /// Looks for services that were not reachable until `stop` is requested.
    pub async fn look_for_services(&self, stop: Shutdown) {
        let Services { inventory, notification } = &self.shared.services;
        tokio::join!(inventory.look_for(stop.clone()), notification.look_for(stop));
    }

    /// Sees to what is unfinished until `stop` is requested.
    pub async fn mend(&self, stop: Shutdown) {
        Shared::mend(&self.shared, stop).await;
    }

    /// Waits until the tries that are under way are over, but not longer than `limit`; what is left
    /// then is left to the next start.
    pub async fn finish(&self, limit: Duration) {
        self.shared.mending.finish(limit).await;
    }
}

impl Paradigm for AskBoth {
    const ANSWER: AnswerForm = AnswerForm::WithOutcome;
    const REJECTS: &'static [&'static str] = &[
        "deadline-exceeded",
        "downstream-away",
        "downstream-overloaded",
        "downstream-slow",
        "out-of-stock",
        "overloaded",
        "simulated",
    ];

    async fn place(&self, order: &NewOrder, context: &RequestContext) -> Result<Placed, Problem> {
        let context = context.clone().within(self.shared.deadline);
        let services = &self.shared.services;
        // With one of them away nothing is begun at the other.
        services.inventory.check().map_err(|error| problem(&error))?;
        services.notification.check().map_err(|error| problem(&error))?;
        services.meet(&context).await.map_err(|error| problem(&error))?;
        let attempt = Attempt { order: order.clone(), number: self.shared.attempts.next() };
        let left = self.shared.orders.begin(order, attempt.number).await?;
        let decided_for = match services.reserve(&attempt, &context).await {
            Ok(Reserved::Yes(decided_for)) => decided_for,
            Ok(Reserved::No(outcome)) => return Ok(Placed::Settled(outcome)),
            Ok(Reserved::Unexpected(problem)) => {
                return Err(self.nothing_done(&attempt, problem).await);
            }
            Err(error) if error.begun == Begun::Nothing => {
                return Err(self.nothing_done(&attempt, problem(&error)).await);
            }
            Err(error) => return Err(self.leave(&attempt, Rest::Release, &error).await),
        };
        let Err(error) = services.notify(&attempt, &context).await else {
            return Ok(Placed::Settled(InventoryOutcome::Reserved));
        };
        let is_untold = error.begun == Begun::Nothing
            && decided_for == DecidedFor::ThisAttempt
            && left.is_none_or(|Left { rest, .. }| rest == Rest::Release);
        if is_untold {
            return Err(self.take_back(&attempt, &context, &error).await);
        }
        // This attempt or an earlier one may have told the user.
        Err(self.leave(&attempt, Rest::Complete, &error).await)
    }
}

impl AskBoth {
    /// Notes that nothing was done before the client is told so.
    async fn nothing_done(&self, attempt: &Attempt, why: Problem) -> Problem {
        match self.shared.orders.nothing_done(attempt.order_id(), attempt.number).await {
            Ok(()) => why,
            // The next start takes it for begun.
            Err(error) => {
                tracing::error!(%error, "could not store that an order was not placed");
                outcome_unknown(why)
            }
        }
    }

    /// Gives the reservation back before the client is told that nothing was done; if that fails
    /// too, the client is told that it is not known.
    async fn take_back(
        &self,
        attempt: &Attempt,
        context: &RequestContext,
        why: &CallError,
    ) -> Problem {
        let context = within(context, RELEASE_MAX);
        match self.shared.release(attempt.order_id(), attempt.number, &context).await {
            Ok(()) => problem(why),
            Err(_) => outcome_unknown(self.leave(attempt, Rest::Release, why).await),
        }
    }

    /// Notes what is left to be done, and has it done in the background.
    async fn leave(&self, attempt: &Attempt, rest: Rest, why: &CallError) -> Problem {
        let order_id = attempt.order_id();
        if let Err(error) = self.shared.orders.leave(order_id, attempt.number, rest).await {
            // It is noted as begun, and the next start sees to it.
            tracing::error!(%error, order_id, "could not store the remaining steps of an order");
        }
        Shared::see_to_soon(&self.shared, order_id);
        outcome_unknown(problem(why))
    }
}

/// Numbers of attempts: each larger than all before it, also those of an earlier run, as long as
/// the clock was not set back in between.
#[derive(Debug, Default)]
pub(crate) struct AttemptNumbers {
    last: AtomicU64,
}

impl AttemptNumbers {
    pub(crate) fn next(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_us = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX);
        let next = |last: u64| now_us.max(last.saturating_add(1));
        let before =
            self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |l| Some(next(l)));
        next(before.unwrap_or_else(|last| last))
    }
}
