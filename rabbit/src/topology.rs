//! Exchange, queues and bindings, as values.
//!
//! ```text
//! exchange P (topic)
//!    order.placed ──────► P.inventory ─────► inventory service, the one that owns the stock
//!    inventory.decided ─► P.notification ──► notification service, the one that owns its notes
//!                   └───► P.events           a stream: every order service reads all of it
//!    notification.sent ─► P.notifications    whoever sends mail; the oldest go at 100,000
//!
//! per work queue:  Q.retry.<ms>  waits, then expires back into Q     one queue per delay
//!                  Q.dlq         dead letters                        kept until redriven
//!                  Q.owner       empty: its argument names the store of the one owner
//! ```
//!
//! The stream takes no placed orders through the exchange: an order that only the stream takes must
//! come back to its sender. All but the stream are durable quorum queues. What expires or dies by itself is dead-lettered *at least
//! once*: RabbitMQ does that from 3.10 on, for quorum queues that reject publishes when full.

use std::time::Duration;

use amqp_io::topology::{Declared, QueueNames, QueuePlan, arguments, quorum};
use serde::Serialize;
use serde_json::{Value, json};

/// Messages that wait for whoever sends mail; the oldest go when there are more.
const NOTIFICATIONS_MAX: u64 = 100_000;

/// Time for which the stream keeps what happened to orders: as long as an order service may be
/// away …
const EVENTS_AGE_MAX: &str = "7D";
/// … and what it keeps at most; two million events are a quarter of it. The oldest go.
const EVENTS_BYTES_MAX: u64 = 2_000_000_000;
/// Piece of the stream that goes at a time.
const EVENTS_SEGMENT_BYTES: u64 = 50_000_000;

/// Routing key of a placed order.
pub(crate) const ORDER_PLACED: &str = "order.placed";
/// Routing key of a decision of inventory.
pub(crate) const INVENTORY_DECIDED: &str = "inventory.decided";
/// Routing key of what a customer was told.
pub(crate) const NOTIFICATION_SENT: &str = "notification.sent";

/// A queue, or the stream, that a service works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkQueue {
    /// Placed orders.
    Inventory,
    /// Decisions whose customers are to be told.
    Notification,
    /// What happens to orders, for those who ask: the stream.
    Outcomes,
}

impl WorkQueue {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Inventory, Self::Notification, Self::Outcomes];

    /// Last part of its name, and label of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Notification => "notification",
            Self::Outcomes => "outcomes",
        }
    }

    const fn routing_keys(self) -> &'static [&'static str] {
        match self {
            Self::Inventory => &[ORDER_PLACED],
            Self::Notification | Self::Outcomes => &[INVENTORY_DECIDED],
        }
    }
}

/// Everything that is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    prefix: String,
    delays: Vec<Duration>,
}

impl Topology {
    /// One whose names begin with `prefix`, with a retry queue for each of these delays.
    pub fn new(prefix: impl Into<String>, delays: &[Duration]) -> Self {
        let mut delays = delays.to_vec();
        delays.sort_unstable();
        delays.dedup();
        Self { prefix: prefix.into(), delays }
    }

    /// The exchange.
    pub fn exchange(&self) -> &str {
        &self.prefix
    }

    /// Name of a work queue.
    pub fn queue(&self, queue: WorkQueue) -> String {
        match queue {
            WorkQueue::Outcomes => format!("{}.events", self.prefix),
            WorkQueue::Inventory | WorkQueue::Notification => self.named(queue, ""),
        }
    }

    fn named(&self, queue: WorkQueue, rest: &str) -> String {
        format!("{}.{}{rest}", self.prefix, queue.as_str())
    }

    /// Name of the queue that earlier versions had in the place of the stream.
    pub(crate) fn outcomes_before(&self) -> String {
        self.named(WorkQueue::Outcomes, "")
    }

    /// Name of the queue whose argument says which store has the state of the one service that
    /// works on `queue`.
    pub fn owner_queue(&self, queue: WorkQueue) -> String {
        self.named(queue, ".owner")
    }

    /// A queue that is worked on, and where its failed messages go.
    pub(crate) fn names(&self, queue: WorkQueue) -> QueueNames {
        let base = self.named(queue, "");
        QueueNames { label: queue.as_str(), name: self.queue(queue), base }
    }

    /// Name of the queue of the dead letters of `queue`.
    pub fn dead_letter_queue(&self, queue: WorkQueue) -> String {
        self.names(queue).dead_letters()
    }

    /// Everything that is declared.
    pub(crate) fn declared(&self) -> Declared {
        Declared { exchange: self.prefix.clone(), queues: self.queues() }
    }

    /// All queues.
    pub fn queues(&self) -> Vec<QueuePlan> {
        let mut queues: Vec<QueuePlan> =
            WorkQueue::ALL.into_iter().flat_map(|queue| self.queues_of(queue)).collect();
        let arguments = quorum([
            ("x-max-length", json!(NOTIFICATIONS_MAX)),
            ("x-overflow", json!("drop-head")),
        ]);
        let name = format!("{}.notifications", self.prefix);
        queues.push(QueuePlan { name, arguments, routing_keys: &[NOTIFICATION_SENT] });
        queues
    }

    fn queues_of(&self, queue: WorkQueue) -> Vec<QueuePlan> {
        let names = self.names(queue);
        let mut plans = match queue {
            WorkQueue::Outcomes => vec![self.stream()],
            WorkQueue::Inventory | WorkQueue::Notification => {
                names.work_and_retry(&self.delays, queue.routing_keys())
            }
        };
        plans.push(names.dead_letter_queue());
        plans
    }

    fn stream(&self) -> QueuePlan {
        let arguments = arguments([
            ("x-queue-type", json!("stream")),
            ("x-max-age", json!(EVENTS_AGE_MAX)),
            ("x-max-length-bytes", json!(EVENTS_BYTES_MAX)),
            ("x-stream-max-segment-size-bytes", json!(EVENTS_SEGMENT_BYTES)),
        ]);
        let queue = WorkQueue::Outcomes;
        QueuePlan { name: self.queue(queue), arguments, routing_keys: queue.routing_keys() }
    }

    /// The queue that says that this store has the state of the service that works on `queue`.
    /// Nothing ever lies in it. A broker refuses to declare a queue again with another argument:
    /// the first store wins, and stays the one.
    pub(crate) fn owner(&self, queue: WorkQueue, store_id: &str) -> QueuePlan {
        let arguments = quorum([
            ("x-dead-letter-exchange", json!("")),
            ("x-dead-letter-routing-key", json!(store_id)),
        ]);
        QueuePlan { name: self.owner_queue(queue), arguments, routing_keys: &[] }
    }

    /// Names of the queues that say whose the state of a service is.
    fn owner_queues(&self) -> [String; 2] {
        [WorkQueue::Inventory, WorkQueue::Notification].map(|queue| self.owner_queue(queue))
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        json!({
            "exchange": { "name": self.exchange(), "type": "topic", "durable": true },
            "queues": self.queues(),
            "owner_queues": self.owner_queues(),
        })
    }

    /// As a table for people.
    pub fn table(&self) -> String {
        let mut lines =
            vec![format!("exchange {} (topic, durable)", self.exchange()), String::new()];
        let queues = self.queues();
        let width = queues.iter().map(|plan| plan.name.len()).max().unwrap_or(0);
        lines.push(format!("{:width$}  {:17}  ARGUMENTS", "QUEUE", "BOUND BY"));
        for plan in queues {
            let argument = |(name, value): (&String, &Value)| {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                format!("{}={value}", name.trim_start_matches("x-"))
            };
            let arguments: Vec<String> = plan.arguments.iter().map(argument).collect();
            let mut keys = plan.routing_keys.iter();
            let key = keys.next().unwrap_or(&"-");
            lines.push(format!("{:width$}  {key:17}  {}", plan.name, arguments.join(" ")));
            lines.extend(keys.map(|key| format!("{:width$}  {key}", "")));
        }
        for name in self.owner_queues() {
            let names_store = "dead-letter-routing-key=ID of the store that has the state";
            lines.push(format!("{name:width$}  {:17}  queue-type=quorum {names_store}", "-"));
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use amqp_io::topology::LOOKS_MAX;

    use super::*;

    fn topology() -> Topology {
        let seconds = Duration::from_secs;
        Topology::new("orders", &[seconds(30), seconds(2), seconds(2)])
    }

    #[test]
    fn each_work_queue_has_one_retry_queue_per_delay_and_one_for_dead_letters() {
        let names: Vec<String> = topology().queues().into_iter().map(|plan| plan.name).collect();
        let of_inventory: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| name.starts_with("orders.inventory"))
            .collect();
        assert_eq!(
            of_inventory,
            [
                "orders.inventory",
                "orders.inventory.retry.2000",
                "orders.inventory.retry.30000",
                "orders.inventory.dlq"
            ]
        );
        // Outcomes are a stream, which is read and never retried.
        assert_eq!(names.len(), 2 * 4 + 2 + 1);
    }

    #[test]
    fn what_happens_to_orders_is_a_stream_that_every_order_service_can_read_from_its_beginning() {
        let plans = topology().queues();
        let stream = plans.iter().find(|plan| plan.name == "orders.events").unwrap();
        assert_eq!(stream.arguments["x-queue-type"], "stream");
        // An order that no work queue takes must come back to its sender.
        assert_eq!(stream.routing_keys, ["inventory.decided"]);
        assert_eq!(topology().dead_letter_queue(WorkQueue::Outcomes), "orders.outcomes.dlq");
    }

    #[test]
    fn an_owner_is_an_argument_that_differs_from_store_to_store() {
        let owner = |id| topology().owner(WorkQueue::Inventory, id);
        assert_eq!(owner("a").name, "orders.inventory.owner");
        assert_ne!(owner("a").arguments, owner("b").arguments);
        assert!(owner("a").routing_keys.is_empty());
    }

    #[test]
    fn whatever_dies_by_itself_dies_at_least_once_into_a_queue_that_is_declared() {
        let queues = topology().queues();
        for plan in &queues {
            let kind = if plan.name == "orders.events" { "stream" } else { "quorum" };
            assert_eq!(plan.arguments["x-queue-type"], kind, "{}", plan.name);
            let Some(target) = plan.arguments.get("x-dead-letter-routing-key") else { continue };
            assert!(queues.iter().any(|other| other.name == *target), "{}", plan.name);
            assert_eq!(plan.arguments["x-dead-letter-strategy"], "at-least-once");
            // Without it RabbitMQ falls back to at most once.
            assert_eq!(plan.arguments["x-overflow"], "reject-publish");
        }
    }

    #[test]
    fn dead_letters_can_be_looked_at_as_often_as_one_likes() {
        for queue in WorkQueue::ALL {
            let name = topology().dead_letter_queue(queue);
            let plan = topology().queues().into_iter().find(|plan| plan.name == name).unwrap();
            assert_eq!(plan.arguments["x-delivery-limit"], LOOKS_MAX);
        }
    }

    #[test]
    fn a_retry_queue_leads_back_to_its_work_queue() {
        let plans = topology().queues();
        let retry = plans.iter().find(|plan| plan.name == "orders.inventory.retry.2000").unwrap();
        assert_eq!(retry.arguments["x-message-ttl"], 2_000);
        assert_eq!(retry.arguments["x-dead-letter-routing-key"], "orders.inventory");
    }

    #[test]
    fn the_table_and_the_json_name_every_queue() {
        let (table, json) = (topology().table(), topology().json().to_string());
        for plan in topology().queues() {
            assert!(table.contains(&plan.name) && json.contains(&plan.name), "{}", plan.name);
        }
        assert!(
            table.contains("orders.inventory.owner") && json.contains("orders.inventory.owner")
        );
    }
}
