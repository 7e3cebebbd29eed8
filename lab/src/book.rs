//! What became of each order, on one clock of one process: planned, sent, answered, and known to be done.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::asked::Asks;
use crate::past::Past;

/// The one clock of a run.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Starts it now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since its start.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The moment `us` microseconds after its start.
    #[must_use]
    pub fn moment(&self, us: u64) -> Instant {
        self.0 + std::time::Duration::from_micros(us)
    }
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Not yet. An order that was never sent stays so.
    #[default]
    None,
    /// 200 or 202: the order is taken.
    Accepted,
    /// A final no of the business, such as `out-of-stock`.
    Refused,
    /// It was not taken, by the service's word, and nothing was done.
    Failed,
    /// It was not taken, and what was done is not known.
    Unknown,
}

/// An order's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trace {
    /// When it was to be sent.
    pub planned_us: u64,
    /// When its request began.
    pub sent_us: Option<u64>,
    /// When it was answered, or given up.
    pub answered_us: Option<u64>,
    /// How.
    pub answer: Answer,
    /// When its customer was first known to be told.
    pub outcome_us: Option<u64>,
    /// How often its customer was told.
    pub outcomes: u32,
    /// Whether what its customer was told is that the order does not come.
    pub is_rejected: bool,
    /// Whether it is among the dead letters, by the word of its order service.
    pub is_dead: bool,
    /// Its item: orders of one item have an order among themselves.
    pub item: usize,
}

impl Trace {
    /// Whether its request began.
    #[must_use]
    pub const fn is_sent(&self) -> bool {
        self.sent_us.is_some()
    }
}

/// Requests that are no first ones of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// Repeats that were sent.
    pub repeats: u64,
    /// Repeats that were answered as an order is that is taken already.
    pub repeats_accepted: u64,
    /// Invalid messages that were sent; one that surely did not arrive is none.
    pub poison: u64,
    /// Of them, those that the order API rejected.
    pub poison_turned_away: u64,
    /// Of them, those of which nobody says whether they arrived.
    pub poison_unknown: u64,
    /// Outcomes of orders that nobody of this comparison placed.
    pub foreign: u64,
    /// Failures by what the client saw: a status, or what the connection did.
    pub failures: HashMap<String, u64>,
}

#[derive(Debug, Default)]
struct Pages {
    traces: Vec<Trace>,
    others: Others,
}

/// All that is known of a run. It is written to by the generator and by the reader of outcomes.
#[derive(Debug)]
pub struct Book {
    clock: OnceLock<Clock>,
    by_id: HashMap<String, usize>,
    pages: Mutex<Pages>,
    past: Past,
}

impl Book {
    /// Opens a book about what is asked for; what is heard of other orders goes to `past`.
    #[must_use]
    pub fn new(asks: &Asks, past: Past) -> Self {
        let mut traces = vec![Trace::default(); asks.orders.len()];
        for request in &asks.requests {
            if let crate::asked::What::Order(order) = request.what {
                let item = asks.orders[order].item;
                traces[order] = Trace { planned_us: request.at_us, item, ..Trace::default() };
            }
        }
        let pages = Mutex::new(Pages { traces, others: Others::default() });
        Self { clock: OnceLock::new(), by_id: asks.by_id.clone(), pages, past }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its clock; the first look starts it.
    pub fn clock(&self) -> &Clock {
        self.clock.get_or_init(Clock::start)
    }

    /// Notes that an order's request begins now.
    pub fn sent(&self, order: usize) {
        let now_us = self.clock().now_us();
        self.pages().traces[order].sent_us = Some(now_us);
    }

    /// Notes how it was answered now. With `is_outcome` the answer says that the customer was told, or that there is
    /// nothing to tell.
    pub fn answered(&self, order: usize, answer: Answer, is_outcome: bool) {
        let now_us = self.clock().now_us();
        let trace = &mut self.pages().traces[order];
        (trace.answer, trace.answered_us) = (answer, Some(now_us));
        if is_outcome && trace.outcome_us.is_none() {
            (trace.outcome_us, trace.outcomes) = (Some(now_us), 1);
        }
    }

    /// Notes that a repeat of an order was accepted: the order is taken, whatever its first request came to.
    pub fn taken_at_last(&self, order: usize) {
        let trace = &mut self.pages().traces[order];
        if matches!(trace.answer, Answer::None | Answer::Failed | Answer::Unknown) {
            trace.answer = Answer::Accepted;
        }
    }

    /// Notes that the customer of an order was told that it comes.
    pub fn told(&self, order_id: &str) {
        self.heard(order_id, false);
    }

    /// Notes that the customer of an order was told that it does not come.
    pub fn told_no(&self, order_id: &str) {
        self.heard(order_id, true);
    }

    fn heard(&self, order_id: &str, is_rejected: bool) {
        let Some(&order) = self.by_id.get(order_id) else {
            if !self.past.told(order_id) {
                self.pages().others.foreign += 1;
            }
            return;
        };
        let now_us = self.clock().now_us();
        let mut pages = self.pages();
        let trace = &mut pages.traces[order];
        trace.outcomes += 1;
        trace.is_rejected |= is_rejected;
        trace.outcome_us.get_or_insert(now_us);
    }

    /// Notes that an order is among the dead letters.
    pub fn dead_lettered(&self, order: usize) {
        self.pages().traces[order].is_dead = true;
    }

    /// What other runs have to do with this one.
    #[must_use]
    pub const fn past(&self) -> &Past {
        &self.past
    }

    /// Notes what the service that tells customers says at the end: whether it has told this one.
    pub fn found(&self, order: usize, is_told: bool) {
        let now_us = self.clock().now_us();
        let trace = &mut self.pages().traces[order];
        trace.outcomes = u32::from(is_told);
        if is_told {
            trace.outcome_us.get_or_insert(now_us);
        } else {
            trace.outcome_us = None;
        }
    }

    /// Changes what is known of other requests.
    pub fn note(&self, change: impl FnOnce(&mut Others)) {
        change(&mut self.pages().others);
    }

    /// Orders that were answered so, and have no outcome yet. Dead letters have none to come.
    #[must_use]
    pub fn open(&self, answer: Answer) -> Vec<usize> {
        let pages = self.pages();
        let is_open = |trace: &Trace| {
            let is_over = trace.outcomes > 0 || trace.is_dead;
            trace.answer == answer && !is_over && trace.sent_us.is_some()
        };
        let open = pages.traces.iter().enumerate().filter(|(_, trace)| is_open(trace));
        open.map(|(order, _)| order).collect()
    }

    /// How many were sent, accepted and done.
    #[must_use]
    pub fn so_far(&self) -> (u64, u64, u64) {
        let pages = self.pages();
        let count = |is: fn(&Trace) -> bool| pages.traces.iter().filter(|t| is(t)).count() as u64;
        (
            count(|trace| trace.sent_us.is_some()),
            count(|trace| trace.answer == Answer::Accepted),
            count(|trace| trace.outcomes > 0),
        )
    }

    /// A copy of all that is known.
    #[must_use]
    pub fn read(&self) -> (Vec<Trace>, Others) {
        let pages = self.pages();
        (pages.traces.clone(), pages.others.clone())
    }
}
