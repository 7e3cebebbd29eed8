//! What each service tells of itself.

use super::client::SOON;
use super::flow::{Flow, Service};
use crate::order_flow::{burgers, of, order_id_of, problem};
use crate::{promtool, wait};

/// Counters of docs/paradigms.md on the page of the order service, which begin at 0.
const COUNTERS: [&str; 8] = [
    "orders_accepted_total",
    "orders_replayed_total",
    "orders_rejected_total{reason=\"unknown-item\"}",
    "orders_rejected_total{reason=\"key-reused\"}",
    "order_outcomes_total{outcome=\"confirmed\"}",
    "order_outcomes_total{outcome=\"dead-lettered\"}",
    "http_requests_total{service=\"order\",route=\"/orders/{id}\",status=\"200\"}",
    "http_shed_total{service=\"order\"}",
];

/// Statuses that a server gives by itself.
const REFUSALS: [&str; 3] = ["400", "413", "503"];

/// Gauges and counters that a test's own connections have moved already.
const MOVED: [&str; 3] =
    ["http_requests_in_flight", "http_connections", "http_connections_opened_total"];

/// What the customer of two burgers is told.
const MESSAGE: &str = "2 x burger is on its way";

pub(super) fn counters_begin_at_0(flow: &mut dyn Flow) {
    for service in Service::ALL {
        let page = flow.get(service, "/metrics").body;
        promtool::check(&page);
        for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = line.split(' ').next().expect("a name");
            assert!(page.contains(&format!("# HELP {name} ")), "{name} has no help");
        }
        for name in MOVED {
            let sample = format!("{name}{{service=\"{}\"}} ", service.name());
            assert!(page.contains(&sample), "{sample}: {page}");
        }
    }
    let page = flow.get(Service::Order, "/metrics").body;
    let is_at_0 = |counter: &str| page.lines().any(|found| found == format!("{counter} 0"));
    for counter in COUNTERS {
        assert!(is_at_0(counter), "{counter}: {page}");
    }
    let accepted = flow.kind().accepted_status().to_string();
    for status in [accepted.as_str(), "409", "415", "422"].iter().chain(&REFUSALS) {
        let labels = format!("service=\"order\",route=\"/order\",status=\"{status}\"");
        assert!(is_at_0(&format!("http_requests_total{{{labels}}}")), "{labels}: {page}");
    }
}

pub(super) fn metrics_count(flow: &mut dyn Flow) {
    const COUNTED: [(&str, f64); 8] = [
        ("orders_accepted_total", 2.0),
        ("order_accept_seconds_count", 2.0),
        ("order_outcomes_total{outcome=\"confirmed\"}", 2.0),
        ("order_outcome_seconds_count{outcome=\"confirmed\"}", 2.0),
        ("orders_rejected_total{reason=\"unknown-item\"}", 1.0),
        ("orders_rejected_total{reason=\"key-reused\"}", 1.0),
        ("orders_replayed_total", 1.0),
        ("http_request_seconds_count{service=\"order\",route=\"/order\"}", 5.0),
    ];
    let look = |flow: &dyn Flow| COUNTED.map(|(sample, _)| flow.metric(Service::Order, sample));
    flow.wait_until_idle();
    let before = look(flow);
    for key in ["counted-1", "counted-2"] {
        let id = flow.place(key, &burgers(1));
        flow.confirmed(&id);
    }
    flow.place("counted-1", &burgers(1));
    assert_eq!(flow.post("counted-1", &burgers(2)).status, 422);
    assert_eq!(flow.post("counted-3", &of("unicorn", 1)).status, 422);
    let expected: Vec<(&str, f64)> = COUNTED
        .iter()
        .zip(before)
        .map(|((sample, more), before)| (*sample, before + more))
        .collect();
    wait::is_true(&format!("counters at {expected:?}"), SOON, || {
        let now = look(flow);
        expected.iter().zip(now).all(|((_, expected), now)| *expected == now)
    });
}

pub(super) fn paths(flow: &mut dyn Flow) {
    for service in Service::ALL {
        wait::is_true(&format!("{service:?} being ready"), SOON, || flow.is_ready(service));
        for path in ["/livez", "/health"] {
            assert_eq!(flow.get(service, path).status, 200, "{service:?} {path}");
        }
        let answer = flow.get(service, "/nothing");
        assert_eq!((answer.status, problem(&answer).as_str()), (404, "no-such-path"));
        let detail = answer.json()["detail"].as_str().expect("text").to_owned();
        for path in ["/health", "/metrics"] {
            assert!(detail.contains(path), "{service:?}: {detail}");
        }
    }
    let detail = flow.get(Service::Order, "/nothing").json()["detail"].to_string();
    assert!(detail.contains("POST /order") && detail.contains("GET /orders/{id}"), "{detail}");
    let answer = flow.ask(Service::Order, "PUT", "/order", &[], b"");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert_eq!(problem(&answer), "no-such-method");
}

pub(super) fn stock(flow: &mut dyn Flow) {
    let levels = flow.get(Service::Inventory, "/stock").json();
    let levels = levels.as_array().expect("a list");
    let level = flow.get(Service::Inventory, "/stock/few").json();
    assert!(levels.contains(&level), "{level} in {levels:?}");
    let number = |member: &str| level[member].as_u64().expect("a number");
    assert_eq!((number("initial"), number("reserved") + number("left")), (3, 3));
    assert_eq!(flow.get(Service::Inventory, "/stock/%66ew").json(), level);
    let tea = flow.get(Service::Inventory, "/stock/tea").json();
    assert!(tea["initial"].is_null() && tea["left"].is_null(), "there is no end of it: {tea}");
    let unknown = flow.get(Service::Inventory, "/stock/unicorn");
    assert_eq!((unknown.status, problem(&unknown).as_str()), (404, "unknown-item"));
}

pub(super) fn notification(flow: &mut dyn Flow) {
    let id = flow.place("asked-for", &burgers(2));
    flow.confirmed(&id);
    flow.told_once(&id);
    let path = format!("/notifications/{id}");
    wait::is_true("the note of it", SOON, || flow.get(Service::Notification, &path).status == 200);
    let told = flow.get(Service::Notification, &path).json();
    assert_eq!((&told["order_id"], &told["status"]), (&id.into(), &"notified".into()));
    assert_eq!((&told["user_id"], &told["text"]), (&"u1".into(), &MESSAGE.into()));
    assert!(told["told_at_ms"].is_i64(), "{told}");
    let unknown = flow.get(Service::Notification, "/notifications/nobody");
    assert_eq!((unknown.status, problem(&unknown).as_str()), (404, "no-such-order"));
}

pub(super) fn notification_is_not_asked_for(flow: &mut dyn Flow) {
    let answer = flow.get(Service::Notification, "/notifications/nobody");
    assert_eq!((answer.status, problem(&answer).as_str()), (404, "no-such-path"));
}

pub(super) fn prints_its_work(flow: &mut dyn Flow) {
    let id = flow.place("last", &burgers(1));
    flow.confirmed(&id);
    flow.told_once(&id);
    assert_eq!(id, order_id_of("last"));
    let confirmed = flow.metric(Service::Order, "order_outcomes_total{outcome=\"confirmed\"}");
    let confirmed = confirmed.to_string();
    for service in [Service::Order, Service::Inventory, Service::Notification] {
        let finished = flow.stop(service);
        let printed = &finished.expect_code(0).stdout;
        let rows: Vec<Vec<&str>> =
            printed.lines().map(|line| line.split_whitespace().collect()).collect();
        let heading = if service == Service::Order {
            let row = ["confirmed", confirmed.as_str()];
            assert!(rows.iter().any(|found| *found == row), "{row:?}: {printed}");
            ["OUTCOME", "ORDERS"]
        } else {
            ["RESULT", "COUNT"]
        };
        assert_eq!(rows.first().map(Vec::as_slice), Some(&heading[..]), "{printed}");
        assert!(printed.contains("\nretries ") && printed.contains("\nup for "), "{printed}");
    }
}
