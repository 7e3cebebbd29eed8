//! All three are well.

use testkit::http::{self, HttpAnswer};
use testkit::order_flow::burgers;

use crate::rig::{Rig, SOON, Service, is_described, openapi, order_id};

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
