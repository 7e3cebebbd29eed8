//! The servers of the story, inside this process.

use codec::mini_registry::MiniRegistry;
use codec::registry::{Registry, RegistryError, RegistrySettings};
use kafka_io::mock::MockKafka;
use service_kit::exit::AppError;
use tokio::runtime::Handle;

/// Orders.
pub(crate) const ORDERS: &str = "orders";
/// Failed orders that wait for their next attempt.
pub(crate) const RETRY: &str = "orders-retry";
/// Orders that were given up.
pub(crate) const DEAD_LETTERS: &str = "orders-dlq";
/// Running averages.
pub(crate) const AVERAGES: &str = "orders-averages";
/// What every attempt came to.
pub(crate) const OUTCOMES: &str = "orders-outcomes";

/// Partitions of each topic.
pub(crate) const PARTITIONS: i32 = 3;

/// Brokers of the mock cluster: no record is kept twice.
const BROKERS: i32 = 1;

/// A mock Kafka with the topics of the story, and a registry in memory.
pub(crate) struct Servers {
    kafka: MockKafka,
    registry: MiniRegistry,
}

impl Servers {
    /// Starts both; they answer when this returns.
    pub(crate) fn start(runtime: &Handle) -> Result<Self, AppError> {
        let kafka = MockKafka::start(BROKERS)
            .map_err(|error| AppError::failed(format!("the mock Kafka did not start: {error}")))?;
        for topic in [ORDERS, RETRY, DEAD_LETTERS, AVERAGES, OUTCOMES] {
            kafka.create_topic(topic, PARTITIONS).map_err(|error| {
                AppError::failed(format!("the mock Kafka did not create topic {topic}: {error}"))
            })?;
        }
        let registry = runtime
            .block_on(MiniRegistry::start())
            .map_err(|error| AppError::failed(format!("the registry did not start: {error}")))?;
        Ok(Self { kafka, registry })
    }

    /// Addresses of the brokers.
    pub(crate) fn bootstrap_servers(&self) -> String {
        self.kafka.bootstrap_servers()
    }

    /// Address of the registry.
    pub(crate) fn registry_url(&self) -> &str {
        self.registry.url()
    }

    /// A client of the registry.
    pub(crate) fn registry(&self) -> Result<Registry, AppError> {
        RegistrySettings::new(self.registry.url())
            .and_then(Registry::new)
            .map_err(|error| AppError::failed(error.to_string()))
    }
}

/// An error of the registry in this process.
pub(crate) fn registry_failed(error: &RegistryError) -> AppError {
    AppError::failed(format!("the registry in this process: {error}"))
}
