//! The example on real servers, as its page has it: payments are sent, charged, retried and dead-lettered.

use std::time::Duration;

use testkit::cluster::Cluster;
use testkit::{Process, machine};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn payments_are_charged_in_the_order_of_their_key_and_a_negative_one_is_a_dead_letter() {
    let _machine = machine::shared();
    let topics = Cluster::shared().pipeline(1);
    let variables = [
        ("TOPIC", topics.orders.as_str()),
        ("KAFKA_BOOTSTRAP_SERVERS", &topics.servers.bootstrap_servers),
        ("SCHEMA_REGISTRY_URL", &topics.servers.registry_url),
    ];
    let run = |program, args: &[&str]| {
        let finished = Process::start(program, args, &variables).wait(LIMIT);
        finished.expect_code(0);
        finished
    };
    run("send", &[]);
    let charged = run("payments", &["--exit-at-end"]);
    assert!(charged.stderr.contains("3 charged, 1 dead letters"), "{}", charged.stderr);
    let lines: Vec<&str> = charged.stdout.lines().collect();
    let id = |offset| format!("{}/0/{offset}", topics.orders);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines.contains(&format!("ada-1 500 {} attempt=1", id(0)).as_str()), "{lines:?}");
    // The second payment of bob waited for the first one, which found the bank busy.
    let of_bob: Vec<&&str> = lines.iter().filter(|line| line.starts_with("bob")).collect();
    let first = format!("bob-7 800 {} attempt=2", id(1));
    let second = format!("bob-2 900 {} attempt=1", id(2));
    assert_eq!(of_bob, [&first.as_str(), &second.as_str()]);
    let letters = topics.records(&format!("{}-dlq", topics.orders));
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].origin(), (0, 3));
    assert_eq!(letters[0].header_text("x-failure-class"), "refused");
    assert_eq!(letters[0].header_text("x-failure-reason"), "negative-amount");
    assert_eq!(letters[0].header_text("x-failure-detail"), "-300 cents");
}
