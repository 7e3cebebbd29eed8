//! Orders of earlier runs. What is heard of one of them is a matter of the run that placed it, and not of the run that
//! happens to listen: a customer who is told once more when services come back has been told twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::asked::Asks;
use crate::book::{Answer, Trace};
use crate::results::Run;

/// Orders that are remembered. What is heard of later ones counts as heard of strangers, which is said in the results.
const ORDERS_MAX: usize = 4_000_000;

#[derive(Debug)]
struct Known {
    /// Place of its run among the results.
    run: usize,
    answer: Answer,
    outcomes: u32,
}

/// What was heard of the orders of a run after its end. Counts are of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Late {
    /// Done a second time.
    again: u64,
    /// Of them, accepted ones that counted as done once.
    again_once_done: u64,
    /// Accepted, and not done before.
    accepted: u64,
    /// Not taken by the service's word.
    despite_no: u64,
    /// Of which nothing was known.
    unknown: u64,
}

#[derive(Debug, Default)]
struct Pages {
    known: HashMap<u128, Known>,
    late: BTreeMap<usize, Late>,
    /// Messages so far, of whomever.
    heard: u64,
    /// Where the reader of a topic stopped, by partition.
    stands: BTreeMap<i32, i64>,
}

/// All that earlier runs leave to later ones. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Past(Arc<Mutex<Pages>>);

/// An order's id as a number; nothing for one that no flow makes.
fn number_of(order_id: &str) -> Option<u128> {
    u128::from_str_radix(order_id, 16).ok()
}

impl Past {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the orders of a run, which stands at this place among the results.
    pub fn remember(&self, run: usize, asks: &Asks, traces: &[Trace]) {
        let mut pages = self.pages();
        for (asked, trace) in asks.orders.iter().zip(traces).filter(|(_, trace)| trace.is_sent()) {
            if pages.known.len() >= ORDERS_MAX {
                return;
            }
            let Some(number) = number_of(&asked.order_id) else { continue };
            let known = Known { run, answer: trace.answer, outcomes: trace.outcomes };
            pages.known.insert(number, known);
        }
    }

    /// Notes that the customer of an order was told that is none of the run under way; returns whether it is one of an
    /// earlier run.
    pub fn told(&self, order_id: &str) -> bool {
        let mut pages = self.pages();
        pages.heard += 1;
        let Some(known) = number_of(order_id).and_then(|number| pages.known.get_mut(&number))
        else {
            return false;
        };
        known.outcomes += 1;
        let (run, answer, outcomes) = (known.run, known.answer, known.outcomes);
        let late = pages.late.entry(run).or_default();
        match (outcomes, answer) {
            (1, Answer::Accepted) => late.accepted += 1,
            (1, Answer::Failed | Answer::Refused) => late.despite_no += 1,
            (1, Answer::Unknown | Answer::None) => late.unknown += 1,
            (2, _) => {
                late.again += 1;
                late.again_once_done += u64::from(answer == Answer::Accepted);
            }
            _ => {} // it counts as done twice already
        }
        true
    }

    /// Whether the customer of an order of an earlier run is known to be told.
    #[must_use]
    pub fn has_outcome(&self, order_id: &str) -> bool {
        let pages = self.pages();
        let known = number_of(order_id).and_then(|number| pages.known.get(&number));
        known.is_some_and(|known| known.outcomes > 0)
    }

    /// Messages about orders that were none of the run under way, so far.
    #[must_use]
    pub fn heard(&self) -> u64 {
        self.pages().heard
    }

    /// Notes up to where a partition of the topic of notifications is read.
    pub fn stand(&self, partition: i32, next_offset: i64) {
        self.pages().stands.insert(partition, next_offset);
    }

    /// Where an earlier run stopped to read a partition: what came since is heard by the next.
    #[must_use]
    pub fn stands(&self, partition: i32) -> Option<i64> {
        self.pages().stands.get(&partition).copied()
    }

    /// Puts what was heard since the last time where it belongs: into the audits of the runs that placed the orders.
    pub fn settle(&self, runs: &mut [Run]) {
        let late = std::mem::take(&mut self.pages().late);
        for (place, late) in late {
            if let Some(run) = runs.get_mut(place) {
                late.add_to(run);
            }
        }
    }
}

impl Late {
    fn add_to(self, run: &mut Run) {
        if let Some(audit) = &mut run.audit {
            audit.duplicated += self.again;
            audit.done_once = audit.done_once.saturating_sub(self.again_once_done);
            audit.done_despite_no += self.despite_no;
            audit.unknown_done += self.unknown;
        }
        for (orders, words) in [
            (self.again, "done once more after the run had ended"),
            (self.accepted, "done only after the wait for them was over: they count as lost"),
            (self.despite_no, "done after the run had ended, although the answer said no"),
        ] {
            if orders > 0 {
                run.notes.push(format!("{orders} orders were {words}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asked::Shares;
    use crate::audit::Audit;
    use crate::book::{Book, Others};
    use crate::workload::Paradigm;

    fn asks(run: &str) -> Asks {
        Asks::new(run, &[0, 1, 2, 3], &["tea".to_owned()], Shares::default(), 1)
    }

    fn trace(answer: Answer, outcomes: u32) -> Trace {
        Trace { sent_us: Some(1), answered_us: Some(2), answer, outcomes, ..Trace::default() }
    }

    /// A run of four orders: done, lost, refused by the service, not known.
    fn earlier(past: &Past) -> (Asks, Vec<Run>) {
        let asks = asks("first");
        let traces = [
            trace(Answer::Accepted, 1),
            trace(Answer::Accepted, 0),
            trace(Answer::Failed, 0),
            trace(Answer::Unknown, 0),
        ];
        let mut run = Run::new("a", Paradigm::Rabbit, 0, 1.0, 0.0);
        run.audit = Some(Audit::of(&traces, &Others::default(), None));
        past.remember(0, &asks, &traces);
        (asks, vec![run])
    }

    #[test]
    fn a_second_message_that_a_later_run_hears_is_a_duplicate_of_the_run_that_placed_the_order() {
        let past = Past::default();
        let (asks_before, mut runs) = earlier(&past);
        assert!(runs[0].audit.unwrap().duplicated == 0 && runs[0].audit.unwrap().done_once == 1);
        let later = Book::new(&asks("second"), past.clone());
        later.told(&asks_before.orders[0].order_id);
        later.told(&asks_before.orders[0].order_id);
        past.settle(&mut runs);
        let audit = runs[0].audit.unwrap();
        assert_eq!((audit.duplicated, audit.done_once, audit.is_green()), (1, 0, false));
        assert_eq!(runs[0].notes, ["1 orders were done once more after the run had ended"]);
        let (traces, others) = later.read();
        assert!(traces.iter().all(|trace| trace.outcomes == 0), "it is nothing of the later run");
        assert_eq!(others.foreign, 0, "nor of a stranger");
        past.settle(&mut runs);
        assert_eq!(runs[0].audit.unwrap().duplicated, 1, "it is told once");
    }

    #[test]
    fn a_first_message_that_comes_late_is_told_and_a_no_must_stay_a_no() {
        let past = Past::default();
        let (asks, mut runs) = earlier(&past);
        asks.orders.iter().skip(1).for_each(|order| assert!(past.told(&order.order_id)));
        past.settle(&mut runs);
        let audit = runs[0].audit.unwrap();
        assert_eq!((audit.lost, audit.done_despite_no, audit.unknown_done), (1, 1, 1));
        assert!(runs[0].notes.iter().any(|note| note.contains("they count as lost")));
        assert!(past.has_outcome(&asks.orders[1].order_id));
    }

    #[test]
    fn what_nobody_here_has_placed_is_of_strangers_and_counted() {
        let past = Past::default();
        let book = Book::new(&asks("second"), past.clone());
        book.told("00000000000000000000000000000000");
        book.told("theirs");
        assert_eq!((book.read().1.foreign, past.heard()), (2, 2));
    }

    #[test]
    fn a_reader_of_a_topic_goes_on_where_the_one_before_stopped() {
        let past = Past::default();
        assert_eq!(past.stands(0), None);
        past.stand(0, 7);
        assert_eq!((past.stands(0), past.stands(1)), (Some(7), None));
    }
}
