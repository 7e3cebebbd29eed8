//! The services of one paradigm as processes of their own, started for one run, and killed and started again in it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use service_kit::shutdown::Shutdown;
use stack::OwnedProcess;
use stack::ports;
use stack::process::Launch;
use tokio::runtime::Handle;

use crate::flow::{Addresses, is_ready};
use crate::proc::{Part, Processes};
use crate::programs::Programs;
use crate::stopping::{STOPPED, unless_stopped};
use crate::workload::{Paradigm, Service, Workload};

/// Longest wait until a service says where it listens, and until it can do its work.
const START_MAX: Duration = Duration::from_secs(90);
/// Longest orderly end.
const STOP_MAX: Duration = Duration::from_secs(12);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Lines of a log that an error quotes.
const TAIL_LINES: usize = 12;

/// How services reach each other and their broker, and where their files lie.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Folder of data.
    pub dir: PathBuf,
    /// Folder of what the programs of a run print.
    pub logs: PathBuf,
    /// Ends every wait.
    pub stop: Shutdown,
    /// The programs.
    pub programs: Programs,
    /// RabbitMQ: each of its nodes.
    pub rabbit_urls: Vec<String>,
    /// Kafka.
    pub bootstrap_servers: String,
    /// The schema registry.
    pub registry_url: String,
    /// Beginning of the names of queues, and of groups.
    pub prefix: String,
}

impl Surroundings {
    /// The node of RabbitMQ that a service talks to: each service has its own where there are as many, as clients behind a
    /// load balancer do. A queue is led by the node through which it was made.
    fn rabbit_url_of(&self, service: Service) -> String {
        let place = match service {
            Service::Order => 0,
            Service::Inventory => 1,
            Service::Notification => 2,
        };
        self.rabbit_urls[place % self.rabbit_urls.len()].clone()
    }

    /// One more program of the streaming flow, led to its servers.
    #[must_use]
    pub fn streaming(&self, args: &[&str]) -> Launch {
        let mut all: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        all.extend(["--bootstrap-server".to_owned(), self.bootstrap_servers.clone()]);
        all.extend(["--schema-registry-url".to_owned(), self.registry_url.clone()]);
        let program = self.programs.path_of(Paradigm::Streaming.name());
        let mut launch = Launch::new(program, all, &self.dir);
        launch.is_env_cleared = true; // a setting of the caller would change what is measured
        launch.env = vec![("RUST_LOG".to_owned(), "warn".into())];
        launch
    }
}

struct Running {
    name: String,
    service: Service,
    process: OwnedProcess,
    address: String,
}

/// The services of one run.
pub(crate) struct Services {
    paradigm: Paradigm,
    around: Surroundings,
    /// Flags of the workload.
    extra: Vec<String>,
    /// Those that only inventory gets.
    of_inventory: Vec<String>,
    running: Vec<Running>,
    /// Addresses of services that are down, to be started where they were.
    down: BTreeMap<String, String>,
    /// How often each has been started: every start has a log of its own.
    starts: BTreeMap<String, u32>,
    /// Whether all have started once: what starts later is a part of the run, and of its cost.
    are_up: bool,
    processes: Processes,
    http: reqwest::Client,
    runtime: Handle,
}

impl Services {
    /// Starts all services of a paradigm as a workload wants them, and waits until they can do their work.
    ///
    /// # Errors
    ///
    /// Fails if one does not come up, with the end of its log.
    pub(crate) fn start(
        paradigm: Paradigm,
        workload: &Workload,
        around: Surroundings,
        processes: &Processes,
        http: &reqwest::Client,
        runtime: &Handle,
    ) -> Result<Self, String> {
        let mut services = Self {
            paradigm,
            around,
            extra: trouble_of(workload),
            of_inventory: failures_of(workload),
            running: Vec::new(),
            down: BTreeMap::new(),
            starts: BTreeMap::new(),
            are_up: false,
            processes: processes.clone(),
            http: http.clone(),
            runtime: runtime.clone(),
        };
        for service in [Service::Inventory, Service::Notification] {
            services.spawn(service.name(), service)?;
        }
        services.find(&[Service::Inventory, Service::Notification])?;
        for replica in 1..=workload.order_replicas {
            let name = if replica == 1 { "order".to_owned() } else { format!("order-{replica}") };
            services.spawn(&name, Service::Order)?;
        }
        services.find(&[Service::Order])?;
        services.wait_ready()?;
        services.are_up = true;
        Ok(services)
    }

    /// Where they are.
    #[must_use]
    pub(crate) fn addresses(&self) -> Addresses {
        let of = |service: Service| {
            let running = self.running.iter().filter(move |running| running.service == service);
            running.map(|running| format!("http://{}", running.address))
        };
        Addresses {
            order: of(Service::Order).collect(),
            inventory: of(Service::Inventory).next(),
            notification: of(Service::Notification).next(),
        }
    }

    fn spawn(&mut self, name: &str, service: Service) -> Result<(), String> {
        let at = match self.down.remove(name) {
            Some(address) => address,
            // Not one that the system chooses: an outgoing connection could take such a port while its service is down.
            None => format!("127.0.0.1:{}", ports::free().map_err(|error| error.to_string())?),
        };
        let program = self.around.programs.path_of(self.paradigm.name());
        let args = self.args_of(name, service, &at);
        let mut launch = Launch::new(program, args, &self.around.dir);
        launch.is_env_cleared = true; // a setting of the caller would change what is measured
        launch.env = vec![("RUST_LOG".to_owned(), "info".into())];
        let log = self.next_log(name)?;
        let process =
            OwnedProcess::start(&launch, &log, None).map_err(|error| error.to_string())?;
        self.processes.add(process.id().pid, Part::Service, self.are_up);
        self.running.push(Running {
            name: name.to_owned(),
            service,
            process,
            address: String::new(),
        });
        Ok(())
    }

    /// A new file for what a service prints: what an earlier process wrote stays, and says where that one listened.
    fn next_log(&mut self, name: &str) -> Result<PathBuf, String> {
        let logs = &self.around.logs;
        std::fs::create_dir_all(logs).map_err(|error| format!("{}: {error}", logs.display()))?;
        let starts = self.starts.entry(name.to_owned()).or_default();
        *starts += 1;
        let again = if *starts == 1 { String::new() } else { format!("-again-{starts}") };
        Ok(logs.join(format!("{name}{again}.log")))
    }

    fn args_of(&self, name: &str, service: Service, at: &str) -> Vec<String> {
        let around = &self.around;
        let path = |name: &str| around.dir.join(name).display().to_string();
        // Services of one flow share a folder, instances of one service do not.
        let data = match service {
            Service::Order => format!("{}-{name}", self.paradigm.name()),
            _ => format!("{}-data", self.paradigm.name()),
        };
        let mut args: Vec<String> = vec![service.name().to_owned()];
        let mut add = |flag: &str, value: String| args.extend([flag.to_owned(), value]);
        add("--listen", at.to_owned());
        add("--data-dir", path(&data));
        add("--menu", path("menu.toml"));
        match self.paradigm {
            Paradigm::SyncRest if service == Service::Order => {
                for other in [Service::Inventory, Service::Notification] {
                    let found = self.running.iter().find(|running| running.service == other);
                    let address = found.map_or(String::new(), |running| running.address.clone());
                    add(&format!("--{}-url", other.name()), format!("http://{address}"));
                }
            }
            Paradigm::SyncRest => {}
            Paradigm::Rabbit => {
                add("--rabbitmq-url", around.rabbit_url_of(service));
                add("--schema-registry-url", around.registry_url.clone());
                add("--prefix", around.prefix.clone());
            }
            Paradigm::Streaming => {
                add("--bootstrap-server", around.bootstrap_servers.clone());
                add("--schema-registry-url", around.registry_url.clone());
                if service != Service::Order {
                    // What is said of Kafka's order holds then whatever happens.
                    add("--order", "key".to_owned());
                    // A member that comes back in its own name need not wait until the group has missed it.
                    add("--instance-id", format!("lab-{name}"));
                }
            }
        }
        args.extend(self.extra.iter().cloned());
        if service == Service::Inventory {
            args.extend(self.of_inventory.iter().cloned());
        }
        args
    }

    /// Reads from their logs where services listen.
    fn find(&mut self, services: &[Service]) -> Result<(), String> {
        let deadline = Instant::now() + START_MAX;
        for running in self.running.iter_mut().filter(|r| services.contains(&r.service)) {
            while running.address.is_empty() {
                let log = std::fs::read_to_string(running.process.log_path()).unwrap_or_default();
                if let Some(address) = listening_at(&log, running.service.name()) {
                    running.address = address;
                } else if running.process.ended().is_some() || Instant::now() > deadline {
                    let paradigm = self.paradigm.name();
                    let name = &running.name;
                    return Err(format!(
                        "{paradigm} {name} did not start; its log ends:\n{}",
                        tail(&log)
                    ));
                } else if self.around.stop.wait(LOOK_EVERY) {
                    return Err(STOPPED.to_owned());
                }
            }
        }
        Ok(())
    }

    /// Waits until all of them can do their work.
    ///
    /// # Errors
    ///
    /// Fails with what one says that cannot.
    pub(crate) fn wait_ready(&self) -> Result<(), String> {
        let deadline = Instant::now() + START_MAX;
        for running in &self.running {
            let base = format!("http://{}", running.address);
            loop {
                let asked = is_ready(&self.http, &base);
                match unless_stopped(&self.runtime, &self.around.stop, asked) {
                    Some(true) => break,
                    None => return Err(STOPPED.to_owned()),
                    Some(false) => {}
                }
                if Instant::now() > deadline {
                    let asked = self.reasons(&base);
                    let why = unless_stopped(&self.runtime, &self.around.stop, asked);
                    let why = why.unwrap_or_default();
                    return Err(format!(
                        "{} {} is not ready: {why}",
                        self.paradigm.name(),
                        running.name
                    ));
                }
                if self.around.stop.wait(LOOK_EVERY) {
                    return Err(STOPPED.to_owned());
                }
            }
        }
        Ok(())
    }

    async fn reasons(&self, base: &str) -> String {
        match self.http.get(format!("{base}/readyz")).send().await {
            Ok(answer) => answer.json::<Value>().await.unwrap_or_default().to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Ends all instances of a service with KILL, or in order.
    pub(crate) fn end(&mut self, service: Service, is_killed: bool) {
        let (ending, rest) =
            self.running.drain(..).partition::<Vec<_>, _>(|running| running.service == service);
        self.running = rest;
        for mut running in ending {
            self.down.insert(running.name, running.address);
            if is_killed {
                running.process.kill_9();
            } else {
                running.process.stop(STOP_MAX);
            }
        }
    }

    /// Starts what was ended, where it was, without waiting for it.
    ///
    /// # Errors
    ///
    /// Fails if a process cannot be started.
    pub(crate) fn start_again(&mut self, service: Service) -> Result<(), String> {
        let names: Vec<String> =
            self.down.keys().filter(|name| name.starts_with(service.name())).cloned().collect();
        for name in names {
            let address = self.down[&name].clone();
            self.spawn(&name, service)?;
            if let Some(running) = self.running.last_mut() {
                running.address = address;
            }
        }
        Ok(())
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // Those that call others end first.
        // A comparison that is stopped keeps nothing of the run under way: they need no time to finish.
        let is_stopped = self.around.stop.is_requested();
        for service in [Service::Order, Service::Notification, Service::Inventory] {
            self.end(service, is_stopped);
        }
    }
}

/// Flags for what a workload does to a service.
fn trouble_of(workload: &Workload) -> Vec<String> {
    let mut extra = Vec::new();
    if !workload.inventory_delay.is_zero() {
        let delay = format!("{}ms", workload.inventory_delay.as_millis());
        extra.extend(["--inventory-delay".to_owned(), delay]);
    }
    if workload.inventory_failure_rate > 0.0 {
        let rate = workload.inventory_failure_rate.to_string();
        extra.extend(["--inventory-failure-rate".to_owned(), rate]);
    }
    extra
}

/// Flags for attempts of inventory that fail. Another service would take some of them as its own.
fn failures_of(workload: &Workload) -> Vec<String> {
    let share = workload.simulate_failures;
    if share > 0.0 { vec!["--simulate-failures".to_owned(), share.to_string()] } else { Vec::new() }
}

/// The address that a log names for a service.
fn listening_at(log: &str, service: &str) -> Option<String> {
    let (with, name) = ("listening on http://", format!("service=\"{service}\""));
    let line = log.lines().find(|line| line.contains(with) && line.contains(&name))?;
    let after = line.split(with).nth(1)?;
    Some(after.split_whitespace().next()?.to_owned())
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
