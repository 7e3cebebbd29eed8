//! Messages that fail: later again, or among the dead letters, and back.

use std::time::{Duration, Instant};

use lapin::BasicProperties;
use lapin::options::QueueDeleteOptions;
use lapin::types::{AMQPValue, FieldTable};
use testkit::order_flow::burgers;
use testkit::wait;

use crate::mute::MuteProxy;
use crate::rig::{Rig, SOON, Service};

#[test]
fn a_malformed_message_is_a_dead_letter_and_others_go_on() {
    let rig = Rig::start(&[]);
    rig.publish(&rig.prefix, "order.placed", b"\x01not an order");
    assert_eq!(rig.post("k1", &burgers(1)).unwrap().status, 202);
    wait::is_true("the outcome", SOON, || rig.status("k1").as_deref() == Some("confirmed"));
    wait::is_true("a dead letter", SOON, || rig.depth("inventory.dlq") == 1);
    let dead = rig.take_all("inventory.dlq").remove(0);
    assert_eq!(dead.body, b"\x01not an order");
    for (name, value) in [
        ("x-failure-class", "malformed"),
        ("x-failure-reason", "bad-magic"),
        ("x-attempt", "1"),
        ("x-origin-topic", rig.queue("inventory").as_str()),
    ] {
        assert_eq!(dead.header(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn a_dead_letter_does_not_ask_the_broker_for_what_its_message_asked() {
    let rig = Rig::start(&[]);
    let copies = AMQPValue::FieldArray(vec![long(&rig.queue("notifications"))].into());
    let mut headers = FieldTable::default();
    headers.insert("CC".into(), copies);
    headers.insert("x-request-id".into(), long(&"r".repeat(300)));
    headers.insert("x-of-mine".into(), long("kept"));
    let asks = BasicProperties::default()
        .with_headers(headers)
        .with_expiration("600000".into())
        .with_message_id("m-1".into())
        .with_user_id("guest".into());
    rig.publish_with("", &rig.queue("inventory"), b"\x01not an order", &asks);
    wait::is_true("a dead letter", SOON, || rig.depth("inventory.dlq") == 1);
    let dead = rig.take_all("inventory.dlq").remove(0);
    assert_eq!(dead.properties.message_id().as_ref().map(|id| id.as_str()), Some("m-1"));
    assert_eq!(dead.header("x-of-mine").as_deref(), Some("kept"));
    assert!(dead.properties.expiration().is_none() && dead.properties.user_id().is_none());
    let headers = dead.properties.headers().as_ref().expect("its lineage");
    assert!(!headers.contains_key("CC"), "{headers:?}");
}

fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

#[test]
fn a_failed_attempt_comes_back_after_its_delay_and_not_before() {
    let rig =
        Rig::start(&["--simulate-failures", "1", "--retry-delay", "1s,2s", "--max-retries", "2"]);
    let start = Instant::now();
    assert_eq!(rig.post("k1", &burgers(1)).unwrap().status, 202);
    wait::is_true("a dead letter", SOON, || rig.depth("inventory.dlq") == 1);
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_secs(3), "both delays in {elapsed:?}");
    assert!(elapsed < Duration::from_secs(12), "both delays in {elapsed:?}");
    let dead = rig.take_all("inventory.dlq").remove(0);
    assert_eq!(dead.header("x-attempt").as_deref(), Some("3"));
    assert_eq!(dead.header("x-failure-reason").as_deref(), Some("simulated"));
    assert_eq!(rig.reserved("burger"), 0);
}

#[test]
fn dead_letters_are_listed_by_cause_and_redriven_on_request() {
    let mut rig =
        Rig::start(&["--simulate-failures", "1", "--retry-delay", "100ms", "--max-retries", "0"]);
    for n in 0..5 {
        assert_eq!(rig.post(&format!("k{n}"), &burgers(1)).unwrap().status, 202);
    }
    rig.publish(&rig.prefix, "order.placed", b"");
    wait::is_true("dead letters", SOON, || rig.depth("inventory.dlq") == 6);

    let groups = rig.command(&["dlq", "list", "-o", "json"]).stats();
    let mut found: Vec<(String, u64)> = groups
        .as_array()
        .unwrap()
        .iter()
        .map(|g| (g["reason"].as_str().unwrap().to_owned(), g["count"].as_u64().unwrap()))
        .collect();
    found.sort();
    assert_eq!(found, [("simulated".to_owned(), 5), ("too-short".to_owned(), 1)]);

    let preview = rig.command(&["dlq", "redrive", "--reason", "simulated"]);
    assert!(preview.stdout.contains("5 dead letters would be sent back"), "{}", preview.stdout);
    wait::is_true("nothing was taken", SOON, || rig.depth("inventory.dlq") == 6);

    rig.process(Service::Inventory).kill_9();
    let done = rig.command(&["dlq", "redrive", "--reason", "simulated", "--execute", "-o", "json"]);
    assert_eq!(done.expect_code(0).stats()["redrive"]["count"], 5);
    wait::is_true("the other one stays", SOON, || rig.depth("inventory.dlq") == 1);
    let back = rig.take_all("inventory");
    assert_eq!(back.len(), 5);
    for message in back {
        assert_eq!(message.header("x-redrive-count").as_deref(), Some("1"));
        assert_eq!(message.header("x-attempt"), None);
        assert_eq!(message.header("x-origin-topic"), Some(rig.queue("inventory")));
    }
}

#[test]
fn a_message_is_acknowledged_only_when_its_dead_letter_is_confirmed() {
    let proxy = MuteProxy::start(&Rig::shared_broker());
    let mut rig = Rig::start_through(proxy.address(), &[]);
    proxy.mute_for_good();
    rig.publish(&rig.prefix, "order.placed", b"nothing");
    wait::is_true("a dead letter", SOON, || rig.depth("inventory.dlq") > 0);
    // It lies there, and inventory has not been told.
    rig.process(Service::Inventory).kill_9();
    wait::is_true("the message is back", SOON, || rig.depth("inventory") == 1);
}

#[test]
fn a_dead_letter_whose_queue_is_gone_is_kept_until_the_queue_is_there_again() {
    let rig = Rig::start(&[]);
    let queue = rig.queue("inventory.dlq");
    rig.amqp(async |channel| {
        let options = QueueDeleteOptions::default();
        channel.queue_delete(queue.as_str().into(), options).await.map(|_| ())
    });
    rig.publish(&rig.prefix, "order.placed", b"nothing");
    wait::is_true("a dead letter", SOON, || rig.depth_if_any("inventory.dlq") == Some(1));
    assert_eq!(rig.take_all("inventory.dlq").remove(0).body, b"nothing");
    assert_eq!(rig.post("k1", &burgers(1)).unwrap().status, 202);
    wait::is_true("the outcome", SOON, || rig.status("k1").as_deref() == Some("confirmed"));
}

#[test]
fn dead_letters_are_limited_filtered_and_redriven_so_often() {
    let rig = Rig::start(&["--simulate-failures", "1", "--max-retries", "0"]);
    for n in 0..3 {
        assert_eq!(rig.post(&format!("k{n}"), &burgers(1)).unwrap().status, 202);
    }
    wait::is_true("dead letters", SOON, || rig.depth("inventory.dlq") == 3);
    let count = |args: &[&str]| {
        let listed = rig.command(&[&["dlq", "list", "-o", "json"], args].concat());
        listed
            .expect_code(0)
            .stats()
            .as_array()
            .unwrap()
            .iter()
            .map(|g| g["count"].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(count(&[]), 3);
    assert_eq!(count(&["--limit", "2"]), 2);
    assert_eq!(count(&["--queue", "notification"]), 0);
    assert_eq!(count(&["--class", "malformed"]), 0);
    assert_eq!(count(&["--message-id", &testkit::order_flow::order_id_of("k1")]), 1);

    let redrive = ["dlq", "redrive", "--execute", "--max-redrives", "1", "-o", "json"];
    let done = rig.command(&redrive);
    assert_eq!(done.expect_code(0).stats()["redrive"]["count"], 3);
    wait::is_true("they fail again", SOON, || rig.depth("inventory.dlq") == 3);
    let spared = rig.command(&redrive);
    assert_eq!(spared.expect_code(3).stats()["redrive"]["spared"], 3);
    wait::is_true("they stay", SOON, || rig.depth("inventory.dlq") == 3);
}
