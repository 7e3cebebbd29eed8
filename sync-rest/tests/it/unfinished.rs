//! What is left half done is done, without the client and across restarts.

use testkit::order_flow::{burgers, order_id_of, problem};
use testkit::{http, wait};

use crate::rig::{Rig, SOON, Service, order_id};

/// Longest wait for what is tried again after growing waits.
const LATER: std::time::Duration = std::time::Duration::from_secs(90);

#[test]
fn an_order_whose_notification_is_slow_is_pending_and_completed_in_the_end() {
    // Longer than the deadline and than a first try may take.
    let rig = Rig::start(&["--notification-delay", "16s", "--deadline", "1s"]);
    let answer = rig.post_keyed("k", &burgers(2)).expect("an answer");
    assert_eq!((answer.status, &answer.json()["outcome"]), (504, &"unknown".into()));
    let id = order_id_of("k");
    assert_eq!(rig.status_of(&id).as_deref(), Some("pending"), "it may be placed");
    assert_eq!(rig.metric(Service::Order, "sync_orders_seen_to_total{result=\"completed\"}"), 0.0);
    wait::is_true("the completion", LATER, || rig.status_of(&id).as_deref() == Some("confirmed"));
    assert!(rig.is_notified(&id));
    assert_eq!(rig.taken("burger"), 2);
}

#[test]
fn a_completion_goes_on_after_kill_9_of_the_order_service_without_the_client() {
    let mut rig = Rig::start(&["--notification-delay", "60s", "--deadline", "500ms"]);
    let answer = rig.post_keyed("k", &burgers(2)).expect("an answer");
    assert_eq!(answer.status, 504, "{answer:?}");
    rig.kill_9(Service::Notification);
    rig.restart(Service::Order);
    let id = order_id_of("k");
    assert_eq!(rig.status_of(&id).as_deref(), Some("pending"));
    assert!(!rig.is_confirmed(&id));
    rig.set_args(&[]);
    rig.restart(Service::Notification);
    wait::is_true("the completion", LATER, || rig.is_confirmed(&id));
    assert!(rig.is_notified(&id));
    assert_eq!(rig.taken("burger"), 2);
}

#[test]
fn an_order_over_which_the_order_service_was_killed_is_completed_by_the_next_start() {
    let mut rig = Rig::start(&["--notification-delay", "1s"]);
    let (address, body) = (rig.address(Service::Order), burgers(4));
    let client = std::thread::spawn(move || {
        http::post_json(&address, "/order", &[("idempotency-key", "k")], &body)
    });
    wait::is_true("the reservation", SOON, || rig.taken("burger") == 4);
    rig.kill_9(Service::Order);
    assert!(client.join().expect("a client").is_err(), "it was killed under the request");
    rig.restart(Service::Order);
    let id = order_id_of("k");
    wait::is_true("the completion", SOON, || rig.is_confirmed(&id));
    assert!(rig.is_notified(&id));
    let again = rig.post_keyed("k", &burgers(4)).expect("an answer");
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, Some("true")));
    assert_eq!(rig.taken("burger"), 4);
}

#[test]
fn a_release_goes_on_after_kill_9_of_the_order_service() {
    let mut rig = Rig::start(&["--inventory-delay", "60s", "--deadline", "500ms"]);
    let answer = rig.post_keyed("k", &burgers(1)).expect("an answer");
    assert_eq!((answer.status, problem(&answer).as_str()), (504, "deadline-exceeded"));
    rig.kill_9(Service::Inventory);
    rig.restart(Service::Order);
    let unfinished = "sync_orders_unfinished";
    wait::is_true("the note", SOON, || rig.metric(Service::Order, unfinished) == 1.0);
    rig.set_args(&[]);
    rig.restart(Service::Inventory);
    wait::is_true("the release", LATER, || rig.metric(Service::Order, unfinished) == 0.0);
    let id = order_id_of("k");
    assert_eq!(rig.reservation_of(&id).as_deref(), Some("released"));
    assert_eq!((rig.taken("burger"), rig.status_of(&id)), (0, None));
}

#[test]
fn a_retry_after_a_crash_between_reservation_and_stored_outcome_reserves_once() {
    let mut rig = Rig::start(&["--notification-delay", "1s"]);
    let address = rig.address(Service::Order);
    let body = burgers(4);
    let client = std::thread::spawn(move || {
        let headers = [("idempotency-key", "k")];
        http::post_json(&address, "/order", &headers, &body)
    });
    wait::is_true("the reservation", SOON, || rig.taken("burger") == 4);
    rig.kill_9(Service::Order);
    assert!(client.join().expect("a client").is_err(), "it was killed under the request");
    rig.restart(Service::Order);
    let again = rig.post_keyed("k", &burgers(4)).expect("an answer");
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), None, "it had not been stored");
    assert_eq!(rig.taken("burger"), 4);
    assert!(rig.is_notified(&order_id(&again)));
}
