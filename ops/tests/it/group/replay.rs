//! `orders replay`: a group counts anew, and comes to the same.

use serde_json::Value;
use testkit::{Cluster, Pipeline, Process, machine, wait};

use super::{RUN_MAX, consume, orders};
use crate::rig::{audit, expect_green, make_dead_letters_anew};
use crate::runs::mixed;

pub(super) const FAILURES: [&str; 2] = ["--simulate-failures", "0.3"];

/// What `orders averages -o json` prints, to the byte.
pub(super) fn averages(pipeline: &Pipeline) -> String {
    let finished = orders(pipeline, "averages", &["-o", "json"]);
    finished.expect_code(0);
    finished.stdout
}

pub(super) fn replay(pipeline: &Pipeline, flags: &[&str]) -> Value {
    let finished = orders(pipeline, "replay", &[flags, &["-o", "json"]].concat());
    finished.expect_code(0);
    finished.stats()
}

fn sum(plan: &Value, name: &str) -> u64 {
    let partitions = plan["partitions"].as_array().expect("a list");
    partitions.iter().filter_map(|one| one[name].as_u64()).sum()
}

/// Consumes until every order is settled, and leaves retries that wait for an hour.
fn leave_retries(pipeline: &Pipeline) {
    let flags = [&FAILURES[..], &["--retry-delay", "1h"]].concat();
    let mut consumer = Process::consumer(pipeline, &flags);
    consumer.wait_ready(RUN_MAX);
    let ends: Vec<_> = pipeline.ends(&pipeline.orders).into_iter().map(Some).collect();
    wait::is_true("every order being settled", RUN_MAX, || {
        pipeline.committed(&pipeline.orders) == ends
    });
    let busy = orders(pipeline, "replay", &["--to", "earliest", "--execute"]);
    busy.expect_code(1);
    let told = format!("the group {} has members: ", pipeline.group);
    assert!(busy.stderr.contains(&told) && busy.stderr.contains("127.0.0.1"), "{}", busy.stderr);
    assert_eq!(pipeline.committed(&pipeline.orders), ends, "nothing was changed");
    consumer.sigterm();
    consumer.wait(RUN_MAX).expect_code(0);
}

#[test]
fn a_replay_from_the_start_comes_to_the_same_averages_and_a_green_audit() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 1_500));
    consume(&pipeline, &FAILURES);
    let first = averages(&pipeline);
    let committed = pipeline.committed(&pipeline.orders);
    let dead = pipeline.records(&pipeline.dlq).len() as u64;

    let plan = replay(&pipeline, &["--to", "earliest"]);
    assert_eq!((sum(&plan, "read_again"), sum(&plan, "dead_letters")), (1_500, dead), "{plan:#}");
    assert_eq!(plan["refused"], Value::Array(vec![]), "{plan:#}");
    assert_eq!(plan["replay_id"], Value::Null);
    assert_eq!(pipeline.committed(&pipeline.orders), committed, "a preview changes nothing");
    assert_eq!(averages(&pipeline), first, "a preview changes nothing");

    let done = replay(&pipeline, &["--to", "earliest", "--execute"]);
    assert!(done["replay_id"].is_string(), "{done:#}");
    let emptied: Value = serde_json::from_str(&averages(&pipeline)).expect("JSON");
    assert_eq!((&emptied["overall"]["count"], &emptied["waiting"]), (&0.into(), &0.into()));
    expect_green(&pipeline, &[]);

    leave_retries(&pipeline);
    expect_green(&pipeline, &[]);
    let plan = replay(&pipeline, &["--to", "earliest", "--execute"]);
    assert!(sum(&plan, "waiting") > 100, "{plan:#}");
    consume(&pipeline, &FAILURES);
    assert_eq!(averages(&pipeline), first);
    expect_green(&pipeline, &["--expect-drained"]);
    let report = audit(&pipeline, true, &[]).stats();
    assert!(report["verdicts"][0]["notes"].to_string().contains("the count begins at 0"));

    // Twice as many dead letters lie there, and only those of the last count go back.
    let letters = pipeline.records(&pipeline.dlq).len() as u64;
    assert!(letters >= 2 * dead, "{letters} {dead}");
    let args = ["dlq", "redrive", "-b", &pipeline.servers.bootstrap_servers, "-t", &pipeline.dlq];
    let names = ["--group-id", &pipeline.group, "--retry-topic", &pipeline.retry, "-o", "json"];
    let preview = Process::start("orders", &[&args[..], &names].concat(), &[]).wait(RUN_MAX);
    let preview = preview.stats();
    assert_eq!(preview["skipped"]["replayed"], letters - dead, "{preview:#}");
    assert_eq!(preview["to_send"], dead, "{preview:#}");
}

#[test]
fn a_start_in_the_middle_is_refused_unless_such_averages_are_wanted() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 400));
    consume(&pipeline, &FAILURES);
    let first = averages(&pipeline);
    let refused = orders(&pipeline, "replay", &["--to", "offset:50", "--execute"]);
    refused.expect_code(1);
    assert!(refused.stderr.contains("100 orders below the new start"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--partial"), "{}", refused.stderr);
    assert_eq!(averages(&pipeline), first, "nothing was changed");
    let absent = orders(&pipeline, "replay", &["--to", "offset:201"]);
    absent.expect_code(1);
    assert!(absent.stderr.contains("its offsets go from 0 to 200"), "{}", absent.stderr);

    // One partition alone: the other keeps what it has counted.
    let flags = ["--to", "offset:50", "--partition", "1", "--partial", "--execute"];
    let plan = replay(&pipeline, &flags);
    assert_eq!((sum(&plan, "left_out"), sum(&plan, "read_again")), (50, 150), "{plan:#}");
    assert_eq!(pipeline.committed(&pipeline.orders), [Some(200), Some(50)]);
    consume(&pipeline, &FAILURES);
    expect_green(&pipeline, &["--expect-drained"]);
    let count = |text: &str| {
        let told: Value = serde_json::from_str(text).expect("JSON");
        told["overall"]["count"].as_u64().expect("a number")
    };
    let (before, after) = (count(&first), count(&averages(&pipeline)));
    assert!(after < before && before <= after + 50, "{before} {after}");

    // To the end, by time: nothing is read again, and the averages begin empty.
    let plan = replay(&pipeline, &["--to", "2100-01-01T00:00:00Z", "--partial", "--execute"]);
    assert_eq!(sum(&plan, "read_again"), 0, "{plan:#}");
    assert_eq!(count(&averages(&pipeline)), 0);
    let table = orders(&pipeline, "replay", &["--to", "-1h"]);
    table.expect_code(0);
    assert!(table.stdout.lines().all(|line| line.chars().count() <= 80), "{}", table.stdout);
    assert!(table.stderr.contains("--execute does it"), "{}", table.stderr);
    expect_green(&pipeline, &["--expect-drained"]);
}

#[test]
fn dead_letters_of_a_topic_that_is_made_anew_after_a_replay_are_of_the_present_count() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 200));
    consume(&pipeline, &FAILURES);
    let dead = pipeline.records(&pipeline.dlq).len() as u64;
    replay(&pipeline, &["--to", "earliest", "--execute"]);
    make_dead_letters_anew(&pipeline, 1);
    consume(&pipeline, &FAILURES);
    assert_eq!(pipeline.records(&pipeline.dlq).len() as u64, dead, "below the mark of the first");
    let report = audit(&pipeline, true, &["--expect-drained"]);
    assert_eq!(report.code, Some(0), "{:#}", report.stats());
    assert!(report.stderr.contains("refer to an earlier topic of this name"), "{}", report.stderr);
    let args = ["dlq", "redrive", "-b", &pipeline.servers.bootstrap_servers, "-t", &pipeline.dlq];
    let names = ["--group-id", &pipeline.group, "--retry-topic", &pipeline.retry, "-o", "json"];
    let preview = Process::start("orders", &[&args[..], &names].concat(), &[]).wait(RUN_MAX);
    assert_eq!(preview.stats()["to_send"], dead, "{}", preview.stdout);
}
