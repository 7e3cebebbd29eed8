//! What is declared on a broker, as values.
//!
//! ```text
//! per work queue Q:  Q.retry.<ms>  waits, then expires back into Q     one queue per delay
//!                    Q.dlq         dead letters                        kept until redriven
//! ```
//!
//! All of them are durable quorum queues. What expires or dies by itself is dead-lettered *at least
//! once*: RabbitMQ does that from 3.10 on, for quorum queues that reject publishes when full.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

/// Deliveries of one message that ended without an answer (crashes), before it is a dead letter.
const DELIVERIES_MAX: u64 = 50;
/// Looks at a dead letter, before RabbitMQ drops it: as good as never. From RabbitMQ 4 on, a queue
/// that says nothing has a limit of 20.
pub const LOOKS_MAX: u64 = 2_147_483_647;

/// A queue to be declared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueuePlan {
    /// Its name.
    pub name: String,
    /// Its arguments, all of type text or number.
    pub arguments: Map<String, Value>,
    /// Routing keys of its bindings to the exchange.
    pub routing_keys: &'static [&'static str],
}

/// Everything that is declared.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// The topic exchange, which is made last: where it is, the queues are safe.
    pub exchange: String,
    /// All queues.
    pub queues: Vec<QueuePlan>,
}

/// A queue that is worked on, and those of its messages that fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueNames {
    /// Label of metrics.
    pub label: &'static str,
    /// The queue's own name.
    pub name: String,
    /// What the names of the others begin with; the queue's own, in most cases.
    pub base: String,
}

impl QueueNames {
    /// Those of a queue whose own name is the beginning of the others.
    pub fn new(label: &'static str, name: impl Into<String>) -> Self {
        let name = name.into();
        Self { label, base: name.clone(), name }
    }

    /// Name of the queue in which failed messages wait for so long.
    pub fn retry(&self, delay: Duration) -> String {
        format!("{}.retry.{}", self.base, delay.as_millis())
    }

    /// Name of the queue of its dead letters.
    pub fn dead_letters(&self) -> String {
        format!("{}.dlq", self.base)
    }

    /// The queue, and one for each of these delays.
    pub fn work_and_retry(
        &self,
        delays: &[Duration],
        routing_keys: &'static [&'static str],
    ) -> Vec<QueuePlan> {
        let dies_to = |target: &str| {
            [
                ("x-dead-letter-exchange", json!("")),
                ("x-dead-letter-routing-key", json!(target)),
                ("x-dead-letter-strategy", json!("at-least-once")),
                ("x-overflow", json!("reject-publish")),
            ]
        };
        let mut work = quorum(dies_to(&self.dead_letters()));
        work.insert("x-delivery-limit".to_owned(), json!(DELIVERIES_MAX));
        let mut plans = vec![QueuePlan { name: self.name.clone(), arguments: work, routing_keys }];
        for delay in delays {
            let mut waits = quorum(dies_to(&self.name));
            let ttl_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            waits.insert("x-message-ttl".to_owned(), json!(ttl_ms));
            let name = self.retry(*delay);
            plans.push(QueuePlan { name, arguments: waits, routing_keys: &[] });
        }
        plans
    }

    /// The queue of its dead letters.
    pub fn dead_letter_queue(&self) -> QueuePlan {
        // Each look at dead letters is a delivery that ends without an answer.
        let arguments = quorum([("x-delivery-limit", json!(LOOKS_MAX))]);
        QueuePlan { name: self.dead_letters(), arguments, routing_keys: &[] }
    }
}

/// Arguments of a quorum queue, these among them.
pub fn quorum<'a>(more: impl IntoIterator<Item = (&'a str, Value)>) -> Map<String, Value> {
    arguments([("x-queue-type", json!("quorum"))].into_iter().chain(more))
}

/// Arguments of a queue.
pub fn arguments<'a>(all: impl IntoIterator<Item = (&'a str, Value)>) -> Map<String, Value> {
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dies_by_itself_dies_at_least_once_into_a_queue_that_is_declared() {
        let names = QueueNames::new("message", "message");
        let delays = [Duration::from_secs(2), Duration::from_secs(30)];
        let mut plans = names.work_and_retry(&delays, &["message"]);
        plans.push(names.dead_letter_queue());
        let declared: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(
            declared,
            ["message", "message.retry.2000", "message.retry.30000", "message.dlq"]
        );
        for plan in &plans {
            let Some(target) = plan.arguments.get("x-dead-letter-routing-key") else { continue };
            assert!(declared.iter().any(|name| target == name), "{}", plan.name);
            assert_eq!(plan.arguments["x-dead-letter-strategy"], "at-least-once");
            // Without it RabbitMQ falls back to at most once.
            assert_eq!(plan.arguments["x-overflow"], "reject-publish");
        }
        assert_eq!(plans[1].arguments["x-message-ttl"], 2_000);
        assert_eq!(plans[3].arguments["x-delivery-limit"], LOOKS_MAX);
    }
}
