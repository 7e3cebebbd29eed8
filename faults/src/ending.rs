//! How every scenario ends: all work done, `orders audit` green, no lag, nothing waiting.

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Finished, Pipeline, Process, wait};

use crate::run::Run;

/// Longest run that does what is left. A dead writer without an instance id holds it up for up to
/// 20 s.
const FINISH_MAX: Duration = Duration::from_secs(150);

/// Longest audit.
const AUDIT_MAX: Duration = Duration::from_secs(120);

/// Longest wait for a lag of 0 after a run has ended: a transaction that a dead writer left open
/// is aborted by the broker, and its marker comes after everything was settled.
const DRAIN_MAX: Duration = Duration::from_secs(40);

/// Lets a consumer do what is left, and ends as [`green`].
#[track_caller]
pub(crate) fn finish(run: &mut Run, pipeline: &Pipeline, flags: &[&str], audit: &[&str]) -> Value {
    let finished = consume(pipeline, flags);
    finished.expect_code(0);
    green(run, pipeline, flags, audit);
    finished.stats()
}

/// Runs a consumer over everything that is there.
#[track_caller]
pub(crate) fn consume(pipeline: &Pipeline, flags: &[&str]) -> Finished {
    let flags = [&["--exit-at-end", "-o", "json"], flags].concat();
    Process::consumer(pipeline, &flags).wait(FINISH_MAX)
}

/// Audits what is left, which must be nothing to do: exit 0, lag 0, retry depth 0. `flags` are
/// the consumer's, should it have to pass a late marker once more.
#[track_caller]
pub(crate) fn green(run: &mut Run, pipeline: &Pipeline, flags: &[&str], audit: &[&str]) -> Value {
    let give_up_at = Instant::now() + DRAIN_MAX;
    while pipeline.lag() != 0 {
        assert!(Instant::now() < give_up_at, "a lag of {} is left", pipeline.lag());
        consume(pipeline, flags).expect_code(0);
    }
    let report = audited(pipeline, &[&["--expect-drained"], audit].concat());
    let partitions = report["partitions"].as_array().expect("a list of partitions");
    let depths: Vec<_> = partitions.iter().map(|view| view["retry_depth"].as_i64()).collect();
    assert!(depths.iter().all(|depth| *depth == Some(0)), "retries wait: {depths:?}");
    let sum =
        |name: &str| -> u64 { partitions.iter().filter_map(|view| view[name].as_u64()).sum() };
    run.step(format!(
        "audit green: {} settled, {} counted, {} dead-lettered; lag 0, retry depth 0",
        sum("settled"),
        sum("counted"),
        sum("dead_lettered"),
    ));
    report
}

/// Runs `orders audit`, which must be green.
#[track_caller]
fn audited(pipeline: &Pipeline, flags: &[&str]) -> Value {
    let mut args = pipeline.audit_args(true);
    args.extend(["-o", "json"].iter().chain(flags).map(|flag| (*flag).to_owned()));
    let finished = Process::start("orders", &args, &[]).wait(AUDIT_MAX);
    assert!(matches!(finished.code, Some(0 | 4)), "orders audit failed:\n{}", finished.stderr);
    let report = finished.stats();
    let verdicts = report["verdicts"].as_array().expect("a list of verdicts");
    let red: Vec<_> = verdicts.iter().filter(|verdict| verdict["ok"] == false).collect();
    assert!(finished.code == Some(0), "orders audit is red: {red:#?}\n{}", report["partitions"]);
    report
}

/// Longest wait until what is left is done by those who lived through the faults.
pub(crate) const HEAL_MAX: Duration = Duration::from_secs(90);

/// Waits until the process that lived through the faults has done all that is left, by itself,
/// and stops it.
#[track_caller]
pub(crate) fn heals(pipeline: &Pipeline, survivor: Process) -> Finished {
    settled(pipeline, HEAL_MAX);
    stop(survivor)
}

/// Waits until the group has settled everything, retries included.
#[track_caller]
pub(crate) fn settled(pipeline: &Pipeline, limit: Duration) {
    wait::is_true("everything being settled", limit, || pipeline.lag() == 0);
}

/// Orders whose outcome is committed: tells how far a group has come.
pub(crate) fn progress(pipeline: &Pipeline) -> i64 {
    pipeline.committed(&pipeline.orders).into_iter().flatten().sum()
}

/// Waits until the group has committed more than it had.
#[track_caller]
pub(crate) fn moves(pipeline: &Pipeline, limit: Duration) {
    let before = progress(pipeline);
    wait::is_true("a commit", limit, || progress(pipeline) > before);
}

/// Asks a program to stop, and expects exit 0 within the contract's time.
#[track_caller]
pub(crate) fn stop(process: Process) -> Finished {
    let finished = process.stop();
    finished.expect_code(0);
    finished
}
