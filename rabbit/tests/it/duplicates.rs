//! The same order in several messages: what it causes happens once.

use std::collections::BTreeSet;

use orders::Order;
use testkit::wait;

use crate::rig::{Rig, SOON, Service};

const ORDERS: usize = 300;
const COPIES: usize = 3;

#[test]
fn an_order_that_is_published_three_times_is_reserved_once_and_its_customer_told_once() {
    let rig = Rig::start(&["--notification-delay", "20ms"]);
    let bodies: Vec<Vec<u8>> = {
        // One schema for all; only the id differs, and has the same length.
        let make = |n: usize| Order::new(format!("o-{n:03}"), "burger", 9.5);
        let first = rig.framed("order.placed", &make(0));
        let one = |n: usize| {
            let text = String::from_utf8_lossy(&first).into_owned();
            assert!(text.contains("o-000"), "{text}");
            let mut body = first.clone();
            let at = body.windows(5).position(|part| part == b"o-000").expect("its id");
            body[at..at + 5].copy_from_slice(format!("o-{n:03}").as_bytes());
            body
        };
        // Copies of one order lie next to each other, and once more at the end.
        let twice = (0..ORDERS).flat_map(|n| [one(n), one(n)]);
        twice.chain((0..ORDERS).map(one)).collect()
    };
    assert_eq!(bodies.len(), ORDERS * COPIES);
    rig.publish_all(&rig.prefix, "order.placed", &bodies);
    for (queue, service) in
        [("inventory", Service::Inventory), ("notification", Service::Notification)]
    {
        let settled = |result: &str| {
            let sample =
                format!("rabbit_deliveries_total{{queue=\"{queue}\",result=\"{result}\"}} ");
            let text = rig.get(service, "/metrics").body;
            let found = text.lines().find_map(|line| line.strip_prefix(sample.as_str()));
            found.expect("a counter").parse::<usize>().expect("a number")
        };
        wait::is_true("all messages settled", SOON, || {
            settled("done") + settled("duplicate") == ORDERS * COPIES
        });
        assert_eq!(settled("done"), ORDERS, "{queue}");
    }
    assert_eq!(rig.reserved("burger"), u64::try_from(ORDERS).unwrap());
    let told = rig.take_all("notifications");
    let ids: BTreeSet<String> = told
        .iter()
        .map(|message| message.properties.message_id().as_ref().expect("an id").to_string())
        .collect();
    assert_eq!((told.len(), ids.len()), (ORDERS, ORDERS), "each customer is told once");
}
