//! `POST /orders`: many orders in one request, each with a result of its own.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use order_api::{NewOrder, idempotency_key, metrics, outcome_unknown, read_json};
use outbox::SendError;
use serde_json::{Value, json};
use service_kit::http::header::RETRY_AFTER as RETRY_AFTER_HEADER;
use service_kit::http::{
    Bytes, Endpoint, Extension, HeaderMap, HeaderValue, IntoResponse as _, JsonLine, Problem,
    RequestContext, Response, Routes, State, StatusCode,
};

use crate::items::BatchForm;
use crate::limits::{BATCH_BYTES_MAX, PLACE_MAX, RETRY_AFTER};
use crate::order::{StreamOrders, problem};
use crate::trail;

/// What became of one item.
enum Item {
    /// It is in the log, or was before.
    Accepted { order_id: String, is_replayed: bool, warning: Option<String> },
    /// It is not, for this reason.
    Rejected { order_id: Option<String>, problem: Problem },
    /// Nobody knows.
    Unknown { order_id: String, problem: Problem },
}

/// What a batch is answered: all accepted, some of them, or why none is.
const ANSWERS: &[StatusCode] = &[
    StatusCode::ACCEPTED,
    StatusCode::MULTI_STATUS,
    StatusCode::CONFLICT,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
];

/// The path of batches.
pub(crate) fn routes(to: StreamOrders) -> Routes {
    let batches = Endpoint::at("/orders").taking(BATCH_BYTES_MAX).answering(ANSWERS);
    Routes::new([batches.post(place_counted)]).with_state(Arc::new(to))
}

async fn place_counted(
    State(to): State<Arc<StreamOrders>>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let placed = place(&to, &context, &headers, &body).await;
    placed.inspect_err(|problem| metrics::rejected(problem.slug()))
}

/// Places the orders of a batch.
///
/// # Errors
///
/// Why the batch as a whole is none; nothing of it is placed then.
async fn place(
    to: &StreamOrders,
    context: &RequestContext,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Problem> {
    let form = BatchForm::of(headers)?;
    let key = idempotency_key(headers)?;
    let bodies = form.items(body)?;
    let mut items: Vec<Option<Item>> = Vec::with_capacity(bodies.len());
    let mut new: Vec<(usize, NewOrder)> = Vec::new();
    for (index, body) in bodies.into_iter().enumerate() {
        match read(to, body, index, key.as_deref()) {
            Ok(Read::New(order)) => {
                new.push((index, order));
                items.push(None);
            }
            Ok(Read::Known(item)) => items.push(Some(item)),
            Err(problem) => items.push(Some(Item::Rejected { order_id: None, problem })),
        }
    }
    for (index, item) in send(to, context, new).await {
        items[index] = Some(item);
    }
    let items: Vec<Item> = items.into_iter().flatten().collect();
    items.iter().for_each(count);
    Ok(answer(&items))
}

enum Read {
    New(NewOrder),
    Known(Item),
}

/// Reads one item. Under a key its id is a function of the key and its place in the batch.
fn read(to: &StreamOrders, body: &[u8], index: usize, key: Option<&str>) -> Result<Read, Problem> {
    let key = key.map(|key| format!("{key}#{index}"));
    let order = read_json(body, key.as_deref(), &to.menu)?;
    // An order without a key has a new id, which nobody knows.
    if key.is_some() && to.orders.known(&order, None)?.is_some() {
        let (order_id, warning) = (order.order.order_id, order.warning);
        return Ok(Read::Known(Item::Accepted { order_id, is_replayed: true, warning }));
    }
    Ok(Read::New(order))
}

/// Appends the orders, and stores those that were acknowledged in one commit.
async fn send(
    to: &StreamOrders,
    context: &RequestContext,
    new: Vec<(usize, NewOrder)>,
) -> Vec<(usize, Item)> {
    let received_at = context.received_at;
    let context = context.clone().within(PLACE_MAX);
    let deadline = context.deadline.unwrap_or_else(|| Instant::now() + PLACE_MAX);
    let carried = context.trace.child();
    let trail = Arc::new(trail::begun_by(&context, &carried));
    let span = to.outbox.sending(&carried);
    let sent = join_all(new.iter().map(|(_, order)| to.send(order, &trail, deadline))).await;
    if let Some(span) = span {
        let count = i64::try_from(sent.len()).unwrap_or(i64::MAX);
        let failed = sent.iter().find_map(|sent| sent.as_ref().err());
        span.with("messaging.batch.message_count", count).end_with(failed.map(SendError::as_str));
    }
    let mut items = Vec::with_capacity(new.len());
    let (mut places, mut accepted) = (Vec::new(), Vec::new());
    for ((index, order), sent) in new.into_iter().zip(sent) {
        let order_id = order.order.order_id.clone();
        match sent {
            Ok(()) => {
                places.push(index);
                accepted.push(order);
            }
            Err(error) if error.is_unknown() => {
                items.push((index, Item::Unknown { order_id, problem: problem(&error) }));
            }
            Err(error) => {
                let (order_id, problem) = (Some(order_id), problem(&error));
                items.push((index, Item::Rejected { order_id, problem }));
            }
        }
    }
    let stored = match accepted.is_empty() {
        true => Ok(()),
        false => to.orders.accepted(&accepted, received_at).await.map(drop),
    };
    for (index, order) in places.into_iter().zip(accepted) {
        let (order_id, warning) = (order.order.order_id, order.warning);
        let item = match &stored {
            Ok(()) => Item::Accepted { order_id, is_replayed: false, warning },
            Err(problem) => Item::Unknown { order_id, problem: problem.clone() },
        };
        items.push((index, item));
    }
    items
}

fn count(item: &Item) {
    match item {
        Item::Accepted { is_replayed: true, .. } => metrics::replayed(),
        Item::Accepted { .. } => {} // counted when it was stored
        Item::Rejected { problem, .. } | Item::Unknown { problem, .. } => {
            metrics::rejected(problem.slug());
        }
    }
}

/// 202 if all were accepted, 207 if some were, and where none was, the status of the first problem.
fn answer(items: &[Item]) -> Response {
    let count = |is: fn(&Item) -> bool| items.iter().filter(|item| is(item)).count();
    let accepted = count(|item| matches!(item, Item::Accepted { .. }));
    let unknown = count(|item| matches!(item, Item::Unknown { .. }));
    let rejected = items.len() - accepted - unknown;
    let problems = items.iter().filter_map(|item| match item {
        Item::Accepted { .. } => None,
        Item::Rejected { problem, .. } | Item::Unknown { problem, .. } => Some(problem),
    });
    let worst = problems.clone().max_by_key(|problem| problem.status());
    let status = match worst {
        None => StatusCode::ACCEPTED,
        Some(_) if accepted > 0 => StatusCode::MULTI_STATUS,
        Some(worst) => worst.status(),
    };
    let results: Vec<Value> = items.iter().enumerate().map(result).collect();
    let body = json!({
        "accepted": accepted, "rejected": rejected, "unknown": unknown, "results": results,
    });
    let mut reply = (status, JsonLine(body)).into_response();
    if problems.clone().any(|problem| problem.status().is_server_error()) {
        let seconds = HeaderValue::from(RETRY_AFTER.as_secs());
        reply.headers_mut().insert(RETRY_AFTER_HEADER, seconds);
    }
    reply
}

fn result((index, item): (usize, &Item)) -> Value {
    match item {
        Item::Accepted { order_id, is_replayed, warning } => {
            let mut accepted = json!({
                "index": index,
                "status": "accepted",
                "order_id": order_id,
                "location": format!("/orders/{order_id}"),
                "replayed": is_replayed,
            });
            if let Some(warning) = warning {
                accepted["warning"] = json!(warning);
            }
            accepted
        }
        Item::Rejected { order_id, problem } => json!({
            "index": index,
            "status": "rejected",
            "order_id": order_id,
            "problem": problem.body(),
        }),
        Item::Unknown { order_id, problem } => json!({
            "index": index,
            "status": "unknown",
            "order_id": order_id,
            "problem": outcome_unknown(problem.clone()).body(),
        }),
    }
}
