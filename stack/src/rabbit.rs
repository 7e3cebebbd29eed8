//! RabbitMQ with its management interface, and an `epmd` of its own: one node, or three that form a cluster.
//!
//! Erlang nodes register with a port mapper, `epmd`, which otherwise is started as a daemon that nobody stops. Here it is a
//! node of the server, on a port of its own: runs side by side do not meet, and nothing is left behind.

mod member;

use std::path::PathBuf;

use crate::node::{create_dir, start_nodes};
use crate::process::Launch;
use crate::{Lifetime, Node, Ports, Probe, Program, Programs, Server, StackError, ports};
use member::Member;

/// The account that RabbitMQ brings, allowed on this machine only: `guest:guest` in base64.
pub(crate) const GUEST_AUTHORIZATION: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";

/// How RabbitMQ is started.
#[derive(Debug, Clone)]
pub struct RabbitConfig {
    /// Where its data, configuration and logs lie. Durable queues that lie there are found again.
    pub dir: PathBuf,
    /// Nodes of the cluster: 1 or 3.
    pub nodes: u16,
    /// The well-known ports are 5672 and, for the management interface, 15672; the second and the third node have the
    /// ones behind them.
    pub ports: Ports,
    /// Lines of `rabbitmq.conf`.
    pub settings: Vec<String>,
    /// Its life.
    pub lifetime: Lifetime,
}

impl RabbitConfig {
    /// Returns an owned RabbitMQ of one node on free ports.
    #[must_use]
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            nodes: 1,
            ports: Ports::Free,
            settings: Vec::new(),
            lifetime: Lifetime::Owned,
        }
    }

    /// Returns how many nodes the RabbitMQ has whose data lies in the folder; `None` where there is none.
    #[must_use]
    pub fn nodes_there(&self) -> Option<u16> {
        if self.dir.join("node-1").is_dir() {
            return Some(CLUSTER_NODES);
        }
        self.dir.join("data").is_dir().then_some(1)
    }
}

/// The one size of a cluster: the smallest in which a majority is left when a node is gone.
const CLUSTER_NODES: u16 = 3;

/// How often nodes of a cluster that gave up at their start are started.
const START_ATTEMPTS_MAX: u32 = 4;

/// A running RabbitMQ.
#[derive(Debug)]
pub struct RabbitServer {
    /// `epmd`, then RabbitMQ's own nodes.
    nodes: Vec<Node>,
    management_ports: Vec<u16>,
}

impl RabbitServer {
    /// Starts RabbitMQ and waits until AMQP and the management interface of each node answer, and each node of a cluster
    /// knows all of them.
    ///
    /// # Errors
    /// When a program is missing or it does not come up.
    pub fn start(config: RabbitConfig) -> Result<Self, StackError> {
        if !matches!(config.nodes, 1 | CLUSTER_NODES) {
            let value = config.nodes.to_string();
            return Err(StackError::Setting { setting: "nodes", value, rule: "give 1 or 3" });
        }
        let programs = Programs::from_env();
        programs.require(&[Program::RabbitmqServer, Program::Epmd])?;
        let config = RabbitConfig { dir: create_dir(&config.dir)?, ..config };
        if let Some(found) = config.nodes_there().filter(|found| *found != config.nodes) {
            let found = format!("a RabbitMQ of {found} node(s)");
            let asked = format!("{} node(s)", config.nodes);
            return Err(StackError::OtherContent { path: config.dir, found, asked });
        }
        config.ports.retry(|| {
            let mut server = Self::prepare(&config, &programs)?;
            server.start_again()?;
            Ok(server)
        })
    }

    fn prepare(config: &RabbitConfig, programs: &Programs) -> Result<Self, StackError> {
        let epmd_port = config.ports.choose_inner("rabbitmq epmd")?;
        let epmd_args = ["-address", "127.0.0.1", "-port", &epmd_port.to_string()];
        let epmd = Launch::new(programs.find(Program::Epmd)?, epmd_args, &config.dir);
        let probe = Probe::Epmd { port: epmd_port, nodes: 0 };
        let epmd = Node::new("rabbitmq", "epmd", epmd, probe, config.lifetime.clone());
        let (mut nodes, mut management_ports) = (vec![epmd.prerequisite()], Vec::new());
        if config.nodes > 1 {
            member::make_cookie(&config.dir)?;
        }
        for number in 1..=config.nodes {
            let member = Member::choose(config, number)?;
            member.write_settings(config)?;
            let program = programs.find(Program::RabbitmqServer)?;
            let mut rabbit = Launch::new(program, [""; 0], &member.dir);
            rabbit.is_env_cleared = true; // a variable RABBITMQ_… of the caller would change what is started
            rabbit.env = member.environment(&config.dir, epmd_port);
            let (name, probe, lifetime) = (&member.name, member.probe(), config.lifetime.clone());
            nodes.push(Node::new("rabbitmq", name, rabbit, probe, lifetime));
            management_ports.push(member.management_port);
        }
        Ok(Self { nodes, management_ports })
    }

    /// Returns the URL for AMQP clients, for `RABBITMQ_URL`; that of the first node of a cluster.
    #[must_use]
    pub fn url(&self) -> String {
        url_at(self.main_node())
    }

    /// Returns the URLs for AMQP clients, one for each node.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.members().iter().map(url_at).collect()
    }

    /// Returns the URL of the management interface; the account is `guest`, password `guest`. Each node of a cluster has
    /// one that tells of all; this is the first one's.
    #[must_use]
    pub fn management_url(&self) -> String {
        format!("http://{}", ports::address(self.management_ports[0]))
    }

    /// Returns the port of the management interface of each node.
    #[must_use]
    pub fn management_ports(&self) -> &[u16] {
        &self.management_ports
    }

    /// Returns RabbitMQ's own nodes, without `epmd`.
    #[must_use]
    pub fn members(&self) -> &[Node] {
        &self.nodes[1..]
    }

    /// Returns the node with `number`, counted from 1, to kill or restart it alone.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn member_mut(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number]
    }
}

fn url_at(node: &Node) -> String {
    format!("amqp://guest:guest@{}/%2f", ports::address(node.port()))
}

impl Server for RabbitServer {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    fn address(&self) -> String {
        let all = self.members().iter().map(|node| ports::address(node.port()));
        all.collect::<Vec<_>>().join(",")
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

    /// Starts what does not run. Nodes that start at the same moment may meet while one of them is half there: the other one
    /// gives up, and comes up when it is started once more.
    fn start_again(&mut self) -> Result<(), StackError> {
        let mut attempt = 1;
        loop {
            match start_nodes(&mut self.nodes).and_then(|()| self.after_start()) {
                Err(StackError::Ended { .. })
                    if self.members().len() > 1 && attempt < START_ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                Err(error) => {
                    self.kill_9();
                    return Err(error);
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Waits until every node knows all of them: queues with a member on each can be made at once.
    fn after_start(&mut self) -> Result<(), StackError> {
        let members = self.members().len();
        self.nodes[1..].iter_mut().try_for_each(|node| {
            let probe = node.probe().of_cluster(members);
            node.await_answer(&probe)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_are_refused_and_a_folder_keeps_its_number_of_nodes() {
        let dir = tempfile::tempdir().unwrap();
        let config = |nodes| RabbitConfig { nodes, ..RabbitConfig::in_dir(dir.path()) };
        let refused = |nodes| RabbitServer::start(config(nodes)).unwrap_err().to_string();
        assert_eq!(refused(2), "nodes=2 is not possible: give 1 or 3");
        assert_eq!(config(1).nodes_there(), None);
        std::fs::create_dir(dir.path().join("data")).unwrap();
        assert_eq!(config(1).nodes_there(), Some(1));
        assert!(refused(3).contains("holds a RabbitMQ of 1 node(s), not 3 node(s) as requested"));
    }
}
