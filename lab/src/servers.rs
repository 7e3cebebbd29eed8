//! The servers of a comparison, started through `stack` in a folder of its own: they end with the lab, however that
//! ends.

use std::path::Path;

use service_kit::exit::AppError;
use stack::{
    KafkaConfig, KafkaServer, RabbitConfig, RabbitServer, RegistryConfig, RegistryServer, Server,
    StackError,
};

use crate::proc::{Part, Processes};
use crate::workload::{Paradigm, WorkloadFile};

/// Where every client finds a broker that the lab has not started.
const NOBODY: &str = "127.0.0.1:1";

/// The servers that the paradigms need.
#[derive(Debug)]
pub struct Servers {
    kafka: Option<KafkaServer>,
    registry: Option<RegistryServer>,
    rabbit: Option<RabbitServer>,
}

impl Servers {
    /// Starts what the paradigms of a file need, all at once.
    ///
    /// # Errors
    ///
    /// Fails with what is not installed, or does not come up.
    pub fn start(dir: &Path, file: &WorkloadFile) -> Result<Self, AppError> {
        let has = |paradigm| file.paradigms.contains(&paradigm);
        let kafka = KafkaConfig {
            brokers: file.kafka_brokers,
            is_measured: true,
            ..KafkaConfig::in_dir(dir.join("kafka"))
        };
        let registry = RegistryConfig::in_dir(dir.join("registry"));
        let rabbit = RabbitConfig {
            nodes: file.rabbitmq_nodes,
            ..RabbitConfig::in_dir(dir.join("rabbitmq"))
        };
        let needs_registry = has(Paradigm::Rabbit) || has(Paradigm::Streaming);
        std::thread::scope(|scope| {
            let kafka = has(Paradigm::Streaming).then(|| scope.spawn(|| KafkaServer::start(kafka)));
            let registry = needs_registry.then(|| scope.spawn(|| RegistryServer::start(registry)));
            let rabbit = has(Paradigm::Rabbit).then(|| scope.spawn(|| RabbitServer::start(rabbit)));
            Ok(Self { kafka: joined(kafka)?, registry: joined(registry)?, rabbit: joined(rabbit)? })
        })
    }

    /// Where Kafka is.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.kafka.as_ref().map_or_else(|| NOBODY.to_owned(), KafkaServer::bootstrap_servers)
    }

    /// Where RabbitMQ is: each of its nodes.
    #[must_use]
    pub fn rabbit_urls(&self) -> Vec<String> {
        let nobody = || vec![format!("amqp://guest:guest@{NOBODY}/%2f")];
        self.rabbit.as_ref().map_or_else(nobody, RabbitServer::urls)
    }

    /// Where RabbitMQ's management interface is, where there is one.
    #[must_use]
    pub fn rabbit_management_url(&self) -> Option<String> {
        self.rabbit.as_ref().map(RabbitServer::management_url)
    }

    /// Where the schema registry is.
    #[must_use]
    pub fn registry_url(&self) -> String {
        self.registry.as_ref().map_or_else(|| format!("http://{NOBODY}"), RegistryServer::url)
    }

    /// Java classes of Kafka, where it runs: their names have its version.
    #[must_use]
    pub fn kafka_classpath(&self) -> Option<String> {
        self.kafka.as_ref().map(|kafka| kafka.tools().classpath().to_owned())
    }

    /// The process of Kafka's first broker, where it runs.
    #[must_use]
    pub fn kafka_pid(&self) -> Option<u32> {
        let first = self.kafka.as_ref()?.nodes().first()?;
        first.process().map(|process| process.pid)
    }

    fn broker_of(&mut self, paradigm: Paradigm) -> Option<&mut dyn Server> {
        match paradigm {
            Paradigm::SyncRest => None,
            Paradigm::Rabbit => self.rabbit.as_mut().map(|server| server as &mut dyn Server),
            Paradigm::Streaming => self.kafka.as_mut().map(|server| server as &mut dyn Server),
        }
    }

    /// Adds the processes of a paradigm's broker.
    pub fn add_to(&mut self, processes: &Processes, paradigm: Paradigm, is_new: bool) {
        let Some(server) = self.broker_of(paradigm) else { return };
        for process in server.nodes().iter().filter_map(|node| node.process()) {
            processes.add(process.pid, Part::Broker, is_new);
        }
    }

    /// Stops the broker of a paradigm in order, starts it, and waits until it answers. Returns whether there is one.
    ///
    /// # Errors
    ///
    /// Fails if it does not come up.
    pub fn restart_broker(&mut self, paradigm: Paradigm) -> Result<bool, String> {
        let Some(server) = self.broker_of(paradigm) else { return Ok(false) };
        server.restart().map(|()| true).map_err(|error| error.to_string())
    }
}

type Starting<'a, T> = std::thread::ScopedJoinHandle<'a, Result<T, StackError>>;

fn joined<T>(starting: Option<Starting<'_, T>>) -> Result<Option<T>, AppError> {
    let Some(starting) = starting else { return Ok(None) };
    let started =
        starting.join().map_err(|_panic| AppError::failed("a server's start has failed"))?;
    started.map(Some).map_err(|error| AppError::failed(error.to_string()))
}
