//! Framed records over HTTP, with a schema registry.

use codec::encode::Encoder;
use codec::registry::{Registration, Registry, RegistrySettings};
use order_schemas::OrderRecord;
use orders::Order;
use testkit::http::{self, HttpAnswer};
use testkit::order_flow::problem;

use crate::rig::{Rig, Service, is_described, order_id};

/// The registry that the tests of this run share.
fn registry_url() -> String {
    std::env::var("SCHEMA_REGISTRY_URL")
        .expect("SCHEMA_REGISTRY_URL names a registry; see CONTRIBUTING.md")
}

fn encoded(order: &Order) -> Vec<u8> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let registry = RegistrySettings::new(&registry_url()).expect("a URL");
    let registry = Registry::new(registry).expect("a client");
    let subject = "sync-rest-tests-value";
    let encoder = Encoder::<OrderRecord>::connect(&registry, subject, Registration::Register);
    let encoder = runtime.block_on(encoder).expect("it registers");
    let mut bytes = Vec::new();
    encoder.encode_into(&mut bytes, order);
    bytes
}

fn post(rig: &Rig, headers: &[(&str, &str)], body: &[u8]) -> HttpAnswer {
    let mut all = vec![("content-type", "avro/binary")];
    all.extend_from_slice(headers);
    let address = rig.address(Service::Order);
    let answer = http::request(&address, "POST", "/order", &all, body).expect("an answer");
    is_described("/order", "post", &answer);
    answer
}

fn order() -> Order {
    let base = Order::new("o-17", "burger", 9.5);
    Order {
        user_id: Some("u1".to_owned()),
        quantity: 2,
        created_at_ms: Some(1_700_000_000_000),
        ..base
    }
}

#[test]
fn a_framed_order_is_placed_under_its_own_id_once() {
    let rig = Rig::start(&["--schema-registry-url", &registry_url()]);
    let bytes = encoded(&order());
    let first = post(&rig, &[], &bytes);
    assert_eq!((first.status, order_id(&first).as_str()), (200, "o-17"), "{first:?}");
    let body = first.json();
    assert_eq!(
        (&body["price"], &body["created_at_ms"]),
        (&9.5.into(), &1_700_000_000_000_i64.into())
    );
    let again = post(&rig, &[], &bytes);
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, Some("true")));
    assert_eq!(rig.taken("burger"), 2);
    let other = encoded(&Order { quantity: 3, ..order() });
    let refused = post(&rig, &[], &other);
    assert_eq!((refused.status, problem(&refused).as_str()), (422, "key-reused"));
}

#[test]
fn a_key_of_a_framed_order_belongs_to_its_id() {
    let rig = Rig::start(&["--schema-registry-url", &registry_url()]);
    let key = [("idempotency-key", "k")];
    assert_eq!(post(&rig, &key, &encoded(&order())).status, 200);
    let other = encoded(&Order { order_id: "o-18".to_owned(), ..order() });
    let refused = post(&rig, &key, &other);
    assert_eq!((refused.status, problem(&refused).as_str()), (422, "key-reused"));
    assert_eq!(rig.taken("burger"), 2);
}

#[test]
fn bytes_that_are_no_order_are_400_and_an_id_that_is_no_part_of_a_url_is_422() {
    let rig = Rig::start(&["--schema-registry-url", &registry_url()]);
    let bytes = encoded(&order());
    for wrong in [&b""[..], b"{}", &bytes[..4], &bytes[..9], &[&bytes[..], b"x"].concat()] {
        let answer = post(&rig, &[], wrong);
        assert_eq!((answer.status, problem(&answer).as_str()), (400, "invalid-avro"));
    }
    for id in ["", "a/b", "ü"] {
        let wrong = encoded(&Order { order_id: id.to_owned(), ..order() });
        let answer = post(&rig, &[], &wrong);
        assert_eq!((answer.status, problem(&answer).as_str()), (422, "invalid-order"), "{id}");
    }
    assert_eq!(rig.taken("burger"), 0);
}

#[test]
fn while_the_registry_is_away_framed_orders_are_503_and_json_is_served() {
    let rig = Rig::start(&["--schema-registry-url", "http://127.0.0.1:9"]);
    let answer = post(&rig, &[], &encoded(&order()));
    assert_eq!((answer.status, problem(&answer).as_str()), (503, "registry-away"));
    assert_eq!(rig.post(&testkit::order_flow::burgers(1)).status, 200);
}
