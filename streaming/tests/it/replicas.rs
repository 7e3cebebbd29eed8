//! Two instances of each service do what one does.

use std::collections::BTreeMap;

use order_schemas::Notification;
use testkit::order_flow::{burgers, of, order_id_of, problem};
use testkit::{http, wait};

use crate::rig::{Rig, SOON, Service, decode_all};

const ORDERS: usize = 60;

#[test]
fn two_instances_of_each_service_do_what_one_does() {
    let all = [Service::Inventory, Service::Analytics, Service::Notification, Service::Order];
    let rig = Rig::start(&all, &[]);
    let others = all.map(|service| rig.start_beside(service, &[]));
    let both = |service: Service| {
        let at = all.iter().position(|known| *known == service).expect("among them");
        [rig.address(service), others[at].1.clone()]
    };
    for address in all.into_iter().flat_map(both) {
        wait::is_true("being ready", SOON, || {
            http::get(&address, "/readyz").is_ok_and(|ready| ready.status == 200)
        });
    }

    let fronts = both(Service::Order);
    place_at_each(&fronts);
    rig.wait_until_drained();

    let decisions = rig.decisions();
    assert_eq!(decisions.len(), ORDERS);
    assert!(decisions.values().all(|decided| decided.len() == 1), "each is decided once");
    let confirmed = decisions.values().filter(|decided| decided[0].reason.is_none()).count();
    assert_eq!(confirmed, 3 + ORDERS - 10);
    for n in 0..ORDERS {
        let path = format!("/orders/{}", order_id_of(&format!("k{n}")));
        let statuses = wait::until("the outcome at both", SOON, || {
            let told = fronts.clone().map(|front| http::get(&front, &path).expect("an answer"));
            let told = told.map(|answer| answer.json()["status"].as_str().map(str::to_owned));
            let is_over = |status: &Option<String>| {
                status.as_deref().is_some_and(|status| status != "pending")
            };
            told.iter().all(is_over).then_some(told)
        });
        assert_eq!(statuses[0], statuses[1], "k{n}");
    }
    let sum = |service: Service, path: &str, member: &str| -> u64 {
        let each = both(service).map(|address| http::get(&address, path).expect("an answer"));
        each.iter().map(|answer| answer.json()[member].as_u64().expect("a number")).sum()
    };
    wait::is_true("the stock", SOON, || {
        sum(Service::Inventory, "/stock/few", "reserved") == 3
            && sum(Service::Inventory, "/stock/burger", "reserved") == (ORDERS - 10) as u64
    });
    wait::is_true("the count", SOON, || {
        sum(Service::Analytics, "/analytics", "total") == ORDERS as u64
    });
    let told = wait::until("the messages", SOON, || {
        let told = decode_all::<Notification>(&rig.records("notification-events"));
        (told.len() >= ORDERS).then_some(told)
    });
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for message in told {
        *times.entry(message.order_id).or_default() += 1;
    }
    assert_eq!(times.len(), ORDERS);
    assert!(times.values().all(|times| *times == 1), "each customer is told once: {times:?}");

    a_key_belongs_to_one_order_wherever_it_was_taken(&fronts);
}

/// Each order is placed at both; of `few` there are three.
fn place_at_each(fronts: &[String; 2]) {
    let body = |n: usize| if n < 10 { of("few", 1) } else { burgers(1) };
    std::thread::scope(|scope| {
        for address in fronts {
            scope.spawn(move || {
                for n in 0..ORDERS {
                    let (key, body) = (format!("k{n}"), body(n));
                    let headers = [("idempotency-key", key.as_str())];
                    let answer = http::post_json(address, "/order", &headers, &body);
                    assert_eq!(answer.expect("an answer").status, 202, "{key}");
                }
            });
        }
    });
}

fn a_key_belongs_to_one_order_wherever_it_was_taken(fronts: &[String; 2]) {
    let headers = [("idempotency-key", "one")];
    let first = http::post_json(&fronts[0], "/order", &headers, &burgers(1)).expect("an answer");
    assert_eq!(first.status, 202);
    let path = format!("/orders/{}", order_id_of("one"));
    wait::is_true("the other one to know it", SOON, || {
        http::get(&fronts[1], &path).is_ok_and(|answer| answer.status == 200)
    });
    let other = http::post_json(&fronts[1], "/order", &headers, &burgers(2)).expect("an answer");
    assert_eq!((other.status, problem(&other).as_str()), (422, "key-reused"));
}

#[test]
fn an_order_that_is_on_its_way_is_pending_at_each_instance() {
    let rig = Rig::start(&[Service::Order], &[]);
    let (_other, address) = rig.start_beside(Service::Order, &[]);
    assert_eq!(rig.post("k", &burgers(2)).unwrap().status, 202);
    let path = format!("/orders/{}", order_id_of("k"));
    let told = wait::until("the order", SOON, || {
        let answer = http::get(&address, &path).expect("an answer");
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!((&told["status"], &told["quantity"]), (&"pending".into(), &2.into()));
}
