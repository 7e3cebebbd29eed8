//! Names of the metrics, below the name of their pipeline, and the only code that writes them.

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use pipeline::failure::FailureClass;

use crate::settings::{PipelineName, Topics};

/// Attempts that get a label of their own; later ones share the last.
const ATTEMPTS_MAX: u32 = 10;

/// Handles of one lane; made once, so that no name is looked up per record.
pub(crate) struct LaneMetrics {
    pub(crate) consumed_main: Counter,
    pub(crate) consumed_retry: Counter,
    pub(crate) succeeded: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) retried: Counter,
    pub(crate) dead_lettered: Counter,
    pub(crate) foreign: Counter,
    pub(crate) reparked: Counter,
    pub(crate) followers: Counter,
    pub(crate) shrunk: Counter,
    pub(crate) rebalances: Counter,
    pub(crate) transaction_seconds: Histogram,
    pub(crate) processing_seconds: Histogram,
    pub(crate) end_to_end_seconds: Histogram,
    name: PipelineName,
    /// By class, in the order of [`FailureClass::ALL`].
    dead_letters: [Counter; FailureClass::ALL.len()],
}

impl LaneMetrics {
    pub(crate) fn new(name: &PipelineName, topics: &Topics) -> Self {
        let count = |metric: &str| counter!(name.metric(metric));
        let seconds = |metric: &str| histogram!(name.metric(metric));
        let processed =
            |outcome: &'static str| counter!(name.metric("processed_total"), "outcome" => outcome);
        let consumed =
            |topic: &str| counter!(name.metric("consumed_total"), "topic" => topic.to_owned());
        Self {
            consumed_main: consumed(&topics.main),
            consumed_retry: consumed(&topics.retry),
            succeeded: processed("succeeded"),
            duplicates: processed("duplicate"),
            retried: processed("retried"),
            dead_lettered: processed("dead_lettered"),
            foreign: count("foreign_retries_total"),
            reparked: count("reparked_total"),
            followers: count("followers_total"),
            shrunk: count("dead_letters_truncated_total"),
            rebalances: count("rebalances_total"),
            transaction_seconds: seconds("transaction_seconds"),
            processing_seconds: seconds("processing_seconds"),
            end_to_end_seconds: seconds("end_to_end_seconds"),
            name: name.clone(),
            dead_letters: FailureClass::ALL.map(
                |class| counter!(name.metric("dead_lettered_total"), "class" => class.as_str()),
            ),
        }
    }

    pub(crate) fn transaction(&self, result: &'static str) {
        transactions(&self.name, result).increment(1);
    }

    pub(crate) fn retry(&self, attempt: u32) {
        retries(&self.name, attempt).increment(1);
    }

    pub(crate) fn dead_letter(&self, class: FailureClass) {
        self.dead_letters[class as usize].increment(1);
    }
}

fn transactions(name: &PipelineName, result: &'static str) -> Counter {
    counter!(name.metric("transactions_total"), "result" => result)
}

/// Failed attempts with this number that were sent to retry.
fn retries(name: &PipelineName, attempt: u32) -> Counter {
    let label =
        if attempt < ATTEMPTS_MAX { attempt.to_string() } else { format!("{ATTEMPTS_MAX}+") };
    counter!(name.metric("retries_total"), "attempt" => label)
}

/// Describes the metrics, sets those that do not change, and lets the counters start at 0: what is
/// not there cannot be seen to rise.
pub(crate) fn describe(name: &PipelineName, topics: &Topics, attempts_max: u32) {
    for (metric, text) in COUNTERS {
        describe_counter!(name.metric(metric), *text);
    }
    for (metric, text) in SECONDS {
        describe_histogram!(name.metric(metric), Unit::Seconds, *text);
    }
    for (metric, unit, text) in GAUGES {
        describe_gauge!(name.metric(metric), *unit, *text);
    }
    for (metric, text) in LAG {
        describe_gauge!(*metric, *text);
    }
    let lane = LaneMetrics::new(name, topics);
    lane.dead_letters.iter().for_each(|count| count.absolute(0));
    gauge!(name.metric(PARKED_KEYS)).set(0.0);
    for attempt in 1..attempts_max.min(ATTEMPTS_MAX + 1) {
        retries(name, attempt).absolute(0);
    }
    for result in ["committed", "aborted", "unknown"] {
        transactions(name, result).absolute(0);
    }
}

/// Gauges that are computed from the views of all lanes.
pub(crate) const RETRY_WAITING: &str = "retry_waiting";
pub(crate) const RETRY_OLDEST_OVERDUE_SECONDS: &str = "retry_oldest_overdue_seconds";
pub(crate) const PARKED_KEYS: &str = "parked_keys";
pub(crate) const PARTITIONS_PAUSED: &str = "partitions_paused";
pub(crate) const UNRESOLVED_RECORDS: &str = "unresolved_records";

const COUNTERS: &[(&str, &str)] = &[
    ("consumed_total", "records settled, by topic, counted after their commit"),
    ("processed_total", "attempts by outcome"),
    ("retries_total", "failed attempts sent to retry, by attempt"),
    ("dead_lettered_total", "dead letters by failure class"),
    ("foreign_retries_total", "retry records of other groups, skipped"),
    ("reparked_total", "waiting retries moved to the tail of their partition"),
    ("dead_letters_truncated_total", "parts of dead letters left out for their size"),
    ("followers_total", "records sent to retry without an attempt, behind one of their key"),
    ("rebalances_total", "changes of the partition assignment"),
    ("transactions_total", "transactions by result"),
];

const SECONDS: &[(&str, &str)] = &[
    ("transaction_seconds", "begin to committed"),
    ("processing_seconds", "one attempt at one record"),
    (
        "end_to_end_seconds",
        "timestamp of the record at its origin to its commit as counted or dead-lettered",
    ),
];

const GAUGES: &[(&str, Unit, &str)] = &[
    (RETRY_WAITING, Unit::Count, "records that wait in retry"),
    (RETRY_OLDEST_OVERDUE_SECONDS, Unit::Seconds, "how late the most overdue retry is"),
    (PARKED_KEYS, Unit::Count, "keys that wait behind a retry"),
    (PARTITIONS_PAUSED, Unit::Count, "partitions that are not read, by reason"),
    (
        UNRESOLVED_RECORDS,
        Unit::Count,
        "main records held in memory: their schema is not known yet, or an earlier one of their key comes first",
    ),
];

/// Under the names that existing dashboards read.
const LAG: &[(&str, &str)] = &[
    ("kafka_consumergroup_lag", "records not settled, by partition"),
    ("kafka_topic_partitions", "partitions of a topic"),
    ("kafka_consumergroup_current_offset", "committed offset, by partition"),
    ("kafka_topic_partition_current_offset", "end of a partition, as last fetched"),
    ("kafka_topic_partition_oldest_offset", "first offset of a partition"),
];

/// Number of partitions of a topic, under the name that existing dashboards read.
pub(crate) fn topic_partitions(topic: &str, partitions: i32) {
    gauge("kafka_topic_partitions", &[("topic", topic.to_owned())]).set(f64::from(partitions));
}

/// Gauges of one partition of one topic, under the names that existing dashboards read.
pub(crate) fn lag(group: &str, topic: &str, partition: i32, committed: i64, bounds: (i64, i64)) {
    let (low, high) = bounds;
    let labels = [("topic", topic.to_owned()), ("partition", partition.to_string())];
    let group = ("consumergroup", group.to_owned());
    let with_group = [group, labels[0].clone(), labels[1].clone()];
    gauge("kafka_consumergroup_lag", &with_group).set((high - committed).max(0) as f64);
    gauge("kafka_consumergroup_current_offset", &with_group).set(committed as f64);
    gauge("kafka_topic_partition_current_offset", &labels).set(high as f64);
    gauge("kafka_topic_partition_oldest_offset", &labels).set(low as f64);
}

/// Takes back the lag of a partition that is not owned any more.
pub(crate) fn forget_lag(group: &str, topic: &str, partition: i32) {
    let labels = [
        ("consumergroup", group.to_owned()),
        ("topic", topic.to_owned()),
        ("partition", partition.to_string()),
    ];
    gauge("kafka_consumergroup_lag", &labels).set(0.0);
}

fn gauge(name: &'static str, labels: &[(&'static str, String)]) -> Gauge {
    gauge!(name, labels)
}
