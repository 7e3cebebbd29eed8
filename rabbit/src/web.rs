//! What inventory and notification tell over HTTP, besides metrics and health.

use std::sync::Arc;

use order_api::{check_order_id, stock};
use order_store::{Store, StoreError, inventory};
use orders::{InventoryOutcome, Menu};
use serde_json::{Value, json};
use service_kit::http::{Endpoint, JsonLine, PathEnd, Problem, Routes, State, StatusCode};

use crate::notification::{TOLD, Told};

/// What is asked for is known, or it is not.
const FOUND_OR_NOT: &[StatusCode] = &[StatusCode::OK, StatusCode::NOT_FOUND];

/// Answers for the inventory service.
pub(crate) struct InventoryWeb {
    pub(crate) store: Store,
    pub(crate) menu: Menu,
}

/// Answers for the notification service.
pub(crate) struct NotificationWeb {
    pub(crate) store: Store,
}

/// Paths of the inventory service.
pub(crate) fn inventory() -> Routes<Arc<InventoryWeb>> {
    let levels = |web: &Arc<InventoryWeb>| inventory::levels(&web.store, &web.menu).map_err(failed);
    let decisions = Endpoint::at("/decisions/{id}").answering(FOUND_OR_NOT);
    stock::routes(levels).and(Routes::new([decisions.get(decision)]))
}

/// Paths of the notification service.
pub(crate) fn notification() -> Routes<Arc<NotificationWeb>> {
    Routes::new([Endpoint::at("/notifications/{id}").answering(FOUND_OR_NOT).get(told)])
}

async fn decision(
    State(web): State<Arc<InventoryWeb>>,
    PathEnd(order_id): PathEnd,
) -> Result<JsonLine<Value>, Problem> {
    check_order_id(&order_id)?;
    let decision = inventory::decision(&web.store, &order_id).map_err(failed)?;
    let decision = decision.ok_or_else(|| nothing_known(&order_id))?;
    let (status, reason) = match decision.outcome {
        InventoryOutcome::Reserved => ("reserved", None),
        InventoryOutcome::Failed(reason) => ("failed", Some(reason.as_str())),
    };
    Ok(JsonLine(json!({
        "order_id": order_id,
        "status": status,
        "reason": reason,
        "decided_at_ms": decision.decided_at_ms,
    })))
}

/// What a customer was told, as every flow that is asked over HTTP says it.
async fn told(
    State(web): State<Arc<NotificationWeb>>,
    PathEnd(order_id): PathEnd,
) -> Result<JsonLine<Value>, Problem> {
    check_order_id(&order_id)?;
    let told = web.store.get::<Told>(TOLD, &order_id).map_err(failed)?;
    let Told { order_id, user_id, text, told_at_ms } =
        told.ok_or_else(|| nothing_known(&order_id))?;
    Ok(JsonLine(json!({
        "order_id": order_id,
        "status": "notified",
        "user_id": user_id,
        "text": text,
        "told_at_ms": told_at_ms,
    })))
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
