//! Commands, and settings as written: flags, environment, file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use engine_args::EngineArgs;
use otlp::TraceArgs;
use serde::{Deserialize, Serialize};
use service_kit::args::{HttpArgs, KafkaArgs, LogArgs, MetricsAddr, RegistryArgs};
use service_kit::secret::Secret;

// Help of flags of the engine that are not quite the same here.
const DEDUPE: &str = "Do not count a record whose id occurs at most N offsets earlier in its \
                      partition, beside what the store remembers; 0 for off [default: 0]";
const CONCURRENCY: &str = "Writes to Redis at once, per lane [default: 64]";
const RETRY_DELAY: &str = "Delay before each retry; the last one is repeated: 2s or 2s,30s,5m; on \
                           RabbitMQ each is a queue [default: 2s]";
const CREATE_TOPICS: &str = "Create missing topics [default: true]";
const EXIT_AT_END: &str =
    "kafka-consumer: count all records present at the start, print totals and exit";

/// Weather reports over HTTP and gRPC, through Kafka to Redis and through RabbitMQ to Valkey, with the
/// same counts in both.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "weather",
    version,
    after_help = "Examples:
  weather all
  weather publisher --listen 127.0.0.1:8081 --grpc-listen 127.0.0.1:50051
  weather kafka-consumer --redis-url rediss://redis --redis-password-file pw
  curl -d '{\"description\":\"it rains\",\"country\":\"GT\",\"weather\":\"rainy\"}' \\
    -H content-type:application/json -H idempotency-key:k1 \\
    localhost:8080/weather

Exit codes: 0 done, 1 failed, 2 usage or configuration"
)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Run all four services in one process
    #[command(after_help = "Examples:
  weather all
  weather all --api-listen 127.0.0.1:9000 --redis-url redis://localhost/1")]
    All(Flags),
    /// Take reports over HTTP and hand them to the publisher (port 8080)
    #[command(after_help = "Examples:
  weather api
  weather api --listen 0.0.0.0:8080 --publisher-url http://publisher:50051")]
    Api(Flags),
    /// Publish reports to Kafka and RabbitMQ (port 8081, gRPC on port 50051)
    #[command(after_help = "Examples:
  weather publisher
  weather publisher --topic message --queue message --grpc-listen 0.0.0.0:50051")]
    Publisher(Flags),
    /// Count the reports of Kafka in Redis
    #[command(after_help = "Examples:
  weather kafka-consumer
  weather kafka-consumer --redis-url rediss://redis --redis-password-file pw")]
    KafkaConsumer(Flags),
    /// Count the reports of RabbitMQ in Valkey
    #[command(after_help = "Examples:
  weather rabbit-consumer
  weather rabbit-consumer --valkey-url redis://valkey:6379 --prefetch 256")]
    RabbitConsumer(Flags),
}

/// Settings of the services.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[command(
    mut_arg("create_topics", |arg| arg.help(CREATE_TOPICS)),
    mut_arg("dedupe", |arg| arg.help(DEDUPE)),
    mut_arg("concurrency", |arg| arg.help(CONCURRENCY)),
    mut_arg("retry_delay", |arg| arg.help(RETRY_DELAY)),
    mut_arg("exit_at_end", |arg| arg.help(EXIT_AT_END))
)]
pub struct Flags {
    /// Settings file [default: config/weather.toml, if it exists]
    #[arg(long, env = "WEATHER_CONFIG", value_name = "FILE")]
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

    /// Only look schemas up in the registry; do not register them
    #[arg(long, env = "WEATHER_NO_REGISTER", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Connection")]
    pub no_register: Option<bool>,

    /// RabbitMQ [default: amqp://guest:guest@localhost:5672/%2f]
    // The address carries a password, which --help must not show.
    #[arg(
        long,
        env = "RABBITMQ_URL",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    pub rabbitmq_url: Option<Secret>,

    /// Address of the one service that is run: api or publisher [default: 127.0.0.1, port 8080 or 8081]
    #[arg(long, env = "WEATHER_LISTEN", value_name = "HOST:PORT", help_heading = "Addresses")]
    pub listen: Option<String>,

    /// Address of the API, with `all` [default: 127.0.0.1:8080]
    #[arg(long, env = "WEATHER_API_LISTEN", value_name = "HOST:PORT", help_heading = "Addresses")]
    pub api_listen: Option<String>,

    /// Address of the publisher, with `all` [default: 127.0.0.1:8081]
    #[arg(
        long,
        env = "WEATHER_PUBLISHER_LISTEN",
        value_name = "HOST:PORT",
        help_heading = "Addresses"
    )]
    pub publisher_listen: Option<String>,

    /// Address of the publisher's gRPC [default: 127.0.0.1:50051]
    #[arg(long, env = "WEATHER_GRPC_LISTEN", value_name = "HOST:PORT", help_heading = "Addresses")]
    pub grpc_listen: Option<String>,

    /// The publisher's gRPC, for the API [default: http://127.0.0.1:50051; with `all`, its own]
    #[arg(long, env = "WEATHER_PUBLISHER_URL", value_name = "URL", help_heading = "Addresses")]
    pub publisher_url: Option<String>,

    /// Topic of the reports [default: message]
    #[arg(long, env = "WEATHER_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub topic: Option<String>,

    /// Topic in which failed records wait for their next attempt [default: TOPIC-retry]
    #[arg(long, env = "WEATHER_RETRY_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub retry_topic: Option<String>,

    /// Topic for records that are given up [default: TOPIC-dlq]
    #[arg(long, env = "WEATHER_DLQ_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub dlq_topic: Option<String>,

    /// Queue of the reports, its exchange, and the beginning of its retry and dead-letter queues
    /// [default: message]
    #[arg(long, env = "WEATHER_QUEUE", value_name = "QUEUE", help_heading = "Topics")]
    pub queue: Option<String>,

    /// Redis, in which kafka-consumer counts; rediss:// for TLS [default: redis://localhost:6379]
    #[arg(
        long,
        env = "REDIS_URL",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "Stores"
    )]
    pub redis_url: Option<Secret>,

    /// File whose first line is the password for Redis
    #[arg(
        long,
        env = "REDIS_PASSWORD_FILE",
        value_name = "FILE",
        hide_env_values = true,
        help_heading = "Stores"
    )]
    pub redis_password_file: Option<PathBuf>,

    /// PEM file of the authorities that alone may sign the certificate of Redis [default: those of the
    /// system]
    #[arg(long, env = "REDIS_CA", value_name = "FILE", help_heading = "Stores")]
    pub redis_ca: Option<PathBuf>,

    /// Valkey, in which rabbit-consumer counts; rediss:// for TLS [default: redis://localhost:6380]
    #[arg(
        long,
        env = "VALKEY_URL",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "Stores"
    )]
    pub valkey_url: Option<Secret>,

    /// File whose first line is the password for Valkey
    #[arg(
        long,
        env = "VALKEY_PASSWORD_FILE",
        value_name = "FILE",
        hide_env_values = true,
        help_heading = "Stores"
    )]
    pub valkey_password_file: Option<PathBuf>,

    /// PEM file of the authorities that alone may sign the certificate of Valkey [default: those of the
    /// system]
    #[arg(long, env = "VALKEY_CA", value_name = "FILE", help_heading = "Stores")]
    pub valkey_ca: Option<PathBuf>,

    /// Message ids that a store remembers: a report that comes again after so many others is counted
    /// again [default: 1000000]
    #[arg(long, env = "WEATHER_REMEMBER", value_name = "N", help_heading = "Stores")]
    pub remember: Option<u64>,

    /// How the engine of kafka-consumer runs.
    #[command(flatten)]
    #[serde(flatten)]
    pub engine: EngineArgs,

    /// Consumer group [default: weather]
    #[arg(long, env = "WEATHER_GROUP_ID", value_name = "GROUP", help_heading = "Group")]
    pub group_id: Option<String>,

    /// Messages that RabbitMQ hands out at a time, and that are worked on at a time [default: 64]
    #[arg(long, env = "WEATHER_PREFETCH", value_name = "N", help_heading = "Delivery")]
    pub prefetch: Option<u16>,

    /// Where a consumer serves /metrics, /livez and /readyz, or off [default: 127.0.0.1:9467 for
    /// kafka-consumer and all, 9468 for rabbit-consumer]
    #[arg(
        long,
        env = "WEATHER_METRICS_ADDR",
        value_name = "HOST:PORT",
        help_heading = "Observability"
    )]
    pub metrics_addr: Option<MetricsAddr>,

    /// Limits of each HTTP server.
    #[command(flatten)]
    #[serde(flatten)]
    pub http: HttpArgs,

    /// Logs.
    #[command(flatten)]
    #[serde(flatten)]
    pub log: LogArgs,

    /// Traces.
    #[command(flatten)]
    #[serde(flatten)]
    pub trace: TraceArgs,
}
