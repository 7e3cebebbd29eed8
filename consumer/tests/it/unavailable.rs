//! What is unavailable is reported once when it begins and once when it ends, with its duration; log,
//! metric and readiness agree about it; and the pipeline is back soon after.

use std::time::{Duration, Instant};

use testkit::{Cluster, Process, machine, wait};

/// Longest wait for anything that should happen soon, on a busy machine.
const RUN_MAX: Duration = Duration::from_secs(60);

/// An idle consumer notices within 10 s.
const NOTICED_MAX: Duration = Duration::from_secs(10);

/// The broker stands still for longer than a session of the group (10 s).
const FROZEN: Duration = Duration::from_secs(13);

/// Ready again within 5 s, and some for a busy machine: less than the session that the broker would
/// wait for members which it does not hear of.
const BACK_MAX: Duration = Duration::from_secs(8);

/// How far log, metric and readiness may be apart.
const AGREE_MAX: Duration = Duration::from_secs(1);

const METRIC: &str = "orders_unavailable{what=\"kafka\"}";
const BEGIN: &str = "Kafka is unavailable";
const END: &str = "Kafka is available again after ";

/// What log, metric and readiness say: whether Kafka is unavailable.
fn told(process: &mut Process, condition: &str) -> [bool; 3] {
    let log = process.log();
    let in_log = log.matches(BEGIN).count() > log.matches(END).count();
    let in_metric = process.metric(METRIC) == Some(1.0);
    let condition = format!("\"condition\":\"{condition}\"");
    [in_log, in_metric, process.get("/readyz").body.contains(&condition)]
}

/// Waits until all three agree, and returns what they say.
#[track_caller]
fn agreed(process: &mut Process, condition: &str) -> bool {
    wait::until("log, metric and readiness agreeing", AGREE_MAX, || {
        let [first, rest @ ..] = told(process, condition);
        rest.iter().all(|told| *told == first).then_some(first)
    })
}

/// Seconds that the one line of the end tells.
#[track_caller]
fn seconds_of_the_only_outage(log: &str) -> f64 {
    let count = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!((count(BEGIN), count(END)), (1, 1), "{log}");
    for word in ["ERROR", "librdkafka", "AllBrokersDown", "broker version"] {
        assert!(!log.contains(word), "{word} in:\n{log}");
    }
    let (_, after) = log.split_once(END).expect("counted");
    after.split(' ').next().and_then(|seconds| seconds.parse().ok()).expect("a number")
}

#[test]
fn a_broker_that_stood_still_is_reported_once_and_the_idle_consumer_is_back_within_seconds() {
    let _guard = machine::shared();
    let mut cluster = Cluster::own_kafka(&[]);
    let (pipeline, produced) = (cluster.pipeline(2), cluster.pipeline(1));
    // With one member the group has nothing to share out when the broker stops.
    let mut consumer = Process::consumer(&pipeline, &["--lanes", "1"]);
    let flags = ["--count", "0", "--interval", "200ms", "--quiet", "--metrics-addr", "127.0.0.1:0"];
    let args = produced.producer_args();
    let args =
        args.iter().map(String::as_str).filter(|arg| !["--metrics-addr", "off"].contains(arg));
    let mut producer = Process::start("producer", &args.chain(flags).collect::<Vec<_>>(), &[]);
    consumer.wait_ready(RUN_MAX);
    wait::is_true("orders being sent", RUN_MAX, || produced.ends(&produced.orders)[0] > 0);

    cluster.pause_kafka();
    let frozen_at = Instant::now();
    wait::is_true("the consumer noticing", NOTICED_MAX, || agreed(&mut consumer, "broker"));
    wait::is_true("the producer noticing", NOTICED_MAX, || agreed(&mut producer, "kafka"));
    wait::is_true("a session being over", RUN_MAX, || {
        assert!(agreed(&mut consumer, "broker") && agreed(&mut producer, "kafka"));
        frozen_at.elapsed() > FROZEN
    });
    cluster.resume_kafka();
    let resumed_at = Instant::now();
    consumer.wait_ready(RUN_MAX);
    let back_after = resumed_at.elapsed();
    producer.wait_ready(RUN_MAX);
    assert!(!agreed(&mut consumer, "broker") && !agreed(&mut producer, "kafka"));
    assert!(back_after < BACK_MAX, "ready {back_after:?} after the broker");

    let order = pipeline.orders_v1().input(1, "a", "tea", 1.0);
    pipeline.send(&pipeline.orders, &[order]);
    wait::is_true("an order being counted", RUN_MAX, || pipeline.lag() == 0);
    for process in [consumer, producer] {
        let finished = process.stop();
        finished.expect_code(0);
        let seconds = seconds_of_the_only_outage(&finished.stderr);
        let longest = frozen_at.elapsed().as_secs_f64();
        assert!((3.0..longest).contains(&seconds), "{seconds} s:\n{}", finished.stderr);
    }
}
