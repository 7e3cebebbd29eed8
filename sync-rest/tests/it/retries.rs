//! A client's retry under its key.

use std::collections::BTreeSet;

use crate::rig::{Rig, Service, order_id};
use testkit::order_flow::{burgers, of, problem};

#[test]
fn the_same_key_gets_the_same_answer_and_reserves_once() {
    let rig = Rig::start(&[]);
    let first = rig.post_keyed("k1", &burgers(2)).expect("an answer");
    let again = rig.post_keyed("k1", &burgers(2)).expect("an answer");
    assert_eq!((first.status, &first.body), (200, &again.body));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.header("idempotent-replayed"), None);
    let other = rig.post_keyed("k2", &burgers(2)).expect("an answer");
    assert_ne!(order_id(&other), order_id(&first));
    assert_eq!(rig.taken("burger"), 4);
}

#[test]
fn a_refusal_is_repeated_too() {
    let rig = Rig::start(&[]);
    let first = rig.post_keyed("k", &of("last one", 2)).expect("an answer");
    assert_eq!(first.status, 409);
    let again = rig.post_keyed("k", &of("last one", 2)).expect("an answer");
    assert_eq!((again.status, &again.body), (409, &first.body));
}

#[test]
fn the_same_key_with_another_order_is_422() {
    let rig = Rig::start(&[]);
    assert_eq!(rig.post_keyed("k", &burgers(1)).expect("an answer").status, 200);
    for body in [burgers(2), of("dozen", 1)] {
        let answer = rig.post_keyed("k", &body).expect("an answer");
        assert_eq!((answer.status, problem(&answer).as_str()), (422, "key-reused"));
    }
    assert_eq!(rig.taken("burger"), 1);
}

#[test]
fn of_many_at_once_one_places_the_order_and_the_others_wait_or_get_its_answer() {
    let rig = Rig::start(&["--inventory-delay", "500ms"]);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let one = |_| scope.spawn(|| rig.post_keyed("k", &burgers(3)).expect("an answer"));
        let clients: Vec<_> = (0..20).map(one).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).collect()
    });
    let mut ids = BTreeSet::new();
    for answer in &answers {
        match answer.status {
            200 => {}
            409 => assert_eq!(problem(answer), "in-progress"),
            _ => panic!("{answer:?}"),
        }
        ids.insert(order_id(answer));
    }
    assert!(answers.iter().any(|answer| answer.status == 200));
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(rig.taken("burger"), 3);
    let last = rig.post_keyed("k", &burgers(3)).expect("an answer");
    assert_eq!(last.status, 200);
}

#[test]
fn the_answer_survives_kill_9_of_all_three() {
    let mut rig = Rig::start(&[]);
    let first = rig.post_keyed("k", &burgers(2)).expect("an answer");
    for service in Service::ALL {
        rig.restart(service);
    }
    let again = rig.post_keyed("k", &burgers(2)).expect("an answer");
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(rig.taken("burger"), 2);
}

#[test]
fn a_retry_after_a_crash_between_reservation_and_stored_outcome_reserves_once() {
    let mut rig = Rig::start(&["--notification-delay", "1s"]);
    let address = rig.address(Service::Order);
    let body = burgers(4);
    let client = std::thread::spawn(move || {
        let headers = [("idempotency-key", "k")];
        testkit::http::post_json(&address, "/order", &headers, &body)
    });
    testkit::wait::is_true("the reservation", crate::rig::SOON, || rig.taken("burger") == 4);
    rig.kill_9(Service::Order);
    assert!(client.join().expect("a client").is_err(), "it was killed under the request");
    rig.restart(Service::Order);
    let again = rig.post_keyed("k", &burgers(4)).expect("an answer");
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), None, "it had not been stored");
    assert_eq!(rig.taken("burger"), 4);
    assert!(rig.is_notified(&order_id(&again)));
}
