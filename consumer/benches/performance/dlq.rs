//! How fast `orders dlq stats` counts dead letters.

use testkit::{Cluster, Pipeline};

use crate::bars::Bars;
use crate::contender::consumer_arguments;
use crate::cpu::build_ours;
use crate::figures::Spread;
use crate::orders_log::{FILL_RECORDS, PARTITIONS, price, product};
use crate::output::number;
use crate::program::{Cost, build, programs, run as run_program};

const LETTERS_DEFAULT: u64 = 500_000;
const ROUNDS_DEFAULT: u64 = 5;
const PRODUCTS: u64 = 1_000;

pub(crate) fn run() {
    build_ours();
    build(&["--package", "ops", "--bin", "orders"]);
    let letters = number("BENCH_RECORDS", LETTERS_DEFAULT);
    let pipeline = Cluster::shared().pipeline(PARTITIONS);
    give_up(&pipeline, letters);
    let rounds: Vec<Cost> = (0..number("BENCH_ROUNDS", ROUNDS_DEFAULT).max(1))
        .map(|round| {
            let cost = count(&pipeline, letters);
            eprintln!("round {}: {cost}", round + 1);
            cost
        })
        .collect();
    let of = |figure: fn(&Cost) -> f64| Spread::of(rounds.iter().map(figure)).median;
    let what = format!("{letters} dead letters of the consumer, median of {} runs", rounds.len());
    let mut bars = Bars::new("dlq", &what);
    let rate = of(Cost::records_per_second);
    bars.at_least("orders dlq stats, start and end included", rate, 300_000.0, "dead letters/s");
    bars.told("CPU of a dead letter", of(Cost::cpu_micros), "µs");
    bars.told("memory", of(|cost| cost.memory_mib), "MiB");
    bars.publish();
}

/// Has the consumer give up so many records, for three causes.
fn give_up(pipeline: &Pipeline, letters: u64) {
    let encoder = pipeline.orders_v1();
    let input = |n: u64| {
        let partition = i32::try_from(n % PARTITIONS.unsigned_abs() as u64).expect("small");
        let (id, product) = (format!("order-{n:08}"), product(n, PRODUCTS));
        let mut input = encoder.input(partition, &id, &product, -1.0 - price(n));
        let value = input.value.as_mut().expect("it has one");
        match n % 4 {
            0 => value[0] = 1, // no frame that is known
            1 => value.truncate(value.len() - 1),
            _ => {} // a price below zero
        }
        input
    };
    for start in (0..letters).step_by(usize::try_from(FILL_RECORDS).expect("small")) {
        let batch: Vec<_> = (start..letters.min(start + FILL_RECORDS)).map(input).collect();
        pipeline.send(&pipeline.orders, &batch);
    }
    let own = ["--lanes", "1", "--dlq-limit", "off"].map(str::to_owned);
    let arguments: Vec<String> = consumer_arguments(pipeline).into_iter().chain(own).collect();
    run_program(&programs().join("consumer"), &arguments, &[], letters);
}

/// One look at all of them.
fn count(pipeline: &Pipeline, letters: u64) -> Cost {
    let servers = &pipeline.servers.bootstrap_servers;
    let arguments =
        ["dlq", "stats", "--bootstrap-server", servers, "--dlq-topic", &pipeline.dlq, "-o", "json"];
    let arguments = arguments.map(str::to_owned);
    let (cost, stdout) = run_program(&programs().join("orders"), &arguments, &[], letters);
    assert!(stdout.contains(&format!("\"matched\":{letters},")), "{letters} are not in {stdout}");
    cost
}
