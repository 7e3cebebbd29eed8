//! What stands around a simulated pipeline: its brokers, its clock and its runtime, and what is to go wrong.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use pipeline::completion::METADATA_CHARS_MAX;
use tokio::runtime::Runtime;

use crate::clock::simulated as clock;
use crate::error::Error;
use crate::model::broker::Broker;
use crate::model::log::Topic;
use crate::model::request::{Answer, Request};
use crate::model::world::{self, Sent, Step, World};
use crate::settings::EngineSettings;

/// Looks at handlers in a row, between which tasks that they have spawned go on.
const LOOKS: usize = 4;

/// How a commit fails. With the guarantee of exactly once the pipeline does not know which of the two it is: it reads
/// everything back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFailure {
    /// The brokers do not hear it: nothing of the transaction is to be seen, and its records are handled again.
    Lost,
    /// The brokers do it, and their answer is lost: nothing may be handled again.
    Unanswered,
}

/// See the module.
pub(super) struct Bench {
    pub(super) broker: RefCell<Broker>,
    /// Time since the start, while no call is under way.
    now: Cell<Duration>,
    /// Where lanes that have nothing to do stop the clock.
    pub(super) until: Cell<Option<Duration>>,
    pub(super) is_away: Cell<bool>,
    pub(super) commit_failures: RefCell<VecDeque<CommitFailure>>,
    runtime: Runtime,
    runtime_now: Cell<Duration>,
}

/// Leaves the bench, also when a test fails inside.
struct Inside<'a> {
    bench: &'a Bench,
    world: Option<Rc<dyn World>>,
    clock: (bool, Duration),
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.bench.now.set(clock::now());
        world::enter(self.world.take());
        let (is_entered, now) = self.clock;
        clock::enter(is_entered);
        clock::set(now);
    }
}

impl Bench {
    pub(super) fn new(settings: &EngineSettings) -> Result<Rc<Self>, Error> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build();
        let names = Topic::names(&settings.topics);
        let mut broker = Broker::new(0, names, settings.create_partitions, METADATA_CHARS_MAX);
        broker.is_prompt = true;
        broker.group.rotation = Some(0);
        Ok(Rc::new(Self {
            broker: RefCell::new(broker),
            now: Cell::default(),
            until: Cell::default(),
            is_away: Cell::default(),
            commit_failures: RefCell::default(),
            runtime: runtime.map_err(|error| Error::failed(&error))?,
            runtime_now: Cell::default(),
        }))
    }

    /// Lets lanes of this thread live here for as long as the work takes.
    pub(super) fn enter<T>(self: &Rc<Self>, work: impl FnOnce() -> T) -> T {
        let _inside = Inside {
            bench: self,
            world: world::enter(Some(Rc::clone(self) as _)),
            clock: (clock::enter(true), clock::now()),
        };
        clock::set(self.now.get());
        work()
    }

    /// Time since the start.
    pub(super) fn now(&self) -> Duration {
        self.now.get()
    }
}

impl World for Bench {
    fn broker(&self) -> &RefCell<Broker> {
        &self.broker
    }

    fn step(&self, _: usize, _: Step) {}

    fn request(&self, _: usize, asked: &Request) -> Sent {
        let unanswered = Sent { answer: None, is_coordinator_lost: true };
        if self.is_away.get() {
            return unanswered;
        }
        let is_commit = matches!(asked, Request::End { commits: true, .. });
        let failure = is_commit.then(|| self.commit_failures.borrow_mut().pop_front()).flatten();
        if failure == Some(CommitFailure::Lost) {
            return unanswered;
        }
        let answer: Answer = self.broker.borrow_mut().apply(asked.clone());
        if failure == Some(CommitFailure::Unanswered) {
            return unanswered;
        }
        Sent { answer: Some(answer), is_coordinator_lost: false }
    }

    fn is_away(&self) -> bool {
        self.is_away.get()
    }

    fn idle(&self, limit: Duration) -> Duration {
        let left = self.until.get().map(|until| until.saturating_sub(clock::now()));
        left.map_or(limit, |left| left.min(limit))
    }

    /// The runtime's clock follows the test's; its timers are not known here.
    fn poll_handlers(&self, poll: &mut dyn FnMut()) {
        let now = clock::now();
        let behind = now.saturating_sub(self.runtime_now.replace(now));
        self.runtime.block_on(async {
            if !behind.is_zero() {
                tokio::time::advance(behind).await;
            }
            for _ in 0..LOOKS {
                poll();
                tokio::task::yield_now().await;
            }
        });
    }

    fn has_timers(&self) -> bool {
        true
    }
}
