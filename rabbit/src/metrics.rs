//! What the broker's side measures; what the front measures, `order_api` names.

use pipeline::failure::FailureClass;

use crate::topology::WorkQueue;

/// Whether a connection stands: 0 or 1, by connection.
const CONNECTED: &str = "rabbit_connected";
/// Connections that came back, by connection.
const RECONNECTIONS: &str = "rabbit_reconnections_total";
/// Whether the broker takes no messages: 0 or 1.
const BLOCKED: &str = "rabbit_blocked";
/// Messages sent, by what became of them.
const PUBLISHED: &str = "rabbit_published_total";
/// Deliveries that are settled, by queue and result.
const DELIVERIES: &str = "rabbit_deliveries_total";
/// Messages sent to a retry queue, by queue.
const RETRIES: &str = "rabbit_retries_total";
/// Dead letters, by queue and class.
const DEAD_LETTERED: &str = "rabbit_dead_lettered_total";
/// Messages in hand, by queue.
const IN_HAND: &str = "rabbit_deliveries_in_hand";

pub(crate) fn connected(connection: &'static str, is_connected: bool) {
    metrics::gauge!(CONNECTED, "connection" => connection).set(f64::from(u8::from(is_connected)));
}

pub(crate) fn reconnected(connection: &'static str) {
    metrics::counter!(RECONNECTIONS, "connection" => connection).increment(1);
}

pub(crate) fn blocked(is_blocked: bool) {
    metrics::gauge!(BLOCKED).set(f64::from(u8::from(is_blocked)));
}

pub(crate) fn published(result: &'static str) {
    metrics::counter!(PUBLISHED, "result" => result).increment(1);
}

/// `result`: `done`, `duplicate`, `retried`, `dead-lettered`.
pub(crate) fn delivery(queue: WorkQueue, result: &'static str) {
    metrics::counter!(DELIVERIES, "queue" => queue.as_str(), "result" => result).increment(1);
}

pub(crate) fn retried(queue: WorkQueue) {
    metrics::counter!(RETRIES, "queue" => queue.as_str()).increment(1);
}

pub(crate) fn dead_lettered(queue: WorkQueue, class: FailureClass) {
    let labels = [("queue", queue.as_str()), ("class", class.as_str())];
    metrics::counter!(DEAD_LETTERED, &labels).increment(1);
}

pub(crate) fn in_hand(queue: WorkQueue, messages: usize) {
    let messages = u32::try_from(messages).unwrap_or(u32::MAX);
    metrics::gauge!(IN_HAND, "queue" => queue.as_str()).set(f64::from(messages));
}
