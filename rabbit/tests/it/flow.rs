//! What clients and readers of the queues see when all is well.

use std::time::Duration;

use orders::Order;
use testkit::order_flow::{burgers, of, order_id_of, problem};
use testkit::{http, wait};

use crate::rig::{Rig, SOON, Service};

#[test]
fn an_order_is_accepted_then_decided_then_told() {
    let mut rig = Rig::start(&[]);
    rig.listen();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("idempotency-key", "k1"), ("traceparent", trace), ("x-request-id", "r-1")];
    let address = rig.address(Service::Order);
    let answer = http::post_json(&address, "/order", &headers, &burgers(2)).unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    let location = format!("/orders/{}", order_id_of("k1"));
    assert_eq!(answer.header("location"), Some(location.as_str()));
    wait::is_true("the outcome", SOON, || rig.status("k1").as_deref() == Some("confirmed"));
    let path = format!("/notifications/{}", order_id_of("k1"));
    wait::is_true("the message", SOON, || rig.get(Service::Notification, &path).status == 200);
    assert_eq!(rig.reserved("burger"), 2);

    let decided = rig.take_all("audit");
    assert_eq!(decided.len(), 1);
    let traceparent = decided[0].header("traceparent").unwrap();
    assert!(traceparent.contains("0af7651916cd43dd8448eb211c80319c"), "{traceparent}");
    assert!(!traceparent.contains("b7ad6b7169203331"), "{traceparent}");
    assert_eq!(decided[0].header("x-request-id").as_deref(), Some("r-1"));
    let told = rig.take_all("notifications");
    assert_eq!(told.len(), 1);
    for (kind, message) in [("InventoryResult", &decided[0]), ("Notification", &told[0])] {
        let properties = &message.properties;
        let text =
            |value: &Option<lapin::types::ShortString>| value.as_ref().map(ToString::to_string);
        assert_eq!(text(properties.message_id()), Some(order_id_of("k1")));
        assert_eq!(text(properties.correlation_id()).as_deref(), Some("r-1"));
        assert_eq!(text(properties.content_type()).as_deref(), Some("avro/binary"));
        assert_eq!(text(properties.kind()).as_deref(), Some(kind));
        assert_eq!(properties.delivery_mode(), &Some(2), "it survives a restart");
        assert!(properties.timestamp().is_some());
        let frame = codec::frame::split(Some(&message.body)).unwrap();
        assert!(frame.schema_id > 0);
    }
    // At its end each service prints what it did, and nothing else.
    let order = rig.stop(Service::Order).stdout;
    assert!(order.starts_with("OUTCOME    ORDERS\nconfirmed       1\n"), "{order}");
    assert!(order.contains("\nretries 0, dead letters 0\nup for "), "{order}");
    let inventory = rig.stop(Service::Inventory).stdout;
    assert!(inventory.starts_with("RESULT  COUNT\ndone        1\n\n"), "{inventory}");
}

#[test]
fn a_framed_order_is_placed_under_its_own_id_and_passes_as_it_is() {
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
    assert_eq!(
        (answer.status, answer.header("location")),
        (202, Some("/orders/o-17")),
        "{answer:?}"
    );
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
fn trouble_on_request_can_be_predicted() {
    let args = ["--inventory-failure-rate", "0.4", "--failure-seed", "7"];
    let slow = ["--inventory-delay", "300ms", "--notification-delay", "300ms"];
    let rig = Rig::start(&[args, slow].concat());
    let (mut refused, count) = (0, 30);
    for n in 0..count {
        assert_eq!(rig.post(&format!("k{n}"), &burgers(1)).unwrap().status, 202);
    }
    for n in 0..count {
        let key = format!("k{n}");
        wait::is_true("the outcome", SOON, || {
            rig.status(&key).is_some_and(|status| status != "pending")
        });
        let path = format!("/orders/{}", order_id_of(&key));
        let body = rig.get(Service::Order, &path).json();
        let is_refused = orders::simulate::fails(&order_id_of(&key), 1, 7, 0, 0.4);
        refused += u64::from(is_refused);
        let (status, reason) =
            if is_refused { ("failed", Some("simulated")) } else { ("confirmed", None) };
        assert_eq!(
            (body["status"].as_str(), body["reason"].as_str()),
            (Some(status), reason),
            "{key}"
        );
    }
    assert!((1..count).contains(&refused), "{refused}");
    assert_eq!(rig.reserved("burger"), count - refused);
}

#[test]
fn an_injected_delay_makes_outcomes_late_and_not_answers() {
    let rig = Rig::start(&["--inventory-delay", "2s", "--notification-delay", "1s"]);
    let start = std::time::Instant::now();
    assert_eq!(rig.post("k1", &burgers(1)).unwrap().status, 202);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    wait::is_true("the outcome", SOON, || rig.status("k1").as_deref() == Some("confirmed"));
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    wait::is_true("the customer being told", SOON, || rig.is_told("k1"));
    assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn metrics_have_the_names_that_all_paradigms_share() {
    let rig = Rig::start(&[]);
    assert_eq!(rig.post("k1", &burgers(1)).unwrap().status, 202);
    assert_eq!(rig.post("k2", &of("few", 4)).unwrap().status, 202);
    for key in ["k1", "k2"] {
        wait::is_true("the outcome", SOON, || {
            rig.status(key).is_some_and(|status| status != "pending")
        });
    }
    assert_eq!(rig.post("k3", &of("gold", 1)).unwrap().status, 422);
    assert_eq!(rig.post("k1", &burgers(1)).unwrap().status, 202, "as the first time");
    // Each order, and the word to other instances that it is on its way.
    wait::is_true("four messages", SOON, || {
        let text = rig.get(Service::Order, "/metrics").body;
        text.lines().any(|line| line == "rabbit_published_total{result=\"confirmed\"} 4")
    });
    let text = rig.get(Service::Order, "/metrics").body;
    for line in [
        "orders_accepted_total 2",
        "order_accept_seconds_count 2",
        "order_outcomes_total{outcome=\"confirmed\"} 1",
        "order_outcomes_total{outcome=\"out-of-stock\"} 1",
        "order_outcome_seconds_count{outcome=\"confirmed\"} 1",
        "orders_rejected_total{reason=\"unknown-item\"} 1",
        "orders_replayed_total 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
    }
}

#[test]
fn what_is_not_in_stock_fails_and_what_is_not_on_the_menu_is_refused_at_once() {
    let rig = Rig::start(&[]);
    assert_eq!(rig.post("k1", &of("few", 4)).unwrap().status, 202);
    wait::is_true("the outcome", SOON, || rig.status("k1").as_deref() == Some("failed"));
    let refused = rig.post("k2", &of("gold", 1)).unwrap();
    assert_eq!((refused.status, problem(&refused).as_str()), (422, "unknown-item"));
    assert_eq!(rig.reserved("few"), 0);
}

#[test]
fn what_no_front_would_take_gets_nothing() {
    let rig = Rig::start(&[]);
    for (id, quantity) in [("o-0", 0), ("o-minus", -5), ("o-many", i32::MAX)] {
        let order = Order { quantity, ..Order::new(id, "burger", 9.5) };
        rig.publish(&rig.prefix, "order.placed", &rig.framed("order.placed", &order));
        let path = format!("/orders/{id}");
        wait::is_true("the outcome", SOON, || {
            let answer = rig.get(Service::Order, &path);
            answer.status == 200 && answer.json()["reason"] == "invalid-order"
        });
        assert_eq!(rig.get(Service::Order, &path).json()["status"], "failed");
    }
    assert_eq!(rig.reserved("burger"), 0);
}

#[test]
fn stock_is_asked_for_as_a_whole_or_by_item_and_a_wrong_path_is_told_the_right_ones() {
    let rig = Rig::start(&[]);
    assert_eq!(rig.post("k1", &of("few", 2)).unwrap().status, 202);
    wait::is_true("the outcome", SOON, || rig.status("k1").as_deref() == Some("confirmed"));
    let level = rig.get(Service::Inventory, "/stock/few").json();
    assert_eq!((&level["reserved"], &level["left"]), (&2.into(), &1.into()));
    assert_eq!(rig.get(Service::Inventory, "/stock/%66ew").json(), level);
    let unknown = rig.get(Service::Inventory, "/stock/gold");
    assert_eq!((unknown.status, problem(&unknown).as_str()), (404, "unknown-item"));
    let paths: [(Service, &[&str]); 3] = [
        (Service::Inventory, &["GET /stock", "/stock/{item}", "/decisions/{id}", "/health"]),
        (Service::Notification, &["/notifications/{id}", "/health", "/metrics"]),
        (Service::Order, &["POST /order", "GET /orders/{id}", "/health"]),
    ];
    for (service, named) in paths {
        let answer = rig.get(service, "/nothing");
        assert_eq!(answer.status, 404);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(named.iter().all(|path| detail.contains(path)), "{service:?}: {detail}");
    }
}

#[test]
fn counters_stand_at_0_and_are_explained_before_anything_happens() {
    let rig = Rig::start(&[]);
    for (service, queue) in [
        (Service::Inventory, "inventory"),
        (Service::Notification, "notification"),
        (Service::Order, "outcomes"),
    ] {
        let text = rig.get(service, "/metrics").body;
        testkit::promtool::check(&text);
        for line in [
            format!("rabbit_deliveries_total{{queue=\"{queue}\",result=\"done\"}} 0"),
            format!("rabbit_retries_total{{queue=\"{queue}\"}} 0"),
            format!("rabbit_dead_lettered_total{{queue=\"{queue}\",class=\"transient\"}} 0"),
            "rabbit_published_total{result=\"confirmed\"} 0".to_owned(),
            "rabbit_blocked 0".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
        let named = text.lines().filter_map(|line| line.strip_prefix("# TYPE rabbit_"));
        for name in named.filter_map(|line| line.split(' ').next()) {
            let help = format!("# HELP rabbit_{name} ");
            assert!(text.contains(&help), "{name}");
        }
    }
}

#[test]
fn the_same_order_twice_is_reserved_once() {
    let rig = Rig::start(&[]);
    for _ in 0..2 {
        assert_eq!(rig.post("k1", &burgers(3)).unwrap().status, 202);
    }
    wait::is_true("the outcome", SOON, || rig.status("k1").as_deref() == Some("confirmed"));

    // The same message in the queue again, also after the service was started anew.
    let mut rig = rig;
    rig.process(Service::Inventory).kill_9();
    assert_eq!(rig.post("k2", &burgers(1)).unwrap().status, 202);
    wait::is_true("a message", SOON, || rig.depth("inventory") == 1);
    let waiting = rig.take_all("inventory").remove(0);
    for _ in 0..3 {
        rig.publish("", &rig.queue("inventory"), &waiting.body);
    }
    rig.restart(Service::Inventory);
    wait::is_true("the outcome", SOON, || rig.status("k2").as_deref() == Some("confirmed"));
    wait::is_true("an empty queue", SOON, || rig.depth("inventory") == 0);
    rig.restart(Service::Inventory);
    rig.publish("", &rig.queue("inventory"), &waiting.body);
    wait::is_true("three duplicates", SOON, || {
        let text = rig.get(Service::Inventory, "/metrics").body;
        text.contains(r#"queue="inventory",result="duplicate"} 1"#)
    });
    assert_eq!(rig.reserved("burger"), 4);
}

#[test]
fn a_service_that_is_asked_to_stop_finishes_and_exits_0() {
    let mut rig = Rig::start(&["--inventory-delay", "500ms"]);
    for n in 0..20 {
        assert_eq!(rig.post(&format!("k{n}"), &burgers(1)).unwrap().status, 202);
    }
    for service in Service::ALL {
        let finished = rig.stop(service);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    }
    rig.restart_all();
    for n in 0..20 {
        let key = format!("k{n}");
        wait::is_true("the outcome", SOON, || rig.status(&key).as_deref() == Some("confirmed"));
    }
    assert_eq!(rig.reserved("burger"), 20);
}
