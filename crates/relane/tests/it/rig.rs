//! Topics of one test, and a handler that writes down what it was given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use relane::{Builder, HandleError, Kafka, Pipeline, Record};
use testkit::cluster::Cluster;
use testkit::input::Input;
use testkit::reading::LogRecord;

/// Longest wait for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Wait before each retry.
pub(crate) const DELAY: Duration = Duration::from_millis(200);

/// Topics of one test; a state topic is not among them.
pub(crate) struct Rig {
    pub(crate) topics: testkit::pipeline::Pipeline,
}

impl Rig {
    pub(crate) fn new(partitions: i32) -> Self {
        Self { topics: Cluster::shared().pipeline(partitions) }
    }

    /// A pipeline that ends when everything is settled.
    pub(crate) fn builder(&self) -> Builder {
        let topics = &self.topics;
        let kafka = Kafka::new(&topics.servers.bootstrap_servers, []).expect("brokers are named");
        Pipeline::builder(&topics.orders, kafka)
            .group(&topics.group)
            .retry_topic(&topics.retry)
            .dead_letter_topic(&topics.dlq)
            .retries(2, [DELAY])
            .registry(&topics.servers.registry_url)
            .unknown_schema_grace(DELAY)
            .exit_at_end(true)
    }

    /// Sends values to partition 0, each with its number as key.
    pub(crate) fn send<V: AsRef<[u8]>>(&self, values: impl IntoIterator<Item = V>) {
        let input = |(n, value): (usize, V)| {
            Input::new(0, Some(n.to_string().as_bytes()), Some(value.as_ref()))
        };
        let inputs: Vec<Input> = values.into_iter().enumerate().map(input).collect();
        self.topics.send(&self.topics.orders, &inputs);
    }

    /// Key, class and reason of each dead letter, in their order.
    pub(crate) fn dead_letters(&self) -> Vec<(String, String, String)> {
        let letters = self.topics.records(&self.topics.dlq);
        letters.iter().map(|letter| (key(letter), class(letter), reason(letter))).collect()
    }
}

pub(crate) fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

fn key(letter: &LogRecord) -> String {
    text(letter.key.as_deref())
}

fn class(letter: &LogRecord) -> String {
    text(letter.header("x-failure-class"))
}

fn reason(letter: &LogRecord) -> String {
    text(letter.header("x-failure-reason"))
}

/// What a handler was given: attempts by idempotency key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<BTreeMap<String, Vec<u32>>>>);

impl Journal {
    pub(crate) fn note<T>(&self, record: &Record<T>) {
        let mut attempts = self.0.lock().expect("no panic while held");
        attempts.entry(record.idempotency_key.clone()).or_default().push(record.attempt);
    }

    /// Attempts by the offset in partition 0 of the topic.
    pub(crate) fn attempts(&self, topic: &str) -> BTreeMap<usize, Vec<u32>> {
        let all = self.0.lock().expect("no panic while held");
        let prefix = format!("{topic}/0/");
        let offset = |key: &String| {
            let offset = key.strip_prefix(&prefix).and_then(|offset| offset.parse().ok());
            offset.unwrap_or_else(|| panic!("{key} is no record of {prefix}"))
        };
        all.iter().map(|(key, attempts)| (offset(key), attempts.clone())).collect()
    }
}

/// An answer of a handler that is to go on.
pub(crate) const FINE: Result<(), HandleError> = Ok(());
