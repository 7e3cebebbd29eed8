//! All three are well.

use testkit::http::{self, HttpAnswer};
use testkit::order_flow::{burgers, of, problem};

use crate::rig::{Rig, SOON, Service, is_described, openapi, order_id};

#[test]
fn an_order_is_answered_200_when_it_is_reserved_and_its_user_told() {
    let rig = Rig::start(&[]);
    let answer = rig.post(&burgers(2));
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert_eq!((&body["status"], &body["item"]), (&"confirmed".into(), &"burger".into()));
    assert_eq!(body["price"], 17.0, "the price is the order's: 2 at 8.50");
    let id = order_id(&answer);
    assert_eq!(answer.header("location"), Some(format!("/orders/{id}").as_str()));
    assert_eq!(rig.status_of(&id).as_deref(), Some("confirmed"));
    assert_eq!(rig.reservation_of(&id).as_deref(), Some("reserved"));
    assert!(rig.is_notified(&id));
    assert_eq!(rig.taken("burger"), 2);
}

#[test]
fn what_is_out_of_stock_is_409_and_reserves_and_tells_nothing() {
    let rig = Rig::start(&[]);
    assert_eq!(rig.post(&of("dozen", 10)).status, 200);
    let answer = rig.post(&of("dozen", 3));
    assert_eq!((answer.status, problem(&answer).as_str()), (409, "out-of-stock"));
    let id = order_id(&answer);
    assert_eq!(rig.status_of(&id).as_deref(), Some("failed"));
    assert!(!rig.is_notified(&id));
    assert_eq!(rig.taken("dozen"), 10);
    assert_eq!(rig.post(&of("dozen", 2)).status, 200, "what is left can be had");
}

#[test]
fn refusals_on_request_follow_the_formula() {
    let rig = Rig::start(&["--inventory-failure-rate", "0.5", "--failure-seed", "7"]);
    let mut refused = 0;
    for _ in 0..20 {
        let answer = rig.post(&burgers(1));
        let is_refused = orders::simulate::fails(&order_id(&answer), 1, 7, 0, 0.5);
        assert_eq!(answer.status, if is_refused { 409 } else { 200 }, "{answer:?}");
        if is_refused {
            assert_eq!(problem(&answer), "simulated");
            refused += 1;
        }
    }
    assert_eq!(rig.taken("burger"), 20 - refused);
}

#[test]
fn the_callers_request_id_and_trace_go_through_all_services() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut rig = Rig::start(&["--log-format", "json"]);
    let headers = [("x-request-id", "checkout-7"), ("traceparent", trace)];
    let answer = rig.post_with(&headers, &burgers(1)).expect("an answer");
    assert_eq!(answer.header("x-request-id"), Some("checkout-7"));
    let mut spans = Vec::new();
    for service in Service::ALL {
        let line = rig.process(service).wait_for_log("answered", SOON);
        let event: serde_json::Value = serde_json::from_str(&line).expect("a log of JSON");
        let span = &event["span"];
        assert_eq!(span["request_id"], "checkout-7", "{line}");
        assert_eq!(span["trace_id"], "0af7651916cd43dd8448eb211c80319c", "{line}");
        spans.push(span["span_id"].to_string());
    }
    spans.sort_unstable();
    spans.dedup();
    assert_eq!(spans.len(), 3, "each service has a span of its own");
}

/// One request per documented route, so that none is described and missing.
#[test]
fn every_described_route_is_there_and_the_description_is_served_by_each_service() {
    let rig = Rig::start(&[]);
    let id = order_id(&rig.post(&burgers(1)));
    for (path, methods) in openapi()["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys().filter(|key| *key != "servers") {
            let service = match path.as_str() {
                p if p.starts_with("/reservations") || p.starts_with("/stock") => {
                    Service::Inventory
                }
                p if p.starts_with("/notifications") => Service::Notification,
                _ => Service::Order,
            };
            let real = path.replace("{order_id}", &id).replace("{item}", "burger");
            let json = [("content-type", "application/json")];
            let (address, method_sent) = (rig.address(service), method.to_uppercase());
            let body: &[u8] = if ["put", "post"].contains(&method.as_str()) { b"{}" } else { b"" };
            let answer = http::request(&address, &method_sent, &real, &json, body);
            let answer: HttpAnswer = answer.expect("an answer");
            is_described(path, method, &answer);
            assert!(![404, 405, 415].contains(&answer.status), "{method} {real}: {answer:?}");
        }
    }
    for service in Service::ALL {
        let served = rig.get(service, "/openapi.json", "/openapi.json");
        assert_eq!(served.json(), *openapi());
        for path in ["/health", "/livez", "/readyz"] {
            assert_eq!(rig.get(service, path, path).status, 200);
        }
    }
}

#[test]
fn an_unknown_path_is_404_and_an_unknown_method_405() {
    let rig = Rig::start(&[]);
    for service in Service::ALL {
        let answer = http::get(&rig.address(service), "/nothing").expect("an answer");
        assert_eq!((answer.status, problem(&answer).as_str()), (404, "no-such-path"));
    }
    let answer = http::request(&rig.address(Service::Order), "PUT", "/order", &[], b"");
    let answer = answer.expect("an answer");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}

const TEA: &str = r#"{"user_id":"u1","item":"tea","quantity":1}"#;

/// All three in one process.
fn one_process(dir: &std::path::Path, args: &[&str]) -> testkit::Process {
    let menu = dir.join("menu.toml");
    std::fs::write(&menu, "tea = { price = 1.0 }").expect("a file");
    let mut all = vec!["all", "--menu", menu.to_str().expect("text")];
    for flag in ["--order-listen", "--inventory-listen", "--notification-listen"] {
        all.extend([flag, "127.0.0.1:0"]);
    }
    all.extend_from_slice(args);
    testkit::Process::start("sync-rest", &all, &[])
}

#[test]
fn one_process_runs_all_three() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut all = one_process(dir.path(), &[]);
    let order = all.address_of("order");
    let headers = [("idempotency-key", "k")];
    let answer = http::post_json(&order, "/order", &headers, TEA).expect("an answer");
    assert_eq!(answer.status, 200);
    all.sigterm();
    all.wait(SOON).expect_code(0);
}

#[test]
fn a_stop_answers_what_was_begun_and_ends_with_0() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut order = one_process(dir.path(), &["--inventory-delay", "1s"]);
    let address = order.address_of("order");
    let client = std::thread::spawn(move || http::post_json(&address, "/order", &[], TEA));
    order.wait_for_log("listening on", SOON);
    let address = order.address_of("inventory");
    testkit::wait::is_true("the order to be under way", SOON, || {
        let metrics = http::get(&address, "/metrics").expect("an answer").body;
        metrics.contains("http_requests_in_flight{service=\"inventory\"} 1")
    });
    order.sigterm();
    assert_eq!(client.join().expect("a client").expect("an answer").status, 200);
    let ended = order.wait(std::time::Duration::from_secs(10));
    ended.expect_code(0);
}

#[test]
fn a_stop_takes_no_longer_than_10_s_whatever_is_under_way() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut all = one_process(dir.path(), &["--inventory-delay", "60s", "--deadline", "500ms"]);
    let address = all.address_of("order");
    assert_eq!(http::post_json(&address, "/order", &[], TEA).expect("an answer").status, 504);
    let began_at = std::time::Instant::now();
    all.sigterm();
    all.wait(SOON).expect_code(0);
    assert!(began_at.elapsed() < std::time::Duration::from_secs(10), "{:?}", began_at.elapsed());
}

#[test]
fn the_services_use_their_connections_to_each_other_again() {
    let rig = Rig::start(&[]);
    for _ in 0..30 {
        assert_eq!(rig.post(&burgers(1)).status, 200);
    }
    for service in [Service::Inventory, Service::Notification] {
        let name = service.name();
        let requests =
            format!("http_requests_total{{service=\"{name}\",route=\"/{name}\",status=\"200\"}}")
                .replace("/inventory", "/reservations/{id}")
                .replace("/notification", "/notifications/{id}");
        assert_eq!(rig.metric(service, &requests), 30.0);
        let opened = format!("http_connections_opened_total{{service=\"{name}\"}}");
        // One of the order service; the other one asks for these metrics.
        assert!(rig.metric(service, &opened) <= 3.0, "{name}");
    }
}
