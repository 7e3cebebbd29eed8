//! What clients and readers of the topics see when all is well.

use std::time::{Duration, Instant};

use order_schemas::Notification;
use orders::Order;
use testkit::order_flow::{burgers, of, order_id_of, problem};
use testkit::{Input, http, wait};

use crate::rig::{Rig, SOON, Service, decode_all};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn an_order_is_accepted_then_decided_then_told_in_one_trace() {
    let services = [Service::Inventory, Service::Notification, Service::Order];
    let mut rig = Rig::start(&services, &[]);
    let headers = [("idempotency-key", "k1"), ("traceparent", TRACE), ("x-request-id", "r-1")];
    let address = rig.address(Service::Order);
    let answer = http::post_json(&address, "/order", &headers, &burgers(2)).unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    let location = format!("/orders/{}", order_id_of("k1"));
    assert_eq!(answer.header("location"), Some(location.as_str()));
    rig.wait_for_status("k1", "confirmed");
    let told = wait::until("the message", SOON, || {
        let records = rig.records("notification-events");
        (!records.is_empty()).then_some(records)
    });
    assert_eq!(decode_all::<Notification>(&told)[0].order_id, order_id_of("k1"));

    let mut spans = vec![TRACE.to_owned()];
    for topic in ["order-events", "inventory-events", "notification-events"] {
        let records = rig.records(topic);
        assert_eq!(records.len(), 1, "{topic}");
        assert_eq!(records[0].header_text("x-request-id"), "r-1");
        let span = records[0].header_text("traceparent").to_owned();
        assert!(span.contains("0af7651916cd43dd8448eb211c80319c"), "{span}");
        assert!(!spans.contains(&span), "each step is a span of its own: {span}");
        spans.push(span);
    }
    let metric = |sample: &str| rig.metric(Service::Order, sample).unwrap_or(0.0);
    assert_eq!(metric("orders_accepted_total"), 1.0);
    assert_eq!(metric("order_accept_seconds_count"), 1.0);
    assert_eq!(metric("order_outcome_seconds_count{outcome=\"confirmed\"}"), 1.0);
    assert_eq!(metric("order_outcomes_total{outcome=\"confirmed\"}"), 1.0);
    // At its end each service prints what it did, and nothing else.
    let order = rig.stop(Service::Order).stdout;
    assert!(order.starts_with("OUTCOME    ORDERS\nconfirmed       1\n"), "{order}");
    assert!(order.contains("\nretries 0, dead letters 0\nup for "), "{order}");
    let inventory = rig.stop(Service::Inventory).stdout;
    assert!(inventory.starts_with("RESULT     COUNT\nsucceeded      1\n\n"), "{inventory}");
}

#[test]
fn an_injected_delay_makes_the_message_late_and_not_the_answer() {
    let mut rig = Rig::start(&[Service::Order, Service::Inventory], &[]);
    rig.start_services(&[Service::Notification], &["--notification-delay", "2s"]);
    let start = Instant::now();
    assert_eq!(rig.post("k1", &burgers(1)).unwrap().status, 202);
    rig.wait_for_status("k1", "confirmed");
    wait::is_true("the message", SOON, || !rig.records("notification-events").is_empty());
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_client_that_comes_again_with_its_key_gets_the_same_order() {
    let rig = Rig::start(&Service::FLOW, &[]);
    assert_eq!(rig.post("k1", &burgers(3)).unwrap().status, 202);
    let again = rig.post("k1", &burgers(3)).unwrap();
    assert_eq!(again.header("idempotent-replayed"), Some("true"), "{again:?}");
    let other = rig.post("k1", &burgers(4)).unwrap();
    assert_eq!((other.status, problem(&other).as_str()), (422, "key-reused"));
    assert_eq!(rig.post("k2", &of("gold", 1)).unwrap().status, 422);
    let metric = |sample: &str| rig.metric(Service::Order, sample).unwrap_or(0.0);
    assert_eq!(metric("orders_replayed_total"), 1.0);
    assert_eq!(metric("orders_rejected_total{reason=\"unknown-item\"}"), 1.0);
    rig.wait_until_drained();
    assert_eq!(rig.records("order-events").len(), 1);
}

#[test]
fn the_same_order_in_the_log_again_is_decided_once_also_after_a_restart() {
    let mut rig = Rig::start(&Service::FLOW, &["--instance-id", "i"]);
    assert_eq!(rig.post("k1", &burgers(3)).unwrap().status, 202);
    rig.wait_for_status("k1", "confirmed");
    let first = rig.records("order-events").remove(0);
    let copy = Input::new(first.partition, first.key.as_deref(), first.value.as_deref());
    let topic = rig.name("order-events");
    rig.inventory.send(&topic, &[copy.clone(), copy.clone()]);
    rig.wait_until_drained();
    rig.restart(Service::Inventory);
    rig.inventory.send(&topic, &[copy]);
    rig.wait_until_drained();
    let decisions = rig.decisions();
    assert_eq!((decisions.len(), decisions[&order_id_of("k1")].len()), (1, 1));
    wait::is_true("the stock", SOON, || rig.reserved("burger") == 3);
}

#[test]
fn a_stock_is_given_away_to_the_piece_and_no_further() {
    let rig = Rig::start(&Service::FLOW, &["--lanes", "3"]);
    for n in 0..10 {
        assert_eq!(rig.post(&format!("k{n}"), &of("few", 1)).unwrap().status, 202);
    }
    rig.wait_until_drained();
    for n in 0..10 {
        rig.wait_for_status(&format!("k{n}"), if n < 3 { "confirmed" } else { "failed" });
    }
    let refused = rig.post("gold", &of("gold", 1)).unwrap();
    assert_eq!((refused.status, problem(&refused).as_str()), (422, "unknown-item"));
}

#[test]
fn orders_are_refused_on_request_by_the_published_formula() {
    let rig = Rig::start(&Service::FLOW, &["--inventory-failure-rate", "0.5"]);
    let lines: String = (0..200).map(|_| burgers(1) + "\n").collect();
    assert_eq!(rig.post_lines("k", &lines).unwrap().status, 202);
    rig.wait_until_drained();
    let decisions = rig.decisions();
    assert_eq!(decisions.len(), 200);
    let mut refused = 0;
    for (order_id, results) in &decisions {
        let is_refused = testkit::oracle::fails(order_id, 1, 42, 0.5);
        refused += usize::from(is_refused);
        let expected = is_refused.then_some("simulated");
        assert_eq!(results[0].reason.as_deref(), expected, "{order_id}");
    }
    assert!((50..150).contains(&refused), "{refused}");
}

#[test]
fn a_framed_order_keeps_its_own_id() {
    let rig = Rig::start(&Service::FLOW, &[]);
    let order = Order { user_id: Some("u1".into()), ..Order::new("own-1", "burger", 8.5) };
    let body = rig.inventory.orders_v2().encode(&order);
    let headers = [("content-type", "avro/binary")];
    let address = rig.address(Service::Order);
    let answer = http::request(&address, "POST", "/order", &headers, &body).unwrap();
    assert_eq!((answer.status, answer.header("location")), (202, Some("/orders/own-1")));
    wait::is_true("the outcome", SOON, || {
        rig.get(Service::Order, "/orders/own-1").json()["status"] == "confirmed"
    });
}
