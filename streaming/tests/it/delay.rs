//! A slow consumer: orders wait in the log, and the lag tells how many.

use testkit::ledger::{Ledger, Verdict};
use testkit::order_flow::burgers;
use testkit::wait;

use crate::rig::{Rig, SOON, Service};

fn place(rig: &Rig, ledger: &Ledger, batch: &str, orders: usize) {
    let lines: String = (0..orders).map(|_| burgers(1) + "\n").collect();
    assert_eq!(rig.post_lines(batch, &lines).unwrap().status, 202);
    for n in 0..orders {
        ledger.note(&format!("{batch}#{n}"), "burger", 1, Verdict::Accepted);
    }
}

#[test]
fn lag_grows_under_a_processing_delay_and_drains() {
    let mut rig = Rig::start(&[Service::Order], &[]);
    let delay = ["PROCESSING_DELAY=0.5", "--concurrency", "100"];
    rig.start_services(&[Service::Inventory], &delay);
    let ledger = Ledger::new();
    place(&rig, &ledger, "a", 500);
    let first = rig.inventory.lag();
    place(&rig, &ledger, "b", 500);
    let second = rig.inventory.lag();
    assert!(first > 0 && second > first, "{first} {second}");
    let of_metrics = || {
        let metrics = rig.get(Service::Inventory, "/metrics").body;
        let lags = metrics.lines().filter(|line| line.starts_with("kafka_consumergroup_lag{"));
        lags.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    wait::is_true("lag in the metrics", SOON, || of_metrics() > 100.0);
    testkit::promtool::check(&rig.get(Service::Inventory, "/metrics").body);
    rig.audit(&ledger);
    wait::is_true("no lag in the metrics", SOON, || of_metrics() == 0.0);
}
