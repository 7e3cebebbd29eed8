//! Flags of the subcommands that work on a group with all its topics.

use std::path::PathBuf;

use clap::Args;
use service_kit::args::{KafkaArgs, LogArgs, OutputFormat, RegistryArgs};
use service_kit::exit::AppError;
use service_kit::{settings, telemetry};

use crate::audit::{self, Settings};
use crate::doctor::{SettingTold, settings_told};

/// A group, its topics, and where they are. They have the names and variables that they have for
/// `orders audit`.
#[derive(Debug, Clone, Default, Args)]
pub struct GroupFlags {
    /// Settings file [default: config/orders.toml, if it exists]
    #[arg(long, env = "ORDERS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    kafka: KafkaArgs,

    #[command(flatten)]
    registry: RegistryArgs,

    /// Topic of orders [default: orders]
    #[arg(long, env = "ORDERS_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    topic: Option<String>,

    /// Topic in which failed orders wait [default: orders-retry]
    #[arg(long, env = "ORDERS_RETRY_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    retry_topic: Option<String>,

    /// Topic of dead letters [default: orders-dlq]
    #[arg(long, env = "ORDERS_DLQ_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    dlq_topic: Option<String>,

    /// Topic of the running averages [default: orders-averages]
    #[arg(long, env = "ORDERS_AVERAGES_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    averages_topic: Option<String>,

    /// Outcome log of the consumer, if it writes one [default: none]
    #[arg(long, env = "ORDERS_OUTCOMES_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    outcomes_topic: Option<String>,

    /// Ledger of replays [default: orders-replays]
    #[arg(long, env = "ORDERS_REPLAYS_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    replays_topic: Option<String>,

    /// Consumer group [default: order-consumer]
    #[arg(
        long,
        visible_alias = "group",
        env = "ORDERS_GROUP_ID",
        value_name = "GROUP",
        help_heading = "Topics"
    )]
    group_id: Option<String>,

    /// Format of the results on stdout [default: table]
    #[arg(long, short = 'o', env = "ORDERS_OUTPUT", value_name = "FORMAT", help_heading = "Run")]
    output: Option<OutputFormat>,

    #[command(flatten)]
    log: LogArgs,
}

impl GroupFlags {
    /// Lays flags over the settings file, checks them, and sets up the logs.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the setting that is wrong.
    pub(crate) fn load(&self) -> Result<(Settings, OutputFormat), AppError> {
        let merged = self.merged()?;
        Ok((Settings::check(&merged)?, merged.output.unwrap_or_default()))
    }

    /// As [`Self::load`], with each setting and who set it.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the setting that is wrong.
    pub(crate) fn load_told(&self) -> Result<(Settings, OutputFormat, Vec<SettingTold>), AppError> {
        let merged = self.merged()?;
        let settings = Settings::check(&merged)?;
        let told =
            settings_told(&self.flags(), &merged, &settings, |name| std::env::var(name).ok());
        Ok((settings, merged.output.unwrap_or_default(), told))
    }

    fn merged(&self) -> Result<audit::Flags, AppError> {
        let mut merged = settings::load("orders", self.config.as_deref(), self.flags())?;
        telemetry::init(merged.log.format());
        // What only an audit judges says nothing here.
        (merged.order, merged.dedupe) = (None, None);
        Ok(merged)
    }

    /// As flags and variables say. One file serves all subcommands: the audit's flags have every key that may stand in it.
    fn flags(&self) -> audit::Flags {
        let Self { kafka, registry, log, .. } = self.clone();
        audit::Flags {
            kafka,
            registry,
            log,
            topic: self.topic.clone(),
            retry_topic: self.retry_topic.clone(),
            dlq_topic: self.dlq_topic.clone(),
            averages_topic: self.averages_topic.clone(),
            outcomes_topic: self.outcomes_topic.clone(),
            group_id: self.group_id.clone(),
            replays_topic: self.replays_topic.clone(),
            output: self.output,
            ..audit::Flags::default()
        }
    }
}
