//! Records that cannot be decided about, and attempts that fail.

use order_schemas::Notification;
use orders::Order;
use testkit::ledger::{Ledger, Verdict};
use testkit::order_flow::{burgers, order_id_of};
use testkit::{Input, wait};

use crate::rig::{Rig, SOON, Service, decode_all};

#[test]
fn a_malformed_record_becomes_a_dead_letter_and_the_others_are_decided() {
    let mut rig = Rig::start(&Service::FLOW, &[]);
    rig.start_services(&[Service::Analytics], &[]);
    let topic = rig.name("order-events");
    let trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let broken = Input::new(0, Some(b"burger"), Some(b"no frame"))
        .with_header("traceparent", Some(trace))
        .with_header("x-request-id", Some(b"r-1"));
    let negative = rig.inventory.orders_v2().encode(&Order::new("o-1", "burger", -1.0));
    let negative = Input::new(0, Some(b"burger"), Some(&negative));
    rig.inventory.send(&topic, &[broken, negative, Input::new(1, None, None)]);
    let lines: String = (0..100).map(|_| burgers(1) + "\n").collect();
    assert_eq!(rig.post_lines("k", &lines).unwrap().status, 202);
    rig.wait_until_drained();

    let dead = rig.records("order-events-dlq");
    let reasons: Vec<&str> =
        dead.iter().map(|record| record.header_text("x-failure-reason")).collect();
    assert_eq!(reasons, ["bad-magic", "negative-price", "no-value"]);
    assert_eq!(dead[0].value.as_deref(), Some(&b"no frame"[..]));
    assert_eq!(dead[0].header("traceparent"), Some(&trace[..]));
    assert_eq!(dead[0].header_text("x-request-id"), "r-1");
    assert_eq!(dead[0].header_text("x-origin-topic"), topic);
    assert_eq!(rig.decisions().len(), 100);

    // The same among the decisions: analytics gives it up, and counts the others.
    let decided = rig.name("inventory-events");
    rig.inventory.send(&decided, &[Input::new(0, None, Some(b"no frame"))]);
    wait::is_true("a dead letter of analytics", SOON, || rig.records("analytics-dlq").len() == 1);
    wait::is_true("everything counted", SOON, || {
        rig.get(Service::Analytics, "/analytics").json()["total"] == 100
    });
    assert_eq!(rig.get(Service::Order, "/readyz").status, 200);
}

#[test]
fn an_order_whose_message_became_a_dead_letter_has_failed_with_its_class() {
    let args = ["--simulate-failures", "1", "--max-retries", "0"];
    let mut rig = Rig::start(&Service::FLOW, &args);
    assert_eq!(rig.post("k", &burgers(1)).unwrap().status, 202);
    rig.wait_for_status("k", "failed");
    let told = |rig: &Rig, id: &str| rig.get(Service::Order, &format!("/orders/{id}")).json();
    let dead = told(&rig, &order_id_of("k"));
    assert_eq!((&dead["class"], &dead["reason"]), (&"transient".into(), &"simulated".into()));
    assert_eq!(dead["quantity"], 1, "what was asked for stays known");
    let again = rig.post("k", &burgers(1)).unwrap();
    assert_eq!((again.status, again.header("idempotent-replayed")), (202, Some("true")));

    // Past the front, with a price that no order has.
    let negative = rig.inventory.orders_v2().encode(&Order::new("o-1", "burger", -1.0));
    let input = Input::new(0, Some(b"burger"), Some(&negative));
    rig.inventory.send(&rig.name("order-events"), &[input]);
    wait::is_true("the outcome", SOON, || told(&rig, "o-1")["class"] == "invalid");
    assert_eq!(told(&rig, "o-1")["reason"], "negative-price");
    rig.restart(Service::Order);
    assert_eq!(told(&rig, "o-1")["status"], "failed", "it survives a restart");
}

#[test]
fn a_dead_letter_of_inventory_goes_back_as_those_of_the_consumer_do_and_its_order_is_confirmed() {
    let failing = ["--simulate-failures", "1", "--max-retries", "0"];
    let mut rig = Rig::start(&[Service::Order], &[]);
    rig.start_services(&[Service::Inventory], &failing);
    assert_eq!(rig.post("k", &burgers(2)).unwrap().status, 202);
    rig.wait_for_status("k", "failed");
    rig.stop(Service::Inventory).expect_code(0);
    let (_inventory, _) = rig.start_beside(Service::Inventory, &[]);

    let order_id = order_id_of("k");
    let found = rig.dead_letters("list", &["--order-id", &order_id, "-o", "json"]);
    let found: serde_json::Value = serde_json::from_str(&found).expect("one JSON value");
    assert_eq!(found[0]["class"], "transient", "{found}");
    let group = ["--group-id", &rig.name("inventory"), "--order-id", &order_id, "--execute"];
    rig.dead_letters("redrive", &group);
    rig.wait_for_status("k", "confirmed");
    assert_eq!(rig.decisions().len(), 1);
    rig.dead_letters("redrive", &group);
    rig.wait_until_drained();
    assert_eq!(rig.records("order-events-retry").len(), 1, "the second time sends nothing");
}

#[test]
fn what_the_front_refuses_inventory_refuses_too_and_nobody_is_told_that_it_comes() {
    let services = [Service::Inventory, Service::Notification, Service::Order];
    let rig = Rig::start(&services, &[]);
    let user_id = Some("u1".to_owned());
    let good = Order { user_id, ..Order::new("good", "burger", 1.0) };
    let bad = [("zero", 0), ("minus", -5), ("much", 1_000_001)];
    let mut orders: Vec<Order> = bad
        .map(|(id, quantity)| Order { order_id: id.to_owned(), quantity, ..good.clone() })
        .to_vec();
    let user_id = Some(" ".to_owned());
    orders.push(Order { order_id: "nobody".to_owned(), user_id, ..good.clone() });
    orders.push(good);
    let encoded: Vec<Vec<u8>> =
        orders.iter().map(|order| rig.inventory.orders_v2().encode(order)).collect();
    let inputs: Vec<Input> =
        encoded.iter().map(|value| Input::new(0, Some(b"burger"), Some(value))).collect();
    rig.inventory.send(&rig.name("order-events"), &inputs);
    for order in &orders[..4] {
        wait::is_true("the refusal", SOON, || {
            let told = rig.get(Service::Order, &format!("/orders/{}", order.order_id)).json();
            (&told["status"], &told["reason"]) == (&"failed".into(), &"invalid-order".into())
        });
    }
    wait::is_true("the good one", SOON, || rig.reserved("burger") == 1);
    let told = wait::until("the messages", SOON, || {
        let told = decode_all::<Notification>(&rig.records("notification-events"));
        (told.len() == 5).then_some(told)
    });
    let coming = told.iter().filter(|message| message.text.ends_with("is on its way"));
    assert_eq!(coming.map(|message| message.order_id.as_str()).collect::<Vec<_>>(), ["good"]);
}

#[test]
fn attempts_that_fail_are_made_again_and_an_order_is_decided_once() {
    let args = ["--simulate-failures", "0.3", "--retry-delay", "50ms", "--max-retries", "20"];
    let rig = Rig::start(&Service::FLOW, &args);
    let ledger = Ledger::new();
    let lines: String = (0..500).map(|_| burgers(1) + "\n").collect();
    assert_eq!(rig.post_lines("k", &lines).unwrap().status, 202);
    for n in 0..500 {
        ledger.note(&format!("k#{n}"), "burger", 1, Verdict::Accepted);
    }
    rig.audit(&ledger);
    assert!(rig.records("order-events-retry").len() > 50);
    assert_eq!(rig.records("order-events-dlq").len(), 0);
}
