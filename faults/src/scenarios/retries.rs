//! Many retries at once, and orders whose handling fails or does not end.

use std::time::{Duration, Instant};

use testkit::{Cluster, Input, OrderEncoder, Pipeline, Process, wait};

use crate::ending::{consume, finish, progress, settled, stop};
use crate::load;
use crate::run::Run;
use crate::scenario::Scenario;

pub(super) const RETRY_STORM: Scenario = Scenario {
    name: "retry-storm",
    rows: &[26],
    does: "makes all retries of a topic due at once while as many newer orders of the same keys \
           arrive, without and with --order key",
    expects: "the retries run, the newer orders are processed, and with --order key each key keeps its order",
    full_max_s: 120,
    run: retry_storm,
};

pub(super) const POISON_AND_HANGS: Scenario = Scenario {
    name: "poison-and-hangs",
    rows: &[27],
    does: "puts poison at each position of a batch, makes one key fail permanently and one panic, \
           and makes handlers wait and block for longer than max.poll.interval.ms",
    expects: "only those records are dead-lettered; waiting handlers do not lose the membership, \
              and another instance processes the records of a blocked lane",
    full_max_s: 120,
    run: poison_and_hangs,
};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(60);

/// Orders settled in a second, from the start of a consumer that does all of it.
fn rate(pipeline: &Pipeline, records: usize, flags: &[&str]) -> f64 {
    let started = Instant::now();
    let consumer = Process::consumer(pipeline, flags);
    settled(pipeline, LIMIT);
    let elapsed = started.elapsed();
    stop(consumer);
    records as f64 / elapsed.as_secs_f64()
}

fn retry_storm(run: &mut Run) {
    let count = run.pick(5_000, 100_000);
    let delay = Duration::from_secs(run.pick(3, 6)); // longer than it takes to park them all
    for order in ["none", "key"] {
        let pipeline = Cluster::shared().pipeline(3);
        let encoder = pipeline.orders_v1();
        let send = |numbers| pipeline.send(&pipeline.orders, &spread(&encoder, numbers));
        send(0..2 * count);
        let calm = rate(&pipeline, 2 * count, &["--order", order]);
        send(2 * count..3 * count);
        let delay_text = format!("{}s", delay.as_secs());
        let parking =
            ["--order", order, "--simulate-failures", "1.0", "--retry-delay", &delay_text];
        let consumer = Process::consumer(&pipeline, &parking);
        let all = i64::try_from(3 * count).expect("few");
        wait::is_true("all being parked", LIMIT, || progress(&pipeline) >= all);
        stop(consumer);
        let parked = Instant::now();
        send(3 * count..4 * count);
        wait::is_true("all retries being due", LIMIT, || parked.elapsed() > delay);
        run.step(format!("{count} retries are due at once, {count} newer orders wait"));
        let storm = rate(&pipeline, 2 * count, &["--order", order]);
        run.figure(format!("--order {order}: calm"), format!("{calm:.0} records/s"));
        run.figure("in the storm", format!("{storm:.0} records/s"));
        let audit: &[&str] = if order == "key" { &["--order", "key"] } else { &[] };
        finish(run, &pipeline, &["--order", order], audit);
    }
}

/// Orders of a thousand keys.
fn spread(encoder: &OrderEncoder, numbers: std::ops::Range<usize>) -> Vec<Input> {
    let order = |n: usize| {
        let partition = i32::try_from(n % 3).expect("small");
        encoder.input(partition, &format!("order-{n}"), &format!("product-{}", n % 1_000), 0.25)
    };
    numbers.map(order).collect()
}

fn poison_and_hangs(run: &mut Run) {
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let batch = run.pick(20, 50);
    let mut inputs = Vec::new();
    for poisoned in 0..batch {
        for n in 0..batch {
            let mut input = encoder.input(0, &format!("{poisoned}-{n}"), "tea", 1.0);
            if n == poisoned {
                input.value = Some(b"poison".to_vec());
            }
            inputs.push(input);
        }
        // Each batch is one of the log, and comes alone.
    }
    for part in inputs.chunks(batch) {
        pipeline.send(&pipeline.orders, part);
    }
    let bad: Vec<Input> =
        (0..5).map(|n| encoder.input(0, &format!("bad-{n}"), "bad", 1.0)).collect();
    pipeline.send(&pipeline.orders, &bad);
    let mut args = pipeline.consumer_args();
    let flags = ["--exit-at-end", "--retry-delay", "100ms", "--max-retries", "1", "-o", "json"];
    args.extend(flags.map(str::to_owned));
    let variables = [("ORDERS_DOWNSTREAM_FAILS", "bad:600")];
    let ended = Process::start("consumer", &args, &variables).wait(LIMIT);
    let statistics = ended.expect_code(0).stats();
    assert_eq!(statistics["dead_lettered"], batch + bad.len(), "{statistics}");
    run.step("only the poisoned ones are dead letters");

    load::send(&pipeline, 0..100);
    let slow = ["--simulate-latency", "9s", "-X", "session.timeout.ms=6000"];
    let slow = [&slow[..], &["-X", "max.poll.interval.ms=6000"]].concat();
    let ended = consume(&pipeline, &slow);
    ended.expect_code(0);
    assert!(!ended.stderr.contains("MAXPOLL"), "it lost its membership:\n{}", ended.stderr);
    panics_and_blocks(run, &pipeline);
    finish(run, &pipeline, &[], &[]);
}

/// A handler panics for one key, and one blocks its lane for longer than its membership lasts.
fn panics_and_blocks(run: &mut Run, pipeline: &Pipeline) {
    const BLOCKED: &str = "12";
    let encoder = pipeline.orders_v1();
    let start = |variable: (&str, &str)| {
        let mut args = pipeline.consumer_args();
        let flags = ["--retry-delay", "100ms", "-X", "session.timeout.ms=6000"];
        args.extend(flags.map(str::to_owned));
        args.extend(["-X", "max.poll.interval.ms=6000"].map(str::to_owned));
        Process::start("consumer", &args, &[variable])
    };
    let dead = |pipeline: &Pipeline| pipeline.records(&pipeline.dlq).len();
    let before = dead(pipeline);
    let panicking = start(("ORDERS_HANDLER_PANICS", "panic"));
    let name = |n: usize| if n.is_multiple_of(10) { "panic" } else { "rice" };
    let orders: Vec<Input> =
        (0..100).map(|n| encoder.input(0, &format!("panic-{n}"), name(n), 1.0)).collect();
    pipeline.send(&pipeline.orders, &orders);
    settled(pipeline, LIMIT);
    stop(panicking);
    assert_eq!(dead(pipeline) - before, 10, "those that panic are dead letters, and no others");
    run.step("records whose handler panics are dead letters, others are counted");

    let mut blocked = start(("ORDERS_HANDLER_BLOCKS", &format!("slow:{BLOCKED}")));
    blocked.wait_ready(LIMIT);
    let slow: Vec<Input> =
        (0..20).map(|n| encoder.input(0, &format!("slow-{n}"), "slow", 1.0)).collect();
    pipeline.send(&pipeline.orders, &slow);
    blocked.wait_for_log("the handler blocks", LIMIT);
    let second = start(("ORDERS_HANDLER_BLOCKS", ""));
    wait::is_true("the lane that hangs being told", LIMIT, || blocked.get("/readyz").status == 503);
    settled(pipeline, LIMIT);
    run.step("another instance has done what the blocked one held");
    wait::is_true("the blocked one being ready again", LIMIT, || {
        blocked.get("/readyz").status == 200
    });
    stop(blocked);
    stop(second);
}
