//! After the last request: waits for what was promised, and asks what only the services know.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Bench, Rig};
use crate::book::Answer;
use crate::flow::{Status, is_told, status_of};
use crate::workload::Paradigm;

/// Questions under way at a time.
const ASKED_AT_ONCE: usize = 16;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Time between two rounds of questions about orders whose answer said that nothing is known.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How long a message is waited for that nobody was promised, and a second one that must not come.
const GRACE: Duration = Duration::from_millis(700);

impl Bench {
    /// Waits until every accepted order is done, and every one of which nothing is known is done or given up; not
    /// longer than `limit`.
    pub(super) fn settle(&self, rig: &Rig, paradigm: Paradigm, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut unknown = rig.book.open(Answer::Unknown);
        while Instant::now() < deadline && !self.stop.is_requested() {
            let is_done = match paradigm {
                Paradigm::SyncRest => {
                    unknown = self.still_pending(rig, unknown);
                    unknown.is_empty()
                }
                Paradigm::Rabbit | Paradigm::Streaming => {
                    rig.book.open(Answer::Accepted).is_empty()
                }
            };
            if is_done {
                break;
            }
            let pause = if paradigm == Paradigm::SyncRest { ASK_EVERY } else { LOOK_EVERY };
            let _ = self.stop.wait(pause);
        }
        if paradigm != Paradigm::SyncRest {
            let _ = self.stop.wait(GRACE);
        }
    }

    /// Asks the order service about orders, notes those that are confirmed, and returns those that it still works on.
    fn still_pending(&self, rig: &Rig, orders: Vec<usize>) -> Vec<usize> {
        let Some(base) = rig.addresses.order.first() else { return Vec::new() };
        let ask = |order: usize| async move {
            let order_id = &rig.asks.orders[order].order_id;
            (order, status_of(&self.http, base, order_id).await)
        };
        let asked = stream::iter(orders).map(ask).buffer_unordered(ASKED_AT_ONCE);
        let answers: Vec<(usize, Status)> = self.runtime.block_on(asked.collect());
        let mut pending = Vec::new();
        for (order, status) in answers {
            match status {
                Status::Confirmed => rig.book.told(&rig.asks.orders[order].order_id),
                Status::Pending | Status::NoAnswer => pending.push(order),
                Status::Over => {}
            }
        }
        pending
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
        let answers: Vec<(usize, Option<bool>)> = self.runtime.block_on(asked.collect());
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
