//! Settings of `orders audit`, as written and as checked.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use codec::registry::RegistrySettings;
use kafka_io::client_config::KafkaSettings;
use serde::{Deserialize, Serialize};
use service_kit::args::{KafkaArgs, LogArgs, MetricsAddr, OutputFormat, RegistryArgs};
use service_kit::exit::{AppError, require};
use service_kit::units::DurationArg;

use super::repeated::{EVERY_MIN, Repeat};

/// Largest window of `--dedupe`, in offsets: each takes about 40 bytes.
const DEDUPE_MAX: u64 = 10_000_000;

/// What `orders audit --help` says first.
pub(crate) const ABOUT: &str = "Prove that every order was counted once, waits, or is a dead \
letter: exactly one of them.

Reads the topics and the group's committed offsets, and judges each invariant that can be read \
from them. May run beside live consumers: each partition is judged at a consistent cut.

Cost: reads every record once, one partition after the other. Memory is bounded by one \
partition: 4 bytes per offset of its orders, 32 bytes per order that ever went to retry or dead \
letters, about 150 bytes per product; with --order key 24 bytes per key, with --dedupe N about \
40 bytes per offset of the window.";

/// What `orders audit --help` says last.
pub(crate) const EXAMPLES: &str = "Examples:
  orders audit
  orders audit --outcomes-topic order-outcomes -o json |
    jq '.verdicts[] | select(.ok | not)'
  orders audit --outcomes-topic order-outcomes --order key
  orders audit --expect-drained     # lag and waiting retries are findings, too
  orders audit --every 15m --outcomes-topic order-outcomes   # for Prometheus

Exit codes: 0 green, 1 failed, 2 usage or configuration, 4 red, or something
cannot be proven (retention has taken it) and --allow-unprovable is not given;
with --every 0 when it is stopped, whatever was found";

/// Flags of `orders audit`.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct Flags {
    /// Settings file [default: config/orders.toml, if it exists]
    #[arg(long, env = "ORDERS_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Connection to Kafka.
    #[command(flatten)]
    #[serde(flatten)]
    pub kafka: KafkaArgs,

    /// Connection to the schema registry.
    #[command(flatten)]
    #[serde(flatten)]
    pub registry: RegistryArgs,

    /// Topic of orders [default: orders]
    #[arg(long, env = "ORDERS_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub topic: Option<String>,

    /// Topic in which failed orders wait [default: orders-retry]
    #[arg(long, env = "ORDERS_RETRY_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub retry_topic: Option<String>,

    /// Topic of dead letters [default: orders-dlq]
    #[arg(long, env = "ORDERS_DLQ_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub dlq_topic: Option<String>,

    /// Topic of the running averages [default: orders-averages]
    #[arg(long, env = "ORDERS_AVERAGES_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub averages_topic: Option<String>,

    /// Outcome log; without it only sums can be compared [default: none]
    #[arg(long, env = "ORDERS_OUTCOMES_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub outcomes_topic: Option<String>,

    /// Ledger of 'orders replay': from where a group counts [default: orders-replays]
    #[arg(long, env = "ORDERS_REPLAYS_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub replays_topic: Option<String>,

    /// Consumer group that is audited [default: order-consumer]
    #[arg(
        long,
        visible_alias = "group",
        env = "ORDERS_GROUP_ID",
        value_name = "GROUP",
        help_heading = "What holds"
    )]
    pub group_id: Option<String>,

    /// The group runs with --guarantee at-least-once: repeats are reported, not judged
    #[arg(long, env = "ORDERS_AT_LEAST_ONCE", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "What holds")]
    pub at_least_once: Option<bool>,

    /// Order that the group promises; key needs --outcomes-topic [default: none]
    #[arg(long, env = "ORDERS_ORDER", value_name = "ORDER", help_heading = "What holds")]
    pub order: Option<OrderArg>,

    /// The group runs with --dedupe N: an order id that was seen within the last N offsets is not
    /// counted again
    #[arg(long, env = "ORDERS_DEDUPE", value_name = "N", help_heading = "What holds")]
    pub dedupe: Option<u64>,

    /// Unsettled orders and waiting retries are findings (I8)
    #[arg(long, env = "ORDERS_EXPECT_DRAINED", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "What holds")]
    pub expect_drained: Option<bool>,

    /// Exit 0 although something cannot be proven
    #[arg(long, env = "ORDERS_ALLOW_UNPROVABLE", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "What holds")]
    pub allow_unprovable: Option<bool>,

    /// Audit again and again with this pause, until stopped, and serve what is found as metrics
    #[arg(long, env = "ORDERS_EVERY", value_name = "DURATION", help_heading = "Run")]
    pub every: Option<DurationArg>,

    /// With --every: address of /metrics, /livez and /readyz, or 'off' [default: 127.0.0.1:9469, or
    /// the next free port]
    #[arg(long, env = "ORDERS_METRICS_ADDR", value_name = "HOST:PORT", help_heading = "Run")]
    pub metrics_addr: Option<MetricsAddr>,

    /// Format of the verdicts on stdout [default: table]
    #[arg(long, short = 'o', env = "ORDERS_OUTPUT", value_name = "FORMAT", help_heading = "Run")]
    pub output: Option<OutputFormat>,

    /// Format of the logs.
    #[command(flatten)]
    #[serde(flatten)]
    pub log: LogArgs,
}

/// Order that is kept across retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderArg {
    /// No order is promised.
    None,
    /// Orders of one key end in the order in which they arrived.
    Key,
}

/// Names of the topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Orders as they came in.
    pub main: String,
    /// Waiting retries.
    pub retry: String,
    /// Dead letters.
    pub dead_letter: String,
    /// Running averages.
    pub averages: String,
    /// The outcome log, if there is one.
    pub outcomes: Option<String>,
}

impl Topics {
    /// All names, the main topic first.
    pub fn names(&self) -> Vec<&str> {
        let four = [&self.main, &self.retry, &self.dead_letter, &self.averages];
        four.into_iter().chain(&self.outcomes).map(String::as_str).collect()
    }
}

/// What the group promises, and so what is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promises {
    /// Repeats are allowed.
    pub at_least_once: bool,
    /// Orders of one key end in their order.
    pub keeps_key_order: bool,
    /// An order id does not count again within this many offsets.
    pub dedupe: Option<u64>,
    /// Nothing may be left to do.
    pub is_drained: bool,
}

/// Checked settings of an audit.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Connection to Kafka.
    pub kafka: KafkaSettings,
    /// The registry: addresses, trust and login.
    pub registry: RegistrySettings,
    /// Topics.
    pub topics: Topics,
    /// Consumer group.
    pub group: String,
    /// Ledger of replays.
    pub replays: String,
    /// What is judged.
    pub promises: Promises,
}

impl Settings {
    /// Checks settings and fills in the defaults.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the setting that is wrong.
    pub fn check(flags: &Flags) -> Result<Self, AppError> {
        let kafka = kafka_settings(&flags.kafka)?;
        let name = |given: &Option<String>, default: &str| {
            given.clone().unwrap_or_else(|| default.to_owned())
        };
        let topics = Topics {
            main: name(&flags.topic, "orders"),
            retry: name(&flags.retry_topic, "orders-retry"),
            dead_letter: name(&flags.dlq_topic, "orders-dlq"),
            averages: name(&flags.averages_topic, "orders-averages"),
            outcomes: flags.outcomes_topic.clone().filter(|name| !name.is_empty()),
        };
        let group = name(&flags.group_id, "order-consumer");
        require(!group.is_empty(), || "--group-id is empty".to_owned())?;
        let mut names = topics.names();
        require(names.iter().all(|name| !name.is_empty()), || {
            "the name of a topic is empty".to_owned()
        })?;
        names.sort_unstable();
        require(names.windows(2).all(|pair| pair[0] != pair[1]), || {
            format!("one topic has two roles: {}", names.join(", "))
        })?;
        let keeps_key_order = flags.order == Some(OrderArg::Key);
        require(!keeps_key_order || topics.outcomes.is_some(), || {
            "--order key can only be judged from the outcome log: name it with --outcomes-topic"
                .to_owned()
        })?;
        require(flags.dedupe.is_none_or(|n| (1..=DEDUPE_MAX).contains(&n)), || {
            format!("--dedupe must be between 1 and {DEDUPE_MAX}")
        })?;
        Ok(Self {
            kafka,
            registry: RegistrySettings::from_program(
                flags.registry.url(),
                flags.registry.schema_registry_ca_location.as_deref(),
            )
            .map_err(|error| AppError::usage(error.to_string()))?,
            topics,
            group,
            replays: name(&flags.replays_topic, "orders-replays"),
            promises: Promises {
                at_least_once: flags.at_least_once.unwrap_or(false),
                keeps_key_order,
                dedupe: flags.dedupe,
                is_drained: flags.expect_drained.unwrap_or(false),
            },
        })
    }
}

impl Flags {
    /// How often to audit, if more than once.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 for a pause that is too short, and for metrics of a single audit.
    pub(super) fn repeat(&self) -> Result<Option<Repeat>, AppError> {
        let metrics = self.metrics_addr.clone();
        let Some(every) = self.every.map(DurationArg::get) else {
            require(metrics.is_none(), || {
                "--metrics-addr needs --every: a single audit serves no metrics".to_owned()
            })?;
            return Ok(None);
        };
        require(every >= EVERY_MIN, || format!("--every is below {} s", EVERY_MIN.as_secs()))?;
        Ok(Some(Repeat { every, metrics }))
    }
}

/// Checks how Kafka is reached, for every subcommand.
///
/// # Errors
///
/// Fails with exit code 2 and names the setting that is wrong.
pub(crate) fn kafka_settings(args: &KafkaArgs) -> Result<KafkaSettings, AppError> {
    KafkaSettings::new("orders", args.bootstrap_servers(), args.properties())
        .and_then(KafkaSettings::with_credentials_from_env)
        .map_err(|error| AppError::usage(error.to_string()))
}

/// The name that `flag` gave, or the default.
///
/// # Errors
///
/// Fails with exit code 2 for an empty one.
pub(crate) fn named(given: Option<String>, default: &str, flag: &str) -> Result<String, AppError> {
    let name = given.unwrap_or_else(|| default.to_owned());
    require(!name.is_empty(), || format!("{flag} is empty"))?;
    Ok(name)
}
