//! A service is slow, away, or comes back.

use std::time::{Duration, Instant};

use testkit::order_flow::{burgers, order_id_of, problem};
use testkit::{oracle, wait};

use crate::rig::{Rig, SOON, Service, order_id};

/// What "at once" means on a machine that is busy with other tests.
const AT_ONCE: Duration = Duration::from_millis(1_500);

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began_at = Instant::now();
    let result = work();
    (result, began_at.elapsed())
}

#[test]
fn a_service_that_is_slow_is_504_at_the_deadline() {
    let rig = Rig::start(&["--inventory-delay", "30s", "--deadline", "2s"]);
    let (slow, slow_took) = timed(|| rig.post(&burgers(1)));
    assert_eq!((slow.status, problem(&slow).as_str()), (504, "deadline-exceeded"));
    assert_eq!(slow.json()["service"], "inventory");
    assert_eq!(slow.json()["outcome"], "unknown", "it was asked");
    assert!((2..4).contains(&slow_took.as_secs()), "{slow_took:?}");
}

#[test]
fn a_callers_deadline_is_kept_and_what_it_left_behind_is_given_back() {
    let rig = Rig::start(&["--inventory-delay", "1s"]);
    let headers = [("x-deadline-ms", "300"), ("idempotency-key", "k")];
    let (answer, elapsed) = timed(|| rig.post_with(&headers, &burgers(1)).expect("an answer"));
    assert_eq!((answer.status, problem(&answer).as_str()), (504, "deadline-exceeded"));
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
    let over = rig.post_with(&[("x-deadline-ms", "0")], &burgers(1)).expect("an answer");
    assert_eq!(over.status, 504);
    let released = "sync_orders_seen_to_total{result=\"released\"}";
    wait::is_true("the release", SOON, || rig.metric(Service::Order, released) >= 1.0);
    assert_eq!(rig.taken("burger"), 0, "inventory did not begin what was over");
    let again = rig.post_keyed("k", &burgers(1)).expect("an answer");
    assert_eq!(again.status, 200, "a later attempt is not harmed by the release: {again:?}");
    assert_eq!(rig.taken("burger"), 1);
}

#[test]
fn an_order_whose_user_may_have_been_told_is_completed() {
    let rig = Rig::start(&["--notification-delay", "700ms", "--deadline", "5s"]);
    let headers = [("x-deadline-ms", "400"), ("idempotency-key", "k")];
    let answer = rig.post_with(&headers, &burgers(2)).expect("an answer");
    assert_eq!(answer.status, 504, "{answer:?}");
    assert_eq!(answer.json()["outcome"], "unknown");
    let completed = "sync_orders_seen_to_total{result=\"completed\"}";
    wait::is_true("the completion", SOON, || rig.metric(Service::Order, completed) >= 1.0);
    let again = rig.post_keyed("k", &burgers(2)).expect("an answer");
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert!(rig.is_notified(&order_id(&again)));
    assert_eq!(rig.taken("burger"), 2);
}

#[test]
fn a_retry_that_fails_early_does_not_undo_what_its_first_try_may_have_told() {
    let mut rig = Rig::start(&["--notification-delay", "10s"]);
    let headers = [("x-deadline-ms", "400"), ("idempotency-key", "k")];
    let first = rig.post_with(&headers, &burgers(1)).expect("an answer");
    assert_eq!((first.status, &first.json()["outcome"]), (504, &"unknown".into()));
    rig.kill_9(Service::Notification);
    let second = rig.post_keyed("k", &burgers(1)).expect("an answer");
    assert_eq!((second.status, problem(&second).as_str()), (503, "downstream-away"));
    assert_eq!(second.json()["outcome"], "unknown", "the first try may have told the user");
    assert_eq!(rig.taken("burger"), 1);
    rig.set_args(&[]);
    rig.restart(Service::Notification);
    let id = order_id(&second);
    wait::is_true("the completion", SOON, || rig.status_of(&id).as_deref() == Some("confirmed"));
    assert!(rig.is_notified(&id));
    assert_eq!(rig.taken("burger"), 1);
}

#[test]
fn an_attempt_that_fails_on_request_is_503_and_the_next_one_of_the_same_order_may_succeed() {
    let rig = Rig::start(&["--simulate-failures", "0.5", "--failure-seed", "7"]);
    // Fails once, and then no more.
    let mut keys = (0..).map(|n| format!("k-{n}"));
    let fails = |key: &str, attempt| oracle::fails(&order_id_of(key), attempt, 7, 0.5);
    let key = keys.find(|key| fails(key, 1) && !fails(key, 2)).expect("a quarter of them");
    let first = rig.post_keyed(&key, &burgers(1)).expect("an answer");
    assert_eq!((first.status, problem(&first).as_str()), (503, "downstream-overloaded"));
    assert!(first.header("retry-after").is_some(), "{first:?}");
    assert!(first.json()["outcome"].is_null(), "nothing was done: {first:?}");
    assert_eq!(rig.taken("burger"), 0);
    let second = rig.post_keyed(&key, &burgers(1)).expect("an answer");
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(rig.taken("burger"), 1);
    assert!(rig.is_notified(&order_id(&second)));
}

#[test]
fn tiny_deadlines_of_one_client_do_not_open_the_breaker_for_others() {
    let rig = Rig::start(&["--inventory-delay", "300ms"]);
    for _ in 0..10 {
        let headers = [("x-deadline-ms", "50")];
        assert_eq!(rig.post_with(&headers, &burgers(1)).expect("an answer").status, 504);
    }
    assert_eq!(rig.post(&burgers(1)).status, 200);
    assert_eq!(rig.metric(Service::Order, "sync_breaker_open{service=\"inventory\"}"), 0.0);
}

#[test]
fn the_breaker_opens_while_a_service_is_away_and_closes_when_it_is_back() {
    let mut rig = Rig::start(&[]);
    assert_eq!(rig.post(&burgers(1)).status, 200);
    rig.kill_9(Service::Inventory);
    let open = "sync_breaker_open{service=\"inventory\"}";
    wait::is_true("the breaker to open", SOON, || {
        assert_eq!(rig.post(&burgers(1)).status, 503);
        rig.metric(Service::Order, open) == 1.0
    });
    let asked = "sync_call_seconds_count{service=\"notification\",result=\"answered\"}";
    let asked_before = rig.metric(Service::Order, asked);
    let (answer, elapsed) = timed(|| rig.post(&burgers(1)));
    assert_eq!((answer.status, problem(&answer).as_str()), (503, "downstream-away"));
    assert!(answer.json()["detail"].as_str().expect("text").contains("a moment ago"));
    assert!(elapsed < AT_ONCE, "{elapsed:?}");
    assert_eq!(rig.metric(Service::Order, asked), asked_before);
    let ready = rig.get(Service::Order, "/readyz", "/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["reasons"][0]["condition"], "inventory");
    assert_eq!(rig.get(Service::Order, "/health", "/health").status, 200, "it lives");
    assert_eq!(rig.metric(Service::Order, "orders_unavailable{what=\"inventory\"}"), 1.0);
    rig.restart(Service::Inventory);
    // Nobody sends it orders before it is ready: it looks by itself.
    rig.wait_ready();
    assert_eq!(rig.metric(Service::Order, open), 0.0);
    assert_eq!(rig.post(&burgers(1)).status, 200);
    let log = rig.process(Service::Order).log();
    for line in
        ["the inventory service is unavailable", "the inventory service is available again after "]
    {
        assert_eq!(log.matches(line).count(), 1, "{line}:\n{log}");
    }
}

#[test]
fn a_slow_service_opens_the_breaker_as_slow() {
    let rig = Rig::start(&["--inventory-delay", "30s", "--deadline", "100ms"]);
    let last = wait::until("the breaker to open", SOON, || {
        let answer = rig.post(&burgers(1));
        (answer.status == 503).then_some(answer)
    });
    assert_eq!(problem(&last), "downstream-slow");
    assert!(last.json()["outcome"].is_null(), "it was not asked");
    // What was asked is released meanwhile, which is answered quickly and proves nothing.
    let released = "sync_orders_seen_to_total{result=\"released\"}";
    wait::is_true("the releases", SOON, || rig.metric(Service::Order, released) >= 5.0);
    assert_eq!(rig.metric(Service::Order, "sync_breaker_open{service=\"inventory\"}"), 1.0);
    assert_eq!(rig.taken("burger"), 0);
}
