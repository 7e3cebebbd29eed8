//! Two instances of a service: what they do together, and what is refused.

use std::sync::atomic::{AtomicBool, Ordering};

use lapin::options::{QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use order_schemas::InventoryResult;
use orders::{InventoryOutcome, Order};
use testkit::http::{self, HttpAnswer};
use testkit::order_flow::{burgers, of, order_id_of, problem, under_load, wait_for_more};
use testkit::{Ledger, wait};

use crate::rig::{Rig, SOON, Service};

/// What one instance says.
fn get(address: &str, path: &str) -> HttpAnswer {
    http::get(address, path).expect("an answer")
}

fn post(address: &str, key: &str, body: &str) -> HttpAnswer {
    http::post_json(address, "/order", &[("idempotency-key", key)], body).expect("an answer")
}

/// Waits until an instance knows this of an order.
#[track_caller]
fn wait_for_status(address: &str, key: &str, status: &str) {
    let path = format!("/orders/{}", order_id_of(key));
    wait::is_true(&format!("{key} {status}"), SOON, || {
        let answer = get(address, &path);
        answer.status == 200 && answer.json()["status"] == status
    });
}

#[test]
fn a_second_inventory_or_notification_with_a_folder_of_its_own_is_refused() {
    let rig = Rig::start(&[]);
    for service in [Service::Inventory, Service::Notification] {
        for attempt in ["first", "again"] {
            let finished = rig.run_beside(service, "another");
            assert_eq!(finished.code, Some(1), "{attempt}: {finished:?}");
            for named in ["another", "--data-dir", "--standby", "owner"] {
                assert!(finished.stderr.contains(named), "{named}: {}", finished.stderr);
            }
        }
    }
    assert_eq!(rig.post("k1", &burgers(1)).unwrap().status, 202);
    wait::is_true("the customer being told", SOON, || rig.is_told("k1"));
}

#[test]
fn the_folder_that_has_the_stock_is_known_for_as_long_as_the_broker_is() {
    let mut rig = Rig::start(&[]);
    assert_eq!(rig.post("k1", &of("few", 3)).unwrap().status, 202);
    wait::is_true("the outcome", SOON, || rig.status("k1").as_deref() == Some("confirmed"));
    rig.services.stop(Service::Inventory.name());
    // Nobody is there, and the stock is all the same not this one's.
    assert_eq!(rig.run_beside(Service::Inventory, "another").code, Some(1));
    rig.start_one(Service::Inventory);
    assert_eq!(rig.post("k2", &of("few", 1)).unwrap().status, 202);
    wait::is_true("the outcome", SOON, || rig.status("k2").as_deref() == Some("failed"));
    assert_eq!(rig.reserved("few"), 3);
}

#[test]
fn a_standby_says_so_and_takes_over_the_stock_of_the_one_that_is_killed() {
    let mut rig = Rig::start(&[]);
    let standby = rig.start_beside(Service::Inventory, "data", &["--standby"]);
    assert_eq!(get(&standby.address, "/livez").status, 200);
    let ready = get(&standby.address, "/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("standby") && ready.body.contains("inventory.redb"), "{ready:?}");
    let stock = get(&standby.address, "/stock");
    assert_eq!((stock.status, problem(&stock).as_str()), (503, "standby"));
    assert_eq!(rig.post("k1", &of("few", 2)).unwrap().status, 202);
    wait::is_true("the outcome", SOON, || rig.status("k1").as_deref() == Some("confirmed"));
    let address = standby.address.clone();
    rig.kill_and_replace(standby);
    // While it changes from a standby to the service, a connection may end without an answer.
    wait::is_true("it has taken over", SOON, || {
        http::get(&address, "/readyz").is_ok_and(|answer| answer.status == 200)
    });
    assert_eq!(rig.reserved("few"), 2);
    for key in ["k2", "k3"] {
        assert_eq!(rig.post(key, &of("few", 1)).unwrap().status, 202);
        wait::is_true("the outcome", SOON, || {
            rig.status(key).is_some_and(|status| status != "pending")
        });
    }
    assert_eq!(rig.status("k2").as_deref(), Some("confirmed"));
    assert_eq!(rig.status("k3").as_deref(), Some("failed"));
    assert_eq!(rig.reserved("few"), 3);
}

#[test]
fn a_standby_that_is_asked_to_stop_ends_with_0() {
    let rig = Rig::start(&[]);
    let standby = rig.start_beside(Service::Notification, "data", &["--standby"]);
    let finished = standby.process.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

#[test]
fn each_of_two_order_services_knows_every_order_and_one_that_comes_later_as_well() {
    let mut rig = Rig::start(&[]);
    let other = rig.start_beside(Service::Order, "other", &[]);
    let first = rig.address(Service::Order);
    let fronts = [first.as_str(), other.address.as_str()];
    for n in 0..20 {
        let answer = post(fronts[n % 2], &format!("k{n}"), &burgers(1));
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    for n in 0..20 {
        for front in fronts {
            wait_for_status(front, &format!("k{n}"), "confirmed");
        }
    }
    let asked = get(fronts[1], &format!("/orders/{}", order_id_of("k0"))).json();
    assert_eq!((&asked["item"], &asked["quantity"]), (&"burger".into(), &1.into()));
    // A retry at the other front is the same order.
    let again = post(fronts[1], "k0", &burgers(1));
    assert_eq!((again.status, &again.json()["order_id"]), (202, &order_id_of("k0").into()));

    // An order that is not decided yet is pending at both.
    rig.services.stop(Service::Inventory.name());
    assert_eq!(post(fronts[0], "late", &burgers(1)).status, 202);
    for front in fronts {
        wait_for_status(front, "late", "pending");
    }
    rig.start_one(Service::Inventory);
    let third = rig.start_beside(Service::Order, "third", &[]);
    rig.process(Service::Order).kill_9();
    for front in [fronts[1], third.address.as_str()] {
        wait_for_status(front, "late", "confirmed");
        wait_for_status(front, "k7", "confirmed");
    }
    assert_eq!(rig.reserved("burger"), 21, "each order once");
}

/// Clients that place orders at the same time.
const CLIENTS: u32 = 4;
/// Orders between two events.
const BETWEEN: usize = 60;

#[test]
fn two_of_each_service_do_what_one_does_also_when_the_active_ones_are_killed_under_load() {
    let mut rig = Rig::start(&["--prefetch", "16"]);
    rig.listen();
    let other = rig.start_beside(Service::Order, "other", &[]);
    let inventory = rig.start_beside(Service::Inventory, "data", &["--standby"]);
    let notification = rig.start_beside(Service::Notification, "data", &["--standby"]);
    let fronts = [rig.address(Service::Order), other.address.clone()];
    let client = |client: u32, ledger: &Ledger, is_over: &AtomicBool| {
        for n in 0_usize.. {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            let key = format!("c{client}-{n}");
            // Every ninth order asks for what there are three of.
            let item = if n % 9 == 0 { "few" } else { "burger" };
            let headers = [("idempotency-key", key.as_str())];
            let answer = http::post_json(&fronts[n % 2], "/order", &headers, &of(item, 1));
            ledger.note_answer(&key, item, 1, &answer);
        }
    };
    let ledger = under_load(CLIENTS, client, |ledger| {
        wait_for_more(ledger, BETWEEN, SOON);
        rig.kill_and_replace(inventory);
        wait_for_more(ledger, BETWEEN, SOON);
        rig.kill_and_replace(notification);
        wait_for_more(ledger, BETWEEN, SOON);
    });
    rig.wait_until_drained(&ledger);
    rig.audit(&ledger);
    assert_eq!(rig.reserved("few"), 3, "never more than there are");
    for key in ledger.entries().keys() {
        let known = rig.status(key);
        wait::is_true("the other front knows the same", SOON, || {
            let answer = get(&fronts[1], &format!("/orders/{}", order_id_of(key)));
            answer.status == 200 && answer.json()["status"].as_str() == known.as_deref()
        });
    }
    drop(other);
}

#[test]
fn outcomes_that_an_earlier_version_left_in_its_queue_are_taken_over_and_the_queue_goes() {
    let mut rig = Rig::start(&[]);
    rig.process(Service::Order).kill_9();
    let order = Order::new("o-before", "burger", 9.5);
    let decided = InventoryResult::new(&order, InventoryOutcome::Reserved, 7);
    let body = rig.framed("inventory.decided", &decided);
    let queue = rig.queue("outcomes");
    let exchange = rig.prefix.clone();
    rig.amqp(async |channel| {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        channel.queue_declare(queue.as_str().into(), options, arguments).await?;
        let (name, key) = (queue.as_str().into(), "inventory.decided".into());
        let options = QueueBindOptions::default();
        channel
            .queue_bind(name, exchange.as_str().into(), key, options, FieldTable::default())
            .await
    });
    rig.publish("", &queue, &body);
    rig.restart(Service::Order);
    wait::is_true("the outcome", SOON, || {
        rig.get(Service::Order, "/orders/o-before").status == 200
    });
    wait::is_true("the queue is gone", SOON, || rig.depth_if_any("outcomes").is_none());
}

#[test]
fn a_stream_that_was_made_anew_is_read_from_its_beginning() {
    let rig = Rig::start(&[]);
    for n in 0..3 {
        assert_eq!(rig.post(&format!("k{n}"), &burgers(1)).unwrap().status, 202);
    }
    for n in 0..3 {
        let key = format!("k{n}");
        wait::is_true("the outcome", SOON, || rig.status(&key).as_deref() == Some("confirmed"));
    }
    let stream = rig.queue("events");
    rig.amqp(async |channel| {
        let options = QueueDeleteOptions::default();
        channel.queue_delete(stream.as_str().into(), options).await.map(|_| ())
    });
    wait::is_true("the stream is there again", SOON, || {
        rig.depth_if_any("events").is_some() && {
            let bindings = rig.managed(&format!("queues/%2F/{stream}/bindings"));
            let all = bindings.as_array().expect("a list");
            all.iter().any(|binding| binding["source"] == rig.prefix.as_str())
        }
    });
    assert_eq!(rig.post("k4", &burgers(1)).unwrap().status, 202);
    wait::is_true("the outcome", SOON, || rig.status("k4").as_deref() == Some("confirmed"));
}
