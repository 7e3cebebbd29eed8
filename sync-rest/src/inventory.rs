//! The inventory service: decides about each order once, and takes back what is released.

use std::sync::Arc;
use std::time::Duration;

use order_api::{check_order_id, stock};
use orders::{Order, check_wish};
use serde::Deserialize;
use service_kit::http::{
    Bytes, Endpoint, Extension, HeaderMap, PathEnd, Problem, RequestContext, Response, Routes,
    State, StatusCode,
};

use crate::answers;
use crate::failures::Failures;
use crate::reservations::{Answered, Ask, Reservations};
use crate::wire::{ATTEMPT_HEADER, RESERVATION};

/// Largest request.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// The inventory service.
#[derive(Debug)]
pub(crate) struct Inventory {
    reservations: Reservations,
    failures: Failures,
    /// Injected time before each decision.
    delay: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    item: String,
    quantity: i32,
}

impl Inventory {
    /// One that decides with these, after this delay.
    pub(crate) fn new(reservations: Reservations, failures: Failures, delay: Duration) -> Self {
        Self { reservations, failures, delay }
    }

    /// Its paths.
    pub(crate) fn routes(self) -> Routes {
        let reservations =
            Endpoint::at(RESERVATION).taking(BODY_BYTES_MAX).answering(answers::OF_SERVICES);
        let stock = stock::routes(|inventory: &Arc<Self>| {
            inventory.reservations.stock().map_err(answers::failed)
        });
        Routes::new([reservations.get(find).put(reserve).delete(release)])
            .and(stock)
            .with_state(Arc::new(self))
            .and(answers::openapi())
    }
}

async fn reserve(
    State(inventory): State<Arc<Inventory>>,
    PathEnd(order_id): PathEnd,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    check_order_id(&order_id)?;
    let Body { item, quantity } = answers::read_body(&body)?;
    let attempt = attempt(&headers)?;
    check_wish(None, &item, quantity).map_err(|rule| answers::invalid(&rule.to_string()))?;
    inventory.failures.check(&order_id)?;
    if !inventory.delay.is_zero() {
        tokio::time::sleep(inventory.delay).await;
    }
    answers::check_time(&context)?;
    let order = Order { quantity, ..Order::new(order_id.as_str(), item, 0.0) };
    let ask = Ask { order, attempt };
    match inventory.reservations.reserve(ask).await.map_err(answers::failed)? {
        Answered::Decided(outcome, decided_for) => {
            answers::decided(&order_id, outcome, decided_for)
        }
        Answered::TooLate => Err(answers::released(&order_id)),
        Answered::Other => Err(answers::other_order(&order_id)),
    }
}

async fn release(
    State(inventory): State<Arc<Inventory>>,
    PathEnd(order_id): PathEnd,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    check_order_id(&order_id)?;
    let attempt = attempt(&headers)?;
    let released = inventory.reservations.release(&order_id, attempt).await;
    Ok(answers::reservation(&order_id, released.map_err(answers::failed)?))
}

async fn find(
    State(inventory): State<Arc<Inventory>>,
    PathEnd(order_id): PathEnd,
) -> Result<Response, Problem> {
    check_order_id(&order_id)?;
    match inventory.reservations.find(&order_id).map_err(answers::failed)? {
        Some(state) => Ok(answers::reservation(&order_id, state)),
        None => Err(answers::nothing_known(&order_id)),
    }
}

/// Number of the attempt that asks; 0 where none is named.
fn attempt(headers: &HeaderMap) -> Result<u64, Problem> {
    let Some(sent) = headers.get(ATTEMPT_HEADER) else { return Ok(0) };
    sent.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
        let detail = format!("{ATTEMPT_HEADER} is not a number");
        let status = StatusCode::BAD_REQUEST;
        Problem::new(status, "bad-attempt", "The attempt cannot be read", detail)
    })
}
