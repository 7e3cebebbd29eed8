//! Brokers that go, move and freeze in the middle of a transaction.

use testkit::proxy::{Api, Caught, Trap};
use testkit::{Cluster, Pipeline, lone_broker, machine, wait};

use super::{LIMIT, Rig};

/// Nothing is replicated, and a frozen broker keeps what it leads.
const UNREPLICATED: [&str; 7] = [
    "default.replication.factor=1",
    "min.insync.replicas=1",
    "offsets.topic.replication.factor=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "broker.session.timeout.ms=90000",
    "transaction.max.timeout.ms=60000",
];

/// Keeps the requests of a kind at whichever broker.
fn keep(rig: &Rig, api: Api) -> Vec<Caught> {
    rig.proxies.iter().map(|proxy| proxy.trap(api, Trap::Keep)).collect()
}

/// Waits until as many were caught in all, and returns where the last was caught, from 0.
fn wait_caught(traps: &[Caught], count: u64) -> usize {
    wait::until("a request being caught", LIMIT, || {
        let caught: u64 = traps.iter().map(Caught::count).sum();
        let at = traps.iter().position(|trap| trap.count() > 0);
        at.filter(|_| caught >= count)
    })
}

#[test]
fn a_broker_that_restarts_between_produce_and_commit_loses_and_doubles_nothing() {
    let _machine = machine::shared();
    lone_broker::play(restart_between_produce_and_commit);
}

fn restart_between_produce_and_commit() {
    let mut rig = Rig::one_broker(&["broker.session.timeout.ms=6000"]);
    let mut consumer = rig.consumer(&[]);
    consumer.wait_ready(LIMIT);
    rig.send();
    let offsets = rig.proxy().trap(Api::TxnOffsetCommit, Trap::Keep);
    rig.send();
    offsets.wait(LIMIT);
    assert!(rig.pipeline.ends(&rig.pipeline.averages).iter().sum::<i64>() > 0, "it has produced");
    rig.cluster.kill_kafka();
    drop(offsets);
    rig.cluster.restart_kafka();
    lone_broker::expect_markers(rig.cluster.kafka());
    consumer.wait_for_log("outcome unknown", LIMIT);
    rig.finish(consumer);
}

#[test]
fn a_coordinator_that_moves_within_a_transaction_loses_and_doubles_nothing() {
    let _machine = machine::shared();
    let (cluster, proxies) = Cluster::three_behind_proxies(&[]);
    let mut rig = Rig::on(cluster, proxies);
    let mut consumer = rig.consumer(&["--instance-id", "one"]);
    consumer.wait_ready(LIMIT);
    let commits = keep(&rig, Api::EndTxn);
    rig.send();
    let coordinator = wait_caught(&commits, 1);
    rig.cluster.kafka().broker_mut(coordinator + 1).kill_9();
    drop(commits);
    // Answered when the partitions of the killed broker have a new leader.
    rig.pipeline.ends(&rig.pipeline.orders);
    rig.send();
    rig.finish(consumer);
}

/// The offsets are visible while the markers on another leader are not written: averages and
/// retries that are read back must not end before them.
#[test]
fn averages_and_retries_are_read_to_the_marker_of_a_leader_that_was_frozen() {
    let _machine = machine::shared();
    let (cluster, proxies) = Cluster::three_behind_proxies(&UNREPLICATED);
    let mut rig = Rig::on(cluster, proxies);
    let names = ["--instance-id", "first", "-X", "session.timeout.ms=6000"];
    // The retries wait longer than the freeze lasts.
    let mut first = rig.consumer_with_delay("20s", &names);
    first.wait_ready(LIMIT);
    let (offsets, commits) = (keep(&rig, Api::TxnOffsetCommit), keep(&rig, Api::EndTxn));
    rig.send();
    let group_coordinator = wait_caught(&offsets, 1);
    drop(offsets);
    let coordinator = wait_caught(&commits, 1);
    // The first turn may be a small one. The second takes in what was sent meanwhile.
    commits.iter().for_each(Caught::let_go);
    wait_caught(&commits, 2);
    let frozen = (0..3).find(|n| ![group_coordinator, coordinator].contains(n)).expect("of three");
    first.kill_9();
    rig.cluster.kafka().brokers()[frozen].pause();
    drop(commits);
    // Offsets are told when the transaction over them is decided, and not before.
    let committed = rig.pipeline.committed(&rig.pipeline.orders);
    assert!(committed.iter().flatten().sum::<i64>() > 0, "{committed:?}");
    let name = name_with_the_coordinator_of(&rig, "first");
    // It starts, whichever of the brokers it takes for the controller.
    let mut second = rig.consumer(&["--instance-id", &name]);
    let has_partitions = || second.get("/readyz").body.contains("is restoring partitions");
    wait::is_true("an assignment", LIMIT, has_partitions);
    second.wait_for_log("Kafka is unavailable", LIMIT);
    assert_eq!(second.get("/readyz").status, 503);
    rig.cluster.kafka().brokers()[frozen].resume();
    second.wait_ready(LIMIT);
    rig.finish(second);
}

/// Another instance's name whose transactional id has the same coordinator.
fn name_with_the_coordinator_of(rig: &Rig, instance: &str) -> String {
    let partition = |name: &str| coordinating_partition(&rig.pipeline, name);
    let mut names = (2..).map(|n| format!("instance-{n}"));
    names.find(|name| partition(name) == partition(instance)).expect("a quarter of all")
}

/// The partition whose leader coordinates an instance's transactions: as Java's String::hashCode,
/// over the four that the stack makes.
pub(super) fn coordinating_partition(pipeline: &Pipeline, instance: &str) -> i32 {
    let id = format!("{}-{instance}-0", pipeline.group);
    let next = |hash: i32, byte: u8| hash.wrapping_mul(31).wrapping_add(i32::from(byte));
    (id.bytes().fold(0, next).unsigned_abs() % 4).cast_signed()
}
