//! Requests to the transaction coordinator that are lost, late, or without an answer.

use testkit::proxy::{Answer, Api, Caught, Trap};
use testkit::{Process, machine, wait};

use super::{LIMIT, Rig};

/// What a broker answers to a producer whose time is over: `INVALID_PRODUCER_EPOCH` or
/// `PRODUCER_FENCED`.
const FENCED: [i16; 2] = [47, 90];

/// Scenes that are played at most until the machine is fast enough for one.
const SCENES_MAX: u32 = 4;

/// A ready consumer, whose next commit is caught.
fn caught(rig: &mut Rig, trap: Trap) -> (Process, Caught) {
    let mut consumer = rig.consumer(&[]);
    consumer.wait_ready(LIMIT);
    let caught = rig.proxy().trap(Api::EndTxn, trap);
    rig.send();
    caught.wait(LIMIT);
    (consumer, caught)
}

/// Brings the caught commit to the broker while the next transaction is open, and returns the
/// answer.
fn deliver_into_the_next_transaction(rig: &mut Rig, caught: &Caught) -> Answer {
    let next = rig.proxy().trap(Api::EndTxn, Trap::Keep);
    rig.send();
    next.wait(LIMIT);
    caught.deliver()
}

#[test]
fn a_coordinator_connection_lost_while_commit_returns_ok_gets_a_new_producer_and_state() {
    let _machine = machine::shared();
    let mut rig = Rig::one_broker(&[]);
    let (mut consumer, caught) = caught(&mut rig, Trap::KeepAndCut);
    // librdkafka sends it again, and that one is answered.
    wait::is_true("everything being settled", LIMIT, || rig.pipeline.lag() == 0);
    // An old producer that went on would now have half of its transaction committed.
    let answer = deliver_into_the_next_transaction(&mut rig, &caught);
    assert!(FENCED.contains(&answer.error_code()), "{answer:?}");
    consumer
        .wait_for_log("the connection to the coordinator was lost during the transaction", LIMIT);
    rig.finish(consumer);
}

#[test]
fn a_commit_whose_answer_is_lost_was_committed_and_is_not_done_again() {
    let _machine = machine::shared();
    for _ in 0..SCENES_MAX {
        let mut rig = Rig::one_broker(&[]);
        let (mut consumer, _muted) = caught(&mut rig, Trap::Mute);
        let orders = rig.pipeline.orders.clone();
        let settled = || rig.pipeline.committed(&orders).into_iter().flatten().sum::<i64>();
        wait::is_true("the broker having committed it", LIMIT, || settled() > 0);
        if consumer.log().contains("outcome unknown") {
            // It may have done it again before the test looked: this scene shows nothing.
            continue;
        }
        consumer.wait_for_log("outcome unknown", LIMIT);
        return rig.finish(consumer);
    }
    panic!("the consumer gave the answer up before the test looked, in {SCENES_MAX} scenes");
}

#[test]
fn a_commit_that_arrives_after_its_timeout_was_done_again_and_is_fenced() {
    let _machine = machine::shared();
    let mut rig = Rig::one_broker(&[]);
    let (mut consumer, late) = caught(&mut rig, Trap::KeepSilent);
    let before = rig.proxy().seen(Api::InitProducerId);
    consumer.wait_for_log("outcome unknown", LIMIT);
    wait::is_true("a new producer", LIMIT, || rig.proxy().seen(Api::InitProducerId) > before);
    // The broker has dropped what the old one wrote, and the turn was done again.
    wait::is_true("everything being settled", LIMIT, || rig.pipeline.lag() == 0);
    let answer = deliver_into_the_next_transaction(&mut rig, &late);
    assert!(FENCED.contains(&answer.error_code()), "{answer:?}");
    rig.finish(consumer);
}
