//! Services as processes of their own on topics of their own, and a look into those.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use codec::decode::Decoder;
use codec::frame;
use codec::resolver::SchemaResolver;
use codec::scalar::AvroRecord;
use order_schemas::{InventoryResult, Notification};
use orders::InventoryOutcome;
use tempfile::TempDir;
use testkit::http::{self, HttpAnswer};
use testkit::ledger::{Ended, Final, Ledger, StockEnd, Unknowns};
use testkit::order_flow::{self, MENU, order_id_of};
use testkit::{Cluster, LogRecord, Pipeline, Process, Services, wait};

/// Longest wait for anything that should happen soon, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Orders of an audit that are asked for over HTTP.
const ASKED_MAX: usize = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Order,
    Inventory,
    Analytics,
    Notification,
}

impl Service {
    /// Those that every order passes.
    pub(crate) const FLOW: [Self; 2] = [Self::Inventory, Self::Order];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Inventory => "inventory",
            Self::Analytics => "analytics",
            Self::Notification => "notification",
        }
    }
}

pub(crate) struct Rig {
    pub(crate) services: Services,
    /// Arguments of each.
    args: BTreeMap<&'static str, Vec<String>>,
    pub(crate) cluster: Cluster,
    /// Of the inventory service: its group, and orders as its main topic.
    pub(crate) inventory: Pipeline,
    prefix: String,
    dir: TempDir,
}

/// An argument that is a variable of the environment: `NAME=VALUE`.
fn variable(arg: &str) -> Option<(&str, &str)> {
    arg.split_once('=').filter(|(name, _)| !name.starts_with('-'))
}

impl Rig {
    /// Services on the shared Kafka, all with these arguments.
    pub(crate) fn start(services: &[Service], args: &[&str]) -> Self {
        let mut rig = Self::on(Cluster::shared());
        rig.start_services(services, args);
        rig
    }

    /// Names on a cluster; nothing runs yet.
    pub(crate) fn on(cluster: Cluster) -> Self {
        let dir = TempDir::with_prefix("streaming-").expect("a directory");
        std::fs::write(dir.path().join("menu.toml"), MENU).expect("a file");
        let names = cluster.names(3);
        let prefix = names.prefix.clone();
        let name = |suffix: &str| format!("{prefix}-{suffix}");
        let inventory = Pipeline {
            group: name("inventory"),
            orders: name("order-events"),
            retry: name("order-events-retry"),
            dlq: name("order-events-dlq"),
            averages: name("inventory-state"),
            ..names
        };
        let (services, args) = (Services::default(), BTreeMap::new());
        Self { services, args, cluster, inventory, prefix, dir }
    }

    pub(crate) fn start_services(&mut self, services: &[Service], args: &[&str]) {
        for service in services {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            self.start_service(*service, "127.0.0.1:0", args);
        }
    }

    #[track_caller]
    fn start_service(&mut self, service: Service, at: &str, args: Vec<String>) {
        let mut all = vec![service.name().to_owned(), "--listen".to_owned(), at.to_owned()];
        all.extend(self.common_args());
        all.extend(args.iter().filter(|arg| variable(arg).is_none()).cloned());
        let mut variables = vec![("RUST_LOG", "info")];
        variables.extend(args.iter().filter_map(|arg| variable(arg)));
        self.services.put(service.name(), Process::start("streaming", &all, &variables));
        self.args.insert(service.name(), args);
    }

    /// Starts another instance with a folder of its own.
    #[track_caller]
    pub(crate) fn start_beside(&self, service: Service, args: &[&str]) -> (Process, String) {
        let mut all =
            vec![service.name().to_owned(), "--listen".to_owned(), "127.0.0.1:0".to_owned()];
        all.extend(self.common_args_with("--data-dir", &self.folder("beside")));
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        let mut process = Process::start("streaming", &all, &[("RUST_LOG", "info")]);
        let address = process.address_of(service.name());
        (process, address)
    }

    /// Servers, topics, groups and files.
    pub(crate) fn common_args(&self) -> Vec<String> {
        let servers = self.cluster.servers();
        let pairs = [
            ("--bootstrap-server", servers.bootstrap_servers.clone()),
            ("--schema-registry-url", servers.registry_url.clone()),
            ("--order-topic", self.name("order-events")),
            ("--inventory-topic", self.name("inventory-events")),
            ("--notification-topic", self.name("notification-events")),
            ("--inventory-group", self.name("inventory")),
            ("--analytics-group", self.name("analytics")),
            ("--notification-group", self.name("notification")),
            ("--data-dir", self.folder("data")),
            ("--menu", self.folder("menu.toml")),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    /// As [`Self::common_args`], with another value for one of the flags.
    pub(crate) fn common_args_with(&self, flag: &str, value: &str) -> Vec<String> {
        let mut args = self.common_args();
        let at = args.iter().position(|arg| arg == flag).expect("among them") + 1;
        value.clone_into(&mut args[at]);
        args
    }

    /// A folder of this test.
    pub(crate) fn folder(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("text").to_owned()
    }

    /// What `orders dlq COMMAND` prints about the dead letters of inventory.
    #[track_caller]
    pub(crate) fn dlq_command(&self, command: &str, args: &[&str]) -> String {
        let servers = self.cluster.servers();
        let (topic, ledger) = (self.name("order-events-dlq"), self.name("redrives"));
        let mut all = vec!["dlq", command, "--dlq-topic", &topic];
        all.extend(["--bootstrap-server", &servers.bootstrap_servers]);
        all.extend(["--schema-registry-url", &servers.registry_url]);
        all.extend(["--ledger-topic", &ledger]);
        all.extend(args);
        let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
        let finished = Process::start("orders", &all, &[]).wait(SOON);
        finished.expect_code(0);
        finished.stdout
    }

    /// A topic or group of this test.
    pub(crate) fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.prefix)
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
        self.start_service(service, &at, self.args[service.name()].clone());
    }

    /// Arguments of what is started from now on.
    pub(crate) fn set_args(&mut self, args: &[&str]) {
        for known in self.args.values_mut() {
            *known = args.iter().map(|arg| (*arg).to_owned()).collect();
        }
    }

    pub(crate) fn post(&self, key: &str, body: &str) -> std::io::Result<HttpAnswer> {
        let headers = [("idempotency-key", key)];
        http::post_json(&self.address(Service::Order), "/order", &headers, body)
    }

    /// Sends a batch as JSON Lines.
    pub(crate) fn post_lines(&self, key: &str, lines: &str) -> std::io::Result<HttpAnswer> {
        let headers = [("content-type", "application/x-ndjson"), ("idempotency-key", key)];
        http::request(&self.address(Service::Order), "POST", "/orders", &headers, lines.as_bytes())
    }

    pub(crate) fn get(&self, service: Service, path: &str) -> HttpAnswer {
        http::get(&self.address(service), path).expect("an answer")
    }

    /// What GET /orders/{id} says.
    pub(crate) fn status(&self, key: &str) -> Option<String> {
        let answer = self.get(Service::Order, &format!("/orders/{}", order_id_of(key)));
        (answer.status == 200).then(|| answer.json()["status"].as_str().unwrap_or("").to_owned())
    }

    #[track_caller]
    pub(crate) fn wait_for_status(&self, key: &str, status: &str) {
        wait::is_true("the outcome", SOON, || self.status(key).as_deref() == Some(status));
    }

    fn stock(&self) -> Vec<StockEnd> {
        order_flow::stock(&self.get(Service::Inventory, "/stock"))
    }

    /// Records of a topic of this test.
    pub(crate) fn records(&self, suffix: &str) -> Vec<LogRecord> {
        self.inventory.records(&self.name(suffix))
    }

    /// All decisions, by order.
    pub(crate) fn decisions(&self) -> BTreeMap<String, Vec<InventoryResult>> {
        let mut all: BTreeMap<String, Vec<InventoryResult>> = BTreeMap::new();
        for result in decode_all::<InventoryResult>(&self.records("inventory-events")) {
            all.entry(result.order_id.clone()).or_default().push(result);
        }
        all
    }

    /// Waits until inventory has settled every order there is.
    #[track_caller]
    pub(crate) fn wait_until_drained(&self) {
        wait::is_true("no lag", SOON, || self.inventory.lag() == 0);
    }

    /// Waits until the order service says what the log says; looks at some orders all over it.
    #[track_caller]
    fn wait_until_told(&self, decisions: &BTreeMap<String, Vec<InventoryResult>>) {
        for order_id in decisions.keys().step_by(decisions.len() / ASKED_MAX + 1) {
            let path = format!("/orders/{order_id}");
            wait::is_true("a told outcome", SOON, || {
                let answer = self.get(Service::Order, &path);
                answer.status == 200 && answer.json()["status"] != "pending"
            });
        }
    }

    /// Compares the clients' book with the log and the stock. Every decision in the log counts: two of one order are a violation.
    #[track_caller]
    pub(crate) fn audit(&self, ledger: &Ledger) {
        self.wait_until_drained();
        let mut decisions = self.decisions();
        self.wait_until_told(&decisions);
        let told = self.times_told();
        let mut finals = BTreeMap::new();
        for key in ledger.entries().into_keys() {
            let order_id = order_id_of(&key);
            let found = decisions.remove(&order_id).unwrap_or_default();
            let outcomes = found.iter().map(ended).collect();
            let notifications = told.as_ref().map(|told| told.get(&order_id).copied().unwrap_or(0));
            finals.insert(key, Final { outcomes, notifications });
        }
        assert!(decisions.is_empty(), "decisions about orders that nobody placed: {decisions:?}");
        ledger.assert_right(&finals, &self.settled_stock(), Unknowns::AreSettled);
    }

    /// The stock, once it tells of everything that was decided: what is told is a moment old.
    pub(crate) fn settled_stock(&self) -> Vec<StockEnd> {
        let reserved = |result: &&InventoryResult| ended(result) == Ended::Reserved;
        let decisions = self.decisions();
        let pieces = decisions.values().flatten().filter(reserved);
        let pieces: u64 = pieces.map(|result| u64::try_from(result.quantity).unwrap_or(0)).sum();
        wait::until("the stock of what was decided", SOON, || {
            let stock = self.stock();
            (stock.iter().map(|level| level.reserved).sum::<u64>() == pieces).then_some(stock)
        })
    }

    /// How often the customer of each order was told; `None` where nobody tells.
    fn times_told(&self) -> Option<BTreeMap<String, usize>> {
        if !self.services.has(Service::Notification.name()) {
            return None;
        }
        let group = Pipeline {
            group: self.name("notification"),
            orders: self.name("inventory-events"),
            retry: self.name("notification-retry"),
            ..self.inventory.clone()
        };
        wait::is_true("everybody told", SOON, || group.lag() == 0);
        let mut told = BTreeMap::new();
        for message in decode_all::<Notification>(&self.records("notification-events")) {
            *told.entry(message.order_id).or_default() += 1;
        }
        Some(told)
    }

    /// A value of the metrics of a service.
    pub(crate) fn metric(&self, service: Service, sample: &str) -> Option<f64> {
        self.get(service, "/metrics").body.lines().find_map(|line| {
            line.strip_prefix(sample)?.strip_prefix(' ')?.split(' ').next()?.parse().ok()
        })
    }
}

fn ended(result: &InventoryResult) -> Ended {
    match result.outcome() {
        Some(InventoryOutcome::Reserved) => Ended::Reserved,
        _ => Ended::Failed,
    }
}

/// Decodes records that the program wrote: one schema, its own.
pub(crate) fn decode_all<T: AvroRecord>(records: &[LogRecord]) -> Vec<T::Value> {
    let resolver = SchemaResolver::offline();
    let ids: BTreeSet<u32> =
        records.iter().filter_map(|record| frame::schema_id(record.value.as_deref())).collect();
    for id in ids {
        resolver.insert(id, T::SCHEMA).expect("a schema of ours");
    }
    let mut decoder = Decoder::<T>::new(resolver);
    let decode = |record: &LogRecord| decoder.decode(record.value.as_deref()).expect("a record");
    records.iter().map(decode).collect()
}
