//! Redis, and Valkey: where there is no Valkey, a second Redis stands in for it (the protocol is the same).

use std::path::PathBuf;

use crate::node::create_dir;
use crate::process::Launch;
use crate::{Lifetime, Node, Ports, Probe, Program, Programs, Server, StackError, ports};

/// Arguments with which each write is on disk before it is answered.
pub const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// How Redis or Valkey is started.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// Where its log lies, and its data if `args` ask for persistence.
    pub dir: PathBuf,
    /// The well-known port is 6379, Valkey's 6380.
    pub ports: Ports,
    /// Arguments behind ours, such as [`DURABLE`]; by default everything is in memory.
    pub args: Vec<String>,
    /// Whether it is to be called Valkey, and to be one where that is installed.
    pub is_valkey: bool,
    /// Its life.
    pub lifetime: Lifetime,
}

impl RedisConfig {
    /// Returns an owned Redis on a free port.
    #[must_use]
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        let (args, lifetime) = (Vec::new(), Lifetime::Owned);
        Self { dir: dir.into(), ports: Ports::Free, args, is_valkey: false, lifetime }
    }

    /// The same with data that a restart keeps.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.args.extend(DURABLE.map(str::to_owned));
        self
    }

    /// Returns an owned Valkey, or the Redis that stands in for it, on a free port.
    #[must_use]
    pub fn valkey_in_dir(dir: impl Into<PathBuf>) -> Self {
        Self { is_valkey: true, ..Self::in_dir(dir) }
    }
}

/// A running Redis or Valkey.
#[derive(Debug)]
pub struct RedisServer {
    node: [Node; 1],
    name: &'static str,
    is_stand_in: bool,
}

impl RedisServer {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When the program is missing or it does not come up.
    pub fn start(config: RedisConfig) -> Result<Self, StackError> {
        let programs = Programs::from_env();
        let (name, default_port) =
            if config.is_valkey { ("valkey", 6380) } else { ("redis", 6379) };
        let valkey = config.is_valkey.then(|| programs.find(Program::ValkeyServer).ok()).flatten();
        let is_stand_in = config.is_valkey && valkey.is_none();
        let program = valkey.map_or_else(|| programs.find(Program::RedisServer), Ok)?;
        let dir = create_dir(&config.dir)?;
        config.ports.retry(|| {
            let port = config.ports.choose(name, default_port)?;
            let port_text = port.to_string();
            let own =
                ["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"];
            let args = own.into_iter().chain(config.args.iter().map(String::as_str));
            let launch = Launch::new(&program, args, &dir);
            let node =
                Node::new(name, name, launch, Probe::Redis { port }, config.lifetime.clone());
            let mut server = Self { node: [node], name, is_stand_in };
            server.start_again()?;
            Ok(server)
        })
    }

    /// Returns its URL, for `REDIS_URL` or `VALKEY_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Returns whether this is a Redis that stands in for Valkey.
    #[must_use]
    pub fn is_stand_in(&self) -> bool {
        self.is_stand_in
    }
}

impl Server for RedisServer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn address(&self) -> String {
        ports::address(self.node[0].port())
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![(if self.name == "valkey" { "VALKEY_URL" } else { "REDIS_URL" }, self.url())]
    }

    fn nodes(&self) -> &[Node] {
        &self.node
    }

    fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.node
    }
}
