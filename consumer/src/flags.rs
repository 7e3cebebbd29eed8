//! Settings as written: flags, environment, file.

use std::path::PathBuf;

use clap::Parser;
use engine_args::{EngineArgs, OrderArgs};
use otlp::TraceArgs;
use serde::{Deserialize, Serialize};
use service_kit::args::{KafkaArgs, LogArgs, MetricsAddr, OutputFormat, RegistryArgs};
use service_kit::units::{DurationArg, finite};

/// Keeps exact running averages of orders per product. A failed order is retried after a delay; an
/// order that keeps failing goes to a dead-letter topic.
///
/// Retries, dead letters, averages and offsets of a batch are committed in one transaction.
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

    /// Topic for dead letters [default: orders-dlq]
    #[arg(long, env = "CONSUMER_DLQ_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub dlq_topic: Option<String>,

    /// Compacted topic of the running averages; one per group [default: orders-averages]
    #[arg(long, env = "CONSUMER_AVERAGES_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub averages_topic: Option<String>,

    /// Topic for the outcome of every attempt [default: none]
    #[arg(long, env = "CONSUMER_OUTCOMES_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub outcomes_topic: Option<String>,

    /// Only look schemas up in the registry, do not register them
    #[arg(long, env = "CONSUMER_NO_REGISTER", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Topics")]
    pub no_register: Option<bool>,

    /// How the engine runs.
    #[command(flatten)]
    #[serde(flatten)]
    pub engine: EngineArgs,

    /// What holds, and in which order.
    #[command(flatten)]
    #[serde(flatten)]
    pub order: OrderArgs,

    /// Consumer group [default: order-consumer]
    #[arg(long, env = "CONSUMER_GROUP_ID", value_name = "GROUP", help_heading = "Group")]
    pub group_id: Option<String>,

    /// How long the registry must answer that it has no such schema before a record is
    /// dead-lettered for it: a replica may lag [default: 30s]
    #[arg(
        long,
        env = "CONSUMER_UNKNOWN_SCHEMA_GRACE",
        value_name = "DURATION",
        help_heading = "Delivery"
    )]
    pub unknown_schema_grace: Option<DurationArg>,

    /// Share of attempts that fail on request, 0.0 to 1.0 [default: 0.0]
    #[arg(
        long,
        env = "CONSUMER_SIMULATE_FAILURES",
        value_parser = finite,
        value_name = "SHARE",
        help_heading = "Simulation"
    )]
    pub simulate_failures: Option<f64>,

    /// Seed that decides which attempts fail [default: 42]
    #[arg(long, env = "CONSUMER_FAILURE_SEED", value_name = "N", help_heading = "Simulation")]
    pub failure_seed: Option<u64>,

    /// Let every attempt fail as if the downstream refused it, for this long after the start [default: 0s]
    #[arg(
        long,
        env = "CONSUMER_SIMULATE_OUTAGE",
        value_name = "DURATION",
        help_heading = "Simulation"
    )]
    pub simulate_outage: Option<DurationArg>,

    /// Time that the handler waits for each order [default: 0ms]
    #[arg(
        long,
        env = "CONSUMER_SIMULATE_LATENCY",
        value_name = "DURATION",
        help_heading = "Simulation"
    )]
    pub simulate_latency: Option<DurationArg>,

    /// Print a line for each settled attempt: counted, retried, dead-lettered; JSON with -o jsonl
    #[arg(long, env = "CONSUMER_PRINT_ORDERS", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Run")]
    pub print_orders: Option<bool>,

    /// Format of the final statistics on stdout [default: table]
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

    /// Format of the logs.
    #[command(flatten)]
    #[serde(flatten)]
    pub log: LogArgs,

    /// Traces.
    #[command(flatten)]
    #[serde(flatten)]
    pub trace: TraceArgs,
}
