//! A member comes and goes on librdkafka's mock cluster: its side of the group protocol is real.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;

use super::Member;
use crate::mock::MockKafka;

const LIMIT: Duration = Duration::from_secs(60);
/// Members at a time: more than processors, so that each step of one may come late.
const THREADS: u64 = 32;
const ROUNDS: u64 = 8;

#[test]
fn a_member_may_leave_at_any_moment_of_its_joining() {
    let kafka = MockKafka::start(1).expect("a mock cluster");
    kafka.create_topic("orders", 4).expect("a new topic");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap_servers());
    let (left, all_left) = mpsc::channel();
    for number in 0..THREADS {
        let (config, left) = (config.clone(), left.clone());
        thread::spawn(move || {
            for round in 0..ROUNDS {
                let delay = Duration::from_micros(100 * (round + number));
                come_and_go(&config, &format!("group-{number}-{round}"), delay);
            }
            left.send(()).expect("it is awaited");
        });
    }
    let give_up_at = Instant::now() + LIMIT;
    for _ in 0..THREADS {
        let rest = give_up_at.saturating_duration_since(Instant::now());
        all_left.recv_timeout(rest).expect("each member left");
    }
}

/// Joins, and leaves so long after the group has answered: while it shares out its partitions.
fn come_and_go(config: &ClientConfig, group: &str, delay: Duration) {
    let member = Member::join(config, group, None, "orders").expect("good settings");
    let give_up_at = Instant::now() + LIMIT;
    while member.membership().generation < 0 {
        assert!(Instant::now() < give_up_at, "no generation within {LIMIT:?}");
    }
    thread::sleep(delay);
    member.leave();
}
