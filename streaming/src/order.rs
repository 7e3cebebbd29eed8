//! The order service: appends orders to the log.

use std::sync::Arc;
use std::time::Instant;

use codec::encode::Encoder;
use order_api::{NewOrder, Orders, Paradigm, Placed, outcome_unknown};
use order_schemas::OrderRecord;
use orders::Menu;
use outbox::{Outbox, Parcel, SendError};
use service_kit::http::{Problem, RequestContext, StatusCode};

use crate::limits::{PLACE_MAX, RETRY_AFTER};
use crate::trail::{self, Trail};

/// Places orders by appending them to the log.
#[derive(Clone)]
pub(crate) struct StreamOrders {
    pub(crate) outbox: Outbox,
    pub(crate) encoder: Encoder<OrderRecord>,
    pub(crate) orders: Orders,
    pub(crate) menu: Menu,
}

impl StreamOrders {
    /// Appends an order under the key of its item: all that is reserved of an item is decided in
    /// one partition.
    pub(crate) async fn send(
        &self,
        order: &NewOrder,
        trail: &Arc<Trail>,
        deadline: Instant,
    ) -> Result<(), SendError> {
        let mut value = Vec::new();
        self.encoder.encode_into(&mut value, &order.order);
        let key = order.order.product.clone().into_bytes();
        self.outbox.send(Parcel { key, value, headers: Arc::clone(trail) }, deadline).await
    }
}

impl Paradigm for StreamOrders {
    const REJECTS: &'static [&'static str] = &[
        "batch-too-large",
        "empty-batch",
        "kafka-away",
        "kafka-refused",
        "kafka-unacknowledged",
        "outbox-full",
    ];

    async fn place(&self, order: &NewOrder, context: &RequestContext) -> Result<Placed, Problem> {
        let context = context.clone().within(PLACE_MAX);
        let deadline = context.deadline.unwrap_or_else(|| Instant::now() + PLACE_MAX);
        let carried = context.trace.child();
        let trail = Arc::new(trail::begun_by(&context, &carried));
        let span = self.outbox.sending(&carried);
        let sent = self.send(order, &trail, deadline).await;
        if let Some(span) = span {
            span.end_with(sent.as_ref().err().map(SendError::as_str));
        }
        match sent {
            Ok(()) => Ok(Placed::Accepted),
            Err(error) if error.is_unknown() => Err(outcome_unknown(problem(&error))),
            Err(error) => Err(problem(&error)),
        }
    }
}

/// What the client is told.
pub(crate) fn problem(error: &SendError) -> Problem {
    let (slug, title) = match error {
        SendError::Away(_) => ("kafka-away", "Kafka is unavailable"),
        SendError::Full => ("outbox-full", "Too many orders wait to be sent"),
        SendError::Refused(_) => ("kafka-refused", "Kafka refused the order"),
        SendError::Unacknowledged(_) => {
            ("kafka-unacknowledged", "Kafka did not acknowledge the order")
        }
    };
    tracing::debug!(%error, "an order was not accepted");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, slug, title, error.to_string())
        .retry_after(RETRY_AFTER)
}
