//! Known orders as answers.

use orders::FailureReason;
use service_kit::http::header::LOCATION;
use service_kit::http::{HeaderValue, IntoResponse as _, JsonLine, Problem, Response, StatusCode};

use crate::known::{KnownOrder, OrderStatus};
use crate::paradigm::AnswerForm;

/// The answer to `POST /order`.
pub(crate) fn answer(order: &KnownOrder, form: AnswerForm) -> Response {
    let status = match (form, order.status) {
        (AnswerForm::Accepted, _) | (_, OrderStatus::Pending) => StatusCode::ACCEPTED,
        (_, OrderStatus::Confirmed) => StatusCode::OK,
        (_, OrderStatus::Failed) => return refused(order).into_response(),
    };
    let mut reply = (status, JsonLine(order)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/orders/{}", order.order_id)) {
        reply.headers_mut().insert(LOCATION, location);
    }
    reply
}

/// What `POST /order` may be answered, besides what every server answers by itself.
pub(crate) fn answers(form: AnswerForm) -> &'static [StatusCode] {
    const ACCEPTED: &[StatusCode] = &[
        StatusCode::ACCEPTED,
        StatusCode::CONFLICT,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::UNPROCESSABLE_ENTITY,
    ];
    const WITH_OUTCOME: &[StatusCode] = &[
        StatusCode::OK,
        StatusCode::ACCEPTED,
        StatusCode::CONFLICT,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::UNPROCESSABLE_ENTITY,
    ];
    match form {
        AnswerForm::Accepted => ACCEPTED,
        AnswerForm::WithOutcome => WITH_OUTCOME,
    }
}

/// The answer to `GET /orders/{id}`: 200, whatever became of it.
pub(crate) fn found(order: &KnownOrder) -> Response {
    JsonLine(order).into_response()
}

/// The answer where nothing is known.
pub(crate) fn not_found(order_id: &str) -> Problem {
    let detail = "no order with this id was accepted here, or its outcome is unknown";
    Problem::new(StatusCode::NOT_FOUND, "no-such-order", "No such order", detail)
        .with("order_id", order_id)
}

/// The answer where inventory said no, in the words of its reason.
pub(crate) fn refused(order: &KnownOrder) -> Problem {
    let reason = order.reason.as_deref().and_then(FailureReason::parse);
    let (slug, title, detail) = match reason {
        Some(FailureReason::OutOfStock) => {
            ("out-of-stock", "Out of stock", "there is not enough of this item left")
        }
        Some(FailureReason::UnknownItem) => {
            ("unknown-item", "The item is unknown", "inventory has no such item")
        }
        Some(FailureReason::InvalidOrder) => {
            ("invalid-order", "The order is not valid", "inventory refuses the order")
        }
        Some(FailureReason::Simulated) | None => {
            ("simulated", "Refused on request", "inventory was configured to refuse some orders")
        }
    };
    let problem = Problem::new(StatusCode::CONFLICT, slug, title, detail)
        .with("order_id", order.order_id.as_str())
        .with("reason", slug);
    match order.wish.as_ref().and_then(|wish| wish.warning.as_deref()) {
        Some(warning) => problem.with("warning", warning),
        None => problem,
    }
}
