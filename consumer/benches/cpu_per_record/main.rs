//! What the consumer costs beside the least that reading can cost, on a real Kafka.
//!
//! ```text
//! make bench
//! cargo run --bin stack -- up && . .stack/env && cargo bench -p consumer
//! ```
//!
//! All programs read the same topic to its end, in turn, several rounds: what else the machine does then hits all
//! of them. What counts is the ratio within a round. A run counts only if what it has counted is right; nothing is
//! asserted about time. `BENCH_RECORDS` and `BENCH_ROUNDS` change the size; `BENCH_JSON` names the file with all
//! figures, `target/cpu-per-record.json` where it does not. With `BENCH_CONSUMER` another build of the consumer is
//! measured as well.

mod contender;
mod figures;

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Cluster, Pipeline};

use crate::contender::{Contender, Expected};
use crate::figures::{Figures, Setting};

const RECORDS_DEFAULT: u64 = 3_000_000;
const ROUNDS_DEFAULT: u64 = 5;
const PARTITIONS: i32 = 3;
const PRODUCTS: u64 = 1_000;

/// Records that are handed to the brokers in one go while the topic is filled.
const FILL_RECORDS: u64 = 100_000;

fn main() {
    let records = number("BENCH_RECORDS", RECORDS_DEFAULT);
    let rounds = number("BENCH_ROUNDS", ROUNDS_DEFAULT).max(1);
    let contenders = contenders();
    let pipeline = Cluster::shared().pipeline(PARTITIONS);
    let expected = fill(&pipeline, records);
    let mut figures = Figures::new(Setting::here(records, PARTITIONS, PRODUCTS), &contenders);
    for round in 1..=rounds {
        for (index, contender) in contenders.iter().enumerate() {
            let cost = contender.run(&pipeline, round, &expected);
            eprintln!("round {round}: {}: {cost}", contender.name);
            figures.add(index, cost);
        }
    }
    println!("{}", figures.table());
    let path = std::env::var_os("BENCH_JSON").map_or_else(default_json, PathBuf::from);
    std::fs::write(&path, figures.json()).expect("the file can be written");
    eprintln!("all figures: {}", path.display());
}

fn number(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number"))
}

fn default_json() -> PathBuf {
    let programs = Path::new(env!("CARGO_BIN_EXE_consumer")).parent().expect("it is in a folder");
    programs.with_file_name("cpu-per-record.json")
}

/// Who is measured; the floor comes first, and all others are told by it.
fn contenders() -> Vec<Contender> {
    for package in [
        &["--package", "kafka-io", "--examples"][..],
        // As it ships: the one that cargo has built for this benchmark dies at fail points.
        &["--package", "consumer", "--bin", "consumer"],
    ] {
        build(package);
    }
    let consumer = PathBuf::from(env!("CARGO_BIN_EXE_consumer"));
    let example = |name| consumer.with_file_name("examples").join(name);
    let mut contenders = vec![
        Contender::floor("floor: batches, decoded by hand", example("batch_floor")),
        Contender::floor("record by record, not decoded", example("poll_floor")),
        Contender::consumer("consumer, exactly-once", &consumer, "exactly-once"),
        Contender::consumer("consumer, at-least-once", &consumer, "at-least-once"),
    ];
    if let Some(other) = std::env::var_os("BENCH_CONSUMER") {
        let other = PathBuf::from(other);
        contenders.push(Contender::consumer("other build, exactly-once", &other, "exactly-once"));
    }
    contenders
}

/// Builds something with the optimization of a release.
fn build(arguments: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "cargo build {} failed", arguments.join(" "));
}

/// Fills the orders topic with small orders, the same number in each partition.
fn fill(pipeline: &Pipeline, records: u64) -> Expected {
    let encoder = pipeline.orders_v1();
    let input = |n: u64| {
        let partition = i32::try_from(n % PARTITIONS.unsigned_abs() as u64).expect("small");
        let price = (n % 10_000) as f32 / 100.0;
        encoder.input(
            partition,
            &format!("order-{n:08}"),
            &format!("product-{:03}", n % PRODUCTS),
            price,
        )
    };
    for start in (0..records).step_by(usize::try_from(FILL_RECORDS).expect("small")) {
        let batch: Vec<_> = (start..records.min(start + FILL_RECORDS)).map(input).collect();
        pipeline.send(&pipeline.orders, &batch);
    }
    Expected { records, sum: (0..records).map(|n| n % 10_000 * 100).sum() }
}
