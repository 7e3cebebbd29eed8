//! Who holds a transactional id, or an instance's name.

use std::time::{Duration, Instant};

use kafka_io::client_config::{KafkaSettings, Role};
use kafka_io::member::Member;
use kafka_io::writer::{Guarantee, TRANSACTION_TIMEOUT, Writer};
use testkit::proxy::{Api, Trap};
use testkit::{Cluster, Pipeline, Process, machine, wait};

use super::{LIMIT, Rig, check, direct, order};

const TAKEN: &str = "another instance uses the id";

/// Takes the transactional id of an instance's first lane, as another producer.
fn take_over(pipeline: &Pipeline, instance: &str) {
    let settings = KafkaSettings::new("stranger", &pipeline.servers.bootstrap_servers, Vec::new())
        .expect("brokers are named");
    let id = format!("{}-{instance}-0", pipeline.group);
    let config = settings.base(Role::Producer);
    drop(Writer::open(&config, Guarantee::ExactlyOnce, &id, LIMIT).expect("brokers answer"));
}

/// Joins the group by an instance's name as another member, which so fences the one that has it.
fn take_membership(pipeline: &Pipeline, instance: &str) {
    let settings = KafkaSettings::new("stranger", &pipeline.servers.bootstrap_servers, Vec::new())
        .expect("brokers are named");
    let config = settings.base(Role::Consumer);
    let member = Member::join(&config, &pipeline.group, Some(instance), &pipeline.orders)
        .expect("the settings are good");
    wait::is_true("the stranger being a member", LIMIT, || {
        member.serve();
        member.membership().is_joined()
    });
}

/// After an outage the broker may know a newer member by a static member's name: one that it made
/// itself, by a request whose answer was lost. A stranger stands for it here. Without an outage
/// since, it is one.
#[test]
fn a_static_member_that_is_fenced_after_an_outage_joins_anew_and_without_one_ends() {
    let _machine = machine::shared();
    let mut rig = Rig::one_broker(&[]);
    let mut consumer = rig.consumer(&["--instance-id", "one"]);
    consumer.wait_ready(LIMIT);
    rig.send();
    wait::is_true("everything being settled", LIMIT, || rig.pipeline.lag() == 0);
    for outage in 1..=2 {
        rig.proxy().cut();
        wait::is_true("the outage being noticed", LIMIT, || {
            let answer = consumer.get("/readyz");
            answer.status == 503 && answer.body.contains("broker")
        });
        take_membership(&rig.pipeline, "one-0");
        rig.proxy().heal();
        rig.send();
        wait::is_true("a member that is fenced again", LIMIT, || {
            consumer.log().matches("fenced after an outage").count() == outage
        });
        wait::is_true("everything being settled", LIMIT, || {
            assert!(consumer.is_running(), "it has ended");
            rig.pipeline.lag() == 0
        });
        consumer.wait_ready(LIMIT);
    }
    take_membership(&rig.pipeline, "one-0");
    let failed = consumer.wait(LIMIT);
    failed.expect_code(1);
    assert!(failed.stderr.contains(TAKEN), "{}", failed.stderr);
    let next = rig.consumer(&["--instance-id", "one"]);
    rig.finish(next);
}

/// A transaction that outlasts its time is given up by the broker, and its producer is fenced.
#[test]
fn a_fence_that_was_ones_own_doing_is_not_taken_for_a_stranger() {
    let _machine = machine::shared();
    let every = "transaction.abort.timed.out.transaction.cleanup.interval.ms=500";
    let mut rig = Rig::one_broker(&[every]);
    let mut consumer = rig.consumer(&["--instance-id", "one"]);
    consumer.wait_ready(LIMIT);
    for _ in 0..2 {
        // Each of the two waits is short enough to be waited for; both are too long.
        let records = rig.proxy().trap(Api::Produce, Trap::Keep);
        rig.send();
        records.wait(LIMIT);
        let since = Instant::now();
        let offsets = rig.proxy().trap(Api::TxnOffsetCommit, Trap::Keep);
        wait::is_true("half of its time", LIMIT, || since.elapsed() > TRANSACTION_TIMEOUT / 2);
        records.release();
        offsets.wait(LIMIT);
        let before = rig.pipeline.ends(&rig.pipeline.averages);
        wait::is_true("the broker giving the transaction up", LIMIT, || {
            rig.pipeline.ends(&rig.pipeline.averages) != before
        });
        let unknown = consumer.metric("orders_transactions_total{result=\"unknown\"}");
        offsets.release();
        wait::is_true("the lane noticing it", LIMIT, || {
            assert!(consumer.is_running(), "it has ended");
            consumer.metric("orders_transactions_total{result=\"unknown\"}") > unknown
        });
        wait::is_true("everything being settled", LIMIT, || {
            assert!(consumer.is_running(), "it has ended");
            rig.pipeline.lag() == 0
        });
    }
    assert!(!consumer.log().contains(TAKEN), "{}", consumer.log());
    rig.finish(consumer);
}

#[test]
fn a_fenced_producer_is_replaced_once_and_a_second_fence_within_a_minute_is_the_end() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(super::PARTITIONS);
    let encoder = pipeline.orders_v1();
    let send = |numbers: std::ops::Range<i32>| {
        let orders: Vec<_> = numbers.map(|n| order(&encoder, n)).collect();
        pipeline.send(&pipeline.orders, &orders);
    };
    let flags = ["--instance-id", "one"];
    let mut consumer = direct(&pipeline, &flags);
    consumer.wait_ready(LIMIT);
    take_over(&pipeline, "one");
    send(0..200);
    consumer.wait_for_log("outcome unknown", LIMIT);
    wait::is_true("everything being settled", LIMIT, || pipeline.lag() == 0);
    take_over(&pipeline, "one");
    send(200..400);
    let failed = consumer.wait(LIMIT);
    failed.expect_code(1);
    for words in [TAKEN, "--instance-id"] {
        assert!(failed.stderr.contains(words), "{}", failed.stderr);
    }
    let finish = [&flags[..], &["--exit-at-end"]].concat();
    direct(&pipeline, &finish).wait(LIMIT).expect_code(0);
    check(&pipeline, &encoder);
}

#[test]
fn of_two_instances_with_one_id_the_older_ends_with_a_clear_error_and_the_newer_goes_on() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(super::PARTITIONS);
    let encoder = pipeline.orders_v1();
    let flags = ["--instance-id", "one"];
    let mut older = direct(&pipeline, &flags);
    older.wait_ready(LIMIT);
    let load = ["--count", "0", "--rate", "500/s", "--quiet", "--seed", "3"];
    let producer = Process::producer(&pipeline, &load);
    wait::is_true("some orders", LIMIT, || pipeline.outcomes_log().len() > 200);
    let mut newer = direct(&pipeline, &flags);
    let since = Instant::now();
    let failed = older.wait(LIMIT);
    failed.expect_code(1);
    assert!(since.elapsed() < Duration::from_secs(20), "it ended after {:?}", since.elapsed());
    for words in [TAKEN, "--instance-id"] {
        assert!(failed.stderr.contains(words), "{}", failed.stderr);
    }
    newer.wait_ready(LIMIT);
    producer.sigterm();
    producer.wait(LIMIT).expect_code(0);
    wait::is_true("everything being settled", LIMIT, || pipeline.lag() == 0);
    newer.sigterm();
    newer.wait(LIMIT).expect_code(0);
    check(&pipeline, &encoder);
}
