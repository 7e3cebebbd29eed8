//! Asks where partitions end and what a group has committed, without reading or joining.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;

use crate::member::{self, AskError, Committed};

/// Bounds of partitions as a reader of uncommitted records sees them: everything that was
/// ever acknowledged lies below the end it tells. May be asked from several threads.
pub struct Ends {
    consumer: BaseConsumer,
}

impl Ends {
    /// Makes a handle; it connects when it is asked.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub fn new(config: &ClientConfig) -> KafkaResult<Self> {
        let mut config = quiet(config);
        config.set("isolation.level", "read_uncommitted").set("enable.auto.commit", "false");
        Ok(Self { consumer: config.create()? })
    }

    /// Start and end (exclusive) of one partition. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn bounds(
        &self,
        topic: &str,
        partition: i32,
        limit: Duration,
    ) -> Result<(i64, i64), AskError> {
        drain(&self.consumer);
        self.consumer.fetch_watermarks(topic, partition, limit).map_err(|e| AskError::of(&e))
    }

    /// Ends of all partitions of a topic.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time for any of them.
    pub fn of_topic(
        &self,
        topic: &str,
        partitions: i32,
        limit: Duration,
    ) -> Result<Vec<i64>, AskError> {
        (0..partitions).map(|p| self.bounds(topic, p, limit).map(|(_, end)| end)).collect()
    }
}

/// Settings of a handle that is not polled: what it reports would pile up unread.
fn quiet(config: &ClientConfig) -> ClientConfig {
    let mut config = config.clone();
    config.remove("statistics.interval.ms");
    config.remove("debug");
    config.set_log_level(RDKafkaLogLevel::Error);
    config
}

/// Reads the few errors that a handle has reported.
fn drain(consumer: &BaseConsumer) {
    for _ in 0..EVENTS_MAX {
        if consumer.poll(Duration::ZERO).is_none() {
            break;
        }
    }
}

/// Events read at one go.
const EVENTS_MAX: usize = 64;

/// Committed offsets of a group, read from outside of it.
pub struct GroupOffsets {
    consumer: BaseConsumer,
}

impl GroupOffsets {
    /// Makes a handle; it connects when it is asked.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub fn new(config: &ClientConfig, group: &str) -> KafkaResult<Self> {
        let mut config = quiet(config);
        config
            .set("group.id", group)
            .set("isolation.level", "read_committed") // librdkafka asks for stable offsets only then
            .set("enable.auto.commit", "false");
        Ok(Self { consumer: config.create()? })
    }

    /// What the group has committed for `(topic, partition)` pairs, in their order.
    ///
    /// # Errors
    ///
    /// Fails while a transaction over these offsets is undecided, or without an answer.
    pub fn committed(
        &self,
        partitions: &[(&str, i32)],
        limit: Duration,
    ) -> Result<Vec<Committed>, AskError> {
        drain(&self.consumer);
        member::committed(&self.consumer, partitions, limit)
    }
}
