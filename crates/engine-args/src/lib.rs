//! Flags of the programs that run a pipeline of the engine, and the settings that are made of them.
//!
//! A program flattens [`EngineArgs`] into its own flags, and [`OrderArgs`] if its records have an
//! order to keep. It gives topics, group and defaults itself: see [`EngineArgs::settings`].

mod check;
mod hints;
mod topics;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use service_kit::units::{DurationArg, finite};

pub use check::{Defaults, Given};
pub use hints::FLAGS;
pub use topics::{distinct, topic_name};

/// Flags of a pipeline, whatever it does with its records.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct EngineArgs {
    /// Create missing topics, with the settings they need
    #[arg(long, env = "PROGRAM_CREATE_TOPICS", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Topics")]
    pub create_topics: Option<bool>,

    /// Partitions of created topics if the topic to read does not exist either [default: 3]
    #[arg(long, env = "PROGRAM_CREATE_PARTITIONS", value_name = "N", help_heading = "Topics")]
    pub create_partitions: Option<i32>,

    /// Delete settled records of the retry topic this often; 0 for never [default: 1h]
    #[arg(long, env = "PROGRAM_TRIM_RETRY", value_name = "DURATION", help_heading = "Topics")]
    pub trim_retry: Option<DurationArg>,

    /// Headers of other tools to add to dead letters [default: spring]
    #[arg(long, env = "PROGRAM_DLQ_HEADERS", value_name = "DIALECT", help_heading = "Topics")]
    pub dlq_headers: Option<DlqHeaders>,

    /// Name of this instance: static membership and a stable transactional id
    #[arg(long, env = "PROGRAM_INSTANCE_ID", value_name = "NAME", help_heading = "Group")]
    pub instance_id: Option<String>,

    /// Threads that each own a share of the partitions [default: cores, at most partitions]
    #[arg(long, env = "PROGRAM_LANES", value_name = "N", help_heading = "Group")]
    pub lanes: Option<usize>,

    /// Retries after the first attempt [default: 3]
    #[arg(long, env = "PROGRAM_MAX_RETRIES", value_name = "N", help_heading = "Delivery")]
    pub max_retries: Option<u32>,

    /// Delay before each retry; the last one is repeated: 2s or 2s,30s,5m [default: 2s]
    #[arg(
        long,
        env = "PROGRAM_RETRY_DELAY",
        value_name = "DURATION",
        value_delimiter = ',',
        help_heading = "Delivery"
    )]
    pub retry_delay: Option<Vec<DurationArg>>,

    /// Spread each delay by up to this share of itself, 0.0 to 1.0 [default: 0.0]
    #[arg(long, env = "PROGRAM_RETRY_JITTER", value_parser = finite, value_name = "SHARE", help_heading = "Delivery")]
    pub retry_jitter: Option<f64>,

    /// Do not count an order whose id occurs at most N offsets earlier in its partition; 0 for off
    /// [default: 0]
    #[arg(long, env = "PROGRAM_DEDUPE", value_name = "N", help_heading = "Delivery")]
    pub dedupe: Option<u32>,

    /// Records per lane that may wait for a retry before the lane stops reading new ones [default: 200000]
    #[arg(long, env = "PROGRAM_WAITING_MAX", value_name = "N", help_heading = "Delivery")]
    pub waiting_max: Option<usize>,

    /// Whether a lane stops before it produces too many dead letters: on, or off for imports
    /// [default: on]
    #[arg(long, env = "PROGRAM_DLQ_LIMIT", value_name = "ON", help_heading = "Delivery")]
    pub dlq_limit: Option<Switch>,

    /// Share of dead letters among the last 1,000 records above which the lane stops [default: 0.5]
    #[arg(long, env = "PROGRAM_DLQ_LIMIT_RATIO", value_parser = finite, value_name = "SHARE", help_heading = "Delivery")]
    pub dlq_limit_ratio: Option<f64>,

    /// Dead letters in a row at which the lane stops [default: 1000]
    #[arg(
        long,
        env = "PROGRAM_DLQ_LIMIT_CONSECUTIVE",
        value_name = "N",
        help_heading = "Delivery"
    )]
    pub dlq_limit_consecutive: Option<u32>,

    /// What the lane does at the limit [default: pause; exit with --exit-at-end]
    #[arg(long, env = "PROGRAM_ON_DLQ_LIMIT", value_name = "WHAT", help_heading = "Delivery")]
    pub on_dlq_limit: Option<OnDlqLimitArg>,

    /// Continue if records were deleted before they were read
    #[arg(long, env = "PROGRAM_ACCEPT_GAP", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Delivery")]
    pub accept_gap: Option<bool>,

    /// Read a compacted topic: what compaction removes is never counted
    #[arg(long, env = "PROGRAM_ACCEPT_COMPACTED", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Delivery")]
    pub accept_compacted: Option<bool>,

    /// Time limit of one attempt of an asynchronous handler [default: 30s]
    #[arg(
        long,
        env = "PROGRAM_HANDLER_TIMEOUT",
        value_name = "DURATION",
        help_heading = "Handlers"
    )]
    pub handler_timeout: Option<DurationArg>,

    /// Asynchronous handlers that may run at once per lane [default: 256]
    #[arg(long, env = "PROGRAM_CONCURRENCY", value_name = "N", help_heading = "Handlers")]
    pub concurrency: Option<usize>,

    /// Process all records present at the start, wait for their retries, print statistics and exit
    #[arg(long, env = "PROGRAM_EXIT_AT_END", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Run")]
    pub exit_at_end: Option<bool>,
}

/// Flags of what holds across a crash and a retry, where a program leaves it to its user.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct OrderArgs {
    /// Delivery guarantee across a crash [default: exactly-once]
    #[arg(long, env = "PROGRAM_GUARANTEE", value_name = "GUARANTEE", help_heading = "Delivery")]
    pub guarantee: Option<GuaranteeArg>,

    /// Order that is kept across retries [default: none]
    #[arg(long, env = "PROGRAM_ORDER", value_name = "ORDER", help_heading = "Delivery")]
    pub order: Option<OrderArg>,

    /// With --order key: what happens to the records that wait behind a dead letter
    /// [default: release]
    #[arg(long, env = "PROGRAM_ON_DEAD_LETTER", value_name = "WHAT", help_heading = "Delivery")]
    pub on_dead_letter: Option<OnDeadLetterArg>,

    /// With --order key: records that may wait behind one of their key before the lane stops
    /// reading the partition [default: 10000]
    #[arg(long, env = "PROGRAM_FOLLOWERS_MAX", value_name = "N", help_heading = "Delivery")]
    pub followers_max: Option<usize>,
}

/// What holds across a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuaranteeArg {
    /// Records, state and offsets in one transaction.
    ExactlyOnce,
    /// No transaction: a crash may repeat records and count them twice.
    AtLeastOnce,
}

/// Order that is kept across retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderArg {
    /// A waiting retry never holds up other records.
    None,
    /// Records of one key are processed in order, also while one of them waits for a retry; other
    /// keys continue.
    Key,
}

/// What becomes of the records that wait behind one that becomes a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDeadLetterArg {
    /// They are processed in order.
    Release,
    /// Those that wait at that moment become dead letters too.
    Hold,
}

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// The limit applies.
    On,
    /// There is no limit.
    Off,
}

/// What a lane does that has reached the limit of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDlqLimitArg {
    /// The lane pauses and is not ready.
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
    /// Spring's kafka_dlt-* and Kafka Connect's __connect.errors.*.
    Connect,
}
