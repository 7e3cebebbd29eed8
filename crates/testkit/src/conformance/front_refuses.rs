//! Orders that the front, or inventory in its answer, refuses.

use orders::Order;

use super::flow::{Flow, Service};
use super::front::{own, post_framed};
use crate::order_flow::{burgers, of, order_id_of, problem};

/// Largest body of one order, as the refusal names it.
const LIMIT: &str = "16384 bytes";

pub(super) fn key_reused(flow: &mut dyn Flow) {
    let before = flow.reserved_at_rest("burger");
    let id = flow.place("reused", &burgers(1));
    for body in [burgers(2), of("tea", 1)] {
        let answer = flow.post("reused", &body);
        assert_eq!((answer.status, problem(&answer).as_str()), (422, "key-reused"));
        assert_eq!(answer.json()["order_id"], id.as_str());
    }
    flow.confirmed(&id);
    flow.wait_reserved("burger", before + 1);
}

/// The refusal is in the answer, and is repeated; nobody is told anything else.
pub(super) fn out_of_stock_in_the_answer(flow: &mut dyn Flow) {
    let id = order_id_of("lacks");
    let first = flow.post("lacks", &of("last one", 2));
    assert_eq!((first.status, problem(&first).as_str()), (409, "out-of-stock"));
    assert_eq!(first.json()["order_id"], id.as_str());
    let again = flow.post("lacks", &of("last one", 2));
    assert_eq!((again.status, &again.body), (409, &first.body));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let order = flow.settled(&id);
    assert_eq!((&order["status"], &order["reason"]), (&"failed".into(), &"out-of-stock".into()));
    assert_eq!(flow.told(&id), 0);
    flow.place("lacks-nothing", &of("last one", 1));
}

/// The outcome tells it, to the client and to the customer.
pub(super) fn out_of_stock(flow: &mut dyn Flow) {
    let id = flow.place("lacks", &of("last one", 2));
    let order = flow.settled(&id);
    assert_eq!((&order["status"], &order["reason"]), (&"failed".into(), &"out-of-stock".into()));
    assert!(order["class"].is_null(), "it is no dead letter: {order}");
    flow.told_once(&id);
    let rest = flow.place("lacks-nothing", &of("last one", 1));
    flow.confirmed(&rest);
}

pub(super) fn to_the_piece(flow: &mut dyn Flow) {
    let keys: Vec<String> = (0..10).map(|n| format!("piece-{n}")).collect();
    for key in &keys {
        let answer = flow.post(key, &of("few", 1));
        assert!([flow.kind().accepted_status(), 409].contains(&answer.status), "{answer:?}");
    }
    let is_confirmed = |key: &&String| flow.settled(&order_id_of(key))["status"] == "confirmed";
    assert_eq!(keys.iter().filter(is_confirmed).count(), 3, "there are three");
    flow.wait_reserved("few", 3);
}

pub(super) fn no_order(flow: &mut dyn Flow) {
    let before = flow.reserved_at_rest("burger");
    let accepted = flow.metric(Service::Order, "orders_accepted_total");
    let deep = format!(r#"{{"user_id":{}"#, "[".repeat(5_000));
    for (body, status, kind) in [
        ("", 400, "invalid-json"),
        (deep.as_str(), 400, "invalid-json"),
        ("\u{feff}{}", 400, "invalid-json"),
        (r#"{"user_id":"u","item":"burger","quantity":1,"price":1e400}"#, 400, "invalid-json"),
        (r#"{"user_id":"\ud800","item":"burger","quantity":1}"#, 400, "invalid-json"),
        (r#"{"user_id":"u","item":"burger","quantity":1,"quantity":2}"#, 422, "invalid-order"),
        (r#"{"user_id":"u","item":"burger","quantity":"1"}"#, 422, "invalid-order"),
        (r#"{"user_id":"u","item":"burger","quantity":0}"#, 422, "invalid-order"),
        (r#"{"user_id":"","item":"burger","quantity":1}"#, 422, "invalid-order"),
        (r#"{"user_id":"u","item":"burger","quantity":1,"price":-1}"#, 422, "invalid-order"),
        (r#"{"user_id":"u","item":"burger","quantity":1,"price":1e39}"#, 422, "invalid-order"),
        (r#"["u","burger",1,null]"#, 422, "invalid-order"),
        (r#"{"user_id":"u","item":"unicorn","quantity":1}"#, 422, "unknown-item"),
    ] {
        let answer = flow.post_with(&[], body);
        assert_eq!((answer.status, problem(&answer).as_str()), (status, kind), "{body:.80}");
    }
    let form = [("content-type", "text/plain")];
    let answer = flow.ask(Service::Order, "POST", "/order", &form, b"{}");
    assert_eq!((answer.status, problem(&answer).as_str()), (415, "unsupported-media-type"));
    let answer = flow.post("two words", &burgers(1));
    assert_eq!((answer.status, problem(&answer).as_str()), (400, "bad-idempotency-key"));
    flow.wait_until_idle();
    assert_eq!(flow.metric(Service::Order, "orders_accepted_total"), accepted);
    flow.wait_reserved("burger", before);
}

pub(super) fn too_large(flow: &mut dyn Flow) {
    let large = format!(r#"{{"user_id":"{}","item":"burger","quantity":1}}"#, "u".repeat(20_000));
    let answer = flow.post("large", &large);
    assert_eq!((answer.status, problem(&answer).as_str()), (413, "body-too-large"));
    let detail = answer.json()["detail"].as_str().expect("text").to_owned();
    assert!(detail.contains(LIMIT), "{detail}");
    assert_eq!(flow.known(&order_id_of("large")), None);
}

pub(super) fn time_is_over(flow: &mut dyn Flow) {
    let headers = [("x-deadline-ms", "0"), ("idempotency-key", "over")];
    let answer = flow.post_with(&headers, &burgers(1));
    assert_eq!((answer.status, problem(&answer).as_str()), (504, "deadline-exceeded"));
    assert!(answer.json()["outcome"].is_null(), "nothing was done: {answer:?}");
    assert_eq!(flow.known(&order_id_of("over")), None);
    let answer = flow.post_with(&[("x-deadline-ms", "soon")], &burgers(1));
    assert_eq!((answer.status, problem(&answer).as_str()), (400, "bad-deadline"));
    let later = flow.post("over", &burgers(1));
    assert_eq!(later.status, flow.kind().accepted_status(), "{later:?}");
    assert_eq!(later.header("idempotent-replayed"), None, "it was not begun before");
    flow.confirmed(&order_id_of("over"));
}

pub(super) fn no_framed_order(flow: &mut dyn Flow) {
    let bytes = flow.framed(&own("own-4"));
    for wrong in [&b""[..], b"{}", &bytes[..4], &bytes[..9], &[&bytes[..], b"x"].concat()] {
        let answer = post_framed(flow, &[], wrong);
        assert_eq!((answer.status, problem(&answer).as_str()), (400, "invalid-avro"));
    }
    // An id that is no part of a URL.
    for id in ["", "a/b", "ü"] {
        let wrong = flow.framed(&Order { order_id: id.to_owned(), ..own("own-4") });
        let answer = post_framed(flow, &[], &wrong);
        assert_eq!((answer.status, problem(&answer).as_str()), (422, "invalid-order"), "{id}");
    }
    assert_eq!(flow.known("own-4"), None);
}

pub(super) fn batch_is_not_taken(flow: &mut dyn Flow) {
    let headers = [("content-type", "application/x-ndjson")];
    let answer = flow.ask(Service::Order, "POST", "/orders", &headers, burgers(1).as_bytes());
    assert_eq!((answer.status, problem(&answer).as_str()), (404, "no-such-path"));
    let detail = answer.json()["detail"].as_str().expect("text").to_owned();
    assert!(detail.contains("POST /order"), "{detail}");
}
