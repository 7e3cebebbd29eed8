//! `--dedupe N`: an order is not counted whose id stands at most N offsets lower in its partition.

use std::collections::BTreeMap;
use std::time::Duration;

use order_schemas::Outcome;
use testkit::oracle::{End, Rules};
use testkit::verify::Origin;
use testkit::{Cluster, Input, OrderEncoder, Pipeline, Process, machine, wait};

/// Longest time for a run with its retries.
const RUN_MAX: Duration = Duration::from_secs(90);

/// Longest wait for a condition.
const LIMIT: Duration = Duration::from_secs(30);

const REACH: i64 = 40;

const FLAGS: [&str; 6] = ["--dedupe", "40", "--simulate-failures", "0.3", "--retry-delay", "200ms"];

/// Orders that come again at any distance around the reach, and others that break a rule.
fn orders(encoder: &OrderEncoder, count: usize) -> Vec<Input> {
    let order = |n: usize| {
        let again = match n % 10 {
            3 => n.saturating_sub(n % 130), // up to 129 offsets lower, 43 of its partition
            7 => n.saturating_sub(3 * (n % 60)), // up to 59 lower in its own partition
            _ => n,
        };
        let partition = i32::try_from(n % 3).expect("small");
        let price = if n.is_multiple_of(97) { -1.0 } else { 0.25 };
        encoder.input(partition, &format!("order-{again}"), &format!("key-{}", again % 29), price)
    };
    (0..count).map(order).collect()
}

/// Every order ends as the definition of a duplicate, and then the rules, say. Returns the
/// number of duplicates.
#[track_caller]
fn ends_by_definition(pipeline: &Pipeline, rules: &Rules) -> usize {
    let mut told: BTreeMap<Origin, Vec<(i32, Outcome)>> = BTreeMap::new();
    for entry in pipeline.outcomes_log() {
        let outcome = entry.outcome;
        let origin = (outcome.origin_partition, outcome.origin_offset);
        told.entry(origin).or_default().push((outcome.attempt, outcome.outcome));
    }
    let mut last: BTreeMap<(i32, String), i64> = BTreeMap::new();
    let (mut counted, mut duplicates) = (0, 0);
    for order in pipeline.records(&pipeline.orders) {
        let fate = rules.fate(order.value.as_deref());
        let is_valid = !matches!(fate.end, End::Dead { class, .. } if class != "transient");
        let id = fate.order.clone().expect("all can be read").0;
        let before = if is_valid { last.insert((order.partition, id), order.offset) } else { None };
        let is_duplicate = before.is_some_and(|before| before >= order.offset - REACH);
        let expected = if is_duplicate {
            duplicates += 1;
            vec![(1, Outcome::Duplicate)]
        } else {
            let attempts = i32::try_from(fate.attempts).expect("few");
            let end = match fate.end {
                End::Counted(_) => Outcome::Succeeded,
                End::Dead { .. } => Outcome::DeadLettered,
            };
            counted += u64::from(end == Outcome::Succeeded);
            let retried = (1..attempts).map(|attempt| (attempt, Outcome::Retried));
            retried.chain([(attempts, end)]).collect()
        };
        let origin = order.coordinates();
        assert_eq!(told.remove(&origin), Some(expected), "{origin:?}, before it {before:?}");
    }
    assert_eq!(told, BTreeMap::new());
    let mut partials: BTreeMap<(i32, Option<Vec<u8>>), u64> = BTreeMap::new();
    for entry in pipeline.averages_log() {
        let count = u64::try_from(entry.average.count).expect("a count");
        partials.insert((entry.partition, entry.key), count);
    }
    assert_eq!(partials.values().sum::<u64>(), counted, "counted in the averages");
    assert_eq!(pipeline.lag(), 0);
    duplicates
}

fn run_to_the_end(pipeline: &Pipeline, flags: &[&str]) -> serde_json::Value {
    let flags = [flags, &["--exit-at-end", "-o", "json"]].concat();
    let finished = Process::consumer(pipeline, &flags).wait(RUN_MAX);
    eprintln!("{}", finished.stderr);
    finished.expect_code(0).stats()
}

#[test]
fn duplicates_are_what_the_definition_says_and_retries_are_none() {
    let _machine = machine::shared();
    for order in ["none", "key"] {
        let pipeline = Cluster::shared().pipeline(3);
        let encoder = pipeline.orders_v1();
        pipeline.send(&pipeline.orders, &orders(&encoder, 3_000));
        run_to_the_end(&pipeline, &[&FLAGS[..], &["--order", order]].concat());
        let rules = Rules::new(&[&encoder]).failing(0.3);
        let duplicates = ends_by_definition(&pipeline, &rules);
        assert!(duplicates > 200, "{duplicates} with --order {order}");
    }
}

#[test]
fn duplicates_are_exact_across_kills() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    let all = orders(&encoder, 9_000);
    let flags = [&FLAGS[..], &["--instance-id", "one"]].concat();
    for part in all.chunks(2_500) {
        let before = pipeline.outcomes_log().len();
        let mut consumer = Process::consumer(&pipeline, &flags);
        pipeline.send(&pipeline.orders, part);
        wait::is_true("some progress", LIMIT, || pipeline.outcomes_log().len() > before);
        consumer.kill_9();
    }
    run_to_the_end(&pipeline, &flags);
    let duplicates = ends_by_definition(&pipeline, &Rules::new(&[&encoder]).failing(0.3));
    assert!(duplicates > 600, "{duplicates}");
}

#[test]
fn duplicates_are_counted_as_such_and_a_redriven_order_is_none() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let mut consumer = Process::consumer(&pipeline, &["--dedupe", "40"]);
    consumer.wait_ready(LIMIT);
    let order = |id: &str| encoder.input(0, id, "tea", 0.25);
    pipeline.send(&pipeline.orders, &[order("a"), order("b"), order("a"), order("a")]);
    let duplicates = "orders_processed_total{outcome=\"duplicate\"}";
    wait::is_true("the duplicates being counted", LIMIT, || {
        consumer.metric(duplicates) == Some(2.0)
    });
    // An operator brings the first one back from the dead-letter queue.
    let headers = [
        ("x-origin-topic", pipeline.orders.as_str()),
        ("x-origin-partition", "0"),
        ("x-origin-offset", "2"),
        ("x-origin-timestamp-ms", "0"),
        ("x-origin-timestamp-type", "CreateTime"),
        ("x-origin-group", &pipeline.group),
        ("x-attempt", "0"),
        ("x-redrive-count", "1"),
    ];
    let redriven = headers
        .iter()
        .fold(order("a"), |input, (name, value)| input.with_header(name, Some(value.as_bytes())));
    pipeline.send(&pipeline.retry, &[redriven]);
    let counted = "orders_processed_total{outcome=\"succeeded\"}";
    wait::is_true("it being counted", LIMIT, || consumer.metric(counted) == Some(3.0));
    assert_eq!(consumer.metric(duplicates), Some(2.0));
    consumer.sigterm();
    consumer.wait(LIMIT).expect_code(0);
}
