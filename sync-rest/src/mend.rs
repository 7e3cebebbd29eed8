//! Sees to orders that were begun and have no outcome, until each of them is done: those whose answer
//! was lost, and those over which an earlier process died.
//!
//! What is left of an order stands in the store; here is only who works on it now. So nothing is
//! forgotten: neither by a crash, nor where more are left than are worked on at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use order_api::{Left, Placed, Rest};
use orders::InventoryOutcome;
use service_kit::http::RequestContext;
use service_kit::shutdown::Shutdown;
use tokio::sync::Semaphore;

use crate::calls::{Attempt, Reserved, within};
use crate::metrics;
use crate::order::Shared;

/// Waits before the first tries; later ones are made every [`LATER_EVERY`], without end.
const FIRST_WAITS: [Duration; 7] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
];
const LATER_EVERY: Duration = Duration::from_secs(30);

/// How long the first try may take. The next ones may take twice as long each, up to
/// [`TRY_MAX`]: a service that is slow and not away is done with as well.
const FIRST_TRY_MAX: Duration = Duration::from_secs(15);
const TRY_MAX: Duration = Duration::from_secs(60);

/// Orders that are seen to at a time; the others wait in the store.
const AT_A_TIME_MAX: usize = 1_000;

/// How often the store is looked at for orders that nobody sees to.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Orders that are seen to now.
#[derive(Debug)]
pub(crate) struct Mending {
    order_ids: Mutex<HashSet<String>>,
    places: Arc<Semaphore>,
    stop: Shutdown,
}

impl Default for Mending {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(AT_A_TIME_MAX));
        Self { order_ids: Mutex::default(), places, stop: Shutdown::new() }
    }
}

impl Mending {
    /// Ends all waits, and waits for tries that are under way, but not longer than `limit`.
    pub(crate) async fn finish(&self, limit: Duration) {
        self.stop.request();
        let all = u32::try_from(AT_A_TIME_MAX).unwrap_or(u32::MAX);
        let is_done = tokio::time::timeout(limit, self.places.acquire_many(all)).await;
        if is_done.is_err() {
            let left = AT_A_TIME_MAX - self.places.available_permits();
            tracing::warn!(left, "stopped with unfinished orders; the next start continues them");
        }
    }

    fn order_ids(&self) -> MutexGuard<'_, HashSet<String>> {
        self.order_ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits before the tries, and how long each may take.
fn tries() -> impl Iterator<Item = (Duration, Duration)> {
    let waits = FIRST_WAITS.into_iter().chain(std::iter::repeat(LATER_EVERY));
    let longer = |time: &Duration| Some((*time * 2).min(TRY_MAX));
    waits.zip(std::iter::successors(Some(FIRST_TRY_MAX), longer))
}

impl Shared {
    /// Looks for unfinished orders until `stop` is requested.
    pub(crate) async fn mend(this: &Arc<Self>, stop: Shutdown) {
        while !stop.is_requested() {
            match this.orders.all_unfinished(2 * AT_A_TIME_MAX) {
                Ok(all) => {
                    for (order_id, note) in &all {
                        if note.left(this.first_attempt).is_some() {
                            Self::see_to_soon(this, order_id);
                        }
                    }
                }
                Err(error) => tracing::error!(%error, "unfinished orders cannot be found"),
            }
            if let Ok(unfinished) = this.orders.unfinished_len() {
                metrics::unfinished(unfinished);
            }
            tokio::select! {
                () = stop.requested() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Sees to an order in the background, unless that is done already; where too many are, its turn
    /// comes later.
    pub(crate) fn see_to_soon(this: &Arc<Self>, order_id: &str) {
        let Ok(place) = Arc::clone(&this.mending.places).try_acquire_owned() else { return };
        if !this.mending.order_ids().insert(order_id.to_owned()) {
            return;
        }
        let (this, order_id) = (Arc::clone(this), order_id.to_owned());
        tokio::spawn(async move {
            this.see_to(&order_id).await;
            this.mending.order_ids().remove(&order_id);
            drop(place);
        });
    }

    async fn see_to(&self, order_id: &str) {
        for (n, (wait, limit)) in tries().enumerate() {
            tokio::select! {
                () = self.mending.stop.requested() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let context = within(&RequestContext::internal(), limit);
            match self.try_once(order_id, &context).await {
                Ok(()) => return,
                Err(detail) if n + 1 == FIRST_WAITS.len() => {
                    let every_s = LATER_EVERY.as_secs();
                    tracing::warn!(
                        order_id,
                        detail,
                        every_s,
                        "an order is unfinished; retrying until it is complete"
                    );
                }
                Err(detail) => tracing::debug!(order_id, detail, "an order is unfinished"),
            }
        }
    }

    /// Does what is left of an order now.
    async fn try_once(&self, order_id: &str, context: &RequestContext) -> Result<(), String> {
        let note = self.orders.unfinished(order_id).map_err(|error| error.to_string())?;
        let Some(note) = note else { return Ok(()) };
        match note.left(self.first_attempt) {
            None => Ok(()),
            Some(Left { attempt, rest: Rest::Release }) => {
                self.release(order_id, attempt, context).await
            }
            Some(Left { rest: Rest::Complete, .. }) => {
                let attempt = Attempt { order: note.order(), number: self.attempts.next() };
                self.complete(&attempt, context).await
            }
        }
    }

    /// Gives back what an attempt, or one before it, has reserved.
    pub(crate) async fn release(
        &self,
        order_id: &str,
        attempt: u64,
        context: &RequestContext,
    ) -> Result<(), String> {
        let released = self.services.release(order_id, attempt, context).await;
        released.map_err(|error| error.to_string())?;
        self.orders.released(order_id, attempt).await.map_err(|error| error.to_string())?;
        metrics::seen_to("released");
        Ok(())
    }

    /// Does all steps of an order, of which some may be done, and stores the outcome.
    async fn complete(&self, attempt: &Attempt, context: &RequestContext) -> Result<(), String> {
        let reserved = self.services.reserve(attempt, context).await;
        let outcome = match reserved.map_err(|error| error.to_string())? {
            Reserved::Yes(_) => InventoryOutcome::Reserved,
            Reserved::No(outcome) => outcome,
            Reserved::Unexpected(problem) => return Err(problem.detail().to_owned()),
        };
        if outcome == InventoryOutcome::Reserved {
            let told = self.services.notify(attempt, context).await;
            told.map_err(|error| error.to_string())?;
        }
        let placed = self
            .orders
            .placed(&attempt.order, Placed::Settled(outcome), None, Instant::now())
            .await;
        placed.map_err(|problem| problem.detail().to_owned())?;
        metrics::seen_to("completed");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_never_end_and_each_has_a_limit() {
        let some: Vec<(u64, u64)> =
            tries().take(12).map(|(wait, limit)| (wait.as_secs(), limit.as_secs())).collect();
        assert_eq!(some[..4], [(0, 15), (0, 30), (1, 60), (2, 60)]);
        assert_eq!(some[6..], [(20, 60), (30, 60), (30, 60), (30, 60), (30, 60), (30, 60)]);
    }
}
