//! CPU per record of the consumer beside a plain poll loop, on a real Kafka.
//!
//! ```text
//! cargo run --bin stack -- up && . .stack/env && cargo bench -p consumer
//! ```
//!
//! Both programs read the same topic to its end, in turn, several rounds: what else the machine
//! does then hits both. What counts is the ratio of a round; nothing is asserted about time.
//! `BENCH_RECORDS` and `BENCH_ROUNDS` change the size.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use testkit::{Cluster, Pipeline};

const RECORDS_DEFAULT: u64 = 1_000_000;
const ROUNDS_DEFAULT: u64 = 5;
const PARTITIONS: i32 = 3;
const PRODUCTS: u64 = 100;

/// Records that are handed to the brokers in one go while the topic is filled.
const FILL_RECORDS: u64 = 100_000;

/// What one run of a program took.
struct Cost {
    cpu: Duration,
    wall: Duration,
    stdout: String,
}

fn main() {
    let records = number("BENCH_RECORDS", RECORDS_DEFAULT);
    let rounds = number("BENCH_ROUNDS", ROUNDS_DEFAULT).max(1);
    let poll_floor = build_poll_floor();
    let pipeline = Cluster::shared().pipeline(PARTITIONS);
    fill(&pipeline, records);
    println!(
        "{records} records, {PARTITIONS} partitions, 1 lane, exactly-once; CPU is user and system"
    );
    println!(
        "round   poll µs/record   consumer µs/record   ratio   consumer records/s (start and end included)"
    );
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let floor = run(&poll_floor, &[&pipeline.servers.bootstrap_servers, &pipeline.orders]);
        assert!(floor.stdout.starts_with(&format!("{records} records")), "{}", floor.stdout);
        let consumer = consume(&pipeline, round, records);
        let ratio = consumer.cpu.as_secs_f64() / floor.cpu.as_secs_f64();
        println!(
            "{round:>5}   {:>14.3}   {:>18.3}   {ratio:>5.2}   {:>18.0}",
            micros_per_record(&floor, records),
            micros_per_record(&consumer, records),
            records as f64 / consumer.wall.as_secs_f64(),
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let (median, last) = (ratios[ratios.len() / 2], ratios.len() - 1);
    println!("ratio: median {median:.2}, min {:.2}, max {:.2}", ratios[0], ratios[last]);
}

fn number(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number"))
}

fn micros_per_record(cost: &Cost, records: u64) -> f64 {
    cost.cpu.as_secs_f64() * 1e6 / records as f64
}

/// Builds the poll loop with the optimization of this benchmark and says where it lies.
fn build_poll_floor() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "kafka-io", "--example", "poll_floor"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "poll_floor was not built");
    let consumer = Path::new(env!("CARGO_BIN_EXE_consumer"));
    consumer.with_file_name("examples").join("poll_floor")
}

/// Fills the orders topic with small orders, the same number in each partition.
fn fill(pipeline: &Pipeline, records: u64) {
    let encoder = pipeline.orders_v1();
    let input = |n: u64| {
        let partition = i32::try_from(n % PARTITIONS.unsigned_abs() as u64).expect("small");
        let price = (n % 10_000) as f32 / 100.0;
        encoder.input(
            partition,
            &format!("order-{n:08}"),
            &format!("product-{:02}", n % PRODUCTS),
            price,
        )
    };
    for start in (0..records).step_by(usize::try_from(FILL_RECORDS).expect("small")) {
        let batch: Vec<_> = (start..records.min(start + FILL_RECORDS)).map(input).collect();
        pipeline.send(&pipeline.orders, &batch);
    }
}

/// One run of the consumer with a group, and so with averages, of its own.
fn consume(pipeline: &Pipeline, round: u64, records: u64) -> Cost {
    let mut pipeline = pipeline.clone();
    pipeline.group = format!("{}-{round}", pipeline.group);
    pipeline.averages = format!("{}-{round}", pipeline.averages);
    let partitions = PARTITIONS.to_string();
    let arguments = [
        "--bootstrap-server",
        &pipeline.servers.bootstrap_servers,
        "--schema-registry-url",
        &pipeline.servers.registry_url,
        "--topic",
        &pipeline.orders,
        "--retry-topic",
        &pipeline.retry,
        "--dlq-topic",
        &pipeline.dlq,
        "--averages-topic",
        &pipeline.averages,
        "--group-id",
        &pipeline.group,
        "--create-topics",
        "--create-partitions",
        &partitions,
        "--lanes",
        "1",
        "--metrics-addr",
        "off",
        "--exit-at-end",
        "-o",
        "json",
    ];
    let cost = run(Path::new(env!("CARGO_BIN_EXE_consumer")), &arguments);
    let counted = format!("\"succeeded\":{records},");
    assert!(cost.stdout.contains(&counted), "not all records were counted: {}", cost.stdout);
    cost
}

/// Runs a program to its end and measures it.
fn run(program: &Path, arguments: &[&str]) -> Cost {
    let (before, started) = (children_cpu(), Instant::now());
    let output = Command::new(program)
        .args(arguments)
        .env("RUST_LOG", "warn")
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{} does not run: {error}", program.display()));
    assert!(output.status.success(), "{} failed: {}", program.display(), output.status);
    let stdout = String::from_utf8(output.stdout).expect("text");
    Cost { cpu: children_cpu() - before, wall: started.elapsed(), stdout }
}

/// User and system time of all processes that were waited for.
fn children_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the system tells");
    [usage.user_time(), usage.system_time()]
        .into_iter()
        .map(|time| {
            Duration::from_secs(time.tv_sec().unsigned_abs())
                + Duration::from_micros(time.tv_usec().unsigned_abs())
        })
        .sum()
}
