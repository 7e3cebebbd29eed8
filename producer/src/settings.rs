//! What the user can set, and what is made of it.

mod import_flags;

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Parser;
use codec::registry::{Registration, RegistrySettings};
use kafka_io::client_config::KafkaSettings;
use kafka_io::publisher::DELIVERY_TIMEOUT_DEFAULT;
use order_schemas::OrderVersion;
use serde::{Deserialize, Serialize};
use service_kit::admin_http::Listen;
use service_kit::args::{KafkaArgs, LogArgs, LogFormat, MetricsAddr, OutputFormat, RegistryArgs};
use service_kit::exit::AppError;
use service_kit::settings;
use service_kit::units::{DurationArg, RateArg, finite};

pub use self::import_flags::{ImportFlags, PriceFormatFlag};
use crate::generate::GeneratorSettings;
use crate::import::ImportSettings;
use crate::pace::Speed;
use crate::send::{Key, SendSettings};

const PROGRAM: &str = "producer";
const COUNT_DEFAULT: u64 = 20;
const INTERVAL_DEFAULT: &str = "2s";
const PRODUCTS_DEFAULT: u32 = 10;

const EXAMPLES: &str = "\
Examples:
  producer                                20 orders, one every 2 s
  producer --count 0 --rate 100/s --quiet 100 orders a second until ctrl-C
  producer --count 10000 --interval 0ms --seed 7
                                          10,000 at full speed, always the same
  producer --input sales.csv --rejects rejects.csv \\
    --map orderId=Invoice,product=Description,price=Price
                                          import a file
  producer --input sales.csv --skip-rows 4711
                                          continue an import that was stopped

Exit codes: 0 all acknowledged, 1 failed, 2 wrong settings, 3 some rows were
rejected, or an import was stopped before its end.
Settings: flags, then the environment, then config/producer.toml.";

/// Sends orders to Kafka: generated ones, or those of a CSV or JSON Lines file.
#[derive(Debug, Default, Parser, Serialize, Deserialize)]
#[command(name = PROGRAM, version, after_help = EXAMPLES)]
pub struct Flags {
    /// Settings file instead of config/producer.toml
    #[arg(long, env = "PRODUCER_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// How to reach Kafka.
    #[command(flatten)]
    #[serde(flatten)]
    pub kafka: KafkaArgs,

    /// How to reach the schema registry.
    #[command(flatten)]
    #[serde(flatten)]
    pub registry: RegistryArgs,

    /// Topic to send to [default: orders]
    #[arg(long, env = "PRODUCER_TOPIC")]
    pub topic: Option<String>,

    /// Number of orders; 0 runs until stopped [default: 20, or the whole input]
    #[arg(long, env = "PRODUCER_COUNT", value_name = "N")]
    pub count: Option<u64>,

    /// Time between two orders; 0ms is full speed [default: 2s, or full speed for an input]
    #[arg(long, env = "PRODUCER_INTERVAL", value_name = "DURATION")]
    pub interval: Option<DurationArg>,

    /// Orders per second (100/s), minute (6000/m) or hour, instead of an interval
    #[arg(long, env = "PRODUCER_RATE", value_name = "N/s")]
    pub rate: Option<RateArg>,

    /// Which field is the record's key [default: product]
    #[arg(long, env = "PRODUCER_KEY", value_name = "FIELD")]
    pub key: Option<Key>,

    /// The same seed generates the same orders [default: random, and printed]
    #[arg(long, env = "PRODUCER_SEED", value_name = "N", help_heading = "Generated orders")]
    pub seed: Option<u64>,

    /// Number of different products [default: 10]
    #[arg(long, env = "PRODUCER_PRODUCTS", value_name = "N", help_heading = "Generated orders")]
    pub products: Option<NonZeroU32>,

    /// Share of orders with a negative price, 0.0 to 1.0 [default: 0.0]
    #[arg(
        long,
        env = "PRODUCER_NEGATIVE_RATE",
        value_parser = finite,
        allow_negative_numbers = true,
        value_name = "SHARE",
        help_heading = "Generated orders"
    )]
    pub negative_rate: Option<f64>,

    /// Share of records that are not orders, 0.0 to 1.0 [default: 0.0]
    #[arg(
        long,
        env = "PRODUCER_MALFORMED_RATE",
        value_parser = finite,
        allow_negative_numbers = true,
        value_name = "SHARE",
        help_heading = "Generated orders"
    )]
    pub malformed_rate: Option<f64>,

    /// What is imported.
    #[command(flatten)]
    #[serde(flatten)]
    pub import: ImportFlags,

    /// Version of the Order schema to write: 1 or 2 [default: 1]
    #[arg(long, env = "PRODUCER_SCHEMA_VERSION", value_name = "VERSION",
          value_parser = clap::value_parser!(u8).range(1..=2))]
    pub schema_version: Option<u8>,

    /// Only look the schema up; do not register it
    #[arg(long, env = "PRODUCER_NO_REGISTER", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    pub no_register: Option<bool>,

    /// Time after which an unacknowledged order counts as failed [default: 5m]
    #[arg(long, env = "PRODUCER_DELIVERY_TIMEOUT", value_name = "DURATION")]
    pub delivery_timeout: Option<DurationArg>,

    /// Do not print each delivery
    #[arg(long, short, env = "PRODUCER_QUIET", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    pub quiet: Option<bool>,

    /// Format of the results on stdout; jsonl prints one object per delivery [default: table]
    #[arg(long, short, env = "PRODUCER_OUTPUT", value_name = "FORMAT")]
    pub output: Option<OutputFormat>,

    /// Where to serve /metrics, /livez and /readyz: HOST:PORT or off [default: 127.0.0.1:9465]
    #[arg(
        long,
        env = "PRODUCER_METRICS_ADDR",
        value_name = "ADDR",
        help_heading = "Observability"
    )]
    pub metrics_addr: Option<MetricsAddr>,

    /// How logs are written.
    #[command(flatten)]
    #[serde(flatten)]
    pub log: LogArgs,
}

/// Where orders come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// They are made up.
    Generated(GeneratorSettings),
    /// They are imported.
    Imported {
        /// What and how.
        settings: ImportSettings,
        /// File for rejected rows.
        rejects: Option<PathBuf>,
    },
}

/// Checked settings of a run.
#[derive(Debug)]
pub struct Settings {
    /// How to reach Kafka.
    pub kafka: KafkaSettings,
    /// How to reach the registry.
    pub registry: RegistrySettings,
    /// Register the schema, or only look it up.
    pub registration: Registration,
    /// Version of `Order` to write.
    pub schema_version: OrderVersion,
    /// What is sent where.
    pub send: SendSettings,
    /// Where orders come from.
    pub origin: Origin,
    /// Print deliveries or not.
    pub is_quiet: bool,
    /// Format of the results.
    pub output: OutputFormat,
    /// Where metrics are served, if they are.
    pub metrics: Option<Listen>,
    /// Format of the logs.
    pub log_format: LogFormat,
}

impl Settings {
    /// Reads the settings file under `flags` and checks everything.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and a message that names the flag or key.
    pub fn load(flags: Flags) -> Result<Self, AppError> {
        refuse_contradictions(&flags)?;
        let (interval, rate) = (flags.interval, flags.rate);
        let config = flags.config.clone();
        let mut flags: Flags = settings::load(PROGRAM, config.as_deref(), flags)?;
        // A flag for the one outranks the file's other.
        if interval.is_some() || rate.is_some() {
            (flags.interval, flags.rate) = (interval, rate);
        }
        let usage = |error: &dyn std::fmt::Display| AppError::usage(error.to_string());
        let kafka =
            KafkaSettings::new(PROGRAM, flags.kafka.bootstrap_servers(), flags.kafka.properties())
                .and_then(KafkaSettings::with_credentials_from_env)
                .map_err(|error| usage(&error))?;
        let registry = RegistrySettings::from_program(
            flags.registry.url(),
            flags.registry.schema_registry_ca_location.as_deref(),
        )
        .map_err(|error| usage(&error))?;
        let origin = origin(&flags)?;
        Ok(Self {
            kafka,
            registry,
            registration: match flags.no_register {
                Some(true) => Registration::LookUpOnly,
                _ => Registration::Register,
            },
            schema_version: match flags.schema_version {
                None | Some(1) => OrderVersion::V1,
                Some(2) => OrderVersion::V2,
                Some(other) => {
                    return Err(usage(&format!("there is no Order schema of version {other}")));
                }
            },
            send: send_settings(&flags, &origin)?,
            origin,
            is_quiet: flags.quiet.unwrap_or(false),
            output: flags.output.unwrap_or_default(),
            metrics: listen(flags.metrics_addr),
            log_format: flags.log.format(),
        })
    }
}

/// Flags that say opposite things, or that have no effect together, are slips of the user.
fn refuse_contradictions(flags: &Flags) -> Result<(), AppError> {
    if flags.interval.is_some() && flags.rate.is_some() {
        return Err(AppError::usage("--interval and --rate are both set; unset one of them"));
    }
    let generator_flags = [
        ("--seed", flags.seed.is_some()),
        ("--products", flags.products.is_some()),
        ("--negative-rate", flags.negative_rate.is_some()),
        ("--malformed-rate", flags.malformed_rate.is_some()),
    ];
    let generator_flag = generator_flags.iter().find(|(_, is_set)| *is_set);
    if let (Some(_), Some((flag, _))) = (&flags.import.input, generator_flag) {
        return Err(AppError::usage(format!("{flag} is for generated orders, not for --input")));
    }
    Ok(())
}

fn send_settings(flags: &Flags, origin: &Origin) -> Result<SendSettings, AppError> {
    let topic = flags.topic.clone().unwrap_or_else(|| "orders".to_owned());
    if topic.is_empty() || !topic.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    {
        return Err(AppError::usage(format!("'{topic}' is not a topic name (--topic)")));
    }
    let is_import = matches!(origin, Origin::Imported { .. });
    let speed = match (flags.rate, flags.interval) {
        (Some(_), Some(_)) => {
            return Err(AppError::usage("interval and rate are both set in the settings file"));
        }
        (Some(rate), None) => Speed::Paced(rate),
        (None, Some(interval)) => Speed::from(interval),
        (None, None) if is_import => Speed::Unlimited,
        (None, None) => {
            Speed::from(INTERVAL_DEFAULT.parse::<DurationArg>().expect("the default is a duration"))
        }
    };
    let count_max = match flags.count {
        Some(0) => None,
        Some(count) => Some(count),
        None if is_import => None,
        None => Some(COUNT_DEFAULT),
    };
    let delivery_timeout =
        flags.delivery_timeout.map_or(DELIVERY_TIMEOUT_DEFAULT, DurationArg::get);
    // librdkafka takes zero for "never".
    if delivery_timeout.is_zero() {
        return Err(AppError::usage("--delivery-timeout must be more than zero"));
    }
    let key = flags.key.unwrap_or_default();
    Ok(SendSettings { topic, key, speed, count_max, delivery_timeout })
}

fn origin(flags: &Flags) -> Result<Origin, AppError> {
    if let Some((settings, rejects)) = flags.import.settings()? {
        return Ok(Origin::Imported { settings, rejects });
    }
    Ok(Origin::Generated(GeneratorSettings {
        seed: flags.seed.unwrap_or_else(random_seed),
        products: flags
            .products
            .unwrap_or(NonZeroU32::new(PRODUCTS_DEFAULT).expect("the default is not zero")),
        negative_rate: share("--negative-rate", flags.negative_rate)?,
        malformed_rate: share("--malformed-rate", flags.malformed_rate)?,
    }))
}

fn share(flag: &str, given: Option<f64>) -> Result<f64, AppError> {
    match given {
        None => Ok(0.0),
        Some(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Some(share) => Err(AppError::usage(format!("{flag} {share} is not between 0.0 and 1.0"))),
    }
}

/// Short enough to be typed again, long enough that ids of different runs do not collide.
fn random_seed() -> u64 {
    const SEED_BOUND: u64 = 1_000_000_000_000;
    rand::random::<u64>() % SEED_BOUND
}

fn listen(given: Option<MetricsAddr>) -> Option<Listen> {
    match given {
        Some(MetricsAddr::Off) => None,
        // An address in the settings file was asked for, too.
        Some(MetricsAddr::At(address)) => Some(Listen::Explicit(address)),
        None => Some(Listen::default_of(PROGRAM)),
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
