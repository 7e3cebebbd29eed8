//! The servers that a test talks to: those of the whole run, or its own.

use kafka_io::ClientConfig;
use kafka_io::client_config::{KafkaSettings, Role as HandleRole};
use stack::{KafkaConfig, KafkaServer, RegistryConfig, RegistryServer, Server as _};
use tempfile::TempDir;

use crate::pipeline::{Pipeline, Role};

/// Addresses of Kafka and the schema registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// Brokers, `host:port` separated by commas.
    pub bootstrap_servers: String,
    /// Base address of the registry.
    pub registry_url: String,
}

impl Servers {
    /// librdkafka's settings for a handle of the test itself.
    pub(crate) fn config(&self, role: HandleRole) -> ClientConfig {
        KafkaSettings::new("testkit", &self.bootstrap_servers, Vec::new())
            .expect("brokers are named")
            .base(role)
    }
}

/// Kafka and a registry; what was started here ends with it.
pub struct Cluster {
    servers: Servers,
    kafka: Option<KafkaServer>,
    registry: Option<RegistryServer>,
    // Last: the servers end before their data goes.
    dir: Option<TempDir>,
}

impl Cluster {
    /// The servers named by `KAFKA_BOOTSTRAP_SERVERS` and `SCHEMA_REGISTRY_URL`.
    ///
    /// # Panics
    ///
    /// Panics when one is not named: a test is never skipped.
    pub fn shared() -> Self {
        let servers = Servers {
            bootstrap_servers: variable("KAFKA_BOOTSTRAP_SERVERS"),
            registry_url: variable("SCHEMA_REGISTRY_URL"),
        };
        Self { servers, kafka: None, registry: None, dir: None }
    }

    /// A broker of its own with these lines of `server.properties`, and the shared registry.
    ///
    /// # Panics
    ///
    /// Panics when it does not start.
    pub fn own_kafka(properties: &[&str]) -> Self {
        let dir = TempDir::with_prefix("testkit-kafka-").expect("a directory");
        let properties = properties.iter().map(|line| (*line).to_owned()).collect();
        let config = KafkaConfig { properties, ..KafkaConfig::in_dir(dir.path().join("kafka")) };
        let kafka = KafkaServer::start(config).expect("Kafka starts");
        let servers = Servers {
            bootstrap_servers: kafka.bootstrap_servers(),
            registry_url: variable("SCHEMA_REGISTRY_URL"),
        };
        Self { servers, kafka: Some(kafka), registry: None, dir: Some(dir) }
    }

    /// A broker and a registry of its own.
    ///
    /// # Panics
    ///
    /// Panics when one does not start.
    pub fn own() -> Self {
        let mut cluster = Self::own_kafka(&[]);
        let dir = cluster.dir.as_ref().expect("made just now").path().join("registry");
        let registry = RegistryServer::start(RegistryConfig::in_dir(dir)).expect("a registry");
        cluster.servers.registry_url = registry.url();
        cluster.registry = Some(registry);
        cluster
    }

    /// Addresses.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// The test's own Kafka.
    ///
    /// # Panics
    ///
    /// Panics for the shared one, which other tests use.
    pub fn kafka(&mut self) -> &mut KafkaServer {
        self.kafka.as_mut().expect("only a Kafka of the test's own is touched")
    }

    /// The test's own registry.
    ///
    /// # Panics
    ///
    /// Panics for the shared one, which other tests use.
    pub fn registry(&mut self) -> &mut RegistryServer {
        self.registry.as_mut().expect("only a registry of the test's own is touched")
    }

    /// Stalls the test's own Kafka: its connections stay open, and nothing is answered.
    pub fn pause_kafka(&mut self) {
        self.kafka().pause();
    }

    /// Lets a stalled Kafka go on.
    pub fn resume_kafka(&mut self) {
        self.kafka().resume();
    }

    /// Kills the test's own Kafka: connections are refused.
    pub fn kill_kafka(&mut self) {
        self.kafka().kill_9();
    }

    /// Starts the test's own Kafka on the same port and data, and waits until it answers.
    ///
    /// # Panics
    ///
    /// Panics when it does not start.
    pub fn restart_kafka(&mut self) {
        self.kafka().restart().expect("Kafka starts again");
    }

    /// Names of a pipeline that nobody else uses; nothing is made.
    pub fn names(&self, partitions: i32) -> Pipeline {
        Pipeline::with_random_names(self.servers.clone(), partitions)
    }

    /// A pipeline of its own with all topics as the contract wants them.
    pub fn pipeline(&self, partitions: i32) -> Pipeline {
        self.pipeline_with(partitions, &[])
    }

    /// As [`Self::pipeline`], with further settings of some topics.
    pub fn pipeline_with(&self, partitions: i32, changes: &[(Role, &str, &str)]) -> Pipeline {
        let pipeline = self.names(partitions);
        pipeline.create_all(changes);
        pipeline
    }
}

/// An environment variable that the servers' start sets.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run `make test`, or start servers with `cargo run --bin stack -- up` \
             and load the env file that it writes"
        )
    })
}
