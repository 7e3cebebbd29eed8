//! The order service: hands orders to the broker. What becomes of them, [`crate::events`] notes.

use std::time::Instant;

use amqp_io::publish::{Address, Message, PublishError, Publisher};
use amqp_io::received::{context_headers, framed, properties};
use codec::encode::Encoder;
use order_api::{NewOrder, Paradigm, Placed, outcome_unknown};
use order_schemas::OrderRecord;
use orders::Blame;
use service_kit::http::{Problem, RequestContext, StatusCode};
use tokio::time::timeout;

use crate::events::ORDER;
use crate::limits::{PLACE_MAX, RETRY_AFTER};

/// Who has made a message, by its own word.
pub(crate) const APP_ID: &str = "rabbit";

/// Places orders by publishing them.
pub(crate) struct PublishOrders {
    pub(crate) publisher: Publisher,
    pub(crate) placed: Address,
    /// Where the other instances hear of it.
    pub(crate) events: Address,
    pub(crate) encoder: Encoder<OrderRecord>,
}

impl Paradigm for PublishOrders {
    const REJECTS: &'static [&'static str] =
        &["broker-away", "broker-blocked", "unroutable", "broker-refused", "broker-unconfirmed"];

    async fn place(&self, order: &NewOrder, context: &RequestContext) -> Result<Placed, Problem> {
        let context = context.clone().within(PLACE_MAX);
        let order = &order.order;
        let request_id = Some(context.request_id.as_str());
        let carried = context.trace.child();
        let headers = context_headers(request_id, &carried);
        let about = properties(APP_ID, ORDER, &order.order_id, request_id, order.created_at_ms);
        let message = Message::new(framed(&self.encoder, order), about, headers);
        let span = self.placed.sending(&carried);
        let sent = self.send(&message, &context).await;
        if let Some(span) = span {
            span.end_with(sent.as_ref().err().map(|(error, _)| error.as_str()));
        }
        match sent {
            Ok(()) => {
                self.say_so(message);
                Ok(Placed::Accepted)
            }
            Err((error, true)) => Err(outcome_unknown(problem(&error))),
            Err((error, false)) => Err(problem(&error)),
        }
    }
}

impl PublishOrders {
    /// Publishes an order, as often as its deadline allows. Says of a failure whether the order may be with
    /// the broker all the same.
    async fn send(
        &self,
        message: &Message,
        context: &RequestContext,
    ) -> Result<(), (PublishError, bool)> {
        let mut is_unknown = false;
        loop {
            let left = context.left(Instant::now()).unwrap_or(PLACE_MAX);
            let error = match timeout(left, self.publisher.publish(&self.placed, message)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_elapsed) => PublishError::Unconfirmed("no answer in time".to_owned()),
            };
            is_unknown |= error.is_unknown();
            let left = context.left(Instant::now()).unwrap_or_default();
            // Sent again under the same id, so that the client learns what became of it.
            if !matches!(error, PublishError::Unconfirmed(_)) || left.is_zero() {
                return Err((error, is_unknown));
            }
            self.publisher.wait_until_there(left).await;
        }
    }

    /// Tells the other instances that an order is on its way, once and without waiting: it is safe
    /// already, and its outcome is heard of in any case. An order that is not accepted is not told.
    fn say_so(&self, message: Message) {
        let (publisher, events) = (self.publisher.clone(), self.events.clone());
        tokio::spawn(async move {
            if let Err(error) = publisher.publish(&events, &message).await {
                tracing::debug!(%error, "the order's acceptance was not published: other instances learn of it only from its outcome");
            }
        });
    }
}

/// What the client is told.
fn problem(error: &PublishError) -> Problem {
    let (slug, title) = match error {
        PublishError::Away(_) => ("broker-away", "The message broker is unavailable"),
        PublishError::Blocked(_) => ("broker-blocked", "The message broker accepts no messages"),
        PublishError::Unroutable(_) => ("unroutable", "No queue is bound for the order"),
        PublishError::Refused => ("broker-refused", "The message broker refused the order"),
        PublishError::Unconfirmed(_) => {
            ("broker-unconfirmed", "The message broker did not confirm the order")
        }
    };
    let (blame, more) = match error.is_unroutable() {
        true => (Blame::Us, "; compare the broker with `rabbit topology`"),
        false => (Blame::Downstream, ""),
    };
    tracing::warn!(%error, blame = blame.as_str(), "an order was not accepted");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, slug, title, format!("{error}{more}"))
        .retry_after(RETRY_AFTER)
}
