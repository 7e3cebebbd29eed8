//! More than one instance of a service: together they do what one does, or they are refused.

use testkit::order_flow::{burgers, of, order_id_of, problem};
use testkit::{HttpAnswer, http, wait};

use crate::rig::{Rig, SOON, Service, is_described};

fn post(address: &str, key: &str, body: &str) -> HttpAnswer {
    let answer = http::post_json(address, "/order", &[("idempotency-key", key)], body);
    let answer = answer.expect("an answer");
    is_described("/order", "post", &answer);
    answer
}

#[test]
fn two_order_services_place_an_order_once_whichever_is_asked() {
    let rig = Rig::start(&[]);
    let (_second, second) = rig.start_beside(Service::Order, "127.0.0.1:0", "other", &[]);
    let both = [rig.address(Service::Order), second];
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let place = |n: usize| {
            let address = &both[n % 2];
            scope.spawn(move || post(address, &format!("k{}", n / 2), &of("dozen", 1)).status)
        };
        let clients: Vec<_> = (0..40).map(place).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).collect()
    });
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(200), count(409)), (24, 16), "twelve of twenty, each at both: {statuses:?}");
    assert_eq!(rig.taken("dozen"), 12);
    for n in 0..20 {
        let id = order_id_of(&format!("k{n}"));
        let is_placed = rig.reservation_of(&id).as_deref() == Some("reserved");
        assert_eq!(rig.is_notified(&id), is_placed, "k{n}");
        for address in &both {
            let known = http::get(address, &format!("/orders/{id}")).expect("an answer").json();
            assert_eq!(known["status"], if is_placed { "confirmed" } else { "failed" }, "k{n}");
        }
    }
    // A key belongs to one order, also where another instance took it.
    assert_eq!(post(&both[0], "one", &burgers(1)).status, 200);
    let other = post(&both[1], "one", &burgers(2));
    assert_eq!((other.status, problem(&other).as_str()), (422, "key-reused"));
    assert_eq!(rig.taken("burger"), 1);
}

#[test]
fn an_instance_with_a_folder_of_its_own_gives_nothing_away() {
    for service in [Service::Inventory, Service::Notification] {
        let mut rig = Rig::start(&[]);
        assert_eq!(rig.post(&of("dozen", 7)).status, 200);
        let at = rig.address(service);
        rig.kill_9(service);
        let (mut other, _) = rig.start_beside(service, &at, "other", &[]);
        let refused = rig.post_keyed("k", &of("dozen", 5)).expect("an answer");
        assert_eq!((refused.status, problem(&refused).as_str()), (503, "downstream-away"));
        let detail = refused.json()["detail"].as_str().expect("text").to_owned();
        assert!(
            detail.contains("--standby") && detail.contains("--accept-other-stores"),
            "{detail}"
        );
        if service == Service::Inventory {
            assert_eq!(rig.taken("dozen"), 0, "the other one was not asked for anything");
        }
        // The one before is back.
        other.kill_9();
        rig.restart(service);
        wait::is_true("the order", SOON, || {
            rig.post_keyed("k", &of("dozen", 5)).expect("an answer").status == 200
        });
        assert_eq!(rig.taken("dozen"), 12);
        assert_eq!(rig.post(&of("dozen", 1)).status, 409);
    }
}

#[test]
fn another_folder_is_taken_where_the_operator_says_so() {
    let mut rig = Rig::start(&[]);
    assert_eq!(rig.post(&of("dozen", 12)).status, 200);
    let at = rig.address(Service::Inventory);
    rig.kill_9(Service::Inventory);
    let (_other, _) = rig.start_beside(Service::Inventory, &at, "other", &[]);
    assert_eq!(rig.post(&of("dozen", 1)).status, 503);
    rig.set_args(&["--accept-other-stores"]);
    rig.restart(Service::Order);
    assert_eq!(rig.post(&of("dozen", 1)).status, 200);
    assert_eq!(rig.taken("dozen"), 1);
    rig.set_args(&[]);
    rig.restart(Service::Order);
    assert_eq!(rig.post(&of("dozen", 1)).status, 200, "it is remembered");
}

#[test]
fn a_standby_takes_over_with_all_that_the_active_one_knew() {
    for service in Service::ALL {
        let mut rig = Rig::start(&[]);
        assert_eq!(rig.post_keyed("k", &of("dozen", 7)).expect("an answer").status, 200);
        let at = rig.address(service);
        let mut standby = rig.stand_by(service, &at);
        standby.wait_for_log("on standby", SOON);
        rig.kill_9(service);
        standby.address_of(service.name());
        wait::is_true("the order", SOON, || {
            rig.post_keyed("k2", &of("dozen", 5)).expect("an answer").status == 200
        });
        let again = rig.post_keyed("k", &of("dozen", 7)).expect("an answer");
        assert_eq!((again.status, again.header("idempotent-replayed")), (200, Some("true")));
        assert_eq!((rig.taken("dozen"), rig.post(&of("dozen", 1)).status), (12, 409));
        assert!(rig.is_notified(&order_id_of("k")) && rig.is_notified(&order_id_of("k2")));
    }
}

#[test]
fn a_standby_that_never_had_its_turn_ends_with_0() {
    let rig = Rig::start(&[]);
    let mut standby = rig.stand_by(Service::Inventory, "127.0.0.1:0");
    standby.wait_for_log("on standby", SOON);
    standby.sigterm();
    standby.wait(SOON).expect_code(0);
}
