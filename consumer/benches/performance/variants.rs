//! What options of the consumer cost, beside the consumer without them.

use crate::contender::Contender;
use crate::cpu::{build_ours, exactly_once};
use crate::orders_log::OrdersLog;
use crate::output::{number, publish, write_json};
use crate::rounds::{SHORT_PART, measure};

const RECORDS_DEFAULT: u64 = 1_000_000;
const ROUNDS_DEFAULT: u64 = 3;
const PRODUCTS: u64 = 1_000;

/// Options that are measured, each with one lane but the one that has two.
const OPTIONS: [(&str, &str, &[&str]); 5] = [
    ("key", "--order key", &["--lanes", "1", "--order", "key"]),
    ("dedupe", "--dedupe 100000", &["--lanes", "1", "--dedupe", "100000"]),
    ("lanes", "--lanes 2", &["--lanes", "2"]),
    (
        "retries",
        "10 % of the attempts fail",
        // So many retries that no order is given up: each is counted in the end.
        &[
            "--lanes",
            "1",
            "--simulate-failures",
            "0.1",
            "--retry-delay",
            "100ms",
            "--max-retries",
            "20",
        ],
    ),
    (
        "async",
        "a handler that waits 1 ms, 256 at once",
        &["--lanes", "1", "--simulate-latency", "1ms", "--concurrency", "256"],
    ),
];

pub(crate) fn run() {
    build_ours();
    let mut contenders = vec![exactly_once()];
    contenders
        .extend(OPTIONS.map(|(key, name, arguments)| Contender::consumer(key, name, arguments)));
    let records = number("BENCH_RECORDS", RECORDS_DEFAULT);
    let whole = OrdersLog::fill(records, PRODUCTS);
    let short = OrdersLog::fill((records / SHORT_PART).max(1), PRODUCTS);
    let figures = measure(&contenders, &whole, &short, number("BENCH_ROUNDS", ROUNDS_DEFAULT));
    publish("variants", &figures.table("× first"));
    write_json("variants", &figures.json());
}
