//! The notification service: tells the user of an order, once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use order_store::{Rows, Store, Table};
use orders::{InventoryOutcome, Order, check_wish, notification_text};
use serde::{Deserialize, Serialize};
use serde_json::json;
use service_kit::http::{Endpoint, Handler, HttpRequest, Method, Problem, Reply};

use crate::answers::{self, OPENAPI_ENDPOINT};
use crate::wire::NOTIFICATIONS;

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

    async fn tell(&self, order_id: &str, request: &HttpRequest) -> Result<Reply, Problem> {
        let Body { user_id, item, quantity } = answers::read_body(&request.body)?;
        check_wish(Some(&user_id), &item, quantity)
            .map_err(|rule| answers::invalid(&rule.to_string()))?;
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        answers::check_time(&request.context)?;
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let order = Order { quantity, ..Order::new(order_id, item, 0.0) };
        let text = notification_text(&order, InventoryOutcome::Reserved);
        let told = Told { user_id, text, told_at_ms: since_epoch.as_millis() };
        let key = order_id.to_owned();
        let step = move |rows: &Rows<'_>| {
            let is_told = rows.get::<Told>(TOLD, &key)?.is_some();
            if !is_told {
                rows.put(TOLD, &key, &told)?;
            }
            Ok(!is_told)
        };
        if self.store.change(step).await.map_err(answers::failed)? {
            tracing::debug!(order_id, "told");
        }
        Ok(notified(order_id))
    }

    fn find(&self, order_id: &str) -> Result<Reply, Problem> {
        match self.store.get::<Told>(TOLD, order_id).map_err(answers::failed)? {
            Some(told) => Ok(answers::json_reply(&json!({
                "order_id": order_id,
                "status": NOTIFIED,
                "user_id": told.user_id,
                "text": told.text,
                "told_at_ms": u64::try_from(told.told_at_ms).unwrap_or(u64::MAX),
            }))),
            None => Err(answers::nothing_known(order_id)),
        }
    }
}

fn notified(order_id: &str) -> Reply {
    answers::json_reply(&json!({ "order_id": order_id, "status": NOTIFIED }))
}

/// Its paths.
const ENDPOINTS: [Endpoint; 2] = [
    Endpoint { path: "/notifications/{id}", methods: "GET, PUT", body_bytes_max: BODY_BYTES_MAX },
    OPENAPI_ENDPOINT,
];

impl Handler for Notification {
    fn endpoints(&self) -> &[Endpoint] {
        &ENDPOINTS
    }

    async fn handle(&self, request: HttpRequest) -> Reply {
        let order_id = match answers::order_id(&request.path, NOTIFICATIONS) {
            Ok(order_id) => order_id,
            Err(reply) => return *reply,
        };
        let answer = match request.method {
            Method::PUT => self.tell(&order_id, &request).await,
            _ => self.find(&order_id),
        };
        answer.unwrap_or_else(|problem| problem.reply())
    }
}
