//! A schema registry with Confluent's interface: Apicurio, on a database in its folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::java::QUICK_ARGS;
use crate::node::create_dir;
use crate::probe::http;
use crate::process::{Launch, wait_until};
use crate::{
    Jars, Lifetime, Node, Ports, Probe, Program, Programs, Server, StackError, class_archive, ports,
};

/// Where Apicurio speaks Confluent's protocol.
const API: &str = "/apis/ccompat/v7";

/// How long setting the compatibility rule may take.
const RULE_LIMIT: Duration = Duration::from_secs(20);

/// How the registry is started.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// Where its log and its schemas lie. Schemas that lie there are found again.
    pub dir: PathBuf,
    /// The well-known port is 8081.
    pub ports: Ports,
    /// Its life.
    pub lifetime: Lifetime,
}

impl RegistryConfig {
    /// Returns an owned registry on a free port.
    #[must_use]
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), ports: Ports::Free, lifetime: Lifetime::Owned }
    }
}

/// A running registry whose compatibility rule is BACKWARD. It keeps its schemas, also over `kill -9`.
#[derive(Debug)]
pub struct RegistryServer {
    node: [Node; 1],
}

impl RegistryServer {
    /// Starts the registry, waits until it answers, and sets its compatibility rule: it has none by itself.
    ///
    /// # Errors
    /// When a program is missing, the jars cannot be fetched, or it does not come up.
    pub fn start(config: RegistryConfig) -> Result<Self, StackError> {
        let programs = Programs::from_env();
        let jars = Jars::ensure(&programs, &|_| ())?;
        let java = programs.find(Program::Java)?;
        if let Lifetime::Detached(_) = config.lifetime {
            // Without it a start takes longer; what keeps this server from starting is told just below.
            let _made = class_archive::ensure(jars.dir(), "registry", &java, |dir, args| {
                Self::start_as(RegistryConfig::in_dir(dir), &java, &jars, args)
                    .map(|mut registry| registry.stop())
            });
        }
        let archive = class_archive::find(jars.dir(), "registry", &java);
        Self::start_as(config, &java, &jars, class_archive::args_with(archive.as_deref()))
    }

    /// Starts it with `java_args` for its virtual machine.
    fn start_as(
        config: RegistryConfig,
        java: &Path,
        jars: &Jars,
        java_args: Vec<String>,
    ) -> Result<Self, StackError> {
        let dir = create_dir(&config.dir)?;
        // One that a test starts lives for seconds; what serves a stack is asked a few hundred times.
        let quick: Vec<String> = QUICK_ARGS.iter().map(|&arg| arg.to_owned()).collect();
        config.ports.retry(|| {
            let port = config.ports.choose("registry", 8081)?;
            let registry = [
                // What was acknowledged is on disk: by default the database writes half a second later.
                format!(
                    "-Dapicurio.datasource.url=jdbc:h2:file:{}/schemas;DB_CLOSE_ON_EXIT=FALSE;WRITE_DELAY=0",
                    dir.display()
                ),
                "-Dquarkus.http.host=127.0.0.1".to_owned(),
                format!("-Dquarkus.http.port={port}"),
                "-jar".to_owned(),
                jars.registry_runner()?.display().to_string(),
            ];
            let probe = Probe::Http { port, path: format!("{API}/subjects"), authorization: None };
            let args = [quick.clone(), java_args.clone(), registry.to_vec()].concat();
            let launch = Launch::new(java, args, &dir);
            let mut server = Self {
                node: [Node::new("registry", "registry", launch, probe, config.lifetime.clone())],
            };
            server.start_again()?;
            Ok(server)
        })
    }

    /// Returns its base URL, for `SCHEMA_REGISTRY_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{API}", self.address())
    }
}

impl Server for RegistryServer {
    fn name(&self) -> &'static str {
        "registry"
    }

    fn address(&self) -> String {
        ports::address(self.node[0].port())
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("SCHEMA_REGISTRY_URL", self.url())]
    }

    fn nodes(&self) -> &[Node] {
        &self.node
    }

    fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.node
    }

    fn after_start(&mut self) -> Result<(), StackError> {
        let path = format!("{API}/config");
        // The first write after a start makes the database, which on a busy machine takes longer than an answer may.
        let mut answer = String::new();
        let is_set = wait_until(RULE_LIMIT, || {
            let rule = r#"{"compatibility":"BACKWARD"}"#;
            match http(self.node[0].port(), "PUT", &path, None, rule) {
                Ok((200, _)) => return true,
                Ok((_, text)) => text.lines().next().unwrap_or_default().clone_into(&mut answer),
                Err(error) => answer = error.to_string(),
            }
            false
        });
        if is_set {
            return Ok(());
        }
        let (server, address) = (self.name().to_owned(), self.address());
        Err(StackError::Refused { server, address, request: format!("PUT {path}"), answer })
    }
}
