//! Invalid messages, put where each paradigm may meet them: in a request over HTTP, else in the queue or topic of orders.

use std::fmt;
use std::time::Duration;

use kafka_io::client_config::KafkaSettings;
use kafka_io::publisher::{Delivery, DeliveryObserver, Publisher};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel};

/// Bytes that are neither JSON nor a framed record.
const GARBAGE: &[u8] = b"\x7fnot an order";
/// Routing key of placed orders.
const ORDER_PLACED: &str = "order.placed";
/// How long librdkafka tries.
const DELIVERY_MAX: Duration = Duration::from_secs(10);

/// Where it is put.
pub enum Poison {
    /// As the body of a request.
    OverHttp(String),
    /// Into the queue of placed orders, through this exchange.
    Rabbit(Channel, String),
    /// Into the topic of placed orders.
    Kafka(Box<Publisher<Unheard>>, String),
}

/// Nobody asks what became of it: it is looked for among the dead letters.
#[derive(Debug)]
pub struct Unheard;

impl DeliveryObserver for Unheard {
    fn delivered(&self, _: &Delivery<'_>) {}
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
        let publisher =
            Publisher::new(settings, DELIVERY_MAX, Unheard).map_err(|e| e.to_string())?;
        Ok(Self::Kafka(Box::new(publisher), topic.to_owned()))
    }

    /// Puts one behind the door.
    pub(crate) async fn put(&self) -> Result<(), String> {
        match self {
            Self::OverHttp(_) => Ok(()),
            Self::Rabbit(channel, exchange) => {
                let options = BasicPublishOptions::default();
                let properties = BasicProperties::default().with_delivery_mode(2);
                let put = channel.basic_publish(
                    exchange.as_str().into(),
                    ORDER_PLACED.into(),
                    options,
                    GARBAGE,
                    properties,
                );
                put.await.map(|_confirmation| ()).map_err(|error| error.to_string())
            }
            Self::Kafka(publisher, topic) => {
                let put = publisher.try_publish(topic, None, Some(b"poison"), Some(GARBAGE), 0);
                put.map_err(|error| error.to_string())
            }
        }
    }

    /// Waits until all is out.
    pub fn flush(&self) {
        if let Self::Kafka(publisher, _) = self {
            publisher.flush(DELIVERY_MAX);
        }
    }
}
