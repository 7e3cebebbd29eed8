//! Flags of `orders dlq`, as written and as checked.

use std::path::PathBuf;

use clap::Args;
use codec::registry::RegistrySettings;
use kafka_io::client_config::KafkaSettings;
use service_kit::args::{KafkaArgs, LogArgs, LogFormat, OutputFormat, RegistryArgs};
use service_kit::exit::AppError;
use service_kit::{settings, telemetry};

use super::filter::{Attempts, Filter, HeaderTest, parse_fingerprint};
use super::moment::Moment;
use crate::audit::{self, kafka_settings, named};

/// Where dead letters are.
#[derive(Debug, Clone, Default, Args)]
pub struct Connection {
    /// Settings file [default: config/orders.toml, if it exists]
    #[arg(long, env = "ORDERS_CONFIG", value_name = "FILE", help_heading = "Connection")]
    pub config: Option<PathBuf>,

    /// Topic of dead letters, whichever tool writes them [default: orders-dlq]
    #[arg(
        long,
        short = 't',
        visible_alias = "topic",
        env = "ORDERS_DLQ_TOPIC",
        value_name = "TOPIC",
        help_heading = "Connection"
    )]
    pub dlq_topic: Option<String>,

    /// Connection to Kafka.
    #[command(flatten)]
    pub kafka: KafkaArgs,

    /// Connection to the schema registry.
    #[command(flatten)]
    pub registry: RegistryArgs,

    /// Format of the logs.
    #[command(flatten)]
    pub log: LogArgs,
}

impl Connection {
    /// The same with this topic, where one is named.
    #[must_use]
    pub fn with_topic(&self, topic: Option<&str>) -> Self {
        let dlq_topic = topic.map(ToOwned::to_owned).or_else(|| self.dlq_topic.clone());
        Self { dlq_topic, ..self.clone() }
    }
}

/// Whose dead letters of this pipeline go back, and where to.
#[derive(Debug, Clone, Default, Args)]
pub struct Group {
    /// Group that dead-lettered the records of this pipeline [default: order-consumer; a preview
    /// shows those of another group where all are of one]
    #[arg(
        long,
        visible_alias = "group",
        env = "ORDERS_GROUP_ID",
        value_name = "GROUP",
        help_heading = "Redrive"
    )]
    pub group_id: Option<String>,

    /// The group's retry topic, to which they are sent [default: the dead-letter topic's name with
    /// -retry for -dlq]
    #[arg(long, env = "ORDERS_RETRY_TOPIC", value_name = "TOPIC", help_heading = "Redrive")]
    pub retry_topic: Option<String>,

    /// Ledger of 'orders replay': which dead letters are from before a replay [default: orders-replays]
    #[arg(long, env = "ORDERS_REPLAYS_TOPIC", value_name = "TOPIC", help_heading = "Redrive")]
    pub replays_topic: Option<String>,
}

/// Where it is noted what was handled.
#[derive(Debug, Clone, Default, Args)]
pub struct LedgerFlags {
    /// Topic that records what was redriven or discarded [default: orders-redrives]
    #[arg(long, env = "ORDERS_LEDGER_TOPIC", value_name = "TOPIC", help_heading = "Connection")]
    pub ledger_topic: Option<String>,
}

impl LedgerFlags {
    /// Its name.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.ledger_topic.as_deref().unwrap_or("orders-redrives")
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Output {
    /// Format of the results on stdout [default: table]
    #[arg(long, short = 'o', env = "ORDERS_OUTPUT", value_name = "FORMAT", help_heading = "Run")]
    pub output: Option<OutputFormat>,
}

/// Which dead letters are meant. A flag may be repeated: one of its values is enough, but all headers
/// must hold.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which dead letters (all given filters must match)")]
pub struct Which {
    /// Class of the failure; an exception also without its package
    #[arg(long = "class", value_name = "NAME")]
    pub classes: Vec<String>,

    /// Reason of the failure, or the root exception, also without its package
    #[arg(long = "reason", value_name = "NAME")]
    pub reasons: Vec<String>,

    /// Cause, as 'orders dlq stats' prints it
    #[arg(long = "fingerprint", value_name = "8 HEX DIGITS", value_parser = parse_fingerprint)]
    pub fingerprints: Vec<u32>,

    /// Key of the record
    #[arg(long = "key", value_name = "TEXT", allow_hyphen_values = true)]
    pub keys: Vec<String>,

    /// Order id in the value; needs the schema registry
    #[arg(long = "order-id", value_name = "ID")]
    pub order_ids: Vec<String>,

    /// Written to the topic at this time or later: RFC 3339, epoch milliseconds, or -15m
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<Moment>,

    /// Written before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<Moment>,

    /// Partition of the topic of dead letters
    #[arg(long = "partition", short = 'p', value_name = "N")]
    pub partitions: Vec<i32>,

    /// Header with this value, or with any value if only a name is given
    #[arg(long = "header", value_name = "NAME=VALUE")]
    pub headers: Vec<HeaderTest>,

    /// Schema that the value was written with
    #[arg(long = "schema-id", value_name = "N")]
    pub schema_ids: Vec<u32>,

    /// Number of attempts: 3, 3.., ..3 or 2..4
    #[arg(long, value_name = "N")]
    pub attempts: Option<Attempts>,

    /// Stop after this many dead letters [default: none]
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

impl Which {
    /// The filter, where it is `now_ms`.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 for a span of time in which nothing can lie.
    pub fn filter(&self, now_ms: i64) -> Result<Filter, AppError> {
        let from_ms = self.from.map(|moment| moment.resolve(now_ms));
        let to_ms = self.to.map(|moment| moment.resolve(now_ms));
        if let (Some(from), Some(to)) = (from_ms, to_ms)
            && from >= to
        {
            return Err(AppError::usage("--to is not later than --from: the range is empty"));
        }
        Ok(Filter {
            classes: self.classes.clone(),
            reasons: self.reasons.clone(),
            fingerprints: self.fingerprints.clone(),
            keys: self.keys.clone(),
            order_ids: self.order_ids.clone(),
            from_ms,
            to_ms,
            partitions: self.partitions.clone(),
            headers: self.headers.clone(),
            schema_ids: self.schema_ids.clone(),
            attempts: self.attempts.clone(),
        })
    }
}

/// Checked settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Connection to Kafka.
    pub kafka: KafkaSettings,
    /// The registry: addresses, trust and login.
    pub registry: RegistrySettings,
    /// Topic of dead letters.
    pub topic: String,
    /// Group whose dead letters of this pipeline are meant.
    pub group: String,
    /// Whether somebody has named it.
    pub is_group_given: bool,
    /// Its retry topic.
    pub retry_topic: String,
    /// Ledger of replays.
    pub replays: String,
    /// Format of the results.
    pub output: OutputFormat,
    /// Format of the logs.
    pub log_format: LogFormat,
}

impl Settings {
    /// Lays flags over the settings file, checks them, and sets up the logs.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the setting that is wrong.
    pub fn load(connection: &Connection, output: Output, group: &Group) -> Result<Self, AppError> {
        let Connection { config, dlq_topic, kafka, registry, log } = connection.clone();
        // One file serves all subcommands. The audit's flags have every key that may stand in it.
        let flags = audit::Flags {
            kafka,
            registry,
            dlq_topic,
            log,
            output: output.output,
            group_id: group.group_id.clone(),
            retry_topic: group.retry_topic.clone(),
            replays_topic: group.replays_topic.clone(),
            ..audit::Flags::default()
        };
        let flags = settings::load("orders", config.as_deref(), flags)?;
        telemetry::init(flags.log.format());
        let topic = named(flags.dlq_topic, "orders-dlq", "--dlq-topic")?;
        let is_group_given = flags.group_id.is_some();
        let group = named(flags.group_id, "order-consumer", "--group-id")?;
        let retry_topic = named(flags.retry_topic, &retry_topic_of(&topic), "--retry-topic")?;
        let replays = named(flags.replays_topic, "orders-replays", "--replays-topic")?;
        Ok(Self {
            kafka: kafka_settings(&flags.kafka)?,
            registry: RegistrySettings::from_program(
                flags.registry.url(),
                flags.registry.schema_registry_ca_location.as_deref(),
            )
            .map_err(|error| AppError::usage(error.to_string()))?,
            topic,
            group,
            is_group_given,
            retry_topic,
            replays,
            output: flags.output.unwrap_or_default(),
            log_format: flags.log.format(),
        })
    }
}

/// The retry topic beside a dead-letter topic: `clicks-retry` for `clicks-dlq`.
fn retry_topic_of(dlq_topic: &str) -> String {
    let topic = dlq_topic.strip_suffix("-dlq").unwrap_or("orders");
    format!("{topic}-retry")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_go_back_beside_the_topic_that_they_are_in() {
        for (dlq, retry) in [
            ("orders-dlq", "orders-retry"),
            ("order-events-dlq", "order-events-retry"),
            ("shop.clicks-dlq", "shop.clicks-retry"),
            ("parked", "orders-retry"),
        ] {
            assert_eq!(retry_topic_of(dlq), retry);
        }
    }
}
