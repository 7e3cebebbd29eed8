//! A replay that is killed around its commit has done all of it or nothing, and a rerun is right.
//!
//! The program under test is built with its feature `failpoints`; without it these tests fail.

use std::time::Duration;

use serde_json::Value;
use testkit::{Cluster, Pipeline, fail_at, machine, wait};

use super::replay::{FAILURES, averages, replay};
use super::{RUN_MAX, consume, orders, start};
use crate::rig::expect_green;
use crate::runs::mixed;

/// What `abort` ends a process with.
const SIGABRT: i32 = 6;

/// The killed run stays a member for its session; its transaction is decided by the next run, or by the
/// broker's clock.
const MEMBER_GONE_MAX: Duration = Duration::from_secs(90);

/// The shortest session that brokers allow.
const SHORT_SESSION: [&str; 2] = ["-X", "session.timeout.ms=6000"];

/// A pipeline with a past, and what its averages are.
fn with_a_past() -> (Pipeline, String) {
    let pipeline = Cluster::shared().pipeline(2);
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 300));
    consume(&pipeline, &FAILURES);
    let first = averages(&pipeline);
    (pipeline, first)
}

/// Runs a replay until it dies at a fail point.
#[track_caller]
fn dies(pipeline: &Pipeline, point: &str) {
    let flags = [&["--to", "earliest", "--execute"][..], &SHORT_SESSION].concat();
    let fail_points = fail_at(point);
    let variables = [("FAILPOINTS", fail_points.as_str())];
    let died = start(pipeline, "replay", &flags, &variables).wait(RUN_MAX);
    assert_eq!(died.signal, Some(SIGABRT), "is it built with failpoints? {}", died.stderr);
}

/// Runs it again as an operator would, for as long as the killed run counts as a member.
#[track_caller]
fn runs_again(pipeline: &Pipeline) {
    wait::is_true("the killed member being gone", MEMBER_GONE_MAX, || {
        let again = orders(pipeline, "replay", &["--to", "earliest", "--execute"]);
        assert!(again.code == Some(0) || again.stderr.contains("has members"), "{}", again.stderr);
        again.code == Some(0)
    });
    expect_emptied(pipeline);
}

#[track_caller]
fn expect_emptied(pipeline: &Pipeline) {
    let emptied: Value = serde_json::from_str(&averages(pipeline)).expect("JSON");
    assert_eq!(emptied["overall"]["count"], 0, "{emptied:#}");
    assert_eq!(pipeline.committed(&pipeline.orders), [Some(0), Some(0)]);
}

/// The count comes to the same, and the audit finds nothing.
#[track_caller]
fn comes_to_the_same(pipeline: &Pipeline, first: &str) {
    consume(pipeline, &FAILURES);
    assert_eq!(averages(pipeline), first);
    expect_green(pipeline, &["--expect-drained"]);
}

#[test]
fn killed_with_everything_written_and_no_offsets_it_is_undone_by_the_next_run() {
    let _machine = machine::shared();
    let (pipeline, first) = with_a_past();
    dies(&pipeline, "replay-produced");
    runs_again(&pipeline);
    comes_to_the_same(&pipeline, &first);
}

#[test]
fn killed_before_its_commit_it_has_changed_nothing() {
    let _machine = machine::shared();
    let (pipeline, first) = with_a_past();
    let committed = pipeline.committed(&pipeline.orders);
    dies(&pipeline, "replay-offsets-sent");
    // The broker undoes it by its clock.
    assert_eq!(averages(&pipeline), first);
    assert_eq!(pipeline.committed(&pipeline.orders), committed);
    expect_green(&pipeline, &["--expect-drained"]);
    runs_again(&pipeline);
    comes_to_the_same(&pipeline, &first);
}

#[test]
fn killed_while_its_commit_is_on_the_way_it_has_done_all_or_nothing() {
    let _machine = machine::shared();
    let (pipeline, first) = with_a_past();
    dies(&pipeline, "replay-commit-sent");
    let now = averages(&pipeline);
    if now == first {
        expect_green(&pipeline, &["--expect-drained"]);
    } else {
        expect_emptied(&pipeline);
        expect_green(&pipeline, &[]);
    }
    runs_again(&pipeline);
    comes_to_the_same(&pipeline, &first);
}

#[test]
fn killed_after_its_commit_it_has_done_all_and_doing_it_again_changes_nothing() {
    let _machine = machine::shared();
    let (pipeline, first) = with_a_past();
    dies(&pipeline, "replay-committed");
    expect_emptied(&pipeline);
    expect_green(&pipeline, &[]);
    runs_again(&pipeline);
    let plan = replay(&pipeline, &["--to", "earliest"]);
    assert_eq!(plan["partitions"][0]["read_again"], 0, "{plan:#}");
    comes_to_the_same(&pipeline, &first);
}
