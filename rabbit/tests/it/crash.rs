//! Each service is killed under load; then the clients' book is compared with the final state.

use std::sync::atomic::{AtomicBool, Ordering};

use testkit::Ledger;
use testkit::order_flow::{burgers, under_load, wait_for_more};

use crate::rig::{Rig, SOON, Service};

/// Clients that place orders at the same time.
const CLIENTS: u32 = 4;
/// Orders between two events.
const BETWEEN: usize = 100;

fn check(service: Service) {
    let mut rig = Rig::start(&["--prefetch", "16"]);
    rig.listen();
    let address = rig.address(Service::Order);
    let client = |client: u32, ledger: &Ledger, is_over: &AtomicBool| {
        for n in 0.. {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            let key = format!("c{client}-{n}");
            let headers = [("idempotency-key", key.as_str())];
            let answer = testkit::http::post_json(&address, "/order", &headers, &burgers(1));
            ledger.note_answer(&key, "burger", 1, &answer);
        }
    };
    let ledger = under_load(CLIENTS, client, |ledger| {
        for _ in 0..3 {
            wait_for_more(ledger, BETWEEN, SOON);
            rig.restart(service);
        }
        wait_for_more(ledger, BETWEEN, SOON);
    });
    rig.wait_until_drained(&ledger);
    rig.audit(&ledger);
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
