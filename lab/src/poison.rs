//! Invalid messages, put where each paradigm may meet them: in a request over HTTP, else in the queue or topic of orders.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kafka_io::client_config::KafkaSettings;
use kafka_io::publisher::{Delivery, DeliveryObserver, Publisher};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::time::{sleep, timeout};

use crate::generator::Poisoned;

/// Bytes that are neither JSON nor a framed record.
const GARBAGE: &[u8] = b"\x7fnot an order";
/// Routing key of placed orders.
const ORDER_PLACED: &str = "order.placed";
/// Longest wait for a broker's word; librdkafka tries as long.
const DELIVERY_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Where it is put.
pub enum Poison {
    /// As the body of a request.
    OverHttp(String),
    /// Into the queue of placed orders, through this exchange.
    Rabbit(Channel, String),
    /// Into the topic of placed orders.
    Kafka(Box<Topic>),
}

/// What writes to a topic.
pub struct Topic {
    publisher: Publisher<Reports>,
    name: String,
    reports: Reports,
    next: AtomicUsize,
}

/// What brokers said of the messages that nobody has asked about yet, by their numbers.
#[derive(Debug, Clone, Default)]
struct Reports(Arc<Mutex<HashMap<usize, Poisoned>>>);

impl Reports {
    fn take(&self, number: usize) -> Option<Poisoned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number)
    }
}

impl DeliveryObserver for Reports {
    fn delivered(&self, delivery: &Delivery<'_>) {
        let said = match &delivery.outcome {
            Ok(_) => Poisoned::Put,
            Err(_) if delivery.is_refused => Poisoned::NotSent,
            Err(_) => Poisoned::Unknown,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(delivery.sequence, said);
    }
}

impl fmt::Debug for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OverHttp(_) => "over HTTP",
            Self::Rabbit(..) => "into a queue",
            Self::Kafka(..) => "into a topic",
        })
    }
}

impl Poison {
    /// A request that is cut off.
    #[must_use]
    pub fn over_http() -> Self {
        Self::OverHttp(r#"{"user_id":"u1","item"#.to_owned())
    }

    /// Makes what writes to a topic.
    ///
    /// # Errors
    ///
    /// Fails if librdkafka refuses the settings.
    pub fn into_topic(settings: &KafkaSettings, topic: &str) -> Result<Self, String> {
        let reports = Reports::default();
        let publisher =
            Publisher::new(settings, DELIVERY_MAX, reports.clone()).map_err(|e| e.to_string())?;
        let (name, next) = (topic.to_owned(), AtomicUsize::new(0));
        Ok(Self::Kafka(Box::new(Topic { publisher, name, reports, next })))
    }

    /// Puts one behind the door, and waits for the broker's word.
    pub(crate) async fn put(&self) -> Poisoned {
        match self {
            // It is the body of a request, and not put anywhere.
            Self::OverHttp(_) => Poisoned::NotSent,
            Self::Rabbit(channel, exchange) => {
                timeout(DELIVERY_MAX, publish(channel, exchange)).await.unwrap_or(Poisoned::Unknown)
            }
            Self::Kafka(topic) => topic.put().await,
        }
    }
}

/// Publishes one through a channel that confirms.
async fn publish(channel: &Channel, exchange: &str) -> Poisoned {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = BasicProperties::default().with_delivery_mode(2);
    let sent =
        channel.basic_publish(exchange.into(), ORDER_PLACED.into(), options, GARBAGE, properties);
    let Ok(confirmation) = sent.await else { return Poisoned::Unknown };
    said(confirmation.await.ok().as_ref())
}

/// What a broker's answer says; without one nothing is known.
fn said(confirmation: Option<&Confirmation>) -> Poisoned {
    match confirmation {
        Some(Confirmation::Ack(None)) => Poisoned::Put,
        Some(Confirmation::Ack(Some(_)) | Confirmation::Nack(_)) => Poisoned::NotSent,
        Some(Confirmation::NotRequested) | None => Poisoned::Unknown,
    }
}

impl Topic {
    async fn put(&self) -> Poisoned {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let put =
            self.publisher.try_publish(&self.name, None, Some(b"poison"), Some(GARBAGE), number);
        if let Err(error) = put {
            tracing::warn!(%error, "an invalid message was not sent");
            return Poisoned::NotSent;
        }
        let deadline = Instant::now() + DELIVERY_MAX + LOOK_EVERY;
        loop {
            self.publisher.poll(Duration::ZERO);
            if let Some(said) = self.reports.take(number) {
                return said;
            }
            if Instant::now() > deadline {
                return Poisoned::Unknown;
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_io::publisher::Placed;

    use super::*;

    #[test]
    fn a_message_counts_as_put_only_by_the_word_of_the_broker() {
        assert_eq!(said(Some(&Confirmation::Ack(None))), Poisoned::Put);
        assert_eq!(said(Some(&Confirmation::Nack(None))), Poisoned::NotSent);
        assert_eq!(said(Some(&Confirmation::NotRequested)), Poisoned::Unknown);
        assert_eq!(said(None), Poisoned::Unknown);
        let reports = Reports::default();
        let failed = || Err("it is away".to_owned());
        let placed = Ok(Placed { partition: 0, offset: 0 });
        for (outcome, is_refused, said) in [
            (placed, false, Poisoned::Put),
            (failed(), true, Poisoned::NotSent),
            (failed(), false, Poisoned::Unknown),
        ] {
            let sequence = 7;
            let (key, value, is_too_large) = (None, None, false);
            reports.delivered(&Delivery {
                sequence,
                key,
                value,
                outcome,
                is_refused,
                is_too_large,
            });
            assert_eq!(reports.take(7), Some(said));
        }
        assert_eq!(reports.take(7), None, "it is told once");
    }
}
