//! Builds a pipeline, with a default for every setting.

mod check;
mod observe;

use std::net::SocketAddr;
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
    /// Starts a builder for the topic to read.
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
            metrics_address: None,
            stop: None,
        }
    }
}

/// Settings of a pipeline, each with a default; made by [`Pipeline::builder`]. They are checked when the pipeline is [run](Self::run).
///
/// Three things cannot be set here:
///
/// - **Dead letters**: more than half of the last 1,000 records, or 1,000 in a row. Then the pipeline stops before it commits them,
///   says why, and is not ready until it is started again; with [`exit_at_end`](Self::exit_at_end) the run ends with an error.
/// - **Records that wait for a retry**: 200,000 or 256 MiB in each lane. Then it does not read its main topic until fewer wait.
/// - **Settled retries** are deleted every hour, where the group may do so. The permission is Kafka's `Delete` on the retry topic.
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
    metrics_address: Option<SocketAddr>,
    stop: Option<Shutdown>,
}

impl Builder {
    /// Sets the consumer group; by default the topic's name. A second group on the topic needs its
    /// own [`retry_topic`](Self::retry_topic), since a shared one is never trimmed, and its own
    /// [`dead_letter_topic`](Self::dead_letter_topic), so that its dead letters are told from the first one's.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// Sets the prefix of the pipeline's metrics (`NAME_consumed_total`) and of the class names in the
    /// headers of its dead letters (`NAME.malformed`): ASCII letters, digits and `_`, not beginning
    /// with a digit. By default the group's name, with `_` for other characters.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the topic in which failed records wait; by default `TOPIC-retry`.
    pub fn retry_topic(mut self, topic: impl Into<String>) -> Self {
        self.retry_topic = topic.into();
        self
    }

    /// Sets the topic for dead letters; by default `TOPIC-dlq`.
    pub fn dead_letter_topic(mut self, topic: impl Into<String>) -> Self {
        self.dead_letter_topic = topic.into();
        self
    }

    /// Sets the topic for the outcome of each attempt, in the same transaction; by default none. Values are JSON, as
    /// [`Stage::write_outcome`](crate::stage::Stage::write_outcome) says; `id` and `subject` are empty.
    pub fn outcomes_topic(mut self, topic: impl Into<String>) -> Self {
        self.outcomes_topic = Some(topic.into());
        self
    }

    /// Sets whether the pipeline creates missing topics; by default it does not, and a missing topic is an error that names
    /// the command that creates it.
    pub const fn create_topics(mut self, creates: bool) -> Self {
        self.creates_topics = creates;
        self
    }

    /// Sets the partitions of created topics if the main topic does not exist, at least 1; by default 3. Otherwise they get as many as
    /// the main topic has.
    pub const fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = partitions;
        self
    }

    /// Sets how often a record is tried again after its first attempt (0 for never), and the delay before each retry: at
    /// least one delay, each of 30 days at most; the last one is repeated. By default 3 times, after 1, 10 and 60 s. Each
    /// wait is up to 20 % longer, at random, so that what failed together is not tried again together.
    pub fn retries(mut self, max: u32, delays: impl Into<Vec<Duration>>) -> Self {
        self.retries_max = max;
        self.retry_delays = delays.into();
        self
    }

    /// Keeps the order of the records of a key, across retries; by default a retry holds up no other record. If a record
    /// becomes a dead letter, `on_dead_letter` decides whether the records behind it are processed or dead-lettered too.
    /// Records without a key have no order, nor have those that were redriven from the dead-letter topic. Where 10,000 records or
    /// 32 MiB wait behind one of their key, their partition is not read until fewer do.
    pub const fn order_by_key(mut self, on_dead_letter: OnDeadLetter) -> Self {
        self.order = KeyOrdering::Key { followers_max: FOLLOWERS_MAX, on_dead_letter };
        self
    }

    /// Sets how many handlers of a lane run at once, at least 1; by default 64. Up to 64 more records are decoded ahead, so
    /// that the next handler begins at once when one ends.
    pub const fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers;
        self
    }

    /// Sets the time limit of one attempt, above zero; by default 30 s. A handler that takes longer is dropped. Its record
    /// is retried, and is a dead letter after the last attempt, like one whose handler has panicked.
    pub const fn handler_timeout(mut self, limit: Duration) -> Self {
        self.handler_timeout = limit;
        self
    }

    /// Sets the number of threads that each own a share of the partitions, at least 1; by default one per core. There are never
    /// more than partitions. Each is a member of the group.
    pub const fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = Some(lanes);
        self
    }

    /// Names this instance: it is a static member of its group, with a stable transactional id; by default it is a dynamic one.
    /// After a restart or a crash it goes on sooner, and partitions do not move meanwhile. Each running instance needs a
    /// name of its own: of two with the same name one ends with an error. When it stops for good, its partitions stand still until
    /// its session ends (10 s).
    pub fn instance_id(mut self, id: impl Into<String>) -> Self {
        self.instance_id = Some(id.into());
        self
    }

    /// Sets the delivery guarantee across a crash; by default exactly once for retries, dead
    /// letters, outcomes and offsets. What a handler does outside of Kafka is done at least once in any case.
    pub const fn guarantee(mut self, guarantee: Guarantee) -> Self {
        self.guarantee = guarantee;
        self
    }

    /// Sets whether the run ends when all records present at the start are settled, their retries and all others in the
    /// retry topic included; by default it does not. An outage is waited out.
    pub const fn exit_at_end(mut self, exits: bool) -> Self {
        self.exits_at_end = exits;
        self
    }

    /// Sets whether to continue if records were deleted before they were read. By default it does not: their
    /// partition pauses, and the pipeline is not ready.
    pub const fn accept_gap(mut self, accepts: bool) -> Self {
        self.accepts_gap = accepts;
        self
    }

    /// Sets whether to read a compacted topic. By default the pipeline refuses such a topic, because
    /// records are missing in it.
    pub const fn accept_compacted(mut self, accepts: bool) -> Self {
        self.accepts_compacted = accepts;
        self
    }

    /// Sets the address of the schema registry for a payload with schemas; by default `SCHEMA_REGISTRY_URL`, or
    /// `http://localhost:8081`. Several addresses of one registry are separated by commas.
    pub fn registry(mut self, url: impl Into<String>) -> Self {
        self.registry_url = Some(url.into());
        self
    }

    /// Sets how long a registry must answer that it has no schema of an id before its records
    /// become dead letters; by default 30 s. A replica may lag.
    pub const fn unknown_schema_grace(mut self, grace: Duration) -> Self {
        self.unknown_schema_grace = grace;
        self
    }

    /// Serves `/metrics` for Prometheus, `/livez` and `/readyz` at this address while the pipeline runs, and says on
    /// stderr or in the log where; port 0 takes any free one. By default nothing is served, and the metrics go to the recorder of
    /// the `metrics` crate that the program has installed. A program that has installed one cannot set this.
    pub const fn metrics_address(mut self, address: SocketAddr) -> Self {
        self.metrics_address = Some(address);
        self
    }

    /// Sets the request to stop, which several pipelines may share; by default SIGTERM and SIGINT.
    /// From the first such run to the end of the process these signals are caught: a second signal
    /// ends the process. A run ends within 9 s of the request: handlers may finish for 8 s, and what they
    /// have not finished by then is done again by the next run.
    pub fn stop(mut self, stop: Shutdown) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Handles records until a stop is requested or the end is reached. It starts its own async
    /// runtime for handlers, and blocks the thread until then.
    ///
    /// # Errors
    ///
    /// Fails for settings that contradict each other, within 5 s if a server, topic or permission
    /// is missing, if the metrics cannot be served, and later if only an operator can help. It then commits nothing that is
    /// unsettled. An outage is no error: it is waited out.
    ///
    /// # Panics
    ///
    /// Panics inside of an async runtime: call it in `spawn_blocking` there.
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
        let metrics_address = self.metrics_address;
        let is_default = self.kafka.is_default;
        let settings = self.settings()?;
        let connections = crate::connect(&settings.kafka, &SettingNames::default())
            .map_err(|error| Kafka::explain(is_default, error.into()))?;
        let make_stage = || HandlerStage::new(payload, &resolver, Arc::clone(&handler));
        let around =
            Resources { connections, resolver: resolver.clone(), stop, runtime: runtime.clone() };
        let mut engine = Engine::start(settings, around, make_stage, |health| {
            let Some(address) = metrics_address else { return Ok(()) };
            observe::serve(runtime, address, health).map(|_| ())
        })?;
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
        tracing::info!("schemas come from {}", registry.address());
        let not_found_grace = self.unknown_schema_grace;
        let limits = ResolverLimits { not_found_grace, ..ResolverLimits::default() };
        Ok(SchemaResolver::with_limits(registry, runtime.clone(), limits))
    }
}
