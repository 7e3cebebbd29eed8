//! Handlers that wait: many at once, those of one key one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use testkit::oracle::Rules;
use testkit::{Cluster, Input, Process, machine, verify, wait};

use crate::order::ends_follow_the_input;

/// Longest time for a run.
const RUN_MAX: Duration = Duration::from_secs(90);

/// Longest wait for a condition.
const LIMIT: Duration = Duration::from_secs(30);

const LATENCY_MS: i64 = 30;

/// Handlers that may wait at once.
const CONCURRENCY: f64 = 256.0;

/// Runs after which a slow one is not blamed on the machine any more.
const TRIES_MAX: usize = 4;

/// Orders of distinct keys that one lane settles in a second with handlers that wait.
fn orders_per_second() -> f64 {
    const ORDERS: usize = 25_000;
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    let order = |n: usize| {
        let partition = i32::try_from(n % 3).expect("small");
        let product = format!("product-{}", n % 50);
        let input = encoder.input(partition, &format!("order-{n}"), &product, 0.25);
        Input { key: Some(n.to_string().into_bytes()), ..input }
    };
    pipeline.send(&pipeline.orders, &(0..ORDERS).map(order).collect::<Vec<_>>());
    let flags = [
        "--order",
        "key",
        "--simulate-latency",
        "30ms",
        "--concurrency",
        "256",
        "--lanes",
        "1",
        "--exit-at-end",
        "-o",
        "json",
    ];
    let finished = Process::consumer(&pipeline, &flags).wait(RUN_MAX);
    eprintln!("{}", finished.stderr);
    finished.expect_code(0);
    verify::exact(&pipeline, &Rules::new(&[&encoder]));
    let log = pipeline.outcomes_log();
    let times: Vec<i64> = log.iter().map(|entry| entry.outcome.settled_at_ms).collect();
    let (first, last) = (times.iter().min().expect("orders"), times.iter().max().expect("orders"));
    ORDERS as f64 / ((last - first + LATENCY_MS) as f64 / 1000.0)
}

#[test]
fn records_of_one_key_never_overlap_and_other_keys_do_not_wait_for_them() {
    const KEYS: usize = 20;
    const EACH: usize = 25;
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    let encoder = pipeline.orders_v1();
    let order = |n: usize| {
        let partition = i32::try_from(n % 2).expect("small");
        encoder.input(partition, &format!("order-{n}"), &format!("key-{}", n % KEYS), 0.25)
    };
    pipeline.send(&pipeline.orders, &(0..KEYS * EACH).map(order).collect::<Vec<_>>());
    let flags = [
        "--order",
        "key",
        "--simulate-latency",
        "30ms",
        "--simulate-failures",
        "0.2",
        "--retry-delay",
        "100ms",
        "--exit-at-end",
        "-o",
        "json",
    ];
    let finished = Process::consumer(&pipeline, &flags).wait(RUN_MAX);
    eprintln!("{}", finished.stderr);
    let totals = verify::exact(&pipeline, &Rules::new(&[&encoder]).failing(0.2));
    totals.expect_stats(&finished.expect_code(0).stats());
    assert_eq!(ends_follow_the_input(&pipeline), KEYS * EACH);

    let mut by_key: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for entry in pipeline.outcomes_log() {
        let times = by_key.entry(entry.outcome.product).or_default();
        times.push(entry.outcome.settled_at_ms);
    }
    let (mut all_ms, mut longest_ms) = (0, 0);
    for (key, times) in &by_key {
        for pair in times.windows(2) {
            // Both are cut to whole milliseconds.
            let apart_ms = pair[1] - pair[0];
            assert!(apart_ms >= LATENCY_MS - 1, "two handlers of {key} overlap: {apart_ms} ms");
        }
        let took_ms = times[times.len() - 1] - times[0];
        all_ms += took_ms;
        longest_ms = longest_ms.max(took_ms);
    }
    assert!(longest_ms * 4 < all_ms, "keys wait for each other: {longest_ms} of {all_ms} ms");
}

#[test]
fn a_kill_while_handlers_wait_repeats_and_loses_nothing() {
    const ORDERS: usize = 6_000;
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    let order = |n: usize| {
        let partition = i32::try_from(n % 3).expect("small");
        let key = format!("key-{partition}-{}", n % 700);
        encoder.input(partition, &format!("order-{n}"), &key, 0.25)
    };
    pipeline.send(&pipeline.orders, &(0..ORDERS).map(order).collect::<Vec<_>>());
    let flags = [
        "--order",
        "key",
        "--simulate-latency",
        "30ms",
        "--concurrency",
        "100",
        "--simulate-failures",
        "0.2",
        "--retry-delay",
        "300ms",
        "--instance-id",
        "one",
    ];
    for kill in 1..=3 {
        let settled = pipeline.outcomes_log().len();
        let mut consumer = Process::consumer(&pipeline, &flags);
        wait::is_true("some progress", LIMIT, || {
            pipeline.outcomes_log().len() > settled + 300 || pipeline.lag() == 0
        });
        consumer.kill_9();
        eprintln!("kill {kill} after {} outcomes", pipeline.outcomes_log().len());
    }
    let stopped = Process::consumer(&pipeline, &flags);
    let settled = pipeline.outcomes_log().len();
    wait::is_true("some progress", LIMIT, || {
        pipeline.outcomes_log().len() > settled || pipeline.lag() == 0
    });
    stopped.sigterm();
    stopped.wait(LIMIT).expect_code(0);
    let flags = [&flags[..], &["--exit-at-end", "-o", "json"]].concat();
    let finished = Process::consumer(&pipeline, &flags).wait(RUN_MAX);
    eprintln!("{}", finished.stderr);
    finished.expect_code(0);
    verify::exact(&pipeline, &Rules::new(&[&encoder]).failing(0.2).after_kills());
    assert_eq!(ends_follow_the_input(&pipeline), ORDERS);
}

/// These measure time.
mod alone {
    use super::*;

    #[test]
    fn distinct_keys_come_near_to_concurrency_by_latency() {
        let _machine = machine::alone();
        let most = CONCURRENCY / (LATENCY_MS as f64 / 1000.0);
        // Whatever else runs on the machine can only make it slower.
        let is_near = (0..TRIES_MAX).any(|_| {
            let per_second = orders_per_second();
            eprintln!("{per_second:.0}/s, {:.0} % of {most:.0}/s", per_second / most * 100.0);
            assert!(per_second <= 1.01 * most, "more handlers waited at once than may");
            per_second >= 0.8 * most
        });
        assert!(is_near, "not once 80 % of {most:.0}/s in {TRIES_MAX} tries");
    }
}
