//! Apache Kafka in KRaft mode: one broker, or three that elect and replicate.

mod settings;
mod storage;

use std::path::PathBuf;

use crate::java::{LASTING_ARGS, QUICK_ARGS, args_or};
use crate::node::{create_dir, write};
use crate::process::Launch;
use crate::{
    Jars, JavaTools, Lifetime, Node, Ports, Probe, Program, Programs, Server, StackError,
    class_archive, ports,
};

/// A listener beside the plain one, such as SASL_SSL or one that is advertised at a proxy.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its name, in capitals.
    pub name: String,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`; what that needs is given as `properties`.
    pub protocol: String,
    /// The `host:port` that clients are told, one for each broker; empty: 127.0.0.1 and its own port.
    pub advertised: Vec<String>,
}

/// How Kafka is started.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// Where its data, configuration and logs lie. Data that lies there is used again.
    pub dir: PathBuf,
    /// 1 or 3.
    pub brokers: u16,
    /// The well-known port is 9092; of three brokers also 9093 and 9094.
    pub ports: Ports,
    /// Lines of `server.properties`, `key=value`; they replace the defaults.
    pub properties: Vec<String>,
    /// Listeners beside the plain one, each on a free port per broker.
    pub listeners: Vec<Listener>,
    /// Names and passwords of users for SCRAM-SHA-512, made with the storage.
    pub scram_users: Vec<(String, String)>,
    /// Its life.
    pub lifetime: Lifetime,
    /// Arguments of its virtual machines for their memory, and for everything else; empty: ours.
    pub heap_args: Vec<String>,
    /// See `heap_args`.
    pub machine_args: Vec<String>,
    /// Whether an owned one is to run at full speed, as a detached one does, and not just to start quickly.
    pub is_measured: bool,
}

impl KafkaConfig {
    /// Returns one owned broker on a free port with its data in `dir`.
    #[must_use]
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            brokers: 1,
            ports: Ports::Free,
            properties: Vec::new(),
            listeners: Vec::new(),
            scram_users: Vec::new(),
            lifetime: Lifetime::Owned,
            heap_args: Vec::new(),
            machine_args: Vec::new(),
            is_measured: false,
        }
    }
}

impl KafkaConfig {
    /// Returns whether it is to start quickly, as a broker of a test, which lives for seconds.
    const fn is_quick(&self) -> bool {
        matches!(self.lifetime, Lifetime::Owned) && !self.is_measured
    }

    /// Returns how many brokers the cluster has whose data lies in the folder; `None` where there is none.
    #[must_use]
    pub fn brokers_there(&self) -> Option<u16> {
        storage::brokers_there(self)
    }
}

/// The ports of one broker.
#[derive(Debug)]
struct BrokerPorts {
    plain: u16,
    controller: u16,
    extra: Vec<u16>,
}

/// A running Kafka; each broker is a node.
#[derive(Debug)]
pub struct KafkaServer {
    brokers: Vec<Node>,
    ports: Vec<BrokerPorts>,
    listeners: Vec<Listener>,
    tools: JavaTools,
}

impl KafkaServer {
    /// Starts Kafka and waits until every broker answers and knows all the others.
    ///
    /// # Errors
    /// When a program is missing, the jars cannot be fetched, or a broker does not come up.
    pub fn start(config: KafkaConfig) -> Result<Self, StackError> {
        if !matches!(config.brokers, 1 | 3) {
            let value = config.brokers.to_string();
            return Err(StackError::Setting { setting: "brokers", value, rule: "give 1 or 3" });
        }
        let programs = Programs::from_env();
        let jars = Jars::ensure(&programs, &|_| ())?;
        if let Lifetime::Detached(_) = config.lifetime {
            let java = programs.find(Program::Java)?;
            // Without it a start takes longer; what keeps this server from starting is told just below.
            let _made = class_archive::ensure(jars.dir(), "kafka", &java, |dir, args| {
                let config = KafkaConfig { is_measured: true, ..KafkaConfig::in_dir(dir) };
                Self::start_as(config, &programs, &jars, &args).map(|mut it| it.stop())
            });
        }
        Self::start_as(config, &programs, &jars, &[])
    }

    /// Starts it with `args` for its virtual machines.
    fn start_as(
        config: KafkaConfig,
        programs: &Programs,
        jars: &Jars,
        args: &[String],
    ) -> Result<Self, StackError> {
        let config = KafkaConfig { dir: create_dir(&config.dir)?, ..config };
        let tools = JavaTools::new(programs, jars, &config.dir)?;
        let cluster_id = storage::cluster_id(&config)?;
        config.ports.retry(|| {
            let mut server = Self::prepare(&config, programs, jars, &tools, &cluster_id, args)?;
            server.start_again()?;
            Ok(server)
        })
    }

    fn prepare(
        config: &KafkaConfig,
        programs: &Programs,
        jars: &Jars,
        tools: &JavaTools,
        cluster_id: &str,
        java_args: &[String],
    ) -> Result<Self, StackError> {
        let ports = (0..config.brokers)
            .map(|broker| {
                let inner = |purpose: &str| {
                    config.ports.choose_inner(&format!("kafka-{} {purpose}", broker + 1))
                };
                let extra = config
                    .listeners
                    .iter()
                    .map(|listener| inner(&listener.name))
                    .collect::<Result<_, _>>()?;
                let plain = config.ports.choose("kafka", 9092 + broker)?;
                Ok(BrokerPorts { plain, controller: inner("controller")?, extra })
            })
            .collect::<Result<Vec<_>, StackError>>()?;
        let mut brokers = Vec::new();
        for id in 1..=config.brokers {
            let dir = create_dir(&config.dir.join(format!("broker-{id}")))?;
            let properties = settings::server_properties(config, &ports, id, &dir);
            write(&dir.join("server.properties"), &properties)?;
            write(&dir.join("log4j2.properties"), &settings::logging(config))?;
            let heap = if config.brokers == 1 { "-Xmx768m" } else { "-Xmx384m" };
            let logging = "-Dlog4j2.configurationFile=log4j2.properties";
            let quick = if config.is_quick() { QUICK_ARGS } else { LASTING_ARGS };
            let heap = args_or(&config.heap_args, &[heap]);
            let machine = args_or(&config.machine_args, quick);
            let machine = machine.iter().chain(java_args).chain(tools.archive_args()).chain(&heap);
            let broker = [logging, "-cp", tools.classpath(), "kafka.Kafka", "server.properties"];
            let args = machine.map(String::as_str).chain(broker);
            let launch = Launch::new(programs.find(Program::Java)?, args, dir);
            let probe = Probe::Kafka { port: ports[usize::from(id) - 1].plain, brokers: 1 };
            brokers.push(Node::new(
                "kafka",
                &format!("kafka-{id}"),
                launch,
                probe,
                config.lifetime.clone(),
            ));
        }
        storage::format(config, jars, tools, cluster_id)?;
        Ok(Self { brokers, ports, listeners: config.listeners.clone(), tools: tools.clone() })
    }

    /// Returns the plain listeners of all brokers, separated by commas.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.ports.iter().map(|broker| ports::address(broker.plain)).collect::<Vec<_>>().join(",")
    }

    /// Returns the addresses of the extra listener `name`, separated by commas, or `None` if there is no such listener.
    #[must_use]
    pub fn listener_address(&self, name: &str) -> Option<String> {
        let index = self.listeners.iter().position(|listener| listener.name == name)?;
        Some(
            self.ports
                .iter()
                .map(|broker| ports::address(broker.extra[index]))
                .collect::<Vec<_>>()
                .join(","),
        )
    }

    /// Returns the brokers; the first has id 1.
    #[must_use]
    pub fn brokers(&self) -> &[Node] {
        &self.brokers
    }

    /// Returns the broker with `id`, counted from 1, to kill or restart it alone.
    ///
    /// # Panics
    /// When there is no such broker.
    pub fn broker_mut(&mut self, id: usize) -> &mut Node {
        &mut self.brokers[id - 1]
    }

    /// Returns Kafka's Java tools.
    #[must_use]
    pub fn tools(&self) -> &JavaTools {
        &self.tools
    }
}

impl Server for KafkaServer {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn address(&self) -> String {
        self.bootstrap_servers()
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let classpath = self.tools.classpath().to_owned();
        vec![("KAFKA_BOOTSTRAP_SERVERS", self.bootstrap_servers()), ("KAFKA_CLASSPATH", classpath)]
    }

    fn nodes(&self) -> &[Node] {
        &self.brokers
    }

    fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.brokers
    }

    /// Waits until every broker knows all of them: topics with three replicas can be made at once.
    fn after_start(&mut self) -> Result<(), StackError> {
        let brokers = self.brokers.len();
        self.brokers.iter_mut().try_for_each(|broker| {
            let probe = Probe::Kafka { port: broker.port(), brokers };
            broker.await_answer(&probe)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_brokers_are_refused() {
        let error =
            KafkaServer::start(KafkaConfig { brokers: 2, ..KafkaConfig::in_dir("/nowhere") })
                .unwrap_err();
        assert_eq!(error.to_string(), "brokers=2 is not possible: give 1 or 3");
    }
}
