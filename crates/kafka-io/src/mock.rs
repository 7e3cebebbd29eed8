//! Kafka inside this process: librdkafka's mock cluster, for the demo.
//!
//! It speaks the real protocol on free ports of this machine and is gone when it is dropped.
//! What it cannot do: make topics by request, tell or change settings, and above all
//! transactions (it shows aborted records and drops transactional offsets), so nothing that
//! runs on it is evidence for exactly-once.

use rdkafka::error::KafkaResult;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// Copies of each partition: brokers of one process fail together anyway.
const REPLICAS: i32 = 1;

/// A running mock cluster; it stops when it is dropped, which clients should not live to see.
pub struct MockKafka {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl MockKafka {
    /// Starts so many brokers. They answer when this returns.
    ///
    /// # Errors
    ///
    /// Fails if no port can be opened.
    pub fn start(brokers: i32) -> KafkaResult<Self> {
        Ok(Self { cluster: MockCluster::new(brokers)? })
    }

    /// Makes a topic.
    ///
    /// # Errors
    ///
    /// Fails if it exists already.
    pub fn create_topic(&self, name: &str, partitions: i32) -> KafkaResult<()> {
        self.cluster.create_topic(name, partitions, REPLICAS)
    }

    /// Addresses of the brokers, separated by commas, for `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}
