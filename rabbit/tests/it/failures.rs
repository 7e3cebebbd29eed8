//! Messages that fail: later again, or among the dead letters, and back.

use lapin::BasicProperties;
use lapin::options::QueueDeleteOptions;
use lapin::types::{AMQPValue, FieldTable};
use orders::Order;
use testkit::order_flow::burgers;
use testkit::wait;

use crate::mute::MuteProxy;
use crate::rig::{Rig, SOON, Service};

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

/// What GET /orders/{id} says of status and class, as soon as it has failed.
#[track_caller]
fn failed_with(rig: &Rig, order_id: &str) -> serde_json::Value {
    let path = format!("/orders/{order_id}");
    wait::is_true("the outcome", SOON, || {
        let answer = rig.get(Service::Order, &path);
        answer.status == 200 && answer.json()["status"] == "failed"
    });
    rig.get(Service::Order, &path).json()
}

#[test]
fn whatever_made_a_message_a_dead_letter_its_order_has_failed_with_that_class() {
    let rig = Rig::start(&[]);
    let named = |id: &str| BasicProperties::default().with_message_id(id.into());
    let queue = rig.queue("inventory");
    // Bytes that are no order: all that is known of it is the id of its message.
    rig.publish_with("", &queue, b"\x01not an order", &named("o-bytes"));
    assert_eq!(failed_with(&rig, "o-bytes")["class"], "malformed");
    // An order that breaks a rule: its own id counts, whatever its message is called.
    let order = Order::new("o-rule", " ", 9.5);
    let body = rig.framed("order.placed", &order);
    rig.publish_with("", &queue, &body, &named("another"));
    assert_eq!(failed_with(&rig, "o-rule")["class"], "invalid");
    assert_eq!(rig.get(Service::Order, "/orders/another").status, 404);
    // A message that was handed out and never answered, again and again.
    let mut headers = FieldTable::default();
    headers.insert("x-delivery-count".into(), AMQPValue::LongLongInt(40));
    let body = rig.framed("order.placed", &Order::new("o-crash", "burger", 9.5));
    rig.publish_with("", &queue, &body, &named("o-crash").with_headers(headers));
    let failed = failed_with(&rig, "o-crash");
    assert_eq!((&failed["class"], &failed["reason"]), (&"transient".into(), &"handler".into()));
    wait::is_true("three dead letters", SOON, || rig.depth("inventory.dlq") == 3);
    // A decision that nobody can read.
    rig.publish_with(&rig.prefix, "inventory.decided", b"\x01", &named("o-decision"));
    assert_eq!(failed_with(&rig, "o-decision")["class"], "malformed");
    wait::is_true("a dead letter", SOON, || rig.depth("outcomes.dlq") == 1);
}
