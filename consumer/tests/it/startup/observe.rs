//! Metrics and health tell the truth from the first moment.

use std::net::TcpListener;
use std::time::Duration;

use testkit::{Cluster, Input, Pipeline, Process, Server as _, machine, wait};

use super::{FAILED, RUN_MAX, refused};

/// Port of metrics when none is asked for.
const PORT_DEFAULT: u16 = 9464;

/// Health follows what happens within 5 s; one more for a machine under load.
const HEALTH_MAX: Duration = Duration::from_secs(6);

/// The consumer's arguments without the address of metrics.
fn without_address(pipeline: &Pipeline) -> Vec<String> {
    let mut args = pipeline.consumer_args();
    let flag = args.iter().position(|arg| arg == "--metrics-addr").expect("testkit sets it");
    args.drain(flag..flag + 2);
    args
}

#[test]
fn a_taken_default_port_gives_way_and_a_taken_port_that_was_asked_for_is_an_error() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    // Somebody else may have it already, which is just as well.
    let _taken = TcpListener::bind(("127.0.0.1", PORT_DEFAULT));
    let args = without_address(&pipeline);
    let mut consumer = Process::start("consumer", &args, &[]);
    let address = consumer.metrics_addr();
    let port: u16 = address.rsplit(':').next().expect("a port").parse().expect("a number");
    assert!(address.starts_with("127.0.0.1:") && port > PORT_DEFAULT, "{address}");
    assert_eq!(consumer.get("/livez").status, 200);

    let flag = ["--metrics-addr".to_owned(), address.clone()];
    let second = Process::start("consumer", &[&args[..], &flag].concat(), &[]);
    refused(second, FAILED, &[&address, "--metrics-addr"]);
}

/// Every name of the contract; those with `{` carry labels.
const NAMES: [&str; 21] = [
    "orders_consumed_total{",
    "orders_processed_total{",
    "orders_retries_total{",
    "orders_dead_lettered_total{",
    "orders_transactions_total{",
    "orders_transaction_seconds",
    "orders_processing_seconds",
    "orders_end_to_end_seconds",
    "orders_retry_waiting ",
    "orders_retry_oldest_overdue_seconds ",
    "orders_parked_keys ",
    "orders_partitions_paused{",
    "orders_breaker_open ",
    "orders_rebalances_total ",
    "orders_average{",
    "orders_build_info{",
    "kafka_consumergroup_lag{",
    "kafka_consumergroup_current_offset{",
    "kafka_topic_partition_current_offset{",
    "kafka_topic_partition_oldest_offset{",
    "kafka_topic_partitions{",
];

#[test]
fn metrics_have_the_names_and_values_of_the_contract() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    let encoder = pipeline.orders_v1();
    let bad = Input::new(1, None, Some(b"garbage"));
    let good = [encoder.input(0, "a", "tea", 1.0), encoder.input(0, "b", "tea", 2.0)];
    pipeline.send(&pipeline.orders, &[&good[..], &[bad]].concat());
    let args = ["--simulate-failures", "1.0", "--max-retries", "1", "--retry-delay", "100ms"];
    let mut failing = Process::consumer(&pipeline, &args);
    wait::is_true("everything being settled", RUN_MAX, || pipeline.lag() == 0);
    let sample = |labels: &str| format!("orders_dead_lettered_total{{class=\"{labels}\"}}");
    wait::is_true("the metrics following", HEALTH_MAX, || {
        failing.metric(&sample("transient")) == Some(2.0)
    });
    assert_eq!(failing.metric(&sample("malformed")), Some(1.0));
    assert_eq!(failing.metric("orders_retries_total{attempt=\"1\"}"), Some(2.0));
    assert_eq!(
        failing.metric(&format!("orders_consumed_total{{topic=\"{}\"}}", pipeline.orders)),
        Some(3.0)
    );
    failing.sigterm();
    failing.wait(RUN_MAX).expect_code(0);

    // A second run counts: it has an average, and what the first one left is none of its counts.
    pipeline.send(
        &pipeline.orders,
        &[encoder.input(1, "c", "tea", 2.5), encoder.input(0, "d", "tea", 1.5)],
    );
    let mut counting = Process::consumer(&pipeline, &["--simulate-failures", "0.0"]);
    wait::is_true("the average", RUN_MAX, || {
        counting.metric("orders_average{product=\"tea\"}") == Some(2.0)
    });
    assert_eq!(counting.metric(&sample("malformed")), Some(0.0));
    wait::is_true("the lag reaching zero", RUN_MAX, || lag(&mut counting, &pipeline) == Some(0.0));
    let text = counting.get("/metrics").body;
    testkit::promtool::check(&text);
    let absent: Vec<_> = NAMES
        .iter()
        .filter(|name| **name != "orders_retries_total{")
        .filter(|name| !text.lines().any(|line| line.starts_with(**name)))
        .collect();
    assert!(absent.is_empty(), "{absent:?} are missing in:\n{text}");
    for private in ["order_id", "x-origin", "offset=\""] {
        assert!(!text.contains(private), "{private} is no label");
    }
}

/// Lag of both topics as the metrics tell it, `None` while a partition is missing.
fn lag(process: &mut Process, pipeline: &Pipeline) -> Option<f64> {
    let mut sum = 0.0;
    for topic in [&pipeline.orders, &pipeline.retry] {
        for partition in 0..pipeline.partitions {
            let group = &pipeline.group;
            sum += process.metric(&format!(
                "kafka_consumergroup_lag{{consumergroup=\"{group}\",topic=\"{topic}\",partition=\"{partition}\"}}"
            ))?;
        }
    }
    Some(sum)
}

/// Conditions that /readyz names, sorted.
fn conditions(process: &mut Process) -> Vec<String> {
    let answer = process.get("/readyz");
    let json: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    let reasons = json["reasons"].as_array().expect("a list");
    assert_eq!(answer.status == 200, reasons.is_empty(), "{}", answer.body);
    let mut names: Vec<String> = reasons
        .iter()
        .map(|reason| reason["condition"].as_str().expect("a name").to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn readiness_follows_the_broker_and_the_registry_and_an_outage_is_no_dead_letter() {
    let _guard = machine::shared();
    let mut cluster = Cluster::own();
    let pipeline = cluster.pipeline(1);
    let encoder = pipeline.orders_v1();
    let mut consumer = Process::consumer(&pipeline, &["-o", "json"]);
    consumer.wait_ready(RUN_MAX);

    cluster.kafka().pause();
    wait::is_true("the broker being missed", HEALTH_MAX, || {
        conditions(&mut consumer).contains(&"broker".to_owned())
    });
    assert_eq!(consumer.get("/livez").status, 200, "an outage is no reason for a restart");
    let paused = "orders_partitions_paused{reason=\"broker\"}";
    wait::is_true("the partition being told paused", RUN_MAX, || {
        consumer.metric(paused) == Some(1.0)
    });
    assert_eq!(consumer.metric("orders_breaker_open"), Some(1.0));
    cluster.kafka().resume();
    consumer.wait_ready(RUN_MAX);
    wait::is_true("it being told read again", HEALTH_MAX, || consumer.metric(paused) == Some(0.0));

    // Its schema is not known yet, and the registry does not answer.
    let order = encoder.input(0, "a", "tea", 1.0);
    cluster.registry().kill_9();
    pipeline.send(&pipeline.orders, &[order]);
    wait::is_true("the registry being missed", HEALTH_MAX, || {
        conditions(&mut consumer).contains(&"registry".to_owned())
    });
    wait::is_true("the metric following", HEALTH_MAX, || {
        consumer.metric("orders_breaker_open") == Some(1.0)
    });
    assert_eq!(consumer.get("/livez").status, 200);
    // What it sent is settled by nobody: no dead letter, no offset.
    assert_eq!(pipeline.ends(&pipeline.dlq), [0]);
    assert_ne!(pipeline.committed(&pipeline.orders), [Some(1)]);
    consumer.sigterm();
    let stats = consumer.wait(RUN_MAX).expect_code(0).stats();
    assert_eq!((&stats["consumed"], &stats["dead_lettered"]), (&0.into(), &0.into()));
}

/// A topic that was right at the start may be changed later: what is in it is read before it is
/// removed, and somebody is to know.
#[test]
fn a_topic_that_is_compacted_while_it_is_read_is_told_and_the_consumer_goes_on() {
    const CONFIGS: &str = "kafka.admin.ConfigCommand";
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let mut consumer = Process::consumer(&pipeline, &[]);
    wait::is_true("being ready", RUN_MAX, || consumer.get("/readyz").status == 200);
    let alter = |policy: &str| {
        let setting = format!("cleanup.policy={policy}");
        let args = ["--alter", "--topic", &pipeline.orders, "--add-config", &setting];
        pipeline.java(CONFIGS, &args);
    };
    alter("compact");
    wait::is_true("the change being told", RUN_MAX, || {
        let answer = consumer.get("/readyz");
        let words = ["topic-settings", &pipeline.orders, "cleanup.policy is compact"];
        answer.status == 503 && words.iter().all(|words| answer.body.contains(words))
    });
    pipeline.send(&pipeline.orders, &[encoder.input(0, "a", "tea", 1.0)]);
    wait::is_true("orders being counted all the same", RUN_MAX, || {
        pipeline.committed(&pipeline.orders) == [Some(1)]
    });
    alter("delete");
    wait::is_true("being ready again", RUN_MAX, || consumer.get("/readyz").status == 200);
    consumer.sigterm();
    let finished = consumer.wait(RUN_MAX);
    finished.expect_code(0);
    let told = finished.stderr.matches("a topic in use was changed").count();
    assert_eq!(told, 1, "{}", finished.stderr);
}

#[test]
fn dead_letters_of_another_group_in_the_same_topic_are_told_once_for_each_partition() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &[encoder.input(0, "a", "tea", -1.0)]);
    let first = Process::consumer(&pipeline, &["--exit-at-end"]).wait(RUN_MAX);
    first.expect_code(0);
    assert!(!first.stderr.contains("also holds"), "{}", first.stderr);
    let own = Cluster::shared().pipeline(1);
    let other = Pipeline { orders: pipeline.orders.clone(), dlq: pipeline.dlq.clone(), ..own };
    let consumer = Process::consumer(&other, &[]);
    let told = format!("{}/0 also holds dead letters of group {:?}", pipeline.dlq, pipeline.group);
    wait::is_true("the other group being named", RUN_MAX, || consumer.log().contains(&told));
    consumer.sigterm();
    let finished = consumer.wait(RUN_MAX);
    finished.expect_code(0);
    assert_eq!(finished.stderr.matches(&told).count(), 1, "{}", finished.stderr);
}
