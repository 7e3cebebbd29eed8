//! A look into the broker's queues, and messages put into them.

use std::time::Duration;

use codec::encode::Encoder;
use codec::registry::{Registration, Registry, RegistrySettings};
use codec::scalar::{AvroRecord, Fields};
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use testkit::http;
use tokio::time::timeout;

use crate::rig::{Rig, SETTLE, SOON, variable};

/// Longest wait for the goodbye of a connection.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// A message of a queue.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) body: Vec<u8>,
    pub(crate) properties: BasicProperties,
}

/// What becomes of messages that were got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Take,
    Leave,
}

impl Seen {
    /// A header, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let headers = self.properties.headers().as_ref()?;
        let value = headers.inner().get(name)?.as_long_string()?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

impl Rig {
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Does something on a channel with confirmations.
    pub(crate) fn amqp<T>(&self, work: impl AsyncFnOnce(Channel) -> lapin::Result<T>) -> T {
        let all = async {
            let connection =
                Connection::connect(&self.own_url, ConnectionProperties::default()).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            let done = work(channel).await;
            // Its channel closes by itself at the same time, which may be reported as an error,
            // or not at all.
            let _ = timeout(CLOSE_MAX, connection.close(200, "done".into())).await;
            done
        };
        let done = self.runtime.block_on(async { timeout(SOON, all).await });
        let done: lapin::Result<T> = done.expect("an answer in time");
        done.expect("the broker answers")
    }

    /// Copies every decision of inventory from now on into a queue of the test. A broker that may be
    /// killed is given the time to note it: nothing shows when it has.
    pub(crate) fn listen(&self) {
        let (queue, exchange) = (self.queue("audit"), self.prefix.clone());
        self.amqp(async |channel| {
            let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await?;
            let key = "inventory.decided".into();
            let (queue, exchange) = (queue.as_str().into(), exchange.as_str().into());
            let options = QueueBindOptions::default();
            channel.queue_bind(queue, exchange, key, options, FieldTable::default()).await
        });
        if self.has_own_broker() {
            std::thread::sleep(SETTLE);
        }
    }

    /// Puts a message into a queue, or to an exchange.
    pub(crate) fn publish(&self, exchange: &str, key: &str, body: &[u8]) {
        self.publish_with(exchange, key, body, &BasicProperties::default());
    }

    /// Puts a message with properties into a queue, or to an exchange.
    pub(crate) fn publish_with(
        &self,
        exchange: &str,
        key: &str,
        body: &[u8],
        properties: &BasicProperties,
    ) {
        self.amqp(async |channel| {
            let (options, properties) = (BasicPublishOptions::default(), properties.clone());
            let sent = channel
                .basic_publish(exchange.into(), key.into(), options, body, properties)
                .await?;
            sent.await.map(|_| ())
        });
    }

    /// Puts many messages into a queue, or to an exchange, over one channel.
    pub(crate) fn publish_all(&self, exchange: &str, key: &str, bodies: &[Vec<u8>]) {
        self.amqp(async |channel| {
            let mut sent = Vec::with_capacity(bodies.len());
            for body in bodies {
                let options = BasicPublishOptions::default();
                let (exchange, key) = (exchange.into(), key.into());
                let properties = BasicProperties::default();
                sent.push(channel.basic_publish(exchange, key, options, body, properties).await?);
            }
            for confirmation in sent {
                confirmation.await?;
            }
            Ok(())
        });
    }

    /// A value as it stands in a message.
    pub(crate) fn framed<T: AvroRecord>(&self, key: &str, value: &impl Fields<T>) -> Vec<u8> {
        let settings = RegistrySettings::new(&variable("SCHEMA_REGISTRY_URL")).expect("a URL");
        let registry = Registry::new(settings).expect("a registry");
        let subject = format!("{}.{key}-value", self.prefix);
        let encoder = Encoder::<T>::connect(&registry, &subject, Registration::Register);
        let encoder = self.block_on(encoder).expect("a schema");
        let mut bytes = Vec::new();
        encoder.encode_into(&mut bytes, value);
        bytes
    }

    /// Takes everything out of a queue.
    pub(crate) fn take_all(&self, queue: &str) -> Vec<Seen> {
        self.get_all(queue, Then::Take)
    }

    /// Looks at everything in a queue, where it stays.
    pub(crate) fn look(&self, queue: &str) -> Vec<Seen> {
        self.get_all(queue, Then::Leave)
    }

    /// Everything that has been in a queue which only the test reads.
    pub(crate) fn seen(&self, queue: &str) -> Vec<Seen> {
        let mut all = self.seen.lock().expect("nobody panicked");
        let seen = all.entry(queue.to_owned()).or_default();
        seen.extend(self.take_all(queue));
        seen.clone()
    }

    fn get_all(&self, queue: &str, then: Then) -> Vec<Seen> {
        let name = self.queue(queue);
        self.amqp(async |channel| {
            let mut seen = Vec::new();
            while let Some(message) =
                channel.basic_get(name.as_str().into(), BasicGetOptions::default()).await?
            {
                // What is not acknowledged goes back with the end of the channel.
                if then == Then::Take {
                    message.delivery.acker.ack(BasicAckOptions::default()).await?;
                }
                let properties = message.delivery.properties.clone();
                seen.push(Seen { body: message.delivery.data, properties });
            }
            Ok(seen)
        })
    }

    /// Messages in a queue that nobody has in hand.
    pub(crate) fn depth(&self, queue: &str) -> u32 {
        let name = self.queue(queue);
        self.amqp(async |channel| {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let found = channel.queue_declare(name.as_str().into(), options, FieldTable::default());
            Ok(found.await?.message_count())
        })
    }

    /// As [`Rig::depth`]; `None` if there is no such queue.
    pub(crate) fn depth_if_any(&self, queue: &str) -> Option<u32> {
        let name = self.queue(queue);
        self.amqp(async |channel| {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let found = channel.queue_declare(name.as_str().into(), options, FieldTable::default());
            match found.await {
                Ok(found) => Ok(Some(found.message_count())),
                Err(error) if error.is_amqp_soft_error() => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// What the management interface says: of `queues/%2F`, or of one queue, or its bindings.
    pub(crate) fn managed(&self, path: &str) -> serde_json::Value {
        let url = variable("RABBITMQ_MANAGEMENT_URL");
        let address = url.strip_prefix("http://").expect("an address");
        // guest:guest
        let headers = [("authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=")];
        let path = format!("/api/{path}");
        let answer = http::request(address, "GET", &path, &headers, b"").expect("an answer");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }
}
