//! Processes of a schedule: each has one lane. They take turns; a process that stands still in
//! the middle of a turn lets the others go on, and goes on itself when they have moved.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

use pipeline::breaker::PROBE_KEYS;
use rand::Rng as _;
use service_kit::shutdown::Shutdown;

use crate::clock::simulated as clock;
use crate::lane::simulation::business::{Business, SMALL_BYTES_MAX, forget_work};
use crate::lane::simulation::plan::{Plan, topics};
use crate::lane::{Lane, LaneError};
use crate::model::broker::Broker;
use crate::model::log::Topic;
use crate::model::request::{Answer, Request, name};
use crate::model::world::{self, Sent, Step, World};

/// Processes that stand still at once, at most.
const DEPTH_MAX: usize = 2;

/// Turns of others while one stands still, at most.
const TURNS_MEANWHILE_MAX: usize = 60;

/// Unwinds a lane whose process dies.
struct Crash;

/// A process and its lane; the lane is elsewhere while it turns.
pub(crate) struct Process {
    pub(crate) number: usize,
    pub(crate) stop: Shutdown,
    pub(crate) lane: Option<Box<Lane<Business>>>,
}

/// One schedule under way.
pub(crate) struct Simulation {
    pub(crate) plan: Plan,
    pub(crate) broker: RefCell<Broker>,
    pub(crate) processes: RefCell<Vec<Process>>,
    pub(crate) faults_left: Cell<usize>,
    /// The process whose turn it is.
    turning: Cell<usize>,
    /// A promise that a process broke by itself: it panicked, or gave up.
    pub(crate) broken: RefCell<Option<String>>,
    /// What a process said that an operator must do before it goes on.
    pub(crate) hint: RefCell<Option<String>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Simulation>>> = const { RefCell::new(None) };
}

/// A lane comes to one of its fail points, in a schedule.
fn meet_point(point: &str) {
    if let Some(simulation) = CURRENT.with_borrow(Clone::clone) {
        simulation.meet(simulation.turning.get(), 0.04, &point);
    }
}

/// The fail points of a lane.
const POINTS: [&str; 8] = [
    "after-poll",
    "after-begin",
    "after-produce",
    "after-offsets",
    "commit-sent",
    "commit-returned",
    "in-revoke",
    "in-restore",
];

/// Lets lanes die or stand still at their fail points, whichever schedule they are part of.
fn stop_at_fail_points() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for point in POINTS {
            let pass = move || meet_point(point);
            fail::cfg_callback(point, pass).expect("a callback needs no syntax");
        }
    });
}

impl World for Simulation {
    fn broker(&self) -> &RefCell<Broker> {
        &self.broker
    }

    /// Time passes, and the process may die or stand still.
    fn step(&self, process: usize, step: Step) {
        let share = match step {
            Step::Serve | Step::Poll => 0.002,
            Step::Ask => 0.03,
            Step::Request => 0.04,
        };
        self.meet(process, share, &step);
    }

    fn request(&self, process: usize, asked: &Request) -> Sent {
        self.send(process, asked)
    }
}

impl Simulation {
    pub(crate) fn new(plan: Plan) -> Rc<Self> {
        let names = Topic::names(&topics());
        let mut broker = Broker::new(plan.seed, names, plan.partitions, plan.metadata_chars_max);
        broker.retry_bytes_max = plan.has_narrow_retry.then_some(SMALL_BYTES_MAX);
        let simulation = Rc::new(Self {
            faults_left: Cell::new(plan.faults),
            broker: RefCell::new(broker),
            processes: RefCell::default(),
            turning: Cell::new(0),
            broken: RefCell::default(),
            hint: RefCell::default(),
            plan,
        });
        forget_work();
        stop_at_fail_points();
        CURRENT.set(Some(Rc::clone(&simulation)));
        world::enter(Some(Rc::clone(&simulation) as _));
        simulation
    }

    /// Something may go wrong where a process is.
    fn meet(&self, process: usize, share: f64, at: &dyn std::fmt::Debug) {
        if !self.passes(share) {
            return;
        }
        if self.chance(0.4) {
            self.tell(|| format!("process {process}: dies at {at:?}"));
            resume_unwind(Box::new(Crash));
        }
        self.stand_still(process, &format!("{at:?}"));
    }

    pub(crate) fn chance(&self, share: f64) -> bool {
        self.broker.borrow_mut().random.random_bool(share)
    }

    pub(crate) fn tell(&self, text: impl FnOnce() -> String) {
        self.broker.borrow().tell(text);
    }

    /// Lets a little time pass; whether something happens now.
    fn passes(&self, share: f64) -> bool {
        let mut broker = self.broker.borrow_mut();
        let micros = broker.random.random_range(10..200);
        broker.advance(Duration::from_micros(micros));
        let happens = self.faults_left.get() > 0 && broker.random.random_bool(share);
        if happens {
            self.faults_left.set(self.faults_left.get() - 1);
        }
        happens
    }

    /// A process hangs while others go on; its session may end meanwhile.
    fn stand_still(&self, process: usize, at: &str) {
        let most_ms = if self.chance(0.5) { 200 } else { 3_000 };
        let wait = Duration::from_millis(self.broker.borrow_mut().random.random_range(1..most_ms));
        self.tell(|| format!("process {process}: stands still for {wait:?} at {at}"));
        self.broker.borrow_mut().group.set_silent(process, true);
        let (until, turning) = (clock::now() + wait, self.turning.get());
        for _ in 0..TURNS_MEANWHILE_MAX {
            if clock::now() >= until || self.standing() > DEPTH_MAX || !self.turn_one() {
                break;
            }
        }
        let rest = until.saturating_sub(clock::now());
        self.broker.borrow_mut().advance(rest);
        self.turning.set(turning);
        self.broker.borrow_mut().group.set_silent(process, false);
        self.tell(|| format!("process {process}: goes on"));
    }

    fn standing(&self) -> usize {
        self.processes.borrow().iter().filter(|process| process.lane.is_none()).count()
    }

    /// Lets any process that can make a turn make one; `false` if none can.
    pub(crate) fn turn_one(&self) -> bool {
        let ready: Vec<usize> = {
            let processes = self.processes.borrow();
            let ready = processes.iter().filter(|process| process.lane.is_some());
            ready.map(|process| process.number).collect()
        };
        if ready.is_empty() {
            return false;
        }
        let choice = self.broker.borrow_mut().random.random_range(0..ready.len());
        self.turn(ready[choice]);
        true
    }

    fn take(&self, number: usize) -> Option<Box<Lane<Business>>> {
        let mut processes = self.processes.borrow_mut();
        processes.iter_mut().find(|process| process.number == number)?.lane.take()
    }

    fn turn(&self, number: usize) {
        let Some(mut lane) = self.take(number) else { return };
        self.turning.set(number);
        let flew = lane.core.processor.in_flight.len();
        let ended = catch_unwind(AssertUnwindSafe(|| lane.turn()));
        let flies = lane.core.processor.in_flight.len();
        if lane.core.processor.gate.is_probe() && flies > flew.max(PROBE_KEYS) {
            self.break_off(format!(
                "process {number} has {flies} handlers in in_flight in a probe"
            ));
        }
        match ended {
            Ok(Ok(())) => {
                let mut processes = self.processes.borrow_mut();
                let process = processes.iter_mut().find(|process| process.number == number);
                process.expect("it was taken from there").lane = Some(lane);
            }
            Ok(Err(error)) => self.exited(number, Err(error)),
            Err(panic) => self.died(number, panic),
        }
    }

    /// Stops a process in order.
    pub(crate) fn stop(&self, number: usize) {
        let Some(lane) = self.take(number) else { return };
        self.tell(|| format!("process {number}: is asked to stop"));
        self.turning.set(number);
        if let Some(process) = self.processes.borrow().iter().find(|p| p.number == number) {
            process.stop.request();
        }
        match catch_unwind(AssertUnwindSafe(|| lane.run())) {
            Ok(ended) => self.exited(number, ended),
            Err(panic) => self.died(number, panic),
        }
    }

    /// A process ended by itself: only one whose identity was taken may, and one that finds
    /// offsets which another tool has changed.
    fn exited(&self, number: usize, ended: Result<(), LaneError>) {
        self.tell(|| format!("process {number}: ended with {ended:?}"));
        match ended {
            Ok(()) | Err(LaneError::IdTaken { .. }) => {}
            Err(LaneError::State(problems)) if self.plan.has_resets => {
                self.hint.replace(Some(crate::advice::hint(&problems)));
            }
            Err(error) => self.break_off(format!("process {number} gave up: {error}")),
        }
        self.remove(number);
    }

    fn died(&self, number: usize, panic: Box<dyn std::any::Any + Send>) {
        if !panic.is::<Crash>() {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            self.break_off(format!("process {number} panicked: {}", text.unwrap_or_default()));
        }
        self.remove(number);
    }

    /// All processes die.
    pub(crate) fn kill_all(&self) {
        let numbers: Vec<usize> = self.processes.borrow().iter().map(|p| p.number).collect();
        numbers.into_iter().for_each(|number| self.remove(number));
    }

    fn remove(&self, number: usize) {
        self.processes.borrow_mut().retain(|process| process.number != number);
        self.broker.borrow_mut().group.set_silent(number, true);
    }

    fn break_off(&self, text: String) {
        self.broken.borrow_mut().get_or_insert(text);
    }

    fn send(&self, process: usize, asked: &Request) -> Sent {
        let is_to_coordinator = !matches!(asked, Request::Produce { .. });
        if !self.passes(0.05) {
            let answer = self.arrive(process, asked);
            return Sent { answer: Some(answer), is_coordinator_lost: false };
        }
        let late = Duration::from_millis(self.broker.borrow_mut().random.random_range(0..2_500));
        let fate = self.broker.borrow_mut().random.random_range(0..8);
        self.tell(|| format!("process {process}: {} meets fate {fate}", name(asked)));
        match fate {
            0 | 1 => {
                // The process dies, with its request on the way or not.
                match fate {
                    0 => self.broker.borrow_mut().delay(asked.clone(), late),
                    _ => _ = self.arrive(process, asked),
                }
                resume_unwind(Box::new(Crash));
            }
            2 => self.stand_still(process, "a request"),
            3 => {
                let answer = self.arrive(process, asked);
                self.stand_still(process, "an answer");
                return Sent { answer: Some(answer), is_coordinator_lost: false };
            }
            4 => self.broker.borrow_mut().delay(asked.clone(), late),
            5 => _ = self.arrive(process, asked),
            6 => {
                self.broker.borrow_mut().delay(asked.clone(), late);
                return Sent { answer: None, is_coordinator_lost: is_to_coordinator };
            }
            _ => {
                self.arrive(process, asked);
                return Sent { answer: None, is_coordinator_lost: is_to_coordinator };
            }
        }
        // It is sent again, or was late only.
        let answer = self.arrive(process, asked);
        let is_lost = fate > 3 && is_to_coordinator;
        Sent { answer: Some(answer), is_coordinator_lost: is_lost }
    }

    fn arrive(&self, process: usize, asked: &Request) -> Answer {
        let answer = self.broker.borrow_mut().apply(asked.clone());
        self.tell(|| format!("process {process}: {} → {answer:?}", name(asked)));
        answer
    }
}
