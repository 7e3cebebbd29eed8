//! Commands, and settings as written: flags, environment, file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use order_api::args::{CatalogueArgs, TroubleArgs};
use otlp::TraceArgs;
use serde::{Deserialize, Serialize};
use service_kit::args::{HttpArgs, LogArgs, OutputFormat, RegistryArgs};
use service_kit::secret::Secret;
use service_kit::units::{DurationArg, finite};

use crate::topology::WorkQueue;

/// The order flow over RabbitMQ: an order is accepted when the broker has it, and done when
/// inventory and notification have read it.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "rabbit",
    version,
    after_help = "Examples:
  rabbit all
  rabbit inventory --inventory-delay 2s --max-retries 5 --retry-delay 1s,10s
  rabbit topology -o json
  rabbit dlq list
  rabbit dlq redrive --queue inventory --reason simulated --execute
  curl -d '{\"user_id\":\"u1\",\"item\":\"burger\",\"quantity\":1}' \\
    -H content-type:application/json localhost:8101/order

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 partly done"
)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Run all three services in one process
    All(ServiceFlags),
    /// Take orders over HTTP and hand them to the broker (port 8101)
    Order(ServiceFlags),
    /// Decide about orders (port 8102: stock, decisions, health)
    Inventory(ServiceFlags),
    /// Notify customers (port 8103: notifications, health)
    Notification(ServiceFlags),
    /// Print exchange, queues and bindings as they are declared
    Topology(TopologyFlags),
    /// Inspect dead letters and send them back
    #[command(subcommand)]
    Dlq(DlqCommand),
}

/// How to reach the broker.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct BrokerArgs {
    /// Broker [default: amqp://guest:guest@localhost:5672/%2f]
    // The address carries a password, which --help must not show.
    #[arg(
        long,
        env = "RABBITMQ_URL",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    pub rabbitmq_url: Option<Secret>,

    /// Exchange, and beginning of the names of all queues [default: orders]
    #[arg(long, env = "RABBIT_PREFIX", value_name = "NAME", help_heading = "Connection")]
    pub prefix: Option<String>,

    /// Delay before each retry, the last one repeated: 2s or 2s,30s,5m; each is a queue [default: 2s]
    #[arg(
        long,
        env = "RABBIT_RETRY_DELAY",
        value_name = "DURATION",
        value_delimiter = ',',
        help_heading = "Delivery"
    )]
    pub retry_delay: Option<Vec<DurationArg>>,
}

/// Settings of the services.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct ServiceFlags {
    /// Settings file [default: config/rabbit.toml, if it exists]
    #[arg(long, env = "RABBIT_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// The broker.
    #[command(flatten)]
    #[serde(flatten)]
    pub broker: BrokerArgs,

    /// The schema registry.
    #[command(flatten)]
    #[serde(flatten)]
    pub registry: RegistryArgs,

    /// Only look schemas up in the registry; do not register them
    #[arg(long, env = "RABBIT_NO_REGISTER", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Connection")]
    pub no_register: Option<bool>,

    /// Address of the one service that is run [default: 127.0.0.1, port 8101, 8102 or 8103]
    #[arg(long, env = "RABBIT_LISTEN", value_name = "HOST:PORT", help_heading = "Addresses")]
    pub listen: Option<String>,

    /// Address of the order service, with `all` [default: 127.0.0.1:8101]
    #[arg(long, env = "RABBIT_ORDER_LISTEN", value_name = "HOST:PORT", help_heading = "Addresses")]
    pub order_listen: Option<String>,

    /// Address of the inventory service, with `all` [default: 127.0.0.1:8102]
    #[arg(
        long,
        env = "RABBIT_INVENTORY_LISTEN",
        value_name = "HOST:PORT",
        help_heading = "Addresses"
    )]
    pub inventory_listen: Option<String>,

    /// Address of the notification service, with `all` [default: 127.0.0.1:8103]
    #[arg(
        long,
        env = "RABBIT_NOTIFICATION_LISTEN",
        value_name = "HOST:PORT",
        help_heading = "Addresses"
    )]
    pub notification_listen: Option<String>,

    /// Folder for outcomes, stock and notifications, which survive a restart [default: data/rabbit]
    #[arg(long, env = "RABBIT_DATA_DIR", value_name = "DIR", help_heading = "Orders")]
    pub data_dir: Option<PathBuf>,

    /// While another process works with the folder, wait for it and take over when it ends
    #[arg(long, env = "RABBIT_STANDBY", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Orders")]
    pub standby: Option<bool>,

    /// The menu.
    #[command(flatten)]
    #[serde(flatten)]
    pub catalogue: CatalogueArgs,

    /// Messages that the broker hands to a service at a time, and that it works on at a time
    /// [default: 64]
    #[arg(long, env = "RABBIT_PREFETCH", value_name = "N", help_heading = "Delivery")]
    pub prefetch: Option<u16>,

    /// Retries after the first attempt [default: 3]
    #[arg(long, env = "RABBIT_MAX_RETRIES", value_name = "N", help_heading = "Delivery")]
    pub max_retries: Option<u32>,

    /// Share of attempts of inventory and notification that fail on request, 0.0 to 1.0
    /// [default: 0.0]
    #[arg(
        long,
        env = "RABBIT_SIMULATE_FAILURES",
        value_parser = finite,
        value_name = "SHARE",
        help_heading = "Simulation"
    )]
    pub simulate_failures: Option<f64>,

    /// Injected trouble.
    #[command(flatten)]
    #[serde(flatten)]
    pub trouble: TroubleArgs,

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

/// Settings of `topology`.
#[derive(Debug, Clone, Args)]
pub struct TopologyFlags {
    /// Settings file [default: config/rabbit.toml, if it exists]
    #[arg(long, env = "RABBIT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs,

    /// Format of the result
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: OutputFormat,
}

/// What to do with dead letters.
#[derive(Debug, Clone, Subcommand)]
pub enum DlqCommand {
    /// List dead letters by queue and cause; they stay in their queues
    List(DlqFlags),
    /// Send dead letters back to the queue they came from; previews without --execute
    Redrive(RedriveFlags),
}

/// Which dead letters.
#[derive(Debug, Clone, Args)]
pub struct DlqFlags {
    /// Settings file [default: config/rabbit.toml, if it exists]
    #[arg(long, env = "RABBIT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs,

    /// Only those of one service's queue
    #[arg(long, value_enum, value_name = "QUEUE", help_heading = "Filters")]
    pub queue: Option<WorkQueue>,

    /// Only those of this x-failure-class
    #[arg(long, value_name = "CLASS", help_heading = "Filters")]
    pub class: Option<String>,

    /// Only those of this x-failure-reason
    #[arg(long, value_name = "REASON", help_heading = "Filters")]
    pub reason: Option<String>,

    /// Only those of this x-fingerprint
    #[arg(long, value_name = "HEX", help_heading = "Filters")]
    pub fingerprint: Option<String>,

    /// Only this message
    #[arg(long, value_name = "ID", help_heading = "Filters")]
    pub message_id: Option<String>,

    /// At most this many dead letters
    #[arg(long, value_name = "N", help_heading = "Filters")]
    pub limit: Option<usize>,

    /// Format of the result
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: OutputFormat,
}

/// Which dead letters go back.
#[derive(Debug, Clone, Args)]
pub struct RedriveFlags {
    /// Which dead letters.
    #[command(flatten)]
    pub which: DlqFlags,

    /// Do it
    #[arg(long)]
    pub execute: bool,

    /// Skip dead letters that were already redriven this many times
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub max_redrives: u32,

    /// Traces.
    #[command(flatten)]
    pub trace: TraceArgs,
}
