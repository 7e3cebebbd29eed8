//! Topics of one test, and the program on them.

use std::time::Duration;

use testkit::cluster::Cluster;
use testkit::input::Input;
use testkit::{Finished, LogRecord, Pipeline, Process};

/// Longest wait for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// Topics of one test.
pub(crate) struct Rig {
    pub(crate) topics: Pipeline,
}

impl Rig {
    pub(crate) fn new(partitions: i32) -> Self {
        Self { topics: Cluster::shared().pipeline(partitions) }
    }

    /// Starts push on the topics, to a service at this address.
    pub(crate) fn push(&self, to: &str, args: &[&str]) -> Process {
        let own = ["--metrics-addr", "127.0.0.1:0", "--unknown-schema-grace", "200ms", "--to", to];
        Process::start("push", &[&self.topics.engine_args()[..], &own, args].concat(), &[])
    }

    /// Runs push until everything is settled.
    pub(crate) fn push_all(&self, to: &str, args: &[&str]) -> Finished {
        let end = ["--exit-at-end", "-o", "json", "--retry-delay", "200ms"];
        let finished = self.push(to, &[&end[..], args].concat()).wait(LIMIT);
        finished.expect_code(0);
        finished
    }

    /// Sends values to partition 0 with these keys.
    pub(crate) fn send<'a>(&self, records: impl IntoIterator<Item = (&'a str, String)>) {
        let input = |(key, value): (&str, String)| {
            Input::new(0, Some(key.as_bytes()), Some(value.as_bytes()))
        };
        let inputs: Vec<Input> = records.into_iter().map(input).collect();
        self.topics.send(&self.topics.orders, &inputs);
    }

    /// Name of the record at an offset of partition 0, as its calls have it.
    pub(crate) fn id(&self, offset: usize) -> String {
        format!("{}/0/{offset}", self.topics.orders)
    }

    pub(crate) fn dead_letters(&self) -> Vec<LogRecord> {
        self.topics.records(&self.topics.dlq)
    }
}
