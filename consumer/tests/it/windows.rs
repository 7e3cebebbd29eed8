//! Windows under stress: what is settled out of order travels as metadata of the committed
//! offset, which is short. Nothing may be lost or run twice when it fills up.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use testkit::oracle::Rules;
use testkit::{Cluster, Input, Pipeline, Process, machine, verify, wait};

/// Longest run of one consumer here.
const RUN_MAX: Duration = Duration::from_secs(60);

/// Longest wait for a condition.
const LIMIT: Duration = Duration::from_secs(30);

/// Longest metadata that a broker takes by default, in characters.
const METADATA_CHARS_MAX: usize = 4096;

/// Partitions that are not read because too much waits.
const PAUSED: &str = r#"orders_partitions_paused{reason="waiting"}"#;

/// What the log says when waiting retries are moved.
const MOVED: &str = "waiting retries moved to the tail";

fn orders(pipeline: &Pipeline, count: usize) -> Vec<Input> {
    let encoder = pipeline.orders_v1();
    let partitions = usize::try_from(pipeline.partitions).expect("a count");
    let order = |n: usize| {
        let partition = i32::try_from(n % partitions).expect("a partition");
        encoder.input(partition, &format!("order-{n}"), &format!("product-{}", n % 7), 0.25)
    };
    (0..count).map(order).collect()
}

/// Follows the metadata of the retry offsets until `stop` says so, and returns the longest.
fn longest_metadata(pipeline: &Pipeline, mut stop: impl FnMut(usize) -> bool) -> usize {
    let mut longest = 0;
    wait::is_true("the end of the run", RUN_MAX, || {
        let metadata = pipeline.committed_metadata(&pipeline.retry);
        longest = metadata.iter().map(String::len).fold(longest, usize::max);
        stop(longest)
    });
    longest
}

/// Failures that settle in any order: three attempts, each delay spread over its double. Most of
/// them end as dead letters, which is meant here and must not stop the consumer.
const JITTERED: [&str; 10] = [
    "--dlq-limit",
    "off",
    "--simulate-failures",
    "0.9",
    "--max-retries",
    "2",
    "--retry-delay",
    "3s",
    "--retry-jitter",
    "1.0",
];

fn jittered_rules(pipeline: &Pipeline) -> Rules {
    Rules { max_retries: 2, ..Rules::new(&[&pipeline.orders_v1()]).failing(0.9) }
}

#[test]
fn a_window_that_nearly_fills_is_emptied_and_a_kill_in_the_middle_repeats_nothing() {
    const ORDERS: usize = 15_000;
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    pipeline.send(&pipeline.orders, &orders(&pipeline, ORDERS));
    let args = [&["--exit-at-end", "-o", "json", "--instance-id", "a"][..], &JITTERED].concat();

    let mut first = Process::consumer(&pipeline, &args);
    let before = longest_metadata(&pipeline, |_| first.log().contains(MOVED));
    first.kill_9();
    let mut second = Process::consumer(&pipeline, &args);
    let after = longest_metadata(&pipeline, |_| !second.is_running());
    second.wait(RUN_MAX).expect_code(0);

    assert!(before.max(after) <= METADATA_CHARS_MAX, "{before} and {after}");
    verify::exact(&pipeline, &jittered_rules(&pipeline));
}

#[test]
fn a_broker_that_takes_less_metadata_gets_less() {
    const CHARS: usize = 256;
    let _guard = machine::shared();
    let cluster = Cluster::own_kafka(&[&format!("offset.metadata.max.bytes={CHARS}")]);
    let pipeline = cluster.pipeline(1);
    pipeline.send(&pipeline.orders, &orders(&pipeline, 2_000));
    let args = [&["--exit-at-end", "-o", "json"][..], &JITTERED].concat();
    let mut consumer = Process::consumer(&pipeline, &args);
    let longest = longest_metadata(&pipeline, |_| !consumer.is_running());
    let log = consumer.wait(RUN_MAX).expect_code(0).stderr.clone();
    assert!(log.contains("accepts less offset metadata"), "the limit was never met: {longest}");
    assert!((CHARS / 4..=CHARS).contains(&longest), "{longest} characters");
    verify::exact(&pipeline, &jittered_rules(&pipeline));
}

#[test]
fn three_hundred_partitions_are_settled_exactly() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(300);
    pipeline.send(&pipeline.orders, &orders(&pipeline, 6_000));
    let args = [
        "--exit-at-end",
        "-o",
        "json",
        "--lanes",
        "2",
        "--simulate-failures",
        "0.3",
        "--retry-delay",
        "300ms",
        "--retry-jitter",
        "1.0",
    ];
    let stats = Process::consumer(&pipeline, &args).wait(RUN_MAX).expect_code(0).stats();
    let rules = Rules::new(&[&pipeline.orders_v1()]).failing(0.3);
    verify::exact(&pipeline, &rules).expect_stats(&stats);
}

#[test]
fn too_many_waiting_records_hold_back_new_orders_until_they_are_settled() {
    const MAX: i64 = 500;
    const FIRST: usize = 600;
    const ALL: usize = 1_200;
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let all = orders(&pipeline, ALL);
    pipeline.send(&pipeline.orders, &all[..FIRST]);
    let args = [
        "-o",
        "json",
        "--dlq-limit",
        "off",
        "--waiting-max",
        "500",
        "--simulate-failures",
        "1.0",
        "--max-retries",
        "1",
        "--retry-delay",
        "6s",
    ];
    let mut consumer = Process::consumer(&pipeline, &args);
    wait::is_true("the pause", LIMIT, || consumer.metric(PAUSED) == Some(1.0));
    pipeline.send(&pipeline.orders, &all[FIRST..]);
    let held_back = pipeline.committed(&pipeline.orders);
    assert_eq!(consumer.metric(PAUSED), Some(1.0), "it looked too late: the retries were due");
    assert_eq!(held_back, [Some(MAX)], "each of them failed");
    assert_eq!(consumer.get("/readyz").status, 200, "holding back is no fault");

    // It fills up a second time with the others, and empties.
    wait::is_true("everything being settled", LIMIT, || pipeline.lag() == 0);
    wait::is_true("the resumption", LIMIT, || consumer.metric(PAUSED) == Some(0.0));
    consumer.sigterm();
    let stats = consumer.wait(LIMIT).expect_code(0).stats();
    let rules = Rules { max_retries: 1, ..Rules::new(&[&pipeline.orders_v1()]).failing(1.0) };
    verify::exact(&pipeline, &rules).expect_stats(&stats);
}

/// A consumer meets a backlog of which 9 in 10 fail: how many wait when it holds the others back, and
/// the most memory that it took, in KiB.
fn hold_back(pipeline: &Pipeline, backlog: usize, waiting_max: usize) -> (usize, u64) {
    pipeline.send(&pipeline.orders, &orders(pipeline, backlog));
    let waiting_max = waiting_max.to_string();
    let args = [
        &["--lanes", "1", "--dlq-limit", "off", "--simulate-failures", "0.9", "-o", "json"][..],
        &["--retry-delay", "5m", "-X", "queued.min.messages=1000"],
        &["--waiting-max", &waiting_max],
    ];
    let mut consumer = Process::consumer(pipeline, &args.concat());
    wait::is_true("the pause", LIMIT, || consumer.metric(PAUSED) == Some(1.0));
    let told = consumer.metric("orders_retry_waiting").expect("a gauge");
    let peak_kib = peak_kib(consumer.id());
    // None is due for minutes: what was sent to the topic waits there.
    let waiting = pipeline.records(&pipeline.retry).len();
    assert!((told - waiting as f64).abs() < 1.0, "{told} are told to wait, and {waiting} do");
    consumer.sigterm();
    assert_eq!(consumer.wait(LIMIT).expect_code(0).stats()["waiting"], waiting);
    (waiting, peak_kib)
}

fn peak_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the kernel says it");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

#[test]
fn as_many_records_wait_as_may_however_long_the_backlog_that_fails() {
    const MAX: usize = 1_000;
    let _guard = machine::shared();
    let short = hold_back(&Cluster::shared().pipeline(1), 2_000, MAX);
    let long = hold_back(&Cluster::shared().pipeline(1), 60_000, MAX);
    for (waiting, _) in [short, long] {
        assert_eq!(waiting, MAX);
    }
    let (short, long) = (short.1, long.1);
    assert!(long * 2 < short * 3, "{short} KiB for a short backlog, {long} KiB for a long one");
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("before the year 292 million")
}

/// A retry as the consumer would have written it.
fn retry(pipeline: &Pipeline, order: Input, offset: usize, due_at_ms: i64) -> Input {
    let headers = [
        ("x-origin-topic", pipeline.orders.clone()),
        ("x-origin-partition", "0".to_owned()),
        ("x-origin-offset", offset.to_string()),
        ("x-origin-timestamp-ms", now_ms().to_string()),
        ("x-origin-timestamp-type", "CreateTime".to_owned()),
        ("x-origin-group", pipeline.group.clone()),
        ("x-first-failed-at-ms", now_ms().to_string()),
        ("x-attempt", "1".to_owned()),
        ("x-due-at-ms", due_at_ms.to_string()),
    ];
    let with = |order: Input, (name, value): (&str, String)| {
        order.with_header(name, Some(value.as_bytes()))
    };
    headers.into_iter().fold(order, with)
}

/// These measure time.
mod alone {
    use super::*;

    #[test]
    fn a_retry_of_2_s_is_on_time_while_thousands_of_5_minutes_wait_around_it() {
        const WAITING: usize = 6_000;
        const SHORT_EVERY: usize = 100;
        const LATE_MS_MAX: i64 = 1_000;
        let _guard = machine::alone();
        let pipeline = Cluster::shared().pipeline(1);
        let mut consumer = Process::consumer(&pipeline, &["-o", "json"]);
        consumer.wait_ready(LIMIT);

        let now = now_ms();
        let (mut retries, mut due) = (Vec::new(), Vec::new());
        for (n, order) in orders(&pipeline, WAITING).into_iter().enumerate() {
            retries.push(retry(
                &pipeline,
                order.clone(),
                2 * n,
                now + 300_000 + 7 * (n as i64 % 991),
            ));
            if n % SHORT_EVERY == 0 {
                // Due one after the other, in no order of their own.
                let due_at_ms = now + 2_000 + 37 * (n as i64 / 100 * 17 % 60);
                due.push((2 * n as i64 + 1, due_at_ms));
                retries.push(retry(&pipeline, order, 2 * n + 1, due_at_ms));
            }
        }
        pipeline.send(&pipeline.retry, &retries);
        wait::is_true("the short ones being settled", LIMIT, || {
            consumer.metric(r#"orders_processed_total{outcome="succeeded"}"#)
                == Some(due.len() as f64)
        });
        consumer.sigterm();
        let stats = consumer.wait(LIMIT).expect_code(0).stats();
        assert_eq!(stats["waiting"], WAITING);

        let outcomes = pipeline.outcomes_log();
        assert_eq!(outcomes.len(), due.len());
        for (offset, due_at_ms) in due {
            let found = outcomes.iter().find(|entry| entry.outcome.origin_offset == offset);
            let entry = found.unwrap_or_else(|| panic!("no outcome of {offset}"));
            let late_ms = entry.timestamp_ms - due_at_ms;
            assert!(
                entry.outcome.settled_at_ms >= due_at_ms,
                "{offset} was early by {} ms",
                -late_ms
            );
            assert!(late_ms <= LATE_MS_MAX, "{offset} was late by {late_ms} ms");
        }
    }
}
