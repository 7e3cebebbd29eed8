//! One node of RabbitMQ: its name, ports, files and environment.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::RabbitConfig;
use crate::node::{create_dir, write};
use crate::{Probe, StackError};

/// What nodes show each other before they talk; it lies in the home that all of them have.
const COOKIE: &str = ".erlang.cookie";
/// Erlang uses no cookie that others may read.
const COOKIE_MODE: u32 = 0o400;

/// A node before it is started.
#[derive(Debug)]
pub(super) struct Member {
    /// Its name in the stack: `rabbitmq`, or `rabbitmq-1` of a cluster.
    pub(super) name: String,
    /// Its folder.
    pub(super) dir: PathBuf,
    /// Its name among Erlang's nodes.
    erlang_name: String,
    port: u16,
    pub(super) management_port: u16,
    distribution_port: u16,
    prometheus_port: u16,
}

impl Member {
    /// Chooses name, folder and ports of node `number`, counted from 1.
    pub(super) fn choose(config: &RabbitConfig, number: u16) -> Result<Self, StackError> {
        let is_alone = config.nodes == 1;
        let name = if is_alone { "rabbitmq".to_owned() } else { format!("rabbitmq-{number}") };
        let dir = if is_alone {
            config.dir.clone()
        } else {
            create_dir(&config.dir.join(format!("node-{number}")))?
        };
        let inner = |purpose: &str| config.ports.choose_inner(&format!("{name} {purpose}"));
        Ok(Self {
            port: config.ports.choose("rabbitmq", 5671 + number)?,
            management_port: config.ports.choose("rabbitmq", 15671 + number)?,
            distribution_port: inner("distribution")?,
            prometheus_port: inner("prometheus")?,
            erlang_name: erlang_name(config, number),
            name,
            dir,
        })
    }

    /// Returns the question that tells whether it is up.
    pub(super) const fn probe(&self) -> Probe {
        Probe::Rabbit { port: self.port, management_port: self.management_port, nodes: 1 }
    }

    /// Writes the files that it reads.
    pub(super) fn write_settings(&self, config: &RabbitConfig) -> Result<(), StackError> {
        let (management_port, prometheus_port) = (self.management_port, self.prometheus_port);
        let settings = format!(
            "management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management_port}\n\
             prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {prometheus_port}\n{}{}\n",
            cluster_settings(config),
            config.settings.join("\n")
        );
        let dir = &self.dir;
        write(&dir.join("rabbitmq.conf"), &settings)?;
        write(&dir.join("enabled_plugins"), "[rabbitmq_management,rabbitmq_prometheus].\n")?;
        write(&dir.join("rabbitmq-env.conf"), "")?;
        create_dir(&dir.join("conf.d")).map(drop)
    }

    /// Returns its whole environment: everything that it would otherwise look for in `/etc` and `/var`.
    pub(super) fn environment(&self, home: &Path, epmd_port: u16) -> Vec<(String, OsString)> {
        let path = |name: &str| self.dir.join(name).into_os_string();
        vec![
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ("LANG", "C.UTF-8".into()),
            ("HOME", home.as_os_str().to_owned()), // of the cookie
            ("ERL_EPMD_PORT", epmd_port.to_string().into()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_NODENAME", self.erlang_name.clone().into()),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_NODE_PORT", self.port.to_string().into()),
            ("RABBITMQ_DIST_PORT", self.distribution_port.to_string().into()),
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
        .map(|(name, value): (&str, OsString)| (name.to_owned(), value))
        .collect()
    }
}

fn erlang_name(config: &RabbitConfig, number: u16) -> String {
    if config.nodes == 1 {
        return "rabbit@localhost".to_owned();
    }
    format!("rabbit-{number}@localhost")
}

/// Returns the lines with which the nodes of a cluster find each other, at their first start only; a node that is cut off
/// from the others stops to serve, as one of three should.
fn cluster_settings(config: &RabbitConfig) -> String {
    if config.nodes == 1 {
        return String::new();
    }
    let mut lines = "cluster_formation.peer_discovery_backend = classic_config\n\
                     cluster_partition_handling = pause_minority\n"
        .to_owned();
    for number in 1..=config.nodes {
        let name = erlang_name(config, number);
        lines.push_str(&format!("cluster_formation.classic_config.nodes.{number} = {name}\n"));
    }
    lines
}

/// Writes the cookie of a cluster unless there is one: nodes that start at the same time would each make their own.
pub(super) fn make_cookie(home: &Path) -> Result<(), StackError> {
    let path = home.join(COOKIE);
    let mut open = OpenOptions::new();
    open.write(true).create_new(true).mode(COOKIE_MODE);
    let mut file = match open.open(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        opened => opened.map_err(StackError::io("cannot write", &path))?,
    };
    let random = || RandomState::new().build_hasher().finish();
    let cookie = format!("{:016X}{:016X}", random(), random());
    file.write_all(cookie.as_bytes()).map_err(StackError::io("cannot write", &path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_cookie_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        make_cookie(dir.path()).unwrap();
        let path = dir.path().join(COOKIE);
        let first = std::fs::read_to_string(&path).unwrap();
        make_cookie(dir.path()).unwrap();
        assert_eq!((first.len(), &std::fs::read_to_string(&path).unwrap()), (32, &first));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, COOKIE_MODE);
    }

    #[test]
    fn nodes_of_a_cluster_have_names_folders_and_ports_of_their_own_and_know_all_names() {
        let dir = tempfile::tempdir().unwrap();
        let config = RabbitConfig { nodes: 3, ..RabbitConfig::in_dir(dir.path()) };
        let members: Vec<Member> =
            (1..=3).map(|number| Member::choose(&config, number).unwrap()).collect();
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["rabbitmq-1", "rabbitmq-2", "rabbitmq-3"]);
        let mut ports: Vec<u16> = members
            .iter()
            .flat_map(|m| [m.port, m.management_port, m.distribution_port, m.prometheus_port])
            .collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 12);
        for member in &members {
            member.write_settings(&config).unwrap();
            let text = std::fs::read_to_string(member.dir.join("rabbitmq.conf")).unwrap();
            assert!(text.contains("classic_config.nodes.3 = rabbit-3@localhost\n"), "{text}");
        }
        let alone = RabbitConfig::in_dir(dir.path());
        let member = Member::choose(&alone, 1).unwrap();
        assert_eq!((member.name.as_str(), &member.dir), ("rabbitmq", &alone.dir));
        assert_eq!(cluster_settings(&alone), "");
    }
}
