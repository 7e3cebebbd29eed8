//! Kafka inside this process: librdkafka's mock cluster, for the demo.
//!
//! It speaks the real protocol on free ports of this machine and is gone when it is dropped.
//! What it cannot do: make topics by request, tell or change settings, and above all
//! transactions (it shows aborted records and drops transactional offsets), so nothing that
//! runs on it is evidence for exactly-once.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer as _};
use rdkafka::types::RDKafkaErrorCode;

use crate::native;

/// Copies of each partition: brokers of one process fail together anyway.
const REPLICAS: i32 = 1;

/// How long a group waits for more members once the first has joined; 3 s where nothing is said.
const JOIN_WAIT: Duration = Duration::from_millis(100);

/// A running mock cluster; it stops when it is dropped, which clients should not live to see.
pub struct MockKafka {
    /// The cluster is a part of it; it sends nothing.
    client: BaseProducer,
}

impl MockKafka {
    /// Starts so many brokers. They answer when this returns.
    ///
    /// # Errors
    ///
    /// Fails if no port can be opened.
    pub fn start(brokers: i32) -> KafkaResult<Self> {
        let client: BaseProducer =
            ClientConfig::new().set("test.mock.num.brokers", brokers.to_string()).create()?;
        native::set_join_wait_of_mock(client.client(), JOIN_WAIT);
        Ok(Self { client })
    }

    /// Makes a topic.
    ///
    /// # Errors
    ///
    /// Fails if it exists already.
    pub fn create_topic(&self, name: &str, partitions: i32) -> KafkaResult<()> {
        self.cluster()?.create_topic(name, partitions, REPLICAS)
    }

    /// Refuses the next questions for offsets, one for each error.
    #[cfg(test)]
    pub(crate) fn refuse_offsets(&self, errors: &[rdkafka::types::RDKafkaRespErr]) {
        let cluster = self.cluster().expect("it runs");
        cluster.request_errors(rdkafka::types::RDKafkaApiKey::ListOffsets, errors);
    }

    /// Addresses of the brokers, separated by commas, for `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> String {
        self.cluster().map(|cluster| cluster.bootstrap_servers()).unwrap_or_default()
    }

    fn cluster(&self) -> KafkaResult<MockCluster<'_, DefaultProducerContext>> {
        let cluster = self.client.client().mock_cluster();
        cluster.ok_or(KafkaError::MockCluster(RDKafkaErrorCode::Fail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_config::cluster_id;

    #[test]
    fn the_id_of_a_cluster_tells_that_it_only_pretends() {
        let mock = MockKafka::start(1).expect("a port");
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", mock.bootstrap_servers());
        let id = cluster_id(&config, Duration::from_secs(20)).expect("an answer");
        assert!(id.starts_with("mockCluster"), "{id}");
        config.set("bootstrap.servers", "127.0.0.1:1");
        assert_eq!(cluster_id(&config, Duration::from_millis(200)), None);
    }
}
