//! Records that cannot be decided about, and attempts that fail.

use orders::Order;
use testkit::ledger::{Ledger, Verdict};
use testkit::order_flow::burgers;
use testkit::{Input, wait};

use crate::rig::{Rig, SOON, Service};

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

    // An order that breaks a rule of the wire has failed with the class of its dead letter, also for the next process.
    let failed = |rig: &Rig| rig.get(Service::Order, "/orders/o-1").json();
    wait::is_true("the outcome", SOON, || failed(&rig)["class"] == "invalid");
    rig.restart(Service::Order);
    let order = failed(&rig);
    assert_eq!((&order["status"], &order["reason"]), (&"failed".into(), &"negative-price".into()));

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
