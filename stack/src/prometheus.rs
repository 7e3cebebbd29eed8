//! Prometheus, scraping what it is told.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::node::{create_dir, write};
use crate::process::Launch;
use crate::{Lifetime, Node, Ports, Probe, Program, Programs, Server, StackError, ports};

/// Where consumer and producer serve their metrics by default.
const PIPELINE_TARGETS: [(&str, &str); 2] =
    [("consumer", "127.0.0.1:9464"), ("producer", "127.0.0.1:9465")];

/// Time between two scrapes where nothing else is said.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(5);

/// How Prometheus is started.
#[derive(Debug, Clone)]
pub struct PrometheusConfig {
    /// Where its data, configuration and log lie.
    pub dir: PathBuf,
    /// The well-known port is 9090.
    pub ports: Ports,
    /// Job name and `host:port` of everything that is scraped.
    pub targets: Vec<(String, String)>,
    /// Time between two scrapes, and between two evaluations of rules; whole seconds.
    pub interval: Duration,
    /// Files of recording and alert rules; `*` stands for any name.
    pub rule_files: Vec<PathBuf>,
    /// Its life.
    pub lifetime: Lifetime,
}

impl PrometheusConfig {
    /// Returns an owned Prometheus on a free port that scrapes consumer and producer at their default addresses.
    #[must_use]
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        let targets =
            PIPELINE_TARGETS.map(|(job, target)| (job.to_owned(), target.to_owned())).to_vec();
        Self {
            dir: dir.into(),
            ports: Ports::Free,
            targets,
            interval: SCRAPE_INTERVAL,
            rule_files: Vec::new(),
            lifetime: Lifetime::Owned,
        }
    }
}

/// A running Prometheus.
#[derive(Debug)]
pub struct PrometheusServer {
    node: [Node; 1],
}

impl PrometheusServer {
    /// Starts Prometheus and waits until it is ready.
    ///
    /// # Errors
    /// When the program is missing or it does not come up.
    pub fn start(config: PrometheusConfig) -> Result<Self, StackError> {
        let program = Programs::from_env().find(Program::Prometheus)?;
        let dir = create_dir(&config.dir)?;
        write(&dir.join("prometheus.yml"), &configuration(&config))?;
        config.ports.retry(|| {
            let port = config.ports.choose("prometheus", 9090)?;
            let args = [
                "--config.file=prometheus.yml".to_owned(),
                "--storage.tsdb.path=data".to_owned(),
                format!("--web.listen-address={}", ports::address(port)),
            ];
            let probe = Probe::Http { port, path: "/-/ready".to_owned(), authorization: None };
            let launch = Launch::new(&program, args, &dir);
            let node =
                Node::new("prometheus", "prometheus", launch, probe, config.lifetime.clone());
            let mut server = Self { node: [node] };
            server.start_again()?;
            Ok(server)
        })
    }

    /// Returns its URL, for `PROMETHEUS_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }
}

fn configuration(config: &PrometheusConfig) -> String {
    let seconds = config.interval.as_secs();
    let mut text = format!(
        "global:\n  scrape_interval: {seconds}s\n  evaluation_interval: {seconds}s\nrule_files:\n"
    );
    for file in &config.rule_files {
        let _infallible = writeln!(text, "  - '{}'", file.display());
    }
    text.push_str("scrape_configs:\n");
    for (job, target) in &config.targets {
        let _infallible = write!(
            text,
            "  - job_name: {job}\n    static_configs:\n      - targets: ['{target}']\n"
        );
    }
    text
}

impl Server for PrometheusServer {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn address(&self) -> String {
        ports::address(self.node[0].port())
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("PROMETHEUS_URL", self.url())]
    }

    fn nodes(&self) -> &[Node] {
        &self.node
    }

    fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.node
    }
}
