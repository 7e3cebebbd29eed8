//! Stores of one test, and names of its topics and queues.

use std::collections::BTreeMap;
use std::time::Duration;

use lapin::options::{ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use stack::{RedisConfig, RedisServer};
use tempfile::TempDir;
use testkit::{HttpAnswer, Pipeline, Process, http};

/// Longest wait for anything that should happen soon, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(90);

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: start the stack, see CONTRIBUTING.md"))
}

/// Both stores.
pub(crate) struct Stores {
    pub(crate) redis: RedisServer,
    pub(crate) valkey: RedisServer,
    _dir: TempDir,
}

impl Stores {
    pub(crate) fn start(args: &[&str]) -> Self {
        let dir = TempDir::with_prefix("weather-stores-").expect("a directory");
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let redis = RedisConfig::in_dir(dir.path().join("redis"));
        let valkey = RedisConfig::valkey_in_dir(dir.path().join("valkey"));
        let start = |config| {
            RedisServer::start(RedisConfig { args: args.clone(), ..config }).expect("a store")
        };
        Self { redis: start(redis), valkey: start(valkey), _dir: dir }
    }
}

/// What a store has counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub(crate) total: u64,
    pub(crate) countries: BTreeMap<String, u64>,
    pub(crate) kinds: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Totals {
    /// Adds a report.
    pub(crate) fn count(&mut self, country: &str, kind: &str) {
        self.total += 1;
        *self.countries.entry(country.to_owned()).or_default() += 1;
        let kinds = self.kinds.entry(country.to_owned()).or_default();
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }

    /// Reads what a store has; `None` while it is not there.
    pub(crate) fn of(url: &str) -> Option<Self> {
        let client = redis::Client::open(url).expect("an address");
        let mut store = client.get_connection_with_timeout(Duration::from_secs(2)).ok()?;
        let mut get = |key: &str| redis::cmd("HGETALL").arg(key).query(&mut store);
        let countries: BTreeMap<String, u64> = get("country:counts").ok()?;
        let mut kinds = BTreeMap::new();
        for country in countries.keys() {
            kinds.insert(country.clone(), get(&format!("weather:counts:{country}")).ok()?);
        }
        let total: Option<u64> = redis::cmd("GET").arg("messages:total").query(&mut store).ok()?;
        Some(Self { total: total.unwrap_or(0), countries, kinds })
    }
}

/// Names of one test.
pub(crate) struct Rig {
    pub(crate) topics: Pipeline,
    pub(crate) queue: String,
    pub(crate) rabbitmq_url: String,
    pub(crate) redis_url: String,
    pub(crate) valkey_url: String,
}

impl Rig {
    pub(crate) fn new(topics: Pipeline, stores: &Stores) -> Self {
        let queue = format!("{}-message", topics.prefix);
        let (redis_url, valkey_url) = (stores.redis.url(), stores.valkey.url());
        Self { topics, queue, rabbitmq_url: variable("RABBITMQ_URL"), redis_url, valkey_url }
    }

    /// Starts a service, or `all`.
    pub(crate) fn start(&self, service: &str, args: &[&str]) -> Process {
        let own = ["--queue", &self.queue, "--retry-delay", "200ms"];
        let variables = [
            ("RABBITMQ_URL", self.rabbitmq_url.as_str()),
            ("REDIS_URL", &self.redis_url),
            ("VALKEY_URL", &self.valkey_url),
        ];
        Process::start(
            "weather",
            &[&[service], &self.topics.engine_args()[..], &own, args].concat(),
            &variables,
        )
    }

    /// Starts all services in one process, each on a free port.
    pub(crate) fn start_all(&self, args: &[&str]) -> Process {
        let free = ["--api-listen", "--publisher-listen", "--grpc-listen", "--metrics-addr"];
        let free = free.iter().flat_map(|flag| [*flag, "127.0.0.1:0"]).collect::<Vec<_>>();
        self.start("all", &[&free[..], args].concat())
    }

    /// Works on a channel of its own, around every proxy.
    pub(crate) fn amqp<T>(&self, work: impl AsyncFnOnce(Channel) -> lapin::Result<T>) -> T {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let (url, options) = (variable("RABBITMQ_URL"), ConnectionProperties::default());
            let connection = Connection::connect(&url, options).await.expect("a connection");
            let channel = connection.create_channel().await.expect("a channel");
            work(channel).await.expect("the broker does it")
        })
    }

    /// Messages that lie in the queue of dead letters.
    pub(crate) fn dead_messages(&self) -> u32 {
        let name = format!("{}.dlq", self.queue);
        self.amqp(async |channel| {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let queue = channel.queue_declare(name.as_str().into(), options, FieldTable::default());
            Ok(queue.await?.message_count())
        })
    }

    /// Records that lie in the topic of dead letters.
    pub(crate) fn dead_records(&self) -> usize {
        self.topics.records(&self.topics.dlq).len()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let names = ["", ".retry.200", ".dlq"].map(|suffix| format!("{}{suffix}", self.queue));
        self.amqp(async |channel| {
            for name in &names {
                let options = QueueDeleteOptions::default();
                channel.queue_delete(name.as_str().into(), options).await?;
            }
            let options = ExchangeDeleteOptions::default();
            channel.exchange_delete(self.queue.as_str().into(), options).await
        });
    }
}

/// Sends a report; `None` if there was no answer.
pub(crate) fn post(address: &str, key: &str, country: &str, weather: &str) -> Option<HttpAnswer> {
    let body =
        serde_json::json!({"description": "as seen", "country": country, "weather": weather});
    let headers = [("idempotency-key", key)];
    http::post_json(address, "/weather", &headers, &body.to_string()).ok()
}

/// Whom an answer names as unavailable.
pub(crate) fn unavailable(answer: &HttpAnswer) -> Vec<String> {
    assert_eq!(answer.status, 503, "{answer:?}");
    let names = answer.json()["unavailable"].clone();
    serde_json::from_value(names).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}
