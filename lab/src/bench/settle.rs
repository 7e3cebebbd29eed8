//! After the last request: waits for what was promised, and asks what only the services know.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;

use super::{Bench, Rig};
use crate::asked::Asks;
use crate::book::{Answer, Book};
use crate::flow::{Status, is_told, status_of, together};
use crate::listen::Listener;
use crate::patience::Patience;
use crate::results::{GaveUp, Run};
use crate::stopping::unless_stopped;
use crate::workload::{Paradigm, Workload};

/// Questions under way at a time.
const ASKED_AT_ONCE: usize = 16;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Time between two rounds of questions about orders whose answer said that nothing is known.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How long a message is waited for that nobody was promised, and a second one that must not come.
const GRACE: Duration = Duration::from_millis(700);
/// Longest look for what comes after the last run.
const REST_MAX: Duration = Duration::from_secs(10);

impl Bench {
    /// Waits until every accepted order is done, and every one of which nothing is known is done or given up. It goes
    /// on as long as outcomes come; a run whose wait was given up says so.
    pub(super) fn settle(&self, rig: &Rig, workload: &Workload, paradigm: Paradigm, run: &mut Run) {
        let mut patience = Patience::new(Instant::now(), self.file.drain);
        let mut open = rig.book.open(Answer::Unknown);
        while !self.stop.is_requested() {
            open = match paradigm {
                Paradigm::SyncRest => self.still_pending(rig, open),
                Paradigm::Rabbit | Paradigm::Streaming => rig.book.open(Answer::Accepted),
            };
            let may_be_dead = workload.simulate_failures > 0.0 && paradigm != Paradigm::SyncRest;
            if may_be_dead && !open.is_empty() {
                self.note_dead_letters(rig, open);
                open = rig.book.open(Answer::Accepted);
            }
            if open.is_empty() {
                break;
            }
            if let Some(why) = patience.is_over(Instant::now(), open.len()) {
                run.gave_up = Some(GaveUp { why, open: open.len() as u64 });
                break;
            }
            let asks = paradigm == Paradigm::SyncRest || may_be_dead;
            let pause = if asks { ASK_EVERY } else { LOOK_EVERY };
            let _ = self.stop.wait(pause);
        }
        if paradigm != Paradigm::SyncRest {
            let _ = self.stop.wait(GRACE);
        }
    }

    /// Asks the order service about orders, notes those that are confirmed, and returns those that it still works on.
    fn still_pending(&self, rig: &Rig, orders: Vec<usize>) -> Vec<usize> {
        let mut pending = Vec::new();
        for (order, status) in self.statuses(rig, orders) {
            match status {
                Status::Confirmed => rig.book.told(&rig.asks.orders[order].order_id),
                Status::Pending | Status::NoAnswer => pending.push(order),
                Status::Dead | Status::Over => {}
            }
        }
        pending
    }

    /// Asks the order service about orders, and notes those that are dead letters: nothing more comes of them. What
    /// customers are told is heard from the broker.
    fn note_dead_letters(&self, rig: &Rig, orders: Vec<usize>) {
        for (order, status) in self.statuses(rig, orders) {
            if status == Status::Dead {
                rig.book.dead_lettered(order);
            }
        }
    }

    fn statuses(&self, rig: &Rig, orders: Vec<usize>) -> Vec<(usize, Status)> {
        let ask = |order: usize| async move {
            let order_id = &rig.asks.orders[order].order_id;
            // Each instance knows the orders that it has taken.
            let of_each =
                rig.addresses.order.iter().map(|base| status_of(&self.http, base, order_id));
            (order, together(&join_all(of_each).await))
        };
        let asked = stream::iter(orders).map(ask).buffer_unordered(ASKED_AT_ONCE).collect();
        unless_stopped(&self.runtime, &self.stop, asked).unwrap_or_default()
    }

    /// After the last run: hears what came since the last reader ended. It belongs to earlier runs.
    pub fn hear_the_rest(&self) {
        let listened = self.listened.iter().filter(|paradigm| **paradigm != Paradigm::SyncRest);
        for &paradigm in listened {
            let book = Arc::new(Book::new(&Asks::default(), self.past.clone()));
            let at = (&self.runtime, &self.stop);
            let listener = match Listener::start(paradigm, &self.brokers, &book, at.0, at.1) {
                Ok(listener) => listener,
                Err(error) => {
                    tracing::warn!(error, "what came after the last run is not known");
                    continue;
                }
            };
            let deadline = Instant::now() + REST_MAX;
            loop {
                let heard = self.past.heard();
                let is_stopped = self.stop.wait(GRACE);
                if is_stopped || self.past.heard() == heard || Instant::now() > deadline {
                    break;
                }
            }
            drop(listener);
        }
    }

    /// Asks the notification service about every order whether its customer was told.
    pub(super) fn ask_who_was_told(&self, rig: &Rig) {
        let Some(base) = &rig.addresses.notification else { return };
        let (traces, _) = rig.book.read();
        let sent = traces
            .iter()
            .enumerate()
            .filter(|(_, t)| t.sent_us.is_some() && t.answer != Answer::Refused);
        let sent: Vec<usize> = sent.map(|(order, _)| order).collect();
        let ask = |order: usize| async move {
            let told = is_told(&self.http, base, &rig.asks.orders[order].order_id).await;
            (order, told)
        };
        let asked = stream::iter(sent).map(ask).buffer_unordered(ASKED_AT_ONCE);
        let answers: Vec<(usize, Option<bool>)> =
            unless_stopped(&self.runtime, &self.stop, asked.collect()).unwrap_or_default();
        for (order, told) in answers {
            match told {
                Some(is_told) => rig.book.found(order, is_told),
                // An order counts as done by evidence only.
                None => {
                    tracing::warn!(order, "the notification service does not say whom it told");
                    rig.book.found(order, false);
                }
            }
        }
    }
}
