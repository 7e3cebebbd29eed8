//! The orders themselves, and what follows once the last one is read.

use codec::decode::DecodeError;
use kafka_io::reader::HeldRecord;
use orders::{Amount, Order};
use pipeline::failure::FailureReason;

use super::averages::Total;
use super::books::Books;
use super::claims::Claim;
use super::forwarded::{Letter, Trace};
use super::judge::{Doubles, Place, Story};
use super::outcomes::names_hash;
use super::report::{At, Invariant, Violation};
use super::spot::Spot;
use super::table::Fact;

/// What the bytes of an order are worth.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A valid order.
    Good(Order, Amount),
    /// It can be read, and breaks a rule.
    Invalid(Order, FailureReason),
    /// It can never be read; why.
    Bad(FailureReason),
    /// The registry does not know its schema (any more).
    SchemaGone,
}

impl Value {
    /// Judges what a decoder said.
    pub(crate) fn of(decoded: Result<Order, DecodeError>) -> Self {
        match decoded {
            Ok(order) => match orders::validate(&order) {
                Ok(amount) => Self::Good(order, amount),
                Err(invalid) => {
                    let name = invalid.as_str();
                    let reason = FailureReason::ALL.into_iter().find(|r| r.as_str() == name);
                    Self::Invalid(order, reason.expect("each rule is a reason"))
                }
            },
            Err(DecodeError::Failed(failure)) => match failure.reason {
                FailureReason::SchemaNotFound => Self::SchemaGone,
                reason => Self::Bad(reason),
            },
            Err(DecodeError::Unresolved { .. }) => Self::SchemaGone,
        }
    }

    /// The order, if it can be read.
    pub(crate) fn into_order(self) -> Option<Order> {
        match self {
            Self::Good(order, _) | Self::Invalid(order, _) => Some(order),
            Self::Bad(_) | Self::SchemaGone => None,
        }
    }

    /// Id and product, as far as they can be read.
    pub(crate) fn names(&self) -> (&str, &str) {
        match self {
            Self::Good(order, _) | Self::Invalid(order, _) => (&order.order_id, &order.product),
            Self::Bad(_) | Self::SchemaGone => ("", ""),
        }
    }

    /// Why it can never be counted.
    pub(crate) const fn fault(&self) -> Option<FailureReason> {
        match self {
            Self::Invalid(_, reason) | Self::Bad(reason) => Some(*reason),
            Self::Good(..) | Self::SchemaGone => None,
        }
    }

    /// Whether what it is depends on what the registry says today.
    pub(crate) const fn depends_on_registry(&self) -> bool {
        use FailureReason as R;
        matches!(self, Self::SchemaGone | Self::Bad(R::NotAvro | R::CannotResolve))
    }
}

impl Books<'_> {
    /// Everything but the orders was read.
    pub(crate) fn before_orders(&mut self) {
        self.sort_traces();
        self.next_trace = 0;
    }

    /// Whether an outcome log is read that can be relied upon.
    pub(crate) fn reads_outcomes(&self) -> bool {
        let outcomes = self.settings.topics.outcomes.as_deref();
        let is_apart = self.cut.begins.outcomes.is_some();
        outcomes.is_some_and(|topic| is_apart && !self.surroundings.is_compacted(topic))
    }

    /// Takes an order, in the order of the log. `hold` copies the record.
    pub(crate) fn take_order(
        &mut self,
        offset: i64,
        key: Option<&[u8]>,
        value: &Value,
        hold: impl FnOnce() -> HeldRecord,
    ) {
        self.pass_missing(offset);
        let letters = self.compare_traces(offset, hold);
        let doubles = self.doubles(offset, value);
        self.look_at_main_offset(offset);
        if !self.cut.before.main.has(offset) {
            self.view.unsettled += 1;
            return;
        }
        self.report.checked(Invariant::I1, 1);
        self.view.settled += 1;
        let spot = Spot { is_stranger: false, offset, redrives: 0 };
        let spot = self.last_life(spot);
        let facts = self.facts_at(spot);
        let mut story =
            Story { spot, facts, claims: None, is_whole: false, letters: &letters, names: 0 };
        if self.reads_outcomes() {
            let (order_id, product) = value.names();
            story.names = names_hash(&self.hasher, order_id, product, key);
            let claims = self.table.claims(offset);
            let is_told = claims.has(Claim::Any);
            story.is_whole = self.told_from.is_some_and(|from| offset >= from);
            if self.is_ambiguous(offset, story.names) {
                let at = self.spot_at(spot);
                let what = format!(
                    "{at}: the outcome log may refer to it or to the record at the same offset of the retry topic"
                );
                self.report.unprovable(Invariant::I1, what);
            } else if is_told || story.is_whole {
                story.claims = Some(claims);
            } else if !(facts.has(Fact::Waits) && facts.has(Fact::Behind)) {
                self.untold += 1;
            }
        }
        let place = self.place(&story, value, doubles);
        match place {
            Place::Counted => self.view.counted += 1,
            Place::Waiting => self.view.waiting += 1,
            Place::Dead => self.view.dead_lettered += 1,
            Place::Duplicate => self.view.duplicates += 1,
            Place::Nowhere => {}
        }
        self.judge_value(&story, value, place);
        if let Value::Good(order, amount) = value
            && place == Place::Counted
        {
            self.add_to_fold(&order.product, *amount);
        }
    }

    /// The outcome log does not say of which topic an offset is; the names must.
    fn is_ambiguous(&mut self, offset: i64, names: u32) -> bool {
        let Some(stranger) = self.strangers.get_mut(&offset) else { return false };
        stranger.is_ambiguous |= stranger.is_called(names);
        stranger.is_ambiguous
    }

    fn doubles(&mut self, offset: i64, value: &Value) -> Doubles {
        let Value::Good(order, _) = value else { return Doubles::default() };
        let is_duplicate = self.is_duplicate(&order.order_id, offset);
        let came_before = !self.claimed_ids.is_empty() && self.has_come_before(&order.order_id);
        let window = self.settings.promises.dedupe;
        let window = window.map(|window| i64::try_from(window).unwrap_or(i64::MAX));
        let low = self.cut.bounds.main.low;
        let reaches_below = |window: i64| {
            self.is_main_compacted() || (low > 0 && offset.saturating_sub(window) < low)
        };
        let may_be_duplicate = !is_duplicate && window.is_some_and(reaches_below);
        Doubles { is_duplicate, came_before, may_be_duplicate }
    }

    /// Compares an order with what was forwarded of it, and returns its dead letters.
    fn compare_traces(
        &mut self,
        offset: i64,
        hold: impl FnOnce() -> HeldRecord,
    ) -> Vec<(Letter, FailureReason)> {
        let (mut letters, mut hold) = (Vec::new(), Some(hold));
        let (mut order, mut first) = (None, None::<Trace>);
        while let Some(trace) = self.traces.get(self.next_trace).copied()
            && trace.origin == offset
        {
            self.next_trace += 1;
            let order = order.get_or_insert_with(|| hold.take().expect("taken once")());
            if !trace.is_of(order) {
                let what = "key, value, headers or timestamp differ from the original record";
                self.violation(Invariant::I10, self.trace_at(trace), Some(offset), what);
            }
            let contradicts = first.is_some_and(|first| first.contradicts(trace));
            if contradicts && !self.settings.promises.at_least_once {
                let what = "the time of its first failure differs from that of another record of the order";
                self.violation(Invariant::I10, self.trace_at(trace), Some(offset), what);
            }
            first = first.filter(|first| first.has_first_failed()).or(Some(trace));
            letters.extend(trace.letter().filter(|letter| !letters.contains(letter)));
        }
        letters
    }

    fn trace_at(&self, trace: Trace) -> At {
        let topics = &self.settings.topics;
        let topic = if trace.is_dead() { &topics.dead_letter } else { &topics.retry };
        self.at(topic, trace.offset())
    }

    /// Passes the offsets below `offset` that hold no order: nothing may speak of them, unless they
    /// were deleted.
    fn pass_missing(&mut self, offset: i64) {
        let is_compacted = self.is_main_compacted();
        while let Some(trace) = self.traces.get(self.next_trace).copied()
            && trace.origin < offset
        {
            self.next_trace += 1;
            if trace.origin >= self.cut.bounds.main.low && !is_compacted {
                let what = "there is no such order";
                self.violation(Invariant::I10, self.trace_at(trace), Some(trace.origin), what);
            }
        }
        for missing in self.next_offset..offset.min(self.cut.bounds.main.end) {
            if is_compacted {
                self.slack.above += u64::from(self.cut.before.main.has(missing));
            } else if self.table.claims(missing).has(Claim::Any) {
                let what = "the outcome log has it, but there is no such order";
                self.violation(Invariant::I1, self.order_at(missing), None, what);
            }
        }
        self.next_offset = offset.saturating_add(1);
    }

    pub(crate) fn add_to_fold(&mut self, product: &str, amount: Amount) {
        let total = self.fold.entry_ref(product).or_default();
        total.0 += 1;
        total.1 += amount;
    }

    /// Everything was read: compares the sums.
    pub(crate) fn close(&mut self) {
        self.pass_missing(self.cut.bounds.main.end);
        self.judge_strangers();
        self.note_gaps();
        // Before the sums, which take the averages apart.
        self.judge_offsets();
        self.compare_sums();
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
