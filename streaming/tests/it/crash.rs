//! Each service is killed under load; then the clients' book is compared with the log.

use std::sync::atomic::{AtomicBool, Ordering};

use testkit::ledger::{Ledger, Verdict};
use testkit::order_flow::burgers;
use testkit::{order_flow, wait};

use crate::rig::{Rig, SOON, Service};

/// Clients that place orders at the same time, one by one and in batches.
const CLIENTS: u32 = 4;
/// Orders of a batch.
const BATCH: usize = 50;
/// Orders between two events.
const BETWEEN: usize = 300;

/// Notes what a batch came to, item by item.
fn note_batch(ledger: &Ledger, key: &str, answer: &std::io::Result<testkit::HttpAnswer>) {
    let body = answer.as_ref().ok().and_then(|answer| serde_json::from_str(&answer.body).ok());
    let body: serde_json::Value = body.unwrap_or_default();
    for n in 0..BATCH {
        let verdict = match body["results"][n]["status"].as_str() {
            Some("accepted") => Verdict::Accepted,
            Some("rejected") => Verdict::Rejected,
            _ => Verdict::Unknown,
        };
        ledger.note(&format!("{key}#{n}"), "burger", 1, verdict);
    }
}

/// Places orders until it is over. An order that got no clear answer is tried once more, when the
/// service says that it is ready.
fn load(address: &str, client: u32, ledger: &Ledger, is_over: &AtomicBool) {
    let lines: String = (0..BATCH).map(|_| burgers(1) + "\n").collect();
    for n in 0.. {
        let key = format!("c{client}-{n}");
        let headers = [("idempotency-key", key.as_str()), ("content-type", "application/x-ndjson")];
        for _ in 0..2 {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            let (answer, verdict) = if client.is_multiple_of(2) {
                let bytes = lines.as_bytes();
                let answer = testkit::http::request(address, "POST", "/orders", &headers, bytes);
                let verdict = Verdict::of(&answer);
                note_batch(ledger, &key, &answer);
                (answer, verdict)
            } else {
                let answer =
                    testkit::http::post_json(address, "/order", &headers[..1], &burgers(1));
                let verdict = ledger.note_answer(&key, "burger", 1, &answer);
                (answer, verdict)
            };
            if verdict == Verdict::Accepted {
                break;
            }
            assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status >= 207));
            wait::is_true("being ready, or the end", SOON, || {
                let ready = testkit::http::get(address, "/readyz");
                is_over.load(Ordering::Relaxed) || ready.is_ok_and(|ready| ready.status == 200)
            });
        }
    }
}

/// Runs `events` while clients place orders, and then the audit.
pub(crate) fn under_load(rig: &mut Rig, events: impl FnOnce(&mut Rig, &dyn Fn())) -> Ledger {
    let address = rig.address(Service::Order);
    let client = |client: u32, ledger: &Ledger, is_over: &AtomicBool| {
        load(&address, client, ledger, is_over);
    };
    let ledger = order_flow::under_load(CLIENTS, client, |ledger| {
        events(rig, &|| order_flow::wait_for_more(ledger, BETWEEN, SOON));
    });
    rig.audit(&ledger);
    ledger
}

fn check(service: Service) {
    let services = [Service::Inventory, Service::Notification, Service::Order];
    let mut rig = Rig::start(&services, &["--instance-id", "i"]);
    under_load(&mut rig, |rig, more_orders| {
        for _ in 0..3 {
            more_orders();
            rig.restart(service);
        }
        more_orders();
    });
}

#[test]
fn inventory_is_killed_under_load_and_the_books_are_right() {
    check(Service::Inventory);
}

#[test]
fn notification_is_killed_under_load_and_the_books_are_right() {
    check(Service::Notification);
}

#[test]
fn order_is_killed_under_load_and_the_books_are_right() {
    check(Service::Order);
}
