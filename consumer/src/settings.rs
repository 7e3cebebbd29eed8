//! Checked settings, made from what was written.

use std::time::Duration;

use kafka_io::client_config::KafkaSettings;
use kafka_io::writer::Guarantee;
use pipeline::headers::Dialects;
use pipeline::retry::RetryPlan;
use service_kit::args::MetricsAddr;
use service_kit::exit::AppError;

use crate::flags::{DlqHeaders, Flags, GuaranteeArg};
use crate::handler::Handler;
use crate::lane::Topics;

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
        let kafka = KafkaSettings::new(
            "consumer",
            flags.kafka.bootstrap_servers(),
            flags.kafka.properties(),
        )
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
        format!(
            "{flag} {name:?} is not a topic name: letters, digits, '.', '_' and '-', at most \
                 {TOPIC_NAME_CHARS_MAX}"
        )
    })?;
    Ok(name)
}

fn check_distinct(topics: &Topics) -> Result<(), AppError> {
    let mut names: Vec<&str> = [&topics.main, &topics.retry, &topics.dead_letter, &topics.averages]
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
    use clap::Parser as _;

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
