//! What inventory and notification tell over HTTP, besides metrics and health.

use order_api::{check_order_id, stock};
use order_store::{Store, StoreError, inventory};
use orders::{InventoryOutcome, Menu};
use serde::Serialize;
use serde_json::json;
use service_kit::http::header::CONTENT_TYPE;
use service_kit::http::{
    Endpoint, Handler, HeaderValue, HttpRequest, Problem, Reply, Response, StatusCode,
};

use crate::notification::{TOLD, Told};

const DECISIONS: &str = "/decisions/";
const NOTIFICATIONS: &str = "/notifications/";

/// Paths of the inventory service.
pub(crate) const INVENTORY_PATHS: [Endpoint; 3] =
    [stock::ENDPOINTS[0], stock::ENDPOINTS[1], Endpoint::get("/decisions/{id}")];
/// Paths of the notification service.
pub(crate) const NOTIFICATION_PATHS: [Endpoint; 1] = [Endpoint::get("/notifications/{id}")];

/// Answers for the inventory service.
pub(crate) struct InventoryWeb {
    pub(crate) store: Store,
    pub(crate) menu: Menu,
}

/// Answers for the notification service.
pub(crate) struct NotificationWeb {
    pub(crate) store: Store,
}

/// What a customer was told, as every flow that is asked over HTTP says it.
#[derive(Serialize)]
struct Notified<'a> {
    order_id: &'a str,
    status: &'static str,
    user_id: Option<&'a str>,
    text: &'a str,
    told_at_ms: i64,
}

impl<'a> Notified<'a> {
    fn of(told: &'a Told) -> Self {
        let Told { order_id, user_id, text, told_at_ms } = told;
        let (user_id, told_at_ms) = (user_id.as_deref(), *told_at_ms);
        Self { order_id, status: "notified", user_id, text, told_at_ms }
    }
}

impl InventoryWeb {
    fn answer(&self, path: &str) -> Result<Reply, Problem> {
        let levels = || inventory::levels(&self.store, &self.menu).map_err(failed);
        if let Some(reply) = stock::answer(path, levels) {
            return Ok(reply);
        }
        let order_id = path.strip_prefix(DECISIONS).unwrap_or_default();
        check_order_id(order_id)?;
        let decision = inventory::decision(&self.store, order_id).map_err(failed)?;
        let decision = decision.ok_or_else(|| nothing_known(order_id))?;
        let (status, reason) = match decision.outcome {
            InventoryOutcome::Reserved => ("reserved", None),
            InventoryOutcome::Failed(reason) => ("failed", Some(reason.as_str())),
        };
        Ok(json_reply(&json!({
            "order_id": order_id,
            "status": status,
            "reason": reason,
            "decided_at_ms": decision.decided_at_ms,
        })))
    }
}

impl NotificationWeb {
    fn answer(&self, path: &str) -> Result<Reply, Problem> {
        let order_id = path.strip_prefix(NOTIFICATIONS).unwrap_or_default();
        check_order_id(order_id)?;
        let told = self.store.get::<Told>(TOLD, order_id).map_err(failed)?;
        told.map(|told| json_reply(&Notified::of(&told))).ok_or_else(|| nothing_known(order_id))
    }
}

impl Handler for InventoryWeb {
    fn endpoints(&self) -> &[Endpoint] {
        &INVENTORY_PATHS
    }

    async fn handle(&self, request: HttpRequest) -> Reply {
        self.answer(&request.path).unwrap_or_else(|problem| problem.reply())
    }
}

impl Handler for NotificationWeb {
    fn endpoints(&self) -> &[Endpoint] {
        &NOTIFICATION_PATHS
    }

    async fn handle(&self, request: HttpRequest) -> Reply {
        self.answer(&request.path).unwrap_or_else(|problem| problem.reply())
    }
}

fn json_reply(value: &impl Serialize) -> Reply {
    let text = serde_json::to_string(value).unwrap_or_else(|error| format!("\"{error}\""));
    let mut reply = Response::new((text + "\n").into());
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

fn nothing_known(order_id: &str) -> Problem {
    let detail = "no order with this id is known";
    Problem::new(StatusCode::NOT_FOUND, "no-such-order", "No such order", detail)
        .with("order_id", order_id)
}

fn failed(error: StoreError) -> Problem {
    tracing::error!(%error, "the store cannot be read");
    let detail = "the service cannot read what it stores; its log has the reason";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The service failed", detail)
}
