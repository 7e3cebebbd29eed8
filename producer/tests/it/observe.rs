//! Metrics and health of a running producer.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::{Cluster, Role, wait};

use crate::harness::{LIMIT, Running, http_get, producer, run, topic};

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

/// Processor time of a process so far.
fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// librdkafka turns in a loop while records wait behind a request that has no answer.
#[test]
fn a_broker_that_does_not_answer_costs_no_processor_time_and_all_orders_arrive() {
    const WATCH: Duration = Duration::from_secs(4);
    let mut cluster = Cluster::own_kafka(&[]);
    let pipeline = cluster.names(3);
    pipeline.create(Role::Orders, 3, &[]);
    let args = ["--topic", &pipeline.orders, "--count", "0", "--rate", "1000/s"];
    let args = [&args[..], &["-X", "linger.ms=50"]].concat();
    let brokers = &pipeline.servers.bootstrap_servers;
    let running = Running::start(producer(&args).env("KAFKA_BOOTSTRAP_SERVERS", brokers));
    let arrived = || pipeline.ends(&pipeline.orders).iter().sum::<i64>();
    wait::is_true("orders arriving", LIMIT, || arrived() > 500);
    cluster.pause_kafka();
    let before = processor_time(running.child.id());
    thread::sleep(WATCH);
    let used = processor_time(running.child.id()) - before;
    cluster.resume_kafka();
    let so_far = arrived();
    wait::is_true("orders arriving again", LIMIT, || arrived() > so_far + 2_000);
    running.signal(Signal::SIGTERM);
    let finished = running.finish();
    finished.expect_code(0);
    assert!(used * 2 < WATCH, "{used:?} of processor time in {WATCH:?}");
}
