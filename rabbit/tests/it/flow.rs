//! What clients and readers of the queues see when all is well.

use lapin::types::ShortString;
use orders::Order;
use testkit::order_flow::{burgers, order_id_of};
use testkit::{http, wait};

use crate::rig::{Rig, SOON, Service};

#[test]
fn messages_have_the_properties_that_a_reader_of_the_queues_goes_by() {
    let rig = Rig::start(&[]);
    rig.listen();
    let headers = [("idempotency-key", "k1"), ("x-request-id", "r-1")];
    let address = rig.address(Service::Order);
    let answer = http::post_json(&address, "/order", &headers, &burgers(2)).unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    wait::is_true("the message", SOON, || rig.is_told("k1"));
    let (decided, told) = (rig.take_all("audit"), rig.take_all("notifications"));
    assert_eq!((decided.len(), told.len()), (1, 1));
    for (kind, message) in [("InventoryResult", &decided[0]), ("Notification", &told[0])] {
        let properties = &message.properties;
        let text = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string);
        assert_eq!(text(properties.message_id()), Some(order_id_of("k1")));
        assert_eq!(text(properties.correlation_id()).as_deref(), Some("r-1"));
        assert_eq!(text(properties.content_type()).as_deref(), Some("avro/binary"));
        assert_eq!(text(properties.kind()).as_deref(), Some(kind));
        assert_eq!(properties.delivery_mode(), &Some(2), "it survives a restart");
        assert!(properties.timestamp().is_some());
        assert!(codec::frame::split(Some(&message.body)).unwrap().schema_id > 0);
    }
}

#[test]
fn a_framed_order_passes_as_it_is() {
    let mut rig = Rig::start(&[]);
    rig.process(Service::Inventory).kill_9();
    let order = Order {
        user_id: Some("u1".to_owned()),
        quantity: 2,
        created_at_ms: Some(1_700_000_000_000),
        ..Order::new("o-17", "burger", 9.5)
    };
    let bytes = rig.framed("order.placed", &order);
    let headers = [("content-type", "avro/binary")];
    let address = rig.address(Service::Order);
    let answer = http::request(&address, "POST", "/order", &headers, &bytes).unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    wait::is_true("the message", SOON, || rig.depth("inventory") == 1);
    assert_eq!(rig.take_all("inventory").remove(0).body, bytes);
}

#[test]
fn no_more_than_the_prefetch_is_in_hand() {
    let rig = Rig::start(&["--prefetch", "3", "--inventory-delay", "1m"]);
    for n in 0..10 {
        assert_eq!(rig.post(&format!("k{n}"), &burgers(1)).unwrap().status, 202);
    }
    wait::is_true("three in hand", SOON, || {
        let text = rig.get(Service::Inventory, "/metrics").body;
        text.contains("rabbit_deliveries_in_hand{queue=\"inventory\"} 3\n")
    });
    assert_eq!(rig.depth("inventory"), 7);
}

#[test]
fn counters_of_this_flow_alone_begin_at_0() {
    let rig = Rig::start(&[]);
    for (service, queue) in [
        (Service::Inventory, "inventory"),
        (Service::Notification, "notification"),
        (Service::Order, "outcomes"),
    ] {
        let text = rig.get(service, "/metrics").body;
        for line in [
            format!("rabbit_deliveries_total{{queue=\"{queue}\",result=\"done\"}} 0"),
            format!("rabbit_retries_total{{queue=\"{queue}\"}} 0"),
            format!("rabbit_dead_lettered_total{{queue=\"{queue}\",class=\"transient\"}} 0"),
            "rabbit_published_total{result=\"confirmed\"} 0".to_owned(),
            "rabbit_blocked 0".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
    }
}
