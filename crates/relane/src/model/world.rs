//! The world that the model's handles of this thread belong to: its broker, and what goes wrong.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::model::broker::Broker;
use crate::model::request::{Answer, Request};

/// A call of a lane to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Serve,
    Poll,
    Ask,
    Request,
}

/// What became of a request.
pub(crate) struct Sent {
    /// `None`: none came in time.
    pub(crate) answer: Option<Answer>,
    pub(crate) is_coordinator_lost: bool,
}

/// See the module.
pub(crate) trait World {
    fn broker(&self) -> &RefCell<Broker>;

    /// A lane calls: time may pass, and its process may die or stand still.
    fn step(&self, process: usize, step: Step);

    /// Sends a request for a process.
    fn request(&self, process: usize, asked: &Request) -> Sent;

    /// Whether the brokers answer nothing now.
    fn is_away(&self) -> bool {
        false
    }

    /// How long a lane waits that finds nothing to read and would wait for `limit`.
    fn idle(&self, limit: Duration) -> Duration {
        limit
    }

    /// Whether handlers may wait for timers that nobody here knows.
    fn has_timers(&self) -> bool {
        false
    }

    /// Looks at the work of handlers.
    fn poll_handlers(&self, poll: &mut dyn FnMut()) {
        poll();
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn World>>> = const { RefCell::new(None) };
}

/// Makes a world that of this thread; returns the one before.
pub(crate) fn enter(world: Option<Rc<dyn World>>) -> Option<Rc<dyn World>> {
    CURRENT.replace(world)
}

/// Whether handles that are made on this thread belong to a world.
pub(crate) fn is_entered() -> bool {
    CURRENT.with_borrow(Option::is_some)
}

fn current() -> Rc<dyn World> {
    CURRENT.with_borrow(|current| Rc::clone(current.as_ref().expect("a world was entered")))
}

/// Works on the model broker.
pub(crate) fn broker<T>(work: impl FnOnce(&mut Broker) -> T) -> T {
    work(&mut current().broker().borrow_mut())
}

pub(crate) fn step(process: usize, step: Step) {
    current().step(process, step);
}

pub(crate) fn request(process: usize, asked: &Request) -> Sent {
    current().request(process, asked)
}

pub(crate) fn is_away() -> bool {
    current().is_away()
}

/// A lane has found nothing to read: time passes.
pub(crate) fn idle(limit: Duration) {
    let wait = current().idle(limit);
    broker(|broker| broker.advance(wait));
}

pub(crate) fn has_timers() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|world| world.has_timers()))
}

pub(crate) fn poll_handlers(poll: &mut dyn FnMut()) {
    match CURRENT.with_borrow(Clone::clone) {
        Some(world) => world.poll_handlers(poll),
        None => poll(),
    }
}
