//! What options of the consumer cost, beside the consumer without them.

use crate::bars::Bars;
use crate::contender::Contender;
use crate::cpu::{build_ours, exactly_once};
use crate::figures::Round;
use crate::orders_log::OrdersLog;
use crate::output::number;
use crate::rounds::{SHORT_PART, measure};

const RECORDS_DEFAULT: u64 = 1_000_000;
const ROUNDS_DEFAULT: u64 = 3;
const PRODUCTS: u64 = 1_000;

/// Share of the attempts that fail in one of them.
const FAILURES: f64 = 0.1;

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
    let what = format!("{records} orders beside the same without the option, one lane");
    let mut bars = Bars::new("variants", &what);
    let cpu = |program| figures.ratio(program, Round::marginal_cpu_micros).median;
    let micros = |program| figures.spread(program, Round::marginal_cpu_micros).median;
    let rate = |program| figures.ratio(program, |round| round.whole.records_per_second()).median;
    bars.told("CPU of a further record, no option", micros(0), "µs");
    bars.at_most("--order key: CPU of a further record", cpu(1), 1.25, "×");
    bars.at_most("--dedupe 100000: CPU of a further record", cpu(2), 1.25, "×");
    bars.told("--lanes 2: CPU of a further record", cpu(3), "×");
    bars.told("--lanes 2: rate, start and end included", rate(3), "×");
    bars.told(
        "10 % of the attempts fail: CPU of a further record, its retries included",
        cpu(4),
        "×",
    );
    let retried = (micros(4) - micros(0)) / (FAILURES / (1.0 - FAILURES));
    bars.told("CPU of each retried attempt", retried, "µs");
    let overhead = micros(5) - micros(0);
    bars.at_most("256 waiting handlers at once: more CPU of a further record", overhead, 2.0, "µs");
    bars.publish_with(&figures.json());
}
