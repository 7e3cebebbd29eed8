//! Puts a consumer together and runs it to its end.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use codec::resolver::SchemaResolver;
use kafka_io::admin::Admin;
use kafka_io::client_config::{Role, probe_brokers};
use kafka_io::ends::{Ends, GroupOffsets};
use rand::Rng as _;
use service_kit::admin_http;
use service_kit::exit::AppError;
use service_kit::metrics_recorder::Metrics;
use service_kit::shutdown::Shutdown;
use tokio::runtime::Handle;

use crate::finish::Finish;
use crate::lane::{Connections, Encoders, Lane, LaneError, LaneSettings};
use crate::layout;
use crate::prepare::{
    BROKER_HINT, START_MAX, connect_registry, lane_settings, main_ends, prepare_topics,
};
use crate::settings::Settings;
use crate::shared::{Away, Shared, View};
use crate::statistics::{self, State, Statistics};

/// Time between two looks at the lanes.
const WATCH_EVERY: Duration = Duration::from_millis(50);

/// After a stop was requested, lanes that do not end by themselves are left behind.
const JOIN_MAX: Duration = Duration::from_millis(8800);

/// Longest time to read the averages at the end of a run that finished.
const STATE_MAX: Duration = Duration::from_secs(60);

/// Longest time to read them when a stop was requested: the process must end within 10 s.
const STATE_MAX_WHEN_STOPPED: Duration = Duration::from_secs(9);

/// A running consumer.
pub struct App {
    settings: Settings,
    shared: Arc<Shared>,
    connections: Connections,
    resolver: SchemaResolver,
    lane_settings: Arc<LaneSettings>,
    lanes: Vec<JoinHandle<Result<(), LaneError>>>,
    finish: Option<Finish>,
    runtime: Handle,
}

#[derive(Debug)]
struct RegistryAway(SchemaResolver);

impl Away for RegistryAway {
    fn reason(&self) -> Option<String> {
        self.0.is_away()
    }
}

impl App {
    /// Checks that everything is there and starts the lanes.
    ///
    /// # Errors
    ///
    /// Fails within 5 s when a server, topic or permission is missing, saying which.
    pub fn start(
        settings: Settings,
        stop: Shutdown,
        runtime: &Handle,
        metrics: Option<Metrics>,
    ) -> Result<Self, AppError> {
        let consumer = settings.kafka.base(Role::Consumer);
        let failed = |error: kafka_io::KafkaError| AppError::failed(error.to_string());
        let connections = Connections {
            ends: Arc::new(Ends::new(&consumer).map_err(failed)?),
            producer: settings.kafka.base(Role::Producer),
            consumer,
        };
        probe_brokers(&connections.consumer, START_MAX)
            .map_err(|error| AppError::failed(error.to_string()).hint(BROKER_HINT))?;
        let (resolver, encoders) = runtime.block_on(connect_registry(&settings, runtime))?;
        let partitions = runtime.block_on(prepare_topics(&settings, &connections))?;
        let lane_count = settings.lanes.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        let lane_count = lane_count.min(usize::try_from(partitions).unwrap_or(1)).max(1);
        let main_ends = main_ends(&settings, &connections, partitions)?;
        let process_id = format!("{:016x}", rand::rng().random::<u64>());
        let away = Box::new(RegistryAway(resolver.clone()));
        let shared = Arc::new(Shared::new(stop, process_id, lane_count, away));
        if let (Some(metrics), Some(listen)) = (metrics, settings.metrics) {
            crate::metrics::describe();
            for (_, topic) in layout::roles(&settings.topics) {
                crate::metrics::topic_partitions(topic, partitions);
            }
            runtime.block_on(admin_http::serve(listen, metrics, Arc::clone(&shared) as _))?;
        }
        let lane_settings = Arc::new(lane_settings(&settings, partitions, main_ends.clone()));
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
        let mut app = Self {
            settings,
            shared,
            connections,
            resolver,
            lane_settings,
            lanes: Vec::new(),
            finish,
            runtime: runtime.clone(),
        };
        for index in 0..lane_count {
            app.start_lane(index, encoders.clone())?;
        }
        Ok(app)
    }

    fn start_lane(&mut self, index: usize, encoders: Encoders) -> Result<(), AppError> {
        let lane = Lane::join(
            index,
            &self.lane_settings,
            &self.shared,
            &self.connections,
            encoders,
            self.resolver.clone(),
        )?;
        let thread = std::thread::Builder::new().name(format!("lane-{index}"));
        let handle = thread
            .spawn(move || lane.run())
            .map_err(|error| AppError::failed(format!("lane {index} did not start: {error}")))?;
        self.lanes.push(handle);
        Ok(())
    }

    /// A look at the running averages, by product: what the lanes of this process own.
    pub fn averages(&self) -> Vec<(String, u64, f64)> {
        let state = own_state(&self.views());
        let average = |(count, sum)| orders::average(sum, count).unwrap_or(0.0);
        state.into_iter().map(|(product, totals)| (product, totals.0, average(totals))).collect()
    }

    /// Counts of this run so far: consumed, succeeded, retried, dead-lettered; and how many
    /// records wait in retry.
    pub fn progress(&self) -> ([u64; 4], u64) {
        let waiting: usize = self.views().iter().map(|view| view.waiting).sum();
        (self.shared.counters.snapshot(), waiting as u64)
    }

    fn views(&self) -> Vec<View> {
        self.shared.views().collect()
    }

    /// Runs until a stop is requested or the end is reached, and returns the statistics.
    /// `watch` is called a few times a second.
    ///
    /// # Errors
    ///
    /// Fails when a lane ended by itself; the others are stopped first.
    pub fn run(mut self, mut watch: impl FnMut(&Self)) -> Result<Statistics, AppError> {
        let mut gauges_at = Instant::now();
        let mut trim_at = self.settings.trim_retry.map(|every| Instant::now() + every);
        let mut reached_end = false;
        while !self.shared.stop.wait(WATCH_EVERY) {
            watch(&self);
            if gauges_at <= Instant::now() {
                gauges_at = Instant::now() + Duration::from_millis(500);
                crate::gauges::set(&self.views(), self.resolver.is_away().is_some());
            }
            if trim_at.is_some_and(|at| at <= Instant::now()) {
                trim_at = self.settings.trim_retry.map(|every| Instant::now() + every);
                self.trim_retry();
            }
            if self.lanes.iter().any(JoinHandle::is_finished) {
                break;
            }
            let views = self.views();
            if self.finish.as_mut().is_some_and(|finish| finish.is_done(&views)) {
                reached_end = true;
                break;
            }
        }
        let is_stopped_from_outside = self.shared.stop.is_requested();
        self.shared.stop.request();
        self.shared.must_abandon(); // notes the time
        self.join()?;
        let limit = if is_stopped_from_outside && !reached_end {
            STATE_MAX_WHEN_STOPPED.saturating_sub(self.shared.stopping_for())
        } else {
            STATE_MAX
        };
        self.statistics(limit)
    }

    /// Waits for the lanes; one that is held by a broker that is away is left behind.
    fn join(&mut self) -> Result<(), AppError> {
        while self.lanes.iter().any(|lane| !lane.is_finished())
            && self.shared.stopping_for() < JOIN_MAX
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut failure = None;
        for lane in self.lanes.drain(..).filter(JoinHandle::is_finished) {
            match lane.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failure = Some(error.into()),
                Err(_) => {
                    failure =
                        Some(AppError::failed("a lane panicked; nothing unsettled was committed"))
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn statistics(&self, limit: Duration) -> Result<Statistics, AppError> {
        let waiting = self.views().iter().map(|view| view.waiting as u64).sum();
        let settings = &self.lane_settings;
        let state = statistics::read_state(
            &self.connections.consumer,
            &settings.group,
            &settings.topics.averages,
            settings.partitions,
            &self.resolver,
            limit,
        )
        .unwrap_or_else(|error| {
            tracing::warn!(
                error,
                "the averages topic was not read; these are the averages of this process only"
            );
            own_state(&self.views())
        });
        Ok(Statistics::new(self.shared.counters.snapshot(), waiting, state))
    }

    /// Deletes what is settled at the start of the retry topic.
    fn trim_retry(&self) {
        let below: Vec<_> =
            self.views().into_iter().flat_map(|view| view.retry_positions).collect();
        let (config, topic) =
            (self.connections.consumer.clone(), self.settings.topics.retry.clone());
        self.runtime.spawn(async move {
            let result = match Admin::new(&config) {
                Ok(admin) => admin.trim(&topic, &below).await,
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                tracing::warn!(%error, topic, "settled retries were not deleted (it needs the Delete permission)");
            }
        });
    }
}

fn own_state(views: &[View]) -> State {
    let mut state = State::new();
    for (product, (count, sum)) in views.iter().flat_map(|view| &view.products) {
        let entry = state.entry(product.to_string()).or_default();
        entry.0 += count;
        entry.1 += *sum;
    }
    state
}
