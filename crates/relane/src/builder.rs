//! A pipeline put together from its parts, with a default for every setting.

mod check;

use std::sync::Arc;
use std::time::Duration;

use codec::registry::{Registry, RegistrySettings};
use codec::resolver::{NOT_FOUND_GRACE, ResolverLimits, SchemaResolver};
use kafka_io::writer::Guarantee;
use service_kit::shutdown::Shutdown;
use tokio::runtime::Handle;

use crate::engine::{Engine, Resources};
use crate::error::Error;
use crate::handler::{Handler, HandlerStage};
use crate::kafka::Kafka;
use crate::payload::Payload;
use crate::report::Report;
use crate::settings::{HANDLER_TIMEOUT, KeyOrdering, OnDeadLetter};
use crate::signals::on_signals;
use crate::stage::SettingNames;

/// Retries of a record, where nothing else is said.
const RETRIES_MAX: u32 = 3;

/// Waits before them.
const RETRY_DELAYS: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60)];

/// Share by which each wait is spread, so that what failed together is not tried again together.
const RETRY_SPREAD: f64 = 0.2;

/// Handlers of a lane that work at once.
const CONCURRENCY: usize = 64;

/// Partitions of topics that are made when the main topic does not exist.
const PARTITIONS: i32 = 3;

/// Records of one key that wait behind one that failed, at most.
const FOLLOWERS_MAX: usize = 10_000;

/// A topic whose records are handled: failed ones are retried and dead-lettered durably, in one
/// transaction with the offsets.
///
/// ```no_run
/// use relane::{HandleError, Kafka, Pipeline, ReasonName, Record, payload};
///
/// #[derive(serde::Deserialize)]
/// struct Click { url: String }
///
/// const NO_URL: ReasonName = ReasonName::of("no-url");
///
/// let report = Pipeline::builder("clicks", Kafka::from_env()?)
///     .group("click-indexer")
///     .create_topics(true)
///     .run(payload::json::<Click>(), |click: Record<Click>| async move {
///         if click.value.url.is_empty() {
///             return Err(HandleError::permanent(NO_URL, "a click has an address"));
///         }
///         println!("{} {}", click.idempotency_key, click.value.url);
///         Ok(())
///     })?;
/// println!("{} handled, {} dead letters", report.succeeded, report.dead_lettered);
/// # Ok::<(), relane::Error>(())
/// ```
#[derive(Debug)]
pub struct Pipeline;

impl Pipeline {
    /// Begins with the topic that is read.
    pub fn builder(topic: impl Into<String>, kafka: Kafka) -> Builder {
        let topic = topic.into();
        Builder {
            group: topic.clone(),
            retry_topic: format!("{topic}-retry"),
            dead_letter_topic: format!("{topic}-dlq"),
            topic,
            kafka,
            name: None,
            outcomes_topic: None,
            creates_topics: false,
            partitions: PARTITIONS,
            retries_max: RETRIES_MAX,
            retry_delays: RETRY_DELAYS.to_vec(),
            order: KeyOrdering::None,
            concurrency: CONCURRENCY,
            handler_timeout: HANDLER_TIMEOUT,
            lanes: None,
            instance_id: None,
            guarantee: Guarantee::ExactlyOnce,
            exits_at_end: false,
            accepts_gap: false,
            accepts_compacted: false,
            registry_url: None,
            unknown_schema_grace: NOT_FOUND_GRACE,
            stop: None,
        }
    }
}

/// Settings of a pipeline; see [`Pipeline`].
#[derive(Debug, Clone)]
#[must_use = "a pipeline does nothing before it is run"]
pub struct Builder {
    topic: String,
    kafka: Kafka,
    group: String,
    name: Option<String>,
    retry_topic: String,
    dead_letter_topic: String,
    outcomes_topic: Option<String>,
    creates_topics: bool,
    partitions: i32,
    retries_max: u32,
    retry_delays: Vec<Duration>,
    order: KeyOrdering,
    concurrency: usize,
    handler_timeout: Duration,
    lanes: Option<usize>,
    instance_id: Option<String>,
    guarantee: Guarantee,
    exits_at_end: bool,
    accepts_gap: bool,
    accepts_compacted: bool,
    registry_url: Option<String>,
    unknown_schema_grace: Duration,
    stop: Option<Shutdown>,
}

impl Builder {
    /// Consumer group; the topic's name where nothing is said. A second group on the topic needs a
    /// [`retry_topic`](Self::retry_topic) of its own: where two share one it is never trimmed.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// What its metrics begin with (`NAME_consumed_total`), and the class names in the headers of its dead
    /// letters (`NAME.malformed`): ASCII letters, digits and `_`, no digit first. The group's name where
    /// nothing is said, with `_` for what may not stand in it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Topic in which failed records wait; `TOPIC-retry` where nothing is said.
    pub fn retry_topic(mut self, topic: impl Into<String>) -> Self {
        self.retry_topic = topic.into();
        self
    }

    /// Topic of the dead letters; `TOPIC-dlq` where nothing is said.
    pub fn dead_letter_topic(mut self, topic: impl Into<String>) -> Self {
        self.dead_letter_topic = topic.into();
        self
    }

    /// Topic in which the outcome of each attempt is written down, as JSON; none where nothing is said.
    pub fn outcomes_topic(mut self, topic: impl Into<String>) -> Self {
        self.outcomes_topic = Some(topic.into());
        self
    }

    /// Whether missing topics are made; not where nothing is said.
    pub const fn create_topics(mut self, creates: bool) -> Self {
        self.creates_topics = creates;
        self
    }

    /// Partitions of topics that are made when the main topic does not exist; 3 where nothing is said.
    pub const fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = partitions;
        self
    }

    /// How often a record is tried again, and after which waits, the last one for all that follow: 3
    /// times, after 1, 10 and 60 s, where nothing is said.
    pub fn retries(mut self, max: u32, delays: impl Into<Vec<Duration>>) -> Self {
        self.retries_max = max;
        self.retry_delays = delays.into();
        self
    }

    /// Keeps the order of the records of a key, across retries. Those that wait behind a record go on
    /// when it becomes a dead letter, or go with it.
    pub const fn order_by_key(mut self, on_dead_letter: OnDeadLetter) -> Self {
        self.order = KeyOrdering::Key { followers_max: FOLLOWERS_MAX, on_dead_letter };
        self
    }

    /// Handlers of a lane that work at once; 64 where nothing is said.
    pub const fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers;
        self
    }

    /// How long one attempt may take; 30 s where nothing is said.
    pub const fn handler_timeout(mut self, limit: Duration) -> Self {
        self.handler_timeout = limit;
        self
    }

    /// Threads that each own a share of the partitions; one per core where nothing is said.
    pub const fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = Some(lanes);
        self
    }

    /// Makes it a static member of its group, with a transactional id that outlives it.
    pub fn instance_id(mut self, id: impl Into<String>) -> Self {
        self.instance_id = Some(id.into());
        self
    }

    /// What holds across a crash: exactly once for retries, dead letters, outcomes and offsets, where
    /// nothing is said.
    pub const fn guarantee(mut self, guarantee: Guarantee) -> Self {
        self.guarantee = guarantee;
        self
    }

    /// Ends when everything that was there at the start is settled; not where nothing is said.
    pub const fn exit_at_end(mut self, exits: bool) -> Self {
        self.exits_at_end = exits;
        self
    }

    /// Goes on where records were deleted before they were read. Else their partition stands still.
    pub const fn accept_gap(mut self, accepts: bool) -> Self {
        self.accepts_gap = accepts;
        self
    }

    /// Reads a topic that is compacted. Else such a topic is refused: records are missing in it.
    pub const fn accept_compacted(mut self, accepts: bool) -> Self {
        self.accepts_compacted = accepts;
        self
    }

    /// Schema registry of a payload that has schemas; `SCHEMA_REGISTRY_URL`, or
    /// `http://localhost:8081`, where nothing is said.
    pub fn registry(mut self, url: impl Into<String>) -> Self {
        self.registry_url = Some(url.into());
        self
    }

    /// How long a registry must have said that it has no schema of an id before records become dead
    /// letters for it; 30 s where nothing is said. A replica may lag.
    pub const fn unknown_schema_grace(mut self, grace: Duration) -> Self {
        self.unknown_schema_grace = grace;
        self
    }

    /// What asks it to stop, and may be asked for several pipelines; SIGTERM and SIGINT where nothing is
    /// said. Those are watched from the first such run to the end of the process: a second signal ends it.
    pub fn stop(mut self, stop: Shutdown) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Handles records until it is asked to stop, or the end is reached. It brings a runtime of its own
    /// for handlers, and blocks: within a runtime, call it in `spawn_blocking`.
    ///
    /// # Errors
    ///
    /// Fails for settings that do not fit together, within 5 s when a server, topic or permission is
    /// missing, and when only an operator can help; nothing unsettled is committed then.
    pub fn run<P, H>(self, payload: P, handler: H) -> Result<Report, Error>
    where
        P: Payload,
        H: Handler<P::Value>,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("handlers")
            .build()
            .map_err(|error| Error::failed(&error))?;
        let report = self.run_on(runtime.handle(), &payload, Arc::new(handler));
        // A handler that blocks, or a lane that a broker holds, is left behind.
        runtime.shutdown_background();
        report
    }

    fn run_on<P, H>(self, runtime: &Handle, payload: &P, handler: Arc<H>) -> Result<Report, Error>
    where
        P: Payload,
        H: Handler<P::Value>,
    {
        let asked = match self.stop.clone() {
            Some(stop) => stop,
            None => on_signals()?,
        };
        // Its own: the engine stops it when it ends, and the caller's may be for others, too.
        let stop = Shutdown::new();
        let follows = stop.clone();
        runtime.spawn(async move {
            asked.requested().await;
            follows.request();
        });
        let has_schemas = payload.has_schemas();
        let resolver = self.resolver(runtime, has_schemas)?;
        let settings = self.settings()?;
        let connections = crate::connect(&settings.kafka, &SettingNames::default())?;
        let make_stage = || {
            let decode = payload.decoder(&resolver);
            HandlerStage::new(decode, has_schemas, Arc::clone(&handler))
        };
        let around =
            Resources { connections, resolver: resolver.clone(), stop, runtime: runtime.clone() };
        let mut engine = Engine::start(settings, around, make_stage, |_| Ok(()))?;
        let ended = engine.run(|_| {})?;
        let [consumed, succeeded, retried, dead_lettered] = engine.counts();
        Ok(Report {
            consumed,
            succeeded,
            retried,
            dead_lettered,
            waiting: engine.waiting(),
            reached_end: ended.reached_end,
        })
    }

    fn resolver(&self, runtime: &Handle, has_schemas: bool) -> Result<SchemaResolver, Error> {
        if !has_schemas {
            return Ok(SchemaResolver::offline());
        }
        let url = self.registry_url.clone().or_else(|| std::env::var("SCHEMA_REGISTRY_URL").ok());
        let url = url.unwrap_or_else(|| "http://localhost:8081".to_owned());
        let wrong = |error: &dyn std::fmt::Display| Error::setting(error.to_string());
        let settings = RegistrySettings::from_program(&url, None).map_err(|error| wrong(&error))?;
        let registry = Registry::new(settings).map_err(|error| wrong(&error))?;
        let not_found_grace = self.unknown_schema_grace;
        let limits = ResolverLimits { not_found_grace, ..ResolverLimits::default() };
        Ok(SchemaResolver::with_limits(registry, runtime.clone(), limits))
    }
}
