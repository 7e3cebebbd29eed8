//! `--order key`: the records of a key end in the order in which they came in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_io::ClientConfig;
use kafka_io::writer::{Guarantee, NO_TAG, Writer, topic_name};
use order_schemas::Outcome;
use testkit::oracle::Rules;
use testkit::verify::Origin;
use testkit::{Cluster, Input, OrderEncoder, Pipeline, Process, machine, verify, wait};

use crate::timing::ids;

mod hold;

/// Longest time for a run with its retries.
const RUN_MAX: Duration = Duration::from_secs(90);

/// Longest wait for a condition.
const LIMIT: Duration = Duration::from_secs(30);

/// Many keys and many failures: about one in three attempts fails.
const FLAGS: [&str; 6] = ["--order", "key", "--simulate-failures", "0.3", "--retry-delay", "200ms"];

fn many_keys(encoder: &OrderEncoder, partitions: i32, count: usize) -> Vec<Input> {
    let order = |n: usize| {
        let partition = i32::try_from(n % partitions.unsigned_abs() as usize).expect("small");
        // A key stays on its partition, and some keys are much busier than others.
        let key = format!("key-{partition}-{}", (n / 3) % 97 % (1 + n % 61));
        encoder.input(partition, &format!("order-{n}"), &key, 0.25)
    };
    (0..count).map(order).collect()
}

/// Every end of a record of a key comes after the ends of those that came in before it.
#[track_caller]
pub(crate) fn ends_follow_the_input(pipeline: &Pipeline) -> usize {
    let orders = pipeline.records(&pipeline.orders);
    let keys: BTreeMap<Origin, Option<Vec<u8>>> =
        orders.into_iter().map(|order| (order.coordinates(), order.key)).collect();
    let mut last: BTreeMap<(i32, Vec<u8>), i64> = BTreeMap::new();
    let mut ends = 0;
    for entry in pipeline.outcomes_log() {
        let outcome = &entry.outcome;
        let is_end = matches!(outcome.outcome, Outcome::Succeeded | Outcome::DeadLettered);
        let origin = (outcome.origin_partition, outcome.origin_offset);
        let Some(key) = keys[&origin].clone().filter(|_| is_end) else { continue };
        let before = last.insert((entry.partition, key), outcome.origin_offset);
        assert!(
            before.is_none_or(|before| before < outcome.origin_offset),
            "{origin:?} ended after offset {before:?} of its key"
        );
        ends += 1;
    }
    ends
}

/// Records in retry that were not tried and waited behind one of their key.
fn followers(pipeline: &Pipeline) -> usize {
    let retries = pipeline.records(&pipeline.retry);
    retries.iter().filter(|record| record.header_number("x-attempt") == 0).count()
}

#[test]
fn the_ends_of_each_key_follow_its_input_under_many_failures() {
    const ORDERS: usize = 6_000;
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &many_keys(&encoder, 3, ORDERS));
    let flags = [&FLAGS[..], &["--exit-at-end", "-o", "json"]].concat();
    let finished = Process::consumer(&pipeline, &flags).wait(RUN_MAX);
    eprintln!("{}", finished.stderr);
    let totals = verify::exact(&pipeline, &Rules::new(&[&encoder]).failing(0.3));
    totals.expect_stats(&finished.expect_code(0).stats());
    assert_eq!(ends_follow_the_input(&pipeline), ORDERS);
    assert!(followers(&pipeline) > 500, "{} followers", followers(&pipeline));
}

#[test]
fn the_order_of_keys_survives_kills() {
    const ORDERS: usize = 12_000;
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &many_keys(&encoder, 3, ORDERS));
    let flags = [&FLAGS[..], &["--instance-id", "one"]].concat();
    for kill in 1_u64..=5 {
        let settled = pipeline.outcomes_log().len();
        let mut consumer = Process::consumer(&pipeline, &flags);
        wait::is_true("some progress", LIMIT, || {
            pipeline.outcomes_log().len() > settled || pipeline.lag() == 0
        });
        // The moment of the kill is the input of this test.
        std::thread::sleep(Duration::from_millis(kill * 170));
        consumer.kill_9();
    }
    let flags = [&flags[..], &["--exit-at-end", "-o", "json"]].concat();
    let finished = Process::consumer(&pipeline, &flags).wait(RUN_MAX);
    eprintln!("{}", finished.stderr);
    finished.expect_code(0);
    verify::exact(&pipeline, &Rules::new(&[&encoder]).failing(0.3).after_kills());
    assert_eq!(ends_follow_the_input(&pipeline), ORDERS);
}

#[test]
fn the_order_of_keys_survives_instances_that_come_and_go() {
    const ORDERS: usize = 4_000;
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(4);
    let encoder = pipeline.orders_v1();
    let flags = ["--order", "key", "--simulate-failures", "0.3", "--retry-delay", "500ms"];
    let mut first = Process::consumer(&pipeline, &flags);
    first.wait_ready(LIMIT);
    let orders = many_keys(&encoder, 4, ORDERS);
    let (some, others) = orders.split_at(ORDERS / 2);
    pipeline.send(&pipeline.orders, some);
    wait::is_true("followers waiting", LIMIT, || followers(&pipeline) > 200);
    let mut second = Process::consumer(&pipeline, &flags);
    second.wait_for_log("joined group", LIMIT);
    pipeline.send(&pipeline.orders, others);
    second.wait_ready(LIMIT);
    second.sigterm();
    second.wait(LIMIT).expect_code(0);
    wait::is_true("everything being settled", RUN_MAX, || pipeline.lag() == 0);
    first.sigterm();
    first.wait(LIMIT).expect_code(0);
    verify::exact(&pipeline, &Rules::new(&[&encoder]).failing(0.3));
    assert_eq!(ends_follow_the_input(&pipeline), ORDERS);
}

/// Sends orders of one key, so many at each beat.
fn send_steadily(
    pipeline: &Pipeline,
    encoder: &OrderEncoder,
    ids: &[String],
    per_beat: usize,
    beat: Duration,
) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &pipeline.servers.bootstrap_servers);
    let mut writer =
        Writer::open(&config, Guarantee::AtLeastOnce, "", LIMIT).expect("settings are good");
    writer.begin().expect("there is no transaction to begin");
    let topic = topic_name(&pipeline.orders);
    let start = Instant::now();
    for (n, batch) in (0_u32..).zip(ids.chunks(per_beat)) {
        let at = start + beat * n;
        std::thread::sleep(at.saturating_duration_since(Instant::now())); // the rate is the input
        for id in batch {
            let Input { key, value, .. } = encoder.input(0, id, "the key", 0.25);
            writer
                .produce(&topic, 0, key.as_deref(), value.as_deref(), None, NO_TAG)
                .expect("the queue takes it");
        }
        writer.acknowledged().expect("the broker takes all records");
    }
}

#[test]
fn a_key_with_too_many_followers_pauses_its_partition_until_they_are_fewer() {
    const FOLLOWERS_MAX: usize = 50;
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let most = FOLLOWERS_MAX.to_string();
    let flags = [
        "--order",
        "key",
        "--followers-max",
        &most,
        "--simulate-failures",
        "0.5",
        "--retry-delay",
        "5s",
    ];
    let mut consumer = Process::consumer(&pipeline, &flags);
    consumer.wait_ready(LIMIT);
    let all: Vec<String> = ids(1, 1, 0.5).into_iter().chain(ids(0, 200, 0.5)).collect();
    let inputs: Vec<Input> = all.iter().map(|id| encoder.input(0, id, "tea", 0.25)).collect();
    pipeline.send(&pipeline.orders, &inputs);
    let paused = "orders_partitions_paused{reason=\"followers\"}";
    wait::is_true("the partition being paused", LIMIT, || consumer.metric(paused) == Some(1.0));
    assert_eq!(consumer.metric("orders_parked_keys"), Some(1.0));
    assert_eq!(followers(&pipeline), FOLLOWERS_MAX);
    consumer.wait_for_log("records waiting behind one of their key reached the limit", LIMIT);
    wait::is_true("everything being settled", LIMIT, || pipeline.lag() == 0);
    wait::is_true("no pause", LIMIT, || consumer.metric(paused) == Some(0.0));
    assert_eq!(consumer.metric("orders_parked_keys"), Some(0.0));
    consumer.sigterm();
    consumer.wait(LIMIT).expect_code(0);
    verify::exact(&pipeline, &Rules::new(&[&encoder]).failing(0.5));
    assert_eq!(ends_follow_the_input(&pipeline), all.len());
}

/// A key whose first record fails at both of its attempts, with five behind it.
fn dead_predecessor(on_dead_letter: &str) -> (Pipeline, OrderEncoder) {
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let flags = [
        "--order",
        "key",
        "--on-dead-letter",
        on_dead_letter,
        "--simulate-failures",
        "0.5",
        "--max-retries",
        "1",
        "--retry-delay",
        "1s",
    ];
    let mut consumer = Process::consumer(&pipeline, &flags);
    consumer.wait_ready(LIMIT);
    let good = ids(0, 8, 0.5);
    let bad = ids(2, 1, 0.5);
    let input = |id: &String| encoder.input(0, id, "tea", 0.25);
    let inputs: Vec<Input> = bad.iter().chain(&good[..5]).map(input).collect();
    pipeline.send(&pipeline.orders, &inputs);
    wait::is_true("the followers waiting", LIMIT, || followers(&pipeline) == 5);
    wait::is_true("everything being settled", LIMIT, || pipeline.lag() == 0);
    let later: Vec<Input> = good[5..].iter().map(input).collect();
    pipeline.send(&pipeline.orders, &later);
    wait::is_true("everything being settled", LIMIT, || pipeline.lag() == 0);
    consumer.sigterm();
    consumer.wait(LIMIT).expect_code(0);
    assert_eq!(ends_follow_the_input(&pipeline), 9);
    (pipeline, encoder)
}

#[test]
fn followers_of_a_dead_letter_go_on_in_order() {
    let _machine = machine::shared();
    let (pipeline, encoder) = dead_predecessor("release");
    let rules = Rules { max_retries: 1, ..Rules::new(&[&encoder]).failing(0.5) };
    let totals = verify::exact(&pipeline, &rules);
    assert_eq!((totals.succeeded, totals.dead_lettered), (8, 1));
}

#[test]
fn with_hold_those_that_wait_behind_a_dead_letter_follow_it_and_later_ones_do_not() {
    let _machine = machine::shared();
    let (pipeline, _) = dead_predecessor("hold");
    let dead = pipeline.records(&pipeline.dlq);
    let reasons: Vec<_> = dead
        .iter()
        .map(|record| {
            let class = record.header_text("x-failure-class").to_owned();
            (record.origin().1, class, record.header_text("x-failure-reason").to_owned())
        })
        .collect();
    let with = |offset, reason: &str| (offset, "transient".to_owned(), reason.to_owned());
    let mut expected = vec![with(0, "simulated")];
    expected.extend((1..6).map(|offset| with(offset, "predecessor-dead")));
    assert_eq!(reasons, expected);
    assert!(dead[1..].iter().all(|record| record.header_number("x-attempt") == 0));
    let counted = pipeline.outcomes_log();
    let counted = counted.iter().filter(|entry| entry.outcome.outcome == Outcome::Succeeded);
    assert_eq!(counted.map(|entry| entry.outcome.origin_offset).collect::<Vec<_>>(), [6, 7, 8]);
}

#[test]
fn a_record_without_a_key_is_never_parked() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let order = |n| Input { key: None, ..encoder.input(0, &format!("order-{n}"), "tea", 0.25) };
    let orders: Vec<Input> = (0..500).map(order).collect();
    pipeline.send(&pipeline.orders, &orders);
    let flags = [&FLAGS[..], &["--exit-at-end", "-o", "json"]].concat();
    let finished = Process::consumer(&pipeline, &flags).wait(RUN_MAX);
    eprintln!("{}", finished.stderr);
    finished.expect_code(0);
    verify::exact(&pipeline, &Rules::new(&[&encoder]).failing(0.3));
    assert_eq!(followers(&pipeline), 0);
}

#[test]
fn order_is_kept_at_least_once_as_well() {
    const ORDERS: usize = 2_000;
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &many_keys(&encoder, 2, ORDERS));
    // With one lane no partition moves while the run begins: a move may repeat a turn, which may be at least once.
    let more = ["--lanes", "1", "--exit-at-end", "-o", "json", "--guarantee", "at-least-once"];
    let flags = [&FLAGS[..], &more].concat();
    let finished = Process::consumer(&pipeline, &flags).wait(RUN_MAX);
    eprintln!("{}", finished.stderr);
    finished.expect_code(0);
    verify::exact(&pipeline, &Rules::new(&[&encoder]).failing(0.3));
    assert_eq!(ends_follow_the_input(&pipeline), ORDERS);
}

/// Waiting records that are moved to the tail of the retry partition keep their place.
#[test]
fn the_order_of_keys_survives_a_window_that_nearly_fills_and_a_kill() {
    const ORDERS: usize = 16_000;
    const KEYS: usize = 6_000;
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let order =
        |n: usize| encoder.input(0, &format!("order-{n}"), &format!("key-{}", n % KEYS), 0.25);
    pipeline.send(&pipeline.orders, &(0..ORDERS).map(order).collect::<Vec<_>>());
    let flags = [
        "--order",
        "key",
        "--simulate-failures",
        "0.6",
        "--max-retries",
        "2",
        "--retry-delay",
        "2s",
        "--retry-jitter",
        "1.0",
        "--instance-id",
        "one",
        "--exit-at-end",
        "-o",
        "json",
    ];
    let mut first = Process::consumer(&pipeline, &flags);
    first.wait_for_log("waiting retries moved to the tail", RUN_MAX);
    first.kill_9();
    let finished = Process::consumer(&pipeline, &flags).wait(RUN_MAX);
    eprintln!("{}", finished.stderr);
    finished.expect_code(0);
    let rules = Rules { max_retries: 2, ..Rules::new(&[&encoder]).failing(0.6) };
    verify::exact(&pipeline, &rules.after_kills());
    assert_eq!(ends_follow_the_input(&pipeline), ORDERS);
}

/// These measure time.
mod alone {
    use super::*;

    /// One key at 1,000 records a second, of which one fails once.
    #[test]
    fn a_key_with_a_steady_stream_gets_free_again() {
        const DELAY_MS: i64 = 2_000;
        const PER_BATCH: usize = 50;
        const BATCHES: usize = 140;
        let _machine = machine::alone();
        let pipeline = Cluster::shared().pipeline(1);
        let encoder = pipeline.orders_v1();
        let delay = format!("{DELAY_MS}ms");
        let flags = ["--order", "key", "--simulate-failures", "0.5", "--retry-delay", &delay];
        let mut consumer = Process::consumer(&pipeline, &flags);
        consumer.wait_ready(LIMIT);
        let mut stream = ids(0, PER_BATCH * BATCHES, 0.5);
        stream[PER_BATCH * 20] = ids(1, 1, 0.5).remove(0);
        send_steadily(&pipeline, &encoder, &stream, PER_BATCH, Duration::from_millis(50));
        wait::is_true("everything being settled", LIMIT, || pipeline.lag() == 0);
        consumer.sigterm();
        consumer.wait(LIMIT).expect_code(0);

        assert_eq!(ends_follow_the_input(&pipeline), stream.len());
        let waited: Vec<i64> = pipeline
            .records(&pipeline.retry)
            .iter()
            .filter(|record| record.header_number("x-attempt") == 0)
            .map(|record| record.origin().1)
            .collect();
        let log = pipeline.outcomes_log();
        let failed = log.iter().find(|entry| entry.outcome.outcome == Outcome::Retried);
        let failed_at_ms = failed.expect("one failed").outcome.settled_at_ms;
        let last_follower = waited.iter().max().expect("some waited");
        let free_at = log.iter().find(|entry| entry.outcome.origin_offset == *last_follower);
        let parked_ms = free_at.expect("it ended").outcome.settled_at_ms - failed_at_ms;
        eprintln!("parked for {parked_ms} ms, {} followers", waited.len());
        assert!(waited.len() > 1_500, "the stream was slow: {} followers", waited.len());
        assert!((DELAY_MS..DELAY_MS + 1_000).contains(&parked_ms), "parked for {parked_ms} ms");
        let mut once = waited.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), waited.len(), "a follower goes through retry once");
    }
}
