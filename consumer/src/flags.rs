//! Settings as written: flags, environment, file.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};
use service_kit::args::{KafkaArgs, LogArgs, MetricsAddr, OutputFormat, RegistryArgs};
use service_kit::units::{DurationArg, finite};

/// Keeps exact running averages of orders per product; failed orders are retried after a
/// delay and end, if they must, in a dead-letter topic.
///
/// Records, averages and offsets of a batch are committed in one transaction.
#[derive(Debug, Clone, Default, Parser, Serialize, Deserialize)]
#[command(
    name = "consumer",
    version,
    after_help = "Examples:
  consumer --create-topics
  consumer --exit-at-end -o json
  consumer --simulate-failures 0.1 --retry-delay 2s,30s,5m
  consumer --instance-id pod-0 --lanes 4 --metrics-addr 0.0.0.0:9464

Exit codes: 0 done, 1 failed, 2 usage or configuration"
)]
pub struct Flags {
    /// Settings file [default: config/consumer.toml, if it exists]
    #[arg(long, env = "CONSUMER_CONFIG", value_name = "FILE")]
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

    /// Topic to read orders from [default: orders]
    #[arg(long, env = "CONSUMER_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub topic: Option<String>,

    /// Topic in which failed orders wait for their next attempt [default: orders-retry]
    #[arg(long, env = "CONSUMER_RETRY_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub retry_topic: Option<String>,

    /// Topic for orders that are given up [default: orders-dlq]
    #[arg(long, env = "CONSUMER_DLQ_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub dlq_topic: Option<String>,

    /// Compacted topic of the running averages; one per group [default: orders-averages]
    #[arg(long, env = "CONSUMER_AVERAGES_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub averages_topic: Option<String>,

    /// Topic that tells the outcome of every attempt [default: none]
    #[arg(long, env = "CONSUMER_OUTCOMES_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub outcomes_topic: Option<String>,

    /// Make topics that are missing, with the settings they need
    #[arg(long, env = "CONSUMER_CREATE_TOPICS", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Topics")]
    pub create_topics: Option<bool>,

    /// Partitions of topics that are made when the orders topic does not exist [default: 3]
    #[arg(long, env = "CONSUMER_CREATE_PARTITIONS", value_name = "N", help_heading = "Topics")]
    pub create_partitions: Option<i32>,

    /// Only look schemas up in the registry, do not register them
    #[arg(long, env = "CONSUMER_NO_REGISTER", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Topics")]
    pub no_register: Option<bool>,

    /// Delete settled records of the retry topic this often; 0 for never [default: 1h]
    #[arg(long, env = "CONSUMER_TRIM_RETRY", value_name = "DURATION", help_heading = "Topics")]
    pub trim_retry: Option<DurationArg>,

    /// Headers of other tools that dead letters carry as well [default: spring]
    #[arg(long, env = "CONSUMER_DLQ_HEADERS", value_name = "DIALECT", help_heading = "Topics")]
    pub dlq_headers: Option<DlqHeaders>,

    /// Consumer group [default: order-consumer]
    #[arg(long, env = "CONSUMER_GROUP_ID", value_name = "GROUP", help_heading = "Group")]
    pub group_id: Option<String>,

    /// Name of this instance: static membership and a stable transactional id
    #[arg(long, env = "CONSUMER_INSTANCE_ID", value_name = "NAME", help_heading = "Group")]
    pub instance_id: Option<String>,

    /// Threads that each own a share of the partitions [default: cores, at most partitions]
    #[arg(long, env = "CONSUMER_LANES", value_name = "N", help_heading = "Group")]
    pub lanes: Option<usize>,

    /// What holds across a crash [default: exactly-once]
    #[arg(long, env = "CONSUMER_GUARANTEE", value_name = "GUARANTEE", help_heading = "Delivery")]
    pub guarantee: Option<GuaranteeArg>,

    /// Order that is kept across retries [default: none]
    #[arg(long, env = "CONSUMER_ORDER", value_name = "ORDER", help_heading = "Delivery")]
    pub order: Option<OrderArg>,

    /// With --order key: what becomes of the records that wait behind one that is given up
    /// [default: release]
    #[arg(long, env = "CONSUMER_ON_DEAD_LETTER", value_name = "WHAT", help_heading = "Delivery")]
    pub on_dead_letter: Option<OnDeadLetterArg>,

    /// With --order key: records that may wait behind one of their key before the partition is
    /// not read any more [default: 10000]
    #[arg(long, env = "CONSUMER_FOLLOWERS_MAX", value_name = "N", help_heading = "Delivery")]
    pub followers_max: Option<usize>,

    /// Do not count an order whose id stands at most N offsets lower in its partition; 0 for off
    /// [default: 0]
    #[arg(long, env = "CONSUMER_DEDUPE", value_name = "N", help_heading = "Delivery")]
    pub dedupe: Option<u32>,

    /// Further attempts after the first one [default: 3]
    #[arg(long, env = "CONSUMER_MAX_RETRIES", value_name = "N", help_heading = "Delivery")]
    pub max_retries: Option<u32>,

    /// Delay before each retry, the last one repeated: 2s or 2s,30s,5m [default: 2s]
    #[arg(
        long,
        env = "CONSUMER_RETRY_DELAY",
        value_name = "DURATION",
        value_delimiter = ',',
        help_heading = "Delivery"
    )]
    pub retry_delay: Option<Vec<DurationArg>>,

    /// Spread each delay by up to this share of itself, 0.0 to 1.0 [default: 0.0]
    #[arg(long, env = "CONSUMER_RETRY_JITTER", value_parser = finite, value_name = "SHARE", help_heading = "Delivery")]
    pub retry_jitter: Option<f64>,

    /// Records that may wait in retry, per lane, before new orders are held back [default: 200000]
    #[arg(long, env = "CONSUMER_WAITING_MAX", value_name = "N", help_heading = "Delivery")]
    pub waiting_max: Option<usize>,

    /// Whether a lane stops before it gives up too many records: on, or off for imports
    /// [default: on]
    #[arg(long, env = "CONSUMER_DLQ_LIMIT", value_name = "ON", help_heading = "Delivery")]
    pub dlq_limit: Option<Switch>,

    /// Share of dead letters among the last 1,000 records above which it stops [default: 0.5]
    #[arg(long, env = "CONSUMER_DLQ_LIMIT_RATIO", value_parser = finite, value_name = "SHARE", help_heading = "Delivery")]
    pub dlq_limit_ratio: Option<f64>,

    /// Dead letters in a row at which it stops [default: 1000]
    #[arg(
        long,
        env = "CONSUMER_DLQ_LIMIT_CONSECUTIVE",
        value_name = "N",
        help_heading = "Delivery"
    )]
    pub dlq_limit_consecutive: Option<u32>,

    /// What it does then [default: pause; exit with --exit-at-end]
    #[arg(long, env = "CONSUMER_ON_DLQ_LIMIT", value_name = "WHAT", help_heading = "Delivery")]
    pub on_dlq_limit: Option<OnDlqLimitArg>,

    /// How long the registry must have said that it has no such schema before a record is
    /// given up for it: a replica may lag [default: 30s]
    #[arg(
        long,
        env = "CONSUMER_UNKNOWN_SCHEMA_GRACE",
        value_name = "DURATION",
        help_heading = "Delivery"
    )]
    pub unknown_schema_grace: Option<DurationArg>,

    /// Go on where records were deleted before they were read
    #[arg(long, env = "CONSUMER_ACCEPT_GAP", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Delivery")]
    pub accept_gap: Option<bool>,

    /// Read orders from a compacted topic: what compaction removes is never counted
    #[arg(long, env = "CONSUMER_ACCEPT_COMPACTED", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Delivery")]
    pub accept_compacted: Option<bool>,

    /// Share of attempts that fail on request, 0.0 to 1.0 [default: 0.0]
    #[arg(
        long,
        env = "CONSUMER_SIMULATE_FAILURES",
        value_parser = finite,
        value_name = "SHARE",
        help_heading = "Simulation"
    )]
    pub simulate_failures: Option<f64>,

    /// Seed of the formula that says which attempts fail [default: 42]
    #[arg(long, env = "CONSUMER_FAILURE_SEED", value_name = "N", help_heading = "Simulation")]
    pub failure_seed: Option<u64>,

    /// Let every attempt meet a downstream that refuses, for this long after the start
    /// [default: 0s]
    #[arg(
        long,
        env = "CONSUMER_SIMULATE_OUTAGE",
        value_name = "DURATION",
        help_heading = "Simulation"
    )]
    pub simulate_outage: Option<DurationArg>,

    /// Time that the handler of each order waits [default: 0ms]
    #[arg(
        long,
        env = "CONSUMER_SIMULATE_LATENCY",
        value_name = "DURATION",
        help_heading = "Simulation"
    )]
    pub simulate_latency: Option<DurationArg>,

    /// Time that the handler of one attempt may take, while handlers wait [default: 30s]
    #[arg(
        long,
        env = "CONSUMER_HANDLER_TIMEOUT",
        value_name = "DURATION",
        help_heading = "Simulation"
    )]
    pub handler_timeout: Option<DurationArg>,

    /// Handlers of a lane that may wait at once [default: 256]
    #[arg(long, env = "CONSUMER_CONCURRENCY", value_name = "N", help_heading = "Simulation")]
    pub concurrency: Option<usize>,

    /// Process what is there at the start, wait for its retries, print statistics and exit
    #[arg(long, env = "CONSUMER_EXIT_AT_END", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Run")]
    pub exit_at_end: Option<bool>,

    /// Print a line for each settled attempt: counted, retried, dead-lettered; JSON with -o jsonl
    #[arg(long, env = "CONSUMER_PRINT_ORDERS", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Run")]
    pub print_orders: Option<bool>,

    /// Form of the final statistics on stdout [default: table]
    #[arg(long, short = 'o', env = "CONSUMER_OUTPUT", value_name = "FORMAT", help_heading = "Run")]
    pub output: Option<OutputFormat>,

    /// Where /metrics, /livez and /readyz are served, or off [default: 127.0.0.1:9464]
    #[arg(
        long,
        env = "CONSUMER_METRICS_ADDR",
        value_name = "HOST:PORT",
        help_heading = "Observability"
    )]
    pub metrics_addr: Option<MetricsAddr>,

    /// Form of the logs.
    #[command(flatten)]
    #[serde(flatten)]
    pub log: LogArgs,
}

/// What holds across a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuaranteeArg {
    /// Records, averages and offsets in one transaction.
    ExactlyOnce,
    /// No transaction: a crash may repeat records and count them twice.
    AtLeastOnce,
}

/// Order that is kept across retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderArg {
    /// A retry never holds up other records.
    None,
    /// Records of one key are processed in the order in which they came, also while one of
    /// them waits for a retry; other keys go on.
    Key,
}

/// What becomes of the records that wait behind one that is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDeadLetterArg {
    /// They go on in order.
    Release,
    /// Those that wait at that moment are given up as well.
    Hold,
}

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// What a lane does that has reached the limit of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDlqLimitArg {
    /// It stands still and is not ready.
    Pause,
    /// The program ends with exit 1.
    Exit,
}

/// Headers of other tools on dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DlqHeaders {
    /// Spring's kafka_dlt-*.
    Spring,
    /// Spring's, and Kafka Connect's __connect.errors.* as well.
    Connect,
}
