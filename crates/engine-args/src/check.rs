//! From flags to checked settings of the engine.

use std::time::Duration;

use kafka_io::client_config::KafkaSettings;
use kafka_io::writer::Guarantee;
use pipeline::dead_letter_limit::{CONSECUTIVE_DEFAULT, DeadLetterLimits, RATIO_DEFAULT};
use pipeline::dedupe::DEDUPE_OFFSETS_MAX;
use pipeline::retry::RetryPlan;
use relane::settings::{
    EngineSettings, HANDLER_TIMEOUT, KeyOrdering, OnDeadLetter, OnDeadLetterLimit, PipelineName,
    Topics, WAITING_RECORDS_MAX,
};
use relane::stage::Words;
use service_kit::exit::{AppError, require};

use crate::{
    DlqHeaders, EngineArgs, GuaranteeArg, OnDeadLetterArg, OnDlqLimitArg, OrderArg, OrderArgs,
    Switch,
};

/// Most lanes that one process runs.
const LANES_MAX: usize = 256;
/// Partitions of topics that are made when the topic that is read does not exist.
const PARTITIONS: i32 = 3;
/// Further attempts after the first one.
const RETRIES_MAX: u32 = 3;
/// Delay before each of them.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// Settled retries are deleted this often.
const TRIM_RETRY_EVERY: Duration = Duration::from_secs(3600);

/// What a program's help says of flags whose default is its own.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// Whether missing topics are made.
    pub creates_topics: bool,
    /// Threads; `None` for one per core.
    pub lanes: Option<usize>,
    /// Offsets over which duplicates are looked for; 0 for off.
    pub dedupe: u32,
    /// Handlers of a lane that may wait at once.
    pub concurrency: usize,
    /// What a handler is expected to wait for; its timeout comes on top.
    pub handler_waits: Duration,
}

/// What a pipeline has that no flag of [`EngineArgs`] gives.
#[derive(Debug, Clone)]
pub struct Given {
    /// What its metrics and the class names in its headers begin with.
    pub name: PipelineName,
    /// How messages call its parts.
    pub words: Words,
    /// Connection to Kafka.
    pub kafka: KafkaSettings,
    /// Its topics.
    pub topics: Topics,
    /// Consumer group.
    pub group: String,
    /// Where a flag says nothing.
    pub defaults: Defaults,
}

impl EngineArgs {
    /// Checks the flags and fills in the defaults. The guarantee is exactly once, and no order is kept.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the flag that is wrong.
    pub fn settings(&self, given: Given) -> Result<EngineSettings, AppError> {
        let Given { name, words, kafka, topics, group, defaults } = given;
        let lanes = self.lanes.or(defaults.lanes);
        require(lanes.is_none_or(|n| (1..=LANES_MAX).contains(&n)), || {
            format!("--lanes must be between 1 and {LANES_MAX}")
        })?;
        let dedupe = self.dedupe.unwrap_or(defaults.dedupe);
        require(dedupe <= DEDUPE_OFFSETS_MAX, || {
            format!("--dedupe {dedupe} is above {DEDUPE_OFFSETS_MAX}")
        })?;
        let concurrency = self.concurrency.unwrap_or(defaults.concurrency);
        require(concurrency > 0, || "--concurrency must be at least 1".to_owned())?;
        let waiting_records_max = self.waiting_max.unwrap_or(WAITING_RECORDS_MAX);
        require(waiting_records_max > 0, || "--waiting-max must be at least 1".to_owned())?;
        let timeout = HANDLER_TIMEOUT + defaults.handler_waits;
        let handler_timeout = self.handler_timeout.map_or(timeout, |limit| limit.get());
        require(!handler_timeout.is_zero(), || "--handler-timeout must be above 0s".to_owned())?;
        let create_partitions = self.create_partitions.unwrap_or(PARTITIONS);
        require(create_partitions > 0, || "--create-partitions must be at least 1".to_owned())?;
        let exits_at_end = self.exit_at_end.unwrap_or(false);
        Ok(EngineSettings {
            name,
            words,
            kafka,
            downstream: None,
            topics,
            creates_topics: self.create_topics.unwrap_or(defaults.creates_topics),
            create_partitions,
            trim_retry: Some(self.trim_retry.map_or(TRIM_RETRY_EVERY, |every| every.get()))
                .filter(|every| !every.is_zero()),
            writes_connect_headers: self.dlq_headers == Some(DlqHeaders::Connect),
            group,
            instance_id: self.instance_id.clone().filter(|id| !id.is_empty()),
            lanes,
            guarantee: Guarantee::ExactlyOnce,
            plan: self.plan()?,
            order: KeyOrdering::None,
            dedupe: Some(dedupe).filter(|reach| *reach > 0),
            waiting_records_max,
            dead_letter_limits: self.dead_letter_limits()?,
            on_dead_letter_limit: match self.on_dlq_limit {
                Some(OnDlqLimitArg::Pause) => OnDeadLetterLimit::Pause,
                Some(OnDlqLimitArg::Exit) => OnDeadLetterLimit::Exit,
                // Nobody waits beside a run that ends by itself.
                None if exits_at_end => OnDeadLetterLimit::Exit,
                None => OnDeadLetterLimit::Pause,
            },
            accepts_gap: self.accept_gap.unwrap_or(false),
            accepts_compacted: self.accept_compacted.unwrap_or(false),
            handler_timeout,
            concurrency,
            exits_at_end,
            checks_topic_settings: true,
        })
    }

    fn plan(&self) -> Result<RetryPlan, AppError> {
        let delays = match &self.retry_delay {
            Some(delays) => delays.iter().map(|delay| delay.get()).collect(),
            None => vec![RETRY_DELAY],
        };
        let retries_max = self.max_retries.unwrap_or(RETRIES_MAX);
        RetryPlan::new(retries_max, delays, self.retry_jitter.unwrap_or(0.0))
            .map_err(|error| AppError::usage(error.to_string()))
    }

    fn dead_letter_limits(&self) -> Result<Option<DeadLetterLimits>, AppError> {
        let limits = DeadLetterLimits::new(
            self.dlq_limit_ratio.unwrap_or(RATIO_DEFAULT),
            self.dlq_limit_consecutive.unwrap_or(CONSECUTIVE_DEFAULT),
        )
        .map_err(|error| AppError::usage(format!("--dlq-limit-…: {error}")))?;
        Ok((self.dlq_limit != Some(Switch::Off)).then_some(limits))
    }
}

impl OrderArgs {
    /// Lays these flags over the settings.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the flag that is wrong.
    pub fn lay_over(&self, settings: EngineSettings) -> Result<EngineSettings, AppError> {
        let followers_max = self.followers_max.unwrap_or(pipeline::keys::FOLLOWERS_MAX);
        require(followers_max > 0, || "--followers-max must be at least 1".to_owned())?;
        let on_dead_letter = match self.on_dead_letter {
            Some(OnDeadLetterArg::Hold) => OnDeadLetter::Hold,
            Some(OnDeadLetterArg::Release) | None => OnDeadLetter::Release,
        };
        Ok(EngineSettings {
            guarantee: match self.guarantee {
                Some(GuaranteeArg::AtLeastOnce) => Guarantee::AtLeastOnce,
                Some(GuaranteeArg::ExactlyOnce) | None => Guarantee::ExactlyOnce,
            },
            order: match self.order {
                None | Some(OrderArg::None) => KeyOrdering::None,
                Some(OrderArg::Key) => KeyOrdering::Key { followers_max, on_dead_letter },
            },
            ..settings
        })
    }
}
