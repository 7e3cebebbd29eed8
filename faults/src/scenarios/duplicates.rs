//! The same order comes more than once.

use std::time::Duration;

use testkit::{Cluster, Pipeline, Process};

use crate::ending::{finish, moves};
use crate::run::Run;
use crate::scenario::Scenario;

pub(super) const SENT_TWICE: Scenario = Scenario {
    name: "sent-twice",
    rows: &[25],
    does: "runs a producer twice from its start, and kills the deduplicating consumer in between",
    expects: "each order id is counted once, also by the restarted consumer",
    full_max_s: 120,
    run: sent_twice,
};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(40);

/// Above the number of records in any partition.
const HORIZON: &str = "1000000";

/// Sends so many orders, the same for the same seed.
fn produce(pipeline: &Pipeline, seed: u64, count: usize) {
    let (seed, count) = ((seed % 1_000_000).to_string(), count.to_string());
    let args = ["--seed", &seed, "--count", &count, "--interval", "0ms", "--quiet"];
    Process::producer(pipeline, &args).wait(LIMIT).expect_code(0);
}

fn sent_twice(run: &mut Run) {
    let count = run.pick(2_000, 50_000);
    let flags = ["--dedupe", HORIZON, "--simulate-failures", "0.1", "--retry-delay", "200ms"];
    let flags = [&flags[..], &["--instance-id", "one"]].concat();
    let pipeline = Cluster::shared().pipeline(3);
    // A producer that died half-way, and was started anew.
    produce(&pipeline, run.seed(), count / 2);
    let mut consumer = Process::consumer(&pipeline, &flags);
    moves(&pipeline, LIMIT);
    produce(&pipeline, run.seed(), count);
    consumer.kill_9();
    run.step("killed between the two copies");
    let statistics = finish(run, &pipeline, &flags, &["--dedupe", HORIZON]);
    let counted = statistics["overall"]["count"].as_u64().expect("a count");
    let dead = pipeline.records(&pipeline.dlq).len() as u64;
    assert_eq!(counted + dead, count as u64, "each id once: {statistics}");
}
