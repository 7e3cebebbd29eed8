//! Each service is killed under load; then the books are checked: what was accepted was done
//! once, what was rejected was not done, and what is unknown was done whole or not at all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testkit::ledger::{Ended, Final, Ledger, StockEnd, Unknowns, Verdict};
use testkit::order_flow::{burgers, order_id_of};
use testkit::{http, order_flow, wait};

use crate::rig::{Rig, Service, is_described};

/// Clients that place orders at the same time.
const CLIENTS: u32 = 6;
/// Longest wait for what is seen to in the background.
const SETTLED_IN: Duration = Duration::from_secs(60);
/// Answers between two events of a test, so that each meets orders in every state.
const ANSWERS_BETWEEN: usize = 150;

/// Whether clients ask again until they know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clients {
    GiveUp,
    AskTwice,
    AskAgain,
}

impl Clients {
    fn tries_max(self) -> u32 {
        match self {
            Self::GiveUp => 1,
            Self::AskTwice => 2,
            Self::AskAgain => u32::MAX,
        }
    }
}

/// Places orders, one after the other, until it is over.
fn place_orders(ledger: &Ledger, is_over: &AtomicBool, address: &str, name: u32, clients: Clients) {
    for number in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("c{name}-{number}");
        for _ in 0..clients.tries_max() {
            let headers = [("idempotency-key", key.as_str())];
            let answer = http::post_json(address, "/order", &headers, &burgers(1));
            if let Ok(answer) = &answer {
                is_described("/order", "post", answer);
            }
            let verdict = ledger.note_answer(&key, "burger", 1, &answer);
            if verdict == Verdict::Accepted {
                break;
            }
        }
    }
}

/// Runs clients while `events` happens, and returns what they know.
fn under_load(rig: &mut Rig, clients: Clients, events: impl FnOnce(&mut Rig, &Ledger)) -> Ledger {
    let address = rig.address(Service::Order);
    let client = |client: u32, ledger: &Ledger, is_over: &AtomicBool| {
        place_orders(ledger, is_over, &address, client, clients);
    };
    order_flow::under_load(CLIENTS, client, |ledger| events(rig, ledger))
}

/// Waits for so many more orders.
fn go_on(ledger: &Ledger) {
    let before = ledger.len();
    wait::is_true("more answers", SETTLED_IN, || ledger.len() >= before + ANSWERS_BETWEEN);
}

/// Waits for so many more orders that were placed.
fn go_well(ledger: &Ledger) {
    order_flow::wait_for_more(ledger, ANSWERS_BETWEEN, SETTLED_IN);
}

/// What the services know of an order. One that was refused, or released, has no outcome: its
/// client was told that there is none.
fn final_of(rig: &Rig, key: &str) -> Final {
    let id = order_id_of(key);
    let is_reserved = rig.reservation_of(&id).as_deref() == Some("reserved");
    let outcomes = if is_reserved { vec![Ended::Reserved] } else { Vec::new() };
    Final { outcomes, notifications: Some(usize::from(rig.is_notified(&id))) }
}

/// Waits until what is seen to in the background is done, then compares.
fn audit(rig: &Rig, ledger: &Ledger) {
    let unknowns = Unknowns::AreSettled;
    wait::is_true("nothing unfinished", SETTLED_IN, || {
        rig.metric(Service::Order, "sync_orders_unfinished") == 0.0
    });
    let look = || {
        let finals: BTreeMap<String, Final> = ledger
            .entries()
            .into_keys()
            .map(|key| {
                let found = final_of(rig, &key);
                (key, found)
            })
            .collect();
        let (reserved, item) = (rig.taken("burger"), "burger".to_owned());
        (finals, [StockEnd { item, initial: None, reserved, left: None }])
    };
    let give_up_at = Instant::now() + SETTLED_IN;
    let (mut finals, mut stock) = look();
    while Instant::now() < give_up_at && !ledger.audit(&finals, &stock, unknowns).is_empty() {
        (finals, stock) = look();
    }
    ledger.assert_right(&finals, &stock, unknowns);
    for (key, entry) in ledger.entries() {
        let status = rig.status_of(&order_id_of(&key));
        let is_confirmed = status.as_deref() == Some("confirmed");
        let has_outcome = !finals[&key].outcomes.is_empty();
        assert!(is_confirmed == has_outcome, "{key}: {entry:?} {status:?}");
    }
}

/// Kills a service twice under load and starts it anew.
fn kill_and_restart(rig: &mut Rig, ledger: &Ledger, service: Service) {
    for _ in 0..2 {
        go_well(ledger);
        rig.kill_9(service);
        if service != Service::Order {
            let before = ledger.len();
            wait::is_true("orders that meet it", SETTLED_IN, || ledger.len() > before + 20);
        }
        rig.restart(service);
    }
    go_well(ledger);
}

fn check(service: Service, clients: Clients) {
    let mut rig = Rig::start(&["--deadline", "2s"]);
    let ledger = under_load(&mut rig, clients, |rig, ledger| {
        if clients == Clients::AskAgain {
            for _ in 0..2 {
                go_well(ledger);
                rig.restart(service);
            }
            go_well(ledger);
        } else {
            kill_and_restart(rig, ledger, service);
        }
    });
    if clients == Clients::AskAgain {
        assert_eq!(ledger.count(Verdict::Accepted), ledger.len());
    }
    audit(&rig, &ledger);
}

#[test]
fn inventory_is_killed_under_load_and_the_books_are_right() {
    check(Service::Inventory, Clients::GiveUp);
    check(Service::Inventory, Clients::AskTwice);
}

#[test]
fn notification_is_killed_under_load_and_the_books_are_right() {
    check(Service::Notification, Clients::GiveUp);
    check(Service::Notification, Clients::AskTwice);
}

#[test]
fn order_is_killed_under_load_and_the_books_are_right() {
    check(Service::Order, Clients::GiveUp);
}

#[test]
fn clients_that_ask_again_get_every_order_placed_once_whichever_service_is_killed() {
    for service in Service::ALL {
        check(service, Clients::AskAgain);
    }
}

#[test]
fn nothing_but_answers_is_seen_without_trouble() {
    let mut rig = Rig::start(&[]);
    let ledger = under_load(&mut rig, Clients::GiveUp, |_, ledger| go_on(ledger));
    assert_eq!(ledger.count(Verdict::Accepted), ledger.len());
    audit(&rig, &ledger);
}
