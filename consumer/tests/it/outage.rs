//! An outage is not poison: what every record needs is away, and nothing is retried or given up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use order_schemas::{OrderOutcome, Outcome};
use testkit::oracle::Rules;
use testkit::{Cluster, Input, Pipeline, Process, Server as _, machine, verify, wait};

/// Longest time for a run.
const RUN_MAX: Duration = Duration::from_secs(60);

/// Health follows what happens within 5 s; one more for a machine under load.
const HEALTH_MAX: Duration = Duration::from_secs(6);

fn orders(pipeline: &Pipeline, count: usize) -> Vec<Input> {
    let encoder = pipeline.orders_v1();
    let partitions = usize::try_from(pipeline.partitions).expect("few");
    let order = |n: usize| {
        let partition = i32::try_from(n % partitions).expect("few");
        encoder.input(partition, &format!("o-{n}"), &format!("product-{n}"), 2.5)
    };
    (0..count).map(order).collect()
}

fn nothing_was_moved(pipeline: &Pipeline) {
    for topic in [&pipeline.retry, &pipeline.dlq] {
        assert!(pipeline.ends(topic).iter().all(|end| *end == 0), "{topic} holds records");
    }
}

/// Waits until health names the condition and the metrics tell the same.
#[track_caller]
fn expect_held_up(consumer: &mut Process, condition: &str, label: &str) {
    wait::is_true(condition, HEALTH_MAX, || {
        let answer = consumer.get("/readyz");
        answer.status == 503 && answer.body.contains(condition)
    });
    let paused = format!("orders_partitions_paused{{reason=\"{label}\"}}");
    wait::is_true(&paused, HEALTH_MAX, || consumer.metric(&paused).is_some_and(|n| n > 0.0));
    assert_eq!(consumer.get("/livez").status, 200);
}

#[test]
fn a_downstream_that_refuses_holds_everything_up_and_nothing_is_retried_or_given_up() {
    let _machine = machine::shared();
    for order in ["none", "key"] {
        let pipeline = Cluster::shared().pipeline(2);
        pipeline.send(&pipeline.orders, &orders(&pipeline, 2_000));
        let flags = ["--simulate-outage", "10s", "--order", order, "--exit-at-end", "-o", "json"];
        let short = ["-X", "session.timeout.ms=6000", "-X", "max.poll.interval.ms=6000"];
        let flags = [&flags[..], &short, &["--lanes", "1"]].concat();
        let started = Instant::now();
        let mut consumer = Process::consumer(&pipeline, &flags);
        expect_held_up(&mut consumer, "downstream", "outage");
        assert_eq!(consumer.metric("orders_breaker_open"), Some(1.0));
        nothing_was_moved(&pipeline);
        let rebalances = consumer.metric("orders_rebalances_total");
        wait::is_true("the outage outlasting session and poll interval", RUN_MAX, || {
            started.elapsed() >= Duration::from_millis(8500)
        });
        assert_eq!(consumer.metric("orders_rebalances_total"), rebalances, "membership was lost");
        let statistics = consumer.wait(RUN_MAX).expect_code(0).stats();
        assert!(started.elapsed() >= Duration::from_secs(10), "it did not wait for the end");
        assert_eq!(statistics["succeeded"], 2_000, "{statistics}");
        nothing_was_moved(&pipeline);
        verify::exact(&pipeline, &Rules::new(&[&pipeline.orders_v1()]));
    }
}

#[test]
fn handlers_in_flight_are_held_up_as_well() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    pipeline.send(&pipeline.orders, &orders(&pipeline, 500));
    let flags = ["--simulate-outage", "5s", "--simulate-latency", "20ms", "--exit-at-end"];
    Process::consumer(&pipeline, &flags).wait(RUN_MAX).expect_code(0);
    nothing_was_moved(&pipeline);
    verify::exact(&pipeline, &Rules::new(&[&pipeline.orders_v1()]));
}

#[test]
fn a_probe_starts_few_handlers_however_many_may_wait_at_once() {
    /// Records of a probe.
    const PROBE_KEYS: usize = 5;
    /// Handlers that were in flight when the outage was met, and those that stood ready beside them.
    const CONCURRENCY: usize = 100;
    const READY_MAX: usize = 64;
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    pipeline.send(&pipeline.orders, &orders(&pipeline, 400));
    let mut args = pipeline.consumer_args();
    for flag in ["--simulate-outage", "600s", "--simulate-latency", "20ms", "--concurrency", "100"]
    {
        args.push(flag.to_owned());
    }
    let mut consumer = Process::start("consumer", &args, &[("RUST_LOG", "info,relane=trace")]);
    expect_held_up(&mut consumer, "downstream", "outage");
    let starts = |log: &str| log.matches("a handler starts").count();
    let (met, probed) = wait::until("two probes and a third", RUN_MAX, || {
        let log = consumer.log();
        let (before, since) =
            log.split_once("the service that the handler calls is unavailable")?;
        (starts(since) > 2 * PROBE_KEYS).then(|| (starts(before), starts(since)))
    });
    consumer.kill_9();
    assert!(
        met <= CONCURRENCY + READY_MAX,
        "{met} handlers were started before the outage was met"
    );
    assert!(probed <= 3 * PROBE_KEYS, "{probed} handlers were started by probes");
    nothing_was_moved(&pipeline);
}

#[test]
fn one_failure_of_many_keys_is_an_outage_and_leaves_no_trace() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    pipeline.send(&pipeline.orders, &orders(&pipeline, 300));
    let mut args = pipeline.consumer_args();
    args.push("--exit-at-end".to_owned());
    let variables = [("ORDERS_DOWNSTREAM_FAILS", "product:8")];
    let mut consumer = Process::start("consumer", &args, &variables);
    expect_held_up(&mut consumer, "downstream", "outage");
    consumer.wait(RUN_MAX).expect_code(0);
    nothing_was_moved(&pipeline);
    verify::exact(&pipeline, &Rules::new(&[&pipeline.orders_v1()]));
}

#[test]
fn an_outage_after_steady_success_is_told_before_any_order_is_given_up() {
    const STEADY_FOR: Duration = Duration::from_secs(11);
    const CHUNK: usize = 100;
    /// Keys that fail before it is told: at most one less was retried.
    const KEYS_MIN: usize = 20;
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    let mut args = pipeline.consumer_args();
    for flag in ["--lanes", "1", "--max-retries", "2", "--retry-delay", "3s"] {
        args.push(flag.to_owned());
    }
    let variables = [("ORDERS_DOWNSTREAM_FAILS", "product:away")];
    let mut consumer = Process::start("consumer", &args, &variables);
    let encoder = pipeline.orders_v1();
    let mut sent = 0;
    let mut send = |count: usize| {
        let order = |n: usize| {
            let partition = i32::try_from(n % 2).expect("small");
            encoder.input(partition, &format!("o-{n}"), &format!("product-{n}"), 2.5)
        };
        pipeline.send(&pipeline.orders, &(sent..sent + count).map(order).collect::<Vec<_>>());
        sent += count;
        sent
    };
    let counted = "orders_processed_total{outcome=\"succeeded\"}";
    let mut steady_since = None;
    while steady_since.is_none_or(|since: Instant| since.elapsed() < STEADY_FOR) {
        let sent = send(CHUNK);
        wait::is_true("the orders being counted", RUN_MAX, || {
            consumer.metric(counted) == Some(sent as f64)
        });
        steady_since.get_or_insert_with(Instant::now);
    }
    let away = consumer.dir().join("away");
    std::fs::write(&away, "").expect("the downstream goes away");
    // A few at a time, so that what fails first is committed before the outage is told.
    for _ in 0..40 {
        send(5);
    }
    expect_held_up(&mut consumer, "downstream", "outage");
    std::fs::remove_file(&away).expect("the downstream is back");
    wait::is_true("everything being settled", RUN_MAX, || pipeline.lag() == 0);
    consumer.sigterm();
    consumer.wait(RUN_MAX).expect_code(0);
    assert_eq!(pipeline.ends(&pipeline.dlq), [0, 0], "orders were given up");
    let log: Vec<_> = pipeline.outcomes_log().into_iter().map(|entry| entry.outcome).collect();
    let at = |outcome: &OrderOutcome| (outcome.origin_partition, outcome.origin_offset);
    let succeeded = log.iter().filter(|outcome| outcome.outcome == Outcome::Succeeded);
    let succeeded: Vec<_> = succeeded.map(at).collect();
    let distinct: BTreeSet<_> = succeeded.iter().collect();
    assert_eq!((succeeded.len(), distinct.len()), (sent, sent), "each is counted once");
    let retried: BTreeSet<_> = log.iter().filter(|o| o.attempt > 1).map(at).collect();
    assert!(retried.len() < KEYS_MIN, "{} were retried", retried.len());
}

#[test]
fn one_key_that_always_fails_is_given_up_and_is_no_outage() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let mut inputs = orders(&pipeline, 100);
    let bad = |n: usize| encoder.input(0, &format!("bad-{n}"), "bad", 1.0);
    inputs.extend((0..40).map(bad));
    pipeline.send(&pipeline.orders, &inputs);
    let mut args = pipeline.consumer_args();
    for flag in ["--exit-at-end", "--retry-delay", "100ms", "--max-retries", "1", "-o", "json"] {
        args.push(flag.to_owned());
    }
    let variables = [("ORDERS_DOWNSTREAM_FAILS", "bad:600")];
    let finished = Process::start("consumer", &args, &variables).wait(RUN_MAX);
    let statistics = finished.expect_code(0).stats();
    assert_eq!((&statistics["succeeded"], &statistics["dead_lettered"]), (&100.into(), &40.into()));
    assert!(!finished.stderr.contains("outage"), "{}", finished.stderr);
}

#[test]
fn retries_that_fail_for_good_do_not_keep_an_outage_up_when_it_is_over() {
    const BAD: usize = 12;
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let bad = |n: usize| encoder.input(0, &format!("bad-{n}"), &format!("bad-{n}"), 1.0);
    pipeline.send(&pipeline.orders, &(0..BAD).map(bad).collect::<Vec<_>>());
    let start = |flags: &[&str]| {
        let mut args = pipeline.consumer_args();
        args.extend(["--retry-delay", "2s"].iter().chain(flags).map(|flag| (*flag).to_owned()));
        Process::start("consumer", &args, &[("ORDERS_DOWNSTREAM_FAILS", "bad:600")])
    };
    let first = start(&[]);
    wait::is_true("all of them waiting", RUN_MAX, || {
        pipeline.ends(&pipeline.retry)[0] > BAD as i64
    });
    first.sigterm();
    first.wait(RUN_MAX).expect_code(0);
    pipeline.send(&pipeline.orders, &orders(&pipeline, 100));
    let mut second = start(&["--simulate-outage", "3s", "--max-retries", "1"]);
    expect_held_up(&mut second, "downstream", "outage");
    wait::is_true("everything being settled", RUN_MAX, || pipeline.lag() == 0);
    second.sigterm();
    let log = second.wait(RUN_MAX).expect_code(0).stderr.clone();
    assert!(log.contains("the service that the handler calls is available again after"), "{log}");
    let dead = pipeline.records(&pipeline.dlq);
    assert_eq!(dead.len(), BAD, "those that fail for good, and no other");
}

#[test]
fn known_schemas_flow_while_the_registry_is_away_and_a_new_one_waits() {
    let _machine = machine::shared();
    let mut cluster = Cluster::own_registry();
    let pipeline = cluster.pipeline(1);
    let (v1, v2) = (pipeline.orders_v1(), pipeline.orders_v2());
    let mut consumer = Process::consumer(&pipeline, &[]);
    pipeline.send(&pipeline.orders, &[v1.input(0, "first", "tea", 1.0)]);
    wait::is_true("the first order", RUN_MAX, || pipeline.lag() == 0);
    cluster.registry().pause();
    let known = |n: usize| v1.input(0, &format!("known-{n}"), "tea", 1.0);
    pipeline.send(&pipeline.orders, &[v2.input(0, "new", "tea", 1.0)]);
    pipeline.send(&pipeline.orders, &(0..50).map(known).collect::<Vec<_>>());
    wait::is_true("the known ones are counted", HEALTH_MAX, || {
        consumer.metric("orders_processed_total{outcome=\"succeeded\"}") == Some(51.0)
    });
    wait::is_true("the registry is told away", HEALTH_MAX + HEALTH_MAX, || {
        let answer = consumer.get("/readyz");
        answer.status == 503 && answer.body.contains("registry")
    });
    wait::is_true("the breaker is told open", HEALTH_MAX, || {
        consumer.metric("orders_breaker_open") == Some(1.0)
    });
    // As many are held in memory as may be; the others are not read.
    let later = |n: usize| v2.input(0, &format!("new-{n}"), "tea", 1.0);
    pipeline.send(&pipeline.orders, &(0..700).map(later).collect::<Vec<_>>());
    wait::is_true("the partition stands", HEALTH_MAX, || {
        consumer.metric("orders_partitions_paused{reason=\"registry\"}") == Some(1.0)
    });
    assert_eq!(consumer.metric("orders_unresolved_records"), Some(256.0));
    nothing_was_moved(&pipeline);
    cluster.registry().resume();
    wait::is_true("the new one is counted", RUN_MAX, || pipeline.lag() == 0);
    nothing_was_moved(&pipeline);
    wait::is_true("ready again", RUN_MAX, || consumer.get("/readyz").status == 200);
    consumer.sigterm();
    consumer.wait(RUN_MAX).expect_code(0);
    verify::exact(&pipeline, &Rules::new(&[&v1, &v2]));
}

#[test]
fn a_schema_that_the_registry_does_not_have_is_believed_missing_after_the_grace_only() {
    const GRACE: Duration = Duration::from_secs(5);
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let mut inputs = orders(&pipeline, 10);
    let mut unknown = inputs[0].clone();
    unknown.value.as_mut().expect("an order")[1..5].copy_from_slice(&900_000_u32.to_be_bytes());
    inputs.insert(5, unknown);
    pipeline.send(&pipeline.orders, &inputs);
    let started = Instant::now();
    let mut consumer = Process::consumer(&pipeline, &["--unknown-schema-grace", "5s"]);
    wait::is_true("known schemas go on", RUN_MAX, || {
        consumer.metric("orders_processed_total{outcome=\"succeeded\"}") == Some(10.0)
    });
    wait::is_true("a dead letter", RUN_MAX, || pipeline.ends(&pipeline.dlq)[0] > 0);
    assert!(started.elapsed() >= GRACE, "given up after {:?}", started.elapsed());
    consumer.sigterm();
    consumer.wait(RUN_MAX).expect_code(0);
}
