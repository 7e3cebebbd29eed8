//! Checked settings, made from what was written.

use std::time::{Duration, Instant};

use codec::registry::RegistrySettings;
use codec::resolver::NOT_FOUND_GRACE;
use engine_args::{Defaults, FLAGS, Given, distinct, topic_name};
use kafka_io::client_config::KafkaSettings;
use relane::settings::{EngineSettings, PipelineName, Topics};
use relane::stage::{SettingNames, Words};
use service_kit::admin_http::Listen;
use service_kit::args::{MetricsAddr, OutputFormat};
use service_kit::exit::{AppError, require};

use crate::flags::Flags;
use crate::handler::Handler;
use crate::printer::Target;
use crate::settled_lines::Form;

/// Of flags whose default is this program's own.
const DEFAULTS: Defaults = Defaults {
    creates_topics: false,
    lanes: None,
    dedupe: 0,
    concurrency: 256,
    handler_waits: Duration::ZERO,
};

/// What its metrics and the class names in its headers begin with.
const NAME: PipelineName = PipelineName::of("orders");

/// How messages call the parts of this pipeline, and the flags that hints propose.
const WORDS: Words = Words {
    program: "consumer",
    records: "orders",
    state: "averages",
    settings: SettingNames {
        group: "--group-id {}",
        state: "--averages-topic {}",
        retry: "--retry-topic {}",
        dead_letter: "--dlq-topic {}",
        outcomes: "--outcomes-topic {}",
        ..FLAGS
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
        let handler = handler(&flags)?;
        let group = flags.group_id.clone().unwrap_or_else(|| "order-consumer".to_owned());
        require(!group.is_empty(), || "--group-id is empty".to_owned())?;
        let topics = topics(&flags)?;
        let metrics = match flags.metrics_addr {
            None => Some(Listen::default_of(WORDS.program)),
            Some(MetricsAddr::At(address)) => Some(Listen::Explicit(address)),
            Some(MetricsAddr::Off) => None,
        };
        let defaults = Defaults { handler_waits: handler.latency, ..DEFAULTS };
        let given = Given { name: NAME, words: WORDS, kafka, topics, group, defaults };
        let engine = flags.order.lay_over(flags.engine.settings(given)?)?;
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

/// What its handler does on request.
fn handler(flags: &Flags) -> Result<Handler, AppError> {
    let failure_rate = flags.simulate_failures.unwrap_or(0.0);
    require((0.0..=1.0).contains(&failure_rate), || {
        format!("--simulate-failures {failure_rate} is not between 0.0 and 1.0")
    })?;
    let outage = flags.simulate_outage.map(|outage| outage.get());
    Ok(Handler {
        latency: flags.simulate_latency.map_or(Duration::ZERO, |d| d.get()),
        failure_rate,
        failure_seed: flags.failure_seed.unwrap_or(42),
        outage_until: outage.filter(|o| !o.is_zero()).map(|outage| Instant::now() + outage),
    })
}

fn topics(flags: &Flags) -> Result<Topics, AppError> {
    let outcomes = flags.outcomes_topic.as_deref();
    let topics = Topics {
        main: topic("--topic", flags.topic.as_deref(), "orders")?,
        retry: topic("--retry-topic", flags.retry_topic.as_deref(), "orders-retry")?,
        dead_letter: topic("--dlq-topic", flags.dlq_topic.as_deref(), "orders-dlq")?,
        state: Some(topic("--averages-topic", flags.averages_topic.as_deref(), "orders-averages")?),
        outcomes: outcomes.map(|name| topic("--outcomes-topic", Some(name), "")).transpose()?,
        output: None,
    };
    let names = [&topics.main, &topics.retry, &topics.dead_letter].into_iter();
    distinct(names.chain(&topics.state).chain(&topics.outcomes))?;
    Ok(topics)
}

fn topic(flag: &str, given: Option<&str>, default: &str) -> Result<String, AppError> {
    topic_name(flag, given, default, 0)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use kafka_io::writer::Guarantee;

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
    #[test]
    fn the_file_for_a_hundred_partitions_is_right() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let file = root.join("config/hundred-partitions/consumer.toml");
        let flags = Flags::try_parse_from(["consumer", "--instance-id", "consumer-0"]).unwrap();
        let flags = service_kit::settings::load("consumer", Some(&file), flags).unwrap();
        let settings = Settings::check(flags).unwrap();
        assert_eq!(settings.engine.plan.attempts_max(), 4);
    }
}
