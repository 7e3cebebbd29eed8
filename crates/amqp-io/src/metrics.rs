//! What is measured of the path through RabbitMQ.

use metrics::{describe_counter, describe_gauge};
use pipeline::failure::{FailureClass, FailureReason};

/// Whether a connection stands: 0 or 1, by connection.
const CONNECTED: &str = "rabbit_connected";
/// Connections that came back, by connection.
const RECONNECTIONS: &str = "rabbit_reconnections_total";
/// Whether the broker takes no messages: 0 or 1.
const BLOCKED: &str = "rabbit_blocked";
/// Messages sent, by what became of them.
const PUBLISHED: &str = "rabbit_published_total";
/// Deliveries that are settled, by queue and result.
pub const DELIVERIES: &str = "rabbit_deliveries_total";
/// Messages sent to a retry queue, by queue.
pub const RETRIES: &str = "rabbit_retries_total";
/// Dead letters, by queue and class.
pub const DEAD_LETTERED: &str = "rabbit_dead_lettered_total";
/// Messages in hand, by queue.
const IN_HAND: &str = "rabbit_deliveries_in_hand";

/// What is said of a message that was sent; the first is good.
const PUBLISHED_RESULTS: [&str; 6] =
    ["confirmed", "away", "blocked", "unroutable", "refused", "unconfirmed"];
/// What is said of a delivery that is settled.
const DELIVERY_RESULTS: [&str; 4] = ["done", "duplicate", "retried", "dead-lettered"];

/// Explains the metrics, and begins the counters of connections at 0.
pub fn begin(connections: &[&'static str]) {
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
        metrics::counter!(RECONNECTIONS, "connection" => *connection).increment(0);
    }
    for result in PUBLISHED_RESULTS {
        metrics::counter!(PUBLISHED, "result" => result).increment(0);
    }
}

/// Begins the counters of a queue that is worked on at 0.
pub fn begin_queue(queue: &'static str) {
    in_hand(queue, 0);
    for result in DELIVERY_RESULTS {
        deliveries(queue, result, 0);
    }
    metrics::counter!(RETRIES, "queue" => queue).increment(0);
    for reason in FailureReason::ALL {
        let labels = [("queue", queue), ("class", reason.class().as_str())];
        metrics::counter!(DEAD_LETTERED, &labels).increment(0);
    }
}

/// Notes whether a connection stands.
pub fn connected(connection: &'static str, is_connected: bool) {
    metrics::gauge!(CONNECTED, "connection" => connection).set(f64::from(u8::from(is_connected)));
}

/// Counts a connection that came back.
pub fn reconnected(connection: &'static str) {
    metrics::counter!(RECONNECTIONS, "connection" => connection).increment(1);
}

/// Notes whether the broker takes no messages.
pub fn blocked(is_blocked: bool) {
    metrics::gauge!(BLOCKED).set(f64::from(u8::from(is_blocked)));
}

/// Counts a message that was sent, by what became of it.
pub fn published(result: &'static str) {
    metrics::counter!(PUBLISHED, "result" => result).increment(1);
}

/// `result`: `done`, `duplicate`, `retried`, `dead-lettered`.
pub fn delivery(queue: &'static str, result: &'static str) {
    metrics::counter!(DELIVERIES, "queue" => queue, "result" => result).increment(1);
}

/// As [`delivery`], for several.
pub fn deliveries(queue: &'static str, result: &'static str, count: usize) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    metrics::counter!(DELIVERIES, "queue" => queue, "result" => result).increment(count);
}

/// Counts a message that was sent to a retry queue.
pub fn retried(queue: &'static str) {
    metrics::counter!(RETRIES, "queue" => queue).increment(1);
}

/// Counts a dead letter.
pub fn dead_lettered(queue: &'static str, class: FailureClass) {
    let labels = [("queue", queue), ("class", class.as_str())];
    metrics::counter!(DEAD_LETTERED, &labels).increment(1);
}

/// Notes how many messages are in hand.
pub fn in_hand(queue: &'static str, messages: usize) {
    let messages = u32::try_from(messages).unwrap_or(u32::MAX);
    metrics::gauge!(IN_HAND, "queue" => queue).set(f64::from(messages));
}
