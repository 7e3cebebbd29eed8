//! Whether what lies in the topics is exactly what the orders and the contract call for.
//!
//! An audit in small: every order is counted once or dead-lettered once, as predicted; the
//! outcome log, the averages, the retry topic and the dead letters tell the same story; and the
//! offsets say that nothing is left to do.

mod averages;
mod dead_letters;
mod outcomes;
mod retries;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::oracle::{End, Fate, Rules, decimal4, nearest_average};
use crate::pipeline::Pipeline;
use crate::reading::{AverageEntry, LogRecord, OutcomeEntry};

/// Violations that a failed verification shows.
const SHOWN_MAX: usize = 20;

/// Partition and offset on the topic of orders.
pub type Origin = (i32, i64);

/// Everything that a finished pipeline left behind.
#[derive(Debug, Clone)]
pub struct Logs {
    /// Name of the topic of orders.
    pub orders_topic: String,
    /// Consumer group.
    pub group: String,
    /// Orders as they came in.
    pub orders: Vec<LogRecord>,
    /// Records of the retry topic.
    pub retries: Vec<LogRecord>,
    /// Whether settled records were deleted from the retry topic.
    pub retries_trimmed: bool,
    /// Dead letters.
    pub dead_letters: Vec<LogRecord>,
    /// Averages records.
    pub averages: Vec<AverageEntry>,
    /// The outcome log.
    pub outcomes: Vec<OutcomeEntry>,
    /// End and committed offset of each partition of orders and retry.
    pub offsets: Vec<Progress>,
}

/// How far the group has come in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// End offset.
    pub end: i64,
    /// Committed offset.
    pub committed: Option<i64>,
}

impl Logs {
    /// Reads all topics and offsets of a pipeline.
    pub fn read(pipeline: &Pipeline) -> Self {
        let progress = |topic: &String| {
            let pairs = pipeline.ends(topic).into_iter().zip(pipeline.committed(topic));
            let numbered = (0..).zip(pairs).map(|(partition, (end, committed))| Progress {
                topic: topic.clone(),
                partition,
                end,
                committed,
            });
            numbered.collect::<Vec<_>>()
        };
        Self {
            orders_topic: pipeline.orders.clone(),
            group: pipeline.group.clone(),
            orders: pipeline.records(&pipeline.orders),
            retries: pipeline.records(&pipeline.retry),
            retries_trimmed: pipeline.starts(&pipeline.retry).iter().any(|start| *start > 0),
            dead_letters: pipeline.records(&pipeline.dlq),
            averages: pipeline.averages_log(),
            outcomes: pipeline.outcomes_log(),
            offsets: [&pipeline.orders, &pipeline.retry].into_iter().flat_map(progress).collect(),
        }
    }
}

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Topic, partition and offset, or key.
    pub at: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

/// Collects what is wrong.
#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, at: impl fmt::Display, what: impl Into<String>) {
        self.0.push(Violation { at: at.to_string(), what: what.into() });
    }
}

/// An order with what must become of it.
struct Expected<'a> {
    record: &'a LogRecord,
    fate: Fate,
}

type Fates<'a> = BTreeMap<Origin, Expected<'a>>;

/// What must come out in sum.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Orders that came in.
    pub orders: u64,
    /// Orders that must be counted.
    pub succeeded: u64,
    /// Failed attempts that must be sent to retry.
    pub retried: u64,
    /// Orders that must be dead letters.
    pub dead_lettered: u64,
    /// Count and sum in ten-thousandths by product.
    pub products: BTreeMap<String, (u64, i128)>,
}

impl Totals {
    fn of<'a>(fates: impl Iterator<Item = &'a Fate>) -> Self {
        let mut totals = Self::default();
        for fate in fates {
            totals.orders += 1;
            totals.retried += u64::from(fate.attempts - 1);
            match fate.end {
                End::Dead { .. } => totals.dead_lettered += 1,
                End::Counted(amount) => {
                    totals.succeeded += 1;
                    let (_, product) = fate.order.clone().expect("a counted order can be read");
                    let entry = totals.products.entry(product).or_default();
                    *entry = (entry.0 + 1, entry.1 + amount);
                }
            }
        }
        totals
    }

    /// Checks the averages that a run printed as JSON.
    ///
    /// # Panics
    ///
    /// Panics when they differ.
    #[track_caller]
    pub fn expect_state(&self, statistics: &Value) {
        let totals = |(count, sum): (u64, i128)| {
            let average = (count > 0).then(|| nearest_average(sum, count));
            serde_json::json!({"count": count, "sum": decimal4(sum), "average": average})
        };
        let all = self.products.values().fold((0, 0), |(c, s), (count, sum)| (c + count, s + sum));
        assert_eq!(statistics["overall"], totals(all), "overall");
        let products = statistics["products"].as_array().expect("a list of products");
        assert_eq!(products.len(), self.products.len(), "products");
        for (printed, (product, expected)) in products.iter().zip(&self.products) {
            let mut expected = totals(*expected);
            expected["product"] = product.as_str().into();
            assert_eq!(printed, &expected, "{product}");
        }
    }

    /// Checks the statistics of a run that did all of the work.
    ///
    /// # Panics
    ///
    /// Panics when they differ.
    #[track_caller]
    pub fn expect_stats(&self, statistics: &Value) {
        for (name, expected) in [
            ("consumed", self.orders),
            ("succeeded", self.succeeded),
            ("retried", self.retried),
            ("dead_lettered", self.dead_lettered),
            ("waiting", 0),
        ] {
            assert_eq!(statistics[name], expected, "{name} of {statistics}");
        }
        self.expect_state(statistics);
    }
}

/// Reads everything that a finished pipeline left behind and checks it.
///
/// # Panics
///
/// Panics with the first violations.
#[track_caller]
pub fn exact(pipeline: &Pipeline, rules: &Rules) -> Totals {
    let logs = Logs::read(pipeline);
    let violations = check(&logs, rules);
    let shown: Vec<String> = violations.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    assert!(violations.is_empty(), "{} violations, first:\n{}", violations.len(), shown.join("\n"));
    totals(&logs, rules)
}

/// What must come out in sum of these orders.
pub fn totals(logs: &Logs, rules: &Rules) -> Totals {
    Totals::of(fates(logs, rules).values().map(|expected| &expected.fate))
}

/// Everything that is not as it must be.
pub fn check(logs: &Logs, rules: &Rules) -> Vec<Violation> {
    let fates = fates(logs, rules);
    let mut findings = Findings::default();
    outcomes::check(&fates, &logs.outcomes, &mut findings);
    dead_letters::check(&fates, logs, &mut findings);
    averages::check(&fates, logs, &mut findings);
    retries::check(&fates, logs, &mut findings);
    for Progress { topic, partition, end, committed } in &logs.offsets {
        let records = if *topic == logs.orders_topic { &logs.orders } else { &logs.retries };
        let is_open = |record: &LogRecord| {
            record.partition == *partition && Some(record.offset) >= *committed
        };
        let only_markers = rules.writers_killed && !records.iter().any(is_open);
        if *committed != Some(*end) && !only_markers {
            let what = format!("the committed offset is {committed:?}, the end is {end}");
            findings.add(format!("{topic}/{partition}"), what);
        }
    }
    findings.0
}

fn fates<'a>(logs: &'a Logs, rules: &Rules) -> Fates<'a> {
    let expected = |record: &'a LogRecord| {
        let fate = rules.fate(record.value.as_deref());
        (record.coordinates(), Expected { record, fate })
    };
    logs.orders.iter().map(expected).collect()
}
