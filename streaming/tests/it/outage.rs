//! Kafka is away: nobody hangs, nobody is told what is not so, and all goes on when it is back.

use std::time::{Duration, Instant};

use testkit::order_flow::{burgers, problem};
use testkit::{Cluster, wait};

use crate::rig::{Rig, SOON, Service};

/// Longest time that an order may take when Kafka is away.
const ANSWER_MAX: Duration = Duration::from_secs(10);

#[test]
fn an_order_that_a_frozen_kafka_does_not_acknowledge_is_unknown_within_a_bound() {
    let mut rig = Rig::on(Cluster::own_kafka(&[]));
    rig.start_services(&Service::FLOW, &[]);
    assert_eq!(rig.post("before", &burgers(1)).unwrap().status, 202);
    rig.wait_until_drained();
    rig.cluster.pause_kafka();
    let begun = Instant::now();
    let answer = rig.post("k1", &burgers(1)).unwrap();
    assert!(begun.elapsed() < ANSWER_MAX, "{:?}", begun.elapsed());
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert_eq!(problem(&answer), "kafka-unacknowledged");
    assert_eq!(answer.json()["outcome"], "unknown");
    rig.cluster.resume_kafka();
    // The client's retry settles it, and is decided once, whatever became of the first try.
    let accepted = wait::until("being accepted", SOON, || {
        let answer = rig.post("k1", &burgers(1)).unwrap();
        (answer.status != 503).then_some(answer)
    });
    // 200 where the first try is decided already.
    assert!(matches!(accepted.status, 200 | 202), "{accepted:?}");
    rig.wait_for_status("k1", "confirmed");
    rig.wait_until_drained();
    assert!(rig.decisions().values().all(|results| results.len() == 1));
}
