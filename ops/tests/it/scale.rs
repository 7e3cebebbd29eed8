//! Many orders in bounded memory.

use std::time::Duration;

use testkit::{Cluster, Process, machine, wait};

use crate::rig::expect_green;

const RUN_MAX: Duration = Duration::from_secs(120);

/// Orders; enough to tell a cost per order from what a program takes anyhow.
const ORDERS: u32 = 300_000;

/// Memory that the audit may take for them, in kB: what it takes for none is about 40 MB.
const PEAK_KB_MAX: u64 = 160_000;

/// Largest resident size so far, in kB.
fn peak_kb(pid_dir: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("{pid_dir}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn three_hundred_thousand_orders_are_audited_in_bounded_memory() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    let count = ORDERS.to_string();
    let load = ["--count", &count, "--interval", "0ms", "--quiet", "--seed", "9"];
    Process::producer(&pipeline, &load).wait(RUN_MAX).expect_code(0);
    let flags = ["--exit-at-end", "--simulate-failures", "0.1", "--retry-delay", "100ms"];
    Process::consumer(&pipeline, &flags).wait(RUN_MAX).expect_code(0);
    let mut all = pipeline.audit_args(true);
    all.extend(["--expect-drained".to_owned()]);
    let mut process = Process::start("orders", &all, &[]);
    let directory = format!("/proc/{}", process.id());
    let mut peak = 0;
    wait::is_true("the end of the audit", RUN_MAX, || {
        peak = peak_kb(&directory).unwrap_or(0).max(peak);
        !process.is_running()
    });
    let finished = process.wait(RUN_MAX);
    eprintln!("{ORDERS} orders in {:?} and {peak} kB", finished.elapsed);
    finished.expect_code(0);
    assert!(peak > 0 && peak < PEAK_KB_MAX, "{peak} kB");
    expect_green(&pipeline, &["--expect-drained"]);
}
