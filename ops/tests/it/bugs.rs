//! Bugs planted into the real consumer: the audit turns red for each, with the fitting invariant.
//!
//! The consumer under test is built with its feature `failpoints`; without it nothing is planted,
//! and these tests fail.

use std::time::Duration;

use pipeline::completion::Completion;
use pipeline::record::CommitPosition;
use serde_json::Value;
use testkit::{Cluster, Input, Pipeline, Process, fail_at, machine, wait};

use crate::rig::{audit, expect_green, expect_violation, red};
use crate::runs::mixed;

const RUN_MAX: Duration = Duration::from_secs(60);

/// What `abort` ends a process with.
const SIGABRT: i32 = 6;

const FLAGS: [&str; 6] =
    ["--simulate-failures", "0.3", "--retry-delay", "100ms", "--instance-id", "one"];

fn start(pipeline: &Pipeline, variables: &[(&str, &str)], flags: &[&str]) -> Process {
    let mut all = pipeline.consumer_args();
    all.extend(FLAGS.iter().chain(flags).map(|flag| (*flag).to_owned()));
    Process::start("consumer", &all, variables)
}

/// A pipeline with a healthy past, which the audit finds green, and work to do. Of one partition,
/// the first turn of a new process dead-letters what is no order, since the schema of the others
/// is not known yet; the second counts them.
fn with_a_past(partitions: i32) -> Pipeline {
    let pipeline = Cluster::shared().pipeline(partitions);
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 500));
    start(&pipeline, &[], &["--exit-at-end"]).wait(RUN_MAX).expect_code(0);
    expect_green(&pipeline, &[]);
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 500));
    pipeline
}

/// Runs the consumer with a bug until it dies at a fail point.
#[track_caller]
fn dies(pipeline: &Pipeline, bug: &str, point: &str) {
    let fail_points = fail_at(point);
    let variables = [("ORDERS_PLANTED_BUG", bug), ("FAILPOINTS", fail_points.as_str())];
    let finished = start(pipeline, &variables, &[]).wait(RUN_MAX);
    assert_eq!(finished.signal, Some(SIGABRT), "is it built with failpoints? {}", finished.stderr);
}

/// Runs the consumer with a bug to its end.
#[track_caller]
fn ends(pipeline: &Pipeline, bug: &str) {
    let variables = [("ORDERS_PLANTED_BUG", bug)];
    start(pipeline, &variables, &["--exit-at-end"]).wait(RUN_MAX).expect_code(0);
}

/// Audits, expects exit 4 with these invariants among the violated ones.
#[track_caller]
fn expect_red(pipeline: &Pipeline, with_outcomes: bool, invariants: &[&str]) -> Value {
    let finished = audit(pipeline, with_outcomes, &[]);
    let report = finished.stats();
    assert_eq!(finished.code, Some(4), "{report:#}");
    let found = red(&report);
    let is_red = |invariant: &&str| found.contains(invariant);
    assert!(invariants.iter().all(is_red), "{invariants:?} of {found:?}: {report:#}");
    report
}

#[test]
fn without_a_bug_a_consumer_that_dies_leaves_a_green_log() {
    let _machine = machine::shared();
    let pipeline = with_a_past(1);
    for point in ["after-produce:1", "commit-returned:1"] {
        dies(&pipeline, "none", point);
    }
    start(&pipeline, &[], &["--exit-at-end"]).wait(RUN_MAX).expect_code(0);
    expect_green(&pipeline, &["--expect-drained"]);
}

#[test]
fn offsets_that_are_committed_before_the_work_lose_orders() {
    let _machine = machine::shared();
    let pipeline = with_a_past(1);
    dies(&pipeline, "offsets-first", "between-commits:2");
    start(&pipeline, &[], &["--exit-at-end"]).wait(RUN_MAX).expect_code(0);
    let report = expect_red(&pipeline, true, &["I1", "I6"]);
    let lost = &report["verdicts"][0]["violations"][0];
    assert!(lost["offset"].as_i64() >= Some(500), "the first half is not lost: {lost}");
    expect_red(&pipeline, false, &["I1", "I4"]);
}

#[test]
fn offsets_outside_of_the_transaction_leave_the_state_ahead() {
    let _machine = machine::shared();
    let pipeline = with_a_past(1);
    dies(&pipeline, "offsets-outside", "between-commits:2");
    expect_red(&pipeline, true, &["I6"]);
    expect_red(&pipeline, false, &["I6"]);
}

#[test]
fn dead_letters_outside_of_the_transaction_are_there_twice() {
    let _machine = machine::shared();
    let pipeline = with_a_past(1);
    dies(&pipeline, "dead-letters-outside", "after-produce:1");
    expect_red(&pipeline, true, &["I6"]);
    start(&pipeline, &[], &["--exit-at-end"]).wait(RUN_MAX).expect_code(0);
    for with_outcomes in [true, false] {
        let report = expect_red(&pipeline, with_outcomes, &["I2"]);
        assert_eq!(red(&report), ["I2"], "all the rest is right: {report:#}");
    }
}

#[test]
fn state_that_is_applied_before_the_commit_is_ahead_of_the_offsets() {
    let _machine = machine::shared();
    let pipeline = with_a_past(1);
    dies(&pipeline, "state-outside", "after-produce:2");
    for with_outcomes in [true, false] {
        expect_red(&pipeline, with_outcomes, &["I6"]);
    }
}

#[test]
fn a_completion_that_is_forgotten_at_a_restart_runs_orders_again() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let slow = ["--retry-delay", "100ms,6s"];
    let flags = ["--simulate-failures", "0.3", "--instance-id", "one"];
    let run = |variables: &[(&str, &str)], further: &[&str]| {
        let mut all = pipeline.consumer_args();
        all.extend(flags.iter().chain(&slow).chain(further).map(|flag| (*flag).to_owned()));
        Process::start("consumer", &all, variables)
    };
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 400));
    let consumer = run(&[], &[]);
    // Third attempts wait 6 s at the head of the retry topic; retries of later orders are settled
    // above them.
    wait::is_true("retries that wait", RUN_MAX, || {
        pipeline.committed(&pipeline.retry) >= [Some(60)].to_vec()
    });
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 400));
    wait::is_true("retries settled out of order", RUN_MAX, || {
        let position = CommitPosition(pipeline.committed(&pipeline.retry)[0].unwrap_or(0));
        let text = &pipeline.committed_metadata(&pipeline.retry)[0];
        let settled = Completion::decode(text, position).map(|c| c.settled_ranges(position));
        settled.is_ok_and(|ranges| !ranges.is_empty())
            && pipeline.committed(&pipeline.orders) == [Some(800)]
    });
    consumer.sigterm();
    consumer.wait(RUN_MAX).expect_code(0);
    expect_green(&pipeline, &[]);
    let variables = [("ORDERS_PLANTED_BUG", "completion-ignored")];
    run(&variables, &["--exit-at-end"]).wait(RUN_MAX).expect_code(0);
    expect_red(&pipeline, true, &["I2"]);
    expect_red(&pipeline, false, &["I4"]);
}

#[test]
fn an_attempt_that_is_not_raised_is_found() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 200));
    let variables = [("ORDERS_PLANTED_BUG", "attempt-kept")];
    let consumer = start(&pipeline, &variables, &[]);
    // Some orders fail at their second attempt, and so for ever.
    wait::is_true("third retries", RUN_MAX, || pipeline.ends(&pipeline.retry)[0] > 130);
    consumer.sigterm();
    consumer.wait(RUN_MAX).expect_code(0);
    for with_outcomes in [true, false] {
        expect_red(&pipeline, with_outcomes, &["I10"]);
    }
}

#[test]
fn dead_letters_on_another_partition_are_found() {
    let _machine = machine::shared();
    let pipeline = with_a_past(2);
    ends(&pipeline, "wrong-partition");
    expect_red(&pipeline, true, &["I1", "I10"]);
    expect_red(&pipeline, false, &["I1", "I10"]);
}

#[test]
fn sums_that_pass_through_a_float_are_found() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let order = |n: u16| encoder.input(0, &format!("o-{n}"), "tea", 1_000.01 + f32::from(n));
    pipeline.send(&pipeline.orders, &(0..300).map(order).collect::<Vec<Input>>());
    ends(&pipeline, "float-sum");
    for with_outcomes in [true, false] {
        let report = expect_red(&pipeline, with_outcomes, &["I4"]);
        expect_violation(&report, "I4", (&pipeline.averages, last_average(&pipeline)), "add up to");
    }
}

#[test]
fn duplicates_that_are_counted_are_found() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let order = |n: u16| encoder.input(0, &format!("o-{}", n % 50), "tea", 2.5);
    pipeline.send(&pipeline.orders, &(0..100).map(order).collect::<Vec<Input>>());
    let dedupe = ["--dedupe", "1000", "--exit-at-end"];
    start(&pipeline, &[("ORDERS_PLANTED_BUG", "dedupe-off")], &dedupe).wait(RUN_MAX).expect_code(0);
    for with_outcomes in [true, false] {
        let finished = audit(&pipeline, with_outcomes, &["--dedupe", "1000"]);
        let report = finished.stats();
        assert_eq!(finished.code, Some(4), "{report:#}");
        assert!(red(&report).contains(&"I4"), "{report:#}");
    }
}

/// Offset of the last record in the averages topic.
fn last_average(pipeline: &Pipeline) -> i64 {
    pipeline.averages_log().last().expect("something was counted").offset
}
