//! Instances come and go while retries wait.

use std::time::Duration;

use testkit::oracle::Rules;
use testkit::{Cluster, Input, Process, machine, verify, wait};

use crate::timing::retries_run;

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_second_instance_joins_and_leaves_and_every_retry_runs_once_when_it_is_due() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(4);
    let encoder = pipeline.orders_v1();
    let order = |n: i32| encoder.input(n % 4, &format!("order-{n}"), "tea", 1.25);
    let orders: Vec<Input> = (0..4_000).map(order).collect();
    // About 15 s of retries: they wait while one joins and while it leaves.
    let flags = ["--simulate-failures", "0.5", "--retry-delay", "5s"];
    let mut first = Process::consumer(&pipeline, &flags);
    first.wait_ready(LIMIT);
    pipeline.send(&pipeline.orders, &orders);
    wait::is_true("retries waiting", LIMIT, || pipeline.records(&pipeline.retry).len() > 1_500);
    let mut args = pipeline.consumer_args();
    args.extend(flags.map(str::to_owned));
    let mut second = Process::start("consumer", &args, &[("RUST_LOG", "info,relane=debug")]);
    let line = second.wait_for_log("partition restored", LIMIT);
    assert!(!line.contains("waiting=0"), "retries wait in {line}");
    second.wait_ready(LIMIT);
    let taken_over = pipeline.outcomes_log().len();
    wait::is_true("more retries running", LIMIT, || pipeline.outcomes_log().len() > taken_over);
    second.sigterm();
    second.wait(LIMIT).expect_code(0);
    assert!(pipeline.lag() > 0, "retries wait when the second instance has left");
    wait::is_true("everything being settled", LIMIT, || pipeline.lag() == 0);
    first.sigterm();
    first.wait(LIMIT).expect_code(0);
    verify::exact(&pipeline, &Rules::new(&[&encoder]).failing(0.5));
    let early: Vec<_> = retries_run(&pipeline)
        .into_iter()
        .filter(|run| run.settled_at_ms < run.due_at_ms)
        .collect();
    assert!(early.is_empty(), "{} retries ran early, first {:?}", early.len(), early[0]);
}

/// Cooperative members give a partition away in one round and take it in the next. A static
/// member that dies in between comes back to what the first round left it, without a new round.
#[test]
fn a_kill_between_the_two_rounds_of_a_rebalance_leaves_no_partition_without_an_owner() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    let flags = ["--lanes", "2", "--instance-id", "one"];
    let mut killed = Process::consumer(&pipeline, &flags);
    // One lane had all partitions, and gives one away to the other, which joined later.
    killed.wait_for_log("partitions revoked", LIMIT);
    killed.kill_9();
    let mut again = Process::consumer(&pipeline, &flags);
    again.wait_ready(LIMIT);
    let orders: Vec<Input> = (0..100).map(|n| encoder.input(n % 3, "order", "tea", 1.25)).collect();
    pipeline.send(&pipeline.orders, &orders);
    wait::is_true("every partition being settled", LIMIT, || pipeline.lag() == 0);
    again.sigterm();
    again.wait(LIMIT).expect_code(0);
    verify::exact(&pipeline, &Rules::new(&[&encoder]).after_kills());
}
