//! The servers that a test talks to: those of the whole run, or its own.

use kafka_io::ClientConfig;
use kafka_io::client_config::{KafkaSettings, Role as HandleRole};
use stack::{KafkaConfig, KafkaServer, Listener, RegistryConfig, RegistryServer, Server as _};
use tempfile::TempDir;

use crate::pipeline::{Pipeline, Role};
use crate::proxy::KafkaProxy;

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
        Self::start(1, properties, Vec::new())
    }

    /// Three brokers of its own that replicate everything, and the shared registry.
    ///
    /// # Panics
    ///
    /// Panics when one does not start.
    pub fn three_brokers(properties: &[&str]) -> Self {
        Self::start(3, properties, Vec::new())
    }

    /// As [`Self::own_kafka`], and a proxy that the clients of [`KafkaProxy::before`] go through.
    /// [`Self::servers`] are the brokers without it.
    ///
    /// # Panics
    ///
    /// Panics when it does not start.
    pub fn behind_proxy(properties: &[&str]) -> (Self, KafkaProxy) {
        let (cluster, mut proxies) = Self::behind_proxies(1, properties);
        (cluster, proxies.remove(0))
    }

    /// As [`Self::three_brokers`], and a proxy in front of each of them.
    ///
    /// # Panics
    ///
    /// Panics when one does not start.
    pub fn three_behind_proxies(properties: &[&str]) -> (Self, Vec<KafkaProxy>) {
        Self::behind_proxies(3, properties)
    }

    fn behind_proxies(brokers: u16, properties: &[&str]) -> (Self, Vec<KafkaProxy>) {
        let proxies: Vec<KafkaProxy> = (0..brokers).map(|_| KafkaProxy::bind()).collect();
        let listener = Listener {
            name: "PROXIED".to_owned(),
            protocol: "PLAINTEXT".to_owned(),
            advertised: proxies.iter().map(KafkaProxy::address).collect(),
        };
        let cluster = Self::start(brokers, properties, vec![listener]);
        let kafka = cluster.kafka.as_ref().expect("started just now");
        let addresses = kafka.listener_address("PROXIED").expect("it has this listener");
        for (proxy, address) in proxies.iter().zip(addresses.split(',')) {
            proxy.lead_to(address);
        }
        (cluster, proxies)
    }

    fn start(brokers: u16, properties: &[&str], listeners: Vec<Listener>) -> Self {
        let dir = TempDir::with_prefix("testkit-kafka-").expect("a directory");
        let properties = properties.iter().map(|line| (*line).to_owned()).collect();
        let config = KafkaConfig::in_dir(dir.path().join("kafka"));
        let config = KafkaConfig { brokers, properties, listeners, ..config };
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
        Self::own_kafka(&[]).with_own_registry()
    }

    /// The shared broker, and a registry of its own.
    ///
    /// # Panics
    ///
    /// Panics when it does not start.
    pub fn own_registry() -> Self {
        let bootstrap_servers = variable("KAFKA_BOOTSTRAP_SERVERS");
        let servers = Servers { bootstrap_servers, registry_url: String::new() };
        Self { servers, kafka: None, registry: None, dir: None }.with_own_registry()
    }

    fn with_own_registry(mut self) -> Self {
        let dir = self.dir.take();
        let dir =
            dir.unwrap_or_else(|| TempDir::with_prefix("testkit-registry-").expect("a directory"));
        let config = RegistryConfig::in_dir(dir.path().join("registry"));
        let registry = RegistryServer::start(config).expect("a registry");
        self.servers.registry_url = registry.url();
        (self.registry, self.dir) = (Some(registry), Some(dir));
        self
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
