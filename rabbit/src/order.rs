//! The order service: hands orders to the broker, and notes what comes back.

use std::time::Instant;

use codec::encode::Encoder;
use codec::resolver::SchemaResolver;
use codec::wire::InventoryResult;
use order_api::{NewOrder, Orders, Paradigm, Placed, outcome_unknown};
use orders::Order;
use service_kit::http::{Problem, RequestContext, StatusCode};
use tokio::time::timeout;

use crate::consume::{Done, Trouble, Work};
use crate::limits::{PLACE_MAX, RETRY_AFTER};
use crate::notification::outcome_of;
use crate::publish::{Address, Message, PublishError, Publisher};
use crate::received::{Received, context_headers, framed, properties};
use crate::topology::WorkQueue;

/// Places orders by publishing them.
pub(crate) struct PublishOrders {
    pub(crate) publisher: Publisher,
    pub(crate) placed: Address,
    pub(crate) encoder: Encoder<Order>,
}

impl Paradigm for PublishOrders {
    async fn place(&self, order: &NewOrder, context: &RequestContext) -> Result<Placed, Problem> {
        let context = context.clone().within(PLACE_MAX);
        let order = &order.order;
        let request_id = Some(context.request_id.as_str());
        let headers = context_headers(request_id, &context.trace.child());
        let about = properties("Order", &order.order_id, request_id, order.created_at_ms);
        let message = Message::new(framed(&self.encoder, order), about, headers);
        let mut is_unknown = false;
        loop {
            let left = context.left(Instant::now()).unwrap_or(PLACE_MAX);
            let error = match timeout(left, self.publisher.publish(&self.placed, &message)).await {
                Ok(Ok(())) => return Ok(Placed::Accepted),
                Ok(Err(error)) => error,
                Err(_elapsed) => PublishError::Unconfirmed("no answer in time".to_owned()),
            };
            is_unknown |= error.is_unknown();
            let left = context.left(Instant::now()).unwrap_or_default();
            // Sent again under the same id, so that the client learns what became of it.
            if !matches!(error, PublishError::Unconfirmed(_)) || left.is_zero() {
                let problem = problem(&error);
                return Err(if is_unknown { outcome_unknown(problem) } else { problem });
            }
            self.publisher.wait_until_there(left).await;
        }
    }
}

/// What the client is told.
fn problem(error: &PublishError) -> Problem {
    let (slug, title) = match error {
        PublishError::Away(_) => ("broker-away", "The message broker is away"),
        PublishError::Blocked(_) => ("broker-blocked", "The message broker takes no messages"),
        PublishError::Unroutable(_) => ("unroutable", "No queue takes the order"),
        PublishError::Refused => ("broker-refused", "The message broker refused the order"),
        PublishError::Unconfirmed(_) => {
            ("broker-unconfirmed", "The message broker did not confirm the order")
        }
    };
    tracing::warn!(%error, blame = error.blame().as_str(), "an order was not accepted");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, slug, title, error.to_string())
        .retry_after(RETRY_AFTER)
}

/// Notes what became of orders, for those who ask.
pub(crate) struct Outcomes {
    pub(crate) orders: Orders,
    pub(crate) resolver: SchemaResolver,
}

impl Work for Outcomes {
    const QUEUE: WorkQueue = WorkQueue::Outcomes;

    async fn work(&self, received: &Received) -> Result<Done, Trouble> {
        let result: InventoryResult = received.decode(&self.resolver).await?;
        let outcome = outcome_of(&result, received)?;
        let created_at_ms = result.created_at_ms;
        let is_first = self.orders.settle(&result.order_id, outcome, created_at_ms).await?;
        Ok(if is_first { Done::Now } else { Done::Before })
    }
}
