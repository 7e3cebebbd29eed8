//! Too much of something: bytes, keys, orders, and too little room for the process.

use std::time::{Duration, Instant};

use testkit::{Cluster, Input, Process, Role, wait};

use crate::ending::{consume, finish, green, moves, settled, stop};
use crate::load;
use crate::resident::{
    address_space_bytes, mebibytes, memory_bytes, memory_peak_bytes, open_files,
};
use crate::run::Run;
use crate::scenario::Scenario;

pub(super) const LARGE_RECORDS: Scenario = Scenario {
    name: "large-records",
    rows: &[22],
    does: "sends records of many megabytes, larger than a fetch, that are counted or dead-lettered",
    expects: "none blocks its partition; memory stays within a few times the largest record",
    full_max_s: 120,
    run: large_records,
};

pub(super) const LITTLE_ROOM: Scenario = Scenario {
    name: "little-room",
    rows: &[29],
    does: "gives the consumer too few files at the start, then too few at run time, then no more \
           memory during the work",
    expects: "it refuses, degrades or dies, and commits nothing half-done",
    full_max_s: 120,
    run: little_room,
};

pub(super) const KEY_FLOODS: Scenario = Scenario {
    name: "key-floods",
    rows: &[39],
    does: "sends orders of more and more products, and many orders of one product that fail",
    expects: "memory grows by the products only, metrics are capped, the hot key keeps its order",
    full_max_s: 120,
    run: key_floods,
};

pub(super) const BACKLOG: Scenario = Scenario {
    name: "backlog",
    rows: &[39],
    does: "gives a consumer a backlog (1 million orders in the full form)",
    expects: "memory does not grow with the backlog",
    full_max_s: 120,
    run: backlog,
};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(60);

fn large_records(run: &mut Run) {
    /// Room for what is sent, below the largest request that a broker takes.
    const ROOM_BYTES: &str = "99000000";
    const BASE_MIB: u64 = 150;
    let bytes = run.pick(12, 60) << 20;
    let changes = [(Role::Orders, "max.message.bytes", ROOM_BYTES)];
    let pipeline = Cluster::shared().pipeline_with(1, &changes);
    let encoder = pipeline.orders_v1();
    let body = vec![b'x'; bytes];
    let inputs = [
        encoder.input(0, "before", "tea", 1.0),
        encoder.input(0, "large and good", "tea", 1.0).with_header("body", Some(&body)),
        Input::new(0, Some(b"large and bad"), Some(&body)),
        encoder.input(0, "after", "tea", 1.0),
    ];
    for input in inputs.chunks(1) {
        pipeline.send(&pipeline.orders, input);
    }
    let consumer = Process::consumer(&pipeline, &[]);
    settled(&pipeline, LIMIT);
    let peak = memory_peak_bytes(consumer.id()).expect("it runs");
    stop(consumer);
    run.figure("largest record", mebibytes(bytes as u64));
    run.figure("peak memory", mebibytes(peak));
    assert!(peak < (BASE_MIB << 20) + 6 * bytes as u64, "{}", mebibytes(peak));
    let letters = pipeline.records(&pipeline.dlq);
    assert_eq!(letters.len(), 1);
    assert!(letters[0].header("x-truncated").is_some(), "a stand-in takes its place");
    finish(run, &pipeline, &[], &[]);
}

/// Lowers a limit of a process that runs.
fn limit(process: &Process, limit: &str) {
    let mut prlimit = std::process::Command::new("prlimit");
    let status = prlimit.arg("--pid").arg(process.id().to_string()).arg(limit).status();
    assert!(status.expect("prlimit is installed").success(), "prlimit {limit}");
}

fn little_room(run: &mut Run) {
    const FLAGS: [&str; 6] =
        ["--simulate-failures", "0.2", "--retry-delay", "200ms", "--instance-id", "one"];
    let pipeline = Cluster::shared().pipeline(3);
    load::send(&pipeline, 0..3_000);
    let mut args = pipeline.consumer_args();
    args.extend(FLAGS.map(str::to_owned));
    let ended = Process::start_limited(&["--nofile=16"], "consumer", &args).wait(LIMIT);
    assert!(
        ended.code.is_some_and(|code| code != 0),
        "{:?} with 16 files: {}",
        ended.code,
        ended.stderr
    );
    run.step(format!("with 16 files it ends with exit {:?}", ended.code));

    let mut consumer = Process::consumer(&pipeline, &FLAGS);
    moves(&pipeline, LIMIT);
    let files = open_files(consumer.id());
    limit(&consumer, &format!("--nofile={files}:{files}"));
    load::send(&pipeline, 3_000..6_000);
    settled(&pipeline, LIMIT);
    assert!(consumer.is_running(), "{}", consumer.log());
    run.step(format!("without one more file than its {files} it works on"));
    let space = address_space_bytes(consumer.id()).expect("it runs");
    let most = space + (4 << 20);
    limit(&consumer, &format!("--as={most}:{most}"));
    load::send(&pipeline, 6_000..run.pick(60_000, 150_000));
    wait::is_true("its end, or all being settled", LIMIT, || {
        !consumer.is_running() || pipeline.lag() == 0
    });
    run.step(if consumer.is_running() { "it made do with its memory" } else { "it died" });
    consumer.kill_9();
    finish(run, &pipeline, &FLAGS, &[]);
}

fn key_floods(run: &mut Run) {
    const SAMPLES_MAX: usize = 2_000;
    const BYTES_PER_PRODUCT_MAX: u64 = 2_000;
    const HOT: [&str; 6] =
        ["--order", "key", "--simulate-failures", "0.01", "--retry-delay", "200ms"];
    let pipeline = Cluster::shared().pipeline(2);
    let encoder = pipeline.orders_v1();
    let mut consumer = Process::consumer(&pipeline, &[]);
    consumer.wait_ready(LIMIT);
    let before = memory_bytes(consumer.id()).expect("it runs");
    let products = run.pick(20_000, 300_000);
    let new = |n: i32| encoder.input(n % 2, &format!("o-{n}"), &format!("product-{n}"), 1.0);
    pipeline.send(&pipeline.orders, &(0..products).map(new).collect::<Vec<_>>());
    settled(&pipeline, LIMIT);
    let grown = memory_bytes(consumer.id()).expect("it runs").saturating_sub(before);
    let each = grown / products.unsigned_abs() as u64;
    run.figure(format!("memory for {products} products"), mebibytes(grown));
    let metrics = consumer.get("/metrics").body;
    let samples = metrics.lines().filter(|line| line.starts_with("orders_average{")).count();
    run.figure("samples of orders_average", samples.to_string());
    // The final statistics read all of the averages: many products take their time.
    let asked_at = Instant::now();
    consumer.sigterm();
    consumer.wait(LIMIT).expect_code(0);
    run.figure_time("stop", asked_at.elapsed());
    assert!(samples <= SAMPLES_MAX, "{samples} samples");
    assert!(each <= BYTES_PER_PRODUCT_MAX || !run.is_full(), "{each} bytes per product");
    green(run, &pipeline, &[], &[]);

    let hot = Cluster::shared().pipeline(1);
    let order = |n: i32| encoder.input(0, &format!("hot-{n}"), "tea", 1.0);
    hot.send(&hot.orders, &(0..run.pick(3_000, 10_000)).map(order).collect::<Vec<_>>());
    finish(run, &hot, &HOT, &["--order", "key"]);
}

fn backlog(run: &mut Run) {
    const GROWTH_MAX_BYTES: u64 = 160 << 20;
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    let (few, many): (usize, usize) = run.pick((1_000, 50_000), (50_000, 1_000_000));
    pipeline.send(&pipeline.orders, &load::orders(&encoder, 3, 0..few));
    let base = {
        let consumer = Process::consumer(&pipeline, &[]);
        settled(&pipeline, LIMIT);
        let peak = memory_peak_bytes(consumer.id()).expect("it runs");
        stop(consumer);
        peak
    };
    for start in (0..many).step_by(50_000) {
        pipeline
            .send(&pipeline.orders, &load::orders(&encoder, 3, start..many.min(start + 50_000)));
    }
    run.step("the backlog is there");
    let started = Instant::now();
    let consumer = Process::consumer(&pipeline, &[]);
    settled(&pipeline, LIMIT);
    let elapsed = started.elapsed().as_secs_f64();
    let peak = memory_peak_bytes(consumer.id()).expect("it runs");
    stop(consumer);
    run.figure(format!("peak memory after {few} orders"), mebibytes(base));
    run.figure(format!("with a backlog of {many}"), mebibytes(peak));
    run.figure("drained at", format!("{:.0} orders/s", many as f64 / elapsed));
    assert!(peak < base + GROWTH_MAX_BYTES, "{} after {}", mebibytes(peak), mebibytes(base));
    drop(consume(&pipeline, &[]));
    green(run, &pipeline, &[], &[]);
}
