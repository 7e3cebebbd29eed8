//! Metrics and health of a running producer.

use nix::sys::signal::Signal;

use crate::harness::{Running, http_get, producer, run, topic};

#[test]
fn metrics_and_health_are_served_where_the_log_says() {
    let topic = topic(1);
    let args = ["--topic", &topic, "--count", "0", "--rate", "100/s", "--metrics-addr"];
    let mut running =
        Running::start(producer(&[&args[..], &["127.0.0.1:0"]].concat()).env("RUST_LOG", "error"));
    let line = running.stderr_line_with("metrics listening on http://");
    let (_, address) = line.split_once("http://").unwrap();
    let address = address.trim();
    for _ in 0..20 {
        running.next_stdout();
    }
    assert!(http_get(address, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(http_get(address, "/livez").starts_with("HTTP/1.1 200"));
    let metrics = http_get(address, "/metrics");
    let (_, page) = metrics.split_once("\r\n\r\n").expect("a head and a body");
    testkit::promtool::check(page);
    let acknowledged = metrics
        .lines()
        .find_map(|line| line.strip_prefix("orders_produced_total{result=\"acknowledged\"} "))
        .unwrap_or_else(|| panic!("{metrics}"));
    assert!(acknowledged.parse::<u64>().unwrap() >= 20, "{metrics}");
    assert!(metrics.contains("orders_build_info{program=\"producer\""), "{metrics}");
    running.signal(Signal::SIGTERM);
    running.finish().expect_code(0);
}

#[test]
fn a_metrics_address_that_is_taken_is_an_error_if_it_was_asked_for() {
    let topic = topic(1);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = run(&["--topic", &topic, "--metrics-addr", &address]);
    finished.expect_code(1);
    assert!(finished.stderr.contains(&address), "{finished:?}");
    assert!(finished.stderr.contains("--metrics-addr"), "{finished:?}");
}
