//! Many orders in one request.

use testkit::http::{self, HttpAnswer};
use testkit::ledger::{Ledger, Verdict};
use testkit::order_flow::{burgers, of, order_id_of, problem, slug};

use crate::rig::{Rig, Service};

fn post(rig: &Rig, content_type: &str, body: &str) -> HttpAnswer {
    let headers = [("content-type", content_type)];
    let address = rig.address(Service::Order);
    http::request(&address, "POST", "/orders", &headers, body.as_bytes()).expect("an answer")
}

/// What each item came to.
fn statuses(answer: &HttpAnswer) -> Vec<String> {
    let body = answer.json();
    let results = body["results"].as_array().expect("results");
    results.iter().map(|result| result["status"].as_str().expect("a word").to_owned()).collect()
}

#[test]
fn ten_thousand_orders_of_one_batch_have_one_outcome_each() {
    let services = [Service::Inventory, Service::Notification, Service::Order];
    let rig = Rig::start(&services, &[]);
    let lines: String =
        (0..10_000).map(|n| of(["burger", "tea", "few"][n % 3], 1) + "\n").collect();
    let answer = rig.post_lines("k", &lines).unwrap();
    assert_eq!(answer.status, 202, "{:.300}", answer.body);
    let body = answer.json();
    assert_eq!((&body["accepted"], &body["rejected"]), (&10_000.into(), &0.into()));
    assert_eq!(body["results"][7]["order_id"], order_id_of("k#7"));
    let ledger = Ledger::new();
    for n in 0..10_000 {
        let item = ["burger", "tea", "few"][n % 3];
        ledger.note(&format!("k#{n}"), item, 1, Verdict::Accepted);
    }
    // The client's retry of the whole batch places nothing again.
    let again = rig.post_lines("k", &lines).unwrap();
    assert_eq!(again.status, 202);
    assert!(again.json()["results"].as_array().unwrap().iter().all(|one| one["replayed"] == true));
    assert_eq!(rig.records("order-events").len(), 10_000);
    rig.audit(&ledger);
    assert_eq!(rig.metric(Service::Order, "orders_accepted_total"), Some(10_000.0));
}

#[test]
fn a_broken_line_is_the_matter_of_its_own_item() {
    let rig = Rig::start(&Service::FLOW, &[]);
    let good = burgers(1);
    let lines =
        format!("{good}\n{{\"user_id\":\n{}\nnull\n\n{good}\n{}", of("gold", 1), &good[..20]);
    let answer = rig.post_lines("k", &lines).unwrap();
    assert_eq!(answer.status, 207, "{answer:?}");
    let expected = ["accepted", "rejected", "rejected", "rejected", "accepted", "rejected"];
    assert_eq!(statuses(&answer), expected);
    let results = answer.json()["results"].as_array().unwrap().clone();
    let problems = [1, 2, 3, 5].map(|index| slug(&results[index]["problem"]));
    assert_eq!(problems, ["invalid-json", "unknown-item", "invalid-order", "invalid-json"]);
    rig.wait_until_drained();
    assert_eq!(rig.decisions().len(), 2);
}

#[test]
fn an_array_is_placed_as_a_whole_or_not_read_at_all() {
    let rig = Rig::start(&[Service::Order], &[]);
    let good = burgers(1);
    let accepted = post(&rig, "application/json", &format!("[{good}, {good}]"));
    assert_eq!((accepted.status, statuses(&accepted).len()), (202, 2), "{accepted:?}");
    let half = post(&rig, "application/json", &format!("[{good}, {good}"));
    assert_eq!((half.status, problem(&half).as_str()), (400, "invalid-json"));
    let none = post(&rig, "application/json", &format!("[{}]", of("gold", 1)));
    assert_eq!((none.status, statuses(&none)), (422, vec!["rejected".to_owned()]), "{none:?}");
    assert_eq!(rig.records("order-events").len(), 2);
}

#[test]
fn what_is_no_batch_is_refused_as_a_whole() {
    let rig = Rig::start(&[Service::Order], &[]);
    let too_many = format!("{}\n", burgers(1)).repeat(10_001);
    for (content_type, body, status, slug) in [
        ("application/json", "[]", 422, "empty-batch"),
        ("application/x-ndjson", "\n \n", 422, "empty-batch"),
        ("application/x-ndjson", too_many.as_str(), 413, "batch-too-large"),
        ("application/json", burgers(1).as_str(), 400, "invalid-json"),
        ("text/csv", "u1,burger,1", 415, "unsupported-media-type"),
    ] {
        let answer = post(&rig, content_type, body);
        assert_eq!((answer.status, problem(&answer).as_str()), (status, slug), "{answer:?}");
    }
    let too_long = " ".repeat(8 * 1024 * 1024 + 1);
    let headers = [("content-type", "application/json")];
    let address = rig.address(Service::Order);
    let answer = http::request(&address, "POST", "/orders", &headers, too_long.as_bytes());
    // It may close the connection before all was sent.
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 413));
    let get = rig.get(Service::Order, "/orders");
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    assert_eq!(rig.records("order-events").len(), 0);
}
