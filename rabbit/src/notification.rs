//! The notification service: tells the customer of each order what became of it, once.

use std::time::Duration;

use codec::encode::Encoder;
use codec::resolver::SchemaResolver;
use codec::wire::{InventoryResult, Notification};
use order_store::{Store, Table};
use orders::InventoryOutcome;
use pipeline::failure::FailureReason;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::consume::{Done, Failures, Trouble, Work, now_ms};
use crate::limits::TOLD_MAX;
use crate::publish::{Address, Message, Publisher};
use crate::received::{Received, framed, properties};
use crate::topology::WorkQueue;

/// Customers told, by order id.
pub(crate) const TOLD: Table = Table::bounded("told", TOLD_MAX);

/// What a customer was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) order_id: String,
    pub(crate) user_id: Option<String>,
    pub(crate) text: String,
    pub(crate) told_at_ms: i64,
}

/// Tells customers.
pub(crate) struct Notifications {
    pub(crate) store: Store,
    /// Injected time before each message.
    pub(crate) delay: Duration,
    pub(crate) failures: Failures,
    pub(crate) resolver: SchemaResolver,
    pub(crate) encoder: Encoder<Notification>,
    pub(crate) publisher: Publisher,
    pub(crate) sent: Address,
}

impl Work for Notifications {
    const QUEUE: WorkQueue = WorkQueue::Notification;

    async fn work(&self, received: &Received) -> Result<Done, Trouble> {
        let result: InventoryResult = received.decode(&self.resolver).await?;
        let outcome = outcome_of(&result, received)?;
        self.failures.simulated(&result.order_id, received)?;
        if self.store.get::<Told>(TOLD, &result.order_id)?.is_some() {
            return Ok(Done::Before);
        }
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        let notification = Notification::new(&result.order(), outcome);
        let request_id = received.request_id();
        let (id, created_at_ms) = (result.order_id.as_str(), result.created_at_ms);
        let about = properties("Notification", id, request_id.as_deref(), created_at_ms);
        let body = framed(&self.encoder, &notification);
        let message = Message::new(body, about, received.passed_on());
        // A crash after this sends it again, under the same id: whoever sends mail drops it.
        self.publisher.publish_until_confirmed(&self.sent, &message).await;
        let Notification { order_id, user_id, text, .. } = notification;
        let told = Told { order_id, user_id, text, told_at_ms: now_ms() };
        let step = move |rows: &order_store::Rows<'_>| {
            let is_first = rows.get::<Told>(TOLD, &told.order_id)?.is_none();
            if is_first {
                rows.put(TOLD, &told.order_id, &told)?;
            }
            Ok(is_first)
        };
        let is_first = self.store.change(step).await?;
        Ok(if is_first { Done::Now } else { Done::Before })
    }
}

/// What was decided, where this version knows it.
pub(crate) fn outcome_of(
    result: &InventoryResult,
    received: &Received,
) -> Result<InventoryOutcome, Trouble> {
    result.outcome().ok_or_else(|| {
        let detail = "inventory decided what only a later version knows";
        Trouble::Failed(received.failure(FailureReason::CannotResolve, detail))
    })
}
