//! The notification service: tells the user of an order, once.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use order_api::check_order_id;
use order_store::{Rows, Store, Table};
use orders::{InventoryOutcome, Order, check_wish, notification_text};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service_kit::http::{
    Bytes, Endpoint, Extension, JsonLine, PathEnd, Problem, RequestContext, Routes, State,
};

use crate::answers;
use crate::wire::NOTIFICATION;

/// Largest request.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// Messages that are known: an order that comes again after so many others is told again.
const TOLD_MAX: u64 = 1_000_000;

/// Status of an order whose user was told.
const NOTIFIED: &str = "notified";

/// Users told, by order id.
const TOLD: Table = Table::bounded("told", TOLD_MAX);

/// The notification service. What it stores stands for the message it would send: the order's id
/// goes with it as the key by which a message service drops the second one.
#[derive(Debug)]
pub(crate) struct Notification {
    store: Store,
    /// Injected time before each message.
    delay: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    user_id: String,
    item: String,
    quantity: i32,
}

/// A row.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    user_id: String,
    text: String,
    told_at_ms: u128,
}

impl Notification {
    /// One that notes in this store whom it told.
    pub(crate) fn new(store: Store, delay: Duration) -> Self {
        Self { store, delay }
    }

    /// Its paths.
    pub(crate) fn routes(self) -> Routes {
        let notifications =
            Endpoint::at(NOTIFICATION).taking(BODY_BYTES_MAX).answering(answers::OF_SERVICES);
        Routes::new([notifications.get(find).put(tell)])
            .with_state(Arc::new(self))
            .and(answers::openapi())
    }
}

async fn tell(
    State(notification): State<Arc<Notification>>,
    PathEnd(order_id): PathEnd,
    Extension(context): Extension<RequestContext>,
    body: Bytes,
) -> Result<JsonLine<Value>, Problem> {
    check_order_id(&order_id)?;
    let Body { user_id, item, quantity } = answers::read_body(&body)?;
    check_wish(Some(&user_id), &item, quantity)
        .map_err(|rule| answers::invalid(&rule.to_string()))?;
    if !notification.delay.is_zero() {
        tokio::time::sleep(notification.delay).await;
    }
    answers::check_time(&context)?;
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let order = Order { quantity, ..Order::new(order_id.as_str(), item, 0.0) };
    let text = notification_text(&order, InventoryOutcome::Reserved);
    let told = Told { user_id, text, told_at_ms: since_epoch.as_millis() };
    let key = order_id.clone();
    let step = move |rows: &Rows<'_>| {
        let is_told = rows.get::<Told>(TOLD, &key)?.is_some();
        if !is_told {
            rows.put(TOLD, &key, &told)?;
        }
        Ok(!is_told)
    };
    if notification.store.change(step).await.map_err(answers::failed)? {
        tracing::debug!(order_id, "told");
    }
    Ok(notified(&order_id))
}

async fn find(
    State(notification): State<Arc<Notification>>,
    PathEnd(order_id): PathEnd,
) -> Result<JsonLine<Value>, Problem> {
    check_order_id(&order_id)?;
    match notification.store.get::<Told>(TOLD, &order_id).map_err(answers::failed)? {
        Some(told) => Ok(JsonLine(json!({
            "order_id": order_id,
            "status": NOTIFIED,
            "user_id": told.user_id,
            "text": told.text,
            "told_at_ms": u64::try_from(told.told_at_ms).unwrap_or(u64::MAX),
        }))),
        None => Err(answers::nothing_known(&order_id)),
    }
}

fn notified(order_id: &str) -> JsonLine<Value> {
    JsonLine(json!({ "order_id": order_id, "status": NOTIFIED }))
}
