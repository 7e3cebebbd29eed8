//! One schedule from its first order to the last.

mod backlog;
mod beside;

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use codec::resolver::SchemaResolver;
use kafka_io::ClientConfig;
use kafka_io::writer::Guarantee;
use pipeline::headers::{ORIGIN_GROUP, ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TOPIC};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use service_kit::shutdown::Shutdown;

use crate::clock::{now_ms, simulated as clock};
use crate::lane::handles::Ends;
use crate::lane::runner::Runner;
use crate::lane::simulation::business::{Business, Kind, Order, written};
use crate::lane::simulation::judge::{Judge, Placed};
use crate::lane::simulation::outside;
use crate::lane::simulation::plan::Plan;
use crate::lane::simulation::process::{Process, Simulation};
use crate::lane::{Connections, Lane};
use crate::model::handles::PROCESS;
use crate::model::log::{Stored, Topic};
use crate::shared::Shared;

pub(crate) use backlog::run_backlog;
pub(crate) use beside::run_beside_undecided;

/// Turns after which everything is settled once nothing goes wrong any more.
const HEALING_TURNS_MAX: usize = 6_000;

/// Longest wait for what is decided beside what is not.
const BESIDE_MAX: Duration = Duration::from_secs(20);

/// Pauses until a group without processes is empty: longer than sessions and transactions.
const EMPTY_PAUSES_MAX: usize = 200;

/// Wait when no process can turn.
const PAUSE: Duration = Duration::from_millis(50);

/// What a schedule did, for its figures.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) turns: usize,
    pub(crate) processes: usize,
    pub(crate) faults: usize,
    pub(crate) looks: usize,
    pub(crate) healing_turns_max: usize,
}

struct Schedule {
    simulation: Rc<Simulation>,
    placed: Vec<Placed>,
    /// Transactions of those who write orders; far from those of the broker.
    foreign: u64,
    started: usize,
    figures: Figures,
    random: SmallRng,
}

/// Runs the schedule of a seed.
///
/// # Errors
///
/// Says in words which promise was broken.
pub(crate) fn run(seed: u64, is_told: bool) -> Result<Figures, String> {
    clock::set(Duration::ZERO);
    run_plan(Plan::of(seed), is_told)
}

/// As [`run`], by a plan.
pub(crate) fn run_plan(plan: Plan, is_told: bool) -> Result<Figures, String> {
    if is_told {
        eprintln!("{plan:#?}");
    }
    let mut schedule = Schedule::new(plan, is_told);
    let ended = schedule.go_wrong().and_then(|()| schedule.heal());
    if is_told {
        schedule.judge(|judge| {
            judge.tell();
            Ok(())
        })?;
    }
    ended.map(|()| schedule.figures)
}

/// A lane meets an outage with orders in one of its two partitions, keeps them for a while, and
/// loses that partition: whether it tells the outage then, and some time after.
pub(crate) fn lose_what_is_held(seed: u64) -> (bool, bool) {
    /// More than the longest wait before a probe takes.
    const TURNS: usize = 2_000;
    clock::set(Duration::ZERO);
    let away_ms = (now_ms(), i64::MAX);
    let mut schedule = Schedule::new(
        Plan { faults: 0, partitions: 2, away_ms, has_instances: false, ..Plan::of(seed) },
        false,
    );
    schedule.start_process();
    let (_, order) = schedule.simulation.plan.order(0, &mut schedule.random);
    let record = Stored {
        key: None,
        value: Some(Order { kind: Kind::Fine, ..order }.value()),
        headers: Vec::new(),
        timestamp_ms: now_ms(),
    };
    schedule.simulation.broker.borrow_mut().log((Topic::Main, 0)).append(record, None);
    (0..TURNS).for_each(|_| _ = schedule.simulation.turn_one());
    let before = !schedule.tells_no_outage();
    let mut processes = schedule.simulation.processes.borrow_mut();
    let lane = processes[0].lane.as_mut().expect("it does not turn");
    assert!(lane.core.processor.iter().filter(|owned| owned.is_active()).count() == 2);
    lane.core.drop_partition(0);
    drop(processes);
    (0..TURNS).for_each(|_| _ = schedule.simulation.turn_one());
    (before, !schedule.tells_no_outage())
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        self.turns += other.turns;
        self.processes += other.processes;
        self.faults += other.faults;
        self.looks += other.looks;
        self.healing_turns_max = self.healing_turns_max.max(other.healing_turns_max);
    }
}

impl Schedule {
    fn new(plan: Plan, is_told: bool) -> Self {
        let seed = plan.seed;
        let simulation = Simulation::new(plan);
        simulation.broker.borrow_mut().is_told = is_told;
        let random = SmallRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (placed, figures) = (Vec::new(), Figures::default());
        let foreign = u64::MAX / 2;
        Self { simulation, placed, foreign, started: 0, figures, random }
    }

    fn go_wrong(&mut self) -> Result<(), String> {
        self.start_process();
        let plan = &self.simulation.plan;
        // About as many as there are turns for them.
        let share = (plan.orders as f64 / plan.turns as f64).min(0.9);
        let turns = plan.turns;
        for _ in 0..turns {
            let has_more = self.placed.len() < self.simulation.plan.orders;
            if has_more && self.random.random_bool(share) {
                self.place_orders();
            }
            match self.random.random_range(0..400) {
                0..8 => self.start_process(),
                8..11 => self.stop_process(),
                11..15 => self.simulation.broker.borrow_mut().group.rebalance(),
                15..19 if self.simulation.plan.has_resets => self.change_offsets(),
                _ => {}
            }
            self.turn()?;
        }
        let left = self.simulation.faults_left.replace(0);
        self.figures.faults = self.simulation.plan.faults - left;
        Ok(())
    }

    /// Nothing goes wrong any more: everything must come to its end.
    fn heal(&mut self) -> Result<(), String> {
        self.simulation.tell(|| "from here on nothing goes wrong".to_owned());
        while self.placed.len() < self.simulation.plan.orders {
            self.place_orders();
        }
        for turns in 0..HEALING_TURNS_MAX {
            self.figures.healing_turns_max = turns;
            if self.simulation.processes.borrow().is_empty() {
                self.start_process();
            }
            self.turn()?;
            if self.is_drained(0..self.simulation.plan.partitions) && self.tells_no_outage() {
                self.judge(|judge| judge.end())?;
                let is_exact = self.simulation.plan.guarantee == Guarantee::ExactlyOnce;
                return if is_exact { self.look_at_lanes() } else { Ok(()) };
            }
        }
        let all = 0..self.simulation.plan.partitions;
        let left =
            if self.is_drained(all) { "an outage is told" } else { "lag or retries are left" };
        Err(format!("it does not come to rest: {left}"))
    }

    fn judge(&self, look: impl FnOnce(&Judge<'_>) -> Result<(), String>) -> Result<(), String> {
        let broker = self.simulation.broker.borrow();
        look(&Judge { broker: &broker, plan: &self.simulation.plan, placed: &self.placed })
    }

    fn turn(&mut self) -> Result<(), String> {
        self.figures.turns += 1;
        if !self.simulation.turn_one() {
            self.simulation.broker.borrow_mut().advance(PAUSE);
            if self.random.random_bool(0.1) {
                self.start_process();
            }
        }
        if let Some(broken) = self.simulation.broken.borrow_mut().take() {
            return Err(broken);
        }
        let hint = self.simulation.hint.borrow_mut().take();
        if let Some(hint) = hint {
            self.follow(&hint)?;
        }
        let is_changed = self.simulation.plan.has_resets && {
            let broker = self.simulation.broker.borrow();
            outside::is_changed(&broker)
        };
        if !is_changed && self.random.random_bool(0.1) && self.simulation.broker.borrow().is_even()
        {
            self.figures.looks += 1;
            self.judge(|judge| judge.look())?;
        }
        Ok(())
    }

    /// All processes stop, and another tool changes offsets of the group.
    fn change_offsets(&mut self) {
        let is_exact = self.simulation.plan.guarantee == Guarantee::ExactlyOnce;
        if is_exact && self.empty_group() {
            let broker = &mut *self.simulation.broker.borrow_mut();
            outside::change_offsets(broker, &mut self.random);
        }
    }

    /// An operator does what a process said.
    fn follow(&mut self, hint: &str) -> Result<(), String> {
        if !self.empty_group() {
            return Ok(()); // the next process says it again
        }
        outside::follow(&mut self.simulation.broker.borrow_mut(), hint)
    }

    /// Waits until no process is left and nothing is on its way: tools change no offsets before.
    fn empty_group(&self) -> bool {
        self.simulation.kill_all();
        let mut broker = self.simulation.broker.borrow_mut();
        (0..EMPTY_PAUSES_MAX).any(|_| {
            broker.advance(PAUSE);
            broker.is_quiet() && broker.is_even() && broker.group.is_empty()
        })
    }

    fn place_orders(&mut self) {
        let plan = &self.simulation.plan;
        let mut broker = self.simulation.broker.borrow_mut();
        for _ in 0..self.random.random_range(1..5) {
            let partition = self.random.random_range(0..plan.partitions);
            let log = broker.log((Topic::Main, partition));
            let serial = self.placed.len() as u64;
            let (key, order) = plan.order(serial, &mut self.random);
            let record = Stored {
                key: key.as_ref().map(|key| key.as_bytes().into()),
                value: Some(order.value()),
                headers: Vec::new(),
                timestamp_ms: now_ms(),
            };
            let is_gap = self.random.random_bool(0.1);
            if is_gap {
                // Somebody's aborted transaction.
                self.foreign += 1;
                log.append(record.clone(), Some(self.foreign));
                log.decide(self.foreign, false);
            }
            let offset = log.append(record.clone(), None);
            if self.random.random_bool(0.03) {
                broker.log((Topic::Retry, partition)).append(of_another_group(record), None);
            }
            self.placed.push(Placed { partition, offset, key, order });
        }
    }

    fn start_process(&mut self) {
        let number = self.started;
        let plan = &self.simulation.plan;
        let running = self.simulation.processes.borrow().len();
        if running >= plan.processes_max {
            return;
        }
        // Sometimes the same one as another: that one stands still, or was forgotten.
        let instance = self.random.random_range(0..plan.processes_max);
        self.started += 1;
        self.figures.processes += 1;
        let stop = Shutdown::new();
        let settings = Arc::new(plan.settings(instance));
        let id = format!("{number:016x}");
        let shared = Arc::new(Shared::new(stop.clone(), id, 1));
        let mut config = ClientConfig::new();
        config.set(PROCESS, number.to_string());
        let ends = Arc::new(Ends::new(&config).expect("the model takes all settings"));
        let connections = Connections { consumer: config.clone(), producer: config, ends };
        let business = Business { away_ms: plan.away_ms, latency: plan.latency, asked: 0 };
        let resolver = SchemaResolver::offline();
        let runner = Runner::by_hand();
        let lane = Lane::join(0, &settings, &shared, &connections, resolver, business, runner);
        let mut lane = Box::new(lane.expect("the model takes all settings"));
        lane.core.processor.random = SmallRng::seed_from_u64(plan.seed + number as u64);
        self.simulation.tell(|| format!("process {number}: starts as instance {instance}"));
        let process = Process { number, stop, lane: Some(lane) };
        self.simulation.processes.borrow_mut().push(process);
    }

    fn stop_process(&mut self) {
        let number = {
            let processes = self.simulation.processes.borrow();
            let choice = self.random.random_range(0..processes.len().max(1));
            processes.get(choice).map(|process| process.number)
        };
        if let Some(number) = number {
            self.simulation.stop(number);
        }
    }

    /// Whether lag and retry depth of these are zero, and nothing is open.
    fn is_drained(&self, partitions: Range<i32>) -> bool {
        let broker = self.simulation.broker.borrow();
        let is_at_end = |target| {
            let position = broker.offsets_now(target).map(|(position, _)| position);
            position == Some(broker.logs[&target].end())
        };
        broker.is_quiet()
            && partitions.flat_map(|p| [(Topic::Main, p), (Topic::Retry, p)]).all(is_at_end)
    }

    /// A lane with nothing to try says nothing of the surroundings.
    fn tells_no_outage(&self) -> bool {
        let processes = self.simulation.processes.borrow();
        let mut lanes = processes.iter().filter_map(|process| process.lane.as_ref());
        lanes.all(|lane| lane.core.processor.gate.outage().is_none())
    }

    /// What a lane holds in memory is what the log says.
    fn look_at_lanes(&self) -> Result<(), String> {
        let broker = self.simulation.broker.borrow();
        for process in self.simulation.processes.borrow().iter() {
            let lane = process.lane.as_ref().expect("nobody stands still any more");
            for owned in lane.core.processor.iter().filter(|owned| owned.is_active()) {
                let mut told = std::collections::BTreeMap::new();
                let states = broker.logs[&(Topic::State, owned.partition)].committed();
                for (_, record) in states.filter(|(_, record)| record.value.is_some()) {
                    told.insert(record.key.clone().unwrap_or_default(), record.value.clone());
                }
                let held: std::collections::BTreeMap<Box<[u8]>, Option<Box<[u8]>>> = owned
                    .state
                    .iter()
                    .map(|(product, (count, sum))| {
                        let value = format!("{count} {}", written(*sum)).into_bytes();
                        (product.as_bytes().into(), Some(value.into()))
                    })
                    .collect();
                // A partition that was taken away meanwhile may be behind; it holds nothing else.
                let owns = broker.group.owner_is(owned.partition, process.number);
                if owns && held != told {
                    return Err(format!("partition {} in memory differs", owned.partition));
                }
            }
        }
        Ok(())
    }
}

/// A record that another group has put into the retry topic.
fn of_another_group(mut record: Stored) -> Stored {
    for (name, value) in [
        (ORIGIN_TOPIC, "other-orders"),
        (ORIGIN_PARTITION, "0"),
        (ORIGIN_OFFSET, "0"),
        (ORIGIN_GROUP, "another"),
    ] {
        record.headers.push((name.as_bytes().into(), Some(value.as_bytes().into())));
    }
    record
}
