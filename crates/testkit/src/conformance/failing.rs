//! What inventory cannot decide about: orders past the front, bytes that are none, attempts that fail.

use std::time::{Duration, Instant};

use orders::Order;

use super::client::SOON;
use super::flow::{DeadLetter, Flow, Service};
use super::front::own;
use super::starting::ends_with_2;
use crate::order_flow::{burgers, problem};
use crate::wait;

/// Flags under which every attempt fails.
pub(super) const ARGS: &[&str] =
    &["--simulate-failures", "1", "--max-retries", "1", "--retry-delay", "1s"];

/// The delay that they set.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Not a frame, since that begins with a zero byte.
const UNREADABLE: &[u8] = b"\x01not an order";

/// Orders that no front takes.
fn broken_orders() -> [Order; 3] {
    [("zero", 0), ("minus", -5), ("much", 1_000_001)]
        .map(|(id, quantity)| Order { quantity, ..own(id) })
}

pub(super) fn broken_rule_in_the_answer(flow: &mut dyn Flow) {
    let before = flow.reserved_at_rest("burger");
    for order in broken_orders() {
        let answer = flow.hand_over(&order).expect("an answer");
        assert_eq!((answer.status, problem(&answer).as_str()), (422, "invalid-order"));
    }
    assert_eq!(flow.reserved("burger"), before);
}

pub(super) fn broken_rule(flow: &mut dyn Flow) {
    let before = flow.reserved_at_rest("burger");
    let nobody = Order { user_id: Some(" ".to_owned()), ..own("nobodys") };
    for order in broken_orders().into_iter().chain([nobody]) {
        assert_eq!(flow.hand_over(&order), None);
        let known = flow.settled(&order.order_id);
        assert_eq!(known["status"], "failed", "{known}");
        assert_eq!(known["reason"], "invalid-order", "{known}");
    }
    flow.wait_reserved("burger", before);
}

pub(super) fn handed_over_again(flow: &mut dyn Flow) {
    let before = flow.reserved_at_rest("burger");
    let order = own("again");
    let first = flow.hand_over(&order);
    let second = flow.hand_over(&order);
    assert_eq!(first.map(|answer| answer.status), second.map(|answer| answer.status));
    flow.wait_until_idle();
    flow.wait_reserved("burger", before + 2);
    flow.kill_9(Service::Inventory);
    flow.start_again(Service::Inventory);
    flow.hand_over(&order);
    // What is decided after it shows that it was looked at.
    let marker = flow.place_when_ready("again-marker", &burgers(1));
    flow.confirmed(&marker);
    flow.wait_until_idle();
    flow.wait_reserved("burger", before + 3);
}

/// Where a request stands in place of a message, its sender is told.
pub(super) fn unreadable_is_answered(flow: &mut dyn Flow) {
    let answer = flow.hand_over_bytes("unreadable", UNREADABLE).expect("an answer");
    assert_eq!((answer.status, problem(&answer).as_str()), (400, "invalid-json"));
}

pub(super) fn unreadable(flow: &mut dyn Flow) {
    assert_eq!(flow.hand_over_bytes("unreadable", UNREADABLE), None);
    let id = flow.place("readable", &burgers(1));
    flow.confirmed(&id);
    let dead = dead_letter(flow, |dead| dead.value == UNREADABLE);
    let found = (dead.class.as_str(), dead.reason.as_str(), dead.attempt.as_str());
    assert_eq!(found, ("malformed", "bad-magic", "1"));
}

/// Waits for a dead letter.
fn dead_letter(flow: &mut dyn Flow, is_it: impl Fn(&DeadLetter) -> bool) -> DeadLetter {
    wait::until("a dead letter", SOON, || flow.dead_letters().into_iter().find(|dead| is_it(dead)))
}

/// There is no setting for what is not there.
pub(super) fn no_retries(flow: &mut dyn Flow) {
    ends_with_2(flow, &["all", "--max-retries", "1"], "--max-retries");
}

pub(super) fn tried_again(flow: &mut dyn Flow) {
    let before = flow.dead_letters().len();
    let began_at = Instant::now();
    flow.place("tried-again", &burgers(1));
    let dead = wait::until("a dead letter", SOON, || flow.dead_letters().into_iter().nth(before));
    assert!(began_at.elapsed() >= RETRY_DELAY, "{:?}", began_at.elapsed());
    let found = (dead.class.as_str(), dead.reason.as_str(), dead.attempt.as_str());
    assert_eq!(found, ("transient", "simulated", "2"));
    assert_eq!(flow.reserved("burger"), 0);
}

pub(super) fn failed_with_its_class(flow: &mut dyn Flow) {
    let id = flow.place("failed", &burgers(2));
    let order = flow.settled(&id);
    assert_eq!((&order["status"], &order["item"]), (&"failed".into(), &"burger".into()));
    assert_eq!((&order["class"], &order["reason"]), (&"transient".into(), &"simulated".into()));
    let again = flow.post("failed", &burgers(2));
    assert_eq!((again.status, again.header("idempotent-replayed")), (202, Some("true")));
    assert_eq!(again.json()["class"], "transient");
    assert_eq!(flow.told(&id), 0);
}

pub(super) fn sent_back(flow: &mut dyn Flow) {
    let id = flow.place("sent-back", &burgers(2));
    assert_eq!(flow.settled(&id)["class"], "transient");
    flow.set_args(&[]);
    for service in Service::ALL {
        flow.kill_9(service);
        flow.start_again(service);
    }
    assert_eq!(flow.redrive(&id), 1);
    wait::is_true("the order being confirmed", SOON, || {
        flow.known(&id).is_some_and(|order| order["status"] == "confirmed")
    });
    let order = flow.known(&id).expect("it is known");
    assert!(order["class"].is_null() && order["reason"].is_null(), "{order}");
    flow.told_once(&id);
    assert_eq!(flow.redrive(&id), 0, "there is nothing left to send");
    flow.wait_reserved("burger", 2);
}
