//! The orders themselves, and what follows once the last one is read.

use std::fmt::Write as _;

use codec::decode::DecodeError;
use kafka_io::reader::{Fetched, HeldRecord};
use orders::{Amount, Order};
use pipeline::failure::FailureReason;

use super::averages::Total;
use super::books::Books;
use super::forwarded;
use super::report::{At, Invariant, Violation};
use super::table::{Fact, Facts};

/// What the bytes of an order are worth.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A valid order.
    Good(Order, Amount),
    /// It can never be counted; why.
    Bad(&'static str),
    /// The registry does not know its schema (any more).
    SchemaGone,
}

impl Value {
    /// Judges what a decoder said.
    pub(crate) fn of(decoded: Result<Order, DecodeError>) -> Self {
        match decoded {
            Ok(order) => match orders::validate(&order) {
                Ok(amount) => Self::Good(order, amount),
                Err(invalid) => Self::Bad(invalid.as_str()),
            },
            Err(DecodeError::Failed(failure)) => match failure.reason {
                FailureReason::SchemaNotFound => Self::SchemaGone,
                reason => Self::Bad(reason.as_str()),
            },
            Err(DecodeError::Unresolved { .. }) => Self::SchemaGone,
        }
    }
}

/// Where a settled order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Counted,
    Waiting,
    Dead,
    Duplicate,
    Nowhere,
}

impl Books<'_> {
    /// Everything but the orders was read.
    pub(crate) fn before_orders(&mut self) {
        self.sort_traces();
        self.said_bad.sort_unstable();
        self.next_trace = 0;
    }

    /// Takes an order, in the order of the log.
    pub(crate) fn take_order(&mut self, record: &Fetched<'_>, value: Value) {
        let offset = record.offset().0;
        self.compare_traces(offset, || record.hold());
        let is_duplicate = match &value {
            Value::Good(order, _) => self.is_duplicate(&order.order_id, offset),
            Value::Bad(_) | Value::SchemaGone => false,
        };
        if !self.cut.before.main.has(offset) {
            self.view.unsettled += 1;
            return;
        }
        self.report.checked(Invariant::I1, 1);
        self.view.settled += 1;
        let first = self.table.get(offset).unwrap_or_default();
        let (redrives, facts) = self.last_life(offset, first);
        if facts.has(Fact::Dead) && facts.has(Fact::StillWaits) {
            self.twice(self.order_at(offset), offset, "it is a dead letter and waits as well");
        }
        if redrives > 0 {
            self.check_lives(offset, redrives);
        }
        let place = self.place(offset, first, facts, &value, is_duplicate);
        match place {
            Place::Counted => self.view.counted += 1,
            Place::Waiting => self.view.waiting += 1,
            Place::Dead => self.view.dead_lettered += 1,
            Place::Duplicate => self.view.duplicates += 1,
            Place::Nowhere => {}
        }
        match value {
            Value::Good(order, amount) => {
                if place == Place::Counted {
                    self.add_to_fold(&order.product, amount);
                }
                if redrives == 0 && self.said_bad.binary_search(&offset).is_ok() {
                    let what = "its dead letter says that its value is bad; it is a valid order";
                    self.violation(Invariant::I10, self.order_at(offset), Some(offset), what);
                }
            }
            Value::Bad(reason) if place == Place::Counted || place == Place::Duplicate => {
                let what = format!("it was counted, and its value is bad ({reason})");
                self.violation(Invariant::I4, self.order_at(offset), Some(offset), what);
            }
            Value::SchemaGone if place == Place::Counted => {
                let at = self.order_at(offset);
                let what = format!("{at}: the registry does not have its schema (any more)");
                self.report.unprovable(Invariant::I4, what);
            }
            Value::Bad(_) | Value::SchemaGone => {}
        }
    }

    /// Decides where a settled order is, and says so where it is nowhere or in two places.
    fn place(
        &mut self,
        offset: i64,
        first: Facts,
        facts: Facts,
        value: &Value,
        is_duplicate: bool,
    ) -> Place {
        if self.is_told(offset) {
            return self.told_place(offset, first, facts, is_duplicate);
        }
        if facts.has(Fact::Waits) {
            return Place::Waiting;
        }
        if facts.has(Fact::Dead) {
            return Place::Dead;
        }
        if is_duplicate {
            return Place::Duplicate;
        }
        if let Value::Bad(reason) = value {
            self.lost_or_gone(
                offset,
                &format!("its value is bad ({reason}) and it has no dead letter"),
            );
            return Place::Nowhere;
        }
        Place::Counted
    }

    /// Where the outcome log says the order is; checked against what else is known.
    fn told_place(&mut self, offset: i64, first: Facts, facts: Facts, is_duplicate: bool) -> Place {
        let waits = facts.has(Fact::Waits);
        if first.has(Fact::ToldCounted) {
            if facts.has(Fact::StillWaits) {
                self.twice(
                    self.order_at(offset),
                    offset,
                    "it is counted and waits in the retry topic as well",
                );
            } else if waits {
                return Place::Waiting; // counted after the first look
            }
            if facts.has(Fact::Dead) {
                self.twice(
                    self.order_at(offset),
                    offset,
                    "it is counted and a dead letter as well",
                );
            }
            if is_duplicate {
                let what = "it was counted, although its order id came within the window before";
                self.twice(self.order_at(offset), offset, what);
                return Place::Duplicate;
            }
            return Place::Counted;
        }
        if first.has(Fact::ToldDuplicate) {
            if self.settings.promises.dedupe.is_some() && !is_duplicate {
                let what = "it was left out as a duplicate, and its order id had not come before";
                self.violation(Invariant::I1, self.order_at(offset), None, what);
            }
            return Place::Duplicate;
        }
        if waits {
            return Place::Waiting;
        }
        if facts.has(Fact::Dead) {
            if !first.has(Fact::ToldDead) {
                let what = "it is a dead letter, and no outcome tells so";
                self.violation(Invariant::I2, self.order_at(offset), None, what);
            }
            return Place::Dead;
        }
        if first.has(Fact::ToldDead) {
            self.lost_or_gone(offset, "it was dead-lettered, and there is no dead letter");
            return Place::Dead;
        }
        let what = if first.told_attempt() > 0 {
            "its retry is settled, and it is neither counted nor a dead letter"
        } else {
            "it is settled, and no outcome tells of it: neither counted, waiting, nor a dead letter"
        };
        let at = self.order_at(offset);
        self.violation(Invariant::I1, at.clone(), None, what);
        self.violation(Invariant::I6, at, None, "the committed offset is past it");
        Place::Nowhere
    }

    /// Whether the outcome log must tell of an order. It may have been switched on later.
    fn is_told(&self, offset: i64) -> bool {
        self.told_from.is_some_and(|from| offset >= from)
    }

    /// A dead letter that is not there: lost, unless retention may have taken it.
    fn lost_or_gone(&mut self, offset: i64, what: &str) {
        let low = self.cut.bounds.dead_letter.low;
        let at = self.order_at(offset);
        if low > 0 {
            let topic = self.at(&self.settings.topics.dead_letter, low);
            let what = format!("{at}: {what}; what was below {topic} is deleted");
            self.report.unprovable(Invariant::I1, what);
        } else {
            self.violation(Invariant::I1, at, None, what);
        }
    }

    /// Every life of a redriven order but the last one ended with a dead letter.
    fn check_lives(&mut self, offset: i64, last: u32) {
        let is_gone = self.cut.bounds.dead_letter.low > 0;
        for redrives in 0..last {
            if !self.facts(offset, redrives).has(Fact::Dead) && !is_gone {
                let what = format!(
                    "it was redriven {last} times, and has no dead letter of redrive {redrives}"
                );
                self.violation(Invariant::I10, self.order_at(offset), None, what);
            }
        }
    }

    /// Compares an order with what was forwarded of it. Traces below it have no order.
    fn compare_traces(&mut self, offset: i64, hold: impl FnOnce() -> HeldRecord) {
        self.pass_traces(offset);
        let mut hold = Some(hold);
        let mut order = None;
        while let Some(trace) = self.traces.get(self.next_trace).copied()
            && trace.origin == offset
        {
            self.next_trace += 1;
            let order = order.get_or_insert_with(|| hold.take().expect("taken once")());
            if !forwarded::looks_like(order, trace.likeness) {
                let what = "key, value, headers or timestamp are not those that came in";
                self.violation(Invariant::I10, self.trace_at(trace), Some(offset), what);
            }
        }
    }

    fn trace_at(&self, trace: forwarded::Trace) -> At {
        let topics = &self.settings.topics;
        let topic = if trace.is_dead() { &topics.dead_letter } else { &topics.retry };
        self.at(topic, trace.offset())
    }

    /// Passes traces of orders below `offset`: where the topic still has that range, there is no
    /// such order.
    fn pass_traces(&mut self, offset: i64) {
        while let Some(trace) = self.traces.get(self.next_trace).copied()
            && trace.origin < offset
        {
            self.next_trace += 1;
            if trace.origin >= self.cut.bounds.main.low {
                let what = "there is no such order";
                self.violation(Invariant::I10, self.trace_at(trace), Some(trace.origin), what);
            }
        }
    }

    fn add_to_fold(&mut self, product: &str, amount: Amount) {
        let total = self.fold.entry_ref(product).or_default();
        total.0 += 1;
        total.1 += amount;
    }

    /// Everything was read: compares the sums.
    pub(crate) fn close(&mut self) {
        self.pass_traces(i64::MAX);
        self.count_strangers();
        self.note_gaps();
        self.compare_sums();
        self.judge_offsets();
        self.report.partitions.push(self.view);
        if self.repeats + self.averages.repeats > 0 {
            let repeats = self.repeats + self.averages.repeats;
            let note = format!(
                "partition {}: {repeats} repeats, which at-least-once allows",
                self.cut.partition
            );
            self.report.note(Invariant::I2, note);
        }
    }

    /// Orders that another program put into the retry topic count as well.
    fn count_strangers(&mut self) {
        for (offset, stranger) in std::mem::take(&mut self.strangers) {
            let is_settled = self.cut.before.retry.has(offset);
            let elsewhere = stranger.facts.has(Fact::Waits) || stranger.facts.has(Fact::Dead);
            if let Some((product, amount)) = stranger.worth.filter(|_| is_settled && !elsewhere) {
                self.add_to_fold(&product, amount);
            }
        }
    }

    fn judge_offsets(&mut self) {
        let topics = &self.settings.topics;
        let (main, retry) = (&self.cut.before.main, &self.cut.before.retry);
        let both = [
            (&topics.main, main, self.cut.bounds.main),
            (&topics.retry, retry, self.cut.bounds.retry),
        ];
        for (topic, settled, bounds) in both {
            self.report.checked(Invariant::I6, 1);
            let partition = self.cut.partition;
            let at = At { topic: topic.clone(), partition, offset: settled.position };
            if settled.position.is_some_and(|position| position > bounds.end) {
                let what = format!("the committed offset is past the end, {}", bounds.end);
                self.violation(Invariant::I6, at.clone(), None, what);
            }
            if settled.is_foreign {
                let what =
                    format!("{at}: the offset was committed by another tool, without a completion");
                self.report.note(Invariant::I6, what);
            }
            if let Some(position) = settled.position
                && position < bounds.low
            {
                let what = format!(
                    "offsets {position} to {} were deleted before they were settled",
                    bounds.low - 1
                );
                self.violation(Invariant::I1, at, None, what);
            }
        }
        if main.position.is_some() != retry.position.is_some() {
            let at = At { topic: topics.main.clone(), partition: self.cut.partition, offset: None };
            let what = "only one of the offsets of orders and retries is committed";
            self.violation(Invariant::I6, at, None, what);
        }
        self.report.checked(Invariant::I8, 1);
        let view = self.view;
        let open = view.unsettled + view.retry_depth;
        if open > 0 {
            let mut what = String::new();
            let _ = write!(
                what,
                "{} orders are not settled, {} retries wait",
                view.unsettled, view.retry_depth
            );
            if self.settings.promises.is_drained {
                let topic = topics.main.clone();
                let at = At { topic, partition: view.partition, offset: view.committed };
                self.violation(Invariant::I8, at, None, what);
            } else {
                self.report.note(Invariant::I8, format!("partition {}: {what}", view.partition));
            }
        }
    }

    pub(crate) fn sum_violation(&mut self, product: &str, offset: i64, what: String) {
        let topic = self.settings.topics.averages.clone();
        let offset = (offset >= 0).then_some(offset);
        let at = At { topic, partition: self.cut.partition, offset };
        let product = Some(product.to_owned());
        self.report.violation(Invariant::I4, Violation { at, origin: None, product, what });
    }
}

/// A total in words.
pub(crate) fn words((count, sum): Total) -> String {
    format!("{count} orders of {sum}")
}
