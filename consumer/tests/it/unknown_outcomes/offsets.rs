//! Committed offsets that brokers forget or that others change, under a live group.

use std::time::{Duration, Instant};

use testkit::{Cluster, machine, wait};

use super::{LIMIT, check, direct, send};
use crate::state::{GROUPS, run_proposed_command};

/// A broker forgets offsets of topics that a group does not subscribe to after this, at the
/// shortest.
const RETENTION: Duration = Duration::from_secs(60);

#[test]
fn retry_offsets_of_an_idle_live_group_outlast_a_broker_that_forgets_after_a_minute() {
    let _machine = machine::shared();
    let forgetful = ["offsets.retention.minutes=1", "offsets.retention.check.interval.ms=1000"];
    let cluster = Cluster::own_kafka(&forgetful);
    let pipeline = cluster.pipeline(super::PARTITIONS);
    let encoder = pipeline.orders_v1();
    let mut live = direct(&pipeline, &["--instance-id", "one"]);
    send(&pipeline, &encoder, 0..300);
    live.wait_ready(LIMIT);
    wait::is_true("everything being settled", LIMIT, || pipeline.lag() == 0);
    let idle_since = Instant::now();
    for looks in 1..=14 {
        let at = looks * RETENTION / 12;
        wait::is_true("time passing", RETENTION, || idle_since.elapsed() > at);
        let committed = pipeline.committed(&pipeline.retry);
        assert!(committed.iter().all(Option::is_some), "{committed:?} after {at:?}");
    }
    live.kill_9();
    send(&pipeline, &encoder, 300..600);
    direct(&pipeline, &["--instance-id", "one", "--exit-at-end"]).wait(LIMIT).expect_code(0);
    check(&pipeline, &encoder);
}

#[test]
fn offsets_that_are_deleted_under_a_live_consumer_are_refused_or_written_again() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(super::PARTITIONS);
    let encoder = pipeline.orders_v1();
    let mut live = direct(&pipeline, &[]);
    send(&pipeline, &encoder, 0..300);
    live.wait_ready(LIMIT);
    wait::is_true("everything being settled", LIMIT, || pipeline.lag() == 0);
    let before = pipeline.committed(&pipeline.orders);
    let delete = |topic| {
        let args = ["--group", &pipeline.group, "--delete-offsets", "--topic", topic];
        pipeline.java(GROUPS, &args)
    };
    // Kafka itself refuses this for a topic that the live group subscribes to.
    let output = delete(&pipeline.orders);
    assert!(output.contains("actively subscribed"), "{output}");
    assert_eq!(pipeline.committed(&pipeline.orders), before);
    // It does not for the retry topic.
    delete(&pipeline.retry);
    wait::is_true("the offsets being written again", LIMIT, || {
        assert!(live.is_running(), "it has ended");
        pipeline.committed(&pipeline.retry).iter().all(Option::is_some)
    });
    live.kill_9();
    send(&pipeline, &encoder, 300..600);
    direct(&pipeline, &["--exit-at-end"]).wait(LIMIT).expect_code(0);
    check(&pipeline, &encoder);
}

/// Kafka lets nobody set offsets under a live group. A stalled consumer is not in its group.
#[test]
fn offsets_that_are_set_back_while_the_consumer_is_stalled_end_it_when_it_wakes() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let live = direct(&pipeline, &["-X", "session.timeout.ms=6000"]);
    send(&pipeline, &encoder, 0..300);
    wait::is_true("everything being settled", LIMIT, || pipeline.lag() == 0);
    assert!(pipeline.committed(&pipeline.retry)[0] > Some(0), "there were retries");
    live.pause();
    wait::is_true("the group being empty", LIMIT, || pipeline.members() == 0);
    for topic in [&pipeline.orders, &pipeline.retry] {
        let args = ["--reset-offsets", "--to-earliest", "--execute", "--topic", topic];
        pipeline.java(GROUPS, &[&["--group", &pipeline.group], &args[..]].concat());
        assert_eq!(pipeline.committed(topic), [Some(0)]);
    }
    send(&pipeline, &encoder, 300..600);
    live.resume();
    let ended = live.wait(LIMIT);
    ended.expect_code(1);
    assert!(ended.stderr.contains("count orders twice"), "{}", ended.stderr);
    for topic in [&pipeline.retry, &pipeline.orders] {
        assert!(ended.stderr.contains(&format!("--topic {topic}:0")), "{}", ended.stderr);
    }
    run_proposed_command(&pipeline, &ended);
    direct(&pipeline, &["--exit-at-end"]).wait(LIMIT).expect_code(0);
    check(&pipeline, &encoder);
}
