//! Flags of `orders lag` and `orders monitor`, as written and as checked.

use std::path::PathBuf;

use clap::Args;
use kafka_io::client_config::KafkaSettings;
use service_kit::args::{KafkaArgs, LogArgs, OutputFormat};
use service_kit::exit::AppError;
use service_kit::{settings, telemetry};

use super::look::Which;
use crate::audit::{self, kafka_settings, named};

/// Where the cluster is.
#[derive(Debug, Clone, Default, Args)]
pub struct Connection {
    /// Settings file [default: config/orders.toml, if it exists]
    #[arg(long, env = "ORDERS_CONFIG", value_name = "FILE", help_heading = "Connection")]
    pub config: Option<PathBuf>,

    /// Connection to Kafka.
    #[command(flatten)]
    pub kafka: KafkaArgs,

    /// Format of the logs.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Whose lag is meant.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which groups")]
pub struct Groups {
    /// Consumer group [default: order-consumer]
    #[arg(long, visible_alias = "group-id", env = "ORDERS_GROUP_ID", value_name = "GROUP")]
    pub group: Option<String>,

    /// Every group of the cluster, instead of --group
    #[arg(long)]
    pub all_groups: bool,

    /// Topic in which records wait for a retry; T-retry is one for a group that reads T
    /// [default: orders-retry]
    #[arg(long, env = "ORDERS_RETRY_TOPIC", value_name = "TOPIC")]
    pub retry_topic: Option<String>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Output {
    /// Format of the results on stdout [default: table]
    #[arg(long, short = 'o', env = "ORDERS_OUTPUT", value_name = "FORMAT", help_heading = "Run")]
    pub output: Option<OutputFormat>,
}

/// Checked settings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) kafka: KafkaSettings,
    pub(crate) which: Which,
    /// The group that was named, also beside `--all-groups`.
    pub(crate) group: String,
    pub(crate) retry_topic: String,
    pub(crate) dlq_topic: String,
    pub(crate) output: OutputFormat,
    pub(crate) log: LogArgs,
}

impl Settings {
    /// Lays flags over the settings file, checks them, and sets up the logs.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the setting that is wrong.
    pub(crate) fn load(
        connection: &Connection,
        groups: &Groups,
        dlq_topic: Option<&str>,
        output: Output,
    ) -> Result<Self, AppError> {
        let Connection { config, kafka, log } = connection.clone();
        // One file serves all subcommands. The audit's flags have every key that may stand in it.
        let flags = audit::Flags {
            kafka,
            log,
            output: output.output,
            group_id: groups.group.clone(),
            retry_topic: groups.retry_topic.clone(),
            dlq_topic: dlq_topic.map(str::to_owned),
            ..audit::Flags::default()
        };
        let flags = settings::load("orders", config.as_deref(), flags)?;
        telemetry::init(flags.log.format());
        let group = named(flags.group_id, "order-consumer", "--group")?;
        let retry_topic = named(flags.retry_topic, "orders-retry", "--retry-topic")?;
        let dlq_topic = named(flags.dlq_topic, "orders-dlq", "--dlq-topic")?;
        let kafka = kafka_settings(&flags.kafka)?;
        Ok(Self {
            kafka,
            which: if groups.all_groups { Which::All } else { Which::One(group.clone()) },
            group,
            retry_topic,
            dlq_topic,
            output: flags.output.unwrap_or_default(),
            log: flags.log,
        })
    }
}
