//! The books of one partition: takes its records in, topic by topic, and knows what became of
//! each order.
//!
//! The topics are read in this order, each from its start to the cut: averages, retry, dead
//! letters, outcomes, orders. So an order meets all that is known of it when it is read, and is
//! folded at once.

use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use kafka_io::reader::HeldRecord;
use pipeline::headers::Lineage;

use super::averages::{Averages, Fault, Totals};
use super::borrowed::Borrowed;
use super::cut::Cut;
use super::flags::Settings;
use super::forwarded::Trace;
use super::hop_headers::{Hop, HopHeaders};
use super::orders_read::Value;
use super::report::{At, Invariant, PartitionView, Report, Violation};
use super::spot::Spot;
use super::strangers::Stranger;
use super::surroundings::Surroundings;
use super::table::{ATTEMPT_MAX, Fact, Facts, Table};

/// The books of one partition.
pub(crate) struct Books<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) surroundings: &'a Surroundings,
    pub(crate) cut: Cut,
    pub(crate) report: Report,
    pub(crate) view: PartitionView,
    pub(crate) table: Table,
    pub(crate) averages: Averages,
    pub(crate) traces: Vec<Trace>,
    pub(crate) next_trace: usize,
    pub(crate) strangers: BTreeMap<i64, Stranger>,
    /// By order and how often it came back from the dead letters: what became of it then.
    pub(crate) lives: BTreeMap<Spot, Facts>,
    /// Lowest order whose first attempt the outcome log tells of, apart from those that waited
    /// untried: the log may have been switched on meanwhile.
    pub(crate) told_from: Option<i64>,
    /// Settled orders of which it does not tell.
    pub(crate) untold: u64,
    /// By key: the last order of it that ended.
    pub(crate) key_ends: HashMap<u64, i64, RandomState>,
    /// By order id: its last offset; for `--dedupe`.
    pub(crate) ids: HashMap<u64, i64, RandomState>,
    /// Order ids that the outcome log says came before, and whether one of them was met.
    pub(crate) claimed_ids: HashMap<u64, bool, RandomState>,
    pub(crate) fold: Totals,
    pub(crate) slack: super::sums::Slack,
    pub(crate) repeats: u64,
    /// The next offset of the orders, with or without a record.
    pub(crate) next_offset: i64,
    /// Orders that are settled above the last position that the averages note.
    pub(crate) lag: super::noted::Lag,
    pub(crate) hasher: RandomState,
}

impl<'a> Books<'a> {
    pub(crate) fn new(settings: &'a Settings, surroundings: &'a Surroundings, cut: Cut) -> Self {
        let promises = settings.promises;
        let main = cut.bounds.main;
        let with_outcomes = settings.topics.outcomes.is_some();
        Self {
            settings,
            surroundings,
            report: Report::new(with_outcomes, promises.keeps_key_order),
            view: PartitionView {
                partition: cut.partition,
                committed: cut.before.main.position,
                end: main.end,
                moved: cut.moved(),
                ..PartitionView::default()
            },
            table: Table::new(main.low, main.end, with_outcomes),
            next_offset: main.low,
            cut,
            averages: Averages::default(),
            traces: Vec::new(),
            next_trace: 0,
            strangers: BTreeMap::new(),
            lives: BTreeMap::new(),
            told_from: None,
            untold: 0,
            key_ends: HashMap::default(),
            ids: HashMap::default(),
            claimed_ids: HashMap::default(),
            fold: Totals::default(),
            slack: super::sums::Slack::default(),
            repeats: 0,
            lag: super::noted::Lag::default(),
            hasher: RandomState::default(),
        }
    }

    pub(crate) fn at(&self, topic: &str, offset: i64) -> At {
        At { topic: topic.to_owned(), partition: self.cut.partition, offset: Some(offset) }
    }

    pub(crate) fn order_at(&self, offset: i64) -> At {
        self.at(&self.settings.topics.main, offset)
    }

    pub(crate) fn violation(
        &mut self,
        invariant: Invariant,
        at: At,
        origin: Option<i64>,
        what: impl Into<String>,
    ) {
        let origin = origin.map(|offset| self.order_at(offset));
        self.report
            .violation(invariant, Violation { at, origin, product: None, what: what.into() });
    }

    /// Something is there twice: a violation, or what at-least-once allows.
    pub(crate) fn twice(&mut self, at: At, origin: Option<i64>, what: impl Into<String>) {
        if self.settings.promises.at_least_once {
            self.repeats += 1;
        } else {
            self.violation(Invariant::I2, at, origin, what);
        }
    }

    /// Whether no record of the retry topic is gone.
    pub(crate) fn has_all_retries(&self) -> bool {
        self.cut.bounds.retry.low <= self.cut.begins.retry
            && !self.surroundings.is_compacted(&self.settings.topics.retry)
    }

    /// Whether no dead letter is gone.
    pub(crate) fn has_all_dead_letters(&self) -> bool {
        let topic = &self.settings.topics.dead_letter;
        self.cut.bounds.dead_letter.low <= self.cut.begins.dead_letter
            && !self.surroundings.is_compacted(topic)
    }

    /// Whether the topic of orders still has all it ever had.
    pub(crate) fn has_all_orders(&self) -> bool {
        self.cut.bounds.main.low <= self.cut.begins.main && !self.is_main_compacted()
    }

    pub(crate) fn is_main_compacted(&self) -> bool {
        self.surroundings.is_compacted(&self.settings.topics.main)
    }

    /// Takes an averages record; no average is a tombstone, an error one that cannot be read.
    pub(crate) fn take_average(
        &mut self,
        record: &Borrowed<'_>,
        average: Result<Option<order_schemas::ProductAverage>, String>,
    ) {
        self.report.checked(Invariant::I4, 1);
        let at_least_once = self.settings.promises.at_least_once;
        let taken = average.map_err(Fault::Record).and_then(|average| {
            self.averages.take(record, average, &self.cut, &self.settings.group, at_least_once)
        });
        let (invariant, what) = match taken {
            Ok(()) => return,
            Err(Fault::Record(what)) => (Invariant::I4, what),
            Err(Fault::Offsets(what)) => (Invariant::I6, what),
        };
        let at = self.at(&self.settings.topics.averages, record.offset);
        self.violation(invariant, at, None, what);
    }

    /// Takes a record of the retry topic. `read` reads its order, for a record of another program.
    pub(crate) fn take_retry(
        &mut self,
        record: &HeldRecord,
        read: impl FnOnce(&HeldRecord) -> Value,
    ) {
        let offset = record.offset.0;
        let (before, after) = (&self.cut.before.retry, &self.cut.after.retry);
        let (waits, still_waits) = (!before.has(offset), !after.has(offset));
        let Some(lineage) = Lineage::read(|name| record.header(name)) else {
            self.look_at_retry_offset(offset);
            self.view.retry_depth += u64::from(waits);
            let mut stranger = Stranger::new(record, read(record), &self.hasher);
            if waits {
                stranger.facts.set(Fact::Waits);
            }
            if still_waits {
                stranger.facts.set(Fact::StillWaits);
            }
            self.strangers.insert(offset, stranger);
            return;
        };
        if lineage.origin.group != self.settings.group {
            return; // skipped by the consumer as well
        }
        self.look_at_retry_offset(offset);
        self.view.retry_depth += u64::from(waits);
        let Some(spot) = self.take_hop(record, &lineage, Hop::Retry) else { return };
        let at = self.at(&self.settings.topics.retry, offset);
        let known = self.facts_at(spot);
        if still_waits && known.has(Fact::StillWaits) {
            self.twice(at.clone(), spot.order(), "it waits twice in the retry topic");
        }
        self.check_attempt(at, spot, known, &lineage);
        self.change_facts(spot, |facts| {
            facts.note_retry(lineage.attempt, lineage.due_at_ms);
            if still_waits {
                facts.set(Fact::StillWaits);
            }
            if waits {
                facts.set(Fact::Waits);
            }
        });
    }

    /// A hop raises the attempt by one; only a copy that was moved to the tail keeps it, with its
    /// time.
    fn check_attempt(&mut self, at: At, spot: Spot, known: Facts, lineage: &Lineage) {
        let attempt = lineage.attempt;
        // Of an order that was deleted nothing is noted, so that none of its hops has one before it.
        let is_noted = spot.is_stranger || self.table.get(spot.offset).is_some();
        if self.settings.promises.at_least_once || !is_noted {
            return;
        }
        let what = if known.has(Fact::Retried) {
            let last = known.retry_attempt();
            let is_copy = attempt == last && known.was_due_at(lineage.due_at_ms);
            let next = (last + 1).min(ATTEMPT_MAX);
            if attempt.min(ATTEMPT_MAX) == next || is_copy {
                return;
            }
            format!("its attempt is {attempt}, after {last}: a hop raises it by one")
        } else {
            let is_whole = lineage.redrive_count == 0 && self.has_all_retries();
            if attempt <= 1 || !is_whole {
                return;
            }
            format!("its attempt is {attempt}, but there is no earlier record of it")
        };
        self.violation(Invariant::I10, at, spot.order(), what);
    }

    /// Takes a dead letter.
    pub(crate) fn take_dead_letter(&mut self, record: &HeldRecord) {
        let at = self.at(&self.settings.topics.dead_letter, record.offset.0);
        let Some(lineage) = Lineage::read(|name| record.header(name)) else {
            self.report.checked(Invariant::I10, 1);
            self.violation(Invariant::I10, at, None, "it does not say which order it belongs to");
            return;
        };
        if lineage.origin.group != self.settings.group {
            return;
        }
        let Some(spot) = self.take_hop(record, &lineage, Hop::DeadLetter) else { return };
        if self.facts_at(spot).has(Fact::Dead) {
            self.twice(at, spot.order(), "it is dead-lettered a second time");
        }
        self.change_facts(spot, |facts| facts.set(Fact::Dead));
    }

    /// Checks what all forwarded records have in common. Says whose it is, where that is an order
    /// of this partition that was settled when the group was first looked at.
    fn take_hop(&mut self, record: &HeldRecord, lineage: &Lineage, hop: Hop) -> Option<Spot> {
        let topics = &self.settings.topics;
        let topic = if hop == Hop::DeadLetter { &topics.dead_letter } else { &topics.retry };
        let at = self.at(topic, record.offset.0);
        self.report.checked(Invariant::I10, 1);
        self.report.checked(Invariant::I2, 1);
        let from = &lineage.origin;
        let origin = from.offset;
        if from.partition != self.cut.partition {
            let what = format!("it is in another partition than its order, {}", from.partition);
            let (topic, offset) = (from.topic.clone(), Some(from.offset));
            let origin = Some(At { topic, partition: from.partition, offset });
            let violation = Violation { at, origin, product: None, what };
            self.report.violation(Invariant::I10, violation);
            return None;
        }
        let is_strangers = from.topic == topics.retry;
        if !is_strangers && from.topic != topics.main {
            let what = format!("it comes from topic {:?}, which is not audited", from.topic);
            self.violation(Invariant::I10, at, None, what);
            return None;
        }
        let redrives = lineage.redrive_count;
        let spot = Spot { is_stranger: is_strangers, offset: origin, redrives };
        let found = HopHeaders::of(record);
        if let Err(what) = found.check(lineage, hop) {
            self.violation(Invariant::I10, at.clone(), spot.order(), what);
        }
        let trace = Trace::of(record, lineage, &found, hop);
        match trace {
            Err(what) => self.violation(Invariant::I10, at.clone(), spot.order(), what),
            Ok(trace) if is_strangers => self.take_strangers_trace(&at, trace),
            Ok(trace) => self.take_trace(trace),
        }
        let cut = &self.cut;
        let (before, after) = if is_strangers {
            (cut.before.retry.has(origin), cut.after.retry.has(origin))
        } else {
            (cut.before.main.has(origin), cut.after.main.has(origin))
        };
        if !after {
            if self.settings.promises.at_least_once {
                self.repeats += 1; // written, and not committed before a crash
            } else {
                let what = "it was forwarded, but its order is not settled: it will run again";
                self.violation(Invariant::I6, at, spot.order(), what);
            }
            return None;
        }
        before.then_some(spot)
    }

    fn take_trace(&mut self, trace: Trace) {
        self.traces.push(trace);
        if self.traces.len() == self.traces.capacity() {
            self.sort_traces(); // before it grows
        }
    }

    /// Sorts the traces by order and forgets repetitions.
    pub(crate) fn sort_traces(&mut self) {
        self.traces.sort_unstable();
        self.traces.dedup_by(|later, earlier| later.repeats(*earlier));
        self.traces.reserve(self.traces.len().max(1024));
    }
}
