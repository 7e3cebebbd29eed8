//! Three services as three processes, and a broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use codec::decode::Decoder;
use codec::registry::{Registry, RegistrySettings};
use codec::resolver::SchemaResolver;
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use order_schemas::InventoryResult;
use orders::InventoryOutcome;
use stack::{RabbitConfig, RabbitServer};
use tempfile::TempDir;
pub(crate) use testkit::conformance::Service;
use testkit::http::{self, HttpAnswer};
use testkit::ledger::{Ended, Final, Ledger, StockEnd, Unknowns};
use testkit::order_flow::{self, MENU, order_id_of};
use testkit::{Finished, Process, Services, wait};
use tokio::runtime::Runtime;

use crate::queues::Seen;

/// Longest wait for anything that should happen soon, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// As the services do: RabbitMQ notes on disk what was declared a second after it has answered.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: start servers with the program stack"))
}

/// One more instance of a service.
pub(crate) struct Beside {
    service: Service,
    pub(crate) process: Process,
    pub(crate) address: String,
}

pub(crate) struct Rig {
    pub(crate) services: Services,
    args: Vec<String>,
    /// Messages that were taken out of queues to be looked at, by queue.
    pub(crate) seen: Mutex<BTreeMap<String, Vec<Seen>>>,
    pub(crate) prefix: String,
    /// The broker, as services and commands reach it.
    pub(crate) url: String,
    /// The broker, as the test reaches it.
    pub(crate) own_url: String,
    pub(crate) runtime: Runtime,
    /// It ends before its directory goes.
    server: Option<(RabbitServer, TempDir)>,
    dir: TempDir,
}

impl Rig {
    /// All three services on the shared broker.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::new(variable("RABBITMQ_URL"), None, args).all()
    }

    /// All three services on the shared broker, which they reach through this address.
    pub(crate) fn start_through(address: &str, args: &[&str]) -> Self {
        let mut rig = Self::new(format!("amqp://guest:guest@{address}/%2f"), None, args);
        rig.own_url = variable("RABBITMQ_URL");
        rig.all()
    }

    /// Where the shared broker is.
    pub(crate) fn shared_broker() -> String {
        let url = variable("RABBITMQ_URL");
        let address = url.rsplit('@').next().and_then(|rest| rest.split('/').next());
        address.expect("an address").to_owned()
    }

    /// All three services on a broker of the test's own.
    pub(crate) fn with_own_broker(args: &[&str], settings: &[&str]) -> Self {
        Self::without_services(args, settings).all()
    }

    /// A broker of the test's own, and nobody who uses it yet.
    pub(crate) fn without_services(args: &[&str], settings: &[&str]) -> Self {
        let dir = TempDir::with_prefix("rabbit-broker-").expect("a directory");
        let settings = settings.iter().map(|line| (*line).to_owned()).collect();
        let config = RabbitConfig { settings, ..RabbitConfig::in_dir(dir.path()) };
        let server = RabbitServer::start(config).expect("a broker");
        Self::new(server.url(), Some((server, dir)), args)
    }

    fn new(url: String, server: Option<(RabbitServer, TempDir)>, args: &[&str]) -> Self {
        let dir = TempDir::with_prefix("rabbit-").expect("a directory");
        std::fs::write(dir.path().join("menu.toml"), MENU).expect("a file");
        let name = dir.path().file_name().expect("a name").to_string_lossy().replace('.', "");
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let runtime = Runtime::new().expect("a runtime");
        let (prefix, own_url) = (format!("t-{name}"), url.clone());
        let (services, seen) = (Services::default(), Mutex::default());
        Self { services, args, seen, prefix, url, own_url, runtime, server, dir }
    }

    fn all(mut self) -> Self {
        for service in Service::ALL {
            self.start_one(service);
        }
        self
    }

    pub(crate) fn start_one(&mut self, service: Service) {
        self.start_service(service, "127.0.0.1:0");
    }

    /// Arguments of what is started from now on.
    pub(crate) fn set_args(&mut self, args: &[&str]) {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
    }

    /// Whether it may be killed.
    pub(crate) const fn has_own_broker(&self) -> bool {
        self.server.is_some()
    }

    pub(crate) fn server(&mut self) -> &mut RabbitServer {
        &mut self.server.as_mut().expect("a broker of the test's own").0
    }

    /// Arguments that every command needs.
    fn broker_args(&self) -> Vec<String> {
        let pairs = [("--prefix", self.prefix.as_str()), ("--rabbitmq-url", self.url.as_str())];
        let mut args: Vec<String> = pairs
            .iter()
            .flat_map(|(flag, value)| [(*flag).to_owned(), (*value).to_owned()])
            .collect();
        let delays = self.args.iter().position(|arg| arg == "--retry-delay");
        if let Some(at) = delays {
            args.extend(self.args[at..at + 2].iter().cloned());
        }
        args
    }

    #[track_caller]
    fn start_service(&mut self, service: Service, at: &str) {
        let process = self.launch(service, at, &self.data_dir(), &[]);
        self.services.put(service.name(), process);
    }

    /// Starts one more instance of a service, which the rig does not know yet.
    #[track_caller]
    pub(crate) fn start_beside(&self, service: Service, folder: &str, more: &[&str]) -> Beside {
        let mut process = self.launch(service, "127.0.0.1:0", &self.path(folder), more);
        let address = process.address_of(service.name());
        Beside { service, process, address }
    }

    /// Runs one more instance of a service, which is expected to end by itself.
    pub(crate) fn run_beside(&self, service: Service, folder: &str) -> Finished {
        let args = self.service_args(service, "127.0.0.1:0", &self.path(folder));
        Process::start("rabbit", &args, &[]).wait(SOON)
    }

    /// Kills an instance and lets another one stand in its place.
    pub(crate) fn kill_and_replace(&mut self, beside: Beside) {
        self.services.put(beside.service.name(), beside.process);
    }

    #[track_caller]
    fn launch(&self, service: Service, at: &str, folder: &str, more: &[&str]) -> Process {
        let mut args = self.service_args(service, at, folder);
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        Process::start("rabbit", &args, &[("RUST_LOG", "info")])
    }

    fn service_args(&self, service: Service, at: &str, folder: &str) -> Vec<String> {
        let mut args = vec![service.name().to_owned(), "--listen".to_owned(), at.to_owned()];
        args.extend(["--data-dir".to_owned(), folder.to_owned()]);
        args.extend(["--menu".to_owned(), self.menu()]);
        args.extend(["--schema-registry-url".to_owned(), variable("SCHEMA_REGISTRY_URL")]);
        args.extend(["--prefix".to_owned(), self.prefix.clone()]);
        args.extend(["--rabbitmq-url".to_owned(), self.url.clone()]);
        args.extend(self.args.iter().cloned());
        args
    }

    /// Runs a command of the program to its end.
    pub(crate) fn command(&self, command: &[&str]) -> Finished {
        let mut args: Vec<String> = command.iter().map(|arg| (*arg).to_owned()).collect();
        args.extend(self.broker_args());
        Process::start("rabbit", &args, &[]).wait(SOON)
    }

    pub(crate) fn menu(&self) -> String {
        self.path("menu.toml")
    }

    pub(crate) fn data_dir(&self) -> String {
        self.path("data")
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("text").to_owned()
    }

    pub(crate) fn address(&self, service: Service) -> String {
        self.services.address(service.name())
    }

    pub(crate) fn process(&mut self, service: Service) -> &mut Process {
        self.services.process(service.name())
    }

    /// Starts a service where it was, having killed it if it runs.
    pub(crate) fn restart(&mut self, service: Service) {
        let at = self.services.end(service.name());
        self.start_service(service, &at);
    }

    pub(crate) fn post(&self, key: &str, body: &str) -> std::io::Result<HttpAnswer> {
        let headers = [("idempotency-key", key)];
        http::post_json(&self.address(Service::Order), "/order", &headers, body)
    }

    pub(crate) fn get(&self, service: Service, path: &str) -> HttpAnswer {
        http::get(&self.address(service), path).expect("an answer")
    }

    /// What GET /orders/{id} says.
    pub(crate) fn status(&self, key: &str) -> Option<String> {
        let answer = self.get(Service::Order, &format!("/orders/{}", order_id_of(key)));
        (answer.status == 200).then(|| answer.json()["status"].as_str().unwrap_or("").to_owned())
    }

    pub(crate) fn reserved(&self, item: &str) -> u64 {
        self.stock().iter().find(|level| level.item == item).expect("on the menu").reserved
    }

    fn stock(&self) -> Vec<StockEnd> {
        order_flow::stock(&self.get(Service::Inventory, "/stock"))
    }

    pub(crate) fn queue(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// Waits until every order that was accepted has its outcome, and its customer was told.
    #[track_caller]
    pub(crate) fn wait_until_drained(&self, ledger: &Ledger) {
        for (key, entry) in ledger.entries() {
            if entry.verdict != testkit::ledger::Verdict::Accepted {
                continue;
            }
            wait::is_true(&format!("the end of order {key}"), SOON, || {
                self.status(&key).is_some_and(|status| status != "pending") && self.is_told(&key)
            });
        }
        let readers = [
            ("inventory", Service::Inventory),
            ("notification", Service::Notification),
            ("outcomes", Service::Order),
        ];
        // In this order: what leaves one queue may enter the next.
        for (queue, service) in readers {
            // Outcomes are a stream, which keeps what was read.
            if service != Service::Order {
                wait::is_true("an empty queue", SOON, || self.depth(queue) == 0);
            }
            let idle = format!("rabbit_deliveries_in_hand{{queue=\"{queue}\"}} 0");
            wait::is_true("empty hands", SOON, || {
                self.get(service, "/metrics").body.lines().any(|line| line == idle)
            });
        }
    }

    pub(crate) fn is_told(&self, key: &str) -> bool {
        let path = format!("/notifications/{}", order_id_of(key));
        self.get(Service::Notification, &path).status == 200
    }

    /// Compares the clients' book with the queues, the services and the stock. [`Rig::listen`]
    /// was called before the first order.
    #[track_caller]
    pub(crate) fn audit(&self, ledger: &Ledger) {
        let mut decided: BTreeMap<String, BTreeSet<(i64, bool)>> = BTreeMap::new();
        let settings = RegistrySettings::new(&variable("SCHEMA_REGISTRY_URL")).expect("a URL");
        let registry = Registry::new(settings).expect("a registry");
        let resolver = SchemaResolver::new(registry, self.runtime.handle().clone());
        for seen in self.seen("audit") {
            let frame = codec::frame::split(Some(&seen.body)).expect("a frame");
            self.runtime.block_on(resolver.resolve(frame.schema_id));
            let result = Decoder::<InventoryResult>::new(resolver.clone())
                .decode(Some(&seen.body))
                .expect("a decision");
            let is_reserved = result.outcome() == Some(InventoryOutcome::Reserved);
            // The same decision may be told twice; another one has another time.
            decided.entry(result.order_id).or_default().insert((result.decided_at_ms, is_reserved));
        }
        let mut finals = BTreeMap::new();
        for key in ledger.entries().into_keys() {
            let ended =
                |(_, is_reserved)| if is_reserved { Ended::Reserved } else { Ended::Failed };
            let outcomes: Vec<Ended> = decided
                .remove(&order_id_of(&key))
                .unwrap_or_default()
                .into_iter()
                .map(ended)
                .collect();
            let notifications = Some(usize::from(self.is_told(&key)));
            if let [ended] = outcomes[..] {
                let expected = if ended == Ended::Reserved { "confirmed" } else { "failed" };
                assert_eq!(self.status(&key).as_deref(), Some(expected), "{key}");
            }
            finals.insert(key, Final { outcomes, notifications });
        }
        assert!(decided.is_empty(), "decisions about orders that nobody placed: {decided:?}");
        ledger.assert_right(&finals, &self.stock(), Unknowns::AreSettled);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.services.clear();
        if self.server.is_some() || std::thread::panicking() {
            return;
        }
        let all = self.managed("queues/%2F");
        let begins = self.queue("");
        let names =
            all.as_array().expect("a list").iter().filter_map(|queue| queue["name"].as_str());
        let names: Vec<&str> = names.filter(|name| name.starts_with(&begins)).collect();
        let exchange = self.prefix.as_str();
        self.amqp(async |channel| {
            for name in names {
                channel.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
            }
            channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await
        });
    }
}
