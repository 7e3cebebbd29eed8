//! After real runs of the consumer the audit is green.

use std::time::Duration;

use serde_json::Value;
use testkit::{Cluster, Input, Pipeline, Process, machine, wait};

use crate::rig::{Log, audit, expect_green, verdict};

const RUN_MAX: Duration = Duration::from_secs(90);
const FLAGS: [&str; 4] = ["--simulate-failures", "0.3", "--retry-delay", "100ms"];

/// Orders of which some are invalid and some are no orders at all.
pub(crate) fn mixed(pipeline: &Pipeline, count: usize) -> Vec<Input> {
    let encoder = pipeline.orders_v1();
    let order = |n: usize| {
        let partition = i32::try_from(n).expect("few") % pipeline.partitions;
        let price = f32::from(u16::try_from(n % 5_000).expect("small")) / 100.0;
        let mut input =
            encoder.input(partition, &format!("o-{n}"), ["tea", "cake"][n / 3 % 2], price);
        match n % 50 {
            7 => input.value = Some(b"no order".to_vec()),
            11 => input.value = None,
            13 => input = encoder.input(partition, "", "tea", price),
            17 => {
                input = input.with_header("trace", Some(b"7")).with_header("x-attempt", Some(b"9"))
            }
            _ => {}
        }
        input
    };
    (0..count).map(order).collect()
}

fn consume(pipeline: &Pipeline, flags: &[&str]) {
    let flags = [&FLAGS[..], &["--exit-at-end"], flags].concat();
    Process::consumer(pipeline, &flags).wait(RUN_MAX).expect_code(0);
}

#[test]
fn success_retries_and_dead_letters_of_every_kind_are_green_also_after_a_restart() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    for _ in 0..2 {
        pipeline.send(&pipeline.orders, &mixed(&pipeline, 3_000));
        consume(&pipeline, &[]);
        expect_green(&pipeline, &["--expect-drained"]);
    }
}

#[test]
fn a_group_that_does_not_exist_is_told_and_one_that_has_done_nothing_is_not_drained() {
    let pipeline = Cluster::shared().pipeline(2);
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 10));
    for with_outcomes in [true, false] {
        let finished = audit(&pipeline, with_outcomes, &[]);
        finished.expect_code(1);
        let text = format!("the group {} does not exist", pipeline.group);
        assert!(finished.stderr.contains(&text), "{}", finished.stderr);
        assert!(finished.stderr.contains("--group-id"), "{}", finished.stderr);
    }
    Log::empty(pipeline.clone()).commit();
    expect_green(&pipeline, &[]);
    assert_eq!(audit(&pipeline, true, &["--expect-drained"]).code, Some(4));
}

#[test]
fn duplicates_that_were_left_out_need_the_window_to_be_judged() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let order = |n: u16| encoder.input(0, &format!("o-{}", n % 6), "tea", 2.5);
    pipeline.send(&pipeline.orders, &(0..12).map(order).collect::<Vec<Input>>());
    consume(&pipeline, &["--dedupe", "10"]);
    expect_green(&pipeline, &["--dedupe", "10"]);
    let finished = audit(&pipeline, true, &[]);
    let report = finished.stats();
    assert_eq!((finished.code, &report["ok"]), (Some(4), &Value::Bool(true)), "{report:#}");
    let told = verdict(&report, "I1")["unprovable"].to_string();
    assert!(told.contains("--dedupe N"), "{told}");
    assert_eq!(audit(&pipeline, true, &["--dedupe", "5"]).code, Some(4));
}

#[test]
fn a_killed_consumer_leaves_a_green_log_and_so_does_the_one_that_finishes() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 40_000));
    let flags = [&FLAGS[..], &["--instance-id", "one"]].concat();
    let mut consumer = Process::consumer(&pipeline, &flags);
    wait::is_true("a commit", RUN_MAX, || {
        pipeline.committed(&pipeline.orders).into_iter().flatten().sum::<i64>() > 0
    });
    consumer.kill_9();
    expect_green(&pipeline, &[]);
    consume(&pipeline, &["--instance-id", "one"]);
    expect_green(&pipeline, &["--expect-drained"]);
}

#[test]
fn a_live_consumer_under_load_is_judged_at_a_consistent_cut() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 5_000));
    // As fast as an audit of all of it stays short on a busy machine.
    let load = ["--count", "0", "--rate", "1000/s", "--quiet", "--seed", "5"];
    let producer = Process::producer(&pipeline, &load);
    let mut consumer = Process::consumer(&pipeline, &FLAGS);
    consumer.wait_ready(RUN_MAX);
    let mut moved = 0;
    for _ in 0..3 {
        for with_outcomes in [true, false] {
            let finished = audit(&pipeline, with_outcomes, &[]);
            let report = finished.stats();
            assert_eq!(finished.code, Some(0), "outcomes {with_outcomes}: {report:#}");
            let views = report["partitions"].as_array().expect("partitions");
            moved += views.iter().filter(|view| view["moved"] == true).count();
            assert!(verdict(&report, "I1")["checked"].as_u64() > Some(0), "{report:#}");
        }
    }
    eprintln!("{moved} of 12 partitions moved while they were cut");
    producer.sigterm();
    producer.wait(RUN_MAX).expect_code(0);
    consumer.sigterm();
    consumer.wait(RUN_MAX).expect_code(0);
    consume(&pipeline, &[]);
    expect_green(&pipeline, &["--expect-drained"]);
}

#[test]
fn at_least_once_without_a_crash_is_green_by_both_measures() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 2_000));
    consume(&pipeline, &["--guarantee", "at-least-once"]);
    expect_green(&pipeline, &["--at-least-once", "--expect-drained"]);
}

#[test]
fn orders_that_another_program_put_into_the_retry_topic_count_as_well() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 20));
    let encoder = pipeline.orders_v1();
    let strangers: Vec<Input> =
        (0..20).map(|n| encoder.input(0, &format!("stranger-{n}"), "rice", 2.5)).collect();
    pipeline.send(&pipeline.retry, &strangers);
    consume(&pipeline, &[]);
    expect_green(&pipeline, &["--expect-drained"]);
}
