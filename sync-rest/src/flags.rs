//! Settings as written: flags, environment, file.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use order_api::args::{CatalogueArgs, TroubleArgs};
use otlp::TraceArgs;
use serde::{Deserialize, Serialize};
use service_kit::args::{HttpArgs, LogArgs, RegistryArgs};
use service_kit::secret::Secret;
use service_kit::units::{DurationArg, finite};

/// The order flow over synchronous HTTP: an order is answered after inventory and notification have
/// accepted it.
#[derive(Debug, Clone, Default, Parser, Serialize, Deserialize)]
#[command(
    name = "sync-rest",
    version,
    after_help = "Examples:
  sync-rest all
  sync-rest inventory --listen 0.0.0.0:8002 --inventory-delay 2s
  sync-rest order --inventory-url http://10.0.0.2:8002 --deadline 800ms
  curl -d '{\"user_id\":\"u1\",\"item\":\"burger\",\"quantity\":1}' \\
    -H content-type:application/json localhost:8001/order

Exit codes: 0 done, 1 failed, 2 usage or configuration"
)]
pub struct Flags {
    /// Which service to run
    #[serde(skip)]
    pub service: ServiceArg,

    /// Settings file [default: config/sync-rest.toml, if it exists]
    #[arg(long, env = "SYNC_REST_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Address of the one service that is run [default: 127.0.0.1, port 8001, 8002 or 8003]
    #[arg(long, env = "SYNC_REST_LISTEN", value_name = "HOST:PORT", help_heading = "Addresses")]
    pub listen: Option<String>,

    /// Address of the order service, with `all` [default: 127.0.0.1:8001]
    #[arg(
        long,
        env = "SYNC_REST_ORDER_LISTEN",
        value_name = "HOST:PORT",
        help_heading = "Addresses"
    )]
    pub order_listen: Option<String>,

    /// Address of the inventory service, with `all` [default: 127.0.0.1:8002]
    #[arg(
        long,
        env = "SYNC_REST_INVENTORY_LISTEN",
        value_name = "HOST:PORT",
        help_heading = "Addresses"
    )]
    pub inventory_listen: Option<String>,

    /// Address of the notification service, with `all` [default: 127.0.0.1:8003]
    #[arg(
        long,
        env = "SYNC_REST_NOTIFICATION_LISTEN",
        value_name = "HOST:PORT",
        help_heading = "Addresses"
    )]
    pub notification_listen: Option<String>,

    /// Where `order` finds inventory [default: http://127.0.0.1:8002]
    #[arg(
        long,
        env = "SYNC_REST_INVENTORY_URL",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "Addresses"
    )]
    pub inventory_url: Option<Secret>,

    /// Where `order` finds notification [default: http://127.0.0.1:8003]
    #[arg(
        long,
        env = "SYNC_REST_NOTIFICATION_URL",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "Addresses"
    )]
    pub notification_url: Option<Secret>,

    /// Connection to the schema registry, needed only for orders as avro/binary.
    #[command(flatten)]
    #[serde(flatten)]
    pub registry: RegistryArgs,

    /// Folder for outcomes, stock and notifications, which survive a restart [default: data/sync-rest]
    #[arg(long, env = "SYNC_REST_DATA_DIR", value_name = "DIR", help_heading = "Orders")]
    pub data_dir: Option<PathBuf>,

    /// Wait while another instance works with the data folder, and take over when it ends
    #[arg(
        long,
        env = "SYNC_REST_STANDBY",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = "Orders"
    )]
    pub standby: Option<bool>,

    /// Let `order` use an inventory or notification that has another data folder than before
    #[arg(
        long,
        env = "SYNC_REST_ACCEPT_OTHER_STORES",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = "Orders"
    )]
    pub accept_other_stores: Option<bool>,

    /// Longest time for one order, even if the caller allows more [default: 5s]
    #[arg(long, env = "SYNC_REST_DEADLINE", value_name = "DURATION", help_heading = "Orders")]
    pub deadline: Option<DurationArg>,

    /// The menu.
    #[command(flatten)]
    #[serde(flatten)]
    pub catalogue: CatalogueArgs,

    /// Share of attempts of inventory that fail on request, 0.0 to 1.0 [default: 0.0]
    #[arg(
        long,
        env = "SYNC_REST_SIMULATE_FAILURES",
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

/// Which service to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ServiceArg {
    /// Takes orders and calls the other two (port 8001)
    Order,
    /// Reserves stock (port 8002)
    Inventory,
    /// Notifies users (port 8003)
    Notification,
    /// All three in one process
    #[default]
    All,
}
