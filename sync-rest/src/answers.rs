//! What inventory and notification answer, and how they read what they are asked.

use std::time::Instant;

use order_store::StoreError;
use orders::{FailureReason, InventoryOutcome};
use serde::de::DeserializeOwned;
use serde_json::json;
use service_kit::http::header::CONTENT_TYPE;
use service_kit::http::{
    Endpoint, IntoResponse as _, JsonLine, Problem, RequestContext, Response, Routes, StatusCode,
};

use crate::reservation::{DecidedFor, ReservationState};
use crate::wire::BY_EARLIER_ATTEMPT;

/// Longest text of a parser that is handed on.
const DETAIL_CHARS_MAX: usize = 200;

/// What inventory and notification answer the order service.
pub(crate) const OF_SERVICES: &[StatusCode] = &[
    StatusCode::OK,
    StatusCode::NOT_FOUND,
    StatusCode::CONFLICT,
    StatusCode::MISDIRECTED_REQUEST,
    StatusCode::UNPROCESSABLE_ENTITY,
];

/// The API's description.
pub(crate) const OPENAPI_TEXT: &str = include_str!("../openapi.json");

/// Path of the API's description, on each service.
pub(crate) fn openapi() -> Routes {
    let text = async || ([(CONTENT_TYPE, "application/json")], OPENAPI_TEXT);
    Routes::new([Endpoint::at("/openapi.json").get(text)])
}

/// Reads a JSON body.
pub(crate) fn read_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let detail: String = error.to_string().chars().take(DETAIL_CHARS_MAX).collect();
        if error.is_data() {
            return invalid(&detail);
        }
        Problem::new(StatusCode::BAD_REQUEST, "invalid-json", "The body is not JSON", detail)
    })
}

/// The request is not one that can be done.
pub(crate) fn invalid(detail: &str) -> Problem {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::new(status, "invalid-order", "The order is not valid", detail)
}

/// Nothing is started whose time is over.
pub(crate) fn check_time(context: &RequestContext) -> Result<(), Problem> {
    if !context.is_over(Instant::now()) {
        return Ok(());
    }
    let detail = "the deadline had passed before the work was done; nothing was done";
    let status = StatusCode::GATEWAY_TIMEOUT;
    Err(Problem::new(status, "deadline-exceeded", "The deadline has passed", detail))
}

/// The store fails.
pub(crate) fn failed(error: StoreError) -> Problem {
    tracing::error!(%error, "a decision could not be stored or found");
    let detail =
        "the service cannot reach what it stores; its log has the reason under the request's id";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The service failed", detail)
}

/// Inventory has decided: 200 or 409.
pub(crate) fn decided(
    order_id: &str,
    outcome: InventoryOutcome,
    decided_for: DecidedFor,
) -> Result<Response, Problem> {
    let by_earlier_attempt = decided_for == DecidedFor::AnEarlierOne;
    let reason = match outcome {
        InventoryOutcome::Reserved => {
            let body = json!({
                "order_id": order_id, "status": "reserved",
                BY_EARLIER_ATTEMPT: by_earlier_attempt,
            });
            return Ok(JsonLine(body).into_response());
        }
        InventoryOutcome::Failed(reason) => reason,
    };
    let (title, detail) = match reason {
        FailureReason::OutOfStock => ("Out of stock", "there is not enough of this item left"),
        FailureReason::UnknownItem => ("The item is unknown", "the menu has no such item"),
        FailureReason::InvalidOrder => {
            ("The order is not valid", "its quantity or item breaks a rule")
        }
        FailureReason::Simulated => ("Refused on request", "this share of orders is refused"),
    };
    let status = match reason {
        FailureReason::UnknownItem | FailureReason::InvalidOrder => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        FailureReason::OutOfStock | FailureReason::Simulated => StatusCode::CONFLICT,
    };
    Err(Problem::new(status, reason.as_str(), title, detail)
        .with("order_id", order_id)
        .with("reason", reason.as_str()))
}

/// What is known of a reservation.
pub(crate) fn reservation(order_id: &str, state: ReservationState) -> Response {
    let (status, reason) = state.words();
    let mut body = json!({ "order_id": order_id, "status": status });
    if let (Some(reason), Some(body)) = (reason, body.as_object_mut()) {
        body.insert("reason".to_owned(), reason.into());
    }
    JsonLine(body).into_response()
}

/// The attempt was released before its reservation came.
pub(crate) fn released(order_id: &str) -> Problem {
    let detail = "this attempt was cancelled and its reservation released; a new attempt needs a larger number";
    Problem::new(StatusCode::CONFLICT, "released", "The attempt was cancelled", detail)
        .with("order_id", order_id)
}

/// The `type` of [`other_order`].
pub(crate) const KEY_REUSED_TYPE: &str = "urn:orders:problem:key-reused";

/// The id belongs to another order.
pub(crate) fn other_order(order_id: &str) -> Problem {
    let detail = "this order id was used before for another item or quantity";
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::new(status, "key-reused", "The id belongs to another order", detail)
        .with("order_id", order_id)
}

/// Nothing was ever asked about this order.
pub(crate) fn nothing_known(order_id: &str) -> Problem {
    let detail = "inventory has no decision about this order";
    Problem::new(StatusCode::NOT_FOUND, "no-such-order", "No such order", detail)
        .with("order_id", order_id)
}
