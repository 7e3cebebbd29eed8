//! Settings as written: flags, environment, file.

use std::path::PathBuf;

use clap::Parser;
use engine_args::{EngineArgs, OrderArgs};
use otlp::TraceArgs;
use serde::{Deserialize, Serialize};
use service_kit::args::{KafkaArgs, LogArgs, MetricsAddr, OutputFormat, RegistryArgs};
use service_kit::secret::Secret;
use service_kit::units::DurationArg;

use crate::body::Form;

// Help of flags of the engine that are not quite the same here.
const DEDUPE: &str = "Do not send a record whose key and value occur at most N offsets earlier in \
                      its partition; 0 for off [default: 0]";
const CONCURRENCY: &str =
    "Records sent at once per lane: calls, without --batch-max [default: 64, or twice --batch-max]";
const HANDLER_TIMEOUT: &str = "Time limit of one attempt; push waits nine tenths of it for an \
                               answer, two fifths with --batch-max [default: 30s]";
const COMPACTED: &str = "Read a compacted topic: what compaction removes is never sent";
const EXIT_AT_END: &str = "Send all records present at the start, wait for their retries, print \
                           totals and exit";

/// Sends each record of a Kafka topic to an HTTP service, in any language: with retries after a delay,
/// dead letters, and pauses while the service is away.
///
/// One POST for each record, a CloudEvent in binary mode. 2xx is done; 408, 425, 429, 5xx and no
/// answer are tried again; any other answer makes the record a dead letter.
#[derive(Debug, Clone, Default, Parser, Serialize, Deserialize)]
#[command(
    name = "push",
    version,
    after_help = "Examples:
  push --topic payments --to http://127.0.0.1:9000/payments --create-topics
  push --topic payments --to https://pay.example/in --token-file token
  push --topic clicks --to http://127.0.0.1:9000 --order key --exit-at-end
  push --topic clicks --to http://127.0.0.1:9000/many --batch-max 100

Exit codes: 0 done, 1 failed, 2 usage or configuration",
    mut_arg("dedupe", |arg| arg.help(DEDUPE)),
    mut_arg("concurrency", |arg| arg.help(CONCURRENCY)),
    mut_arg("handler_timeout", |arg| arg.help(HANDLER_TIMEOUT)),
    mut_arg("accept_compacted", |arg| arg.help(COMPACTED)),
    mut_arg("exit_at_end", |arg| arg.help(EXIT_AT_END))
)]
pub struct Flags {
    /// Settings file [default: config/push.toml, if it exists]
    #[arg(long, env = "PUSH_CONFIG", value_name = "FILE")]
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

    /// Topic to read; must be given
    #[arg(long, env = "PUSH_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub topic: Option<String>,

    /// Topic in which failed records wait for their next attempt [default: TOPIC-retry]
    #[arg(long, env = "PUSH_RETRY_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub retry_topic: Option<String>,

    /// Topic for records that are given up [default: TOPIC-dlq]
    #[arg(long, env = "PUSH_DLQ_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub dlq_topic: Option<String>,

    /// Topic that tells the outcome of every attempt, as JSON [default: none]
    #[arg(long, env = "PUSH_OUTCOMES_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub outcomes_topic: Option<String>,

    /// Address of the service; must be given. It must not hold a login
    // It may hold a login all the same, which no message must show.
    #[arg(
        long,
        env = "PUSH_TO",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "Service"
    )]
    pub to: Option<Secret>,

    /// Form of the body [default: JSON for JSON and Avro, else the bytes as they are]
    #[arg(long = "as", env = "PUSH_AS", value_name = "FORM", help_heading = "Service")]
    #[serde(rename = "as")]
    pub form: Option<Form>,

    /// Send up to N records of a partition in one call, as a JSON array, at most 256 [default: one
    /// record a call]
    #[arg(long, env = "PUSH_BATCH_MAX", value_name = "N", help_heading = "Service")]
    pub batch_max: Option<usize>,

    /// PEM file of the authorities that alone may sign the service's certificate [default: those of
    /// the system]
    #[arg(long, env = "PUSH_CA", value_name = "FILE", help_heading = "Service")]
    pub ca: Option<PathBuf>,

    /// File whose first line is a bearer token
    #[arg(
        long,
        env = "PUSH_TOKEN_FILE",
        value_name = "FILE",
        hide_env_values = true,
        help_heading = "Service"
    )]
    pub token_file: Option<PathBuf>,

    /// File whose first line is user:password
    #[arg(
        long,
        env = "PUSH_BASIC_FILE",
        value_name = "FILE",
        hide_env_values = true,
        help_heading = "Service"
    )]
    pub basic_file: Option<PathBuf>,

    /// File of headers that each call has, a line 'Name: value' each
    #[arg(
        long,
        env = "PUSH_HEADER_FILE",
        value_name = "FILE",
        hide_env_values = true,
        help_heading = "Service"
    )]
    pub header_file: Option<PathBuf>,

    /// How the engine runs.
    #[command(flatten)]
    #[serde(flatten)]
    pub engine: EngineArgs,

    /// What holds, and in which order.
    #[command(flatten)]
    #[serde(flatten)]
    pub order: OrderArgs,

    /// Consumer group [default: push-TOPIC]
    #[arg(long, env = "PUSH_GROUP_ID", value_name = "GROUP", help_heading = "Group")]
    pub group_id: Option<String>,

    /// How long the registry must have said that it has no such schema before a record is
    /// given up for it: a replica may lag [default: 30s]
    #[arg(
        long,
        env = "PUSH_UNKNOWN_SCHEMA_GRACE",
        value_name = "DURATION",
        help_heading = "Delivery"
    )]
    pub unknown_schema_grace: Option<DurationArg>,

    /// Form of what is printed at the end [default: table]
    #[arg(long, short = 'o', env = "PUSH_OUTPUT", value_name = "FORMAT", help_heading = "Run")]
    pub output: Option<OutputFormat>,

    /// Where /metrics, /livez and /readyz are served, or off [default: 127.0.0.1:9466]
    #[arg(
        long,
        env = "PUSH_METRICS_ADDR",
        value_name = "HOST:PORT",
        help_heading = "Observability"
    )]
    pub metrics_addr: Option<MetricsAddr>,

    /// Form of the logs.
    #[command(flatten)]
    #[serde(flatten)]
    pub log: LogArgs,

    /// Traces.
    #[command(flatten)]
    #[serde(flatten)]
    pub trace: TraceArgs,
}
