//! Services that are slow, refuse on request, are away, or stop.

use std::time::{Duration, Instant};

use super::client::SOON;
use super::flow::{Flow, Service};
use crate::order_flow::{burgers, of, order_id_of, problem};
use crate::{http, oracle, wait};

/// Flags of trouble on request.
pub(super) const ARGS: &[&str] = &[
    "--inventory-delay",
    "2s",
    "--notification-delay",
    "500ms",
    "--inventory-failure-rate",
    "0.5",
    "--failure-seed",
    "7",
];

/// The delays that they set.
const INVENTORY_DELAY: Duration = Duration::from_secs(2);
const NOTIFICATION_DELAY: Duration = Duration::from_millis(500);
/// Longest stop of a service.
const STOP_MAX: Duration = Duration::from_secs(12); // 10 s by the contract, on a busy machine
/// Orders that are placed at a time.
const MANY: usize = 20;

/// Whether these flags refuse an order.
fn is_refused(order_id: &str) -> bool {
    oracle::fails(order_id, 1, 7, 0.5)
}

/// A key whose order is not refused.
fn lucky_key(name: &str) -> String {
    let mut keys = (0..).map(|n| format!("{name}-{n}"));
    keys.find(|key| !is_refused(&order_id_of(key))).expect("half of them are lucky")
}

pub(super) fn slow_answer(flow: &mut dyn Flow) {
    let began_at = Instant::now();
    flow.place(&lucky_key("slow"), &burgers(1));
    let elapsed = began_at.elapsed();
    assert!(elapsed >= INVENTORY_DELAY + NOTIFICATION_DELAY, "{elapsed:?}");
}

pub(super) fn slow_outcome(flow: &mut dyn Flow) {
    let began_at = Instant::now();
    let id = flow.place(&lucky_key("slow"), &burgers(1));
    let elapsed = began_at.elapsed();
    assert!(elapsed < INVENTORY_DELAY, "accepted after {elapsed:?}");
    assert_eq!(flow.known(&id).expect("it is known")["status"], "pending");
    flow.confirmed(&id);
    assert!(began_at.elapsed() >= INVENTORY_DELAY, "{:?}", began_at.elapsed());
    flow.told_once(&id);
    let elapsed = began_at.elapsed();
    assert!(elapsed >= INVENTORY_DELAY + NOTIFICATION_DELAY, "{elapsed:?}");
}

/// Places many orders at the same time; statuses of the answers, in order.
fn place_many(address: &str, name: &str) -> Vec<u16> {
    std::thread::scope(|scope| {
        let one = |n| {
            scope.spawn(move || {
                let key = format!("{name}-{n}");
                let headers = [("idempotency-key", key.as_str())];
                http::post_json(address, "/order", &headers, &burgers(1)).expect("an answer").status
            })
        };
        let clients: Vec<_> = (0..MANY).map(one).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).collect()
    })
}

pub(super) fn refused_by_the_formula(flow: &mut dyn Flow) {
    let before = flow.reserved_at_rest("burger");
    let accepted = flow.kind().accepted_status();
    let statuses = place_many(&flow.address(Service::Order), "formula");
    let mut refused = 0;
    for (n, status) in statuses.into_iter().enumerate() {
        let id = order_id_of(&format!("formula-{n}"));
        let order = flow.settled(&id);
        let (expected, reason) =
            if is_refused(&id) { ("failed", "simulated".into()) } else { ("confirmed", ().into()) };
        assert_eq!((&order["status"], &order["reason"]), (&expected.into(), &reason), "{id}");
        refused += u64::from(is_refused(&id));
        let is_right = status == accepted || (status == 409 && is_refused(&id));
        assert!(is_right, "{id}: {status}");
    }
    assert!((1..MANY as u64).contains(&refused), "{refused}");
    flow.wait_reserved("burger", before + MANY as u64 - refused);
}

/// The stop comes while inventory works on them.
pub(super) fn stopped(flow: &mut dyn Flow) {
    flow.wait_until_idle();
    let address = flow.address(Service::Order);
    let client = std::thread::spawn(move || place_many(&address, "stopped"));
    wait::is_true("orders under way", SOON, || {
        client.is_finished() || flow.metric(Service::Inventory, IN_FLIGHT) >= MANY as f64
    });
    for service in [Service::Order, Service::Inventory, Service::Notification] {
        let began_at = Instant::now();
        flow.stop(service).expect_code(0);
        assert!(began_at.elapsed() < STOP_MAX, "{service:?}: {:?}", began_at.elapsed());
    }
    let statuses = client.join().expect("a client");
    flow.set_args(&[]);
    for service in Service::ALL {
        flow.start_again(service);
    }
    for (n, status) in statuses.into_iter().enumerate() {
        assert!([200, 202, 409].contains(&status), "it was begun, and is answered: {status}");
        let id = order_id_of(&format!("stopped-{n}"));
        let order = flow.settled(&id);
        assert_eq!(order["status"] == "confirmed", order["reason"].is_null(), "{order}");
    }
}

/// Requests that inventory works on.
const IN_FLIGHT: &str = "http_requests_in_flight{service=\"inventory\"}";

/// The client is told at once that nothing was done, and places the order later.
fn refused_without(flow: &mut dyn Flow, service: Service) {
    let before = flow.reserved_at_rest("burger");
    let key = format!("without-{}", service.name());
    flow.kill_9(service);
    let answer = flow.post(&key, &burgers(3));
    assert_eq!((answer.status, problem(&answer).as_str()), (503, "downstream-away"));
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert_eq!(answer.json()["service"], service.name());
    assert!(answer.json()["outcome"].is_null(), "nothing was done: {answer:?}");
    if service != Service::Inventory {
        flow.wait_reserved("burger", before);
    }
    flow.start_again(service);
    let id = flow.place_when_ready(&key, &burgers(3));
    flow.confirmed(&id);
    flow.told_once(&id);
    flow.wait_reserved("burger", before + 3);
}

pub(super) fn refused_without_inventory(flow: &mut dyn Flow) {
    refused_without(flow, Service::Inventory);
}

pub(super) fn refused_without_notification(flow: &mut dyn Flow) {
    refused_without(flow, Service::Notification);
}

/// Orders are accepted, wait, and are decided when it is back.
pub(super) fn accepted_without_inventory(flow: &mut dyn Flow) {
    let before = flow.reserved_at_rest("burger");
    flow.kill_9(Service::Inventory);
    let place = |n: usize| flow.place(&format!("without-inventory-{n}"), &burgers(1));
    let ids: Vec<String> = (0..MANY).map(place).collect();
    assert_eq!(flow.known(&ids[0]).expect("it is known")["status"], "pending");
    flow.start_again(Service::Inventory);
    for id in &ids {
        flow.confirmed(id);
    }
    flow.wait_reserved("burger", before + MANY as u64);
}

/// Orders are accepted and decided, and customers are told when it is back.
pub(super) fn decided_without_notification(flow: &mut dyn Flow) {
    flow.kill_9(Service::Notification);
    let id = flow.place("without-notification", &of("tea", 1));
    flow.confirmed(&id);
    assert_eq!(flow.told(&id), 0);
    flow.start_again(Service::Notification);
    flow.told_once(&id);
}

pub(super) fn survives_kill_9(flow: &mut dyn Flow) {
    let before = flow.reserved_at_rest("burger");
    let id = flow.place("survives", &burgers(2));
    let known = flow.settled(&id);
    flow.told_once(&id);
    flow.wait_reserved("burger", before + 2);
    for service in Service::ALL {
        flow.kill_9(service);
        flow.start_again(service);
    }
    assert_eq!(flow.settled(&id), known);
    let again = flow.post("survives", &burgers(2));
    assert_eq!(again.status, flow.kind().accepted_status(), "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    flow.wait_reserved("burger", before + 2);
    assert_eq!(flow.told(&id), 1);
}
