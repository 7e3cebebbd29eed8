//! Every program that serves metrics, with a little to do, and the addresses where Prometheus finds them.

use std::time::Duration;

use stack::{RedisConfig, RedisServer};
use tempfile::TempDir;
use testkit::order_flow::burgers;
use testkit::{Cluster, Pipeline, Process, http, wait};

/// Longest wait until a pipeline works.
const READY_MAX: Duration = Duration::from_secs(60);

/// Longest wait until what is sent is accepted.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(60);

/// Starts of a program whose server did not answer in time.
const STARTS_MAX: usize = 3;

/// `guest:guest` of a stack's RabbitMQ.
const GUEST: (&str, &str) = ("authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=");

pub(crate) struct Running {
    pub(crate) pipeline: Pipeline,
    /// Job and address, the jobs as in deploy/prometheus/prometheus.yml.
    pub(crate) targets: Vec<(String, String)>,
    /// Where orders are placed.
    fronts: Vec<String>,
    processes: Vec<(&'static str, Process)>,
    /// Where weather reports are sent.
    weather: String,
    stores: [RedisServer; 2],
    // Last: the stores end before their data goes.
    _dir: TempDir,
}

impl Running {
    pub(crate) fn start() -> Self {
        let pipeline = Cluster::shared().pipeline(2);
        let dir = TempDir::with_prefix("testkit-stores-").expect("a folder");
        let (redis, valkey) = (dir.path().join("redis"), dir.path().join("valkey"));
        let stores = [RedisConfig::in_dir(redis), RedisConfig::valkey_in_dir(valkey)]
            .map(|config| RedisServer::start(config).expect("a store"));
        let mut all = Self {
            pipeline,
            targets: Vec::new(),
            fronts: Vec::new(),
            processes: Vec::new(),
            weather: String::new(),
            stores,
            _dir: dir,
        };
        all.start_pipeline();
        all.start_flows();
        all.start_weather();
        all.targets.push(("rabbitmq".to_owned(), rabbitmq_exporter()));
        all.process("consumer").wait_ready(READY_MAX);
        all
    }

    fn start_pipeline(&mut self) {
        let Pipeline { servers, orders, prefix, .. } = self.pipeline.clone();
        let own = |suffix: &str| format!("{prefix}-push-{suffix}");
        let failing = ["--simulate-failures", "0.3", "--retry-delay", "1s"];
        self.with_metrics("consumer", Process::consumer(&self.pipeline, &failing));
        let connection = [
            ["--bootstrap-server", &servers.bootstrap_servers],
            ["--schema-registry-url", &servers.registry_url],
            ["--metrics-addr", "127.0.0.1:0"],
        ]
        .concat();
        let endless = ["--topic", &orders, "--count", "0", "--rate", "50/s", "--quiet"];
        let bad = ["--negative-rate", "0.1", "--malformed-rate", "0.05"];
        let producer = Process::start("producer", &[&connection[..], &endless, &bad].concat(), &[]);
        self.with_metrics("producer", producer);
        let nobody = ["--topic", &orders, "--to", "http://127.0.0.1:1/orders", "--create-topics"];
        let topics = [
            ["--retry-topic", &own("retry")],
            ["--dlq-topic", &own("dlq")],
            ["--group-id", &own("group")],
        ];
        let args = [&connection[..], &nobody, &topics.concat()].concat();
        let push = Process::start("push", &args, &[]);
        self.with_metrics("push", push);
    }

    /// The audit needs a group that has committed.
    pub(crate) fn start_audit(&mut self) {
        let Pipeline { servers, orders, retry, dlq, averages, outcomes, group, prefix, .. } =
            self.pipeline.clone();
        let (brokers, registry) = (servers.bootstrap_servers, servers.registry_url);
        let args = [
            ["audit", "--every=1s"],
            ["--bootstrap-server", &brokers],
            ["--schema-registry-url", &registry],
            ["--topic", &orders],
            ["--retry-topic", &retry],
            ["--dlq-topic", &dlq],
            ["--averages-topic", &averages],
            ["--outcomes-topic", &outcomes],
            ["--group-id", &group],
            ["--replays-topic", &format!("{prefix}-replays")],
            ["--metrics-addr", "127.0.0.1:0"],
        ];
        let audit = Process::start("orders", &args.concat(), &[]);
        self.with_metrics("audit", audit);
    }

    fn start_flows(&mut self) {
        let Pipeline { servers, prefix, .. } = self.pipeline.clone();
        let (brokers, registry) = (servers.bootstrap_servers, servers.registry_url);
        let rabbitmq = std::env::var("RABBITMQ_URL").expect("`make test` starts RabbitMQ");
        let own = |suffix: &str| format!("{prefix}-{suffix}");
        let common = ["all", "--data-dir", "data", "--schema-registry-url", &registry];
        let listen = |service: &str| [format!("--{service}-listen"), "127.0.0.1:0".to_owned()];
        let listen_all = |services: &[&str]| services.iter().flat_map(|of| listen(of)).collect();
        let three: Vec<String> = listen_all(&["order", "inventory", "notification"]);
        let mut start = |program: &'static str, own: &[&str], listen: &[String]| {
            let listen: Vec<&str> = listen.iter().map(String::as_str).collect();
            let args = [&common[..], own, &listen].concat();
            let mut process = started(program, &args);
            let address = process.address_of("order");
            self.targets.push((program.to_owned(), address.clone()));
            self.fronts.push(address);
            self.processes.push((program, process));
        };
        start("sync-rest", &[], &three);
        start("rabbit", &["--rabbitmq-url", &rabbitmq, "--prefix", &own("")], &three);
        let names = [
            ["--bootstrap-server", &brokers],
            ["--order-topic", &own("order-events")],
            ["--inventory-topic", &own("inventory-events")],
            ["--notification-topic", &own("notification-events")],
            ["--inventory-group", &own("inventory")],
            ["--analytics-group", &own("analytics")],
            ["--notification-group", &own("notification")],
            ["--create-partitions", "1"],
        ];
        let four: Vec<String> = listen_all(&["order", "inventory", "notification", "analytics"]);
        start("streaming", &names.concat(), &four);
    }

    fn start_weather(&mut self) {
        let Pipeline { servers, prefix, .. } = self.pipeline.clone();
        let name = format!("{prefix}-message");
        let (redis, valkey) = (self.stores[0].url(), self.stores[1].url());
        let rabbitmq = std::env::var("RABBITMQ_URL").expect("`make test` starts RabbitMQ");
        let variables = [
            ("KAFKA_BOOTSTRAP_SERVERS", servers.bootstrap_servers.as_str()),
            ("SCHEMA_REGISTRY_URL", &servers.registry_url),
            ("RABBITMQ_URL", &rabbitmq),
            ("REDIS_URL", &redis),
            ("VALKEY_URL", &valkey),
            ("WEATHER_TOPIC", &name),
            ("WEATHER_QUEUE", &name),
            ("WEATHER_GROUP_ID", &name),
        ];
        let start = |args: &[&str]| Process::start("weather", args, &variables);
        let here = "127.0.0.1:0";
        for (job, service) in [
            ("weather-kafka-consumer", "kafka-consumer"),
            ("weather-rabbit-consumer", "rabbit-consumer"),
        ] {
            self.with_metrics(job, start(&[service, "--metrics-addr", here]));
        }
        let mut publisher = start(&["publisher", "--listen", here, "--grpc-listen", here]);
        let told = publisher.wait_for_log("gRPC is served on http://", READY_MAX);
        let at = told.find("http://").expect("it holds the text");
        let grpc = told[at..].split(' ').next().expect("an address").to_owned();
        let mut api = start(&["api", "--listen", here, "--publisher-url", &grpc]);
        self.weather = api.address_of("api");
        let rest = publisher.address_of("publisher");
        for (job, address, process) in
            [("weather-publisher", rest, publisher), ("weather-api", self.weather.clone(), api)]
        {
            self.targets.push((job.to_owned(), address));
            self.processes.push((job, process));
        }
    }

    fn with_metrics(&mut self, job: &'static str, mut process: Process) {
        self.targets.push((job.to_owned(), process.metrics_addr()));
        self.processes.push((job, process));
    }

    pub(crate) fn process(&mut self, job: &str) -> &mut Process {
        let found = self.processes.iter_mut().find(|(known, _)| *known == job);
        &mut found.expect("it was started").1
    }

    /// An order for each of the flows, and a report of the weather.
    pub(crate) fn place_orders(&self) {
        for front in &self.fronts {
            accepted(front, "/order", &burgers(1));
        }
        let report = r#"{"description":"it rains","country":"GT","weather":"rainy"}"#;
        accepted(&self.weather, "/weather", report);
    }
}

/// Sends a body until it is accepted, as clients do: a broker under load may acknowledge too late.
fn accepted(front: &str, path: &str, body: &str) {
    wait::is_true("what is sent being accepted", ACCEPTED_WITHIN, || {
        http::post_json(front, path, &[], body).is_ok_and(|answer| answer.status < 300)
    });
}

/// Where RabbitMQ's own exporter listens; its management API knows.
fn rabbitmq_exporter() -> String {
    let url = std::env::var("RABBITMQ_MANAGEMENT_URL").expect("`make test` starts RabbitMQ");
    let address = url.trim_start_matches("http://");
    let overview = http::request(address, "GET", "/api/overview", &[GUEST], b"");
    let overview = overview.expect("an answer").json();
    let listeners = overview["listeners"].as_array().expect("listeners");
    let exporter = listeners.iter().find(|listener| listener["protocol"] == "http/prometheus");
    format!("127.0.0.1:{}", exporter.expect("it is enabled")["port"])
}

/// A program that runs. Where a server does not answer in time it ends at once, as it should: a busy machine
/// may keep one from answering, and then it is started again.
fn started(program: &str, args: &[&str]) -> Process {
    let mut last = Process::start(program, args, &[]);
    for _ in 1..STARTS_MAX {
        wait::is_true("a service that listens, or an end", READY_MAX, || {
            !last.is_running() || last.log().contains(r#"service="order""#)
        });
        if last.is_running() {
            break;
        }
        last = Process::start(program, args, &[]);
    }
    last
}
