//! Runs the lanes of one pipeline to their end.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use codec::resolver::SchemaResolver;
use kafka_io::admin::Admin;
use kafka_io::ends::GroupOffsets;
use rand::Rng as _;
use service_kit::exit::AppError;
use service_kit::health::HealthSource;
use service_kit::shutdown::Shutdown;
use tokio::runtime::Handle;

use crate::finish::{Finish, owned};
use crate::gaps::Missing;
use crate::gauges::Share;
use crate::lane::runner::Runner;
use crate::lane::settings::LaneSettings;
use crate::lane::{Connections, Lane, LaneError};
use crate::layout;
use crate::outages::Outages;
use crate::prepare::{lane_settings, main_ends, prepare_topics};
use crate::settings::EngineSettings;
use crate::shared::{Shared, View};
use crate::snapshot::Watcher;
use crate::stage::Stage;
use crate::topic_watch::TopicWatch;

/// Time between two looks at the lanes.
const WATCH_EVERY: Duration = Duration::from_millis(50);

/// Time between two settings of the gauges.
const GAUGES_EVERY: Duration = Duration::from_millis(500);

/// After a stop was requested, lanes that do not end by themselves are left behind.
const JOIN_MAX: Duration = Duration::from_millis(8800);

/// Longest wait for a trim that is under way when the run ends.
const TRIM_END_MAX: Duration = Duration::from_millis(200);

/// What a pipeline needs from its surroundings.
pub struct Resources {
    /// Connections to Kafka, as [`crate::connect`] makes them.
    pub connections: Connections,
    /// Where the stages get their schemas; [`SchemaResolver::offline`] where values have none. With it the engine notices that
    /// the registry is unavailable, and that a schema became known.
    pub resolver: SchemaResolver,
    /// When to stop. The engine requests it as well, when a run ends: give each pipeline one of its own.
    pub stop: Shutdown,
    /// Runs handlers and requests to brokers. It must be one with several threads, I/O and time, and live as long as the engine.
    pub runtime: Handle,
}

/// A running pipeline with a [`Stage`], for programs that keep state or have a view of their own. A handler needs only
/// [`Builder::run`](crate::Builder::run).
///
/// Each lane is a thread. An engine that is dropped without [`run`](Self::run) leaves them behind, at work until the stop is
/// requested.
///
/// ```no_run
/// # use relane::{Error, HandleError, Record};
/// # #[derive(serde::Deserialize)]
/// # struct Click { url: String }
/// # async fn index(_: Record<Click>) -> Result<(), HandleError> { Ok(()) }
/// use std::sync::Arc;
///
/// use relane::{Engine, HandlerStage, Kafka, Pipeline, Resources, SchemaResolver, Shutdown, payload};
///
/// # fn run() -> Result<(), Error> {
/// let settings = Pipeline::builder("clicks", Kafka::from_env()?).group("click-indexer").settings()?;
/// let runtime = tokio::runtime::Runtime::new().expect("a runtime");
/// let around = Resources {
///     connections: relane::connect(&settings.kafka, &settings.words.settings)?,
///     resolver: SchemaResolver::offline(),
///     stop: Shutdown::on_signals().expect("signals can be caught"),
///     runtime: runtime.handle().clone(),
/// };
/// let (resolver, handler) = (around.resolver.clone(), Arc::new(index));
/// // A stage of one's own, such as one with state, stands in the place of this one.
/// let make_stage = || HandlerStage::new(&payload::json::<Click>(), &resolver, Arc::clone(&handler));
/// let mut engine = Engine::start(settings, around, make_stage, |health| {
///     println!("ready: {}", health.ready().is_ok()); // serve it here
///     Ok(())
/// })?;
/// let ended = engine.run(|engine| println!("{} wait", engine.waiting()))?;
/// println!("{:?}, the end was reached: {}", engine.counts(), ended.reached_end);
/// # Ok(())
/// # }
/// ```
pub struct Engine<S: Stage> {
    settings: EngineSettings,
    shared: Arc<Shared<S::Summary>>,
    around: Resources,
    lane_settings: Arc<LaneSettings>,
    lanes: Vec<JoinHandle<Result<(), LaneError>>>,
    finish: Option<Finish>,
    /// What the lanes told when the end was reached.
    at_end: Option<Vec<View<S::Summary>>>,
    trimming: Option<tokio::task::JoinHandle<()>>,
    gauges: Share,
    outages: Outages,
    topic_watch: TopicWatch,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Whether everything that was there at the start is settled; always false without an end.
    pub reached_end: bool,
    /// How long ago a stop was requested from outside; `None` where the run ended otherwise.
    pub stopping_for: Option<Duration>,
}

impl<S: Stage> Engine<S> {
    /// Checks that the topics fit together and starts the lanes, each with a stage of its own. `before_lanes` gets what tells
    /// the pipeline's health, so that it is served before the first lane starts. The thread is blocked until the lanes run.
    ///
    /// # Errors
    ///
    /// Fails within 5 s when a topic or permission is missing, and says which; within 10 s when
    /// brokers that answer do not tell; and as `before_lanes` does.
    ///
    /// # Panics
    ///
    /// Panics inside of an async runtime: call it in `spawn_blocking` there.
    pub fn start(
        settings: EngineSettings,
        around: Resources,
        mut make_stage: impl FnMut() -> S,
        before_lanes: impl FnOnce(Arc<dyn HealthSource>) -> Result<(), AppError>,
    ) -> Result<Self, AppError> {
        let connections = &around.connections;
        let partitions = around.runtime.block_on(prepare_topics(&settings, connections))?;
        let lane_count = settings.lanes.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        let lane_count = lane_count.min(usize::try_from(partitions).unwrap_or(1)).max(1);
        let main_ends = main_ends(&settings, connections, partitions)?;
        let process_id = format!("{:016x}", rand::rng().random::<u64>());
        let shared = Arc::new(Shared::new(around.stop.clone(), process_id, lane_count));
        crate::metrics::describe(&settings.name, &settings.topics, settings.plan.attempts_max());
        for (_, topic) in layout::roles(&settings.topics) {
            crate::metrics::topic_partitions(topic, partitions);
        }
        before_lanes(Arc::clone(&shared) as _)?;
        let lane_settings = Arc::new(lane_settings(&settings, partitions, main_ends.clone()));
        let failed = |error: kafka_io::KafkaError| AppError::failed(error.to_string());
        let finish = match main_ends {
            Some(main_ends) => Some(Finish::new(
                Arc::clone(&connections.ends),
                GroupOffsets::new(&connections.consumer, &settings.group).map_err(failed)?,
                settings.topics.clone(),
                main_ends,
                settings.plan.attempts_max(),
            )),
            None => None,
        };
        let topic_watch = TopicWatch::new(&settings, &connections.consumer, &shared.notices);
        let gauges = Share::new(&settings.name);
        let outages = Outages::new(&settings.name, settings.downstream.as_deref());
        let mut engine = Self {
            settings,
            shared,
            around,
            lane_settings,
            lanes: Vec::new(),
            finish,
            at_end: None,
            trimming: None,
            gauges,
            outages,
            topic_watch,
        };
        engine.tell_start();
        for index in 0..lane_count {
            if let Err(error) = engine.start_lane(index, make_stage()) {
                // Those that have begun would own partitions and never settle anything.
                engine.shared.stop.request();
                engine.shared.must_abandon(); // notes the time
                let _ = engine.join();
                return Err(error);
            }
        }
        Ok(engine)
    }

    fn tell_start(&self) {
        let EngineSettings { topics, group, .. } = &self.settings;
        let (main, dead_letter) = (&topics.main, &topics.dead_letter);
        tracing::info!("reading {main} as group {group}; dead letters go to {dead_letter}");
    }

    fn start_lane(&mut self, index: usize, stage: S) -> Result<(), AppError> {
        let lane = Lane::join(
            index,
            &self.lane_settings,
            &self.shared,
            &self.around.connections,
            self.around.resolver.clone(),
            stage,
            Runner::new(self.around.runtime.clone(), self.settings.concurrency),
        )?;
        let thread = std::thread::Builder::new().name(format!("lane-{index}"));
        let handle = thread
            .spawn(move || lane.run())
            .map_err(|error| AppError::failed(format!("lane {index} did not start: {error}")))?;
        self.lanes.push(handle);
        Ok(())
    }

    /// Partitions of each topic.
    pub fn partitions(&self) -> i32 {
        self.lane_settings.partitions
    }

    /// The settings that it was started with.
    pub const fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    /// The surroundings that it was started with.
    pub const fn resources(&self) -> &Resources {
        &self.around
    }

    /// Counts of this run so far: consumed, succeeded, retried, dead-lettered.
    pub fn counts(&self) -> [u64; 4] {
        self.shared.counters.snapshot()
    }

    /// Records that wait in retry.
    pub fn waiting(&self) -> u64 {
        self.views().iter().map(|view| view.waiting as u64).sum()
    }

    /// What the stages of the lanes tell of their states, one summary for each lane. After a run that has
    /// reached its end it is what they came to.
    pub fn summaries(&self) -> Vec<S::Summary> {
        let now = self.views();
        // A rebalance may have taken a partition from a lane that was about to end.
        let at_end = self.at_end.as_ref().filter(|views| owned(views) != owned(&now));
        let views = at_end.cloned().unwrap_or(now);
        views.into_iter().map(|view| view.summary).collect()
    }

    /// Makes a watcher, which looks at the pipeline from another thread.
    pub fn watcher(&self) -> Watcher<S::Summary> {
        Watcher::new(Arc::clone(&self.shared))
    }

    fn views(&self) -> Vec<View<S::Summary>> {
        self.shared.views().collect()
    }

    /// Runs until a stop is requested or the end is reached, and blocks the thread until then; after the request, for
    /// at most 9 s. `watch` is called 20 times a second, and must return soon: the engine does not look at its lanes meanwhile. Call
    /// it once: a second call returns at once.
    ///
    /// # Errors
    ///
    /// Fails when a lane ended by itself, by an error or a panic; the others are stopped first.
    ///
    /// # Panics
    ///
    /// Panics inside of an async runtime: call it in `spawn_blocking` there.
    pub fn run(&mut self, mut watch: impl FnMut(&Self)) -> Result<Ended, AppError> {
        let mut gauges_at = Instant::now();
        let mut trim_at = self.settings.trim_retry.map(|every| Instant::now() + every);
        while !self.shared.stop.wait(WATCH_EVERY) {
            let views = self.views();
            self.outages.look(&views, &self.around.resolver);
            watch(self);
            if gauges_at <= Instant::now() {
                gauges_at = Instant::now() + GAUGES_EVERY;
                self.gauges.set(&views);
                self.look_at_topics(&views);
            }
            if trim_at.is_some_and(|at| at <= Instant::now()) {
                trim_at = self.settings.trim_retry.map(|every| Instant::now() + every);
                self.trim_retry();
            }
            if self.lanes.iter().any(JoinHandle::is_finished) {
                break;
            }
            if self.finish.as_mut().is_some_and(|finish| finish.is_done(&views)) {
                self.at_end = Some(views);
                break;
            }
        }
        self.tell_late_starts(true);
        self.topic_watch.end();
        let is_stopped_from_outside = self.shared.stop.is_requested();
        self.shared.stop.request();
        self.shared.must_abandon(); // notes the time
        self.join()?;
        self.outages.end(&self.views());
        let stopping_for = is_stopped_from_outside.then(|| self.shared.stopping_for());
        Ok(Ended { reached_end: self.at_end.is_some(), stopping_for })
    }

    /// Says what the lanes have found at their start, and looks at the topics, once all partitions
    /// are restored.
    fn look_at_topics(&mut self, views: &[View<S::Summary>]) {
        let are_restored = self.shared.are_restored();
        self.tell_late_starts(are_restored);
        if are_restored {
            self.tell_joined(views);
            let mut missing = Missing::default();
            views.iter().for_each(|view| missing.add(view.missing));
            self.topic_watch.look(owned(views), missing);
        }
    }

    fn tell_joined(&self, views: &[View<S::Summary>]) {
        let owned: usize = views.iter().map(|view| view.owned.len()).sum();
        if self.shared.notices.is_news_to_own(owned) {
            let (group, topic) = (&self.settings.group, &self.settings.topics.main);
            let all = self.lane_settings.partitions;
            tracing::info!("joined group {group}: {owned} of {all} partitions of {topic}");
        }
    }

    fn tell_late_starts(&self, are_all_known: bool) {
        for line in self.shared.notices.take_late_starts(&self.settings.group, are_all_known) {
            tracing::warn!("{line}");
        }
    }

    /// Waits for the lanes; one that is held by a broker that is away is left behind.
    fn join(&mut self) -> Result<(), AppError> {
        while self.lanes.iter().any(|lane| !lane.is_finished())
            && self.shared.stopping_for() < JOIN_MAX
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Some(task) = self.trimming.take() {
            // Its client is not to be torn down while the process ends.
            let wait = async { tokio::time::timeout(TRIM_END_MAX, task).await.is_ok() };
            let _is_over = self.around.runtime.block_on(wait);
        }
        let (mut failure, mut problems) = (None, Vec::new());
        for lane in self.lanes.drain(..).filter(JoinHandle::is_finished) {
            match lane.join() {
                Ok(Ok(())) => {}
                Ok(Err(LaneError::State(found))) => problems.extend(found),
                Ok(Err(error)) => failure = Some(error.into()),
                Err(_) => {
                    failure =
                        Some(AppError::failed("a lane panicked; nothing unsettled was committed"))
                }
            }
        }
        if !problems.is_empty() {
            failure = Some(LaneError::State(problems).into());
        }
        failure.map_or(Ok(()), Err)
    }

    /// Deletes what is settled at the start of the retry topic, unless that still goes on.
    fn trim_retry(&mut self) {
        if self.trimming.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let below: Vec<_> =
            self.views().into_iter().flat_map(|view| view.retry_positions).collect();
        if below.is_empty() {
            return; // nothing is owned yet
        }
        let (config, topic) =
            (self.around.connections.consumer.clone(), self.settings.topics.retry.clone());
        let task = self.around.runtime.spawn(async move {
            let result = match Admin::new(&config) {
                Ok(admin) => admin.trim(&topic, &below).await,
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                tracing::warn!(%error, topic, "settled retries were not deleted");
            }
        });
        self.trimming = Some(task);
    }
}
