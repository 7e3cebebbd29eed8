//! Checked settings, made from what was written.

use std::time::Duration;

use codec::registry::RegistrySettings;
use codec::resolver::NOT_FOUND_GRACE;
use engine_args::{Defaults, FLAGS, Given, distinct, topic_name};
use kafka_io::client_config::KafkaSettings;
use relane::settings::{EngineSettings, PipelineName, Topics};
use relane::stage::{SettingNames, Words};
use service_kit::admin_http::Listen;
use service_kit::args::MetricsAddr;
use service_kit::exit::{AppError, require};
use service_kit::secret::Secret;

use crate::access::{self, Files};
use crate::batch::BATCH_RECORDS_MAX;
use crate::body::Bodies;
use crate::caller::Place;
use crate::flags::Flags;

/// Records that a lane sends at once.
const CONCURRENCY: usize = 64;

/// Of flags whose default is this program's own.
const DEFAULTS: Defaults = Defaults {
    creates_topics: false,
    lanes: None,
    dedupe: 0,
    concurrency: CONCURRENCY,
    handler_waits: Duration::ZERO,
};

/// What its metrics begin with, and the class names in the headers of its dead letters.
const NAME: PipelineName = PipelineName::of("push");

/// How messages call the parts of this pipeline, and the flags that hints propose.
const WORDS: Words = Words {
    program: "push",
    records: "records",
    state: "state",
    settings: SettingNames {
        group: "--group-id {}",
        retry: "--retry-topic {}",
        dead_letter: "--dlq-topic {}",
        outcomes: "--outcomes-topic {}",
        ..FLAGS
    },
};

/// Longest ending of a topic that is named after the main one.
const SUFFIX_CHARS: usize = "-retry".len();

/// Checked settings.
#[derive(Debug)]
pub struct Settings {
    pub(crate) engine: EngineSettings,
    pub(crate) registry: RegistrySettings,
    /// How long a schema must have been missing before a record is given up for it.
    pub(crate) schema_grace: Duration,
    pub(crate) bodies: Bodies,
    pub(crate) place: Place,
    pub(crate) metrics: Option<Listen>,
}

impl Settings {
    /// Checks settings and fills in the defaults.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the setting that is wrong.
    pub fn check(flags: &Flags) -> Result<Self, AppError> {
        let kafka =
            KafkaSettings::new("push", flags.kafka.bootstrap_servers(), flags.kafka.properties())
                .and_then(KafkaSettings::with_credentials_from_env)
                .map_err(|error| AppError::usage(error.to_string()))?;
        let registry = RegistrySettings::from_program(
            flags.registry.url(),
            flags.registry.schema_registry_ca_location.as_deref(),
        )
        .map_err(|error| AppError::usage(error.to_string()))?;
        let topics = topics(flags)?;
        let group = flags.group_id.clone().unwrap_or_else(|| format!("push-{}", topics.main));
        require(!group.is_empty(), || "--group-id is empty".to_owned())?;
        let batch_max = batch_max(flags)?;
        // While some of a partition are under way, others gather.
        let concurrency = CONCURRENCY.max(2 * batch_max.unwrap_or(0));
        let defaults = Defaults { concurrency, ..DEFAULTS };
        let given = Given { name: NAME, words: WORDS, kafka, topics, group, defaults };
        let engine = flags.order.lay_over(flags.engine.settings(given)?)?;
        let place = Place { batch_max, ..place(flags, &engine)? };
        let engine = EngineSettings { downstream: Some(called(&place.url)), ..engine };
        let metrics = match flags.metrics_addr {
            None => Some(Listen::default_of(WORDS.program)),
            Some(MetricsAddr::At(address)) => Some(Listen::Explicit(address)),
            Some(MetricsAddr::Off) => None,
        };
        let schema_grace = flags.unknown_schema_grace.map_or(NOT_FOUND_GRACE, |grace| grace.get());
        Ok(Self { engine, registry, schema_grace, bodies: Bodies(flags.form), place, metrics })
    }
}

fn place(flags: &Flags, engine: &EngineSettings) -> Result<Place, AppError> {
    let to = flags.to.as_ref().map(Secret::expose).filter(|to| !to.is_empty());
    let to = to.ok_or_else(|| {
        AppError::usage("--to is missing")
            .hint("give the address of the service: --to http://HOST:PORT/PATH")
    })?;
    let files = Files {
        token: flags.token_file.as_deref(),
        basic: flags.basic_file.as_deref(),
        headers: flags.header_file.as_deref(),
    };
    let (url, common) = (access::address(to)?, access::common_headers(files)?);
    let has_secrets = common.values().any(reqwest::header::HeaderValue::is_sensitive);
    if has_secrets && url.scheme() == "http" && !is_of_this_machine(&url) {
        tracing::warn!(
            "a login or headers of a file go over http, which everyone on the way can read"
        );
    }
    Ok(Place {
        url,
        common,
        authorities: flags.ca.as_deref().map(access::authorities).transpose()?,
        handler_timeout: engine.handler_timeout,
        attempts_max: engine.plan.attempts_max(),
        batch_max: None,
    })
}

fn batch_max(flags: &Flags) -> Result<Option<usize>, AppError> {
    let Some(most) = flags.batch_max else { return Ok(None) };
    require((1..=BATCH_RECORDS_MAX).contains(&most), || {
        format!("--batch-max must be between 1 and {BATCH_RECORDS_MAX}")
    })?;
    let concurrency = flags.engine.concurrency.unwrap_or(most);
    require(most <= concurrency, || {
        format!(
            "--batch-max {most} is above --concurrency {concurrency}, the records that a lane \
             sends at once"
        )
    })?;
    Ok(Some(most))
}

/// What messages call the service: never its login, path or query.
fn called(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    format!("the service {host}:{port}")
}

fn is_of_this_machine(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn topics(flags: &Flags) -> Result<Topics, AppError> {
    let main = flags.topic.as_deref().filter(|topic| !topic.is_empty());
    let main = main.ok_or_else(|| {
        AppError::usage("--topic is missing").hint("name the topic to read: --topic TOPIC")
    })?;
    let main = topic_name("--topic", Some(main), "", SUFFIX_CHARS)?;
    let named = |flag, given: &Option<String>, suffix: &str| {
        topic_name(flag, given.as_deref(), &format!("{main}-{suffix}"), 0)
    };
    let outcomes = flags.outcomes_topic.as_deref();
    let topics = Topics {
        retry: named("--retry-topic", &flags.retry_topic, "retry")?,
        dead_letter: named("--dlq-topic", &flags.dlq_topic, "dlq")?,
        state: None,
        outcomes: outcomes.map(|it| topic_name("--outcomes-topic", Some(it), "", 0)).transpose()?,
        output: None,
        main,
    };
    distinct(
        [&topics.main, &topics.retry, &topics.dead_letter].into_iter().chain(&topics.outcomes),
    )?;
    Ok(topics)
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
