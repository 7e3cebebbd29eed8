//! Brokers restart and die.

use std::time::{Duration, Instant};

use testkit::{Cluster, Process, Server as _, lone_broker, wait};

use crate::ending::{finish, heals, moves};
use crate::load::Feed;
use crate::run::Run;
use crate::scenario::Scenario;

pub(super) const BROKER_RESTARTS: Scenario = Scenario {
    name: "broker-restarts",
    rows: &[5],
    does: "restarts the only broker cleanly, and then with kill -9, during the work",
    expects: "the producer loses nothing; the consumer is not ready meanwhile; both continue afterwards",
    full_max_s: 180,
    run: broker_restarts,
};

pub(super) const BROKERS_LOST: Scenario = Scenario {
    name: "brokers-lost",
    rows: &[6],
    does: "kills one of three brokers, and then another one: below the least number of replicas",
    expects: "with one lost the work continues; with two it pauses and reports it; nothing is lost",
    full_max_s: 180,
    run: brokers_lost,
};

pub(super) const COORDINATORS_MOVE: Scenario = Scenario {
    name: "coordinators-move",
    rows: &[7],
    does: "kills the broker that coordinates the transactions of a lane, and that of the group",
    expects: "another one takes over; the lane replaces its producer and continues",
    full_max_s: 180,
    run: coordinators_move,
};

/// A broker that was killed is not let in before its old session is over.
const SESSION: &str = "broker.session.timeout.ms=6000";

/// Longest wait until the consumer works again.
const AGAIN_MAX: Duration = Duration::from_secs(70);

/// Longest wait until the producer delivers again, once the consumer works: it connects within 1 s, on a busy machine.
const DELIVERS_MAX: Duration = Duration::from_secs(5);

const FLAGS: [&str; 6] =
    ["--simulate-failures", "0.1", "--retry-delay", "200ms", "--instance-id", "one"];

/// Waits until the consumer says that it is not ready.
#[track_caller]
fn is_unready(consumer: &mut Process) {
    const TOLD_MAX: Duration = Duration::from_secs(10); // 5 s by the contract, on a busy machine
    wait::is_true("not being ready", TOLD_MAX, || consumer.get("/readyz").status == 503);
}

fn broker_restarts(run: &mut Run) {
    lone_broker::play(|| restart_in_order_and_after_kill_9(run));
}

fn restart_in_order_and_after_kill_9(run: &mut Run) {
    let mut cluster = Cluster::own_kafka(&[SESSION]);
    let pipeline = cluster.pipeline(3);
    let feed = Feed::start(&pipeline, run.seed(), "500/s");
    let mut consumer = Process::consumer(&pipeline, &FLAGS);
    moves(&pipeline, AGAIN_MAX);
    run.step("restarting the broker in order");
    cluster.restart_kafka();
    lone_broker::expect_markers(cluster.kafka());
    let up = Instant::now();
    moves(&pipeline, AGAIN_MAX);
    run.figure_time("commit after a clean restart", up.elapsed());
    feed.delivers(DELIVERS_MAX);
    cluster.kill_kafka();
    run.step("the broker is killed");
    is_unready(&mut consumer);
    cluster.kafka().start_again().expect("Kafka starts again");
    lone_broker::expect_markers(cluster.kafka());
    let up = Instant::now();
    moves(&pipeline, AGAIN_MAX);
    run.figure_time("after kill -9", up.elapsed());
    feed.delivers(DELIVERS_MAX);
    feed.stop();
    heals(&pipeline, consumer);
    finish(run, &pipeline, &FLAGS, &[]);
}

fn brokers_lost(run: &mut Run) {
    let mut cluster = Cluster::three_brokers(&[SESSION]);
    let pipeline = cluster.pipeline(3);
    let feed = Feed::start(&pipeline, run.seed(), "300/s");
    let mut consumer = Process::consumer(&pipeline, &FLAGS);
    moves(&pipeline, AGAIN_MAX);
    cluster.kafka().broker_mut(3).kill_9();
    let killed = Instant::now();
    moves(&pipeline, AGAIN_MAX);
    run.figure_time("commit after one of three was killed", killed.elapsed());
    cluster.kafka().broker_mut(2).kill_9();
    run.step("two of three are gone");
    is_unready(&mut consumer);
    cluster.kafka().start_again().expect("the brokers start again");
    let up = Instant::now();
    moves(&pipeline, AGAIN_MAX);
    run.figure_time("commit after two came back", up.elapsed());
    feed.delivers(DELIVERS_MAX);
    feed.stop();
    heals(&pipeline, consumer);
    finish(run, &pipeline, &FLAGS, &[]);
}

/// Java's hash of a text, as Kafka places groups and transactional ids by it.
fn place(text: &str, partitions: u32) -> u32 {
    let step = |hash: u32, unit: u16| hash.wrapping_mul(31).wrapping_add(u32::from(unit));
    (text.encode_utf16().fold(0, step) & 0x7fff_ffff) % partitions
}

fn coordinators_move(run: &mut Run) {
    /// Partitions of both internal topics, as the stack makes them.
    const INTERNAL_PARTITIONS: u32 = 4;
    let mut cluster = Cluster::three_brokers(&[SESSION]);
    let pipeline = cluster.pipeline(3);
    let feed = Feed::start(&pipeline, run.seed(), "300/s");
    let consumer = Process::consumer(&pipeline, &[&FLAGS[..], &["--lanes", "1"]].concat());
    moves(&pipeline, AGAIN_MAX);
    let transactions = format!("{}-one-0", pipeline.group);
    let cases =
        [("__consumer_offsets", pipeline.group.clone()), ("__transaction_state", transactions)];
    for (topic, id) in &cases[..run.pick(1, 2)] {
        let partition = place(id, INTERNAL_PARTITIONS).cast_signed();
        let broker = pipeline.leader(topic, partition).expect("all brokers are there");
        run.step(format!("killing broker {broker}, which coordinates by {topic}"));
        cluster.kafka().broker_mut(broker).kill_9();
        let killed = Instant::now();
        moves(&pipeline, AGAIN_MAX);
        run.figure_time(
            format!("commit after the coordinator of {topic} was killed"),
            killed.elapsed(),
        );
        cluster.kafka().start_again().expect("the broker starts again");
    }
    feed.stop();
    let ended = heals(&pipeline, consumer);
    if ended.stderr.contains("no answer to the offsets in time") {
        run.step("librdkafka was stuck in a call with offsets, and was left behind");
    }
    finish(run, &pipeline, &[&FLAGS[..], &["--lanes", "1"]].concat(), &[]);
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn texts_hash_as_in_java() {
        assert_eq!(place("hello", u32::MAX), 99_162_322);
        assert_eq!(place("polygenelubricants", u32::MAX), 0, "its hash is the lowest number");
    }
}
