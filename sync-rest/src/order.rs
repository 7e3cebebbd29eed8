//! The order service's part: ask inventory, then notification, and leave nothing half done.
//!
//! ```text
//! both breakers closed? ─► PUT /reservations/{id} ─► PUT /notifications/{id} ─► outcome stored
//!        │ no                    │ no answer              │ nothing begun    │ no answer
//!        ▼                       ▼                        ▼                  ▼
//!   503, nothing done      DELETE, tried again      DELETE, then 503     PUT tried again until it
//!                          in the background        nothing done         is known, then stored
//! ```
//!
//! A reservation whose order does not come about is given back; once the user may have been told,
//! by this attempt or by an earlier one whose reservation it found, the order is completed instead. Each attempt has a number that grows, so that a release that
//! comes late takes nothing from a later attempt, and a reservation that comes late does not
//! outlive its release.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use order_api::{AnswerForm, NewOrder, Orders, Paradigm, Placed, outcome_unknown};
use orders::{FailureReason, InventoryOutcome};
use reqwest::Method;
use serde_json::{Value, json};
use service_kit::http::{Endpoint, HttpRequest, Problem, Reply, RequestContext, StatusCode};

use crate::answers::{self, OPENAPI_ENDPOINT};
use crate::breaker::Trouble;
use crate::downstream::{Answer, Begun, BreakerUse, Call, CallError, Downstream};
use crate::metrics;
use crate::reservation::DecidedFor;
use crate::wire::{self, BY_EARLIER_ATTEMPT};

/// Longest time for giving a reservation back while the client waits.
const RELEASE_MAX: Duration = Duration::from_secs(1);

/// In the background, one try has so long …
const BACKGROUND_TRY_MAX: Duration = Duration::from_secs(5);
/// … and tries are made after these waits. After the last one it is given up, and logged: the
/// client's own retry still completes the order.
const BACKGROUND_WAITS: [Duration; 7] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
];

/// Orders that are released or completed in the background at a time; those beyond are left to
/// the client's retry.
const BACKGROUND_MAX: usize = 1_000;

/// Places orders by asking the other two services.
#[derive(Debug, Clone)]
pub struct AskBoth {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inventory: Downstream,
    notification: Downstream,
    orders: Orders,
    /// Longest time for one order, also where the caller gives more.
    deadline: Duration,
    attempts: AttemptNumbers,
    background: Arc<tokio::sync::Semaphore>,
}

/// One attempt at placing one order.
#[derive(Debug, Clone)]
struct Attempt {
    order: NewOrder,
    number: u64,
    context: RequestContext,
}

impl AskBoth {
    /// One that asks these two, each order within `deadline`, and stores in `orders` what it
    /// completes in the background.
    pub fn new(
        inventory: Downstream,
        notification: Downstream,
        orders: Orders,
        deadline: Duration,
    ) -> Self {
        let background = Arc::new(tokio::sync::Semaphore::new(BACKGROUND_MAX));
        let attempts = AttemptNumbers::default();
        let shared = Shared { inventory, notification, orders, deadline, attempts, background };
        Self { shared: Arc::new(shared) }
    }

    /// Waits until nothing is seen to in the background, but not longer than `limit`.
    pub async fn finish(&self, limit: Duration) {
        let all = u32::try_from(BACKGROUND_MAX).unwrap_or(u32::MAX);
        let is_done = tokio::time::timeout(limit, self.shared.background.acquire_many(all)).await;
        if is_done.is_err() {
            let left = BACKGROUND_MAX - self.shared.background.available_permits();
            tracing::warn!(left, "stopped before all orders without an answer were seen to");
        }
    }

    /// What is wrong with the other services, by name, while their breakers are not closed.
    pub fn troubles(&self) -> Vec<(&'static str, &'static str)> {
        let services =
            [("inventory", &self.shared.inventory), ("notification", &self.shared.notification)];
        let trouble =
            |(name, service): (&'static str, &Downstream)| Some((name, service.trouble()?.word()));
        services.into_iter().filter_map(trouble).collect()
    }
}

impl Paradigm for AskBoth {
    const ANSWER: AnswerForm = AnswerForm::WithOutcome;

    async fn place(&self, order: &NewOrder, context: &RequestContext) -> Result<Placed, Problem> {
        let context = context.clone().within(self.shared.deadline);
        // With one of them away nothing is begun at the other.
        self.shared.inventory.check().map_err(|error| problem(&error))?;
        self.shared.notification.check().map_err(|error| problem(&error))?;
        let number = self.shared.attempts.next();
        let attempt = Attempt { order: order.clone(), number, context };
        let decided_for = match self.shared.reserve(&attempt, &attempt.context).await {
            Ok(Reserved::Yes(decided_for)) => decided_for,
            Ok(Reserved::No(outcome)) => return Ok(Placed::Settled(outcome)),
            Ok(Reserved::Unexpected(problem)) => return Err(problem),
            Err(error) => {
                if error.begun == Begun::Perhaps {
                    self.in_background(attempt, Rest::Release);
                }
                return Err(problem(&error));
            }
        };
        match self.shared.notify(&attempt, &attempt.context).await {
            Ok(()) => Ok(Placed::Settled(InventoryOutcome::Reserved)),
            Err(error)
                if error.begun == Begun::Nothing && decided_for == DecidedFor::ThisAttempt =>
            {
                Err(self.take_back(attempt, &error).await)
            }
            // This attempt or an earlier one may have told the user.
            Err(error) => {
                self.in_background(attempt, Rest::Complete);
                Err(outcome_unknown(problem(&error)))
            }
        }
    }

    fn extra_endpoints(&self) -> &'static [Endpoint] {
        const OPENAPI: [Endpoint; 1] = [OPENAPI_ENDPOINT];
        &OPENAPI
    }

    async fn extra(&self, _request: HttpRequest) -> Reply {
        answers::openapi()
    }
}

/// What is left to be done of an attempt that was answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Give back what may have been reserved.
    Release,
    /// Make sure that the user is told, and store the outcome.
    Complete,
}

impl AskBoth {
    /// Gives the reservation back before the client is told that nothing was done; if that fails
    /// too, the client is told that it is not known.
    async fn take_back(&self, attempt: Attempt, why: &CallError) -> Problem {
        let context = within(&attempt.context, RELEASE_MAX);
        match self.shared.release(&attempt, &context).await {
            Ok(()) => problem(why),
            Err(_) => {
                self.in_background(attempt, Rest::Release);
                outcome_unknown(problem(why))
            }
        }
    }

    fn in_background(&self, attempt: Attempt, rest: Rest) {
        let Ok(permit) = Arc::clone(&self.shared.background).try_acquire_owned() else {
            gave_up(&attempt, rest, "too many orders are being seen to");
            return;
        };
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            shared.see_to(&attempt, rest).await;
            drop(permit);
        });
    }
}

impl Shared {
    async fn see_to(&self, attempt: &Attempt, rest: Rest) {
        let mut last = String::new();
        for wait in BACKGROUND_WAITS {
            tokio::time::sleep(wait).await;
            let context = within(&attempt.context, BACKGROUND_TRY_MAX);
            let result = match rest {
                Rest::Release => self.release(attempt, &context).await,
                Rest::Complete => self.notify(attempt, &context).await,
            };
            match result {
                Ok(()) if rest == Rest::Release => return,
                Ok(()) => match self.store_completed(attempt).await {
                    Ok(()) => return,
                    Err(problem) => last = problem.detail().to_owned(),
                },
                Err(error) => last = error.to_string(),
            }
        }
        gave_up(attempt, rest, &last);
    }

    async fn store_completed(&self, attempt: &Attempt) -> Result<(), Problem> {
        let reserved = Placed::Settled(InventoryOutcome::Reserved);
        let received_at = attempt.context.received_at;
        self.orders.placed(&attempt.order, reserved, None, received_at).await?;
        metrics::seen_to("completed");
        Ok(())
    }

    async fn reserve(
        &self,
        attempt: &Attempt,
        context: &RequestContext,
    ) -> Result<Reserved, CallError> {
        let order = &attempt.order;
        let body = json!({ "item": order.request.item, "quantity": order.request.quantity });
        let path = wire::reservation_path(&order.order.order_id);
        let number = Some(attempt.number);
        let (method, breaker) = (Method::PUT, BreakerUse::Asked);
        let call = Call { method, path, attempt: number, body: Some(&body), breaker };
        let answer = self.inventory.call(&call, context).await?;
        Ok(Reserved::read(&answer))
    }

    async fn release(&self, attempt: &Attempt, context: &RequestContext) -> Result<(), CallError> {
        let path = wire::reservation_path(&attempt.order.order.order_id);
        let number = Some(attempt.number);
        let (method, breaker) = (Method::DELETE, BreakerUse::Bypassed);
        let call = Call { method, path, attempt: number, body: None, breaker };
        let answer = self.inventory.call(&call, context).await?;
        expect_done(&self.inventory, &answer)?;
        metrics::seen_to("released");
        Ok(())
    }

    async fn notify(&self, attempt: &Attempt, context: &RequestContext) -> Result<(), CallError> {
        let NewOrder { request, order, .. } = &attempt.order;
        let body = json!({
            "user_id": request.user_id, "item": request.item, "quantity": request.quantity,
        });
        let path = wire::notification_path(&order.order_id);
        let (method, breaker) = (Method::PUT, BreakerUse::Asked);
        let call = Call { method, path, attempt: None, body: Some(&body), breaker };
        let answer = self.notification.call(&call, context).await?;
        expect_done(&self.notification, &answer)
    }
}

/// An answer to a call that a well service answers with 200 only.
fn expect_done(service: &Downstream, answer: &Answer) -> Result<(), CallError> {
    if answer.status == 200 {
        return Ok(());
    }
    Err(service.misunderstood(answer.status))
}

/// What inventory said.
#[derive(Debug, Clone, PartialEq)]
enum Reserved {
    Yes(DecidedFor),
    No(InventoryOutcome),
    /// Neither: the two services do not agree on what an order is.
    Unexpected(Problem),
}

impl Reserved {
    fn read(answer: &Answer) -> Self {
        let reason = answer.body.get("reason").and_then(Value::as_str);
        let reason = reason.and_then(FailureReason::parse);
        match (answer.status, reason) {
            (200, _) if answer.body.get(BY_EARLIER_ATTEMPT) == Some(&Value::Bool(true)) => {
                Self::Yes(DecidedFor::AnEarlierOne)
            }
            (200, _) => Self::Yes(DecidedFor::ThisAttempt),
            (409 | 422, Some(reason)) => Self::No(InventoryOutcome::Failed(reason)),
            (status, _) => {
                let detail = format!(
                    "inventory answered {status}, which this service does not expect; do both run the same version?"
                );
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Self::Unexpected(Problem::new(status, "internal", "The service failed", detail))
            }
        }
    }
}

/// What the client is told of a call without an answer.
fn problem(error: &CallError) -> Problem {
    let detail = error.to_string();
    let problem = match error.trouble {
        _ if error.is_overdue => {
            let status = StatusCode::GATEWAY_TIMEOUT;
            Problem::new(status, "deadline-exceeded", "The deadline has passed", detail)
        }
        trouble => {
            let (slug, title) = match trouble {
                Some(Trouble::Slow) => ("downstream-slow", "Another service is slow"),
                Some(Trouble::Full) => ("downstream-overloaded", "Another service is full"),
                Some(Trouble::Away) | None => ("downstream-away", "Another service is away"),
            };
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, slug, title, detail)
                .retry_after(error.retry_after)
        }
    };
    let problem = problem.with("service", error.service);
    match error.begun {
        Begun::Nothing => problem,
        Begun::Perhaps => outcome_unknown(problem),
    }
}

fn gave_up(attempt: &Attempt, rest: Rest, detail: &str) {
    metrics::seen_to("given-up");
    let order_id = &attempt.order.order.order_id;
    tracing::error!(
        order_id,
        ?rest,
        detail,
        "an order without an answer is left as it is; a retry with its key completes it"
    );
}

/// The same request with a time of its own, from now on.
fn within(context: &RequestContext, limit: Duration) -> RequestContext {
    RequestContext { deadline: Some(Instant::now() + limit), ..context.clone() }
}

/// Numbers of attempts: each larger than all before it, also those of an earlier run, as long as
/// the clock was not set back in between.
#[derive(Debug, Default)]
struct AttemptNumbers {
    last: AtomicU64,
}

impl AttemptNumbers {
    fn next(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_us = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX);
        let next = |last: u64| now_us.max(last.saturating_add(1));
        let before =
            self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |l| Some(next(l)));
        next(before.unwrap_or_else(|last| last))
    }
}
