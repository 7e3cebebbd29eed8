//! Orders that the front takes.

use orders::Order;

use super::client::SOON;
use super::flow::{Flow, Service};
use crate::http::HttpAnswer;
use crate::order_flow::{burgers, of, order_id_of, problem};
use crate::wait;

/// Trace of the caller.
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
/// The caller's own span.
const CALLERS_SPAN: &str = "b7ad6b7169203331";
/// Services that a request passes after the front.
const STEPS_MIN: usize = 2;
/// Requests for one order at the same time.
const RACERS: usize = 20;

pub(super) fn accepted(flow: &mut dyn Flow) {
    let before = flow.reserved_at_rest("burger");
    let id = order_id_of("accepted");
    let answer = flow.post("accepted", &burgers(2));
    assert_eq!(answer.status, flow.kind().accepted_status(), "{answer:?}");
    assert_eq!(answer.header("location"), Some(format!("/orders/{id}").as_str()));
    assert_eq!(answer.header("idempotent-replayed"), None);
    let body = answer.json();
    assert_eq!((&body["order_id"], &body["user_id"]), (&id.as_str().into(), &"u1".into()));
    assert_eq!((&body["item"], &body["quantity"]), (&"burger".into(), &2.into()));
    assert_eq!(body["price"], 17.0, "the price is the order's: 2 at 8.50");
    flow.confirmed(&id);
    flow.wait_reserved("burger", before + 2);
}

pub(super) fn known(flow: &mut dyn Flow) {
    let id = flow.place("known", &burgers(2));
    let order = flow.settled(&id);
    assert_eq!((&order["order_id"], &order["status"]), (&id.into(), &"confirmed".into()));
    assert_eq!((&order["item"], &order["quantity"]), (&"burger".into(), &2.into()));
    assert!(order["created_at_ms"].is_i64() && order["reason"].is_null(), "{order}");
    let unknown = flow.get(Service::Order, "/orders/nobody");
    assert_eq!((unknown.status, problem(&unknown).as_str()), (404, "no-such-order"));
}

pub(super) fn told(flow: &mut dyn Flow) {
    let id = flow.place("told", &burgers(1));
    flow.confirmed(&id);
    flow.told_once(&id);
}

pub(super) fn traced(flow: &mut dyn Flow) {
    let traceparent = format!("00-{TRACE_ID}-{CALLERS_SPAN}-01");
    let headers = [("x-request-id", "checkout-7"), ("traceparent", traceparent.as_str())];
    let answer = flow.post_with(&headers, &burgers(1));
    assert_eq!(answer.status, flow.kind().accepted_status(), "{answer:?}");
    assert_eq!(answer.header("x-request-id"), Some("checkout-7"));
    flow.confirmed(answer.json()["order_id"].as_str().expect("an id"));
    let mut steps = wait::until("the steps of the request", SOON, || {
        Some(flow.steps("checkout-7")).filter(|steps| steps.len() >= STEPS_MIN)
    });
    for step in &steps {
        assert!(step.contains(TRACE_ID) && !step.contains(CALLERS_SPAN), "{steps:?}");
    }
    let count = steps.len();
    steps.sort_unstable();
    steps.dedup();
    assert_eq!(steps.len(), count, "each step is a span of its own: {steps:?}");
}

pub(super) fn replayed(flow: &mut dyn Flow) {
    let before = flow.reserved_at_rest("burger");
    let id = flow.place("replayed", &burgers(3));
    flow.confirmed(&id);
    let again = flow.post("replayed", &burgers(3));
    assert_eq!(again.status, flow.kind().accepted_status(), "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(
        (&again.json()["order_id"], &again.json()["status"]),
        (&id.into(), &"confirmed".into())
    );
    let other = flow.place("replayed-not", &burgers(3));
    flow.confirmed(&other);
    flow.wait_reserved("burger", before + 6);
}

pub(super) fn raced(flow: &mut dyn Flow) {
    let before = flow.reserved_at_rest("burger");
    let (address, describes) = (flow.address(Service::Order), flow.describes());
    let answers: Vec<HttpAnswer> = std::thread::scope(|scope| {
        let one = |_| {
            scope.spawn(|| {
                let headers = [("idempotency-key", "raced")];
                crate::http::post_json(&address, "/order", &headers, &burgers(3))
                    .expect("an answer")
            })
        };
        let clients: Vec<_> = (0..RACERS).map(one).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).collect()
    });
    let accepted = flow.kind().accepted_status();
    for answer in &answers {
        describes("POST", "/order", answer);
        if answer.status != accepted {
            assert_eq!((answer.status, problem(answer).as_str()), (409, "in-progress"));
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
        }
        assert_eq!(answer.json()["order_id"], order_id_of("raced"));
    }
    assert!(answers.iter().any(|answer| answer.status == accepted));
    flow.confirmed(&order_id_of("raced"));
    flow.wait_reserved("burger", before + 3);
}

/// Of 12 pieces the first four orders of three get theirs, and no later one.
pub(super) fn decided_in_order(flow: &mut dyn Flow) {
    let ids: Vec<String> = (0..6)
        .map(|n| {
            let key = format!("in-order-{n}");
            let answer = flow.post(&key, &of("dozen", 3));
            assert!([flow.kind().accepted_status(), 409].contains(&answer.status), "{answer:?}");
            order_id_of(&key)
        })
        .collect();
    let statuses: Vec<String> = ids
        .iter()
        .map(|id| flow.settled(id)["status"].as_str().expect("a word").to_owned())
        .collect();
    assert_eq!(statuses[..4], ["confirmed"; 4]);
    assert_eq!(statuses[4..], ["failed"; 2]);
    flow.wait_reserved("dozen", 12);
}

/// An order of two burgers under an id of its own.
pub(super) fn own(order_id: &str) -> Order {
    Order {
        user_id: Some("u1".to_owned()),
        quantity: 2,
        created_at_ms: Some(1_700_000_000_000),
        ..Order::new(order_id, "burger", 9.5)
    }
}

pub(super) fn post_framed(flow: &dyn Flow, headers: &[(&str, &str)], bytes: &[u8]) -> HttpAnswer {
    let mut all = vec![("content-type", "avro/binary")];
    all.extend_from_slice(headers);
    flow.ask(Service::Order, "POST", "/order", &all, bytes)
}

pub(super) fn framed(flow: &mut dyn Flow) {
    let before = flow.reserved_at_rest("burger");
    let accepted = flow.kind().accepted_status();
    let bytes = flow.framed(&own("own-1"));
    let first = post_framed(flow, &[], &bytes);
    assert_eq!((first.status, first.header("location")), (accepted, Some("/orders/own-1")));
    let body = first.json();
    assert_eq!(
        (&body["order_id"], &body["price"], &body["created_at_ms"]),
        (&"own-1".into(), &9.5.into(), &1_700_000_000_000_i64.into())
    );
    let again = post_framed(flow, &[], &bytes);
    assert_eq!((again.status, again.header("idempotent-replayed")), (accepted, Some("true")));
    let other = flow.framed(&Order { quantity: 3, ..own("own-1") });
    let refused = post_framed(flow, &[], &other);
    assert_eq!((refused.status, problem(&refused).as_str()), (422, "key-reused"));
    // A key belongs to the id that came with it.
    let key = [("idempotency-key", "framed")];
    assert_eq!(post_framed(flow, &key, &flow.framed(&own("own-2"))).status, accepted);
    let refused = post_framed(flow, &key, &flow.framed(&own("own-3")));
    assert_eq!((refused.status, problem(&refused).as_str()), (422, "key-reused"));
    flow.confirmed("own-1");
    flow.confirmed("own-2");
    flow.wait_reserved("burger", before + 4);
}
