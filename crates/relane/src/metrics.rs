//! Names of the metrics, and the only code that writes them.

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use pipeline::failure::FailureClass;

use crate::settings::Topics;

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
}

impl LaneMetrics {
    pub(crate) fn new(topics: &Topics) -> Self {
        let processed =
            |outcome: &'static str| counter!("orders_processed_total", "outcome" => outcome);
        let consumed = |topic: &str| counter!("orders_consumed_total", "topic" => topic.to_owned());
        Self {
            consumed_main: consumed(&topics.main),
            consumed_retry: consumed(&topics.retry),
            succeeded: processed("succeeded"),
            duplicates: processed("duplicate"),
            retried: processed("retried"),
            dead_lettered: processed("dead_lettered"),
            foreign: counter!("orders_foreign_retries_total"),
            reparked: counter!("orders_reparked_total"),
            followers: counter!("orders_followers_total"),
            shrunk: counter!("orders_dead_letters_truncated_total"),
            rebalances: counter!("orders_rebalances_total"),
            transaction_seconds: histogram!("orders_transaction_seconds"),
            processing_seconds: histogram!("orders_processing_seconds"),
            end_to_end_seconds: histogram!("orders_end_to_end_seconds"),
        }
    }

    pub(crate) fn transaction(&self, result: &'static str) {
        counter!("orders_transactions_total", "result" => result).increment(1);
    }

    pub(crate) fn retry(&self, attempt: u32) {
        retries(attempt).increment(1);
    }

    pub(crate) fn dead_letter(&self, class: FailureClass) {
        counter!("orders_dead_lettered_total", "class" => class.as_str()).increment(1);
    }
}

/// Failed attempts with this number that were sent to retry.
fn retries(attempt: u32) -> Counter {
    let label =
        if attempt < ATTEMPTS_MAX { attempt.to_string() } else { format!("{ATTEMPTS_MAX}+") };
    counter!("orders_retries_total", "attempt" => label)
}

/// Describes the metrics, sets those that do not change, and lets the counters start at 0: what is
/// not there cannot be seen to rise.
pub(crate) fn describe(topics: &Topics, attempts_max: u32) {
    describe_counters();
    describe_others();
    LaneMetrics::new(topics);
    gauge!("orders_parked_keys").set(0.0);
    for attempt in 1..attempts_max.min(ATTEMPTS_MAX + 1) {
        retries(attempt).absolute(0);
    }
    for class in FailureClass::ALL {
        counter!("orders_dead_lettered_total", "class" => class.as_str()).absolute(0);
    }
    for result in ["committed", "aborted", "unknown"] {
        counter!("orders_transactions_total", "result" => result).absolute(0);
    }
}

fn describe_counters() {
    describe_counter!(
        "orders_consumed_total",
        "records taken, by topic, counted after their commit"
    );
    describe_counter!("orders_processed_total", "attempts by what became of them");
    describe_counter!("orders_retries_total", "failed attempts sent to retry, by attempt");
    describe_counter!("orders_dead_lettered_total", "dead letters by failure class");
    describe_counter!("orders_foreign_retries_total", "retry records of other groups, skipped");
    describe_counter!(
        "orders_reparked_total",
        "waiting retries moved to the tail of their partition"
    );
    describe_counter!(
        "orders_dead_letters_truncated_total",
        "parts of dead letters left out for their size"
    );
    describe_counter!(
        "orders_followers_total",
        "records sent to retry untried, behind one of their key"
    );
    describe_counter!("orders_rebalances_total", "changes of the assignment");
    describe_counter!("orders_transactions_total", "transactions by result");
}

fn describe_others() {
    use metrics::Unit::Seconds;
    describe_histogram!("orders_transaction_seconds", Seconds, "begin to committed");
    describe_histogram!("orders_processing_seconds", Seconds, "one attempt at one record");
    describe_histogram!(
        "orders_end_to_end_seconds",
        Seconds,
        "timestamp of the record at its origin to its commit as counted or dead-lettered"
    );
    describe_gauge!("orders_retry_waiting", "records that wait in retry");
    describe_gauge!(
        "orders_retry_oldest_overdue_seconds",
        Seconds,
        "how late the longest overdue retry is"
    );
    describe_gauge!("orders_parked_keys", "keys that wait behind a retry");
    describe_gauge!("orders_partitions_paused", "partitions that are not read, by reason");
    describe_gauge!(
        "orders_unresolved_records",
        "main records held in memory: their schema is not known yet, or one of their key comes first"
    );
    describe_gauge!("kafka_consumergroup_lag", "records not settled, by partition");
    describe_gauge!("kafka_topic_partitions", "partitions of a topic");
    describe_gauge!("kafka_consumergroup_current_offset", "committed offset, by partition");
    describe_gauge!("kafka_topic_partition_current_offset", "end of a partition, as last fetched");
    describe_gauge!("kafka_topic_partition_oldest_offset", "first offset of a partition");
}

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
