//! What grows with records, and what with products.

use std::time::{Duration, Instant};

use testkit::{Pipeline, Process};

use crate::bars::Bars;
use crate::cpu::{build_ours, exactly_once};
use crate::figures::{Round, Spread};
use crate::orders_log::OrdersLog;
use crate::output::number;
use crate::program::memory_kib_of;
use crate::rounds::SHORT_PART;

const RECORDS_DEFAULT: u64 = 10_000_000;
const ROUNDS_DEFAULT: u64 = 3;
const PRODUCTS: u64 = 1_000;
const MANY_PRODUCTS_DEFAULT: u64 = 1_000_000;

/// Bytes of the name of one of so many products.
const KEY_BYTES: f64 = 14.0;

const READY_MAX: Duration = Duration::from_secs(120);

pub(crate) fn run() {
    build_ours();
    let records = number("BENCH_RECORDS", RECORDS_DEFAULT);
    let sizes = [records, records / SHORT_PART, records / SHORT_PART / SHORT_PART];
    let [many, few, least] = sizes;
    let what = format!("{many}, {few} and {least} orders, {PRODUCTS} products, one lane");
    let mut bars = Bars::new("growth", &what);
    let logs = sizes.map(|records| OrdersLog::fill(records.max(1), PRODUCTS));
    let mut rounds = Vec::new();
    for round in 1..=number("BENCH_ROUNDS", ROUNDS_DEFAULT).max(1) {
        let cost = |log: &OrdersLog| exactly_once().run(log, &format!("growth-{round}"));
        let [many, few, least] = [cost(&logs[0]), cost(&logs[1]), cost(&logs[2])];
        eprintln!("round {round}: {many}; {few}; {least}");
        rounds.push((Round { whole: many, short: few }, Round { whole: few, short: least }));
    }
    let of = |figure: fn(&(Round, Round)) -> f64| Spread::of(rounds.iter().map(figure)).median;
    let what = format!("CPU of a record from {least} to {few}");
    bars.told(&what, of(|(_, few)| few.marginal_cpu_micros()), "µs");
    let what = format!("CPU of a record from {few} to {many}");
    bars.told(&what, of(|(many, _)| many.marginal_cpu_micros()), "µs");
    let ratio = of(|(many, few)| many.marginal_cpu_micros() / few.marginal_cpu_micros());
    bars.at_most("the second beside the first", ratio, 1.05, "×");
    bars.told(&format!("memory, {few} orders"), of(|(_, few)| few.whole.memory_mib), "MiB");
    bars.told(&format!("memory, {many} orders"), of(|(many, _)| many.whole.memory_mib), "MiB");
    products(&mut bars);
    bars.publish();
}

/// An order for each of many products, and then a start that restores them all.
fn products(bars: &mut Bars) {
    let products = number("BENCH_PRODUCTS", MANY_PRODUCTS_DEFAULT);
    let few = restored(PRODUCTS.min(products));
    let many = restored(products);
    let more = (products - PRODUCTS.min(products)).max(1) as f64;
    let bytes = (many.memory_kib.saturating_sub(few.memory_kib)) as f64 * 1024.0 / more;
    let what = format!("memory of a product, {products} products restored");
    bars.at_most(&what, bytes, 64.0 + KEY_BYTES, "bytes");
    bars.told("start until ready, few products", few.ready.as_secs_f64(), "s");
    let what = format!("restore of {products} products: start until ready, less that of few");
    bars.at_most(&what, many.ready.saturating_sub(few.ready).as_secs_f64(), 3.0, "s");
}

struct Restored {
    ready: Duration,
    memory_kib: u64,
}

fn restored(products: u64) -> Restored {
    let log = OrdersLog::fill(products, products);
    let name = format!("products-{products}");
    let cost = exactly_once().run(&log, &name);
    eprintln!("{products} products counted: {cost}");
    let reader = log.renamed(&name);
    let begun_at = Instant::now();
    let mut consumer = Process::start("consumer", &arguments(&reader), &[]);
    consumer.wait_ready(READY_MAX);
    let ready = begun_at.elapsed();
    let memory_kib = memory_kib_of(consumer.id(), "VmRSS:");
    consumer.stop().expect_code(0);
    Restored { ready, memory_kib }
}

fn arguments(reader: &Pipeline) -> Vec<String> {
    let own = ["--averages-topic", &reader.averages, "--metrics-addr", "127.0.0.1:0"];
    let all = reader.engine_args().into_iter().chain(own).chain(["--lanes", "1"]);
    all.map(str::to_owned).collect()
}
