//! What a comparison is begun with: servers and services of the lab's own, or those that run elsewhere; and results of
//! which nothing is known yet.

use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use jiff::Timestamp;
use kafka_io::client_config::KafkaSettings;
use service_kit::exit::AppError;
use service_kit::output::note;
use service_kit::program::Program;
use service_kit::shutdown::Shutdown;
use tokio::runtime::Runtime;

use crate::bench::Home;
use crate::cli::RunArgs;
use crate::flow::Brokers;
use crate::programs::Programs;
use crate::results::{ELSEWHERE, Environment, Results, SCHEMA, WorkloadInfo};
use crate::servers::Servers;
use crate::services::Surroundings;
use crate::session::unwritable;
use crate::targets::Targets;
use crate::workload::WorkloadFile;
use crate::{environment, words};

/// Items of the lab's own menu: so many keys that no one of them is the bottleneck, also where the orders of one item
/// are worked on one after the other.
const ITEMS: usize = 256;
/// Time between two looks whether the start of the servers is to be given up.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Who runs the services, how brokers are reached, the items of the menu, and where all of it is.
pub(crate) type Found = (Home, Brokers, Vec<String>, Environment);

/// What a comparison is begun with.
pub(crate) struct Kit<'a> {
    pub(crate) program: &'a Program,
    pub(crate) file: &'a WorkloadFile,
    pub(crate) work: &'a Path,
    pub(crate) logs: &'a Path,
    pub(crate) http: &'a reqwest::Client,
    pub(crate) runtime: &'a Runtime,
    pub(crate) stop: &'a Shutdown,
}

impl Kit<'_> {
    /// Starts servers of the lab's own.
    pub(crate) fn own(&self) -> Result<Found, AppError> {
        let programs = Programs::ensure(&self.file.paradigms)?;
        if programs.profile() != "release" {
            note("lab: these are not release builds: their times say little");
        }
        note("lab: starting servers");
        let servers = self.servers()?;
        let look =
            environment::look(self.program, &programs, &servers, self.http, self.work, self.file);
        let environment = self.runtime.block_on(look);
        let items: Vec<String> = (1..=ITEMS).map(|n| format!("dish-{n}")).collect();
        let menu: String = items.iter().map(|item| format!("[{item}]\nprice = 8.5\n")).collect();
        let path = self.work.join("menu.toml");
        std::fs::write(&path, menu).map_err(|error| unwritable(&path, &error))?;
        let kafka = KafkaSettings::new("lab", &servers.bootstrap_servers(), Vec::new())
            .map_err(|error| AppError::failed(error.to_string()))?;
        let found = Brokers {
            rabbit_url: servers.rabbit_urls().swap_remove(0),
            rabbit_prefix: "orders".to_owned(),
            kafka,
            order_topic: "order-events".to_owned(),
            notification_topic: "notification-events".to_owned(),
        };
        let around = Surroundings {
            dir: self.work.to_owned(),
            logs: self.logs.to_owned(),
            stop: self.stop.clone(),
            programs,
            rabbit_urls: servers.rabbit_urls(),
            bootstrap_servers: servers.bootstrap_servers(),
            registry_url: servers.registry_url(),
            prefix: found.rabbit_prefix.clone(),
        };
        Ok((Home::Own(Box::new(servers), Box::new(around)), found, items, environment))
    }

    /// Starts the servers. A stop ends the wait for them: they end with this process.
    fn servers(&self) -> Result<Servers, AppError> {
        let (dir, file) = (self.work.to_owned(), self.file.clone());
        let (started, is_started) = std::sync::mpsc::sync_channel(1);
        let start = move || {
            let servers = Servers::start(&dir, &file);
            // Nobody waits for them any more.
            let _ = started.send(servers);
        };
        let thread = std::thread::Builder::new().name("servers".to_owned()).spawn(start);
        thread.map_err(|error| AppError::failed(format!("no thread for servers: {error}")))?;
        loop {
            match is_started.recv_timeout(LOOK_EVERY) {
                Ok(servers) => return servers,
                Err(RecvTimeoutError::Timeout) if self.stop.is_requested() => {
                    return Err(AppError::failed("it was stopped before the servers had started"));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(AppError::failed("the start of the servers has failed"));
                }
            }
        }
    }

    /// Takes services that run elsewhere.
    pub(crate) fn elsewhere(&self, targets: Targets) -> Result<Found, AppError> {
        let servers = targets.look()?;
        let machine = environment::machine(self.program, ELSEWHERE, self.work);
        let environment = Environment { servers, ..machine };
        Ok((Home::Elsewhere(targets.addresses), targets.brokers, targets.items, environment))
    }
}

/// Results without runs.
pub(crate) fn blank(
    file: &WorkloadFile,
    args: &RunArgs,
    environment: Environment,
    started_at: Timestamp,
) -> Results {
    let quick = if args.quick { " --quick" } else { "" };
    let targets = args.targets.as_ref();
    let targets = targets.map_or_else(String::new, |file| format!(" --targets {}", file.display()));
    let info = |workload: &crate::workload::Workload| WorkloadInfo {
        name: workload.name.clone(),
        kind: workload.kind,
        words: words::of_workload(workload),
        rounds: workload.rounds,
    };
    Results {
        schema: SCHEMA.to_owned(),
        name: file.name.clone(),
        started_at: started_at.to_string(),
        ended_at: started_at.to_string(),
        is_complete: false,
        is_quick: args.quick,
        seed: file.seed,
        command: format!(
            "cargo run --release --bin lab -- run {}{quick}{targets} --seed {}",
            args.file.display(),
            file.seed
        ),
        workload_file: file.text.clone(),
        environment,
        paradigms: Vec::new(),
        workloads: file.workloads.iter().map(info).collect(),
        runs: Vec::new(),
    }
}
