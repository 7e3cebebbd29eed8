//! Framed records over HTTP while there is no schema registry.

use orders::Order;
use testkit::http;
use testkit::order_flow::{burgers, problem};

use crate::conformance::framed;
use crate::rig::{Rig, Service, is_described};

#[test]
fn while_the_registry_is_away_framed_orders_are_503_and_json_is_served() {
    let rig = Rig::start(&["--schema-registry-url", "http://127.0.0.1:9"]);
    let (headers, body) =
        ([("content-type", "avro/binary")], framed(&Order::new("o-17", "burger", 9.5)));
    let address = rig.address(Service::Order);
    let answer = http::request(&address, "POST", "/order", &headers, &body).expect("an answer");
    is_described("/order", "post", &answer);
    assert_eq!((answer.status, problem(&answer).as_str()), (503, "registry-away"));
    assert_eq!(rig.post(&burgers(1)).status, 200);
}
