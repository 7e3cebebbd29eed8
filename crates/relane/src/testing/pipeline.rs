//! A pipeline of a test: what a test does with it, and what it sees.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use codec::resolver::SchemaResolver;
use kafka_io::ClientConfig;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use service_kit::exit::AppError;
use service_kit::shutdown::Shutdown;

use super::bench::{Bench, CommitFailure};
use super::route::{Coordinates, Route, TestRecord};
use crate::clock::simulated as clock;
use crate::error::Error;
use crate::lane::handles::Ends;
use crate::lane::runner::Runner;
use crate::lane::settings::LaneSettings;
use crate::lane::{Connections, Lane, LaneError};
use crate::model::handles::PROCESS;
use crate::model::log::Topic;
use crate::prepare::lane_settings;
use crate::settings::EngineSettings;
use crate::shared::Shared;
use crate::stage::Stage;

/// The clock moves at most so far while a pipeline comes to rest: an outage may have no end.
const SETTLE_MAX: Duration = Duration::from_secs(600);

/// Turns of each instance at one moment: more than a record needs from its due time to the commit.
const TURNS_AT_ONCE: usize = 8;

/// Turns in which a pipeline must have its partitions.
const TURNS_TO_START: usize = 2_000;

/// The clock is moved by so much when turns do not move it, and by ever more up to the second while a
/// pipeline comes to rest.
const TICK: Duration = Duration::from_millis(1);
const STEP_MAX: Duration = Duration::from_millis(16);

/// Starts a stage of its own for an instance.
type MakeStage<S> = Box<dyn FnMut() -> S>;

/// A program that runs the pipeline: a member of its group, with one lane.
struct Instance<S: Stage> {
    number: usize,
    stop: Shutdown,
    lane: Box<Lane<S>>,
}

/// A pipeline without brokers; see [the module](super).
pub struct TestPipeline<S: Stage> {
    bench: Rc<Bench>,
    main: String,
    partitions: i32,
    settings: Arc<LaneSettings>,
    make_stage: MakeStage<S>,
    instances: Vec<Instance<S>>,
    started: usize,
}

impl<S: Stage> std::fmt::Debug for TestPipeline<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (topic, instances) = (&self.main, self.instances.len());
        f.debug_struct("TestPipeline")
            .field("topic", topic)
            .field("instances", &instances)
            .finish_non_exhaustive()
    }
}

impl<S: Stage> Drop for TestPipeline<S> {
    fn drop(&mut self) {
        let Self { bench, instances, .. } = self;
        bench.enter(|| instances.clear());
    }
}

impl<S: Stage> TestPipeline<S> {
    pub(super) fn start(settings: EngineSettings, make_stage: MakeStage<S>) -> Result<Self, Error> {
        let partitions = settings.create_partitions;
        let settings = EngineSettings { plan: settings.plan.clone().exact(), ..settings };
        let mut pipeline = Self {
            bench: Bench::new(&settings)?,
            main: settings.topics.main.clone(),
            partitions,
            settings: Arc::new(lane_settings(&settings, partitions, None)),
            make_stage,
            instances: Vec::new(),
            started: 0,
        };
        pipeline.start_instance()?;
        pipeline.wait_for_partitions()?;
        Ok(pipeline)
    }

    /// Puts a record into the main topic: into the partition of its key, which is the same each time, though
    /// not the one that Kafka's clients choose.
    pub fn send(&mut self, key: &str, value: impl AsRef<[u8]>) -> Coordinates {
        let hash = key.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31) + u32::from(byte));
        let partitions = u32::try_from(self.partitions).unwrap_or(1);
        self.send_record(TestRecord {
            partition: i32::try_from(hash % partitions).unwrap_or(0),
            key: Some(key.as_bytes().to_vec()),
            value: Some(value.as_ref().to_vec()),
            headers: Vec::new(),
        })
    }

    /// Puts a record into the main topic as it is.
    ///
    /// # Panics
    ///
    /// Panics for a partition that there is not.
    pub fn send_record(&mut self, record: TestRecord) -> Coordinates {
        let partition = record.partition;
        assert!((0..self.partitions).contains(&partition), "there is no partition {partition}");
        let stored = record.into_stored(self.now_ms());
        let mut broker = self.bench.broker.borrow_mut();
        let offset = broker.log((Topic::Main, partition)).append(stored, None);
        Coordinates { partition, offset }
    }

    /// Lets the pipeline work until each record has come to its end or waits for its due time. The clock moves on
    /// meanwhile, as far as handlers take time; by ten minutes at most, where an outage has no end.
    ///
    /// # Errors
    ///
    /// Fails when the pipeline ends by itself, as it does with
    /// [`exit_at_end`](crate::Builder::exit_at_end) at the limit of dead letters.
    pub fn settle(&mut self) -> Result<(), Error> {
        let until = self.bench.now() + SETTLE_MAX;
        let mut step = TICK;
        while self.bench.now() < until {
            self.bench.until.set(Some(self.bench.now()));
            for _ in 0..TURNS_AT_ONCE {
                self.turn_each()?;
                if self.is_at_rest() {
                    return Ok(());
                }
            }
            self.move_on(step)?;
            step = (step * 2).min(STEP_MAX);
        }
        Ok(())
    }

    /// Lets the pipeline work while the clock moves on by this time, and then at that moment. The clock may
    /// come to stand a little later, where the pipeline waits for brokers or for handlers.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    pub fn advance(&mut self, time: Duration) -> Result<(), Error> {
        let until = self.bench.now() + time;
        self.bench.until.set(Some(until));
        let mut still = 0;
        while self.bench.now() < until {
            let before = self.bench.now();
            self.turn_each()?;
            still = if self.bench.now() == before { still + 1 } else { 0 };
            if still >= TURNS_AT_ONCE {
                self.tick(TICK.min(until - before));
                still = 0;
            }
        }
        (0..TURNS_AT_ONCE).try_for_each(|_| self.turn_each())
    }

    /// What became of a record by now.
    #[must_use]
    pub fn route(&self, record: Coordinates) -> Route {
        Route::of(&self.bench.broker.borrow(), record, self.now_ms())
    }

    /// The state of a partition, as the instance holds it that owns the partition; `None` while nobody does.
    #[must_use]
    pub fn state(&self, partition: i32) -> Option<&S::State> {
        let mut owned = self.instances.iter().flat_map(|it| it.lane.core.processor.iter());
        let owned = owned.find(|owned| owned.partition == partition && owned.is_active())?;
        Some(&owned.state)
    }

    /// The committed records of one of the pipeline's topics, by its name: partition by partition, in their order.
    ///
    /// # Panics
    ///
    /// Panics for a name that is none of its topics.
    #[must_use]
    pub fn records(&self, topic: &str) -> Vec<TestRecord> {
        let broker = self.bench.broker.borrow();
        let topic = broker.topic(topic);
        let of = |partition| {
            let records = broker.logs[&(topic, partition)].committed();
            records.map(move |(_, stored)| TestRecord::of(partition, &stored))
        };
        (0..self.partitions).flat_map(of).collect()
    }

    /// Why the pipeline makes no attempt at the moment: what its handler calls was found unavailable, in words.
    #[must_use]
    pub fn outage(&self) -> Option<String> {
        self.instances.iter().find_map(|it| it.lane.core.processor.gate.outage().cloned())
    }

    /// The time by the test's clock, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        clock::epoch_ms(self.bench.now())
    }

    /// How far the clock has moved since the pipeline started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.bench.now()
    }

    /// Makes the next commits fail, one after the other. It has no effect without
    /// [exactly once](crate::Guarantee::ExactlyOnce).
    pub fn fail_commits(&mut self, failures: impl IntoIterator<Item = CommitFailure>) {
        self.bench.commit_failures.borrow_mut().extend(failures);
    }

    /// Stops the brokers: from now on they answer nothing, and the group forgets its members after a second.
    pub fn stop_brokers(&mut self) {
        self.set_away(true);
    }

    /// Starts the brokers again.
    pub fn start_brokers(&mut self) {
        self.set_away(false);
    }

    fn set_away(&mut self, is_away: bool) {
        self.bench.is_away.set(is_away);
        let Self { bench, instances, .. } = self;
        bench.enter(|| {
            let group = &mut bench.broker.borrow_mut().group;
            instances.iter().for_each(|it| group.set_silent(it.number, is_away));
        });
    }

    /// Moves each partition to another instance; a second one is started if there is only one. The clock stands still
    /// meanwhile, unless reading the state back waits for something.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    pub fn rebalance(&mut self) -> Result<(), Error> {
        if self.instances.len() == 1 {
            self.start_instance()?;
        }
        {
            let group = &mut self.bench.broker.borrow_mut().group;
            group.rotation = group.rotation.map(|rotation| rotation + 1);
            group.rebalance();
        }
        self.wait_for_partitions()
    }

    /// Stops all instances as a SIGTERM does, and starts a new one, which knows only what it reads back.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    pub fn restart(&mut self) -> Result<(), Error> {
        for Instance { stop, lane, .. } in std::mem::take(&mut self.instances) {
            stop.request();
            self.bench.enter(|| lane.run()).map_err(ended)?;
        }
        self.start_instance()?;
        self.wait_for_partitions()
    }

    /// Ends all instances where they stand, as `kill -9` does, and starts a new one: what was not committed is done again.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    pub fn crash(&mut self) -> Result<(), Error> {
        let died = std::mem::take(&mut self.instances);
        let bench = &self.bench;
        bench.enter(|| {
            let group = &mut bench.broker.borrow_mut().group;
            died.iter().for_each(|it| group.forget(it.number));
        });
        bench.enter(|| drop(died));
        self.start_instance()?;
        self.wait_for_partitions()
    }

    fn start_instance(&mut self) -> Result<(), Error> {
        let (number, stop) = (self.started, Shutdown::new());
        self.started += 1;
        let shared = Arc::new(Shared::new(stop.clone(), format!("{number:016x}"), 1));
        let stage = (self.make_stage)();
        let settings = &self.settings;
        let lane = self.bench.enter(|| {
            let mut config = ClientConfig::new();
            config.set(PROCESS, number.to_string());
            let ends = Ends::new(&config).map_err(|error| Error::failed(&error))?;
            let connections =
                Connections { consumer: config.clone(), producer: config, ends: Arc::new(ends) };
            let (resolver, runner) = (SchemaResolver::offline(), Runner::by_hand());
            let lane = Lane::join(0, settings, &shared, &connections, resolver, stage, runner);
            lane.map_err(ended)
        });
        let mut lane = Box::new(lane?);
        lane.core.processor.random = SmallRng::seed_from_u64(number as u64);
        self.instances.push(Instance { number, stop, lane });
        Ok(())
    }

    /// Turns until each partition has an owner that has read it back.
    fn wait_for_partitions(&mut self) -> Result<(), Error> {
        for turns in 0..TURNS_TO_START {
            // Whether a rebalance is over is seen by its members, one after the other.
            if turns >= TURNS_AT_ONCE && self.are_partitions_active() {
                return Ok(());
            }
            let ticks = if turns < TURNS_TO_START / 2 { Duration::ZERO } else { TICK };
            self.bench.until.set(Some(self.bench.now() + ticks));
            self.turn_each()?;
        }
        Err(Error::failed(&"the partitions were not read back"))
    }

    fn are_partitions_active(&self) -> bool {
        let owned = self.instances.iter().flat_map(|it| it.lane.core.processor.iter());
        let active = owned.filter(|owned| owned.is_active()).count();
        usize::try_from(self.partitions).is_ok_and(|partitions| active == partitions)
    }

    /// Whether nothing is left to do at this moment.
    fn is_at_rest(&self) -> bool {
        let broker = self.bench.broker.borrow();
        let now_ms = self.now_ms();
        let is_idle = |instance: &Instance<S>| {
            let processor = &instance.lane.core.processor;
            processor.in_flight.is_empty()
                && processor.iter().all(|owned| {
                    owned.is_active()
                        && owned.main.top() >= broker.logs[&(Topic::Main, owned.partition)].end()
                        && owned.main.unsettled() == 0
                        && owned.unread.len() == 0
                        && owned.awaiting_dedupe.is_none()
                        && owned.waiting.next_due_at_ms().is_none_or(|due| due > now_ms)
                })
        };
        self.are_partitions_active() && self.instances.iter().all(is_idle)
    }

    /// Lets the clock move on by a step, with whatever the lanes do meanwhile.
    fn move_on(&mut self, step: Duration) -> Result<(), Error> {
        let until = self.bench.now() + step;
        self.bench.until.set(Some(until));
        self.turn_each()?;
        self.tick(until.saturating_sub(self.bench.now()));
        Ok(())
    }

    fn tick(&self, time: Duration) {
        self.bench.enter(|| self.bench.broker.borrow_mut().advance(time));
    }

    fn turn_each(&mut self) -> Result<(), Error> {
        let Self { bench, instances, .. } = self;
        instances.iter_mut().try_for_each(|it| bench.enter(|| it.lane.turn())).map_err(ended)
    }
}

/// The pipeline has ended by itself.
fn ended(error: LaneError) -> Error {
    AppError::from(error).into()
}
