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
use orders::Amount;
use pipeline::headers::Lineage;

use super::averages::{Averages, Fault, Totals};
use super::cut::Cut;
use super::flags::Settings;
use super::forwarded::{self, Trace};
use super::report::{At, Invariant, PartitionView, Report, Violation};
use super::table::{Fact, Facts, Table};

/// What became of a record that another program put into the retry topic: an order of its own.
#[derive(Debug, Default)]
pub(crate) struct Stranger {
    /// As the outcome log tells it; empty where the record cannot be read.
    pub(crate) order_id: String,
    /// Product and amount, where it is a valid order.
    pub(crate) worth: Option<(String, Amount)>,
    pub(crate) facts: Facts,
}

/// What became of an order after it came back from the dead letters, by how often it did.
#[derive(Debug, Default)]
pub(crate) struct Life {
    pub(crate) facts: Facts,
    pub(crate) was_redriven: bool,
}

/// The books of one partition.
pub(crate) struct Books<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) cut: &'a Cut,
    pub(crate) report: Report,
    pub(crate) view: PartitionView,
    pub(crate) table: Table,
    pub(crate) averages: Averages,
    pub(crate) traces: Vec<Trace>,
    /// Dead letters that say their value is bad: origin offsets.
    pub(crate) said_bad: Vec<i64>,
    pub(crate) strangers: BTreeMap<i64, Stranger>,
    pub(crate) lives: BTreeMap<(i64, u32), Life>,
    /// Lowest order whose first attempt the outcome log tells of.
    pub(crate) told_from: Option<i64>,
    /// By key: the last order of it that ended.
    pub(crate) key_ends: HashMap<u64, i64, RandomState>,
    /// By order id: its last offset; for `--dedupe`.
    pub(crate) ids: HashMap<u64, i64, RandomState>,
    pub(crate) fold: Totals,
    pub(crate) next_trace: usize,
    pub(crate) repeats: u64,
}

/// Where in the retry or dead-letter topic a hop lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hop {
    Retry,
    DeadLetter,
}

impl<'a> Books<'a> {
    pub(crate) fn new(settings: &'a Settings, cut: &'a Cut) -> Self {
        let promises = settings.promises;
        let main = cut.bounds.main;
        Self {
            settings,
            cut,
            report: Report::new(settings.topics.outcomes.is_some(), promises.keeps_key_order),
            view: PartitionView {
                partition: cut.partition,
                committed: cut.before.main.position,
                end: main.end,
                moved: cut.moved(),
                ..PartitionView::default()
            },
            table: Table::new(main.low, main.end),
            averages: Averages::default(),
            traces: Vec::new(),
            said_bad: Vec::new(),
            strangers: BTreeMap::new(),
            lives: BTreeMap::new(),
            told_from: None,
            key_ends: HashMap::default(),
            ids: HashMap::default(),
            fold: Totals::default(),
            next_trace: 0,
            repeats: 0,
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
    pub(crate) fn twice(&mut self, at: At, origin: i64, what: impl Into<String>) {
        if self.settings.promises.at_least_once {
            self.repeats += 1;
        } else {
            self.violation(Invariant::I2, at, Some(origin), what);
        }
    }

    /// Takes an averages record; no average is a tombstone, an error one that cannot be read.
    pub(crate) fn take_average(
        &mut self,
        record: &HeldRecord,
        average: Result<Option<codec::wire::ProductAverage>, String>,
    ) {
        self.report.checked(Invariant::I4, 1);
        let at_least_once = self.settings.promises.at_least_once;
        let taken = average.map_err(Fault::Record).and_then(|average| {
            self.averages.take(record, average, self.cut, &self.settings.group, at_least_once)
        });
        let at = self.at(&self.settings.topics.averages, record.offset.0);
        match taken {
            Ok(()) => {}
            Err(Fault::Record(what)) => self.violation(Invariant::I4, at, None, what),
            Err(Fault::Ahead(what)) => self.violation(Invariant::I6, at, None, what),
        }
    }

    /// Takes a record of the retry topic. `read` reads its order, for a record of another program.
    pub(crate) fn take_retry(
        &mut self,
        record: &HeldRecord,
        read: impl FnOnce(&HeldRecord) -> Stranger,
    ) {
        let offset = record.offset.0;
        let (before, after) = (&self.cut.before.retry, &self.cut.after.retry);
        let (waits, still_waits) = (!before.has(offset), !after.has(offset));
        let Some(lineage) = Lineage::read(|name| record.header(name)) else {
            self.view.retry_depth += u64::from(waits);
            let mut stranger = read(record);
            if waits {
                stranger.facts.set(Fact::Waits);
            }
            self.strangers.insert(offset, stranger);
            return;
        };
        if lineage.origin.group != self.settings.group {
            return; // skipped by the consumer as well
        }
        self.view.retry_depth += u64::from(waits);
        let Some(origin) = self.take_hop(record, &lineage, Hop::Retry) else { return };
        let at = self.at(&self.settings.topics.retry, offset);
        if still_waits {
            if self.facts(origin, lineage.redrive_count).has(Fact::StillWaits) {
                self.twice(at.clone(), origin, "it waits twice in the retry topic");
            }
            self.facts_mut(origin, lineage.redrive_count, |facts| facts.set(Fact::StillWaits));
        }
        if waits {
            self.facts_mut(origin, lineage.redrive_count, |facts| facts.set(Fact::Waits));
        }
        self.check_attempt(at, origin, &lineage);
    }

    /// A hop raises the attempt; only a copy that was moved to the tail keeps it, with its time.
    fn check_attempt(&mut self, at: At, origin: i64, lineage: &Lineage) {
        let known = self.facts(origin, lineage.redrive_count);
        let (attempt, due_at_ms) = (lineage.attempt, lineage.due_at_ms);
        if known.has(Fact::Retried) && !Facts::is_saturated(attempt) {
            let last = known.retry_attempt();
            let is_copy = attempt == last && known.was_due_at(due_at_ms);
            if attempt <= last && !is_copy && !self.settings.promises.at_least_once {
                let what = format!("its attempt is {attempt}, after {last}: a hop raises it");
                self.violation(Invariant::I10, at, Some(origin), what);
            }
        }
        self.facts_mut(origin, lineage.redrive_count, |facts| facts.note_retry(attempt, due_at_ms));
    }

    /// Takes a dead letter.
    pub(crate) fn take_dead_letter(&mut self, record: &HeldRecord) {
        let at = self.at(&self.settings.topics.dead_letter, record.offset.0);
        let Some(lineage) = Lineage::read(|name| record.header(name)) else {
            self.report.checked(Invariant::I10, 1);
            self.violation(Invariant::I10, at, None, "it does not say which order it was");
            return;
        };
        if lineage.origin.group != self.settings.group {
            return;
        }
        let Some(origin) = self.take_hop(record, &lineage, Hop::DeadLetter) else { return };
        if self.facts(origin, lineage.redrive_count).has(Fact::Dead) {
            self.twice(at, origin, "it is dead-lettered a second time");
        }
        self.facts_mut(origin, lineage.redrive_count, |facts| facts.set(Fact::Dead));
        if forwarded::says_bad_value(record) {
            self.said_bad.push(origin);
        }
    }

    /// Checks what all forwarded records have in common. Returns the offset of the order, where
    /// it is one of this partition's main topic that was settled when the group was first looked
    /// at.
    fn take_hop(&mut self, record: &HeldRecord, lineage: &Lineage, hop: Hop) -> Option<i64> {
        let topics = &self.settings.topics;
        let is_dead = hop == Hop::DeadLetter;
        let topic = if is_dead { &topics.dead_letter } else { &topics.retry };
        let at = self.at(topic, record.offset.0);
        self.report.checked(Invariant::I10, 1);
        self.report.checked(Invariant::I2, 1);
        let origin = lineage.origin.offset;
        let from = &lineage.origin;
        if from.partition != self.cut.partition {
            let what = format!("it lies on another partition than its order, {}", from.partition);
            let (topic, offset) = (from.topic.clone(), Some(from.offset));
            let origin = Some(At { topic, partition: from.partition, offset });
            let violation = Violation { at, origin, product: None, what };
            self.report.violation(Invariant::I10, violation);
            return None;
        }
        if let Err(what) = forwarded::check_headers(record, lineage, is_dead) {
            self.violation(Invariant::I10, at.clone(), Some(origin), what);
        }
        if from.topic == topics.retry {
            self.take_strangers_hop(record, lineage, hop);
            return None;
        }
        if from.topic != topics.main {
            let what = format!("it comes from topic {:?}, which is not audited", from.topic);
            self.violation(Invariant::I10, at, None, what);
            return None;
        }
        match forwarded::likeness(record, lineage) {
            Ok(likeness) => {
                self.traces.push(Trace::new(origin, likeness, is_dead, record.offset.0));
            }
            Err(what) => self.violation(Invariant::I10, at.clone(), Some(origin), what),
        }
        if self.traces.len() == self.traces.capacity() {
            self.sort_traces(); // before it grows
        }
        if !self.cut.after.main.has(origin) {
            if self.settings.promises.at_least_once {
                self.repeats += 1; // written, and not committed before a crash
            } else {
                let what = "it was forwarded, and its order is not settled: it will run again";
                self.violation(Invariant::I6, at, Some(origin), what);
            }
            return None;
        }
        self.cut.before.main.has(origin).then_some(origin)
    }

    fn take_strangers_hop(&mut self, record: &HeldRecord, lineage: &Lineage, hop: Hop) {
        let waits = !self.cut.before.retry.has(record.offset.0);
        let stranger = self.strangers.entry(lineage.origin.offset).or_default();
        match hop {
            Hop::Retry if waits => stranger.facts.set(Fact::Waits),
            Hop::Retry => {}
            Hop::DeadLetter => stranger.facts.set(Fact::Dead),
        }
    }

    /// Sorts the traces by order and forgets repetitions.
    pub(crate) fn sort_traces(&mut self) {
        self.traces.sort_unstable();
        self.traces.dedup_by(|later, earlier| later.repeats(*earlier));
        self.traces.reserve(self.traces.len().max(1024));
    }

    /// What is known of an order in the life after this many redrives.
    pub(crate) fn facts(&self, origin: i64, redrives: u32) -> Facts {
        if redrives == 0 {
            return self.table.get(origin).unwrap_or_default();
        }
        self.lives.get(&(origin, redrives)).map_or_else(Facts::default, |life| life.facts)
    }

    fn facts_mut(&mut self, origin: i64, redrives: u32, change: impl FnOnce(&mut Facts)) {
        if redrives == 0 {
            if let Some(facts) = self.table.get_mut(origin) {
                change(facts);
            }
            return;
        }
        if let Some(facts) = self.table.get_mut(origin) {
            facts.set(Fact::Redriven);
        }
        let life = self.lives.entry((origin, redrives)).or_default();
        life.was_redriven = true;
        change(&mut life.facts);
    }

    /// The last life of an order, and how often it was redriven.
    pub(crate) fn last_life(&self, origin: i64, first: Facts) -> (u32, Facts) {
        if !first.has(Fact::Redriven) {
            return (0, first);
        }
        let lives = self.lives.range((origin, 0)..=(origin, u32::MAX));
        lives.last().map_or((0, first), |((_, redrives), life)| (*redrives, life.facts))
    }
}
