//! What the broker's side measures; what the front measures, `order_api` names.

use metrics::{describe_counter, describe_gauge};
use order_api::status::Sources;
use pipeline::failure::{FailureClass, FailureReason};

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

/// What the lines of the log and the table at the end say.
pub(crate) const STATUS: Sources = Sources {
    settled: (DELIVERIES, "result"),
    retries: RETRIES,
    dead_letters: Some(DEAD_LETTERED),
    waiting: None,
};

/// What is said of a message that was sent; the first is good.
const PUBLISHED_RESULTS: [&str; 6] =
    ["confirmed", "away", "blocked", "unroutable", "refused", "unconfirmed"];
/// What is said of a delivery that is settled.
const DELIVERY_RESULTS: [&str; 4] = ["done", "duplicate", "retried", "dead-lettered"];

/// Explains the metrics, and begins the counters of a service at 0.
pub(crate) fn begin(queue: WorkQueue, connections: [&'static str; 2]) {
    describe_gauge!(CONNECTED, "1 while the connection is up");
    describe_counter!(RECONNECTIONS, "reconnections");
    describe_gauge!(BLOCKED, "1 while the broker accepts no messages");
    describe_counter!(PUBLISHED, "attempts to publish a message, by result");
    describe_counter!(DELIVERIES, "messages settled, by queue and result");
    describe_counter!(RETRIES, "messages sent to a retry queue");
    describe_counter!(DEAD_LETTERED, "dead letters, by queue and failure class");
    describe_gauge!(IN_HAND, "messages being processed");
    blocked(false);
    for connection in connections {
        metrics::counter!(RECONNECTIONS, "connection" => connection).increment(0);
    }
    for result in PUBLISHED_RESULTS {
        metrics::counter!(PUBLISHED, "result" => result).increment(0);
    }
    in_hand(queue, 0);
    for result in DELIVERY_RESULTS {
        deliveries(queue, result, 0);
    }
    metrics::counter!(RETRIES, "queue" => queue.as_str()).increment(0);
    for reason in FailureReason::ALL {
        let labels = [("queue", queue.as_str()), ("class", reason.class().as_str())];
        metrics::counter!(DEAD_LETTERED, &labels).increment(0);
    }
}

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

/// As [`delivery`], for several.
pub(crate) fn deliveries(queue: WorkQueue, result: &'static str, count: usize) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    metrics::counter!(DELIVERIES, "queue" => queue.as_str(), "result" => result).increment(count);
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
