//! Where a flow is reached: its services over HTTP, its broker by the broker's own protocol.

use kafka_io::client_config::KafkaSettings;
use serde_json::Value;

use crate::workload::Paradigm;

/// How the lab's own readers and writers reach the brokers.
#[derive(Debug, Clone)]
pub struct Brokers {
    /// RabbitMQ; it may hold a password.
    pub rabbit_url: String,
    /// Beginning of the names of exchange and queues.
    pub rabbit_prefix: String,
    /// Kafka.
    pub kafka: KafkaSettings,
    /// Topic of placed orders.
    pub order_topic: String,
    /// Topic of what customers are told.
    pub notification_topic: String,
}

impl Brokers {
    /// The queue that a mail service would read.
    #[must_use]
    pub fn notifications_queue(&self) -> String {
        format!("{}.notifications", self.rabbit_prefix)
    }
}

/// Base addresses of the services of one paradigm, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// Every instance of the order service.
    pub order: Vec<String>,
    /// Inventory, where its metrics are to be read.
    pub inventory: Option<String>,
    /// Notification, where it knows whom it told.
    pub notification: Option<String>,
}

/// What `GET /orders/{id}` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not decided yet.
    Pending,
    /// Confirmed.
    Confirmed,
    /// It is among the dead letters.
    Dead,
    /// It failed, or nobody knows it.
    Over,
    /// There was no answer that says so.
    NoAnswer,
}

/// Asks the order service what became of an order.
pub async fn status_of(http: &reqwest::Client, base: &str, order_id: &str) -> Status {
    let Ok(response) = http.get(format!("{base}/orders/{order_id}")).send().await else {
        return Status::NoAnswer;
    };
    let status = response.status();
    let body: Value = response.json().await.unwrap_or_default();
    match (status.as_u16(), body["status"].as_str()) {
        (200, Some("pending")) => Status::Pending,
        (200, Some("confirmed")) => Status::Confirmed,
        // Inventory has no class for what it refuses.
        (200, Some("failed")) if body["class"].is_string() => Status::Dead,
        (200 | 404, _) => Status::Over,
        _ => Status::NoAnswer,
    }
}

/// What the instances of an order service say together: one that knows an order has the word.
#[must_use]
pub fn together(answers: &[Status]) -> Status {
    let first_of = [Status::Confirmed, Status::Dead, Status::Pending, Status::NoAnswer];
    first_of.into_iter().find(|status| answers.contains(status)).unwrap_or(Status::Over)
}

/// Asks the notification service whether it told the customer of an order.
pub async fn is_told(http: &reqwest::Client, base: &str, order_id: &str) -> Option<bool> {
    let answer = http.get(format!("{base}/notifications/{order_id}")).send().await.ok()?;
    match answer.status().as_u16() {
        200 => Some(true),
        404 => Some(false),
        _ => None,
    }
}

/// Whether a service says that it can do its work.
pub async fn is_ready(http: &reqwest::Client, base: &str) -> bool {
    let answer = http.get(format!("{base}/readyz")).send().await;
    answer.is_ok_and(|answer| answer.status().as_u16() == 200)
}

/// Dead letters that a service has counted since it started; nothing where it does not tell.
pub async fn dead_letters(http: &reqwest::Client, base: &str, paradigm: Paradigm) -> Option<u64> {
    let name = match paradigm {
        Paradigm::SyncRest => return Some(0),
        Paradigm::Rabbit => "rabbit_dead_lettered_total",
        Paradigm::Streaming => "orders_dead_lettered_total",
    };
    let answer = http.get(format!("{base}/metrics")).send().await.ok()?;
    if !answer.status().is_success() {
        return None;
    }
    Some(sum_of(&answer.text().await.ok()?, name))
}

/// Sum of all samples of a counter.
fn sum_of(metrics: &str, name: &str) -> u64 {
    let is_sample = |line: &&str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
    };
    let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
    let sum: f64 = metrics.lines().filter(is_sample).filter_map(value).sum();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count is 0 or more"
    )]
    let sum = sum as u64;
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_as_the_one_instance_says_that_has_taken_it() {
        use Status::{Confirmed, Dead, NoAnswer, Over, Pending};
        for (answers, status) in [
            (&[Over, Confirmed][..], Confirmed),
            (&[Over, Pending], Pending),
            (&[Pending, Dead], Dead),
            (&[Over, NoAnswer], NoAnswer),
            (&[Over, Over], Over),
            (&[], Over),
        ] {
            assert_eq!(together(answers), status, "{answers:?}");
        }
    }

    #[test]
    fn samples_of_all_labels_are_added_up_and_those_of_longer_names_are_not() {
        let text =
            "# HELP a_total x\na_total{class=\"x\"} 3\na_total{class=\"y\"} 4\na_total_more 9\n";
        assert_eq!((sum_of(text, "a_total"), sum_of(text, "b_total")), (7, 0));
        assert_eq!(sum_of("a_total 5", "a_total"), 5);
    }
}
