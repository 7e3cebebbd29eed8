//! Offsets that are set without their metadata while records are settled above them: the command
//! that the refusal prints brings everything to its end exactly once.

use std::time::Duration;

use pipeline::completion::Completion;
use pipeline::record::CommitPosition;
use testkit::oracle::fails;
use testkit::{Cluster, Input, Pipeline, Process, machine, wait};

use super::{FLAGS, LIMIT, RATE, check, order};
use crate::state::{GROUPS, run_proposed_command};

/// The second retry of a record waits until the consumer has been stopped and has been refused.
const DELAYS: &str = "200ms,40s";

/// The order whose schema nobody knows; what comes after it is settled above it.
const HEAD: i32 = 20;

const BATCH: i32 = 200;

/// Default of `--failure-seed`.
const SEED: u64 = 42;

fn consumer(pipeline: &Pipeline, args: &[&str]) -> Process {
    Process::consumer(pipeline, &[&FLAGS[..], &["--retry-delay", DELAYS], args].concat())
}

/// Offsets above the committed one that are settled, as the metadata has it.
fn settled_above(pipeline: &Pipeline, topic: &str) -> i64 {
    let position = CommitPosition(pipeline.committed(topic)[0].expect("it has committed"));
    let completion = Completion::decode(&pipeline.committed_metadata(topic)[0], position);
    let ranges = completion.expect("it is ours").settled_ranges(position);
    ranges.iter().map(|(first, last)| last - first + 1).sum()
}

/// Leaves a group that has settled records above both of its offsets, and waiting ones among them;
/// changes its offsets with Kafka's tool, does what the refusal says, and finishes.
fn comes_to_its_end_after(change: &[&str]) {
    let cluster = Cluster::shared();
    let pipeline = cluster.pipeline(1);
    let encoder = pipeline.orders_v1();
    let mut first = consumer(&pipeline, &["--unknown-schema-grace", "10m"]);
    for from in [0, BATCH] {
        let placed = |n| {
            let mut placed = Input { partition: 0, ..order(&encoder, n) };
            if n == HEAD {
                let value = placed.value.as_mut().expect("an order");
                value[1..5].copy_from_slice(&900_000_u32.to_be_bytes());
            }
            placed
        };
        pipeline.send(&pipeline.orders, &(from..from + BATCH).map(placed).collect::<Vec<_>>());
        // The first retries are over: what failed twice waits for long.
        let orders = (0..from + BATCH).filter(|n| *n != HEAD).map(|n| format!("order-{n}"));
        let fails = |id: &String| [1, 2].into_iter().all(|attempt| fails(id, attempt, SEED, RATE));
        let (waiting, counted): (Vec<_>, Vec<_>) = orders.partition(fails);
        wait::is_true("the first retries being settled", LIMIT, || {
            let succeeded = first.metric("orders_processed_total{outcome=\"succeeded\"}");
            first.metric("orders_retry_waiting") == Some(waiting.len() as f64)
                && succeeded == Some(counted.len() as f64)
        });
    }
    first.sigterm();
    first.wait(LIMIT).expect_code(0);
    let (main, retry) = (&pipeline.orders, &pipeline.retry);
    for topic in [main, retry] {
        assert!(settled_above(&pipeline, topic) > 0, "nothing is settled above in {topic}");
        let args = [&["--group", &pipeline.group], change, &["--topic", topic]].concat();
        pipeline.java(GROUPS, &args);
    }
    let args = ["--unknown-schema-grace", "1s", "--exit-at-end"];
    let refused = consumer(&pipeline, &args).wait(LIMIT);
    refused.expect_code(1);
    for topic in [main, retry] {
        assert!(refused.stderr.contains(&format!("--topic {topic}:0")), "{}", refused.stderr);
    }
    run_proposed_command(&pipeline, &refused);
    let metadata = [main, retry].map(|topic| pipeline.committed_metadata(topic));
    assert_eq!(metadata, [[""], [""]], "the tool sets no metadata");
    consumer(&pipeline, &args).wait(LIMIT + Duration::from_secs(30)).expect_code(0);
    check(&pipeline, &encoder);
}

#[test]
fn offsets_that_are_deleted_are_set_as_proposed_and_nothing_runs_again() {
    let _machine = machine::shared();
    comes_to_its_end_after(&["--delete-offsets"]);
}

#[test]
fn offsets_that_are_set_back_are_set_as_proposed_and_nothing_runs_again() {
    let _machine = machine::shared();
    comes_to_its_end_after(&["--reset-offsets", "--to-earliest", "--execute"]);
}
