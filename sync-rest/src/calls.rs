//! The calls of the order service to the other two, and what their answers mean.

use std::time::{Duration, Instant};

use order_api::{NewOrder, outcome_unknown};
use orders::{FailureReason, InventoryOutcome};
use reqwest::Method;
use serde_json::{Value, json};
use service_kit::http::{Problem, RequestContext, StatusCode};

use crate::answers;
use crate::breaker::Trouble;
use crate::downstream::{Answer, Begun, BreakerUse, Call, CallError, Downstream};
use crate::reservation::DecidedFor;
use crate::wire::{self, BY_EARLIER_ATTEMPT};

/// The other two services.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) inventory: Downstream,
    pub(crate) notification: Downstream,
}

/// One attempt at placing one order.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) order: NewOrder,
    pub(crate) number: u64,
}

impl Attempt {
    pub(crate) fn order_id(&self) -> &str {
        &self.order.order.order_id
    }
}

impl Services {
    /// Learns which stores they have, once.
    pub(crate) async fn meet(&self, context: &RequestContext) -> Result<(), CallError> {
        // Nobody's: it is answered 404.
        self.inventory.meet(&wire::reservation_path("-"), context).await?;
        self.notification.meet(&wire::notification_path("-"), context).await
    }

    pub(crate) async fn reserve(
        &self,
        attempt: &Attempt,
        context: &RequestContext,
    ) -> Result<Reserved, CallError> {
        let order = &attempt.order;
        let body = json!({ "item": order.request.item, "quantity": order.request.quantity });
        let path = wire::reservation_path(attempt.order_id());
        let number = Some(attempt.number);
        let (method, breaker) = (Method::PUT, BreakerUse::Asked);
        let call = Call { method, path, attempt: number, body: Some(&body), breaker };
        let answer = self.inventory.call(&call, context).await?;
        Ok(Reserved::read(&answer))
    }

    pub(crate) async fn release(
        &self,
        order_id: &str,
        attempt: u64,
        context: &RequestContext,
    ) -> Result<(), CallError> {
        let path = wire::reservation_path(order_id);
        let (method, breaker) = (Method::DELETE, BreakerUse::Bypassed);
        let call = Call { method, path, attempt: Some(attempt), body: None, breaker };
        let answer = self.inventory.call(&call, context).await?;
        expect_done(&self.inventory, &answer)
    }

    pub(crate) async fn notify(
        &self,
        attempt: &Attempt,
        context: &RequestContext,
    ) -> Result<(), CallError> {
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
pub(crate) enum Reserved {
    Yes(DecidedFor),
    No(InventoryOutcome),
    /// Neither: the id belongs to another order, or the two services do not agree on what an order is.
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
            (422, _) if answer.body.get("type") == Some(&Value::from(answers::KEY_REUSED_TYPE)) => {
                let order_id = answer.body.get("order_id").and_then(Value::as_str);
                Self::Unexpected(answers::other_order(order_id.unwrap_or_default()))
            }
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
pub(crate) fn problem(error: &CallError) -> Problem {
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
                Some(Trouble::Away) | None => ("downstream-away", "Another service is unavailable"),
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

/// The same request with a time of its own, from now on.
pub(crate) fn within(context: &RequestContext, limit: Duration) -> RequestContext {
    RequestContext { deadline: Some(Instant::now() + limit), ..context.clone() }
}
