//! Asks where partitions start and end, without reading or joining anything.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;

use crate::member::{self, AskError, Committed};

/// A handle for questions. It sees uncommitted records, so that everything that was ever
/// acknowledged lies below the end it tells.
pub struct Ends {
    consumer: BaseConsumer,
}

impl Ends {
    /// Makes a handle; it connects when it is asked.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub fn new(config: &ClientConfig, group: &str) -> KafkaResult<Self> {
        let mut config = config.clone();
        config.set("group.id", group).set("enable.auto.commit", "false");
        config.set("isolation.level", "read_uncommitted");
        Ok(Self { consumer: config.create()? })
    }

    /// Start and end (exclusive) of one partition. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn bounds(&self, topic: &str, partition: i32, limit: Duration) -> Result<(i64, i64), AskError> {
        self.consumer.fetch_watermarks(topic, partition, limit).map_err(|e| AskError::of(&e))
    }

    /// What the group has committed for `(topic, partition)` pairs, in their order.
    ///
    /// # Errors
    ///
    /// Fails while a transaction over these offsets is undecided, or without an answer.
    pub fn committed(&self, partitions: &[(&str, i32)], limit: Duration) -> Result<Vec<Committed>, AskError> {
        member::committed(&self.consumer, partitions, limit)
    }

    /// Ends of all partitions of a topic.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time for any of them.
    pub fn of_topic(&self, topic: &str, partitions: i32, limit: Duration) -> Result<Vec<i64>, AskError> {
        (0..partitions).map(|p| self.bounds(topic, p, limit).map(|(_, end)| end)).collect()
    }
}
