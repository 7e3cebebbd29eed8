//! Checked settings, made from what was written.

use std::time::{Duration, Instant};

use codec::registry::RegistrySettings;
use codec::resolver::NOT_FOUND_GRACE;
use kafka_io::client_config::KafkaSettings;
use kafka_io::writer::Guarantee;
use pipeline::dead_letter_limit::{CONSECUTIVE_DEFAULT, DeadLetterLimits, RATIO_DEFAULT};
use pipeline::headers::Dialects;
use pipeline::retry::RetryPlan;
use relane::settings::{
    EngineSettings, HANDLER_TIMEOUT, KeyOrdering, OnDeadLetter, OnDeadLetterLimit, Topics,
    WAITING_RECORDS_MAX,
};
use relane::stage::{HintFlags, Words};
use service_kit::args::{MetricsAddr, OutputFormat};
use service_kit::exit::AppError;

use crate::flags::{
    DlqHeaders, Flags, GuaranteeArg, OnDeadLetterArg, OnDlqLimitArg, OrderArg, Switch,
};
use crate::handler::Handler;
use crate::printer::Target;
use crate::settled_lines::Form;

/// Most lanes that one process runs.
const LANES_MAX: usize = 256;

/// Longest topic name that Kafka takes, in characters.
const TOPIC_NAME_CHARS_MAX: usize = 249;

/// How messages call the parts of this pipeline.
const WORDS: Words = Words {
    program: "consumer",
    state: "averages",
    flags: HintFlags {
        group: "--group-id",
        state: "--averages-topic",
        retry: "--retry-topic",
        dead_letter: "--dlq-topic",
        outcomes: "--outcomes-topic",
        output: "",
        no_dead_letter_limit: "--dlq-limit off",
        no_trim: "--trim-retry 0",
    },
};

/// Checked settings.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) engine: EngineSettings,
    pub(crate) registry: RegistrySettings,
    pub(crate) registers: bool,
    /// How long a schema must have been missing before a record is given up for it.
    pub(crate) schema_grace: Duration,
    pub(crate) handler: Handler,
    /// Form of the lines for settled attempts, and where they go.
    pub(crate) prints: Option<(Form, Target)>,
    pub(crate) metrics: Option<service_kit::admin_http::Listen>,
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
        let registry = RegistrySettings::from_program(
            flags.registry.url(),
            flags.registry.schema_registry_ca_location.as_deref(),
        )
        .map_err(|error| AppError::usage(error.to_string()))?;
        let delays = flags.retry_delay.unwrap_or_else(|| vec![Duration::from_secs(2).into()]);
        let plan = RetryPlan::new(
            flags.max_retries.unwrap_or(3),
            delays.into_iter().map(|delay| delay.get()).collect(),
            flags.retry_jitter.unwrap_or(0.0),
        )
        .map_err(|error| AppError::usage(error.to_string()))?;
        let followers_max = flags.followers_max.unwrap_or(pipeline::keys::FOLLOWERS_MAX);
        require(followers_max > 0, || "--followers-max must be at least 1".to_owned())?;
        let order = match flags.order {
            None | Some(OrderArg::None) => KeyOrdering::None,
            Some(OrderArg::Key) => KeyOrdering::Key {
                followers_max,
                on_dead_letter: match flags.on_dead_letter {
                    Some(OnDeadLetterArg::Hold) => OnDeadLetter::Hold,
                    Some(OnDeadLetterArg::Release) | None => OnDeadLetter::Release,
                },
            },
        };
        let dedupe = flags.dedupe.unwrap_or(0);
        let dedupe_max = pipeline::dedupe::DEDUPE_OFFSETS_MAX;
        require(dedupe <= dedupe_max, || format!("--dedupe {dedupe} is above {dedupe_max}"))?;
        let failure_rate = flags.simulate_failures.unwrap_or(0.0);
        require((0.0..=1.0).contains(&failure_rate), || {
            format!("--simulate-failures {failure_rate} is not between 0.0 and 1.0")
        })?;
        let limits = DeadLetterLimits::new(
            flags.dlq_limit_ratio.unwrap_or(RATIO_DEFAULT),
            flags.dlq_limit_consecutive.unwrap_or(CONSECUTIVE_DEFAULT),
        )
        .map_err(|error| AppError::usage(format!("--dlq-limit-…: {error}")))?;
        let exits_at_end = flags.exit_at_end.unwrap_or(false);
        let lanes = flags.lanes;
        require(lanes.is_none_or(|n| (1..=LANES_MAX).contains(&n)), || {
            format!("--lanes must be between 1 and {LANES_MAX}")
        })?;
        let concurrency = flags.concurrency.unwrap_or(256);
        require(concurrency > 0, || "--concurrency must be at least 1".to_owned())?;
        let waiting_records_max = flags.waiting_max.unwrap_or(WAITING_RECORDS_MAX);
        require(waiting_records_max > 0, || "--waiting-max must be at least 1".to_owned())?;
        let latency = flags.simulate_latency.map_or(Duration::ZERO, |d| d.get());
        let handler_timeout =
            flags.handler_timeout.map_or(HANDLER_TIMEOUT + latency, |limit| limit.get());
        require(!handler_timeout.is_zero(), || "--handler-timeout must be above 0s".to_owned())?;
        let create_partitions = flags.create_partitions.unwrap_or(3);
        require(create_partitions > 0, || "--create-partitions must be at least 1".to_owned())?;
        let group = flags.group_id.unwrap_or_else(|| "order-consumer".to_owned());
        require(!group.is_empty(), || "--group-id is empty".to_owned())?;
        let topics = Topics {
            main: topic("--topic", flags.topic, "orders")?,
            retry: topic("--retry-topic", flags.retry_topic, "orders-retry")?,
            dead_letter: topic("--dlq-topic", flags.dlq_topic, "orders-dlq")?,
            state: Some(topic("--averages-topic", flags.averages_topic, "orders-averages")?),
            outcomes: match flags.outcomes_topic {
                Some(name) => Some(topic("--outcomes-topic", Some(name), "")?),
                None => None,
            },
            output: None,
        };
        check_distinct(&topics)?;
        use service_kit::admin_http::Listen;
        let metrics = match flags.metrics_addr {
            None => Some(Listen::default_of(WORDS.program)),
            Some(MetricsAddr::At(address)) => Some(Listen::Explicit(address)),
            Some(MetricsAddr::Off) => None,
        };
        let engine = EngineSettings {
            words: WORDS,
            kafka,
            topics,
            creates_topics: flags.create_topics.unwrap_or(false),
            create_partitions,
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
            order,
            dedupe: Some(dedupe).filter(|reach| *reach > 0),
            waiting_records_max,
            dead_letter_limits: (flags.dlq_limit != Some(Switch::Off)).then_some(limits),
            on_dead_letter_limit: match flags.on_dlq_limit {
                Some(OnDlqLimitArg::Pause) => OnDeadLetterLimit::Pause,
                Some(OnDlqLimitArg::Exit) => OnDeadLetterLimit::Exit,
                // Nobody waits beside a run that ends by itself.
                None if exits_at_end => OnDeadLetterLimit::Exit,
                None => OnDeadLetterLimit::Pause,
            },
            accepts_gap: flags.accept_gap.unwrap_or(false),
            accepts_compacted: flags.accept_compacted.unwrap_or(false),
            handler_timeout,
            concurrency,
            exits_at_end,
            checks_topic_settings: true,
        };
        let outage = flags.simulate_outage.map(|outage| outage.get());
        let handler = Handler {
            latency,
            failure_rate,
            failure_seed: flags.failure_seed.unwrap_or(42),
            outage_until: outage.filter(|o| !o.is_zero()).map(|outage| Instant::now() + outage),
        };
        let schema_grace = flags.unknown_schema_grace.map_or(NOT_FOUND_GRACE, |grace| grace.get());
        let registers = !flags.no_register.unwrap_or(false);
        // With -o json stdout is one object.
        let form = match flags.output.unwrap_or_default() {
            OutputFormat::Table => (Form::Text, Target::Stdout),
            OutputFormat::Json => (Form::Text, Target::Stderr),
            OutputFormat::Jsonl => (Form::Json, Target::Stdout),
        };
        let prints = flags.print_orders.unwrap_or(false).then_some(form);
        Ok(Self { engine, registry, registers, schema_grace, handler, prints, metrics })
    }

    /// For a broker that knows no topic settings, such as librdkafka's mock: only partition
    /// counts are checked.
    #[must_use]
    pub fn without_topic_settings(mut self) -> Self {
        self.engine.checks_topic_settings = false;
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
    let mut names: Vec<&str> = [&topics.main, &topics.retry, &topics.dead_letter]
        .into_iter()
        .chain(&topics.state)
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
        assert_eq!(settings.engine.topics.retry, "orders-retry");
        assert_eq!(settings.engine.topics.dead_letter, "orders-dlq");
        assert_eq!(settings.engine.topics.state.as_deref(), Some("orders-averages"));
        assert_eq!(settings.engine.group, "order-consumer");
        assert_eq!(settings.engine.guarantee, Guarantee::ExactlyOnce);
        assert_eq!(settings.engine.plan.attempts_max(), 4);
        assert_eq!(settings.engine.plan.delay_after(1, 0.9), Some(Duration::from_secs(2)));
        assert_eq!(
            settings.handler,
            Handler {
                latency: Duration::ZERO,
                failure_rate: 0.0,
                failure_seed: 42,
                outage_until: None,
            }
        );
        assert!(
            settings.registers && !settings.engine.creates_topics && !settings.engine.exits_at_end
        );
    }

    #[test]
    fn a_setting_that_cannot_work_is_a_usage_error_that_names_it() {
        for (arguments, named) in [
            (&["--simulate-failures", "1.5"][..], "--simulate-failures"),
            (&["--retry-jitter", "2"], "jitter"),
            (&["--lanes", "0"], "--lanes"),
            (&["--followers-max", "0"], "--followers-max"),
            (&["--dedupe", "1000001"], "--dedupe"),
            (&["--topic", "a b"], "--topic"),
            (&["--topic", "x", "--dlq-topic", "x"], "two roles"),
            (&["--group-id", ""], "--group-id"),
            (&["--dlq-limit-ratio", "1.5"], "--dlq-limit"),
            (&["--dlq-limit-consecutive", "0"], "--dlq-limit"),
            (&["-X", "acks=0"], "acks"),
        ] {
            let error = check(arguments).expect_err("must be refused");
            assert_eq!(error.status(), ExitStatus::Usage, "{arguments:?}");
            assert!(error.message().contains(named), "{}", error.message());
        }
    }
}
