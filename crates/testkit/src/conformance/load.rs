//! Services and servers that are killed while clients place orders; then the clients' book is compared with what the flow
//! holds: what was accepted was done once, what was rejected was not done, and what is unknown was done whole or not at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::SOON;
use super::flow::{Describes, Flow, Kind, Service};
use crate::http::{self, HttpAnswer};
use crate::ledger::{Ledger, Verdict};
use crate::order_flow::{self, burgers, problem};
use crate::wait;

/// Clients that place orders at the same time.
const CLIENTS: u32 = 6;
/// Tries of a client for one order, the clients taking turns: one gives up, one asks twice, one asks until it is accepted.
const TRIES_MAX: [usize; 3] = [1, 2, usize::MAX];
/// Orders of a batch, where a flow takes batches.
const BATCH: usize = 50;
/// Orders that are accepted between two events, so that each meets orders in every state.
const BETWEEN: usize = 100;
/// The same where most orders come in batches.
const BETWEEN_BATCHED: usize = 300;
/// Longest time until a client that asks again and again has its order accepted.
const ACCEPTED_IN: Duration = Duration::from_secs(120);
/// Orders that meet a service that is away.
const MET: usize = 10;
/// Longest pause after an order that was not accepted.
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// What "at once" means on a machine that is busy with other tests.
const AT_ONCE: Duration = Duration::from_millis(1_500);

/// Where clients place orders.
struct Target {
    kind: Kind,
    address: String,
    describes: Describes,
}

impl Target {
    /// Places orders until it is over. A client that asks until its order is accepted ends with an accepted one.
    fn place_orders(&self, client: u32, ledger: &Ledger, is_over: &AtomicBool) {
        let tries_max = TRIES_MAX[client as usize % TRIES_MAX.len()];
        let is_over = || is_over.load(Ordering::Relaxed);
        for n in 0.. {
            let key = format!("c{client}-{n}");
            let began_at = Instant::now();
            for tried in 0..tries_max {
                if is_over() && (tried == 0 || tries_max != usize::MAX) {
                    return;
                }
                if self.place(client, &key, ledger) == Verdict::Accepted {
                    break;
                }
                assert!(began_at.elapsed() < ACCEPTED_IN, "{key} is still not accepted");
                wait::within(PAUSE_MAX, || is_over() || self.is_ready());
            }
        }
    }

    fn place(&self, client: u32, key: &str, ledger: &Ledger) -> Verdict {
        let headers = [("idempotency-key", key), ("content-type", "application/x-ndjson")];
        if self.kind.takes_batches() && client.is_multiple_of(2) {
            let lines: String = (0..BATCH).map(|_| burgers(1) + "\n").collect();
            let bytes = lines.as_bytes();
            let answer = http::request(&self.address, "POST", "/orders", &headers, bytes);
            note_batch(ledger, key, &answer);
            return Verdict::of(&answer);
        }
        let answer = http::post_json(&self.address, "/order", &headers[..1], &burgers(1));
        if let Ok(answer) = &answer {
            (self.describes)("POST", "/order", answer);
        }
        ledger.note_answer(key, "burger", 1, &answer)
    }

    fn is_ready(&self) -> bool {
        http::get(&self.address, "/readyz").is_ok_and(|answer| answer.status == 200)
    }
}

/// Notes what a batch came to, item by item.
fn note_batch(ledger: &Ledger, key: &str, answer: &std::io::Result<HttpAnswer>) {
    let body = answer.as_ref().ok().and_then(|answer| serde_json::from_str(&answer.body).ok());
    let body: Value = body.unwrap_or_default();
    for n in 0..BATCH {
        let verdict = match body["results"][n]["status"].as_str() {
            Some("accepted") => Verdict::Accepted,
            Some("rejected") => Verdict::Rejected,
            _ => Verdict::Unknown,
        };
        ledger.note(&format!("{key}#{n}"), "burger", 1, verdict);
    }
}

/// Runs `events` while clients place orders, and then the audit.
fn under_load(flow: &mut dyn Flow, events: impl FnOnce(&mut dyn Flow, &Ledger)) {
    let (kind, describes) = (flow.kind(), flow.describes());
    let target = Target { kind, address: flow.address(Service::Order), describes };
    let client = |client: u32, ledger: &Ledger, is_over: &AtomicBool| {
        target.place_orders(client, ledger, is_over);
    };
    let ledger = order_flow::under_load(CLIENTS, client, |ledger| events(flow, ledger));
    flow.audit(&ledger);
}

fn more_orders(flow: &dyn Flow, ledger: &Ledger) {
    let orders = if flow.kind().takes_batches() { BETWEEN_BATCHED } else { BETWEEN };
    order_flow::wait_for_more(ledger, orders, SOON);
}

pub(super) fn services_are_killed(flow: &mut dyn Flow) {
    under_load(flow, |flow, ledger| {
        for service in Service::ALL {
            more_orders(flow, ledger);
            flow.kill_9(service);
            flow.start_again(service);
            more_orders(flow, ledger);
            flow.kill_9(service);
            let before = ledger.len();
            wait::is_true("orders that meet it", SOON, || ledger.len() >= before + MET);
            flow.start_again(service);
        }
        more_orders(flow, ledger);
    });
}

pub(super) fn server_is_away(flow: &mut dyn Flow) {
    under_load(flow, |flow, ledger| {
        more_orders(flow, ledger);
        flow.kill_server();
        for service in Service::ALL {
            wait::is_true("not being ready", SOON, || !flow.is_ready(service));
        }
        // One that is sent before the front knows has to wait for its delivery.
        let mut took = Duration::MAX;
        let answer = wait::until("an order refused at once", SOON, || {
            let began_at = Instant::now();
            let answer = Ok(flow.post("away", &burgers(1)));
            took = began_at.elapsed();
            let verdict = ledger.note_answer("away", "burger", 1, &answer);
            answer.ok().filter(|_| verdict == Verdict::Rejected)
        });
        assert!(took < AT_ONCE, "{took:?}");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(problem(&answer).ends_with("-away"), "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        flow.restart_server();
        more_orders(flow, ledger);
        for service in Service::ALL {
            wait::is_true("being ready", SOON, || flow.is_ready(service));
        }
    });
}
