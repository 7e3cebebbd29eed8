//! How fast the operator's tools read.

use crate::bars::Bars;
use crate::cpu::{build_ours, exactly_once};
use crate::orders_log::OrdersLog;
use crate::output::number;
use crate::program::{build, programs, run as run_program};

const RECORDS_DEFAULT: u64 = 3_000_000;
const PRODUCTS: u64 = 1_000;

pub(crate) fn run() {
    build_ours();
    build(&["--package", "ops", "--bin", "orders"]);
    let log = OrdersLog::fill(number("BENCH_RECORDS", RECORDS_DEFAULT), PRODUCTS);
    let mut bars = Bars::new("audit", &format!("{} orders, counted by one group", log.records));
    exactly_once().run(&log, "audited");
    let arguments = log.renamed("audited").audit_args(false);
    let (cost, _) = run_program(&programs().join("orders"), &arguments, &[], log.records);
    let rate = cost.records_per_second();
    bars.at_least("orders audit, start and end included", rate, 1_000_000.0, "orders/s");
    bars.told("CPU of the audit for an order", cost.cpu_micros(), "µs");
    bars.told("memory of the audit", cost.memory_mib, "MiB");
    bars.publish();
}
