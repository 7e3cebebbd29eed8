//! The producer beside librdkafka's own tool for performance, built from the same source of the library.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Cluster, Pipeline};

use crate::bars::Bars;
use crate::figures::Spread;
use crate::orders_log::{PARTITIONS, price};
use crate::output::number;
use crate::program::{Cost, build, done, programs, run as run_program, target};

const RECORDS_DEFAULT: u64 = 1_000_000;
const ROUNDS_DEFAULT: u64 = 5;
const PRODUCTS: u64 = 1_000;

/// Bytes of an order with its frame, as the tool is told to send.
const VALUE_BYTES: &str = "36";

pub(crate) fn run() {
    build(&["--package", "producer", "--bin", "producer"]);
    let tool = tool();
    let records = number("BENCH_RECORDS", RECORDS_DEFAULT);
    let what = format!("{records} orders from CSV, idempotent, acknowledged by all, linger 5 ms");
    let mut bars = Bars::new("producer", &what);
    let csv = target().join("bench-orders.csv");
    write_csv(&csv, records);
    let rounds = number("BENCH_ROUNDS", ROUNDS_DEFAULT).max(1);
    let pairs: Vec<(Cost, Cost)> = (0..rounds)
        .map(|_| (from_csv(&csv, records), by_tool(&tool, records)))
        .inspect(|(ours, theirs)| eprintln!("producer: {ours}; rdkafka_performance: {theirs}"))
        .collect();
    fs::remove_file(&csv).expect("it was written");
    let of = |figure: fn(&(Cost, Cost)) -> f64| Spread::of(pairs.iter().map(figure)).median;
    bars.told("producer --input", of(|pair| pair.0.records_per_second()), "orders/s");
    bars.told("rdkafka_performance -P", of(|pair| pair.1.records_per_second()), "records/s");
    let share = of(|pair| pair.0.records_per_second() / pair.1.records_per_second()) * 100.0;
    bars.at_least("rate of the producer beside that of the tool", share, 60.0, "%");
    bars.told("CPU of the producer for an order", of(|pair| pair.0.cpu_micros()), "µs");
    bars.told("CPU of the tool for a record", of(|pair| pair.1.cpu_micros()), "µs");
    bars.publish();
}

fn write_csv(path: &Path, records: u64) {
    let mut file = BufWriter::new(fs::File::create(path).expect("the folder of the build"));
    writeln!(file, "orderId,product,price").expect("there is room");
    for n in 0..records {
        writeln!(file, "order-{n:08},product-{:03},{:.2}", n % PRODUCTS, price(n)).expect("room");
    }
    file.flush().expect("there is room");
}

fn from_csv(csv: &Path, records: u64) -> Cost {
    let pipeline = Cluster::shared().pipeline(PARTITIONS);
    let csv = csv.display().to_string();
    let own = ["--input", &csv, "--quiet", "-X", "linger.ms=5"].map(str::to_owned);
    let arguments: Vec<String> = pipeline.producer_args().into_iter().chain(own).collect();
    let (cost, _) = run_program(&programs().join("producer"), &arguments, &[], records);
    check(&pipeline, records);
    cost
}

fn by_tool(tool: &Path, records: u64) -> Cost {
    let pipeline = Cluster::shared().pipeline(PARTITIONS);
    let count = records.to_string();
    let arguments = [
        "-P",
        "-t",
        &pipeline.orders,
        "-b",
        &pipeline.servers.bootstrap_servers,
        "-s",
        VALUE_BYTES,
        "-c",
        &count,
        "-a",
        "-1",
        "-q",
        "-X",
        "enable.idempotence=true",
        "-X",
        "linger.ms=5",
    ];
    let arguments = arguments.map(str::to_owned);
    let (cost, _) = run_program(tool, &arguments, &[], records);
    check(&pipeline, records);
    cost
}

fn check(pipeline: &Pipeline, records: u64) {
    let ends: i64 = pipeline.ends(&pipeline.orders).into_iter().sum();
    assert_eq!(ends.unsigned_abs(), records, "records in the topic");
}

/// The tool comes with the source of the library, and is compiled against what the build has made of it.
fn tool() -> PathBuf {
    let builds = fs::read_dir(programs().join("build")).expect("the folder of build scripts");
    let of_library = |path: &PathBuf| path.join("src/librdkafka.a").is_file();
    let source = builds
        .filter_map(|entry| Some(entry.ok()?.path().join("out")))
        .find(of_library)
        .expect("librdkafka is built");
    let tool = target().join("rdkafka_performance");
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-w", "-I"]).arg(source.join("src")).arg("-o").arg(&tool);
    compiler.arg(source.join("examples/rdkafka_performance.c"));
    compiler.arg(source.join("src/librdkafka.a"));
    done(compiler.args(["-lssl", "-lcrypto", "-lz", "-lzstd", "-lpthread", "-ldl", "-lm", "-lrt"]));
    tool
}
