//! What a record costs the consumer beside the least that reading can cost, and beside what others would write.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::contender::Contender;
use crate::figures::Round;
use crate::orders_log::OrdersLog;
use crate::output::{number, publish, write_json};
use crate::program::build;
use crate::rivals;
use crate::rounds::{SHORT_PART, measure};

const RECORDS_DEFAULT: u64 = 3_000_000;
const ROUNDS_DEFAULT: u64 = 5;
const PRODUCTS: u64 = 1_000;

/// What the short form measures.
const QUICK_RECORDS_DEFAULT: u64 = 1_000_000;
const QUICK_ROUNDS_DEFAULT: u64 = 3;

/// Most that a further record may cost the consumer, in shares of the floor, in the short form: far above what it
/// costs, so that only a step backwards is found, and not a busy machine.
const QUICK_RATIO_MAX: f64 = 5.0;

/// All contenders; the floor comes first, and all others are told by it.
pub(crate) fn run() {
    let contenders = contenders();
    let records = number("BENCH_RECORDS", RECORDS_DEFAULT);
    let (whole, short) = logs(records);
    let figures = measure(&contenders, &whole, &short, number("BENCH_ROUNDS", ROUNDS_DEFAULT));
    publish("cpu", &figures.table("× floor"));
    write_json("cpu", &figures.json());
}

/// The consumer beside the floor, few records; fails when a record has become far too dear.
pub(crate) fn quick() -> ExitCode {
    build_ours();
    let contenders = [floor(), exactly_once()];
    let (whole, short) = logs(number("BENCH_RECORDS", QUICK_RECORDS_DEFAULT));
    let rounds = number("BENCH_ROUNDS", QUICK_ROUNDS_DEFAULT);
    let figures = measure(&contenders, &whole, &short, rounds);
    println!("{}", figures.table("× floor"));
    write_json("quick", &figures.json());
    let ratio = figures.ratio(1, Round::marginal_cpu_micros).median;
    if ratio <= QUICK_RATIO_MAX {
        println!("a further record costs {ratio:.2} × the floor; the limit is {QUICK_RATIO_MAX}");
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "a further record costs {ratio:.2} × the floor; more than {QUICK_RATIO_MAX} is a step backwards"
    );
    ExitCode::FAILURE
}

fn logs(records: u64) -> (OrdersLog, OrdersLog) {
    let fill = |records| OrdersLog::fill(records, PRODUCTS);
    (fill(records), fill((records / SHORT_PART).max(1)))
}

/// The floors, and the consumer as it ships: the one that cargo has built for this benchmark dies at fail points.
pub(crate) fn build_ours() {
    build(&["--package", "kafka-io", "--examples"]);
    build(&["--package", "consumer", "--bin", "consumer"]);
}

fn floor() -> Contender {
    Contender::floor("floor", "floor: batches, decoded by hand", "batch_floor")
}

pub(crate) fn exactly_once() -> Contender {
    let arguments = ["--lanes", "1", "--guarantee", "exactly-once"];
    Contender::consumer("exactly", "consumer, exactly-once", &arguments)
}

fn at_least_once() -> Contender {
    let arguments = ["--lanes", "1", "--guarantee", "at-least-once"];
    Contender::consumer("least", "consumer, at-least-once", &arguments)
}

/// A contender by the name that `BENCH_ONLY` has for it.
type Named = (&'static str, fn() -> Contender);

fn contenders() -> Vec<Contender> {
    build_ours();
    let mut chosen = vec![floor()];
    let others: [Named; 7] = [
        ("poll", || Contender::floor("poll", "record by record, not decoded", "poll_floor")),
        ("exactly", exactly_once),
        ("least", at_least_once),
        ("naive", rivals::naive),
        ("python", rivals::python),
        ("java", rivals::java),
        ("streams", rivals::streams),
    ];
    let only = std::env::var("BENCH_ONLY").ok();
    let is_chosen = |key: &str| {
        only.as_ref().is_none_or(|only| only.split(',').any(|chosen| chosen.trim() == key))
    };
    chosen.extend(others.into_iter().filter(|(key, _)| is_chosen(key)).map(|(_, make)| make()));
    if let Some(other) = std::env::var_os("BENCH_CONSUMER").map(PathBuf::from) {
        let arguments = ["--lanes", "1"];
        let name = "another build, exactly-once";
        chosen.push(Contender::consumer_at(other, "other", name, &arguments));
    }
    chosen
}
