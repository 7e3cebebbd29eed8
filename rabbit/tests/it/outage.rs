//! Somebody is away: nothing is lost, nothing done twice, and nobody hangs.

use std::time::{Duration, Instant};

use lapin::types::FieldTable;
use rabbit::Topology;
use stack::Server as _;
use testkit::ledger::{Ledger, Verdict};
use testkit::order_flow::{burgers, order_id_of, problem};
use testkit::wait;

use crate::mute::MuteProxy;
use crate::rig::{Rig, SOON, Service};

fn place(rig: &Rig, ledger: &Ledger, from: u32, to: u32) {
    for n in from..to {
        let key = format!("k{n}");
        ledger.note_answer(&key, "burger", 1, &rig.post(&key, &burgers(1)));
    }
}

#[test]
fn a_broker_killed_as_soon_as_a_service_is_ready_forgets_no_queue() {
    let mut rig = Rig::without_services(&[], &[]);
    rig.start_one(Service::Inventory);
    rig.server().kill_9();
    rig.server().restart().expect("the broker starts again");
    rig.start_one(Service::Notification);
    rig.start_one(Service::Order);
    assert_eq!(rig.post("k1", &burgers(1)).unwrap().status, 202);
    wait::is_true("the outcome", SOON, || rig.status("k1").as_deref() == Some("confirmed"));
    let path = format!("/notifications/{}", order_id_of("k1"));
    wait::is_true("the message", SOON, || rig.get(Service::Notification, &path).status == 200);
    // The others too take messages: what a work queue gets is no order, and a dead letter.
    for plan in Topology::new(&rig.prefix, &[Duration::from_secs(2)]).queues() {
        rig.publish("", &plan.name, b"nothing");
    }
}

#[test]
fn a_publisher_whose_confirmations_do_not_come_makes_a_new_connection() {
    let proxy = MuteProxy::start(&Rig::shared_broker());
    let rig = Rig::start_through(proxy.address(), &[]);
    rig.listen();
    let ledger = Ledger::new();
    place(&rig, &ledger, 0, 10);
    proxy.mute();
    place(&rig, &ledger, 10, 30);
    assert_eq!(ledger.count(Verdict::Accepted), 30);
    rig.wait_until_drained(&ledger);
    rig.audit(&ledger);
    for (service, connection) in [
        (Service::Order, "order publishes"),
        (Service::Inventory, "inventory publishes"),
        (Service::Notification, "notification publishes"),
    ] {
        let line = format!("rabbit_reconnections_total{{connection=\"{connection}\"}} ");
        let text = rig.get(service, "/metrics").body;
        assert!(text.contains(&line), "{connection}: {text}");
    }
}

#[test]
fn an_idle_service_reports_a_frozen_broker_once_and_its_return_once() {
    let proxy = MuteProxy::start(&Rig::shared_broker());
    let mut rig = Rig::start_through(proxy.address(), &[]);
    rig.listen();
    let metric = "orders_unavailable{what=\"rabbitmq\"} ";
    let frozen = proxy.freeze();
    for service in Service::ALL {
        rig.process(service).wait_for_log("RabbitMQ is unavailable", SOON);
        assert_eq!(rig.get(service, "/readyz").status, 503, "{service:?}");
        let metrics = rig.get(service, "/metrics").body;
        assert!(metrics.contains(&format!("{metric}1")), "{service:?}: {metrics}");
    }
    drop(frozen);
    for service in Service::ALL {
        rig.process(service).wait_for_log("RabbitMQ is available again after ", SOON);
        wait::is_true("being ready", SOON, || rig.get(service, "/readyz").status == 200);
        let metrics = rig.get(service, "/metrics").body;
        assert!(metrics.contains(&format!("{metric}0")), "{service:?}: {metrics}");
        let log = rig.process(service).log();
        for line in ["RabbitMQ is unavailable", "RabbitMQ is available again after "] {
            assert_eq!(log.matches(line).count(), 1, "{service:?}, {line}:\n{log}");
        }
    }
}

#[test]
fn an_order_that_no_queue_takes_is_an_error_to_its_client() {
    let rig = Rig::start(&[]);
    let (queue, exchange) = (rig.queue("inventory"), rig.prefix.clone());
    rig.amqp(async |channel| {
        let (queue, exchange) = (queue.as_str().into(), exchange.as_str().into());
        let key = "order.placed".into();
        channel.queue_unbind(queue, exchange, key, FieldTable::default()).await
    });
    let answer = rig.post("k1", &burgers(1)).unwrap();
    assert_eq!((answer.status, problem(&answer).as_str()), (503, "unroutable"));
    assert!(!answer.body.contains("unknown\""), "{answer:?}");
}

#[test]
fn a_broker_short_of_memory_makes_503_and_nobody_waits() {
    let rig = Rig::with_own_broker(&[], &["vm_memory_high_watermark.absolute = 1MB"]);
    // The broker says so only when somebody publishes.
    let start = Instant::now();
    assert_eq!(rig.post("k0", &burgers(1)).unwrap().status, 503);
    wait::is_true("being told", SOON, || rig.get(Service::Order, "/readyz").status == 503);
    assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
    let start = Instant::now();
    let answer = rig.post("k1", &burgers(1)).unwrap();
    assert_eq!((answer.status, problem(&answer).as_str()), (503, "broker-blocked"));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn a_broker_that_takes_messages_again_gets_orders_again() {
    let proxy = MuteProxy::start(&Rig::shared_broker());
    let rig = Rig::start_through(proxy.address(), &[]);
    proxy.block();
    wait::is_true("being told", SOON, || {
        rig.get(Service::Order, "/readyz").body.contains("rabbitmq-publish")
    });
    let answer = rig.post("k1", &burgers(1)).unwrap();
    assert_eq!((answer.status, problem(&answer).as_str()), (503, "broker-blocked"));
    assert!(answer.header("retry-after").is_some() && !answer.body.contains("unknown"));
    proxy.unblock();
    wait::is_true("being told", SOON, || rig.get(Service::Order, "/readyz").status == 200);
    assert_eq!(rig.post("k1", &burgers(1)).unwrap().status, 202);
    wait::is_true("the outcome", SOON, || rig.status("k1").as_deref() == Some("confirmed"));
}
