//! RabbitMQ with its management interface, and an `epmd` of its own.
//!
//! Erlang nodes register with a port mapper, `epmd`, which otherwise is started as a daemon that nobody stops. Here it is a
//! node of the server, on a port of its own: runs side by side do not meet, and nothing is left behind.

use std::path::{Path, PathBuf};

use crate::node::{create_dir, write};
use crate::process::Launch;
use crate::{Lifetime, Node, Ports, Probe, Program, Programs, Server, StackError, ports};

/// The account that RabbitMQ brings, allowed on this machine only: `guest:guest` in base64.
pub(crate) const GUEST_AUTHORIZATION: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";

/// How RabbitMQ is started.
#[derive(Debug, Clone)]
pub struct RabbitConfig {
    /// Where its data, configuration and logs lie. Durable queues that lie there are found again.
    pub dir: PathBuf,
    /// The well-known ports are 5672 and, for the management interface, 15672.
    pub ports: Ports,
    /// Lines of `rabbitmq.conf`.
    pub settings: Vec<String>,
    /// Its life.
    pub lifetime: Lifetime,
}

impl RabbitConfig {
    /// Returns an owned RabbitMQ on free ports.
    #[must_use]
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            ports: Ports::Free,
            settings: Vec::new(),
            lifetime: Lifetime::Owned,
        }
    }
}

/// A running RabbitMQ.
#[derive(Debug)]
pub struct RabbitServer {
    /// `epmd`, then RabbitMQ.
    nodes: [Node; 2],
    management_port: u16,
}

impl RabbitServer {
    /// Starts RabbitMQ and waits until AMQP and the management interface answer.
    ///
    /// # Errors
    /// When a program is missing or it does not come up.
    pub fn start(config: RabbitConfig) -> Result<Self, StackError> {
        let programs = Programs::from_env();
        programs.require(&[Program::RabbitmqServer, Program::Epmd])?;
        let config = RabbitConfig { dir: create_dir(&config.dir)?, ..config };
        config.ports.retry(|| {
            let mut server = Self::prepare(&config, &programs)?;
            server.start_again()?;
            Ok(server)
        })
    }

    fn prepare(config: &RabbitConfig, programs: &Programs) -> Result<Self, StackError> {
        let dir = &config.dir;
        let port = config.ports.choose("rabbitmq", 5672)?;
        let management_port = config.ports.choose("rabbitmq", 15672)?;
        let inner = |purpose: &str| config.ports.choose_inner(&format!("rabbitmq {purpose}"));
        let (epmd_port, distribution_port, prometheus_port) =
            (inner("epmd")?, inner("distribution")?, inner("prometheus")?);
        let settings = format!(
            "management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management_port}\n\
             prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {prometheus_port}\n{}\n",
            config.settings.join("\n")
        );
        write(&dir.join("rabbitmq.conf"), &settings)?;
        write(&dir.join("enabled_plugins"), "[rabbitmq_management,rabbitmq_prometheus].\n")?;
        write(&dir.join("rabbitmq-env.conf"), "")?;
        create_dir(&dir.join("conf.d"))?;

        let epmd_args = ["-address", "127.0.0.1", "-port", &epmd_port.to_string()];
        let epmd = Launch::new(programs.find(Program::Epmd)?, epmd_args, dir);
        let epmd = Node::new(
            "rabbitmq",
            "epmd",
            epmd,
            Probe::Epmd { port: epmd_port, nodes: 0 },
            config.lifetime.clone(),
        );

        let mut rabbit = Launch::new(programs.find(Program::RabbitmqServer)?, [""; 0], dir);
        rabbit.is_env_cleared = true; // a variable RABBITMQ_… of the caller would change what is started
        rabbit.env = environment(dir, port, distribution_port, epmd_port);
        let probe = Probe::Rabbit { port, management_port };
        let rabbit = Node::new("rabbitmq", "rabbitmq", rabbit, probe, config.lifetime.clone());
        Ok(Self { nodes: [epmd.prerequisite(), rabbit], management_port })
    }

    /// Returns the URL for AMQP clients, for `RABBITMQ_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.address())
    }

    /// Returns the URL of the management interface; the account is `guest`, password `guest`.
    #[must_use]
    pub fn management_url(&self) -> String {
        format!("http://{}", ports::address(self.management_port))
    }
}

/// Returns the whole environment of RabbitMQ: everything that it would otherwise look for in `/etc` and `/var`.
fn environment(
    dir: &Path,
    port: u16,
    distribution_port: u16,
    epmd_port: u16,
) -> Vec<(String, std::ffi::OsString)> {
    let path = |name: &str| dir.join(name).into_os_string();
    vec![
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
        ("LANG", "C.UTF-8".into()),
        ("HOME", dir.as_os_str().to_owned()), // of the cookie
        ("ERL_EPMD_PORT", epmd_port.to_string().into()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
        ("RABBITMQ_NODENAME", "rabbit@localhost".into()),
        ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".into()),
        ("RABBITMQ_NODE_PORT", port.to_string().into()),
        ("RABBITMQ_DIST_PORT", distribution_port.to_string().into()),
        ("RABBITMQ_MNESIA_BASE", path("data")),
        ("RABBITMQ_LOG_BASE", path("log")),
        ("RABBITMQ_LOGS", "-".into()), // to standard output
        ("RABBITMQ_CONF_ENV_FILE", path("rabbitmq-env.conf")),
        ("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf")),
        ("RABBITMQ_CONFIG_FILES", path("conf.d")),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", path("advanced.config")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins")),
        // The script then becomes the server instead of staying above it: one process, one pid.
        ("RABBITMQ_ALLOW_INPUT", "1".into()),
        ("RABBITMQ_SERVER_START_ARGS", "-noinput".into()),
    ]
    .into_iter()
    .map(|(name, value): (&str, std::ffi::OsString)| (name.to_owned(), value))
    .collect()
}

impl Server for RabbitServer {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    fn address(&self) -> String {
        ports::address(self.main_node().port())
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("RABBITMQ_URL", self.url()), ("RABBITMQ_MANAGEMENT_URL", self.management_url())]
    }

    fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }
}
