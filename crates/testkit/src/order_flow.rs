//! What tests of the three order flows share: orders, ids, problems, and clients under load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::http::HttpAnswer;
use crate::ledger::{Ledger, StockEnd, Verdict};
use crate::wait;

/// The menu of all tests of the flows: without end, a million, and few.
pub const MENU: &str = r#"
burger = { price = 8.5, stock = 1000000 }
tea = { price = 2.0 }
few = { price = 1.0, stock = 3 }
dozen = { price = 1.0, stock = 12 }
"last one" = { price = 2.0, stock = 1 }
"#;

/// What the type of each problem begins with.
const PROBLEM_PREFIX: &str = "urn:orders:problem:";

/// The id that belongs to a key, as the contract says: the first half of a SHA-256.
pub fn order_id_of(key: &str) -> String {
    let digest = Sha256::digest(format!("order of idempotency key\0{key}"));
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An order of this many burgers.
pub fn burgers(quantity: u32) -> String {
    of("burger", quantity)
}

/// An order of any item.
pub fn of(item: &str, quantity: u32) -> String {
    format!(r#"{{"user_id":"u1","item":"{item}","quantity":{quantity}}}"#)
}

/// Last part of the type of a problem.
#[track_caller]
pub fn problem(answer: &HttpAnswer) -> String {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let body = answer.json();
    assert_eq!(body["status"], answer.status, "{answer:?}");
    slug(&body)
}

/// Last part of the type of a problem that is part of an answer.
#[track_caller]
pub fn slug(problem: &Value) -> String {
    let kind = problem["type"].as_str().expect("a type");
    kind.strip_prefix(PROBLEM_PREFIX).expect("our prefix").to_owned()
}

/// The stock that `GET /stock` tells.
#[track_caller]
pub fn stock(answer: &HttpAnswer) -> Vec<StockEnd> {
    let levels = answer.json();
    let level = |level: &Value| StockEnd {
        item: level["item"].as_str().expect("a name").to_owned(),
        initial: level["initial"].as_u64(),
        reserved: level["reserved"].as_u64().expect("a number"),
        left: level["left"].as_u64(),
    };
    levels.as_array().expect("a list").iter().map(level).collect()
}

struct IsOver<'a>(&'a AtomicBool);

impl Drop for IsOver<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `clients` threads of `client` while `events` happen, and returns what the clients know. A
/// client gets its number, and goes on until it is over.
pub fn under_load(
    clients: u32,
    client: impl Fn(u32, &Ledger, &AtomicBool) + Sync,
    events: impl FnOnce(&Ledger),
) -> Ledger {
    let (ledger, is_over) = (Ledger::new(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for number in 0..clients {
            let (client, ledger, is_over) = (&client, &ledger, &is_over);
            scope.spawn(move || client(number, ledger, is_over));
        }
        // Also when an event panics, or the clients would go on for ever.
        let _over = IsOver(&is_over);
        events(&ledger);
    });
    ledger
}

/// Waits until so many more orders were placed.
#[track_caller]
pub fn wait_for_more(ledger: &Ledger, orders: usize, limit: Duration) {
    let before = ledger.count(Verdict::Accepted);
    wait::is_true("more orders", limit, || ledger.count(Verdict::Accepted) >= before + orders);
}
