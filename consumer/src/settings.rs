//! Settings as written, and the checked settings made from them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use kafka_io::client_config::KafkaSettings;
use kafka_io::writer::Guarantee;
use pipeline::headers::Dialects;
use pipeline::retry::RetryPlan;
use serde::{Deserialize, Serialize};
use service_kit::args::{KafkaArgs, LogArgs, MetricsAddr, OutputFormat, RegistryArgs};
use service_kit::exit::AppError;
use service_kit::units::DurationArg;

use crate::handler::Handler;
use crate::lane::Topics;

/// Keeps exact running averages of orders per product; failed orders are retried after a
/// delay and end, if they must, in a dead-letter topic.
///
/// Records, averages and offsets of a batch are committed in one transaction.
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

    /// Topic for orders that are given up [default: orders-dlq]
    #[arg(long, env = "CONSUMER_DLQ_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub dlq_topic: Option<String>,

    /// Compacted topic of the running averages; one per group [default: orders-averages]
    #[arg(long, env = "CONSUMER_AVERAGES_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub averages_topic: Option<String>,

    /// Topic that tells the outcome of every attempt [default: none]
    #[arg(long, env = "CONSUMER_OUTCOMES_TOPIC", value_name = "TOPIC", help_heading = "Topics")]
    pub outcomes_topic: Option<String>,

    /// Make topics that are missing, with the settings they need
    #[arg(long, env = "CONSUMER_CREATE_TOPICS", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Topics")]
    pub create_topics: Option<bool>,

    /// Partitions of topics that are made when the orders topic does not exist [default: 3]
    #[arg(long, env = "CONSUMER_CREATE_PARTITIONS", value_name = "N", help_heading = "Topics")]
    pub create_partitions: Option<i32>,

    /// Only look schemas up in the registry, do not register them
    #[arg(long, env = "CONSUMER_NO_REGISTER", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Topics")]
    pub no_register: Option<bool>,

    /// Delete settled records of the retry topic this often; 0 for never [default: 1h]
    #[arg(long, env = "CONSUMER_TRIM_RETRY", value_name = "DURATION", help_heading = "Topics")]
    pub trim_retry: Option<DurationArg>,

    /// Headers of other tools that dead letters carry as well [default: spring]
    #[arg(long, env = "CONSUMER_DLQ_HEADERS", value_name = "DIALECT", help_heading = "Topics")]
    pub dlq_headers: Option<DlqHeaders>,

    /// Consumer group [default: order-consumer]
    #[arg(long, env = "CONSUMER_GROUP_ID", value_name = "GROUP", help_heading = "Group")]
    pub group_id: Option<String>,

    /// Name of this instance: static membership and a stable transactional id
    #[arg(long, env = "CONSUMER_INSTANCE_ID", value_name = "NAME", help_heading = "Group")]
    pub instance_id: Option<String>,

    /// Threads that each own a share of the partitions [default: cores, at most partitions]
    #[arg(long, env = "CONSUMER_LANES", value_name = "N", help_heading = "Group")]
    pub lanes: Option<usize>,

    /// What holds across a crash [default: exactly-once]
    #[arg(long, env = "CONSUMER_GUARANTEE", value_name = "GUARANTEE", help_heading = "Delivery")]
    pub guarantee: Option<GuaranteeArg>,

    /// Order that is kept across retries [default: none]
    #[arg(long, env = "CONSUMER_ORDER", value_name = "ORDER", help_heading = "Delivery")]
    pub order: Option<OrderArg>,

    /// Further attempts after the first one [default: 3]
    #[arg(long, env = "CONSUMER_MAX_RETRIES", value_name = "N", help_heading = "Delivery")]
    pub max_retries: Option<u32>,

    /// Delay before each retry, the last one repeated: 2s or 2s,30s,5m [default: 2s]
    #[arg(long, env = "CONSUMER_RETRY_DELAY", value_name = "DURATION", value_delimiter = ',', help_heading = "Delivery")]
    pub retry_delay: Option<Vec<DurationArg>>,

    /// Spread each delay by up to this share of itself, 0.0 to 1.0 [default: 0.0]
    #[arg(long, env = "CONSUMER_RETRY_JITTER", value_name = "SHARE", help_heading = "Delivery")]
    pub retry_jitter: Option<f64>,

    /// Records that may wait in retry, per lane, before new orders are held back [default: 200000]
    #[arg(long, env = "CONSUMER_WAITING_MAX", value_name = "N", help_heading = "Delivery")]
    pub waiting_max: Option<usize>,

    /// Go on where records were deleted before they were read
    #[arg(long, env = "CONSUMER_ACCEPT_GAP", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Delivery")]
    pub accept_gap: Option<bool>,

    /// Share of attempts that fail on request, 0.0 to 1.0 [default: 0.0]
    #[arg(long, env = "CONSUMER_SIMULATE_FAILURES", value_name = "SHARE", help_heading = "Simulation")]
    pub simulate_failures: Option<f64>,

    /// Seed of the formula that says which attempts fail [default: 42]
    #[arg(long, env = "CONSUMER_FAILURE_SEED", value_name = "N", help_heading = "Simulation")]
    pub failure_seed: Option<u64>,

    /// Time that the handler of each order waits [default: 0ms]
    #[arg(long, env = "CONSUMER_SIMULATE_LATENCY", value_name = "DURATION", help_heading = "Simulation")]
    pub simulate_latency: Option<DurationArg>,

    /// Handlers of a lane that may wait at once [default: 256]
    #[arg(long, env = "CONSUMER_CONCURRENCY", value_name = "N", help_heading = "Simulation")]
    pub concurrency: Option<usize>,

    /// Process what is there at the start, wait for its retries, print statistics and exit
    #[arg(long, env = "CONSUMER_EXIT_AT_END", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", help_heading = "Run")]
    pub exit_at_end: Option<bool>,

    /// Form of the final statistics on stdout [default: table]
    #[arg(long, short = 'o', env = "CONSUMER_OUTPUT", value_name = "FORMAT", help_heading = "Run")]
    pub output: Option<OutputFormat>,

    /// Where /metrics, /livez and /readyz are served, or off [default: 127.0.0.1:9464]
    #[arg(long, env = "CONSUMER_METRICS_ADDR", value_name = "HOST:PORT", help_heading = "Observability")]
    pub metrics_addr: Option<MetricsAddr>,

    /// Form of the logs.
    #[command(flatten)]
    #[serde(flatten)]
    pub log: LogArgs,
}

/// See [`Guarantee`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuaranteeArg {
    /// Records, averages and offsets in one transaction.
    ExactlyOnce,
    /// No transaction: a crash may repeat records and count them twice.
    AtLeastOnce,
}

/// Order that is kept across retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderArg {
    /// A retry never holds up other records.
    None,
}

/// Headers of other tools on dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DlqHeaders {
    /// Spring's kafka_dlt-*.
    Spring,
    /// Spring's, and Kafka Connect's __connect.errors.* as well.
    Connect,
}

/// Address of metrics and health when none is given.
const METRICS_ADDR_DEFAULT: ([u8; 4], u16) = ([127, 0, 0, 1], 9464);

/// Most lanes that one process runs.
const LANES_MAX: usize = 256;

/// Longest topic name that Kafka takes, in characters.
const TOPIC_NAME_CHARS_MAX: usize = 249;

/// Checked settings.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) kafka: KafkaSettings,
    pub(crate) registry_urls: String,
    pub(crate) topics: Topics,
    pub(crate) creates_topics: bool,
    pub(crate) create_partitions: i32,
    pub(crate) registers: bool,
    pub(crate) trim_retry: Option<Duration>,
    pub(crate) dialects: Dialects,
    pub(crate) group: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) lanes: Option<usize>,
    pub(crate) guarantee: Guarantee,
    pub(crate) plan: RetryPlan,
    pub(crate) waiting_records_max: usize,
    pub(crate) accepts_gap: bool,
    pub(crate) handler: Handler,
    pub(crate) simulate_latency: Duration,
    pub(crate) concurrency: usize,
    pub(crate) exits_at_end: bool,
    pub(crate) metrics: Option<service_kit::admin_http::Listen>,
    pub(crate) checks_topic_settings: bool,
}

impl Settings {
    /// Checks settings and fills in the defaults.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the setting that is wrong.
    pub fn check(flags: Flags) -> Result<Self, AppError> {
        let kafka =
            KafkaSettings::new("consumer", flags.kafka.bootstrap_servers(), flags.kafka.properties())
                .and_then(KafkaSettings::with_credentials_from_env)
                .map_err(|error| AppError::usage(error.to_string()))?;
        let delays = flags.retry_delay.unwrap_or_else(|| vec![Duration::from_secs(2).into()]);
        let plan = RetryPlan::new(
            flags.max_retries.unwrap_or(3),
            delays.into_iter().map(|delay| delay.get()).collect(),
            flags.retry_jitter.unwrap_or(0.0),
        )
        .map_err(|error| AppError::usage(error.to_string()))?;
        let failure_rate = flags.simulate_failures.unwrap_or(0.0);
        require((0.0..=1.0).contains(&failure_rate), || {
            format!("--simulate-failures {failure_rate} is not between 0.0 and 1.0")
        })?;
        let lanes = flags.lanes;
        require(lanes.is_none_or(|n| (1..=LANES_MAX).contains(&n)), || {
            format!("--lanes must be between 1 and {LANES_MAX}")
        })?;
        let concurrency = flags.concurrency.unwrap_or(256);
        require(concurrency > 0, || "--concurrency must be at least 1".to_owned())?;
        let waiting_records_max =
            flags.waiting_max.unwrap_or(crate::lane::limits::WAITING_RECORDS_MAX);
        require(waiting_records_max > 0, || "--waiting-max must be at least 1".to_owned())?;
        let create_partitions = flags.create_partitions.unwrap_or(3);
        require(create_partitions > 0, || "--create-partitions must be at least 1".to_owned())?;
        let group = flags.group_id.unwrap_or_else(|| "order-consumer".to_owned());
        require(!group.is_empty(), || "--group-id is empty".to_owned())?;
        let topics = Topics {
            main: topic("--topic", flags.topic, "orders")?,
            retry: topic("--retry-topic", flags.retry_topic, "orders-retry")?,
            dead_letter: topic("--dlq-topic", flags.dlq_topic, "orders-dlq")?,
            averages: topic("--averages-topic", flags.averages_topic, "orders-averages")?,
            outcomes: match flags.outcomes_topic {
                Some(name) => Some(topic("--outcomes-topic", Some(name), "")?),
                None => None,
            },
        };
        check_distinct(&topics)?;
        use service_kit::admin_http::Listen;
        Ok(Self {
            kafka,
            registry_urls: flags.registry.url().to_owned(),
            topics,
            creates_topics: flags.create_topics.unwrap_or(false),
            create_partitions,
            registers: !flags.no_register.unwrap_or(false),
            trim_retry: Some(flags.trim_retry.map_or(Duration::from_secs(3600), |d| d.get()))
                .filter(|every| !every.is_zero()),
            dialects: Dialects { connect: flags.dlq_headers == Some(DlqHeaders::Connect) },
            group,
            instance_id: flags.instance_id.filter(|id| !id.is_empty()),
            lanes,
            guarantee: match flags.guarantee {
                Some(GuaranteeArg::AtLeastOnce) => Guarantee::AtLeastOnce,
                Some(GuaranteeArg::ExactlyOnce) | None => Guarantee::ExactlyOnce,
            },
            plan,
            waiting_records_max,
            accepts_gap: flags.accept_gap.unwrap_or(false),
            handler: Handler { failure_rate, failure_seed: flags.failure_seed.unwrap_or(42) },
            simulate_latency: flags.simulate_latency.map_or(Duration::ZERO, |d| d.get()),
            concurrency,
            exits_at_end: flags.exit_at_end.unwrap_or(false),
            metrics: match flags.metrics_addr {
                None => Some(Listen::Default(METRICS_ADDR_DEFAULT.into())),
                Some(MetricsAddr::At(address)) => Some(Listen::Explicit(address)),
                Some(MetricsAddr::Off) => None,
            },
            checks_topic_settings: true,
        })
    }

    /// For a broker that knows no topic settings, such as librdkafka's mock: only partition
    /// counts are checked.
    #[must_use]
    pub fn without_topic_settings(mut self) -> Self {
        self.checks_topic_settings = false;
        self
    }
}

fn require(holds: bool, message: impl FnOnce() -> String) -> Result<(), AppError> {
    if holds { Ok(()) } else { Err(AppError::usage(message())) }
}

fn topic(flag: &str, name: Option<String>, default: &str) -> Result<String, AppError> {
    let name = name.unwrap_or_else(|| default.to_owned());
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_legal = (1..=TOPIC_NAME_CHARS_MAX).contains(&name.len())
        && name.chars().all(legal)
        && name != "."
        && name != "..";
    require(is_legal, || {
        format!("{flag} {name:?} is not a topic name: letters, digits, '.', '_' and '-', at most \
                 {TOPIC_NAME_CHARS_MAX}")
    })?;
    Ok(name)
}

fn check_distinct(topics: &Topics) -> Result<(), AppError> {
    let mut names: Vec<&str> =
        [&topics.main, &topics.retry, &topics.dead_letter, &topics.averages]
            .into_iter()
            .chain(&topics.outcomes)
            .map(String::as_str)
            .collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        require(pair[0] != pair[1], || format!("topic {:?} is given two roles", pair[0]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use service_kit::exit::ExitStatus;

    fn check(arguments: &[&str]) -> Result<Settings, AppError> {
        let arguments = std::iter::once("consumer").chain(arguments.iter().copied());
        Settings::check(Flags::try_parse_from(arguments).expect("clap takes it"))
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let settings = check(&[]).unwrap();
        assert_eq!(settings.topics.retry, "orders-retry");
        assert_eq!(settings.topics.dead_letter, "orders-dlq");
        assert_eq!(settings.topics.averages, "orders-averages");
        assert_eq!(settings.group, "order-consumer");
        assert_eq!(settings.guarantee, Guarantee::ExactlyOnce);
        assert_eq!(settings.plan.attempts_max(), 4);
        assert_eq!(settings.plan.delay_after(1, 0.9), Some(Duration::from_secs(2)));
        assert_eq!(settings.handler, Handler { failure_rate: 0.0, failure_seed: 42 });
        assert!(settings.registers && !settings.creates_topics && !settings.exits_at_end);
    }

    #[test]
    fn a_setting_that_cannot_work_is_a_usage_error_that_names_it() {
        for (arguments, named) in [
            (&["--simulate-failures", "1.5"][..], "--simulate-failures"),
            (&["--retry-jitter", "2"], "jitter"),
            (&["--lanes", "0"], "--lanes"),
            (&["--topic", "a b"], "--topic"),
            (&["--topic", "x", "--dlq-topic", "x"], "two roles"),
            (&["--group-id", ""], "--group-id"),
            (&["-X", "acks=0"], "acks"),
        ] {
            let error = check(arguments).expect_err("must be refused");
            assert_eq!(error.status(), ExitStatus::Usage, "{arguments:?}");
            assert!(error.message().contains(named), "{}", error.message());
        }
    }
}
