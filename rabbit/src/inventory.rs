//! The inventory service: decides about each order once, and says so.

use std::time::Duration;

use amqp_io::consume::{Done, Trouble, Work};
use amqp_io::publish::{Address, Message, Publisher};
use amqp_io::received::{Received, framed, properties};
use codec::encode::Encoder;
use codec::resolver::SchemaResolver;
use order_schemas::{InventoryResult, OrderRecord};
use order_store::Store;
use order_store::inventory::reserve_once;
use orders::{Menu, SimulatedRefusals, validate};
use pipeline::failure::FailureReason;
use tokio::time::sleep;

use crate::failures::{Failures, store_trouble};
use crate::order::APP_ID;
use service_kit::clock::now_ms;

/// Decides about placed orders.
pub(crate) struct Inventory {
    pub(crate) store: Store,
    pub(crate) menu: Menu,
    pub(crate) refusals: SimulatedRefusals,
    /// Injected time before each decision.
    pub(crate) delay: Duration,
    pub(crate) failures: Failures,
    pub(crate) resolver: SchemaResolver,
    pub(crate) encoder: Encoder<InventoryResult>,
    pub(crate) publisher: Publisher,
    pub(crate) decided: Address,
}

impl Work for Inventory {
    fn subject_id(&self, received: &Received) -> Option<String> {
        let order = received.decode_offline::<OrderRecord>(&self.resolver);
        order.map(|order| order.order_id).or_else(|| received.message_id())
    }

    async fn work(&self, received: &Received) -> Result<Done, Trouble> {
        let order = received.decode::<OrderRecord>(&self.resolver).await?;
        validate(&order).map_err(|rule| {
            let reason = broken_rule(rule);
            Trouble::Failed(received.failure(reason, rule.to_string()))
        })?;
        self.failures.simulated(&order.order_id, received)?;
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        let (menu, refusals, wanted) = (self.menu.clone(), self.refusals, order.clone());
        let step = move |rows: &order_store::Rows<'_>| {
            reserve_once(rows, &menu, refusals, &wanted, now_ms())
        };
        let decision = self.store.change(step).await.map_err(store_trouble)?;
        if decision.is_other_order {
            let detail = "another order has the same id; nothing is reserved for this one";
            return Err(Trouble::Failed(received.failure(FailureReason::Handler, detail)));
        }
        let result = InventoryResult::new(&order, decision.outcome, decision.decided_at_ms);
        let request_id = received.request_id();
        let (id, created_at_ms) = (order.order_id.as_str(), order.created_at_ms);
        let about = properties(APP_ID, "InventoryResult", id, request_id.as_deref(), created_at_ms);
        let span = received.follow();
        let headers = received.passed_on(&span);
        let message = Message::new(framed(&self.encoder, &result), about, headers).sent_in(span);
        // Also when it was decided before: the first message may never have been sent.
        self.publisher.publish_until_confirmed(&self.decided, &message).await;
        Ok(if decision.is_first { Done::Now } else { Done::Before })
    }
}

const fn broken_rule(rule: orders::InvalidOrder) -> FailureReason {
    match rule {
        orders::InvalidOrder::EmptyOrderId => FailureReason::EmptyOrderId,
        orders::InvalidOrder::EmptyProduct => FailureReason::EmptyProduct,
        orders::InvalidOrder::NegativePrice => FailureReason::NegativePrice,
        orders::InvalidOrder::PriceNotFinite => FailureReason::PriceNotFinite,
        orders::InvalidOrder::PriceTooLarge => FailureReason::PriceTooLarge,
    }
}
