//! Commands, and settings as written: flags, environment, file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use engine_args::{EngineArgs, OrderArg};
use order_api::args::{CatalogueArgs, TroubleArgs};
use otlp::TraceArgs;
use serde::{Deserialize, Serialize};
use service_kit::args::{HttpArgs, KafkaArgs, LogArgs, OutputFormat, RegistryArgs};
use service_kit::units::{DurationArg, finite};

// Help of flags of the engine that are not quite the same here.
const LANES: &str = "Threads per service; each owns a share of the partitions [default: 1]";
const DEDUPE: &str = "Decide only once about orders of one id that are at most N offsets apart; 0 \
                      for off [default: 100000]";
const CONCURRENCY: &str = "Orders that one thread of a service works on at once [default: 64]";
const EXIT_AT_END: &str = "Process all records present at the start, print the last report and \
                           exit; not with `all` and `order`";

/// The order flow over Kafka: an order is accepted when the brokers have it, decided about exactly
/// once, and counted from the log.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "streaming",
    version,
    after_help = "Examples:
  streaming all
  streaming inventory --processing-delay 100ms --inventory-failure-rate 0.1
  streaming analytics --report-interval 5s -o json
  streaming analytics --analytics-group analytics-2 --exit-at-end
  curl -d '{\"user_id\":\"u1\",\"item\":\"burger\",\"quantity\":1}' \\
    -H content-type:application/json localhost:8201/order
  curl --data-binary @orders.jsonl -H content-type:application/x-ndjson \\
    localhost:8201/orders

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
    All(ServiceFlags),
    /// Take orders over HTTP and append them to the log (port 8201)
    Order(ServiceFlags),
    /// Decide about orders, exactly once (port 8202: stock, health)
    Inventory(ServiceFlags),
    /// Count decisions by event time and report (port 8203: report, health)
    Analytics(ServiceFlags),
    /// Notify customers (port 8204: health)
    Notification(ServiceFlags),
}

/// Settings of the services.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[command(
    mut_arg("create_topics", |arg| arg.help("Create missing topics [default: true]")),
    mut_arg("lanes", |arg| arg.help(LANES)),
    mut_arg("dedupe", |arg| arg.help(DEDUPE)),
    mut_arg("concurrency", |arg| arg.help(CONCURRENCY)),
    mut_arg("exit_at_end", |arg| arg.help(EXIT_AT_END))
)]
pub struct ServiceFlags {
    /// Settings file [default: config/streaming.toml, if it exists]
    #[arg(long, env = "STREAMING_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Kafka.
    #[command(flatten)]
    #[serde(flatten)]
    pub kafka: KafkaArgs,

    /// The schema registry.
    #[command(flatten)]
    #[serde(flatten)]
    pub registry: RegistryArgs,

    /// Only look schemas up in the registry; do not register them
    #[arg(long, env = "STREAMING_NO_REGISTER", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Connection")]
    pub no_register: Option<bool>,

    /// Address of the one service that is run [default: 127.0.0.1, port 8201 to 8204]
    #[arg(long, env = "STREAMING_LISTEN", value_name = "HOST:PORT", help_heading = "Addresses")]
    pub listen: Option<String>,

    /// Address of the order service, with `all` [default: 127.0.0.1:8201]
    #[arg(
        long,
        env = "STREAMING_ORDER_LISTEN",
        value_name = "HOST:PORT",
        help_heading = "Addresses"
    )]
    pub order_listen: Option<String>,

    /// Address of the inventory service, with `all` [default: 127.0.0.1:8202]
    #[arg(
        long,
        env = "STREAMING_INVENTORY_LISTEN",
        value_name = "HOST:PORT",
        help_heading = "Addresses"
    )]
    pub inventory_listen: Option<String>,

    /// Address of the analytics service, with `all` [default: 127.0.0.1:8203]
    #[arg(
        long,
        env = "STREAMING_ANALYTICS_LISTEN",
        value_name = "HOST:PORT",
        help_heading = "Addresses"
    )]
    pub analytics_listen: Option<String>,

    /// Address of the notification service, with `all` [default: 127.0.0.1:8204]
    #[arg(
        long,
        env = "STREAMING_NOTIFICATION_LISTEN",
        value_name = "HOST:PORT",
        help_heading = "Addresses"
    )]
    pub notification_listen: Option<String>,

    /// Topic of placed orders [default: order-events]
    #[arg(long, env = "STREAMING_ORDER_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub order_topic: Option<String>,

    /// Topic of decisions [default: inventory-events]
    #[arg(long, env = "STREAMING_INVENTORY_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub inventory_topic: Option<String>,

    /// Topic of notifications to customers [default: notification-events]
    #[arg(
        long,
        env = "STREAMING_NOTIFICATION_TOPIC",
        value_name = "TOPIC",
        help_heading = "Topics"
    )]
    pub notification_topic: Option<String>,

    /// How the engine of each service runs.
    #[command(flatten)]
    #[serde(flatten)]
    pub engine: EngineArgs,

    /// Order that is kept among the orders of one item, also while one of them is worked on or waits
    /// for a retry [default: none]
    #[arg(long, env = "STREAMING_ORDER", value_name = "ORDER", help_heading = "Delivery")]
    pub order: Option<OrderArg>,

    /// Group of the inventory service, and beginning of the name of its state topic
    /// [default: inventory]
    #[arg(long, env = "STREAMING_INVENTORY_GROUP", value_name = "GROUP", help_heading = "Groups")]
    pub inventory_group: Option<String>,

    /// Group of the analytics service, and beginning of the names of its topics
    /// [default: analytics]
    #[arg(long, env = "STREAMING_ANALYTICS_GROUP", value_name = "GROUP", help_heading = "Groups")]
    pub analytics_group: Option<String>,

    /// Group of the notification service, and beginning of the names of its topics
    /// [default: notification]
    #[arg(
        long,
        env = "STREAMING_NOTIFICATION_GROUP",
        value_name = "GROUP",
        help_heading = "Groups"
    )]
    pub notification_group: Option<String>,

    /// Folder for orders and keys, which survive a restart of the order service [default: data/streaming]
    #[arg(long, env = "STREAMING_DATA_DIR", value_name = "DIR", help_heading = "Orders")]
    pub data_dir: Option<PathBuf>,

    /// The menu.
    #[command(flatten)]
    #[serde(flatten)]
    pub catalogue: CatalogueArgs,

    /// Share of attempts of inventory that fail on request, 0.0 to 1.0 [default: 0.0]
    #[arg(
        long,
        env = "STREAMING_SIMULATE_FAILURES",
        value_parser = finite,
        value_name = "SHARE",
        help_heading = "Simulation"
    )]
    pub simulate_failures: Option<f64>,

    /// Injected trouble.
    #[command(flatten)]
    #[serde(flatten)]
    pub trouble: TroubleArgs,

    /// Time between two reports of analytics [default: 30s]
    #[arg(long, env = "STREAMING_REPORT_INTERVAL", value_name = "DURATION", help_heading = "Run")]
    pub report_interval: Option<DurationArg>,

    /// Format of the reports on stdout [default: table]
    #[arg(
        long,
        short = 'o',
        env = "STREAMING_OUTPUT",
        value_name = "FORMAT",
        help_heading = "Run"
    )]
    pub output: Option<OutputFormat>,

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
